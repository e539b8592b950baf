"""The notebooks keep the rules of the course; test_whole_series.py executes them."""

import ast
import importlib
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import notebook_tools as tools
import papermill
import pytest
import torch
from nbformat import v4

from avnb import course
from avnb.course.exercises import find_mistake, is_untouched
from avnb.course.lesson import PARAMETERS
from avnb.course.reference import load_reference
from avnb.course.series import list_series, load_series, series_folder
from avnb.course.steps import find_calls, read_step, walk_cells

STEPS = [pytest.param(*step, id=step[1].stem) for step in tools.steps()]
ROOT = Path(__file__).resolve().parents[2]
SERIES = sorted(list_series())
each_step = pytest.mark.parametrize(("series", "path"), STEPS)
each_series = pytest.mark.parametrize("series", SERIES)


@cache  # ten tests read each notebook, and the maps name each of them many times
def notebook(path: Path) -> Any:
    return nbformat.read(path.with_suffix(".ipynb"), as_version=4)


@cache
def code(path: Path) -> tuple[str, ...]:
    cells = notebook(path).cells
    return tuple(cell.source for cell in cells if cell.cell_type == "code")


@each_step
def test_both_halves_are_the_same(series: str, path: Path) -> None:
    text, ipynb = tools.halves(path)
    assert text == ipynb, f"{path.stem}: make notebooks"


@each_step
def test_no_output_is_committed(series: str, path: Path) -> None:
    for cell in notebook(path).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@each_step
def test_no_sentence_becomes_a_list(series: str, path: Path) -> None:
    """A line that begins with "1." begins a list, also in the middle of a sentence."""
    for cell in notebook(path).cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"^[^\s\d|>#-].*\n[01][.)] ", cell.source, re.M)


@each_step
def test_parameters_stand_first_and_colab_second(series: str, path: Path) -> None:
    cells = [cell for cell in notebook(path).cells if cell.cell_type == "code"]
    if read_step(path).records:
        first = cells.pop(0)
        assert first.source == tools.parameters_cell(series), "make notebooks"
        assert tools.tags(first) == ["parameters"]
    assert cells[0].source == tools.FIRST_CELL, "make notebooks"
    assert tools.tags(cells[0]) == ["active-ipynb"]
    assert sum("google.colab" in cell.source for cell in cells) == 1


@each_series
def test_something_is_seen_or_heard_before_the_data_are_made(series: str) -> None:
    """To draw and prepare the embedded data takes minutes: `lesson.data` does it."""
    first = next(step.values[1] for step in STEPS if step.values[0] == series)
    text = "\n".join(code(first))
    made = text.find("lesson.data")
    assert 0 <= text.find("lesson.figure(") < (made if made > 0 else len(text))


@each_series
def test_the_parameters_say_what_may_be_changed(series: str, tmp_path: Path) -> None:
    lines = tools.parameters_cell(series).splitlines()
    assert max(map(len, lines)) <= 88
    for name, line in zip(PARAMETERS, lines, strict=False):
        assert re.fullmatch(rf"{name} = \S+  # .{{20,}}", line), line
    for scale in course.SCALES:
        (line,) = (line for line in lines if line.startswith(f"# {scale} "))
        measured = getattr(load_series(series), "MINUTES", {}).get(scale)
        told = re.search(r" ([\d.]+) min at ([\d.]+) GFLOP/s$", line)
        assert (told and tuple(map(float, told.groups()))) == measured
        long = scale == "reference" and load_reference(series) is not None
        words = r"at least [\d.]+ (hours|minutes)" if long else "not measured yet"
        assert told or re.search(rf"  {words}$", line), line
    # papermill reads the same lines, and shows them to who asks it for help.
    written = tmp_path / "step.ipynb"
    cell = v4.new_code_cell("\n".join(lines), metadata={"tags": ["parameters"]})
    nbformat.write(v4.new_notebook(cells=[cell], metadata=tools.METADATA), written)
    shown = papermill.inspect_notebook(str(written))
    assert {name: one["help"] for name, one in shown.items()} == {
        name: line.partition("  # ")[2]
        for name, line in zip(PARAMETERS, lines, strict=False)
    }


def test_the_first_cells_are_put_in_once_and_renewed() -> None:
    shown = {"tags": ["active-ipynb"]}
    old = v4.new_notebook(
        cells=[
            v4.new_markdown_cell("# Step 1"),
            v4.new_code_cell("import google.colab", metadata=shown),
            v4.new_code_cell("import torch"),
            v4.new_code_cell("SCALE = 'x'", metadata={"tags": ["parameters"]}),
            v4.new_code_cell("print(SCALE)", metadata=shown),
        ]
    )
    for _ in range(2):
        tools.stamp_first_cells(old, "SEED = 0")
        assert [cell.source for cell in old.cells] == [
            "# Step 1",
            "SEED = 0",
            tools.FIRST_CELL,
            "import torch",
            "print(SCALE)",
        ]
    bare = v4.new_notebook(cells=[v4.new_markdown_cell("# Step 2")])
    for _ in range(2):
        tools.stamp_first_cells(bare, "")
        assert [c.source for c in bare.cells] == ["# Step 2", tools.FIRST_CELL]


@each_step
def test_the_title_is_followed_by_the_badge_of_colab(series: str, path: Path) -> None:
    first = notebook(path).cells[0]
    assert first.cell_type == "markdown"
    title, empty, badge, *_ = first.source.splitlines()
    assert title.startswith("# ")
    assert (empty, badge) == ("", tools.badge(path)), "make notebooks"
    page = re.fullmatch(
        r".*\]\(https://[^/]+/github/[^/]+/[^/]+/blob/main/(.+)\)", badge
    )
    assert page, badge
    assert (ROOT / page[1]).samefile(path.with_suffix(".ipynb"))
    assert first.source.count("colab-badge") == 1, "make notebooks"


@each_series
def test_the_notebook_for_colab_is_up_to_date(series: str) -> None:
    path = series_folder(series) / "colab.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    kept = [(cell.cell_type, cell.source) for cell in cells]
    made = [(cell.cell_type, cell.source) for cell in tools.colab_cells(series)]
    assert kept == made, "make notebooks"


def test_the_badge_is_put_in_once_and_renewed() -> None:
    path = tools.steps()[0][1]
    book = v4.new_notebook(cells=[v4.new_markdown_cell("# Step 1\n\nWhat it is.")])
    tools.stamp_badge(book, path)
    once = book.cells[0].source
    assert once == f"# Step 1\n\n{tools.badge(path)}\n\nWhat it is."
    tools.stamp_badge(book, path)
    assert book.cells[0].source == once
    book.cells[0].source = once.replace("/blob/main/", "/blob/old/")
    tools.stamp_badge(book, path)
    assert book.cells[0].source == once
    wrapped = tools.badge(path).replace("Open in Colab", "Open in\nColab")
    book.cells[0].source = once.replace(
        "\n\nWhat", f"\n\n{wrapped}\n\n{wrapped}\n\nWhat"
    )
    tools.stamp_badge(book, path)
    assert book.cells[0].source == once
    alone = v4.new_notebook(cells=[v4.new_markdown_cell("# Step 1")])
    tools.stamp_badge(alone, path)
    assert alone.cells[0].source == f"# Step 1\n\n{tools.badge(path)}"
    with pytest.raises(ValueError, match="must begin with a title"):
        tools.stamp_badge(v4.new_notebook(cells=[v4.new_markdown_cell("Hello")]), path)


@each_step
def test_the_parameters_are_the_five(series: str, path: Path) -> None:
    cells = [c for c in notebook(path).cells if "parameters" in tools.tags(c)]
    assert len(cells) == read_step(path).records
    if not cells:
        return
    given = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(cells[0].source).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert tuple(given) == PARAMETERS
    assert list(given.values()) == ["laptop", "", 0, "", {}]


@each_step
def test_a_lesson_starts_as_itself_and_finishes(series: str, path: Path) -> None:
    calls = find_calls(code(path), "course.start")
    assert len(calls) <= 1
    for call in calls:
        assert [ast.literal_eval(a) for a in call.args] == [series, path.stem]
        given = {k.arg: ast.unparse(k.value) for k in call.keywords}
        assert given == {name.lower(): name for name in PARAMETERS}
        assert "lesson.finish()" in code(path)[-1]


@each_step
def test_cells_and_lines_and_classes_are_short(series: str, path: Path) -> None:
    for cell in code(path):
        lines = cell.splitlines()
        assert len(lines) <= 25, f"{len(lines)} lines in the cell\n{cell}"
        assert max(map(len, lines), default=0) <= 88, cell
    for node in walk_cells(code(path)):
        if isinstance(node, ast.ClassDef):
            assert (node.end_lineno or 0) - node.lineno < 50, node.name


# What a function of `avnb.viz.show` gives back, a notebook shows only as a cell's end.
GIVEN_BACK = {"image_grid", "film_strip", "spectrograms", "waveforms", "curves"}
GIVEN_BACK |= {"confusion", "bars", "diagram", "feature_maps", "listen", "cards"}
GIVEN_BACK |= {"video", "table"}


def find_lost_pictures(source: str) -> list[str]:
    """The calls whose picture nobody sees: statements that are not the cell's last."""
    body = ast.parse(source).body
    inner = (node for one in body for node in ast.walk(one) if node is not one)
    return [
        node.value.func.attr
        for node in (*body[:-1], *inner)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and ast.unparse(node.value.func.value) == "show"
        and node.value.func.attr in GIVEN_BACK
    ]


@each_step
def test_no_picture_is_drawn_that_nobody_sees(series: str, path: Path) -> None:
    assert not [lost for source in code(path) for lost in find_lost_pictures(source)]


def test_the_guard_finds_a_picture_that_nobody_sees() -> None:
    assert find_lost_pictures("show.curves(a)\nassert b") == ["curves"]
    assert find_lost_pictures("for a in b:\n    show.table(a)") == ["table"]
    assert not find_lost_pictures("b = show.curves(a)\nshow.table(c)")


@each_step
def test_every_setting_is_read(series: str, path: Path) -> None:
    dead = tools.unread_fields(code(path))
    assert not dead, f"{path.stem} never reads {', '.join(sorted(dead))}"


def test_the_guard_finds_a_dead_parameter() -> None:
    cells = [
        "s = lesson.settings(dict(a=(1,) * 4, b=(2, 2, 2, 2)))",
        "print(s.a, other.b)",
    ]
    assert tools.unread_fields(cells) == {"b"}


# --- Defining notebooks are modules --------------------------------------------

DEFINING = [step for step in tools.steps() if tools.is_imported(step[1])]
PLAIN = (
    ast.Import,
    ast.ImportFrom,
    ast.ClassDef,
    ast.FunctionDef,
)


def not_a_definition(node: ast.stmt) -> bool:
    if isinstance(node, PLAIN):
        return False
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        return any(isinstance(inner, ast.Call) for inner in ast.walk(node.value))
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return not is_text


@pytest.mark.parametrize(("series", "path"), DEFINING)
def test_a_defining_notebook_only_defines(series: str, path: Path) -> None:
    found = [n for n in ast.parse(path.read_text()).body if not_a_definition(n)]
    assert not found, f"{path}:{found[0].lineno}: {ast.unparse(found[0])[:80]}"


@pytest.mark.slow
@each_series
def test_importing_is_silent_and_offline(series: str) -> None:
    names = [path.stem for one, path in DEFINING if one == series]
    script = (
        "import socket, builtins\n"
        "def refuse(*a, **k): raise RuntimeError('no network, no files')\n"
        "socket.socket.connect = refuse\n"
        "import torch, avnb.course, avnb.training, avnb.viz.show, avnb.metrics\n"
        "real = builtins.open\n"
        "def reading(file, mode='r', *a, **k):\n"
        "    return real(file, mode, *a, **k) if 'r' in mode else refuse()\n"
        "builtins.open = reading\n"
        + "".join(f"import avnb_notebooks.{series}.{name}\n" for name in names)
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=series_folder(series),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@each_step
def test_what_is_kept_under_a_caption_is_shown_under_it(
    series: str, path: Path
) -> None:
    """`lesson.table` keeps and shows at once; nothing shows a kept table bare."""
    for cell in code(path):
        shown = {
            ast.unparse(call.args[0]): len(call.args) + len(call.keywords)
            for call in find_calls([cell], "show.table")
        }
        for call in find_calls([cell], "lesson.record"):
            if len(call.args) > 2 or "caption" in {k.arg for k in call.keywords}:
                assert shown.get(ast.unparse(call.args[1]), 2) > 1, ast.unparse(call)


# --- The paper map -------------------------------------------------------------


def where_column(text: str) -> list[str]:
    """The entries of the column `where` of the tables of a Markdown text."""
    entries, column = [], None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.lstrip().startswith("|"):
            column = None
        elif "where" in cells:
            column = cells.index("where")
        elif column is not None and not set(line) <= set("|-: "):
            entries.append(cells[column])
    return entries


def has_symbol(path: Path, dotted: str) -> bool:
    """Whether a Python text defines a name (or Class.name) at its top."""
    body = parse(path)
    for name in dotted.split("."):
        found = [node for node in body if name in defined(node)]
        if not found:
            return False
        body = getattr(found[0], "body", [])
    return True


@cache
def parse(path: Path) -> list[ast.stmt]:
    """The statements of a notebook's code cells, or of a module."""
    is_notebook = path.with_suffix(".ipynb").is_file()
    texts = code(path) if is_notebook else (path.read_text(),)
    return [statement for text in texts for statement in ast.parse(text).body]


def defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return {node.name}
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return {target.id for target in targets if isinstance(target, ast.Name)}


def exists(folder: Path, target: str) -> bool:
    """`step:symbol`, `step#cell-tag`, `avnb.module:symbol`."""
    module, mark, name = re.fullmatch(r"([\w.]+)([:#])([\w.-]+)", target).groups()
    path = folder / f"{module}.py"
    if module.startswith(("avnb", "data_scripts")):
        path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        if not path.is_file():
            path = path.with_suffix("") / "__init__.py"
    if not path.is_file():
        return False
    if mark == "#":
        return any(name in tools.tags(cell) for cell in notebook(path).cells)
    return has_symbol(path, name)


@each_series
def test_the_paper_map_leads_somewhere(series: str) -> None:
    folder = series_folder(series)
    entries = where_column((folder / "paper_map.md").read_text())
    assert len(entries) > 5
    for entry in entries:
        targets = re.findall(r"`([^`]+)`", entry)
        assert targets or entry.startswith("not here: "), entry
        missing = [target for target in targets if not exists(folder, target)]
        assert not missing, f"paper_map.md: {missing} of {entry!r}"


@each_series
@pytest.mark.parametrize("name", ["paper_map.md", "deviations.md"])
def test_no_row_of_a_map_stands_without_its_header(series: str, name: str) -> None:
    text = (series_folder(series) / name).read_text()
    for table in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        assert set(table.splitlines()[1]) <= set("|-: "), table


def test_the_map_reader_can_tell(tmp_path: Path) -> None:
    assert where_column("| a | where |\n|---|---|\n| 1 | `x:y` |\n\n| b |\n| 2 |") == [
        "`x:y`"
    ]
    (tmp_path / "x.py").write_text("class A:\n    def f(self): ...\n\nN = 3\n")
    assert exists(tmp_path, "x:A.f")
    assert exists(tmp_path, "x:N")
    assert not exists(tmp_path, "x:A.g")
    assert not exists(tmp_path, "y:A")
    assert exists(tmp_path, "avnb.course.lesson:Lesson.record")


# --- Exercises -----------------------------------------------------------------


def exercises(series: str) -> ModuleType:
    return importlib.import_module(f"avnb_notebooks.{series}.exercises")


def tried(path: Path) -> dict[str, str]:
    """Exercise's name -> the reader's function, of a notebook's try_exercise calls."""
    return {
        ast.unparse(call.args[0]).split(".")[-1]: ast.unparse(call.args[1])
        for call in find_calls(code(path), "course.try_exercise")
    }


def build(node: ast.stmt) -> Any:
    """Run the definition of a function or class, and return what it defines."""
    space = {"nn": torch.nn, "torch": torch}
    exec(f"from __future__ import annotations\n{ast.unparse(node)}", space)
    return space[node.name]  # type: ignore[attr-defined]


@each_step
def test_two_exercises_with_empty_stubs(series: str, path: Path) -> None:
    asked = tried(path)
    assert len(asked) >= 2
    defined = {
        node.name: node
        for node in walk_cells(code(path))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    for name, stub in asked.items():
        assert isinstance(getattr(exercises(series), name), course.Exercise)
        assert is_untouched(build(defined[stub])), stub


@each_series
def test_solutions_pass_and_empty_answers_fail(series: str) -> None:
    module = exercises(series)
    found = {k: v for k, v in vars(module).items() if isinstance(v, course.Exercise)}
    asked = {name for path in tools.files(series) for name in tried(path)}
    assert set(found) == asked
    for name, exercise in found.items():
        assert find_mistake(exercise, exercise.solution) is None, name
        assert find_mistake(exercise, lambda *a, **k: None), name
        assert exercise.hints, name
