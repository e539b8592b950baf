"""A reported number and all that it needs to be believed."""

import hashlib
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Measure:
    """One number with its 95 % interval and where it comes from.

    `low` and `high` equal `value` where it is exact (a closed form). `n` counts what
    was measured: clips, or seeds, or ratings (`counted` says which); 0 is a closed
    form. `network` and `checksum` name the judge, `note` says how the interval was
    made.
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
        if not self.low <= self.value <= self.high:
            raise ValueError(
                f"{self.name}: the interval {self.low} to {self.high} does not hold "
                f"the value {self.value}"
            )

    def annotate(self, **fields: Any) -> "Measure":
        """The same number with more said of it: split="test", seed=0, resize=..."""
        return replace(self, **fields)

    def annotate_network(self, network: nn.Module, name: str = "") -> "Measure":
        """The same number, with its network named and its weights' checksum."""
        return replace(
            self,
            network=name or type(network).__name__,
            checksum=state_checksum(network),
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; infinite ends of an interval become None."""
        fields = asdict(self)
        for end in ("low", "high"):
            if not math.isfinite(fields[end]):
                fields[end] = None
        return fields

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Measure":
        """The inverse of `as_dict`."""
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
    """SHA-256 of the module's parameters and buffers: names, types, shapes, values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
