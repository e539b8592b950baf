"""What several processes that train one model must share."""

from collections.abc import Iterable, Sequence

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor

from avnb.training.sampling import seed_everything

SEED_STEP = 1_000_003  # between two processes' seeds; a prime, so that none meet


def seed_process(accelerator: Accelerator, seed: int, own: torch.Generator) -> None:
    """Seed all generators of this process, each process with a seed of its own.

    Args:
        accelerator: gives the number of this process.
        seed: the seed of the run; the first process gets this one.
        own: the run's own generator.
    """
    seed = seed + SEED_STEP * accelerator.process_index
    seed_everything(seed)
    own.manual_seed(seed)


def broadcast_from_first(accelerator: Accelerator, tensors: Iterable[Tensor]) -> None:
    """Overwrite the tensors of every process by those of the first one."""
    if accelerator.num_processes > 1:
        with torch.no_grad():
            for tensor in tensors:
                # The message must be contiguous, which weights in channels_last are
                # not. `copy_` brings it back into their own layout.
                tensor.copy_(broadcast(tensor.contiguous()))


def average_gradients(accelerator: Accelerator, weights: Sequence[Tensor]) -> None:
    """Replace each gradient by its mean over the processes.

    This is what DistributedDataParallel does. It is done by hand, because that class
    wraps one network with one backward pass, where a GAN's step goes through several
    networks and updates one of them.
    """
    if accelerator.num_processes == 1:
        return
    # A weight that the loss does not reach has no gradient in any process.
    grads = [w.grad for w in weights if w.grad is not None]
    # One message with all gradients is faster than one message each.
    flat = torch.cat([g.reshape(-1) for g in grads])
    flat = accelerator.reduce(flat, "mean")
    parts = flat.split([g.numel() for g in grads])
    for grad, part in zip(grads, parts, strict=True):
        grad.copy_(part.view_as(grad))
