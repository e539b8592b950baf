"""What the 28 kinds of event look like, and the places where they happen.

A thing is drawn about (0, 0), 100 units high or less, y down. It moves by the sound
alone: a `Moment` of what is heard is all that a drawing function knows of the time.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data_scripts.bandstand.canvas import (
    Canvas,
    Colour,
    Point,
    Real,
    affine,
    capsule,
    darken,
    ellipse,
    lighten,
    mix,
    polygon,
    rectangle,
    smooth_path,
)
from data_scripts.bandstand.people import SKINS, WOODS
from data_scripts.bandstand.rooms import draw_room
from data_scripts.bandstand.world import make_generator

# Not pure black and white: nothing in a real picture is.
BLACK: Colour = (0.10, 0.10, 0.12)
GREY: Colour = (0.55, 0.56, 0.60)
WHITE: Colour = (0.96, 0.95, 0.92)


@dataclass(frozen=True)
class Moment:
    """What is heard at one moment of an event.

    Args:
        level: loudness, 0..1.
        since: s since the last stroke.
        gap: from the last stroke to the next one (or the end), s.
        count: strokes so far.
        turns: the loudness summed up to here, s. What the sound drives, such as a
            wheel, turns with it: faster while it is loud, not at all in silence.
        share: how much of the event is over, 0..1.
    """

    level: float = 0.0
    since: float = 10.0
    gap: float = 1.0
    count: int = 0
    turns: float = 0.0
    share: float = 0.5

    @property
    def side(self) -> int:
        """-1 or 1, another one at each stroke."""
        # From the number of strokes alone, so a frame needs no frame before it.
        return 1 if self.count % 2 else -1

    @property
    def swing(self) -> float:
        """-1..1: from one side to the other between strokes; 0 before the first."""
        if not self.count:
            return 0.0
        # A cosine is at rest at both ends, as a pendulum is. At the next stroke the
        # side changes its sign, and cos(pi) = -1 meets it: the motion goes on without a
        # jump.
        return self.side * math.cos(math.pi * min(self.since / self.gap, 1.0))

    @property
    def hit(self) -> float:
        """1 at a stroke, soon 0."""
        # 0.12 s is about one frame of the 8 a second that the files have by default.
        return math.exp(-self.since / 0.12)


@dataclass(frozen=True)
class Variant:
    """What the thing of one video looks like: its colours, and a free shape 0..1."""

    main: Colour
    second: Colour
    wood: Colour
    skin: Colour
    fur: Colour
    shape: float

    @staticmethod
    def from_seed(seed: int) -> Variant:
        """Draw the looks of one video at random, the same in every process."""
        # The class has no part in these draws, so no colour gives it away.
        rng = make_generator("variant", seed)

        def paint() -> Colour:
            # Any hue, but neither grey nor dark: the thing must stand out from its
            # place.
            r, g, b = colorsys.hsv_to_rgb(
                rng.random(), rng.uniform(0.5, 0.9), rng.uniform(0.5, 0.95)
            )
            return r, g, b

        grey = float(rng.uniform(0.2, 0.9))
        brown: Colour = (0.55, 0.36, 0.20)
        fur = mix((grey, grey, grey), brown, float(rng.uniform(0, 0.8)))
        return Variant(
            main=paint(),
            second=paint(),
            wood=WOODS[rng.integers(len(WOODS))],
            skin=SKINS[rng.integers(len(SKINS))],
            fur=fur,
            shape=float(rng.random()),
        )


def _draw_box(
    canvas: Canvas, x: Real, y: Real, w: Real, h: Real, colour: Colour
) -> None:
    """A rectangle from its upper left corner, with a dark edge."""
    canvas.fill(
        rectangle(x, y, x + w, y + h), colour, edge=darken(colour, 0.5), width=0.8
    )


def _draw_ball(
    canvas: Canvas, x: Real, y: Real, rx: Real, ry: Real, colour: Colour
) -> None:
    canvas.fill(ellipse(x, y, rx, ry), colour, edge=darken(colour, 0.5), width=0.8)


def _draw_limb(canvas: Canvas, a: Point, b: Point, width: Real, colour: Colour) -> None:
    canvas.fill(capsule(a, b, width, width), colour, edge=darken(colour, 0.4))


def _mirror(half: list[Point]) -> list[Point]:
    """A closed outline from its right half, which begins and ends on the y axis."""
    # The first and the last point lie on the axis and are not repeated.
    return half + [(-x, y) for x, y in reversed(half[1:-1])]


def _draw_wheel(canvas: Canvas, x: Real, y: Real, r: Real, turns: Real) -> None:
    """A tyre and a hub whose three spokes show that it turns."""
    _draw_ball(canvas, x, y, r, r, BLACK)
    _draw_ball(canvas, x, y, 0.55 * r, 0.55 * r, GREY)
    for k in range(3):
        # 1.5 turns a second at full loudness. With three spokes the picture repeats
        # each third of a turn.
        a = 2 * math.pi * (1.5 * turns + k / 3)
        tip = (x + 0.55 * r * math.cos(a), y + 0.55 * r * math.sin(a))
        canvas.stroke([(x, y), tip], BLACK, 0.12 * r)


def _draw_puffs(canvas: Canvas, x: Real, y: Real, m: Moment, colour: Colour) -> None:
    """Smoke, steam or dust that rises while it sounds."""
    for k in range(4):
        # Four puffs, each a quarter of its life behind the one before. They rise, grow
        # and fade.
        age = (3 * m.turns + k / 4) % 1.0
        size, alpha = 2 + 9 * age, 0.7 * m.level * (1 - age)
        where = ellipse(x + 6 * math.sin(5 * k + age), y - 26 * age, size, size)
        canvas.fill(where, colour, alpha=alpha)


def _draw_eyes(canvas: Canvas, x: Real, y: Real, apart: Real, r: Real) -> None:
    for side in (-1, 1):
        canvas.fill(ellipse(x + side * apart, y, 1.5 * r, 1.5 * r), WHITE)
        canvas.fill(ellipse(x + side * apart, y, r, r), BLACK)


def draw_church_bell(c: Canvas, m: Moment, v: Variant) -> None:
    """A bronze bell in a frame: it swings, and its clapper with it."""
    bronze = mix((0.72, 0.52, 0.22), (0.45, 0.50, 0.40), v.shape)
    _draw_box(c, -44, -46, 88, 9, v.wood)
    for x in (-44, 36):
        _draw_box(c, x, -40, 8, 88, v.wood)
    with c.at(affine((0, -36), 32 * m.swing)):
        # The clapper first, so that the bell hides it but for its end; it swings
        # further than the bell.
        c.fill(ellipse(8 * m.swing, 62, 7, 7), BLACK)
        shape = [(-8, 2), (8, 2), (15, 22), (19, 46), (30, 60), (-30, 60), (-19, 46),
                 (-15, 22)]  # fmt: skip
        c.fill(smooth_path(shape), bronze, edge=darken(bronze, 0.5), width=1)
        c.stroke([(-22, 50), (22, 50)], lighten(bronze, 0.4), 2)


def draw_bark(c: Canvas, m: Moment, v: Variant) -> None:
    """A dog: its jaw opens with each bark, its tail wags."""
    # jaw: how far the mouth opens, in degrees before the factors below
    fur, jaw = v.fur, 24 * m.level
    tail = math.sin(9 * m.turns * math.pi)
    c.stroke(
        smooth_path([(-36, 8), (-46, -6), (-44 + 8 * tail, -22)], closed=False), fur, 6
    )
    c.fill(smooth_path([(-38, 4), (0, -4), (20, 0), (18, 24), (-36, 24)]), fur)
    for x in (-33, -22, 6, 15):
        _draw_limb(c, (x, 20), (x, 44), 4, darken(fur, 0.15))
    with c.at(affine((20, -12 - 5 * m.hit), -0.6 * jaw)):
        # The lower jaw turns about a joint of the head, with the tongue on it. The head
        # is drawn over the joint.
        with c.at(affine((8, 6), 1.6 * jaw)):
            _draw_limb(c, (0, 2), (22, 3), 4, darken(fur, 0.2))
            _draw_limb(c, (3, -1), (18, 0), 2.4, (0.9, 0.45, 0.5))
        _draw_ball(c, 0, -4, 17, 15, fur)
        _draw_limb(c, (6, 0), (28, 0), 6.5, fur)
        c.fill(ellipse(33, -3, 4, 4), BLACK)
        c.fill(ellipse(7, -8, 2.6, 2.6), BLACK)
        c.fill(
            smooth_path([(-8, -14), (-16, -12), (-17, 10), (-8, 8)]), darken(fur, 0.4)
        )


def draw_aircraft(c: Canvas, m: Moment, v: Variant) -> None:
    """An aeroplane that climbs across the picture; its propeller turns."""
    with c.at(affine((90 * m.share - 45, 14 - 30 * m.share), -12, 0.9)):
        c.fill(polygon([(-42, -4), (-50, -24), (-40, -24), (-28, -4)]), v.main)
        c.fill(smooth_path([(-46, -4), (30, -7), (46, 0), (30, 7), (-40, 5)]), WHITE,
               edge=GREY, width=1)  # fmt: skip
        c.stroke([(-40, 1), (36, 1)], v.main, 2)
        for x in range(-30, 30, 8):
            c.fill(ellipse(x, -3, 1.6, 1.6), (0.25, 0.35, 0.5))
        c.fill(polygon([(0, 2), (12, 2), (-18, 26), (-26, 26)]), GREY)
        # A propeller from its side is a line, whose length changes as it turns.
        blade = 12 * abs(math.sin(40 * m.turns))
        c.stroke([(46, -blade), (46, blade)], BLACK, 2)
        c.stroke([(-50, 3), (-50 - 30 * m.level, 3)], WHITE, 4, alpha=0.5)


def draw_race_car(c: Canvas, m: Moment, v: Variant) -> None:
    """A racing car that goes back and forth; its wheels turn, each gear pitches it."""
    # The free shape is a phase here: not every car is in the middle at first.
    x = 70 * math.sin(1.9 * m.turns + 4 * v.shape) * 0.5
    with c.at(affine((x, 18 + 1.2 * math.sin(60 * m.turns)), -5 * m.hit)):
        c.fill(polygon([(-48, -22), (-36, -22), (-36, -18), (-44, -2), (-48, -2)]),
               v.second)  # fmt: skip
        body = [(-44, 2), (-40, -8), (-10, -12), (2, -16), (14, -8), (48, 2), (48, 8),
                (-44, 8)]  # fmt: skip
        c.fill(polygon(body), v.main, edge=darken(v.main, 0.5), width=1)
        c.fill(ellipse(2, -14, 7, 6), v.second)
        c.fill(ellipse(-20, -3, 7, 7), WHITE)
        c.stroke([(-20, -7), (-20, 1)], BLACK, 2)
        _draw_wheel(c, -30, 10, 11, m.turns)
        _draw_wheel(c, 30, 10, 10, m.turns)
        _draw_puffs(c, -52, 8, m, GREY)


def draw_helicopter(c: Canvas, m: Moment, v: Variant) -> None:
    """A helicopter that sways; its rotors turn."""
    sway = math.sin(2 * m.turns)
    with c.at(affine((10 * sway, 6 + 6 * math.cos(1.3 * m.turns)), 7 * sway)):
        c.fill(
            polygon([(-8, -6), (-52, -14), (-52, -10), (-8, 6)]), darken(v.main, 0.2)
        )
        c.fill(ellipse(8, 0, 26, 18), v.main, edge=darken(v.main, 0.5), width=1)
        c.fill(ellipse(18, -3, 13, 11), (0.62, 0.80, 0.92))
        c.stroke([(6, -18), (6, -26)], BLACK, 3)
        for x in (-6, 20):
            c.stroke([(x, 16), (x, 24)], BLACK, 2)
        c.stroke([(-18, 24), (32, 24)], BLACK, 3)
        # The rotor from its side; in silence it stands still, at its full length.
        reach = 48 * abs(math.cos(23 * m.turns)) if m.level else 48
        c.stroke([(6 - reach, -27), (6 + reach, -27)], BLACK, 3)
        c.fill(ellipse(6, -27, 48, 4), GREY, alpha=0.35 * m.level)
        # degrees: 2.5 turns a second at full loudness
        with c.at(affine((-52, -14), 900 * m.turns)):
            c.stroke([(-9, 0), (9, 0)], BLACK, 2.5)


def _draw_strings(c: Canvas, m: Moment, count: int, top: Real, bottom: Real) -> None:
    """Strings side by side that tremble while they sound."""
    for k in range(count):
        x = (k - (count - 1) / 2) * 1.8
        # Each string has a phase of its own, or all would move as one.
        shake = 1.2 * m.level * math.sin(40 * m.turns + k)
        middle = (x + shake, (top + bottom) / 2)
        c.stroke([(x, top), middle, (x, bottom)], WHITE, 0.6)


def _draw_hand(c: Canvas, m: Moment, v: Variant, y: Real, reach: Real) -> None:
    """The hand that plucks: it crosses the strings with each stroke."""
    # At a stroke the hand is at one side; halfway to the next one it crosses the
    # strings.
    x = reach * m.swing
    _draw_limb(c, (48, y + 26), (x + 8, y + 4), 6, v.second)
    _draw_ball(c, x + 4, y, 7, 6, v.skin)
    for k in range(3):
        _draw_limb(c, (x + 2, y - 3 + 3 * k), (x - 7, y - 2 + 3 * k), 1.7, v.skin)


def _draw_neck(c: Canvas, top: Real, bottom: Real, width: Real, wood: Colour) -> None:
    """The neck of a plucked instrument with its head and five frets."""
    _draw_box(c, -width / 2, top, width, bottom - top, darken(wood, 0.55))
    _draw_box(c, -0.8 * width, top - 12, 1.6 * width, 13, wood)
    for k in range(5):
        # Five frets part the neck into six.
        y = top + (bottom - top) * (k + 1) / 6
        c.stroke([(-width / 2, y), (width / 2, y)], GREY, 0.7)


def draw_ukulele(c: Canvas, m: Moment, v: Variant) -> None:
    """A small guitar with four strings, and the hand that strums it."""
    wood = mix(v.main, v.wood, 0.3)
    with c.at(affine((0, 0), 60 + 3 * m.swing, 0.9)):
        body = smooth_path(_mirror([(0, 2), (12, 6), (11, 18), (17, 32), (0, 44)]))
        c.fill(body, wood, edge=darken(wood, 0.5), width=1)
        _draw_neck(c, -34, 6, 7, v.wood)
        c.fill(ellipse(0, 20, 6, 6), BLACK)
        _draw_strings(c, m, 4, -34, 36)
        _draw_hand(c, m, v, 20, 12)


def draw_guitar(c: Canvas, m: Moment, v: Variant) -> None:
    """A guitar with six strings, and the hand that plucks it."""
    wood = lighten(v.wood, 0.2)
    with c.at(affine((4, 0), 70 + 2 * m.swing, 1.05)):
        body = smooth_path(_mirror([(0, -8), (20, -4), (17, 12), (28, 32), (0, 48)]))
        c.fill(body, wood, edge=darken(wood, 0.6), width=2)
        _draw_neck(c, -52, 0, 8, v.wood)
        c.fill(ellipse(0, 12, 9, 9), BLACK, edge=v.second, width=2)
        _draw_box(c, -11, 32, 22, 4, darken(v.wood, 0.5))
        _draw_strings(c, m, 6, -52, 33)
        _draw_hand(c, m, v, 18, 14)


def draw_banjo(c: Canvas, m: Moment, v: Variant) -> None:
    """A banjo with its round skin, and the hand that plucks it."""
    with c.at(affine((4, 0), 62 + 2 * m.swing)):
        _draw_neck(c, -54, 2, 6, v.wood)
        _draw_ball(c, 0, 22, 27, 27, GREY)
        c.fill(ellipse(0, 22, 23, 23), WHITE, edge=v.wood, width=2)
        for k in range(14):
            a = math.pi * k / 7
            c.fill(ellipse(25 * math.cos(a), 22 + 25 * math.sin(a), 1.3, 1.3), BLACK)
        _draw_box(c, -8, 32, 16, 3, v.wood)
        _draw_strings(c, m, 5, -54, 33)
        _draw_hand(c, m, v, 22, 9)


def draw_mandolin(c: Canvas, m: Moment, v: Variant) -> None:
    """A mandolin with eight strings, and the hand that plucks it."""
    wood = darken(mix(v.wood, (0.45, 0.10, 0.05), 0.6), 0.15)
    with c.at(affine((2, -2), 55 + 2 * m.swing, 0.95)):
        body = smooth_path(_mirror([(0, -6), (10, 2), (24, 20), (22, 38), (0, 48)]))
        c.fill(body, wood, edge=BLACK, width=1.5)
        c.fill(ellipse(-2, 22, 15, 19), lighten(wood, 0.45))
        _draw_neck(c, -46, 2, 7, v.wood)
        for side in (-1, 1):
            hole = [(side * 12, 16), (side * 10, 24), (side * 14, 34)]
            c.stroke(smooth_path(hole, closed=False), BLACK, 2)
        _draw_strings(c, m, 8, -46, 38)
        _draw_hand(c, m, v, 24, 8)


def draw_frying(c: Canvas, m: Moment, v: Variant) -> None:
    """A pan seen from above: the food trembles, fat spits, steam rises."""
    steel = mix(BLACK, GREY, 0.4 * v.shape)
    _draw_limb(c, (24, 20), (52, 46), 5, darken(v.wood, 0.4))
    _draw_ball(c, 0, 0, 38, 34, steel)
    c.fill(ellipse(0, 0, 33, 29), darken(steel, 0.4))
    for k in range(4):
        # 2.2 rad apart: four pieces spread over the pan without a pattern.
        a = 2.2 * k + 6 * v.shape
        shake = 2.2 * m.level
        x = 15 * math.cos(a) + shake * math.sin(31 * m.turns + k)
        y = 13 * math.sin(a) + shake * math.cos(37 * m.turns + 2 * k)
        food = mix((0.86, 0.62, 0.30), v.main, 0.35)
        _draw_ball(c, x, y, 9, 7, lighten(food, 0.2 * (k % 2)))
    for k in range(10):
        # 2.4 rad is the golden angle: spots never form rows. They fly outwards and fade
        # with the sound.
        a = 2.4 * k + 9 * m.turns
        r = 26 * ((0.37 * k + 1.7 * m.turns) % 1.0)
        c.fill(ellipse(r * math.cos(a), 0.9 * r * math.sin(a), 2, 2), (1, 0.95, 0.7),
               alpha=m.level)  # fmt: skip
    _draw_puffs(c, -8, -16, m, WHITE)
    _draw_puffs(c, 12, -12, m, WHITE)


def draw_truck(c: Canvas, m: Moment, v: Variant) -> None:
    """A lorry that bounces on its wheels and smokes from its pipe."""
    # The body shakes and the wheels below it too, so the whole truck is moved. `share`
    # drives it across the picture during the event.
    bounce = 1.5 * math.sin(25 * m.turns) * m.level
    with c.at(affine((40 * m.share - 20, 8 + bounce))):
        _draw_box(c, -50, -34, 62, 46, v.main)
        for x in range(-44, 12, 10):
            c.stroke([(x, -32), (x, 10)], darken(v.main, 0.25), 1)
        c.fill(polygon([(14, -20), (34, -20), (46, -4), (46, 14), (14, 14)]), v.second,
               edge=BLACK, width=1)  # fmt: skip
        c.fill(polygon([(22, -16), (33, -16), (42, -4), (22, -4)]), (0.7, 0.85, 0.95))
        _draw_box(c, 12, -34, 4, 34, GREY)
        for x in (-40, -22, 32):
            _draw_wheel(c, x, 16, 10, 0.8 * m.turns)
        _draw_puffs(c, 14, -34, m, BLACK)


def draw_shofar(c: Canvas, m: Moment, v: Variant) -> None:
    """A player with a ram's horn, which rises with the loudness."""
    lift = 10 * m.level
    _draw_limb(c, (-30, 40), (-30, 60), 18, v.second)
    _draw_ball(c, -28, 4, 17, 20, v.skin)
    c.fill(smooth_path([(-46, -6), (-28, -20), (-10, -8), (-28, -12)]), BLACK)
    c.fill(ellipse(-18, 0, 2, 2), BLACK)
    c.fill(ellipse(-15, 12, 4 + 3 * m.level, 4 + 3 * m.level), lighten(v.skin, 0.25))
    with c.at(affine((-10, 12), -lift)):
        horn = mix((0.80, 0.68, 0.48), (0.35, 0.28, 0.22), v.shape)
        outline = [(0, -2), (16, -4), (30, -14), (40, -34), (54, -30)]
        outline += [(44, -6), (26, 8), (0, 3)]
        c.fill(smooth_path(outline), horn, edge=darken(horn, 0.6), width=1)
        c.fill(ellipse(47, -32, 7, 3.5, 15), BLACK)
        _draw_ball(c, 22, 0, 6, 5, v.skin)
    # The arm comes last and follows the horn as it rises.
    _draw_limb(c, (-20, 44), (12, 14 - 0.3 * lift), 5, v.second)


def draw_motorcycle(c: Canvas, m: Moment, v: Variant) -> None:
    """A motorcycle and its rider: wheels turn, it rears at each burst of throttle."""
    shake = 1.5 * m.level * math.sin(70 * m.turns)
    with c.at(affine((30 * m.share - 15, 12 + shake), -10 * m.hit)):
        _draw_wheel(c, -28, 22, 16, m.turns)
        _draw_wheel(c, 28, 22, 16, m.turns)
        c.stroke([(28, 22), (18, -14), (12, -18)], GREY, 3)
        c.fill(smooth_path([(-34, 2), (-10, 2), (6, -6), (22, -2), (8, 20), (-16, 20)]),
               v.main, edge=darken(v.main, 0.5), width=1)  # fmt: skip
        _draw_box(c, -46, 20, 34, 4, GREY)
        _draw_limb(c, (-12, -2), (-2, -28), 7, v.second)
        _draw_limb(c, (-2, -24), (13, -16), 3, v.second)
        _draw_limb(c, (-12, 0), (2, 12), 5, BLACK)
        _draw_ball(c, 0, -40, 10, 10, v.main)
        c.fill(ellipse(5, -40, 5, 4), BLACK)
        _draw_puffs(c, -48, 20, m, GREY)


def draw_train_horn(c: Canvas, m: Moment, v: Variant) -> None:
    """A locomotive from the front; rings of sound come from its horns."""
    # It comes nearer during the event, so it grows.
    with c.at(affine((0, 4), 0.0, 0.75 + 0.35 * m.share)):
        for side in (-1, 1):
            c.stroke([(side * 24, 46), (side * 44, 70)], GREY, 3)
        _draw_box(c, -34, -30, 68, 76, v.main)
        _draw_box(c, -34, 14, 68, 10, v.second)
        for x in (-27, 4):
            _draw_box(c, x, -22, 23, 20, (0.20, 0.28, 0.36))
        for x in (-22, 22):
            _draw_ball(c, x, 34, 6, 6, mix(GREY, (1, 1, 0.7), m.level))
        _draw_box(c, -6, -38, 12, 8, GREY)
        for k, x in enumerate((-12, 0, 12)):
            reach = 5 * m.level * abs(math.sin(30 * m.turns + k))
            rim = -50 - reach
            horn = polygon([(x - 2, -38), (x + 2, -38), (x + 6, rim), (x - 6, rim)])
            c.fill(horn, (0.9, 0.75, 0.3))
        for r in (10, 18, 26):
            c.stroke(ellipse(0, -44, r, 0.5 * r), WHITE, 1.5, alpha=0.8 * m.level)


def draw_clock(c: Canvas, m: Moment, v: Variant) -> None:
    """A grandfather clock: pendulum and second hand move with the ticks."""
    c.fill(polygon([(-26, -48), (26, -48), (26, 50), (-26, 50)]), v.wood,
           edge=darken(v.wood, 0.5), width=2)  # fmt: skip
    _draw_ball(c, 0, -22, 22, 22, WHITE)
    for k in range(12):
        a = math.pi * k / 6
        c.fill(ellipse(18 * math.sin(a), -22 - 18 * math.cos(a), 1.4, 1.4), BLACK)
    # Hour and minute hand show any time; they stand still, for the video has 10 s.
    for degrees, reach, width in ((360 * v.shape, 10, 3), (720 * v.shape, 15, 2)):
        a = math.radians(degrees)
        c.stroke(
            [(0, -22), (reach * math.sin(a), -22 - reach * math.cos(a))], BLACK, width
        )
    # 30 degrees a tick: 6 would hardly be seen at 64 pixels.
    a = math.radians(30 * m.count)
    c.stroke([(0, -22), (17 * math.sin(a), -22 - 17 * math.cos(a))], v.main, 1.4)
    _draw_box(c, -18, 4, 36, 42, darken(v.wood, 0.7))
    with c.at(affine((0, 4), 24 * m.swing)):
        c.stroke([(0, 0), (0, 32)], (0.9, 0.75, 0.3), 2)
        _draw_ball(c, 0, 34, 7, 7, (0.9, 0.75, 0.3))


def draw_goat(c: Canvas, m: Moment, v: Variant) -> None:
    """A goat: head and jaw move with each bleat."""
    fur = lighten(v.fur, 0.35)
    shake = 1.5 * m.level * math.sin(60 * m.turns)
    c.fill(smooth_path([(-42, 0), (-8, -4), (10, 2), (8, 24), (-40, 24)]), fur)
    for x in (-36, -27, -4, 4):
        _draw_limb(c, (x, 20), (x, 46), 3, darken(fur, 0.3))
    _draw_limb(c, (4, 6), (20, -14), 8, fur)
    with c.at(affine((22, -20 + shake), -18 * m.level)):
        for x in (-4, 3):
            c.stroke(smooth_path([(x, -8), (x - 6, -22), (x - 18, -28)], closed=False),
                   (0.45, 0.40, 0.32), 4)  # fmt: skip
        c.fill(smooth_path([(-12, -4), (-24, 2), (-12, 5)]), darken(fur, 0.2))
        with c.at(affine((6, 8), 30 * m.level)):
            _draw_limb(c, (0, 2), (14, 8), 4, darken(fur, 0.15))
            c.fill(polygon([(10, 10), (16, 10), (13, 26)]), WHITE)
        _draw_limb(c, (0, -2), (20, 8), 8, fur)
        c.fill(ellipse(4, -4, 2.4, 1.8), BLACK)


def draw_baby(c: Canvas, m: Moment, v: Variant) -> None:
    """A baby: mouth opens, arms wave, tears run and the face reddens with its cry."""
    skin = mix(v.skin, (0.95, 0.35, 0.30), 0.35 * m.level)
    # The level stands in it twice, as speed and as size: in silence the arms are still
    # and down.
    wave = 9 * math.sin(9 * m.turns) * m.level
    c.fill(smooth_path([(-32, 24), (32, 24), (38, 60), (-38, 60)]), v.main)
    for side in (-1, 1):
        _draw_limb(c, (side * 26, 34), (side * 44, 12 + side * wave), 6, v.main)
        _draw_ball(c, side * 45, 8 + side * wave, 6, 6, skin)
    _draw_ball(c, 0, -8, 31, 33, skin)
    for side in (-1, 1):
        _draw_ball(c, side * 31, -6, 5, 7, skin)
        # Who cries shuts the eyes.
        lid = 1.0 - 0.75 * m.level
        c.fill(ellipse(side * 12, -14, 4.5, 4.5 * lid), BLACK)
        c.stroke([(side * 7, -22 + 3 * m.level), (side * 17, -23 - 2 * m.level)],
               darken(skin, 0.5), 1.6)  # fmt: skip
        drop = (2 * m.turns + 0.5 * side) % 1.0
        c.fill(ellipse(side * 14, -8 + 22 * drop, 2.5, 3.5), (0.5, 0.75, 1.0),
               alpha=0.9 * m.level)  # fmt: skip
    c.fill(ellipse(0, 9, 7 + 6 * m.level, 1.5 + 11 * m.level), (0.55, 0.10, 0.14))
    c.stroke(smooth_path([(-3, -39), (2, -45), (6, -40)], closed=False), BLACK, 2)


def draw_bus(c: Canvas, m: Moment, v: Variant) -> None:
    """A bus that bounces on its wheels; its doors slide with each hiss of air."""
    bounce = 1.2 * math.sin(18 * m.turns) * m.level
    with c.at(affine((-36 * m.share + 18, 6 + bounce))):
        _draw_box(c, -52, -30, 104, 46, v.main)
        _draw_box(c, -52, 4, 104, 5, v.second)
        for x in (-49, -33, -17, -1, 15):
            _draw_box(c, x, -24, 13, 18, (0.72, 0.86, 0.95))
            _draw_ball(c, x + 6.5, -10, 4, 5, mix(v.skin, BLACK, 0.3))
        slide = 6 * m.hit
        _draw_box(c, 32 + slide, -24, 8, 38, (0.72, 0.86, 0.95))
        _draw_box(c, 41 + slide, -24, 8, 38, (0.72, 0.86, 0.95))
        for x in (-34, 22):
            _draw_wheel(c, x, 18, 10, -0.8 * m.turns)
        _draw_puffs(c, 54, 12, m, GREY)


def draw_chainsaw(c: Canvas, m: Moment, v: Variant) -> None:
    """A chainsaw that shakes and cuts into a log; chips fly."""
    shake = 1.6 * m.level * math.sin(90 * m.turns)
    # The saw sinks into the log during the event; a saw that stands still has not
    # begun.
    cut = 16 * (m.share if m.level else 0.0)
    _draw_limb(c, (-10, 40), (60, 40), 16, darken(v.wood, 0.2))
    _draw_ball(c, -12, 40, 9, 16, lighten(v.wood, 0.4))
    with c.at(affine((0, cut + shake - 6), 12)):
        _draw_limb(c, (-4, 4), (44, 4), 6.5, GREY)
        for k in range(12):
            # 12 teeth run round the bar: forward above, back below.
            x = -6 + (4.6 * k + 160 * m.turns) % 54
            c.fill(ellipse(x, -3, 1.7, 1.7), BLACK)
            c.fill(ellipse(38 - x, 11, 1.7, 1.7), BLACK)
        _draw_box(c, -42, -10, 34, 24, v.main)
        c.stroke(
            smooth_path([(-40, -8), (-28, -24), (-10, -10)], closed=False), BLACK, 4
        )
        c.fill(ellipse(-26, 2, 7, 7), darken(v.main, 0.4))
    for k in range(14):
        age = (4 * m.turns + 0.13 * k) % 1.0
        # Chips fly in a parabola: up, and down with the square of their age.
        x, y = 14 - 50 * age * (0.4 + (k % 5) / 5), 26 - 22 * age + 46 * age**2
        c.fill(ellipse(x, y, 1.9, 1.5), (0.95, 0.80, 0.50), alpha=m.level)


def draw_cat(c: Canvas, m: Moment, v: Variant) -> None:
    """A cat from the front: mouth and eyes open with each miaow."""
    fur = v.fur
    tail = 12 * math.sin(3 * m.turns * math.pi)
    c.stroke(smooth_path([(26, 44), (46, 30), (44 + tail, 4)], closed=False), fur, 6)
    c.fill(smooth_path([(-22, 50), (-18, 10), (18, 10), (26, 50)]), fur)
    with c.at(affine((0, -10), -8 * m.level)):
        for side in (-1, 1):
            c.fill(polygon([(side * 10, -18), (side * 27, -38), (side * 27, -6)]), fur,
                   edge=darken(fur, 0.5), width=1)  # fmt: skip
        _draw_ball(c, 0, 0, 29, 25, fur)
        for k in range(3):
            c.stroke([(8 * (k - 1), -24), (6 * (k - 1), -15)], darken(fur, 0.5), 2.5)
        _draw_eyes(c, 0, -5, 11, 3 + 1.5 * m.level)
        c.fill(polygon([(-3, 4), (3, 4), (0, 8)]), (0.9, 0.5, 0.55))
        c.fill(ellipse(0, 12 + 3 * m.level, 3 + 4 * m.level, 1 + 7 * m.level),
               (0.6, 0.15, 0.2))  # fmt: skip
        for side in (-1, 1):
            for y in (6, 10):
                c.stroke([(side * 10, y), (side * 34, y - 3)], WHITE, 0.8)


def draw_horse(c: Canvas, m: Moment, v: Variant) -> None:
    """A horse: its legs trot with the hoofbeats, its jaw opens as it neighs."""
    fur = darken(v.fur, 0.25)
    with c.at(affine((0, -4 * m.hit))):
        c.stroke(smooth_path([(-36, -2), (-48, 8), (-46, 26)], closed=False), BLACK, 6)
        c.fill(smooth_path([(-38, -6), (-10, -8), (16, -10), (20, 12), (-34, 16)]), fur)
        for k, x in enumerate((-32, -24, 8, 16)):
            # Every second leg goes the other way, as in a trot.
            step = 11 * m.swing * (1 if k % 2 else -1)
            _draw_limb(c, (x, 8), (x + 0.5 * step, 28), 4.5, fur)
            _draw_limb(c, (x + 0.5 * step, 28), (x + step, 46), 3, darken(fur, 0.2))
        with c.at(affine((14, -6), 10 * m.swing)):
            c.fill(smooth_path([(-8, 6), (4, -30), (16, -34), (14, 6)]), fur)
            with c.at(affine((16, -28), 28 * m.level)):
                _draw_limb(c, (0, 4), (16, 12), 4, darken(fur, 0.2))
            _draw_limb(c, (10, -32), (30, -18), 7, fur)
            c.fill(polygon([(4, -34), (10, -46), (13, -35)]), fur)
            c.fill(ellipse(15, -32, 2, 2), BLACK)
            for k in range(5):
                c.stroke(
                    [(2 - 2 * k, -34 + 8 * k), (-8 - 2 * k, -28 + 9 * k)], BLACK, 4
                )


def draw_toilet(c: Canvas, m: Moment, v: Variant) -> None:
    """A toilet from above: the lever turns, the water swirls."""
    white = mix(WHITE, v.main, 0.12)
    _draw_box(c, -30, -48, 60, 26, white)
    with c.at(affine((18, -40), 40 * min(1.0, 3 * m.level))):
        _draw_limb(c, (0, 0), (14, 0), 2, GREY)
    _draw_ball(c, 0, 12, 36, 34, white)
    c.fill(ellipse(0, 12, 27, 25), lighten(white, 0.5), edge=GREY, width=1.5)
    c.fill(ellipse(0, 13, 23, 20), (0.55, 0.75, 0.88))
    spin = 6 * m.turns
    for k in range(3):
        # A spiral of 12 points, drawn by its radius and angle, flat as the bowl is
        # seen.
        curl = [
            ((22 - 1.6 * i) * math.cos(spin + 2.1 * k + 0.42 * i),
             13 + 0.85 * (22 - 1.6 * i) * math.sin(spin + 2.1 * k + 0.42 * i))
            for i in range(12)
        ]  # fmt: skip
        c.stroke(curl, WHITE, 2.5, alpha=0.2 + 0.8 * m.level)
    c.fill(ellipse(0, 13, 3 + 4 * m.level, 3 + 3 * m.level), (0.15, 0.25, 0.35))


def draw_rodents(c: Canvas, m: Moment, v: Variant) -> None:
    """Three mice that run back and forth, jump at each squeak and open their mouths."""
    for k in range(3):
        run = 1.7 * m.turns + 0.33 * k + v.shape
        x = 34 * math.sin(3 * run + 2 * k)
        # The derivative of x: a mouse looks where it runs.
        facing = 1 if math.cos(3 * run + 2 * k) > 0 else -1
        fur = lighten(v.fur, 0.25 * k) if k else v.fur
        # (2, 3) @ (3, 3): mirrored about the mouse's own middle.
        matrix = affine((x, -22 + 26 * k - 3 * m.hit)) @ np.diag([facing, 1, 1])
        with c.at(matrix):
            wag = 5 * math.sin(20 * m.turns + k)
            tail = [(-13, 4), (-26, 8 + wag), (-36, 2 - wag)]
            c.stroke(smooth_path(tail, closed=False), (0.85, 0.60, 0.60), 1.8)
            body = smooth_path([(-16, 4), (-6, -9), (8, -7), (20, 3), (8, 9), (-12, 9)])
            c.fill(body, fur, edge=darken(fur, 0.5), width=0.8)
            _draw_ball(c, 7, -8, 5, 5, (0.90, 0.65, 0.65))
            c.fill(ellipse(13, -1, 1.6, 1.6), BLACK)
            c.fill(ellipse(20, 3, 2, 2), (0.9, 0.5, 0.55))
            c.fill(ellipse(16, 6, 2, 0.5 + 2.5 * m.level), (0.5, 0.1, 0.1))


def draw_accordion(c: Canvas, m: Moment, v: Variant) -> None:
    """An accordion: the bellows open and close, a key goes down with each note."""
    # The bellows open and close with the loudness that has been heard, so they rest in
    # silence.
    open_ = 12 + 16 * (0.5 - 0.5 * math.cos(2.4 * m.turns))
    for k in range(10):
        x = -open_ + 2 * open_ * k / 9
        shade = v.second if k % 2 else darken(v.second, 0.5)
        rise = 2 if k % 2 else 0
        _draw_box(c, x, -26 - rise, 2 * open_ / 9 + 1, 52 + 2 * rise, shade)
    for side in (-1, 1):
        x = side * (open_ + 9)
        _draw_box(c, x - 9, -32, 18, 64, v.main)
        if side > 0:
            for k in range(8):
                # Another key with each note; which one does not follow the pitch.
                down = m.count % 8 == k
                _draw_box(c, x + 2, -29 + 7.4 * k, 7, 6, v.skin if down else WHITE)
        else:
            for k in range(12):
                c.fill(
                    ellipse(x - 4 + 5 * (k % 3), -18 + 11 * (k // 3), 1.6, 1.6), WHITE
                )
        _draw_ball(c, x + 9 * side, 6 + 3 * m.swing, 7, 9, v.skin)


PICTURES: dict[str, Callable[[Canvas, Moment, Variant], None]] = {
    "Church bell": draw_church_bell,
    "Bark": draw_bark,
    "Fixed-wing aircraft, airplane": draw_aircraft,
    "Race car, auto racing": draw_race_car,
    "Helicopter": draw_helicopter,
    "Ukulele": draw_ukulele,
    "Frying (food)": draw_frying,
    "Truck": draw_truck,
    "Shofar": draw_shofar,
    "Motorcycle": draw_motorcycle,
    "Acoustic guitar": draw_guitar,
    "Train horn": draw_train_horn,
    "Clock": draw_clock,
    "Banjo": draw_banjo,
    "Goat": draw_goat,
    "Baby cry, infant cry": draw_baby,
    "Bus": draw_bus,
    "Chainsaw": draw_chainsaw,
    "Cat": draw_cat,
    "Horse": draw_horse,
    "Toilet flush": draw_toilet,
    "Rodents, rats, mice": draw_rodents,
    "Accordion": draw_accordion,
    "Mandolin": draw_mandolin,
}

SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((0.35, 0.60, 0.92), (0.80, 0.90, 0.98)),
    ((0.62, 0.66, 0.72), (0.82, 0.84, 0.86)),
    ((0.30, 0.26, 0.46), (0.95, 0.62, 0.42)),
    ((0.05, 0.07, 0.16), (0.16, 0.20, 0.36)),
)
GROUNDS: tuple[Colour, ...] = (
    (0.36, 0.55, 0.26), (0.40, 0.40, 0.43), (0.76, 0.68, 0.48), (0.88, 0.90, 0.94),
    (0.22, 0.42, 0.56),
)  # fmt: skip


def draw_place(seed: int, size: int) -> np.ndarray:
    """Draw a place without anything that sounds: a room, or outdoors.

    The class of the event has no part in it, so no place gives a class away.

    Args:
        seed: of the place.
        size: pixels a side.

    Returns:
        uint8 (size, size, 3)
    """
    rng = make_generator("place", seed)
    # 4 of 10 places are rooms.
    if rng.random() < 0.4:
        return draw_room(int(rng.integers(1 << 30)), size, size)
    # The place has 100 units a side, whatever the pixels.
    canvas = Canvas(size, size, affine(scale=size / 100.0))
    top, low = SKIES[rng.integers(len(SKIES))]
    ground = GROUNDS[rng.integers(len(GROUNDS))]
    horizon = float(rng.uniform(48, 74))
    sky = rectangle(0, 0, 100, horizon)
    canvas.fill_gradient(sky, (0, 0), (0, horizon), top, low)
    # Hills in the colour of the ground, mixed with the sky's: far things are paler.
    far = mix(low, darken(ground, 0.4), 0.6)
    # From beyond the left edge to beyond the right one, so that the curve has no end in
    # the picture.
    hills = [(x, horizon - float(rng.uniform(0, 18))) for x in range(-10, 130, 20)]
    canvas.fill(smooth_path([(-20, 101), *hills, (120, 101)]), far)
    floor = rectangle(0, horizon, 100, 100)
    canvas.fill_gradient(floor, (0, horizon), (0, 100), darken(ground, 0.25), ground)
    # One kind for each place: only trees, only houses or only clouds.
    draw_one = (_draw_tree, _draw_house, _draw_cloud)[rng.integers(3)]
    for x in rng.uniform(0, 100, rng.integers(2, 6)):
        draw_one(canvas, rng, x, horizon, float(rng.uniform(10, 30)))
    # Without alpha, which is full everywhere.
    return np.ascontiguousarray(canvas.to_array()[:, :, :3])


def _draw_tree(
    canvas: Canvas, rng: np.random.Generator, x: Real, horizon: Real, high: Real
) -> None:
    _draw_box(canvas, x - 1, horizon - 6, 2, 9, (0.35, 0.24, 0.15))
    green = mix((0.16, 0.36, 0.18), (0.62, 0.42, 0.16), float(rng.random()))
    _draw_ball(canvas, x, horizon - 4 - 0.5 * high, 0.35 * high, 0.5 * high, green)


def _draw_house(
    canvas: Canvas, rng: np.random.Generator, x: Real, horizon: Real, high: Real
) -> None:
    wall = mix((0.75, 0.62, 0.50), GREY, float(rng.random()))
    _draw_box(canvas, x - 7, horizon - high, 14, high, wall)
    for k in range(int(high / 7)):
        for side in (-4, 1):
            _draw_box(canvas, x + side, horizon - high + 2 + 7 * k, 3, 4, BLACK)


def _draw_cloud(
    canvas: Canvas, _: np.random.Generator, x: Real, __: Real, high: Real
) -> None:
    y = 0.5 * high
    canvas.fill(ellipse(x, y, 14, 4), WHITE, alpha=0.6)
    canvas.fill(ellipse(x + 7, y - 2, 9, 4), WHITE, alpha=0.6)
