"""Fréchet and kernel distance and inception score, on a network of our own.

The names FID, KID and IS belong to the Inception network: here the measure carries
the name and the checksum of the network that was used (`avnb.metrics.inception` has
the true ones). Arithmetic in float64.
"""

import math
import warnings
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor, nn
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from avnb.metrics.intervals import jackknife_interval
from avnb.metrics.measure import Measure

Images = Shaped[Tensor, "_ ..."]
Recordings = Sequence[Hashable]
SUBSET = 1000  # the usual largest subset of the kernel distance


class _Features(nn.Module):
    """Features computed before, in the place of torchmetrics' network."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


@torch.no_grad()
def _features(network: nn.Module, images: Images, batch: int) -> Tensor:
    """(items, features) float64 on the CPU, the network in eval mode."""
    state = next(iter(network.parameters()), None)
    device = images.device if state is None else state.device
    was_training = network.training
    network.eval()
    try:
        parts = [
            network(part.to(device)).double().cpu() for part in images.split(batch)
        ]
    finally:
        network.train(was_training)
    features = torch.cat(parts)
    if features.ndim != 2:
        raise ValueError(
            f"{type(network).__name__} gave {tuple(features.shape)}: "
            "it must give (items, features)"
        )
    return features


def _frechet(real: Tensor, generated: Tensor, seed: int) -> float:
    """The trace of (Σ₁Σ₂)^½ is the nuclear norm of a bᵀ, where Σ₁ = aᵀa, Σ₂ = bᵀb.

    So no matrix of features × features is needed, whose eigenvalues take minutes for
    2048 features and are mostly rounding errors where there are fewer items.
    """
    a, b = _factor(real), _factor(generated)
    means = (real.mean(0) - generated.mean(0)).square().sum()
    cross = torch.linalg.matrix_norm(a @ b.T, "nuc")
    distance = means + a.square().sum() + b.square().sum() - 2 * cross
    return max(float(distance), 0.0)  # rounding alone makes it negative


def _factor(features: Tensor) -> Tensor:
    """A (≤ features, features) with aᵀa the covariance of (items, features)."""
    a = (features - features.mean(0)) / math.sqrt(len(features) - 1)
    return torch.linalg.qr(a, mode="r").R if len(a) > a.shape[1] else a


def _kernel(real: Tensor, generated: Tensor, seed: int) -> float:
    size = min(len(real), len(generated), SUBSET)
    # one subset of everything is the whole estimator; else the usual hundred
    subsets = 1 if size == len(real) == len(generated) else 100
    with warnings.catch_warnings(), torch.random.fork_rng([]):
        warnings.filterwarnings("ignore", ".*will save all extracted features.*")
        torch.manual_seed(seed)
        metric = KernelInceptionDistance(
            feature=_Features(real.shape[1]), subsets=subsets, subset_size=size
        )
        metric.update(real, real=True)
        metric.update(generated, real=False)
        return float(metric.compute()[0])


def _score(logits: Tensor, seed: int) -> float:
    with warnings.catch_warnings(), torch.random.fork_rng([]):
        # one split has no deviation, and none is used
        warnings.filterwarnings("ignore", ".*(std|will save all extracted).*")
        metric = InceptionScore(feature=_Features(logits.shape[1]), splits=1)
        metric.update(logits)
        return float(metric.compute()[0])


def _two_samples(
    distance: Callable[[Tensor, Tensor, int], float],
    name: str,
    real: Images,
    generated: Images,
    network: nn.Module,
    network_name: str,
    recordings: tuple[Recordings, Recordings] | None,
    seed: int,
    batch: int,
) -> Measure:
    if min(len(real), len(generated)) < 4:
        raise ValueError(
            f"{len(real)} real and {len(generated)} generated items: "
            "a distance needs at least 4 of each"
        )
    a = _features(network, real, batch)
    b = _features(network, generated, batch)
    value, low, high = jackknife_interval(
        lambda kept: distance(a[kept[0]], b[kept[1]], seed),
        (len(a), len(b)),
        recordings,
        seed=seed,
    )
    over = "items" if recordings is None else "recordings"
    return Measure(
        name,
        value,
        low,
        high,
        len(b),
        counted="generated",
        seed=seed,
        note=f"against {len(a)} real, {a.shape[1]} features; jackknife over {over}",
    ).annotate_network(network, network_name)


def frechet_distance(
    real: Images,
    generated: Images,
    network: nn.Module,
    *,
    network_name: str = "",
    recordings: tuple[Recordings, Recordings] | None = None,
    seed: int = 0,
    batch: int = 64,
) -> Measure:
    """Fréchet distance of the Gaussians fitted to the network's features.

    `network` takes a batch of `real` or `generated` as they are and gives (items,
    features). Biased upwards at small n, the more so the more features: read it
    beside `real_against_real` at the same n. `recordings`: of the real and of the
    generated items. Heusel et al. 2017, eq. 6.
    """
    return _two_samples(
        _frechet,
        "Fréchet distance",
        real,
        generated,
        network,
        network_name,
        recordings,
        seed,
        batch,
    )


def kernel_distance(
    real: Images,
    generated: Images,
    network: nn.Module,
    *,
    network_name: str = "",
    recordings: tuple[Recordings, Recordings] | None = None,
    seed: int = 0,
    batch: int = 64,
) -> Measure:
    """Unbiased squared MMD with the kernel (x·y / features + 1)³; may be negative.

    All items at once up to 1000, mean over 100 subsets beyond or where real and
    generated differ in number. Not multiplied by 1000. Bińkowski et al. 2018.
    """
    return _two_samples(
        _kernel,
        "kernel distance",
        real,
        generated,
        network,
        network_name,
        recordings,
        seed,
        batch,
    )


def real_against_real(
    distance: Callable[..., Measure],
    real: Images,
    network: nn.Module,
    *,
    n: int | None = None,
    network_name: str = "",
    seed: int = 0,
    batch: int = 64,
) -> Measure:
    """The floor: `distance` between two random halves of the real items.

    `n` items a half, as many as were generated; at most (the default) half of them.
    """
    half = len(real) // 2
    n = half if n is None else min(n, half)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(real)))
    first, second = (
        real[part.to(real.device)] for part in (order[:n], order[n : 2 * n])
    )
    floor = distance(
        first, second, network, network_name=network_name, seed=seed, batch=batch
    )
    return floor.annotate(
        name=f"{floor.name}, real against real", counted="real a half"
    )


def inception_score(
    images: Images,
    network: nn.Module,
    *,
    network_name: str = "",
    recordings: Recordings | None = None,
    seed: int = 0,
    batch: int = 64,
) -> Measure:
    """exp(mean KL(p(class | image) || p(class))), from 1 to the number of classes.

    `network` gives logits (items, classes). All items in one split. It rewards
    variety even where every class is wrong: the row beside it is the score of real
    images at the same n. Salimans et al. 2016.
    """
    logits = _features(network, images, batch)
    value, low, high = jackknife_interval(
        lambda kept: _score(logits[kept[0]], seed),
        (len(logits),),
        None if recordings is None else (recordings,),
        seed=seed,
    )
    over = "items" if recordings is None else "recordings"
    return Measure(
        "inception score",
        value,
        low,
        high,
        len(logits),
        counted="images",
        seed=seed,
        note=f"of at most {logits.shape[1]} classes; jackknife over {over}",
    ).annotate_network(network, network_name)
