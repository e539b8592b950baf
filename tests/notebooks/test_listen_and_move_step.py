"""One training step of Listen and Move, against plain compositions; many readers."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import reader_loop
import torch
from avnb_notebooks.listen_and_move import step2_motion as motion
from avnb_notebooks.listen_and_move import step3_generator as generator
from avnb_notebooks.listen_and_move import step5_critics as critics
from torch import nn
from torch.nn import functional as F

LOOP = Path(__file__).parents[1] / "helpers" / "reader_loop.py"


def step_plainly(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    weights = optimizer.param_groups[0]["params"]
    optimizer.zero_grad()
    loss.backward(inputs=weights)
    optimizer.step()


RUN = SimpleNamespace(autocast=contextlib.nullcontext, step=step_plainly)


class Sum(nn.Module):
    """A critic whose only patch is weight · (the sum of an item's first colour)."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x[:, 0].flatten(1).sum(dim=1, keepdim=True)


def test_an_update_of_the_critics_by_hand() -> None:
    """D_V and D_I are linear: their slopes, losses and new weights are known."""
    D_I, D_V, pixels = Sum(1.0), Sum(1.0), 4
    optimizers = tuple(torch.optim.SGD(d.parameters(), 0.01) for d in (D_I, D_V))
    real, fake = torch.zeros(2, 3, 3, 2, 2), torch.zeros(2, 3, 3, 2, 2)
    real[:, 1] = 1.0  # one bright frame of three
    fake = fake.requires_grad_()
    t = torch.tensor([1, 0])  # of the first reader the bright one
    log = critics.update_critics(RUN, (D_I, D_V), optimizers, real, fake, t)
    # slopes: w √pixels; d/dw of 10 (w √p - 1)² is 20 √p (w √p - 1)
    slope, long = pixels**0.5, (3 * pixels) ** 0.5
    assert log["loss_i"].item() == pytest.approx(-4 / 2 + 10 * (slope - 1) ** 2)
    assert log["loss_v"].item() == pytest.approx(-4 + 20 * (long - 1) ** 2, rel=1e-5)
    by_i = -4 / 2 + 20 * slope * (slope - 1)
    by_v = -4 + 2 * 20 * long * (long - 1)  # shuffled: as bright as real, no gain
    assert D_I.weight.item() == pytest.approx(1 - 0.01 * by_i, rel=1e-5)
    assert D_V.weight.item() == pytest.approx(1 - 0.01 * by_v, rel=1e-5)
    assert fake.grad is None


def make_networks() -> tuple:
    torch.manual_seed(3)
    model = generator.SoundToVideo(generator.ModelConfig(), 16, bands=5, base=16)
    D_I = critics.make_image_critic(16, 16, "layer")
    D_V = critics.make_video_critic(16, 16, "layer")
    features, noise = torch.randn(2, 4, 5), torch.randn(2, 4, 2)
    fake, _ = model(features, None, noise)
    return model, (D_I, D_V), torch.rand_like(fake) * 2 - 1, fake


@pytest.mark.parametrize("patches", ["mean", "sum"])
def test_an_update_of_the_model_is_that_of_the_plain_loss(patches: str) -> None:
    model, (D_I, D_V), real, fake = make_networks()
    t = torch.tensor([3, 1])
    by_image, by_video = D_I(fake[[0, 1], t]), D_V(fake.transpose(1, 2))
    times = 16 if patches == "sum" else 1  # 4 × 4 patches each
    loss = -times * (by_image.mean() + by_video.mean())
    loss = loss + 10 * F.mse_loss(fake, real)
    weights = list(model.parameters())
    right = torch.autograd.grad(loss, weights, retain_graph=True)
    if patches == "mean":  # Eq. 6, as step 5 writes it
        whole = critics.sound_to_video_loss(by_image, by_video, F.mse_loss(fake, real))
        assert torch.allclose(whole, loss)
    before = [w.detach().clone() for w in weights]
    optimizer = torch.optim.SGD(weights, 0.1)
    log = critics.update_model(
        RUN, optimizer, (D_I, D_V), F.mse_loss, real, fake, t, patches
    )
    for old, new, slope in zip(before, weights, right, strict=True):
        assert torch.allclose(old - new, 0.1 * slope, atol=1e-6)
    terms = sum(log[name] for name in ("D_I", "D_V", "reconstruction"))
    assert terms.item() == pytest.approx(loss.item(), rel=1e-5)
    assert all(w.grad is None for w in (*D_I.parameters(), *D_V.parameters()))


def test_each_term_pulls_the_frames_its_own_way() -> None:
    """Higher scores and smaller errors: a flipped sign would pull the other way."""
    real, fake = torch.ones(1, 2, 3, 4, 4), torch.zeros(1, 2, 3, 4, 4)
    frames, t = fake.requires_grad_(), torch.tensor([1])
    terms = critics.model_terms((Sum(1.0), Sum(1.0)), F.mse_loss, real, frames, t)
    for name, term in terms.items():
        (slope,) = torch.autograd.grad(term, frames)
        assert (slope[0, 1, 0] < 0).all(), f"{name} must brighten the frame"


def test_the_share_is_each_readers_own() -> None:
    random = torch.Generator().manual_seed(2)
    gradients = {
        name: size * torch.randn(3, 4, 3, 5, 5, generator=random)
        for name, size in (("reconstruction", 7.0), ("D_I", 0.1), ("D_V", 40.0))
    }
    gradients["D_I"][2] = 0  # a flat critic must not divide by zero
    plain = critics.balance_gradients(gradients)
    assert torch.allclose(plain, sum(gradients.values()))
    total = critics.balance_gradients(gradients, 0.3)
    for n in range(3):
        one = {name: g[n].flatten() for name, g in gradients.items()}
        right = one["reconstruction"].clone()
        for name in ("D_I", "D_V"):
            if one[name].any():
                size = 0.3 * one["reconstruction"].norm() / one[name].norm()
                right += size * one[name]
        assert torch.allclose(total[n].flatten(), right, atol=1e-4)


def test_readers_have_stretches_of_their_own() -> None:
    seen: list[set[int]] = [set(), set(), set()]
    for step in range(200):
        windows, restart = generator.select_windows(step, 100, 8, 3, seed=1)
        first = motion.select_window(step, 33, 8, seed=1)
        assert (windows[0], restart) == first
        for reader, part in enumerate(windows):
            assert 33 * reader <= part.start < part.stop <= 33 * (reader + 1)
            seen[reader] |= set(range(100)[part])
    assert min(map(len, seen)) > 33 - 8
    with pytest.raises(ValueError, match="do not fit in 7 frames"):
        generator.select_windows(0, 21, 8, 3, seed=1)


def test_a_batch_of_readers_is_each_reader_alone() -> None:
    """In eval mode: in training the format layer's batch norm sees all readers."""
    torch.manual_seed(1)
    model = generator.SoundToVideo(generator.ModelConfig(), 16, bands=5, base=16).eval()
    features, noise = torch.randn(2, 4, 5), torch.randn(2, 4, 2)
    with torch.no_grad():
        both, states = model(features, None, noise)
        both_on, _ = model(features, states, noise)
        for n in range(2):
            alone, state = model(features[n], None, noise[n])
            assert torch.allclose(both[n], alone, atol=1e-5)
            alone_on, _ = model(features[n], state, noise[n])
            assert torch.allclose(both_on[n], alone_on, atol=1e-5)


def test_the_skip_generator_is_the_sum_of_its_pictures() -> None:
    torch.manual_seed(2)
    config = generator.ModelConfig(prediction="none", skip=True)
    network = generator.Generator(config, 16, bands=5, base=16).eval()
    motion_of, features = torch.randn(3, 7), torch.randn(3, 5)
    with torch.no_grad():
        video, _ = network(motion_of, features)
        x = network.trunk.format(torch.cat([features, motion_of], dim=1))
        pictures = []
        for block, to_rgb in zip(
            network.trunk.blocks, network.trunk.to_rgbs, strict=True
        ):
            assert block.shortcut is None
            pictures.append(to_rgb(x))
            x = block(x, features)
        pictures.append(network.to_rgb(x))
        total = sum(
            p.repeat_interleave(16 // p.shape[2], 2).repeat_interleave(
                16 // p.shape[3], 3
            )
            for p in pictures
        )
    assert torch.allclose(video, total.tanh(), atol=1e-5)


def launch(folder: Path, processes: int) -> list[dict]:
    folder.mkdir()
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
    command = [sys.executable, *start, str(processes), str(LOOP), str(folder)]
    root = str(LOOP.parents[2])
    paths = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    more = {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        command, env=os.environ | more, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    files = [folder / f"{rank}_of_{processes}.pt" for rank in range(processes)]
    return [torch.load(path, weights_only=True) for path in files]


PRESENT = generator.ModelConfig()
VARIANTS = {
    "as released": (PRESENT, {"readers": 1, "norm": "batch", "patches": "mean"}),
    "l1": (PRESENT, {"reconstruction": "l1"}),
    "skip": (generator.ModelConfig(skip=True), {}),
    "reset": (PRESENT, {"carry": False}),
    "gamma": (generator.ModelConfig(plus_one=False), {"share": 0.0}),
    "no prediction": (generator.ablation_configs()["All, no prediction"], {}),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_network_of_step_6_trains(name: str, tmp_path: Path) -> None:
    config, changes = VARIANTS[name]
    run = reader_loop.train(tmp_path, config=config, steps=2, **changes)
    for key in ("loss_v", "loss_i", "reconstruction", "grad_D_I", "grad_D_V"):
        assert run.history[key].shape == (2,)
        assert (abs(run.history[key]) > 0).all(), key
    assert run.finished


@pytest.mark.slow
def test_a_step_at_256_pixels(tmp_path: Path) -> None:
    run = reader_loop.train(tmp_path, 256, steps=1, readers=1)
    assert run.history["grad_D_V"][0] > 0


def test_reset_states_start_each_window_from_nothing(tmp_path: Path) -> None:
    learned = {}
    for carry in (True, False):
        run = reader_loop.train(tmp_path / str(carry), steps=2, carry=carry)
        learned[carry] = run._parts["carried"].motion
    assert not torch.allclose(learned[True], learned[False], atol=1e-4)


@pytest.mark.slow
def test_two_processes_of_one_reader_are_one_of_two(tmp_path: Path) -> None:
    (alone,) = launch(tmp_path / "one", 1)
    for learned in launch(tmp_path / "two", 2):
        for part, weights in alone.items():
            for name, value in weights.items():
                same = torch.allclose(learned[part][name], value, atol=2e-5)
                assert same, f"{part} {name}"
    assert alone["carried"]["video"].abs().amax(dim=(1, 2, 3)).min() > 0
    both = alone["carried"]["video"]
    assert not torch.allclose(both[0], both[1], atol=1e-2), "the readers differ"
    # the average lags behind the weights: they have moved
    moved = [
        (alone["model"][name] - value).abs().max().item()
        for name, value in alone["ema"].items()
        if name.endswith("weight")
    ]
    assert max(moved) > 1e-3
