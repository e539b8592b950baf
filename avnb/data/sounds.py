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
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float32
from torch import Tensor

from avnb import files, media
from avnb.data.rows import INT16_PEAK
from avnb.data.sources import Problem, format_problems
from avnb.errors import ClipsError, MediaError

FILE_NAME = "sounds.parquet"
WRITE_BATCH = 64  # rows held at once: 10 MB of 5 s sounds
READ_LIMIT = 2 * 2**30  # bytes that are read back: hours of sound
SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("label", pa.string()),
        ("licence", pa.string()),
        ("creator", pa.string()),
        ("sample_rate", pa.int32()),
        ("waveform", pa.binary()),
    ]
)

_PREPARE_AGAIN = "Run avnb prepare fsd50k again"


@dataclass(frozen=True)
class SoundFile:
    """One file of sound.

    Attributes:
        name: unique.
        path: of the file.
        label: its class.
        licence: "" if unknown.
        creator: who made it; "" if unknown.
    """

    name: str
    path: Path
    label: str
    licence: str = ""
    creator: str = ""


@dataclass(frozen=True)
class SoundTable:
    """N sounds; each list has one entry a sound.

    Attributes:
        waveforms: (S,) float32 in [-1, 1], each with its own S.
        names: unique.
        labels: "" where unknown, and so for the two that follow.
        licences: of each sound.
        creators: who made each sound.
        sample_rate: Hz, the same for all.
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
    """What `write_sounds` did.

    Attributes:
        out: the folder.
        written: licence -> number of sounds.
        short: how many were too short.
        problems: files that could not be read.
        notes: what else a reader should know.
    """

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
        lines += [f"  problem: {line}" for line in format_problems(self.problems)]
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
    """Write the first ``seconds`` of ``count`` sounds, drawn by ``seed``.

    The order of drawing is by a hash of seed and name: another sound in the folder
    changes at most one of those drawn. A file that cannot be read becomes a problem
    and another is drawn, as for one that is too short. The table is written whole or
    not at all.

    Args:
        found: the sounds to draw from.
        out: the folder of the table.
        count: how many sounds are wanted.
        seconds: what is kept of each, at most.
        least: s; shorter sounds are left out.
        sample_rate: Hz, of all.
        seed: of the drawing.

    Raises:
        ClipsError: a value that cannot be, or no sound that can be used.
        WriteError: the folder cannot be written, or the disk is full.
    """
    _check_ranges(count, seconds, least, sample_rate)
    report = SoundsReport(str(out))
    order = sorted(found, key=lambda sound: _hash_name(seed, sound.name))
    # Lazy: files are read as rows are asked for, until there are enough.
    rows = _make_rows(order, count, seconds, least, sample_rate, report)
    with (
        files.atomic_path(Path(out, FILE_NAME)) as path,
        # no dictionaries: they let a small file hold endless rows
        pq.ParquetWriter(
            path, SCHEMA, compression="zstd", use_dictionary=False
        ) as writer,
    ):
        while batch := list(islice(rows, WRITE_BATCH)):
            writer.write_table(pa.Table.from_pylist(batch, SCHEMA))
        # Inside: an error here keeps the table that was there before.
        if not report.written:
            raise ClipsError(
                out,
                f"none of {len(order)} sounds can be used\n{report}\n",
                "Give a folder with sounds of the length wanted",
            )
    if (got := sum(report.written.values())) < count:
        report.notes.append(f"{got} of the {count} sounds asked for were there")
    return report


def _check_ranges(
    count: int, seconds: float | int, least: float | int, sample_rate: int
) -> None:
    ranges = {"count": count, "seconds": seconds, "sample_rate": sample_rate}
    for name, value in ranges.items():
        if not (math.isfinite(value) and value > 0):
            raise ClipsError(name, f"it is {value}", "Give a number above 0")
    if not 0 <= least <= seconds:
        raise ClipsError(
            "least", f"it is {least}", f"Give a number from 0 to seconds, {seconds}"
        )


def _make_rows(
    order: Iterable[SoundFile],
    count: int,
    seconds: float | int,
    least: float | int,
    sample_rate: int,
    report: SoundsReport,
) -> Iterator[dict[str, Any]]:
    """Read sounds in their order until there are enough; keep the report up to date."""
    written = Counter[str]()
    for sound in order:
        if written.total() == count:
            break
        try:
            waveform, _ = media.read_audio(
                sound.path, duration=seconds, sample_rate=sample_rate
            )
        except MediaError as error:
            # A report may be shown to others: it names no folder of this machine.
            problem = error.problem.replace(str(sound.path), sound.path.name)
            report.problems.append(Problem(sound.name, problem, error.remedy))
            continue
        except Exception as error:
            # A fault of ours, which must not cost the other sounds.
            problem = f"reading it raised {type(error).__name__}: {error}"
            report.problems.append(Problem(sound.name, problem, "Please report this"))
            continue
        if waveform.shape[1] < least * sample_rate:
            report.short += 1
            continue
        samples = np.round(np.clip(waveform[0], -1, 1) * INT16_PEAK).astype("<i2")
        written[sound.licence or "unknown"] += 1
        # A plain dict, since the report is also compared and saved.
        report.written = dict(written)
        yield {
            "name": sound.name,
            "label": sound.label,
            "licence": sound.licence,
            "creator": sound.creator,
            "sample_rate": sample_rate,
            "waveform": samples.tobytes(),
        }


def _hash_name(seed: int, name: str) -> str:
    # Not `files.hash_values`: its JSON would give another order, and other sounds.
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()


def load_sounds(folder: Path | str) -> SoundTable:
    """Load what `write_sounds` wrote into ``folder``.

    Raises:
        ClipsError: there is no table, it is damaged or of another program, or it is
            larger than 2 GiB.
    """
    path = Path(folder, FILE_NAME)
    if not path.is_file():
        raise ClipsError(path, "there are no sounds there", "Run avnb prepare fsd50k")
    try:
        with pq.ParquetFile(path) as file:
            _check_footer(file, path)
            table = file.read()
    except (OSError, pa.ArrowException) as error:
        raise ClipsError(path, f"it is damaged ({error})", _PREPARE_AGAIN) from error
    # The schema allows a rate for each row, but a network takes one.
    rates = set(table["sample_rate"].to_pylist())
    if len(rates) != 1:
        raise ClipsError(
            path, f"it has {len(rates)} sample rates, not one", _PREPARE_AGAIN
        )
    return SoundTable(
        waveforms=[
            torch.from_numpy(np.frombuffer(data, "<i2").astype(np.float32) / INT16_PEAK)
            for data in table["waveform"].to_pylist()
        ],
        names=table["name"].to_pylist(),
        labels=table["label"].to_pylist(),
        licences=table["licence"].to_pylist(),
        creators=table["creator"].to_pylist(),
        sample_rate=rates.pop(),
    )


def _check_footer(file: pq.ParquetFile, path: Path) -> None:
    """Check what the footer says, before anything is read into memory."""
    foreign = ClipsError(path, "write_sounds did not write it", _PREPARE_AGAIN)
    if not file.schema_arrow.equals(SCHEMA):
        raise foreign
    groups = [file.metadata.row_group(g) for g in range(file.num_row_groups)]
    if sum(group.total_byte_size for group in groups) > READ_LIMIT:
        raise ClipsError(path, f"it has more than {READ_LIMIT} bytes", "Prepare fewer")
    # A dictionary of one large value can stand for any number of rows.
    if any(
        group.column(c).has_dictionary_page
        for group in groups
        for c in range(group.num_columns)
    ):
        raise foreign
