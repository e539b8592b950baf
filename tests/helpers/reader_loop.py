"""Step 6's training step with two readers, in one process or shared by two.

    python reader_loop.py FOLDER

The step is the notebook's own: its cells are run here with small networks. What is
drawn at random is fixed, because each process draws by itself. It writes what this
process has learned to FOLDER.
"""

import ast
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from avnb_notebooks.listen_and_move import step3_generator as generator
from avnb_notebooks.listen_and_move import step5_critics as critics
from torch import nn
from torch.nn import functional as F

from avnb import course, losses, training

STEP6 = Path(generator.__file__).with_name("step6_train.py")
STEPS, READERS, WINDOW = 3, 2, 4
FULL = generator.ModelConfig()


class Video:
    """A random video of 40 frames, with the windows that PerformerVideo gives."""

    def __init__(self, size: int) -> None:
        random = torch.Generator().manual_seed(0)
        shape = (40, 3, size, size)
        self.frames = torch.empty(shape).uniform_(-1, 1, generator=random)
        self.features = torch.empty(40, 64).uniform_(-1, 1, generator=random)

    def __len__(self) -> int:
        return len(self.frames)

    def window(self, start: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        part = slice(start, start + count)
        return self.frames[part], self.features[part]


def take_functions(names: tuple[str, ...], scope: dict[str, Any]) -> None:
    """Define functions of step 6, which is a script, in a scope of our own."""
    tree = ast.parse(STEP6.read_text())
    tree.body = [node for node in tree.body if getattr(node, "name", "") in names]
    assert len(tree.body) == len(names)
    exec(compile(tree, str(STEP6), "exec"), scope)


def make_scope(size: int) -> dict[str, Any]:
    """What step 6's step uses, with a vgg that is a single convolution."""
    torch.manual_seed(4)
    scope = dict(vars(generator)) | dict(vars(critics)) | {"F": F, "course": course}
    scope |= {"training": training, "losses": losses, "device": "cpu"}
    scope |= {"train": Video(size), "vgg": nn.Conv2d(3, 8, 3).requires_grad_(False)}
    scope["lesson"] = SimpleNamespace(seed=5)
    # all frames of a window: their order then does not matter
    scope["settings"] = SimpleNamespace(
        window=WINDOW, perceptual_frames=WINDOW, log_every=2
    )
    names = ("read_windows", "make_comparison", "train_step", "measure_gaps")
    take_functions(names, scope)
    return scope


METHOD = {"readers": READERS, "carry": True, "norm": "layer", "share": 0.5}
METHOD |= {"reconstruction": "perceptual", "patches": "sum"}


def train(
    folder: Path,
    size: int = 16,
    config: generator.ModelConfig = FULL,
    steps: int = STEPS,
    **changes: Any,
) -> training.Run:
    """Some steps with plain SGD: Adam would turn rounding into whole steps."""
    scope, method = make_scope(size), METHOD | changes
    run = training.Run(folder, seed=1, precision="float32", live=False)
    base = max(16, size // 4)  # one channel or more in the last layer
    model = generator.SoundToVideo(config, size, base=base)
    model.apply(generator.init_weights)
    training.share_batch_norms(model)
    D_I, D_V = (
        make(size, base, method["norm"]).apply(generator.init_weights)
        for make in (critics.make_image_critic, critics.make_video_critic)
    )
    parts = {"model": model, "D_I": D_I, "D_V": D_V}
    carried = generator.CarriedState(model, method["readers"])
    rates = {"opt_g": (model, 0.3), "opt_i": (D_I, 3e-3), "opt_v": (D_V, 3e-3)}
    optimizers = {k: torch.optim.SGD(n.parameters(), r) for k, (n, r) in rates.items()}
    parts |= {"carried": carried, "ema": training.EMA(model, 0.5)} | optimizers
    prepared = (run, *run.prepare(**parts))
    for step in run.steps(steps, save_every=None):
        run.log(**scope["train_step"](prepared, step.number, method))
    learned = {k: parts[k].state_dict() for k in ("model", "D_I", "D_V", "carried")}
    learned["ema"] = parts["ema"].module.state_dict()
    rank, many = run.accelerator.process_index, run.accelerator.num_processes
    torch.save(learned, folder / f"{rank}_of_{many}.pt")
    run.accelerator.wait_for_everyone()
    run.accelerator.end_training()
    return run


if __name__ == "__main__":
    torch.set_num_threads(1)
    with (
        patch("torch.rand", lambda shape, **k: torch.full(shape, 0.5)),
        patch("torch.randn", lambda *shape, **k: torch.zeros(*shape)),
        patch("torch.randint", lambda high, shape: torch.full(shape, high // 2)),
        patch.object(losses, "shuffle_time", lambda video: video.flip(1)),
    ):
        train(Path(sys.argv[1]))
