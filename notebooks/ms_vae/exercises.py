"""The exercises of this series: two a notebook, each with a check that gives hints.

A check compares the answer with something found another way (a plain loop, a sum of
throws, a closed form), and says what is wrong with it. Read the solutions last.
"""

import math
from collections.abc import Callable

import numpy as np
import torch

from avnb.lessons import Exercise, close, given, numbers

# --- Step 4: model ---------------------------------------------------------------


def gaussian_kl(mu: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    return (mu**2 + sigma**2 - 1 - 2 * np.log(sigma)).sum(-1) / 2


def check_gaussian_kl(answer: Callable) -> None:
    random = np.random.default_rng(0)
    mu, sigma = random.normal(size=(3, 2)), random.uniform(0.3, 1.5, (3, 2))
    nothing = numbers(answer(np.zeros((1, 4)), np.ones((1, 4))), "KL")
    close(nothing, np.zeros(1), "N(0, 1) against itself")
    # the mean of log q(z) - log p(z) over throws, by midpoints of the quantiles
    at = torch.special.ndtri((torch.arange(200_000) + 0.5).double() / 200_000).numpy()
    z = mu[..., None] + sigma[..., None] * at
    log_q = -(at**2) / 2 - np.log(sigma)[..., None]
    right = (log_q + z**2 / 2).mean(-1).sum(-1)
    mine = numbers(answer(mu, sigma), "KL")
    assert mine.shape == (3,), f"one number a row: (3,), not {mine.shape}"
    doubled = np.allclose(mine, 2 * right, rtol=1e-2)
    assert not doubled, "twice as much as it should be: the formula has a half"
    close(mine, right, "KL against the mean over throws", 1e-3)


GAUSSIAN_KL = Exercise(
    "the price of saying something",
    "The KL of Gaussians from N(0, 1), latents being independent.",
    check_gaussian_kl,
    gaussian_kl,
    (
        "log σ² is 2 log σ.",
        "Independent latents: their KLs add up over the last axis.",
    ),
)


def two_distances(
    mu: np.ndarray, sigma: np.ndarray, mu_2: np.ndarray, sigma_2: np.ndarray
) -> tuple[float, float]:
    means = float(((mu - mu_2) ** 2).sum())
    drawn = means + float((sigma**2 + sigma_2**2).sum())
    return drawn, means + float(((sigma - sigma_2) ** 2).sum())


def check_two_distances(answer: Callable) -> None:
    random = np.random.default_rng(1)
    mu, mu_2 = random.normal(size=(2, 5))
    sigma, sigma_2 = random.uniform(0.2, 1.2, (2, 5))
    same = given(answer(mu, sigma, mu, sigma), "pair of distances")
    assert len(same) == 2, "two numbers: by draws, and Wasserstein's"
    assert abs(same[1]) < 1e-9, "a cloud's Wasserstein distance to itself is 0"
    assert same[0] > 0.1, (
        "two draws of one cloud differ: their expected distance is not 0"
    )
    first = mu + sigma * random.normal(size=(400_000, 5))
    second = mu_2 + sigma_2 * random.normal(size=(400_000, 5))
    drawn = ((first - second) ** 2).sum(1).mean()
    # in one dimension the best plan moves the smallest to the smallest, and so on
    plan = ((np.sort(first, 0) - np.sort(second, 0)) ** 2).mean(0).sum()
    mine = numbers(answer(mu, sigma, mu_2, sigma_2), "pair of distances")
    close(mine[0], drawn, "by independent draws", 2e-2)
    close(mine[1], plan, "Wasserstein's", 2e-2)


TWO_DISTANCES = Exercise(
    "not quite Wasserstein",
    "Expected squared distance of independent draws, and the squared W2 distance.",
    check_two_distances,
    two_distances,
    (
        "The variance of a difference of independent draws is the sum of variances.",
        "W2 may choose which draw goes with which: with the same ε for both, "
        "z − z′ = μ − μ′ + (σ − σ′) ε.",
    ),
)

# --- Step 5: baselines -----------------------------------------------------------


def contrastive(d: float, e: int, margin: float) -> tuple[float, float]:
    if e:
        return d**2, 2 * d
    short = max(0.0, margin - d)
    return short**2, -2 * short


def check_contrastive(answer: Callable) -> None:
    for e in (1, 0):
        for d in (0.0, 0.5, 1.9, 2.5):
            x = torch.tensor(d, dtype=torch.float64, requires_grad=True)
            loss = x**2 if e else torch.relu(2 - x) ** 2
            (slope,) = torch.autograd.grad(loss, x)
            mine = numbers(answer(d, e, 2.0), "pair (loss, slope)")
            assert mine.shape == (2,), "two numbers: the loss and its slope"
            at = f"d = {d}, e = {e}"
            close(mine[0], loss.item(), f"loss at {at}")
            close(mine[1], slope.item(), f"slope at {at}")


CONTRASTIVE = Exercise(
    "near, or far enough",
    "AVDLN's loss of one pair and its derivative by the distance.",
    check_contrastive,
    contrastive,
    (
        "e = 1: the loss is d².",
        "e = 0: beyond the margin there is nothing left to push, so the slope is 0.",
    ),
)


def largest_correlation(x: np.ndarray, y: np.ndarray) -> float:
    # an orthonormal basis of each side: its covariance is 1 already
    q_x, q_y = (np.linalg.qr(a - a.mean(0))[0] for a in (x, y))
    return float(np.linalg.svd(q_x.T @ q_y, compute_uv=False)[0])


def check_largest_correlation(answer: Callable) -> None:
    random = np.random.default_rng(2)
    x = random.normal(size=(200, 1))
    y = 2 * x + random.normal(size=(200, 1))
    close(
        answer(x, y), abs(np.corrcoef(x.T, y.T)[0, 1]), "one dimension: Pearson's |r|"
    )
    close(answer(x, -y), abs(np.corrcoef(x.T, y.T)[0, 1]), "y upside down")
    x, y = random.normal(size=(60, 3)), random.normal(size=(60, 3))
    y[:, 0] += x[:, 1]
    # regress by turns: power iteration on the two projections
    a, b = x - x.mean(0), y - y.mean(0)
    u = a[:, 0]
    for _ in range(2000):
        v = b @ np.linalg.lstsq(b, u, rcond=None)[0]
        u = a @ np.linalg.lstsq(a, v / np.linalg.norm(v), rcond=None)[0]
    right = float(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
    close(answer(x, y), right, "three dimensions")
    close(answer(x + 5, 3 * y), right, "moved and scaled: nothing changes")


LARGEST_CORRELATION = Exercise(
    "the best pair of directions",
    "How strongly two sets of features can be made to correlate by linear means.",
    check_largest_correlation,
    largest_correlation,
    (
        "Take the means off first.",
        "np.linalg.qr gives an orthonormal basis: its coordinates are uncorrelated.",
        "Of two orthonormal bases the best pair of directions is a singular value.",
    ),
)

# --- Step 6: training ------------------------------------------------------------


def two_adams(gradients: np.ndarray, rate: float) -> float:
    m = v = weight = 0.0
    for n, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        step = m / (1 - 0.9**n) / (math.sqrt(v / (1 - 0.999**n)) + 1e-8)
        weight -= 2 * rate * step
    return weight


def check_two_adams(answer: Callable) -> None:
    random = np.random.default_rng(3)
    for gradients in (np.array([2.0]), random.normal(size=40) + 0.3):
        weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        adams = [torch.optim.Adam([weight], lr=0.01) for _ in range(2)]
        for g in gradients:
            weight.grad = torch.tensor([float(g)], dtype=torch.float64)
            for adam in adams:
                adam.step()
        mine = float(numbers(answer(gradients, 0.01), "weight"))
        right = weight.item()
        assert abs(mine - right / 2) > 1e-6 * abs(right), (
            "half as far as it should be: both optimisers step"
        )
        close(mine, right, f"after {len(gradients)} gradients", 1e-6)


TWO_ADAMS = Exercise(
    "stepped twice",
    "The path of a weight that two Adams own.",
    check_two_adams,
    two_adams,
    (
        "m ← 0.9 m + 0.1 g, v ← 0.999 v + 0.001 g², from 0.",
        "Step n divides m by 1 − 0.9ⁿ and v by 1 − 0.999ⁿ.",
        "Both have the same m and v, so both take the same step.",
    ),
)


def weight_of_a_second(lengths: list[int], video: int, released: bool) -> float:
    return 1 / len(lengths) if released else 1 / len(lengths) / lengths[video]


def check_weight_of_a_second(answer: Callable) -> None:
    lengths = [10, 2, 5]
    for video, length in enumerate(lengths):
        seconds = [torch.rand(n, requires_grad=True) for n in lengths]
        for released in (True, False):
            parts = [x.sum() if released else x.mean() for x in seconds]
            mean = torch.stack(parts).mean()
            (slope,) = torch.autograd.grad(mean, seconds[video])
            mine = answer(lengths, video, released)
            what = f"a second of {length}, {'as released' if released else 'corrected'}"
            close(mine, slope[0].item(), what)


WEIGHT_OF_A_SECOND = Exercise(
    "long videos, short videos",
    "What a second of a video counts in the mean over videos, by either mode.",
    check_weight_of_a_second,
    weight_of_a_second,
    (
        "The mean over N videos gives each of them 1 / N.",
        "As released a video's KL is the sum of its seconds'.",
    ),
)
