"""Where the known truth of a recording lies beside the files of a data set.

No real data set has these files. The bandstand writes them, and every script that
reads a real set's layout picks them up where they are.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from avnb import files
from avnb.errors import ClipsError

FOLDER = "truth"
UNITS = "units.csv"  # which person is heard in each recording


def truth_path(root: Path, recording: str, suffix: str = ".parquet") -> Path:
    """The path of one recording's truth below the folder of its data set."""
    return root / FOLDER / f"{recording}{suffix}"


def find_truth(root: Path, recording: str) -> Path | None:
    """The truth of one recording, or None where there is none (any real set)."""
    path = truth_path(root, recording)
    return path if path.is_file() else None


def write_units(root: Path, units: Mapping[str, str]) -> None:
    """Write who plays each recording: recording -> unit, the player's name."""
    with (
        files.atomic_path(root / FOLDER / UNITS) as unfinished,
        unfinished.open("w", encoding="utf-8", newline="") as file,
    ):
        csv.writer(file).writerows([("recording", "unit"), *sorted(units.items())])


def read_units(root: Path) -> dict[str, str]:
    """Read who plays each recording; empty where nobody knows (any real set).

    Raises:
        ClipsError: the file is not a table of two columns.
    """
    path = root / FOLDER / UNITS
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        units = {recording: unit for recording, unit in rows}
        if header != ["recording", "unit"] or not all(units.values()):
            raise ValueError("its columns are not recording and unit")
    except ValueError as error:  # UnicodeDecodeError too
        raise ClipsError(
            path,
            f"it does not say who plays each recording ({error})",
            "Write recording,unit as its first line, or delete it",
        ) from error
    return units
