# %% [markdown]
# # Step 2 · Features: 640 numbers for each second of video
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/ms_vae/step2_features.ipynb)
#
# MS-VAE (Zhu et al. 2021) never sees a pixel and never hears a sample. For each second
# it gets one row of 512 numbers that describe the picture and one row of 128 numbers
# that describe the sound. Two pretrained networks measure these rows once. This
# notebook defines how, and defines the file that all later notebooks read.
#
# **You will learn**
#
# 1. how **VGG19**, a classifier of a thousand kinds of things, describes a picture,
# 2. how **VGGish** describes a sound, and how we train an **audio encoder** of our own
#    in its place, since no package ships VGGish's weights,
# 3. what `scale_rows` does: the released code divides each row by its largest value
#    before it compares two rows,
# 4. how to read AVE's own feature files, if you have them.
#
# **Time.** About 30 minutes to read. The cells run in about a minute.
#
# **Before you start.** You should know what a convolution and a spectrogram are. The
# data comes from step 1, but this notebook also makes it where it is missing.
#
# **Letters.** N videos · T seconds of each (10 in AVE) · F frames a second · h, w
# height and width of a picture.

# %% tags=["parameters"]
SCALE = "laptop"  # how large everything is: one of the scales below
DATA = ""  # "" is the embedded data; or a folder of clips, see `avnb prepare --help`
SEED = 0  # of every random number: a whole number; each seed has a run of its own
RUN_DIR = ""  # "" is the usual folder of this run, below runs/ms_vae/
OVERRIDES = {}  # {"field": value} of the table of settings below: your own values
# scale      for                                       the whole series took
# smoke      tests: every line runs, nothing learned   not measured yet
# laptop     two cores, no GPU: the networks do learn  22.6 min at 107 GFLOP/s
# reference  two cores for hours: what claims rest on  at least 100 minutes
# gpu        a GPU with 16 GB, as in Colab             not measured yet
# paper      the paper's own setting, as far as known  not measured yet
# `avnb check` measures the GFLOP/s of your machine, and says how long it will take.

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
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.torch
import torch
from avnb_notebooks.ms_vae.step1_data import measure_loudness, measure_motion
from jaxtyping import Bool, Float, Int64
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from avnb import files
from avnb.data.clips import ClipBatch
from avnb.data.sources import Problem
from avnb.errors import ClipsError
from avnb.features import VGGishMel
from data_scripts import ave
from data_scripts.bandstand.events import KINDS, record_event


# %% tags=["active-ipynb"]
# from IPython.display import display
#
# from avnb import course
# from avnb.data import clips
# from avnb.pretrained import networks, weights
# from avnb.viz import show
#
# lesson = course.start(
#     "ms_vae",
#     "step2_features",
#     scale=SCALE,
#     data=DATA,
#     seed=SEED,
#     run_dir=RUN_DIR,
#     overrides=OVERRIDES,
# )

# %% tags=["active-ipynb"]
# settings = lesson.settings(
#     dict(
#         #          smoke laptop reference gpu  paper
#         videos=(4, 16, 16, 16, 16),  # videos that are looked at below
#         sounds=(1, 2, 2, 2, 2),  # sounds of each kind that are played below
#         published=(False, True, True, True, True),  # VGG19's weights, or random ones
#     ),
# )
# settings

# %% [markdown]
# ## One row for each second
#
# This is all that we keep of a data set: for each video ten rows of either kind, the
# seconds in which its event is seen *and* heard, and its class. The event and the class
# are labels. The paper writes that "no label information is given" in training, but its
# released code uses the event labels: it drops all seconds without the event before it
# trains (see deviations.md and step 4).


# %%
class FeatureError(ClipsError):
    """Features that cannot be used.

    It says which file or video is wrong, what is wrong with it, and what to do.
    """


# %%
@dataclass(frozen=True)
class VideoFeatures:
    """N videos of T seconds, with one row of features for each second.

    `label` indexes `classes`. `units` are the source videos, which are independent.
    `cues` holds motion and loudness (step 1), nan where nobody measured them.
    """

    visual: Float[Tensor, "N T 512"]
    audio: Float[Tensor, "N T 128"]
    event: Bool[Tensor, "N T"]
    label: Int64[Tensor, " N"]
    videos: list[str]
    classes: list[str]
    networks: dict[str, str]
    units: list[str] = field(default_factory=list)
    cues: Float[Tensor, "N T 2"] = field(default_factory=lambda: torch.empty(0, 0, 2))

    def __post_init__(self) -> None:
        unknown = torch.full((*self.event.shape, 2), torch.nan)
        object.__setattr__(self, "units", self.units or list(self.videos))
        object.__setattr__(self, "cues", self.cues if len(self.cues) else unknown)

    def __len__(self) -> int:
        return len(self.label)


# %% [markdown]
# We check every table of features before we use it: its widths, its lengths, and that
# all numbers are finite. One row with a nan would turn every weight of the model into
# nan. The check names the first video that is wrong.

# %%
WIDTHS = {"visual": 512, "audio": 128}
TYPES = {
    "visual": torch.float32,
    "audio": torch.float32,
    "event": torch.bool,
    "label": torch.int64,
    "cues": torch.float32,
}


def expect_shapes(n: int, t: int) -> dict[str, tuple[int, ...]]:
    """Name the shape that each tensor of `n` videos of `t` seconds must have."""
    rows = {name: (n, t, width) for name, width in WIDTHS.items()}
    return rows | {"event": (n, t), "label": (n,), "cues": (n, t, 2)}


# %%
def check_shapes(features: VideoFeatures, place: str | Path) -> None:
    """Check the shape and type of every tensor.

    Args:
        features: the table to check.
        place: where it comes from, for the error.

    Raises:
        FeatureError: a tensor has another shape or type.
    """
    n, t = len(features.videos), features.event.shape[-1]
    for name, shape in expect_shapes(n, t).items():
        tensor = getattr(features, name)
        if tuple(tensor.shape) != shape or tensor.dtype != TYPES[name]:
            raise FeatureError(
                str(place),
                f"{name} is {tuple(tensor.shape)} {tensor.dtype}, but {n} videos of "
                f"{t} s have {shape} {TYPES[name]}",
                "Measure the features again with step3_extract",
            )


# %%
def check_features(features: VideoFeatures, place: str | Path) -> VideoFeatures:
    """Return the features themselves, or raise FeatureError.

    Args:
        features: the table to check.
        place: where it comes from, for the error.

    Raises:
        FeatureError: a wrong shape, a number that is not finite, or an unknown class.
    """
    check_shapes(features, place)
    for name in WIDTHS:
        bad = ~getattr(features, name).isfinite().all(dim=-1)
        if bad.any():
            video, second = bad.nonzero()[0].tolist()
            what = f"the {name} features of {features.videos[video]}, second {second}"
            remedy = "Measure that video again, or leave it out"
            raise FeatureError(str(place), f"{what}, are not finite", remedy)
    low, high = features.label.aminmax() if len(features) else (0, 0)
    if not 0 <= low <= high < max(len(features.classes), 1):
        what = f"labels from {low} to {high} for {len(features.classes)} classes"
        remedy = "Give labels from 0 on, one a class"
        raise FeatureError(str(place), what, remedy)
    return features


# %% [markdown]
# ## The pictures: VGG19
#
# VGG19 (Simonyan & Zisserman 2015) has sixteen convolutions of 3 × 3 in five stages.
# After each stage a max pooling halves the picture. After the fifth stage, at *pool5*,
# a picture of $h × w$ pixels has become $512$ maps of $h/32 × w/32$ places. A map is
# large where the picture shows its pattern: fur, spokes, strings. We want to know
# *whether* a pattern is there, not where. So we average each map over its places, and
# then over the $F$ frames of second $t$:
#
# $$v_t[c] = \frac{1}{F}\sum_{f=1}^{F}\ \frac{32^2}{hw}\sum_{y,x}
#   \mathrm{pool5}(\text{frame}_{t,f})[c, y, x], \qquad c = 1 \dots 512 .$$
#
# The weights come inside a package of the Python index. They are the "normalised" ones
# of Huang & Belongie (2017): each channel is scaled to a mean of 1 over many pictures.
# The scaling does not change which pattern a channel responds to. It only keeps a few
# large channels from dominating when two rows are compared.

# %% tags=["active-ipynb"]
# boxes = {
#     "frame": (0.09, 0.5, "frame\nh × w × 3"),
#     "vgg": (0.32, 0.5, "VGG19"),
#     "pool5": (0.55, 0.5, "pool5\n512 × h/32 × w/32"),
#     "row": (0.9, 0.5, "row of 512\nmean over places\nand frames"),
# }
# arrows = [("frame", "vgg", ""), ("vgg", "pool5", "")]
# arrows += [("pool5", "row", "mean")]
# show.diagram(boxes, arrows, fills={"vgg": "#fde6cf"}, width=8, height=1.6)


# %%
def count_seconds(clips: ClipBatch) -> int:
    """Return T, the whole seconds of every clip.

    Raises:
        FeatureError: the clips do not last whole seconds of as many frames each.
    """
    samples, rate = clips.waveform.shape[-1], clips.sample_rate
    frames = clips.frames.shape[1]
    if samples == 0 or samples % rate or frames % (samples // rate):
        raise FeatureError(
            "clips",
            f"they last {samples / rate:g} s with {frames} frames, which are not whole "
            "seconds of as many frames each",
            "Prepare them with whole seconds and frames, for example seconds 10, fps 2",
        )
    return samples // rate


# %%
def embed_frames(
    network: nn.Module, clips: ClipBatch, *, most: int = 16, size: int | None = None
) -> Float[Tensor, "n t 512"]:
    """Describe the pictures of each second by one row of numbers.

    Args:
        network: pictures (items, 3, h, w) in [0, 1] → (items, 512).
        clips: n videos of t whole seconds.
        most: how many frames of a second are used, evenly spaced.
        size: pixels a side that the network gets; by default those of the frames.
    """
    t = count_seconds(clips)
    frames = clips.frames.unflatten(1, (t, -1))  # (n, t, frames a second, h, w, 3)
    f = min(most, frames.shape[2])
    # the middles of f equal parts of the second
    chosen = ((torch.arange(f) + 0.5) * frames.shape[2] / f).long()
    rows = []
    # 32 pictures at a time: the maps of the first stage are large
    for part in frames[:, :, chosen.to(frames.device)].flatten(0, 2).split(32):
        x = part.movedim(-1, 1).float() / 255
        if size is not None and x.shape[2:] != (size, size):
            x = F.interpolate(x, (size, size), mode="bilinear", antialias=True)
        rows.append(network(x.contiguous(memory_format=torch.channels_last)))
    return torch.cat(rows).unflatten(0, (len(clips), t, f)).mean(dim=2)


# %% [markdown]
# Which seconds hold the event? The prepared clips say it for each frame. We count a
# second as event where most of its frames are. In recordings without annotations (a
# folder of your own), every second counts as event.


# %%
def label_events(clips: ClipBatch) -> Bool[Tensor, "n t"]:
    """Say of each second whether it has the event, from the clips' column `event`.

    Raises:
        FeatureError: one video's event is not known while those of others are.
    """
    t = count_seconds(clips)
    if "event" not in clips.truth:
        return torch.ones(len(clips), t, dtype=torch.bool)
    share = clips.truth["event"].unflatten(1, (t, -1)).mean(dim=2).cpu()
    if share.isnan().any():
        raise FeatureError(
            clips.recordings[int(share.isnan().any(dim=1).nonzero()[0])],
            "it is not known where its event is, while it is known of other videos",
            "Prepare it with its annotations, or leave it out",
        )
    return share > 0.5


# %% tags=["active-ipynb"]
# films = next(clips.stream_clips(lesson.data, "test", batch=settings.videos))
# vgg19 = weights.load_network("vgg19", published=settings.published)
# vgg19.to(memory_format=torch.channels_last)
# with torch.inference_mode():
#     visual = embed_frames(vgg19, films)
# print(f"{tuple(films.frames.shape)} → {tuple(visual.shape)}")
# assert visual.min() >= 0, "after a ReLU nothing is negative"

# %% [markdown]
# `embed_frames` sends all frames through the network in batches, at most 16 of a
# second. The equation, written as a loop over the frames of one second, gives the same
# row:

# %% tags=["active-ipynb"]
# t = count_seconds(films)
# per_second = films.frames.shape[1] // t
# used = min(16, per_second)
# rows = []
# for f in range(used):
#     frame = films.frames[0, int((f + 0.5) * per_second / used)]  # (h, w, 3)
#     with torch.inference_mode():
#         rows.append(vgg19(frame.movedim(-1, 0)[None].float() / 255)[0])
# slow = sum(rows) / len(rows)
# torch.testing.assert_close(visual[0, 0], slow, rtol=1e-3, atol=1e-3)
# print(f"second 0 of the first video: mean of {len(rows)} frames, the same row")

# %% [markdown]
# ### What VGG19 sees along a video
#
# The first figure shows one frame of each second. The second shows how far the row of
# each second is from that of each other second. The seconds of the event are marked at
# the bottom. Can you find the event in the distances alone? If you can, a model can
# too.

# %% tags=["active-ipynb", "along"]
# event = label_events(films)
# mixed = event.any(dim=1) & ~event.all(dim=1)
# one = int(mixed.nonzero()[0]) if mixed.any() else 0
# strip = show.film_strip(films.frames[one, ::per_second], range(t))
# name = films.classes[films.labels[one]]
# lesson.figure("video", strip, f"{name}, one frame a second.")
# figure, axes = show.subplots(1, 1, width=3.8, height=3.2)
# distance = torch.cdist(visual[one], visual[one])
# drawn = axes[0, 0].imshow(distance, cmap="viridis")
# figure.colorbar(drawn, ax=axes[0, 0], label="distance")
# marked = event[one].nonzero()[:, 0]
# axes[0, 0].plot(marked, marked * 0 + t - 0.3, "_", color=show.COLOURS[1], ms=16)
# axes[0, 0].set(xlabel="second (marked: the event)", ylabel="second")
# axes[0, 0].grid(False)
# caption = "Distances between the seconds. Dark: two seconds that look alike to VGG19."
# lesson.figure("distances", figure, caption)

# %% [markdown]
# Do seconds with the event differ from the others in many videos? And does a second
# resemble seconds of *another* video of its class? To see this, we project all rows
# onto the two directions in which they vary most (principal components):

# %% tags=["active-ipynb", "plane"]
# rows, in_event = visual.flatten(0, 1), event.flatten()
# _, _, directions = torch.pca_lowrank(rows, q=2, niter=4)
# plane = (rows - rows.mean(dim=0)) @ directions
# label = films.labels[:, None].expand(-1, t).flatten()
# figure, axes = show.subplots(1, 2, width=4.4, height=3.4)
# axes[0, 0].plot(*plane[in_event].T, "o", ms=4, alpha=0.7, label="event")
# axes[0, 0].plot(*plane[~in_event].T, "x", ms=4, alpha=0.7, label="background")
# axes[0, 0].legend()
# for k, number in enumerate(label[in_event].unique().tolist()[:7]):
#     points = plane[in_event & (label == number)]
#     title = films.classes[number].partition(",")[0]  # "Violin, fiddle"
#     axes[0, 1].plot(*points.T, "o", ms=4, color=show.COLOURS[k], label=title)
# axes[0, 1].legend(fontsize=7)
# for ax in axes[0]:
#     ax.set(xlabel="first component", ylabel="second component")
# lesson.figure("plane", figure, "Left: all seconds. Right: event seconds, by class.")

# %% [markdown]
# ## The sounds: VGGish's picture of a second
#
# VGGish (Hershey et al. 2017) applies the same idea to sound. It is a small VGG that
# looks at a *picture* of 0.96 seconds of sound. It learned to name what YouTube's
# videos are about, and we keep its last 128 numbers. Its picture is a log-mel
# spectrogram:
#
# $$x[n, b] = \ln\Bigl(0.01 + \sum_k M[b, k]\,\bigl|\mathrm{STFT}[n, k]\bigr|\Bigr),
#   \qquad n = 1 \dots 96,\quad b = 1 \dots 64,$$
#
# The windows are 25 ms long and begin every 10 ms. $M$ holds 64 triangles from 125 to
# 7,500 Hz that are evenly spaced on the mel scale. The 0.01 is a floor, so that silence
# gives $\ln 0.01$ and not minus infinity.
#
# Here is this equation as a loop, first the triangles and then the picture:


# %%
def build_mel_triangles(low: float = 125.0, high: float = 7500.0) -> Tensor:
    """Build M of the equation, (64, 257), one triangle after the other.

    A triangle rises from one edge to the next and falls to the one after, on HTK's mel
    scale (Hershey et al. 2017 use it, librosa's default is another).
    """

    def to_mel(hz: float) -> float:
        return 1127 * math.log(1 + hz / 700)

    edges = np.linspace(to_mel(low), to_mel(high), 64 + 2)
    triangles = torch.zeros(64, 257)
    for b in range(64):
        left, middle, right = edges[b : b + 3]
        for k in range(257):
            mel = to_mel(k * 16000 / 512)  # bin k of an FFT of 512 samples
            rise = (mel - left) / (middle - left)
            fall = (right - mel) / (right - middle)
            triangles[b, k] = max(0.0, min(rise, fall))
    return triangles


# %%
def compute_log_mel_slow(wave: Float[Tensor, " samples"]) -> Float[Tensor, "96 64"]:
    """Compute VGGish's picture of a second at 16 kHz, one number after the other."""
    window, triangles = torch.hann_window(400), build_mel_triangles()
    picture = torch.zeros(96, 64)
    for n in range(96):
        part = wave[160 * n : 160 * n + 400] * window
        magnitude = torch.fft.rfft(part, 512).abs()
        for b in range(64):
            picture[n, b] = torch.log(0.01 + (triangles[b] * magnitude).sum())
    return picture


# %% [markdown]
# `avnb.features.VGGishMel` computes the same for a batch of sounds, with one product of
# matrices in place of the two loops. The notebooks use the fast form:

# %% tags=["active-ipynb"]
# course.show_source(VGGishMel, networks.VGG19, networks.VGGish)

# %% tags=["active-ipynb", "mels"]
# wave = films.waveform[one, 0].float() / 32767
# mel = VGGishMel()
# mels = mel(wave.view(t, -1))
# print(f"{tuple(wave.shape)} → {tuple(mels.shape)}")
# slow = compute_log_mel_slow(wave[:16000])
# torch.testing.assert_close(mels[0], slow, rtol=1e-3, atol=1e-3)
# figure = show.spectrograms(
#     [picture.T for picture in mels],
#     hop=0.01,
#     hz=mel.hz,
#     captions=[f"second {k}{' *' * bool(event[one, k])}" for k in range(t)],
#     columns=5,
#     unit="ln(mel + 0.01)",
# )
# lesson.figure("mels", figure, f"{name}, second by second. *: the event.")
# lesson.audio("video", wave.numpy(), films.sample_rate, name)

# %% [markdown]
# ## A substitute for VGGish: an audio encoder
#
# No package ships VGGish's weights. If you have the file (`vggish-10086976.pth`), step
# 3 uses it. If not, we need another network that turns a second of sound into 128
# meaningful numbers. We train one in the way VGGish was trained: it learns to name
# kinds of sound. VGGish learned YouTube's labels, and AVE's classes are among these.
# Our encoder learns the 28 kinds of event of the drawn world, from sounds that occur in
# no video. It never sees a picture.
#
# It is **not** VGGish. Every table of this series says which network measured the
# features.

# %%
RATE = 16000  # samples a second
UNSEEN = 2**40  # the first seed for training sounds; no data set uses seeds this large


# %%
def synthesize_sounds(
    each: int, seed: int, length: int = 3
) -> tuple[Float[Tensor, "n samples"], Int64[Tensor, " n"], Int64[Tensor, " n"]]:
    """Make seconds of sound that no video holds, to train and test the audio encoder.

    Args:
        each: how many sounds of every kind of event, less than 10,000.
        seed: another seed gives other sounds.
        length: seconds of every sound, with the noise of a place behind it.

    Returns:
        The seconds of sound (n, 16000), the kind of each, and the number of the sound
        that each is a part of.
    """
    sounds = []
    for kind in KINDS:
        for number in range(each):
            event_seed = UNSEEN + 10_000 * seed + number
            event = record_event(kind, start=0, end=length, seed=event_seed)
            sounds.append(event.synthesise(RATE)[: length * RATE])
    which = torch.arange(len(sounds)).repeat_interleave(length)
    waveform = torch.from_numpy(np.stack(sounds)).view(-1, RATE)
    return waveform, which // each, which


# %% tags=["active-ipynb"]
# sounds, kinds, _ = synthesize_sounds(settings.sounds, lesson.seed)
# some = range(0, len(sounds), len(sounds) // 4)
# print(f"{tuple(sounds.shape)}, {len(KINDS)} kinds")
# players = [sounds[i].numpy() for i in some]
# display(show.listen(players, RATE, [KINDS[kinds[i]] for i in some]))

# %% [markdown]
# The network has four convolutions, each of which halves the picture, and then a linear
# layer to 128 numbers with a ReLU. So, as with VGGish, no number is negative and many
# of them are 0. A last linear layer names the kind of sound. It is used in training
# only.
#
# $$\text{log-mel} \xrightarrow{\;4 \times (\text{convolution, batch norm, ReLU})\;}
#   \text{maps} \xrightarrow{\;\text{linear, ReLU}\;} \text{row of } 128
#   \xrightarrow{\;\text{linear}\;} \text{kind}$$
#
# `(n, 96, 64) → (n, 16, 48, 32) → … → (n, 128, 6, 4) → (n, 128) → (n, kinds)`


# %%
class AudioEncoder(nn.Module):
    """The substitute for VGGish: log-mels (n, 96, 64) → (n, 128), 0 or more.

    It learns to name `kinds` of sound. `width` channels at first, then twice as many.
    """

    def __init__(self, kinds: int, width: int = 16) -> None:
        super().__init__()
        widths, layers = (1, width, 2 * width, 4 * width, 8 * width), []
        for before, after in pairwise(widths):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
        self.maps = nn.Sequential(*layers)
        self.embedding = nn.Linear(8 * width * 6 * 4, 128)
        self.naming = nn.Linear(128, kinds)

    def forward(self, mels: Float[Tensor, "n 96 64"]) -> Float[Tensor, "n 128"]:
        """Return the rows of 128 numbers."""
        # Log-mels lie around -2 (silence is ln 0.01 = -4.6): bring them to mean 0 and
        # deviation 1, about, as the first layer's initial weights expect.
        return self.embedding(self.maps((mels[:, None] + 2) / 2).flatten(1)).relu()

    def classify(self, mels: Float[Tensor, "n 96 64"]) -> Float[Tensor, "n kinds"]:
        """Give the logits of the kinds of sound."""
        return self.naming(self(mels))


# %% [markdown]
# How *large* the 128 numbers are is arbitrary. If we double the embedding and halve the
# last layer, the network names sounds as before. But the faithful mode of MS-VAE uses
# the numbers as they are, and large ones would outweigh the rest of its loss. So we
# scale them to the standard deviation of real VGGish rows:
#
# $$\text{row} \leftarrow \alpha\,\text{row}, \qquad
#   \alpha = \frac{0.262}{\text{standard deviation of our rows}} .$$

# %%
VGGISH_STATISTICS = {  # of 1,780 real rows, measured once
    "mean": 0.122,
    "standard deviation": 0.262,
    "zeros": 0.65,
    "row max": 1.43,
}


@torch.no_grad()
def match_vggish_scale(encoder: AudioEncoder, mels: Float[Tensor, "n 96 64"]) -> None:
    """Scale an encoder's rows to VGGish's standard deviation, in place.

    The last layer is scaled the other way, so that the encoder still names the same
    kinds.

    Args:
        encoder: a trained encoder.
        mels: the sounds over which the standard deviation is measured.
    """
    factor = VGGISH_STATISTICS["standard deviation"] / float(encoder(mels).std())
    # a ReLU lets a positive factor through, so weights and bias take it
    encoder.embedding.weight.mul_(factor)
    encoder.embedding.bias.mul_(factor)
    encoder.naming.weight.div_(factor)


# %% [markdown]
# The example below uses an encoder that has learned nothing. It has a seed of its own,
# so that two runs of this notebook give the same file.


# %%
def make_untrained_encoder(kinds: int, seed: int) -> AudioEncoder:
    """Make an encoder with random weights; equal seeds give equal weights.

    Args:
        kinds: how many kinds of sound its last layer names.
        seed: of the weights. The global random state stays as it was.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AudioEncoder(kinds).eval()


# %% tags=["active-ipynb"]
# encoder = make_untrained_encoder(len(KINDS), lesson.seed)
# with torch.inference_mode():
#     print(tuple(encoder(mels).shape), tuple(encoder.classify(mels).shape))
# with torch.device("meta"):
#     vggish = networks.VGGish()
# for title, network in (("our audio encoder", encoder), ("VGGish", vggish)):
#     print(f"{title}: {sum(p.numel() for p in network.parameters()):,} weights")

# %% [markdown]
# Both networks take the same picture, so one function measures a video's sound with
# either of them:


# %%
def embed_sound(
    network: nn.Module, clips: ClipBatch, mel: VGGishMel
) -> Float[Tensor, "n t 128"]:
    """Describe the sound of each second by one row of numbers.

    Args:
        network: log-mels (items, 96, 64) → (items, 128).
        clips: n videos of t whole seconds, with sound at 16 kHz.
        mel: computes the log-mels.

    Raises:
        FeatureError: the sound has another sample rate.
    """
    t = count_seconds(clips)
    if clips.sample_rate != RATE:
        raise FeatureError(
            "clips",
            f"their sound is at {clips.sample_rate} Hz",
            f"Prepare them with sample_rate {RATE}",
        )
    seconds = clips.waveform[:, 0].unflatten(1, (t, RATE)).float() / 32767
    return network(mel(seconds).flatten(0, 1)).unflatten(0, (len(clips), t))


# %% [markdown]
# One function measures all of this for a batch of videos. Step 3 sends a whole data set
# through it, and step 8 the videos that it plays with.


# %%
@torch.inference_mode()
def measure_seconds(
    clips: ClipBatch,
    visual: nn.Module,
    audio: nn.Module,
    *,
    most: int = 16,
    size: int | None = None,
) -> dict[str, Tensor]:
    """Measure all that `VideoFeatures` keeps of n videos, as tensors on the CPU.

    Args: the videos, both networks, and `most` and `size` of `embed_frames`.
    """
    mel = VGGishMel().to(clips.waveform.device)
    found = {
        "visual": embed_frames(visual, clips, most=most, size=size),
        "audio": embed_sound(audio, clips, mel),
        "event": label_events(clips),
        "label": clips.labels,
        "cues": torch.stack([measure_motion(clips), measure_loudness(clips)], dim=-1),
    }
    return {name: x.cpu() for name, x in found.items()}


# %% [markdown]
# ## What the released code does before it compares
#
# The released code divides each row by its own largest absolute value. It does so when
# it tests, but not when it trains:
#
# $$\tilde x = \frac{x}{\max_c |x[c]|} .$$
#
# After this, loud and soft or bright and dark seconds differ in their pattern only. A
# row of zeros (VGGish gives these for silence) would be divided by zero. We leave such
# a row as it is.


# %%
def scale_rows(rows: Float[Tensor, "*n features"]) -> Float[Tensor, "*n features"]:
    """Divide each row by its largest absolute value; rows of zeros stay zero."""
    largest = rows.abs().amax(dim=-1, keepdim=True)
    return rows / torch.where(largest > 0, largest, 1)


# %% tags=["active-ipynb"]
# tables = {"as measured": visual, "scaled": scale_rows(visual)}
# rows = [
#     {
#         "rows": title,
#         "mean": float(x.mean()),
#         "largest": float(x.amax(-1).mean()),
#         "zeros": float((x == 0).float().mean()),
#     }
#     for title, x in tables.items()
# ]
# assert scale_rows(torch.zeros(2, 3)).eq(0).all()
# show.table(rows, "VGG19's rows of these videos")

# %% [markdown]
# ## The file
#
# All splits go into one safetensors file. Reading such a file cannot run code, because
# it holds plain numbers only. Its header holds the names as JSON. We check what we
# read: the shapes before we read any tensor, and every number afterwards.

# %%
LARGEST = 20_000  # videos a file may have: about half a GB of features
FORMAT = "avnb seconds 2"


# %%
def save_features(
    path: str | Path, splits: Mapping[str, VideoFeatures], **made: Any
) -> None:
    """Write all splits into one safetensors file, whole or not at all.

    Args:
        path: the file.
        splits: split → its features.
        made: plain values that say what the file was made from, for `read_recipe`.

    Raises:
        FeatureError: as `check_features`; nothing is written then.
    """
    tensors, names = {}, {}
    for split, features in splits.items():
        check_features(features, f"{path}, {split}")
        for name in TYPES:
            tensors[f"{split}.{name}"] = getattr(features, name).cpu().contiguous()
        keys = ("videos", "units", "classes", "networks")
        names[split] = {key: getattr(features, key) for key in keys}
    header = {"format": FORMAT, "splits": names, "made": made}
    text = {"about": json.dumps(header, ensure_ascii=False)}
    files.write_bytes(path, safetensors.torch.save(tensors, metadata=text))


# %%
def _read_header(path: str | Path) -> dict[str, Any]:
    """Read the JSON of a file of `save_features`, or raise FeatureError."""
    if not Path(path).is_file():
        remedy = "Run step3_extract, which makes this file"
        raise FeatureError(str(path), "there are no features", remedy)
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["about"])
        if header["format"] != FORMAT:
            raise ValueError(f"its format is {header['format']!r}, not {FORMAT!r}")
        header["made"].keys()
        for names in header["splits"].values():
            for key in ("videos", "units", "classes"):
                if not all(isinstance(name, str) for name in names[key]):
                    raise TypeError(f"{key} are not all names")
            if len(names["units"]) != len(names["videos"]):
                raise ValueError("units and videos differ in number")
            names["networks"].keys()
    except Exception as error:  # a foreign file can fail in any of these ways
        problem = f"this is not a file of features ({error!r})"
        raise FeatureError(str(path), problem, "Run step3_extract again") from None
    return header


# %%
def _check_stored(path: str | Path, split: str, videos: int) -> None:
    """Raise FeatureError where a split's stored tensors have other shapes.

    This reads the file's header only, so that a file with a wrong shape is refused
    before it can fill the memory.
    """
    again = "Run step3_extract again"
    with safe_open(path, "pt") as file:
        keys = {name: f"{split}.{name}" for name in TYPES}
        if missing := sorted(set(keys.values()) - set(file.keys())):
            raise FeatureError(str(path), f"{', '.join(missing)} missing", again)
        found = {name: file.get_slice(key).get_shape() for name, key in keys.items()}
    t = (*found["event"], 0, 0)[1]  # 0 where the tensor has fewer than two axes
    for name, shape in expect_shapes(videos, t).items():
        if tuple(found[name]) != shape:
            problem = f"{keys[name]} is {tuple(found[name])}, not {shape}"
            raise FeatureError(str(path), problem, again)


# %%
def load_features(path: str | Path, split: str) -> VideoFeatures:
    """Read a split of a file of `save_features`, on the CPU.

    Args:
        path: the file.
        split: "train", "val" or "test".

    Raises:
        FeatureError: the file is missing, damaged, too large, of other shapes, or
            holds numbers that are not finite. It names the file and the video.
    """
    splits = _read_header(path)["splits"]
    if split not in splits:
        problem, remedy = f"no split {split!r}", f"Give one of: {', '.join(splits)}"
        raise FeatureError(str(path), problem, remedy)
    names, n = splits[split], len(splits[split]["videos"])
    if n > LARGEST or Path(path).stat().st_size > 2**32:
        problem = f"{n} videos, or more than 4 GiB"
        raise FeatureError(str(path), problem, f"Extract fewer, {LARGEST} at most")
    _check_stored(path, split, n)
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(f"{split}.{name}") for name in TYPES}
    keys = ("videos", "units", "classes", "networks")
    names = {key: names[key] for key in keys}
    return check_features(VideoFeatures(**tensors, **names), f"{path}, {split}")


# %%
def read_recipe(path: str | Path) -> dict[str, Any]:
    """Read what the file was made from, as `save_features` was told.

    Returns:
        {} where there is no file of features.
    """
    try:
        return _read_header(path)["made"]
    except FeatureError:
        return {}


def list_splits(path: str | Path) -> list[str]:
    """List the splits of a file of `save_features`."""
    return list(_read_header(path)["splits"])


# %% tags=["active-ipynb"]
# with torch.inference_mode():
#     audio = embed_sound(encoder, films, mel)
# example = VideoFeatures(
#     visual.clone(),
#     audio.clone(),
#     event,
#     films.labels,
#     films.recordings,
#     films.classes,
#     {"visual": "VGG19", "audio": "an untrained audio encoder"},
# )
# path = lesson.run_dir / "step2_example.safetensors"
# save_features(path, {"test": example})
# again = load_features(path, "test")
# assert torch.equal(again.visual, example.visual)
# assert again.videos == example.videos
# print(f"{len(again)} videos, {path.stat().st_size / 2**20:.2f} MB")

# %% [markdown]
# ## AVE's own features
#
# If you have AVE's feature files you need neither network. The files are
# `visual_feature_vec.h5` (4143 × 10 × 512), `audio_feature.h5` (4143 × 10 × 128),
# `labels.h5` (4143 × 10 × 29: 28 classes and background), the three files of a split
# family with the row numbers of each split, and `Annotations.txt`, whose lines are in
# the same order. The labels and the annotations hold the same information twice. Where
# the two disagree, or where the features of a video are not finite, that video is named
# and left out, and the others stay. The script that reads AVE's videos (step 1) reads
# the annotations and splits here as well.

# %%
AVE_FILES = {"visual": "visual_feature_vec.h5", "audio": "audio_feature.h5"}


def _find_bad_rows(
    tables: Mapping[str, np.ndarray], rows: Sequence[ave.Row]
) -> dict[ave.Row, str]:
    """Map each row that cannot be used to what is wrong with it."""
    differ = ave.find_disagreements(tables["labels"], rows)
    bad = dict.fromkeys(differ, "labels.h5 and Annotations.txt disagree on it")
    for kind in AVE_FILES:
        finite = np.isfinite(tables[kind]).all(axis=(1, 2))
        for row in rows:
            if not finite[row.number]:
                bad[row] = f"its {kind} features are not finite"
    return bad


# %%
def split_ave_arrays(
    tables: Mapping[str, np.ndarray], chosen: Mapping[str, Sequence[ave.Row]]
) -> tuple[dict[str, VideoFeatures], list[Problem]]:
    """Cut AVE's arrays into splits.

    Args:
        tables: "visual", "audio" and "labels", each (n, 10, width).
        chosen: split → its rows of the annotations.

    Returns:
        Split → features, and the videos that were left out, each with the reason.
    """
    splits, problems = {}, []
    for split, rows in chosen.items():
        bad = _find_bad_rows(tables, rows)
        splits[split] = _select_rows(tables, [row for row in rows if row not in bad])
        for row in rows:
            if row in bad:
                left_out = f"It is left out of {split}"
                problems.append(Problem(row.video, bad[row], left_out))
    return splits, problems


# %%
def _select_rows(
    tables: Mapping[str, np.ndarray], rows: Sequence[ave.Row]
) -> VideoFeatures:
    """Take these rows of AVE's arrays; events and classes are the annotations'."""
    numbers = [row.number for row in rows]
    second = torch.arange(ave.SECONDS)
    span = torch.tensor([(row.start, row.end) for row in rows]).view(-1, 2, 1)
    return VideoFeatures(
        visual=torch.from_numpy(tables["visual"][numbers]).float(),
        audio=torch.from_numpy(tables["audio"][numbers]).float(),
        event=(span[:, 0] <= second) & (second < span[:, 1]),
        label=torch.tensor([KINDS.index(row.label) for row in rows]).long(),
        videos=[row.video for row in rows],
        classes=list(KINDS),
        networks={kind: f"AVE's own ({file})" for kind, file in AVE_FILES.items()},
        units=[row.video for row in rows],
    )


# %%
def _read_ave_tables(folder: Path, rows: int) -> dict[str, np.ndarray]:
    """Read AVE's three arrays, (rows or more, 10, width), or raise FeatureError."""
    tables, widths = {}, WIDTHS | {"labels": ave.BACKGROUND + 1}
    for kind, file in (AVE_FILES | {"labels": "labels.h5"}).items():
        path = ave.find_file(folder, file)
        table = ave.read_h5(path, "avadataset", 3)
        if len(table) < rows or table.shape[1:] != (ave.SECONDS, widths[kind]):
            expected = f"({rows} or more, {ave.SECONDS}, {widths[kind]})"
            raise FeatureError(
                str(path),
                f"the array is {table.shape}, not {expected}",
                "Download the file again, and check that it is the right one",
            )
        tables[kind] = table
    return tables


# %%
def read_ave_features(
    folder: str | Path, family: Literal["order", "match"] = "match"
) -> tuple[dict[str, VideoFeatures], list[Problem]]:
    """Read AVE's own feature files: split → features, and what was left out and why.

    Args:
        folder: with the h5 files and Annotations.txt (or with both in its data/).
        family: "match" (the splits for localisation) or "order".

    Raises:
        ClipsError: a file is missing or cannot be read.
        FeatureError: an array has another shape.
    """
    folder, problems = Path(folder), []
    rows = ave.read_annotations(ave.find_file(folder, "Annotations.txt"), problems)
    chosen = ave.read_splits(folder, family, rows, problems)
    chosen = ave.remove_leaks(chosen, problems)
    tables = _read_ave_tables(folder, 1 + max(rows, default=-1))
    splits, more = split_ave_arrays(tables, chosen)
    return splits, problems + more


# %% [markdown]
# ## What came out

# %% tags=["active-ipynb"]
# chosen = [k for k in range(len(films)) if mixed[k] and event[k].sum() > 1]
# inside = [visual[k][event[k]] for k in chosen]
# outside = [visual[k][~event[k]] for k in chosen]
# same = [torch.pdist(x).mean() for x in inside]
# other = [torch.cdist(x, y).mean() for x, y in zip(inside, outside, strict=True)]
# if chosen:
#     near, far = (float(torch.stack(x).mean()) for x in (same, other))
#     print(f"mean distance of two event seconds of one video: {near:.3g}")
#     print(f"mean distance of an event second and a background second: {far:.3g}")
#     verdict = "are further apart" if far > near else "are not further apart"
#     print(f"On average, event and background {verdict} than two event seconds.")

# %% [markdown]
# ## Exercises
#
# 1. The released code's scaling is unusual. Write the usual one: divide each row by its
#    Euclidean length. After that, the distance of two rows depends on their angle only.
# 2. Write the equation of the visual features: from the maps of a second's frames to
#    the row of the second.

# %% tags=["active-ipynb"]
# from avnb_notebooks.ms_vae import exercises
#
#
# def unit_rows(rows):
#     """(n, d) → each row divided by its Euclidean length. Rows of zeros stay zero."""
#     ...  # your code
#
#
# course.try_exercise(exercises.UNIT_ROWS, unit_rows)

# %% tags=["active-ipynb"]
# def pool_maps(maps):
#     """(F, 512, h, w) maps of a second's frames → (512,), the row of the second."""
#     ...  # your code
#
#
# course.try_exercise(exercises.POOL_MAPS, pool_maps)

# %% tags=["active-ipynb"]
# lesson.finish()
