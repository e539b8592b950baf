"""Which recordings train and which are tested on: by recording, never by clip."""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from avnb import files
from avnb.data.sources import SLACK, SPLITS, ClipSettings, Source
from avnb.errors import ClipsError, LeakError
from avnb.media import Crop


def split_recordings(
    sources: Sequence[Source], settings: ClipSettings
) -> tuple[dict[str, str], list[str]]:
    """Give each recording its split.

    What the data set declares is kept. The other groups of a label are put in the
    order of a hash of seed and name, and the first ``test_fraction`` of them (rounded,
    at least 1 where there are 2) are the test. So a new recording moves at most one
    other group.

    Args:
        sources: of the whole data set.
        settings: its ``seed`` and ``test_fraction`` count here.

    Returns:
        recording -> one of SPLITS, and notes for the report.

    Raises:
        ClipsError: sources that contradict each other, or an unknown split.
        LeakError: one group, recording or file (with the same crop) is declared to be
            in two splits. Parts of a file that ``split_in_time`` cut may be, if they
            share no moment.
    """
    groups: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        groups[_get_group(source)].append(source)
    _check_recordings(sources)
    split = _read_declared_splits(groups)
    free: dict[str, list[str]] = defaultdict(list)  # label -> groups
    for name, members in groups.items():
        if name not in split:
            # a group of two labels is counted for the first of them, by name
            free[min(source.label for source in members)].append(name)
    notes = []
    for label, names in sorted(free.items()):
        # The order of a hash, not a shuffle: a shuffle of one name more would move
        # them all.
        names.sort(key=lambda name: (files.hash_values(settings.seed, name), name))
        tested = round(settings.test_fraction * len(names))
        # One of each label at least, but never all: with one recording it trains.
        if settings.test_fraction > 0:
            tested = min(max(tested, 1), len(names) - 1)
        split |= {name: "test" for name in names[:tested]}
        split |= {name: "train" for name in names[tested:]}
        if len(names) == 1:
            notes.append(f"{label}: its only recording ({names[0]}) went to train")
    recordings = {s.recording: split[_get_group(s)] for s in sources}
    _check_files(sources, recordings)
    return recordings, notes


def _get_group(source: Source) -> str:
    return source.group or source.recording


def _read_declared_splits(groups: Mapping[str, Sequence[Source]]) -> dict[str, str]:
    """The split of each group for which its data set declares one."""
    split: dict[str, str] = {}
    for name, members in groups.items():
        declared = {s.split: s for s in members if s.split is not None}
        if unknown := set(declared) - set(SPLITS):
            source = declared[unknown.pop()]
            raise ClipsError(
                source.name,
                f"its split is {source.split!r}",
                f"Give one of {', '.join(SPLITS)}",
            )
        if len(declared) > 1:
            one, other, *_ = declared.values()
            raise _leak(f"group {name!r}", one, other)
        for only in declared:
            split[name] = only
    return split


def _check_recordings(sources: Sequence[Source]) -> None:
    """Names are unique, and a recording has one label, one group and one unit."""
    names: set[str] = set()
    first: dict[str, Source] = {}
    for source in sources:
        if source.name in names:
            raise ClipsError(
                source.name, "two sources have this name", "Give each its own name"
            )
        names.add(source.name)
        other = first.setdefault(source.recording, source)
        for field in ("label", "group", "unit"):
            if getattr(other, field) != getattr(source, field):
                raise ClipsError(
                    f"recording {source.recording!r}",
                    f"it has two {field}s: {other.name} has {getattr(other, field)!r}, "
                    f"{source.name} has {getattr(source, field)!r}",
                    f"Give both the same {field}, or name two recordings",
                )


def _check_files(sources: Sequence[Source], recordings: Mapping[str, str]) -> None:
    """No file is in two splits, be it under two recordings' names."""
    seen: dict[tuple[Path, Crop | None], list[Source]] = defaultdict(list)
    for source in sources:
        if source.repeated:
            continue
        # With another crop, a video shows another player, and may go elsewhere.
        for path, crop in ((source.video, source.crop), (source.audio, None)):
            if path is None:
                continue
            others = seen[path, crop]
            for other in others:
                differ = recordings[other.recording] != recordings[source.recording]
                if differ and not _are_disjoint(other, source):
                    raise _leak(f"file {path.name}", other, source)
            # Whole files in `others` are all in one split, so one of them is enough.
            # All of them would take quadratic time where many share one sound.
            if source.cut_in_time or all(other.cut_in_time for other in others):
                others.append(source)


def _are_disjoint(one: Source, other: Source) -> bool:
    """Whether both are parts of one recording, cut in time, that share no moment."""
    if not (one.cut_in_time and other.cut_in_time):
        return False
    first, last = sorted((one, other), key=lambda source: source.start or 0.0)
    # 1e-6 s below: starts are products of floats, and 0.1 * 3 is above 0.3
    length = math.inf if first.duration is None else first.duration
    return (first.start or 0.0) + length <= (last.start or 0.0) + 1e-6


def _leak(place: str, one: Source, other: Source) -> LeakError:
    return LeakError(
        place,
        f"it would be in two splits: {one.name} (recording {one.recording!r}) and "
        f"{other.name} (recording {other.recording!r})",
        "Put both into one split",
    )


def split_in_time(
    source: Source, settings: ClipSettings, gap: float = 0.0
) -> list[Source]:
    """Cut one recording in two: its first part trains, its last is tested on.

    The one exception to the rule that no recording is in two splits, for papers that
    learn a single video (Redondo 2024, Sec. 5: the last 20 %), or that have only one of
    a class. The cut falls between two whole clips, so that no clip of one part shares a
    moment with the other.

    Args:
        source: it says where it starts and how long it is.
        settings: of the clips, which must not overlap, or by no more than the gap.
        gap: s that are left out between the parts, at least: two neighbouring moments
            are alike.

    Returns:
        The part to train on and the part to test on.

    Raises:
        ClipsError: the recording is too short for two clips, or the clips overlap.
    """
    if source.duration is None:
        raise ClipsError(
            source.name,
            "it needs its duration, or it cannot be cut in time",
            "Give the source a duration",
        )
    overlap = settings.seconds - settings.step
    if not -1e-9 <= overlap <= gap + 1e-9:  # differences of floats
        raise ClipsError(
            "hop",
            f"it is {settings.hop}, but the clips of a recording that is cut in time "
            "must follow each other",
            f"Leave it out, or give {settings.seconds}",
        )
    first, step = source.start or 0.0, settings.step
    # The same slack as when the clips are cut, or the last one would be lost.
    clips = math.floor((source.duration + SLACK - overlap) / step)
    # Clips that begin in the gap, or reach into it, are in neither part.
    skipped = math.ceil((gap + overlap) / step - 1e-6)
    clips -= skipped
    if clips < 2:
        between = f" and {gap:g} s between them" if gap else ""
        raise ClipsError(
            source.name,
            f"{source.duration:.2f} s are shorter than two clips of "
            f"{settings.seconds} s, one to train on and one to test on{between}",
            "Give a longer recording, or shorter clips with --seconds",
        )
    tested = min(max(round(settings.test_fraction * clips), 1), clips - 1)
    trained = clips - tested
    return [
        _cut_part(source, "train", first, trained * step + overlap),
        _cut_part(
            source,
            "test",
            first + (trained + skipped) * step,
            tested * step + overlap,
        ),
    ]


def _cut_part(source: Source, split: str, start: float, duration: float) -> Source:
    """The part of a source from `start` on, as a recording of its own."""
    name = f"{source.name} [{start:g} to {start + duration:g} s]"
    return dataclasses.replace(
        source,
        name=name,
        recording=name,
        # both parts show the same
        unit=source.unit or source.group or source.recording,
        group=None,
        split=split,
        start=start,
        duration=duration,
        cut_in_time=True,
    )


def group_duplicates(sources: Sequence[Source]) -> list[Source]:
    """Put recordings that hold byte-identical files into one group.

    Otherwise a sound could be trained on under one name and tested on under another.
    Compares sound files, and videos that bring their own sound; only files of equal
    size are read.
    """
    # Here, since it takes as long to import as all the rest of this package, which each
    # worker process of `prepare` imports.
    from scipy.cluster.hierarchy import DisjointSet

    by_size: dict[int, set[Path]] = defaultdict(set)
    for source in sources:
        # A picture may be shared on purpose (one still for many sounds), a sound not.
        if (path := source.audio or source.video).is_file():
            by_size[path.stat().st_size].add(path)
    digests = {
        path: files.hash_file(path)
        for paths in by_size.values()
        if len(paths) > 1
        for path in paths
    }
    joined = DisjointSet(_get_group(source) for source in sources)
    owner: dict[str, str] = {}  # digest -> the group that had it first
    # Transitive: if a equals b and b shares a group with c, all three stay together.
    for source in sources:
        if (digest := digests.get(source.audio or source.video)) is not None:
            group = _get_group(source)
            joined.merge(owner.setdefault(digest, group), group)
    # A group of several is named after the first of its names, so that the order of
    # the sources decides nothing.
    return [
        dataclasses.replace(source, group=min(members))
        if len(members := joined.subset(_get_group(source))) > 1
        else source
        for source in sources
    ]
