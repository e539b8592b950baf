"""What a training run shows: a progress bar, or a live panel in a notebook."""

import math
import sys
import time
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

from avnb.viz import show

DRAW_EVERY = 2.0  # seconds between drawings of the live panel, or more


def in_kernel() -> bool:
    """Whether this is a notebook, not a terminal."""
    if "IPython" not in sys.modules:
        return False
    return hasattr(sys.modules["IPython"].get_ipython(), "kernel")


class Progress:
    """A progress bar on the terminal, or the live panel in a notebook."""

    def __init__(
        self, start: int, total: int, title: str, panel: "Panel | None", hidden: bool
    ) -> None:
        self.total, self.panel = total, panel
        self.bar = tqdm(
            total=total,
            initial=start,
            desc=title,
            unit="step",
            mininterval=1,
            disable=hidden or panel is not None,
        )

    def update_to(
        self, number: int, rows: dict[int, dict[str, float]], last: bool = False
    ) -> None:
        if rows and not self.bar.disable:
            self.bar.set_postfix(next(reversed(rows.values())), refresh=False)
        self.bar.update(number - self.bar.n)
        if self.panel is not None:
            self.panel.update(number, self.total, rows, last)

    def close(self) -> None:
        self.bar.close()
        if self.panel is not None:
            self.panel.close()


class Panel:
    """Curves, newest sample, progress and a stop button, in a notebook.

    Drawn every `DRAW_EVERY` seconds at most, a fortieth of the time at most. The
    pictures are widget state, overwritten in place, so an executed notebook keeps
    one of each and not the film. JupyterLab 4.4+ hands the button's click to a busy
    kernel (over a subshell); elsewhere the notebook's own interrupt does the same.
    """

    def __init__(self, stop: Any, title: str) -> None:
        import ipywidgets
        from IPython.display import display

        self.bar = ipywidgets.IntProgress(description=title, max=1)
        self.text = ipywidgets.Label()
        self.button = ipywidgets.Button(description="Stop", icon="stop")
        self.button.on_click(lambda _: stop())
        empty = show.png_bytes(np.full((1, 1, 3), 255, np.uint8))
        self.curves = ipywidgets.Image(value=empty, format="png")
        self.samples = ipywidgets.Image(value=empty, format="png")
        top = ipywidgets.HBox([self.bar, self.text, self.button])
        natural = ipywidgets.Layout(align_items="flex-start")  # not stretched
        bottom = ipywidgets.HBox([self.curves, self.samples], layout=natural)
        self.start = time.monotonic()
        self.next = 0.0
        self.first: int | None = None
        display(ipywidgets.VBox([top, bottom]))

    def update(
        self, number: int, total: int, rows: dict[int, dict[str, float]], last: bool
    ) -> None:
        now = time.monotonic()
        if now < self.next and not last:
            return
        if self.first is None:
            self.first = number
        self.bar.max, self.bar.value = total, number
        rate = (number - self.first) / max(now - self.start, 1e-9)
        left = f", {(total - number) / rate:.0f} s left" if rate else ""
        self.text.value = f"step {number} of {total}{left}"
        self.curves.value = show.png_bytes(_curves(rows))
        self.next = now + max(DRAW_EVERY, 40 * (time.monotonic() - now))

    def show_sample(self, picture: np.ndarray) -> None:
        shown = Image.fromarray(picture)
        shown.thumbnail((512, 512))
        self.samples.value = show.png_bytes(np.asarray(shown))

    def close(self) -> None:
        self.button.disabled = True


def _curves(rows: dict[int, dict[str, float]], points: int = 400) -> np.ndarray:
    """The logged values over the steps, drawn (H, W, 3)."""
    figure = Figure(figsize=(5, 3), dpi=80, layout="constrained")
    axes = figure.subplots()
    few = list(rows.items())[:: max(1, len(rows) // points)]
    for name in dict.fromkeys(name for _, row in few for name in row):
        line = [(step, row[name]) for step, row in few if name in row]
        axes.plot(*zip(*line, strict=True), label=name, linewidth=1)
    axes.set_xlabel("step")
    if few:
        axes.legend(loc="upper right", fontsize="small")
    return _drawn(figure)


def _drawn(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def as_picture(value: Any) -> np.ndarray:
    """A tensor, array or figure as (H, W, 3) uint8."""
    if isinstance(value, Figure):
        return _drawn(value)
    image = torch.as_tensor(value).detach().cpu()
    if image.dim() == 3 and image.shape[-1] == 3 and image.dtype == torch.uint8:
        image = image.permute(2, 0, 1)
    if image.dim() not in (3, 4) or image.shape[-3] not in (1, 3):
        raise ValueError(
            f"the sample has shape {tuple(image.shape)}: give (C, H, W), (N, C, H, W), "
            "C 1 or 3, or a waveform with its sample_rate"
        )
    if image.dtype != torch.uint8:
        low, high = image.min().item(), image.max().item()
        if not -0.05 <= low <= high <= 1.05:
            raise ValueError(
                f"the sample lies in [{low:.3g}, {high:.3g}]: give [0, 1] "
                "(of a tanh: (x + 1) / 2)"
            )
        image = (image.float().clamp(0, 1) * 255).round().to(torch.uint8)
    if image.dim() == 4:
        from torchvision.utils import make_grid

        image = make_grid(image, nrow=math.ceil(math.sqrt(len(image))))
    return image.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
