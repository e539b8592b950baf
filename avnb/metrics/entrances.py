"""When does something enter a picture, and is that when it should?

A curve says for each frame of a video how much of a thing is there. `find_entrances`
takes the moment from it, and `moment_match` compares the moments of many videos with
the true ones, such as the onsets of the word that is heard. Every video gives one
moment, so the unit of the intervals is the unit of the videos (the source video).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from avnb.metrics.accuracy import mean_score
from avnb.metrics.intervals import Units, bootstrap_interval, jackknife_interval
from avnb.metrics.measure import Measure
from avnb.metrics.motion import LARGEST, correlate

NEVER = -1  # the moment of a thing that does not enter
OUTSIDE, INSIDE = 0.3, 0.6  # of the curve: below it is not there, above it is
LEAST = 4  # units with which a correlation gets an interval


def find_entrances(
    curves: Float[Tensor, "n t"], outside: float = OUTSIDE, inside: float = INSIDE
) -> Int64[Tensor, " n"]:
    """Find the frame in which something first enters.

    An entrance counts once the curve was below `outside` and then reaches `inside`. Two
    thresholds, so that a curve that trembles about one of them does not enter again and
    again. The moment is where the rise began: the frame after the last one below
    `outside`.

    Args:
        curves: how much is there in each frame, 0 to 1.
        outside: below it nothing is there.
        inside: from it on the thing is there; above `outside`.

    Returns:
        The frame of each video; `NEVER` where nothing enters, also where the thing is
        there from the first frame on and stays.

    Raises:
        ValueError: the thresholds are in the wrong order.
    """
    if not outside < inside:
        raise ValueError(f"outside = {outside} must be below inside = {inside}")
    found = curves.new_full((len(curves),), NEVER).long()
    for i, curve in enumerate(curves.tolist()):
        last = None  # the last frame in which nothing was there
        for t, value in enumerate(curve):
            if value < outside:
                last = t
            elif value >= inside and last is not None:
                found[i] = last + 1
                break
    return found


@dataclass(frozen=True)
class MomentMatch:
    """How well the moments of videos fit the true ones.

    Attributes:
        entered: the share of the videos in which something enters.
        r: Pearson's r of the moments and the true ones, over those videos.
        error: the mean absolute difference over those videos, in frames.
        near: the share of all videos whose moment is at most `window` frames from the
            true one. A video without an entrance is wrong.
    """

    entered: Measure
    r: Measure
    error: Measure
    near: Measure

    def as_row(self) -> dict[str, Measure]:
        """The columns of a table."""
        return {
            "entered": self.entered,
            "r": self.r,
            "error": self.error,
            "near": self.near,
        }


def moment_match(
    found: Int64[Tensor, " n"],
    true: Int64[Tensor, " n"],
    units: Units | None = None,
    *,
    window: int = 2,
    frames: int = 32,
    seed: int = 0,
) -> MomentMatch:
    """Compare the moments in which something enters with the true ones.

    A network may let nothing enter where it is not sure, and look exact in the others.
    So read `r` and `error` beside `entered`, or read `near`, which counts all.

    Args:
        found: the frame of each video, `NEVER` where nothing enters.
        true: the true frame of each.
        units: the unit of each video, for the intervals.
        window: how many frames still count as near.
        frames: of a video: the largest error that there can be. It is the error where
            nothing enters at all.
        seed: of the resampling.

    Raises:
        ValueError: there are no videos, or not one true moment each.
    """
    if len(found) != len(true) or not len(true):
        raise ValueError(f"{len(found)} moments and {len(true)} true ones: give pairs")
    a, b = found.cpu().numpy(), true.cpu().numpy()
    names = list(range(len(a))) if units is None else list(units)
    here = a != NEVER
    apart = np.abs(a - b).astype(float)
    near = here & (apart <= window)
    of = [name for name, use in zip(names, here, strict=True) if use]
    about: dict[str, Any] = {"seed": seed, "units": units}
    return MomentMatch(
        mean_score(here.astype(float), name="entered", **about),
        _correlate_moments(a[here], b[here], of, seed),
        _average_error(apart[here], of, frames, seed),
        mean_score(near.astype(float), name=f"within {window} frames", **about),
    )


def _correlate_moments(
    found: np.ndarray, true: np.ndarray, units: Units, seed: int
) -> Measure:
    """Pearson's r over videos, with a jackknife over units in Fisher's z."""
    about: dict[str, Any] = {"counted": "videos", "seed": seed}
    r = correlate(found.astype(float), true.astype(float)) if len(found) > 2 else 0.0
    count = len(set(units))
    if count < LEAST:
        # Two points lie on a line always, so leaving one of three out tells nothing.
        note = f"{count} units: {LEAST} or more are needed for an interval"
        return Measure("r", r, -1.0, 1.0, len(found), note=note, **about)

    def statistic(kept: list[np.ndarray]) -> float:
        r = correlate(found[kept[0]].astype(float), true[kept[0]].astype(float))
        return float(np.arctanh(np.clip(r, -LARGEST, LARGEST)))

    z = jackknife_interval(statistic, (len(found),), (units,), seed=seed)
    value, low, high = (math.tanh(x) for x in z)
    note = f"jackknife over {count} units"
    return Measure("r", value, low, high, len(found), note=note, **about)


def _average_error(apart: np.ndarray, units: Units, frames: int, seed: int) -> Measure:
    """The mean absolute error in frames; the largest possible one without entrances."""
    about: dict[str, Any] = {"counted": "videos", "unit": "frames", "seed": seed}
    if not len(apart):
        most, note = float(frames), "nothing enters in any video"
        return Measure("error", most, most, most, 0, note=note, **about)
    low, high = bootstrap_interval(apart, units, seed=seed)
    note = f"bootstrap over {len(set(units))} units"
    return Measure(
        "error", float(apart.mean()), low, high, len(apart), note=note, **about
    )
