"""The pictures show what the truth says, move with the sound alone, and repeat."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from quick import mark_rest

from data_scripts.bandstand import INSTRUMENTS, Performance, perform
from data_scripts.bandstand.instruments import (
    FUNDAMENTALS,
    choose_valves,
    compute_lowering,
)
from data_scripts.bandstand.picture import (
    POSE_NAMES,
    draw,
    draw_frames,
    draw_row,
    measure_pose,
)

STRINGS = ("cello", "double_bass", "viola", "violin")
COLUMN = {name: i for i, name in enumerate(POSE_NAMES)}


def still(instrument: str, player: int = 3, **curves: float) -> Performance:
    """A performance whose curves are constant: everything but ``curves`` the same."""
    made = perform(instrument, player, seconds=2.0, seed=1)
    flat = {"pitch_hz": 220.0, "loudness": 0.5, "stroke": 0.0, "sway": 0.0} | curves
    flat["breath"] = 0.0 if instrument in STRINGS else 0.5
    return replace(
        made, **{name: np.full(len(made.time), value) for name, value in flat.items()}
    )


def hz(midi: float) -> float:
    return 440.0 * 2 ** ((midi - 69) / 12)


def places(performance: Performance, *names: str) -> np.ndarray:
    """Drawn places (names, 2) at 1 s, in shares of the picture."""
    row = measure_pose(performance, [1.0])[0]
    return np.array([[row[COLUMN[f"{n}_x"]], row[COLUMN[f"{n}_y"]]] for n in names])


def change(one: Performance, two: Performance, size: int = 128) -> np.ndarray:
    """How much each pixel differs between two pictures at 1 s."""
    a, b = draw(one, 1.0, size).astype(int), draw(two, 1.0, size).astype(int)
    return np.abs(a - b).max(axis=2)


def near(pixels: np.ndarray, place: np.ndarray, radius: float) -> np.ndarray:
    """Mask of the pixels within ``radius`` (shares of the picture) of a place."""
    size = len(pixels)
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    return np.hypot(x - place[0], y - place[1]) < radius


def digest(frames: np.ndarray) -> str:
    return hashlib.sha256(frames.tobytes()).hexdigest()


@pytest.mark.slow
def test_same_bytes_in_another_process_and_another_order() -> None:
    code = (
        "import hashlib, numpy as np\n"
        "from data_scripts.bandstand import perform\n"
        "from data_scripts.bandstand.picture import draw\n"
        "for name in ('violin', 'tuba', 'flute'):\n"
        "    frame = draw(perform(name, 5, seconds=3.0, seed=2), 1.25, 64)\n"
        "    print(hashlib.sha256(frame.tobytes()).hexdigest())\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    here = {}
    for name in ("flute", "cello", "violin", "tuba"):
        here[name] = digest(draw(perform(name, 5, seconds=3.0, seed=2), 1.25, 64))
    assert other == [here["violin"], here["tuba"], here["flute"]]


def test_a_player_may_have_any_number() -> None:
    # Also a negative one, which NumPy takes for no seed.
    one, other = (draw(perform("flute", -k, seconds=1.0, seed=-3), 0.5) for k in (1, 2))
    assert (one != other).any()
    assert (one == draw(perform("flute", -1, seconds=1.0, seed=-3), 0.5)).all()


def test_film_is_its_frames() -> None:
    performance = perform("sax", 2, seconds=3.0, seed=0)
    frames = draw_frames(performance, [0.5, 1.5], size=48)
    assert frames.shape == (2, 48, 48, 3)
    assert (frames[1] == draw(performance, 1.5, 48)).all()
    assert (frames[0] != frames[1]).any()


@pytest.mark.parametrize("instrument", mark_rest(INSTRUMENTS, every=4))
def test_pose_stays_in_the_picture(instrument: str) -> None:
    for player in range(6):
        performance = perform(instrument, player, seconds=4.0, seed=player)
        rows = measure_pose(performance, np.arange(0, 4, 0.25))
        assert rows.shape == (16, len(POSE_NAMES))
        bow = [i for i, name in enumerate(POSE_NAMES) if name.startswith("bow")]
        rest = [i for i in range(len(POSE_NAMES)) if i not in bow]
        assert np.isfinite(rows[:, bow]).all() == (instrument in STRINGS)
        for name in ("head", "right_hand", "left_hand", "instrument"):
            for axis in "xy":
                values = rows[:, COLUMN[f"{name}_{axis}"]]
                assert values.min() > 0.0
                assert values.max() < 1.0
        assert np.isfinite(rows[:, rest]).all()
        assert (
            0 <= rows[:, COLUMN["along"]].min() <= rows[:, COLUMN["along"]].max() <= 1
        )


@pytest.mark.parametrize("instrument", STRINGS)
def test_a_bow_stroke_moves_bow_and_right_arm_and_nothing_else(instrument: str) -> None:
    frog, tip = still(instrument, stroke=-0.8), still(instrument, stroke=0.8)
    changed = change(frog, tip) > 24
    ends = [places(p, "bow_frog", "bow_tip") for p in (frog, tip)]
    for frog_end, tip_end in ends:
        assert changed[near(changed, tip_end, 0.02)].any()
        assert changed[near(changed, frog_end, 0.03)].any()
    # The bow moves along itself by 0.8 of its length, the contact stays.
    moved = np.hypot(*(ends[0][1] - ends[1][1]))
    assert moved == pytest.approx(0.64 * np.hypot(*(ends[0][1] - ends[0][0])), rel=0.02)
    for name in ("head", "left_hand"):
        assert (places(frog, name) == places(tip, name)).all()
    assert not changed[near(changed, places(frog, "head")[0], 0.05)].any()
    assert changed.mean() < 0.2


@pytest.mark.parametrize("instrument", STRINGS)
def test_pitch_moves_the_left_hand(instrument: str) -> None:
    from data_scripts.bandstand import ORCHESTRA

    low, high = ORCHESTRA[instrument].low, ORCHESTRA[instrument].high
    hands, alongs = [], []
    for midi in np.linspace(low + 1, high - 1, 6):
        row = measure_pose(still(instrument, pitch_hz=hz(midi)), [1.0])[0]
        hands.append(row[[COLUMN["left_hand_x"], COLUMN["left_hand_y"]]])
        alongs.append(row[COLUMN["along"]])
    assert (np.diff(alongs) > 0).all()
    assert np.hypot(*(hands[-1] - hands[0])) > 4 / 64
    one, two = (still(instrument, pitch_hz=hz(m)) for m in (low + 1, high - 1))
    changed = change(one, two) > 24
    for performance in (one, two):
        hand = places(performance, "left_hand")[0]
        assert changed[near(changed, hand, 0.05)].mean() > 0.3


def test_brass_uses_the_books_valves_and_slide_positions() -> None:
    # Sounding pitches of the B flat trumpet's first octave, low F sharp upwards.
    fingering = {52: "123", 53: "13", 54: "23", 55: "12", 56: "1", 57: "2", 58: ""}
    fingering |= {
        60: "13",
        62: "12",
        63: "1",
        64: "2",
        65: "",
        67: "12",
        70: "",
        69: "2",
    }
    for midi, valves in fingering.items():
        below = compute_lowering(np.array([float(midi)]), FUNDAMENTALS["trumpet"])[0]
        down = "".join(str(i + 1) for i, d in enumerate(choose_valves(below)) if d)
        assert down == valves, midi
    # Trombone: first position B flat, second A, seventh low E.
    for midi, position in {58: 1, 57: 2, 46: 1, 40: 7, 53: 1, 52: 2, 48: 6}.items():
        along = measure_pose(still("trombone", pitch_hz=hz(midi)), [1.0])[0][
            COLUMN["along"]
        ]
        assert 1 + 6 * along == pytest.approx(position, abs=0.05)


def test_the_slide_is_drawn_where_the_truth_says() -> None:
    closed, out = (still("trombone", pitch_hz=hz(m)) for m in (46, 40))
    changed = change(closed, out) > 24
    hands = [places(p, "right_hand")[0] for p in (closed, out)]
    assert np.hypot(*(hands[0] - hands[1])) > 0.2
    for hand in hands:
        assert changed[near(changed, hand, 0.03)].mean() > 0.4


@pytest.mark.parametrize("instrument", mark_rest(INSTRUMENTS, every=4))
def test_pitch_and_loudness_are_seen_at_64_pixels(instrument: str) -> None:
    from data_scripts.bandstand import ORCHESTRA

    low, high = ORCHESTRA[instrument].low, ORCHESTRA[instrument].high
    notes = [still(instrument, pitch_hz=hz(m)) for m in (low + 2, high - 2)]
    assert (change(*notes, size=64) > 24).sum() > 40
    loud = [still(instrument, loudness=v, sway=1.0) for v in (0.1, 0.9)]
    assert (change(*loud, size=64) > 24).sum() > 40


@pytest.mark.parametrize("instrument", ["violin", "double_bass"])
def test_the_bow_leaves_the_string_in_rests(instrument: str) -> None:
    sounding = still(instrument, loudness=0.0)
    silent = replace(sounding, pitch_hz=np.zeros(len(sounding.time)))
    # The same pitch is held: only the last half second is silent.
    part = sounding.pitch_hz.copy()
    part[-60:] = 0.0
    resting = replace(sounding, pitch_hz=part)
    last = [measure_pose(p, [1.7])[0] for p in (sounding, resting)]
    lift = last[0][COLUMN["bow_frog_y"]] - last[1][COLUMN["bow_frog_y"]]
    assert abs(lift) > 1.5 / 64
    assert np.isfinite(measure_pose(silent, [1.0])).all()


def test_row_holds_each_player_in_its_square() -> None:
    trio = [perform(n, i, seconds=2.0, seed=i) for i, n in enumerate(STRINGS[:3])]
    row = draw_row(trio, 1.0, 72)
    assert row.shape == (72, 216, 3)
    other = [trio[0], perform("horn", 9, seconds=2.0, seed=4), trio[2]]
    differs = (draw_row(other, 1.0, 72) != row).any(axis=(0, 2))
    assert differs[72:144].any()
    assert not differs[:72].any()
    assert not differs[144:].any()


def test_row_has_one_unbroken_room() -> None:
    row = draw_row([perform("oboe", i, seconds=2.0, seed=1) for i in range(6)], 1.0, 64)
    edge = row[-1, ::64].astype(int)  # the floor at each square's left border
    assert np.abs(np.diff(edge, axis=0)).max() < 60


def test_row_and_picture_place_the_player_alike() -> None:
    """`measure_pose` holds in the row too: same pixels where the bow goes."""
    frog, tip = still("violin", stroke=-0.8), still("violin", stroke=0.8)
    alone = change(frog, tip, 96) > 40
    first = still("flute")
    rows = [draw_row([first, p], 1.0, 96)[:, 96:].astype(int) for p in (frog, tip)]
    inside = np.abs(rows[0] - rows[1]).max(axis=2) > 40
    assert (alone & inside).sum() > 0.6 * max(alone.sum(), inside.sum())


def test_room_and_person_do_not_tell_the_instrument() -> None:
    """One player's empty corners are the same whatever they play."""
    corners = []
    for instrument in ("oboe", "tuba", "cello"):
        frame = draw(replace(perform(instrument, 8, seconds=2.0, seed=1), seed=1), 1.0)
        corners.append(np.concatenate([frame[:3, :3], frame[-3:, :3]]))
    assert (corners[0] == corners[1]).all()
    assert (corners[0] == corners[2]).all()


@pytest.mark.slow
def test_the_instrument_shows_in_players_never_seen() -> None:
    """A linear classifier on 32x32 pixels knows most instruments of new players."""

    def pictures(players: range) -> tuple[np.ndarray, np.ndarray]:
        x, y = [], []
        for label, name in enumerate(INSTRUMENTS):
            for player in players:
                performance = perform(name, player, seconds=3.0, seed=player)
                x.append(draw(performance, 1.5, 32).reshape(-1) / 255.0)
                y.append(label)
        return np.array(x), np.array(y)

    x, y = pictures(range(16))
    unseen, truth = pictures(range(100, 104))
    centre = x.mean(axis=0)
    x, unseen = x - centre, unseen - centre
    kernel = x @ x.T + 10.0 * np.eye(len(x))
    scores = unseen @ (x.T @ np.linalg.solve(kernel, np.eye(13)[y] - 1 / 13))
    assert (scores.argmax(axis=1) == truth).mean() > 0.75  # chance: 0.08
