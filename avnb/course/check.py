"""What works on this machine: the lines of `avnb check`."""

import importlib.metadata
import io
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from avnb.course.commands import REQUIREMENT
from avnb.course.folders import find_home, require_writable
from avnb.course.series import NO_SERIES, list_series, step_files
from avnb.errors import AvnbError

GB = 10**9
# What a scale needs: memory in GB, memory of a GPU in GB, free disk in GB.
# The memory is 1 GB or 2 GB less than the machine's label says, because firmware and
# system keep a part: a laptop with 8 GB has 7, a GPU with 16 GB has 14.
NEEDS = {
    "smoke": (3, 0, 1),
    "laptop": (7, 0, 3),
    "reference": (7, 0, 6),
    "gpu": (11, 14, 10),
    "paper": (15, 14, 100),
}


@dataclass(frozen=True)
class Finding:
    """One finding; `fix` says what to do, empty when all is well."""

    text: str
    fix: str = ""

    def __str__(self) -> str:
        return f"[fix: {self.fix}] {self.text}" if self.fix else f"[ok] {self.text}"


def check_machine() -> list[Finding]:
    """Look at everything; a check that fails itself becomes a line to fix."""
    checks: list[Callable[[], Finding | list[Finding]]] = [
        check_python,
        check_packages,
        check_series,
        check_folders,
        check_gpu,
        check_bfloat16,
        check_codecs,
        check_memory,
        check_disk,
        check_scales,
        check_speed,
    ]
    lines: list[Finding] = []
    for check in checks:
        try:
            found = check()
        except AvnbError as error:
            found = Finding(f"{error.place}: {error.problem}", error.remedy)
        # Whatever it is: the other checks go on, and may show the cause.
        except Exception as error:
            found = Finding(
                f"{check.__name__}: {error!r}",
                # With all that it needs: a package such as PyTorch may be broken.
                "install avnb again: make .venv/ready in a clone, else "
                f"pip install --force-reinstall '{REQUIREMENT}'",
            )
        lines += found if isinstance(found, list) else [found]
    return lines


def check_python() -> Finding:
    """Python itself."""
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= (3, 11)
    return Finding(f"Python {version}", "" if ok else "install Python 3.11 or newer")


def check_packages() -> list[Finding]:
    """Each requirement of avnb's against what is installed."""
    lines = []
    # The metadata hold what pyproject.toml asked for when avnb was installed.
    for text in importlib.metadata.requires("avnb") or []:
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            lines.append(Finding(wanted.name, f"pip install '{wanted}'"))
            continue
        # A build like 2.11.0+cu128 or a release candidate is as good as the release.
        ok = wanted.specifier.contains(found, prereleases=True)
        fix = "" if ok else f"pip install '{wanted}'"
        lines.append(Finding(f"{wanted.name} {found}", fix))
    return lines


def check_series() -> Finding | list[Finding]:
    """The series that are installed, and whether their notebooks are there."""
    known = sorted(list_series())
    if not known:
        return Finding("series: none is installed", NO_SERIES)
    counted = [f"{name} ({len(step_files(name))} notebooks)" for name in known]
    return Finding(f"series: {', '.join(counted)}")


def check_folders() -> Finding:
    """Where runs and data go, and whether they can be written there."""
    home = require_writable(find_home())
    return Finding(f"runs and data go below {home} (AVNB_HOME changes that)")


def check_gpu() -> list[Finding]:
    """The accelerators and their memory; none is no fault."""
    # Imported here, so that a torch which is broken costs this check alone.
    import torch

    if torch.cuda.is_available():
        return [
            Finding(f"GPU {i}: {found.name}, {found.total_memory / GB:.0f} GB")
            for i in range(torch.cuda.device_count())
            for found in [torch.cuda.get_device_properties(i)]
        ]
    # Apple's GPUs have no memory of their own to state.
    if torch.backends.mps.is_available():
        return [Finding("GPU: Apple's (MPS), shares the machine's memory")]
    if shutil.which("nvidia-smi"):
        fix = "update the driver: nvidia-smi is here, but torch sees no GPU"
        return [Finding("GPU: none that torch can use", fix)]
    return [Finding("GPU: none; the scales smoke and laptop need none")]


def check_bfloat16() -> Finding:
    """Whether the processor computes in bfloat16 itself."""
    import torch

    # The only question to oneDNN that is answered without running anything.
    native = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return Finding(f"bfloat16 on the processor: {'native' if native else 'emulated'}")


def check_codecs() -> list[Finding]:
    """Encode a moment of H.264 and of AAC with the FFmpeg inside PyAV."""
    import av

    lines = []
    for name, encoder in (("H.264", "libx264"), ("AAC", "aac")):
        try:
            # Listing the codecs is not enough: some builds list an encoder that fails.
            with av.open(io.BytesIO(), "w", format="mp4") as out:
                _encode(out, encoder)
            lines.append(Finding(f"{name} encoding (PyAV {av.__version__})"))
        except Exception as error:
            fix = "pip install --only-binary av av"
            lines.append(Finding(f"{name} encoding: {error}", fix))
    return lines


def _encode(out, encoder: str) -> None:  # type: ignore[no-untyped-def]
    import av
    import numpy as np

    frame: av.VideoFrame | av.AudioFrame
    if encoder == "aac":
        stream = out.add_stream(encoder, rate=44100)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        # PyAV takes the rate from the frame, not from the stream.
        frame.sample_rate = 44100
    else:
        stream = out.add_stream(encoder, rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
        # Without a time base the muxer refuses the packet.
        frame.time_base = Fraction(1, 10)
    frame.pts = 0
    # Encoding None flushes what the encoder still holds back.
    for packet in [*stream.encode(frame), *stream.encode(None)]:
        out.mux(packet)


def measure_memory() -> float:
    """Memory that this process may use, GB: the machine's or its container's."""
    # In a container the machine's memory says nothing: cgroup v2 holds the limit,
    # as a number of bytes or the word max.
    limit = Path("/sys/fs/cgroup/memory.max")
    total = psutil.virtual_memory().total
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        total = min(total, int(text))
    return float(total) / GB


def check_memory() -> Finding:
    """Whether the memory is enough for the scale laptop."""
    fix = (
        ""
        if measure_memory() >= NEEDS["laptop"][0]
        else "the scale laptop needs 8 GB; choose smoke, or another machine"
    )
    return Finding(f"memory: {measure_memory():.0f} GB", fix)


def measure_free_disk() -> float:
    """Free disk where data/ and runs/ go, GB."""
    return shutil.disk_usage(require_writable(find_home())).free / GB


def check_disk() -> Finding:
    """Whether the disk is enough for the scale laptop."""
    need = NEEDS["laptop"][2]
    fix = (
        ""
        if measure_free_disk() >= need
        else f"free {need} GB of it for the scale laptop, or set AVNB_HOME elsewhere"
    )
    return Finding(f"free disk for data/ and runs/: {measure_free_disk():.0f} GB", fix)


def check_scales() -> Finding:
    """Which scales this machine is large enough for."""
    import torch

    on_gpu = 0.0
    if torch.cuda.is_available():
        on_gpu = torch.cuda.get_device_properties(0).total_memory / GB
    have = (measure_memory(), on_gpu, measure_free_disk())
    fitting = [
        scale
        for scale, need in NEEDS.items()
        if all(h >= n for h, n in zip(have, need, strict=True))
    ]
    fix = "" if fitting else "see the lines on memory and disk above"
    return Finding(f"scales that fit: {', '.join(fitting) or 'none'}", fix)


def check_speed() -> list[Finding]:
    """How fast the processor computes, and how long each series' demo takes on it."""
    from avnb.course.speed import describe_estimate, measure_speed

    speed = measure_speed()
    product = f"product of 2048x2048 matrices in float32: {speed:.0f} GFLOP/s"
    demos = [describe_estimate(one, "laptop", speed) for one in sorted(list_series())]
    return [Finding(text) for text in (product, *demos)]
