"""A training run: its loop, its parts, and how it goes on after a stop.

The lesson keeps its losses and its updates in sight; a :class:`Run` does the rest::

    run = training.Run(folder, seed=0, precision="auto", settings=asdict(settings))
    G, D, opt_g, opt_d = run.prepare(G=G, D=D, opt_g=opt_g, opt_d=opt_d)
    batches = training.BatchSampler(n=len(pairs), batch_size=64, seed=0)
    for step in run.steps(2000, save_every=500, sample_every=100):
        index = batches[step.number]
        with run.autocast():
            loss_d = ...
        run.step(opt_d, loss_d)
        with run.autocast():
            loss_g = ...
        run.step(opt_g, loss_g)
        run.log(loss_d=loss_d, loss_g=loss_g)
        if step.is_due():
            run.log_sample(pictures)
    run.require_finished()

A loop that is killed at any step and started again goes on from its last checkpoint and
reaches the same numbers, on the same CPU to the last bit. Hugging Face Accelerate
carries the devices, the processes (``accelerate launch``) and the trackers.
"""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from avnb import files
from avnb.errors import AvnbError, CheckpointError
from avnb.layers.memory_format import use_channels_last
from avnb.media import write_audio
from avnb.training.checkpoints import (
    delete_old,
    find_newest,
    read_checkpoint,
    restore_part,
    write_checkpoint,
)
from avnb.training.compatibility import check_same_run, describe_parts
from avnb.training.devices import choose_precision
from avnb.training.log import RunLog
from avnb.training.processes import (
    average_gradients,
    broadcast_from_first,
    seed_process,
)
from avnb.training.random_state import get_random_state, set_random_state
from avnb.training.sampling import seed_everything
from avnb.training.stopping import StopRequest
from avnb.viz import live as live_view
from avnb.viz import show

# The folder of each run that this process went on with -> the seconds that other
# processes had trained it before.
_EARLIER: dict[Path, float] = {}


def count_earlier_seconds(folder: Path) -> float:
    """Count the seconds that ended processes trained the runs of this process.

    Args:
        folder: only runs below it are counted.
    """
    here = folder.resolve()
    return sum((s for run, s in _EARLIER.items() if run.is_relative_to(here)), 0.0)


@dataclass(frozen=True)
class TrainingStep:
    """One step of the loop: `number` counts from 0 to `total - 1`."""

    number: int
    total: int
    sample_every: int | None = None

    def is_due(self, every: int | None = None) -> bool:
        """Tell whether something that comes every so many steps comes at this one.

        Args:
            every: the number of steps; the loop's `sample_every` where none is given.

        Returns:
            True after each `every` steps, and at the last step.
        """
        every = every or self.sample_every
        done = self.number + 1
        return done == self.total or (every is not None and done % every == 0)


class Run:
    """One training run in one folder: what it has learned, logged and sampled.

    Args:
        folder: the folder of the run. It holds `checkpoints/`, `history.jsonl`,
            `samples/` and `tensorboard/`.
        seed: of the run's random numbers.
        precision: "float32", "bfloat16" or "auto", which is bfloat16 where the hardware
            has it.
        settings: plain values that are written into each checkpoint. A folder with a
            checkpoint of other settings is an error.
        fresh: delete what is in the folder and begin anew.
        log_every: steps between two times that values come over from a GPU.
        live: show a panel with curves and samples; by default in notebooks only.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        seed: int = 0,
        precision: str = "auto",
        settings: Mapping[str, Any] | None = None,
        fresh: bool = False,
        log_every: int = 20,
        live: bool | None = None,
    ) -> None:
        self.folder = Path(folder)
        # Accelerate fixes its precision once a process, and a notebook may train at
        # two: we autocast ourselves.
        self.accelerator = Accelerator(
            mixed_precision="no", log_with="tensorboard", project_dir=self.folder
        )
        self.device: torch.device = self.accelerator.device
        self._asked_precision = precision
        self.precision = choose_precision(precision, self.device)
        self.seed = seed
        self.settings = {
            # Through JSON, so that what is compared on resuming is what was saved.
            **json.loads(json.dumps(dict(settings or {}), default=str)),
            "seed": seed,
            "precision": self.precision,
            "processes": self.accelerator.num_processes,
        }
        self.log_every = log_every
        self.finished = False
        self.generator = torch.Generator(self.device)
        self._live = live_view.in_kernel() if live is None else live
        self._panel: live_view.Panel | None = None
        self._parts: dict[str, Any] = {}
        self._number = 0  # of steps done
        self._seconds = 0.0  # that they took until the run was last resumed
        self._resumed = time.perf_counter()
        self._total = 0  # steps of the whole run, as the loop was told
        self._log = RunLog(self.folder, self.accelerator)
        self._stop = StopRequest(self.folder, self.accelerator, log_every)
        if fresh and self.accelerator.is_main_process:
            self._clear_folder()
        self.accelerator.wait_for_everyone()
        # For the weights that the lesson makes next; the loop seeds anew at its start.
        seed_everything(seed)

    # -- what is trained --

    def prepare(self, **parts: Any) -> Any:
        """Move modules to the device, and name what a checkpoint holds.

        Networks with 2-d convolutions become `channels_last`, which is faster. With
        many processes all begin from the weights of the first one.

        Args:
            parts: modules, their optimisers, learning-rate schedulers and :class:`EMA`,
                each under the name that it has in the checkpoints.

        Returns:
            The parts in the order given; one alone as itself.

        Raises:
            TypeError: a part has no state.
            ValueError: a name is taken.
        """
        for name, part in parts.items():
            if not hasattr(part, "state_dict") or not hasattr(part, "load_state_dict"):
                raise TypeError(
                    f"{name} is a {type(part).__name__}: give modules, optimisers or "
                    "schedulers"
                )
            if name in self._parts:
                raise ValueError(
                    f"{name} is already the name of a part of {self.folder}: give each "
                    "part a name of its own"
                )
            if isinstance(part, nn.Module):
                part.to(self.device)
                use_channels_last(part)
                broadcast_from_first(self.accelerator, part.state_dict().values())
            self._parts[name] = part
        found = tuple(parts.values())
        return found[0] if len(found) == 1 else found

    def autocast(self) -> torch.autocast:
        """Return the context of the run's precision, for forward pass and losses."""
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"
        )

    def step(
        self,
        optimizer: torch.optim.Optimizer,
        loss: Tensor,
        *,
        retain_graph: bool = False,
    ) -> None:
        """Zero the gradients, go backward and update the optimiser's weights.

        Gradients of other weights stay as they are. Compute a loss after the update of
        the networks that it goes through.

        Args:
            optimizer: one of the parts given to `prepare`.
            loss: a single number.
            retain_graph: whether another loss will go back through the same pass. It
                must not go through the weights that are updated here.

        Raises:
            FloatingPointError: the loss is not finite (on a GPU within `log_every`
                steps, so that no step waits for the device).
        """
        self._log.add_loss(self._number, self._find_name(optimizer), loss.detach())
        weights = [
            w for g in optimizer.param_groups for w in g["params"] if w.requires_grad
        ]
        optimizer.zero_grad(set_to_none=True)
        # `inputs`: a GAN's generator loss goes through the critic, whose gradients
        # would be computed for nothing and added to those of its own loss.
        self.accelerator.backward(loss, inputs=weights, retain_graph=retain_graph)
        average_gradients(self.accelerator, weights)
        optimizer.step()

    def _find_name(self, optimizer: torch.optim.Optimizer) -> str:
        for name, part in self._parts.items():
            if part is optimizer:
                return name
        raise ValueError(
            f"the optimiser is none of {list(self._parts)}: give it to run.prepare"
        )

    # -- the loop --

    def steps(
        self,
        total: int,
        *,
        save_every: int | None = 500,
        sample_every: int | None = None,
    ) -> Iterator[TrainingStep]:
        """Give the steps that are still to do, and save checkpoints on the way.

        The loop ends early, with `finished` False and a checkpoint, after Ctrl-C or a
        notebook's Interrupt (twice to end at once), SIGTERM, `run.stop()`, or a file
        named `stop` in the folder. A `break` or an error in the loop saves nothing.

        Args:
            total: the number of steps of the whole run.
            save_every: steps between two checkpoints; None saves at the end only.
            sample_every: steps after which `TrainingStep.is_due()` is true.

        Yields:
            One step each, from the last checkpoint on.

        Raises:
            CheckpointError: the folder holds a checkpoint that cannot be continued.
        """
        self._total = total
        self._resume(total)
        self.finished = self._number == total
        if self.finished:  # a notebook that is run again shows its results at once
            return
        self._log.start_trackers(self._number)
        with self._show_progress(total) as progress:
            while self._number < total and not self._stop.is_due(self._number):
                yield TrainingStep(self._number, total, sample_every)
                self._number += 1
                if self._is_flush_due():
                    self._log.flush(self._number)
                    progress.update_to(self._number, self._log.rows)
                if save_every and self._number % save_every == 0:
                    self.save()
            self.save()
            self.finished = self._number == total
            progress.update_to(self._number, self._log.rows, last=True)

    @contextlib.contextmanager
    def _show_progress(self, total: int) -> Iterator[live_view.Progress]:
        """Show the progress, and let signals end the loop instead of the process."""
        self._stop.clear()
        main = self.accelerator.is_main_process
        if self._live and main:
            self._panel = live_view.Panel(self.folder.name)
        progress = live_view.Progress(
            self._number, total, self.folder.name, self._panel, hidden=not main
        )
        try:
            with self._stop.catch_signals():
                yield progress
        finally:
            self._log.finish_trackers()
            progress.close()
            self._panel = None

    def _is_flush_due(self) -> bool:
        # The clock of each process is its own, and a flush needs all of them at once.
        alone = self.accelerator.num_processes == 1
        waited = time.monotonic() - self._log.flushed_at > live_view.DRAW_EVERY
        return self._number % self.log_every == 0 or (alone and waited)

    def stop(self) -> None:
        """End the loop after the present step, with a checkpoint."""
        self._stop.request()

    @property
    def steps_done(self) -> int:
        """How many steps the run has made, which a stop leaves below its total."""
        return self._number

    def require_finished(self) -> None:
        """Check that the loop ran to its end; call it right after the loop.

        A loop that was stopped ends as quietly as one that is done. Without this check
        a lesson would go on and call a network trained that is not.

        Raises:
            AvnbError: the run was stopped; it says at which step, and how to go on.
        """
        if not self.finished:
            raise AvnbError(
                f"the training {self.folder.name}",
                f"it was stopped at step {self._number} of {self._total}",
                "Run this notebook again: it goes on from there",
            )

    # -- what is logged --

    def log(self, **values: Tensor | float | int) -> None:
        """Keep single numbers of this step: history, TensorBoard, the live view.

        Tensors stay on the device and are brought over every `log_every` steps. Values
        that are logged after the last step belong to that step.
        """
        self._log.add(max(self._number - self.finished, 0), values)
        if not self._log.tracking:
            self._log.flush(self._number)

    @property
    def history(self) -> dict[str, np.ndarray]:
        """Every value logged, one row a step: "step" and the names, NaN for none."""
        self._log.flush(self._number)
        return self._log.as_table()

    def read_log(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The steps after which a value was logged, counted from 1, and the values.

        Both are empty where it never was. `show.curves` draws such a pair.
        """
        table = self.history
        values = table.get(name, np.full(len(table["step"]), np.nan))
        # NaN at the steps at which it was not logged.
        known = np.isfinite(values)
        return table["step"][known] + 1, values[known]

    def average_log(self, name: str, at: np.ndarray) -> list[tuple[int, float]]:
        """Average a logged value between moments, as for a curve beside a sparser one.

        Args:
            name: the value.
            at: some steps in rising order, counted from 1.

        Returns:
            (step, mean of what was logged after the step before, up to this one).
        """
        steps, values = self.read_log(name)
        ends = pairwise([0, *np.searchsorted(steps, at, "right")])
        means = [float(values[first:last].mean()) for first, last in ends]
        return list(zip(at.tolist(), means, strict=True))

    def log_sample(
        self,
        value: Any,
        name: str = "sample",
        *,
        sample_rate: int | None = None,
        columns: int | None = None,
    ) -> None:
        """Keep a sample of this step under `samples/`, and show it.

        Args:
            value: an image (C, H, W) or a batch (N, C, H, W) laid out as a grid, float
                in [0, 1] or uint8; an array (H, W, 3) uint8; a matplotlib figure; or,
                with `sample_rate`, a waveform (samples,) or (channels, samples) in
                [−1, 1].
            name: the beginning of the file's name.
            sample_rate: of a waveform, in hertz.
            columns: of the grid of a batch, such as the frames of a film's strip.
        """
        if not self.accelerator.is_main_process:
            return
        done = self._number + self._log.tracking  # with the step that is under way
        stem = self.folder / "samples" / f"{name}_{done:07d}"
        if sample_rate is not None:
            wave = torch.as_tensor(value).detach().float().cpu().numpy()
            write_audio(stem.with_suffix(".wav"), np.atleast_2d(wave), sample_rate)
            return
        picture = show.to_picture(value, columns)
        files.write_bytes(stem.with_suffix(".png"), show.encode_png(picture))
        if self._panel is not None:
            self._panel.show_sample(picture)
        self._log.log_picture(name, picture, done)

    # -- checkpoints --

    def save(self) -> None:
        """Write a checkpoint of this moment, then delete the one before."""
        # The history first: a checkpoint must not be ahead of its rows.
        self._log.flush(self._number)
        for part in self._parts.values():
            if isinstance(part, nn.Module):
                # Running statistics of batch norms differ from process to process.
                broadcast_from_first(self.accelerator, part.buffers())
        random = {
            # (processes, bytes); `gather` joins along the first axis.
            name: self.accelerator.gather(state.to(self.device)[None])
            for name, state in get_random_state(self.generator).items()
        }
        if self.accelerator.is_main_process:
            content = {
                "step": self._number,
                "seconds": self._seconds + time.perf_counter() - self._resumed,
                "settings": self.settings,
                "parts": describe_parts(self._parts),
                "state": {name: p.state_dict() for name, p in self._parts.items()},
                "random": random,
            }
            write_checkpoint(self.folder / "checkpoints", content)
        self.accelerator.wait_for_everyone()

    def _resume(self, total: int) -> None:
        """Go back to the newest checkpoint, or to the seeds of a fresh start."""
        parts = describe_parts(self._parts)  # an error now, not at the first save
        newest = find_newest(self.folder)
        self._number, self._seconds = 0, 0.0
        self._resumed = time.perf_counter()
        if newest is None:
            # Whatever other cells drew before the loop, its random numbers are the
            # same.
            seed_process(self.accelerator, self.seed, self.generator)
        else:
            saved = read_checkpoint(newest)
            # A run that was begun elsewhere keeps its precision, if it may be kept.
            begun = saved["settings"].get("precision")
            self.precision = choose_precision(self._asked_precision, self.device, begun)
            self.settings["precision"] = self.precision
            check_same_run(newest, saved, self.settings, parts)
            self._check_steps(newest, saved["step"], total)
            for name, part in self._parts.items():
                restore_part(newest, name, part, saved["state"].get(name))
            rank = self.accelerator.process_index
            mine = {name: states[rank] for name, states in saved["random"].items()}
            set_random_state(mine, self.generator)
            self._number = saved["step"]
            # Checkpoints of earlier versions do not tell it.
            self._seconds = saved.get("seconds", 0.0)
            # Only once: after that, this process has trained some of them itself.
            _EARLIER.setdefault(self.folder.resolve(), self._seconds)
        # What a killed process left goes now, since this run may end before it saves.
        if self.accelerator.is_main_process:
            delete_old(self.folder / "checkpoints", newest)
        self._log.restore(self._number)

    def _check_steps(self, newest: Path, done: int, total: int) -> None:
        if done > total:
            raise CheckpointError(
                newest,
                f"it has done {done} steps, and {total} are asked for",
                f"Ask for {done} steps or more, set RUN_DIR to a new folder, or delete "
                f"{self.folder} to begin anew",
            )

    def _clear_folder(self) -> None:
        for name in ("checkpoints", "samples", "tensorboard"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        # The models that the run's lesson has saved are of the old run, too.
        for path in (self.folder / "history.jsonl", *self.folder.glob("*.safetensors")):
            path.unlink(missing_ok=True)
