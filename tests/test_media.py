"""Media: what comes out of a file against what is known to be in it."""

import math
import os
import shutil
import struct
import subprocess
import time
import zlib
from fractions import Fraction
from pathlib import Path

import av
import mutate_media
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from quick import mark_rest

from avnb import media
from avnb.errors import MediaError
from avnb.media import Clip

RATE = 44100


def numbered(numbers, size=(32, 48)):
    """Frames that show their number: seven bits, as dark and light stripes."""
    bits = np.asarray(numbers, int)[:, None] >> np.arange(7) & 1
    stripe = np.arange(size[1]) * 7 // size[1]
    row = np.where(bits[:, stripe], 220, 30).astype(np.uint8)
    return np.broadcast_to(row[:, None, :, None], (len(bits), *size, 3))


def numbers(frames):
    height, width = frames.shape[1:3]
    stripe = np.arange(width) * 7 // width
    row = frames[:, : height // 2].mean((1, 3))
    light = np.stack([row[:, stripe == k].mean(1) > 125 for k in range(7)], 1)
    return light @ (1 << np.arange(7))


def make(
    path,
    stamps,
    frames=None,
    *,
    sound=None,
    sound_at=0.0,
    rate=RATE,
    tick=Fraction(1, 90000),
    codec="libx264",
    sound_codec="aac",
    layout="mono",
    matrix=None,
    aspect=None,
    options=None,
):
    """Write a film with PyAV, each frame at its time stamp (s), sound from sound_at."""
    frames = numbered(range(len(stamps))) if frames is None else frames
    with av.open(str(path), "w", options=options or {}) as out:
        if len(stamps):
            video = out.add_stream(codec, rate=25)
            video.height, video.width = frames.shape[1:3]
            video.pix_fmt = "yuv420p"
            video.time_base = video.codec_context.time_base = tick
            video.options = {"crf": "5"} if codec == "libx264" else {}
            video.codec_context.bit_rate = 4_000_000
            if matrix:
                video.set_display_matrix(matrix)
            if aspect:
                video.codec_context.sample_aspect_ratio = aspect
        if sound is not None:
            track = out.add_stream(sound_codec, rate=rate, layout=layout)
            if sound_codec == "aac":  # no random noise in place of noise
                track.options = {"aac_pns": "0"}
        packets = []
        for stamp, picture in zip(stamps, frames, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame.pts, frame.time_base = round(Fraction(stamp) / tick), tick
            packets += video.encode(frame)
        if len(stamps):
            packets += video.encode()
        if sound is not None:
            sound = np.atleast_2d(sound).astype(np.float32)
            step = track.codec_context.frame_size or 1024
            fmt = track.codec_context.format.name
            for at in range(0, sound.shape[1], step):
                block = np.ascontiguousarray(sound[:, at : at + step])
                frame = av.AudioFrame.from_ndarray(block, "fltp", layout)
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = at + round(sound_at * rate)
                for whole in av.AudioResampler(fmt).resample(frame):
                    packets += track.encode(whole)
            packets += track.encode()
        out.mux(sorted(packets, key=lambda p: p.dts * p.time_base))
    return path


def clicks(seconds, at, rate=RATE):
    """Silence with a 20 ms burst of 1 kHz from each of the times `at`."""
    time = np.arange(round(seconds * rate)) / rate
    on = np.any([(time >= a) & (time < a + 0.02) for a in at], axis=0)
    return 0.8 * on * np.sin(2 * np.pi * 1000 * time)


def onset(waveform, rate):
    return np.argmax(np.abs(waveform[0]) > 0.2) / rate


# ---------------------------------------------------------- the odd files, by name

# file: (T, H, W), fps, (channels, samples), sample rate of read_clip, or the error
ODD = {
    "ChID-BLITS-EBU.mp4": ((373, 600, 800), 8, (6, 2056162), 44100),
    "DualDiscs.mov": ((62, 465, 640), 24.3615, (2, 112235), 44100),
    "bbb_960x540_60fps_vp8.webm": ((60, 540, 960), 60, (6, 47952), 48000),
    "bear-vp9-odd-dimensions.webm": "no audio track",
    "cockatoo.mp4": ((280, 720, 1280), 20, (1, 224000), 16000),
    "corrupted.mp4": "no audio track",
    "no_duration.webm": ((74, 720, 1280), 14.985, (2, 237024), 48000),
    "no_face.mp4": ((95, 540, 960), 23.6716, (2, 177060), 44100),
    "result.webm": "zero bytes",
    "sample.avi": ((98, 400, 960), 23.976, (2, 196196), 48000),
    "sample_android_slow_motion.mp4": "no audio track",
    "sample_audio_only.mp4": "no video track",
    "sample_h264_mpeg_audio.ts": ((3, 426, 640), 29.97, (1, 4414), 44100),
    "sample_malformed_free_box.mp4": "not a media file",
    "sample_portrait.mp4": ((30, 1080, 720), 29.97, (1, 44144), 44100),
    "sample_rotate_and_reflect.mp4": ((30, 1080, 720), 29.97, (1, 44144), 44100),
    "sample_shorter_audio.mp4": ((72, 240, 320), 60, (1, 52920), 44100),
    "sample_twos_pcm.mp4": ((30, 720, 1080), 29.97, (1, 44144), 44100),
    "sample_video_only.mp4": "no audio track",
    "silent-black-10s.mp4": ((300, 240, 320), 30, (1, 441000), 44100),
    "video_90.mov": "no audio track",
}
# Those without sound, read by read_frames; corrupted.mp4 lost one frame of 50.
SILENT = {
    "bear-vp9-odd-dimensions.webm": ((30, 121, 161), 29.97),
    "corrupted.mp4": ((50, 720, 1280), 10),
    "sample_android_slow_motion.mp4": ((7, 720, 1280), 13.3246),
    "sample_video_only.mp4": ((30, 720, 1080), 29.97),
    "video_90.mov": ((3, 568, 320), 30),
}


def test_every_odd_file_has_its_outcome(media_folder):
    assert {path.name for path in (media_folder / "odd").iterdir()} == set(ODD)
    silent = {name for name, outcome in ODD.items() if outcome == "no audio track"}
    assert silent == set(SILENT)


@pytest.mark.parametrize("name", ODD)
def test_odd_file(media_folder, name):
    path, outcome = media_folder / "odd" / name, ODD[name]
    if isinstance(outcome, str):
        with pytest.raises(MediaError, match=outcome) as error:
            media.read_clip(path, size=16)
        assert error.value.place == path
        assert error.value.remedy
        return
    shape, fps, heard, rate = outcome
    clip = media.read_clip(path, size=shape[1:], mono=False, duration=1.0)
    whole = media.read_clip(path, size=16, mono=False)
    assert clip.frames.shape[1:] == (*shape[1:], 3)
    assert whole.frames.shape == (shape[0], 16, 16, 3)
    assert whole.waveform.shape == heard
    assert whole.fps == pytest.approx(fps, rel=1e-4)
    assert whole.sample_rate == rate
    seconds = len(whole.frames) / whole.fps
    assert abs(whole.waveform.shape[1] / rate - seconds) <= 0.5 / whole.fps + 1e-3


@pytest.mark.parametrize("name", SILENT)
def test_odd_file_without_sound(media_folder, name):
    shape, fps = SILENT[name]
    frames, own = media.read_frames(media_folder / "odd" / name)
    assert frames.shape == (*shape, 3)
    assert own == pytest.approx(fps, rel=1e-4)


@pytest.fixture(scope="module")
def ffmpeg():
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        pytest.skip("the ffmpeg command line is not installed")

    def run(*words):
        command = [*map(str, words)]
        return subprocess.run(command, capture_output=True, check=True).stdout

    return run


@pytest.mark.parametrize("name", [n for n in ODD if n in SILENT or len(ODD[n]) == 4])
def test_odd_picture_equals_ffmpegs(media_folder, ffmpeg, name):
    """The same frames, turned the same way, each shown from its own time stamp on."""
    path = media_folder / "odd" / name
    height, width = (SILENT.get(name) or ODD[name])[0][1:]
    height, width = height // 4, width // 4
    entry = "frame=best_effort_timestamp_time"
    stamps = ffmpeg(
        *("ffprobe", "-v", "quiet", "-select_streams", "v", "-show_entries", entry),
        *("-read_intervals", "%+2", "-of", "csv=p=0", path),
    )
    stamps = np.array([float(s.strip(b",")) for s in stamps.split() if s[:1].isdigit()])
    raw = ffmpeg(
        *("ffmpeg", "-v", "quiet", "-i", path, "-an", "-vsync", "passthrough"),
        *("-vf", f"scale={width}:{height}:flags=area", "-frames:v", len(stamps)),
        *("-pix_fmt", "rgb24", "-f", "rawvideo", "-"),
    )
    truth = np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)
    origin = ffmpeg(
        *("ffprobe", "-v", "quiet", "-show_entries", "format=start_time"),
        *("-of", "csv=p=0", path),
    )
    stamps = stamps[: len(truth)] - float(origin)
    fps = 12.0
    seen, _ = media.read_frames(path, fps=fps, size=(height, width), duration=1.0)
    shown = np.searchsorted(stamps - 1e-3, np.arange(len(seen)) / fps, "right") - 1
    difference = np.abs(seen.astype(int) - truth[np.maximum(shown, 0)])
    assert difference.mean() < 2


@pytest.mark.parametrize("name", [n for n in ODD if len(ODD[n]) == 4])
def test_odd_sound_equals_ffmpegs(media_folder, ffmpeg, name):
    """The same samples at the same times since the file's start."""
    path = media_folder / "odd" / name
    seen, rate = media.read_audio(path, mono=False, duration=4.0)
    raw = ffmpeg(
        *("ffmpeg", "-v", "quiet", "-i", path, "-vn", "-f", "f32le"),
        *("-af", "aresample=async=1:first_pts=0", "-"),
    )
    truth = np.frombuffer(raw, np.float32).reshape(-1, len(seen)).T
    length = min(seen.shape[1], truth.shape[1])
    assert abs(seen.shape[1] - truth.shape[1]) < 0.03 * rate or length == 4 * rate
    # A container may count time in milliseconds: the best match lies within one.
    lags = range(-64, 65)
    inner = slice(64, length - 64)
    distance = min(
        np.abs(np.roll(truth[:, :length], lag, 1) - seen[:, :length])[:, inner].max()
        for lag in lags
    )
    assert distance < 1e-3


def test_probe_of_odd_files(media_folder):
    odd = media_folder / "odd"
    turned = media.probe(odd / "video_90.mov")
    assert (turned.width, turned.height, turned.rotation) == (320, 568, 90)
    assert not turned.reflected
    assert media.probe(odd / "sample_rotate_and_reflect.mp4").reflected
    assert media.probe(odd / "no_duration.webm").duration == pytest.approx(4.938)
    sound = media.probe(odd / "sample_audio_only.mp4")
    assert (sound.video_codec, sound.width, sound.fps) == (None, None, None)
    six = media.probe(odd / "bbb_960x540_60fps_vp8.webm")
    assert (six.channels, six.sample_rate, six.audio_codec) == (6, 48000, "vorbis")
    with pytest.raises(MediaError, match="zero bytes"):
        media.probe(odd / "result.webm")


def test_damaged_file_counts_what_could_be_read(media_folder, monkeypatch):
    monkeypatch.setattr(media.containers, "MAX_LOST", 0.01)
    with pytest.raises(MediaError, match="damaged: 49 of 50 frames could be read"):
        media.read_frames(media_folder / "odd" / "corrupted.mp4", size=16)


# --------------------------------------------------------------------- time stamps


@settings(max_examples=15, deadline=None)
@given(
    gaps=st.lists(st.integers(8, 300), min_size=3, max_size=40),
    fps=st.sampled_from([2.0, 10.0, 24.0, 29.97, 60.0]),
)
def test_variable_frame_rate(tmp_path_factory, gaps, fps):
    """The frame at time t is the last whose stamp is not after t."""
    stamps = np.cumsum([0, *gaps]) / 1000
    path = make(tmp_path_factory.mktemp("vfr") / "f.mp4", stamps)
    frames, _ = media.read_frames(path, fps=fps)
    shown = np.searchsorted(stamps, np.arange(len(frames)) / fps + 1e-5, "right") - 1
    assert list(numbers(frames)) == list(shown)
    assert len(frames) >= math.floor(stamps[-1] * fps)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi", "mov", "mpg"])
@pytest.mark.parametrize(
    "rate", mark_rest([Fraction(30000, 1001), 10, 25, 60], every=4)
)
def test_own_rate_shows_each_frame_once(tmp_path, suffix, rate):
    """However coarse the container's clock: milliseconds, 90 kHz, whole frames."""
    if suffix == "mpg" and rate == 10:
        pytest.skip("MPEG-1 has no such rate")
    path = tmp_path / f"f.{suffix}"
    codec = {"avi": "mpeg4", "mpg": "mpeg1video"}.get(suffix, "libx264")
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=rate)
        video.height, video.width, video.pix_fmt = 64, 64, "yuv420p"
        video.codec_context.bit_rate = 8_000_000
        for picture in numbered(range(50), (64, 64)):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            out.mux(video.encode(frame))
        out.mux(video.encode())
    frames, _ = media.read_frames(path, fps=float(rate))
    assert np.abs(numbers(frames) - np.arange(50)).max() <= (suffix in ("avi", "mpg"))
    assert len(set(numbers(frames))) == 50


@pytest.mark.parametrize("late", [0.0, 0.13, 1.0])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("rate", [16000, RATE])
def test_flash_and_beep_stay_together(tmp_path, late, suffix, rate):
    """Sound that starts `late` and ends early; the flash and the beep are at 1.5 s."""
    stamps = np.arange(60) / 25
    frames = numbered(np.where(stamps >= 1.5, 100, 0))
    sound = clicks(1.9 - late, [1.5 - late], rate)
    path = make(
        tmp_path / f"f.{suffix}", stamps, frames, sound=sound, sound_at=late, rate=rate
    )
    clip = media.read_clip(path, fps=50, sample_rate=RATE)
    flash = np.argmax(numbers(clip.frames) > 50) / clip.fps
    assert abs(onset(clip.waveform, RATE) - flash) < 1 / 25
    # TS keeps the silence that AAC puts before its first sample: up to 64 ms.
    assert flash == pytest.approx(1.5, abs=0.11 if suffix == "ts" else 0.021)
    seconds = clip.waveform.shape[1] / RATE
    assert seconds == pytest.approx(2.4 + flash - 1.5, abs=0.05)
    assert not clip.waveform[0, round(2.1 * RATE) :].any()


def test_late_picture(tmp_path):
    """Sound first: the clock is the sound's, and the first frame waits."""
    stamps = 0.5 + np.arange(25) / 25
    sound = clicks(2, [1.0])
    path = make(tmp_path / "f.mkv", stamps, sound=sound, sound_codec="pcm_s16le")
    clip = media.read_clip(path, fps=25)
    assert len(clip.frames) == 38  # 1.5 s and rounding
    assert list(numbers(clip.frames)) == [0] * 14 + list(range(1, 25))
    assert onset(clip.waveform, RATE) == pytest.approx(1.0, abs=0.005)


# ------------------------------------------------------------- parts of a file

OLD = {"codec": "mpeg4", "tick": Fraction(1, 25), "sound_codec": "mp3"}


def long_film(path, seconds=14, rate=RATE, **more):
    """25 frames/s, noisy and numbered; noise and a rising tone as sound."""
    generator = np.random.default_rng(0)
    count = seconds * 25
    frames = np.array(numbered(np.arange(count) % 100, (64, 64)))
    frames[:, ::8] = generator.integers(0, 255, (count, 8, 64, 3))
    time = np.arange(seconds * rate) / rate
    sound = 0.5 * np.sin(2 * np.pi * (100 + 40 * time) * time)
    sound += 0.1 * generator.standard_normal(len(time))
    return make(path, np.arange(count) / 25, frames, sound=sound, rate=rate, **more)


@pytest.mark.parametrize(
    ("suffix", "more", "tolerance"),
    [
        ("mp4", {}, 1e-5),
        ("mov", {"sound_codec": "pcm_s16le"}, 1e-6),
        ("mkv", {"sound_codec": "pcm_s16le"}, None),
        ("ts", {}, None),
        ("mpg", {**OLD, "codec": "mpeg2video", "sound_codec": "mp2"}, None),
        ("avi", OLD, None),
    ],
)
@pytest.mark.parametrize("rate", mark_rest([RATE, 48000], every=2))
def test_part_equals_part_of_the_whole(tmp_path, suffix, more, tolerance, rate):
    path = long_film(tmp_path / f"f.{suffix}", rate=rate, **more)
    whole = media.read_clip(path, fps=10, sample_rate=RATE)
    assert len(whole.frames) in (140, 141)
    for start in (0.1, 3.3, 7.0, 11.7):
        part = media.read_clip(
            path, fps=10, sample_rate=RATE, start=start, duration=1.7
        )
        first = round(start * 10)
        assert np.array_equal(part.frames, whole.frames[first : first + 17])
        begin, count = round(start * RATE), round(1.7 * RATE)
        assert part.waveform.shape == (1, count)
        truth = whole.waveform[:, begin : begin + count]
        if tolerance is None:  # coarse stamps: a sample or so
            noise = np.abs(truth).max() / 4
            lags = [np.roll(truth, k, 1) - part.waveform for k in range(-40, 41)]
            assert min(np.abs(d[:, 99:-99]).max() for d in lags) < noise
        else:
            assert np.abs(part.waveform - truth).max() < tolerance


def test_part_decodes_from_a_keyframe(tmp_path, monkeypatch):
    path = long_film(tmp_path / "f.mp4")
    seen = []
    original = media.decoding._time_frames

    def counting(*words):
        for item in original(*words):
            seen.append(item.time)
            yield item

    monkeypatch.setattr(media.decoding, "_time_frames", counting)
    media.read_frames(path, start=13.0, duration=0.5)
    assert min(seen) >= 9.9
    assert len(seen) < 100


@pytest.mark.parametrize(("seconds", "hop"), [(0.5, None), (1.0, 0.3), (0.4, 1.1)])
def test_iter_clips_equals_read_clip(tmp_path, seconds, hop):
    path = long_film(tmp_path / "f.mp4", seconds=6, rate=48000)
    same = {"fps": 10, "size": 32, "sample_rate": RATE, "crop": (8, 0, 50, 64)}
    clips = list(media.iter_clips(path, seconds=seconds, hop=hop, start=0.7, **same))
    step = seconds if hop is None else hop
    assert len(clips) == math.floor((6 - 0.7 - seconds) / step + 1e-6 + 0.05 / step) + 1
    for k, clip in enumerate(clips):
        start = 0.7 + k * step
        one = media.read_clip(path, start=start, duration=seconds, **same)
        assert np.array_equal(clip.frames, one.frames)
        assert clip.frames.shape == (round(seconds * 10), 32, 32, 3)
        assert clip.waveform.shape == (1, round(seconds * RATE))
        assert np.abs(clip.waveform - one.waveform)[:, : one.waveform.size].max() < 1e-5


def test_iter_clips_within_a_span(tmp_path):
    path = long_film(tmp_path / "f.mp4", seconds=6)
    same = {"seconds": 1.0, "fps": 5, "size": 8}
    assert len(list(media.iter_clips(path, start=1.5, duration=3.0, **same))) == 3
    assert len(list(media.iter_clips(path, start=4.5, duration=3.0, **same))) == 1
    assert not list(media.iter_clips(path, start=5.5, **same))


def test_clips_are_independent_arrays(tmp_path):
    path = long_film(tmp_path / "f.mp4", seconds=4)
    same = {"seconds": 2.0, "hop": 0.5, "fps": 5, "size": 8}
    truth = [clip.waveform.copy() for clip in media.iter_clips(path, **same)]
    for clip, waveform in zip(media.iter_clips(path, **same), truth, strict=True):
        assert np.array_equal(clip.waveform, waveform)
        clip.waveform[:] = 7
        clip.frames[:] = 7


def test_sound_of_another_file(tmp_path):
    film = make(tmp_path / "f.mp4", np.arange(50) / 25)
    sound = tmp_path / "s.wav"
    media.write_audio(sound, clicks(1.5, [0.7])[None], RATE)
    clip = media.read_clip(film, audio=sound, start=0.5)
    assert clip.waveform.shape == (1, round(1.5 * RATE))
    assert onset(clip.waveform, RATE) == pytest.approx(0.2, abs=1e-3)
    clips = list(media.iter_clips(film, audio=sound, seconds=0.5))
    assert [abs(c.waveform).max() > 0.5 for c in clips] == [False, True, False, False]


def test_part_runs_past_the_end(tmp_path):
    path = make(tmp_path / "f.mp4", np.arange(50) / 25, sound=clicks(2, [1.0]))
    clip = media.read_clip(path, start=1.0, duration=5.0)
    assert len(clip.frames) == 25
    assert clip.waveform.shape[1] == RATE
    assert media.read_audio(path, start=9.0)[0].shape == (1, 0)
    with pytest.raises(MediaError, match=r"ends before start = 9 s"):
        media.read_clip(path, start=9.0)


@pytest.mark.parametrize(
    "bad", [{"start": -1.0}, {"fps": 0}, {"duration": 0}, {"size": 0}]
)
def test_bad_arguments(tmp_path, bad):
    path = make(tmp_path / "f.mp4", np.arange(5) / 25, sound=clicks(1, []))
    with pytest.raises(ValueError, match=str(next(iter(bad.values())))):
        media.read_clip(path, **bad)


# -------------------------------------------------------------------- sound


@pytest.mark.parametrize(
    ("rate", "wanted"), [(48000, 44100), (8000, 44100), (44100, 16000)]
)
def test_resampled_tone_is_the_same_tone(tmp_path, rate, wanted):
    time = np.arange(2 * rate) / rate
    path = tmp_path / "s.wav"
    media.write_audio(path, 0.5 * np.sin(2 * np.pi * 440 * time)[None], rate)
    waveform, got = media.read_audio(path, sample_rate=wanted)
    assert (got, waveform.shape) == (wanted, (1, 2 * wanted))
    truth = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * wanted) / wanted)
    assert np.abs(waveform[0] - truth)[200:-200].max() < 1e-3


@pytest.mark.parametrize(
    "kind", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"]
)
@pytest.mark.parametrize("channels", [1, 2, 3, 6, 11])
def test_sample_formats_and_channels(tmp_path, kind, channels):
    waveform = np.random.default_rng(1).uniform(-0.9, 0.9, (channels, 5000))
    path = tmp_path / "s.wav"
    soundfile.write(path, waveform.T, 22050, subtype=kind)
    step = 2**-6 if kind == "PCM_U8" else 2**-14
    each, rate = media.read_audio(path, mono=False)
    assert rate == 22050
    assert np.abs(each - waveform).max() < step
    mean, _ = media.read_audio(path)
    assert np.abs(mean - waveform.mean(0, keepdims=True)).max() < step
    more, _ = media.read_audio(path, mono=False, sample_rate=44100)
    assert more.shape == (channels, 10000)


def test_audio_formats_agree(tmp_path):
    waveform = clicks(1.0, [0.3, 0.6])
    for suffix, codec in {"mp3": "mp3", "flac": "flac", "m4a": "aac"}.items():
        path = make(
            tmp_path / f"s.{suffix}",
            [],
            numbered([]),
            sound=waveform,
            sound_codec=codec,
        )
        heard, _ = media.read_audio(path)
        assert onset(heard, RATE) == pytest.approx(0.3, abs=0.002), suffix
        part, _ = media.read_audio(path, start=0.5, duration=0.4)
        assert onset(part, RATE) == pytest.approx(0.1, abs=0.002), suffix


def test_sound_that_is_no_number_is_silence(tmp_path):
    waveform = np.full(100, np.nan)
    waveform[50:] = [0.5] * 49 + [np.inf]
    soundfile.write(tmp_path / "s.wav", waveform, 8000, subtype="FLOAT")
    heard, _ = media.read_audio(tmp_path / "s.wav")
    assert np.array_equal(heard[0], [0] * 50 + [0.5] * 49 + [0])


def test_write_audio_round_trip(tmp_path):
    waveform = np.random.default_rng(2).uniform(-1, 1, (2, 1000)).astype(np.float32)
    media.write_audio(tmp_path / "s.wav", waveform, 11025)
    heard, rate = soundfile.read(tmp_path / "s.wav", always_2d=True)
    assert rate == 11025
    assert np.abs(heard.T - waveform).max() < 2**-22
    media.write_audio(tmp_path / "s.wav", 3 * waveform, 11025)
    assert np.abs(soundfile.read(tmp_path / "s.wav")[0]).max() <= 1


# --------------------------------------------------------------------- picture


def scene(height=96, width=160):
    """Four coloured quarters and a white mark near the top left, not symmetric."""
    picture = np.zeros((height, width, 3), np.uint8)
    h, w = height // 2, width // 2
    picture[:h, :w], picture[:h, w:] = (200, 30, 30), (30, 200, 30)
    picture[h:, :w], picture[h:, w:] = (30, 30, 200), (120, 120, 120)
    picture[8:24, 8:40] = 255
    return picture


TURNS = {  # a, b, c, d of the display matrix: the displayed picture
    (1, 0, 0, 1): lambda p: p,
    (-1, 0, 0, 1): lambda p: p[:, ::-1],
    (1, 0, 0, -1): lambda p: p[::-1],
    (-1, 0, 0, -1): lambda p: np.rot90(p, 2),
    (0, 1, -1, 0): lambda p: np.rot90(p, -1),  # a quarter clockwise
    (0, -1, 1, 0): lambda p: np.rot90(p, 1),
    (0, 1, 1, 0): lambda p: p.swapaxes(0, 1),
    (0, -1, -1, 0): lambda p: np.rot90(p, 2).swapaxes(0, 1),
}


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("crop", [None, (10, 4, 60, 72)])
def test_turned_picture(tmp_path, turn, crop):
    a, b, c, d = (65536 * x for x in turn)
    matrix = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    frames = np.stack([scene()] * 2)
    path = make(tmp_path / "f.mp4", [0, 0.1], frames, matrix=matrix)
    truth = TURNS[turn](scene())
    known = media.probe(path)
    assert (known.height, known.width) == truth.shape[:2]
    mirrored = scene()[:, ::-1] if known.reflected else scene()
    assert np.array_equal(np.rot90(mirrored, -known.rotation // 90), truth)
    if crop:
        truth = truth[crop[1] : crop[1] + crop[3], crop[0] : crop[0] + crop[2]]
    seen = media.read_frames(path, crop=crop)[0][0]
    assert seen.shape == truth.shape
    assert np.abs(seen.astype(int) - truth).mean() < 4
    side = min(truth.shape[:2])
    top, left = (truth.shape[0] - side) // 2, (truth.shape[1] - side) // 2
    square = Image.fromarray(truth[top : top + side, left : left + side])
    small = np.asarray(square.resize((24, 24), Image.Resampling.BOX)).astype(int)
    seen = media.read_frames(path, crop=crop, size=24)[0][0]
    assert np.abs(seen - small).mean() < 6


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_crop_and_size_of_any_picture(tmp_path_factory, data):
    """Against an average of the pixels under each output pixel."""
    height, width = (data.draw(st.integers(8, 90)) for _ in range(2))
    side = data.draw(st.integers(8, min(height, width)))
    left = data.draw(st.integers(0, width - side))
    top = data.draw(st.integers(0, height - side))
    size = data.draw(st.sampled_from([n for n in (1, 2, 4, 8) if side % n == 0]))
    smooth = (
        np.linspace(0, 1, height)[:, None, None] * np.linspace(40, 200, width)[:, None]
    )
    picture = np.broadcast_to(smooth, (height, width, 3)).astype(np.uint8)
    path = tmp_path_factory.mktemp("crop") / "p.png"
    Image.fromarray(picture).save(path)
    seen = media.read_image(path, crop=(left, top, side, side), size=size)
    inner = picture[top : top + side, left : left + side].astype(float)
    truth = inner.reshape(size, side // size, size, side // size, 3).mean((1, 3))
    assert np.abs(seen - truth).max() <= 4


def test_pixels_that_are_not_square(tmp_path):
    frames = np.stack([scene()] * 2)
    path = make(tmp_path / "f.mp4", [0, 0.1], frames, aspect=Fraction(1, 2))
    assert media.probe(path).width == 80
    seen, _ = media.read_frames(path)
    assert seen.shape == (2, 96, 80, 3)
    assert np.abs(seen[0].astype(int) - scene()[:, ::2]).mean() < 6


def test_crop_outside(tmp_path):
    path = make(tmp_path / "f.mp4", [0, 0.1])
    for crop in [(-1, 0, 5, 5), (40, 0, 9, 5), (0, 30, 5, 5), (0, 0, 0, 5)]:
        with pytest.raises(MediaError, match=r"not inside its 48 x 32 picture"):
            media.read_frames(path, crop=crop)


def test_colours(tmp_path):
    """BT.601 and BT.709, limited and full range, each by its own matrix."""
    for space, red in ((1, (0.2126, 0.0722)), (5, (0.299, 0.114))):
        for span in (1, 2):
            frame = av.VideoFrame(64, 64, "yuv420p")
            for plane, value in zip(frame.planes, (120, 100, 170), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.colorspace, frame.color_range = space, span
            y, scale = ((120 - 16) / 219, 224) if span == 1 else (120 / 255, 255)
            u, v = (100 - 128) / scale, (170 - 128) / scale
            r, b = y + 2 * (1 - red[0]) * v, y + 2 * (1 - red[1]) * u
            g = (y - red[0] * r - red[1] * b) / (1 - sum(red))
            seen = media.pictures.FrameConverter("x", 8, None)(frame)[4, 4]
            assert np.abs(seen - 255 * np.array([r, g, b])).max() < 3


def test_image_turned_by_exif(tmp_path):
    exif = Image.Exif()
    for orientation, turn in (
        (1, (1, 0, 0, 1)),
        (2, (-1, 0, 0, 1)),
        (6, (0, 1, -1, 0)),
    ):
        exif[0x112] = orientation
        Image.fromarray(scene()).save(tmp_path / "p.jpg", exif=exif, quality=95)
        seen = media.read_image(tmp_path / "p.jpg")
        assert np.abs(seen.astype(int) - TURNS[turn](scene())).mean() < 3


def test_clear_image_stands_on_white(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2, :, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "p.png")
    seen = media.read_image(tmp_path / "p.png")
    assert (seen[:2] == 0).all()
    assert (seen[2:] == 255).all()
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    assert media.read_image(tmp_path / "grey.png").shape == (4, 4, 3)


# --------------------------------------------------------------------- writing


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    size=st.tuples(st.integers(16, 70), st.integers(16, 70)),
    fps=st.sampled_from([0.5, 2.0, 10.0, 12.5, 24000 / 1001, 25.0, 29.97, 60.0]),
    rate=st.sampled_from([8000, 11025, 16000, 44100, 48000]),
    channels=st.sampled_from([1, 2]),
)
def test_write_clip_round_trip(tmp_path_factory, size, fps, rate, channels):
    path = tmp_path_factory.mktemp("write") / "c.mp4"
    frames = np.array(numbered(range(12), size))
    seconds = 12 / fps
    time = np.arange(round(seconds * rate)) / rate
    tone = 0.5 * np.sin(2 * np.pi * 300 * time)
    waveform = np.stack([tone, -tone])[:channels].astype(np.float32)
    media.write_clip(path, Clip(frames, waveform, fps, rate))
    clip = media.read_clip(path, mono=False)
    height, width = (n + n % 2 for n in size)
    assert clip.frames.shape == (12, height, width, 3)
    seen = clip.frames[:, : size[0], : size[1]]
    assert list(numbers(seen)) == list(range(12))
    assert clip.fps == pytest.approx(fps, rel=1e-4)
    assert clip.sample_rate == rate
    assert clip.waveform.shape[0] == channels
    length = min(clip.waveform.shape[1], waveform.shape[1])
    assert abs(clip.waveform.shape[1] - waveform.shape[1]) <= 0.01 * rate
    # AAC's first frames, about 60 ms, sound rough while its encoder settles
    inner = slice(max(length // 8, round(0.06 * rate)), -length // 8)
    error = np.abs(clip.waveform[:, :length] - waveform[:, :length])[:, inner]
    assert error.max() < 0.1


def test_write_clip_plays_in_a_browser(tmp_path):
    path = tmp_path / "c.mp4"
    media.write_clip(
        path, Clip(np.array(numbered([1, 2])), np.zeros((1, 22257), "f"), 2.0, 22257)
    )
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # starts before it is all there
    with av.open(str(path)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.format.name) == ("h264", "yuv420p")
        assert sound.codec_context.name == "aac"
        assert sound.sample_rate == 24000  # the next that every browser plays


def test_write_clip_without_sound(tmp_path):
    clip = Clip(np.array(numbered([1, 2, 3])), np.zeros((1, 0), np.float32), 5.0, RATE)
    media.write_clip(tmp_path / "c.mp4", clip)
    assert media.probe(tmp_path / "c.mp4").audio_codec is None
    with pytest.raises(MediaError, match="no audio track"):
        media.read_clip(tmp_path / "c.mp4")


def test_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "c.mp4"
    path.write_text("before")
    with pytest.raises(ValueError, match="3 channels"):
        media.write_clip(
            path, Clip(np.array(numbered([1])), np.zeros((3, 99), "f"), 5.0, RATE)
        )
    with pytest.raises(ValueError, match="one or more"):
        media.write_clip(
            path, Clip(np.array(numbered([])), np.zeros((1, 9), "f"), 5.0, RATE)
        )
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


# ------------------------------------------------------------------ bad files


def png(width, height):
    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("none.mp4", None, "no such file"),
        ("zero.mp4", b"", "zero bytes"),
        ("text.txt", b"hello world\n" * 99, "not a media file"),
        ("page.mp4", b"<html>404</html>", "not a media file"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:5,\nsecret.ts\n", "not a media file"),
        ("list.mp4", b"ffconcat version 1.0\nfile secret.ts\n", "not a media file"),
    ],
)
def test_files_that_are_no_media(tmp_path, name, content, problem):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    for read in (media.read_clip, media.read_audio, media.read_frames, media.probe):
        with pytest.raises(MediaError, match=problem) as error:
            read(path)
        assert str(path) in str(error.value)
    if content:
        problem = "not a picture"
    with pytest.raises(MediaError, match=problem):
        media.read_image(path)


def test_folder_is_no_file(tmp_path):
    with pytest.raises(MediaError, match="it is a folder"):
        media.read_clip(tmp_path)


def test_unknown_codec(tmp_path):
    path = make(tmp_path / "f.mp4", np.arange(9) / 25, sound=clicks(0.3, []))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(MediaError, match="no such codec: its video track"):
        media.read_clip(path)
    assert media.read_audio(path)[0].shape[1] > 10000


def test_cover_picture_is_no_film(tmp_path):
    sound = make(
        tmp_path / "s.mp3", [], numbered([]), sound=clicks(0.5, []), sound_codec="mp3"
    )
    data = png(20, 20)
    body = b"\0image/png\0\3\0" + data
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    size = bytes((len(frame) >> shift) & 127 for shift in (21, 14, 7, 0))
    (tmp_path / "c.mp3").write_bytes(b"ID3\3\0\0" + size + frame + sound.read_bytes())
    with av.open(str(tmp_path / "c.mp3")) as container:
        assert container.streams.video
    with pytest.raises(MediaError, match="no video track"):
        media.read_clip(tmp_path / "c.mp3")
    assert media.probe(tmp_path / "c.mp3").width is None


@pytest.mark.parametrize("side", [9000, 60000])
def test_absurd_sizes(tmp_path, side):
    (tmp_path / "p.png").write_bytes(png(side, side))
    with pytest.raises(MediaError, match=f"{side}|can be read"):
        media.read_image(tmp_path / "p.png")


def test_film_of_absurd_size(tmp_path, monkeypatch):
    path = make(tmp_path / "f.mp4", np.arange(9) / 25, sound=clicks(0.3, []))
    monkeypatch.setattr(media.containers, "LIMIT_PIXELS", 1000)
    with pytest.raises(MediaError, match="1 to 1000 can be read"):
        media.read_frames(path)


def test_results_that_would_not_fit(tmp_path, monkeypatch):
    path = make(tmp_path / "f.mp4", np.arange(100) / 25, sound=clicks(4, []))
    monkeypatch.setattr(media.containers, "LIMIT_BYTES", 400_000)
    with pytest.raises(MediaError, match="of memory"):
        media.read_frames(path)
    with pytest.raises(MediaError, match="of memory"):
        media.read_audio(path)
    assert len(list(media.iter_clips(path, seconds=0.5))) == 8
    assert len(media.read_frames(path, size=8)[0]) == 100


@pytest.mark.parametrize("suffix", ["mp4", "avi"])
def test_file_cut_short(tmp_path, suffix):
    """With its index or header still whole: how much could be read, and that works."""
    more = {"options": {"movflags": "faststart"}} if suffix == "mp4" else {}
    if suffix == "avi":
        more = OLD
    path = long_film(tmp_path / f"f.{suffix}", **more)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match=r"damaged: .* of 35[01] frames could be read"):
        media.read_frames(path, size=16)
    with pytest.raises(MediaError, match=r"damaged"):
        list(media.iter_clips(path, seconds=1, size=16))
    assert len(media.read_frames(path, size=16, duration=3.0)[0]) == 75


def test_stamps_that_jump(tmp_path):
    path = make(tmp_path / "f.mkv", [0, 0.04, 0.08, 5000.0])
    with pytest.raises(MediaError, match=r"time stamps jump from 0\.\d+ s to 5000"):
        media.read_frames(path, fps=10)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_damage_raises_anything_else(tmp_path_factory, data):
    """Bytes changed anywhere: it reads, or it raises MediaError."""
    suffix = data.draw(st.sampled_from(["mp4", "mkv", "avi", "ts"]))
    folder = tmp_path_factory.getbasetemp()
    source = folder / f"whole.{suffix}"
    if not source.exists():
        codec = {"avi": {"codec": "mpeg4", "tick": Fraction(1, 25)}}.get(suffix, {})
        make(source, np.arange(20) / 25, sound=clicks(0.8, [0.3]), **codec)
    damaged = bytearray(source.read_bytes())
    for _ in range(data.draw(st.integers(1, 30))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    path = folder / f"damaged.{suffix}"
    path.write_bytes(damaged[: data.draw(st.integers(1, len(damaged)))])
    for read in (media.probe, media.read_clip, media.read_audio):
        try:
            read(path)
        except MediaError as error:
            assert error.problem  # noqa: PT017


def test_error_crosses_processes():
    import pickle

    error = pickle.loads(
        pickle.dumps(MediaError(Path("f.mp4"), "zero bytes", "Copy it"))
    )
    assert (error.place, error.problem, error.remedy) == (
        Path("f.mp4"),
        "zero bytes",
        "Copy it",
    )
    assert str(error) == "f.mp4: zero bytes. Copy it"


# ------------------------------------------------ files that once came out wrong

FAULTS = Path(__file__).parent / "media"


@pytest.mark.parametrize(
    ("suffix", "codec", "rate"),
    [
        ("wav", "adpcm_ima_wav", 48000),
        ("wav", "adpcm_ima_wav", 22050),
        ("wav", "adpcm_ms", 22050),
        ("avi", "adpcm_ima_wav", 48000),
        ("wav", "g722", 16000),
        ("w64", "pcm_s16le", 16000),
    ],
)
def test_sound_that_cannot_be_sought_is_the_same_in_parts(
    tmp_path, suffix, codec, rate
):
    time = np.arange(12 * rate) / rate
    path = tmp_path / f"s.{suffix}"
    sound = 0.5 * np.sin(2 * np.pi * (200 + 30 * time) * time)
    make(path, [], numbered([]), sound=sound, sound_codec=codec, rate=rate)
    whole, _ = media.read_audio(path)
    assert whole.shape[1] / rate == pytest.approx(12.0, abs=0.1)
    assert media.probe(path).duration == pytest.approx(12.0, abs=0.1)
    for start in (1.7, 5.3, 10.0):
        part, _ = media.read_audio(path, start=start, duration=1.5)
        first = round(start * rate)
        assert part.shape == (1, round(1.5 * rate))
        assert np.array_equal(part, whole[:, first : first + part.shape[1]])


def test_a_frame_rate_that_the_frames_contradict_is_not_believed():
    found = media.probe(FAULTS / "fps1000.flv")
    assert found.fps == pytest.approx(30, rel=0.01)
    assert len(media.read_frames(FAULTS / "fps1000.flv", size=8)[0]) in (29, 30, 31)


def test_the_rate_of_a_fast_camera_is_believed(tmp_path):
    path = make(tmp_path / "f.mp4", np.arange(100) / 240)
    assert media.probe(path).fps == pytest.approx(240, rel=0.1)


def test_sound_that_ends_before_the_part_begins():
    film = FAULTS / "sound_ends.mp4"  # 4 s of picture, 1.5 s of sound
    waveform, _ = media.read_audio(film, start=3.0, duration=0.5, sample_rate=16000)
    assert waveform.shape == (1, 0)
    clip = media.read_clip(film, start=3.0, duration=0.5, sample_rate=16000)
    assert clip.waveform.shape == (1, 8000)
    assert not clip.waveform.any()


def test_damaged_tables_of_a_transport_stream_are_damage():
    # PyAV raises an IndexError over them.
    for read in (media.read_audio, media.read_clip, media.iter_clips):
        more = {"seconds": 1.0} if read is media.iter_clips else {}
        with pytest.raises(MediaError, match=r"broken\.mts: damaged"):
            list(read(FAULTS / "broken.mts", **more))


def test_absurd_sample_rates_are_refused_by_name(tmp_path):
    for rate in (17, 999, 3_000_000):
        path = tmp_path / f"{rate}.wav"
        soundfile.write(path, np.zeros(3000), rate)
        with pytest.raises(MediaError, match=rf"sample rate of {rate} Hz"):
            media.read_audio(path, sample_rate=16000)


def test_a_pointer_of_git_lfs_is_named():
    for read in (media.probe, media.read_image, media.read_audio):
        with pytest.raises(MediaError, match=r"Git LFS pointer.*git lfs pull"):
            read(FAULTS / "pointer.mp4")


def test_sound_beyond_one_is_cut(tmp_path):
    loud = 2.84 * np.sin(np.arange(8000) / 9)
    soundfile.write(tmp_path / "s.wav", loud, 8000, subtype="FLOAT")
    for rate in (None, 16000):
        waveform, _ = media.read_audio(tmp_path / "s.wav", sample_rate=rate)
        assert np.abs(waveform).max() == 1
    waveform, _ = media.read_audio(tmp_path / "s.wav")
    assert np.abs(waveform[0] - np.clip(loud, -1, 1)).max() < 1e-6


def test_one_channel_can_be_chosen(tmp_path):
    left = 0.5 * np.sin(np.arange(8000) / 9)
    soundfile.write(tmp_path / "s.wav", np.stack([left, -left], 1), 8000)
    assert np.abs(media.read_audio(tmp_path / "s.wav")[0]).max() < 1e-4
    for channel, sign in ((0, 1), (1, -1)):
        waveform, _ = media.read_audio(tmp_path / "s.wav", channel=channel)
        assert np.abs(waveform[0] - sign * left).max() < 1e-4
    with pytest.raises(MediaError, match="no channel 2, its sound has 2"):
        media.read_audio(tmp_path / "s.wav", channel=2)


def test_an_encrypted_film_is_named(tmp_path):
    path = tmp_path / "f.mp4"
    key = {"encryption_scheme": "cenc-aes-ctr"}
    key |= {"encryption_key": "01" * 16, "encryption_kid": "02" * 16}
    make(path, np.arange(20) / 25, sound=clicks(0.8, [0.3]), options=key)
    for read in (media.probe, media.read_clip, media.read_audio):
        with pytest.raises(MediaError) as caught:
            read(path)
        # Not the whole message: this test's name is in the path.
        assert caught.value.problem == "it is encrypted"


def test_the_length_of_an_mp3_is_what_decoding_gives(tmp_path):
    paths = [tmp_path / f"{k}.mp3" for k in range(2)]
    rng = np.random.default_rng(0)
    for path in paths:
        # Quiet, then noise: the first packets' bit rate says nothing of the others.
        sound = np.concatenate([np.zeros(4 * RATE), 0.3 * rng.standard_normal(RATE)])
        more = {"sound_codec": "libmp3lame", "options": {"write_xing": "0"}}
        make(path, [], numbered([]), sound=sound, **more)
    joined = tmp_path / "joined.mp3"
    joined.write_bytes(b"".join(path.read_bytes() for path in paths))
    for path in (paths[0], joined):
        waveform, rate = media.read_audio(path)
        seconds = waveform.shape[1] / rate
        assert media.probe(path).duration == pytest.approx(seconds, abs=0.1)


@pytest.mark.slow
def test_a_corpus_of_damaged_files_raises_media_errors_alone(tmp_path):
    """140 seeded mutations, each read in a process of its own with a time limit."""
    failures = [
        f"{number} ({name}): {text}"
        for number, name, text in mutate_media.run_corpus(tmp_path, range(140), seed=0)
        if text
    ]
    assert not failures, "\n".join(failures)


@pytest.mark.slow
def test_the_command_tells_a_failure_at_once_and_counts(monkeypatch, capsys):
    """A file whose process dies, one that never comes back, and one that is fine."""

    def read(path):
        if path.suffix == ".mp4":
            os._exit(9)
        if path.suffix == ".mkv":
            time.sleep(60)

    monkeypatch.setattr(mutate_media, "read_all_ways", read)
    monkeypatch.setattr(mutate_media.read_apart, "__defaults__", (1.0,))
    monkeypatch.setattr("sys.argv", ["mutate_media", "--count", "3", "--seed", "4"])
    assert mutate_media.main() == 1
    told = capsys.readouterr().out
    assert "0 (film.mp4):\nthe process died with exit code 9" in told
    assert "1 (film.mkv):\nit did not come back in 1 s" in told
    assert "3 read, 2 failures" in told
    monkeypatch.setattr("sys.argv", ["mutate_media", "--only", "2", "--seed", "4"])
    assert mutate_media.main() == 0
    assert "1 read, 0 failures" in capsys.readouterr().out
