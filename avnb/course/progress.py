"""What a run of a series prints while it works."""

import time
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from avnb.course.steps import SeriesStep


class SeriesProgress:
    """One bar over all cells of all steps on a terminal; plain lines elsewhere.

    A log or a pipe cannot show a bar that moves. There each step prints one line when
    it begins and one when it ends, with the time, so that a run of hours is never
    silent.

    Args:
        console: where to print.
        steps: the steps that will come.
    """

    def __init__(self, console: Console, steps: Sequence[SeriesStep]) -> None:
        self.console, self.steps = console, steps
        self.bar = Progress(
            "{task.description}",
            BarColumn(),
            MofNCompleteColumn(),
            "cells",
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        # Each notebook gets one more cell, with the injected parameters.
        self.cells = {step.name: len(step.cells) + 1 for step in steps}
        self.task = self.bar.add_task("", total=sum(self.cells.values()))
        self.completed = 0  # cells of the steps that have ended
        self.began = time.monotonic()

    def __enter__(self) -> "SeriesProgress":
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def begin(self, step: SeriesStep) -> None:
        """Say that a step begins."""
        self.began = time.monotonic()
        self.bar.update(self.task, description=step.name)
        if not self.console.is_terminal:
            # Its place in this call, which need not run the whole series
            place = [one.name for one in self.steps].index(step.name) + 1
            self._print(f"{step.name} begins ({place} of {len(self.steps)})")

    def advance(self) -> None:
        """Count one cell that was executed."""
        self.bar.advance(self.task)

    def end(self, step: SeriesStep, outcome: str = "") -> None:
        """Say that a step has ended.

        Args:
            step: the step.
            outcome: what is said of it; its minutes when empty.
        """
        minutes = (time.monotonic() - self.began) / 60
        self._print(f"{step.name}: {outcome or f'{minutes:.1f} min'}")
        self.completed += self.cells[step.name]
        # Set, and not advanced: a step that was done before has executed no cell.
        self.bar.update(self.task, completed=self.completed)

    def _print(self, text: str) -> None:
        if not self.console.is_terminal:
            text = f"{datetime.now():%H:%M:%S} {text}"
        # soft_wrap: a line of a log is one line, however narrow rich thinks it is.
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
