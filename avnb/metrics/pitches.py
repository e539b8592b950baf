"""Pitch entropy: how many different pitches sounds have, in bits.

The pitches are counted in CREPE's 360 bins of 20 cents from C1 (32.70 Hz) on. They are
found by pYIN (librosa), which also says which frames have a pitch at all.

Source: Engel et al. 2019, GANSynth, Sec. 4 (pitch entropy); Kim et al. 2018, CREPE (the
bins); Mauch & Dixon 2014, pYIN.
"""

from collections.abc import Sequence

import librosa
import numpy as np
import scipy
from jaxtyping import Float, Int
from torch import Tensor

from avnb.metrics.intervals import Units, bootstrap_interval, jackknife_interval
from avnb.metrics.measure import Measure

LOWEST, HIGHEST = 32.70, 1975.5  # Hz: CREPE's first bin and pYIN's last, C1 to B6
BINS, PER_OCTAVE = 360, 60  # of 20 cents
Bins = Int[np.ndarray, " _"]  # of the voiced frames: as many as there are


def find_pitch_bins(waveform: Float[Tensor, " samples"], sample_rate: int) -> Bins:
    """Find the pitch of each frame that has one, as the number of its bin.

    Args:
        waveform: at least 2048 samples.
        sample_rate: Hz.
    """
    with np.errstate(invalid="ignore", divide="ignore"):  # of silent frames
        hz, voiced, _ = librosa.pyin(
            waveform.numpy(force=True).astype(np.float32),
            fmin=LOWEST,
            fmax=HIGHEST,
            sr=sample_rate,
            frame_length=2048,
            hop_length=512,
            resolution=12 / PER_OCTAVE,
        )
    steps = PER_OCTAVE * np.log2(hz[voiced] / LOWEST)
    bins: Bins = np.clip(np.round(steps), 0, BINS - 1).astype(np.int64)
    return bins


def compute_entropy(bins: Bins) -> float:
    """The entropy of the histogram of bins, in bits; 0 where there are none."""
    counts = np.bincount(bins, minlength=BINS)
    return float(scipy.stats.entropy(counts, base=2)) if len(bins) else 0.0


def pitch_entropy(
    pitches: Sequence[Bins], units: Units | None = None, *, seed: int = 0
) -> tuple[Measure, Measure]:
    """Compute the pitch entropy of sounds: of all together, and of each on its own.

    The two say different things. The first is low where a generator makes few pitches
    in all, which is a loss. The second is low where each sound has few pitches, as a
    clear tone has.

    Args:
        pitches: `find_pitch_bins` of each sound.
        units: the unit of each sound, for the interval.
        seed: of the resampling.

    Returns:
        The entropy of the pitches of all voiced frames of all sounds, and the mean of
        the entropies of the sounds that have any.

    Raises:
        ValueError: there are no sounds.
    """
    if not pitches:
        raise ValueError("there are no sounds: give one or more")
    value, low, high = jackknife_interval(
        lambda kept: compute_entropy(np.concatenate([pitches[i] for i in kept[0]])),
        (len(pitches),),
        None if units is None else (units,),
        seed=seed,
    )
    frames = sum(len(one) for one in pitches)
    note = f"{frames} voiced frames, pYIN, {BINS} bins of 20 cents"
    together = Measure(
        "pitch entropy, marginal", value, min(max(low, 0.0), value), high,
        len(pitches), "sounds", "bits", note=f"{note}; jackknife",
    )  # fmt: skip
    has = [i for i, one in enumerate(pitches) if len(one)]
    values = np.array([compute_entropy(pitches[i]) for i in has] or [0.0])
    names = None if units is None or not has else [units[i] for i in has]
    low, high = bootstrap_interval(values, names, seed=seed)
    mean = float(values.mean())
    each = Measure(
        "pitch entropy, per sound", mean, low, high, len(has), "voiced sounds", "bits",
        note=f"{note}; bootstrap",
    )  # fmt: skip
    return together, each
