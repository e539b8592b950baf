"""In place of INIS: any pictures paired with any sounds of the same class."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer

from avnb import media
from avnb.data.sources import (
    ClipSettings,
    Problem,
    Source,
    require_folder,
    walk_folders,
)
from avnb.data.splits import split_recordings
from avnb.errors import MediaError
from data_scripts.folder import find_kind

NAME = "inis"
ABOUT = """
INIS (Chen et al. 2017): ImageNet pictures of five instruments with solo recordings of
the same instruments. It was never released, nor the list of its recordings, so this
script pairs any folder of pictures with any folder of sounds, one sub-folder a class in
each (drum, guitar, piano, saxophone, violin, or your own). ImageNet allows research and
teaching, not passing its pictures on: https://image-net.org, registration needed.

Sounds and pictures are split first, each on its own, then paired within the split: no
sound and no picture is in both, not even as a copy under another name.
"""
SETTINGS = ClipSettings(seconds=0.5, fps=2.0)

# Other names of a class, in lower case with underscores.
ALIASES = {
    "sax": "saxophone",
    "drums": "drum",
    "acoustic_guitar": "guitar",
    "electric_guitar": "guitar",
    "grand_piano": "piano",
    "upright_piano": "piano",
    # ImageNet's synsets
    "n02676566": "guitar",
    "n03272010": "guitar",
    "n03249569": "drum",
    "n03452741": "piano",
    "n04515003": "piano",
    "n04141076": "saxophone",
    "n04536866": "violin",
}


def find_sources(
    folder: Path,
    settings: ClipSettings = SETTINGS,
    *,
    images: Annotated[
        Path | None,
        typer.Option(help="pictures, a sub-folder a class; SOURCE/images if not given"),
    ] = None,
    sounds: Annotated[
        Path | None,
        typer.Option(help="sounds, a sub-folder a class; SOURCE/sounds if not given"),
    ] = None,
) -> tuple[list[Source], list[Problem]]:
    """Make one source a clip of sound, each with the next picture of its class.

    Sounds and pictures are split before they are paired, so no file is in both splits.

    Args:
        folder: where `images` and `sounds` are by default.
        settings: how clips will be cut; its seed orders the pictures.
        images: pictures, a sub-folder a class.
        sounds: sounds, a sub-folder a class.

    Returns:
        The sources, and the problems: classes that one of the folders lacks or that
        are too small to test on, and sounds that cannot be read.
    """
    images = folder / "images" if images is None else images
    sounds = folder / "sounds" if sounds is None else sounds
    require_folder(images)
    require_folder(sounds)
    problems: list[Problem] = []
    # class -> files. Classes that only one side has are named and not used: a picture
    # of one class with a sound of another would teach nothing.
    images_of = _list_by_class(images, "image", problems)
    sounds_of = _list_by_class(sounds, "sound", problems)
    for label in sorted(images_of.keys() ^ sounds_of.keys()):
        lacking = sounds if label in images_of else images
        what = f"class {label!r} is missing here"
        problems.append(Problem(str(lacking), what, "Add a sub-folder of that name"))
    found = []
    for label in sorted(images_of.keys() & sounds_of.keys()):
        pictures = _split_files(images, label, images_of[label], settings)
        recordings = _split_files(sounds, label, sounds_of[label], settings)
        # A split with sounds and no pictures, or the reverse, cannot be paired. Then
        # the whole class trains.
        paired = pictures["test"] and recordings["test"]
        if settings.test_fraction > 0 and not paired:
            what = "one picture or one sound is not enough to test on"
            problems.append(Problem(f"class {label}", what, "Add another"))
            pictures = {"train": images_of[label], "test": []}
            recordings = {"train": sounds_of[label], "test": []}
        # The pictures are shared out anew in each split, so a picture goes to sounds of
        # its own split only.
        for split, members in recordings.items():
            found += _pair(
                sounds, label, split, members, pictures[split], settings, problems
            )
    if not found:
        what = "no class with pictures and sounds"
        remedy = "Make images/CLASS and sounds/CLASS"
        problems.append(Problem(str(folder), what, remedy))
    return found, problems


def _list_by_class(
    folder: Path, kind: str, problems: list[Problem]
) -> dict[str, list[Path]]:
    """Class -> its files of a kind, 'image' or 'sound', in the order of their paths."""
    paths = []
    # Files that lie in the folder itself have no class, and hidden ones are no media.
    for inside in walk_folders(folder, problems):
        for path in inside.iterdir():
            if inside == folder or path.is_dir() or path.name.startswith("."):
                continue
            name = path.relative_to(folder).as_posix()
            try:
                if (found := find_kind(path)) == kind:
                    paths.append(path)
                else:
                    what = f"left out: it is a {found}, not a {kind}"
                    problems.append(Problem(name, what, "Put it elsewhere"))
            except MediaError as error:
                what = error.problem.replace(str(path), path.name)
                problems.append(Problem(name, f"left out: {what}", error.remedy))
    classes: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(paths):
        # The first sub-folder is the class at any depth below it, written as the keys
        # of `ALIASES` are.
        first = path.relative_to(folder).parts[0].lower().replace(" ", "_")
        classes[ALIASES.get(first, first)].append(path)
    return classes


def _split_files(
    folder: Path, label: str, paths: list[Path], settings: ClipSettings
) -> dict[str, list[Path]]:
    """Split -> its files. Files of the same content stay together."""
    # The splitting of the library works on sources. Here each file is one, and files of
    # the same bytes share a group by their hash, so that a copy under another name goes
    # along.
    units = [
        Source(
            path.relative_to(folder).as_posix(),
            str(path),
            label,
            path,
            group=_hash_file(path),
        )
        for path in paths
    ]
    recordings, _ = split_recordings(units, settings)
    split: dict[str, list[Path]] = {"train": [], "test": []}
    # a seeded order: where there are more pictures than clips, the first ones are used
    for unit in sorted(units, key=lambda u: _hash_text(f"{settings.seed} {u.name}")):
        split[recordings[unit.recording]].append(unit.video)
    return split


def _pair(
    folder: Path,
    label: str,
    split: str,
    sounds: list[Path],
    pictures: list[Path],
    settings: ClipSettings,
    problems: list[Problem],
) -> list[Source]:
    """The sources of one class and split: each clip of each sound takes a picture."""
    found: list[Source] = []
    # In the order of the names, since `found` counts which picture is next.
    for sound in sorted(sounds):
        recording = sound.relative_to(folder).as_posix()
        try:
            # A length that is not known counts as 0: the sound then becomes one source
            # without a span, and what preparing finds of it is used or named.
            duration = media.probe(sound).duration or 0.0
        except MediaError as error:
            problems.append(Problem(recording, error.problem, error.remedy))
            continue
        # 1e-3: a length that is written as 9.9999 s still holds ten clips of 1 s
        clips = math.floor((duration - settings.seconds) / settings.step + 1e-3) + 1
        # The picture only holds the place: each clip below gets its own.
        one = Source(recording, recording, label, pictures[0], sound, split=split)
        if clips < 1:
            found.append(one)  # too short for a clip: preparing it says so
        for k in range(clips):
            start = k * settings.step
            found.append(
                dataclasses.replace(
                    one,
                    # Names must be unique, and one sound gives many sources. They share
                    # the recording, so no split cuts the sound.
                    name=f"{recording}@{start:.3f}",
                    # The pictures take turns over all sounds of the class, and not from
                    # the first one again in each sound: every picture is used about
                    # equally often.
                    video=pictures[len(found) % len(pictures)],
                    start=start,
                    duration=settings.seconds,
                )
            )
    return found


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash_text(text: str) -> str:
    # Not Python's own hash(): that differs from process to process.
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
