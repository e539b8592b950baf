# %% [markdown]
# # Step 3 · One stream: a first frame and eight segments become eight frames
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/cascaded_siamese/step3_stream.ipynb)
#
# The paper's generator is a row of four **streams**. Each makes a clip of eight frames
# from an image, the sound of the clip, and a class. This notebook builds one stream. It
# follows ImaGINator (Wang et al. 2020), which "shares a similar architecture as one of
# our streams" (Sec. 4).
#
# **You will learn**
#
# 1. how an image becomes a code **and** maps at four sizes, the skips,
# 2. how a factorised block doubles time first and space second,
# 3. how a decoder of eight frames differs from one of 32,
# 4. what the skips are for: you watch streams learn with them and without,
# 5. how a stream that gives only what changes need not learn to copy,
# 6. why this "GAN" has no noise, and how to give it some.
#
# **Time.** About 25 minutes to read. The cells run in about two minutes.
#
# **Before you start.** Read step 2.
#
# **Letters.** B items · N side of a frame · T frames of a clip (8) · I code of the
# image (100) · H code of the sound (256) · C classes (26 letters, or 43 persons) · w
# width (64 in the paper) · L layers that halve the image (4 at 64 pixels, 3 at 32).

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

import torch
from avnb_notebooks.cascaded_siamese.step2_sound import CLIP, SoundEncoder
from avnb_notebooks.joint_gan.step3_picture import count_doublings
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from avnb.errors import AvnbError

# %% tags=["active-ipynb"]
# import numpy as np
# from avnb_notebooks.cascaded_siamese.step1_data import FPS
# from avnb_notebooks.cascaded_siamese.step2_sound import SegmentCutter, film_speaker
#
# from avnb import course
# from avnb.viz import show
#
# cutter = SegmentCutter()
# video, sound = film_speaker(3)
# segments = cutter(sound[None])[0]
# first_clip = (video[:, :CLIP].permute(1, 2, 3, 0) + 1) / 2
# show.film_strip(first_clip, np.arange(CLIP) / FPS, title="the first clip")

# %%
SLOPE = 0.2  # of every LeakyReLU
IMAGE_CODE = 100
HEIGHT = 4  # of the smallest maps; a last 4×4 convolution makes the code of them


# %% [markdown]
# ## The image encoder
#
# Convolutions of 4×4 with stride 2 halve the image until it is 4×4, and double the
# channels. Each is followed by a batch norm and a LeakyReLU. A last convolution without
# either makes the code of 100 numbers. What is special is that the maps on the way are
# kept. They hold *where* things are, which 100 numbers cannot.
#
# `image (B, 3, N, N) → code (B, I), skips (B, w 2^l, ·, ·) from 4×4 to N/2 × N/2`


# %%
class ImageEncoderLayers(nn.Module):
    """The layers of the image encoder.

    `width` is w, 64 in the paper; `size` is N; `code` is I. `norm` "batch" is
    ImaGINator's; with "frame" there are none.
    """

    def __init__(
        self, width: int = 64, size: int = 64, code: int = IMAGE_CODE,
        norm: str = "batch",
    ) -> None:  # fmt: skip
        super().__init__()
        self.size = size
        widths = [3] + [width * 2**i for i in range(count_doublings(size))]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 4, 2, 1) for a, b in itertools.pairwise(widths)
        )
        batch = norm == "batch"
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(w) if batch else nn.Identity() for w in widths[1:]
        )
        self.code = nn.Conv2d(widths[-1], code, HEIGHT)


# %%
class ImageEncoder(ImageEncoderLayers):
    """An image → its code and its maps of every size (ImaGINator's encoder)."""

    def forward(self, image: Float[Tensor, "b 3 n n"]) -> tuple[Tensor, list[Tensor]]:
        """The code (B, I) and the skips, from 4×4 to N / 2."""
        if tuple(image.shape[1:]) != (3, self.size, self.size):
            shape = " × ".join(map(str, image.shape[1:]))
            raise AvnbError(
                "the first frame", f"it is {shape}, not 3 × {self.size} × {self.size}",
                "Give a picture of three colours without alpha, scaled to this size",
            )  # fmt: skip
        skips, x = [], image
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), SLOPE)
            skips.append(x)
        return self.code(x).flatten(1), skips[::-1]


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# encoder = ImageEncoder(width=4, size=32)
# with torch.no_grad():
#     code, skips = encoder(video[None, :, 0])
# assert code.shape == (1, 100)
# show.feature_maps(
#     {"image": (3, 32, 32)}
#     | {f"skip {k}": tuple(s.shape[1:]) for k, s in reversed(list(enumerate(skips)))}
#     | {"code": (100, 1, 1)}
# )

# %% [markdown]
# ## A block of the decoder
#
# The decoder runs the other way, and it makes time as well. A transposed convolution
# over time and space at once would have kernels of 4·4·4 = 64 weights. ImaGINator
# **factorises** it: first one over time alone, kernel $(k_t, 1, 1)$, to a middle width;
# then one over space alone, kernel $(1, 4, 4)$. Both with batch norm and LeakyReLU.
# Then the skip of the same size joins, repeated for each frame, and so does the class.
#
# Batch norms compare an image with the others of its batch. On slides, whose grounds
# are plain, a batch of 8 then changes the colour of the ground by chance. So there is a
# second kind, `norm="frame"`, for small batches: each frame is brought to mean 0 and
# deviation 1 by itself, in the decoder alone.
#
# `h (B, c, t, n, n) → (B, out + skip + C, t', 2 n, 2 n)`


# %%
def join_skip(
    h: Float[Tensor, "b c t n n"],
    skip: Float[Tensor, "b s n n"],
    label: Float[Tensor, "b classes"],
) -> Float[Tensor, "b joined t n n"]:
    """Maps | the skip, the same in all frames | the class, the same everywhere."""
    t, n = h.shape[2:4]
    still = skip[:, :, None].expand(-1, -1, t, -1, -1)
    named = label[:, :, None, None, None].expand(-1, -1, t, n, n)
    # Joined with the channels innermost in memory, as the block reads them.
    parts = [x.movedim(1, -1) for x in (h, still, named)]
    return torch.cat(parts, dim=-1).movedim(-1, 1)


# %%
class FrameNorm(nn.GroupNorm):
    """Brings each frame to mean 0 and deviation 1, over channels and places."""

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels)

    def forward(self, x: Float[Tensor, "b c t n n"]) -> Tensor:
        """Each frame alone."""
        frames = super().forward(x.transpose(1, 2).flatten(0, 1))
        return frames.unflatten(0, (len(x), -1)).transpose(1, 2)


# %%
class FactorisedBlockLayers(nn.Module):
    """The layers of a block: widths are (in, middle, out), `times` is t' / t.

    The `start` block makes `times` frames and 4×4 maps of a single place, without
    stride. The `last` one ends in a tanh. `norm` is "batch" or "frame".
    """

    def __init__(
        self, widths: tuple[int, int, int], times: int, start=False, last=False,
        norm: str = "batch",
    ) -> None:  # fmt: skip
        super().__init__()
        before, middle, after = widths
        self.last = last
        kernel, stride = (times, 1) if start else (4, 2) if times == 2 else (1, 1)
        over_time = (kernel, 1, 1), (stride, 1, 1), ((kernel - stride) // 2, 0, 0)
        if start:
            over_time = (kernel, 1, 1), 1, 0
        over_space = (1, 4, 4), (1, 1, 1) if start else (1, 2, 2)
        around = 0 if start else (0, 1, 1)
        self.time = nn.ConvTranspose3d(before, middle, *over_time)
        self.space = nn.ConvTranspose3d(middle, after, *over_space, around)
        make = {"batch": nn.BatchNorm3d, "frame": FrameNorm}[norm]
        self.norm_time = make(middle)
        self.norm_space = nn.Identity() if last else make(after)


# %%
def run_block_slow(block: FactorisedBlockLayers, h: Tensor) -> Tensor:
    """Time, then space: (B, in, t, n, n) → (B, out, t', 2 n, 2 n), as it is meant."""
    h = F.leaky_relu(block.norm_time(block.time(h)), SLOPE)
    h = block.norm_space(block.space(h))
    return torch.tanh(h) if block.last else F.leaky_relu(h, SLOPE)


# %% [markdown]
# This is what training runs through most of its time. On a processor it can be faster
# with the same weights and results. A convolution over time alone is a **matrix
# product** of all places with the kernel's four matrices $W_0 \dots W_3$. For stride 2:
#
# $$y_{2m} = W_1 x_m + W_3 x_{m-1}, \qquad y_{2m+1} = W_2 x_m + W_0 x_{m+1} .$$
#
# A convolution over space alone knows no time, so that all frames are **one batch of
# pictures**. And the channels lie innermost in memory, so that a product's result is
# the next layer's input without a copy.
#
# `x (B, t, n, n, in) → frames (2, B, t, n, n, mid)`: even ones, then odd ones


# %%
def mix_time(conv: nn.ConvTranspose3d, x: Float[Tensor, "b t h w c"]) -> Tensor:
    """A transposed convolution over time: → (phases, B, t, h, w, mid).

    The frames of the result are those of phase 0, 1, 0, 1 … in time. A kernel without
    stride makes one phase, or of a single frame as many as it has weights.
    """
    weight = conv.weight.flatten(2).movedim(2, 0)  # (k, in, mid)
    if conv.stride[0] == 1:
        rows = x.flatten(0, 3).expand(len(weight), -1, -1)
    else:
        before = F.pad(x[:, :-1], (0, 0) * 3 + (1, 0))
        after = F.pad(x[:, 1:], (0, 0) * 3 + (0, 1))
        pairs = torch.cat([x, before], dim=-1), torch.cat([x, after], dim=-1)
        rows = torch.stack(pairs).flatten(1, 4)
        even, odd = weight[[1, 3]], weight[[2, 0]]
        weight = torch.stack([even.flatten(0, 1), odd.flatten(0, 1)])
    mixed = torch.baddbmm(conv.bias, rows, weight)
    return mixed.unflatten(1, x.shape[:-1])


# %%
def spread_space(conv: nn.ConvTranspose3d, x: Float[Tensor, "f c h w"]) -> Tensor:
    """A transposed convolution over space, of a batch of frames."""
    weight = conv.weight.squeeze(2)
    if x.shape[2:] == (1, 1):  # of a single place: a product again
        mixed = x.flatten(1) @ weight.flatten(1)
        return mixed.unflatten(1, weight.shape[1:]) + conv.bias[:, None, None]
    # As `training.Run` lays out 2-d convolutions: this one is hidden in three.
    weight = weight.contiguous(memory_format=torch.channels_last)
    return F.conv_transpose2d(x, weight, conv.bias, conv.stride[1:], conv.padding[1:])


# %%
class FactorisedBlock(FactorisedBlockLayers):
    """Time, then space, as `run_block_slow`: (B, in, t, n, n) → (B, out, t', …)."""

    def forward(self, h: Float[Tensor, "b c t n n"]) -> Tensor:
        """The block without what joins it."""
        mixed = mix_time(self.time, h.movedim(1, -1))  # (phases, B, t, n, n, mid)
        sizes = mixed.shape[:3]
        # All frames are items of a batch, (f, mid, 1, n, n); a norm sees the same
        # numbers. In place, since these are the largest maps of the network.
        x = mixed.flatten(0, 2).movedim(-1, 1).unsqueeze(2)
        x = F.leaky_relu(self.norm_time(x), SLOPE, inplace=True)
        x = self.norm_space(spread_space(self.space, x.squeeze(2)).unsqueeze(2))
        x = torch.tanh(x) if self.last else F.leaky_relu(x, SLOPE, inplace=True)
        x = x.squeeze(2).unflatten(0, sizes).movedim(0, 2)  # (B, t, phases, out, ·, ·)
        return x.flatten(1, 2).transpose(1, 2)


# %% tags=["active-ipynb", "fast"]
# torch.manual_seed(0)
# block = FactorisedBlock((6, 24, 5), 2)
# x = torch.randn(2, 6, 4, 8, 8)
# with torch.no_grad():
#     slow, fast = run_block_slow(block, x), block(x)
# assert fast.shape == (2, 5, 8, 16, 16)
# assert torch.allclose(slow, fast, atol=1e-5)
# print(f"largest difference: {(slow - fast).abs().max():.1e}")

# %% [markdown]
# ## The decoder: where do eight frames come from?
#
# ImaGINator doubles time in all five blocks: 1 → 2 → 4 → 8 → 16 → 32. A stream makes
# eight frames, and the paper does not say which blocks stop doubling. We let the first
# three double, where maps are small, and leave time alone in the others. So motion is
# decided at low resolution and refined at high resolution. The table is computed:


# %%
def plan_blocks(frames: int, size: int) -> list[int]:
    """How many times as many frames each block makes, the first block first.

    Raises:
        AvnbError: the number of frames is not 2, 4, 8, …
    """
    blocks = count_doublings(size) + 1
    if frames < 2 or frames & (frames - 1):
        raise AvnbError("a clip", f"{frames} frames", "Give 2, 4, 8, 16 or 32 frames")
    # Where there are more doublings than blocks, the first block makes the rest.
    first = max(2, frames >> (blocks - 1))
    doublings = (frames // first).bit_length() - 1
    return [first] + [2] * doublings + [1] * (blocks - 1 - doublings)


# %%
class DecoderLayers(nn.Module):
    """The blocks of ImaGINator's decoder, for T frames.

    `code` counts the numbers that come in, without the class; `width` is w.
    `timed` adds channels that say something of each frame, at every size (step 2's
    states). `skips=False` leaves the skips out.
    """

    def __init__(
        self, code: int, classes: int, width: int = 64, frames: int = CLIP,
        size: int = 64, timed: int = 0, skips: bool = True, norm: str = "batch",
    ) -> None:  # fmt: skip
        super().__init__()
        self.skips = skips
        plan = plan_blocks(frames, size)
        outs = [width * 2**i for i in reversed(range(len(plan) - 1))]
        # ImaGINator's middle widths are 8 times the block's output, then 12 times.
        middles = [8 * outs[0]] + [12 * out for out in [*outs[1:], 3]]
        joined = [(2 if skips else 1) * out + classes + timed for out in outs]
        inputs = [code + classes, *joined]
        widths = zip(inputs, middles, [*outs, 3], strict=True)
        self.blocks = nn.ModuleList(
            FactorisedBlock(w, times, k == 0, k == len(plan) - 1, norm)
            for k, (w, times) in enumerate(zip(widths, plan, strict=True))
        )


# %%
class Decoder(DecoderLayers):
    """Codes → a clip (B, 3, T, N, N), with the image's skips."""

    def forward(
        self, code: Float[Tensor, "b code"], label: Float[Tensor, "b classes"],
        skips: list[Tensor], timed: Float[Tensor, "b h n"] | None = None,
    ) -> Float[Tensor, "b 3 t n n"]:  # fmt: skip
        """All blocks; what joins after each but the last."""
        h = torch.cat([code, label], dim=1)[:, :, None, None, None]
        for block, skip in zip(self.blocks[:-1], skips, strict=True):
            h = join_skip(block(h), skip if self.skips else skip[:, :0], label)
            if timed is not None:
                steps = F.adaptive_avg_pool1d(timed, h.shape[2])
                steps = steps[..., None, None].expand(-1, -1, -1, *h.shape[3:])
                both = [x.movedim(1, -1) for x in (h, steps)]
                h = torch.cat(both, dim=-1).movedim(-1, 1)
        clip: Tensor = self.blocks[-1](h)
        return clip


# %% tags=["active-ipynb", "plan"]
# rows = []
# for frames, size in ((8, 64), (32, 64), (8, 32), (32, 32)):
#     times = np.cumprod(plan_blocks(frames, size))
#     row = {"clip": f"{frames} frames of {size} px"}
#     for k, t in enumerate(times):
#         row[f"block {k + 1}"] = f"{t} × {4 << k}²"
#     rows.append(row)
# show.table(rows, "frames × pixels after each block; the last block gives the colours")

# %% [markdown]
# ## Only what changes
#
# On a slide most pixels of a clip are those of its first frame. This decoder has to
# paint them all anew, through norms and a tanh, in every frame. Copying is the first
# thing that it must learn. While its copy has a larger error than all that moves, the
# loss says little about what moves. Step 7 measures both errors.
#
# We offer another way, `residual=True`, which is no part of the paper's model: the
# decoder gives the **change** d, and the image is added to it.
#
# $$x_t = \mathrm{clip}_{[-1, 1]}(\mathrm{image} + 2\,d_t)$$
#
# The factor 2 lets the tanh reach from black to white. Clipping has a trap: beyond its
# limits its slope is 0, so a white pixel that the decoder made "whiter" could never
# become dark again. So the value is clipped, and the gradient passes as if it were not.
# (A mask that chooses between paint and image, as VGAN has it, would have the same
# trap: where it is closed, nothing behind it learns.)
#
# `image (B, 3, N, N), change (B, 3, T, N, N) → clip (B, 3, T, N, N)`


# %%
def add_change(
    image: Float[Tensor, "b 3 n n"], change: Float[Tensor, "b 3 t n n"]
) -> Float[Tensor, "b 3 t n n"]:
    """The image and what changes of it, in [-1, 1]; its gradient is that of the sum."""
    moved = image[:, :, None] + 2 * change
    # The difference is 0, and has the gradient.
    return moved.detach().clamp(-1, 1) + (moved - moved.detach())


# %% tags=["active-ipynb", "change"]
# change = torch.zeros(1, 3, 8, 32, 32, requires_grad=True)
# with torch.no_grad():
#     for t in range(8):
#         change[:, :, t, 12:20, : 4 * t] = 1.0  # a white bar grows
# moved = add_change(video[None, :, 0], change)
# moved.sum().backward()
# assert (change.grad == 2).all()  # where it is clipped, too
# frames = (moved[0].detach().permute(1, 2, 3, 0) + 1) / 2
# show.image_grid([frames], title="the first frame, and a change that grows")

# %% [markdown]
# ## A stream
#
# Image code, sound code and class enter the decoder. **No noise does**: the paper
# writes G(i, c, a). With the same inputs it always makes the same clip, so it has one
# answer even where many are right (which object enters?). ImaGINator has 512 numbers of
# noise. We keep the paper's form, and offer `noise=512`.


# %%
def begin_still(decoder: Decoder) -> None:
    """Let a decoder give small numbers at first, so that little changes."""
    last = decoder.blocks[-1].space
    with torch.no_grad():
        # Not 0: then no other layer would have a gradient at the first step.
        last.weight.mul_(0.1)
        last.bias.zero_()


# %%
class StreamLayers(nn.Module):
    """The three networks of a stream.

    `width` is w; `noise` counts z; `timed` gives the decoder all eight states of the
    sound besides the last, as w numbers a frame; `hidden` is H; `residual` adds
    its image to what the decoder gives.
    """

    def __init__(
        self, classes: int, width: int = 64, size: int = 64, frames: int = CLIP,
        hidden: int = 256, noise: int = 0, timed: bool = False, skips: bool = True,
        norm: str = "batch", residual: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.noise, self.frames, self.residual = noise, frames, residual
        self.look = ImageEncoder(width, size, norm=norm)
        self.listen = SoundEncoder(hidden)
        self.tell = nn.Linear(hidden, width) if timed else None
        self.draw = Decoder(
            hidden + IMAGE_CODE + noise, classes, width, frames, size,
            timed=width if timed else 0, skips=skips, norm=norm,
        )  # fmt: skip
        if residual:
            begin_still(self.draw)


# %%
class Stream(StreamLayers):
    """G(i, c, a): an image, a class and segments → a clip (Sec. 3.1)."""

    def forward(
        self, image: Float[Tensor, "b 3 n n"], segments: Float[Tensor, "b t m a"],
        label: Float[Tensor, "b classes"], z: Float[Tensor, "b z"] | None = None,
        state: Float[Tensor, "b h"] | None = None,
    ) -> tuple[Float[Tensor, "b 3 t n n"], Float[Tensor, "b h"]]:  # fmt: skip
        """The clip, and the state of the sound's GRU after it."""
        last, states = self.listen(segments, state)
        return self.paint(image, last, states, label, z), last

    def paint(
        self, image: Tensor, last: Tensor, states: Tensor, label: Tensor,
        z: Tensor | None = None,
    ) -> Float[Tensor, "b 3 t n n"]:  # fmt: skip
        """The clip, of a sound that is encoded already: its last state and all."""
        code, skips = self.look(image)
        parts = [last, code]
        if self.noise:
            drawn = torch.randn(len(image), self.noise, device=image.device)
            parts.append(drawn if z is None else z)
        timed = None if self.tell is None else self.tell(states).transpose(1, 2)
        clip: Tensor = self.draw(torch.cat(parts, dim=1), label, skips, timed)
        return add_change(image, clip) if self.residual else clip


# %% tags=["active-ipynb", "shapes"]
# torch.manual_seed(0)
# stream = Stream(classes=26, width=4, size=32)
# label = F.one_hot(torch.tensor([0]), 26).float()
# with torch.no_grad():
#     clip, _ = stream(video[None, :, 0], segments[None, :CLIP], label)
#     assert clip.shape == (1, 3, 8, 32, 32)
#     again, _ = stream(video[None, :, 0], segments[None, :CLIP], label)
# print("the same inputs, the same clip:", torch.equal(clip, again))

# %% [markdown]
# ## How large?
#
# At the paper's width. ImaGINator itself (noise instead of sound, six classes, 32
# frames) is in the last row, with the number of weights of its released code. Half of
# them are in its first block, where the middle width is 4,096. Would a block without
# factorising be larger? Exercise 2 asks.

# %% tags=["active-ipynb", "stream-weights"]
# def count_weights(network):
#     """The number of trained numbers."""
#     return sum(p.numel() for p in network.parameters())
#
#
# with torch.device("meta"):  # shapes only: no memory
#     nets = {
#         "image encoder": ImageEncoder(),
#         "sound's GRU": SoundEncoder(),
#         "stream, 8 frames": Stream(26),
#         "stream, 8 frames, with noise": Stream(26, noise=512),
#         "stream, 8 frames, all states": Stream(26, timed=True),
#         "one stream of 32 frames": Stream(26, frames=32),
#     }
#     parts = nn.ModuleList([ImageEncoder(), Decoder(512 + IMAGE_CODE, 6, frames=32)])
#     nets["ImaGINator as released"] = parts
# rows = [{"network": name, "weights": count_weights(n)} for name, n in nets.items()]
# show.table(rows, "at the paper's width of 64")

# %% [markdown]
# Four streams share their weights ("siamese"). So the cascade of step 4 has as many as
# one stream.
#
# ## What are the skips for?
#
# Three small streams learn to make one clip of each of four speakers, from the mean
# absolute error alone, for as many steps. The first is the paper's. The second has no
# skips: the whole picture must pass through 100 numbers. The third has skips and gives
# the change alone. The dashed line is the error of the first frame held still.


# %%
def learn_clips(
    stream: Stream, clips: Tensor, segments: Tensor, label: Tensor, steps: int = 40
) -> list[float]:
    """Fit a stream to clips (B, 3, 8, N, N) by L1; the error at each step."""
    adam = torch.optim.Adam(stream.parameters(), 2e-3, betas=(0.5, 0.999))
    errors = []
    for _ in range(steps):
        made, _ = stream(clips[:, :, 0], segments, label)
        loss = F.l1_loss(made, clips)
        adam.zero_grad()
        loss.backward()
        adam.step()
        errors.append(loss.item())
    return errors


# %% tags=["active-ipynb", "skips"]
# films = [film_speaker(player) for player in (3, 5, 8, 13)]
# clips = torch.stack([film[:, :CLIP] for film, _ in films])
# sounds = torch.stack([cutter(sound[None])[0, :CLIP] for _, sound in films])
# labels = F.one_hot(torch.arange(4), 4).float()
# kinds = {"with skips": {}, "without": {"skips": False}}
# kinds["only the change"] = {"residual": True}
# history, made = {}, {}
# for name, options in kinds.items():
#     torch.manual_seed(0)
#     net = Stream(4, width=4, size=32, hidden=16, **options)
#     history[name] = learn_clips(net, clips, sounds, labels)
#     with torch.no_grad():
#         made[name] = net(clips[:, :, 0], sounds, labels)[0]
# held = (clips - clips[:, :, :1]).abs().mean().item()
# lines = {"first frame held": held}
# show.curves(history, y="mean absolute error", logarithmic=True, lines=lines)

# %% tags=["active-ipynb", "skips-seen"]
# last = {"real": clips} | made
# pictures = [(x[:, :, -1].permute(0, 2, 3, 1) + 1) / 2 for x in last.values()]
# show.image_grid(pictures, rows=list(last), title="the last frame of each clip")

# %% [markdown]
# With skips the error falls sooner, and more of the picture is there. This is the
# paper's reason why ImaGINator and its own model look better than the others (Sec.
# 4.2). With the change alone the error begins far lower, because the image is there
# from the first step on. After so few steps none of the three is below the dashed line:
# none knows yet what moves.
#
# Both are also a danger: where it is easy to repeat the first frame, a network may do
# nothing else. Step 8 therefore has a row "first frame held still" in each of its
# tables.
#
# ## What came out
#
# - An image becomes a code and maps at each size. The maps join the decoder again.
# - Time is doubled in the first three of five blocks: 8 frames instead of 32.
# - The factorised blocks have ImaGINator's weights, to the last number.
# - With skips a stream learns the picture sooner. One that gives the change alone need
#   not learn it.
#
# ## Exercises
#
# 1. Join skip and class to the maps.
# 2. Compute whether factorising saves weights.

# %% tags=["active-ipynb"]
# from avnb_notebooks.cascaded_siamese import exercises
#
#
# def join_maps(h, skip, label):
#     """Maps (B, c + s + C, t, n, n) of h (B, c, t, n, n) and what joins it.
#
#     First h, then the skip (B, s, n, n) in every frame, then the one-hot class (B, C)
#     in every frame and pixel.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.JOIN_MAPS, join_maps)

# %% tags=["active-ipynb"]
# def count_block_weights(before, middle, after, kernel_time, kernel_space):
#     """Two numbers of weights, without biases and norms.
#
#     Of the factorised block (time: before → middle, then space: middle → after), and
#     of one transposed convolution before → after over time and space at once.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.COUNT_BLOCK_WEIGHTS, count_block_weights)
