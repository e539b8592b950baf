"""The processes that avnb starts: which Python, how many threads, which home."""

import os
import sys
from collections.abc import Mapping

import psutil
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from avnb.course.folders import find_home
from avnb.course.provenance import count_cores

# What Python is given to become a kernel.
# Frozen modules make the debugger inside of ipykernel warn at each start. Lines of the
# kernel's own log would stand between those of the run.
KERNEL = [
    *("-Xfrozen_modules=off", "-m", "ipykernel_launcher"),
    *("-f", "{connection_file}", "--log-level=CRITICAL"),
]
LOOK = 1.0  # seconds over which the load of others is measured


def build_environment(threads: int = 0) -> dict[str, str]:
    """The variables of the environment of a process that avnb starts.

    They must be set before the process begins: libgomp, the OpenMP library that torch
    brings, reads them once, when it is loaded, and so does MKL.

    - By default the threads of a parallel loop spin for some milliseconds when they
      wait for each other (libgomp: 300,000 rounds and more). On a machine where
      somebody else wants the core, the thread they wait for does not get it, and all
      of them burn their time slices: 20 processes on two cores took 48 minutes for
      what takes 5. PASSIVE lets a waiting thread sleep. Intel's and LLVM's OpenMP
      (macOS, Windows) read the same variable and set KMP_BLOCKTIME=0 from it.
    - `OMP_NUM_THREADS` bounds torch's, MKL's and OpenBLAS' threads together.
    - The process works in the notebook's folder, which may be read-only, and so it is
      told where runs and data go.

    What the user has set stays as it is.

    Args:
        threads: how many threads; 0 leaves it to torch, which takes one a core.
    """
    chosen = {"AVNB_HOME": str(find_home()), "OMP_WAIT_POLICY": "PASSIVE"}
    if threads:
        chosen["OMP_NUM_THREADS"] = str(threads)
    return {name: os.environ.get(name) or value for name, value in chosen.items()}


def choose_threads() -> int:
    """How many threads a run should take by what is free; 0 for torch's own default.

    A machine on which nobody else computes keeps torch's default, so that its numbers
    stay the same to the last bit: sums over another number of threads round
    differently. Call it while nothing of this process computes.
    """
    if os.environ.get("OMP_NUM_THREADS"):
        return 0
    cores = count_cores()
    busy = measure_load()
    if busy < 0.5:
        return 0
    return max(1, round(cores - busy))


def measure_load() -> float:
    """How many of the cores that this process may use are busy with something else.

    Measured now, over a second: the load averages of the system hold the last minute,
    in which this program may have been the load itself.
    """
    shares = dict(enumerate(psutil.cpu_percent(interval=LOOK, percpu=True)))
    ours = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else shares
    return float(sum(shares.get(core, 0.0) for core in ours)) / 100


class ThisInterpreter(AsyncKernelManager):
    """A kernel of the Python that runs this, whatever kernels are installed.

    A kernel named python3 may be installed by the user for another environment, and
    papermill would start that one.
    """

    environment: Mapping[str, str] = {}  # see `build_environment`

    @property
    def kernel_spec(self) -> KernelSpec:
        """How the kernel is started."""
        return KernelSpec(
            argv=[sys.executable, *KERNEL],
            display_name="Python 3",
            language="python",
            env=dict(self.environment),
        )


def build_kernel_class(threads: int) -> type[ThisInterpreter]:
    """A class of kernels that take so many threads; papermill asks for a class.

    Their environment is settled here. Papermill changes to the notebook's folder before
    it starts a kernel, and from there the home of a course that is installed, and not a
    clone, could no longer be told.
    """
    chosen = {"environment": build_environment(threads)}
    return type("ThisInterpreter", (ThisInterpreter,), chosen)
