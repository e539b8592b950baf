"""Compare two runs of the same series, scale, data and seed: they must be equal.

python tools/compare_runs.py RUN_DIR RUN_DIR    1 where a weight or a number differs

Every draw of every notebook has a seed, so only times and memory may differ. Sums may
round otherwise in their last bits, as the order of their parts depends on where they
lie in memory.
"""

import argparse
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from avnb import files

# What a run measures of the machine, and not of its networks
MACHINE = re.compile(r"\b(cost|(milli)?seconds|minutes|memory)\b")


def find_differences(one: Path, other: Path) -> Iterator[str]:
    """The weights and the recorded numbers in which two runs differ."""
    weights = [hash_weights(folder) for folder in (one, other)]
    for name in sorted(weights[0].keys() | weights[1].keys()):
        if weights[0].get(name) != weights[1].get(name):
            yield f"weights {name}"
    yield from compare_values(*map(read_values, (one, other)))


def hash_weights(run_dir: Path) -> dict[str, str]:
    """A hash of each trained network of a run; equal networks have equal bytes."""
    return {
        path.relative_to(run_dir).as_posix(): files.hash_file(path)
        for path in run_dir.rglob("*.safetensors")
    }


def read_values(run_dir: Path) -> dict[str, Any]:
    """Step and name -> the value that a step recorded."""
    steps = files.read_json(run_dir / "results.json")["steps"]
    return {
        f"{step}: {entry['name']}": entry["value"]
        for step, found in steps.items()
        for entry in found["entries"]
        if entry["kind"] == "value"
    }


def compare_values(one: Any, other: Any, name: str = "") -> Iterator[str]:
    """Where two values differ by more than their last bits."""
    if MACHINE.search(name):
        return
    numbers = (int, float)
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            yield from compare_values(
                one.get(key), other.get(key), f"{name} {key}".strip()
            )
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from compare_values(*pair, f"{name} {number}")
    elif isinstance(one, numbers) and isinstance(other, numbers):
        # The absolute part: a difference of two sums may be nothing but their rounding.
        if not math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12):
            yield f"{name}: {one} and {other}"
    elif one != other:
        yield f"{name}: {one} and {other}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    found = list(find_differences(**vars(parser.parse_args())))
    print(*found or ["These runs are equal."], sep="\n")
    sys.exit(bool(found))
