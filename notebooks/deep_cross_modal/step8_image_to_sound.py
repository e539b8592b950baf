# %% [markdown]
# # Step 8 · Image to sound: networks for a spectrogram that is not square
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/deep_cross_modal/step8_image_to_sound.ipynb)
#
# Now the direction is reversed. The input is a picture of a musician, the output is
# half a second of sound, as a log-mel spectrogram. The losses are those of step 6. The
# wrong pairs now have a wrong *sound* (Eq. 7), and the networks must handle a picture
# that is 128 high and 34 wide.
#
# **You will learn** how deconvolutions with stride (2, 1) make a rectangle of a square,
# how to resize a spectrogram correctly, how large a receptive field is, and why we
# reduce the learning rate at the end.
#
# **Time.** About 25 minutes to read. The cells run in about half a minute.
#
# **Before you start.** Read step 2 (LMS and Griffin-Lim) and step 6 (the GAN).
#
# **Letters.** B batch · Z noise (100) · E encoding (128) · W base width · F mel bands
# (128) · N spectrogram frames (34 inside the networks, 44 outside) · h, w height and
# width of a map.

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
# from avnb import features
# from avnb.viz import show
# from data_scripts import bandstand

# %% [markdown]
# ## The whole model, Fig. 2(b)
#
# Blue boxes are the networks of this notebook and what they generate; grey boxes are
# given.

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
# The losses are those of step 6 (Eq. 3 and 4). In a wrong pair it is now the *sound*
# that is exchanged, for any sound of another instrument (Eq. 7):
#
# $$S_w = D_{I\mapsto S}(\omega(\mathbf A_{-i}),\ \phi(I_i^j)) .$$
#
# `sample_wrong_class` of step 6 works here unchanged, because it returns indices.
#
# ## From a square to 128×34
#
# A transposed convolution turns a side of length $\text{size}_\text{in}$ into
# $\text{size}_\text{out} = (\text{size}_\text{in} - 1)\,s - 2p + k$. The paper applies
# two of them to a 32×32 map, with kernel 4×4, stride (2, 1) and padding 1 (Sec. 3.1).
# The height has $s = 2$ and doubles twice. The width has $s = 1$ and grows by one
# twice:

# %% tags=["active-ipynb"]
# height = width = 32
# for number in (1, 2):
#     height, width = (height - 1) * 2 - 2 + 4, (width - 1) * 1 - 2 + 4
#     print(f"after deconvolution {number}: {height} × {width}")
# torch.manual_seed(0)
# layers = [nn.ConvTranspose2d(1, 1, 4, (2, 1), 1) for _ in range(2)]
# output = nn.Sequential(*layers)(torch.zeros(1, 1, 32, 32))
# assert output.shape[2:] == (height, width)  # torch agrees

# %% [markdown]
# How large is the effect of one pixel of the square map? Let two such layers, with all
# weights one, enlarge a map with a single bright pixel. The patch that it fills is also
# the **receptive field** of one position of the discriminator's 32×32 map, which the
# same layers compute in reverse.

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
# ## Resize between 44 and 34 frames
#
# A real spectrogram of half a second has 44 frames. It is resized to 34 for the
# networks, and generated spectrograms are resized back to 44.
#
# The paper names numpy's `resize` for that. But `numpy.resize` repeats or cuts the
# *flattened* data. It reads rows of 44 numbers as rows of 34, so each row is shifted
# against the next. We interpolate instead.
#
# `(B, 128, 44) → (B, 1, 128, 34) → (B, 128, 44)`


# %%
def resize_to_34_frames(lms: Float[Tensor, "b f n"]) -> Float[Tensor, "b 1 128 34"]:
    """Resize spectrograms (B, 128, N) to the size of the networks."""
    # align_corners=True keeps the first and the last frame as they are.
    return F.interpolate(lms[:, None], (128, 34), mode="bilinear", align_corners=True)


# %%
def resize_to_frames(x: Float[Tensor, "b 1 128 34"], frames: int = 44) -> Tensor:
    """Resize the networks' spectrograms to (B, 128, frames)."""
    size = (128, frames)
    return F.interpolate(x, size, mode="bilinear", align_corners=True)[:, 0]


# %% [markdown]
# Half a second of a trumpet: original, interpolated, and by `np.resize`:

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
#     decibels, limits = features.unscale_db(view), dict(vmin=-80, vmax=0)
#     drawn = ax.imshow(decibels, origin="lower", aspect="auto", cmap="magma", **limits)
#     ax.grid(False)
#     sides = " × ".join(str(side) for side in view.shape)
#     ax.set(title=f"{name}, {sides}", xlabel="frame", ylabel="mel band")
# figure.colorbar(drawn, ax=axes, label="dB")
# figure

# %% [markdown]
# In the third picture the harmonics have become slanted stripes, and the upper bands
# are missing, because 128·34 numbers are only the first 99 of 128 rows. A network could
# learn such pictures, but its outputs would have to be resized back in the same wrong
# way. Sec. 5.4 of the paper itself suspects that the resizing causes the low accuracy
# of I2S.
#
# Interpolation loses something too. From 44 to 34 frames and back:

# %% tags=["active-ipynb"]
# back = resize_to_frames(inside)
# assert back.shape == lms.shape
# loss = (back - lms)[0].abs() * 40  # 2 units are 80 dB
# print(f"44 → 34 → 44: off by {loss.mean():.2f} dB, at most {loss.max():.1f} dB")
# mel_hz = librosa.mel_frequencies(130, fmin=0, fmax=22050)[1:-1]
# axes_of_all = dict(hop=512 / 44100, hz=mel_hz, unit="dB")
# pair = list(features.unscale_db(torch.stack([lms[0], back[0]])))
# captions = ["real", "44 → 34 → 44"]
# display(show.spectrograms(pair, captions=captions, **axes_of_all))
# display(show.spectrograms([loss], captions=["what was lost"], **axes_of_all))
# versions = [wave[0], lms_to_waveform(lms)[0], lms_to_waveform(back)[0]]
# captions = ["original", "LMS → sound", "LMS → 34 → 44 → sound"]
# show.listen(versions, 44100, captions)

# %% [markdown]
# The difference is where the sound changes within one frame, at the beginnings of
# notes. Steady notes hardly change. Can you tell the second sound from the third?

# %% [markdown]
# ## Generator
#
# $\hat x_A \leftarrow G_{I\mapsto S}(\phi(I), z)$. The network is that of step 6 up to
# 32×32. There are **two added 3×3 layers** ("adding more convolution layers in the I2S
# networks helps get better output in fewer epochs"), and then the two deconvolutions.
#
# `(B, Z), (B, E) → (B, 1, 128, 34)`


# %%
def make_same_size_conv(width: int) -> list[nn.Module]:
    """Make an added layer: a 3×3 convolution, a norm and a ReLU."""
    convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(width), nn.ReLU()]


# %%
class SpectrogramGenerator(nn.Module):
    """G_I→S (Sec. 3.1): noise (B, Z), encoding (B, E) → (B, 1, 128, 34)."""

    def __init__(self, width: int = 128, noise: int = 100, encoding: int = 128) -> None:
        super().__init__()
        self.noise = noise
        self.compress = Compressor(encoding)
        self.trunk = make_trunk(noise + 64, width)  # (B, W, 32, 32)
        self.added = nn.Sequential(
            *make_same_size_conv(width), *make_same_size_conv(width)
        )
        self.stretch = nn.Sequential(
            nn.ConvTranspose2d(width, width // 2, 4, (2, 1), 1, bias=False),  # 64×33
            nn.BatchNorm2d(width // 2),
            nn.ReLU(),
            nn.ConvTranspose2d(width // 2, 1, 4, (2, 1), 1),  # 128×34
        )

    def forward(
        self, z: Float[Tensor, "b z"], encoding: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b 1 128 34"]:
        """Generate spectrograms in [-1, 1]."""
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
#         name = "two added 3×3" if added else f"deconv {len(shapes)}"
#         shapes[name] = x.shape[1:]
# show.feature_maps(shapes)

# %% [markdown]
# The output of an untrained generator, as a picture and as sound (turn the volume
# down). It is noise, but it shows the stripes of the deconvolution kernels.

# %% tags=["active-ipynb"]
# generator = SpectrogramGenerator(width=8)
# generator.apply(init_weights)
# z, encoding = torch.randn(3, 100), torch.randn(3, 128)
# with torch.no_grad():
#     generated = generator(z, encoding)
# assert generated.shape == (3, 1, 128, 34)
# decibels = list(features.unscale_db(resize_to_frames(generated)))
# display(show.spectrograms(decibels, **axes_of_all))
# noise = lms_to_waveform(resize_to_frames(generated))
# show.listen(0.1 * noise / noise.abs().max(), 44100, ["first", "second", "third"])

# %% [markdown]
# ## Discriminator
#
# Two convolutions with stride (2, 1) make a square 32×32 map of the spectrogram.
# **Twelve added layers** follow (here six residual blocks of two). Three halvings lead
# to 4×4, where the encoding of the picture is added as in step 6.
#
# Why more layers here than for pictures? A harmonic and its octave belong together but
# are many rows apart. Each 3×3 layer extends the receptive field by one row and one
# frame on each side. A residual block, $y = \sigma(x + f(x))$, keeps so deep a stack
# trainable.
#
# `(B, 1, 128, 34), (B, 128) → (B,)`


# %%
class AddedBlock(ResidualBlock):
    """Two of the added layers as a residual block: (B, W, h, w) → (B, W, h, w)."""

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
def make_square(width: int) -> nn.Sequential:
    """Make two convolutions of stride (2, 1): (B, 1, 128, 34) → (B, W, 32, 32)."""
    return nn.Sequential(
        nn.Conv2d(1, width // 2, 4, (2, 1), 1),  # 64×33
        nn.LeakyReLU(0.2),
        nn.Conv2d(width // 2, width, 4, (2, 1), 1, bias=False),  # 32×32
        nn.BatchNorm2d(width),
        nn.LeakyReLU(0.2),
    )


# %%
class SpectrogramDiscriminator(nn.Module):
    """D_I→S (Sec. 3.1): spectrogram (B, 1, 128, 34), encoding (B, E) → logits (B,)."""

    def __init__(self, width: int = 64, encoding: int = 128) -> None:
        super().__init__()
        self.square = make_square(width)
        # Twelve plain layers in a row are hard to train; six residual blocks are not.
        self.added = nn.Sequential(*[AddedBlock(width) for _ in range(6)])
        self.convs = nn.Sequential(
            make_downsampling(width, 2 * width),  # 16×16
            make_downsampling(2 * width, 4 * width),  # 8×8
            make_downsampling(4 * width, 8 * width),  # 4×4
            Bottleneck(8 * width, nn.LeakyReLU(0.2)),
        )
        self.pair = PairHead(8 * width, encoding)

    def forward(
        self, spectrogram: Float[Tensor, "b 1 128 34"], encoding: Float[Tensor, "b e"]
    ) -> Float[Tensor, " b"]:
        """Compute the logit that a spectrogram is real and belongs to the picture."""
        return self.pair(self.convs(self.added(self.square(spectrogram))), encoding)


# %% tags=["active-ipynb"]
# discriminator = SpectrogramDiscriminator(width=8).eval()
# score = discriminator(generated, encoding)
# assert score.shape == (3,)
# assert not torch.equal(score, discriminator(generated, encoding.roll(1, 0)))
# full = SpectrogramDiscriminator(width=64)
# shapes, x = {"spectrogram": (1, 128, 34)}, torch.zeros(2, 1, 128, 34)
# stages = {"stride (2, 1)": full.square[0], "again": full.square[1:]}
# stages |= {"12 added layers": full.added, "halved": full.convs[0]}
# stages |= {"halved again": full.convs[1], "and again": full.convs[2]}
# for name, layer in stages.items():
#     x = layer(x)
#     shapes[name] = x.shape[1:]
# shapes |= {"with ϕ(I)": (x.shape[1] + 64, 4, 4), "logit": (1, 1, 1)}
# show.feature_maps(shapes)

# %% [markdown]
# How large is the receptive field of one position of the 32×32 map, before and after
# the added layers? The gradient answers this: it is not zero where a change of the
# spectrogram would change this position.

# %% tags=["active-ipynb"]
# full.eval()
# fields = []
# for part in (full.square, nn.Sequential(full.square, full.added)):
#     x = torch.randn(1, 1, 128, 34, requires_grad=True)
#     part(x)[0, :, 16, 16].sum().backward()
#     fields.append((x.grad[0, 0] != 0).float())
# sizes = [[int((s.sum(axis) > 0).sum()) for axis in (1, 0)] for s in fields]
# captions = [
#     f"{when}: {bands} bands × {frames} frames"
#     for when, (bands, frames) in zip(("before", "after"), sizes, strict=True)
# ]
# show.spectrograms(fields, hop=512 / 44100 * 44 / 34, hz=mel_hz, captions=captions)

# %% [markdown]
# ## Reduce the learning rate at the end
#
# G and D are trained against each other, so each step of one changes the goal of the
# other, and the training need not converge. At a constant learning rate the accuracy
# can go up and down until the end, and then it depends on chance which weights the last
# step leaves. So over the last half of the training the rate falls linearly to zero.
# With $T$ steps and the share $d$ of the steps in which it falls, the rate at step $t$
# is
#
# $$\eta_t = \eta\,\min\Big(1,\ \frac{T - t}{d\,T}\Big).$$
#
# (GAN-CLS halves the rate every 100 epochs.) In step 9, `OVERRIDES = {"decay": 0.0}`
# keeps it constant, so that you can compare the curves.


# %%
def anneal_rate(rate: float, step: int, total: int, decay: float) -> float:
    """Compute the learning rate at a step.

    Args:
        rate: the rate at the beginning.
        step: number of the step, from 0.
        total: number of all steps.
        decay: share of the steps, at the end, in which the rate falls to zero; 0 keeps
            it constant.
    """
    left = (total - step) / total
    return rate * min(1.0, left / decay) if decay else rate


# %%
def set_learning_rate(rate: float, *optimizers: torch.optim.Optimizer) -> None:
    """Set the learning rate of all parameter groups."""
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
# ## Summary
#
# `SpectrogramGenerator` and `SpectrogramDiscriminator` are the networks of Fig. 2(b).
# The two resize functions convert between 44 and 34 frames, and `anneal_rate` reduces
# the learning rate. Step 9 trains I2S with them. What the examples above measured, in
# sentences:

# %% tags=["active-ipynb", "came-out"]
# print(f"Resizing to 34 frames and back changes an LMS by {loss.mean():.2f} dB on")
# print(f"average, and by at most {loss.max():.1f} dB.")
# for when, (bands, frames) in zip(("without", "with"), sizes, strict=True):
#     print(f"A place of the discriminator's map sees {bands} bands × {frames} frames")
#     print(f"{when} the 12 added layers.")

# %% [markdown]
# ## Exercises
#
# 1. Build the last layers of the generator: two deconvolutions that turn a 32×32 map
#    into 128×34, with a norm and a ReLU between them, ending in [-1, 1].
# 2. Build two of the added layers as a residual block that starts as $\sigma(x)$, so
#    that a deep discriminator starts as a shallow one.

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
# from avnb import course
#
#
# def make_stretch(width):
#     """A module: (B, width, 32, 32) → (B, 1, 128, 34)."""
#     ...  # your code
#
#
# course.try_exercise(exercises.STRETCH, make_stretch)

# %% tags=["active-ipynb"]
# def make_added_block(width):
#     """A module that keeps its shape: leaky ReLU(x + f(x)), f(x) = 0 at first."""
#     ...  # your code
#
#
# course.try_exercise(exercises.ADDED_BLOCK, make_added_block)
