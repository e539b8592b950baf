"""The step loop's plumbing: devices, precision, checkpoints, resume, logs.

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

Killed at any step and started again, the loop goes on from its last checkpoint and
reaches the same numbers, to the last bit on the same CPU. Hugging Face Accelerate
carries devices, processes (``accelerate launch``) and trackers underneath.
"""

import contextlib
import hashlib
import json
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast
from torch import Tensor, nn

from avnb import files
from avnb.errors import CheckpointError
from avnb.media import write_audio
from avnb.training.checkpoints import (
    delete_old,
    encode_state,
    find_newest,
    get_random_state,
    read_checkpoint,
    restore_part,
    set_random_state,
    write_checkpoint,
)
from avnb.training.sampling import seed_everything
from avnb.viz import show
from avnb.viz.live import DRAW_EVERY, Panel, Progress, in_kernel

PRECISIONS = ("float32", "bfloat16", "auto")


@dataclass(frozen=True)
class TrainingStep:
    """One step of the loop: `number` counts from 0 to `total - 1`."""

    number: int
    total: int
    sample_every: int | None = None

    def is_due(self, every: int | None = None) -> bool:
        """After each `every` steps, and at the last (default: the `sample_every`)."""
        every = every or self.sample_every
        done = self.number + 1
        return done == self.total or (every is not None and done % every == 0)


class Run:
    """One training run in one folder: what it has learned, logged and sampled.

    `folder` holds `checkpoints/`, `history.jsonl`, `samples/` and `tensorboard/`.
    `precision` is "float32", "bfloat16" or "auto" (bfloat16 where the hardware has
    it). `settings` are written into each checkpoint; a folder with a checkpoint made
    with others is an error, unless `fresh=True`, which begins the run anew. `live`
    shows a panel with curves, samples and a stop button (default: in notebooks).
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
        # Accelerate fixes its precision once a process, so we autocast ourselves.
        self.accelerator = Accelerator(
            mixed_precision="no", log_with="tensorboard", project_dir=self.folder
        )
        self.device: torch.device = self.accelerator.device
        self.precision = _precision(precision, self.device)
        self.seed = seed
        self.settings = {
            **json.loads(json.dumps(dict(settings or {}), default=str)),
            "seed": seed,
            "precision": self.precision,
            "processes": self.accelerator.num_processes,
        }
        self.log_every = log_every
        self.finished = False
        self.generator = torch.Generator(self.device)
        self._live = in_kernel() if live is None else live
        self._parts: dict[str, Any] = {}
        self._number = 0
        self._rows: dict[int, dict[str, float]] = {}
        self._waiting: list[tuple[int, str, Tensor | float, bool]] = []
        self._flushed = self._looked = time.monotonic()
        self._stop = threading.Event()
        self._panel: Panel | None = None
        self._looping = False  # inside `steps`, trackers at hand
        if fresh and self.accelerator.is_main_process:
            self._clear()
        self.accelerator.wait_for_everyone()
        seed_everything(seed)

    def prepare(self, **parts: Any) -> Any:
        """Move modules to the device and name what a checkpoint holds.

        Takes modules, their optimisers, learning-rate schedulers and
        :class:`EMA`, each under the name that it has in the checkpoints; returns
        them in that order (one alone as itself). Networks of 2-d convolutions become
        `channels_last`. With many processes all begin from the first one's weights.
        """
        for name, part in parts.items():
            if not hasattr(part, "state_dict") or not hasattr(part, "load_state_dict"):
                raise TypeError(
                    f"{name} is a {type(part).__name__}: give modules, optimisers or "
                    "schedulers"
                )
            if name in self._parts:
                raise ValueError(f"{name} is the name of two parts of {self.folder}")
            if isinstance(part, nn.Module):
                part.to(self.device)
                if any(isinstance(m, _CONV) for m in part.modules()):
                    part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
                self._from_first(part.state_dict().values())
            self._parts[name] = part
        found = tuple(parts.values())
        return found[0] if len(found) == 1 else found

    def autocast(self) -> torch.autocast:
        """The precision's context, for the forward pass and the losses."""
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"
        )

    def step(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        """Zero the gradients, go backward, update; gradients of others stay as are.

        Compute a loss after the update of the networks that it goes through.
        Raises FloatingPointError where the loss is not finite (on a GPU within
        `log_every` steps, so that no step waits for the device).
        """
        self._waiting.append((self._number, self._name(optimizer), loss.detach(), True))
        if self.device.type == "cpu":
            self._check(*self._waiting.pop()[:3])
        weights = [
            w for g in optimizer.param_groups for w in g["params"] if w.requires_grad
        ]
        optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss, inputs=weights)
        if self.accelerator.num_processes > 1:
            self._average_gradients(weights)
        optimizer.step()

    def steps(
        self,
        total: int,
        *,
        save_every: int | None = 500,
        sample_every: int | None = None,
    ) -> Iterator[TrainingStep]:
        """The steps that are still to do, up to `total`; saved as they go.

        The loop ends early, with `finished` False and a checkpoint, after the stop
        button, `run.stop()`, a file named `stop` in the folder, Ctrl-C (twice to end
        at once) or SIGTERM. A `break` or an error in the loop saves nothing.
        """
        self._resume(total)
        self.finished = self._number == total
        if self.finished:
            return
        self._track()
        with self._watch(total) as progress:
            while self._number < total and not self._stopped():
                yield TrainingStep(self._number, total, sample_every)
                self._number += 1
                if self._flush_due():
                    self._flush()
                    progress.update_to(self._number, self._rows)
                if save_every and self._number % save_every == 0:
                    self.save()
            self.save()
            self.finished = self._number == total
            progress.update_to(self._number, self._rows, last=True)

    def stop(self) -> None:
        """End the loop after the present step, with a checkpoint."""
        self._stop.set()

    def log(self, **values: Tensor | float | int) -> None:
        """Keep single numbers of this step: history, TensorBoard, the live view.

        Tensors stay on the device and are brought over every `log_every` steps.
        """
        if "step" in values:
            raise ValueError("step is the run's own column: give another name")
        # After the last step, a value belongs to that step.
        number = max(self._number - self.finished, 0)
        for name, value in values.items():
            if isinstance(value, Tensor):
                if value.numel() != 1:
                    raise ValueError(
                        f"{name} has shape {tuple(value.shape)}: log single numbers"
                    )
                value = value.detach().reshape(()).clone()
            self._waiting.append((number, name, value, False))
        if not self._looping:
            self._flush()

    @property
    def history(self) -> dict[str, np.ndarray]:
        """Every value logged, one row a step: "step" and the names, NaN for none."""
        self._flush()
        names = dict.fromkeys(name for row in self._rows.values() for name in row)
        table = {"step": np.array(list(self._rows), np.int64)}
        for name in names:
            table[name] = np.array(
                [row.get(name, math.nan) for row in self._rows.values()], np.float64
            )
        return table

    def log_sample(
        self, value: Any, name: str = "sample", *, sample_rate: int | None = None
    ) -> None:
        """Keep a sample of this step under `samples/`, and show it.

        An image (C, H, W), a batch (N, C, H, W) laid out as a grid, both float in
        [0, 1] or uint8; an array (H, W, 3) uint8; a matplotlib figure; or, with
        `sample_rate`, a waveform (samples,) or (channels, samples) in [-1, 1].
        """
        if not self.accelerator.is_main_process:
            return
        done = self._number + self._looping  # with the step that is under way
        stem = self.folder / "samples" / f"{name}_{done:07d}"
        if sample_rate is not None:
            wave = torch.as_tensor(value).detach().float().cpu().numpy()
            write_audio(stem.with_suffix(".wav"), np.atleast_2d(wave), sample_rate)
            return
        picture = show.to_picture(value)
        files.write_bytes(stem.with_suffix(".png"), show.encode_png(picture))
        if self._panel is not None:
            self._panel.show_sample(picture)
        if self._looping:
            tracker = self.accelerator.get_tracker("tensorboard")
            tracker.log_images({name: picture[None]}, step=done, dataformats="NHWC")

    # -- checkpoints --

    def save(self) -> None:
        """Write a checkpoint of this moment; the one before goes once it is whole."""
        self._flush()
        for part in self._parts.values():
            if isinstance(part, nn.Module):
                self._from_first(part.buffers())
        tensors: dict[str, Tensor] = {}
        state = {
            name: encode_state(part.state_dict(), name, tensors)
            for name, part in self._parts.items()
        }
        for name, part in self._parts.items():
            if isinstance(part, nn.Module):
                state[name] = None  # its tensors say all
        for name, words in get_random_state(self.generator).items():
            # One row a process. (gather joins along the first axis.)
            words = self.accelerator.gather(words.to(self.device)[None])
            tensors[f"rng.{name}"] = words.cpu()
        if self.accelerator.is_main_process:
            description = {
                "step": self._number,
                "settings": self.settings,
                "parts": self._describe_parts(),
                "state": state,
            }
            write_checkpoint(
                self.folder / "checkpoints", self._number, tensors, description
            )
        self.accelerator.wait_for_everyone()

    def _resume(self, total: int) -> None:
        """Go back to the newest checkpoint, or to the seeds of a fresh start."""
        self._describe_parts()  # an error now, not at the first save
        newest = find_newest(self.folder)
        self._number = 0
        if newest is None:
            self._start_seeds()
        else:
            tensors, saved = read_checkpoint(newest)
            self._compare(newest, saved)
            if saved["step"] > total:
                raise CheckpointError(
                    newest,
                    f"it has done {saved['step']} steps, and {total} are asked for",
                    "Ask for as many or more, or give fresh=True",
                )
            for name, part in self._parts.items():
                restore_part(newest, name, part, saved["state"][name], tensors)
            rank = self.accelerator.process_index
            set_random_state(
                {
                    name.removeprefix("rng."): words[rank]
                    for name, words in tensors.items()
                    if name.startswith("rng.")
                },
                self.generator,
            )
            self._number = saved["step"]
        if self.accelerator.is_main_process:
            delete_old(self.folder / "checkpoints", newest)
        self._reread_history()

    def _compare(self, newest: Path, saved: dict[str, Any]) -> None:
        remedy = "Use another folder, or give fresh=True to begin anew"
        for key in sorted({*saved["settings"], *self.settings}):
            old = saved["settings"].get(key, "nothing")
            new = self.settings.get(key, "nothing")
            if old != new:
                problem = f"it was made with {key} = {old!r}, and now {key} is {new!r}"
                raise CheckpointError(newest, problem, remedy)
        parts = self._describe_parts()
        for name in sorted({*saved["parts"], *parts}):
            old = saved["parts"].get(name, "nothing")
            new = parts.get(name, "nothing")
            if old != new:
                problem = f"{name} is {old} there and {new} now"
                raise CheckpointError(newest, problem, remedy)

    def _describe_parts(self) -> dict[str, str]:
        """What each part is; of an optimiser, which weights it updates in what order.

        A list of weights is long, so that it stands as a short checksum.
        """
        names = {
            id(weight): f"{name}.{key}"
            for name, part in self._parts.items()
            if isinstance(part, nn.Module)
            for key, weight in part.named_parameters()
        }
        described = {}
        for name, part in self._parts.items():
            described[name] = type(part).__name__
            if isinstance(part, nn.Module):
                described[name] = "a module"
            elif isinstance(part, torch.optim.Optimizer):
                weights = [w for g in part.param_groups for w in g["params"]]
                if any(id(weight) not in names for weight in weights):
                    raise ValueError(
                        f"{name} updates weights of a module that run.prepare was "
                        "not given: it would be lost when the run resumes"
                    )
                listed = ", ".join(names[id(weight)] for weight in weights)
                digest = hashlib.sha256(listed.encode()).hexdigest()[:8]
                described[name] += f" of {len(weights)} weights ({digest})"
        return described

    def _clear(self) -> None:
        for name in ("checkpoints", "samples", "tensorboard"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for path in (self.folder / "history.jsonl", *self.folder.glob("*.safetensors")):
            path.unlink(missing_ok=True)

    # -- history and trackers --

    def _reread_history(self) -> None:
        """Take the rows before the checkpoint; the steps after it come again."""
        self._waiting.clear()
        self._rows = {}
        path = self.folder / "history.jsonl"
        if path.exists():
            for line in path.read_text().splitlines():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:
                    continue  # the line during which the run was killed
                step = row.pop("step")
                if step < self._number:
                    self._rows.setdefault(step, {}).update(row)
        if self.accelerator.is_main_process:
            lines = [json.dumps({"step": n, **row}) for n, row in self._rows.items()]
            self.folder.mkdir(parents=True, exist_ok=True)
            files.write_bytes(path, "".join(line + "\n" for line in lines).encode())
        self.accelerator.wait_for_everyone()

    def _flush_due(self) -> bool:
        alone = self.accelerator.num_processes == 1
        waited = time.monotonic() - self._flushed > DRAW_EVERY
        return self._number % self.log_every == 0 or (alone and waited)

    def _flush(self) -> None:
        """Bring what waits on the device over at once, check it, write it down."""
        self._flushed = time.monotonic()
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        values = [torch.as_tensor(value) for _, _, value, _ in waiting]
        together = torch.stack([v.to(self.device, torch.float32) for v in values])
        if self.accelerator.num_processes > 1:
            together = self.accelerator.reduce(together, "mean")
        fresh: dict[int, dict[str, float]] = {}
        for (number, name, value, is_loss), known in zip(
            waiting, together.tolist(), strict=True
        ):
            if is_loss:
                self._check(number, name, known)
            elif isinstance(value, Tensor) or self.accelerator.num_processes > 1:
                fresh.setdefault(number, {})[name] = known
            else:
                fresh.setdefault(number, {})[name] = float(value)
        if not fresh:
            return
        for number, row in fresh.items():
            self._rows.setdefault(number, {}).update(row)
        if self.accelerator.is_main_process:
            with (self.folder / "history.jsonl").open("a") as file:
                for number, row in fresh.items():
                    file.write(json.dumps({"step": number, **row}) + "\n")
        if self._looping:
            names = dict.fromkeys(name for row in fresh.values() for name in row)
            means = {
                n: float(np.mean([row[n] for row in fresh.values() if n in row]))
                for n in names
            }
            self.accelerator.log(means, step=self._number)

    def _check(self, number: int, name: str, loss: Tensor | float) -> None:
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"step {number}: the loss given to {name} is {float(loss)}. "
                "Lower its learning rate, use precision='float32', or look for a "
                "logarithm or a division by zero in it; the checkpoint before stands"
            )

    def _track(self) -> None:
        # TensorBoard drops what a killed run had logged past the checkpoint.
        init = {"tensorboard": {"purge_step": self._number + 1}}
        self.accelerator.init_trackers("tensorboard", init_kwargs=init)
        self._looping = True

    # -- stopping --

    @contextlib.contextmanager
    def _watch(self, total: int) -> Iterator[Progress]:
        """Show the progress, and let signals end the loop instead of the process."""
        self._stop.clear()
        (self.folder / "stop").unlink(missing_ok=True)
        main = self.accelerator.is_main_process
        if self._live and main:
            self._panel = Panel(self.stop, self.folder.name)
        progress = Progress(
            self._number, total, self.folder.name, self._panel, hidden=not main
        )
        before = {}
        if threading.current_thread() is threading.main_thread():

            def ask(number: int, frame: Any) -> None:
                if self._stop.is_set() and number == signal.SIGINT:
                    raise KeyboardInterrupt
                self._stop.set()

            for number in (signal.SIGINT, signal.SIGTERM):
                before[number] = signal.signal(number, ask) or signal.SIG_DFL
        try:
            yield progress
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for tracker in self.accelerator.trackers:
                tracker.finish()
            progress.close()
            self._panel = None
            self._looping = False

    def _stopped(self) -> bool:
        file = self.folder / "stop"
        if time.monotonic() - self._looked > 0.2:  # file systems can be slow
            self._looked = time.monotonic()
            if file.exists():
                self._stop.set()
        stop = self._stop.is_set()
        if self.accelerator.num_processes > 1:
            # All must leave at the same step; asking costs, so only now and then.
            if self._number % self.log_every:
                return False
            flag = torch.tensor(float(stop), device=self.device)
            stop = bool(self.accelerator.reduce(flag, "sum") > 0)
        if stop and self.accelerator.is_main_process:
            file.unlink(missing_ok=True)
        return stop

    # -- many processes, seeds, names --

    def _start_seeds(self) -> None:
        # The loop's own start: what other cells drew before it does not matter, and
        # each process draws its own noise.
        seed = self.seed + 1_000_003 * self.accelerator.process_index
        seed_everything(seed)
        self.generator.manual_seed(seed)

    def _from_first(self, tensors: Any) -> None:
        if self.accelerator.num_processes > 1:
            with torch.no_grad():
                for tensor in tensors:
                    tensor.copy_(broadcast(tensor.contiguous()))

    def _average_gradients(self, weights: list[Tensor]) -> None:
        """What DistributedDataParallel does, in sight of any mix of networks."""
        grads = [w.grad for w in weights if w.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in grads])
        flat = self.accelerator.reduce(flat, "mean")
        parts = flat.split([g.numel() for g in grads])
        for grad, part in zip(grads, parts, strict=True):
            grad.copy_(part.view_as(grad))

    def _name(self, optimizer: torch.optim.Optimizer) -> str:
        for name, part in self._parts.items():
            if part is optimizer:
                return name
        raise ValueError(
            f"the optimiser is none of {list(self._parts)}: give it to run.prepare"
        )


_CONV = (nn.Conv2d, nn.ConvTranspose2d)


def get_device() -> torch.device:
    """The device that runs train on: a GPU where there is one."""
    return PartialState().device


def _precision(asked: str, device: torch.device) -> str:
    if asked not in PRECISIONS:
        raise ValueError(f"precision is {asked!r}: give one of {', '.join(PRECISIONS)}")
    if asked != "auto":
        return asked
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has = torch.cpu.get_capabilities()
        able = bool(has.get("avx512_bf16") or has.get("amx_bf16"))
    return "bfloat16" if able and device.type in ("cuda", "cpu") else "float32"
