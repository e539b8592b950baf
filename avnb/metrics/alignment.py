"""AV-Align: whether the picture moves when the sound begins.

Source: Yariv et al. 2023, Diverse and Aligned Audio-to-Video Generation via
Text-to-Video Model Adaptation.
"""

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

MIN_MOTION = 0.1  # pixels a frame; less is noise of the optical flow
Times = Float[np.ndarray, " _"]  # seconds, in order


def find_onsets(waveform: Float[Tensor, " samples"], sample_rate: int) -> Times:
    """Find the onsets of a sound with librosa, in seconds."""
    # librosa takes NumPy arrays. `force` copies from a GPU, and without a gradient.
    found = librosa.onset.onset_detect(
        y=waveform.numpy(force=True), sr=sample_rate, units="time"
    )
    return np.asarray(found, dtype=float)


def measure_motion(
    frames: UInt8[Tensor, "time 3 height width"],
) -> Float[np.ndarray, " _"]:
    """Measure how far the picture moves between each two frames.

    Args:
        frames: uint8, RGB.

    Returns:
        (time - 1,) the mean length of Farnebäck's optical flow, in pixels.
    """
    pictures = frames.permute(0, 2, 3, 1).numpy(force=True)
    # OpenCV wants (height, width, 3), and Farnebäck's method one grey channel.
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
    lengths = []
    for before, after in itertools.pairwise(grey):
        flow = cv2.calcOpticalFlowFarneback(
            before,
            after,
            # OpenCV writes the flow here; these are the parameters of its own example.
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


def find_motion_peaks(
    frames: UInt8[Tensor, "time 3 height width"],
    fps: Number,
    least: float = MIN_MOTION,
) -> Times:
    """Find the moments at which the picture moves more than before and after.

    Args:
        frames: uint8, RGB.
        fps: frames a second.
        least: pixels that a peak must reach. The flow in pixels grows with the
            resolution, so compare at one size only.

    Returns:
        Seconds, in order.
    """
    flow = measure_motion(frames)
    # The first and the last value have one neighbour only, so they cannot be peaks.
    inside = flow[1:-1]
    # A plateau has no peak: both comparisons are strict.
    peak = (inside > flow[:-2]) & (inside > flow[2:]) & (inside >= least)
    # `inside` begins at 1, and flow k lies halfway between frames k and k + 1.
    return (np.flatnonzero(peak) + 1.5) / float(fps)


def match_events(first: Times, second: Times, window: float) -> list[tuple[int, int]]:
    """Pair two lists of times one to one, in as many pairs as there can be.

    Each time is in one pair at most. Taking the earliest pair that fits is the best
    choice when both lists are in order.

    Args:
        first: seconds, in order.
        second: seconds, in order.
        window: how far apart the two times of a pair may be, in seconds.

    Returns:
        (place in `first`, place in `second`) of each pair.
    """
    i = j = 0
    pairs = []
    while i < len(first) and j < len(second):
        if abs(first[i] - second[j]) <= window:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        # The earlier time has no partner left: all later ones are further away.
        elif first[i] < second[j]:
            i += 1
        else:
            j += 1
    return pairs


def peak_agreement(sound: Times, picture: Times, window: float) -> float:
    """Compute matched peaks over all peaks: from 0 to 1, and 1 where there are none.

    A matched pair counts once, as in an intersection over union.

    Args:
        sound: onsets in seconds, in order.
        picture: peaks of the motion in seconds, in order.
        window: how far apart the two times of a pair may be, in seconds.
    """
    count = len(match_events(sound, picture, window))
    union = len(sound) + len(picture) - count
    return count / union if union else 1.0


def _measure_agreement(
    name: str,
    sound: Sequence[Times],
    picture: Sequence[Times],
    window: float,
    units: Sequence[Hashable] | None,
    seed: int,
) -> Measure:
    pairs = list(zip(sound, picture, strict=True))
    values = np.array([peak_agreement(a, b, window) for a, b in pairs])
    low, high = bootstrap_interval(values, units, seed=seed)
    over = "clips" if units is None else f"{len(set(units))} units"
    # Two clips in which nothing happens agree, but say little: the note counts them.
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
    units: Sequence[Hashable] | None = None,
    *,
    real: UInt8[Tensor, "clips time 3 height width"] | None = None,
    seed: int = 0,
) -> list[Measure]:
    """Compute AV-Align, with the baselines to read beside it.

    Onsets of the sound and peaks of the motion are matched one to one, no more than a
    frame apart; the value is the number of pairs over the number of all peaks. The
    first published version counted some peaks twice, so its values cannot be compared.

    Args:
        generated: uint8, RGB.
        waveforms: the sound of each clip.
        fps: frames a second.
        sample_rate: of the sound, in hertz.
        units: the unit of each clip, for the interval.
        real: the real pictures of the same clips.
        seed: of the shuffle and of the bootstrap.

    Returns:
        The generated clips; chance, which is each clip's picture with another clip's
        sound; and, where `real` is given, the real pictures.
    """
    window = float(1 / fps) + 1e-9  # a frame; rounding must not exclude its end
    sound = [find_onsets(waveform, sample_rate) for waveform in waveforms]
    moves = [find_motion_peaks(clip, fps) for clip in generated]
    # A shuffled cycle, not a permutation: every clip meets another clip's sound.
    order = np.random.default_rng(seed).permutation(len(sound))
    other = np.empty_like(order)
    # Clip order[k] gets the sound of clip order[k - 1].
    other[order] = np.roll(order, 1)
    rows = {
        "AV-Align": (sound, moves),
        "AV-Align, another clip's sound (chance)": ([sound[k] for k in other], moves),
    }
    if real is not None:
        seen = [find_motion_peaks(clip, fps) for clip in real]
        rows["AV-Align, real pictures"] = (sound, seen)
    return [
        _measure_agreement(name, a, b, window, units, seed)
        for name, (a, b) in rows.items()
    ]
