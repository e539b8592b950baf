"""A small vector canvas over Agg, the anti-aliased software rasteriser of matplotlib.

Agg draws the same bytes on every run, needs no display, and takes a few milliseconds
for a frame of two hundred shapes. Coordinates are the caller's own (y down) until a
matrix (2, 3) maps them to pixels; line widths follow the matrix. `polygon`,
`rectangle`, `smooth_path`, `ellipse` and `capsule` make shapes, which a `Canvas` fills
or strokes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.path import Path
from matplotlib.transforms import IdentityTransform, TransformedPath

Real = float | int
Colour = tuple[Real, Real, Real]  # red, green, blue: 0..1
Point = tuple[Real, Real]
Points = Any  # what np.asarray turns into floats (..., 2): lists of tuples and arrays

_IDENTITY = IdentityTransform()
_CIRCLE = Path.unit_circle()
HANDLE = 0.5523  # of the cubic curve that is nearest to a quarter of the unit circle
# The codes of a capsule's outline: a start, one round end of two cubic curves (each
# takes three points), the straight side, the other end, and back to the start.
_CAPSULE = np.array(
    [Path.MOVETO]
    + [Path.CURVE4] * 6
    + [Path.LINETO]
    + [Path.CURVE4] * 6
    + [Path.CLOSEPOLY],
    np.uint8,
)


def mix(a: Colour, b: Colour, amount: Real) -> Colour:
    """Mix two colours: `a` at amount 0, `b` at amount 1."""
    return (
        a[0] + (b[0] - a[0]) * amount,
        a[1] + (b[1] - a[1]) * amount,
        a[2] + (b[2] - a[2]) * amount,
    )


def darken(colour: Colour, amount: Real) -> Colour:
    """Mix a colour with a warm black."""
    return mix(colour, (0.05, 0.03, 0.06), amount)


def lighten(colour: Colour, amount: Real) -> Colour:
    """Mix a colour with a warm white."""
    return mix(colour, (1.0, 0.98, 0.92), amount)


def affine(
    place: Points = (0.0, 0.0),
    degrees: Real = 0.0,
    scale: Real = 1.0,
    squash: Real = 1.0,
) -> np.ndarray:
    """Make a matrix (2, 3) that scales, then rotates, then moves.

    Args:
        place: where (0, 0) goes.
        degrees: of the rotation, clockwise on the screen.
        scale: of both axes.
        squash: of the y axis alone; -1 mirrors it.
    """
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = place
    return np.array(
        # The squash comes first: y alone is scaled before both axes are rotated.
        [[c * scale, -s * scale * squash, x], [s * scale, c * scale * squash, y]]
    )


def chain(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Make one matrix (2, 3) of two, of which `inner` is applied first."""
    # outer(inner(p)) = A (B p + b) + a = (A B) p + (A b + a)
    linear = outer[:, :2] @ inner[:, :2]
    return np.column_stack([linear, outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def transform(matrix: np.ndarray, points: Points) -> np.ndarray:
    """Map points (..., 2) through a matrix (2, 3)."""
    return np.asarray(np.asarray(points, float) @ matrix[:, :2].T + matrix[:, 2])


def polygon(points: Points) -> Path:
    """A closed shape with straight sides."""
    vertices = np.asarray(points, float)
    codes = np.full(len(vertices) + 1, Path.LINETO, np.uint8)
    codes[0], codes[-1] = Path.MOVETO, Path.CLOSEPOLY
    # matplotlib's CLOSEPOLY takes a point as well, and ignores it.
    return Path(np.concatenate([vertices, vertices[:1]]), codes)


def rectangle(left: Real, top: Real, right: Real, bottom: Real) -> Path:
    """A rectangle with sides along the axes."""
    return polygon([(left, top), (right, top), (right, bottom), (left, bottom)])


def smooth_path(points: Points, closed: bool = True) -> Path:
    """A cubic curve through the points; its tangents are those of Catmull and Rom."""
    p = np.asarray(points, float)
    if closed:
        # The neighbours of the segment from p[i] to p[i + 1], all (N, 2); a closed
        # curve wraps.
        before, after, nxt = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
        start, end = p, after
    else:
        # one more point beyond each end, so that the ends have tangents
        q = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
        before, start, end, nxt = q[:-3], q[1:-2], q[2:-1], q[3:]
    # Catmull-Rom as Bezier: the tangent at a point is half the way from its neighbour
    # before to its neighbour after, and a handle is a third of it, hence the 6. (N, 3,
    # 2): two handles and the end of each segment.
    segments = np.stack(
        [start + (end - before) / 6, end - (nxt - start) / 6, end], axis=1
    )
    vertices = np.concatenate([start[:1], segments.reshape(-1, 2)])
    codes = np.full(len(vertices), Path.CURVE4, np.uint8)
    codes[0] = Path.MOVETO
    return Path(vertices, codes)


def ellipse(x: Real, y: Real, rx: Real, ry: Real, degrees: Real = 0.0) -> Path:
    """An ellipse about (x, y) with radii rx and ry, rotated clockwise."""
    vertices = np.asarray(_CIRCLE.vertices) * (rx, ry)
    return Path(transform(affine((x, y), degrees), vertices), _CIRCLE.codes)


def capsule(start: Points, end: Points, r0: Real, r1: Real) -> Path:
    """A bar from `start` to `end` with round ends of radius r0 and r1, as limbs are."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    along = b - a
    # The bound keeps a bar of no length from a division by zero.
    u = along / max(math.hypot(*along), 1e-9)
    n = np.array([-u[1], u[0]])
    # each end is two quarter circles in the axes (u, n), as cubic curves
    k = HANDLE
    far = np.array([[0, 1], [k, 1], [1, k], [1, 0], [1, -k], [k, -1], [0, -1]]) * r1
    near = np.array([[0, -1], [-k, -1], [-1, -k], [-1, 0], [-1, k], [-k, 1], [0, 1]])
    # (2, 2), a row an axis: `far @ axes` turns (7, 2) points into those axes.
    axes = np.stack([u, n])
    vertices = np.concatenate([b + far @ axes, a + (near * r0) @ axes])
    return Path(np.concatenate([vertices, vertices[:1]]), _CAPSULE)


class Canvas:
    """An empty, transparent picture that is drawn on.

    Args:
        width: pixels.
        height: pixels.
        matrix: (2, 3), from the coordinates that things are drawn in to pixels.
    """

    def __init__(self, width: int, height: int, matrix: np.ndarray) -> None:
        self.width, self.height = width, height
        # matplotlib has no types; 72 dpi makes one point of line width one pixel
        self._agg = cast(Any, RendererAgg)(width, height, 72)
        self._gc = self._agg.new_gc()
        self._gc.set_snap(False)  # snapping to whole pixels would make motion jump
        self._gc.set_capstyle("round")
        self._gc.set_joinstyle("round")
        self._clips: list[Path] = []
        self._set_matrix(matrix)

    def _set_matrix(self, matrix: np.ndarray) -> None:
        self.matrix = matrix
        # line widths grow with the root of the area, also where y is squashed
        self._scale = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))

    @contextmanager
    def at(self, matrix: np.ndarray) -> Iterator[None]:
        """Draw in the coordinates that ``matrix`` maps to the current ones."""
        # The matrix from before is put back even if the block raises: drawing functions
        # nest.
        outer = self.matrix
        self._set_matrix(chain(outer, matrix))
        try:
            yield
        finally:
            self._set_matrix(outer)

    def _to_pixels(self, path: Path) -> Path:
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
        """Fill a shape; with `edge` also draw its outline, `width` units thick."""
        gc = self._gc
        # Agg strokes each path that it fills, unless the line has no width.
        gc.set_linewidth(width * self._scale if edge else 0.0)
        gc.set_foreground((*(edge or colour), alpha), isRGBA=True)
        self._agg.draw_path(gc, self._to_pixels(path), _IDENTITY, (*colour, alpha))

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
        self._agg.draw_path(gc, self._to_pixels(path), _IDENTITY)
        gc.set_capstyle("round")

    def draw_pipe(self, path: Path | Points, colour: Colour, width: Real) -> None:
        """Draw a round tube: dark rim, body colour, a highlight along the lit side."""
        if not isinstance(path, Path):
            path = Path(np.asarray(path, float))
        self.stroke(path, darken(colour, 0.62), width + 0.7)
        self.stroke(path, darken(colour, 0.15), width)
        # The light comes from the upper left, for each pipe alike.
        lit = Path(np.asarray(path.vertices) - 0.16 * width, path.codes)
        self.stroke(lit, lighten(colour, 0.22), width * 0.5)
        self.stroke(lit, lighten(colour, 0.75), width * 0.16)

    def fill_gradient(
        self, path: Path, start: Points, end: Points, first: Colour, last: Colour
    ) -> None:
        """Fill a shape with a linear gradient of two colours.

        Args:
            path: the shape.
            start: where the gradient has its first colour.
            end: where it has its last.
            first: the colour at `start` and before it.
            last: the colour at `end` and beyond it.
        """
        # Agg has no gradients of its own, but it interpolates colours in triangles: a
        # strip of six of them covers the shape, which clips it.
        a = np.asarray(start, float)
        # u points along the gradient and is as long as it; n is across. In (u, n) the
        # shape's points are shares of the gradient: 0 is its start, 1 its end.
        u = np.asarray(end, float) - a
        n = np.array([-u[1], u[0]])
        # both ends go on, in their flat colours, as far as the shape does
        reach = (np.asarray(path.vertices) - a) @ np.stack([u, n], axis=1) / (u @ u)
        low, high = reach.min(axis=0) - 0.1, reach.max(axis=0) + 0.1
        corners = [
            a + u * step + n * side
            for step in (min(low[0], -0.1), 0.0, 1.0, max(high[0], 1.1))
            for side in (low[1], high[1])
        ]
        # Eight corners, two at each of four steps along the gradient: before it, its
        # start, its end, beyond it. Triangle i has the corners i, i + 1 and i + 2.
        quad = transform(self.matrix, np.array(corners))
        quad[:, 1] = self.height - quad[:, 1]
        colours = np.array([(*first, 1.0)] * 4 + [(*last, 1.0)] * 4)
        index = np.array([[i, i + 1, i + 2] for i in range(6)])
        gc = self._gc
        # Agg knows its last clip by the path's address, so none may be freed and its
        # address used again: we keep them all
        self._clips.append(self._to_pixels(path))
        gc.set_clip_path(TransformedPath(self._clips[-1], _IDENTITY))
        self._agg.draw_gouraud_triangles(gc, quad[index], colours[index], _IDENTITY)
        # The graphics context is shared by all that is drawn next.
        gc.set_clip_path(None)

    def to_array(self) -> np.ndarray:
        """The picture as uint8 (height, width, 4); alpha is not multiplied in."""
        return np.asarray(self._agg.buffer_rgba())
