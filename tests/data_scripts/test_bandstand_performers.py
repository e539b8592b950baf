"""Long takes: what is heard is what is seen, and both are what the truth says."""

import hashlib
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from avnb import media
from avnb.data.clips import load_recording
from avnb.data.shards import prepare
from data_scripts.bandstand import PERFORMERS, Take, record_take
from data_scripts.bandstand import drummer as drums
from data_scripts.bandstand import prepare_performer as performer
from data_scripts.bandstand.layouts import video as video_layout
from data_scripts.bandstand.layouts import write_video
from data_scripts.bandstand.layouts.video import VIDEO_RATE
from data_scripts.bandstand.performers import mark_onsets
from data_scripts.bandstand.speaker import CONSONANTS, VOWELS, speak

RATE = 16000
FPS = 20


@pytest.fixture(scope="module")
def takes() -> dict[str, Take]:
    return {
        kind: record_take(
            kind, player=6, seconds=20 if kind != "harmonic" else 8, seed=0
        )
        for kind in PERFORMERS
    }


def frame_times(made: Take) -> np.ndarray:
    return np.arange(round(made.duration * FPS)) / FPS


def loudness_of(sound: np.ndarray) -> np.ndarray:
    """RMS of each frame's sound."""
    return np.sqrt((sound.reshape(-1, RATE // FPS) ** 2).mean(axis=1))


@pytest.mark.parametrize("kind", PERFORMERS)
def test_the_truth_is_what_is_heard(kind, takes):
    made = takes[kind]
    sound = made.synthesise(RATE)
    assert sound.dtype == np.float32
    assert sound.shape == (round(made.duration * RATE),)
    assert 0.3 < np.abs(sound).max() <= 0.9
    truth = made.measure(frame_times(made))
    for name, values in truth.items():
        assert values.shape == (round(made.duration * FPS),), name
        assert values.dtype == np.float32, name
        assert np.isfinite(values).all(), name
    heard = loudness_of(sound)
    least = 0.65 if kind == "percussive" else 0.75
    assert np.corrcoef(heard, truth["loudness"])[0, 1] > least
    assert truth["loudness"].min() >= 0
    assert 0.3 < truth["loudness"].max() <= 1
    assert set(np.unique(truth["onset"])) == {0.0, 1.0}
    silent = truth["loudness"] == 0
    silent[:-1] &= silent[1:]  # a frame is heard until the next one
    assert heard[silent].mean() < 0.1 * heard.mean()


def flux(sound: np.ndarray) -> np.ndarray:
    """How much the spectrum rises, each 10 ms: high where something starts."""
    windows = np.lib.stride_tricks.sliding_window_view(sound, 512)[::160]
    level = np.log1p(100 * np.abs(np.fft.rfft(windows * np.hanning(512))))
    return np.maximum(np.diff(level, axis=0), 0).sum(axis=1)


@pytest.mark.parametrize("kind", ["melodic", "percussive"])
def test_onsets_are_heard_where_the_truth_has_them(kind, takes):
    made = takes[kind]
    rise = flux(made.synthesise(RATE))
    rows = np.flatnonzero(made.measure(frame_times(made))["onset"]) * 100 // FPS
    if kind == "melodic":  # a slurred note has no attack
        bowed = [note.onset for note in made.played.notes if not note.slurred]
        rows = np.flatnonzero(mark_onsets(bowed, frame_times(made))) * 100 // FPS
    near = np.zeros(len(rise), bool)
    for row in rows:  # the frame, and what the attack and the window take
        near[max(0, row - 3) : row + 10] = True
    peaks = np.array([rise[max(0, r - 3) : r + 10].max() for r in rows[:-1]])
    least = 1.5 if kind == "melodic" else 2  # an up-bow begins softly
    assert (peaks > least * np.median(rise)).mean() > 0.9
    assert rise[near].mean() > 1.3 * rise[~near].mean()
    if kind == "percussive":  # nothing starts that is not struck
        assert rise[~near].max() < 0.5 * np.median(peaks)


@pytest.mark.parametrize("kind", ["melodic", "speaking"])
def test_the_pitch_is_heard(kind, takes):
    """The sound repeats after one period of the pitch, and not of another's."""
    made = takes[kind]
    truth = made.measure(frame_times(made))
    sound = made.synthesise(RATE)

    def repeats(k: int, hertz: float) -> float:
        first, lag, size = k * RATE // FPS - 400, round(RATE / hertz), 800
        one = sound[first : first + size]
        two = sound[first + lag : first + lag + size]
        return float(np.corrcoef(one, two)[0, 1])

    steady = (truth["pitch_hz"] > 0) & (truth["loudness"] > 0.2)
    rows = np.flatnonzero(steady[1:-2]) + 1
    right = np.median([repeats(k, truth["pitch_hz"][k]) for k in rows])
    wrong = np.median([repeats(k, 1.3 * truth["pitch_hz"][k]) for k in rows])
    assert len(rows) > 150
    assert right > 0.8
    assert wrong < 0.4


@pytest.mark.parametrize("kind", PERFORMERS)
def test_places_are_in_the_picture(kind, takes):
    made = takes[kind]
    for name, values in made.measure(frame_times(made)).items():
        if name.endswith(("_x", "_y")) and not name.startswith("bow"):
            assert values.min() > -0.02, name
            assert values.max() < 1.02, name


@pytest.mark.parametrize("kind", PERFORMERS)
def test_the_picture_moves_and_repeats(kind, takes):
    made = takes[kind]
    frames = [made.draw(t, 48) for t in (1.0, 1.2, 1.4, 1.0)]
    assert frames[0].shape == (48, 48, 3)
    assert frames[0].dtype == np.uint8
    assert (frames[0] == frames[3]).all()
    assert (np.abs(frames[0].astype(int) - frames[2]).max(axis=2) > 24).sum() > 8


@pytest.mark.slow
def test_same_bytes_in_another_process():
    code = (
        "import hashlib\n"
        "from data_scripts.bandstand import PERFORMERS, record_take\n"
        "for kind in PERFORMERS:\n"
        "    made = record_take(kind, player=2, seconds=2, seed=5)\n"
        "    data = made.draw(1.3, 32).tobytes() + made.synthesise(8000).tobytes()\n"
        "    print(hashlib.sha256(data).hexdigest())\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    for kind, theirs in zip(PERFORMERS, other, strict=True):
        made = record_take(kind, player=2, seconds=2, seed=5)
        data = made.draw(1.3, 32).tobytes() + made.synthesise(8000).tobytes()
        assert hashlib.sha256(data).hexdigest() == theirs, kind


# ----------------------------------------------------------------- drummer


@pytest.mark.parametrize("seed", range(3))
def test_a_stick_is_on_the_drum_when_it_sounds(seed):
    """At a hit the tip is where the drum is; before and after it is above."""
    drumming = drums.play_drums(3, seconds=40, seed=seed)
    struck = [hit for hit in drumming.hits if hit.limb != "foot"]
    assert len(struck) > 60
    assert {hit.limb for hit in struck} == {"left", "right"}
    for hit in struck:
        arm = drums._arm(drumming, hit.limb, hit.time)
        assert arm.tip == pytest.approx(drums.KIT[hit.piece].place, abs=1e-6)
        assert arm.height == pytest.approx(0, abs=1e-6)
        for moment in (hit.time - 0.05, hit.time + 0.05):
            assert drums._arm(drumming, hit.limb, moment).height > 1.0


@pytest.mark.parametrize("limb", ["right", "left"])
def test_arms_do_not_jump(limb):
    """Tips move by at most 12 m/s, elbows by less."""
    from data_scripts.bandstand.people import find_elbow

    drumming = drums.play_drums(6, seconds=30, seed=0)
    look = drums.Look.from_player(6)
    tips, elbows = [], []
    for t in np.arange(1, 29, 0.005):
        arm = drums._arm(drumming, limb, float(t))
        body = drums._body(drumming, look, float(t))
        right = limb == "right"
        shoulder = body.shoulder_right if right else body.shoulder_left
        out = -drums.ELBOW_SIDE if right else drums.ELBOW_SIDE
        tips.append(arm.tip)
        elbows.append(find_elbow(shoulder, arm.hand, out, 29.0, 27.0))
    for places, most in ((tips, 6.0), (elbows, 6.0)):  # cm in 5 ms
        assert np.hypot(*np.diff(places, axis=0).T).max() < most


def test_a_hit_is_seen_at_64_pixels(takes):
    """Where a drum is struck the picture changes, at the hit and not before."""
    made = takes["percussive"]
    look = drums.Look.from_player(6)
    camera = drums.aim_camera(look, drums.DRUMMER_VIEW, shift=0.4)
    seen = 0
    for piece in ("snare", "kick", "tom"):
        hits = [h for h in made.played.hits if h.piece == piece and h.velocity > 0.4]
        for hit in hits[:4]:
            x, y = drums.transform(camera, drums.KIT[piece].place) * 64
            box = np.s_[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4]
            before, after = (
                made.draw(hit.time + d, 64)[box].astype(int) for d in (-0.01, 0.03)
            )
            seen += np.abs(after - before).max() > 20
            assert np.abs(after - before).max() > 8, (piece, hit.time)
    assert seen >= 6


def test_hands_are_given_what_they_can_reach():
    for seed in range(4):
        for hit in drums.play_drums(seed, seconds=60, seed=seed).hits:
            if hit.limb == "foot":
                assert hit.piece == "kick"
            else:
                side = ("right", "left").index(hit.limb)
                assert drums.KIT[hit.piece].grip[side] is not None


def test_a_hand_strikes_no_sooner_than_the_constant_says():
    gaps = []
    for seed in range(4):
        hits = drums.play_drums(seed, seconds=60, seed=seed).hits
        for limb in ("right", "left"):
            gaps += np.diff([h.time for h in hits if h.limb == limb]).tolist()
    # Not far above it either: a constant that is never reached would say nothing.
    assert drums.SAME_HAND_GAP < min(gaps) < drums.SAME_HAND_GAP + 0.02


# ----------------------------------------------------------------- speaker


def test_something_is_said_in_a_second():
    for player in range(12):
        said = speak(player, seconds=1, seed=0)
        assert (said.pitch_hz > 0).any()
        assert said.phones[0].onset < 0.4


def test_the_mouth_opens_with_the_voice(takes):
    made = takes["speaking"]
    truth = made.measure(frame_times(made))
    heard = loudness_of(made.synthesise(RATE))
    assert np.corrcoef(heard, truth["mouth_open"])[0, 1] > 0.55
    assert truth["mouth_open"].max() > 0.7
    assert (truth["mouth_open"] < 0.05).mean() > 0.1


def test_formants_are_heard_and_seen(takes):
    """An open vowel has a high first formant and an open mouth; m shuts it."""
    spoken = takes["speaking"].spoken
    sound = takes["speaking"].synthesise(RATE)
    middle = {"a": [], "i": [], "m": []}
    names = {id(phone): name for name, phone in (VOWELS | CONSONANTS).items()}
    for said in spoken.phones:
        if (name := names[id(said.phone)]) in middle and said.seconds > 0.06:
            middle[name].append(said.onset + said.seconds / 2)
    assert all(middle.values())
    jaw = {
        name: np.mean([np.interp(t, spoken.time, spoken.jaw) for t in moments])
        for name, moments in middle.items()
    }
    assert jaw["a"] > 0.5 > jaw["i"] > jaw["m"]

    def centroid(t: float) -> float:
        """Hz about which the energy of 100 to 1200 Hz lies: near the first formant."""
        first = round((t - 0.025) * RATE)
        part = sound[first : first + RATE // 20] * np.hanning(RATE // 20)
        power = np.abs(np.fft.rfft(part, 4096)) ** 2
        hertz = np.fft.rfftfreq(4096, 1 / RATE)
        low = (hertz > 100) & (hertz < 1200)
        return float((power[low] * hertz[low]).sum() / power[low].sum())

    heard = {n: np.median([centroid(t) for t in ts]) for n, ts in middle.items()}
    assert heard["a"] > 1.5 * heard["i"]
    assert heard["a"] > 1.5 * heard["m"]


def test_the_open_mouth_is_drawn(takes):
    """The darkest pixels about the mouth are more, the wider it opens."""
    made = takes["speaking"]
    times = np.arange(2, 8, 0.05)
    truth = made.measure(times)
    dark = []
    for i, t in enumerate(times):
        frame = made.draw(float(t), 96).astype(int)
        x, y = round(truth["mouth_x"][i] * 96), round(truth["mouth_y"][i] * 96)
        part = frame[y - 4 : y + 14, x - 8 : x + 9]
        dark.append((part.max(axis=2) < 110).mean())
    assert np.corrcoef(dark, truth["mouth_open"])[0, 1] > 0.8


# --------------------------------------------------------------- the video


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("video")
    options = {"performer": "percussive", "seconds": 3.2, "seed": 3, "player": 6}
    assert write_video(folder, **options, size=64, workers=1) == 1
    return folder, options


def test_the_video_is_the_take(written):
    folder, _ = written
    made = record_take("percussive", player=6, seconds=3.2, seed=3)
    clip = media.read_clip(folder / "percussive.mp4", sample_rate=VIDEO_RATE)
    assert clip.frames.shape == (64, 64, 64, 3)
    for k in (0, 37, 63):
        drawn = made.draw(k / FPS, 64).astype(int)
        assert np.abs(clip.frames[k] - drawn).mean() < 6  # H.264
    sound = made.synthesise(VIDEO_RATE)
    heard = clip.waveform[0, : len(sound)]
    assert np.corrcoef(heard, sound[: len(heard)])[0, 1] > 0.97
    table = pq.read_table(folder / "truth" / "percussive.parquet")
    assert table["time"].to_numpy() == pytest.approx(np.arange(64) / 20)
    hits = [round(hit.time * FPS - 0.5) for hit in made.played.hits]
    assert np.flatnonzero(table["onset"].to_numpy()).tolist() == sorted(set(hits))


def test_more_processes_give_the_same_frames(written, tmp_path, monkeypatch):
    folder, options = written
    monkeypatch.setattr(video_layout, "SPAN", 24)
    write_video(tmp_path, **options, size=64, workers=2)
    one, two = (
        media.read_frames(place / "percussive.mp4")[0] for place in (folder, tmp_path)
    )
    assert (one == two).all()


def test_what_is_written_is_left_alone(written):
    folder, options = written
    before = (folder / "percussive.mp4").stat().st_mtime_ns
    assert write_video(folder, **options, size=64) == 0
    assert (folder / "percussive.mp4").stat().st_mtime_ns == before
    for change in ({"seed": 4}, {"seconds": 7}, {"performer": "melodic"}):
        with pytest.raises(ValueError, match="other settings"):
            write_video(folder, **{**options, **change}, size=64)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"performer": "dancer"}, "performer = 'dancer': there is no .*Give one of"),
        ({"seconds": 0.5}, r"seconds = 0\.5"),
        ({"size": 33}, "size = 33"),
        ({"fps": 0}, "fps = 0"),
    ],
)
def test_settings_out_of_range_are_named(tmp_path, wrong, message):
    options = {"performer": "melodic", "seconds": 2, "seed": 0} | wrong
    with pytest.raises(ValueError, match=message):
        write_video(tmp_path, **options)
    assert not list(tmp_path.rglob("*.mp4"))


@pytest.mark.slow
def test_single_video_reads_it(tmp_path):
    """The film of prepared clips: hits lie where the sound rises."""
    options = {"performer": "percussive", "length": 5.2, "player": 6}
    settings = performer.SETTINGS
    sources, problems = performer.find_sources(tmp_path / "v", settings, **options)
    prepare(sources, tmp_path / "clips", settings, problems=problems, workers=1)
    train, test = (load_recording(tmp_path / "clips", s) for s in ("train", "test"))
    assert train.frames.shape == (80, 64, 64, 3)
    assert len(test) == 20
    assert {"onset", "onset_kick", "left_height", "loudness"} <= set(train.truth)
    energy = train.waveform.reshape(-1, 800).square().mean(1).sqrt()
    rise = energy[1:] - energy[:-1]
    # a frame's hit shows in its own sound or, if late in it, in the next
    hits = train.truth["onset"][1:-1] > 0
    assert rise[1:].maximum(rise[:-1])[hits].mean() > 1.5 * rise.abs().mean()
    assert rise[:-1][~hits].mean() < 0
    again, _ = performer.find_sources(tmp_path / "v", settings, **options, dry_run=True)
    assert again == sources


def test_marks_count_for_the_time_they_follow():
    times = np.arange(4) / 20
    assert mark_onsets([0.05, 0.149, -1.0, 0.18], times).tolist() == [0, 1, 1, 1]
