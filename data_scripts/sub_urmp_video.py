"""Sub-URMP-Video: clips of one second, put together from the released Sub-URMP."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from avnb.data.sources import ClipSettings, Problem, SoundPiece, Source
from avnb.errors import ClipsError
from data_scripts import hmmd, sub_urmp, urmp

NAME = "sub_urmp_video"
ABOUT = """
Sub-URMP-Video (Kurmi et al. 2021): 7,403 clips of 1 s, ten frames and sound each, of 13
instruments. It was never released. This puts such clips together from the released
Sub-URMP, which holds ten pictures a second and half a second of sound with each:
--source is the folder that holds img/ and chunk/ (see avnb prepare sub_urmp).

A clip at t has the pictures of t, t + 100, ..., t + 900 ms, and the sound of chunk t,
of chunk t + 500, and of the end of chunk t + 600: 16,384 samples at 16 kHz are 1.024 s,
24 ms more than the pictures, and none of them is silence that was put in. Clips do not
overlap but for these 24 ms. Where a number is missing, no clip is made across it.

The authors removed clips "that contain different speakers" by hand. Nobody knows which,
so the counts differ a little from theirs.

--layout urmp takes URMP itself (avnb prepare urmp), each player cut out of the row.
"""
SETTINGS = dataclasses.replace(hmmd.SETTINGS, fps=10.0)

# Table 1: class -> clips to train on and to test on.
TABLE_1 = {
    "cello": (881, 94),
    "double_bass": (123, 114),
    "oboe": (394, 36),
    "sax": (696, 81),
    "trumpet": (100, 49),
    "viola": (648, 48),
    "bassoon": (135, 37),
    "clarinet": (716, 92),
    "horn": (475, 49),
    "flute": (511, 90),
    "trombone": (787, 77),
    "tuba": (323, 49),
    "violin": (707, 91),
}

CHUNK_MS = round(1000 * sub_urmp.CHUNK_SECONDS)
END_MS = 600  # the chunk whose end goes on where the two others stop begins there


def find_sources(
    folder: Path,
    settings: ClipSettings = SETTINGS,
    *,
    layout: Annotated[
        Literal["sub_urmp", "urmp"], typer.Option(help="what --source holds")
    ] = "sub_urmp",
    left: Annotated[
        int, typer.Option(help="where the square begins in a frame 1920 wide, pixels")
    ] = 100,
) -> tuple[list[Source], list[Problem]]:
    """Find the clips: a source each, of many files.

    Args:
        folder: of the released Sub-URMP, or of URMP.
        settings: how clips will be cut.
        layout: which of both.
        left: see `sub_urmp.find_sources`.

    Returns:
        The sources, and the problems: what `sub_urmp` finds, and each gap.

    Raises:
        ClipsError: for settings that pairs ten a second cannot give.
    """
    if layout == "urmp":
        return urmp.find_sources(folder, settings)
    _check(settings)
    # This knows the files, the splits, the crop, the truth and who plays.
    pairs, problems = sub_urmp.find_sources(
        folder, settings, every=sub_urmp.STEP_MS, left=left
    )
    songs: dict[tuple[str, str | None], dict[int, Source]] = defaultdict(dict)
    for pair in pairs:
        # ms from the start of the song; names count from `sub_urmp.FIRST_MS`
        songs[pair.recording, pair.split][round(1000 * pair.offset)] = pair
    found: list[Source] = []
    for song in songs.values():
        found += _find_clips(song, settings, problems)
    return found, problems


def _check(settings: ClipSettings) -> None:
    """Raise ClipsError for what the released pairs do not hold."""
    rate = 1000 / sub_urmp.STEP_MS
    longest = (END_MS + CHUNK_MS) / 1000
    if settings.fps != rate:
        raise ClipsError(
            "fps", f"it is {settings.fps:g}", f"The pairs are {rate:g} a second"
        )
    if not 1 <= settings.seconds <= longest:
        raise ClipsError(
            "seconds", f"it is {settings.seconds:g}", f"Give 1 to {longest:g} s"
        )


def _find_clips(
    song: dict[int, Source], settings: ClipSettings, problems: list[Problem]
) -> list[Source]:
    """The clips of one song, in order; a gap is a problem and begins a new row.

    Args:
        song: ms from its start -> the pair of that moment.
        settings: how clips are cut.
        problems: the gaps are added here.
    """
    frames = range(0, settings.frames * sub_urmp.STEP_MS, sub_urmp.STEP_MS)
    found = []
    now, last = min(song), max(song)
    while now + frames[-1] <= last:
        needed = [now + ms for ms in frames]
        missing = [ms for ms in needed if ms not in song]
        if not missing:
            found.append(_make_clip(song, now, needed, settings))
            now += 1000
            continue
        first = song[min(song)]
        name = f"{first.recording}_{missing[0] + sub_urmp.FIRST_MS}"
        what = "this pair is missing, so no clip is made across it"
        problems.append(Problem(name, what, "Nothing to do: it was released so"))
        # The next clip begins where the numbers go on.
        now = min(ms for ms in song if ms > missing[0])
    return found


def _make_clip(
    song: dict[int, Source], now: int, needed: list[int], settings: ClipSettings
) -> Source:
    """One clip: a picture a frame, two chunks, and the end of a third one."""
    first = song[now]
    chunk = sub_urmp.CHUNK_SECONDS
    pieces = [
        SoundPiece(_get_sound(song[now + ms]), 0.0, chunk) for ms in (0, CHUNK_MS)
    ]
    if settings.seconds > 1:
        # Chunk t + 600 holds 0.6 to 1.1 s of the clip: its last 100 ms are new.
        start = (1000 - END_MS) / 1000
        ending = _get_sound(song[now + END_MS])
        pieces.append(SoundPiece(ending, start, chunk - start))
    return dataclasses.replace(
        first,
        name=f"{first.recording}_{now + sub_urmp.FIRST_MS}",
        pictures=tuple(song[ms].video for ms in needed),
        pieces=tuple(pieces),
    )


def _get_sound(pair: Source) -> Path:
    assert pair.audio is not None  # every pair of `sub_urmp` has both halves
    return pair.audio


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
