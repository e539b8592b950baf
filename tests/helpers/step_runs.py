"""A step's text half run as a script, and a training that is cut off in it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from avnb import training
from avnb.course.series import step_files


class PowerCut(Exception):
    """What ends the training in the middle of a step."""


def read_text(series: str, step: str) -> str:
    (path,) = (path for path in step_files(series) if path.stem == step)
    return path.read_text()


def read_cells(series: str, step: str) -> str:
    """All code of a step's notebook, also that which its text half leaves out."""
    (path,) = (path for path in step_files(series) if path.stem == step)
    cells = json.loads(path.with_suffix(".ipynb").read_text())["cells"]
    return "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")


def run_step(
    series: str,
    step: str,
    run_dir: Path,
    data: Path,
    *,
    cells: bool = False,
    **overrides: Any,
) -> dict[str, Any]:
    """What a step records at scale smoke, its text half run as a script.

    A notebook that defines shows nothing in its text half: `cells` runs the other half.
    """
    text = read_cells(series, step) if cells else read_text(series, step)
    given = {"SCALE": "smoke", "RUN_DIR": str(run_dir), "DATA": str(data)}
    for name, value in (given | {"OVERRIDES": overrides}).items():
        text, found = re.subn(rf"^{name} = .*", f"{name} = {value!r}", text, flags=re.M)
        assert found == 1
    exec(compile(text, step, "exec"), {"__name__": step})
    result = json.loads((run_dir / "results" / f"{step}.json").read_text())
    assert result["finished"]
    return {e["name"]: e["value"] for e in result["entries"] if e["kind"] == "value"}


def read_steps(folder: Path) -> list[int]:
    """The steps of a run's history, in the order in which they were written."""
    lines = (folder / "history.jsonl").read_text().splitlines()
    return [int(json.loads(line)["step"]) for line in lines]


def cut_power(monkeypatch: pytest.MonkeyPatch, step: int) -> list[int]:
    """Let the update of the EMA raise `PowerCut` once; a list that grows by calls."""
    average, calls = training.EMA.update_parameters, []

    def fail_once(self: Any, model: Any) -> None:
        calls.append(1)
        if len(calls) == step:
            raise PowerCut
        average(self, model)

    monkeypatch.setattr(training.EMA, "update_parameters", fail_once)
    return calls
