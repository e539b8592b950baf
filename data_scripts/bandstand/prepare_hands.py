"""The bandstand's players whose hands move, written and read back as HMMD is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from avnb.data.sources import ClipSettings, Problem, Source
from avnb.errors import ClipsError
from data_scripts import hmmd

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
        plan = layout.plan_table_2(settings.seed)
        if not table2:
            if videos < 1:
                raise ClipsError("videos", f"it is {videos}", "Give 1 or more")
            chosen = [name for name in classes.split(",") if name] or [*hmmd.TABLE_2]
            plan = layout.plan_videos(chosen, videos, length, settings.seed)
        # H.264 halves the colour's pixels; half as many again make up for it
        size = 2 * round(0.75 * settings.size)
        layout.write_hmmd(folder, plan, fps=settings.fps, size=size)
    if dry_run and not folder.is_dir():  # nothing has been drawn yet
        return [], []
    # The script of the real set reads what was drawn: the same code for both.
    return hmmd.find_sources(folder, settings, split=split)


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
