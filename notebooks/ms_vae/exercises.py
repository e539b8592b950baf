"""The exercises of ms_vae: two for each notebook, each with a check that gives hints.

A check computes the result in another way (a plain loop, a count of all cases, a
simulation), compares the answer with it, and says what is wrong. The function with the
exercise's name is a solution. Read the solutions last.
"""

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
import torch

from avnb.course.exercises import Exercise, assert_close, require_answer, to_array

# --- Step 1: data ----------------------------------------------------------------


def chance_of_k(lengths: torch.Tensor, k: int, seconds: int = 10) -> float:
    """Compute the expected share of events whose start is among k different guesses.

    Args:
        lengths: (N,) seconds of each event.
        k: how many different places are guessed.
        seconds: the length of every video.
    """
    places = seconds - lengths + 1
    return (places.clamp(max=k) / places).mean().item()


def check_chance_of_k(answer: Callable) -> None:
    """Count over all sets of k guesses, for a few lengths."""
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
        share = to_array(mine, "share")
        what = f"lengths {lengths}, {k} guesses, {seconds} s"
        assert share.shape == (), f"{what}: one number, the mean over the videos"
        assert share <= 1, (
            f"{what}: {share:.3f} is above 1. There are fewer places than guesses"
        )
        assert_close(share, np.mean(counted), what)


CHANCE_OF_K = Exercise(
    "k guesses",
    "What share of events, expected, has its start among k different guesses?",
    check_chance_of_k,
    chance_of_k,
    (
        "An event of l seconds fits at T - l + 1 places.",
        "k different places of m contain the right one with probability k / m.",
        "With as many guesses as places, or more, the right place is always named.",
    ),
)


def nearest_class(
    features: torch.Tensor, labels: torch.Tensor, units: torch.Tensor
) -> float:
    """Compute in what share of the items the nearest item of another unit agrees.

    Args:
        features: (N, d) of each item.
        labels: (N,) classes.
        units: (N,) the source video of each item.
    """
    distance = torch.cdist(features, features)
    distance[units[:, None] == units] = torch.inf
    return (labels[distance.argmin(1)] == labels).double().mean().item()


def check_nearest_class(answer: Callable) -> None:
    """Compare with a loop, on items whose own video would give the answer away."""
    random = torch.Generator().manual_seed(2)
    units = torch.arange(12).repeat_interleave(3)
    labels = torch.randint(0, 4, (12,), generator=random)[units]
    places = torch.rand(12, 2, generator=random)[units]
    features = places + 0.01 * torch.rand(36, 2, generator=random)
    hits = cheated = 0
    for i in range(36):
        far = [float((features[i] - features[j]).norm()) for j in range(36)]
        others = [j for j in range(36) if units[j] != units[i]]
        hits += int(labels[min(others, key=far.__getitem__)] == labels[i])
        same = [j for j in range(36) if j != i]
        cheated += int(labels[min(same, key=far.__getitem__)] == labels[i])
    mine = float(to_array(answer(features.clone(), labels, units), "share"))
    assert mine <= 1, f"{mine:.3f} is above 1. Return a share, not a count"
    assert not (hits != cheated and abs(mine - cheated / 36) < 1e-6), (
        f"{mine:.2f}: two items of one video are near each other whatever the feature "
        "is. Look for the nearest item of another video"
    )
    assert_close(mine, hits / 36, "share of the nearest items that agree")


NEAREST_CLASS = Exercise(
    "a reader of shortcuts",
    "How often does the nearest item of another video have the same class?",
    check_nearest_class,
    nearest_class,
    (
        "torch.cdist(features, features) holds the distances of all pairs.",
        "Set the distances within one video to infinity: an item is of its own video, "
        "too.",
        "labels[distance.argmin(1)] are the classes of the nearest items.",
    ),
)


# --- Step 2: features ------------------------------------------------------------


def unit_rows(rows: torch.Tensor) -> torch.Tensor:
    """Divide each row (n, d) by its Euclidean length; rows of zeros stay zero."""
    length = rows.norm(dim=-1, keepdim=True)
    return rows / torch.where(length > 0, length, 1)


def check_unit_rows(answer: Callable) -> None:
    """Compare with a loop over the numbers of each row."""
    random = torch.Generator().manual_seed(1)
    rows = torch.rand(4, 7, generator=random)
    rows[2] = 0
    mine = to_array(answer(rows), "rows")
    assert np.isfinite(mine).all(), "a row of zeros gives nan, because its length is 0"
    right = [
        [x / max(math.sqrt(sum(y * y for y in row)), 1e-30) for x in row]
        for row in rows.tolist()
    ]
    largest = (rows / rows.abs().amax(dim=1, keepdim=True).clamp(min=1e-30)).numpy()
    assert not np.allclose(mine, largest), (
        "this divides by the largest value, as the released code, not by the length"
    )
    assert_close(mine, right, "each row over its length")


UNIT_ROWS = Exercise(
    "the usual scaling",
    "Divide each row by its Euclidean length. Rows of zeros stay zero.",
    check_unit_rows,
    unit_rows,
    (
        "rows.norm(dim=-1, keepdim=True) is the length of each row.",
        "Divide by 1 where the length is 0: torch.where(length > 0, length, 1).",
    ),
)


def pool_maps(maps: torch.Tensor) -> torch.Tensor:
    """Average the maps (F, C, h, w) of F frames over places and frames: (C,)."""
    return maps.mean(dim=(0, 2, 3))


def check_pool_maps(answer: Callable) -> None:
    """Compare with a loop over frames and places."""
    maps = torch.rand(3, 5, 2, 4, generator=torch.Generator().manual_seed(4))
    right = [
        sum(
            float(maps[f, c, y, x])
            for f in range(3)
            for y in range(2)
            for x in range(4)
        )
        / 24
        for c in range(5)
    ]
    mine = to_array(answer(maps), "row")
    assert mine.shape != (3, 5), "one row for each frame: average over the frames too"
    assert mine.shape == (5,), f"the shape is {mine.shape}. It should be (5,)"
    assert not np.allclose(mine, maps.amax(dim=(0, 2, 3)).numpy()), (
        "this is the largest value of each map. The equation has the mean"
    )
    assert_close(mine, right, "mean of each map")


POOL_MAPS = Exercise(
    "from maps to a row",
    "Turn the pool5 maps of a second's frames into the row of that second.",
    check_pool_maps,
    pool_maps,
    (
        "The equation has one number for each map c.",
        "The mean is over the frames and over both axes of the places.",
    ),
)

# --- Step 3: extraction ----------------------------------------------------------


def neighbour_agreement(rows: torch.Tensor, event: torch.Tensor) -> float:
    """Compute the share of seconds whose nearest other second is of the same kind.

    Args:
        rows: (T, d) features of the seconds of one video.
        event: (T,) which of them have the event.
    """
    distance = torch.cdist(rows, rows).fill_diagonal_(torch.inf)
    return (event[distance.argmin(1)] == event).double().mean().item()


def check_neighbour_agreement(answer: Callable) -> None:
    """Compare with a loop over the seconds."""
    random = torch.Generator().manual_seed(2)
    rows = torch.rand(10, 3, generator=random)
    event = torch.arange(10) < 4
    hits = 0
    for t in range(10):
        far = [float((rows[t] - rows[s]).norm()) for s in range(10)]
        nearest = min((s for s in range(10) if s != t), key=far.__getitem__)
        hits += int(event[nearest] == event[t])
    mine = float(to_array(answer(rows.clone(), event), "share"))
    assert not (mine == 1 and hits < 10), (
        "1 is too good: each second was its own neighbour. Leave it out"
    )
    assert_close(mine, hits / 10, "share of the seconds that agree")
    apart = rows + 10 * event[:, None]
    assert_close(answer(apart, event), 1.0, "share where event and background differ")


NEIGHBOUR_AGREEMENT = Exercise(
    "event or background",
    "How often is a second's nearest other second of the same kind?",
    check_neighbour_agreement,
    neighbour_agreement,
    (
        "torch.cdist(rows, rows) holds the distances of all pairs of seconds.",
        "fill_diagonal_(torch.inf) keeps a second from being its own neighbour.",
        "Two seconds are of the same kind if both have the event or both have not.",
    ),
)


def leaked(train: torch.Tensor, test: torch.Tensor) -> list[tuple[int, int]]:
    """Find the pairs (i, j) where test row i equals training row j, bit for bit."""
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
    """Copy a row from one table to the other, and zero a row of each."""
    random = torch.Generator().manual_seed(3)
    train, test = torch.rand(2, 6, 4, generator=random)
    train[4] = test[1] = 0
    train[2], test[5] = test[3], train[0]
    found = {
        tuple(int(k) for k in pair)
        for pair in require_answer(answer(train, test), "list")
    }
    assert (1, 4) not in found, "two rows of zeros are two silent seconds, not a leak"
    right = {(3, 2), (5, 0)}
    assert found != {(2, 3), (0, 5)}, "the test row comes first in each pair"
    assert found == right, f"found {sorted(found)}; there are {sorted(right)}"
    assert list(answer(train[:2] + 2, test)) == [], (
        "no rows are equal here, so the list must be empty"
    )


LEAKED = Exercise(
    "find the leaks",
    "Which pairs of a test row and a training row are equal to the last bit?",
    check_leaked,
    leaked,
    (
        "(test[:, None] == train[None]).all(dim=-1) compares each pair.",
        "Rows of zeros are silence. Leave them out with test.any(dim=-1).",
        "nonzero() of a mask (tests, trains) gives the pairs.",
    ),
)


# --- Step 4: model ---------------------------------------------------------------


def gaussian_kl(mu: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Compute KL(N(μ, σ²) ‖ N(0, 1)) in nats, summed over the last axis."""
    return (mu**2 + sigma**2 - 1 - 2 * np.log(sigma)).sum(-1) / 2


def check_gaussian_kl(answer: Callable) -> None:
    """Compare with the mean of log q(z) - log p(z) over points z of q."""
    random = np.random.default_rng(0)
    mu, sigma = random.normal(size=(3, 2)), random.uniform(0.3, 1.5, (3, 2))
    nothing = to_array(answer(np.zeros((1, 4)), np.ones((1, 4))), "KL")
    assert_close(nothing, np.zeros(1), "N(0, 1) against itself")
    # the mean of log q(z) - log p(z), at the middles of 200,000 equal quantiles of q
    at = torch.special.ndtri((torch.arange(200_000) + 0.5).double() / 200_000).numpy()
    z = mu[..., None] + sigma[..., None] * at
    log_q = -(at**2) / 2 - np.log(sigma)[..., None]
    right = (log_q + z**2 / 2).mean(-1).sum(-1)
    mine = to_array(answer(mu, sigma), "KL")
    assert mine.shape == (3,), f"one number a row: (3,), not {mine.shape}"
    doubled = np.allclose(mine, 2 * right, rtol=1e-2)
    assert not doubled, (
        "twice as large as it should be: the formula has a factor of one half"
    )
    assert_close(mine, right, "KL against a numerical integral", 1e-3)


GAUSSIAN_KL = Exercise(
    "the KL of a Gaussian",
    "What is the KL of a Gaussian with independent latents from N(0, 1)?",
    check_gaussian_kl,
    gaussian_kl,
    (
        "log σ² is 2 log σ.",
        "The KLs of independent latents add up over the last axis.",
    ),
)


def two_distances(
    mu: np.ndarray, sigma: np.ndarray, mu_2: np.ndarray, sigma_2: np.ndarray
) -> tuple[float, float]:
    """Compute E‖z - z'‖² of independent draws, and Wasserstein-2 squared."""
    means = float(((mu - mu_2) ** 2).sum())
    drawn = means + float((sigma**2 + sigma_2**2).sum())
    return drawn, means + float(((sigma - sigma_2) ** 2).sum())


def check_two_distances(answer: Callable) -> None:
    """Compare with 400,000 draws, independent and then sorted."""
    random = np.random.default_rng(1)
    mu, mu_2 = random.normal(size=(2, 5))
    sigma, sigma_2 = random.uniform(0.2, 1.2, (2, 5))
    same = require_answer(answer(mu, sigma, mu, sigma), "pair of distances")
    assert len(same) == 2, "return two numbers: by draws, and Wasserstein's"
    assert abs(same[1]) < 1e-9, "the Wasserstein distance of a Gaussian to itself is 0"
    assert same[0] > 0.1, (
        "two draws of one Gaussian differ, so their expected distance is not 0"
    )
    first = mu + sigma * random.normal(size=(400_000, 5))
    second = mu_2 + sigma_2 * random.normal(size=(400_000, 5))
    drawn = ((first - second) ** 2).sum(1).mean()
    # In one dimension the best transport plan moves the smallest to the smallest, and
    # so on, so the sorted draws give the Wasserstein distance.
    plan = ((np.sort(first, 0) - np.sort(second, 0)) ** 2).mean(0).sum()
    mine = to_array(answer(mu, sigma, mu_2, sigma_2), "pair of distances")
    assert_close(mine[0], drawn, "by independent draws", 2e-2)
    assert_close(mine[1], plan, "Wasserstein's", 2e-2)


TWO_DISTANCES = Exercise(
    "draws against Wasserstein",
    "Compute the squared distance of two Gaussians by draws, and by Wasserstein.",
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
    """Compute AVDLN's loss of a pair at distance d, and its derivative by d."""
    if e:
        return d**2, 2 * d
    short = max(0.0, margin - d)
    return short**2, -2 * short


def check_contrastive(answer: Callable) -> None:
    """Compare with the loss and gradient of autograd."""
    for e in (1, 0):
        for d in (0.0, 0.5, 1.9, 2.5):
            x = torch.tensor(d, dtype=torch.float64, requires_grad=True)
            loss = x**2 if e else torch.relu(2 - x) ** 2
            (slope,) = torch.autograd.grad(loss, x)
            mine = to_array(answer(d, e, 2.0), "pair (loss, slope)")
            assert mine.shape == (2,), "two numbers: the loss and its slope"
            at = f"d = {d}, e = {e}"
            assert_close(mine[0], loss.item(), f"loss at {at}")
            assert_close(mine[1], slope.item(), f"slope at {at}")


CONTRASTIVE = Exercise(
    "the contrastive loss",
    "What is AVDLN's loss of one pair, and its derivative by the distance?",
    check_contrastive,
    contrastive,
    (
        "e = 1: the loss is d².",
        "e = 0: beyond the margin the loss is 0, and so is its slope.",
    ),
)


def largest_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Compute the first canonical correlation of two (N, D) arrays."""
    # the coordinates in an orthonormal basis have covariance 1 already
    q_x, q_y = (np.linalg.qr(a - a.mean(0))[0] for a in (x, y))
    return float(np.linalg.svd(q_x.T @ q_y, compute_uv=False)[0])


def check_largest_correlation(answer: Callable) -> None:
    """Compare with Pearson's r, and with a power iteration in three dimensions."""
    random = np.random.default_rng(2)
    x = random.normal(size=(200, 1))
    y = 2 * x + random.normal(size=(200, 1))
    assert_close(
        answer(x, y),
        abs(np.corrcoef(x.T, y.T)[0, 1]),
        "correlation in one dimension (Pearson's |r|)",
    )
    assert_close(answer(x, -y), abs(np.corrcoef(x.T, y.T)[0, 1]), "correlation with -y")
    x, y = random.normal(size=(60, 3)), random.normal(size=(60, 3))
    y[:, 0] += x[:, 1]
    # a power iteration: project onto each side in turn, by least squares
    a, b = x - x.mean(0), y - y.mean(0)
    u = a[:, 0]
    for _ in range(2000):
        v = b @ np.linalg.lstsq(b, u, rcond=None)[0]
        u = a @ np.linalg.lstsq(a, v / np.linalg.norm(v), rcond=None)[0]
    right = float(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
    assert_close(answer(x, y), right, "correlation in three dimensions")
    assert_close(
        answer(x + 5, 3 * y),
        right,
        "correlation after a shift and a scaling",
    )


LARGEST_CORRELATION = Exercise(
    "the largest canonical correlation",
    "How strongly can linear projections of two sets of features correlate?",
    check_largest_correlation,
    largest_correlation,
    (
        "Subtract the means first.",
        "np.linalg.qr gives an orthonormal basis, whose coordinates are uncorrelated.",
        "The largest singular value of Qx.T @ Qy is the correlation.",
    ),
)

# --- Step 6: training ------------------------------------------------------------


def two_adams(gradients: np.ndarray, rate: float) -> float:
    """Compute where a weight ends that starts at 0 and that two Adams own."""
    m = v = weight = 0.0
    for n, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        step = m / (1 - 0.9**n) / (math.sqrt(v / (1 - 0.999**n)) + 1e-8)
        weight -= 2 * rate * step
    return weight


def check_two_adams(answer: Callable) -> None:
    """Compare with two of torch's Adams on the same weight."""
    random = np.random.default_rng(3)
    for gradients in (np.array([2.0]), random.normal(size=40) + 0.3):
        weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        adams = [torch.optim.Adam([weight], lr=0.01) for _ in range(2)]
        for g in gradients:
            weight.grad = torch.tensor([float(g)], dtype=torch.float64)
            for adam in adams:
                adam.step()
        mine = float(to_array(answer(gradients, 0.01), "weight"))
        right = weight.item()
        assert abs(mine - right / 2) > 1e-6 * abs(right), (
            "half as far as it should be: both optimisers make a step"
        )
        assert_close(mine, right, f"after {len(gradients)} gradients", 1e-6)


TWO_ADAMS = Exercise(
    "two Adams on one weight",
    "Where does a weight end that two Adams own?",
    check_two_adams,
    two_adams,
    (
        "m ← 0.9 m + 0.1 g and v ← 0.999 v + 0.001 g². Both start at 0.",
        "Step n divides m by 1 − 0.9ⁿ and v by 1 − 0.999ⁿ.",
        "Both Adams have the same m and v, so both make the same step.",
    ),
)


def diagnose(
    error: float, nats: float, pulls: tuple[float, float], slope: float
) -> str:
    """Say what is wrong with a VAE's training, from its last numbers.

    Args:
        error: of the reconstruction; 1 is what the mean of all inputs gets.
        nats: KL of all latents together.
        pulls: the gradient's length of the error and of the KL, in the encoder.
        slope: by which share the held-out score rose in the last quarter.

    Returns:
        "healthy", "collapsed", "no prior" or "not finished".
    """
    if nats < 1 and error > 0.9:
        return "collapsed"
    if pulls[1] < 0.01 * pulls[0]:
        return "no prior"
    return "not finished" if slope >= 0.02 else "healthy"


def check_diagnose(answer: Callable) -> None:
    """Ask for runs of each kind, with numbers drawn within its signs."""
    random = np.random.default_rng(5)
    signs: dict[str, tuple[tuple[float, float], ...]] = {
        # (from, to) of the error, the nats, both pulls, and the slope
        "collapsed": ((0.95, 1.05), (0, 0.5), (1e-3, 0.05), (1e-3, 0.05), (0, 0.001)),
        "no prior": ((0.05, 0.3), (300, 900), (0.5, 2), (1e-5, 1e-3), (0, 0.01)),
        "not finished": ((0.4, 0.8), (5, 20), (0.5, 2), (0.1, 1), (0.1, 0.4)),
        "healthy": ((0.1, 0.4), (10, 40), (0.1, 0.4), (0.1, 0.4), (0, 0.01)),
    }
    why = {
        "collapsed": "its latents hold less than a nat, and its error is that of the "
        "mean of all inputs",
        "no prior": "its KL pulls at nothing, so its Gaussians become points",
        "not finished": "its held-out score still rises",
        "healthy": "both terms pull, the latents hold information, and the curve is "
        "flat",
    }
    for _ in range(20):
        for kind, ranges in signs.items():
            error, nats, first, second, slope = (
                float(random.uniform(*ends)) for ends in ranges
            )
            mine = require_answer(answer(error, nats, (first, second), slope), "text")
            assert mine in signs, f"{mine!r} is none of {', '.join(map(repr, signs))}"
            assert mine == kind, (
                f"error {error:.2f}, {nats:.1f} nats, pulls {first:.3g} and "
                f"{second:.3g}, slope {slope:.3f}: this run is {kind!r}, because "
                f"{why[kind]}"
            )


DIAGNOSE = Exercise(
    "healthy or sick",
    "What is wrong with a VAE's training, by its last numbers?",
    check_diagnose,
    diagnose,
    (
        "A collapsed latent holds no information, so the decoder gives the mean.",
        "Compare the two pulls: if the KL's is a hundredth of the error's, nothing "
        "holds the Gaussians near the prior.",
        "Step 6 calls a curve flat if its last quarter brought less than 2 %.",
    ),
)


# --- Step 7: evaluation ----------------------------------------------------------


def on_a_ring(distance: torch.Tensor, s: int, length: int) -> torch.Tensor:
    """Compute the costs (T,) of all windows of a video whose end meets its start."""
    seconds = len(distance)
    costs = torch.zeros(seconds)
    for k in range(length):
        costs += distance[s + k].roll(-k)
    return costs


def check_on_a_ring(answer: Callable) -> None:
    """Compare with a loop over windows and seconds, and turn the searched video."""
    random = torch.Generator().manual_seed(41)
    for s, length in ((0, 2), (3, 1), (4, 6), (2, 8)):
        distance = torch.rand(10, 10, generator=random)
        by_hand = [
            sum(float(distance[s + k, (t + k) % 10]) for k in range(length))
            for t in range(10)
        ]
        at = f"an event of {length} seconds from {s} on"
        mine = to_array(answer(distance, s, length), "vector of costs")
        assert mine.shape == (10,), f"{at}: 10 windows on a ring, not {mine.shape}"
        assert_close(mine, by_hand, at)
        turned = to_array(answer(distance.roll(3, dims=1), s, length), "costs")
        assert_close(
            turned, np.roll(by_hand, 3), f"{at}, the searched video turned by 3"
        )


ON_A_RING = Exercise(
    "costs on a ring",
    "What do all windows cost if the last second is followed by the first?",
    check_on_a_ring,
    on_a_ring,
    (
        "c(t) is the sum over k of distance[s + k, (t + k) % 10].",
        "For one k and all t, this is row s + k, rolled by -k.",
    ),
)


def at_random(n: int, right: int) -> float:
    """Compute E[1 / rank of the first right item] of n items in random order."""
    expected, none_so_far = 0.0, 1.0
    for j in range(1, n - right + 2):
        here = right / (n - j + 1)
        expected += none_so_far * here / j
        none_so_far *= 1 - here
    return expected


def check_at_random(answer: Callable) -> None:
    """Compare with two closed cases and with 20,000 shuffles."""
    assert_close(answer(7, 7), 1.0, "value for 7 items, all right")
    harmonic = sum(1 / j for j in range(1, 7)) / 6
    assert_close(
        answer(6, 1), harmonic, "value for 6 items, 1 right (the mean of 1, 1/2, … 1/6)"
    )
    random = np.random.default_rng(42)
    for n, right in ((9, 2), (40, 5)):
        drawn = random.random((20_000, n))
        first = drawn[:, :right].min(axis=1)
        ranks = 1 + (drawn < first[:, None]).sum(axis=1)
        simulated = (1 / ranks).mean()
        mine = float(to_array(answer(n, right), "number"))
        assert abs(mine - 1 / (1 + (n - right) / (right + 1))) > 1e-6, (
            f"{n} items, {right} right: this is 1 / E[rank], which is not E[1 / rank]"
        )
        assert_close(
            mine, simulated, f"{n} items, {right} right, 20,000 shuffles", 0.02
        )


AT_RANDOM = Exercise(
    "a random ranking",
    "What is the expected reciprocal rank of the first right item at random?",
    check_at_random,
    at_random,
    (
        "The first item is right with probability right / n. Then 1 / rank is 1.",
        "If it is wrong, n - 1 items are left, and as many as before are right.",
        "Continue to rank n - right + 1: then only right items are left.",
    ),
)


# --- Step 8: playing -------------------------------------------------------------


def by_detour(
    query: torch.Tensor,
    sounds: torch.Tensor,
    pictures: torch.Tensor,
    items: torch.Tensor,
) -> torch.Tensor:
    """Rank pictures for a sound by way of the training seconds, without a model.

    Args:
        query: (a,) the features of a sound.
        sounds: (n, a) of the training seconds.
        pictures: (n, v) of the same seconds.
        items: (m, v) of the pictures that are searched.

    Returns:
        (m,) their positions, the nearest first.
    """
    nearest = (sounds - query).norm(dim=1).argmin()
    return (items - pictures[nearest]).norm(dim=1).argsort()


def check_by_detour(answer: Callable) -> None:
    """Compare with two loops."""
    random = torch.Generator().manual_seed(43)
    for _ in range(3):
        sounds = torch.rand(20, 4, generator=random)
        pictures = torch.rand(20, 6, generator=random)
        items = torch.rand(9, 6, generator=random)
        query = torch.rand(4, generator=random)
        far = [sum((float(a) - float(b)) ** 2 for a, b in zip(s, query, strict=True))
               for s in sounds]  # fmt: skip
        seen = pictures[far.index(min(far))]
        other = [float((item - seen).square().sum()) for item in items]
        right = sorted(range(9), key=other.__getitem__)
        mine = answer(query, sounds, pictures, items)
        order = [int(k) for k in require_answer(mine, "ranking")]
        assert sorted(order) == list(range(9)), (
            f"{order}: each of the 9 pictures must occur once"
        )
        assert order != right[::-1], "this puts the farthest picture first"
        assert order == right, (
            f"the ranking is {order}. It should be {right}: compare the pictures with "
            "the one that was seen while the nearest training sound was heard"
        )


BY_DETOUR = Exercise(
    "retrieval without a model",
    "Rank pictures for a sound with nothing but a list of training seconds.",
    check_by_detour,
    by_detour,
    (
        "First find the training sound that is nearest to the query.",
        "The training second of that sound has a picture.",
        "Sort the searched pictures by their distance from it.",
    ),
)


def recall_at(distance: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Compute the share of queries with an item of their class among the k nearest."""
    order = np.argsort(distance, axis=1)[:, :k]
    return float((labels[order] == labels[:, None]).any(axis=1).mean())


def check_recall_at(answer: Callable) -> None:
    """Compare with a loop over the queries."""
    random = np.random.default_rng(44)
    distance, labels = random.random((30, 30)), random.integers(0, 9, 30)
    for k in (1, 4, 10):
        hits = 0
        for q in range(30):
            found = sorted(range(30), key=lambda i, q=q: distance[q, i])[:k]
            hits += any(labels[i] == labels[q] for i in found)
        assert_close(answer(distance, labels, k), hits / 30, f"recall at {k}")
    assert_close(
        answer(distance, labels, 30),
        1.0,
        "all 30 items, among them the query's own pair",
    )


RECALL_AT = Exercise(
    "recall at k",
    "Which share of the queries has a right answer among the first k?",
    check_recall_at,
    recall_at,
    (
        "np.argsort(distance, axis=1)[:, :k] holds the positions of the k nearest.",
        "labels[positions] == labels[:, None] says which are right. Use any(axis=1).",
    ),
)
