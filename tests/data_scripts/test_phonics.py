"""Phonics' layout: labels, rates and lengths, stills, borders, splits, bad input."""

from pathlib import Path

import numpy as np
import pytest

from avnb.data.clips import load_clips
from avnb.data.shards import prepare
from avnb.data.sources import Problem, Source, format_problems
from avnb.data.splits import split_recordings
from avnb.errors import ClipsError, LeakError
from avnb.media import write_frames
from data_scripts import phonics

SETTINGS = phonics.SETTINGS


def write_film(
    folder: Path,
    name: str,
    frames: int,
    fps: float = 25.0,
    *,
    moving: bool = True,
    leak: int = 0,
    sound: bool = True,
) -> None:
    """A square that walks over a ground; the first `leak` frames have another one."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for k in range(frames):
        picture = np.full((48, 48, 3), 60 if k < leak else 200, np.uint8)
        at = (2 * k) % 36 if moving else 10
        picture[10:22, at : at + 12] = 20
        pictures.append(picture)
    samples = round(frames / fps * 44100)
    waveform = 0.3 * np.sin(np.arange(samples) / 20, dtype=np.float32)
    waveforms = np.stack([waveform] * 2) if sound else np.zeros((0, 0), np.float32)
    write_frames(folder / f"{name}.mp4", pictures, waveforms, fps, 44100)


def write_labels(folder: Path, *lines: str) -> None:
    (folder / "labels.csv").write_text("\n".join(("clip,letter,word", *lines)) + "\n")


def list_remarks(found: list[Source]) -> list[Problem]:
    return [remark for one in found for remark in one.remarks]


def test_a_clip_holds_a_video_and_what_is_heard_beside() -> None:
    assert SETTINGS.frames == 32 + 2 * 3
    assert SETTINGS.samples == 38 * 640
    assert SETTINGS.step == pytest.approx(32 / 25)


def test_films_of_several_rates_and_lengths(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_film(folder, "62_5", 14, 25.0)  # 0.56 s
    write_film(folder, "70_1", 60, 30000 / 1001)  # 2.002 s
    write_film(folder, "83_0", 73, 24000 / 1001)  # 3.045 s
    write_labels(folder, "62_5,A,ant", "70_1,b,ball", "83_0.mp4,C,cat")
    found, problems = phonics.find_sources(folder)
    assert [one.recording for one in found] == ["62_5", "70_1", "83_0"]
    assert [one.label for one in found] == ["A", "B", "C"]
    assert not problems
    (short,) = list_remarks(found)
    assert short.file == "62_5.mp4"
    assert "0.56 s, shorter" in short.problem
    report = prepare(found, tmp_path / "out", SETTINGS, workers=1)
    # A clip each 1.28 s, of 1.52 s: one of the held film, one, and two.
    assert report.written == {"62_5": 1, "70_1": 1, "83_0": 2}
    assert report.remarks == [short]
    clips = load_clips(tmp_path / "out", "train")
    at = clips.recordings.index("62_5")
    held = clips.truth["held"][at].numpy()
    assert np.array_equal(held, np.arange(38) >= 14)
    frames = clips.frames[at].numpy()
    # The last of its own frames goes on, and the sound ends with it.
    assert (frames[14:] == frames[13]).all()
    assert not (frames[13] == frames[12]).all()
    sound = clips.waveform[at, 0].numpy()
    assert np.abs(sound[: 13 * 640]).max() > 5000
    assert np.abs(sound[16 * 640 :]).max() == 0
    others = [k for k, name in enumerate(clips.recordings) if name != "62_5"]
    assert clips.truth["held"][others].sum() == 0


def test_stills_and_leaking_borders_are_found_and_counted(tmp_path: Path) -> None:
    for k in range(2):
        write_film(tmp_path, f"1_{k}", 50, moving=False)
    write_film(tmp_path, "1_2", 50, leak=4)
    write_film(tmp_path, "1_3", 50, leak=25)  # a cut in the middle is none of a border
    write_labels(tmp_path, *(f"1_{k},A," for k in range(4)))
    found, problems = phonics.find_sources(tmp_path)
    assert len(found) == 4
    assert not problems
    remarks = list_remarks(found)
    named = {(one.file, one.problem) for one in remarks}
    still, border = "it is a still: nothing moves", "another slide at its border"
    assert {file for file, what in named if what == still} == {"1_0.mp4", "1_1.mp4"}
    assert {file for file, what in named if border in what} == {"1_2.mp4"}
    assert format_problems(remarks)[0].startswith("2 times: it is a still")
    kept, _ = phonics.find_sources(tmp_path, stills="leave", leaks="cut")
    assert [one.recording for one in kept] == ["1_2", "1_3"]
    assert kept[0].start == pytest.approx(4 / 25)
    assert kept[1].start is None


def test_a_border_at_the_end_is_cut_there(tmp_path: Path) -> None:
    write_film(tmp_path, "1_0", 50, leak=46)
    write_labels(tmp_path, "1_0,A,")
    (one,), _ = phonics.find_sources(tmp_path, leaks="cut")
    assert (one.start, one.duration) == (0.0, pytest.approx(46 / 25))


def test_labels_are_asked_for(tmp_path: Path) -> None:
    write_film(tmp_path, "62_5", 40)
    with pytest.raises(ClipsError, match=r"labels\.csv: it is missing") as caught:
        phonics.find_sources(tmp_path)
    assert "clip,letter,word" in caught.value.remedy
    (tmp_path / "labels.csv").write_text("name;class\n62_5;A\n")
    with pytest.raises(ClipsError, match="no table of labels"):
        phonics.find_sources(tmp_path)
    write_labels(tmp_path, "62_5,A,", "62_5,B,")
    with pytest.raises(ClipsError, match="62_5 twice"):
        phonics.find_sources(tmp_path)
    with pytest.raises(ClipsError, match="no such folder"):
        phonics.find_sources(tmp_path / "not there")


@pytest.mark.parametrize("letter", ["", "1", "AB", "Ä", "?"])
def test_an_unknown_letter_is_a_named_skip(tmp_path: Path, letter: str) -> None:
    write_film(tmp_path, "62_5", 40)
    write_film(tmp_path, "62_6", 40)
    write_labels(tmp_path, f"62_5,{letter},", "62_6,Q,")
    found, problems = phonics.find_sources(tmp_path)
    assert [one.recording for one in found] == ["62_6"]
    assert [one.file for one in problems] == ["62_5.mp4"]
    assert problems[0].remedy == "Give one of A to Z"


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    write_film(tmp_path, "62_5", 40)
    write_film(tmp_path, "62_6", 40, sound=False)
    write_film(tmp_path, "apple", 40)
    write_film(tmp_path, "62_7", 40)
    (tmp_path / "62_8.mp4").write_bytes(b"no film")
    write_labels(tmp_path, "62_5,A,", "62_6,A,", "62_8,A,", "62_9,A,")
    found, problems = phonics.find_sources(tmp_path)
    assert [one.recording for one in found] == ["62_5"]
    named = {one.file: one.problem for one in problems}
    assert named["62_6.mp4"] == "it has no sound"
    assert "SOURCE_NUMBER" in named["apple.mp4"]
    assert "has no line for it" in named["62_7.mp4"]
    assert "not there" in named["62_9"]
    assert set(named) == {"62_6.mp4", "apple.mp4", "62_7.mp4", "62_8.mp4", "62_9"}


def test_no_source_video_is_in_two_splits(tmp_path: Path) -> None:
    lines = []
    for source in range(5):
        for k in range(2):
            write_film(tmp_path, f"{source}_{k}", 40)
            lines.append(f"{source}_{k},A,{'ant' if k else 'axe'}")
    write_labels(tmp_path, *lines)
    found, _ = phonics.find_sources(tmp_path)
    splits, _ = split_recordings(found, SETTINGS)
    of_source: dict[str, set[str]] = {}
    for name, split in splits.items():
        of_source.setdefault(name.partition("_")[0], set()).add(split)
    assert all(len(one) == 1 for one in of_source.values())
    assert {one.unit for one in found} == {f"source {k}" for k in range(5)}
    words, _ = phonics.find_sources(tmp_path, split="word")
    splits, _ = split_recordings(words, SETTINGS)
    assert {splits[f"{k}_0"] for k in range(5)} != {splits[f"{k}_1"] for k in range(5)}
    assert len({splits[f"{k}_0"] for k in range(5)}) == 1
    both, _ = phonics.find_sources(tmp_path, split="none")
    splits, _ = split_recordings(both, SETTINGS)
    assert sorted(splits.values()) == ["test"] * 10 + ["train"] * 10
    write_labels(tmp_path, *(line.rpartition(",")[0] + "," for line in lines))
    with pytest.raises(ClipsError, match="has no word"):
        phonics.find_sources(tmp_path, split="word")


def test_one_file_in_two_splits_is_refused_unless_meant(tmp_path: Path) -> None:
    write_film(tmp_path, "1_0", 40)
    one = Source("a", "a", "A", tmp_path / "1_0.mp4", split="train")
    two = Source("b", "b", "A", tmp_path / "1_0.mp4", split="test")
    with pytest.raises(LeakError):
        split_recordings([one, two], SETTINGS)
    both = phonics.repeat_as_test([one])
    assert split_recordings(both, SETTINGS)[0] == {"a": "train", "a [again]": "test"}
