"""Exercises: a function for the reader to write, and a check that gives hints."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Exercise:
    """A function for the reader to write, with a check that gives hints.

    `check(answer)` raises AssertionError, whose text is the hint, when the answer is
    wrong. The solution passes it; a stub that returns None does not.
    """

    name: str
    question: str
    check: Callable[[Callable], None]
    solution: Callable
    hints: tuple[str, ...] = ()


def require_answer(answer: Any, what: str) -> Any:
    """The answer itself; AssertionError says so when it is None."""
    assert answer is not None, f"no {what} came back: the function returns None"
    return answer


def to_array(answer: Any, what: str) -> np.ndarray:
    """The answer as an array of float64, whatever it came as."""
    if hasattr(require_answer(answer, what), "detach"):  # a tensor
        answer = answer.detach().cpu()
    return np.asarray(answer, np.float64)


def assert_close(answer: Any, right: Any, what: str, tolerance: float = 1e-5) -> None:
    """Assert that the answer has the right shape and numbers; name the first wrong."""
    mine, right = to_array(answer, what), np.asarray(right, np.float64)
    assert mine.shape == right.shape, f"{what}: shape {mine.shape}, not {right.shape}"
    wrong = ~np.isclose(mine, right, rtol=tolerance, atol=tolerance)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        place = f" at {list(at)}" if at else ""
        raise AssertionError(
            f"{what}{place}: {mine[at]:.6g}, should be {right[at]:.6g}"
        )


def try_exercise(exercise: Exercise, answer: Callable) -> bool:
    """Check an answer and say what to try next; never raises."""
    try:
        exercise.check(answer)
    except Exception as error:
        told = str(error) if isinstance(error, AssertionError) else repr(error)
        print(f"✘ {exercise.name}: {told or 'not yet'}")
        for hint in exercise.hints:
            print(f"  hint: {hint}")
        return False
    print(f"✔ {exercise.name}")
    return True
