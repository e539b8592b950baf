"""Conditional norms and blocks against plain loops over pixels and channels."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from avnb.layers import (
    AudioConditionalInstanceNorm,
    Conv3d,
    DownBlock,
    NoiseInjection,
    PatchHead,
    UpBlock,
    blocks,
)
from avnb.losses import gradient_penalty

# --- the independent reference: numpy, in float64


def array(x: Tensor) -> np.ndarray:
    return x.detach().double().numpy()


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.2 * x)


def convolve(conv: nn.Module, x: np.ndarray) -> np.ndarray:
    """Convolution of size 1 or 3 with zeros around, one kernel place at a time."""
    weight, bias = array(conv.weight), array(conv.bias)
    size, kernel = x.shape[2:], weight.shape[2:]
    edge = [(k // 2, k // 2) for k in kernel]
    padded = np.pad(x, [(0, 0), (0, 0), *edge])
    out = np.zeros((len(x), len(weight), *size))
    for place in itertools.product(*map(range, kernel)):
        window = tuple(slice(p, p + n) for p, n in zip(place, size, strict=True))
        part = padded[(slice(None), slice(None), *window)]
        out += np.einsum("ni...,oi->no...", part, weight[(..., *place)])
    return out + bias.reshape(-1, *[1] * len(size))


def norm(x: np.ndarray, over: tuple[int, ...]) -> np.ndarray:
    mean, var = x.mean(over, keepdims=True), x.var(over, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5)


def conditional(layer: AudioConditionalInstanceNorm, x: np.ndarray, features: Tensor):
    weight, bias = array(layer.linear.weight), array(layer.linear.bias)
    style = leaky(array(features) @ weight.T + bias)
    out = np.empty_like(x)
    for n, c in np.ndindex(x.shape[:2]):
        beta, gamma = style[n, c], style[n, x.shape[1] + c]
        plane = x[n, c]
        sigma = math.sqrt(plane.var() + 1e-5)
        out[n, c] = (gamma + layer.offset) * (plane - plane.mean()) / sigma + beta
    return out


def twice(x: np.ndarray) -> np.ndarray:
    return x.repeat(2, -1).repeat(2, -2)


def halve(x: np.ndarray) -> np.ndarray:
    steps = [2] * (x.ndim - 2)
    if x.ndim == 5 and x.shape[2] == 1:
        steps[0] = 1
    size = [n // s for n, s in zip(x.shape[2:], steps, strict=True)]
    out = np.zeros((*x.shape[:2], *size))
    for offset in itertools.product(*map(range, steps)):
        cut = [
            slice(o, o + n * s, s) for o, n, s in zip(offset, size, steps, strict=True)
        ]
        out += x[(slice(None), slice(None), *cut)]
    return out / math.prod(steps)


def features_in_db(frames: int, bands: int = 64) -> Tensor:
    return -80 * torch.rand(frames, bands, dtype=torch.float64)


def agree(found: Tensor, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(array(found), expected, rtol=1e-9, atol=1e-10)


def grow(module: nn.Module) -> nn.Module:
    """In float64, every weight away from its start."""
    with torch.no_grad():
        for parameter in module.double().parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


# --- the conditional norm and the noise


@pytest.mark.parametrize("plus_one", [False, True])
@pytest.mark.parametrize(
    ("shape", "bands"), [((1, 1, 2, 1), 1), ((5, 3, 4, 7), 64), ((2, 6, 9, 9), 13)]
)
def test_conditional_norm_is_equation_2(
    shape: tuple[int, ...], bands: int, plus_one: bool
) -> None:
    torch.manual_seed(0)
    layer = AudioConditionalInstanceNorm(shape[1], bands, plus_one=plus_one).double()
    x = 3 + 5 * torch.randn(shape, dtype=torch.float64)
    features = features_in_db(shape[0], bands)
    agree(layer(x, features), conditional(layer, array(x), features))


def test_conditional_norm_begins_at_order_one_and_hears() -> None:
    # the start that the paper relies on: features in dB, weights of N(0, 0.02)
    torch.manual_seed(0)
    layer = AudioConditionalInstanceNorm(512, 64)
    x = torch.randn(8, 512, 4, 4)
    out = layer(x, features_in_db(8).float())
    assert 0.3 < float(out.detach().std()) < 20
    assert not torch.allclose(out, layer(x, features_in_db(8).float()))
    # without the one, no sound features means no picture; with it, instance norm
    none = torch.zeros(8, 64)
    assert layer(x, none).abs().max() == 0
    plain = AudioConditionalInstanceNorm(512, 64, plus_one=True)(x, none)
    torch.testing.assert_close(plain, nn.functional.instance_norm(x))


def test_conditional_norm_gradients() -> None:
    torch.manual_seed(0)
    layer = AudioConditionalInstanceNorm(2, 3).double()
    x = torch.randn(2, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    features = features_in_db(2, 3).requires_grad_()
    weights = tuple(layer.parameters())

    def run(x: Tensor, features: Tensor, *_: Tensor) -> Tensor:
        return layer(x, features)

    assert torch.autograd.gradcheck(run, (x, features, *weights))


@pytest.mark.parametrize("size", [(7,), (3, 5), (2, 3, 4)])
def test_noise_is_one_map_for_all_channels(size: tuple[int, ...]) -> None:
    layer = NoiseInjection()
    x = torch.randn(4, 6, *size)
    assert torch.equal(layer(x), x)  # it begins silent
    nn.init.constant_(layer.strength, 0.5)
    noise = (layer(x) - x) / 0.5
    torch.testing.assert_close(noise, noise[:, :1].expand_as(noise))
    first, second = (
        layer(x, torch.Generator().manual_seed(s)).detach() for s in (1, 2)
    )
    assert torch.equal(first, layer(x, torch.Generator().manual_seed(1)))
    assert not torch.equal(first, second)
    layer(x).sum().backward()
    assert layer.strength.grad is not None


def test_noise_is_white_and_of_unit_strength() -> None:
    layer = NoiseInjection()
    nn.init.ones_(layer.strength)
    noise = layer(torch.zeros(50, 2, 32, 32), torch.Generator().manual_seed(0))[:, 0]
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)
    assert float((noise[:, 1:] * noise[:, :-1]).mean()) == pytest.approx(0, abs=0.02)
    assert float((noise[1:] * noise[:-1]).mean()) == pytest.approx(0, abs=0.02)


# --- the up-block


def up(block: UpBlock, x: Tensor, features: Tensor | None, noise: list) -> np.ndarray:
    """Fig. 3(a), box by box."""
    big = twice(array(x))

    def normed(y: np.ndarray) -> np.ndarray:
        if features is None:
            return norm(y, (0, 2, 3))
        return conditional(block.norm, y, features)

    y = convolve(block.conv1, big) + float(block.noise1.strength) * noise[0]
    y = leaky(normed(y))
    y = convolve(block.conv2, y) + float(block.noise2.strength) * noise[1]
    return leaky((normed(y) + convolve(block.shortcut, big)) / math.sqrt(2))


@pytest.mark.parametrize("bands", [None, 5])
@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (3, 2, 1, 2), (2, 4, 5, 3)])
def test_up_block_is_figure_3a(shape: tuple[int, ...], bands: int | None) -> None:
    torch.manual_seed(0)
    block = UpBlock(shape[1], 4, bands).double()
    for site in (block.noise1, block.noise2):
        nn.init.normal_(site.strength)
    x = torch.randn(shape, dtype=torch.float64)
    features = None if bands is None else features_in_db(shape[0], bands)
    found = block(x, features, torch.Generator().manual_seed(7))
    same = torch.Generator().manual_seed(7)
    size = (shape[0], 1, 2 * shape[2], 2 * shape[3])
    noise = [
        array(torch.randn(size, generator=same, dtype=torch.float64)) for _ in "12"
    ]
    agree(found, up(block, x, features, noise))


def test_up_block_says_what_it_lacks() -> None:
    x, features = torch.zeros(2, 3, 4, 4), torch.zeros(2, 5)
    with pytest.raises(ValueError, match="needs sound features"):
        UpBlock(3, 4, 5)(x)
    with pytest.raises(ValueError, match="takes no sound features"):
        UpBlock(3, 4)(x, features)


def test_up_block_gradients() -> None:
    torch.manual_seed(0)
    block = UpBlock(2, 2, 3).double()
    x = torch.randn(2, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    features = features_in_db(2, 3).requires_grad_()

    def run(x: Tensor, features: Tensor, *_: Tensor) -> Tensor:
        return block(x, features, torch.Generator().manual_seed(0))

    assert torch.autograd.gradcheck(run, (x, features, *block.parameters()))


def test_up_blocks_frames_do_not_meet() -> None:
    torch.manual_seed(0)
    block = UpBlock(3, 4, 5).eval()
    x, features = torch.randn(6, 3, 4, 4), features_in_db(6, 5).float()
    whole = block(x, features)
    parts = [block(a, f) for a, f in zip(x.split(2), features.split(2), strict=True)]
    torch.testing.assert_close(whole, torch.cat(parts))


@pytest.mark.parametrize("bands", [None, 64])
def test_up_block_in_bfloat16(bands: int | None) -> None:
    torch.manual_seed(0)
    block = UpBlock(16, 16, bands)
    x = torch.randn(4, 16, 8, 8)
    features = None if bands is None else features_in_db(4).float()
    exact = block(x, features)
    with torch.autocast("cpu", torch.bfloat16):
        rough = block(x, features)
    error = (rough.float() - exact).norm() / exact.norm()
    assert float(error.detach()) < 0.03
    last = block.to(memory_format=torch.channels_last)(
        x.contiguous(memory_format=torch.channels_last), features
    )
    torch.testing.assert_close(last, exact, rtol=1e-4, atol=1e-4)


# --- the down-block


def down(block: DownBlock, picture: Tensor, x: Tensor | None, kind: str) -> np.ndarray:
    """Fig. 3(b) in the order it is drawn: colours at full size, then the pool."""
    over = {"batch": (0,), "instance": (), "layer": (1,)}
    h = convolve(block.from_rgb, array(picture))
    h = halve(h if x is None else h + array(x))
    for conv, layer in ((block.conv1, block.norm1), (block.conv2, block.norm2)):
        h = convolve(conv, h)
        if kind != "none":
            h = norm(h, over[kind] + tuple(range(2, h.ndim)))
            channel = (-1, *[1] * (h.ndim - 2))
            h = h * array(layer.weight).reshape(channel)
            h = h + array(layer.bias).reshape(channel)
        h = leaky(h)
    return h


@pytest.mark.parametrize("kind", ["batch", "instance", "layer", "none"])
@pytest.mark.parametrize("size", [(4, 6), (7, 5), (4, 4, 6), (5, 6, 5), (1, 4, 5)])
@pytest.mark.parametrize("first", [True, False])
def test_down_block_is_figure_3b(size: tuple, kind: str, first: bool) -> None:
    torch.manual_seed(0)
    block = grow(DownBlock(4, 5, dims=len(size), norm=kind))
    picture = torch.randn(2, 3, *size, dtype=torch.float64)
    x = None if first else torch.randn(2, 4, *size, dtype=torch.float64)
    found, smaller = block(picture, x)
    agree(found, down(block, picture, x, kind))
    agree(smaller, halve(array(picture)))


@pytest.mark.parametrize("frames", [32, 16, 7, 5, 1])
def test_time_is_halved_while_it_can(frames: int) -> None:
    times = math.floor(math.log2(frames))
    picture, x, seen = torch.randn(1, 3, frames, 64, 64), None, [frames]
    for _ in range(6):
        x, picture = DownBlock(2, 2, dims=3, norm="none")(picture, x)
        seen.append(x.shape[2])
    assert seen[times] == 1
    assert seen[-1] == 1
    assert all(a > b for a, b in itertools.pairwise(seen[: times + 1]))
    assert x.shape[-2:] == (1, 1)


class Critic(nn.Module):
    def __init__(self, dims: int, kind: str) -> None:
        super().__init__()
        self.one = DownBlock(2, 3, dims=dims, norm=kind)
        self.two = DownBlock(3, 4, dims=dims, norm=kind)
        self.head = PatchHead(4, dims=dims)

    def forward(self, picture: Tensor) -> Tensor:
        x, picture = self.one(picture)
        x, picture = self.two(picture, x)
        return self.head(x)


@pytest.mark.parametrize("kind", ["batch", "instance", "layer", "none"])
@pytest.mark.parametrize("size", [(16, 16), (8, 16, 16)])
def test_critics_scores_and_who_they_depend_on(size: tuple, kind: str) -> None:
    torch.manual_seed(0)
    critic = Critic(len(size), kind)
    pictures = torch.randn(3, 3, *size)
    scores = critic(pictures)
    assert scores.shape == (3, *[n // 4 for n in size])
    alone = torch.cat([critic(picture[None]) for picture in pictures])
    # batch norm ties an item's score to its neighbours', which the penalty forbids
    independent = torch.allclose(scores, alone, rtol=1e-4, atol=1e-5)
    assert independent == (kind != "batch")
    real, fake = pictures[:1], torch.randn(1, 3, *size)
    penalty = gradient_penalty(critic, real, fake)
    penalty.backward()
    grads = [p.grad for p in critic.parameters() if p.grad is not None]
    assert all(grad.isfinite().all() for grad in grads)
    assert sum(float(grad.abs().sum()) for grad in grads) > 0


def test_batch_norm_of_one_item_is_an_instance_norm() -> None:
    torch.manual_seed(0)
    batch, instance = Critic(2, "batch"), Critic(2, "instance")
    instance.load_state_dict(batch.state_dict(), strict=False)
    picture = torch.randn(1, 3, 16, 16)
    torch.testing.assert_close(batch(picture), instance(picture))


@pytest.mark.parametrize("dims", [2, 3])
def test_down_block_gradients(dims: int) -> None:
    torch.manual_seed(0)
    block = DownBlock(2, 2, dims=dims, norm="layer").double()
    size = (4, 5) if dims == 2 else (2, 4, 2)
    picture, x = (
        torch.randn(1, c, *size, dtype=torch.float64, requires_grad=True)
        for c in (3, 2)
    )
    assert torch.autograd.gradcheck(
        lambda p, x, *_: block(p, x), (picture, x, *block.parameters())
    )


@pytest.mark.parametrize("items", [1, 2])
def test_3d_weights_learn_the_same_in_bfloat16(
    items: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's own 3-d convolution gives weights of 32 channels and two frames a
    gradient of whatever memory held before, where the processor has no AMX."""
    monkeypatch.setattr(blocks, "_computes_with_amx", lambda: False)
    worst = 0.0
    for trial in range(10):
        torch.manual_seed(trial)
        block = DownBlock(32, 64, dims=3, norm="none")
        picture, x = (torch.randn(items, c, 4, 8, 8) for c in (3, 32))
        exact = torch.autograd.grad(block(picture, x)[0].sum(), block.conv1.weight)[0]
        junk = [torch.full((exact.numel() + 997 * k,), 1e4) for k in range(6)]
        del junk  # what the next tensors find in their memory
        with torch.autocast("cpu", torch.bfloat16):
            total = block(picture, x)[0].float().sum()
        found = torch.autograd.grad(total, block.conv1.weight)[0]
        worst = max(worst, ((found - exact).norm() / exact.norm()).item())
    assert worst < 0.02


@pytest.mark.parametrize("frames", [2, 4, 7])
@pytest.mark.parametrize("channels", [3, 32, 48])
@pytest.mark.parametrize("items", [1, 3])
def test_conv3d_in_bfloat16_is_close(items: int, channels: int, frames: int) -> None:
    """Whichever kernels the processor has: outputs and gradients are the exact ones."""
    torch.manual_seed(items + channels + frames)
    conv = Conv3d(channels, 32, 3, (1, 2, 2), 1)
    x = torch.randn(items, channels, frames, 8, 6, requires_grad=True)
    wanted = [x, *conv.parameters()]

    def run() -> list[Tensor]:
        out = conv(x).float()
        return [out, *torch.autograd.grad(out.square().mean(), wanted)]

    exact = run()
    junk = [torch.full((conv.weight.numel() + 997 * k,), 1e4) for k in range(6)]
    del junk  # what the next tensors find in their memory
    with torch.autocast("cpu", torch.bfloat16):
        found = run()
    for one, other in zip(exact, found, strict=True):
        assert (one - other).norm() < 0.02 * one.norm()


def double_backward(conv: nn.Module, x: Tensor) -> list[Tensor]:
    """What comes out, and all gradients of a penalty on the slope and the output."""
    out = conv(x)
    (slope,) = torch.autograd.grad(out.sin().sum(), x, create_graph=True)
    penalty = slope.square().sum() + out.square().sum()
    return [out, *torch.autograd.grad(penalty, [x, *conv.parameters()])]


@pytest.mark.parametrize("items", [1, 2])
@pytest.mark.parametrize(
    ("kernel", "settings", "size"),
    [
        (3, {"padding": 1}, (7, 9, 8)),
        (3, {"padding": 1, "bias": False}, (1, 4, 4)),
        ((2, 3, 4), {"stride": (1, 2, 1), "padding": (1, 0, 2)}, (5, 9, 8)),
        ((1, 3, 3), {"padding": (0, 1, 1)}, (6, 8, 8)),
        ((4, 1, 1), {}, (6, 2, 3)),
        (3, {"stride": 2, "padding": 1}, (7, 9, 8)),
        (3, {"dilation": 2}, (7, 9, 8)),
        (3, {"dilation": (1, 2, 2)}, (7, 9, 8)),
        (3, {"padding": "same"}, (4, 5, 6)),
        (3, {"padding": 1, "padding_mode": "replicate"}, (4, 5, 6)),
        (3, {"padding": 1, "groups": 2}, (4, 5, 6)),
    ],
)
def test_conv3d_is_torchs_own(
    kernel: int | tuple, settings: dict, size: tuple, items: int
) -> None:
    """Of one item it is computed by a 2-d convolution, by way of its frames."""
    conv = Conv3d(4, 6, kernel, **settings).double()
    theirs = nn.Conv3d(4, 6, kernel, **settings).double()
    theirs.load_state_dict(conv.state_dict())
    x = torch.randn(items, 4, *size, dtype=torch.float64, requires_grad=True)
    for one, other in zip(
        *(double_backward(c, x) for c in (conv, theirs)), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_conv3d_takes_frames_without_a_batch() -> None:
    conv = Conv3d(1, 3, 3)
    x = torch.randn(1, 5, 6, 7)
    torch.testing.assert_close(conv(x), conv(x[None])[0])


def test_conv3d_wants_as_many_frames_as_its_kernel_has() -> None:
    with pytest.raises(RuntimeError, match="greater than actual input size"):
        Conv3d(1, 1, 3)(torch.randn(1, 1, 2, 5, 5))


def test_unknown_norm() -> None:
    with pytest.raises(ValueError, match="give batch, instance, layer or none"):
        DownBlock(2, 2, norm="spectral")


@pytest.mark.parametrize("size", [(4, 3), (2, 4, 4)])
def test_patch_head_scores_each_place(size: tuple[int, ...]) -> None:
    head = PatchHead(6, dims=len(size)).double()
    x = torch.randn(2, 6, *size, dtype=torch.float64)
    agree(head(x), convolve(head.decision, array(x))[:, 0])
