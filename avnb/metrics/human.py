"""What people answer: their scores, which of two they prefer, and how far they agree.

Source: Chen et al. 2017, Table 4 and Fig. 8 (scores from 0 to 3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avnb.metrics.accuracy import score_fractions
from avnb.metrics.intervals import (
    bootstrap_interval,
    crossed_interval,
    jackknife_interval,
)
from avnb.metrics.measure import Measure

SCORES = (0, 1, 2, 3)


@dataclass(frozen=True)
class MethodScores:
    """One method's ratings.

    Attributes:
        mean: its interval says what other raters would answer to the same items.
        mean_elsewhere: the same mean; its interval says what other raters would answer
            to other items. None where there is one rater or one item.
        fractions: the share of the ratings at each score, in the order of the scores.
    """

    mean: Measure
    mean_elsewhere: Measure | None
    fractions: tuple[Measure, ...]


def human_scores(
    records: Sequence[Mapping[str, Any]],
    *,
    scores: Sequence[int] = SCORES,
    seed: int = 0,
) -> dict[str, MethodScores]:
    """Compute each method's mean score and distribution.

    Args:
        records: each holds "method", "score" and, where known, "rater" and "item": the
            player or recording that was judged.
        scores: the possible ones.
        seed: of the bootstraps.

    Returns:
        The methods in the order in which they first appear. Where there are several
        raters, intervals come from a bootstrap over raters. With one rater they are
        over the ratings, and say nothing of what other people would think.

    Raises:
        ValueError: a score is none of the possible ones.
    """
    possible = ", ".join(map(str, scores))
    for number, record in enumerate(records):
        if record["score"] not in scores:
            raise ValueError(
                f"record {number}: score {record['score']!r} must be one of {possible}"
            )
    # A dict, unlike a set, keeps the methods in the order in which they appear.
    names = dict.fromkeys(str(record["method"]) for record in records)
    return {
        name: _summarise(
            name,
            [record for record in records if str(record["method"]) == name],
            scores,
            seed,
        )
        for name in names
    }


def rater_agreement(
    records: Sequence[Mapping[str, Any]], *, seed: int = 0
) -> Measure | None:
    """Compute Krippendorff's alpha: how far raters agree on what several have judged.

    It is 1 minus the observed disagreement divided by that of chance, where two scores
    disagree by the square of their difference. It is 1 where all give the same score to
    the same thing, and about 0 where a score says nothing of the thing.

    Args:
        records: each holds "ballot", which names what was judged, and "score".
        seed: of the jackknife's groups.

    Returns:
        None where no two raters judged the same thing, or where all scores are equal.

    Source: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability.
    """
    judged: dict[str, list[int]] = {}
    for record in records:
        judged.setdefault(str(record["ballot"]), []).append(int(record["score"]))
    # What one rater alone has judged says nothing of agreement.
    several = [scores for scores in judged.values() if len(scores) > 1]
    if not several:
        return None
    sums = np.array([(len(s), sum(s), sum(x * x for x in s)) for s in several], float)

    def compute(index: list[np.ndarray]) -> float:
        n, total, squares = sums[index[0]].T
        # Over all ordered pairs, Σ (x - y)² = 2 (n Σ x² - (Σ x)²); the 2 cancels.
        within = ((n * squares - total**2) / (n - 1)).sum() / n.sum()
        every = n.sum() * squares.sum() - total.sum() ** 2
        chance = every / (n.sum() * (n.sum() - 1))
        return float(1 - within / chance) if chance > 0 else float("nan")

    value, low, high = jackknife_interval(compute, [len(sums)], None, seed=seed)
    if np.isnan(value):
        return None
    count, over = int(sums[:, 0].sum()), f"jackknife over {len(sums)} things judged"
    about: dict[str, Any] = {"counted": "ratings", "seed": seed, "note": over}
    return Measure("Krippendorff's alpha", value, low, high, count, **about)


def _summarise(
    method: str,
    records: Sequence[Mapping[str, Any]],
    scores: Sequence[int],
    seed: int,
) -> MethodScores:
    """The mean and the shares of one method's ratings."""
    values = np.array([int(record["score"]) for record in records], dtype=float)
    # Ratings without a name count as one rater's.
    raters = [str(record.get("rater", "")) for record in records]
    items = [str(record.get("item", "")) for record in records]
    count = len(set(raters))
    several = count > 1
    # A bootstrap over one rater has an infinite interval: draw its ratings instead.
    # Ratings of one rater are not independent of each other: draw whole raters.
    units = raters if several else None
    over = f"{count} raters" if several else "ratings of one rater"
    about: dict[str, Any] = {"counted": "ratings", "unit": f"of {max(scores)}"}
    if min(scores) < 0:  # a scale with two ends: "1.2 of 3" would say nothing
        about["unit"] = ""
    mean = Measure(
        f"{method}, mean score",
        float(values.mean()),
        *bootstrap_interval(values, units, seed=seed),
        len(values),
        seed=seed,
        note=f"bootstrap over {over}",
        **about,
    )
    elsewhere = None
    if several and len(set(items)) > 1:
        low, high = crossed_interval(values, raters, items, seed=seed)
        note = f"bootstrap over {count} raters and {len(set(items))} items"
        elsewhere = mean.annotate(low=low, high=high, note=note)
    fractions = score_fractions(values.astype(int).tolist(), scores, method)
    if several:
        fractions = [
            _widen_to_raters(share, values == score, raters, seed)
            for share, score in zip(fractions, scores, strict=True)
        ]
    return MethodScores(mean, elsewhere, tuple(fractions))


def _widen_to_raters(
    share: Measure, given: np.ndarray, raters: Sequence[str], seed: int
) -> Measure:
    """A share with the wider of two intervals: over its ratings, and over raters.

    The first, Wilson's, takes the ratings of one person as independent. The second is
    empty where a few people happen to agree.
    """
    low, high = bootstrap_interval(given, raters, seed=seed)
    note = f"the wider of {share.note} and a bootstrap over {len(set(raters))} raters"
    low, high = min(low, share.low), max(high, share.high)
    return share.annotate(low=low, high=high, note=note, seed=seed)
