"""The exercises of this series: two or three in each notebook, with their checks.

Each check compares the reader's answer with a result that was found in another way: a
closed form, a plain loop, or torch's own layer. Its message says what is wrong with the
answer. Try an exercise before you read its solution, which stands above its check.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock

from avnb.course.exercises import Exercise, assert_close, require_answer, to_array


# --- Step 1: data ----------------------------------------------------------------


def find_loud_chunks(chunks: torch.Tensor, threshold: float = -45.0) -> torch.Tensor:
    """Find the chunks that are louder than `threshold` dB below a typical loud one."""
    rms = chunks.square().mean(dim=1).sqrt()
    # One loud accident moves the maximum as far as it likes, but not a quantile.
    typical = rms.quantile(0.75)
    return rms > typical * 10 ** (threshold / 20)


def check_loud_chunks(answer: Callable) -> None:
    """Check against 40 chunks of music, 3 of hum and 2 of silence."""
    time = torch.arange(2000) / 2000
    music = torch.stack([torch.sin(2 * math.pi * f * time) for f in range(20, 60)])
    # Real music is not equally loud throughout, so its chunks differ by up to 6 dB.
    music *= torch.linspace(0.5, 1, 40)[:, None]
    hum, rest = 1e-4 * music[:3], torch.zeros(2, 2000)
    calm = torch.cat([music, hum, rest])
    for what, chunks in (
        ("a recording without accidents", calm),
        ("the same recording, a thousand times softer", calm / 1000),
        ("a recording with one cough 60 dB above the music", add_cough(calm)),
    ):
        kept = to_array(answer(chunks), "mask").astype(bool)
        assert kept.shape == (45,), (
            f"give one answer for each of the 45 chunks, not shape {kept.shape}"
        )
        lost, noise = 40 - int(kept[:40].sum()), int(kept[40:].sum())
        assert not lost, f"{what}: {lost} of 40 chunks of music are dropped"
        assert not noise, f"{what}: {noise} chunks of hum or silence are kept"
    assert to_array(answer(calm, -100.0), "mask")[40:43].all(), (
        "threshold=-100 dB should keep the hum, which is 80 dB below the music"
    )


def add_cough(chunks: torch.Tensor) -> torch.Tensor:
    """Return a copy of the chunks with a very loud click in the first one."""
    chunks = chunks.clone()
    chunks[0, 100:110] = 1000.0
    return chunks


LOUD_CHUNKS = Exercise(
    "a gate that one loud accident does not change",
    "Compare each chunk with the typical loud chunk instead of with the peak.",
    check_loud_chunks,
    find_loud_chunks,
    (
        "Which statistic of the loudness stays the same when one chunk gets louder?",
        "A quantile does. Take a higher one than the median, because some players "
        "rest for a long time.",
        "x dB below means an amplitude 10 ** (x / 20) times as large (x is negative).",
    ),
)


def find_shared_recordings(first: list[str], second: list[str]) -> list[str]:
    """Find the recordings that occur in both lists, sorted, each once."""
    return sorted(set(first) & set(second))


def check_shared_recordings(answer: Callable) -> None:
    """Check with lists that share nothing, share two names, and have similar names."""
    assert require_answer(answer(["a", "b"], ["c"]), "list") == [], (
        "the lists share no recording: return an empty list"
    )
    first = ["duo", "solo", "duo", "air", "trio"]
    got = answer(first, ["trio", "quartet", "duo", "duo"])
    assert isinstance(got, list), f"return a list, not a {type(got).__name__}"
    assert len(got) == len(set(got)), f"name each recording once, not {got}"
    assert set(got) == {"duo", "trio"}, (
        f"duo and trio are in both lists, but your answer is {got}"
    )
    assert got == ["duo", "trio"], f"sort the names: {got}"
    assert answer(["Duo"], ["duo2", "Du"]) == [], (
        "names that are only similar do not name the same recording"
    )


SHARED_RECORDINGS = Exercise(
    "recordings in both splits",
    "List the recordings that two lists (one name for each pair) share, sorted.",
    check_shared_recordings,
    find_shared_recordings,
    (
        "A set holds each name once.",
        "The intersection of two sets is written with &.",
    ),
)

# --- Step 2: sound ---------------------------------------------------------------


def compute_lms(magnitude: np.ndarray, mel: np.ndarray) -> np.ndarray:
    """Compute LMS from the magnitudes of an STFT and the matrix of mel bands."""
    energy = mel @ magnitude**2
    decibels = 10 * np.log10(np.maximum(energy, 1e-10) / 1000)
    return (np.clip(decibels, -80, 0) + 80) / 40 - 1


def check_lms(answer: Callable) -> None:
    """Check with bands of known energy, and against the class of step 2."""
    known = np.sqrt([[1000.0, 100.0, 1e-3, 0.0, 1e6]])
    got = to_array(answer(known, np.ones((1, 1))), "LMS")
    assert got.shape == (1, 5), f"The shape is {got.shape}. It should be (1, 5)"
    assert np.isfinite(got).all(), (
        "Silence has energy 0, whose logarithm is -inf. Clip the energy first"
    )
    assert not np.isclose(got[0, 1], 0.5), (
        "An energy of 100 is 10 dB below 1000, but your number fits 20 dB. The bands "
        "add up the energy, which is the square of the magnitude"
    )
    assert_close(
        got[0], [1.0, 0.75, -0.5, -1.0, 1.0], "energies 1000, 100, 1e-3, 0, 1e6"
    )
    random = np.random.default_rng(0)
    magnitude, mel = random.uniform(0, 3, (9, 4)), random.uniform(0, 1, (3, 9))
    loops = [
        [sum(mel[b, k] * magnitude[k, n] ** 2 for k in range(9)) for n in range(4)]
        for b in range(3)
    ]
    right = 1 + np.clip(10 * np.log10(np.array(loops) / 1000), -80, 0) / 40
    assert_close(answer(magnitude, mel), right, "random magnitudes")


COMPUTE_LMS = Exercise(
    "from an STFT to LMS",
    "Compute LMS from magnitudes (rows, frames) and the matrix of mel bands.",
    check_lms,
    compute_lms,
    (
        "MS is the matrix times the squared magnitudes.",
        "Decibels below 1000: 10 · log10(MS / 1000), clipped to -80 … 0.",
        "The range of 80 dB becomes a range of 2.",
    ),
)


def compute_receptive_field(layers: list[tuple[int, int]]) -> int:
    """Compute how many rows one output depends on, for (kernel, stride) layers."""
    size, step = 1, 1
    for kernel, stride in layers:
        size += (kernel - 1) * step
        step *= stride
    return size


def check_receptive_field(answer: Callable) -> None:
    """Check against the gradient of one output, for six stacks of layers."""
    block = [(3, 1), (2, 2)]
    for name, layers in (
        ("one 3x3 convolution", [(3, 1)]),
        ("two 3x3 convolutions", [(3, 1), (3, 1)]),
        ("a convolution and a pooling", block),
        ("a pooling, then a convolution", block[::-1]),
        ("the network with 3 layers", 3 * block),
        ("the network with 4 layers", 4 * block),
    ):
        got, right = (
            require_answer(answer(list(layers)), "number"),
            count_inputs(layers),
        )
        assert got == right, f"{name}: one output depends on {right} rows, not {got}"


def count_inputs(layers: list[tuple[int, int]]) -> int:
    """Count the rows that one output depends on, by the gradient of that output."""
    x = torch.zeros(1, 1, 400, requires_grad=True)
    y = x
    for kernel, stride in layers:
        y = F.conv1d(y, torch.ones(1, 1, kernel), stride=stride)
    y[0, 0, 3].backward()
    return int((x.grad != 0).sum())


RECEPTIVE_FIELD = Exercise(
    "the receptive field",
    "On how many rows does one output of (kernel, stride) layers depend?",
    check_receptive_field,
    compute_receptive_field,
    (
        "Start with 1 row: without any layer an output is its own input.",
        "A kernel of k adds k - 1 steps. How many rows is a step after a stride of 2?",
    ),
)

# --- Step 3: training on sound ---------------------------------------------------


def compute_balanced_accuracy(predicted: torch.Tensor, labels: torch.Tensor) -> float:
    """Compute the mean over the classes of the accuracy within each class."""
    right = (predicted == labels).float()
    each = [right[labels == k].mean().item() for k in labels.unique()]
    return sum(each) / len(each)


def check_balanced_accuracy(answer: Callable) -> None:
    """Check with 100 items, of which 90 belong to one class."""
    labels = torch.tensor([0] * 90 + [1] * 9 + [2])
    got = to_array(answer(torch.zeros_like(labels), labels), "number")
    assert not np.isclose(got, 0.9), (
        "0.9 is the ordinary accuracy, because class 0 has 90 of the 100 items"
    )
    assert_close(got, 1 / 3, "always the commonest of three classes")
    assert_close(answer(labels, labels), 1.0, "everything right")
    predicted = labels.clone()
    predicted[:45] = 1
    assert_close(answer(predicted, labels), (0.5 + 1 + 1) / 3, "half of class 0 wrong")
    few = torch.tensor([0, 2, 2])
    assert_close(answer(torch.tensor([0, 2, 1]), few), 0.75, "labels without class 1")


BALANCED_ACCURACY = Exercise(
    "balanced accuracy",
    "Compute the accuracy within each class, then the mean over the classes.",
    check_balanced_accuracy,
    compute_balanced_accuracy,
    (
        "right[labels == k].mean() is the accuracy within class k.",
        "A class without items has no accuracy. labels.unique() lists the others.",
    ),
)


def bootstrap_interval(
    right: np.ndarray, recordings: np.ndarray, seed: int = 0
) -> tuple[float, float]:
    """Compute the 95 % interval of an accuracy by resampling recordings."""
    _, number = np.unique(recordings, return_inverse=True)
    sums, sizes = np.bincount(number, weights=right), np.bincount(number)
    draws = np.random.default_rng(seed).integers(len(sums), size=(2000, len(sums)))
    means = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return low, high


def check_bootstrap_interval(answer: Callable) -> None:
    """Check with 40 recordings whose 50 chunks are all right or all wrong."""
    recordings = np.repeat([f"take {i}" for i in range(40)], 50)
    all_or_none = np.repeat(np.arange(40) % 2, 50).astype(float)
    low, high = to_array(answer(all_or_none, recordings), "interval")
    assert low < 0.5 < high, (
        f"the accuracy, 0.5, is outside the interval from {low:.3f} to {high:.3f}"
    )
    # There are 40 independent units, so the standard error is sqrt(0.25 / 40) = 0.079.
    assert high - low > 0.15, (
        f"{low:.3f} to {high:.3f} is too narrow: within a recording all 50 chunks are "
        "right or all are wrong, so there are 40 independent units, not 2000"
    )
    expected = 2 * 1.96 * math.sqrt(0.25 / 40)
    assert abs(high - low - expected) < 0.08, (
        f"the interval is {high - low:.3f} wide; theory says about {expected:.3f}"
    )
    low, high = answer(np.tile([0.0, 1.0], 1000), recordings)
    assert high - low < 1e-6, (
        "half of each recording is right, so the recordings do not differ at all and "
        "the interval has no width"
    )


BOOTSTRAP_INTERVAL = Exercise(
    "an interval from resampled recordings",
    "Compute the 95 % interval of the accuracy by drawing the recordings again.",
    check_bootstrap_interval,
    bootstrap_interval,
    (
        "Draw as many recordings as there are, with replacement, and take all chunks "
        "of each. Do this 2000 times.",
        "np.unique(recordings, return_inverse=True) numbers them; np.bincount sums.",
        "The interval lies between the quantiles 0.025 and 0.975 of the 2000 means.",
    ),
)

# --- Step 4: image ---------------------------------------------------------------


def compute_block(
    x: torch.Tensor, convs: tuple, norms: tuple, shortcut: nn.Module
) -> torch.Tensor:
    """Compute a residual block that changes the size of the map."""
    y = norms[0](convs[0](x)).relu()
    return (shortcut(x) + norms[1](convs[1](y))).relu()


def check_residual_block(answer: Callable) -> None:
    """Check against torchvision's own block."""
    torch.manual_seed(0)
    shortcut = nn.Sequential(nn.Conv2d(4, 6, 1, 2, bias=False), nn.BatchNorm2d(6))
    block = BasicBlock(4, 6, 2, shortcut).eval()
    x = torch.randn(2, 4, 8, 8)
    with torch.no_grad():
        right = block(x)
        parts = ((block.conv1, block.conv2), (block.bn1, block.bn2), shortcut)
        got = require_answer(answer(x, *parts), "map")
        inner = block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))
        assert not torch.allclose(got, inner.relu(), atol=1e-5), (
            "The shortcut is missing. The block adds f(x) to what the shortcut gives"
        )
        assert not torch.allclose(got, inner + shortcut(x), atol=1e-5), (
            "The last ReLU is missing. It comes after the sum"
        )
    assert_close(got, right, "The output of the block")


RESIDUAL_BLOCK = Exercise(
    "a residual block",
    "Compute ReLU(x' + f(x)) from the layers of the block.",
    check_residual_block,
    compute_block,
    (
        "f is the first convolution, its norm, a ReLU, the second one and its norm.",
        "x' is shortcut(x), because x has another size than f(x).",
    ),
)


def may_evaluate(
    real: tuple[float, float, float],
    spoiled: list[tuple[float, float, float]],
    classes: int,
) -> str:
    """Judge an evaluator by its accuracies with and without the instrument."""
    chance = 1 / classes
    if real[1] <= chance:
        return "blind"
    # One kind of pictures that gives the answer away is enough.
    return "cheats" if any(low > chance for _, low, _ in spoiled) else "yes"


def check_may_evaluate(answer: Callable) -> None:
    """Check with five evaluators whose numbers are clear."""
    good, none = (0.95, 0.9, 0.98), (0.08, 0.04, 0.12)
    for what, case, right in (
        (
            "It knows real pictures, and nothing without an instrument",
            (good, [none] * 2),
            "yes",
        ),
        (
            "It is right for 30 % [20, 40] of blurred pictures",
            (good, [none, (0.3, 0.2, 0.4)]),
            "cheats",
        ),
        (
            "It is right for 10 % [5, 15] of the noise, and chance is 7.7 %",
            (good, [(0.1, 0.05, 0.15)]),
            "yes",
        ),
        (
            "It is right for 9 % [3, 15] of the real pictures",
            ((0.09, 0.03, 0.15), [none]),
            "blind",
        ),
    ):
        got = require_answer(answer(*case, 13), "word")
        assert got == right, f"{what}. The answer should be {right!r}, not {got!r}"
    got = answer((0.9, 0.85, 0.95), [(0.5, 0.4, 0.6)], 2)
    assert got == "yes", (
        "With two classes chance is 50 %, so 50 % [40, 60] without an instrument is "
        f"no cheating. The answer should be 'yes', not {got!r}"
    )


MAY_EVALUATE = Exercise(
    "may this network evaluate?",
    "Judge an evaluator by its accuracies with and without a visible instrument.",
    check_may_evaluate,
    may_evaluate,
    (
        "Chance is 1 / classes.",
        '"Clearly right" means that the whole interval is above chance.',
        "One kind of spoiled pictures that gives the answer away is enough.",
    ),
)

# --- Step 5: training on images --------------------------------------------------


def compute_masked_mse(estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Compute the mean squared error over the values of `truth` that are not nan."""
    known = torch.isfinite(truth)
    # The nan must go before the subtraction. Otherwise its gradient is 0 * nan = nan.
    filled = torch.where(known, truth, 0)
    return (estimate - filled).square()[known].mean()


def check_masked_mse(answer: Callable) -> None:
    """Check the loss and its gradient with two unknown values of six."""
    nan = float("nan")
    truth = torch.tensor([[0.1, nan, 0.5], [0.2, 0.3, nan]])
    estimate = torch.tensor([[0.2, 9.0, 0.5], [0.6, 0.1, 9.0]], requires_grad=True)
    loss = require_answer(answer(estimate, truth), "loss")
    assert torch.isfinite(loss), "the loss is nan: leave the unknown values out of it"
    assert_close(loss, (0.01 + 0 + 0.16 + 0.04) / 4, "the mean over the 4 known values")
    loss.backward()
    gradient = estimate.grad
    assert torch.isfinite(gradient).all(), (
        "the loss is right but its gradient contains nan, because 0 times nan is nan: "
        "replace an unknown value before you subtract it, not after"
    )
    assert (gradient[~torch.isfinite(truth)] == 0).all(), (
        "the gradient at the unknown values should be zero"
    )


MASKED_MSE = Exercise(
    "an error over the known values",
    "Compute the mean squared error over the values that are not nan.",
    check_masked_mse,
    compute_masked_mse,
    (
        "torch.isfinite(truth) is True where a value is known.",
        "(estimate - truth).square()[known] gives the right loss. Check its gradient.",
        "torch.where(known, truth, 0) contains no nan.",
    ),
)


def make_adamw_step(
    weight: torch.Tensor,
    gradient: torch.Tensor,
    state: dict,
    rate: float = 1e-3,
    decay: float = 0.05,
) -> torch.Tensor:
    """Make one step of AdamW on one weight tensor."""
    t = state["t"] = state.get("t", 0) + 1
    mean = state["mean"] = 0.9 * state.get("mean", 0) + 0.1 * gradient
    size = state["size"] = 0.999 * state.get("size", 0) + 0.001 * gradient**2
    # The running means begin at 0 and are too small at first.
    mean, size = mean / (1 - 0.9**t), size / (1 - 0.999**t)
    return weight * (1 - rate * decay) - rate * mean / (size.sqrt() + 1e-8)


def check_adamw_step(answer: Callable) -> None:
    """Check five steps against torch's own AdamW."""
    random = torch.Generator().manual_seed(0)
    start = torch.randn(6, generator=random, dtype=torch.float64)
    gradients = torch.randn(5, 6, generator=random, dtype=torch.float64)
    weight, state = nn.Parameter(start.clone()), {}
    adamw = torch.optim.AdamW([weight], lr=0.1, weight_decay=0.5)
    mine = start.clone()
    for number, gradient in enumerate(gradients, start=1):
        weight.grad = gradient.clone()
        adamw.step()
        mine = require_answer(answer(mine, gradient, state, 0.1, 0.5), "weight")
        if number == 1:
            sign = start * (1 - 0.05) - 0.1 * gradient.sign()
            assert_close(
                mine,
                sign,
                "The first step moves each weight by the rate, against the sign of its "
                "gradient, after the decay",
            )
        assert_close(mine, weight.detach(), f"The weight after step {number}", 1e-6)
    assert_close(
        answer(start, torch.zeros(6), {}, 0.1, 0.5), start * 0.95, "Decay alone"
    )


ADAMW_STEP = Exercise(
    "a step of AdamW",
    "Compute the weight after one step; keep the running means in `state`.",
    check_adamw_step,
    make_adamw_step,
    (
        "Keep the number of steps t, a running mean of the gradient (0.9 and 0.1) and "
        "one of its square (0.999 and 0.001).",
        "Both start at 0, so divide them by 1 - 0.9**t and 1 - 0.999**t.",
        "Decay multiplies the weight by 1 - rate · decay, and nothing else.",
    ),
)

# --- Step 6: the two networks and their losses -----------------------------------


def compute_d_loss(
    real: torch.Tensor, fake: torch.Tensor, wrong: torch.Tensor
) -> torch.Tensor:
    """Compute the discriminator's loss, the negative of Eq. 4, from logits."""
    loss = F.softplus(-real) + (F.softplus(wrong) + F.softplus(fake)) / 2
    return loss.mean()


def check_d_loss(answer: Callable) -> None:
    """Check against the logarithms of Eq. 4 and at logits of ±200."""
    zero = torch.zeros(5)
    got = require_answer(answer(zero, zero, zero), "loss")
    assert_close(got, 2 * math.log(2), "all scores 1/2: the loss")
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 16, generator=random, dtype=torch.float64) * 3
    s_r, s_f, s_w = 1 / (1 + np.exp(-logits.numpy()))
    right = -(np.log(s_r) + (np.log(1 - s_w) + np.log(1 - s_f)) / 2).mean()
    got = to_array(answer(*logits), "loss")
    assert not np.isclose(got, -right), "Eq. 4 is maximised; the loss is its negative"
    assert_close(got, right, "the loss by Eq. 4")
    sure = torch.full((4,), 200.0)
    got = to_array(answer(-sure, sure, sure), "loss")
    assert np.isfinite(got), (
        "logits of ±200 give inf: somewhere you take the logarithm of zero"
    )
    assert_close(got, 400.0, "certain and wrong (logits ±200): the loss")


D_LOSS = Exercise(
    "Eq. 4 from logits",
    "Write the discriminator's loss, finite for all logits, without torch's losses.",
    check_d_loss,
    compute_d_loss,
    (
        "S is the sigmoid of the logit. What is 1 - sigmoid(s)?",
        "log sigmoid(s) = -log(1 + exp(-s)), and that is -softplus(-s).",
        "F.softplus does not overflow; torch.log(torch.sigmoid(s)) does.",
    ),
)


def sample_by_class(label: int, pool: np.ndarray, random: np.random.Generator) -> int:
    """Draw another class uniformly, then one of its pictures uniformly."""
    other = random.choice(np.setdiff1d(pool, [label]))
    return int(random.choice(np.flatnonzero(pool == other)))


def check_sample_by_class(answer: Callable) -> None:
    """Check 3000 draws from a pool in which one class has 80 of 100 pictures."""
    pool = np.repeat([0, 1, 2, 3], [80, 10, 5, 5])[
        np.random.default_rng(1).permutation(100)
    ]
    random = np.random.default_rng(0)
    drawn = [require_answer(answer(1, pool, random), "index") for _ in range(3000)]
    assert all(0 <= i < 100 for i in drawn), "return an index into the pool: 0 to 99"
    assert not (pool[drawn] == 1).any(), "a picture of the sound's own class was drawn"
    shares = np.bincount(pool[drawn], minlength=4)[[0, 2, 3]] / 3000
    assert abs(shares[0] - 80 / 90) > 0.1, (
        "that is uniform over pictures: class 0 has 80 of the 90 pictures, and it is "
        "drawn in 80 of 90 cases"
    )
    # Each share has a standard error of 0.0086, so 0.045 is about five of them.
    assert abs(shares - 1 / 3).max() < 0.045, (
        f"classes 0, 2 and 3 should have equal shares, not {shares}"
    )
    different = len(set(np.asarray(drawn)[pool[drawn] == 0].tolist()))
    assert different > 70, (
        f"only {different} of the 80 pictures of class 0 are ever drawn"
    )


SAMPLE_BY_CLASS = Exercise(
    "wrong pairs, uniform over classes",
    "Draw another class, all equally likely, then one of its pictures.",
    check_sample_by_class,
    sample_by_class,
    (
        "Draw twice: first the class, then the picture.",
        "np.setdiff1d(pool, [label]) lists the other classes, each once.",
        "np.flatnonzero(pool == other) are the indices of a class in the pool.",
    ),
)

# --- Step 7: training sound to image ---------------------------------------------


def compute_best_score(
    real: np.ndarray, fake: np.ndarray, wrong: np.ndarray
) -> np.ndarray:
    """Compute the score S that maximises Eq. 4 for given densities of a pair."""
    return real / (real + (wrong + fake) / 2)


def check_best_score(answer: Callable) -> None:
    """Check against a search over 100,000 scores."""
    random = np.random.default_rng(0)
    real, fake, wrong = random.uniform(0.1, 2, (3, 6))
    s = np.linspace(1e-5, 1 - 1e-5, 100_000)
    right = [
        s[np.argmax(r * np.log(s) + (w * np.log(1 - s) + f * np.log(1 - s)) / 2)]
        for r, f, w in zip(real, fake, wrong, strict=True)
    ]
    got = to_array(answer(real, fake, wrong), "score")
    plain = real / (real + fake)
    assert not np.allclose(got, plain, atol=1e-3), (
        "that is the score of a GAN without wrong pairs; here the discriminator has "
        "to reject the wrong pairs too"
    )
    assert_close(got, right, "the score that maximises Eq. 4", 1e-3)
    one = np.ones(1)
    assert_close(answer(one, one, one), [0.5], "all three equally likely")


BEST_SCORE = Exercise(
    "the score of an optimal discriminator",
    "Given the densities of a pair as real, generated and wrong, which S is optimal?",
    check_best_score,
    compute_best_score,
    (
        "For one pair D maximises r log S + (w + f)/2 · log(1 - S).",
        "Set the derivative to zero: r / S = (w + f)/2 / (1 - S).",
    ),
)


def make_gan_step(
    G: nn.Module,
    D: nn.Module,
    opt_g: torch.optim.Optimizer,
    opt_d: torch.optim.Optimizer,
    real: torch.Tensor,
    wrong: torch.Tensor,
    code: torch.Tensor,
    z: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Make the discriminator's update and then the generator's."""
    fake = G(z, code)
    scores = [D(x, code) for x in (real, fake.detach(), wrong)]
    loss_d = compute_d_loss(*scores)
    opt_d.zero_grad()
    loss_d.backward()
    opt_d.step()
    loss_g = F.softplus(-D(fake, code)).mean()
    opt_g.zero_grad()
    loss_g.backward()
    opt_g.step()
    return loss_d.detach(), loss_g.detach()


class _Pair(nn.Module):
    """A small linear G or D that works on vectors."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        return self.layer(torch.cat([x, code], dim=1)).squeeze(1)


def check_gan_step(answer: Callable) -> None:
    """Check the losses, and where each network ends, by gradients in closed form."""
    torch.manual_seed(0)
    G, D = _Pair(2 + 3, 4).double(), _Pair(4 + 3, 1).double()
    before = {
        name: [p.detach().clone() for p in net.parameters()]
        for name, net in (("G", G), ("D", D))
    }
    real, wrong = torch.randn(2, 8, 4, dtype=torch.float64)
    code, z = torch.randn(8, 3).double(), torch.randn(8, 2).double()
    rate = 0.1
    opt_g, opt_d = (torch.optim.SGD(net.parameters(), rate) for net in (G, D))
    # What must come out, by the derivatives of the losses instead of by autograd.
    (w, b), (v, c) = before["D"], before["G"]
    fake = torch.cat([z, code], 1) @ v.T + c
    inputs = [torch.cat([x, code], 1) for x in (real, fake, wrong)]
    logits = [x @ w[0] + b for x in inputs]
    loss_d = (
        F.softplus(-logits[0]) + (F.softplus(logits[1]) + F.softplus(logits[2])) / 2
    ).mean()
    slopes = [-(-logits[0]).sigmoid() / 8, *(s.sigmoid() / 16 for s in logits[1:])]
    w_new = w - rate * sum(s @ x for s, x in zip(slopes, inputs, strict=True))
    b_new = b - rate * sum(s.sum() for s in slopes)
    logit = inputs[1] @ w_new[0] + b_new
    slope = (-(-logit).sigmoid() / 8)[:, None] * w_new[:, :4]
    v_new = v - rate * slope.T @ torch.cat([z, code], 1)

    given = (G, D, opt_g, opt_d, real, wrong, code, z)
    losses = require_answer(answer(*given), "pair of losses")
    assert len(losses) == 2, "Return both losses: (D's, G's)"
    assert_close(losses[0], loss_d, "The discriminator's loss, Eq. 4")
    moved = not torch.equal(G.layer.weight.detach(), v)
    assert moved, "The generator's weights have not moved. Call opt_g.step()"
    assert_close(
        D.layer.weight,
        w_new,
        "D's weights after the step. Only Eq. 4 may move them, once",
    )
    assert_close(
        losses[1], F.softplus(-logit).mean(), "G's loss, Eq. 3, by D after its update"
    )
    assert_close(
        G.layer.weight,
        v_new,
        "G's weights after the step. Only Eq. 3 may move them; detach the pictures in "
        "D's loss",
    )


GAN_STEP = Exercise(
    "one step of the training",
    "Update D by Eq. 4, then G by Eq. 3, and return both losses.",
    check_gan_step,
    make_gan_step,
    (
        "Generate once. D's update must not move G: use fake.detach() there.",
        "Compute G's loss with D as it is after its update.",
        "G's loss leaves gradients in D. opt_d.zero_grad() at the right place removes "
        "them before D's next update.",
    ),
)


def measure_fall(train: list[float], test: list[float]) -> float:
    """Measure the fall of the test curve from the training curve's best point."""
    best = max(range(len(train)), key=lambda i: (train[i], i))
    return test[best] - test[-1]


def check_fall(answer: Callable) -> None:
    """Check with a fall, a rise, and curves of nothing but noise."""
    train, test = [0.2, 0.6, 0.9, 0.7, 0.3], [0.2, 0.8, 0.7, 0.6, 0.4]
    got = to_array(answer(train, test), "number")
    assert not np.isclose(got, 0.6), (
        "That is the fall of the training curve from its own best point. It is never "
        "negative, so it finds a fall in every noise"
    )
    assert not np.isclose(got, 0.4), (
        "That is the fall of the test curve from its own best point. It is never "
        "negative, so it finds a fall in every noise"
    )
    assert_close(
        got, 0.3, "The test curve falls from 0.7 (at index 2) to 0.4: the fall"
    )
    got = to_array(
        answer([0.1, 0.5, 0.4, 0.5, 0.4], [0.1, 0.2, 0.3, 0.3, 0.7]), "number"
    )
    assert_close(
        got, -0.4, "Of two best points take the last. The test curve rises here"
    )
    noise = np.random.default_rng(0).standard_normal((400, 2, 30))
    mean = np.mean([float(answer(list(a), list(b))) for a, b in noise])
    assert abs(mean) < 0.3, (
        f"In pure noise nothing falls, but your mean over 400 curves is {mean:.2f}"
    )


FALL = Exercise(
    "a fall that can be negative",
    "By how much does the test curve fall after the training curve's best point?",
    check_fall,
    measure_fall,
    (
        "Which of the two curves may choose the point, and which is then measured?",
        "If several points are equally good, take the last, as step 7 does with >=.",
    ),
)

# --- Step 8: spectrogram networks ------------------------------------------------


def make_stretch(width: int) -> nn.Sequential:
    """Make the two deconvolutions of Sec. 3.1: (B, W, 32, 32) → (B, 1, 128, 34)."""
    return nn.Sequential(
        nn.ConvTranspose2d(width, width // 2, 4, (2, 1), 1, bias=False),
        nn.BatchNorm2d(width // 2),
        nn.ReLU(),
        nn.ConvTranspose2d(width // 2, 1, 4, (2, 1), 1),
        nn.Tanh(),
    )


def check_stretch(answer: Callable) -> None:
    """Check the layers, the shapes and the range."""
    for width in (4, 10):
        made = require_answer(answer(width), "module")
        assert isinstance(made, nn.Module), (
            f"Return a module, not {type(made).__name__}"
        )
        got = made(torch.randn(2, width, 32, 32) * 100)
        assert got.shape[2:] != (128, 128), (
            "128×128 comes from stride 2 in both directions. The columns have stride 1"
        )
        assert got.shape == (2, 1, 128, 34), (
            f"The output has the shape {tuple(got.shape)}. It should be (2, 1, 128, 34)"
        )
        found = [m for m in made.modules() if isinstance(m, nn.ConvTranspose2d)]
        assert [m.kernel_size for m in found] == [(4, 4)] * 2, (
            "The paper has two deconvolutions with kernels of 4×4"
        )
        assert got.abs().max() <= 1, "LMS lies in [-1, 1]. Which function ends there?"
        assert any(isinstance(m, nn.BatchNorm2d) for m in made.modules()), (
            "Put a norm and a ReLU between the two, as after every deconvolution of G"
        )


STRETCH = Exercise(
    "from 32×32 to 128×34",
    "Build the last layers of the I2S generator.",
    check_stretch,
    make_stretch,
    (
        "nn.ConvTranspose2d(inputs, outputs, 4, (2, 1), 1) has stride 2 for the rows.",
        "The first one halves the channels, the second one leaves a single channel.",
    ),
)


def make_added_block(width: int) -> nn.Module:
    """Make two added layers as a residual block that starts as leaky ReLU(x)."""
    first, second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
    nn.init.zeros_(second.weight)
    nn.init.zeros_(second.bias)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = first, second

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inside = self.second(F.leaky_relu(self.first(x), 0.2))
            return F.leaky_relu(x + inside, 0.2)

    return Block()


def check_added_block(answer: Callable) -> None:
    """Check the start, the receptive field and that all layers learn."""
    torch.manual_seed(0)
    block = require_answer(answer(6), "module")
    x = torch.randn(2, 6, 9, 9)
    assert block(x).shape == x.shape, "The block should keep the shape"
    assert_close(
        block(x).detach(), F.leaky_relu(x, 0.2), "Before training the block gives σ(x)"
    )
    convs = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == 2, f"The block has {len(convs)} convolutions. It should have 2"
    optimizer = torch.optim.SGD(block.parameters(), 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        block(x).square().sum().backward()
        optimizer.step()
    assert all(m.weight.grad.abs().sum() > 0 for m in convs), (
        "After two steps a convolution still has no gradient. If both start at zero, "
        "neither can begin to learn"
    )
    x = torch.randn(1, 6, 9, 9, requires_grad=True)
    block(x)[0, :, 4, 4].sum().backward()
    reached = int((x.grad[0].abs().sum(0) > 0).any(0).sum())
    assert reached == 5, (
        f"One output depends on {reached} columns. Two 3×3 convolutions make it 5"
    )


ADDED_BLOCK = Exercise(
    "two added layers that start as nothing",
    "Build a residual block of two 3×3 convolutions that starts as leaky ReLU(x).",
    check_added_block,
    make_added_block,
    (
        "y = leaky_relu(x + f(x), 0.2), where f is conv, leaky ReLU, conv.",
        "f(x) is 0 where the last convolution's weights and biases are 0.",
        "Only the last one may be 0: else the gradient of both is 0.",
    ),
)

# --- Step 9: training image to sound ---------------------------------------------


def measure_spectral_distance(generated: np.ndarray, real: np.ndarray) -> float:
    """Measure the log-spectral distance of two LMS, in decibels."""
    difference = 40 * (np.asarray(generated) - np.asarray(real))
    return float(np.sqrt((difference**2).mean(axis=0)).mean())


def check_spectral_distance(answer: Callable) -> None:
    """Check with known differences, and against plain loops."""
    real = np.zeros((128, 44))
    assert_close(answer(real, real), 0.0, "The distance of a sound from itself")
    got = to_array(answer(real + 0.5, real), "distance")
    assert not np.isclose(got, 0.5), "The range of 2 is 80 dB wide, so 0.5 is 20 dB"
    assert_close(got, 20.0, "Everything 20 dB too loud: the distance")
    uneven = real.copy()
    uneven[:, 0] = 1.0  # one frame of 44 is 40 dB too loud
    got = to_array(answer(uneven, real), "distance")
    assert not np.isclose(got, 40 / math.sqrt(44)), (
        "Take the root for each frame, and then the mean over the frames"
    )
    assert_close(got, 40 / 44, "One frame of 44 is 40 dB too loud: the distance")
    a, b = np.random.default_rng(0).uniform(-1, 1, (2, 5, 3))
    frames = [
        math.sqrt(sum((40 * (a[r, n] - b[r, n])) ** 2 for r in range(5)) / 5)
        for n in range(3)
    ]
    assert_close(answer(a, b), sum(frames) / 3, "Two random spectrograms")


SPECTRAL_DISTANCE = Exercise(
    "the log-spectral distance",
    "How far apart, in decibels, are two log-mel spectrograms?",
    check_spectral_distance,
    measure_spectral_distance,
    (
        "A difference of 1 is 40 dB.",
        "Within a frame: the root of the mean squared difference over the bands.",
        "Then the mean over the frames.",
    ),
)


def estimate_pitch(partials: list[float]) -> float:
    """Estimate the pitch: the largest of which all partials are multiples."""
    partials = sorted(partials)
    for divisor in range(1, 20):
        pitch = partials[0] / divisor
        orders = np.round(np.array(partials) / pitch)
        # 5 % of the pitch: measured partials are never exact multiples.
        if (abs(np.array(partials) - orders * pitch) < 0.05 * pitch).all():
            # The mean over all partials is better measured than the lowest alone.
            return float(np.sum(partials) / orders.sum())
    return partials[0]


def check_pitch(answer: Callable) -> None:
    """Check with partials that are measured to 0.2 %, some of them missing."""
    for what, f0, orders in (
        ("With all partials", 220.0, (1, 2, 3, 4, 5)),
        ("Without the fundamental", 220.0, (2, 3, 4, 5, 6)),
        ("With the odd partials of a clarinet alone", 220.0, (1, 3, 5, 7)),
        ("With a clarinet's partials above the fundamental", 147.0, (3, 5, 7, 9)),
        ("Without the fundamental and one partial", 196.0, (2, 3, 5, 6, 7, 8)),
        ("With the same, but not in order", 196.0, (5, 2, 8, 3, 7, 6)),
    ):
        measured = [f0 * k * (1 + 0.002 * math.cos(k)) for k in orders]
        got = float(to_array(answer(measured), "pitch"))
        octave = ", which is an octave off" if round(got / f0, 1) in (0.5, 2.0) else ""
        assert abs(got / f0 - 1) < 0.03, (
            f"{what} the pitch is {f0} Hz. You found {got:.1f} Hz{octave}"
        )


PITCH = Exercise(
    "the pitch from parallel lines",
    "Given the frequencies (Hz) of some partials of a spectrogram, what is the pitch?",
    check_pitch,
    estimate_pitch,
    (
        "The lowest line need not be the fundamental.",
        "The distance of neighbours is the pitch where no partial is missing. A "
        "clarinet has 220, 660, 1100 … Hz: the distance is 440 Hz, the pitch 220 Hz.",
        "All partials are multiples of the pitch. Try the lowest divided by 1, 2, 3 "
        "… and take the first that divides them all.",
    ),
)

# --- Step 10: evaluation ---------------------------------------------------------


def compute_wilson_interval(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Compute Wilson's interval of a share from `right` successes in `n` trials."""
    p = right / n
    middle = p + z**2 / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


def check_wilson_interval(answer: Callable) -> None:
    """Check against a search over 200,001 shares, for four results."""
    for right, n in ((3, 10), (756, 1000), (10, 10), (0, 5)):
        p = np.linspace(0, 1, 200_001)
        # Wilson's definition: all p that the observed share does not contradict.
        inside = p[(right / n - p) ** 2 <= 1.96**2 * p * (1 - p) / n]
        low, high = to_array(answer(right, n), "interval")
        assert high > low, (
            f"{right} of {n}: the interval has no width. p ± z·sqrt(p(1-p)/n) has none "
            "where p is 0 or 1, but Wilson's interval has"
        )
        assert low > -1e-6, f"{right} of {n}: no share is below 0, yours is {low:.3f}"
        assert high < 1 + 1e-6, (
            f"{right} of {n}: no share is above 1, yours is {high:.3f}"
        )
        assert_close((low, high), inside[[0, -1]], f"{right} of {n}", 2e-5)


WILSON_INTERVAL = Exercise(
    "Wilson's interval",
    "The 95 % interval of a share: all p with |p̂ - p| ≤ 1.96 · sqrt(p(1-p)/n).",
    check_wilson_interval,
    compute_wilson_interval,
    (
        "Square both sides. The ends are the two roots of a quadratic equation in p.",
        "(1 + z²/n) p² - (2p̂ + z²/n) p + p̂² = 0.",
    ),
)


def compute_kid(x: np.ndarray, y: np.ndarray) -> float:
    """Compute the unbiased squared MMD of two sets of features."""

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def average_others(k: np.ndarray) -> float:
        return (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))

    within = average_others(kernel(x, x)) + average_others(kernel(y, y))
    return within - 2 * kernel(x, y).mean()


def check_kid(answer: Callable) -> None:
    """Check against plain loops, and that it is 0 on average for equal sources."""
    random = np.random.default_rng(0)
    x, y = random.standard_normal((4, 3)), random.standard_normal((5, 3)) + 1

    def mean(a: np.ndarray, b: np.ndarray, same: bool) -> float:
        values = [
            (sum(p * q for p, q in zip(u, v, strict=True)) / 3 + 1) ** 3
            for i, u in enumerate(a)
            for j, v in enumerate(b)
            if not same or i != j
        ]
        return sum(values) / len(values)

    right = mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)
    biased = mean(x, x, False) + mean(y, y, False) - 2 * mean(x, y, False)
    got = to_array(answer(x, y), "distance")
    assert not np.isclose(got, biased), (
        "that is biased: each item is compared with itself, to which it is most similar"
    )
    assert_close(got, right, "KID of 4 and 5 items")
    pairs = random.standard_normal((600, 2, 6, 4))
    average = np.mean([answer(a, b) for a, b in pairs])
    assert abs(average) < 0.5, (
        f"sets from one source should differ by 0 on average, not by {average:.2f}"
    )


KID = Exercise(
    "KID without bias",
    "The squared MMD of features (n, d) and (m, d), kernel (a·b/d + 1)³, unbiased.",
    check_kid,
    compute_kid,
    (
        "Mean kernel within x, plus within y, minus twice the mean between them.",
        "Within a set leave the diagonal out: n(n - 1) pairs, not n².",
        "Between x and y every pair counts.",
    ),
)

# --- Step 11: play ---------------------------------------------------------------


def slerp(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """Interpolate between two vectors of equal length along the sphere."""
    cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    angle = np.arccos(np.clip(cosine, -1, 1))
    weights = np.sin((1 - share) * angle), np.sin(share * angle)
    return (weights[0] * a + weights[1] * b) / np.sin(angle)


def check_slerp(answer: Callable) -> None:
    """Check the ends, the length in the middle, and the angle in between."""
    a, b = np.random.default_rng(0).standard_normal((2, 100))
    a, b = a / np.linalg.norm(a) * 10, b / np.linalg.norm(b) * 10
    assert_close(require_answer(answer(a, b, 0.0), "vector"), a, "share 0")
    assert_close(answer(a, b, 1.0), b, "share 1")
    middle = to_array(answer(a, b, 0.5), "vector")
    length = float(np.linalg.norm(middle))
    assert abs(length - 10) < 1e-6, (
        f"the middle has length {length:.2f} and the ends 10: the generator has rarely "
        "seen so short a noise in training"
    )
    whole = math.acos(a @ b / 100)
    for share in (0.1, 0.25, 0.8):
        point = to_array(answer(a, b, share), "vector")
        turned = math.acos(np.clip(a @ point / (10 * np.linalg.norm(point)), -1, 1))
        assert_close(
            turned / whole, share, f"share {share}: the angle as a share of the whole"
        )


SLERP = Exercise(
    "interpolate noise along the sphere",
    "Find a point between two vectors of equal length, on the great circle.",
    check_slerp,
    slerp,
    (
        "(1 - t) a + t b is a straight line through the ball; its middle is too short.",
        "With the angle ω between a and b the weights are sin((1 - t) ω) / sin ω and "
        "sin(t ω) / sin ω.",
    ),
)


def split_variance(pictures: np.ndarray) -> tuple[float, float, float]:
    """Split the variance of pictures into that of sound, of noise, and of both."""
    x = np.asarray(pictures, float).reshape(*np.shape(pictures)[:2], -1)
    middle = x.mean(axis=(0, 1))
    by_sound = x.mean(axis=0) - middle
    by_noise = x.mean(axis=1) - middle
    parts = [(by_sound**2).mean(), (by_noise**2).mean()]
    whole = ((x - middle) ** 2).mean()
    shares = [part / whole for part in parts]
    return shares[0], shares[1], 1 - sum(shares)


def check_split_variance(answer: Callable) -> None:
    """Check with pictures that are made of known parts."""
    random = np.random.default_rng(0)
    sound = random.standard_normal((1, 5, 8, 8, 3))
    noise = random.standard_normal((4, 1, 8, 8, 3))
    for what, pictures, right in (
        ("The sound alone decides", sound + 0 * noise, (1, 0, 0)),
        ("The noise alone decides", 0 * sound + noise, (0, 1, 0)),
    ):
        got = to_array(answer(pictures), "shares")
        assert got.shape == (3,), (
            "Return three shares: of sound, of noise, and the rest"
        )
        assert_close(got, right, f"{what}: the shares (sound, noise, rest)")
    got = to_array(answer(sound + noise), "shares")
    assert_close(got.sum(), 1.0, "The sum of the three shares")
    assert_close(got[2], 0.0, "Sound plus noise, without interaction: the rest")
    s, n = sound - sound.mean(1, keepdims=True), noise - noise.mean(0, keepdims=True)
    right = (s**2).mean() / ((s**2).mean() + (n**2).mean())
    assert_close(got[0], right, "Sound plus noise: the share of the sound")
    got = to_array(answer(s * n), "shares")
    assert_close(got, (0, 0, 1), "Sound times noise: the shares", 1e-6)


SPLIT_VARIANCE = Exercise(
    "what decides the picture?",
    "Split the variance of pictures (noises, sounds, …) into sound, noise and rest.",
    check_split_variance,
    split_variance,
    (
        "First the mean of all pictures. The variance is the mean square around it.",
        "The mean over the noises keeps what the sound decides, and vice versa.",
        "The rest is what neither decides alone, which is 1 minus the two shares.",
    ),
)
