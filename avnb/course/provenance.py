"""What made a result: the versions, the commit, the hardware and the date.

Every file of results carries this, so that a number can be traced to the machine and
the code that it came from.
"""

import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from avnb.course.folders import find_clone


def collect_provenance() -> dict[str, Any]:
    """What made a result: versions, commit, hardware and date."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "avnb": importlib.metadata.version("avnb"),
        "commit": read_commit(),
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
        "hardware": describe_hardware(),
    }


def read_commit() -> str:
    """The commit of the clone, with `+changes` where files differ from it.

    "unknown" where avnb does not run from a clone, or where git is not installed.
    """
    folder = find_clone()
    if folder is None:
        return "unknown"
    git = ["git", "-C", str(folder)]
    try:
        head = _read_output([*git, "rev-parse", "HEAD"]).strip()
        # Files that git does not know count as well: a notebook may import them.
        changes = _read_output([*git, "status", "--porcelain"]).strip()
    # git is missing, or it refuses a clone that belongs to another user.
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+changes" if changes else "")


def shorten_commit(commit: str) -> str:
    """A commit as people read it; that files differed from it stays said."""
    head, plus, changes = commit.partition("+")
    return head[:12] + plus + changes


def describe_hardware() -> str:
    """The processor, its cores, and NVIDIA's GPUs, as one line."""
    # `processor` is empty on many Linux systems.
    name = platform.processor() or platform.machine()
    # On Linux `platform` knows only the family ("x86_64"); the kernel knows the model.
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return ", ".join([name, f"{count_cores()} cores", *_list_nvidia_gpus()])


def count_cores() -> int:
    """The cores that this process may use.

    A container or `taskset` can leave a process fewer cores than the machine has.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def measure_peak_memory() -> float:
    """Peak resident memory of this process, MB."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # getrusage counts bytes on macOS, and units of 1024 bytes on Linux.
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _list_nvidia_gpus() -> list[str]:
    ask = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        lines = _read_output(ask).splitlines()
    except (OSError, subprocess.CalledProcessError):
        return []  # no driver, so no GPU
    return [line.strip() for line in lines if line.strip()]


def _read_output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout
