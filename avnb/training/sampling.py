"""Seeds, batches, and the moving average of a network's weights."""

import math
import random
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Module = TypeVar("Module", bound=nn.Module)


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's generators (CPU and every GPU)."""
    random.seed(seed)
    # NumPy takes 32 bits only.
    np.random.seed(seed % 2**32)  # noqa: NPY002  (libraries still use it)
    torch.manual_seed(seed)


class BatchSampler:
    """Gives the indices of batch `i` as a pure function of `(seed, i)`.

    So it has no state to save: a run that resumes at step `i` asks for batch `i`. Each
    epoch is a permutation of `0 … n-1` of its own; its last, incomplete batch is
    dropped.

    Args:
        n: how many items there are.
        batch_size: items of a batch, all processes together; each process gets its
            share.
        seed: of the permutations.
        weights: (n,) with which probability each item is drawn, such as one over the
            size of its class. An epoch then draws with replacement.

    Raises:
        ValueError: the batch size or the weights cannot be.
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        *,
        seed: int = 0,
        weights: Sequence[float] | np.ndarray | Tensor | None = None,
    ) -> None:
        if not 0 < batch_size <= n:
            raise ValueError(f"batch_size is {batch_size}: with n = {n}, give 1 to {n}")
        # Knows the processes without an Accelerator, which fixes its options once.
        state = PartialState()
        self._rank, self._processes = state.process_index, state.num_processes
        if batch_size % self._processes:
            raise ValueError(
                f"batch_size is {batch_size}: give a multiple of the "
                f"{self._processes} processes that share it"
            )
        self.n, self.batch_size, self.seed = n, batch_size, seed
        self.per_epoch = n // batch_size
        self._weights: np.ndarray | None = None
        if weights is not None:
            w = np.asarray(weights, np.float64)
            if w.shape != (n,) or not (0 < w.sum() < math.inf and w.min() >= 0):
                raise ValueError(
                    f"weights have shape {w.shape}: give {n} finite numbers ≥ 0, "
                    "not all zero"
                )
            self._weights = w / w.sum()
        # The order of one epoch is kept, as most batches are asked for in order.
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def __getitem__(self, i: int) -> Tensor:
        """Return the indices of batch `i`, int64 on the CPU: this process's share."""
        if i < 0:
            raise IndexError(f"batch {i}: batches count from 0, without end")
        epoch, place = divmod(i, self.per_epoch)
        if epoch != self._epoch:
            # Seeded by both numbers, so that an epoch needs none of those before it.
            rng = np.random.default_rng([self.seed, epoch])
            if self._weights is None:
                self._order = rng.permutation(self.n)
            else:
                self._order = rng.choice(self.n, self.n, p=self._weights)
            self._epoch = epoch
        # Every process has the same order, and takes every n-th index of the batch.
        batch = self._order[place * self.batch_size : (place + 1) * self.batch_size]
        # A copy: else the tensor would share memory with the order of later batches.
        return torch.from_numpy(batch[self._rank :: self._processes].copy())

    # Batches never end, so a loop over them is a mistake.
    __iter__ = None


class EMA(AveragedModel):
    """An exponential moving average of a module's weights and running statistics.

    Give it to `run.prepare` beside the module, and call `update_parameters(module)`
    after each update. `ema.module` is the averaged network.

    Args:
        module: the network; it is copied.
        decay: how much of the average stays at each update. After n updates it is
            min(decay, (1 + n) / (10 + n)), so that the weights from before training
            are soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float = 0.999) -> None:
        @torch.no_grad()
        def average(
            old: Sequence[Tensor], new: Sequence[Tensor], count: Tensor | int
        ) -> None:
            # n stays a tensor: as a Python number each step would wait for the GPU.
            n = torch.as_tensor(count)
            share = 1 - ((1 + n) / (10 + n)).clamp(max=decay)
            for a, b in zip(old, new, strict=True):
                if a.is_floating_point():
                    a.lerp_(b, share.to(a.dtype))
                else:  # counters, such as the number of batches a batch norm saw
                    a.copy_(b)

        # Buffers as well: averaged weights need averaged batch-norm statistics.
        super().__init__(module, multi_avg_fn=average, use_buffers=True)
        self.requires_grad_(False)
