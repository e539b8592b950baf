"""The 13 instruments, each drawn in coordinates of its own (cm).

Bowed strings lie along +x from the end button at (0, 0) to the scroll. Winds start at
the mouthpiece or lip hole at (0, 0). How an instrument is held, `scene` says.
"""

# ruff: noqa: RUF005 (adding a tuple to an array is arithmetic here)
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.path import Path

from data_scripts.bandstand.canvas import (
    Canvas,
    Colour,
    Points,
    Real,
    affine,
    capsule,
    darken,
    ellipse,
    lighten,
    polygon,
    smooth_path,
)

EBONY: Colour = (0.09, 0.08, 0.09)
GRENADILLA: Colour = (0.11, 0.10, 0.12)
SILVER: Colour = (0.82, 0.84, 0.87)
PALE: Colour = (0.96, 0.93, 0.85)

Profile = Sequence[tuple[Real, Real]]  # (place along the axis, radius)


@dataclass(frozen=True)
class Viol:
    """The shape of one bowed instrument.

    Args:
        body: its length, cm.
        upper: half the width above the waist, a share of the body's length.
        waist: half the width there.
        lower: half the width below.
        slope: the double bass's sloping shoulders.
        pin: length of the pin that it stands on, cm.
    """

    body: float
    upper: float = 0.235
    waist: float = 0.155
    lower: float = 0.29
    slope: bool = False
    pin: float = 0.0

    @property
    def nut(self) -> float:
        """Where the strings end at the scroll's side."""
        return 1.37 * self.body

    @property
    def top(self) -> float:
        """Where the scroll ends."""
        return 1.63 * self.body

    @property
    def bowing(self) -> float:
        """Where the bow meets the strings."""
        return 0.56 * self.body


VIOLS = {
    "violin": Viol(36.0),
    "viola": Viol(47.0, upper=0.245, lower=0.305),
    "cello": Viol(73.0, pin=26.0),
    "double_bass": Viol(
        100.0, upper=0.23, waist=0.17, lower=0.30, slope=True, pin=12.0
    ),
}


def draw_viol(canvas: Canvas, model: Viol, wood: Colour, loudness: Real) -> None:
    """Draw a bowed instrument, whose strings shimmer with the loudness."""
    b, w = model.body, model.waist
    # From back to front: pin, body, holes, tailpiece, neck, fingerboard, bridge,
    # strings. What is drawn later hides what is below it.
    if model.pin:
        canvas.stroke([(-model.pin, 0), (0, 0)], (0.45, 0.45, 0.48), 0.02 * b)
    _draw_viol_body(canvas, model, wood)
    for s in (-1, 1):  # f-holes
        y = s * w * 0.62 * b
        hole = [(0.36 * b, y + s * 0.065 * b), (0.385 * b, y + s * 0.05 * b)]
        hole += [(0.46 * b, y), (0.535 * b, y - s * 0.035 * b), (0.55 * b, y)]
        canvas.stroke(smooth_path(hole, closed=False), EBONY, 0.017 * b)
    tail = [(0.05 * b, 0.028 * b), (0.34 * b, 0.05 * b), (0.34 * b, -0.05 * b)]
    canvas.fill(polygon([*tail, (0.05 * b, -0.028 * b)]), EBONY)
    _draw_viol_neck(canvas, b, wood)
    board = [(0.66 * b, 0.045 * b), (1.37 * b, 0.031 * b), (1.37 * b, -0.031 * b)]
    canvas.fill(polygon([*board, (0.66 * b, -0.045 * b)]), EBONY)
    canvas.stroke([(0.46 * b, -0.07 * b), (0.46 * b, 0.07 * b)], PALE, 0.022 * b)
    blur = 1.0 + 1.2 * loudness  # a string that vibrates looks thicker
    for y in (-1.5, -0.5, 0.5, 1.5):
        a, z = (0.34 * b, y * 0.02 * b), (1.37 * b, y * 0.014 * b)
        canvas.stroke([a, z], (0.93, 0.92, 0.90), 0.0045 * b * blur, alpha=0.85)


def _draw_viol_body(canvas: Canvas, model: Viol, wood: Colour) -> None:
    """The body with its edge, the inlaid line and a gleam."""
    b = model.body
    u, w, low = model.upper, model.waist, model.lower
    if model.slope:
        end = [(0.66, u * 0.95), (0.74, u), (0.83, u * 0.82), (0.92, u * 0.42)]
        end += [(1.0, 0.05)]
    else:
        end = [(0.68, u * 0.95), (0.79, u), (0.90, u * 0.85), (0.97, u * 0.5)]
        end += [(1.0, 0.05)]
    # One half of the outline, in shares of the body's length; the other half is its
    # mirror. The first point lies on the axis and is not repeated.
    half = [(0.0, 0.0), (0.015, low * 0.45), (0.08, low * 0.84), (0.2, low)]
    half += [(0.31, low * 0.83), (0.375, low * 0.74), (0.41, w * 1.06), (0.5, w)]
    half += [(0.58, w * 1.05), (0.615, u * 0.90), *end]
    outline = np.array(half + [(x, -y) for x, y in reversed(half[1:])]) * b
    dark = darken(wood, 0.55)
    line = 0.012 * b + 0.25
    canvas.fill_gradient(
        smooth_path(outline), (0.1 * b, -low * b), (0.3 * b, low * b),
        lighten(wood, 0.28), darken(wood, 0.25),
    )  # fmt: skip
    canvas.stroke(smooth_path(outline), dark, line)
    # Shrunk about the body's middle, or the inlaid line would not run along the edge.
    inner = (outline - (0.5 * b, 0)) * (0.93, 0.88) + (0.5 * b, 0)
    canvas.stroke(smooth_path(inner), darken(wood, 0.35), 0.006 * b + 0.1, alpha=0.7)
    canvas.stroke(
        smooth_path([(0.1 * b, -low * b * 0.72), (0.2 * b, -low * b * 0.82)]
               + [(0.32 * b, -low * b * 0.66)], closed=False),
        lighten(wood, 0.7), 0.02 * b, alpha=0.6,
    )  # fmt: skip


def _draw_viol_neck(canvas: Canvas, b: Real, wood: Colour) -> None:
    """Neck, scroll and the four pegs of an instrument whose body is `b` cm long."""
    dark = darken(wood, 0.55)
    neck = [(0.95 * b, 0.05 * b), (1.38 * b, 0.038 * b), (1.38 * b, -0.038 * b)]
    neck += [(0.95 * b, -0.05 * b)]
    canvas.fill(polygon(neck), darken(wood, 0.1), edge=dark, width=0.4)
    head = [(1.37 * b, 0.035 * b), (1.52 * b, 0.028 * b), (1.58 * b, 0.045 * b)]
    head += [(1.63 * b, 0.0), (1.58 * b, -0.045 * b), (1.52 * b, -0.028 * b)]
    head += [(1.37 * b, -0.035 * b)]
    line = 0.012 * b + 0.25
    canvas.fill(smooth_path(head), wood, edge=dark, width=0.4 * line)
    canvas.fill(ellipse(1.58 * b, 0, 0.022 * b, 0.022 * b), darken(wood, 0.45))
    # Two pegs on each side, in turn.
    for i, x in enumerate((1.41, 1.45, 1.49, 1.53)):
        s = 1 if i % 2 else -1
        canvas.stroke([(x * b, 0), (x * b, s * 0.085 * b)], EBONY, 0.018 * b)


ERHU_NUT, ERHU_BOW = 50.0, 11.0  # along the neck from the box: nut and bow, cm


def draw_erhu(canvas: Canvas, wood: Colour, loudness: Real) -> None:
    """Draw an erhu: box and skin at (0, 0), the neck along +x with its two pegs."""
    dark = darken(wood, 0.45)
    canvas.draw_pipe([(-6, 0), (77, 0)], darken(wood, 0.3), 2.0)
    curl = [(77, 0), (80, 0.6), (81, 2.6), (79, 3.6)]
    canvas.stroke(smooth_path(curl, closed=False), dark, 2.4)
    for x in (64.0, 71.0):  # two long pegs, both on one side
        canvas.stroke([(x, 0), (x, 11)], dark, 2.2)
        canvas.fill(ellipse(x, 11.5, 1.7, 2.4), darken(wood, 0.2), edge=dark)
    # A hexagon of wood, with the python's skin in its face.
    box = [(-6.5, -4.0), (-6.5, 4.0), (0, 7.6), (6.5, 4.0), (6.5, -4.0), (0, -7.6)]
    canvas.fill(polygon(box), wood, edge=dark, width=0.9)
    skin = [(x * 0.76, y * 0.76) for x, y in box]
    canvas.fill(polygon(skin), (0.78, 0.70, 0.52), edge=dark, width=0.4)
    for x, y in ((-2.6, -1.8), (-2.6, 1.8), (1.2, -3.0), (1.2, 3.0), (3.2, 0)):
        canvas.fill(ellipse(x, y, 1.1, 0.8), (0.35, 0.28, 0.2), alpha=0.8)
    canvas.stroke([(0, -1.6), (0, 1.6)], PALE, 1.2)
    blur = 1.0 + 1.2 * loudness  # a string that vibrates looks thicker
    for y in (-0.8, 0.8):
        canvas.stroke([(0, y), (ERHU_NUT, 0.5 * y)], (0.95, 0.94, 0.9), 0.45 * blur)
    nut = [(ERHU_NUT, -1.6), (ERHU_NUT, 1.6)]
    canvas.stroke(nut, PALE, 1.0)


def draw_bow(canvas: Canvas, frog: np.ndarray, tip: np.ndarray, thick: Real) -> None:
    """Stick, hair and frog between two points of the outer coordinates."""
    along = tip - frog
    length = math.hypot(*along)
    degrees = math.degrees(math.atan2(along[1], along[0]))
    with canvas.at(affine(frog, degrees)):
        stick, white = (0.36, 0.16, 0.08), (0.97, 0.96, 0.92)
        # A dark line under the white hair: on a pale ground white alone would not be
        # seen.
        canvas.stroke([(0, 0), (length, 0)], (0.3, 0.28, 0.25), 1.6 * thick, alpha=0.5)
        canvas.stroke([(0, 0), (length, 0)], white, 1.15 * thick)
        # The stick bends towards the hair in its middle, as a modern bow does.
        arch = [(-3, -3.4 * thick), (length / 2, -1.9 * thick)]
        arch += [(length - 1, -3.0 * thick)]
        canvas.stroke(smooth_path(arch, closed=False), darken(stick, 0.4), 1.9 * thick)
        canvas.stroke(smooth_path(arch, closed=False), stick, 1.3 * thick)
        head = [(length, 0), (length + 1.2, -3.4 * thick), (length - 3, -3.2 * thick)]
        canvas.fill(polygon(head), stick, edge=darken(stick, 0.5), width=0.3)
        block = [(-2, -2.6 * thick), (4.5, -2.6 * thick), (4.5, 0.4), (-1, 0.6)]
        canvas.fill(polygon(block), EBONY)
        canvas.fill(ellipse(1.5, -1.1 * thick, 0.9, 0.9), SILVER)


def _turn_profile(profile: Profile) -> Path:
    """The outline of a body turned on a lathe: the profile on both sides."""
    return polygon([*profile, *((x, -r) for x, r in reversed(profile))])


def _draw_turned(canvas: Canvas, profile: Profile, colour: Colour) -> None:
    """A turned wooden or metal body, lit along its upper side."""
    # three layers make it look round: the colour, the shaded lower half, a gleam
    canvas.fill(_turn_profile(profile), colour, edge=darken(colour, 0.6), width=0.5)
    low = [(x, r * 0.95) for x, r in profile] + [
        (x, r * 0.35) for x, r in reversed(profile)
    ]
    canvas.fill(polygon(low), darken(colour, 0.35), alpha=0.8)
    lit = [(x, -r * 0.45) for x, r in profile]
    canvas.stroke(lit, lighten(colour, 0.55), 0.7, alpha=0.8)


def _draw_ring(canvas: Canvas, x: Real, r: Real, colour: Colour, w: Real = 1.2) -> None:
    """A metal ring about the body at `x`."""
    canvas.stroke([(x, -r), (x, r)], darken(colour, 0.45), w + 0.4, cap="butt")
    canvas.stroke([(x, -r), (x, r)], colour, w, cap="butt")
    canvas.stroke([(x, -r * 0.6), (x, -r * 0.2)], lighten(colour, 0.8), w, cap="butt")


def _draw_keys(canvas: Canvas, xs: np.ndarray, size: Real, pressed: int) -> None:
    """A row of silver keys; the first ``pressed`` are down (darken, closer)."""
    for i, x in enumerate(xs):
        # A key that is not pressed stands off the body, towards the light.
        lift = 0.0 if i < pressed else -0.5 * size
        canvas.fill(
            ellipse(x, lift, size, size * 0.85), SILVER, edge=(0.35, 0.36, 0.4),
            width=0.35,
        )  # fmt: skip
        canvas.fill(ellipse(x - size * 0.3, lift - size * 0.3, size * 0.35, size * 0.3),
                    (1.0, 1.0, 1.0))  # fmt: skip


def draw_clarinet(canvas: Canvas, pressed: int) -> None:
    """Black, a wide bell, silver rings and keys."""
    mouth = [(0, 0.5), (3, 1.3), (8, 1.7)]
    canvas.fill(_turn_profile([(x, r) for x, r in mouth]), EBONY, edge=(0.3, 0.3, 0.33))
    _draw_ring(canvas, 5.5, 1.7, SILVER, 2.0)
    body = [(8, 2.3), (14, 2.1), (50, 2.2), (56, 2.9), (62, 4.8), (66, 7.2)]
    _draw_turned(canvas, body, GRENADILLA)
    for x, r in ((8.5, 2.5), (14, 2.4), (34, 2.5), (53, 2.8)):
        _draw_ring(canvas, x, r, SILVER, 1.3)
    _draw_ring(canvas, 65.6, 7.2, SILVER, 1.0)
    canvas.stroke([(17, 2.6), (31, 2.6)], SILVER, 0.7)
    canvas.stroke([(36, 2.7), (50, 2.7)], SILVER, 0.7)
    _draw_keys(canvas, np.array([17, 21, 25, 29.0, 38, 42, 46, 50]), 1.5, pressed)


def draw_oboe(canvas: Canvas, pressed: int) -> None:
    """Slim, a straw-coloured reed between the lips, a small rounded bell."""
    reed = (0.93, 0.82, 0.55)
    canvas.fill(_turn_profile([(-1, 0.8), (2.5, 0.7), (3, 0.4), (6.5, 0.5)]), reed,
                edge=darken(reed, 0.5), width=0.3)  # fmt: skip
    canvas.stroke([(3, 0), (6.5, 0)], (0.65, 0.2, 0.2), 1.2, cap="butt")
    body = [(6, 1.4), (8, 1.1), (24, 1.3), (40, 1.7), (44, 2.4), (48.5, 3.3)]
    _draw_turned(canvas, [*body, (50.5, 3.3), (52, 2.5)], (0.17, 0.11, 0.11))
    for x in (22.5, 40.0):
        _draw_ring(canvas, x, 1.6, SILVER, 1.1)
    canvas.stroke([(10, 1.7), (21, 1.8)], SILVER, 0.6)
    canvas.stroke([(25, 1.9), (39, 2.1)], SILVER, 0.6)
    _draw_keys(canvas, np.array([10, 13, 16, 19.0, 26, 29, 32, 35, 38]), 1.15, pressed)


def draw_flute(canvas: Canvas, pressed: int) -> None:
    """Silver; the lip plate at (0, 0), the foot at +x."""
    canvas.draw_pipe([(-9, 0), (55, 0)], SILVER, 2.5)
    canvas.fill(ellipse(0, -0.4, 2.6, 1.9), lighten(SILVER, 0.3), edge=(0.4, 0.4, 0.45))
    canvas.fill(ellipse(0, -0.7, 0.9, 0.6), (0.2, 0.2, 0.23))
    for x in (9.5, 44.0):
        _draw_ring(canvas, x, 1.8, lighten(SILVER, 0.2), 1.8)
    canvas.stroke([(13, -1.9), (52, -1.9)], darken(SILVER, 0.3), 0.6)
    _draw_keys(canvas, np.array([14, 17.5, 21, 24.5, 31, 34.5, 38, 41.5, 48, 51]), 1.7,
          pressed)  # fmt: skip


BASSOON = 128.0
WING = 74.0  # where the bassoon's bocal leaves it


def draw_bassoon(canvas: Canvas, wood: Colour, pressed: int) -> None:
    """The double tube along +x from the boot at (0, 0) to the bell with its ring."""
    red = (wood[0] * 0.72, wood[1] * 0.52, wood[2] * 0.62)
    # The wing joint and the long joint stand side by side in the boot, 6 cm apart here.
    wing = [(4, 2.6), (34, 2.5), (60, 2.0), (WING, 1.6)]
    with canvas.at(affine((0, 3.6))):
        _draw_turned(canvas, wing, red)
    long = [(6, 3.0), (40, 3.0), (96, 2.7), (100, 3.2), (118, 2.5), (124, 3.3)]
    with canvas.at(affine((0, -2.4))):
        _draw_turned(canvas, [*long, (BASSOON, 3.3)], red)
        _draw_ring(canvas, 126.6, 3.4, PALE, 3.2)
        _draw_ring(canvas, 98, 3.2, SILVER, 1.6)
    boot = [(-6, 4.5), (-5, 6.2), (36, 5.6)]
    with canvas.at(affine((0, 0.4))):
        _draw_turned(canvas, boot, darken(red, 0.08))
        _draw_ring(canvas, -5, 5.6, SILVER, 2.0)
        _draw_ring(canvas, 36, 5.7, SILVER, 1.6)
    canvas.stroke([(2, 0.5), (33, 0.5)], SILVER, 0.8)
    canvas.stroke([(40, 0.6), (92, -0.8)], SILVER, 0.8)
    _draw_keys(canvas, np.array([8.0, 14, 20, 26, 46, 52, 58, 64]), 1.9, pressed)


def draw_bocal(canvas: Canvas, joint: np.ndarray, mouth: np.ndarray) -> None:
    """The bassoon's curved silver pipe, from its wing joint to the player's reed."""
    middle = (joint + mouth) / 2
    # The pipe follows both ends: the instrument moves by itself, and so does the mouth.
    path = [joint, joint + (-1.0, -5.0), middle + (0.5, -3.5), mouth + (2.5, 0.2)]
    canvas.draw_pipe(smooth_path(path, closed=False), SILVER, 1.3)
    canvas.stroke([mouth + (2.8, 0.2), mouth + (-0.5, 0.2)], (0.93, 0.82, 0.55), 1.5)


def draw_bell(
    canvas: Canvas,
    start: Points,
    rim: Points,
    r0: Real,
    r1: Real,
    colour: Colour,
    open_share: Real,
) -> None:
    """Draw a flaring bell.

    Args:
        canvas: is drawn on.
        start: where the bell begins.
        rim: the centre of its mouth, which is an ellipse.
        r0: radius at the start.
        r1: radius of the rim.
        colour: of the metal.
        open_share: the mouth's narrow radius as a share of its wide one.
    """
    a, z = np.array(start, float), np.array(rim, float)
    u = (z - a) / math.hypot(*(z - a))
    # u points out of the bell, n across it.
    n = np.array([-u[1], u[0]])
    length = math.hypot(*(z - a))
    # (share of the length, radius): the bell widens most near its rim.
    side = [(0.0, r0), (0.45, r0 * 1.25), (0.7, r0 + 0.22 * (r1 - r0))]
    side += [(0.87, r0 + 0.52 * (r1 - r0)), (1.0, r1)]
    left = [a + u * length * x + n * r for x, r in side]
    right = [a + u * length * x - n * r for x, r in side]
    upper, lower = (
        smooth_path(left, closed=False),
        smooth_path(right[::-1], closed=False),
    )
    vertices = np.concatenate([upper.vertices, lower.vertices])
    codes = np.full(len(vertices), Path.CURVE4, np.uint8)
    # One closed shape of two curves: down the left side, a line over, and back along
    # the right one, whose points are reversed.
    codes[0], codes[len(vertices) // 2] = Path.MOVETO, Path.LINETO
    cone = Path(vertices, codes)
    canvas.fill_gradient(
        cone, left[-1], right[-1], lighten(colour, 0.35), darken(colour, 0.4)
    )
    canvas.stroke(smooth_path(left, closed=False), darken(colour, 0.6), 0.6)
    canvas.stroke(smooth_path(right, closed=False), darken(colour, 0.6), 0.6)
    lit = [a + u * length * x + n * r * 0.4 for x, r in side]
    canvas.stroke(smooth_path(lit, closed=False), lighten(colour, 0.75), 0.9, alpha=0.8)
    _draw_mouth(canvas, z, math.degrees(math.atan2(u[1], u[0])), r1, colour, open_share)


def _draw_mouth(
    canvas: Canvas, rim: Points, degrees: Real, r1: Real, colour: Colour, share: Real
) -> None:
    """The open end of a bell: rim, inside and the dark throat."""
    with canvas.at(affine(rim, degrees)):
        canvas.fill(ellipse(0, 0, r1 * share + 0.5, r1), lighten(colour, 0.25),
                    edge=darken(colour, 0.6))  # fmt: skip
        rim_x = r1 * share
        canvas.fill(ellipse(0, 0, rim_x * 0.86, r1 * 0.9), darken(colour, 0.35))
        canvas.fill(ellipse(-rim_x * 0.1, 0, rim_x * 0.5, r1 * 0.55),
                    darken(colour, 0.75))  # fmt: skip
        canvas.stroke([(rim_x * 0.6, -r1 * 0.5), (rim_x * 0.78, 0)],
                    lighten(colour, 0.6), 0.8, alpha=0.7)  # fmt: skip


def _draw_valves(
    canvas: Canvas, xs: Points, y: Real, height: Real, r: Real,
    colour: Colour, down: tuple[bool, bool, bool],
) -> None:  # fmt: skip
    """Three upright cylinders with caps; a pressed valve's button is down."""
    for x, pressed in zip(xs, down, strict=True):
        # cm that the button stands above its valve
        rise = 0.8 if pressed else 3.2
        canvas.stroke([(x, y), (x, y - rise)], SILVER, 1.0)
        canvas.fill(ellipse(x, y - rise, 1.6, 0.8), PALE, edge=(0.4, 0.4, 0.4),
                    width=0.3)  # fmt: skip
        canvas.draw_pipe([(x, y), (x, y + height)], colour, r * 2)
        canvas.stroke([(x - r, y), (x + r, y)], SILVER, 1.4)
        canvas.stroke([(x - r, y + height), (x + r, y + height)], SILVER, 1.4)


# The brass instruments' fundamentals with no valve or slide in use (MIDI numbers).
FUNDAMENTALS = {"horn": 29.0, "trombone": 34.0, "trumpet": 46.0, "tuba": 22.0}


def compute_lowering(midi: np.ndarray, fundamental: Real) -> np.ndarray:
    """How far valves or slide lower the next harmonic above each note.

    Brass players use the second harmonic and up, 12 log2(n) semitones above the
    fundamental, and lower it to the notes between.

    Args:
        midi: the notes, MIDI numbers, (K,).
        fundamental: of the instrument with no valve or slide in use.

    Returns:
        Semitones, 0 to 6, (K,).
    """
    # (38,), harmonics 2 to 39 in MIDI numbers: from the low register to above any
    # compass.
    harmonics = fundamental + 12 * np.log2(np.arange(2, 40))
    # 0.4: a note that is a little sharp still belongs to the harmonic below it
    above = np.searchsorted(harmonics, midi - 0.4)
    # `above` is 38 for a note above the last harmonic; 37 is the last index. Three
    # valves lower by 6 semitones at most.
    return np.asarray(np.clip(harmonics[np.minimum(above, 37)] - midi, 0.0, 6.0))


def choose_valves(semitones: Real) -> tuple[bool, bool, bool]:
    """Which of the three valves lower a harmonic by 0 to 6 semitones."""
    # valves 1, 2 and 3 lower by 2, 1 and 3 semitones; 3 alone is not used (1 + 2 is)
    used = ("", "2", "1", "12", "23", "13", "123")[round(semitones)]
    return "1" in used, "2" in used, "3" in used


TRUMPET_VALVES = (20.0, 24.0, 28.0)


def draw_trumpet(canvas: Canvas, brass: Colour, down: tuple[bool, bool, bool]) -> None:
    """Along +x: mouthpiece, one flat coil with three valves, bell."""
    canvas.draw_pipe([(2, 0), (36, 0)], brass, 1.5)
    coil = smooth_path([(36, 0), (40.5, 1.4), (42, 4.6), (40.5, 7.8), (36, 9.2)], False)
    canvas.draw_pipe(coil, brass, 1.6)
    canvas.draw_pipe([(14, 9.2), (36, 9.2)], brass, 1.6)
    back = smooth_path(
        [(14, 9.2), (9.8, 7.8), (8.4, 4.9), (9.8, 2.3), (14, 2.2)], False
    )
    canvas.draw_pipe(back, brass, 1.6)
    _draw_valves(canvas, TRUMPET_VALVES, -2.0, 12.5, 1.6, brass, down)
    canvas.draw_pipe([(14, 2.2), (40, 2.0)], brass, 1.9)
    draw_bell(canvas, (36, 2.0), (57, 2.0), 1.1, 7.2, brass, 0.34)
    canvas.fill(_turn_profile([(-1.5, 1.5), (0, 1.3), (2, 0.7), (4, 0.7)]), SILVER,
                edge=(0.4, 0.4, 0.45), width=0.4)  # fmt: skip


SLIDE = 46.0  # length of the slide's tubes
SLIDE_TRAVEL = 36.0  # from first to seventh position


def draw_trombone_back(canvas: Canvas, brass: Colour) -> None:
    """The tuning slide, which passes behind the player's head."""
    path = [(14, -9.5), (-18, -9.5), (-27, -9.5), (-29, -4.5), (-27, 0.5), (-18, 0.5)]
    path += [(10, 0.5)]
    canvas.draw_pipe(smooth_path(path, closed=False), brass, 2.6)


def draw_trombone(canvas: Canvas, brass: Colour, out: Real) -> None:
    """Along +x from the mouthpiece: slide drawn ``out`` cm, and the bell above."""
    low = 7.0
    draw_bell(canvas, (10, -9.5), (47, -9.5), 1.4, 12.0, brass, 0.34)
    canvas.stroke([(14, -9), (14, low)], darken(brass, 0.2), 1.5)
    canvas.draw_pipe([(2, 0), (14 + SLIDE, 0)], SILVER, 1.6)
    canvas.draw_pipe([(12, low), (14 + SLIDE, low)], SILVER, 1.6)
    # The outer slide covers the inner tubes, so it is drawn after them, further out by
    # `out`.
    near, far = 15.0 + out, 15.0 + out + SLIDE
    end = [(far - 1, 0), (far + 2.6, 0.8), (far + 4, low / 2), (far + 2.6, low - 0.8)]
    canvas.draw_pipe([(near, 0), (far, 0)], brass, 2.2)
    canvas.draw_pipe([(near, low), (far, low)], brass, 2.2)
    canvas.draw_pipe(smooth_path([*end, (far - 1, low)], closed=False), brass, 2.2)
    canvas.stroke([(near + 1.5, 0), (near + 1.5, low)], SILVER, 2.0)
    canvas.fill(_turn_profile([(-2, 2.0), (0, 1.8), (3, 0.8), (6, 0.8)]), SILVER,
                edge=(0.4, 0.4, 0.45), width=0.4)  # fmt: skip


def draw_sax(canvas: Canvas, brass: Colour, pressed: int) -> None:
    """Neck from (0, 0), body down, bow, and the bell turned up beside it."""
    canvas.fill(_turn_profile([(-2, 0.7), (3, 1.5), (5, 1.6)]), EBONY)
    neck = smooth_path([(4, 0), (10, -1.6), (14, 0.5), (15.5, 5)], closed=False)
    canvas.draw_pipe(neck, brass, 2.4)
    for share, wide in ((0.0, 3.4), (0.35, 4.6), (0.7, 5.8)):  # a cone in three steps
        top = (15.5 - 1.3 * share, 5 + 43 * share)
        canvas.draw_pipe([top, (14.2, 48)], brass, wide)
    under = smooth_path(
        [(14.2, 46), (15, 55), (20.5, 60), (27, 57), (29, 49)], closed=False
    )
    canvas.draw_pipe(under, brass, 7.4)
    draw_bell(canvas, (29, 51), (33.5, 23), 4.0, 11.5, brass, 0.42)
    canvas.stroke([(20, 44), (28, 44)], darken(brass, 0.35), 1.5)
    canvas.stroke([(17.6, 12), (17.0, 44)], darken(brass, 0.4), 0.8)
    # The keys are written along x; the body of the saxophone points down.
    with canvas.at(affine((15, 12), 91)):
        _draw_keys(canvas, np.array([0.0, 5, 10, 17, 22, 27, 32]), 2.1, pressed)


def draw_horn_back(canvas: Canvas, brass: Colour) -> None:
    """The bell, drawn before the right hand that reaches into it."""
    draw_bell(canvas, (2, 10), (-22, 19), 3.0, 16.0, brass, 0.62)


def draw_horn_front(
    canvas: Canvas, brass: Colour, down: tuple[bool, bool, bool]
) -> None:
    """The round coil about (0, 0) with rotors; the leadpipe's end is at (4, -31)."""
    lead = smooth_path([(4, -30), (7, -22), (14, -14), (15, -2), (9, 10)], closed=False)
    canvas.draw_pipe(lead, brass, 1.5)
    canvas.fill(capsule((3.2, -32), (4.4, -28.5), 1.7, 0.8), SILVER, edge=(0.4,) * 3)
    canvas.draw_pipe(ellipse(0, 0, 15.5, 15.0), brass, 3.2)
    canvas.draw_pipe(ellipse(0.5, 0.5, 11.2, 10.6), brass, 2.0)
    # The three loops that the valves open.
    for a in (-2.5, 2.5, 7.0):
        loop = [(-7, a - 4), (1, a - 5.4), (8, a - 4), (8, a - 1), (0, a - 1.6)]
        canvas.draw_pipe(smooth_path([*loop, (-7, a - 1)], closed=False), brass, 1.3)
    for i, pressed in enumerate(down):
        x, y = 3.5 + 4.4 * i, 4.5 - 1.5 * i
        rotor = lighten(brass, 0.35)
        canvas.fill(ellipse(x, y, 2.3, 2.3), rotor, edge=darken(brass, 0.55))
        turn = 1.2 if pressed else -0.6
        canvas.stroke([(x, y), (x + turn, y - 1.2)], darken(brass, 0.5), 0.8)
    canvas.draw_pipe(
        smooth_path([(13, 8), (8, 13), (0, 15), (-6, 12)], closed=False), brass, 4.2
    )


def draw_tuba(canvas: Canvas, brass: Colour, down: tuple[bool, bool, bool]) -> None:
    """The bottom bow at (0, 0), the bell far above; the mouthpiece at (-15, -57)."""
    outer = smooth_path(
        [(19, -46), (20, -22), (16, -7), (3, 0), (-11, -6), (-16, -22), (-15, -40)]
        + [(-10, -48), (-3, -48)],
        closed=False,
    )
    canvas.draw_pipe(outer, brass, 8.6)
    # Two inner coils, each the same curve made smaller.
    for shrink, wide in ((0.66, 4.6), (0.40, 3.4)):
        inner = [(10, -40), (11, -22), (8, -12), (1, -8), (-7, -12), (-9, -24)]
        coil = [(x * shrink * 1.25, -25 + (y + 25) * shrink * 1.1) for x, y in inner]
        canvas.draw_pipe(
            smooth_path([*coil, (-6 * shrink, -44 * shrink - 6)]), brass, wide
        )
    draw_bell(canvas, (19, -40), (17, -104), 4.6, 24.0, brass, 0.30)
    _draw_valves(canvas, (-5.5, 0.0, 5.5), -36, 20.0, 2.2, brass, down)
    lead = smooth_path(
        [(-13.5, -57), (-5, -56), (4, -54), (9, -48), (7, -38)], closed=False
    )
    canvas.draw_pipe(lead, brass, 1.9)
    canvas.fill(capsule((-17.0, -57.4), (-13, -57), 2.3, 1.1), SILVER, edge=(0.4,) * 3)
