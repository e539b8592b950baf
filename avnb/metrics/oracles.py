"""What the true input holds of a quantity: an oracle regression.

A network can only be asked for what its input holds. The oracle is a ridge regression
from the input's features, in a window around each moment, to the truth. It is fitted on
the part that the networks learn from, and judged on the part that they are tested on.
Its r is the ceiling of a network that hears no more. The r of the same readings,
shifted in time, is the floor.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avnb.metrics.measure import Measure
from avnb.metrics.motion import FLAT, correlation, shifted_correlation

PENALTIES = (1e-3, 1e-2, 1e-1)  # of the ridge, times the mean variance of the inputs
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
class Oracle:
    """A fitted regression from sound (or any input) to known quantities.

    Attributes:
        names: of the quantities.
        before: frames of the past that it hears.
        after: frames of the future that it hears.
        input_mean: (stacked,).
        weights: (stacked, quantities).
        output_mean: (quantities,).
    """

    names: tuple[str, ...]
    before: int
    after: int
    input_mean: Tensor
    weights: Tensor
    output_mean: Tensor

    def read(self, features: Features) -> dict[str, Float[Tensor, " time"]]:
        """Read every quantity from the features of each frame."""
        x = stack_context(features.double().cpu(), self.before, self.after)
        found = (x - self.input_mean) @ self.weights + self.output_mean
        return dict(zip(self.names, found.T, strict=True))


def fit_oracle(
    features: Features, truth: Truth, *, before: int, after: int = 0
) -> Oracle:
    """Fit a ridge regression from windows of features to all quantities at once.

    Its penalty is the one, for each quantity, that reads the last fifth of these frames
    best when it is fitted on the others. Then it is fitted on all.

    Args:
        features: of the training part.
        truth: name -> the quantity at each frame; one that is constant, or unknown
            (nan) anywhere, is left out.
        before: frames of the past beside each.
        after: frames of the future. A causal network has none of them.

    Raises:
        ValueError: there are fewer than 10 frames, or no quantity varies.
    """
    if len(features) < 10:
        raise ValueError(f"{len(features)} frames: an oracle needs 10 or more")
    values = {name: curve.double().cpu() for name, curve in truth.items()}
    names = tuple(k for k, v in values.items() if v.isfinite().all() and v.std() > FLAT)
    if not names:
        raise ValueError("no quantity of the truth varies: there is nothing to read")
    x = stack_context(features.double().cpu(), before, after)
    y = torch.stack([values[name] for name in names], dim=1)
    cut = len(x) * 4 // 5
    trials = []
    for penalty in PENALTIES:
        weights, x_mean, y_mean = _solve_ridge(x[:cut], y[:cut], penalty)
        error = (x[cut:] - x_mean) @ weights + y_mean - y[cut:]
        trials.append(error.square().mean(dim=0))
    best = torch.stack(trials).argmin(dim=0)
    columns = []
    for k, penalty in enumerate(PENALTIES):
        weights, x_mean, y_mean = _solve_ridge(x, y, penalty)
        columns.append(torch.where(best == k, weights, 0.0))
    return Oracle(names, before, after, x_mean, sum(columns), y_mean)
