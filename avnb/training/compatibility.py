"""Whether a checkpoint and the run that wants to go on from it are of one kind."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from avnb.errors import CheckpointError


def describe_parts(parts: Mapping[str, Any]) -> dict[str, str]:
    """Say in words what each part of a run is.

    Of an optimiser this includes which weights it updates in which order, since its
    state knows them by their place only. The list is long, so a checksum stands for it.

    Raises:
        ValueError: an optimiser updates weights of a module that is not in `parts`.
    """
    # By identity: two weights with equal values are still two weights.
    names = {
        id(weight): f"{name}.{key}"
        for name, part in parts.items()
        if isinstance(part, nn.Module)
        for key, weight in part.named_parameters()
    }
    described = {}
    for name, part in parts.items():
        described[name] = type(part).__name__
        if isinstance(part, nn.Module):
            # Its class may be renamed. What must agree are its weights, whose names and
            # shapes are compared when they are loaded.
            described[name] = "a module"
        elif isinstance(part, torch.optim.Optimizer):
            weights = [w for g in part.param_groups for w in g["params"]]
            if any(id(weight) not in names for weight in weights):
                raise ValueError(
                    f"{name} updates weights of a module that run.prepare was not "
                    "given: they would be lost when the run resumes. Give run.prepare "
                    "that module as well"
                )
            listed = ", ".join(names[id(weight)] for weight in weights)
            digest = hashlib.sha256(listed.encode()).hexdigest()[:8]
            described[name] += f" of {len(weights)} weights ({digest})"
    return described


def check_same_run(
    checkpoint: Path,
    saved: Mapping[str, Any],
    settings: Mapping[str, Any],
    parts: Mapping[str, str],
) -> None:
    """Check that a checkpoint was made with the settings and parts of this run.

    Args:
        checkpoint: the folder of the checkpoint.
        saved: its content.
        settings: the settings of this run.
        parts: what `describe_parts` says of this run.

    Raises:
        CheckpointError: it lists every difference, with the old and the new value.
    """
    # All differences at once: a reader who sees one at a time starts over and over.
    changes = _list_changes(saved["settings"], settings)
    changes += _list_changes(saved["parts"], parts)
    if changes:
        run = checkpoint.parent.parent
        remedy = f"Set RUN_DIR to a new folder, or delete {run} to begin anew"
        begun = saved["settings"].get("precision")
        if begun != settings.get("precision"):
            # "auto" chooses bfloat16 only where the hardware has it.
            remedy = (
                f"To go on with it, give --set precision={begun} and, with --run-dir, "
                f"the folder that holds {run} (bfloat16 is slow where the hardware "
                f"lacks it). {remedy}"
            )
        raise CheckpointError(
            checkpoint,
            f"this run was begun with other settings: {'; '.join(changes)}",
            remedy,
        )


def _list_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    missing = object()  # None is a value that a setting may have
    changes = []
    for key in sorted({*old, *new}):
        before, now = old.get(key, missing), new.get(key, missing)
        if before != now:
            told = ["not there" if x is missing else _to_text(x) for x in (before, now)]
            changes.append(f"{key} was {told[0]} and is now {told[1]}")
    return changes


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
