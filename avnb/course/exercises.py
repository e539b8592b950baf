"""Exercises: a function for the reader to write, a check, and hints on request.

A check fails by AssertionError, whose text is what the reader sees. So the helpers
here assert, and their texts are whole sentences.
"""

import dataclasses
import dis
from collections.abc import Callable
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Exercise:
    """A function for the reader to write, with a check, and hints to ask for.

    Args:
        name: what it is called in the notebook.
        question: what the function is to do.
        check: called with the reader's function; raises AssertionError, whose text is
            a hint, when the function is wrong. The solution passes it, and a stub that
            returns None does not.
        solution: a right function.
        hints: shown one at a time, when the reader asks for them.
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
    wrong = ~np.isclose(mine, right, rtol=tolerance, atol=tolerance)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        place = f" at {list(at)}" if at else ""
        raise AssertionError(
            f"{what}{place}: the value is {mine[at]:.6g}. It should be {right[at]:.6g}"
        )


def is_untouched(answer: Callable[..., Any]) -> bool:
    """Tell whether a function is still the empty one that the notebook gives.

    It then does nothing but return None. Its bytecode says so; its source may be out
    of reach.
    """
    code = getattr(answer, "__code__", None)
    if code is None:
        return False
    used = [one for one in dis.get_instructions(code) if one.opname not in _IDLE]
    return all(one.argval is None for one in used if one.opname in _CONSTANTS) and all(
        one.opname in (*_CONSTANTS, "RETURN_VALUE") for one in used
    )


# Names of bytecode differ a little between the versions of Python.
_IDLE = ("RESUME", "NOP", "CACHE")
_CONSTANTS = ("LOAD_CONST", "RETURN_CONST")


def try_exercise(
    exercise: Exercise, answer: Callable[..., Any], *, hints: int = 0
) -> bool:
    """Check an answer, and print what is wrong.

    Never raises: a notebook runs on, whatever the reader wrote. Nothing is said of an
    answer that is not begun.

    Args:
        exercise: which one.
        answer: the reader's function.
        hints: how many of the exercise's hints to show; the reader raises the number
            one by one.

    Returns:
        Whether the answer is right.
    """
    if is_untouched(answer):
        print(f"○ {exercise.name}: write your answer above, then run this cell.")
        return False
    try:
        exercise.check(answer)
    except Exception as error:
        known = isinstance(error, AssertionError)
        message = str(error) if known else f"It stopped with {error!r}"
        print(f"✘ {exercise.name}: {message or 'This is not right yet'}")
        _print_hints(exercise.hints, hints)
        return False
    print(f"✔ {exercise.name}")
    return True


def _print_hints(hints: tuple[str, ...], shown: int) -> None:
    """Print the first hints, and how to ask for one more."""
    for number, hint in enumerate(hints[:shown], start=1):
        print(f"  hint {number} of {len(hints)}: {hint}")
    if shown < len(hints):
        word = "another" if shown else "a"
        print(f"  For {word} hint, add hints={shown + 1} to the call.")
