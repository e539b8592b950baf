"""Localisation against a plain loop, constant answers against AVE's own figures."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avnb.metrics import (
    constant_answers,
    event_spans,
    is_localisable,
    localisation,
    localise,
    window_costs,
)
from avnb.metrics.localisation import localisation_scores

T = 10


def events(spans: list[tuple[int, int]], seconds: int = T) -> Tensor:
    """(start, end) of each video, end exclusive → (videos, seconds)."""
    grid = torch.zeros(len(spans), seconds, dtype=torch.bool)
    for row, (start, end) in zip(grid, spans, strict=True):
        row[start:end] = True
    return grid


def random_events(count: int, seed: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    ends = torch.rand(count, T + 1, generator=random).argsort(1)[:, :2].sort(1).values
    return events([tuple(span) for span in ends.tolist()])


def plain_costs(d: Tensor, s: int, length: int, circular: bool) -> list[float]:
    """The sum as the paper writes it, a window at a time."""
    found = []
    for t in range(T if circular else T - length + 1):
        found.append(sum(float(d[s + k, (t + k) % T]) for k in range(length)))
    return found


@pytest.mark.parametrize("circular", [False, True])
def test_costs_and_answers_are_the_plain_loops(circular: bool) -> None:
    event = random_events(60, seed=1)
    distance = torch.rand(60, T, T, generator=torch.Generator().manual_seed(2))
    costs = window_costs(distance, event, circular=circular)
    answers = localise(distance, event)
    start, length = event_spans(event)
    for i, (s, n) in enumerate(zip(start.tolist(), length.tolist(), strict=True)):
        plain = plain_costs(distance[i], s, n, circular)
        assert costs[i, : len(plain)].tolist() == pytest.approx(plain)
        assert torch.isinf(costs[i, len(plain) :]).all()
        if not circular:
            assert answers[i] == min(range(len(plain)), key=plain.__getitem__)


def test_ties_go_to_the_earliest() -> None:
    event = events([(3, 5), (8, 10)])
    distance = torch.ones(2, T, T)
    assert localise(distance, event).tolist() == [0, 0]
    distance[0, 3, 6], distance[0, 3, 2] = 0.5, 0.5
    assert localise(distance, event).tolist() == [2, 0]


def test_spans() -> None:
    event = events([(0, 10), (2, 4), (9, 10), (0, 0)])
    start, length = event_spans(event)
    assert start.tolist() == [0, 2, 9, 0]
    assert length.tolist() == [10, 2, 1, 0]
    assert is_localisable(event).tolist() == [False, True, True, False]
    event[2, 3] = True
    with pytest.raises(ValueError, match=r"video 2: an event of two parts, \[0, 0, 0"):
        event_spans(event)


def test_a_perfect_distance_finds_all_and_the_rest_is_counted() -> None:
    event = random_events(40, seed=3)
    event[5], event[6] = True, False
    inside = event.float()
    distance = (inside[:, :, None] - inside[:, None, :]).abs()
    for circular in (False, True):
        found = localisation(distance, event, circular=circular)
        assert found.value == 1
        assert found.n == int(is_localisable(event).sum()) <= 38
        left = 40 - found.n
        assert f"{left} without a place to find left out" in found.note


def test_both_directions_are_averaged_video_by_video() -> None:
    event = random_events(30, seed=4)
    distance = torch.rand(30, T, T, generator=torch.Generator().manual_seed(5))
    both = torch.stack([distance, distance.mT])
    one, other = (localisation(d, event).value for d in both)
    found = localisation(both, event)
    assert found.value == pytest.approx((one + other) / 2)
    assert found.n == int(is_localisable(event).sum())
    assert found.low < found.value < found.high


def ave_like() -> Tensor:
    """402 events placed as those of AVE's test split, so that its figures come out."""
    lengths = itertools.cycle(range(2, 10))
    begin = [(0, next(lengths)) for _ in range(142)]
    end = [(T - next(lengths), T) for _ in range(188)]
    between = [(1 + i % 6, 3 + i % 6 + i % 2) for i in range(72)]
    return events(begin + end + between)


def test_constant_answers_have_the_figures_of_ave() -> None:
    event = ave_like()
    assert len(event) == 402
    chance, first, last = constant_answers(event)
    assert round(100 * chance.value, 1) == 20.8
    assert round(100 * first.value, 1) == 35.3
    assert round(100 * last.value, 1) == 46.8
    assert (chance.low, chance.high) == (chance.value, chance.value)
    assert last.low < 0.468 < last.high
    start, length = event_spans(event)
    drawn = torch.Generator().manual_seed(6)
    guess = torch.rand(500, 402, generator=drawn) * (T - length + 1)
    simulated = (guess.floor().long() == start).double().mean()
    assert float(simulated) == pytest.approx(chance.value, abs=0.005)


# --- The circular variant ------------------------------------------------------


def turned(event: Tensor) -> Tensor:
    """The event's start in the searched modality, turned by each r: (T, videos)."""
    start, _ = event_spans(event)
    return (start + torch.arange(T)[:, None]) % T


@pytest.mark.parametrize("constant", range(T))
def test_no_constant_answer_wins_when_the_searched_modality_turns(
    constant: int,
) -> None:
    assert float((turned(ave_like()) == constant).double().mean()) == 1 / T


def test_circular_is_the_mean_over_all_rotations() -> None:
    event = random_events(50, seed=7)
    event = event[is_localisable(event)]
    distance = torch.rand(
        len(event), T, T, generator=torch.Generator().manual_seed(8)
    ) - 0.5 * (event[:, :, None] & event[:, None, :])
    right = [
        window_costs(distance.roll(r, dims=2), event, circular=True).argmin(1) == where
        for r, where in enumerate(turned(event))
    ]
    turning = torch.stack(right).double().mean(0)
    scores = localisation_scores(distance, event, circular=True)
    assert torch.equal(scores, turning)
    assert 1 / T < scores.mean() < 1


def test_a_distance_that_says_nothing_is_at_chance_only_when_circular() -> None:
    event = ave_like()
    nothing = torch.ones(402, T, T)
    assert localisation(nothing, event, circular=True).value == pytest.approx(1 / T)
    assert round(100 * localisation(nothing, event).value, 1) == 35.3  # ties: first


@pytest.mark.slow
@settings(deadline=None)  # a busy machine is not an error
@given(st.integers(0, 10**6))
def test_distances_at_random_are_at_chance(seed: int) -> None:
    event = ave_like().repeat(5, 1)
    random = torch.Generator().manual_seed(seed)
    distance = torch.rand(len(event), T, T, generator=random)
    found = localisation(distance, event, circular=True)
    spread = math.sqrt(0.1 * 0.9 / len(event))
    assert abs(found.value - 1 / T) < 5 * spread


def test_what_cannot_be_judged_is_named() -> None:
    event = random_events(4, seed=9)
    broken = torch.ones(4, T, T)
    broken[1, 2, 3] = torch.nan
    with pytest.raises(ValueError, match="A2V: a distance is not finite"):
        localisation(broken, event, name="A2V")
    with pytest.raises(ValueError, match="none of 3 videos has both"):
        localisation(torch.ones(3, T, T), events([(0, 10)] * 3))
    with pytest.raises(ValueError, match="none of 1 videos has both"):
        constant_answers(events([(0, 0)]))


def test_two_events_of_one_video_are_drawn_together() -> None:
    event = random_events(80, seed=10)
    event = event[is_localisable(event)][:40]
    distance = torch.rand(40, T, T, generator=torch.Generator().manual_seed(11))
    distance[1::2] = distance[::2]
    event[1::2] = event[::2]
    alone = localisation(distance, event, [*range(40)])
    together = localisation(distance, event, [i // 2 for i in range(40)])
    assert together.value == alone.value
    assert together.high - together.low > 1.2 * (alone.high - alone.low)
