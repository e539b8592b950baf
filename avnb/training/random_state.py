"""Save and restore every random generator that a training loop may draw from."""

import random
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

# The Mersenne Twister of Python holds 624 words and its position, that of NumPy 624
# words (its position stands beside them); all are 4 bytes wide.
_PYTHON_WORDS, _NUMPY_WORDS, _WORD_BYTES = 625, 624, 4


def get_random_state(generator: torch.Generator) -> dict[str, Tensor]:
    """Read the state of every random generator.

    Args:
        generator: the run's own generator, which is saved beside the global ones.

    Returns:
        One uint8 tensor a generator: "python", "numpy", "torch", "run" and, where there
        is a GPU, "cuda". The sizes are fixed, so that the states of several processes
        can be gathered into one tensor.
    """
    _, words, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    state = {
        "python": _join_bytes(
            np.array(words, np.uint32),
            # Both generators make normal numbers in pairs and keep the second one.
            np.array([gauss is not None, gauss or 0.0], np.float64),
        ),
        "numpy": _join_bytes(
            np.asarray(keys, np.uint32),
            np.array([position, has_gauss, cached], np.float64),
        ),
        "torch": torch.get_rng_state(),
        "run": generator.get_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: Mapping[str, Tensor], generator: torch.Generator) -> None:
    """Set every random generator to a state of `get_random_state`."""
    raw = {name: words.contiguous().numpy().tobytes() for name, words in state.items()}
    words = tuple(np.frombuffer(raw["python"], np.uint32, _PYTHON_WORDS).tolist())
    has_gauss, gauss = np.frombuffer(
        raw["python"], np.float64, offset=_PYTHON_WORDS * _WORD_BYTES
    )
    # 3 is the version of Python's own format.
    random.setstate((3, words, float(gauss) if has_gauss else None))
    keys = np.frombuffer(raw["numpy"], np.uint32, _NUMPY_WORDS)
    position, has_gauss, cached = np.frombuffer(
        raw["numpy"], np.float64, offset=_NUMPY_WORDS * _WORD_BYTES
    )
    np.random.set_state(  # noqa: NPY002
        ("MT19937", keys, int(position), int(has_gauss), float(cached))
    )
    # clone: set_rng_state crashes on a view into a larger tensor.
    torch.set_rng_state(state["torch"].clone())
    generator.set_state(state["run"].clone())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].clone())


def _join_bytes(*arrays: np.ndarray) -> Tensor:
    joined = b"".join(array.tobytes() for array in arrays)
    # bytearray: torch warns about memory that it may not write to.
    return torch.frombuffer(bytearray(joined), dtype=torch.uint8)
