"""The notebooks of a series, read without running them: cells, tables, overrides."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avnb.course.fingerprint import parse_cells
from avnb.course.settings import parse_value
from avnb.errors import LessonError


@dataclass(frozen=True)
class SeriesStep:
    """One notebook of a series.

    Args:
        number: N of stepN_name.
        name: stepN_name.
        notebook: its .ipynb half.
        cells: the texts of its code cells.
        table: its table of hyper-parameters: field -> its values at `SCALES`, or ()
            where the row is not made of literals.
        records: False for a notebook that calls no `course.start`: it takes no
            parameters and leaves no results.
    """

    number: int
    name: str
    notebook: Path
    cells: tuple[str, ...]
    table: Mapping[str, tuple[Any, ...]]
    records: bool = True


def read_step(path: Path) -> SeriesStep:
    """Read a notebook's source; `path` is its text half stepN_name.py.

    Raises:
        LessonError: the .ipynb half is missing.
    """
    notebook = path.with_suffix(".ipynb")
    if not notebook.is_file():
        raise LessonError(
            notebook,
            "it is missing",
            "Write it from the text half with `make notebooks`, or install avnb again",
        )
    cells = read_code_cells(notebook)
    number = int(path.stem.split("_")[0].removeprefix("step"))
    # A defining notebook shows a model; it takes no parameters.
    records = bool(find_calls(cells, "course.start"))
    return SeriesStep(number, path.stem, notebook, cells, find_table(cells), records)


def read_code_cells(notebook: Path) -> tuple[str, ...]:
    """The texts of the code cells of an .ipynb file.

    Raises:
        LessonError: the file is damaged.
    """
    # Every kernel and every command reads the notebooks of its series. To import
    # nbformat takes as long as all else that they import, so plain JSON is read here.
    try:
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        # The text of a cell is a list of lines, or one text.
        return tuple(
            "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"
        )
    except (ValueError, KeyError, TypeError) as error:
        raise LessonError(
            notebook,
            f"it is no notebook that can be read: {error!r}",
            "Write it from the text half with `make notebooks`, or install avnb again",
        ) from error


def find_table(cells: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """The fields of the `lesson.settings(dict(…))` table, read without running."""
    # The table is read from the source, since running a notebook only to learn its
    # fields would take minutes.
    for call in find_calls(cells, "lesson.settings"):
        # Only a table that is written as `dict(field=row, …)` can be read.
        if len(call.args) == 1 and isinstance(call.args[0], ast.Call):
            rows = call.args[0].keywords
            return {row.arg: _read_row(row.value) for row in rows if row.arg}
    return {}


def find_calls(cells: Sequence[str], function: str) -> list[ast.Call]:
    """The calls of a function, written as it is called: "course.start"."""
    calls = [node for node in walk_cells(cells) if isinstance(node, ast.Call)]
    # By the text of the call: all notebooks call their lesson `lesson`. Writing the
    # text takes long, so the last name is compared first.
    last = function.rpartition(".")[2]
    return [
        call
        for call in calls
        if last in (getattr(call.func, "attr", ""), getattr(call.func, "id", ""))
        and ast.unparse(call.func) == function
    ]


def walk_cells(cells: Sequence[str]) -> list[ast.AST]:
    """All syntax nodes of those cells that are plain Python."""
    return [node for tree in parse_cells(cells) for node in ast.walk(tree)]


def _read_row(node: ast.expr) -> tuple[Any, ...]:
    """A row of the table, or () where it is computed: it cannot be read then."""
    try:
        row = ast.literal_eval(node)
    except ValueError:
        return ()
    return row if isinstance(row, tuple) else ()


def split_field(name: str) -> tuple[int | None, str]:
    """The step's number and the field of "step7.steps"; None for a field alone."""
    # The step's whole name will do as well: "step7_train.steps".
    match = re.fullmatch(r"step(\d+)(?:_\w+)?\.(\w+)", name)
    return (int(match[1]), match[2]) if match else (None, name)


def find_reached(steps: Sequence[SeriesStep], name: str) -> list[SeriesStep]:
    """The steps whose field an override changes; see `share_overrides`."""
    number, field = split_field(name)
    return [
        step for step in steps if field in step.table and number in (None, step.number)
    ]


def share_overrides(
    steps: Sequence[SeriesStep], overrides: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Which overrides each step gets: step name -> {field: value}.

    Args:
        steps: the steps of a series.
        overrides: field -> value, or text as the command line gives it. "steps" is the
            field of every step that has it; "step7.steps" is that of step 7 alone, and
            comes before the other.

    Returns:
        The values as the types of their fields, for the steps that have the field.

    Raises:
        LessonError: a field that no step has (lists all), or a value of a wrong type.
    """
    unknown = [name for name in overrides if not find_reached(steps, name)]
    if unknown:
        fields = "\n".join(
            f"  {step.name}: {', '.join(step.table) or '(none)'}" for step in steps
        )
        raise LessonError(
            f"field {', '.join(map(repr, unknown))}",
            "no step has such a field",
            f"The fields are\n{fields}",
        )
    shared: dict[str, dict[str, Any]] = {step.name: {} for step in steps}
    # Those of one step last, so that they replace those of all steps.
    for name in sorted(overrides, key=lambda name: split_field(name)[0] is not None):
        field = split_field(name)[1]
        for step in find_reached(steps, name):
            value = overrides[name]
            # A row that could not be read is checked by the notebook itself.
            if step.table[field]:
                value = parse_value(field, value, step.table[field])
            shared[step.name][field] = value
    return shared


def choose_steps(
    steps: Sequence[SeriesStep], numbers: Sequence[int]
) -> list[SeriesStep]:
    """The steps with these numbers; all where no number is given.

    Raises:
        LessonError: there is no step of a number; it lists the right ones.
    """
    known = {step.number: step for step in steps}
    wrong = [number for number in numbers if number not in known]
    if wrong:
        names = ", ".join(f"{step.number} ({step.name})" for step in steps)
        raise LessonError(
            f"step {', '.join(map(str, wrong))}",
            "there is no such step",
            f"Give one of: {names}",
        )
    # In the order of the series, whatever the order of the numbers
    return [step for step in steps if not numbers or step.number in numbers]


def split_pair(text: str) -> tuple[str, str]:
    """The field and the value of `field=value`.

    Raises:
        LessonError: the text is not of that form.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise LessonError(f"--set {text}", "no value is given", "Give field=value")
    return name, value
