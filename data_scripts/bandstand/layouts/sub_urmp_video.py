"""The musicians as the released Sub-URMP, all ten pairs a second of each recording.

`data_scripts.sub_urmp_video` puts clips of one second together from them.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from data_scripts import sub_urmp
from data_scripts.bandstand.layouts.recordings import (
    WORLD,
    Job,
    Settings,
    write_missing,
)
from data_scripts.bandstand.layouts.sub_urmp import (
    Part,
    plan_recordings,
    write_recording,
)
from data_scripts.bandstand.world import INSTRUMENTS, make_generator
from data_scripts.sub_urmp_video import TABLE_1
from data_scripts.truth_files import write_units

SONG = 20  # clips of a recording of `plan_table_1`, the last of a class aside
MORE = 0.5  # s that a recording is longer than its clips: the last chunk ends later


@dataclasses.dataclass(frozen=True)
class Song:
    """One recording of a plan.

    Attributes:
        part: who plays what, in which split.
        clips: how many clips of one second it holds.
    """

    part: Part
    clips: int


def plan_songs(songs: int, clips: int, seed: int) -> dict[str, Song]:
    """Plan as many recordings of each instrument, all of one length."""
    plan = plan_recordings(songs, seed)
    return {name: Song(part, clips) for name, part in plan.items()}


def plan_table_1(seed: int) -> dict[str, Song]:
    """Plan the numbers of clips of the paper's Table 1, which are not balanced.

    Person k plays the k-th recording of every instrument in a split, so that a person
    tells no instrument as far as the table allows; nobody plays in both splits.
    """
    plan: dict[str, Song] = {}
    for instrument in INSTRUMENTS:
        song = 0
        for held_out, clips in enumerate(TABLE_1[instrument]):
            for k, first in enumerate(range(0, clips, SONG)):
                rng = make_generator("sub_urmp video", seed, instrument, song)
                player = 1000 * seed + 500 * held_out + k
                part = Part(
                    instrument, player, int(rng.integers(1 << 31)), bool(held_out)
                )
                name = sub_urmp.name_recording(instrument, song)
                plan[name] = Song(part, min(SONG, clips - first))
                song += 1
    return plan


def write_sub_urmp_video(
    folder: str | os.PathLike[str],
    plan: dict[str, Song],
    *,
    size: int = 64,
    workers: int | None = None,
) -> int:
    """Write the recordings of a plan as pairs, ten a second.

    Args:
        folder: where ``img/``, ``chunk/`` and ``truth/`` go.
        plan: of `plan_songs` or `plan_table_1`.
        size: of the pictures, pixels a side.
        workers: processes; None = one a core.

    Returns:
        How many recordings were written.

    Raises:
        ClipsError: where `folder` holds recordings of other settings.
    """
    settings: Settings = {
        "layout": "sub_urmp_video",
        "world": WORLD,
        "size": size,
        "step_ms": sub_urmp.STEP_MS,
        # Everything that decides the recordings, as JSON holds it.
        "songs": {
            name: [song.part.player, song.part.seed, song.part.held_out, song.clips]
            for name, song in plan.items()
        },
    }
    jobs: dict[str, Job] = {name: (name, song) for name, song in plan.items()}
    written = write_missing(Path(folder), settings, jobs, _write_song, workers)
    players = {name: f"player {song.part.player}" for name, song in plan.items()}
    write_units(Path(folder), players)
    return written


def _write_song(root: Path, settings: Settings, job: Job) -> None:
    """Write all pairs of one recording, and its truth."""
    name, song = job
    given = settings | {"seconds": song.clips + MORE}
    write_recording(root, given, (name, song.part))
