"""What a run of a whole series must have left behind, wherever it ran."""

import json
import re
from pathlib import Path
from typing import Any

import nbformat

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
    assert find_unnamed(folder) == []


def find_unnamed(folder: Path) -> list[str]:
    """The pictures of a run's notebooks and report that have no alternative text."""
    report = (folder / "report.html").read_text()
    found = [f"report.html: {tag}" for tag in find_bare_tags(report)]
    pages = sorted((folder / "notebooks").glob("step*.ipynb"))
    assert pages
    for path in pages:
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", ()):
                found += [f"{path.name}: {one}" for one in find_bare(output)]
    return found


def find_bare(output: Any) -> list[str]:
    """The pictures of one output of a cell that have no alternative text."""
    metadata = output.get("metadata", {})
    data = output.get("data", {})
    pictures = [kind for kind in data if kind.startswith("image/")]
    bare = [kind for kind in pictures if not metadata.get(kind, metadata).get("alt")]
    return bare + find_bare_tags(data.get("text/html", ""))


def find_bare_tags(page: str) -> list[str]:
    """The tags <img …> of a page without alternative text, without their data."""
    tags = re.findall(r"<img\b[^>]*>", page)
    bare = [tag for tag in tags if not re.search(r"\balt=(['\"])[^'\"]+\1", tag)]
    return [tag[:80] for tag in bare]
