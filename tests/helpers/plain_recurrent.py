"""The recurrent layers of Listen and Move in the obvious way, from the equations.

A loop over time, a module a direction, a convolution a gate, strips shifted and summed.
The tests compare avnb's layers with these, and the benchmark measures against them.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Axis = Literal["h", "v"] | None


class PlainDilatedGRU(nn.Module):
    """Eq. 1 step by step: a cell a layer, each with its own last d hidden states."""

    def __init__(self, size: int, num_layers: int = 3) -> None:
        super().__init__()
        self.size = size
        self.cells = nn.ModuleList(nn.GRUCell(size, size) for _ in range(num_layers))

    def forward(self, x: Tensor) -> Tensor:
        batch, time, _ = x.shape
        queues = [
            [x.new_zeros(batch, self.size)] * 2**layer
            for layer in range(len(self.cells))
        ]
        out = []
        for t in range(time):
            m = x[:, t]
            for cell, queue in zip(self.cells, queues, strict=True):
                h = cell(m, queue.pop(0))
                queue.append(h)
                m = F.leaky_relu((h + m) / math.sqrt(2), 0.2)
            out.append(m)
        return torch.stack(out, dim=1)


class PlainConv(nn.Module):
    """A square convolution, or strips 1, 3, … across an axis, the s-th shifted by s."""

    def __init__(self, channels: int, out: int, kernel_size: int, axis: Axis) -> None:
        super().__init__()
        self.axis = axis
        sizes = [(kernel_size, kernel_size)]
        if axis == "v":
            sizes = [(1, width) for width in range(1, kernel_size + 1, 2)]
        elif axis == "h":
            sizes = [(width, 1) for width in range(1, kernel_size + 1, 2)]
        self.strips = nn.ModuleList(
            nn.Conv2d(channels, out, (a, b), padding=(a // 2, b // 2), bias=False)
            for a, b in sizes
        )
        self.bias = nn.Parameter(torch.randn(out))

    def forward(self, x: Tensor, sign: int) -> Tensor:
        total = self.strips[0](x)
        for shift, strip in list(enumerate(self.strips))[1:]:
            total = total + self.shifted(strip(x), sign * shift)
        return total + self.bias[:, None, None]

    def shifted(self, y: Tensor, by: int) -> Tensor:
        """y[i - by] along the axis, its edge repeated where i - by is outside."""
        before, after = max(by, 0), max(-by, 0)
        size = y.shape[-2] if self.axis == "v" else y.shape[-1]
        if self.axis == "v":
            wide = F.pad(y, (0, 0, before, after), mode="replicate")
            return wide[..., after : after + size, :]
        wide = F.pad(y, (before, after, 0, 0), mode="replicate")
        return wide[..., after : after + size]


class PlainConvGRU(nn.Module):
    """A ConvGRU that looks one way: sign +1 or -1 along its axis."""

    def __init__(
        self, channels: int, hidden: int, kernel_size: int = 3, axis: Axis = None
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.update, self.reset, self.new = (
            PlainConv(channels + hidden, hidden, kernel_size, axis) for _ in range(3)
        )

    def forward(self, x: Tensor, sign: int = 1) -> Tensor:
        h = x.new_zeros(len(x), self.hidden, *x.shape[-2:])
        out = []
        for t in range(x.shape[1]):
            both = torch.cat([x[:, t], h], dim=1)
            z = torch.sigmoid(self.update(both, sign))
            r = torch.sigmoid(self.reset(both, sign))
            n = torch.tanh(self.new(torch.cat([x[:, t], r * h], dim=1), sign))
            h = (1 - z) * h + z * n
            out.append(h)
        return torch.stack(out, dim=1)


class PlainVideoPrediction(nn.Module):
    """Eq. 3 and 4; opposite directions go through the same module."""

    def __init__(self, channels: int, kernel_size: int = 3) -> None:
        super().__init__()
        self.across, self.centre, self.along = (
            PlainConvGRU(channels, channels, kernel_size, axis)
            for axis in ("h", None, "v")
        )
        self.values = nn.Conv2d(5 * channels, channels, 1)
        self.mask = nn.Conv2d(5 * channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        states = [
            self.across(x, 1),
            self.across(x, -1),
            self.centre(x),
            self.along(x, 1),
            self.along(x, -1),
        ]
        X = torch.cat(states, dim=2).flatten(0, 1)
        predicted = self.values(X).view_as(x)
        mask = torch.sigmoid(self.mask(X)).view(*x.shape[:2], 1, *x.shape[3:])
        return mask * x + (1 - mask) * predicted


Read = Callable[[Tensor], Tensor]


def of_gru(plain: PlainDilatedGRU, read: Read) -> dict[str, Tensor]:
    """Its parameters (or, by `read`, their gradients) by ResidualDilatedGRU's names."""
    return {
        f"layers.{layer}.{name}_l0": read(parameter)
        for layer, cell in enumerate(plain.cells)
        for name, parameter in cell.named_parameters()
    }


def of_conv_gru(plain: PlainConvGRU, read: Read, number: int = 0) -> dict[str, Tensor]:
    """The same for a convolutional GRU: gates z, r and n one above another."""
    gates = [plain.update, plain.reset, plain.new]
    found = {f"kernels.{number}.bias": torch.cat([read(gate.bias) for gate in gates])}
    for s in range(len(plain.new.strips)):
        strip = torch.cat([read(gate.strips[s].weight) for gate in gates])
        if plain.new.axis == "h":
            strip = strip.mT
        found[f"kernels.{number}.strips.{s}"] = strip
    return found


def of_prediction(plain: PlainVideoPrediction, read: Read) -> dict[str, Tensor]:
    """The same for VideoPrediction."""
    found = {}
    for number, gru in enumerate((plain.across, plain.centre, plain.along)):
        for name, value in of_conv_gru(gru, read, number).items():
            found[f"recurrences.{name}"] = value
    for name in ("weight", "bias"):
        pair = [getattr(plain.values, name), getattr(plain.mask, name)]
        found[f"blend.{name}"] = torch.cat([read(value) for value in pair])
    return found
