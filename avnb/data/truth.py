"""What is known of a recording moment by moment: read from Parquet and sampled."""

import functools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float
from numpy.typing import NDArray

from avnb.data.sources import Problem, Source
from avnb.errors import AvnbError

# Bytes of a truth file in memory. 30 numbers 100 times a second are 24 kB a second, so
# this is three hours of them; a crafted file may unpack to far more than it has.
TRUTH_LIMIT = 2**28

_WRITE_ANEW = "Write it anew: Parquet, number columns, one of them named time"


class TruthError(AvnbError):
    """A truth file that cannot be used."""


def list_quantities(path: Path) -> tuple[str, ...]:
    """List the quantities in a truth file, without ``time``, by its footer alone.

    Raises:
        TruthError: it is not a Parquet file of numbers with a time, or it is too large.
    """
    try:
        with pq.ParquetFile(path) as file:
            columns = file.schema_arrow
            size = sum(
                file.metadata.row_group(i).total_byte_size
                for i in range(file.metadata.num_row_groups)
            )
            # Dictionaries and runs make a column's bytes say little about its length.
            width = 8 * file.metadata.num_rows * len(columns)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise TruthError(path.name, f"no truth: {error}", _WRITE_ANEW) from error
    # Booleans too: 0 and 1 are how some sets write an onset.
    number = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean)
    bad = [f.name for f in columns if not any(is_a(f.type) for is_a in number)]
    if bad or "time" not in columns.names:
        reason = f"columns {bad} hold no numbers" if bad else "it has no column 'time'"
        raise TruthError(path.name, f"no truth: {reason}", _WRITE_ANEW)
    if max(size, width) > TRUTH_LIMIT:
        reason = f"its {max(size, width)} bytes are over {TRUTH_LIMIT}"
        raise TruthError(path.name, f"no truth: {reason}", _WRITE_ANEW)
    return tuple(sorted(set(columns.names) - {"time"}))


# Several sources may share one truth file. The time of its last change is part of the
# key, so that a file that was written anew is read anew.
@functools.lru_cache(maxsize=2)
def _load_truth(path: Path, modified_ns: int) -> dict[str, NDArray[np.float64]]:
    names = list_quantities(path)
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise TruthError(path.name, f"no truth: {error}", "Write it anew") from error
    return {
        name: table[name].to_numpy(zero_copy_only=False).astype(np.float64)
        for name in ("time", *names)
    }


def read_truth(
    source: Source, problems: list[Problem]
) -> dict[str, NDArray[np.float64]]:
    """Read a source's truth: each quantity, and ``time``, as (rows,).

    Empty where there is none or it cannot be used; why not is added to ``problems``.
    """
    if source.truth is None:
        return {}
    try:
        return _load_truth(source.truth, source.truth.stat().st_mtime_ns)
    except TruthError as error:
        problem = Problem(str(error.place), error.problem, error.remedy)
        if problem not in problems:  # sources of one file would repeat it
            problems.append(problem)
        return {}


def sample_truth(
    truth: dict[str, NDArray[np.float64]],
    name: str,
    times: Float[np.ndarray, " T"],
    spacing: float | int,
) -> Float[np.ndarray, " T"]:
    """Sample a known quantity at the times of frames.

    The nearest row counts. An onset (all names that begin so) is an instant, which the
    nearest row could miss, so there it is the largest value in [time, time + spacing).

    Args:
        truth: what `read_truth` gives.
        name: the quantity.
        times: s of the recording.
        spacing: s from one frame to the next.

    Returns:
        The values; nan where the truth does not reach, or is not known.
    """
    values = truth.get(name)
    if values is None or len(values) == 0:
        return np.full(len(times), np.nan)
    known = truth["time"]
    # The spacing of the rows, by which the truth may reach over its ends; 1 s for a
    # truth of one row.
    step = (known[-1] - known[0]) / max(len(known) - 1, 1) or 1.0
    inside = (times >= known[0] - step) & (times <= known[-1] + step)
    if name.startswith("onset"):
        # Times are sums of rounded numbers: an onset on the boundary between two
        # frames must not fall to the earlier one.
        begin = np.searchsorted(known, times - 1e-6)
        end = np.searchsorted(known, times + spacing - 1e-6)
        found = [values[a:b].max(initial=0) for a, b in zip(begin, end, strict=True)]
        return np.where(inside, found, np.nan)
    right = np.searchsorted(known, times).clip(1, max(len(known) - 1, 1))
    right = right.clip(max=len(known) - 1)  # a truth of one row has no right neighbour
    left = np.maximum(right - 1, 0)
    nearer = np.where(times - known[left] <= known[right] - times, left, right)
    return np.where(inside, values[nearer], np.nan)
