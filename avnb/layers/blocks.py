"""The blocks that generator and critics are built from (Redondo 2024, Fig. 3)."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from avnb.layers.conditional import (
    LEAKY_SLOPE,
    AudioConditionalInstanceNorm,
    NoiseInjection,
)


class UpBlock(nn.Module):
    """Twice the size, then two convolutions beside a shortcut (Fig. 3a).

    nearest ×2 → [conv 3×3 → noise → norm → LeakyReLU] → [conv 3×3 → noise → norm],
    plus a 1×1 convolution of the same input; their sum / √2 → LeakyReLU.

    With `bands` the norms are audio-conditional and share one linear layer, as in the
    released code; without, they are batch norms (Table 1's baseline).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        bands: int | None = None,
        *,
        plus_one: bool = False,
    ) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.noise1, self.noise2 = NoiseInjection(), NoiseInjection()
        if bands is None:
            self.norm1 = nn.BatchNorm2d(out_channels)
            self.norm2 = nn.BatchNorm2d(out_channels)
        else:
            self.norm = AudioConditionalInstanceNorm(
                out_channels, bands, plus_one=plus_one
            )
        self.conditional = bands is not None

    def forward(
        self,
        x: Float[Tensor, "frames in_channels height width"],
        features: Float[Tensor, "frames bands"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "frames out_channels height2 width2"]:
        """`features` are needed by a conditional block alone; `generator`: noise."""
        if self.conditional != (features is not None):
            has = "a sound norm needs" if self.conditional else "batch norm takes no"
            raise ValueError(f"UpBlock: {has} sound features")
        # A 1×1 convolution and the copying of pixels commute: a quarter of the work.
        beside = _twice(self.shortcut(x))
        x = self.noise1(self.conv1(_twice(x)), generator)
        x = self.norm(x, features) if self.conditional else self.norm1(x)
        x = self.noise2(self.conv2(F.leaky_relu(x, LEAKY_SLOPE)), generator)
        x = self.norm(x, features) if self.conditional else self.norm2(x)
        return F.leaky_relu((x + beside) / math.sqrt(2), LEAKY_SLOPE)


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class _Conv3d(nn.Conv3d):
    """On a CPU always in float32.

    Under bfloat16 torch 2.11's weight gradient there is made of memory that nobody
    wrote, without a message, when two frames are left and channels are 32 or more.
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu":
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.to(self.weight.dtype))


class DownBlock(nn.Module):
    """Half the size, with the picture coming in at every scale (Fig. 3b).

    AvgPool 2 of both the maps and the picture; maps + fromRGB(picture);
    [conv 3 → norm → LeakyReLU] twice. The first block of a critic gets no maps.
    `dims` is 2 for pictures, 3 for videos, which are halved in time as long as there
    is more than one frame: ⌊log₂ T⌋ times (Sec. 3.3).

    fromRGB is a 1×1 convolution without tanh (the paper's "supplemented with tanh
    gates" is for the generator's end, as in the released code). It comes before the
    pool in Fig. 3(b): the two commute, and after it costs a quarter.

    `norm` is "batch" (the paper's), "instance", "layer" or "none". A batch norm ties
    the items of a batch together, where WGAN-GP's penalty is about each item alone
    (Gulrajani et al. 2017, Sec. 4): the others are sound there. With one item a batch,
    as in the paper, it is an instance norm as long as it trains.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dims: Literal[2, 3] = 2,
        norm: str = "batch",
        colours: int = 3,
    ) -> None:
        super().__init__()
        conv = nn.Conv2d if dims == 2 else _Conv3d
        self.from_rgb = conv(colours, in_channels, 1)
        self.conv1 = conv(in_channels, out_channels, 3, padding=1)
        self.conv2 = conv(out_channels, out_channels, 3, padding=1)
        self.norm1 = _norm(norm, out_channels, dims)
        self.norm2 = _norm(norm, out_channels, dims)

    def forward(
        self,
        picture: Float[Tensor, "items colours *size"],
        x: Float[Tensor, "items in_channels *size"] | None = None,
    ) -> tuple[
        Float[Tensor, "items out_channels *half"], Float[Tensor, "items colours *half"]
    ]:
        """(maps, picture), both half the size: the next block takes them in turn."""
        picture = _halve(picture)
        h = self.from_rgb(picture)
        if x is not None:
            h = h + _halve(x)
        h = F.leaky_relu(self.norm1(self.conv1(h)), LEAKY_SLOPE)
        h = F.leaky_relu(self.norm2(self.conv2(h)), LEAKY_SLOPE)
        return h, picture


def _halve(x: Tensor) -> Tensor:
    """Average pooling; an odd last row falls away, a single frame stays."""
    if x.ndim == 4:
        return F.avg_pool2d(x, 2)
    return F.avg_pool3d(x, (min(2, x.shape[2]), 2, 2))


def _norm(kind: str, channels: int, dims: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(channels) if dims == 2 else nn.BatchNorm3d(channels)
    if kind == "instance":
        return nn.GroupNorm(channels, channels)
    if kind == "layer":
        return nn.GroupNorm(1, channels)
    if kind == "none":
        return nn.Identity()
    raise ValueError(f"norm is {kind!r}: give batch, instance, layer or none")


class PatchHead(nn.Module):
    """One score a patch: a 1×1 convolution from the last maps (Sec. 3.3)."""

    def __init__(self, channels: int, *, dims: Literal[2, 3] = 2) -> None:
        super().__init__()
        conv = nn.Conv2d if dims == 2 else _Conv3d
        self.decision = conv(channels, 1, 1)

    def forward(
        self, x: Float[Tensor, "items channels *size"]
    ) -> Float[Tensor, "items *size"]:
        return self.decision(x)[:, 0]
