"""Notebooks and their text halves: read, compare, write, copy at scale smoke.

python tools/notebook_tools.py sync    the .ipynb halves from the text halves
python tools/notebook_tools.py smoke   smoke copies to build/smoke; prints them
"""

import ast
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import v4
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from avnb.course.series import list_series, step_files
from avnb.course.steps import find_calls, find_table, read_step, walk_cells

ROOT = Path(__file__).resolve().parents[1]
SMOKE = ROOT / "build" / "smoke"
FIRST_CELL = """import importlib.util
import subprocess
import sys

if "google.colab" in sys.modules and not importlib.util.find_spec("avnb"):
    # Colab: install the course, once, in about two minutes. Colab's torch stays.
    source = "avnb @ git+https://github.com/avnb/avnb"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", source]
    subprocess.run(pip, check=True)"""
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
NO_HEADER = {
    "jupytext": {
        "notebook_metadata_filter": "-all",
        "cell_metadata_filter": "tags,-all",
    }
}
METADATA = {"kernelspec": KERNEL, "language_info": {"name": "python"}}


def steps() -> list[tuple[str, Path]]:
    """(series, text half) of every notebook, in order."""
    return [
        (series, path) for series in sorted(list_series()) for path in files(series)
    ]


def files(series: str) -> list[Path]:
    """The text halves of a series, in order."""
    return step_files(series)


def sync() -> None:
    """Write the .ipynb halves from the text halves, both formatted.

    Cells that show are comments in the text half, where ruff cannot format them: so
    they are formatted as a notebook, and the text half is written again from that.
    """
    for _, path in steps():
        notebook = jupytext.read(path)
        stamp_first_cell(notebook, FIRST_CELL)
        write_notebook(path.with_suffix(".ipynb"), notebook.cells)
    ruff("check", "--fix", "--silent", "--exit-zero")
    ruff("format", "--silent")
    for _, path in steps():
        formatted = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
        notebook = v4.new_notebook(cells=formatted.cells, metadata=NO_HEADER)
        path.write_text(jupytext.writes(notebook, fmt="py:percent"), encoding="utf-8")
    ruff("format", "--silent")


def write_notebook(path: Path, cells: list[Any]) -> None:
    """Write an .ipynb half that is the same whenever its cells are."""
    kept = v4.new_notebook(metadata=METADATA)
    for number, cell in enumerate(cells):
        make = {"code": v4.new_code_cell, "markdown": v4.new_markdown_cell}
        made = make[cell.cell_type](cell.source, id=f"cell-{number:03}")
        if tags(cell):
            made.metadata["tags"] = tags(cell)
        kept.cells.append(made)
    path.write_text(nbformat.writes(kept) + "\n", encoding="utf-8")


def ruff(*arguments: str) -> None:
    """Run ruff over all notebooks, both halves."""
    folder = str(ROOT / "notebooks")
    subprocess.run([sys.executable, "-m", "ruff", *arguments, folder], check=True)


def stamp_first_cell(notebook: Any, text: str) -> None:
    """Make `text` the first code cell.

    A first code cell with the one tag active-ipynb is an older first cell.
    """
    kinds = [cell.cell_type for cell in notebook.cells]
    first = kinds.index("code") if "code" in kinds else len(kinds)
    cell = v4.new_code_cell(text, metadata={"tags": ["active-ipynb"]})
    if first < len(kinds) and tags(notebook.cells[first]) == ["active-ipynb"]:
        notebook.cells[first] = cell
    else:
        notebook.cells.insert(first, cell)


def smoke() -> list[Path]:
    """Copies of all notebooks with their parameters at scale smoke, fresh, in order."""
    shutil.rmtree(SMOKE, ignore_errors=True)
    written = []
    for series, path in steps():
        folder = SMOKE / series
        if not folder.is_dir():
            caches = shutil.ignore_patterns("*.ipynb", "__pycache__", ".*")
            shutil.copytree(path.parent, folder, ignore=caches)
        notebook = load_notebook_node(str(path.with_suffix(".ipynb")))
        parameters = {"SCALE": "smoke", "RUN_DIR": str(folder / "run")}
        if read_step(path).records:
            notebook = parameterize_notebook(notebook, parameters)
        written.append(folder / f"{path.stem}.ipynb")
        nbformat.write(notebook, written[-1])
    return written


def tags(cell: Any) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", []))


def halves(path: Path) -> tuple[list[Any], list[Any]]:
    """The cells of the text half and of the .ipynb half: (kind, text, tags)."""
    text = jupytext.read(path)
    notebook = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    both = [
        [(cell.cell_type, cell.source, sorted(tags(cell))) for cell in nb.cells]
        for nb in (text, notebook)
    ]
    return both[0], both[1]


def is_imported(path: Path) -> bool:
    """Whether another file of the folder imports this one: a defining notebook."""
    others = [p for p in path.parent.glob("*.py") if p != path]
    return any(path.stem in imported(other) for other in others)


def imported(path: Path) -> set[str]:
    """The modules that a text half imports, its commented cells included."""
    cells = [c.source for c in jupytext.read(path).cells if c.cell_type == "code"]
    names = set()
    for node in walk_cells(cells):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module.rpartition(".")[2], *(a.name for a in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def unread_fields(cells: list[str]) -> set[str]:
    """Fields of the settings table that no cell reads: dead parameters."""
    nodes = walk_cells(cells)
    tables = find_calls(cells, "lesson.settings")
    texts = {ast.unparse(table) for table in tables}
    holders = {
        target.id
        for node in nodes
        if isinstance(node, ast.Assign) and ast.unparse(node.value) in texts
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    read = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in holders
    }
    return set(find_table(cells)) - read


if __name__ == "__main__":
    if sys.argv[1:] == ["sync"]:
        sync()
    elif sys.argv[1:] == ["smoke"]:
        print(*smoke(), sep="\n")
    else:
        sys.exit(__doc__)
