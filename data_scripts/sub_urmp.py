"""Sub-URMP as released: one picture and half a second of sound a pair."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image, UnidentifiedImageError

from avnb.data.sources import ClipSettings, Problem, Source
from avnb.media import Crop

NAME = "sub_urmp"
ABOUT = """
Sub-URMP (Chen et al. 2017): 13 instruments, solo, 80,805 pairs of a 1080p frame and
0.5 s of sound, ten a second.

No licence is stated. Its page, https://www.cs.rochester.edu/~cxu22/d/vagan/, names no
file to fetch with a checksum: download the archive there by hand, unpack it, and give
the folder that holds img/ and chunk/ as --source.

Consecutive pairs share 80 % of their sound, so that a split at random leaks; the
released split is by song. By default every fifth pair is kept, which do not overlap:
--every 100 keeps all.
"""
SETTINGS = ClipSettings(seconds=0.5, fps=2.0)

SPLITS = {"train": "train", "validation": "test"}
PAIR = re.compile(r"([a-z_]+?)(\d{2,})_(\d+)")
FIRST = 500  # ms in the name of a song's first pair
WIDTH = 1920


def find_sources(
    folder: Path,
    settings: ClipSettings = SETTINGS,
    *,
    every: Annotated[
        int, typer.Option(help="ms between kept pairs; 100 keeps all, which overlap")
    ] = 500,
    left: Annotated[
        int, typer.Option(help="where the square begins in a frame 1920 wide, pixels")
    ] = 100,
) -> tuple[list[Source], list[Problem]]:
    """The pairs of ``img`` and ``chunk``; recording = instrument and song.

    Wide frames are cut to a square of their height that begins at ``left`` (loaders of
    the released set use 100 or 220). ``truth/{instrument}{song}.parquet`` is used
    where it is there (the bandstand's). Pairs with a half missing, and names that say
    nothing, become problems.
    """
    found: list[Source] = []
    problems: list[Problem] = []
    crops: dict[str, Crop | None] = {}
    for theirs, split in SPLITS.items():
        pictures = _files(folder / "img" / theirs, ".jpg")
        sounds = _files(folder / "chunk" / theirs, ".wav")
        for key in sorted(pictures.keys() | sounds.keys()):
            path = pictures.get(key) or sounds[key]
            name = path.relative_to(folder).as_posix()
            match = PAIR.fullmatch(path.stem)
            if match is None or match[1] != path.parent.name:
                what = "its name is not INSTRUMENT + SONG + _MS, of its folder"
                problems.append(
                    Problem(name, what, "Restore its name, e.g. flute07_1500")
                )
                continue
            ms = int(match[3])
            if ms % every:
                continue
            if key not in pictures or key not in sounds:
                other = "chunk" if key in pictures else "img"
                what = f"the other half of the pair is missing in {other}/{theirs}"
                problems.append(Problem(name, what, "Restore it, or delete this file"))
                continue
            recording = f"{match[1]}{match[2]}"
            if recording not in crops:
                crops[recording] = _square(pictures[key], left)
            truth = folder / "truth" / f"{recording}.parquet"
            found.append(
                Source(
                    name=name,
                    recording=recording,
                    label=match[1],
                    video=pictures[key],
                    audio=sounds[key],
                    crop=crops[recording],
                    offset=(ms - FIRST) / 1000,
                    split=split,
                    truth=truth if truth.is_file() else None,
                )
            )
    if not found:
        what = "no pairs img/{train,validation}/INSTRUMENT/*.jpg and chunk/.../*.wav"
        problems.append(Problem(str(folder), what, "Give the folder that holds img/"))
    return found, problems


def _files(folder: Path, suffix: str) -> dict[str, Path]:
    return {
        f"{path.parent.name}/{path.stem}": path for path in folder.glob(f"*/*{suffix}")
    }


def _square(picture: Path, left: int) -> Crop | None:
    """The square of a wide frame; None for others, and for what cannot be read."""
    try:
        with Image.open(picture) as image:  # reads the header alone
            width, height = image.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None  # reading it will say what is wrong
    if width <= height:
        return None
    begin = min(round(left * width / WIDTH), width - height)
    return begin, 0, height, height


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
