"""A reported number, with its interval and how it was measured."""

import hashlib
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Measure:
    """One number with its 95 % interval and where it comes from.

    Attributes:
        name: of the metric.
        value: the number.
        low: the lower end of the interval; the value itself where that is exact.
        high: the upper end.
        n: how many things were measured; 0 for a closed form.
        counted: what these things are: clips, seeds, ratings.
        unit: of the value; "fraction" is printed in per cent.
        network: the name of the network that the metric uses.
        checksum: of the network's weights.
        seed: of the random numbers.
        split: of the data.
        resize: how pictures were brought to the network's size.
        note: how the interval was made, and what else must be known.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    counted: str = "clips"
    unit: str = ""
    network: str = ""
    checksum: str = ""
    seed: int | None = None
    split: str = ""
    resize: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        # Also false where any of them is NaN, which no report may print.
        if not self.low <= self.value <= self.high:
            raise ValueError(
                f"{self.name}: the interval {self.low} to {self.high} does not hold "
                f"the value {self.value}"
            )

    def annotate(self, **fields: Any) -> "Measure":
        """Return the same measure with other fields, such as split="test"."""
        return replace(self, **fields)

    def annotate_network(self, network: nn.Module, name: str = "") -> "Measure":
        """Return the same measure with its network's name and checksum.

        Args:
            network: what the metric was computed with.
            name: its name; the name of its class where none is given.
        """
        return replace(
            self,
            network=name or type(network).__name__,
            checksum=state_checksum(network),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, which has no infinity: such an end is None."""
        # Infinite ends are honest: one recording tells nothing of the next one.
        fields = asdict(self)
        for end in ("low", "high"):
            if not math.isfinite(fields[end]):
                fields[end] = None
        return fields

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Measure":
        """Return the measure of which `as_dict` made these fields."""
        # None stands for an infinite end, as `as_dict` writes it.
        low, high = fields["low"], fields["high"]
        return cls(
            **{
                **fields,
                "low": -math.inf if low is None else low,
                "high": math.inf if high is None else high,
            }
        )

    def __str__(self) -> str:
        scale, unit = (100, " %") if self.unit == "fraction" else (1, "")
        if self.unit and not unit:
            unit = f" {self.unit}"
        value, low, high = (
            f"{scale * x:.3g}" for x in (self.value, self.low, self.high)
        )
        text = f"{self.name}: {value}{unit}"
        # The value of a closed form is exact, so it has no interval to print.
        if self.low < self.high:
            text += f" [{low}, {high}]"
        about = [f"n = {self.n} {self.counted}"] if self.n else ["exact"]
        if self.network:
            about.append(f"{self.network} {self.checksum[:8]}".strip())
        about += [self.split] if self.split else []
        about += [f"seed {self.seed}"] if self.seed is not None else []
        about += [self.resize] if self.resize else []
        about += [self.note] if self.note else []
        return f"{text} ({'; '.join(about)})"


def state_checksum(module: nn.Module) -> str:
    """Compute the SHA-256 of a module's parameters and buffers.

    Names, types, shapes and values count.
    """
    digest = hashlib.sha256()
    # Sorted, so that the order in which a class makes its layers does not matter.
    for name, tensor in sorted(module.state_dict().items()):
        # The same bytes with other names or shapes would be another network.
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        # reshape: a scalar cannot be viewed as bytes
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
