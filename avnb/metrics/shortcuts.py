"""Shortcuts: what tells the class although it is neither seen nor heard being played.

A network takes the easiest way to its score. If the place of the head names the
instrument, a network may look at nothing else, and its accuracy says nothing of the
instruments that it draws. So each thing that could give the answer away is asked for
the class by itself, and must not know much more than chance. `blur_pictures`,
`make_noise` and `randomise_phases` give pictures and sounds in which there is no
instrument left to be named.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from avnb.metrics.accuracy import mean_score
from avnb.metrics.intervals import Units, number_groups
from avnb.metrics.measure import Measure
from avnb.metrics.memorisation import measure_to_others


def read_by_nearest_neighbour(
    features: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    units: Units,
    *,
    name: str,
    seed: int = 0,
) -> Measure:
    """Measure in what share of the items the nearest other one has the same class.

    The nearest item is sought among those of all other units: the same person in the
    same room would be near for reasons that do not generalise. Each column of the
    features is scaled to unit variance first.

    Args:
        features: what could tell the class.
        labels: the classes.
        units: what is independent, such as the player of each item.
        name: of the measure.
        seed: of the interval's draws, which are of units.

    Returns:
        The share; it is about 1 / classes where the features tell nothing.

    Raises:
        ValueError: there are fewer than 2 units, or not one name an item.
    """
    number = torch.from_numpy(number_groups(units, len(labels)))
    if number.max() < 1:
        raise ValueError(f"{name}: all items are of one unit, give two or more")
    x = features.float().cpu()
    spread = x.std(dim=0, correction=0)
    # A constant column tells nothing, and its rounding errors must not be scaled up.
    x = (x - x.mean(dim=0)) / torch.where(spread > 1e-6, spread, torch.inf)
    blocks = measure_to_others(x, number)
    nearest = torch.cat([block.argmin(dim=1) for block in blocks])
    labels = labels.cpu()
    right = (labels[nearest] == labels).numpy().astype(np.float64)
    return mean_score(right, units, name=name, seed=seed)


def blur_pictures(
    pictures: UInt8[Tensor, "n h w 3"], *, share: float = 0.125
) -> UInt8[Tensor, "n h w 3"]:
    """Blur pictures until nothing of an instrument's shape is left.

    Args:
        pictures: to be blurred.
        share: the standard deviation of the blur, in picture heights.
    """
    from torchvision.transforms.functional import gaussian_blur

    sigma = share * pictures.shape[1]
    # an odd width that holds two standard deviations a side, within the picture
    size = 2 * min(int(2 * sigma), (min(pictures.shape[1:3]) - 1) // 2) + 1
    moved = pictures.movedim(-1, 1).float()
    blurred = gaussian_blur(moved, [size, size], [sigma, sigma])
    spoilt: Tensor = blurred.movedim(1, -1).round().to(torch.uint8)
    return spoilt


def make_noise(
    pictures: UInt8[Tensor, "n h w 3"], *, seed: int = 0
) -> UInt8[Tensor, "n h w 3"]:
    """Make pictures of noise with the mean and the spread of all pictures together.

    Not of each picture: its mean colour could still tell its class.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(pictures.shape, generator=generator)
    values = pictures.float()
    noise = values.mean().cpu() + values.std().cpu() * noise
    return noise.round().clamp(0, 255).to(pictures.device, torch.uint8)


def randomise_phases(
    sounds: Float[Tensor, "*n samples"], *, generator: torch.Generator | None = None
) -> Float[Tensor, "*n samples"]:
    """Give each frequency of a sound a random phase: its spectrum, and no beginning.

    What is left is a wash as loud as the sound, in which nothing is struck or plucked.

    Args:
        sounds: to be spoilt.
        generator: of the phases.
    """
    spectrum = torch.fft.rfft(sounds.float())
    turns = torch.rand(spectrum.shape, generator=generator, device=sounds.device)
    turned = torch.polar(spectrum.abs(), 2 * torch.pi * turns)
    spoilt: Tensor = torch.fft.irfft(turned, n=sounds.shape[-1])
    return spoilt
