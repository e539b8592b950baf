"""The 13 instruments in the layout of the released Sub-URMP."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from avnb import files
from avnb.errors import ClipsError
from data_scripts import sub_urmp
from data_scripts.bandstand import picture
from data_scripts.bandstand.layouts.recordings import (
    WORLD,
    Job,
    Settings,
    write_missing,
    write_performance_truth,
    write_wav,
)
from data_scripts.bandstand.sound import synthesise
from data_scripts.bandstand.world import INSTRUMENTS, make_generator, perform


def write_sub_urmp(
    folder: str | os.PathLike[str],
    *,
    songs: int,
    seconds: float | int,
    seed: int,
    step_ms: int = sub_urmp.STEP_MS,
    size: int = 64,
    validation_fraction: float | int = 0.2,
    workers: int | None = None,
) -> int:
    """Write recordings of the 13 instruments as pairs of a picture and half a second.

    Each recording has a player of its own, so no recording and no player is in both
    splits. Recordings that are there already are left alone.

    Args:
        folder: where ``img/``, ``chunk/`` and ``truth/`` go.
        songs: recordings an instrument, 1 to 100.
        seconds: length of a recording, at least one chunk.
        seed: of the world.
        step_ms: from one pair to the next, ms.
        size: of the pictures, pixels a side.
        validation_fraction: share of the recordings, the last ones, that are the
            validation split: at least one, where there are two.
        workers: processes; None = one a core.

    Returns:
        How many recordings were written.

    Raises:
        ClipsError: for a setting that is out of range, or where `folder` holds
            recordings of other settings.
    """
    _check(songs, seconds, step_ms, validation_fraction)
    # `round` may give none, or all: with two songs or more, each split has one.
    held_out = round(songs * validation_fraction)
    if validation_fraction and songs > 1:
        held_out = min(max(held_out, 1), songs - 1)
    settings = {
        "layout": "sub_urmp",
        "world": WORLD,
        "songs": songs,
        "seconds": seconds,
        "seed": seed,
        "step_ms": step_ms,
        "size": size,
        "validation": held_out,
    }
    jobs: dict[str, Job] = {
        # Instruments inside songs, so that a run that is stopped has some of every
        # instrument.
        sub_urmp.name_recording(instrument, song): (instrument, song)
        for song in range(songs)
        for instrument in INSTRUMENTS
    }
    return write_missing(Path(folder), settings, jobs, _write_song, workers)


def _check(
    songs: int, seconds: float, step_ms: int, validation_fraction: float
) -> None:
    if not 1 <= songs <= 100:
        raise ClipsError(
            f"songs = {songs}", "two digits name a song", "Give a number from 1 to 100"
        )
    if seconds < sub_urmp.CHUNK_SECONDS:
        raise ClipsError(
            f"seconds = {seconds}",
            "a recording is shorter than one chunk of sound",
            f"Give at least {sub_urmp.CHUNK_SECONDS} s",
        )
    if step_ms < 1:
        raise ClipsError(
            f"step_ms = {step_ms}", "the pairs would not move on", "Give at least 1"
        )
    if not 0 <= validation_fraction < 1:
        raise ClipsError(
            f"validation_fraction = {validation_fraction}",
            "it must leave recordings to train on",
            "Give a number from 0 to below 1",
        )


def _write_song(root: Path, settings: Settings, job: Job) -> None:
    """Write all pairs of one recording, and its truth."""
    instrument, song = job
    name = sub_urmp.name_recording(instrument, song)
    # The same songs are held out for each instrument.
    held_out = song >= settings["songs"] - settings["validation"]
    split = "validation" if held_out else "train"
    seed = int(
        make_generator("sub_urmp", settings["seed"], instrument, song).integers(1 << 31)
    )
    # The song's number is the player's: each recording has a person of its own.
    performance = perform(instrument, song, seconds=settings["seconds"], seed=seed)
    rate, length = sub_urmp.SAMPLE_RATE, sub_urmp.CHUNK_SECONDS
    sound = synthesise(performance, rate)
    # 1e-6: 1.7 s - 0.5 s is a little less than 1200 ms in floating point
    last = sub_urmp.FIRST_MS + int((settings["seconds"] - length) * 1000 + 1e-6)
    for ms in range(sub_urmp.FIRST_MS, last + 1, settings["step_ms"]):
        start = sub_urmp.get_pair_start(ms)
        first = round(start * rate)
        # Rounded in both places, so each chunk has the same number of samples.
        chunk = sound[first : first + round(length * rate)]
        item = f"{split}/{instrument}/{name}_{ms}"
        # The released chunks have two equal channels, so these do: (samples, 2).
        stereo = np.stack([chunk, chunk], axis=1)
        write_wav(root / "chunk" / f"{item}.wav", stereo, rate, sub_urmp.SUBTYPE)
        # Quality 95: the world's small pictures must not show JPEG's blocks.
        with files.atomic_path(root / "img" / f"{item}.jpg") as unfinished:
            frame = picture.draw(performance, start, settings["size"])
            Image.fromarray(frame).save(unfinished, format="JPEG", quality=95)
    write_performance_truth(root, name, performance)
