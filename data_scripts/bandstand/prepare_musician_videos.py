"""The bandstand's musicians, written and read back as Sub-URMP-Video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avnb.data.sources import ClipSettings, Problem, Source
from avnb.errors import ClipsError
from data_scripts import sub_urmp_video

NAME = "musician_videos"
ABOUT = """
The bandstand's 13 instruments as Sub-URMP-Video: clips of one second, with the truth of
every moment. Nothing to download, no licence to mind.

They are written to --source in the layout of the released Sub-URMP, ten pairs a second,
and put together from there by avnb prepare sub_urmp_video. What is there already is not
written again.
"""
SETTINGS = sub_urmp_video.SETTINGS


def find_sources(
    folder: Path,
    settings: ClipSettings = SETTINGS,
    *,
    songs: Annotated[int, typer.Option(help="recordings an instrument")] = 8,
    length: Annotated[int, typer.Option(help="s of a recording, one clip each")] = 20,
    table1: Annotated[
        bool, typer.Option("--table1", help="as many clips as the paper's Table 1")
    ] = False,
    dry_run: bool = False,
) -> tuple[list[Source], list[Problem]]:
    """Write the recordings of ``settings.seed``, then find their clips.

    Args:
        folder: where they go, in the layout of the released Sub-URMP.
        settings: how clips will be cut; its seed is the world's.
        songs: recordings an instrument, all of one length.
        length: of each, whole s.
        table1: as many clips of each class and split as the paper had; `songs` and
            `length` then say nothing.
        dry_run: write nothing; only what is there already is found.

    Returns:
        The sources, and the problems.

    Raises:
        ClipsError: for settings that are out of range, or a folder of other settings.
    """
    # imported here: the command's help need not load the drawing library
    from data_scripts.bandstand.layouts import sub_urmp_video as layout

    if not dry_run:
        for name, value in (("songs", songs), ("length", length)):
            if value < 1:
                raise ClipsError(name, f"it is {value}", "Give 1 or more")
        plan = (
            layout.plan_table_1(settings.seed)
            if table1
            else layout.plan_songs(songs, length, settings.seed)
        )
        layout.write_sub_urmp_video(folder, plan, size=settings.size)
    if dry_run and not folder.is_dir():  # nothing has been drawn yet
        return [], []
    # The script of the real set reads what was drawn: the same code for both.
    return sub_urmp_video.find_sources(folder, settings)


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
