"""The human study: scores 0 to 3 a method (Chen et al. 2017, Table 4 and Fig. 8)."""

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
    """One method's ratings: the mean, and the fraction at each score 0..3."""

    mean: Measure
    fractions: tuple[Measure, ...]


def human_scores(
    records: Sequence[Mapping[str, Any]], *, seed: int = 0
) -> dict[str, MethodScores]:
    """Mean score and distribution of each method, in order of first appearance.

    A record holds "method", "score" (0 to 3) and, where known, "rater". The means'
    intervals are bootstraps over raters where there are several, else over ratings:
    then they speak of this rater's taste alone.
    """
    for number, record in enumerate(records):
        if record["score"] not in SCORES:
            raise ValueError(
                f"record {number}: score {record['score']!r} must be 0, 1, 2 or 3"
            )
    found = {}
    for method in dict.fromkeys(str(record["method"]) for record in records):
        mine = [record for record in records if str(record["method"]) == method]
        scores = [int(record["score"]) for record in mine]
        raters = [str(record.get("rater", "")) for record in mine]
        several = len(set(raters)) > 1
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
