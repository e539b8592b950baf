"""Features as two networks take them: Listen and Move's chunks, VGGish's log-mels."""

import math
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from avnb.features.spectrograms import Mel, Waveform, apply_in_chunks, power_to_db

CHUNK_COLUMNS = 8  # of a `ChunkFeatures` chunk: Redondo 2024's A, 85 ms


class ChunkFeatures(nn.Module):
    """One vector of sound for each video frame (Redondo 2024, Sec. 3.1).

    (..., samples) -> dB (..., frames, n_mels). Φ is a log-mel spectrogram with windows
    of 25 ms every 10 ms. Chunk t is Φ's columns H t to H t + A - 1, with H = 5 (at 20
    fps) and A = 8, so it begins at the time of video frame t. Its vector is the mean of
    its columns. All values are in [-80, 0] dB: `scale_db` makes them -1..1.

    The released code first resamples to 64 kHz. No band reaches above 7.5 kHz, so
    16 kHz gives the same bands (both have a bin each 31.25 Hz).

    Args:
        sample_rate: Hz, a multiple of 100.
        fps: video frames a second; a frame must last a whole number of 10 ms.
        reference: what 0 dB is.
            "chunk": each chunk's own largest value, as in the released code. Loudness
            is lost. Digital silence, all of whose values are the largest, is 0 dB in
            every band: the opposite of a very quiet sound.
            "recording": the largest value of the whole waveform; silence is -80 dB.
            A number: the mel energy itself, so that other waveforms, or parts of one,
            are measured by the same rule; `measure_peak_energy` of the training part.
        n_mels: how many bands.
        f_min: where the lowest begins, Hz.
        f_max: where the highest ends, Hz.
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
        # 25 ms, in the next power of two: 400 samples in 512 at 16 kHz, as VGGish
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

        Args:
            waveform: at the sample rate given.
            frames: how many; where the sound ends before the last chunk does, silence
                follows. By default those whose chunks are whole.

        Raises:
            ValueError: samples that are not finite, or a sound shorter than a chunk.
        """
        # One nan would spread over its window, and "recording" over everything.
        if not waveform.isfinite().all():
            bad = int((~waveform.isfinite()).sum())
            raise ValueError(
                f"{bad} of the waveform's {waveform.numel()} samples are not finite "
                "(nan or inf): read or clean the recording again"
            )
        step = self.mel.hop_length
        if frames is None:
            # columns are centred: n samples have n // step + 1 of them
            frames = (waveform.shape[-1] // step + 1 - CHUNK_COLUMNS) // self.hop + 1
        if frames < 1:
            raise ValueError(
                f"the sound of {waveform.shape[-1]} samples is shorter than a chunk of "
                f"{(CHUNK_COLUMNS - 1) * step}"
            )
        columns = self.hop * (frames - 1) + CHUNK_COLUMNS
        missing = max(0, (columns - 1) * step - waveform.shape[-1])
        energy = self.mel(F.pad(waveform, (0, missing)))
        # (..., mels, columns) -> (..., mels, frames, A) -> (..., frames, mels, A)
        chunks = energy[..., :columns].unfold(-1, CHUNK_COLUMNS, self.hop)
        return self._to_decibels(chunks.transpose(-3, -2), energy)

    def _to_decibels(self, chunks: Tensor, energy: Tensor) -> Tensor:
        """The mean of each chunk in dB: (..., frames, mels, A) -> (..., frames, mels).

        `energy` is that of the whole waveform, (..., mels, columns).
        """
        if self.reference == "chunk":
            # over a chunk's last two axes: bands and columns
            return power_to_db(chunks, ref="max", top_db=80.0).mean(dim=-1)
        if self.reference == "recording":
            loudest = energy.amax((-2, -1))[..., None, None, None]
        else:
            loudest = energy.new_tensor(self.reference)
        # A silent recording's loudest value is 0: 0 / tiny is 0, which is -80 dB.
        share = chunks / loudest.clamp(min=torch.finfo(energy.dtype).tiny)
        return 10 * share.clamp(1e-8, 1.0).log10().mean(dim=-1)

    def measure_peak_energy(self, waveform: Waveform) -> float:
        """Measure the largest mel energy of a waveform: a `reference` for others."""
        return float(self.mel(waveform).max())


class VGGishMel(nn.Module):
    """The log-mel picture of a sound that VGGish takes (Hershey et al. 2017).

    (..., samples) at 16 kHz -> (..., frames, 64), time first: ln(m + 0.01) of 64 bands
    m from 125 to 7,500 Hz of the *magnitude*, in windows of 25 ms every 10 ms. Unlike
    librosa's, the windows begin at sample 0 (they are not centred) and the filters are
    triangles on HTK's mel scale. The attribute `hz` holds their centres.

    Args:
        frames: how many, from the beginning; 96 are 0.96 s.
    """

    SAMPLE_RATE, WINDOW, HOP, N_FFT = 16000, 400, 160, 512

    window: Tensor
    basis: Tensor

    def __init__(self, frames: int = 96) -> None:
        super().__init__()
        self.frames = frames
        self.samples = self.WINDOW + (frames - 1) * self.HOP
        self.register_buffer("window", torch.hann_window(self.WINDOW), persistent=False)
        low, high = hz_to_htk_mel(np.array([125.0, 7500.0])).tolist()
        # (66, 1) against (257,): triangle k rises from edge k to k + 1, falls to k + 2
        edges = np.linspace(low, high, 64 + 2)[:, None]
        bins = hz_to_htk_mel(np.linspace(0, self.SAMPLE_RATE / 2, self.N_FFT // 2 + 1))
        self.hz: list[float] = (700 * np.expm1(edges[1:-1, 0] / 1127)).tolist()
        # Straight lines in mel, not in Hz as torchaudio's HTK filters are.
        rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
        fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
        basis = torch.from_numpy(np.minimum(rise, fall).clip(0)).float().T.contiguous()
        self.register_buffer("basis", basis, persistent=False)

    def forward(self, waveform: Waveform) -> Float[Tensor, "*batch frames 64"]:
        """(..., samples) -> (..., frames, 64).

        Raises:
            ValueError: the sound is shorter than the frames.
        """
        if waveform.shape[-1] < self.samples:
            raise ValueError(
                f"{waveform.shape[-1]} samples: {self.frames} frames are "
                f"{self.samples} samples at {self.SAMPLE_RATE} Hz"
            )
        return apply_in_chunks(self._transform_rows, waveform[..., : self.samples])

    def _transform_rows(self, rows: Tensor) -> Tensor:
        # (rows, samples) -> (rows, frames, 400) -> (rows, frames, 257) -> (…, 64)
        windows = rows.unfold(-1, self.WINDOW, self.HOP) * self.window.to(rows.dtype)
        magnitude = torch.fft.rfft(windows, self.N_FFT).abs()
        return torch.log(magnitude @ self.basis.to(rows.dtype) + 0.01)


def hz_to_htk_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert Hz to HTK's mels: 1127 ln(1 + f / 700)."""
    mel: NDArray[np.float64] = 1127 * np.log1p(hz / 700)
    return mel
