"""When a held-out curve counts as flat: on curves whose answer is known."""

import math

import numpy as np
import pytest

from avnb.course.convergence import (
    NOISY,
    SMALL_GAIN,
    Convergence,
    find_convergence,
)


def exponential(constants: float, points: int = 400) -> np.ndarray:
    """1 - exp(-t / τ) over a training of so many time constants τ."""
    return 1 - np.exp(-np.linspace(0, constants, points))


def share_of_last_quarter(constants: float) -> float:
    """The late gain of that curve, from the integrals of the exponential."""
    x = constants / 4

    def mean(k: int) -> float:  # of exp(-t / τ) over the k-th quarter
        return (math.exp(-k * x) - math.exp(-(k + 1) * x)) / x

    return (mean(2) - mean(3)) / (1 - mean(3))


@pytest.mark.parametrize("constants", [1.0, 3.0, 5.0, 5.8, 6.2, 8.0, 20.0])
@pytest.mark.parametrize("better", ["higher", "lower"])
def test_an_exponential_is_flat_after_six_time_constants(
    constants: float, better: str
) -> None:
    curve = exponential(constants)
    found = find_convergence(curve if better == "higher" else 3 - curve, better)
    assert found.late_gain == pytest.approx(share_of_last_quarter(constants), abs=0.003)
    assert found.flat == (constants > 6)


def test_the_scale_and_the_offset_of_the_values_do_not_matter() -> None:
    curve = exponential(7)
    plain = find_convergence(curve, "higher")
    other = find_convergence(1000 * curve - 5, "higher")
    assert plain.flat is other.flat is True
    assert other.late_gain == pytest.approx(plain.late_gain)


def test_direction_decides() -> None:
    falling = np.linspace(1, 0, 16)
    assert not find_convergence(falling, "lower").flat
    worse = find_convergence(falling, "higher")
    assert worse.flat  # it only gets worse: more training does not help
    assert find_convergence(exponential(9)[::-1], "higher").flat


def test_a_curve_that_never_moves_is_flat() -> None:
    assert find_convergence([0.1] * 8, "higher") == Convergence(True, 8, 0.0)
    assert find_convergence([0.1] * 8, "lower").flat


def test_a_recovery_is_not_flat() -> None:
    values = [0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.3, 0.4]
    assert find_convergence(values, "higher") == Convergence(False, 8, 1.0)


def test_too_few_points_say_nothing() -> None:
    assert not find_convergence([0.1] * 7, "higher").flat
    assert not find_convergence([], "higher").flat
    assert find_convergence([0.1] * 8, "higher").flat


def test_noise_rarely_hides_a_flat_curve_or_makes_one() -> None:
    """Over 300 noisy curves of 32 points, noise a fiftieth of the gain."""
    rng = np.random.default_rng(0)
    late, early = exponential(12, 32), exponential(3, 32)
    noise = 0.02 * rng.standard_normal((300, 32))
    flat = [find_convergence(late + row, "higher").flat for row in noise]
    assert np.mean(flat) > 0.95
    rising = [find_convergence(early + row, "higher").flat for row in noise]
    assert share_of_last_quarter(3) > 3 * SMALL_GAIN
    assert np.mean(rising) < 0.05


def test_a_curve_that_jumps_is_not_flat() -> None:
    # The held-out accuracy of a real classifier, which still learned.
    jumping = [0.60, 0.62, 0.67, 0.65, 0.65, 0.78, 0.80, 0.77]
    jumping += [0.79, 0.80, 0.77, 0.84, 0.62, 0.84, 0.65, 0.82]
    found = find_convergence(jumping, "higher")
    assert found.late_gain < SMALL_GAIN  # the last quarter's mean is even lower
    assert found.noise > NOISY
    assert not found.flat
    assert find_convergence(exponential(12, 16), "higher").noise < 0.01


def test_noise_alone_is_no_gain_where_it_is_negligible() -> None:
    noise = 0.1 + 0.003 * np.random.default_rng(0).standard_normal((300, 16))
    alone = [find_convergence(row, "higher") for row in noise]
    gained = [found.flat for found in alone if found.noise > 0]
    assert np.mean(gained) < 0.2  # the rule alone cannot tell it from a gain
    flat = [find_convergence(row, "higher", negligible=0.01).flat for row in noise]
    assert np.mean(flat) > 0.99
    # It hides no gain that is larger.
    rising = np.linspace(0.1, 0.9, 16)
    assert not find_convergence(rising, "higher", negligible=0.01).flat


def test_wrong_input_is_told() -> None:
    with pytest.raises(ValueError, match="'higher' or 'lower'"):
        find_convergence([1.0] * 8, "up")
    with pytest.raises(ValueError, match="not finite"):
        find_convergence([1.0] * 7 + [math.nan], "lower")
