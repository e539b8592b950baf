"""Where the known truth of a recording lies beside the files of a data set.

No real data set has these files. The bandstand writes them, and every script that
reads a real set's layout picks them up where they are.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = "truth"


def truth_path(root: Path, recording: str, suffix: str = ".parquet") -> Path:
    """The path of one recording's truth below the folder of its data set."""
    return root / FOLDER / f"{recording}{suffix}"


def find_truth(root: Path, recording: str) -> Path | None:
    """The truth of one recording, or None where there is none (any real set)."""
    path = truth_path(root, recording)
    return path if path.is_file() else None
