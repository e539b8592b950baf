"""Draw a musician who plays what is heard.

A picture is a function of a `Performance` and a time. `scene.build_scene` turns the
sound's curves into joints, hands, bow and slide. Both `draw` and `measure_pose` read
that scene, so the truth is what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8

from data_scripts.bandstand import instruments as made
from data_scripts.bandstand.canvas import Canvas, Real, affine, chain, transform
from data_scripts.bandstand.people import (
    Fingers,
    Look,
    draw_arm,
    draw_chair,
    draw_hair_behind,
    draw_hand,
    draw_head,
    draw_legs,
    draw_torso,
    locate_mouth,
)
from data_scripts.bandstand.rooms import draw_room
from data_scripts.bandstand.scene import (
    Hold,
    Motion,
    Scene,
    View,
    build_scene,
    frame_portrait,
    get_look,
)
from data_scripts.bandstand.world import Performance

# The order of the columns that `measure_pose` fills by number.
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

# What is left out of a picture: bow and instrument, or the player and all they hold.
Missing = Literal["", "instrument", "player"]


def _draw_scene(
    canvas: Canvas, performance: Performance, scene: Scene, bare: bool = False
) -> None:
    """Chair, person and instrument, from back to front; bare: no instrument."""
    look, body, name = scene.look, scene.body, performance.instrument
    if body.seated:
        draw_chair(canvas, look, body)
    draw_hair_behind(canvas, look, body)
    draw_legs(canvas, look, body)
    draw_torso(canvas, look, body)
    if name == "trombone" and not bare:
        with canvas.at(scene.hold.matrix):
            made.draw_trombone_back(canvas, look.brass)
    draw_head(canvas, look, body)
    if scene.hold.bow is not None:
        _draw_bowed(canvas, name, scene, scene.hold.bow, bare)
    else:
        _draw_wind(canvas, name, scene, bare)


def _draw_bowed(
    canvas: Canvas,
    name: str,
    scene: Scene,
    bow: tuple[np.ndarray, np.ndarray],
    bare: bool,
) -> None:
    """A bowed instrument before the left arm and behind its hand and the bow."""
    look, body, hold, motion = scene.look, scene.body, scene.hold, scene.motion
    draw_arm(canvas, look, body.shoulder_left, hold.left, 1.0)
    if not bare:
        with canvas.at(hold.matrix):
            if name == "erhu":
                made.draw_erhu(canvas, look.wood, motion.loudness)
            else:
                made.draw_viol(canvas, made.VIOLS[name], look.wood, motion.loudness)
    draw_hand(canvas, look, hold.left, hold.left_degrees, _lift_fingers(motion))
    if not bare:
        # A thin bow would vanish in the wide views of the large instruments.
        thick = {"violin": 0.75, "viola": 0.8, "cello": 1.0}.get(name, 1.15)
        made.draw_bow(canvas, *bow, thick)
    draw_arm(canvas, look, body.shoulder_right, hold.right, -1.0)
    draw_hand(canvas, look, hold.right, hold.right_degrees, length=5.0)


def _draw_wind(canvas: Canvas, name: str, scene: Scene, bare: bool) -> None:
    """A wind instrument before the arms, so that it is in full view; hands on it."""
    look, body, hold, motion = scene.look, scene.body, scene.hold, scene.motion
    fingers = _lift_fingers(motion)
    draw_arm(canvas, look, body.shoulder_left, hold.left, 1.0)
    if name == "horn" and not bare:  # the right hand reaches into its bell
        with canvas.at(hold.matrix):
            made.draw_horn_back(canvas, look.brass)
    draw_arm(canvas, look, body.shoulder_right, hold.right, -1.0)
    if name == "horn":
        draw_hand(canvas, look, hold.right, hold.right_degrees)
    if not bare:
        with canvas.at(hold.matrix):
            _draw_wind_instrument(canvas, name, look, hold, motion)
    if name == "bassoon" and not bare:
        # The pipe ends at the mouth, which the instrument's own coordinates do not
        # know. So it is drawn on the stage.
        joint = transform(hold.matrix, (made.WING, 3.6))
        made.draw_bocal(canvas, joint, locate_mouth(look, body))
    if name != "horn":
        draw_hand(canvas, look, hold.right, hold.right_degrees, fingers)
    draw_hand(canvas, look, hold.left, hold.left_degrees, fingers)


def _lift_fingers(motion: Motion) -> Fingers:
    """Which fingers are lifted: all at each third semitone, none at the others.

    Real fingerings would differ too little to be seen at 64 pixels.
    """
    if motion.rest > 0.5:
        return (0.3, 0.3, 0.3, 0.3)
    step = round(motion.midi)
    # None of 1, 2, 5 and 7 is a multiple of 3, so all four are lifted at the same
    # steps.
    first, second, third, fourth = ((step * k) % 3 == 0 for k in (1, 2, 5, 7))
    return float(first), float(second), float(third), float(fourth)


def _draw_wind_instrument(
    canvas: Canvas, name: str, look: Look, hold: Hold, motion: Motion
) -> None:
    # Low notes close more holes of a woodwind, so more keys are down.
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
    performance: Performance,
    t: Real,
    size: int = 64,
    view: View | None = None,
    without: Missing = "",
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """Draw one frame.

    Args:
        performance: who plays what.
        t: the time, s.
        size: pixels a side.
        view: of the camera; None: a portrait.
        without: "instrument" (and bow: the hands stay where they are) or "player" (the
            room alone) is left out; all else is the same to the pixel.

    Returns:
        uint8 (size, size, 3)
    """
    view = view or frame_portrait(performance)
    behind = get_room(view.room, size, size)
    paint = _make_painter(performance, t, view, without)
    return render(paint, performance.player, performance.seed, t, size, behind)


def _make_painter(
    performance: Performance, t: Real, view: View, without: Missing = ""
) -> Callable[[Canvas], None]:
    scene = build_scene(performance, t, view)

    def paint(canvas: Canvas) -> None:
        if without != "player":
            with canvas.at(scene.camera):
                _draw_scene(canvas, performance, scene, without == "instrument")

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
        # Rooms are drawn once and kept; a frame is composed over a copy of it.
        behind = get_room(get_look(player).room, size, size)
    return _expose(composite(paint, behind), player, seed, t)


def find_camera(performance: Performance) -> np.ndarray:
    """The camera of one player: the matrix (2, 3) from the stage (cm) to 0..1."""
    return build_scene(performance, 0.0).camera


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
        _draw_scene(canvas, performance, build_scene(performance, t))


def locate_joints(
    performance: Performance, t: Real, place: np.ndarray
) -> dict[str, np.ndarray]:
    """Locate what `draw_player` draws: head, right_hand and left_hand -> (x, y)."""
    scene = build_scene(performance, t)
    found = {
        "head": scene.body.head,
        "right_hand": scene.hold.right,
        "left_hand": scene.hold.left,
    }
    return {name: transform(place, point) for name, point in found.items()}


@lru_cache(maxsize=64)
def get_room(room: int, width: int, height: int) -> np.ndarray:
    """A room, drawn once: float32 (height, width, 3), 0..255."""
    # float32, because light and blending follow. Nobody may write into a cached array.
    return draw_room(room, width, height).astype(np.float32)


def composite(paint: Callable[[Canvas], None], behind: np.ndarray) -> np.ndarray:
    """Composite what is painted over a square background, float32 (size, size, 3)."""
    size = behind.shape[0]
    canvas = Canvas(size, size, affine(scale=float(size)))
    paint(canvas)
    # Agg's colours are not multiplied by alpha, so they are weighted here: "over",
    # (size, size, 3) with a cover of (size, size, 1).
    layer = canvas.to_array().astype(np.float32)
    cover = layer[:, :, 3:] / 255.0
    return np.asarray(behind * (1 - cover) + layer[:, :, :3] * cover)


def _expose(picture: np.ndarray, player: int, seed: int, t: Real) -> np.ndarray:
    """Add light, colour temperature, vignette and grain of the player's camera."""
    look = get_look(player)
    height, width = picture.shape[:2]
    picture = picture * _light_gain(look, width, height)
    frame = round(t * 1000)
    # The grain is a function of take, player and time, so a frame is the same in
    # whatever order and process it is drawn. NumPy takes no negative seeds: the masks
    # make such numbers positive, and leave the others as they are.
    rng = np.random.default_rng(
        [seed & 0xFFFFFFFF, player & 0xFFFFFFFF, frame & 0x7FFFFFFF]
    )
    grain = rng.standard_normal((height, width, 1), dtype=np.float32)
    # a small picture is a large one scaled down: its grain averages out
    strength = 2.0 * min(1.0, height / 256)
    # + 0.5, because the conversion to uint8 cuts the fraction off; without the clip it
    # would wrap round.
    exposed = np.clip(picture + strength * grain + 0.5, 0, 255)
    return np.asarray(exposed, np.uint8)


@lru_cache(maxsize=64)
def _light_gain(look: Look, width: int, height: int) -> np.ndarray:
    """The brightness of each pixel and colour, float32 (height, width, 3)."""
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    # A side light, a little more of it from above, and a vignette: darker corners.
    gain = 1.0 + 0.10 * look.light * x - 0.05 * y - 0.09 * (x**2 + y**2)
    warm = np.array([1 + 0.05 * look.warmth, 1.0, 1 - 0.06 * look.warmth], np.float32)
    return np.asarray(gain * warm * look.exposure, np.float32)


def draw_frames(
    performance: Performance, times: Sequence[Real] | np.ndarray, size: int = 64
) -> UInt8[np.ndarray, "time {size} {size} 3"]:
    """Draw the frames at the given seconds: uint8 (T, size, size, 3)."""
    # Filled in place: a list and a stack of it would hold all frames twice.
    frames = np.empty((len(times), size, size, 3), np.uint8)
    for i, t in enumerate(times):
        frames[i] = draw(performance, float(t), size)
    return frames


def draw_row(
    performances: Sequence[Performance],
    t: Real,
    height: int,
    views: Sequence[View] | None = None,
) -> UInt8[np.ndarray, "{height} width 3"]:
    """Draw all players side by side in the first one's room, as in URMP's videos.

    Args:
        performances: one a player, from left to right.
        t: the time, s.
        height: pixels; each player fills a square.
        views: of the camera, one a square; None: portraits.

    Returns:
        uint8 (height, height * players, 3); `measure_pose` holds in each square.
    """
    width = height * len(performances)
    views = views or [frame_portrait(performance) for performance in performances]
    # A copy: the players are composed into it, and the room itself is cached.
    picture = get_room(views[0].room, width, height).copy()
    for i, (performance, view) in enumerate(zip(performances, views, strict=True)):
        cell = slice(i * height, (i + 1) * height)
        paint = _make_painter(performance, t, view)
        picture[:, cell] = composite(paint, picture[:, cell])
    first = performances[0]
    return _expose(picture, first.player, first.seed, t)


def measure_pose(
    performance: Performance,
    times: Sequence[Real] | np.ndarray,
    view: View | None = None,
) -> Float32[np.ndarray, "time names"]:
    """Measure where things are drawn.

    Args:
        performance: who plays what.
        times: (T,), s.
        view: of the camera; None: a portrait.

    Returns:
        float32 (T, len(POSE_NAMES)). Places are shares of the picture, 0..1 from the
        left and the top. The angle of the instrument's axis is in half turns, -1..1,
        clockwise from the viewer's right. ``along`` is the place of the hand (or slide)
        on the instrument, 0..1; ``bow`` is the bow's contact point, -1 (frog) to 1
        (tip). The bow's columns are NaN for winds.
    """
    view = view or frame_portrait(performance)
    # NaN is "there is none": 0 would be a place in the picture's corner.
    rows = np.full((len(times), len(POSE_NAMES)), np.nan, np.float32)
    for i, t in enumerate(times):
        scene = build_scene(performance, float(t), view)
        hold = scene.hold
        # The first column is where the instrument's x axis points in the picture.
        axis = chain(scene.camera, hold.matrix)[:, 0]
        places = [scene.body.head, hold.right, hold.left, hold.centre]
        # (4, 2) -> 8 columns x, y, x, y, ... in the order of POSE_NAMES
        rows[i, :8] = transform(scene.camera, np.array(places)).ravel()
        rows[i, 8] = math.atan2(axis[1], axis[0]) / math.pi
        if hold.bow is not None:
            rows[i, 9:13] = transform(scene.camera, np.array(hold.bow)).ravel()
            rows[i, 13] = scene.motion.stroke
        rows[i, 14] = hold.along
    return rows
