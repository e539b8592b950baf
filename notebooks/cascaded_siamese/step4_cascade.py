# %% [markdown]
# # Step 4 · The cascade: four streams, shuffled clips, and where each begins
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/cascaded_siamese/step4_cascade.ipynb)
#
# A video has 32 frames, a stream makes eight. So four streams stand in a row. They
# share their weights ("siamese"), and each begins with the last frame of the one
# before ("cascaded"). In training the four clips are **shuffled**, sound and picture
# alike. Here the paper leaves a question open that decides what its network can
# learn: *which image does a shuffled clip start from?*
#
# **You will learn**
#
# 1. how orders are numbered, and how clips and segments are shuffled together,
# 2. how the cascade runs, one stream after the other or all four as one batch,
# 3. three switches that the paper does not set: identity frame, teacher, gradient,
# 4. why L1 asks for a jump at the start of shuffled clips, and how large it is,
# 5. how to make videos longer than any in training.
#
# **Time.** About 20 minutes to read. The cells run in about two minutes.
#
# **Before you start.** Read step 3.
#
# **Letters.** B videos · S clips or streams (4) · T frames of a clip (8) · π an order:
# the stream k makes clip π[k].

# %% tags=["active-ipynb"]
# import importlib.util
# import subprocess
# import sys
#
# if "google.colab" in sys.modules and not importlib.util.find_spec("avnb"):
#     # Colab lacks the course. Its own torch is kept, so that no restart is needed.
#     print("Installing avnb takes about two minutes ...")
#     source = "avnb @ git+https://github.com/avnb/avnb"
#     subprocess.run([sys.executable, "-m", "pip", "install", "-q", source], check=True)
#     importlib.invalidate_caches()

# %%
import itertools
import math

import torch
from avnb_notebooks.cascaded_siamese.step2_sound import CLIP
from avnb_notebooks.cascaded_siamese.step3_stream import Stream
from jaxtyping import Float, Int64
from torch import Tensor, nn

from avnb.errors import AvnbError

# %% tags=["active-ipynb"]
# from avnb_notebooks.cascaded_siamese.step1_data import FPS
# from avnb_notebooks.cascaded_siamese.step2_sound import SegmentCutter, film_speaker
# from torch.nn import functional as F
#
# from avnb import course
# from avnb.course.speed import measure_work
# from avnb.viz import show
#
# films = [film_speaker(player) for player in (3, 8)]
# video, sound = (torch.stack(parts) for parts in zip(*films, strict=True))
# segments = SegmentCutter()(sound)

# %%
CLIPS = 4  # of a video, in training
ORDER = (2, 0, 3, 1)  # the example of this notebook
STARTS = {  # which image a stream begins with, in words
    "free": "the last frame that the stream before has made",
    "teacher": "the real last frame of the clip that the stream before makes",
    "before": "the real frame just before its own clip",
    "identity": "the identity frame",
}


# %% [markdown]
# ## The cascade, Fig. 1

# %% tags=["active-ipynb", "figure1"]
# boxes = {"i": (0.05, 0.5, "identity\nframe")}
# arrows = []
# for k, c in enumerate(ORDER):
#     x = 0.22 + 0.22 * k
#     boxes[f"a{k}"] = (x, 0.88, f"sound of\nclip {c}")
#     boxes[f"G{k}"] = (x, 0.5, f"stream {k + 1}")
#     boxes[f"v{k}"] = (x, 0.12, f"clip {c}")
#     arrows += [(f"a{k}", f"G{k}", ""), (f"G{k}", f"v{k}", "")]
#     before = "i" if k == 0 else f"v{k - 1}"
#     arrows.append((before, f"G{k}", "" if k == 0 else "last\nframe"))
# given = {name: "#eeeeee" for name in boxes if name[0] in "ia"}
# show.diagram(boxes, arrows, fills=given, width=9.0, height=3.4)

# %% [markdown]
# The four boxes "stream" are one network that runs four times. The class enters each.
#
# ## Orders
#
# Four clips have 4! = 24 orders. Step 5's order head says which one it sees, so each
# has a number: its place in the list in lexicographic order. "4! shuffled orders were
# provided" for each video (Sec. 4.1). All 24 in each step would cost 24 times as
# much, so we draw one at random.


# %%
def list_orders(clips: int = CLIPS) -> Int64[Tensor, "orders clips"]:
    """All orders of the clips, from 0, 1, 2, … on."""
    return torch.tensor(list(itertools.permutations(range(clips))))


# %%
def number_order(order: Int64[Tensor, "b clips"]) -> Int64[Tensor, " b"]:
    """The place of each order in `list_orders`.

    The first clip stands for (S - 1)! orders, and so on: its digit is how many of the
    clips that are still left are smaller than it.
    """
    count = order.shape[1]
    number = torch.zeros_like(order[:, 0])
    for k in range(count):
        smaller = (order[:, k + 1 :] < order[:, k : k + 1]).sum(dim=1)
        number = number + smaller * math.factorial(count - 1 - k)
    return number


# %%
def draw_orders(
    count: int, clips: int = CLIPS, generator: torch.Generator | None = None
) -> Int64[Tensor, "b clips"]:
    """One random order a video, all equally likely (also the true one)."""
    orders = list_orders(clips)
    device = None if generator is None else generator.device
    drawn = torch.randint(len(orders), (count,), generator=generator, device=device)
    return orders[drawn.cpu()]


# %%
def split_clips(video: Float[Tensor, "b 3 t n n"]) -> Float[Tensor, "b s 3 clip n n"]:
    """The clips of eight frames, in their order.

    Raises:
        AvnbError: the frames are no whole clips.
    """
    if video.shape[2] % CLIP:
        raise AvnbError(
            "a video", f"{video.shape[2]} frames", f"Give a multiple of {CLIP}"
        )
    return video.unflatten(2, (-1, CLIP)).transpose(1, 2)


# %%
def shuffle_clips(
    video: Float[Tensor, "b 3 t n n"], order: Int64[Tensor, "b s"]
) -> Float[Tensor, "b 3 t n n"]:
    """Clip order[b, k] comes at place k."""
    clips = split_clips(video)
    item = torch.arange(len(clips), device=clips.device)[:, None]
    moved = clips[item, order.to(clips.device)]
    return moved.transpose(1, 2).flatten(2, 3)


# %%
def shuffle_segments(
    segments: Float[Tensor, "b t m a"], order: Int64[Tensor, "b s"]
) -> Float[Tensor, "b t m a"]:
    """The same for the sound, so that each clip keeps its own."""
    clips = segments.unflatten(1, (-1, CLIP))
    item = torch.arange(len(clips), device=clips.device)[:, None]
    return clips[item, order.to(clips.device)].flatten(1, 2)


# %% tags=["active-ipynb", "orders"]
# assert torch.equal(number_order(list_orders()), torch.arange(24))
# order = torch.tensor([ORDER, (0, 1, 2, 3)])
# real, heard = shuffle_clips(video, order), shuffle_segments(segments, order)
# assert torch.equal(real[0, :, :8], video[0, :, 16:24])
# print(f"{ORDER} is order {number_order(order)[0].item()} of 0 … 23")
# shown = (real[0, :, ::4].permute(1, 2, 3, 0) + 1) / 2  # every fourth frame
# names = [f"clip {c}, frame {CLIP * c + t}" for c in ORDER for t in (0, 4)]
# show.image_grid([shown], columns=names)

# %% [markdown]
# ## Which image does a shuffled clip start from?
#
# Take π = (2, 0, 3, 1). Stream 3 makes clip 3, and the stream before it makes clip 0.
# The cascade gives it the **last frame of clip 0**. The frame that truly comes before
# clip 3 is the last frame of **clip 2**. So the network must begin clip 3 from an image
# that is 16 frames older. Three things are open:
#
# 1. **Identity frame.** Stream 1 makes clip 2. Does it get the first frame of clip 2
#    (we say `"shuffled"`), or the first frame of the video (`"video"`)? "The initial
#    frame is encoded" (Sec. 3.1) says neither. Default: `"shuffled"`.
# 2. **Free or teacher.** Does a stream get the frame that the one before has *made*
#    (`"free"`), or the *real* one (`"teacher"`)? The text says "the last frame of the
#    generated clip", so the default is `"free"`. For comparison there are `"before"`,
#    the frame that would be right, and `"identity"`: no cascade at all (Table 3, row
#    3).
# 3. **Detached or not.** Does the loss of a clip also train the clip before it,
#    through that frame? Default: detached.


# %%
def find_starts(
    order: tuple[int, ...], identity: str = "shuffled", link: str = "free"
) -> list[int]:
    """The frame of the true video that each stream begins with, or should resemble."""
    if link == "before":  # nothing comes before clip 0: its own first frame
        return [max(0, CLIP * c - 1) for c in order]
    first = CLIP * order[0] if identity == "shuffled" else 0
    starts = [first]
    for previous in order[:-1]:
        starts.append(first if link == "identity" else CLIP * (previous + 1) - 1)
    return starts


# %% [markdown]
# ## L1 asks for a jump
#
# What does this mean for the loss? L1 compares a generated clip with the real one. If a
# stream starts from an image that is far from its clip, the best it can do is to jump
# in its first frame. We measure this jump on real videos: the difference between the
# image that is given and the real first frame of the clip, as a mean over all 24
# orders.


# %%
def measure_jumps(
    video: Float[Tensor, "b 3 t n n"], identity: str, link: str
) -> Float[Tensor, " streams"]:
    """Mean |start − first frame of the clip| of each stream, over all orders."""
    jumps = []
    for order in list_orders(video.shape[2] // CLIP).tolist():
        starts = find_starts(tuple(order), identity, link)
        firsts = [CLIP * c for c in order]
        difference = (video[:, :, starts] - video[:, :, firsts]).abs()
        jumps.append(difference.mean(dim=(0, 1, 3, 4)))
    return torch.stack(jumps).mean(dim=0)


# %% [markdown]
# The table has all three switches, with our defaults first. For each stream it says
# which frame of the true video it starts from for π = (2, 0, 3, 1), and in brackets how
# many frames that is away from the beginning of its clip: −1 would be right. The last
# columns have the jump over all orders, of the first stream and of the others. Its unit
# is one step: the mean difference of two neighbouring frames.

# %% tags=["active-ipynb", "switches"]
# def describe_starts(order, identity, link):
#     """The start of each stream, as a frame and as a distance."""
#     starts = find_starts(order, identity, link)
#     return {
#         f"clip {c}": f"{start} ({start - CLIP * c:+d})"
#         for c, start in zip(order, starts, strict=True)
#     }
#
#
# step = (video[:, :, 1:] - video[:, :, :-1]).abs().mean().item()
# rows = []
# for identity in ("shuffled", "video"):
#     for link in STARTS:
#         jumps = (measure_jumps(video, identity, link) / step).tolist()
#         # Only a frame that a stream has made carries a gradient.
#         for detached in ("yes", "no") if link == "free" else ("–",):
#             row = {"identity": identity, "link": link, "detached": detached}
#             row |= describe_starts(ORDER, identity, link)
#             rows.append(row | {"first jump": jumps[0], "other jumps": jumps[-1]})
# show.table(rows, "where the streams start, and the jump that L1 asks for [steps]")

# %% tags=["active-ipynb", "switches-ordered"]
# rows = [{"link": k} | describe_starts((0, 1, 2, 3), "shuffled", k) for k in STARTS]
# show.table(rows, "the same without shuffling, as at test time")

# %% [markdown]
# At test time `free`, `teacher` and `before` agree: each stream starts one frame before
# its clip. In training they do not. There the cascade gives images from 17 frames
# before to 31 frames after the clip's beginning. **Training and test differ, and the
# paper does not discuss it.**
#
# The jumps say what follows. With `before` each stream has to make about one step, as
# at test time. With `free` and `teacher` it has to jump several times as far. So
# coherent motion *within* clips can survive this training; motion *across* their
# borders is what L1 trains against. The claims `borders` and `cascade_needed` of this
# series ask what remains of it. The next cell shows one case.

# %% tags=["active-ipynb", "one-jump"]
# place = ORDER.index(3)
# given, right = find_starts(ORDER)[place], find_starts(ORDER, link="before")[place]
# shown = [given, right, 24, 25, 26]
# names = [f"given: {given}", f"right: {right}", "clip 3: 24", "25", "26"]
# pictures = [(video[1, :, t].permute(1, 2, 0) + 1) / 2 for t in shown]
# show.image_grid([pictures], columns=names, size=1.2)

# %% [markdown]
# ## The cascade as code
#
# `segments (B, S T, M, A), first (B, 3, N, N) → video (B, 3, S T, N, N)`
#
# Two of its links need nothing that a stream makes: `teacher` and `before` (and
# `identity`). Then all streams are known at the beginning and run **as one batch** of
# B · S items. `free` needs a loop over pictures. The sounds of all clips are known, so
# that even there one GRU hears them as one batch.


# %%
def pick_starts(
    video: Float[Tensor, "b 3 t n n"],
    order: Int64[Tensor, "b s"],
    identity: str = "shuffled",
    link: str = "free",
) -> Float[Tensor, "b s 3 n n"]:
    """The real images that the streams begin with; `video` is in its true order."""
    starts = torch.tensor(
        [find_starts(tuple(row), identity, link) for row in order.tolist()]
    )
    item = torch.arange(len(video), device=video.device)[:, None]
    return video.transpose(1, 2)[item, starts.to(video.device)]


# %%
class ParallelStreams(nn.Module):
    """Streams that make their clips all at once."""

    def __init__(self, streams: list[Stream], detached: bool, carried: bool) -> None:
        super().__init__()
        self.streams, self.detached = nn.ModuleList(streams), detached
        self.carried = carried

    def make_at_once(self, starts: Tensor, sounds: Tensor, label: Tensor) -> Tensor:
        """All streams as one batch of B · S items; they share their weights."""
        labels = label.repeat_interleave(starts.shape[1], dim=0)
        made, _ = self.streams[0](starts.flatten(0, 1), sounds.flatten(0, 1), labels)
        return made.unflatten(0, starts.shape[:2]).transpose(1, 2).flatten(2, 3)

    def listen_at_once(self, sounds: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What one encoder hears in each clip, if no clip needs the one before."""
        if self.carried or len(self.streams) > 1:
            return []
        last, states = self.streams[0].listen(sounds.flatten(0, 1))
        sizes = sounds.shape[:2]
        both = (x.unflatten(0, sizes).unbind(1) for x in (last, states))
        return list(zip(*both, strict=True))


# %%
class SiameseStreams(ParallelStreams):
    """Streams that make their clips all at once, or one after the other."""

    def make_in_turn(self, image, sounds, label, starts=None) -> Tensor:
        """Each from the last frame of the one before, or from its own of `starts`."""
        clips, state = [], None
        heard = self.listen_at_once(sounds)
        for k, sound in enumerate(sounds.unbind(1)):
            image = image if starts is None else starts[:, k]
            stream = self.streams[k % len(self.streams)]
            last, states = heard[k] if heard else stream.listen(sound, state)
            state = last if self.carried else None
            clips.append(stream.paint(image, last, states, label))
            image = (clips[-1].detach() if self.detached else clips[-1])[:, :, -1]
        return torch.cat(clips, dim=2)


# %% [markdown]
# `Cascade` decides which of the two it is. Without the real `starts`, as at test time,
# it is free in any case.


# %%
class Cascade(SiameseStreams):
    """Siamese streams in a row (Fig. 1); `link` is a key of `STARTS`.

    `detached`: no gradient flows into the clip before. `carried`: the sound's GRU keeps
    its state. `others`: streams with weights of their own for the clips that follow.
    """

    def __init__(
        self, stream, link="free", detached=True, carried=False, others=()
    ) -> None:
        if link not in STARTS:
            raise AvnbError("link", f"{link!r}", f"Give one of {', '.join(STARTS)}")
        super().__init__([stream, *others], detached, carried)
        self.link = link

    def forward(self, first, segments, label, starts=None) -> Tensor:
        """One clip for each eight segments; `starts` are those of `pick_starts`."""
        sounds = segments.unflatten(1, (-1, CLIP))
        if self.link == "identity":
            starts = first[:, None].expand(-1, sounds.shape[1], -1, -1, -1)
        if self.link == "free" or starts is None:
            return self.make_in_turn(first, sounds, label)
        if len(self.streams) > 1 or self.carried:
            return self.make_in_turn(first, sounds, label, starts)
        return self.make_at_once(starts, sounds, label)


# %% [markdown]
# A check: with `teacher` the batch and the loop give the same numbers. (In training
# mode they would not: a batch norm sees the four clips together in the batch, and one
# by one in the loop. So we compare in evaluation mode.)

# %% tags=["active-ipynb", "batch"]
# torch.manual_seed(0)
# label = F.one_hot(torch.tensor([0, 1]), 26).float()
# cascade = Cascade(Stream(26, width=4, size=32, hidden=16), link="teacher").eval()
# starts = pick_starts(video, order, link="teacher")
# clips = heard.unflatten(1, (CLIPS, CLIP))
# ways = {
#     "as one batch": lambda: cascade(starts[:, 0], heard, label, starts),
#     "in turn": lambda: cascade.make_in_turn(starts[:, 0], clips, label, starts),
# }
# rows = []
# with torch.no_grad():
#     at_once, in_turn = (way() for way in ways.values())
#     assert torch.allclose(at_once, in_turn, atol=1e-5)
#     for name, way in ways.items():
#         gflop, seconds = measure_work(way, video.device)
#         rows.append({"streams": name, "GFLOP": gflop, "ms": 1000 * seconds})
# show.table(rows, "two videos")

# %% [markdown]
# The work is the same to the last product. But the loop makes four times as many calls
# with a quarter of the work in each, and every call has a cost of its own. So at this
# small size the batch is faster, above all on a GPU, which waits for the next call most
# of the time.
#
# The third switch decides how far the loss of a clip reaches. We ask how strongly the
# last frame of the video depends on its first frame, as the gradients see it. If the
# links are detached, no gradient passes a border between clips, so it is 0.

# %% tags=["active-ipynb", "gradients"]
# rows = []
# for detached in (True, False):
#     net = Cascade(cascade.streams[0], "free", detached).eval()
#     first = video[:, :, 0].clone().requires_grad_()
#     made = net(first, segments, label)
#     (flow,) = torch.autograd.grad(made[:, :, -1].sum(), first, allow_unused=True)
#     size = 0.0 if flow is None else flow.abs().sum().item()
#     row = {"detached": "yes" if detached else "no"}
#     rows.append(row | {"gradient of the last frame at the first": size})
# show.table(rows, "sum of the gradient's absolute values")

# %% [markdown]
# ## Longer than in training
#
# The order in training is random; at test it is the true one, and any number of
# streams may follow. (All videos that the authors published have 41 to 88 frames, not
# 32. How they were made is not said.) Each stream sees only the last frame of the one
# before, so errors add up. Step 8 measures this drift.

# %% tags=["active-ipynb", "longer"]
# rows = []
# for count in (1, 4, 7):
#     sounds = segments.repeat(1, 2, 1, 1)[:, : CLIP * count]
#     with torch.no_grad():
#         frames = net(video[:, :, 0], sounds, label).shape[2]
#     rows.append({"streams": count, "frames": frames, "seconds": frames / FPS})
# show.table(rows)

# %% [markdown]
# ## What came out
#
# - Shuffling moves clips and their sound together; each order has a number.
# - Under shuffling the cascade starts a clip from an image up to 31 frames away.
# - L1 then asks for a jump that is several times the usual step between two frames.
#   With the true frame before each clip it asks for one step.
# - With real starts four streams run as one batch; free ones run in turn.
#
# ## Exercises
#
# 1. Which frame does clip 3 of the shuffled order (2, 0, 3, 1) start from, and which
#    would be right?
# 2. Put a shuffled video back in order.

# %% tags=["active-ipynb"]
# from avnb_notebooks.cascaded_siamese import exercises
#
#
# def find_start(order, clip):
#     """Two frames of the true video: where `clip` starts from, and the right one.
#
#     In the cascade with this order it starts from one, and truly before it comes the
#     other. The first stream starts from the first frame of its own clip. Nothing comes
#     before frame 0: there the second is None.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.FIND_START, find_start)

# %% tags=["active-ipynb"]
# def restore_order(video, order):
#     """The video (B, 3, S · 8, N, N) in its true order.
#
#     Clip order[b, k] stands at place k.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.RESTORE_ORDER, restore_order)
