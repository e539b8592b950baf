"""The exercises of this series: two for each notebook.

In each the reader builds something that the notebook teaches: a block, a loss, a step
of the training, a measure. A check compares the answer with a result that was computed
in another way (torch's own layer, a closed form, a plain loop) and says what is wrong.
Try an exercise before you read its solution here.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from avnb.course.exercises import Exercise, assert_close, require_answer, to_array

# --- Step 1: data ----------------------------------------------------------------


def find_clip_starts(
    numbers: list[int], frames: int = 10, step: int = 100
) -> list[int]:
    """Walk through the numbers; at a gap go on behind it."""
    there, starts = set(numbers), []
    now = numbers[0]
    while now is not None:
        needed = range(now, now + frames * step, step)
        missing = [number for number in needed if number not in there]
        if not missing:
            starts.append(now)
            now += frames * step
        bound = missing[0] if missing else now
        now = next((number for number in numbers if number >= bound), None)
    return starts


def check_find_clip_starts(answer: Callable) -> None:
    """Compare with runs that are cut out first, each into whole clips."""
    random = np.random.default_rng(4)
    for case in range(8):
        kept = random.random(90) > (0.0 if case == 0 else 0.03 * case)
        numbers = [500 + 100 * k for k in np.flatnonzero(kept).tolist()]
        runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 100) + 1)
        right = [int(run[i]) for run in runs for i in range(0, len(run) - 9, 10)]
        mine = require_answer(answer(list(numbers)), "list of starts")
        what = f"{len(numbers)} numbers in {len(runs)} runs"
        found = [int(number) for number in mine]
        there = set(numbers)
        for start in found:
            holes = set(range(start, start + 1000, 100)) - there
            assert not holes, f"{what}: the clip at {start} lacks {min(holes)}"
        assert found == right, f"{what}: {found[:5]}… and not {right[:5]}…"


FIND_CLIP_STARTS = Exercise(
    "clips between gaps",
    "Where do clips of ten frames begin among numbers with gaps?",
    check_find_clip_starts,
    find_clip_starts,
    (
        "A set tells at once whether a number is there.",
        "If one of the ten is missing, go on with the first number behind it.",
        "After a whole clip go on 1000 ms later, if that number is there.",
    ),
)


def cut_in_time(clips: int, share: float, gap: int) -> tuple[list[int], list[int]]:
    """The first clips train, the last ones test."""
    left = clips - gap
    tested = min(max(round(share * left), 1), left - 1)
    return list(range(left - tested)), list(range(clips - tested, clips))


def check_cut_in_time(answer: Callable) -> None:
    """Check the sizes, the order and the gap, not the way."""
    for clips, share, gap in ((454, 0.2, 5), (10, 0.5, 0), (9, 0.05, 3), (8, 0.99, 6)):
        what = f"{clips} clips, {share} of them, a gap of {gap}"
        train, test = require_answer(answer(clips, share, gap), "two lists")
        train, test = [int(k) for k in train], [int(k) for k in test]
        assert not set(train) & set(test), f"{what}: a clip is in both parts"
        tested = min(max(round(share * (clips - gap)), 1), clips - gap - 1)
        assert len(test) == tested, f"{what}: {len(test)} clips test, not {tested}"
        assert test == sorted(test), f"{what}: the test part is not in order"
        assert test[-1] == clips - 1, f"{what}: the test part is not the last"
        left = min(test) - max(train) - 1
        assert left == gap, f"{what}: {left} clips lie between the parts"
        assert train == list(range(len(train))), f"{what}: training begins with clip 0"


CUT_IN_TIME = Exercise(
    "one video, cut in time",
    "Which clips train and which test, with a gap between?",
    check_cut_in_time,
    cut_in_time,
    (
        "Take the gap away first: that many clips are in neither part.",
        "The last clips test: range(clips - tested, clips).",
        "Both parts need a clip, whatever the share.",
    ),
)


# --- Step 2: sound ---------------------------------------------------------------


def shuffle_batch(x: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """Pad with the mirror image, then cut each item out at its own place."""
    reach = int(shifts.abs().max())
    if not reach:
        return x
    padded = F.pad(x, (reach, reach), mode="reflect")
    starts = (reach - shifts).tolist()
    length = x.shape[2]
    items = [item[:, s : s + length] for item, s in zip(padded, starts, strict=True)]
    return torch.stack(items)


def check_shuffle_batch(answer: Callable) -> None:
    """Try a signal that counts its steps, then random ones against a loop."""
    count = torch.arange(8.0).expand(3, 1, 8)
    same = answer(count, torch.tensor([0, 0, 0]))
    assert_close(require_answer(same, "signals"), count, "signals with shifts of 0")
    got = to_array(answer(count, torch.tensor([2, 0, -2])), "signals")
    assert got.shape == (3, 1, 8), (
        f"The shape is {got.shape}. The length must stay: (3, 1, 8)"
    )
    assert (got[0, 0, 2:] == np.arange(6)).all(), (
        f"0 1 2 … 7, moved by 2 to later times, became {got[0, 0]}. From its third "
        "place on it should be 0 1 2 3 4 5"
    )
    assert not (got[0, 0, :2] == [6, 7]).all(), (
        "What left at the end came in at the beginning. Fill up with the mirror image"
    )
    assert_close(got[0, 0], [2, 1, 0, 1, 2, 3, 4, 5], "0 1 … 7, moved by 2")
    assert_close(got[2, 0], [2, 3, 4, 5, 6, 7, 6, 5], "0 1 … 7, moved by -2")
    random = torch.Generator().manual_seed(1)
    x = torch.randn(4, 2, 11, generator=random)
    shifts = torch.tensor([3, -1, 0, 2])
    right = torch.empty_like(x)
    for b in range(4):
        for t in range(11):
            source = abs(t - int(shifts[b]))
            right[b, :, t] = x[b, :, 10 - abs(10 - source)]
    assert_close(answer(x, shifts), right, "random signals")


SHUFFLE_BATCH = Exercise(
    "phase shuffle",
    "Move each item of a batch by its own number of steps, filled with its mirror.",
    check_shuffle_batch,
    shuffle_batch,
    (
        'F.pad(x, (n, n), mode="reflect") adds n mirrored steps at both ends.',
        "Item b of the padded signal begins at n - shifts[b] and has L steps.",
        "Take the items one by one and put them together with torch.stack.",
    ),
)


def generator_slopes(logits: torch.Tensor) -> torch.Tensor:
    """Differentiate the three losses by hand."""
    p = logits.sigmoid()
    slopes = torch.stack([-torch.ones_like(p), -p * (1 - p), -(1 - p)])
    return slopes / len(logits)


def check_generator_slopes(answer: Callable) -> None:
    """Compare with autograd, in float64 and where the critic is sure."""
    logits = torch.tensor([-20.0, -3.0, 0.0, 1.5, 8.0], dtype=torch.float64)
    got = to_array(answer(logits), "gradients")
    assert got.shape == (3, 5), (
        f"The shape is {got.shape}. It should be (3, 5): a row for each loss"
    )
    x = logits.clone().requires_grad_()
    values = (-x.mean(), -x.sigmoid().mean(), -F.logsigmoid(x).mean())
    names = ("scores as they are", "through a sigmoid", "non-saturating")
    for row, value, name in zip(got, values, names, strict=True):
        (right,) = torch.autograd.grad(value, x, retain_graph=True)
        assert_close(row, right, f"gradient, {name}", 1e-9)


GENERATOR_SLOPES = Exercise(
    "what a generator feels",
    "Compute the gradients of three losses of a generator with respect to the logits.",
    check_generator_slopes,
    generator_slopes,
    (
        "A mean over B items divides each gradient by B.",
        "The derivative of the sigmoid p is p (1 - p).",
        "That of log p is 1 - p: the factor p has cancelled.",
    ),
)

# --- Step 3: picture -------------------------------------------------------------


def make_codes(
    cell: nn.GRUCell, content: torch.Tensor, noise: torch.Tensor, start: torch.Tensor
) -> torch.Tensor:
    """Run the cell over the frames and put the content beside each state."""
    state, codes = start, []
    for frame in noise.unbind(1):
        state = cell(frame, state)
        codes.append(torch.cat([content, state], dim=1))
    return torch.stack(codes, dim=1)


def check_make_codes(answer: Callable) -> None:
    """Compare with torch's GRU over the whole sequence."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        cell, gru = nn.GRUCell(3, 3), nn.GRU(3, 3, batch_first=True)
        content, noise, start = (
            torch.randn(2, 4),
            torch.randn(2, 5, 3),
            torch.randn(2, 3),
        )
    gru.load_state_dict({f"{k}_l0": v for k, v in cell.state_dict().items()})
    with torch.no_grad():
        got = require_answer(answer(cell, content, noise, start), "codes")
        assert got.shape == (2, 5, 7), (
            f"The shape is {tuple(got.shape)}. It should be (2, 5, 7): content and "
            "motion of each frame"
        )
        same = content[:, None].expand(-1, 5, -1)
        assert_close(got[:, :, :4], same, "content, which is the same in all frames")
        first = cell(noise[:, 0], start)
        assert_close(got[:, 0, 4:], first, "motion code of the first frame")
        assert_close(got[:, :, 4:], gru(noise, start[None])[0], "motion codes")


MAKE_CODES = Exercise(
    "the codes of a video",
    "Run a GRU cell over the frames' noise and put the content beside each state.",
    check_make_codes,
    make_codes,
    (
        "cell(noise[:, k], state) gives the next state, which is the motion code.",
        "Frame 0 gets the state after the first call, not the start.",
        "torch.cat([content, state], dim=1) is the code of one frame.",
    ),
)


def count_scores(frames: int, padding: int) -> int:
    """A layer of kernel 4 adds the padding at both ends and takes 3 away."""
    for layer in range(5):
        frames += (2 * padding if layer < 4 else 0) - 3
        if frames < 1:
            return 0
    return frames


def check_count_scores(answer: Callable) -> None:
    """Compare with real convolutions."""
    for frames in (4, 7, 8, 10, 15, 16, 25):
        for padding in (0, 1):
            x = torch.zeros(1, 1, frames)
            weight = torch.zeros(1, 1, 4)
            for layer in range(5):
                around = padding if layer < 4 else 0
                if x.shape[2] + 2 * around < 4:
                    x = x[:, :, :0]
                    break
                x = F.conv1d(x, weight, padding=around)
            got = to_array(answer(frames, padding), "number of logits")
            assert got.shape == (), "Give one whole number"
            assert got == x.shape[2], (
                f"{frames} frames with padding {padding}: the answer is {int(got)}. "
                f"Five convolutions leave {x.shape[2]}"
            )


COUNT_SCORES = Exercise(
    "how many logits",
    "Count the logits of the video critic for a clip of so many frames.",
    check_count_scores,
    count_scores,
    (
        "A convolution of kernel 4 takes 3 frames away.",
        "Padding 1 adds a frame at both ends.",
        "The fifth layer, the decision, has no padding.",
    ),
)

# --- Step 4: pairs ---------------------------------------------------------------


def three_kinds(d1: torch.Tensor, d2: torch.Tensor) -> torch.Tensor:
    """Multiply the probabilities as logarithms."""
    made = F.logsigmoid(-d1)
    kinds = [F.logsigmoid(d1), made + F.logsigmoid(d2), made + F.logsigmoid(-d2)]
    return torch.stack(kinds, dim=1)


def check_three_kinds(answer: Callable) -> None:
    """Compare with a softmax of three logits, and where a critic is sure."""
    random = torch.Generator().manual_seed(4)
    d1, d2 = torch.randn(2, 6, generator=random, dtype=torch.float64)
    got = require_answer(answer(d1, d2), "log-probabilities")
    assert got.shape == (6, 3), (
        f"The shape is {tuple(got.shape)}. It should be (6, 3): real, sound made, "
        "picture made"
    )
    assert_close(got.exp().sum(1), np.ones(6), "the sum of the three probabilities")
    # Another way to the same: a softmax over these three logits.
    p2 = d2.sigmoid()
    right = torch.stack([d1, p2.log(), (1 - p2).log()], dim=1).log_softmax(1)
    assert_close(got, right, "log-probabilities")
    sure = answer(torch.tensor([200.0]), torch.tensor([-200.0]))
    assert_close(sure, [[0.0, -400.0, -200.0]], "critics that are sure", 1e-3)


THREE_KINDS = Exercise(
    "three kinds of pair",
    "Compute the log-probabilities that D1 and D2 give to the three kinds of pair.",
    check_three_kinds,
    three_kinds,
    (
        "p(sound made) is (1 - D1) D2: its logarithm is a sum of two.",
        "F.logsigmoid(x) is log D and F.logsigmoid(-x) is log(1 - D).",
        "torch.stack([...], dim=1) makes (B, 3) of three vectors.",
    ),
)


def best_share(p: float) -> float:
    """Search the interval by thirds: the value has one minimum."""

    def value(q: float) -> float:
        parts = ((p, q), (1 - p, 1 - q))
        return sum(w * (x * np.log(x) - (1 + x) * np.log1p(x)) for w, x in parts)

    low, high = 1e-9, 1 - 1e-9
    for _ in range(200):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if value(left) < value(right):
            high = right
        else:
            low = left
    return (low + high) / 2


def check_best_share(answer: Callable) -> None:
    """The derivative of the value must be zero there."""
    got = to_array(answer(0.8), "share q")
    assert got.shape == (), "Give one number, the share of the common class"
    assert 0 < got < 1, f"A share lies between 0 and 1. The answer is {got:.3g}"
    assert abs(got - 0.8) > 0.01, "The best q is not the share of the data"
    for p in (0.5, 0.65, 0.8, 0.9):
        q = float(answer(p))
        slope = p * np.log(q / (1 + q)) - (1 - p) * np.log((1 - q) / (2 - q))
        assert abs(slope) < 1e-3, (
            f"p = {p}: at q = {q:.4f} the derivative of the value is {slope:.4f}, so "
            "this is not the minimum"
        )


BEST_SHARE = Exercise(
    "the best q",
    "Find the share of the common class that minimises the game against the best D1.",
    check_best_share,
    best_share,
    (
        "Try q from 0.001 to 0.999 and keep the best; then look closer around it.",
        "The derivative of q log q - (1 + q) log(1 + q) is log(q / (1 + q)).",
        "For p = 0.8 the answer is 0.94.",
    ),
)

# --- Step 5: what couples them ---------------------------------------------------


def film_sound(
    x: torch.Tensor,
    codes: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    frame: torch.Tensor,
) -> torch.Tensor:
    """Compute scale and shift once a frame, then give each place those of its frame."""
    style = (codes @ weight.T + bias)[:, frame].transpose(1, 2)
    gamma, beta = style.chunk(2, dim=1)
    return (1 + gamma) * x + beta


def check_film_sound(answer: Callable) -> None:
    """Try weights of zero, then compare with a loop over the places."""
    random = torch.Generator().manual_seed(5)
    x = torch.randn(2, 3, 8, generator=random)
    codes = torch.randn(2, 4, 5, generator=random)
    weight, bias = (
        torch.randn(6, 5, generator=random),
        torch.randn(6, generator=random),
    )
    frame = torch.tensor([0, 0, 1, 1, 1, 2, 3, 3])
    same = answer(x, codes, 0 * weight, 0 * bias, frame)
    assert_close(require_answer(same, "maps"), x, "maps with γ = 0 and β = 0")
    right = torch.empty_like(x)
    for j, k in enumerate(frame.tolist()):
        style = F.linear(codes[:, k], weight, bias)
        right[:, :, j] = x[:, :, j] + style[:, :3] * x[:, :, j] + style[:, 3:]
    assert_close(answer(x, codes, weight, bias, frame), right, "maps")


FILM_SOUND = Exercise(
    "FiLM",
    "Let the code of each frame scale and shift the places of the sound in it.",
    check_film_sound,
    film_sound,
    (
        "codes @ weight.T + bias is (B, T, 2 C).",
        "Indexing with frame, style[:, frame], gives each place its frame's numbers.",
        "transpose(1, 2) puts the channels before the places, as x has them.",
    ),
)


def chance_agreement(q: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    """Both must be of the same class, for any class."""
    return (q * r).sum()


def check_chance_agreement(answer: Callable) -> None:
    """Try equal shares, then draw many pairs."""
    even = torch.full((4,), 0.25)
    assert_close(answer(even, even), 0.25, "four equal classes")
    assert_close(
        answer(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])),
        0.0,
        "sounds of class 1 only, and pictures of class 2 only",
    )
    q, r = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.5, 0.1, 0.4])
    random = torch.Generator().manual_seed(6)
    drawn = [
        torch.multinomial(p, 200_000, replacement=True, generator=random)
        for p in (q, r)
    ]
    share = (drawn[0] == drawn[1]).double().mean()
    assert_close(answer(q, r), share, "shares q and r, by 200,000 draws", 0.01)


CHANCE_AGREEMENT = Exercise(
    "agreement by chance",
    "Compute how often an independent sound and picture are of the same class.",
    check_chance_agreement,
    chance_agreement,
    (
        "Both are of class k with probability q[k] r[k].",
        "Add these up over the classes.",
    ),
)


# --- Step 6: training ------------------------------------------------------------


def measure_pull(critic: Callable, fake: torch.Tensor) -> torch.Tensor:
    """The sum of the clips' losses: each clip's gradient is its own."""
    fake = fake.detach().requires_grad_()
    loss = -F.logsigmoid(critic(fake)).sum()
    (slope,) = torch.autograd.grad(loss, fake)
    return slope.flatten(1).norm(dim=1).mean()


def check_measure_pull(answer: Callable) -> None:
    """A linear critic has a gradient that can be written down."""
    random = torch.Generator().manual_seed(7)
    weight = torch.randn(2, 5, generator=random)
    fake = torch.randn(4, 2, 5, generator=random)

    def critic(x: torch.Tensor) -> torch.Tensor:
        return (x * weight).sum((1, 2))

    unsure = torch.zeros(3, 2, 5)
    assert_close(answer(critic, unsure), weight.norm() / 2, "logits of 0")
    right = ((1 - critic(fake).sigmoid()) * weight.norm()).mean()
    assert_close(answer(critic, fake), right, "a linear critic")


MEASURE_PULL = Exercise(
    "the pull of a critic",
    "Compute the mean norm of a loss's gradient at generated clips.",
    check_measure_pull,
    measure_pull,
    (
        "torch.autograd.grad(loss, fake) needs fake.requires_grad_().",
        "Add the clips' losses up: a mean would divide each gradient by B.",
    ),
)


def count_flops(inputs: int, outputs: int, weights: int, length: int) -> int:
    """Each output number needs inputs · weights products and as many additions."""
    return 2 * inputs * outputs * weights * length


def check_count_flops(answer: Callable) -> None:
    """Compare with torch's own counter."""
    for inputs, outputs, weights, longer in ((1, 1, 1, 5), (3, 4, 25, 40)):
        conv = torch.nn.Conv1d(inputs, outputs, weights, bias=False)
        x = torch.zeros(1, inputs, longer)
        with FlopCounterMode(display=False) as counter:
            length = conv(x).shape[2]
        what = f"{inputs} to {outputs} channels, {weights} weights"
        assert_close(
            answer(inputs, outputs, weights, length),
            float(counter.get_total_flops()), what,
        )  # fmt: skip


COUNT_FLOPS = Exercise(
    "the operations of a convolution",
    "Count the multiplications and additions of a 1-d convolution.",
    check_count_flops,
    count_flops,
    (
        "One number of the result needs inputs · weights multiplications.",
        "There are outputs · length numbers in the result.",
    ),
)


# --- Step 7: judging -------------------------------------------------------------


def count_different(first: torch.Tensor, second: torch.Tensor) -> int:
    """A two-sided test of two proportions in each bin, at 5 %."""
    n, m = first.sum(), second.sum()
    p = (first + second) / (n + m)
    error = (p * (1 - p) * (1 / n + 1 / m)).sqrt()
    return int(((first / n - second / m).abs() > 1.96 * error).sum())


def check_count_different(answer: Callable) -> None:
    """Equal histograms, a missing bin, and one that is empty on both sides."""
    even = torch.full((4,), 100.0)
    assert_close(answer(even, 2 * even), 0.0, "equal shares")
    gone = torch.tensor([0.0, 100.0, 100.0, 200.0])
    assert_close(answer(even, gone), 2.0, "one bin lost, one of twice the size")
    empty = torch.tensor([50.0, 50.0, 0.0])
    assert_close(answer(empty, empty), 0.0, "a bin that is empty in both")
    few = torch.tensor([2.0, 3.0])
    assert_close(answer(few, torch.tensor([3.0, 2.0])), 0.0, "5 items against 5")


COUNT_DIFFERENT = Exercise(
    "NDB",
    "Count the bins in which two histograms differ significantly.",
    check_count_different,
    count_different,
    (
        "The pooled share of a bin is p = (first + second) / (n + m).",
        "The difference of two shares has the variance p (1 - p) (1 / n + 1 / m).",
        "It is significant at 5 % where it is more than 1.96 standard deviations.",
    ),
)


def split_entropy(pitches: list[torch.Tensor]) -> tuple[float, float]:
    """Of all pitches together, and the mean of each sound's own."""

    def entropy(one: torch.Tensor) -> torch.Tensor:
        p = torch.unique(one, return_counts=True)[1] / len(one)
        return -(p * p.log2()).sum()

    each = torch.stack([entropy(one) for one in pitches]).mean()
    return float(entropy(torch.cat(pitches))), float(each)


def check_split_entropy(answer: Callable) -> None:
    """One pitch a sound, all pitches in each sound, and a mixture."""
    steady = [torch.full((5,), k) for k in range(8)]
    assert_close(
        torch.tensor(answer(steady)), torch.tensor([3.0, 0.0]), "one pitch each"
    )
    gliding = [torch.arange(8) for _ in range(3)]
    assert_close(torch.tensor(answer(gliding)), torch.tensor([3.0, 3.0]), "glides")
    mixed = [torch.tensor([1, 1, 2, 2]), torch.tensor([1, 1, 1, 1])]
    p = torch.tensor([0.75, 0.25])
    together = float(-(p * p.log2()).sum())
    assert_close(
        torch.tensor(answer(mixed)), torch.tensor([together, 0.5]), "two sounds"
    )


SPLIT_ENTROPY = Exercise(
    "two pitch entropies",
    "Compute the entropy of the pitches of all sounds, and the mean of each sound's.",
    check_split_entropy,
    split_entropy,
    (
        "torch.unique(x, return_counts=True) counts each pitch.",
        "Entropy in bits is -Σ p log2 p.",
        "Join the sounds with torch.cat before you count, for the first of the two.",
    ),
)


# --- Step 8: playing -------------------------------------------------------------


def keep_sound(
    noise: dict[str, torch.Tensor], other: dict[str, torch.Tensor], picture: set[str]
) -> dict[str, torch.Tensor]:
    """Take what the picture alone uses from the other noise."""
    return {name: other[name] if name in picture else x for name, x in noise.items()}


def check_keep_sound(answer: Callable) -> None:
    """With and without a shared part."""
    one = {name: torch.zeros(2, 3) for name in ("sound", "content", "motion", "shared")}
    two = {name: torch.ones(2, 3) for name in one}
    found = answer(one, two, {"content", "motion"})
    for name, new in (("sound", 0), ("content", 1), ("motion", 1), ("shared", 0)):
        assert_close(found[name], torch.full((2, 3), float(new)), f'noise["{name}"]')
    assert_close(one["content"], torch.zeros(2, 3), "the first noise, afterwards")


KEEP_SOUND = Exercise(
    "keep the sound",
    "Draw anew only what the picture alone depends on.",
    check_keep_sound,
    keep_sound,
    (
        "Make a new dict: the two that come in must stay as they are.",
        "What is shared belongs to the sound as well, so it must stay.",
    ),
)


def walk_noise(start: torch.Tensor, end: torch.Tensor, steps: int) -> torch.Tensor:
    """Cos and sin: their squares add up to one."""
    angle = torch.linspace(0, torch.pi / 2, steps).view(-1, *[1] * start.ndim)
    return angle.cos() * start + angle.sin() * end


def check_walk_noise(answer: Callable) -> None:
    """The ends, and the length in the middle."""
    random = torch.Generator().manual_seed(8)
    a, b = torch.randn(2, 4000, generator=random)
    walk = answer(a, b, 5)
    assert_close(walk[0], a, "the beginning")
    assert_close(walk[-1], b, "the end", 1e-3)
    lengths = torch.stack([x.norm() for x in walk]) / 4000**0.5
    assert_close(lengths, torch.ones(5), "lengths on the way, per √size", 0.1)


WALK_NOISE = Exercise(
    "a walk between two noises",
    "Go from one normal noise to another without leaving the usual length.",
    check_walk_noise,
    walk_noise,
    (
        "A straight line is too short in the middle: two halves have length √½.",
        "cos² + sin² = 1, so cos · a + sin · b has the variance of a and b.",
    ),
)
