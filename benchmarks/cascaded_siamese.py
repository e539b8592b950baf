"""A training step of cascaded_siamese against the parents' modules in plain form.

    python benchmarks/cascaded_siamese.py [--width 16] [--batch 4] [--size 64]

A step is one update of the generator and one of all critics (the full cascade). The
plain form calls the layers as ImaGINator's released code does (facts of it; no line):

- a block is two transposed 3-d convolutions, and joined maps are copied,
- each stream encodes its own sound,
- the generator's loss goes through the critics and also computes the gradients of their
  weights, which nobody uses,
- for their own update the critics see real and made videos once more, each in a pass.

Both forms have the same weights and draw the same frames. Losses and gradients are
compared in float64 before the time is measured. Then they take turns. More rows: the
step in bfloat16; ImaGINator's own step (32 frames at once, its critic of 32 frames) in
plain form; and all of them once more where freed memory is kept
(`training.keep_freed_memory`), as step 7 trains. The cost of four streams against one
of 32 frames is that of the generators alone. Writes
benchmarks/results/cascaded_siamese.json.
"""

import argparse
import copy
import json
import os
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from avnb_notebooks.cascaded_siamese import step3_stream as streams
from avnb_notebooks.cascaded_siamese import step4_cascade as cascades
from avnb_notebooks.cascaded_siamese import step5_critics as critics
from avnb_notebooks.cascaded_siamese import step6_baselines as networks
from joint_gan import measure_peak, measure_seconds  # the neighbour of this file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from avnb import losses, training
from avnb.course.provenance import describe_hardware

RESULTS = Path(__file__).parent / "results" / "cascaded_siamese.json"
CLASSES, HIDDEN = 26, 256
SEED = 5  # of the frames that the image critic sees, before each step


# --- The plain form: the same weights, called as the parents do -----------------


def join_plainly(h: Tensor, skip: Tensor, label: Tensor) -> Tensor:
    """Maps, skip and class, each repeated and copied."""
    t, n = h.shape[2:4]
    still = skip.unsqueeze(2).repeat(1, 1, t, 1, 1)
    named = label[:, :, None, None, None].repeat(1, 1, t, n, n)
    return torch.cat([h, still, named], dim=1)


@contextmanager
def plain_layers() -> Iterator[None]:
    """Let blocks be transposed 3-d convolutions, and streams hear one by one."""
    with (
        patch.object(streams.FactorisedBlock, "forward", streams.run_block_slow),
        patch.object(streams, "join_skip", join_plainly),
        patch.object(cascades.Cascade, "listen_at_once", lambda *_: []),
    ):
        yield


# --- One step of each form ------------------------------------------------------


class Step:
    """Networks, optimizers and a batch; a call is one training step."""

    bfloat16 = False

    def __init__(
        self, G: nn.Module, D_I: nn.Module, D_V: nn.Module, batch: critics.Batch
    ) -> None:
        self.G, self.D_I, self.D_V, self.batch = G, D_I, D_V, batch
        self.of_G, self.of_D = (
            torch.optim.Adam(weights, 2e-4, betas=(0.5, 0.999))
            for weights in (G.parameters(), [*D_I.parameters(), *D_V.parameters()])
        )

    def to_float64(self) -> "Step":
        """A copy in double precision; spectral norms stop their iterations."""
        nets = (copy.deepcopy(net).double() for net in (self.G, self.D_I, self.D_V))
        parts = {
            name: value.double() if torch.is_floating_point(value) else value
            for name, value in vars(self.batch).items()
            if isinstance(value, Tensor)
        }
        step = type(self)(*nets, critics.Batch(**parts))
        step.D_I.eval()
        step.D_V.eval()
        return step

    def find_gradients(self) -> tuple[dict[str, float], list[Tensor]]:
        """The losses of one step, and the gradients of all weights, without a step."""
        raise NotImplementedError


class PlainStep(Step):
    """As the parents' code does it."""

    def losses_of_generator(self, made: Tensor) -> Tensor:
        b, said = self.batch, self.D_V(made, self.batch.label)
        loss = 100 * critics.reconstruction_loss(b.real, made, b.held)
        loss = loss + losses.log_generator_loss(self.D_I(critics.draw_frames(made)))
        loss = loss + losses.log_generator_loss(said.clips)
        if said.orders is not None:
            loss = loss + critics.order_loss(said.orders, b.order)
        return loss

    def losses_of_critics(self, made: Tensor) -> Tensor:
        b = self.batch
        frames = [critics.draw_frames(x) for x in (b.real, made)]
        real, fake = self.D_V(b.real, b.label), self.D_V(made, b.label)
        loss = losses.log_critic_loss(*(self.D_I(x) for x in frames))
        loss = loss + losses.log_critic_loss(real.clips, fake.clips)
        if real.orders is not None:
            loss = loss + critics.order_loss(real.orders, b.order)
        return loss

    def make(self) -> Tensor:
        with plain_layers():
            return critics.make_videos(self.G, self.batch)

    def find_gradients(self) -> tuple[dict[str, float], list[Tensor]]:
        made = self.make()
        torch.manual_seed(SEED)
        critics.draw_frames(self.batch.real)  # ours draws these frames first
        of_G = self.losses_of_generator(made)
        torch.manual_seed(SEED)
        of_D = self.losses_of_critics(made.detach())
        slopes = torch.autograd.grad(of_G, [*self.G.parameters()])
        both = [*self.D_I.parameters(), *self.D_V.parameters()]
        return (
            {"G": of_G.item(), "D": of_D.item()},
            [*slopes, *torch.autograd.grad(of_D, both)],
        )

    def __call__(self) -> None:
        made = self.make()
        self.of_G.zero_grad()
        self.losses_of_generator(made).backward()
        self.of_G.step()
        self.of_D.zero_grad()
        self.losses_of_critics(made.detach()).backward()
        self.of_D.step()


class OurStep(Step):
    """As step 5 does it."""

    def find_gradients(self) -> tuple[dict[str, float], list[Tensor]]:
        b, weights = self.batch, critics.Weights()
        made = critics.make_videos(self.G, b)
        torch.manual_seed(SEED)
        real, fake = (
            critics.judge_videos(x, b.label, self.D_I, self.D_V) for x in (b.real, made)
        )
        of_G = critics.sum_generator_losses(made, fake, b, weights)
        of_D = critics.sum_critic_losses(real, fake, b, weights)
        both = [*self.D_I.parameters(), *self.D_V.parameters()]
        sums = {k: sum(v.values()) for k, v in (("G", of_G), ("D", of_D))}
        nets = [*self.G.parameters()]
        slopes = torch.autograd.grad(sums["G"], nets, retain_graph=True)
        slopes += torch.autograd.grad(sums["D"], both)
        return {k: v.item() for k, v in sums.items()}, [*slopes]

    def __call__(self) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            critics.train_step(
                self.G, self.D_I, self.D_V, self.batch, self.of_G, self.of_D,
                critics.Weights(),
            )  # fmt: skip


def compare(plain: Step, ours: Step) -> dict[str, float]:
    """The largest differences of losses and of gradients, relative to the largest.

    In float64, on copies: batch norms enlarge float32's rounding a thousandfold.
    """
    (a, slopes), (b, others) = (
        step.to_float64().find_gradients() for step in (plain, ours)
    )
    largest = max(slope.abs().max() for slope in slopes)
    pairs = zip(slopes, others, strict=True)
    apart = max((one - other).abs().max() for one, other in pairs)
    found = {f"loss of {k}": abs(a[k] - b[k]) for k in a}
    return found | {"gradients, relative": (apart / largest).item()}


# --- What is compared ------------------------------------------------------------


def lay_out(*nets: nn.Module) -> None:
    """2-d convolutions as `training.Run` lays them out."""
    for net in nets:
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.channels_last)


def make_steps(asked: argparse.Namespace) -> dict[str, Step]:
    """The rows by name; all have their own networks of the same weights."""
    w, n, count = asked.width, asked.size, asked.batch
    video = torch.rand(count, 3, 32, n, n) * 2 - 1
    sounds, label = torch.randn(count, 32, 64, 20), torch.arange(count) % CLASSES
    order = cascades.draw_orders(count)
    true_order = torch.arange(4).expand(count, -1)

    def make(kind: type[Step], key: str) -> Step:
        torch.manual_seed(0)
        G = networks.Generator(key, CLASSES, w, n, HIDDEN)
        D_V = networks.make_video_critic(key, CLASSES, w, n)
        D_I = critics.ImageCritic(w, n)
        if kind is OurStep:
            lay_out(G, D_I, D_V)
        whole = networks.get_method(key).shuffled == "none"
        used = true_order if whole else order
        one_hot = F.one_hot(label, CLASSES).float()
        return kind(G, D_I, D_V, critics.shuffle_batch(video, sounds, one_hot, used))

    steps = {
        "plain": make(PlainStep, "cascade"),
        "ours": make(OurStep, "cascade"),
        "ours, bfloat16": make(OurStep, "cascade"),
        "ImaGINator's step, plain": make(PlainStep, "imaginator"),
    }
    steps["ours, bfloat16"].bfloat16 = True
    return steps


def time_in_turn(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list]:
    """The seconds of each run in each round; one round before them does not count."""
    times: dict[str, list] = {name: [] for name in runs}
    for k in range(rounds + 1):
        for name, run in runs.items():
            seconds = measure_seconds(run)
            if k:
                times[name].append(seconds)
    return times


def make_generators(asked: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """Forward and backward pass of the generators: four streams, and one of 32."""
    w, n, count = asked.width, asked.size, asked.batch
    image, label = torch.rand(count, 3, n, n) * 2 - 1, torch.eye(CLASSES)[:count]
    sounds, starts = (
        torch.randn(count, 32, 64, 20),
        image[:, None].repeat(1, 4, 1, 1, 1),
    )
    keys = {
        "four streams in turn": "cascade",
        "four streams as one batch": "cascade_before",
        "one stream of 32 frames": "one_stream",
    }

    def make(key: str) -> Callable[[], object]:
        net = networks.Generator(key, CLASSES, w, n, HIDDEN)
        lay_out(net)

        def run() -> None:
            made = net(image, sounds, label, starts)
            torch.autograd.grad(made.square().mean(), [*net.parameters()])

        return run

    return {name: make(key) for name, key in keys.items()}


def summarise(times: dict[str, list], base: str) -> dict[str, dict[str, float]]:
    """Medians, and how many times as long the row `base` took in the same rounds."""
    rows = {}
    for name, each in times.items():
        row = {c: statistics.median(t[c] for t in each) for c in ("wall", "cpu")}
        ratios = [a["cpu"] / b["cpu"] for a, b in zip(times[base], each, strict=True)]
        row["times_faster_cpu"] = statistics.median(ratios)
        rows[name] = row
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, value in (("width", 16), ("batch", 4), ("size", 64), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(1)
    steps = make_steps(asked)
    found: dict[str, Any] = {
        "date": date.today().isoformat(), "hardware": describe_hardware(),
        "torch": torch.__version__, **vars(asked),
        "differences": compare(steps["plain"], steps["ours"]),
    }  # fmt: skip
    print(json.dumps(found["differences"], indent=1))
    for name, step in steps.items():
        with FlopCounterMode(display=False) as counter:
            step()
        found.setdefault("gflop", {})[name] = counter.get_total_flops() / 1e9
    freed = time_in_turn(steps, asked.rounds)
    found["steps"] = summarise(freed, "plain")
    training.keep_freed_memory()
    kept = time_in_turn(steps, asked.rounds)
    found["steps, freed memory kept"] = summarise(kept, "plain")
    # The parents' code as it is against ours as it trains.
    for name in ("ours", "ours, bfloat16"):
        ratios = [a["cpu"] / b["cpu"] for a in freed["plain"] for b in kept[name]]
        found[f"times faster: {name}, memory kept"] = statistics.median(ratios)
    generators = time_in_turn(make_generators(asked), asked.rounds)
    found["generators"] = summarise(generators, "one stream of 32 frames")
    found["product_gflop_per_second"] = measure_peak()
    found["load_average"] = os.getloadavg()[0]
    print(json.dumps(found, indent=1))
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
