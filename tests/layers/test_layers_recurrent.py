"""The recurrent layers against plain loops written from the equations."""

from collections.abc import Callable, Iterator
from typing import Any

import jaxtyping
import pytest
import torch
from avnb_notebooks.listen_and_move.step2_motion import (
    PlainDilatedGRU,
    rename_gru_weights,
)
from avnb_notebooks.listen_and_move.step4_prediction import (
    PlainConvGRU,
    PlainVideoPrediction,
    rename_conv_gru_weights,
    rename_prediction_weights,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from avnb.layers import ConvGRU, DirectionalConvGRU, ResidualDilatedGRU, VideoPrediction
from avnb.layers.prediction import (
    _convolve_directions,
    _GateKernels,
    _mask_borders,
    _pad_edges,
)

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
EXACT = {"rtol": 1e-10, "atol": 1e-10}

# our layer, the plain one, and the plain one's parameters by our names
PAIRS: dict[str, tuple[Callable[[int], nn.Module], Callable[[int], nn.Module], Any]] = {
    "centre": (
        lambda k: ConvGRU(2, 3, k),
        lambda k: PlainConvGRU(2, 3, k),
        rename_conv_gru_weights,
    ),
    "h": (
        lambda k: DirectionalConvGRU(2, 3, k, axis="h"),
        lambda k: Both(PlainConvGRU(2, 3, k, "h")),
        lambda plain, read: rename_conv_gru_weights(plain.gru, read),
    ),
    "v": (
        lambda k: DirectionalConvGRU(2, 3, k, axis="v"),
        lambda k: Both(PlainConvGRU(2, 3, k, "v")),
        lambda plain, read: rename_conv_gru_weights(plain.gru, read),
    ),
    "prediction": (
        lambda k: VideoPrediction(2, k),
        lambda k: PlainVideoPrediction(2, k),
        rename_prediction_weights,
    ),
}


class Both(nn.Module):
    """The + and the - of one plain directional GRU."""

    def __init__(self, gru: PlainConvGRU) -> None:
        super().__init__()
        self.gru = gru

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.gru(x, 1), self.gru(x, -1)], dim=2)


def gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def same(
    ours: nn.Module, plain: nn.Module, names: Any, x: Tensor, **tolerance: float
) -> None:
    """The same output, and the same gradient of x and of each parameter."""
    ours.to(x), plain.to(x)
    ours.load_state_dict(names(plain, lambda parameter: parameter.detach()))
    there, here = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected, (found, _) = plain(there), ours(here)
    torch.testing.assert_close(found, expected, **tolerance)
    weight = torch.randn_like(expected)
    (expected * weight).sum().backward()
    (found * weight).sum().backward()
    torch.testing.assert_close(here.grad, there.grad, **tolerance)
    grads = names(plain, gradient)
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(gradient(parameter), grads[name], **tolerance)


@pytest.fixture
def no_type_checks() -> Iterator[None]:
    """As users run it: the tests' own checks of types would speak first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def in_windows(layer: nn.Module, x: Tensor, cuts: list[int]) -> tuple[Tensor, Tensor]:
    state, parts = None, []
    for window in x.tensor_split(sorted(cuts), dim=1):
        if window.shape[1]:
            part, state = layer(window, state)
            parts.append(part)
    assert state is not None
    return torch.cat(parts, dim=1), state


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "gru": (lambda: ResidualDilatedGRU(4), (2, 11, 4)),
    "one gru": (lambda: ResidualDilatedGRU(4, 1), (2, 11, 4)),
    "centre": (lambda: ConvGRU(2, 3), (2, 7, 2, 5, 4)),
    "h": (lambda: DirectionalConvGRU(2, 3, axis="h"), (2, 7, 2, 5, 4)),
    "v": (lambda: DirectionalConvGRU(2, 3, 5, axis="v"), (2, 7, 2, 5, 4)),
    "prediction": (lambda: VideoPrediction(2), (2, 7, 2, 5, 4)),
    "undirected": (lambda: VideoPrediction(2, directional=False), (2, 7, 2, 5, 4)),
    "recomputed": (lambda: VideoPrediction(2, recompute=3), (2, 7, 2, 5, 4)),
}


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=15, deadline=None)
@given(
    batch=st.integers(1, 3),
    time=st.integers(1, 19),
    size=st.integers(1, 5),
    layers=st.integers(2, 4),
)
def test_dilated_gru_is_the_loop(
    device: str, batch: int, time: int, size: int, layers: int
) -> None:
    torch.manual_seed(time)
    x = torch.randn(batch, time, size, dtype=torch.float64, device=device)
    ours, plain = ResidualDilatedGRU(size, layers), PlainDilatedGRU(size, layers)
    same(ours, plain, rename_gru_weights, x, **EXACT)


def test_dilated_gru_of_the_paper_is_the_loop() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 131, 66, dtype=torch.float64)
    same(ResidualDilatedGRU(66), PlainDilatedGRU(66), rename_gru_weights, x, **EXACT)


def test_single_layer_is_a_plain_gru() -> None:
    torch.manual_seed(0)
    layer, x = ResidualDilatedGRU(5, num_layers=1), torch.randn(3, 6, 5)
    expected, last = layer.layers[0](x.transpose(0, 1))
    found, state = layer(x)
    torch.testing.assert_close(found, expected.transpose(0, 1))
    torch.testing.assert_close(state[:, 0], last[0])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", PAIRS)
@settings(max_examples=8, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, n) for n in (2, 4)], *[st.integers(1, 6)] * 2),
    kernel_size=st.sampled_from([1, 3, 5]),
)
def test_convolutional_layers_are_the_loop(
    device: str, name: str, shape: tuple[int, ...], kernel_size: int
) -> None:
    torch.manual_seed(sum(shape))
    batch, time, height, width = shape
    x = torch.randn(batch, time, 2, height, width, dtype=torch.float64, device=device)
    make, make_plain, names = PAIRS[name]
    same(make(kernel_size), make_plain(kernel_size), names, x, **EXACT)


@pytest.mark.parametrize("device", DEVICES)
def test_single_precision_and_wider_frames(device: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 6, 8, 17, 23, device=device)
    ours, plain = VideoPrediction(8), PlainVideoPrediction(8)
    same(ours, plain, rename_prediction_weights, x, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", LAYERS)
def test_window_by_window_is_one_pass(name: str, device: str) -> None:
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    layer, x = make().to(device).double(), torch.randn(shape, device=device).double()
    expected, last = layer(x)
    for cuts in ([1], [3, 4], [2, 2, 6], list(range(1, shape[1]))):
        found, state = in_windows(layer, x, cuts)
        torch.testing.assert_close(found, expected, **EXACT)
        torch.testing.assert_close(state, last, **EXACT)


@pytest.mark.parametrize("name", ["gru", "centre", "h", "v", "prediction"])
def test_gradients_by_finite_differences(name: str) -> None:
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    layer = make().double()
    x = torch.randn(1, 2, *shape[2:3], *[2 for _ in shape[3:]]).double()
    _, state = layer(x)
    state = torch.randn_like(state).requires_grad_()
    assert torch.autograd.gradcheck(layer, (x.requires_grad_(), state))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("steps", [1, 3, 100])
def test_recomputing_changes_no_gradient(steps: int, device: str) -> None:
    torch.manual_seed(0)
    layer = VideoPrediction(3).double().to(device)
    x = torch.randn(2, 7, 3, 5, 6, device=device).double().requires_grad_()
    state = torch.randn(2, 15, 5, 6, device=device).double().requires_grad_()
    found = []
    for layer.recompute in (0, steps):
        output, last = layer(x, state)
        weight = torch.linspace(-1, 1, output.numel(), device=device).view_as(output)
        loss = (output * weight).sum() + last.square().sum()
        given = [x, state, *layer.parameters()]
        found.append([output, last, *torch.autograd.grad(loss, given)])
    for kept, recomputed in zip(*found, strict=True):
        torch.testing.assert_close(recomputed, kept, **EXACT)


@pytest.mark.parametrize("recompute", [0, 3])
def test_prediction_shows_its_parts(recompute: int) -> None:
    torch.manual_seed(0)
    layer, x = VideoPrediction(3, recompute=recompute), torch.randn(2, 7, 3, 5, 6)
    output, state, mask, predicted = layer.predict(x)
    assert state.shape == (2, 15, 5, 6)
    assert mask.shape == (2, 7, 1, 5, 6)
    assert 0 < mask.min() < mask.max() < 1
    torch.testing.assert_close(output, mask * x + (1 - mask) * predicted)
    for found, expected in zip(layer(x), (output, state), strict=True):
        torch.testing.assert_close(found, expected)


def test_kernels_are_triangles() -> None:
    opens = {
        "v+": ["11111", "01110", "00100", "00000", "00000"],
        "v-": ["00000", "00000", "00100", "01110", "11111"],
        "h+": ["10000", "11000", "11100", "11000", "10000"],
        "h-": ["00001", "00011", "00111", "00011", "00001"],
    }
    for axis in ("h", "v"):
        kernels = _GateKernels(2, 3, 5, axis)
        assert kernels.directions == [f"{axis}+", f"{axis}-"]
        for name, kernel in zip(kernels.directions, kernels.dense(), strict=True):
            drawn = torch.tensor([[int(dot) for dot in row] for row in opens[name]])
            assert torch.equal((kernel != 0).int(), drawn.int().expand_as(kernel))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("size", [(4, 7), (1, 1), (2, 3)])
def test_borders_pixel_by_pixel(sign: int, size: tuple[int, int]) -> None:
    # strip s at (i, j): the sum over q of w[q] x[i - s, j + q], zero outside the row;
    # an i - s outside the frame is its first (or, for -, its last) row
    torch.manual_seed(0)
    height, width = size
    x = torch.randn(height, width, dtype=torch.float64)
    expected = torch.zeros_like(x)
    kernels = _GateKernels(1, 1, 5, "v").double()
    weights = [strip[0, 0, 0] for strip in kernels.strips]
    for i in range(height):
        for j in range(width):
            for s, weight in enumerate(weights):
                row = min(max(i - sign * s, 0), height - 1)
                for q in range(-s, s + 1):
                    if 0 <= j + q < width:
                        expected[i, j] += weight[q + s] * x[row, j + q]
    dense = kernels.dense()[0 if sign == 1 else 1][:1, :1]
    for axis in ("v", "h"):
        turn = (lambda y: y) if axis == "v" else (lambda y: y.mT)
        frame = turn(x)[None, None, None]
        border = _mask_borders([axis + ("+" if sign == 1 else "-")], frame, 2)
        kernel, bias = turn(dense).contiguous(), dense.new_zeros(1)
        found = _convolve_directions(_pad_edges(frame, 2) * border, kernel, bias)
        torch.testing.assert_close(turn(found[0, 0, 0]), expected, **EXACT)


def test_weights_start_orthogonal_gate_by_gate() -> None:
    layer = VideoPrediction(4)
    strips = [p for name, p in layer.named_parameters() if "strips" in name]
    assert len(strips) == 5
    for strip in strips:
        for gate in strip.detach().chunk(3):
            rows = gate.flatten(1)
            torch.testing.assert_close(rows @ rows.T, torch.eye(4), rtol=0, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", LAYERS)
def test_bfloat16_autocast_is_close(name: str, device: str) -> None:
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    layer, x = make().to(device), torch.randn(shape, device=device)
    expected, last = layer(x)
    expected.square().mean().backward()
    exact = [gradient(p).clone() for p in layer.parameters()]
    layer.zero_grad()
    with torch.autocast(device, torch.bfloat16):
        found, state = layer(x)
        again, _ = in_windows(layer, x, [2, 3])
    found.float().square().mean().backward()
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05)
    torch.testing.assert_close(again.float(), expected, rtol=0.05, atol=0.05)
    torch.testing.assert_close(state.float(), last, rtol=0.05, atol=0.05)
    for parameter, value in zip(layer.parameters(), exact, strict=True):
        near = 0.05 * float(value.abs().max()) + 1e-3
        torch.testing.assert_close(gradient(parameter), value, rtol=0.1, atol=near)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_memory_layout_changes_nothing(dtype: torch.dtype, channels: int) -> None:
    torch.manual_seed(0)
    layer = VideoPrediction(channels).to(dtype)
    # a window of a longer video: its batch stride is not T * C * H * W
    film = torch.randn(1, 9, channels, 6, 7, dtype=dtype)
    last = film.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)[:, 2:6]
    found = []
    for x in (film[:, 2:6].clone(), last):
        x = x.detach().requires_grad_()
        output, _ = layer(x)
        weight = torch.linspace(-1, 1, output.numel(), dtype=dtype).view(output.shape)
        given = [x, *layer.parameters()]
        found.append([output, *torch.autograd.grad((output * weight).sum(), given)])
        layer.to(memory_format=torch.channels_last)
    tolerance = EXACT if dtype == torch.float64 else {"rtol": 1e-3, "atol": 1e-4}
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(second, first, **tolerance)


@pytest.mark.slow
@pytest.mark.usefixtures("no_type_checks")
@pytest.mark.parametrize("name", ["h", "prediction", "recomputed"])
def test_compiles_whole(name: str) -> None:
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    layer, x = make(), torch.randn(shape)[:, :2]
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    for found, expected in zip(compiled(x), layer(x), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.usefixtures("no_type_checks")
@pytest.mark.parametrize("name", LAYERS)
def test_wrong_shapes_are_named(name: str) -> None:
    make, shape = LAYERS[name]
    layer = make()
    good = torch.randn(shape)
    _, state = layer(good)
    wider = torch.zeros(*shape[:2], 9, *shape[3:])
    for wrong in (wider, good[0], good[:, :0]):
        with pytest.raises(ValueError, match=r"^x is \(.* must be \(batch, time, "):
            layer(wrong)
    for wrong in (state[:, :-1], state[:1], state[0], torch.cat([state] * 2, -1)):
        expected = str(tuple(state.shape)).replace("(", r"\(").replace(")", r"\)")
        with pytest.raises(ValueError, match=rf"^state is .* must be {expected}$"):
            layer(good, wrong)


@pytest.mark.usefixtures("no_type_checks")
def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match="kernel_size=4"):
        ConvGRU(2, 3, 4)
    with pytest.raises(ValueError, match="kernel_size=0"):
        VideoPrediction(2, 0)
    with pytest.raises(ValueError, match="recompute=-1"):
        VideoPrediction(2, recompute=-1)
    with pytest.raises(ValueError, match="num_layers=0"):
        ResidualDilatedGRU(4, 0)
    with pytest.raises(ValueError, match="size=0"):
        ResidualDilatedGRU(0)
    with pytest.raises(ValueError, match="axis='x'"):
        DirectionalConvGRU(2, 3, axis="x")  # type: ignore[arg-type]
