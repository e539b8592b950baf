"""Convolutional GRUs that look straight or aside, and the video prediction they make.

Listen and Move (Redondo 2024), Sec. 3.4. All take frames (B, T, C, H, W) and the state
before them, and give the output and the state after them: a long video goes through
window by window with the result of one pass.

Letters: B batch, T time, C channels of a frame, P hidden channels, D directions (each a
recurrence of its own), K = 2k + 1 kernel size, H and W height and width.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

Axis = Literal["h", "v"]
Frames = Float[Tensor, "batch time channels height width"]
Hidden = Float[Tensor, "batch time hidden height width"]
State = Float[Tensor, "batch hidden height width"]


class _Kernels(nn.Module):
    """Weights of the gates z, r and n (in this order): a square kernel or a triangle.

    A triangle is for motion along one axis: strips across it, of width 1, 3, …, K, the
    s-th looking s pixels back, added up under one bias. With + it looks left (axis h)
    or up (v), where motion to the right or down comes from; with - at the mirror image,
    by the same weights.
    """

    def __init__(self, channels: int, hidden: int, size: int, axis: Axis | None):
        super().__init__()
        self.axis, self.reach = axis, size // 2
        shapes = [(size, size)]
        if axis is not None:  # stored lying; an "h" strip is stood up when used
            shapes = [(1, width) for width in range(1, size + 1, 2)]
        self.directions = ["c"] if axis is None else [f"{axis}+", f"{axis}-"]
        self.strips = nn.ParameterList(
            torch.empty(3 * hidden, channels + hidden, *shape) for shape in shapes
        )
        self.bias = nn.Parameter(torch.zeros(3 * hidden))
        with torch.no_grad():
            for strip in self.strips:
                for gate in strip.chunk(3):
                    gate.copy_(nn.init.orthogonal_(torch.empty_like(gate)))

    def dense(self) -> list[Tensor]:
        """A direction's strips as one kernel (3P, C + P, K, K), for each direction."""
        if self.axis is None:
            return list(self.strips)
        k = self.reach
        rows = [F.pad(strip, [k - s, k - s]) for s, strip in enumerate(self.strips)]
        # row k is the pixel's own, the row above it one pixel back, and so on
        kernel = F.pad(torch.cat(rows[::-1], dim=2), (0, 0, 0, k))
        pair = [kernel, kernel.flip(2)]
        return pair if self.axis == "v" else [kernel.mT for kernel in pair]


def _pad(images: Tensor, k: int) -> Tensor:
    """(N, D, I, H, W) -> (N, D, I, H + 2k, W + 2k), the edges repeated."""
    padded = F.pad(images.flatten(1, 2), (k, k, k, k), mode="replicate")
    return padded.unflatten(1, images.shape[1:3])


def _look(padded: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(N, D, I, H + 2k, W + 2k) -> (N, D, O, H, W): each direction through its own
    kernel, all in one launch; the weight is (D * O, I, K, K)."""
    directions = padded.shape[1]
    found = F.conv2d(padded.flatten(1, 2), weight, bias, groups=directions)
    return found.unflatten(1, (directions, -1))


def _borders(directions: Sequence[str], frame: Tensor, k: int) -> Tensor:
    """(D, 1, H + 2k, W + 2k): 1 in the frame and where its edge is repeated, else 0.

    A strip sees zeros beyond its own ends. What a strip gives is then shifted along the
    axis, and there the edge is repeated: with the strips folded into one kernel, it is
    the frame whose edge is repeated along the axis.
    """
    ones = [frame.new_ones(size) for size in frame.shape[-2:]]
    border = {}
    for axis in {name[0] for name in directions}:
        rows = F.pad(ones[0], (k, k), value=float(axis == "v"))
        columns = F.pad(ones[1], (k, k), value=float(axis == "h"))
        border[axis] = rows[:, None] * columns
    return torch.stack([border[name[0]] for name in directions])[:, None]


def _folded(kernels: nn.ModuleList, channels: int) -> list[tuple[Tensor, ...]]:
    """Of z and r, and of n: x's kernels (D * O, C, K, K), h's, and the biases."""
    found = [kernel.dense() for kernel in kernels]
    weight = torch.cat([torch.stack(each) for each in found])  # (D, 3P, C + P, K, K)
    biases = [k.bias for k, each in zip(kernels, found, strict=True) for _ in each]
    bias = torch.stack(biases)
    hidden = weight.shape[2] - channels
    parts = []
    for gates, offset in zip(
        weight.split([2 * hidden, hidden], dim=1),
        bias.split([2 * hidden, hidden], dim=1),
        strict=True,
    ):
        # Contiguous, whatever the layout of the parameters: with weights and states in
        # channels_last torch's CPU gives wrong gradients in float64, silently.
        sides = gates.flatten(0, 1).split([channels, hidden], dim=1)
        x, h = (side.contiguous() for side in sides)
        parts.append((x, h, offset.flatten()))
    return parts


class _ConvGRUs(nn.Module):
    """D independent ConvGRUs over the same frames, a grouped convolution for all.

        z, r = sigmoid(W * [x_t, h_{t-1}])
        n    = tanh(W_n * [x_t, r h_{t-1}])
        h_t  = (1 - z) h_{t-1} + z n

    The reset gate acts before the recurrent convolution, as in the released code
    (torch's nn.GRU has it after the product). Only what depends on h stays in the loop
    over time: x's part of the convolutions is made for all frames at once.
    """

    def __init__(
        self, channels: int, hidden: int, kernel_size: int, axes: Sequence[Axis | None]
    ) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size} must be odd: 1, 3, 5, …")
        self.channels, self.hidden, self.reach = channels, hidden, kernel_size // 2
        kernels = [_Kernels(channels, hidden, kernel_size, axis) for axis in axes]
        self.directions = [name for kernel in kernels for name in kernel.directions]
        self.kernels = nn.ModuleList(kernels)

    def forward(self, x: Frames, state: State | None = None) -> tuple[Hidden, State]:
        """Frames -> hidden states (B, T, D * P, H, W) and the last (B, D * P, H, W)."""
        h = self.start(x, state).unflatten(1, (len(self.directions), self.hidden))
        gate_of, new_of = _folded(self.kernels, self.channels)
        border = _borders(self.directions, h, self.reach)
        frames = _pad(x.flatten(0, 1)[:, None], self.reach) * border
        gates = _look(frames, gate_of[0], gate_of[2]).unflatten(0, x.shape[:2])
        news = _look(frames, new_of[0], new_of[2]).unflatten(0, x.shape[:2])
        # A copy of h's kernels for each step (none is made): their gradients are added
        # all at once. Cast here, or autocast would do it at each step.
        gate_h, new_h = (
            kernel.to(gates.dtype).expand(x.shape[1], *kernel.shape).unbind()
            for kernel in (gate_of[1], new_of[1])
        )
        h = _pad(h, self.reach) * border  # and it stays padded: z and r have borders too
        states = []
        steps = zip(gates.unbind(1), news.unbind(1), gate_h, new_h, strict=True)
        for gate, new, W, W_n in steps:
            z, r = _pad((gate + _look(h, W)).sigmoid(), self.reach).chunk(2, dim=2)
            n = _pad((new + _look(r * h, W_n)).tanh(), self.reach) * border
            h = h + z * (n - h)
            states.append(h)
        hidden = F.pad(torch.stack(states, dim=1), [-self.reach] * 4).flatten(2, 3)
        return hidden, hidden[:, -1]

    def start(self, x: Tensor, state: Tensor | None) -> Tensor:
        """The state before the first frame: `state`, or zeros; ValueError by shape."""
        if x.ndim != 5 or x.shape[2] != self.channels or not x.numel():
            raise ValueError(
                f"x is {tuple(x.shape)}: frames must be (batch, time, {self.channels} "
                "channels, height, width), none of them 0"
            )
        shape = (len(x), len(self.directions) * self.hidden, *x.shape[-2:])
        if state is None:
            # as precise as the weights: under autocast the frames may be bfloat16
            return torch.zeros(shape, dtype=self.kernels[0].bias.dtype, device=x.device)
        if state.shape != shape:
            raise ValueError(f"state is {tuple(state.shape)}: it must be {shape}")
        return state


class ConvGRU(_ConvGRUs):
    """A GRU whose products are convolutions with a square kernel.

    Frames (B, T, C, H, W), state (B, P, H, W) or None for zeros -> the hidden states
    (B, T, P, H, W) and the state after the last frame. Redondo 2024, Sec. 3.4: V^c,
    motion along the camera's axis. Frames are zero beyond their edges.
    """

    def __init__(self, channels: int, hidden: int, kernel_size: int = 3) -> None:
        super().__init__(channels, hidden, kernel_size, [None])


class DirectionalConvGRU(_ConvGRUs):
    """Two ConvGRUs with triangular kernels for opposite directions, the same weights.

    Frames (B, T, C, H, W), state (B, 2P, H, W) or None for zeros -> the hidden states
    (B, T, 2P, H, W), the P of + before the P of -, and the state after the last frame.

    Redondo 2024, Sec. 3.4. `axis` "h" is motion sideways, "v" up and down; + carries
    what is seen to the right or down: one step moves it as far as k pixels, and
    spreads it in a triangle. (The paper's h+ shifts to the right by its formula, and
    "predicts negative horizontal movements" by its words: this is the formula.) With
    K = 3: a strip of 1 pixel, and one of 3 across the axis, a pixel back.
    """

    def __init__(
        self, channels: int, hidden: int, kernel_size: int = 3, *, axis: Axis
    ) -> None:
        if axis not in ("h", "v"):
            raise ValueError(f'axis={axis!r} must be "h" or "v"')
        super().__init__(channels, hidden, kernel_size, [axis])


class Prediction(NamedTuple):
    """What `VideoPrediction.predict` gives."""

    output: Tensor  # x'' (B, T, C, H, W)
    state: Tensor  # (B, D * C, H, W), after the last frame
    mask: Tensor  # a (B, T, 1, H, W): 1 keeps the frame, 0 takes the prediction
    predicted: Tensor  # x' (B, T, C, H, W)


class VideoPrediction(nn.Module):
    """Frames blended with what five directions of motion make of the past.

        X_t   = [h+, h-, c, v+, v-]                          Eq. 3, each C channels
        x'_t  = W_x X_t + b_x,   a_t = sigmoid(W_a X_t + b_a)
        x''_t = a_t x_t + (1 - a_t) x'_t                     Eq. 4

    (B, T, C, H, W) -> x'' of the same shape and the state (B, 5C, H, W). Redondo 2024,
    Sec. 3.4, Fig. 4. The recurrent weights start orthogonal, gate by gate and strip by
    strip, as the paper says (the released code then overwrites them by N(0, 0.02)).

    `directional=False` keeps V^c alone (state (B, C, H, W)): the ablation's ConvGRU.
    The released code's has C + 1 hidden channels and no blending: it takes its mask
    and a prediction bounded by tanh from them.

    `recompute` steps at a time, only the output and the state are kept for the backward
    pass, which makes the rest again: less memory, equal gradients. 0 keeps everything.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        *,
        directional: bool = True,
        recompute: int = 0,
    ) -> None:
        super().__init__()
        if recompute < 0:
            raise ValueError(f"recompute={recompute} must be 0 or a number of steps")
        self.recompute = recompute
        axes: list[Axis | None] = ["h", None, "v"] if directional else [None]
        self.recurrences = _ConvGRUs(channels, channels, kernel_size, axes)
        count = len(self.recurrences.directions)
        self.blend = nn.Conv2d(count * channels, channels + 1, kernel_size=1)

    def forward(self, x: Frames, state: State | None = None) -> tuple[Frames, State]:
        """A window and the state before it -> the output and the state after it."""
        return self.predict(x, state)[:2]

    def predict(self, x: Frames, state: State | None = None) -> Prediction:
        """The same with the mask and the prediction, to be looked at."""
        state = self.recurrences.start(x, state)
        if not self.recompute:
            return self._window(x, state)
        parts = []
        for window in x.split(self.recompute, dim=1):
            part = checkpoint(self._window, window, state, use_reentrant=False)
            parts.append(part)
            state = part.state
        output, _, mask, predicted = zip(*parts, strict=True)
        whole = [torch.cat(each, dim=1) for each in (output, mask, predicted)]
        return Prediction(whole[0], state, whole[1], whole[2])

    def _window(self, x: Tensor, state: Tensor) -> Prediction:
        hidden, state = self.recurrences(x, state)
        blended = self.blend(hidden.flatten(0, 1)).unflatten(0, x.shape[:2])
        predicted, mask = blended.split([x.shape[2], 1], dim=2)
        mask = mask.sigmoid()
        output = mask * x + (1 - mask) * predicted
        return Prediction(output, state, mask, predicted)
