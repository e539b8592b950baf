"""Recordings become prepared clips: a Parquet data set, one row a clip.

``prepare`` cuts each recording into clips of a fixed length and writes one
Parquet shard a recording under ``OUT/train``, ``OUT/val`` or ``OUT/test``. It resumes
after an interruption, rebuilds what changed, goes on at a bad file and lists it. This
module imports no torch, so that its worker processes start fast; ``avnb.clips``
re-exports its names and adds what reads the clips back.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
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
from avnb.data.sources import (
    IMAGE_SUFFIXES,
    LACK,
    SPLITS,
    TAIL,
    ClipSettings,
    PreparationReport,
    Problem,
    Source,
)
from avnb.data.splits import split_recordings
from avnb.data.truth import TruthError, read_truth, sample_truth, truth_names
from avnb.errors import MediaError

FORMAT = 1  # raise it when the same sources and settings give other rows

SOUND_BLOCK = 60.0  # s of sound held at once
ROW_GROUP = 16 * 2**20  # bytes of rows held at once


@dataclass(frozen=True)
class _Job:
    """One shard: a recording, where it goes, and what it was made from."""

    recording: str
    split: str
    path: Path
    sources: tuple[Source, ...]
    settings: ClipSettings
    truth: tuple[str, ...]
    fingerprint: str


def prepare(
    sources: Iterable[Source],
    out: Path | str,
    settings: ClipSettings | None = None,
    *,
    problems: Iterable[Problem] = (),
    workers: int | None = None,
    dry_run: bool = False,
) -> PreparationReport:
    """Cut the sources into clips and write them under ``out``.

    ``problems`` are those found while looking for the sources: they join the report.
    Safe to call again at any time, also after a kill: shards whose sources and
    settings are unchanged, and which are whole, are kept. ``out`` belongs to
    ``prepare``: shards of sources that are gone are removed. ``workers``: processes,
    by default one a core. Raises ClipsError for sources that contradict each other;
    a bad file is never an error but a problem in the report.
    """
    settings = settings or ClipSettings()
    out = Path(out)
    report = PreparationReport(str(out), dry_run, problems=list(problems))
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


def _there(sources: Iterable[Source], report: PreparationReport) -> list[Source]:
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
    settings: ClipSettings,
    report: PreparationReport,
) -> list[_Job]:
    """The shards to be, and what each is made from."""
    known: dict[Path, tuple[str, ...]] = {}
    for path in sorted({s.truth for s in sources if s.truth is not None}):
        try:
            known[path] = truth_names(path)
        except TruthError as error:
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
        fingerprint = files.hash_values(
            FORMAT,
            split,
            [settings.seconds, settings.step, settings.fps],
            [settings.size, settings.sample_rate],
            names,
            [_facts(source) for source in members],
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
    jobs: Sequence[_Job], out: Path, report: PreparationReport, *, dry_run: bool
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


def _run(todo: Sequence[_Job], workers: int, report: PreparationReport) -> None:
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


def _count_splits(jobs: Sequence[_Job], report: PreparationReport) -> None:
    used = {"train", "test", *(job.split for job in jobs)}
    report.splits = {split: defaultdict(int) for split in SPLITS if split in used}
    there = report.written.keys() | report.skipped.keys()
    for job in jobs:
        if job.recording in there:
            report.splits[job.split][job.sources[0].label] += 1
    report.splits = {split: dict(labels) for split, labels in report.splits.items()}
    for label in sorted(report.splits["test"].keys() - report.splits["train"].keys()):
        report.notes.append(f"{label}: none of its recordings is in train")


def _contents(
    jobs: Sequence[_Job], settings: ClipSettings, report: PreparationReport
) -> dict:
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
        with files.atomic_path(job.path) as partial:
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
            except MediaError as error:
                problem = _problem(source, error)
            except OSError as error:
                problem = Problem(source.name, str(error), "Check the file and disk")
            if problem is None:
                peak = max(peak, loudest)
            else:
                problems.append(problem)
                owners[first:] = [(False, n) for _, n in owners[first:]]
    return owners, peak / 32767


def _problem(source: Source, error: MediaError) -> Problem:
    """The error of a file, named by where it lies in its data set."""
    at_fault = Path(error.place)
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
    truth = read_truth(source, problems)
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
    source: Source, settings: ClipSettings
) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """(start in the file s, frames (T, H, W, 3), waveform (1, S)) of each clip."""
    if source.video.suffix.lower() in IMAGE_SUFFIXES:
        if source.audio is None:
            raise MediaError(
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


def _whole(waveform: np.ndarray, settings: ClipSettings) -> np.ndarray | None:
    """The chunk at its exact length, or None where it is too short."""
    missing = settings.samples - waveform.shape[-1]
    if missing > min(TAIL * settings.sample_rate, settings.samples / 2):
        return None
    padded = np.pad(waveform, ((0, 0), (0, max(missing, 0))))
    return padded[:, : settings.samples]


def _sounds(
    source: Source, path: Path, settings: ClipSettings
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
