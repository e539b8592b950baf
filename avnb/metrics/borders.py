"""Does a video jump where its parts were joined?

A network that makes a video in parts of some frames may jump from one part to the next.
The change between two frames at such a border is compared with the change elsewhere in
the same videos: 1 is a video without seams.
"""

import numpy as np
import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from avnb.metrics.intervals import Units, jackknife_interval
from avnb.metrics.measure import Measure
from avnb.metrics.pictures import as_floats

STILL = 1e-4  # mean change, of [-1, 1]; all videos together change less: stills


def measure_changes(
    videos: Shaped[Tensor, "n t 3 h w"],
) -> Float64[Tensor, "n changes"]:
    """The mean absolute change from each frame to the next, in grey levels of 255."""
    # Video by video: all differences at once would take as much memory as all videos.
    rows = [as_floats(one).float().diff(dim=0).abs().mean((1, 2, 3)) for one in videos]
    return 127.5 * torch.stack(rows).double().cpu()


def border_jump(
    videos: Shaped[Tensor, "n t 3 h w"],
    every: int,
    units: Units | None = None,
    *,
    seed: int = 0,
) -> Measure:
    """Compare the change at borders with the change elsewhere.

    Args:
        videos: uint8, or floats in [−1, 1]; frames of all videos are of the same parts.
        every: frames of a part: the borders are before frame `every`, 2 `every`, …
        units: the unit of each video, for the interval.
        seed: of the jackknife.

    Returns:
        The mean change at borders over the mean change elsewhere, of all videos
        together; 1 where nothing changes at all.

    Raises:
        ValueError: the videos have no border, or nothing but borders.
    """
    count = videos.shape[1]
    if not 1 < every < count:
        raise ValueError(f"videos of {count} frames have no border every {every}")
    changes = measure_changes(videos).numpy()
    # Change k lies between the frames k and k + 1.
    at = (np.arange(1, count) % every) == 0
    border, elsewhere = changes[:, at].mean(1), changes[:, ~at].mean(1)

    def statistic(kept: list[np.ndarray]) -> float:
        below = elsewhere[kept[0]].mean()
        if below < 127.5 * STILL:
            return 1.0
        return float(border[kept[0]].mean() / below)

    value, low, high = jackknife_interval(
        statistic, (len(changes),), None if units is None else (units,), seed=seed
    )
    over = "videos" if units is None else f"{len(set(units))} units"
    note = f"borders every {every} frames; jackknife over {over}"
    return Measure(
        "jump at borders", value, max(low, min(0.0, value)), high, len(changes),
        "videos", "times", seed=seed, note=note,
    )  # fmt: skip
