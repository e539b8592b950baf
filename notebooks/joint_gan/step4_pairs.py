# %% [markdown]
# # Step 4 · Pairs: two joint critics, and what they can and cannot teach
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/joint_gan/step4_pairs.ipynb)
#
# The third module is what the paper is about. Two more critics see a sound **and** a
# video. $D_1$ says whether a pair is a recording. If it is not, $D_2$ says which of the
# two was generated. This notebook builds them, writes down the losses of all networks,
# and then asks the question of the paper's title on a toy that can be drawn in the
# plane: do a generated sound and a generated video belong together?
#
# **You will learn**
#
# 1. how Eq. 2 must be read, and that it is a cross-entropy of three classes,
# 2. two kinds of joint critic: one that can judge what, and one that can judge when,
# 3. one training step of all critics and both generators,
# 4. why the model learns both marginals and **no coupling**,
# 5. that the joint critics even bend the marginals, and by how much.
#
# **Time.** About 40 minutes to read. The cells run in about a minute.
#
# **Before you start.** Read steps 2 and 3.
#
# **Letters.** a, v real sound and video · â, v̂ generated ones · B items · T frames ·
# K columns of logits · p class shares of the data · q, r those of generated sounds and
# videos.

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
import math
from dataclasses import dataclass

import torch
from avnb_notebooks.joint_gan.step2_sound import (
    RATE,
    SAMPLES,
    BothSoundCritics,
    SoundCritic,
    SoundGenerator,
    SoundTrunk,
    draw_sound_noise,
)
from avnb_notebooks.joint_gan.step3_picture import (
    ImageCritic,
    PictureGenerator,
    VideoCritic,
    VideoTrunk,
    draw_picture_noise,
    pick_frames,
)

# %%
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from avnb import losses
from avnb.training import Run

# %% tags=["active-ipynb"]
# from avnb import course
# from avnb.viz import show

# %%
SLOPE = 0.2  # of every LeakyReLU of the critics
PENALTY = 10.0  # weight of the gradient penalty in WaveGAN's own game
REAL, SOUND_MADE, PICTURE_MADE, BOTH_MADE = 0, 1, 2, 3  # kinds of pair


# %% [markdown]
# ## Who sees what, Fig. 2

# %% tags=["active-ipynb", "figure2"]
# given = "#eeeeee"
# boxes = {
#     "e0": (0.05, 0.85, r"$\epsilon_0$"),
#     "Ga": (0.2, 0.85, "$G_a$\nstep 2"),
#     "a^": (0.36, 0.85, "â"),
#     "a": (0.36, 0.62, "a"),
#     "v": (0.36, 0.38, "v"),
#     "v^": (0.36, 0.15, "v̂"),
#     "GI": (0.2, 0.15, "$G_I$\nstep 3"),
#     "eK": (0.05, 0.15, "$\\epsilon_1$ … $\\epsilon_T$\n$Z_C$"),
#     "Da": (0.62, 0.9, "$D_a$"),
#     "DV": (0.62, 0.1, "$D_I$, $D_V$"),
#     "p1": (0.62, 0.7, "(â, v)"),
#     "p0": (0.62, 0.5, "(a, v)"),
#     "p2": (0.62, 0.3, "(a, v̂)"),
#     "D1": (0.88, 0.62, "$D_1$: recorded?"),
#     "D2": (0.88, 0.3, "$D_2$: which is made?"),
# }
# arrows = [("e0", "Ga"), ("Ga", "a^"), ("eK", "GI"), ("GI", "v^"), ("a^", "Da")]
# arrows += [("a", "Da"), ("v^", "DV"), ("v", "DV"), ("a^", "p1"), ("v", "p1")]
# arrows += [("a", "p0"), ("v", "p0"), ("a", "p2"), ("v^", "p2"), ("p0", "D1")]
# arrows += [("p1", "D1"), ("p2", "D1"), ("p1", "D2"), ("p2", "D2")]
# fills = dict.fromkeys(("e0", "eK", "a", "v"), given)
# show.diagram(boxes, [(*a, "") for a in arrows], fills=fills, width=9.5, height=4.2)

# %% [markdown]
# Grey is what is drawn at random or recorded. Pairs stand in the third column: each is
# judged by the critics to its right.
#
# Look at what is missing. The noises $\epsilon_0$ and $(\epsilon_1\dots\epsilon_T,
# Z_C)$ are drawn independently, and **no critic ever sees the pair (â, v̂)**. Keep this
# in mind.
#
# ## Eq. 2, read right
#
# As printed, both brackets of the second and third line are unbalanced:
# $\log((1 - D_1(\hat a, v)\,D_2(\hat a, v))$. Triangle-GAN, the paper's model for this
# loss, settles it:
#
# $$C_M = \mathbb E[\log D_1(a,v)]
#  + \mathbb E[\log((1-D_1(\hat a,v))\,D_2(\hat a,v))]
#  + \mathbb E[\log((1-D_1(a,\hat v))\,(1-D_2(a,\hat v)))] \tag{2}$$
#
# $D_2$ is the probability that the *sound* was generated. Term by term:


# %%
def equation_2_slow(
    real: Float[Tensor, "b 2"],
    sound_made: Float[Tensor, "b 2"],
    picture_made: Float[Tensor, "b 2"],
) -> Float[Tensor, ""]:
    """C_M of the logits of D_1 and D_2 (columns) for the three kinds of pair."""
    D1, _ = real.sigmoid().unbind(1)
    value = D1.log().mean()
    D1, D2 = sound_made.sigmoid().unbind(1)
    value = value + ((1 - D1) * D2).log().mean()
    D1, D2 = picture_made.sigmoid().unbind(1)
    return value + ((1 - D1) * (1 - D2)).log().mean()


# %% [markdown]
# "The use of both of them implicitly define a ternary discriminative function", says
# the paper. Here it is:
#
# $$p(\text{real}) = D_1,\quad p(\text{sound made}) = (1-D_1) D_2,\quad
#   p(\text{picture made}) = (1-D_1)(1-D_2) .$$
#
# The three add up to 1, and $C_M$ is the sum of the log-probabilities of the right
# answers: minus a three-way cross-entropy. We compute the logarithms directly, which
# never overflow. Other numbers of columns are variants that we need later: one column
# has no $D_2$; four columns have a $D_2$ with three answers (step 5). With `softmax`
# the columns are a plain softmax, one critic instead of two.
#
# `logits (B, K) → log-probabilities (B, kinds)`


# %%
def log_kinds(
    logits: Float[Tensor, "b columns"], softmax: bool = False
) -> Float[Tensor, "b kinds"]:
    """The log-probability of each kind of pair: real, sound made, picture made."""
    if logits.dtype == torch.bfloat16:  # it has too few digits for a logarithm
        logits = logits.float()
    if softmax:
        return F.log_softmax(logits, dim=1)
    d1, d2 = logits[:, :1], logits[:, 1:]
    if d2.shape[1] == 1:  # a single logit: the odds of "sound made"
        d2 = torch.cat([d2, torch.zeros_like(d2)], dim=1)
    made = F.logsigmoid(-d1)
    if d2.shape[1]:
        made = made + F.log_softmax(d2, dim=1)
    return torch.cat([F.logsigmoid(d1), made], dim=1)


# %%
def pair_critic_loss(
    real: Float[Tensor, "b columns"],
    fakes: dict[int, Float[Tensor, "b columns"]],
    softmax: bool = False,
) -> Float[Tensor, ""]:
    """What D_1 and D_2 minimise: −C_M, the cross-entropy of the kinds of pair."""
    loss = -log_kinds(real, softmax)[:, REAL].mean()
    for kind, logits in fakes.items():
        log_p = log_kinds(logits, softmax)
        # Without D_2 there is one answer for all kinds of fake, the last.
        loss = loss - log_p[:, min(kind, log_p.shape[1] - 1)].mean()
    return loss


# %% tags=["active-ipynb", "ternary"]
# torch.manual_seed(0)
# yes, no_a, no_v = torch.randn(3, 6, 2)
# value = equation_2_slow(yes, no_a, no_v)
# loss = pair_critic_loss(yes, {SOUND_MADE: no_a, PICTURE_MADE: no_v})
# assert torch.allclose(loss, -value, atol=1e-5)
# ones = log_kinds(yes).exp().sum(dim=1)
# assert torch.allclose(ones, torch.ones(6))
# print(f"C_M = {value.item():.4f} = minus the three-way cross-entropy")
# extreme = 200 * yes
# by_probabilities = equation_2_slow(extreme, no_a, no_v)
# print(f"with sure critics: by probabilities {by_probabilities:.1f}")
# fakes = {SOUND_MADE: no_a, PICTURE_MADE: no_v}
# print(f"by their logarithms {-pair_critic_loss(extreme, fakes):.1f}")

# %% [markdown]
# ## What the generators minimise: two gradients side by side
#
# $G_a$ and $G_I$ lower $C_M$. Written that way, the gradient **saturates**: where the
# critics are sure of a fake, $\log(1 - D_1)$ is flat. Triangle-GAN's code therefore
# does what most do. $G_a$ wants $D_1(\hat a, v)\to 1$ and $D_2(\hat a, v)\to 0$, each
# by its own logarithm, and $G_I$ wants $D_1(a, \hat v)\to 1$ and $D_2(a, \hat v)\to 1$.
# For $D_2$ with more answers: "not this kind".


# %%
def pair_generator_loss(
    fakes: dict[int, Float[Tensor, "b columns"]],
    softmax: bool = False,
    saturating: bool = False,
) -> Float[Tensor, ""]:
    """What the generators minimise, of the logits of the pairs that they made."""
    loss = torch.zeros((), device=next(iter(fakes.values())).device)
    for kind, logits in fakes.items():
        log_p = log_kinds(logits, softmax)
        own = min(kind, log_p.shape[1] - 1)  # without D_2 all fakes are of one kind
        # Eq. 2's own term. A pair of two made halves (step 5) is not in Eq. 2.
        if saturating and kind != BOTH_MADE:
            loss = loss + log_p[:, own].mean()
            continue
        loss = loss - log_p[:, REAL].mean()
        others = [k for k in range(1, log_p.shape[1]) if k != own]
        if others and not softmax:  # log(1 − D_2): D_2's answers without D_1's share
            among_made = log_p[:, 1:].log_softmax(dim=1)
            wrong = torch.stack([among_made[:, k - 1] for k in others]).logsumexp(0)
            loss = loss - wrong.mean()
    return loss


# %% tags=["active-ipynb", "saturating"]
# grid = torch.linspace(-6, 6, 121)
# curves = {}
# for name, saturating in (("saturating, Eq. 2", True), ("non-saturating", False)):
#     logits = torch.stack([grid, torch.zeros(121)], dim=1).requires_grad_()
#     loss = 121 * pair_generator_loss({SOUND_MADE: logits}, saturating=saturating)
#     (slope,) = torch.autograd.grad(loss, logits)
#     curves[name] = (grid, slope[:, 0].abs())
# show.curves(
#     curves, x="logit of D₁ at (â, v): left is “surely made”", y="size of G's gradient"
# )

# %% [markdown]
# At the beginning every generated pair is surely made: on the left the printed loss
# teaches nothing. Both losses want the same, but they are not the same game. For the
# single critics we take the non-saturating one, as their parents do. For the pairs it
# is a switch, and the toy below shows what it does there.
#
# ## The joint critics
#
# The paper does not say how they look inside. Ours have the convolutions of $D_a$ (16
# wide, **without** phase shuffle, because it would blur the timing) and of $D_V$. The
# first form, `pooled`, averages both over time: it can judge whether a sound and a
# video are of the same *kind*. The second, `timed`, keeps T steps of both on one clock
# and compares them step by step: it can also judge *when*. Nobody has compared the two
# forms; the network `JM, timed critics` of step 6 is there for it.
#
# `sound → heard`, `video → seen`, `(heard, seen) → logits (B, K)`


# %%
def find_frames(length: int, frames: int) -> Int64[Tensor, " length"]:
    """In which frame each of `length` places of a sound of 1.024 s lies.

    A video has `frames` frames a second, and frame t is seen from t / frames s on. What
    comes after the last one belongs to it.
    """
    # The middle of place j in units of 1 / (2 · length · RATE) s: whole numbers, since
    # some middles lie exactly on a frame's beginning, where rounding would decide.
    middle = (2 * torch.arange(length) + 1) * SAMPLES
    return (middle * frames // (2 * length * RATE)).clamp(max=frames - 1)


# %%
def pool_frames(x: Float[Tensor, "b c length"], frames: int) -> Tensor:
    """The mean of a sound's maps during each frame: (B, C, frames)."""
    at = F.one_hot(find_frames(x.shape[2], frames), frames).to(x.device, x.dtype)
    return x @ (at / at.sum(dim=0))


# %% tags=["active-ipynb"]
# for frames in (10, 25):
#     counts = find_frames(64, frames).bincount().tolist()
#     print(f"64 places of 16 ms in {frames} frames:", *counts)
# means = pool_frames(torch.arange(64.0)[None, None], 10)[0, 0].tolist()
# print("numbers of the places, pooled to 10 frames:", *means)


# %%
class PairLayers(nn.Module):
    """Sees a sound and a video: `columns` logits. `form` is "pooled" or "timed"."""

    def __init__(
        self, columns: int, width: int = 16, form: str = "pooled", shuffle: int = 0
    ) -> None:
        super().__init__()
        self.timed = form == "timed"
        self.sound, self.video = SoundTrunk(width, shuffle), VideoTrunk(width)
        if self.timed:  # its last layer's places of 64 ms would be too long for 25 Hz
            self.sound.downs = self.sound.downs[:-1]
        # 8 w and 16 w are the channels of the trunks' last maps.
        self.heard = nn.Conv1d(8 * width if self.timed else 16 * width, 256, 1)
        self.seen = nn.Conv1d(8 * width, 256, 1)
        kernel = 3 if self.timed else 1
        self.mixed = nn.Conv1d(512, 256, kernel, padding=kernel // 2)
        self.decision = nn.Conv1d(256, columns, 1)


# %%
class PairNetwork(PairLayers):
    """How the layers are run; the arguments are those of PairLayers."""

    def hear(self, sound: Tensor, video: Tensor) -> Float[Tensor, "b 256 t"]:
        """Maps of the sound, one a frame of the video; one step where pooled."""
        if not self.timed:
            return self.heard(self.sound(sound).mean(dim=2, keepdim=True))
        x = sound
        for down in self.sound.downs:
            x = self.sound.shuffle(F.leaky_relu(down(x), SLOPE))
        return self.heard(pool_frames(x, video.shape[2]))

    def see(self, video: Float[Tensor, "b 3 t n n"]) -> Float[Tensor, "b 256 t"]:
        """Maps of the video. Two more frames at both ends keep T of them."""
        if self.timed:
            video = F.pad(video, (0, 0, 0, 0, 2, 2), mode="replicate")
        x = self.video(video).mean(dim=(3, 4))
        return self.seen(x if self.timed else x.mean(dim=2, keepdim=True))

    def judge(self, heard: Tensor, seen: Tensor) -> Float[Tensor, "b columns"]:
        """Logits of pairs; the mean over the steps."""
        x = F.leaky_relu(self.mixed(torch.cat([heard, seen], dim=1)), SLOPE)
        return self.decision(x).mean(dim=2)


# %%
class PairHalves(nn.Module):
    """D_1 and D_2 as K columns of logits, of one network (shared) or of two.

    `columns` are 2 for Eq. 2; 1 without D_2; 3 for a softmax; 4 with a three-way D_2.
    """

    def __init__(
        self, columns: int = 2, width: int = 16, form="pooled", shared=True, shuffle=0
    ) -> None:
        super().__init__()
        parts = [columns] if shared or columns == 1 else [1, columns - 1]
        self.networks = nn.ModuleList(
            PairNetwork(part, width, form, shuffle) for part in parts
        )

    def hear(self, sound: Tensor, video: Tensor) -> Tensor:
        """What each network makes of a sound: (networks, B, 256, steps)."""
        return torch.stack([net.hear(sound, video) for net in self.networks])

    def see(self, video: Tensor) -> Tensor:
        """What each network makes of a video: (networks, B, 256, steps)."""
        return torch.stack([net.see(video) for net in self.networks])


# %%
class PairCritics(PairHalves):
    """D_1 and D_2, with the arguments of PairHalves, judge pairs."""

    def judge(self, heard: Tensor, seen: Tensor) -> Float[Tensor, "b columns"]:
        """The logits of pairs."""
        parts = zip(self.networks, heard, seen, strict=True)
        return torch.cat([net.judge(h, s) for net, h, s in parts], dim=1)

    def forward(self, sound: Tensor, video: Tensor) -> Float[Tensor, "b columns"]:
        """The same, from sounds and videos."""
        return self.judge(self.hear(sound, video), self.see(video))


# %% [markdown]
# A pair is judged from what was made of its two halves. A training step has three kinds
# of pair and only four halves: a, â, v, v̂. Each passes its convolutions **once**, and
# `judge`, which is cheap, puts them together. Written down naively, $D_1$ and $D_2$
# with separate trunks would compute ten. Both heads may also share one trunk.

# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# sound, video = torch.randn(2, 1, SAMPLES), torch.randn(2, 3, 10, 64, 64)
# rows = []
# for form in ("pooled", "timed"):
#     for shared in (True, False):
#         critics = PairCritics(2, 4, form, shared)
#         with torch.no_grad():
#             heard, seen = critics.hear(sound, video), critics.see(video)
#             logits = critics.judge(heard, seen)
#         assert logits.shape == (2, 2)
#         count = sum(p.numel() for p in PairCritics(2, 16, form, shared).parameters())
#         trunks = "one trunk, two heads" if shared else "separate"
#         maps = " × ".join(str(side) for side in heard.shape)
#         row = {"form": form, "D₁ and D₂": trunks, "maps of the sounds": maps}
#         rows.append(row | {"weights at width 16": count})
# show.table(rows, "The joint critics; maps: networks, items, channels, steps in time")

# %% [markdown]
# For the first control (below) there must be as many critics that see **no** pairs.
# They have the same trunks, and a sound and a video get logits of their own:


# %%
class AloneCritics(nn.Module):
    """Critics of the size of D_1 and D_2 that see a sound or a video, never both."""

    def __init__(self, columns: int = 2, width: int = 16) -> None:
        super().__init__()
        self.sound, self.video = SoundTrunk(width, 0), VideoTrunk(width)
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Linear(channels * width, 256), nn.LeakyReLU(SLOPE),
                    nn.Linear(256, 256), nn.LeakyReLU(SLOPE), nn.Linear(256, columns),
                )
                for name, channels in (("sound", 16), ("video", 8))
            }
        )  # fmt: skip

    def hear(self, sound: Tensor, video: Tensor) -> Float[Tensor, "b columns"]:
        """Logits of sounds. The video is not looked at."""
        return self.heads["sound"](self.sound(sound).mean(dim=2))

    def see(self, video: Tensor) -> Float[Tensor, "b columns"]:
        """Logits of videos."""
        return self.heads["video"](self.video(video).mean(dim=(2, 3, 4)))


# %% [markdown]
# ## The rows of the comparison
#
# **BL** has no joint critics, **JM** is the paper's model. Three controls show where a
# gain of JM over BL comes from:
#
# 1. `alone`: the same number of extra critics, without pairs. Do more critics help?
# 2. `mismatched`: JM, whose "real" pairs are a sound of one clip and a video of
#    another. If this gains as much, nothing joint was learned.
# 3. `one`, `softmax`: one joint critic instead of two, with two answers or with three.


# %%
@dataclass(frozen=True)
class Method:
    """How the networks are trained. The defaults are JM, with Eq. 2 as printed."""

    pairs: str = "two"  # critics: none, two, one, softmax, alone
    matched: bool = True  # real pairs are of one clip
    both_made: bool = False  # the critics see (â, v̂), too (step 5)
    saturating: bool = True  # the generators lower Eq. 2 itself
    weight: float = 1.0  # of the pairs' term in the generators' loss
    form: str = "pooled"  # or timed
    coupling: str = "none"  # of the generators: none, latent, time (step 5)
    sound_game: str = "log"  # of D_a: Eq. 1, or "wasserstein", WaveGAN's own (step 2)

    @property
    def columns(self) -> int:
        """The columns of logits that the pairs' critics need."""
        kinds = 3 if self.both_made else 2  # of pairs that are not recordings
        plain = {"one": 1, "softmax": 1 + kinds}
        return plain.get(self.pairs, 1 + kinds if self.both_made else 2)


# %%
def list_methods() -> dict[str, Method]:
    """The rows that this notebook builds; step 5 adds those that are coupled."""
    return {
        "BL": Method(pairs="none"),
        "JM": Method(),
        "alone": Method(pairs="alone"),
        "mismatched": Method(matched=False),
        "one": Method(pairs="one"),
        "softmax": Method(pairs="softmax"),
    }


# %% [markdown]
# ## The generators and the critics of one method


# %%
class BothGenerators(nn.Module):
    """G_a and G_I with independent noises (Fig. 2): noise → (sound, video).

    `sound_width` is d, `width` is g; sizes of the noises; `size` of a frame.
    """

    def __init__(
        self, sound_width: int = 64, width: int = 64, size: int = 64, noise: int = 100,
        content: int = 90, motion: int = 10, upsample: str = "transposed",
    ) -> None:  # fmt: skip
        super().__init__()
        self.sizes = {"sound": noise, "content": content, "motion": motion}
        self.sound = SoundGenerator(sound_width, noise, upsample)
        self.picture = PictureGenerator(width, content, motion, size)


# %%
class JointGenerator(BothGenerators):
    """G_a and G_I with independent noises; arguments of BothGenerators."""

    def draw_noise(
        self, count: int, frames: int, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """ε₀ ("sound"), and Z_C, ε_k and the first state, on the generator's device."""
        sizes = self.sizes
        a = draw_sound_noise(count, sizes["sound"], generator)
        drawn = draw_picture_noise(
            count, frames, sizes["content"], sizes["motion"], generator
        )
        return {"sound": a} | dict(
            zip(("content", "motion", "start"), drawn, strict=True)
        )

    def forward(self, noise: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """â (B, 1, samples) and v̂ (B, 3, T, N, N)."""
        video = self.picture(noise["content"], noise["motion"], noise["start"])
        return self.sound(noise["sound"]), video


# %%
class Critics(nn.Module):
    """All critics of a method; without pairs, `pairs` is None."""

    def __init__(
        self, sound: nn.Module, image: nn.Module | None, video: nn.Module,
        pairs: nn.Module | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.sound, self.image, self.video, self.pairs = sound, image, video, pairs


# %%
def make_critics(
    method: Method, sound_width: int, width: int, pair_width: int = 16,
    size: int = 64, sigma: float = 0.0, shuffle: int = 2, shared: bool = True,
    pair_shuffle: int = 0, hears: str = "waveform",
) -> Critics:  # fmt: skip
    """D_a, D_I, D_V and what the method has beside them.

    `shuffle` is the radius of D_a's phase shuffle, `pair_shuffle` that of the pairs'.
    `hears`: what D_a gets: "waveform", or "both" (with a spectrogram).
    """
    # The pairs' critics come last, so that a seed gives the others equal weights.
    kind = {"waveform": SoundCritic, "both": BothSoundCritics}[hears]
    own = [kind(sound_width, shuffle), ImageCritic(width, sigma)]
    own.append(VideoCritic(width, sigma, size))
    pairs: nn.Module | None = None
    if method.pairs == "alone":
        pairs = AloneCritics(method.columns, pair_width)
    elif method.pairs != "none":
        pairs = PairCritics(
            method.columns, pair_width, method.form, shared, pair_shuffle
        )
    return Critics(*own, pairs)


# %% [markdown]
# ## One training step
#
# All critics are updated first. Each has its own term, and no term reaches another
# critic's weights, so one optimizer and one backward pass serve them all. $D_a$ has no
# batch norm: real and generated sounds pass it in one call. $D_I$ and $D_V$ have one,
# and they see them apart, so that the norm cannot mix them.


# %%
def judge_halves(
    pairs: nn.Module, sound: Tensor, video: Tensor
) -> tuple[Tensor, Tensor]:
    """What the pairs' critics make of sounds and of videos, each on its own."""
    return pairs.hear(sound, video), pairs.see(video)


# %%
def judge_fakes(
    pairs: nn.Module, real: tuple, made: tuple, method: Method
) -> dict[int, Tensor]:
    """The logits of each kind of pair that holds something generated.

    `real` and `made`: what was heard and seen of real and of generated clips.
    """
    fakes = {
        SOUND_MADE: pairs.judge(made[0], real[1]),
        PICTURE_MADE: pairs.judge(real[0], made[1]),
    }
    if method.both_made:
        fakes[BOTH_MADE] = pairs.judge(*made)
    return fakes


# %%
def play_sound(
    critic: nn.Module, real: Tensor, made: Tensor, game: str
) -> Float[Tensor, ""]:
    """The loss of D_a in Eq. 1, or in WaveGAN's own game, which is WGAN-GP."""
    both = critic(torch.cat([real, made])).chunk(2)
    if game == "log":
        return losses.log_critic_loss(*both)
    penalty = losses.gradient_penalty(critic, real, made)
    return losses.critic_loss(*both) + PENALTY * penalty


# %%
def critic_terms(
    critics: Critics, real: tuple, fake: tuple, frame: Tensor, method: Method
) -> dict[str, Float[Tensor, ""]]:
    """The loss of each critic. `real`, `fake`: sounds and videos; S_1 takes `frame`."""
    (a, v), (made_a, made_v) = real, (x.detach() for x in fake)
    terms = {"D_a": play_sound(critics.sound, a, made_a, method.sound_game)}
    if critics.image is not None:
        images = (critics.image(pick_frames(x, frame)) for x in (v, made_v))
        terms["D_I"] = losses.log_critic_loss(*images)
    terms["D_V"] = losses.log_critic_loss(critics.video(v), critics.video(made_v))
    if critics.pairs is None:
        return terms
    heard, seen = judge_halves(critics.pairs, a, v)
    made = judge_halves(critics.pairs, made_a, made_v)
    if method.pairs == "alone":
        by_kind = ((heard, made[0]), (seen, made[1]))
        terms["pairs"] = sum(losses.log_critic_loss(*x) for x in by_kind)
        return terms
    fakes = judge_fakes(critics.pairs, (heard, seen), made, method)
    # The next clip's video instead of its own: real sounds and videos, wrong pairs.
    other = seen if method.matched else critics.pairs.see(v.roll(1, dims=0))
    yes, softmax = critics.pairs.judge(heard, other), method.pairs == "softmax"
    return terms | {"pairs": pair_critic_loss(yes, fakes, softmax)}


# %% [markdown]
# Then the generators. The critics' weights have changed, so they judge the generated
# clips again. Of the real clips only the pairs' critics need to know something, and no
# gradient flows through them.


# %%
def generator_terms(
    critics: Critics, real: tuple, fake: tuple, frame: Tensor, method: Method
) -> dict[str, Float[Tensor, ""]]:
    """What the generators minimise: a term for each critic."""
    (a, v), (made_a, made_v) = real, fake
    logits = {"D_a": critics.sound(made_a), "D_V": critics.video(made_v)}
    if critics.image is not None:
        logits["D_I"] = critics.image(pick_frames(made_v, frame))
    terms = {name: losses.log_generator_loss(x) for name, x in logits.items()}
    if method.sound_game == "wasserstein":
        terms["D_a"] = losses.generator_loss(logits["D_a"])
    if critics.pairs is None:
        return terms
    made = judge_halves(critics.pairs, made_a, made_v)
    if method.pairs == "alone":
        loss = sum(losses.log_generator_loss(x) for x in made)
    else:
        with torch.no_grad():
            known = judge_halves(critics.pairs, a, v)
        fakes = judge_fakes(critics.pairs, known, made, method)
        softmax = method.pairs == "softmax"
        loss = pair_generator_loss(fakes, softmax, method.saturating)
    return terms | {"pairs": method.weight * loss}


# %%
def update_critics(
    run: Run, critics: Critics, optimizer: Optimizer, real: tuple, fake: tuple,
    frame: Tensor, method: Method,
) -> dict[str, Tensor]:  # fmt: skip
    """One update of all critics; their losses."""
    with run.autocast():
        terms = critic_terms(critics, real, fake, frame, method)
        loss = torch.stack(list(terms.values())).sum()
    run.step(optimizer, loss)
    return {f"loss {name}": term.detach() for name, term in terms.items()}


# %%
def update_generators(
    run: Run, critics: Critics, optimizer: Optimizer, real: tuple, fake: tuple,
    frame: Tensor, method: Method,
) -> dict[str, Tensor]:  # fmt: skip
    """One update of both generators; what each critic's term was."""
    with run.autocast():
        terms = generator_terms(critics, real, fake, frame, method)
        loss = torch.stack(list(terms.values())).sum()
    run.step(optimizer, loss)
    return {f"G by {name}": term.detach() for name, term in terms.items()}


# %% [markdown]
# A step on random "clips", with small networks. `PlainRun` does what
# `avnb.training.Run` of step 6 does with one process.


# %%
class PlainRun:
    """One process, float32, no log: what a training step needs of a run."""

    def autocast(self) -> torch.autocast:
        """Everything stays float32."""
        return torch.autocast("cpu", enabled=False)

    def step(
        self, optimizer: Optimizer, loss: Tensor, *, retain_graph: bool = False
    ) -> None:
        """Update the optimizer's weights, and leave all other gradients alone."""
        weights = [w for group in optimizer.param_groups for w in group["params"]]
        optimizer.zero_grad()
        loss.backward(inputs=weights, retain_graph=retain_graph)
        optimizer.step()


# %% tags=["active-ipynb", "one-step"]
# torch.manual_seed(0)
# real = torch.rand(4, 1, SAMPLES) - 0.5, torch.rand(4, 3, 10, 16, 16) - 0.5
# rows = []
# for name, method in list_methods().items():
#     G = JointGenerator(2, 4, size=16)
#     critics = make_critics(method, 2, 4, 4, size=16)
#     opt_d, opt_g = (torch.optim.Adam(n.parameters(), 2e-4) for n in (critics, G))
#     fake, frame = G(G.draw_noise(4, 10)), torch.randint(10, (4,))
#     step = (real, fake, frame, method)
#     by_critic = update_critics(PlainRun(), critics, opt_d, *step)
#     by_term = update_generators(PlainRun(), critics, opt_g, *step)
#     both = by_critic | by_term
#     rows.append({"method": name} | {k: value.item() for k, value in both.items()})
# caption = "The first step. loss: of a critic, about 2 log 2 where it knows nothing, "
# caption += "more where it tells more kinds apart. G by: the generators' term of it."
# show.table(rows, caption)

# %% [markdown]
# ## The toy: what is learned when nothing couples the two?
#
# Let a and v be **numbers**. The data are two tight clusters: (-1, -1) and (1, 1), each
# half of the time. The sound says everything about the picture. Two small generators
# make $\hat a$ and $\hat v$ of independent noises. The critics, the losses and the
# training step are those from above.


# %%
def draw_pairs(count: int, share: float = 0.5) -> tuple[Tensor, Tensor]:
    """Pairs of numbers (B, 1) near (-1, -1), with this share, or near (1, 1)."""
    side = 1 - 2 * (torch.rand(count, 1) < share).float()
    return side + 0.1 * torch.randn(count, 1), side + 0.1 * torch.randn(count, 1)


# %%
def make_mlp(inputs: int, outputs: int, width: int = 48) -> nn.Sequential:
    """Two hidden layers."""
    sizes = [(inputs, width), (width, width)]
    hidden = [m for a, b in sizes for m in (nn.Linear(a, b), nn.LeakyReLU(SLOPE))]
    return nn.Sequential(*hidden, nn.Linear(width, outputs))


# %%
class ToyGenerator(nn.Module):
    """Two generators of numbers: noise (B, 4) → â (B, 1), and the same for v̂."""

    def __init__(self) -> None:
        super().__init__()
        self.sound, self.picture = make_mlp(4, 1), make_mlp(4, 1)

    def draw_noise(self, count: int) -> dict[str, Tensor]:
        """Independent noises."""
        return {"sound": torch.randn(count, 4), "picture": torch.randn(count, 4)}

    def forward(self, noise: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """â and v̂."""
        return self.sound(noise["sound"]), self.picture(noise["picture"])


# %%
class ToyPairCritics(nn.Module):
    """D_1 and D_2 of two numbers, with the methods of PairCritics."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.net = make_mlp(2, columns)

    def hear(self, sound: Tensor, video: Tensor) -> Tensor:
        """A number is heard as it is."""
        return sound

    def see(self, video: Tensor) -> Tensor:
        """A number is seen as it is."""
        return video

    def judge(self, heard: Tensor, seen: Tensor) -> Tensor:
        """Logits (B, columns)."""
        return self.net(torch.cat([heard, seen], dim=1))


# %%
def make_toy_critics(method: Method) -> Critics:
    """Critics of numbers; no critic of images."""
    pairs = None if method.pairs == "none" else ToyPairCritics(method.columns)
    single = [nn.Sequential(make_mlp(1, 1), nn.Flatten(0)) for _ in range(2)]
    return Critics(single[0], None, single[1], pairs)


# %%
def reset_layers(network: nn.Module) -> None:
    """Draw the weights of all linear layers anew, so that the seed decides them."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()


# %%
def train_toy(
    method: Method,
    generator: nn.Module,
    steps: int = 800,
    seed: int = 0,
    looks: int = 4,
) -> list[Tensor]:
    """Play the game on numbers; 500 generated pairs (500, 2) at `looks` moments."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        reset_layers(generator)
        critics, run, films = make_toy_critics(method), PlainRun(), []
        opt_d, opt_g = (
            torch.optim.Adam(n.parameters(), 1e-3, betas=(0.5, 0.9))
            for n in (critics, generator)
        )
        for number in range(1, steps + 1):
            real, fake = draw_pairs(96), generator(generator.draw_noise(96))
            frame = torch.zeros(96, dtype=torch.int64)
            update_critics(run, critics, opt_d, real, fake, frame, method)
            update_generators(run, critics, opt_g, real, fake, frame, method)
            if number * looks % steps < looks:
                made = generator(generator.draw_noise(500))
                films.append(torch.cat(made, dim=1).detach())
    return films


# %%
def count_corners(made: Float[Tensor, "n 2"]) -> dict[str, float]:
    """The share of pairs in each corner; the first number is the sound."""
    signs = {"−": -1, "+": 1}
    return {
        f"({a}, {b})": ((made * torch.tensor([x, y]) > 0.5).all(1))
        .float()
        .mean()
        .item()
        for a, x in signs.items()
        for b, y in signs.items()
    }


# %% tags=["active-ipynb", "corners"]
# games = {"BL: no joint critics": Method(pairs="none")}
# games |= {"JM, Eq. 2 as printed": Method()}
# games |= {"JM, non-saturating": Method(saturating=False)}
# films = {name: train_toy(m, ToyGenerator()) for name, m in games.items()}
# data = torch.cat(draw_pairs(500), dim=1)
# figure, axes = show.subplots(len(games), 5, width=1.75, height=1.75)
# for places, (name, moments) in zip(axes, films.items(), strict=True):
#     clouds = [data, *moments]
#     titles = ["the data", *(f"step {200 * k}" for k in range(1, 5))]
#     for ax, cloud, title in zip(places, clouds, titles, strict=True):
#         ax.plot(*cloud.T, ".", markersize=2)
#         ax.set(xlim=(-1.8, 1.8), ylim=(-1.8, 1.8), xticks=[-1, 1], yticks=[-1, 1])
#         ax.set_title(title, fontsize=8)
#     places[0].set_ylabel(name + "\nv", fontsize=8)
# for ax in axes[-1]:
#     ax.set_xlabel("a")
# figure

# %% tags=["active-ipynb", "corner-shares"]
# rows = [{"pairs": "the data"} | count_corners(data)]
# for name, moments in films.items():
#     rows.append({"pairs": name} | count_corners(moments[-1]))
# show.table(rows, "share of pairs in each corner, (sound, picture)")

# %% [markdown]
# **JM fills all four corners.** Each number on its own is right: half are near -1, half
# near 1. But half of the pairs are ones that never occur. Its joint critics know that
# very well: they see $(\hat a, v)$ with a random real v, call every second such pair
# wrong, and $G_a$ can do nothing about it. It has to choose $\hat a$ *before* it knows
# v. And about $(\hat a, \hat v)$ nobody ever says a word.
#
# The last row is a warning. With the non-saturating gradient, the critics' sure "no"
# at the wrong corners pulls hard at both generators. Each half of a pair is drawn to
# where the *other* half would have fitted, and the samples collapse into **a wrong
# corner**. With Eq. 2 as printed, a sure critic has no pull. So for the pairs our
# default is the printed, saturating form.
#
# ## How far do the critics bend the marginals?
#
# There is more. Say that class 1 has a share of 80 % and class 2 one of 20 %, and sound
# and picture always agree. $G_a$ chooses only its shares q. A sound of class k meets a
# random video. With the common class it fits four times out of five, with the rare one
# once. **Common classes are safer**, so the joint critic pushes q away from p, even at
# the optimum. How far can be computed. At the critics' optimum each says
# $D = \text{its kind's density} / \text{sum of all}$. The derivative of the game's
# value with respect to $q(a)$ is then (the critics' own change drops out there)
#
# $$s(a) = \sum_v p(v)\,\log\frac{q(a)\,p(v)}{p(a,v) + q(a)p(v) + p(a)q(v)}
#   \;\Big[{}+ \log\frac{q(a)}{p(a) + q(a)}\Big] .$$
#
# (Sound and picture play alike here, so the generated videos have the same shares q.)
# A game with $D_1$ alone, which is shown $(a, v)$ and $(\hat a, v)$, lacks the summand
# $p(a)q(v)$ below the fraction bar. The bracket is there if $G_a$ has its own critic
# $D_a$ as well. $G_a$ moves its shares to where s is smaller, until s is the same for
# all classes. In plain Python:


# %%
def find_best_shares(
    p: list[float], ternary: bool, own: bool, steps: int = 3000, rate: float = 0.1
) -> list[float]:
    """The q that a generator ends at, against perfect critics of perfect pairs."""
    q, classes = list(p), range(len(p))
    for _ in range(steps):
        slopes = []
        for a in classes:
            slope = math.log(q[a] / (p[a] + q[a])) if own else 0.0
            for v in classes:
                real = p[a] if a == v else 0.0  # p(a, v): they always agree
                sound_made = q[a] * p[v]
                picture_made = p[a] * q[v] if ternary else 0.0
                share = sound_made / (real + sound_made + picture_made)
                slope += p[v] * math.log(share)
            slopes.append(slope)
        raised = [q[a] * math.exp(-rate * slopes[a]) for a in classes]
        q = [x / sum(raised) for x in raised]
    return q


# %% [markdown]
# ## The trained toy must meet it
#
# A formula about perfect critics is one thing, training another. Here the critics are
# small networks again and see points near -1 and 1. A generator has one parameter a
# class, whose softmax is q, and it adds the same noise as the data. Each expectation
# over the classes is a sum with known weights, so that little is left to chance.


# %%
def value_alone(logits: Tensor, p: Tensor, shares: Tensor) -> Float[Tensor, ""]:
    """Eq. 1's value for sounds and videos; logits (2, classes, points, 2 critics)."""
    own = torch.stack([logits[0, ..., 0], logits[1, ..., 1]])  # D_a's, and the video's
    real, made = F.logsigmoid(own).mean(2), F.logsigmoid(-own).mean(2)
    return (p * real).sum() + (shares * made).sum()


# %%
class MixtureGame:
    """Eq. 2 on two classes of points; the generators choose only their shares."""

    def __init__(self, p: tuple[float, ...], ternary: bool, own: bool) -> None:
        self.p, self.ternary, self.own = torch.tensor(p), ternary, own
        self.centres = torch.linspace(-1, 1, len(p))[:, None, None]
        # Of sounds and of videos; they begin at the shares of the data.
        self.scores = self.p.log().repeat(2, 1).requires_grad_()
        self.pairs, self.alone = make_mlp(2, 2, 32), make_mlp(1, 2, 32)

    def value(self) -> Float[Tensor, ""]:
        """The value of the game on 16 new points a class and modality."""
        p, (q, r), k = self.p, self.scores.softmax(1), len(self.p)
        a, v = self.centres + 0.15 * torch.randn(2, k, 16, 1)
        every = torch.cat(torch.broadcast_tensors(a[:, None], v[None]), dim=-1)
        logits = self.pairs(every).flatten(0, 2)  # each sound with each video
        log_p = log_kinds(logits if self.ternary else logits[:, :1])
        real, *fakes = log_p.unflatten(0, (k, k, 16)).mean(2).unbind(-1)
        weights = [q[:, None] * p, p[:, None] * r]
        value = (p.diag() * real).sum()
        value = value + sum((w * f).sum() for w, f in zip(weights, fakes, strict=False))
        if self.own:
            logits = self.alone(torch.stack([a, v]))
            value = value + value_alone(logits, p, self.scores.softmax(1))
        return value


# %%
def train_mixture(
    p: tuple[float, ...], ternary: bool, own: bool, steps: int = 250, seed: int = 0
) -> Float[Tensor, "steps classes"]:
    """Three steps of the critics, one of the shares; the sounds' shares over time."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        game, path = MixtureGame(p, ternary, own), []
        weights = [*game.pairs.parameters(), *(game.alone.parameters() if own else ())]
        opt_d = torch.optim.Adam(weights, 5e-3, betas=(0.5, 0.99))
        opt_g = torch.optim.Adam([game.scores], 0.05, betas=(0.5, 0.99))
        run = PlainRun()
        for number in range(steps):
            opt_g.param_groups[0]["lr"] = 0.05 * (1 - number / steps)
            for _ in range(3):
                run.step(opt_d, -game.value())
            run.step(opt_g, game.value())
            path.append(game.scores[0].detach().softmax(0))
    return torch.stack(path)


# %% tags=["active-ipynb", "bent"]
# games = {
#     "D₁ alone": (False, False),
#     "D₁ and Dₐ": (False, True),
#     "Eq. 2 alone": (True, False),
#     "Eq. 2 and both own critics": (True, True),
# }
# paths = {name: train_mixture((0.8, 0.2), *g)[:, 0] for name, g in games.items()}
# best = {name: find_best_shares([0.8, 0.2], *g)[0] for name, g in games.items()}
# rows = [
#     {
#         "game": name,
#         "closed form [%]": 100 * best[name],
#         "trained: mean of the last 100 steps [%]": 100 * path[-100:].mean().item(),
#     }
#     for name, path in paths.items()
# ]
# show.table(rows, "share of the common class among generated sounds; in the data 80 %")

# %% tags=["active-ipynb"]
# show.curves(
#     paths,
#     x="step",
#     y="share of the common class",
#     lines={"the data": 0.8},
#     percent=True,
# )

# %% [markdown]
# The trained critics push the shares to where the formula says. It is not a lack of
# training: at the best critics the generators *want* to drop the rare class.
#
# It also follows that **this game cannot be won**. If each generated half fitted the
# real half that it meets, the three kinds of pair would be distributed alike, and the
# critics could only guess. How far apart do the kinds stay at best? Their divergence
# (Jensen and Shannon's) is the mean of $\log(\text{own density} / \text{mean of the
# three})$. It is 0 where all three agree:


# %%
def measure_kinds(p: list[float], q: list[float]) -> float:
    """How far apart the three kinds of pair are, in nats, if â and v̂ have shares q."""
    total = 0.0
    for a in range(len(p)):
        for v in range(len(p)):
            real = p[a] if a == v else 0.0
            kinds = (real, q[a] * p[v], p[a] * q[v])
            mean = sum(kinds) / 3
            total += sum(x * math.log(x / mean) for x in kinds if x) / 3
    return total


# %% tags=["active-ipynb", "floor"]
# p = [0.8, 0.2]
# shares = {"as the data": p, "the best": find_best_shares(p, True, False)}
# rows = [
#     {"made": name, "common class [%]": 100 * q[0], "nats": measure_kinds(p, q)}
#     for name, q in shares.items()
# ]
# show.table(rows, "how far apart the three kinds of pair stay at the best critics")

# %% [markdown]
# No generator with independent noise comes below the last number, however long it is
# trained. So the joint critics always have something to object to, and what they push
# at are the shares. For Table 1's thirteen classes, $D_1$ and $D_a$ push them here:

# %%
TABLE_1 = {
    "cello": 881, "double bass": 123, "oboe": 394, "saxophone": 696, "trumpet": 100,
    "viola": 648, "bassoon": 135, "clarinet": 716, "horn": 475, "flute": 511,
    "trombone": 787, "tuba": 323, "violin": 707,
}  # fmt: skip

# %% tags=["active-ipynb", "thirteen"]
# p = [count / sum(TABLE_1.values()) for count in TABLE_1.values()]
# bent = {
#     "D₁ and Dₐ": find_best_shares(p, False, True),
#     "Eq. 2, own critics": find_best_shares(p, True, True),
# }
# rows = [
#     {"class": name, "data [%]": 100 * p[k]}
#     | {f"{game} [%]": 100 * q[k] for game, q in bent.items()}
#     for k, name in enumerate(TABLE_1)
# ]
# show.table(sorted(rows, key=lambda row: row["data [%]"]))

# %% [markdown]
# This matters for reading Table 3 of the paper. A model that makes fewer kinds of sound
# has a *lower* pitch entropy, and the paper counts that as better. Step 7 therefore
# prints the class histogram of what is generated beside it.
#
# ## What came out
#
# - Eq. 2 is the cross-entropy of three kinds of pair.
# - With independent noises the joint critics cannot couple anything: the toy fills all
#   four corners. The paper's title promises what its model cannot do.
# - The non-saturating form of the pairs' loss is worse: it collapses into a wrong
#   corner.
# - The joint critics bend the marginals towards common classes; a closed form says how
#   far, and the trained toy meets it. Their game cannot be won.
#
# Step 5 couples the two.
#
# ## Exercises
#
# 1. Read Eq. 2 as three probabilities.
# 2. What is the best q?

# %% tags=["active-ipynb"]
# from avnb_notebooks.joint_gan import exercises
#
#
# def three_kinds(d1, d2):
#     """Log p (B, 3) of real, sound made, picture made, from the two logits (B,)."""
#     ...  # your code
#
#
# course.try_exercise(exercises.THREE_KINDS, three_kinds)

# %% tags=["active-ipynb"]
# def best_share(p):
#     """The q of the common class that minimises D₁'s game; p is its share in the data.
#
#     Two classes. At the best D₁ the game's value is, up to a constant, the sum over
#     both classes of p [q log q - (1 + q) log(1 + q)].
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.BEST_SHARE, best_share)
