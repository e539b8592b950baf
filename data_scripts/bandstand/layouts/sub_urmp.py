"""The 13 instruments in the layout of the released Sub-URMP."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
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
from data_scripts.bandstand.scene import choose_view
from data_scripts.bandstand.sound import synthesise
from data_scripts.bandstand.world import (
    INSTRUMENTS,
    Performance,
    make_generator,
    perform,
)
from data_scripts.truth_files import write_units

PLAYED = 4  # recordings of one player, about; each of another instrument
HELD_OUT = 0.2  # share of the recordings, and of the players, in the validation split
QUALITY = 95  # of the JPEG files: small pictures must not show its blocks


@dataclass(frozen=True)
class Part:
    """Who plays what in one recording.

    Attributes:
        instrument: one of `INSTRUMENTS`.
        player: who plays.
        seed: of what is played, of the camera and of the room.
        held_out: whether it is of the validation split.
    """

    instrument: str
    player: int
    seed: int
    held_out: bool


def plan_recordings(
    songs: int, seed: int, validation_fraction: float | int = HELD_OUT
) -> dict[str, Part]:
    """Plan who plays what: nobody plays in both splits.

    Each person plays about `PLAYED` recordings, of different instruments as far as
    possible, so that a person does not tell the instrument.

    Args:
        songs: recordings an instrument.
        seed: of the world; other seeds have other people.
        validation_fraction: share of the recordings, the last ones, that are the
            validation split: at least one, where there are two.

    Returns:
        The name of each recording -> its part.
    """
    # `round` may give none, or all: with two songs or more, each split has one.
    held_out = round(songs * validation_fraction)
    if validation_fraction and songs > 1:
        held_out = min(max(held_out, 1), songs - 1)
    rng = make_generator("players", seed)
    plan: dict[str, Part] = {}
    first = 1000 * seed  # of the people's numbers: 100 songs need fewer than 1000
    for span in (range(songs - held_out), range(songs - held_out, songs)):
        dealt = _deal_players(len(span), rng)
        for song, players in zip(span, dealt, strict=True):
            for instrument, player in zip(INSTRUMENTS, players, strict=True):
                rng_song = make_generator("sub_urmp", seed, instrument, song)
                plan[sub_urmp.name_recording(instrument, song)] = Part(
                    instrument,
                    first + int(player),
                    int(rng_song.integers(1 << 31)),
                    held_out=song >= songs - held_out,
                )
        first += 1 + int(np.max(dealt, initial=-1))
    return plan


def _deal_players(songs: int, rng: np.random.Generator) -> np.ndarray:
    """The player of each song and instrument, from 0 on: int (songs, instruments)."""
    shape = (songs, len(INSTRUMENTS))
    people = max(1, round(songs * len(INSTRUMENTS) / PLAYED))
    dealt = np.arange(songs * len(INSTRUMENTS)).reshape(shape) % people
    for song in range(songs):
        # of many orders, the one in which the fewest play an instrument again
        orders = [rng.permutation(dealt[song]) for _ in range(300)]
        again = [np.count_nonzero(dealt[:song] == order) for order in orders]
        dealt[song] = orders[int(np.argmin(again))]
    return dealt


def redraw(
    recordings: Sequence[str],
    times: Sequence[float],
    *,
    songs: int,
    length: float | int,
    seed: int,
    size: int,
    without: picture.Missing,
) -> UInt8[np.ndarray, "n {size} {size} 3"]:
    """Draw pictures of the set once more, with something left out.

    A judge who names the instrument in a picture without one has read something else.

    Args:
        recordings: the recording of each picture.
        times: of each picture, s of its recording.
        songs: of the set.
        length: of its recordings, s.
        seed: of the world.
        size: pixels a side.
        without: what is left out; "" draws the set's own pictures.

    Raises:
        ClipsError: for a recording that the set does not have.
    """
    plan = plan_recordings(songs, seed)
    if unknown := set(recordings) - set(plan):
        raise ClipsError(
            f"recording {min(unknown)!r}",
            f"there is none in a bandstand of {songs} songs",
            "Give recordings of the embedded data",
        )
    played = {
        name: perform_part(plan[name], length) for name in dict.fromkeys(recordings)
    }
    drawn = np.empty((len(recordings), size, size, 3), np.uint8)
    for i, (name, t) in enumerate(zip(recordings, times, strict=True)):
        view = choose_view(played[name])
        frame = picture.draw(played[name], float(t), size, view, without)
        with Image.open(io.BytesIO(_encode(frame))) as image:
            drawn[i] = np.asarray(image)
    return drawn


def perform_part(part: Part, seconds: float | int) -> Performance:
    """Play one recording of a plan."""
    return perform(part.instrument, part.player, seconds=seconds, seed=part.seed)


def _encode(frame: np.ndarray) -> bytes:
    """A picture as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(frame).save(file, format="JPEG", quality=QUALITY)
    return file.getvalue()


def write_sub_urmp(
    folder: str | os.PathLike[str],
    *,
    songs: int,
    seconds: float | int,
    seed: int,
    step_ms: int = sub_urmp.STEP_MS,
    size: int = 64,
    validation_fraction: float | int = HELD_OUT,
    workers: int | None = None,
) -> int:
    """Write recordings of the 13 instruments as pairs of a picture and half a second.

    No recording and no player is in both splits: see `plan_recordings`. Recordings
    that are there already are left alone.

    Args:
        folder: where ``img/``, ``chunk/`` and ``truth/`` go.
        songs: recordings an instrument, 1 to 100.
        seconds: length of a recording, at least one chunk.
        seed: of the world.
        step_ms: from one pair to the next, ms.
        size: of the pictures, pixels a side.
        validation_fraction: share of the recordings that are the validation split.
        workers: processes; None = one a core.

    Returns:
        How many recordings were written.

    Raises:
        ClipsError: for a setting that is out of range, or where `folder` holds
            recordings of other settings.
    """
    _check(songs, seconds, step_ms, validation_fraction)
    plan = plan_recordings(songs, seed, validation_fraction)
    settings = {
        "layout": "sub_urmp",
        "world": WORLD,
        "songs": songs,
        "seconds": seconds,
        "seed": seed,
        "step_ms": step_ms,
        "size": size,
        "validation": sum(part.held_out for part in plan.values()),
    }
    jobs: dict[str, Job] = {name: (name, part) for name, part in plan.items()}
    written = write_missing(Path(folder), settings, jobs, write_recording, workers)
    players = {name: f"player {part.player}" for name, part in plan.items()}
    write_units(Path(folder), players)
    return written


def _check(
    songs: int, seconds: float, step_ms: int, validation_fraction: float
) -> None:
    if not 1 <= songs <= 100:
        raise ClipsError(
            f"songs = {songs}", "two digits name a song", "Give a number from 1 to 100"
        )
    if not sub_urmp.CHUNK_SECONDS <= seconds < math.inf:  # nor nan
        raise ClipsError(
            f"seconds = {seconds}",
            "that is no length of a recording, which holds a chunk of sound",
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


def write_recording(root: Path, settings: Settings, job: Job) -> None:
    """Write all pairs of one recording, and its truth."""
    name, part = job
    split = "validation" if part.held_out else "train"
    performance = perform_part(part, settings["seconds"])
    view = choose_view(performance)
    rate, length = sub_urmp.SAMPLE_RATE, sub_urmp.CHUNK_SECONDS
    sound = synthesise(performance, rate)
    # 1e-6: 1.7 s - 0.5 s is a little less than 1200 ms in floating point
    last = sub_urmp.FIRST_MS + int((settings["seconds"] - length) * 1000 + 1e-6)
    for ms in range(sub_urmp.FIRST_MS, last + 1, settings["step_ms"]):
        start = sub_urmp.get_pair_start(ms)
        first = round(start * rate)
        # Rounded in both places, so each chunk has the same number of samples.
        chunk = sound[first : first + round(length * rate)]
        item = f"{split}/{part.instrument}/{name}_{ms}"
        # The released chunks have two equal channels, so these do: (samples, 2).
        stereo = np.stack([chunk, chunk], axis=1)
        write_wav(root / "chunk" / f"{item}.wav", stereo, rate, sub_urmp.SUBTYPE)
        with files.atomic_path(root / "img" / f"{item}.jpg") as unfinished:
            frame = picture.draw(performance, start, settings["size"], view)
            unfinished.write_bytes(_encode(frame))
    write_performance_truth(root, name, performance, view)
