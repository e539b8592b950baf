"""The human study: people give each sample a score from 0 to 3.

Source: Chen et al. 2017, Table 4 and Fig. 8.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avnb.metrics.accuracy import score_fractions
from avnb.metrics.intervals import bootstrap_interval
from avnb.metrics.measure import Measure

SCORES = (0, 1, 2, 3)


@dataclass(frozen=True)
class MethodScores:
    """One method's ratings: the mean, and the fraction at each score 0 to 3."""

    mean: Measure
    fractions: tuple[Measure, ...]


def human_scores(
    records: Sequence[Mapping[str, Any]], *, seed: int = 0
) -> dict[str, MethodScores]:
    """Compute each method's mean score and distribution.

    Args:
        records: each holds "method", "score" (0 to 3) and, where known, "rater".
        seed: of the bootstraps.

    Returns:
        The methods in the order in which they first appear. The interval of a mean is a
        bootstrap over raters where there are several. With one rater it is over the
        ratings, and says nothing of what other people would think.

    Raises:
        ValueError: a score is none of 0, 1, 2 and 3.
    """
    for number, record in enumerate(records):
        if record["score"] not in SCORES:
            raise ValueError(
                f"record {number}: score {record['score']!r} must be 0, 1, 2 or 3"
            )
    found = {}
    # A dict, unlike a set, keeps the methods in the order in which they appear.
    for method in dict.fromkeys(str(record["method"]) for record in records):
        mine = [record for record in records if str(record["method"]) == method]
        scores = [int(record["score"]) for record in mine]
        # Ratings without a name count as one rater's.
        raters = [str(record.get("rater", "")) for record in mine]
        # A bootstrap over one rater has an infinite interval: draw its ratings instead.
        several = len(set(raters)) > 1
        # Ratings of one rater are not independent of each other: draw whole raters.
        values = np.array(scores, dtype=float)
        low, high = bootstrap_interval(values, raters if several else None, seed=seed)
        over = f"{len(set(raters))} raters" if several else "ratings of one rater"
        mean = Measure(
            f"{method}, mean score",
            float(values.mean()),
            low,
            high,
            len(values),
            counted="ratings",
            unit="of 3",
            seed=seed,
            note=f"bootstrap over {over}",
        )
        found[method] = MethodScores(
            mean, tuple(score_fractions(scores, SCORES, method))
        )
    return found
