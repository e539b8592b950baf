"""Layers that several lessons share: each on CPU and GPU, whole sequences at a time."""

from avnb.layers.prediction import (
    ConvGRU,
    DirectionalConvGRU,
    Prediction,
    VideoPrediction,
)
from avnb.layers.recurrent import ResidualDilatedGRU

__all__ = [
    "ConvGRU",
    "DirectionalConvGRU",
    "Prediction",
    "ResidualDilatedGRU",
    "VideoPrediction",
]
