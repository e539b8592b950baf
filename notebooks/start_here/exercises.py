"""The exercises of this series: two for each notebook, with checks that give hints.

A check compares the answer with a result that was computed in another way (a plain
loop, a closed form, torch's gradient) and says what is wrong. Try an exercise before
you read its solution here.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avnb.course.exercises import Exercise, assert_close, require_answer

# --- Step 1: the game ------------------------------------------------------------


def compute_g_loss(logits: Tensor) -> Tensor:
    """Compute the non-saturating loss of G from the logits of its points."""
    return F.softplus(-logits).mean()


def check_g_loss(answer: Callable) -> None:
    """Compare with the formula where it can be computed, and with its limits."""
    logits = torch.linspace(-4, 4, 9, dtype=torch.float64)
    loss = require_answer(answer(logits), "loss, one number")
    by_hand = -sum(math.log(1 / (1 + math.exp(-s))) for s in logits.tolist()) / 9
    saturating = sum(math.log(1 - 1 / (1 + math.exp(-s))) for s in logits.tolist()) / 9
    assert not math.isclose(float(loss), saturating, rel_tol=1e-6), (
        "This is the saturating loss, log(1 - D). Write -log D"
    )
    assert_close(loss, by_hand, "The loss of logits from -4 to 4")
    for logit, right in ((-1000.0, 1000.0), (1000.0, 0.0)):
        far = answer(torch.tensor([logit]))
        assert_close(far, right, f"The loss at a logit of {logit:g}")


G_LOSS = Exercise(
    "the non-saturating loss",
    "What does G minimise, if D gives these logits to its points?",
    check_g_loss,
    compute_g_loss,
    (
        "The loss of one point is -log σ(s). What is that in terms of softplus?",
        "-log σ(s) = log(1 + exp(-s)) = softplus(-s).",
        "torch.nn.functional.softplus stays finite. Take the mean over the points.",
    ),
)


def find_best_discriminator(log_real: Tensor, log_fake: Tensor) -> Tensor:
    """Compute D* from the log-densities."""
    return (log_real - log_fake).sigmoid()


def check_best_discriminator(answer: Callable) -> None:
    """Compare with the ratio of densities, and far out, where both are 0 in float."""
    real, fake = torch.tensor([0.3, 0.1, 2.0]), torch.tensor([0.1, 0.3, 2.0])
    mine = require_answer(answer(real.log(), fake.log()), "probabilities (B,)")
    assert_close(mine, (real / (real + fake)).numpy(), "The probabilities")
    far = answer(torch.tensor([-900.0]), torch.tensor([-901.0]))
    assert_close(
        far,
        [1 / (1 + math.exp(-1))],
        "Far from all points, where both densities are 0 as floats, the probability",
    )


BEST_DISCRIMINATOR = Exercise(
    "the best discriminator",
    "Which probability does the best discriminator give to each point?",
    check_best_discriminator,
    find_best_discriminator,
    (
        "D* = p_r / (p_r + p_g). Divide the numerator and the denominator by p_r.",
        "1 / (1 + exp(log p_g - log p_r)) is a sigmoid. Of what?",
        "Do not take exp of a log-density: far out it is 0, and 0 / 0 is nan.",
    ),
)

# --- Step 2: training ------------------------------------------------------------


def count_modes(points: Tensor, centres: Tensor, reach: float, least: int) -> int:
    """Count the centres that have enough points near them."""
    distance, mode = torch.cdist(points, centres).min(dim=1)
    counts = torch.bincount(mode[distance < reach], minlength=len(centres))
    return int((counts >= least).sum())


def check_count_modes(answer: Callable) -> None:
    """Count by a plain loop over constructed and over random points."""
    centres = torch.tensor([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]])
    near = torch.tensor([[0.0, 0.1]] * 3 + [[1.0, 0.1]] * 2 + [[9.0, 9.0]] * 4)
    cases = {
        "three points at the first centre, two at the second, four far away": (
            near, centres, 0.5, 2, 2,
        ),
        "the same, where a mode needs three points": (near, centres, 0.5, 3, 1),
        "the same, where a mode needs four points": (near, centres, 0.5, 4, 0),
        "points between two centres, which count for the nearest alone": (
            torch.tensor([[0.45, 0.0]] * 3), centres, 0.6, 3, 1,
        ),
    }  # fmt: skip
    random = torch.Generator().manual_seed(0)
    points = 3 * torch.randn(300, 2, generator=random)
    count = [0, 0, 0]
    for point in points:
        ways = [math.dist(point.tolist(), centre.tolist()) for centre in centres]
        if min(ways) < 1:
            count[ways.index(min(ways))] += 1
    least = sorted(count)[1]
    right = sum(number >= least for number in count)
    cases["random points"] = (points, centres, 1.0, least, right)
    for name, (*given, right) in cases.items():
        got = require_answer(answer(*given), "number of modes")
        assert got == right, f"{name}: the answer is {got}. It should be {right}"


COUNT_MODES = Exercise(
    "modes that are hit",
    "How many modes does a generator hit?",
    check_count_modes,
    count_modes,
    (
        "torch.cdist(points, centres) gives all distances (n, M). Take min(dim=1).",
        "Only points whose least distance is below `reach` count.",
        "torch.bincount(nearest, minlength=M) counts them. Compare with `least`.",
    ),
)


def take_step(
    G: nn.Module,
    D: nn.Module,
    optimizer: torch.optim.Optimizer,
    real: Tensor,
    z: Tensor,
) -> Tensor:
    """Make one update of D."""
    with torch.no_grad():
        fake = G(z)
    loss = F.softplus(-D(real)).mean() + F.softplus(D(fake)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def check_take_step(answer: Callable) -> None:
    """Make two steps and compare with torch.autograd by hand."""
    torch.manual_seed(0)
    G, D = nn.Linear(2, 2), nn.Linear(2, 1)
    optimizer = torch.optim.SGD(D.parameters(), 0.1)
    before = [p.detach().clone() for p in (*G.parameters(), *D.parameters())]
    for number in (1, 2):
        real, z = torch.randn(16, 2) + 1, torch.randn(16, 2)
        s_real, s_fake = D(real), D(G(z).detach())
        right = F.softplus(-s_real).mean() + F.softplus(s_fake).mean()
        slopes = torch.autograd.grad(right, list(D.parameters()))
        wanted = [p.detach() - 0.1 * s for p, s in zip(D.parameters(), slopes)]  # noqa: B905
        loss = require_answer(answer(G, D, optimizer, real, z), "loss of D")
        assert_close(loss, right.item(), f"The loss in step {number}")
        assert all(p.grad is None for p in G.parameters()), (
            "G has got a gradient. Make its points without a graph"
        )
        for mine, old in zip(G.parameters(), before[:2], strict=True):
            assert torch.equal(mine, old), "G has changed. This update is D's alone"
        for mine, new in zip(D.parameters(), wanted, strict=True):
            assert_close(
                mine,
                new,
                f"D's weights after step {number} (old gradients must be set to zero)",
            )


TAKE_STEP = Exercise(
    "one update of D",
    "Make one update of D that leaves G alone.",
    check_take_step,
    take_step,
    (
        "Make the points of G inside `with torch.no_grad():`.",
        "The loss: softplus(-D(real)).mean() + softplus(D(fake)).mean().",
        "Then optimizer.zero_grad(), loss.backward(), optimizer.step().",
    ),
)

# --- Step 3: Wasserstein ---------------------------------------------------------


def compute_penalty(
    critic: Callable, real: Tensor, fake: Tensor, share: Tensor
) -> Tensor:
    """Compute the gradient penalty at the given mixtures."""
    mixed = (share * real + (1 - share) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    return (slope.norm(dim=1) - 1).square().mean()


def check_penalty(answer: Callable) -> None:
    """Compare with critics whose slopes are known, and with their derivatives."""
    random = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 8, 2, generator=random, dtype=torch.float64)
    share = torch.rand(8, 1, generator=random, dtype=torch.float64)
    w = torch.tensor([[3.0], [4.0]], dtype=torch.float64, requires_grad=True)
    found = require_answer(answer(lambda x: x @ w, real, fake, share), "penalty")
    assert_close(found, 16.0, "The penalty of a critic with slope 5, (5 - 1)²")
    assert getattr(found, "requires_grad", False), (
        "The penalty does not depend on the critic's weights: create_graph is missing"
    )
    (slope,) = torch.autograd.grad(found, w)
    # d/dw (‖w‖ - 1)² = 2 (‖w‖ - 1) w / ‖w‖
    assert_close(slope, 8 * w.detach() / 5, "The gradient at the critic's weights")

    def bowl(x: Tensor) -> Tensor:
        return x.square().sum(1, keepdim=True) / 2

    middle = share * real + (1 - share) * fake
    right = (middle.norm(dim=1) - 1).square().mean()
    assert_close(answer(bowl, real, fake, share), right, "The penalty of |x|²/2")


PENALTY = Exercise(
    "the gradient penalty",
    "How far is the slope of the critic from 1, at points between real and generated?",
    check_penalty,
    compute_penalty,
    (
        "The points are share * real + (1 - share) * fake, with requires_grad_().",
        "torch.autograd.grad(critic(x).sum(), x, create_graph=True) gives the slopes.",
        "The norm is over the two coordinates of each point, the mean over points.",
    ),
)


def find_slopes(places: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """Find the slope of the best height: the sign of F_g - F_r."""
    left_fake = (fake[None] <= places[:, None]).double().mean(1)
    left_real = (real[None] <= places[:, None]).double().mean(1)
    return (left_fake - left_real).sign()


def check_find_slopes(answer: Callable) -> None:
    """The height with these slopes reaches the distance of the sorted pairs."""
    places = torch.tensor([-3.0, 0.0, 3.0])
    simple = require_answer(
        answer(places, torch.tensor([1.0]), torch.tensor([-1.0])), "slopes (n,)"
    )
    assert_close(simple, [0, 1, 0], "One real point at 1, one generated at -1: slopes")
    random = np.random.default_rng(0)
    real = np.concatenate([random.normal(-1, 0.3, 200), random.normal(2, 0.3, 200)])
    fake = random.normal(0, 0.5, 400)
    line = np.linspace(-4, 4, 4001)
    slopes = answer(*(torch.from_numpy(x) for x in (line, real, fake)))
    height = np.cumsum(np.asarray(slopes, float)) * (line[1] - line[0])
    mean_real, mean_fake = (np.interp(x, line, height).mean() for x in (real, fake))
    right = np.abs(np.sort(real) - np.sort(fake)).mean()
    assert_close(mean_real - mean_fake, right, "The difference of heights", 0.01)


BEST_HEIGHT = Exercise(
    "the best height",
    "Which slopes does the best 1-Lipschitz height on a line have?",
    check_find_slopes,
    find_slopes,
    (
        "Where earth must be carried to the right, the height rises to the right.",
        "Compare the shares of generated and of real points to the left of a place.",
        "(points[None] <= places[:, None]).double().mean(1) is F of these points. Take "
        "the sign of F_g - F_r.",
    ),
)

# --- Step 4: collapse ------------------------------------------------------------


def compute_pull(discriminate: Callable, points: Tensor) -> Tensor:
    """Compute the length of the gradient of each point's own loss."""
    x = points.detach().requires_grad_()
    (slope,) = torch.autograd.grad(F.softplus(-discriminate(x)).sum(), x)
    return slope.norm(dim=1)


def check_pull(answer: Callable) -> None:
    """Compare with a linear discriminator, for which the slope is known."""
    w = torch.tensor([3.0, 4.0])
    points = torch.tensor([[0.0, 0.0], [1.0, 1.0], [-1.0, -1.0]])
    found = require_answer(answer(lambda x: x @ w, points), "lengths (B,)")
    # d softplus(-s)/ds = σ(s) - 1, and |w| = 5
    right = [5 * (1 - 1 / (1 + math.exp(-s))) for s in (0.0, 7.0, -7.0)]
    assert_close(found, right, "The pull of a linear D, from point to point")


PULL = Exercise(
    "the pull at a point",
    "How strongly does D pull at each generated point?",
    check_pull,
    compute_pull,
    (
        "Make a copy of the points that requires a gradient.",
        "Take the gradient of the sum of losses: each point has its own then. With the "
        "mean each would have only its B-th part.",
        "slope.norm(dim=1) is the length.",
    ),
)


def diagnose(modes: float, quality: float, score_real: float, score_fake: float) -> str:
    """Name what is wrong with a run."""
    if score_fake < 0.05 and score_real > 0.95:
        return "D has won"
    if modes < 4:
        return "collapsed"
    return "healthy" if modes >= 7 and quality > 0.6 else "not done"


def check_diagnose(answer: Callable) -> None:
    """Ask for clear cases only, so that the borders are the reader's own."""
    cases = {
        (8, 0.85, 0.55, 0.47): ("healthy", "all modes, good points, scores near 1/2"),
        (1, 0.9, 0.6, 0.45): ("collapsed", "good points, but all of one kind"),
        (1, 0.05, 0.6, 0.4): ("collapsed", "one heap, which is between two modes"),
        (0, 0.0, 0.999, 0.001): ("D has won", "D is certain of everything"),
        (8, 0.2, 0.55, 0.4): ("not done", "all modes, but most points between them"),
    }
    for given, (right, why) in cases.items():
        got = require_answer(answer(*given), "diagnosis")
        assert got == right, (
            f"modes, quality, score_real, score_fake = {given}: you say {got!r}. It is "
            f"{right!r}: {why}"
        )


DIAGNOSE = Exercise(
    "a diagnosis",
    "What is wrong with this run?",
    check_diagnose,
    diagnose,
    (
        "Begin with what makes the other numbers useless: D is certain of everything.",
        "Few modes are a collapse, however good the points are.",
        "All modes and low quality: the run is not done.",
    ),
)

# --- Step 5: pairs ---------------------------------------------------------------


def compute_pair_loss(real: Tensor, fake: Tensor, wrong: Tensor) -> Tensor:
    """Compute D's loss of three kinds of pairs."""
    return F.softplus(-real).mean() + (F.softplus(fake) + F.softplus(wrong)).mean() / 2


def check_pair_loss(answer: Callable) -> None:
    """Compare with the formula, and swap the kinds."""
    logits = torch.randn(
        3, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )

    def by_hand(real: Tensor, fake: Tensor, wrong: Tensor) -> float:
        S_r, S_f, S_w = (s.sigmoid() for s in (real, fake, wrong))
        value = S_r.log() + ((1 - S_f).log() + (1 - S_w).log()) / 2
        return -value.mean().item()

    loss = require_answer(answer(*logits), "loss, one number")
    assert_close(loss, by_hand(*logits), "The loss")
    shifted = logits + torch.tensor([[-2.0], [3.0], [0.0]], dtype=torch.float64)
    assert_close(answer(*shifted), by_hand(*shifted), "The loss of a bad D")


PAIR_LOSS = Exercise(
    "the loss of three kinds of pairs",
    "What does D minimise, if it is shown wrong pairs too?",
    check_pair_loss,
    compute_pair_loss,
    (
        "-log σ(s) = softplus(-s), and -log(1 - σ(s)) = softplus(s).",
        "Generated and wrong pairs count by half each: together as much as the real.",
    ),
)


def find_best_score(real: Tensor, fake: Tensor, wrong: Tensor, share: float) -> Tensor:
    """Compute the best score where wrong pairs have a weight of their own."""
    return real / (real + (1 - share) * fake + share * wrong)


def check_best_score(answer: Callable) -> None:
    """Search the maximum on a fine scale, and compare."""
    densities = torch.tensor([[0.3, 0.5, 0.2], [0.3, 0.1, 0.4], [0.0, 0.6, 0.4]])
    S = torch.linspace(0.0005, 0.9995, 1999, dtype=torch.float64)[:, None]
    for share in (0.0, 0.25, 0.5):
        found = require_answer(answer(*densities, share), "scores (n,)")
        real, fake, wrong = densities.double()
        other = (1 - share) * fake + share * wrong
        value = real * S.log() + other * (1 - S).log()
        right = S[value.argmax(0), 0].numpy()
        assert_close(found, right, f"The scores with share {share:g}", 2e-3)


BEST_SCORE = Exercise(
    "the best score of a pair",
    "Which score is the best one, if wrong pairs have a weight of their own?",
    check_best_score,
    find_best_score,
    (
        "At one pair the value is a log S + b log(1 - S). What are a and b?",
        "a = p_r and b = (1 - share) p_f + share p_w.",
        "a log S + b log(1 - S) is largest at S = a / (a + b).",
    ),
)
