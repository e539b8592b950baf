"""Layers that several lessons share; each runs on CPU and GPU."""

from avnb.layers.blocks import DownBlock, PatchHead, UpBlock
from avnb.layers.conditional import AudioConditionalInstanceNorm, NoiseInjection
from avnb.layers.prediction import (
    ConvGRU,
    DirectionalConvGRU,
    Prediction,
    VideoPrediction,
)
from avnb.layers.recurrent import ResidualDilatedGRU

__all__ = [
    "AudioConditionalInstanceNorm",
    "ConvGRU",
    "DirectionalConvGRU",
    "DownBlock",
    "NoiseInjection",
    "PatchHead",
    "Prediction",
    "ResidualDilatedGRU",
    "UpBlock",
    "VideoPrediction",
]
