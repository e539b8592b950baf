"""The numbers that a run logs: in a file, in TensorBoard and in memory."""

import json
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from avnb import files

Rows = dict[int, dict[str, float]]  # the values of each step, by name


@dataclass(frozen=True)
class _Pending:
    """A value that was logged and not yet brought over from the device."""

    step: int
    name: str
    value: Tensor | float | int
    is_loss: bool


class RunLog:
    """Every value that was logged, one row a step, also in `history.jsonl`.

    A value that is still on a GPU is not waited for: values collect until `flush`
    brings all of them over at once.

    Args:
        folder: the folder of the run.
        accelerator: gives the device, the processes and the trackers.
    """

    def __init__(self, folder: Path, accelerator: Accelerator) -> None:
        self.path = folder / "history.jsonl"
        self.accelerator = accelerator
        self.rows: Rows = {}
        self.flushed_at = time.monotonic()
        self.tracking = False  # inside the loop, where the trackers are open
        self._pending: list[_Pending] = []

    def add_loss(self, step: int, name: str, loss: Tensor) -> None:
        """Check that a loss is finite: now on a CPU, at the next flush on a GPU.

        Raises:
            FloatingPointError: the loss is infinite or not a number.
        """
        if self.accelerator.device.type == "cpu":
            _check_finite(step, name, float(loss))
        else:
            self._pending.append(_Pending(step, name, loss, is_loss=True))

    def add(self, step: int, values: Mapping[str, Tensor | float | int]) -> None:
        """Log single numbers of a step.

        Raises:
            ValueError: a value holds more than one number, or is named "step".
        """
        if "step" in values:
            raise ValueError("step is the run's own column: give another name")
        for name, value in values.items():
            if isinstance(value, Tensor):
                if value.numel() != 1:
                    raise ValueError(
                        f"{name} has shape {tuple(value.shape)}: log single numbers"
                    )
                # A copy, since the loop may overwrite the tensor before the flush.
                value = value.detach().reshape(()).clone()
            self._pending.append(_Pending(step, name, value, is_loss=False))

    def flush(self, step: int) -> None:
        """Bring all pending values over, check the losses, write down the others.

        Args:
            step: where TensorBoard shows the means of these values.

        Raises:
            FloatingPointError: a pending loss is infinite or not a number.
        """
        self.flushed_at = time.monotonic()
        pending, self._pending = self._pending, []
        new: Rows = {}
        for one, number in zip(pending, self._fetch(pending), strict=True):
            if one.is_loss:
                _check_finite(one.step, one.name, number)
            else:
                new.setdefault(one.step, {})[one.name] = number
        if not new:
            return
        for number, row in new.items():
            self.rows.setdefault(number, {}).update(row)
        # Append only, so that a kill costs at most the last line.
        if self.accelerator.is_main_process:
            with files.explain_write_errors(self.path), self.path.open("a") as file:
                file.writelines(_to_lines(new))
        # TensorBoard gets means, since a curve of every step is slow to show.
        if self.tracking:
            names = dict.fromkeys(name for row in new.values() for name in row)
            means = {
                n: float(np.mean([row[n] for row in new.values() if n in row]))
                for n in names
            }
            self.accelerator.log(means, step=step)

    def _fetch(self, pending: list[_Pending]) -> list[float]:
        """Copy the values to the CPU at once; with many processes, their means."""
        if not pending:  # nothing to stack
            return []
        # All processes come here at the same step, or `reduce` would wait for ever.
        device, shared = self.accelerator.device, self.accelerator.num_processes > 1
        values = [torch.as_tensor(one.value) for one in pending]
        # One tensor is one transfer; `float(value)` for each would wait each time.
        together = torch.stack([v.to(device, torch.float32) for v in values])
        if shared:
            together = self.accelerator.reduce(together, "mean")
        return [
            # A Python number of one process keeps the digits that float32 has not.
            number if shared or isinstance(one.value, Tensor) else float(one.value)
            for one, number in zip(pending, together.tolist(), strict=True)
        ]

    def restore(self, step: int) -> None:
        """Read the rows before a step from the file; the loop makes the others again.

        Args:
            step: the number of steps that the checkpoint has done.
        """
        self._pending.clear()
        self.rows = {}
        damaged = 0
        if self.path.exists():
            # What a killed process had half written is what follows the last newline.
            *lines, _ = self.path.read_bytes().split(b"\n")
            for line in lines:
                row = _read_line(line)
                if row is None:
                    damaged += 1
                elif (number := int(row.pop("step"))) < step:
                    self.rows.setdefault(number, {}).update(row)
        # Written anew without the rows after the checkpoint and without damaged lines.
        if self.accelerator.is_main_process:
            if damaged:
                self._report_damage(damaged)
            files.write_bytes(self.path, "".join(_to_lines(self.rows)).encode())
        self.accelerator.wait_for_everyone()

    def _report_damage(self, lines: int) -> None:
        # No error: the history is for curves only, and the training goes on from the
        # checkpoint. It is said once, since the file is then written without them.
        print(
            f"{self.path}: {lines} damaged lines are left out of the history. The "
            "curves lack these steps. The checkpoint is checked on its own, so the "
            "training goes on as before.",
            file=sys.stderr,
        )

    def start_trackers(self, step: int) -> None:
        """Open TensorBoard for a loop that goes on from this step."""
        # A killed run may have logged steps past its checkpoint: hide these.
        options = {"tensorboard": {"purge_step": step + 1}}
        self.accelerator.init_trackers("tensorboard", init_kwargs=options)
        self.tracking = True

    def finish_trackers(self) -> None:
        """Close TensorBoard at the end of a loop."""
        for tracker in self.accelerator.trackers:
            tracker.finish()
        self.tracking = False

    def log_picture(self, name: str, picture: np.ndarray, step: int) -> None:
        """Show a picture (height, width, 3) uint8 in TensorBoard, inside the loop."""
        if self.tracking:
            tracker = self.accelerator.get_tracker("tensorboard")
            tracker.log_images({name: picture[None]}, step=step, dataformats="NHWC")

    def as_table(self) -> dict[str, np.ndarray]:
        """Return the rows as columns: "step" and each name, NaN where none is."""
        names = dict.fromkeys(name for row in self.rows.values() for name in row)
        table = {"step": np.array(list(self.rows), np.int64)}
        for name in names:
            table[name] = np.array(
                [row.get(name, math.nan) for row in self.rows.values()], np.float64
            )
        return table


def _read_line(line: bytes) -> dict[str, Any] | None:
    """Read the row of one line: "step" and its values; None where it is damaged."""
    try:
        row = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or type(row.get("step")) is not int:
        return None
    if row["step"] < 0 or any(type(v) not in (int, float) for v in row.values()):
        return None
    return row


def _to_lines(rows: Rows) -> list[str]:
    return [json.dumps({"step": step, **row}) + "\n" for step, row in rows.items()]


def _check_finite(step: int, name: str, loss: float) -> None:
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"step {step}: the loss given to {name} is {loss}. Lower its learning "
            "rate, use precision='float32', or look for a logarithm or a division by "
            "zero in it. The checkpoint before this step is still there"
        )
