"""What a step needs of earlier steps, read from its source without running it."""

import ast
import glob
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from avnb.course.records import read_finished
from avnb.course.steps import SeriesStep, find_calls


@dataclass(frozen=True)
class Need:
    """Something that one step needs of another.

    Args:
        maker: the step that makes it, stepN_name.
        pattern: of the path of files or folders, relative to the run folder. A * in it
            stands for any text, slashes included. Empty where what the maker recorded
            is needed.
    """

    maker: str
    pattern: str = ""


def find_needs(cells: Sequence[str]) -> list[Need]:
    """The needs that a notebook's cells state.

    They are the calls `lesson.need(path, "stepN_name", …)`, whose path may be an
    f-string, and `lesson.load_results("stepN_name")`.

    Args:
        cells: the texts of its code cells.
    """
    found = []
    for call in find_calls(cells, "lesson.load_results"):
        found += [Need(maker) for maker in _read_texts(call.args)]
    for call in find_calls(cells, "lesson.need"):
        pattern = _read_pattern(call.args[0]) if call.args else ""
        found += [Need(maker, pattern) for maker in _read_texts(call.args[1:])]
    return list(dict.fromkeys(found))


def is_met(need: Need, run_dir: Path) -> bool:
    """Whether what a step needs is in a run folder.

    A folder counts only when it holds something and the step that fills it has
    finished, because another step may have put something there.
    """
    finished = read_finished(run_dir, need.maker) is not None
    if not need.pattern:
        return finished
    # The values of an f-string are not known here, so one file that fits is enough.
    # A value may hold a slash. glob's * crosses none, and fnmatch's * does.
    found = list(run_dir.glob(need.pattern)) or [
        path
        for path in run_dir.rglob("*")
        if fnmatchcase(path.relative_to(run_dir).as_posix(), need.pattern)
    ]
    # Of a file it is enough that it is there.
    return any(
        finished and any(path.iterdir()) if path.is_dir() else True for path in found
    )


def find_missing(
    run_dir: Path, everything: Sequence[SeriesStep], chosen: Sequence[SeriesStep]
) -> list[SeriesStep]:
    """The steps that must run before the chosen ones can, in their order.

    A step counts when a chosen step needs what it makes, when that is not in the run
    folder, and when the step is not chosen itself. What such a step needs counts too.

    Args:
        run_dir: the folder of the run.
        everything: all steps of the series.
        chosen: the steps that are to run.
    """
    known = {step.name: step for step in everything}
    coming = {step.name for step in chosen}
    missing: set[str] = set()
    # What is missing has needs of its own, and so it joins the list.
    waiting = list(chosen)
    while waiting:
        step = waiting.pop()
        for need in find_needs(step.cells):
            # A maker that is no step is a mistake of the notebook, which it reports.
            if need.maker in coming | missing or need.maker not in known:
                continue
            if not is_met(need, run_dir):
                missing.add(need.maker)
                waiting.append(known[need.maker])
    # In the order of the series, which is the order in which they must run.
    return [step for step in everything if step.name in missing]


def _read_texts(nodes: Sequence[ast.expr]) -> list[str]:
    """The literal texts among some arguments."""
    return [
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def _read_pattern(node: ast.expr) -> str:
    """The pattern of a path; empty where it is neither text nor an f-string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return glob.escape(node.value)
    if isinstance(node, ast.JoinedStr):
        parts = (
            # A * stands for a value in braces.
            glob.escape(str(part.value)) if isinstance(part, ast.Constant) else "*"
            for part in node.values
        )
        return "".join(parts)
    return ""
