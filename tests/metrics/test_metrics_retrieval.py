"""Reciprocal ranks against a plain loop, the random ranking against simulation."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from avnb.metrics import mean_reciprocal_rank, random_mrr, reciprocal_ranks
from avnb.metrics.retrieval import expected_reciprocal_rank

RANDOM = np.random.default_rng(0)


def plain(distance: Tensor, labels: Tensor, intra: bool) -> list[float]:
    """1 / rank of the first item of the query's class, an item at a time."""
    found = []
    for q, row in enumerate(distance.tolist()):
        items = [i for i in range(len(row)) if not (intra and i == q)]
        items.sort(key=row.__getitem__)
        ranks = [k for k, i in enumerate(items, 1) if labels[i] == labels[q]]
        found.append(1 / ranks[0] if ranks else float("nan"))
    return found


@pytest.mark.parametrize("intra", [False, True])
def test_ranks_are_the_plain_loops(intra: bool) -> None:
    labels = torch.from_numpy(RANDOM.integers(0, 6, 50))
    distance = torch.from_numpy(RANDOM.random((50, 50)))
    found = mean_reciprocal_rank(distance, labels, intra=intra)
    assert found.value == pytest.approx(np.nanmean(plain(distance, labels, intra)))
    assert found.low < found.value < found.high
    assert found.n == 50


def test_a_query_without_an_answer_is_counted_not_scored() -> None:
    labels = torch.tensor([0, 0, 1, 2, 2])
    distance = torch.from_numpy(RANDOM.random((5, 5)))
    intra = mean_reciprocal_rank(distance, labels, intra=True)
    assert intra.n == 4
    assert "1 queries without an answer left out" in intra.note
    assert intra.value == pytest.approx(np.nanmean(plain(distance, labels, True)))
    assert mean_reciprocal_rank(distance, labels, intra=False).n == 5
    with pytest.raises(ValueError, match="A-A: no class has two items"):
        mean_reciprocal_rank(distance, torch.arange(5), intra=True, name="A-A")


@pytest.mark.parametrize(
    ("before", "wrong", "right"), [(0, 3, 2), (2, 1, 4), (1, 5, 1)]
)
def test_ties_are_the_mean_over_all_orders(before: int, wrong: int, right: int) -> None:
    group = [False] * wrong + [True] * right
    each = [
        1 / (before + 1 + order.index(True)) for order in itertools.permutations(group)
    ]
    sizes = (torch.tensor([size]) for size in (before, wrong, right))
    assert float(expected_reciprocal_rank(*sizes)) == pytest.approx(np.mean(each))


def test_ties_among_others() -> None:
    distance = torch.tensor([[0.1, 0.5, 0.5, 0.5, 0.9]])
    right = torch.tensor([[False, True, False, True, True]])
    # one before; of the three alike the first right one is 1st in 2/3, 2nd in 1/3
    wanted = 2 / 3 / 2 + 1 / 3 / 3
    assert float(reciprocal_ranks(distance, right)) == pytest.approx(wanted)
    none = torch.zeros_like(right)
    assert reciprocal_ranks(distance, none).isnan().all()


@pytest.mark.parametrize("intra", [False, True])
def test_the_random_ranking_is_what_a_simulation_gives(intra: bool) -> None:
    labels = torch.from_numpy(RANDOM.choice(8, 60, p=np.arange(1, 9) / 36))
    chance = random_mrr(labels, intra=intra).value
    distance = torch.from_numpy(RANDOM.random((300, 60, 60)))
    simulated = mean_reciprocal_rank(distance, labels, intra=intra).value
    assert simulated == pytest.approx(chance, abs=0.005)
    nothing = mean_reciprocal_rank(torch.ones(60, 60), labels, intra=intra)
    assert nothing.value == pytest.approx(chance)


def test_two_classes_of_one_item_by_hand() -> None:
    pair = torch.tensor([0, 1])
    assert random_mrr(pair, intra=False).value == pytest.approx((1 + 1 / 2) / 2)


def test_draws_are_averaged_by_query() -> None:
    labels = torch.from_numpy(RANDOM.integers(0, 4, 30))
    draws = torch.from_numpy(RANDOM.random((7, 30, 30)))
    found = mean_reciprocal_rank(draws, labels, intra=True)
    alone = [mean_reciprocal_rank(one, labels, intra=True) for one in draws]
    assert found.value == pytest.approx(np.mean([one.value for one in alone]))
    assert found.n == 30
    widths = [one.high - one.low for one in alone]
    assert found.high - found.low < min(widths)


def test_what_is_not_finite_is_named() -> None:
    distance = torch.full((3, 3), torch.inf)
    with pytest.raises(ValueError, match="V-A: a distance is not finite"):
        mean_reciprocal_rank(distance, torch.zeros(3).long(), intra=False, name="V-A")
