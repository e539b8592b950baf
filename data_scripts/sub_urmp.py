"""Sub-URMP as released: one picture and half a second of sound a pair."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image, UnidentifiedImageError

from avnb.data.sources import ClipSettings, Problem, Source, require_folder
from avnb.errors import ClipsError
from avnb.media import Crop
from data_scripts.truth_files import find_truth, read_units

NAME = "sub_urmp"
ABOUT = """
Sub-URMP (Chen et al. 2017): 13 instruments, solo, 80,805 pairs of a 1080p frame and
0.5 s of sound, ten a second.

No licence is stated. Its page, https://www.cs.rochester.edu/~cxu22/d/vagan/, names no
file to fetch with a checksum: download the archive there by hand, unpack it, and give
the folder that holds img/ and chunk/ as --source.

Consecutive pairs share 80 % of their sound, so a split at random leaks; the released
split is by song. By default every fifth pair is kept, and these do not overlap:
--every 100 keeps all.
"""

CHUNK_SECONDS = 0.5  # of sound in a pair
STEP_MS = 100  # from one released pair to the next
FIRST_MS = 500  # the number in the name of a song's first pair
SAMPLE_RATE = 44100  # Hz; two channels
SUBTYPE = "PCM_16"
WIDTH = 1920  # of a released frame, pixels

SETTINGS = ClipSettings(seconds=CHUNK_SECONDS, fps=2.0, sample_rate=SAMPLE_RATE)

SPLITS = {"train": "train", "validation": "test"}  # the release's names -> ours
PAIR = re.compile(r"([a-z_]+?)(\d{2,})_(\d+)")  # INSTRUMENT + SONG + _MS


def name_recording(instrument: str, song: int) -> str:
    """The name of a song; that of its pairs adds ``_MS``."""
    return f"{instrument}{song:02d}"


def get_pair_start(ms: int) -> float:
    """Where the pair ``_{ms}`` starts in its recording, s.

    The names count from 500 in steps of 100, and a chunk is half a second long. So we
    read the number as the end of the chunk: ``_500`` is 0 to 0.5 s. The picture is the
    first frame of the chunk.

    Source:
        Chen et al. 2017, Sec. 4.1, says which frame the picture is. Neither it nor the
        released set says what the number means.
    """
    return (ms - FIRST_MS) / 1000


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
    """Find the pairs below ``img/`` and ``chunk/``; recording = instrument and song.

    Args:
        folder: holds ``img/`` and ``chunk/``; ``truth/`` beside them is used where it
            is there (the bandstand's).
        settings: how clips will be cut.
        every: ms from one kept pair to the next.
        left: where the square that is kept of a wide frame begins. Loaders of the
            released set use 100 or 220.

    Returns:
        The sources, and the problems: pairs with a half missing, and names that say
        nothing.

    Raises:
        ClipsError: for `every` or `left` that no pair can have.
    """
    found: list[Source] = []
    if every < 1:
        raise ClipsError("every", f"it is {every}", "Give 1 or more, in ms")
    if left < 0:
        raise ClipsError("left", f"it is {left}", "Give 0 or more, in pixels")
    require_folder(folder)
    problems: list[Problem] = []
    units = read_units(folder)
    crops: dict[str, Crop | None] = {}
    for theirs, split in SPLITS.items():
        pictures = _list_files(folder / "img" / theirs, ".jpg")
        sounds = _list_files(folder / "chunk" / theirs, ".wav")
        # Of both halves, so that a picture without sound and a sound without picture
        # are named.
        for key in sorted(pictures.keys() | sounds.keys()):
            path = pictures.get(key) or sounds[key]
            name = path.relative_to(folder).as_posix()
            match = PAIR.fullmatch(path.stem)
            # The instrument stands twice, in the folder and in the name. Where they
            # differ, nobody knows which is right.
            if match is None or match[1] != path.parent.name:
                what = "its name is not INSTRUMENT + SONG + _MS, of its folder"
                remedy = "Restore its name, e.g. flute07_1500"
                problems.append(Problem(name, what, remedy))
                continue
            ms = int(match[3])
            # It overlaps with a pair that is kept. Counted from a song's first pair, so
            # that the first one is always kept.
            if (ms - FIRST_MS) % every:
                continue
            if key not in pictures or key not in sounds:
                other = "chunk" if key in pictures else "img"
                what = f"the other half of the pair is missing in {other}/{theirs}"
                problems.append(Problem(name, what, "Restore it, or delete this file"))
                continue
            recording = f"{match[1]}{match[2]}"
            if recording not in crops:  # all frames of a song are of one size
                crops[recording] = _crop_square(pictures[key], left)
            found.append(
                Source(
                    name=name,
                    recording=recording,
                    label=match[1],
                    video=pictures[key],
                    audio=sounds[key],
                    crop=crops[recording],
                    offset=get_pair_start(ms),
                    split=split,
                    truth=find_truth(folder, recording),
                    unit=units.get(recording),
                )
            )
    if not found:
        what = "no pairs img/{train,validation}/INSTRUMENT/*.jpg and chunk/.../*.wav"
        problems.append(Problem(str(folder), what, "Give the folder that holds img/"))
    return found, problems


def _list_files(folder: Path, suffix: str) -> dict[str, Path]:
    """INSTRUMENT/NAME -> path, so that both halves of a pair have one key."""
    return {
        f"{path.parent.name}/{path.stem}": path for path in folder.glob(f"*/*{suffix}")
    }


def _crop_square(picture: Path, left: int) -> Crop | None:
    """The square of a wide frame; None for others, and for what cannot be read."""
    try:
        with Image.open(picture) as image:  # reads the header alone
            width, height = image.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None  # `prepare` reads it later and says what is wrong
    if width <= height:
        return None
    begin = min(round(left * width / WIDTH), width - height)
    return begin, 0, height, height


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
