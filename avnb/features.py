"""Waveform to STFT, mel, log-mel, MFCC and CQT, and back to sound.

Every transform is an `nn.Module` that takes (..., samples) and gives
(..., bins, frames): each leading index is a clip of its own. The numbers are
librosa's (its defaults: centred frames, zero padding, periodic Hann window,
Slaney mels), on CPU or GPU, for whole batches, and gradients flow through.
"""

import math
from collections.abc import Callable
from typing import Literal

import librosa
import numpy as np
import scipy.fft
import soxr
import torch
import torchaudio
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn import functional as F

Waveform = Float[Tensor, "*batch samples"]
Spectrogram = Float[Tensor, "*batch bins frames"]

# A CPU is several times faster when a chunk's frames stay in its cache: about ten
# half-second clips at a time.
CPU_CHUNK = 2**18  # samples
CHUNK_COLUMNS = 8  # of a `ChunkFeatures` chunk: Redondo 2024's A, 85 ms


def _in_chunks(transform: Callable[[Tensor], Tensor], waveform: Tensor) -> Tensor:
    """`transform` (rows, samples) -> (rows, bins, frames) over any leading dims."""
    if not waveform.is_floating_point():
        raise TypeError(
            f"the waveform is {waveform.dtype}: features need floating point; "
            "divide int16 samples by 32768"
        )
    rows = waveform.reshape(-1, waveform.shape[-1])
    size = len(rows)
    if waveform.device.type == "cpu":
        size = max(1, CPU_CHUNK // max(1, waveform.shape[-1]))
    if len(rows) <= size:
        out = transform(rows)
    else:
        out = torch.cat([transform(part) for part in rows.split(size)])
    return out.reshape(*waveform.shape[:-1], *out.shape[-2:])


def _stft(
    rows: Float[Tensor, "rows samples"],
    n_fft: int,
    hop_length: int,
    *,
    hann: bool,
    win_length: int | None = None,
) -> Complex[Tensor, "rows bins frames"]:
    """Centred, zero-padded STFT, as librosa.stft."""
    window = torch.hann_window if hann else torch.ones
    length = n_fft if win_length is None else win_length
    return torch.stft(
        rows,
        n_fft,
        hop_length,
        length,
        window=window(length, dtype=rows.dtype, device=rows.device),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )


def _power(spectrum: Tensor, power: float) -> Tensor:
    """|spectrum| ** power; the power spectrum needs no square root."""
    if power == 2:
        return spectrum.real.square().addcmul(spectrum.imag, spectrum.imag)
    return spectrum.abs() if power == 1 else spectrum.abs().pow(power)


class STFT(nn.Module):
    """Magnitude of the short-time Fourier transform, |librosa.stft|.

    (..., samples) -> (..., n_fft // 2 + 1, 1 + samples // hop_length)
    """

    def __init__(self, n_fft: int = 2048, hop_length: int = 512) -> None:
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length

    def forward(self, waveform: Waveform) -> Spectrogram:
        """(..., samples) -> magnitude (..., bins, frames)."""
        return _in_chunks(
            lambda rows: _stft(rows, self.n_fft, self.hop_length, hann=True).abs(),
            waveform,
        )


def _bands(
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

    (..., samples) -> (..., n_mels, 1 + samples // hop_length). `power` is the
    exponent of the magnitude: 2 for energy (librosa's default), 1 for amplitude.
    `win_length`: samples of the window, at most n_fft, which it is by default.
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
        basis = mel_basis(sample_rate, n_fft, n_mels, f_min, f_max)
        self.register_buffer("basis", basis, persistent=False)
        self.bands = _bands(basis)

    def forward(self, waveform: Waveform) -> Spectrogram:
        """(..., samples) -> (..., mels, frames)."""
        return _in_chunks(self.of_chunk, waveform)

    def of_chunk(
        self, rows: Float[Tensor, "rows samples"]
    ) -> Float[Tensor, "rows mels frames"]:
        """The same for a few clips at once."""
        basis = self.basis.to(rows.dtype)
        spectrum = _stft(
            rows, self.n_fft, self.hop_length, hann=True, win_length=self.win_length
        )
        # frames before bins: one matrix product a band for the whole chunk
        energy = _power(spectrum, self.power).mT
        parts = [energy[..., b] @ basis[m, b].T for m, b in self.bands]
        return torch.cat(parts, dim=-1).mT


class LogMel(nn.Module):
    """Log-mel spectrogram in dB, librosa.power_to_db of the mel energies.

    (..., samples) -> (..., n_mels, frames). `ref` is the mel energy that is 0 dB:
    a fixed number keeps the loudness between clips, "max" sets each clip's own
    loudest point to 0 dB (then `scale_db` clips nothing). `top_db` bounds each
    clip below its own maximum; None leaves it. The paper's 128x44 picture of half
    a second at 44.1 kHz is `scale_db(LogMel(ref="max")(waveform))` (Chen et al.
    2017, Sec. 3.3).
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
        return _in_chunks(
            lambda rows: power_to_db(
                self.mel.of_chunk(rows), ref=self.ref, top_db=self.top_db
            ),
            waveform,
        )


class ChunkFeatures(nn.Module):
    """One vector of sound a video frame (Redondo 2024, Sec. 3.1).

    (..., samples) -> dB (..., frames, n_mels). Log-mel bands of windows of 25 ms every
    10 ms (Φ); chunk t is Φ's columns H t to H t + A - 1, with H = 5 (at 20 fps) and
    A = 8, from the time of video frame t on; its vector is their mean. All values are
    in [-80, 0] dB: `scale_db` makes them -1..1.

    `reference`, what 0 dB is:
        "chunk": each chunk's own largest value, as in the released code. Loudness is
            lost, and digital silence, all of whose values are the largest, is 0 dB in
            every band: the opposite of a very quiet sound.
        "recording": the largest value of the whole waveform; silence is -80 dB.
        a number: the mel energy itself, so that other waveforms, or parts of one, are
            measured by the same rule: `measure_peak_energy` of the training part.

    The released code first resamples to 64 kHz. No band reaches above 7.5 kHz, so
    16 kHz gives the same bands (both have a bin each 31.25 Hz).
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        fps: float | int = 20,
        reference: Literal["chunk", "recording"] | float = "recording",
        n_mels: int = 64,
        f_min: float = 125.0,
        f_max: float = 7500.0,
    ) -> None:
        super().__init__()
        if sample_rate % 100:
            raise ValueError(
                f"sample_rate={sample_rate}: 10 ms of it are no whole samples; "
                "resample to 16000"
            )
        self.hop = round(100 / fps)  # H
        if not math.isclose(self.hop * fps, 100) or self.hop > CHUNK_COLUMNS:
            raise ValueError(
                f"fps={fps}: a frame must last 1 to {CHUNK_COLUMNS} hops of 10 ms; "
                "use 20"
            )
        known = reference in ("chunk", "recording")
        if not known and not (isinstance(reference, float) and reference > 0):
            raise ValueError(
                f'reference={reference!r}: "chunk", "recording" or a mel energy above 0'
            )
        self.reference: Literal["chunk", "recording"] | float = reference
        window = sample_rate // 40
        n_fft = 2 ** math.ceil(math.log2(window))
        self.mel = Mel(
            sample_rate, n_fft, sample_rate // 100, n_mels, f_min, f_max,
            win_length=window,
        )  # fmt: skip

    def forward(
        self, waveform: Waveform, frames: int | None = None
    ) -> Float[Tensor, "*batch frames n_mels"]:
        """(..., samples) -> dB (..., frames, n_mels).

        `frames`: how many; where the sound ends before the last chunk does, silence
        follows. By default those whose chunks are whole. Raises ValueError for samples
        that are not finite, and for a sound shorter than a chunk.
        """
        if not waveform.isfinite().all():
            bad = int((~waveform.isfinite()).sum())
            raise ValueError(
                f"{bad} of the waveform's {waveform.numel()} samples are not finite "
                "(nan or inf): read or clean the recording again"
            )
        step = self.mel.hop_length
        if frames is None:
            frames = (waveform.shape[-1] // step + 1 - CHUNK_COLUMNS) // self.hop + 1
        if frames < 1:
            raise ValueError(
                f"the sound of {waveform.shape[-1]} samples is shorter than a chunk of "
                f"{(CHUNK_COLUMNS - 1) * step}"
            )
        columns = self.hop * (frames - 1) + CHUNK_COLUMNS
        missing = max(0, (columns - 1) * step - waveform.shape[-1])
        energy = self.mel(F.pad(waveform, (0, missing)))
        # (..., mels, columns) -> (..., frames, mels, A)
        chunks = (
            energy[..., :columns].unfold(-1, CHUNK_COLUMNS, self.hop).transpose(-3, -2)
        )
        if self.reference == "chunk":
            return power_to_db(chunks, ref="max", top_db=80.0).mean(dim=-1)
        if self.reference == "recording":
            loudest = energy.amax((-2, -1))[..., None, None, None]
        else:
            loudest = energy.new_tensor(self.reference)
        share = chunks / loudest.clamp(min=torch.finfo(energy.dtype).tiny)
        return 10 * share.clamp(1e-8, 1.0).log10().mean(dim=-1)

    def measure_peak_energy(self, waveform: Waveform) -> float:
        """The largest mel energy of a waveform: a `reference` for others."""
        return float(self.mel(waveform).max())


class VGGishMel(nn.Module):
    """The log-mel picture of a sound that VGGish takes (Hershey et al. 2017).

    (..., samples) at 16 kHz -> (..., frames, 64), time first: ln(m + 0.01) of 64 bands
    m from 125 to 7,500 Hz of the *magnitude*, in windows of 25 ms every 10 ms. `frames`
    are those from the beginning, 96 (0.96 s) by default. Other than librosa's: windows
    begin at sample 0 (not centred) and the filters are triangles on HTK's mel scale;
    `hz` are their centres.
    Raises ValueError for a sound that is shorter than the frames.
    """

    SAMPLE_RATE, WINDOW, HOP, N_FFT = 16000, 400, 160, 512

    window: Tensor
    basis: Tensor

    def __init__(self, frames: int = 96) -> None:
        super().__init__()
        self.frames = frames
        self.samples = self.WINDOW + (frames - 1) * self.HOP
        self.register_buffer("window", torch.hann_window(self.WINDOW), persistent=False)
        low, high = _htk_mel(np.array([125.0, 7500.0])).tolist()
        edges = np.linspace(low, high, 64 + 2)[:, None]
        bins = _htk_mel(np.linspace(0, self.SAMPLE_RATE / 2, self.N_FFT // 2 + 1))
        self.hz: list[float] = (700 * np.expm1(edges[1:-1, 0] / 1127)).tolist()
        rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
        fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
        basis = torch.from_numpy(np.minimum(rise, fall).clip(0)).float().T.contiguous()
        self.register_buffer("basis", basis, persistent=False)

    def forward(self, waveform: Waveform) -> Float[Tensor, "*batch frames 64"]:
        """(..., samples) -> (..., frames, 64)."""
        if waveform.shape[-1] < self.samples:
            raise ValueError(
                f"{waveform.shape[-1]} samples: {self.frames} frames are "
                f"{self.samples} samples at {self.SAMPLE_RATE} Hz"
            )
        return _in_chunks(self._rows, waveform[..., : self.samples])

    def _rows(self, rows: Tensor) -> Tensor:
        windows = rows.unfold(-1, self.WINDOW, self.HOP) * self.window.to(rows.dtype)
        magnitude = torch.fft.rfft(windows, self.N_FFT).abs()
        return (magnitude @ self.basis.to(rows.dtype) + 0.01).log()


def _htk_mel(hz: np.ndarray) -> np.ndarray:
    return 1127 * np.log1p(hz / 700)


class MFCC(nn.Module):
    """Mel-frequency cepstral coefficients, librosa.feature.mfcc.

    (..., samples) -> (..., n_mfcc, frames): the orthonormal DCT-II over the bands
    of a log-mel spectrogram (ref 1, top_db 80).
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
        self.log_mel = LogMel(sample_rate, n_fft, hop_length, n_mels, f_min, f_max)
        dct = scipy.fft.dct(np.eye(n_mels), axis=0, type=2, norm="ortho")[:n_mfcc]
        self.register_buffer(
            "basis", torch.tensor(dct, dtype=torch.float32), persistent=False
        )

    def forward(self, waveform: Waveform) -> Spectrogram:
        """(..., samples) -> (..., coefficients, frames)."""
        return self.basis.to(waveform.dtype) @ self.log_mel(waveform)


class CQT(nn.Module):
    """Magnitude of the constant-Q transform, |librosa.cqt| with its defaults.

    (..., samples) -> (..., n_bins, frames). Octave by octave from the top: filter,
    halve the sample rate, filter the next (Schörkhuber and Klapuri 2010). librosa
    halves with soxr's `soxr_hq`; that is a fixed linear filter, so its impulse
    response, read off soxr once, does the same here as a strided convolution.
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
        _, cutoff = librosa.filters.wavelet_lengths(freqs=freqs, sr=sample_rate)
        if cutoff > sample_rate / 2:
            raise ValueError(
                f"the highest of {n_bins} bins, {freqs[-1]:.0f} Hz, reaches beyond "
                f"half the sample rate {sample_rate}: use fewer bins or a lower f_min"
            )
        octaves = math.ceil(n_bins / bins_per_octave)
        factor = _early_factor(sample_rate / 2, cutoff, hop_length, octaves)
        rate, hop = sample_rate / factor, hop_length // factor
        # librosa scales by the lengths that all the filters have at the top's rate
        lengths, _ = librosa.filters.wavelet_lengths(freqs=freqs, sr=rate)
        gain = 1 / np.sqrt(lengths)
        self.steps: list[tuple[int, int]] = []  # (decimation before, hop) an octave
        top_rate = rate
        for octave in range(octaves):
            stop = n_bins - octave * bins_per_octave
            part = slice(max(0, stop - bins_per_octave), stop)
            basis = _wavelets(freqs, part, rate)
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
        for factor in {factor for factor, _ in self.steps} - {1}:
            taps, head = _soxr_filter(factor)
            self.register_buffer(f"taps{factor}", taps, persistent=False)
            self.register_buffer(f"head{factor}", head, persistent=False)

    def forward(self, waveform: Waveform) -> Spectrogram:
        """(..., samples) -> magnitude (..., bins, frames)."""
        return _in_chunks(self._rows, waveform)

    def _rows(self, rows: Tensor) -> Tensor:
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
            spectrum = _stft(rows, n_fft, hop, hann=False)
            responses.append((spectrum.mT @ basis.T).mT)
        frames = min(response.shape[-1] for response in responses)
        return torch.cat([r[..., :frames] for r in reversed(responses)], -2).abs()


def _early_factor(nyquist: float, cutoff: float, hop: int, octaves: int) -> int:
    """By how much librosa.cqt lowers the sample rate before the top octave."""
    by_cutoff = max(0, math.ceil(math.log2(nyquist / cutoff)) - 2)
    twos = (hop & -hop).bit_length() - 1
    by_hop = max(0, twos - octaves + 1)
    return 2 ** min(by_cutoff, by_hop)


def _wavelets(freqs: np.ndarray, part: slice, sample_rate: float) -> np.ndarray:
    """The octave freqs[part]'s filters in the frequency domain, (bins, n_fft/2+1)."""
    # the bandwidth comes from the whole scale, whose octaves are alike
    ratio = (freqs[1] / freqs[0]) ** 2
    basis, lengths = librosa.filters.wavelet(
        freqs=freqs[part], sr=sample_rate, alpha=float((ratio - 1) / (ratio + 1))
    )
    n_fft = basis.shape[1]
    spectrum = np.fft.fft(basis * (lengths[:, None] / n_fft))[:, : n_fft // 2 + 1]
    sparse = librosa.util.sparsify_rows(spectrum.astype(np.complex64), quantile=0.01)
    return np.asarray(sparse.todense())


def _soxr_filter(factor: int) -> tuple[Tensor, Tensor]:
    """soxr_hq's decimation by `factor`: its impulse response and its start-up.

    taps (2 * 96 * factor + 1,): beyond, nothing above 1e-7. head (96, 4 * factor):
    what the first outputs get from the first inputs otherwise than by the taps (soxr
    decimates by 4 and more in stages, and each drops what comes before time zero).
    """
    reach, early = 96 * factor, 4 * factor
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
    head = (out - by_taps)[:96, :early]
    return torch.from_numpy(taps).float(), torch.from_numpy(head).float()


def _decimate(rows: Tensor, taps: Tensor, head: Tensor, factor: int) -> Tensor:
    """(rows, samples) -> (rows, ceil(samples / factor)), as librosa.resample."""
    n = rows.shape[-1]
    weight = taps.to(rows.dtype)[None, None]
    out = F.conv1d(rows[:, None], weight, stride=factor, padding=len(taps) // 2)[:, 0]
    head = head[: out.shape[-1], :n].to(rows.dtype)
    start = rows[:, : head.shape[1]] @ head.T
    out = out + F.pad(start, (0, out.shape[-1] - start.shape[-1]))
    # soxr rounds its length, librosa then pads with a zero up to the ceiling
    rounded = (2 * n + factor) // (2 * factor)
    return F.pad(out[:, :rounded], (0, out.shape[-1] - rounded))


def mel_basis(
    sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float | None
) -> Float[Tensor, "mels bins"]:
    """Librosa's triangular mel filters (Slaney's scale, each of area 1)."""
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


def power_to_db(
    power: Spectrogram,
    *,
    ref: float | Literal["max"] = 1.0,
    top_db: float | None = 80.0,
) -> Spectrogram:
    """10 log10(power / ref), librosa.power_to_db (floor 1e-10), a clip at a time.

    The maximum for `ref="max"` and `top_db` is over each clip's last two axes
    (librosa's is over the whole array that it gets).
    """
    floor = 1e-10
    db = 10 * power.clamp(min=floor).log10()
    peak = db.amax((-2, -1), keepdim=True)
    if top_db is not None:
        db = torch.maximum(db, peak - top_db)
    return db - (peak if ref == "max" else 10 * math.log10(max(floor, ref)))


def db_to_power(db: Spectrogram, *, ref: float = 1.0) -> Spectrogram:
    """The inverse of `power_to_db`: ref * 10 ** (dB / 10)."""
    return ref * 10 ** (db / 10)


def scale_db(
    db: Float[Tensor, "*shape"], low: float = -80.0, high: float = 0.0
) -> Float[Tensor, "*shape"]:
    """Fixed range low..high dB to the network's -1..1; values outside are clipped."""
    return (db.clamp(low, high) - low) * (2 / (high - low)) - 1


def unscale_db(
    scaled: Float[Tensor, "*shape"], low: float = -80.0, high: float = 0.0
) -> Float[Tensor, "*shape"]:
    """The inverse of `scale_db`: -1..1 to low..high dB."""
    return (scaled + 1) * ((high - low) / 2) + low


def mel_to_magnitude(
    mel: Float[Tensor, "*batch mels frames"],
    *,
    sample_rate: int = 44100,
    n_fft: int = 2048,
    f_min: float = 0.0,
    f_max: float | None = None,
    power: float = 2.0,
    n_iter: int = 128,
) -> Spectrogram:
    """A non-negative STFT magnitude (..., n_fft // 2 + 1, frames) with these mels.

    Non-negative least squares, as librosa.feature.inverse.mel_to_stft, but by
    multiplicative updates (Lee and Seung 2001), which keep to smooth spectra.
    """
    basis = mel_basis(sample_rate, n_fft, mel.shape[-2], f_min, f_max).to(mel)
    tiny = torch.finfo(mel.dtype).tiny
    wanted = basis.T @ mel
    found = wanted
    for _ in range(n_iter):
        found = found * wanted / (basis.T @ (basis @ found)).clamp(min=tiny)
    return found.pow(1 / power)


def griffin_lim(
    magnitude: Spectrogram,
    *,
    hop_length: int = 512,
    n_iter: int = 32,
    momentum: float = 0.99,
    length: int | None = None,
    seed: int = 0,
) -> Waveform:
    """A waveform (..., samples) whose STFT has about this magnitude.

    Fast Griffin-Lim (Perraudin et al. 2013; librosa's momentum), by torchaudio.
    `length` in samples, by default (frames - 1) * hop_length. The first phases are
    random: the same `seed` gives the same sound.
    """
    n_fft = 2 * (magnitude.shape[-2] - 1)
    on_gpu = [magnitude.device] if magnitude.device.type == "cuda" else []
    with torch.random.fork_rng(on_gpu):
        torch.manual_seed(seed)
        return torchaudio.functional.griffinlim(
            magnitude,
            torch.hann_window(n_fft, dtype=magnitude.dtype, device=magnitude.device),
            n_fft,
            hop_length,
            n_fft,
            power=1.0,
            n_iter=n_iter,
            momentum=momentum,
            length=length,
            rand_init=True,
        )


def mel_to_waveform(
    mel: Float[Tensor, "*batch mels frames"],
    *,
    sample_rate: int = 44100,
    n_fft: int = 2048,
    hop_length: int = 512,
    f_min: float = 0.0,
    f_max: float | None = None,
    power: float = 2.0,
    n_iter: int = 32,
    length: int | None = None,
    seed: int = 0,
) -> Waveform:
    """Mel spectrogram (as `Mel` gives it) back to sound (..., samples).

    For the network's -1..1 pictures: `mel_to_waveform(db_to_power(unscale_db(x)))`.
    """
    magnitude = mel_to_magnitude(
        mel,
        sample_rate=sample_rate,
        n_fft=n_fft,
        f_min=f_min,
        f_max=f_max,
        power=power,
    )
    return griffin_lim(
        magnitude, hop_length=hop_length, n_iter=n_iter, length=length, seed=seed
    )
