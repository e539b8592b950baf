"""How far a generated player's pose is from the true one, where that is known."""

from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from avnb.metrics.intervals import bootstrap_interval
from avnb.metrics.measure import Measure

Pose = Float[Tensor, "_ _"]  # clips, coordinates


def pose_error(
    generated: Pose,
    true: Pose,
    units: Sequence[Hashable] | None = None,
    *,
    name: str = "pose error",
    seed: int = 0,
) -> Measure:
    """Compute the mean absolute error of the pose's coordinates.

    Args:
        generated: coordinates in widths of the picture; NaN where a player has no such
            joint, which then does not count.
        true: the true coordinates, in the same order.
        units: the unit of each clip. The interval is a bootstrap over
            units, or over clips without them.
        name: of the measure.
        seed: of the bootstrap.

    Raises:
        ValueError: the shapes differ, or no coordinate is known in both.
    """
    if generated.shape != true.shape:
        raise ValueError(
            f"poses {tuple(generated.shape)} and {tuple(true.shape)}: "
            "the same clips and joints are needed"
        )
    # (clips, coordinates), NaN where either pose lacks the joint
    distance = (generated - true).abs().double().cpu().numpy()
    # A clip counts if any joint is known, with the mean over its known joints.
    known = np.isfinite(distance).any(1)
    if not known.any():
        raise ValueError("no coordinate is known in both poses")
    each = np.nanmean(distance[known], axis=1)
    if units is not None:
        units = [r for r, use in zip(units, known, strict=True) if use]
    low, high = bootstrap_interval(each, units, seed=seed)
    over = "clips" if units is None else f"{len(set(units))} units"
    return Measure(
        name,
        float(each.mean()),
        low,
        high,
        len(each),
        unit="widths",
        seed=seed,
        note=f"bootstrap over {over}",
    )


def pose_rows(
    generated: Pose,
    true: Pose,
    read_from_real: Pose,
    units: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
) -> list[Measure]:
    """Compute the pose error and the baselines to read beside it.

    Args:
        generated: the poses read from the generated pictures.
        true: the true poses.
        read_from_real: the poses that the same pose reader reads from the real
            pictures of these clips.
        units: the unit of each clip, for the intervals.
        seed: of the shuffle and of the bootstraps.

    Returns:
        The generated pictures; chance, which is each generated pose against another
        clip's truth; the trivial answer, always the mean true pose; and the floor,
        which is the error of the pose reader itself.
    """
    # A shuffled cycle, not a permutation: every clip meets another clip's truth.
    order = np.random.default_rng(seed).permutation(len(true))
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    rows = {
        "pose error": (generated, true),
        "pose error, shuffled pairs (chance)": (generated, true[other.tolist()]),
        "pose error, mean pose (trivial)": (
            # The best constant answer for squared errors, and a good one for these.
            # No model can know the mean of these very clips: the baseline is strict.
            true.nanmean(0, keepdim=True).expand_as(true),
            true,
        ),
        "pose error, real pictures (floor)": (read_from_real, true),
    }
    return [
        pose_error(a, b, units, name=name, seed=seed) for name, (a, b) in rows.items()
    ]
