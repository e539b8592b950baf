"""Coupling of pairs: all orders by a loop, independent draws, and known pairs."""

import itertools

import numpy as np
import pytest
import torch

from avnb import metrics
from avnb.metrics.alignment import match_events


def test_chance_is_the_mean_over_all_orders() -> None:
    heard, seen = torch.tensor([0, 0, 1, 2, 2]), torch.tensor([0, 1, 1, 1, 2])
    found = metrics.class_agreement(heard, seen, 3)
    orders = list(itertools.permutations(range(5)))
    right = np.mean([(heard == seen[list(o)]).double().mean() for o in orders])
    assert found.shuffled.value == pytest.approx(right)
    assert found.own.value == pytest.approx(3 / 5)
    assert found.gain.value == pytest.approx(3 / 5 - right)


def test_independent_draws_do_not_agree_above_chance() -> None:
    random = np.random.default_rng(0)
    p, q = [0.7, 0.2, 0.1], [0.2, 0.2, 0.6]
    holds = 0
    for _ in range(40):
        a = torch.from_numpy(random.choice(3, 300, p=p))
        v = torch.from_numpy(random.choice(3, 300, p=q))
        found = metrics.class_agreement(a, v, 3)
        assert found.shuffled.value == pytest.approx(np.dot(p, q), abs=0.08)
        holds += found.gain.low <= 0 <= found.gain.high
    assert holds >= 34  # of 40 intervals at 95 %


def test_pairs_of_one_class_have_no_gain() -> None:
    same = torch.zeros(10, dtype=torch.int64)
    found = metrics.class_agreement(same, same, 4)
    assert (found.own.value, found.shuffled.value, found.gain.value) == (1, 1, 0)


def test_matched_pairs_have_the_whole_gain() -> None:
    named = torch.arange(40) % 4
    units = [f"p{i // 5}" for i in range(40)]
    found = metrics.class_agreement(named, named, 4, units)
    assert found.own.value == 1
    assert found.gain.value == pytest.approx(0.75)
    assert "units" in found.gain.note
    wrong = metrics.class_agreement(named, (named + 1) % 4, 4)
    assert wrong.gain.value == pytest.approx(-0.25)


def draw_times(n: int, seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [np.sort(random.random(random.integers(1, 4))) for _ in range(n)]


def test_event_match_by_a_loop() -> None:
    heard, seen = draw_times(9, 0), draw_times(9, 1)
    found = metrics.event_match(heard, seen, 0.1, seed=3)

    def score(a: np.ndarray, v: np.ndarray) -> float:
        return 2 * len(match_events(a, v, 0.1)) / (len(a) + len(v))

    own = np.mean([score(a, v) for a, v in zip(heard, seen, strict=True)])
    # With nine pairs, each sound meets each other picture exactly once.
    others = np.mean(
        [score(heard[i], seen[j]) for i in range(9) for j in range(9) if i != j]
    )
    assert found.own.value == pytest.approx(own)
    assert found.shuffled.value == pytest.approx(others)
    assert found.gain.value == pytest.approx(own - others)


def test_strikes_at_the_onsets_match_and_late_ones_do_not() -> None:
    heard = draw_times(60, 2)
    same = metrics.event_match(heard, heard, 0.05)
    assert same.own.value == 1
    assert same.gain.low > 0.2
    late = metrics.event_match(heard, [one + 5 for one in heard], 0.05)
    assert late.own.value == 0
    other = metrics.event_match(heard, draw_times(60, 3), 0.05)
    assert other.gain.low <= 0 <= other.gain.high


def test_clips_without_any_event_add_no_gain() -> None:
    nothing = [np.array([])] * 5
    found = metrics.event_match(nothing, nothing, 0.1)
    assert (found.own.value, found.shuffled.value, found.gain.value) == (1, 1, 0)


def test_curves_of_one_clip_correlate_with_their_own() -> None:
    random = np.random.default_rng(4)
    heard = list(random.standard_normal((50, 10)))
    noisy = [curve + 0.5 * random.standard_normal(10) for curve in heard]
    found = metrics.curve_match(heard, noisy)
    right = np.mean(
        [np.corrcoef(a, b)[0, 1] for a, b in zip(heard, noisy, strict=True)]
    )
    assert found.own.value == pytest.approx(right)
    assert found.gain.low > 0.5
    assert abs(found.shuffled.value) < 0.1
    assert metrics.curve_match(heard, [-c for c in heard]).own.value == pytest.approx(
        -1
    )
    still = metrics.curve_match(heard, [np.zeros(10)] * 50)  # nothing moves
    assert still.own.value == 0


def test_no_sound_meets_its_own_picture_when_shuffled() -> None:
    for n in (2, 3, 10, 40):
        names = list(range(n))
        found = metrics.compare_pairs(
            lambda a, v: float(a == v), names, names, name="same"
        )
        assert (found.own.value, found.shuffled.value) == (1, 0)


def test_bad_pairs() -> None:
    nothing = torch.tensor([], dtype=torch.int64)
    with pytest.raises(ValueError, match="give pairs"):
        metrics.class_agreement(nothing, nothing, 2)
    with pytest.raises(ValueError, match="2 or more"):
        metrics.event_match([np.array([0.1])], [np.array([0.1])], 0.1)


def draw_beats(fast: np.ndarray, random: np.random.Generator) -> list[np.ndarray]:
    """Eight strokes in the second of a fast player, one in that of a slow one."""
    counts = np.where(fast, 8, 1)
    return [np.sort(random.random(count)) for count in counts]


def test_within_a_class_tempo_is_no_coupling() -> None:
    """Both sides know who is fast, and nothing of each other's moments."""
    random = np.random.default_rng(5)
    fast = random.random(600) < 0.5
    heard, seen = draw_beats(fast, random), draw_beats(fast, random)
    plain = metrics.event_match(heard, seen, 0.05)
    assert plain.gain.low > 0.02  # the class alone
    within = metrics.event_match(heard, seen, 0.05, groups=fast.tolist())
    assert within.gain.low < 0 < within.gain.high
    assert within.own.value == plain.own.value
    # And where the moments agree, the gain stays.
    same = metrics.event_match(heard, heard, 0.05, groups=fast.tolist())
    assert same.gain.low > 0.3


def test_partners_are_of_the_same_group_and_never_oneself() -> None:
    groups = ["a"] * 5 + ["b"] * 20 + ["c"]
    met: dict[int, set[int]] = {i: set() for i in range(26)}

    def score(i: int, j: int) -> float:
        met[i].add(j)
        return float(i == j)

    items = list(range(26))
    found = metrics.compare_pairs(score, items, items, name="x", groups=groups)
    for i, partners in met.items():
        assert {groups[j] for j in partners} == {groups[i]}
    assert met[25] == {25}  # alone: nothing to compare with
    assert all(len(met[i]) == 5 for i in range(5))
    assert found.gain.value == pytest.approx(25 / 26)
    with pytest.raises(ValueError, match="2 groups for 26 pairs"):
        metrics.compare_pairs(score, items, items, name="x", groups=["a", "b"])
