"""Log-mel of 1,000 half-second clips at 44.1 kHz against a loop over librosa.

    python benchmarks/features.py

The two take turns in one run; medians go to benchmarks/results/features.json with the
hardware and the date. The largest difference from librosa is measured too.
"""

import datetime
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import torch

from avnb.features import LogMel

CLIPS, SAMPLES, RATE, ROUNDS = 1000, 22050, 44100, 5


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor()


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
    times: dict[str, list[float]] = {"librosa": [], "avnb": []}
    for _ in range(ROUNDS):
        times["librosa"].append(seconds(loop))
        times["avnb"].append(seconds(lambda: log_mel(batch)))
    median = {name: statistics.median(values) for name, values in times.items()}
    result = {
        "what": f"log-mel of {CLIPS} clips of {SAMPLES} samples -> 128x44, seconds",
        "median_seconds": median,
        "seconds": times,
        "librosa_over_avnb": median["librosa"] / median["avnb"],
        "slowest_round_ratio": min(
            a / b for a, b in zip(times["librosa"], times["avnb"], strict=True)
        ),
        "largest_difference_db": float(np.abs(found - expected).max()),
        "hardware": f"{processor()}, {torch.get_num_threads()} threads",
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
