"""The instruments that hands strike, drawn on the stage, cm; see `hands`.

Each has a part that stands still (`STILL`) and one that shows what sounds (`LIT`).
"""

# ruff: noqa: RUF005 (adding a tuple to an array is arithmetic here)
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from data_scripts.bandstand.canvas import (
    Canvas,
    Colour,
    Real,
    affine,
    capsule,
    darken,
    ellipse,
    lighten,
    mix,
    polygon,
    smooth_path,
    transform,
)
from data_scripts.bandstand.hands import BAR_WIDTH, BARS, KINDS, Stroke, locate_bar
from data_scripts.bandstand.people import Body, Look

HIDE: Colour = (0.93, 0.89, 0.78)  # of a drum
PASTE: Colour = (0.10, 0.09, 0.10)  # the black spot of a tabla's skin
STEEL: Colour = (0.70, 0.71, 0.74)
FLASH: Colour = (1.0, 0.97, 0.78)
CLAY: Colour = (0.74, 0.42, 0.27)
BLACK: Colour = (0.09, 0.08, 0.09)


def draw_crossed_legs(canvas: Canvas, look: Look, body: Body) -> None:
    """Legs of a player who sits on the floor."""
    cloth = look.trousers if look.cut != "dress" else look.top
    edge = darken(cloth, 0.5)
    x, y = body.hip
    for side in (-1.0, 1.0):
        knee = (x + side * 33, y + 15)
        foot = (x - side * 9, y + 23)
        canvas.fill(capsule(foot, (foot[0] - side * 7, foot[1] + 1), 4.2, 3.4),
                    look.skin, edge=darken(look.skin, 0.4))  # fmt: skip
        canvas.fill(capsule((x + side * 8, y + 4), knee, 10.0, 8.4), cloth, edge=edge)
        canvas.fill(capsule(knee, foot, 7.8, 5.4), darken(cloth, 0.12), edge=edge)
        lit = [(x + side * 12, y + 2), (x + side * 27, y + 9)]
        canvas.stroke(lit, lighten(cloth, 0.16), 3.6, alpha=0.5)


# ---------------------------------------------------------------------- tabla

DAYAN, BAYAN = (-15.0, 51.0), (19.0, 52.5)  # the middles of the two skins
RIGHT, LEFT = 10.5, 14.0  # their radii
TILT = 0.40  # a skin that is seen from above its front: its height over its width


def _draw_tabla(canvas: Canvas, look: Look) -> None:
    """The wooden right drum and the metal left one, each on a ring of cloth."""
    cloth = lighten(look.accent, 0.1)
    for (x, y), r, deep in ((DAYAN, RIGHT, 27.0), (BAYAN, LEFT, 25.0)):
        canvas.fill(ellipse(x, y + deep, 0.85 * r, 4.6), cloth, edge=darken(cloth, 0.5))
    _draw_shell(canvas, DAYAN, RIGHT, 27.0, look.wood, 1.12)
    _draw_shell(canvas, BAYAN, LEFT, 25.0, mix(STEEL, look.brass, 0.5), 1.02)
    for place, r in ((DAYAN, RIGHT), (BAYAN, LEFT)):
        _draw_skin(canvas, place, r, 0.0)


def _draw_shell(
    canvas: Canvas, place: tuple[Real, Real], r: Real, deep: Real, colour: Colour,
    belly: Real,
) -> None:  # fmt: skip
    """A drum's body below its skin, with its straps."""
    x, y = place
    half = [(r, 0.0), (belly * r, 0.35 * deep), (0.97 * r, 0.75 * deep)]
    half += [(0.7 * r, deep + 2.5)]
    outline = [(x + dx, y + dy) for dx, dy in half]
    outline += [(x - dx, y + dy) for dx, dy in reversed(half)]
    body = smooth_path(outline)
    canvas.fill_gradient(body, (x - r, y), (x + r, y), lighten(colour, 0.3),
                         darken(colour, 0.45))  # fmt: skip
    canvas.stroke(body, darken(colour, 0.6), 0.7)
    for k in range(-3, 4):
        top = (x + 0.28 * r * k, y + 0.39 * r * math.sqrt(max(0, 1 - (0.28 * k) ** 2)))
        low = (x + 0.20 * r * k, y + deep)
        canvas.stroke([top, low], lighten(HIDE, 0.1), 0.9, alpha=0.85)


def _draw_skin(canvas: Canvas, place: tuple[Real, Real], r: Real, shine: Real) -> None:
    """A skin with its braided ring and its black spot; a struck one is lit."""
    x, y = place
    braid = (0.55, 0.42, 0.28)
    canvas.fill(ellipse(x, y, r + 1.2, TILT * r + 1.4), braid, edge=darken(braid, 0.5))
    skin = mix(HIDE, FLASH, min(1.0, 1.4 * shine))
    canvas.fill(ellipse(x, y, r, TILT * r), skin, edge=darken(HIDE, 0.35), width=0.5)
    # The left drum's spot lies beside its middle.
    beside = 0.0 if r < 12 else 0.22 * r
    spot = mix(PASTE, (0.95, 0.62, 0.25), min(1.0, 1.1 * shine))
    canvas.fill(ellipse(x - beside, y - 0.3, 0.48 * r, 0.48 * TILT * r), spot)


def _light_tabla(canvas: Canvas, look: Look, stroke: Stroke, shine: float) -> None:
    place, r = (BAYAN, LEFT) if stroke.hand == "left" else (DAYAN, RIGHT)
    _draw_skin(canvas, place, r, shine)


# --------------------------------------------------------------------- ghatam

POT = (0.0, 60.0)  # its middle
MOUTH = (1.0, 42.5)


def _clay(look: Look) -> Colour:
    return mix(CLAY, look.wood, 0.3)


def _draw_ghatam(canvas: Canvas, look: Look) -> None:
    """A clay pot on the lap, its mouth up."""
    _draw_pot(canvas, look, 0.0, 0.0)


def _draw_pot(canvas: Canvas, look: Look, shine: float, breath: float) -> None:
    clay = _clay(look)
    x, y = POT
    half = [(8.0, -17.0), (9.0, -14.0), (17.5, -7.5), (20.5, 1.0), (17.0, 11.0)]
    half += [(8.0, 17.0)]
    outline = [(x + dx, y + dy) for dx, dy in half]
    outline += [(x - dx, y + dy) for dx, dy in reversed(half)]
    body = smooth_path(outline)
    lit = mix(lighten(clay, 0.3), FLASH, min(1.0, shine))
    canvas.fill_gradient(body, (x - 19, y - 8), (x + 20, y + 8), lit,
                         darken(clay, 0.45))  # fmt: skip
    canvas.stroke(body, darken(clay, 0.6), 0.8)
    for dy in (-3.0, 4.0):  # the potter's rings
        wide = 19.5 - 0.3 * abs(dy)
        ring = [(x - wide, y + dy), (x, y + dy + 3.5), (x + wide, y + dy)]
        canvas.stroke(smooth_path(ring, closed=False), darken(clay, 0.25), 0.6,
                      alpha=0.7)  # fmt: skip
    canvas.stroke([(x - 12, y - 7), (x - 14.5, y + 3)], lighten(clay, 0.6), 2.0,
                  alpha=0.5)  # fmt: skip
    mx, my = MOUTH
    rim = mix(lighten(clay, 0.15), FLASH, min(1.0, shine))
    canvas.fill(ellipse(mx, my, 9.5, 3.9), rim, edge=darken(clay, 0.55))
    inside = mix(darken(clay, 0.75), (0.95, 0.55, 0.25), min(1.0, breath))
    canvas.fill(ellipse(mx, my + 0.2, 7.6, 2.8), inside)


def _light_ghatam(canvas: Canvas, look: Look, stroke: Stroke, shine: float) -> None:
    deep = stroke.name == "thom"
    _draw_pot(canvas, look, 0.15 * shine if deep else 0.75 * shine, shine * deep)


# ------------------------------------------------------------------ xylophone


def _size_bar(k: int) -> tuple[float, float, float]:
    """The middle of a bar, and half its length, cm: low bars are long."""
    x, y = locate_bar(BARS[k])
    return x, y, 9.5 - 0.32 * k


def _draw_xylophone(canvas: Canvas, look: Look) -> None:
    """A row of bars on a frame with legs and the tubes below them."""
    first, last = _size_bar(0), _size_bar(len(BARS) - 1)
    steel = (0.30, 0.31, 0.35)
    for x in (first[0] + 1, last[0] - 1):
        canvas.stroke([(x, 56), (x + (3 if x > 0 else -3), 118)], steel, 3.0)
    canvas.stroke([(first[0], 92), (last[0], 92)], steel, 2.0)
    for k in range(len(BARS)):
        x, y, half = _size_bar(k)
        tube = [(x, y + half), (x, y + half + 19 - 0.9 * k)]
        canvas.draw_pipe(tube, mix(STEEL, look.brass, 0.6), 3.4)
    for s in (-0.5, 0.5):  # the rails that the bars lie on
        ends = [(first[0] + 3, first[1] + s * 2 * 7.0)]
        ends += [(last[0] - 3, last[1] + s * 2 * 4.0)]
        canvas.stroke(ends, darken(look.wood, 0.5), 2.2)
    for k in range(len(BARS)):
        _draw_bar(canvas, look, k, 0.0)


def _draw_bar(canvas: Canvas, look: Look, k: int, shine: float) -> None:
    x, y, half = _size_bar(k)
    wide = 0.43 * BAR_WIDTH
    rose = mix(look.wood, (0.52, 0.22, 0.14), 0.5)
    colour = mix(lighten(rose, 0.08), FLASH, min(1.0, 1.3 * shine))
    bar = polygon([(x - wide, y - half), (x + wide, y - half), (x + wide, y + half)]
                  + [(x - wide, y + half)])  # fmt: skip
    canvas.fill(bar, colour, edge=darken(rose, 0.6), width=0.5)
    gleam = [(x - 0.4 * wide, y - 0.8 * half), (x - 0.4 * wide, y + 0.8 * half)]
    canvas.stroke(gleam, lighten(colour, 0.45), 0.8, alpha=0.7)


def _light_xylophone(canvas: Canvas, look: Look, stroke: Stroke, shine: float) -> None:
    _draw_bar(canvas, look, BARS.index(round(stroke.midi[0])), shine)


def draw_mallet(canvas: Canvas, hand: np.ndarray, tip: np.ndarray, look: Look) -> None:
    """A mallet from the hand to its round head."""
    along = tip - hand
    u = along / max(math.hypot(*along), 1e-6)
    stick = (0.93, 0.80, 0.56)
    canvas.stroke([hand - u * 5, tip], darken(stick, 0.6), 1.9)
    canvas.stroke([hand - u * 5, tip], stick, 1.2)
    ball = mix((0.85, 0.20, 0.22), look.accent, 0.25)
    canvas.fill(ellipse(tip[0], tip[1] - 1.0, 2.6, 2.6), ball, edge=darken(ball, 0.5))
    canvas.fill(ellipse(tip[0] - 0.8, tip[1] - 1.8, 0.8, 0.8), lighten(ball, 0.6))


# --------------------------------------------------------------------- guitar

STRINGS = KINDS["acoustic_guitar"]["down"].place  # where the right hand crosses them
NECK_DEGREES = -21.0  # of the neck on the stage: up to the viewer's right
# Across the strings, from the lowest on: what a strum downwards follows.
ACROSS = np.array(
    [math.sin(math.radians(-NECK_DEGREES)), math.cos(math.radians(NECK_DEGREES))]
)
BODY_END, NUT = 22.0, 60.0  # along the neck from `STRINGS`: the body's edge, the nut


def _guitar_matrix() -> np.ndarray:
    """From the guitar's own coordinates, x along the neck, to the stage."""
    return affine(STRINGS, NECK_DEGREES)


def locate_fret(along: float) -> np.ndarray:
    """Where the left hand holds the neck, cm; 0 at the nut, 1 at the body."""
    x = NUT - 2.0 - along * (NUT - BODY_END - 4.0)
    return transform(_guitar_matrix(), (x, 0.0))


def _draw_guitar(canvas: Canvas, look: Look) -> None:
    """The body with its hole, bridge and strings; the neck is drawn over an arm."""
    wood = lighten(look.wood, 0.25)
    rim = darken(look.wood, 0.45)
    with canvas.at(_guitar_matrix()):
        half = [(-27.0, 0.0), (-25.0, 12.0), (-14.0, 18.5), (-3.0, 15.5), (4.0, 12.5)]
        half += [(12.0, 14.0), (20.0, 10.5), (BODY_END, 0.0)]
        outline = half + [(x, -y) for x, y in reversed(half[1:-1])]
        body = smooth_path(outline)
        canvas.fill_gradient(body, (-20, -18), (10, 18), lighten(wood, 0.3),
                             darken(wood, 0.2))  # fmt: skip
        canvas.stroke(body, rim, 1.6)
        canvas.fill(ellipse(5.5, 0, 6.2, 6.2), look.accent, edge=rim, width=0.6)
        canvas.fill(ellipse(5.5, 0, 5.0, 5.0), darken(wood, 0.85))
        bridge = polygon([(-15, -6), (-12, -6), (-12, 6), (-15, 6)])
        canvas.fill(bridge, BLACK)
        _draw_strings(canvas, -13.0, BODY_END, 0.0)


def _draw_strings(canvas: Canvas, start: Real, end: Real, blur: Real) -> None:
    for k in range(6):
        y = (k - 2.5) * 1.15
        width = 0.32 + 1.5 * blur
        canvas.stroke([(start, y), (end, y)], (0.96, 0.94, 0.86), width, alpha=0.9)


def draw_neck(canvas: Canvas, look: Look) -> None:
    """Neck, head and tuning pegs."""
    wood = darken(look.wood, 0.3)
    with canvas.at(_guitar_matrix()):
        board = [(12.0, -3.0), (NUT, -2.5), (NUT, 2.5), (12.0, 3.0)]
        canvas.fill(polygon(board), BLACK, edge=darken(wood, 0.4), width=0.5)
        head = [(NUT, -2.6), (NUT + 13, -4.0), (NUT + 13, 4.0), (NUT, 2.6)]
        canvas.fill(polygon(head), wood, edge=darken(wood, 0.5), width=0.5)
        for k in range(3):
            for s in (-1, 1):
                peg = (NUT + 2.5 + 4 * k, s * 4.4)
                canvas.fill(ellipse(*peg, 1.1, 1.0), STEEL)
        for k in range(1, 10):
            x = NUT - 38.0 * (1 - 2 ** (-k / 9.0)) * 1.6
            canvas.stroke([(x, -2.6), (x, 2.6)], STEEL, 0.4, alpha=0.8)
        canvas.stroke([(12, -1), (NUT, -0.8)], (0.9, 0.9, 0.85), 0.3, alpha=0.7)
        canvas.stroke([(12, 1), (NUT, 0.8)], (0.9, 0.9, 0.85), 0.3, alpha=0.7)


def _light_guitar(canvas: Canvas, look: Look, stroke: Stroke, shine: float) -> None:
    with canvas.at(_guitar_matrix()):
        glow = min(1.0, 0.9 * shine)
        canvas.fill(ellipse(5.5, 0, 5.0, 5.0), (0.95, 0.75, 0.4), alpha=0.55 * glow)
        _draw_strings(canvas, -13.0, BODY_END, 0.2 * shine)


STILL: dict[str, Callable[[Canvas, Look], None]] = {
    "acoustic_guitar": _draw_guitar,
    "ghatam": _draw_ghatam,
    "tabla": _draw_tabla,
    "xylophone": _draw_xylophone,
}
LIT: dict[str, Callable[[Canvas, Look, Stroke, float], None]] = {
    "acoustic_guitar": _light_guitar,
    "ghatam": _light_ghatam,
    "tabla": _light_tabla,
    "xylophone": _light_xylophone,
}
