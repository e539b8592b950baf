"""Recordings become prepared clips: a Parquet data set, one row a clip.

``prepare`` cuts each recording into clips of a fixed length and writes one
Parquet shard a recording under ``OUT/train``, ``OUT/val`` or ``OUT/test``. It resumes
after an interruption, rebuilds what changed, goes on at a bad file and lists it. This
module imports no torch, so that its worker processes start fast; ``avnb.clips``
re-exports its names and adds what reads the clips back.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock
from tqdm.auto import tqdm

from avnb import files, media

SPLITS = ("train", "val", "test")  # "val" only where a data set declares it
FORMAT = 1  # raise it when the same sources and settings give other rows
IMAGES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
SOUND_BLOCK = 60.0  # s of sound held at once
ROW_GROUP = 16 * 2**20  # bytes of rows held at once
TRUTH_LIMIT = 2**28  # bytes: 100 rows a second of 30 numbers is 24 kB a second
SHOWN = 20  # problems that a printed report names
TAIL = 0.01  # s that a chunk may lack at its end and still count as whole
LACK = 0.01  # and the share of a video's clip: cut as 10 s, it may have 9.95

Crop = tuple[int, int, int, int]


class ClipsError(ValueError):
    """Sources, settings or prepared clips that cannot be right."""


class LeakError(ClipsError):
    """The same recording would lie in two splits."""


@dataclass(frozen=True)
class Source:
    """One media file, or one picture and one sound file, of a recording.

    name: unique, the file's path inside its data set; shown in reports and rows
    recording: what must never be cut by a split
    label: the class
    video: a video, or an image, which then is the picture of every clip
    audio: a sound file; None = the video's own sound
    crop: (left, top, width, height) in displayed pixels
    start, duration: the part of the file that is used, s
    offset: where the file starts in its recording, s
    split: 'train', 'val' or 'test' where the data set says, else None
    group: recordings with the same group share a split; None = the recording alone
    truth: a Parquet file with a column ``time`` (s of the recording) and one column
        for each known quantity
    span: where the one annotated event begins and ends, s of the recording; it becomes
        the known quantity ``event``: 1 within, 0 outside, the end not included
    cut_in_time: a part, from ``start`` on for ``duration``, of a file whose other
        parts may lie in the other split: see ``split_in_time``
    """

    name: str
    recording: str
    label: str
    video: Path
    audio: Path | None = None
    crop: Crop | None = None
    start: float | None = None
    duration: float | None = None
    offset: float = 0.0
    split: str | None = None
    group: str | None = None
    truth: Path | None = None
    span: tuple[float, float] | None = None
    cut_in_time: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(p for p in (self.video, self.audio, self.truth) if p is not None)


@dataclass(frozen=True)
class Settings:
    """How clips are cut: lengths in s, rates in Hz, size in pixels a side.

    ``test_fraction`` is the share of each label's recordings that is tested on.
    """

    seconds: float = 0.5
    hop: float | None = None
    fps: float = 2.0
    size: int = 64
    sample_rate: int = 44100
    seed: int = 0
    test_fraction: float = 0.2

    def __post_init__(self) -> None:
        for name in ("seconds", "hop", "fps", "size", "sample_rate"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ClipsError(f"{name} is {value}: it must be above 0")
        if not 0 <= self.test_fraction < 1:
            raise ClipsError(
                f"test_fraction is {self.test_fraction}: it must be in [0, 1)"
            )

    @property
    def step(self) -> float:
        """Seconds from the start of one clip to the next."""
        return self.seconds if self.hop is None else self.hop

    @property
    def frames(self) -> int:
        """T, the frames of a clip."""
        return max(1, round(self.seconds * self.fps))

    @property
    def samples(self) -> int:
        """S, the samples of a clip."""
        return round(self.seconds * self.sample_rate)

    @property
    def row_bytes(self) -> int:
        return self.frames * self.size**2 * 3 + 2 * self.samples


@dataclass(frozen=True)
class Problem:
    """A file that could not be used, why, and what to do."""

    file: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}. {self.remedy}"


@dataclass
class Report:
    """What ``prepare`` did. ``written`` and ``skipped``: recording -> its clips.

    ``skipped`` recordings were prepared before and are unchanged; of ``removed`` ones
    the sources are gone. ``splits``: split -> label -> number of recordings.
    """

    out: str
    dry_run: bool = False
    written: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    splits: dict[str, dict[str, int]] = field(default_factory=dict)

    def save(self, path: Path | None = None) -> Path:
        """Write it as JSON, by default to ``OUT/report.json``."""
        path = Path(self.out, "report.json") if path is None else Path(path)
        files.write_json(path, dataclasses.asdict(self))
        return path

    def __str__(self) -> str:
        clips = sum(self.written.values()) + sum(self.skipped.values())
        would = "would be " if self.dry_run else ""
        lines = [
            f"{self.out}: {clips} clips"
            if not self.dry_run
            else f"{self.out}: dry run, nothing written",
            f"  {len(self.written)} recordings {would}written, "
            f"{len(self.skipped)} unchanged, {len(self.removed)} {would}removed",
        ]
        for split, labels in self.splits.items():
            counted = ", ".join(f"{label} {n}" for label, n in sorted(labels.items()))
            lines.append(f"  {split}: {sum(labels.values())} recordings ({counted})")
        lines += [f"  note: {note}" for note in self.notes]
        if self.problems:
            lines.append(f"  {len(self.problems)} problems:")
            lines += [f"    {problem}" for problem in self.problems[:SHOWN]]
            if (more := len(self.problems) - SHOWN) > 0:
                lines.append(f"    and {more} more, all in report.json")
        return "\n".join(lines)


# ------------------------------------------------------------------ splits


def split_recordings(
    sources: Sequence[Source], settings: Settings
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
        names.sort(key=lambda name: (_digest(settings.seed, name), name))
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


def split_in_time(source: Source, settings: Settings) -> list[Source]:
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


def share_group(sources: Sequence[Source]) -> list[Source]:
    """Put recordings that hold byte-identical files into one group.

    Compares sound files, and videos that bring their own sound; only files of equal
    size are read.
    """
    by_size: dict[int, set[Path]] = defaultdict(set)
    for source in sources:
        if (path := source.audio or source.video).is_file():
            by_size[path.stat().st_size].add(path)
    content = {
        path: _file_digest(path)
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


# ----------------------------------------------------------------- prepare


@dataclass(frozen=True)
class _Job:
    """One shard: a recording, where it goes, and what it was made from."""

    recording: str
    split: str
    path: Path
    sources: tuple[Source, ...]
    settings: Settings
    truth: tuple[str, ...]
    fingerprint: str


def prepare(
    sources: Iterable[Source],
    out: Path | str,
    settings: Settings | None = None,
    *,
    problems: Iterable[Problem] = (),
    workers: int | None = None,
    dry_run: bool = False,
) -> Report:
    """Cut the sources into clips and write them under ``out``.

    ``problems`` are those found while looking for the sources: they join the report.
    Safe to call again at any time, also after a kill: shards whose sources and
    settings are unchanged, and which are whole, are kept. ``out`` belongs to
    ``prepare``: shards of sources that are gone are removed. ``workers``: processes,
    by default one a core. Raises ClipsError for sources that contradict each other;
    a bad file is never an error but a problem in the report.
    """
    settings = settings or Settings()
    out = Path(out)
    report = Report(str(out), dry_run, problems=list(problems))
    sources = _there(sources, report)
    recordings, report.notes = split_recordings(sources, settings)
    jobs = _plan(sources, recordings, out, settings, report)
    if dry_run:
        _sort_out(jobs, out, report, dry_run=True)
        _count_splits(jobs, report)
        return report

    for split in {"train", "test", *(job.split for job in jobs)}:
        (out / split).mkdir(parents=True, exist_ok=True)
    # several processes may prepare the same clips at once: one does, the others wait
    with FileLock(out / ".lock"):
        todo = _sort_out(jobs, out, report, dry_run=False)
        _run(todo, workers or os.cpu_count() or 1, report)
        _count_splits(jobs, report)
        report.problems.sort(key=lambda p: (p.file, p.problem))
        files.write_json(out / "clips.json", _contents(jobs, settings, report))
        report.save()
    return report


def _there(sources: Iterable[Source], report: Report) -> list[Source]:
    """The sources whose files are there: the split counts no others."""
    found = []
    for source in sources:
        try:
            empty = [p.name for p in source.files if p.stat().st_size == 0]
        except OSError as error:
            what, remedy = f"cannot be opened: {error.strerror}", "Restore it"
        else:
            if not empty:
                found.append(source)
                continue
            what, remedy = f"{empty[0]} has no bytes", "Copy or download it again"
        report.problems.append(Problem(source.name, what, remedy))
    return found


def _plan(
    sources: Sequence[Source],
    recordings: dict[str, str],
    out: Path,
    settings: Settings,
    report: Report,
) -> list[_Job]:
    """The shards to be, and what each is made from."""
    known: dict[Path, tuple[str, ...]] = {}
    for path in sorted({s.truth for s in sources if s.truth is not None}):
        try:
            known[path] = _truth_names(path)
        except _TruthError as error:
            report.problems.append(error.problem)
    by_recording: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        if source.truth not in known:
            source = dataclasses.replace(source, truth=None)
        by_recording[source.recording].append(source)

    quantities = set(chain.from_iterable(known.values()))
    if any(source.span is not None for source in sources):
        quantities.add("event")
    names = tuple(sorted(quantities))
    jobs = []
    for recording, members in sorted(by_recording.items()):
        members.sort(key=lambda s: (s.offset + (s.start or 0), s.name))
        split = recordings[recording]
        fingerprint = _digest(
            FORMAT,
            split,
            [settings.seconds, settings.step, settings.fps],
            [settings.size, settings.sample_rate],
            names,
            [_facts(source) for source in members],
        )
        # not the recording's name: a word like "test" in a file's name is a split's
        # name to `datasets`
        path = out / split / f"clips_{_digest(recording)[:16]}.parquet"
        jobs.append(
            _Job(
                recording,
                split,
                path,
                tuple(members),
                settings,
                names,
                fingerprint,
            )
        )
    return jobs


def _facts(source: Source) -> list[Any]:
    """What of a source decides its rows; for its files' bytes, size and time."""
    stats = [path.stat() for path in source.files]
    return [
        source.name,
        source.recording,
        source.label,
        source.crop,
        source.start,
        source.duration,
        source.offset,
        source.video.suffix,
        source.audio is not None,
        source.truth is not None,
        source.span,
        [[stat.st_size, stat.st_mtime_ns] for stat in stats],
    ]


def _sort_out(
    jobs: Sequence[_Job], out: Path, report: Report, *, dry_run: bool
) -> list[_Job]:
    """Keep whole and unchanged shards, remove the rest; what is left to do."""
    todo = []
    for job in jobs:
        shard = _read_footer(job.path, job.fingerprint)
        if shard is None:
            todo.append(job)
            if dry_run:
                report.written[job.recording] = 0
        else:
            rows, problems = shard
            report.skipped[job.recording] = rows
            report.problems += problems
    kept = {job.path for job in jobs}
    stale = [
        path
        for split in SPLITS
        for path in (out / split).glob("*.parquet")
        if path not in kept
    ]
    report.removed = sorted(f"{path.parent.name}/{path.name}" for path in stale)
    if dry_run:
        return todo
    if todo or stale:
        # clips.json is there only while the shards are all there
        (out / "clips.json").unlink(missing_ok=True)
    left = chain.from_iterable((out / split).glob(".*.tmp") for split in SPLITS)
    for path in [*stale, *left, *(job.path for job in todo)]:
        path.unlink(missing_ok=True)
    return todo


def _read_footer(path: Path, fingerprint: str) -> tuple[int, list[Problem]] | None:
    """Rows and problems of a shard that is whole and has this fingerprint."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            facts = file.schema_arrow.metadata or {}
            if facts.get(b"avnb_fingerprint", b"").decode() != fingerprint:
                return None
            for _ in file.iter_batches(64):  # a damaged page raises here
                pass
            problems = json.loads(facts[b"avnb_problems"])
            return file.metadata.num_rows, [Problem(**p) for p in problems]
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
        return None


def _run(todo: Sequence[_Job], workers: int, report: Report) -> None:
    """Write the shards on many processes; a process that dies costs one recording."""
    # joblib's processes do not import the caller's main module again, so that a
    # script without an `if __name__ == "__main__"` may call prepare
    left = {job.recording: job for job in todo}
    bar = tqdm(total=len(todo), desc="preparing", unit="recording", disable=not todo)

    def done(recording: str, rows: int, problems: list[Problem]) -> None:
        del left[recording]
        bar.update()
        report.problems += problems
        if rows:
            report.written[recording] = rows

    with bar:
        parallel = joblib.Parallel(
            min(workers, max(len(todo), 1)), return_as="generator_unordered"
        )
        try:
            for result in parallel(joblib.delayed(_write_shard)(job) for job in todo):
                done(*result)
        except BrokenProcessPool:
            for job in list(left.values()):
                try:
                    alone = joblib.Parallel(2)([joblib.delayed(_write_shard)(job)])
                    done(*alone[0])
                except BrokenProcessPool:
                    problem = (
                        "the process that read it died (a decoder's crash, or memory)"
                    )
                    remedy = "Encode the file anew, or take it out"
                    done(job.recording, 0, [Problem(job.recording, problem, remedy)])


def _count_splits(jobs: Sequence[_Job], report: Report) -> None:
    used = {"train", "test", *(job.split for job in jobs)}
    report.splits = {split: defaultdict(int) for split in SPLITS if split in used}
    there = report.written.keys() | report.skipped.keys()
    for job in jobs:
        if job.recording in there:
            report.splits[job.split][job.sources[0].label] += 1
    report.splits = {split: dict(labels) for split, labels in report.splits.items()}
    for label in sorted(report.splits["test"].keys() - report.splits["train"].keys()):
        report.notes.append(f"{label}: none of its recordings is in train")


def _contents(jobs: Sequence[_Job], settings: Settings, report: Report) -> dict:
    counts = report.written | report.skipped
    there = [job for job in jobs if job.recording in counts]
    return {
        "format": FORMAT,
        "settings": dataclasses.asdict(settings),
        "classes": sorted({job.sources[0].label for job in there}),
        "truth": there[0].truth if there else [],
        "shards": {
            f"{job.split}/{job.path.name}": {
                "recording": job.recording,
                "label": job.sources[0].label,
                "clips": counts[job.recording],
                "fingerprint": job.fingerprint,
            }
            for job in there
        },
    }


# ------------------------------------------------------------------ a shard


def schema(truth: Iterable[str] = ()) -> pa.Schema:
    """The columns of a row; ``truth``: the names of the known quantities."""
    fixed = [
        ("clip", pa.string()),
        ("recording", pa.string()),
        ("label", pa.string()),
        ("split", pa.string()),
        ("start", pa.float64()),
        ("fps", pa.float32()),
        ("sample_rate", pa.int32()),
        ("frames", pa.binary()),
        ("frames_shape", pa.list_(pa.int32())),
        ("waveform", pa.binary()),
        ("waveform_shape", pa.list_(pa.int32())),
        ("source", pa.string()),
        ("peak", pa.float32()),
    ]
    names = ("time", *truth) if truth else ()
    known = [(f"truth_{name}", pa.list_(pa.float32())) for name in names]
    return pa.schema([*fixed, *known])


def _write_shard(job: _Job) -> tuple[str, int, list[Problem]]:
    """Cut one recording and write its shard: recording, rows, problems.

    Two passes, since each row holds the peak of the whole recording: rows go to a
    spool file as they come, then, with the peak, into the shard.
    """
    spool = job.path.with_name(f".{job.path.stem}.spool.tmp")
    problems: list[Problem] = []
    try:
        owners, peak = _spool(job, spool, problems)
        if not any(ok for ok, _ in owners):
            return job.recording, 0, problems
        with files.whole(job.path) as partial:
            rows = _seal(job, spool, partial, owners, peak, problems)
        return job.recording, rows, problems
    finally:
        spool.unlink(missing_ok=True)


def _spool(
    job: _Job, spool: Path, problems: list[Problem]
) -> tuple[list[tuple[bool, int]], float]:
    """Write every batch of rows; (is its source whole, its rows) a batch, and peak."""
    columns = schema(job.truth).remove(schema().get_field_index("peak"))
    least = max(1, ROW_GROUP // job.settings.row_bytes)
    owners: list[tuple[bool, int]] = []
    peak = 0
    with (
        pa.OSFile(str(spool), "wb") as file,
        pa.ipc.new_stream(file, columns) as writer,
    ):
        for source in job.sources:
            first, loudest, rows = len(owners), 0, _rows(source, job, problems)
            problem = None
            try:
                while batch := list(islice(rows, least)):
                    loudest = max(loudest, *(row.pop("loudest") for row in batch))
                    writer.write_batch(pa.RecordBatch.from_pylist(batch, columns))
                    owners.append((True, len(batch)))
                if len(owners) == first:
                    problem = Problem(
                        source.name,
                        f"shorter than one clip of {job.settings.seconds} s",
                        "Leave it out, or prepare shorter clips with --seconds",
                    )
            except media.MediaError as error:
                problem = _problem(source, error)
            except OSError as error:
                problem = Problem(source.name, str(error), "Check the file and disk")
            if problem is None:
                peak = max(peak, loudest)
            else:
                problems.append(problem)
                owners[first:] = [(False, n) for _, n in owners[first:]]
    return owners, peak / 32767


def _problem(source: Source, error: media.MediaError) -> Problem:
    """The error of a file, named by where it lies in its data set."""
    at_fault = Path(error.path)
    name = source.name
    if len(source.files) > 1 and at_fault.name != Path(name).name:
        name = f"{name} ({at_fault.name})"
    problem = error.problem.replace(str(at_fault), at_fault.name)
    return Problem(name, problem, error.remedy)


def _seal(
    job: _Job,
    spool: Path,
    temporary: Path,
    owners: list[tuple[bool, int]],
    peak: float,
    problems: list[Problem],
) -> int:
    """From the spool into a Parquet file, with the peak; its rows."""
    facts = {
        "avnb_fingerprint": job.fingerprint,
        "avnb_problems": json.dumps([dataclasses.asdict(p) for p in problems]),
    }
    columns = schema(job.truth)
    at = columns.get_field_index("peak")
    least = max(1, ROW_GROUP // job.settings.row_bytes)
    pending: list[pa.RecordBatch] = []
    rows = 0
    with (
        pa.OSFile(str(spool), "rb") as file,
        pa.ipc.open_stream(file) as reader,
        pq.ParquetWriter(
            temporary,
            columns.with_metadata(facts),
            compression="zstd",
            # dictionaries let a small file hold endless rows: `clips` refuses them
            use_dictionary=False,
            write_statistics=False,
            write_page_checksum=True,
        ) as writer,
    ):

        def flush() -> None:
            table = pa.Table.from_batches(pending)
            column = pa.array(np.full(len(table), peak, np.float32))
            writer.write_table(table.add_column(at, columns.field(at), column))
            pending.clear()

        for (whole, n), batch in zip(owners, reader, strict=True):
            if not whole:
                continue
            pending.append(batch)
            rows += n
            if sum(map(len, pending)) >= least:
                flush()
        if pending:
            flush()
    return rows


def _rows(source: Source, job: _Job, problems: list[Problem]) -> Iterator[dict]:
    """The clips of a source as rows, and ``loudest``: its largest sample."""
    settings = job.settings
    times = np.arange(settings.frames) / settings.fps
    truth = _truth(source, problems)
    for at, frames, waveform in _chunks(source, settings):
        start = round(source.offset + at, 6)
        samples = np.round(np.clip(waveform, -1, 1) * 32767).astype("<i2")
        row = {
            "clip": f"{job.recording}@{start:.3f}",
            "recording": job.recording,
            "label": source.label,
            "split": job.split,
            "start": start,
            "fps": settings.fps,
            "sample_rate": settings.sample_rate,
            "frames": np.ascontiguousarray(frames).tobytes(),
            "frames_shape": list(frames.shape),
            "waveform": samples.tobytes(),
            "waveform_shape": list(samples.shape),
            "source": source.name,
            "loudest": int(np.abs(samples.astype(np.int32)).max(initial=0)),
        }
        if job.truth:
            row["truth_time"] = times.tolist()
            for name in job.truth:
                if name == "event" and source.span is not None:
                    first, last = source.span
                    within = (start + times >= first) & (start + times < last)
                    row["truth_event"] = within.astype(float).tolist()
                    continue
                row[f"truth_{name}"] = sample_truth(
                    truth, name, start + times, 1 / settings.fps
                ).tolist()
        yield row


# ----------------------------------------------------------- reading sources


def _chunks(
    source: Source, settings: Settings
) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """(start in the file s, frames (T, H, W, 3), waveform (1, S)) of each clip."""
    if source.video.suffix.lower() in IMAGES:
        if source.audio is None:
            raise media.MediaError(
                source.video, "a picture has no sound", "Pair it with a sound file"
            )
        image = media.read_image(source.video, size=settings.size, crop=source.crop)
        still = np.broadcast_to(image, (settings.frames, *image.shape))
        for at, waveform in _sounds(source, source.audio, settings):
            yield at, still, waveform
        return
    first = source.start or 0.0
    tracks = [source.video] if source.audio is None else [source.video, source.audio]
    end = min(media.probe(track).duration for track in tracks) - first
    span = end if source.duration is None else min(end, source.duration)
    # media keeps a last clip that misses half a frame: at 2 Hz that is 0.25 s of sound
    tail = max(TAIL, LACK * settings.seconds)
    whole = math.floor((span - settings.seconds + tail) / settings.step) + 1
    found = media.iter_clips(
        source.video,
        seconds=settings.seconds,
        hop=settings.step,
        start=first,
        duration=source.duration,
        fps=settings.fps,
        size=settings.size,
        sample_rate=settings.sample_rate,
        crop=source.crop,
        audio=source.audio,
    )
    for k, clip in enumerate(islice(found, max(whole, 0))):
        yield first + k * settings.step, clip.frames, clip.waveform


def _whole(waveform: np.ndarray, settings: Settings) -> np.ndarray | None:
    """The chunk at its exact length, or None where it is too short."""
    missing = settings.samples - waveform.shape[-1]
    if missing > min(TAIL * settings.sample_rate, settings.samples / 2):
        return None
    padded = np.pad(waveform, ((0, 0), (0, max(missing, 0))))
    return padded[:, : settings.samples]


def _sounds(
    source: Source, path: Path, settings: Settings
) -> Iterator[tuple[float, np.ndarray]]:
    """(start s, waveform (1, S)) chunk by chunk; a minute of sound in memory."""
    first = source.start or 0.0
    end = math.inf if source.duration is None else first + source.duration
    step, rate = settings.step, settings.sample_rate
    a_block = max(1, int(SOUND_BLOCK / step))
    k = 0
    while True:
        at = first + k * step
        span = min((a_block - 1) * step + settings.seconds, end - at)
        if span < settings.seconds - TAIL:
            return
        block, _ = media.read_audio(path, start=at, duration=span, sample_rate=rate)
        for i in range(a_block):
            begin = round(i * step * rate)
            chunk = _whole(block[:, begin : begin + settings.samples], settings)
            if chunk is None:
                return
            yield first + k * step, chunk
            k += 1


# ------------------------------------------------------------------- truth


class _TruthError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def _truth_names(path: Path) -> tuple[str, ...]:
    """The quantities in a truth file, without ``time``."""
    remedy = "Write it anew: Parquet, number columns, one of them named time"
    try:
        with pq.ParquetFile(path) as file:
            columns = file.schema_arrow
            size = sum(
                file.metadata.row_group(i).total_byte_size
                for i in range(file.metadata.num_row_groups)
            )
            width = 8 * file.metadata.num_rows * len(columns)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise _TruthError(Problem(path.name, f"no truth: {error}", remedy)) from error
    number = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean)
    bad = [f.name for f in columns if not any(is_a(f.type) for is_a in number)]
    if bad or "time" not in columns.names:
        what = f"columns {bad} hold no numbers" if bad else "it has no column 'time'"
        raise _TruthError(Problem(path.name, f"no truth: {what}", remedy))
    if max(size, width) > TRUTH_LIMIT:
        what = f"its {max(size, width)} bytes are over {TRUTH_LIMIT}"
        raise _TruthError(Problem(path.name, f"no truth: {what}", remedy))
    return tuple(sorted(set(columns.names) - {"time"}))


@functools.lru_cache(maxsize=2)
def _read_truth(path: Path, modified_ns: int) -> dict[str, np.ndarray]:
    names = _truth_names(path)
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        remedy = "Write it anew"
        raise _TruthError(Problem(path.name, f"no truth: {error}", remedy)) from error
    return {
        name: table[name].to_numpy(zero_copy_only=False).astype(np.float64)
        for name in ("time", *names)
    }


def _truth(source: Source, problems: list[Problem]) -> dict[str, np.ndarray]:
    if source.truth is None:
        return {}
    try:
        return _read_truth(source.truth, source.truth.stat().st_mtime_ns)
    except _TruthError as error:
        if error.problem not in problems:
            problems.append(error.problem)
        return {}


def sample_truth(
    truth: dict[str, np.ndarray], name: str, times: np.ndarray, spacing: float
) -> np.ndarray:
    """A known quantity at the given times (T,), s of the recording.

    The nearest sample; an onset (all names that begin so) is an instant, so there it is
    the largest value in [time, time + spacing). NaN where the truth does not reach, or
    is not known.
    """
    values = truth.get(name)
    if values is None or len(values) == 0:
        return np.full(len(times), np.nan)
    known = truth["time"]
    step = (known[-1] - known[0]) / max(len(known) - 1, 1) or 1.0
    inside = (times >= known[0] - step) & (times <= known[-1] + step)
    if name.startswith("onset"):
        begin = np.searchsorted(known, times - 1e-6)
        end = np.searchsorted(known, times + spacing - 1e-6)
        found = [values[a:b].max(initial=0) for a, b in zip(begin, end, strict=True)]
        return np.where(inside, found, np.nan)
    right = np.searchsorted(known, times).clip(1, max(len(known) - 1, 1))
    right = right.clip(max=len(known) - 1)
    left = np.maximum(right - 1, 0)
    nearer = np.where(times - known[left] <= known[right] - times, left, right)
    return np.where(inside, values[nearer], np.nan)


# ------------------------------------------------------------------- small


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
