"""A small training on a busy machine: threads that spin against threads that sleep.

Times one loop, the training of a small convolutional network, in a process of its own:
alone, and beside other processes that train the same network without end. It does so
in the environment in which a process starts by default, and in the one that avnb gives
to the processes that it starts (see `avnb.course.kernels`). All processes of a row have
the same environment, as when several runs share a machine.

The number to read is busy / alone. N other processes that want all cores as well leave
1 / (N + 1) of the machine, so N + 1 is what fair sharing costs; what is above that was
burnt in waiting.

    python benchmarks/busy.py [--others 2] [--steps 100] [--repeats 3]

Run it on a machine that does nothing else. Writes benchmarks/results/busy.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from avnb.course.kernels import build_environment, choose_threads
from avnb.course.provenance import count_cores, describe_hardware

RESULTS = Path(__file__).parent / "results" / "busy.json"
ENDLESS = 0
VARIABLES = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "AVNB_HOME")


def train(steps: int) -> None:
    """Train, and print the seconds of the steps; for ever where `steps` is ENDLESS."""
    import torch
    from torch import nn

    net = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 8 * 8, 10),
    )
    optimizer = torch.optim.Adam(net.parameters())
    pictures, labels = torch.rand(32, 3, 16, 16), torch.randint(10, (32,))
    begun, parent = 0.0, os.getppid()
    for number in count(-10):  # the first ones build the thread pool and the kernels
        if number == 0:
            begun = time.perf_counter()
        # An endless one ends with the process that started it, however that ends.
        if os.getppid() != parent or (steps and number == steps):
            break
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(pictures), labels).backward()
        optimizer.step()
        if number == -1:
            print("ready", flush=True)
    print(time.perf_counter() - begun, flush=True)


def start(steps: int, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start a training in a process of its own."""
    command = [sys.executable, __file__, "--train", str(steps)]
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return subprocess.Popen(
        command, env=clean | environment, stdout=subprocess.PIPE, text=True
    )


@contextmanager
def keep_busy(others: int, environment: dict[str, str]) -> Iterator[None]:
    """Others that train, all of them past their start."""
    running = [start(ENDLESS, environment) for _ in range(others)]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def measure(steps: int, environment: dict[str, str]) -> float:
    """Seconds that a training takes."""
    output, _ = start(steps, environment).communicate()
    return float(output.split()[-1])


def compare(steps: int, others: int, own: bool) -> dict[str, float | int]:
    """Seconds alone and beside others, in avnb's environment or in the default one."""
    alone = measure(steps, build_environment() if own else {})
    # The others began before: what is free is chosen when a run begins.
    with keep_busy(others, build_environment() if own else {}):
        threads = choose_threads() if own else 0
        busy = measure(steps, build_environment(threads) if own else {})
    return {"alone": alone, "busy": busy, "ratio": busy / alone, "threads": threads}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--others", type=int, default=2)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--train", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train is not None:
        train(options.train)
        return
    for name in VARIABLES:  # of whoever runs this: they would be kept
        os.environ.pop(name, None)
    rows: dict[str, dict[str, float | int]] = {}
    for name, own in (("default", False), ("avnb", True)):
        found = [
            compare(options.steps, options.others, own) for _ in range(options.repeats)
        ]
        rows[name] = {
            key: statistics.median(row[key] for row in found) for key in found[0]
        }
        print(name, {key: round(value, 2) for key, value in rows[name].items()})
    content = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "hardware": describe_hardware(),
        "cores": count_cores(),
        "load": os.getloadavg()[0],
        "others": options.others,
        "steps": options.steps,
        "repeats": options.repeats,
        "medians": rows,
    }
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
