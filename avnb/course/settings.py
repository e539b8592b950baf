"""A notebook's hyper-parameters: one frozen table, one column a scale."""

import ast
import html
from collections.abc import Mapping
from typing import Any

from avnb.errors import LessonError

SCALES = ("smoke", "laptop", "gpu", "paper")


def check_scale(scale: str) -> str:
    """The scale itself, or an error that lists the right ones."""
    if scale not in SCALES:
        raise LessonError(f"no scale {scale!r}; there is: {', '.join(SCALES)}")
    return scale


class Settings:
    """The hyper-parameters of a notebook at one scale; shows its whole table.

    Its fields are attributes, frozen.

    Args:
        scale: one of `SCALES`.
        overrides: field -> value, which replaces the scale's own; text is read as
            the field's type.
        columns: field -> (smoke, laptop, gpu, paper).

    Raises:
        LessonError: unknown scale or field, or a value of the wrong type; it lists
            the right ones.
    """

    def __init__(
        self, scale: str, overrides: Mapping[str, Any], columns: Mapping[str, tuple]
    ) -> None:
        column = SCALES.index(check_scale(scale))
        for name, row in columns.items():
            if not isinstance(row, tuple) or len(row) != len(SCALES):
                raise LessonError(
                    f"settings: {name} has {row!r}; give one value for each of "
                    f"{', '.join(SCALES)}"
                )
            if name.startswith("_") or name in Settings.__dict__:
                raise LessonError(f"settings: a field cannot be called {name!r}")
        unknown = [name for name in overrides if name not in columns]
        if unknown:
            raise LessonError(
                f"no field {', '.join(map(repr, unknown))}; "
                f"there is: {', '.join(columns)}"
            )
        values = {name: row[column] for name, row in columns.items()}
        for name, value in overrides.items():
            values[name] = parse_value(name, value, columns[name])
        self.__dict__.update(
            values, _scale=scale, _columns=dict(columns), _overridden=set(overrides)
        )

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"settings are frozen: pass OVERRIDES = {{{name!r}: …}}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        fields = ", ".join(self._columns)
        raise AttributeError(f"no field {name!r} in the table; there is: {fields}")

    def as_dict(self) -> dict[str, Any]:
        """The values of the chosen scale, overrides included."""
        return {name: self.__dict__[name] for name in self._columns}

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
                new = html.escape(str(self.__dict__[name]))
                cells[chosen] = f"<s>{cells[chosen]}</s> {new} (overridden)"
            tds = "".join(
                f"<td style='{mark if i == chosen else ''}'>{cell}</td>"
                for i, cell in enumerate(cells)
            )
            rows.append(f"<tr><th>{html.escape(name)}</th>{tds}</tr>")
        return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def parse_value(name: str, value: Any, row: tuple) -> Any:
    """The value as the type of its row of the table, or an error that names both."""
    wanted = {type(item) for item in row if item is not None}
    if wanted == {int, float}:
        wanted = {float}
    if isinstance(value, str) and str not in wanted:
        try:
            value = ast.literal_eval({"true": "True", "false": "False"}[value.lower()])
        except KeyError:
            value = _literal(value)
    if value is None and None in row:
        return None
    if type(value) is int and wanted == {float}:
        value = float(value)
    if isinstance(value, list) and wanted == {tuple}:
        value = tuple(value)
    if type(value) not in wanted:
        kinds = " or ".join(sorted(kind.__name__ for kind in wanted))
        raise LessonError(
            f"{name} must be {kinds}, like {row[0]!r}; {value!r} is "
            f"{type(value).__name__}"
        )
    return value


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
