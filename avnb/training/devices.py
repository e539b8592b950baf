"""Where a run trains, and with how many bits."""

import ctypes
import sys

import torch
from accelerate import PartialState

PRECISIONS = ("float32", "bfloat16", "auto")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # numbers in glibc's malloc.h
_LARGEST = 2**31 - 1  # bytes; mallopt takes an int


def get_device() -> torch.device:
    """Return the device that runs train on: a GPU where there is one."""
    device: torch.device = PartialState().device
    return device


def choose_precision(asked: str, device: torch.device, begun: str | None = None) -> str:
    """Return "float32" or "bfloat16".

    Args:
        asked: one of `PRECISIONS`. "auto" is bfloat16 where the hardware computes in
            it; where it would have to be emulated, it is slower than float32.
        device: where the run trains.
        begun: the precision of the checkpoint that "auto" goes on from, if there is
            one. A run keeps it where the machine computes in it.

    Raises:
        ValueError: `asked` is none of `PRECISIONS`.
    """
    if asked not in PRECISIONS:
        raise ValueError(f"precision is {asked!r}: give one of {', '.join(PRECISIONS)}")
    if asked != "auto":
        return asked
    # A run in float32 goes on in float32 anywhere.
    if begun == "float32":
        return "float32"
    # Emulated bfloat16 (older GPUs, most CPUs) is slower than float32.
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # Older versions of torch cannot tell, and float32 is right on every processor.
        has: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        able = bool(has.get("avx512_bf16") or has.get("amx_bf16"))
    return "bfloat16" if able and device.type in ("cuda", "cpu") else "float32"


def keep_freed_memory() -> None:
    """Let a CPU's training use the memory that it has freed again.

    By default the C library of Linux gives every large tensor back to the system, and
    the next one has to be cleared page by page: up to a fifth of the time of a step of
    cascaded_siamese. The memory that the process holds then stays at its peak. Nothing
    happens on other systems.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):  # other libraries have other numbers
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST)
        library.mallopt(_M_TRIM_THRESHOLD, _LARGEST)
