"""How the kernels of convolutions lie in memory."""

import torch
from torch import nn


def use_channels_last(network: nn.Module) -> None:
    """Store the kernels of 2-d convolutions with their channels last, in place.

    The numbers stay the same. Most 2-d convolutions are then faster: on a CPU, VGG16's
    gradient and InceptionFID take a quarter less time.
    """
    for module in network.modules():
        # One by one: a whole network may hold 3-d convolutions, whose kernels of five
        # dimensions have no such format, and `to` would fail on them.
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
