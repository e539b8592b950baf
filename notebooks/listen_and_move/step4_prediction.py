# %% [markdown]
# # Step 4 · Prediction: where will it have moved to?
#
# Paint each frame for itself and the film trembles, however good the frames are. The
# last layer of the generator therefore looks back: from what it has seen so far it
# **predicts** the frame's maps, and blends the prediction with what was painted
# (Sec. 3.4). Things on a screen move up, down, left, right, or towards us, so there are
# five predictors, four of which look in one direction only.
#
# 1. a kernel that looks one way, made of strips, seen as a picture,
# 2. five recurrences and their impulse responses,
# 3. the blending and its mask (Eq. 3 and 4), seen as a film,
# 4. a film of any length, window by window.
#
# **Letters.** B batch · T frames · C channels of a frame · P hidden channels (= C) ·
# K = 2k + 1 kernel size · d direction: h+, h-, c, v+, v- · H, W height and width.

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
import torch
from avnb_notebooks.listen_and_move.step3_generator import Animator
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F


# %% tags=["active-ipynb"]
# import numpy as np
# from avnb_notebooks.listen_and_move.step3_generator import Design
#
# from avnb import course, layers
# from avnb.viz import show
# from data_scripts import bandstand

# %% [markdown]
# ## A kernel that looks one way
#
# Something moves to the right. Then what is *here* now was to the *left* before: a
# kernel for that motion looks left. How far up and down must it look as well? The
# farther away, the more, since the motion need not be quite level. So the kernel is a
# **triangle**: the pixel itself, 3 pixels one step back, 5 pixels two steps back, …
#
# The paper builds it of strips. A strip that lies across the direction is a
# one-dimensional kernel; moved $s$ pixels back it looks there. With $\tau$ for this,
#
# $$x * h^+ = \tau_h^+(x * h), \qquad
#   x * \text{triangle} = \sum_{s=0}^{k} \tau^{s}(x * h_s), \quad |h_s| = 2s + 1,$$
#
# under one shared bias. The other direction is the same strips, moved the other way:
# the mirror image, with no weight of its own.


# %%
def triangle(strips: list[Tensor], direction: str) -> Float[Tensor, "k k"]:
    """The kernel of strips of 1, 3, 5, … weights that looks where motion comes from.

    direction: "h+" for motion to the right (it looks left), "h-", "v+" (down), "v-".
    """
    k = len(strips) - 1
    rows = [F.pad(strip, (k - s, k - s)) for s, strip in enumerate(strips)]
    looking_up = torch.stack([*reversed(rows), *[torch.zeros(2 * k + 1)] * k])
    kernel = looking_up if direction[1] == "+" else looking_up.flip(0)
    return kernel if direction[0] == "v" else kernel.T


# %% tags=["active-ipynb"]
# strips = [torch.full((2 * s + 1,), 1.0 - 0.3 * s) for s in range(3)]
# figure, axes = show.subplots(1, 4, width=1.9, height=2.0)
# for ax, direction in zip(axes[0], ("h+", "h-", "v+", "v-"), strict=True):
#     ax.imshow(triangle(strips, direction), vmin=0, vmax=1)
#     ax.plot(2, 2, "o", color="#56B4E9")
#     ax.set(title=f"{direction}, K = 5", xticks=[], yticks=[])
#     ax.grid(False)
# figure

# %% [markdown]
# The dot is the pixel whose value is made; bright is where it looks. (A convolution in
# torch does not flip its kernel, so what you see is what it looks at.) The released
# code runs each strip as a convolution and shifts the results. `avnb.layers` adds the
# strips into one such kernel beforehand: the same numbers, one convolution. It is the
# same triangle:

# %% tags=["active-ipynb"]
# layer = layers.DirectionalConvGRU(1, 1, kernel_size=3, axis="h")
# towards, back = layer.kernels[0].dense()
# mine = [strip[0, 0].flatten() for strip in layer.kernels[0].strips]
# assert torch.equal(triangle(mine, "h+"), towards[0, 0])
# assert torch.equal(triangle(mine, "h-"), back[0, 0])
# triangle([strip.detach() for strip in mine], "h+")

# %% [markdown]
# (One contradiction settled: by the paper's *formula* $h^+$ shifts to the right, by its
# *words* it "predicts negative horizontal movements". We take the formula: + is to the
# right and down.)
#
# ## Five recurrences
#
# Each direction is a GRU whose products are convolutions, with the triangle for its
# kernel; the fifth, $c$, has a plain square one, for motion along the camera's axis.
# None knows of the others:
#
# $$z, r = \sigma(W * [x_t, h_{t-1}] + b), \quad
#   n = \tanh(W_n * [x_t,\ r \odot h_{t-1}] + b_n), \quad
#   h_t = (1 - z)\odot h_{t-1} + z \odot n .$$

# %% tags=["active-ipynb"]
# course.show_source(layers.ConvGRU, layers.DirectionalConvGRU, layers.VideoPrediction)

# %% [markdown]
# What does such a layer do? Flash a single pixel at frame 0, then darkness, and watch
# the state. So that we see the kernels and not random weights, all weights of $n$ are
# set to the same number, and the gates stand open.


# %%
def open_gates(recurrence: torch.nn.Module, weight: float = 0.45) -> None:
    """Weights that show a recurrence's kernels: the gates open, n's weights alike."""
    with torch.no_grad():
        for kernel in recurrence.kernels:
            hidden = len(kernel.bias) // 3
            kernel.bias.copy_(torch.tensor([3.0, 3.0, 0.0]).repeat_interleave(hidden))
            for strip in kernel.strips:
                strip.zero_()
                strip[2 * hidden :] = weight


# %%
def impulse(recurrence: torch.nn.Module, frames: int, size: int) -> Tensor:
    """The states (T, D, size, size) after one bright pixel in the middle at frame 0."""
    x = torch.zeros(1, frames, 1, size, size)
    x[0, 0, 0, size // 2, size // 2] = 1
    with torch.no_grad():
        return recurrence(x)[0][0]


# %% tags=["active-ipynb", "impulse-responses"]
# sideways = layers.DirectionalConvGRU(1, 1, axis="h")
# centred = layers.ConvGRU(1, 1)
# upright = layers.DirectionalConvGRU(1, 1, axis="v")
# for recurrence in (sideways, upright):
#     open_gates(recurrence)
# open_gates(centred, 0.2)
# states = torch.cat([impulse(r, 7, 19) for r in (sideways, centred, upright)], dim=1)
# figure, axes = show.subplots(5, 7, width=1.1, height=1.15)
# for row, (direction, film) in enumerate(
#     zip(("h+", "h-", "c", "v+", "v-"), states.unbind(1), strict=True)
# ):
#     for t, picture in enumerate(film):
#         axes[row, t].imshow(picture / film.max(), vmin=0, vmax=1)
#         axes[row, t].set(xticks=[], yticks=[])
#         axes[row, t].grid(False)
#         if row == 0:
#             axes[row, t].set_title(f"frame {t}")
#     axes[row, 0].set_ylabel(direction, rotation=0, ha="right", va="center")
# figure

# %% [markdown]
# The flash of h+ runs to the right, spreading into a triangle; h- is its mirror image
# by the same weights; c stays and grows. One step reaches $k$ pixels, so whatever moves
# faster than $k$ pixels a frame is too fast for the layer: with K = 3 one pixel, at 20
# frames a second and 64 pixels about a third of the picture a second.
#
# ## Blending, Eq. 3 and 4
#
# The five states are stacked, and each pixel by itself ($1\times1$ convolutions) is
# turned into a prediction $x'_t$ and a **mask** $a_t$ between 0 and 1, one for all
# channels:
#
# $$X_t = [x_t^{h+}, x_t^{h-}, x_t^{c}, x_t^{v+}, x_t^{v-}] \tag{3}$$
#
# $$x'_t = X_t W_x + b_x, \qquad a_t = \sigma(X_t W_a + b_a), \qquad
#   x''_t = a_t \odot x_t + (1 - a_t) \odot x'_t . \tag{4}$$
#
# Where $a_t$ is 1 the painted frame stays; where it is 0 the past decides.


# %%
def blended(
    x: Float[Tensor, "t c h w"],
    states: Float[Tensor, "t p h w"],
    blend: torch.nn.Conv2d,
) -> Float[Tensor, "t c h w"]:
    """X'' of Eq. 4; one 1×1 convolution makes both x' and, last, the mask's logit."""
    both = blend(states)
    predicted, mask = both[:, :-1], both[:, -1:].sigmoid()
    return mask * x + (1 - mask) * predicted


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# layer = layers.VideoPrediction(channels=4)
# x = torch.randn(1, 6, 4, 16, 16)
# with torch.no_grad():
#     output, state = layer(x)
#     hidden = layer.recurrences(x)[0]
#     by_hand = blended(x[0], hidden[0], layer.blend)
# assert output.shape == x.shape
# assert state.shape == (1, 5 * 4, 16, 16)
# assert torch.allclose(output[0], by_hand, atol=1e-5)
# print(f"{tuple(x.shape)} → {tuple(output.shape)}, state {tuple(state.shape)}")

# %% [markdown]
# ## The mask as a film
#
# What does a mask learn to be? Give the layer a small task: a cellist whose frames
# tremble, each with fresh noise, and the true frames as the goal. Where nothing moves,
# the past knows better than the noisy present; where the bow moves, the present does.

# %% tags=["active-ipynb"]
# take = bandstand.record_take("melodic", player=6, seconds=4, seed=0)
# times = 1 + np.arange(10) / 20
# true = np.stack([take.draw(float(t), 32) for t in times])
# true = torch.from_numpy(true).permute(0, 3, 1, 2)[None].float() / 127.5 - 1
# torch.manual_seed(0)
# steady = layers.VideoPrediction(channels=3)
# optimizer = torch.optim.Adam(steady.parameters(), lr=0.02)
# for _ in range(60):
#     trembling = true + 0.3 * torch.randn_like(true)
#     loss = F.mse_loss(steady(trembling)[0][:, 2:], true[:, 2:])
#     optimizer.zero_grad()
#     loss.backward()
#     optimizer.step()
# before = F.mse_loss(trembling[:, 2:], true[:, 2:])
# print(f"error of the frames {before:.3f}, after the layer {loss:.3f}")

# %% tags=["active-ipynb", "mask"]
# with torch.no_grad():
#     seen = steady.predict(trembling)
# mask = (seen.mask[0] / seen.mask.max()).expand(-1, 3, -1, -1)
# rows = [(trembling[0] + 1) / 2, mask]
# rows += [(seen.predicted[0] + 1) / 2, (seen.output[0] + 1) / 2]
# names = ["painted x", "mask a", "predicted x′", "blended x″"]
# show.image_grid([row.clamp(0, 1)[1:] for row in rows], rows=names)

# %% [markdown]
# The mask (brightest where most of the painted frame is kept) has found the player,
# without having been told of one. The wall, which stands still, is left to the past. In
# the first column there is little past to go by, so more of the frame is kept.
#
# ## A film of any length
#
# The layer gives its state out and takes it back, as R does. So a film is made window
# by window, each going on where the last one stopped, in the memory of one window, and
# what comes out is what one pass would give. `film` does that for the whole animator,
# and is how every film of this series is made.
#
# `features (T, B) → frames (T, N, N, 3), bytes`


# %%
@torch.no_grad()
def film(
    animator: Animator, features: Float[Tensor, "t b"], length: int = 32, seed: int = 0
) -> UInt8[Tensor, "t n n 3"]:
    """What the animator makes of a sound's features, `length` frames at a time.

    The motion's noise is that of the seed, whatever the length. Once trained, the
    layers' own noise is not: seed torch for that.
    """
    animator.eval()
    random = torch.Generator().manual_seed(seed)
    size = (len(features), animator.motion.noise_size)
    noise = torch.randn(size, generator=random).to(features)
    states, parts = None, []
    windows = zip(features.split(length), noise.split(length), strict=True)
    for heard, chance in windows:
        video, states = animator(heard, states, chance)
        parts.append(((video + 1) * 127.5).round().byte().permute(0, 2, 3, 1))
    return torch.cat(parts)


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# animator = Animator(Design(), size=32, base=64)
# features = torch.randn(20, 64)
# whole, parts = film(animator, features, 20), film(animator, features, 7)
# assert whole.shape == (20, 32, 32, 3)
# apart = (whole.int() - parts.int()).abs().max().item()
# assert apart <= 1
# print(f"one pass and windows of 7: at most {apart} of 255 apart")

# %% [markdown]
# In training the state is carried over in the same way, and the gradient is cut at the
# border. A window of 32 frames at 256×256 fills a graphics card's memory with what the
# backward pass needs: `VideoPrediction(…, recompute=8)` keeps only every eighth state
# and computes the rest again.
#
# ## Exercises
#
# 1. Which pixels does a directional kernel see? And what does the state of a frame see
#    after several frames?
# 2. Blend by Eq. 4, with matrices instead of $1\times1$ convolutions.

# %% tags=["active-ipynb"]
# from avnb_notebooks.listen_and_move import exercises
#
#
# def reach_of_a_flash(frames, k):
#     """(columns, rows) of the smallest box around what a flash has lit by h+.
#
#     The flash is one pixel at frame 0; k = (K - 1) / 2; `frames` frames have passed
#     since, with the box counted at the last, the state of frame 0 being itself made
#     by one look.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.REACH_OF_A_FLASH, reach_of_a_flash)

# %% tags=["active-ipynb"]
# def blend_by_hand(x, X, W_x, b_x, W_a, b_a):
#     """X'' (C, H, W) of x (C, H, W) and the states X (D, H, W).
#
#     W_x (D, C), b_x (C,), W_a (D,), b_a a number.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.BLEND_BY_HAND, blend_by_hand)
