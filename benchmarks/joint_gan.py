"""A training step of joint_gan against the parents' modules in plain form.

    python benchmarks/joint_gan.py [--width 16] [--batch 8] [--frames 10] [--rounds 5]

A step is one update of all critics and one of both generators (JM). The plain form is
written as the parents' own code does it (facts of WaveGAN-pytorch, MoCoGAN and
Triangle-GAN; no line of theirs):

- the sound is upsampled by copying samples, then convolved at the high rate,
- phase shuffle goes through the items one by one,
- the motion GRU is a loop over frames,
- each critic is called on real and on generated inputs apart, and D_1 and D_2 with
  separate trunks are called on each kind of pair,
- the generators run again for their own update, and its backward pass also computes
  the gradients of the critics' weights, which nobody uses.

Both forms have the same weights, inputs and random shifts. Losses and gradients of both
updates are compared before the time is measured. Then they take turns. Further rows
change what is computed: transposed convolutions, one trunk for both joint critics, and
bfloat16. The part of the machine's peak is that of its fastest float32 product, and the
FLOPs are counted by torch. Writes benchmarks/results/joint_gan.json.
"""

import argparse
import copy
import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch
from avnb_notebooks.joint_gan.step2_sound import SLOPE, SoundTrunk
from avnb_notebooks.joint_gan.step3_picture import pick_frames
from avnb_notebooks.joint_gan.step4_pairs import (
    Critics,
    JointGenerator,
    Method,
    critic_terms,
    equation_2_slow,
    generator_terms,
    make_critics,
)
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from avnb import losses
from avnb.course.provenance import describe_hardware
from avnb.layers import PhaseShuffle

RESULTS = Path(__file__).parent / "results" / "joint_gan.json"
SAMPLES, SIZE = 16384, 64
SEED = 5  # of the phase shuffle's shifts, before each update

# --- The plain form: the same weights, called as the parents do -----------------


def shuffle_plainly(shuffle: PhaseShuffle, x: Tensor) -> Tensor:
    """Phase shuffle, one item after the other."""
    n, time_ = shuffle.radius, x.shape[2]
    if not n:
        return x
    shifts = torch.randint(-n, n + 1, (len(x),))
    padded = F.pad(x, (n, n), mode="reflect")
    parts = [p[:, n - k :][:, :time_] for p, k in zip(padded, shifts, strict=True)]
    return torch.stack(parts)


def run_trunk_plainly(trunk: SoundTrunk, sound: Tensor) -> Tensor:
    """Strided convolutions as torch has them."""
    x = sound
    for k, down in enumerate(trunk.downs):
        x = F.leaky_relu(F.conv1d(x, down.weight, down.bias, 4, 11), SLOPE)
        x = shuffle_plainly(trunk.shuffle, x) if k < 4 else x
    return x


def generate_plainly(G: JointGenerator, noise: dict[str, Tensor]) -> tuple:
    """Copies of samples and convolutions; a GRU cell in a loop over frames."""
    x = F.relu(G.sound.dense(noise["sound"]).unflatten(1, (-1, 16)))
    for k, up in enumerate(G.sound.ups):
        x = F.conv1d(F.interpolate(x, scale_factor=4.0), up.weight, up.bias, padding=12)
        x = F.relu(x) if k < 4 else torch.tanh(x)
    weights, state, codes = G.picture.gru.all_weights[0], noise["start"], []
    for k in range(noise["motion"].shape[1]):
        state = torch.gru_cell(noise["motion"][:, k], state, *weights)
        codes.append(torch.cat([noise["content"], state], dim=1))
    return x, G.picture.paint(torch.stack(codes, dim=1))


def score_plainly(critics: Critics, sound: Tensor) -> Tensor:
    """D_a on one batch."""
    x = run_trunk_plainly(critics.sound.trunk, sound).flatten(1)
    return critics.sound.decision(x)[:, 0]


def judge_plainly(critics: Critics, a: Tensor, v: Tensor) -> Tensor:
    """D_1 and D_2 on one batch of pairs, each with both trunks."""
    logits = []
    for net in critics.pairs.networks:
        heard = net.heard(run_trunk_plainly(net.sound, a).mean(2, keepdim=True))
        logits.append(net.judge(heard, net.see(v)))
    return torch.cat(logits, dim=1)


def plain_critic_loss(
    critics: Critics, real: tuple, fake: tuple, frame: Tensor
) -> Tensor:
    """Eq. 1, MoCoGAN's and Eq. 2; every critic sees every input on its own."""
    (a, v), (b, w) = real, fake
    log = losses.log_critic_loss
    loss = log(*(score_plainly(critics, x) for x in (a, b)))
    loss = loss + log(*(critics.image(pick_frames(x, frame)) for x in (v, w)))
    loss = loss + log(critics.video(v), critics.video(w))
    kinds = (judge_plainly(critics, *pair) for pair in ((a, v), (b, v), (a, w)))
    return loss - equation_2_slow(*kinds)


def plain_generator_loss(
    critics: Critics, real: tuple, fake: tuple, frame: Tensor
) -> Tensor:
    """What the generators minimise."""
    (a, v), (b, w) = real, fake
    loss = losses.log_generator_loss(score_plainly(critics, b))
    loss = loss + losses.log_generator_loss(critics.image(pick_frames(w, frame)))
    loss = loss + losses.log_generator_loss(critics.video(w))
    D1, D2 = judge_plainly(critics, b, v).sigmoid().unbind(1)
    loss = loss + ((1 - D1) * D2).log().mean()
    D1, D2 = judge_plainly(critics, a, w).sigmoid().unbind(1)
    return loss + ((1 - D1) * (1 - D2)).log().mean()


# --- One step of each form ------------------------------------------------------


class Step:
    """Networks, optimizers and a batch; a call is one training step."""

    def __init__(self, critics: Critics, G: JointGenerator, batch: tuple) -> None:
        self.critics, self.G = critics, G
        self.real, self.noise, self.frame = batch
        self.opt_d, self.opt_g = (
            torch.optim.Adam(n.parameters(), 2e-4, betas=(0.5, 0.999))
            for n in (critics, G)
        )

    def to_float64(self) -> "Step":
        """A copy in double precision, on two clips."""
        critics, G = (copy.deepcopy(net).double() for net in (self.critics, self.G))
        real = tuple(x[:2].double() for x in self.real)
        noise = {name: x[:2].double() for name, x in self.noise.items()}
        return type(self)(critics, G, (real, noise, self.frame[:2]))


class PlainStep(Step):
    """As the parents' code does it."""

    def losses(self) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
        def of_critics() -> Tensor:
            torch.manual_seed(SEED)
            with torch.no_grad():
                fake = generate_plainly(self.G, self.noise)
            return plain_critic_loss(self.critics, self.real, fake, self.frame)

        def of_generators() -> Tensor:
            torch.manual_seed(SEED)
            fake = generate_plainly(self.G, self.noise)
            return plain_generator_loss(self.critics, self.real, fake, self.frame)

        return of_critics, of_generators

    def __call__(self) -> None:
        both = zip((self.opt_d, self.opt_g), self.losses(), strict=True)
        for optimizer, loss in both:
            self.opt_d.zero_grad()
            self.opt_g.zero_grad()
            loss().backward()
            optimizer.step()


class OurStep(Step):
    """As step 4 does it, without the run around it."""

    method, bfloat16 = Method(), False

    def losses(self) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
        made: list[tuple] = []

        def add(terms: Callable[..., dict[str, Tensor]]) -> Tensor:
            torch.manual_seed(SEED)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                if not made:  # once for both updates
                    dtype = self.real[0].dtype  # of bfloat16's sounds, too
                    made.append(tuple(x.to(dtype) for x in self.G(self.noise)))
                found = terms(self.critics, self.real, made[0], self.frame, self.method)
                return torch.stack(list(found.values())).sum()

        return lambda: add(critic_terms), lambda: add(generator_terms)

    def __call__(self) -> None:
        both = zip((self.opt_d, self.opt_g), self.losses(), strict=True)
        for optimizer, loss in both:
            optimizer.zero_grad()
            weights = [w for g in optimizer.param_groups for w in g["params"]]
            loss().backward(inputs=weights)
            optimizer.step()


def compare(plain: PlainStep, ours: OurStep) -> dict[str, float]:
    """The largest differences of losses and of gradients, relative to the largest.

    In float64, on copies: batch norms enlarge float32's rounding a thousandfold.
    """
    found = {}
    plain, ours = (step.to_float64() for step in (plain, ours))
    pairs = zip(plain.losses(), ours.losses(), strict=True)
    for name, (one, other) in zip(("critics", "generators"), pairs, strict=True):
        of = (plain.critics, ours.critics) if name == "critics" else (plain.G, ours.G)
        values, slopes = [], []
        for loss, net in zip((one, other), of, strict=True):
            value = loss()
            slopes.append(torch.autograd.grad(value, [*net.parameters()]))
            values.append(value.item())
        largest = max(g.abs().max() for g in slopes[0])
        apart = max((a - b).abs().max() for a, b in zip(*slopes, strict=True))
        found[f"loss of the {name}"] = abs(values[0] - values[1])
        found[f"gradients of the {name}, relative"] = (apart / largest).item()
    return found


def measure_seconds(run: Callable[[], object]) -> dict[str, float]:
    """Wall-clock time, and processor time of all threads together."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def measure_peak() -> float:
    """GFLOP in a processor second, of the fastest float32 product of several.

    Not by the wall clock, as other programs may be running.
    """
    a, b = torch.ones(2, 1024, 1024)
    best = min(measure_seconds(lambda: a @ b)["cpu"] for _ in range(20))
    return 2 * 1024**3 / best / 1e9


def measure_parts(ours: OurStep, plain: PlainStep) -> dict[str, dict[str, float]]:
    """Where the time goes: seconds of one forward and backward pass of each network."""
    (a, v), noise, c = ours.real, ours.noise, ours.critics

    def both(out: Callable[[], Tensor], net: nn.Module) -> float:
        def run() -> None:
            # `allow_unused`: a part of the network alone has gradients
            size = out().float().square().mean()
            torch.autograd.grad(size, [*net.parameters()], allow_unused=True)

        run()
        return min(measure_seconds(run)["cpu"] for _ in range(3))

    sound, net = ours.G.sound, c.pairs.networks[0]
    drawn = [noise[k] for k in ("content", "motion", "start")]
    every = {
        "G_a": (lambda: sound(noise["sound"]), sound),
        "G_a as the PyTorch versions": (
            lambda: generate_plainly(plain.G, noise)[0], plain.G.sound),
        "G_I": (lambda: ours.G.picture(*drawn), ours.G.picture),
        "D_a": (lambda: c.sound(a), c.sound),
        "D_a as torch's layers": (lambda: score_plainly(c, a), c.sound),
        "D_V": (lambda: c.video(v), c.video),
        "D_I": (lambda: c.image(pick_frames(v, ours.frame)), c.image),
        "a joint critic's sound": (lambda: net.hear(a, v), net),
        "a joint critic's video": (lambda: net.see(v), net),
    }  # fmt: skip
    return {name: both(*parts) for name, parts in every.items()}


def count_flops(step: Step) -> int:
    """Floating-point operations of one step, by torch's own counter."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def make_steps(asked: argparse.Namespace) -> dict[str, Step]:
    """The rows: plain, ours with the same function, and what changes the function."""
    d, n, count, frames = asked.width, asked.width, asked.batch, asked.frames
    a = 0.3 * torch.randn(count, 1, SAMPLES)
    real = a, torch.randn(count, 3, frames, SIZE, SIZE)
    frame = torch.randint(frames, (count,))

    def make(kind: type[Step], upsample: str, shared: bool) -> Step:
        torch.manual_seed(0)
        G = JointGenerator(d, n, SIZE, upsample=upsample)
        critics = make_critics(Method(), d, n, n, SIZE, shared=shared)
        if kind is OurStep:  # as training.Run lays them out
            for net in (*G.modules(), *critics.modules()):
                if isinstance(net, nn.Conv2d | nn.ConvTranspose2d):
                    net.to(memory_format=torch.channels_last)
        torch.manual_seed(1)
        batch = ((real[0], real[1].tanh()), G.draw_noise(count, frames), frame)
        return kind(critics, G, batch)

    plain, ours = make(PlainStep, "nearest", False), make(OurStep, "nearest", False)
    ours.critics.load_state_dict(plain.critics.state_dict())
    ours.G.load_state_dict(plain.G.state_dict())
    steps = {"plain": plain, "ours, the same function": ours}
    steps["ours, transposed"] = make(OurStep, "transposed", False)
    steps["ours, transposed, one trunk"] = make(OurStep, "transposed", True)
    steps["ours, transposed, one trunk, bfloat16"] = make(OurStep, "transposed", True)
    steps["ours, transposed, one trunk, bfloat16"].bfloat16 = True
    return steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, value in (("width", 16), ("batch", 8), ("frames", 10), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    steps = make_steps(asked)
    plain, ours = steps["plain"], steps["ours, the same function"]
    # Without phase shuffle: one call for real and made sounds draws other shifts.
    for step in (plain, ours):
        step.critics.sound.trunk.shuffle.radius = 0
    differences = compare(plain, ours)
    for step in (plain, ours):
        step.critics.sound.trunk.shuffle.radius = 2
    print(json.dumps(differences, indent=1))
    times: dict[str, list[dict[str, float]]] = {name: [] for name in steps}
    for step in steps.values():
        step()  # warm up
    for _ in range(asked.rounds):
        for name, step in steps.items():
            times[name].append(measure_seconds(step))
    peak = measure_peak()
    result: dict[str, Any] = {
        "date": date.today().isoformat(), "hardware": describe_hardware(),
        "torch": torch.__version__, **vars(asked), "size": SIZE,
        "product_gflop_per_second": peak, "differences": differences,
        "load_average": os.getloadavg()[0],
    }  # fmt: skip
    for name, each in times.items():
        flop = count_flops(copy.deepcopy(steps[name]))
        seconds = {c: statistics.median(t[c] for t in each) for c in ("wall", "cpu")}
        row = {
            "seconds": seconds,
            "times_faster": {
                c: statistics.median(
                    a[c] / b[c] for a, b in zip(times["plain"], each, strict=True)
                )
                for c in seconds
            },
            "gflop": flop / 1e9,
            "gflop_per_cpu_second": flop / 1e9 / seconds["cpu"],
            "part_of_peak": flop / 1e9 / seconds["cpu"] / peak,
        }
        print(name, json.dumps(row))
        result[name] = row | {"rounds": each}
    result["parts_cpu_seconds"] = measure_parts(ours, plain)
    print(json.dumps(result["parts_cpu_seconds"], indent=1))
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
