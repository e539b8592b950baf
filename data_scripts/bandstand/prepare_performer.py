"""One long video of a performer of the bandstand, read back as any video is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from avnb.data.sources import ClipSettings, Problem, Source
from data_scripts import single_video

NAME = "performer"
ABOUT = """
One long video of the bandstand: a cello (melodic), a quintet (harmonic), drums
(percussive) or a talking head (speaking), with the truth of every moment. Nothing to
download, no licence to mind.

It is written to --source as PERFORMER.mp4, with truth/ beside it, and read from there
as any single video is. What is there already is not written again.
"""
# The settings of the real thing, so that a series finds clips of the same shape.
SETTINGS = single_video.SETTINGS


def find_sources(
    folder: Path,
    settings: ClipSettings = SETTINGS,
    *,
    performer: Annotated[
        # As text once more, because importing `performers.PERFORMERS` would load the
        # drawing library for the command's help.
        Literal["melodic", "harmonic", "percussive", "speaking"],
        typer.Option(help="who is seen and heard"),
    ] = "melodic",
    length: Annotated[float, typer.Option(help="s of the video")] = 240.0,
    player: Annotated[int, typer.Option(help="which person: any number")] = 6,
    dry_run: bool = False,
) -> tuple[list[Source], list[Problem]]:
    """Write the video of ``settings.seed``, then find its two parts.

    Args:
        folder: where it goes, as PERFORMER.mp4.
        settings: how clips will be cut; its seed is the world's.
        performer: who is seen and heard.
        length: of the video, s.
        player: which person: any number.
        dry_run: write nothing; only what is there already is found.

    Returns:
        The sources, and no problems.

    Raises:
        ClipsError: for settings that are out of range, or a folder of other settings.
    """
    # imported here: the command's help need not load the drawing library
    from data_scripts.bandstand.layouts import write_video

    if not dry_run:
        # Writes what is missing: a video that is there with its mark is left alone.
        write_video(
            folder,
            performer=performer,
            seconds=length,
            seed=settings.seed,
            player=player,
            fps=settings.fps,
            size=2 * settings.size,  # H.264 halves the colour's pixels
        )
    if dry_run and not folder.is_dir():  # nothing has been drawn yet
        return [], []
    # The script for any video reads what was drawn: the same code for both.
    return single_video.find_sources(folder, settings)


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
