"""Layers of generators and critics of raw sound (WaveGAN, Donahue et al. 2019).

A convolution with stride 4 is a convolution with stride 1 over the four **phases** of
the signal: the samples 4 i, 4 i + 1, 4 i + 2 and 4 i + 3, side by side as channels. Its
25 weights, with three zeros, become 7 weights for each phase. This polyphase form gives
the same numbers. It is faster on a CPU, and it computes what "copy each sample four
times, then convolve" gives without the work on the copies.
"""

import math

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

KERNEL, STRIDE = 25, 4  # of every layer of WaveGAN

Signal = Float[Tensor, "batch channels time"]


def shuffle_phase(x: Signal, shifts: Int64[Tensor, " batch"]) -> Signal:
    """Shift each item in time; what enters at an end is the signal's mirror image.

    Args:
        x: signals, longer than the largest shift.
        shifts: how many steps each item moves, positive to later times.

    Raises:
        ValueError: a shift is as long as the signal (checked on a CPU).

    Source: Donahue et al. 2019, Sec. 3.3.
    """
    time = x.shape[2]
    if shifts.is_cpu and int(shifts.abs().max()) >= time:
        raise ValueError(
            f"a shift of {int(shifts.abs().max())} steps in a signal of {time}: "
            "the mirror image is too short"
        )
    # Where each output step comes from; a place before 0 or behind the end is mirrored
    # there, and the end's own sample is not repeated.
    source = (torch.arange(time, device=x.device) - shifts[:, None]).abs()
    source = (time - 1) - (time - 1 - source).abs()
    return x.gather(2, source[:, None].expand_as(x))


class PhaseShuffle(nn.Module):
    """Shifts signals at random by at most `radius` steps, in training and in testing.

    A critic must not learn at which phase a generator's artefacts repeat. Without this
    layer it does, since transposed convolutions put them always at the same places.

    Args:
        radius: the largest shift, to either side; 0 leaves everything as it is.
        per_item: each item of a batch gets a shift of its own. Otherwise one shift is
            drawn for the whole batch, as in the official code.

    Raises:
        ValueError: the radius is negative.

    Source: Donahue et al. 2019, Sec. 3.3.
    """

    def __init__(self, radius: int = 2, *, per_item: bool = True) -> None:
        super().__init__()
        if radius < 0:
            raise ValueError(f"radius is {radius}: give 0 (no shuffle) or more")
        self.radius, self.per_item = radius, per_item

    def forward(self, x: Signal, generator: torch.Generator | None = None) -> Signal:
        """Return the signals, shifted.

        Args:
            x: signals of more than `radius` steps.
            generator: makes the shifts repeatable.
        """
        if not self.radius:
            return x
        count = len(x) if self.per_item else 1
        device = x.device if generator is None else generator.device
        shifts = torch.randint(
            -self.radius, self.radius + 1, (count,), generator=generator, device=device
        )
        return shuffle_phase(x, shifts.to(x.device).expand(len(x)))

    def extra_repr(self) -> str:
        """What `print` shows of the layer."""
        return f"{self.radius}, per_item={self.per_item}"


class DownConv1d(nn.Conv1d):
    """A convolution of 25 weights with stride 4: (B, in, 4 L) → (B, out, L).

    The same numbers as `nn.Conv1d(in, out, 25, stride=4, padding=11)`, whose weights it
    has, in the polyphase form.

    Args:
        in_channels: of the input.
        out_channels: of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, KERNEL, STRIDE, padding=11)
        # He et al. 2015, as in `UpConv1d`. torch's default would let the signal shrink
        # to a third in each layer.
        nn.init.normal_(self.weight, 0.0, math.sqrt(2 / (in_channels * KERNEL)))
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(
        self, input: Float[Tensor, "batch in_channels time"]
    ) -> Float[Tensor, "batch out_channels quarter"]:
        """Return signals of a quarter of the length, which must be a multiple of 4.

        Output i sums input 4 i + k - 11 times weight k. With one zero before the
        weights and two behind them this is input 4 (i + q - 3) + p times weight
        4 q + p - 1, for the seven q and the four phases p.
        """
        weight = rearrange(F.pad(self.weight, (1, 2)), "o c (q p) -> o (c p) q", p=4)
        phases = rearrange(input, "b c (t p) -> b (c p) t", p=4)
        return F.conv1d(phases, weight, self.bias, padding=3)


class UpConv1d(nn.Module):
    """Four times as many samples: (B, in, L) → (B, out, 4 L), by 25 weights.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        method: "transposed" gives the numbers of `nn.ConvTranspose1d(in, out, 25,
            stride=4, padding=11, output_padding=1)`. "nearest" gives those of copying
            each sample four times and `nn.Conv1d(in, out, 25, padding=12)`. The weights
            are those of the layer named.

    Raises:
        ValueError: the method is another.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        method: str = "transposed",
    ) -> None:
        super().__init__()
        if method not in ("transposed", "nearest"):
            raise ValueError(f"method is {method!r}: give transposed or nearest")
        pair = (in_channels, out_channels)
        self.method = method
        first, second = pair if method == "transposed" else reversed(pair)
        self.weight = nn.Parameter(torch.empty(first, second, KERNEL))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        # He et al. 2015: after a ReLU the output then varies as much as the input. An
        # output sums 25 products a channel, or 25 / 4 where the rest meets zeros.
        products = in_channels * KERNEL / (STRIDE if method == "transposed" else 1)
        nn.init.normal_(self.weight, 0.0, math.sqrt(2 / products))

    def fold(self) -> Float[Tensor, "phases in_channels 7"]:
        """The weights of each output channel's four phases, over the short input."""
        if self.method == "transposed":
            # Output 4 j + p sums input j + m times weight p + 11 - 4 m, for m from -3
            # to 3. One zero before the weights and two behind: 4 (3 - m) + p, so the
            # groups of four weights come in the reverse order.
            padded = rearrange(F.pad(self.weight, (1, 2)), "c o (q p) -> o p c q", p=4)
            return padded.flip(3).flatten(0, 1)
        # Output 4 j + p sees copy p + k - 12 of the samples around j: all weights whose
        # copies are of one sample are added up.
        phases = [
            rearrange(F.pad(self.weight, (p, 3 - p)), "o c (q s) -> o c q s", s=4)
            for p in range(STRIDE)
        ]
        return torch.stack(phases, dim=1).sum(-1).flatten(0, 1)

    def forward(
        self, x: Float[Tensor, "batch in_channels time"]
    ) -> Float[Tensor, "batch out_channels longer"]:
        """Return signals of four times the length."""
        y = F.conv1d(x, self.fold(), self.bias.repeat_interleave(STRIDE), padding=3)
        return rearrange(y, "b (o p) t -> b o (t p)", p=STRIDE)

    def extra_repr(self) -> str:
        """What `print` shows of the layer."""
        return f"{tuple(self.weight.shape)}, {self.method}"
