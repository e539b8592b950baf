"""A small vector canvas over Agg, the anti-aliased software rasteriser of matplotlib.

Agg draws the same bytes on every run, needs no display, and a frame of two hundred
shapes takes a few milliseconds. Coordinates are the caller's own (y down) until a
matrix maps them to pixels; line widths follow the matrix.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.path import Path
from matplotlib.transforms import IdentityTransform, TransformedPath

Real = float | int
Colour = tuple[Real, Real, Real]  # red, green, blue: 0..1
Points = Any  # what np.asarray turns into floats (..., 2): lists of tuples and arrays

_IDENTITY = IdentityTransform()
_CIRCLE = Path.unit_circle()
K = 0.5523  # a cubic curve's handle for a quarter circle of radius 1
_CAPSULE = np.array(
    [Path.MOVETO]
    + [Path.CURVE4] * 6
    + [Path.LINETO]
    + [Path.CURVE4] * 6
    + [Path.CLOSEPOLY],
    np.uint8,
)


def mix(a: Colour, b: Colour, amount: Real) -> Colour:
    """Colour between ``a`` (amount 0) and ``b`` (amount 1)."""
    return (
        a[0] + (b[0] - a[0]) * amount,
        a[1] + (b[1] - a[1]) * amount,
        a[2] + (b[2] - a[2]) * amount,
    )


def darken(colour: Colour, amount: Real) -> Colour:
    return mix(colour, (0.05, 0.03, 0.06), amount)


def lighten(colour: Colour, amount: Real) -> Colour:
    return mix(colour, (1.0, 0.98, 0.92), amount)


def affine(
    place: Points = (0.0, 0.0),
    degrees: Real = 0.0,
    scale: Real = 1.0,
    squash: Real = 1.0,
) -> np.ndarray:
    """Matrix (2, 3): scale (and squash y), rotate clockwise on the screen, move."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = place
    return np.array(
        [[c * scale, -s * scale * squash, x], [s * scale, c * scale * squash, y]]
    )


def chain(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Matrix (2, 3) that applies ``inner`` first."""
    linear = outer[:, :2] @ inner[:, :2]
    return np.column_stack([linear, outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def transform(matrix: np.ndarray, points: Points) -> np.ndarray:
    """Points (..., 2) through a matrix (2, 3)."""
    return np.asarray(points, float) @ matrix[:, :2].T + matrix[:, 2]


def polygon(points: Points) -> Path:
    vertices = np.asarray(points, float)
    codes = np.full(len(vertices) + 1, Path.LINETO, np.uint8)
    codes[0], codes[-1] = Path.MOVETO, Path.CLOSEPOLY
    return Path(np.concatenate([vertices, vertices[:1]]), codes)


def smooth_path(points: Points, closed: bool = True) -> Path:
    """Cubic curve through the points (Catmull-Rom tangents)."""
    p = np.asarray(points, float)
    if closed:
        before, after, nxt = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
        start, end = p, after
    else:
        q = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
        before, start, end, nxt = q[:-3], q[1:-2], q[2:-1], q[3:]
    segments = np.stack(
        [start + (end - before) / 6, end - (nxt - start) / 6, end], axis=1
    )
    vertices = np.concatenate([start[:1], segments.reshape(-1, 2)])
    codes = np.full(len(vertices), Path.CURVE4, np.uint8)
    codes[0] = Path.MOVETO
    return Path(vertices, codes)


def ellipse(x: Real, y: Real, rx: Real, ry: Real, degrees: Real = 0.0) -> Path:
    vertices = np.asarray(_CIRCLE.vertices) * (rx, ry)
    return Path(transform(affine((x, y), degrees), vertices), _CIRCLE.codes)


def capsule(start: Points, end: Points, r0: Real, r1: Real) -> Path:
    """A limb: a bar from ``start`` to ``end`` with round ends of radius r0 and r1."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    along = b - a
    u = along / max(math.hypot(*along), 1e-9)
    n = np.array([-u[1], u[0]])
    # Quarter circles in (u, n) as cubic curves, then the straight sides.
    far = np.array([[0, 1], [K, 1], [1, K], [1, 0], [1, -K], [K, -1], [0, -1]]) * r1
    near = np.array([[0, -1], [-K, -1], [-1, -K], [-1, 0], [-1, K], [-K, 1], [0, 1]])
    axes = np.stack([u, n])
    vertices = np.concatenate([b + far @ axes, a + (near * r0) @ axes])
    return Path(np.concatenate([vertices, vertices[:1]]), _CAPSULE)


class Canvas:
    """An empty picture of ``height`` x ``width`` pixels.

    ``matrix`` (2, 3) maps the coordinates that things are drawn in to pixels.
    """

    def __init__(self, width: int, height: int, matrix: np.ndarray) -> None:
        self.width, self.height = width, height
        self._agg = RendererAgg(width, height, 72)
        self._gc = self._agg.new_gc()
        self._gc.set_snap(False)
        self._gc.set_capstyle("round")
        self._gc.set_joinstyle("round")
        self._clips: list[Path] = []
        self._set(matrix)

    def _set(self, matrix: np.ndarray) -> None:
        self.matrix = matrix
        self._scale = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))

    @contextmanager
    def at(self, matrix: np.ndarray) -> Iterator[None]:
        """Draw in the coordinates that ``matrix`` maps to the current ones."""
        outer = self.matrix
        self._set(chain(outer, matrix))
        try:
            yield
        finally:
            self._set(outer)

    def _pixels(self, path: Path) -> Path:
        vertices = transform(self.matrix, path.vertices)
        vertices[:, 1] = self.height - vertices[:, 1]  # Agg's origin is at the bottom
        return Path(vertices, path.codes)

    def fill(
        self,
        path: Path,
        colour: Colour,
        alpha: Real = 1.0,
        edge: Colour | None = None,
        width: Real = 0.6,
    ) -> None:
        """Fill a shape; ``edge`` also draws its outline, ``width`` units thick."""
        gc = self._gc
        gc.set_linewidth(width * self._scale if edge else 0.0)
        gc.set_foreground((*(edge or colour), alpha), isRGBA=True)
        self._agg.draw_path(gc, self._pixels(path), _IDENTITY, (*colour, alpha))

    def stroke(
        self,
        path: Path | Points,
        colour: Colour,
        width: Real,
        alpha: Real = 1.0,
        cap: Literal["round", "butt"] = "round",
    ) -> None:
        """Stroke a path, or straight lines through points."""
        gc = self._gc
        gc.set_linewidth(width * self._scale)
        gc.set_foreground((*colour, alpha), isRGBA=True)
        gc.set_capstyle(cap)
        if not isinstance(path, Path):
            path = Path(np.asarray(path, float))
        self._agg.draw_path(gc, self._pixels(path), _IDENTITY)
        gc.set_capstyle("round")

    def draw_pipe(self, path: Path | Points, colour: Colour, width: Real) -> None:
        """A round tube: dark rim, body colour, a highlight along the lit side."""
        if not isinstance(path, Path):
            path = Path(np.asarray(path, float))
        self.stroke(path, darken(colour, 0.62), width + 0.7)
        self.stroke(path, darken(colour, 0.15), width)
        lit = Path(np.asarray(path.vertices) - 0.16 * width, path.codes)
        self.stroke(lit, lighten(colour, 0.22), width * 0.5)
        self.stroke(lit, lighten(colour, 0.75), width * 0.16)

    def fill_gradient(
        self, path: Path, start: Points, end: Points, first: Colour, last: Colour
    ) -> None:
        """Fill a shape with the linear gradient from ``start`` to ``end``."""
        a = np.asarray(start, float)
        u = np.asarray(end, float) - a
        n = np.array([-u[1], u[0]])
        # Both ends go on, in their flat colours, as far as the shape does.
        reach = (np.asarray(path.vertices) - a) @ np.stack([u, n], axis=1) / (u @ u)
        low, high = reach.min(axis=0) - 0.1, reach.max(axis=0) + 0.1
        corners = [
            a + u * step + n * side
            for step in (min(low[0], -0.1), 0.0, 1.0, max(high[0], 1.1))
            for side in (low[1], high[1])
        ]
        quad = transform(self.matrix, np.array(corners))
        quad[:, 1] = self.height - quad[:, 1]
        colours = np.array([(*first, 1.0)] * 4 + [(*last, 1.0)] * 4)
        index = np.array([[i, i + 1, i + 2] for i in range(6)])
        gc = self._gc
        # Agg knows its last clip by the path's address: none may be freed and reused.
        self._clips.append(self._pixels(path))
        gc.set_clip_path(TransformedPath(self._clips[-1], _IDENTITY))
        self._agg.draw_gouraud_triangles(gc, quad[index], colours[index], _IDENTITY)
        gc.set_clip_path(None)

    def to_array(self) -> np.ndarray:
        """(height, width, 4) uint8: colour and coverage, alpha not multiplied in."""
        return np.asarray(self._agg.buffer_rgba())
