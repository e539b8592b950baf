"""The picture of musicians whose hands strike, see `hands`.

A camera gathers light for the whole of a frame. A hand that strikes moves fast but for
the moment in which it touches, and so that moment is what a frame shows of it: in the
frame from t to t + exposure in which a stroke is heard, the hand lies where it struck.
So an onset at t is seen in frame floor(t · fps), at each rate of frames.

What does not move between two frames (the room, the seated body, the instrument) is
drawn once and kept: arms and hands are drawn over it. The body leans and nods in small
steps, so few such pictures are needed.
"""

# ruff: noqa: RUF005 (adding a tuple to an array is arithmetic here)
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from data_scripts.bandstand import hand_instruments as made
from data_scripts.bandstand.canvas import Canvas, Point, Real, transform
from data_scripts.bandstand.hands import (
    BARS,
    KINDS,
    STROKES,
    Fretting,
    Striking,
    Stroke,
    locate_bar,
)
from data_scripts.bandstand.people import (
    Body,
    Look,
    draw_arm,
    draw_chair,
    draw_hair_behind,
    draw_hand,
    draw_head,
    draw_legs,
    draw_torso,
    place_shoulders,
)
from data_scripts.bandstand.picture import Missing, composite, get_room, render
from data_scripts.bandstand.scene import HEAD_HEIGHT, View, get_look, sample_view

HAND_TRUTH = (
    "head_x", "head_y", "right_hand_x", "right_hand_y", "left_hand_x", "left_hand_y",
    "right_tip_x", "right_tip_y", "left_tip_x", "left_tip_y",
    "right_height", "left_height", "stroke_right", "stroke_left",
)  # fmt: skip
SIDES = ("right", "left")
HOVER = 5.0  # cm above the instrument, where a hand waits
TRAVEL = 0.16  # s before a stroke in which a hand goes to its place
LIFT = 17.0  # cm that a hand is lifted before the loudest stroke
REBOUND = 14.0  # cm that it springs back after the loudest stroke
SWING = 11.0  # cm to each side of the strings that the loudest strum goes
STEP = 1.1  # cm: the body leans and nods in such steps
REST: dict[str, tuple[Point, Point]] = {  # where right and left hand wait
    "tabla": (KINDS["tabla"]["na"].place, KINDS["tabla"]["ge"].place),
    "ghatam": (KINDS["ghatam"]["ta"].place, KINDS["ghatam"]["ki"].place),
    "xylophone": (locate_bar(BARS[9]), locate_bar(BARS[5])),
    "acoustic_guitar": (KINDS["acoustic_guitar"]["down"].place,) * 2,
}
# Where fingers point, degrees, and how far the hand is from what its fingers touch, cm.
FINGERS = {
    "tabla": ((65.0, 115.0), 8.0),
    "ghatam": ((38.0, 142.0), 8.0),
    "xylophone": ((62.0, 118.0), 0.0),
    "acoustic_guitar": ((42.0, -110.0), 7.0),
}
MALLET = 27.0  # cm from a mallet's head to the hand


@dataclass(frozen=True)
class Arm:
    """One arm at one moment.

    Args:
        hand: its middle, cm.
        tip: what touches the instrument: the fingertips, or the mallet's head.
        degrees: where the fingers point.
        height: of the tip above what it strikes, cm; of a strumming hand, how far it
            is beside the strings.
    """

    hand: np.ndarray
    tip: np.ndarray
    degrees: float
    height: float


@lru_cache(maxsize=16)
def _group(played: Striking) -> dict[str, tuple[np.ndarray, list[Stroke]]]:
    """Hand -> the times of its strokes, s, and the strokes."""
    groups = {
        side: [stroke for stroke in played.strokes if stroke.hand == side]
        for side in SIDES
    }
    return {side: (np.array([s.time for s in g]), g) for side, g in groups.items()}


def expose(played: Striking, side: str, t: Real, exposure: Real) -> float:
    """The moment that a frame shows of one hand: its stroke, or the frame's start.

    Args:
        played: what is struck.
        side: right or left.
        t: when the frame begins, s.
        exposure: how long it lasts, s.
    """
    times, _ = _group(played)[side]
    # 1e-9: times of frames are quotients of floats. A stroke at the frame's end belongs
    # to the next one.
    k = int(np.searchsorted(times, t + exposure - 1e-9)) - 1
    return float(times[k]) if k >= 0 and times[k] >= t - 1e-9 else float(t)


def _find_neighbours(
    played: Striking, side: str, t: float
) -> tuple[Stroke | None, Stroke | None]:
    """The last stroke of a hand at or before `t`, and the next one."""
    times, strokes = _group(played)[side]
    after = int(np.searchsorted(times, t + 1e-9, side="right"))
    last = strokes[after - 1] if after else None
    return last, strokes[after] if after < len(strokes) else None


def _ease(share: float) -> float:
    """0..1 with a slow start and end: a limb neither starts nor stops at once."""
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)


def pose_arm(played: Striking, side: str, t: float) -> Arm:
    """Where a hand is at `t` s; it touches its place exactly at a stroke."""
    last, coming = _find_neighbours(played, side, t)
    # 9 s stand for "long ago" and "not soon": all movements are over by then.
    since = t - last.time if last else 9.0
    until = coming.time - t if coming else 9.0
    home = REST[played.instrument][0 if side == "right" else 1]
    one = np.array(last.place if last else home)
    two = np.array(coming.place if coming else home)
    if played.instrument == "acoustic_guitar":
        if side == "left":
            return _pose_fretting(played, t)
        return _pose_strum(last, coming, since, until)
    # A hand stays over what it struck until it must go to the next place.
    share = 0.0 if coming is None else _ease(1 - until / min(since + until, TRAVEL))
    place = one * (1 - share) + two * share
    height = _lift(last, coming, since, until)
    return _reach(played.instrument, side, place, height)


def _lift(
    last: Stroke | None, coming: Stroke | None, since: float, until: float
) -> float:
    """The height of a hand above its place, cm: harder strokes come from higher up."""
    rebound = HOVER + (REBOUND * last.velocity if last else 0.0)
    # After a stroke the hand springs up, then sinks to where it waits.
    wait = HOVER + (rebound - HOVER) * math.exp(-since / 0.3)
    height = wait * (1 - math.exp(-since / 0.05))
    if coming is not None and until < 2 * TRAVEL:
        swell = math.sin(math.pi * min(until / (2 * TRAVEL), 1.0))
        height += LIFT * coming.velocity * swell * (1 - math.exp(-since / 0.08))
    # It comes down in the last 90 ms, fastest at the end.
    return height * math.sin(0.5 * math.pi * min(until / 0.09, 1.0))


def _reach(instrument: str, side: str, place: np.ndarray, height: float) -> Arm:
    """The arm whose fingertips (or mallet) are `height` above a place."""
    (right, left), reach = FINGERS[instrument]
    sign = 1.0 if side == "right" else -1.0
    # A lifted hand bends at the wrist: its fingers point up.
    degrees = (right if side == "right" else left) - sign * 1.6 * height
    tip = place + (0.0, -height)
    if instrument == "xylophone":
        # The wrist goes up about half as far as the mallet's head.
        back = np.array([-sign * 0.42, -0.91]) * MALLET
        hand = place + back + (0.0, 4.0 - 0.45 * height)
        towards = tip - hand
        degrees = math.degrees(math.atan2(towards[1], towards[0]))
        return Arm(hand, tip, degrees, height)
    angle = math.radians(degrees)
    return Arm(
        tip - reach * np.array([math.cos(angle), math.sin(angle)]), tip, degrees, height
    )


def _pose_strum(
    last: Stroke | None, coming: Stroke | None, since: float, until: float
) -> Arm:
    """The strumming hand: it crosses the strings exactly when they sound."""
    nearest = last or coming
    side = _swing(last, since, 1.0) if last else -3.0
    if coming is not None:
        gap = since + until
        # In the second half of the way it goes to where the next strum begins.
        share = _ease((since / gap - 0.35) / 0.4) if gap > 0 else 0.0
        start = _swing(coming, until, -1.0)
        side = side * (1 - share) + start * share
    place = np.array(nearest.place if nearest else made.STRINGS)
    tip = place + side * made.ACROSS
    degrees = FINGERS["acoustic_guitar"][0][0] + 1.5 * side
    angle = math.radians(degrees)
    reach = FINGERS["acoustic_guitar"][1]
    hand = tip - reach * np.array([math.cos(angle), math.sin(angle)])
    return Arm(hand, tip, degrees, abs(side))


def _swing(stroke: Stroke, apart: float, sign: float) -> float:
    """How far beside the strings a strum is, `apart` s from its moment, cm."""
    wide = SWING * (0.45 + 0.55 * stroke.velocity)
    if stroke.name == "pluck":  # the fingers alone
        wide *= 0.45
    way = -1.0 if stroke.name == "up" else 1.0
    return sign * way * wide * (1 - math.exp(-apart / 0.05))


def _find_chord(played: Striking, t: float) -> tuple[Fretting, Fretting, float]:
    """The chords between which the left hand moves, and how far it has come, 0..1."""
    times = [chord.time for chord in played.chords]
    k = int(np.searchsorted(times, t + 1e-9, side="right"))
    first = played.chords[max(k - 1, 0)]
    following = played.chords[min(k, len(times) - 1)]
    until = following.time - t
    return first, following, _ease(1 - until / TRAVEL) if until > 0 else 0.0


def _pose_fretting(played: Striking, t: float) -> Arm:
    """The fretting hand: it is on its chord when the chord is first strummed."""
    first, following, share = _find_chord(played, t)
    along = first.along * (1 - share) + following.along * share
    place = made.locate_fret(along)
    # Between two chords the hand leaves the neck a little.
    height = 4.0 * math.sin(math.pi * share)
    hand = place + (1.0, 4.5 + height)
    return Arm(hand, place + (0.0, height), -100.0, height)


@lru_cache(maxsize=16)
def _trace_body(played: Striking) -> tuple[np.ndarray, np.ndarray]:
    """How far the body leans to the viewer's right and nods, 50 a second, cm."""
    steps = math.ceil(played.duration * 50) + 1
    pull, beat = np.zeros(steps), np.zeros(steps)
    for stroke in played.strokes:
        k = min(math.ceil(stroke.time * 50), steps - 1)
        pull[k] += stroke.velocity * stroke.place[0] / 20.0
        beat[k] += stroke.velocity
    since = np.arange(100) / 50
    lean = np.convolve(pull, np.exp(-since / 0.4))[:steps]
    nod = np.convolve(beat, np.exp(-since / 0.18))[:steps]
    return np.tanh(0.5 * lean) * 2.2, np.minimum(nod, 1.6) * 1.5


def pose_body(played: Striking, look: Look, t: float) -> Body:
    """Joints and face at `t` s, in steps of `STEP`."""
    lean, nod = _trace_body(played)
    k = min(int(t * 50), len(lean) - 1)
    return _make_body(played.instrument, look, _steps(lean[k]), _steps(nod[k]))


def _steps(value: float) -> int:
    return round(float(value) / STEP)


def _make_body(instrument: str, look: Look, lean: int, nod: int) -> Body:
    """The body that leans and nods by whole steps."""
    x, y = STEP * lean, STEP * nod
    neck = np.array([x, 0.3 * y])
    right, left = place_shoulders(neck, x, look)
    guitar = instrument == "acoustic_guitar"
    seated = instrument in ("tabla", "ghatam") or (guitar and look.seat < 0.5)
    return Body(
        neck=neck,
        head=neck + (0.35 * x, -HEAD_HEIGHT + 0.7 * y),
        head_degrees=0.8 * x,
        turn=0.2 * x + (0.35 if guitar else 0.0),
        shoulder_right=right,
        shoulder_left=left,
        hip=np.array([0.15 * x, 54.0]),
        seated=seated,
        knees=17.0,
        cheeks=0.0,
        eyes=0.75,
    )


def choose_striker_view(played: Striking) -> View:
    """Choose a view at random, from the one distribution of all instruments."""
    return sample_view((0.0, -HEAD_HEIGHT), 1, played.player, played.seed)


# -------------------------------------------------------------------- drawing


def _draw_still(
    canvas: Canvas, instrument: str, look: Look, body: Body, bare: bool
) -> None:
    """All that does not move with the hands: body, legs and instrument."""
    crossed = instrument in ("tabla", "ghatam")
    if body.seated and not crossed:
        draw_chair(canvas, look, body)
    draw_hair_behind(canvas, look, body)
    if crossed:
        made.draw_crossed_legs(canvas, look, body)
    else:
        draw_legs(canvas, look, body)
    draw_torso(canvas, look, body)
    draw_head(canvas, look, body)
    if not bare:
        made.STILL[instrument](canvas, look)


@lru_cache(maxsize=96)
def _get_still(
    instrument: str, player: int, view: View, size: int, lean: int, nod: int, bare: bool
) -> np.ndarray:
    """The room with the body and the instrument, float32 (size, size, 3), 0..255."""
    look = get_look(player)
    body = _make_body(instrument, look, lean, nod)

    def paint(canvas: Canvas) -> None:
        with canvas.at(view.to_matrix()):
            _draw_still(canvas, instrument, look, body, bare)

    return composite(paint, get_room(view.room, size, size))


def draw_striker(
    played: Striking,
    t: Real,
    size: int,
    *,
    view: View,
    exposure: Real,
    without: Missing = "",
) -> np.ndarray:
    """Draw one frame.

    Args:
        played: what is struck.
        t: when the frame begins, s.
        size: pixels a side.
        view: of the camera.
        exposure: how long the frame lasts, s.
        without: what is left out, as in `picture.draw`.

    Returns:
        uint8 (size, size, 3)
    """
    look = get_look(played.player)
    lean, nod = (_steps(curve[_row(played, t)]) for curve in _trace_body(played))
    bare = without == "instrument"
    key = (played.instrument, played.player, view, size, lean, nod, bare)
    room = get_room(view.room, size, size)
    behind = room if without == "player" else _get_still(*key)
    body = _make_body(played.instrument, look, lean, nod)

    def paint(canvas: Canvas) -> None:
        if without != "player":
            with canvas.at(view.to_matrix()):
                _draw_moving(canvas, played, look, body, float(t), exposure, bare)

    return render(paint, played.player, played.seed, t, size, behind)


def _row(played: Striking, t: Real) -> int:
    return min(int(t * 50), len(_trace_body(played)[0]) - 1)


def _draw_moving(
    canvas: Canvas,
    played: Striking,
    look: Look,
    body: Body,
    t: float,
    exposure: Real,
    bare: bool,
) -> None:
    """What sounds is lit; then the arms, and what the hands hold."""
    moments = {side: expose(played, side, t, exposure) for side in SIDES}
    arms = {side: pose_arm(played, side, moments[side]) for side in SIDES}
    if not bare:
        _light_struck(canvas, played, look, max(moments.values()))
    shoulders = {"right": body.shoulder_right, "left": body.shoulder_left}
    draw_arm(canvas, look, shoulders["left"], arms["left"].hand, 1.0)
    if played.instrument == "acoustic_guitar":
        if not bare:
            made.draw_neck(canvas, look)
        lifted = _find_chord(played, t)[0].spread
        fingers = (lifted, 0.2, 1 - lifted, 0.5 * lifted)
        draw_hand(canvas, look, arms["left"].hand, -100.0, fingers, 5.5)
    draw_arm(canvas, look, shoulders["right"], arms["right"].hand, -1.0)
    for side, arm in arms.items():
        if played.instrument == "xylophone":
            if not bare:
                made.draw_mallet(canvas, arm.hand, arm.tip, look)
            draw_hand(canvas, look, arm.hand, arm.degrees, length=3.5)
        elif played.instrument != "acoustic_guitar" or side == "right":
            flat = 0.25 if arm.height > 1 else 0.0
            draw_hand(canvas, look, arm.hand, arm.degrees, (flat,) * 4)


def _light_struck(canvas: Canvas, played: Striking, look: Look, t: float) -> None:
    """Show what sounds: skins and bars that were struck are lit and fade again."""
    latest: dict[tuple[str, tuple[float, ...]], Stroke] = {}
    # The strokes are in order, so the last one of each kind and pitch stays.
    for stroke in played.strokes:
        if t - 1.2 < stroke.time <= t + 1e-9:
            latest[stroke.name, stroke.midi] = stroke
    light: Callable[[Canvas, Look, Stroke, float], None] = made.LIT[played.instrument]
    for stroke in latest.values():
        decay = KINDS[played.instrument][stroke.name].decay
        shine = stroke.velocity * math.exp(-(t - stroke.time) / max(0.6 * decay, 0.06))
        if shine > 0.04:
            light(canvas, look, stroke, shine)


def measure_striker(
    played: Striking, times: np.ndarray, *, view: View, exposure: Real
) -> dict[str, np.ndarray]:
    """Measure what the frames that begin at these times show.

    Args:
        played: what is struck.
        times: (T,), s.
        view: of the camera.
        exposure: how long a frame lasts, s.

    Returns:
        Name of `HAND_TRUTH` -> float32 (T,). Places are shares of the picture; a height
        is a tip's above what it strikes, in shares of the picture's height; a stroke is
        1 + the place in `hands.STROKES` of what the hand struck last, 0 before that.
    """
    look = get_look(played.player)
    camera = view.to_matrix()
    rows = np.empty((len(times), len(HAND_TRUTH)), np.float32)
    for i, t in enumerate(times):
        moments = [expose(played, side, float(t), exposure) for side in SIDES]
        arms = [pose_arm(played, s, m) for s, m in zip(SIDES, moments, strict=True)]
        head = pose_body(played, look, float(t)).head
        places = [head, *(a.hand for a in arms), *(a.tip for a in arms)]
        # head, two hands, two tips: (5, 2) -> 10 columns in the order of HAND_TRUTH
        rows[i, :10] = transform(camera, np.array(places)).ravel()
        rows[i, 10:12] = [arm.height / view.height for arm in arms]
        for k, (side, moment) in enumerate(zip(SIDES, moments, strict=True)):
            last, _ = _find_neighbours(played, side, moment)
            rows[i, 12 + k] = 0 if last is None else 1 + STROKES.index(last.name)
    return dict(zip(HAND_TRUTH, rows.T, strict=True))
