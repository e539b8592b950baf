"""Videos of sounding things in the layout of AVE as downloaded."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from avnb import files
from avnb.data.sources import SPLITS
from avnb.errors import ClipsError
from avnb.media import write_frames
from data_scripts import ave
from data_scripts.bandstand import events
from data_scripts.bandstand.layouts.recordings import (
    WORLD,
    Job,
    Settings,
    check_picture,
    check_settings,
    truth_times,
    write_missing,
    write_truth,
)
from data_scripts.bandstand.world import make_generator


def write_ave(
    folder: str | os.PathLike[str],
    *,
    videos: int,
    validation: int,
    test: int,
    seed: int,
    fps: float | int = 8,
    size: int = 96,
    clutter: float = 0.0,
    workers: int | None = None,
) -> int:
    """Write videos of 10 s with one event each, their annotations and splits.

    In each split the 28 classes take turns. As in the splits that AVE's cross-modal
    localisation is judged on, no event of the test split fills its video. Videos that
    are there already are left alone.

    Args:
        folder: where ``AVE/``, the text files and ``truth/`` go.
        videos: how many in all.
        validation: of them in the validation split.
        test: of them in the test split, 1 or more; the rest trains.
        seed: of the world.
        fps: frames a second.
        size: pixels a side, even.
        clutter: the probability of each disturbance of `events.Clutter`.
        workers: processes; None = one a core.

    Returns:
        How many videos were written.

    Raises:
        ClipsError: for a setting that is out of range, or where `folder` holds videos
            of other settings.
    """
    if validation < 0 or test < 1 or validation + test >= videos:
        raise ClipsError(
            f"validation = {validation} and test = {test}",
            f"with {videos} videos in all that is no division into three splits",
            "Give 0 or more and 1 or more, together less than the videos",
        )
    if not 0 <= clutter <= 1:
        raise ClipsError("clutter", f"it is {clutter}", "Give a probability, 0 to 1")
    check_picture(size, fps)
    # Everything that changes a video is in here, for it is compared with what the
    # folder was made with. `workers` is not: it changes nothing.
    settings = {
        "layout": "ave",
        "world": WORLD,
        "videos": videos,
        "validation": validation,
        "test": test,
        "seed": seed,
        "fps": fps,
        "size": size,
        "clutter": clutter,
    }
    root = Path(folder)
    # Before the text files are written: `write_missing` checks as well, but then the
    # annotations of the videos in the folder would already be replaced.
    check_settings(root, settings)
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    jobs: dict[str, Job] = {}
    for name, split, kind, start, end in plan_events(videos, validation, test, seed):
        lines[split].append(ave.format_row(kind, name, start, end) + "\n")
        # The name is in the job too, since a worker gets the job alone.
        jobs[name] = (name, kind, start, end)
    _write_texts(root, lines)
    return write_missing(root, settings, jobs, _write_event, workers)


def _write_texts(root: Path, lines: dict[str, list[str]]) -> None:
    """Write Annotations.txt, in the order of the classes, and a file a split."""
    everything = sorted(
        (line for split in lines.values() for line in split),
        key=lambda line: ave.KINDS.index(line.split("&")[0]),
    )
    contents = {ave.ANNOTATIONS: [ave.HEADER + "\n", *everything]}
    contents |= {ave.name_split(split): found for split, found in lines.items()}
    for name, content in contents.items():
        # A new line ends with "\n" on every system: the same seed gives the same bytes.
        with files.atomic_path(root / name) as path:
            path.write_text("".join(content), newline="\n")


def plan_events(
    videos: int, validation: int, test: int, seed: int
) -> Iterator[tuple[str, str, str, int, int]]:
    """Id, split, class, start and end (s) of each video."""
    rng = make_generator("ave", seed)
    train = videos - validation - test
    # Test events never fill a video, so more of the others must do so for the share
    # among all videos to be AVE's.
    whole = ave.WHOLE_SPANS / (ave.WHOLE_SPANS + ave.PARTIAL_SPANS.sum())
    number = 0
    for split, count in zip(SPLITS, (train, validation, test), strict=True):
        fills = 0.0 if split == "test" else whole * videos / (videos - test)
        deck: list[str] = []
        for _ in range(count):
            # Classes are dealt like cards: all 28 come once before one comes again.
            deck = deck or [str(kind) for kind in rng.permutation(ave.KINDS)]
            start, end = events.sample_span(rng, min(fills, 1.0))
            # A hash of seed and number, so an id says nothing of class or split, and
            # another seed gives other ids.
            digest = hashlib.sha256(f"ave|{seed}|{number}".encode()).digest()
            # as YouTube's: 11 of 64 characters, of which the first may be "-"
            name = base64.urlsafe_b64encode(digest)[:11].decode()
            yield name, split, deck.pop(), start, end
            number += 1


def _write_event(root: Path, settings: Settings, job: Job) -> None:
    """Write one video and its truth."""
    name, kind, start, end = job
    # A seed from the video's own name: it is drawn alike in whichever process.
    seed = int(make_generator("ave", settings["seed"], name).integers(1 << 31))
    video = events.record_event(
        kind, start=start, end=end, seed=seed, clutter=settings["clutter"]
    )
    fps, size = settings["fps"], settings["size"]
    # A generator: the frames are encoded one by one and never all in memory.
    pictures = (video.draw(i / fps, size) for i in range(round(ave.SECONDS * fps)))
    waveform = video.synthesise(events.RATE)[None]
    path = root / ave.FOLDER / f"{name}.mp4"
    # The truth comes after the video, and the mark that both are there after that.
    write_frames(path, pictures, waveform, fps, events.RATE)
    rows = truth_times(ave.SECONDS)
    write_truth(root, name, {"time": rows} | video.measure(rows))
