"""Intervals over what is independent: their coverage, known by simulation.

Items of one unit (a player, a source video) are alike. An interval over items then
takes the same person's pictures for many independent observations.
"""

import math

import numpy as np
import pytest
import torch
from torch import nn

from avnb.metrics import (
    accuracy,
    fid,
    frechet_distance,
    fvd,
    inception_score,
    kernel_distance,
    kid,
    real_against_real,
)
from avnb.metrics.distances import compute_frechet
from avnb.metrics.intervals import bootstrap_interval, jackknife_interval

UNITS, ITEMS, NOISE = 12, 10, 0.3
NAMES = [f"player {k}" for k in range(UNITS) for _ in range(ITEMS)]


def draw(random: np.random.Generator, dimensions: int) -> np.ndarray:
    """Items (units * items, dimensions) whose units have means of their own."""
    means = random.standard_normal((UNITS, 1, dimensions))
    noise = NOISE * random.standard_normal((UNITS, ITEMS, dimensions))
    return (means + noise).reshape(-1, dimensions)


def cover(intervals: list[tuple[float, float]], truth: float) -> float:
    return float(np.mean([low <= truth <= high for low, high in intervals]))


@pytest.mark.slow
def test_a_mean_over_units_is_covered_and_over_items_is_not() -> None:
    random = np.random.default_rng(0)
    drawn = [draw(random, 1)[:, 0] for _ in range(300)]
    over_units = [bootstrap_interval(x, NAMES, resamples=500) for x in drawn]
    over_items = [bootstrap_interval(x, None, resamples=500) for x in drawn]
    assert 0.91 < cover(over_units, 0.0) < 0.99
    assert cover(over_items, 0.0) < 0.55


@pytest.mark.slow
def test_an_accuracy_over_players_is_covered_and_over_pictures_is_not() -> None:
    """Each player is recognised with a probability of his own, uniform in 0 to 1."""
    random = np.random.default_rng(1)
    target = torch.ones(UNITS * ITEMS, dtype=torch.long)
    names, found = NAMES, {"units": [], "items": []}
    for _ in range(200):
        chance = np.repeat(random.random(UNITS), ITEMS)
        right = torch.from_numpy((random.random(len(chance)) < chance).astype(int))
        for kind, groups in (("units", names), ("items", None)):
            measure = accuracy(right, target, groups)
            found[kind].append((measure.low, measure.high))
    assert 0.91 < cover(found["units"], 0.5) < 0.99
    assert cover(found["items"], 0.5) < 0.80


@pytest.mark.slow
def test_a_distance_over_units_is_covered_and_over_items_is_not() -> None:
    """The Fréchet distance of two samples, about its mean over many such samples."""
    random = np.random.default_rng(2)
    generated = [f"other {name}" for name in NAMES]
    values, found = [], {"units": [], "items": []}
    for _ in range(150):
        a, b = (torch.from_numpy(draw(random, 2)) for _ in range(2))
        b = b + 2
        for kind, groups in (("units", (NAMES, generated)), ("items", None)):
            value, low, high = jackknife_interval(
                lambda kept, a=a, b=b: compute_frechet(a[kept[0]], b[kept[1]]),
                (len(a), len(b)),
                groups,
            )
            found[kind].append((low, high))
        values.append(value)
    truth = float(np.mean(values))
    assert 0.90 < cover(found["units"], truth) < 0.995
    assert cover(found["items"], truth) < 0.65


class Flat(nn.Module):
    """Gives what it gets, as (items, features)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.float().flatten(1)[:, :4]


MEASURES = {
    "Fréchet": lambda a, b, r: frechet_distance(a, b, Flat(), units=r),
    "kernel": lambda a, b, r: kernel_distance(a, b, Flat(), units=r),
    "inception": lambda a, b, r: inception_score(b, Flat(), units=r and r[1]),
    "FID": lambda a, b, r: fid(a, b, Flat(), units=r),
    "KID": lambda a, b, r: kid(a, b, Flat(), units=r),
}


@pytest.mark.parametrize("name", MEASURES)
def test_each_distance_has_a_wider_interval_over_units(name: str) -> None:
    random = np.random.default_rng(3)
    a, b = (
        torch.from_numpy(np.tanh(draw(random, 12)).reshape(-1, 3, 2, 2) * 127 + 128)
        .to(torch.uint8) for _ in range(2)
    )  # fmt: skip
    whose = (NAMES, [f"other {name}" for name in NAMES])
    items, units = MEASURES[name](a, b, None), MEASURES[name](a, b, whose)
    assert units.value == items.value
    assert units.high - units.low > 1.5 * (items.high - items.low)
    assert "jackknife over items" in items.note
    assert "jackknife over items" not in units.note


class Mean(nn.Module):
    """A video network of two features: the brightness of both halves of a clip."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[..., :112].mean((1, 2, 3, 4)), x.mean((1, 2, 3, 4))], 1)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["canonical", "redondo2024"])
def test_fvd_takes_units_in_both_protocols(protocol: str) -> None:
    random = np.random.default_rng(4)
    level = np.repeat(random.uniform(60, 190, (2, 5, 1)), 4, 2).reshape(2, 20)
    noise = random.uniform(-20, 20, (2, 20, 9, 3, 4, 4))
    real, made = torch.from_numpy(level[..., None, None, None, None] + noise).to(
        torch.uint8
    )
    names = [f"player {k // 4}" for k in range(20)]
    blocks = fvd(real, made, Mean(), protocol=protocol)
    measure = fvd(
        real, made, Mean(), protocol=protocol, units=(names, names)
    )  # fmt: skip
    assert measure.value == blocks.value
    assert "jackknife over units" in measure.note
    assert math.isfinite(measure.high)
    # One player alone tells nothing of the next one.
    alone = fvd(real, made, Mean(), protocol=protocol, units=(["x"] * 20, names))
    assert alone.high == math.inf


def test_the_floor_shares_no_unit_between_its_halves() -> None:
    """Within a unit items are equal, so a floor that splits units would be zero."""
    points = torch.randn(UNITS, 4, generator=torch.Generator().manual_seed(0))
    real = points.repeat_interleave(ITEMS, 0)
    split = real_against_real(frechet_distance, real, Flat())
    whole = real_against_real(frechet_distance, real, Flat(), units=NAMES)
    assert whole.n == split.n == len(real) // 2
    assert whole.value > 5 * split.value
    few = real_against_real(frechet_distance, real, Flat(), n=20, units=NAMES)
    assert few.n == 20
    assert "jackknife over units" in whole.note
    with pytest.raises(ValueError, match="at least two"):
        real_against_real(frechet_distance, real, Flat(), units=["x"] * len(real))


def test_a_distance_of_two_uneven_units_has_no_interval() -> None:
    """Without the larger unit one item is left, which has no covariance."""
    real = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    units = ["a"] * 4 + ["b"]
    for distance in (frechet_distance, kernel_distance):
        found = distance(real, real + 1, nn.Identity(), units=(units, units))
        assert np.isfinite(found.value)
        assert (found.low, found.high) == (-np.inf, np.inf)
