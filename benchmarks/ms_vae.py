"""Compare the training of MS-VAE with the plain loop of step 4.

    python benchmarks/ms_vae.py [--videos 300] [--rounds 7] [--threads 1]

The plain loop is `TwoAdamLoop`: one video a step, two Adams, one pass for each
direction. These run in turn with it, on the same videos: the faithful step (which makes
the same updates), alone and within `training.Run` with its checks, logs and last
checkpoint; and the corrected epoch, in batches, in float32 and in bfloat16. An epoch
has `videos` videos, and in two thirds of them the event fills the video. The speed of
matrix products on this machine is measured too. Writes benchmarks/results/ms_vae.json.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from avnb_notebooks.ms_vae.step2_features import VideoFeatures, scale_rows
from avnb_notebooks.ms_vae.step4_model import (
    MSVAE,
    EventRows,
    TwoAdamLoop,
    corrected_terms,
    gather_events,
    make_optimizer,
    released_terms,
    vae_loss,
)
from torch import Tensor

from avnb import training
from avnb.course.provenance import describe_hardware

BATCH = 32
LOOK = 10  # steps between two logs, as in step 6
RESULTS = Path(__file__).parent / "results" / "ms_vae.json"


def make_features(n: int) -> VideoFeatures:
    """Make random features like AVE's: none negative, two thirds of the sound's 0."""
    length = torch.where(torch.rand(n) < 2 / 3, 10, torch.randint(2, 10, (n,)))
    audio = (torch.rand(n, 10, 128) - 0.65).clamp(min=0)
    return VideoFeatures(
        visual=torch.rand(n, 10, 512),
        audio=audio,
        event=torch.arange(10) < length[:, None],
        label=torch.zeros(n, dtype=torch.int64),
        videos=[str(i) for i in range(n)],
        classes=["any"],
        networks={"visual": "none", "audio": "none"},
    )


def draw_noise(n: int) -> Tensor:
    """Draw ε for the decoder and, in both directions, for 𝒲."""
    return torch.randn(3, 2, n, 100)


def make_plain(rows: EventRows) -> Callable[[], None]:
    """Return an epoch of the plain loop."""
    loop = TwoAdamLoop(MSVAE(), 1e-5)

    def epoch() -> None:
        for i in range(len(rows)):
            video = rows.get_video(i)
            loop.step(video, draw_noise(len(video[0])), 0.1)

    return epoch


def make_faithful(rows: EventRows) -> Callable[[], None]:
    """Return an epoch of the faithful mode, without `training.Run`."""
    net = MSVAE()
    adam = make_optimizer(net, 1e-5, released=True)

    def epoch() -> None:
        for i in range(len(rows)):
            visual, audio = rows.get_video(i)
            terms = released_terms(net, visual, audio, draw_noise(len(visual)))
            loss = vae_loss(terms, 0.1, True)
            adam.zero_grad()
            loss.backward()
            adam.step()

    return epoch


def make_corrected(features: VideoFeatures, bfloat16: bool) -> Callable[[], None]:
    """Return an epoch of the corrected mode, in batches."""
    net = MSVAE()
    adam = make_optimizer(net, 1e-3, released=False)
    visual, audio = scale_rows(features.visual), scale_rows(features.audio)

    def epoch() -> None:
        for part in torch.randperm(len(visual)).split(BATCH):
            given = visual[part], audio[part], features.event[part]
            draws = torch.randn(1, 2, *given[2].shape, 100)
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                loss = vae_loss(corrected_terms(net, *given, draws), 0.1, True)
            adam.zero_grad()
            loss.backward()
            adam.step()

    return epoch


def make_faithful_run(rows: EventRows, folder: Path) -> Callable[[], None]:
    """Return an epoch as step 6 does it; each continues where the last one ended."""
    net = MSVAE()
    run = training.Run(folder, precision="float32", live=False)
    adam = make_optimizer(net, 1e-5, released=True)
    run.prepare(model=net, optimiser=adam)
    done = [0]

    def epoch() -> None:
        done[0] += len(rows)
        for step in run.steps(done[0], save_every=None):
            visual, audio = rows.get_video(step.number % len(rows))
            terms = released_terms(net, visual, audio, draw_noise(len(visual)))
            run.step(adam, vae_loss(terms, 0.1, True))
            if step.is_due(LOOK):
                run.log(**terms)

    return epoch


def measure_seconds(run: Callable[[], object]) -> dict[str, float]:
    """Measure wall-clock time, and processor time of all threads together."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def measure_products(dtype: torch.dtype) -> float:
    """Measure GFLOP/s of (320, 512) times (512, 512), as in the corrected mode."""
    a, b = torch.randn(320, 512, dtype=dtype), torch.randn(512, 512, dtype=dtype)
    times = [measure_seconds(lambda: [a @ b for _ in range(20)]) for _ in range(9)]
    best = min(time["wall"] for time in times)
    return 20 * 2 * 320 * 512 * 512 / best / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--videos", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    features = make_features(asked.videos)
    rows = gather_events(features)
    times: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            "plain loop": make_plain(rows),
            "faithful": make_faithful(rows),
            "faithful, within Run": make_faithful_run(rows, Path(folder)),
            "corrected": make_corrected(features, bfloat16=False),
            "corrected, bfloat16": make_corrected(features, bfloat16=True),
        }
        for name, run in runs.items():
            times[name] = []
            run()  # warm up
        for _ in range(asked.rounds):
            for name, run in runs.items():
                times[name].append(measure_seconds(run))
    result = {
        "date": date.today().isoformat(),
        "hardware": describe_hardware(),
        "torch": torch.__version__,
        "videos": asked.videos,
        "rows": rows.bounds[-1],
        "batch": BATCH,
        "product_gflop_per_second": {
            str(dtype)[6:]: measure_products(dtype)
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
