"""The bandstand's slides of the alphabet, written and read back as Phonics is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avnb.data.sources import ClipSettings, Problem, Source
from data_scripts import phonics

NAME = "slides"
ABOUT = """
The bandstand's own Phonics: drawn slides of a letter, its object and its word, and a
song about them, with the truth of every frame. The object enters where its word begins.
Nothing to download, no licence to mind.

The films are written to --source in the layout that avnb prepare phonics reads, and
read from there as any folder is. What is there already is not written again.
"""
# The settings of the real thing, so that a series finds clips of the same shape.
SETTINGS = phonics.SETTINGS


def find_sources(
    folder: Path,
    settings: ClipSettings = SETTINGS,
    *,
    letters: Annotated[str, typer.Option(help="which; all if empty")] = "",
    sources: Annotated[
        int, typer.Option(help="source videos of one letter, for each letter")
    ] = 10,
    alphabets: Annotated[
        int, typer.Option(help="source videos of the whole alphabet")
    ] = 10,
    films: Annotated[int, typer.Option(help="of a source video of one letter")] = 4,
    words: Annotated[
        int, typer.Option(help="objects of each letter; 0: all that are drawn")
    ] = 0,
    split: phonics.Split = "source",
    stills: phonics.Stills = "keep",
    leaks: phonics.Leaks = "keep",
    dry_run: bool = False,
) -> tuple[list[Source], list[Problem]]:
    """Write the films of ``settings.seed``, then find their sources.

    Args:
        folder: where they go, in the layout of Phonics.
        settings: how clips will be cut; its seed is the world's.
        letters: which; all that are drawn if empty.
        sources: one-letter source videos of each letter.
        alphabets: whole-alphabet source videos.
        films: of a one-letter source video.
        words: of each letter; 0: all that are drawn.
        split: see `phonics.find_sources`, and so for `stills` and `leaks`.
        stills: what becomes of films in which nothing moves.
        leaks: what becomes of frames of another slide.
        dry_run: write nothing; only what is there already is found.

    Returns:
        The sources, and the problems.

    Raises:
        ClipsError: for settings that are out of range, or a folder of other settings.
    """
    # imported here: the command's help need not load the drawing library
    from data_scripts.bandstand.layouts import phonics as layout
    from data_scripts.bandstand.slide_words import WORDS

    if not dry_run:
        chosen = letters or "".join(WORDS)
        plan = layout.plan_films(
            chosen, sources, alphabets, films, settings.seed, words=words or None
        )
        # H.264 halves the colour's pixels; half as many again make up for it
        layout.write_phonics(folder, plan, size=2 * round(0.75 * settings.size))
    if dry_run and not folder.is_dir():  # nothing has been drawn yet
        return [], []
    # The script of the real set reads what was drawn: the same code for both.
    return phonics.find_sources(
        folder, settings, split=split, stills=stills, leaks=leaks
    )


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
