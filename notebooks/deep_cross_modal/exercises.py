"""The exercises of this series: two a notebook, each with a check that gives hints.

A check compares the answer with something found another way (a closed form, a plain
loop, torch's own layer), and says what is wrong with it. Read the solutions last.
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


def robust_gate(chunks: torch.Tensor, threshold: float = -45.0) -> torch.Tensor:
    rms = chunks.square().mean(dim=1).sqrt()
    typical = rms.quantile(0.75)
    return rms > typical * 10 ** (threshold / 20)


def check_robust_gate(gate: Callable) -> None:
    time = torch.arange(2000) / 2000
    music = torch.stack([torch.sin(2 * math.pi * f * time) for f in range(20, 60)])
    music *= torch.linspace(0.5, 1, 40)[:, None]  # as loud as music is: not all alike
    hum, rest = 1e-4 * music[:3], torch.zeros(2, 2000)
    calm = torch.cat([music, hum, rest])
    for what, chunks in (
        ("a recording without accidents", calm),
        ("the same, recorded a thousand times softer", calm / 1000),
        ("a recording with one cough 60 dB above the music", cough(calm)),
    ):
        kept = to_array(gate(chunks), "mask").astype(bool)
        assert kept.shape == (45,), f"one answer a chunk: 45, not shape {kept.shape}"
        lost, noise = 40 - int(kept[:40].sum()), int(kept[40:].sum())
        assert not lost, f"{what}: {lost} of 40 chunks of music are dropped"
        assert not noise, f"{what}: {noise} chunks of hum or silence are kept"
    assert to_array(gate(calm, -100.0), "mask")[40:43].all(), (
        "threshold=-100 dB should keep the hum, which lies 80 dB below the music"
    )


def cough(chunks: torch.Tensor) -> torch.Tensor:
    """The chunks with a very loud click in the first."""
    chunks = chunks.clone()
    chunks[0, 100:110] = 1000.0
    return chunks


ROBUST_GATE = Exercise(
    "a gate that a cough does not fool",
    "Measure each chunk against the typical loud chunk, not against the peak.",
    check_robust_gate,
    robust_gate,
    (
        "Which statistic of the chunks' loudness does not move when one chunk does?",
        "A quantile: the median, or better a higher one, for players who rest a lot.",
        "x dB below means an amplitude 10 ** (x / 20) times as large (x negative).",
    ),
)


def shared_recordings(first: list[str], second: list[str]) -> list[str]:
    return sorted(set(first) & set(second))


def check_shared_recordings(shared: Callable) -> None:
    assert require_answer(shared(["a", "b"], ["c"]), "list") == [], (
        "nothing shared: an empty list"
    )
    first = ["duo", "solo", "duo", "air", "trio"]
    got = shared(first, ["trio", "quartet", "duo", "duo"])
    assert isinstance(got, list), f"a list, please, not {type(got).__name__}"
    assert len(got) == len(set(got)), f"each recording once, not {got}"
    assert set(got) == {"duo", "trio"}, f"duo and trio are on both sides; you say {got}"
    assert got == ["duo", "trio"], f"sorted, please: {got}"
    assert shared(["Duo"], ["duo2", "Du"]) == [], (
        "names that are only alike are not one"
    )


SHARED_RECORDINGS = Exercise(
    "recordings in both splits",
    "List the recordings that two lists (one name a pair) share, sorted.",
    check_shared_recordings,
    shared_recordings,
    ("A set forgets how often a name came.", "Sets have an intersection: &."),
)

# --- Step 2: sound ---------------------------------------------------------------


def frames_that_hear(sample: int, n_fft: int = 2048, hop: int = 512) -> list[int]:
    first = math.ceil((sample - n_fft // 2 + 1) / hop)
    last = (sample + n_fft // 2) // hop
    return list(range(max(0, first), min(43, last) + 1))


def check_frames_that_hear(answer: Callable) -> None:
    for sample in (0, 511, 1023, 1024, 1025, 5000, 12345, 20992, 22049):
        right = [
            n for n in range(44) if 512 * n - 1024 <= sample < 512 * n - 1024 + 2048
        ]
        got = [int(n) for n in require_answer(answer(sample), "list")]
        assert set(got) >= set(right), (
            f"sample {sample} is also in {right}, not in {got}"
        )
        assert set(got) <= set(right), f"sample {sample} is in {right} alone, not {got}"
        assert got == right, f"each once, in order: {right}"


FRAMES_THAT_HEAR = Exercise(
    "which frames hear a sample",
    "Which of the 44 frames have a given sample in their window?",
    check_frames_that_hear,
    frames_that_hear,
    (
        "Frame n is centred on sample 512 n, so its window begins 1024 samples before.",
        "It holds the samples from 512 n - 1024 up to, and not with, 512 n + 1024.",
        "There are no frames below 0 or above 43.",
    ),
)


def receptive_field(layers: list[tuple[int, int]]) -> int:
    size, step = 1, 1
    for kernel, stride in layers:
        size += (kernel - 1) * step
        step *= stride
    return size


def check_receptive_field(answer: Callable) -> None:
    block = [(3, 1), (2, 2)]
    for name, layers in (
        ("one 3x3 convolution", [(3, 1)]),
        ("two 3x3 convolutions", [(3, 1), (3, 1)]),
        ("a convolution and a pooling", block),
        ("a pooling, then a convolution", block[::-1]),
        ("the stack with 3 layers", 3 * block),
        ("the stack with 4 layers", 4 * block),
    ):
        got, right = require_answer(answer(list(layers)), "number"), reach(layers)
        assert got == right, f"{name}: one output sees {right} rows, not {got}"


def reach(layers: list[tuple[int, int]]) -> int:
    """Rows that one output depends on, found by asking autograd."""
    x = torch.zeros(1, 1, 400, requires_grad=True)
    y = x
    for kernel, stride in layers:
        y = F.conv1d(y, torch.ones(1, 1, kernel), stride=stride)
    y[0, 0, 3].backward()
    return int((x.grad != 0).sum())


RECEPTIVE_FIELD = Exercise(
    "how far one output sees",
    "How many rows does one output of a stack of (kernel, stride) layers see?",
    check_receptive_field,
    receptive_field,
    (
        "Start with 1 row: the output itself sees itself.",
        "A kernel of k adds k - 1 steps. How long is a step after a stride of 2?",
    ),
)

# --- Step 3: training on sound ---------------------------------------------------


def balanced_accuracy(named: torch.Tensor, labels: torch.Tensor) -> float:
    right = (named == labels).float()
    each = [right[labels == k].mean().item() for k in labels.unique()]
    return sum(each) / len(each)


def check_balanced_accuracy(answer: Callable) -> None:
    labels = torch.tensor([0] * 90 + [1] * 9 + [2])
    got = to_array(answer(torch.zeros_like(labels), labels), "number")
    assert not np.isclose(got, 0.9), "0.9 is the plain accuracy: class 0 has 90 of 100"
    assert_close(got, 1 / 3, "always the commonest of three classes")
    assert_close(answer(labels, labels), 1.0, "everything right")
    named = labels.clone()
    named[:45] = 1
    assert_close(answer(named, labels), (0.5 + 1 + 1) / 3, "half of class 0 wrong")
    few = torch.tensor([0, 2, 2])
    assert_close(
        answer(torch.tensor([0, 2, 1]), few), 0.75, "no item of class 1 to be asked"
    )


BALANCED_ACCURACY = Exercise(
    "an accuracy that the commonest class cannot buy",
    "The accuracy of each class by itself, then the mean over the classes asked.",
    check_balanced_accuracy,
    balanced_accuracy,
    (
        "right[labels == k].mean() is the accuracy of class k.",
        "A class without items has no accuracy: labels.unique() names those with some.",
    ),
)


def interval(
    right: np.ndarray, recordings: np.ndarray, seed: int = 0
) -> tuple[float, float]:
    _, number = np.unique(recordings, return_inverse=True)
    sums, sizes = np.bincount(number, weights=right), np.bincount(number)
    draws = np.random.default_rng(seed).integers(len(sums), size=(2000, len(sums)))
    means = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return low, high


def check_interval(answer: Callable) -> None:
    recordings = np.repeat([f"take {i}" for i in range(40)], 50)
    all_or_none = np.repeat(np.arange(40) % 2, 50).astype(float)
    low, high = to_array(answer(all_or_none, recordings), "interval")
    assert low < 0.5 < high, f"the accuracy, 0.5, lies outside {low:.3f} to {high:.3f}"
    # 40 coins, not 2000: the standard error is sqrt(0.25 / 40) = 0.079.
    assert high - low > 0.15, (
        f"{low:.3f} to {high:.3f} is too sure: within a recording all 50 chunks are "
        "right or all wrong, so there are 40 independent witnesses, not 2000"
    )
    expected = 2 * 1.96 * math.sqrt(0.25 / 40)
    assert abs(high - low - expected) < 0.08, (
        f"the interval is {high - low:.3f} wide; theory says about {expected:.3f}"
    )
    low, high = answer(np.tile([0.0, 1.0], 1000), recordings)
    assert high - low < 1e-6, "each recording is half right: they do not differ at all"


INTERVAL = Exercise(
    "an interval by recordings",
    "The 95 % interval of the accuracy when recordings are drawn again.",
    check_interval,
    interval,
    (
        "Draw as many recordings as there are, with replacement, and take all chunks "
        "of each; do this 2000 times.",
        "np.unique(recordings, return_inverse=True) numbers them; np.bincount sums.",
        "The interval lies between the quantiles 0.025 and 0.975 of the 2000 means.",
    ),
)

# --- Step 4: image ---------------------------------------------------------------


def share_in_full(width: int = 32, classes: int = 13) -> float:
    w = width
    pairs = [(3, w), (w, w), (w, 2 * w), (2 * w, 2 * w), (2 * w, 4 * w), (4 * w, 4 * w)]
    convs = sum(9 * before * after for before, after in pairs)
    sizes = [4 * 4 * 4 * w, 512, 128, classes]
    full = sum(a * b + b for a, b in itertools.pairwise(sizes))
    return full / (convs + full)


def check_share_in_full(answer: Callable) -> None:
    for width, classes in ((32, 13), (16, 13), (8, 2)):
        widths = (3, width, width, 2 * width, 2 * width, 4 * width, 4 * width)
        convs = [
            nn.Conv2d(before, after, 3, bias=False)
            for before, after in itertools.pairwise(widths)
        ]
        full = [
            nn.Linear(64 * width, 512),
            nn.Linear(512, 128),
            nn.Linear(128, classes),
        ]
        inside, outside = (
            sum(p.numel() for layer in part for p in layer.parameters())
            for part in (full, convs)
        )
        right = inside / (inside + outside)
        got = to_array(answer(width, classes), "share")
        assert 0 <= got <= 1, f"a share lies between 0 and 1, not at {got}"
        bare = inside - 512 - 128 - classes
        assert abs(got - bare / (bare + outside)) > 1e-6, (
            "very near: the fully connected layers have biases as well"
        )
        assert_close(got, right, f"width {width}, {classes} classes: the share", 1e-6)


SHARE_IN_FULL = Exercise(
    "where the weights are",
    "What share of Γ's weights (norms left out) is in its fully connected layers?",
    check_share_in_full,
    share_in_full,
    (
        "A 3×3 convolution without bias from a to b channels has 9ab weights.",
        "A fully connected layer from a to b has ab weights and b biases.",
        "The map that is flattened is 4×4 with 4W channels: 64W numbers.",
    ),
)


def bytes_of(x: np.ndarray) -> np.ndarray:
    return np.rint((np.clip(x, -1, 1) + 1) * 127.5).astype(np.uint8)


def check_bytes_of(answer: Callable) -> None:
    every = np.arange(256)
    got = require_answer(answer(every.astype(np.float32) / 127.5 - 1), "array")
    assert got.dtype == np.uint8, f"dtype uint8, not {got.dtype}"
    lost = int((got != every).sum())
    assert not lost, f"{lost} of 256 grey values come back changed: cut or rounded?"
    got = answer(np.array([-1.3, -1.0, 1.0, 1.3], np.float32))
    assert got.tolist() == [0, 0, 255, 255], (
        f"-1.3, -1, 1 and 1.3 became {got.tolist()}"
    )


BYTES_OF = Exercise(
    "back to bytes without loss",
    "Undo byte / 127.5 - 1, for numbers outside [-1, 1] as well.",
    check_bytes_of,
    bytes_of,
    (
        "astype(np.uint8) cuts the fraction off: 99.99999 becomes 99.",
        "It also wraps round: 256 becomes 0. Clip before.",
    ),
)

# --- Step 5: training on images --------------------------------------------------


def known_error(read: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    known = torch.isfinite(truth)
    filled = torch.where(known, truth, 0)
    return (read - filled).square()[known].mean()


def check_known_error(answer: Callable) -> None:
    nan = float("nan")
    truth = torch.tensor([[0.1, nan, 0.5], [0.2, 0.3, nan]])
    read = torch.tensor([[0.2, 9.0, 0.5], [0.6, 0.1, 9.0]], requires_grad=True)
    loss = require_answer(answer(read, truth), "loss")
    assert torch.isfinite(loss), "the loss is nan: unknown values must not enter it"
    assert_close(loss, (0.01 + 0 + 0.16 + 0.04) / 4, "the mean over the 4 known values")
    loss.backward()
    gradient = read.grad
    assert torch.isfinite(gradient).all(), (
        "the loss is right but its gradient holds nan: 0 times nan is nan, so an "
        "unknown value must be replaced before it is subtracted, not after"
    )
    assert (gradient[~torch.isfinite(truth)] == 0).all(), (
        "unknown values are learnt from"
    )


KNOWN_ERROR = Exercise(
    "an error over what is known",
    "Mean squared error over the values that are not nan, safe to differentiate.",
    check_known_error,
    known_error,
    (
        "torch.isfinite(truth) is True where a value is known.",
        "Choosing (read - truth).square()[known] is right going forward. And backward?",
        "torch.where(known, truth, 0) has no nan left.",
    ),
)


def mirror(picture: np.ndarray, pose: dict[str, float]) -> tuple[np.ndarray, dict]:
    turned = {n: 1 - v if n.endswith("_x") else v for n, v in pose.items()}
    return picture[:, ::-1], turned


def check_mirror(answer: Callable) -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 200, (8, 8, 3), dtype=np.uint8)
    picture[2, 1] = 255
    pose = {"bow_tip_x": 1.5 / 8, "bow_tip_y": 2.5 / 8, "bow": -0.4}
    before, kept = picture.copy(), dict(pose)
    got, turned = require_answer(answer(picture, pose), "picture and pose")
    assert (picture == before).all(), "the given picture was changed: make a new one"
    assert pose == kept, "the given pose was changed: make a new one"
    assert got.shape == (8, 8, 3), f"shape {got.shape}, not (8, 8, 3)"
    assert not (got == picture[::-1]).all(), (
        "that is upside down: mirror left and right"
    )
    assert not (got == picture[:, :, ::-1]).all(), "that swaps red and blue"
    assert (got == np.flip(before, 1)).all(), "the picture is not the mirrored one"
    assert set(turned) == set(kept), f"the names changed: {sorted(turned)}"
    row, column = int(turned["bow_tip_y"] * 8), int(turned["bow_tip_x"] * 8)
    assert (got[row, column] == 255).all(), (
        f"the white dot is the bow's tip, but the pose says it is at ({row}, {column})"
    )
    assert_close(turned["bow_tip_x"], 6.5 / 8, "bow_tip_x")
    assert turned["bow"] == -0.4, "the bow's contact point is no place in the picture"


MIRROR = Exercise(
    "mirror a picture and its truth",
    "Flip a picture left to right, together with the places named *_x in its pose.",
    check_mirror,
    mirror,
    (
        "The width is the second axis: picture[:, ::-1].",
        "Places are shares of the width from the left; from the right it is 1 - x.",
    ),
)

# --- Step 6: the game ------------------------------------------------------------


def equation_4(
    real: torch.Tensor, fake: torch.Tensor, wrong: torch.Tensor
) -> torch.Tensor:
    loss = F.softplus(-real) + (F.softplus(wrong) + F.softplus(fake)) / 2
    return loss.mean()


def check_equation_4(answer: Callable) -> None:
    zero = torch.zeros(5)
    assert_close(answer(zero, zero, zero), 2 * math.log(2), "all scores 1/2: the loss")
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 16, generator=random, dtype=torch.float64) * 3
    s_r, s_f, s_w = 1 / (1 + np.exp(-logits.numpy()))
    right = -(np.log(s_r) + (np.log(1 - s_w) + np.log(1 - s_f)) / 2).mean()
    got = to_array(answer(*logits), "loss")
    assert not np.isclose(got, -right), "Eq. 4 is maximised; a loss is its negative"
    assert_close(got, right, "the loss by Eq. 4")
    sure = torch.full((4,), 200.0)
    got = to_array(answer(-sure, sure, sure), "loss")
    assert np.isfinite(got), "sure and wrong (logits ±200) gives inf: log(0) somewhere"
    assert_close(got, 400.0, "sure and wrong (logits ±200): the loss")


EQUATION_4 = Exercise(
    "Eq. 4 from logits",
    "The discriminator's loss, finite however sure it is. No loss of torch's, please.",
    check_equation_4,
    equation_4,
    (
        "S is the sigmoid of the logit. What is 1 - sigmoid(s)?",
        "log sigmoid(s) = -log(1 + exp(-s)), and that is -softplus(-s).",
        "F.softplus does not overflow; torch.log(torch.sigmoid(s)) does.",
    ),
)


def wrong_by_class(label: int, pool: np.ndarray, random: np.random.Generator) -> int:
    other = random.choice(np.setdiff1d(pool, [label]))
    return int(random.choice(np.flatnonzero(pool == other)))


def check_wrong_by_class(answer: Callable) -> None:
    pool = np.repeat([0, 1, 2, 3], [80, 10, 5, 5])[
        np.random.default_rng(1).permutation(100)
    ]
    random = np.random.default_rng(0)
    drawn = [require_answer(answer(1, pool, random), "index") for _ in range(3000)]
    assert all(0 <= i < 100 for i in drawn), "an index into the pool: 0 to 99"
    assert not (pool[drawn] == 1).any(), "a picture of the sound's own class was drawn"
    shares = np.bincount(pool[drawn], minlength=4)[[0, 2, 3]] / 3000
    assert abs(shares[0] - 80 / 90) > 0.1, (
        "uniform over pictures: class 0 has 80 of 90, and is drawn so often"
    )
    # Each share has a standard error of 0.0086: 0.045 is five of them.
    assert abs(shares - 1 / 3).max() < 0.045, f"classes 0, 2, 3 come with {shares}"
    seen = len(set(np.asarray(drawn)[pool[drawn] == 0].tolist()))
    assert seen > 70, f"of the 80 pictures of class 0 only {seen} are ever drawn"


WRONG_BY_CLASS = Exercise(
    "wrong pairs, class by class",
    "Draw another class, all alike, then one of its pictures. (ω draws pictures.)",
    check_wrong_by_class,
    wrong_by_class,
    (
        "Two draws: first the class, then the picture.",
        "np.setdiff1d(pool, [label]) lists the other classes, each once.",
        "np.flatnonzero(pool == other) are the places of a class in the pool.",
    ),
)

# --- Step 7: training sound to image ---------------------------------------------


def best_score(real: np.ndarray, fake: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    return real / (real + (wrong + fake) / 2)


def check_best_score(answer: Callable) -> None:
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
        "that is the plain GAN's: here wrong pairs have to be rejected as well"
    )
    assert_close(got, right, "the score that maximises Eq. 4", 1e-3)
    one = np.ones(1)
    assert_close(answer(one, one, one), [0.5], "all three equally likely")


BEST_SCORE = Exercise(
    "what a perfect discriminator says",
    "Given the densities of a pair as real, generated and wrong: the best S?",
    check_best_score,
    best_score,
    (
        "For one pair D maximises r log S + (w + f)/2 · log(1 - S).",
        "Set the derivative to zero: r / S = (w + f)/2 / (1 - S).",
    ),
)


def early_stop(train: list[float], test: list[float]) -> tuple[int, float]:
    best = max(range(len(train)), key=lambda i: (train[i], i))
    return best, test[best]


def check_early_stop(answer: Callable) -> None:
    train, test = [0.2, 0.6, 0.9, 0.7, 0.3], [0.2, 0.8, 0.7, 0.6, 0.9]
    at, value = require_answer(answer(train, test), "place and value")
    assert at != 4, "4 is where the *test* curve is best: who chooses by it, cheats"
    assert at == 2, f"the training curve is best at 2, not at {at}"
    assert value == 0.7, f"the weights of 2 score 0.7 on the test sounds, not {value}"
    at, value = answer([0.1, 0.5, 0.5, 0.4], [0.1, 0.2, 0.3, 0.4])
    assert at == 2, f"two points are equally good: keep the later one, 2, not {at}"
    assert value == 0.3, f"the test value at 2 is 0.3, not {value}"


EARLY_STOP = Exercise(
    "stop early, honestly",
    "Where to stop by the training curve, and the test accuracy that this gives.",
    check_early_stop,
    early_stop,
    (
        "The test curve may be read at one place only, and may not choose it.",
        "Of equals keep the last, as `watch` does with its >=.",
    ),
)

# --- Step 8: spectrogram networks ------------------------------------------------


def grown(size: tuple[int, int], layers: list[tuple]) -> tuple[int, int]:
    for kernel, strides, padding in layers:
        size = tuple(
            (n - 1) * stride - 2 * padding + kernel
            for n, stride in zip(size, strides, strict=True)
        )
    return size


def check_grown(answer: Callable) -> None:
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
        assert got == right, f"{size} through {layers} is {right}, not {got}"


GROWN = Exercise(
    "how 32×32 becomes 128×34",
    "The size (rows, columns) after transposed convolutions (kernel, stride, padding).",
    check_grown,
    grown,
    (
        "Each of n inputs lays down a kernel, `stride` apart: where does the last end?",
        "(n - 1) · stride + kernel, and the padding is cut off at both ends.",
        "Rows and columns have strides of their own.",
    ),
)


def at_frames(spectrogram: np.ndarray, frames: int) -> np.ndarray:
    old = np.arange(spectrogram.shape[1])
    new = np.linspace(0, old[-1], frames)
    return np.stack([np.interp(new, old, row) for row in spectrogram])


def check_at_frames(answer: Callable) -> None:
    steady = np.repeat(np.arange(6.0)[:, None], 44, axis=1)
    got = to_array(answer(steady, 34), "spectrogram")
    assert got.shape == (6, 34), f"shape {got.shape}, not (6, 34)"
    assert not np.array_equal(got, np.resize(steady, (6, 34))), (
        "numpy.resize wraps each row into the next: a steady tone changes its pitch"
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


AT_FRAMES = Exercise(
    "resize a spectrogram in time",
    "Bring (rows, frames) to another number of frames, by straight lines in time.",
    check_at_frames,
    at_frames,
    (
        "First and last frame stay first and last: np.linspace(0, frames - 1, new).",
        "np.interp(new places, old places, one row).",
    ),
)

# --- Step 9: training image to sound ---------------------------------------------


def energy(lms: np.ndarray, loud: float = 1000.0) -> np.ndarray:
    return loud * 10 ** ((lms - 1) * 40 / 10)


def check_energy(answer: Callable) -> None:
    got = to_array(answer(np.array([1.0, 0.0, -1.0])), "energy")
    assert np.isfinite(got).all(), "energies are finite"
    assert_close(got[0], 1000.0, "1 is 0 dB, the energy of loud playing")
    assert not np.isclose(got[2], 1000 * 1e-4), (
        "that is 20 dB to a factor of ten: right for amplitude, not for energy"
    )
    assert_close(got[2] / 1e-5, 1.0, "-1 is 80 dB less, 1e-5; your value over that")
    assert_close(got[1] / 1e-1, 1.0, "0 is 40 dB less, 0.1; your value over that")
    mel = np.random.default_rng(0).uniform(1e-4, 900, 20)
    lms = (np.clip(10 * np.log10(mel / 1000), -80, 0) + 80) / 40 - 1
    assert_close(
        answer(lms) / mel, np.ones(20), "there and back; your energy over the true one"
    )
    assert np.isclose(answer(np.array([1.0]), 10.0), 10).all(), "`loud` is not used"


ENERGY = Exercise(
    "from the network's numbers to energy",
    "Undo LMS: -1 to 1 are -80 to 0 dB, and 0 dB is the mel energy `loud`.",
    check_energy,
    energy,
    (
        "First to decibel: the range of 2 is 80 dB wide and ends at 0 dB.",
        "Energy is 10 ** (dB / 10); amplitude would be 10 ** (dB / 20).",
    ),
)


def pitch(partials: list[float]) -> float:
    return float(np.median(np.diff(np.sort(partials))))


def check_pitch(answer: Callable) -> None:
    for what, f0, orders in (
        ("all partials", 220.0, (1, 2, 3, 4, 5)),
        ("no fundamental", 220.0, (2, 3, 4, 5, 6)),
        ("no fundamental, one partial missing", 196.0, (2, 3, 5, 6, 7, 8)),
        ("the same, not in order", 196.0, (5, 2, 8, 3, 7, 6)),
    ):
        read = [
            f0 * k * (1 + 0.002 * math.cos(k)) for k in orders
        ]  # nobody reads better
        heard = float(to_array(answer(read), "pitch"))
        octave = " (an octave off)" if round(heard / f0, 1) in (0.5, 2.0) else ""
        assert abs(heard / f0 - 1) < 0.03, f"{what}: {heard:.1f} Hz, not {f0}{octave}"


PITCH = Exercise(
    "the pitch from parallel lines",
    "Partials (Hz) as read off a spectrogram, some missing: what is the pitch?",
    check_pitch,
    pitch,
    (
        "The lowest line need not be the fundamental: look at the distances.",
        "A missing partial makes one distance twice too large. Mean or median?",
    ),
)

# --- Step 10: judging ------------------------------------------------------------


def wilson(right: int, n: int, z: float = 1.96) -> tuple[float, float]:
    p = right / n
    middle = p + z**2 / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


def check_wilson(answer: Callable) -> None:
    for right, n in ((3, 10), (756, 1000), (10, 10), (0, 5)):
        p = np.linspace(0, 1, 200_001)
        # Wilson's definition: the p that the observed share does not contradict.
        inside = p[(right / n - p) ** 2 <= 1.96**2 * p * (1 - p) / n]
        low, high = to_array(answer(right, n), "interval")
        assert high > low, (
            f"{right} of {n}: an interval without width. p ± z·sqrt(p(1-p)/n) has none "
            "where p is 0 or 1; Wilson's has"
        )
        assert low > -1e-6, f"{right} of {n}: no share is below 0, yours is {low:.3f}"
        assert high < 1 + 1e-6, (
            f"{right} of {n}: no share is above 1, yours is {high:.3f}"
        )
        assert_close((low, high), inside[[0, -1]], f"{right} of {n}", 2e-5)


WILSON = Exercise(
    "Wilson's interval",
    "The 95 % interval of a share: all p with |p̂ - p| ≤ 1.96 · sqrt(p(1-p)/n).",
    check_wilson,
    wilson,
    (
        "Square both sides: a quadratic equation in p, and its two roots are the ends.",
        "(1 + z²/n) p² - (2p̂ + z²/n) p + p̂² = 0.",
    ),
)


def kernel_distance(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def others(k: np.ndarray) -> float:
        return (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))

    return others(kernel(x, x)) + others(kernel(y, y)) - 2 * kernel(x, y).mean()


def check_kernel_distance(answer: Callable) -> None:
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
        "biased: each item is compared with itself, which is always most alike"
    )
    assert_close(got, right, "KID of 4 and 5 items")
    pairs = random.standard_normal((600, 2, 6, 4))
    average = np.mean([answer(a, b) for a, b in pairs])
    assert abs(average) < 0.5, (
        f"alike sets should differ by 0 on average: {average:.2f}"
    )


KERNEL_DISTANCE = Exercise(
    "KID without bias",
    "The squared MMD of features (n, d) and (m, d), kernel (a·b/d + 1)³, unbiased.",
    check_kernel_distance,
    kernel_distance,
    (
        "Mean kernel within x, plus within y, minus twice the mean between them.",
        "Within a set leave the diagonal out: n(n - 1) pairs, not n².",
        "Between x and y every pair counts.",
    ),
)

# --- Step 11: play ---------------------------------------------------------------


def slerp(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    angle = np.arccos(np.clip(cosine, -1, 1))
    weights = np.sin((1 - share) * angle), np.sin(share * angle)
    return (weights[0] * a + weights[1] * b) / np.sin(angle)


def check_slerp(answer: Callable) -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 100))
    a, b = a / np.linalg.norm(a) * 10, b / np.linalg.norm(b) * 10
    assert_close(answer(a, b, 0.0), a, "share 0")
    assert_close(answer(a, b, 1.0), b, "share 1")
    middle = to_array(answer(a, b, 0.5), "vector")
    length = float(np.linalg.norm(middle))
    assert abs(length - 10) < 1e-6, (
        f"the middle is {length:.2f} long, the ends 10: G has hardly seen such a noise"
    )
    whole = math.acos(a @ b / 100)
    for share in (0.1, 0.25, 0.8):
        point = to_array(answer(a, b, share), "vector")
        turned = math.acos(np.clip(a @ point / (10 * np.linalg.norm(point)), -1, 1))
        assert_close(
            turned / whole, share, f"share {share}: the angle turned, of the whole"
        )


SLERP = Exercise(
    "from noise to noise along the sphere",
    "A point between two vectors of one length, on the great circle through them.",
    check_slerp,
    slerp,
    (
        "(1 - t) a + t b cuts through the ball: the middle is too short.",
        "With the angle ω between a and b the weights are sin((1 - t) ω) / sin ω and "
        "sin(t ω) / sin ω.",
    ),
)


def crossfade(first: np.ndarray, second: np.ndarray, overlap: int) -> np.ndarray:
    up = np.arange(overlap) / overlap
    mixed = first[-overlap:] * (1 - up) + second[:overlap] * up
    return np.concatenate([first[:-overlap], mixed, second[overlap:]])


def check_crossfade(answer: Callable) -> None:
    one = np.ones(100)
    got = to_array(answer(one, one, 20), "sound")
    assert got.shape == (180,), f"100 + 100 - 20 = 180 samples, not {got.shape}"
    assert_close(got, np.ones(180), "one steady sound into itself")
    got = to_array(answer(one, 0 * one, 20), "sound")
    assert_close(got[:80], np.ones(80), "before the overlap only the first sounds")
    assert_close(got[100:], np.zeros(80), "after the overlap only the second sounds")
    steps = np.diff(got[79:101])
    assert (steps <= 1e-9).all(), "the first sound should only get softer"
    assert steps.min() > -0.1, f"a jump of {-steps.min():.2f}: that clicks"


CROSSFADE = Exercise(
    "half-seconds without clicks",
    "Join two sounds so that the end of one fades into the start of the other.",
    check_crossfade,
    crossfade,
    (
        "Three parts: the first alone, `overlap` samples of both, the second alone.",
        "The two weights add to 1 everywhere: 1 - u and u, with u rising from 0 to 1.",
    ),
)
