"""The notebooks of a series, read without running them: cells, tables, overrides."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from avnb.course.fingerprint import parse_cells
from avnb.course.settings import parse_value
from avnb.errors import LessonError


@dataclass(frozen=True)
class SeriesStep:
    """One notebook of a series.

    `table` is its table of hyper-parameters: field -> (smoke, laptop, gpu, paper), or
    () where the row is not made of literals. `records` is False for a notebook that
    calls no `course.start`: it takes no parameters and leaves no results.
    """

    number: int
    name: str
    notebook: Path
    cells: tuple[str, ...]
    table: Mapping[str, tuple]
    records: bool = True


def read_step(path: Path) -> SeriesStep:
    """Read a notebook's source; `path` is its text half stepN_name.py."""
    notebook = path.with_suffix(".ipynb")
    if not notebook.is_file():
        raise LessonError(notebook, "it is missing", "Write it anew: make notebooks")
    cells = read_code_cells(notebook)
    number = int(path.stem.split("_")[0].removeprefix("step"))
    records = bool(find_calls(cells, "course.start"))
    return SeriesStep(number, path.stem, notebook, cells, find_table(cells), records)


def read_code_cells(notebook: Path) -> tuple[str, ...]:
    """The code cells' texts of an .ipynb file."""
    nb = nbformat.read(notebook, as_version=4)
    return tuple(cell.source for cell in nb.cells if cell.cell_type == "code")


def find_table(cells: Sequence[str]) -> dict[str, tuple]:
    """The fields of the `lesson.settings(dict(…))` table, read without running."""
    for call in find_calls(cells, "lesson.settings"):
        if len(call.args) == 1 and isinstance(call.args[0], ast.Call):
            rows = call.args[0].keywords
            return {row.arg: _literal_row(row.value) for row in rows if row.arg}
    return {}


def find_calls(cells: Sequence[str], function: str) -> list[ast.Call]:
    """The calls of a function, written as it is called: "course.start"."""
    return [
        node
        for node in walk_cells(cells)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == function
    ]


def walk_cells(cells: Sequence[str]) -> list[ast.AST]:
    """All syntax nodes of those cells that are plain Python."""
    return [node for tree in parse_cells(cells) for node in ast.walk(tree)]


def _literal_row(node: ast.expr) -> tuple:
    try:
        row = ast.literal_eval(node)
    except ValueError:
        return ()
    return row if isinstance(row, tuple) else ()


def share_overrides(
    steps: Sequence[SeriesStep], overrides: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Which overrides each step gets: step name -> {field: value}.

    Raises:
        LessonError: a field that no step has (lists all), or a value of a wrong type.
    """
    unknown = [name for name in overrides if not any(name in s.table for s in steps)]
    if unknown:
        fields = "\n".join(
            f"  {step.name}: {', '.join(step.table) or '(none)'}" for step in steps
        )
        raise LessonError(
            f"no field {', '.join(map(repr, unknown))}; the fields are\n{fields}"
        )
    shared: dict[str, dict[str, Any]] = {}
    for step in steps:
        mine = {name: value for name, value in overrides.items() if name in step.table}
        for name, value in mine.items():
            if step.table[name]:
                mine[name] = parse_value(name, value, step.table[name])
        shared[step.name] = mine
    return shared


def choose_steps(
    steps: Sequence[SeriesStep], numbers: Sequence[int]
) -> list[SeriesStep]:
    """The steps with these numbers, all if none; an error lists the right ones."""
    known = {step.number: step for step in steps}
    wrong = [number for number in numbers if number not in known]
    if wrong:
        names = ", ".join(f"{step.number} ({step.name})" for step in steps)
        raise LessonError(f"no step {', '.join(map(str, wrong))}; there is: {names}")
    return [step for step in steps if not numbers or step.number in numbers]
