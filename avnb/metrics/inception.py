"""FID, KID and FVD proper: on the networks that these names stand for."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from avnb.metrics.distances import (
    _features,
    _frechet,
    frechet_distance,
    kernel_distance,
)
from avnb.metrics.intervals import t_interval
from avnb.metrics.measure import Measure
from avnb.metrics.pictures import as_bytes, as_floats

Frames = Shaped[Tensor, "_ 3 _ _"]
Clips = Shaped[Tensor, "_ _ 3 _ _"]
Recordings = tuple[Sequence[Hashable], Sequence[Hashable]]


def _on_inception(
    distance: Callable[..., Measure],
    name: str,
    real: Frames,
    generated: Frames,
    network: nn.Module,
    **how: Any,
) -> Measure:
    how = {"network_name": "Inception-v3 (FID)"} | how
    measure = distance(as_bytes(real), as_bytes(generated), network, **how)
    return measure.annotate(name=name, resize="bilinear to 299 without antialiasing")


def fid(real: Frames, generated: Frames, network: nn.Module, **how: Any) -> Measure:
    """Fréchet Inception distance of frames, uint8 or in [−1, 1] (Heusel et al. 2017).

    `network` is `load_network("inception")`; `how` is that of `frechet_distance`:
    recordings, seed, batch. With fewer items than some thousands it is mostly bias:
    read it beside `real_against_real(fid, …)`, or take `kid`.
    """
    return _on_inception(frechet_distance, "FID", real, generated, network, **how)


def kid(real: Frames, generated: Frames, network: nn.Module, **how: Any) -> Measure:
    """Kernel Inception distance, unbiased at any n; not × 1000 (Bińkowski 2018).

    As `fid`; `how` is that of `kernel_distance`.
    """
    return _on_inception(kernel_distance, "KID", real, generated, network, **how)


class _ForI3D(nn.Module):
    """Clips of any size to I3D's: (clips, time, 3, H, W) → logits."""

    def __init__(self, network: nn.Module, mode: str, at_once: int = 4) -> None:
        super().__init__()
        self.network, self.mode, self.at_once = network, mode, at_once

    def forward(self, clips: Tensor) -> Tensor:
        logits = []
        for part in clips.split(self.at_once):  # each takes some 100 MB
            frames = as_floats(part).float().flatten(0, 1)
            frames = F.interpolate(frames, (224, 224), mode=self.mode)
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
    recordings: Recordings | None = None,
    seed: int = 0,
    batch: int = 64,
) -> Measure:
    """Fréchet video distance: of I3D's 400 logits of whole clips, 9 frames or more.

    Clips are uint8 or in [−1, 1]; `network` is `load_network("i3d")`. "canonical" takes
    every clip, resized bilinearly (Unterthiner et al. 2018: 2048 clips of 16 frames;
    another number of clips or frames gives another number). "listen_and_move" is what
    the released code of Redondo 2024 evaluates with: nearest resize, 20 real clips at
    random against each 4 generated in turn, and the mean of those; its bias alone is
    in the hundreds.
    """
    if protocol == "canonical":
        measure = frechet_distance(
            real, generated, _ForI3D(network, "bilinear"), recordings=recordings,
            seed=seed, batch=batch,
        )  # fmt: skip
        how = f"{real.shape[1]} frames a clip; {measure.note}"
        measure = measure.annotate(name="FVD", note=how, resize="bilinear to 224")
    elif protocol == "listen_and_move":
        measure = _listen_and_move(real, generated, network, seed, batch)
    else:
        raise ValueError(
            f"protocol is {protocol!r}: give 'canonical' or 'listen_and_move'"
        )
    return measure.annotate_network(network, network_name)


def _listen_and_move(
    real: Clips, generated: Clips, network: nn.Module, seed: int, batch: int
) -> Measure:
    if len(real) < 2 or len(generated) < 4:
        raise ValueError(
            f"{len(real)} real and {len(generated)} generated clips: this protocol "
            "needs at least 2 and 4"
        )
    chosen = np.random.default_rng(seed).permutation(len(real))[:20]
    judge = _ForI3D(network, "nearest")
    known = _features(judge, real[torch.from_numpy(chosen).to(real.device)], batch)
    made = _features(judge, generated, batch)
    blocks = [part for part in made.split(4) if len(part) == 4]
    values = [_frechet(known, block, seed) for block in blocks]
    mean = float(np.mean(values))
    low, high = t_interval(values) if len(values) > 1 else (-np.inf, np.inf)
    return Measure(
        "FVD (listen_and_move)",
        mean,
        low,
        high,
        len(values) * 4,
        counted="generated",
        seed=seed,
        resize="nearest to 224",
        note=f"{real.shape[1]} frames a clip; mean of {len(values)} times 4 against "
        f"{len(known)} real, standard deviation {np.std(values):.0f}; Student's t",
    )
