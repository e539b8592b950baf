"""The reader's working copy of the notebooks, the folder `course/`.

Readers change notebooks: they solve exercises and try other numbers. In the clone, or
among the installed packages, the next update would meet or erase what they wrote. So
they work in a copy below the home of runs and data. The copy is laid out as a package,
`course/<package>/<series>/`, and stands first on Python's path. Therefore
an import of a step, as in a later step's first cells, gives the reader's own code.

Each notebook is paired with its text half by jupytext's metadata, so that JupyterLab
saves both. A manifest holds the hash of each file as it was installed. An update
replaces only what still has this hash, and so nothing that the reader wrote is lost.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat

from avnb import files
from avnb.course.folders import WORKING_COPY as MANIFEST
from avnb.course.folders import require_writable
from avnb.course.series import list_series
from avnb.errors import LessonError

# What Python and JupyterLab put beside the notebooks
SKIPPED = {"__pycache__", ".ipynb_checkpoints"}
# The text half holds the cells and their tags, and no header: an update would
# otherwise change with every version of jupytext, which writes its own into it.
PAIRING = {
    "formats": "ipynb,py:percent",
    "notebook_metadata_filter": "-all",
    "cell_metadata_filter": "tags,-all",
}


@dataclass(frozen=True)
class Installed:
    """What an installed notebook, or another file, was when it was last copied.

    Args:
        halves: the hashes of the files as they were written: of the .ipynb half and of
            the text half, or of the one file.
        cells: the hash of its cells, see `hash_cells_of`; of any other file its own.
    """

    halves: list[str]
    cells: str


Manifest = dict[str, Installed]


def update_working_copy(folder: Path) -> list[str]:
    """Make the working copy, or bring it to the installed version.

    A file that the reader has not changed is replaced. One that the reader has changed
    stays, and the installed version is written beside it as `NAME.new`. Running a
    notebook does not count as a change of it; only its cells count.

    Args:
        folder: the working copy; it is made where it is missing.

    Returns:
        What the reader should know: one sentence for each file that was kept.

    Raises:
        LessonError: the folder cannot be written.
    """
    require_writable(folder)
    manifest = _read_manifest(folder)
    # First, so that a half which was changed alone is a change of its whole notebook.
    messages, present = join_halves(folder, manifest), set()
    for package, place in _find_packages().items():
        for unit in _list_units(place):
            # A package's folder may have another name: in the clone it is `notebooks`.
            inside = [package / path.relative_to(place) for path in unit]
            name = inside[0].as_posix()
            present.add(name)
            message, manifest[name] = _update_unit(
                [folder / path for path in inside],
                [_read_installed(path) for path in unit],
                manifest.get(name),
            )
            messages += message
    for name in set(manifest) - present:
        messages += _retire(folder / name, manifest.pop(name))
    # Last. After a kill before this line the new files are not in the manifest, but
    # they equal what is installed, and so the next update takes them as untouched.
    _write_manifest(folder, manifest)
    return messages


def enter_working_copy(folder: Path) -> list[str]:
    """Let this command import from the working copy, by starting it anew if need be.

    `avnb run`, started inside `course/`, then runs the reader's notebooks.

    Returns:
        What the reader should know, see `join_halves`.
    """
    _restart_with(build_copy_environment(folder)["PYTHONPATH"])
    return join_halves(folder, _read_manifest(folder))


def leave_working_copy(folder: Path) -> None:
    """Let this command import what is installed, as an update of the copy must."""
    _restart_with(os.pathsep.join(_list_other_paths(folder)))


def _restart_with(wanted: str) -> None:
    """Replace this process by one with another PYTHONPATH, unless it has that already.

    The path of a running process is not edited: what was imported would stay.
    """
    # The process that was started anew comes here again, and must go on.
    if os.environ.get("PYTHONPATH", "") == wanted:
        return
    command = [sys.executable, "-m", "avnb.course.cli", *sys.argv[1:]]
    os.execve(sys.executable, command, os.environ | {"PYTHONPATH": wanted})


def _list_other_paths(folder: Path) -> list[str]:
    """The entries of PYTHONPATH without a working copy."""
    old = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    # An empty entry would mean the working folder, whatever that is.
    return [path for path in old if path and path != str(folder)]


def build_copy_environment(folder: Path) -> dict[str, str]:
    """The variable that puts a working copy first on the path of new processes."""
    paths = [str(folder), *_list_other_paths(folder)]
    return {"PYTHONPATH": os.pathsep.join(paths)}


def join_halves(folder: Path, manifest: Manifest) -> list[str]:
    """Write the half of a notebook that was left behind from the one that was changed.

    JupyterLab saves both halves. Other editors save one, and then a notebook and the
    steps that import it would disagree. Where both were changed, the newer one counts,
    and the other is kept as `NAME.old`.

    Returns:
        One sentence for each half that was put aside.
    """
    messages = []
    for name, installed in manifest.items():
        notebook = folder / name
        text = notebook.with_suffix(".py")
        # A file that is no notebook has one half; a deleted notebook has none.
        if len(installed.halves) == 1 or not (notebook.is_file() or text.is_file()):
            continue
        if _hash_files([notebook, text]) == installed.halves:
            continue
        if not (notebook.is_file() and text.is_file()):
            # The reader has deleted this half: it is written again from the other one.
            older = notebook if text.is_file() else text
        else:
            found = {half: hash_cells_of(half) for half in (notebook, text)}
            # Equal cells: the notebook was only run, or saved in another layout.
            if found[notebook] == found[text]:
                continue
            older = min(found, key=lambda half: half.stat().st_mtime_ns)
            # The time alone does not tell: saving or copying may touch a half without a
            # change. A half with the installed cells is the one that was left behind.
            left = [half for half in found if found[half] == installed.cells]
            if left:
                older = left[0]
            else:
                aside = _put_aside(older)
                messages.append(
                    f"{older}: both halves of this notebook were changed, and differ. "
                    f"The newer one counts, and this one was kept as {aside.name}"
                )
        if older == text:
            _write_text_half(notebook)
        else:
            _write_notebook_half(text)
    return messages


def hash_cells_of(path: Path) -> str:
    """A hash of a file; of a notebook's half only the cells count, without outputs.

    The .ipynb half is read as its text half would be, so that equal cells are equal
    whatever a text half cannot hold, such as blank lines at the end of a cell.
    """
    # A Python file without a notebook beside it is no half.
    paired = path.with_suffix(".ipynb" if path.suffix == ".py" else ".py").is_file()
    if path.suffix not in {".ipynb", ".py"} or not paired:
        return files.hash_file(path)
    jupytext = import_jupytext()
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            text = jupytext.writes(_read_paired(path), fmt="py:percent")
        cells = jupytext.reads(text, fmt="py:percent").cells
    except (ValueError, KeyError, AttributeError):  # a half that somebody damaged
        return files.hash_file(path)
    return files.hash_values(
        [(c.cell_type, c.source, sorted(c.metadata.get("tags", []))) for c in cells]
    )


def _update_unit(
    paths: list[Path], contents: list[bytes], installed: Installed | None
) -> tuple[list[str], Installed]:
    """Bring one notebook, or one other file, to the installed version.

    Args:
        paths: its files in the working copy: the .ipynb half before the text half,
            since jupytext wants the text half to be the newer one.
        contents: what the files hold in the installed version.
        installed: what was installed before; None where this is new.

    Returns:
        What to tell the reader, and what is installed now.
    """
    halves = [_hash_bytes(content) for content in contents]
    present = all(path.is_file() for path in paths)
    # Nothing new is installed, so it does not matter whether the reader changed it.
    if present and installed and installed.halves == halves:
        return [], installed
    if not present or _is_untouched(paths, halves, installed):
        _write_all(paths, contents)
        return [], Installed(halves, hash_cells_of(paths[0]))
    beside = [path.with_name(f"{path.name}.new") for path in paths]
    _write_all(beside, contents)
    told = (
        f"{paths[0]}: you have changed it, and so it was kept. The new version lies "
        f"beside it, {beside[0].name}"
    )
    # No cells are "as installed" now: whichever half is changed next is the reader's.
    return [told], Installed(halves, "")


def _is_untouched(
    paths: list[Path], halves: list[str], installed: Installed | None
) -> bool:
    """Whether the files are what was installed before, or what is installed now."""
    found = _hash_files(paths)
    # By the bytes first: reading the cells takes jupytext, and more time.
    if found == halves or (installed and found == installed.halves):
        return True
    return installed is not None and hash_cells_of(paths[0]) == installed.cells


def _retire(path: Path, installed: Installed) -> list[str]:
    """Take away a file that the installed version no longer has.

    It must not stay under its name, because a series finds its steps by their names.
    """
    paths = [path, path.with_suffix(".py")][: len(installed.halves)]
    paths = [path for path in paths if path.is_file()]
    if not paths:
        return []
    if _hash_files(paths) == installed.halves or hash_cells_of(path) == installed.cells:
        for one in paths:
            one.unlink()
        return []
    aside = [_put_aside(one) for one in paths]
    return [
        f"{path}: the course no longer has this file. You have changed it, and so it "
        f"was kept as {aside[0].name}"
    ]


def _put_aside(path: Path) -> Path:
    """Rename a file to NAME.old, or to NAME.old2 and so on where that is taken."""
    names = (f"{path.name}.old{number}" for number in ["", *range(2, 1000)])
    free = next(path.with_name(n) for n in names if not path.with_name(n).exists())
    return path.rename(free)


def _write_text_half(notebook: Path) -> None:
    """Write the text half from the .ipynb half."""
    content = import_jupytext().writes(_read_paired(notebook), fmt="py:percent")
    files.write_bytes(notebook.with_suffix(".py"), content.encode())


def _write_notebook_half(text: Path) -> None:
    """Write the .ipynb half from the text half; outputs of equal cells are kept."""
    jupytext = import_jupytext()
    notebook = text.with_suffix(".ipynb")
    new = jupytext.read(text, fmt="py:percent")
    if notebook.is_file():
        old = _read_paired(notebook)
        # jupytext is optional, so no module of it is imported at the top.
        combine = importlib.import_module("jupytext.combine")
        new = combine.combine_inputs_with_outputs(new, old, {"extension": ".py"})
    new.metadata["jupytext"] = dict(PAIRING)
    files.write_bytes(notebook, _serialise(new))
    text.touch()  # jupytext wants the text half to be the newer one


def _read_paired(path: Path) -> Any:
    """Read an .ipynb half, with the metadata that pairs it."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    notebook.metadata["jupytext"] = dict(PAIRING)
    return notebook


def _serialise(notebook: Any) -> bytes:
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    return (text + "\n").encode()


def _read_installed(path: Path) -> bytes:
    """What a file of the installed version holds in the working copy."""
    # The installed half is not paired. In the copy JupyterLab must save both halves.
    if path.suffix == ".ipynb" and path.with_suffix(".py").is_file():
        return _serialise(_read_paired(path))
    return path.read_bytes()


def _write_all(paths: list[Path], contents: list[bytes]) -> None:
    for path, content in zip(paths, contents, strict=True):
        files.write_bytes(path, content)


def _hash_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _hash_files(paths: list[Path]) -> list[str]:
    return [files.hash_file(path) if path.is_file() else "" for path in paths]


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    kept = files.read_json(path) if path.is_file() else {}
    return {name: Installed(**entry) for name, entry in kept.items()}


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    kept = {name: asdict(manifest[name]) for name in sorted(manifest)}
    files.write_json(folder / MANIFEST, kept)


def _list_units(package: Path) -> list[list[Path]]:
    """The files of a package: both halves of a notebook together, others alone."""
    found = sorted(
        path
        for path in package.rglob("*")
        if path.is_file() and not SKIPPED & set(path.parts)
    )
    units = []
    for path in found:
        if path.suffix == ".ipynb" and path.with_suffix(".py") in found:
            units.append([path, path.with_suffix(".py")])
        # The text half of a notebook came with it above; what is left stands alone.
        elif path.suffix != ".py" or path.with_suffix(".ipynb") not in found:
            units.append([path])
    return units


def import_jupytext() -> Any:
    """The package jupytext, which is no dependency of avnb but of its extra `lab`.

    Raises:
        LessonError: it is not installed.
    """
    if importlib.util.find_spec("jupytext") is None:
        raise LessonError(
            "jupytext",
            "it is not installed",
            "Install it: pip install 'jupytext>=1.17'",
        )
    return importlib.import_module("jupytext")


def _find_packages() -> dict[Path, Path]:
    """The outermost packages that hold series: their name as a path -> their folder."""
    tops = {package.partition(".")[0] for package in list_series().values()}
    found = {}
    for top in sorted(tops):
        spec = importlib.util.find_spec(top)
        if spec is not None and spec.submodule_search_locations:
            found[Path(top)] = Path(next(iter(spec.submodule_search_locations)))
    return found
