"""The exercises of this series: two for each notebook, with checks that give hints.

A check compares the answer with a result that was computed in another way (a plain
loop, torch's gradient, a closed form) and says what is wrong. Try an exercise before
you read its solution here.
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


def find_samples(t: int, sample_rate: int = 16000) -> tuple[int, int]:
    """Return the first and the last sample of chunk t."""
    column, half = sample_rate // 100, sample_rate // 80
    first = 5 * t * column - half
    last = (5 * t + 7) * column + half - 1
    return first, last


def check_find_samples(answer: Callable) -> None:
    """Compare with the windows' positions at two sample rates."""
    for t in (0, 1, 7):
        for rate in (16000, 8000):
            first, last = to_array(answer(t, rate), "pair (first, last)")
            start = t * rate // 20
            at = f"chunk {t} at {rate} Hz"
            assert first < start, (
                f"{at}: its first column is centred on sample {start}, so half of its "
                "window lies before that sample"
            )
            assert first == start - rate // 80, (
                f"{at}: its first window begins 12.5 ms before {start}, not at {first}"
            )
            assert last - first + 1 != rate // 40 + 80 * rate // 1000, (
                f"{at}: from the first of eight columns to the last it is seven steps"
            )
            assert last - first + 1 == 95 * rate // 1000, (
                f"{at}: {last - first + 1:g} samples, and {95 * rate // 1000} are right"
            )


FIND_SAMPLES = Exercise(
    "the samples of a chunk",
    "Find the first and the last sample that the windows of chunk t use.",
    check_find_samples,
    find_samples,
    (
        "Chunk t's columns are 5t, 5t + 1, … 5t + 7; column n is centred on 10 n ms.",
        "A window of 25 ms covers 12.5 ms on each side: sample_rate // 80 samples.",
        "The last sample is included: subtract 1 from where the last window ends.",
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
    assert mine.shape == (64,), f"one number a band: (64,), not {mine.shape}"
    assert np.isfinite(mine).all(), (
        "silence gives nan or inf, because the logarithm of 0 is not finite"
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
        f"a chunk 30 dB below the floor has a band of {soft.max():.0f} dB: relative to "
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


def count_steps(lag: int, dilations: tuple[int, ...]) -> int:
    """Solve the coin problem by dynamic programming over the lags."""
    best = [0] + [lag + 1] * lag
    for n in range(1, lag + 1):
        best[n] = 1 + min(best[n - d] for d in dilations if d <= n)
    return best[lag]


def check_count_steps(answer: Callable) -> None:
    """Compare with known numbers of steps."""
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
        note = " (two steps of 3: taking the longest step first is not always best)"
        assert got == right, (
            f"{lag} frames in steps of {dilations}: {right}, not {got}"
            + (note if dilations == (1, 3, 4) else "")
        )


COUNT_STEPS = Exercise(
    "the smallest number of steps",
    "Count the fewest steps, each as long as a dilation, that add up to a lag.",
    check_count_steps,
    count_steps,
    (
        "A lag of 0 frames takes 0 steps.",
        "If you knew the answer for all shorter lags, what would one more step add?",
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
        f"(11, 4), not {tuple(got.shape)}: the last window is shorter"
    )
    assert_close(got[:4], whole[:4].detach(), "first window")
    assert_close(got, whole.detach(), "all windows")
    (gradient,) = torch.autograd.grad(got[8:].sum(), x, allow_unused=True)
    assert gradient is not None, (
        "a window's output must have a gradient with respect to its input"
    )
    assert gradient[8:].abs().min() > 0, "no gradient reaches the window's own input"
    assert gradient[:8].abs().max() == 0, (
        "the gradient crosses the border of a window: detach the state there"
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


def conditional_affine(
    x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the slope and the offset of Eq. 2 for each map."""
    sigma = (x.var(dim=(2, 3), correction=0) + 1e-5).sqrt()
    a = scale / sigma
    return a, shift - a * x.mean(dim=(2, 3))


def check_conditional_affine(answer: Callable) -> None:
    """Compare with torch's instance norm."""
    random = torch.Generator().manual_seed(7)
    x = 3 + 2 * torch.randn(2, 5, 3, 4, generator=random)
    shift, scale = torch.randn(2, 2, 5, generator=random)

    def apply(shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        a, b = require_answer(answer(x, shift, scale), "pair (a, b)")
        for name, value in (("a", a), ("b", b)):
            assert value.shape == (2, 5), f"{name}: (2, 5), not {tuple(value.shape)}"
        return a[..., None, None] * x + b[..., None, None]

    got = apply(torch.zeros(2, 5), torch.ones(2, 5))
    means = got.mean(dim=(2, 3))
    assert means.abs().max() < 1e-4, (
        "with β = 0 each map of each frame must get mean 0; over which axes is yours?"
    )
    spread = got.std(dim=(2, 3), correction=0)
    assert (spread - 1).abs().max() < 1e-3, (
        f"with γ = 1 the standard deviation of a map is {spread[0, 0]:.3f}, not 1: did "
        "you divide by the variance, or use the sample deviation (n - 1)?"
    )
    right = F.instance_norm(x) * scale[..., None, None] + shift[..., None, None]
    assert_close(apply(shift, scale), right, "with shift and scale", 1e-4)


CONDITIONAL_AFFINE = Exercise(
    "the norm as a·x + b",
    "Find a and b of each map, such that Eq. 2 is a·x + b.",
    check_conditional_affine,
    conditional_affine,
    (
        "Write Eq. 2 as one fraction and collect what multiplies x.",
        "mean(dim=(2, 3)) and var(dim=(2, 3), correction=0) give (T, C).",
        "σ is the root of the variance plus 1e-5; correction=0 divides by n.",
    ),
)


def count_block_weights(before: int, after: int, bands: int) -> int:
    """Add up the weights of all layers of an up-block."""
    shortcut = before * after + after
    convolutions = 9 * before * after + after + 9 * after * after + after
    linear = bands * 2 * after + 2 * after
    return shortcut + convolutions + linear + 2


def check_count_block_weights(answer: Callable) -> None:
    """Compare with the parameters of a real block."""
    for before, after, bands in ((8, 4, 6), (512, 256, 64), (5, 7, 3)):
        with torch.device("meta"):
            block = UpBlock(before, after, bands)
        right = sum(p.numel() for p in block.parameters())
        got = require_answer(answer(before, after, bands), "number")
        what = f"from {before} to {after} channels, {bands} bands"
        assert got != right - 2, f"{what}: almost. Each noise has one strength"
        assert got == right, f"{what}: {right:,} weights, not {got:,}"


COUNT_BLOCK_WEIGHTS = Exercise(
    "the weights of an up-block",
    "Calculate how many weights an up-block with conditional norms has.",
    check_count_block_weights,
    count_block_weights,
    (
        "A k×k convolution from a to b channels has k²ab weights and b biases.",
        "There are three convolutions: the shortcut is 1×1, the other two are 3×3.",
        "One linear layer makes a shift and a scale for each channel from the bands.",
    ),
)

# --- Step 4: prediction ----------------------------------------------------------


def impulse_box(frames: int, k: int) -> tuple[int, int]:
    """Return the columns and rows that h+ has reached."""
    kernels = frames + 1
    return kernels * k + 1, 2 * kernels * k + 1


def check_impulse_box(answer: Callable) -> None:
    """Compare with repeated convolutions of one bright pixel."""
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
        what = f"{frames} frames after the bright pixel, k = {k}"
        assert rows == right[1], f"{what}: {right[1]} rows, not {rows:g}"
        assert columns == right[0], f"{what}: {right[0]} columns, not {columns:g}"


IMPULSE_BOX = Exercise(
    "how far a bright pixel spreads",
    "Find the size of the box around all pixels that h+ has lit after some frames.",
    check_impulse_box,
    impulse_box,
    (
        "The kernel reaches k columns back and, there, k rows on each side.",
        "The state of frame 0 is one kernel already; n frames later it is n + 1.",
        "Each kernel adds k columns on one side and k rows on both sides.",
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
        "the penalty must have a gradient for the weights: use create_graph=True"
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


def draw_derangement(count: int, random: np.random.Generator) -> list[int]:
    """Draw orders until one moves every frame."""
    while True:
        order = random.permutation(count)
        if (order != np.arange(count)).all():
            return order.tolist()


def check_draw_derangement(answer: Callable) -> None:
    """Check 400 draws, and that all 9 derangements of 4 occur."""
    random = np.random.default_rng(17)
    orders = [tuple(require_answer(answer(4, random), "order")) for _ in range(400)]
    for order in orders:
        assert sorted(order) == [0, 1, 2, 3], (
            f"{order}: it must contain each of 0 … 3 once"
        )
        kept = [i for i, frame in enumerate(order) if i == frame]
        assert not kept, f"{order}: frame {kept and kept[0]} has kept its place"
    found = len(set(orders))
    assert found == 9, (
        f"only {found} orders occur, but 9 orders of 4 frames move every frame"
    )


DRAW_DERANGEMENT = Exercise(
    "a derangement",
    "Draw a random order in which no frame keeps its place.",
    check_draw_derangement,
    draw_derangement,
    (
        "Draw an order, check it, and draw again if a frame has kept its place.",
        "Rotating by one also moves every frame, but it is only one of many orders.",
    ),
)

# --- Step 6: training -------------------------------------------------------------


def count_gradient_frames(t: int, start: int, length: int) -> int:
    """Return the position of frame t in its window."""
    return (t - start) % length


def check_count_gradient_frames(answer: Callable) -> None:
    """Compare with the position in the window, for several windows."""
    for t, start, length in ((0, 0, 16), (15, 0, 16), (16, 0, 16), (40, 5, 16)):
        assert_close(
            answer(t, start, length),
            count_gradient_frames(t, start, length),
            f"number for frame {t}, windows of {length} from {start} on",
        )


COUNT_GRADIENT_FRAMES = Exercise(
    "how far back a gradient reaches",
    "Count the earlier frames whose sound gets a gradient from the error of frame t.",
    check_count_gradient_frames,
    count_gradient_frames,
    (
        "The carried state brings values of the whole past, but no gradient.",
        "Count from the first frame of the window that contains t.",
    ),
)


def update_ema(weights: np.ndarray, decay: float) -> float:
    """Update the average value by value."""
    mean = weights[0]
    for n, weight in enumerate(weights[1:]):
        share = min(decay, (1 + n) / (10 + n))
        mean = share * mean + (1 - share) * weight
    return float(mean)


def check_update_ema(answer: Callable) -> None:
    """Compare on random walks with several decays."""
    random = np.random.default_rng(3)
    for count, decay in ((2, 0.99), (30, 0.99), (2000, 0.9)):
        weights = random.normal(size=count).cumsum()
        assert_close(
            answer(weights, decay),
            update_ema(weights, decay),
            f"EMA of {count} weights",
        )


UPDATE_EMA = Exercise(
    "the EMA of a weight",
    "Compute the exponential moving average of a weight, with a decay that grows.",
    check_update_ema,
    update_ema,
    (
        "The average starts as the first value.",
        "At update n (from 0) the old average has weight min(decay, (1+n)/(10+n)).",
    ),
)


# --- Step 7: evaluation --------------------------------------------------------------


def paired_interval(own: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Compute Student's interval of the differences."""
    gain = other - own
    half = stats.t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / len(gain) ** 0.5
    return float(gain.mean() - half), float(gain.mean() + half)


def check_paired_interval(answer: Callable) -> None:
    """Compare for a model that uses the sound and one that does not."""
    random = np.random.default_rng(5)
    for name, gain in (
        ("a model that uses the sound", 0.5),
        ("one that does not", 0.0),
    ):
        other = 10 + random.normal(size=24)
        own = other - gain - 0.3 * random.normal(size=24)
        found = require_answer(answer(own, other), "interval")
        assert_close(found, paired_interval(own, other), f"{name}: (low, high)")


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
    """Compare for equal, shifted and different sets."""
    random = np.random.default_rng(6)
    a, b = random.normal(size=50), 2 + 3 * random.normal(size=50)
    assert_close(answer(a, a), 0.0, "distance of a set from itself")
    assert_close(answer(a, a + 2), 4.0, "distance of a set from itself plus 2")
    assert_close(answer(a, b), frechet_1d(a, b), "distance of two different sets")


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


def count_ready_frames(samples: int, sample_rate: int = 16000) -> int:
    """Solve the end of the last chunk for its number."""
    column, half = sample_rate // 100, sample_rate // 80
    return max(0, (samples - 7 * column - half) // (5 * column) + 1)


def check_count_ready_frames(answer: Callable) -> None:
    """Compare with the samples that the gradient of each chunk reaches."""
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
    assert answer(0) == 0, "without any sample no frame can be generated"


COUNT_READY_FRAMES = Exercise(
    "frames that are ready",
    "Count the frames that can be generated after the first samples have arrived.",
    check_count_ready_frames,
    count_ready_frames,
    (
        "The last column of chunk t is number 5 t + 7; column n is centred on 10 n ms.",
        "Its window ends 12.5 ms later: sample_rate // 80 samples.",
        "Solve for t: 5 t columns plus that length <= samples. t counts from 0.",
        "(…) // n also rounds down below zero, and the number of frames is 0 or more.",
    ),
)


def delay_video(frames: torch.Tensor, work: float) -> torch.Tensor:
    """Put black frames before the video and cut its end."""
    late = min(math.ceil((82.5 + work) / 50), len(frames))
    return torch.cat([torch.zeros_like(frames[:late]), frames[: len(frames) - late]])


def check_delay_video(answer: Callable) -> None:
    """Compare with a simulation of each tick."""
    frames = torch.arange(1, 10).view(9, 1, 1, 1).expand(9, 2, 2, 3)
    for work in (0.0, 17.5, 18.0, 300.0, 1000.0):
        right = torch.zeros_like(frames)
        for tick in range(9):
            for t in range(9):
                if 50 * t + 82.5 + work <= 50 * tick:
                    right[tick] = frames[t]
        got = require_answer(answer(frames, work), "video")
        assert got.shape == frames.shape, (
            f"{tuple(got.shape)}, not {tuple(frames.shape)}: one tick for each frame"
        )
        late, mine = (int((video[:, 0, 0, 0] == 0).sum()) for video in (right, got))
        assert mine == late, (
            f"{work:g} ms of computing: {late} black frames, not {mine}"
        )
        assert_close(got, right, f"video, {work:g} ms of computing")


DELAY_VIDEO = Exercise(
    "the video on a stage",
    "Delay the video by whole frames, so that no frame needs sound of the future.",
    check_delay_video,
    delay_video,
    (
        "Every frame has the same delay: 82.5 ms plus the computing time.",
        "Frames are shown at ticks, every 50 ms: round the delay up to whole ticks.",
        "If the delay is longer than the video, all frames are black.",
    ),
)
