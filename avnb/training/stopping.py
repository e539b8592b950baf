"""Stop a training loop between two steps: by a signal or a file.

A notebook's button Interrupt (the square in JupyterLab's toolbar) sends the signal. It
works in JupyterLab, VS Code and Colab, because the front end sends it to the process
and not to the kernel's queue of messages. A button of our own would be such a message.
It would wait until the loop is over: the loop blocks the kernel's main thread, where
ipykernel 7.4 and every version before 7 handle the messages of widgets.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

LOOK_EVERY = 0.2  # seconds between two looks for the file; file systems can be slow


class StopRequest:
    """Whether someone has asked the loop to end after the present step.

    Three things ask: a call of `request`, a file named `stop` in the run's folder, and,
    while `catch_signals` is active, SIGTERM or SIGINT (Ctrl-C, a notebook's Interrupt).

    Args:
        folder: the folder of the run.
        accelerator: gives the processes, which must all stop at the same step.
        agree_every: with many processes, steps between two times that they agree.
    """

    def __init__(
        self, folder: Path, accelerator: Accelerator, agree_every: int
    ) -> None:
        self.file = folder / "stop"
        self.accelerator = accelerator
        self.agree_every = agree_every
        self.looked_at = time.monotonic()
        # An Event, since another thread may ask.
        self._asked = threading.Event()

    def request(self) -> None:
        """Ask the loop to end after the present step."""
        self._asked.set()

    def clear(self) -> None:
        """Forget what was asked before the loop began."""
        self._asked.clear()
        self.file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def catch_signals(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM ask for a stop; a second Ctrl-C ends at once."""

        def handle(number: int, frame: Any) -> None:
            if self._asked.is_set() and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.request()

        before = {}
        # Python lets the main thread alone set handlers.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # None is a handler that was not set from Python.
                before[number] = signal.signal(number, handle) or signal.SIG_DFL
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def is_due(self, step: int) -> bool:
        """Tell whether the loop must end before this step; the same in every process.

        Args:
            step: the number of steps done.
        """
        if time.monotonic() - self.looked_at > LOOK_EVERY:
            self.looked_at = time.monotonic()
            if self.file.exists():
                self.request()
        stop = self._asked.is_set()
        if self.accelerator.num_processes > 1:
            # A process that left alone would let the others wait for ever. Agreeing
            # takes a message between all of them, so they do it now and then.
            if step % self.agree_every:
                return False
            flag = torch.tensor(float(stop), device=self.accelerator.device)
            stop = bool(self.accelerator.reduce(flag, "sum") > 0)
        if stop and self.accelerator.is_main_process:
            self.file.unlink(missing_ok=True)
        return stop
