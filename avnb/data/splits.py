"""Which recordings train and which are tested on: by recording, never by clip."""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from avnb import files
from avnb.data.sources import SPLITS, TAIL, ClipSettings, Source
from avnb.errors import ClipsError, LeakError
from avnb.media import Crop


def split_recordings(
    sources: Sequence[Source], settings: ClipSettings
) -> tuple[dict[str, str], list[str]]:
    """Give each recording its split: recording -> one of SPLITS, and notes.

    What the data set declares is kept. The other groups of a label are put in the
    order of a hash of seed and name, and the first ``test_fraction`` of them (rounded,
    at least 1 where there are 2) are the test: a new recording so moves at most one
    other group. Raises LeakError where one group, recording or file (with the same
    crop) is declared to be in two splits; parts of a file that ``split_in_time`` cut
    may be, where they share no moment.
    """
    groups: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        groups[source.group or source.recording].append(source)
    _check_recordings(sources)

    split: dict[str, str] = {}
    free: dict[str, list[str]] = defaultdict(list)  # label -> groups
    for name, members in groups.items():
        declared = {s.split: s for s in members if s.split is not None}
        if unknown := set(declared) - set(SPLITS):
            source = declared[unknown.pop()]
            raise ClipsError(
                f"{source.name}: split {source.split!r} is none of {SPLITS}"
            )
        if len(declared) > 1:
            one, other, *_ = declared.values()
            raise _leak(f"group {name!r}", one, other)
        if declared:
            split[name] = next(iter(declared))  # type: ignore[assignment]
        else:
            free[min(s.label for s in members)].append(name)

    notes = []
    for label, names in sorted(free.items()):
        names.sort(key=lambda name: (files.hash_values(settings.seed, name), name))
        tested = round(settings.test_fraction * len(names))
        if settings.test_fraction > 0:
            tested = min(max(tested, 1), len(names) - 1)
        split |= {name: "test" for name in names[:tested]}
        split |= {name: "train" for name in names[tested:]}
        if len(names) == 1:
            notes.append(f"{label}: its only recording ({names[0]}) went to train")

    recordings = {s.recording: split[s.group or s.recording] for s in sources}
    seen: dict[tuple[Path, Crop | None], list[Source]] = defaultdict(list)
    for source in sources:
        for path, crop in ((source.video, source.crop), (source.audio, None)):
            if path is None:
                continue
            others = seen[path, crop]
            for other in others:
                apart = recordings[other.recording] != recordings[source.recording]
                if apart and not _disjoint(other, source):
                    raise _leak(f"file {path.name}", other, source)
            # of those that are whole, which are all in one split, one is enough
            if source.cut_in_time or all(other.cut_in_time for other in others):
                others.append(source)
    return recordings, notes


def split_in_time(source: Source, settings: ClipSettings) -> list[Source]:
    """One recording as two: its first part trains, its last is tested on.

    The one exception to the rule that no recording is in two splits, for papers that
    learn a single video (Redondo 2024, Sec. 5: the last 20 %). ``source`` says where
    it starts and how long it is. The cut falls between two whole clips, so that no
    clip of one part shares a moment with the other. Raises ClipsError where the
    recording is shorter than two clips, or the clips overlap.
    """
    if source.duration is None:
        raise ClipsError(f"{source.name}: cut in time, it needs its duration")
    if settings.step != settings.seconds:
        raise ClipsError(
            f"hop is {settings.hop}: the clips of a recording cut in time follow each "
            f"other, {settings.seconds} s apart"
        )
    first = source.start or 0.0
    clips = math.floor((source.duration + TAIL) / settings.seconds)
    if clips < 2:
        raise ClipsError(
            f"{source.name}: {source.duration:.2f} s are shorter than two clips of "
            f"{settings.seconds} s, one to train on and one to test on"
        )
    tested = min(max(round(settings.test_fraction * clips), 1), clips - 1)
    parts = []
    for split, start, count in (
        ("train", 0, clips - tested),
        ("test", clips - tested, tested),
    ):
        begin, duration = first + start * settings.seconds, count * settings.seconds
        name = f"{source.name} [{begin:g} to {begin + duration:g} s]"
        parts.append(
            dataclasses.replace(
                source,
                name=name,
                recording=name,
                group=None,
                split=split,
                start=begin,
                duration=duration,
                cut_in_time=True,
            )
        )
    return parts


def _disjoint(one: Source, other: Source) -> bool:
    """Whether both are parts of one recording, cut in time, that share no moment."""
    if not (one.cut_in_time and other.cut_in_time):
        return False
    first, last = sorted((one, other), key=lambda source: source.start or 0.0)
    length = math.inf if first.duration is None else first.duration
    return (first.start or 0.0) + length <= (last.start or 0.0) + 1e-6


def _check_recordings(sources: Sequence[Source]) -> None:
    names: set[str] = set()
    first: dict[str, Source] = {}
    for source in sources:
        if source.name in names:
            raise ClipsError(f"two sources are named {source.name!r}: names are unique")
        names.add(source.name)
        other = first.setdefault(source.recording, source)
        for what in ("label", "group"):
            if getattr(other, what) != getattr(source, what):
                raise ClipsError(
                    f"recording {source.recording!r} has two {what}s: {other.name} has "
                    f"{getattr(other, what)!r}, {source.name} {getattr(source, what)!r}"
                )


def _leak(what: str, one: Source, other: Source) -> LeakError:
    return LeakError(
        f"{what} would be in two splits: {one.name} (recording {one.recording!r}) and "
        f"{other.name} (recording {other.recording!r}). Put both into one split"
    )


def group_duplicates(sources: Sequence[Source]) -> list[Source]:
    """Put recordings that hold byte-identical files into one group.

    Compares sound files, and videos that bring their own sound; only files of equal
    size are read.
    """
    by_size: dict[int, set[Path]] = defaultdict(set)
    for source in sources:
        if (path := source.audio or source.video).is_file():
            by_size[path.stat().st_size].add(path)
    content = {
        path: files.hash_file(path)
        for paths in by_size.values()
        if len(paths) > 1
        for path in paths
    }
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    owner: dict[str, str] = {}
    for source in sources:
        group = root(source.group or source.recording)
        if (digest := content.get(source.audio or source.video)) is not None:
            a, b = sorted((group, root(owner.setdefault(digest, group))))
            parent[b] = a
    members: dict[str, set[str]] = defaultdict(set)
    for source in sources:
        name = source.group or source.recording
        members[root(name)].add(name)
    return [
        dataclasses.replace(source, group=shared)
        if len(members[shared := root(source.group or source.recording)]) > 1
        else source
        for source in sources
    ]
