"""STFT, mel, log-mel and MFCC of batches of waveforms, and decibels."""

import math
from collections.abc import Callable
from typing import Literal

import librosa
import numpy as np
import scipy.fft
import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

Waveform = Float[Tensor, "*batch samples"]
Spectrogram = Float[Tensor, "*batch bins frames"]

# A CPU is several times faster when a chunk's frames stay in its cache: about ten
# half-second clips at a time. A GPU takes the whole batch.
CPU_CHUNK = 2**18  # samples


def apply_in_chunks(transform: Callable[[Tensor], Tensor], waveform: Tensor) -> Tensor:
    """Apply a transform of rows over any leading axes, a few rows at a time.

    Args:
        transform: (rows, samples) -> (rows, bins, frames).
        waveform: (..., samples).

    Returns:
        (..., bins, frames).

    Raises:
        TypeError: the waveform holds whole numbers. int16 samples would be 32768 times
            too loud.
    """
    if not waveform.is_floating_point():
        raise TypeError(
            f"the waveform is {waveform.dtype}: features need floating point; "
            "divide int16 samples by 32768"
        )
    # (..., samples) -> (rows, samples), so that transforms know only one axis of clips
    rows = waveform.reshape(-1, waveform.shape[-1])
    size = len(rows)
    if waveform.device.type == "cpu":
        size = max(1, CPU_CHUNK // max(1, waveform.shape[-1]))
    if len(rows) <= size:
        out = transform(rows)
    else:
        out = torch.cat([transform(part) for part in torch.split(rows, size)])
    return out.reshape(*waveform.shape[:-1], *out.shape[-2:])


def compute_stft(
    rows: Float[Tensor, "rows samples"],
    n_fft: int,
    hop_length: int,
    *,
    hann: bool,
    win_length: int | None = None,
) -> Complex[Tensor, "rows bins frames"]:
    """Compute the centred, zero-padded STFT, as librosa.stft.

    Args:
        rows: waveforms.
        n_fft: samples of a frame.
        hop_length: samples from one frame to the next.
        hann: a Hann window; otherwise none (CQT's filters bring their own).
        win_length: samples of the window, n_fft by default.
    """
    make_window = torch.hann_window if hann else torch.ones
    length = n_fft if win_length is None else win_length
    return torch.stft(
        rows,
        n_fft,
        hop_length,
        length,
        # made anew each time: it follows the dtype and device of the waveform
        window=make_window(length, dtype=rows.dtype, device=rows.device),
        center=True,
        pad_mode="constant",  # torch's default mirrors the sound; librosa's is zeros
        return_complex=True,
    )


def _raise_magnitude(spectrum: Tensor, power: float) -> Tensor:
    """|spectrum| ** power; the power spectrum needs no square root.

    Without the root its gradient is also finite at silence.
    """
    if power == 2:
        return spectrum.real.square().addcmul(spectrum.imag, spectrum.imag)
    return spectrum.abs() if power == 1 else spectrum.abs().pow(power)


class STFT(nn.Module):
    """Magnitude of the short-time Fourier transform, |librosa.stft|.

    (..., samples) -> (..., n_fft // 2 + 1, 1 + samples // hop_length)

    Args:
        n_fft: samples of a frame.
        hop_length: samples from one frame to the next.
    """

    def __init__(self, n_fft: int = 2048, hop_length: int = 512) -> None:
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length

    def forward(self, waveform: Waveform) -> Spectrogram:
        """(..., samples) -> magnitude (..., bins, frames)."""
        return apply_in_chunks(
            lambda rows: compute_stft(
                rows, self.n_fft, self.hop_length, hann=True
            ).abs(),
            waveform,
        )


def make_mel_filters(
    sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float | None
) -> Float[Tensor, "mels bins"]:
    """Make librosa's triangular mel filters (Slaney's scale, each of area 1).

    Args:
        sample_rate: Hz.
        n_fft: samples of a frame of the STFT.
        n_mels: how many filters.
        f_min: where the lowest begins, Hz.
        f_max: where the highest ends, Hz; None: half the sample rate.
    """
    top = sample_rate / 2 if f_max is None else f_max
    if not 0 <= f_min < top <= sample_rate / 2:
        raise ValueError(
            f"f_min={f_min} and f_max={top} Hz must satisfy "
            f"0 <= f_min < f_max <= {sample_rate / 2} (half the sample rate)"
        )
    return torch.from_numpy(
        librosa.filters.mel(
            sr=sample_rate, n_fft=n_fft, n_mels=n_mels, fmin=f_min, fmax=f_max
        )
    )


def _find_bands(
    basis: Float[Tensor, "mels bins"], parts: int = 4
) -> list[tuple[slice, slice]]:
    """Neighbouring mel filters, and the bins outside of which they are all zero.

    Each filter touches few bins: in four bands the product is a quarter of the work.
    """
    found = []
    # beside the basis: a model that is built without memory has its own device
    for mels in torch.arange(len(basis), device=basis.device).chunk(parts):
        rows = slice(int(mels[0]), int(mels[-1]) + 1)
        used = torch.nonzero(basis[rows].any(dim=0))[:, 0].tolist() or [0]
        found.append((rows, slice(used[0], used[-1] + 1)))
    return found


class Mel(nn.Module):
    """Mel spectrogram, librosa.feature.melspectrogram: Slaney's scale and norm.

    (..., samples) -> (..., n_mels, 1 + samples // hop_length).

    Args:
        sample_rate: Hz.
        n_fft: samples of a frame.
        hop_length: samples from one frame to the next.
        n_mels: how many bands.
        f_min: where the lowest begins, Hz.
        f_max: where the highest ends, Hz; None: half the sample rate.
        power: exponent of the magnitude: 2 for energy (librosa's default), 1 for
            amplitude.
        win_length: samples of the window, at most n_fft, which it is by default.
    """

    basis: Tensor

    def __init__(
        self,
        sample_rate: int = 44100,
        n_fft: int = 2048,
        hop_length: int = 512,
        n_mels: int = 128,
        f_min: float = 0.0,
        f_max: float | None = None,
        power: float = 2.0,
        win_length: int | None = None,
    ) -> None:
        super().__init__()
        self.n_fft, self.hop_length, self.power = n_fft, hop_length, power
        self.win_length = win_length
        basis = make_mel_filters(sample_rate, n_fft, n_mels, f_min, f_max)
        # Not in checkpoints: it follows from the arguments. A buffer, so that it moves
        # to the GPU with the model.
        self.register_buffer("basis", basis, persistent=False)
        self.bands = _find_bands(basis)

    def forward(self, waveform: Waveform) -> Spectrogram:
        """(..., samples) -> (..., mels, frames)."""
        return apply_in_chunks(self.transform_chunk, waveform)

    def transform_chunk(
        self, rows: Float[Tensor, "rows samples"]
    ) -> Float[Tensor, "rows mels frames"]:
        """The same for a few clips at once, for other transforms to build on."""
        basis = self.basis.to(rows.dtype)  # double in gradient checks
        spectrum = compute_stft(
            rows, self.n_fft, self.hop_length, hann=True, win_length=self.win_length
        )
        # frames before bins: one matrix product a band for the whole chunk
        energy = _raise_magnitude(spectrum, self.power).mT
        parts = [energy[..., b] @ basis[m, b].T for m, b in self.bands]
        return torch.cat(parts, dim=-1).mT


class LogMel(nn.Module):
    """Log-mel spectrogram in dB, librosa.power_to_db of the mel energies.

    (..., samples) -> (..., n_mels, frames). The paper's 128x44 picture of half a second
    at 44.1 kHz is `scale_db(LogMel(ref="max")(waveform))` (Chen et al. 2017, Sec. 3.3).

    Args:
        sample_rate: Hz.
        n_fft: samples of a frame.
        hop_length: samples from one frame to the next.
        n_mels: how many bands.
        f_min: where the lowest begins, Hz.
        f_max: where the highest ends, Hz; None: half the sample rate.
        ref: the mel energy that is 0 dB. A fixed number keeps the loudness between
            clips; "max" sets each clip's own loudest point to 0 dB, and then `scale_db`
            clips nothing.
        top_db: how far below its own maximum a clip may reach; None: any distance.
    """

    def __init__(
        self,
        sample_rate: int = 44100,
        n_fft: int = 2048,
        hop_length: int = 512,
        n_mels: int = 128,
        f_min: float = 0.0,
        f_max: float | None = None,
        ref: float | Literal["max"] = 1.0,
        top_db: float | None = 80.0,
    ) -> None:
        super().__init__()
        self.mel = Mel(sample_rate, n_fft, hop_length, n_mels, f_min, f_max, power=2.0)
        self.ref: float | Literal["max"] = ref
        self.top_db = top_db

    def forward(self, waveform: Waveform) -> Spectrogram:
        """(..., samples) -> dB (..., mels, frames)."""
        return apply_in_chunks(
            lambda rows: power_to_db(
                self.mel.transform_chunk(rows), ref=self.ref, top_db=self.top_db
            ),
            waveform,
        )


class MFCC(nn.Module):
    """Mel-frequency cepstral coefficients, librosa.feature.mfcc.

    (..., samples) -> (..., n_mfcc, frames): the orthonormal DCT-II over the bands of a
    log-mel spectrogram (ref 1, top_db 80).

    Args:
        sample_rate: Hz.
        n_mfcc: how many coefficients, at most n_mels.
        n_fft: samples of a frame.
        hop_length: samples from one frame to the next.
        n_mels: how many bands.
        f_min: where the lowest begins, Hz.
        f_max: where the highest ends, Hz; None: half the sample rate.
    """

    basis: Tensor

    def __init__(
        self,
        sample_rate: int = 44100,
        n_mfcc: int = 20,
        n_fft: int = 2048,
        hop_length: int = 512,
        n_mels: int = 128,
        f_min: float = 0.0,
        f_max: float | None = None,
    ) -> None:
        super().__init__()
        if not 1 <= n_mfcc <= n_mels:
            raise ValueError(f"n_mfcc={n_mfcc} must be from 1 to n_mels={n_mels}")
        # ref and top_db stay at librosa's defaults, which its mfcc uses
        self.log_mel = LogMel(sample_rate, n_fft, hop_length, n_mels, f_min, f_max)
        # The DCT of the unit vectors is its matrix.
        dct = scipy.fft.dct(np.eye(n_mels), axis=0, type=2, norm="ortho")[:n_mfcc]
        self.register_buffer(
            "basis", torch.tensor(dct, dtype=torch.float32), persistent=False
        )

    def forward(self, waveform: Waveform) -> Spectrogram:
        """(..., samples) -> (..., coefficients, frames)."""
        log_mel: Tensor = self.log_mel(waveform)
        return self.basis.to(waveform.dtype) @ log_mel


# ---------------------------------------------------------------------- decibels


def power_to_db(
    power: Spectrogram,
    *,
    ref: float | Literal["max"] = 1.0,
    top_db: float | None = 80.0,
) -> Spectrogram:
    """10 log10(power / ref), librosa.power_to_db, a clip at a time.

    The maximum for `ref="max"` and `top_db` is over each clip's last two axes;
    librosa's is over the whole array that it gets, so there a batch would couple its
    clips.

    Args:
        power: (..., bins, frames).
        ref: the power that is 0 dB; "max": each clip's largest.
        top_db: how far below its own maximum a clip may reach; None: any distance.
    """
    floor = 1e-10  # librosa's amin: -100 dB instead of the logarithm of 0
    db = 10 * power.clamp(min=floor).log10()
    peak = db.amax((-2, -1), keepdim=True)  # (..., 1, 1)
    if top_db is not None:
        db = torch.maximum(db, peak - top_db)
    return db - (peak if ref == "max" else 10 * math.log10(max(floor, ref)))


def db_to_power(db: Spectrogram, *, ref: float = 1.0) -> Spectrogram:
    """The inverse of `power_to_db`: ref * 10 ** (dB / 10)."""
    power: Tensor = 10 ** (db / 10)
    return ref * power


def scale_db(
    db: Float[Tensor, "*shape"], low: float = -80.0, high: float = 0.0
) -> Float[Tensor, "*shape"]:
    """Scale the fixed range low..high dB to a network's -1..1; clip what is outside."""
    return (db.clamp(low, high) - low) * (2 / (high - low)) - 1


def unscale_db(
    scaled: Float[Tensor, "*shape"], low: float = -80.0, high: float = 0.0
) -> Float[Tensor, "*shape"]:
    """The inverse of `scale_db`: -1..1 to low..high dB."""
    return (scaled + 1) * ((high - low) / 2) + low
