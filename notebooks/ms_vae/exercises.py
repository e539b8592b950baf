"""The exercises of this series: two a notebook, each with a check that gives hints.

A check compares the answer with something found another way (a plain loop, all cases
counted, a closed form), and says what is wrong with it. Read the solutions last.
"""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import torch

from avnb.lessons import Exercise, close, given, numbers

# --- Step 1: data ----------------------------------------------------------------


def chance_of_k(lengths: torch.Tensor, k: int, seconds: int = 10) -> float:
    places = seconds - lengths + 1
    return (places.clamp(max=k) / places).mean().item()


def check_chance_of_k(answer: Callable) -> None:
    for lengths, k, seconds in (
        ([9, 2, 5, 10], 1, 10),
        ([9, 2, 5, 10], 3, 10),
        ([2, 3], 9, 10),
        ([1, 4, 6], 2, 6),
    ):
        counted = []
        for length in lengths:
            places = range(seconds - length + 1)
            guesses = list(combinations(places, min(k, len(places))))
            right = [sum(t in guess for guess in guesses) for t in places]
            counted.append(np.mean(right) / len(guesses))
        mine = answer(torch.tensor(lengths), k, seconds)
        share = numbers(mine, "share")
        what = f"lengths {lengths}, {k} guesses, {seconds} s"
        assert share.shape == (), f"{what}: one number, the mean over the videos"
        assert share <= 1, f"{what}: {share:.3f} is above 1: fewer places than guesses"
        close(share, np.mean(counted), what)


CHANCE_OF_K = Exercise(
    "k guesses",
    "The expected share of events whose start is among k different guesses.",
    check_chance_of_k,
    chance_of_k,
    (
        "An event of l seconds fits at T - l + 1 places.",
        "k different places of m contain the right one with probability k / m.",
        "If there are fewer places than guesses, all of them are named: 1.",
    ),
)


def disagree(
    labels: torch.Tensor, spans: torch.Tensor, classes: torch.Tensor
) -> list[int]:
    second = torch.arange(labels.shape[1])
    inside = (second >= spans[:, :1]) & (second < spans[:, 1:])
    wanted = torch.where(inside, classes[:, None], 28)
    right = torch.nn.functional.one_hot(wanted, 29)
    return (right != labels).any(dim=2).any(dim=1).nonzero()[:, 0].tolist()


def check_disagree(answer: Callable) -> None:
    random = np.random.default_rng(2)
    spans = np.array([[0, 10], [3, 7], [8, 10], [0, 2], [5, 6], [2, 9], [1, 4]])
    classes = random.integers(0, 28, len(spans))
    labels = np.zeros((len(spans), 10, 29), dtype=np.int64)
    for n, (start, end) in enumerate(spans):
        for t in range(10):
            labels[n, t, classes[n] if start <= t < end else 28] = 1

    def ask() -> list:
        asked = map(torch.from_numpy, (labels, spans, classes))
        return [int(n) for n in given(answer(*asked), "list of indices")]

    assert ask() == [], "where all agree, the list is empty: is the end left out?"
    labels[1, 7] = labels[1, 3]  # the end included
    assert ask() == [1], "video 1 has its event in second 7 too, where it has ended"
    labels[4, 5] = np.roll(labels[4, 5], 1)  # another class
    assert ask() == [1, 4], "video 4 has another class in second 5"
    labels[6, 0] = 0  # no class at all
    assert ask() == [1, 4, 6], "video 6 has no class in second 0: all 29 are 0"
    labels[2, 9, 3] = labels[2, 9, 4] = 1  # more than one
    assert ask() == [1, 2, 4, 6], "video 2 has more than one class in second 9"


DISAGREE = Exercise(
    "labels that disagree",
    "The videos whose one-hot labels are not what their annotation says.",
    check_disagree,
    disagree,
    (
        "Second t is in the event when start <= t < end: the end is not part of it.",
        "Build the labels that the annotations ask for, and compare all 29 columns.",
        "argmax would not notice a second with no class, or with two.",
    ),
)
