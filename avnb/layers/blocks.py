"""The blocks of which generator and critics are built (Redondo 2024, Fig. 3)."""

import math
import os
from functools import cache
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
    """Doubles height and width, then two convolutions with a shortcut beside them.

    nearest ×2 → [conv 3×3 → noise → norm → LeakyReLU] → [conv 3×3 → noise → norm],
    plus a 1×1 convolution of the same input; their sum / √2 → LeakyReLU.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        bands: size of the sound features. With them the norms are audio-conditional and
            share one linear layer, as in the released code. Without them they are
            batch norms (the baseline of Table 1).
        plus_one: see `AudioConditionalInstanceNorm`.
        residual: False leaves the shortcut out, as a generator with skip connections
            does (Fig. 5).

    Source: Redondo 2024, Fig. 3(a).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        bands: int | None = None,
        *,
        plus_one: bool = False,
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if residual else None
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.noise1, self.noise2 = NoiseInjection(), NoiseInjection()
        if bands is None:
            # Two batch norms: each place learns a scale and a shift of its own.
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
        """Return maps of twice the size.

        Args:
            x: the maps, one item a frame.
            features: of each frame's sound; for a conditional block, and only for it.
            generator: makes the noise repeatable.

        Raises:
            ValueError: features are missing, or given to a block with batch norms.
        """
        if self.conditional != (features is not None):
            has = "a sound norm needs" if self.conditional else "batch norm takes no"
            raise ValueError(f"UpBlock: {has} sound features")
        before = x
        # (frames, in_channels, H, W) → (frames, out_channels, 2 H, 2 W). The noise is
        # drawn at the new size, once before each norm.
        x = self.noise1(self.conv1(_upsample(x)), generator)
        x = self.norm(x, features) if self.conditional else self.norm1(x)
        x = self.noise2(self.conv2(F.leaky_relu(x, LEAKY_SLOPE)), generator)
        x = self.norm(x, features) if self.conditional else self.norm2(x)
        if self.shortcut is not None:
            # A 1×1 convolution and the copying of pixels commute. The convolution
            # first takes a quarter of the work. The sum of two independent maps has
            # twice the variance: √2 keeps it.
            x = (x + _upsample(self.shortcut(before))) / math.sqrt(2)
        return F.leaky_relu(x, LEAKY_SLOPE)


def _upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Conv3d(nn.Conv3d):
    """A 3-d convolution that is right and fast on a CPU too.

    It computes in float32 there, whatever autocast asks, unless the processor has AMX.
    A bug of torch 2.11: in bfloat16 the kernels for AVX-512 read the gradient of the
    weights from uninitialised memory, without a message, where two frames are left and
    channels are 32 or more. Those for AMX do not.

    And torch takes its slow kernel, which is two to six times slower, where a single
    item comes in. There the same sums are made by a 2-d convolution of all its frames.
    """

    def forward(self, input: Tensor) -> Tensor:
        """What `nn.Conv3d` gives; on a CPU without AMX in the weights' precision."""
        if input.device.type != "cpu":
            return super().forward(input)
        if torch.is_autocast_enabled("cpu") and _computes_with_amx():
            return self._convolve(input)
        with torch.autocast("cpu", enabled=False):
            # The input may be bfloat16 already, and without autocast nobody casts it.
            return self._convolve(input.to(self.weight.dtype))

    def _convolve(self, x: Tensor) -> Tensor:
        plain = self.stride[0] == self.dilation[0] == self.groups == 1
        plain &= self.padding_mode == "zeros"
        # A kernel of one place is a matrix product in either case.
        plain &= self.kernel_size[1:] != (1, 1)
        single = x.ndim == 5 and len(x) == 1
        if single and plain and not isinstance(self.padding, str):
            return self._convolve_frames(x, *self.padding)
        return super().forward(x)

    def _convolve_frames(self, x: Tensor, before: int, *padding: int) -> Tensor:
        """The convolution of one item (1, in, T, H, W) by way of its frames."""
        depth, stride = self.kernel_size[0], self.stride[1:]
        count = x.shape[2] + 2 * before - depth + 1
        if count < 1:
            return super().forward(x)  # it says that there are too few frames
        frames = F.pad(x[0], (0, 0, 0, 0, before, before)).transpose(0, 1)
        # The kernel's slices in time become kernels of their own: (depth * out, in, …).
        slices = self.weight.movedim(2, 0).flatten(0, 1)
        maps = F.conv2d(frames, slices, None, stride, padding, self.dilation[1:])
        maps = maps.unflatten(1, (depth, -1))
        # Slice j of the kernel meets frame t + j where the output is frame t.
        out: Tensor = maps[:count, 0]
        for j in range(1, depth):
            out = out + maps[j : j + count, j]
        if self.bias is not None:
            out = out + self.bias[:, None, None]
        return out.transpose(0, 1)[None]


@cache
def _computes_with_amx() -> bool:
    """Whether 3-d convolutions in bfloat16 run on AMX, Intel's unit for matrices."""
    # Older versions of torch cannot tell. Both variables forbid the kernels for it.
    has: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    limits = {"ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"}
    return bool(has.get("amx_bf16")) and limits.isdisjoint(os.environ)


class DownBlock(nn.Module):
    """Halves height and width; the picture itself comes in at every scale.

    AvgPool 2 of both the maps and the picture; maps + fromRGB(picture);
    [conv 3 → norm → LeakyReLU] twice. The first block of a critic gets no maps.

    fromRGB is a 1×1 convolution without tanh: the paper's "supplemented with tanh
    gates" is about the end of the generator, as in the released code. In Fig. 3(b)
    fromRGB comes before the pool. The two commute, and after the pool it takes a
    quarter of the work.

    Args:
        in_channels: of the maps that come in.
        out_channels: of the maps that go out.
        dims: 2 for pictures, 3 for videos. Videos are halved in time as long as they
            have more than one frame, ⌊log₂ T⌋ times (Sec. 3.3).
        norm: "batch" (the paper's), "instance", "layer" or "none". A batch norm makes
            the score of an item depend on the others of its batch, but WGAN-GP's
            penalty is about each item alone (Gulrajani et al. 2017, Sec. 4), so the
            other norms are the right ones there. With one item a batch, as in the
            paper, a batch norm in training is an instance norm.
        colours: channels of the picture.

    Source: Redondo 2024, Fig. 3(b).
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
        conv = nn.Conv2d if dims == 2 else Conv3d
        self.from_rgb = conv(colours, in_channels, 1)
        self.conv1 = conv(in_channels, out_channels, 3, padding=1)
        self.conv2 = conv(out_channels, out_channels, 3, padding=1)
        self.norm1 = _build_norm(norm, out_channels, dims)
        self.norm2 = _build_norm(norm, out_channels, dims)

    def forward(
        self,
        picture: Float[Tensor, "items colours *size"],
        x: Float[Tensor, "items in_channels *size"] | None = None,
    ) -> tuple[
        Float[Tensor, "items out_channels *half"], Float[Tensor, "items colours *half"]
    ]:
        """Return maps and picture, both at half the size, for the next block.

        Args:
            picture: at the size of the maps.
            x: the maps of the block before; none for the first block.
        """
        picture = _halve(picture)
        # (items, colours, *half) → (items, in_channels, *half), as the maps have it
        h = self.from_rgb(picture)
        if x is not None:
            h = h + _halve(x)
        h = F.leaky_relu(self.norm1(self.conv1(h)), LEAKY_SLOPE)
        h = F.leaky_relu(self.norm2(self.conv2(h)), LEAKY_SLOPE)
        return h, picture


def _halve(x: Tensor) -> Tensor:
    """Average-pool by 2. An odd last row is dropped; a single frame is kept."""
    if x.ndim == 4:
        return F.avg_pool2d(x, 2)
    return F.avg_pool3d(x, (min(2, x.shape[2]), 2, 2))


def _build_norm(kind: str, channels: int, dims: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(channels) if dims == 2 else nn.BatchNorm3d(channels)
    # A group norm, unlike torch's instance norm, learns a scale and a shift by default
    # and takes maps of any dimension.
    if kind == "instance":
        return nn.GroupNorm(channels, channels)
    if kind == "layer":
        # One group: mean and variance are over all channels and places of an item.
        return nn.GroupNorm(1, channels)
    if kind == "none":
        return nn.Identity()
    raise ValueError(f"norm is {kind!r}: give batch, instance, layer or none")


class PatchHead(nn.Module):
    """Gives one score for each patch: a 1×1 convolution of the last maps.

    Args:
        channels: of the maps.
        dims: 2 for pictures, 3 for videos.

    Source: Redondo 2024, Sec. 3.3.
    """

    def __init__(self, channels: int, *, dims: Literal[2, 3] = 2) -> None:
        super().__init__()
        conv = nn.Conv2d if dims == 2 else Conv3d
        # No activation follows, because the score of a WGAN critic has no bounds.
        self.decision = conv(channels, 1, 1)

    def forward(
        self, x: Float[Tensor, "items channels *size"]
    ) -> Float[Tensor, "items *size"]:
        """Return the score of each place of the maps."""
        scores: Tensor = self.decision(x)[:, 0]  # of the one channel
        return scores
