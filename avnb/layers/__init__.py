"""Layers that several lessons share; each runs on CPU and GPU."""

from avnb.layers.blocks import (
    Conv3d,
    DownBlock,
    PatchHead,
    UpBlock,
    use_channels_last,
)
from avnb.layers.conditional import AudioConditionalInstanceNorm, NoiseInjection
from avnb.layers.prediction import (
    ConvGRU,
    DirectionalConvGRU,
    Prediction,
    VideoPrediction,
)
from avnb.layers.recurrent import ResidualDilatedGRU
from avnb.layers.waveform import DownConv1d, PhaseShuffle, UpConv1d, shuffle_phase

__all__ = [
    "AudioConditionalInstanceNorm",
    "Conv3d",
    "ConvGRU",
    "DirectionalConvGRU",
    "DownBlock",
    "DownConv1d",
    "NoiseInjection",
    "PatchHead",
    "PhaseShuffle",
    "Prediction",
    "ResidualDilatedGRU",
    "UpBlock",
    "UpConv1d",
    "VideoPrediction",
    "shuffle_phase",
    "use_channels_last",
]
