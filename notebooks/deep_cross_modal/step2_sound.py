# %% [markdown]
# # Step 2 · Sound: five representations, one encoding
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/deep_cross_modal/step2_sound.ipynb)
#
# A convolutional network reads a picture. There are many ways to turn half a second of
# sound into one. The paper compares five of them (Fig. 3) by how well a classifier
# recognises the instrument (Table 1). The second-to-last layer of the best classifier
# gives the 128 numbers that tell the generator what is heard.
#
# **You will learn** what STFT, mel, log-mel, MFCC and CQT compute, and how to compute
# each yourself; why the logarithm helps; how Griffin-Lim turns a spectrogram back into
# sound; and how a classifier or an autoencoder gives an encoding.
#
# **Time.** About 40 minutes to read. The cells run in about a minute on two cores.
#
# **Before you start.** Read step 1, which says what a pair is. You should know
# convolutions, and the Fourier transform as an idea.
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
#     # Colab lacks the course. Its own torch is kept, so that no restart is needed.
#     print("Installing avnb takes about two minutes ...")
#     source = "avnb @ git+https://github.com/avnb/avnb"
#     subprocess.run([sys.executable, "-m", "pip", "install", "-q", source], check=True)
#     importlib.invalidate_caches()

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
# ## One note, as a microphone records it
#
# To compare two instruments they should play the *same* note. So a violinist and a
# clarinettist of the bandstand hold concert A (440 Hz) for half a second, with constant
# loudness:

# %% tags=["active-ipynb"]
# def play_note(instrument: str, midi: float, player: int = 0) -> torch.Tensor:
#     """Play one note for half a second, (1, S); midi 69 is concert A."""
#     played = bandstand.perform(instrument, player, seconds=0.5, seed=0)
#     pitch = np.full_like(played.time, 440 * 2 ** ((midi - 69) / 12))
#     loudness = 0.7 * np.clip(played.time / 0.05, 0, 1)
#     note = bandstand.Note(0.0, 0.5, midi, 0.7, 1)
#     held = replace(played, notes=(note,), pitch_hz=pitch, loudness=loudness)
#     return torch.from_numpy(bandstand.synthesise(held))[None]
#
#
# violin, clarinet = play_note("violin", 69), play_note("clarinet", 69)
# assert violin.shape == (1, 22050)
# show.listen([violin, clarinet], 44100, ["violin, A4", "clarinet, A4"])

# %% tags=["active-ipynb"]
# excerpt = slice(13230, 13671)  # 10 ms, from 0.3 s on
# show.waveforms(
#     [violin[0, excerpt], clarinet[0, excerpt]], 44100, captions=["violin", "clarinet"]
# )

# %% [markdown]
# Both waves repeat 440 times a second. This rate is the **pitch**. The shape *within*
# a period is the **timbre**, and the timbre tells which instrument plays. But the wave
# itself is a poor input for a classifier: if the same note starts a millisecond later,
# all 22,050 numbers change, although it sounds the same. We want a representation that
# does not depend on such details.
#
# ## The short-time Fourier transform (STFT)
#
# All five representations cut the wave into short overlapping pieces and measure which
# frequencies each piece contains. With a window $w$ of 2048 samples that moves by
# $H = 512$ samples (Sec. 3.3), frame $n$ is
#
# $$X[k, n] = \sum_{m=0}^{2047} w[m]\; x[nH + m]\; e^{-2\pi i k m / 2048}.$$
#
# Row $k$ stands for the frequency $k \cdot 44100 / 2048$ Hz, so the rows are 21.5 Hz
# apart. The window is Hann's, $w[m] = \tfrac12 - \tfrac12\cos(2\pi m / 2048)$. Frame
# $n$ is centred on sample $512\,n$; zeros stand before the first and after the last
# sample. So there are $N = 1 + \lfloor 22050 / 512 \rfloor = 44$ frames.
#
# The sum, written out as a matrix product:

# %% tags=["active-ipynb"]
# def compute_stft(wave: np.ndarray, size: int = 2048, hop: int = 512) -> np.ndarray:
#     """X[k, n] of the equation: (S,) → complex (1025, N)."""
#     m, k = np.arange(size), np.arange(size // 2 + 1)
#     window = 0.5 - 0.5 * np.cos(2 * np.pi * m / size)
#     waves = np.exp(-2j * np.pi * np.outer(k, m) / size)  # one wave for each row k
#     padded = np.pad(wave, size // 2)  # so that frame n is centred on sample n · hop
#     starts = range(0, len(wave) + 1, hop)
#     return np.stack([waves @ (window * padded[s : s + size]) for s in starts], axis=1)
#
#
# X = compute_stft(violin[0].double().numpy())
# fast = features.STFT()(violin)[0]  # the fast Fourier transform
# assert X.shape == fast.shape == (1025, 44)
# assert np.allclose(abs(X), fast, atol=1e-3)
# difference = abs(abs(X) - fast.numpy()).max()
# print(f"largest difference {difference:.1e} of {fast.max():.1f}")

# %% [markdown]
# Both agree up to rounding. `features.STFT` uses the fast Fourier transform, which
# needs about $2048 \log_2 2048$ instead of $2048^2$ operations for each frame.
#
# ## Mel bands and the logarithm (MS, LMS)
#
# Our hearing resolves low notes finely and high notes coarsely. The **mel scale**
# copies that. Row $b$ of a matrix $M$ is a triangle over the frequencies: it rises from
# the edge $f_b$ to $f_{b+1}$, falls to $f_{b+2}$, and has area 1. The edges are close
# together at low frequencies and far apart at high ones. Then
#
# $$\mathrm{MS} = M\,|X|^2,\qquad
# \mathrm{LMS} = 10\log_{10}\frac{\mathrm{MS}}{1000}.$$
#
# LMS is in decibels. The I2S network of step 8 generates LMS, so its range is the same
# for every recording: the 80 dB below 1,000, which is the mel energy of loud playing in
# librosa's units, become -1 to 1. Values outside are clipped.

# %% tags=["active-ipynb"]
# edges = librosa.mel_frequencies(130, fmin=0, fmax=22050)
# hz = np.linspace(0, 22050, 1025)  # frequency of each row of X
# M = np.zeros((128, 1025))
# for b in range(128):
#     low, middle, high = edges[b : b + 3]
#     rising, falling = (hz - low) / (middle - low), (high - hz) / (high - middle)
#     M[b] = 2 / (high - low) * np.minimum(rising, falling).clip(0)  # area 1
# MS = M @ abs(X) ** 2
# LMS_db = 10 * np.log10(MS.clip(1e-10) / 1000)
# LMS_scaled = (LMS_db.clip(-80, 0) + 80) / 40 - 1  # -80…0 dB → -1…1
# figure, axes = show.subplots(1, 1, width=6.5, height=2.0)
# axes[0, 0].plot(hz, M[::12].T, linewidth=0.9)
# axes[0, 0].set(xlabel="frequency [Hz]", ylabel="weight", title="every 12th row of M")
# figure

# %% [markdown]
# The triangles at high frequencies are wide and low, because all have the same area.
# This class computes LMS for whole batches and on a GPU:


# %%
class LMS(nn.Module):
    """Log-mel spectrogram in [-1, 1]: (B, S) → (B, 128, N).

    Args:
        sample_rate: samples a second.
        loud: the mel energy that becomes 1. The 80 dB below it become -1 to 1.

    Source: Chen et al. 2017, Sec. 3.3.
    """

    def __init__(self, sample_rate: int = 44100, loud: float = 1000.0) -> None:
        super().__init__()
        # A fixed reference keeps the loudness. `top_db` would cut each clip 80 dB below
        # its own maximum, so the range would differ between clips.
        self.log_mel = features.LogMel(sample_rate, ref=loud, top_db=None)

    def forward(self, waveform: Float[Tensor, "b s"]) -> Float[Tensor, "b 128 n"]:
        """Compute the scaled log-mel spectrogram of each waveform."""
        return features.scale_db(self.log_mel(waveform))


# %% tags=["active-ipynb"]
# assert np.allclose(MS, features.Mel()(violin)[0], rtol=1e-3, atol=1e-5)
# difference = abs(LMS_scaled - LMS()(violin)[0].numpy()).max()
# assert difference < 1e-3
# print(f"MS and LMS by hand and by `features` agree; LMS within {difference:.1e}")

# %% [markdown]
# ## MFCC: the spectrum of a log-mel spectrum
#
# A discrete cosine transform (DCT) over the 128 bands $L_b$ of LMS, in decibels, gives
# 20 coefficients for each frame:
#
# $$\mathrm{MFCC}[q] = s_q \sum_{b=0}^{127} L_b \cos\frac{\pi q (b + \frac12)}{128},
# \qquad s_0 = \sqrt{\tfrac1{128}},\ s_q = \sqrt{\tfrac2{128}}.$$
#
# Coefficient $q$ measures how strongly the spectrum goes up and down $q/2$ times from
# the lowest to the highest band. The first 20 coefficients describe the coarse shape of
# the spectrum, which is the timbre, and leave out the fine structure, which is the
# pitch.

# %% tags=["active-ipynb"]
# bands, q = np.arange(128), np.arange(20)
# cosines = np.sqrt(2 / 128) * np.cos(np.pi * np.outer(q, bands + 0.5) / 128)
# cosines[0] /= np.sqrt(2)
# decibels = 10 * np.log10(MS.clip(1e-10))
# MFCC = cosines @ decibels.clip(decibels.max() - 80)  # librosa keeps the upper 80 dB
# assert MFCC.shape == (20, 44)
# assert np.allclose(MFCC, features.MFCC()(violin)[0], atol=0.01)
# print(f"coefficients from {MFCC.min():.0f} to {MFCC.max():.0f}; both ways agree")

# %% [markdown]
# ## CQT: one row for each semitone
#
# The STFT uses the same window for all frequencies. The **constant-Q transform** uses
# one window for each row, so that all windows contain the same number of periods: row
# $k$ measures $f_k = 32.7 \cdot 2^{k/12}$ Hz, from the note C1 upwards, with a Hann
# window of $L_k \approx 17.3 \cdot 44100 / f_k$ samples. Low notes get long windows.
#
# $$\mathrm{CQT}[k, n] = \sqrt{L_k}\;\Big|\sum_m x[nH + m]\,
# \overline{g_k[m]}\Big|,\qquad
# g_k[m] \propto w_k[m]\; e^{2\pi i f_k m / 44100},\ \sum_m |g_k[m]| = 1.$$

# %% tags=["active-ipynb"]
# def compute_cqt(wave: np.ndarray, hop: int = 512, rate: int = 44100) -> np.ndarray:
#     """One window for each of 84 semitones: (S,) → (84, N)."""
#     q = (2 ** (1 / 6) + 1) / (2 ** (1 / 6) - 1)  # periods in a window: 17.3
#     rows = []
#     for f in librosa.cqt_frequencies(84, fmin=librosa.note_to_hz("C1")):
#         length = q * rate / f
#         m = np.arange(-length // 2, length // 2)
#         g = np.hanning(len(m) + 1)[:-1] * np.exp(2j * np.pi * f * m / rate)
#         g /= abs(g).sum()
#         padded = np.pad(wave, len(m))
#         starts = int(m[0]) + len(m) + np.arange(0, len(wave) + 1, hop)
#         row = [padded[s : s + len(m)] @ g.conj() for s in starts]
#         rows.append(np.sqrt(length) * abs(np.array(row)))
#     return np.stack(rows)
#
#
# slow = compute_cqt(violin[0].double().numpy())
# fast = features.CQT()(violin)[0].numpy()
# assert slow.shape == fast.shape == (84, 44)
# assert abs(slow - fast).max() < 0.02 * fast.max()
# print(f"largest difference {abs(slow - fast).max() / fast.max():.1%} of the maximum")

# %% [markdown]
# The fast form halves the sample rate for each octave below the highest and leaves out
# the smallest filter weights, as librosa does. That explains the difference of about
# one per cent.
#
# ## The five representations of Fig. 3
#
# | name | rows | what it is |
# |---|---|---|
# | STFT | 1025 | amplitude over a linear frequency scale |
# | MS | 128 | energy in mel bands |
# | LMS | 128 | the logarithm of MS, in decibels |
# | CQT | 84 | constant-Q transform, one row for each semitone |
# | MFCC | 20 | the DCT of LMS: timbre without pitch |

# %%
REPRESENTATIONS = ("MS", "LMS", "CQT", "MFCC", "STFT")


def make_representation(name: str, sample_rate: int = 44100) -> nn.Module:
    """Make one of the transforms of Fig. 3, a module (B, S) → (B, F, N).

    Raises:
        KeyError: `name` is none of `REPRESENTATIONS`; the message lists them.
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
# The same half second in all five shapes:

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
# Look at the last two columns. The values of STFT and MS span several powers of ten;
# LMS stays between -1 and 1. Now the pictures. Time runs to the right in all of them.
# The vertical axis is frequency in STFT, MS, LMS and CQT, each with its own spacing. In
# MFCC it is the number $q$ of the coefficient, called **quefrency**.

# %% tags=["active-ipynb"]
# mel_hz = edges[1:-1]  # the middle of each band
# hertz = {
#     "STFT": np.linspace(0, 22050, 1025),
#     "MS": mel_hz,
#     "LMS": mel_hz,
#     "CQT": librosa.cqt_frequencies(84, fmin=librosa.note_to_hz("C1")),
# }
#
#
# def draw_representation(ax, name: str, picture: torch.Tensor) -> None:
#     """Draw one representation over time; label its rows in Hz where possible."""
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
#     draw_representation(ax, name, pictures[name])
# figure

# %% [markdown]
# The note appears as parallel lines. The line at 440 Hz is the pitch; the lines above
# it are its **harmonics** at 880, 1320, … Hz. In STFT they are all squeezed into the
# lowest part of the picture. MS gives more room to low frequencies, but only the
# loudest lines can be seen. LMS shows them all. CQT gives every octave the same height,
# but its values are not logarithmic either. In MFCC the loudness in row 0 is so large
# that the other rows can hardly be seen.
#
# ## Why LMS separates two instruments
#
# The same A on violin and clarinet, as LMS. The lines are at the same frequencies,
# because the pitch is the same, but their *strengths* differ. A clarinet is a tube that
# is closed at one end, so its even harmonics are weak.

# %% tags=["active-ipynb"]
# both = LMS()(torch.cat([violin, clarinet]))
# assert both.shape == (2, 128, 44)
# assert both.abs().max() <= 1
# show.spectrograms(
#     features.unscale_db(both),
#     hop=512 / 44100,
#     hz=mel_hz,
#     captions=["violin, A4", "clarinet, A4"],
#     unit="dB",
# )

# %% [markdown]
# Now take one frame from the middle of the note. On the left is its energy as in MS, on
# the right are the decibels of LMS:

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
# axes[0, 0].legend()
# figure

# %% [markdown]
# On the left the quiet bands lie on the axis, where neither a network nor you can see a
# difference. But we hear ratios, not differences, and much of what makes a violin sound
# like a violin is 30 dB below its loudest harmonic, at a thousandth of its energy. The
# logarithm makes it visible. Table 1 of the paper agrees: LMS is best with 87.44 %,
# against 66.09 % for MS.
#
# ## From LMS back to sound
#
# An LMS no longer contains the phases, and its wide bands have lost fine structure. To
# hear it we must estimate both.
#
# **First the magnitudes.** We look for a spectrum $P \ge 0$ whose mel energies $M P$
# are the given ones, $m$. The multiplicative update (Lee and Seung 2001) reduces
# $\lVert M P - m \rVert^2$ in every step and never makes $P$ negative:
#
# $$P \leftarrow P \odot \frac{M^\top m}{M^\top M P}.$$
#
# **Then the phases**, by **Griffin-Lim**. Start with random phases $\varphi$. Turn the
# spectrogram into a wave and back. The result $Y$ has consistent phases but the wrong
# magnitudes, so keep its phases only, and repeat. The fast variant (Perraudin et al.
# 2013) subtracts a part of the previous $Y$:
#
# $$Y_t = \mathrm{STFT}\big(\mathrm{STFT}^{-1}(\sqrt P\, e^{i\varphi})\big),\qquad
# \varphi \leftarrow \arg\big(Y_t - \beta\, Y_{t-1}\big),\quad
# \beta = \tfrac{0.99}{1.99} .$$

# %% tags=["active-ipynb"]
# def find_magnitude(mel: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
#     """√P of the update above: mel energies (128, N) → (1025, N)."""
#     target = basis.T @ mel
#     power = target
#     for _ in range(128):
#         power = power * target / (basis.T @ (basis @ power)).clamp(min=1e-30)
#     return power.sqrt()
#
#
# def find_phases(magnitude: torch.Tensor, window: torch.Tensor) -> torch.Tensor:
#     """Fast Griffin-Lim: magnitude (1025, N) → wave (samples,)."""
#     torch.manual_seed(0)
#     phase = torch.rand(magnitude.shape, dtype=torch.complex64)
#     before = torch.zeros(())
#     for _ in range(32):
#         wave = torch.istft(magnitude * phase, 2048, 512, window=window)
#         Y = torch.stft(wave, 2048, 512, window=window, return_complex=True)
#         Z = Y - 0.99 / 1.99 * before
#         phase, before = Z / (Z.abs() + 1e-16), Y
#     return torch.istft(magnitude * phase, 2048, 512, window=window)

# %% tags=["active-ipynb"]
# mel = features.Mel()(violin)[0]
# slow = find_phases(
#     find_magnitude(mel, torch.from_numpy(M).float()), torch.hann_window(2048)
# )
# fast = features.mel_to_waveform(mel)
# print(f"slow {tuple(slow.shape)}, fast {tuple(fast.shape)}, ", end="")
# print(f"largest difference {(slow - fast).abs().max():.1e}")
# assert (slow - fast).abs().max() < 0.01

# %% [markdown]
# The later notebooks call this function, which first undoes the scaling of LMS:


# %%
def lms_to_waveform(
    lms: Float[Tensor, "b 128 n"], sample_rate: int = 44100, loud: float = 1000.0
) -> Float[Tensor, "b s"]:
    """Estimate the sound of an LMS by Griffin-Lim: (B, 128, N) → (B, samples).

    Args:
        lms: what `LMS` gives, in [-1, 1].
        sample_rate: samples a second.
        loud: the mel energy that `LMS` scaled to 1.
    """
    mel = features.db_to_power(features.unscale_db(lms), ref=loud)
    return features.mel_to_waveform(mel, sample_rate=sample_rate)


# %% [markdown]
# Listen to what is lost on the way:

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
# We do not need the classifier for its answers. We need what it has to learn in order
# to give them. A network that distinguishes 13 instruments must reduce 5,632 numbers to
# the 128 numbers of its second-to-last layer, and these must say which instrument
# plays. The last layer turns this encoding $e$ into probabilities,
# $p = \mathrm{softmax}(W\,\mathrm{ReLU}(e) + b)$, and training minimises $-\log p_k$
# of the true instrument $k$.
#
# The network has three or four convolutions and three fully connected layers. "We add
# penalties (l2 = 0.015) on layer parameters in fully connected layers, and we apply
# dropout (0.7 and 0.8) to the last two layers." We read these two numbers as the
# probability to *keep* a unit, as TensorFlow 1 counts it, so we drop 0.3 and 0.2.
#
# The first layer normalises each row over the training set (a batch norm without
# parameters). Without it, MS and STFT, whose values span five powers of ten, could not
# be compared with LMS at all. The paper does not state the number of channels; `width`
# is that of the first convolution.


# %%
def make_sound_conv(before: int, after: int) -> list[nn.Module]:
    """Make a 3×3 convolution, a 2×2 max pooling, a norm and a ReLU."""
    # No bias: the norm subtracts the mean of each channel, and the bias with it. The
    # pooling comes before the norm, which then has a quarter of the work.
    convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
    return [convolution, nn.MaxPool2d(2), nn.BatchNorm2d(after), nn.ReLU()]


# %%
def make_sound_convs(layers: int, width: int) -> nn.Sequential:
    """Make three or four convolutions: (B, 1, F, N) → flat (B, 4W · F/2ˡ · N/2ˡ)."""
    widths = [1, width, 2 * width, 4 * width, 4 * width][: layers + 1]
    convs = [m for pair in pairwise(widths) for m in make_sound_conv(*pair)]
    return nn.Sequential(*convs, nn.Flatten())


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
        self.convs = make_sound_convs(layers, width)
        flat = 4 * width * (rows >> layers) * (frames >> layers)  # >> halves, rounds
        self.first = nn.Sequential(nn.Linear(flat, 512), nn.ReLU(), nn.Dropout(0.3))
        self.second = nn.Linear(512, 128)
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, classes))

    def encode(self, x: Float[Tensor, "b f n"]) -> Float[Tensor, "b 128"]:
        """Compute the encoding: the second-to-last layer before its ReLU."""
        x = rearrange(self.normalise(x), "b f n -> b 1 f n")
        return self.second(self.first(self.convs(x)))

    def forward(self, x: Float[Tensor, "b f n"]) -> Float[Tensor, "b k"]:
        """Compute the logits of the instruments."""
        return self.head(self.encode(x))


# %% [markdown]
# Follow half a second through the four convolutions. Each 3×3 convolution combines
# neighbouring values. Each 2×2 maximum halves height and width. So the maps get smaller
# while the number of their channels grows.

# %% tags=["active-ipynb"]
# def trace_shapes(layers: int, width: int = 32) -> dict[str, torch.Size]:
#     """The shape (C, F, N) after each convolution and its pooling."""
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
# show.feature_maps(trace_shapes(layers=4))

# %% [markdown]
# With one convolution less the maps stay larger, so the first fully connected layer
# needs more weights:

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
# ### The penalty, and what an optimiser makes of it
#
# The penalty is a term of the loss, over the weights $W_l$ of the fully connected
# layers. Biases, convolutions and norms have none:
#
# $$0.015 \sum_l \tfrac12\lVert W_l\rVert^2 .$$


# %%
def compute_penalty(classifier: nn.Module, l2: float = 0.015) -> Float[Tensor, ""]:
    """Compute the penalty on the weights of the fully connected layers (Sec. 3.3).

    Args:
        classifier: any network with such layers.
        l2: how much it counts.
    """
    full = [m.weight for m in classifier.modules() if isinstance(m, nn.Linear)]
    return l2 / 2 * torch.stack([weight.square().sum() for weight in full]).sum()


# %% tags=["active-ipynb"]
# small = SoundClassifier(128, 44, 13, width=4)
# compute_penalty(small).backward()
# print("penalised:", *[n for n, p in small.named_parameters() if p.grad is not None])
# assert torch.allclose(small.second.weight.grad, 0.015 * small.second.weight)

# %% [markdown]
# The gradient of the penalty is $0.015\,W$. Adam divides every gradient by its own
# running size, and this one too. So a weight that the data do not need moves by about
# the learning rate $\eta$ in *every* step, however small 0.015 is, until it is zero.
#
# **Decoupled weight decay** (AdamW) is another method with a similar name. It leaves
# the loss alone and shrinks the weights: $W \leftarrow (1 - 0.015\,\eta)\,W$ in each
# step. The same number 0.015 then does almost nothing. Here are both on weights for
# which the data give no gradient:

# %% tags=["active-ipynb"]
# kept = {"penalty in the loss": [], "decoupled decay": []}
# for name, values in kept.items():
#     layer = nn.Linear(100, 100).double()
#     nn.init.normal_(layer.weight, std=0.03)
#     before, decoupled = layer.weight.norm().item(), name == "decoupled decay"
#     decay = 0.015 if decoupled else 0.0
#     adam = torch.optim.AdamW([layer.weight], lr=1e-3, weight_decay=decay)
#     for _ in range(500):
#         adam.zero_grad()
#         (compute_penalty(layer, 0.0 if decoupled else 0.015)).backward()
#         adam.step()
#         values.append(layer.weight.norm().item() / before)
# left = {name: f"{values[-1]:.2%}" for name, values in kept.items()}
# print("left after 500 steps:", left)
# assert abs(kept["decoupled decay"][-1] - (1 - 0.015e-3) ** 500) < 1e-5
# show.curves(kept, y="norm, share of the first", percent=True)

# %% [markdown]
# The paper speaks of penalties, so we put the penalty into the loss.

# %% [markdown]
# ## S2I-A: an encoding without labels
#
# The variant S2I-A replaces the classifier by a **stacked convolution-deconvolution
# autoencoder** (Sec. 5.1). It has three stacks. Each is a convolution, whose output a
# deconvolution turns back into the input of the stack. The next stack takes the output
# of the convolution. A fourth stack flattens the last map and projects it to 128
# numbers. The stacks are trained one after the other, each on its own mean squared
# error: stack $l$ with encoder $f_l$, decoder $g_l$ and input $x_l$ minimises
#
# $$\min_{f_l,\,g_l}\ \lVert g_l(f_l(x_l)) - x_l\rVert^2,\qquad x_{l+1} = f_l(x_l).$$
#
# The autoencoder never sees a label. It keeps what it needs to reconstruct the
# spectrogram, and that need not be what distinguishes instruments. In Table 5 of the
# paper S2I-A is far worse than S2I-C.


# %%
class ConvStack(nn.Module):
    """One stack: `encode` halves the sides of the map, `decode` reconstructs it."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)
        )
        # output_padding=1 doubles exactly: (n - 1) * 2 - 2 + 3 + 1 = 2n.
        self.up = nn.ConvTranspose2d(after, before, 3, 2, 1, output_padding=1)

    def encode(self, x: Float[Tensor, "b c f n"]) -> Float[Tensor, "b d g m"]:
        """Compute a map of half the height and width."""
        return self.down(x)

    def decode(self, code: Float[Tensor, "b d g m"], like: Tensor) -> Tensor:
        """Reconstruct the input; its size is that of `like`."""
        # A side of odd length was rounded up, so the result can be one row too large.
        return self.up(code)[..., : like.shape[-2], : like.shape[-1]]


# %%
class LinearStack(nn.Module):
    """The last stack: flatten a map, project it to 128 numbers, and back."""

    def __init__(self, channels: int, rows: int, frames: int) -> None:
        super().__init__()
        self.down = nn.Linear(channels * rows * frames, 128)
        self.up = nn.Linear(128, channels * rows * frames)

    def encode(self, x: Float[Tensor, "b c f n"]) -> Float[Tensor, "b 128"]:
        """Project a map to the encoding."""
        return self.down(x.flatten(1))

    def decode(self, code: Float[Tensor, "b 128"], like: Tensor) -> Tensor:
        """Reconstruct the map; its shape is that of `like`."""
        return self.up(code).view_as(like)


# %%
class StackedAutoencoder(nn.Module):
    """The encoder of S2I-A (Sec. 5.1), trained without labels: (B, F, N) → (B, 128)."""

    def __init__(self, rows: int, frames: int, width: int = 16) -> None:
        super().__init__()
        widths = (1, width, 2 * width, 4 * width)
        self.stacks = nn.ModuleList(ConvStack(*pair) for pair in pairwise(widths))
        # Each stack halves and rounds up: -(-n // 8) is n / 8, rounded up.
        self.stacks.append(LinearStack(4 * width, -(-rows // 8), -(-frames // 8)))

    def encode(self, x: Float[Tensor, "b f n"]) -> Float[Tensor, "b 128"]:
        """Encode x by all stacks."""
        return self.encode_up_to(len(self.stacks), x)

    def encode_up_to(self, level: int, x: Float[Tensor, "b f n"]) -> Tensor:
        """Encode x by the stacks before `level`: the result is the input of `level`."""
        x = x[:, None]
        for stack in self.stacks[:level]:
            x = stack.encode(x)
        return x


# %% [markdown]
# The loss of one stack. The stacks before it compute its input, but get no gradient:


# %%
def reconstruction_loss(
    autoencoder: StackedAutoencoder, level: int, x: Float[Tensor, "b f n"]
) -> Float[Tensor, ""]:
    """Compute the mean squared error of the stack `level` alone (Sec. 5.1)."""
    with torch.no_grad():
        before = autoencoder.encode_up_to(level, x)
    stack = autoencoder.stacks[level]
    return (stack.decode(stack.encode(before), before) - before).square().mean()


# %% [markdown]
# The shapes, stack by stack. (The paper says that the last stack gets an array of
# 120×36. No repeated halving of 128×44 gives that. Ours gets what three halvings leave,
# an eighth of each side, rounded up.)

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
# A stack learns quickly. Train the first one for 60 steps on five notes of five
# instruments, and look at its reconstruction of the violin:

# %% tags=["active-ipynb"]
# notes = LMS()(torch.cat([play_note(name, 60) for name in bandstand.INSTRUMENTS[::3]]))
# first = autoencoder.stacks[0]
# adam = torch.optim.Adam(first.parameters(), lr=1e-2)
# reconstructions, losses = [], []
# for step in range(61):
#     if step in (0, 10, 60):
#         with torch.no_grad():
#             output = first.decode(first.encode(both[:1, None]), both[:1, None])
#         reconstructions.append(output[0, 0].clamp(-1, 1))
#     loss = reconstruction_loss(autoencoder, 0, notes)
#     adam.zero_grad()
#     loss.backward()
#     adam.step()
#     losses.append(loss.item())
# captions = ["violin, A4", "untrained", "after 10 steps", "after 60 steps"]
# print(f"mean squared error {losses[0]:.3f} → {losses[-1]:.4f}")
# pictures = features.unscale_db(torch.stack([both[0], *reconstructions]))
# show.spectrograms(
#     list(pictures), hop=512 / 44100, hz=mel_hz, captions=captions, unit="dB"
# )

# %% [markdown]
# ## Encodings on one scale
#
# The generators get encodings from three sources: classifier, autoencoder and image
# encoder. Each of the 128 numbers is shifted and scaled to mean 0 and variance 1 over
# the training set. So the variants differ in the *information* of their encoding, and
# not in its scale.


# %%
class Standardizer(nn.Module):
    """Standardise encodings by the mean and deviation of the training set."""

    def __init__(self, size: int = 128) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def fit(self, x: Float[Tensor, "n e"]) -> "Standardizer":
        """Take the statistics of `x`; return the standardizer itself."""
        # A constant number has deviation 0. Dividing by 1 keeps it finite.
        std = x.std(dim=0)
        self.mean, self.std = x.mean(dim=0), torch.where(std > 1e-6, std, 1.0)
        return self

    def forward(self, x: Float[Tensor, "b e"]) -> Float[Tensor, "b e"]:
        """Compute (x - mean) / std."""
        return (x - self.mean) / self.std


# %% tags=["active-ipynb"]
# encodings = 5 + 3 * torch.randn(1000, 128)
# scaled = Standardizer().fit(encodings)(encodings)
# print(f"mean {scaled.mean():.3f}, standard deviation {scaled.std():.3f}")
# assert scaled.mean(0).abs().max() < 1e-4

# %% [markdown]
# ## Summary
#
# Half a second of sound becomes an LMS of 128×44 numbers in [-1, 1]. `SoundClassifier`
# and `StackedAutoencoder` reduce it to 128 numbers, with and without labels.
# `lms_to_waveform` makes an LMS audible again. Step 3 trains the networks and compares
# the representations. What the examples above measured, in sentences:

# %% tags=["active-ipynb", "came-out"]
# print(f"An LMS that becomes a sound and an LMS again is off by {error:.1f} dB.")
# in_loss, decoupled = left["penalty in the loss"], left["decoupled decay"]
# print(f"After 500 steps the penalty in the loss has left {in_loss} of the norm of")
# print(f"the weights. Decoupled decay, with the same number, has left {decoupled}.")
# print("In 60 steps the mean squared error of the first stack went from", end=" ")
# print(f"{losses[0]:.3f} to {losses[-1]:.4f}.")

# %% [markdown]
# ## Exercises
#
# 1. Write LMS in numpy: from the magnitudes of an STFT and the matrix $M$ to numbers
#    in [-1, 1].
# 2. On how many rows of the spectrogram does one output of the four convolutions
#    depend? Write a function for any list of (kernel, stride) layers. A 3×3 convolution
#    is (3, 1), a pooling (2, 2).

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
# from avnb import course
#
#
# def compute_lms(magnitude, mel):
#     """LMS (bands, frames) from |X| (rows, frames) and M (bands, rows)."""
#     ...  # your code
#
#
# course.try_exercise(exercises.COMPUTE_LMS, compute_lms)

# %% tags=["active-ipynb"]
# def compute_receptive_field(layers):
#     """How many rows one output depends on; layers is [(kernel, stride), …]."""
#     ...  # your code
#
#
# course.try_exercise(exercises.RECEPTIVE_FIELD, compute_receptive_field)
