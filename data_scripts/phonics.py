"""Phonics: short films of a letter, its object and its song become clips of 32 frames.

Each file is named after the video that it was cut from, ``{source}_{k}.mp4``, and what
it shows stands in ``labels.csv`` beside the files.
"""

from __future__ import annotations

import csv
import dataclasses
import math
import re
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer
from jaxtyping import UInt8

from avnb import files, media
from avnb.data.sources import ClipSettings, Problem, Source, require_folder
from avnb.errors import ClipsError, MediaError
from data_scripts.truth_files import find_truth

NAME = "phonics"
ABOUT = """
Phonics (Aldausari et al. 2022): songs of the alphabet from YouTube, cut into 1,570
short films of 26 letters. Ten of them lie in the authors' repository,
NuhaAldausari/Cascaded-Siamese-Self-supervised-Audio-to-Video-GAN; its link to all of
them may be dead. So this takes a folder that you have: FOLDER/{source}_{k}.mp4, film k
of source video {source}.

No name says the letter. FOLDER/labels.csv does, with the columns clip, letter and, if
you know it, word: "62_5,A,ant". The authors keep these labels as metadata of their own.

Films of any rate and length become clips of 25 frames a second and 16 kHz. A video of
the paper has 32 frames; a clip has 3 more on both sides, whose sound is heard in its
first and last frames. A film that is shorter gives one clip: its last frame is held,
and the quantity `held` says where, so that no loss and no measure counts it.

Stills, and films that begin or end within another slide, are found and counted.
"""
FRAMES = 32  # of a video (Sec. 4.1)
BESIDE = 3  # frames on both sides whose sound is heard
FPS = 25.0
SETTINGS = ClipSettings(
    seconds=(FRAMES + 2 * BESIDE) / FPS,  # 1.52
    hop=FRAMES / FPS,  # the videos of a film follow each other
    fps=FPS,
    sample_rate=16000,
)
LABELS = "labels.csv"
COLUMNS = ("clip", "letter", "word")
NAMES = re.compile(r"(\d+)_(\d+)")

# Mean absolute difference of neighbouring frames, in grey levels of 255. Among the ten
# released films one is a still: it has 0.00, the others 0.14 to 4.72 on average.
STILL = 0.05
# A new slide changes the ground, so most pixels change by more than coding noise. An
# object that enters changes a quarter of them at most. Two slides with one ground
# cannot be told apart so, and such a leak is not found.
CHANGED = 8.0  # grey levels
CUT = 0.4  # share of the pixels
NEAR_END = 0.4  # s from an end within which a cut is a border that leaks


@dataclass(frozen=True)
class Label:
    """What a film shows: its letter A to Z, and its word where that is known."""

    letter: str
    word: str


# Options of this script, and of the one that draws the slides.
Split = Annotated[
    Literal["source", "word", "none"],
    typer.Option(help="what is never in two splits; none: all films are in both"),
]
Stills = Annotated[
    Literal["keep", "leave"], typer.Option(help="what becomes of stills")
]
Leaks = Annotated[
    Literal["keep", "cut"],
    typer.Option(help="keep frames of another slide at the ends, or cut them off"),
]


def find_sources(
    folder: Path,
    settings: ClipSettings = SETTINGS,
    *,
    split: Split = "source",
    stills: Stills = "keep",
    leaks: Leaks = "keep",
) -> tuple[list[Source], list[Problem]]:
    """Find the films, and what they show.

    Args:
        folder: ``{source}_{k}.mp4`` and ``labels.csv``; ``truth/`` beside them is used
            where it is there (the bandstand's).
        settings: how clips will be cut.
        split: "source": no source video is in two splits. "word": no word is; its
            letter, ground and voice may be. "none": every film trains and is tested
            on, as it may have been in the paper, which states no split.
        stills: "leave" leaves films out in which nothing moves.
        leaks: "cut" begins a film after the frames of another slide, and ends it
            before them.

    Returns:
        The sources, with a remark where a film is short, or a still, or leaks; and the
        problems: what cannot be used.

    Raises:
        ClipsError: there is no folder, no ``labels.csv``, or no table in it; or words
            are to be split and are not known.
    """
    require_folder(folder)
    labels = read_labels(folder)
    problems: list[Problem] = []
    sources = []
    films = sorted(folder.glob("*.mp4"), key=_sort_key)
    for path in films:
        label = _find_label(path, labels, problems)
        if label is None:
            continue
        if split == "word" and not label.word:
            raise ClipsError(
                folder / LABELS,
                f"it has no word for {path.stem}, so that words cannot be split",
                "Fill its column word, or give --split source",
            )
        found = _check_film(path, problems)
        if found is None or (stills == "leave" and found.still):
            continue
        source = dataclasses.replace(
            _make_source(folder, path, label, split),
            remarks=_describe_film(path, found, settings),
        )
        if leaks == "cut" and (found.first or found.last is not None):
            end = math.inf if found.last is None else found.last
            source = dataclasses.replace(
                source,
                start=found.first,
                duration=None if found.last is None else end - found.first,
            )
        sources.append(source)
    for name in sorted(labels.keys() - {path.stem for path in films}):
        remedy = "Copy the film into the folder, or delete its line"
        problems.append(
            Problem(name, f"{LABELS} names it, but it is not there", remedy)
        )
    return (repeat_as_test(sources) if split == "none" else sources), problems


def repeat_as_test(sources: list[Source]) -> list[Source]:
    """Let every source train, and test on it once more: no split at all."""
    train = [dataclasses.replace(one, split="train", group=None) for one in sources]
    again = [
        dataclasses.replace(
            one,
            name=f"{one.name} [again]",
            recording=f"{one.recording} [again]",
            split="test",
            repeated=True,
            remarks=(),  # said once
        )
        for one in train
    ]
    return train + again


def read_labels(folder: Path) -> dict[str, Label]:
    """Read ``labels.csv``: the name of a film without its suffix -> what it shows.

    Letters stand as they are written there; ``find_sources`` checks them one by one.

    Raises:
        ClipsError: there is no such file, or it is no table with these columns.
    """
    path = folder / LABELS
    if not path.is_file():
        raise ClipsError(
            path,
            "it is missing, and the names of the films do not say their letters",
            "Write one: the line clip,letter,word and then one line a film, such as "
            "62_5,A,ant (the authors' own labels come as metadata of the set)",
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            lines = list(table)
            if not {"clip", "letter"} <= set(table.fieldnames or ()):
                raise ValueError(f"its columns are {table.fieldnames}")
        labels: dict[str, Label] = {}
        for line in lines:
            name = (line["clip"] or "").strip().removesuffix(".mp4")
            if name in labels:
                raise ValueError(f"it names {name} twice")
            letter, word = line["letter"] or "", line.get("word") or ""
            labels[name] = Label(letter.strip().upper(), word.strip().lower())
    except (ValueError, csv.Error) as error:  # UnicodeDecodeError too
        raise ClipsError(
            path,
            f"it is no table of labels ({error})",
            "Write clip,letter,word as its first line, and one line a film",
        ) from error
    return labels


def write_labels(folder: Path, labels: dict[str, Label]) -> None:
    """Write ``labels.csv``; what `read_labels` reads."""
    with (
        files.atomic_path(folder / LABELS) as unfinished,
        unfinished.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for name, label in sorted(labels.items(), key=lambda one: _sort_key(one[0])):
            writer.writerow((name, label.letter, label.word))


def _sort_key(path: Path | str) -> tuple[int, int, str]:
    """Films by their numbers, so that 62_5 comes before 62_10."""
    name = Path(path).stem
    named = NAMES.fullmatch(name)
    first, second = (int(n) for n in named.groups()) if named else (0, 0)
    return first, second, name


def _find_label(
    path: Path, labels: dict[str, Label], problems: list[Problem]
) -> Label | None:
    """What a film shows; None, and a problem, where that is not known."""
    if not NAMES.fullmatch(path.stem):
        problem = "its name is not SOURCE_NUMBER.mp4"
        remedy = "Rename it: films of one source video have one source number"
    elif path.stem not in labels:
        problem, remedy = f"{LABELS} has no line for it", "Add one with its letter"
    elif (label := labels[path.stem]).letter in {*string.ascii_uppercase}:
        return label
    else:
        problem = f"its letter in {LABELS} is '{labels[path.stem].letter}'"
        remedy = "Give one of A to Z"
    problems.append(Problem(path.name, problem, remedy))
    return None


def _make_source(folder: Path, path: Path, label: Label, split: str) -> Source:
    """The source of one film; its unit is the source video, whatever the split."""
    number = path.stem.partition("_")[0]
    video = f"source {number}"
    return Source(
        name=path.name,
        recording=path.stem,
        label=label.letter,
        video=path,
        group=f"word {label.word}" if split == "word" else video,
        unit=video,
        truth=find_truth(folder, path.stem),
        hold=True,
    )


@dataclass(frozen=True)
class Film:
    """What the frames of a film say of it.

    Attributes:
        seconds: how long it is seen.
        still: whether nothing moves.
        first: s at which its own slide begins: above 0 where a border leaks.
        last: s at which its own slide ends; None: with the film.
    """

    seconds: float
    still: bool
    first: float
    last: float | None


def inspect_frames(frames: UInt8[np.ndarray, "T H W 3"], fps: float) -> Film:
    """Find out whether a film is a still, and whether its borders leak.

    Args:
        frames: all of its frames, small ones will do.
        fps: their rate.
    """
    grey = frames.astype(np.float32).mean(axis=3)
    # [k] is the change from frame k to frame k + 1.
    change = np.abs(np.diff(grey, axis=0))
    moved = change.mean(axis=(1, 2))
    # The first frame after each cut.
    cuts = 1 + np.flatnonzero((change > CHANGED).mean(axis=(1, 2)) > CUT)
    seconds = len(frames) / fps
    near = min(NEAR_END, seconds / 3)  # a short film must keep a middle
    before = [k for k in cuts if k / fps <= near]
    behind = [k for k in cuts if seconds - k / fps <= near]
    return Film(
        seconds,
        still=not len(moved) or float(moved.mean()) < STILL,
        first=float(before[-1] / fps) if before else 0.0,
        last=float(behind[0] / fps) if behind else None,
    )


def _check_film(path: Path, problems: list[Problem]) -> Film | None:
    """Look through a film; None, and a problem, where it cannot be used."""
    try:
        if "audio" in media.list_tracks(path):
            return inspect_frames(*media.read_frames(path, size=32))
        problem, remedy = "it has no sound", "Take a film with sound"
    except MediaError as error:
        problem = error.problem.replace(str(path), path.name)
        remedy = error.remedy
    problems.append(Problem(path.name, problem, remedy))
    return None


def _describe_film(
    path: Path, film: Film, settings: ClipSettings
) -> tuple[Problem, ...]:
    """What a reader should know of a film that is used all the same."""
    known: list[tuple[str, str]] = []
    if film.still:
        known.append(("it is a still: nothing moves", "--stills leave leaves it out"))
    if film.first or film.last is not None:
        what = "frames of another slide at its border"
        known.append((what, "--leaks cut cuts them off"))
    # Half a frame may be missing, as in `avnb.media`.
    if film.seconds < settings.seconds - 0.5 / settings.fps:
        what = f"{film.seconds:.2f} s, shorter than a clip of {settings.seconds} s"
        remedy = "Its last frame is held and masked; leave it out if you mind"
        known.append((what, remedy))
    return tuple(Problem(path.name, what, remedy) for what, remedy in known)


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
