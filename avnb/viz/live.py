"""What a training run shows: a progress bar, or a live panel in a notebook."""

import sys
import time
from typing import Any

import numpy as np
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
        empty = show.encode_png(np.full((1, 1, 3), 255, np.uint8))
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
        self.curves.value = show.figure_to_png(draw_history(rows))
        self.next = now + max(DRAW_EVERY, 40 * (time.monotonic() - now))

    def show_sample(self, picture: np.ndarray) -> None:
        shown = Image.fromarray(picture)
        shown.thumbnail((512, 512))
        self.samples.value = show.encode_png(np.asarray(shown))

    def close(self) -> None:
        self.button.disabled = True


def draw_history(rows: dict[int, dict[str, float]], points: int = 400) -> show.Plot:
    """The logged values over the steps.

    Args:
        rows: step -> name -> value.
        points: at most about so many a curve: more than that cannot be told apart on
            a panel, and drawing them would slow the training down.
    """
    thinned = list(rows.items())[:: max(1, len(rows) // points)]
    names = dict.fromkeys(name for _, row in thinned for name in row)
    history = {}
    for name in names:
        steps = [step for step, row in thinned if name in row]
        history[name] = (steps, [rows[step][name] for step in steps])
    return show.curves(history)
