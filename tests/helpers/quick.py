"""Parameters of which `make quick` tries a few, and `make test` all."""

from collections.abc import Iterable
from typing import Any

import pytest


def mark_rest(values: Iterable[Any], every: int) -> list[Any]:
    """The values, where only the first of every so many is not marked `slow`."""
    return [
        value if number % every == 0 else pytest.param(value, marks=pytest.mark.slow)
        for number, value in enumerate(values)
    ]
