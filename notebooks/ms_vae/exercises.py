"""The exercises of this series: two a notebook, each with a check that gives hints.

A check compares the answer with something found another way (a plain loop, a sum of
throws, a closed form), and says what is wrong with it. Read the solutions last.
"""

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
