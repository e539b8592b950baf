"""Whether a network was trained long enough for a verdict: is its curve flat?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST_POINTS = 8  # two in each quarter of the training
SMALL_GAIN = 0.02  # of the whole gain; what a flat curve may still gain in a quarter
NOISY = 0.05  # of the whole gain; a larger error of the late gain hides it


@dataclass(frozen=True)
class Convergence:
    """What a held-out curve says about the length of the training.

    Attributes:
        flat: whether longer training can be expected to change little.
        points: how many measurements there were.
        late_gain: what the last quarter gained on the quarter before, as a part of
            the whole gain since the first measurement; negative where it lost.
        noise: the standard error of that late gain, as a part of the whole gain; 0
            where nothing was gained.
    """

    flat: bool
    points: int
    late_gain: float
    noise: float = 0.0


def find_convergence(
    values: Sequence[float] | np.ndarray,
    better: str = "higher",
    *,
    negligible: float = 0.0,
) -> Convergence:
    """Decide whether a held-out curve has flattened.

    It is flat where there are at least `LEAST_POINTS` measurements, and the mean of
    the last quarter is better than the mean of the quarter before by less than
    `SMALL_GAIN` of the whole gain, or is not better. The whole gain goes from the first
    measurement to the mean of the last quarter. A curve 1 - exp(-t / τ) becomes flat
    after a training of about 6 τ.

    A curve that gets worse is flat too, because more training does not help. So is
    one that never moved. A curve that jumps up and down is not: where the standard
    error of the late gain is above `NOISY` of the whole gain, nobody can tell whether
    it still rises.

    Args:
        values: measured on held-out data at equal distances through the training, in
            order. The last quarter is the last `len(values) // 4` of them.
        better: "higher" for an accuracy, "lower" for an error.
        negligible: a difference, in the unit of the values, that nobody would call a
            gain. It keeps the noise of a curve that hardly moved from counting as
            one.

    Raises:
        ValueError: `better` is something else, or a value is not finite.
    """
    if better not in ("higher", "lower"):
        raise ValueError(f"better is {better!r}: give 'higher' or 'lower'")
    curve = np.asarray(values, dtype=float) * (1 if better == "higher" else -1)
    if not np.isfinite(curve).all():
        raise ValueError(f"a held-out curve holds a value that is not finite: {values}")
    if len(curve) < LEAST_POINTS:
        return Convergence(False, len(curve), 1.0)
    quarter = len(curve) // 4
    both = curve[-2 * quarter :].reshape(2, quarter)
    last = float(both[1].mean())
    late = last - float(both[0].mean())
    whole = last - float(curve[0])
    # Of a difference of two means of `quarter` values each.
    error = float(np.sqrt(both.var(axis=1, ddof=1).mean() * 2 / quarter))
    if whole <= 0:
        # Without any whole gain, a late gain is a recovery, and all that was gained.
        return Convergence(late <= negligible, len(curve), float(late > 0))
    share, noise = late / whole, error / whole
    small = late <= negligible or share < SMALL_GAIN
    clear = error <= negligible or noise <= NOISY
    return Convergence(small and clear, len(curve), share, noise)
