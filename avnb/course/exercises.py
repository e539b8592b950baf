"""Exercises: a function or a class for the reader to write, its check and its hints.

A check fails by AssertionError, whose text is what the reader sees. So the helpers
here assert, and their texts are whole sentences.
"""

import dataclasses
import dis
import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Exercise:
    """A function or a class for the reader to write, with its check and its hints.

    Args:
        name: what it is called in the notebook.
        question: what the function is to do.
        check: called with what the reader wrote; raises AssertionError where it is
            wrong. The text says for which input, what the answer was and what is
            expected. The solution passes the check, and a stub that returns None does
            not.
        solution: a right function or class.
        hints: shown one at a time, when the reader asks for one.
    """

    name: str
    question: str
    check: Callable[[Callable[..., Any]], None]
    solution: Callable[..., Any]
    hints: tuple[str, ...] = ()


def require_answer(answer: Any, what: str) -> Any:
    """The answer itself.

    Args:
        answer: what the reader's function returned.
        what: what it should be, for the message.

    Raises:
        AssertionError: it is None, as from a function that is not written yet.
    """
    assert answer is not None, f"The function returns None. It should return the {what}"
    return answer


def to_array(answer: Any, what: str) -> np.ndarray:
    """The answer as an array of float64, be it a number, a list, an array or a tensor.

    Raises:
        AssertionError: it is None.
    """
    if hasattr(require_answer(answer, what), "detach"):  # a tensor
        answer = answer.detach().cpu()
    return np.asarray(answer, np.float64)


def assert_close(answer: Any, right: Any, what: str, tolerance: float = 1e-5) -> None:
    """Assert that the answer has the right shape and numbers.

    Args:
        answer: what the reader's function returned.
        right: the right numbers.
        what: what they are, for the message.
        tolerance: how far they may differ, relatively and absolutely.

    Raises:
        AssertionError: it names the first number that is wrong, and where it is.
    """
    mine, right = to_array(answer, what), np.asarray(right, np.float64)
    assert mine.shape == right.shape, (
        f"{what}: the shape is {mine.shape}. It should be {right.shape}"
    )
    # Both tolerances: near zero the relative one alone would ask for every digit.
    wrong = ~np.isclose(mine, right, rtol=tolerance, atol=tolerance)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        place = f" at {list(at)}" if at else ""
        raise AssertionError(
            f"{what}{place}: the value is {mine[at]:.6g}. It should be {right[at]:.6g}"
        )


def try_exercise(exercise: Exercise, answer: Callable[..., Any]) -> None:
    """Check what the reader wrote, and print what is right or wrong with it.

    Nothing is checked before the reader has written something. Never raises: a
    notebook runs on, whatever the reader wrote. Returns nothing, since a notebook would
    print it below the cell.
    """
    if is_untouched(answer):
        print(f"○ {exercise.name}: write your code in place of the three dots.")
        return
    mistake = find_mistake(exercise, answer)
    if mistake is None:
        print(f"✔ {exercise.name}")
        return
    print(f"✘ {exercise.name}: {mistake}")
    if exercise.hints:
        print("  For a hint, run course.show_hint() in a new cell.")
    _tried["last"] = exercise


def find_mistake(exercise: Exercise, answer: Callable[..., Any]) -> str | None:
    """What is wrong with an answer, as a sentence; None where nothing is."""
    # Such a Python leaves every `assert` out, and any answer would pass.
    if not __debug__:
        return (
            "The checks are left out, since Python runs with -O or PYTHONOPTIMIZE. "
            "Start it without them"
        )
    try:
        exercise.check(answer)
    except AssertionError as error:
        return str(error) or "This is not right yet"
    # Not KeyboardInterrupt: a reader must be able to stop a loop that never ends.
    except Exception as error:
        return f"Your code stopped with {type(error).__name__}: {error}"
    return None


def show_hint(exercise: Exercise | None = None) -> None:
    """Print the next hint of an exercise.

    Args:
        exercise: by default the one that was tried last and was wrong.
    """
    exercise = exercise or _tried.get("last")
    if exercise is None:
        print("Try an exercise first: write your code, and run its cell.")
        return
    number, total = _hints_given[exercise.name], len(exercise.hints)
    if number == total:
        print(f"{exercise.name} has no further hint. Its solution is in exercises.py.")
        return
    _hints_given[exercise.name] += 1
    print(f"Hint {number + 1} of {total}: {exercise.hints[number]}")


# Both are of this kernel: in a fresh kernel a reader begins with the first hint again.
_hints_given: Counter[str] = Counter()
_tried: dict[str, Exercise] = {}


def is_untouched(answer: Callable[..., Any]) -> bool:
    """Whether a function or class is still the stub that the notebook gives.

    A stub is a function whose body does nothing (a docstring, dots, `pass`), or a
    class whose methods all do nothing. What `__init__` does is not looked at, because
    a stub of a `torch.nn.Module` calls that of its parent.
    """
    if not inspect.isclass(answer):
        return inspect.isfunction(answer) and _does_nothing(answer)
    own = {name: one for name, one in vars(answer).items() if inspect.isfunction(one)}
    own.pop("__init__", None)
    return all(map(_does_nothing, own.values()))


def _does_nothing(function: Callable[..., Any]) -> bool:
    """Whether the bytecode of a function only returns None."""
    # The names of instructions differ from Python to Python, so all that may occur in
    # an empty body are listed: the versions from 3.11 to 3.14.
    empty = {"RESUME", "NOP", "COPY_FREE_VARS", "RETURN_VALUE"}
    constants = {"LOAD_CONST", "RETURN_CONST"}
    return all(
        step.opname in empty or (step.opname in constants and step.argval is None)
        for step in dis.get_instructions(function)
    )
