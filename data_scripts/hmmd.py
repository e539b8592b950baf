"""The Hand Motion Music Dataset: a folder of videos by class becomes clips of 1 s."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from avnb import media
from avnb.data.sources import (
    IMAGE_SUFFIXES,
    ClipSettings,
    Problem,
    Source,
    require_folder,
)
from avnb.data.splits import split_in_time
from avnb.errors import ClipsError, MediaError
from data_scripts import folder as any_folder
from data_scripts.truth_files import find_truth, read_units

NAME = "hmmd"
ABOUT = """
The Hand Motion Music Dataset (Kurmi et al. 2021): 77 videos of 7 instruments, cut into
6,229 clips of 1 s. It was never released, nor are its videos known. So this takes your
own videos, one sub-folder a class: FOLDER/CLASS/video.mp4.

A clip has the 25 frames of one second and 16,384 samples at 16 kHz, 1.024 s: what
WaveGAN makes. Clips begin a second apart, and the sound of each goes on 24 ms into the
next one, so that no silence is put in.

A video is in one split. Where a class has one video alone, its first part trains and
its last part is tested on, with 5 s between. --split clip deals single clips instead,
which puts near-twins on both sides: the paper's 80:20 may have been so. Use it to see
how much that leaks, and for nothing else.

Videos without sound, sounds below 16 kHz and single pictures are named and left out.
"""
SAMPLES = 16384  # of a clip
SAMPLE_RATE = 16000  # Hz (Sec. 4.1)
SETTINGS = ClipSettings(
    seconds=SAMPLES / SAMPLE_RATE, hop=1.0, fps=25.0, sample_rate=SAMPLE_RATE
)
VIDEOS = "HMMD"  # the sub-folder of the videos where truth/ lies beside it

# Table 2: class -> (videos, clips). The paper's "Frame" are clips: they sum to 6,229.
TABLE_2 = {
    "cello": (15, 1251),
    "tabla": (3, 317),
    "ghatam": (1, 454),
    "erhu": (12, 519),
    "acoustic_guitar": (11, 1041),
    "xylophone": (10, 800),
    "violin": (25, 1847),
}


def find_sources(
    folder: Path,
    settings: ClipSettings = SETTINGS,
    *,
    split: Annotated[
        Literal["video", "clip"], typer.Option(help="what is never in two splits")
    ] = "video",
    gap: Annotated[
        float, typer.Option(help="s left out where one video is cut in time")
    ] = 5.0,
    lowest_rate: Annotated[
        int, typer.Option(help="Hz; sounds of a lower rate are left out")
    ] = SAMPLE_RATE,
) -> tuple[list[Source], list[Problem]]:
    """Find the videos of each class, and divide them into train and test.

    Args:
        folder: CLASS/video.mp4, or the same below HMMD/; ``truth/`` beside HMMD/ is
            used where it is there (the bandstand's).
        settings: how clips will be cut.
        split: "video": no video, and nobody of whom it is known, is in two splits.
            "clip": no clip is.
        gap: s between the parts of a class's only video.
        lowest_rate: Hz; what was recorded below has nothing above half of it.

    Returns:
        The sources, and the problems: what cannot be used, and why.

    Raises:
        ClipsError: for a gap below 0, or a folder that is not there.
    """
    require_folder(folder)
    if not 0 <= gap < math.inf:
        raise ClipsError("gap", f"it is {gap}", "Give 0 or more, in s")
    inside = folder / VIDEOS if (folder / VIDEOS).is_dir() else folder
    # The script for anybody's folder finds the files, and which are copies.
    found, problems = any_folder.find_sources(inside, settings)
    units = read_units(folder)
    usable = []
    for source in found:
        duration = _check_source(source, lowest_rate, problems)
        if duration is None:
            continue
        name = source.video.stem
        usable.append(
            dataclasses.replace(
                source,
                duration=duration,
                truth=find_truth(folder, name),
                unit=units.get(name),
                # Nobody who is known plays in both splits.
                group=source.group or units.get(name),
            )
        )
    if split == "clip":
        return [part for one in usable for part in _cut_clips(one, settings)], problems
    return _divide(usable, settings, gap, problems), problems


def _check_source(
    source: Source, lowest_rate: int, problems: list[Problem]
) -> float | None:
    """The length of a video that can be used, s; None, and a problem, for another."""

    def leave_out(problem: str, remedy: str) -> None:
        problems.append(Problem(source.name, problem, remedy))

    if source.video.suffix.lower() in IMAGE_SUFFIXES:
        what = "it is a picture, in which nothing moves"
        leave_out(what, "Put a video in its place, or prepare it with avnb folder")
        return None
    try:
        seen = media.probe(source.video)
    except MediaError as error:
        leave_out(error.problem, error.remedy)
        return None
    if seen.sample_rate is None:
        leave_out("it has no sound", "Take a video with sound")
        return None
    if seen.sample_rate < lowest_rate:
        what = f"its sound has {seen.sample_rate} Hz, below {lowest_rate}"
        remedy = (
            "Take a better recording, or give --lowest-rate 8000 to use it as it is"
        )
        leave_out(f"{what}: the upper part of its spectrum is missing", remedy)
        return None
    return seen.duration


def _divide(
    sources: list[Source],
    settings: ClipSettings,
    gap: float,
    problems: list[Problem],
) -> list[Source]:
    """Leave videos whole, but cut in time what is the only one of its class."""
    by_label: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        by_label[source.label].append(source)
    divided: list[Source] = []
    for members in by_label.values():
        if len(members) > 1:
            # `prepare` deals them: by group, as many of each class as it can.
            divided += [dataclasses.replace(one, duration=None) for one in members]
            continue
        try:
            divided += split_in_time(members[0], settings, gap)
        except ClipsError as error:
            what = f"it is the only video of its class, and {error.problem}"
            remedy = "Add another video of the class, or a longer one"
            problems.append(Problem(members[0].name, what, remedy))
    return divided


def _cut_clips(source: Source, settings: ClipSettings) -> list[Source]:
    """Each clip of a video as a recording of its own: the split that leaks."""
    # Whole frames apart, and far enough that no two clips share a sample.
    step = math.ceil(settings.seconds * settings.fps - 1e-6) / settings.fps
    count = int(((source.duration or 0.0) - settings.seconds) / step + 1e-6) + 1
    return [
        dataclasses.replace(
            source,
            name=f"{source.name} [clip {k}]",
            recording=f"{source.name} [clip {k}]",
            unit=source.unit or source.group or source.recording,
            group=None,
            start=k * step,
            duration=settings.seconds,
            cut_in_time=True,
        )
        for k in range(count)
    ]


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
