"""Copies, spread and trivial answers: against plain loops and constructed cheaters."""

import math

import pytest
import torch
from torch import Tensor

from avnb import metrics
from avnb.metrics import memorisation


def draw(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def distance(a: Tensor, b: Tensor) -> float:
    return math.dist(a.tolist(), b.tolist())


TRAINING, REAL, MADE = draw(40, 3, 0), draw(30, 3, 1), draw(25, 3, 2)


def test_the_nearest_training_item_by_a_loop() -> None:
    far, index = metrics.find_nearest(MADE, TRAINING)
    for k, item in enumerate(MADE):
        each = [distance(item, other) for other in TRAINING]
        assert float(far[k]) == pytest.approx(min(each))
        assert int(index[k]) == each.index(min(each))


def test_blocks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = metrics.manifold_precision(MADE, REAL), metrics.authenticity(MADE, TRAINING)
    own = memorisation.measure_own_distances(REAL, k=2)
    monkeypatch.setattr(memorisation, "BLOCK", 7)
    parts = metrics.manifold_precision(MADE, REAL), metrics.authenticity(MADE, TRAINING)
    assert parts == whole
    assert torch.equal(memorisation.measure_own_distances(REAL, k=2), own)


@pytest.mark.parametrize("units", [None, [f"player {k // 8}" for k in range(40)]])
def test_authenticity_by_a_loop(units: list[str] | None) -> None:
    authentic = 0
    for item in MADE:
        each = [distance(item, other) for other in TRAINING]
        near = each.index(min(each))
        own = [
            distance(TRAINING[near], other)
            for k, other in enumerate(TRAINING)
            if (k != near if units is None else units[k] != units[near])
        ]
        authentic += min(each) > min(own)
    found = metrics.authenticity(MADE, TRAINING, training_units=units)
    assert found.value == pytest.approx(authentic / len(MADE))
    assert 0 < authentic < len(MADE)


def test_a_copier_is_found_even_where_the_training_data_repeat_themselves() -> None:
    twice = TRAINING.repeat(2, 1)
    for training in (TRAINING, twice):
        assert metrics.authenticity(training[:20], training).value == 0
    near = TRAINING + 1e-3
    assert metrics.authenticity(near, TRAINING).value == 0
    assert metrics.authenticity(TRAINING + 100, TRAINING).value == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dimensions", "mutual"),
    # The chance that a point's neighbour has it as its neighbour, from the volume of
    # two balls that pass through each other's centres (Clark and Evans 1955; Cox 1981).
    [(1, 2 / 3), (2, 1 / (4 / 3 + math.sqrt(3) / (2 * math.pi))), (3, 16 / 27)],
)
def test_fresh_items_are_authentic_as_often_as_they_are_no_mutual_neighbours(
    dimensions: int, mutual: float
) -> None:
    generator = torch.Generator().manual_seed(dimensions)
    training = torch.rand(6000, dimensions, generator=generator)
    fresh = torch.rand(3000, dimensions, generator=generator)
    found = metrics.authenticity(fresh, training)
    assert found.value == pytest.approx(1 - mutual, abs=0.03)


def test_a_near_copy_of_one_video_counts_only_against_other_units() -> None:
    """Moments of one video are almost equal, and hide a copy among them."""
    players = draw(6, 4, 3).repeat_interleave(10, 0)
    training = players + 0.003 * draw(60, 4, 4)
    units = [f"player {k // 10}" for k in range(60)]
    copies = players[::10] + 0.05 * draw(6, 4, 5)
    assert metrics.authenticity(copies, training).value == 1
    found = metrics.authenticity(copies, training, training_units=units)
    assert found.value == 0


def test_precision_and_recall_by_a_loop() -> None:
    for k in (1, 3):
        radius = []
        for i, item in enumerate(REAL):
            each = sorted(distance(item, o) for j, o in enumerate(REAL) if j != i)
            radius.append(each[k - 1])
        inside = [
            any(
                distance(item, other) <= r
                for other, r in zip(REAL, radius, strict=True)
            )
            for item in MADE
        ]
        value = sum(inside) / len(MADE)
        assert metrics.manifold_precision(MADE, REAL, k=k).value == pytest.approx(value)
        # Recall is the same with the roles exchanged.
        assert metrics.manifold_recall(REAL, MADE, k=k).value == pytest.approx(value)


def test_cheaters_are_seen() -> None:
    real, fresh = draw(200, 4, 6), draw(200, 4, 7)
    one = real[:1].expand(200, -1) + 1e-4 * draw(200, 4, 8)
    noise = 30 * draw(200, 4, 9)
    fair = (metrics.manifold_precision, metrics.manifold_recall)
    assert [f(fresh, real).value > 0.8 for f in fair] == [True, True]
    assert metrics.manifold_precision(one, real).value > 0.99
    assert metrics.manifold_recall(one, real).value < 0.02
    assert metrics.manifold_precision(noise, real).value < 0.05
    labels = torch.zeros(200, dtype=torch.long)
    spread = {
        name: metrics.diversity(x, labels, real, labels)
        for name, x in {"one": one, "noise": noise, "fresh": fresh}.items()
    }
    assert spread["one"].value < 1e-3
    assert spread["noise"].value > 10
    assert spread["fresh"].low < 1 < spread["fresh"].high


def test_diversity_by_a_loop_over_the_pairs_of_each_class() -> None:
    labels, real_labels = torch.arange(25) % 3, torch.arange(30) % 3

    def spread(items: Tensor, of: Tensor) -> float:
        means = []
        for label in range(3):
            members = items[of == label]
            each = [
                distance(a, b)
                for i, a in enumerate(members)
                for j, b in enumerate(members)
                if i != j
            ]
            means.append(sum(each) / len(each))
        return sum(means) / 3

    found = metrics.diversity(MADE, labels, REAL, real_labels)
    expected = spread(MADE, labels) / spread(REAL, real_labels)
    assert found.value == pytest.approx(expected)
    assert found.low < found.value < found.high
    # Classes that lie apart do not count as diversity within a class.
    apart = MADE + 100 * labels[:, None]
    assert metrics.diversity(apart, labels, REAL, real_labels).value < 1.5
    with pytest.raises(ValueError, match="no class has two items"):
        memorisation.measure_spread(MADE[:3], torch.arange(3))


def test_class_shares_are_the_histogram() -> None:
    labels = torch.tensor([0, 0, 2, 2, 2, 0, 0, 2])
    units = ["a", "a", "b", "b", "c", "c", "d", "d"]
    rows = metrics.class_shares(labels, ["cello", "drums", "flute"], units)
    assert [row.name for row in rows] == ["cello", "drums", "flute"]
    assert [row.value for row in rows] == [0.5, 0.0, 0.5]
    assert rows[1].high > 0  # four players without drums do not exclude a fifth with
    assert "4" in rows[0].note


def test_too_few_items_are_told() -> None:
    with pytest.raises(ValueError, match="fewer than 3 others"):
        metrics.manifold_precision(MADE, REAL[:3])
    with pytest.raises(ValueError, match="fewer than 1 others"):
        metrics.authenticity(MADE, TRAINING, training_units=["one"] * 40)


# --- Answers without a generator


def test_retrieval_by_class_shows_the_class_that_was_named() -> None:
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    named = torch.tensor([2, 2, 0, 1, 0, 0, 0, 0])
    index = metrics.retrieve_by_class(named, labels, seed=3)
    assert torch.equal(labels[index], named)
    assert len(set(index[named == 0].tolist())) > 1  # not always the first
    again = metrics.retrieve_by_class(named, labels, seed=3)
    assert torch.equal(index, again)
    with pytest.raises(ValueError, match="class 7"):
        metrics.retrieve_by_class(torch.tensor([7]), labels)


def test_retrieval_by_input_finds_the_nearest_input() -> None:
    index = metrics.retrieve_nearest(TRAINING[[5, 3, 9]] + 1e-4, TRAINING)
    assert index.tolist() == [5, 3, 9]


def test_class_means_leave_out_what_is_unknown() -> None:
    poses = torch.tensor([[1.0, 2.0], [3.0, float("nan")], [10.0, 20.0]])
    found = metrics.average_class(
        torch.tensor([0, 1, 0]), poses, torch.tensor([0, 0, 1])
    )
    assert found.tolist() == [[2.0, 2.0], [10.0, 20.0], [2.0, 2.0]]
    bytes_ = torch.tensor([[0], [255]], dtype=torch.uint8)
    labels = torch.tensor([0, 0])
    assert float(metrics.average_class(labels[:1], bytes_, labels)) == 127.5
    with pytest.raises(ValueError, match="class 4"):
        metrics.average_class(torch.tensor([4]), poses, torch.tensor([0, 0, 1]))


def test_a_shuffle_within_recordings_moves_every_item_and_stays_inside() -> None:
    groups = ["a"] * 5 + ["b"] * 2 + ["alone"] + ["a"] * 2
    items, partners = metrics.shuffle_within(groups, seed=1)
    assert items.tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert sorted(partners.tolist()) == items.tolist()
    for item, partner in zip(items.tolist(), partners.tolist(), strict=True):
        assert item != partner
        assert groups[item] == groups[partner]
    assert metrics.shuffle_within([])[0].tolist() == []
