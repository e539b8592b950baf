"""Players whose hands move, in the layout of `data_scripts.hmmd`: a folder a class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avnb.errors import ClipsError
from avnb.media import write_frames
from data_scripts import hmmd
from data_scripts.bandstand.hand_takes import BowedTake, StrikerTake, record_hands
from data_scripts.bandstand.layouts.recordings import (
    WORLD,
    Job,
    Settings,
    check_picture,
    check_settings,
    write_missing,
    write_truth,
)
from data_scripts.bandstand.world import make_generator
from data_scripts.truth_files import write_units

# Hz. Twice the rate that the clips have, so that reading must resample, as it must for
# any video from outside.
RATE = 2 * hmmd.SAMPLE_RATE
MORE = 0.1  # s that a video is longer than its clips: the last one's sound ends later


@dataclass(frozen=True)
class Video:
    """One video of a plan.

    Attributes:
        instrument: a key of `hmmd.TABLE_2`.
        player: who plays.
        seed: of what is played, of the camera and of the room.
        clips: how many clips of one second it holds.
    """

    instrument: str
    player: int
    seed: int
    clips: int


def plan_videos(
    classes: Sequence[str], videos: int, clips: int, seed: int
) -> dict[str, Video]:
    """Plan as many videos of each class, all of one length.

    Person k plays the k-th video of every class, so a person tells no class, and a
    split by person has each class in both parts.

    Args:
        classes: which instruments.
        videos: of each.
        clips: of each video.
        seed: of the world; other seeds have other people.

    Returns:
        The name of each video -> what it shows.
    """
    return {
        f"{name}_{k:02d}": _plan_video(name, k, 1000 * seed + k, clips, seed)
        for name in classes
        for k in range(videos)
    }


def plan_table_2(seed: int) -> dict[str, Video]:
    """Plan the numbers of videos and clips of the paper's Table 2.

    The lengths of a class's videos differ, as those of real ones do. The one who plays
    the ghatam's only video, which is cut in time, plays nothing else.
    """
    plan = {}
    for name, (videos, clips) in hmmd.TABLE_2.items():
        rng = make_generator("hmmd lengths", seed, name)
        # Shares of the class's clips; the cumulated ones are rounded, so that the
        # lengths sum to the table's number.
        shares = rng.uniform(0.4, 1.6, videos)
        ends = np.round(clips * np.cumsum(shares) / shares.sum()).astype(int)
        first = 1000 * seed + (999 if videos == 1 else 0)
        for k, length in enumerate(np.diff(ends, prepend=0)):
            plan[f"{name}_{k:02d}"] = _plan_video(name, k, first + k, int(length), seed)
    return plan


def _plan_video(name: str, k: int, player: int, clips: int, seed: int) -> Video:
    rng = make_generator("hmmd", seed, name, k)
    return Video(name, player, int(rng.integers(1 << 31)), clips)


def write_hmmd(
    folder: str | os.PathLike[str],
    plan: dict[str, Video],
    *,
    fps: float | int = hmmd.SETTINGS.fps,
    size: int = 96,
    workers: int | None = None,
) -> int:
    """Write the videos of a plan as ``HMMD/CLASS/NAME.mp4``, and their truth.

    The truth has one row a frame, and says what that frame shows. Videos that are there
    already are left alone.

    Args:
        folder: where ``HMMD/`` and ``truth/`` go.
        plan: of `plan_videos` or `plan_table_2`.
        fps: frames a second.
        size: pixels a side, even.
        workers: processes; None = one a core.

    Returns:
        How many videos were written.

    Raises:
        ClipsError: for a setting that is out of range, or where `folder` holds videos
            of other settings.
    """
    check_picture(size, fps)
    if unknown := {video.instrument for video in plan.values()} - set(hmmd.TABLE_2):
        raise ClipsError(
            f"class {min(unknown)!r}",
            "nobody plays it here",
            f"Give some of {', '.join(hmmd.TABLE_2)}",
        )
    if any(video.clips < 1 for video in plan.values()) or not plan:
        raise ClipsError(
            "length", "a video has a clip of 1 s at least", "Give 1 s or more"
        )
    root = Path(folder)
    settings = {"layout": "hmmd", "world": WORLD, "fps": fps, "size": size}
    # Everything that decides the videos, as JSON holds it.
    settings["videos"] = {
        name: [video.player, video.seed, video.clips] for name, video in plan.items()
    }
    check_settings(root, settings)
    jobs: dict[str, Job] = {name: (name, video) for name, video in plan.items()}
    written = write_missing(root, settings, jobs, _write_video, workers)
    write_units(root, {name: f"player {one.player}" for name, one in plan.items()})
    return written


def record_video(video: Video, fps: float | int) -> StrikerTake | BowedTake:
    """Record one video of a plan."""
    seconds = video.clips + MORE
    return record_hands(
        video.instrument, video.player, seconds=seconds, seed=video.seed, fps=fps
    )


def _write_video(root: Path, settings: Settings, job: Job) -> None:
    """Write one video and its truth."""
    name, video = job
    fps, size = settings["fps"], settings["size"]
    take = record_video(video, fps)
    times = np.arange(round(take.duration * fps)) / fps
    # A generator: the frames are encoded one by one and never all in memory.
    pictures = (take.draw(float(t), size) for t in times)
    path = root / hmmd.VIDEOS / video.instrument / f"{name}.mp4"
    write_frames(path, pictures, take.synthesise(RATE)[None], fps, RATE)
    write_truth(root, name, {"time": times} | take.measure(times))
