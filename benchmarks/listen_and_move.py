"""Does a training step of Listen and Move at 512x512 fit in 24 GB? How fast is 256x256?

    python benchmarks/listen_and_move.py [--rounds 5] [--steps 5]

A step is as the paper trains (base 1024, batch 1, T = 32 frames): D_V on the real, the
made and the shuffled film with both penalties, D_I on one frame, R and G against both
critics and VGG16 (with random weights: the same work), each with its own Adam.

With a GPU: steps per second at 256x256, float32 and bfloat16, and the most memory at
512x512, also with torch held to 24e9 bytes. Without one, arithmetic, which is no
measurement: the same step on torch's `meta` device, whose tensors have shapes alone.
Counted there: what autograd keeps, each storage once; the peak of all tensors alive,
graphs of the penalties, gradients and Adam's states included; and the work of
convolutions and products. Not in it: what kernels take beside their results. The
method is checked against torch.profiler's memory on a CPU, on a small network.

Writes its part of benchmarks/results/listen_and_move.json and leaves the other's.
"""

import argparse
import gc
import json
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
    Animator,
    Design,
    start_weights,
)
from avnb_notebooks.listen_and_move.step5_critics import (
    animator_loss,
    image_critic,
    image_critic_loss,
    video_critic,
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
from avnb.layers import VideoPrediction
from avnb.pretrained import networks

FRAMES, BANDS = 32, 64
PARTS = ("video", "D_V", "D_I", "animator")
CARD = 24e9  # bytes; a card of 24 GiB has more, but CUDA itself takes some of it
RESULTS = Path(__file__).parent / "results" / "listen_and_move.json"


@dataclass(frozen=True)
class Saving:
    """Ways to save memory that leave the gradients as they are."""

    recompute: int = 0  # VideoPrediction's
    apart: bool = False  # a backward pass for each term of a loss frees its graph
    frames: int = FRAMES  # so many at a time through VGG16, if apart


SETTINGS = {
    "plain": Saving(),
    "recompute": Saving(recompute=4),
    "saving": Saving(recompute=4, apart=True, frames=4),
}


# Term by term: the sums, the draws and the calls of the critics (a batch norm counts
# them) are those of step 5's losses, in the same order.


def video_critic_terms(
    critic: nn.Module, real: Tensor, fake: Tensor, penalty: float = 10.0
) -> Iterator[Tensor]:
    """The terms of `video_critic_loss`."""
    shuffled = losses.shuffle_time(real)
    v, made, mixed = (film.transpose(1, 2) for film in (real, fake, shuffled))
    yield -2 * critic(v).mean()  # once against each fake
    for wrong in (made, mixed):
        yield critic(wrong).mean()
    for wrong in (made, mixed):
        yield penalty * losses.gradient_penalty(critic, v, wrong)


def image_critic_terms(
    critic: nn.Module, real: Tensor, fake: Tensor, penalty: float = 10.0
) -> Iterator[Tensor]:
    """The terms of `image_critic_loss`."""
    yield -critic(real).mean()
    yield critic(fake).mean()
    yield penalty * losses.gradient_penalty(critic, real, fake)


class Step:
    """All three networks, their optimisers and a window of noise; a call is a step.

    With `Saving.apart`, `backward` gets a loss term by term and goes back from each as
    soon as it is made: gradients add up, and only one term's graph is alive.
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
        animator = Animator(Design(), size, BANDS, base=base)
        prediction = animator.generator.prediction
        animator.generator.prediction = VideoPrediction(
            prediction.recurrences.channels, kernel_size, recompute=saving.recompute
        )
        self.D_I, self.D_V = image_critic(size, base), video_critic(size, base)
        self.animator = animator
        self.optimizers = {}
        for name, network, rate in (
            ("D_V", self.D_V, 4e-4),
            ("D_I", self.D_I, 4e-4),
            ("animator", animator, 1e-4),
        ):
            network.apply(start_weights).to(device)
            self.optimizers[name] = torch.optim.Adam(
                network.parameters(), rate, betas=(0.3, 0.999)
            )
        self.vgg = networks.vgg16().requires_grad_(False).to(device)
        del self.vgg.stages[2:]  # relu2_2 is what is compared
        self.real = torch.rand(frames, 3, size, size).mul(2).sub(1).to(device)
        self.features = torch.rand(frames, BANDS).mul(2).sub(1).to(device)

    def weights(self, name: str) -> list[Tensor]:
        return self.optimizers[name].param_groups[0]["params"]

    def backward(self, terms: Iterator[Tensor], to: list[Tensor]) -> None:
        """From each term before the next is made; only gradients of `to` are made."""
        while True:
            with self.autocast:
                term = next(terms, None)
            if term is None:
                return
            term.backward(inputs=to)

    def learn(self, name: str, terms: Iterator[Tensor]) -> None:
        self.optimizers[name].zero_grad(set_to_none=True)
        self.backward(terms, self.weights(name))
        self.optimizers[name].step()

    def animator_learns(self, video: Tensor, at: int) -> None:
        if not self.saving.apart:
            self.learn("animator", self.animator_loss(video, at))
            return
        # Each term goes back to the video alone, and frees its graph; then all go
        # through the animator at once.
        optimizer = self.optimizers["animator"]
        optimizer.zero_grad(set_to_none=True)
        seen = video.detach().requires_grad_()
        self.backward(self.animator_terms(seen, at), [seen])
        video.backward(seen.grad, inputs=self.weights("animator"))
        optimizer.step()

    def animator_loss(self, video: Tensor, at: int) -> Iterator[Tensor]:
        by_picture = self.D_I(video[at, None])
        by_film = self.D_V(video.transpose(0, 1)[None])
        seen = losses.perceptual_loss(self.vgg.truncate(2), self.real, video)
        yield animator_loss(by_picture, by_film, seen)

    def animator_terms(
        self, video: Tensor, at: int, alpha: float = 10.0
    ) -> Iterator[Tensor]:
        """The terms of `animator_loss`, the perceptual one by chunks of frames."""
        yield losses.generator_loss(self.D_I(video[at, None]))
        yield losses.generator_loss(self.D_V(video.transpose(0, 1)[None]))
        features, chunk = self.vgg.truncate(2), self.saving.frames
        for real, fake in zip(self.real.split(chunk), video.split(chunk), strict=True):
            part = alpha * len(real) / len(video)
            yield part * losses.perceptual_loss(features, real, fake)

    def parts(self) -> Iterator[str]:
        """One step; the name of each part of it when that is done.

        The video is made once. Its graph is there while the critics learn from it.
        """
        at = int(torch.randint(len(self.real), ()))
        with self.autocast:
            video, _ = self.animator(self.features)
        video = video.to(self.real.dtype)  # under bfloat16: penalties mix it with real
        yield "video"
        real, fake, apart = self.real, video.detach(), self.saving.apart
        terms = video_critic_terms if apart else whole(video_critic_loss)
        self.learn("D_V", terms(self.D_V, real[None], fake[None]))
        yield "D_V"
        terms = image_critic_terms if apart else whole(image_critic_loss)
        self.learn("D_I", terms(self.D_I, real[at, None], fake[at, None]))
        yield "D_I"
        self.animator_learns(video, at)
        yield "animator"

    def __call__(self) -> None:
        for _ in self.parts():
            pass


def whole(loss: Callable[..., Tensor]) -> Callable[..., Iterator[Tensor]]:
    """A loss as its only term."""

    def terms(*given: Any) -> Iterator[Tensor]:
        yield loss(*given)

    return terms


# --- The arithmetic --------------------------------------------------------------


def storage(x: Tensor) -> torch.UntypedStorage:
    return x.untyped_storage()


class Alive(TorchDispatchMode):
    """Bytes of all tensors alive, each storage once, their peak; and arithmetic."""

    def __init__(self, *before: Tensor) -> None:
        super().__init__()
        self.seen: set[int] = set()
        self.now = self.peak = self.flop = 0
        for tensor in before:
            self.add(tensor)

    def add(self, tensor: Tensor) -> None:
        held = storage(tensor)
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
            # Each gradient costs what the convolution does. (torch's own formula has
            # the weight's gradient too large, by the number of groups.)
            grad, x, weight, *_, transposed, _, _, wanted = args
            shapes = (x.shape, weight.shape, grad.shape)
            self.flop += conv_flop_count(*shapes, transposed) * sum(wanted[:2])
        elif kind in flop_registry:
            self.flop += flop_registry[kind](*args, **(kwargs or {}), out_val=out)
        if kind is torch.ops.aten.mse_loss and out.is_meta:
            # The kernel takes all squares into a tensor of its own, and its result, a
            # number, keeps the memory that was laid out for them. Meta's does neither.
            squares = args[0].nbytes
            self.peak = max(self.peak, self.now + 2 * squares)
            out.untyped_storage().resize_(squares)
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self.add(leaf)
        return out


class Kept(saved_tensors_hooks):
    """Bytes that autograd keeps, each storage once, weights not counted; their peak.

    What a checkpoint makes again in the backward pass does not come by here.
    """

    def __init__(self, *known: Tensor) -> None:
        self.known = {storage(tensor)._cdata for tensor in known}
        self.holders: Counter[int] = Counter()
        self.now = self.peak = 0
        super().__init__(self.pack, lambda held: held.tensor)

    def pack(self, tensor: Tensor) -> "_Held":
        held, of = _Held(tensor), storage(tensor)
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


class _Held:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def nbytes(tensors: Any) -> int:
    return sum(t.nbytes for t in tree_leaves(tensors) if torch.is_tensor(t))


def counted(step: Step) -> dict[str, Any]:
    """A step after the first, so with Adam's states: a row for each of its parts."""
    optimizers = step.optimizers.values()
    weights = [w for o in optimizers for w in o.param_groups[0]["params"]]
    adam = [list(o.state.values()) for o in optimizers]
    others = [step.real, step.features, *step.vgg.parameters()]
    for network in (step.D_V, step.D_I, step.animator, step.vgg):
        others += network.buffers()
    fixed = [t for t in tree_leaves([weights, adam, others]) if torch.is_tensor(t)]
    result: dict[str, Any] = {
        "parameters": sum(w.numel() for w in weights),
        "weights_gb": nbytes(weights) / 1e9,
        "gradients_gb": nbytes(weights) / 1e9,
        "adam_gb": nbytes(adam) / 1e9,
        "films_and_vgg_gb": nbytes(others) / 1e9,
    }
    before = [w.grad for w in weights if w.grad is not None]
    kept, alive = Kept(*fixed), Alive(*fixed, *before)
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


def after_one(size: int, base: int = 1024, **given: Any) -> Step:
    """A step that was made once."""
    step = Step(size, base, **given)
    step()
    return step


def kept_by(step: Step) -> dict[str, float]:
    """GB that autograd keeps of single parts, each gone through once (plain)."""
    generator, real = step.animator.generator, step.real
    z = torch.cat([step.features, step.features, step.features[:, :2]], dim=1)
    with torch.no_grad():
        maps = generator.trunk(z, step.features)
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
    networks = (step.animator, step.D_V, step.vgg)
    known = [*(w for network in networks for w in network.parameters())]
    result = {}
    for name, part in parts.items():
        with (kept := Kept(*known)):
            part()
        result[name] = kept.peak / 1e9
    return result


# `shuffle_time` asks for values, which meta tensors lack; any order is as large.
any_order = patch.object(losses, "shuffle_time", lambda film: film.flip(1))


@any_order
def arithmetic(sizes: list[int]) -> dict[str, Any]:
    """For each size and setting; at 512 also for the released code's kernel size."""
    result: dict[str, Any] = {
        "what": "arithmetic in float32 on torch's meta device: no GPU, no measurement; "
        "peak: all tensors alive, kernels' own workspaces not; kept: by autograd, "
        "without what a checkpoint makes again"
    }
    for size in sizes:
        rows = {
            name: counted(after_one(size, saving=saving, device="meta"))
            for name, saving in SETTINGS.items()
        }
        for name in SETTINGS if size >= 512 else ():
            given: dict[str, Any] = {"saving": SETTINGS[name], "kernel_size": 5}
            step = after_one(size, device="meta", **given)
            rows[f"{name}, kernel 5"] = counted(step)
        rows["plain"]["kept_by_part_gb"] = kept_by(Step(size, device="meta"))
        result[f"{size}x{size}"] = rows
        for name, row in rows.items():
            print(f"{size} {name:20} {row['peak_gb']:.2f} GB {row['tflop']:.2f} TFLOP")
    return result


def profiled(step: Step) -> dict[str, float]:
    """On a CPU, by torch.profiler: the most MB beyond what was there, in each part.

    The profiler does not see the end of what was made before it began: there must be
    no gradients yet.
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


@any_order
def checked(size: int = 64, base: int = 128) -> dict[str, Any]:
    """The count on meta against the profiler, and against the count on a CPU."""
    result: dict[str, Any] = {"size": size, "base": base, "frames": FRAMES}
    for name, saving in SETTINGS.items():
        steps = [
            after_one(size, base, saving=saving, device=device)
            for device in ("meta", "cpu", "cpu")
        ]
        for step in steps:
            for optimizer in step.optimizers.values():
                optimizer.zero_grad(set_to_none=True)
        count, on_cpu = (counted(step) for step in steps[:2])
        measured = profiled(steps[2])
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


def speed(step: Step, steps: int, rounds: int) -> dict[str, Any]:
    """Steps per second, by the clock, of each round."""
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


def memory(size: int, limit: float | None = None, **setting: Any) -> dict[str, Any]:
    """The most that torch held and reserved in three steps, with at most `limit`."""
    gc.collect()  # what an error before has left
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


def measurement(steps: int, rounds: int) -> Iterator[dict[str, Any]]:
    """What is known so far, after each setting: a lent machine may be taken away."""
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
            row = memory(512, **setting)
            row["within_24e9_bytes"] = memory(512, CARD, **setting)
            result["512x512"][key] = row
            row = memory(256, **setting)
            if row["ran"]:
                row |= speed(Step(256, device="cuda", **setting), steps, rounds)
            result["256x256"][key] = row
            print(key, json.dumps([result["512x512"][key], row], indent=1))
            yield result


def write(part: str, result: dict[str, Any]) -> None:
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
        for result in measurement(asked.steps, asked.rounds):
            write("measured", result)
        return
    result = {
        "date": date.today().isoformat(),
        "hardware": describe_hardware(),
        "torch": torch.__version__,
        **arithmetic([64, 128, 256, 512]),
        "check_on_a_cpu": checked(),
    }
    write("arithmetic", result)


if __name__ == "__main__":
    main()
