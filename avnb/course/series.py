"""Which series are installed, where their files lie, and where runs and data go.

A series is a package of notebooks that some distribution declares in its
`pyproject.toml`::

    [project.entry-points."avnb.series"]
    ms_vae = "avnb_notebooks.ms_vae.series"

The module `series` of that package holds what the course asks of it: `CLAIMS`,
`evidence` and `headlines` (see :class:`Claim` and `avnb.course.study`), `OVERRIDES` of
its study, `EMBEDDED` (its embedded data) and `RECORDED` (what a whole run must have
recorded).
"""

import importlib
import importlib.metadata
import importlib.util
import os
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from avnb.errors import LessonError

GROUP = "avnb.series"


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper that holds where a measured number exceeds `above`."""

    name: str
    text: str
    paper: str  # where the paper says it, and its own number
    measured: str  # what the number is
    above: float = 0.0


def list_series() -> dict[str, str]:
    """Every installed series: its name -> its package."""
    found = importlib.metadata.entry_points(group=GROUP)
    return {one.name: one.module.rpartition(".")[0] for one in found}


def find_series(series: str) -> str:
    """The package of a series, or an error that lists the right names."""
    known = list_series()
    if series not in known:
        raise LessonError(
            f"series {series!r}",
            "there is no such series",
            f"Give one of: {', '.join(sorted(known)) or '(none is installed)'}",
        )
    return known[series]


def load_series(series: str) -> ModuleType:
    """The module `series` of a series: its claims and its embedded data."""
    return importlib.import_module(f"{find_series(series)}.series")


def series_folder(series: str) -> Path:
    """The folder of a series' notebooks; nothing of it is imported."""
    spec = importlib.util.find_spec(find_series(series))
    if spec is None or not spec.submodule_search_locations:
        raise LessonError(
            f"series {series!r}",
            "its notebooks are not installed",
            "Install avnb again: pip install --force-reinstall avnb",
        )
    return Path(next(iter(spec.submodule_search_locations)))


def step_files(series: str) -> list[Path]:
    """The text halves stepN_name.py of a series, in the order of N."""
    numbered = {}
    for path in series_folder(series).glob("step*.py"):
        match = re.fullmatch(r"step(\d+)_\w+", path.stem)
        if match:
            numbered[int(match[1])] = path
    return [numbered[number] for number in sorted(numbered)]


@cache
def clone() -> Path | None:
    """The folder of the clone that avnb runs from, or None where it is installed."""
    folder = Path(__file__).absolute().parents[2]
    project = folder / "pyproject.toml"
    if not project.is_file():
        return None
    named = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
    return folder if named.get("name") == "avnb" else None


def home() -> Path:
    """Where `runs/` and `data/` go.

    `$AVNB_HOME` where it is set; the clone, from anywhere inside it, so that a
    notebook and `avnb run` share what they made; else the working folder.
    """
    if chosen := os.environ.get("AVNB_HOME"):
        return Path(chosen).expanduser().absolute()
    here, ours = Path.cwd(), clone()
    return ours if ours and here.is_relative_to(ours) else here
