"""Layers that sound or noise steers from outside (Redondo 2024, Sec. 3.3)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

LEAKY_SLOPE = 0.2  # of every LeakyReLU (Sec. 5.1)


class AudioConditionalInstanceNorm(nn.Module):
    """Instance norm whose shift and scale come from the frame's sound (Eq. 2).

    Each frame and channel is normalised over its own pixels, then scaled by γ and
    shifted by β, where (β, γ) = LeakyReLU(linear(features)). Here σ is the root of
    the biased variance; the text below Eq. 2 calls it the variance.

    `plus_one` scales by 1 + γ, so that a small linear layer begins near plain
    instance norm. The paper has no such one: with features in dB, tens of units each,
    γ is of order one from the start, with features near zero the layer is deaf and
    its output is zero.

    A block may call one such layer twice: the released code has one linear layer a
    block, which feeds both of its norms.
    """

    def __init__(self, channels: int, bands: int, *, plus_one: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(bands, 2 * channels)
        self.offset = 1.0 if plus_one else 0.0
        nn.init.normal_(self.linear.weight, 0.0, 0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(
        self,
        x: Float[Tensor, "frames channels height width"],
        features: Float[Tensor, "frames bands"],
    ) -> Float[Tensor, "frames channels height width"]:
        """One feature vector a frame; x needs more than one pixel."""
        style = F.leaky_relu(self.linear(features), LEAKY_SLOPE)[:, :, None, None]
        shift, scale = style.chunk(2, dim=1)
        return torch.addcmul(shift, F.instance_norm(x), scale + self.offset)


class NoiseInjection(nn.Module):
    """Add white noise, the same in every channel, at a learned strength.

    The strength is one number, zero at first: without training nothing is added.
    `generator` (on x's device) makes the noise repeatable. Fig. 3(a); Karras et al.
    2019 learn a strength for each channel, the released code one for all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(
        self,
        x: Float[Tensor, "items channels *size"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "items channels *size"]:
        noise = torch.randn(
            (len(x), 1, *x.shape[2:]),
            generator=generator,
            device=x.device,
            dtype=x.dtype,
        )
        return x + self.strength.to(x.dtype) * noise
