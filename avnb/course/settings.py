"""A notebook's hyper-parameters: one frozen table, one column a scale."""

import ast
import html
from collections.abc import Mapping
from typing import Any

from avnb.errors import LessonError

# A scale -> what it is for.
PURPOSES = {
    "smoke": "tests: every line runs, nothing learned",
    "laptop": "two cores, no GPU: the networks do learn",
    "reference": "two cores for hours: what claims rest on",
    "gpu": "a GPU with 16 GB, as in Colab",
    "paper": "the paper's own setting, as far as known",
}
SCALES = tuple(PURPOSES)  # the order of the columns of every table
# NumPy's generators stop at 2**32, and the notebooks add small numbers to their seed.
LARGEST_SEED = 2**31


def check_scale(scale: str) -> str:
    """The scale itself.

    Raises:
        LessonError: there is no such scale; it lists the right ones.
    """
    if scale not in SCALES:
        raise LessonError(
            f"scale {scale!r}",
            "there is no such scale",
            f"Give one of: {', '.join(SCALES)}",
        )
    return scale


def check_seed(seed: int) -> int:
    """The seed itself.

    Raises:
        LessonError: it is below 0 or too large for the random generators.
    """
    if not 0 <= seed < LARGEST_SEED:
        raise LessonError(
            f"seed {seed}",
            f"a seed is a whole number from 0 to {LARGEST_SEED - 1}",
            "Give such a number, like 1",
        )
    return seed


class Settings:
    """The hyper-parameters of a notebook at one scale; it shows its whole table.

    Its fields are attributes. They are frozen: a value that changes half-way would
    not be the value that the results name.

    Args:
        scale: one of `SCALES`.
        overrides: field -> value, which replaces the scale's own; text is read as
            the field's type.
        columns: field -> (smoke, laptop, reference, gpu, paper).

    Raises:
        LessonError: unknown scale or field, or a value of the wrong type; it lists
            the right ones.
    """

    def __init__(
        self,
        scale: str,
        overrides: Mapping[str, Any],
        columns: Mapping[str, tuple[Any, ...]],
    ) -> None:
        column = SCALES.index(check_scale(scale))
        for name, row in columns.items():
            if not isinstance(row, tuple) or len(row) != len(SCALES):
                raise LessonError(
                    f"settings, field {name}",
                    f"its row is {row!r}",
                    f"Give one value for each of {', '.join(SCALES)}",
                )
            # Such a field would hide a method, or what the class itself keeps.
            if name.startswith("_") or name in Settings.__dict__:
                raise LessonError(
                    f"settings, field {name}",
                    "a field cannot have this name",
                    "Choose another name",
                )
        unknown = [name for name in overrides if name not in columns]
        if unknown:
            raise LessonError(
                f"settings, field {', '.join(map(repr, unknown))}",
                "there is no such field",
                f"Give one of: {', '.join(columns)}",
            )
        values = {name: row[column] for name, row in columns.items()}
        for name, value in overrides.items():
            values[name] = parse_value(name, value, columns[name])
        # Not by assignment, which `__setattr__` refuses.
        self.__dict__.update(
            values, _scale=scale, _columns=dict(columns), _overridden=set(overrides)
        )

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"settings are frozen: to change a field, set OVERRIDES = {{{name!r}: …}}"
        )

    def __getattr__(self, name: str) -> Any:
        # Copying and pickling ask for such names before there are any columns.
        if name.startswith("_"):
            raise AttributeError(name)
        fields = ", ".join(self._columns)
        raise AttributeError(f"no field {name!r} in the table: give one of {fields}")

    def as_dict(self) -> dict[str, Any]:
        """The values of the chosen scale, overrides included."""
        return {name: self.__dict__[name] for name in self._columns}

    def changes(self) -> dict[str, Any]:
        """The fields that were overridden with another value than the scale's own."""
        column = SCALES.index(self._scale)
        return {
            name: self.__dict__[name]
            for name, row in self._columns.items()
            if self.__dict__[name] != row[column]
        }

    def fix(self, *free: str) -> tuple[dict[str, Any], str]:
        """Say what a training depends on, and how its folder is told from others.

        Args:
            free: the fields that may change in a training that goes on, such as its
                number of steps and how often it is looked at.

        Returns:
            All other fields, for `training.Run(settings=...)`. And the end of the
            folder's name, such as ",width=32": a changed field begins another training
            beside the first one. It is empty where nothing of them was overridden.

        Raises:
            KeyError: the table has no such field.
        """
        if unknown := set(free) - set(self._columns):
            raise KeyError(f"no field {', '.join(sorted(unknown))} in the table")
        fixed = {name: x for name, x in self.as_dict().items() if name not in free}
        changed = {k: x for k, x in self.changes().items() if k in fixed}
        return fixed, "".join(f",{name}={x}" for name, x in changed.items())

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={value!r}" for name, value in self.as_dict().items())
        return f"Settings({self._scale}: {inner})"

    def _repr_html_(self) -> str:
        mark = "background:#0072B226;font-weight:bold"
        head = "".join(
            f"<th style='{mark if scale == self._scale else ''}'>{scale}</th>"
            for scale in SCALES
        )
        rows = []
        for name, row in self._columns.items():
            cells = [html.escape(str(value)) for value in row]
            chosen = SCALES.index(self._scale)
            if name in self._overridden:
                # An override is text from a command line, and must not be read as HTML.
                new = html.escape(str(self.__dict__[name]))
                cells[chosen] = f"<s>{cells[chosen]}</s> {new} (overridden)"
            tds = "".join(
                f"<td style='{mark if i == chosen else ''}'>{cell}</td>"
                for i, cell in enumerate(cells)
            )
            rows.append(f"<tr><th>{html.escape(name)}</th>{tds}</tr>")
        return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def parse_value(name: str, value: Any, row: tuple[Any, ...]) -> Any:
    """The value as the type of its row of the table.

    Args:
        name: the field, for the error.
        value: a value of that type, or text as the command line gives it.
        row: the field's values at all scales; None among them allows None.

    Raises:
        LessonError: the value is of another type.
    """
    wanted = {type(item) for item in row if item is not None}
    # A row like (0, 0.5, 1, 1) means floats.
    if wanted == {int, float}:
        wanted = {float}
    # In a field of texts "3" stays a text.
    if isinstance(value, str) and str not in wanted:
        # People write true and false on a command line; Python's are True and False.
        words = {"true": True, "false": False}
        value = words.get(value.lower(), _read_literal(value))
    if value is None and None in row:
        return None
    if type(value) is int and wanted == {float}:
        value = float(value)
    # JSON and papermill know lists only.
    if isinstance(value, list) and wanted == {tuple}:
        value = tuple(value)
    # isinstance would take True for an int.
    if type(value) not in wanted:
        kinds = " or ".join(sorted(kind.__name__ for kind in wanted))
        raise LessonError(
            f"settings, field {name}",
            f"{value!r} is {type(value).__name__}",
            f"It must be {kinds}, like {row[0]!r}",
        )
    return value


def _read_literal(text: str) -> Any:
    """The number, tuple or None that the text spells, or the text itself."""
    try:
        # Unlike `eval` it executes nothing.
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
