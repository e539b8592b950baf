"""Shards whose sources are gone: which are kept, and which may be removed.

A disk that is not plugged in, a mistyped folder and a deleted recording all look the
same: the sources are not there. So their shards stay until somebody asks for them to
be removed (``--prune``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from avnb.data.rows import make_schema
from avnb.data.sources import SPLITS, ClipSettings, Problem, Source
from avnb.errors import ClipsError, LeakError

_PRUNE = "Give --prune to remove those clips, or another --out to keep them"


@dataclass(frozen=True)
class Shard:
    """What a whole shard says of itself.

    Attributes:
        path: of the file.
        recording: its one recording.
        label: the class.
        rows: how many clips it holds.
        columns: their names.
        shape: what all of its clips have in common: (fps, sample rate, shape of the
            frames, shape of the waveform).
        fingerprint: of its sources and settings.
        group: of its recording; the recording itself if it has none.
        stats: size and time of change of each file that it was made from.
        problems: those found while it was made.
        remarks: likewise.
        dropped: s at the ends of its files that fill no clip.
    """

    path: Path
    recording: str
    label: str
    rows: int
    columns: tuple[str, ...]
    shape: tuple[Any, ...]
    fingerprint: str
    group: str
    stats: frozenset[tuple[int, int]]
    problems: list[Problem] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)
    dropped: float = 0.0

    @property
    def name(self) -> str:
        """SPLIT/FILE, as clips.json and the report name it."""
        return f"{self.path.parent.name}/{self.path.name}"


def read_shard(path: Path) -> Shard | None:
    """Read what a shard says of itself; None if it is damaged or not one of ours."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            # Any program may have written the file: each step may fail in its own way.
            facts = file.schema_arrow.metadata or {}
            first: dict[str, Any] | None = None
            for batch in file.iter_batches(64):  # a damaged page raises here
                first = first or batch.slice(0, 1).to_pylist()[0]
            if first is None:
                return None
            origin = json.loads(facts.get(b"avnb_origin", b"{}"))
            return Shard(
                path=path,
                recording=first["recording"],
                label=first["label"],
                rows=file.metadata.num_rows,
                columns=tuple(file.schema_arrow.names),
                shape=(
                    first["fps"],
                    first["sample_rate"],
                    tuple(first["frames_shape"]),
                    tuple(first["waveform_shape"]),
                ),
                fingerprint=facts[b"avnb_fingerprint"].decode(),
                group=origin.get("group", first["recording"]),
                stats=frozenset((size, time) for size, time in origin.get("files", [])),
                problems=[Problem(**p) for p in json.loads(facts[b"avnb_problems"])],
                remarks=[Problem(**p) for p in origin.get("remarks", [])],
                dropped=float(origin.get("dropped", 0.0)),
            )
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
        return None
    except AttributeError:  # an origin that is no dict
        return None


def list_stats(sources: Iterable[Source]) -> list[list[int]]:
    """Size and time of change of each file of sound or picture, without repeats.

    Both stay when a file is renamed, so they tell a renamed file from one that is gone.
    """
    paths = {path for s in sources for path in (s.video, s.audio) if path is not None}
    stats = [path.stat() for path in paths]
    return [list(pair) for pair in sorted({(s.st_size, s.st_mtime_ns) for s in stats})]


def find_leftovers(
    out: Path, planned: Iterable[Path], sources: Sequence[Source]
) -> tuple[list[Shard], list[Path]]:
    """Sort the shards that are not planned into those to keep and those to remove.

    Removed are shards that are damaged or not ours, those whose recording is in
    another split now, and those whose files are all there under other names.

    Args:
        out: the folder of the clips.
        planned: the shards to be.
        sources: of the whole data set.

    Returns:
        The shards whose sources are gone, and the files to remove.
    """
    paths = set(planned)
    names = {path.name for path in paths}
    there = [p for split in SPLITS for p in sorted((out / split).glob("*.parquet"))]
    unplanned = [path for path in there if path not in paths]
    if not unplanned:
        return [], []
    present = {(size, time) for size, time in list_stats(sources)}
    gone, stale = [], []
    for path in unplanned:
        # The name of a shard is a hash of its recording.
        shard = None if path.name in names else read_shard(path)
        if shard is None or (shard.stats and shard.stats <= present):
            stale.append(path)
        else:
            gone.append(shard)
    return gone, stale


def list_truth(shard: Shard) -> tuple[str, ...]:
    """The known quantities of a shard, without the time that joins them."""
    names = (c for c in shard.columns if c.startswith("truth_"))
    return tuple(n.removeprefix("truth_") for n in names if n != "truth_time")


def check_leftovers(
    out: Path,
    gone: Sequence[Shard],
    split_of_group: Mapping[str, str],
    settings: ClipSettings,
    truth: Iterable[str],
) -> None:
    """Refuse shards that cannot stand beside the new ones.

    Args:
        out: the folder of the clips.
        gone: the shards whose sources are gone.
        split_of_group: the split of each group of the sources that are there.
        settings: how the new clips are cut.
        truth: the known quantities of the new clips.

    Raises:
        ClipsError: they were cut in another way.
        LeakError: one group would be in two splits.
    """
    size = settings.size
    columns = tuple(make_schema(truth).names)
    shape = (
        # As the column holds it: 29.97 is not exact in float32.
        pa.array([settings.fps], pa.float32())[0].as_py(),
        settings.sample_rate,
        (settings.frames, size, size, 3),
        (1, settings.samples),
    )
    other = [s.recording for s in gone if (s.shape, s.columns) != (shape, columns)]
    if other:
        raise ClipsError(
            out,
            f"it holds clips of {len(other)} recordings whose sources are gone (the "
            f"first is {other[0]}), and they were cut with other settings",
            _PRUNE,
        )
    for shard in gone:
        split = split_of_group.get(shard.group)
        if split not in (None, shard.path.parent.name):
            raise LeakError(
                out,
                f"the clips of {shard.recording}, whose source is gone, are in "
                f"{shard.path.parent.name}; others of its group would be in {split}",
                _PRUNE,
            )
