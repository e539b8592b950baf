"""The exercises of this series: two a notebook, each with a check that gives hints.

A check compares the answer with something found another way (a plain loop, a sum of
throws, a closed form), and says what is wrong with it. Read the solutions last.
"""

from collections.abc import Callable

import numpy as np
import torch

from avnb.lessons import Exercise, close, given, numbers

# --- Step 7: judging -------------------------------------------------------------


def on_a_ring(distance: torch.Tensor, s: int, length: int) -> torch.Tensor:
    seconds = len(distance)
    costs = torch.zeros(seconds)
    for k in range(length):
        costs += distance[s + k].roll(-k)
    return costs


def check_on_a_ring(answer: Callable) -> None:
    random = torch.Generator().manual_seed(41)
    for s, length in ((0, 2), (3, 1), (4, 6), (2, 8)):
        distance = torch.rand(10, 10, generator=random)
        by_hand = [
            sum(float(distance[s + k, (t + k) % 10]) for k in range(length))
            for t in range(10)
        ]
        at = f"an event of {length} seconds from {s} on"
        mine = numbers(answer(distance, s, length), "vector of costs")
        assert mine.shape == (10,), f"{at}: 10 windows on a ring, not {mine.shape}"
        close(mine, by_hand, at)
        turned = numbers(answer(distance.roll(3, dims=1), s, length), "costs")
        close(turned, np.roll(by_hand, 3), f"{at}, the searched video turned by 3")


ON_A_RING = Exercise(
    "the video as a ring",
    "The costs of all windows when the last second is followed by the first.",
    check_on_a_ring,
    on_a_ring,
    (
        "c(t) is the sum over k of distance[s + k, (t + k) % 10].",
        "For one k, over all t: row s + k, rolled by -k.",
    ),
)


def at_random(n: int, right: int) -> float:
    expected, none_so_far = 0.0, 1.0
    for j in range(1, n - right + 2):
        here = right / (n - j + 1)
        expected += none_so_far * here / j
        none_so_far *= 1 - here
    return expected


def check_at_random(answer: Callable) -> None:
    close(answer(7, 7), 1.0, "7 items, all right")
    harmonic = sum(1 / j for j in range(1, 7)) / 6
    close(answer(6, 1), harmonic, "6 items, 1 right: the mean of 1, 1/2, … 1/6")
    random = np.random.default_rng(42)
    for n, right in ((9, 2), (40, 5)):
        drawn = random.random((20_000, n))
        first = drawn[:, :right].min(axis=1)
        ranks = 1 + (drawn < first[:, None]).sum(axis=1)
        simulated = (1 / ranks).mean()
        mine = float(numbers(answer(n, right), "number"))
        assert abs(mine - 1 / (1 + (n - right) / (right + 1))) > 1e-6, (
            f"{n} items, {right} right: that is 1 / E[rank], which is not E[1 / rank]"
        )
        close(mine, simulated, f"{n} items, {right} right, 20,000 shuffles", 0.02)


AT_RANDOM = Exercise(
    "chance",
    "The expected reciprocal rank of the first right item, all in random order.",
    check_at_random,
    at_random,
    (
        "The first is right with the probability right / n: then 1 / rank is 1.",
        "If it is not, n - 1 items are left, of which as many as before are right.",
        "Go on until only right ones are left: rank n - right + 1 at the latest.",
    ),
)


# --- Step 8: playing -------------------------------------------------------------


def nearest_of_each(distance: np.ndarray, video: np.ndarray, k: int) -> list[int]:
    best: dict[int, int] = {}
    for place in np.argsort(distance, kind="stable"):
        best.setdefault(int(video[place]), int(place))
    return list(best.values())[:k]


def check_nearest_of_each(answer: Callable) -> None:
    random = np.random.default_rng(43)
    for k in (1, 3, 5):
        distance, video = random.random(40), random.integers(0, 8, 40)
        mine = [int(place) for place in given(answer(distance, video, k), "list")]
        assert len(mine) == k, f"{len(mine)} places, {k} were asked for"
        of = [int(video[place]) for place in mine]
        assert len(set(of)) == k, f"videos {of}: one of them twice"
        by_video = [
            min(np.flatnonzero(video == v), key=lambda i: distance[i]) for v in set(of)
        ]
        assert set(mine) == {int(i) for i in by_video}, (
            "a video is there with a second that is not its nearest"
        )
        least = sorted(distance[video == v].min() for v in np.unique(video))
        close(distance[mine], least[:k], f"distances of the {k} nearest, best first")


NEAREST_OF_EACH = Exercise(
    "one answer a video",
    "The k nearest items, the best first, at most one of each video.",
    check_nearest_of_each,
    nearest_of_each,
    (
        "Go through all places in the order of their distance: np.argsort.",
        "Keep a place if its video has none yet; stop at k.",
    ),
)


def recall_at(distance: np.ndarray, labels: np.ndarray, k: int) -> float:
    order = np.argsort(distance, axis=1)[:, :k]
    return float((labels[order] == labels[:, None]).any(axis=1).mean())


def check_recall_at(answer: Callable) -> None:
    random = np.random.default_rng(44)
    distance, labels = random.random((30, 30)), random.integers(0, 9, 30)
    for k in (1, 4, 10):
        hits = 0
        for q in range(30):
            found = sorted(range(30), key=lambda i, q=q: distance[q, i])[:k]
            hits += any(labels[i] == labels[q] for i in found)
        close(answer(distance, labels, k), hits / 30, f"recall at {k}")
    close(
        answer(distance, labels, 30), 1.0, "all 30 looked at, the own pair among them"
    )


RECALL_AT = Exercise(
    "recall at k",
    "The share of queries that have a right answer among the first k.",
    check_recall_at,
    recall_at,
    (
        "np.argsort(distance, axis=1)[:, :k] has the places of the k nearest.",
        "labels[places] == labels[:, None] says which are right; any of a row will do.",
    ),
)
