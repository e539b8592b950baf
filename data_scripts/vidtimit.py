"""VidTIMIT: numbered frames and one sound a sentence become clips of 32 frames."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from avnb import files, media
from avnb.data.sources import (
    ClipSettings,
    Problem,
    SoundPiece,
    Source,
    require_folder,
    shorten_list,
)
from avnb.errors import ClipsError, MediaError
from data_scripts.phonics import SETTINGS, repeat_as_test
from data_scripts.truth_files import find_truth

__all__ = ["ABOUT", "NAME", "SETTINGS", "find_sources"]

NAME = "vidtimit"
ABOUT = """
VidTIMIT (Sanderson and Lovell 2009): 43 persons speak 10 sentences each, two of which
everybody speaks. One zip file a person, from the set's own page,
conradsanderson.id.au/vidtimit. Unpack them into one folder:

FOLDER/{person}/video/{sentence}/001, 002, ...: a JPEG a frame, without suffix, 25 a
second, 512 x 384. FOLDER/{person}/audio/{sentence}.wav: mono, 32 kHz.

The folders head, head2 and head3 show a person who turns the head and says nothing.
They have no sound and are left out.

A video of the paper has 32 frames; a clip has 3 more on both sides, whose sound is
heard in its first and last frames. The class of a clip is the person.

--split sentence: every person is known, and some of the sentences are new. --split
person: some persons are new, and the class, which says which person it is, then means
nothing for them. --split none: all sentences train and are tested on, as it may have
been in the paper.
"""
RATE = 25.0  # frames a second of the recordings
PERSONS, SENTENCES = 43, 10
SILENT = re.compile(r"head\d*")
FRAME = re.compile(r"(\d+)(\.jpe?g|\.png)?", re.IGNORECASE)


def find_sources(
    folder: Path,
    settings: ClipSettings = SETTINGS,
    *,
    split: Annotated[
        Literal["sentence", "person", "none"],
        typer.Option(help="what is never in two splits; none: all are in both"),
    ] = "sentence",
) -> tuple[list[Source], list[Problem]]:
    """Find the sentences of each person, and cut them into clips.

    Args:
        folder: a folder a person; ``truth/`` beside them is used where it is there (the
            bandstand's).
        settings: how clips will be cut; 25 frames a second, as the recordings have.
        split: see `ABOUT`.

    Returns:
        A source for each clip, and the problems: folders that are left out, and why.
        Folders of turning heads, and short sentences, are remarks.

    Raises:
        ClipsError: no such folder, or another rate of frames.
    """
    require_folder(folder)
    if settings.fps != RATE:
        raise ClipsError(
            "fps",
            f"it is {settings.fps:g}, and the recordings have {RATE:g} frames a second",
            f"Give --fps {RATE:g}",
        )
    problems: list[Problem] = []
    # person -> sentence -> its clips
    found: dict[str, dict[str, list[Source]]] = {}
    silent: list[str] = []
    for person in sorted(p for p in folder.iterdir() if _may_be_person(p)):
        sentences = _find_sentences(folder, person, settings, silent, problems)
        if sentences:
            found[person.name] = sentences
    if not found:
        what = "no folder of a person with video/ and audio/ in it"
        problems.append(
            Problem(folder.name, what, "Unpack the persons' zip files here")
        )
    sources = [
        dataclasses.replace(one, split=part)
        for person, sentences in found.items()
        for sentence, clips in sentences.items()
        for part in [_choose_split(found, person, sentence, split, settings)]
        for one in clips
    ]
    if silent and sources:
        what = f"{len(silent)} folders of turning heads, which have no sound, left out"
        remark = Problem(shorten_list(silent), what, "Nothing to do")
        sources[0] = dataclasses.replace(
            sources[0], remarks=(remark, *sources[0].remarks)
        )
    return (repeat_as_test(sources) if split == "none" else sources), problems


def _may_be_person(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".") and path.name != "truth"


def _choose_split(
    found: dict[str, dict[str, list[Source]]],
    person: str,
    sentence: str,
    split: str,
    settings: ClipSettings,
) -> str:
    """The split of one sentence of one person."""
    if split == "none":
        return "train"
    if split == "person":
        tested = _draw(sorted(found), settings)
        return "test" if person in tested else "train"
    return "test" if sentence in _draw_sentences(found, settings) else "train"


def _draw(names: Sequence[str], settings: ClipSettings) -> set[str]:
    """The first names in the order of a hash: those that are tested on."""
    # As `avnb.data.splits` deals recordings; a new name moves at most one other.
    ranked = sorted(names, key=lambda n: (files.hash_values(settings.seed, n), n))
    count = round(settings.test_fraction * len(ranked))
    if settings.test_fraction > 0:
        count = min(max(count, 1), len(ranked) - 1)
    return set(ranked[:count])


def _draw_sentences(
    found: dict[str, dict[str, list[Source]]], settings: ClipSettings
) -> set[str]:
    """Sentences to test on: no text is in both splits, and everybody is in both.

    A sentence may be spoken by several persons. It is taken where each of them still
    has others to train on, and somebody has none to be tested on yet.
    """
    speakers: dict[str, set[str]] = defaultdict(set)
    for person, sentences in found.items():
        for sentence in sentences:
            speakers[sentence].add(person)
    wanted = {
        person: _count_tested(len(sentences), settings)
        for person, sentences in found.items()
    }
    taken: set[str] = set()
    ranked = sorted(speakers, key=lambda n: (files.hash_values(settings.seed, n), n))
    # Those of few speakers first: what everybody says would test all at once.
    for sentence in sorted(ranked, key=lambda name: len(speakers[name])):
        if all(wanted[person] > 0 for person in speakers[sentence]):
            taken.add(sentence)
            for person in speakers[sentence]:
                wanted[person] -= 1
    return taken


def _count_tested(sentences: int, settings: ClipSettings) -> int:
    """How many of a person's sentences are tested on: at least one, never all."""
    count = round(settings.test_fraction * sentences)
    return min(max(count, 1), sentences - 1) if settings.test_fraction > 0 else 0


def _find_sentences(
    folder: Path,
    person: Path,
    settings: ClipSettings,
    silent: list[str],
    problems: list[Problem],
) -> dict[str, list[Source]]:
    """The sentences of a person that can be used: name -> its clips."""
    video = person / "video"
    if not video.is_dir():
        remedy = "Unpack the person's zip file again, or delete the folder"
        problems.append(Problem(person.name, "it has no folder video/", remedy))
        return {}
    folders = sorted(p for p in video.iterdir() if p.is_dir())
    found: dict[str, list[Source]] = {}
    for sentence in folders:
        if SILENT.fullmatch(sentence.name):
            silent.append(f"{person.name}/{sentence.name}")
            continue
        clips = _cut_sentence(folder, person, sentence, settings, problems)
        if clips:
            found[sentence.name] = clips
    if not folders:
        remedy = "Unpack the person's zip file again, or delete the folder"
        problems.append(Problem(person.name, "its video/ holds no frames", remedy))
    return found


def _cut_sentence(
    folder: Path,
    person: Path,
    sentence: Path,
    settings: ClipSettings,
    problems: list[Problem],
) -> list[Source]:
    """The clips of one sentence; none, and a problem, where it cannot be used."""
    name = f"{person.name}/{sentence.name}"

    def leave_out(problem: str, remedy: str) -> list[Source]:
        problems.append(Problem(name, problem, remedy))
        return []

    numbered = {
        int(match[1]): path
        for path in sentence.iterdir()
        if (match := FRAME.fullmatch(path.name)) and path.is_file()
    }
    again = "Unpack the person's zip file again"
    if not numbered:
        return leave_out("it holds no frames 001, 002, ...", again)
    # The first is 001, with which the sound begins; 000 would be one more before it.
    first, last = min({1, *numbered}), max(numbered)
    missing = [f"{k:03d}" for k in range(first, last + 1) if k not in numbered]
    if missing:
        # What comes behind would be seen too early, so the sentence is not used.
        listed = shorten_list(missing)
        return leave_out(f"{len(missing)} frames are missing within ({listed})", again)
    sound = person / "audio" / f"{sentence.name}.wav"
    if not sound.is_file():
        return leave_out(f"there is no audio/{sentence.name}.wav", again)
    try:
        heard = media.probe(sound).duration
    except MediaError as error:
        return leave_out(error.problem.replace(str(sound), sound.name), error.remedy)
    # Frame 001 is seen from the start of the sound on. Both end together within a few
    # frames; a clip ends with the shorter.
    whole = min(len(numbered), math.floor((heard or math.inf) * RATE + 0.5))
    frames = [numbered[k] for k in range(first, first + whole)]
    remarks: tuple[Problem, ...] = ()
    if whole < settings.frames:
        what = f"it has {whole} frames, and a clip has {settings.frames}"
        remarks = (Problem(name, what, "Its last frame is held and masked"),)
    step = round(settings.step * RATE)
    starts = range(0, max(1, whole - settings.frames + 1), step)
    clips = [
        _make_clip(folder, person.name, name, sound, frames, k, settings)
        for k in starts
    ]
    return [dataclasses.replace(clips[0], remarks=remarks), *clips[1:]]


def _make_clip(
    folder: Path,
    person: str,
    name: str,
    sound: Path,
    frames: Sequence[Path],
    begin: int,
    settings: ClipSettings,
) -> Source:
    """One clip of a sentence: its frames, and the part of the sound."""
    shown = tuple(frames[begin : begin + settings.frames])
    start = begin / RATE
    piece = SoundPiece(sound, start, len(shown) / RATE)
    return Source(
        name=f"{name} at {start:g} s",
        recording=name,
        label=person,
        video=shown[0],
        audio=sound,
        offset=start,
        unit=person,
        truth=find_truth(folder, name.replace("/", "_")),
        pictures=shown,
        pieces=(piece,),
        hold=True,
    )


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
