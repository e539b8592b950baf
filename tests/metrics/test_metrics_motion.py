"""Correlation, turns and matched events, against closed forms and built motions."""

import numpy as np
import pytest
import scipy.stats

from avnb.metrics.motion import (
    correlate,
    correlation,
    find_turns,
    list_shifts,
    measure_events,
    number_blocks,
    shifted_correlation,
)

FPS = 20
BLOCK = 4 * FPS


def make_walk(frames: int = 960, seed: int = 0) -> np.ndarray:
    """A smooth random curve, as a hand moves."""
    steps = np.random.default_rng(seed).normal(size=frames + 40)
    return np.convolve(steps, np.hanning(41), mode="valid")[:frames]


def make_strokes(seed: int = 0, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """A bow that goes back and forth between -1 and 1, and the frames of its turns."""
    lengths = np.random.default_rng(seed).integers(8, 24, count)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    places = np.where(np.arange(count + 1) % 2, 1.0, -1.0)
    return np.interp(np.arange(ends[-1] + 1), ends, places), ends[1:-1]


def test_blocks_and_shifts() -> None:
    assert number_blocks(11, 4).tolist() == [0] * 4 + [1] * 7
    with pytest.raises(ValueError, match="needs two blocks"):
        number_blocks(7, 4)
    shifts = list_shifts(960, 40)
    assert min(shifts) == 40
    assert max(shifts) == 920
    assert len(shifts) == 24
    assert list_shifts(81, 40) == [40, 41]
    with pytest.raises(ValueError, match="80 frames cannot be shifted by 40"):
        list_shifts(80, 40)


def test_correlation_is_scipys_and_a_flipped_sign_is_seen() -> None:
    true = make_walk()
    found = true + 2 * true.std() * np.random.default_rng(1).normal(size=len(true))
    own = correlation(found, true, BLOCK)
    assert own.value == pytest.approx(scipy.stats.pearsonr(found, true).statistic)
    assert 0.2 < own.low < own.value < own.high < 0.7
    assert own.n == 12
    assert correlation(-found, true, BLOCK).high < -0.2
    assert correlate(np.ones(9), np.arange(9.0)) == 0.0
    two = correlation(np.stack([found, -found]), true, BLOCK)
    assert two.value == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="959 frames and 960"):
        correlation(found[1:], true, BLOCK)


def test_what_does_not_follow_is_as_good_as_shifted() -> None:
    true = make_walk()
    luck = shifted_correlation(true, true, 40)
    assert abs(luck.value) < 0.1
    others = [correlation(make_walk(seed=k), true, BLOCK) for k in range(5, 25)]
    # 19 of 20 are expected: a jackknife over twelve blocks is a little too narrow
    assert sum(one.low < 0 < one.high for one in others) >= 14
    assert sum(luck.low < one.value < luck.high for one in others) >= 14
    assert correlation(true, true, BLOCK).low > 0.99


def test_turns_are_where_they_were_made() -> None:
    bow, turns = make_strokes()
    assert find_turns(bow, 0.5, smooth=1).tolist() == turns.tolist()
    assert np.abs(find_turns(bow, 0.5) - turns).max() <= 1
    assert find_turns(-bow, 0.5).tolist() == find_turns(bow, 0.5).tolist()
    with pytest.raises(ValueError, match="least = 0"):
        find_turns(bow, 0.0)


def test_a_tremble_is_no_turn() -> None:
    bow, turns = make_strokes()
    tremble = 0.1 * np.random.default_rng(3).normal(size=len(bow))
    assert (np.diff(np.sign(np.diff(bow + tremble))) != 0).sum() > 5 * len(turns)
    assert abs(len(find_turns(bow + tremble, 0.5)) - len(turns)) <= 2
    assert len(find_turns(tremble, 0.5)) == 0


def test_a_rest_ends_in_the_turn() -> None:
    rest = np.concatenate([np.linspace(-1, 1, 20), np.ones(30), np.linspace(1, -1, 20)])
    assert find_turns(rest, 0.5, smooth=1).tolist() == [50]


def measure(found: list[np.ndarray], true: np.ndarray, frames: int):
    return measure_events(
        [one / FPS for one in found], true / FPS, frames=frames, fps=FPS, window=0.1,
        block=BLOCK, least=40,
    )  # fmt: skip


def test_events_that_follow_are_above_luck() -> None:
    bow, turns = make_strokes()
    frames = len(bow)
    late = measure([turns + 1], turns, frames)
    assert late.precision.value == late.recall.value == late.f1.value == 1
    assert late.above_luck.low > 0.3
    half = measure([turns[::2]], turns, frames)
    assert half.precision.value == 1
    assert half.recall.value == pytest.approx(0.5, abs=0.02)
    assert half.f1.value == pytest.approx(2 / 3, abs=0.02)
    both = measure([turns, turns[::2]], turns, frames)
    assert both.recall.value == pytest.approx(0.75, abs=0.02)


def test_many_events_are_right_by_luck_and_not_above_it() -> None:
    """A detector of jitter has a high recall. Its luck is as high."""
    bow, turns = make_strokes()
    jitter = np.arange(0, len(bow), 3)
    found = measure([jitter], turns, len(bow))
    assert found.recall.value > 0.95
    assert found.precision.value < 0.3
    assert found.above_luck.value == pytest.approx(0, abs=0.05)
    assert found.above_luck.low < 0.02
    wrong = measure([make_strokes(seed=9)[1][:50]], turns, len(bow))
    assert wrong.above_luck.low < 0 < wrong.above_luck.high


def test_no_events_are_no_error() -> None:
    nothing = measure([np.zeros(0, int)], np.array([30, 60]), 240)
    assert nothing.precision.value == nothing.recall.value == nothing.f1.value == 0
    assert set(nothing.as_row()) >= {"precision", "recall", "F1", "above luck"}
