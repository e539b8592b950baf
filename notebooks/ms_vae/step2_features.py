# %%
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int64
from safetensors import SafetensorError, safe_open
from torch import Tensor

from avnb import files


# %%
@dataclass(frozen=True)
class Seconds:
    """N videos of T = 10 seconds, a row of features a second and modality.

    visual: (N, T, 512) and audio (N, T, 128), as the two networks give them
    event: (N, T), whether the event is seen and heard in that second
    label: (N,) index into `classes`
    videos: N names; networks: what measured "visual" and "audio"
    """

    visual: Float[Tensor, "N T 512"]
    audio: Float[Tensor, "N T 128"]
    event: Bool[Tensor, "N T"]
    label: Int64[Tensor, " N"]
    videos: list[str]
    classes: list[str]
    networks: dict[str, str]
