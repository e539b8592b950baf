"""Features against librosa on real recordings, and back to sound."""

import functools
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from avnb.features import (
    CQT,
    MFCC,
    STFT,
    LogMel,
    Mel,
    VGGishMel,
    db_to_power,
    griffin_lim,
    mel_to_magnitude,
    mel_to_waveform,
    power_to_db,
    scale_db,
    unscale_db,
)
from avnb.features.network_inputs import hz_to_htk_mel
from avnb.features.spectrograms import apply_in_chunks

RATE = 44100
BOUND = 1e-4  # of the largest value


def lib_mel(y: np.ndarray) -> np.ndarray:
    return librosa.feature.melspectrogram(y=y, sr=RATE)


# each of ours, and librosa's own call
PAIRS: dict[str, tuple[nn.Module, Callable[[np.ndarray], np.ndarray]]] = {
    "stft": (STFT(), lambda y: np.abs(librosa.stft(y))),
    "mel": (Mel(), lib_mel),
    "amplitude mel": (
        Mel(n_fft=1024, hop_length=300, n_mels=64, f_min=50.0, f_max=8e3, power=1.0),
        lambda y: librosa.feature.melspectrogram(
            y=y,
            sr=RATE,
            n_fft=1024,
            hop_length=300,
            n_mels=64,
            fmin=50,
            fmax=8000,
            power=1,
        ),
    ),
    "log-mel": (LogMel(), lambda y: librosa.power_to_db(lib_mel(y))),
    "log-mel, max": (
        LogMel(ref="max"),
        lambda y: librosa.power_to_db(lib_mel(y), ref=np.max),
    ),
    "mfcc": (MFCC(n_mfcc=40), lambda y: librosa.feature.mfcc(y=y, sr=RATE, n_mfcc=40)),
    "cqt": (CQT(), lambda y: np.abs(librosa.cqt(y, sr=RATE))),
}


def notes(media_folder: Path) -> list[Path]:
    """One recording of each family of notes."""
    folder = media_folder / "notes"
    files = sorted([*folder.rglob("*.mp3"), *folder.rglob("*.wav")])
    families = {file.parent.name: file for file in files}
    assert len(families) >= 13
    return list(families.values())


@functools.cache
def recording(file: Path, samples: int | None = None) -> np.ndarray:
    y, rate = soundfile.read(file, dtype="float32", always_2d=True)
    y = librosa.resample(y.mean(1), orig_sr=rate, target_sr=RATE)
    return y if samples is None else librosa.util.fix_length(y, size=samples)


def error(ours: torch.Tensor, theirs: np.ndarray) -> float:
    assert ours.shape == theirs.shape
    return float(np.abs(ours.numpy() - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize("name", PAIRS)
def test_equals_librosa_on_every_family(name: str, media_folder: Path) -> None:
    ours, theirs = PAIRS[name]
    random = np.random.default_rng(0)
    for file in notes(media_folder):
        y = recording(file)
        y = y[: random.integers(6000, 30000)]
        assert error(ours(torch.from_numpy(y)), theirs(y)) < BOUND, file


@pytest.mark.parametrize("name", PAIRS)
def test_double_precision(name: str, media_folder: Path) -> None:
    ours, theirs = PAIRS[name]
    y = recording(notes(media_folder)[0]).astype(np.float64)
    found = ours(torch.from_numpy(y))
    assert found.dtype == torch.float64
    # soxr_hq itself is good to 20 bits
    assert error(found, theirs(y)) < (1e-6 if name == "cqt" else 1e-7)


def test_unbounded_decibels_in_double(media_folder: Path) -> None:
    # without top_db float32's own rounding shows at -100 dB: compare in double
    for file in notes(media_folder)[::5]:
        y = recording(file).astype(np.float64)
        expected = librosa.power_to_db(lib_mel(y), top_db=None)
        found = LogMel(top_db=None)(torch.from_numpy(y))
        assert np.abs(found.numpy() - expected).max() < 1e-6


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("batch", [(), (13,), (2, 1, 3)])
def test_leading_dims_are_clips(
    name: str, batch: tuple[int, ...], media_folder: Path
) -> None:
    ours, theirs = PAIRS[name]
    count = int(np.prod(batch))
    clips = [recording(f, 9000) for f in notes(media_folder)[:count]]
    waveform = torch.from_numpy(np.stack(clips)).reshape(*batch, 9000)
    found = ours(waveform)
    assert found.shape[:-2] == batch
    for clip, expected in zip(found.reshape(-1, *found.shape[-2:]), clips, strict=True):
        assert error(clip, theirs(expected)) < BOUND


@pytest.mark.parametrize("n_mels", [1, 3, 40, 300])  # 300: some filters are empty
@pytest.mark.filterwarnings("ignore:Empty filters")
def test_any_number_of_mels(n_mels: int) -> None:
    y = np.random.default_rng(0).standard_normal(6000).astype(np.float32)
    span = {"n_mels": n_mels, "n_fft": 1024}
    found = Mel(16000, **span, f_min=200.0, f_max=6000.0)(torch.from_numpy(y))
    expected = librosa.feature.melspectrogram(
        y=y, sr=16000, **span, hop_length=512, fmin=200, fmax=6000
    )
    assert error(found, expected) < BOUND


def test_stereo_equals_librosa_channelwise() -> None:
    y = np.random.default_rng(1).standard_normal((2, 30000)).astype(np.float32)
    assert error(Mel()(torch.from_numpy(y)), lib_mel(y)) < BOUND
    expected = np.abs(librosa.cqt(y, sr=RATE))
    assert error(CQT()(torch.from_numpy(y)), expected) < BOUND


@pytest.mark.parametrize(
    ("rate", "settings"),
    [
        (44100, {"n_bins": 60, "f_min": 65.4}),
        (22050, {"n_bins": 20}),  # not whole octaves; early decimation by 8
        (22050, {"n_bins": 31, "bins_per_octave": 24, "hop_length": 256}),
        (16000, {"n_bins": 84, "hop_length": 100}),  # the hop turns odd on the way
        (8000, {"n_bins": 7, "f_min": 220.0}),
    ],
)
@pytest.mark.parametrize("samples", [9000, 22051, 22053])
def test_cqt_settings(rate: int, settings: dict, samples: int) -> None:
    y = np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    with_librosas_name = {
        ("fmin" if k == "f_min" else k): v for k, v in settings.items()
    }
    expected = np.abs(librosa.cqt(y, sr=rate, **with_librosas_name))
    assert error(CQT(rate, **settings)(torch.from_numpy(y)), expected) < BOUND


def test_half_a_second_is_the_papers_128_by_44() -> None:
    clips = torch.randn(2, 22050)
    assert LogMel()(clips).shape == (2, 128, 44)
    assert CQT()(clips).shape == (2, 84, 44)
    assert MFCC()(clips).shape == (2, 20, 44)
    assert STFT()(clips).shape == (2, 1025, 44)


def test_digital_silence_is_finite() -> None:
    silence = torch.zeros(2, 22050)
    assert (LogMel()(silence) == -100).all()
    assert (LogMel(ref="max")(silence) == 0).all()
    for module, _ in PAIRS.values():
        assert module(silence).isfinite().all()
    assert mel_to_waveform(Mel()(silence)).isfinite().all()


@pytest.mark.parametrize("name", PAIRS)
def test_gradients_flow(name: str) -> None:
    waveform = torch.randn(2, 8000, requires_grad=True)
    PAIRS[name][0](waveform).sum().backward()
    assert waveform.grad is not None
    assert waveform.grad.isfinite().all()
    assert waveform.grad.abs().sum() > 0


def test_constants_move_but_are_not_saved() -> None:
    for module, _ in PAIRS.values():
        assert not module.state_dict()
    assert {b.device.type for b in CQT().to("meta").buffers()} == {"meta"}


def test_decibel_helpers() -> None:
    power = torch.rand(3, 4, 5) * 100
    assert np.allclose(
        power_to_db(power[0], ref=2.0, top_db=None),
        librosa.power_to_db(power[0].numpy(), ref=2.0, top_db=None),
        atol=1e-4,
    )
    db = power_to_db(power, ref=2.0, top_db=None)
    assert torch.allclose(db_to_power(db, ref=2.0), power, rtol=1e-4)
    db = torch.tensor([-100.0, -80.0, -40.0, 0.0, 9.0])
    assert scale_db(db).tolist() == [-1, -1, 0, 1, 1]
    assert unscale_db(scale_db(db)).tolist() == [-80, -80, -40, 0, 0]
    assert scale_db(torch.tensor([-30.0, 10.0]), -70.0, 10.0).tolist() == [0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("family", [0, 7, 12])
def test_back_to_sound_is_as_close_as_librosas(family: int, media_folder: Path) -> None:
    y = recording(notes(media_folder)[family])[2000:24050]
    mel = lib_mel(y)
    spectrum = np.abs(librosa.stft(y))

    def convergence(waveform: np.ndarray) -> float:
        rebuilt = np.abs(librosa.stft(waveform))
        return float(np.linalg.norm(rebuilt - spectrum) / np.linalg.norm(spectrum))

    theirs = librosa.griffinlim(
        librosa.feature.inverse.mel_to_stft(mel, sr=RATE),
        length=len(y),
        random_state=0,
    )
    ours = mel_to_waveform(torch.from_numpy(mel), length=len(y))
    assert ours.shape == (len(y),)
    assert convergence(ours.numpy()) < max(1.1 * convergence(theirs), 0.05)


def test_magnitude_found_has_the_mels_asked_for(media_folder: Path) -> None:
    clips = [recording(f, 22050) for f in notes(media_folder)[:3]]
    mel = Mel()(torch.from_numpy(np.stack(clips)))
    magnitude = mel_to_magnitude(mel)
    assert magnitude.shape == (len(clips), 1025, 44)
    assert (magnitude >= 0).all()
    for found, wanted in zip(magnitude, mel, strict=True):
        again = Mel().basis @ found.square()
        assert torch.linalg.norm(again - wanted) < 0.02 * torch.linalg.norm(wanted)


@pytest.mark.parametrize("momentum", [0.99, 0.0])
def test_griffin_lim_is_torchaudios_bit_for_bit(momentum: float) -> None:
    # Not at the top: beside a torch that is newer, torchaudio refuses to be imported.
    torchaudio = pytest.importorskip("torchaudio", exc_type=Exception)
    magnitude = torch.rand(2, 3, 129, 40, generator=torch.manual_seed(0))
    torch.manual_seed(5)
    theirs = torchaudio.functional.griffinlim(
        magnitude, torch.hann_window(256), 256, 64, 256, power=1.0, n_iter=8,
        momentum=momentum, length=2500, rand_init=True,
    )  # fmt: skip
    ours = griffin_lim(
        magnitude, hop_length=64, n_iter=8, momentum=momentum, length=2500, seed=5
    )
    assert ours.shape == (2, 3, 2500)
    assert torch.equal(ours, theirs)


def test_griffin_lim_is_seeded_and_leaves_the_generators_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    magnitude = STFT(512, 128)(torch.randn(2, 4000))
    # `torch.manual_seed` calls this, also where no GPU is there.
    reset: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", reset.append)
    before = torch.random.get_rng_state()
    first = griffin_lim(magnitude, hop_length=128, n_iter=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert reset == []
    assert torch.equal(first, griffin_lim(magnitude, hop_length=128, n_iter=3))
    other = griffin_lim(magnitude, hop_length=128, n_iter=3, seed=1)
    assert not torch.equal(first, other)


def test_vggish_mel_is_a_plain_loop() -> None:
    """Hershey et al. 2017's picture of sound, frame by frame and band by band."""
    rng = np.random.default_rng(4)
    sounds = rng.normal(size=(2, 16000)) * [[0.3], [1e-4]]
    found = VGGishMel()(torch.from_numpy(sounds))
    assert found.shape == (2, 96, 64)

    def mel(hz: float) -> float:
        return 1127 * np.log(1 + hz / 700)

    edges = [mel(125) + i * (mel(7500) - mel(125)) / 65 for i in range(66)]
    hann = [0.5 - 0.5 * np.cos(2 * np.pi * i / 400) for i in range(400)]
    for sound, picture in zip(sounds, found.numpy(), strict=True):
        for frame in (0, 1, 50, 95):
            part = sound[160 * frame : 160 * frame + 400] * hann
            spectrum = np.abs(np.fft.rfft(np.r_[part, np.zeros(112)]))
            for band in range(64):
                low, centre, high = edges[band : band + 3]
                total = 0.01
                for k, value in enumerate(spectrum):
                    at = mel(k * 31.25)
                    if low < at <= centre:
                        total += value * (at - low) / (centre - low)
                    elif centre < at < high:
                        total += value * (high - at) / (high - centre)
                assert picture[frame, band] == pytest.approx(np.log(total), abs=1e-5)


def test_vggish_mel_hears_where_a_tone_is() -> None:
    """A tone of a band's centre is loudest there; silence is ln 0.01."""
    centres = 700 * np.expm1(
        np.linspace(*hz_to_htk_mel(np.array([125.0, 7500.0])), 66) / 1127
    )
    time = torch.arange(16000) / 16000
    assert np.allclose(VGGishMel().hz, centres[1:-1])
    for band in (5, 30, 62):
        tone = torch.sin(2 * np.pi * float(centres[band + 1]) * time)
        assert (VGGishMel()(tone).argmax(dim=-1) == band).all()
    silence = VGGishMel()(torch.zeros(3, 2, 16000))
    assert silence.shape == (3, 2, 96, 64)
    assert torch.allclose(silence, torch.tensor(0.01).log())
    with pytest.raises(ValueError, match="15599 samples: 96 frames are 15600"):
        VGGishMel()(torch.zeros(15599))


def test_errors_say_what_would_be_right() -> None:
    with pytest.raises(TypeError, match="divide int16 samples by 32768"):
        apply_in_chunks(lambda rows: rows, torch.zeros(100, dtype=torch.int16))
    with pytest.raises(ValueError, match="f_max=30000"):
        Mel(f_max=30000.0)
    with pytest.raises(ValueError, match="fewer bins"):
        CQT(sample_rate=8000)
    with pytest.raises(ValueError, match="n_mfcc=200"):
        MFCC(n_mfcc=200)
