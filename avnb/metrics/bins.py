"""NDB and JSD: do generated items fall into the same bins as the training items?

The bins are the clusters that k-means finds in feature vectors of training items. A
mode that a generator drops is a bin that stays empty.

Source: Richardson & Weiss 2018, On GANs and GMMs, Sec. 3.
"""

from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Float, Int
from scipy.cluster.vq import kmeans2
from torch import Tensor

from avnb.metrics.intervals import Units, jackknife_interval
from avnb.metrics.measure import Measure
from avnb.metrics.memorisation import find_nearest

ALPHA = 0.05  # of the test of each bin
Counts = Int[np.ndarray, " _"]


@dataclass(frozen=True)
class BinComparison:
    """How the bins of some items compare with those of the training items.

    Attributes:
        different: NDB, the number of bins whose shares differ significantly.
        share: NDB / K; where nothing differs, about `ALPHA` of the bins still seem to.
        divergence: the Jensen-Shannon divergence of the two histograms, in bits.
    """

    different: Measure
    share: Measure
    divergence: Measure

    def as_row(self) -> dict[str, Measure]:
        """The columns of a table."""
        return {"NDB": self.different, "NDB / K": self.share, "JSD": self.divergence}


def count_different_bins(first: Counts, second: Counts) -> int:
    """Count the bins whose shares differ, by a two-sided test of two proportions.

    Args:
        first: how many items of the one set are in each bin.
        second: how many of the other set.
    """
    n, m = first.sum(), second.sum()
    pooled = (first + second) / (n + m)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    # A bin that holds nothing, or everything, of both sets has no error and no
    # difference.
    apart = np.abs(first / n - second / m)
    return int((apart > scipy.stats.norm.ppf(1 - ALPHA / 2) * error).sum())


def compute_divergence(first: Counts, second: Counts) -> float:
    """The Jensen-Shannon divergence of two histograms, from 0 to 1 bit."""
    p, q = first / first.sum(), second / second.sum()
    middle = (p + q) / 2

    def entropy(shares: Float[np.ndarray, " _"]) -> float:
        return float(scipy.stats.entropy(shares, base=2))

    return max(0.0, entropy(middle) - (entropy(p) + entropy(q)) / 2)


def compare_bins(
    training: Float[Tensor, "n d"],
    items: Float[Tensor, "m d"],
    bins: int,
    units: Units | None = None,
    *,
    seed: int = 0,
) -> BinComparison:
    """Compare the bins of items with those of training items: NDB, NDB / K, JSD.

    The test takes the items as independent. Real clips of a few players are not, and
    so held-out real items have more different bins than `ALPHA` of all: read a
    generator's number beside theirs at the same n. Both numbers depend on n.

    Args:
        training: feature vectors, which define the bins.
        items: feature vectors that are compared with them.
        bins: K.
        units: the unit of each item, for the interval.
        seed: of k-means and of the jackknife.

    Raises:
        ValueError: there are fewer training items than bins, or no items.
    """
    if len(training) < bins or not len(items):
        raise ValueError(
            f"{len(training)} training items and {len(items)} others: {bins} bins need "
            "as many training items and at least one other"
        )
    known = training.double().cpu()
    # Each feature counts alike: the bins must not be those of the largest one.
    mean, deviation = known.mean(0), known.std(0).clamp(min=1e-9)
    known, asked = (known - mean) / deviation, (items.double().cpu() - mean) / deviation
    centres, labels = kmeans2(
        known.numpy(), bins, minit="++", rng=np.random.default_rng(seed)
    )
    expected = np.bincount(labels, minlength=bins)
    _, placed = find_nearest(asked, asked.new_tensor(centres))
    place = placed.numpy()

    def count(kept: list[np.ndarray]) -> Counts:
        return np.bincount(place[kept[0]], minlength=bins)

    def measure_different(kept: list[np.ndarray]) -> float:
        return float(count_different_bins(expected, count(kept)))

    def measure_divergence(kept: list[np.ndarray]) -> float:
        return compute_divergence(expected, count(kept))

    over = "items" if units is None else "units"
    note = f"K = {bins}, {len(training)} training items; jackknife over {over}"
    found = []
    for name, statistic, most, unit in (
        ("NDB", measure_different, float(bins), ""),
        ("JSD", measure_divergence, 1.0, "bits"),
    ):
        value, low, high = jackknife_interval(
            statistic, (len(place),), None if units is None else (units,), seed=seed
        )
        low, high = min(max(low, 0.0), value), max(min(high, most), value)
        found.append(
            Measure(name, value, low, high, len(place), "items", unit, note=note)
        )
    different, divergence = found
    ends = {end: getattr(different, end) / bins for end in ("value", "low", "high")}
    share = different.annotate(name="NDB / K", unit="fraction", **ends)
    return BinComparison(different, share, divergence)
