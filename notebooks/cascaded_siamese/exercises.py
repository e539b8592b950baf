"""The exercises of this series: two for each notebook.

In each the reader builds something that the notebook teaches: a block, a loss, a rule
of the training. A check compares the answer with a result that was computed in another
way (a plain loop, a closed form) and says what is wrong. Try an exercise before you
read its solution here.
"""

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from avnb.course.exercises import Exercise, assert_close, require_answer, to_array

# --- Step 1: data ----------------------------------------------------------------


def find_own_start(frames: torch.Tensor, near: int = 10) -> int:
    """The frame after the last cut that is near the start."""
    changed = (frames[1:].float() - frames[:-1].float()).abs() > 8
    cuts = 1 + (changed.float().mean((1, 2)) > 0.4).nonzero()[:, 0]
    early = cuts[cuts <= near]
    return int(early[-1]) if len(early) else 0


def check_find_own_start(answer: Callable) -> None:
    """Films whose grounds change at known frames, and one with a moving thing."""
    for cuts, right in (((), 0), ((3,), 3), ((2, 5), 5), ((14,), 0), ((4, 17), 4)):
        frames = torch.full((24, 12, 12), 200.0)
        for k, at in enumerate(cuts):
            frames[at:] = 60.0 + 50 * k
        for t in range(24):  # a thing that moves covers a ninth of the picture
            frames[t, 4:8, t % 8 : t % 8 + 4] = 20.0
        got = require_answer(answer(frames), "number")
        assert int(got) == right, (
            f"cuts at {cuts}: your film begins with frame {int(got)}, and should with "
            f"{right}"
        )


FIND_OWN_START = Exercise(
    "the finder of borders",
    "Find the first frame of a film's own slide.",
    check_find_own_start,
    find_own_start,
    (
        "Compare each frame with the one before, pixel by pixel.",
        "The mean of a comparison such as `difference > 8` is a share of the pixels.",
        "A change from frame k to k + 1 is a cut at frame k + 1.",
    ),
)


def hold_last(
    frames: torch.Tensor, count: int = 32
) -> tuple[torch.Tensor, torch.Tensor]:
    """An index that stops at the last frame takes it again and again."""
    index = torch.arange(count).clamp(max=len(frames) - 1)
    return frames[index], torch.arange(count) >= len(frames)


def check_hold_last(answer: Callable) -> None:
    """Films that are shorter, as long, and longer."""
    for n in (1, 14, 32, 40):
        frames = torch.arange(float(n))[:, None, None, None].expand(n, 2, 2, 3)
        given = require_answer(answer(frames, 32), "pair")
        assert len(given) == 2, "two answers are wanted: the frames and the mask"
        got, mask = to_array(given[0], "frames"), to_array(given[1], "mask")
        assert got.shape == (32, 2, 2, 3), f"{n} frames: the shape is {got.shape}"
        right = np.array([min(t, n - 1) for t in range(32)])
        assert_close(got[:, 0, 0, 0], right, f"frames of a film of {n}")
        held = np.array([t >= n for t in range(32)])
        assert_close(mask.astype(float), held.astype(float), f"mask of a film of {n}")


HOLD_LAST = Exercise(
    "the holder of the last frame",
    "Fill a video from a film of any length, and say which frames are held.",
    check_hold_last,
    hold_last,
    (
        "An index may name the last frame many times.",
        "torch.arange(count).clamp(max=...) is such an index.",
        "Frame t is held where t is not below the number of frames.",
    ),
)


# --- Step 2: sound ---------------------------------------------------------------


def cut_segments(
    columns: torch.Tensor, frame: int, around: int, beside: int
) -> torch.Tensor:
    """Leave out what no segment has, then take windows `frame` cells apart."""
    skip = frame * beside - around
    windows = columns[:, skip : columns.shape[1] - skip]
    return windows.unfold(1, frame + 2 * around, frame).transpose(0, 1)


def check_cut_segments(answer: Callable) -> None:
    """Try columns that count their cells, of two geometries."""
    for frame, around, beside, frames in ((4, 8, 3, 5), (2, 1, 1, 3)):
        cells = frame * (frames + 2 * beside)
        columns = torch.arange(float(cells)).repeat(2, 1)
        got = to_array(answer(columns, frame, around, beside), "segments")
        wide = frame + 2 * around
        assert got.shape == (frames, 2, wide), (
            f"{cells} cells, {frame} a frame, {beside} frames beside: the shape is "
            f"{got.shape}. It should be ({frames}, 2, {wide})"
        )
        for t in range(frames):
            first = frame * (beside + t) - around
            right = np.arange(first, first + wide)
            assert_close(got[t, 1], right, f"cells of frame {t}'s segment")


CUT_SEGMENTS = Exercise(
    "the segment cutter",
    "Cut the log-mel columns into one segment a frame, each centred on its frame.",
    check_cut_segments,
    cut_segments,
    (
        "Frame t of the video begins with cell frame * (t + beside).",
        "Its segment begins `around` cells earlier and has frame + 2 * around cells.",
        "A loop and torch.stack will do; tensor.unfold(1, size, step) is faster.",
    ),
)


def find_heard_samples(
    t: int, hop: int, window: int, frame: int, around: int, beside: int
) -> tuple[int, int]:
    """Middles of the first and the last column, and half a window beyond."""
    first = frame * (t + beside) - around
    last = first + frame + 2 * around - 1
    begin = first * hop + hop // 2 - window // 2
    return begin, last * hop + hop // 2 + window // 2


def check_find_heard_samples(answer: Callable) -> None:
    """Compare with a list of all samples that the columns' windows hold."""
    for t, hop, window, frame, around, beside in (
        (0, 160, 400, 4, 8, 3), (31, 160, 400, 4, 8, 3), (2, 10, 30, 2, 1, 1),
    ):  # fmt: skip
        got = answer(t, hop, window, frame, around, beside)
        require_answer(got, "two samples")
        own = frame * (t + beside)  # the first cell of the frame itself
        heard = {
            hop * c + hop // 2 + s
            for c in range(own - around, own + frame + around)
            for s in range(-window // 2, window // 2)
        }
        right = (min(heard), max(heard) + 1)
        assert tuple(got) == right, (
            f"Frame {t}, hop {hop}, window {window}: you say {tuple(got)}. It hears "
            f"the samples from {right[0]} to before {right[1]}"
        )


FIND_HEARD_SAMPLES = Exercise(
    "what a frame hears",
    "Compute the first sample that a frame's segment sees and the one after its last.",
    check_find_heard_samples,
    find_heard_samples,
    (
        "The segment's first column is frame * (t + beside) - around.",
        "Column c is centred at sample c * hop + hop / 2.",
        "A window reaches half its length to both sides.",
    ),
)

# --- Step 3: one stream ----------------------------------------------------------


def join_maps(h: torch.Tensor, skip: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Give the skip an axis of time, and the class axes of time and place."""
    _, _, t, n, _ = h.shape
    still = skip[:, :, None].repeat(1, 1, t, 1, 1)
    named = label[:, :, None, None, None].repeat(1, 1, t, n, n)
    return torch.cat([h, still, named], dim=1)


def check_join_maps(answer: Callable) -> None:
    """Look at each place of the result."""
    random = torch.Generator().manual_seed(3)
    shapes = (2, 3, 4, 5, 5), (2, 2, 5, 5)
    h, skip = (torch.randn(shape, generator=random) for shape in shapes)
    label = F.one_hot(torch.tensor([1, 0]), 3).float()
    got = require_answer(answer(h, skip, label), "joined maps")
    assert got.shape == (2, 8, 4, 5, 5), (
        f"The shape is {tuple(got.shape)}. It should be (2, 8, 4, 5, 5): 3 maps, 2 of "
        "the skip, 3 classes"
    )
    assert_close(got[:, :3], h, "the maps themselves, which come first")
    for t in range(4):
        assert_close(got[:, 3:5, t], skip, f"the skip in frame {t}")
        for y, x in itertools.product(range(5), repeat=2):
            place = f"frame {t}, [{y}, {x}]"
            assert_close(got[:, 5:, t, y, x], label, f"the class in {place}")


JOIN_MAPS = Exercise(
    "skip and class",
    "Put the skip and the class beside the maps, in every frame.",
    check_join_maps,
    join_maps,
    (
        "skip[:, :, None] has an axis of time of length 1.",
        "expand or repeat makes it as long as h's.",
        "Along dim=1 stand the channels: torch.cat([h, ..., ...], dim=1).",
    ),
)


def count_block_weights(
    before: int, middle: int, after: int, kernel_time: int, kernel_space: int
) -> tuple[int, int]:
    """Multiply the channels with the places of the kernels."""
    split = before * middle * kernel_time + middle * after * kernel_space**2
    return split, before * after * kernel_time * kernel_space**2


def check_count_block_weights(answer: Callable) -> None:
    """Count the weights of torch's own layers."""
    for a, m, b, t, s in ((6, 5, 4, 4, 4), (10, 32, 8, 2, 3), (3, 1, 2, 1, 4)):
        got = require_answer(answer(a, m, b, t, s), "two numbers")
        with torch.device("meta"):
            layers = [
                torch.nn.ConvTranspose3d(*widths, kernel, bias=False)
                for widths, kernel in (
                    ((a, m), (t, 1, 1)), ((m, b), (1, s, s)), ((a, b), (t, s, s)),
                )
            ]  # fmt: skip
        one, two, whole = (layer.weight.numel() for layer in layers)
        assert tuple(got) == (one + two, whole), (
            f"{a} → {m} → {b} channels, kernels of {t} and {s}×{s}: you say "
            f"{tuple(got)}. It should be {(one + two, whole)}"
        )


COUNT_BLOCK_WEIGHTS = Exercise(
    "does factorising save weights?",
    "Count the weights of a factorised block and of one layer that does the same.",
    check_count_block_weights,
    count_block_weights,
    (
        "A convolution has in · out · (places of its kernel) weights.",
        "The kernel over time has kernel_time places, that over space kernel_space².",
        "In ImaGINator the middle is so wide that the block is larger, not smaller.",
    ),
)

# --- Step 4: the cascade ---------------------------------------------------------

CLIP = 8  # frames


def find_start(order: tuple[int, ...], clip: int) -> tuple[int, int | None]:
    """The last frame of the clip that stands before, and of the one that should."""
    place = order.index(clip)
    given = CLIP * order[place - 1] + CLIP - 1 if place else CLIP * clip
    return given, CLIP * clip - 1 if clip else None


def check_find_start(answer: Callable) -> None:
    """Ask for every clip of some orders; look the frames up in a shuffled list."""
    for order in ((2, 0, 3, 1), (0, 1, 2, 3), (3, 2, 1, 0), (1, 0)):
        shown = [CLIP * c + k for c in order for k in range(CLIP)]
        for clip in order:
            got = require_answer(answer(order, clip), "two frames")
            at = shown.index(CLIP * clip)
            given = shown[at - 1] if at else CLIP * clip
            right = (given, CLIP * clip - 1 if clip else None)
            assert tuple(got) == right, (
                f"Clip {clip} of the order {order}: you say {tuple(got)}. It starts "
                f"from frame {right[0]}, and before it truly comes {right[1]}"
            )


FIND_START = Exercise(
    "where a shuffled clip starts",
    "Name the frame that a clip of a shuffled video starts from, and the right one.",
    check_find_start,
    find_start,
    (
        "Clip c has the frames 8 c to 8 c + 7.",
        "In the order (2, 0, 3, 1), clip 3 follows clip 0.",
        "The cascade gives the last frame of the clip that stands before it.",
    ),
)


def restore_order(video: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """The inverse of an order is its argsort."""
    clips = video.unflatten(2, (-1, CLIP)).transpose(1, 2)
    item = torch.arange(len(video))[:, None]
    return clips[item, order.argsort(dim=1)].transpose(1, 2).flatten(2, 3)


def check_restore_order(answer: Callable) -> None:
    """Number the frames of videos, shuffle them by a loop, and ask for them back."""
    true = torch.arange(32.0).view(1, 1, 32, 1, 1).expand(3, 3, 32, 2, 2)
    order = torch.tensor([[2, 0, 3, 1], [1, 2, 3, 0], [0, 1, 2, 3]])
    shuffled = torch.stack(
        [
            torch.cat([item[:, CLIP * c : CLIP * c + CLIP] for c in row], dim=1)
            for item, row in zip(true, order.tolist(), strict=True)
        ]
    )
    got = to_array(answer(shuffled, order), "video")
    assert got.shape == (3, 3, 32, 2, 2), (
        f"The shape is {got.shape}. It should stay (3, 3, 32, 2, 2)"
    )
    for b, row in enumerate(order.tolist()):
        assert (got[b, 0, :, 0, 0] == np.arange(32)).all(), (
            f"Order {row}: every eighth frame is {got[b, 0, ::CLIP, 0, 0]}. "
            "They should be 0, 8, 16, 24"
        )


RESTORE_ORDER = Exercise(
    "back in order",
    "Put the clips of shuffled videos back in their true order.",
    check_restore_order,
    restore_order,
    (
        "Where does clip c stand? At the place k with order[k] = c.",
        "order.argsort(dim=1) says it for each c.",
        "Indexing once more with the order itself is right for some orders only.",
    ),
)

# --- Step 5: critics -------------------------------------------------------------


def find_order_loss(logits: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Look each order up in the list, and take minus the log of its probability."""
    orders = list(itertools.permutations(range(4)))
    numbers = [orders.index(tuple(row)) for row in order.tolist()]
    log_p = logits.log_softmax(dim=1)
    return -log_p[torch.arange(len(log_p)), numbers].mean()


def check_find_order_loss(answer: Callable) -> None:
    """Try a head that knows nothing, one that is sure, and random ones in float64."""
    orders = torch.tensor([[0, 1, 2, 3], [2, 0, 3, 1], [3, 2, 1, 0]])
    got = answer(torch.zeros(3, 24), orders)
    assert_close(got, np.log(24), "Eq. 3 where all orders are equally likely")
    sure = 50 * F.one_hot(torch.tensor([0, 13, 23]), 24).double()
    assert_close(answer(sure, orders), 0.0, "Eq. 3 of a head that is sure and right")
    random = torch.Generator().manual_seed(4)
    logits = torch.randn(3, 24, generator=random, dtype=torch.float64)
    p = np.exp(logits.numpy())
    p /= p.sum(axis=1, keepdims=True)
    right = -np.log([p[0, 0], p[1, 13], p[2, 23]]).mean()
    assert_close(answer(logits, orders), right, "Eq. 3 of random logits")


FIND_ORDER_LOSS = Exercise(
    "the order head's loss",
    "Compute the cross-entropy of the right order.",
    check_find_order_loss,
    find_order_loss,
    (
        "list(itertools.permutations(range(4))) has the orders in their numbering.",
        "logits.log_softmax(dim=1) holds the logarithms of the probabilities.",
        "Take minus that of the right order, and the mean over the videos.",
    ),
)


def vote_on_clips(logits: torch.Tensor) -> torch.Tensor:
    """Count the clips above 0; a tie goes to the sign of the mean."""
    real = (logits > 0).float().mean(dim=1)
    return (real > 0.5) | ((real == 0.5) & (logits.mean(dim=1) > 0))


def check_vote_on_clips(answer: Callable) -> None:
    """Try a majority against the mean, a minority, and both kinds of tie."""
    cases = {
        (1.0, 1.0, 1.0, -9.0): True, (-1.0, -1.0, -1.0, 9.0): False,
        (1.0, 1.0, -0.5, -0.5): True, (0.5, 0.5, -1.0, -1.0): False,
        (2.0, 1.0, 3.0, 1.0): True,
    }  # fmt: skip
    got = to_array(answer(torch.tensor(list(cases))), "decisions")
    assert got.shape == (len(cases),), (
        f"The shape is {got.shape}. It should be ({len(cases)},): one decision a video"
    )
    for value, (logits, right) in zip(got, cases.items(), strict=True):
        assert bool(value) == right, (
            f"Clips with the logits {logits}: you say {'real' if value else 'made'}. "
            f"It should be {'real' if right else 'made'}"
        )


VOTE_ON_CLIPS = Exercise(
    "majority vote",
    "Decide about videos by the majority of their clips.",
    check_vote_on_clips,
    vote_on_clips,
    (
        "(logits > 0).float().mean(dim=1) is the share of clips that vote real.",
        "A share of exactly 0.5 is a tie.",
        "In a tie, look at the sign of logits.mean(dim=1).",
    ),
)

# --- Step 6: baselines -----------------------------------------------------------


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, along: str
) -> torch.Tensor:
    """Bring the axis that looks to the last but one place, and back."""
    b, _, t, h, w = v.shape
    order = (0, 3, 4, 2, 1) if along == "time" else (0, 2, 3, 4, 1)
    count = t if along == "time" else h * w
    q, k, v = (x.permute(order).reshape(-1, count, x.shape[1]) for x in (q, k, v))
    seen = (q @ k.mT).softmax(dim=2) @ v
    if along == "time":
        return seen.reshape(b, h, w, t, -1).permute(0, 4, 3, 1, 2)
    return seen.reshape(b, t, h, w, -1).permute(0, 4, 1, 2, 3)


def check_attend(answer: Callable) -> None:
    """Try a uniform attention, then compare with loops over every place."""
    random = torch.Generator().manual_seed(6)
    v = torch.randn(2, 3, 4, 2, 5, generator=random)
    q, k = (torch.randn(2, 2, 4, 2, 5, generator=random) for _ in range(2))
    zero = torch.zeros_like(q)
    for along, axes in (("time", (2,)), ("space", (3, 4))):
        got = require_answer(answer(zero, zero, v, along), "maps")
        assert got.shape == v.shape, (
            f"along {along}: the shape is {tuple(got.shape)}. It should stay "
            f"{tuple(v.shape)}"
        )
        even = v.mean(dim=axes, keepdim=True).expand_as(v)
        assert_close(got, even, f"along {along}, where all look everywhere alike")
        right = torch.zeros_like(v)
        for b, t, y, x in itertools.product(range(2), range(4), range(2), range(5)):
            if along == "time":
                weight = (q[b, :, t, y, x] @ k[b, :, :, y, x]).softmax(dim=0)
                right[b, :, t, y, x] = v[b, :, :, y, x] @ weight
            else:
                weight = (q[b, :, t, y, x] @ k[b, :, t].flatten(1)).softmax(dim=0)
                right[b, :, t, y, x] = v[b, :, t].flatten(1) @ weight
        assert_close(answer(q, k, v, along), right, f"along {along}")


ATTEND = Exercise(
    "factorised attention",
    "Let each pixel look along time, or each frame look over its own pixels.",
    check_attend,
    attend,
    (
        "Rows along time are (B · H · W, T, channels), along space (B · T, H · W, ·).",
        "seen = (q @ k.mT).softmax(dim=2) @ v has the axes of v's rows.",
        "einops: rearrange(seen, '(b h w) t c -> b c t h w', b=..., h=..., w=...).",
    ),
)


def count_frames(
    steps: int, kernels: list[int], strides: list[int], paddings: list[int]
) -> int:
    """A transposed convolution makes (t - 1) stride + kernel - 2 padding."""
    for kernel, stride, padding in zip(kernels, strides, paddings, strict=True):
        steps = (steps - 1) * stride + kernel - 2 * padding
    return steps


def check_count_frames(answer: Callable) -> None:
    """Run torch's own layers without memory."""
    g3an = ([4, 4, 4], [1, 2, 2], [0, 1, 1])
    imaginator = ([2, 4, 4, 4, 4], [1, 2, 2, 2, 2], [0, 1, 1, 1, 1])
    for steps, (kernels, strides, paddings) in (
        (1, g3an), (5, g3an), (1, imaginator), (3, ([3, 5], [2, 3], [1, 2])),
    ):  # fmt: skip
        x = torch.empty(1, 1, steps, device="meta")
        for geometry in zip(kernels, strides, paddings, strict=True):
            x = torch.nn.ConvTranspose1d(1, 1, *geometry, device="meta")(x)
        got = require_answer(answer(steps, kernels, strides, paddings), "number")
        assert got == x.shape[2], (
            f"{steps} steps, kernels {kernels}, strides {strides}, paddings "
            f"{paddings}: you say {got}. torch makes {x.shape[2]} frames"
        )


COUNT_FRAMES = Exercise(
    "how many frames?",
    "Compute how many frames a row of transposed convolutions makes.",
    check_count_frames,
    count_frames,
    (
        "With stride s the t inputs stand (t - 1) · s + 1 places apart in all.",
        "A kernel of k places makes this longer by k - 1.",
        "Padding p takes p frames away at both ends.",
    ),
)


# --- Step 7 ----------------------------------------------------------------------


def describe_listening(
    own: torch.Tensor, other: torch.Tensor, still: torch.Tensor
) -> str:
    """Compare the means with the still, then count videos."""
    if own.mean() >= still.mean():
        return "worse than a still"
    return "listens" if (own < other).float().mean() > 0.75 else "deaf"


def check_describe_listening(answer: Callable) -> None:
    """Each of the three answers, and a case in which the mean would mislead."""
    still = torch.full((8,), 10.0)
    better, worse = torch.full((8,), 6.0), torch.full((8,), 12.0)
    one_loud = torch.full((8,), 6.0)
    one_loud[3] = 40.0  # a larger mean, but one video only
    for own, other, right in (
        (worse, worse + 5, "worse than a still"),
        (still, still + 5, "worse than a still"),
        (better, better + 1, "listens"),
        (better, better, "deaf"),
        (better, one_loud, "deaf"),
    ):
        got = require_answer(answer(own, other, still), "one of three answers")
        assert got == right, (
            f"own {own.tolist()}, other {other.tolist()}, still {still.tolist()}: you "
            f"say {got!r}. It is {right!r}"
        )


DESCRIBE_LISTENING = Exercise(
    "does it listen?",
    "Say of a network whether it is worse than a still picture, deaf, or listens.",
    check_describe_listening,
    describe_listening,
    (
        "Ask about the still first, by means.",
        "(own < other).float().mean() is the share of videos.",
    ),
)


def measure_pull(
    term: Callable[[torch.Tensor], torch.Tensor], made: torch.Tensor
) -> float:
    """The gradient of a mean has 1 / B of each video's own."""
    made = made.detach().requires_grad_()
    (slope,) = torch.autograd.grad(term(made), made)
    return float(len(made) * slope.flatten(1).norm(dim=1).mean())


def check_measure_pull(answer: Callable) -> None:
    """A linear term, whose gradient is known, for batches of several sizes."""
    for count in (1, 2, 5):
        random = torch.Generator().manual_seed(count)
        made = torch.randn(count, 3, 2, 4, generator=random)
        slope = torch.randn(3, 2, 4, generator=random)

        def term(x: torch.Tensor, slope: torch.Tensor = slope) -> torch.Tensor:
            return (x * slope).flatten(1).sum(dim=1).mean()

        got = require_answer(answer(term, made), "norm")
        assert abs(float(got) - slope.norm().item()) < 1e-4, (
            f"a batch of {count}: you say {float(got):.4f}. Each video's own gradient "
            f"has the norm {slope.norm().item():.4f}"
        )


MEASURE_PULL = Exercise(
    "how hard does a term pull?",
    "Measure the norm of one term's gradient at the videos that were made.",
    check_measure_pull,
    measure_pull,
    (
        "made must be a leaf: made.detach().requires_grad_().",
        "torch.autograd.grad(term(made), made) gives the gradient of the mean.",
        "Multiply by the number of videos, and take the norm of each video apart.",
    ),
)


# --- Step 8: judge ---------------------------------------------------------------


def find_entrance(
    curve: torch.Tensor, outside: float = 0.3, inside: float = 0.6
) -> int:
    """Remember the last frame in which nothing was there."""
    last = None
    for t, value in enumerate(curve.tolist()):
        if value < outside:
            last = t
        elif value >= inside and last is not None:
            return last + 1
    return -1


def check_find_entrance(answer: Callable) -> None:
    """Try curves that enter, that tremble, and that are there already."""
    for values, right, about in (
        ([0, 0, 0.1, 0.5, 0.9, 1], 3, "it rises from frame 3 on"),
        ([0.1, 0.4, 0.2, 0.5, 0.7, 1], 3, "it trembles below 0.6 before it enters"),
        ([1, 1, 1, 1], -1, "it is there from the beginning and stays"),
        ([1, 0.9, 0.1, 0.2, 0.8, 1], 4, "it leaves, and comes back"),
        ([0, 0.1, 0.5, 0.5, 0.4], -1, "it never reaches 0.6"),
        ([0.4, 0.5, 0.7, 0.8], -1, "it was never below 0.3"),
        ([0, 1, 0, 1], 1, "it enters twice: the first time counts"),
    ):
        got = require_answer(answer(torch.tensor(values)), "number")
        assert int(got) == right, (
            f"{values}: you say {int(got)}, and it is {right}: {about}"
        )


FIND_ENTRANCE = Exercise(
    "the finder of entrances",
    "Find the frame in which something enters, from a curve that trembles.",
    check_find_entrance,
    find_entrance,
    (
        "Go through the curve and remember the last frame below `outside`.",
        "At the first frame that reaches `inside`, look whether there was such a one.",
        "The answer is the frame after it.",
    ),
)


def measure_jump(video: torch.Tensor, every: int) -> float:
    """Split the changes by the frame that they lead to."""
    change = (video[1:] - video[:-1]).abs().mean((1, 2))
    at = torch.arange(1, len(video)) % every == 0
    return float(change[at].mean() / change[~at].mean())


def check_measure_jump(answer: Callable) -> None:
    """Compare with a loop, on videos that jump at known frames."""
    random = torch.Generator().manual_seed(2)
    for count, every, jump in ((32, 8, 0.0), (32, 8, 3.0), (24, 6, 1.0)):
        video = torch.rand(count, 5, 5, generator=random)
        video = video + jump * (torch.arange(count) // every)[:, None, None]
        sums = {True: [], False: []}
        for t in range(1, count):
            change = (video[t] - video[t - 1]).abs().mean().item()
            sums[t % every == 0].append(change)
        right = np.mean(sums[True]) / np.mean(sums[False])
        got = float(require_answer(answer(video, every), "number"))
        assert abs(got - right) < 1e-3 * right, (
            f"{count} frames in parts of {every}: you say {got:.3f}, and it is "
            f"{right:.3f}"
        )


MEASURE_JUMP = Exercise(
    "the jump at borders",
    "Compare the change at the borders of clips with the change elsewhere.",
    check_measure_jump,
    measure_jump,
    (
        "video[1:] - video[:-1] are all changes; the first leads to frame 1.",
        "A change is at a border if the number of its frame is a multiple of `every`.",
        "A mask (T - 1,) selects them; ~mask selects the others.",
    ),
)

# --- Step 9: play ----------------------------------------------------------------


def fill_sound(sound: torch.Tensor, frame: int, clip: int, beside: int) -> torch.Tensor:
    """Round the number of frames up to whole clips."""
    count = clip * max(1, -(-len(sound) // (frame * clip)))
    missing = count * frame - len(sound)
    return F.pad(sound, (beside * frame, missing + beside * frame))


def check_fill_sound(answer: Callable) -> None:
    """Sounds that are shorter than a clip, that fit, and that are one sample longer."""
    for length, frame, clip, beside in (
        (0, 4, 2, 1), (3, 4, 2, 1), (16, 4, 2, 3), (17, 4, 2, 3), (50, 5, 8, 2),
    ):  # fmt: skip
        sound = torch.arange(1.0, length + 1)
        got = require_answer(answer(sound, frame, clip, beside), "sound")
        clips = 1
        while clips * clip * frame < length:
            clips += 1
        right = (clips * clip + 2 * beside) * frame
        assert len(got) == right, (
            f"{length} samples, {frame} a frame, {clip} frames a clip: your sound has "
            f"{len(got)} samples. It should have {right}: {clips} clips, and {beside} "
            "frames on both sides"
        )
        wanted = torch.zeros(right)
        wanted[beside * frame : beside * frame + length] = sound
        assert_close(got, wanted, "silence, the sound, silence")


FILL_SOUND = Exercise(
    "whole clips",
    "Fill a sound of any length up to whole clips, with silence beside it.",
    check_fill_sound,
    fill_sound,
    (
        "How many clips? -(-a // b) divides and rounds up.",
        "Even an empty sound gets one clip.",
        "F.pad(sound, (before, behind)) adds zeros.",
    ),
)


def split_causes(moments: torch.Tensor) -> tuple[float, float]:
    """The mean variance of the rows, and of the columns."""
    x = moments.double()
    return float(x.var(1, correction=0).mean()), float(x.var(0, correction=0).mean())


def check_split_causes(answer: Callable) -> None:
    """Tables in which only the sound decides, only the frame, and neither alone."""
    sound = torch.tensor([4.0, 10.0, 25.0]).expand(3, 3)
    random = torch.rand(3, 3, generator=torch.Generator().manual_seed(1)) * 30
    for moments, about in (
        (sound, "only the sound decides"),
        (sound.T, "only the first frame decides"),
        (random, "both do"),
    ):
        got = require_answer(answer(moments), "two numbers")
        table = moments.tolist()
        over_sounds = np.mean([np.var(row) for row in table])
        over_frames = np.mean([np.var(column) for column in zip(*table, strict=True)])
        assert np.allclose([float(x) for x in got], [over_sounds, over_frames]), (
            f"Where {about}: you say {tuple(map(float, got))}. It should be "
            f"{over_sounds:.2f} over sounds and {over_frames:.2f} over first frames"
        )


SPLIT_CAUSES = Exercise(
    "who decides?",
    "Say how much entrances vary over sounds, and over first frames.",
    check_split_causes,
    split_causes,
    (
        "moments[i] holds the entrances of first frame i with all sounds.",
        "The variance of a row is over sounds.",
        "tensor.var(dim, correction=0) divides by K.",
    ),
)
