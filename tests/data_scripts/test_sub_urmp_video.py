"""Clips of one second from the released Sub-URMP: the joins, and the gaps."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from avnb.data.clips import load_clips
from avnb.data.shards import prepare
from avnb.data.sources import format_problems
from avnb.errors import ClipsError
from avnb.media import write_frames
from data_scripts import sub_urmp_video
from data_scripts.bandstand.layouts.sub_urmp import perform_part
from data_scripts.bandstand.layouts.sub_urmp_video import (
    MORE,
    plan_songs,
    plan_table_1,
    write_sub_urmp_video,
)

RATE = 44100
SETTINGS = sub_urmp_video.SETTINGS


def write_song(
    root: Path, numbers: list[int], name: str = "flute00", split: str = "train"
) -> np.ndarray:
    """Pairs of one long sound, as released: picture k is grey 10 k at its moment.

    Returns:
        The whole sound, (samples,).
    """
    seconds = (max(numbers) - 500) / 1000 + 0.5
    now = np.arange(math.ceil(seconds * RATE)) / RATE
    # A chirp: each moment has a frequency of its own, so a false join would be found.
    sound = 0.4 * np.sin(2 * np.pi * (200 * now + 90 * now**2))
    instrument = name.rstrip("0123456789")
    for kind in ("img", "chunk"):
        (root / kind / split / instrument).mkdir(parents=True, exist_ok=True)
    for ms in numbers:
        start = round((ms - 500) / 1000 * RATE)
        chunk = np.stack([sound[start : start + RATE // 2]] * 2, axis=1)
        item = f"{split}/{instrument}/{name}_{ms}"
        soundfile.write(root / "chunk" / f"{item}.wav", chunk, RATE)
        grey = (10 * ((ms - 500) // 100)) % 250
        Image.new("L", (16, 16), grey).save(root / "img" / f"{item}.jpg", quality=100)
    return sound


def test_a_clip_is_joined_from_pictures_and_chunks(tmp_path: Path) -> None:
    sound = write_song(tmp_path / "in", list(range(500, 3500, 100)))
    found, problems = sub_urmp_video.find_sources(tmp_path / "in")
    assert not problems
    assert [source.offset for source in found] == [0.0, 1.0, 2.0]
    report = prepare(found, tmp_path / "out", SETTINGS, workers=1)
    assert not report.problems
    clips = load_clips(tmp_path / "out", "train")
    assert clips.frames.shape == (3, 10, 64, 64, 3)
    assert clips.waveform.shape == (3, 1, 16384)
    grey = clips.frames.float().mean((2, 3, 4)).numpy()
    wanted = (10 * np.arange(30).reshape(3, 10)) % 250
    assert np.abs(grey - wanted).max() < 3
    # The sound is that of the whole recording, resampled in one piece. No part of it
    # is silence, and there is no jump at 0.5 s or at 1.0 s.
    heard = clips.waveform[:, 0].numpy() / 32767
    times = np.arange(16384) / 16000
    for k in range(3):
        now = k + times
        right = 0.4 * np.sin(2 * np.pi * (200 * now + 90 * now**2))
        inside = slice(40, -1)  # a resampler hears silence before the first sample
        assert np.abs(heard[k, inside] - right[inside]).max() < 0.02
    assert np.abs(heard[:, -400:]).max() > 0.3
    assert len(sound) > 3 * RATE


def test_a_gap_is_counted_and_not_bridged(tmp_path: Path) -> None:
    numbers = [n for n in range(500, 5500, 100) if n not in (1900, 2000)]
    write_song(tmp_path / "in", numbers)
    found, problems = sub_urmp_video.find_sources(tmp_path / "in")
    # 500..1400 is whole, 1500..2400 has the gap, and 2100 begins anew.
    assert [source.name for source in found] == [
        "flute00_500",
        "flute00_2100",
        "flute00_3100",
        "flute00_4100",
    ]
    (gap,) = problems
    assert gap.file == "flute00_1900"
    assert "no clip is made across it" in gap.problem
    for source in found:
        stems = [int(path.stem.split("_")[1]) for path in source.pictures]
        assert np.all(np.diff(stems) == 100)
        assert [piece.path.stem for piece in source.pieces] == [
            f"flute00_{stems[0] + ms}" for ms in (0, 500, 600)
        ]


def test_many_gaps_are_one_line_of_the_report(tmp_path: Path) -> None:
    for song in range(4):
        numbers = [n for n in range(500, 4500, 100) if n != 1700 + 100 * song]
        write_song(tmp_path / "in", numbers, f"flute0{song}")
    _, problems = sub_urmp_video.find_sources(tmp_path / "in")
    assert len(problems) == 4
    first, *_ = format_problems(problems)
    assert first.startswith("4 times: this pair is missing")


def test_a_picture_without_its_chunk_is_a_gap_and_a_problem(tmp_path: Path) -> None:
    write_song(tmp_path / "in", list(range(500, 3500, 100)))
    (tmp_path / "in" / "chunk" / "train" / "flute" / "flute00_1600.wav").unlink()
    found, problems = sub_urmp_video.find_sources(tmp_path / "in")
    assert [source.name for source in found] == ["flute00_500", "flute00_1700"]
    assert len(problems) == 2
    assert "the other half of the pair is missing" in problems[0].problem


def test_a_chunk_that_is_cut_short_costs_its_clip(tmp_path: Path) -> None:
    write_song(tmp_path / "in", list(range(500, 3500, 100)))
    short = tmp_path / "in" / "chunk" / "train" / "flute" / "flute00_2000.wav"
    soundfile.write(short, np.zeros((9000, 2)), RATE)
    found, problems = sub_urmp_video.find_sources(tmp_path / "in")
    report = prepare(found, tmp_path / "out", SETTINGS, problems=problems, workers=1)
    assert sum(report.written.values()) == 2
    (problem,) = report.problems
    assert "flute00_2000.wav" in problem.problem or "flute00_1500" in problem.file
    assert "ends before" in problem.problem


def test_chunks_of_two_rates_are_no_clip(tmp_path: Path) -> None:
    write_song(tmp_path / "in", list(range(500, 1900, 100)))
    other = tmp_path / "in" / "chunk" / "train" / "flute" / "flute00_1000.wav"
    soundfile.write(other, np.zeros((11025, 2)), 22050)
    found, _ = sub_urmp_video.find_sources(tmp_path / "in")
    report = prepare(found, tmp_path / "out", SETTINGS, workers=1)
    assert "[22050, 44100] Hz" in report.problems[0].problem


@pytest.mark.parametrize(
    ("settings", "told"), [({"fps": 25.0}, "fps"), ({"seconds": 1.2}, "seconds")]
)
def test_what_the_pairs_do_not_hold_is_an_error(
    settings: dict, told: str, tmp_path: Path
) -> None:
    write_song(tmp_path / "in", list(range(500, 1900, 100)))
    with pytest.raises(ClipsError, match=told):
        sub_urmp_video.find_sources(tmp_path / "in", replace(SETTINGS, **settings))


def test_an_empty_folder_says_what_belongs_there(tmp_path: Path) -> None:
    found, problems = sub_urmp_video.find_sources(tmp_path)
    assert not found
    assert "Give the folder that holds img/" in problems[0].remedy


# ---------------------------------------------------------------------- from URMP


def test_urmp_gives_clips_of_each_player(tmp_path: Path) -> None:
    """Two players side by side: the left one gets brighter, the right one stays."""
    piece = tmp_path / "in" / "01_Jupiter_vn_vc"
    piece.mkdir(parents=True)
    frames = np.full((32, 48, 96, 3), 120, np.uint8)
    frames[:, :, :48] = (40 + 6 * np.arange(32)).astype(np.uint8)[:, None, None, None]
    now = np.arange(round(3.2 * 16000)) / 16000
    sounds = {"1_vn": 0.4 * np.sin(2 * np.pi * (200 * now + 90 * now**2))}
    sounds["2_vc"] = 0.4 * np.sin(2 * np.pi * (900 * now - 90 * now**2))
    mixed = sum(sounds.values())[None].astype(np.float32)
    write_frames(piece / f"Vid_{piece.name}.mp4", frames, mixed, 10, 16000)
    for part, sound in sounds.items():
        soundfile.write(piece / f"AuSep_{part}_01_Jupiter.wav", sound, 16000)
    settings = replace(SETTINGS, size=16)
    found, problems = sub_urmp_video.find_sources(
        tmp_path / "in", settings, layout="urmp"
    )
    report = prepare(found, tmp_path / "out", settings, problems=problems, workers=1)
    assert not report.problems
    clips = load_clips(tmp_path / "out", "train")
    assert clips.frames.shape == (6, 10, 16, 16, 3)
    assert clips.waveform.shape == (6, 1, 16384)
    for i, label in enumerate(clips.labels.tolist()):
        violin = clips.classes[label] == "violin"
        start = round(float(clips.start[i]))
        # The own track, and not the video's sound, from the clip's first moment on.
        sound = sounds["1_vn" if violin else "2_vc"][16000 * start :][:16384]
        heard = clips.waveform[i, 0].numpy() / 32767
        assert np.abs(heard - sound).max() < 0.01
        grey = clips.frames[i].float().mean((1, 2, 3)).numpy()
        wanted = 40 + 6 * (10 * start + np.arange(10)) if violin else 120
        assert np.abs(grey - wanted).max() < 4


# ------------------------------------------------------------- the drawn stand-in


def test_the_plan_of_table_1_is_the_papers() -> None:
    plan = plan_table_1(seed=2)
    for name, wanted in sub_urmp_video.TABLE_1.items():
        own = [song for song in plan.values() if song.part.instrument == name]
        counts = [
            sum(s.clips for s in own if s.part.held_out == out) for out in (False, True)
        ]
        assert tuple(counts) == wanted
    assert sum(song.clips for song in plan.values()) == 6496 + 907
    people = [
        {s.part.player for s in plan.values() if s.part.held_out == out}
        for out in (False, True)
    ]
    assert not people[0] & people[1]


@pytest.mark.slow
def test_the_drawn_set_keeps_one_clock(tmp_path: Path) -> None:
    plan = plan_songs(songs=2, clips=3, seed=5)
    plan = {k: song for k, song in plan.items() if song.part.instrument == "cello"}
    write_sub_urmp_video(tmp_path / "in", plan, workers=1)
    found, problems = sub_urmp_video.find_sources(tmp_path / "in")
    report = prepare(found, tmp_path / "out", SETTINGS, problems=problems, workers=1)
    assert not report.problems
    assert not report.remarks
    assert sum(report.written.values()) == sum(song.clips for song in plan.values())
    seen = 0
    for split in ("train", "test"):
        clips = load_clips(tmp_path / "out", split)
        for i, name in enumerate(clips.recordings):
            song = plan[name]
            played = perform_part(song.part, song.clips + MORE)
            start = float(clips.start[i])
            frames = {
                math.floor((note.onset - start) * 10 + 1e-6)
                for note in played.notes
                if start <= note.onset < start + 1
            }
            assert set(clips.truth["onset"][i].nonzero()[:, 0].tolist()) == frames
            seen += len(frames)
    assert seen > 5
