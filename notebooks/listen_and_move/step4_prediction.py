# %% [markdown]
# # Step 4 · Prediction: where will everything have moved to?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/listen_and_move/step4_prediction.ipynb)
#
# If each frame is generated on its own, the video trembles, however good the single
# frames are. The last layer of the generator therefore uses the past. From the frames
# so far it **predicts** the maps of the current frame, and it blends this prediction
# with the generated maps (Sec. 3.4). Things in a video move up, down, left, right, or
# towards the camera, so there are five predictors. Four of them look in one direction
# only.
#
# **You will learn**
#
# 1. how a kernel that looks in one direction is built from strips,
# 2. how a GRU becomes a **ConvGRU**, written out as a loop over time, and what its five
#    directions do to a single bright pixel,
# 3. how prediction and frame are blended by a mask (Eq. 3 and 4),
# 4. how the fast layers of `avnb.layers` compute the same numbers,
# 5. how to generate a video of any length, window by window.
#
# **Time.** About 20 minutes to read. The cells run in about a minute.
#
# **Before you start.** Read steps 2 (the GRU) and 3 (the generator).
#
# **Letters.** B batch · T frames · C channels of a frame · P hidden channels (= C) ·
# K = 2k + 1 kernel size · d direction: h+, h-, c, v+, v- · H, W height and width.

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
from collections.abc import Callable

import torch
from avnb_notebooks.listen_and_move.step3_generator import SoundToVideo
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F


# %% tags=["active-ipynb"]
# import numpy as np
# from avnb_notebooks.listen_and_move.step2_motion import time_layer
# from avnb_notebooks.listen_and_move.step3_generator import ModelConfig
#
# from avnb import course, layers
# from avnb.viz import show
# from data_scripts import bandstand

# %% [markdown]
# ## A kernel that looks in one direction
#
# Suppose something moves to the right. Then what is *here* now was further to the
# *left* before, so a kernel for this motion must look to the left. How far up and down
# must it look? Further away it must look at more rows, because the motion may not be
# exactly horizontal. The kernel is therefore a **triangle**: the pixel itself, 3 pixels
# one step back, 5 pixels two steps back, and so on.
#
# The paper builds the triangle from strips. A strip is a one-dimensional kernel that
# lies across the direction of motion. Shifting its output by $s$ pixels makes it look
# $s$ pixels back. With $\tau$ for a shift by one pixel,
#
# $$x * h^+ = \tau_h^+(x * h), \qquad
#   x * \text{triangle} = \sum_{s=0}^{k} \tau^{s}(x * h_s), \quad |h_s| = 2s + 1,$$
#
# plus one bias. The opposite direction uses the same strips and shifts the other way.
# It is the mirror image and has no weights of its own.


# %%
def triangular_kernel(strips: list[Tensor], direction: str) -> Float[Tensor, "k k"]:
    """The kernel of strips of 1, 3, 5, … weights, as one square matrix.

    Args:
        strips: the weights of each strip.
        direction: "h+" for motion to the right (the kernel looks left), "h-" to the
            left, "v+" down, "v-" up.
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
#     ax.imshow(triangular_kernel(strips, direction), vmin=0, vmax=1)
#     ax.plot(2, 2, "o", color="#56B4E9")
#     ax.set(title=f"{direction}, K = 5", xticks=[], yticks=[])
#     ax.grid(False)
# figure

# %% [markdown]
# The dot marks the pixel whose value is computed. Bright pixels are those that the
# kernel looks at. (torch's convolution does not flip the kernel, so the picture shows
# the pixels as they lie in the frame.)
#
# The released code applies each strip as a convolution and shifts the result. We do the
# same. At the border a shift needs values from outside the frame. It repeats the value
# at the edge.


# %%
def shift_pixels(y: Tensor, by: int, axis: str) -> Tensor:
    """Shift maps by some pixels to the right ("h") or down ("v"), edges repeated."""
    before, after = max(by, 0), max(-by, 0)
    if axis == "h":
        wide = F.pad(y, (before, after, 0, 0), mode="replicate")
        return wide[..., after : after + y.shape[-1]]
    wide = F.pad(y, (0, 0, before, after), mode="replicate")
    return wide[..., after : after + y.shape[-2], :]


# %%
class PlainDirectionalConv(nn.Module):
    """Strips across an axis ("h" or "v"), the s-th shifted by s pixels, and one bias.

    With `axis=None` it is an ordinary convolution with a square kernel.
    """

    def __init__(self, channels: int, out: int, size: int, axis: str | None) -> None:
        super().__init__()
        self.axis, shapes = axis, [(size, size)]
        if axis is not None:
            widths = range(1, size + 1, 2)
            shapes = [(1, w) if axis == "v" else (w, 1) for w in widths]
        self.strips = nn.ModuleList(
            nn.Conv2d(channels, out, (a, b), padding=(a // 2, b // 2), bias=False)
            for a, b in shapes
        )
        # random and not zero, so that a comparison would notice a missing bias
        self.bias = nn.Parameter(torch.randn(out))

    def forward(self, x: Tensor, sign: int = 1) -> Tensor:
        """Maps (B, C, H, W) → (B, out, H, W); `sign` is the direction, 1 or -1."""
        y = self.strips[0](x)
        for s, strip in list(enumerate(self.strips))[1:]:
            y = y + shift_pixels(strip(x), sign * s, self.axis)
        return y + self.bias[:, None, None]


# %% [markdown]
# Away from the border the shifted strips are a convolution with the triangle:

# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# conv, x = PlainDirectionalConv(1, 1, 5, "h"), torch.randn(1, 1, 12, 12)
# with torch.no_grad():
#     weights = [strip.weight.flatten() for strip in conv.strips]
#     for sign, direction in ((1, "h+"), (-1, "h-")):
#         kernel = triangular_kernel(weights, direction)[None, None]
#         inside = conv(x, sign)[..., 2:-2, 2:-2]
#         assert torch.allclose(inside, F.conv2d(x, kernel, conv.bias), atol=1e-5)
# print(f"{tuple(x.shape)} → {tuple(conv(x).shape)}, inside as one kernel of 5×5 gives")

# %% [markdown]
# (The paper contradicts itself on the sign. By the *formula* $h^+$ shifts to the right.
# By the *text* it "predicts negative horizontal movements". We follow the formula: + is
# to the right and down.)
#
# ## A ConvGRU
#
# In a ConvGRU the matrix products of a GRU are convolutions, so the state is a map with
# height and width. Here the convolution of each gate is the triangle, or a square for
# the fifth predictor $c$ (motion towards the camera). $*$ is the convolution,
# $[\cdot,\cdot]$ puts channels above one another, and $h_0 = 0$:
#
# $$\begin{aligned}
# z_t &= \sigma(W_z * [x_t, h_{t-1}] + b_z) && \text{update gate} \\
# r_t &= \sigma(W_r * [x_t, h_{t-1}] + b_r) && \text{reset gate} \\
# n_t &= \tanh(W_n * [x_t,\ r_t \odot h_{t-1}] + b_n) && \text{candidate} \\
# h_t &= (1 - z_t)\odot h_{t-1} + z_t \odot n_t && \text{new state}
# \end{aligned}$$
#
# Two details differ from step 2. The reset gate is applied *before* the convolution
# with the state, as in the released code. And here $z = 1$ means that the candidate
# *replaces* the state, while in torch's GRU it means that the state is kept.
#
# `x (B, T, C, H, W) → states (B, T, P, H, W)`


# %%
class PlainConvGRU(nn.Module):
    """A ConvGRU for one direction, as a loop over the frames (Sec. 3.4)."""

    def __init__(
        self, channels: int, hidden: int, size: int = 3, axis: str | None = None
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.update, self.reset, self.candidate = (
            PlainDirectionalConv(channels + hidden, hidden, size, axis)
            for _ in range(3)
        )

    def forward(self, x: Tensor, sign: int = 1) -> Tensor:
        """Frames (B, T, C, H, W) → states (B, T, P, H, W), from a state of zeros."""
        h = x.new_zeros(len(x), self.hidden, *x.shape[-2:])
        states = []
        for x_t in x.unbind(dim=1):  # frame by frame
            both = torch.cat([x_t, h], dim=1)
            z = torch.sigmoid(self.update(both, sign))
            r = torch.sigmoid(self.reset(both, sign))
            n = torch.tanh(self.candidate(torch.cat([x_t, r * h], dim=1), sign))
            h = (1 - z) * h + z * n
            states.append(h)
        return torch.stack(states, dim=1)


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# gru, x = PlainConvGRU(4, 4, axis="h"), torch.randn(1, 6, 4, 16, 16)
# with torch.no_grad():
#     right, left = gru(x, 1), gru(x, -1)
#     mirrored = gru(x.flip(-1), 1).flip(-1)
# assert right.shape == (1, 6, 4, 16, 16)
# assert torch.allclose(left, mirrored, atol=1e-5), "h- must be the mirror image of h+"
# print(f"{tuple(x.shape)} → {tuple(right.shape)} for each direction")

# %% [markdown]
# What does such a layer do? We show it one bright pixel in frame 0 and black frames
# after that, and look at the state. To see the kernels and not random weights, all
# weights of the candidate get the same value, and large biases keep both gates open.


# %%
def open_gates(gru: PlainConvGRU, weight: float = 0.45) -> None:
    """Set weights that make the kernels visible: open gates, equal weights."""
    with torch.no_grad():
        for conv in (gru.update, gru.reset, gru.candidate):
            conv.bias.fill_(3.0)  # sigmoid(3) = 0.95
            for strip in conv.strips:
                strip.weight.zero_()
        gru.candidate.bias.zero_()
        for strip in gru.candidate.strips:
            strip.weight.fill_(weight)


# %%
def impulse_response(
    gru: PlainConvGRU, sign: int, frames: int, size: int
) -> Float[Tensor, "t size size"]:
    """The states after one bright pixel in the middle of frame 0."""
    x = torch.zeros(1, frames, 1, size, size)
    x[0, 0, 0, size // 2, size // 2] = 1
    with torch.no_grad():
        return gru(x, sign)[0, :, 0]


# %% tags=["active-ipynb", "impulse-responses"]
# grus = {axis: PlainConvGRU(1, 1, axis=axis) for axis in ("h", None, "v")}
# for axis, gru in grus.items():
#     open_gates(gru, 0.45 if axis else 0.2)
# directions = {"h+": ("h", 1), "h-": ("h", -1), "c": (None, 1)}
# directions |= {"v+": ("v", 1), "v-": ("v", -1)}
# figure, axes = show.subplots(5, 7, width=1.1, height=1.15)
# for row, (direction, (axis, sign)) in enumerate(directions.items()):
#     response = impulse_response(grus[axis], sign, 7, 19)
#     for t, picture in enumerate(response):
#         axes[row, t].imshow(picture / response.max(), vmin=0, vmax=1)
#         axes[row, t].set(xticks=[], yticks=[])
#         axes[row, t].grid(False)
#         if row == 0:
#             axes[row, t].set_title(f"frame {t}")
#     axes[row, 0].set_ylabel(direction, rotation=0, ha="right", va="center")
# figure

# %% [markdown]
# In h+ the pixel moves to the right and spreads into a triangle. h- is its mirror image
# with the same weights, and in c it stays in place and grows. One step reaches $k$
# pixels, so the layer cannot follow anything that moves faster than $k$ pixels a frame.
# With K = 3 this is one pixel. At 20 frames a second and 64 pixels, it is a third of
# the picture's width each second.
#
# ## Blending, Eq. 3 and 4
#
# The five states are put above one another. At each pixel, $1\times1$ convolutions turn
# them into a prediction $x'_t$ and a **mask** $a_t$ between 0 and 1, which is the same
# for all channels:
#
# $$X_t = [x_t^{h+}, x_t^{h-}, x_t^{c}, x_t^{v+}, x_t^{v-}] \tag{3}$$
#
# $$x'_t = X_t W_x + b_x, \qquad a_t = \sigma(X_t W_a + b_a), \qquad
#   x''_t = a_t \odot x_t + (1 - a_t) \odot x'_t . \tag{4}$$
#
# Where $a_t$ is 1, the generated frame stays. Where it is 0, the prediction replaces
# it.
#
# `x (B, T, C, H, W) → x'' of the same shape`


# %%
class PlainVideoPrediction(nn.Module):
    """Five directions and their blending (Eq. 3 and 4); + and - share their weights."""

    def __init__(self, channels: int, size: int = 3) -> None:
        super().__init__()
        self.horizontal, self.centre, self.vertical = (
            PlainConvGRU(channels, channels, size, axis) for axis in ("h", None, "v")
        )
        self.to_prediction = nn.Conv2d(5 * channels, channels, 1)  # W_x and b_x
        self.to_mask = nn.Conv2d(5 * channels, 1, 1)  # W_a and b_a

    def forward(self, x: Tensor) -> Tensor:
        """Frames (B, T, C, H, W) → blended frames of the same shape."""
        states = [self.horizontal(x, 1), self.horizontal(x, -1), self.centre(x)]
        states += [self.vertical(x, 1), self.vertical(x, -1)]
        # a 1×1 convolution takes single frames: (B, T, …) becomes (B·T, …) and back
        X = torch.cat(states, dim=2).flatten(0, 1)
        predicted = self.to_prediction(X).unflatten(0, x.shape[:2])
        mask = torch.sigmoid(self.to_mask(X)).unflatten(0, x.shape[:2])
        return mask * x + (1 - mask) * predicted


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# plain, x = PlainVideoPrediction(channels=16), torch.randn(1, 16, 16, 32, 32)
# with torch.no_grad():
#     slow = plain(x)
# assert slow.shape == x.shape
# print(f"{tuple(x.shape)} → {tuple(slow.shape)}")

# %% [markdown]
# ## The fast version
#
# The plain version runs five loops, and in each step every strip of every gate is a
# convolution of its own. `avnb.layers` changes two things. It adds the strips of a gate
# into one triangular kernel, and it computes all directions at once, in two grouped
# convolutions for each frame. It also returns the state, so that the next window can go
# on with it.

# %% tags=["active-ipynb"]
# course.show_source(layers.ConvGRU, layers.DirectionalConvGRU, layers.VideoPrediction)

# %% [markdown]
# To compare both, the weights of the plain layer are renamed and stacked as the fast
# one has them:


# %%
def rename_conv_gru_weights(
    plain: PlainConvGRU,
    read: Callable[[Tensor], Tensor] = Tensor.detach,
    number: int = 0,
) -> dict[str, Tensor]:
    """The weights of a plain ConvGRU under the names of the fast layers.

    `read` says what to take of each weight. The tests use it to compare gradients.
    """
    gates = [plain.update, plain.reset, plain.candidate]  # z, r, n above one another
    prefix = f"kernels.{number}"
    renamed = {f"{prefix}.bias": torch.cat([read(gate.bias) for gate in gates])}
    for s in range(len(plain.update.strips)):
        strip = torch.cat([read(gate.strips[s].weight) for gate in gates])
        # the fast layer stores all strips lying, as those of axis "v" do
        renamed[f"{prefix}.strips.{s}"] = (
            strip.mT if plain.update.axis == "h" else strip
        )
    return renamed


# %%
def rename_prediction_weights(
    plain: PlainVideoPrediction, read: Callable[[Tensor], Tensor] = Tensor.detach
) -> dict[str, Tensor]:
    """The weights of `PlainVideoPrediction` under the names of `VideoPrediction`."""
    renamed = {}
    for number, gru in enumerate((plain.horizontal, plain.centre, plain.vertical)):
        for name, value in rename_conv_gru_weights(gru, read, number).items():
            renamed[f"recurrences.{name}"] = value
    for name in ("weight", "bias"):  # one convolution for x' and, last, the mask
        both = [getattr(conv, name) for conv in (plain.to_prediction, plain.to_mask)]
        renamed[f"blend.{name}"] = torch.cat([read(value) for value in both])
    return renamed


# %% tags=["active-ipynb", "fast-prediction"]
# fast = layers.VideoPrediction(16)
# fast.load_state_dict(rename_prediction_weights(plain))
# with torch.no_grad():
#     quick, state = fast(x)
# assert torch.allclose(slow, quick, atol=1e-4)
# assert state.shape == (1, 5 * 16, 32, 32)
# print(f"largest difference of the outputs: {float((slow - quick).abs().max()):.1e}")
# seconds = {
#     "plain loops": time_layer(plain, x, repeats=3),
#     "avnb.layers": time_layer(fast, x, repeats=3),
# }
# show.table(
#     [
#         {
#             "16 frames of 32×32, forward and backward": name,
#             "ms": 1000 * s,
#             "times faster": seconds["plain loops"] / s,
#         }
#         for name, s in seconds.items()
#     ]
# )

# %% [markdown]
# Both give the same output up to rounding. (The times are from the machine that ran
# this notebook.) The kernel inside the fast layer is the triangle from above:

# %% tags=["active-ipynb"]
# layer = layers.DirectionalConvGRU(1, 1, kernel_size=3, axis="h")
# to_right, to_left = layer.kernels[0].dense()
# weights = [strip[0, 0].flatten() for strip in layer.kernels[0].strips]
# assert torch.equal(triangular_kernel(weights, "h+"), to_right[0, 0])
# assert torch.equal(triangular_kernel(weights, "h-"), to_left[0, 0])
# triangular_kernel([strip.detach() for strip in weights], "h+")

# %% [markdown]
# ## What does the mask learn?
#
# To see it, we train the layer on a small task. The input is a short video of a cellist
# with new noise in each frame, and the target is the video without noise. Where nothing
# moves, the past is more reliable than the noisy frame. Where the bow moves, the frame
# itself is more reliable.

# %% tags=["active-ipynb"]
# take = bandstand.record_take("melodic", player=6, seconds=4, seed=0)
# times = 1 + np.arange(10) / 20
# clean = np.stack([take.draw(float(t), 32) for t in times])
# clean = torch.from_numpy(clean).permute(0, 3, 1, 2)[None].float() / 127.5 - 1
# torch.manual_seed(0)
# denoiser = layers.VideoPrediction(channels=3)
# optimizer = torch.optim.Adam(denoiser.parameters(), lr=0.02)
# for _ in range(60):
#     noisy = clean + 0.3 * torch.randn_like(clean)
#     loss = F.mse_loss(denoiser(noisy)[0][:, 2:], clean[:, 2:])
#     optimizer.zero_grad()
#     loss.backward()
#     optimizer.step()
# before = F.mse_loss(noisy[:, 2:], clean[:, 2:])
# print(f"mean square error of the input {before:.3f}, of the output {loss:.3f}")

# %% tags=["active-ipynb", "mask"]
# with torch.no_grad():
#     result = denoiser.predict(noisy)
# mask = (result.mask[0] / result.mask.max()).expand(-1, 3, -1, -1)
# rows = [(noisy[0] + 1) / 2, mask]
# rows += [(result.predicted[0] + 1) / 2, (result.output[0] + 1) / 2]
# names = ["input x", "mask a", "predicted x′", "blended x″"]
# show.image_grid([row.clamp(0, 1)[1:] for row in rows], rows=names)

# %% [markdown]
# The mask is bright where most of the input frame is kept. It has found the player,
# although nobody told it where the player is. The wall does not move and is taken from
# the prediction. In the first column there is little past to predict from, so more of
# the input is kept.
#
# ## A video of any length
#
# The layer returns its state and takes it back, as $R$ does. A video is therefore made
# window by window. Each window continues where the last one stopped, the memory is that
# of one window, and the result is that of one pass. `generate_video` does this for the
# whole model. All videos of this series are made with it.
#
# `features (T, B) → frames (T, N, N, 3), bytes`


# %%
@torch.no_grad()
def generate_video(
    model: SoundToVideo, features: Float[Tensor, "t b"], length: int = 32, seed: int = 0
) -> UInt8[Tensor, "t n n 3"]:
    """Generate the video for a sound's features, `length` frames at a time.

    The noise of the motion depends on the seed alone, whatever the length. The noise
    that the layers inject after training does not: seed torch for it.
    """
    model.eval()
    random = torch.Generator().manual_seed(seed)
    size = (len(features), model.motion.noise_size)
    noise = torch.randn(size, generator=random).to(features)
    states, parts = None, []
    windows = zip(features.split(length), noise.split(length), strict=True)
    for window_features, window_noise in windows:
        video, states = model(window_features, states, window_noise)
        parts.append(((video + 1) * 127.5).round().byte().permute(0, 2, 3, 1))
    return torch.cat(parts)


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# model = SoundToVideo(ModelConfig(), size=32, base=64)
# features = torch.randn(20, 64)
# whole, parts = generate_video(model, features, 20), generate_video(model, features, 7)
# assert whole.shape == (20, 32, 32, 3)
# difference = (whole.int() - parts.int()).abs().max().item()
# assert difference <= 1
# print(f"one pass and windows of 7 frames differ by at most {difference} of 255")

# %% [markdown]
# Training carries the state in the same way and stops the gradient at the border. The
# values that the backward pass of one window needs at 256×256, 32 frames, fill the
# memory of a graphics card. `VideoPrediction(…, recompute=8)` keeps only every eighth
# state and computes the others again in the backward pass.
#
# ## What came out
#
# - A directional kernel is a sum of shifted strips. Opposite directions share weights.
# - A ConvGRU is the GRU of step 2 with convolutions. The plain loops and
#   `avnb.layers.VideoPrediction` give the same output.
# - Videos of any length are generated window by window.
#
# The next cell writes from the numbers above what the mask has learned in the example:

# %% tags=["active-ipynb", "came-out"]
# slower = seconds["plain loops"] / seconds["avnb.layers"]
# print(f"The plain loops took {slower:.1f} times as long as avnb.layers.")
# spread = clean[0].std(dim=0).mean(dim=0)  # over the frames, then the colours: (H, W)
# moves = spread > spread.quantile(0.8)
# mask = result.mask[0, 1:, 0].mean(dim=0)  # (H, W), without the first frame
# moving, still = (mask[where].mean().item() for where in (moves, ~moves))
# print(f"The mean of the mask is {moving:.3f} in the fifth of the picture in which")
# print(f"most moves, and {still:.3f} in the rest: {moving / still:.2f} times as much")
# print("of the input is kept where most moves.")
# print(f"Mean square error: {before.item():.3f} of the input,", end=" ")
# print(f"{loss.item():.3f} of the output.")

# %% [markdown]
# ## Exercises
#
# 1. Write one step of a ConvGRU.
# 2. Blend by Eq. 4 with matrices in place of $1\times1$ convolutions.

# %% tags=["active-ipynb"]
# from avnb_notebooks.listen_and_move import exercises
#
#
# def conv_gru_step(x, h, gates, candidate):
#     """The new state (B, P, H, W) of a frame x (B, C, H, W) and the old state h.
#
#     gates: the convolution from C + P channels to those of z and then of r, before
#     their sigmoids. candidate: the one from C + P channels to n, before its tanh.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.CONV_GRU_STEP, conv_gru_step)

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
