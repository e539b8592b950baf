"""What the step loop's plumbing costs: `Run` against a bare loop, interleaved.

    python benchmarks/training.py [--steps 30] [--rounds 7] [--threads 1]

Both train the same DCGAN at 64×64, batch 32, with the same memory layout and the same
gradients (each loss goes back to its own network's weights alone); `Run` also logs
both losses each step, flushes them every 20 to disk and TensorBoard, and watches
for a stop. Times are the process's CPU time, all its threads together, since the
machine may be shared. Writes benchmarks/results/training.json.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from avnb import training
from avnb.course.provenance import describe_hardware

BATCH = 32
IMAGES = torch.rand(512, 3, 64, 64) * 2 - 1


def networks() -> tuple[nn.Module, nn.Module, torch.optim.Adam, torch.optim.Adam]:
    """A DCGAN of 64×64 with 32 base channels, and its optimisers."""
    up = [(100, 256, 1, 0), (256, 128, 2, 1), (128, 64, 2, 1), (64, 32, 2, 1)]
    layers: list[nn.Module] = []
    for given, made, stride, padding in up:
        layers += [nn.ConvTranspose2d(given, made, 4, stride, padding, bias=False)]
        layers += [nn.BatchNorm2d(made), nn.ReLU()]
    G = nn.Sequential(*layers, nn.ConvTranspose2d(32, 3, 4, 2, 1), nn.Tanh())
    layers = []
    for given, made in ((3, 32), (32, 64), (64, 128), (128, 256)):
        layers += [nn.Conv2d(given, made, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(made), nn.LeakyReLU(0.2)]
    D = nn.Sequential(*layers, nn.Conv2d(256, 1, 4))
    betas = (0.5, 0.999)
    opt_g = torch.optim.Adam(G.parameters(), 2e-4, betas)
    opt_d = torch.optim.Adam(D.parameters(), 2e-4, betas)
    return G, D, opt_g, opt_d


def loss_of_d(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-D(real)).mean() + softplus(D(fake.detach())).mean()


def bare(steps: int, precision: str) -> Callable[[], float]:
    G, D, opt_g, opt_d = networks()
    G.to(memory_format=torch.channels_last)
    D.to(memory_format=torch.channels_last)
    bf16 = precision == "bfloat16"
    batches = training.BatchSampler(len(IMAGES), BATCH)

    def turn() -> float:
        start = time.process_time()
        for number in range(steps):
            real = IMAGES[batches[number]]
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                fake = G(torch.randn(BATCH, 100, 1, 1))
                loss_d = loss_of_d(D, real, fake)
            opt_d.zero_grad(set_to_none=True)
            loss_d.backward(inputs=list(D.parameters()))
            opt_d.step()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss_g = softplus(-D(fake)).mean()
            opt_g.zero_grad(set_to_none=True)
            loss_g.backward(inputs=list(G.parameters()))
            opt_g.step()
        return (time.process_time() - start) / steps

    return turn


def with_run(steps: int, precision: str, folder: Path) -> Callable[[], float]:
    run = training.Run(folder, precision=precision, live=False)
    G, D, opt_g, opt_d = networks()
    run.prepare(G=G, D=D, opt_g=opt_g, opt_d=opt_d)
    batches = training.BatchSampler(len(IMAGES), BATCH)
    total = 0

    def turn() -> float:
        nonlocal total
        total += steps
        start = end = 0.0
        for step in run.steps(total):
            start = start or time.process_time()  # resuming is no part of a step
            real = IMAGES[batches[step.number]]
            with run.autocast():
                fake = G(torch.randn(BATCH, 100, 1, 1))
                loss_d = loss_of_d(D, real, fake)
            run.step(opt_d, loss_d)
            with run.autocast():
                loss_g = softplus(-D(fake)).mean()
            run.step(opt_g, loss_g)
            run.log(loss_d=loss_d, loss_g=loss_g)
            if step.number == total - 1:
                end = time.process_time()
        return (end - start) / steps

    return turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    result: dict[str, object] = {
        "date": date.today().isoformat(),
        "hardware": describe_hardware(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "batch": BATCH,
        "steps": asked.steps,
        "rounds": asked.rounds,
    }
    for precision in ("float32", "bfloat16"):
        with tempfile.TemporaryDirectory() as folder:
            one = bare(asked.steps, precision)
            other = with_run(asked.steps, precision, Path(folder))
            one(), other()  # warm up
            pairs = [(one(), other()) for _ in range(asked.rounds)]
        result[precision] = {
            "bare_cpu_ms_per_step": round(
                1e3 * statistics.median(a for a, _ in pairs), 2
            ),
            "run_cpu_ms_per_step": round(
                1e3 * statistics.median(b for _, b in pairs), 2
            ),
            "ratio": round(statistics.median(b / a for a, b in pairs), 4),
        }
    path = Path(__file__).parent / "results" / "training.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
