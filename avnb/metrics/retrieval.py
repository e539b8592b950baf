"""Retrieval by distance: the mean reciprocal rank, of rankings that are right.

Zhu et al. 2021, Sec. 3.3, Table 2; the protocol is Arandjelović and Zisserman's (2018).
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
    """E[1 / rank of the first right item] when a group is in random order.

    `before` items come first and are wrong; then `wrong` and `right` items mixed. The
    first right one is at place j of the group with the probability
    p_0 = r / (w + r), p_{j+1} = p_j (w - j) / (w + r - 1 - j). NaN where r is 0.
    """
    places = torch.arange(int(wrong.max()) + 1, device=wrong.device)
    w, r = wrong[..., None], right[..., None]
    left = (w - places[:-1]).clamp(min=0) / (w + r - 1 - places[:-1]).clamp(min=1)
    first = r / (w + r).clamp(min=1)
    p = torch.cat([first, left.double()], dim=-1).double().cumprod(-1)
    found = (p / (before[..., None] + 1 + places)).sum(-1)
    return found.where(right > 0, torch.nan)


def reciprocal_ranks(
    distance: Float[Tensor, "*draws queries items"],
    right: Bool[Tensor, "queries items"],
    allowed: Bool[Tensor, "queries items"] | None = None,
) -> Float64[Tensor, "*draws queries"]:
    """1 / rank of the nearest right item of each query; NaN where none is right.

    Items that are equally near are taken in random order, and the expected value is
    given: a distance that says nothing scores as a random ranking. `allowed`: which
    items a query may find at all; by default every one.
    """
    if allowed is None:
        allowed = torch.ones_like(right)
    right = right & allowed
    near = distance.where(right, torch.inf).min(-1, keepdim=True).values
    tied = distance == near
    before = ((distance < near) & allowed).sum(-1)
    wrong = (tied & allowed & ~right).sum(-1)
    return expected_reciprocal_rank(before, wrong, (tied & right).sum(-1))


def mean_reciprocal_rank(
    distance: Float[Tensor, "*draws items items"],
    labels: Int64[Tensor, " items"],
    recordings: Sequence[Hashable] | None = None,
    *,
    intra: bool,
    name: str = "MRR",
    seed: int = 0,
) -> Measure:
    """How early the first item of the query's own class comes, on average.

    Args:
        distance: of each query (rows) to each item; draws (other seconds of the same
            videos) are averaged query by query.
        intra: queries and items are of one modality: the query itself is no item. A
            query whose class has no other item is not asked; the note counts them.
        recordings: whose videos the items are; drawn again for the interval.

    Raises:
        ValueError: a distance that is not finite, or no query that can be answered.
    """
    if not distance.isfinite().all():
        raise ValueError(f"{name}: a distance is not finite; look at the features")
    right, allowed = _pairs(labels, intra)
    values = reciprocal_ranks(distance, right, allowed)
    values = values.flatten(0, -2).mean(0) if values.ndim > 1 else values
    asked = ~values.isnan().cpu()
    if not asked.any():
        raise ValueError(f"{name}: no class has two items, so nothing can be found")
    if recordings is None:
        recordings = range(len(asked))
    kept = [r for r, use in zip(recordings, asked.tolist(), strict=True) if use]
    found = mean_score(values.cpu()[asked].numpy(), kept, name=name, seed=seed)
    left = f"{int((~asked).sum())} queries without an answer left out"
    return found.annotate(counted="queries", unit="", note=f"{found.note}; {left}")


def random_mrr(labels: Int64[Tensor, " items"], *, intra: bool) -> Measure:
    """The expected MRR of a ranking at random, exactly, from the classes' sizes."""
    right, allowed = _pairs(labels, intra)
    r, w = right.sum(1), (allowed & ~right).sum(1)
    values = expected_reciprocal_rank(torch.zeros_like(r), w, r)
    value = float(values[r > 0].mean())
    note = f"a random ranking of {len(labels)} items"
    return Measure("chance", value, value, value, 0, note=note)


def _pairs(
    labels: Int64[Tensor, " items"], intra: bool
) -> tuple[Bool[Tensor, "items items"], Bool[Tensor, "items items"]]:
    """(items, items): whether right, whether there to be found."""
    allowed = torch.ones(len(labels), len(labels), dtype=torch.bool)
    if intra:
        allowed.fill_diagonal_(False)
    allowed = allowed.to(labels.device)
    return (labels[:, None] == labels) & allowed, allowed
