"""The exercises of this series: two for each notebook.

In each the reader builds something that the notebook teaches: a block, a loss, a rule
of the training. A check compares the answer with a result that was computed in another
way (a plain loop, a closed form) and says what is wrong. Try an exercise before you
read its solution here.
"""

from collections.abc import Callable

import numpy as np
import torch

from avnb.course.exercises import Exercise, assert_close, require_answer, to_array

# --- Step 2: sound ---------------------------------------------------------------


def cut_segments(
    columns: torch.Tensor, frame: int, around: int, beside: int
) -> torch.Tensor:
    """Leave out what no segment has, then take windows `frame` cells apart."""
    skip = frame * beside - around
    windows = columns[:, skip : columns.shape[1] - skip]
    return windows.unfold(1, frame + 2 * around, frame).transpose(0, 1)


def check_cut_segments(answer: Callable) -> None:
    """Try columns that count their cells, of two geometries."""
    for frame, around, beside, frames in ((4, 8, 3, 5), (2, 1, 1, 3)):
        cells = frame * (frames + 2 * beside)
        columns = torch.arange(float(cells)).repeat(2, 1)
        got = to_array(answer(columns, frame, around, beside), "segments")
        wide = frame + 2 * around
        assert got.shape == (frames, 2, wide), (
            f"{cells} cells, {frame} a frame, {beside} frames beside: the shape is "
            f"{got.shape}. It should be ({frames}, 2, {wide})"
        )
        for t in range(frames):
            first = frame * (beside + t) - around
            right = np.arange(first, first + wide)
            assert_close(got[t, 1], right, f"cells of frame {t}'s segment")


CUT_SEGMENTS = Exercise(
    "the segment cutter",
    "Cut the log-mel columns into one segment a frame, each centred on its frame.",
    check_cut_segments,
    cut_segments,
    (
        "Frame t of the video begins with cell frame * (t + beside).",
        "Its segment begins `around` cells earlier and has frame + 2 * around cells.",
        "A loop and torch.stack will do; tensor.unfold(1, size, step) is the fast form.",
    ),
)


def find_heard_samples(
    t: int, hop: int, window: int, frame: int, around: int, beside: int
) -> tuple[int, int]:
    """Middles of the first and the last column, and half a window beyond."""
    first = frame * (t + beside) - around
    last = first + frame + 2 * around - 1
    begin = first * hop + hop // 2 - window // 2
    return begin, last * hop + hop // 2 + window // 2


def check_find_heard_samples(answer: Callable) -> None:
    """Compare with a list of all samples that the columns' windows hold."""
    for t, hop, window, frame, around, beside in (
        (0, 160, 400, 4, 8, 3), (31, 160, 400, 4, 8, 3), (2, 10, 30, 2, 1, 1),
    ):  # fmt: skip
        got = require_answer(
            answer(t, hop, window, frame, around, beside), "two samples"
        )
        heard = {
            hop * c + hop // 2 + s
            for c in range(
                frame * (t + beside) - around, frame * (t + beside + 1) + around
            )
            for s in range(-window // 2, window // 2)
        }
        right = (min(heard), max(heard) + 1)
        assert tuple(got) == right, (
            f"Frame {t}, hop {hop}, window {window}: you say {tuple(got)}. It hears the "
            f"samples from {right[0]} to before {right[1]}"
        )


FIND_HEARD_SAMPLES = Exercise(
    "what a frame hears",
    "Compute the first sample that a frame's segment sees and the one after its last.",
    check_find_heard_samples,
    find_heard_samples,
    (
        "The segment's first column is frame * (t + beside) - around.",
        "Column c is centred at sample c * hop + hop / 2.",
        "A window reaches half its length to both sides.",
    ),
)
