"""How fast this machine computes, and how long a series will take on it."""

import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from avnb.course.reference import SCALE as PUBLISHED
from avnb.course.reference import describe_length, load_reference
from avnb.course.series import load_series
from avnb.course.settings import PURPOSES

NOT_MEASURED = "not measured yet"  # where a table says how long a run takes
SIZE = 2048  # rows and columns of the matrices
LOOK = 0.8  # seconds that the measurement takes


def measure_speed() -> float:
    """The speed of a product of two 2048x2048 float32 matrices here, in GFLOP/s.

    The fastest of the products in a second counts, since other programs only slow it.
    """
    a, b = torch.ones(2, SIZE, SIZE)
    a @ b  # the first product starts the threads
    best, end = float("inf"), time.perf_counter() + LOOK
    while (began := time.perf_counter()) < end:
        a @ b
        best = min(best, time.perf_counter() - began)
    # One multiplication and one addition for each of SIZE**3 products.
    return 2 * SIZE**3 / best / 1e9


def measure_work(
    work: Callable[[], object], device: torch.device
) -> tuple[float, float]:
    """The GFLOP of some work, and its seconds: the better of two times.

    torch counts products and convolutions, but no gradient of a gradient.
    """
    with FlopCounterMode(display=False) as counter:
        work()
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return counter.get_total_flops() / 1e9, min(seconds)


def estimate_minutes(series: str, scale: str, speed: float) -> float | None:
    """How many minutes a whole series takes at a scale on this processor.

    The time is that of the machine which measured it (`MINUTES` of the series), scaled
    by the speeds of both.

    Args:
        series: the series' name.
        scale: one of `settings.SCALES`.
        speed: of this machine in GFLOP/s, as `measure_speed` gives it.

    Returns:
        The minutes, or None where nobody has measured this series at this scale.
    """
    measured = _read_minutes(series, scale)
    if measured is None:
        return None
    minutes, gflops = measured
    return float(minutes * gflops / speed)


def describe_estimate(series: str, scale: str, speed: float) -> str:
    """One sentence on how long a series will take here; see `estimate_minutes`."""
    minutes = estimate_minutes(series, scale, speed)
    if minutes is None:
        return f"{series} at scale {scale}: nobody has measured how long it takes"
    text = f"{series} at scale {scale}: about {minutes:.0f} minutes here"
    return f"{text}, without a GPU and in float32; bfloat16 in hardware is faster"


def describe_minutes(series: str, scale: str) -> str:
    """How long a whole series took at a scale: as measured, or as it was published."""
    if measured := _read_minutes(series, scale):
        minutes, gflops = measured
        return f"{minutes:g} min at {gflops:g} GFLOP/s"
    published = load_reference(series) if scale == PUBLISHED else None
    return NOT_MEASURED if published is None else describe_length(published)


def tabulate_minutes(series: str) -> list[str]:
    """One line a scale: what it is for, and how long the whole series took there."""
    return [
        f"{scale:<10} {purpose:<40}  {describe_minutes(series, scale)}"
        for scale, purpose in PURPOSES.items()
    ]


def _read_minutes(series: str, scale: str) -> tuple[float, float] | None:
    """Minutes and GFLOP/s, as the series declares them; None where nobody measured."""
    found: tuple[float, float] | None = getattr(load_series(series), "MINUTES", {}).get(
        scale
    )
    return found
