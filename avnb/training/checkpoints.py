"""The checkpoints of a run: everything that it needs to go on as if never stopped.

A checkpoint is a folder `checkpoints/step_0000500` with two files. `state.pt` is a file
of `torch.save` with the weights, the optimisers, the random generators and the
settings; `state.pt.sha256` is its checksum, as the command `sha256sum -c` reads it. The
folder appears by renaming it when both files are complete, so a process that is killed
while it writes leaves the checkpoint before as the newest one. Checkpoints are read by
torch's restricted reader, which runs no code.
"""

import hashlib
import importlib.metadata
import io
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avnb import files
from avnb.errors import CheckpointError
from avnb.pretrained.torch_files import load_torch_file
from avnb.training.models import fill_module

FORMAT = 2  # of `state.pt`; format 1 was JSON beside safetensors
STATE, CHECKSUM = "state.pt", "state.pt.sha256"
_OLD_STATE = "state.json"  # of format 1


def load_weights(folder: str | os.PathLike[str], **modules: nn.Module) -> None:
    """Load the newest weights of a run into modules.

    `load_weights(folder, G=G)` fills `G` from what the run prepared as `G`.

    Args:
        folder: the folder of the run.
        modules: the modules to fill. Each name and each shape must agree.

    Raises:
        CheckpointError: there is no checkpoint, it is damaged, or it does not fit.
    """
    newest = find_newest(Path(folder))
    if newest is None:
        raise CheckpointError(
            Path(folder), "no checkpoint is there", "Train the run first"
        )
    state = read_checkpoint(newest)["state"]
    for name, module in modules.items():
        if name not in state:
            raise CheckpointError(
                newest / STATE,
                f"{name} does not fit: the file holds {sorted(state)}",
                "Ask for one of these names",
            )
        restore_part(newest, name, module, state[name])


def write_checkpoint(folder: Path, content: Mapping[str, Any]) -> None:
    """Write one checkpoint, then delete the ones before.

    Args:
        folder: the run's folder of checkpoints.
        content: what `read_checkpoint` gives back: "step", "seconds" (of training),
            and "settings", "parts", "state" and "random", each a dictionary of tensors
            and plain values.

    Raises:
        TypeError: a value that torch's restricted reader could not read again.
        WriteError: the folder cannot be written, or the disk is full.
    """
    # For whoever asks why a run does not reproduce: rounding differs between versions.
    packages = ("torch", "accelerate", "numpy")
    description = {
        "format": FORMAT,
        **content,
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
    complete = folder / f"step_{content['step']:07d}"
    partial = folder / f".{complete.name}"
    if complete.exists():  # the run was stopped right after it had saved
        return
    # In memory first: the checksum is to be that of the bytes that torch made, and not
    # of what a bad disk gives back.
    buffer = io.BytesIO()
    torch.save(_copy_to_cpu(description, "checkpoint"), buffer)
    data = buffer.getvalue()
    checksum = f"{hashlib.sha256(data).hexdigest()}  {STATE}\n"
    # A process that was killed here before may have left an incomplete folder.
    shutil.rmtree(partial, ignore_errors=True)
    with files.explain_write_errors(folder):
        # The order matters. Both files, and their names in the folder, are on the disk
        # before the folder gets its own name. The older checkpoints go when that name
        # is on the disk, too.
        partial.mkdir(parents=True)
        files.write_bytes(partial / STATE, data)
        files.write_bytes(partial / CHECKSUM, checksum.encode())
        _sync_folder(partial)
        os.replace(partial, complete)
        _sync_folder(folder)
        delete_old(folder, complete)


def _copy_to_cpu(tree: Any, name: str) -> Any:
    """Copy nested containers; their tensors go to the CPU, keeping their layout.

    Without a copy `torch.save` would write the whole memory that a small view lies in.
    The layout (channels_last or not) must stay, since the sums of an optimiser step
    round otherwise in another layout.
    """
    if isinstance(tree, Tensor):
        return tree.detach().to("cpu", copy=True)
    if isinstance(tree, Mapping):
        return {key: _copy_to_cpu(v, f"{name}.{key}") for key, v in tree.items()}
    if isinstance(tree, list | tuple):
        items = [_copy_to_cpu(item, f"{name}.{i}") for i, item in enumerate(tree)]
        return items if isinstance(tree, list) else tuple(items)
    for kind in (bool, int, float, str):  # bool first: it is an int as well
        if isinstance(tree, kind):
            return kind(tree)  # without NumPy's subclasses, which cannot be read again
    if tree is None:
        return None
    raise TypeError(
        f"{name} is a {type(tree).__name__}, which a checkpoint cannot hold: "
        "give tensors, numbers, text, lists and dictionaries"
    )


def delete_old(folder: Path, newest: Path | None) -> None:
    """Delete all checkpoints but the newest, and what a killed process has left.

    A folder of another name, such as a reader's copy step_0000500-copy, stays.

    Args:
        folder: the run's folder of checkpoints.
        newest: the checkpoint to keep.
    """
    for old in _list_numbered(folder, "step_"):
        if old != newest:
            # Rename it first: a checkpoint that is half deleted must not be found.
            os.replace(old, folder / f".{old.name}")
    for old in _list_numbered(folder, ".step_"):
        shutil.rmtree(old, ignore_errors=True)


def _list_numbered(folder: Path, prefix: str) -> dict[Path, int]:
    """What is called by the prefix and a plain number: its path -> the number."""
    numbers = {p: p.name.removeprefix(prefix) for p in folder.glob(f"{prefix}*")}
    return {path: int(text) for path, text in numbers.items() if text.isdecimal()}


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut; Windows has no call for it."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_DIRECTORY)
        os.fsync(handle)
        os.close(handle)


def find_newest(folder: Path) -> Path | None:
    """Find the checkpoint with the most steps in the folder of a run."""
    found = _list_numbered(folder / "checkpoints", "step_")
    # As numbers: as text step_10000000 would come before step_9999999.
    return max(found, key=found.__getitem__, default=None)


def read_checkpoint(checkpoint: Path) -> dict[str, Any]:
    """Read one checkpoint, its tensors on the CPU.

    Raises:
        CheckpointError: it is missing, damaged, of another format, or holds something
            else than a checkpoint.
    """
    path = checkpoint / STATE
    remedy = f"Delete {checkpoint} and train again, or bring it back from a copy"
    if (checkpoint / _OLD_STATE).exists() and not path.exists():
        raise CheckpointError(
            checkpoint,
            "an older version of avnb wrote it, in a format that is no longer read",
            f"Delete {checkpoint} and train again, or go on with that version",
        )
    try:
        data = path.read_bytes()
        # As `sha256sum` writes it: the hash, two spaces and the name of the file.
        expected = (checkpoint / CHECKSUM).read_text().split()[0]
    except FileNotFoundError as error:
        raise CheckpointError(error.filename, "the file is missing", remedy) from None
    except (ValueError, IndexError):
        raise CheckpointError(
            checkpoint / CHECKSUM, "it holds no checksum", remedy
        ) from None
    # The hash first: torch must not be given a file that is not what was written.
    if hashlib.sha256(data).hexdigest() != expected:
        raise CheckpointError(
            path, "it is damaged: its checksum is not the one beside it", remedy
        )
    try:
        # `torch.save` compresses nothing, so what is in a file is not larger than it.
        content: dict[str, Any] = load_torch_file(data, largest=len(data))
        _check_content(content)
    except ValueError as error:
        raise CheckpointError(path, str(error), remedy) from None
    return content


def _check_content(content: Any) -> None:
    """Check that what was loaded has the fields of a checkpoint; else ValueError."""
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, not a checkpoint")
    if (found := content.get("format")) != FORMAT:
        raise ValueError(f"its format is {found}, and this version reads {FORMAT}")
    if not isinstance(content.get("step"), int):
        raise ValueError("its step is not a whole number")
    for key in ("settings", "parts", "state", "random"):
        if not isinstance(content.get(key), dict):
            raise ValueError(f"it has no {key}")


def restore_part(checkpoint: Path, name: str, part: Any, state: Any) -> None:
    """Load one part of a run (module, optimiser, schedule) from its saved state.

    Args:
        checkpoint: the folder that the state is from, for the error.
        name: the part's name in the run.
        part: the object to fill.
        state: what the part's `state_dict` was.

    Raises:
        CheckpointError: the state is that of something else.
    """
    path = checkpoint / STATE
    run = checkpoint.parent.parent
    remedy = f"Build {name} with the settings of the run, or delete {run} to begin anew"
    if not isinstance(state, Mapping):
        raise CheckpointError(path, f"{name} has no state in it", remedy)
    if isinstance(part, nn.Module):
        fill_module(part, state, path, name, remedy)
        return
    try:
        part.load_state_dict(state)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(path, f"{name} does not fit: {error}", remedy) from None
