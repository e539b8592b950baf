"""Where runs and data go, and what the folder of a run is called."""

import ast
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from avnb import files
from avnb.errors import LessonError

# The folder that holds the package avnb: the clone, or site-packages.
PACKAGES = Path(__file__).absolute().parents[2]
LONGEST = 60  # characters of a folder's readable suffix; file systems stop at 255
# The file that marks the reader's working copy of the notebooks.
WORKING_COPY = ".avnb_course.json"
ELSEWHERE = "Set AVNB_HOME to a folder that you may write to, or give --run-dir"


@cache
def find_clone() -> Path | None:
    """The folder of the clone that avnb runs from, or None where it is installed."""
    project = PACKAGES / "pyproject.toml"
    if not project.is_file():
        return None
    # avnb may have been copied into another project, which has such a file, too.
    named = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
    return PACKAGES if named.get("name") == "avnb" else None


def find_home() -> Path:
    """The folder below which `runs/` and `data/` go.

    `$AVNB_HOME` where it is set; the folder that holds the working copy of the
    notebooks, from anywhere inside that copy; the clone, from anywhere inside it, so
    that a notebook and `avnb run` share what they made; else the working folder.

    Raises:
        LessonError: the working folder was deleted, or it is among the installed
            packages, where an update would delete what was put there.
    """
    if chosen := os.environ.get("AVNB_HOME"):
        # Where no shell has read the value, as in a notebook's %env, `~` still stands.
        return Path(chosen).expanduser().absolute()
    try:
        here = Path.cwd()
    except OSError as error:
        raise LessonError(
            "the working folder", f"it is not there any more ({error})", ELSEWHERE
        ) from None
    if copy := find_working_copy():
        return copy.parent
    if not here.is_relative_to(PACKAGES):
        return here
    if clone := find_clone():
        return clone
    raise LessonError(
        here,
        "it belongs to the installed packages, where no runs and no data can be kept",
        "Start in a folder of your own, or set AVNB_HOME to one",
    )


def find_working_copy() -> Path | None:
    """The working copy of the notebooks that the working folder lies in, or None."""
    try:
        here = Path.cwd()
    except OSError:
        return None
    for folder in (here, *here.parents):
        if (folder / WORKING_COPY).is_file():
            return folder
    return None


def require_writable(folder: Path) -> Path:
    """Make a folder and prove that a file can be written there; returns the folder.

    The permissions alone do not tell: root may write anywhere but on a disk that is
    mounted read-only, and a disk may be full.

    Raises:
        LessonError: nothing can be written there; it names AVNB_HOME.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The byte is written when the file is closed, and so inside of the `try`.
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
    except OSError as error:
        problem = f"nothing can be written there ({error.strerror})"
        raise LessonError(folder, problem, ELSEWHERE) from None
    return folder


def default_run_dir(
    series: str,
    scale: str,
    data: str = "",
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
) -> Path:
    """Where a run lives when nobody says.

    It is `runs/<series>/<scale>[-<data>][-seed<N>][-<field>=<value>…]` below
    `find_home()`. Whatever changes the numbers of a run is part of the name, so that
    no run meets the checkpoints of another, and the same call goes on where it was.

    Args:
        series: the series' name.
        scale: one of `settings.SCALES`.
        data: the folder of prepared clips; empty for the embedded data.
        seed: of every random number.
        overrides: field -> value, as the command line or a notebook gives them.
    """
    name = scale
    if data:
        # Two folders may both be called "clips": the hash tells their paths apart.
        path = Path(data).expanduser().resolve()
        name += f"-{path.name}-{files.hash_values(str(path))[:8]}"
    # Seed 0 is the default, and what is default is not named.
    if seed:
        name += f"-seed{seed}"
    if overrides:
        name += f"-{_describe_overrides(overrides)}"
    return find_home() / "runs" / series / name


def _describe_overrides(overrides: Mapping[str, Any]) -> str:
    """The overrides as the end of a folder's name: readable, or shortened by a hash."""
    pairs = [f"{name}={_normalise(overrides[name])}" for name in sorted(overrides)]
    text = "-".join(pairs)
    readable = re.sub(r"[^\w.=+-]+", "_", text)
    if readable == text and len(text) <= LONGEST:
        return text
    # Different values may read alike once they are shortened, so the hash of all joins.
    return f"{readable[:LONGEST]}-{files.hash_values(text)[:8]}"


def _normalise(value: Any) -> str:
    """One text for a value, be it the command line's text or a notebook's number."""
    if not isinstance(value, str):
        return repr(value)
    try:
        return repr(ast.literal_eval(value.strip()))
    except (ValueError, SyntaxError):
        return value.strip()
