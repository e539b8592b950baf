"""Anybody's own recordings: one sub-folder a class."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from pathlib import Path

from avnb import media
from avnb.data.sources import (
    IMAGE_SUFFIXES,
    ClipSettings,
    Problem,
    Source,
    require_folder,
    walk_folders,
)
from avnb.data.splits import group_duplicates
from avnb.errors import MediaError

NAME = "folder"
ABOUT = """
Your own recordings, one sub-folder a class.

FOLDER/CLASS/clip.mp4: each video is a recording.
FOLDER/CLASS/SESSION/clip1.mp4, ...: what lies in one sub-folder of a class stays in one
split, so put there what shows the same performance.
FOLDER/CLASS/name.png + name.ogg: one picture with one sound.
FOLDER/CLASS/SESSION/{frame0.jpg, frame1.jpg, ..., audio.wav}: pictures taken at even
distances over one sound, the first at its start and the last at its end; each clip of
the sound gets the picture that is nearest to the clip's middle.

What can be decoded is used, whatever its name ends in; what is left out is listed with
the reason. Videos that lie in FOLDER itself are of a class named after FOLDER. Copies
of the same file are found and stay in one split. The rights are yours to know.
"""
SETTINGS = ClipSettings(seconds=0.5, fps=2.0)

# What a file is taken for by its name where it cannot be opened, so that preparing it
# says what is wrong with it.
VIDEOS = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts"}
    | {".wmv", ".flv", ".3gp", ".ogv", ".mts", ".m2ts", ".vob", ".asf", ".f4v"}
)
SOUNDS = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aiff"}
    | {".aif", ".au", ".caf", ".w64", ".wma"}
)


def find_sources(
    folder: Path, settings: ClipSettings = SETTINGS
) -> tuple[list[Source], list[Problem]]:
    """Find everything under `folder` that can be a clip; class = first sub-folder.

    Args:
        folder: yours; `ABOUT` says how it may be laid out.
        settings: how clips will be cut.

    Returns:
        The sources, and the problems: pictures without a sound, sounds without a
        picture, sounds that cannot be read, and all else that is left out.
    """
    found: list[Source] = []
    require_folder(folder)
    problems: list[Problem] = []
    for inside in walk_folders(folder, problems):
        kinds: dict[str, list[Path]] = defaultdict(list)
        # The file system gives names in an order of its own; sorted, every machine
        # finds the same sources in the same order.
        for path in sorted(inside.iterdir()):
            if path.is_dir() or path.name.startswith("."):
                continue
            try:
                kinds[find_kind(path)].append(path)
            except MediaError as error:
                name = path.relative_to(folder).as_posix()
                # The report already says which file it is, by its path inside the
                # folder.
                what = error.problem.replace(str(path), path.name)
                problems.append(Problem(name, f"left out: {what}", error.remedy))
        found += [_make_source(folder, path) for path in kinds["video"]]
        found += _pair_stills(
            folder, kinds["image"], kinds["sound"], settings, problems
        )
    if not found:
        what = "no videos, and no pictures with sounds"
        remedy = "Put them into it, one sub-folder a class"
        problems.append(Problem(str(folder), what, remedy))
    # Copies under two names would otherwise train and test on the same recording.
    return group_duplicates(found), problems


def find_kind(path: Path) -> str:
    """Say what a file can be used as: 'image', 'video' or 'sound'.

    What can be decoded counts, whatever the file is called. The name counts only for
    still pictures, and for files that cannot be opened.

    Raises:
        MediaError: the file is none of these.
    """
    suffix = path.suffix.lower()
    # Pictures go by their names, because FFmpeg opens a still as a video of one frame.
    # It could not be told from a short film.
    if suffix in IMAGE_SUFFIXES:
        return "image"
    try:
        # This reads the header alone. A folder may hold thousands of files.
        tracks = media.list_tracks(path)
    except MediaError:
        # A film that is damaged is still a film. As a source it is named in the report
        # with what is wrong; left out here, it would only seem to be of an unknown
        # kind.
        if suffix in VIDEOS:
            return "video"
        if suffix in SOUNDS:
            return "sound"
        raise
    if not tracks:
        raise MediaError(
            path, "it has neither picture nor sound", "Take it out of the folder"
        )
    # A film without sound counts as a video too: preparing it says that the sound is
    # missing.
    return "video" if "video" in tracks else "sound"


def _make_source(folder: Path, video: Path, audio: Path | None = None) -> Source:
    """The source of one file (or pair); files of one session share a group."""
    where = video.relative_to(folder)
    name = where.as_posix()
    # `above` is CLASS, SESSION, ... and may be empty.
    *above, _ = where.parts
    return Source(
        name=name,
        recording=name,
        label=above[0] if above else folder.resolve().name,
        video=video,
        audio=audio,
        # CLASS/SESSION and nothing deeper: folders within a session may sort its parts,
        # but they show one performance.
        group="/".join(above[:2]) if len(above) > 1 else None,
    )


def _pair_stills(
    folder: Path,
    images: list[Path],
    sounds: list[Path],
    settings: ClipSettings,
    problems: list[Problem],
) -> list[Source]:
    """Pictures and sounds of one folder: by equal names, or many to its one sound."""

    def add_problem(path: Path, problem: str, remedy: str) -> None:
        name = path.relative_to(folder).as_posix()
        problems.append(Problem(name, problem, remedy))

    # If two pictures have one stem (a.png and a.jpg), the later one by name is paired.
    # The other becomes a problem below.
    by_stem = {path.stem: path for path in images}
    pairs = {by_stem[sound.stem]: sound for sound in sounds if sound.stem in by_stem}
    # One sound, and no picture has its name: these are pictures taken along a
    # recording.
    if len(sounds) == 1 and images and not pairs:
        try:
            return _share_sound(folder, images, sounds[0], settings)
        except MediaError as error:
            add_problem(sounds[0], error.problem, error.remedy)
            return []
    for sound in sounds:
        if sound.stem not in by_stem:
            remedy = "Add one, or a video instead"
            add_problem(sound, "no picture of the same name", remedy)
    for image in images:
        if image not in pairs:
            add_problem(image, "no sound of the same name", "Add one")
    return [_make_source(folder, image, sound) for image, sound in pairs.items()]


def _share_sound(
    folder: Path, images: list[Path], sound: Path, settings: ClipSettings
) -> list[Source]:
    """Share the clips of a sound among the pictures taken along it.

    Each clip gets the picture that is nearest to the clip's middle, and each picture
    becomes one source: the span of the sound that its clips cover.
    """
    duration = media.probe(sound).duration
    # Some headers state no length (a browser's recordings), or only guess it. Where the
    # pictures lie along the sound depends on it, so a guess will not do.
    if duration is None:
        raise MediaError(sound, "its length is not known", "Write it as wav")
    images = sorted(images, key=_split_numbers)
    # 1e-3: a length that is written as 9.9999 s still holds ten clips of 1 s
    whole = math.floor((duration - settings.seconds) / settings.step + 1e-3) + 1
    # s between two pictures: the first is taken at the start, the last at the end
    spacing = duration / max(len(images) - 1, 1)
    # picture -> the clips that it is nearest to, counted from the start of the sound
    shares: dict[int, list[int]] = defaultdict(list)
    for k in range(max(whole, 0)):
        middle = k * settings.step + settings.seconds / 2
        # Rounds to the nearest, and a half down to the earlier picture. `round` would
        # send a half to the even number: now to the earlier, now to the later one.
        nearest = math.ceil(middle / spacing - 0.5) if len(images) > 1 else 0
        # A clip may end within the slack beyond the last picture, so the number is
        # clamped.
        shares[min(max(nearest, 0), len(images) - 1)].append(k)
    recording = sound.parent.relative_to(folder).as_posix()
    found = []
    for i, clips in sorted(shares.items()):
        source = _make_source(folder, images[i], sound)
        found.append(
            Source(
                name=source.name,
                recording=recording,
                label=source.label,
                video=images[i],
                audio=sound,
                # The clips of a picture follow each other, since `middle` only grows.
                # So a start and a length say which they are.
                start=clips[0] * settings.step,
                duration=(len(clips) - 1) * settings.step + settings.seconds,
                group=source.group,
            )
        )
    return found


def _split_numbers(path: Path) -> list[tuple[int, str]]:
    """A key for sorting that puts frame2 before frame10."""
    return [
        # Numbers and texts are not comparable in Python, so each part becomes a pair. A
        # text has the number -1 and sorts before any number.
        (int(part), "") if part.isdigit() else (-1, part)
        for part in re.split(r"(\d+)", path.stem)
    ]


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
