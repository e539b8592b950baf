"""Exercises: a function for the reader to write, and a check that gives hints.

A check fails by AssertionError, whose text is what the reader sees. So the helpers
here assert, and their texts are whole sentences.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Exercise:
    """A function for the reader to write, with a check that gives hints.

    Args:
        name: what it is called in the notebook.
        question: what the function is to do.
        check: called with the reader's function; raises AssertionError, whose text is
            a hint, when the function is wrong. The solution passes it, and a stub that
            returns None does not.
        solution: a right function.
        hints: further hints, shown when the check fails.
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


def try_exercise(exercise: Exercise, answer: Callable[..., Any]) -> bool:
    """Check an answer, and print what is wrong and what to try next.

    Never raises: a notebook runs on, whatever the reader wrote.
    """
    try:
        exercise.check(answer)
    # Not KeyboardInterrupt: a reader must be able to stop a loop that never ends.
    except Exception as error:
        # The text of an assertion is our hint. All else comes from the reader's code.
        known = isinstance(error, AssertionError)
        message = str(error) if known else f"It stopped with {error!r}"
        print(f"✘ {exercise.name}: {message or 'This is not right yet'}")
        for hint in exercise.hints:
            print(f"  hint: {hint}")
        return False
    print(f"✔ {exercise.name}")
    return True
