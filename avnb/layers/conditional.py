"""Layers with an input beside the maps: sound or noise (Redondo 2024, Sec. 3.3)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

LEAKY_SLOPE = 0.2  # of every LeakyReLU (Sec. 5.1)


class AudioConditionalInstanceNorm(nn.Module):
    """Instance norm whose shift and scale are computed from the frame's sound.

    Each frame and channel is normalised over its own pixels, then scaled by γ and
    shifted by β, where (β, γ) = LeakyReLU(linear(features)). Here σ is the root of the
    biased variance; the text below Eq. 2 calls it the variance. A block may call one
    such layer twice: in the released code one linear layer feeds both norms of a block.

    Args:
        channels: of the maps.
        bands: size of the sound features.
        plus_one: scale by 1 + γ instead of γ, so that the layer begins as a plain
            instance norm. The paper scales by γ. That works where features are in dB:
            they are tens of units large, so γ is of order one from the start. Where
            features are near zero, γ is too, and so is the output of the layer.

    Source: Redondo 2024, Eq. 2.
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
        """Return the maps, normalised and styled.

        Args:
            x: maps of more than one pixel, one item a frame.
            features: of each frame's sound.
        """
        # (frames, 2 channels) → (frames, 2 channels, 1, 1), to broadcast over pixels
        style = F.leaky_relu(self.linear(features), LEAKY_SLOPE)[:, :, None, None]
        shift, scale = style.chunk(2, dim=1)
        # shift + normalised · scale in one pass over memory
        return torch.addcmul(shift, F.instance_norm(x), scale + self.offset)


class NoiseInjection(nn.Module):
    """Adds white noise, the same in every channel, with a learned strength.

    The strength is one number that begins at zero. Karras et al. 2019 learn one for
    each channel; the released code learns one for all, as here.

    Source: Redondo 2024, Fig. 3(a).
    """

    def __init__(self) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(
        self,
        x: Float[Tensor, "items channels *size"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "items channels *size"]:
        """Return x with noise.

        Args:
            x: maps, or a signal of any number of dimensions.
            generator: on x's device; makes the noise repeatable.
        """
        noise = torch.randn(
            (len(x), 1, *x.shape[2:]),
            generator=generator,
            device=x.device,
            dtype=x.dtype,
        )
        # Under autocast x may be bfloat16 while the parameter stays float32.
        return x + self.strength.to(x.dtype) * noise
