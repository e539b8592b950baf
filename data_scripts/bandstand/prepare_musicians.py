"""The bandstand's musicians, written as a real set's files and read back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer

from avnb.data.sources import ClipSettings, Problem, Source
from data_scripts import sub_urmp, urmp

NAME = "bandstand"
ABOUT = """
The bandstand: 13 instruments played and drawn by this package, with the truth of every
moment (pitch, loudness, onsets, pose). Nothing to download, no licence to mind.

It is written to --source in the layout of a real set (released Sub-URMP, or URMP), and
read from there by that set's own script. What is there already is not written again.
"""
# The settings of the real thing, so that a series finds clips of the same shape.
SETTINGS = sub_urmp.SETTINGS


def find_sources(
    folder: Path,
    settings: ClipSettings = SETTINGS,
    *,
    songs: Annotated[
        int, typer.Option(help="recordings an instrument; of URMP: pieces")
    ] = 8,
    length: Annotated[float, typer.Option(help="s of a recording")] = 20.0,
    step: Annotated[
        int, typer.Option(help="ms between the pairs written; 100 as released")
    ] = 500,
    layout: Annotated[
        Literal["sub_urmp", "urmp"], typer.Option(help="the real set it looks like")
    ] = "sub_urmp",
    dry_run: bool = False,
) -> tuple[list[Source], list[Problem]]:
    """Write the recordings of ``settings.seed``, then find their sources.

    Args:
        folder: where they go, in the layout of a real set.
        settings: how clips will be cut; its seed is the world's.
        songs: recordings an instrument; in URMP's layout, pieces.
        length: of a recording, s.
        step: ms between the pairs that are written; Sub-URMP's layout alone.
        layout: which real set it looks like.
        dry_run: write nothing; only what is there already is found.

    Returns:
        The sources, and the problems.

    Raises:
        ClipsError: for settings that are out of range, or a folder of other settings.
    """
    # imported here: the command's help need not load the drawing library
    from data_scripts.bandstand.layouts import write_sub_urmp, write_urmp

    seed, size = settings.seed, settings.size
    # A reused take is what a split by piece would leak, so the drawn URMP has one, too.
    # It needs two pieces.
    if not dry_run and layout == "urmp":
        write_urmp(
            folder, pieces=songs, seconds=length, seed=seed, reused_take=songs > 1
        )
    elif not dry_run:
        write_sub_urmp(
            folder, songs=songs, seconds=length, seed=seed, step_ms=step, size=size
        )
    if dry_run and not folder.is_dir():  # nothing has been drawn yet
        return [], []
    # The script of the real set reads what was drawn: the same code for both.
    if layout == "urmp":
        return urmp.find_sources(folder, settings)
    # All pairs that were written are kept: both count from a song's first pair.
    return sub_urmp.find_sources(folder, settings, every=step)


def redraw(
    recordings: Sequence[str],
    times: Sequence[float],
    settings: ClipSettings,
    *,
    without: Literal["", "instrument", "player"],
    songs: int,
    length: float,
) -> np.ndarray:
    """Draw pictures of Sub-URMP's layout again: see `layouts.sub_urmp.redraw`."""
    from data_scripts.bandstand.layouts import sub_urmp as layout

    return layout.redraw(
        recordings,
        times,
        songs=songs,
        length=length,
        seed=settings.seed,
        size=settings.size,
        without=without,
    )


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
