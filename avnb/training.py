"""The step loop's plumbing: devices, precision, checkpoints, resume, logs.

The lesson keeps its losses and its updates in sight; a :class:`Run` does the rest::

    run = training.Run(folder, seed=0, precision="auto", settings=asdict(settings))
    G, D, opt_g, opt_d = run.prepare(G=G, D=D, opt_g=opt_g, opt_d=opt_d)
    batches = training.Batches(n=len(pairs), batch_size=64, seed=0)
    for step in run.steps(2000, save_every=500, sample_every=100):
        index = batches[step.number]
        with run.autocast():
            loss_d = ...
        run.step(opt_d, loss_d)
        with run.autocast():
            loss_g = ...
        run.step(opt_g, loss_g)
        run.log(loss_d=loss_d, loss_g=loss_g)
        if step.due():
            run.sample(pictures)

Killed at any step and started again, the loop goes on from its last checkpoint and
reaches the same numbers, to the last bit on the same CPU. Hugging Face Accelerate
carries devices, processes (``accelerate launch``) and trackers underneath.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import math
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors.torch
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from avnb import files, show
from avnb.live import DRAW_EVERY, Panel, Progress, as_picture, in_kernel
from avnb.media import write_audio

Module = TypeVar("Module", bound=nn.Module)
PRECISIONS = ("float32", "bfloat16", "auto")
FORMAT = 1  # of the checkpoints


class CheckpointError(Exception):
    """A checkpoint that cannot be used: which file, what is wrong, what to do."""

    def __init__(self, path: Path, problem: str, remedy: str) -> None:
        super().__init__(f"{path}: {problem}. {remedy}")
        self.path, self.problem, self.remedy = path, problem, remedy


# -- Seeds and batches ---------------------------------------------------------------


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's generators (CPU and every GPU)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  (libraries still use it)
    torch.manual_seed(seed)


class Batches:
    """The indices of batch `i`, as a pure function of `(seed, i)`: nothing to save.

    Each epoch is a permutation of `0 … n-1` of its own; its last, incomplete batch
    is dropped. With `weights` (n,), such as one over each class's size, an epoch
    draws with replacement instead. `batch_size` counts all processes together; each
    gets its share.
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        *,
        seed: int = 0,
        weights: Sequence[float] | np.ndarray | Tensor | None = None,
    ) -> None:
        if not 0 < batch_size <= n:
            raise ValueError(f"batch_size is {batch_size}: with n = {n}, give 1 to {n}")
        state = PartialState()
        self._rank, self._processes = state.process_index, state.num_processes
        if batch_size % self._processes:
            raise ValueError(
                f"batch_size is {batch_size}: give a multiple of the "
                f"{self._processes} processes that share it"
            )
        self.n, self.batch_size, self.seed = n, batch_size, seed
        self.per_epoch = n // batch_size
        self._weights: np.ndarray | None = None
        if weights is not None:
            w = np.asarray(weights, np.float64)
            if w.shape != (n,) or not (0 < w.sum() < math.inf and w.min() >= 0):
                raise ValueError(
                    f"weights have shape {w.shape}: give {n} finite numbers ≥ 0, "
                    "not all zero"
                )
            self._weights = w / w.sum()
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def __getitem__(self, i: int) -> Tensor:
        """The indices (batch_size / processes,), int64 on the CPU, of batch `i`."""
        if i < 0:
            raise IndexError(f"batch {i}: batches count from 0, without end")
        epoch, place = divmod(i, self.per_epoch)
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, epoch])
            if self._weights is None:
                self._order = rng.permutation(self.n)
            else:
                self._order = rng.choice(self.n, self.n, p=self._weights)
            self._epoch = epoch
        batch = self._order[place * self.batch_size : (place + 1) * self.batch_size]
        return torch.from_numpy(batch[self._rank :: self._processes].copy())

    # Batches never end, so a loop over them is a mistake.
    __iter__ = None  # type: ignore[assignment]


class Average(AveragedModel):
    """An exponential moving average of a module's weights and running statistics.

    Give it to `run.prepare` beside the module, and call `update_parameters(module)`
    after each update. `average.module` is the averaged network. After n updates the
    decay is min(decay, (1 + n) / (10 + n)), so that the weights it started from are
    soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float = 0.999) -> None:
        @torch.no_grad()
        def average(
            old: Sequence[Tensor], new: Sequence[Tensor], count: Tensor | int
        ) -> None:
            # a tensor throughout: no step waits for the device
            n = torch.as_tensor(count)
            share = 1 - ((1 + n) / (10 + n)).clamp(max=decay)
            for a, b in zip(old, new, strict=True):
                if a.is_floating_point():
                    a.lerp_(b, share.to(a.dtype))
                else:
                    a.copy_(b)

        super().__init__(module, multi_avg_fn=average, use_buffers=True)
        self.requires_grad_(False)


# -- The run -------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One step of the loop: `number` counts from 0 to `total - 1`."""

    number: int
    total: int
    sample_every: int | None = None

    def due(self, every: int | None = None) -> bool:
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
        :class:`Average`, each under the name that it has in the checkpoints; returns
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
    ) -> Iterator[Step]:
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
                yield Step(self._number, total, sample_every)
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

    def sample(
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
        picture = as_picture(value)
        files.write_bytes(stem.with_suffix(".png"), show.png_bytes(picture))
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
            name: _encode(part.state_dict(), name, tensors)
            for name, part in self._parts.items()
        }
        for name, part in self._parts.items():
            if isinstance(part, nn.Module):
                state[name] = None  # its tensors say all
        for name, words in _random_state(self.generator).items():
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
            _save(self.folder / "checkpoints", self._number, tensors, description)
        self.accelerator.wait_for_everyone()

    def _resume(self, total: int) -> None:
        """Go back to the newest checkpoint, or to the seeds of a fresh start."""
        self._describe_parts()  # an error now, not at the first save
        newest = _newest(self.folder)
        self._number = 0
        if newest is None:
            self._start_seeds()
        else:
            tensors, saved = _read(newest)
            self._compare(newest, saved)
            if saved["step"] > total:
                raise CheckpointError(
                    newest,
                    f"it has done {saved['step']} steps, and {total} are asked for",
                    "Ask for as many or more, or give fresh=True",
                )
            for name, part in self._parts.items():
                _restore(newest, name, part, saved["state"][name], tensors)
            rank = self.accelerator.process_index
            _set_random_state(
                {
                    name.removeprefix("rng."): words[rank]
                    for name, words in tensors.items()
                    if name.startswith("rng.")
                },
                self.generator,
            )
            self._number = saved["step"]
        if self.accelerator.is_main_process:
            _tidy(self.folder / "checkpoints", newest)
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


def load(folder: str | os.PathLike[str], **modules: nn.Module) -> None:
    """Load a run's newest weights into modules.

    `load(folder, G=G)` fills `G` from what the run prepared as `G`, strictly: each
    name and shape must agree. Raises CheckpointError.
    """
    found = _newest(Path(folder))
    if found is None:
        raise CheckpointError(
            Path(folder), "no checkpoint is there", "Train the run first"
        )
    tensors = _read(found)[0]
    for name, module in modules.items():
        _load_module(found / "tensors.safetensors", name, module, tensors)


def save_model(path: str | os.PathLike[str], module: nn.Module, **config: Any) -> None:
    """Keep a module as one safetensors file: weights, and the arguments of its class.

    `config` are those arguments, plain values; `load_model` builds the module from
    them. Written whole or not at all, by the first process alone.
    """
    if not PartialState().is_main_process:
        return
    tensors: dict[str, Tensor] = {}
    _encode(module.state_dict(), "model", tensors)
    about = {"class": type(module).__name__, "config": json.dumps(config)}
    content = safetensors.torch.save(_contiguous(tensors), metadata=about)
    files.write_bytes(path, content)


def load_model(path: str | os.PathLike[str], cls: type[Module]) -> Module:
    """The module of `save_model`, on the CPU and in eval mode.

    Raises CheckpointError where the file is missing, damaged, of another class, or
    its weights do not fit its own description.
    """
    path = Path(path)
    tensors = _read_tensors(path)
    with safetensors.safe_open(path, "pt") as file:
        about = file.metadata() or {}
    if about.get("class") != cls.__name__:
        raise CheckpointError(
            path, f"it holds a {about.get('class')}, not a {cls.__name__}", _DAMAGED
        )
    try:
        config = json.loads(about["config"])
        # Without memory first: a file may claim any size.
        with torch.device("meta"):
            claimed = cls(**config).state_dict()
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        problem = f"it describes no {cls.__name__}"
        raise CheckpointError(path, problem, _DAMAGED) from error
    sizes = [sum(t.numel() for t in of.values()) for of in (claimed, tensors)]
    if sizes[0] > sizes[1]:
        raise CheckpointError(path, "it holds fewer weights than it claims", _DAMAGED)
    module = cls(**config)
    _load_module(path, "model", module, tensors)
    return module.eval()


def device() -> torch.device:
    """The device that runs train on: a GPU where there is one."""
    return PartialState().device


# -- Checkpoints ---------------------------------------------------------------------
#
# checkpoints/step_0000500/ holds tensors.safetensors and state.json. The folder is
# written under a hidden name and renamed when it is whole, so a kill leaves either.


def _encode(tree: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """`tree` as JSON, its tensors moved out into `tensors` under dotted names."""
    if isinstance(tree, Tensor):
        tensors[name] = tree
        return {"tensor": name}
    if isinstance(tree, Mapping):
        items = [[k, _encode(v, f"{name}.{k}", tensors)] for k, v in tree.items()]
        return {"dict": items}
    if isinstance(tree, list | tuple):
        items = [_encode(v, f"{name}.{i}", tensors) for i, v in enumerate(tree)]
        return {type(tree).__name__ if type(tree) in (list, tuple) else "tuple": items}
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    raise TypeError(f"{name} is a {type(tree).__name__}, which no checkpoint can hold")


def _decode(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(tree, dict):
        return tree
    ((kind, value),) = tree.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {k: _decode(v, tensors) for k, v in value}
    return {"list": list, "tuple": tuple}[kind](_decode(v, tensors) for v in value)


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: t.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, t in tensors.items()
    }


def _save(
    folder: Path, number: int, tensors: Mapping[str, Tensor], description: dict
) -> None:
    data = safetensors.torch.save(_contiguous(tensors))
    packages = ("torch", "accelerate", "safetensors", "numpy")
    description = {
        "format": FORMAT,
        **description,
        "sha256": hashlib.sha256(data).hexdigest(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
    whole, part = folder / f"step_{number:07d}", folder / f".step_{number:07d}"
    if whole.exists():  # a stop right after a save
        return
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    files.write_bytes(part / "tensors.safetensors", data)
    files.write_bytes(part / "state.json", json.dumps(description, indent=1).encode())
    os.replace(part, whole)
    _sync_folder(folder)
    _tidy(folder, whole)


def _tidy(folder: Path, newest: Path | None) -> None:
    """Delete the checkpoints before, and what a kill has left."""
    for old in folder.glob("step_*"):
        if old != newest:  # a half-deleted one must not be found
            os.replace(old, folder / f".{old.name}")
    for old in folder.glob(".step_*"):
        shutil.rmtree(old, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_DIRECTORY)
        os.fsync(handle)
        os.close(handle)


def _newest(folder: Path) -> Path | None:
    found = [
        path
        for path in (folder / "checkpoints").glob("step_*")
        if path.name.removeprefix("step_").isdecimal()
    ]
    return max(
        found, key=lambda path: int(path.name.removeprefix("step_")), default=None
    )


_DAMAGED = "Delete its folder and train again, or bring it back from a copy"


def _read(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    path = checkpoint / "state.json"
    try:
        saved = json.loads(path.read_text())
        if saved["format"] != FORMAT:
            raise CheckpointError(
                path, f"its format is {saved['format']}, not {FORMAT}", _DAMAGED
            )
        if not isinstance(saved["step"], int):
            raise TypeError("step is no whole number")
        for key in ("settings", "parts", "state"):
            saved[key].keys()
        checksum = saved["sha256"]
    except FileNotFoundError:
        raise CheckpointError(path, "it is missing", _DAMAGED) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(path, f"it is damaged ({error!r})", _DAMAGED) from None
    return _read_tensors(checkpoint / "tensors.safetensors", checksum), saved


def _read_tensors(path: Path, checksum: str | None = None) -> dict[str, Tensor]:
    try:
        data = path.read_bytes()
        if checksum is not None and hashlib.sha256(data).hexdigest() != checksum:
            raise CheckpointError(
                path, "it is damaged: its checksum is another", _DAMAGED
            )
        return safetensors.torch.load(data)
    except FileNotFoundError:
        raise CheckpointError(path, "it is missing", _DAMAGED) from None
    except SafetensorError as error:
        raise CheckpointError(path, f"it is damaged ({error})", _DAMAGED) from None


def _load_module(
    path: Path, name: str, module: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    """Copy the tensors of `name` into the module; each must be there and fit."""
    prefix = name + "."
    saved = {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }
    own = module.state_dict()
    problems = [f"{key} is missing" for key in own if key not in saved]
    problems += [f"{key} is unknown to the module" for key in saved if key not in own]
    problems += [
        f"{key} is {tuple(saved[key].shape)}, the module has {tuple(own[key].shape)}"
        for key in own
        if key in saved and saved[key].shape != own[key].shape
    ]
    if own and not saved:
        held = sorted({key.split(".")[0] for key in tensors} - {"rng"})
        problems = [f"the file holds {held}"]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise CheckpointError(
            path,
            f"{name} does not fit: " + "; ".join(problems[:5]) + more,
            "Build the module with the settings of the run, or train it anew "
            "(fresh=True)",
        )
    module.load_state_dict(saved)


def _restore(
    checkpoint: Path, name: str, part: Any, state: Any, tensors: Mapping[str, Tensor]
) -> None:
    path = checkpoint / "tensors.safetensors"
    if isinstance(part, nn.Module):
        _load_module(path, name, part, tensors)
        return
    try:
        state = _decode(state, tensors)
        if isinstance(part, torch.optim.Optimizer):
            _fit_to_weights(part, state)
        part.load_state_dict(state)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            path, f"{name} does not fit: {error}", "Give fresh=True to begin anew"
        ) from None


def _fit_to_weights(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Lay each weight's state out in memory as the weight is, for equal rounding."""
    weights = [p for g in optimizer.param_groups for p in g["params"]]
    for index, values in state["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor) and value.shape == weights[index].shape:
                like = torch.empty_like(weights[index], dtype=value.dtype)
                values[key] = like.copy_(value)


# -- Random numbers ------------------------------------------------------------------


def _random_state(generator: torch.Generator) -> dict[str, Tensor]:
    """The state of every generator, as uint8 tensors of fixed sizes."""
    _, words, gauss = random.getstate()
    _, keys, place, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    state = {
        "python": _bytes(
            np.array(words, np.uint32),
            np.array([gauss is not None, gauss or 0.0], np.float64),
        ),
        "numpy": _bytes(
            np.asarray(keys, np.uint32),
            np.array([place, has_gauss, cached], np.float64),
        ),
        "torch": torch.get_rng_state(),
        "run": generator.get_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: Mapping[str, Tensor], generator: torch.Generator) -> None:
    raw = {name: words.contiguous().numpy().tobytes() for name, words in state.items()}
    words = tuple(np.frombuffer(raw["python"], np.uint32, 625).tolist())
    has, gauss = np.frombuffer(raw["python"], np.float64, offset=2500)
    random.setstate((3, words, float(gauss) if has else None))
    keys = np.frombuffer(raw["numpy"], np.uint32, 624)
    place, has, cached = np.frombuffer(raw["numpy"], np.float64, offset=2496)
    np.random.set_state(  # noqa: NPY002
        ("MT19937", keys, int(place), int(has), float(cached))
    )
    # clone: set_rng_state crashes on a view into a larger tensor.
    torch.set_rng_state(state["torch"].clone())
    generator.set_state(state["run"].clone())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].clone())


def _bytes(*arrays: np.ndarray) -> Tensor:
    joined = b"".join(array.tobytes() for array in arrays)
    return torch.frombuffer(bytearray(joined), dtype=torch.uint8)


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
