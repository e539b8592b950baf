"""The exercises of this series: two a notebook, each with a check that gives hints.

A check compares the answer with something found another way (a plain loop, torch's own
gradient, a closed form), and says what is wrong with it. Read the solutions last.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

from avnb.features import ChunkFeatures
from avnb.layers import UpBlock
from avnb.course.exercises import Exercise, assert_close, require_answer, to_array


# --- Step 1: data ----------------------------------------------------------------


def samples_heard(t: int, sample_rate: int = 16000) -> tuple[int, int]:
    column, half = sample_rate // 100, sample_rate // 80
    first = 5 * t * column - half
    last = (5 * t + 7) * column + half - 1
    return first, last


def check_samples_heard(answer: Callable) -> None:
    for t in (0, 1, 7):
        for rate in (16000, 8000):
            first, last = to_array(answer(t, rate), "pair (first, last)")
            start = t * rate // 20
            at = f"chunk {t} at {rate} Hz"
            assert first < start, (
                f"{at}: its first column is centred on sample {start}, so half of its "
                "window lies before"
            )
            assert first == start - rate // 80, (
                f"{at}: its first window begins 12.5 ms before {start}, not at {first}"
            )
            assert last - first + 1 != rate // 40 + 80 * rate // 1000, (
                f"{at}: from the first of eight columns to the last it is seven steps"
            )
            assert last - first + 1 == 95 * rate // 1000, (
                f"{at}: {last - first + 1:g} samples, should be {95 * rate // 1000}"
            )


SAMPLES_HEARD = Exercise(
    "what a chunk hears",
    "The first and the last sample that the windows of chunk t reach over.",
    check_samples_heard,
    samples_heard,
    (
        "Chunk t's columns are 5t, 5t + 1, … 5t + 7; column n is centred on 10 n ms.",
        "A window of 25 ms reaches 12.5 ms to each side: sample_rate // 80 samples.",
        "The last sample is included: subtract 1 from where the last window ends.",
    ),
)


def guarded_db(chunk: torch.Tensor, floor: float) -> torch.Tensor:
    loudest = chunk.max().clamp(min=floor)
    return 10 * (chunk / loudest).clamp(1e-8, 1).log10().mean(dim=1)


def check_guarded_db(answer: Callable) -> None:
    silence = answer(torch.zeros(64, 8), 1e-6)
    mine = to_array(silence, "vector of dB")
    assert mine.shape == (64,), f"one number a band: (64,), not {mine.shape}"
    assert np.isfinite(mine).all(), "silence gives nan or inf: 0 has no logarithm"
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
        f"a chunk 30 dB below the floor reaches {soft.max():.0f} dB: measured against "
        "itself it is as loud as any"
    )


GUARDED_DB = Exercise(
    "a silence that is silent",
    "Decibels below the chunk's loudest value or a floor, whichever is larger.",
    check_guarded_db,
    guarded_db,
    (
        "torch.clamp(min=floor) gives the larger of a tensor and a number.",
        "80 dB below is a share of 1e-8: clamp the share before the logarithm.",
        "The mean over the chunk's columns comes last: it is a mean of dB.",
    ),
)

# --- Step 2: motion --------------------------------------------------------------


def fewest_steps(lag: int, dilations: tuple[int, ...]) -> int:
    best = [0] + [lag + 1] * lag
    for n in range(1, lag + 1):
        best[n] = 1 + min(best[n - d] for d in dilations if d <= n)
    return best[lag]


def check_fewest_steps(answer: Callable) -> None:
    cases = {
        (0, (1,)): 0,
        (7, (1,)): 7,
        (7, (1, 2, 4)): 3,
        (40, (1, 2, 4)): 10,
        (41, (1, 2, 4)): 11,
        (6, (1, 3, 4)): 2,
    }
    for (lag, dilations), right in cases.items():
        got = require_answer(answer(lag, dilations), "number")
        note = " (two steps of 3; the longest step first is not always best)"
        assert got == right, (
            f"{lag} frames by steps of {dilations}: {right}, not {got}"
            + (note if dilations == (1, 3, 4) else "")
        )


FEWEST_STEPS = Exercise(
    "how few steps lead back",
    "The fewest steps, each as long as a layer's dilation, that add up to a lag.",
    check_fewest_steps,
    fewest_steps,
    (
        "0 frames take no step at all.",
        "If you knew the answer for all shorter lags, what would one more step give?",
    ),
)


def carried_over(gru: nn.GRU, x: torch.Tensor, length: int) -> torch.Tensor:
    state, parts = None, []
    for window in x.split(length):
        output, state = gru(window, state)
        state = state.detach()
        parts.append(output)
    return torch.cat(parts)


def check_carried_over(answer: Callable) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        gru, x = nn.GRU(3, 4), torch.randn(11, 3, requires_grad=True)
    whole, _ = gru(x)
    got = require_answer(answer(gru, x, 4), "output")
    assert got.shape == (11, 4), f"(11, 4), not {tuple(got.shape)}: the last is short"
    assert_close(got[:4], whole[:4].detach(), "the first window")
    assert_close(got, whole.detach(), "all windows")
    (gradient,) = torch.autograd.grad(got[8:].sum(), x, allow_unused=True)
    assert gradient is not None, "the windows must be differentiable within themselves"
    assert gradient[8:].abs().min() > 0, "no gradient reaches the window's own input"
    assert gradient[:8].abs().max() == 0, (
        "the gradient crosses the border of a window: detach the state there"
    )


CARRIED_OVER = Exercise(
    "window by window",
    "A GRU over windows with the result of one pass; no gradient crosses a border.",
    check_carried_over,
    carried_over,
    (
        "x.split(length) gives the windows; the last is what is left.",
        "gru(window, state) gives (output, state); None is the first state.",
        "state.detach() has the same numbers and no past.",
    ),
)

# --- Step 3: generator -----------------------------------------------------------


def conditional_norm(
    x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    mean = x.mean(dim=(2, 3), keepdim=True)
    deviation = (x.var(dim=(2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    return scale[:, :, None, None] * (x - mean) / deviation + shift[:, :, None, None]


def check_conditional_norm(answer: Callable) -> None:
    random = torch.Generator().manual_seed(7)
    x = 3 + 2 * torch.randn(2, 5, 3, 4, generator=random)
    shift, scale = torch.randn(2, 2, 5, generator=random)
    got = require_answer(answer(x, torch.zeros(2, 5), torch.ones(2, 5)), "normalised x")
    assert got.shape == x.shape, f"{tuple(x.shape)}, not {tuple(got.shape)}"
    means = got.mean(dim=(2, 3))
    assert means.abs().max() < 1e-4, (
        "each channel of each frame by itself has mean 0; over which axes is yours?"
    )
    spread = got.std(dim=(2, 3), correction=0)
    assert (spread - 1).abs().max() < 1e-3, (
        f"the deviation of a map is {spread[0, 0]:.3f}, not 1: is it divided by the "
        "variance, or by the deviation of a sample (n - 1)?"
    )
    right = F.instance_norm(x) * scale[..., None, None] + shift[..., None, None]
    assert_close(answer(x, shift, scale), right, "with shift and scale", 1e-4)


CONDITIONAL_NORM = Exercise(
    "a norm that listens",
    "Eq. 2: normalise each map of each frame, then scale and shift it.",
    check_conditional_norm,
    conditional_norm,
    (
        "mean(dim=(2, 3), keepdim=True) keeps two axes of length 1.",
        "var(..., correction=0) divides by n; σ is the root of the variance.",
        "shift[:, :, None, None] gives (T, C, 1, 1).",
    ),
)


def weights_of_a_block(before: int, after: int, bands: int) -> int:
    shortcut = before * after + after
    convolutions = 9 * before * after + after + 9 * after * after + after
    linear = bands * 2 * after + 2 * after
    return shortcut + convolutions + linear + 2


def check_weights_of_a_block(answer: Callable) -> None:
    for before, after, bands in ((8, 4, 6), (512, 256, 64), (5, 7, 3)):
        with torch.device("meta"):
            block = UpBlock(before, after, bands)
        right = sum(p.numel() for p in block.parameters())
        got = require_answer(answer(before, after, bands), "number")
        what = f"from {before} to {after} channels, {bands} bands"
        assert got != right - 2, f"{what}: very near. Noise has a strength, twice"
        assert got == right, f"{what}: {right:,} weights, not {got:,}"


WEIGHTS_OF_A_BLOCK = Exercise(
    "the weights of a block",
    "How many weights has an up-block with conditional norms?",
    check_weights_of_a_block,
    weights_of_a_block,
    (
        "A k×k convolution from a to b channels has k²ab weights and b biases.",
        "Three convolutions: the shortcut is 1×1, the other two 3×3.",
        "One linear layer, from the bands to a shift and a scale for each channel.",
    ),
)

# --- Step 4: prediction ----------------------------------------------------------


def reach_of_a_flash(frames: int, k: int) -> tuple[int, int]:
    looks = frames + 1
    return looks * k + 1, 2 * looks * k + 1


def check_reach_of_a_flash(answer: Callable) -> None:
    for frames, k in ((0, 1), (0, 2), (1, 1), (4, 1), (3, 2)):
        columns, rows = to_array(answer(frames, k), "pair (columns, rows)")
        lit = torch.zeros(1, 1, 61, 61)
        lit[0, 0, 30, 30] = 1
        kernel = torch.zeros(1, 1, 2 * k + 1, 2 * k + 1)
        for s in range(k + 1):
            kernel[0, 0, k - s : k + s + 1, k - s] = 1
        for _ in range(frames + 1):
            lit = F.conv2d(lit, kernel, padding=k).clamp(max=1)
        right = [int((lit[0, 0].sum(axis) > 0).sum()) for axis in (0, 1)]
        what = f"{frames} frames after the flash, k = {k}"
        assert rows == right[1], f"{what}: {right[1]} rows, not {rows:g}"
        assert columns == right[0], f"{what}: {right[0]} columns, not {columns:g}"


REACH_OF_A_FLASH = Exercise(
    "how far a flash has come",
    "The box around what one pixel has lit, some frames later, by h+.",
    check_reach_of_a_flash,
    reach_of_a_flash,
    (
        "The kernel reaches k columns back and, there, k rows to both sides.",
        "Frame 0's state is one look already, so after n frames it is n + 1 looks.",
        "Each look adds k columns on one side, and k rows on both.",
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
    predicted = torch.einsum("dhw,dc->chw", X, W_x) + b_x[:, None, None]
    mask = torch.sigmoid(torch.einsum("dhw,d->hw", X, W_a) + b_a)
    return mask * x + (1 - mask) * predicted


def check_blend_by_hand(answer: Callable) -> None:
    random = torch.Generator().manual_seed(11)
    x, X = (torch.randn(n, 4, 5, generator=random) for n in (3, 7))
    W_x, b_x = torch.randn(7, 3, generator=random), torch.randn(3, generator=random)
    W_a, b_a = torch.randn(7, generator=random), torch.tensor(0.3)
    open_mask = answer(x, X, W_x, b_x, torch.zeros(7), torch.tensor(40.0))
    assert_close(
        require_answer(open_mask, "frame"), x, "a mask of 1 keeps the frame: x''", 1e-4
    )
    weight = torch.cat([W_x.T, W_a[None]])[:, :, None, None]
    both = F.conv2d(X[None], weight, torch.cat([b_x, b_a[None]]))[0]
    right = torch.lerp(both[:3], x, both[3:].sigmoid())
    assert_close(answer(x, X, W_x, b_x, W_a, b_a), right, "x''", 1e-4)


BLEND_BY_HAND = Exercise(
    "blend by the mask",
    "Eq. 4 at every pixel: a prediction, a mask, and what they make of the frame.",
    check_blend_by_hand,
    blend_by_hand,
    (
        'torch.einsum("dhw,dc->chw", X, W_x) multiplies at every pixel.',
        "The mask is one map for all channels: broadcasting does the rest.",
        "Where the mask is 1 the painted frame stays.",
    ),
)

# --- Step 5: critics -------------------------------------------------------------


def penalty_by_hand(
    critic: Callable, real: torch.Tensor, fake: torch.Tensor, epsilon: torch.Tensor
) -> torch.Tensor:
    between = (epsilon * real + (1 - epsilon) * fake).detach().requires_grad_(True)
    scores = critic(between).sum()
    (gradient,) = torch.autograd.grad(scores, between, create_graph=True)
    return (gradient.norm(dim=1) - 1).square().mean()


def check_penalty_by_hand(answer: Callable) -> None:
    random = torch.Generator().manual_seed(13)
    real, fake = torch.randn(2, 6, 3, generator=random)
    epsilon = torch.rand(6, 1, generator=random)
    w = torch.tensor([3.0, 0.0, 4.0], requires_grad=True)
    got = answer(lambda x: x @ w, real, fake, epsilon)
    assert_close(
        require_answer(got, "penalty"), 16.0, "a linear critic of slope 5: (5 - 1)²"
    )
    assert got.requires_grad, (
        "the penalty must reach the critic's weights: create_graph=True"
    )
    (gradient,) = torch.autograd.grad(got, w)
    assert_close(gradient, [4.8, 0, 6.4], "its gradient: 2 (5 - 1) w / 5")
    got = answer(lambda x: x.square().sum(dim=1), real, fake, epsilon)
    between = epsilon * real + (1 - epsilon) * fake
    right = (2 * between.norm(dim=1) - 1).square().mean()
    assert_close(got, right, "D(x) = |x|²: the slope is 2|x| at the point between")


PENALTY_BY_HAND = Exercise(
    "the gradient penalty",
    "How far the critic's slope, on the way from made to real, is from 1.",
    check_penalty_by_hand,
    penalty_by_hand,
    (
        "The point between: epsilon * real + (1 - epsilon) * fake; it needs gradients.",
        "torch.autograd.grad(critic(x).sum(), x, create_graph=True) gives (gradient,).",
        "The norm is over each item's values; the mean is over the items.",
    ),
)


def deranged(count: int, random: np.random.Generator) -> list[int]:
    while True:
        order = random.permutation(count)
        if (order != np.arange(count)).all():
            return order.tolist()


def check_deranged(answer: Callable) -> None:
    random = np.random.default_rng(17)
    orders = [tuple(require_answer(answer(4, random), "order")) for _ in range(400)]
    for order in orders:
        assert sorted(order) == [0, 1, 2, 3], f"{order}: each of 0 … 3 once"
        kept = [i for i, frame in enumerate(order) if i == frame]
        assert not kept, f"{order}: frame {kept and kept[0]} is at its own place"
    found = len(set(orders))
    assert found == 9, (
        f"only {found} orders ever come; of 4 frames there are 9 that move every frame"
    )


DERANGED = Exercise(
    "nobody keeps their place",
    "A random order in which no frame is where it was.",
    check_deranged,
    deranged,
    (
        "Draw an order, look at it, and draw again if a frame has stayed.",
        "Rotating by one moves every frame as well, but is only one of many orders.",
    ),
)

# --- Step 6: training -------------------------------------------------------------


def frames_behind(t: int, start: int, length: int) -> int:
    return (t - start) % length


def check_frames_behind(answer: Callable) -> None:
    for t, start, length in ((0, 0, 16), (15, 0, 16), (16, 0, 16), (40, 5, 16)):
        assert_close(
            answer(t, start, length),
            frames_behind(t, start, length),
            f"count for frame {t}, windows of {length} from {start} on",
        )


FRAMES_BEHIND = Exercise(
    "how far back a mistake teaches",
    "Of how many earlier frames does the sound get a gradient from frame t's error?",
    check_frames_behind,
    frames_behind,
    (
        "The carried state brings values of all the past, but its gradient is cut.",
        "So count from the first frame of the window that t lies in.",
    ),
)


def averaged(weights: np.ndarray, decay: float) -> float:
    mean = weights[0]
    for n, weight in enumerate(weights[1:]):
        share = min(decay, (1 + n) / (10 + n))
        mean = share * mean + (1 - share) * weight
    return float(mean)


def check_averaged(answer: Callable) -> None:
    random = np.random.default_rng(3)
    for count, decay in ((2, 0.99), (30, 0.99), (2000, 0.9)):
        weights = random.normal(size=count).cumsum()
        assert_close(
            answer(weights, decay), averaged(weights, decay), f"mean of {count} weights"
        )


AVERAGED = Exercise(
    "the average that paints",
    "The moving average of a weight, whose decay begins small.",
    check_averaged,
    averaged,
    (
        "It begins as the first weight itself.",
        "At update n (from 0) the old mean keeps a share of min(decay, (1+n)/(10+n)).",
    ),
)


# --- Step 7: judging --------------------------------------------------------------


def listens(own: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    gain = other - own
    half = stats.t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / len(gain) ** 0.5
    return float(gain.mean() - half), float(gain.mean() + half)


def check_listens(answer: Callable) -> None:
    random = np.random.default_rng(5)
    for name, gain in (("a listener", 0.5), ("a deaf one", 0.0)):
        other = 10 + random.normal(size=24)
        own = other - gain - 0.3 * random.normal(size=24)
        found = require_answer(answer(own, other), "interval")
        assert_close(found, listens(own, other), f"{name}: (low, high)")


LISTENS = Exercise(
    "does it listen?",
    "The 95 % interval of what the right sound gains over another, clip by clip.",
    check_listens,
    listens,
    (
        "Subtract first: the same clip is hard or easy for both sounds.",
        "Mean ± t · s / √n, with t of scipy.stats.t at 0.975 and n - 1 degrees.",
    ),
)


def frechet_of_numbers(a: np.ndarray, b: np.ndarray) -> float:
    return float((a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2)


def check_frechet_of_numbers(answer: Callable) -> None:
    random = np.random.default_rng(6)
    a, b = random.normal(size=50), 2 + 3 * random.normal(size=50)
    assert_close(answer(a, a), 0.0, "distance of a thing from itself")
    assert_close(answer(a, a + 2), 4.0, "distance of a thing moved by 2")
    assert_close(
        answer(a, b), frechet_of_numbers(a, b), "distance of two different ones"
    )


FRECHET_OF_NUMBERS = Exercise(
    "FVD of a single number",
    "The Fréchet distance where a clip has one feature only.",
    check_frechet_of_numbers,
    frechet_of_numbers,
    (
        "With one feature the covariance is the variance, and its root is σ.",
        "σ² + τ² - 2 √(σ² τ²) is (σ - τ)². Take ddof=1.",
    ),
)

# --- Step 8: playing -------------------------------------------------------------


def frames_ready(samples: int, sample_rate: int = 16000) -> int:
    column, half = sample_rate // 100, sample_rate // 80
    return max(0, (samples - 7 * column - half) // (5 * column) + 1)


def check_frames_ready(answer: Callable) -> None:
    random = torch.Generator().manual_seed(19)
    for rate in (16000, 32000):
        sound = torch.randn(rate, generator=random, requires_grad=True)
        features = ChunkFeatures(rate, reference=1e3)(sound, frames=8)
        ends = []
        for chunk in features:
            (slope,) = torch.autograd.grad(chunk.sum(), sound, retain_graph=True)
            ends.append(int(slope.nonzero().max()) + 1)
        for t, end in enumerate(ends):
            for samples, right in ((end - 1, t), (end, t + 1)):
                got = require_answer(answer(samples, rate), "number")
                assert got == right, (
                    f"{samples} samples at {rate} Hz: {right} frames, not {got:g}; "
                    f"chunk {t} needs {end}"
                )
    assert answer(0) == 0, "before the sound there is no frame"


FRAMES_READY = Exercise(
    "painted by now",
    "How many frames can be painted when only the first samples have come in?",
    check_frames_ready,
    frames_ready,
    (
        "Chunk t's last column is number 5 t + 7; column n is centred on 10 n ms.",
        "Its window reaches 12.5 ms further: sample_rate // 80 samples.",
        "Solve 5 t columns + that reach <= samples for t; t counts from 0.",
        "(…) // n rounds down, below zero too; fewer than no frames there cannot be.",
    ),
)


def on_stage(frames: torch.Tensor, work: float) -> torch.Tensor:
    late = min(math.ceil((82.5 + work) / 50), len(frames))
    return torch.cat([torch.zeros_like(frames[:late]), frames[: len(frames) - late]])


def check_on_stage(answer: Callable) -> None:
    frames = torch.arange(1, 10).view(9, 1, 1, 1).expand(9, 2, 2, 3)
    for work in (0.0, 17.5, 18.0, 300.0, 1000.0):
        right = torch.zeros_like(frames)
        for tick in range(9):
            for t in range(9):
                if 50 * t + 82.5 + work <= 50 * tick:
                    right[tick] = frames[t]
        got = require_answer(answer(frames, work), "film")
        assert got.shape == frames.shape, (
            f"{tuple(frames.shape)} in, {tuple(got.shape)} out: as many ticks as frames"
        )
        late, mine = (int((film[:, 0, 0, 0] == 0).sum()) for film in (right, got))
        assert mine == late, f"{work:g} ms of work: {late} black frames, not {mine}"
        assert_close(got, right, f"the film, {work:g} ms of work")


ON_STAGE = Exercise(
    "as the audience sees it",
    "The film delayed by whole frames, until no frame needs sound to come.",
    check_on_stage,
    on_stage,
    (
        "Every frame is late by the same: 82.5 ms and the work.",
        "A frame is shown at a tick, each 50 ms: round the delay up to whole ticks.",
        "When the delay is longer than the film, all of it is black.",
    ),
)
