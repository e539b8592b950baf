"""How a musician holds and moves what is played, at one moment.

The sound's curves become joints, hands, bow and slide, in cm on the stage. Nothing is
drawn here; `picture` draws the scene.
"""

# ruff: noqa: RUF005 (adding a tuple to an array is arithmetic here)
from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from data_scripts.bandstand import instruments as made
from data_scripts.bandstand.canvas import Point, Real, affine, chain, transform
from data_scripts.bandstand.people import (
    Body,
    Look,
    locate_mouth,
    place_shoulders,
)
from data_scripts.bandstand.world import (
    CONTROL_RATE,
    ORCHESTRA,
    Performance,
    make_generator,
)

# What a portrait of each player shows: centre x, centre y and height, cm.
FRAMES = {
    "bassoon": (4.0, 14.0, 160.0),
    "cello": (1.0, 36.0, 161.0),
    "clarinet": (-5.0, 16.0, 115.0),
    "double_bass": (0.0, 51.0, 194.0),
    "erhu": (0.0, 20.0, 140.0),
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
    "erhu": (0.25, -2.0, -1.0),
    "flute": (-0.55, -5.0, -1.0),
    "trumpet": (-0.6, 0.0, -1.0),
    "trombone": (-0.75, 0.0, -1.0),
    "tuba": (-0.2, -3.0, -3.0),
    "horn": (-0.1, 0.0, 0.0),
    "bassoon": (-0.15, -3.0, -2.0),
}
UPRIGHT = (-0.1, 0.0, 0.0)  # of all others
HEAD_HEIGHT = 17.0  # of its middle above the neck's root, cm
# To which side of the head the instrument reaches farther: 1 is the viewer's right.
SIDES = {
    "bassoon": 1, "cello": 1, "clarinet": -1, "double_bass": 1, "erhu": -1, "flute": -1,
    "horn": -1,
    "oboe": -1, "sax": -1, "trombone": -1, "trumpet": -1, "tuba": 1, "viola": 1,
    "violin": 1,
}  # fmt: skip
# These instruments rest on the knees or on the floor before a chair.
ALWAYS_SEATED = ("bassoon", "cello", "erhu", "horn", "tuba")


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
class View:
    """Where a camera stands, and what is behind the player.

    Args:
        point: of the stage, cm.
        place: where that point is in the picture, shares of it.
        height: of what the picture shows, cm.
        tilt: of the camera, degrees.
        mirror: left and right are exchanged, as a telephone's front camera does.
        room: seed of the room.
    """

    point: tuple[float, float]
    place: tuple[float, float]
    height: float
    tilt: float
    mirror: bool
    room: int

    def to_matrix(self) -> np.ndarray:
        """The camera: the matrix (2, 3) from the stage (cm) to the picture's 0..1."""
        x, y = self.point
        sign = -1.0 if self.mirror else 1.0
        stage = np.array([[sign, 0.0, -sign * x], [0.0, 1.0, -y]])
        return chain(affine(self.place, self.tilt, 1 / self.height), stage)


def frame_portrait(performance: Performance) -> View:
    """The view that shows the player's instrument best: one an instrument.

    Where the head is tells the instrument, so no data set is drawn so.
    """
    look = get_look(performance.player)
    x, y, height = FRAMES[performance.instrument]
    return View(
        point=(x, y),
        place=(0.5 + look.shift[0], 0.5 + look.shift[1]),
        height=height / look.zoom,
        tilt=look.tilt,
        mirror=False,
        room=look.room,
    )


def choose_view(performance: Performance) -> View:
    """Choose a view of a musician at random, as `sample_view` does."""
    head = _locate_head(performance.instrument)
    side = SIDES[performance.instrument]
    return sample_view(head, side, performance.player, performance.seed)


def sample_view(head: Point, side: int, player: int, seed: int) -> View:
    """Draw a view at random, from one distribution for all instruments.

    Where the head is, how large it is and what is behind it therefore tell nothing of
    the instrument. Half of the pictures are mirrored: otherwise the empty side of the
    picture would tell, since most instruments are held to one side. A camera on the
    player's other side would show something else, which flat drawings cannot; left-
    handed players are rare; but front cameras mirror, and Reed et al. 2016, whose
    network Chen et al. train, mirror half of their pictures as well.

    Args:
        head: where the head is on the stage while the body does not move, cm.
        side: to which side of the head the instrument reaches farther, -1 or 1.
        player: who plays.
        seed: of what is played.
    """
    # all who play one piece are seen by one camera, or by one that mirrors
    mirror = bool(make_generator("mirror", seed).random() < 0.5)
    rng = make_generator("view", player, seed)
    # the head leaves at least half of the picture to the instrument's longer side
    space = float(rng.uniform(0.5, 0.67))
    to_right = side * (-1 if mirror else 1) > 0
    return View(
        point=head,
        place=(1 - space if to_right else space, float(rng.uniform(0.18, 0.34))),
        height=float(rng.uniform(126, 156)),
        tilt=float(rng.uniform(-3, 3)),
        mirror=mirror,
        room=int(rng.integers(1 << 30)),
    )


def _locate_head(instrument: str) -> Point:
    """Where the head is on the stage while the body does not move, cm."""
    _, _, side = HEADS.get(instrument, UPRIGHT)
    return _place_neck(instrument) + side, -HEAD_HEIGHT


def _place_neck(instrument: str) -> float:
    """How far the neck's root is beside the stage's middle, cm."""
    # who plays the double bass stands beside it
    return -15.0 if instrument == "double_bass" else 0.0


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
    # A frame may lie a little outside of the curve: its last time is one step before
    # the end.
    k = min(max(t * CONTROL_RATE, 0.0), len(values) - 1.0)
    i = int(k)
    j = min(i + 1, len(values) - 1)
    return float(values[i] + (values[j] - values[i]) * (k - i))


@lru_cache(maxsize=64)
def _trace_hands(performance: Performance) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the hands follow: pitch (MIDI, held through rests), rests, and lowering."""
    hz = performance.pitch_hz
    sounding = hz > 0
    # log2(0) is minus infinity, so a performance that never sounds has the middle
    # pitch.
    if not sounding.any():
        middle = np.full(len(hz), sum(_get_compass(performance.instrument)) / 2)
        return middle, np.ones(len(hz)), np.zeros(len(hz))
    # For each step the last one that sounded: the hand stays where it is in a rest.
    # Before the first note it waits there already.
    index = np.maximum.accumulate(np.where(sounding, np.arange(len(hz)), -1))
    index[index < 0] = int(np.argmax(sounding))
    # MIDI numbers grow with the logarithm of the pitch, as places on a fingerboard do.
    midi = 69 + 12 * np.log2(hz[index] / 440.0)
    lowering = np.zeros(len(hz))
    if performance.instrument in made.FUNDAMENTALS:
        fundamental = made.FUNDAMENTALS[performance.instrument]
        # A slide takes 0.09 s. The lowering jumps where the next harmonic begins, even
        # if the pitch moves by a semitone.
        lowering = _delay(made.compute_lowering(midi, fundamental), 9)
    kernel = np.hanning(41)  # a gap of a few hundredths is no rest: the arm stays up
    # The share of silence in 0.4 s about each step. 1.6 q - 0.5 is 0 up to a third of
    # silence, and 1 from 94 % on.
    quiet = np.convolve(~sounding, kernel / kernel.sum(), mode="same")
    return _delay(midi, 5), np.clip(1.6 * quiet - 0.5, 0.0, 1.0), lowering


def _delay(values: np.ndarray, steps: int) -> np.ndarray:
    """Running mean of the past: a hand takes `steps` / CONTROL_RATE s to arrive."""
    # The mean of `steps` values needs that many before the first one too: the curve
    # counts as constant there, so nothing moves at the start.
    padded = np.concatenate([np.full(steps - 1, values[0]), values])
    return np.convolve(padded, np.ones(steps) / steps, mode="valid")


def _get_compass(instrument: str) -> tuple[float, float]:
    return float(ORCHESTRA[instrument].low), float(ORCHESTRA[instrument].high)


def _read_motion(performance: Performance, t: Real) -> Motion:
    """The sound's curves at `t` s."""
    midi_curve, rest_curve, lowering_curve = _trace_hands(performance)
    midi = _interpolate(midi_curve, t)
    low, high = _get_compass(performance.instrument)
    return Motion(
        loudness=_interpolate(performance.loudness, t),
        midi=midi,
        height=min(max((midi - low) / (high - low), 0.0), 1.0),
        stroke=_interpolate(performance.stroke, t),
        breath=_interpolate(performance.breath, t),
        sway=_interpolate(performance.sway, t),
        rest=_interpolate(rest_curve, t),
        lowering=_interpolate(lowering_curve, t),
    )


def _pose_body(performance: Performance, look: Look, motion: Motion) -> Body:
    """Joints and face: the body sways, nods and bobs with the sound."""
    name = performance.instrument
    seated = name in ALWAYS_SEATED or (name != "double_bass" and look.seat < 0.4)
    # louder playing moves the whole body more, as it does real musicians
    lean = motion.sway * (1.2 + 4.0 * motion.loudness)
    bob = -1.5 * motion.loudness + 0.8 * abs(motion.sway)
    x0 = _place_neck(name)
    neck = np.array([x0 + lean, bob])
    nod = 2.0 * motion.loudness * motion.sway
    turn, tilt, side = HEADS.get(name, UPRIGHT)
    drop = 2.5 * motion.rest  # in a rest the head sinks
    head = neck + (side + 0.35 * lean, -HEAD_HEIGHT + nod * 0.6 + drop)
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
        # eyes close in loud moments, at one end of the sway
        eyes=1.0 - 0.75 * motion.loudness * (motion.sway > 0.55),
    )


def _hold_bowed(performance: Performance, body: Body, motion: Motion) -> Hold:
    """Hands, bow and angle of a bowed instrument.

    The left hand goes up the fingerboard with the pitch; the bow lies on a string that
    goes with the pitch too, at the contact point of the stroke.
    """
    name = performance.instrument
    model = made.VIOLS[name]
    # The four strings share the compass; the upper ones come soon, for high notes are
    # played on the highest string, far up.
    string = min(3.0, motion.height * 4.2)  # 0: the lowest string
    if name in ("violin", "viola"):
        # degrees: a violin sinks in a rest and rises with loud playing.
        droop = 16.0 * motion.rest - 7.0 * motion.loudness
        degrees = (4.0 if name == "violin" else 10.0) + droop + 2.0 * motion.sway
        # y is squashed: the instrument is seen a little from its side.
        matrix = affine(body.neck + (4.5, -2.0), degrees, squash=0.82)
        bow_degrees = -55.0 + 7.0 * string + 0.5 * degrees
        reach = 57.0
        lift = np.array([-4.0, -9.0])
    else:
        big = name == "double_bass"
        pin = (11.0, 139.0) if big else (0.0, 108.0)
        degrees = (-86.0 if big else -84.0) + 1.2 * motion.sway
        # The pin stands still on the floor while the instrument leans about it: first
        # the pin's place, then from its tip along the axis to the body.
        floor = affine(pin, degrees)
        matrix = affine(transform(floor, (model.pin, 0.0)), degrees)
        bow_degrees = (16.0 - 7.0 * string) if big else (12.0 - 8.0 * string)
        reach = 64.0 if big else 62.0
        lift = np.array([-9.0, -6.0])
    # the finger goes from the nut (lowest note) to where the neck meets the body
    neck_end = 1.02 * model.body
    # Below 1, so that the hand moves more per semitone in the low notes: semitones lie
    # wider apart near the nut.
    along = motion.height**0.85
    finger = model.nut - 1.0 - along * (model.nut - 1.0 - neck_end)
    place = transform(matrix, (finger, 0.0))
    contact = transform(matrix, (model.bowing, 0.0)) + lift * motion.rest
    # the stroke -1..1 uses the middle 80 % of the bow
    share = 0.5 + 0.40 * motion.stroke
    direction = np.array(
        [math.cos(math.radians(bow_degrees)), math.sin(math.radians(bow_degrees))]
    )
    # The bow lies through the contact point, which cuts it at `share` of its hair.
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


def _hold_erhu(body: Body, motion: Motion) -> Hold:
    """Hands and bow of an erhu, whose box stands on the left thigh.

    The left hand goes down the neck with the pitch, and the bow, which runs between the
    two strings, lies just above the box.
    """
    degrees = -82.0 + 1.2 * motion.sway
    matrix = affine((12.0, 52.0), degrees)
    along = motion.height**0.85
    finger = made.ERHU_NUT - 2.0 - along * (made.ERHU_NUT - 20.0)
    lift = np.array([-5.0, -3.0]) * motion.rest
    contact = transform(matrix, (made.ERHU_BOW, 0.0)) + lift
    # The stroke -1..1 uses the middle 80 % of the bow.
    share = 0.5 + 0.40 * motion.stroke
    tilt = math.radians(7.0)
    direction = np.array([math.cos(tilt), math.sin(tilt)])
    frog = contact - direction * share * 62.0
    return Hold(
        matrix=matrix,
        centre=transform(matrix, (0.0, 0.0)),
        right=frog + (-1.5, 0.5),
        left=transform(matrix, (finger, 0.0)) + (4.0, 0.5),
        right_degrees=15.0,
        left_degrees=186.0,
        along=along,
        bow=(frog, frog + direction * 62.0),
    )


def _hold_wind(
    performance: Performance, look: Look, body: Body, motion: Motion
) -> Hold:
    """Hands and angle of a wind instrument; higher and louder lifts it."""
    grip = GRIPS[performance.instrument]
    rise = 9.0 * motion.loudness + 7.0 * (motion.height - 0.5) - 15.0 * motion.rest
    degrees = grip.degrees + grip.lift * rise + 3.0 * motion.sway
    # A bassoon hangs at the body and its curved pipe reaches the mouth. All other winds
    # start at the mouth, so they follow the head.
    bassoon = performance.instrument == "bassoon"
    start = body.neck if bassoon else locate_mouth(look, body)
    matrix = affine(start + grip.start, degrees, grip.scale, grip.squash)
    if performance.instrument == "sax":
        # The first column is where the x axis goes: the saxophone is mirrored.
        matrix[:, 0] *= -1.0  # it hangs at the player's right
    # a longer tube is lower: the hands (or the slide) go down it
    along, out = 1.0 - motion.height, 0.0
    if performance.instrument == "trombone":
        # A trombone's note is made by the slide, which is not monotonic in the pitch:
        # the same position gives each harmonic.
        along = motion.lowering / 6.0
        out = made.SLIDE_TRAVEL * along
    # Between the places for the highest and the lowest note, in the instrument's
    # coordinates.
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


def build_scene(performance: Performance, t: Real, view: View | None = None) -> Scene:
    """Where everything is at `t` s: the one source of the picture and of the pose.

    Args:
        performance: who plays what.
        t: the time, s.
        view: of the camera; None: a portrait.
    """
    look = get_look(performance.player)
    motion = _read_motion(performance, t)
    body = _pose_body(performance, look, motion)
    if performance.instrument in made.VIOLS:
        hold = _hold_bowed(performance, body, motion)
    elif performance.instrument == "erhu":
        hold = _hold_erhu(body, motion)
    else:
        hold = _hold_wind(performance, look, body, motion)
    view = view or frame_portrait(performance)
    return Scene(look, motion, body, hold, view.to_matrix())


# Each frame needs the look of its player again, which takes some forty random draws.
@lru_cache(maxsize=256)
def get_look(player: int) -> Look:
    """The look of a person, drawn at random once."""
    return Look.from_player(player)
