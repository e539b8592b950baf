"""What the layouts share: which recordings are missing, their sound, their truth."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from tqdm import tqdm

from avnb import files
from avnb.errors import ClipsError
from data_scripts.bandstand import picture
from data_scripts.bandstand.scene import View
from data_scripts.bandstand.world import Performance
from data_scripts.truth_files import FOLDER, truth_path

TRUTH_RATE = 20  # rows a second
WORLD = 3  # raise it when the same seed no longer gives the same world

Settings = dict[str, Any]  # what a folder was made with, as JSON holds it
Job = tuple[Any, ...]  # the arguments of one recording


def write_missing(
    root: Path,
    settings: Settings,
    jobs: dict[str, Job],
    write: Callable[[Path, Settings, Job], None],
    workers: int | None,
) -> int:
    """Write each recording that is not marked as done, and mark it.

    Args:
        root: the folder of the layout.
        settings: what all its recordings are made with.
        jobs: the name of each recording, and the arguments of `write` for it.
        write: writes one recording: ``write(root, settings, job)``.
        workers: processes; None = one a core.

    Returns:
        How many recordings were written.

    Raises:
        ClipsError: where the folder holds recordings of other settings.
    """
    check_settings(root, settings)
    # Marks are looked for, not media files: one that was interrupted has files and no
    # mark.
    missing = {name: job for name, job in jobs.items() if not is_done(root, name)}
    # No more processes than recordings, and at least one: joblib refuses 0.
    workers = min(workers or os.cpu_count() or 1, max(len(missing), 1))
    calls = [(root, settings, name, job, write) for name, job in missing.items()]
    # joblib starts fresh processes: a fork of a process with threads can deadlock
    # "unordered", so that one slow recording does not hold up the bar of progress.
    parallel = joblib.Parallel(workers, return_as="generator_unordered")
    made = parallel(joblib.delayed(_write_one)(*call) for call in calls)
    # The loop does the work: joblib gives a generator, which runs as it is read. With
    # `disable=None` there is no bar where the output is no terminal.
    for _ in tqdm(made, desc=settings["layout"], total=len(calls), disable=None):
        pass
    return len(missing)


def _write_one(
    root: Path,
    settings: Settings,
    name: str,
    job: Job,
    write: Callable[[Path, Settings, Job], None],
) -> None:
    # The mark comes last. If the writing fails, the next run makes the recording again.
    write(root, settings, job)
    mark_done(root, settings, name)


def is_done(root: Path, name: str) -> bool:
    """Whether the recording is complete: its mark is written last."""
    return truth_path(root, name, ".json").exists()


def mark_done(root: Path, settings: Settings, name: str) -> None:
    """Note that a recording is complete, and what it was made with."""
    with files.atomic_path(truth_path(root, name, ".json")) as path:
        path.write_text(json.dumps(settings, indent=1) + "\n")


def check_settings(root: Path, settings: Settings) -> None:
    """Raise ClipsError where a recording of the folder was made with other settings."""
    # Every mark is read, since a folder may hold recordings of two runs. The first by
    # name is shown, the same on each machine.
    for mark in sorted((root / FOLDER).glob("*.json")):
        made_with = files.read_json(mark)
        if made_with != settings:
            raise ClipsError(
                root,
                f"it holds recordings made with other settings: {made_with}, not "
                f"{settings}",
                "Choose another folder, or delete this one",
            )


def check_picture(size: int, fps: float | int) -> None:
    """Raise ClipsError for a size or a rate that a video file cannot have."""
    # H.264 keeps one colour value for 2 x 2 pixels
    if size < 2 or size % 2:
        raise ClipsError(
            f"size = {size}",
            "H.264 needs an even number of pixels",
            "Give an even size of 2 or more",
        )
    if not fps > 0:
        raise ClipsError(
            f"fps = {fps}",
            "a video has more than 0 frames a second",
            "Give a number above 0",
        )


def write_wav(path: Path, waveform: np.ndarray, rate: int, subtype: str) -> None:
    """Write samples (samples,) or (samples, channels) of -1..1 as a whole WAV file."""
    # The temporary name ends in .part, from which soundfile cannot tell the format.
    with files.atomic_path(path) as unfinished:
        soundfile.write(unfinished, waveform, rate, subtype=subtype, format="WAV")


def truth_times(seconds: float | int) -> np.ndarray:
    """The times of the truth's rows, s: float64 (rows,)."""
    # A division of whole numbers: a sum of 0.05 would drift away from the frames.
    return np.arange(int(seconds * TRUTH_RATE)) / TRUTH_RATE


def write_truth(root: Path, name: str, columns: dict[str, np.ndarray]) -> None:
    """Write the known quantities of one recording: name -> (rows,)."""
    with files.atomic_path(truth_path(root, name)) as path:
        pq.write_table(pa.table(columns), path)


def write_performance_truth(
    root: Path, name: str, performance: Performance, view: View
) -> None:
    """Write pitch, loudness, onsets, camera and pose of a musician's performance."""
    times = truth_times(performance.duration)
    nearest = np.round(times * len(performance.time) / performance.duration)
    # The last time may round to one row beyond the curve.
    nearest = np.minimum(nearest.astype(int), len(performance.time) - 1)
    onset = np.zeros(len(times), dtype=np.float32)
    # a note belongs to the row before it, so that no onset falls between two rows
    rows = [int(note.onset * TRUTH_RATE) for note in performance.notes]
    # The last row may be up to 0.05 s before the end, and a note may start after it.
    onset[[row for row in rows if row < len(times)]] = 1.0
    columns = {
        "time": times,
        "pitch_hz": performance.pitch_hz[nearest].astype(np.float32),
        "loudness": performance.loudness[nearest].astype(np.float32),
        "onset": onset,
        # with these two, places in the picture become places on the stage
        "metre": np.full(len(times), 100 / view.height, np.float32),
        "mirror": np.full(len(times), -1 if view.mirror else 1, np.float32),
    }
    poses = picture.measure_pose(performance, times, view)
    columns |= dict(zip(picture.POSE_NAMES, poses.T, strict=True))
    write_truth(root, name, columns)
