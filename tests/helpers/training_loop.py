"""A tiny GAN, trained by the tests in processes of their own that get killed.

    python training_loop.py kill FOLDER      many runs, killed, against an unbroken one
    python training_loop.py share FOLDER     one of the processes of a launched run

`kill` forks a child for each attempt, so that torch is imported once; each is ended
by SIGKILL, at a step, inside a save, or at any time.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import softplus

from avnb import training

STEPS, SAVE_EVERY = 12, 4


def train(
    folder: Path, at: Callable[[str], None] = lambda where: None, steps: int = STEPS
) -> training.Run:
    """Everything that has a state: both Adams, dropout, BatchNorm, four generators."""
    run = training.Run(
        folder, seed=3, precision="float32", live=False, log_every=5, settings={"a": 1}
    )
    G = nn.Sequential(
        nn.ConvTranspose2d(8, 16, 4),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.ConvTranspose2d(16, 3, 4, 2, 1),
    )
    D = nn.Sequential(
        nn.Conv2d(3, 16, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(256, 1),
    )
    average = training.EMA(G, 0.9)
    opt_g = torch.optim.Adam(G.parameters(), 1e-3, (0.5, 0.999), fused=True)
    opt_d = torch.optim.Adam(D.parameters(), 1e-3, (0.5, 0.999), foreach=True)
    falling = torch.optim.lr_scheduler.StepLR(opt_g, 5, 0.5)
    run.prepare(G=G, D=D, average=average, opt_g=opt_g, opt_d=opt_d, schedule=falling)
    real = torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    batches = training.BatchSampler(40, 8, seed=3)
    for step in run.steps(steps, save_every=SAVE_EVERY):
        index = batches[step.number]
        noise = torch.randn(len(index), 8, 1, 1, generator=run.generator)
        scale = 1 + 0.1 * random.gauss(0, 1) + 0.1 * np.random.randn()  # noqa: NPY002
        fake = G(noise * scale)
        loss_d = softplus(-D(real[index])).mean() + softplus(D(fake.detach())).mean()
        run.step(opt_d, loss_d)
        at(f"between {step.number}")
        loss_g = softplus(-D(fake)).mean()
        run.step(opt_g, loss_g)
        average.update_parameters(G)
        falling.step()
        run.log(loss_d=loss_d, loss_g=loss_g)
        at(f"after {step.number}")
    return run


def result(folder: Path) -> tuple[str, str]:
    """The whole final state (weights, Adams, generators) and history, as text."""
    (state,) = (folder / "checkpoints").glob("step_*/state.pt")
    saved = torch.load(state, weights_only=True)
    assert saved["step"] == STEPS
    assert saved.pop("seconds") > 0  # the one thing that differs from run to run
    digest = hashlib.sha256()
    hash_tree(saved, digest)
    return digest.hexdigest(), (folder / "history.jsonl").read_text()


def hash_tree(tree: Any, digest: Any) -> None:
    """Every value with its type; of tensors every bit, and how they lie in memory."""
    digest.update(type(tree).__name__.encode())
    if isinstance(tree, torch.Tensor):
        digest.update(f"{tree.dtype}{tuple(tree.shape)}{tree.stride()}".encode())
        digest.update(tree.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(tree, dict):
        for key in sorted(tree, key=str):
            digest.update(repr(key).encode())
            hash_tree(tree[key], digest)
    elif isinstance(tree, list | tuple):
        for item in tree:
            hash_tree(item, digest)
    else:
        digest.update(repr(tree).encode())


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def attempt(folder: Path, place: str | None = None, call: int = 0) -> int:
    """Train in a fork that kills itself at `place`: its exit status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        if place in ("fsync", "replace"):
            real, count = getattr(os, place), 0

            def deadly(*args: object) -> None:
                nonlocal count
                count += 1
                if count == call:
                    die()
                real(*args)

            setattr(os, place, deadly)
        train(folder, lambda where: die() if where == place else None)
        os._exit(0)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)


def killed(status: int) -> bool:
    assert status in (0, signal.SIGKILL), status
    return status != 0


def kill(folder: Path) -> None:
    import torch.utils.tensorboard  # once, before the forks

    torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    assert attempt(folder / "whole") == 0
    expected = result(folder / "whole")
    rng = random.Random(0)
    # Killed at steps: one run, killed again and again on its way.
    places = sorted(rng.sample(range(STEPS), 4))
    for number in places:
        where = rng.choice(["between", "after"])
        assert killed(attempt(folder / "steps", f"{where} {number}")), number
    assert attempt(folder / "steps") == 0
    assert result(folder / "steps") == expected, "killed at steps"
    # Killed inside the writing, at each of its points in turn.
    for place in ("fsync", "replace"):
        call, deaths = 1, 0
        while killed(attempt(folder / f"{place}{call}", place, call)):
            deaths += 1
            assert attempt(folder / f"{place}{call}") == 0
            assert result(folder / f"{place}{call}") == expected, (place, call)
            call += 1 + rng.randrange(3)
        assert deaths >= 4, (place, deaths)
    # Killed from outside, at any time.
    deaths = 0
    for _ in range(6):
        child = os.fork()
        if not child:
            train(folder / "any", lambda where: time.sleep(0.01))
            os._exit(0)
        time.sleep(rng.uniform(0.1, 0.4))
        os.kill(child, signal.SIGKILL)
        deaths += os.waitpid(child, 0)[1] == signal.SIGKILL
    assert attempt(folder / "any") == 0
    assert result(folder / "any") == expected, "killed at any time"
    print(f"equal; {deaths} deaths from outside")


def share(folder: Path) -> None:
    """Train in one of several processes; report what this one saw."""
    run = train(folder, steps=5)
    run = train(folder)
    batches = training.BatchSampler(40, 8, seed=3)
    rank = run.accelerator.process_index
    weights = torch.cat([w.detach().reshape(-1) for w in run._parts["G"].parameters()])
    seen = {"indices": batches[1].tolist(), "weights": weights.double().sum().item()}
    seen["noise"] = torch.randn(1).item()
    (folder / f"seen{rank}.json").write_text(json.dumps(seen))
    run.accelerator.wait_for_everyone()
    run.accelerator.end_training()


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"kill": kill, "share": share}[sys.argv[1]](Path(sys.argv[2]))
