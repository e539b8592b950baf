"""Shortcuts: what tells the class without being seen or heard as it is played."""

import numpy as np
import pytest
import torch

from avnb.metrics import (
    blur_pictures,
    make_noise,
    randomise_phases,
    read_by_nearest_neighbour,
)


def read_slowly(x: np.ndarray, labels: np.ndarray, units: list[str]) -> float:
    """The same share by plain loops."""
    x = (x - x.mean(0)) / x.std(0)
    right = 0
    for i in range(len(x)):
        others = [j for j in range(len(x)) if units[j] != units[i]]
        best = min(others, key=lambda j: float(np.sum((x[i] - x[j]) ** 2)))
        right += labels[best] == labels[i]
    return right / len(x)


def test_it_is_the_share_that_plain_loops_find() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    units = [f"u{k}" for k in rng.integers(0, 9, 60)]
    # one column tells something, on another scale than the one that tells nothing
    x = np.stack([100 * (labels + rng.normal(0, 0.7, 60)), rng.normal(0, 1, 60)], 1)
    got = read_by_nearest_neighbour(
        torch.from_numpy(x), torch.from_numpy(labels), units, name="x"
    )
    assert got.value == pytest.approx(read_slowly(x, labels, units))
    assert 0.4 < got.value < 0.9
    assert got.low < got.value < got.high
    assert got.n == 60


def test_what_is_the_same_within_a_unit_alone_tells_nothing() -> None:
    """A person in one room would otherwise name what this person plays."""
    units = [f"player {k // 10}" for k in range(400)]
    labels = torch.arange(40).repeat_interleave(10) % 4
    generator = torch.Generator().manual_seed(1)
    face = torch.randn(40, 8, generator=generator).repeat_interleave(10, 0)
    got = read_by_nearest_neighbour(face, labels, units, name="face")
    assert got.value < 0.45  # chance: 0.25
    alone = [str(k) for k in range(400)]
    assert read_by_nearest_neighbour(face, labels, alone, name="face").value == 1.0


def test_constant_columns_tell_nothing() -> None:
    x = torch.full((30, 2), 0.1)
    labels = torch.arange(30) % 3
    units = [str(k) for k in range(30)]
    # all are equally near: the first other item answers for all
    got = read_by_nearest_neighbour(x, labels, units, name="length")
    assert got.value == pytest.approx(1 / 3, abs=0.05)
    with pytest.raises(ValueError, match="one unit"):
        read_by_nearest_neighbour(x, labels, ["a"] * 30, name="length")


def test_spoilt_pictures_hold_no_shape() -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (4, 4, 4, 3), generator=generator)
    pictures = coarse.repeat_interleave(16, 1).repeat_interleave(16, 2).byte()
    pictures[:, ::2] //= 2  # lines of one pixel
    blurred = blur_pictures(pictures)
    assert blurred.shape == pictures.shape
    assert blurred.dtype == torch.uint8
    inner = blurred[:, 20:44, 20:44].float()
    lines = pictures[:, 20:44, 20:44].float()
    assert inner.diff(dim=1).abs().mean() < 0.1 * lines.diff(dim=1).abs().mean()
    assert inner.mean() == pytest.approx(float(lines.mean()), rel=0.2)
    noise = make_noise(pictures)
    assert noise.shape == pictures.shape
    assert noise.float().mean() == pytest.approx(
        float(pictures.float().mean()), rel=0.2
    )
    # no colour of its own is left to a picture
    means = noise.float().mean((1, 2))
    assert means.std() < 0.1 * pictures.float().mean((1, 2)).std()
    assert (make_noise(pictures) == noise).all()
    assert (make_noise(pictures, seed=1) != noise).any()


def test_sounds_of_random_phases_keep_their_spectrum_and_lose_their_beginning() -> None:
    generator = torch.Generator().manual_seed(0)
    sounds = torch.zeros(2, 1, 4096)
    sounds[..., 1000:1400] = torch.randn(2, 1, 400, generator=generator)
    spoilt = randomise_phases(sounds, generator=generator)
    for one, other in zip(sounds.flatten(0, 1), spoilt.flatten(0, 1), strict=True):
        before, after = (np.abs(np.fft.rfft(x.numpy()))[1:-1] for x in (one, other))
        np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-2)
        quarters = other.view(4, -1).square().mean(1)
        assert quarters.max() < 2 * quarters.min()  # nowhere louder than elsewhere
