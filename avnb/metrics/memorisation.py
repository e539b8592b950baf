"""Is what was generated copied, alike, or spread as the real items are?

All of it is asked of feature vectors (items, features) of one network, such as a
classifier without its last layer. A generator that copies its training data has the
best distances and the best accuracies; only these numbers show it.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64, Integer
from torch import Tensor

from avnb.metrics.accuracy import mean_score
from avnb.metrics.intervals import Units, jackknife_interval, number_groups
from avnb.metrics.measure import Measure

Features = Float[Tensor, "_ _"]  # items, features
NEIGHBOURS = 3  # k of Kynkäänniemi et al. 2019
BLOCK = 256  # items whose distances to all others are held at once


def measure_distances(
    items: Float[Tensor, "n d"], others: Float[Tensor, "m d"]
) -> Float64[Tensor, "n m"]:
    """Compute all Euclidean distances, exactly 0 between equal items."""
    # The fast way by a matrix product leaves rounding errors where items are equal.
    mode = "donot_use_mm_for_euclid_dist"
    return torch.cdist(items.double(), others.double(), compute_mode=mode)


def find_nearest(
    items: Float[Tensor, "n d"], training: Float[Tensor, "m d"]
) -> tuple[Float64[Tensor, " n"], Int64[Tensor, " n"]]:
    """Find the nearest training item of each item.

    Returns:
        The distances, and the indices of the training items.
    """
    parts = [measure_distances(part, training).min(1) for part in items.split(BLOCK)]
    return torch.cat([p.values for p in parts]), torch.cat([p.indices for p in parts])


def measure_own_distances(
    items: Features, units: Units | None = None, *, k: int = 1
) -> Float64[Tensor, " _"]:
    """Measure the distance of each item to its k-th nearest other item.

    Args:
        items: feature vectors.
        units: the unit of each item. Only items of other units count then.
        k: which neighbour.

    Raises:
        ValueError: an item has fewer than k others.
    """
    # Without units each item is one of its own.
    number = torch.from_numpy(
        np.arange(len(items)) if units is None else number_groups(units, len(items))
    ).to(items.device)
    if int((number != number.mode().values).sum()) < k:
        raise ValueError(f"{len(items)} items: one has fewer than {k} others")
    blocks = measure_to_others(items, number)
    return torch.cat([block.kthvalue(k, 1).values for block in blocks])


def measure_to_others(
    items: Features, number: Int64[Tensor, " _"]
) -> Iterator[Float64[Tensor, "block _"]]:
    """Measure the distances to the items of other units, infinite to those of its own.

    Args:
        items: feature vectors.
        number: the unit's number of each item.

    Yields:
        The distances of the next `BLOCK` items to all items.
    """
    for part, own in zip(items.split(BLOCK), number.split(BLOCK), strict=True):
        far = measure_distances(part, items)
        yield far.where(own[:, None] != number, torch.inf)


def authenticity(
    generated: Float[Tensor, "n d"],
    training: Float[Tensor, "m d"],
    units: Units | None = None,
    *,
    training_units: Units | None = None,
    name: str = "authenticity",
    seed: int = 0,
) -> Measure:
    """Compute the share of generated items that are no copies of training items.

    An item is a copy where it is as near to its nearest training item as that one is to
    its own nearest neighbour in the training data, or nearer. A copier scores 0. Fresh
    independent items of the training distribution score 1/3 in one dimension, 0.38 in
    two, and up to 1/2 in many: these are the chances not to be mutual neighbours.

    Args:
        generated: features of what was generated.
        training: features of the training data.
        units: the unit of each generated item, for the interval.
        training_units: the unit of each training item. The neighbour of a training item
            is then one of another unit. Neighbouring moments of one video are almost
            equal, so that without this hardly anything counts as a copy.
        name: of the measure.
        seed: of the bootstrap.

    Source:
        Alaa et al. 2022, How Faithful is your Synthetic Data?, Sec. 3.3.
    """
    distance, index = find_nearest(generated, training)
    # Strictly: where the training data hold an item twice, its copy has distance 0 as
    # its neighbour has, and is a copy.
    authentic = distance > measure_own_distances(training, training_units)[index]
    found = mean_score(_to_numpy(authentic), units, name=name, seed=seed)
    return found.annotate(
        counted="generated", note=f"against {len(training)} training; {found.note}"
    )


def lie_among(
    items: Float[Tensor, "n d"],
    reference: Float[Tensor, "m d"],
    k: int = NEIGHBOURS,
) -> Bool[Tensor, " n"]:
    """Tell which items lie in the manifold of the reference.

    The manifold is the union of balls around the reference items, each as large as the
    distance to its k-th nearest other item.
    """
    radius = measure_own_distances(reference, k=k)
    parts = [
        (measure_distances(part, reference) <= radius).any(1)
        for part in items.split(BLOCK)
    ]
    return torch.cat(parts)


def _measure_inside(
    items: Features,
    reference: Features,
    units: Units | None,
    k: int,
    name: str,
    seed: int,
) -> Measure:
    """The share of the items in the manifold of the reference; units of the items."""
    inside = _to_numpy(lie_among(items, reference, k))
    return mean_score(inside, units, name=name, seed=seed)


def manifold_precision(
    generated: Float[Tensor, "n d"],
    real: Float[Tensor, "m d"],
    units: Units | None = None,
    *,
    k: int = NEIGHBOURS,
    name: str = "precision",
    seed: int = 0,
) -> Measure:
    """Compute the share of generated items in the manifold of the real ones.

    Noise scores 0. A copier of one real item scores 1: read it beside the recall.

    Args:
        generated: features of what was generated.
        real: features of as many real items; both numbers change the value.
        units: the unit of each generated item, for the interval.
        k: see `lie_among`.
        name: of the measure.
        seed: of the bootstrap.

    Source:
        Kynkäänniemi et al. 2019, Improved Precision and Recall, Eq. 1 to 3.
    """
    found = _measure_inside(generated, real, units, k, name, seed)
    return found.annotate(
        counted="generated", note=f"{len(real)} real, k = {k}; {found.note}"
    )


def manifold_recall(
    generated: Float[Tensor, "n d"],
    real: Float[Tensor, "m d"],
    units: Units | None = None,
    *,
    k: int = NEIGHBOURS,
    name: str = "recall",
    seed: int = 0,
) -> Measure:
    """Compute the share of real items in the manifold of the generated ones.

    One picture, repeated, scores about 0.

    Args:
        generated: features of what was generated.
        real: features of as many real items.
        units: the unit of each real item, for the interval.
        k: see `lie_among`.
        name: of the measure.
        seed: of the bootstrap.

    Source:
        Kynkäänniemi et al. 2019, Improved Precision and Recall, Eq. 1 to 3.
    """
    found = _measure_inside(real, generated, units, k, name, seed)
    return found.annotate(
        counted="real", note=f"{len(generated)} generated, k = {k}; {found.note}"
    )


def measure_spread(items: Features, labels: Integer[Tensor, " _"]) -> float:
    """Compute the mean distance of two different items of a class, over all classes.

    Each class with two items or more counts once.

    Raises:
        ValueError: no class has two items.
    """
    spreads = []
    for label in labels.unique():
        of = items[labels == label]
        if (n := len(of)) > 1:
            total = sum(float(measure_distances(b, of).sum()) for b in of.split(BLOCK))
            spreads.append(total / (n * (n - 1)))
    if not spreads:
        raise ValueError("no class has two items, so there is no spread")
    return float(np.mean(spreads))


def diversity(
    generated: Float[Tensor, "n d"],
    labels: Integer[Tensor, " n"],
    real: Float[Tensor, "m d"],
    real_labels: Integer[Tensor, " m"],
    units: tuple[Units, Units] | None = None,
    *,
    name: str = "diversity",
    seed: int = 0,
) -> Measure:
    """Compute how far apart the generated items of a class are, as the real ones are.

    It is `measure_spread` of the generated items over that of the real ones: 1 is as
    varied as the real ones, 0 is one item a class. Noise exceeds 1.

    Args:
        generated: features of what was generated.
        labels: the class that each was asked for.
        real: features of real items.
        real_labels: their classes.
        units: the unit of each generated and of each real item, for the interval.
        name: of the measure.
        seed: of the jackknife.
    """

    def statistic(kept: list[np.ndarray]) -> float:
        a, b = (torch.from_numpy(part) for part in kept)
        try:
            return measure_spread(generated[a], labels[a]) / measure_spread(
                real[b], real_labels[b]
            )
        except ValueError:  # what is left has no class with two items
            return np.nan

    value, low, high = jackknife_interval(
        statistic, (len(generated), len(real)), units, seed=seed
    )
    over = "items" if units is None else "units"
    note = f"of the spread of {len(real)} real; jackknife over {over}"
    return Measure(
        name, value, low, high, len(generated), counted="generated", note=note
    )


def class_shares(
    labels: Integer[Tensor, " _"],
    classes: Sequence[str],
    units: Units | None = None,
    *,
    seed: int = 0,
) -> list[Measure]:
    """Compute the share of each class among items: the histogram of their classes.

    Args:
        labels: the class of each item, such as a classifier names it.
        classes: the names of all classes.
        units: the unit of each item, for the intervals.
        seed: of the bootstraps.
    """
    return [
        mean_score(_to_numpy(labels == k), units, name=name, seed=seed)
        for k, name in enumerate(classes)
    ]


def _to_numpy(answers: Bool[Tensor, " _"]) -> np.ndarray:
    return answers.double().cpu().numpy()
