"""Does a training step of Listen and Move at 512x512 fit in 24 GB? How fast is 256x256?

    python benchmarks/listen_and_move.py [--rounds 5] [--steps 5]

A step is that of the paper (base 1024, batch 1, T = 32 frames): an update of D_V on the
real, the generated and the shuffled video with both penalties, an update of D_I on one
frame, and an update of R and G with both critics and VGG16. VGG16 has random weights,
which is the same work. Each network has its own Adam.

With a GPU, this measures the steps per second at 256x256 in float32 and bfloat16, and
the peak memory at 512x512, also with torch limited to 24e9 bytes.

Without a GPU, it calculates. The same step runs on torch's `meta` device, whose tensors
have shapes and no values. It counts the tensors that autograd saves (each storage
once), the peak of all live tensors (with the graphs of the penalties, gradients and
Adam's states), and the arithmetic of convolutions and matrix products. It does not
count the workspaces of kernels. A small network on a CPU checks the method against
torch.profiler. A step at 64x64 pixels and base 128 is timed too, and the same step with
torch's own 3-d convolutions, in turn.

The results go to benchmarks/results/listen_and_move.json. Each of the two kinds of run
replaces only its own part.
"""

import argparse
import gc
import json
import os
import statistics
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from avnb_notebooks.listen_and_move.step3_generator import (
    ModelConfig,
    SoundToVideo,
    init_weights,
)
from avnb_notebooks.listen_and_move.step5_critics import (
    image_critic_loss,
    make_image_critic,
    make_video_critic,
    sound_to_video_loss,
    video_critic_loss,
)
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import conv_flop_count, flop_registry

from avnb import losses
from avnb.course.provenance import describe_hardware
from avnb.layers import Conv3d, VideoPrediction
from avnb.pretrained import networks

FRAMES, BANDS = 32, 64
PARTS = ("video", "D_V", "D_I", "model")
CARD = 24e9  # bytes; a card of 24 GiB has more, but CUDA itself needs some
RESULTS = Path(__file__).parent / "results" / "listen_and_move.json"


@dataclass(frozen=True)
class Saving:
    """Ways to save memory that do not change the gradients."""

    recompute: int = 0  # the argument of VideoPrediction
    by_term: bool = False  # a backward pass for each term of a loss, to free its graph
    frames: int = FRAMES  # at a time through VGG16, with by_term


SETTINGS = {
    "plain": Saving(),
    "recompute": Saving(recompute=4),
    "saving": Saving(recompute=4, by_term=True, frames=4),
}


# The terms must add up to the losses of step 5. They make the same random draws and the
# same calls of the critics in the same order (a batch norm counts its calls).


def video_critic_terms(
    critic: nn.Module, real: Tensor, fake: Tensor, penalty: float = 10.0
) -> Iterator[Tensor]:
    """The terms of `video_critic_loss`."""
    shuffled = losses.shuffle_time(real)
    v, generated, mixed = (video.transpose(1, 2) for video in (real, fake, shuffled))
    yield -2 * critic(v).mean()  # once against each fake
    for other in (generated, mixed):
        yield critic(other).mean()
    for other in (generated, mixed):
        yield penalty * losses.gradient_penalty(critic, v, other)


def image_critic_terms(
    critic: nn.Module, real: Tensor, fake: Tensor, penalty: float = 10.0
) -> Iterator[Tensor]:
    """The terms of `image_critic_loss`."""
    yield -critic(real).mean()
    yield critic(fake).mean()
    yield penalty * losses.gradient_penalty(critic, real, fake)


class Step:
    """All three networks, their optimizers and a random window; a call is one step.

    With `Saving.by_term`, `backward` gets the terms of a loss one by one and runs the
    backward pass of each at once. The gradients add up, and the graph of only one term
    is alive at a time.
    """

    def __init__(
        self,
        size: int,
        base: int = 1024,
        saving: Saving = SETTINGS["plain"],
        device: str = "cpu",
        frames: int = FRAMES,
        bfloat16: bool = False,
        kernel_size: int = 3,
    ) -> None:
        self.saving = saving
        self.autocast = torch.autocast(
            "cpu" if device == "meta" else device, torch.bfloat16, enabled=bfloat16
        )
        model = SoundToVideo(ModelConfig(), size, BANDS, base=base)
        prediction = model.generator.prediction
        model.generator.prediction = VideoPrediction(
            prediction.recurrences.channels, kernel_size, recompute=saving.recompute
        )
        self.D_I = make_image_critic(size, base)
        self.D_V = make_video_critic(size, base)
        self.model = model
        self.optimizers = {}
        for name, network, rate in (
            ("D_V", self.D_V, 4e-4),
            ("D_I", self.D_I, 4e-4),
            ("model", model, 1e-4),
        ):
            network.apply(init_weights).to(device)
            self.optimizers[name] = torch.optim.Adam(
                network.parameters(), rate, betas=(0.3, 0.999)
            )
        self.vgg = networks.vgg16().requires_grad_(False).to(device)
        del self.vgg.stages[2:]  # the perceptual loss compares relu2_2
        self.real = torch.rand(frames, 3, size, size).mul(2).sub(1).to(device)
        self.features = torch.rand(frames, BANDS).mul(2).sub(1).to(device)

    def weights(self, name: str) -> list[Tensor]:
        return self.optimizers[name].param_groups[0]["params"]

    def backward(self, terms: Iterator[Tensor], to: list[Tensor]) -> None:
        """Run the backward pass of each term; only `to` gets gradients."""
        while True:
            with self.autocast:
                term = next(terms, None)
            if term is None:
                return
            term.backward(inputs=to)

    def update(self, name: str, terms: Iterator[Tensor]) -> None:
        """One update of a network by the terms of its loss."""
        self.optimizers[name].zero_grad(set_to_none=True)
        self.backward(terms, self.weights(name))
        self.optimizers[name].step()

    def update_model(self, video: Tensor, at: int) -> None:
        """One update of R and G; `at` is the frame that D_I sees."""
        if not self.saving.by_term:
            self.update("model", self.model_loss(video, at))
            return
        # The backward pass of each term stops at the video and frees its graph. The
        # sum of their gradients then goes through R and G once.
        optimizer = self.optimizers["model"]
        optimizer.zero_grad(set_to_none=True)
        seen = video.detach().requires_grad_()
        self.backward(self.model_terms(seen, at), [seen])
        video.backward(seen.grad, inputs=self.weights("model"))
        optimizer.step()

    def model_loss(self, video: Tensor, at: int) -> Iterator[Tensor]:
        by_picture = self.D_I(video[at, None])
        by_film = self.D_V(video.transpose(0, 1)[None])
        seen = losses.perceptual_loss(self.vgg.truncate(2), self.real, video)
        yield sound_to_video_loss(by_picture, by_film, seen)

    def model_terms(
        self, video: Tensor, at: int, alpha: float = 10.0
    ) -> Iterator[Tensor]:
        """The terms of `sound_to_video_loss`, VGG16 in groups of frames."""
        yield losses.generator_loss(self.D_I(video[at, None]))
        yield losses.generator_loss(self.D_V(video.transpose(0, 1)[None]))
        features, chunk = self.vgg.truncate(2), self.saving.frames
        for real, fake in zip(self.real.split(chunk), video.split(chunk), strict=True):
            part = alpha * len(real) / len(video)
            yield part * losses.perceptual_loss(features, real, fake)

    def parts(self) -> Iterator[str]:
        """Run one step and yield the name of each part when it is done.

        The video is generated once, and its graph is alive during the updates of the
        critics.
        """
        at = int(torch.randint(len(self.real), ()))
        with self.autocast:
            video, _ = self.model(self.features)
        video = video.to(self.real.dtype)  # the penalties mix it with real: no bfloat16
        yield "video"
        real, fake, by_term = self.real, video.detach(), self.saving.by_term
        terms = video_critic_terms if by_term else as_single_term(video_critic_loss)
        self.update("D_V", terms(self.D_V, real[None], fake[None]))
        yield "D_V"
        terms = image_critic_terms if by_term else as_single_term(image_critic_loss)
        self.update("D_I", terms(self.D_I, real[at, None], fake[at, None]))
        yield "D_I"
        self.update_model(video, at)
        yield "model"

    def __call__(self) -> None:
        for _ in self.parts():
            pass


def as_single_term(loss: Callable[..., Tensor]) -> Callable[..., Iterator[Tensor]]:
    """Turn a loss into a function that yields it as the only term."""

    def terms(*given: Any) -> Iterator[Tensor]:
        yield loss(*given)

    return terms


# --- The arithmetic --------------------------------------------------------------


def get_storage(x: Tensor) -> torch.UntypedStorage:
    return x.untyped_storage()


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of live tensors (each storage once), their peak, and FLOP."""

    def __init__(self, *before: Tensor) -> None:
        super().__init__()
        self.seen: set[int] = set()
        self.now = self.peak = self.flop = 0
        for tensor in before:
            self.add(tensor)

    def add(self, tensor: Tensor) -> None:
        held = get_storage(tensor)
        key, size = held._cdata, held.nbytes()
        if key in self.seen:
            return
        self.seen.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(held, self.drop, key, size)

    def drop(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.now -= size

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        kind = func._overloadpacket
        if kind is torch.ops.aten.convolution_backward:
            # Each gradient costs as much as the convolution. (torch's own formula for
            # the weight's gradient is too large by the number of groups.)
            grad, x, weight, *_, transposed, _, _, wanted = args
            shapes = (x.shape, weight.shape, grad.shape)
            self.flop += conv_flop_count(*shapes, transposed) * sum(wanted[:2])
        elif kind in flop_registry:
            self.flop += flop_registry[kind](*args, **(kwargs or {}), out_val=out)
        if kind is torch.ops.aten.mse_loss and out.is_meta:
            # The CPU kernel writes all squares into a tensor, and its result, a single
            # number, keeps that tensor's memory. The meta kernel does neither.
            squares = args[0].nbytes
            self.peak = max(self.peak, self.now + 2 * squares)
            out.untyped_storage().resize_(squares)
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self.add(leaf)
        return out


class SavedTensors(saved_tensors_hooks):
    """Counts the bytes that autograd saves: each storage once, without weights.

    Tensors that a checkpoint computes again in the backward pass are not counted.
    """

    def __init__(self, *known: Tensor) -> None:
        self.known = {get_storage(tensor)._cdata for tensor in known}
        self.holders: Counter[int] = Counter()
        self.now = self.peak = 0
        super().__init__(self.pack, lambda held: held.tensor)

    def pack(self, tensor: Tensor) -> "_SavedTensor":
        held, of = _SavedTensor(tensor), get_storage(tensor)
        key, size = of._cdata, of.nbytes()
        if key not in self.known:
            self.now += 0 if self.holders[key] else size
            self.peak = max(self.peak, self.now)
            self.holders[key] += 1
            weakref.finalize(held, self.drop, key, size)
        return held

    def drop(self, key: int, size: int) -> None:
        self.holders[key] -= 1
        self.now -= 0 if self.holders[key] else size


class _SavedTensor:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def count_bytes(tensors: Any) -> int:
    return sum(t.nbytes for t in tree_leaves(tensors) if torch.is_tensor(t))


def count_step(step: Step) -> dict[str, Any]:
    """Count memory and FLOP of each part of a second step, when Adam has its states."""
    optimizers = step.optimizers.values()
    weights = [w for o in optimizers for w in o.param_groups[0]["params"]]
    adam = [list(o.state.values()) for o in optimizers]
    others = [step.real, step.features, *step.vgg.parameters()]
    for network in (step.D_V, step.D_I, step.model, step.vgg):
        others += network.buffers()
    fixed = [t for t in tree_leaves([weights, adam, others]) if torch.is_tensor(t)]
    result: dict[str, Any] = {
        "parameters": sum(w.numel() for w in weights),
        "weights_gb": count_bytes(weights) / 1e9,
        "gradients_gb": count_bytes(weights) / 1e9,
        "adam_gb": count_bytes(adam) / 1e9,
        "films_and_vgg_gb": count_bytes(others) / 1e9,
    }
    before = [w.grad for w in weights if w.grad is not None]
    kept, alive = SavedTensors(*fixed), LiveTensors(*fixed, *before)
    del before
    result["before_gb"] = alive.now / 1e9
    with alive, kept:
        for part in step.parts():
            row = {"kept_gb": kept.peak / 1e9, "peak_gb": alive.peak / 1e9}
            row |= {"after_gb": alive.now / 1e9, "tflop": alive.flop / 1e12}
            result[part] = row
            alive.flop, alive.peak, kept.peak = 0, alive.now, kept.now
    rows = [result[part] for part in PARTS]
    result["peak_gb"] = max(row["peak_gb"] for row in rows)
    result["tflop"] = sum(row["tflop"] for row in rows)
    result["fits_in_24_gb"] = result["peak_gb"] * 1e9 < CARD
    return result


def make_warm_step(size: int, base: int = 1024, **given: Any) -> Step:
    """A Step that has run once, so that Adam has its states."""
    step = Step(size, base, **given)
    step()
    return step


def count_saved_by_part(step: Step) -> dict[str, float]:
    """GB that autograd saves for single parts, each run once (without savings)."""
    generator, real = step.model.generator, step.real
    z = torch.cat([step.features, step.features, step.features[:, :2]], dim=1)
    with torch.no_grad():
        maps, _ = generator.trunk(z, step.features)
    film = real.transpose(0, 1)[None]
    parts: dict[str, Callable[[], Any]] = {
        "trunk of G": lambda: generator.trunk(z, step.features),
        "prediction": lambda: generator.prediction(maps[None].requires_grad_()),
        "VGG16, all frames": lambda: losses.perceptual_loss(
            step.vgg.truncate(2), real, torch.empty_like(real, requires_grad=True)
        ),
        "D_V, one film": lambda: step.D_V(film),
        "D_V, one penalty": lambda: losses.gradient_penalty(step.D_V, film, film),
    }
    networks = (step.model, step.D_V, step.vgg)
    known = [*(w for network in networks for w in network.parameters())]
    result = {}
    for name, part in parts.items():
        with (kept := SavedTensors(*known)):
            part()
        result[name] = kept.peak / 1e9
    return result


# `shuffle_time` needs values, and meta tensors have none. Any order has the same size.
flip_for_shuffle = patch.object(losses, "shuffle_time", lambda video: video.flip(1))


@flip_for_shuffle
def calculate(sizes: list[int]) -> dict[str, Any]:
    """Count a step for each size and setting; at 512 also with kernels of 5×5.

    The released code has kernels of that size.
    """
    result: dict[str, Any] = {
        "what": "calculated in float32 on torch's meta device, not measured on a GPU; "
        "peak: all live tensors without the kernels' workspaces; kept: saved by "
        "autograd, without what a checkpoint computes again"
    }
    for size in sizes:
        rows = {
            name: count_step(make_warm_step(size, saving=saving, device="meta"))
            for name, saving in SETTINGS.items()
        }
        for name in SETTINGS if size >= 512 else ():
            given: dict[str, Any] = {"saving": SETTINGS[name], "kernel_size": 5}
            step = make_warm_step(size, device="meta", **given)
            rows[f"{name}, kernel 5"] = count_step(step)
        rows["plain"]["kept_by_part_gb"] = count_saved_by_part(
            Step(size, device="meta")
        )
        result[f"{size}x{size}"] = rows
        for name, row in rows.items():
            print(f"{size} {name:20} {row['peak_gb']:.2f} GB {row['tflop']:.2f} TFLOP")
    return result


def profile_step(step: Step) -> dict[str, float]:
    """Peak MB above the start in each part of a step, by torch.profiler on a CPU.

    The profiler does not see the release of memory that was allocated before it
    started, so there must be no gradients yet.
    """
    parts, cpu = step.parts(), [ProfilerActivity.CPU]
    with profile(activities=cpu, profile_memory=True, acc_events=True) as record:
        for number in range(len(PARTS)):
            with record_function(f"part {number}"):
                next(parts)
    events = record.profiler.kineto_results.events()
    ends = {e.name(): e.start_ns() + e.duration_ns() for e in events}
    result, held = dict.fromkeys(PARTS, 0.0), 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            at = sum(event.start_ns() > ends[f"part {n}"] for n in range(len(PARTS)))
            part = PARTS[min(at, len(PARTS) - 1)]
            result[part] = max(result[part], held / 1e6)
    return result


@flip_for_shuffle
def compare_with_profiler(size: int = 64, base: int = 128) -> dict[str, Any]:
    """Compare the count on meta with the profiler and with the count on a CPU."""
    result: dict[str, Any] = {"size": size, "base": base, "frames": FRAMES}
    for name, saving in SETTINGS.items():
        steps = [
            make_warm_step(size, base, saving=saving, device=device)
            for device in ("meta", "cpu", "cpu")
        ]
        for step in steps:
            for optimizer in step.optimizers.values():
                optimizer.zero_grad(set_to_none=True)
        count, on_cpu = (count_step(step) for step in steps[:2])
        measured = profile_step(steps[2])
        beyond, beyond_on_cpu = (
            {part: 1e3 * (c[part]["peak_gb"] - c["before_gb"]) for part in PARTS}
            for c in (count, on_cpu)
        )
        result[name] = {
            "profiler_mb": measured,
            "counted_mb": beyond,
            "counted_on_cpu_mb": beyond_on_cpu,
            "counted_of_profiler": {p: beyond[p] / measured[p] for p in PARTS},
            "peak_of_profiler": max(beyond.values()) / max(measured.values()),
        }
        print(name, json.dumps(result[name], indent=1))
    return result


# --- The measurement -------------------------------------------------------------


def measure_speed(step: Step, steps: int, rounds: int) -> dict[str, Any]:
    """Steps per second in each round, wall-clock time."""
    for _ in range(3):
        step()
    rates = []
    for _ in range(rounds):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            step()
        torch.cuda.synchronize()
        rates.append(steps / (time.perf_counter() - start))
    return {"steps_per_second": statistics.median(rates), "rounds": rates}


def measure_memory(
    size: int, limit: float | None = None, **setting: Any
) -> dict[str, Any]:
    """Peak memory allocated and reserved in three steps, limited to `limit` bytes."""
    gc.collect()  # an earlier error may have left tensors
    torch.cuda.empty_cache()
    whole_card = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(
        min((limit or whole_card) / whole_card, 1)
    )
    torch.cuda.reset_peak_memory_stats()
    try:
        step = Step(size, device="cuda", **setting)
        for _ in range(3):
            step()
        torch.cuda.synchronize()
    except torch.cuda.OutOfMemoryError:
        return {"ran": False}
    return {
        "ran": True,
        "allocated_gb": torch.cuda.max_memory_allocated() / 1e9,
        "reserved_gb": torch.cuda.max_memory_reserved() / 1e9,
    }


def measure_on_gpu(steps: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Yield the results so far after each setting, as the machine may be taken away."""
    card = torch.cuda.get_device_properties(0)
    result: dict[str, Any] = {
        "date": date.today().isoformat(),
        "hardware": f"{card.name}, {card.total_memory / 1e9:.1f} GB",
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "tf32_in_convolutions": torch.backends.cudnn.allow_tf32,
        "256x256": {},
        "512x512": {},
    }
    for name, saving in reversed(SETTINGS.items()):
        for bfloat16 in (False, True):
            setting: dict[str, Any] = {"saving": saving, "bfloat16": bfloat16}
            key = f"{name}, {'bfloat16' if bfloat16 else 'float32'}"
            row = measure_memory(512, **setting)
            row["within_24e9_bytes"] = measure_memory(512, CARD, **setting)
            result["512x512"][key] = row
            row = measure_memory(256, **setting)
            if row["ran"]:
                row |= measure_speed(Step(256, device="cuda", **setting), steps, rounds)
            result["256x256"][key] = row
            print(key, json.dumps([result["512x512"][key], row], indent=1))
            yield result


def compare_convolutions(steps: int, rounds: int) -> dict[str, Any]:
    """CPU seconds a step with `avnb.layers.Conv3d` and with torch's, in turn."""
    step = Step(64, 128)

    def measure() -> float:
        # Other processes change how long a step takes more than how much it computes.
        start = time.process_time()
        for _ in range(steps):
            step()
        return (time.process_time() - start) / steps

    seconds: dict[str, list[float]] = {"avnb.layers.Conv3d": [], "torch.nn.Conv3d": []}
    step()
    for _ in range(rounds):
        seconds["avnb.layers.Conv3d"].append(measure())
        with patch.object(Conv3d, "forward", nn.Conv3d.forward):
            seconds["torch.nn.Conv3d"].append(measure())
    ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
    return {
        "what": "one step at 64x64, base 128, 32 frames, batch 1, in float32",
        "cpu_seconds": seconds,
        "times_faster": statistics.median(ratios),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
    }


def write_results(part: str, result: dict[str, Any]) -> None:
    """Replace one part of the results file."""
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    settings = {name: asdict(saving) for name, saving in SETTINGS.items()}
    setting = {"base": 1024, "batch": 1, "frames": FRAMES, "settings": settings}
    known |= {**setting, part: result}
    RESULTS.write_text(json.dumps(known, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    asked = parser.parse_args()
    torch.manual_seed(0)
    if torch.cuda.is_available():
        for result in measure_on_gpu(asked.steps, asked.rounds):
            write_results("measured", result)
        return
    result = {
        "date": date.today().isoformat(),
        "hardware": describe_hardware(),
        "torch": torch.__version__,
        **calculate([64, 128, 256, 512]),
        "check_on_a_cpu": compare_with_profiler(),
    }
    write_results("arithmetic", result)
    about = {"date": date.today().isoformat(), "hardware": describe_hardware()}
    measured = compare_convolutions(asked.steps, asked.rounds)
    write_results("on_a_cpu", about | {"torch": torch.__version__} | measured)


if __name__ == "__main__":
    main()
