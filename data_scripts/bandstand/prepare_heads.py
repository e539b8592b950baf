"""The bandstand's speaking heads, written and read back as VidTIMIT is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from avnb.data.sources import ClipSettings, Problem, Source
from data_scripts import vidtimit

NAME = "heads"
ABOUT = """
The bandstand's own VidTIMIT: 43 drawn persons who say 10 sentences each, two of which
everybody says, with the truth of every frame: how far the mouth is open, how the lips
are, and which phone is said. Nothing to download, no licence to mind.

The frames are written to --source in the layout that avnb prepare vidtimit reads, and
read from there as any folder is. What is there already is not written again.
"""
# The settings of the real thing, so that a series finds clips of the same shape.
SETTINGS = vidtimit.SETTINGS


def find_sources(
    folder: Path,
    settings: ClipSettings = SETTINGS,
    *,
    persons: Annotated[int, typer.Option(help="who speak")] = vidtimit.PERSONS,
    sentences: Annotated[int, typer.Option(help="of each")] = vidtimit.SENTENCES,
    height: Annotated[
        int, typer.Option(help="of a frame, pixels; 0: half as much again as --size")
    ] = 0,
    split: Annotated[
        Literal["sentence", "person", "none"],
        typer.Option(help="what is never in two splits; none: all are in both"),
    ] = "sentence",
    dry_run: bool = False,
) -> tuple[list[Source], list[Problem]]:
    """Write the persons of ``settings.seed``, then find their sources.

    Args:
        folder: where they go, in the layout of VidTIMIT.
        settings: how clips will be cut; its seed is the world's.
        persons: how many.
        sentences: of each.
        height: of a frame, pixels; VidTIMIT has 384.
        split: see `vidtimit.find_sources`.
        dry_run: write nothing; only what is there already is found.

    Returns:
        The sources, and the problems.

    Raises:
        ClipsError: for settings that are out of range, or a folder of other settings.
    """
    # imported here: the command's help need not load the drawing library
    from data_scripts.bandstand.layouts import vidtimit as layout

    if not dry_run:
        layout.write_vidtimit(
            folder,
            persons=persons,
            sentences=sentences,
            seed=settings.seed,
            size=height or 2 * round(0.75 * settings.size),
        )
    if dry_run and not folder.is_dir():  # nothing has been drawn yet
        return [], []
    # The script of the real set reads what was drawn: the same code for both.
    return vidtimit.find_sources(folder, settings, split=split)


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
