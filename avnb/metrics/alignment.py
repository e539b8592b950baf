"""AV-Align: whether the picture moves when the sound begins (Yariv et al. 2023)."""

import itertools
from collections.abc import Hashable, Sequence

import cv2
import librosa
import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from avnb.media import Number
from avnb.metrics.intervals import bootstrap_interval
from avnb.metrics.measure import Measure

LEAST = 0.1  # pixels a frame: below, nothing moves
Times = Float[np.ndarray, " _"]  # seconds, in order


def sound_peaks(waveform: Float[Tensor, " samples"], sample_rate: int) -> Times:
    """Onsets in seconds, as librosa finds them."""
    found = librosa.onset.onset_detect(
        y=waveform.numpy(force=True), sr=sample_rate, units="time"
    )
    return np.asarray(found, dtype=float)


def motion(frames: UInt8[Tensor, "time 3 height width"]) -> Float[np.ndarray, " _"]:
    """Mean length of Farnebäck's flow, in pixels, between each two frames."""
    pictures = frames.permute(0, 2, 3, 1).numpy(force=True)
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
    lengths = []
    for before, after in itertools.pairwise(grey):
        flow = cv2.calcOpticalFlowFarneback(
            before,
            after,
            np.empty((*before.shape, 2), np.float32),
            pyr_scale=0.5,
            levels=3,
            winsize=15,
            iterations=3,
            poly_n=5,
            poly_sigma=1.2,
            flags=0,
        )
        lengths.append(np.hypot(flow[..., 0], flow[..., 1]).mean())
    return np.array(lengths, dtype=float)


def motion_peaks(
    frames: UInt8[Tensor, "time 3 height width"], fps: Number, least: float = LEAST
) -> Times:
    """When the flow is larger than before and after, and ≥ `least` pixels, in seconds.

    The flow between two frames counts as of the time halfway between them. It grows
    with the resolution: compare at one size only.
    """
    flow = motion(frames)
    inside = flow[1:-1]
    peak = (inside > flow[:-2]) & (inside > flow[2:]) & (inside >= least)
    return (np.flatnonzero(peak) + 1.5) / float(fps)


def count_matches(first: Times, second: Times, window: float) -> int:
    """The most pairs, each time in one pair at most, no further apart than `window`."""
    i = j = count = 0
    while i < len(first) and j < len(second):
        if abs(first[i] - second[j]) <= window:
            i, j, count = i + 1, j + 1, count + 1
        elif first[i] < second[j]:
            i += 1
        else:
            j += 1
    return count


def peak_agreement(sound: Times, picture: Times, window: float) -> float:
    """Matched peaks over all peaks, from 0 to 1; 1 where neither has any."""
    count = count_matches(sound, picture, window)
    union = len(sound) + len(picture) - count
    return count / union if union else 1.0


def _measure(
    name: str,
    sound: Sequence[Times],
    picture: Sequence[Times],
    window: float,
    recordings: Sequence[Hashable] | None,
    seed: int,
) -> Measure:
    pairs = list(zip(sound, picture, strict=True))
    values = np.array([peak_agreement(a, b, window) for a, b in pairs])
    low, high = bootstrap_interval(values, recordings, seed=seed)
    over = "clips" if recordings is None else f"{len(set(recordings))} recordings"
    empty = sum(len(a) + len(b) == 0 for a, b in pairs)
    return Measure(
        name,
        float(values.mean()),
        low,
        high,
        len(values),
        unit="fraction",
        seed=seed,
        note=f"{empty} clips without any peak count as 1; bootstrap over {over}",
    )


def av_align(
    generated: UInt8[Tensor, "clips time 3 height width"],
    waveforms: Float[Tensor, "clips samples"],
    fps: Number,
    sample_rate: int,
    recordings: Sequence[Hashable] | None = None,
    *,
    real: UInt8[Tensor, "clips time 3 height width"] | None = None,
    seed: int = 0,
) -> list[Measure]:
    """AV-Align, beside the rows that keep it honest.

    Onsets of the sound and peaks of the motion, matched one to one within a frame,
    over all of both. Generated; chance (each clip's picture with another's sound);
    where `real` is given, the real pictures. The first published version counted a
    peak twice, and is not comparable.
    """
    window = float(1 / fps) + 1e-9
    sound = [sound_peaks(waveform, sample_rate) for waveform in waveforms]
    moves = [motion_peaks(clip, fps) for clip in generated]
    # a shuffled cycle: every clip meets another clip's sound
    order = np.random.default_rng(seed).permutation(len(sound))
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    rows = {
        "AV-Align": (sound, moves),
        "AV-Align, another clip's sound (chance)": ([sound[k] for k in other], moves),
    }
    if real is not None:
        seen = [motion_peaks(clip, fps) for clip in real]
        rows["AV-Align, real pictures"] = (sound, seen)
    return [
        _measure(name, a, b, window, recordings, seed) for name, (a, b) in rows.items()
    ]
