"""From spectrograms back to sound."""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from avnb.features.spectrograms import Spectrogram, Waveform, make_mel_filters


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
    """Find a non-negative STFT magnitude with these mels.

    Non-negative least squares, as librosa.feature.inverse.mel_to_stft, but by
    multiplicative updates, which keep to smooth spectra: many spectra have the same
    mels, and the start decides which is found.

    Args:
        mel: as `Mel` gives it.
        sample_rate: Hz; this and the following are what `Mel` was given.
        n_fft: samples of a frame.
        f_min: where the lowest band begins, Hz.
        f_max: where the highest ends, Hz; None: half the sample rate.
        power: exponent of the magnitude.
        n_iter: how many updates.

    Returns:
        (..., n_fft // 2 + 1, frames).

    Source:
        Lee and Seung 2001, Algorithms for non-negative matrix factorization, Eq. 4.
    """
    basis = make_mel_filters(sample_rate, n_fft, mel.shape[-2], f_min, f_max).to(mel)
    # (bins, mels) @ (..., mels, frames) -> (..., bins, frames)
    tiny = torch.finfo(mel.dtype).tiny
    target = basis.T @ mel
    found = target
    for _ in range(n_iter):
        # A bin outside of all filters is 0 above and below: the clamp keeps 0 / 0 out.
        found = found * target / (basis.T @ (basis @ found)).clamp(min=tiny)
    return found.pow(1 / power)  # of energy back to magnitude


def griffin_lim(
    magnitude: Spectrogram,
    *,
    hop_length: int = 512,
    n_iter: int = 32,
    momentum: float = 0.99,
    length: int | None = None,
    seed: int = 0,
) -> Waveform:
    """Find a waveform (..., samples) whose STFT has about this magnitude.

    Args:
        magnitude: (..., n_fft // 2 + 1, frames).
        hop_length: samples from one frame to the next.
        n_iter: how many iterations.
        momentum: librosa's; 0 is the classic algorithm.
        length: samples; (frames - 1) * hop_length by default.
        seed: of the first phases, which are random: the same seed, the same sound.

    The numbers are those of `torchaudio.functional.griffinlim`, bit for bit. torchaudio
    itself is not used: its last version refuses to be imported beside a newer torch,
    such as Colab's.

    Source:
        Fast Griffin-Lim, Perraudin et al. 2013.
    """
    n_fft = 2 * (magnitude.shape[-2] - 1)
    window = torch.hann_window(n_fft, dtype=magnitude.dtype, device=magnitude.device)
    stft = partial(torch.stft, n_fft=n_fft, hop_length=hop_length, window=window)
    istft = partial(torch.istft, n_fft=n_fft, hop_length=hop_length, window=window)
    batch = magnitude.reshape(-1, *magnitude.shape[-2:])  # (B, bins, frames)
    # Complex numbers with parts in [0, 1). Their lengths are made 1 further down.
    kind = torch.promote_types(magnitude.dtype, torch.complex32)
    phases = torch.rand(
        batch.shape,
        dtype=kind,
        device=magnitude.device,
        generator=torch.Generator(magnitude.device).manual_seed(seed),
    )
    keep = momentum / (1 + momentum)
    previous = torch.zeros((), dtype=magnitude.dtype, device=magnitude.device)
    for _ in range(n_iter):
        # No sound has exactly this magnitude with the guessed phases. The STFT of the
        # nearest sound has better phases, and momentum carries their change on.
        rebuilt = stft(istft(batch * phases, length=length), return_complex=True)
        phases = rebuilt - keep * previous
        phases = phases / (phases.abs() + 1e-16)
        previous = rebuilt
    waveform: Tensor = istft(batch * phases, length=length)
    return waveform.reshape(*magnitude.shape[:-2], -1)


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
    """Turn a mel spectrogram back into sound (..., samples).

    For a network's -1..1 pictures: `mel_to_waveform(db_to_power(unscale_db(x)))`.

    Args:
        mel: as `Mel` gives it.
        sample_rate: Hz; this and those up to `power` are what `Mel` was given.
        n_fft: samples of a frame.
        hop_length: samples from one frame to the next.
        f_min: where the lowest band begins, Hz.
        f_max: where the highest ends, Hz; None: half the sample rate.
        power: exponent of the magnitude.
        n_iter: iterations of `griffin_lim`.
        length: samples; (frames - 1) * hop_length by default.
        seed: of the first phases.
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
