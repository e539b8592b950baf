"""Draw a musician who plays what is heard.

A picture is a function of a `Performance` and a time. `_build_scene` turns the sound's
curves into joints, hands, bow and slide. Both `draw` and `measure_pose` read that
scene, so the truth is what is drawn.
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
from data_scripts.bandstand.canvas import Canvas, Point, Real, affine, chain, transform
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
    draw_torso,
    locate_mouth,
    place_shoulders,
)
from data_scripts.bandstand.rooms import draw_room
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
# How the head is held: turn, tilt in degrees, and how far it is beside the neck, cm.
HEADS = {
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
}
ALWAYS_SEATED = ("bassoon", "cello", "horn", "tuba")


@dataclass(frozen=True)
class Grip:
    """How a wind instrument is held, in its own coordinates.

    Args:
        degrees: of its x axis on the stage.
        lift: how many degrees it turns for each degree that the player lifts it.
        centre: the point that the truth calls the instrument's place.
        right: the right hand's places for the highest and for the lowest note (the
            trombone: slide in and slide out).
        left: the left hand's.
        fingers: where right and left fingers point, degrees.
        start: of its origin from the mouth (bassoon: the neck), cm.
        scale: of its coordinates.
        squash: of its y axis; -1 = it points up.
    """

    degrees: Real
    lift: Real
    centre: Point
    right: tuple[Point, Point]
    left: tuple[Point, Point]
    fingers: tuple[Real, Real]
    start: Point = (0.0, 0.0)
    scale: Real = 1.0
    squash: Real = 1.0


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
    """The sound's curves at one moment.

    Args:
        loudness: 0..1.
        midi: the last pitch that was heard.
        height: that pitch within the instrument's compass, 0..1.
        stroke: the bow's contact point, -1..1.
        breath: 0..1.
        sway: of the body, -1..1.
        rest: 0 while it sounds, 1 at rest.
        lowering: of a brass instrument, by valves or slide, 0..6 semitones.
    """

    loudness: float
    midi: float
    height: float
    stroke: float
    breath: float
    sway: float
    rest: float
    lowering: float


@dataclass(frozen=True)
class Hold:
    """How the instrument is held at one moment; lengths are cm.

    Args:
        matrix: (2, 3), from the instrument's coordinates to the stage's.
        centre: of the instrument.
        right: the right hand.
        left: the left hand.
        right_degrees: where its fingers point.
        left_degrees: where its fingers point.
        along: the place of the hand (or slide) on the instrument, 0..1.
        bow: its frog and its tip; None for winds.
        slide: how far the trombone's is out.
    """

    matrix: np.ndarray
    centre: np.ndarray
    right: np.ndarray
    left: np.ndarray
    right_degrees: Real
    left_degrees: Real
    along: float
    bow: tuple[np.ndarray, np.ndarray] | None = None
    slide: float = 0.0


@dataclass(frozen=True)
class Scene:
    """All that is drawn of one player at one moment.

    Args:
        look: of the player.
        motion: of the sound.
        body: where the joints are.
        hold: where the instrument is.
        camera: (2, 3), from the stage to the picture's 0..1.
    """

    look: Look
    motion: Motion
    body: Body
    hold: Hold
    camera: np.ndarray


def _interpolate(values: np.ndarray, t: Real) -> float:
    """The value at `t` s of a curve of CONTROL_RATE; its ends go on."""
    k = min(max(t * CONTROL_RATE, 0.0), len(values) - 1.0)
    i = int(k)
    j = min(i + 1, len(values) - 1)
    return float(values[i] + (values[j] - values[i]) * (k - i))


@lru_cache(maxsize=64)
def _trace_hands(performance: Performance) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the hands follow: pitch (MIDI, held through rests), rests, and lowering."""
    hz = performance.pitch_hz
    sounding = hz > 0
    if not sounding.any():
        middle = np.full(len(hz), sum(_get_compass(performance.instrument)) / 2)
        return middle, np.ones(len(hz)), np.zeros(len(hz))
    index = np.maximum.accumulate(np.where(sounding, np.arange(len(hz)), -1))
    index[index < 0] = int(np.argmax(sounding))
    midi = 69 + 12 * np.log2(hz[index] / 440.0)
    lowering = np.zeros(len(hz))
    if performance.instrument in made.FUNDAMENTALS:
        fundamental = made.FUNDAMENTALS[performance.instrument]
        lowering = _delay(made.compute_lowering(midi, fundamental), 9)
    kernel = np.hanning(41)  # a gap of a few hundredths is no rest: the arm stays up
    quiet = np.convolve(~sounding, kernel / kernel.sum(), mode="same")
    return _delay(midi, 5), np.clip(1.6 * quiet - 0.5, 0.0, 1.0), lowering


def _delay(values: np.ndarray, steps: int) -> np.ndarray:
    """Running mean of the past: a hand takes `steps` / CONTROL_RATE s to arrive."""
    padded = np.concatenate([np.full(steps - 1, values[0]), values])
    return np.convolve(padded, np.ones(steps) / steps, mode="valid")


def _get_compass(instrument: str) -> tuple[float, float]:
    return float(ORCHESTRA[instrument].low), float(ORCHESTRA[instrument].high)


def _read_motion(performance: Performance, t: Real) -> Motion:
    """The sound's curves at `t` s."""
    midi_curve, rest_curve, lowering_curve = _trace_hands(performance)
    midi = _interpolate(midi_curve, t)
    low, high = _get_compass(performance.instrument)
    # the phase wraps from 1 to 0: between two values it must not be interpolated
    k = min(max(round(t * CONTROL_RATE), 0), len(performance.phase) - 1)
    return Motion(
        loudness=_interpolate(performance.loudness, t),
        midi=midi,
        height=min(max((midi - low) / (high - low), 0.0), 1.0),
        stroke=_interpolate(performance.stroke, t),
        breath=_interpolate(performance.breath, t),
        sway=math.sin(2 * math.pi * float(performance.phase[k])),
        rest=_interpolate(rest_curve, t),
        lowering=_interpolate(lowering_curve, t),
    )


def _pose_body(performance: Performance, look: Look, motion: Motion) -> Body:
    """Joints and face: the body sways, nods and bobs with the sound."""
    name = performance.instrument
    seated = name in ALWAYS_SEATED or (name != "double_bass" and look.seat < 0.4)
    lean = motion.sway * (1.2 + 4.0 * motion.loudness)
    bob = -1.5 * motion.loudness + 0.8 * abs(motion.sway)
    x0 = -15.0 if name == "double_bass" else 0.0
    neck = np.array([x0 + lean, bob])
    nod = 2.0 * motion.loudness * motion.sway
    turn, tilt, side = HEADS.get(name, (-0.1, 0.0, 0.0))
    drop = 2.5 * motion.rest
    head = neck + (side + 0.35 * lean, -17.0 + nod * 0.6 + drop)
    right, left = place_shoulders(neck, lean, look)
    return Body(
        neck=neck,
        head=head,
        head_degrees=tilt + 2.5 * motion.sway,
        turn=turn,
        shoulder_right=right,
        shoulder_left=left,
        hip=np.array([x0 + 0.15 * lean, 54.0]),
        seated=seated,
        knees=25.0 if name == "cello" else 17.0,
        cheeks=motion.breath * motion.loudness,
        eyes=1.0 - 0.75 * motion.loudness * (motion.sway > 0.55),
    )


def _hold_bowed(performance: Performance, body: Body, motion: Motion) -> Hold:
    """Hands, bow and angle of a bowed instrument.

    The left hand goes up the fingerboard with the pitch; the bow lies on a string that
    goes with the pitch too, at the contact point of the stroke.
    """
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


def _hold_wind(
    performance: Performance, look: Look, body: Body, motion: Motion
) -> Hold:
    """Hands and angle of a wind instrument; higher and louder lifts it."""
    grip = GRIPS[performance.instrument]
    rise = 9.0 * motion.loudness + 7.0 * (motion.height - 0.5) - 15.0 * motion.rest
    degrees = grip.degrees + grip.lift * rise + 3.0 * motion.sway
    bassoon = performance.instrument == "bassoon"
    start = body.neck if bassoon else locate_mouth(look, body)
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


def _build_scene(performance: Performance, t: Real) -> Scene:
    """Where everything is at `t` s: the one source of the picture and of the pose."""
    look = get_look(performance.player)
    motion = _read_motion(performance, t)
    body = _pose_body(performance, look, motion)
    if performance.instrument in made.VIOLS:
        hold = _hold_bowed(performance, body, motion)
    else:
        hold = _hold_wind(performance, look, body, motion)
    frame = VIEWS[performance.instrument]
    return Scene(look, motion, body, hold, aim_camera(look, frame, zoom=look.zoom))


@lru_cache(maxsize=256)
def get_look(player: int) -> Look:
    """The look of a person, drawn at random once."""
    return Look.from_player(player)


def _draw_scene(canvas: Canvas, performance: Performance, scene: Scene) -> None:
    """Chair, person and instrument, from back to front."""
    look, body, name = scene.look, scene.body, performance.instrument
    if body.seated:
        draw_chair(canvas, look, body)
    draw_hair_behind(canvas, look, body)
    draw_legs(canvas, look, body)
    draw_torso(canvas, look, body)
    if name == "trombone":
        with canvas.at(scene.hold.matrix):
            made.draw_trombone_back(canvas, look.brass)
    draw_head(canvas, look, body)
    if scene.hold.bow is not None:
        _draw_bowed(canvas, name, scene, scene.hold.bow)
    else:
        _draw_wind(canvas, name, scene)


def _draw_bowed(
    canvas: Canvas, name: str, scene: Scene, bow: tuple[np.ndarray, np.ndarray]
) -> None:
    """A bowed instrument before the left arm and behind its hand and the bow."""
    look, body, hold, motion = scene.look, scene.body, scene.hold, scene.motion
    draw_arm(canvas, look, body.shoulder_left, hold.left, 1.0)
    with canvas.at(hold.matrix):
        made.draw_viol(canvas, made.VIOLS[name], look.wood, motion.loudness)
    draw_hand(canvas, look, hold.left, hold.left_degrees, _lift_fingers(motion))
    thick = {"violin": 0.75, "viola": 0.8, "cello": 1.0}.get(name, 1.15)
    made.draw_bow(canvas, *bow, thick)
    draw_arm(canvas, look, body.shoulder_right, hold.right, -1.0)
    draw_hand(canvas, look, hold.right, hold.right_degrees, length=5.0)


def _draw_wind(canvas: Canvas, name: str, scene: Scene) -> None:
    """A wind instrument before the arms, so that it is in full view; hands on it."""
    look, body, hold, motion = scene.look, scene.body, scene.hold, scene.motion
    fingers = _lift_fingers(motion)
    draw_arm(canvas, look, body.shoulder_left, hold.left, 1.0)
    if name == "horn":  # the right hand reaches into its bell
        with canvas.at(hold.matrix):
            made.draw_horn_back(canvas, look.brass)
    draw_arm(canvas, look, body.shoulder_right, hold.right, -1.0)
    if name == "horn":
        draw_hand(canvas, look, hold.right, hold.right_degrees)
    with canvas.at(hold.matrix):
        _draw_wind_instrument(canvas, name, look, hold, motion)
    if name == "bassoon":
        joint = transform(hold.matrix, (made.WING, 3.6))
        made.draw_bocal(canvas, joint, locate_mouth(look, body))
    if name != "horn":
        draw_hand(canvas, look, hold.right, hold.right_degrees, fingers)
    draw_hand(canvas, look, hold.left, hold.left_degrees, fingers)


def _lift_fingers(motion: Motion) -> Fingers:
    """Which fingers are lifted: a pattern that changes with each semitone.

    Real fingerings would differ too little to be seen at 64 pixels.
    """
    if motion.rest > 0.5:
        return (0.3, 0.3, 0.3, 0.3)
    step = round(motion.midi)
    first, second, third, fourth = ((step * k) % 3 == 0 for k in (1, 2, 5, 7))
    return float(first), float(second), float(third), float(fourth)


def _draw_wind_instrument(
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
    """Draw one frame.

    Args:
        performance: who plays what.
        t: the time, s.
        size: pixels a side.

    Returns:
        uint8 (size, size, 3)
    """
    paint = _make_painter(performance, t)
    return render(paint, performance.player, performance.seed, t, size)


def _make_painter(performance: Performance, t: Real) -> Callable[[Canvas], None]:
    scene = _build_scene(performance, t)

    def paint(canvas: Canvas) -> None:
        with canvas.at(scene.camera):
            _draw_scene(canvas, performance, scene)

    return paint


def render(
    paint: Callable[[Canvas], None],
    player: int,
    seed: int,
    t: Real,
    size: int,
    behind: np.ndarray | None = None,
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """Render what a function draws, as the player's camera sees it in their room.

    Args:
        paint: draws on a canvas whose units are the picture's height.
        player: whose room and camera.
        seed: of the grain.
        t: the time, s; each has a grain of its own.
        size: pixels a side.
        behind: float32 (size, size, 3), 0..255, in the place of the room.

    Returns:
        uint8 (size, size, 3)
    """
    if behind is None:
        behind = _get_room(get_look(player).room, size, size)
    return _expose(_composite(paint, behind), player, seed, t)


def find_camera(performance: Performance) -> np.ndarray:
    """The camera of one player: the matrix (2, 3) from the stage (cm) to 0..1."""
    return _build_scene(performance, 0.0).camera


def draw_player(
    canvas: Canvas, performance: Performance, t: Real, place: np.ndarray
) -> None:
    """Draw one player of several.

    Args:
        canvas: is drawn on.
        performance: who plays what.
        t: the time, s.
        place: (2, 3), from the stage (cm, the neck at about (0, 0)) to the canvas.
    """
    with canvas.at(place):
        _draw_scene(canvas, performance, _build_scene(performance, t))


def locate_joints(
    performance: Performance, t: Real, place: np.ndarray
) -> dict[str, np.ndarray]:
    """Locate what `draw_player` draws: head, right_hand and left_hand -> (x, y)."""
    scene = _build_scene(performance, t)
    found = {
        "head": scene.body.head,
        "right_hand": scene.hold.right,
        "left_hand": scene.hold.left,
    }
    return {name: transform(place, point) for name, point in found.items()}


@lru_cache(maxsize=64)
def _get_room(room: int, width: int, height: int) -> np.ndarray:
    return draw_room(room, width, height).astype(np.float32)


def _composite(paint: Callable[[Canvas], None], behind: np.ndarray) -> np.ndarray:
    """Composite what is painted over a square background, float32 (size, size, 3)."""
    size = behind.shape[0]
    canvas = Canvas(size, size, affine(scale=float(size)))
    paint(canvas)
    layer = canvas.to_array().astype(np.float32)
    cover = layer[:, :, 3:] / 255.0
    return np.asarray(behind * (1 - cover) + layer[:, :, :3] * cover)


def _expose(picture: np.ndarray, player: int, seed: int, t: Real) -> np.ndarray:
    """Add light, colour temperature, vignette and grain of the player's camera."""
    look = get_look(player)
    height, width = picture.shape[:2]
    picture = picture * _light_gain(look, width, height)
    frame = round(t * 1000)  # a seed must be whole and not negative
    rng = np.random.default_rng([seed, player, frame & 0x7FFFFFFF])
    grain = rng.standard_normal((height, width, 1), dtype=np.float32)
    # a small picture is a large one scaled down: its grain averages out
    strength = 2.0 * min(1.0, height / 256)
    exposed = np.clip(picture + strength * grain + 0.5, 0, 255)
    return np.asarray(exposed, np.uint8)


@lru_cache(maxsize=64)
def _light_gain(look: Look, width: int, height: int) -> np.ndarray:
    """The brightness of each pixel and colour, float32 (height, width, 3)."""
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    gain = 1.0 + 0.10 * look.light * x - 0.05 * y - 0.09 * (x**2 + y**2)
    warm = np.array([1 + 0.05 * look.warmth, 1.0, 1 - 0.06 * look.warmth], np.float32)
    return np.asarray(gain * warm * look.exposure, np.float32)


def draw_frames(
    performance: Performance, times: Sequence[Real] | np.ndarray, size: int = 64
) -> UInt8[np.ndarray, "time {size} {size} 3"]:
    """Draw the frames at the given seconds: uint8 (T, size, size, 3)."""
    frames = np.empty((len(times), size, size, 3), np.uint8)
    for i, t in enumerate(times):
        frames[i] = draw(performance, float(t), size)
    return frames


def draw_row(
    performances: Sequence[Performance], t: Real, height: int
) -> UInt8[np.ndarray, "{height} width 3"]:
    """Draw all players side by side in the first one's room, as in URMP's videos.

    Args:
        performances: one a player, from left to right.
        t: the time, s.
        height: pixels; each player fills a square.

    Returns:
        uint8 (height, height * players, 3); `measure_pose` holds in each square.
    """
    width = height * len(performances)
    picture = _get_room(get_look(performances[0].player).room, width, height).copy()
    for i, performance in enumerate(performances):
        cell = slice(i * height, (i + 1) * height)
        picture[:, cell] = _composite(_make_painter(performance, t), picture[:, cell])
    first = performances[0]
    return _expose(picture, first.player, first.seed, t)


def measure_pose(
    performance: Performance, times: Sequence[Real] | np.ndarray
) -> Float32[np.ndarray, "time names"]:
    """Measure where things are drawn.

    Args:
        performance: who plays what.
        times: (T,), s.

    Returns:
        float32 (T, len(POSE_NAMES)). Places are shares of the picture, 0..1 from the
        left and the top. The angle of the instrument's axis is in half turns, -1..1,
        clockwise from the viewer's right. ``along`` is the place of the hand (or slide)
        on the instrument, 0..1; ``bow`` is the bow's contact point, -1 (frog) to 1
        (tip). The bow's columns are NaN for winds.
    """
    rows = np.full((len(times), len(POSE_NAMES)), np.nan, np.float32)
    for i, t in enumerate(times):
        scene = _build_scene(performance, float(t))
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
