"""The step loop's plumbing: devices, precision, checkpoints, resume, logs.

The lesson keeps its losses and its updates in sight; :class:`Run` does the rest.
"""

from avnb.training.checkpoints import load_weights
from avnb.training.devices import get_device, keep_freed_memory
from avnb.training.models import load_model, save_model
from avnb.training.processes import share_batch_norms
from avnb.training.run import Run, TrainingStep
from avnb.training.sampling import EMA, BatchSampler, seed_everything

__all__ = [
    "EMA",
    "BatchSampler",
    "Run",
    "TrainingStep",
    "get_device",
    "keep_freed_memory",
    "load_model",
    "load_weights",
    "save_model",
    "seed_everything",
    "share_batch_norms",
]
