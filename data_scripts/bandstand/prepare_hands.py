"""The bandstand's players whose hands move, written and read back as HMMD is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import typer

from avnb.data.sources import ClipSettings, Problem, Source
from avnb.errors import ClipsError
from data_scripts import hmmd

if TYPE_CHECKING:
    from data_scripts.bandstand.layouts.hmmd import Video

NAME = "hands"
ABOUT = """
The bandstand's own Hand Motion Music Dataset: tabla, ghatam, erhu, acoustic guitar,
xylophone, cello and violin, whose hands move when they are heard, with the truth of
every frame. Nothing to download, no licence to mind.

The videos are written to --source in the layout that avnb prepare hmmd reads, and read
from there as any folder is. What is there already is not written again.
"""
# The settings of the real thing, so that a series finds clips of the same shape.
SETTINGS = hmmd.SETTINGS


def find_sources(
    folder: Path,
    settings: ClipSettings = SETTINGS,
    *,
    classes: Annotated[
        str, typer.Option(help="instruments with commas between; all seven if empty")
    ] = "",
    videos: Annotated[int, typer.Option(help="of each class, one a person")] = 40,
    length: Annotated[int, typer.Option(help="s of a video, one clip each")] = 18,
    table2: Annotated[
        bool, typer.Option("--table2", help="videos and clips of the paper's Table 2")
    ] = False,
    split: Annotated[
        Literal["video", "clip"], typer.Option(help="what is never in two splits")
    ] = "video",
    dry_run: bool = False,
) -> tuple[list[Source], list[Problem]]:
    """Write the videos of ``settings.seed``, then find their sources.

    Args:
        folder: where they go, in the layout of HMMD.
        settings: how clips will be cut; its seed is the world's, its rate of frames
            the videos'.
        classes: which instruments, with commas between; empty: all seven.
        videos: of each class.
        length: of each video, whole s.
        table2: as many videos and clips of each class as the paper had; `classes`,
            `videos` and `length` then say nothing.
        split: see `hmmd.find_sources`.
        dry_run: write nothing; only what is there already is found.

    Returns:
        The sources, and the problems.

    Raises:
        ClipsError: for settings that are out of range, or a folder of other settings.
    """
    # imported here: the command's help need not load the drawing library
    from data_scripts.bandstand.layouts import hmmd as layout

    if not dry_run:
        plan = _plan(settings, classes, videos, length, table2)
        # H.264 halves the colour's pixels; half as many again make up for it
        size = 2 * round(0.75 * settings.size)
        layout.write_hmmd(folder, plan, fps=settings.fps, size=size)
    if dry_run and not folder.is_dir():  # nothing has been drawn yet
        return [], []
    # The script of the real set reads what was drawn: the same code for both.
    return hmmd.find_sources(folder, settings, split=split)


def _plan(
    settings: ClipSettings, classes: str, videos: int, length: int, table2: bool
) -> dict[str, Video]:
    """The videos that the options ask for."""
    from data_scripts.bandstand.layouts import hmmd as layout

    if table2:
        return layout.plan_table_2(settings.seed)
    if videos < 1:
        raise ClipsError("videos", f"it is {videos}", "Give 1 or more")
    chosen = [name for name in classes.split(",") if name] or [*hmmd.TABLE_2]
    return layout.plan_videos(chosen, videos, length, settings.seed)


def redraw(
    recordings: Sequence[str],
    times: Sequence[float],
    settings: ClipSettings,
    *,
    without: Literal["", "instrument", "player"],
    classes: str = "",
    videos: int = 40,
    length: int = 18,
    table2: bool = False,
) -> np.ndarray:
    """Draw frames of the embedded data again: uint8 (n, size, size, 3).

    Args:
        recordings: the recording of each frame, CLASS/VIDEO.mp4.
        times: where each begins, s of its recording.
        settings: how clips were cut.
        without: what is left out; "" draws all.
        classes: as in `find_sources`, and so are those after it.
        videos: of each class.
        length: of each video.
        table2: whether the numbers are Table 2's.
    """
    from data_scripts.bandstand.layouts import hmmd as layout

    plan = _plan(settings, classes, videos, length, table2)
    # A part of a video that was cut in time has the times in its name.
    names = [Path(name.partition(" [")[0]).stem for name in recordings]
    takes = {
        name: layout.record_video(plan[name], settings.fps)
        for name in dict.fromkeys(names)
    }
    return np.stack(
        [
            takes[name].draw(float(t), settings.size, without)
            for name, t in zip(names, times, strict=True)
        ]
    )


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
