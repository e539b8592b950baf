"""VidTIMIT's layout: which sentences are used, how they are split, what is left out."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from avnb import media
from avnb.data.clips import load_clips
from avnb.data.shards import prepare
from avnb.data.sources import ClipSettings
from avnb.errors import ClipsError
from data_scripts import vidtimit

SETTINGS = ClipSettings(
    seconds=vidtimit.SETTINGS.seconds,
    hop=vidtimit.SETTINGS.hop,
    fps=25.0,
    sample_rate=16000,
    size=16,
)


def write_sentence(
    folder: Path, person: str, sentence: str, frames: int, *, sound: bool = True
) -> Path:
    """Frame k is as bright as its number; the sound climbs from -1 to 1 in 10 s."""
    video = folder / person / "video" / sentence
    video.mkdir(parents=True)
    for k in range(1, frames + 1):
        picture = np.full((24, 32, 3), k, np.uint8)
        Image.fromarray(picture).save(video / f"{k:03d}", format="PNG")
    if sound:
        audio = folder / person / "audio"
        audio.mkdir(exist_ok=True)
        samples = np.arange(round(frames / 25 * 32000)) / 32000
        level = 0.2 * samples * np.sin(2 * np.pi * 440 * samples)
        soundfile.write(audio / f"{sentence}.wav", level, 32000)
    return video


def test_numbered_frames_become_clips(tmp_path: Path) -> None:
    write_sentence(tmp_path / "in", "fadg0", "sa1", 80)
    write_sentence(tmp_path / "in", "fadg0", "sx19", 60)
    found, problems = vidtimit.find_sources(tmp_path / "in", SETTINGS)
    assert not problems
    # 38 frames, each 32 frames later: two of 80 frames, one of 60.
    assert [one.name for one in found] == [
        "fadg0/sa1 at 0 s", "fadg0/sa1 at 1.28 s", "fadg0/sx19 at 0 s"
    ]  # fmt: skip
    report = prepare(found, tmp_path / "out", SETTINGS, workers=1)
    assert not report.problems
    clips = {s: load_clips(tmp_path / "out", s) for s in ("train", "test")}
    first = next(one for one in clips.values() if len(one) == 2)
    seen = first.frames[:, :, 8, 8, 0].numpy()
    assert np.array_equal(seen, np.stack([np.arange(1, 39), np.arange(33, 71)]))
    assert first.truth["held"].sum() == 0
    # The sound of the second clip is that of its time: about 0.2 * 1.28 s at its start.
    sound = first.waveform[:, 0].numpy() / 32767
    assert np.abs(sound[1, :640]).max() == pytest.approx(0.2 * 1.30, abs=0.01)
    assert np.abs(sound[1, -640:]).max() == pytest.approx(0.2 * 2.78, abs=0.02)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".txt"])
def test_frames_may_have_the_suffix_of_a_picture(tmp_path: Path, suffix: str) -> None:
    for path in write_sentence(tmp_path, "fadg0", "sa1", 38).iterdir():
        path.rename(path.with_name(path.name + suffix))
    found, problems = vidtimit.find_sources(tmp_path, SETTINGS)
    if suffix == ".txt":
        assert not found
        assert "holds no frames" in problems[0].problem
    else:
        (one,) = found
        assert [p.name for p in one.pictures[:2]] == [f"001{suffix}", f"002{suffix}"]


def test_a_short_sentence_is_held(tmp_path: Path) -> None:
    write_sentence(tmp_path / "in", "fadg0", "sa1", 20)
    found, problems = vidtimit.find_sources(tmp_path / "in", SETTINGS)
    assert not problems
    assert "20 frames" in found[0].remarks[0].problem
    prepare(found, tmp_path / "out", SETTINGS, workers=1)
    clips = load_clips(tmp_path / "out", "train")
    assert np.array_equal(clips.truth["held"][0].numpy(), np.arange(38) >= 20)
    seen = clips.frames[0, :, 8, 8, 0].numpy()
    assert np.array_equal(seen, np.minimum(np.arange(1, 39), 20))
    assert not clips.waveform[0, 0, 20 * 640 + 64 :].any()


def test_what_cannot_be_used_is_a_named_skip(tmp_path: Path) -> None:
    write_sentence(tmp_path, "fadg0", "sa1", 40)
    for name in ("head", "head2", "head3"):
        write_sentence(tmp_path, "fadg0", name, 10, sound=False)
    gap = write_sentence(tmp_path, "fadg0", "sa2", 45)
    (gap / "017").unlink()
    (gap / "018").unlink()
    late = write_sentence(tmp_path, "fadg0", "si649", 45)
    (late / "001").unlink()
    write_sentence(tmp_path, "fadg0", "sx19", 45, sound=False)
    (tmp_path / "fadg0" / "video" / "sx100").mkdir()
    (tmp_path / "mbdg0" / "video").mkdir(parents=True)
    (tmp_path / "mccs0" / "audio").mkdir(parents=True)
    broken = write_sentence(tmp_path, "fadg0", "sx200", 45)
    (tmp_path / "fadg0" / "audio" / "sx200.wav").write_bytes(b"RIFF")
    assert broken.is_dir()
    found, problems = vidtimit.find_sources(tmp_path, SETTINGS)
    assert {one.recording for one in found} == {"fadg0/sa1"}
    named = {one.file: one.problem for one in problems}
    assert "2 frames are missing within (017, 018)" in named["fadg0/sa2"]
    assert "1 frames are missing within (001)" in named["fadg0/si649"]
    assert named["fadg0/sx19"] == "there is no audio/sx19.wav"
    assert "holds no frames" in named["fadg0/sx100"]
    assert named["mbdg0"] == "its video/ holds no frames"
    assert named["mccs0"] == "it has no folder video/"
    assert "fadg0/sx200" in named
    (heads,) = found[0].remarks
    assert heads.problem.startswith("3 folders of turning heads")


def test_other_frame_rates_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(ClipsError, match="25 frames a second"):
        vidtimit.find_sources(tmp_path, ClipSettings(fps=10.0))
    with pytest.raises(ClipsError, match="no such folder"):
        vidtimit.find_sources(tmp_path / "none", SETTINGS)
    found, problems = vidtimit.find_sources(tmp_path, SETTINGS)
    assert not found
    assert "no folder of a person" in problems[0].problem


def test_splits_by_sentence_by_person_and_none(tmp_path: Path) -> None:
    for k in range(5):
        # sx7 is spoken by two persons, sa1 and sa2 by all.
        shared = ["sx7"] if k < 2 else [f"sx{10 + k}"]
        for sentence in ["sa1", "sa2", *shared, f"si{k}"]:
            write_sentence(tmp_path, f"p{k}", sentence, 38)

    def list_parts(split: str) -> dict[str, set[str]]:
        parts: dict[str, set[str]] = {"train": set(), "test": set()}
        for one in vidtimit.find_sources(tmp_path, SETTINGS, split=split)[0]:  # type: ignore[arg-type]
            assert one.split is not None
            parts[one.split].add(one.recording)
        return parts

    parts = list_parts("sentence")
    texts = {s: {n.split("/")[1] for n in names} for s, names in parts.items()}
    people = {s: {n.split("/")[0] for n in names} for s, names in parts.items()}
    assert not texts["train"] & texts["test"]
    assert people["train"] == people["test"] == {f"p{k}" for k in range(5)}
    assert not {"sa1", "sa2"} & texts["test"]
    parts = list_parts("person")
    people = {s: {n.split("/")[0] for n in names} for s, names in parts.items()}
    assert len(people["test"]) == 1
    assert not people["train"] & people["test"]
    parts = list_parts("none")
    assert {name.removesuffix(" [again]") for name in parts["test"]} == parts["train"]


# ------------------------------------------------------------- real recordings


@pytest.mark.slow
def test_sentences_of_grid_laid_out_as_vidtimit(
    media_folder: Path, tmp_path: Path
) -> None:
    films = sorted((media_folder / "talking" / "grid").glob("*.mpg"))
    assert len(films) >= 5
    for k, film in enumerate(films[:4]):
        person, sentence = f"g{k // 2}", film.stem
        frames, fps = media.read_frames(film, size=64)
        assert fps == 25
        video = tmp_path / "in" / person / "video" / sentence
        video.mkdir(parents=True)
        for number, frame in enumerate(frames, start=1):
            Image.fromarray(frame).save(video / f"{number:03d}", format="JPEG")
        sound, rate = media.read_audio(film)
        (tmp_path / "in" / person / "audio").mkdir(exist_ok=True)
        path = tmp_path / "in" / person / "audio" / f"{sentence}.wav"
        soundfile.write(path, sound[0], rate)
    found, problems = vidtimit.find_sources(tmp_path / "in", SETTINGS)
    assert not problems
    report = prepare(found, tmp_path / "out", SETTINGS, workers=1)
    assert not report.problems
    # 3 s give two clips of 1.52 s, 1.28 s apart.
    assert set(report.written.values()) == {2}
    loaded = {s: load_clips(tmp_path / "out", s) for s in ("train", "test")}
    assert {s: len(one) for s, one in loaded.items()} == {"train": 4, "test": 4}
    assert loaded["test"].waveform.abs().max() > 500
