"""The training of MS-VAE against the obvious loop, in one run.

    python benchmarks/ms_vae.py [--videos 300] [--rounds 7] [--threads 1]

The plain loop is tests/plain_ms_vae.py: a video a step, two Adams, a pass for each
direction. Against it, taking turns: the faithful step (the same updates) on the same
videos, bare and within `training.Run` with its checks, logs and last checkpoint; and
the corrected epoch, in batches, in float32 and in bfloat16. An epoch is `videos` videos
of which two thirds are all event. Beside it, the speed of this machine's products,
measured here. Writes benchmarks/results/ms_vae.json.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from torch import Tensor

from avnb import training
from avnb.course.provenance import describe_hardware

sys.path.append(str(Path(__file__).parents[1] / "tests" / "helpers"))
from avnb_notebooks.ms_vae.step2_features import Seconds, scaled
from avnb_notebooks.ms_vae.step4_model import (
    MSVAE,
    Events,
    corrected_terms,
    events,
    optimiser,
    released_terms,
    total,
)
from plain_ms_vae import PlainLoop

BATCH = 32
LOOK = 10  # steps between two logs, as in step 6
RESULTS = Path(__file__).parent / "results" / "ms_vae.json"


def table(n: int) -> Seconds:
    """Features as AVE's are: not negative, two thirds of the sound's zero."""
    length = torch.where(torch.rand(n) < 2 / 3, 10, torch.randint(2, 10, (n,)))
    audio = (torch.rand(n, 10, 128) - 0.65).clamp(min=0)
    return Seconds(
        visual=torch.rand(n, 10, 512),
        audio=audio,
        event=torch.arange(10) < length[:, None],
        label=torch.zeros(n, dtype=torch.int64),
        videos=[str(i) for i in range(n)],
        classes=["any"],
        networks={"visual": "none", "audio": "none"},
    )


def noise(n: int) -> Tensor:
    return torch.randn(3, 2, n, 100)


def plain(rows: Events) -> Callable[[], None]:
    loop = PlainLoop(MSVAE(), 1e-5)
    videos = [rows.video(i) for i in range(len(rows))]
    return lambda: loop.epoch(videos, noise, 0.1)


def faithful(rows: Events) -> Callable[[], None]:
    net = MSVAE()
    adam = optimiser(net, 1e-5, released=True)

    def epoch() -> None:
        for i in range(len(rows)):
            visual, audio = rows.video(i)
            terms = released_terms(net, visual, audio, noise(len(visual)))
            loss = total(terms, 0.1, True)
            adam.zero_grad()
            loss.backward()
            adam.step()

    return epoch


def corrected(seconds: Seconds, bfloat16: bool) -> Callable[[], None]:
    net = MSVAE()
    adam = optimiser(net, 1e-3, released=False)
    visual, audio = scaled(seconds.visual), scaled(seconds.audio)

    def epoch() -> None:
        for part in torch.randperm(len(visual)).split(BATCH):
            given = visual[part], audio[part], seconds.event[part]
            draws = torch.randn(1, 2, *given[2].shape, 100)
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                loss = total(corrected_terms(net, *given, draws), 0.1, True)
            adam.zero_grad()
            loss.backward()
            adam.step()

    return epoch


def faithful_run(rows: Events, folder: Path) -> Callable[[], None]:
    """As step 6 does it, an epoch at a time, going on from where it was."""
    net = MSVAE()
    run = training.Run(folder, precision="float32", live=False)
    adam = optimiser(net, 1e-5, released=True)
    run.prepare(model=net, optimiser=adam)
    done = [0]

    def epoch() -> None:
        done[0] += len(rows)
        for step in run.steps(done[0], save_every=None):
            visual, audio = rows.video(step.number % len(rows))
            terms = released_terms(net, visual, audio, noise(len(visual)))
            run.step(adam, total(terms, 0.1, True))
            if step.is_due(LOOK):
                run.log(**terms)

    return epoch


def seconds_of(run: Callable[[], object]) -> dict[str, float]:
    """By the clock on the wall, and of processor time, all threads together."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def product_peak(dtype: torch.dtype) -> float:
    """GFLOP/s of (320, 512) times (512, 512), the corrected mode's commonest."""
    a, b = torch.randn(320, 512, dtype=dtype), torch.randn(512, 512, dtype=dtype)
    best = min(seconds_of(lambda: [a @ b for _ in range(20)])["wall"] for _ in range(9))
    return 20 * 2 * 320 * 512 * 512 / best / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--videos", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    seconds = table(asked.videos)
    rows = events(seconds)
    times: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            "plain loop": plain(rows),
            "faithful": faithful(rows),
            "faithful, within Run": faithful_run(rows, Path(folder)),
            "corrected": corrected(seconds, bfloat16=False),
            "corrected, bfloat16": corrected(seconds, bfloat16=True),
        }
        for name, run in runs.items():
            times[name] = []
            run()  # warm up
        for _ in range(asked.rounds):
            for name, run in runs.items():
                times[name].append(seconds_of(run))
    result = {
        "date": date.today().isoformat(),
        "hardware": describe_hardware(),
        "torch": torch.__version__,
        "videos": asked.videos,
        "rows": rows.bounds[-1],
        "batch": BATCH,
        "product_gflop_per_second": {
            str(dtype)[6:]: product_peak(dtype)
            for dtype in (torch.float32, torch.bfloat16)
        },
    }
    for name, each in times.items():
        clocks = ("wall", "cpu")
        brief = {
            "epoch_seconds": {
                c: statistics.median(one[c] for one in each) for c in clocks
            },
            "times_faster": {
                c: statistics.median(
                    a[c] / b[c] for a, b in zip(times["plain loop"], each, strict=True)
                )
                for c in clocks
            },
        }
        print(name, json.dumps(brief))
        result[name] = brief | {"seconds": each}
    # One file, a part for each number of threads.
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found[f"threads {asked.threads}"] = result | {"load_average": os.getloadavg()[0]}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
