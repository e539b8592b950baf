"""What a training run shows: a bar, plain lines, or a live panel in a notebook."""

import sys
import textwrap
import time
from collections.abc import Mapping

import ipywidgets
import numpy as np
from IPython.display import Image as OutputImage
from IPython.display import display
from PIL import Image
from tqdm import tqdm

from avnb.viz import show
from avnb.viz.colab import enable_colab_widgets

DRAW_EVERY = 2.0  # seconds between two drawings of the live panel, or more
SAY_EVERY = 60.0  # seconds between two lines of a log
SAMPLE_SIDE = 512  # pixels; an executed notebook keeps the newest sample
COLUMNS = 3  # plots beside each other
PICTURES = ("curves", "newest sample")
POINTS = 400  # of a curve; more cannot be told apart on the panel

HOW_TO_STOP = (
    "To stop after the present step, press the notebook's own Interrupt (■). What is "
    "done is kept."
)

History = Mapping[int, Mapping[str, float]]  # step -> name -> value


def in_kernel() -> bool:
    """Whether this is a notebook, not a terminal."""
    if "IPython" not in sys.modules:
        return False
    return hasattr(sys.modules["IPython"].get_ipython(), "kernel")


class Progress:
    """Shows how far the steps of a training have come.

    A live panel in a notebook, a bar on a terminal, and elsewhere, as in a pipe or a
    log, a plain line when the training begins, each minute, and when it ends.

    Args:
        start: the number of steps that are done already.
        total: the number of steps at the end.
        title: the name of the run.
        panel: the live panel, or None.
        hidden: True for a process that is to print nothing.
    """

    def __init__(
        self, start: int, total: int, title: str, panel: "Panel | None", hidden: bool
    ) -> None:
        self.start, self.total, self.title, self.panel = start, total, title, panel
        terminal = sys.stderr.isatty()
        self.says_lines = not (hidden or panel is not None or terminal)
        self.bar = tqdm(
            total=total,
            initial=start,
            desc=title,
            unit="step",
            mininterval=1,
            disable=hidden or panel is not None or not terminal,
        )
        self.number = start
        self.began = self.said = time.monotonic()
        if self.says_lines:
            self._say(f"training begins at step {start} of {total}")

    def update_to(self, number: int, rows: History, last: bool = False) -> None:
        """Show that `number` steps are done.

        Args:
            number: the number of steps.
            rows: what was logged: step -> name -> value.
            last: True when no update follows.
        """
        if rows and not self.bar.disable:
            self.bar.set_postfix(next(reversed(list(rows.values()))), refresh=False)
        self.bar.update(number - self.number)
        self.number = number
        if self.panel is not None:
            self.panel.update(number, self.total, rows, last)
        if self.says_lines and time.monotonic() - self.said > SAY_EVERY:
            self._say(f"step {number} of {self.total}")

    def close(self) -> None:
        """End the bar, the panel or the lines, whether all steps are done or not."""
        self.bar.close()
        if self.panel is not None:
            self.panel.close()
        if self.says_lines:
            minutes = (time.monotonic() - self.began) / 60
            done = f"step {self.number} of {self.total}"
            self._say(f"training ends at {done}, after {minutes:.1f} min")

    def _say(self, text: str) -> None:
        self.said = time.monotonic()
        print(f"{time.strftime('%H:%M:%S')} {self.title}: {text}", file=sys.stderr)


class Panel:
    """Curves, newest sample, progress and how to stop, in a notebook.

    It is drawn every `DRAW_EVERY` seconds at most, and takes a fortieth of the time at
    most. The pictures are the state of widgets and are overwritten in place, so an
    executed notebook keeps one of each and not the whole film.

    Args:
        title: the name of the run.
    """

    def __init__(self, title: str) -> None:
        enable_colab_widgets()
        # A description beside a bar is cut after some letters, a label is not.
        self.bar = ipywidgets.IntProgress(max=1)
        self.title = ipywidgets.Label(title)
        self.text = ipywidgets.Label()
        # No button of ours: see `avnb.training.stopping`.
        self.hint = ipywidgets.Label(HOW_TO_STOP)
        self.views = {
            name: ipywidgets.HTML(layout=ipywidgets.Layout(**show.UNCUT))
            for name in PICTURES
        }
        self.pictures: dict[str, bytes] = {}  # name -> the PNG file that is shown
        natural = ipywidgets.Layout(
            align_items="flex-start",  # not stretched
            flex_flow="row wrap",
            overflow="visible",
        )
        top = ipywidgets.HBox([self.title, self.bar, self.text], layout=natural)
        bottom = ipywidgets.HBox(list(self.views.values()), layout=natural)
        self.start = time.monotonic()
        self.next = 0.0
        self.first: int | None = None  # a run that goes on does not begin at step 0
        display(ipywidgets.VBox([top, self.hint, bottom]))

    def update(self, number: int, total: int, rows: History, last: bool) -> None:
        """Draw the panel, unless it was drawn a moment ago and this is not the last."""
        now = time.monotonic()
        if now < self.next and not last:
            return
        if self.first is None:
            self.first = number
        self.bar.max, self.bar.value = total, number
        rate = (number - self.first) / max(now - self.start, 1e-9)
        left = f", about {(total - number) / rate:.0f} s left" if rate else ""
        self.text.value = f"step {number} of {total}{left}"
        self._show("curves", show.figure_to_png(draw_history(rows)))
        # Drawing may be slow: the longer it took, the longer it rests.
        self.next = now + max(DRAW_EVERY, 40 * (time.monotonic() - now))

    def show_sample(self, picture: np.ndarray) -> None:
        """Show a picture (H, W, 3) uint8, made smaller where it is large."""
        shown = Image.fromarray(picture)
        shown.thumbnail((SAMPLE_SIDE, SAMPLE_SIDE))
        self._show("newest sample", show.encode_png(np.asarray(shown)))

    def close(self) -> None:
        """Show curves and sample as plain outputs; there is nothing to stop any more.

        A page without widgets (an executed notebook, GitHub) shows only these. The
        widgets give their pictures up, so that the notebook holds each one once.
        """
        self.hint.value = ""
        for name, view in self.views.items():
            if content := self.pictures.get(name):
                display(OutputImage(data=content, alt=self._describe(name)))
                view.value = ""

    def _show(self, name: str, content: bytes) -> None:
        self.pictures[name] = content
        self.views[name].value = show.picture_html(content, self._describe(name))

    def _describe(self, name: str) -> str:
        return f"{self.title.value}: {name}"


def draw_history(rows: History) -> show.Plot:
    """The logged values over the steps, about `POINTS` of each, one small plot a name.

    Losses differ in scale. On common axes the largest would flatten all others.

    Args:
        rows: step -> name -> value.
    """
    names = dict.fromkeys(name for row in rows.values() for name in row)
    columns = min(max(len(names), 1), COLUMNS)
    height = -(-max(len(names), 1) // columns)
    figure, axes = show.subplots(height, columns, width=2.4, height=1.7)
    for name, place in zip(names, axes.flat, strict=False):
        # Thinned by name: of the rows, every second one may lack what is logged at
        # every second step.
        steps = [step for step, row in rows.items() if name in row]
        steps = steps[:: max(1, len(steps) // POINTS)]
        place.plot(steps, [rows[step][name] for step in steps], linewidth=1.2)
        place.set_title(textwrap.fill(show.spell_name(name), 24), fontsize=9)
        place.tick_params(labelsize=7)
    for place in axes.flat[len(names) :]:
        place.set_axis_off()
    return figure
