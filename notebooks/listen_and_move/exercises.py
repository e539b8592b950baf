"""The exercises of this series: two for each notebook.

In each the reader builds something that the notebook teaches: a block, a loss, a step
of the training, a measure, or an interpretation. A check compares the answer with a
result that was computed in another way (torch's own layer, a closed form, a plain loop)
and says what is wrong. Try an exercise before you read its solution here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

from avnb import losses
from avnb.course.exercises import Exercise, assert_close, require_answer, to_array
from avnb.layers import AudioConditionalInstanceNorm

# --- Step 1: data ----------------------------------------------------------------


def average_chunks(columns: torch.Tensor, frames: int) -> torch.Tensor:
    """Average the eight columns of each frame's chunk."""
    chunks = columns.unfold(1, 8, 5)[:, :frames]  # (B, T, 8)
    return chunks.mean(dim=2).T


def check_average_chunks(answer: Callable) -> None:
    """Compare with a plain loop over frames and columns."""
    random = torch.Generator().manual_seed(1)
    columns = torch.randn(6, 43, generator=random)
    got = require_answer(answer(columns, 8), "features")
    assert got.shape == (8, 6), (
        f"The shape is {tuple(got.shape)}. It should be (8, 6): one row a frame and "
        "one column a band"
    )
    right = torch.zeros(8, 6)
    for t in range(8):
        for a in range(8):
            right[t] += columns[:, 5 * t + a] / 8
    assert_close(got[0], right[0], "features of frame 0")
    assert_close(got, right, "features")


AVERAGE_CHUNKS = Exercise(
    "the features of all frames",
    "Average the eight columns of each chunk; a new chunk begins every five columns.",
    check_average_chunks,
    average_chunks,
    (
        "Frame t gets the columns 5 t to 5 t + 7, so neighbours share three of them.",
        "Collect columns[:, 5 * t : 5 * t + 8].mean(dim=1) for each t and stack them.",
    ),
)


def guarded_db(chunk: torch.Tensor, floor: float) -> torch.Tensor:
    """Average dB relative to the chunk's maximum or a floor."""
    loudest = chunk.max().clamp(min=floor)
    return 10 * (chunk / loudest).clamp(1e-8, 1).log10().mean(dim=1)


def check_guarded_db(answer: Callable) -> None:
    """Try silence, a loud chunk at two levels, and a soft chunk."""
    silence = answer(torch.zeros(64, 8), 1e-6)
    mine = to_array(silence, "vector of dB")
    assert mine.shape == (64,), (
        f"The shape is {mine.shape}. It should be (64,): one number a band"
    )
    assert np.isfinite(mine).all(), (
        "Silence gives nan or inf, because the logarithm of 0 is not finite"
    )
    assert_close(mine, np.full(64, -80.0), "silence")
    random = torch.Generator().manual_seed(3)
    chunk = torch.rand(64, 8, generator=random).pow(8)
    by_hand = 10 * np.log10(np.clip((chunk / chunk.max()).numpy(), 1e-8, 1))
    assert_close(answer(chunk, 1e-6), by_hand.mean(axis=1), "a loud chunk", 1e-4)
    assert_close(
        answer(3 * chunk, 1e-6), by_hand.mean(axis=1), "the same, louder", 1e-4
    )
    soft = to_array(answer(1e-9 * chunk, 1e-6), "vector of dB")
    assert soft.max() < -25, (
        f"A chunk 30 dB below the floor has a band of {soft.max():.0f} dB. Relative to "
        "its own maximum every chunk is equally loud"
    )


GUARDED_DB = Exercise(
    "decibels with a floor",
    "Compute dB relative to the chunk's largest value or a floor, the larger of both.",
    check_guarded_db,
    guarded_db,
    (
        "tensor.clamp(min=floor) gives the larger of each value and a number.",
        "-80 dB is a ratio of 1e-8: clamp the ratio before the logarithm.",
        "The mean over the chunk's columns comes last: average the dB values.",
    ),
)

# --- Step 2: motion --------------------------------------------------------------


def gru_step(
    x: torch.Tensor, h: torch.Tensor, W: torch.Tensor, U: torch.Tensor
) -> torch.Tensor:
    """Compute one step of a GRU without biases."""
    x_r, x_z, x_n = (x @ W.T).chunk(3, dim=1)
    h_r, h_z, h_n = (h @ U.T).chunk(3, dim=1)
    r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
    return (1 - z) * torch.tanh(x_n + r * h_n) + z * h


def check_gru_step(answer: Callable) -> None:
    """Compare with torch's GRUCell."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        cell = nn.GRUCell(3, 3, bias=False)
        x, h = torch.randn(2, 5, 3)
    W, U = cell.weight_ih.detach(), cell.weight_hh.detach()
    with torch.no_grad():
        kept = answer(x, h, torch.cat([W[:3], W[3:6] * 0 + 99, W[6:]]) * 0, U * 0)
        assert_close(
            require_answer(kept, "new state"),
            0.5 * h,
            "state with weights of 0, whose gates are 1/2 and whose candidate is 0",
        )
        assert_close(answer(x, h, W, U), cell(x, h), "new state")


GRU_STEP = Exercise(
    "one step of a GRU",
    "Write the four equations of the GRU as code: both gates, candidate, new state.",
    check_gru_step,
    gru_step,
    (
        "(x @ W.T).chunk(3, dim=1) gives W_r x, W_z x and W_n x.",
        "The reset gate multiplies U_n h only, inside the tanh.",
        "Where z is 1 the old state is kept: h = (1 - z) n + z h.",
    ),
)


def run_in_windows(gru: nn.GRU, x: torch.Tensor, length: int) -> torch.Tensor:
    """Run the GRU window by window and detach the state."""
    state, parts = None, []
    for window in x.split(length):
        output, state = gru(window, state)
        state = state.detach()
        parts.append(output)
    return torch.cat(parts)


def check_run_in_windows(answer: Callable) -> None:
    """Compare with one pass, and look where the gradient goes."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        gru, x = nn.GRU(3, 4), torch.randn(11, 3, requires_grad=True)
    whole, _ = gru(x)
    got = require_answer(answer(gru, x, 4), "output")
    assert got.shape == (11, 4), (
        f"The shape is {tuple(got.shape)}. It should be (11, 4): the last window is "
        "shorter"
    )
    assert_close(got[:4], whole[:4].detach(), "first window")
    assert_close(got, whole.detach(), "all windows")
    (gradient,) = torch.autograd.grad(got[8:].sum(), x, allow_unused=True)
    assert gradient is not None, (
        "A window's output must have a gradient with respect to its input"
    )
    assert gradient[8:].abs().min() > 0, "No gradient reaches the window's own input"
    assert gradient[:8].abs().max() == 0, (
        "The gradient crosses the border of a window. Detach the state there"
    )


RUN_IN_WINDOWS = Exercise(
    "a GRU window by window",
    "Run a GRU over windows with the result of one pass, and cut the gradients.",
    check_run_in_windows,
    run_in_windows,
    (
        "x.split(length) gives the windows; the last one may be shorter.",
        "gru(window, state) gives (output, state); None is the first state.",
        "state.detach() has the same values and no gradient history.",
    ),
)

# --- Step 3: generator -----------------------------------------------------------


def conditional_norm(
    x: torch.Tensor, features: torch.Tensor, linear: nn.Linear
) -> torch.Tensor:
    """Normalise each map, then let the sound set its mean and its scale."""
    style = F.leaky_relu(linear(features), 0.2)[:, :, None, None]
    beta, gamma = style.chunk(2, dim=1)
    mean = x.mean(dim=(2, 3), keepdim=True)
    sigma = (x.var(dim=(2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    return (1 + gamma) * (x - mean) / sigma + beta


def check_conditional_norm(answer: Callable) -> None:
    """Compare with the layer of the library, and with a sound that says nothing."""
    random = torch.Generator().manual_seed(7)
    x = 3 + 2 * torch.randn(2, 5, 4, 4, generator=random)
    features = torch.randn(2, 6, generator=random)
    layer = AudioConditionalInstanceNorm(5, 6, plus_one=True)
    silent = nn.Linear(6, 10)
    nn.init.zeros_(silent.weight)
    nn.init.zeros_(silent.bias)
    with torch.no_grad():
        layer.linear.weight.normal_(0, 0.5, generator=random)
        plain = require_answer(answer(x, features, silent), "maps")
        assert plain.shape == x.shape, (
            f"The shape is {tuple(plain.shape)}. It should be that of x"
        )
        assert plain.mean(dim=(2, 3)).abs().max() < 1e-4, (
            "With β = 0 each map of each frame must get mean 0. Take the mean over its "
            "pixels, not over frames or channels"
        )
        spread = plain.std(dim=(2, 3), correction=0)
        assert (spread - 1).abs().max() < 1e-3, (
            f"With γ = 0 the deviation of a map is {spread[0, 0]:.3f}. It should be 1. "
            "Divide by the root of the variance, with correction=0, and scale by 1 + γ"
        )
        assert_close(
            answer(x, features, layer.linear), layer(x, features), "maps", 1e-4
        )


CONDITIONAL_NORM = Exercise(
    "the audio-conditional norm",
    "Build Eq. 2: normalise each map, then scale it by 1 + γ and shift it by β.",
    check_conditional_norm,
    conditional_norm,
    (
        "linear(features) is (T, 2 C): first the shifts, then the scales.",
        "Both pass a leaky ReLU of slope 0.2 and need the shape (T, C, 1, 1).",
        "mean(dim=(2, 3), keepdim=True) and var(…, correction=0, keepdim=True).",
    ),
)


def add_skips(maps: list[torch.Tensor], to_rgbs: list[nn.Module]) -> torch.Tensor:
    """Add up the layers' pictures, from coarse to fine."""
    picture = to_rgbs[0](maps[0])
    for x, to_rgb in zip(maps[1:], to_rgbs[1:], strict=True):
        picture = F.interpolate(picture, scale_factor=2.0) + to_rgb(x)
    return torch.tanh(picture)


def check_add_skips(answer: Callable) -> None:
    """Compare with each layer's picture, enlarged on its own by copying pixels."""
    random = torch.Generator().manual_seed(8)
    maps = [torch.randn(2, 3, 4 * 2**s, 4 * 2**s, generator=random) for s in range(3)]
    with torch.random.fork_rng():
        torch.manual_seed(8)
        to_rgbs = [nn.Conv2d(3, 3, 1) for _ in maps]
    with torch.no_grad():
        got = require_answer(answer(maps, to_rgbs), "picture")
        assert got.shape == (2, 3, 16, 16), (
            f"The shape is {tuple(got.shape)}. It should be that of the finest layer, "
            "(2, 3, 16, 16)"
        )
        assert got.abs().max() <= 1, "A picture lies between -1 and 1. Use the tanh"
        right = torch.zeros(2, 3, 16, 16)
        for x, to_rgb in zip(maps, to_rgbs, strict=True):
            times = 16 // x.shape[2]
            right += to_rgb(x).repeat_interleave(times, 2).repeat_interleave(times, 3)
        assert_close(got, right.tanh(), "picture", 1e-4)


ADD_SKIPS = Exercise(
    "a skip generator",
    "Build the output of Fig. 5's skip generator of the maps of all its layers.",
    check_add_skips,
    add_skips,
    (
        "Start with the picture of the coarsest layer, to_rgbs[0](maps[0]).",
        "F.interpolate(picture, scale_factor=2.0) copies each pixel to four.",
        "The tanh comes once, after the sum.",
    ),
)

# --- Step 4: prediction ----------------------------------------------------------


def conv_gru_step(
    x: torch.Tensor, h: torch.Tensor, gates: nn.Conv2d, candidate: nn.Conv2d
) -> torch.Tensor:
    """Compute one step of a ConvGRU."""
    z, r = torch.sigmoid(gates(torch.cat([x, h], dim=1))).chunk(2, dim=1)
    n = torch.tanh(candidate(torch.cat([x, r * h], dim=1)))
    return (1 - z) * h + z * n


def check_conv_gru_step(answer: Callable) -> None:
    """Compare with a loop over the pixels, and with gates that are open or shut."""
    with torch.random.fork_rng():
        torch.manual_seed(9)
        gates, candidate = (nn.Conv2d(5, k, 3, padding=1) for k in (6, 3))
        x, h = torch.randn(1, 2, 4, 4), torch.randn(1, 3, 4, 4)
    shut = nn.Conv2d(5, 6, 3, padding=1)
    nn.init.zeros_(shut.weight)
    nn.init.constant_(shut.bias, -40.0)
    with torch.no_grad():
        got = require_answer(answer(x, h, shut, candidate), "new state")
        assert_close(got, h, "state with z = 0, which keeps the old state")
        padded = F.pad(torch.cat([x, h], dim=1), (1, 1, 1, 1))
        both = torch.empty(1, 6, 4, 4)
        for i in range(4):
            for j in range(4):
                seen = padded[0, :, i : i + 3, j : j + 3]
                both[0, :, i, j] = (gates.weight * seen).sum((1, 2, 3)) + gates.bias
        z, r = both.sigmoid()[:, :3], both.sigmoid()[:, 3:]
        n = candidate(torch.cat([x, r * h], dim=1)).tanh()
        assert_close(
            answer(x, h, gates, candidate), torch.lerp(h, n, z), "new state", 1e-4
        )


CONV_GRU_STEP = Exercise(
    "one step of a ConvGRU",
    "Write the four equations of the ConvGRU as code.",
    check_conv_gru_step,
    conv_gru_step,
    (
        "torch.cat([x, h], dim=1) puts the channels above one another.",
        "gates gives 2 P channels: first those of z, then those of r.",
        "The reset gate multiplies h before the candidate's convolution.",
        "Here z = 1 replaces the state: h = (1 - z) h + z n.",
    ),
)


def blend_by_hand(
    x: torch.Tensor,
    X: torch.Tensor,
    W_x: torch.Tensor,
    b_x: torch.Tensor,
    W_a: torch.Tensor,
    b_a: torch.Tensor,
) -> torch.Tensor:
    """Compute Eq. 4 with einsum."""
    predicted = torch.einsum("dhw,dc->chw", X, W_x) + b_x[:, None, None]
    mask = torch.sigmoid(torch.einsum("dhw,d->hw", X, W_a) + b_a)
    return mask * x + (1 - mask) * predicted


def check_blend_by_hand(answer: Callable) -> None:
    """Compare with a 1×1 convolution and torch.lerp."""
    random = torch.Generator().manual_seed(11)
    x, X = (torch.randn(n, 4, 5, generator=random) for n in (3, 7))
    W_x, b_x = torch.randn(7, 3, generator=random), torch.randn(3, generator=random)
    W_a, b_a = torch.randn(7, generator=random), torch.tensor(0.3)
    open_mask = answer(x, X, W_x, b_x, torch.zeros(7), torch.tensor(40.0))
    assert_close(
        require_answer(open_mask, "frame"),
        x,
        "x'' with a mask of 1, which keeps the frame",
        1e-4,
    )
    weight = torch.cat([W_x.T, W_a[None]])[:, :, None, None]
    both = F.conv2d(X[None], weight, torch.cat([b_x, b_a[None]]))[0]
    right = torch.lerp(both[:3], x, both[3:].sigmoid())
    assert_close(answer(x, X, W_x, b_x, W_a, b_a), right, "x''", 1e-4)


BLEND_BY_HAND = Exercise(
    "blending with the mask",
    "Compute Eq. 4 at every pixel: the prediction, the mask and the blended frame.",
    check_blend_by_hand,
    blend_by_hand,
    (
        'torch.einsum("dhw,dc->chw", X, W_x) multiplies at every pixel.',
        "The mask is one map for all channels, which broadcasting handles.",
        "Where the mask is 1, the frame x stays.",
    ),
)

# --- Step 5: critics -------------------------------------------------------------


def penalty_by_hand(
    critic: Callable, real: torch.Tensor, fake: torch.Tensor, epsilon: torch.Tensor
) -> torch.Tensor:
    """Compute the penalty at the mixed points."""
    between = (epsilon * real + (1 - epsilon) * fake).detach().requires_grad_(True)
    scores = critic(between).sum()
    (gradient,) = torch.autograd.grad(scores, between, create_graph=True)
    return (gradient.norm(dim=1) - 1).square().mean()


def check_penalty_by_hand(answer: Callable) -> None:
    """Compare with two critics whose slopes are known."""
    random = torch.Generator().manual_seed(13)
    real, fake = torch.randn(2, 6, 3, generator=random)
    epsilon = torch.rand(6, 1, generator=random)
    w = torch.tensor([3.0, 0.0, 4.0], requires_grad=True)
    got = answer(lambda x: x @ w, real, fake, epsilon)
    assert_close(
        require_answer(got, "penalty"), 16.0, "a linear critic of slope 5: (5 - 1)²"
    )
    assert got.requires_grad, (
        "The penalty must have a gradient for the weights. Use create_graph=True"
    )
    (gradient,) = torch.autograd.grad(got, w)
    assert_close(gradient, [4.8, 0, 6.4], "gradient of the penalty, 2 (5 - 1) w / 5")
    got = answer(lambda x: x.square().sum(dim=1), real, fake, epsilon)
    between = epsilon * real + (1 - epsilon) * fake
    right = (2 * between.norm(dim=1) - 1).square().mean()
    assert_close(got, right, "D(x) = |x|², whose slope is 2|x| at the mixed point")


PENALTY_BY_HAND = Exercise(
    "the gradient penalty",
    "Compute how far the critic's slope between fake and real items is from 1.",
    check_penalty_by_hand,
    penalty_by_hand,
    (
        "The mixed point is epsilon * real + (1 - epsilon) * fake. It needs gradients.",
        "torch.autograd.grad(critic(x).sum(), x, create_graph=True) gives (gradient,).",
        "The norm is over the values of one item, the mean over the items.",
    ),
)


def weigh_critic(
    wanted: Callable, critic: Callable, frames: torch.Tensor, share: float
) -> float:
    """Compare the norms of both gradients at the frames."""
    x = frames.detach().requires_grad_(True)
    (by_loss,) = torch.autograd.grad(wanted(x), x)
    (by_critic,) = torch.autograd.grad(-critic(x).mean(), x)
    return float(share * by_loss.norm() / by_critic.norm())


def check_weigh_critic(answer: Callable) -> None:
    """Use a loss and a critic whose gradients are known."""
    frames = torch.tensor([[3.0, 4.0], [0.0, 0.0]])

    def wanted(x: torch.Tensor) -> torch.Tensor:
        return x.square().sum()  # the gradient 2 x has norm 10

    def critic(x: torch.Tensor) -> torch.Tensor:
        return x @ torch.tensor([0.6, 0.8])  # of a mean of two: each has 1/2

    got = to_array(answer(wanted, critic, frames, 0.5), "weight")
    norm = 0.5**0.5  # two items with a gradient of norm 1/2 each
    assert_close(got, 0.5 * 10 / norm, "weight for half of a norm of 10")
    got = answer(wanted, lambda x: 100 * critic(x), frames, 0.5)
    assert_close(
        got, 0.05 / norm, "weight of a critic that is a hundred times as steep", 1e-4
    )


WEIGH_CRITIC = Exercise(
    "a weight by the gradient's norm",
    "Find the weight that gives a critic's gradient a share of another term's norm.",
    check_weigh_critic,
    weigh_critic,
    (
        "Both gradients are taken at the frames: make a copy that requires gradients.",
        "The term of the critic in the loss of R and G is -critic(x).mean().",
        "weight · ‖∇ critic's term‖ = share · ‖∇ loss‖. Solve it for the weight.",
    ),
)

# --- Step 6: training -------------------------------------------------------------


def update_critic(
    critic: nn.Module,
    optimizer: torch.optim.Optimizer,
    real: torch.Tensor,
    fake: torch.Tensor,
) -> float:
    """Make one update of a WGAN-GP critic."""
    fake = fake.detach()
    loss = losses.critic_loss(critic(real), critic(fake))
    loss = loss + 10 * losses.gradient_penalty(critic, real, fake)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def check_update_critic(answer: Callable) -> None:
    """Compare with the update of a linear critic by hand, and look at the generator."""

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor([3.0, 4.0]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ self.w

    critic, made = Linear(), torch.tensor([[0.0, 1.0]] * 2, requires_grad=True)
    critic.w.grad = torch.tensor([1e3, 1e3])  # left over from an earlier step
    optimizer = torch.optim.SGD(critic.parameters(), 0.1)
    fake, real = 1.0 * made, torch.tensor([[1.0, 0.0]] * 2)
    loss = require_answer(answer(critic, optimizer, real, fake), "loss")
    assert_close(loss, -3 + 4 + 10 * 16.0, "loss: the scores, plus 10 · (5 - 1)²", 1e-4)
    assert made.grad is None, (
        "A gradient reached the generator. Detach the fake items first"
    )
    # of the scores (-1, 1), of the penalty 10 · 2 (5 - 1) w / 5
    right = torch.tensor([3.0, 4.0]) - 0.1 * torch.tensor([-1 + 48.0, 1 + 64.0])
    assert_close(critic.w, right, "weights after the update", 1e-4)


UPDATE_CRITIC = Exercise(
    "one update of a critic",
    "Write one update: loss of Eq. 5 with its penalty, backward pass, step.",
    check_update_critic,
    update_critic,
    (
        "losses.critic_loss(critic(real), critic(fake)) gives the scores' part.",
        "Add 10 * losses.gradient_penalty(critic, real, fake).",
        "Set the gradients to zero before loss.backward(): an old one may be there.",
    ),
)


def diagnose_run(own: np.ndarray, other: np.ndarray, still: float) -> str:
    """Read the end of both curves."""
    last = max(len(own) // 4, 1)
    own_end, other_end = own[-last:].mean(), other[-last:].mean()
    if own_end > 0.95 * other_end:
        return "ignores the sound"
    return "beats the still picture" if own_end < still else "follows the sound"


def check_diagnose_run(answer: Callable) -> None:
    """Read noisy curves of three kinds of run."""
    random = np.random.default_rng(3)
    kinds = {
        "ignores the sound": (39.0, 39.2),
        "follows the sound": (40.0, 45.0),
        "beats the still picture": (30.0, 45.0),
    }
    for right, ends in kinds.items():
        for _ in range(5):
            fall = 20 * np.exp(-np.arange(24) / 4)
            noise = 0.3 * random.normal(size=(2, 24))
            own, other = (end + fall + n for end, n in zip(ends, noise, strict=True))
            got = require_answer(answer(own, other, 39.0), "diagnosis")
            assert got in kinds, f"The answer {got!r} is none of {', '.join(kinds)}"
            assert got == right, (
                f"The errors end near {ends[0]} with the right sound and {ends[1]} "
                f"with a wrong one, and the still picture has 39. You say “{got}”; "
                f"this run “{right}”"
            )


DIAGNOSE_RUN = Exercise(
    "what do the curves say?",
    "Read both error curves of a run: does it follow the sound, and is it good?",
    check_diagnose_run,
    diagnose_run,
    (
        "Look at the end of the curves: the mean of the last quarter is less noisy.",
        "A model that ignores its sound has the same error with any sound.",
        "The still picture's error is 39 in the check; only a good run is below it.",
    ),
)


# --- Step 7: evaluation --------------------------------------------------------------


def paired_interval(own: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Compute Student's interval of the differences."""
    gain = other - own
    half = stats.t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / len(gain) ** 0.5
    return float(gain.mean() - half), float(gain.mean() + half)


def check_paired_interval(answer: Callable) -> None:
    """Compare with scipy's test, for two models."""
    random = np.random.default_rng(5)
    for name, gain in (
        ("a model that uses the sound", 0.5),
        ("one that does not", 0.0),
    ):
        other = 10 + random.normal(size=24)
        own = other - gain - 0.3 * random.normal(size=24)
        found = require_answer(answer(own, other), "interval")
        right = stats.ttest_rel(other, own).confidence_interval(0.95)
        assert_close(found, [right.low, right.high], f"{name}: (low, high)")


PAIRED_INTERVAL = Exercise(
    "the interval of a paired gain",
    "Compute the 95 % interval of the gain by the right sound, clip by clip.",
    check_paired_interval,
    paired_interval,
    (
        "Subtract first: a clip is difficult or easy with both sounds.",
        "Mean ± t · s / √n, with t from scipy.stats.t at 0.975, n - 1 degrees.",
    ),
)


def frechet_1d(a: np.ndarray, b: np.ndarray) -> float:
    """Compute the distance from means and standard deviations."""
    return float((a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2)


def check_frechet_1d(answer: Callable) -> None:
    """Compare for equal and shifted sets, and with the formula for matrices."""
    random = np.random.default_rng(6)
    a, b = random.normal(size=50), 2 + 3 * random.normal(size=50)
    assert_close(answer(a, a), 0.0, "distance of a set from itself")
    assert_close(answer(a, a + 2), 4.0, "distance of a set from itself plus 2")
    product = np.var(a, ddof=1) * np.var(b, ddof=1)
    right = (a.mean() - b.mean()) ** 2 - 2 * product**0.5
    right += np.var(a, ddof=1) + np.var(b, ddof=1)
    assert_close(answer(a, b), right, "distance of two different sets")


FRECHET_1D = Exercise(
    "the Fréchet distance of one feature",
    "Compute the Fréchet distance for clips that have a single feature.",
    check_frechet_1d,
    frechet_1d,
    (
        "With one feature the covariance is the variance, and its square root is σ.",
        "σ² + τ² - 2 √(σ² τ²) is (σ - τ)². Take ddof=1.",
    ),
)

# --- Step 8: playing -------------------------------------------------------------


def measure_reaction(generate: Callable, features: torch.Tensor) -> float:
    """Compare the video of a sound with that of silence."""
    heard = generate(features).float()
    silent = generate(torch.full_like(features, -1.0)).float()
    return float((heard - silent).square().mean().sqrt())


def check_measure_reaction(answer: Callable) -> None:
    """Try a model that ignores its sound, and one whose pictures are known."""
    features = torch.tensor([[-1.0], [1.0], [0.0], [1.0]]).expand(4, 64)

    def deaf(sound: torch.Tensor) -> torch.Tensor:
        return torch.full((len(sound), 8, 8, 3), 90, dtype=torch.uint8)

    def bright(sound: torch.Tensor) -> torch.Tensor:
        grey = 100 + 50 * sound.mean(dim=1)
        return grey.byte()[:, None, None, None].expand(-1, 8, 8, 3)

    got = to_array(answer(deaf, features), "reaction")
    assert_close(got, 0.0, "reaction of a model that ignores its sound")
    # frames of 50, 150, 100, 150 against 50, 50, 50, 50
    right = ((0 + 100**2 + 50**2 + 100**2) / 4) ** 0.5
    assert_close(answer(bright, features), right, "reaction of one that gets brighter")


MEASURE_REACTION = Exercise(
    "how much does it react?",
    "Measure how far the video of a sound lies from that of silence, in grey levels.",
    check_measure_reaction,
    measure_reaction,
    (
        "The features of silence are -1 in every band (step 1).",
        "Bytes wrap around when you subtract them: turn them into floats first.",
        "Take the root of the mean square over all pixels and frames: one number.",
    ),
)


def generate_live(step: Callable, blocks: list[torch.Tensor]) -> list[torch.Tensor]:
    """Generate each block as it comes and pass the states on."""
    states, videos = None, []
    for features in blocks:
        video, states = step(features, states)
        videos.append(video)
    return videos


def check_generate_live(answer: Callable) -> None:
    """Use a model that adds up what it hears, and note what it is given."""
    calls: list[Any] = []

    def step(features: torch.Tensor, states: Any) -> tuple[torch.Tensor, Any]:
        calls.append((len(features), states))
        total = (0 if states is None else states) + features.sum(dim=1).cumsum(dim=0)
        return total[:, None, None, None].expand(-1, 2, 2, 3), total[-1]

    blocks = [torch.ones(n, 3) for n in (4, 1, 2)]
    got = require_answer(answer(step, blocks), "list of videos")
    assert [n for n, _ in calls] == [4, 1, 2], (
        "The model must be called once for each block, in the order in which they come"
    )
    assert calls[0][1] is None, "Before the first block there is no state: give None"
    assert [len(video) for video in got] == [4, 1, 2], (
        "Give one video for each block, with as many frames as the block has"
    )
    video = torch.cat(list(got))[:, 0, 0, 0]
    assert_close(video, 3 * torch.arange(1, 8), "sums, as in one pass over all blocks")


GENERATE_LIVE = Exercise(
    "a performer on a stage",
    "Generate the video block by block, as the sound comes in, as in one pass.",
    check_generate_live,
    generate_live,
    (
        "step(features, states) gives the video of a block and the states after it.",
        "The states after one block are those before the next.",
    ),
)
