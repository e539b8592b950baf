"""Retrieval by distance: the mean reciprocal rank (MRR).

Source: Zhu et al. 2021, Sec. 3.3 and Table 2; the protocol is Arandjelović and
Zisserman's (2018).
"""

from collections.abc import Hashable, Sequence

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from avnb.metrics.accuracy import mean_score
from avnb.metrics.measure import Measure

Counts = Int64[Tensor, "*draws queries"]


def expected_reciprocal_rank(
    before: Counts, wrong: Counts, right: Counts
) -> Float64[Tensor, "*draws queries"]:
    """Compute E[1 / rank of the first right item] when equal items are in random order.

    The first of r right items among w wrong ones is at place j of the group with the
    probability p_0 = r / (w + r), p_{j+1} = p_j (w − j) / (w + r − 1 − j).

    Args:
        before: how many items are nearer than the group; all of them are wrong.
        wrong: w, the number of wrong items in the group.
        right: r, the number of right items in the group.

    Returns:
        The expected value of each query; NaN where r is 0.
    """
    # j goes from 0 to w: after all w wrong items the next one is right.
    places = torch.arange(int(wrong.max()) + 1, device=wrong.device)
    w, r = wrong[..., None], right[..., None]
    # the factors of p; the clamps only matter beyond the last possible place
    left = (w - places[:-1]).clamp(min=0) / (w + r - 1 - places[:-1]).clamp(min=1)
    first = r / (w + r).clamp(min=1)
    p = torch.cat([first, left.double()], dim=-1).double().cumprod(-1)
    # (…, queries, places): an item at place j of the group has rank before + 1 + j.
    found = (p / (before[..., None] + 1 + places)).sum(-1)
    return found.where(right > 0, torch.nan)


def reciprocal_ranks(
    distance: Float[Tensor, "*draws queries items"],
    right: Bool[Tensor, "queries items"],
    allowed: Bool[Tensor, "queries items"] | None = None,
) -> Float64[Tensor, "*draws queries"]:
    """Compute 1 / rank of the nearest right item of each query.

    Where items are equally near, the value is the expected one over all their orders.
    So a distance without information scores as a random ranking does.

    Args:
        distance: of each query to each item.
        right: which items are right for which query.
        allowed: which items a query may find at all; by default all of them.

    Returns:
        NaN where no item is right.
    """
    if allowed is None:
        allowed = torch.ones_like(right)
    right = right & allowed
    # The nearest right item decides; what is at exactly its distance is tied with it.
    near = distance.where(right, torch.inf).min(-1, keepdim=True).values
    tied = distance == near
    before = ((distance < near) & allowed).sum(-1)
    wrong = (tied & allowed & ~right).sum(-1)
    return expected_reciprocal_rank(before, wrong, (tied & right).sum(-1))


def mean_reciprocal_rank(
    distance: Float[Tensor, "*draws items items"],
    labels: Int64[Tensor, " items"],
    units: Sequence[Hashable] | None = None,
    *,
    intra: bool,
    name: str = "MRR",
    seed: int = 0,
) -> Measure:
    """Compute how early the first item of the query's own class comes, on average.

    Args:
        distance: of each query (rows) to each item. Draws (other seconds of the same
            videos) are averaged query by query.
        labels: the class of each item.
        units: the unit of each item, for the interval.
        intra: whether queries and items are of one modality. Then a query does not find
            itself, and a query whose class has no other item is left out; the note
            counts these.
        name: of the measure.
        seed: of the bootstrap.

    Raises:
        ValueError: a distance is not finite, or no query can be answered.
    """
    if not distance.isfinite().all():
        raise ValueError(f"{name}: a distance is not finite; look at the features")
    right, allowed = _find_pairs(labels, intra)
    values = reciprocal_ranks(distance, right, allowed)
    # (draws…, queries) → (queries,)
    values = values.flatten(0, -2).mean(0) if values.ndim > 1 else values
    asked = ~values.isnan().cpu()
    if not asked.any():
        raise ValueError(f"{name}: no class has two items, so nothing can be found")
    if units is None:
        units = range(len(asked))
    kept = [r for r, use in zip(units, asked.tolist(), strict=True) if use]
    found = mean_score(values.cpu()[asked].numpy(), kept, name=name, seed=seed)
    # No unit: a reciprocal rank is no share of anything, to be printed in per cent.
    left = f"{int((~asked).sum())} queries without an answer left out"
    return found.annotate(counted="queries", unit="", note=f"{found.note}; {left}")


def random_mrr(labels: Int64[Tensor, " items"], *, intra: bool) -> Measure:
    """Compute the expected MRR of a random ranking, exactly.

    Args:
        labels: the class of each item.
        intra: see `mean_reciprocal_rank`.
    """
    right, allowed = _find_pairs(labels, intra)
    r, w = right.sum(1), (allowed & ~right).sum(1)
    values = expected_reciprocal_rank(torch.zeros_like(r), w, r)
    value = float(values[r > 0].mean())
    note = f"a random ranking of {len(labels)} items"
    return Measure("chance", value, value, value, 0, note=note)


def _find_pairs(
    labels: Int64[Tensor, " items"], intra: bool
) -> tuple[Bool[Tensor, "items items"], Bool[Tensor, "items items"]]:
    """(items, items): which are right, and which may be found."""
    allowed = torch.ones(len(labels), len(labels), dtype=torch.bool)
    if intra:  # a query is nearest to itself, which would make every rank 1
        allowed.fill_diagonal_(False)
    allowed = allowed.to(labels.device)
    return (labels[:, None] == labels) & allowed, allowed
