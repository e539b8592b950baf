"""What several processes that train one model must share."""

from collections.abc import Iterable, Sequence

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

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


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the items of all processes, for maps (N, C, H, W).

    torch's SyncBatchNorm does this on GPUs only. Gradients flow through the sums of all
    processes, so that their average over the processes is that of the whole batch.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by the whole batch; in eval mode by the averages that were kept."""
        if not self.training:
            return super().forward(input)
        x = input.float()
        sums: Tensor = all_reduce(
            torch.stack([x.sum((0, 2, 3)), x.square().sum((0, 2, 3))])
        )
        count = x[:, 0].numel() * PartialState().num_processes
        mean, square = sums / count
        variance = square - mean.square()
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            self.num_batches_tracked += 1
            kept = 1.0 if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, kept)
            self.running_var.lerp_(variance * count / (count - 1), kept)
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return torch.addcmul(shift[:, None, None], x, scale[:, None, None])


def share_batch_norms(network: nn.Module) -> None:
    """Let the batch norms of a network see the items of all processes.

    Call it before `run.prepare`. With one process nothing changes. Critics with a
    gradient penalty should have no batch norm: a score must depend on its own item.
    """
    if PartialState().num_processes == 1:
        return
    for name, part in network.named_children():
        if type(part) is nn.BatchNorm2d:
            shared = SharedBatchNorm(part.num_features, part.eps, part.momentum)
            shared.load_state_dict(part.state_dict())
            setattr(network, name, shared)
        else:
            share_batch_norms(part)
