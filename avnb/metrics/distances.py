"""Fréchet distance, kernel distance and inception score, on any network.

The names FID, KID and IS belong to the Inception network. Here the measure carries the
name and the checksum of the network that was used; `avnb.metrics.inception` has the
ones that may use these names. All sums are in float64.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from avnb.metrics.intervals import Units, jackknife_interval, number_groups
from avnb.metrics.measure import Measure

Images = Shaped[Tensor, "_ ..."]
SUBSET = 1000  # items of a kernel distance's subset, as Bińkowski et al. 2018 take


class _PrecomputedFeatures(nn.Module):
    """Stands in for torchmetrics' network where the features are known already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        # torchmetrics asks for this size. Where it is missing, torchmetrics sends a
        # random picture through the network to learn it.
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


@torch.no_grad()
def extract_features(network: nn.Module, images: Images, batch: int) -> Tensor:
    """Run a network on all items, batch by batch and in eval mode.

    Args:
        network: gives (items, features); its mode is set back afterwards.
        images: the items, as the network takes them.
        batch: how many items go through the network at once.

    Returns:
        (items, features) float64, on the CPU.

    Raises:
        ValueError: the network gives something else than (items, features).
    """
    # A network without weights, such as an identity, works where its input lies.
    state = next(iter(network.parameters()), None)
    device = images.device if state is None else state.device
    # In training mode a batch norm would make the features of an item depend on its
    # batch, and would update the running statistics of the caller's network.
    was_training = network.training
    network.eval()
    try:
        parts = [
            # float64 from here on: the distances are small differences of large sums.
            network(part.to(device)).double().cpu()
            for part in images.split(batch)
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


def compute_frechet(real: Tensor, generated: Tensor, seed: int = 0) -> float:
    """Compute the squared Fréchet distance of two Gaussians, from their samples.

    It is |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½). The trace of (Σ₁Σ₂)^½ equals the nuclear
    norm of a bᵀ, where Σ₁ = aᵀa and Σ₂ = bᵀb. So no matrix of features × features is
    needed. Its eigenvalues, which torchmetrics computes, take minutes for 2048 features
    and are mostly rounding errors where items are fewer than features.

    Args:
        real: (items, features) float64.
        generated: (items, features) float64.
        seed: not used; the other distances need one.
    """
    a, b = _factor_covariance(real), _factor_covariance(generated)
    # The trace of aᵀa is the sum of a's squares.
    means = (real.mean(0) - generated.mean(0)).square().sum()
    # (rows of a, rows of b): each side is at most the smaller of items and features.
    cross = torch.linalg.matrix_norm(a @ b.T, "nuc")
    distance = means + a.square().sum() + b.square().sum() - 2 * cross
    return max(float(distance), 0.0)  # rounding alone makes it negative


def _factor_covariance(features: Tensor) -> Tensor:
    """A matrix a with aᵀa the covariance of (items, features).

    It has as many rows as there are items or features, whichever is less.
    """
    # n - 1: the unbiased covariance, which FID's own code takes too (`numpy.cov`).
    a = (features - features.mean(0)) / math.sqrt(len(features) - 1)
    # The R of a = QR has the same aᵀa and fewer rows.
    return torch.linalg.qr(a, mode="r").R if len(a) > a.shape[1] else a


def _compute_kernel(real: Tensor, generated: Tensor, seed: int) -> float:
    # Here, since torchmetrics takes seconds to import, which most notebooks can save.
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(len(real), len(generated), SUBSET)
    # One subset with everything is the whole estimator; else torchmetrics draws a
    # hundred subsets and takes their mean. It draws from the global generator, hence
    # the fork.
    subsets = 1 if size == len(real) == len(generated) else 100
    with warnings.catch_warnings(), torch.random.fork_rng([]):
        # It says that all features are kept in memory; here they are there anyway.
        warnings.filterwarnings("ignore", ".*will save all extracted features.*")
        # The features lie on the CPU, and so its generator is the one that is drawn
        # from. `torch.manual_seed` would also reset that of every GPU.
        torch.default_generator.manual_seed(seed)
        # Its default kernel is the paper's: degree 3, γ = 1 / features, coefficient 1.
        metric = KernelInceptionDistance(
            feature=_PrecomputedFeatures(real.shape[1]),
            subsets=subsets,
            subset_size=size,
        )
        metric.update(real, real=True)
        metric.update(generated, real=False)
        return float(metric.compute()[0])


def _compute_inception_score(logits: Tensor) -> float:
    from torchmetrics.image.inception import InceptionScore

    # torchmetrics shuffles the items with the global generator, hence the fork. In a
    # single split their order does not matter.
    with warnings.catch_warnings(), torch.random.fork_rng([]):
        # torchmetrics warns that one split has no standard deviation; we use none.
        warnings.filterwarnings("ignore", ".*(std|will save all extracted).*")
        metric = InceptionScore(feature=_PrecomputedFeatures(logits.shape[1]), splits=1)
        metric.update(logits)
        return float(metric.compute()[0])


def _measure_distance(
    distance: Callable[[Tensor, Tensor, int], float],
    name: str,
    real: Images,
    generated: Images,
    network: nn.Module,
    network_name: str,
    units: tuple[Units, Units] | None,
    seed: int,
    batch: int,
) -> Measure:
    if min(len(real), len(generated)) < 4:
        raise ValueError(
            f"{len(real)} real and {len(generated)} generated items: "
            "a distance needs at least 4 of each"
        )
    a = extract_features(network, real, batch)
    b = extract_features(network, generated, batch)

    # The features are computed once; the jackknife only selects among them.
    def measure(kept: list[np.ndarray]) -> float:
        # A single item has no covariance, and NaN says that too little is left.
        few = min(map(len, kept)) < 2
        return math.nan if few else distance(a[kept[0]], b[kept[1]], seed)

    value, low, high = jackknife_interval(measure, (len(a), len(b)), units, seed=seed)
    over = "items" if units is None else "units"
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
    units: tuple[Units, Units] | None = None,
    seed: int = 0,
    batch: int = 64,
) -> Measure:
    """Compute the Fréchet distance of the Gaussians fitted to a network's features.

    It is too large where items are few, the more so the more features there are: read
    it beside `real_against_real` at the same number of items.

    Args:
        real: items as the network takes them.
        generated: items as the network takes them.
        network: gives (items, features).
        network_name: the name that the measure carries.
        units: the unit of each real and of each generated item, for the
            interval.
        seed: of the jackknife.
        batch: how many items go through the network at once.

    Raises:
        ValueError: there are fewer than 4 items of a kind.

    Source: Heusel et al. 2017, Eq. 6.
    """
    return _measure_distance(
        compute_frechet,
        "Fréchet distance",
        real,
        generated,
        network,
        network_name,
        units,
        seed,
        batch,
    )


def kernel_distance(
    real: Images,
    generated: Images,
    network: nn.Module,
    *,
    network_name: str = "",
    units: tuple[Units, Units] | None = None,
    seed: int = 0,
    batch: int = 64,
) -> Measure:
    """Compute the squared MMD of a network's features with a cubic kernel.

    The kernel is (x·y / features + 1)³. The estimate has no bias, so it may be
    negative. It is not multiplied by 1000, as some papers do. Where both samples have
    the same number of items, at most 1000, all are used at once; else the value is a
    mean over 100 subsets.

    Args:
        real: items as the network takes them.
        generated: items as the network takes them.
        network: gives (items, features).
        network_name: the name that the measure carries.
        units: the unit of each real and of each generated item, for the
            interval.
        seed: of the subsets and of the jackknife.
        batch: how many items go through the network at once.

    Raises:
        ValueError: there are fewer than 4 items of a kind.

    Source: Bińkowski et al. 2018, Demystifying MMD GANs.
    """
    return _measure_distance(
        _compute_kernel,
        "kernel distance",
        real,
        generated,
        network,
        network_name,
        units,
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
    units: Units | None = None,
    seed: int = 0,
    batch: int = 64,
) -> Measure:
    """Compute the distance between two random halves of the real items.

    This is the floor: no generator can be expected to come nearer.

    Args:
        distance: `frechet_distance`, `kernel_distance`, `fid`, `kid` or `fvd`.
        real: items as the distance takes them.
        network: as the distance takes it.
        n: items of each half; give as many as were generated. At most, and by default,
            half of all.
        network_name: the name that the measure carries; the distance's own by default.
        units: the unit of each item. Then no unit is in both halves, as
            none is in both splits, and the interval is over units.
        seed: of the halves.
        batch: how many items go through the network at once.

    Raises:
        ValueError: the units are not one an item, or there is only one.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(real))
    if units is None:
        inside = np.arange(len(real)) < len(real) // 2
    else:
        inside = _halve_units(units, len(real), random)[order]
    # Halves that share no item: an item that is in both would lower the floor.
    size = min(len(real) // 2 if n is None else n, inside.sum(), (~inside).sum())
    halves = [order[inside][:size], order[~inside][:size]]
    how: dict[str, Any] = {"seed": seed, "batch": batch}
    # An empty name would replace the one that `fid`, `kid` and `fvd` have.
    if network_name:
        how["network_name"] = network_name
    if units is not None:
        how["units"] = tuple([units[i] for i in half] for half in halves)
    first, second = (real[torch.from_numpy(h).to(real.device)] for h in halves)
    floor = distance(first, second, network, **how)
    return floor.annotate(
        name=f"{floor.name}, real against real", counted="real a half"
    )


def _halve_units(units: Units, count: int, random: np.random.Generator) -> np.ndarray:
    """Which items (count,) are in the first half, so that units stay whole."""
    number = number_groups(units, count)
    sizes = np.bincount(number)
    if len(sizes) < 2:
        raise ValueError("one unit cannot be halved: give at least two")
    first: set[int] = set()
    held = [0, 0]
    # The largest go first and each to the smaller half, so that both come out alike;
    # those of equal size are in random order.
    for one in sorted(random.permutation(len(sizes)), key=lambda i: -sizes[i]):
        half = int(held[1] < held[0])
        held[half] += sizes[one]
        first |= set() if half else {int(one)}
    return np.isin(number, list(first))


def inception_score(
    images: Images,
    network: nn.Module,
    *,
    network_name: str = "",
    units: Units | None = None,
    seed: int = 0,
    batch: int = 64,
) -> Measure:
    """Compute the inception score: exp(mean KL(p(class | image) ‖ p(class))).

    It lies between 1 and the number of classes. All items are one split. The score
    rewards variety even where every class is wrong, so read it beside the score of as
    many real images.

    Args:
        images: items as the network takes them.
        network: gives logits (items, classes).
        network_name: the name that the measure carries.
        units: the unit of each image, for the interval.
        seed: of the jackknife.
        batch: how many items go through the network at once.

    Source: Salimans et al. 2016, Sec. 4.
    """
    logits = extract_features(network, images, batch)
    value, low, high = jackknife_interval(
        lambda kept: _compute_inception_score(logits[kept[0]]),
        (len(logits),),
        None if units is None else (units,),
        seed=seed,
    )
    over = "items" if units is None else "units"
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
