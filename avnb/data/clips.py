"""Prepared clips as tensors: whole splits, batches in a stream, or one recording.

A prepared folder holds ``train/*.parquet`` and ``test/*.parquet``, one row a clip, one
file a recording, which ``datasets.load_dataset("parquet", data_dir=FOLDER)`` opens
too, ``clips.json`` (settings, classes, shards) and ``report.json``. Splits that fit
are held once as uint8 and int16 tensors on the training device (``load_clips``);
larger ones stream (``stream_clips``).

Prepared folders may come from others, so every shard is checked before it is read: no
file can make us allocate more than its settings say.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from jaxtyping import Bool, Float32, Int16, Int64, UInt8
from numpy.typing import NDArray
from torch import Tensor

from avnb.data.rows import INT16_PEAK, make_schema
from avnb.data.shards import FORMAT
from avnb.data.sources import SPLITS, ClipSettings
from avnb.errors import ClipsError

LOAD_LIMIT = 8 * 2**30  # bytes that `load_clips` holds: half of a small GPU
ROW_GROUP_LIMIT = 2**30  # bytes of a Parquet row group that is read at all
JSON_LIMIT = 2**28  # bytes of a clips.json

# Clips of format 1 have no column of units: there, each recording is one.
FORMATS = (1, FORMAT)

_PREPARE_AGAIN = "Run avnb prepare again on the same folders"


@dataclass(frozen=True)
class ClipBatch:
    """N clips of T frames and S samples: a whole split, or a batch of a stream.

    Attributes:
        frames: (N, T, H, W, 3) uint8.
        waveform: (N, C, S) int16; C is 1.
        labels: (N,) index into ``classes``.
        classes: names, the same for every split.
        recordings: N names.
        units: N names of what is independent (the player, the source video): the unit
            of intervals. A recording of which nothing more is known is its own.
        start: (N,) s from the start of the recording.
        peak: (N,) the largest absolute sample of the clip's recording, 0 to 1.
        fps: frames a second.
        sample_rate: Hz.
        truth: name -> (N, T), where known: the quantity at each frame, nan where a
            recording lacks it; ``time`` is in s from the start of the clip.
    """

    frames: UInt8[Tensor, "N T H W 3"]
    waveform: Int16[Tensor, "N C S"]
    labels: Int64[Tensor, " N"]
    classes: list[str]
    recordings: list[str]
    units: list[str]
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
        """Select the clips of a mask (N,) or of indices (n,), in their order."""
        index = torch.as_tensor(which)
        if index.dtype == torch.bool:
            if len(index) != len(self):
                raise ClipsError(
                    "which",
                    f"a mask of {len(index)} for {len(self)} clips",
                    "Give a mask with one entry for each clip, or indices",
                )
            index = index.nonzero()[:, 0]  # (n, 1) -> (n,)
        index = index.long()
        # Names stay in lists on the CPU, tensors may be elsewhere.
        here = index.to(self.labels.device)
        return dataclasses.replace(
            self,
            frames=self.frames[here],
            waveform=self.waveform[here],
            labels=self.labels[here],
            recordings=[self.recordings[i] for i in index.tolist()],
            units=[self.units[i] for i in index.tolist()],
            start=self.start[here],
            peak=self.peak[here],
            truth={name: values[here] for name, values in self.truth.items()},
        )


def load_clips(
    folder: Path | str, split: str, device: torch.device | str = "cpu"
) -> ClipBatch:
    """Load a split of prepared clips whole, onto ``device``.

    Raises:
        ClipsError: the folder is not prepared, a shard is missing, foreign, damaged or
            of another shape, or the split is larger than 8 GiB: such a split streams.
    """
    opened = _open_split(folder, split)
    total = opened.clips * opened.row_bytes
    if total > LOAD_LIMIT:
        raise ClipsError(
            f"{folder}/{split}",
            f"{total / 2**30:.1f} GiB of clips, more than {LOAD_LIMIT / 2**30:.0f} GiB",
            "Read them with stream_clips()",
        )
    # Allocated once and filled in place: joining parts would need twice the memory.
    held = _make_empty(opened, opened.clips, torch.device(device))
    filled = 0
    for path in opened.shards:
        # 256: large enough to copy fast, small beside what is held anyway
        for part in _read_shard(path, opened, batch=256):
            _copy_into(held, part, slice(filled, filled + len(part)))
            filled += len(part)
    if filled != opened.clips:
        problem = f"it lists {opened.clips} {split} clips, the shards hold {filled}"
        raise _unusable(Path(folder, "clips.json"), problem)
    return held


def describe_clips(folder: Path | str) -> tuple[ClipSettings, dict[str, int]]:
    """Say how the clips of a prepared folder were cut; no clip is read.

    Returns:
        The settings, and for each split that is there how many recordings it holds.

    Raises:
        ClipsError: the folder is not prepared, or a shard is missing or foreign.
    """
    there = [split for split in SPLITS if (Path(folder) / split).is_dir()]
    opened = {split: _open_split(folder, split) for split in there}
    if not opened:
        raise ClipsError(folder, "it holds no split", _PREPARE_AGAIN)
    settings = next(iter(opened.values())).settings
    # Every recording has a shard of its own.
    return settings, {split: len(one.shards) for split, one in opened.items()}


@dataclass(frozen=True)
class Recording:
    """One recording, or one part of it, without a gap: T frames and S samples.

    Attributes:
        frames: (T, H, W, 3) uint8; frame t is seen at t / fps s. A ``StreamedFrames``
            where they are read from the shard.
        waveform: (S,) float32 in [-1, 1]; S = T / fps * sample_rate.
        times: (T,) s from the start of the recording, which may lie before this part.
        recording: its name.
        label: the name of its class.
        fps: frames a second.
        sample_rate: Hz.
        truth: name -> (T,), where known: the quantity at each frame.
    """

    frames: UInt8[Tensor, "T H W 3"] | StreamedFrames
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
    """Load the clips of a split, joined to one recording, onto ``device``.

    For what ``avnb prepare single_video`` makes: one recording a split, whose clips
    follow each other.

    Raises:
        ClipsError: as ``load_clips``; and where there are several recordings, or a gap.
    """
    return _join_clips(load_clips(folder, split, device), f"{folder}/{split}")


def stream_recording(
    folder: Path | str, split: str, device: torch.device | str = "cpu", kept: int = 4
) -> Recording:
    """As ``load_recording``, but its frames stay in the shard until they are asked for.

    An hour of 256 x 256 pixels is 14 GB. Reading it in order, at a few places at once,
    needs little more than ``kept`` row groups of 16 MiB.

    Args:
        folder: the prepared folder.
        split: "train" or "test".
        device: where the waveform is, and the frames that are asked for.
        kept: row groups that stay in memory; at least one for each reader.

    Raises:
        ClipsError: as ``load_recording``.
    """
    opened = _open_split(folder, split)
    device = torch.device(device)
    # Without its frames a split is small. A single byte stands for all of them.
    parts = [
        # a copy of none of them: a view would keep them all in memory
        dataclasses.replace(part, frames=part.frames[:0].copy())
        for path in opened.shards
        for part in _read_shard(path, opened, batch=64)
    ]
    if sum(len(part) for part in parts) != opened.clips:
        problem = f"it lists {opened.clips} {split} clips, the shards hold others"
        raise _unusable(Path(folder, "clips.json"), problem)
    clips = dataclasses.replace(
        _make_empty(opened, 0, device),
        frames=torch.zeros((), dtype=torch.uint8, device=device).expand(
            opened.clips, *opened.frames_shape
        ),
        waveform=_join_parts([part.waveform for part in parts], device),
        labels=_join_parts([part.labels for part in parts], device),
        recordings=[name for part in parts for name in part.recordings],
        units=[unit for part in parts for unit in part.units],
        start=_join_parts([part.start for part in parts], device),
        peak=_join_parts([part.peak for part in parts], device),
        truth={
            name: _join_parts([part.truth[name] for part in parts], device)
            for name in opened.truth
        },
    )
    joined = _join_clips(clips, f"{folder}/{split}")
    return dataclasses.replace(joined, frames=StreamedFrames(opened, device, kept))


def _join_parts(parts: Sequence[NDArray[Any]], device: torch.device) -> Tensor:
    return torch.from_numpy(np.concatenate(parts)).to(device)


class StreamedFrames:
    """The frames (T, H, W, 3) of one recording, read from its shard by slices.

    ``frames[a:b]`` is a uint8 tensor. The row groups that were read last are kept.
    """

    def __init__(self, opened: _OpenSplit, device: torch.device, kept: int) -> None:
        self._opened, self.device, (self._path,) = opened, device, opened.shards
        with pq.ParquetFile(self._path) as file:
            groups = range(file.metadata.num_row_groups)
            rows = [file.metadata.row_group(g).num_rows for g in groups]
        # (groups + 1,): the frame at which each row group begins, and the end
        self._begins = np.cumsum([0, *rows]) * opened.settings.frames
        self._read = lru_cache(maxsize=kept)(self._read_group)

    @property
    def shape(self) -> torch.Size:
        """(T, H, W, 3)."""
        return torch.Size((int(self._begins[-1]), *self._opened.frames_shape[1:]))

    def __len__(self) -> int:
        return int(self._begins[-1])

    def __getitem__(self, which: slice) -> UInt8[Tensor, "t H W 3"]:
        """The frames of a slice, on the device."""
        first, last, step = which.indices(len(self))
        if step < 1:
            raise ValueError(f"the frames are read forwards, not in steps of {step}")
        parts = [torch.empty((0, *self.shape[1:]), dtype=torch.uint8)]
        group = int(np.searchsorted(self._begins, first, "right")) - 1
        while first < last:
            begin, end = self._begins[group : group + 2]
            parts.append(self._read(group)[first - begin : last - begin])
            first, group = int(end), group + 1
        return torch.cat(parts)[::step].to(self.device)

    def split(self, count: int) -> Iterator[UInt8[Tensor, "t H W 3"]]:
        """All frames in order, ``count`` at a time."""
        for first in range(0, len(self), count):
            yield self[first : first + count]

    def _read_group(self, group: int) -> Tensor:
        try:
            with pq.ParquetFile(self._path, page_checksum_verification=True) as file:
                (batch,) = file.read_row_group(group).combine_chunks().to_batches()
        except (OSError, pa.ArrowException) as error:
            raise _unusable(self._path, f"it is damaged ({error})") from error
        rows = _to_rows(batch, self._path, self._opened)
        return torch.from_numpy(rows.frames).flatten(0, 1)


def _join_clips(clips: ClipBatch, place: str) -> Recording:
    """Join clips that follow each other to one recording."""
    if len(set(clips.recordings)) != 1:
        raise ClipsError(
            place,
            f"it holds {len(set(clips.recordings))} recordings, where one is needed",
            "Prepare one video with avnb prepare single_video",
        )
    length = clips.waveform.shape[-1] / clips.sample_rate
    frames = clips.frames.shape[1]
    # (N - 1,); half a frame, since starts are rounded and stamps are coarse
    gaps = (clips.start.diff() - length).abs() > 0.5 / clips.fps
    # A clip of 0.55 s at 10 Hz has 6 frames, 0.6 s: they would drift from the sound.
    whole = math.isclose(frames / clips.fps, length, rel_tol=1e-6)
    if gaps.any() or not whole:
        where = clips.start[1:][gaps][0].item() if gaps.any() else frames / clips.fps
        raise ClipsError(
            place,
            f"its clips of {length:g} s do not follow each other at {where:g} s",
            "Prepare them with avnb prepare single_video",
        )
    # (N, 1) + (T,) -> (N, T): every frame's time in the recording
    within = torch.arange(frames, device=clips.start.device) / clips.fps
    return Recording(
        frames=clips.frames.flatten(0, 1),
        waveform=clips.waveform[:, 0].flatten() / INT16_PEAK,
        times=(clips.start[:, None] + within).flatten(),
        recording=clips.recordings[0],
        label=clips.classes[int(clips.labels[0])],
        fps=clips.fps,
        sample_rate=clips.sample_rate,
        truth={
            name: values.flatten()
            for name, values in clips.truth.items()
            if name != "time"  # of the clip; `times` is the recording's
        },
    )


def stream_clips(
    folder: Path | str, split: str, *, batch: int, shuffle: bool = False, seed: int = 0
) -> Iterator[ClipBatch]:
    """Stream one pass over a split in batches, in bounded memory, on the CPU.

    Shuffling takes the shards in random order and draws from a buffer of at least 16
    batches. Holds the buffer and one row group (16 MiB as written).

    Args:
        folder: the prepared folder.
        split: "train", "val" or "test".
        batch: clips of a batch; the last one may be smaller.
        shuffle: whether the order is random.
        seed: of the order; give another one each epoch.

    Raises:
        ClipsError: as ``load_clips``, at once or as the shards are read.
    """
    if batch < 1:
        raise ClipsError("batch", f"it is {batch}", "Give at least 1")
    # Not a generator itself: a folder that cannot be read is an error at once, not at
    # the first batch.
    opened = _open_split(folder, split)
    random = np.random.default_rng(seed) if shuffle else None
    return _stream_batches(opened, batch, random)


def _stream_batches(
    opened: _OpenSplit, batch: int, random: np.random.Generator | None
) -> Iterator[ClipBatch]:
    shards = list(opened.shards)
    if random is not None:
        random.shuffle(shards)
    # Lazy: nothing is read before the first batch is asked for.
    rows: Iterator[_Rows] = (
        row
        for path in shards
        for part in _read_shard(path, opened, batch=64)
        for row in part.split_rows()
    )
    if random is not None:
        # Clips of one shard are neighbours in one recording. The order of the shards
        # alone would give batches of one player each.
        rows = _shuffle_rows(rows, max(16 * batch, 256), random)
    pending: list[_Rows] = []
    for row in rows:
        pending.append(row)
        if len(pending) == batch:
            yield _join_rows(pending, opened)
            pending = []
    if pending:
        yield _join_rows(pending, opened)


def _shuffle_rows(
    rows: Iterator[_Rows], size: int, random: np.random.Generator
) -> Iterator[_Rows]:
    """Draw at random from a buffer that is kept full."""
    # A row that comes early may be drawn late, but none is drawn before it was read:
    # with a buffer of the whole split this would be a perfect shuffle.
    buffer: list[_Rows] = []
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
class _OpenSplit:
    """A split whose list of shards and shapes have been checked."""

    split: str
    shards: list[Path]
    clips: int
    settings: ClipSettings
    classes: list[str]
    truth: tuple[str, ...]  # with "time"
    has_units: bool

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
class _Rows:
    """Some rows of a shard as arrays, in the layout of ``ClipBatch``."""

    frames: NDArray[np.uint8]
    waveform: NDArray[np.int16]
    labels: NDArray[np.int64]
    recordings: list[str]
    units: list[str]
    start: NDArray[np.float32]
    peak: NDArray[np.float32]
    truth: dict[str, NDArray[np.float32]]

    def __len__(self) -> int:
        return len(self.labels)

    def split_rows(self) -> Iterator[_Rows]:
        """Yield each row by itself."""
        for i in range(len(self)):
            at = slice(i, i + 1)
            yield _Rows(
                self.frames[at].copy(),  # a view would keep all rows in memory
                self.waveform[at].copy(),
                self.labels[at],
                self.recordings[at],
                self.units[at],
                self.start[at],
                self.peak[at],
                {name: values[at] for name, values in self.truth.items()},
            )


def _open_split(folder: Path | str, split: str) -> _OpenSplit:
    """Read clips.json and compare its list of shards with the folder."""
    folder = Path(folder)
    if split not in SPLITS:
        raise ClipsError(
            f"split {split!r}",
            "there is no such split",
            f"Give one of {', '.join(SPLITS)}",
        )
    contents = _read_contents(folder / "clips.json")
    try:
        settings = ClipSettings(**contents["settings"])
        classes = [str(name) for name in contents["classes"]]
        truth = tuple(str(name) for name in contents["truth"])
        listed = {
            name: int(shard["clips"]) for name, shard in contents["shards"].items()
        }
        # A float would pass ClipSettings' checks, and fail as a shape much later.
        whole = all(
            isinstance(getattr(settings, f), int) for f in ("size", "sample_rate")
        )
        form = contents["format"]
        if form not in FORMATS or not whole:
            raise ValueError(f"format {form!r}, this avnb reads {FORMATS}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"it is not a list of our clips ({error!r})"
        raise _unusable(folder / "clips.json", problem) from error
    # Both ways: a missing shard would silently be fewer clips, an extra one may be left
    # over from another split.
    here = sorted((folder / split).glob("*.parquet"))
    expected = {name for name in listed if name.startswith(f"{split}/")}
    found = {f"{split}/{path.name}" for path in here}
    if found != expected:
        name = min(found ^ expected)
        problem = "it is missing" if name in expected else "it is not in clips.json"
        raise _unusable(folder / name, problem)
    clips = sum(listed[name] for name in expected)
    known = ("time", *truth) if truth else ()
    return _OpenSplit(split, here, clips, settings, classes, known, form != 1)


def _read_contents(path: Path) -> dict[str, Any]:
    """The dict that a clips.json holds."""
    if not path.is_file():
        raise ClipsError(
            path.parent,
            "there are no prepared clips, or their preparation was interrupted "
            "(clips.json is missing)",
            "Run avnb prepare, again if need be",
        )
    if path.stat().st_size > JSON_LIMIT:
        raise _unusable(path, f"it has {path.stat().st_size} bytes")
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # "[[[[…": deeper than Python goes
        raise _unusable(path, f"it is not JSON ({error})") from error
    if not isinstance(contents, dict):
        raise _unusable(path, "it is not a list of our clips")
    return contents


def _unusable(path: Path, problem: str) -> ClipsError:
    return ClipsError(path, problem, _PREPARE_AGAIN)


def _read_shard(path: Path, opened: _OpenSplit, batch: int) -> Iterator[_Rows]:
    """The rows of a shard, checked, ``batch`` at a time or fewer."""
    # At most 16 MiB at a time, whatever the size of a clip.
    batch = max(1, min(batch, 2**24 // opened.row_bytes))
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check_file(file, path, opened)
            # One thread: many readers in parallel would each take all cores.
            for rows in file.iter_batches(batch, use_threads=False):
                yield _to_rows(rows, path, opened)
    except (OSError, pa.ArrowException) as error:
        raise _unusable(path, f"it is damaged ({error})") from error


def _list_columns(opened: _OpenSplit) -> pa.Schema:
    """The columns that a shard must have."""
    columns = make_schema(opened.truth[1:])
    if opened.has_units:
        return columns
    return columns.remove(columns.get_field_index("unit"))


def _check_file(file: pq.ParquetFile, path: Path, opened: _OpenSplit) -> None:
    """Check a shard's columns and sizes by its footer, before anything is read."""
    expected = _list_columns(opened)
    found = {column.name: column.type for column in file.schema_arrow}
    for column in expected:
        if found.get(column.name) != column.type:
            got = found.get(column.name, "nothing")
            raise _unusable(
                path, f"its column {column.name} is {got}, not {column.type}"
            )
    for g in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(g)
        # Twice a row: of clips so large that one fills a group, and its overhead.
        if group.total_byte_size > max(ROW_GROUP_LIMIT, 2 * opened.row_bytes):
            problem = f"its row group {g} has {group.total_byte_size} bytes"
            raise _unusable(path, problem)
        for c in range(group.num_columns):
            # A dictionary of one large value can stand for any number of rows.
            if group.column(c).has_dictionary_page:
                name = group.column(c).path_in_schema
                raise _unusable(path, f"its column {name} is dictionary-encoded")


def _to_rows(rows: pa.RecordBatch, path: Path, opened: _OpenSplit) -> _Rows:
    """Check Arrow's rows against the settings, and turn them into arrays."""
    if any(rows[column.name].null_count for column in _list_columns(opened)):
        raise _unusable(path, "it has empty cells")
    settings = opened.settings
    # A column is not trusted because its type is right: a shard may have been copied
    # from another folder.
    for name, value in (
        ("split", opened.split),
        ("fps", np.float32(settings.fps)),  # as the column holds it: 29.97 is not exact
        ("sample_rate", settings.sample_rate),
    ):
        if other := set(rows[name].unique().to_pylist()) - {value}:
            raise _unusable(
                path, f"its {name} is {other.pop()!r} where {value!r} is right"
            )
    labels = rows["label"].to_pylist()
    if unknown := set(labels) - set(opened.classes):
        raise _unusable(
            path, f"its label {unknown.pop()!r} is none of {opened.classes}"
        )
    index = {name: i for i, name in enumerate(opened.classes)}
    recordings = rows["recording"].to_pylist()
    return _Rows(
        _read_column(rows, "frames", np.dtype("u1"), opened.frames_shape, path),
        _read_column(rows, "waveform", np.dtype("<i2"), opened.waveform_shape, path),
        np.array([index[label] for label in labels], np.int64),
        recordings,
        rows["unit"].to_pylist() if opened.has_units else list(recordings),
        rows["start"].to_numpy().astype(np.float32),
        rows["peak"].to_numpy().astype(np.float32),
        {
            name: _read_quantity(rows, f"truth_{name}", settings.frames, path)
            for name in opened.truth
        },
    )


def _read_quantity(
    rows: pa.RecordBatch, name: str, frames: int, path: Path
) -> NDArray[np.float32]:
    """A column of lists of numbers as one array (rows, frames)."""
    column = rows[name]
    if set(pc.list_value_length(column).to_pylist()) - {frames}:
        raise _unusable(path, f"its {name} has not {frames} values a clip")
    # (rows * frames,); lists of one length lie one after another
    values = column.flatten().to_numpy(zero_copy_only=False)
    numbers: NDArray[np.float32] = values.astype(np.float32)
    return numbers.reshape(len(rows), frames)


def _read_column(
    rows: pa.RecordBatch,
    name: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    path: Path,
) -> NDArray[Any]:
    """A column of bytes as one array (rows, *shape)."""
    # The product of a false shape could fit the bytes: both are compared.
    for found in {tuple(s) for s in rows[f"{name}_shape"].to_pylist()}:
        if found != shape:
            raise _unusable(path, f"it holds {name} of shape {found}, not {shape}")
    expected = math.prod(shape) * dtype.itemsize
    for size in set(pc.binary_length(rows[name]).to_pylist()) - {expected}:
        raise _unusable(path, f"it holds {name} of {size} bytes, not {expected}")
    # A bytearray is writable. torch warns of arrays that are not.
    data = bytearray().join(rows[name].to_pylist())
    return np.frombuffer(data, dtype).reshape(len(rows), *shape)


def _make_empty(opened: _OpenSplit, n: int, device: torch.device) -> ClipBatch:
    """Room for n clips, on the device."""
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
        units=[""] * n,
        start=torch.empty(n, device=device),
        peak=torch.empty(n, device=device),
        fps=float(opened.settings.fps),
        sample_rate=opened.settings.sample_rate,
        truth={name: torch.empty(shape, device=device) for name in opened.truth},
    )


def _copy_into(held: ClipBatch, rows: _Rows, at: slice) -> None:
    """Copy rows to their place in a batch."""
    if at.stop > len(held):
        raise ClipsError(
            "clips.json",
            f"the shards hold more clips than the {len(held)} that it lists",
            _PREPARE_AGAIN,
        )
    for name in ("frames", "waveform", "labels", "start", "peak"):
        getattr(held, name)[at] = torch.from_numpy(getattr(rows, name))
    held.recordings[at] = rows.recordings
    held.units[at] = rows.units
    for name, values in rows.truth.items():
        held.truth[name][at] = torch.from_numpy(values)


def _join_rows(rows: Sequence[_Rows], opened: _OpenSplit) -> ClipBatch:
    held = _make_empty(opened, sum(map(len, rows)), torch.device("cpu"))
    filled = 0
    for part in rows:
        _copy_into(held, part, slice(filled, filled + len(part)))
        filled += len(part)
    return held
