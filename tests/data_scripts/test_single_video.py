"""One video, cut in time: nothing is lost, nothing is in both parts, errors name it."""

import dataclasses
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from avnb import media
from avnb.data import scripts
from avnb.data.clips import load_clips, load_recording
from avnb.data.shards import prepare
from avnb.data.sources import ClipSettings, Source
from avnb.data.splits import split_in_time, split_recordings
from avnb.errors import ClipsError, DownloadError, LeakError
from data_scripts import single_video

RATE = 16000
SMALL = dataclasses.replace(single_video.SETTINGS, size=16)


def write_video(path: Path, seconds: float, fps: float = 20.0, sound: bool = True):
    """Frame k: grey that rises by 2 a frame; its sound: a tone for each second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = round(seconds * fps)
    frames = np.zeros((count, 48, 64, 3), np.uint8)
    frames[:] = (20 + 2 * np.arange(count) % 200)[:, None, None, None]
    frames[:, :, :32, 0] = 250  # the left half is red
    t = np.arange(round(seconds * RATE)) / RATE
    tone = 0.5 * np.sin(2 * np.pi * (200 + 100 * np.floor(t)) * t)
    waveform = tone[None].astype(np.float32) if sound else np.zeros((1, 0), np.float32)
    media.write_clip(path, media.Clip(frames, waveform, fps, RATE))


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("single") / "tone.mp4"
    write_video(path, 10.4)
    return path


@pytest.fixture(scope="module")
def prepared(video, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    sources, problems = single_video.find_sources(video, SMALL)
    report = prepare(sources, out, SMALL, problems=problems, workers=1)
    assert not report.problems
    return out


# ------------------------------------------------------------ cut in time


def whole(seconds: float, start: float = 0.0) -> Source:
    return Source("v", "v", "v", Path("v.mp4"), start=start, duration=seconds)


@pytest.mark.parametrize("seconds", [2.0, 3.7, 10.0, 97.62, 240.0])
@pytest.mark.parametrize("fraction", [0.0, 0.2, 0.5, 0.9])
def test_the_parts_share_no_moment_and_lose_none(seconds, fraction):
    settings = ClipSettings(seconds=1.0, test_fraction=fraction)
    train, test = split_in_time(whole(seconds, start=5.0), settings)
    assert (train.split, test.split) == ("train", "test")
    assert train.start == 5.0
    assert train.start + train.duration == test.start
    assert test.start + test.duration == 5.0 + int(seconds)  # whole clips
    assert test.duration >= 1
    assert train.duration >= 1
    if 1 < fraction * int(seconds) < int(seconds) - 1:
        assert abs(test.duration - fraction * int(seconds)) <= 0.5
    split, notes = split_recordings([train, test], settings)
    assert split == {train.recording: "train", test.recording: "test"}
    assert not notes


def test_parts_that_overlap_are_a_leak():
    train, test = split_in_time(whole(10.0), SMALL)
    change = dataclasses.replace
    for wrong in (
        [train, change(test, start=test.start - 0.5)],
        [change(train, duration=None), test],
        [change(train, cut_in_time=False), test],
        [train, change(test, cut_in_time=False)],
        # a third that overlaps only one of the two
        [train, change(train, name="w", recording="w", cut_in_time=False), test],
        [train, test, change(train, name="w", recording="w", split="test")],
    ):
        with pytest.raises(LeakError, match=r"v\.mp4"):
            split_recordings(wrong, SMALL)


def test_what_cannot_be_cut_in_time():
    with pytest.raises(ClipsError, match=r"1\.90 s are shorter than two clips"):
        split_in_time(whole(1.9), SMALL)
    with pytest.raises(ClipsError, match=r"hop: it is 0\.5"):
        split_in_time(whole(9.0), dataclasses.replace(SMALL, hop=0.5))
    with pytest.raises(ClipsError, match="needs its duration"):
        split_in_time(dataclasses.replace(whole(9.0), duration=None), SMALL)


# ----------------------------------------------------------------- the film


def test_film_is_the_video(video, prepared):
    """Frames and sound of both parts, joined, are those of the file read at once."""
    clip = media.read_clip(video, duration=10, fps=20, size=16, sample_rate=RATE)
    parts = [load_recording(prepared, split) for split in ("train", "test")]
    assert [len(part) for part in parts] == [160, 40]
    frames = torch.cat([part.frames for part in parts]).numpy()
    assert (frames == clip.frames).all()
    waveform = torch.cat([part.waveform for part in parts]).numpy()
    assert waveform.shape == (10 * RATE,)
    assert np.abs(waveform - clip.waveform[0]).max() < 1e-3
    times = torch.cat([part.times for part in parts]).numpy()
    assert times == pytest.approx(np.arange(200) / 20, abs=1e-4)
    first, last = parts
    assert first.recording != last.recording
    assert first.label == last.label == "tone"
    assert (first.fps, first.sample_rate) == (20.0, RATE)
    assert first.truth == {}


def test_span_and_crop(video, tmp_path):
    sources, _ = single_video.find_sources(
        video, SMALL, crop="32,0,64,32", start=2.5, end=7.5
    )
    prepare(sources, tmp_path / "right", SMALL, workers=1)
    film = load_recording(tmp_path / "right", "train")
    assert film.times[0] == 2.5
    assert len(film) + len(load_recording(tmp_path / "right", "test")) == 100
    grey = film.frames.float().mean((1, 2))
    assert (grey.amax(1) - grey.amin(1)).max() < 6  # nothing red
    assert abs(grey[0].mean() - (20 + 2 * 50)) < 6
    sources, _ = single_video.find_sources(video, SMALL, crop="0,0,32,48")
    assert sources[0].crop == (0, 0, 32, 48)


def test_a_film_has_one_recording_without_a_gap(prepared, video, tmp_path):
    sources, _ = single_video.find_sources(video, SMALL)
    train, test = sources
    gap = dataclasses.replace(train, name="b", start=6.0, duration=2.0)
    parts = [dataclasses.replace(train, duration=3.0), gap, test]
    prepare(parts, tmp_path / "gap", SMALL, workers=1)
    with pytest.raises(ClipsError, match="do not follow each other at 6 s"):
        load_recording(tmp_path / "gap", "train")
    other = dataclasses.replace(gap, recording="other")
    prepare([parts[0], other, test], tmp_path / "two", SMALL, workers=1)
    with pytest.raises(ClipsError, match="2 recordings"):
        load_recording(tmp_path / "two", "train")


def test_truth_beside_the_video(video, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "v"
    (folder / "truth").mkdir(parents=True)
    (folder / "a.mp4").write_bytes(video.read_bytes())
    time = np.arange(208) / 20
    columns = {"time": time, "place": time * 10, "onset_a": (np.arange(208) % 7) == 3}
    pq.write_table(pa.table(columns), folder / "truth" / "a.parquet")
    sources, _ = single_video.find_sources(folder, SMALL)
    prepare(sources, tmp_path / "out", SMALL, workers=1)
    for split in ("train", "test"):
        film = load_recording(tmp_path / "out", split)
        assert set(film.truth) == {"place", "onset_a"}
        assert torch.allclose(film.truth["place"], 10 * film.times, atol=1e-3)
        rows = (film.times * 20).round().long()
        assert torch.equal(film.truth["onset_a"], (rows % 7 == 3).float())


def test_marks_between_frames_are_not_lost(tmp_path):
    """Truth at 100 Hz, frames at 20: a mark counts for the frame it follows."""
    from avnb.data.truth import sample_truth

    truth = {"time": np.arange(100) / 100, "onset_a": np.zeros(100)}
    truth["onset_a"][[3, 51]] = 1
    times = np.arange(20) / 20
    found = sample_truth(truth, "onset_a", times, 1 / 20)
    assert np.flatnonzero(found).tolist() == [0, 10]


# --------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": "0,0,65,48"}, r"tone\.mp4: crop is 0,0,65,48, not inside its .*64 x"),
        ({"crop": "-1,0,20,20"}, "crop is -1,0,20,20"),
        ({"crop": "30,0,30,20"}, "crop is 30,0,30,20"),
        ({"crop": "all"}, "crop is 'all'"),
        ({"start": 11.0}, r"tone\.mp4: start is 11 s, outside the video's 0 to 10\.4"),
        ({"end": 12.0}, r"tone\.mp4: end is 12 s, outside"),
        ({"start": -1.0}, "start is -1 s"),
        ({"start": float("nan")}, "start is nan"),
        ({"start": 5.0, "end": 4.0}, r"start is 5 s, not before end 4 s"),
        ({"start": 9.0}, r"tone\.mp4: 1\.40 s are shorter than two clips of 1\.0 s"),
        (
            {"youtube": "a video"},
            "youtube is 'a video': it is not .* Give cello, quintet, drums",
        ),
    ],
)
def test_bad_options_are_named(video, options, message):
    with pytest.raises(ClipsError, match=message):
        single_video.find_sources(video, SMALL, **options)


def test_bad_files_are_named(tmp_path, video):
    write_video(tmp_path / "mute.mp4", 3.0, sound=False)
    with pytest.raises(ClipsError, match=r"mute\.mp4: it has no sound"):
        single_video.find_sources(tmp_path / "mute.mp4", SMALL)
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(ClipsError, match=r"empty\.mp4: zero bytes"):
        single_video.find_sources(tmp_path / "empty.mp4", SMALL)
    with pytest.raises(ClipsError, match=r"empty\.mp4, mute\.mp4 found"):
        single_video.find_sources(tmp_path, SMALL)
    with pytest.raises(ClipsError, match="no such file or folder"):
        single_video.find_sources(tmp_path / "nowhere", SMALL)
    odd = dataclasses.replace(SMALL, seconds=1.03)
    with pytest.raises(ClipsError, match=r"seconds is 1\.03: at fps 20\.0"):
        single_video.find_sources(video, odd)


@pytest.mark.filterwarnings("error")
def test_a_part_after_the_sounds_end_is_silent(tmp_path):
    film = Path(__file__).parents[1] / "media" / "sound_ends.mp4"  # 4 s, 1.5 s of sound
    settings = dataclasses.replace(SMALL, seconds=0.5)
    sources, problems = single_video.find_sources(film, settings, start=3.0)
    report = prepare(sources, tmp_path / "out", settings, workers=1)
    assert not [*problems, *report.problems]
    assert {remark.problem for remark in report.remarks} == {"its sound is silent"}
    for split in ("train", "test"):
        held = load_clips(tmp_path / "out", split)
        assert len(held) == 1
        assert not held.waveform.any()


def test_damage_behind_the_header_is_named():
    broken = Path(__file__).parents[1] / "media" / "broken.mts"
    with pytest.raises(ClipsError, match=r"broken\.mts: damaged"):
        single_video.find_sources(broken, SMALL)


def test_odd_real_files(media_folder):
    for name, message in (
        ("sample_video_only.mp4", "no sound"),
        ("sample_audio_only.mp4", "no picture"),
        ("sample_malformed_free_box.mp4", "sample_malformed_free_box"),
        ("sample_twos_pcm.mp4", r"1\.0\d s are shorter than two clips"),
    ):
        with pytest.raises(ClipsError, match=message):
            single_video.find_sources(media_folder / "odd" / name, SMALL)


@pytest.mark.slow
def test_the_pianist(media_folder, tmp_path):
    """97.6 s of a real recording: a few seconds of it, cropped, through the command."""
    video = media_folder / "music" / "pianist.avi"
    sources, _ = single_video.find_sources(video, SMALL)
    assert [s.duration for s in sources] == [78, 19]
    given = ["single_video", "--source", str(video), "--out", str(tmp_path / "out")]
    given += ["--crop", "80,0,560,480", "--start", "40", "--end", "46.5"]
    app = scripts.build_app()
    done = CliRunner().invoke(app, [*given, "--size", "32", "--workers", "1"])
    assert done.exit_code == 0, done.output
    film = load_recording(tmp_path / "out", "train")
    assert film.frames.shape == (100, 32, 32, 3)
    assert film.waveform.shape == (80000,)
    assert film.times[0] == 40
    assert 0.01 < film.waveform.abs().max() <= 1
    assert film.frames.float().std() > 20
    refused = CliRunner().invoke(app, [*given[:-4], "--end", "120"])
    assert refused.exit_code == 1
    assert "end is 120 s, outside the video's 0 to 97.6" in refused.output


# ----------------------------------------------------------------- YouTube


def fake_yt_dlp(monkeypatch, download):
    """A stand-in for the library: no test fetches anything."""
    module = types.ModuleType("yt_dlp")
    module.utils = types.SimpleNamespace(DownloadError=OSError)
    asked = []

    class YoutubeDL:
        def __init__(self, options):
            asked.append(options)
            self.options = options

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

        def download(self, addresses):
            download(self.options, addresses)

    module.YoutubeDL = YoutubeDL
    monkeypatch.setitem(sys.modules, "yt_dlp", module)
    return asked


def test_a_paper_s_video_is_fetched_once_and_cropped(tmp_path, monkeypatch, video):
    def download(options, addresses):
        assert addresses == ["https://www.youtube.com/watch?v=R-Tk7-Ytes4"]
        path = Path(options["outtmpl"].replace("%(ext)s", "mp4"))
        path.write_bytes(video.read_bytes())

    asked = fake_yt_dlp(monkeypatch, download)
    monkeypatch.setitem(
        single_video.PAPER_VIDEOS,
        "quintet",
        single_video.YouTubeVideo("R-Tk7-Ytes4", 96, (32, 0, 128, 96)),
    )
    sources, _ = single_video.find_sources(tmp_path, SMALL, youtube="quintet")
    assert [s.split for s in sources] == ["train", "test"]
    assert sources[0].label == "quintet"
    assert sources[0].crop == (16, 0, 48, 48)  # the picture is half as high
    assert sources[0].video.name == "R-Tk7-Ytes4.video.mp4"
    assert sources[0].audio.name == "R-Tk7-Ytes4.audio.mp4"
    assert len(asked) == 2
    assert "height<=96" in asked[0]["format"]
    single_video.find_sources(tmp_path, SMALL, youtube="quintet")
    assert len(asked) == 2


def test_a_folder_may_have_a_per_cent_sign_in_its_name(tmp_path, monkeypatch, video):
    def download(options, addresses):
        # `outtmpl` is a template of Python's % formatting; see yt-dlp's README.
        Path(options["outtmpl"] % {"ext": "mp4"}).write_bytes(video.read_bytes())

    fake_yt_dlp(monkeypatch, download)
    folder = tmp_path / "100%(id)s"
    pair = single_video.fetch(folder, "R-Tk7-Ytes4", 96)
    assert [path.parent for path in pair] == [folder, folder]


def test_a_video_that_is_gone_says_so(tmp_path, monkeypatch):
    def download(options, addresses):
        raise OSError("Video unavailable")

    fake_yt_dlp(monkeypatch, download)
    with pytest.raises(
        DownloadError, match=r"zah9B0toTBQ: it was not fetched \(Video unavai"
    ):
        single_video.find_sources(tmp_path, SMALL, youtube="cello")
    with pytest.raises(DownloadError, match="a dry run fetches nothing"):
        single_video.find_sources(tmp_path, SMALL, youtube="cello", dry_run=True)


def test_without_yt_dlp_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    with pytest.raises(DownloadError, match=r'pip install "avnb\[youtube\]"'):
        single_video.find_sources(tmp_path, SMALL, youtube="drums")


def test_the_papers_crops_are_inside_their_pictures():
    for remote in single_video.PAPER_VIDEOS.values():
        left, top, right, bottom = remote.box
        assert 0 <= left < right <= remote.height * 16 // 9
        assert 0 <= top < bottom <= remote.height
        assert right - left == bottom - top
