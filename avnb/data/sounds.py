"""Sounds without pictures: a Parquet table, one row a sound, of different lengths.

For what drives a network with sounds that it has not learned (Redondo 2024, Table 2).
`write_sounds` reads sound files into ``OUT/sounds.parquet``, each with its licence and
who made it; `load_sounds` reads them back.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float32
from torch import Tensor

from avnb import files, media
from avnb.data.sources import Problem
from avnb.errors import ClipsError, MediaError

NAME = "sounds.parquet"
BATCH = 64  # rows held at once
LIMIT = 2 * 2**30  # bytes that are read back
COLUMNS = pa.schema(
    [
        ("name", pa.string()),
        ("label", pa.string()),
        ("licence", pa.string()),
        ("creator", pa.string()),
        ("sample_rate", pa.int32()),
        ("waveform", pa.binary()),
    ]
)


@dataclass(frozen=True)
class SoundFile:
    """One file of sound. ``name``: unique; ``licence``, ``creator``: "" if unknown."""

    name: str
    path: Path
    label: str
    licence: str = ""
    creator: str = ""


@dataclass(frozen=True)
class Sounds:
    """N sounds; each list has one entry a sound.

    waveforms: (S,) float32 in [-1, 1], each with its own S
    names, labels, licences, creators: "" where unknown
    """

    waveforms: list[Float32[Tensor, " _"]]
    names: list[str]
    labels: list[str]
    licences: list[str]
    creators: list[str]
    sample_rate: int

    def __len__(self) -> int:
        return len(self.names)


@dataclass
class SoundsReport:
    """What `write_sounds` did: sounds by licence, those too short, problems."""

    out: str
    written: dict[str, int] = field(default_factory=dict)
    short: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        by = ", ".join(f"{name} {n}" for name, n in sorted(self.written.items()))
        lines = [f"{self.out}: {sum(self.written.values())} sounds ({by or 'none'})"]
        if self.short:
            lines.append(f"  {self.short} were too short")
        lines += [f"  note: {note}" for note in self.notes]
        lines += [f"  problem: {problem}" for problem in self.problems]
        return "\n".join(lines)


def write_sounds(
    found: Sequence[SoundFile],
    out: Path | str,
    *,
    count: int = 500,
    seconds: float | int = 5.0,
    least: float | int = 1.0,
    sample_rate: int = 16000,
    seed: int = 0,
) -> SoundsReport:
    """The first ``seconds`` of ``count`` sounds, drawn by ``seed``.

    The order of drawing is by a hash of seed and name: another sound in the folder
    changes at most one of those drawn. A file that cannot be read becomes a problem,
    and another is drawn, as for one shorter than ``least`` s. Written whole or not at
    all. Raises ClipsError for values that cannot be, and where no sound can be used.
    """
    ranges = {"count": count, "seconds": seconds, "sample_rate": sample_rate}
    for name, value in ranges.items():
        if not (math.isfinite(value) and value > 0):
            raise ClipsError(f"{name} is {value}: it must be above 0")
    if not 0 <= least <= seconds:
        raise ClipsError(f"least is {least}: it must be from 0 to seconds, {seconds}")
    report = SoundsReport(str(out))
    order = sorted(found, key=lambda sound: _digest(seed, sound.name))
    rows = _rows(order, count, seconds, least, sample_rate, report)
    with (
        files.atomic_path(Path(out, NAME)) as path,
        # no dictionaries: they let a small file hold endless rows
        pq.ParquetWriter(
            path, COLUMNS, compression="zstd", use_dictionary=False
        ) as writer,
    ):
        while batch := list(islice(rows, BATCH)):
            writer.write_table(pa.Table.from_pylist(batch, COLUMNS))
        if not report.written:
            raise ClipsError(f"none of {len(order)} sounds can be used\n{report}")
    if (got := sum(report.written.values())) < count:
        report.notes.append(f"{got} of the {count} sounds asked for were there")
    return report


def _rows(
    order: Iterable[SoundFile],
    count: int,
    seconds: float | int,
    least: float | int,
    sample_rate: int,
    report: SoundsReport,
) -> Iterator[dict]:
    written = Counter[str]()
    for sound in order:
        if written.total() == count:
            break
        try:
            waveform, _ = media.read_audio(
                sound.path, duration=seconds, sample_rate=sample_rate
            )
        except MediaError as error:
            problem = error.problem.replace(str(sound.path), sound.path.name)
            report.problems.append(Problem(sound.name, problem, error.remedy))
            continue
        if waveform.shape[1] < least * sample_rate:
            report.short += 1
            continue
        samples = np.round(np.clip(waveform[0], -1, 1) * 32767).astype("<i2")
        written[sound.licence or "unknown"] += 1
        report.written = dict(written)
        yield {
            "name": sound.name,
            "label": sound.label,
            "licence": sound.licence,
            "creator": sound.creator,
            "sample_rate": sample_rate,
            "waveform": samples.tobytes(),
        }


def _digest(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()


def load_sounds(folder: Path | str) -> Sounds:
    """Read what `write_sounds` wrote into ``folder``.

    Raises ClipsError, which names the file, where there is none, it is damaged or
    another's, or it is larger than 2 GiB.
    """
    path = Path(folder, NAME)
    if not path.is_file():
        raise ClipsError(f"{path}: no sounds there. Run avnb prepare fsd50k")
    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(COLUMNS):
                raise ClipsError(f"{path}: not ours. Run avnb prepare fsd50k again")
            groups = [file.metadata.row_group(g) for g in range(file.num_row_groups)]
            if sum(group.total_byte_size for group in groups) > LIMIT:
                raise ClipsError(f"{path}: more than {LIMIT} bytes. Prepare fewer")
            if any(
                g.column(c).has_dictionary_page
                for g in groups
                for c in range(g.num_columns)
            ):
                raise ClipsError(f"{path}: not ours. Run avnb prepare fsd50k again")
            table = file.read()
    except (OSError, pa.ArrowException) as error:
        raise ClipsError(
            f"{path}: damaged ({error}). Run avnb prepare fsd50k again"
        ) from error
    rates = set(table["sample_rate"].to_pylist())
    if len(rates) != 1:
        raise ClipsError(f"{path}: {len(rates)} sample rates, where there is to be one")
    waveforms = [
        torch.from_numpy(np.frombuffer(data, "<i2").astype(np.float32) / 32767)
        for data in table["waveform"].to_pylist()
    ]
    text = {
        name: table[name].to_pylist()
        for name in ("name", "label", "licence", "creator")
    }
    return Sounds(
        waveforms,
        text["name"],
        text["label"],
        text["licence"],
        text["creator"],
        rates.pop(),
    )
