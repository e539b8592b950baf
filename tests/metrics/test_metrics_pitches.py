"""Pitch entropy: tones of known pitch, and histograms whose entropy is known."""

import math

import numpy as np
import pytest
import torch

from avnb import metrics
from avnb.metrics import pitches


def make_tone(hz: float, samples: int = 16384) -> torch.Tensor:
    """A tone with some harmonics, at 16 kHz."""
    t = torch.arange(samples) / 16000
    return sum(torch.sin(2 * math.pi * k * hz * t) / k for k in (1, 2, 3)) / 4


@pytest.mark.slow
@pytest.mark.parametrize("hz", [110.0, 261.63, 880.0])
def test_a_tone_has_the_bin_of_its_pitch(hz: float) -> None:
    found = metrics.find_pitch_bins(make_tone(hz), 16000)
    right = 1200 * math.log2(hz / 32.70) / 20  # 20 cents a bin
    assert len(found) > 20
    assert np.abs(np.median(found) - right) <= 1


@pytest.mark.slow
def test_noise_and_silence_have_no_pitch() -> None:
    noise = torch.randn(16384, generator=torch.Generator().manual_seed(0))
    # pYIN takes some frames of noise for a pitch: a third of 33 at most.
    assert len(metrics.find_pitch_bins(0.1 * noise, 16000)) <= 11
    assert len(metrics.find_pitch_bins(torch.zeros(16384), 16000)) == 0


def test_the_two_entropies() -> None:
    steady = [np.full(5, k) for k in range(8)]  # eight pitches, one a sound
    together, each = metrics.pitch_entropy(steady)
    assert together.value == pytest.approx(3)
    assert each.value == 0
    glides = [np.arange(8) + 10 for _ in range(3)]  # the same eight in each
    together, each = metrics.pitch_entropy(glides)
    assert together.value == pytest.approx(3)
    assert each.value == pytest.approx(3)
    every = metrics.pitch_entropy([np.arange(pitches.BINS)])[0]
    assert every.value == pytest.approx(math.log2(360))


def test_entropy_by_a_loop() -> None:
    bins = np.random.default_rng(0).integers(0, 12, 200)
    shares = [(bins == k).mean() for k in range(12)]
    right = -sum(p * math.log2(p) for p in shares if p)
    assert pitches.compute_entropy(bins) == pytest.approx(right)


def test_sounds_without_pitch() -> None:
    nothing = [np.array([], dtype=np.int64)] * 3
    together, each = metrics.pitch_entropy(nothing)
    assert (together.value, each.value, each.n) == (0, 0, 0)
    one = [*nothing, np.array([3, 4])]
    assert metrics.pitch_entropy(one)[1].value == pytest.approx(1)  # of the only one
    with pytest.raises(ValueError, match="no sounds"):
        metrics.pitch_entropy([])
