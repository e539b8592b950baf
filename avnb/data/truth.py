"""What is known of a recording moment by moment: read from Parquet, sampled."""

import functools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from avnb.data.sources import Problem, Source

TRUTH_LIMIT = 2**28  # bytes: 100 rows a second of 30 numbers is 24 kB a second


class TruthError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def truth_names(path: Path) -> tuple[str, ...]:
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
        raise TruthError(Problem(path.name, f"no truth: {error}", remedy)) from error
    number = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean)
    bad = [f.name for f in columns if not any(is_a(f.type) for is_a in number)]
    if bad or "time" not in columns.names:
        what = f"columns {bad} hold no numbers" if bad else "it has no column 'time'"
        raise TruthError(Problem(path.name, f"no truth: {what}", remedy))
    if max(size, width) > TRUTH_LIMIT:
        what = f"its {max(size, width)} bytes are over {TRUTH_LIMIT}"
        raise TruthError(Problem(path.name, f"no truth: {what}", remedy))
    return tuple(sorted(set(columns.names) - {"time"}))


@functools.lru_cache(maxsize=2)
def _read_truth(path: Path, modified_ns: int) -> dict[str, np.ndarray]:
    names = truth_names(path)
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        remedy = "Write it anew"
        raise TruthError(Problem(path.name, f"no truth: {error}", remedy)) from error
    return {
        name: table[name].to_numpy(zero_copy_only=False).astype(np.float64)
        for name in ("time", *names)
    }


def read_truth(source: Source, problems: list[Problem]) -> dict[str, np.ndarray]:
    if source.truth is None:
        return {}
    try:
        return _read_truth(source.truth, source.truth.stat().st_mtime_ns)
    except TruthError as error:
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
