"""Slides in the layout of `data_scripts.phonics`: ``{source}_{k}.mp4``, labels.csv."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path

import numpy as np

from avnb.errors import ClipsError
from avnb.media import write_frames
from data_scripts import phonics
from data_scripts.bandstand.layouts.recordings import (
    WORLD,
    Job,
    Settings,
    check_picture,
    write_missing,
    write_truth,
)
from data_scripts.bandstand.slide_words import WORDS
from data_scripts.bandstand.slides import Film, SlideTake
from data_scripts.bandstand.world import make_generator

RATE = 44100  # Hz, of the released films, whose sound has two channels
TRUTH_RATE = 100  # rows a second: films have several rates, and none is a multiple
FIRST_SOURCE = 62  # the released one-letter videos have numbers from about 62 on
# Lengths in frames: the released films have 40 to 128, the paper says 14 to 100.
SHORT, LONG = (14, 36), (40, 128)
SHARES = {"short": 0.08, "still": 0.07, "leak": 0.10}


def plan_films(
    letters: str,
    sources: int,
    alphabets: int,
    films: int,
    seed: int,
    *,
    words: int | None = None,
) -> dict[str, Film]:
    """Plan the films of one-letter source videos, and of whole-alphabet ones.

    A source video's look, voice and tune are drawn from its number alone, so that they
    tell no letter across source videos. Within one they do, as in the paper's set.

    Args:
        letters: which, such as "ABC".
        sources: one-letter source videos of each letter.
        alphabets: source videos that hold one film of each letter.
        films: of each one-letter source video.
        seed: of the world.
        words: of each letter, at most; None: all that are drawn.

    Returns:
        The name of each film -> what it shows.

    Raises:
        ClipsError: an unknown letter, or nothing to draw.
    """
    letters = "".join(dict.fromkeys(letters.upper()))
    if unknown := set(letters) - set(WORDS):
        raise ClipsError(
            f"letter {min(unknown)!r}", "nobody has drawn its objects",
            f"Give some of {''.join(WORDS)}",
        )  # fmt: skip
    if not letters or min(sources, alphabets) < 0 or sources + alphabets < 1:
        raise ClipsError(
            "films", "there is nothing to draw", "Give a letter and a source or more"
        )
    for name, count in (("films", films), ("words", 1 if words is None else words)):
        if count < 1:
            raise ClipsError(name, f"it is {count}", "Give 1 or more")
    known = {k: len(WORDS[k]) if words is None else words for k in letters}
    plan = {}
    for number in range(1, alphabets + 1):
        for k, letter in enumerate(letters):
            # Another word of a letter in each alphabet.
            plan[f"{number}_{k}"] = _plan_film(known, number, letter, number, k, seed)
    number = FIRST_SOURCE
    for letter in letters:
        for _ in range(sources):
            for k in range(films):
                plan[f"{number}_{k}"] = _plan_film(known, number, letter, k, k, seed)
            number += 1
    return plan


def _plan_film(
    known: dict[str, int], source: int, letter: str, word: int, k: int, seed: int
) -> Film:
    """Draw what is one film's own; `known` is how many words each letter has."""
    rng = make_generator("slides", seed, source, k)
    words = min(known[letter], len(WORDS[letter]))
    # Words are dealt in turn, beginning anywhere.
    word = (word + int(make_generator("words", seed, source).integers(words))) % words
    film = Film(
        source, letter, word, int(rng.integers(1 << 31)), seed,
        frames=int(rng.integers(LONG[0], LONG[1] + 1)),
    )  # fmt: skip
    kind = float(rng.random())
    leak, others = int(rng.integers(2, 7)), [x for x in known if x != letter]
    length = int(rng.integers(SHORT[0], SHORT[1] + 1))
    if kind < SHARES["short"]:
        return dataclasses.replace(film, frames=length, short=True)
    if kind < SHARES["short"] + SHARES["still"]:
        return dataclasses.replace(film, still=True)
    if kind < sum(SHARES.values()) and others:
        # More often the slide before is left at the start than the next at the end.
        side = 1 if rng.random() < 0.7 else -1
        neighbour = others[int(rng.integers(len(others)))]
        return dataclasses.replace(film, leak=side * leak, neighbour=neighbour)
    return film


def write_phonics(
    folder: str | os.PathLike[str],
    plan: dict[str, Film],
    *,
    size: int = 96,
    workers: int | None = None,
) -> int:
    """Write the films of a plan, ``labels.csv``, and the truth.

    Films that are there already are left alone.

    Args:
        folder: where films, ``labels.csv`` and ``truth/`` go.
        plan: of `plan_films`.
        size: pixels a side, even.
        workers: processes; None = one a core.

    Returns:
        How many films were written.

    Raises:
        ClipsError: an odd size, or a folder that holds films of other settings.
    """
    check_picture(size, 1)
    root = Path(folder)
    settings = {"layout": "phonics", "world": WORLD, "size": size}
    # What decides every film, as JSON holds it.
    settings["films"] = {
        name: [*dataclasses.astuple(film)] for name, film in plan.items()
    }
    jobs: dict[str, Job] = {name: (name, film) for name, film in plan.items()}
    written = write_missing(root, settings, jobs, _write_film, workers)
    labels = {
        name: phonics.Label(film.letter, WORDS[film.letter][film.word].text)
        for name, film in plan.items()
    }
    phonics.write_labels(root, labels)
    return written


def _write_film(root: Path, settings: Settings, job: Job) -> None:
    """Write one film and its truth."""
    name, film = job
    take = SlideTake(film)
    times = np.arange(film.frames) / take.fps
    pictures = (take.draw(float(t), settings["size"]) for t in times)
    sound = np.stack([take.synthesise(RATE)] * 2)
    write_frames(root / f"{name}.mp4", pictures, sound, take.fps, RATE)
    rows = np.arange(math.ceil(take.duration * TRUTH_RATE)) / TRUTH_RATE
    write_truth(root, name, {"time": rows} | take.measure(rows))
