"""The bandstand's videos of 28 kinds of event, written and read back as AVE is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from avnb.data.sources import ClipSettings, Problem, Source
from data_scripts import ave

NAME = "events"
ABOUT = """
The bandstand's videos of 10 s with AVE's 28 kinds of event, drawn and synthesised, and
the truth of every moment. Nothing to download, no licence to mind.

They are written to --source in the layout of AVE as downloaded, and read from there as
AVE is. What is there already is not written again.
"""
# AVE's own but for the size: small pictures suffice for drawn things.
SETTINGS = replace(ave.SETTINGS, size=64)


def find_sources(
    folder: Path,
    settings: ClipSettings = SETTINGS,
    *,
    videos: Annotated[int, typer.Option(help="how many")] = 400,
    validation: Annotated[int, typer.Option(help="of them in the validation")] = 28,
    test: Annotated[int, typer.Option(help="of them in the test")] = 112,
    video_fps: Annotated[int, typer.Option(help="frames a second of the files")] = 8,
    clutter: Annotated[
        float, typer.Option(help="probability of each disturbance, 0 to 1")
    ] = 0.0,
    dry_run: bool = False,
) -> tuple[list[Source], list[Problem]]:
    """Write the videos of ``settings.seed``, then find their sources.

    Args:
        folder: where they go, in AVE's layout.
        settings: how clips will be cut; its seed is the world's.
        videos: how many in all.
        validation: of them in the validation split.
        test: of them in the test split.
        video_fps: frames a second of the files.
        clutter: the probability of each disturbance of a video, see `events.Clutter`.
        dry_run: write nothing; only what is there already is found.

    Returns:
        The sources, and the problems.

    Raises:
        ClipsError: for settings that are out of range, or a folder of other settings.
    """
    # imported here: the command's help need not load the drawing library
    from data_scripts.bandstand.layouts import write_ave

    if not dry_run:
        # Writes what is missing: a run that was stopped goes on.
        write_ave(
            folder,
            videos=videos,
            validation=validation,
            test=test,
            seed=settings.seed,
            fps=video_fps,
            # H.264 halves the colour's pixels; half as many again make up for it
            size=2 * round(0.75 * settings.size),
            clutter=clutter,
        )
    if dry_run and not folder.is_dir():  # nothing has been drawn yet
        return [], []
    # The script of the real set reads what was drawn: the same code for both.
    return ave.find_sources(folder, settings)


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
