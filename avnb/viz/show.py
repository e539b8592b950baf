"""Figures, players and tables, all in one style.

The name of this module is the verb: `show.curves(history)` shows curves. Every function
that draws returns a `Plot`, a matplotlib figure that a notebook shows by itself. Pyplot
never holds it: pyplot keeps each figure until somebody closes it, and a notebook with
many figures would run out of memory. Sounds, films and tables come back as HTML, which
a notebook shows in the same way.
"""

import base64
import html
import io
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import soundfile
from cycler import cycler
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.legend import Legend
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import PercentFormatter
from matplotlib.transforms import Bbox
from PIL import Image

from avnb.viz import letters

# Okabe and Ito's colours: readers who are colour-blind can tell them apart too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
STYLE: Any = {
    # Where the colours are used up, they come again with another kind of line.
    "axes.prop_cycle": cycler(linestyle=["-", "--", ":", "-."]) * cycler(color=COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "grid.color": "#e4e4e4",
    "font.family": list(letters.list_fonts()),
    "font.size": 9,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "image.cmap": "magma",
    "image.interpolation": "nearest",
}
# The layout of a widget around a picture. Without it, a picture that is wider than its
# place gets a scrolling box, or is cut.
UNCUT = {"max_width": "100%", "flex": "0 1 auto", "overflow": "visible"}

# Where a legend stands beside its axes.
BESIDE: Any = {"loc": "upper left", "bbox_to_anchor": (1, 1)}


class Plot(Figure):
    """A figure in the house style that a notebook shows by itself."""

    def legend(self, *args: Any, **options: Any) -> Legend:
        """As matplotlib's, in the house style."""
        with mpl.rc_context(STYLE):
            return super().legend(*args, **options)

    def _repr_png_(self) -> tuple[bytes, dict[str, str]]:
        # The metadata is IPython's: the page's text for who cannot see the picture.
        return figure_to_png(self), {"alt": describe_figure(self)}


class StyledAxes(Axes):
    """Axes whose titles and legends have the house style, whenever they are made.

    Matplotlib reads their style at the call, which comes after `subplots` has returned.
    """

    def set_title(self, *args: Any, **options: Any) -> Text:
        """As matplotlib's."""
        with mpl.rc_context(STYLE):
            return super().set_title(*args, **options)

    def legend(self, *args: Any, **options: Any) -> Legend:
        """As matplotlib's."""
        with mpl.rc_context(STYLE):
            return super().legend(*args, **options)


def figure_to_png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    # The style counts here as well: savefig reads its dpi from it, and so do ticks,
    # which matplotlib makes when it first draws them.
    with mpl.rc_context(STYLE):
        letters.spell_figure(figure)
        box, layout = _find_overhang(figure), figure.get_layout_engine()
        # Finding the box has laid the figure out, and savefig would do it once more.
        figure.set_layout_engine("none")
        try:
            figure.savefig(buffer, format="png", bbox_inches=box)
        finally:
            figure.set_layout_engine(layout)
    return buffer.getvalue()


def _find_overhang(figure: Figure) -> Bbox | None:
    """The box in inches that holds all of a figure, or None where the figure does.

    The layout gives titles no room to the sides. One that is wider than its axes would
    be cut at the figure's edge.
    """
    figure.draw_without_rendering()  # only now everything has its place
    inner = figure.bbox_inches
    whole = Bbox.union([inner, figure.get_tightbbox()])
    # Less than a pixel is rounding.
    fits = np.allclose(whole.extents, inner.extents, atol=1 / STYLE["savefig.dpi"])
    return None if fits else whole.padded(0.05)


def describe_figure(figure: Figure) -> str:
    """The alternative text of a figure: its titles, its axes and its labels."""
    parts = [figure.get_suptitle()]
    for place in figure.axes:
        named = [place.get_title(), " over ".join(_name_axes(place))]
        labels = place.get_legend_handles_labels()[1]
        if labels and len(labels) <= 8:  # more could not be kept in mind
            named.append(", ".join(labels))
        parts.append(": ".join(filter(None, named)))
    # Many panels with the same axes are said once.
    told = "; ".join(dict.fromkeys(filter(None, parts)))
    return f"Figure. {told}" if told else "Figure without titles"


def _name_axes(place: Axes) -> list[str]:
    names = (place.get_ylabel(), place.get_xlabel())
    return [name for name in names if name]


def subplots(
    rows: int = 1, columns: int = 1, *, width: float = 4.0, height: float = 2.6
) -> tuple[Plot, np.ndarray]:
    """An empty figure and its axes (rows, columns), each width x height inches.

    As `pyplot.subplots`, but in the style of this module, and without pyplot.
    """
    with mpl.rc_context(STYLE):
        figure = Plot(figsize=(width * columns, height * rows), layout="constrained")
        # squeeze=False: always an array (rows, columns), also for one.
        axes = figure.subplots(
            rows, columns, squeeze=False, subplot_kw={"axes_class": StyledAxes}
        )
    return figure, axes


def to_uint8(image: Any, slack: float = 1e-3) -> np.ndarray:
    """Any picture as uint8 (H, W, 3).

    Args:
        image: an array or tensor, (H, W, 3) or (C, H, W) with C 1 or 3; uint8, or
            floats in [0, 1].
        slack: how far floats may lie outside [0, 1]; they are clipped.

    Raises:
        ValueError: another shape, or floats outside [0, 1].
    """
    array = _to_numpy(image)
    # (H, W, 3) is looked for first, so that a picture 1 or 3 pixels high is one too.
    if array.ndim == 3 and array.shape[-1] != 3 and array.shape[0] in (1, 3):
        array = np.broadcast_to(array, (3, *array.shape[1:])).transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[-1] != 3:
        raise ValueError(
            f"a picture has the shape (H, W, 3), (3, H, W) or (1, H, W), "
            f"not {array.shape}"
        )
    if array.dtype == np.uint8:
        return array
    low, high = float(array.min()), float(array.max())
    # Written so that nan, which compares as False, is refused too.
    if not (-slack <= low and high <= 1 + slack):
        raise ValueError(
            f"pictures of floats lie in [0, 1], not [{low:.2f}, {high:.2f}]: "
            "map the -1..1 of a tanh: (x + 1) / 2"
        )
    # Rounded: `astype` alone cuts off, and each picture would be half a level darker.
    pixels: np.ndarray = np.round(array.clip(0, 1) * 255).astype(np.uint8)
    return pixels


def to_picture(value: Any, columns: int | None = None) -> np.ndarray:
    """A figure, a picture, or a batch laid out as a grid, as uint8 (H, W, 3).

    Args:
        value: a matplotlib figure; a picture that `to_uint8` takes; or a batch
            (N, C, H, W). Floats may lie 0.05 outside [0, 1], because what a network
            makes in the middle of its training is to be seen and not to be refused.
        columns: of the grid; about as many as rows where none are given.
    """
    if isinstance(value, Figure):
        return np.array(Image.open(io.BytesIO(figure_to_png(value))).convert("RGB"))
    array = _to_numpy(value)
    if array.ndim != 4:
        return to_uint8(array, slack=0.05)
    pictures = np.stack([to_uint8(picture, slack=0.05) for picture in array])
    return _tile(pictures, columns or math.ceil(math.sqrt(len(pictures))))


def _tile(pictures: np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
    """Pictures (N, H, W, 3) as one, row by row, with black lines `gap` pixels wide.

    The picture is that of torchvision's `make_grid`, whose import takes over a second.
    """
    count, height, width, _ = pictures.shape
    if count == 1:
        return pictures.reshape(height, width, 3)  # alone it needs no lines
    columns = min(columns, count)
    # Each tile has its lines above and to the left. Two last lines close the grid.
    down, across = height + gap, width + gap
    size = (-(-count // columns) * down + gap, columns * across + gap, 3)
    tiled = np.zeros(size, np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        y, x = row * down + gap, column * across + gap
        tiled[y : y + height, x : x + width] = picture
    return tiled


def encode_png(image: Any, zoom: int = 1) -> bytes:
    """One picture as the bytes of a PNG file, each pixel `zoom` pixels wide."""
    # Copied pixels, no interpolation: it would smooth what a network made.
    pixels = to_uint8(image).repeat(zoom, 0).repeat(zoom, 1)
    buffer = io.BytesIO()
    imsave(buffer, pixels, format="png")
    return buffer.getvalue()


def picture_html(content: bytes, alt: str, style: str = "") -> str:
    """A PNG file as HTML, never wider than the page, with an alternative text."""
    source = data_url(content, "image/png")
    return (
        f"<img alt='{html.escape(alt, quote=True)}' src='{source}' "
        f"style='max-width:100%;{style}'>"
    )


def image_grid(
    images: Any,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    title: str = "",
    size: float = 0.95,
) -> Plot:
    """Rows of pictures.

    Args:
        images: (R, C, H, W, 3) or a sequence of rows, each a sequence of pictures;
            None leaves a place empty.
        rows: a label for each row.
        columns: a caption for each column.
        title: above all of them.
        size: inches a picture.

    Raises:
        ValueError: there are no pictures.
    """
    grid = [list(row) for row in images]
    if not grid or not any(grid):
        raise ValueError("image_grid: images is empty: give one picture or more")
    width = max(len(row) for row in grid)
    # About the width of a letter in inches: the labels stand left of the pictures.
    margin = 0.075 * max((len(label) for label in rows), default=0)
    with mpl.rc_context(STYLE):
        figure = Plot(
            figsize=(margin + size * width, (size + 0.05) * len(grid) + 0.3),
            layout="constrained",
        )
        axes = figure.subplots(len(grid), width, squeeze=False)
        for r, row in enumerate(grid):
            for c, place in enumerate(axes[r]):
                _clear_axes(place)
                # Rows may be of different lengths.
                if c < len(row) and row[c] is not None:
                    place.imshow(to_uint8(row[c]))
            if r < len(rows):
                name = spell_name(rows[r])
                axes[r, 0].set_ylabel(name, rotation=0, ha="right", va="center")
        for place, caption in zip(axes[0], columns, strict=False):
            place.set_title(spell_name(caption), fontsize=8)
        if title:
            figure.suptitle(title)
    return figure


def spell_name(name: str) -> str:
    """A name in words: "acoustic guitar" for the folder or keyword acoustic_guitar."""
    return name.replace("_", " ")


def film_strip(frames: Any, times: Any = (), *, title: str = "") -> Plot:
    """The frames (T, H, W, 3) of one film side by side, with their times (T,) in s."""
    return image_grid([frames], columns=[f"{t:.2f} s" for t in times], title=title)


def spectrograms(
    pictures: Sequence[Any],
    *,
    hop: float,
    hz: Any = None,
    captions: Sequence[str] = (),
    columns: int = 4,
    unit: str = "",
) -> Plot:
    """Spectrograms (bins, frames) on axes of seconds and Hz.

    Args:
        pictures: one or more spectrograms (bins, frames).
        hop: seconds from one frame to the next.
        hz: the centre frequency of each bin, (bins,), or one such array a picture;
            None counts bins.
        captions: one a picture.
        columns: how many stand side by side.
        unit: of the values, such as "dB". With one, all pictures share a scale of
            colours, whose bar stands beside them: only then can they be compared.
    """
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    figure, axes = subplots(rows, columns, width=3.0, height=2.3)
    # One axis for all pictures, or one each.
    each_hz = [hz] * len(pictures) if hz is None or np.ndim(hz[0]) == 0 else hz
    arrays = [_to_numpy(picture) for picture in pictures]
    scale: dict[str, float] = {}
    if unit:
        scale = {
            "vmin": min(float(values.min()) for values in arrays),
            "vmax": max(float(values.max()) for values in arrays),
        }
    with mpl.rc_context(STYLE):
        for place in axes.flat[len(pictures) :]:
            place.set_visible(False)
        for i, (place, values) in enumerate(zip(axes.flat, arrays, strict=False)):
            bins, frames = values.shape
            # Half a bin to each side, so that a tick stands in the middle of its bin.
            extent = (0.0, frames * hop, -0.5, bins - 0.5)
            drawn = place.imshow(
                values, origin="lower", aspect="auto", extent=extent, **scale
            )
            place.grid(False)
            place.set_xlabel("s")
            _label_bins(place, bins, each_hz[i])
            if i < len(captions):
                place.set_title(captions[i])
        if unit:
            figure.colorbar(drawn, ax=axes, label=unit)
    return figure


def waveforms(
    sounds: Sequence[Any], rate: int, *, captions: Sequence[str] = ()
) -> Plot:
    """Waveforms over seconds, one below the other.

    Args:
        sounds: waveforms, each (samples,) or (channels, samples), in -1..1.
        rate: their sample rate, Hz.
        captions: one a waveform.
    """
    figure, axes = subplots(len(sounds), 1, width=6.0, height=1.1)
    with mpl.rc_context(STYLE):
        for i, (place, sound) in enumerate(zip(axes.flat, sounds, strict=True)):
            # (channels, samples) -> (samples, channels): matplotlib draws each column.
            samples = np.atleast_2d(_to_numpy(sound)).T
            place.plot(np.arange(len(samples)) / rate, samples, linewidth=0.6)
            # One range for all of them, so that their loudness can be compared.
            place.set_ylim(-1, 1)
            if i < len(captions):
                place.set_ylabel(captions[i], rotation=0, ha="right", va="center")
        axes[-1, 0].set_xlabel("s")
    return figure


def curves(
    history: Mapping[str, Any],
    *,
    x: str = "step",
    y: str = "",
    lines: Mapping[str, float | int] | None = None,
    mark: float | int | None = None,
    logarithmic: bool = False,
    percent: bool = False,
    smooth: int = 1,
    title: str = "",
) -> Plot:
    """Named curves over a common axis.

    Args:
        history: name -> the values y, or a pair (xs, ys).
        x: the name of the common axis.
        y: the name of the values.
        lines: name -> height of a dashed line (chance, real data).
        mark: an x to point out (the best epoch).
        logarithmic: whether the values are shown on a logarithmic axis.
        percent: whether the values are fractions, to be shown in per cent.
        smooth: each point is the mean of so many neighbours, at most all.
        title: above the curves.
    """
    figure, axes = subplots(width=7.5, height=3.0)
    place: Axes = axes[0, 0]
    with mpl.rc_context(STYLE):
        for name, values in history.items():
            # A tuple of two is (xs, ys). Two values of one curve come as a list.
            pair = isinstance(values, tuple) and len(values) == 2
            ys = _to_numpy(values[1] if pair else values)
            xs = _to_numpy(values[0]) if pair else np.arange(len(ys))
            window = max(1, min(smooth, len(ys)))
            # "valid" keeps only means of whole windows; each stands at its middle.
            ys = np.convolve(ys, np.full(window, 1 / window), "valid")
            xs = xs[(window - 1) // 2 :][: len(ys)]
            place.plot(xs, ys, label=name, linewidth=1.3)
        _draw_dashed_lines(place, lines)
        if mark is not None:
            place.axvline(mark, color="#999999", linestyle=":", label=f"{x} {mark:g}")
        place.set(xlabel=x, ylabel=y, title=title)
        if logarithmic:
            place.set_yscale("log")
        if percent:
            place.yaxis.set_major_formatter(PercentFormatter(1))
        if place.lines:  # matplotlib warns of a legend of nothing
            place.legend(fontsize=8, **BESIDE)  # on the curves it would hide some
    return figure


def confusion(matrix: Any, classes: Sequence[str], *, title: str = "") -> Plot:
    """A confusion matrix of counts, shown as shares of each row.

    Args:
        matrix: (classes, classes), the true class by the class that was named.
        classes: their names.
        title: above the matrix.

    Raises:
        ValueError: the matrix does not fit the classes.
    """
    counts = _to_numpy(matrix).astype(float)
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(
            f"matrix has the shape {counts.shape}: {len(classes)} classes need "
            f"({len(classes)}, {len(classes)})"
        )
    # A class without examples has a row of zeros, and stays one.
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = 1.6 + 0.36 * len(classes)
    figure, axes = subplots(width=side + 0.4, height=side)
    place = axes[0, 0]
    with mpl.rc_context(STYLE):
        place.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        place.grid(False)
        names = [*map(spell_name, classes)]
        place.set_xticks(range(len(names)), names, rotation=90)
        place.set_yticks(range(len(names)), names)
        # Less would be printed as 0.
        for r, c in np.argwhere(shares >= 0.005):
            colour = "white" if shares[r, c] > 0.5 else "black"
            text = f"{100 * shares[r, c]:.0f}"
            place.text(c, r, text, ha="center", va="center", color=colour, fontsize=7)
        place.set(xlabel="judged as", ylabel="true", title=title)
    return figure


def bars(
    measures: Mapping[str, Any],
    *,
    lines: Mapping[str, float | int] | None = None,
    marks: Mapping[str, Any] | None = None,
    marked: str = "",
    y: str = "",
    percent: bool = False,
    title: str = "",
) -> Plot:
    """Bars with intervals.

    Args:
        measures: name -> a Measure (value, low, high), such a triple, or a number.
        lines: name -> height of a dashed line (chance, the floor).
        marks: name of a bar -> a number to compare it with, as `measures` holds them.
            It is drawn as a diamond on the bar.
        marked: what the diamonds are, for the legend.
        y: the name of the values.
        percent: whether the values are fractions, to be shown in per cent.
        title: above the bars.
    """
    figure, axes = subplots(width=max(3.0, 0.75 * len(measures) + 1.6), height=3.0)
    place: Axes = axes[0, 0]
    with mpl.rc_context(STYLE):
        for i, measure in enumerate(measures.values()):
            value, low, high = interval(measure)
            place.bar(i, value, width=0.65, color=COLOURS[0])
            if low < high:  # a plain number has no interval to draw
                # (2, 1): matplotlib wants the distances from the value, down and up.
                span = [[value - low], [high - value]]
                place.errorbar(i, value, yerr=span, color="black", capsize=3)
        heights = {
            i: interval(marks[name])[0]
            for i, name in enumerate(measures)
            if marks and name in marks
        }
        if heights:
            place.plot(
                list(heights),
                list(heights.values()),
                "D",
                color=COLOURS[1],
                label=marked,
            )
        # Long names would run into each other.
        tilt = 30 if max(len(name) for name in measures) > 9 else 0
        align = "right" if tilt else "center"
        names = [*map(spell_name, measures)]
        place.set_xticks(range(len(names)), names, rotation=tilt, ha=align)
        place.grid(axis="x", visible=False)
        _draw_dashed_lines(place, lines)
        place.set(ylabel=y, title=title)
        if percent:
            place.yaxis.set_major_formatter(PercentFormatter(1))
        if lines or heights:
            place.legend(fontsize=8, **BESIDE)
    return figure


def diagram(
    boxes: Mapping[str, tuple[float, float, str]],
    arrows: Sequence[tuple[str, str, str]],
    *,
    fills: Mapping[str, str] | None = None,
    width: float = 8.0,
    height: float = 2.6,
) -> Plot:
    """Boxes and arrows: how data flow.

    Args:
        boxes: name -> (x, y, text), the centre in the unit square.
        arrows: (from, to, label), an empty label for none.
        fills: name -> colour of the box, light blue for the others.
        width: inches.
        height: inches.
    """
    figure, axes = subplots(width=width, height=height)
    place: Axes = axes[0, 0]
    drawn = {}
    with mpl.rc_context(STYLE):
        place.set(xlim=(0, 1), ylim=(0, 1))
        place.set_axis_off()
        for name, (x, y, text) in boxes.items():
            fill = (fills or {}).get(name, "#dcecf7")
            frame = {"boxstyle": "round,pad=0.5", "fc": fill, "ec": "#555555"}
            drawn[name] = place.text(x, y, text, ha="center", va="center", bbox=frame)
        for start, end, label in arrows:
            (x0, y0, _), (x1, y1, _) = boxes[start], boxes[end]
            style = {
                "arrowstyle": "-|>",
                "color": "#333333",
                # The arrow goes from centre to centre, and is cut at these patches.
                "patchA": drawn[start].get_bbox_patch(),
                "patchB": drawn[end].get_bbox_patch(),
            }
            place.annotate("", (x1, y1), (x0, y0), arrowprops=style)
            # The label stands on the arrow: a white ground keeps it legible.
            halo = {"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none"}
            if label:
                middle = ((x0 + x1) / 2, (y0 + y1) / 2)
                place.text(*middle, label, ha="center", va="center", bbox=halo)
    return figure


def feature_maps(maps: Mapping[str, Sequence[int]], *, height: float = 2.4) -> Plot:
    """Maps (channels, h, w) side by side, h and w to scale, deeper where many.

    Args:
        maps: a caption -> its shape, in the order in which data pass through.
        height: inches.
    """
    # All lengths below are in pixels of the maps. A map of 1 × 1 would be invisible, so
    # none is drawn smaller than a thirtieth of the tallest.
    tallest = max(h for _, h, _ in maps.values())
    least, step = tallest / 30, tallest / 40
    # One sheet more for each doubling of the channels: 512 sheets could not be seen.
    planes = [1 + round(np.log2(channels)) for channels, _, _ in maps.values()]
    sides = [(max(h, least), max(w, least)) for _, h, w in maps.values()]
    pairs = zip(planes, sides, strict=True)
    slots = [max(w + n * step, 0.75 * tallest) + 0.15 * tallest for n, (_, w) in pairs]
    figure, axes = subplots(width=sum(slots) / (1.8 * tallest) * height, height=height)
    place: Axes = axes[0, 0]
    left = 0.0
    with mpl.rc_context(STYLE):
        for (caption, shape), n, (h, w), slot in zip(
            maps.items(), planes, sides, slots, strict=True
        ):
            start = left + (slot - w - n * step) / 2
            # From the back to the front, so that the first sheet covers the others.
            for k in reversed(range(n)):
                corner = (start + k * step, (k - n / 2) * step - h / 2)
                sheet = Rectangle(corner, w, h, fc="#dcecf7", ec=COLOURS[0])
                place.add_patch(sheet)
            text = f"{caption}\n" + " × ".join(str(side) for side in shape)
            middle, below = left + slot / 2, -0.68 * tallest
            place.text(middle, below, text, ha="center", va="top", fontsize=8)
            left += slot
        place.set(xlim=(0, left), ylim=(-1.1 * tallest, 0.7 * tallest))
        place.set_aspect("equal")
        place.set_axis_off()
    return figure


def interval(measure: Any) -> tuple[float, float, float]:
    """(value, low, high) of a Measure, its JSON, a triple, or a bare number."""
    triple: Any
    if isinstance(measure, Mapping):
        # In the JSON of a Measure an infinite end is None: it gets no whisker.
        triple = tuple(measure.get(name) for name in ("value", "low", "high"))
    elif hasattr(measure, "value"):
        triple = (measure.value, measure.low, measure.high)
    else:
        triple = tuple(measure) if np.ndim(measure) else (measure,) * 3
    value, low, high = triple
    return (
        float(value),
        float(value if low is None else low),
        float(value if high is None else high),
    )


def encode_wav(waveform: Any, rate: int) -> bytes:
    """A waveform, (samples,) or (channels, samples) in -1..1, as a 16-bit WAV file."""
    # (channels, samples) -> (samples, channels), as soundfile takes it.
    samples = np.atleast_2d(_to_numpy(waveform)).T
    buffer = io.BytesIO()
    # Beyond 1 the 16-bit numbers would wrap around to the other sign: loud clicks.
    clipped = np.clip(samples.astype(np.float32), -1, 1)
    soundfile.write(buffer, clipped, int(rate), format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def listen(sounds: Sequence[Any], rate: int, captions: Sequence[str] = ()) -> HTML:
    """A row of players, one a waveform, with captions."""
    players = []
    for i, sound in enumerate(sounds):
        caption = html.escape(captions[i]) if i < len(captions) else ""
        # preload='none' below: a page may hold a hundred players, and the browser
        # would read all of their sounds when it opens the page.
        source = data_url(encode_wav(sound, rate), "audio/wav")
        players.append(
            f"<figure style='margin:0 1em .5em 0;display:inline-block'>"
            f"<audio controls preload='none' style='width:15em' src='{source}'></audio>"
            f"<figcaption style='font-size:85%'>{caption}</figcaption></figure>"
        )
    return HTML("".join(players))


# Right, wrong, neither. The signs tell them apart where colours do not.
MARKS = {True: ("✔ ", COLOURS[2]), False: ("✘ ", COLOURS[1]), None: ("", "#999999")}


@dataclass(frozen=True)
class Card:
    """Something to look at, to listen to, or both.

    Args:
        caption: stands below it.
        picture: (H, W, 3), as `to_uint8` takes it.
        sound: (samples,) in -1..1.
        right: marks it ✔ (True) or ✘ (False); None marks nothing.
    """

    caption: str
    picture: Any = None
    sound: Any = None
    right: bool | None = None


def cards(items: Sequence[Card], rate: int, *, width: int = 128) -> HTML:
    """A row of cards, their pictures `width` pixels wide, their sounds at `rate` Hz."""
    return HTML("".join(_render_card(item, rate, width) for item in items))


def _render_card(item: Card, rate: int, width: int) -> str:
    mark, colour = MARKS[item.right]
    inner = ""
    if item.picture is not None:
        style = f"width:{width}px;image-rendering:pixelated;display:block"
        inner += picture_html(encode_png(item.picture), item.caption, style)
    if item.sound is not None:
        source = data_url(encode_wav(item.sound, rate), "audio/wav")
        style = f"width:{width}px;height:2em;display:block"
        inner += f"<audio controls preload='none' style='{style}' src='{source}'>"
        inner += "</audio>"
    frame = f"border-top:4px solid {colour};width:{width}px"
    return (
        f"<figure style='margin:0 .6em .6em 0;display:inline-block;{frame};"
        f"vertical-align:top'>{inner}<figcaption style='font-size:85%'>"
        f"{mark}{html.escape(item.caption)}</figcaption></figure>"
    )


def video(path: str | Path, *, width: int = 320) -> HTML:
    """A player for a file that browsers play (MP4 with H.264 and AAC)."""
    source = data_url(Path(path).read_bytes(), "video/mp4")
    return HTML(f"<video controls loop width='{width}' src='{source}'></video>")


def encode_mp4(
    frames: Any,
    waveform: Any,
    fps: float | int,
    rate: int,
    *,
    zoom: int = 1,
) -> bytes:
    """A film with its sound as an MP4 file that browsers play.

    Args:
        frames: pictures one by one, each (H, W, 3) as `to_uint8` takes them.
        waveform: (samples,) or (channels, samples), in -1..1.
        fps: frames a second.
        rate: the sample rate of the waveform, Hz.
        zoom: how many pixels wide each pixel becomes. H.264 keeps colours at half the
            resolution, which spoils a small picture that is not enlarged.

    Returns:
        The bytes of the file.
    """
    from avnb import media

    # A generator: a long film, enlarged, would not fit the memory at once.
    pictures = (to_uint8(f).repeat(zoom, 0).repeat(zoom, 1) for f in frames)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film.mp4")
        sound = np.atleast_2d(_to_numpy(waveform))
        media.write_frames(path, pictures, sound, fps, rate)
        return path.read_bytes()


# Units that are shown in per cent: the factor, and how the unit is then written.
PERCENTAGES = {"fraction": (100, "%"), "points": (100, "points")}


def table(rows: Sequence[Mapping[str, Any]], caption: str = "") -> HTML:
    """A table that a notebook shows: see `table_html`."""
    return HTML(table_html(rows, caption))


def table_html(rows: Sequence[Mapping[str, Any]], caption: str = "") -> str:
    """A table as HTML text.

    Args:
        rows: column -> value, one mapping a row; the columns stand in the order in
            which they appear first.
        caption: above the table.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in names)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{_render_cell(row.get(name))}</td>" for name in names)
        + "</tr>"
        for row in rows
    )
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def format_number(value: Any) -> str:
    """A value as people read it: three significant figures, intervals in brackets."""
    if isinstance(value, Mapping) and "value" in value:
        return _format_measure(value)
    # A Measure, known by its fields: this module does not import `avnb.metrics`.
    if hasattr(value, "low") and hasattr(value, "high"):
        names = ("value", "low", "high", "unit", "n")
        return _format_measure({name: getattr(value, name, None) for name in names})
    if value is None:
        return ""
    # To Python True is an int. It is to be printed as True, and not as 1.
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return str(value)
    plain = float(value)
    if np.isinf(plain):
        return "∞" if plain > 0 else "−∞"
    if np.isnan(plain):
        return str(plain)
    # Above 1e15 a float no longer tells neighbouring integers apart.
    if plain.is_integer() and abs(plain) < 1e15:
        return str(int(plain))
    # From 1000 on `.3g` would print powers of ten, such as 1.23e+03.
    return f"{plain:.3g}" if abs(plain) < 1000 else f"{plain:.0f}"


def _format_measure(measure: Mapping[str, Any]) -> str:
    if measure["value"] is None:
        return "not measured"
    value, *_ = interval(measure)
    # In JSON an infinite end is None. Both are where there are too few units for an
    # interval, and then none is printed.
    low = -np.inf if measure.get("low") is None else measure["low"]
    high = np.inf if measure.get("high") is None else measure["high"]
    unit = str(measure.get("unit") or "")
    scale, unit = PERCENTAGES.get(unit, (1, unit))
    text = format_number(scale * value)
    # What follows from a formula was counted on nothing, and has no interval.
    exact = measure.get("n") == 0 and low == high
    if not (exact or np.isinf([low, high]).all()):
        text += f" [{format_number(scale * low)}, {format_number(scale * high)}]"
    return f"{text} {unit}".strip()


def data_url(content: bytes, kind: str) -> str:
    """Bytes as a `data:` address, so that a page holds its own media."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _render_cell(value: Any) -> str:
    return html.escape(format_number(value))


def _to_numpy(values: Any) -> np.ndarray:
    # NumPy cannot read a tensor that lies on a GPU or that requires a gradient.
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values)


def _clear_axes(place: Axes) -> None:
    # Piece by piece: `set_axis_off` would hide the label of the row as well.
    place.set(xticks=[], yticks=[])
    place.grid(False)
    for spine in place.spines.values():
        spine.set_visible(False)


def _draw_dashed_lines(place: Axes, lines: Mapping[str, float | int] | None) -> None:
    for i, (name, height) in enumerate((lines or {}).items()):
        # From the end of the list: the curves take their colours from its beginning.
        colour = COLOURS[-1 - i % len(COLOURS)]
        place.axhline(height, color=colour, linestyle="--", linewidth=1, label=name)


def _label_bins(place: Axes, bins: int, hz: Any) -> None:
    if hz is None:
        place.set_ylabel("bin")
        return
    frequencies = _to_numpy(hz)
    if len(frequencies) != bins:
        raise ValueError(f"{bins} bins, but {len(frequencies)} frequencies")
    # Bins may lie on any scale (linear, mel, constant Q), so five of them are named.
    ticks = np.linspace(0, bins - 1, 5).round().astype(int)
    place.set_yticks(ticks, [f"{frequencies[tick]:.0f}" for tick in ticks])
    place.set_ylabel("Hz")
