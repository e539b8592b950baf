"""Read, compare and write the notebooks and their text halves.

python tools/notebook_tools.py sync      write the .ipynb halves from the text halves;
                                         with --force also those that were changed
python tools/notebook_tools.py defining  print the notebooks that run on their own
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import v4

from avnb.course.commands import REPOSITORY, REQUIREMENT
from avnb.course.series import list_series, load_series, series_folder, step_files
from avnb.course.speed import tabulate_minutes
from avnb.course.steps import find_calls, find_table, read_step, walk_cells

ROOT = Path(__file__).resolve().parents[1]
FIRST_CELL = f"""import importlib.util
import subprocess
import sys

if "google.colab" in sys.modules and not importlib.util.find_spec("avnb"):
    # Colab lacks the course. Its own torch is kept, so that no restart is needed.
    print("Installing avnb takes about two minutes ...")
    source = "{REQUIREMENT}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", source], check=True)
    importlib.invalidate_caches()"""
# The first code cell of a notebook that takes parameters. papermill shows the comments
# behind the values (`papermill --help-notebook`).
PARAMETERS_CELL = """\
SCALE = "laptop"  # how large everything is: one of the scales below
DATA = ""  # {data}
SEED = 0  # of every random number: a whole number; each seed has a run of its own
RUN_DIR = ""  # "" is the usual folder of this run, below runs/{series}/
OVERRIDES = {{}}  # {{"field": value}} of the table of settings below: your own values
# scale      for                                       the whole series took
{minutes}
# `avnb check` measures the GFLOP/s of your machine, and says how long it will take."""
NO_DATA = 'leave it "": this series draws what it needs'
OWN_DATA = '"" is the embedded data; or a folder of clips, see `avnb prepare --help`'
# The whole series in one notebook: in Colab each notebook has a machine of its own, on
# which a later step never finds what an earlier one made.
COLAB = {
    "about": """# `{series}`: the whole series in Colab

{badge}

In Colab each notebook runs on a machine of its own, so a later step does not find what
an earlier one has made. This notebook runs all steps of `{series}` in order on one
machine, and opens the report at the end. Choose a GPU first: *Runtime*, then *Change
runtime type*.

The machine and its files are deleted when you close it or leave it idle. With
`DRIVE = True` runs and data lie on your Google Drive instead. If you run this notebook
again, it goes on where it stopped, and it repeats nothing that is done.""",
    "parameters": """SCALE = "gpu"  # laptop: no GPU is needed; paper: days
SEED = 0
DRIVE = False  # True: keep runs and data on your Google Drive""",
    "run": """import os

if DRIVE:
    from google.colab import drive

    drive.mount("/content/drive")
    os.environ["AVNB_HOME"] = "/content/drive/MyDrive/avnb"

from avnb.course import runner

folder = runner.run_series("{series}", scale=SCALE, seed=SEED)""",
    "report": """from IPython.display import HTML, display

display(HTML((folder / "report.html").read_text(encoding="utf-8")))""",
    "files": """The executed notebooks lie in the folder `notebooks` of the run, the
numbers in `results.json`, and the trained networks in `models`. The next cell prints
where. Colab's file browser, on the left, opens and downloads them.""",
    "where": """print(folder)""",
}
BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
OLD_BADGES = re.compile(r"\n*\[!\[Open\s+in\s+Colab\]\([^)]*\)\]\([^)]*\)")
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


def sync(force: bool = False) -> None:
    """Write the .ipynb halves from the text halves, both formatted.

    An .ipynb half that somebody changed after its text half is not overwritten, unless
    that is forced. Where there is one, it is named, and nothing is written.

    Cells that show are comments in the text half, where ruff cannot format them: so
    they are formatted as a notebook, and the text half is written again from that.
    """
    if not force and (changed := changed_notebooks(path for _, path in steps())):
        names = "\n".join(f"  {path}" for path in changed)
        sys.exit(
            "These notebooks were changed after their text halves, and would be "
            f"overwritten:\n{names}\n"
            "Put the changes into the text halves, which are the source "
            "(jupytext --to py:percent NOTEBOOK), or lose them by "
            "`make notebooks FORCE=--force`. To work on the notebooks without such "
            "questions, use the copy that `make lab` opens."
        )
    for series, path in steps():
        notebook = jupytext.read(path)
        stamp_badge(notebook, path)
        # Whether it takes parameters is its author's decision; what they say is not.
        takes = any("parameters" in tags(cell) for cell in notebook.cells)
        stamp_first_cells(notebook, parameters_cell(series) if takes else "")
        write_notebook(path.with_suffix(".ipynb"), notebook.cells)
    ruff("check", "--fix", "--silent", "--exit-zero")
    for series in list_series():
        write_notebook(series_folder(series) / "colab.ipynb", colab_cells(series))
    ruff("format", "--silent")
    for _, path in steps():
        formatted = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
        notebook = v4.new_notebook(cells=formatted.cells, metadata=NO_HEADER)
        path.write_text(jupytext.writes(notebook, fmt="py:percent"), encoding="utf-8")
    ruff("format", "--silent")


def colab_cells(series: str) -> list[Any]:
    """The cells of colab.ipynb, which runs a whole series in one notebook."""
    page = badge(series_folder(series) / "colab.ipynb")
    text = {name: part.replace("{series}", series) for name, part in COLAB.items()}
    parameters = v4.new_code_cell(text["parameters"], metadata={"tags": ["parameters"]})
    return [
        v4.new_markdown_cell(text["about"].replace("{badge}", page)),
        parameters,
        v4.new_code_cell(FIRST_CELL),
        v4.new_code_cell(text["run"]),
        v4.new_code_cell(text["report"]),
        v4.new_markdown_cell(text["files"]),
        v4.new_code_cell(text["where"]),
    ]


def changed_notebooks(paths: Iterable[Path]) -> list[Path]:
    """The .ipynb halves that are newer than their text half and have other cells.

    Args:
        paths: the text halves.
    """
    found = []
    for path in paths:
        notebook = path.with_suffix(".ipynb")
        if not notebook.is_file():
            continue
        # Comparing the cells takes a tenth of a second, comparing the times nothing.
        newer = notebook.stat().st_mtime_ns > path.stat().st_mtime_ns
        if newer and not equal_halves(path):
            found.append(notebook)
    return found


def equal_halves(path: Path) -> bool:
    """Whether both halves hold the same cells; a damaged .ipynb half holds others."""
    try:
        text, notebook = halves(path)
    except (ValueError, AttributeError):
        return False
    return text == notebook


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


def badge(path: Path) -> str:
    """The line that opens a notebook in Colab."""
    target = path.resolve().with_suffix(".ipynb").relative_to(ROOT).as_posix()
    page = f"https://colab.research.google.com/github/{REPOSITORY}/blob/main/{target}"
    return f"{BADGE}({page})"


def stamp_badge(notebook: Any, path: Path) -> None:
    """Put the badge under the title, in place of an older one."""
    first = notebook.cells[0]
    title, *rest = first.source.splitlines()
    if first.cell_type != "markdown" or not title.startswith("# "):
        raise ValueError(f"{path}: its first cell must begin with a title, `# ...`")
    # An older one may have been wrapped: its words may stand on two lines.
    text = OLD_BADGES.sub("", "\n".join(rest)).strip("\n")
    first.source = "\n\n".join(filter(None, [title, badge(path), text]))


def parameters_cell(series: str) -> str:
    """The parameters of a notebook, each with what may be changed, and the minutes."""
    wants_data = hasattr(load_series(series), "WANTED")
    return PARAMETERS_CELL.format(
        data=OWN_DATA if wants_data else NO_DATA,
        series=series,
        minutes="\n".join(f"# {line}" for line in tabulate_minutes(series)),
    )


def stamp_first_cells(notebook: Any, parameters: str) -> None:
    """Make the parameters the first code cell, and Colab's cell the one behind it.

    Where there are no parameters (""), Colab's cell is the first. A cell with the one
    tag active-ipynb in its place is an older cell for Colab.
    """
    cells = [cell for cell in notebook.cells if "parameters" not in tags(cell)]
    kinds = [cell.cell_type for cell in cells]
    first = kinds.index("code") if "code" in kinds else len(kinds)
    if first < len(kinds) and tags(cells[first]) == ["active-ipynb"]:
        del cells[first]
    stamped = [v4.new_code_cell(FIRST_CELL, metadata={"tags": ["active-ipynb"]})]
    if parameters:
        metadata = {"tags": ["parameters"]}
        stamped.insert(0, v4.new_code_cell(parameters, metadata=metadata))
    notebook.cells = [*cells[:first], *stamped, *cells[first:]]


def defining() -> list[Path]:
    """The notebooks that take no parameters and leave no results, in order.

    They only define and show, so they can be executed where they lie. The others are
    the steps of a run, and `avnb run` executes those.
    """
    paths = [path for _, path in steps() if not read_step(path).records]
    return [path.with_suffix(".ipynb").relative_to(ROOT) for path in paths]


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


@cache  # each text half is asked about by all others of its folder
def imported(path: Path) -> frozenset[str]:
    """The modules that a text half imports, its commented cells included."""
    cells = [c.source for c in jupytext.read(path).cells if c.cell_type == "code"]
    names = set()
    for node in walk_cells(cells):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module.rpartition(".")[2], *(a.name for a in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return frozenset(names)


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
    if sys.argv[1:] in (["sync"], ["sync", "--force"]):
        sync(force="--force" in sys.argv)
    elif sys.argv[1:] == ["defining"]:
        print(*defining(), sep="\n")
    else:
        sys.exit(__doc__)
