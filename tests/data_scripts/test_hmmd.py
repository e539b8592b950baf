"""HMMD's layout: whose videos are used, how they are split, and what is left out."""

from pathlib import Path

import numpy as np
import pytest

from avnb.data.clips import load_clips
from avnb.data.shards import prepare
from avnb.data.sources import ClipSettings, Source
from avnb.data.splits import split_in_time, split_recordings
from avnb.errors import ClipsError
from avnb.media import write_audio, write_frames
from data_scripts import hmmd

RATE = 16000
SETTINGS = hmmd.SETTINGS


def write_video(
    path: Path, seconds: float, *, rate: int = RATE, sound: bool = True, seed: int = 0
) -> None:
    """Pictures whose brightness tells the second, and noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    times = np.arange(round(seconds * 10)) / 10
    frames = [
        np.full((32, 32, 3), int(20 + 20 * (t % 10)), np.uint8) + np.uint8(seed)
        for t in times
    ]
    waveform = 0.1 * random.standard_normal((1, round(seconds * rate)))
    if not sound:
        waveform = np.zeros((0, 0))
    write_frames(path, frames, waveform.astype(np.float32), 10, rate)


def test_the_clips_are_the_papers() -> None:
    assert SETTINGS.samples == 16384 == 16 * 4**5
    assert (SETTINGS.step, SETTINGS.fps, SETTINGS.sample_rate) == (1.0, 25.0, 16000)
    assert sum(videos for videos, _ in hmmd.TABLE_2.values()) == 77
    assert sum(clips for _, clips in hmmd.TABLE_2.values()) == 6229


def test_videos_are_split_whole(tmp_path: Path) -> None:
    for k in range(5):
        write_video(tmp_path / "in" / "erhu" / f"{k}.mp4", 2.2, seed=k)
    found, problems = hmmd.find_sources(tmp_path / "in")
    assert not problems
    assert {source.recording for source in found} == {f"erhu/{k}.mp4" for k in range(5)}
    splits, _ = split_recordings(found, SETTINGS)
    assert sorted(splits.values()) == ["test"] + ["train"] * 4


@pytest.mark.slow
def test_the_only_video_of_a_class_is_cut_in_time_with_a_gap(tmp_path: Path) -> None:
    write_video(tmp_path / "in" / "ghatam" / "one.mp4", 20.0)
    found, problems = hmmd.find_sources(tmp_path / "in")
    assert not problems
    train, test = found
    assert (train.split, test.split) == ("train", "test")
    assert train.unit == test.unit
    report = prepare(found, tmp_path / "out", SETTINGS, workers=1)
    assert not report.problems
    loaded = {split: load_clips(tmp_path / "out", split) for split in ("train", "test")}
    last = loaded["train"].start.max() + SETTINGS.seconds
    assert loaded["test"].start.min() - last >= 5.0
    # 19 clips of 1.024 s fit in 20 s, 6 of them begin in the gap or reach into it.
    assert (len(loaded["train"]), len(loaded["test"])) == (10, 3)


def test_a_short_only_video_is_named(tmp_path: Path) -> None:
    write_video(tmp_path / "in" / "ghatam" / "one.mp4", 4.0)
    for k in range(2):
        write_video(tmp_path / "in" / "erhu" / f"{k}.mp4", 2.2, seed=1 + k)
    found, problems = hmmd.find_sources(tmp_path / "in")
    assert {source.label for source in found} == {"erhu"}
    (one,) = problems
    assert one.file == "ghatam/one.mp4"
    assert "the only video of its class" in one.problem
    assert "5 s between them" in one.problem
    assert "Add another video" in one.remedy


@pytest.mark.slow
def test_a_split_by_clip_puts_twins_on_both_sides(tmp_path: Path) -> None:
    for k in range(2):
        write_video(tmp_path / "in" / "erhu" / f"{k}.mp4", 11.5, seed=k)
    settings = ClipSettings(1.024, hop=1.0, fps=10.0, sample_rate=RATE, size=16)
    found, _ = hmmd.find_sources(tmp_path / "in", settings, split="clip")
    report = prepare(found, tmp_path / "out", settings, workers=1)
    assert not report.problems
    loaded = {split: load_clips(tmp_path / "out", split) for split in ("train", "test")}
    assert len(loaded["test"]) == 4  # a fifth of 20 clips
    for clips in loaded.values():
        assert set(clips.units) == {"erhu/0.mp4", "erhu/1.mp4"}
    # But no sample is in both.
    spans = [(float(s.start or 0), s.video) for s in found]
    for start, video in spans:
        after = [s for s, v in spans if v == video and s > start]
        assert not after or min(after) - start >= settings.seconds


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for k in range(2):
        write_video(root / "erhu" / f"{k}.mp4", 2.2, seed=k)
    write_video(root / "erhu" / "mute.mp4", 2.2, sound=False)
    write_video(root / "erhu" / "phone.mp4", 2.2, rate=8000, seed=5)
    (root / "erhu" / "damaged.mp4").write_bytes(b"no film")
    (root / "tabla").mkdir()
    from PIL import Image

    for k in range(3):
        Image.new("RGB", (8, 8)).save(root / "tabla" / f"{k}.png")
    noise = np.random.default_rng(0).standard_normal((1, RATE)).astype(np.float32)
    write_audio(root / "tabla" / "1.wav", 0.1 * noise, RATE)
    found, problems = hmmd.find_sources(root)
    assert [source.name for source in found] == ["erhu/0.mp4", "erhu/1.mp4"]
    told = {problem.file: problem for problem in problems}
    assert told["erhu/mute.mp4"].problem == "it has no sound"
    assert "8000 Hz, below 16000" in told["erhu/phone.mp4"].problem
    assert "--lowest-rate 8000" in told["erhu/phone.mp4"].remedy
    assert "erhu/damaged.mp4" in told
    assert "in which nothing moves" in told["tabla/1.png"].problem
    assert told["tabla/0.png"].problem == "no sound of the same name"
    found, _ = hmmd.find_sources(root, lowest_rate=8000)
    assert "erhu/phone.mp4" in [source.name for source in found]


def test_a_folder_of_stills_alone_gives_nothing(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "in" / "tabla").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "in" / "tabla" / "0.png")
    found, problems = hmmd.find_sources(tmp_path / "in")
    assert not found
    assert problems


@pytest.mark.parametrize("gap", [-1.0, float("nan"), float("inf")])
def test_a_gap_that_cannot_be_is_an_error(gap: float, tmp_path: Path) -> None:
    with pytest.raises(ClipsError, match="gap"):
        hmmd.find_sources(tmp_path, gap=gap)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ClipsError, match="no such folder"):
        hmmd.find_sources(tmp_path / "nowhere")


# ------------------------------------------------------ a gap where time is cut


def cut(
    length: float, gap: float, share: float, step: float = 1.0
) -> list[list[float]]:
    """The starts of the clips of both parts, by a loop over all clips."""
    settings = ClipSettings(1.024, hop=step, fps=10.0, test_fraction=share)
    source = Source("a", "a", "x", Path("a.mp4"), duration=length)
    parts = []
    for part in split_in_time(source, settings, gap):
        start, at = part.start or 0.0, []
        while start + 1.024 <= (part.start or 0.0) + (part.duration or 0.0) + 1e-6:
            at.append(start)
            start += step
        parts.append(at)
    return parts


@pytest.mark.parametrize("seed", range(12))
def test_the_gap_lies_between_the_parts(seed: int) -> None:
    random = np.random.default_rng(seed)
    length, gap = float(random.uniform(12, 90)), float(random.uniform(0.1, 6))
    train, test = cut(length, gap, float(random.uniform(0.1, 0.6)))
    assert train[0] == 0
    between = test[0] - (train[-1] + 1.024)
    assert gap <= between + 1e-9 < gap + 1.0 + 1e-6
    assert test[-1] + 1.024 <= length + 0.01
    assert test[-1] + 1.024 > length - 1.03  # nothing is wasted at the end


def test_overlapping_clips_need_a_gap() -> None:
    with pytest.raises(ClipsError, match="must follow each other"):
        cut(30.0, 0.0, 0.2)
    assert all(cut(30.0, 0.024, 0.2))


# ------------------------------------------------------------- real recordings


@pytest.mark.slow
def test_real_recordings_become_clips_or_are_named(
    media_folder: Path, tmp_path: Path
) -> None:
    root = tmp_path / "in"
    root.mkdir()
    for name in ("events", "music", "talking"):
        (root / name).symlink_to(media_folder / name, target_is_directory=True)
    settings = ClipSettings(1.024, hop=1.0, fps=10.0, sample_rate=RATE, size=32)
    found, problems = hmmd.find_sources(root, settings)
    # Every file is a source, or is named with what is wrong.
    files = [p for p in media_folder.glob("*/**/*") if p.is_file()]
    films = {
        p.relative_to(media_folder).as_posix()
        for p in files
        if p.parts[len(media_folder.parts)] in ("events", "music", "talking")
    }
    named = {source.name.partition(" [")[0] for source in found}
    named |= {problem.file for problem in problems}
    assert films <= named
    # The pianist's one video would be the only one of its class, but for a hand.
    chosen = [s for s in found if not s.name.startswith("music/pianist")][::3]
    report = prepare(chosen, tmp_path / "out", settings, problems=problems, workers=1)
    made = set(report.written)
    failed = {problem.file for problem in report.problems}
    assert made
    assert {s.recording for s in chosen} <= made | failed
    train = load_clips(tmp_path / "out", "train")
    assert train.waveform.shape[1:] == (1, 16384)
    assert train.frames.shape[1:] == (10, 32, 32, 3)
    assert not set(train.units) & set(load_clips(tmp_path / "out", "test").units)
