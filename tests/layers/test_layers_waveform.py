"""The layers of raw sound against torch's own convolutions and plain loops."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avnb.layers import DownConv1d, PhaseShuffle, UpConv1d, shuffle_phase

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def gradients(out: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    weight = random(*out.shape, seed=9).to(out)
    return torch.autograd.grad((out * weight).sum(), inputs)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("length", [1, 2, 16, 37])
def test_up_is_a_transposed_convolution(length: int, device: str) -> None:
    """Down to a single sample, where most of the weights meet the edge."""
    fast = UpConv1d(3, 5).to(device)
    nn.init.normal_(fast.bias)
    slow = nn.ConvTranspose1d(3, 5, 25, stride=4, padding=11, output_padding=1)
    slow.load_state_dict(fast.state_dict())
    slow = slow.to(device)
    x = random(2, 3, length).to(device).requires_grad_()
    torch.testing.assert_close(fast(x), slow(x), atol=1e-5, rtol=1e-4)
    mine = gradients(fast(x), x, fast.weight, fast.bias)
    theirs = gradients(slow(x), x, slow.weight, slow.bias)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("length", [1, 2, 16, 37])
def test_up_is_copies_and_a_convolution(length: int, device: str) -> None:
    fast = UpConv1d(3, 5, "nearest").to(device)
    nn.init.normal_(fast.bias)
    x = random(2, 3, length).to(device).requires_grad_()
    copies = x.repeat_interleave(4, dim=2)
    slow = F.conv1d(copies, fast.weight, fast.bias, padding=12)
    torch.testing.assert_close(fast(x), slow, atol=1e-5, rtol=1e-4)
    mine = gradients(fast(x), x, fast.weight, fast.bias)
    theirs = gradients(slow, x, fast.weight, fast.bias)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("length", [4, 8, 64])
def test_down_is_a_convolution_with_stride(length: int, device: str) -> None:
    fast = DownConv1d(3, 5).to(device)
    nn.init.normal_(fast.bias)
    x = random(2, 3, length).to(device).requires_grad_()
    slow = F.conv1d(x, fast.weight, fast.bias, stride=4, padding=11)
    torch.testing.assert_close(fast(x), slow, atol=1e-5, rtol=1e-4)
    mine = gradients(fast(x), x, fast.weight, fast.bias)
    theirs = gradients(slow, x, fast.weight, fast.bias)
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_a_signal_keeps_its_size_through_the_layers() -> None:
    """He's weights: five layers of torch's default would leave a hundredth."""
    torch.manual_seed(0)
    x = torch.randn(8, 16, 64)
    for layer in (UpConv1d(16, 16), UpConv1d(16, 16, "nearest"), DownConv1d(16, 16)):
        with torch.no_grad():
            y = layer(F.relu(x))
        # The mean square counts: a ReLU's output has a mean.
        assert 0.6 < (y.square().mean() / x.square().mean()).item() < 1.6


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ValueError, match="'linear': give transposed or nearest"):
        UpConv1d(1, 1, "linear")


# --- phase shuffle ---------------------------------------------------------------


def shift_by_loop(x: Tensor, shifts: list[int]) -> Tensor:
    """One sample at a time, walking back from the ends where it leaves the signal."""
    y, last = torch.empty_like(x), x.shape[2] - 1
    for b, shift in enumerate(shifts):
        for t in range(last + 1):
            source, direction = t, -1 if shift > 0 else 1
            for _ in range(abs(shift)):
                if not 0 <= source + direction <= last:
                    direction = -direction
                source += direction
            y[b, :, t] = x[b, :, source]
    return y


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("length", [3, 4, 50])
def test_shuffle_is_a_plain_loop(length: int, device: str) -> None:
    x = random(5, 2, length).to(device)
    shifts = torch.tensor([-2, -1, 0, 1, 2], device=device)
    assert torch.equal(shuffle_phase(x, shifts), shift_by_loop(x, shifts.tolist()))


def test_no_shift_is_the_identity_and_nothing_wraps() -> None:
    x = random(3, 2, 10)
    assert PhaseShuffle(0)(x) is x
    assert torch.equal(shuffle_phase(x, torch.zeros(3, dtype=torch.int64)), x)
    impulse = torch.zeros(1, 1, 10)
    impulse[0, 0, -1] = 1.0  # leaves at the end and must not come in at the beginning
    assert shuffle_phase(impulse, torch.tensor([2])).sum() == 0
    assert shuffle_phase(impulse.flip(2), torch.tensor([-2])).sum() == 0


def test_the_shifts_are_all_there_and_one_an_item() -> None:
    count = torch.arange(20.0).expand(2000, 1, 20)
    generator = torch.Generator().manual_seed(1)
    out = PhaseShuffle(2)(count, generator)
    assert out.shape == count.shape
    shifts = 10 - out[:, 0, 10].long()
    shares = torch.bincount(shifts + 2, minlength=5) / 2000
    assert ((shares - 0.2).abs() < 0.04).all()
    whole = PhaseShuffle(2, per_item=False)
    seen = {int(10 - whole(count, generator)[:, 0, 10].unique()) for _ in range(60)}
    assert seen == {-2, -1, 0, 1, 2}


def test_a_seed_repeats_the_shifts() -> None:
    x = random(6, 1, 30)
    layer = PhaseShuffle(3)
    one, two = (layer(x, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one, two)


def test_bad_shifts_are_named() -> None:
    with pytest.raises(ValueError, match="radius is -1"):
        PhaseShuffle(-1)
    with pytest.raises(ValueError, match="3 steps in a signal of 3"):
        shuffle_phase(random(1, 1, 3), torch.tensor([3]))
