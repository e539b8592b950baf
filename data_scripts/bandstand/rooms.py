"""Rooms: what is behind the players. A seed decides them, whatever is played."""

from __future__ import annotations

import math

import numpy as np

from data_scripts.bandstand.canvas import (
    Canvas,
    Colour,
    affine,
    darken,
    lighten,
    mix,
    polygon,
    rectangle,
    smooth_path,
)
from data_scripts.bandstand.people import CLOTHES
from data_scripts.bandstand.world import make_generator

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


def draw_room(room: int, width: int, height: int) -> np.ndarray:
    """Draw a room behind `width / height` players.

    Args:
        room: the seed.
        width: pixels.
        height: pixels; in the room's own units, 100.

    Returns:
        uint8 (height, width, 3)
    """
    # The order of the draws is part of the world: another order, other rooms.
    rng = make_generator("room", room)
    # A room has 100 units in height, whatever the pixels, so it looks the same at each
    # size. A row of players has one room, as wide as the row.
    span = 100.0 * width / height
    canvas = Canvas(width, height, affine(scale=height / 100.0))
    wall = WALLS[rng.integers(len(WALLS))]
    floor = FLOORS[rng.integers(len(FLOORS))]
    horizon = float(rng.uniform(74, 84))
    everything = rectangle(0, 0, span, horizon)
    canvas.fill_gradient(
        everything, (0, 0), (0, horizon), darken(wall, 0.12), lighten(wall, 0.2)
    )
    _draw_wall(canvas, rng, wall, span, horizon)
    _draw_decoration(canvas, rng, span, horizon)
    # The floor comes last and hides what stands below its edge, so plants and stands
    # seem to be behind it.
    ground = rectangle(0, horizon, span, 100)
    canvas.fill_gradient(
        ground, (0, horizon), (0, 100), darken(floor, 0.25), lighten(floor, 0.08)
    )
    if rng.random() < 0.6:  # planks towards a vanishing point
        for x in np.arange(-span, 2 * span, 9.0):
            # near planks look wider than far ones
            end = span / 2 + (x - span / 2) * 1.7
            canvas.stroke([(x, horizon), (end, 100)], darken(floor, 0.35), 0.35)
    skirting = lighten(wall, 0.35) if rng.random() < 0.5 else darken(floor, 0.3)
    canvas.fill(rectangle(0, horizon - 1.8, span, horizon), skirting)
    centre = float(rng.uniform(0.3, 0.7)) * span
    if rng.random() < 0.45:  # a stage light's cone
        # Three cones over each other, each nearly transparent: brighter in the middle.
        for grow in (1.0, 0.75, 0.5):
            near, far = centre - 42 * grow, centre + 42 * grow
            cone = [(centre - 3, -2), (centre + 3, -2), (far, 100), (near, 100)]
            canvas.fill(polygon(cone), (1.0, 0.96, 0.82), alpha=0.07)
    # Without alpha, which is full everywhere. The slice would keep the whole buffer
    # alive.
    return np.ascontiguousarray(canvas.to_array()[:, :, :3])


def _draw_wall(
    canvas: Canvas, rng: np.random.Generator, wall: Colour, span: float, horizon: float
) -> None:
    """A curtain, panels or a bare wall."""
    kind = rng.integers(3)
    if kind == 0:
        # Not the first colour: a black curtain would hide dark clothes and instruments.
        cloth = CLOTHES[rng.integers(1, len(CLOTHES))]
        # Each fold goes from dark to light, and every second one less so.
        for i, x in enumerate(np.arange(0, span, 7.0)):
            fold = rectangle(x, 0, x + 7, horizon)
            one, two = darken(cloth, 0.5), darken(cloth, 0.12 + 0.06 * (i % 2))
            canvas.fill_gradient(fold, (x, 0), (x + 7, 0), one, two)
    elif kind == 1:
        for x in np.arange(2, span, 24.0):
            for top, bottom in ((6, horizon * 0.62), (horizon * 0.68, horizon - 5)):
                panel = rectangle(x, top, x + 20, bottom)
                canvas.stroke(panel, darken(wall, 0.3), 0.6)


def _draw_decoration(
    canvas: Canvas, rng: np.random.Generator, span: float, horizon: float
) -> None:
    """A window, painting, plant or music stand at the left or the right."""
    # At either side: the player stands in the middle and would hide it.
    side = float(rng.choice([0.06, 0.70])) * span
    draw = (_draw_window, _draw_painting, _draw_plant, _draw_stand)[rng.integers(4)]
    draw(canvas, rng, side, horizon)


def _draw_window(
    canvas: Canvas, rng: np.random.Generator, side: float, _: float
) -> None:
    """A window with the sky in it."""
    sky = mix((0.62, 0.80, 0.95), (0.98, 0.80, 0.60), float(rng.random()))
    frame = rectangle(side, 8, side + 24, 50)
    canvas.fill_gradient(frame, (side, 8), (side, 50), sky, lighten(sky, 0.6))
    canvas.stroke(frame, (0.93, 0.92, 0.90), 1.8)
    canvas.stroke([(side + 12, 8), (side + 12, 50)], (0.93, 0.92, 0.90), 1.0)
    canvas.stroke([(side, 28), (side + 24, 28)], (0.93, 0.92, 0.90), 1.0)


def _draw_painting(
    canvas: Canvas, rng: np.random.Generator, side: float, _: float
) -> None:
    """A framed painting of two colours."""
    frame = rectangle(side, 14, side + 26, 34)
    one, two = CLOTHES[rng.integers(10)], CLOTHES[rng.integers(10)]
    canvas.fill_gradient(frame, (side, 14), (side + 20, 34), lighten(one, 0.4), two)
    canvas.stroke(frame, (0.45, 0.33, 0.14), 1.6)


def _draw_plant(
    canvas: Canvas, rng: np.random.Generator, side: float, horizon: float
) -> None:
    """A plant in a pot."""
    x, green = side + 11, (0.20, 0.42, 0.24)
    # Seven leaves, fanned out from the pot; degrees from straight up.
    for a in np.linspace(-75, 75, 7):
        tip = (x + 16 * math.sin(math.radians(a)), 50 - 20 * math.cos(a / 70))
        middle = (x + tip[0]) / 2
        leaf = smooth_path([(x, 62), (middle - 3, 50), tip, (middle + 3, 54)])
        shade = mix(green, lighten(green, 0.3), float(rng.random()))
        canvas.fill(leaf, shade, edge=darken(green, 0.4), width=0.3)
    # Beyond the floor's edge, wherever that is: the floor covers the rest.
    foot = horizon + 4
    pot = polygon([(x - 6, 62), (x + 6, 62), (x + 4.5, foot), (x - 4.5, foot)])
    canvas.fill(pot, (0.62, 0.36, 0.24), edge=(0.35, 0.2, 0.13))


def _draw_stand(
    canvas: Canvas, _: np.random.Generator, side: float, horizon: float
) -> None:
    """A music stand with an open score."""
    x, steel = side + 12, (0.16, 0.16, 0.18)
    canvas.stroke([(x, 52), (x, horizon + 8)], steel, 1.0)
    legs = [(x - 7, horizon + 10), (x, horizon + 3), (x + 7, horizon + 10)]
    canvas.stroke(legs, steel, 1.0)
    desk = polygon([(x - 12, 36), (x + 12, 36), (x + 13, 54), (x - 13, 54)])
    canvas.fill(desk, steel)
    # Two pages, one a little darker, so that the fold shows.
    for s, white in ((-1, (0.96, 0.95, 0.91)), (1, (0.93, 0.92, 0.87))):
        near, far = x + s * 0.4, x + s * 10
        page = polygon([(far, 37), (near, 38), (near, 53), (far, 52)])
        canvas.fill(page, white)
