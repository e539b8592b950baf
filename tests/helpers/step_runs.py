"""A step run as a script or whole, and a training that is cut off in it."""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from avnb import training
from avnb.course.series import step_files


class PowerCut(Exception):
    """What ends the training in the middle of a step."""


def read_text(series: str, step: str, *, whole: bool = False) -> str:
    """The text half of a step; or `whole`, with the cells that only show."""
    (path,) = (path for path in step_files(series) if path.stem == step)
    if not whole:
        return path.read_text()
    cells = nbformat.read(path.with_suffix(".ipynb"), as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "code")


def run_step(
    series: str,
    step: str,
    run_dir: Path,
    data: Path,
    *,
    whole: bool = False,
    **overrides: Any,
) -> dict[str, Any]:
    """What a step records at scale smoke; see `read_text` for what is run."""
    text = read_text(series, step, whole=whole)
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
