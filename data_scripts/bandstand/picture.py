"""Draw a musician who plays what is heard.

A picture is a function of a `Performance` and a time: `_scene` turns the sound's
curves into joints, hands, bow and slide, and both `draw` and `measure_pose` read
that scene, so that the truth is what is drawn.
"""

# ruff: noqa: RUF005 (adding a tuple to an array is arithmetic here)
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float32, UInt8

from data_scripts.bandstand import instruments as made
from data_scripts.bandstand.canvas import Canvas, Real, affine, chain, transform
from data_scripts.bandstand.people import (
    Body,
    Fingers,
    Look,
    aim_camera,
    draw_arm,
    draw_chair,
    draw_hair_behind,
    draw_hand,
    draw_head,
    draw_legs,
    draw_room,
    draw_torso,
)
from data_scripts.bandstand.world import CONTROL_RATE, ORCHESTRA, Performance

POSE_NAMES = (
    "head_x",
    "head_y",
    "right_hand_x",
    "right_hand_y",
    "left_hand_x",
    "left_hand_y",
    "instrument_x",
    "instrument_y",
    "instrument_angle",
    "bow_frog_x",
    "bow_frog_y",
    "bow_tip_x",
    "bow_tip_y",
    "bow",
    "along",
)

# What the camera shows: centre x, centre y and height, cm.
VIEWS = {
    "bassoon": (4.0, 14.0, 160.0),
    "cello": (1.0, 36.0, 161.0),
    "clarinet": (-5.0, 16.0, 115.0),
    "double_bass": (0.0, 51.0, 194.0),
    "flute": (-18.0, 14.0, 112.0),
    "horn": (-5.0, 17.5, 118.0),
    "oboe": (-1.0, 14.5, 111.0),
    "sax": (-6.0, 19.0, 120.0),
    "trombone": (-34.5, 16.0, 152.0),
    "trumpet": (-18.0, 12.0, 114.0),
    "tuba": (7.0, 2.0, 150.0),
    "viola": (25.0, 14.0, 132.0),
    "violin": (18.0, 12.0, 114.0),
}
ALWAYS_SEATED = ("bassoon", "cello", "horn", "tuba")


Place = tuple[Real, Real]


@dataclass(frozen=True)
class Grip:
    """How a wind instrument is held, in its own coordinates.

    Each hand has two places: for the highest and for the lowest note (the trombone:
    slide in and slide out).
    """

    degrees: Real  # of its x axis on the stage
    lift: Real  # degrees for each degree that the player lifts
    centre: Place
    right: tuple[Place, Place]
    left: tuple[Place, Place]
    fingers: tuple[Real, Real]  # where right and left fingers point, degrees
    start: Place = (0.0, 0.0)  # of its origin from the mouth (bassoon: neck), cm
    scale: Real = 1.0
    squash: Real = 1.0  # -1: its y axis points up


GRIPS = {
    "bassoon": Grip(-57.5, -0.35, (60, 0), ((14, 4), (23, 4)), ((52, 4), (59, 4)),
                    (-10, 190), start=(-26.0, 58.0)),
    "clarinet": Grip(107, 0.9, (33, 0), ((38, 2), (47, 2)), ((19, -2), (22, -2)),
                     (35, 150)),
    "flute": Grip(176, 0.8, (23, 0), ((30, 2), (40, 2)), ((13, 2), (17, 2)),
                  (-70, -110), start=(0.0, 1.0), squash=-1),
    "horn": Grip(0, -0.5, (-2, 4), ((-15, 16.6), (-21, 19)), ((12, 4), (12, 4)),
                 (-20, 200), start=(-4.4, 35.0), scale=1.08),
    "oboe": Grip(90, 0.5, (26, 0), ((29, 2), (37, 2)), ((13, -2), (16, -2)),
                 (35, 150)),
    "sax": Grip(-6, 0.7, (20, 32), ((15, 32), (15, 41)), ((16, 14), (16, 18)),
                (10, 170), scale=1.18),
    "trombone": Grip(168, 0.5, (35, -5), ((18, 4), (18 + made.SLIDE_TRAVEL, 4)),
                     ((13, 4), (13, 4)), (-150, -150), squash=-1),
    "trumpet": Grip(176, 1.0, (28, 4), ((25, -4), (25, -3)), ((24, 9), (24, 9)),
                    (125, -160), squash=-1),
    "tuba": Grip(0, -0.35, (2, -35), ((-2, -37), (-2, -34)), ((21, -24), (21, -24)),
                 (-35, 230), start=(15.0, 57.5)),
}  # fmt: skip


@dataclass(frozen=True)
class Motion:
    """The sound's curves at one moment."""

    loudness: float  # 0..1
    midi: float  # the last pitch heard
    height: float  # 0..1 within the instrument's compass
    stroke: float
    breath: float
    sway: float  # -1..1
    rest: float  # 0 sounding, 1 at rest
    lowering: float  # brass: semitones that valves or slide take off, 0..6


@dataclass(frozen=True)
class Hold:
    """How the instrument is held: in cm, hands as places and finger directions."""

    matrix: np.ndarray  # the instrument's coordinates to the stage's
    centre: np.ndarray
    right: np.ndarray
    left: np.ndarray
    right_degrees: Real
    left_degrees: Real
    along: float
    bow: tuple[np.ndarray, np.ndarray] | None = None
    slide: float = 0.0  # how far the trombone's is out, cm


@dataclass(frozen=True)
class Scene:
    look: Look
    motion: Motion
    body: Body
    hold: Hold
    camera: np.ndarray  # the stage to the picture's (0..1, 0..1)


def _curve(values: np.ndarray, t: Real) -> float:
    k = min(max(t * CONTROL_RATE, 0.0), len(values) - 1.0)
    i = int(k)
    j = min(i + 1, len(values) - 1)
    return float(values[i] + (values[j] - values[i]) * (k - i))


@lru_cache(maxsize=64)
def _curves(performance: Performance) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the hands follow: pitch (MIDI, held through rests), rests, and lowering."""
    hz = performance.pitch_hz
    sounding = hz > 0
    if not sounding.any():
        middle = np.full(len(hz), sum(_compass(performance.instrument)) / 2)
        return middle, np.ones(len(hz)), np.zeros(len(hz))
    index = np.maximum.accumulate(np.where(sounding, np.arange(len(hz)), -1))
    index[index < 0] = int(np.argmax(sounding))
    midi = 69 + 12 * np.log2(hz[index] / 440.0)
    lowering = np.zeros(len(hz))
    if performance.instrument in made.FUNDAMENTALS:
        fundamental = made.FUNDAMENTALS[performance.instrument]
        lowering = _late(made.compute_lowering(midi, fundamental), 9)
    kernel = np.hanning(41)
    quiet = np.convolve(~sounding, kernel / kernel.sum(), mode="same")
    return _late(midi, 5), np.clip(1.6 * quiet - 0.5, 0.0, 1.0), lowering


def _late(values: np.ndarray, steps: int) -> np.ndarray:
    """Running mean of the past: a hand takes ``steps`` / CONTROL_RATE s to arrive."""
    padded = np.concatenate([np.full(steps - 1, values[0]), values])
    return np.convolve(padded, np.ones(steps) / steps, mode="valid")


def _compass(instrument: str) -> tuple[float, float]:
    return float(ORCHESTRA[instrument].low), float(ORCHESTRA[instrument].high)


def _motion(performance: Performance, t: Real) -> Motion:
    midi_curve, rest_curve, lowering_curve = _curves(performance)
    midi = _curve(midi_curve, t)
    low, high = _compass(performance.instrument)
    k = min(max(round(t * CONTROL_RATE), 0), len(performance.phase) - 1)
    return Motion(
        loudness=_curve(performance.loudness, t),
        midi=midi,
        height=min(max((midi - low) / (high - low), 0.0), 1.0),
        stroke=_curve(performance.stroke, t),
        breath=_curve(performance.breath, t),
        sway=math.sin(2 * math.pi * float(performance.phase[k])),
        rest=_curve(rest_curve, t),
        lowering=_curve(lowering_curve, t),
    )


def _body(performance: Performance, look: Look, motion: Motion) -> Body:
    name = performance.instrument
    seated = name in ALWAYS_SEATED or (name != "double_bass" and look.seat < 0.4)
    lean = motion.sway * (1.2 + 4.0 * motion.loudness)
    bob = -1.5 * motion.loudness + 0.8 * abs(motion.sway)
    x0 = -15.0 if name == "double_bass" else 0.0
    neck = np.array([x0 + lean, bob])
    nod = 2.0 * motion.loudness * motion.sway
    turn, tilt, side = {
        "violin": (0.75, 7.0, 2.0),
        "viola": (0.75, 8.0, 2.0),
        "cello": (0.2, -4.0, -2.5),
        "double_bass": (0.35, -3.0, -1.5),
        "flute": (-0.55, -5.0, -1.0),
        "trumpet": (-0.6, 0.0, -1.0),
        "trombone": (-0.75, 0.0, -1.0),
        "tuba": (-0.2, -3.0, -3.0),
        "horn": (-0.1, 0.0, 0.0),
        "bassoon": (-0.15, -3.0, -2.0),
    }.get(name, (-0.1, 0.0, 0.0))
    drop = 2.5 * motion.rest
    head = neck + (side + 0.35 * lean, -17.0 + nod * 0.6 + drop)
    shoulder = 18.5 * look.width
    return Body(
        neck=neck,
        head=head,
        head_degrees=tilt + 2.5 * motion.sway,
        turn=turn,
        shoulder_right=neck + (-shoulder, 6.0 - 0.25 * lean),
        shoulder_left=neck + (shoulder, 6.0 + 0.25 * lean),
        hip=np.array([x0 + 0.15 * lean, 54.0]),
        seated=seated,
        knees=25.0 if name == "cello" else 17.0,
        cheeks=motion.breath * motion.loudness,
        eyes=1.0 - 0.75 * motion.loudness * (motion.sway > 0.55),
    )


def _bowed(performance: Performance, body: Body, motion: Motion) -> Hold:
    name = performance.instrument
    model = made.VIOLS[name]
    string = min(3.0, motion.height * 4.2)  # 0: the lowest string
    if name in ("violin", "viola"):
        droop = 16.0 * motion.rest - 7.0 * motion.loudness
        degrees = (4.0 if name == "violin" else 10.0) + droop + 2.0 * motion.sway
        matrix = affine(body.neck + (4.5, -2.0), degrees, squash=0.82)
        bow_degrees = -55.0 + 7.0 * string + 0.5 * degrees
        reach = 57.0
        lift = np.array([-4.0, -9.0])
    else:
        big = name == "double_bass"
        pin = (11.0, 139.0) if big else (0.0, 108.0)
        degrees = (-86.0 if big else -84.0) + 1.2 * motion.sway
        floor = affine(pin, degrees)
        matrix = affine(transform(floor, (model.pin, 0.0)), degrees)
        bow_degrees = (16.0 - 7.0 * string) if big else (12.0 - 8.0 * string)
        reach = 64.0 if big else 62.0
        lift = np.array([-9.0, -6.0])
    neck_end = 1.02 * model.body
    along = motion.height**0.85
    finger = model.nut - 1.0 - along * (model.nut - 1.0 - neck_end)
    place = transform(matrix, (finger, 0.0))
    contact = transform(matrix, (model.bowing, 0.0)) + lift * motion.rest
    share = 0.5 + 0.40 * motion.stroke
    direction = np.array(
        [math.cos(math.radians(bow_degrees)), math.sin(math.radians(bow_degrees))]
    )
    frog = contact - direction * share * reach
    tip = frog + direction * reach
    if name in ("violin", "viola"):
        left = place + (0.5, 4.0)
        left_degrees = -100.0
    else:
        left = place + (4.0, 0.5)
        left_degrees = 186.0
    return Hold(
        matrix=matrix,
        centre=transform(matrix, (0.75 * model.body, 0.0)),
        right=frog + (-1.5, 0.5),
        left=left,
        right_degrees=bow_degrees + 25.0,
        left_degrees=left_degrees,
        along=along,
        bow=(frog, tip),
    )


def _mouth(body: Body, look: Look) -> np.ndarray:
    return transform(
        affine(body.head, body.head_degrees, look.head),
        (4.2 * body.turn, 7.6),
    )


def _wind(performance: Performance, look: Look, body: Body, motion: Motion) -> Hold:
    """Hands and angle of a wind instrument; higher and louder lifts it."""
    grip = GRIPS[performance.instrument]
    rise = 9.0 * motion.loudness + 7.0 * (motion.height - 0.5) - 15.0 * motion.rest
    degrees = grip.degrees + grip.lift * rise + 3.0 * motion.sway
    start = body.neck if performance.instrument == "bassoon" else _mouth(body, look)
    matrix = affine(start + grip.start, degrees, grip.scale, grip.squash)
    if performance.instrument == "sax":
        matrix[:, 0] *= -1.0  # it hangs at the player's right
    along, out = 1.0 - motion.height, 0.0
    if performance.instrument == "trombone":
        along = motion.lowering / 6.0
        out = made.SLIDE_TRAVEL * along
    hands = [
        np.array(high) + along * np.subtract(low, high)
        for high, low in (grip.right, grip.left)
    ]
    return Hold(
        matrix=matrix,
        centre=transform(matrix, grip.centre),
        right=transform(matrix, hands[0]),
        left=transform(matrix, hands[1]),
        right_degrees=grip.fingers[0],
        left_degrees=grip.fingers[1],
        along=along,
        slide=out,
    )


def _scene(performance: Performance, t: Real) -> Scene:
    look = get_look(performance.player)
    motion = _motion(performance, t)
    body = _body(performance, look, motion)
    if performance.instrument in made.VIOLS:
        hold = _bowed(performance, body, motion)
    else:
        hold = _wind(performance, look, body, motion)
    frame = VIEWS[performance.instrument]
    return Scene(look, motion, body, hold, aim_camera(look, frame, zoom=look.zoom))


@lru_cache(maxsize=256)
def get_look(player: int) -> Look:
    return Look.from_player(player)


def _play(canvas: Canvas, performance: Performance, scene: Scene) -> None:
    """Chair, person and instrument, from back to front."""
    look, body, hold, motion = scene.look, scene.body, scene.hold, scene.motion
    name = performance.instrument
    if body.seated:
        draw_chair(canvas, look, body)
    draw_hair_behind(canvas, look, body)
    draw_legs(canvas, look, body)
    draw_torso(canvas, look, body)
    if name == "trombone":
        with canvas.at(hold.matrix):
            made.draw_trombone_back(canvas, look.brass)
    draw_head(canvas, look, body)
    fingers = _fingers(motion)
    if hold.bow is not None:
        model = made.VIOLS[name]
        draw_arm(canvas, look, body.shoulder_left, hold.left, 1.0)
        with canvas.at(hold.matrix):
            made.draw_viol(canvas, model, look.wood, motion.loudness)
        draw_hand(canvas, look, hold.left, hold.left_degrees, fingers)
        thick = {"violin": 0.75, "viola": 0.8, "cello": 1.0}.get(name, 1.15)
        made.draw_bow(canvas, *hold.bow, thick)
        draw_arm(canvas, look, body.shoulder_right, hold.right, -1.0)
        draw_hand(canvas, look, hold.right, hold.right_degrees, length=5.0)
        return
    # The arms go behind a wind instrument, which stays in full view; the hands on it.
    draw_arm(canvas, look, body.shoulder_left, hold.left, 1.0)
    if name == "horn":
        with canvas.at(hold.matrix):
            made.draw_horn_back(canvas, look.brass)
    draw_arm(canvas, look, body.shoulder_right, hold.right, -1.0)
    if name == "horn":
        draw_hand(canvas, look, hold.right, hold.right_degrees)
    with canvas.at(hold.matrix):
        _wind_instrument(canvas, name, look, hold, motion)
    if name == "bassoon":
        joint = transform(hold.matrix, (made.WING, 3.6))
        made.draw_bocal(canvas, joint, _mouth(body, look))
    if name != "horn":
        draw_hand(canvas, look, hold.right, hold.right_degrees, fingers)
    draw_hand(canvas, look, hold.left, hold.left_degrees, fingers)


def _fingers(motion: Motion) -> Fingers:
    """Which fingers are lifted: a pattern that changes with each semitone."""
    if motion.rest > 0.5:
        return (0.3, 0.3, 0.3, 0.3)
    step = round(motion.midi)
    first, second, third, fourth = ((step * k) % 3 == 0 for k in (1, 2, 5, 7))
    return float(first), float(second), float(third), float(fourth)


def _wind_instrument(
    canvas: Canvas, name: str, look: Look, hold: Hold, motion: Motion
) -> None:
    pressed = round(10 * (1 - motion.height))
    down = made.choose_valves(motion.lowering)
    if motion.rest > 0.5:
        pressed, down = 0, (False, False, False)
    if name == "clarinet":
        made.draw_clarinet(canvas, pressed)
    elif name == "oboe":
        made.draw_oboe(canvas, pressed)
    elif name == "flute":
        made.draw_flute(canvas, pressed)
    elif name == "bassoon":
        made.draw_bassoon(canvas, look.wood, pressed)
    elif name == "sax":
        made.draw_sax(canvas, look.brass, pressed)
    elif name == "trumpet":
        made.draw_trumpet(canvas, look.brass, down)
    elif name == "trombone":
        made.draw_trombone(canvas, look.brass, hold.slide)
    elif name == "horn":
        made.draw_horn_front(canvas, look.brass, down)
    else:
        made.draw_tuba(canvas, look.brass, down)


def draw(
    performance: Performance, t: Real, size: int = 64
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """One frame at ``t`` seconds, uint8 (size, size, 3)."""
    paint = _painter(performance, t)
    return render(paint, performance.player, performance.seed, t, size)


def _painter(performance: Performance, t: Real) -> Callable[[Canvas], None]:
    scene = _scene(performance, t)

    def paint(canvas: Canvas) -> None:
        with canvas.at(scene.camera):
            _play(canvas, performance, scene)

    return paint


def render(
    paint: Callable[[Canvas], None],
    player: int,
    seed: int,
    t: Real,
    size: int,
    behind: np.ndarray | None = None,
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """What ``paint`` draws, whose units are the picture's, in the player's room.

    ``behind``, float32 (size, size, 3), 0..255, stands in for the room.
    """
    if behind is None:
        behind = _room(get_look(player).room, size, size)
    return _develop(_over(paint, behind), player, seed, t)


def find_camera(performance: Performance) -> np.ndarray:
    """Where the stage (cm) lies in the picture of one player, (2, 3)."""
    return _scene(performance, 0.0).camera


def draw_player(
    canvas: Canvas, performance: Performance, t: Real, place: np.ndarray
) -> None:
    """Draw one player of several.

    ``place`` maps the stage (cm, the player's neck at about (0, 0)) to the canvas.
    """
    with canvas.at(place):
        _play(canvas, performance, _scene(performance, t))


def locate_joints(
    performance: Performance, t: Real, place: np.ndarray
) -> dict[str, np.ndarray]:
    """Where head and hands are drawn, through ``place``: name -> (x, y)."""
    scene = _scene(performance, t)
    found = {
        "head": scene.body.head,
        "right_hand": scene.hold.right,
        "left_hand": scene.hold.left,
    }
    return {name: transform(place, point) for name, point in found.items()}


@lru_cache(maxsize=64)
def _room(room: int, width: int, height: int) -> np.ndarray:
    return draw_room(room, width, height).astype(np.float32)


def _over(paint: Callable[[Canvas], None], behind: np.ndarray) -> np.ndarray:
    """What is painted over a square background, float32 (size, size, 3)."""
    size = behind.shape[0]
    canvas = Canvas(size, size, affine(scale=float(size)))
    paint(canvas)
    layer = canvas.to_array().astype(np.float32)
    cover = layer[:, :, 3:] / 255.0
    return behind * (1 - cover) + layer[:, :, :3] * cover


def _develop(picture: np.ndarray, player: int, seed: int, t: Real) -> np.ndarray:
    """Light, colour temperature, vignette and grain of the player's camera."""
    look = get_look(player)
    height, width = picture.shape[:2]
    picture = picture * _light(look, width, height)
    frame = round(t * 1000)
    rng = np.random.default_rng([seed, player, frame & 0x7FFFFFFF])
    grain = rng.standard_normal((height, width, 1), dtype=np.float32)
    # a small picture is a large one scaled down: its grain averages out
    strength = 2.0 * min(1.0, height / 256)
    return np.clip(picture + strength * grain + 0.5, 0, 255).astype(np.uint8)


@lru_cache(maxsize=64)
def _light(look: Look, width: int, height: int) -> np.ndarray:
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    gain = 1.0 + 0.10 * look.light * x - 0.05 * y - 0.09 * (x**2 + y**2)
    warm = np.array([1 + 0.05 * look.warmth, 1.0, 1 - 0.06 * look.warmth], np.float32)
    return (gain * warm * look.exposure).astype(np.float32)


def draw_frames(
    performance: Performance, times: Sequence[Real] | np.ndarray, size: int = 64
) -> UInt8[np.ndarray, "time {size} {size} 3"]:
    """Frames at the given seconds, uint8 (T, size, size, 3)."""
    frames = np.empty((len(times), size, size, 3), np.uint8)
    for i, t in enumerate(times):
        frames[i] = draw(performance, float(t), size)
    return frames


def draw_row(
    performances: Sequence[Performance], t: Real, height: int
) -> UInt8[np.ndarray, "{height} width 3"]:
    """All players side by side in the first one's room, as in URMP's videos.

    Returns uint8 (height, height * players, 3); player i fills the i-th square, in
    which `measure_pose` holds.
    """
    width = height * len(performances)
    picture = _room(get_look(performances[0].player).room, width, height).copy()
    for i, performance in enumerate(performances):
        cell = slice(i * height, (i + 1) * height)
        picture[:, cell] = _over(_painter(performance, t), picture[:, cell])
    first = performances[0]
    return _develop(picture, first.player, first.seed, t)


def measure_pose(
    performance: Performance, times: Sequence[Real] | np.ndarray
) -> Float32[np.ndarray, "time names"]:
    """Where things are drawn, float32 (T, len(POSE_NAMES)).

    Places are shares of the picture (0..1 from the left and the top); the angle of the
    instrument's axis is in half turns (-1..1, clockwise from the viewer's right);
    ``along`` is the hand's (or slide's) place on the instrument, 0..1; ``bow`` is the
    bow's contact point, -1 (frog) to 1 (tip). Bow columns are NaN for winds.
    """
    rows = np.full((len(times), len(POSE_NAMES)), np.nan, np.float32)
    for i, t in enumerate(times):
        scene = _scene(performance, float(t))
        hold = scene.hold
        axis = chain(scene.camera, hold.matrix)[:, 0]
        places = [scene.body.head, hold.right, hold.left, hold.centre]
        rows[i, :8] = transform(scene.camera, np.array(places)).ravel()
        rows[i, 8] = math.atan2(axis[1], axis[0]) / math.pi
        if hold.bow is not None:
            rows[i, 9:13] = transform(scene.camera, np.array(hold.bow)).ravel()
            rows[i, 13] = scene.motion.stroke
        rows[i, 14] = hold.along
    return rows
