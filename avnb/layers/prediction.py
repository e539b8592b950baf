"""Convolutional GRUs that look straight or aside, and the video prediction they make.

Listen and Move (Redondo 2024), Sec. 3.4. All take frames (B, T, C, H, W) and the state
before them, and give the output and the state after them: a long video goes through
window by window with the result of one pass.

Letters: B batch, T time, C channels of a frame, P hidden channels, D directions (each a
recurrence of its own), K = 2k + 1 kernel size, H and W height and width.

What makes it fast: a step is two grouped convolutions, for all directions and over x_t
and h together, with dense kernels into which the strips are folded. (To make x's part
before the loop, for all frames at once, was slower on a CPU, by the memory it takes.)

Where this leaves the released code: the recurrent weights start orthogonal, as the
paper says (there a later pass overwrites them by N(0, 0.02)); and the ablation's
undirected prediction is the same layer with its centre alone (there it has C + 1 hidden
channels, no blending, and its mask and a prediction bounded by tanh are among them).
"""

from collections.abc import Iterable, Sequence
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
    """Weights of the gates z, r and n, in this order: a square kernel or a triangle.

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
        # row k is the pixel's own, the row above it one pixel back, and so on
        rows = [
            F.pad(strip, (k - s, k - s, k - s, k + s))
            for s, strip in enumerate(self.strips)
        ]
        kernel = torch.stack(rows).sum(dim=0)
        pair = [kernel, kernel.flip(2)]
        return pair if self.axis == "v" else [kernel.mT for kernel in pair]


def _pad(images: Tensor, k: int) -> Tensor:
    """(N, D, I, H, W) -> (N, D, I, H + 2k, W + 2k), the edges repeated."""
    padded = F.pad(images.flatten(1, 2), (k, k, k, k), mode="replicate")
    return padded.unflatten(1, images.shape[1:3])


def _look(padded: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(N, D, I, H + 2k, W + 2k) -> (N, D, O, H, W): each direction through its own
    kernel, all in one launch; the weight is (D * O, I, K, K).
    """
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


def _folded(kernels: Iterable[nn.Module], hidden: int) -> list[tuple[Tensor, Tensor]]:
    """The kernels (D * O, C + P, K, K) and biases of z and r, and those of n."""
    dense: list[Tensor] = []
    bias: list[Tensor] = []
    for kernel in kernels:
        assert isinstance(kernel, _Kernels)
        dense += kernel.dense()
        bias += [kernel.bias] * len(kernel.directions)
    gates = [2 * hidden, hidden]
    # Contiguous, whatever the layout of the parameters: with weights and states in
    # channels_last torch's CPU gives wrong gradients in float64, silently.
    return [
        (kernel.flatten(0, 1).contiguous(), offset.flatten())
        for kernel, offset in zip(
            torch.stack(dense).split(gates, dim=1),
            torch.stack(bias).split(gates, dim=1),
            strict=True,
        )
    ]


def _start(gru: "_ConvGRUs", x: Tensor, state: Tensor | None) -> Tensor:
    """The state before the first frame: `state`, or zeros; ValueError by shape."""
    if x.ndim != 5 or x.shape[2] != gru.channels or not x.numel():
        raise ValueError(
            f"x is {tuple(x.shape)}: frames must be (batch, time, {gru.channels} "
            "channels, height, width), none of them 0"
        )
    shape = (len(x), len(gru.directions) * gru.hidden, *x.shape[-2:])
    if state is None:
        # as precise as the weights: under autocast the frames may be bfloat16
        return next(gru.parameters()).new_zeros(shape)
    if state.shape != shape:
        raise ValueError(f"state is {tuple(state.shape)}: it must be {shape}")
    return state


class _ConvGRUs(nn.Module):
    """D ConvGRUs over the same frames, none knowing of the others, in one go.

        z, r = sigmoid(W * [x_t, h_{t-1}] + b)
        n    = tanh(W_n * [x_t, r h_{t-1}] + b_n)
        h_t  = (1 - z) h_{t-1} + z n

    The reset gate acts before the recurrent convolution, as in the released code
    (torch's nn.GRU has it after the product).
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
        h = _start(self, x, state).unflatten(1, (len(self.directions), self.hidden))
        k, time = self.reach, x.shape[1]
        border = _borders(self.directions, h, k)
        frames = (_pad(x.flatten(0, 1)[:, None], k) * border).unflatten(0, x.shape[:2])
        h = _pad(h, k) * border  # it stays so: z, r and n are made with borders too
        # Weights and frames by the step that uses them (views, no copies): then their
        # gradients are added for all steps in one go.
        weights = [part for pair in _folded(self.kernels, self.hidden) for part in pair]
        shared = [part.expand(time, *part.shape).unbind() for part in weights]
        states = []
        for seen, again, W, b, W_n, b_n in zip(
            frames.unbind(1), frames.unbind(1), *shared, strict=True
        ):
            gates = _look(torch.cat([seen, h], dim=2), W, b).sigmoid()
            z, r = _pad(gates, k).chunk(2, dim=2)
            n = _look(torch.cat([again, r * h], dim=2), W_n, b_n).tanh()
            h = h + z * (_pad(n, k) * border - h)
            states.append(h)
        hidden = F.pad(torch.stack(states, dim=1), [-k] * 4).flatten(2, 3)
        # a tensor of its own, not a view that would keep all the others in memory
        return hidden, F.pad(h, [-k] * 4).flatten(1, 2)


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
    Sec. 3.4, Fig. 4. `directional=False` keeps c alone, state (B, C, H, W): the
    ablation's ConvGRU. With `recompute` = n, only the output and the state of every n
    steps are kept for the backward pass, which makes the rest again: less memory, equal
    gradients; 0 keeps everything.
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
        state = _start(self.recurrences, x, state)
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
        output = predicted + mask * (x - predicted)  # a x + (1 - a) x'
        return Prediction(output, state, mask, predicted)
