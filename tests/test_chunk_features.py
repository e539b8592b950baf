"""Sound features of video frames, against librosa and Redondo 2024's plain steps."""

import librosa
import numpy as np
import pytest
import torch

from avnb.features import ChunkFeatures, scale_db

RATE = 16000


def sound(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """A gliding tone that comes and goes, and faint noise."""
    t = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * (300 * t + 200 * t**2)) * (0.5 + 0.5 * np.sin(7 * t))
    noise = np.random.default_rng(seed).normal(size=len(t))
    return (0.3 * tone + 0.002 * noise).astype(np.float32)


def mel(y: np.ndarray, rate: int, n_fft: int) -> np.ndarray:
    return librosa.feature.melspectrogram(
        y=y, sr=rate, n_fft=n_fft, win_length=rate // 40, hop_length=rate // 100,
        n_mels=64, fmin=125, fmax=7500,
    )  # fmt: skip


def released(y: np.ndarray, rate: int, n_fft: int) -> np.ndarray:
    """The released code's steps: chunks of 8 every 5, each in dB below its maximum."""
    columns = mel(y, rate, n_fft)
    rows = []
    for first in range(0, columns.shape[1] - 8 + 1, 5):
        chunk = columns[:, first : first + 8]
        rows.append(librosa.power_to_db(chunk, ref=np.max, top_db=80).mean(axis=1))
    return np.array(rows)


@pytest.mark.parametrize(("rate", "n_fft"), [(16000, 512), (64000, 2048)])
def test_by_chunk_is_the_released_code(rate: int, n_fft: int) -> None:
    y = sound(2.0, rate)
    found = ChunkFeatures(rate, reference="chunk")(torch.from_numpy(y))
    expected = released(y, rate, n_fft)
    assert found.shape == expected.shape == (39, 64)  # 2 s give 39: Sec. 3.1
    assert np.abs(found.numpy() - expected).max() < 2e-3


def test_16_khz_says_what_64_khz_says() -> None:
    y = sound(3.0, 64000)
    low = librosa.resample(y, orig_sr=64000, target_sr=16000)
    for reference in ("chunk", "recording"):
        high = ChunkFeatures(64000, reference=reference)(torch.from_numpy(y))
        found = ChunkFeatures(16000, reference=reference)(torch.from_numpy(low))
        # the last bands are where the resampling filter begins
        assert (high - found).abs()[:, :60].max() < 1.0
        assert (high - found).abs().mean() < 0.1


def test_by_recording_is_one_ruler_for_all() -> None:
    y = sound(2.0)
    columns = mel(y, RATE, 512)
    db = np.maximum(10 * np.log10(np.maximum(columns, 1e-30) / columns.max()), -80)
    expected = [db[:, 5 * t : 5 * t + 8].mean(axis=1) for t in range(39)]
    features = ChunkFeatures(RATE)
    found = features(torch.from_numpy(y))
    assert np.abs(found.numpy() - np.array(expected)).max() < 2e-3
    assert -80 <= found.min() < found.max() <= 0
    assert scale_db(found).abs().max() <= 1
    # half as loud: 6 dB less by the ruler of the first, the same by its own
    y = torch.from_numpy(y)
    fixed = ChunkFeatures(RATE, reference=features.measure_peak_energy(y))
    assert torch.allclose(fixed(y), found, atol=1e-4)
    loud = found > -40  # none of the chunk is at the floor
    assert torch.allclose((fixed(y) - fixed(y / 2))[loud], torch.tensor(6.02), atol=0.1)
    assert torch.allclose(features(y / 2), found, atol=1e-3)


def test_the_trap_of_silence() -> None:
    """By chunk, digital silence is the loudest thing there is; by recording, least."""
    y = torch.zeros(RATE)
    y[: RATE // 2] = torch.from_numpy(sound(0.5))
    faint = 1e-4 * torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    by_chunk = ChunkFeatures(RATE, reference="chunk")
    assert (by_chunk(y)[-5:] == 0).all()
    assert by_chunk(faint).max() < -1
    by_recording = ChunkFeatures(RATE)
    assert (by_recording(y)[-5:] == -80).all()
    assert (by_recording(torch.zeros(RATE)) == -80).all()
    assert (ChunkFeatures(RATE, reference=1.0)(torch.zeros(RATE)) == -80).all()


def test_a_vector_for_each_frame() -> None:
    """T frames at 20 fps have T vectors; the last one hears silence after the end."""
    y = torch.from_numpy(sound(2.0))
    features = ChunkFeatures(RATE)
    found = features(y, frames=40)
    assert found.shape == (40, 64)
    assert torch.allclose(found[:39], features(y), atol=1e-4)
    after = torch.cat([y, torch.zeros(RATE)])
    assert torch.allclose(features(after, frames=40), found, atol=1e-4)
    batch = features(torch.stack([y, y / 2]).reshape(2, 1, -1), frames=10)
    assert batch.shape == (2, 1, 10, 64)
    assert torch.allclose(batch[0], batch[1], atol=1e-3)


def test_where_a_click_is_heard() -> None:
    """Chunk t begins at t / 20 s and takes 70 ms and the windows' halves."""
    y = torch.zeros(RATE)
    y[RATE // 2] = 1.0  # 0.5 s: frame 10
    heard = ChunkFeatures(RATE)(y).mean(dim=1) > -79
    assert heard.nonzero()[:, 0].tolist() == [9, 10]


def test_gradients_flow_and_precision_is_kept() -> None:
    y = torch.from_numpy(sound(0.5).astype(np.float64)).requires_grad_()
    found = ChunkFeatures(RATE)(y)
    assert found.dtype == torch.float64
    found.sum().backward()
    assert y.grad is not None
    assert y.grad.isfinite().all()


def test_bad_input_is_named() -> None:
    features = ChunkFeatures(RATE)
    broken = torch.zeros(RATE)
    broken[3], broken[7] = float("nan"), float("inf")
    with pytest.raises(ValueError, match="2 of the waveform's 16000 samples"):
        features(broken)
    with pytest.raises(ValueError, match="sound of 500 samples is shorter than"):
        features(torch.zeros(500))
    with pytest.raises(ValueError, match="sample_rate=22050"):
        ChunkFeatures(22050)
    with pytest.raises(ValueError, match="fps=30"):
        ChunkFeatures(RATE, fps=30)
    with pytest.raises(ValueError, match=r"reference=0\.0"):
        ChunkFeatures(RATE, reference=0.0)
