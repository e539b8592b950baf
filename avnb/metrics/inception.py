"""FID, KID, FVD and videos' inception score on the networks that are usual for them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from avnb.metrics.distances import (
    compute_frechet,
    extract_features,
    frechet_distance,
    inception_score,
    kernel_distance,
)
from avnb.metrics.intervals import Units, jackknife_interval, t_interval
from avnb.metrics.measure import Measure
from avnb.metrics.pictures import as_bytes, as_floats

Frames = Shaped[Tensor, "_ 3 _ _"]
Clips = Shaped[Tensor, "_ _ 3 _ _"]


def _on_inception(
    distance: Callable[..., Measure],
    name: str,
    real: Frames,
    generated: Frames,
    network: nn.Module,
    **how: Any,
) -> Measure:
    how = {"network_name": "Inception-v3 (FID)"} | how
    # As bytes: the real frames are bytes, and rounding alone moves the distance.
    measure = distance(as_bytes(real), as_bytes(generated), network, **how)
    return measure.annotate(name=name, resize="bilinear to 299 without antialiasing")


def fid(real: Frames, generated: Frames, network: nn.Module, **how: Any) -> Measure:
    """Compute the Fréchet Inception distance of frames.

    With fewer items than some thousands it is mostly bias: read it beside
    `real_against_real(fid, …)`, or use `kid`.

    Args:
        real: uint8, or floats in [−1, 1].
        generated: the same.
        network: `load_network("inception")`.
        how: further arguments of `frechet_distance`: units, seed, batch.

    Source: Heusel et al. 2017.
    """
    return _on_inception(frechet_distance, "FID", real, generated, network, **how)


def kid(real: Frames, generated: Frames, network: nn.Module, **how: Any) -> Measure:
    """Compute the kernel Inception distance of frames, which has no bias.

    It is not multiplied by 1000.

    Args:
        real: uint8, or floats in [−1, 1].
        generated: the same.
        network: `load_network("inception")`.
        how: further arguments of `kernel_distance`: units, seed, batch.

    Source: Bińkowski et al. 2018.
    """
    return _on_inception(kernel_distance, "KID", real, generated, network, **how)


class _ResizedI3D(nn.Module):
    """I3D on clips of any size: (clips, time, 3, H, W) → logits (clips, 400)."""

    def __init__(self, network: nn.Module, mode: str, at_once: int = 4) -> None:
        super().__init__()
        self.network, self.mode, self.at_once = network, mode, at_once

    def forward(self, clips: Tensor) -> Tensor:
        logits = []
        for part in clips.split(self.at_once):  # each clip takes some 100 MB
            # `interpolate` wants pictures: (clips, time, 3, …) → (clips time, 3, …)
            frames = as_floats(part).float().flatten(0, 1)
            frames = F.interpolate(frames, (224, 224), mode=self.mode)
            # (clips time, 3, 224, 224) → (clips, 3, time, 224, 224)
            frames = frames.unflatten(0, part.shape[:2]).transpose(1, 2)
            logits.append(self.network(frames))
        return torch.cat(logits)


def fvd(
    real: Clips,
    generated: Clips,
    network: nn.Module,
    *,
    protocol: str = "canonical",
    network_name: str = "I3D Kinetics-400",
    units: tuple[Units, Units] | None = None,
    seed: int = 0,
    batch: int = 64,
) -> Measure:
    """Compute the Fréchet video distance, from I3D's 400 logits of each clip.

    Args:
        real: uint8 or floats in [−1, 1], 9 frames or more.
        generated: the same.
        network: `load_network("i3d")`.
        protocol: "canonical" takes every clip and resizes it bilinearly. Unterthiner et
            al. 2018 took 2048 clips of 16 frames; the value depends on both numbers.
            "redondo2024" is what the released code of Redondo 2024 evaluates with:
            it resizes to the nearest pixel, compares 20 random real clips with each 4
            generated ones in turn, and takes the mean. With so few clips the bias alone
            is in the hundreds.
        network_name: the name that the measure carries.
        units: the unit of each real and of each generated clip, for the
            interval.
        seed: of the choice of real clips and of the jackknife.
        batch: how many clips' logits are computed before they go to the CPU.

    Raises:
        ValueError: the protocol is unknown, or there are too few clips.

    Source: Unterthiner et al. 2018, Towards Accurate Generative Models of Video.
    """
    if protocol == "canonical":
        measure = frechet_distance(
            real, generated, _ResizedI3D(network, "bilinear"), units=units,
            seed=seed, batch=batch,
        )  # fmt: skip
        how = f"{real.shape[1]} frames a clip; {measure.note}"
        measure = measure.annotate(name="FVD", note=how, resize="bilinear to 224")
    elif protocol == "redondo2024":
        measure = _measure_redondo2024(real, generated, network, units, seed, batch)
    else:
        raise ValueError(f"protocol is {protocol!r}: give 'canonical' or 'redondo2024'")
    return measure.annotate_network(network, network_name)


def video_inception_score(
    clips: Clips, network: nn.Module, *, batch: int = 64, **how: Any
) -> Measure:
    """Compute the inception score of videos, from I3D's 400 logits of each clip.

    Args:
        clips: uint8 or floats in [−1, 1], 9 frames or more.
        network: `load_network("i3d")`.
        batch: how many clips' logits are computed before they go to the CPU.
        how: further arguments of `inception_score`: units, seed, network_name.

    Source: Salimans et al. 2016, Sec. 4; Carreira & Zisserman 2017 for the network.
    """
    how = {"network_name": "I3D Kinetics-400"} | how
    resized = _ResizedI3D(network, "bilinear")
    measure = inception_score(clips, resized, batch=batch, **how)
    # The checksum is that of the network itself, as in `fvd`.
    measure = measure.annotate_network(network, how["network_name"])
    return measure.annotate(counted="clips", resize="bilinear to 224")


def _measure_redondo2024(
    real: Clips,
    generated: Clips,
    network: nn.Module,
    units: tuple[Units, Units] | None,
    seed: int,
    batch: int,
) -> Measure:
    if len(real) < 2 or len(generated) < 4:
        raise ValueError(
            f"{len(real)} real and {len(generated)} generated clips: this protocol "
            "needs at least 2 and 4"
        )
    # 20 real clips, and blocks of 4 generated ones: the numbers of the released code.
    chosen = np.random.default_rng(seed).permutation(len(real))[:20]
    i3d = _ResizedI3D(network, "nearest")
    chosen_clips = real[torch.from_numpy(chosen).to(real.device)]
    known = extract_features(i3d, chosen_clips, batch)
    made = extract_features(i3d, generated, batch)

    def measure_blocks(kept: list[np.ndarray]) -> list[float]:
        if len(kept[0]) < 2:  # one clip has no covariance
            return []
        # An incomplete last block is left out: its bias would be another.
        blocks = [part for part in made[kept[1]].split(4) if len(part) == 4]
        return [compute_frechet(known[kept[0]], block) for block in blocks]

    values = measure_blocks([np.arange(len(known)), np.arange(len(made))])
    mean, over = float(np.mean(values)), "Student's t over the blocks"
    low, high = t_interval(values) if len(values) > 1 else (-np.inf, np.inf)
    if units is not None:
        _, low, high = jackknife_interval(
            lambda kept: float(np.mean(measure_blocks(kept) or np.nan)),
            (len(known), len(made)),
            ([units[0][i] for i in chosen], units[1]),
            seed=seed,
        )
        over = "jackknife over units"
    return Measure(
        "FVD (Redondo 2024)",
        mean,
        low,
        high,
        len(values) * 4,
        counted="generated",
        seed=seed,
        resize="nearest to 224",
        note=f"{real.shape[1]} frames a clip; mean of {len(values)} times 4 against "
        f"{len(known)} real, standard deviation {np.std(values):.0f}; {over}",
    )
