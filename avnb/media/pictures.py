"""From a decoded frame to the displayed picture: orientation, crop, size, colour."""

import struct
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from av.filter import Graph
from jaxtyping import UInt8

from avnb.errors import MediaError
from avnb.media.containers import Crop, File, Picture, Size


@dataclass(frozen=True)
class Orientation:
    """From the stored picture to the displayed one: transpose, then flip.

    These three cover the eight ways in which a camera may be held and mirrored.
    """

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def angle(self) -> tuple[int, bool]:
        """(degrees clockwise, whether mirrored left to right before that)."""
        turns = {(0, 0, 0): 0, (1, 1, 0): 90, (0, 1, 1): 180, (1, 0, 1): 270}
        t, x, y = self.transpose, self.flip_x, self.flip_y
        if (t, x, y) in turns:
            return turns[t, x, y], False
        # Mirroring first changes the flip of the axis that x becomes.
        return turns[(t, x, not y) if t else (t, not x, y)], True

    def apply(self, picture: UInt8[np.ndarray, "rows columns 3"]) -> Picture:
        """Turn and mirror a stored picture."""
        if self.transpose:
            picture = picture.swapaxes(0, 1)
        if self.flip_x:
            picture = picture[:, ::-1]
        if self.flip_y:
            picture = picture[::-1]
        # Flips are views with negative strides, which torch does not take.
        return np.ascontiguousarray(picture)

    def locate(self, box: Crop, displayed: tuple[int, int]) -> Crop:
        """Where a box of the displayed picture lies in the stored one.

        Args:
            box: (left, top, width, height) in the displayed picture.
            displayed: (width, height) of the displayed picture.
        """
        left, top, width, height = box
        if self.flip_x:
            left = displayed[0] - left - width
        if self.flip_y:
            top = displayed[1] - top - height
        if self.transpose:
            return top, left, height, width
        return left, top, width, height


def read_orientation(frame: Any) -> Orientation:
    """How a frame's display matrix turns and mirrors it, to the quarter turn."""
    with suppress(ValueError):  # a kind of side data that PyAV has no name for
        for side in frame.side_data:
            if side.type.name == "DISPLAYMATRIX":
                # x' = a x + c y, y' = b x + d y, y downwards (ISO 14496-12, 6.2.2)
                # 16.16 fixed point, but only signs and sizes matter here
                a, b, _, c, d = struct.unpack("=5i", bytes(side)[:20])
                if abs(b) > abs(a):
                    return Orientation(True, c < 0, b < 0)
                return Orientation(False, a < 0, d < 0)
    quarter = round(frame.rotation / 90) % 4  # anticlockwise, reflection unknown
    return Orientation(quarter in (1, 3), quarter in (2, 3), quarter in (1, 2))


def read_pixel_aspect(stream: Any) -> float:
    """Width over height of a pixel; 1 where it differs only by a resize's rounding."""
    # Encoders write odd ratios to keep 16:9 in whole pixels, and damage writes any.
    ratio = float(stream.sample_aspect_ratio or 1)
    return ratio if abs(ratio - 1) > 0.02 and 0.1 < ratio < 10 else 1.0


def compute_displayed_size(
    frame: Any, aspect: float, orientation: Orientation
) -> tuple[int, int]:
    """(width, height) of a frame as shown, in square pixels."""
    width, height = round(frame.width * aspect), frame.height
    return (height, width) if orientation.transpose else (width, height)


class FrameConverter:
    """Turns decoded frames into displayed RGB: crops, resizes and converts at once.

    FFmpeg's filters work on the frame as it is stored, in its own colours, so only
    the wanted part is converted. The orientation is applied to the small result.

    Args:
        path: the file, named in errors.
        size: None keeps the size; an int cuts out the central square and resizes it;
            (height, width) resizes.
        crop: (left, top, width, height) in displayed pixels, applied before.
    """

    def __init__(self, path: File, size: Size, crop: Crop | None) -> None:
        self.square = isinstance(size, int)
        self.size = (size, size) if isinstance(size, int) else size
        if self.size is not None and min(self.size) < 1:
            raise ValueError(f"size = {size}: must be 1 or more")
        self.path, self.crop = path, crop
        self.kind: tuple[Any, ...] = ()

    def __call__(self, frame: Any, aspect: float = 1.0) -> Picture:
        """The displayed picture of a decoded frame; `aspect` is that of a pixel."""
        # A filter graph is built once and serves all frames of one kind. In damaged
        # or joined files the kind changes midway.
        kind = (
            (frame.width, frame.height),
            frame.format.name,
            (frame.colorspace, frame.color_range),
            aspect,
        )
        if kind != self.kind:
            self.kind, self.orientation = kind, read_orientation(frame)
            self.graph = self._build_graph(frame, aspect)
        self.graph.push(frame)
        return self.orientation.apply(self.graph.pull().to_ndarray())

    def _build_graph(self, frame: Any, aspect: float) -> Graph:
        displayed = compute_displayed_size(frame, aspect, self.orientation)
        box = self._choose_box(displayed)
        size = self.size or (box[3], box[2])
        if self.orientation.transpose:
            size = size[1], size[0]
        x, y, w, h = self.orientation.locate(box, displayed)
        # From square pixels back to stored ones, which may be wide or narrow.
        x, w = round(x / aspect), max(1, round(w / aspect))
        w = min(w, frame.width - x)
        # Area averages all of what is shrunk; it is coarse where it enlarges.
        method = "area" if size[0] <= h and size[1] <= w else "bicubic"
        graph = Graph()
        graph.threads = 1  # small pictures gain nothing, and many processes read
        graph.link_nodes(
            graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base or Fraction(1, 1000),
            ),
            # exact=1: otherwise FFmpeg rounds the corner to whole chroma samples
            graph.add("crop", f"{w}:{h}:{x}:{y}:exact=1"),
            graph.add("scale", f"{size[1]}:{size[0]}:flags={method}"),
            graph.add("format", "rgb24"),
            graph.add("buffersink"),
        ).configure()
        return graph

    def _choose_box(self, displayed: tuple[int, int]) -> Crop:
        """What part of the displayed picture (width, height) is wanted."""
        left, top, width, height = self.crop or (0, 0, *displayed)
        inside = left + width <= displayed[0] and top + height <= displayed[1]
        if min(left, top) < 0 or min(width, height) < 1 or not inside:
            raise MediaError(
                self.path,
                f"crop = {self.crop} is not inside its {displayed[0]} x "
                f"{displayed[1]} picture",
                "Give (left, top, width, height) in pixels of the picture as shown",
            )
        if not self.square:
            return left, top, width, height
        side = min(width, height)
        return left + (width - side) // 2, top + (height - side) // 2, side, side
