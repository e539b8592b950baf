"""The recurrent layers of Listen and Move against the plain loops of the notebooks.

    python benchmarks/recurrent.py [--rounds 9] [--threads 2]

This measures the forward and backward pass of `VideoPrediction` (1x32x16x64x64) and of
`ResidualDilatedGRU` (1x1024x66), and of the plain layers of steps 2 and 4 with the same
weights. The layers take turns. The machine may be shared, so both wall-clock and
processor time are recorded. It also counts

- the operators launched (by torch.profiler; views launch nothing),
- the peak memory of the tensors (by the profiler),
- the arithmetic of the convolutions and the bytes that all operators read and write,
- the share of the speed of this machine's fastest convolution, which is measured first.

The results go to benchmarks/results/recurrent.json.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch
from avnb_notebooks.listen_and_move.step2_motion import (
    PlainDilatedGRU,
    rename_gru_weights,
)
from avnb_notebooks.listen_and_move.step4_prediction import (
    PlainVideoPrediction,
    rename_prediction_weights,
)
from torch import Tensor, nn
from torch.nn.functional import conv2d
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from avnb.course.provenance import describe_hardware
from avnb.layers import ResidualDilatedGRU, VideoPrediction

FRAMES = (1, 32, 16, 64, 64)
SOUND = (1, 1024, 66)
RECOMPUTE = 4
RESULTS = Path(__file__).parent / "results" / "recurrent.json"
# These launch no kernel. If one of them has to copy, the copy is counted.
NOTHING = {
    *("view", "reshape", "_reshape_alias", "_unsafe_view", "slice", "select", "narrow"),
    *("unsqueeze", "squeeze", "transpose", "permute", "t", "expand", "as_strided"),
    *("split", "split_with_sizes", "chunk", "unbind", "flatten", "unflatten", "detach"),
    *("contiguous", "to", "empty", "empty_like", "empty_strided", "result_type"),
    *("view_as", "expand_as", "alias", "is_nonzero", "item", "resize_"),
}


def make_pass(
    layer: nn.Module, x: Tensor, bfloat16: bool = False
) -> Callable[[], Tensor]:
    """A function that runs one forward and backward pass and returns the output."""
    given = [x.requires_grad_(), *layer.parameters()]

    def run() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            output = layer(x)
        output = output[0] if isinstance(output, tuple) else output
        torch.autograd.grad(output.float().square().mean(), given)
        return output.detach()

    return run


class WorkCounter(TorchDispatchMode):
    """Counts FLOP of convolutions and products, and bytes of all but views."""

    def __init__(self) -> None:
        super().__init__()
        self.flop = self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.is_view:
            return out
        tensors = tree_leaves((args, kwargs, out))
        self.bytes += sum(t.nbytes for t in tensors if isinstance(t, Tensor))
        kind = func._overloadpacket
        if kind is torch.ops.aten.convolution:
            self.flop += 2 * out.numel() * args[1][0].numel()
        elif (
            kind is torch.ops.aten.convolution_backward
        ):  # gradients of input and weight
            self.flop += 2 * args[0].numel() * args[2][0].numel() * sum(args[-1][:2])
        elif kind in (torch.ops.aten.mm, torch.ops.aten.addmm):
            self.flop += 2 * out.numel() * args[-1].shape[0]
        return out


def is_launch(event: Any) -> bool:
    """Whether a profiler event is an operator that is not part of another one."""
    if event.name[:6] != "aten::" or event.name[6:] in NOTHING:
        return False
    while (event := event.cpu_parent) is not None:
        if event.name[:6] == "aten::" and event.name[6:] not in NOTHING:
            return False
    return True


def count_pass(run: Callable[[], Tensor]) -> dict[str, float]:
    """Count operators launched, peak memory, arithmetic and memory traffic."""
    cpu = [ProfilerActivity.CPU]
    with profile(activities=cpu, profile_memory=True, acc_events=True) as record:
        run()
    held = peak = 0
    events = record.profiler.kineto_results.events()
    memory = [event for event in events if event.name() == "[memory]"]
    for event in sorted(memory, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    with WorkCounter() as work:
        run()
    return {
        "operators": sum(map(is_launch, record.events())),
        "peak_mb": peak / 1e6,
        "gflop": work.flop / 1e9,
        "traffic_gb": work.bytes / 1e9,
    }


def measure_seconds(run: Callable[[], object]) -> dict[str, float]:
    """Wall-clock time, and processor time of all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def measure_convolution_peak(dtype: torch.dtype) -> float:
    """GFLOP/s of the fastest of several 3x3 convolutions, in either memory layout."""
    best = 0.0
    with torch.no_grad():
        for channels, size in ((32, 64), (64, 64), (128, 32), (256, 32)):
            for layout in (torch.contiguous_format, torch.channels_last):
                x = torch.randn(8, channels, size, size, dtype=dtype)
                weight = torch.randn(channels, channels, 3, 3, dtype=dtype)
                x, weight = x.to(memory_format=layout), weight.to(memory_format=layout)
                work = 2 * 9 * x.numel() * channels

                def run(x: Tensor = x, weight: Tensor = weight) -> None:
                    conv2d(x, weight, padding=1)

                run()
                best = max(
                    best,
                    work / min(measure_seconds(run)["wall"] for _ in range(5)) / 1e9,
                )
    return best


def compare_layers(
    runs: dict[str, Callable[[], Tensor]], rounds: int, peak: dict[str, float]
) -> dict[str, Any]:
    """Measure all layers and compare each with the first one, the plain loop."""
    outputs = [run().float() for run in runs.values()]  # and warm up
    times: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(measure_seconds(run))
    plain = next(iter(runs))
    counts = {name: count_pass(run) for name, run in runs.items()}
    result: dict[str, Any] = {}
    for output, (name, count) in zip(outputs, counts.items(), strict=True):
        median = {
            clock: statistics.median(each[clock] for each in times[name])
            for clock in ("wall", "cpu")
        }
        faster = {
            clock: statistics.median(
                a[clock] / b[clock]
                for a, b in zip(times[plain], times[name], strict=True)
            )
            for clock in median
        }
        speed = count["gflop"] / median["wall"]
        result[name] = {
            "median_seconds": median,
            "seconds": times[name],
            "times_faster": faster,
            **count,
            "operators_of_plain": count["operators"] / counts[plain]["operators"],
            "peak_of_plain": count["peak_mb"] / counts[plain]["peak_mb"],
            "gflop_per_second": speed,
            "part_of_convolution_peak": speed
            / peak["bfloat16" if "bfloat16" in name else "float32"],
            "largest_difference": float((output - outputs[0]).abs().max()),
        }
        brief = {key: value for key, value in result[name].items() if key != "seconds"}
        print(name, json.dumps(brief, indent=1))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    peak = {
        str(dtype)[6:]: measure_convolution_peak(dtype)
        for dtype in (torch.float32, torch.bfloat16)
    }
    frames, sound = torch.randn(FRAMES), torch.randn(SOUND)
    plain = PlainVideoPrediction(FRAMES[2])
    weights = rename_prediction_weights(plain)
    kept = VideoPrediction(FRAMES[2])
    recomputed = VideoPrediction(FRAMES[2], recompute=RECOMPUTE)
    kept.load_state_dict(weights), recomputed.load_state_dict(weights)
    prediction = {
        "plain": make_pass(plain, frames),
        "avnb": make_pass(kept, frames),
        f"avnb, {RECOMPUTE} steps recomputed": make_pass(recomputed, frames),
        "avnb, bfloat16": make_pass(kept, frames, bfloat16=True),
    }
    cells, dilated = PlainDilatedGRU(SOUND[2]), ResidualDilatedGRU(SOUND[2])
    dilated.load_state_dict(rename_gru_weights(cells))
    motion = {"plain": make_pass(cells, sound), "avnb": make_pass(dilated, sound)}
    result = {
        "date": date.today().isoformat(),
        "hardware": describe_hardware(),
        "threads": asked.threads,
        "torch": torch.__version__,
        "convolution_peak_gflop_per_second": peak,
        "prediction": {
            "frames": FRAMES,
            **compare_layers(prediction, asked.rounds, peak),
        },
        "dilated_gru": {"sound": SOUND, **compare_layers(motion, asked.rounds, peak)},
        "load_average": os.getloadavg()[0],
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
