"""Prepared clips: read them whole (``load_clips``) or as a stream (``stream_clips``).

A prepared folder holds ``train/*.parquet`` and ``test/*.parquet``, one row a clip, one
file a recording, which ``datasets.load_dataset("parquet", data_dir=FOLDER)`` opens
too, ``clips.json`` (settings, classes, shards) and ``report.json``. Sets that fit are
held once as uint8 and int16 tensors on the training device; larger ones stream.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from jaxtyping import Bool, Float32, Int16, Int64, UInt8
from torch import Tensor

from avnb.data.shards import FORMAT, schema
from avnb.data.sources import SPLITS, ClipSettings
from avnb.errors import ClipsError

LOAD_LIMIT = 8 * 2**30  # bytes that `load_clips` holds at most
ROW_GROUP_LIMIT = 2**30  # bytes of a Parquet row group that is read at all
JSON_LIMIT = 2**28


@dataclass(frozen=True)
class ClipBatch:
    """N clips of T frames and S samples.

    Attributes:
        frames: (N, T, H, W, 3) uint8
        waveform: (N, C, S) int16; C is 1
        labels: (N,) index into ``classes``, which are the same for every split
        recordings: N names
        start: (N,) s from the start of the recording
        peak: (N,) the largest absolute sample of the clip's recording, 0 to 1
        fps, sample_rate: Hz
        truth: name -> (N, T), where known: the quantity at each frame; ``time`` in s
            from the start of the clip; NaN where a recording lacks it
    """

    frames: UInt8[Tensor, "N T H W 3"]
    waveform: Int16[Tensor, "N C S"]
    labels: Int64[Tensor, " N"]
    classes: list[str]
    recordings: list[str]
    start: Float32[Tensor, " N"]
    peak: Float32[Tensor, " N"]
    fps: float
    sample_rate: int
    truth: dict[str, Float32[Tensor, "N T"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def select(
        self, which: Bool[Tensor, " N"] | Int64[Tensor, " n"] | Sequence[int]
    ) -> ClipBatch:
        """The clips of a mask (N,) or of indices (n,), in their order."""
        index = torch.as_tensor(which)
        if index.dtype == torch.bool:
            if len(index) != len(self):
                raise ClipsError(f"a mask of {len(index)} for {len(self)} clips")
            index = index.nonzero()[:, 0]
        index = index.long()
        here = index.to(self.labels.device)
        return dataclasses.replace(
            self,
            frames=self.frames[here],
            waveform=self.waveform[here],
            labels=self.labels[here],
            recordings=[self.recordings[i] for i in index.tolist()],
            start=self.start[here],
            peak=self.peak[here],
            truth={name: values[here] for name, values in self.truth.items()},
        )


def load_clips(
    folder: Path | str, split: str, device: torch.device | str = "cpu"
) -> ClipBatch:
    """Read a split of prepared clips whole, onto ``device``.

    Raises ClipsError, which names the file and what to do, where the folder is not
    prepared, a shard is missing, foreign, damaged or of another shape, or the split is
    larger than 8 GiB: such a split streams.
    """
    opened = _open(folder, split)
    total = opened.clips * opened.row_bytes
    if total > LOAD_LIMIT:
        raise ClipsError(
            f"{folder}/{split}: {total / 2**30:.1f} GiB of clips, more than "
            f"{LOAD_LIMIT / 2**30:.0f} GiB. Read them with stream_clips()"
        )
    held = _empty(opened, opened.clips, torch.device(device))
    filled = 0
    for path in opened.shards:
        for part in _read(path, opened, batch=256):
            _put(held, part, slice(filled, filled + len(part)))
            filled += len(part)
    if filled != opened.clips:
        what = f"lists {opened.clips} {split} clips, the shards hold {filled}"
        raise _broken(Path(folder, "clips.json"), what)
    return held


@dataclass(frozen=True)
class Recording:
    """One recording, or one part of it, without a gap: T frames and S samples.

    Attributes:
        frames: (T, H, W, 3) uint8; frame t is seen at t / fps s
        waveform: (S,) float32 in [-1, 1]; S = T / fps * sample_rate
        times: (T,) s from the start of the recording, which may lie before this part
        recording, label: its names
        fps, sample_rate: Hz
        truth: name -> (T,), where known: the quantity at each frame
    """

    frames: UInt8[Tensor, "T H W 3"]
    waveform: Float32[Tensor, " S"]
    times: Float32[Tensor, " T"]
    recording: str
    label: str
    fps: float
    sample_rate: int
    truth: dict[str, Float32[Tensor, " T"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frames)


def load_recording(
    folder: Path | str, split: str, device: torch.device | str = "cpu"
) -> Recording:
    """The clips of a split joined to one film, onto ``device``.

    For what ``avnb prepare single_video`` makes: one recording a split, whose clips
    follow each other. Raises ClipsError as ``load_clips``, and where that is not so.
    """
    clips = load_clips(folder, split, device)
    if len(set(clips.recordings)) != 1:
        raise ClipsError(
            f"{folder}/{split}: {len(set(clips.recordings))} recordings, a film is of "
            "one. Prepare one video with avnb prepare single_video"
        )
    length = clips.waveform.shape[-1] / clips.sample_rate
    frames = clips.frames.shape[1]
    gaps = (clips.start.diff() - length).abs() > 0.5 / clips.fps
    whole = math.isclose(frames / clips.fps, length, rel_tol=1e-6)
    if gaps.any() or not whole:
        where = clips.start[1:][gaps][0].item() if gaps.any() else frames / clips.fps
        raise ClipsError(
            f"{folder}/{split}: its clips of {length:g} s do not follow each other at "
            f"{where:g} s. Prepare them with avnb prepare single_video"
        )
    within = torch.arange(frames, device=clips.start.device) / clips.fps
    return Recording(
        frames=clips.frames.flatten(0, 1),
        waveform=clips.waveform[:, 0].flatten() / 32767,
        times=(clips.start[:, None] + within).flatten(),
        recording=clips.recordings[0],
        label=clips.classes[int(clips.labels[0])],
        fps=clips.fps,
        sample_rate=clips.sample_rate,
        truth={
            name: values.flatten()
            for name, values in clips.truth.items()
            if name != "time"  # of the clip; `times` is the film's
        },
    )


def stream_clips(
    folder: Path | str, split: str, *, batch: int, shuffle: bool = False, seed: int = 0
) -> Iterator[ClipBatch]:
    """One pass over a split in batches, in bounded memory, on the CPU.

    Shuffling takes the shards in random order and draws from a buffer of at least
    16 batches: give another seed each epoch. Holds the buffer and one row group (16
    MiB as written). The last batch may be smaller. Raises ClipsError as ``load_clips``.
    """
    if batch < 1:
        raise ClipsError(f"batch is {batch}: it must be at least 1")
    opened = _open(folder, split)
    return _stream(opened, batch, np.random.default_rng(seed) if shuffle else None)


def _stream(
    opened: _Opened, batch: int, random: np.random.Generator | None
) -> Iterator[ClipBatch]:
    shards = list(opened.shards)
    if random is not None:
        random.shuffle(shards)  # type: ignore[arg-type]
    rows: Iterator[_Part] = (
        row
        for path in shards
        for part in _read(path, opened, batch=64)
        for row in part.rows()
    )
    if random is not None:
        rows = _shuffled(rows, max(16 * batch, 256), random)
    pending: list[_Part] = []
    for row in rows:
        pending.append(row)
        if len(pending) == batch:
            yield _joined(pending, opened)
            pending = []
    if pending:
        yield _joined(pending, opened)


def _shuffled(
    rows: Iterator[_Part], size: int, random: np.random.Generator
) -> Iterator[_Part]:
    """Draw at random from a buffer that is kept full."""
    buffer: list[_Part] = []
    for row in rows:
        if len(buffer) < size:
            buffer.append(row)
            continue
        at = int(random.integers(size))
        yield buffer[at]
        buffer[at] = row
    for at in random.permutation(len(buffer)):
        yield buffer[at]


# ----------------------------------------------------------------- reading


@dataclass(frozen=True)
class _Opened:
    """A split whose list of shards and shapes have been checked."""

    split: str
    shards: list[Path]
    clips: int
    settings: ClipSettings
    classes: list[str]
    truth: tuple[str, ...]  # with "time"

    @property
    def frames_shape(self) -> tuple[int, ...]:
        return (self.settings.frames, self.settings.size, self.settings.size, 3)

    @property
    def waveform_shape(self) -> tuple[int, ...]:
        return (1, self.settings.samples)

    @property
    def row_bytes(self) -> int:
        return self.settings.row_bytes + 4 * self.settings.frames * len(self.truth)


@dataclass(frozen=True)
class _Part:
    """Rows as arrays, in the layout of ``ClipBatch``."""

    frames: np.ndarray
    waveform: np.ndarray
    labels: np.ndarray
    recordings: list[str]
    start: np.ndarray
    peak: np.ndarray
    truth: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self) -> Iterator[_Part]:
        for i in range(len(self)):
            at = slice(i, i + 1)
            yield _Part(
                self.frames[at].copy(),  # a view would keep the whole part alive
                self.waveform[at].copy(),
                self.labels[at],
                self.recordings[at],
                self.start[at],
                self.peak[at],
                {name: values[at] for name, values in self.truth.items()},
            )


def _open(folder: Path | str, split: str) -> _Opened:
    folder = Path(folder)
    if split not in SPLITS:
        raise ClipsError(f"split {split!r} is none of {SPLITS}")
    contents = _contents(folder / "clips.json")
    try:
        settings = ClipSettings(**contents["settings"])
        classes = [str(name) for name in contents["classes"]]
        truth = tuple(str(name) for name in contents["truth"])
        listed = {
            name: int(shard["clips"]) for name, shard in contents["shards"].items()
        }
        whole = all(
            isinstance(getattr(settings, f), int) for f in ("size", "sample_rate")
        )
        if contents["format"] != FORMAT or not whole:
            raise ValueError(f"format {contents['format']}, this avnb reads {FORMAT}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _broken(folder / "clips.json", f"is not ours ({error!r})") from error
    here = sorted((folder / split).glob("*.parquet"))
    expected = {name for name in listed if name.startswith(f"{split}/")}
    found = {f"{split}/{path.name}" for path in here}
    if found != expected:
        name = min(found ^ expected)
        what = "is missing" if name in expected else "is not in clips.json"
        raise _broken(folder / name, what)
    clips = sum(listed[name] for name in expected)
    known = ("time", *truth) if truth else ()
    return _Opened(split, here, clips, settings, classes, known)


def _contents(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ClipsError(
            f"{path.parent}: no prepared clips, or their preparation was interrupted "
            "(clips.json is missing). Run avnb prepare, again if need be"
        )
    if path.stat().st_size > JSON_LIMIT:
        raise _broken(path, f"has {path.stat().st_size} bytes")
    try:
        contents = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"is no JSON ({error})") from error
    if not isinstance(contents, dict):
        raise _broken(path, "is not ours")
    return contents


def _broken(path: Path, what: str) -> ClipsError:
    return ClipsError(f"{path}: {what}. Run avnb prepare again on the same folders")


def _read(path: Path, opened: _Opened, batch: int) -> Iterator[_Part]:
    """The rows of a shard, checked, ``batch`` at a time or fewer."""
    batch = max(1, min(batch, 2**24 // opened.row_bytes))
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check_file(file, path, opened)
            for rows in file.iter_batches(batch, use_threads=False):
                yield _part(rows, path, opened)
    except (OSError, pa.ArrowException) as error:
        raise _broken(path, f"is damaged ({error})") from error


def _check_file(file: pq.ParquetFile, path: Path, opened: _Opened) -> None:
    """Columns and sizes, before anything is read."""
    expected = schema(opened.truth[1:])
    found = {column.name: column.type for column in file.schema_arrow}
    for column in expected:
        if found.get(column.name) != column.type:
            got = found.get(column.name, "nothing")
            raise _broken(path, f"column {column.name} is {got}, not {column.type}")
    for g in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(g)
        if group.total_byte_size > max(ROW_GROUP_LIMIT, 2 * opened.row_bytes):
            raise _broken(path, f"row group {g} has {group.total_byte_size} bytes")
        for c in range(group.num_columns):
            if group.column(c).has_dictionary_page:
                name = group.column(c).path_in_schema
                raise _broken(path, f"column {name} is dictionary-encoded")


def _part(rows: pa.RecordBatch, path: Path, opened: _Opened) -> _Part:
    if any(rows[column.name].null_count for column in schema(opened.truth[1:])):
        raise _broken(path, "has empty cells")
    settings = opened.settings
    for name, value in (
        ("split", opened.split),
        ("fps", np.float32(settings.fps)),
        ("sample_rate", settings.sample_rate),
    ):
        if other := set(rows[name].unique().to_pylist()) - {value}:
            raise _broken(path, f"{name} is {other.pop()!r} where {value!r} is right")
    labels = rows["label"].to_pylist()
    if unknown := set(labels) - set(opened.classes):
        raise _broken(path, f"label {unknown.pop()!r} is none of {opened.classes}")
    n = len(labels)
    truth = {}
    for name in opened.truth:
        column = rows[f"truth_{name}"]
        if set(pc.list_value_length(column).to_pylist()) - {settings.frames}:
            raise _broken(path, f"truth_{name} has not {settings.frames} values a clip")
        values = column.flatten().to_numpy(zero_copy_only=False)
        truth[name] = values.astype(np.float32).reshape(n, settings.frames)
    index = {name: i for i, name in enumerate(opened.classes)}
    return _Part(
        _block(rows, "frames", np.dtype("u1"), opened.frames_shape, path),
        _block(rows, "waveform", np.dtype("<i2"), opened.waveform_shape, path),
        np.array([index[label] for label in labels], np.int64),
        rows["recording"].to_pylist(),
        rows["start"].to_numpy().astype(np.float32),
        rows["peak"].to_numpy().astype(np.float32),
        truth,
    )


def _block(
    rows: pa.RecordBatch, name: str, dtype: np.dtype, shape: tuple[int, ...], path: Path
) -> np.ndarray:
    """A column of bytes as one array (rows, *shape)."""
    for found in {tuple(s) for s in rows[f"{name}_shape"].to_pylist()}:
        if found != shape:
            raise _broken(path, f"{name} of shape {found}, not {shape}")
    expected = math.prod(shape) * dtype.itemsize
    for size in set(pc.binary_length(rows[name]).to_pylist()) - {expected}:
        raise _broken(path, f"{name} of {size} bytes, not {expected}")
    data = bytearray().join(rows[name].to_pylist())  # writable, as torch wants it
    return np.frombuffer(data, dtype).reshape(len(rows), *shape)


def _empty(opened: _Opened, n: int, device: torch.device) -> ClipBatch:
    frames = torch.empty((n, *opened.frames_shape), dtype=torch.uint8, device=device)
    waveform = torch.empty(
        (n, *opened.waveform_shape), dtype=torch.int16, device=device
    )
    shape = (n, opened.settings.frames)
    return ClipBatch(
        frames=frames,
        waveform=waveform,
        labels=torch.empty(n, dtype=torch.int64, device=device),
        classes=opened.classes,
        recordings=[""] * n,
        start=torch.empty(n, device=device),
        peak=torch.empty(n, device=device),
        fps=float(opened.settings.fps),
        sample_rate=opened.settings.sample_rate,
        truth={name: torch.empty(shape, device=device) for name in opened.truth},
    )


def _put(held: ClipBatch, part: _Part, at: slice) -> None:
    if at.stop > len(held):
        raise ClipsError(f"more clips than the {len(held)} that clips.json lists")
    for name in ("frames", "waveform", "labels", "start", "peak"):
        getattr(held, name)[at] = torch.from_numpy(getattr(part, name))
    held.recordings[at] = part.recordings
    for name, values in part.truth.items():
        held.truth[name][at] = torch.from_numpy(values)


def _joined(parts: Sequence[_Part], opened: _Opened) -> ClipBatch:
    held = _empty(opened, sum(map(len, parts)), torch.device("cpu"))
    filled = 0
    for part in parts:
        _put(held, part, slice(filled, filled + len(part)))
        filled += len(part)
    return held
