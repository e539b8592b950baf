"""The dilated residual GRU over sound of Listen and Move (Redondo 2024).

Eq. 1, the text and Fig. 2 disagree in four points. Here they are as in the released
code:

- The dilation is 2**l with l from 0 (the text counts from 1, the figure shows 1, 2, 4).
- The recurrence is on the GRU's hidden state h, as the text says, not on the layer's
  output m, as the formula has it.
- The output is LeakyReLU((h + input) / √2) with slope 0.2; Eq. 1 has the plain sum.
- The weights start uniform, as in torch (the text says normal).
"""

import math
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.amp.autocast_mode import custom_bwd, custom_fwd
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class _GRURecurrence(torch.autograd.Function):
    """The recurrence of a GRU on a CPU, where the input's part is computed already.

    torch's own loop calls some thirty operators a step, forward and backward. Here they
    are five and two, and the gradient of the weights is one product at the end.

    In `forward`, `given` (n, B, 4 S) holds four blocks: W x plus biases of the reset
    gate r, of the update gate z and of the new value, and the bias that stands inside
    the new value's product with r. `start` (B, S) is the state before, `weight`
    (3 S, S) the recurrent weights of r, z and the new value. The result is the states
    (n, B, S).
    """

    @staticmethod
    # float32: bfloat16 has too few digits for sums over a whole sound.
    @custom_fwd(device_type="cpu", cast_inputs=torch.float32)  # type: ignore[untyped-decorator]
    def forward(ctx: Any, given: Tensor, start: Tensor, weight: Tensor) -> Tensor:
        size, state = start.shape[1], start
        gates, states = (
            torch.empty_like(given),
            given.new_empty(len(given), *start.shape),
        )
        # Four blocks of weights, as `given` has: a state adds nothing to the third.
        first, inside = weight.split((2 * size, size))
        turned = torch.cat([first, torch.zeros_like(inside), inside]).T.contiguous()
        for step in range(len(given)):
            torch.addmm(given[step], state, turned, out=gates[step])
            both, new, inside = gates[step].split((2 * size, size, size), dim=1)
            reset, update = both.sigmoid_().chunk(2, dim=1)
            new.addcmul_(reset, inside).tanh_()
            # h = (1 - z) n + z h, written in place: autograd does not watch here.
            state = torch.lerp(new, state, update, out=states[step])
        ctx.save_for_backward(start, weight, states, gates)
        return states

    @staticmethod
    @once_differentiable
    @custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        start, weight, states, gates = ctx.saved_tensors
        before = torch.cat([start[None], states[:-1]])
        reset, update, new, inside = gates.chunk(4, dim=2)
        # Derivatives of the state by what goes into the tanh, into r and into z.
        of_new = (1 - update) * (1 - new**2)
        of_reset = of_new * inside * reset * (1 - reset)
        of_update = (before - new) * update * (1 - update)
        # The derivatives by r, by z, by the product with r and by the state before.
        slopes = torch.stack([of_reset, of_update, of_new * reset, update], dim=2)
        back = torch.cat([weight, torch.eye(len(weight) // 3, dtype=weight.dtype)])
        # total[t + 1] becomes the gradient of state t, with what later steps add.
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


def _run_gru(gru: nn.GRU, x: Tensor, start: Tensor) -> Tensor:
    """Return the states that `gru(x, start[None])` gives: (n, B, S)."""
    if not x.is_cpu:
        states: Tensor = gru(x, start[None])[0]  # cuDNN does it in one call
        return states
    size = gru.hidden_size
    # The input and recurrent biases of r and z add up; those of the new value do not,
    # since r multiplies the recurrent one.
    into, weight, inner, outer = gru.all_weights[0]
    bias = torch.cat([inner[: 2 * size] + outer[: 2 * size], inner[2 * size :]])
    bias = torch.cat([bias, outer[2 * size :]])
    given = F.linear(x, F.pad(into, (0, 0, 0, size)), bias)
    result: Tensor = _GRURecurrence.apply(given, start, weight)  # type: ignore[no-untyped-call]
    return result


def _run_dilated_gru(gru: nn.GRU, x: Tensor, past: Tensor) -> Tensor:
    """Compute h_t = GRU(x_t, h_{t-d}) for x (B, T, S) and the last d states (B, d, S).

    A state depends only on states that lie a multiple of d before it. So the steps
    make d independent sequences, which are computed as one batch.
    """
    time, d = x.shape[1], past.shape[1]
    # Fill up to a multiple of d; the states of the extra steps are cut off below.
    whole = F.pad(x, (0, 0, 0, -time % d))
    steps = rearrange(whole, "b (n d) s -> n (b d) s", d=d)
    states = _run_gru(gru, steps, rearrange(past, "b d s -> (b d) s").contiguous())
    return rearrange(states, "n (b d) s -> b (n d) s", d=d)[:, :time]


class ResidualDilatedGRU(nn.Module):
    """Motion from sound: GRUs with dilation 1, 2, 4, … and residual connections.

    The state (B, 2**num_layers - 1, size) holds, layer by layer, the last 1, 2, 4, …
    hidden states, the oldest first. Given to the next window (detached, in training),
    it continues as if all were one pass.

    Args:
        size: of the input, of the hidden states and of the output.
        num_layers: with one layer there is no residual connection. It is a plain GRU,
            the baseline of Table 1.

    Raises:
        ValueError: a size is below 1.

    Source: Redondo 2024, Sec. 3.2, Eq. 1 and Fig. 2.
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
        """Return the output of a window and the state after it.

        Args:
            x: a window of features.
            state: before the window; zeros, the state of silence, where none is given.

        Raises:
            ValueError: x or the state have another shape.
        """
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
            hidden = _run_dilated_gru(layer, x, past)
            states.append(torch.cat([past, hidden], dim=1)[:, -past.shape[1] :])
            if len(self.layers) > 1:
                x = F.leaky_relu((hidden + x) / math.sqrt(2), 0.2)
            else:
                x = hidden
        return x, torch.cat(states, dim=1)
