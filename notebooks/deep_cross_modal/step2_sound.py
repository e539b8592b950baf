# %% [markdown]
# # Step 2 · Sound: five ways to see it, one way to sum it up
#
# A convolutional network wants a picture. Half a second of sound can be made
# into one in many ways; the paper tries five (Fig. 3) and lets a classifier
# decide which is best (Table 1). The winner's last but one layer becomes the
# 128 numbers that tell the generator what is heard.
#
# **Letters.** B batch · S samples (22,050 in half a second) · F rows of a
# representation · N its frames (44) · C channels of a feature map · E encoding size
# (128) · K classes.

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
from itertools import pairwise

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from avnb import features


# %% tags=["active-ipynb"]
# from dataclasses import replace
#
# import librosa
# import numpy as np
#
# from avnb.viz import show
# from data_scripts import bandstand

# %% [markdown]
# ## One note, as it reaches the microphone
#
# To compare instruments fairly they should play the *same* note. So we ask players
# of the bandstand to hold one pitch for half a second, evenly. This is concert A
# (440 Hz) on a violin and on a clarinet:

# %% tags=["active-ipynb"]
# def hold(instrument: str, midi: float, player: int = 0) -> torch.Tensor:
#     """Half a second of one held note, (1, S); midi 69 is concert A."""
#     played = bandstand.perform(instrument, player, seconds=0.5, seed=0)
#     pitch = np.full_like(played.time, 440 * 2 ** ((midi - 69) / 12))
#     loudness = 0.7 * np.clip(played.time / 0.05, 0, 1)
#     note = bandstand.Note(0.0, 0.5, midi, 0.7, 1)
#     held = replace(played, notes=(note,), pitch_hz=pitch, loudness=loudness)
#     return torch.from_numpy(bandstand.synthesise(held))[None]
#
#
# violin, clarinet = hold("violin", 69), hold("clarinet", 69)
# assert violin.shape == (1, 22050)
# show.listen([violin, clarinet], 44100, ["violin, A4", "clarinet, A4"])

# %% tags=["active-ipynb"]
# excerpt = slice(13230, 13671)  # 10 ms, from 0.3 s on
# show.waveforms(
#     [violin[0, excerpt], clarinet[0, excerpt]], 44100, captions=["violin", "clarinet"]
# )

# %% [markdown]
# Both waves repeat 440 times a second: that is the **pitch**. *How* they wiggle
# within a period is the **timbre**, and it is the timbre that says who plays. But a
# wave is a bad picture of it: start the same note a millisecond later and all
# 22,050 numbers are different, though nobody hears a difference. We want a picture in
# which such things do not matter.
#
# ## The five representations of Fig. 3
#
# All of them begin by cutting the wave into short overlapping pieces and asking of
# each piece which frequencies it holds. With a window $w$ of 2048 samples that moves
# on by $H = 512$ samples (Sec. 3.3), frame $n$ is
#
# $$X[k, n] = \sum_{m=0}^{2047} w[m]\; x[nH + m]\; e^{-2\pi i k m / 2048},$$
#
# and its row $k$ stands for the frequency $k \cdot 44100 / 2048$ Hz, so rows lie
# 21.5 Hz apart. With a frame centred on every 512th sample there are
# $N = 1 + \lfloor 22050 / 512 \rfloor = 44$ frames. The other four:
#
# $$\mathrm{MS} = M\,|X|^2,\qquad
# \mathrm{LMS} = 10\log_{10}\mathrm{MS},\qquad
# \mathrm{MFCC} = \mathrm{DCT}(\mathrm{LMS}),$$
#
# where each row of $M$ is a triangle that sums a band of frequencies, narrow for low
# notes and wide for high ones, as the ear does; and CQT, which measures each
# semitone with a window of its own length, long for low notes.
#
# | name | rows | what it is |
# |---|---|---|
# | STFT | 1025 | linear amplitude over linear frequency |
# | MS | 128 | the same energy in mel bands |
# | LMS | 128 | the logarithm of MS, in decibel |
# | CQT | 84 | constant Q: a row a semitone |
# | MFCC | 20 | the spectrum of LMS: timbre without pitch |
#
# LMS is also what the I2S network will have to write, so its range is fixed, the
# same for every recording: the 80 dB below the mel energy of loud playing (1,000 in
# librosa's units) become -1 to 1.


# %%
class LMS(nn.Module):
    """Log-mel spectrogram in [-1, 1]: (B, S) → (B, 128, N)."""

    def __init__(self, sample_rate: int = 44100, loud: float = 1000.0) -> None:
        super().__init__()
        self.log_mel = features.LogMel(sample_rate, ref=loud, top_db=None)

    def forward(self, waveform: Float[Tensor, "b s"]) -> Float[Tensor, "b 128 n"]:
        return features.scale_db(self.log_mel(waveform))


def lms_to_waveform(
    lms: Float[Tensor, "b 128 n"], sample_rate: int = 44100, loud: float = 1000.0
) -> Float[Tensor, "b s"]:
    """What an LMS sounds like, by Griffin-Lim: (B, 128, N) → (B, samples)."""
    mel = features.db_to_power(features.unscale_db(lms), ref=loud)
    return features.mel_to_waveform(mel, sample_rate=sample_rate)


# %%
REPRESENTATIONS = ("MS", "LMS", "CQT", "MFCC", "STFT")


def make_representation(name: str, sample_rate: int = 44100) -> nn.Module:
    """One of Fig. 3's transforms: (B, S) → (B, F, N).

    Raises KeyError naming the five when `name` is none of them.
    """
    makers = {
        "MS": lambda: features.Mel(sample_rate),
        "LMS": lambda: LMS(sample_rate),
        "CQT": lambda: features.CQT(sample_rate),
        "MFCC": lambda: features.MFCC(sample_rate),
        "STFT": lambda: features.STFT(),
    }
    if name not in makers:
        raise KeyError(f"no representation {name!r}: choose from {REPRESENTATIONS}")
    return makers[name]()


# %% [markdown]
# Half a second in, five shapes out:

# %% tags=["active-ipynb"]
# pictures = {name: make_representation(name)(violin)[0] for name in REPRESENTATIONS}
# show.table(
#     [
#         {"name": name, "rows F": len(x), "frames N": x.shape[1], "numbers": x.numel()}
#         | {"smallest": float(x.min()), "largest": float(x.max())}
#         for name, x in pictures.items()
#     ]
# )

# %% [markdown]
# Look at the last two columns: STFT and MS span several powers of ten, LMS stays
# between -1 and 1. Now the pictures. Time runs to the right in all of them; what
# "up" means differs. Frequency in STFT, MS, LMS and CQT, each with its own spacing;
# **quefrency** in MFCC: row $q$ says how strongly the spectrum ripples $q/2$ times
# from bottom to top.

# %% tags=["active-ipynb"]
# mel_hz = librosa.mel_frequencies(130, fmin=0, fmax=22050)[1:-1]
# hertz = {
#     "STFT": np.linspace(0, 22050, 1025),
#     "MS": mel_hz,
#     "LMS": mel_hz,
#     "CQT": librosa.cqt_frequencies(84, fmin=librosa.note_to_hz("C1")),
# }
#
#
# def panel(ax, name: str, picture: torch.Tensor) -> None:
#     """One representation over seconds, its rows labelled in Hz where they are."""
#     rows = len(picture)
#     extent = (0, 0.5, -0.5, rows - 0.5)
#     ax.imshow(picture, origin="lower", aspect="auto", extent=extent, cmap="magma")
#     ax.grid(False)
#     ax.set(title=f"{name}  {rows} × {picture.shape[1]}", xlabel="time [s]")
#     if name in hertz:
#         ticks = np.linspace(0, rows - 1, 5).round().astype(int)
#         ax.set_yticks(ticks, [f"{hertz[name][tick]:.0f}" for tick in ticks])
#     ax.set_ylabel("frequency [Hz]" if name in hertz else "quefrency")

# %% tags=["active-ipynb"]
# figure, axes = show.subplots(2, 3, width=3.0, height=2.3)
# axes[0, 0].plot(np.arange(22050) / 44100, violin[0], linewidth=0.3)
# axes[0, 0].set(title="Wave  22050", xlabel="time [s]", ylabel="amplitude")
# names = ("STFT", "MS", "LMS", "CQT", "MFCC")
# for ax, name in zip(axes.flat[1:], names, strict=True):
#     panel(ax, name, pictures[name])
# figure

# %% [markdown]
# The note is a ladder: the rung at 440 Hz is the pitch, the rungs above it are its
# **harmonics** at 880, 1320, … Hz. In STFT the ladder is squeezed into the bottom of
# the picture. MS gives low frequencies more room, but shows the loudest rungs alone.
# LMS shows them all. CQT gives every octave the same height, but its strengths are
# linear too. In MFCC the loudness, row 0, drowns the rest.
#
# ## Why LMS separates two instruments
#
# The same A on violin and clarinet, as LMS. The rungs have the same places, since
# the pitch is the same; their *strengths* differ. A clarinet is a tube closed at one
# end, so its even harmonics are weak.

# %% tags=["active-ipynb"]
# both = LMS()(torch.cat([violin, clarinet]))
# assert both.shape == (2, 128, 44)
# assert both.abs().max() <= 1
# show.spectrograms(
#     both, hop=512 / 44100, hz=mel_hz, captions=["violin, A4", "clarinet, A4"]
# )

# %% [markdown]
# Cut both pictures along one frame in the middle of the note. On the left the energy
# as MS has it, on the right the decibels of LMS:

# %% tags=["active-ipynb"]
# energy = features.Mel(44100)(torch.cat([violin, clarinet]))[..., 22]
# figure, axes = show.subplots(1, 2, width=4.2)
# for values, name in zip(energy, ("violin", "clarinet"), strict=True):
#     axes[0, 0].plot(mel_hz, values, label=name)
#     axes[0, 1].plot(mel_hz, features.power_to_db(values[:, None], ref=1000.0))
# for ax, label in zip(axes[0], ("MS [energy]", "LMS [dB]"), strict=True):
#     for harmonic in range(1, 7):
#         ax.axvline(440 * harmonic, color="#bbbbbb", linestyle=":", linewidth=0.8)
#     ax.set(xscale="log", xlim=(200, 16000), xlabel="frequency [Hz]", ylabel=label)
# axes[0, 0].legend(frameon=False)
# figure

# %% [markdown]
# On the left the quiet bands lie on the axis, where a network (or you) can see no
# difference. But the ear hears ratios, not differences, and much of what makes a
# violin a violin is 30 dB below its loudest harmonic: a thousandth of the energy.
# The logarithm lifts it into view. That is the whole secret of LMS; Table 1 of the
# paper has it first, at 87.44 % against 66.09 % for MS.
#
# ## From LMS back to sound
#
# An LMS has lost the phases and, in its wide bands, the fine structure. `lms_to_waveform`
# guesses both: first a spectrum that has these mels, then, by **Griffin-Lim**,
# phases that fit: turn the spectrum into a wave and back, keep the new phases, put
# the old magnitudes back, again and again. What is lost can be heard:

# %% tags=["active-ipynb"]
# again = lms_to_waveform(both)
# error = (LMS()(again) - both).abs().mean() * 40  # 2 units are 80 dB
# print(f"{tuple(both.shape)} → {tuple(again.shape)}, LMS off by {error:.1f} dB")
# show.listen(
#     [violin, again[0], clarinet, again[1]],
#     44100,
#     ["violin", "violin → LMS → sound", "clarinet", "clarinet → LMS → sound"],
# )

# %% [markdown]
# ## The classifier of Fig. 4
#
# What is it for? Not for its answer: for what it has to understand to give it. A
# network that tells 13 instruments apart must, in its last but one layer, have boiled
# 5,632 numbers down to 128 that say who plays. The same layers turn these into
# probabilities, $p = \mathrm{softmax}(W\,\mathrm{ReLU}(e) + b)$, and training
# lowers $-\log p_k$ of the right instrument $k$.
#
# Three or four convolutions, three fully connected layers. "We add penalties
# (l2 = 0.015) on layer parameters in fully connected layers, and we apply
# dropout (0.7 and 0.8) to the last two layers": the numbers are keep
# probabilities (a network that drops 80 % of its last layer hardly learns), so
# we drop 0.3 and 0.2.
#
# The first layer normalises each row over the training set (a BatchNorm without
# parameters): otherwise MS and STFT, whose values span five decades, could not
# be compared with LMS at all.


# %%
def halving(before: int, after: int) -> list[nn.Module]:
    """A 3×3 convolution, a 2×2 maximum, norm, ReLU."""
    convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
    return [convolution, nn.MaxPool2d(2), nn.BatchNorm2d(after), nn.ReLU()]


# %%
class SoundClassifier(nn.Module):
    """Fig. 4: representation (B, F, N) → logits (B, K).

    `encode` stops one layer earlier: (B, 128), the sound encoding of S2I-C.
    """

    def __init__(
        self, rows: int, frames: int, classes: int, layers: int = 4, width: int = 32
    ) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm1d(rows, affine=False)
        widths = [1, width, 2 * width, 4 * width, 4 * width][: layers + 1]
        convs = [m for pair in pairwise(widths) for m in halving(*pair)]
        self.convs = nn.Sequential(*convs, nn.Flatten())
        flat = widths[-1] * (rows >> layers) * (frames >> layers)
        self.first = nn.Sequential(nn.Linear(flat, 512), nn.ReLU(), nn.Dropout(0.3))
        self.second = nn.Linear(512, 128)
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, classes))

    def encode(self, x: Float[Tensor, "b f n"]) -> Float[Tensor, "b 128"]:
        x = rearrange(self.normalise(x), "b f n -> b 1 f n")
        return self.second(self.first(self.convs(x)))

    def forward(self, x: Float[Tensor, "b f n"]) -> Float[Tensor, "b k"]:
        return self.head(self.encode(x))


# %% [markdown]
# Follow half a second through the four convolutions. Each 3×3 convolution looks at
# its neighbourhood; each 2×2 maximum halves height and width. So the maps shrink
# while their channels multiply: fewer places, more said about each.

# %% tags=["active-ipynb"]
# def sizes(layers: int, width: int = 32) -> dict[str, torch.Size]:
#     """The shape (C, F, N) after each convolution and its maximum."""
#     network = SoundClassifier(128, 44, 13, layers, width)
#     x = both[:1, None]
#     shapes = {"LMS": x.shape[1:]}
#     for layer in network.convs[:-1]:
#         x = layer(x)
#         if isinstance(layer, nn.MaxPool2d):
#             shapes[f"conv {len(shapes)}"] = x.shape[1:]
#     return shapes
#
#
# show.feature_maps(sizes(layers=4))

# %% [markdown]
# One convolution less leaves larger maps, and the first fully connected layer pays
# for it:

# %% tags=["active-ipynb"]
# rows = []
# for layers in (3, 4):
#     network = SoundClassifier(128, 44, 13, layers)
#     assert network.encode(both).shape == (2, 128)
#     assert network(both).shape == (2, 13)
#     convs = sum(p.numel() for p in network.convs.parameters())
#     full = sum(p.numel() for p in network.parameters()) - convs
#     width = network.first[0].in_features
#     row = {"layers": layers, "into the first full layer": width}
#     rows.append(row | {"weights of convolutions": convs, "of full layers": full})
# show.table(rows)

# %% [markdown]
# The penalty is $0.015 \sum_l \tfrac12\lVert W_l\rVert^2$ over the fully connected
# layers. Adam would rescale a penalty in the loss by its own statistics, so it is
# given as *decoupled weight decay* (AdamW), which acts as written.


# %%
def group_parameters(classifier: nn.Module, l2: float = 0.015) -> list[dict]:
    """Groups for AdamW: l2 on the weights of the fully connected layers alone."""
    full = [m.weight for m in classifier.modules() if isinstance(m, nn.Linear)]
    chosen = {id(p) for p in full}
    rest = [p for p in classifier.parameters() if id(p) not in chosen]
    return [
        {"params": full, "weight_decay": l2},
        {"params": rest, "weight_decay": 0.0},
    ]


# %% [markdown]
# With the learning rate $\eta$ a step is
# $W \leftarrow W - \eta\,(\text{Adam's step} + 0.015\,W)$: where the data want
# nothing, the weights fade. Which of them are in the first group?

# %% tags=["active-ipynb"]
# small = SoundClassifier(128, 44, 13, width=4)
# names = {id(p): name for name, p in small.named_parameters()}
# for group in group_parameters(small):
#     print(group["weight_decay"], *[names[id(p)] for p in group["params"]])

# %% [markdown]
# ## S2I-A: an encoding without labels
#
# The variant S2I-A replaces the classifier by a **stacked convolution-
# deconvolution autoencoder** (Sec. 5.1): three stacks, each a convolution whose
# output a deconvolution turns back into the stack's input; the next stack takes
# the output of the convolution. A fourth stack flattens what is left and projects
# it to 128 numbers. Each is trained in order on its mean squared error: stack $l$
# with encoder $f_l$, decoder $g_l$ and input $x_l$ learns
#
# $$\min_{f_l,\,g_l}\ \lVert g_l(f_l(x_l)) - x_l\rVert^2,\qquad x_{l+1} = f_l(x_l).$$
#
# Nobody tells it what an instrument is. It keeps what helps to redraw the picture,
# and whether that is what tells instruments apart is left to chance. Table 5 says no.


# %%
class ConvStack(nn.Module):
    """One stack: `encode` halves the map, `decode` undoes it."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)
        )
        self.up = nn.ConvTranspose2d(after, before, 3, 2, 1, output_padding=1)

    def encode(self, x: Float[Tensor, "b c f n"]) -> Float[Tensor, "b d g m"]:
        return self.down(x)

    def decode(self, code: Float[Tensor, "b d g m"], like: Tensor) -> Tensor:
        return self.up(code)[..., : like.shape[-2], : like.shape[-1]]


# %%
class LinearStack(nn.Module):
    """The last stack: flatten, 128 numbers, and back."""

    def __init__(self, channels: int, rows: int, frames: int) -> None:
        super().__init__()
        self.down = nn.Linear(channels * rows * frames, 128)
        self.up = nn.Linear(128, channels * rows * frames)

    def encode(self, x: Float[Tensor, "b c f n"]) -> Float[Tensor, "b 128"]:
        return self.down(x.flatten(1))

    def decode(self, code: Float[Tensor, "b 128"], like: Tensor) -> Tensor:
        return self.up(code).view_as(like)


# %%
class StackedAutoencoder(nn.Module):
    """S2I-A's encoder (Sec. 5.1): (B, F, N) → (B, 128), never shown a label."""

    def __init__(self, rows: int, frames: int, width: int = 16) -> None:
        super().__init__()
        widths = (1, width, 2 * width, 4 * width)
        self.stacks = nn.ModuleList(ConvStack(*pair) for pair in pairwise(widths))
        self.stacks.append(LinearStack(4 * width, -(-rows // 8), -(-frames // 8)))

    def encode_up_to(self, level: int, x: Float[Tensor, "b f n"]) -> Tensor:
        """What stack `level` sees: x through the convolutions of those before."""
        x = x[:, None]
        for stack in self.stacks[:level]:
            x = stack.encode(x)
        return x

    def loss(self, level: int, x: Float[Tensor, "b f n"]) -> Float[Tensor, ""]:
        """Mean squared error of stack `level` alone; those before stay as they are."""
        with torch.no_grad():
            before = self.encode_up_to(level, x)
        stack = self.stacks[level]
        return (stack.decode(stack.encode(before), before) - before).square().mean()

    def encode(self, x: Float[Tensor, "b f n"]) -> Float[Tensor, "b 128"]:
        return self.encode_up_to(len(self.stacks), x)


# %% [markdown]
# The shapes, stack by stack. (The paper writes that the last stack sees an array of
# 120×36, which no halving of 128×44 yields; ours sees what is left after three, an
# eighth of each side, rounded up.)

# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# autoencoder = StackedAutoencoder(128, 44, width=4)
# rows = []
# for level, stack in enumerate(autoencoder.stacks):
#     before = autoencoder.encode_up_to(level, both)
#     code = stack.encode(before)
#     assert stack.decode(code, before).shape == before.shape
#     shapes = {"input": before.shape[1:], "code": code.shape[1:]}
#     rows.append({"stack": level + 1} | {k: str(tuple(v)) for k, v in shapes.items()})
# assert autoencoder.encode(both).shape == (2, 128)
# show.table(rows)

# %% [markdown]
# A stack learns quickly. Give the first one a moment with five notes of five
# instruments, and see how it redraws the violin:

# %% tags=["active-ipynb"]
# notes = LMS()(torch.cat([hold(name, 60) for name in bandstand.INSTRUMENTS[::3]]))
# first = autoencoder.stacks[0]
# adam = torch.optim.Adam(first.parameters(), lr=1e-2)
# redrawn, losses = [], []
# for step in range(61):
#     if step in (0, 10, 60):
#         with torch.no_grad():
#             drawing = first.decode(first.encode(both[:1, None]), both[:1, None])
#         redrawn.append(drawing[0, 0].clamp(-1, 1))
#     loss = autoencoder.loss(0, notes)
#     adam.zero_grad()
#     loss.backward()
#     adam.step()
#     losses.append(loss.item())
# captions = ["violin, A4", "redrawn, untrained", "after 10 steps", "after 60 steps"]
# print(f"mean squared error {losses[0]:.3f} → {losses[-1]:.4f}")
# show.spectrograms([both[0], *redrawn], hop=512 / 44100, hz=mel_hz, captions=captions)

# %% [markdown]
# ## Encodings on one scale
#
# The generator hears encodings of three origins (classifier, autoencoder, image
# encoder). Each of the 128 numbers is brought to mean 0 and variance 1 over the
# training set, so that the variants differ in *what* their encoding says and not in
# how loudly it says it.


# %%
class Standardizer(nn.Module):
    """(x - mean) / std, with the statistics of the training set: (B, E) → (B, E)."""

    def __init__(self, size: int = 128) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def fit(self, x: Float[Tensor, "n e"]) -> "Standardizer":
        """Take the statistics of `x`; numbers that never vary are left at scale 1."""
        std = x.std(dim=0)
        self.mean, self.std = x.mean(dim=0), torch.where(std > 1e-6, std, 1.0)
        return self

    def forward(self, x: Float[Tensor, "b e"]) -> Float[Tensor, "b e"]:
        return (x - self.mean) / self.std


# %% tags=["active-ipynb"]
# encodings = 5 + 3 * torch.randn(1000, 128)
# standard = Standardizer().fit(encodings)(encodings)
# print(f"mean {standard.mean():.3f}, standard deviation {standard.std():.3f}")
# assert standard.mean(0).abs().max() < 1e-4

# %% [markdown]
# ## Exercises
#
# 1. A sound has 22,050 samples and 44 frames: frame n is centred on sample 512 n and
#    sees 2048 samples. In how many frames is one click heard? List them.
# 2. How many rows of the spectrogram does one output of the four convolutions see?
#    Write it for any stack of (kernel, stride) layers: a 3×3 convolution is (3, 1),
#    a pooling (2, 2).

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
# from avnb import course
#
#
# def frames_that_hear(sample):
#     """The frames, 0 to 43, whose window holds this sample, in order."""
#     ...  # your code
#
#
# course.try_exercise(exercises.FRAMES_THAT_HEAR, frames_that_hear)

# %% tags=["active-ipynb"]
# def receptive_field(layers):
#     """How many inputs in a row one output sees; layers is [(kernel, stride), ...]."""
#     ...  # your code
#
#
# course.try_exercise(exercises.RECEPTIVE_FIELD, receptive_field)
