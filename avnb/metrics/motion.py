"""Whether a motion follows the sound: correlation, turns, and events that match.

All measures take one curve or one list of moments of a single video. Neighbouring
frames are alike, so the unit of every interval is a block of time: whole blocks are
left out in turn (a jackknife). Such an interval says nothing about another video.

Each measure has its control: the same motion, shifted in time by two seconds or more.
What a motion scores there, it scores by luck.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from avnb.media import Number
from avnb.metrics.alignment import Times, match_events
from avnb.metrics.intervals import jackknife_interval
from avnb.metrics.measure import Measure

# From the sums of `_mark`: how many moments were found, how many of these fit, how many
# there are, and how many of these were found.
_Rule = Callable[[np.ndarray], float]
Curve = Float[np.ndarray, " _"]
Curves = Float[np.ndarray, "_ _"]
LARGEST = 1 - 1e-9  # r; of 1 itself Fisher's z is infinite
FLAT = 1e-6  # a curve that varies less is constant
SHIFTS = 24  # of the control, evenly spread over the video


def number_blocks(frames: int, block: int) -> Int[np.ndarray, " frames"]:
    """Number the block of time of each frame; a short rest joins the last block.

    Args:
        frames: of the video.
        block: frames of a block.

    Raises:
        ValueError: the video does not hold two blocks.
    """
    count = frames // block
    if count < 2:
        raise ValueError(
            f"{frames} frames, and a block has {block}: an interval needs two blocks"
        )
    return np.minimum(np.arange(frames) // block, count - 1)


def list_shifts(frames: int, least: int, count: int = SHIFTS) -> list[int]:
    """The shifts of the control, in frames: none is nearer to 0 than `least`.

    Args:
        frames: of the video; the shifts are cyclic.
        least: the smallest shift, in either direction.
        count: how many, at most.

    Raises:
        ValueError: the video is too short for such a shift.
    """
    if frames < 2 * least + 1:
        raise ValueError(
            f"{frames} frames cannot be shifted by {least} or more in a circle"
        )
    wanted = np.linspace(least, frames - least, min(count, frames - 2 * least + 1))
    return sorted({round(shift) for shift in wanted})


def correlate(found: Curve, true: Curve) -> float:
    """Pearson's r, or 0 where one of the two is constant."""
    if min(np.std(found), np.std(true)) < FLAT:
        return 0.0
    return float(np.corrcoef(found, true)[0, 1])


def correlation(
    found: Curve | Curves, true: Curve, block: int, *, name: str = "r", seed: int = 0
) -> Measure:
    """Pearson's r of a motion with the true one, and its interval over blocks.

    Args:
        found: the motion read from the frames; of several videos, the mean of r.
        true: the truth.
        block: frames of a block of time.
        name: of the measure.
        seed: of the assignment of blocks to groups.

    Raises:
        ValueError: the lengths differ, or the video does not hold two blocks.
    """
    several = np.atleast_2d(found)
    if several.shape[1] != len(true):
        raise ValueError(f"{several.shape[1]} frames and {len(true)} of the truth")

    def statistic(kept: list[np.ndarray]) -> float:
        rows = kept[0]
        r = np.mean([correlate(one[rows], true[rows]) for one in several])
        # Fisher's z: an interval of r itself would reach beyond 1
        return float(np.arctanh(np.clip(r, -LARGEST, LARGEST)))

    z = measure_over_blocks(name, statistic, len(true), block, seed=seed)
    value, low, high = (math.tanh(x) for x in (z.value, z.low, z.high))
    return z.annotate(value=value, low=low, high=high)


def shifted_correlation(
    found: Curve | Curves, true: Curve, least: int, *, name: str = "r, shifted"
) -> Measure:
    """The r that a motion has by luck: the mean over shifts in time.

    Args:
        found: as `correlation` takes it.
        true: the truth.
        least: the smallest shift, in frames.
        name: of the measure.

    Returns:
        The mean; its interval holds the central 95 % of the shifts.
    """
    values = [
        correlate(np.roll(one, shift), true)
        for one in np.atleast_2d(found)
        for shift in list_shifts(len(true), least)
    ]
    mean = float(np.mean(values))
    low, high = (float(x) for x in np.quantile(values, [0.025, 0.975]))
    note = "the central 95 % of the shifts"
    return Measure(
        name, mean, min(low, mean), max(high, mean), len(values), "shifts", note=note
    )


def find_turns(
    values: Curve, least: float, smooth: int = 5
) -> Int[np.ndarray, " turns"]:
    """Find the frames at which a curve turns, by hysteresis.

    A turn counts only once the curve has come `least` or more towards it, and has gone
    `least` or more back. So a tremble smaller than that is no turn, however often it
    changes sign. Where a curve rests at its turn, the turn is the end of the rest.

    Args:
        values: the curve.
        least: how far it must go on both sides; of the same unit.
        smooth: frames of the Hann window that smooths it first; 1 for none.

    Raises:
        ValueError: `least` is not above 0.
    """
    if not least > 0:
        raise ValueError(f"least = {least}: a turn needs a distance above 0")
    curve = _smooth(np.asarray(values, float), smooth)
    turns: list[int] = []
    top = bottom = 0  # where the curve was highest and lowest since the last turn
    rising: bool | None = None  # not known at first
    for i, value in enumerate(curve):
        top = i if value > curve[top] else top
        bottom = i if value < curve[bottom] else bottom
        if rising is not False and curve[top] - value >= least:
            if rising:
                turns.append(_end_rest(curve[: i + 1], top, 0.1 * least))
            rising, bottom = False, i
        elif rising is not True and value - curve[bottom] >= least:
            if rising is False:
                turns.append(_end_rest(curve[: i + 1], bottom, 0.1 * least))
            rising, top = True, i
    return np.array(turns, int)


def _smooth(curve: Curve, frames: int) -> Curve:
    """Average over a Hann window; its ends are held."""
    if frames < 2:
        return curve
    window = np.hanning(frames + 2)[1:-1]
    padded = np.pad(curve, (frames // 2, frames - 1 - frames // 2), mode="edge")
    return np.convolve(padded, window / window.sum(), mode="valid")


def _end_rest(curve: Curve, turn: int, slack: float) -> int:
    """The last frame from `turn` on that is still as near to it as `slack`."""
    near = np.abs(curve[turn:] - curve[turn]) <= slack
    return turn + int(np.flatnonzero(near)[-1])


@dataclass(frozen=True)
class EventMatch:
    """How well the moments of a motion fit the true ones.

    Attributes:
        found: how many moments the motion has.
        true: how many there are.
        precision: the share of the motion's moments that fit a true one.
        recall: the share of the true moments that the motion has.
        f1: the harmonic mean of both.
        by_luck: the F1 of the same moments, shifted in time.
        above_luck: F1 minus F1 by luck. Above 0 the moments follow the truth.
    """

    found: float
    true: int
    precision: Measure
    recall: Measure
    f1: Measure
    by_luck: Measure
    above_luck: Measure

    def as_row(self) -> dict[str, float | int | Measure]:
        """The columns of a table."""
        return {
            "found": self.found,
            "true": self.true,
            "precision": self.precision,
            "recall": self.recall,
            "F1": self.f1,
            "F1 by luck": self.by_luck,
            "above luck": self.above_luck,
        }


def measure_events(
    found: Sequence[Times],
    true: Times,
    *,
    frames: int,
    fps: Number,
    window: float,
    block: int,
    least: int,
    seed: int = 0,
) -> EventMatch:
    """Match the moments of a motion one to one with the true moments.

    Args:
        found: of each video, moments in s, in order; several videos count together.
        true: the true moments, s, in order.
        frames: of the video.
        fps: frames a second.
        window: how far apart the two of a pair may be, s.
        block: frames of a block of time.
        least: the smallest shift of the control, in frames.
        seed: of the assignment of blocks to groups.

    Raises:
        ValueError: the video does not hold two blocks, or cannot be shifted.
    """
    duration, slack = float(frames / fps), window + 1e-9
    shifts = [float(shift / fps) for shift in list_shifts(frames, least)]
    own = np.mean([_mark(one, true, slack, frames, fps) for one in found], axis=0)
    luck = np.mean(
        [
            _mark(np.sort((one + shift) % duration), true, slack, frames, fps)
            for one in found
            for shift in shifts
        ],
        axis=0,
    )

    def measure(
        name: str, one: np.ndarray, rule: _Rule, unit: str = "fraction"
    ) -> Measure:
        def statistic(kept: list[np.ndarray]) -> float:
            return rule(one[:, kept[0]].sum(axis=1))

        found = measure_over_blocks(
            name, statistic, frames, block, unit=unit, seed=seed
        )
        # a share lies between 0 and 1, and a difference of two between -1 and 1
        least = -1.0 if unit == "points" else 0.0
        low, high = max(found.low, least), min(found.high, 1.0)
        return found.annotate(low=min(low, found.value), high=max(high, found.value))

    def gain(sums: np.ndarray) -> float:
        return _f1(sums[:4]) - _f1(sums[4:])

    return EventMatch(
        float(np.mean([len(one) for one in found])),
        len(true),
        measure("precision", own, _precision),
        measure("recall", own, _recall),
        measure("F1", own, _f1),
        measure("F1 by luck", luck, _f1),
        measure("F1 above luck", np.concatenate([own, luck]), gain, "points"),
    )


def _mark(
    found: Times, true: Times, window: float, frames: int, fps: Number
) -> Float[np.ndarray, "4 frames"]:
    """Count the moments and the matched ones, of both sides, in each frame."""
    pairs = match_events(found, true, window)
    lists = [found, found[[i for i, _ in pairs]], true, true[[j for _, j in pairs]]]
    rate, last = float(fps), frames - 1
    rows = [np.clip(np.round(one * rate).astype(int), 0, last) for one in lists]
    return np.stack([np.bincount(row, minlength=frames) for row in rows]).astype(float)


def _precision(sums: np.ndarray) -> float:
    return float(sums[1] / sums[0]) if sums[0] else 0.0


def _recall(sums: np.ndarray) -> float:
    return float(sums[3] / sums[2]) if sums[2] else 0.0


def _f1(sums: np.ndarray) -> float:
    both = sums[0] + sums[2]
    return float((sums[1] + sums[3]) / both) if both else 0.0


def measure_over_blocks(
    name: str,
    statistic: Callable[[list[np.ndarray]], float],
    frames: int,
    block: int,
    *,
    unit: str = "",
    seed: int = 0,
) -> Measure:
    """Measure a statistic of a video's frames, with a jackknife over blocks of time.

    Args:
        name: of the measure.
        statistic: gets a list of one array, the kept frames, and gives the value.
        frames: of the video.
        block: frames of a block.
        unit: of the value.
        seed: of the assignment of blocks to groups.

    Raises:
        ValueError: the video does not hold two blocks.
    """
    blocks = number_blocks(frames, block).tolist()
    value, low, high = jackknife_interval(statistic, [frames], [blocks], seed=seed)
    count = blocks[-1] + 1
    note = f"jackknife over {count} blocks of {block} frames of one video"
    return Measure(
        name, value, low, high, count, "blocks", unit=unit, seed=seed, note=note
    )
