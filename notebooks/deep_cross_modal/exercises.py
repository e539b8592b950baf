"""The exercises of this series: two in each notebook, with checks that give hints.

Each check compares the reader's answer with a result that was found in another way: a
closed form, a plain loop, or torch's own layer. Its message says what is wrong with the
answer. Try an exercise before you read its solution, which stands above its check.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

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


def find_frames(sample: int, n_fft: int = 2048, hop: int = 512) -> list[int]:
    """Find the frames, 0 to 43, whose window contains a sample."""
    first = math.ceil((sample - n_fft // 2 + 1) / hop)
    last = (sample + n_fft // 2) // hop
    return list(range(max(0, first), min(43, last) + 1))


def check_frames(answer: Callable) -> None:
    """Check against the definition of a window, for nine samples."""
    for sample in (0, 511, 1023, 1024, 1025, 5000, 12345, 20992, 22049):
        right = [
            n for n in range(44) if 512 * n - 1024 <= sample < 512 * n - 1024 + 2048
        ]
        got = [int(n) for n in require_answer(answer(sample), "list")]
        assert set(got) >= set(right), (
            f"sample {sample} is in the frames {right}; your answer {got} misses some"
        )
        assert set(got) <= set(right), (
            f"sample {sample} is in the frames {right} only, not in {got}"
        )
        assert got == right, f"list each frame once and in order: {right}"


FRAMES = Exercise(
    "which frames contain a sample",
    "Which of the 44 frames have a given sample in their window?",
    check_frames,
    find_frames,
    (
        "Frame n is centred on sample 512 n, so its window begins 1024 samples before.",
        "It contains the samples from 512 n - 1024 to 512 n + 1023.",
        "There are no frames below 0 or above 43.",
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


def compute_dense_share(width: int = 32, classes: int = 13) -> float:
    """Compute the share of Γ's weights that is in its fully connected layers."""
    w = width
    pairs = [(3, w), (w, w), (w, 2 * w), (2 * w, 2 * w), (2 * w, 4 * w), (4 * w, 4 * w)]
    convs = sum(9 * before * after for before, after in pairs)
    sizes = [4 * 4 * 4 * w, 512, 128, classes]
    dense = sum(a * b + b for a, b in itertools.pairwise(sizes))
    return dense / (convs + dense)


def check_dense_share(answer: Callable) -> None:
    """Check against the parameters of torch's own layers, at three sizes."""
    for width, classes in ((32, 13), (16, 13), (8, 2)):
        widths = (3, width, width, 2 * width, 2 * width, 4 * width, 4 * width)
        convs = [
            nn.Conv2d(before, after, 3, bias=False)
            for before, after in itertools.pairwise(widths)
        ]
        dense = [
            nn.Linear(64 * width, 512),
            nn.Linear(512, 128),
            nn.Linear(128, classes),
        ]
        inside, outside = (
            sum(p.numel() for layer in part for p in layer.parameters())
            for part in (dense, convs)
        )
        right = inside / (inside + outside)
        got = to_array(answer(width, classes), "share")
        assert 0 <= got <= 1, f"a share is between 0 and 1, not {got}"
        bare = inside - 512 - 128 - classes
        assert abs(got - bare / (bare + outside)) > 1e-6, (
            "nearly right: the fully connected layers also have biases"
        )
        assert_close(got, right, f"width {width}, {classes} classes: the share", 1e-6)


DENSE_SHARE = Exercise(
    "where the weights are",
    "What share of Γ's weights (without the norms) is in its fully connected layers?",
    check_dense_share,
    compute_dense_share,
    (
        "A 3×3 convolution without bias from a to b channels has 9ab weights.",
        "A fully connected layer from a to b has ab weights and b biases.",
        "The map that is flattened is 4×4 with 4W channels, which makes 64W numbers.",
    ),
)


def convert_to_bytes(x: np.ndarray) -> np.ndarray:
    """Convert floats in [-1, 1] to bytes; clip what lies outside."""
    return np.rint((np.clip(x, -1, 1) + 1) * 127.5).astype(np.uint8)


def check_bytes(answer: Callable) -> None:
    """Check all 256 grey values and four numbers at and beyond the limits."""
    every = np.arange(256)
    got = require_answer(answer(every.astype(np.float32) / 127.5 - 1), "array")
    assert got.dtype == np.uint8, f"the dtype should be uint8, not {got.dtype}"
    changed = int((got != every).sum())
    assert not changed, (
        f"{changed} of 256 grey values come back changed: do you round, or cut the "
        "fraction off?"
    )
    got = answer(np.array([-1.3, -1.0, 1.0, 1.3], np.float32))
    assert got.tolist() == [0, 0, 255, 255], (
        f"-1.3, -1, 1 and 1.3 should become 0, 0, 255, 255, not {got.tolist()}"
    )


BYTES = Exercise(
    "back to bytes without loss",
    "Undo byte / 127.5 - 1, also for numbers outside [-1, 1].",
    check_bytes,
    convert_to_bytes,
    (
        "astype(np.uint8) cuts the fraction off: 99.99999 becomes 99.",
        "It also wraps around: 256 becomes 0. Clip first.",
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


def mirror_with_pose(
    picture: np.ndarray, pose: dict[str, float]
) -> tuple[np.ndarray, dict]:
    """Mirror a picture left to right, and the positions of its pose with it."""
    mirrored = {n: 1 - v if n.endswith("_x") else v for n, v in pose.items()}
    return picture[:, ::-1], mirrored


def check_mirror(answer: Callable) -> None:
    """Check with a white pixel at the tip of the bow."""
    random = np.random.default_rng(0)
    picture = random.integers(0, 200, (8, 8, 3), dtype=np.uint8)
    picture[2, 1] = 255
    pose = {"bow_tip_x": 1.5 / 8, "bow_tip_y": 2.5 / 8, "bow": -0.4}
    before, kept = picture.copy(), dict(pose)
    got, mirrored = require_answer(answer(picture, pose), "picture and pose")
    assert (picture == before).all(), "the given picture was changed: make a new one"
    assert pose == kept, "the given pose was changed: make a new one"
    assert got.shape == (8, 8, 3), f"shape {got.shape}, not (8, 8, 3)"
    assert not (got == picture[::-1]).all(), (
        "that is upside down: mirror left and right"
    )
    assert not (got == picture[:, :, ::-1]).all(), "that swaps red and blue"
    assert (got == np.flip(before, 1)).all(), "the picture is not the mirrored one"
    assert set(mirrored) == set(kept), f"the names changed: {sorted(mirrored)}"
    row, column = int(mirrored["bow_tip_y"] * 8), int(mirrored["bow_tip_x"] * 8)
    assert (got[row, column] == 255).all(), (
        f"the white pixel is the bow's tip, but the pose places it at ({row}, {column})"
    )
    assert_close(mirrored["bow_tip_x"], 6.5 / 8, "bow_tip_x")
    assert mirrored["bow"] == -0.4, (
        "`bow` is the contact point of the bow, not a position in the picture"
    )


MIRROR = Exercise(
    "mirror a picture and its pose",
    "Flip a picture left to right, together with the positions *_x of its pose.",
    check_mirror,
    mirror_with_pose,
    (
        "The width is the second axis: picture[:, ::-1].",
        "A position x is a share of the width from the left. From the right it is "
        "1 - x.",
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


def choose_checkpoint(train: list[float], test: list[float]) -> tuple[int, float]:
    """Choose the best point of the training curve, and read the test curve there."""
    best = max(range(len(train)), key=lambda i: (train[i], i))
    return best, test[best]


def check_choose_checkpoint(answer: Callable) -> None:
    """Check with curves that have their best points at different places."""
    train, test = [0.2, 0.6, 0.9, 0.7, 0.3], [0.2, 0.8, 0.7, 0.6, 0.9]
    at, value = require_answer(answer(train, test), "index and value")
    assert at != 4, (
        "at index 4 the *test* curve is best: choosing by the test curve makes the "
        "test accuracy too optimistic"
    )
    assert at == 2, f"the training curve is best at index 2, not at {at}"
    assert value == 0.7, (
        f"the weights of index 2 score 0.7 on the test set, not {value}"
    )
    at, value = answer([0.1, 0.5, 0.5, 0.4], [0.1, 0.2, 0.3, 0.4])
    assert at == 2, f"two points are equally good: keep the later one, 2, not {at}"
    assert value == 0.3, f"the test value at index 2 is 0.3, not {value}"


CHOOSE_CHECKPOINT = Exercise(
    "early stopping without the test set",
    "Where does the training curve say to stop, and what is the test accuracy there?",
    check_choose_checkpoint,
    choose_checkpoint,
    (
        "You may read the test curve at one point only, and it may not choose it.",
        "If several points are equally good, keep the last, as step 7 does with >=.",
    ),
)

# --- Step 8: spectrogram networks ------------------------------------------------


def compute_deconv_size(size: tuple[int, int], layers: list[tuple]) -> tuple[int, int]:
    """Compute the size of a map after transposed convolutions."""
    for kernel, strides, padding in layers:
        size = tuple(
            (n - 1) * stride - 2 * padding + kernel
            for n, stride in zip(size, strides, strict=True)
        )
    return size


def check_deconv_size(answer: Callable) -> None:
    """Check against torch's own layer, for four stacks."""
    twice = 2 * [(4, (2, 1), 1)]
    for size, layers in (
        ((32, 32), twice[:1]),
        ((32, 32), twice),
        ((1, 1), [(4, (1, 1), 0)]),
        ((8, 5), [(3, (2, 3), 1), (5, (1, 2), 0)]),
    ):
        x = torch.zeros(1, 1, *size)
        for kernel, stride, padding in layers:
            x = nn.ConvTranspose2d(1, 1, kernel, stride, padding)(x)
        right = tuple(x.shape[2:])
        got = tuple(require_answer(answer(size, list(layers)), "size"))
        assert got == right, f"{size} becomes {right} by {layers}, not {got}"


DECONV_SIZE = Exercise(
    "how 32×32 becomes 128×34",
    "The size (rows, columns) after transposed convolutions (kernel, stride, padding).",
    check_deconv_size,
    compute_deconv_size,
    (
        "Each of n inputs adds one kernel, `stride` apart. Where does the last end?",
        "At (n - 1) · stride + kernel. The padding is then cut off at both ends.",
        "Rows and columns have strides of their own.",
    ),
)


def resize_in_time(spectrogram: np.ndarray, frames: int) -> np.ndarray:
    """Resize (rows, n) to (rows, frames) by linear interpolation in time."""
    old = np.arange(spectrogram.shape[1])
    new = np.linspace(0, old[-1], frames)
    return np.stack([np.interp(new, old, row) for row in spectrogram])


def check_resize_in_time(answer: Callable) -> None:
    """Check against torch's interpolation and with a steady tone."""
    steady = np.repeat(np.arange(6.0)[:, None], 44, axis=1)
    got = to_array(answer(steady, 34), "spectrogram")
    assert got.shape == (6, 34), f"shape {got.shape}, not (6, 34)"
    assert not np.array_equal(got, np.resize(steady, (6, 34))), (
        "numpy.resize moves the end of each row into the next row, so a steady tone "
        "changes its pitch"
    )
    assert_close(got, steady[:, :34], "a steady tone")
    random = np.random.default_rng(0).standard_normal((5, 44))
    right = F.interpolate(
        torch.from_numpy(random)[None, None],
        (5, 34),
        mode="bilinear",
        align_corners=True,
    )
    assert_close(answer(random, 34), right[0, 0], "noise, 44 → 34 frames")
    assert require_answer(answer(random, 60), "spectrogram").shape == (5, 60)


RESIZE_IN_TIME = Exercise(
    "resize a spectrogram in time",
    "Resize (rows, frames) to another number of frames by linear interpolation.",
    check_resize_in_time,
    resize_in_time,
    (
        "First and last frame stay first and last: np.linspace(0, frames - 1, new).",
        "np.interp(new positions, old positions, one row) interpolates one row.",
    ),
)

# --- Step 9: training image to sound ---------------------------------------------


def convert_to_energy(lms: np.ndarray, loud: float = 1000.0) -> np.ndarray:
    """Convert the network's numbers, -1 to 1, to mel energies."""
    return loud * 10 ** ((lms - 1) * 40 / 10)


def check_energy(answer: Callable) -> None:
    """Check at -1, 0 and 1, and there and back for 20 energies."""
    got = to_array(answer(np.array([1.0, 0.0, -1.0])), "energy")
    assert np.isfinite(got).all(), "the energies should be finite"
    assert_close(got[0], 1000.0, "1 means 0 dB, the energy of loud playing")
    assert not np.isclose(got[2], 1000 * 1e-4), (
        "a factor of ten is 20 dB for amplitudes, but 10 dB for energies"
    )
    assert_close(
        got[2] / 1e-5, 1.0, "-1 is 80 dB less, which is 1e-5; your value over that"
    )
    assert_close(
        got[1] / 1e-1, 1.0, "0 is 40 dB less, which is 0.1; your value over that"
    )
    mel = np.random.default_rng(0).uniform(1e-4, 900, 20)
    lms = (np.clip(10 * np.log10(mel / 1000), -80, 0) + 80) / 40 - 1
    assert_close(
        answer(lms) / mel, np.ones(20), "there and back; your energy over the true one"
    )
    assert np.isclose(answer(np.array([1.0]), 10.0), 10).all(), "`loud` is not used"


ENERGY = Exercise(
    "from the network's numbers to energy",
    "Undo LMS: -1 to 1 means -80 to 0 dB, and 0 dB is the mel energy `loud`.",
    check_energy,
    convert_to_energy,
    (
        "First convert to decibels: the range of 2 is 80 dB wide and ends at 0 dB.",
        "Energy is 10 ** (dB / 10); amplitude would be 10 ** (dB / 20).",
    ),
)


def estimate_pitch(partials: list[float]) -> float:
    """Estimate the pitch as the median distance between neighbouring partials."""
    return float(np.median(np.diff(np.sort(partials))))


def check_pitch(answer: Callable) -> None:
    """Check with partials that are measured to 0.2 %, some of them missing."""
    for what, f0, orders in (
        ("all partials", 220.0, (1, 2, 3, 4, 5)),
        ("no fundamental", 220.0, (2, 3, 4, 5, 6)),
        ("no fundamental, one partial missing", 196.0, (2, 3, 5, 6, 7, 8)),
        ("the same, not in order", 196.0, (5, 2, 8, 3, 7, 6)),
    ):
        measured = [f0 * k * (1 + 0.002 * math.cos(k)) for k in orders]
        got = float(to_array(answer(measured), "pitch"))
        octave = " (an octave off)" if round(got / f0, 1) in (0.5, 2.0) else ""
        assert abs(got / f0 - 1) < 0.03, f"{what}: {got:.1f} Hz, not {f0}{octave}"


PITCH = Exercise(
    "the pitch from parallel lines",
    "Given the frequencies (Hz) of some partials of a spectrogram, what is the pitch?",
    check_pitch,
    estimate_pitch,
    (
        "The lowest line need not be the fundamental. Look at the distances.",
        "A missing partial makes one distance twice too large. Mean or median?",
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


def crossfade(first: np.ndarray, second: np.ndarray, overlap: int) -> np.ndarray:
    """Join two sounds; `overlap` samples fade from the first to the second."""
    up = np.arange(overlap) / overlap
    mixed = first[-overlap:] * (1 - up) + second[:overlap] * up
    return np.concatenate([first[:-overlap], mixed, second[overlap:]])


def check_crossfade(answer: Callable) -> None:
    """Check with constant sounds, whose mixture is known."""
    one = np.ones(100)
    got = to_array(answer(one, one, 20), "sound")
    assert got.shape == (180,), (
        f"the result should have 100 + 100 - 20 = 180 samples, not shape {got.shape}"
    )
    assert_close(got, np.ones(180), "one steady sound into itself")
    got = to_array(answer(one, 0 * one, 20), "sound")
    assert_close(got[:80], np.ones(80), "before the overlap only the first is heard")
    assert_close(got[100:], np.zeros(80), "after the overlap only the second is heard")
    steps = np.diff(got[79:101])
    assert (steps <= 1e-9).all(), "the first sound should only get softer"
    assert steps.min() > -0.1, f"a jump of {-steps.min():.2f} is heard as a click"


CROSSFADE = Exercise(
    "half-seconds without clicks",
    "Join two sounds so that the end of one fades into the start of the other.",
    check_crossfade,
    crossfade,
    (
        "Three parts: the first alone, `overlap` samples of both, the second alone.",
        "The two weights add to 1 everywhere: 1 - u and u, where u rises from 0 to 1.",
    ),
)
