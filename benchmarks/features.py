"""Log-mel of 1,000 half-second clips at 44.1 kHz against a loop over librosa.

    python benchmarks/features.py

librosa's loop, the module on one thread and the module on all take turns in one run;
medians go to benchmarks/results/features.json with the hardware, the load and the
date. The largest difference from librosa is measured too.
"""

import datetime
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import torch

from avnb.course.provenance import describe_hardware
from avnb.features import LogMel

CLIPS, SAMPLES, RATE, ROUNDS = 1000, 22050, 44100, 3


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    noise = np.random.default_rng(0).standard_normal((CLIPS, SAMPLES))
    # a falling spectrum, as sounds have
    clips = np.cumsum(noise, axis=1).astype(np.float32)
    clips /= np.abs(clips).max(axis=1, keepdims=True)
    batch, log_mel = torch.from_numpy(clips), LogMel()

    def loop() -> np.ndarray:
        return np.stack(
            [
                librosa.power_to_db(
                    librosa.feature.melspectrogram(
                        y=clip, sr=RATE, n_fft=2048, hop_length=512, n_mels=128
                    )
                )
                for clip in clips
            ]
        )

    expected, found = loop(), log_mel(batch).numpy()  # and warm up
    assert found.shape == (CLIPS, 128, 44)
    threads = torch.get_num_threads()

    def avnb(use: int) -> None:
        torch.set_num_threads(use)
        log_mel(batch)
        torch.set_num_threads(threads)

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
    result = {
        "what": f"log-mel of {CLIPS} clips of {SAMPLES} samples -> 128x44, seconds",
        "median_seconds": median,
        "seconds": times,
        "times_faster_than_librosa": {
            name: median["librosa"] / median[name] for name in list(work)[1:]
        },
        "largest_difference_db": float(np.abs(found - expected).max()),
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
