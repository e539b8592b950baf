"""The dilated residual recurrence over sound of Listen and Move (Redondo 2024).

Where Eq. 1, the text and Fig. 2 disagree, this is as the released code: dilation 2**l
with l from 0 (the text counts from 1, the figure shows 1, 2, 4); the recurrence is on
the GRU's hidden state h, as the text's words say, not on the layer's output m, as the
formula's letters do; the output is LeakyReLU((h + input) / sqrt(2)), slope 0.2, where
Eq. 1 has the plain sum; the weights start uniform, as torch's do (the text: normal).
"""

import math
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.amp import custom_bwd, custom_fwd
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class _Recurrence(torch.autograd.Function):
    """The recurrence of a GRU whose input's part is known, for CPUs.

    `given` (n, B, 4 S): W x and the biases of the gates r and z, of the new value, and
    the bias that stands inside the new value's product with r; `start` (B, S) is the
    state before, `weight` (3 S, S) what a state meets. -> the states (n, B, S).

    torch's own loop launches some thirty operators a step, forward and back; here they
    are five and two, and the weights' gradient is one product in the end.
    """

    @staticmethod
    @custom_fwd(device_type="cpu", cast_inputs=torch.float32)  # too small for bfloat16
    def forward(ctx: Any, given: Tensor, start: Tensor, weight: Tensor) -> Tensor:
        size, state = start.shape[1], start
        gates, states = (
            torch.empty_like(given),
            given.new_empty(len(given), *start.shape),
        )
        first, inside = weight.split((2 * size, size))
        turned = torch.cat([first, torch.zeros_like(inside), inside]).T.contiguous()
        for step in range(len(given)):
            torch.addmm(given[step], state, turned, out=gates[step])
            both, new, inside = gates[step].split((2 * size, size, size), dim=1)
            reset, update = both.sigmoid_().chunk(2, dim=1)
            new.addcmul_(reset, inside).tanh_()
            state = torch.lerp(new, state, update, out=states[step])
        ctx.save_for_backward(start, weight, states, gates)
        return states

    @staticmethod
    @once_differentiable
    @custom_bwd(device_type="cpu")
    def backward(ctx: Any, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        start, weight, states, gates = ctx.saved_tensors
        before = torch.cat([start[None], states[:-1]])
        reset, update, new, inside = gates.chunk(4, dim=2)
        of_new = (1 - update) * (1 - new**2)
        of_reset = of_new * inside * reset * (1 - reset)
        of_update = (before - new) * update * (1 - update)
        # how r, z, what r lets in and the state before, each, move the state
        slopes = torch.stack([of_reset, of_update, of_new * reset, update], dim=2)
        back = torch.cat([weight, torch.eye(len(weight) // 3, dtype=weight.dtype)])
        moved, total = torch.empty_like(slopes), torch.cat([start[None], wanted])
        for step in reversed(range(len(states))):
            torch.mul(slopes[step], total[step + 1, :, None], out=moved[step])
            earlier = wanted[step - 1] if step else torch.zeros_like(start)
            torch.addmm(earlier, moved[step].flatten(1), back, out=total[step])
        of_reset, of_update, of_inside, _ = moved.unbind(2)
        of_given = [of_reset, of_update, total[1:] * of_new, of_inside]
        rows = moved[:, :, :3].flatten(2).flatten(0, 1)
        of_weight = rows.T @ before.flatten(0, 1)
        return torch.cat(of_given, dim=2), total[0], of_weight


def _states(gru: nn.GRU, x: Tensor, start: Tensor) -> Tensor:
    """What `gru(x, start[None])` gives first: (n, B, S) and (B, S) -> (n, B, S)."""
    if not x.is_cpu:
        return gru(x, start[None])[0]  # cuDNN's, one call
    size = gru.hidden_size
    into, weight, inner, outer = gru.all_weights[0]
    bias = torch.cat([inner[: 2 * size] + outer[: 2 * size], inner[2 * size :]])
    bias = torch.cat([bias, outer[2 * size :]])
    given = F.linear(x, F.pad(into, (0, 0, 0, size)), bias)
    return _Recurrence.apply(given, start, weight)


def _dilated(gru: nn.GRU, x: Tensor, past: Tensor) -> Tensor:
    """h_t = GRU(x_t, h_{t-d}): (B, T, S) and the last d states (B, d, S) -> (B, T, S).

    Steps that lie d apart never meet the others: d sequences, one batch of them.
    """
    time, d = x.shape[1], past.shape[1]
    whole = F.pad(x, (0, 0, 0, -time % d))  # the states of the extra steps are cut off
    steps = rearrange(whole, "b (n d) s -> n (b d) s", d=d)
    states = _states(gru, steps, rearrange(past, "b d s -> (b d) s").contiguous())
    return rearrange(states, "n (b d) s -> b (n d) s", d=d)[:, :time]


class ResidualDilatedGRU(nn.Module):
    """Motion from sound: GRUs of dilation 1, 2, 4, … with residual connections.

    (B, T, size) -> the output (B, T, size) and the state (B, 2**num_layers - 1, size):
    layer by layer its last 1, 2, 4, … hidden states, the oldest first. Given back with
    the next window (detached, in training), it goes on as if in one pass; None is
    silence before the beginning, all zeros.

    Redondo 2024, Sec. 3.2, Eq. 1 and Fig. 2. A single layer has no residual and is a
    plain GRU: the baseline of Table 1.
    """

    def __init__(self, size: int, num_layers: int = 3) -> None:
        super().__init__()
        if size < 1 or num_layers < 1:
            raise ValueError(f"size={size}, num_layers={num_layers}: both from 1 up")
        self.size = size
        self.dilations = [2**layer for layer in range(num_layers)]
        self.layers = nn.ModuleList(nn.GRU(size, size) for _ in self.dilations)

    def forward(
        self,
        x: Float[Tensor, "batch time size"],
        state: Float[Tensor, "batch slots size"] | None = None,
    ) -> tuple[Float[Tensor, "batch time size"], Float[Tensor, "batch slots size"]]:
        """A window and the state before it -> the output and the state after it."""
        if x.ndim != 3 or x.shape[2] != self.size or not x.shape[1]:
            raise ValueError(
                f"x is {tuple(x.shape)}: it must be (batch, time, {self.size}), "
                "with one step or more"
            )
        shape = (len(x), sum(self.dilations), self.size)
        if state is None:
            state = x.new_zeros(shape)
        if state.shape != shape:
            raise ValueError(f"state is {tuple(state.shape)}: it must be {shape}")
        states = []
        for layer, past in zip(
            self.layers, state.split(self.dilations, dim=1), strict=True
        ):
            assert isinstance(layer, nn.GRU)
            hidden = _dilated(layer, x, past)
            states.append(torch.cat([past, hidden], dim=1)[:, -past.shape[1] :])
            if len(self.layers) > 1:
                x = F.leaky_relu((hidden + x) / math.sqrt(2), 0.2)
            else:
                x = hidden
        return x, torch.cat(states, dim=1)
