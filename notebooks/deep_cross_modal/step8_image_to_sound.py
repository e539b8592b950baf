# %% [markdown]
# # Step 8 · Image to sound: a spectrogram is not a square
#
# The other direction: look at a musician and write down half a second of what
# is heard, as a log-mel spectrogram. The game is the one of step 6, the wrong
# pairs are now wrong *sounds* (Eq. 7), and the networks have to cope with a
# picture that is 128 high and 34 wide.
#
# **Letters.** B batch · Z noise (100) · E encoding (128) · W base width ·
# F mel bands (128) · N spectrogram frames (34 inside the networks, 44 outside) ·
# h, w height and width of a map.

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
from avnb_notebooks.deep_cross_modal.step6_sound_to_image import (
    Bottleneck,
    Compressor,
    PairHead,
    ResidualBlock,
    make_downsampling,
    make_trunk,
)
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


# %% tags=["active-ipynb"]
# import librosa
# import numpy as np
# from avnb_notebooks.deep_cross_modal.step2_sound import LMS, lms_to_waveform
# from avnb_notebooks.deep_cross_modal.step6_sound_to_image import init_weights
# from IPython.display import display
#
# from avnb.viz import show
# from data_scripts import bandstand

# %% [markdown]
# ## The way of the data, Fig. 2(b)

# %% tags=["active-ipynb"]
# made, given = "#dcecf7", "#eeeeee"
# boxes = {
#     "picture": (0.05, 0.78, "picture\n3 × 64 × 64"),
#     "encoder": (0.19, 0.78, "Γ\nof step 4"),
#     "z": (0.34, 0.91, "noise z\n100"),
#     "phi": (0.34, 0.6, "ϕ(I)\n128 → 64"),
#     "G": (0.5, 0.78, "G"),
#     "fake": (0.63, 0.78, "x̂\n128 × 34"),
#     "real": (0.63, 0.56, "its sound\n128 × 44 → 34"),
#     "wrong": (0.63, 0.35, "wrong sound ω\n128 × 44 → 34"),
#     "phiD": (0.19, 0.07, "ϕ(I) of D\n128 → 64"),
#     "D": (0.86, 0.33, "D"),
#     "S": (0.96, 0.33, "S_f\nS_r\nS_w"),
#     "heard": (0.86, 0.78, "128 × 44\nGriffin-Lim"),
# }
# arrows = [("picture", "encoder", ""), ("encoder", "phi", "128"), ("z", "G", "")]
# arrows += [("phi", "G", ""), ("G", "fake", ""), ("fake", "D", ""), ("real", "D", "")]
# arrows += [("wrong", "D", ""), ("encoder", "phiD", "128"), ("D", "S", "")]
# arrows += [("phiD", "D", ""), ("fake", "heard", "")]
# fills = dict.fromkeys(("picture", "encoder", "z", "real", "wrong", "heard"), given)
# show.diagram(boxes, arrows, fills=fills, width=9.5, height=3.6)

# %% [markdown]
# The losses are those of step 6 (Eq. 3 and 4). Of the pairs, now the *sound* is the
# one that is swapped, for any sound of another instrument (Eq. 7):
#
# $$S_w = D_{I\mapsto S}(\omega(\mathbf A_{-i}),\ \phi(I_i^j)) .$$
#
# `sample_wrong_class` of step 6 samples it unchanged: an index is an index.
#
# ## How a square becomes 128×34
#
# A transposed convolution makes
# $\text{size}_\text{out} = (\text{size}_\text{in} - 1)\,s - 2p + k$ out of a side.
# The paper takes a 32×32 map and applies two with kernel 4×4, stride (2, 1) and
# padding 1 (Sec. 3.1). The height, with $s = 2$, doubles twice; the width, with
# $s = 1$, grows by one twice:

# %% tags=["active-ipynb"]
# height = width = 32
# for number in (1, 2):
#     height, width = (height - 1) * 2 - 2 + 4, (width - 1) * 1 - 2 + 4
#     print(f"after deconvolution {number}: {height} × {width}")

# %% [markdown]
# How far does one pixel of the square map reach? Let two such layers of ones stamp a
# single pixel: it paints a patch of the spectrogram, and the same patch is what one
# place of the discriminator's 32×32 map looks at: its **receptive field**.

# %% tags=["active-ipynb"]
# stretch = nn.Sequential(
#     *[nn.ConvTranspose2d(1, 1, 4, (2, 1), 1, bias=False) for _ in range(2)]
# )
# for layer in stretch:
#     nn.init.ones_(layer.weight)
# spot = torch.zeros(1, 1, 32, 32)
# spot[0, 0, 16, 12] = 1
# reach = stretch(spot).detach()[0, 0]
# bands, frames = (int((reach.sum(axis) > 0).sum()) for axis in (1, 0))
# print(f"one pixel reaches {bands} mel bands and {frames} frames")
# figure, axes = show.subplots(1, 2, width=3.0, height=3.0)
# for ax, picture in zip(axes[0], (spot[0, 0], reach), strict=True):
#     ax.imshow(picture, aspect="auto", cmap="magma")
#     ax.set_title(" × ".join(str(side) for side in picture.shape))
#     ax.grid(False)
# figure

# %% [markdown]
# ## 128×44 in, 128×34 inside
#
# A real spectrogram of half a second has 44 frames, so it is resized to 34 on the
# way in and back to 44 on the way out.
#
# The paper names numpy's `resize` for that. It repeats and cuts the *flattened*
# data: reading rows of 44 as rows of 34, it shears every row against the next. We
# interpolate instead.
#
# `(B, 128, 44) → (B, 1, 128, 34) → (B, 128, 44)`


# %%
def resize_to_34_frames(lms: Float[Tensor, "b f n"]) -> Float[Tensor, "b 1 128 34"]:
    """A log-mel spectrogram at the size the networks work on."""
    return F.interpolate(lms[:, None], (128, 34), mode="bilinear", align_corners=True)


# %%
def resize_to_frames(x: Float[Tensor, "b 1 128 34"], frames: int = 44) -> Tensor:
    """Back to (B, 128, frames)."""
    size = (128, frames)
    return F.interpolate(x, size, mode="bilinear", align_corners=True)[:, 0]


# %% [markdown]
# Half a second of a trumpet, as it is, interpolated, and by `np.resize`:

# %% tags=["active-ipynb"]
# played = bandstand.perform("trumpet", 2, seconds=4, seed=0)
# middle = max(played.notes, key=lambda note: note.velocity).onset - 0.1
# wave = torch.from_numpy(bandstand.synthesise(played))
# wave = wave[int(44100 * middle) :][None, :22050]
# lms = LMS()(wave)
# inside = resize_to_34_frames(lms)
# sheared = torch.from_numpy(np.resize(lms[0].numpy(), (128, 34)))
# assert lms.shape == (1, 128, 44)
# assert inside.shape == (1, 1, 128, 34)
# figure, axes = show.subplots(1, 3, width=3.0, height=2.5)
# views = {"real": lms[0], "interpolated": inside[0, 0], "np.resize": sheared}
# for ax, (name, view) in zip(axes[0], views.items(), strict=True):
#     ax.imshow(view, origin="lower", aspect="auto", cmap="magma")
#     ax.grid(False)
#     sides = " × ".join(str(side) for side in view.shape)
#     ax.set(title=f"{name}, {sides}", xlabel="frame", ylabel="mel band")
# figure

# %% [markdown]
# In the third, the harmonics have become slanting stripes, and the upper bands are
# missing: 128·34 numbers are only the first 99 of 128 rows. (A network would learn
# that too, but what it writes would then have to be stretched to 44 frames by another
# cut and shear. Sec. 5.4 itself suspects the resizing of the low score of I2S.)
#
# Interpolating costs something as well. There and back:

# %% tags=["active-ipynb"]
# back = resize_to_frames(inside)
# assert back.shape == lms.shape
# loss = (back - lms)[0].abs() * 40  # 2 units are 80 dB
# print(f"44 → 34 → 44: off by {loss.mean():.2f} dB, at most {loss.max():.1f} dB")
# captions = ["real", "44 → 34 → 44", "what was lost"]
# mel_hz = librosa.mel_frequencies(130, fmin=0, fmax=22050)[1:-1]
# display(
#     show.spectrograms(
#         [lms[0], back[0], loss], hop=512 / 44100, hz=mel_hz, captions=captions
#     )
# )
# heard = ["as recorded", "LMS → sound", "LMS → 34 → 44 → sound"]
# show.listen([wave[0], lms_to_waveform(lms)[0], lms_to_waveform(back)[0]], 44100, heard)

# %% [markdown]
# What is lost lies at the attacks, where the sound changes within a frame. Steady
# notes pass almost unharmed, and the second and third sounds are hard to tell apart.

# %% [markdown]
# ## Generator
#
# $\hat x_A \leftarrow G_{I\mapsto S}(\phi(I), z)$: the trunk of step 6 up to
# 32×32, **two added 3×3 layers** there ("adding more convolution layers in the
# I2S networks helps get better output in fewer epochs"), then the two
# deconvolutions.
#
# `(B, Z), (B, E) → (B, 1, 128, 34)`


# %%
def make_same_size_conv(width: int) -> list[nn.Module]:
    """An added layer: a 3×3 convolution, norm, ReLU."""
    convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(width), nn.ReLU()]


# %%
class SpectrogramGenerator(nn.Module):
    """G_I→S: noise (B, Z) and encoding (B, E) → (B, 1, 128, 34) in [-1, 1]."""

    def __init__(self, width: int = 128, noise: int = 100, encoding: int = 128) -> None:
        super().__init__()
        self.noise = noise
        self.compress = Compressor(encoding)
        self.trunk = make_trunk(noise + 64, width)
        self.added = nn.Sequential(
            *make_same_size_conv(width), *make_same_size_conv(width)
        )
        self.stretch = nn.Sequential(
            nn.ConvTranspose2d(width, width // 2, 4, (2, 1), 1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(),
            nn.ConvTranspose2d(width // 2, 1, 4, (2, 1), 1),
        )

    def forward(
        self, z: Float[Tensor, "b z"], encoding: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b 1 128 34"]:
        condition = torch.cat([z, self.compress(encoding)], dim=1)
        x = self.trunk(rearrange(condition, "b c -> b c 1 1"))
        return torch.tanh(self.stretch(self.added(x)))


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# shapes, x = {"z, ϕ(I)": (164, 1, 1)}, torch.randn(2, 164, 1, 1)
# full = SpectrogramGenerator(width=128)
# for layer in (*full.trunk, full.added, *full.stretch):
#     x = layer(x)
#     if not isinstance(layer, nn.BatchNorm2d | nn.ReLU | Bottleneck):
#         added = layer is full.added
#         name = "two added 3×3" if added else f"stamped {len(shapes)}"
#         shapes[name] = x.shape[1:]
# show.feature_maps(shapes)

# %% [markdown]
# An untrained generator, seen and (turn it down) heard. Noise, but not any noise: the
# kernels' stripes are in it.

# %% tags=["active-ipynb"]
# generator = SpectrogramGenerator(width=8)
# generator.apply(init_weights)
# z, encoding = torch.randn(3, 100), torch.randn(3, 128)
# with torch.no_grad():
#     written = generator(z, encoding)
# assert written.shape == (3, 1, 128, 34)
# display(show.spectrograms(resize_to_frames(written), hop=512 / 44100, hz=mel_hz))
# noise = lms_to_waveform(resize_to_frames(written))
# show.listen(0.1 * noise / noise.abs().max(), 44100, ["first", "second", "third"])

# %% [markdown]
# ## Discriminator
#
# The mirror image: two convolutions with stride (2, 1) make a square 32×32 map,
# **twelve added layers** look at it (here six residual blocks of two), three
# halvings lead to 4×4, where the picture's encoding joins in.
#
# Why more layers here than for pictures? A harmonic and its octave belong together
# but lie far apart, and each 3×3 layer lets a place see one row and one frame more.
# A residual block, $y = \sigma(x + f(x))$, keeps so deep a stack trainable.
#
# `(B, 1, 128, 34), (B, 128) → (B,)`


# %%
class AddedBlock(ResidualBlock):
    """Two of the added layers with a way round them: (B, W, h, w) → (B, W, h, w)."""

    def __init__(self, width: int) -> None:
        body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        super().__init__(body, nn.LeakyReLU(0.2))


# %%
class SpectrogramDiscriminator(nn.Module):
    """D_I→S: spectrogram (B, 1, 128, 34) and encoding (B, E) → logits (B,)."""

    def __init__(self, width: int = 64, encoding: int = 128) -> None:
        super().__init__()
        self.square = nn.Sequential(
            nn.Conv2d(1, width // 2, 4, (2, 1), 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width // 2, width, 4, (2, 1), 1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
        )
        self.added = nn.Sequential(*[AddedBlock(width) for _ in range(6)])
        self.look = nn.Sequential(
            make_downsampling(width, 2 * width),
            make_downsampling(2 * width, 4 * width),
            make_downsampling(4 * width, 8 * width),
            Bottleneck(8 * width, nn.LeakyReLU(0.2)),
        )
        self.pair = PairHead(8 * width, encoding)

    def forward(
        self, spectrogram: Float[Tensor, "b 1 128 34"], encoding: Float[Tensor, "b e"]
    ) -> Float[Tensor, " b"]:
        return self.pair(self.look(self.added(self.square(spectrogram))), encoding)


# %% tags=["active-ipynb"]
# discriminator = SpectrogramDiscriminator(width=8).eval()
# score = discriminator(written, encoding)
# assert score.shape == (3,)
# assert not torch.equal(score, discriminator(written, encoding.roll(1, 0)))
# full = SpectrogramDiscriminator(width=64)
# shapes, x = {"spectrogram": (1, 128, 34)}, torch.zeros(2, 1, 128, 34)
# stages = {"stride (2, 1)": full.square[0], "again": full.square[1:]}
# stages |= {"12 added layers": full.added, "halved": full.look[0]}
# stages |= {"halved again": full.look[1], "and again": full.look[2]}
# for name, layer in stages.items():
#     x = layer(x)
#     shapes[name] = x.shape[1:]
# shapes |= {"with ϕ(I)": (x.shape[1] + 64, 4, 4), "logit": (1, 1, 1)}
# show.feature_maps(shapes)

# %% [markdown]
# How much of the spectrogram can one place of the 32×32 map see, before and after the
# added layers? Ask the gradient: what would change this place if it changed?

# %% tags=["active-ipynb"]
# full.eval()
# seen = []
# for part in (full.square, nn.Sequential(full.square, full.added)):
#     x = torch.randn(1, 1, 128, 34, requires_grad=True)
#     part(x)[0, :, 16, 16].sum().backward()
#     seen.append((x.grad[0, 0] != 0).float())
# sizes = [[int((s.sum(axis) > 0).sum()) for axis in (1, 0)] for s in seen]
# captions = [
#     f"{when}: {bands} bands × {frames} frames"
#     for when, (bands, frames) in zip(("before", "after"), sizes, strict=True)
# ]
# show.spectrograms(seen, hop=512 / 44100 * 44 / 34, hz=mel_hz, captions=captions)

# %% [markdown]
# ## Coming to rest
#
# Two players who answer each other need not come to rest: each step of the one moves
# the goal of the other. For pictures that does little harm. The spectrograms' accuracy
# swings to the end at a constant rate, and from seed to seed, and which weights the
# last step leaves is luck. So over the last half of the training the rate falls in a
# straight line to nothing. (GAN-CLS halves it every 100 epochs.) In step 9,
# `OVERRIDES = {"decay": 0.0}` keeps it constant: compare the curves.


# %%
def anneal_rate(rate: float, step: int, total: int, decay: float) -> float:
    """The rate at a step: `rate`, over the last share `decay` anneal_rate to nothing."""
    left = (total - step) / total
    return rate * min(1.0, left / decay) if decay else rate


# %%
def set_learning_rate(rate: float, *optimizers: torch.optim.Optimizer) -> None:
    """Let the optimisers go on at another rate."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


# %% tags=["active-ipynb"]
# figure, axes = show.subplots(1, 1, width=4.5, height=2.0)
# for decay in (0.0, 0.5, 1.0):
#     rates = [anneal_rate(1e-3, step, 1300, decay) for step in range(1300)]
#     axes[0, 0].plot(rates, label=f"decay = {decay}")
# assert anneal_rate(1e-3, 975, 1300, 0.5) == 5e-4
# axes[0, 0].set(xlabel="step", ylabel="rate", ylim=(0, None))
# axes[0, 0].legend()
# figure

# %% [markdown]
# ## Exercises
#
# 1. How does a 32×32 map become 128×34? Write the size after any row of transposed
#    convolutions, each (kernel, (stride of rows, stride of columns), padding).
# 2. Resize a spectrogram in time as numpy's `resize` should have done it: by straight
#    lines between neighbouring frames, without torch.

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
# from avnb import course
#
#
# def grown(size, layers):
#     """(rows, columns) after transposed convolutions of (kernel, strides, padding)."""
#     ...  # your code
#
#
# course.try_exercise(exercises.GROWN, grown)

# %% tags=["active-ipynb"]
# def at_frames(spectrogram, frames):
#     """(rows, n) → (rows, frames), linear in time; the first and last frame stay."""
#     ...  # your code
#
#
# course.try_exercise(exercises.AT_FRAMES, at_frames)
