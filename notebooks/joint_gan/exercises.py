"""The exercises of this series: two for each notebook.

In each the reader builds something that the notebook teaches: a block, a loss, a step
of the training, a measure. A check compares the answer with a result that was computed
in another way (torch's own layer, a closed form, a plain loop) and says what is wrong.
Try an exercise before you read its solution here.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from avnb.course.exercises import Exercise, assert_close, require_answer, to_array

# --- Step 1: data ----------------------------------------------------------------


def find_clip_starts(
    numbers: list[int], frames: int = 10, step: int = 100
) -> list[int]:
    """Walk through the numbers; at a gap go on behind it."""
    there, starts = set(numbers), []
    now = numbers[0]
    while now is not None:
        needed = range(now, now + frames * step, step)
        missing = [number for number in needed if number not in there]
        if not missing:
            starts.append(now)
            now += frames * step
        bound = missing[0] if missing else now
        now = next((number for number in numbers if number >= bound), None)
    return starts


def check_find_clip_starts(answer: Callable) -> None:
    """Compare with runs that are cut out first, each into whole clips."""
    random = np.random.default_rng(4)
    for case in range(8):
        kept = random.random(90) > (0.0 if case == 0 else 0.03 * case)
        numbers = [500 + 100 * k for k in np.flatnonzero(kept).tolist()]
        runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 100) + 1)
        right = [int(run[i]) for run in runs for i in range(0, len(run) - 9, 10)]
        mine = require_answer(answer(list(numbers)), "list of starts")
        what = f"{len(numbers)} numbers in {len(runs)} runs"
        found = [int(number) for number in mine]
        there = set(numbers)
        for start in found:
            holes = set(range(start, start + 1000, 100)) - there
            assert not holes, f"{what}: the clip at {start} lacks {min(holes)}"
        assert found == right, f"{what}: {found[:5]}… and not {right[:5]}…"


FIND_CLIP_STARTS = Exercise(
    "clips between gaps",
    "Where do clips of ten frames begin among numbers with gaps?",
    check_find_clip_starts,
    find_clip_starts,
    (
        "A set tells at once whether a number is there.",
        "If one of the ten is missing, go on with the first number behind it.",
        "After a whole clip go on 1000 ms later, if that number is there.",
    ),
)


def cut_in_time(clips: int, share: float, gap: int) -> tuple[list[int], list[int]]:
    """The first clips train, the last ones test."""
    left = clips - gap
    tested = min(max(round(share * left), 1), left - 1)
    return list(range(left - tested)), list(range(clips - tested, clips))


def check_cut_in_time(answer: Callable) -> None:
    """Check the sizes, the order and the gap, not the way."""
    for clips, share, gap in ((454, 0.2, 5), (10, 0.5, 0), (9, 0.05, 3), (8, 0.99, 6)):
        what = f"{clips} clips, {share} of them, a gap of {gap}"
        train, test = require_answer(answer(clips, share, gap), "two lists")
        train, test = [int(k) for k in train], [int(k) for k in test]
        assert not set(train) & set(test), f"{what}: a clip is in both parts"
        tested = min(max(round(share * (clips - gap)), 1), clips - gap - 1)
        assert len(test) == tested, f"{what}: {len(test)} clips test, not {tested}"
        assert test == sorted(test), f"{what}: the test part is not in order"
        assert test[-1] == clips - 1, f"{what}: the test part is not the last"
        left = min(test) - max(train) - 1
        assert left == gap, f"{what}: {left} clips lie between the parts"
        assert train == list(range(len(train))), f"{what}: training begins with clip 0"


CUT_IN_TIME = Exercise(
    "one video, cut in time",
    "Which clips train and which test, with a gap between?",
    check_cut_in_time,
    cut_in_time,
    (
        "Take the gap away first: that many clips are in neither part.",
        "The last clips test: range(clips - tested, clips).",
        "Both parts need a clip, whatever the share.",
    ),
)


# --- Step 2: sound ---------------------------------------------------------------


def shuffle_batch(x: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """Pad with the mirror image, then cut each item out at its own place."""
    reach = int(shifts.abs().max())
    if not reach:
        return x
    padded = F.pad(x, (reach, reach), mode="reflect")
    starts = (reach - shifts).tolist()
    length = x.shape[2]
    items = [item[:, s : s + length] for item, s in zip(padded, starts, strict=True)]
    return torch.stack(items)


def check_shuffle_batch(answer: Callable) -> None:
    """Try a signal that counts its steps, then random ones against a loop."""
    count = torch.arange(8.0).expand(3, 1, 8)
    same = answer(count, torch.tensor([0, 0, 0]))
    assert_close(require_answer(same, "signals"), count, "signals with shifts of 0")
    got = to_array(answer(count, torch.tensor([2, 0, -2])), "signals")
    assert got.shape == (3, 1, 8), (
        f"The shape is {got.shape}. The length must stay: (3, 1, 8)"
    )
    assert (got[0, 0, 2:] == np.arange(6)).all(), (
        f"0 1 2 … 7, moved by 2 to later times, became {got[0, 0]}. From its third "
        "place on it should be 0 1 2 3 4 5"
    )
    assert not (got[0, 0, :2] == [6, 7]).all(), (
        "What left at the end came in at the beginning. Fill up with the mirror image"
    )
    assert_close(got[0, 0], [2, 1, 0, 1, 2, 3, 4, 5], "0 1 … 7, moved by 2")
    assert_close(got[2, 0], [2, 3, 4, 5, 6, 7, 6, 5], "0 1 … 7, moved by -2")
    random = torch.Generator().manual_seed(1)
    x = torch.randn(4, 2, 11, generator=random)
    shifts = torch.tensor([3, -1, 0, 2])
    right = torch.empty_like(x)
    for b in range(4):
        for t in range(11):
            source = abs(t - int(shifts[b]))
            right[b, :, t] = x[b, :, 10 - abs(10 - source)]
    assert_close(answer(x, shifts), right, "random signals")


SHUFFLE_BATCH = Exercise(
    "phase shuffle",
    "Move each item of a batch by its own number of steps, filled with its mirror.",
    check_shuffle_batch,
    shuffle_batch,
    (
        'F.pad(x, (n, n), mode="reflect") adds n mirrored steps at both ends.',
        "Item b of the padded signal begins at n - shifts[b] and has L steps.",
        "Take the items one by one and put them together with torch.stack.",
    ),
)


def generator_slopes(logits: torch.Tensor) -> torch.Tensor:
    """Differentiate the three losses by hand."""
    p = logits.sigmoid()
    slopes = torch.stack([-torch.ones_like(p), -p * (1 - p), -(1 - p)])
    return slopes / len(logits)


def check_generator_slopes(answer: Callable) -> None:
    """Compare with autograd, in float64 and where the critic is sure."""
    logits = torch.tensor([-20.0, -3.0, 0.0, 1.5, 8.0], dtype=torch.float64)
    got = to_array(answer(logits), "gradients")
    assert got.shape == (3, 5), (
        f"The shape is {got.shape}. It should be (3, 5): a row for each loss"
    )
    x = logits.clone().requires_grad_()
    values = (-x.mean(), -x.sigmoid().mean(), -F.logsigmoid(x).mean())
    names = ("scores as they are", "through a sigmoid", "non-saturating")
    for row, value, name in zip(got, values, names, strict=True):
        (right,) = torch.autograd.grad(value, x, retain_graph=True)
        assert_close(row, right, f"gradient, {name}", 1e-9)


GENERATOR_SLOPES = Exercise(
    "what a generator feels",
    "Compute the gradients of three losses of a generator with respect to the logits.",
    check_generator_slopes,
    generator_slopes,
    (
        "A mean over B items divides each gradient by B.",
        "The derivative of the sigmoid p is p (1 - p).",
        "That of log p is 1 - p: the factor p has cancelled.",
    ),
)
