"""The exercises of this series: two a notebook, each with a check that gives hints.

A check compares the answer with something found another way (a plain loop, torch's own
gradient, a closed form), and says what is wrong with it. Read the solutions last.
"""

import math
from collections.abc import Callable

import numpy as np
import torch

from avnb.lessons import Exercise, close, given, numbers

# --- Step 2: features ------------------------------------------------------------


def unit_rows(rows: torch.Tensor) -> torch.Tensor:
    length = rows.norm(dim=-1, keepdim=True)
    return rows / torch.where(length > 0, length, 1)


def check_unit_rows(answer: Callable) -> None:
    random = torch.Generator().manual_seed(1)
    rows = torch.rand(4, 7, generator=random)
    rows[2] = 0
    mine = numbers(answer(rows), "rows")
    assert np.isfinite(mine).all(), "a row of zeros gives nan: its length is 0"
    right = [
        [x / max(math.sqrt(sum(y * y for y in row)), 1e-30) for x in row]
        for row in rows.tolist()
    ]
    largest = (rows / rows.abs().amax(dim=1, keepdim=True).clamp(min=1e-30)).numpy()
    assert not np.allclose(mine, largest), (
        "that is the released code's scaling, by the largest value, not by the length"
    )
    close(mine, right, "each row over its length")


UNIT_ROWS = Exercise(
    "the usual scaling",
    "Each row divided by its Euclidean length; rows of zeros stay zero.",
    check_unit_rows,
    unit_rows,
    (
        "rows.norm(dim=-1, keepdim=True) is the length of each row.",
        "Divide by 1 where the length is 0: torch.where(length > 0, length, 1).",
    ),
)


def unheard_share(
    frames: int, window: int = 400, hop: int = 160, rate: int = 16000
) -> float:
    if hop >= window:
        return max(0.0, 1 - frames * window / rate)
    return max(0.0, 1 - ((frames - 1) * hop + window) / rate)


def check_unheard_share(answer: Callable) -> None:
    for frames, window, hop, rate in (
        (96, 400, 160, 16000),
        (10, 400, 160, 16000),
        (10, 100, 160, 16000),
        (200, 400, 160, 16000),
        (1, 400, 160, 8000),
    ):
        covered = set()
        for n in range(frames):
            covered |= set(range(n * hop, min(n * hop + window, rate)))
        right = 1 - len(covered) / rate
        got = float(numbers(answer(frames, window, hop, rate), "share"))
        assert got >= 0, f"{frames} windows reach beyond the second: the share is 0"
        close(got, right, f"{frames} windows of {window} samples every {hop}", 1e-6)


UNHEARD_SHARE = Exercise(
    "what no window holds",
    "The share of a second's samples that are in none of the first windows.",
    check_unheard_share,
    unheard_share,
    (
        "The last window begins at (frames - 1) * hop and ends `window` samples later.",
        "Where the hop is longer than the window there are gaps between them.",
        "A window may reach beyond the second: no share is below 0.",
    ),
)

# --- Step 3: extraction ----------------------------------------------------------


def by_second(rows: torch.Tensor, times: torch.Tensor, seconds: int) -> torch.Tensor:
    which = times.floor().long()
    total = torch.zeros(seconds, rows.shape[1]).index_add_(0, which, rows)
    count = torch.bincount(which, minlength=seconds).clamp(min=1)
    return total / count[:, None]


def check_by_second(answer: Callable) -> None:
    random = torch.Generator().manual_seed(2)
    times = (torch.rand(23, generator=random) * 5).sort().values
    times = times[(times < 2) | (times >= 3)]  # second 2 has no frame
    rows = torch.rand(len(times), 3, generator=random)
    right = np.zeros((5, 3))
    for second in range(5):
        of = [r for r, t in zip(rows.tolist(), times.tolist(), strict=True)
              if second <= t < second + 1]  # fmt: skip
        if of:
            right[second] = np.mean(of, axis=0)
    mine = numbers(answer(rows, times, 5), "rows")
    assert np.isfinite(mine).all(), "a second without frames gives nan: leave it zero"
    close(mine, right, "means by second")


BY_SECOND = Exercise(
    "from frames to seconds",
    "The mean of the rows of the frames of each second.",
    check_by_second,
    by_second,
    (
        "times.floor().long() is the second of each frame.",
        "index_add_ adds rows that share a second; bincount counts them.",
    ),
)


def leaked(train: torch.Tensor, test: torch.Tensor) -> list[tuple[int, int]]:
    first: dict[bytes, list[int]] = {}
    for j, row in enumerate(train.numpy()):
        first.setdefault(row.tobytes(), []).append(j)
    return [
        (i, j)
        for i, row in enumerate(test.numpy())
        if row.any()
        for j in first.get(row.tobytes(), [])
    ]


def check_leaked(answer: Callable) -> None:
    random = torch.Generator().manual_seed(3)
    train, test = torch.rand(2, 6, 4, generator=random)
    train[4] = test[1] = 0
    train[2], test[5] = test[3], train[0]
    found = {tuple(int(k) for k in pair) for pair in given(answer(train, test), "list")}
    assert (1, 4) not in found, "two rows of zeros are silence, not a leak"
    right = {(3, 2), (5, 0)}
    assert found != {(2, 3), (0, 5)}, "the test row comes first in each pair"
    assert found == right, f"found {sorted(found)}; there are {sorted(right)}"
    assert list(answer(train[:2] + 2, test)) == [], "nothing is equal there"


LEAKED = Exercise(
    "the same second twice",
    "The pairs of a test row and a training row that are equal to the last bit.",
    check_leaked,
    leaked,
    (
        "(test[:, None] == train[None]).all(dim=-1) compares each pair.",
        "Rows of zeros are silence: leave out those with test.any(dim=-1) False.",
        "nonzero() of a mask (tests, trains) gives the pairs.",
    ),
)
