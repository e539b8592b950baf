"""What the true input holds of a quantity: an oracle regression.

A network can only be asked for what its input holds. The oracle is a kernel ridge
regression from the input's features, in a window around each moment, to the truth. It
is fitted on the part that the networks learn from, and judged on the part that they are
tested on. Its r is the ceiling of a network that hears no more. The r of the same
readings, shifted in time, is the floor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from avnb.metrics.motion import FLAT, correlation, shifted_correlation

PENALTIES = (3e-3, 1e-2, 3e-2, 1e-1, 3e-1)  # of the ridge; a kernel's diagonal is 4
NEAR = 3  # frames on each side that the second kernel compares
MOST = 4000  # frames that an oracle is fitted on: the cost grows with their cube
Features = Float[Tensor, "time features"]
Truth = Mapping[str, Float[Tensor, " time"]]


def stack_context(
    features: Features, before: int, after: int
) -> Float[Tensor, "time stacked"]:
    """Put the frames around each frame side by side; the ends are repeated.

    Args:
        features: of each frame.
        before: frames of the past beside each.
        after: frames of the future.

    Returns:
        (time, (before + 1 + after) * features), the earliest frame first.
    """
    frames = torch.arange(len(features))[:, None] + torch.arange(-before, after + 1)
    return features[frames.clamp(0, len(features) - 1)].flatten(1)


@dataclass(frozen=True)
class Kernel:
    """Compares windows of features: a linear kernel plus a Gaussian one.

    Loudness and tone colour are nearly linear in features of decibels; which drum was
    struck is not.

    Attributes:
        before: frames of the past in a window.
        after: frames of the future.
        seen: (frames, stacked) windows to compare with, minus `mean`.
        mean: (stacked,).
        scale: the mean squared length of `seen`.
    """

    before: int
    after: int
    seen: Tensor
    mean: Tensor
    scale: Tensor

    @classmethod
    def fit(cls, features: Features, before: int, after: int, step: int) -> "Kernel":
        """The kernel of windows around each `step`-th frame."""
        seen = stack_context(features, before, after)[::step]
        mean = seen.mean(dim=0)
        scale = (seen - mean).square().sum(dim=1).mean().clamp(min=FLAT)
        return cls(before, after, seen - mean, mean, scale)

    def compare(self, features: Features) -> Float[Tensor, "time frames"]:
        """The kernel of each frame's window with each one that was seen."""
        x = stack_context(features, self.before, self.after) - self.mean
        apart = torch.cdist(x, self.seen).square() / (2 * self.scale)
        return x @ self.seen.T / self.scale + torch.exp(-apart)


@dataclass(frozen=True)
class Oracle:
    """A fitted regression from sound (or any input) to known quantities.

    Attributes:
        names: of the quantities.
        kernels: of the whole window, and of the frames nearest to the moment.
        weights: (frames, quantities).
        bias: (quantities,).
    """

    names: tuple[str, ...]
    kernels: tuple[Kernel, Kernel]
    weights: Tensor
    bias: Tensor

    def read(self, features: Features) -> dict[str, Float[Tensor, " time"]]:
        """Read every quantity from the features of each frame."""
        x = features.float().cpu()
        kernel = _add_kernels(self.kernels, x)
        found = kernel @ self.weights + self.bias
        return dict(zip(self.names, found.T, strict=True))


def fit_oracle(
    features: Features, truth: Truth, *, before: int, after: int = 0
) -> Oracle:
    """Fit a kernel ridge regression from windows of features to all quantities.

    The penalty is, for each quantity, the one that reads the last fifth of these frames
    best when the regression is fitted on the others. Then it is fitted on all.

    Args:
        features: of the training part.
        truth: name -> the quantity at each frame. One that is constant, or unknown
            (nan) anywhere, is left out.
        before: frames of the past beside each.
        after: frames of the future; a causal network has none of them.

    Raises:
        ValueError: there are fewer than 10 frames, or no quantity varies.
    """
    if len(features) < 10:
        raise ValueError(f"{len(features)} frames: an oracle needs 10 or more")
    known = {k: v.float().cpu() for k, v in truth.items() if v.isfinite().all()}
    names = tuple(k for k, v in known.items() if v.std() > FLAT)
    if not names:
        raise ValueError("no quantity of the truth varies: there is nothing to read")
    heard, step = features.float().cpu(), -(-len(features) // MOST)
    kernels = (
        Kernel.fit(heard, before, after, step),
        Kernel.fit(heard, min(before, NEAR), min(after, NEAR), step),
    )
    kernel = _add_kernels(kernels, heard)[::step]
    right = torch.stack([known[name] for name in names], dim=1)[::step]
    bias, spread = right.mean(dim=0), right.std(dim=0)
    y = (right - bias) / spread
    cut = len(y) * 4 // 5
    errors = []
    for penalty in PENALTIES:
        weights = _solve(kernel[:cut, :cut], y[:cut], penalty)
        errors.append((kernel[cut:, :cut] @ weights - y[cut:]).square().mean(dim=0))
    best = torch.stack(errors).argmin(dim=0)
    weights = torch.zeros_like(y)
    for k in best.unique().tolist():
        chosen = best == k
        weights[:, chosen] = _solve(kernel, y[:, chosen], PENALTIES[k])
    return Oracle(names, kernels, weights * spread, bias)


def _add_kernels(kernels: tuple[Kernel, Kernel], features: Features) -> Tensor:
    """Compare all frames by both kernels."""
    whole, near = kernels
    return whole.compare(features) + near.compare(features)


def _solve(kernel: Tensor, y: Tensor, penalty: float) -> Tensor:
    """The weights of a kernel ridge regression."""
    ridge = penalty * torch.eye(len(kernel))
    return torch.cholesky_solve(y, torch.linalg.cholesky(kernel + ridge))


def judge_oracle(
    oracle: Oracle,
    features: Features,
    truth: Truth,
    *,
    block: int,
    least: int,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """What can be heard: a row for each quantity, on frames that it has not seen.

    Args:
        oracle: fitted on other frames.
        features: of the test part.
        truth: of the test part.
        block: frames of a block of time, the unit of the interval.
        least: the smallest shift of the control, in frames.
        seed: of the jackknife.

    Returns:
        Rows with ``quantity``, ``r`` (a Measure) and ``r, shifted`` (a Measure).
    """
    rows = []
    for name, found in oracle.read(features).items():
        curves = found.double().numpy(), truth[name].double().cpu().numpy()
        own = correlation(*curves, block, seed=seed)
        floor = shifted_correlation(*curves, least)
        rows.append({"quantity": name, "r": own, "r, shifted": floor})
    return rows
