"""Accuracies, the baselines to read beside them, and comparisons over seeds."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Integer
from torch import Tensor

from avnb.metrics.intervals import bootstrap_interval, t_interval, wilson_interval
from avnb.metrics.measure import Measure

Labels = Integer[Tensor, " _"]


def accuracy(
    predicted: Labels,
    target: Labels,
    units: Sequence[Hashable] | None = None,
    *,
    name: str = "accuracy",
    seed: int = 0,
) -> Measure:
    """Compute the fraction of clips whose class is right.

    Args:
        predicted: the class of each clip that a classifier gave.
        target: the true classes.
        units: the unit of each clip. The interval is then a bootstrap over
            units, because clips of one unit are not independent; without them
            it is Wilson's over clips.
        name: of the measure.
        seed: of the bootstrap.

    Raises:
        ValueError: predictions and targets differ in number, or there are none.
    """
    if len(predicted) != len(target) or len(target) == 0:
        raise ValueError(
            f"{len(predicted)} predictions for {len(target)} targets: one each needed"
        )
    right = (predicted == target).double().cpu().numpy()
    return mean_score(right, units, name=name, seed=seed)


def mean_score(
    scores: np.ndarray,
    units: Sequence[Hashable] | None = None,
    *,
    name: str = "score",
    seed: int = 0,
) -> Measure:
    """Compute the mean of scores between 0 and 1, with an interval as `accuracy` has.

    Args:
        scores: (n,) between 0 and 1.
        units: the unit of each item. Without them the interval is Wilson's
            where all scores are 0 or 1, and else a bootstrap over items.
        name: of the measure.
        seed: of the bootstrap.
    """
    value = float(scores.mean())
    if units is None and np.isin(scores, (0, 1)).all():
        # Independent items that are right or wrong: their number is binomial.
        low, high = wilson_interval(int(scores.sum()), len(scores))
        note = "Wilson's interval"
    else:
        names = range(len(scores)) if units is None else units
        low, high = bootstrap_interval(scores, names, seed=seed)
        count = len(set(names))
        note = f"bootstrap over {count} units"
        # A single unit has an infinite interval, but a share lies within 0 and 1.
        if low == high or count == 1:
            # Where every unit is equally right the bootstrap has no spread, but
            # the next unit may still be otherwise: each counts as one trial.
            low, high = wilson_interval(round(value * count), count)
            # `round` may move the proportion past the value; keep the value inside.
            low, high = min(low, value), max(high, value)
            note = f"Wilson's interval over {count} units"
    return Measure(name, value, low, high, len(scores), unit="fraction", note=note)


def chance(n_classes: int) -> Measure:
    """Return the accuracy of guessing at random: 1 / n_classes, exactly."""
    # n = 0: nothing was measured, so there is nothing to be uncertain about.
    value = 1 / n_classes
    return Measure(
        "chance", value, value, value, 0, unit="fraction", note=f"1 of {n_classes}"
    )


def majority_class(
    train_labels: Labels,
    test_labels: Labels,
    units: Sequence[Hashable] | None = None,
) -> Measure:
    """Compute the accuracy of always naming the most frequent training class.

    Args:
        train_labels: the classes of the training split.
        test_labels: the true classes of the test split.
        units: the unit of each test clip, for the interval.
    """
    # The training split names the class. Which class is the most frequent one of the
    # test split is nothing that a model could know.
    always = torch.mode(train_labels.flatten()).values.to(test_labels)
    row = accuracy(
        always.expand(len(test_labels)),
        test_labels,
        units,
        name="always the commonest class",
    )
    return row.annotate(note=f"class {int(always)}; {row.note}")


def mean_over_seeds(
    values: Sequence[float], *, name: str = "mean over seeds", unit: str = "fraction"
) -> Measure:
    """Compute the mean over seeds, with Student's t-interval.

    Args:
        values: one value a seed; each comes from a whole run of its own.
        name: of the measure.
        unit: of the values.

    Raises:
        ValueError: there are fewer than 2 values.
    """
    # Not a bootstrap: a study has some three seeds, and there are only ten ways to draw
    # three numbers from three.
    low, high = t_interval(values)
    return Measure(
        name,
        float(np.mean(values)),
        low,
        high,
        len(values),
        counted="seeds",
        unit=unit,
        note="Student's t over seeds",
    )


def paired_difference(
    first: Sequence[float],
    second: Sequence[float],
    *,
    name: str = "difference",
    unit: str = "fraction",
) -> Measure:
    """Compute the mean of first - second over seeds, with Student's t-interval.

    Runs with the same seed are compared with each other, so what a seed does to both
    of them cancels.

    Args:
        first: one value a seed.
        second: one value a seed, in the same order.
        name: of the measure.
        unit: of the values.

    Raises:
        ValueError: the two differ in number, or there are fewer than 2 pairs.
    """
    if len(first) != len(second):
        raise ValueError(
            f"{len(first)} and {len(second)} values: pairs need one of each a seed"
        )
    # The interval of the differences, not the difference of two intervals: seeds that
    # are easy for one method tend to be easy for the other.
    difference = [a - b for a, b in zip(first, second, strict=True)]
    return mean_over_seeds(difference, name=name, unit=unit)


def verdict(
    measure: Measure, above: float = 0.0
) -> Literal["holds", "fails", "undecided"]:
    """Judge the claim "measure > above" by the 95 % interval.

    For "A is better than B": `verdict(paired_difference(a, b))`; for "better than
    chance": `verdict(mean_over_seeds(a), above=1 / 13)`.
    """
    # "undecided" where the interval holds the bound: too few seeds or clips to tell.
    if measure.low > above:
        return "holds"
    return "fails" if measure.high < above else "undecided"


def score_fractions(
    scores: Sequence[int], values: Sequence[int], name: str
) -> list[Measure]:
    """Compute the fraction of scores at each value, with Wilson's intervals.

    Args:
        scores: all ratings.
        values: the possible scores, one measure each.
        name: the beginning of each measure's name.
    """
    # A Counter gives 0 for a score that nobody gave.
    counts, n = Counter(scores), len(scores)
    return [
        Measure(
            f"{name}, score {value}",
            counts[value] / n,
            *wilson_interval(counts[value], n),
            n,
            counted="ratings",
            unit="fraction",
            note="Wilson's interval",
        )
        for value in values
    ]
