"""The constant-Q transform, equal to librosa's, on batches and with gradients."""

import math

import librosa
import numpy as np
import soxr
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from avnb.features.spectrograms import (
    Spectrogram,
    Waveform,
    apply_in_chunks,
    compute_stft,
)

SOXR_REACH = 96  # outputs before and after, beyond which soxr_hq's taps are below 1e-7
SOXR_EARLY = 4  # times the factor: first inputs that soxr_hq treats otherwise
BLOCK = 128  # outputs of the decimation that one column of a matrix product makes


class CQT(nn.Module):
    """Magnitude of the constant-Q transform, |librosa.cqt| with its defaults.

    (..., samples) -> (..., n_bins, frames). Octave by octave from the top: filter,
    halve the sample rate, filter the next. librosa halves with soxr's `soxr_hq`. That
    is a fixed linear filter, so its impulse response, read off soxr once, does the
    same here as a strided convolution.

    Args:
        sample_rate: Hz.
        hop_length: samples from one frame to the next.
        n_bins: how many, from the lowest on.
        bins_per_octave: 12 are semitones.
        f_min: the lowest bin's centre, Hz; C1 by default.

    Source:
        Schörkhuber and Klapuri 2010, Constant-Q transform toolbox for music processing.
    """

    def __init__(
        self,
        sample_rate: int = 44100,
        hop_length: int = 512,
        n_bins: int = 84,
        bins_per_octave: int = 12,
        f_min: float | None = None,
    ) -> None:
        super().__init__()
        if n_bins < 2:
            raise ValueError(f"n_bins={n_bins} must be 2 or more")
        f_min = float(librosa.note_to_hz("C1")) if f_min is None else f_min
        freqs = librosa.cqt_frequencies(
            n_bins, fmin=f_min, bins_per_octave=bins_per_octave
        )
        # Where the highest filter ends, not its centre, must lie below Nyquist's limit.
        _, cutoff = librosa.filters.wavelet_lengths(freqs=freqs, sr=sample_rate)
        if cutoff > sample_rate / 2:
            raise ValueError(
                f"the highest of {n_bins} bins, {freqs[-1]:.0f} Hz, reaches beyond "
                f"half the sample rate {sample_rate}: use fewer bins or a lower f_min"
            )
        octaves = math.ceil(n_bins / bins_per_octave)
        factor = _find_early_factor(sample_rate / 2, cutoff, hop_length, octaves)
        self.steps: list[tuple[int, int]] = []  # (decimation before, hop) an octave
        self._add_octaves(
            freqs, bins_per_octave, sample_rate / factor, factor, hop_length // factor
        )
        # One filter for each way of decimating, shared by the octaves that use it.
        for factor in {factor for factor, _ in self.steps} - {1}:
            taps, head = _measure_soxr_filter(factor)
            shifted = _shift_taps(taps, factor)
            self.register_buffer(f"taps{factor}", shifted, persistent=False)
            self.register_buffer(f"head{factor}", head, persistent=False)

    def _add_octaves(
        self,
        freqs: NDArray[np.float64],
        bins_per_octave: int,
        rate: float,
        factor: int,
        hop: int,
    ) -> None:
        """Make the filters of each octave, from the top; `rate` is the top's, in Hz."""
        # librosa scales by the lengths that all the filters have at the top's rate
        lengths, _ = librosa.filters.wavelet_lengths(freqs=freqs, sr=rate)
        gain = 1 / np.sqrt(lengths)
        top_rate = rate
        for octave in range(math.ceil(len(freqs) / bins_per_octave)):
            stop = len(freqs) - octave * bins_per_octave
            part = slice(max(0, stop - bins_per_octave), stop)
            basis = _make_wavelets(freqs, part, rate)
            basis = basis * (gain[part] * math.sqrt(top_rate / rate))[:, None]
            self.steps.append((factor, hop))
            self.register_buffer(
                f"basis{octave}",
                torch.tensor(basis, dtype=torch.complex64),
                persistent=False,
            )
            # an odd hop cannot be halved: the octaves below keep this rate
            factor = 2 if hop % 2 == 0 else 1
            rate, hop = rate / factor, hop // factor

    def forward(self, waveform: Waveform) -> Spectrogram:
        """(..., samples) -> magnitude (..., bins, frames)."""
        return apply_in_chunks(self._transform_rows, waveform)

    def _transform_rows(self, rows: Tensor) -> Tensor:
        responses = []
        for octave, (factor, hop) in enumerate(self.steps):
            if factor > 1:
                taps = getattr(self, f"taps{factor}")
                head = getattr(self, f"head{factor}")
                rows = _decimate(rows, taps, head, factor)
            basis = getattr(self, f"basis{octave}")
            if rows.dtype == torch.float64:
                basis = basis.to(torch.complex128)
            n_fft = 2 * (basis.shape[-1] - 1)
            spectrum = compute_stft(rows, n_fft, hop, hann=False)
            # frames before bins, for one matrix product over the whole chunk
            responses.append((spectrum.mT @ basis.T).mT)
        # Rounded lengths differ by a frame between octaves; librosa cuts likewise.
        frames = min(response.shape[-1] for response in responses)
        return torch.cat([r[..., :frames] for r in reversed(responses)], -2).abs()


def _find_early_factor(nyquist: float, cutoff: float, hop: int, octaves: int) -> int:
    """By how much librosa.cqt lowers the sample rate before the top octave."""
    by_cutoff = max(0, math.ceil(math.log2(nyquist / cutoff)) - 2)
    # How often the hop can be halved, less what the octaves below the top need.
    twos = (hop & -hop).bit_length() - 1
    by_hop = max(0, twos - octaves + 1)
    return int(2 ** min(by_cutoff, by_hop))


def _make_wavelets(
    freqs: NDArray[np.float64], part: slice, sample_rate: float
) -> NDArray[np.complex64]:
    """The octave freqs[part]'s filters in the frequency domain, (bins, n_fft/2+1)."""
    # the bandwidth comes from the whole scale, whose octaves are alike
    ratio = (freqs[1] / freqs[0]) ** 2
    basis, lengths = librosa.filters.wavelet(
        freqs=freqs[part], sr=sample_rate, alpha=float((ratio - 1) / (ratio + 1))
    )
    n_fft = basis.shape[1]  # librosa pads to a power of two
    spectrum = np.fft.fft(basis * (lengths[:, None] / n_fft))[:, : n_fft // 2 + 1]
    # librosa drops the smallest 1 % of each filter, which the numbers show
    sparse = librosa.util.sparsify_rows(spectrum.astype(np.complex64), quantile=0.01)
    return np.asarray(sparse.todense())


def _measure_soxr_filter(factor: int) -> tuple[Tensor, Tensor]:
    """soxr_hq's decimation by `factor`: its impulse response and its start-up.

    soxr decimates by 4 and more in stages, and each drops what comes before time zero.
    So the first outputs get something else from the first inputs than the steady
    filter would give them.

    Returns:
        taps: (2 * 96 * factor + 1,); beyond, nothing above 1e-7.
        head: (96, 4 * factor), what the first outputs get from the first inputs
            otherwise than by the taps.
    """
    reach, early = SOXR_REACH * factor, SOXR_EARLY * factor
    # Impulses at each of the first inputs, and at each phase far from both ends.
    at = np.r_[0:early, 2 * reach : 2 * reach + factor]
    impulses = np.zeros((4 * reach, len(at)))
    impulses[at, np.arange(len(at))] = 1
    out = soxr.resample(impulses, factor, 1, quality="soxr_hq")
    out *= math.sqrt(factor)  # librosa's scale=True keeps the energy
    # output m meets an impulse at sample p with the tap p - m * factor + reach
    tap = at - factor * np.arange(len(out))[:, None] + reach
    inside = (tap >= 0) & (tap <= 2 * reach)
    taps = np.zeros(2 * reach + 1)
    steady = inside & (at >= early)
    taps[tap[steady]] = out[steady]
    by_taps = np.where(inside, taps[np.clip(tap, 0, 2 * reach)], 0)
    head = (out - by_taps)[:SOXR_REACH, :early]
    return torch.from_numpy(taps).float(), torch.from_numpy(head).float()


def _shift_taps(taps: Tensor, factor: int) -> Tensor:
    """BLOCK copies of the taps, each `factor` samples after the one before.

    One output of the decimation is a convolution with one filter, which no library
    computes fast. BLOCK outputs at once are a convolution with BLOCK filters and
    a stride of BLOCK * factor: one matrix product, ten times faster on a CPU.

    Returns:
        (BLOCK, 1, len(taps) + (BLOCK - 1) * factor).
    """
    shifted = torch.zeros(BLOCK, 1, len(taps) + (BLOCK - 1) * factor)
    for row in range(BLOCK):
        shifted[row, 0, row * factor : row * factor + len(taps)] = taps
    return shifted


def _decimate(
    rows: Float[Tensor, "rows samples"], shifted: Tensor, head: Tensor, factor: int
) -> Float[Tensor, "rows fewer"]:
    """(rows, samples) -> (rows, ceil(samples / factor)), as librosa.resample."""
    n = rows.shape[-1]
    fewer = -(-n // factor)
    stride = BLOCK * factor
    before = SOXR_REACH * factor  # the first output's filter is centred on sample 0
    after = (-(-fewer // BLOCK) - 1) * stride + shifted.shape[-1] - before - n
    padded = F.pad(rows[:, None], (before, after))
    out = F.conv1d(padded, shifted.to(rows.dtype), stride=stride)
    # (rows, BLOCK, blocks) -> (rows, blocks * BLOCK), in the order of time
    out = out.mT.flatten(1)[:, :fewer]
    # A short sound has fewer outputs and inputs than the head corrects.
    head = head[: out.shape[-1], :n].to(rows.dtype)
    start = rows[:, : head.shape[1]] @ head.T
    out = out + F.pad(start, (0, out.shape[-1] - start.shape[-1]))
    # soxr rounds its length, librosa then pads with a zero up to the ceiling
    rounded = (2 * n + factor) // (2 * factor)
    return F.pad(out[:, :rounded], (0, out.shape[-1] - rounded))
