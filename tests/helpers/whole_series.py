"""What a run of a whole series must have left behind, wherever it ran."""

import json
from pathlib import Path

from avnb.course.series import load_series, step_files
from avnb.course.steps import read_step

# test_install.py runs this series from an installed wheel, away from the clone.
INSTALLED = "ms_vae"


def recording_steps(series: str) -> list[tuple[int, str]]:
    """(number, name) of the notebooks that take parameters and leave results."""
    steps = [read_step(path) for path in step_files(series)]
    return [(step.number, step.name) for step in steps if step.records]


def check_run(series: str, folder: Path, *, seed: int) -> None:
    """Every step finished with this seed, and everything was recorded."""
    results = json.loads((folder / "results.json").read_text())
    assert list(results["steps"]) == [name for _, name in recording_steps(series)]
    assert {step["seed"] for step in results["steps"].values()} == {seed}
    assert "data:image/png" in (folder / "report.html").read_text()
    recorded = {
        entry["name"] for step in results["steps"].values() for entry in step["entries"]
    }
    assert set(load_series(series).RECORDED) <= recorded
