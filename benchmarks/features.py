"""Log-mel and CQT of half-second clips at 44.1 kHz against loops over librosa.

    python benchmarks/features.py

librosa's loop, the module on one thread and the module on all take turns in one run;
medians go to benchmarks/results/features.json with the hardware, the load and the
date. The largest difference from librosa is measured too: in decibels for log-mel, and
as a part of the largest value for the CQT.
"""

import datetime
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import torch

from avnb.course.provenance import describe_hardware
from avnb.features import CQT, LogMel

SAMPLES, RATE, ROUNDS = 22050, 44100, 3


def compute_log_mel(clip: np.ndarray) -> np.ndarray:
    mel = librosa.feature.melspectrogram(
        y=clip, sr=RATE, n_fft=2048, hop_length=512, n_mels=128
    )
    return librosa.power_to_db(mel)


def compute_cqt(clip: np.ndarray) -> np.ndarray:
    return np.abs(librosa.cqt(clip, sr=RATE))


def make_clips(count: int) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal((count, SAMPLES))
    # a falling spectrum, as sounds have
    clips = np.cumsum(noise, axis=1).astype(np.float32)
    return clips / np.abs(clips).max(axis=1, keepdims=True)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(
    module: torch.nn.Module, theirs: Callable[[np.ndarray], np.ndarray], count: int
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Time `module` on a batch and `theirs` in a loop; return both results too."""
    clips = make_clips(count)
    batch, threads = torch.from_numpy(clips), torch.get_num_threads()

    def loop() -> np.ndarray:
        return np.stack([theirs(clip) for clip in clips])

    def avnb(use: int) -> None:
        torch.set_num_threads(use)
        module(batch)
        torch.set_num_threads(threads)

    expected, found = loop(), module(batch).numpy()  # and warm up
    assert found.shape == expected.shape
    work: dict[str, Callable[[], object]] = {
        "librosa": loop,
        "avnb, 1 thread": lambda: avnb(1),
        f"avnb, {threads} threads": lambda: avnb(threads),
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, run in work.items():
            times[name].append(seconds(run))
    median = {name: statistics.median(values) for name, values in times.items()}
    faster = {name: median["librosa"] / median[name] for name in list(work)[1:]}
    result = {
        "what": f"{count} clips of {SAMPLES} samples -> {found.shape[1:]}, seconds",
        "median_seconds": median,
        "seconds": times,
        "times_faster_than_librosa": faster,
    }
    return result, found, expected


def main() -> None:
    log_mel, found, expected = compare(LogMel(), compute_log_mel, 1000)
    log_mel["largest_difference_db"] = float(np.abs(found - expected).max())
    cqt, found, expected = compare(CQT(), compute_cqt, 200)
    largest = float(np.abs(found - expected).max() / expected.max())
    cqt["largest_difference"] = largest
    result = {
        "log-mel": log_mel,
        "CQT": cqt,
        "hardware": describe_hardware(),
        "load_average": os.getloadavg()[0],
        "torch": torch.__version__,
        "librosa": librosa.__version__,
        "date": datetime.date.today().isoformat(),
    }
    out = Path(__file__).parent / "results" / "features.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
