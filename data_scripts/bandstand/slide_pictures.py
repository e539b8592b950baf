"""Pictures of slides: a letter, an object and its written word on a ground."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from data_scripts.bandstand.canvas import (
    Canvas,
    Colour,
    affine,
    darken,
    ellipse,
    polygon,
    smooth_path,
    transform,
)
from data_scripts.bandstand.slide_words import COLOURS

# (family, weight): fonts that come with matplotlib, so every machine has them.
FONTS = (
    ("DejaVu Sans", "bold"),
    ("DejaVu Serif", "bold"),
    ("DejaVu Sans Mono", "bold"),
    ("STIXGeneral", "bold"),
    ("DejaVu Sans", "normal"),
)
GROUNDS = ("flat", "radial", "white")


@dataclass(frozen=True)
class Style:
    """How the slides of one source video look, whatever they show.

    Attributes:
        font: one of `FONTS`.
        small: whether the small letter stands beside the capital one, as in "Hh".
        eyes: whether the letter has them.
        ground: one of `GROUNDS`.
        near: colour of the ground, in its middle where it is radial.
        far: colour in its corners.
        ink: colour of letter and word.
        mirrored: whether the object is on the left and the letter on the right.
        motion: of the letter on the beat: "tilt", "bounce" or "swell".
        size: of that motion, 1 is average.
        entrance: of the object: "pop", "grow" or "slide".
    """

    font: tuple[str, str]
    small: bool
    eyes: bool
    ground: str
    near: Colour
    far: Colour
    ink: Colour
    mirrored: bool
    motion: str
    size: float
    entrance: str


MOTIONS = ("tilt", "bounce", "swell")
ENTRANCES = ("pop", "grow", "slide")


def choose_style(rng: np.random.Generator) -> Style:
    """Draw a style at random. It does not know what will be shown, so it tells none."""
    hue = float(rng.random())
    ground = GROUNDS[rng.integers(len(GROUNDS))]
    near, far = _mix_hue(hue, 0.30, 0.97), _mix_hue(hue, 0.75, 0.70)
    if ground == "flat":
        near = far = _mix_hue(hue, float(rng.uniform(0.35, 0.7)), 0.92)
    elif ground == "white":
        near = far = (1.0, 1.0, 1.0)
    # Half way round the circle of colours, so that the letter stands out.
    ink = _mix_hue(
        hue + float(rng.uniform(0.4, 0.6)), 0.85, float(rng.uniform(0.35, 0.6))
    )
    return Style(
        font=FONTS[rng.integers(len(FONTS))],
        small=bool(rng.random() < 0.3),
        eyes=bool(rng.random() < 0.4),
        ground=ground,
        near=near,
        far=far,
        ink=ink,
        mirrored=bool(rng.random() < 0.3),
        motion=MOTIONS[rng.integers(len(MOTIONS))],
        size=float(rng.uniform(0.8, 1.3)),
        entrance=ENTRANCES[rng.integers(len(ENTRANCES))],
    )


def _mix_hue(hue: float, saturation: float, value: float) -> Colour:
    """A colour of the circle; hue 0 and 1 are red."""
    parts = [abs((6 * hue + shift) % 6 - 3) - 1 for shift in (0, 4, 2)]
    r, g, b = (value * (1 - saturation * (1 - min(max(p, 0), 1))) for p in parts)
    return r, g, b


@dataclass(frozen=True)
class Moment:
    """What a slide shows at one moment.

    Attributes:
        shown: how much of the object has entered, 0 to 1.
        written: how many letters of the word are written; a part of one is not drawn.
        pulse: 1 on the beat, falling to 0 before the next.
        tilt: 1 on the first beat of two, -1 on the second.
    """

    shown: float
    written: float
    pulse: float
    tilt: float


def draw_slide(
    letter: str, word: str, drawing: str, style: Style, moment: Moment, size: int
) -> np.ndarray:
    """Draw a slide: uint8 (size, size, 3).

    Args:
        letter: the capital one.
        word: as it is written.
        drawing: of the object, see `slide_words`.
        style: of its source video.
        moment: what moves, at that moment.
        size: pixels a side.
    """
    # 100 units a side, whatever the pixels.
    canvas = Canvas(size, size, affine(scale=size / 100))
    beside = -1 if style.mirrored else 1
    _draw_letter(canvas, letter, style, moment, 50 - 23 * beside)
    if moment.shown > 0.01:
        _draw_object(canvas, drawing, style, moment, 50 + 24 * beside)
    _write_word(canvas, word, style, moment)
    return _lay_over(canvas.to_array(), _draw_ground(style, size))


def _lay_over(rgba: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """The picture on the ground."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    mixed = alpha * rgba[..., :3] + (1 - alpha) * ground
    return np.asarray(np.round(mixed), np.uint8)


@lru_cache(maxsize=64)
def _draw_ground(style: Style, size: int) -> np.ndarray:
    """The ground, float32 (size, size, 3): light in the middle where it is radial."""
    rows, columns = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    away = np.clip(np.hypot(rows, columns) / 0.7, 0, 1)[..., None]
    near, far = 255 * np.array(style.near), 255 * np.array(style.far)
    return np.asarray(near + (far - near) * away, np.float32)


def _draw_letter(
    canvas: Canvas, letter: str, style: Style, moment: Moment, x: float
) -> None:
    """The letter, which moves on the beat in its own way, with eyes or without."""
    text = letter + (letter.lower() if style.small else "")
    degrees, scale, lift = 0.0, 1.0, 0.0
    if style.motion == "tilt":
        degrees = 11 * style.size * moment.tilt
    elif style.motion == "bounce":
        lift = 9 * style.size * moment.pulse
    else:
        scale = 1 + 0.16 * style.size * moment.pulse
    shape, height = _shape_text(text, style.font)
    # Two letters must share the room of one.
    fit = scale * min(46 / height, 44 / shape.get_extents().width)
    with canvas.at(affine((x, 38 - lift), degrees, fit)):
        canvas.fill(shape, style.ink, edge=darken(style.ink, 0.5), width=1.2 / fit)
    if style.eyes:
        with canvas.at(affine((x, 38 - lift), degrees, scale)):
            for side in (-1, 1):
                canvas.fill(ellipse(7 * side, -9, 5.5, 6.5), (1, 1, 1), edge=(0, 0, 0))
                canvas.fill(ellipse(7 * side, -8, 2.6, 3.2), (0.05, 0.05, 0.08))


@lru_cache(maxsize=256)
def _shape_text(text: str, font: tuple[str, str]) -> tuple[Path, float]:
    """The outline of a text about (0, 0), and its height; y grows downwards."""
    family, weight = font
    path = TextPath((0, 0), text, 50, prop=FontProperties(family, weight=weight))
    vertices = np.asarray(path.vertices) * (1, -1)
    # Codes of closing points carry no place: they are left out of the middle.
    real = vertices[np.asarray(path.codes) != Path.CLOSEPOLY]
    low, high = real.min(axis=0), real.max(axis=0)
    vertices = np.where(
        (np.asarray(path.codes) == Path.CLOSEPOLY)[:, None], low, vertices
    )
    return Path(vertices - (low + high) / 2, path.codes), float(high[1] - low[1])


def _draw_object(
    canvas: Canvas, drawing: str, style: Style, moment: Moment, x: float
) -> None:
    """The object as far as it has entered; it nods on the beat."""
    here, scale, shown = x, 0.40, moment.shown
    if style.entrance == "slide":
        # From beyond the nearer edge.
        outside = 130 if x > 50 else -30
        here = outside + (x - outside) * shown
    else:
        # A pop is larger for a moment than it will be.
        over = 0.6 * math.sin(math.pi * shown) if style.entrance == "pop" else 0.0
        scale *= max(0.02, shown + over * shown)
    degrees = 6 * style.size * moment.tilt
    with canvas.at(affine((here, 44), degrees, scale)):
        draw_object(canvas, drawing)


def draw_object(canvas: Canvas, drawing: str) -> None:
    """Draw the shapes of a drawing in their order, each with a dark edge."""
    for kind, colour, path, width in _read_drawing(drawing):
        if kind in "lc":
            canvas.stroke(path, darken(colour, 0.45), width + 2.4)
            canvas.stroke(path, colour, width)
        else:
            canvas.fill(path, colour, edge=darken(colour, 0.45), width=1.6)


@lru_cache(maxsize=256)
def _read_drawing(drawing: str) -> tuple[tuple[str, Colour, Path, float], ...]:
    """The shapes of a drawing: kind, colour, path, and width of a line."""
    shapes = []
    for line in drawing.splitlines():
        kind, name, *numbers = line.split()
        values = [float(n) for n in numbers]
        width = values.pop(0) if kind in "lc" else 0.0
        points = np.array(values).reshape(-1, 2)
        if kind == "e":
            (x, y), (rx, ry) = points.tolist()
            path = ellipse(x, y, rx, ry)
        elif kind == "p":
            path = polygon(points)
        elif kind == "l":
            path = Path(points)
        else:
            path = smooth_path(points, closed=kind == "s")
        shapes.append((kind, COLOURS[name], path, width))
    return tuple(shapes)


def _write_word(canvas: Canvas, word: str, style: Style, moment: Moment) -> None:
    """As many letters of the word as are written; those that come keep their room."""
    count = min(int(moment.written + 1e-6), len(word))
    if not count:
        return
    whole, _ = _shape_text(word, style.font)
    wide = whole.get_extents().width
    fit = min(0.34, 84 / wide)
    # The left end of the whole word: what is written does not move as more comes.
    left = 50 - fit * wide / 2
    part, _ = _shape_text(word[:count], style.font)
    first = part.get_extents().x0
    # All parts stand on one line, the foot of the letters that have no tail.
    foot = 88 - fit * _find_foot(word[:count], style.font)
    matrix = affine((left - fit * first, foot), 0, fit)
    outline = Path(transform(matrix, part.vertices), part.codes)
    canvas.fill(outline, style.ink, edge=darken(style.ink, 0.5), width=0.5)


@lru_cache(maxsize=256)
def _find_foot(text: str, font: tuple[str, str]) -> float:
    """How far below the middle of its outline a text's line is."""
    family, weight = font
    path = TextPath((0, 0), text, 50, prop=FontProperties(family, weight=weight))
    real = np.asarray(path.vertices)[np.asarray(path.codes) != Path.CLOSEPOLY]
    return float((real[:, 1].min() + real[:, 1].max()) / 2)
