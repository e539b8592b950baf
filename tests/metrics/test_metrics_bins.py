"""NDB and JSD: against plain loops, scipy, and sets whose answer is known."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency
from torch import Tensor

from avnb import metrics
from avnb.metrics import bins as under_test


def draw(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def place_on_ring(n: int, modes: int, seed: int) -> Tensor:
    """Points in tight, equal clusters on a circle: item i is in cluster i mod modes."""
    angle = 2 * math.pi * (torch.arange(n) % modes) / modes
    centres = torch.stack([angle.cos(), angle.sin()], dim=1)
    return centres + 0.01 * draw(n, 2, seed)


def test_the_test_of_two_proportions_is_that_of_scipy() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        first, second = random.integers(0, 40, (2, 12))
        n, m = first.sum(), second.sum()
        right = 0
        for a, b in zip(first, second, strict=True):
            if a + b == 0:
                continue
            # Pearson's χ² of a 2 × 2 table is the square of the z of two proportions.
            table = [[a, n - a], [b, m - b]]
            right += chi2_contingency(table, correction=False).pvalue < 0.05
        assert under_test.count_different_bins(first, second) == right


def test_divergence_is_scipys_distance_squared() -> None:
    random = np.random.default_rng(1)
    for _ in range(10):
        first, second = random.integers(0, 30, (2, 8))
        p, q = first / first.sum(), second / second.sum()
        right = jensenshannon(p, q, base=2) ** 2
        found = under_test.compute_divergence(first, second)
        assert found == pytest.approx(right, abs=1e-12)
    apart = np.array([5, 0]), np.array([0, 7])
    assert under_test.compute_divergence(*apart) == pytest.approx(1)


def test_the_same_items_differ_in_no_bin() -> None:
    items = draw(200, 5, 0)
    found = metrics.compare_bins(items, items, 10)
    assert found.different.value == 0
    assert found.divergence.value == pytest.approx(0, abs=1e-12)
    assert found.share.value == 0


def test_dropped_modes_are_empty_bins() -> None:
    training = place_on_ring(800, 8, 0)
    whole = metrics.compare_bins(training, place_on_ring(400, 8, 1), 8)
    assert whole.different.value == 0
    half = place_on_ring(800, 8, 2)[torch.arange(800) % 8 < 4]
    dropped = metrics.compare_bins(training, half, 8)
    assert dropped.different.value == 8  # four are lost and four are twice as large
    assert dropped.share.value == 1
    p, q = np.full(8, 1 / 8), np.repeat([1 / 4, 0], 4)
    right = jensenshannon(p, q, base=2) ** 2
    assert dropped.divergence.value == pytest.approx(right, abs=1e-6)


@pytest.mark.slow
def test_independent_items_differ_in_a_twentieth_of_the_bins() -> None:
    shares = [
        metrics.compare_bins(draw(1000, 4, s), draw(1000, 4, s + 50), 50).share.value
        for s in range(8)
    ]
    # The bins were fitted to the training items, which adds a little to 5 %.
    assert 0.02 < np.mean(shares) < 0.12


def test_each_feature_counts_alike() -> None:
    training = place_on_ring(400, 8, 0)
    large = torch.tensor([1.0, 1000.0])
    one = metrics.compare_bins(training, training[:100], 8)
    other = metrics.compare_bins(large * training, large * training[:100], 8)
    assert one.divergence.value == pytest.approx(other.divergence.value, abs=1e-9)


def test_intervals_over_units_and_bad_input() -> None:
    training, items = draw(100, 3, 0), draw(60, 3, 1)
    found = metrics.compare_bins(training, items, 5, [f"p{i // 10}" for i in range(60)])
    assert "units" in found.share.note
    for measure in found.as_row().values():
        assert measure.low <= measure.value <= measure.high
    one = metrics.compare_bins(training, items, 5, ["p"] * 60)
    assert (one.different.low, one.different.high) == (0, 5)  # one player tells nothing
    with pytest.raises(ValueError, match="bins need"):
        metrics.compare_bins(training[:4], items, 5)
    with pytest.raises(ValueError, match="at least one"):
        metrics.compare_bins(training, items[:0], 5)
