"""The page that JupyterLab opens first: the series, their steps, and the runs here.

What a step teaches, how long it takes and what it needs is said at the head of its
notebook, and only there. This page is written from those heads.
"""

import ast
import re
from pathlib import Path
from urllib.parse import quote

import nbformat
from nbformat import v4

from avnb import files
from avnb.course.reference import find_reference
from avnb.course.series import list_series

NAME = "start.ipynb"
KEPT = ("**Time.**", "**Before you start.**")  # a head's paragraphs
INTRODUCTION = """# avnb: a course you can run

Each series is a set of notebooks, its steps: begin with step 1, and go on in their
order. The series that stands first explains what all others use, so begin there. Each
of the others builds the model of one paper on generating sound and picture together;
take these in any order.

- Change what you like. This folder, `course/`, is your own copy of the notebooks. What
  you save here is what the later steps import, and an update never replaces it.
- To run a whole series, open a terminal (File, New, Terminal) and type
  `cd course && avnb run SERIES`. It runs your notebooks, and links to its report appear
  here the next time that you start `avnb lab`.
- This page is written anew at each start. Keep notes elsewhere."""


def write_start_page(folder: Path) -> Path:
    """Write the start page into the working copy.

    Args:
        folder: the working copy. The runs lie beside it, in `runs/`.

    Returns:
        The page, a notebook of Markdown cells, which JupyterLab shows rendered.
    """
    places = {
        series: folder.joinpath(*package.split("."))
        for series, package in list_series().items()
    }
    cells = [INTRODUCTION]
    for series in sorted(places, key=lambda name: (not _is_first(places[name]), name)):
        cells.append(_describe_series(folder, series, places[series]))
    page = v4.new_notebook()  # type: ignore[no-untyped-call]
    for number, text in enumerate(cells):
        cell = v4.new_markdown_cell(text, id=f"cell-{number:03}")  # type: ignore[no-untyped-call]
        # Otherwise a double click shows the source, and looks as if it could be kept.
        cell.metadata["editable"] = False
        page.cells.append(cell)
    written: str = nbformat.writes(page)  # type: ignore[no-untyped-call]
    files.write_bytes(folder / NAME, written.encode())
    return folder / NAME


def _describe_series(folder: Path, series: str, place: Path) -> str:
    """One series in Markdown: its subject, its steps, and its runs."""
    parts = [f"## {series}", _read_docstring(place / "__init__.py")]
    runs = sorted((folder.parent / "runs" / series).glob("*/"))
    reports = [
        f"[{run.name}]({_link(folder, run / 'report.html')})"
        for run in runs
        if (run / "report.html").is_file()
    ]
    parts.append(
        f"**Reports of your runs:** {' · '.join(reports)}"
        if reports
        else f"No run is here yet. `avnb run {series}` makes one."
    )
    notebooks = _list_notebooks(place)
    playing = any(path.stem.endswith("_play") for path in notebooks)
    if playing and find_reference(series) is not None:
        parts.append(f"**Play with trained networks:** `avnb play {series}`")
    beside = (place / "paper_map.md", place / "deviations.md")
    links = [f"[{p.name}]({_link(folder, p)})" for p in beside if p.is_file()]
    if links:
        parts.append(f"**About the paper:** {' · '.join(links)}")
    for path in notebooks:
        parts.append(_describe_step(folder, path, runs))
    return "\n\n".join(part for part in parts if part)


def _describe_step(folder: Path, notebook: Path, runs: list[Path]) -> str:
    """One step in Markdown: a link, what it teaches, its time, what it needs."""
    title, paragraphs = read_head(notebook)
    parts = [f"### [{title or notebook.stem}]({_link(folder, notebook)})", *paragraphs]
    executed = [
        f"[{run.name}]({_link(folder, run / 'notebooks' / notebook.name)})"
        for run in runs
        if (run / "notebooks" / notebook.name).is_file()
    ]
    if executed:
        parts.append(f"**Executed:** {' · '.join(executed)}")
    return "\n\n".join(parts)


def read_head(notebook: Path) -> tuple[str, list[str]]:
    """The title of a notebook, and what its first cell says of aims, time and needs.

    Args:
        notebook: its .ipynb half.

    Returns:
        The title, and the paragraphs from "You will learn" to the one about what the
        reader should know. Both are empty where the reader has damaged the notebook.
    """
    try:
        nb = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
        title, *paragraphs = re.split(r"\n\n+", nb.cells[0].source.strip())
    except (ValueError, AttributeError, IndexError):
        return "", []
    kept, listing = [], False
    for paragraph in paragraphs:
        begins = paragraph.startswith("**You will learn")
        # A list may follow the words "You will learn" as a paragraph of its own.
        if begins or listing or paragraph.startswith(KEPT):
            kept.append(paragraph)
        listing = paragraph == "**You will learn**"
    return title.removeprefix("# ") if title.startswith("# ") else "", kept


def _list_notebooks(place: Path) -> list[Path]:
    """The notebooks stepN_name.ipynb of a folder, in the order of N."""
    found = {
        path: re.fullmatch(r"step(\d+)_\w+", path.stem)
        for path in place.glob("*.ipynb")
    }
    numbers = {path: int(match[1]) for path, match in found.items() if match}
    # As numbers: as texts step10 would come before step2.
    return sorted(numbers, key=lambda path: numbers[path])


def _is_first(place: Path) -> bool:
    """Whether a series' module `series` says `FIRST = True`.

    The text is read: importing a series takes seconds, since most of them need PyTorch.
    """
    try:
        text = (place / "series.py").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return re.search(r"^FIRST = True\b", text, re.MULTILINE) is not None


def _read_docstring(path: Path) -> str:
    """The docstring of a module of the reader's, or nothing where it has none."""
    try:
        return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    except (OSError, ValueError, SyntaxError):
        return ""


def _link(folder: Path, path: Path) -> str:
    """A link from the start page, which JupyterLab opens in a tab of its own."""
    inside = path.is_relative_to(folder)
    relative = path.relative_to(folder if inside else folder.parent).as_posix()
    # A space or a bracket, as the name of a run may have, would end a Markdown link.
    return quote(relative if inside else f"../{relative}")
