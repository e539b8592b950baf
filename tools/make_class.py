"""Write what a class needs: exercise notebooks for nbgrader, and exercise sheets.

python tools/make_class.py FOLDER

FOLDER/source/SERIES-stepN/stepN.ipynb    for the instructor: with the solutions. This
                                          is the layout that nbgrader reads.
FOLDER/release/SERIES-stepN/stepN.ipynb   for the students: the same without them
FOLDER/sheets/SERIES.html                 the exercises of a series, to print
FOLDER/sheets/SERIES_solutions.html       the same with solutions
"""

import argparse
import ast
import html
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import jupytext
from nbformat import v4, writes

from avnb.course.exercises import Exercise
from avnb.course.series import find_series, list_series, step_files
from avnb.course.steps import find_calls

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<title>{title}</title><style>
body {{ font: 11pt/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; }}
pre {{ background: #f4f4f4; padding: .6rem; white-space: pre-wrap; }}
section {{ break-inside: avoid; }}
</style></head><body><h1>{title}</h1>
{body}
</body></html>
"""


@dataclass(frozen=True)
class Task:
    """An exercise as a notebook asks for it.

    Args:
        name: of the `Exercise` in the series' module `exercises`.
        exercise: the exercise.
        stub: the code that the students complete.
        function: the name of the function or class in it.
    """

    name: str
    exercise: Exercise
    stub: str
    function: str


def find_tasks(path: Path, module: ModuleType) -> list[Task]:
    """The exercises of a notebook, in their order.

    Args:
        path: the notebook's text half.
        module: the module `exercises` of its series.
    """
    found = []
    for cell in jupytext.read(path).cells:
        if cell.cell_type != "code":
            continue
        for call in find_calls([cell.source], "course.try_exercise"):
            name, function = (ast.unparse(part) for part in call.args)
            name = name.split(".")[-1]
            (stub,) = (
                ast.get_source_segment(cell.source, node)
                for node in ast.parse(cell.source).body
                if isinstance(node, ast.FunctionDef | ast.ClassDef)
                and node.name == function
            )
            found.append(Task(name, getattr(module, name), stub or "", function))
    return found


def write_solution(task: Task, module: ModuleType, *, marked: bool) -> str:
    """The stub with the solution's body in it.

    Args:
        task: the exercise.
        module: the module `exercises` of its series.
        marked: put nbgrader's marks around the body. What stands between them is what
            nbgrader takes out for the students, so the function's name, its arguments
            and its docstring must stand outside.
    """
    stub, answer = task.stub.splitlines(), textwrap.dedent(
        inspect.getsource(task.exercise.solution)
    )  # fmt: skip
    asked, solved = (ast.parse(text).body[0] for text in (task.stub, answer))
    if not isinstance(asked, ast.FunctionDef) or not isinstance(
        solved, ast.FunctionDef
    ):
        raise TypeError(f"{task.name}: an exercise must ask for a function")
    # The stub's dots, its last statement, make way for the solution.
    head = stub[: asked.body[-1].lineno - 1]
    first = solved.body[1 if ast.get_docstring(solved) is not None else 0]
    body = textwrap.dedent("\n".join(answer.splitlines()[first.lineno - 1 :]))
    # What the solution calls besides itself and the packages comes from beside it.
    own = {
        name
        for name, one in vars(module).items()
        if getattr(one, "__module__", "") == module.__name__
        or isinstance(one, int | float | tuple)
    }
    used = {n.id for n in ast.walk(solved) if isinstance(n, ast.Name)}
    names = sorted((own & used) - {task.function, solved.name})
    lines = [f"from {module.__name__} import {', '.join(names)}"] if names else []
    # Arguments that only the solution has, with what they are by default.
    given, extra = [a.arg for a in asked.args.args], solved.args.args
    defaults = zip(reversed(extra), reversed(solved.args.defaults), strict=False)
    lines += [f"{a.arg} = {ast.unparse(d)}" for a, d in defaults if a.arg not in given]
    lines += body.rstrip().splitlines()
    if marked:
        lines = ["### BEGIN SOLUTION", *lines, "### END SOLUTION"]
    return "\n".join([*head, textwrap.indent("\n".join(lines), "    ")])


def write_imports(module: ModuleType) -> str:
    """The imports that a student's code may use: those of the solutions."""
    source = inspect.getsource(module)
    lines = [
        ast.get_source_segment(source, node) or ""
        for node in ast.parse(source).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        and getattr(node, "module", "") != "avnb.course.exercises"
    ]
    package, _, name = module.__name__.rpartition(".")
    return "\n".join([*lines, "", f"from {package} import {name}"])


def make_notebook(
    series: str, title: str, tasks: list[Task], module: ModuleType, *, solved: bool
) -> Any:
    """One notebook of exercises, with the metadata of nbgrader.

    Args:
        series: the series' name.
        title: of the lesson to which the exercises belong.
        tasks: the exercises.
        module: the module `exercises` of the series.
        solved: whether the solutions are in it, as for the instructor.
    """
    note = (
        f"# Exercises: {title}\n\nThey belong to a notebook of the series `{series}`. "
        "Write your code in place of the dots. The cell below each exercise checks it, "
        "and says what is wrong."
    )
    cells = [v4.new_markdown_cell(note), v4.new_code_cell(write_imports(module))]
    for number, task in enumerate(tasks, 1):
        key = task.name.lower()
        question = f"## {number}. {task.exercise.name}\n\n{task.exercise.question}"
        code = write_solution(task, module, marked=True) if solved else task.stub
        check = f"exercises.{task.name}.check({task.function})"
        cells += [
            v4.new_markdown_cell(question),
            v4.new_code_cell(code, metadata=_grading(key, solution=True)),
            v4.new_code_cell(check, metadata=_grading(f"test_{key}", solution=False)),
        ]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number:03}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _grading(key: str, *, solution: bool) -> dict[str, Any]:
    """The metadata by which nbgrader knows a cell: an answer, or a check of 1 point."""
    about: dict[str, Any] = {
        "grade_id": key,
        "schema_version": 3,
        "solution": solution,
        "grade": not solution,
        "locked": not solution,
        "task": False,
    }
    return {"nbgrader": about if solution else {**about, "points": 1}}


def write_sheet(
    series: str, lessons: list[tuple[str, list[Task]]], module: ModuleType, solved: bool
) -> str:
    """The exercises of a series as one page to print."""
    parts = []
    for title, tasks in lessons:
        parts.append(f"<h2>{html.escape(title)}</h2>")
        for number, task in enumerate(tasks, 1):
            code = task.stub
            if solved:
                code = write_solution(task, module, marked=False)
            parts.append(
                f"<section><h3>{number}. {html.escape(task.exercise.name)}</h3>"
                f"<p>{html.escape(task.exercise.question)}</p>"
                f"<pre>{html.escape(code)}</pre></section>"
            )
    title = f"{series}: exercises{' and solutions' if solved else ''}"
    return PAGE.format(title=title, body="\n".join(parts))


def write_class(folder: Path, series: str) -> Iterator[Path]:
    """Write the notebooks and sheets of one series."""
    module = importlib.import_module(f"{find_series(series)}.exercises")
    lessons = []
    for path in step_files(series):
        title = jupytext.read(path).cells[0].source.splitlines()[0].removeprefix("# ")
        tasks = find_tasks(path, module)
        lessons.append((title, tasks))
        step = path.stem.partition("_")[0]
        for kind, solved in (("source", True), ("release", False)):
            made = make_notebook(series, title, tasks, module, solved=solved)
            target = folder / kind / f"{series}-{step}" / f"{step}.ipynb"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(writes(made) + "\n", encoding="utf-8")
            yield target
    for name, solved in ((series, False), (f"{series}_solutions", True)):
        target = folder / "sheets" / f"{name}.html"
        target.parent.mkdir(parents=True, exist_ok=True)
        sheet = write_sheet(series, lessons, module, solved)
        target.write_text(sheet, encoding="utf-8")
        yield target


def main() -> None:
    """Read the arguments, and write the notebooks and sheets of all series."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    for series in sorted(list_series()):
        print(*write_class(given.folder, series), sep="\n")


if __name__ == "__main__":
    main()
