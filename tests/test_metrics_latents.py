"""Latents against torch's own KL, simulation and analysis of variance."""

import pytest
import torch
from scipy import stats
from torch.distributions import Normal, kl_divergence

from avnb.metrics import active_units, kl_per_dimension, modality_share

RANDOM = torch.Generator().manual_seed(0)


def test_kl_is_torchs() -> None:
    mu, logvar = torch.randn(2, 20, 5, generator=RANDOM)
    posterior = Normal(mu, (0.5 * logvar).exp())
    prior = Normal(torch.zeros(()), torch.ones(()))
    right = kl_divergence(posterior, prior).mean(0)
    assert torch.allclose(kl_per_dimension(mu, logvar), right, atol=1e-6)
    nothing = kl_per_dimension(torch.zeros(4, 3), torch.zeros(4, 3))
    assert torch.equal(nothing, torch.zeros(3))


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
