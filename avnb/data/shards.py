"""Recordings become prepared clips: a Parquet data set, one row a clip.

``prepare`` cuts each recording into clips of a fixed length and writes one Parquet
shard a recording under ``OUT/train``, ``OUT/val`` or ``OUT/test``. It resumes after an
interruption, rebuilds what changed, and lists a bad file and goes on. This module
imports no torch, so that its worker processes start fast; ``avnb.data.clips`` reads
the clips back.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import json
import math
import os
import signal
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

from avnb import files
from avnb.data.leftovers import (
    Shard,
    check_leftovers,
    find_leftovers,
    list_stats,
    list_truth,
    read_shard,
)
from avnb.data.rows import (
    INT16_PEAK,
    describe_sound,
    make_rows,
    make_schema,
    plan_clips,
)
from avnb.data.sources import (
    SPLITS,
    ClipSettings,
    PreparationReport,
    Problem,
    Source,
    is_utf8,
)
from avnb.data.splits import split_recordings
from avnb.data.truth import TruthError, list_quantities
from avnb.errors import AvnbError, ClipsError, MediaError

# Part of every fingerprint. Raise it when the same sources and settings give other
# rows: then everything is prepared anew.
FORMAT = 2

# Bytes of rows held at once, and of a row group as it is written. Readers hold one
# group, so it bounds their memory; much smaller ones compress badly.
ROW_GROUP = 16 * 2**20

# s that the next clip of a file may take. A hostile or damaged file must not hold up
# the others for ever.
TIME_LIMIT = 300.0


@dataclass(frozen=True)
class _Job:
    """One shard: a recording, where it goes, and what it is made from."""

    recording: str
    split: str
    path: Path
    sources: tuple[Source, ...]
    settings: ClipSettings
    truth: tuple[str, ...]  # the known quantities, the same for all shards
    fingerprint: str
    time_limit: float = TIME_LIMIT
    caller: int = 0  # the process that called prepare

    @property
    def group(self) -> str:
        """What its recording shares a split with; the recording itself if nothing."""
        return self.sources[0].group or self.recording


@dataclass
class _Result:
    """What came of a job."""

    recording: str
    rows: int = 0
    problems: list[Problem] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)
    dropped: float = 0.0


class _TimeUpError(Exception):
    """A file has given no clip for too long."""


def prepare(
    sources: Iterable[Source],
    out: Path | str,
    settings: ClipSettings | None = None,
    *,
    problems: Iterable[Problem] = (),
    workers: int | None = None,
    dry_run: bool = False,
    prune: bool = False,
    time_limit: float = TIME_LIMIT,
) -> PreparationReport:
    """Cut the sources into clips and write them under ``out``.

    Safe to call again at any time, also after a kill: shards that are whole and whose
    sources and settings are unchanged are kept. A bad file is never an error but a
    problem in the report.

    Args:
        sources: of the whole data set.
        out: the folder of the clips. It belongs to ``prepare``.
        settings: how clips are cut; the defaults if None.
        problems: those found while looking for the sources; they join the report.
        workers: processes, by default one a core.
        dry_run: check and report only; write nothing.
        prune: remove the shards of sources that are gone. Otherwise they are kept as
            part of the data set, and named in the report.
        time_limit: s that the next clip of a file may take; then the file is given up.

    Returns:
        What was written, kept and removed, and what could not be used.

    Raises:
        ClipsError: sources that contradict each other, clips of sources that are gone
            and that were cut with other settings, or a time limit that is none.
        WriteError: ``out`` cannot be written, or the disk is full.
    """
    if not 0 < time_limit < math.inf:  # nor nan
        raise ClipsError("time_limit", f"it is {time_limit}", "Give a number above 0")
    settings = settings or ClipSettings()
    out = Path(out)
    report = PreparationReport(str(out), dry_run, problems=list(problems))
    # The order matters: what is readable decides the split, and the split decides
    # where each shard goes.
    sources = _keep_readable(sources, report)
    report.remarks += [remark for one in sources for remark in one.remarks]
    recordings, report.notes = split_recordings(sources, settings)
    jobs = [
        dataclasses.replace(job, time_limit=time_limit, caller=os.getpid())
        for job in _plan_jobs(sources, recordings, out, settings, report)
    ]
    groups = {s.group or s.recording: recordings[s.recording] for s in sources}
    if dry_run:
        gone, _ = _sort_leftovers(jobs, groups, out, settings, report, prune=prune)
        _keep_whole_shards(jobs, report)
        _count_splits(jobs, gone, report)
        return report

    with files.explain_write_errors(out):
        # "train" and "test" are there even if empty: readers list both
        for split in {"train", "test", *(job.split for job in jobs)}:
            (out / split).mkdir(parents=True, exist_ok=True)
        # several processes may prepare the same clips at once: one does, others wait
        with FileLock(out / ".lock"):
            gone, stale = _sort_leftovers(
                jobs, groups, out, settings, report, prune=prune
            )
            todo = _keep_whole_shards(jobs, report)
            _remove_stale(stale, todo, out)
            _write_shards(todo, workers or os.cpu_count() or 1, report)
            _count_splits(jobs, gone, report)
            report.problems.sort(key=lambda p: (p.file, p.problem))
            contents = _list_contents(jobs, gone, settings, report)
            files.write_json(out / "clips.json", contents)
            report.save()
    return report


def _keep_readable(
    sources: Iterable[Source], report: PreparationReport
) -> list[Source]:
    """The sources whose files are there; the others become problems.

    First of all, since the split counts recordings: a missing one must not take a
    place in the test.
    """
    found = []
    for source in sources:
        if not all(map(is_utf8, (source.name, source.recording, source.label))):
            problem = "its name, or its folder's, is not UTF-8"
            report.problems.append(Problem(source.name, problem, "Rename it"))
            continue
        try:
            empty = [p.name for p in source.files if p.stat().st_size == 0]
        except OSError as error:
            reason, remedy = f"cannot be opened: {error.strerror}", "Restore it"
        else:
            if not empty:
                found.append(source)
                continue
            # what a download that broke off leaves behind
            reason, remedy = f"{empty[0]} has no bytes", "Copy or download it again"
        report.problems.append(Problem(source.name, reason, remedy))
    return found


def _plan_jobs(
    sources: Sequence[Source],
    recordings: dict[str, str],
    out: Path,
    settings: ClipSettings,
    report: PreparationReport,
) -> list[_Job]:
    """The shards to be, and what each is made from."""
    known = _list_known_quantities(sources, report)
    by_recording: dict[str, list[Source]] = defaultdict(list)
    for source in sources:
        if source.truth not in known:  # it cannot be used, but the clip still can
            source = dataclasses.replace(source, truth=None)
        by_recording[source.recording].append(source)

    # The same columns in every shard, or `datasets` could not open them as one set. A
    # recording that lacks a quantity has nan there.
    quantities = set(chain.from_iterable(known.values()))
    if any(source.span is not None for source in sources):
        quantities.add("event")
    if any(source.hold for source in sources):
        quantities.add("held")
    names = tuple(sorted(quantities))
    jobs = []
    # Sorted, so that the order in which a folder is listed changes nothing.
    for recording, members in sorted(by_recording.items()):
        members.sort(key=lambda s: (s.offset + (s.start or 0), s.name))
        split = recordings[recording]
        fingerprint = files.hash_values(
            FORMAT,
            split,
            [settings.seconds, settings.step, settings.fps],
            # No channel is not in it: the fingerprints of older clips stay right.
            [settings.size, settings.sample_rate, settings.channel][
                : 2 if settings.channel is None else 3
            ],
            names,
            [_describe_source(source) for source in members],
        )
        # not the recording's name: a word like "test" in a file's name is a split's
        # name to `datasets`
        path = out / split / f"clips_{files.hash_values(recording)[:16]}.parquet"
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


def _list_known_quantities(
    sources: Sequence[Source], report: PreparationReport
) -> dict[Path, tuple[str, ...]]:
    """The quantities of each truth file that can be used."""
    known: dict[Path, tuple[str, ...]] = {}
    for path in sorted({s.truth for s in sources if s.truth is not None}):
        try:
            known[path] = list_quantities(path)
        except TruthError as error:
            problem = Problem(str(error.place), error.problem, error.remedy)
            report.problems.append(problem)
    return known


def _describe_source(source: Source) -> list[Any]:
    """What of a source decides its rows.

    Size and time of change stand for a file's bytes: reading all of them would take
    longer than preparing does.
    """
    stats = [path.stat() for path in source.files]
    # Only where it is so: the fingerprints of older clips stay right.
    held = ["held"] if source.hold else []
    return [
        *held,
        source.name,
        source.recording,
        source.label,
        source.unit,
        source.crop,
        source.start,
        source.duration,
        source.offset,
        source.video.suffix,  # not the path: a folder that was moved is the same
        source.audio is not None,
        source.truth is not None,
        source.span,
        [[stat.st_size, stat.st_mtime_ns] for stat in stats],
    ]


def _sort_leftovers(
    jobs: Sequence[_Job],
    groups: Mapping[str, str],
    out: Path,
    settings: ClipSettings,
    report: PreparationReport,
    *,
    prune: bool,
) -> tuple[list[Shard], list[Path]]:
    """The shards whose sources are gone, and the files to remove; see `leftovers`."""
    sources = [source for job in jobs for source in job.sources]
    gone, stale = find_leftovers(out, [job.path for job in jobs], sources)
    if prune:
        gone, stale = [], [*stale, *(shard.path for shard in gone)]
    if gone:
        truth = jobs[0].truth if jobs else list_truth(gone[0])
        check_leftovers(out, gone, groups, settings, truth)
    report.kept = {shard.recording: shard.rows for shard in gone}
    report.removed = sorted(f"{path.parent.name}/{path.name}" for path in stale)
    return gone, stale


def _keep_whole_shards(jobs: Sequence[_Job], report: PreparationReport) -> list[_Job]:
    """Find the shards that are whole and unchanged; return what is left to do."""
    todo = []
    for job in jobs:
        shard = read_shard(job.path) if job.path.is_file() else None
        if shard is None or shard.fingerprint != job.fingerprint:
            todo.append(job)
            if report.dry_run:
                _count_job(job, report)
        else:
            report.skipped[job.recording] = shard.rows
            report.problems += shard.problems
            report.remarks += shard.remarks
            report.dropped += shard.dropped
    return todo


def _count_job(job: _Job, report: PreparationReport) -> None:
    """Count the clips that a job would give, from what its files say they hold."""
    for source in job.sources:
        try:
            plan = plan_clips(source, job.settings)
        except MediaError as error:
            report.problems.append(_locate_problem(source, error))
            continue
        report.dropped += plan.dropped
        if plan.count:
            clips = report.written.get(job.recording, 0) + plan.count
            report.written[job.recording] = clips
        else:
            report.problems.append(_name_too_short(source, job.settings))


def _remove_stale(stale: Sequence[Path], todo: Sequence[_Job], out: Path) -> None:
    """Remove old shards, those that are to be made anew, and what a kill left."""
    if todo or stale:
        # clips.json is there only while the shards are all there
        (out / "clips.json").unlink(missing_ok=True)
    # Nobody else writes now: the folder is locked.
    left = chain.from_iterable((out / split).glob(".*.tmp") for split in SPLITS)
    for path in [*stale, *left, *(job.path for job in todo)]:
        path.unlink(missing_ok=True)


def _write_shards(
    todo: Sequence[_Job], workers: int, report: PreparationReport
) -> None:
    """Write the shards on many processes; a process that dies costs one recording."""
    # joblib's processes do not import the caller's main module again, so that a
    # script without an `if __name__ == "__main__"` may call prepare
    left = {job.recording: job for job in todo}
    bar = tqdm(total=len(todo), desc="preparing", unit="recording", disable=not todo)

    def record(result: _Result) -> None:
        del left[result.recording]
        bar.update()
        report.problems += result.problems
        report.remarks += result.remarks
        report.dropped += result.dropped
        if result.rows:
            report.written[result.recording] = result.rows

    with bar:
        # Unordered: the bar moves on although a long recording is still being cut.
        parallel = joblib.Parallel(
            min(workers, max(len(todo), 1)), return_as="generator_unordered"
        )
        try:
            for result in parallel(joblib.delayed(_write_shard)(job) for job in todo):
                record(result)
        except BrokenProcessPool:
            # Nobody says which recording killed it. Each that is left gets a process
            # of its own, and the one that dies again is the culprit.
            for job in list(left.values()):
                try:
                    # 2: with 1, joblib would run it in this process
                    alone = joblib.Parallel(2)([joblib.delayed(_write_shard)(job)])
                    record(alone[0])
                except BrokenProcessPool:
                    problem = (
                        "the process that read it died (a decoder's crash, memory, "
                        f"or more than {2 * job.time_limit:g} s for one clip)"
                    )
                    remedy = "Encode the file anew, or take it out"
                    found = Problem(job.recording, problem, remedy)
                    record(_Result(job.recording, problems=[found]))


def _count_splits(
    jobs: Sequence[_Job], gone: Sequence[Shard], report: PreparationReport
) -> None:
    """Count recordings by split and label, and note labels that nothing trains."""
    used = {"train", "test", *(job.split for job in jobs)}
    used |= {shard.path.parent.name for shard in gone}
    report.splits = {split: defaultdict(int) for split in SPLITS if split in used}
    # Recordings without a single whole clip are in neither.
    there = report.written.keys() | report.skipped.keys()
    for job in jobs:
        if job.recording in there:
            report.splits[job.split][job.sources[0].label] += 1
    for shard in gone:
        report.splits[shard.path.parent.name][shard.label] += 1
    report.splits = {split: dict(labels) for split, labels in report.splits.items()}
    for label in sorted(report.splits["test"].keys() - report.splits["train"].keys()):
        report.notes.append(f"{label}: none of its recordings is in train")


def _list_contents(
    jobs: Sequence[_Job],
    gone: Sequence[Shard],
    settings: ClipSettings,
    report: PreparationReport,
) -> dict[str, Any]:
    """What clips.json holds: what readers must know before they open a shard."""
    counts = report.written | report.skipped
    there = [job for job in jobs if job.recording in counts]
    truth = there[0].truth if there else list_truth(gone[0]) if gone else ()
    shards = {
        f"{job.split}/{job.path.name}": {
            "recording": job.recording,
            "label": job.sources[0].label,
            "clips": counts[job.recording],
            "fingerprint": job.fingerprint,
        }
        for job in there
    } | {
        shard.name: {
            "recording": shard.recording,
            "label": shard.label,
            "clips": shard.rows,
            "fingerprint": shard.fingerprint,
        }
        for shard in gone
    }
    return {
        "format": FORMAT,
        "settings": _list_settings(settings),
        # of all splits: an index means the same class everywhere
        "classes": sorted({shard["label"] for shard in shards.values()}),
        "truth": truth,
        "shards": shards,
    }


def _list_settings(settings: ClipSettings) -> dict[str, Any]:
    """The settings, without the channel where none was chosen, as in older files."""
    values = dataclasses.asdict(settings)
    if settings.channel is None:
        del values["channel"]
    return values


# ------------------------------------------------------------- writing one shard


def _write_shard(job: _Job) -> _Result:
    """Cut one recording and write its shard.

    Two passes, since each row holds the peak of the whole recording: rows go to a
    spool file as they come, then, with the peak, into the shard.
    """
    spool = job.path.with_name(f".{job.path.stem}.spool.tmp")
    result = _Result(job.recording)
    with files.explain_write_errors(job.path):
        try:
            owners, peak = _spool_rows(job, spool, result)
            if any(owners):  # no shard without rows
                with files.atomic_path(job.path) as partial:
                    result.rows = _copy_spool(job, spool, partial, owners, peak, result)
            return result
        finally:
            spool.unlink(missing_ok=True)


def _spool_rows(job: _Job, spool: Path, result: _Result) -> tuple[list[bool], float]:
    """Write the rows of all sources to the spool file, batch by batch.

    Returns:
        For each batch, whether its source was read to its end; and the peak of those
        sources, 0 to 1.
    """
    columns = _make_spool_schema(job)
    owners: list[bool] = []
    peak = 0
    with (
        pa.OSFile(str(spool), "wb") as file,
        pa.ipc.new_stream(file, columns) as writer,
    ):
        for source in job.sources:
            loudest, problem = _spool_source(job, source, writer, result)
            if problem is None:
                peak = max(peak, loudest)
            else:
                # Its rows are in the spool already; they are skipped when copying.
                result.problems.append(problem)
            # The writer's own count: the time limit may end a source at any moment,
            # also between the writing of a batch and a note that it was written.
            written = writer.stats.num_record_batches
            owners += [problem is None] * (written - len(owners))
    return owners, peak / INT16_PEAK


def _make_spool_schema(job: _Job) -> pa.Schema:
    """The columns of a row, but for the peak, which is known only at the end."""
    columns = make_schema(job.truth)
    return columns.remove(columns.get_field_index("peak"))


def _spool_source(
    job: _Job,
    source: Source,
    writer: pa.ipc.RecordBatchStreamWriter,
    result: _Result,
) -> tuple[int, Problem | None]:
    """Write one source's rows: its largest sample, and why it cannot be used."""
    # Rows of a batch: as many as memory is meant to hold, at least one.
    least = max(1, ROW_GROUP // job.settings.row_bytes)
    columns = _make_spool_schema(job)
    loudest, empty = 0, True
    rows = make_rows(source, job.split, job.settings, job.truth, result.problems)
    try:
        with _Watch(job) as watch:
            rows = watch.follow(rows)
            while batch := list(islice(rows, least)):
                loudest = max(loudest, *(row.pop("loudest") for row in batch))
                writer.write_batch(pa.RecordBatch.from_pylist(batch, columns))
                empty = False
            if empty:
                return loudest, _name_too_short(source, job.settings)
            remark = describe_sound(source, job.settings.channel, loudest)
            result.remarks += [] if remark is None else [remark]
            result.dropped += plan_clips(source, job.settings).dropped
    except MediaError as error:
        return loudest, _locate_problem(source, error)
    except _TimeUpError:
        return loudest, Problem(
            source.name,
            f"one of its clips took more than {job.time_limit:g} s",
            "Encode the file anew, or give a longer --time-limit",
        )
    except OSError as error:
        if error.errno in files.FULL_DISK:  # of writing, so no fault of the source
            raise
        return loudest, Problem(source.name, str(error), "Check the file and disk")
    except AvnbError:
        raise
    except Exception as error:
        # A fault of ours, which must not cost the other recordings.
        return loudest, Problem(
            source.name,
            f"reading it raised {type(error).__name__}: {error}",
            "Please report this, with the file if you may pass it on",
        )
    return loudest, None


def _name_too_short(source: Source, settings: ClipSettings) -> Problem:
    return Problem(
        source.name,
        f"shorter than one clip of {settings.seconds} s",
        "Leave it out, or prepare shorter clips with --seconds",
    )


class _Watch:
    """Raises _TimeUpError where the next clip of a file takes too long.

    A signal interrupts Python alone. If a decoder never returns, the worker process
    ends itself after twice the time, which costs this recording alone.
    """

    def __init__(self, job: _Job) -> None:
        self.seconds = job.time_limit
        self.is_worker = os.getpid() != job.caller
        # Windows has no such signal, and only the main thread may set one.
        main = threading.current_thread() is threading.main_thread()
        self.active = main and hasattr(signal, "setitimer")

    def __enter__(self) -> _Watch:
        if self.active:
            self.before = signal.signal(signal.SIGALRM, self._give_up)
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.active:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self.before)
        if self.is_worker:
            faulthandler.cancel_dump_traceback_later()

    def follow(self, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Hand the rows on, and start anew with each."""
        for row in rows:
            self._start()
            yield row

    def _start(self) -> None:
        if self.active:
            signal.setitimer(signal.ITIMER_REAL, self.seconds)
        if self.is_worker:
            faulthandler.dump_traceback_later(2 * self.seconds, exit=True)

    @staticmethod
    def _give_up(*_: object) -> None:
        raise _TimeUpError


def _locate_problem(source: Source, error: MediaError) -> Problem:
    """The error of a file, named by where it lies in its data set."""
    at_fault = Path(error.place)
    name = source.name
    if len(source.files) > 1 and at_fault.name != Path(name).name:
        name = f"{name} ({at_fault.name})"
    problem = error.problem.replace(str(at_fault), at_fault.name)
    return Problem(name, problem, error.remedy)


def _copy_spool(
    job: _Job,
    spool: Path,
    partial: Path,
    owners: list[bool],
    peak: float,
    result: _Result,
) -> int:
    """Copy the spool into a Parquet file, with the peak; return its rows."""
    # In the footer, so that a shard says by itself what it was made from.
    facts = {
        "avnb_fingerprint": job.fingerprint,
        "avnb_problems": json.dumps([dataclasses.asdict(p) for p in result.problems]),
        # What tells, once the sources are gone, whether the shard may stay.
        "avnb_origin": json.dumps(
            {
                "group": job.group,
                "files": list_stats(job.sources),
                "remarks": [dataclasses.asdict(p) for p in result.remarks],
                "dropped": result.dropped,
            }
        ),
    }
    columns = make_schema(job.truth)
    at = columns.get_field_index("peak")
    least = max(1, ROW_GROUP // job.settings.row_bytes)  # rows of a row group
    pending: list[pa.RecordBatch] = []
    rows = 0
    with (
        pa.OSFile(str(spool), "rb") as file,
        pa.ipc.open_stream(file) as reader,
        pq.ParquetWriter(
            partial,
            columns.with_metadata(facts),
            compression="zstd",
            # dictionaries let a small file hold endless rows: `clips` refuses them
            use_dictionary=False,
            # the smallest and largest picture, as bytes, are of no use to anybody
            write_statistics=False,
            write_page_checksum=True,
        ) as writer,
    ):

        def flush() -> None:
            table = pa.Table.from_batches(pending)
            column = pa.array(np.full(len(table), peak, np.float32))
            writer.write_table(table.add_column(at, columns.field(at), column))
            pending.clear()

        # Small batches, of short recordings, are joined to groups of the wanted size.
        for whole, batch in zip(owners, reader, strict=True):
            if not whole:
                continue
            pending.append(batch)
            rows += len(batch)
            if sum(map(len, pending)) >= least:
                flush()
        if pending:
            flush()
    return rows
