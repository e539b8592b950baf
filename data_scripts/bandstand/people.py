"""Who plays, and where: looks drawn from a seed, bodies, rooms.

Lengths are centimetres with the neck's root near (0, 0), x to the viewer's right and
y down. The player faces the viewer: their right hand is on the viewer's left. People
and rooms come from one distribution, whatever the instrument.
"""

# ruff: noqa: RUF005 (adding a tuple to an array is arithmetic here)
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from data_scripts.bandstand.canvas import (
    Canvas,
    Colour,
    Real,
    affine,
    capsule,
    chain,
    darken,
    ellipse,
    lighten,
    mix,
    polygon,
    smooth_path,
)
from data_scripts.bandstand.world import make_generator

SKINS: tuple[Colour, ...] = (
    (0.98, 0.85, 0.76),
    (0.95, 0.78, 0.66),
    (0.90, 0.70, 0.55),
    (0.80, 0.60, 0.44),
    (0.68, 0.47, 0.33),
    (0.53, 0.35, 0.24),
    (0.40, 0.26, 0.18),
)
HAIRS: tuple[Colour, ...] = (
    (0.10, 0.08, 0.08),
    (0.22, 0.14, 0.09),
    (0.38, 0.23, 0.13),
    (0.60, 0.40, 0.20),
    (0.86, 0.70, 0.42),
    (0.62, 0.25, 0.12),
    (0.66, 0.66, 0.68),
    (0.90, 0.89, 0.87),
)
STYLES = ("short", "parted", "bob", "long", "bun", "curly", "bald", "tail")
CLOTHES: tuple[Colour, ...] = (
    (0.13, 0.13, 0.16),
    (0.16, 0.20, 0.33),
    (0.50, 0.12, 0.17),
    (0.13, 0.36, 0.33),
    (0.36, 0.22, 0.42),
    (0.87, 0.86, 0.82),
    (0.24, 0.42, 0.62),
    (0.44, 0.46, 0.30),
    (0.72, 0.42, 0.36),
    (0.36, 0.38, 0.42),
)
CUTS = ("suit", "shirt", "sweater", "dress")
TROUSERS: tuple[Colour, ...] = (
    (0.12, 0.12, 0.15),
    (0.20, 0.22, 0.30),
    (0.28, 0.25, 0.24),
    (0.24, 0.27, 0.33),
)
WALLS: tuple[Colour, ...] = (
    (0.33, 0.42, 0.52),
    (0.70, 0.72, 0.74),
    (0.79, 0.72, 0.60),
    (0.45, 0.53, 0.47),
    (0.55, 0.38, 0.36),
    (0.25, 0.27, 0.34),
    (0.61, 0.66, 0.74),
    (0.50, 0.44, 0.56),
)
FLOORS: tuple[Colour, ...] = (
    (0.55, 0.37, 0.22),
    (0.42, 0.28, 0.18),
    (0.67, 0.52, 0.35),
    (0.36, 0.35, 0.38),
    (0.40, 0.20, 0.22),
)
WOODS: tuple[Colour, ...] = (
    (0.66, 0.31, 0.11),
    (0.74, 0.42, 0.16),
    (0.55, 0.23, 0.10),
    (0.70, 0.36, 0.18),
    (0.60, 0.34, 0.14),
)
BRASSES: tuple[Colour, ...] = (
    (0.90, 0.70, 0.28),
    (0.86, 0.66, 0.33),
    (0.94, 0.76, 0.36),
    (0.84, 0.60, 0.26),
)


Fingers = tuple[Real, Real, Real, Real]  # 0 down, 1 lifted: index to little finger


@dataclass(frozen=True)
class Look:
    """What stays the same about one player: body, clothes, instrument, room, camera."""

    skin: Colour
    hair: Colour
    style: str
    glasses: bool
    beard: bool
    cut: str
    top: Colour
    trousers: Colour
    accent: Colour
    width: float  # 1: average shoulders
    head: float  # 1: average head
    seat: float  # below 0.4: sits where the instrument allows both
    wood: Colour
    brass: Colour
    zoom: float
    shift: tuple[float, float]  # of the camera, in shares of the picture
    tilt: float  # degrees
    light: float  # -1: from the viewer's left, 1: from the right
    exposure: float
    warmth: float
    room: int

    @staticmethod
    def from_player(player: int) -> Look:
        """The look of one identity, the same in every process."""
        rng = make_generator("look", player)

        def one(table: tuple[Colour, ...]) -> Colour:
            base = np.array(table[rng.integers(len(table))])
            r, g, b = np.clip(base + rng.normal(0, 0.02, 3), 0.02, 0.98)
            return float(r), float(g), float(b)

        skin, hair = one(SKINS), one(HAIRS)
        style = STYLES[rng.integers(len(STYLES))]
        return Look(
            skin=skin,
            hair=hair,
            style=style,
            glasses=bool(rng.random() < 0.3),
            beard=bool(style in ("short", "parted", "bald") and rng.random() < 0.4),
            cut=CUTS[rng.integers(len(CUTS))],
            top=one(CLOTHES),
            trousers=one(TROUSERS),
            accent=one(CLOTHES),
            width=float(rng.uniform(0.92, 1.1)),
            head=float(rng.uniform(0.94, 1.06)),
            seat=float(rng.random()),
            wood=one(WOODS),
            brass=one(BRASSES),
            zoom=float(rng.uniform(0.95, 1.06)),
            shift=(float(rng.uniform(-0.03, 0.03)), float(rng.uniform(-0.02, 0.02))),
            tilt=float(rng.uniform(-2, 2)),
            light=float(rng.uniform(-1, 1)),
            exposure=float(rng.uniform(0.98, 1.16)),
            warmth=float(rng.uniform(-1, 1)),
            room=int(rng.integers(1 << 30)),
        )


def aim_camera(
    look: Look, frame: tuple[float, float, float], shift: float = 1.0, zoom: float = 1.0
) -> np.ndarray:
    """Where centimetres lie in a picture that shows `frame`, in picture heights.

    `frame` is the centre's x and y and the height, in cm. `shift` is the part of the
    look's own shift that is kept, `zoom` enlarges.
    """
    x, y, height = frame
    place = (0.5 + shift * look.shift[0], 0.5 + shift * look.shift[1])
    return chain(affine(place, look.tilt, zoom / height), affine((-x, -y)))


@dataclass(frozen=True)
class Body:
    """Where the joints are at one moment, cm; right and left are the player's."""

    neck: np.ndarray
    head: np.ndarray
    head_degrees: float
    turn: float  # -1: looks to the viewer's left
    shoulder_right: np.ndarray
    shoulder_left: np.ndarray
    hip: np.ndarray
    seated: bool
    knees: float  # half distance between the knees
    cheeks: float  # 0..1: full of air
    eyes: float  # 0 shut, 1 open
    jaw: float | None = None  # who speaks: 0 lips closed, 1 wide open
    lips: float = 0.0  # who speaks: -1 rounded, 1 spread


def find_elbow(
    shoulder: np.ndarray, wrist: np.ndarray, out: Real, upper: float, fore: float
) -> np.ndarray:
    """Two-link inverse kinematics; the elbow hangs down and to the side ``out``.

    An arm reaching out of the picture's plane looks shorter, so the links shrink when
    the hand is near and stretch a little when it is far.
    """
    reach = wrist - shoulder
    distance = max(math.hypot(*reach), 1e-6)
    full = upper + fore
    if distance < 0.8 * full:
        shrink = 0.62 + 0.38 * distance / (0.8 * full)
        upper, fore = upper * shrink, fore * shrink
    stretch = max(1.0, distance / (0.995 * (upper + fore)))
    upper, fore = upper * stretch, fore * stretch
    along = (upper**2 - fore**2 + distance**2) / (2 * distance)
    across = math.sqrt(max(upper**2 - along**2, 0.0))
    u = reach / distance
    bend = np.array([-u[1], u[0]])
    if bend @ (0.7 * out, 1.0) < 0:
        bend = -bend
    return shoulder + u * along + bend * across


def draw_arm(
    canvas: Canvas, look: Look, shoulder: np.ndarray, hand: np.ndarray, out: Real
) -> None:
    """Upper arm, forearm and cuff, ending at the wrist just before the hand."""
    joint = find_elbow(shoulder, hand, out, 29.0, 27.0)
    towards = hand - joint
    towards = towards / max(math.hypot(*towards), 1e-6)
    wrist = hand - towards * 3.5
    sleeve = look.top if look.cut != "dress" else look.skin
    edge = darken(sleeve, 0.45)
    for grow, colour in ((0.35, edge), (-0.3, sleeve)):
        canvas.fill(capsule(shoulder, joint, 6.4 + grow, 5.2 + grow), colour)
        canvas.fill(capsule(joint, wrist, 5.2 + grow, 3.5 + grow), colour)
    light = lighten(sleeve, 0.22)
    lit = np.array([-1.2 if look.light < 0 else 1.2, -1.4])
    canvas.stroke([joint + lit, wrist + lit * 0.6], light, 2.0, alpha=0.55)
    canvas.stroke([shoulder + lit, joint + lit], light, 2.4, alpha=0.45)
    if look.cut in ("suit", "shirt"):
        cuff = (0.93, 0.93, 0.95) if look.cut == "suit" else lighten(look.top, 0.35)
        canvas.fill(
            capsule(wrist - towards * 0.8, wrist + towards * 0.8, 3.4, 3.2),
            cuff,
            edge=darken(cuff, 0.4),
            width=0.4,
        )


def draw_hand(
    canvas: Canvas,
    look: Look,
    hand: np.ndarray,
    degrees: Real,
    fingers: Fingers = (0, 0, 0, 0),
    length: Real = 6.0,
) -> None:
    """A hand whose fingers point along ``degrees``; a raised finger (1) is lifted."""
    edge = darken(look.skin, 0.42)
    with canvas.at(affine(hand, degrees)):
        for i, lift in enumerate(fingers):
            y = (i - 1.5) * 2.1
            tip = (length + 1.6 * lift - abs(i - 1.4) * 0.5, y - 2.4 * lift)
            canvas.fill(
                capsule((1.5, y * 0.8), tip, 1.35, 1.1), look.skin, edge=edge, width=0.4
            )
        palm = ellipse(0.2, 0, 4.2, 3.9)
        canvas.fill(palm, look.skin, edge=edge, width=0.4)
        canvas.fill(ellipse(-0.3, -0.8, 2.8, 2.2), lighten(look.skin, 0.25), alpha=0.5)


def draw_chair(canvas: Canvas, look: Look, body: Body) -> None:
    x, y = body.hip
    metal, pad = (0.25, 0.25, 0.28), darken(look.accent, 0.35)
    for sx in (-19, 19):
        canvas.stroke([(x + sx, y + 6), (x + sx * 1.1, 112)], metal, 2.2)
    back = polygon([(x - 19, 20), (x + 19, 20), (x + 18, 46), (x - 18, 46)])
    canvas.fill(back, pad, edge=darken(pad, 0.5), width=3.0)
    canvas.fill(
        capsule((x - 20, y + 7), (x + 20, y + 7), 5, 5), pad, edge=darken(pad, 0.5)
    )


def draw_legs(canvas: Canvas, look: Look, body: Body) -> None:
    cloth = look.trousers if look.cut != "dress" else look.top
    edge, lit = darken(cloth, 0.5), lighten(cloth, 0.16)
    shoe = (0.10, 0.09, 0.10)
    x, y = body.hip
    for side in (-1.0, 1.0):
        hip = (x + side * 8.5, y)
        if body.seated:
            knee = (x + side * body.knees, y + 14)
            foot = (x + side * (body.knees + 1), 104)
            wide = 10.0
        else:
            knee, foot = (x + side * 11, y + 43), (x + side * 13, 138)
            wide = 9.6
        toe = (foot[0] + side * 5, foot[1] + 3)
        canvas.fill(capsule((foot[0], foot[1] + 2), toe, 4.2, 3.6), shoe)
        canvas.fill(capsule(knee, foot, 7.6, 5.0), darken(cloth, 0.15), edge=edge)
        canvas.fill(capsule(hip, knee, wide, 8.4), cloth, edge=edge)
        canvas.stroke(
            [np.add(hip, (-2, 2)), np.add(knee, (-2, 0))], lit, 4.0, alpha=0.5
        )
    if look.cut == "dress":
        drop = 30 if body.seated else 74
        reach = body.knees + 8 if body.seated else 24
        skirt = smooth_path(
            [(x - 15, y - 8), (x + 15, y - 8), (x + reach, y + drop)]
            + [(x, y + drop + 3), (x - reach, y + drop)]
        )
        canvas.fill(skirt, cloth, edge=edge)
        for fold in (-0.5, 0.0, 0.5):
            canvas.stroke(
                [(x + fold * 16, y), (x + fold * reach * 1.2, y + drop)],
                darken(cloth, 0.3),
                0.9,
                alpha=0.6,
            )


def draw_torso(canvas: Canvas, look: Look, body: Body) -> None:
    right, left = body.shoulder_right, body.shoulder_left
    x, y = body.hip
    w = 15.5 * look.width
    neck = body.neck
    outline = smooth_path(
        [neck + (-5, -3), right + (3, -5.5), right + (-4.5, 1), right + (-2, 12)]
        + [(x - w + 0.5, y - 18), (x - w - 0.5, y + 4), (x, y + 6)]
        + [(x + w + 0.5, y + 4), (x + w - 0.5, y - 18)]
        + [left + (2, 12), left + (4.5, 1), left + (-3, -5.5), neck + (5, -3)]
    )
    top = look.top
    one, two = lighten(top, 0.12), darken(top, 0.35)
    if look.light > 0:
        one, two = two, one
    canvas.fill_gradient(outline, right + (-4, 0), left + (4, 20), one, two)
    canvas.stroke(outline, darken(top, 0.5), 0.7)
    if look.cut == "suit":
        shirt = (0.94, 0.94, 0.95)
        canvas.fill(polygon([neck + (-5.5, -3), neck + (5.5, -3), (x, y - 16)]), shirt)
        tie = look.accent
        canvas.fill(
            polygon(
                [neck + (-1.6, 1), neck + (1.6, 1), neck + (2.4, 20), neck + (0, 26)]
                + [neck + (-2.4, 20)]
            ),
            tie,
            edge=darken(tie, 0.4),
            width=0.3,
        )
        lapel = darken(top, 0.22)
        for s in (-1, 1):
            canvas.fill(
                polygon(
                    [neck + (s * 5.5, -3), neck + (s * 9.5, 0), neck + (s * 8, 16)]
                    + [(x + s * 0.3, y - 14)]
                ),
                lapel,
                edge=darken(top, 0.55),
                width=0.4,
            )
        canvas.stroke([(x, y - 14), (x, y + 5)], darken(top, 0.5), 0.6)
    elif look.cut == "shirt":
        canvas.stroke([neck + (0, 3), (x, y + 5)], darken(top, 0.35), 0.7)
        for i in range(5):
            button = neck + (0.0, 8 + 9 * i)
            canvas.fill(ellipse(button[0], button[1], 0.8, 0.8), lighten(top, 0.5))
        for s in (-1, 1):
            canvas.fill(
                polygon([neck + (s * 5, -4), neck + (s * 8, 3), neck + (0, 5)]),
                lighten(top, 0.25),
                edge=darken(top, 0.4),
                width=0.4,
            )
    else:
        low = 9 if look.cut == "dress" else 4
        canvas.fill(
            smooth_path([neck + (-5.5, -4), neck + (5.5, -4), neck + (4, low - 3)]
                   + [neck + (0, low), neck + (-4, low - 3)]),
            look.skin,
            edge=darken(top, 0.4),
            width=0.8,
        )  # fmt: skip


def draw_hair_behind(canvas: Canvas, look: Look, body: Body) -> None:
    edge = darken(look.hair, 0.4)
    with canvas.at(_head(look, body)):
        if look.style == "long":
            canvas.fill(
                smooth_path([(-13, -6), (-9, -14), (9, -14), (13, -6), (14.5, 12)]
                       + [(12, 22), (0, 19), (-12, 22), (-14.5, 12)]),
                darken(look.hair, 0.25),
                edge=edge,
            )  # fmt: skip
        elif look.style == "bob":
            canvas.fill(
                smooth_path([(-13, -6), (-8, -14), (8, -14), (13, -6), (14, 6)]
                       + [(10, 12), (-10, 12), (-14, 6)]),
                darken(look.hair, 0.25),
                edge=edge,
            )  # fmt: skip
        elif look.style == "bun":
            canvas.fill(ellipse(-2 * body.turn, -17, 6, 5.5), look.hair, edge=edge)
        elif look.style == "tail":
            s = 1.0 if body.turn <= 0 else -1.0
            canvas.fill(
                smooth_path([(s * 8, -12), (s * 16, -8), (s * 17, 6), (s * 13, 15)]
                       + [(s * 11, 4)]),
                darken(look.hair, 0.15),
                edge=edge,
            )  # fmt: skip
        elif look.style == "curly":
            for a in range(0, 360, 36):
                x, y = 13.5 * math.cos(math.radians(a)), 13 * math.sin(math.radians(a))
                if y < 8:
                    canvas.fill(ellipse(x, y - 4, 5.5, 5.5), look.hair, edge=edge)


def _head(look: Look, body: Body) -> np.ndarray:
    return affine(body.head, body.head_degrees, look.head)


def draw_head(canvas: Canvas, look: Look, body: Body) -> None:
    """Neck, face and front hair; the face is turned by shifting its features."""
    skin, edge = look.skin, darken(look.skin, 0.45)
    shadow = darken(skin, 0.22)
    canvas.fill(
        capsule(body.head + (0, 8), body.neck + (0, 1), 5.3, 6.0), shadow, edge=edge
    )
    t = body.turn * 4.2
    drop = 2.4 * (body.jaw or 0.0)  # of the chin
    with canvas.at(_head(look, body)):
        for s in (-1, 1):
            ear = ellipse(s * 11.2 - t * 0.3, 0.5, 2.2, 3.4)
            canvas.fill(ear, shadow, edge=edge, width=0.4)
        face = smooth_path(
            [(-10.4, -8), (0, -14), (10.4, -8), (11.1, 1), (8.6 + t * 0.2, 8.5)]
            + [(3.6 + t * 0.5, 13 + drop), (-3.6 + t * 0.5, 13 + drop)]
            + [(-8.6 + t * 0.2, 8.5)]
            + [(-11.1, 1)]
        )
        lit, dim = lighten(skin, 0.18), darken(skin, 0.18)
        if look.light > 0:
            lit, dim = dim, lit
        canvas.fill_gradient(face, (-11, -6), (11, 8), lit, dim)
        canvas.stroke(face, edge, 0.5)
        cheek = mix(skin, (0.85, 0.30, 0.25), 0.35)
        size = 2.2 + 1.5 * body.cheeks
        for s in (-1, 1):
            x = s * (6.4 + 1.6 * body.cheeks) + t * 0.8
            canvas.fill(ellipse(x, 4.6, size, size * 0.85), cheek, alpha=0.5)
        _features(canvas, look, body, t)
        _front_hair(canvas, look, t)


def _features(canvas: Canvas, look: Look, body: Body, t: Real) -> None:
    skin = look.skin
    ink = (0.12, 0.09, 0.09)
    for s in (-1, 1):
        x = s * 4.4 + t
        brow = darken(look.hair, 0.25) if look.style != "bald" else darken(skin, 0.5)
        lift = 0.8 * body.cheeks
        canvas.stroke(
            [(x - 2.2, -4.2 - lift - 0.15 * s), (x + 2.2, -4.2 - lift + 0.15 * s)],
            brow, 1.1,
        )  # fmt: skip
        if body.eyes > 0.3:
            canvas.fill(ellipse(x, -1.3, 2.1, 1.5 * body.eyes), (0.97, 0.97, 0.96))
            canvas.fill(ellipse(x + t * 0.12, -1.2, 1.25, 1.35 * body.eyes), ink)
            canvas.fill(ellipse(x + t * 0.12 - 0.4, -1.7, 0.4, 0.4), (1.0, 1.0, 1.0))
        canvas.stroke([(x - 2.3, -1.9), (x, -2.7), (x + 2.3, -1.9)], ink, 0.55)
        if look.glasses:
            canvas.stroke(ellipse(x, -1.2, 3.5, 3.0), (0.15, 0.13, 0.15), 0.7)
    if look.glasses:
        canvas.stroke([(t - 0.9, -1.6), (t + 0.9, -1.6)], (0.15, 0.13, 0.15), 0.7)
    nose = t * 1.25
    canvas.stroke(
        smooth_path(
            [(nose + 0.2, -1), (nose + 1.5, 3.0), (nose - 0.6, 3.6)], closed=False
        ),
        darken(skin, 0.4),
        0.7,
    )
    if look.beard:
        beard = smooth_path(
            [(-9 + t * 0.4, 4), (-4 + t, 5.3), (t, 4.6), (4 + t, 5.3)]
            + [(9 + t * 0.4, 4), (7.4 + t * 0.3, 10)]
            + [(t * 0.6, 14.3 + 2.4 * (body.jaw or 0.0)), (-7.4 + t * 0.3, 10)]
        )
        canvas.fill(beard, darken(look.hair, 0.1), alpha=0.93)
    if body.jaw is not None:
        _mouth(canvas, look, body.jaw, body.lips, t)
        return
    canvas.stroke(
        [(t - 2.3, 7.2), (t, 7.8), (t + 2.3, 7.2)],
        mix(skin, (0.6, 0.1, 0.1), 0.55),
        1.2,
    )


def _mouth(canvas: Canvas, look: Look, jaw: Real, lips: Real, t: Real) -> None:
    """Lips about an opening as high as ``jaw`` and as wide as ``lips`` say."""
    red = mix(look.skin, (0.70, 0.14, 0.18), 0.55)
    wide, high = 3.1 + 1.0 * lips, 0.2 + 3.0 * jaw
    y = 7.4 + 0.75 * high
    canvas.fill(ellipse(t, y, wide + 0.9, high + 1.0), red, edge=darken(red, 0.35),
                width=0.3)  # fmt: skip
    if jaw < 0.06:
        shut = [(t - wide, y), (t, y + 0.15), (t + wide, y)]
        canvas.stroke(shut, darken(red, 0.6), 0.5)
        return
    canvas.fill(ellipse(t, y, wide, high), (0.20, 0.05, 0.07))
    if high > 0.7:
        canvas.fill(ellipse(t, y + 0.62 * high, 0.62 * wide, 0.34 * high),
                    (0.80, 0.36, 0.38))  # fmt: skip
    teeth = min(0.9, 0.5 * high)
    canvas.fill(ellipse(t, y - high + teeth, 0.74 * wide, teeth * 0.8),
                (0.97, 0.96, 0.93))  # fmt: skip


def _front_hair(canvas: Canvas, look: Look, t: Real) -> None:
    hair, edge = look.hair, darken(look.hair, 0.45)
    if look.style == "bald":
        canvas.fill(
            ellipse(-3.5, -10, 3.2, 1.7, -18), lighten(look.skin, 0.6), alpha=0.6
        )
        for s in (-1, 1):
            canvas.fill(ellipse(s * 11, -2.5, 1.6, 4), hair)
        return
    if look.style == "parted":
        crown = [(-12, 1), (-12.6, -8), (-7, -15), (3, -16.5), (11, -12), (12.3, 0)]
        line = [(10.5, -5), (6, -8.5), (-2, -7.5), (-6, -10), (-9.8, -5)]
    elif look.style == "short":
        crown = [(-11.8, 0), (-12.3, -8), (-7, -15), (0, -16.5), (7, -15), (12.3, -8)]
        crown += [(11.8, 0)]
        line = [(10.2, -5), (6, -9.6), (0, -10.4), (-6, -9.6), (-10.2, -5)]
    elif look.style == "curly":
        for x, y in ((-9, -9), (-5, -13), (0, -14), (5, -13), (9, -9)):
            canvas.fill(ellipse(x, y, 4.4, 3.9), hair, edge=edge, width=0.4)
        return
    else:
        crown = [(-12.3, 6), (-12.8, -6), (-8, -14.5), (0, -16.8), (8, -14.5)]
        crown += [(12.8, -6), (12.3, 6)]
        line = [(10, -3), (7, -8), (-1 + t, -10.5), (-7, -8), (-10, -3)]
    canvas.fill(smooth_path(crown + line), hair, edge=edge, width=0.5)
    canvas.stroke(
        smooth_path([(-7, -12.5), (-1, -14.3), (5, -13.6)], closed=False),
        lighten(hair, 0.4), 1.3, alpha=0.55,
    )  # fmt: skip


def draw_room(room: int, width: int, height: int) -> np.ndarray:
    """A room behind ``width / height`` players, uint8 (height, width, 3)."""
    rng = make_generator("room", room)
    span = 100.0 * width / height
    canvas = Canvas(width, height, affine(scale=height / 100.0))
    wall = WALLS[rng.integers(len(WALLS))]
    floor = FLOORS[rng.integers(len(FLOORS))]
    horizon = float(rng.uniform(74, 84))
    everything = polygon([(0, 0), (span, 0), (span, horizon), (0, horizon)])
    canvas.fill_gradient(
        everything, (0, 0), (0, horizon), darken(wall, 0.12), lighten(wall, 0.2)
    )
    _wall(canvas, rng, wall, span, horizon)
    ground = polygon([(0, horizon), (span, horizon), (span, 100), (0, 100)])
    canvas.fill_gradient(
        ground, (0, horizon), (0, 100), darken(floor, 0.25), lighten(floor, 0.08)
    )
    if rng.random() < 0.6:  # planks towards a vanishing point
        for x in np.arange(-span, 2 * span, 9.0):
            end = span / 2 + (x - span / 2) * 1.7
            canvas.stroke([(x, horizon), (end, 100)], darken(floor, 0.35), 0.35)
    canvas.fill(
        polygon([(0, horizon - 1.8), (span, horizon - 1.8), (span, horizon)]
                + [(0, horizon)]),
        lighten(wall, 0.35) if rng.random() < 0.5 else darken(floor, 0.3),
    )  # fmt: skip
    centre = float(rng.uniform(0.3, 0.7)) * span
    if rng.random() < 0.45:  # a stage light's cone
        for grow in (1.0, 0.75, 0.5):
            canvas.fill(
                polygon([(centre - 3, -2), (centre + 3, -2)]
                        + [(centre + 42 * grow, 100), (centre - 42 * grow, 100)]),
                (1.0, 0.96, 0.82), alpha=0.07,
            )  # fmt: skip
    return np.ascontiguousarray(canvas.to_array()[:, :, :3])


def _wall(
    canvas: Canvas, rng: np.random.Generator, wall: Colour, span: float, horizon: float
) -> None:
    """Curtain, panels or bare wall, with a window, painting, plant or stand."""
    kind = rng.integers(3)
    if kind == 0:
        cloth = CLOTHES[rng.integers(1, len(CLOTHES))]
        for i, x in enumerate(np.arange(0, span, 7.0)):
            fold = polygon([(x, 0), (x + 7, 0), (x + 7, horizon), (x, horizon)])
            one, two = darken(cloth, 0.5), darken(cloth, 0.12 + 0.06 * (i % 2))
            canvas.fill_gradient(fold, (x, 0), (x + 7, 0), one, two)
    elif kind == 1:
        for x in np.arange(2, span, 24.0):
            for top, bottom in ((6, horizon * 0.62), (horizon * 0.68, horizon - 5)):
                canvas.stroke(
                    polygon([(x, top), (x + 20, top), (x + 20, bottom), (x, bottom)]),
                    darken(wall, 0.3), 0.6,
                )  # fmt: skip
    side = float(rng.choice([0.06, 0.70])) * span
    thing = rng.integers(4)
    if thing == 0:
        sky = mix((0.62, 0.80, 0.95), (0.98, 0.80, 0.60), float(rng.random()))
        frame = polygon([(side, 8), (side + 24, 8), (side + 24, 50), (side, 50)])
        canvas.fill_gradient(frame, (side, 8), (side, 50), sky, lighten(sky, 0.6))
        canvas.stroke(frame, (0.93, 0.92, 0.90), 1.8)
        canvas.stroke([(side + 12, 8), (side + 12, 50)], (0.93, 0.92, 0.90), 1.0)
        canvas.stroke([(side, 28), (side + 24, 28)], (0.93, 0.92, 0.90), 1.0)
    elif thing == 1:
        frame = polygon([(side, 14), (side + 26, 14), (side + 26, 34), (side, 34)])
        one, two = CLOTHES[rng.integers(10)], CLOTHES[rng.integers(10)]
        canvas.fill_gradient(frame, (side, 14), (side + 20, 34), lighten(one, 0.4), two)
        canvas.stroke(frame, (0.45, 0.33, 0.14), 1.6)
    elif thing == 2:
        x, green = side + 11, (0.20, 0.42, 0.24)
        for a in np.linspace(-75, 75, 7):
            tip = (x + 16 * math.sin(math.radians(a)), 50 - 20 * math.cos(a / 70))
            leaf = smooth_path([(x, 62), ((x + tip[0]) / 2 - 3, 50), tip]
                          + [((x + tip[0]) / 2 + 3, 54)])  # fmt: skip
            shade = mix(green, lighten(green, 0.3), float(rng.random()))
            canvas.fill(leaf, shade, edge=darken(green, 0.4), width=0.3)
        canvas.fill(
            polygon([(x - 6, 62), (x + 6, 62), (x + 4.5, horizon + 4)]
                    + [(x - 4.5, horizon + 4)]),
            (0.62, 0.36, 0.24), edge=(0.35, 0.2, 0.13),
        )  # fmt: skip
    else:
        x, steel = side + 12, (0.16, 0.16, 0.18)
        canvas.stroke([(x, 52), (x, horizon + 8)], steel, 1.0)
        canvas.stroke([(x - 7, horizon + 10), (x, horizon + 3), (x + 7, horizon + 10)],
                    steel, 1.0)  # fmt: skip
        canvas.fill(polygon([(x - 12, 36), (x + 12, 36), (x + 13, 54), (x - 13, 54)]),
                    steel)  # fmt: skip
        canvas.fill(polygon([(x - 10, 37), (x - 0.4, 38), (x - 0.4, 53), (x - 10, 52)]),
                    (0.96, 0.95, 0.91))  # fmt: skip
        canvas.fill(polygon([(x + 10, 37), (x + 0.4, 38), (x + 0.4, 53), (x + 10, 52)]),
                    (0.93, 0.92, 0.87))  # fmt: skip
