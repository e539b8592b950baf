"""Checkpoints and models on disk, written whole, read without running code."""

import hashlib
import importlib.metadata
import json
import os
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors.torch
import torch
from accelerate import PartialState
from safetensors import SafetensorError
from torch import Tensor, nn

from avnb import files
from avnb.errors import CheckpointError

Module = TypeVar("Module", bound=nn.Module)

FORMAT = 1  # of the checkpoints


def load_weights(folder: str | os.PathLike[str], **modules: nn.Module) -> None:
    """Load a run's newest weights into modules.

    `load(folder, G=G)` fills `G` from what the run prepared as `G`, strictly: each
    name and shape must agree. Raises CheckpointError.
    """
    found = find_newest(Path(folder))
    if found is None:
        raise CheckpointError(
            Path(folder), "no checkpoint is there", "Train the run first"
        )
    tensors = read_checkpoint(found)[0]
    for name, module in modules.items():
        _load_module(found / "tensors.safetensors", name, module, tensors)


def save_model(path: str | os.PathLike[str], module: nn.Module, **config: Any) -> None:
    """Keep a module as one safetensors file: weights, and the arguments of its class.

    `config` are those arguments, plain values; `load_model` builds the module from
    them. Written whole or not at all, by the first process alone.
    """
    if not PartialState().is_main_process:
        return
    tensors: dict[str, Tensor] = {}
    encode_state(module.state_dict(), "model", tensors)
    about = {"class": type(module).__name__, "config": json.dumps(config)}
    content = safetensors.torch.save(_contiguous(tensors), metadata=about)
    files.write_bytes(path, content)


def load_model(path: str | os.PathLike[str], cls: type[Module]) -> Module:
    """The module of `save_model`, on the CPU and in eval mode.

    Raises CheckpointError where the file is missing, damaged, of another class, or
    its weights do not fit its own description.
    """
    path = Path(path)
    tensors = _read_tensors(path)
    with safetensors.safe_open(path, "pt") as file:
        about = file.metadata() or {}
    if about.get("class") != cls.__name__:
        raise CheckpointError(
            path, f"it holds a {about.get('class')}, not a {cls.__name__}", _DAMAGED
        )
    try:
        config = json.loads(about["config"])
        # Without memory first: a file may claim any size.
        with torch.device("meta"):
            claimed = cls(**config).state_dict()
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        problem = f"it describes no {cls.__name__}"
        raise CheckpointError(path, problem, _DAMAGED) from error
    sizes = [sum(t.numel() for t in of.values()) for of in (claimed, tensors)]
    if sizes[0] > sizes[1]:
        raise CheckpointError(path, "it holds fewer weights than it claims", _DAMAGED)
    module = cls(**config)
    _load_module(path, "model", module, tensors)
    return module.eval()


def encode_state(tree: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """`tree` as JSON, its tensors moved out into `tensors` under dotted names."""
    if isinstance(tree, Tensor):
        tensors[name] = tree
        return {"tensor": name}
    if isinstance(tree, Mapping):
        items = [[k, encode_state(v, f"{name}.{k}", tensors)] for k, v in tree.items()]
        return {"dict": items}
    if isinstance(tree, list | tuple):
        items = [encode_state(v, f"{name}.{i}", tensors) for i, v in enumerate(tree)]
        return {type(tree).__name__ if type(tree) in (list, tuple) else "tuple": items}
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    raise TypeError(f"{name} is a {type(tree).__name__}, which no checkpoint can hold")


def decode_state(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(tree, dict):
        return tree
    ((kind, value),) = tree.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {k: decode_state(v, tensors) for k, v in value}
    return {"list": list, "tuple": tuple}[kind](decode_state(v, tensors) for v in value)


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: t.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, t in tensors.items()
    }


def write_checkpoint(
    folder: Path, number: int, tensors: Mapping[str, Tensor], description: dict
) -> None:
    data = safetensors.torch.save(_contiguous(tensors))
    packages = ("torch", "accelerate", "safetensors", "numpy")
    description = {
        "format": FORMAT,
        **description,
        "sha256": hashlib.sha256(data).hexdigest(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
    whole, part = folder / f"step_{number:07d}", folder / f".step_{number:07d}"
    if whole.exists():  # a stop right after a save
        return
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    files.write_bytes(part / "tensors.safetensors", data)
    files.write_bytes(part / "state.json", json.dumps(description, indent=1).encode())
    os.replace(part, whole)
    _sync_folder(folder)
    delete_old(folder, whole)


def delete_old(folder: Path, newest: Path | None) -> None:
    """Delete the checkpoints before, and what a kill has left."""
    for old in folder.glob("step_*"):
        if old != newest:  # a half-deleted one must not be found
            os.replace(old, folder / f".{old.name}")
    for old in folder.glob(".step_*"):
        shutil.rmtree(old, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_DIRECTORY)
        os.fsync(handle)
        os.close(handle)


def find_newest(folder: Path) -> Path | None:
    found = [
        path
        for path in (folder / "checkpoints").glob("step_*")
        if path.name.removeprefix("step_").isdecimal()
    ]
    return max(
        found, key=lambda path: int(path.name.removeprefix("step_")), default=None
    )


_DAMAGED = "Delete its folder and train again, or bring it back from a copy"


def read_checkpoint(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    path = checkpoint / "state.json"
    try:
        saved = json.loads(path.read_text())
        if saved["format"] != FORMAT:
            raise CheckpointError(
                path, f"its format is {saved['format']}, not {FORMAT}", _DAMAGED
            )
        if not isinstance(saved["step"], int):
            raise TypeError("step is no whole number")
        for key in ("settings", "parts", "state"):
            saved[key].keys()
        checksum = saved["sha256"]
    except FileNotFoundError:
        raise CheckpointError(path, "it is missing", _DAMAGED) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(path, f"it is damaged ({error!r})", _DAMAGED) from None
    return _read_tensors(checkpoint / "tensors.safetensors", checksum), saved


def _read_tensors(path: Path, checksum: str | None = None) -> dict[str, Tensor]:
    try:
        data = path.read_bytes()
        if checksum is not None and hashlib.sha256(data).hexdigest() != checksum:
            raise CheckpointError(
                path, "it is damaged: its checksum is another", _DAMAGED
            )
        return safetensors.torch.load(data)
    except FileNotFoundError:
        raise CheckpointError(path, "it is missing", _DAMAGED) from None
    except SafetensorError as error:
        raise CheckpointError(path, f"it is damaged ({error})", _DAMAGED) from None


def _load_module(
    path: Path, name: str, module: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    """Copy the tensors of `name` into the module; each must be there and fit."""
    prefix = name + "."
    saved = {
        key.removeprefix(prefix): tensor
        for key, tensor in tensors.items()
        if key.startswith(prefix)
    }
    own = module.state_dict()
    problems = [f"{key} is missing" for key in own if key not in saved]
    problems += [f"{key} is unknown to the module" for key in saved if key not in own]
    problems += [
        f"{key} is {tuple(saved[key].shape)}, the module has {tuple(own[key].shape)}"
        for key in own
        if key in saved and saved[key].shape != own[key].shape
    ]
    if own and not saved:
        held = sorted({key.split(".")[0] for key in tensors} - {"rng"})
        problems = [f"the file holds {held}"]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise CheckpointError(
            path,
            f"{name} does not fit: " + "; ".join(problems[:5]) + more,
            "Build the module with the settings of the run, or train it anew "
            "(fresh=True)",
        )
    module.load_state_dict(saved)


def restore_part(
    checkpoint: Path, name: str, part: Any, state: Any, tensors: Mapping[str, Tensor]
) -> None:
    path = checkpoint / "tensors.safetensors"
    if isinstance(part, nn.Module):
        _load_module(path, name, part, tensors)
        return
    try:
        state = decode_state(state, tensors)
        if isinstance(part, torch.optim.Optimizer):
            _fit_to_weights(part, state)
        part.load_state_dict(state)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            path, f"{name} does not fit: {error}", "Give fresh=True to begin anew"
        ) from None


def _fit_to_weights(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Lay each weight's state out in memory as the weight is, for equal rounding."""
    weights = [p for g in optimizer.param_groups for p in g["params"]]
    for index, values in state["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor) and value.shape == weights[index].shape:
                like = torch.empty_like(weights[index], dtype=value.dtype)
                values[key] = like.copy_(value)


# -- Random numbers ------------------------------------------------------------------


def get_random_state(generator: torch.Generator) -> dict[str, Tensor]:
    """The state of every generator, as uint8 tensors of fixed sizes."""
    _, words, gauss = random.getstate()
    _, keys, place, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    state = {
        "python": _bytes(
            np.array(words, np.uint32),
            np.array([gauss is not None, gauss or 0.0], np.float64),
        ),
        "numpy": _bytes(
            np.asarray(keys, np.uint32),
            np.array([place, has_gauss, cached], np.float64),
        ),
        "torch": torch.get_rng_state(),
        "run": generator.get_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: Mapping[str, Tensor], generator: torch.Generator) -> None:
    raw = {name: words.contiguous().numpy().tobytes() for name, words in state.items()}
    words = tuple(np.frombuffer(raw["python"], np.uint32, 625).tolist())
    has, gauss = np.frombuffer(raw["python"], np.float64, offset=2500)
    random.setstate((3, words, float(gauss) if has else None))
    keys = np.frombuffer(raw["numpy"], np.uint32, 624)
    place, has, cached = np.frombuffer(raw["numpy"], np.float64, offset=2496)
    np.random.set_state(  # noqa: NPY002
        ("MT19937", keys, int(place), int(has), float(cached))
    )
    # clone: set_rng_state crashes on a view into a larger tensor.
    torch.set_rng_state(state["torch"].clone())
    generator.set_state(state["run"].clone())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].clone())


def _bytes(*arrays: np.ndarray) -> Tensor:
    joined = b"".join(array.tobytes() for array in arrays)
    return torch.frombuffer(bytearray(joined), dtype=torch.uint8)
