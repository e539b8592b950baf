"""The layers that the series share."""

from avnb.layers.blocks import DownBlock, PatchHead, UpBlock
from avnb.layers.conditional import AudioConditionalInstanceNorm, NoiseInjection

__all__ = [
    "AudioConditionalInstanceNorm",
    "DownBlock",
    "NoiseInjection",
    "PatchHead",
    "UpBlock",
]
