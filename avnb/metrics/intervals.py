"""95 % intervals: Wilson's, Student's t, and resampling over whole units.

A unit is what is independent of all others: a player, a source video, or a recording
where nothing more is known. Clips of one unit are alike. So whole units are drawn again
(bootstrap) or left out (jackknife).
"""

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import scipy  # its `stats` is imported where it is first used: that takes a second

LEVEL = 0.95  # the probability that an interval holds the true value
Interval = tuple[float, float]  # low, high
Units = Sequence[Hashable]  # of each item, the name of its unit


def wilson_interval(successes: int, n: int) -> Interval:
    """Compute Wilson's score interval of a proportion, without correction.

    Unlike the usual normal interval it stays within 0 and 1, and it is not empty where
    all or none succeed.

    Args:
        successes: how many of the trials succeeded.
        n: the number of trials.

    Raises:
        ValueError: n is 0, or successes are not between 0 and n.

    Source: Wilson 1927, Probable Inference.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} of {n}: need 0 <= successes <= n and n >= 1")
    found = scipy.stats.binomtest(successes, n).proportion_ci(LEVEL, method="wilson")
    # Rounding must not push a proportion of 0 or 1 out of its own interval.
    p = successes / n
    return min(p, float(found.low)), max(p, float(found.high))


def t_interval(values: Sequence[float] | np.ndarray) -> Interval:
    """Compute Student's t-interval of the mean of independent values.

    Raises:
        ValueError: there are fewer than 2 values, which have no spread.
    """
    if len(values) < 2:
        raise ValueError(
            f"{len(values)} value: an interval over seeds needs at least 2, better 3"
        )
    return _scale_t_interval(
        float(np.mean(values)), float(scipy.stats.sem(values)), len(values) - 1
    )


def _scale_t_interval(value: float, error: float, freedom: int) -> Interval:
    """The t-interval around a value with this standard error."""
    if error == 0:  # SciPy gives NaN for a distribution without spread
        return value, value
    low, high = scipy.stats.t.interval(LEVEL, freedom, loc=value, scale=error)
    return float(low), float(high)


def number_groups(groups: Sequence[Hashable], n: int) -> np.ndarray:
    """Number the groups in the order in which they appear.

    Args:
        groups: the name of each item's group.
        n: how many items there are.

    Returns:
        (n,) the number of each item's group, from 0.

    Raises:
        ValueError: there are not n names.
    """
    if len(groups) != n:
        raise ValueError(f"{len(groups)} units for {n} clips: one each is needed")
    first = {name: i for i, name in enumerate(dict.fromkeys(groups))}
    return np.array([first[name] for name in groups], dtype=np.int64)


def bootstrap_interval(
    values: np.ndarray,
    units: Sequence[Hashable] | None,
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> Interval:
    """Compute the mean's interval by drawing whole units again.

    Percentiles of a bootstrap are too narrow where units are few, because
    resampling takes the spread with n where it should take n - 1. So percentiles
    further out are taken: the expanded percentile interval.

    Args:
        values: (items,), whose mean is reported.
        units: the unit of each item; each item is its own where none are
            given.
        seed: of the draws.
        resamples: how many times the units are drawn.

    Returns:
        (low, high), which always holds the mean; infinite for a single unit.

    Source: Hesterberg 2015, What Teachers Should Know About the Bootstrap.
    """
    if units is None:
        units = range(len(values))
    number = number_groups(units, len(values))
    sums = np.bincount(number, weights=values)
    sizes = np.bincount(number)
    count = len(sums)
    if count == 1:
        return -math.inf, math.inf
    means = scipy.stats.bootstrap(
        (sums, sizes),
        # Units differ in size: the mean over clips is a ratio of two sums.
        lambda total, items, axis: total.sum(axis) / items.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).bootstrap_distribution
    return _expand_percentiles(means, count, float(np.mean(values)))


def _expand_percentiles(means: np.ndarray, count: int, mean: float) -> Interval:
    """The expanded percentile interval of drawn means; `count` units were drawn."""
    wide = math.sqrt(count / (count - 1)) * scipy.stats.t.ppf(
        (1 + LEVEL) / 2, count - 1
    )
    tail = scipy.stats.norm.cdf(-wide)  # 0.025 for many units, less for few
    low, high = np.quantile(means, [tail, 1 - tail])
    # Where all units are alike, rounding could push the mean out.
    return min(float(low), mean), max(float(high), mean)


def crossed_interval(
    values: np.ndarray,
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    *,
    seed: int = 0,
    resamples: int = 2000,
) -> Interval:
    """Compute the mean's interval where each value belongs to two units at once.

    Such as a person's rating of a picture: other people rate the same picture, and the
    same person rates other pictures. Both are drawn again, each by itself, and a value
    counts as often as its person was drawn, times as often as its picture was.

    Args:
        values: (items,), whose mean is reported.
        first: of each value, the unit of one kind (who rates).
        second: of each value, the unit of the other kind (what is rated).
        seed: of the draws.
        resamples: how many times the units are drawn.

    Returns:
        (low, high), which always holds the mean; infinite where either kind has a
        single unit. It is somewhat too wide rather than too narrow.

    Source: Owen 2007, The Pigeonhole Bootstrap.
    """
    rows, columns = (number_groups(of, len(values)) for of in (first, second))
    counts = int(rows.max()) + 1, int(columns.max()) + 1
    if min(counts) == 1:
        return -math.inf, math.inf
    # Sums of the values and their number for each pair of units.
    sums, sizes = np.zeros(counts), np.zeros(counts)
    np.add.at(sums, (rows, columns), values)
    np.add.at(sizes, (rows, columns), 1)
    random = np.random.default_rng(seed)
    # How often each unit is drawn: (resamples, units).
    a, b = (random.multinomial(n, np.full(n, 1 / n), resamples) for n in counts)
    total, size = (((a @ table) * b).sum(1) for table in (sums, sizes))
    # Where few people rated few pictures, a draw may hold no rating at all.
    drawn = size > 0
    means = total[drawn] / size[drawn]
    # The scarcer kind decides how far out to go.
    return _expand_percentiles(means, min(counts), float(np.mean(values)))


def jackknife_interval(
    statistic: Callable[[list[np.ndarray]], float],
    sizes: Sequence[int],
    units: Sequence[Sequence[Hashable]] | None,
    *,
    seed: int = 0,
    groups: int = 20,
) -> tuple[float, float, float]:
    """Compute a statistic of one or more samples, and its interval.

    Groups of items are left out in turn (a delete-a-group jackknife). Unlike a
    bootstrap this draws no item twice. That matters for a distance between samples,
    which would see the doubled items as a difference.

    Args:
        statistic: gets the kept indices of each sample, and gives the value.
        sizes: how many items each sample has.
        units: the unit of each item of each sample. Whole units are left
            out, in every sample at once. Where none are given, items are.
        seed: of the assignment to groups.
        groups: how many groups are made at most.

    Returns:
        (value, low, high). The interval is infinite where a sample has only one
        unit.

    Raises:
        ValueError: the units are not one an item.
    """
    value = statistic([np.arange(size) for size in sizes])
    random = np.random.default_rng(seed)
    if units is None:
        count = min(groups, *sizes)
        number = [random.permutation(size) % count for size in sizes]
    else:
        number, count = _group_units(units, sizes, random, groups)
    if any((sample == sample[0]).all() for sample in number):
        # Leaving this one group out would leave nothing.
        return value, -math.inf, math.inf
    without = [
        statistic([np.flatnonzero(sample != group) for sample in number])
        for group in range(count)
    ]
    if not np.isfinite(without).all():  # what is left is too little to measure
        return value, -math.inf, math.inf
    # The jackknife's variance is (g - 1)/g Σ (θᵢ - mean)² for g groups. NumPy's biased
    # variance holds the 1/g.
    error = math.sqrt((count - 1) * float(np.var(without)))
    return value, *_scale_t_interval(value, error, count - 1)


def _group_units(
    units: Sequence[Sequence[Hashable]],
    sizes: Sequence[int],
    random: np.random.Generator,
    groups: int,
) -> tuple[list[np.ndarray], int]:
    """The group of each item of each sample, and how many groups there are."""
    names = list(dict.fromkeys(name for sample in units for name in sample))
    count = min(groups, len(names))
    # A permutation modulo the count: groups of equal size, assigned at random.
    group_of = dict(zip(names, random.permutation(len(names)) % count, strict=True))
    number = [np.array([group_of[name] for name in sample]) for sample in units]
    if (found := [len(sample) for sample in number]) != list(sizes):
        raise ValueError(f"{found} units for {list(sizes)} items: one each is needed")
    return number, count
