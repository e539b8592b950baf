"""benchmarks/listen_and_move.py: savings change no gradient; counts are checked."""

from collections.abc import Iterator

import listen_and_move as benchmark
import pytest
import torch
from quick import mark_rest
from torch import Tensor, nn
from torch.nn import functional as F


@pytest.fixture
def _float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def run_one_step(saving: object) -> dict[str, Tensor]:
    """All states and gradients of the three networks after one step."""
    torch.manual_seed(0)
    step = benchmark.Step(16, base=16, saving=saving, frames=5)
    torch.manual_seed(1)
    step()
    networks = {"D_V": step.D_V, "D_I": step.D_I, "model": step.model}
    found: dict[str, Tensor] = {}
    for name, network in networks.items():
        found |= {f"{name} {key}": v for key, v in network.state_dict().items()}
        for key, weight in network.named_parameters():
            found[f"{name} {key} gradient"] = weight.grad
    return found


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize(
    "saving",
    mark_rest([(2, True, 1), (2, False, 5), (0, True, 5), (0, True, 2)], every=4),
)
def test_saving_memory_leaves_the_step_as_it_is(saving: tuple[int, bool, int]) -> None:
    plain = run_one_step(benchmark.SETTINGS["plain"])
    saved = run_one_step(benchmark.Saving(*saving))
    assert plain.keys() == saved.keys()
    for name, value in plain.items():
        assert value.any() or not name.endswith("weight gradient"), name
        assert torch.allclose(saved[name], value, rtol=1e-8, atol=1e-12), name


@pytest.mark.parametrize("name", ["plain", "saving"])
def test_a_step_in_bfloat16(name: str) -> None:
    step = benchmark.Step(
        16, base=16, saving=benchmark.SETTINGS[name], frames=4, bfloat16=True
    )
    step()
    for optimizer in step.optimizers:
        assert all(w.grad.isfinite().all() for w in step.weights(optimizer)), optimizer


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_live_tensors_are_counted_by_storage(device: str) -> None:
    x = torch.zeros(250, device=device)  # 1,000 bytes
    with benchmark.LiveTensors(x) as alive:
        y = x[:100] + x[100:200]  # views of x; 400 new
        z = y.repeat(5)  # 2,000
        assert alive.now == 3400
        del y
        z = z[:1]  # keeps its whole storage
        assert (alive.now, alive.peak) == (3000, 3400)
        del z
    assert (alive.now, alive.peak) == (1000, 3400)


def test_saved_tensors_are_counted_once() -> None:
    w = torch.zeros(100, requires_grad=True, device="meta")
    x = torch.zeros(100, device="meta")
    with (kept := benchmark.SavedTensors(w)):
        y = x * w  # x and w; w is a weight
        loss = (y.exp() + y.sin()).sum()  # exp's result; y
        assert kept.now == 3 * 400
        loss.backward()
        assert (kept.now, kept.peak) == (0, 3 * 400)


@pytest.mark.parametrize("groups", [1, 4])
def test_arithmetic_of_a_convolution(groups: int) -> None:
    conv = nn.Conv2d(8, 12, 3, padding=1, groups=groups, device="meta")
    x = torch.zeros(2, 8, 5, 5, device="meta", requires_grad=True)
    with benchmark.LiveTensors() as alive:
        y = conv(x)
        once = 2 * (2 * 12 * 5 * 5) * (8 // groups * 3 * 3)
        assert alive.flop == once
        y.sum().backward()
    assert alive.flop == 3 * once


def test_the_mean_of_squares_counts_the_squares() -> None:
    x, y = torch.zeros(2, 1000, device="meta")
    with benchmark.LiveTensors() as alive:
        loss = F.mse_loss(x, y)
        assert (alive.now, alive.peak) == (4000, 8000)
        assert loss.shape == ()


@pytest.mark.slow
def test_the_order_of_magnitude_of_a_small_step() -> None:
    with benchmark.flip_for_shuffle:
        rows = {
            name: benchmark.count_step(
                benchmark.make_warm_step(16, 16, saving=saving, device="meta")
            )
            for name, saving in benchmark.SETTINGS.items()
        }
    plain, recompute, saving = (rows[name]["peak_gb"] for name in benchmark.SETTINGS)
    assert saving < recompute < plain
    kept = rows["plain"]["model"]["kept_gb"]
    assert 0.5 * plain < kept < plain
