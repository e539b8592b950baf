"""95 % intervals: Wilson's, Student's t, bootstrap and jackknife over groups."""

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np
from scipy import stats

LEVEL = 0.95


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson's score interval for a proportion (Wilson 1927), without correction."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} of {n}: need 0 <= successes <= n and n >= 1")
    z = stats.norm.ppf((1 + LEVEL) / 2)
    p = successes / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # rounding must not push p = 0 or 1 out of its own interval
    return min(p, max(0.0, middle - half)), max(p, min(1.0, middle + half))


def t_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The t-interval of the mean of independent values; at least 2."""
    if len(values) < 2:
        raise ValueError(
            f"{len(values)} value: an interval over seeds needs at least 2, better 3"
        )
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1)) * error
    return mean - half, mean + half


def group_numbers(groups: Sequence[Hashable], n: int) -> np.ndarray:
    """(n,) the number of each item's group, in order of first appearance."""
    if len(groups) != n:
        raise ValueError(f"{len(groups)} recordings for {n} clips: one each is needed")
    first = {name: i for i, name in enumerate(dict.fromkeys(groups))}
    return np.array([first[name] for name in groups])


def bootstrap_interval(
    values: np.ndarray,
    recordings: Sequence[Hashable] | None,
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> tuple[float, float]:
    """The mean's interval when whole recordings, not clips, are drawn again.

    Percentiles, widened for few recordings (Hesterberg 2015, the expanded
    percentile interval). One recording gives no interval: it is infinite.
    """
    if recordings is None:
        recordings = range(len(values))
    number = group_numbers(recordings, len(values))
    sums = np.bincount(number, weights=values)
    sizes = np.bincount(number)
    count = len(sums)
    if count == 1:
        return -math.inf, math.inf
    drawn = np.random.default_rng(seed).integers(count, size=(resamples, count))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    wide = math.sqrt(count / (count - 1)) * stats.t.ppf((1 + LEVEL) / 2, count - 1)
    tail = stats.norm.cdf(-wide)
    low, high = np.quantile(means, [tail, 1 - tail])
    mean = float(np.mean(values))
    return min(float(low), mean), max(float(high), mean)


def jackknife_interval(
    statistic: Callable[[list[np.ndarray]], float],
    sizes: Sequence[int],
    recordings: Sequence[Sequence[Hashable]] | None,
    *,
    seed: int = 0,
    groups: int = 20,
) -> tuple[float, float, float]:
    """(value, low, high) of a statistic of one or more samples.

    `statistic` takes the kept indices of each sample. Groups of items (whole
    recordings where given, the same in every sample) are left out in turn; unlike a
    bootstrap this draws no item twice, which would bias a distance. A sample of one
    recording gives no interval: it is infinite.
    """
    value = statistic([np.arange(size) for size in sizes])
    random = np.random.default_rng(seed)
    if recordings is None:
        count = min(groups, *sizes)
        number = [random.permutation(size) % count for size in sizes]
    else:
        together = [name for sample in recordings for name in sample]
        names = list(dict.fromkeys(together))
        count = min(groups, len(names))
        spread = dict(zip(names, random.permutation(len(names)) % count, strict=True))
        number = [np.array([spread[name] for name in s]) for s in recordings]
        if [len(s) for s in number] != list(sizes):
            raise ValueError(
                f"{[len(s) for s in number]} recordings for {list(sizes)} items: "
                "one each is needed"
            )
    if any((sample == sample[0]).all() for sample in number):
        # leaving this one group out would leave nothing
        return value, -math.inf, math.inf
    without = [
        statistic([np.flatnonzero(sample != group) for sample in number])
        for group in range(count)
    ]
    error = math.sqrt((count - 1) * float(np.var(without)))
    half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * error
    return value, value - half, value + half
