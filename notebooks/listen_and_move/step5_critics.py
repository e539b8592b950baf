# %% [markdown]
# # Step 5 · Two critics: one for pictures, one for motion
#
# Nobody can write down what makes a film of a drummer look right, so two networks
# learn it. The **image critic** $D_I$ sees one frame: is it sharp, is it the performer?
# The **video critic** $D_V$ sees all frames of a window: does it move as the performer
# does? Neither says real or fake. Each gives a number, as high as it can for real and
# as low as it can for made, but **not too steep**: that is WGAN-GP.
#
# 1. the critics, with the picture let in at every scale,
# 2. their losses (Eq. 5 and 6) and the gradient penalty,
# 3. films with their frames shuffled, and why the real film counts twice,
# 4. the perceptual term,
# 5. an oddity: batch norm where each item should be judged alone.
#
# **Letters.** B items (1 in the paper) · T frames · C channels · N the picture's side ·
# λ, α weights of terms (10 and 10).

# %% tags=["active-ipynb"]
# import importlib.util
# import subprocess
# import sys
#
# if "google.colab" in sys.modules and not importlib.util.find_spec("avnb"):
#     # Colab: install the course, once, in about two minutes. Colab's torch stays.
#     source = "avnb @ git+https://github.com/avnb/avnb"
#     pip = [sys.executable, "-m", "pip", "install", "--quiet", source]
#     subprocess.run(pip, check=True)

# %%
import itertools

from avnb_notebooks.listen_and_move.step3_generator import channels, layers_for
from jaxtyping import Float
from torch import Tensor, nn

from avnb import losses
from avnb.layers import DownBlock, PatchHead


# %% tags=["active-ipynb"]
# import numpy as np
# import torch
# from avnb_notebooks.listen_and_move.step3_generator import start_weights
# from IPython.display import display
# from torch.nn import functional as F
#
# from avnb import course
# from avnb.errors import WeightsError
# from avnb.pretrained import networks, weights
# from avnb.viz import show
# from data_scripts import bandstand

# %% [markdown]
# Sixteen frames of a drummer, 0.8 seconds, to be judged:

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
# The generator paints from coarse to fine; a critic looks from fine to coarse. Each
# block halves the maps, lets the **picture itself**, halved as well, in beside them
# (fromRGB, a $1\times1$ convolution), and looks twice with $3\times3$. So every layer
# sees colours as they are, not only what the layers before thought worth passing on.
# That is the skip of Sec. 5.2: for critics it "usually produces sharper images".

# %% tags=["active-ipynb"]
# course.show_source(DownBlock, PatchHead)

# %% [markdown]
# In $D_V$ the same blocks have $3\times3\times3$ kernels and halve the time as well, as
# long as there is any: $\lfloor\log_2 T\rfloor$ times.
#
# The critics have as many layers as the generator, and its channels the other way
# round. So the last maps are $4\times4$, and a $1\times1$ convolution gives one score a
# **patch**: sixteen opinions, each about its part of the picture.
#
# `(B, 3, N, N) → (B, 4, 4)` and `(B, 3, T, N, N) → (B, t, 4, 4)`


# %%
class Critic(nn.Module):
    """D_I (`dims` 2) or D_V (3): a picture or film (B, 3, …) → scores of patches."""

    def __init__(
        self, dims: int, size: int, base: int = 1024, norm: str = "batch"
    ) -> None:
        super().__init__()
        widths = [channels(s, base) for s in range(layers_for(size), -1, -1)]
        self.blocks = nn.ModuleList(
            DownBlock(a, b, dims=dims, norm=norm) for a, b in itertools.pairwise(widths)
        )
        self.head = PatchHead(widths[-1], dims=dims)

    def forward(self, picture: Float[Tensor, "b 3 *n"]) -> Float[Tensor, "b *patches"]:
        x = None
        for block in self.blocks:
            x, picture = block(picture, x)
        return self.head(x)


# %%
def image_critic(size: int, base: int = 1024, norm: str = "batch") -> Critic:
    """D_I: frames (B, 3, N, N) → (B, 4, 4) (Sec. 3.3)."""
    return Critic(2, size, base, norm)


# %%
def video_critic(size: int, base: int = 1024, norm: str = "batch") -> Critic:
    """D_V: films (B, 3, T, N, N) → (B, t, 4, 4); t is T halved at each layer."""
    return Critic(3, size, base, norm)


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# D_I = image_critic(64, base=128).apply(start_weights)
# D_V = video_critic(64, base=128).apply(start_weights)
# film, made = real.transpose(1, 2), fake.transpose(1, 2)  # time after colour
# with torch.no_grad():
#     by_picture, by_film = D_I(real[:, 0]), D_V(film)
# assert by_picture.shape == (1, 4, 4)
# assert by_film.shape == (1, 1, 4, 4)
# print(f"frame {tuple(real[:, 0].shape)} → {tuple(by_picture.shape)}")
# print(f"film {tuple(film.shape)} → {tuple(by_film.shape)}")
# with torch.device("meta"):
#     for name, critic in {"D_I": image_critic(128), "D_V": video_critic(128)}.items():
#         count = sum(p.numel() for p in critic.parameters())
#         print(f"{name} at 128×128, base 1,024: {count / 1e6:.2f} million weights")

# %% [markdown]
# ## How much does one patch see?
#
# Ask the gradient again: which pixels change the score of one patch, and by how much?
# The mean of sixteen small critics as they start, without norms, so that it is the
# layers that speak and not the luck of one's weights:

# %% tags=["active-ipynb", "patch"]
# torch.manual_seed(0)
# patches = ((0, 0), (1, 2), (3, 3))
# seen = torch.zeros(3, 64, 64)
# for _ in range(16):
#     plain = image_critic(64, base=64, norm="none")
#     x = torch.randn(1, 3, 64, 64, requires_grad=True)
#     scores = plain(x)[0]
#     for picture, (row, column) in zip(seen, patches, strict=True):
#         (slope,) = torch.autograd.grad(scores[row, column], x, retain_graph=True)
#         picture += slope[0].abs().mean(dim=0)
# figure, axes = show.subplots(1, 3, width=2.5, height=2.6)
# for ax, picture, (row, column) in zip(axes[0], seen, patches, strict=True):
#     ax.imshow(picture, vmin=0)
#     ax.set(title=f"patch {row}, {column}", xticks=[], yticks=[])
#     ax.grid(False)
# figure

# %% [markdown]
# Each patch minds its own place most, and looks a good way beyond it.
#
# ## The loss of the image critic (Eq. 5)
#
# A critic may give any number. It wants real frames high and made ones low:
#
# $$\mathcal L_I = \mathbb E[D_I(v_t)] - \mathbb E[D_I(\tilde v_t)]
#   + \lambda\,\mathcal P_{D_I}(v_t, \tilde v_t), \tag{5}$$
#
# "$\min_{R,G}\max_{D}$" says the paper, and so, as printed, a critic would *maximise*
# its penalty. We minimise $-\mathbb E[D(v)] + \mathbb E[D(\tilde v)] +
# \lambda\mathcal P$, as everybody does. $D_I$ sees **one** frame of the window, at the
# same random place in the real and the made film.
#
# ### The gradient penalty
#
# Without a bound the critic would multiply its scores by a thousand and be a thousand
# times as happy. So its *slope* is to be 1 along the way from made to real, at a random
# point of that way:
#
# $$\mathcal P_D(x, y) = \mathbb E\left[\left(\lVert\nabla
#   D(\epsilon x + (1 - \epsilon) y)\rVert_2 - 1\right)^2\right].$$

# %% tags=["active-ipynb"]
# course.show_source(losses.critic_loss, losses.gradient_penalty)


# %%
def image_critic_loss(
    critic: nn.Module,
    real: Float[Tensor, "b 3 h w"],
    fake: Float[Tensor, "b 3 h w"],
    penalty: float = 10.0,
) -> Float[Tensor, ""]:
    """What D_I lowers: the negative of Eq. 5's scores, plus λ times the penalty."""
    scores = losses.critic_loss(critic(real), critic(fake))
    return scores + penalty * losses.gradient_penalty(critic, real, fake)


# %% [markdown]
# What the penalty does, in the smallest world there is: real numbers near 1, made ones
# near -1, and a critic of one input. Without it the slope grows as long as one trains;
# with it the critic becomes a ramp, and everywhere between the two, the made numbers
# are told which way to go. (It starts flat. A critic of one input that starts with a
# slope of -1 would stay there: the penalty asks how steep it is, not which way.)

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
#     slope = (scores[75] - scores[25]) / 2
#     label = f"λ = {λ:g}: slope {slope:.1f}"
#     axes[0, 0].plot(grid, scores - scores.mean(), label=label)
# axes[0, 0].set(xlabel="x: made at -1, real at 1", ylabel="D(x)", ylim=(-4, 4))
# axes[0, 0].legend()
# figure

# %% [markdown]
# ## The loss of the video critic (Eq. 6)
#
# A film can be made of perfect frames and still be wrong: if they come in the wrong
# order. So $D_V$ gets a second kind of fake, $\hat v$: the **real** frames, shuffled.
# Its every frame is perfect; only the motion gives it away.
#
# $$\mathcal L_V = \mathbb E[D_V(v)] - \mathbb E[D_V(\tilde v)]
#   - \mathbb E[D_V(\hat v)]
#   + \lambda\mathcal P(v, \tilde v) + \lambda\mathcal P(v, \hat v)
#   + \alpha\lVert\phi(v) - \phi(\tilde v)\rVert_2 \tag{6}$$

# %% tags=["active-ipynb"]
# shuffled = losses.shuffle_time(real, generator=torch.Generator().manual_seed(1))
# assert torch.allclose(shuffled.mean(dim=1), real.mean(dim=1), atol=1e-5)
# films = {"real v": real[0], "shuffled v̂": shuffled[0]}
# display(show.image_grid([(v[::2] + 1) / 2 for v in films.values()], rows=[*films]))
# change = {
#     name: 127.5 * v.diff(dim=0).abs().mean((1, 2, 3)) for name, v in films.items()
# }
# show.curves(change, x="frame", y="change [grey levels]")

# %% [markdown]
# Frame by frame nobody could tell. But the real film goes in small steps, with the
# strokes here and there, and the shuffled one jumps all the time.
#
# Eq. 6 as printed has a hole. It has the real film once and two fakes, so its scores
# weigh $1 - 1 - 1 = -1$: a critic that lowers *all* its scores by a thousand gains a
# thousand, and nothing holds it. The released code takes the real film against each
# fake, twice in all; then a constant changes nothing:

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
    """What D_V lowers: Eq. 6's scores, the real film against each fake, and λ times
    both penalties.
    """
    shuffled = losses.shuffle_time(real)
    v, made, mixed = (film.transpose(1, 2) for film in (real, fake, shuffled))
    scores = losses.critic_loss(critic(v), critic(made), critic(mixed))
    slopes = losses.gradient_penalty(critic, v, made)
    slopes = slopes + losses.gradient_penalty(critic, v, mixed)
    return scores + penalty * slopes


# %% [markdown]
# ## The loss of R and G
#
# They raise the scores of what they make, with both critics, and add the **perceptual**
# term, α's: what they make is to look like the real film *to a network that knows
# pictures*. VGG16 was trained to name objects; after its fourth convolution (relu2_2)
# its maps say "edge here, stripes there" and no longer "this pixel is 0.31". The paper
# writes a norm; the code takes the mean square, and so do we.


# %%
def animator_loss(
    by_picture: Tensor, by_film: Tensor, difference: Tensor, alpha: float = 10.0
) -> Float[Tensor, ""]:
    """What R and G lower: −D_I(ṽ_t) − D_V(ṽ) + α times the perceptual difference."""
    scores = losses.generator_loss(by_picture) + losses.generator_loss(by_film)
    return scores + alpha * difference


# %% [markdown]
# Four ways to be wrong that a mean square of *pixels* hardly tells apart, and what
# VGG16 says. (Its weights come from a Python package, checked; without network or
# cache, the cell goes on with random ones and says so.)

# %% tags=["active-ipynb", "perceptual"]
# try:
#     vgg, which = weights.load_network("vgg16"), "VGG16"
# except WeightsError as error:
#     vgg, which = networks.vgg16(), f"VGG16 with random weights ({error})"
# print(which)
# still = real[0, :1]
# blurred = F.avg_pool2d(F.pad(still, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
# off = F.mse_loss(blurred, still).sqrt()
# wrong = {"blurred": blurred, "brighter": still + off}
# wrong |= {"moved by a pixel": still.roll(1, 3)}
# wrong |= {"noisy": still + off * torch.randn(still.shape)}
# rows = []
# for name, picture in wrong.items():
#     with torch.no_grad():
#         seen = losses.perceptual_loss(vgg.truncate(2), still, picture)
#     rows.append({"picture": name, "pixels": F.mse_loss(picture, still).item()})
#     rows[-1] |= {"perceptual": seen.item()}
# show.table(rows)

# %% [markdown]
# Light that is a little different costs next to nothing, a blur dozens of times as
# much, and blur is what an animator trained on pixels alone likes to paint.
#
# ## Batch norm in a critic at batch 1
#
# The penalty is about the slope of one item's score with respect to **that item**. A
# batch norm ties the items of a batch together, so that the score of one depends on
# the others: Gulrajani et al. say themselves that it does not fit and use none. The
# paper uses it, at a batch of one. There it is, in training, an instance norm: over the
# pixels of a single picture. It forgets each map's brightness and contrast; and in
# `eval` it is another function, of running averages. See what the critic says about a
# picture and the same picture darker:

# %% tags=["active-ipynb", "batch-norm"]
# frame = real[0, :1]
# rows = []
# for norm in ("batch", "instance", "layer", "none"):
#     torch.manual_seed(0)
#     critic = image_critic(64, base=128, norm=norm)
#     with torch.no_grad():
#         one, dark = critic(frame), critic(0.5 * frame - 0.3)
#         beside = critic(torch.cat([frame, -frame]))[:1]
#     changes = ((one - other).norm() / one.norm() for other in (dark, beside))
#     darker, accompanied = (f"{100 * change:.0f} %" for change in changes)
#     row = {"norm": norm, "a darker picture": darker, "another beside it": accompanied}
#     rows.append(row)
# show.table(rows)

# %% [markdown]
# The numbers are how much the scores change. "Another beside it" must be 0 for WGAN-GP,
# and is for all but batch norm; at a batch of one nothing is beside it, and batch norm
# gives what instance norm gives. Whether the others train better is measured where the
# training is; `norm` is the switch.
#
# ## One step of each
#
# Everything at once: both critics' losses, backwards through the penalty (a gradient of
# a gradient), and the animator's.

# %% tags=["active-ipynb"]
# for name, loss, critic in (
#     ("D_I", image_critic_loss(D_I, real[:, 3], fake[:, 3]), D_I),
#     ("D_V", video_critic_loss(D_V, real, fake), D_V),
# ):
#     loss.backward()
#     slope = sum(p.grad.square().sum() for p in critic.parameters()).sqrt()
#     assert torch.isfinite(slope)
#     print(f"{name}: loss {loss.item():6.2f}, gradient's norm {slope.item():.2f}")

# %% [markdown]
# What the losses begin with is nearly all penalty, λ times how far the untrained
# critics' slopes are from 1; $D_V$ has two of them.
#
# ## Exercises
#
# 1. Write the gradient penalty, from the formula.
# 2. Shuffle a film so that **no** frame keeps its place.

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
# def deranged(count, random):
#     """An order (a list of 0 … count - 1) in which no number is at its own place.
#
#     random is a numpy Generator; every such order must be possible.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.DERANGED, deranged)
