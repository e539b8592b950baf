"""Players whose hands strike: what is heard is what is seen, in the same frame."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.signal import find_peaks

from avnb.data.clips import load_clips
from avnb.data.shards import prepare
from avnb.errors import ClipsError
from avnb.media import read_clip
from avnb.metrics.shortcuts import read_by_nearest_neighbour
from data_scripts import hmmd
from data_scripts.bandstand import hand_pictures, prepare_hands
from data_scripts.bandstand.hand_sounds import synthesise_strokes
from data_scripts.bandstand.hand_takes import StrikerTake, record_hands
from data_scripts.bandstand.hands import (
    BARS,
    KINDS,
    SAME_HAND_GAP,
    STRIKERS,
    STROKES,
    locate_bar,
    strike,
)
from data_scripts.bandstand.layouts.hmmd import (
    plan_table_2,
    plan_videos,
    record_video,
    write_hmmd,
)
from data_scripts.bandstand.world import midi_to_hz

SEVEN = tuple(hmmd.TABLE_2)
each_striker = pytest.mark.parametrize("instrument", STRIKERS)
RATE = 16000


# ---------------------------------------------------------------------- score


@each_striker
def test_a_score_is_playable(instrument: str) -> None:
    for player in range(3):
        played = strike(instrument, player, seconds=12, seed=player)
        times = [stroke.time for stroke in played.strokes]
        assert times == sorted(times)
        assert times[0] >= 0
        assert times[-1] < 12
        assert 1.2 < len(times) / 12 < 7
        for hand in ("right", "left"):
            own = [s.time for s in played.strokes if s.hand == hand]
            assert min(np.diff(own), default=1) >= SAME_HAND_GAP - 1e-9
        assert {s.name for s in played.strokes} <= set(KINDS[instrument])
        assert all(0 < s.velocity <= 1 for s in played.strokes)


def test_the_seed_and_the_player_decide_the_score() -> None:
    first, again, other, player = (
        strike("tabla", p, seconds=5, seed=s).strokes
        for p, s in ((3, 1), (3, 1), (3, 2), (4, 1))
    )
    assert first == again
    assert first not in (other, player)


@pytest.mark.parametrize(
    ("instrument", "seconds"), [("kazoo", 3), ("tabla", 0), ("tabla", math.nan)]
)
def test_a_score_that_cannot_be_is_an_error(instrument: str, seconds: float) -> None:
    with pytest.raises(ValueError, match=r"instrument|positive length"):
        strike(instrument, 0, seconds=seconds, seed=0)


# ---------------------------------------------------------------------- sound


@each_striker
def test_every_stroke_is_heard_when_it_is_struck(instrument: str) -> None:
    played = strike(instrument, 5, seconds=8, seed=2)
    sound = synthesise_strokes(played, RATE)
    assert sound.shape == (8 * RATE,)
    assert np.abs(sound).max() <= 0.9
    # An attack raises the high frequencies: the energy of differences, each 4 ms.
    width = RATE // 250
    sharp = np.square(np.diff(sound, prepend=0)).reshape(-1, width).sum(1)
    level = 10 * np.log10(sharp + 1e-9)
    found = 0
    for stroke in played.strokes:
        k = int(stroke.time * 250)
        before, after = level[max(0, k - 3) : k], level[k : k + 4]
        found += len(before) > 0 and after.max() > before.min() + 1.5
    assert found >= 0.85 * len(played.strokes)


@each_striker
def test_hard_strokes_are_louder(instrument: str) -> None:
    played = strike(instrument, 5, seconds=6, seed=3)
    rms = []
    for velocity in (0.15, 0.3):
        strokes = tuple(replace(s, velocity=velocity) for s in played.strokes)
        sound = synthesise_strokes(replace(played, strokes=strokes), RATE)
        rms.append(np.sqrt(np.mean(np.square(sound))))
    assert rms[1] / rms[0] == pytest.approx(2, rel=0.05)


def find_pitch(sound: np.ndarray, low: float, high: float) -> float:
    """The strongest frequency between two, Hz."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 8 * len(sound)))
    hertz = np.fft.rfftfreq(8 * len(sound), 1 / RATE)
    inside = (hertz > low) & (hertz < high)
    return float(hertz[inside][spectrum[inside].argmax()])


def test_a_bar_has_the_pitch_of_its_place() -> None:
    played = strike("xylophone", 1, seconds=20, seed=4)
    sound = synthesise_strokes(played, RATE)
    times = np.array([s.time for s in played.strokes])
    seen = 0
    for stroke in played.strokes:
        alone = np.sum(np.abs(times - stroke.time) < 0.3) == 1
        if not alone or stroke.time > 19:
            continue
        part = sound[int((stroke.time + 0.03) * RATE) :][: RATE // 5]
        wanted = midi_to_hz(stroke.midi[0])
        found = find_pitch(part, 0.6 * wanted, 1.6 * wanted)
        assert abs(12 * math.log2(found / wanted)) < 0.4
        seen += 1
    assert seen > 3
    # The place tells the pitch: low bars lie to the viewer's right.
    places = [locate_bar(midi)[0] for midi in BARS]
    assert places == sorted(places, reverse=True)
    assert places[0] == -places[-1]


def test_a_bayan_glides_upwards() -> None:
    played = strike("tabla", 2, seconds=30, seed=1)
    sound = synthesise_strokes(played, RATE)
    times = np.array([s.time for s in played.strokes])
    rises = []
    for stroke in played.strokes:
        later = times[times > stroke.time + 1e-6]
        if stroke.name == "ge" and (not len(later) or later[0] > stroke.time + 0.42):
            first = int(stroke.time * RATE)
            early, late = (
                find_pitch(sound[first + int(a * RATE) :][: RATE // 8], 60, 160)
                for a in (0.02, 0.26)
            )
            rises.append(late / early)
    assert len(rises) > 2
    assert np.median(rises) > 1.08


def test_a_pot_is_deep_at_its_mouth_and_high_at_its_rim() -> None:
    from data_scripts.bandstand.hand_sounds import _strike_body

    rng = np.random.default_rng(0)
    centre = {}
    for name, hertz in (("thom", 102.0), ("ki", 430.0), ("nam", 610.0), ("ta", 1120.0)):
        one = _strike_body(name, hertz, 1.0, RATE, rng)
        power = np.square(np.abs(np.fft.rfft(one)))
        bins = np.fft.rfftfreq(len(one), 1 / RATE)
        centre[name] = float((power * bins).sum() / power.sum())
    assert centre["thom"] < 400 < centre["ki"] < centre["nam"] < centre["ta"]


def test_no_instrument_is_told_by_its_loudness() -> None:
    levels, labels, units = [], [], []
    for label, name in enumerate(SEVEN):
        for player in range(6):
            take = record_hands(name, player, seconds=4, seed=9 + player, fps=10)
            sound = take.synthesise(8000)
            for part in np.split(sound[: 4 * 8000], 4):
                levels.append(20 * np.log10(np.sqrt(np.mean(part**2)) + 1e-6))
                labels.append(label)
                units.append(f"player {player}")
    found = read_by_nearest_neighbour(
        torch.tensor(levels)[:, None], torch.tensor(labels), units, name="loudness"
    )
    assert found.low < 0.30  # chance is 0.14


# ------------------------------------------------------------ picture and truth


@each_striker
@pytest.mark.parametrize("fps", [10, 25])
def test_a_hand_touches_in_the_frame_of_its_stroke(instrument: str, fps: int) -> None:
    take = record_hands(instrument, 7, seconds=10, seed=5, fps=fps)
    assert isinstance(take, StrikerTake)
    truth = take.measure(np.arange(10 * fps) / fps)
    for hand in ("right", "left"):
        strokes = [s for s in take.played.strokes if s.hand == hand]
        # An onset at t lies in frame floor(t · fps), and in no other.
        right = {math.floor(s.time * fps + 1e-6) for s in strokes}
        assert set(np.flatnonzero(truth[f"onset_{hand}"])) == right
        height = truth[f"{hand}_height"]
        if strokes:
            frames = sorted(right)
            assert np.abs(height[frames]).max() < 1e-6
            # The neighbours are higher: the minimum is that very frame. Where two
            # strokes follow at once, the neighbour may be a stroke itself.
            beside = {f + d for f in frames for d in (-1, 1)} - right
            beside = sorted(f for f in beside if 0 <= f < len(height))
            assert (height[beside] > 0.002).mean() > 0.9


@each_striker
def test_the_truth_names_the_last_stroke_of_each_hand(instrument: str) -> None:
    take = record_hands(instrument, 4, seconds=8, seed=6, fps=10)
    truth = take.measure(np.arange(80) / 10)
    for hand in ("right", "left"):
        own = [s for s in take.played.strokes if s.hand == hand]
        for k, named in enumerate(truth[f"stroke_{hand}"].tolist()):
            until = [s for s in own if math.floor(s.time * 10 + 1e-6) <= k]
            assert named == (1 + STROKES.index(until[-1].name) if until else 0)
    assert truth["stroke_right"].any()


@each_striker
def test_a_loud_stroke_comes_from_higher_up(instrument: str) -> None:
    played = strike(instrument, 7, seconds=40, seed=5)
    hand = "right"
    strokes = [s for s in played.strokes if s.hand == hand]
    names = [s.name for s in strokes]
    common = max(set(names), key=names.count)  # a plucking hand swings less
    rows = []
    for last, stroke in pairwise(strokes):
        if stroke.name != common:
            continue
        # Long after the one before, so that only this stroke's swing is seen.
        if stroke.time - last.time > 0.38:
            heights = [
                hand_pictures.pose_arm(played, hand, stroke.time - d).height
                for d in (0.1, 0.12, 0.14, 0.16)
            ]
            rows.append((stroke.velocity, max(heights)))
    velocity, height = np.array(rows).T
    assert len(rows) > 8
    assert np.corrcoef(velocity, height)[0, 1] > 0.4


def test_what_is_drawn_is_where_the_truth_says() -> None:
    # A mallet's head is the only red thing: its place in the picture is the truth's.
    take = record_hands("xylophone", 12, seconds=3, seed=8, fps=10)
    size = 128
    truth = take.measure(np.arange(30) / 10)
    off = []
    for k in range(3, 30, 4):
        with_, without = (
            take.draw(k / 10, size, missing).astype(int)
            for missing in ("", "instrument")
        )
        red = (with_[..., 0] - with_[..., 1] > 60) & (np.abs(with_ - without) > 40).any(
            2
        )
        tips = [
            (truth[f"{s}_tip_x"][k] * size, truth[f"{s}_tip_y"][k] * size)
            for s in ("right", "left")
        ]
        y, x = np.nonzero(red)
        near = [np.hypot(x - a, y - b).min(initial=99) for a, b in tips]
        off.append(min(near))
    assert np.median(off) < 4


@each_striker
def test_frames_do_not_depend_on_the_order_in_which_they_are_drawn(
    instrument: str,
) -> None:
    one, two = (record_hands(instrument, 3, seconds=2, seed=1, fps=25) for _ in "ab")
    times = [0.2, 1.0, 0.6]
    first = [one.draw(t, 32) for t in times]
    second = [two.draw(t, 32) for t in reversed(times)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], first[1])


def test_a_loud_moment_moves_more() -> None:
    change, loud = [], []
    for seed in range(3):
        take = record_hands("tabla", seed, seconds=12, seed=seed, fps=10)
        frames = np.stack([take.draw(k / 10, 32) for k in range(120)]).astype(float)
        moved = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
        truth = take.measure(np.arange(120) / 10)
        change.append(moved.reshape(-1, 7).mean(1))
        loud.append(truth["loudness"][1:].reshape(-1, 7).mean(1))
    r = np.corrcoef(np.concatenate(change), np.concatenate(loud))[0, 1]
    assert r > 0.3


def test_head_and_room_tell_no_class() -> None:
    seen = {"head": [], "room": []}
    labels, units = [], []
    for label, name in enumerate(SEVEN):
        for player in range(12):
            seed = 1000 * label + player
            take = record_hands(name, player, seconds=1, seed=seed, fps=10)
            truth = take.measure(np.zeros(1))
            seen["head"].append([float(truth["head_x"][0]), float(truth["head_y"][0])])
            room = torch.from_numpy(take.draw(0.0, 16, "player").astype(np.float32))
            seen["room"].append(room[::4, ::4].flatten().tolist())
            labels.append(label)
            units.append(f"player {player}")
    for name, values in seen.items():
        found = read_by_nearest_neighbour(
            torch.tensor(values), torch.tensor(labels), units, name=name
        )
        assert found.low < 1 / 7 + 0.03, found


# --------------------------------------------------------------- layout and plan


def test_the_plan_of_table_2_is_the_papers() -> None:
    plan = plan_table_2(seed=3)
    for name, (videos, clips) in hmmd.TABLE_2.items():
        own = [video for video in plan.values() if video.instrument == name]
        assert (len(own), sum(video.clips for video in own)) == (videos, clips)
        assert min(video.clips for video in own) > 3
    assert sum(video.clips for video in plan.values()) == 6229
    # Nobody else's person plays the ghatam, whose only video is cut in time.
    (alone,) = {v.player for v in plan.values() if v.instrument == "ghatam"}
    assert [v.player for v in plan.values()].count(alone) == 1


def test_a_person_plays_every_class_and_another_seed_has_other_people() -> None:
    plan = plan_videos(SEVEN, videos=4, clips=2, seed=1)
    for person in {video.player for video in plan.values()}:
        own = {v.instrument for v in plan.values() if v.player == person}
        assert own == set(SEVEN)
    other = plan_videos(SEVEN, videos=4, clips=2, seed=2)
    assert not {v.player for v in plan.values()} & {v.player for v in other.values()}
    # The cameras and rooms of one person differ from video to video.
    assert len({video.seed for video in plan.values()}) == len(plan)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A small set of two classes at 25 frames a second, prepared."""
    root = tmp_path_factory.mktemp("hands")
    settings = hmmd.SETTINGS
    options = {"classes": "tabla,xylophone", "videos": 2, "length": 2}
    found, problems = prepare_hands.find_sources(root / "files", settings, **options)
    report = prepare(found, root / "clips", settings, problems=problems, workers=1)
    return root, options, report


@pytest.mark.slow
def test_the_drawn_set_comes_out_whole(drawn) -> None:
    root, _, report = drawn
    assert not report.problems
    assert not report.remarks
    train, test = (load_clips(root / "clips", split) for split in ("train", "test"))
    assert (len(train), len(test)) == (4, 4)
    assert not set(train.units) & set(test.units)  # nobody is in both splits
    assert train.frames.shape[1:] == (26, 64, 64, 3)  # 1.024 s reach into a 26th
    assert train.waveform.shape[1:] == (1, hmmd.SAMPLES)
    # What is there is not written again; other settings are refused.
    plan = plan_videos(("tabla", "xylophone"), 2, 2, 0)
    assert write_hmmd(root / "files", plan, workers=1) == 0
    with pytest.raises(ClipsError, match="other settings"):
        write_hmmd(root / "files", plan, fps=10, workers=1)


@pytest.mark.slow
def test_prepared_clips_keep_one_clock(drawn) -> None:
    root, _, _ = drawn
    plan = plan_videos(("tabla", "xylophone"), 2, 2, 0)
    checked = 0
    for split in ("train", "test"):
        clips = load_clips(root / "clips", split)
        for i, name in enumerate(clips.recordings):
            video = plan[name.split("/")[-1].removesuffix(".mp4")]
            take = record_video(video, 25)
            start = float(clips.start[i])
            inside = [
                s for s in take.played.strokes if start <= s.time < start + 26 / 25
            ]
            frames = {math.floor((s.time - start) * 25 + 1e-6) for s in inside}
            marked = clips.truth["onset"][i].nonzero()[:, 0].tolist()
            assert set(marked) == frames
            # And the waveform has its attack there: the rise of its differences.
            sound = clips.waveform[i, 0].double().numpy() / 32767
            sharp = np.square(np.diff(sound, prepend=0))[: 100 * 160].reshape(-1, 160)
            rise = np.diff(10 * np.log10(sharp.sum(1) + 1e-7), prepend=0)
            peaks, _ = find_peaks(rise, height=9, distance=8)
            for peak in peaks:
                near = min(abs(s.time - start - peak / 100) for s in inside)
                assert near < 0.02
                checked += 1
    assert checked > 8


@pytest.mark.slow
def test_the_pictures_are_those_of_their_moment(drawn) -> None:
    root, options, _ = drawn
    clips = load_clips(root / "clips", "test")
    times = [float(clips.start[i]) + 7 / 25 for i in range(len(clips))]
    again = prepare_hands.redraw(
        clips.recordings, times, hmmd.SETTINGS, without="", **options
    )
    held = clips.frames[:, 7].numpy().astype(int)
    off = np.abs(held - again).mean((1, 2, 3))
    assert off.max() < 6  # H.264 and two sizes
    swapped = np.abs(held[[1, 0]] - again[:2].astype(int)).mean((1, 2, 3))
    assert (swapped > off[:2]).all()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"classes": "kazoo"}, "class 'kazoo'"),
        ({"videos": 0}, "videos: it is 0"),
        ({"length": 0}, "a clip of 1 s at least"),
    ],
)
def test_options_that_cannot_be_are_named(options: dict, told: str, tmp_path) -> None:
    with pytest.raises(ClipsError, match=told):
        prepare_hands.find_sources(tmp_path / "x", hmmd.SETTINGS, **options)
    assert prepare_hands.find_sources(tmp_path / "y", dry_run=True) == ([], [])


@pytest.mark.slow
def test_a_written_video_can_be_read_and_heard(tmp_path) -> None:
    plan = plan_videos(("ghatam",), 1, 1, 4)
    write_hmmd(tmp_path, plan, fps=10, size=32, workers=1)
    clip = read_clip(tmp_path / "HMMD" / "ghatam" / "ghatam_00.mp4")
    assert clip.frames.shape == (11, 32, 32, 3)
    assert np.abs(clip.waveform).max() > 0.05
