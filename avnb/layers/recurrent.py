"""The dilated residual recurrence over sound of Listen and Move (Redondo 2024).

Where Eq. 1, the text and Fig. 2 disagree, this is as the released code: dilation 2**l
with l from 0 (the text counts from 1, the figure shows 1, 2, 4); the recurrence is on
the GRU's hidden state h, as the text's words say, not on the layer's output m, as the
formula's letters do; the output is LeakyReLU((h + input) / sqrt(2)), slope 0.2, where
Eq. 1 has the plain sum; the weights start uniform, as torch's do (the text: normal).
"""

import math

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


def _dilated(gru: nn.GRU, x: Tensor, past: Tensor) -> Tensor:
    """h_t = GRU(x_t, h_{t-d}): (B, T, S) and the last d states (B, d, S) -> (B, T, S).

    Steps that lie d apart never meet the others: d sequences, one batch of them.
    """
    time, d = x.shape[1], past.shape[1]
    whole = F.pad(x, (0, 0, 0, -time % d))  # the states of the extra steps are cut off
    steps = rearrange(whole, "b (n d) s -> n (b d) s", d=d)
    start = rearrange(past, "b d s -> 1 (b d) s").contiguous()
    states, _ = gru(steps, start)
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
