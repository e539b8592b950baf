"""Convolutional GRUs that follow motion in one direction, and the video prediction.

Source: Redondo 2024, Listen and Move, Sec. 3.4.

All layers take frames (B, T, C, H, W) and the state before them, and return the output
and the state after them. So a long video can go through window by window, with the
result of one pass.

Letters: B batch, T time, C channels of a frame, P hidden channels, D directions (each a
recurrence of its own), K = 2k + 1 kernel size, H and W height and width.

What makes it fast: the paper's directional kernel is a stack of strips. Here the strips
are folded into one dense kernel. A time step is then two grouped convolutions, for all
directions and over x_t and h together. (Computing the part of x for all frames before
the loop was slower on a CPU, because of the memory it takes.)

Two deviations from the released code: the recurrent weights start orthogonal, as the
paper says (the code overwrites them by N(0, 0.02) later). And the ablation's undirected
prediction is the same layer with its centre alone (the code has C + 1 hidden channels,
no blending, and takes the mask and a prediction bounded by tanh from among them).
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


class _GateKernels(nn.Module):
    """The weights of the gates z, r and n, in this order: a square or a triangle.

    A triangular kernel follows motion along one axis. It is the sum of strips across
    that axis, of width 1, 3, …, K; strip s looks s pixels back. The direction + looks
    left (axis "h") or up ("v"), where motion to the right or down comes from. The
    direction - is its mirror image with the same weights.
    """

    def __init__(self, channels: int, hidden: int, size: int, axis: Axis | None):
        super().__init__()
        self.axis, self.reach = axis, size // 2
        shapes = [(size, size)]
        if axis is not None:  # strips lie; those of axis "h" are transposed when used
            shapes = [(1, width) for width in range(1, size + 1, 2)]
        self.directions = ["c"] if axis is None else [f"{axis}+", f"{axis}-"]
        self.strips = nn.ParameterList(
            torch.empty(3 * hidden, channels + hidden, *shape) for shape in shapes
        )
        self.bias = nn.Parameter(torch.zeros(3 * hidden))
        with torch.no_grad():
            for strip in self.strips:
                # Gate by gate: orthogonal over all three would tie them together.
                for gate in strip.chunk(3):
                    gate.copy_(nn.init.orthogonal_(torch.empty_like(gate)))

    def dense(self) -> list[Tensor]:
        """Return one kernel (3P, C + P, K, K) for each direction, of its strips."""
        if self.axis is None:
            return list(self.strips)
        k = self.reach
        # Row k of the kernel is the pixel's own row, the row above it looks one pixel
        # back, and so on: pad each strip (left, right, above, below) to K × K.
        rows = [
            F.pad(strip, (k - s, k - s, k - s, k + s))
            for s, strip in enumerate(self.strips)
        ]
        kernel = torch.stack(rows).sum(dim=0)
        pair = [kernel, kernel.flip(2)]
        return pair if self.axis == "v" else [kernel.mT for kernel in pair]


def _pad_edges(images: Tensor, k: int) -> Tensor:
    """Repeat the edges: (N, D, I, H, W) → (N, D, I, H + 2k, W + 2k)."""
    padded = F.pad(images.flatten(1, 2), (k, k, k, k), mode="replicate")
    result: Tensor = padded.unflatten(1, images.shape[1:3])
    return result


def _convolve_directions(padded: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve each direction with its own kernel, all in one call.

    (N, D, I, H + 2k, W + 2k) → (N, D, O, H, W), with a weight (D O, I, K, K).
    """
    directions = padded.shape[1]
    # The directions become groups of channels: (N, D I, …) → (N, D O, …).
    found = F.conv2d(padded.flatten(1, 2), weight, bias, groups=directions)
    result: Tensor = found.unflatten(1, (directions, -1))
    return result


def _mask_borders(directions: Sequence[str], frame: Tensor, k: int) -> Tensor:
    """Make a mask (D, 1, H + 2k, W + 2k): 1 in the frame and along the axis, else 0.

    The paper's strip sees zeros beyond its own ends. Its result is then shifted along
    the axis, where the edge is repeated. When the strips are folded into one kernel,
    this means: the padded frame repeats its edge along the axis, and is zero across it.
    """
    ones = [frame.new_ones(size) for size in frame.shape[-2:]]
    border = {}
    for axis in {name[0] for name in directions}:
        rows = F.pad(ones[0], (k, k), value=float(axis == "v"))
        columns = F.pad(ones[1], (k, k), value=float(axis == "h"))
        border[axis] = rows[:, None] * columns
    return torch.stack([border[name[0]] for name in directions])[:, None]


def _stack_kernels(
    kernels: Iterable[nn.Module], hidden: int
) -> list[tuple[Tensor, Tensor]]:
    """Stack all directions: kernel (D O, C + P, K, K) and bias of z and r, and of n."""
    dense: list[Tensor] = []
    bias: list[Tensor] = []
    for kernel in kernels:
        assert isinstance(kernel, _GateKernels)
        dense += kernel.dense()
        bias += [kernel.bias] * len(kernel.directions)
    gates = [2 * hidden, hidden]
    # Contiguous, whatever the layout of the parameters is: with weights and states in
    # channels_last, torch on a CPU computes wrong gradients in float64 without a word.
    return [
        (kernel.flatten(0, 1).contiguous(), offset.flatten())
        for kernel, offset in zip(
            torch.stack(dense).split(gates, dim=1),
            torch.stack(bias).split(gates, dim=1),
            strict=True,
        )
    ]


def _initial_state(gru: "_ConvGRUs", x: Tensor, state: Tensor | None) -> Tensor:
    """Return the state before the first frame, which is zeros where none is given.

    Raises:
        ValueError: the frames or the state have another shape.
    """
    if x.ndim != 5 or x.shape[2] != gru.channels or not x.numel():
        raise ValueError(
            f"x is {tuple(x.shape)}: frames must be (batch, time, {gru.channels} "
            "channels, height, width), none of them 0"
        )
    shape = (len(x), len(gru.directions) * gru.hidden, *x.shape[-2:])
    if state is None:
        # In the precision of the weights: under autocast frames may be bfloat16.
        return next(gru.parameters()).new_zeros(shape)
    if state.shape != shape:
        raise ValueError(f"state is {tuple(state.shape)}: it must be {shape}")
    return state


class _ConvGRUs(nn.Module):
    """D independent ConvGRUs over the same frames, computed together.

        z, r = sigmoid(W * [x_t, h_{t-1}] + b)
        n    = tanh(W_n * [x_t, r h_{t-1}] + b_n)
        h_t  = (1 - z) h_{t-1} + z n

    The reset gate acts before the recurrent convolution, as in the released code;
    torch's nn.GRU applies it after the product.

    Args:
        channels: C of the frames.
        hidden: P of each direction.
        kernel_size: K, odd.
        axes: "h" and "v" make two directions each, None makes the centre.

    Raises:
        ValueError: the kernel size is not odd.
    """

    def __init__(
        self, channels: int, hidden: int, kernel_size: int, axes: Sequence[Axis | None]
    ) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size} must be odd: 1, 3, 5, …")
        self.channels, self.hidden, self.reach = channels, hidden, kernel_size // 2
        kernels = [_GateKernels(channels, hidden, kernel_size, axis) for axis in axes]
        self.directions = [name for kernel in kernels for name in kernel.directions]
        self.kernels = nn.ModuleList(kernels)

    def forward(self, x: Frames, state: State | None = None) -> tuple[Hidden, State]:
        """Return the hidden states (B, T, D P, H, W) and the last one (B, D P, H, W).

        Args:
            x: frames (B, T, C, H, W).
            state: (B, D P, H, W) before them; zeros where none is given.
        """
        h = _initial_state(self, x, state).unflatten(
            1, (len(self.directions), self.hidden)
        )
        k, time = self.reach, x.shape[1]
        border = _mask_borders(self.directions, h, k)
        # (B T, 1, C, …) times (D, 1, …) is (B T, D, C, …), where … is H + 2k, W + 2k:
        # every direction gets the same frames, with a border of its own.
        frames = (_pad_edges(x.flatten(0, 1)[:, None], k) * border).unflatten(
            0, x.shape[:2]
        )
        # h keeps its border in the loop, because z, r and n are padded as well.
        h = _pad_edges(h, k) * border
        # Give each step views of the weights of its own: then autograd adds the
        # gradients of all steps at once, not one after the other. For the same reason
        # the loop takes two views of a frame, which it reads twice.
        weights = [
            part for pair in _stack_kernels(self.kernels, self.hidden) for part in pair
        ]
        shared = [part.expand(time, *part.shape).unbind() for part in weights]
        states = []
        for seen, again, W, b, W_n, b_n in zip(
            frames.unbind(1), frames.unbind(1), *shared, strict=True
        ):
            # (B, D, C + P, H + 2k, W + 2k) → (B, D, 2 P, H, W), z before r
            gates = _convolve_directions(torch.cat([seen, h], dim=2), W, b).sigmoid()
            z, r = _pad_edges(gates, k).chunk(2, dim=2)
            n = _convolve_directions(torch.cat([again, r * h], dim=2), W_n, b_n).tanh()
            # (1 - z) h + z n, with one product
            h = h + z * (_pad_edges(n, k) * border - h)
            states.append(h)
        # Negative padding cuts the border off: (B, T, D, P, H, W) → (B, T, D P, H, W).
        hidden = F.pad(torch.stack(states, dim=1), [-k] * 4).flatten(2, 3)
        # A tensor of its own: a view would keep the states of all steps in memory.
        return hidden, F.pad(h, [-k] * 4).flatten(1, 2)


class ConvGRU(_ConvGRUs):
    """A GRU whose products are convolutions with a square kernel.

    It takes frames (B, T, C, H, W) and a state (B, P, H, W) or None for zeros, and
    returns the hidden states (B, T, P, H, W) and the state after the last frame. Frames
    are zero beyond their edges.

    Args:
        channels: C of the frames.
        hidden: P of the state.
        kernel_size: K, odd.

    Source: Redondo 2024, Sec. 3.4, V^c: motion along the axis of the camera.
    """

    def __init__(self, channels: int, hidden: int, kernel_size: int = 3) -> None:
        super().__init__(channels, hidden, kernel_size, [None])


class DirectionalConvGRU(_ConvGRUs):
    """Two ConvGRUs with triangular kernels for opposite directions and equal weights.

    It takes frames (B, T, C, H, W) and a state (B, 2P, H, W) or None for zeros, and
    returns the hidden states (B, T, 2P, H, W), the P of + before the P of -, and the
    state after the last frame.

    The direction + carries what is in the frames to the right ("h") or down ("v"): one
    step moves it up to k pixels and spreads it in a triangle. With K = 3 there is a
    strip of 1 pixel, and one of 3 pixels across the axis, one pixel back. (By the
    paper's formula h+ shifts to the right; by its words it "predicts negative
    horizontal movements". Here it is the formula.)

    Args:
        channels: C of the frames.
        hidden: P of each direction's state.
        kernel_size: K, odd.
        axis: "h" for motion sideways, "v" for motion up and down.

    Source: Redondo 2024, Sec. 3.4.
    """

    def __init__(
        self, channels: int, hidden: int, kernel_size: int = 3, *, axis: Axis
    ) -> None:
        if axis not in ("h", "v"):
            raise ValueError(f'axis={axis!r} must be "h" or "v"')
        super().__init__(channels, hidden, kernel_size, [axis])


class Prediction(NamedTuple):
    """What `VideoPrediction.predict` returns.

    Attributes:
        output: x'' (B, T, C, H, W).
        state: (B, D C, H, W), after the last frame.
        mask: a (B, T, 1, H, W); 1 keeps the frame, 0 takes the prediction.
        predicted: x' (B, T, C, H, W).
    """

    output: Tensor
    state: Tensor
    mask: Tensor
    predicted: Tensor


class VideoPrediction(nn.Module):
    """Blends each frame with a prediction from the past, by five directions of motion.

        X_t   = [h+, h-, c, v+, v-]                          Eq. 3, each C channels
        x'_t  = W_x X_t + b_x,   a_t = sigmoid(W_a X_t + b_a)
        x''_t = a_t x_t + (1 - a_t) x'_t                     Eq. 4

    Args:
        channels: C of the frames, and of each direction's state.
        kernel_size: K, odd.
        directional: False keeps the centre c alone, which is the ablation's ConvGRU.
        recompute: with n, only the output and the state of every n steps are kept for
            the backward pass, which computes the rest again: less memory and equal
            gradients. 0 keeps everything.

    Source: Redondo 2024, Sec. 3.4, Fig. 4.
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
        """Return x'' of a window and the state after it.

        Args:
            x: frames (B, T, C, H, W).
            state: (B, D C, H, W) before them; zeros where none is given.
        """
        return self.predict(x, state)[:2]

    def predict(self, x: Frames, state: State | None = None) -> Prediction:
        """Return what `forward` does, with the mask and the prediction to look at."""
        state = _initial_state(self.recurrences, x, state)
        if not self.recompute:
            return self._predict_window(x, state)
        parts = []
        for window in x.split(self.recompute, dim=1):
            # Not reentrant: that form fails in `backward(inputs=…)`, as in Run.step.
            part = checkpoint(self._predict_window, window, state, use_reentrant=False)
            parts.append(part)
            state = part.state
        output, _, mask, predicted = zip(*parts, strict=True)
        whole = [torch.cat(each, dim=1) for each in (output, mask, predicted)]
        return Prediction(whole[0], state, whole[1], whole[2])

    def _predict_window(self, x: Tensor, state: Tensor) -> Prediction:
        hidden, state = self.recurrences(x, state)
        # (B T, D C, H, W) → (B, T, C + 1, H, W): x', and the mask before its sigmoid
        blended = self.blend(hidden.flatten(0, 1)).unflatten(0, x.shape[:2])
        predicted, mask = blended.split([x.shape[2], 1], dim=2)
        mask = mask.sigmoid()
        # One product fewer, and one tensor fewer to keep for the backward pass.
        output = predicted + mask * (x - predicted)  # a x + (1 - a) x'
        return Prediction(output, state, mask, predicted)
