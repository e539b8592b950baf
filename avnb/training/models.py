"""Save a trained model as one safetensors file, and build it again from that file."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from accelerate import PartialState
from safetensors import SafetensorError
from torch import Tensor, nn

from avnb import files
from avnb.errors import CheckpointError

Module = TypeVar("Module", bound=nn.Module)

_PREFIX = "model."  # of each tensor's name in a model file
_LENGTH_BYTES = 8  # of the header's length at the beginning of a safetensors file
_SHOWN = 5  # misfits that an error names; a wrong class would name hundreds


def save_model(path: str | os.PathLike[str], module: nn.Module, **config: Any) -> None:
    """Save a module as one safetensors file: its weights and how to build it.

    The file is written whole or not at all. With many processes the first one writes.

    Args:
        path: the file to write; its folder is made.
        module: the module to save.
        config: the arguments of the module's class, plain values; `load_model` builds
            the module from them.
    """
    if not PartialState().is_main_process:
        return
    # safetensors refuses tensors that share memory or are not contiguous, such as
    # weights in channels_last: copy each into memory of its own.
    tensors = {
        _PREFIX + name: tensor.detach().to(
            "cpu", copy=True, memory_format=torch.contiguous_format
        )
        for name, tensor in module.state_dict().items()
    }
    description = {"class": type(module).__name__, "config": json.dumps(config)}
    content = safetensors.torch.save(tensors, metadata=description)
    files.write_bytes(path, _sort_header(content))


def _sort_header(content: bytes) -> bytes:
    """Put the fields of a safetensors file's header in alphabetical order.

    safetensors keeps the metadata in a hash map that is seeded at random, so equal
    models would give files with other bytes, and other checksums, in each process.

    Args:
        content: a whole file: 8 bytes with the header's length, the header as JSON
            padded with spaces, and the tensors.

    Returns:
        The same file; the tensors lie where they did.
    """
    end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = json.loads(content[_LENGTH_BYTES:end])
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    # The tensors begin at a multiple of 8, so that they can be mapped into memory.
    text += b" " * (-len(text) % _LENGTH_BYTES)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text + content[end:]


def shrink_model(path: Path, about: Mapping[str, Any]) -> bytes:
    """Make the content of a smaller file of a saved model, to be published.

    Its matrices and kernels are rounded to float16, which halves the file. Vectors stay
    float32: a running variance may be too small for float16. `load_model` reads it into
    a float32 module. Other safetensors files keep their tensors as they are.

    Args:
        path: a file of `save_model`, or another safetensors file.
        about: where the model is from; kept in the file's metadata as "provenance".

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    remedy = f"Delete {path} and run again the step that makes it"
    try:
        tensors = safetensors.torch.load(path.read_bytes())
        with safetensors.safe_open(path, "pt") as file:
            description = dict(file.metadata() or {})
    except FileNotFoundError:
        raise CheckpointError(path, "the file is missing", remedy) from None
    except SafetensorError as error:
        raise CheckpointError(path, f"it is damaged ({error})", remedy) from None
    if "class" in description:
        tensors = {name: _round_weights(tensor) for name, tensor in tensors.items()}
    description["provenance"] = json.dumps(dict(about), sort_keys=True)
    return _sort_header(safetensors.torch.save(tensors, metadata=description))


def _round_weights(tensor: Tensor) -> Tensor:
    """A matrix or a kernel in float16, if that can hold it."""
    if tensor.ndim < 2 or tensor.dtype != torch.float32:
        return tensor
    half = tensor.half()
    return half if half.isfinite().all() else tensor


def load_model(path: str | os.PathLike[str], cls: type[Module]) -> Module:
    """Build the module that `save_model` wrote, on the CPU and in eval mode.

    Args:
        path: a file of `save_model`.
        cls: the class of the module; the file says with which arguments it is built.

    Raises:
        CheckpointError: the file is missing, damaged or of another class, or its
            weights do not fit its own description.
    """
    path = Path(path)
    remedy = f"Delete {path} and run again the step that makes it"
    try:
        tensors = safetensors.torch.load(path.read_bytes())
        with safetensors.safe_open(path, "pt") as file:
            description = file.metadata() or {}
    except FileNotFoundError:
        raise CheckpointError(
            path, "the file is missing", "Run the step that makes it"
        ) from None
    except SafetensorError as error:
        raise CheckpointError(path, f"it is damaged ({error})", remedy) from None
    if (held := description.get("class")) != cls.__name__:
        raise CheckpointError(path, f"it holds a {held}, not a {cls.__name__}", remedy)
    try:
        config = json.loads(description["config"])
        # On the meta device first, which takes no memory: a file may claim any size.
        with torch.device("meta"):
            claimed = cls(**config).state_dict()
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        problem = f"its description does not build a {cls.__name__} ({error})"
        raise CheckpointError(path, problem, remedy) from error
    # Now that the sizes are known without memory, compare before any is taken.
    sizes = [sum(t.numel() for t in of.values()) for of in (claimed, tensors)]
    if sizes[0] > sizes[1]:
        raise CheckpointError(path, "it holds fewer weights than it claims", remedy)
    module = cls(**config)
    saved = {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items()}
    fill_module(module, saved, path, "model", remedy)
    return module.eval()


def fill_module(
    module: nn.Module,
    saved: Mapping[str, Tensor],
    path: Path,
    name: str,
    remedy: str,
) -> None:
    """Copy saved weights into a module: each name and each shape must agree.

    Args:
        module: the module to fill.
        saved: the weights by name.
        path: the file that they are from, for the error.
        name: what the module is called, for the error.
        remedy: what the error tells the reader to do.

    Raises:
        CheckpointError: it names the weights that do not fit.
    """
    own = module.state_dict()
    # load_state_dict would list all of this too, in a form that names no file.
    problems = [f"{key} is missing" for key in own if key not in saved]
    problems += [f"{key} is unknown to the module" for key in saved if key not in own]
    problems += [
        f"{key} is {tuple(saved[key].shape)}, the module has {tuple(own[key].shape)}"
        for key in own
        if key in saved and saved[key].shape != own[key].shape
    ]
    if problems:
        more = len(problems) - _SHOWN
        listed = "; ".join(problems[:_SHOWN]) + (f" and {more} more" * (more > 0))
        raise CheckpointError(path, f"{name} does not fit: {listed}", remedy)
    module.load_state_dict(saved)
