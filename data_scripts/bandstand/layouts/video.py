"""One long video of one performer, which `data_scripts.single_video` reads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
from tqdm import tqdm

from avnb.media import write_frames
from data_scripts import single_video
from data_scripts.bandstand import performers
from data_scripts.bandstand.layouts.recordings import (
    WORLD,
    Settings,
    check_picture,
    check_settings,
    is_done,
    mark_done,
    truth_times,
    write_truth,
)

# Hz. Twice the rate that Listen and Move works at, so that reading must resample, as
# it must for any video from outside.
VIDEO_RATE = 2 * single_video.SETTINGS.sample_rate
# A take is made anew in each process, so a span must be worth that; and spans
# wait in memory until their turn comes.
SPAN = 100  # frames that a process draws before it hands them on


def write_video(
    folder: str | os.PathLike[str],
    *,
    performer: str,
    seconds: float | int,
    seed: int,
    player: int = 0,
    fps: float | int = single_video.SETTINGS.fps,
    size: int = 128,
    workers: int | None = None,
) -> int:
    """Write one long video of one performer, ``PERFORMER.mp4``, and its truth.

    Frame k shows k / fps s. The same arguments give the same frames, with any number
    of workers. A video that is there already is left alone.

    Args:
        folder: where the video and ``truth/`` go.
        performer: one of `performers.PERFORMERS`.
        seconds: its length, 1 or more.
        seed: of the world.
        player: which person: any number.
        fps: frames a second.
        size: pixels a side, even. H.264 keeps colour at half of that, so read the video
            at half the size or less.
        workers: processes; None = one a core.

    Returns:
        How many videos were written: 1, or 0 where it was there.

    Raises:
        ClipsError: for a setting that is out of range, or where `folder` holds a video
            of other settings.
    """
    check_picture(size, fps)
    settings = {
        "layout": "video",
        "world": WORLD,
        "performer": performer,
        "seconds": seconds,
        "seed": seed,
        "player": player,
        "fps": fps,
        "size": size,
    }
    root = Path(folder)
    # Before anything is drawn: a video of 4 minutes takes long.
    check_settings(root, settings)
    if is_done(root, performer):
        return 0
    take = performers.record_take(performer, player=player, seconds=seconds, seed=seed)
    times = np.arange(round(seconds * fps)) / fps
    waveform = take.synthesise(VIDEO_RATE)[None]
    # A generator, read by the encoder: the frames are never all in memory.
    pictures = _draw_frames(settings, times, workers or os.cpu_count() or 1)
    write_frames(root / f"{performer}.mp4", pictures, waveform, fps, VIDEO_RATE)
    rows = truth_times(seconds)
    write_truth(root, performer, {"time": rows} | take.measure(rows))
    # The mark comes last: video and truth are whole where it is.
    mark_done(root, settings, performer)
    return 1


def _draw_frames(
    settings: Settings, times: np.ndarray, workers: int
) -> Iterator[np.ndarray]:
    """The frames in their order, SPAN at a time in each process."""
    spans = [times[i : i + SPAN] for i in range(0, len(times), SPAN)]
    # In order, unlike the recordings: the encoder needs frame after frame.
    parallel = joblib.Parallel(min(workers, len(spans)), return_as="generator")
    made = parallel(joblib.delayed(_draw_span)(settings, span) for span in spans)
    for frames in tqdm(made, desc="drawing", total=len(spans), disable=None):
        yield from frames


def _draw_span(settings: Settings, times: np.ndarray) -> np.ndarray:
    performer = settings["performer"]
    who = {name: settings[name] for name in ("player", "seconds", "seed")}
    # kept from the span before by the cache of `record_take`
    # In a fresh process it is made anew and not sent along: the settings are a few
    # bytes, and the same arguments give the same take.
    take = performers.record_take(performer, **who)
    return np.stack([take.draw(float(t), settings["size"]) for t in times])
