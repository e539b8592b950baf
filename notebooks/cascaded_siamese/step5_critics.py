# %% [markdown]
# # Step 5 · Critics: one for frames, one for clips, and one that knows the order
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/cascaded_siamese/step5_critics.ipynb)
#
# The cascade of step 4 is judged by three networks. The image critic sees one frame.
# The clip critic sees eight frames, and there is one decision for each of the four
# clips. The order head sees all four clips, and says which of the 24 orders they are
# in. This notebook builds them, writes down Eq. 1 to 4, and makes one training step
# of each.
#
# **You will learn**
#
# 1. why ImaGINator's video critic cannot judge eight frames, and what can,
# 2. what spectral norm does,
# 3. why a majority vote cannot be trained, and what stands in for it,
# 4. how an order becomes a label of 24 classes,
# 5. how the losses add up to one training step.
#
# **Time.** About 25 minutes to read. The cells run in about two minutes.
#
# **Before you start.** Read step 4.
#
# **Letters.** B videos · S clips of a video (4) · T frames of a clip (8) · N side of a
# frame · C classes · w width (64 in the paper) · j orders (24).

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
from dataclasses import dataclass

import torch
from avnb_notebooks.cascaded_siamese.step2_sound import CLIP
from avnb_notebooks.cascaded_siamese.step4_cascade import (
    CLIPS,
    number_order,
    pick_starts,
    shuffle_clips,
    shuffle_segments,
)
from avnb_notebooks.joint_gan.step3_picture import count_doublings, pick_frames
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim import Optimizer

from avnb import losses
from avnb.errors import AvnbError
from avnb.layers import Conv3d

# %% tags=["active-ipynb"]
# from avnb_notebooks.cascaded_siamese.step2_sound import SegmentCutter, film_speaker
# from avnb_notebooks.cascaded_siamese.step3_stream import Stream
# from avnb_notebooks.cascaded_siamese.step4_cascade import (
#     Cascade,
#     list_orders,
# )
#
# from avnb import course
# from avnb.viz import show

# %%
SLOPE = 0.2  # of every LeakyReLU


# %% [markdown]
# ## Spectral norm
#
# A critic whose answer changes steeply gives the generator wild gradients. **Spectral
# norm** divides the weights of each layer, read as a matrix, by their largest
# singular value. Then no layer can stretch any input by more than about one. torch
# estimates that value by one step of a power iteration in each forward pass:

# %% tags=["active-ipynb", "spectral"]
# torch.manual_seed(0)
# layer = spectral_norm(nn.Linear(20, 30))
# raw = layer.parametrizations.weight.original  # what the optimiser changes
# largest = {"raw weights": [], "normalised": []}
# for _ in range(30):
#     with torch.no_grad():
#         raw += 0.05 * torch.randn_like(raw)  # as if by training
#     layer(torch.zeros(1, 20))  # one step of the power iteration
#     for name, W in (("raw weights", raw), ("normalised", layer.weight)):
#         largest[name].append(torch.linalg.svdvals(W.detach())[0].item())
# show.curves(largest, y="largest singular value", lines={"1": 1.0})

# %% [markdown]
# The raw weights grow and the normalised ones stay near 1. Where another direction
# becomes the largest, the estimate needs some steps to find it.
#
# ## The image critic
#
# As ImaGINator's: convolutions of 4×4 with stride 2 down to 4×4, then one that gives a
# single logit.
#
# `frame (B, 3, N, N) → logit (B,)`


# %%
class ImageCritic(nn.Module):
    """D_I: frames → logits (B,) (Sec. 3.2). `width` is w, `size` is N."""

    def __init__(self, width: int = 64, size: int = 64) -> None:
        super().__init__()
        widths = [3] + [width * 2**i for i in range(count_doublings(size))]
        self.convs = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, 2, 1))
            for a, b in itertools.pairwise(widths)
        )
        self.decision = spectral_norm(nn.Conv2d(widths[-1], 1, 4))

    def forward(self, frame: Float[Tensor, "b 3 n n"]) -> Float[Tensor, " b"]:
        """One logit a frame."""
        x = frame
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
        return self.decision(x).flatten()


# %% [markdown]
# ## The clip critic
#
# ImaGINator's video critic has kernels of 4 frames and halves time in all four
# layers: 32 → 16 → 8 → 4 → 2. Eight frames are gone after three of them, and the
# fourth fails. So ours halves time as long as there is more than one frame, and then
# its kernels see one frame. For 32 frames it is ImaGINator's, to the last weight. The
# class joins behind the first layer.
#
# | layer | time at 8 frames | at 32 | kernel at 8 frames |
# |---|---|---|---|
# | 1 | 8 → 4 | 32 → 16 | 4×4×4, stride 2 |
# | 2 | 4 → 2 | 16 → 8 | 4×4×4, stride 2 |
# | 3 | 2 → 1 | 8 → 4 | 4×4×4, stride 2 |
# | 4 | 1 | 4 → 2 | 1×4×4, stride (1, 2, 2) |
# | decision | 1 | 2 → 1 | 1×4×4 |
#
# `clip (B, 3, T, N, N), class (B, C) → maps (B, 8 w, t, 4, 4) → logit (B,)`


# %%
class ClipTrunkLayers(nn.Module):
    """The convolutions of D_V; `left` is how many frames the last maps have.

    `frames` of a clip: 8 for the cascade, 32 for one stream. `classes` may be 0.
    """

    def __init__(
        self, width: int = 64, classes: int = 0, frames: int = CLIP, size: int = 64
    ) -> None:
        super().__init__()
        widths = [3] + [width * 2**i for i in range(count_doublings(size))]
        self.frames, self.classes, self.left = frames, classes, frames
        self.convs = nn.ModuleList()
        for k, (a, b) in enumerate(itertools.pairwise(widths)):
            halve = self.left > 1
            kernel, stride, padding = (4, 2, 1) if halve else (1, 1, 0)
            self.left //= 2 if halve else 1
            geometry = (kernel, 4, 4), (stride, 2, 2), (padding, 1, 1)
            joined = classes if k == 1 else 0
            self.convs.append(spectral_norm(Conv3d(a + joined, b, *geometry)))
        self.channels = widths[-1]


# %%
class ClipTrunk(ClipTrunkLayers):
    """Clips → the last maps of D_V."""

    def forward(
        self, clip: Float[Tensor, "b 3 t n n"], label: Float[Tensor, "b c"]
    ) -> Float[Tensor, "b channels left 4 4"]:
        """The last maps."""
        if clip.shape[2] != self.frames:
            raise AvnbError(
                "D_V", f"a clip of {clip.shape[2]} frames", f"Give {self.frames} frames"
            )
        x = F.leaky_relu(self.convs[0](clip), SLOPE)
        if self.classes:
            named = label[:, :, None, None, None].expand(-1, -1, *x.shape[2:])
            x = torch.cat([x, named], dim=1)
        for conv in self.convs[1:]:
            x = F.leaky_relu(conv(x), SLOPE)
        return x


# %%
class ClipCritic(nn.Module):
    """D_V: the trunk and its decision; one network for all clips ("shared")."""

    def __init__(self, *trunk_arguments, **trunk_options) -> None:
        super().__init__()
        self.trunk = ClipTrunk(*trunk_arguments, **trunk_options)
        kernel = (self.trunk.left, 4, 4)
        self.decision = spectral_norm(Conv3d(self.trunk.channels, 1, kernel))

    def decide(self, maps: Tensor) -> Float[Tensor, " b"]:
        """A logit of the trunk's maps."""
        return self.decision(maps).flatten()

    def forward(self, clip: Tensor, label: Tensor) -> Float[Tensor, " b"]:
        """One logit a clip."""
        return self.decide(self.trunk(clip, label))


# %% tags=["active-ipynb", "too-short"]
# video = torch.zeros(1, 3, 8, 64, 64)
# label = F.one_hot(torch.tensor([4]), 26).float()
# assert ClipCritic(2, 26)(video, label).shape == (1,)
# theirs = [nn.Conv3d(a, b, 4, 2, 1) for a, b in ((3, 2), (2, 4), (4, 8), (8, 16))]
# x = video
# try:
#     for layer in theirs:
#         x = layer(x)
#         print(f"frames left: {x.shape[2]}")
# except RuntimeError as error:
#     print(type(error).__name__, str(error)[:150])

# %% [markdown]
# ## Four clips, one decision
#
# "The final decision for the video level is made using a majority voting ensemble of
# clip discriminators" (Sec. 3.2). A vote counts who is above 0. It has no gradient: a
# small change of a logit changes no vote. So training takes the **mean of the losses**
# of the four clips, and reports take the vote. (With four voters there are ties. The
# paper does not say what then; we call a tie real only if the mean logit does.) How
# often do vote and mean agree? That depends on how far the four clips of a video agree:


# %%
def vote(logits: Float[Tensor, "b s"]) -> Bool[Tensor, " b"]:
    """Whether most of a video's clips are called real; the mean decides a tie."""
    votes = (logits > 0).sum(dim=1) * 2 - logits.shape[1]
    return torch.where(votes == 0, logits.mean(dim=1) > 0, votes > 0)


# %% tags=["active-ipynb", "vote"]
# random = torch.Generator().manual_seed(0)
# agreement = {}
# for shared in (0.0, 0.5, 0.9):
#     own = torch.randn(20_000, CLIPS, generator=random)
#     same = torch.randn(20_000, 1, generator=random)
#     logits = math.sqrt(1 - shared) * own + math.sqrt(shared) * same
#     agreement[f"correlation {shared:g}"] = (
#         (vote(logits) == (logits.mean(dim=1) > 0)).float().mean().item()
#     )
# show.bars(agreement, y="vote and mean agree", percent=True, lines={"chance": 0.5})

# %% [markdown]
# Even for clips that know nothing of each other, the two agree far above chance. The
# more the clips of a video agree, the less it matters which of the two is taken.
#
# ## The order head, Fig. 2
#
# It "shares weights with the clip discriminators" (Sec. 3.3): the trunk's maps of each
# clip are averaged over place, the four results are put side by side, and two fully
# connected layers give 24 logits. `head="own"` gives it a trunk of its own, an ablation
# that the paper does not have.
#
# The drawing has one order, (2, 0, 3, 1), which is number 13. The four boxes "trunk"
# are one network, that of the clip critic.

# %% tags=["active-ipynb", "figure2"]
# boxes, arrows = {}, []
# for k, c in enumerate((2, 0, 3, 1)):
#     y = 0.86 - 0.24 * k
#     boxes[f"v{k}"] = (0.06, y, f"clip {c}")
#     boxes[f"t{k}"] = (0.25, y, "trunk")
#     boxes[f"m{k}"] = (0.44, y, "mean over\nplaces")
#     arrows += [(f"v{k}", f"t{k}", ""), (f"t{k}", f"m{k}", ""), (f"m{k}", "all", "")]
# boxes["all"] = (0.63, 0.5, "side\nby side")
# boxes["fc"] = (0.79, 0.5, "two\nlayers")
# boxes["p"] = (0.95, 0.5, "24\nlogits")
# arrows += [("all", "fc", ""), ("fc", "p", "")]
# given = {f"v{k}": "#eeeeee" for k in range(4)}
# show.diagram(boxes, arrows, fills=given, width=9.0, height=3.6)

# %% [markdown]
# A critic of 32 frames sees the four clips at once. Its last maps still have two
# moments (four at 32 pixels), which stand in for the clips: Table 3's rows 2 and 3.
#
# `maps of S clips (B, S, 8 w, t, 4, 4) → logits (B, 24)`


# %%
class OrderHead(nn.Module):
    """Which order are the clips in? (Fig. 2); 512 hidden numbers are ours."""

    def __init__(self, channels: int, moments: int = CLIPS, hidden: int = 512) -> None:
        super().__init__()
        self.hidden = nn.Linear(moments * channels, hidden)
        self.decision = nn.Linear(hidden, math.factorial(CLIPS))

    def forward(self, maps: Float[Tensor, "b s channels t h w"]) -> Tensor:
        """24 logits of the maps of all clips; S · t moments."""
        pooled = maps.mean(dim=(4, 5)).flatten(1)
        return self.decision(F.leaky_relu(self.hidden(pooled), SLOPE))


# %%
@dataclass
class Verdict:
    """What the video critics say: logits of clips (B, S), and of orders (B, 24)."""

    clips: Float[Tensor, "b s"]
    orders: Float[Tensor, "b j"] | None


# %%
class VideoCriticLayers(nn.Module):
    """The networks of the video critic.

    `head` is "shared", "own" (a trunk of its own) or "none". `frames` of a clip: with
    32 there is one clip a video, and the order is read within it.
    """

    def __init__(
        self, width: int = 64, classes: int = 0, size: int = 64,
        frames: int = CLIP, head: str = "shared",
    ) -> None:  # fmt: skip
        super().__init__()
        if head not in ("shared", "own", "none"):
            raise AvnbError("head", f"{head!r}", "Give shared, own or none")
        options = {"classes": classes, "frames": frames, "size": size}
        self.clip = ClipCritic(width, **options)
        trunk = self.clip.trunk
        moments = trunk.left * CLIPS * CLIP // frames  # that the last maps have
        self.order = None if head == "none" else OrderHead(trunk.channels, moments)
        self.own = ClipTrunk(width, **options) if head == "own" else None
        self.frames = frames


# %%
class VideoCritic(VideoCriticLayers):
    """The clip critic for each clip, and the order head on its trunk."""

    def forward(self, video: Float[Tensor, "b 3 t n n"], label: Tensor) -> Verdict:
        """All clips of all videos as one batch."""
        clips = video.unflatten(2, (-1, self.frames)).transpose(1, 2)
        size = clips.shape[:2]
        flat = clips.flatten(0, 1)
        labels = label[:, None].expand(-1, size[1], -1).flatten(0, 1)
        maps = self.clip.trunk(flat, labels)
        seen = maps if self.own is None else self.own(flat, labels)
        orders = None if self.order is None else self.order(seen.unflatten(0, size))
        return Verdict(self.clip.decide(maps).unflatten(0, size), orders)


# %% tags=["active-ipynb", "sizes"]
# with torch.device("meta"):
#     nets = {
#         "image critic": ImageCritic(),
#         "clip critic, 8 frames": ClipCritic(64, 26),
#         "video critic, 32 frames (ImaGINator's)": ClipCritic(64, 26, frames=32),
#         "order head": OrderHead(512),
#     }
# counts = {k: sum(p.numel() for p in net.parameters()) for k, net in nets.items()}
# show.table([{"network": k, "weights": n} for k, n in counts.items()], "26 classes")

# %% [markdown]
# ## Four losses
#
# $$\mathcal L_I = \mathbb E[\log D_I(i)] + \mathbb E[\log(1 - D_I(x))] \tag{1}$$
# $$\mathcal L_V = \mathbb E[\log D_V(v)]
#   + \mathbb E[\log(1 - D_V(G(i, c, a)))] \tag{2}$$
# $$\mathcal L_T = -\sum_{n=1}^{j} y_n \log p_n \tag{3}$$
# $$\mathcal L_{rec} = \mathbb E\,\lVert v - G(i, c, a)\rVert_1 \tag{4}$$
#
# In print the last bracket of (1) and (2) is missing, and (3) sums over n what it
# writes with i. The critics raise (1) and (2). The generator lowers them, and we take
# the non-saturating form for it, as ImaGINator does. v is a clip in Sec. 3.2 and "the
# video" in Sec. 3.4; here it is a clip. (1) sees one frame of each video, drawn at
# random, one for the real and another for the generated. (4) is a *mean* over all
# pixels: a sum would be 393,216 times as large. **The weights of the sum are not
# printed.** ImaGINator has 100 for (4) and 1 for the others.


# %%
def order_loss(
    logits: Float[Tensor, "b j"], order: Int64[Tensor, "b s"]
) -> Float[Tensor, ""]:
    """Eq. 3: the cross-entropy of the right order."""
    return F.cross_entropy(logits, number_order(order).to(logits.device))


# %%
def reconstruction_loss(
    real: Float[Tensor, "b 3 t n n"],
    made: Float[Tensor, "b 3 t n n"],
    held: Bool[Tensor, "b t"] | None = None,
) -> Float[Tensor, ""]:
    """Eq. 4, over the frames that are not held; 0 where all are."""
    error = (real - made).abs().mean(dim=(1, 3, 4))
    if held is None:
        return error.mean()
    kept = (~held).to(error.dtype)
    return (error * kept).sum() / kept.sum().clamp(min=1)


# %% tags=["active-ipynb", "equations"]
# real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
# p, q = real.sigmoid(), fake.sigmoid()
# by_hand = p.log().mean() + (1 - q).log().mean()
# assert torch.allclose(-losses.log_critic_loss(real, fake), by_hand)
# logits, order = torch.randn(3, 24), list_orders()[[5, 0, 23]]
# y = F.one_hot(torch.tensor([5, 0, 23]), 24)
# by_hand = -(y * logits.softmax(dim=1).log()).sum(dim=1).mean()
# assert torch.allclose(order_loss(logits, order), by_hand)
# print(f"Eq. 3 of a head that knows nothing: log 24 = {math.log(24):.3f}")

# %% [markdown]
# ## One training step
#
# Both the generated and the real clips are shuffled, by the same order. As in
# ImaGINator the generator steps **before** the critics, and the critics see the
# videos that it made for its own step. The order head learns on **real** clips, whose
# order is known; the generator is trained so that the head finds the right order in
# **its** clips (this is how SVGAN's puzzle works; the paper does not say on which
# clips Eq. 3 is).
#
# Where the last frame of a short recording is held (step 1), nobody knows what would be
# right. There the generated video gets the held frames of the real one, so that they
# count in no loss.


# %%
@dataclass
class Batch:
    """What a training step needs: shuffled videos, and what belongs to them.

    With `late` the generator makes its videos in their true order, from sounds and
    starts in that order, and they are shuffled for the critics alone (Table 3, row 2).
    """

    real: Float[Tensor, "b 3 t n n"]
    segments: Float[Tensor, "b t m a"]
    label: Float[Tensor, "b classes"]
    order: Int64[Tensor, "b s"]
    starts: Float[Tensor, "b s 3 n n"]
    held: Bool[Tensor, "b t"] | None = None
    late: bool = False


# %%
def shuffle_batch(
    video: Tensor, segments: Tensor, label: Tensor, order: Tensor,
    held: Tensor | None = None, identity: str = "shuffled", link: str = "free",
    late: bool = False,
) -> Batch:  # fmt: skip
    """Videos in their true order → a batch in the given orders."""
    if held is not None:
        item = torch.arange(len(held), device=held.device)[:, None]
        parts = held.unflatten(1, (-1, CLIP))
        held = parts[item, order.to(held.device)].flatten(1)
    true_order = torch.arange(order.shape[1]).expand_as(order)
    starts = pick_starts(video, true_order if late else order, identity, link)
    sounds = segments if late else shuffle_segments(segments, order)
    real = shuffle_clips(video, order)
    return Batch(real, sounds, label, order, starts, held, late)


# %%
def make_videos(G: nn.Module, batch: Batch) -> Float[Tensor, "b 3 t n n"]:
    """The generator's videos, in the order of the batch; held frames are the real ones.

    The recording says nothing of held frames. As both videos have the same there, no
    critic can tell them apart by these, and no loss has a gradient.
    """
    made: Tensor = G(batch.starts[:, 0], batch.segments, batch.label, batch.starts)
    if batch.late:
        made = shuffle_clips(made, batch.order)
    if batch.held is None:
        return made
    return torch.where(batch.held[:, None, :, None, None], batch.real, made)


# %%
@dataclass(frozen=True)
class Weights:
    """Of Eq. 4, 1, 2 and 3 in the generator's loss; of Eq. 3 in the critic's."""

    reconstruction: float = 100.0
    image: float = 1.0
    clip: float = 1.0
    order: float = 1.0


# %%
def draw_frames(video: Float[Tensor, "b 3 t n n"]) -> Float[Tensor, "b 3 n n"]:
    """One frame of each video, drawn at random."""
    index = torch.randint(video.shape[2], (len(video),), device=video.device)
    return pick_frames(video, index)


# %%
@dataclass
class Judgement:
    """What all critics say of a batch of videos."""

    image: Float[Tensor, " b"]
    video: Verdict


def judge_videos(
    videos: Tensor, label: Tensor, D_I: nn.Module, D_V: nn.Module
) -> Judgement:
    """Both critics, on one frame of each video and on all of its clips."""
    return Judgement(D_I(draw_frames(videos)), D_V(videos, label))


# %%
def sum_generator_losses(
    made: Tensor, said: Judgement, batch: Batch, weights: Weights
) -> dict[str, Tensor]:
    """What the generator minimises, each term with its weight; `said` of `made`."""
    terms = {
        "L1": weights.reconstruction
        * reconstruction_loss(batch.real, made, batch.held),
        "image": weights.image * losses.log_generator_loss(said.image),
        "clip": weights.clip * losses.log_generator_loss(said.video.clips),
    }
    if said.video.orders is not None:
        terms["order"] = weights.order * order_loss(said.video.orders, batch.order)
    return terms


# %%
def sum_critic_losses(
    real: Judgement, fake: Judgement, batch: Batch, weights: Weights
) -> dict[str, Tensor]:
    """What the critics minimise, of what they say of real and of made videos."""
    terms = {
        "image": losses.log_critic_loss(real.image, fake.image),
        "clip": losses.log_critic_loss(real.video.clips, fake.video.clips),
    }
    if real.video.orders is not None:  # the head learns from real clips alone
        terms["order"] = weights.order * order_loss(real.video.orders, batch.order)
    return terms


# %% [markdown]
# The critics do not change between the generator's step and theirs, and they see the
# same videos. So one pass through them serves both: each side takes the gradients of
# its own loss, for its own weights alone.


# %%
def train_step(
    G: nn.Module, D_I: nn.Module, D_V: nn.Module, batch: Batch,
    of_G: Optimizer, of_D: Optimizer, weights: Weights,
) -> dict[str, Tensor]:  # fmt: skip
    """One step of the generator, then one of all critics; the losses before them."""
    made = make_videos(G, batch)
    real = judge_videos(batch.real, batch.label, D_I, D_V)
    fake = judge_videos(made, batch.label, D_I, D_V)
    of_each = {
        "G": sum_generator_losses(made, fake, batch, weights),
        "D": sum_critic_losses(real, fake, batch, weights),
    }
    for who, optimizer in (("G", of_G), ("D", of_D)):
        own = [w for group in optimizer.param_groups for w in group["params"]]
        loss = torch.stack(list(of_each[who].values())).sum()
        optimizer.zero_grad()
        loss.backward(inputs=own, retain_graph=who == "G")
        optimizer.step()
    return {
        f"{who} {name}": value.detach()
        for who, terms in of_each.items()
        for name, value in terms.items()
    }


# %% [markdown]
# Does each loss do what it should? We take one batch and one loss at a time, make one
# small step along its gradient, and measure the loss again with the same random frames.
# Each must fall, and what it stands for must move the right way: a wrong sign would be
# seen here.


# %%
def measure_step(
    terms_of, networks: list[nn.Module], name: str, rate: float = 1e-3
) -> tuple[float, float]:
    """One loss before and after a small step of the networks along its gradient."""
    weights = [p for network in networks for p in network.parameters()]
    torch.manual_seed(1)
    before = terms_of()[name]
    slopes = torch.autograd.grad(before, weights, allow_unused=True)
    size = math.sqrt(sum(s.square().sum().item() for s in slopes if s is not None))
    with torch.no_grad():
        for weight, slope in zip(weights, slopes, strict=True):
            if slope is not None:
                weight -= rate * slope / size
        torch.manual_seed(1)  # the same frames are drawn
        return before.item(), terms_of()[name].item()


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# films, sounds = zip(*(film_speaker(player) for player in (3, 8)), strict=True)
# segments = SegmentCutter()(torch.stack(sounds))
# label = F.one_hot(torch.tensor([0, 1]), 2).float()
# order = torch.tensor([[2, 0, 3, 1], [1, 0, 2, 3]])
# batch = shuffle_batch(torch.stack(films), segments, label, order)
# G = Cascade(Stream(2, width=2, size=32, hidden=8))
# D_I, D_V = ImageCritic(2, 32).eval(), VideoCritic(2, 2, 32).eval()
#
#
# def generator_terms():
#     """The generator's losses of this batch."""
#     made = G(batch.starts[:, 0], batch.segments, label)
#     said = judge_videos(made, label, D_I, D_V)
#     return sum_generator_losses(made, said, batch, Weights())
#
#
# with torch.no_grad():
#     made = G(batch.starts[:, 0], batch.segments, label)
#
#
# def critic_terms():
#     """The critics' losses of this batch."""
#     said = [judge_videos(x, label, D_I, D_V) for x in (batch.real, made)]
#     return sum_critic_losses(*said, batch, Weights())

# %% tags=["active-ipynb", "one-step"]
# rows = []
# for who, terms, nets, names in (
#     ("G", generator_terms, [G], ("L1", "image", "clip", "order")),
#     ("critics", critic_terms, [D_I, D_V], ("image", "clip", "order")),
# ):
#     for name in names:
#         before, after = measure_step(terms, nets, name)
#         assert after < before
#         change = {"before": before, "change": after - before}
#         rows.append({"network": who, "loss": name} | change)
# show.table(rows, "each loss before a step along its own gradient, and its change")

# %% [markdown]
# ## Can the order be learned?
#
# An order can be seen only if time can be seen in a clip. In this toy each video is a
# square that grows from frame to frame. A small critic and its head see shuffled
# videos. The curve starts at log 24 and falls. With squares that do *not* grow there
# is nothing to learn, and the curve stays: on a still, Eq. 3 can teach nothing. Five
# to ten per cent of Phonics are stills.


# %%
def draw_squares(count: int, growing: bool, size: int = 16) -> Tensor:
    """Videos (B, 3, 32, N, N) of a white square; it grows, or keeps a random size."""
    time = torch.linspace(0.1, 1, 32).expand(count, -1)
    half = size / 2 * (time if growing else torch.rand(count, 1).expand(-1, 32))
    place = (torch.arange(size) + 0.5 - size / 2).abs()
    inside = torch.maximum(place[:, None], place[None]) < half[..., None, None]
    return (2 * inside.float() - 1)[:, None].expand(-1, 3, -1, -1, -1)


# %%
def learn_order(growing: bool, steps: int = 60, seed: int = 0) -> list[float]:
    """Train an order head on shuffled squares; Eq. 3 at each step."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        critic = VideoCritic(4, size=16)
        adam = torch.optim.Adam(critic.parameters(), 2e-3, betas=(0.5, 0.999))
        history = []
        orders = torch.tensor(list(itertools.permutations(range(CLIPS))))
        for _ in range(steps):
            order = orders[torch.randint(24, (16,))]
            video = shuffle_clips(draw_squares(16, growing), order)
            logits = critic(video, torch.zeros(16, 0)).orders
            loss = order_loss(logits, order)
            adam.zero_grad()
            loss.backward()
            adam.step()
            history.append(loss.item())
    return history


# %% tags=["active-ipynb", "order-learned"]
# curves = {"growing": learn_order(True), "still": learn_order(False)}
# show.curves(curves, y="Eq. 3", lines={"log 24": math.log(24)}, smooth=5)

# %% [markdown]
# ## What came out
#
# - A critic for eight frames needs other strides than ImaGINator's.
# - A majority vote has no gradient. The mean of the logits says nearly the same.
# - The order is a class of 24; the head shares the trunk of the clip critic.
# - Each of the seven losses falls along its own gradient.
# - Stills have no order.
#
# ## Exercises
#
# 1. Build the order head's loss from logits and orders.
# 2. Build the majority vote, with ties.

# %% tags=["active-ipynb"]
# from avnb_notebooks.cascaded_siamese import exercises
#
#
# def find_order_loss(logits, order):
#     """Eq. 3 of logits (B, 24) and orders (B, 4), as one number.
#
#     Order number n is the n-th of itertools.permutations(range(4)).
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.FIND_ORDER_LOSS, find_order_loss)

# %% tags=["active-ipynb"]
# def vote_on_clips(logits):
#     """Whether each video is called real, (B,), by the majority of its clips (B, S).
#
#     A clip votes "real" where its logit is above 0. In a tie the mean logit decides.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.VOTE_ON_CLIPS, vote_on_clips)
