# %% [markdown]
# # Step 2 · Sound: a generator of waveforms and its critic
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/joint_gan/step2_sound.ipynb)
#
# The first of the paper's three modules makes sound from noise. It is WaveGAN (Donahue
# et al. 2019): the generator $G_a$ turns a vector $\epsilon_0$ of 100 random numbers
# into 16,384 samples, 1.024 seconds at 16 kHz, and the critic $D_a$ says with which
# probability a waveform is a recording.
#
# **You will learn**
#
# 1. how five layers of transposed convolution make a waveform of 16 numbers, and how to
#    compute them faster with the same result,
# 2. which artefacts they leave, seen in a spectrogram,
# 3. how the critic is built, why it may hear a spectrogram as well, what **phase
#    shuffle** is for, and for which tones it cannot do anything,
# 4. the game of Eq. 1, and why a sigmoid must not be in a Wasserstein critic.
#
# **Time.** About 35 minutes to read. The cells run in about a minute.
#
# **Before you start.** You should know convolutions and what a GAN is (the series
# `start_here`).
#
# **Letters.** B items · L samples · C channels · d width of the networks (64 in the
# paper) · P period of a tone, in samples.

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
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from avnb import losses
from avnb.errors import AvnbError
from avnb.features import LogMel
from avnb.layers import DownConv1d, PhaseShuffle, UpConv1d

# %% tags=["active-ipynb"]
# import librosa
#
# from avnb import course, layers
# from avnb.viz import show
# from data_scripts import bandstand
#
# take = bandstand.record_take("melodic", player=6, seconds=4, seed=0)
# start = 16000 // 2
# cello = torch.from_numpy(take.synthesise(16000)[start : start + 16384])
# cello = 0.5 * cello / cello.abs().max()
# show.listen([cello], 16000, ["a second of a drawn cellist: what G should make"])

# %%
SAMPLES = 16384  # 1.024 s at 16 kHz: 16 numbers, four times as many in five layers
RATE = 16000  # Hz
LAYERS = 5
FIRST = SAMPLES // 4**LAYERS  # samples of the first maps: 16
SLOPE = 0.2  # of every LeakyReLU of the critics


# %% [markdown]
# ## One layer up: four times as many samples
#
# A transposed convolution with stride 4 puts three zeros between the samples and
# applies a filter of 25 weights. Without a nonlinearity a layer is this sum, which the
# next cell computes term by term:
#
# $$y_c[o] = \sum_{i}\sum_{c'} w_{c'c}[o - 4i + 11]\; x_{c'}[i] .$$
#
# `x (C', L), weight (C', C, 25) → (C, 4 L)`


# %%
def upsample_slow(
    x: Float[Tensor, "c_in length"], weight: Float[Tensor, "c_in c_out 25"]
) -> Float[Tensor, "c_out longer"]:
    """A transposed convolution with stride 4, one input sample at a time."""
    length, taps = x.shape[1], weight.shape[2]
    y = torch.zeros(weight.shape[1], 4 * length)
    for i, k in itertools.product(range(length), range(taps)):
        o = 4 * i + k - 11  # where weight k puts input i
        if 0 <= o < 4 * length:
            y[:, o] += x[:, i] @ weight[:, :, k]
    return y


# %% [markdown]
# Each input sample is multiplied by all 25 weights and leaves a copy of the filter in
# the output. Look at it from the output's side. Output sample $4j$ only meets every
# fourth weight, output $4j+1$ the weights next to these, and so on. So there are four
# small filters of at most 7 weights, one for each **phase** of the output, and each is
# a plain convolution of the *short* input. This is the polyphase form:

# %% tags=["active-ipynb"]
# course.show_source(UpConv1d)

# %% tags=["active-ipynb", "polyphase"]
# torch.manual_seed(0)
# x = torch.randn(1, 3, 16)
# fast = UpConv1d(3, 2)
# with torch.no_grad():
#     by_loop = upsample_slow(x[0], fast.weight)
#     assert torch.allclose(fast(x)[0], by_loop, atol=1e-5)
#     print(f"{tuple(x.shape)} → {tuple(fast(x).shape)}, as the loop")
#     copies = UpConv1d(3, 2, "nearest")
#     longer = x.repeat_interleave(4, dim=2)
#     plain = F.conv1d(longer, copies.weight, copies.bias, padding=12)
#     assert torch.allclose(copies(x), plain, atol=1e-5)
# print("and as copying each sample four times, then convolving")

# %% [markdown]
# Both PyTorch versions of WaveGAN go another way by default. They copy each sample four
# times and convolve with 25 weights at the new rate: `upsample="nearest"`. They do the
# products of equal samples one by one. The polyphase form adds the weights first. That
# is the same number with a quarter of the work, and `benchmarks/joint_gan.py` measures
# what it saves.
#
# ## The generator
#
# A linear layer makes 16 samples in 16 d channels of the noise. Five layers multiply
# the length by four and halve the channels; the last one leaves a single channel, and a
# tanh keeps it between -1 and 1. There is no norm.
#
# `ε₀ (B, 100) → sound (B, 1, 16384)`


# %%
class SoundLayers(nn.Module):
    """G_a: noise (B, 100) → waveforms (B, 1, 16384) (Sec. 3; WaveGAN's generator).

    `width` is d, 64 in the paper. `upsample` is "transposed", or "nearest" as in the
    PyTorch versions. `taps`: of a learned filter before the tanh, 0 for none.
    """

    def __init__(
        self, width: int = 64, noise: int = 100, upsample="transposed", taps: int = 0
    ) -> None:
        super().__init__()
        widths = [16 * width // 2**i for i in range(LAYERS)] + [1]
        self.dense = nn.Linear(noise, FIRST * widths[0])
        self.ups = nn.ModuleList(
            UpConv1d(a, b, upsample) for a, b in itertools.pairwise(widths)
        )
        self.filter = nn.Conv1d(1, 1, taps) if taps else None
        with torch.no_grad():  # the first sounds are about as loud as music
            self.ups[-1].weight *= 0.2


# %%
class SoundGenerator(SoundLayers):
    """G_a, with the arguments of SoundLayers: how its layers are run."""

    def begin(self, noise: Float[Tensor, "b z"]) -> Float[Tensor, "b c 64"]:
        """The linear layer and the first layer up: 64 places of 16 ms."""
        return F.relu(self.ups[0](F.relu(self.dense(noise).unflatten(1, (-1, FIRST)))))

    def finish(self, x: Float[Tensor, "b c 64"]) -> Float[Tensor, "b 1 samples"]:
        """The other layers."""
        for up in self.ups[1:-1]:
            x = F.relu(up(x))
        x = self.ups[-1](x)
        if self.filter is not None:  # padded so that the length stays
            taps = self.filter.weight.shape[2]
            x = self.filter(F.pad(x, (taps // 2, (taps - 1) // 2)))
        return torch.tanh(x)

    def forward(self, noise: Float[Tensor, "b z"]) -> Float[Tensor, "b 1 samples"]:
        """Noise, uniform in [-1, 1] → sound in [-1, 1]."""
        return self.finish(self.begin(noise))


# %%
def draw_sound_noise(
    count: int, size: int = 100, generator: torch.Generator | None = None
) -> Float[Tensor, "b z"]:
    """ε₀, uniform in [-1, 1] as in WaveGAN. The paper does not name a distribution."""
    device = None if generator is None else generator.device
    return 2 * torch.rand(count, size, generator=generator, device=device) - 1


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# G = SoundGenerator(width=8)
# noise = draw_sound_noise(4)
# lengths, x = [], F.relu(G.dense(noise).unflatten(1, (-1, FIRST)))
# for layer in G.ups:
#     lengths.append({"input": tuple(x.shape), "layer": "25 weights, stride 4"})
#     x = layer(x)
#     lengths[-1]["output"] = tuple(x.shape)
# with torch.no_grad():
#     made = G(noise)
# assert made.shape == (4, 1, SAMPLES)
# show.table(lengths, "d = 8: the maps of the generator, layer by layer")

# %% tags=["active-ipynb"]
# captions = ["untrained G", "untrained G, other noise"]
# show.listen([made[0, 0], made[1, 0]], RATE, captions)

# %% [markdown]
# ## Artefacts: the four phases are four different filters
#
# The output's four phases come from four different filters, so the result repeats every
# four samples: a tone at a quarter of the sample rate, 4,000 Hz, that nobody asked for.
# The layer before adds one at 1,000 Hz, and so on. In pictures this is called the
# checkerboard effect. Copying samples spreads each over its neighbours, which damps
# these tones. We average the spectra of 64 sounds from untrained generators:


# %%
def measure_spectrum(sound: Float[Tensor, "b 1 samples"]) -> Float[Tensor, " bins"]:
    """Mean power at 0 to 8,000 Hz of the sounds, in dB."""
    window = torch.hann_window(sound.shape[2])
    power = torch.fft.rfft(sound[:, 0] * window).abs().square().mean(dim=0)
    return 10 * (power + 1e-12).log10()


# %% tags=["active-ipynb", "checkerboard"]
# @torch.no_grad()
# def make_untrained(upsample):
#     """64 sounds of eight untrained generators of one kind."""
#     torch.manual_seed(1)
#     generators = [SoundGenerator(4, upsample=upsample) for _ in range(8)]
#     return torch.cat([G(draw_sound_noise(8)) for G in generators])
#
#
# untrained = {kind: make_untrained(kind) for kind in ("transposed", "nearest")}
# hz = torch.fft.rfftfreq(SAMPLES, 1 / RATE)
# figure, axes = show.subplots(1, 2, width=4.2, height=2.6)
# for ax, (kind, sounds) in zip(axes[0], untrained.items(), strict=True):
#     ax.plot(hz, measure_spectrum(sounds), linewidth=0.4)
#     ax.set(title=kind, xlabel="Hz", ylabel="mean power [dB]", ylim=(-50, 60))
#     ax.set_xticks([0, 1000, 2000, 4000, 8000])
# figure


# %%
def measure_lines(sound: Float[Tensor, "b 1 samples"]) -> dict[int, float]:
    """How far the tones at 4,000, 1,000 and 250 Hz stand out of their neighbours, dB.

    Each is the repetition of one layer: the last, the one before, and so on.
    """
    spectrum, lines = measure_spectrum(sound), {}
    for hz in (4000, 1000, 250):
        bin_ = hz * sound.shape[2] // RATE
        near = torch.cat(
            [spectrum[bin_ - 40 : bin_ - 4], spectrum[bin_ + 5 : bin_ + 41]]
        )
        peak = spectrum[bin_ - 1 : bin_ + 2].max()
        lines[hz] = (peak - near.median()).item()
    return lines


# %% tags=["active-ipynb", "lines"]
# rows = [
#     {"upsampling": kind}
#     | {f"{hz} Hz [dB]": db for hz, db in measure_lines(sounds).items()}
#     for kind, sounds in untrained.items()
# ]
# show.table(rows, "how far the layers' own tones stand out of their neighbours")

# %% tags=["active-ipynb"]
# pictures = []
# for sounds in untrained.values():
#     spectrum = torch.stft(
#         sounds[0, 0], 512, 128, window=torch.hann_window(512), return_complex=True
#     )
#     pictures.append(20 * (spectrum.abs() + 1e-4).log10())
# bins = torch.fft.rfftfreq(512, 1 / RATE)
# show.spectrograms(
#     pictures, hop=128 / RATE, hz=bins, captions=list(untrained), columns=2, unit="dB"
# )

# %% [markdown]
# With transposed convolutions, horizontal lines stand in the spectrogram at 4,000 Hz
# and at multiples of 1,000 Hz, for each noise at the same place. Training makes them
# weaker. (Copies leave a gap at 4,000 Hz: the four equal samples of a copy cancel such
# a tone.) The lines also come always with the same **phase**, since the layers start to
# count at sample 0. This is where the paper's argument begins: the critic "needs to
# learn this trivial policy".
#
# ## The critic
#
# Five convolutions with stride 4 shorten the waveform to 16 samples with 16 d channels,
# and a linear layer gives one logit. Its sigmoid is $D_a$. The convolutions stand in a
# class of their own, because step 4 uses them as well.
#
# `sound (B, 1, 16384) → (B, 16 d, 16) → (B,)`


# %%
class SoundTrunk(nn.Module):
    """The convolutions of D_a: sound (B, 1, L) → maps (B, 16 d, L / 1024).

    `shuffle`: radius n of the phase shuffle after each of the first four; 0 for none.
    """

    def __init__(self, width: int = 64, shuffle: int = 2, per_item: bool = True):
        super().__init__()
        widths = [1] + [width * 2**i for i in range(LAYERS)]
        self.downs = nn.ModuleList(
            DownConv1d(a, b) for a, b in itertools.pairwise(widths)
        )
        self.shuffle = PhaseShuffle(shuffle, per_item=per_item)

    def forward(self, sound: Float[Tensor, "b 1 samples"]) -> Float[Tensor, "b c t"]:
        """Four times: convolution, LeakyReLU, shuffle. The fifth has no shuffle."""
        x = sound
        for down in self.downs[:-1]:
            x = self.shuffle(F.leaky_relu(down(x), SLOPE))
        return F.leaky_relu(self.downs[-1](x), SLOPE)


# %%
class SoundCritic(nn.Module):
    """D_a: sound (B, 1, samples) → logits (B,) (Sec. 3; WaveGAN's discriminator).

    `width`, `shuffle` and `per_item` as in `SoundTrunk`; `samples` of a sound.
    """

    def __init__(
        self, width: int = 64, shuffle: int = 2, per_item=True, samples: int = SAMPLES
    ) -> None:
        super().__init__()
        if samples % 4**LAYERS:
            raise AvnbError(
                "SoundCritic",
                f"{samples} samples cannot be divided by four {LAYERS} times",
                f"Give sounds of a multiple of {4**LAYERS} samples",
            )
        self.trunk = SoundTrunk(width, shuffle, per_item)
        self.decision = nn.Linear(16 * width * samples // 4**LAYERS, 1)

    def forward(self, sound: Float[Tensor, "b 1 samples"]) -> Float[Tensor, " b"]:
        """One logit a sound: its sigmoid is the probability of a recording."""
        return self.decision(self.trunk(sound).flatten(1))[:, 0]


# %% tags=["active-ipynb", "parameters-sound"]
# D = SoundCritic(width=8)
# with torch.no_grad():
#     assert D(made).shape == (4,)
# rows = []
# for width in (8, 16, 32, 64):
#     with torch.device("meta"):  # shapes only: no memory
#         nets = {"G": SoundGenerator(width), "D": SoundCritic(width)}
#     counts = {k: sum(p.numel() for p in net.parameters()) for k, net in nets.items()}
#     rows.append({"d": width} | counts)
# show.table(rows, "weights; the paper's are in the last row")

# %% [markdown]
# ### A critic that hears a spectrogram
#
# WaveGAN was trained for 200,000 steps of 64 sounds. A critic of raw samples has to
# find out by itself what a tone is, and until then its gradient tells the generator
# little. On two cores there is no time for that. So we can give $D_a$ a second half
# (**ours**, `hears="both"`), which gets the log-mel spectrogram of the sound and looks
# at it as at a picture: four convolutions with stride 2, and a logit for each of 16
# patches. The spectrogram is a differentiable function of the samples, so its gradient
# reaches the generator. Step 6 trains with the waveform alone, as the paper does; the
# network `BL, spectrogram too` of its catalogue has both halves.
#
# `sound (B, 1, 16384) → log-mel (B, 1, 64, 65) → (B, 8 d, 4, 4) → (B, 16)`


# %%
class SpectrogramCritic(nn.Module):
    """The second half of D_a (ours): sound → logits of 16 patches of its log-mel."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.log_mel = LogMel(RATE, 1024, 256, 64, top_db=None)
        widths = [1] + [width * 2**i for i in range(4)]
        self.downs = nn.ModuleList(
            nn.Conv2d(a, b, 4, 2, 1) for a, b in itertools.pairwise(widths)
        )
        self.decision = nn.Conv2d(widths[-1], 1, 3, 1, 1)

    def forward(self, sound: Float[Tensor, "b 1 samples"]) -> Float[Tensor, "b p"]:
        """One logit a patch of a quarter of the bands and of the time."""
        with torch.autocast(sound.device.type, enabled=False):  # dB need the digits
            x = (self.log_mel(sound[:, 0].float())[:, None] + 20) / 40
        x = x.clamp(-1.5, 1.5)  # from -80 to 40 dB
        for down in self.downs:
            x = F.leaky_relu(down(x), SLOPE)
        return self.decision(x).flatten(1)


# %%
class BothSoundCritics(nn.Module):
    """D_a that hears waveform and spectrogram; each has half of the loss.

    The arguments are those of SoundCritic.
    """

    def __init__(self, width: int = 64, shuffle: int = 2) -> None:
        super().__init__()
        self.waveform = SoundCritic(width, shuffle)
        self.spectrogram = SpectrogramCritic(width)

    def forward(self, sound: Float[Tensor, "b 1 samples"]) -> Float[Tensor, "b p"]:
        """The logits of patches, and as many copies of the waveform's logit."""
        # The losses take the mean over all logits of a sound.
        patches = self.spectrogram(sound)
        whole = self.waveform(sound)[:, None].expand(-1, patches.shape[1])
        return torch.cat([whole, patches], dim=1)


# %% tags=["active-ipynb", "both-critics"]
# torch.manual_seed(0)
# both = BothSoundCritics(width=8)
# with torch.no_grad():
#     logits = both(made)
# assert logits.shape == (4, 2 * 16)  # 16 patches, and 16 copies of the waveform's
# heard = [both.spectrogram.log_mel(x) for x in (cello, made[0, 0])]
# names = ["a cellist", "the untrained generator"]
# mel = librosa.mel_frequencies(64 + 2, fmin=0, fmax=RATE / 2)[1:-1]  # of each band
# show.spectrograms(heard, hop=256 / RATE, hz=mel, captions=names, columns=2, unit="dB")

# %% [markdown]
# ## Phase shuffle
#
# The layer moves all channels of an item by a random number of steps, $-n$ to $n$. What
# is missing at one end is filled with the mirror image of what is there, without the
# end's own sample. Here it is as a loop:
#
# `x (B, C, L), shifts (B,) → (B, C, L)`


# %%
def shuffle_phase_slow(
    x: Float[Tensor, "b c length"], shifts: list[int]
) -> Float[Tensor, "b c length"]:
    """Shift item b by shifts[b] steps, one sample at a time."""
    y = torch.empty_like(x)
    last = x.shape[2] - 1
    for b, shift in enumerate(shifts):
        for t in range(last + 1):
            source = t - shift
            if source < 0:  # before the beginning: counted from sample 0 onwards
                source = -source
            if source > last:  # behind the end: counted back from the last sample
                source = 2 * last - source
            y[b, :, t] = x[b, :, source]
    return y


# %% tags=["active-ipynb"]
# course.show_source(layers.shuffle_phase, PhaseShuffle)

# %% tags=["active-ipynb", "shuffle"]
# x = torch.randn(5, 3, 12)
# shifts = torch.tensor([-2, -1, 0, 1, 2])
# fast = layers.shuffle_phase(x, shifts)
# assert torch.equal(fast, shuffle_phase_slow(x, shifts.tolist()))
# figure, axes = show.subplots(1, 2, width=4.2, height=2.2)
# for ax, k in zip(axes[0], (4, 0), strict=True):
#     ax.plot(x[k, 0], "o-", label="before")
#     ax.plot(fast[k, 0], "o--", label=f"moved by {shifts[k].item():+d}")
#     ax.set(xlabel="step", ylabel="one channel")
#     ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
# figure

# %% [markdown]
# Nothing wraps round: what leaves at one end does not come in at the other. The
# official code draws one shift for the whole batch (`per_item=False`), one of the
# PyTorch versions draws one for each item, as we do by default, and another one tests
# its flag the wrong way round, so that its phase shuffle is never applied. What does it
# do to a sound? After layer $m$ a step is $4^m$ samples, so the four shuffles together
# move the sound by at most 2 · (4 + 16 + 64 + 256) samples:

# %% tags=["active-ipynb"]
# most = 2 * sum(4**m for m in range(1, LAYERS)) / RATE
# steps = torch.tensor([int(most * RATE)])
# moved = layers.shuffle_phase(cello[None, None], steps)[0, 0]
# print(f"largest shift: {1000 * most:.1f} ms")
# show.listen([cello, moved], RATE, ["as it is", f"{1000 * most:.1f} ms later"])

# %% [markdown]
# You hear no difference, and neither should the critic.
#
# ## What it is for: a tone that is known by its phase
#
# We put a critic to the test. "Recordings" are tones of period P whose phase is random.
# "Generated" are the same tones, and all begin at phase 0, as an artefact does. Nothing
# but the phase tells them apart. An ear cannot use it; can the critic?


# %%
def make_tones(
    count: int, period: int, fixed: bool, samples: int = 2048
) -> Float[Tensor, "b 1 samples"]:
    """Tones with a little noise; their phase is random, or 0 for all (`fixed`)."""
    phase = torch.zeros(count, 1) if fixed else 2 * math.pi * torch.rand(count, 1)
    time = 2 * math.pi * torch.arange(samples) / period
    return (0.5 * torch.sin(time + phase) + 0.02 * torch.randn(count, samples))[:, None]


# %%
def learn_phase(period: int, shuffle: int, steps: int = 80, seed: int = 0) -> float:
    """Train a small D_a to find the tones of fixed phase; its accuracy on new ones."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        critic = SoundCritic(width=4, shuffle=shuffle, samples=2048)
        adam = torch.optim.Adam(critic.parameters(), 1e-3, betas=(0.5, 0.9))
        for _ in range(steps):
            real, fake = (critic(make_tones(24, period, f)) for f in (False, True))
            loss = losses.log_critic_loss(real, fake)
            adam.zero_grad()
            loss.backward()
            adam.step()
        with torch.no_grad():
            right = critic(make_tones(300, period, False)) > 0
            wrong = critic(make_tones(300, period, True)) < 0
        return torch.cat([right, wrong]).float().mean().item()


# %% tags=["active-ipynb", "phase"]
# periods = (64, 16, 4)
# accuracy = {n: [learn_phase(period, n) for period in periods] for n in (0, 2)}
# rows = [
#     {"tone [Hz]": RATE / period, "P": period}
#     | {f"accuracy, n = {n}": accuracy[n][k] for n in (0, 2)}
#     for k, period in enumerate(periods)
# ]
# show.table(rows, "a critic that tells tones apart by their phase; 0.5 is chance")

# %% [markdown]
# Without phase shuffle (n = 0) the critic finds the generated tones by their phase
# alone. With it (n = 2) the critic can hardly do more than guess at 250 Hz. At 1,000 Hz
# it loses only a little, and at 4,000 Hz nothing. Why? The shuffle moves whole steps.
# After the first layer a step is 4 samples, which is one whole period of the tone of
# 4,000 Hz: a tone that moves by its period is the same tone. A tone of period 16 moves
# by quarters of its period, so that only four phases become equal, and a random phase
# is still told from these. **The artefact of the last up-layer has period 4: phase
# shuffle cannot hide it.** It hides that of the layer before a little, and those of the
# earlier layers well. That we can see this at all is the reason for trying a method on
# data whose answer is known.
#
# ## The game, Eq. 1
#
# $$V(D_a, G_a) = \mathbb E_{a}[\log D_a(a)]
#   + \mathbb E_{\epsilon_0}[\log(1 - D_a(G_a(\epsilon_0)))] \tag{1}$$
#
# $D_a$ raises it, $G_a$ lowers it. (The paper writes $D_a(\epsilon_0, W_{da})$, as if
# the critic saw the noise. It sees sounds.) With logits:

# %% tags=["active-ipynb"]
# course.show_source(losses.log_critic_loss, losses.log_generator_loss)

# %% tags=["active-ipynb", "eq1"]
# real_logits, fake_logits = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
# p, q = real_logits.sigmoid(), fake_logits.sigmoid()
# by_hand = -(p.log().mean() + (1 - q).log().mean())
# assert torch.allclose(losses.log_critic_loss(real_logits, fake_logits), by_hand)
# print(f"minus the value of Eq. 1: {by_hand.item():.3f}")

# %% [markdown]
# ## A trap: a sigmoid in a Wasserstein critic
#
# WaveGAN's own default is another game, WGAN-GP: the critic's *scores* have no bounds,
# it maximises the difference of their means, and a penalty holds its slope near 1
# (`losses.critic_loss`, `losses.gradient_penalty`). One of the PyTorch versions keeps a
# sigmoid at the end of that critic. The first author of our paper reported that it gave
# "noise only" on URMP, with saturated losses. The next cell trains both on numbers:
# real ones are near 4, generated ones near -4. How much does the score change at the
# generated numbers? This slope is all that the generator learns from.


# %%
def train_wasserstein_critic(
    bounded: bool, steps: int = 200, distance: float = 4.0
) -> tuple[float, float]:
    """A WGAN-GP critic of numbers: the gap of its scores, its slope at the fakes."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(1, 32), nn.LeakyReLU(SLOPE), nn.Linear(32, 1))
        nn.init.zeros_(net[2].weight)  # flat: the penalty does not know the sign
        critic = nn.Sequential(net, nn.Sigmoid()) if bounded else net
        adam = torch.optim.Adam(critic.parameters(), 0.01, betas=(0.5, 0.9))
        for _ in range(steps):
            real, fake = (s * distance + 0.1 * torch.randn(64, 1) for s in (1, -1))
            loss = losses.critic_loss(critic(real), critic(fake))
            loss = loss + 10 * losses.gradient_penalty(critic, real, fake)
            adam.zero_grad()
            loss.backward()
            adam.step()
        fake.requires_grad_()
        score = critic(fake)
        (slope,) = torch.autograd.grad(score.sum(), fake)
        gap = critic(real).mean() - score.mean()
    return gap.item(), slope.mean().item()


# %% tags=["active-ipynb", "sigmoid"]
# rows = []
# for name, bounded in (("scores as they are", False), ("with a sigmoid", True)):
#     gap, slope = train_wasserstein_critic(bounded)
#     row = {"critic": name, "D(real) − D(fake)": gap}
#     rows.append(row | {"slope at the fakes": slope})
# show.table(rows, "the Wasserstein distance of these numbers is 8")

# %% [markdown]
# (Without a sigmoid the slope is even above 1. The penalty is not a hard bound: with
# its weight of 10 a slope s brings 8 s − 10 (s − 1)², which is largest at s = 1.4.) A
# sigmoid's values differ by at most 1, so a slope of 1 over a distance of 8 is
# impossible. The gap cannot exceed 1, whatever the distance, and the slope at the
# generated numbers is small. The remedy is either to take the sigmoid away, or to play
# the game of Eq. 1, whose logarithm undoes the sigmoid. The paper prints Eq. 1, and so
# we use it; WGAN-GP for the sound is an option in step 6.
#
# ## What came out
#
# - Five layers make 16,384 samples of 16. In the polyphase form they are convolutions
#   of the short signal, with the same numbers.
# - Transposed convolutions leave tones at 4,000, 1,000 and 250 Hz at a fixed phase;
#   copying samples leaves a gap at 4,000 Hz instead.
# - Phase shuffle hides the phase of slow tones from the critic. It hides that of the
#   last layer's tone not at all, and that of the layer before only a little.
# - A critic with a sigmoid cannot play the Wasserstein game.
# - A critic can hear a spectrogram as well as the samples. Its gradient goes through
#   the spectrogram to the waveform.
#
# ## Exercises
#
# 1. Build phase shuffle.
# 2. Compute what a generator feels through a sigmoid.

# %% tags=["active-ipynb"]
# from avnb_notebooks.joint_gan import exercises
#
#
# def shuffle_batch(x, shifts):
#     """Phase shuffle of x (B, C, L): item b moves by shifts[b] steps, mirrored."""
#     ...  # your code
#
#
# course.try_exercise(exercises.SHUFFLE_BATCH, shuffle_batch)

# %% tags=["active-ipynb"]
# def generator_slopes(logits):
#     """Three gradients with respect to each logit (B,), as a tensor (3, B).
#
#     Of -mean(logit) (a Wasserstein critic), of -mean(sigmoid(logit)) (the trap), and
#     of -mean(log sigmoid(logit)) (the non-saturating loss of Eq. 1).
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.GENERATOR_SLOPES, generator_slopes)
