"""The people: how they look, which a seed decides, and how their bodies are drawn.

Lengths are centimetres with the neck's root near (0, 0), x to the viewer's right and
y down. The player faces the viewer: their right hand is on the viewer's left. People
come from one distribution, whatever the instrument, so that no face tells it.
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
    transform,
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
# Of hair. `draw_hair_behind` and `_draw_front_hair` know each of them.
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
    """What stays the same about one player: body, clothes, instrument, room, camera.

    Args:
        skin: colour.
        hair: colour.
        style: of the hair, one of `STYLES`.
        glasses: whether they are worn.
        beard: whether there is one.
        cut: of the clothes, one of `CUTS`.
        top: colour of the clothes.
        trousers: colour.
        accent: colour of tie, chair and drums.
        width: of the shoulders; 1 is average.
        head: its size; 1 is average.
        seat: below 0.4 the player sits where the instrument allows both.
        wood: colour of a wooden instrument.
        brass: colour of a brass instrument.
        zoom: of the camera.
        shift: of the camera, in shares of the picture.
        tilt: of the camera, degrees.
        light: -1 from the viewer's left, 1 from the right.
        exposure: factor on the brightness.
        warmth: of the light, -1 blue to 1 yellow.
        room: seed of the room.
    """

    skin: Colour
    hair: Colour
    style: str
    glasses: bool
    beard: bool
    cut: str
    top: Colour
    trousers: Colour
    accent: Colour
    width: float
    head: float
    seat: float
    wood: Colour
    brass: Colour
    zoom: float
    shift: tuple[float, float]
    tilt: float
    light: float
    exposure: float
    warmth: float
    room: int

    @staticmethod
    def from_player(player: int) -> Look:
        """Draw the look of one person at random, the same in every process."""
        # the order of the draws is part of the world: another order, other people
        rng = make_generator("look", player)

        def pick(table: tuple[Colour, ...]) -> Colour:
            # a little off the table's colours, or people would come in few kinds
            base = np.array(table[rng.integers(len(table))])
            # Not quite 0 or 1: shadow and light must still be able to change the
            # colour.
            r, g, b = np.clip(base + rng.normal(0, 0.02, 3), 0.02, 0.98)
            return float(r), float(g), float(b)

        skin, hair = pick(SKINS), pick(HAIRS)
        style = STYLES[rng.integers(len(STYLES))]
        return Look(
            skin=skin,
            hair=hair,
            style=style,
            glasses=bool(rng.random() < 0.3),
            # `and` draws no number for the other styles, which is part of the order as
            # well.
            beard=bool(style in ("short", "parted", "bald") and rng.random() < 0.4),
            cut=CUTS[rng.integers(len(CUTS))],
            top=pick(CLOTHES),
            trousers=pick(TROUSERS),
            accent=pick(CLOTHES),
            width=float(rng.uniform(0.92, 1.1)),
            head=float(rng.uniform(0.94, 1.06)),
            seat=float(rng.random()),
            wood=pick(WOODS),
            brass=pick(BRASSES),
            zoom=float(rng.uniform(0.95, 1.06)),
            shift=(float(rng.uniform(-0.03, 0.03)), float(rng.uniform(-0.02, 0.02))),
            tilt=float(rng.uniform(-2, 2)),
            light=float(rng.uniform(-1, 1)),
            exposure=float(rng.uniform(0.98, 1.16)),
            warmth=float(rng.uniform(-1, 1)),
            room=int(rng.integers(1 << 30)),
        )


def aim_camera(
    look: Look, frame: tuple[float, float, float], shift: float = 1.0
) -> np.ndarray:
    """Aim a camera: the matrix (2, 3) from centimetres to picture heights.

    Args:
        look: its shift and tilt are the camera's.
        frame: what the picture shows: the centre's x and y and the height, cm.
        shift: the part of the look's shift that is kept.
    """
    x, y, height = frame
    # First the frame's centre goes to (0, 0), then it is scaled to heights of the
    # picture, tilted, and put into the middle, which the shift moves.
    place = (0.5 + shift * look.shift[0], 0.5 + shift * look.shift[1])
    return chain(affine(place, look.tilt, 1 / height), affine((-x, -y)))


@dataclass(frozen=True)
class Body:
    """Where the joints are at one moment, cm; right and left are the player's.

    Args:
        neck: its root.
        head: its middle.
        head_degrees: how far it leans, clockwise.
        turn: of the face; -1 looks to the viewer's left.
        shoulder_right: the joint.
        shoulder_left: the joint.
        hip: the middle of both.
        seated: on a chair.
        knees: half the distance between them.
        cheeks: 0..1, full of air.
        eyes: 0 shut, 1 open.
        jaw: of a speaker, 0 lips closed to 1 wide open; None = closed, not speaking.
        lips: of a speaker, -1 rounded to 1 spread.
    """

    neck: np.ndarray
    head: np.ndarray
    head_degrees: float
    turn: float
    shoulder_right: np.ndarray
    shoulder_left: np.ndarray
    hip: np.ndarray
    seated: bool
    knees: float
    cheeks: float
    eyes: float
    jaw: float | None = None
    lips: float = 0.0


def place_shoulders(
    neck: np.ndarray, lean: Real, look: Look
) -> tuple[np.ndarray, np.ndarray]:
    """Right and left shoulder; the one that the body leans to is lower."""
    # cm from the neck to each shoulder
    wide = 18.5 * look.width
    return neck + (-wide, 6.0 - 0.25 * lean), neck + (wide, 6.0 + 0.25 * lean)


def locate_mouth(look: Look, body: Body) -> np.ndarray:
    """Where the mouth is, cm (2,); it moves sideways as the face turns."""
    return transform(_head_matrix(look, body), (4.2 * body.turn, 7.6))


def find_elbow(
    shoulder: np.ndarray, wrist: np.ndarray, out: Real, upper: float, fore: float
) -> np.ndarray:
    """Find the elbow between shoulder and wrist: inverse kinematics of two links.

    An arm that reaches out of the picture's plane looks shorter, so the links shrink
    when the hand is near and stretch a little when it is far.

    Args:
        shoulder: cm.
        wrist: cm.
        out: to which side the elbow goes, -1 or 1; it hangs down as well.
        upper: length of the upper arm, cm.
        fore: of the forearm, cm.
    """
    reach = wrist - shoulder
    # The bound is for a hand on the shoulder, where a direction would be 0 / 0.
    distance = max(math.hypot(*reach), 1e-6)
    full = upper + fore
    if distance < 0.8 * full:
        # Down to 62 % at no distance, and 1 at 80 % of the arm, so that nothing jumps
        # there.
        shrink = 0.62 + 0.38 * distance / (0.8 * full)
        upper, fore = upper * shrink, fore * shrink
    # Never quite straight (0.995): the elbow of a straight arm lies on the line, where
    # the side that it bends to would be lost.
    stretch = max(1.0, distance / (0.995 * (upper + fore)))
    upper, fore = upper * stretch, fore * stretch
    # The law of cosines: how far along the line from shoulder to wrist the elbow's foot
    # is, and (Pythagoras) how far from that line the elbow. The max is for rounding
    # below 0.
    along = (upper**2 - fore**2 + distance**2) / (2 * distance)
    across = math.sqrt(max(upper**2 - along**2, 0.0))
    u = reach / distance
    bend = np.array([-u[1], u[0]])
    # Of the two solutions the one that points outwards and down (y grows downwards).
    if bend @ (0.7 * out, 1.0) < 0:
        bend = -bend
    return np.asarray(shoulder + u * along + bend * across)


def draw_arm(
    canvas: Canvas, look: Look, shoulder: np.ndarray, hand: np.ndarray, out: Real
) -> None:
    """Draw upper arm, forearm and cuff, which end at the wrist before the hand."""
    joint = find_elbow(shoulder, hand, out, 29.0, 27.0)
    # the hand is drawn later, before the instrument, so the arm ends at the wrist
    towards = hand - joint
    towards = towards / max(math.hypot(*towards), 1e-6)
    wrist = hand - towards * 3.5
    sleeve = look.top if look.cut != "dress" else look.skin
    edge = darken(sleeve, 0.45)
    # Twice, first larger and dark: an outline about both bones without a line between
    # them.
    for grow, colour in ((0.35, edge), (-0.3, sleeve)):
        canvas.fill(capsule(shoulder, joint, 6.4 + grow, 5.2 + grow), colour)
        canvas.fill(capsule(joint, wrist, 5.2 + grow, 3.5 + grow), colour)
    light = lighten(sleeve, 0.22)
    # cm towards the light, which is always a little above.
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
    """Draw a hand whose fingers point along `degrees`; a raised finger is lifted."""
    edge = darken(look.skin, 0.42)
    with canvas.at(affine(hand, degrees)):
        # fingers first: the palm covers where they begin
        for i, lift in enumerate(fingers):
            # Four fingers about the middle; the one nearest to 1.4 is the longest.
            y = (i - 1.5) * 2.1
            tip = (length + 1.6 * lift - abs(i - 1.4) * 0.5, y - 2.4 * lift)
            canvas.fill(
                capsule((1.5, y * 0.8), tip, 1.35, 1.1), look.skin, edge=edge, width=0.4
            )
        palm = ellipse(0.2, 0, 4.2, 3.9)
        canvas.fill(palm, look.skin, edge=edge, width=0.4)
        canvas.fill(ellipse(-0.3, -0.8, 2.8, 2.2), lighten(look.skin, 0.25), alpha=0.5)


def draw_chair(canvas: Canvas, look: Look, body: Body) -> None:
    """Draw the chair, of which the body hides the most."""
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
    """Draw legs and shoes, and the skirt of a dress over them."""
    cloth = look.trousers if look.cut != "dress" else look.top
    edge, lit = darken(cloth, 0.5), lighten(cloth, 0.16)
    shoe = (0.10, 0.09, 0.10)
    x, y = body.hip
    # From the shoe up to the hip: what is nearer to the viewer comes later.
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
        _draw_skirt(canvas, body, cloth)


def _draw_skirt(canvas: Canvas, body: Body, cloth: Colour) -> None:
    x, y = body.hip
    # A skirt lies over the knees of who sits, and hangs down on who stands.
    drop = 30 if body.seated else 74
    reach = body.knees + 8 if body.seated else 24
    skirt = smooth_path(
        [(x - 15, y - 8), (x + 15, y - 8), (x + reach, y + drop)]
        + [(x, y + drop + 3), (x - reach, y + drop)]
    )
    canvas.fill(skirt, cloth, edge=darken(cloth, 0.5))
    for fold in (-0.5, 0.0, 0.5):
        canvas.stroke(
            [(x + fold * 16, y), (x + fold * reach * 1.2, y + drop)],
            darken(cloth, 0.3),
            0.9,
            alpha=0.6,
        )


def draw_torso(canvas: Canvas, look: Look, body: Body) -> None:
    """Draw the torso in what the player wears."""
    right, left = body.shoulder_right, body.shoulder_left
    x, y = body.hip
    # cm from the middle to each side of the waist
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
        _draw_suit(canvas, look, body)
    elif look.cut == "shirt":
        _draw_shirt(canvas, look, body)
    else:
        _draw_neckline(canvas, look, body)


def _draw_suit(canvas: Canvas, look: Look, body: Body) -> None:
    """Shirt front, tie, lapels and the jacket's edge."""
    (x, y), neck, top, tie = body.hip, body.neck, look.top, look.accent
    front = polygon([neck + (-5.5, -3), neck + (5.5, -3), (x, y - 16)])
    canvas.fill(front, (0.94, 0.94, 0.95))
    canvas.fill(
        polygon(
            [neck + (-1.6, 1), neck + (1.6, 1), neck + (2.4, 20), neck + (0, 26)]
            + [neck + (-2.4, 20)]
        ),
        tie,
        edge=darken(tie, 0.4),
        width=0.3,
    )
    for s in (-1, 1):
        lapel = polygon(
            [neck + (s * 5.5, -3), neck + (s * 9.5, 0), neck + (s * 8, 16)]
            + [(x + s * 0.3, y - 14)]
        )
        canvas.fill(lapel, darken(top, 0.22), edge=darken(top, 0.55), width=0.4)
    canvas.stroke([(x, y - 14), (x, y + 5)], darken(top, 0.5), 0.6)


def _draw_shirt(canvas: Canvas, look: Look, body: Body) -> None:
    """The row of buttons, and a collar."""
    (x, y), neck, top = body.hip, body.neck, look.top
    canvas.stroke([neck + (0, 3), (x, y + 5)], darken(top, 0.35), 0.7)
    for i in range(5):
        button = neck + (0.0, 8 + 9 * i)
        canvas.fill(ellipse(button[0], button[1], 0.8, 0.8), lighten(top, 0.5))
    for s in (-1, 1):
        collar = polygon([neck + (s * 5, -4), neck + (s * 8, 3), neck + (0, 5)])
        canvas.fill(collar, lighten(top, 0.25), edge=darken(top, 0.4), width=0.4)


def _draw_neckline(canvas: Canvas, look: Look, body: Body) -> None:
    """The skin above a sweater or, lower, above a dress."""
    neck = body.neck
    low = 9 if look.cut == "dress" else 4
    outline = [neck + (-5.5, -4), neck + (5.5, -4), neck + (4, low - 3)]
    outline += [neck + (0, low), neck + (-4, low - 3)]
    edge = darken(look.top, 0.4)
    canvas.fill(smooth_path(outline), look.skin, edge=edge, width=0.8)


def draw_hair_behind(canvas: Canvas, look: Look, body: Body) -> None:
    """Draw the hair that shows behind head and shoulders; before the torso is drawn."""
    edge = darken(look.hair, 0.4)
    with canvas.at(_head_matrix(look, body)):
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
            # The pony tail shows on the side that the face turns away from.
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
                # No curls below the jaw: they would look like a beard.
                if y < 8:
                    canvas.fill(ellipse(x, y - 4, 5.5, 5.5), look.hair, edge=edge)


def _head_matrix(look: Look, body: Body) -> np.ndarray:
    """From the head's own coordinates to the stage's, (2, 3)."""
    return affine(body.head, body.head_degrees, look.head)


def draw_head(canvas: Canvas, look: Look, body: Body) -> None:
    """Draw neck, face and front hair; the face turns by shifting its features."""
    skin, edge = look.skin, darken(look.skin, 0.45)
    shadow = darken(skin, 0.22)
    canvas.fill(
        capsule(body.head + (0, 8), body.neck + (0, 1), 5.3, 6.0), shadow, edge=edge
    )
    t = body.turn * 4.2  # how far the features shift as the face turns
    drop = 2.4 * (body.jaw or 0.0)  # of the chin
    with canvas.at(_head_matrix(look, body)):
        for s in (-1, 1):
            # Ears move against the turn, the features with it: near and far side of a
            # ball.
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
        # who blows has round red cheeks: a breath that can be seen
        cheek = mix(skin, (0.85, 0.30, 0.25), 0.35)
        size = 2.2 + 1.5 * body.cheeks
        for s in (-1, 1):
            x = s * (6.4 + 1.6 * body.cheeks) + t * 0.8
            canvas.fill(ellipse(x, 4.6, size, size * 0.85), cheek, alpha=0.5)
        _draw_features(canvas, look, body, t)
        _draw_front_hair(canvas, look, t)


def _draw_features(canvas: Canvas, look: Look, body: Body, t: Real) -> None:
    """Brows, eyes, glasses, nose, beard and mouth, moved sideways by `t`."""
    skin = look.skin
    ink = (0.12, 0.09, 0.09)
    for s in (-1, 1):
        x = s * 4.4 + t
        # A bald head has no colour of hair to take, so its brows are of dark skin.
        brow = darken(look.hair, 0.25) if look.style != "bald" else darken(skin, 0.5)
        lift = 0.8 * body.cheeks
        canvas.stroke(
            [(x - 2.2, -4.2 - lift - 0.15 * s), (x + 2.2, -4.2 - lift + 0.15 * s)],
            brow, 1.1,
        )  # fmt: skip
        # below that the lids are shut and only their line shows
        if body.eyes > 0.3:
            canvas.fill(ellipse(x, -1.3, 2.1, 1.5 * body.eyes), (0.97, 0.97, 0.96))
            canvas.fill(ellipse(x + t * 0.12, -1.2, 1.25, 1.35 * body.eyes), ink)
            canvas.fill(ellipse(x + t * 0.12 - 0.4, -1.7, 0.4, 0.4), (1.0, 1.0, 1.0))
        canvas.stroke([(x - 2.3, -1.9), (x, -2.7), (x + 2.3, -1.9)], ink, 0.55)
        if look.glasses:
            canvas.stroke(ellipse(x, -1.2, 3.5, 3.0), (0.15, 0.13, 0.15), 0.7)
    if look.glasses:
        canvas.stroke([(t - 0.9, -1.6), (t + 0.9, -1.6)], (0.15, 0.13, 0.15), 0.7)
    # The nose stands out, so it moves further than the eyes as the face turns.
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
    # a musician's mouth is one line; a speaker's opens, and that is its truth
    if body.jaw is not None:
        _draw_mouth(canvas, look, body.jaw, body.lips, t)
        return
    canvas.stroke(
        [(t - 2.3, 7.2), (t, 7.8), (t + 2.3, 7.2)],
        mix(skin, (0.6, 0.1, 0.1), 0.55),
        1.2,
    )


def _draw_mouth(canvas: Canvas, look: Look, jaw: Real, lips: Real, t: Real) -> None:
    """Lips about an opening as high as ``jaw`` and as wide as ``lips`` say."""
    red = mix(look.skin, (0.70, 0.14, 0.18), 0.55)
    # spread lips are wider; an open jaw makes the opening higher
    wide, high = 3.1 + 1.0 * lips, 0.2 + 3.0 * jaw
    y = 7.4 + 0.75 * high
    canvas.fill(ellipse(t, y, wide + 0.9, high + 1.0), red, edge=darken(red, 0.35),
                width=0.3)  # fmt: skip
    # Closed lips are one line; an opening this small would be a dark spot.
    if jaw < 0.06:
        shut = [(t - wide, y), (t, y + 0.15), (t + wide, y)]
        canvas.stroke(shut, darken(red, 0.6), 0.5)
        return
    canvas.fill(ellipse(t, y, wide, high), (0.20, 0.05, 0.07))
    # Only a mouth that is open enough shows its tongue.
    if high > 0.7:
        canvas.fill(ellipse(t, y + 0.62 * high, 0.62 * wide, 0.34 * high),
                    (0.80, 0.36, 0.38))  # fmt: skip
    # The upper teeth, at most 0.9 cm of them, and half of a small opening.
    teeth = min(0.9, 0.5 * high)
    canvas.fill(ellipse(t, y - high + teeth, 0.74 * wide, teeth * 0.8),
                (0.97, 0.96, 0.93))  # fmt: skip


def _draw_front_hair(canvas: Canvas, look: Look, t: Real) -> None:
    """The hair above the forehead: from the crown to the hairline."""
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
        # Five curls along the forehead; those behind the head are drawn before it.
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
