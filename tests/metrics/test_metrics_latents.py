"""Latents against simulation and analysis of variance."""

import pytest
import torch
from scipy import stats
from torch.distributions import Normal, kl_divergence

from avnb.metrics import (
    active_units,
    latent_information,
    modality_share,
    pair_distance,
)

RANDOM = torch.Generator().manual_seed(0)


def test_a_dimension_that_ignores_its_input_is_not_active() -> None:
    mu = torch.randn(400, 6, generator=RANDOM)
    mu[:, 0] = 3.0  # far from the prior, yet the same for every input
    mu[:, 1] *= 0.05  # variance 0.0025
    mu[:, 2] *= 0.2  # variance 0.04
    assert active_units(mu) == 5 - 1
    assert active_units(mu, least=0.1) == 3


def test_share_of_variance_is_that_of_an_analysis_of_variance() -> None:
    first = torch.randn(30, 1, generator=RANDOM).double()
    second = 0.7 + torch.randn(50, 1, generator=RANDOM).double()
    f = stats.f_oneway(first[:, 0], second[:, 0]).statistic
    assert modality_share(first, second) == pytest.approx(f / (f + 78))
    assert modality_share(first, first) == pytest.approx(0, abs=1e-12)
    points = torch.zeros(4, 3), torch.ones(5, 3)
    assert modality_share(*points) == pytest.approx(1)
    assert modality_share(points[0], points[0]) == 0


def test_information_of_a_gaussian_channel_is_its_capacity() -> None:
    mu = torch.randn(200_000, 1, generator=RANDOM) * torch.tensor([0.5, 1.0, 3.0])
    logvar = torch.tensor([-4.0, 0.0, 1.0]).expand_as(mu)
    noise = logvar[0].exp()
    capacity = 0.5 * (1 + torch.tensor([0.5, 1.0, 3.0]) ** 2 / noise).log()
    assert torch.allclose(latent_information(mu, logvar), capacity, atol=0.01)


def test_a_narrow_cloud_in_one_place_tells_nothing_at_a_high_price() -> None:
    mu, logvar = torch.full((50, 2), 0.3), torch.full((50, 2), -6.0)
    price = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0))
    assert price.mean() > 2
    assert torch.allclose(latent_information(mu, logvar), torch.zeros(2), atol=1e-6)


def test_information_bounds_that_of_any_input() -> None:
    mu = torch.tensor([[-1.0], [1.0]]).repeat(500, 1)  # two inputs: at most ln 2
    for logvar in (-6.0, -1.0, 1.0):
        wide = torch.full_like(mu, logvar)
        each = Normal(mu[:2, 0], torch.full((2,), logvar / 2).exp())
        z = torch.linspace(-12, 12, 20001)
        density = each.log_prob(z[:, None]).exp()
        mixed = density.mean(1).clamp(min=1e-30)
        ratio = (density / mixed[:, None]).clamp(min=1e-30)
        true = (density * ratio.log()).mean(1)
        exact = float(torch.trapezoid(true, z))
        assert exact <= float(latent_information(mu, wide)) + 1e-4


def test_pairs_are_nearer_than_others_only_where_they_belong_together() -> None:
    """Each case that `modality_share` calls bridged, and the one that is."""
    first = torch.randn(60, 5, generator=RANDOM).double()
    other = torch.randn(60, 5, generator=RANDOM).double()
    by_loop = [
        [float((a - b).norm()) for j, b in enumerate(other) if (i == j) is same]
        for same in (True, False)
        for i, a in enumerate(first)
    ]
    pairs, others = ([d for row in by_loop[k : k + 60] for d in row] for k in (0, 60))
    ratio = (sum(pairs) / 60) / (sum(others) / (60 * 59))
    assert pair_distance(first, other) == pytest.approx(ratio)
    assert pair_distance(first, other) == pytest.approx(1, abs=0.1)
    assert pair_distance(first, first) == 0
    assert pair_distance(first, first + 0.1 * other) < 0.2
    assert pair_distance(first, first.flip(0)) > 0.9
    nothing = torch.zeros(4, 3)
    assert pair_distance(nothing, nothing) == 1
    assert pair_distance(nothing, nothing + 1) == pytest.approx(1)
    assert pair_distance(first[:1], other[:1]) == 1
