# %% [markdown]
# # Step 2 · Features: a second of video is 640 numbers
#
# MS-VAE (Zhu et al. 2021) never sees a pixel and never hears a sample. All that it
# gets is, for each second, a row of 512 numbers of what is seen and a row of 128 of
# what is heard, measured once by two networks that others trained. This notebook
# makes both rows, and the file that all later notebooks read:
#
# 1. the pictures: **VGG19**, which learned to name a thousand kinds of things,
# 2. the sounds: **VGGish**, or, since its weights come with no package, an **ear**
#    that we train ourselves,
# 3. `scaled`, what the released code does to each row before it compares,
# 4. AVE's own feature files, for those who have them.
#
# **Letters.** N videos · T seconds of each (10 in AVE) · F frames a second · h, w
# height and width.

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
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.torch
import torch
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

# %% tags=["parameters"]
SCALE = "laptop"
DATA = ""
SEED = 0
RUN_DIR = ""
OVERRIDES = {}


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
#         #          smoke laptop gpu  paper
#         videos=(4, 16, 16, 16),  # looked at below
#         sounds=(1, 2, 2, 2),  # of each kind, heard below
#         published=(False, True, True, True),  # VGG19's own weights, or random ones
#     ),
# )
# settings

# %% [markdown]
# ## One row a second
#
# This is all that is kept of a data set: for each video ten rows of each kind, the
# seconds in which its event is seen *and* heard, and its class. The last two are the
# labels; the released code drops all other seconds before it trains, in spite of the
# paper's "no label information is given" (deviations, and step 4).


# %%
class FeatureError(ClipsError):
    """Features that cannot be used: which file or video, why, what would be right."""


# %%
@dataclass(frozen=True)
class Seconds:
    """N videos of T seconds (10 in AVE), a row of features a second and modality.

    visual: (N, T, 512) and audio (N, T, 128), as the two networks give them
    event: (N, T), whether the event is seen and heard in that second
    label: (N,) index into `classes`
    videos: N names; networks: what measured "visual" and "audio"
    """

    visual: Float[Tensor, "N T 512"]
    audio: Float[Tensor, "N T 128"]
    event: Bool[Tensor, "N T"]
    label: Int64[Tensor, " N"]
    videos: list[str]
    classes: list[str]
    networks: dict[str, str]

    def __len__(self) -> int:
        return len(self.label)


# %% [markdown]
# What comes from a file is not believed: a wrong width, another length, a number that
# is none. The check names the first video that is wrong, for one such row would turn
# every weight of the model into nan.

# %%
WIDTHS = {"visual": 512, "audio": 128}
TYPES = {
    "visual": torch.float32,
    "audio": torch.float32,
    "event": torch.bool,
    "label": torch.int64,
}


def shapes(n: int, t: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors of `n` videos of `t` seconds."""
    rows = {name: (n, t, width) for name, width in WIDTHS.items()}
    return rows | {"event": (n, t), "label": (n,)}


# %%
def checked(seconds: Seconds, where: str | Path) -> Seconds:
    """The same, or FeatureError, which names the place and the video that is wrong."""
    n, t = len(seconds.videos), seconds.event.shape[-1]
    for name, shape in shapes(n, t).items():
        tensor = getattr(seconds, name)
        if tuple(tensor.shape) != shape or tensor.dtype != TYPES[name]:
            raise FeatureError(
                f"{where}: {name} is {tuple(tensor.shape)} {tensor.dtype}, "
                f"{n} videos of {t} s have {shape} {TYPES[name]}"
            )
    for name in WIDTHS:
        bad = ~getattr(seconds, name).isfinite().all(dim=-1)
        if bad.any():
            video, second = bad.nonzero()[0].tolist()
            raise FeatureError(
                f"{where}: the {name} features of {seconds.videos[video]}, second "
                f"{second}, are not finite: measure that video again, or leave it out"
            )
    low, high = seconds.label.aminmax() if len(seconds) else (0, 0)
    if not 0 <= low <= high < max(len(seconds.classes), 1):
        raise FeatureError(
            f"{where}: labels from {low} to {high} for {len(seconds.classes)} classes"
        )
    return seconds


# %% [markdown]
# ## The pictures: VGG19
#
# VGG19 (Simonyan & Zisserman 2015) is sixteen convolutions, 3 × 3 each, in five stages;
# between the stages a maximum halves the picture. After the fifth, *pool5*, a picture
# of $h × w$ pixels is $512$ maps of $h/32 × w/32$ places. A map is large where its
# pattern is: fur, spokes, strings. We ask *whether*, not where, so we average over the
# places, and over the $F$ frames of second $t$:
#
# $$v_t[c] = \frac{1}{F}\sum_{f=1}^{F}\ \frac{32^2}{hw}\sum_{y,x}
#   \mathrm{pool5}(\text{frame}_{t,f})[c, y, x], \qquad c = 1 \dots 512 .$$
#
# Its weights come inside a package of the Python index. They are the "normalised" ones
# of Huang & Belongie (2017): each channel is scaled so that its mean over many
# pictures is 1. That changes what no channel sees, but no channel outshouts the others
# when rows are compared.


# %%
def whole_seconds(of: ClipBatch) -> int:
    """T of clips that last whole seconds, or FeatureError."""
    samples, rate = of.waveform.shape[-1], of.sample_rate
    if samples == 0 or samples % rate or of.frames.shape[1] % (samples // rate):
        raise FeatureError(
            f"clips of {samples / rate:g} s with {of.frames.shape[1]} frames: give "
            "whole seconds of as many frames each (prepare with seconds 10, fps 2)"
        )
    return samples // rate


# %%
def seen(
    network: nn.Module, of: ClipBatch, *, most: int = 16, size: int | None = None
) -> Float[Tensor, "n t 512"]:
    """A row of `network` (pictures (items, 3, h, w) in [0, 1] → 512) a second.

    most: frames of a second that are looked at, evenly spaced; size: pixels a side
    that the network gets, by default those of the frames.
    """
    t = whole_seconds(of)
    frames = of.frames.unflatten(1, (t, -1))
    f = min(most, frames.shape[2])
    chosen = ((torch.arange(f) + 0.5) * frames.shape[2] / f).long()
    rows = []
    for part in frames[:, :, chosen.to(frames.device)].flatten(0, 2).split(32):
        x = part.movedim(-1, 1).float() / 255
        if size is not None and x.shape[2:] != (size, size):
            x = F.interpolate(x, (size, size), mode="bilinear", antialias=True)
        rows.append(network(x.contiguous(memory_format=torch.channels_last)))
    return torch.cat(rows).unflatten(0, (len(of), t, f)).mean(dim=2)


# %% [markdown]
# Which seconds hold the event? The prepared clips say it for each frame; a second has
# the event where most of its frames do. Recordings without that knowledge (a folder of
# your own) count as event all along.


# %%
def events(of: ClipBatch) -> Bool[Tensor, "n t"]:
    """Whether each second has the event, by the clips' truth `event`, if known."""
    t = whole_seconds(of)
    if "event" not in of.truth:
        return torch.ones(len(of), t, dtype=torch.bool)
    share = of.truth["event"].unflatten(1, (t, -1)).mean(dim=2).cpu()
    if share.isnan().any():
        name = of.recordings[int(share.isnan().any(dim=1).nonzero()[0])]
        raise FeatureError(
            f"{name}: not known where its event is, while others say it: prepare it "
            "with its annotations, or leave it out"
        )
    return share > 0.5


# %% tags=["active-ipynb"]
# films = next(clips.stream_clips(lesson.data, "test", batch=settings.videos))
# vgg19 = weights.load_network("vgg19", published=settings.published)
# vgg19.to(memory_format=torch.channels_last)
# with torch.inference_mode():
#     visual = seen(vgg19, films)
# print(f"{tuple(films.frames.shape)} → {tuple(visual.shape)}")
# assert visual.min() >= 0, "after a ReLU nothing is negative"

# %% [markdown]
# ### What VGG19 sees along a video
#
# One frame of each second, and below them how far each second's row is from each
# other's. Where the event is, as the labels have it, is marked below: can you see it
# in the distances alone? If so, so can a model.

# %% tags=["active-ipynb", "along"]
# event, t = events(films), whole_seconds(films)
# mixed = event.any(dim=1) & ~event.all(dim=1)
# one = int(mixed.nonzero()[0]) if mixed.any() else 0
# every = films.frames.shape[1] // t
# strip = show.film_strip(films.frames[one, ::every], range(t))
# name = films.classes[films.labels[one]]
# lesson.figure("video", strip, f"{name}, one frame a second.")
# figure, axes = show.subplots(1, 1, width=3.8, height=3.2)
# far = torch.cdist(visual[one], visual[one])
# axes[0, 0].imshow(far, cmap="viridis")
# where = event[one].nonzero()[:, 0]
# axes[0, 0].plot(where, where * 0 + t - 0.3, "_", color=show.COLOURS[1], ms=16)
# axes[0, 0].set(xlabel="second (marked: the event)", ylabel="second")
# axes[0, 0].grid(False)
# lesson.figure("distances", figure, "Dark: two seconds that look alike to VGG19.")

# %% [markdown]
# Are seconds with the event apart from the rest, over many videos? And does a second
# of one video resemble those of *another* video of its class? Project all rows on the
# two directions in which they differ most (principal components):

# %% tags=["active-ipynb", "plane"]
# rows, event_row = visual.flatten(0, 1), event.flatten()
# _, _, directions = torch.pca_lowrank(rows, q=2, niter=4)
# plane = (rows - rows.mean(dim=0)) @ directions
# which = films.labels[:, None].expand(-1, t).flatten()
# figure, axes = show.subplots(1, 2, width=4.4, height=3.4)
# for mark, inside in (("o", event_row), ("x", ~event_row)):
#     word = "event" if mark == "o" else "background"
#     axes[0, 0].plot(*plane[inside].T, mark, ms=4, alpha=0.7, label=word)
# axes[0, 0].legend()
# for k, label in enumerate(which[event_row].unique().tolist()[:7]):
#     chosen = event_row & (which == label)
#     named = films.classes[label][:14]
#     axes[0, 1].plot(*plane[chosen].T, "o", ms=4, color=show.COLOURS[k], label=named)
# axes[0, 1].legend(fontsize=7)
# for ax in axes[0]:
#     ax.set(xlabel="first component", ylabel="second component")
# lesson.figure("plane", figure, "Left: all seconds. Right: events, by class.")

# %% [markdown]
# ## The sounds: VGGish's picture of a second
#
# VGGish (Hershey et al. 2017) is the same idea for sound: a small VGG that looks at a
# *picture* of 0.96 seconds, learned to name what YouTube's videos are about, and whose
# last 128 numbers are kept. Its picture is a log-mel of its own kind:
#
# $$x[n, b] = \ln\Bigl(0.01 + \sum_k M[b, k]\,\bigl|\mathrm{STFT}[n, k]\bigr|\Bigr),
#   \qquad n = 1 \dots 96,\quad b = 1 \dots 64,$$
#
# with windows of 25 ms every 10 ms and $M$ triangles from 125 to 7,500 Hz, evenly
# spaced on the mel scale. The 0.01 is a floor: what is softer is as good as silent.

# %% tags=["active-ipynb"]
# course.show_source(VGGishMel, networks.VGG19, networks.VGGish)

# %% tags=["active-ipynb", "mels"]
# wave = films.waveform[one, 0].float() / 32767
# mel = VGGishMel()
# mels = mel(wave.view(t, -1))
# print(f"{tuple(wave.shape)} → {tuple(mels.shape)}")
# figure = show.spectrograms(
#     [picture.T for picture in mels],
#     hop=0.01,
#     hz=mel.hz,
#     captions=[f"second {k}{' *' * bool(event[one, k])}" for k in range(t)],
#     columns=5,
# )
# lesson.figure("mels", figure, f"{name}, second by second; *: the event.")
# lesson.audio("video", wave.numpy(), films.sample_rate, name)

# %% [markdown]
# ## A substitute for VGGish: the bandstand's ear
#
# VGGish's weights come in no package. If you have the file (`vggish-10086976.pth`),
# step 3 takes it. If not, we need another network that turns a second of sound into
# 128 numbers that *mean* something. So we train one as VGGish was trained: to name
# kinds of sound. VGGish learned YouTube's labels, among which AVE's classes are; ours
# learns the bandstand's kinds of event, from sounds that are in no video. It never sees
# a picture.
#
# It is **not** VGGish: every table says which network gave which features.

# %%
RATE = 16000  # samples a second
UNSEEN = 2**40  # seeds from here on: no data set has them


def practice(
    each: int, seed: int, length: int = 3
) -> tuple[Float[Tensor, "n samples"], Int64[Tensor, " n"], Int64[Tensor, " n"]]:
    """Seconds of sound, the kind of each, and which sound it is a part of.

    `each` sounds of every kind of the bandstand's events (less than 10,000), `length` s
    of each, with a place's own sound behind. Another seed has other sounds, and the
    data sets have others still.
    """
    sounds = []
    for kind in KINDS:
        for number in range(each):
            at = UNSEEN + 10_000 * seed + number
            event = record_event(kind, start=0, end=length, seed=at)
            sounds.append(event.synthesise(RATE)[: length * RATE])
    which = torch.arange(len(sounds)).repeat_interleave(length)
    waveform = torch.from_numpy(np.stack(sounds)).view(-1, RATE)
    return waveform, which // each, which


# %% tags=["active-ipynb"]
# sounds, kinds, _ = practice(settings.sounds, lesson.seed)
# some = range(0, len(sounds), len(sounds) // 4)
# print(f"{tuple(sounds.shape)}, {len(KINDS)} kinds")
# players = [sounds[i].numpy() for i in some]
# display(show.listen(players, RATE, [KINDS[kinds[i]] for i in some]))

# %% [markdown]
# The network: four convolutions, each halving the picture, then 128 numbers after a
# ReLU (so, as VGGish's, none is negative and many are 0), from which a last linear
# layer names the kind. That layer is used in training alone.
#
# `(n, 96, 64) → (n, 16, 48, 32) → … → (n, 128, 6, 4) → (n, 128) → (n, kinds)`


# %%
class Ear(nn.Module):
    """The substitute for VGGish: log-mels (n, 96, 64) → (n, 128), 0 or more."""

    def __init__(self, kinds: int, width: int = 16) -> None:
        super().__init__()
        widths, layers = (1, width, 2 * width, 4 * width, 8 * width), []
        for last, wide in pairwise(widths):
            convolution = nn.Conv2d(last, wide, 3, stride=2, padding=1)
            layers += [convolution, nn.BatchNorm2d(wide), nn.ReLU()]
        self.maps = nn.Sequential(*layers)
        self.embedding = nn.Linear(8 * width * 6 * 4, 128)
        self.naming = nn.Linear(128, kinds)

    def forward(self, mels: Float[Tensor, "n 96 64"]) -> Float[Tensor, "n 128"]:
        # about 0 and of spread 1: silence is ln 0.01 = -4.6
        return self.embedding(self.maps((mels[:, None] + 2) / 2).flatten(1)).relu()

    def names(self, mels: Float[Tensor, "n 96 64"]) -> Float[Tensor, "n kinds"]:
        """Logits of the kinds of sound."""
        return self.naming(self(mels))


# %% [markdown]
# How *large* the 128 numbers are is arbitrary: twice the embedding and half the last
# layer name alike. But MS-VAE's faithful mode takes them as they are, and large ones
# would outweigh the rest of its loss; so we bring them to the deviation of real VGGish
# rows.

# %%
VGGISH = {"mean": 0.122, "standard deviation": 0.262, "zeros": 0.65, "row max": 1.43}


@torch.no_grad()
def spread(ear: Ear, mels: Float[Tensor, "n 96 64"]) -> None:
    """Scale the ear's numbers to VGGish's deviation over these sounds, in place."""
    factor = VGGISH["standard deviation"] / float(ear(mels).std())
    ear.embedding.weight.mul_(factor)
    ear.embedding.bias.mul_(factor)
    ear.naming.weight.div_(factor)


# %% tags=["active-ipynb"]
# ear = Ear(len(KINDS)).eval()
# with torch.inference_mode():
#     print(tuple(ear(mels).shape), tuple(ear.names(mels).shape))
# with torch.device("meta"):
#     vggish = networks.VGGish()
# for name_, network in (("bandstand-ear", ear), ("VGGish", vggish)):
#     print(f"{name_}: {sum(p.numel() for p in network.parameters()):,} weights")

# %% [markdown]
# Both take the same picture, so one function measures a video's sound with either:


# %%
def heard(
    network: nn.Module, of: ClipBatch, mel: VGGishMel
) -> Float[Tensor, "n t 128"]:
    """A row of `network` (log-mels (items, 96, 64) → 128) for each second."""
    t = whole_seconds(of)
    if of.sample_rate != RATE:
        raise FeatureError(
            f"sound at {of.sample_rate} Hz: prepare it with sample_rate {RATE}"
        )
    seconds = of.waveform[:, 0].unflatten(1, (t, RATE)).float() / 32767
    return network(mel(seconds).flatten(0, 1)).unflatten(0, (len(of), t))


# %% [markdown]
# ## What the released code does before it compares
#
# In its evaluation, not in its training, each row is divided by its own largest
# absolute value. Then loud and soft, bright and dark seconds differ in pattern only. A
# row of zeros (VGGish gives those for silence) would be divided by zero: it stays zero.


# %%
def scaled(rows: Float[Tensor, "*n features"]) -> Float[Tensor, "*n features"]:
    """Each row over its largest absolute value; rows of zeros stay as they are."""
    largest = rows.abs().amax(dim=-1, keepdim=True)
    return rows / torch.where(largest > 0, largest, 1)


# %% tags=["active-ipynb"]
# lengths = {"as measured": visual, "scaled": scaled(visual)}
# rows = [
#     {"rows": name_, "mean": x.mean(), "largest": x.amax(-1).mean(), "zeros": share}
#     for name_, x in lengths.items()
#     for share in [(x == 0).float().mean()]
# ]
# rows = [{k: v if k == "rows" else float(v) for k, v in row.items()} for row in rows]
# assert scaled(torch.zeros(2, 3)).eq(0).all()
# show.table(rows, "VGG19's rows of these videos")

# %% [markdown]
# ## The file
#
# All splits go into one safetensors file: plain numbers that no reading can run. Its
# header holds the names as JSON. What is read is checked before it is believed: the
# shapes before a byte of them is read, every number after.

# %%
LARGEST = 20_000  # videos of a file that is read at all: half a GB
FORMAT = "avnb seconds 1"


def save_seconds(path: str | Path, splits: Mapping[str, Seconds], **made: Any) -> None:
    """Keep all splits in one safetensors file, whole or not at all.

    `made`: plain values that say what it was made from, for `made_from`.
    """
    tensors, about = {}, {}
    for split, of in splits.items():
        checked(of, f"{path}, {split}")
        for name in TYPES:
            tensors[f"{split}.{name}"] = getattr(of, name).cpu().contiguous()
        words = {name: getattr(of, name) for name in ("videos", "classes", "networks")}
        about[split] = words
    header = {"format": FORMAT, "splits": about, "made": made}
    text = {"about": json.dumps(header, ensure_ascii=False)}
    files.write_bytes(path, safetensors.torch.save(tensors, metadata=text))


# %%
def _header(path: str | Path) -> dict[str, Any]:
    """The JSON of a file of `save_seconds`, or FeatureError."""
    if not Path(path).is_file():
        raise FeatureError(f"{path}: no features are there: step3_extract makes them")
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["about"])
        if header["format"] != FORMAT:
            raise ValueError(f"its format is {header['format']!r}, not {FORMAT!r}")
        header["made"].keys()
        for words in header["splits"].values():
            for name in ("videos", "classes"):
                if not all(isinstance(word, str) for word in words[name]):
                    raise TypeError(f"{name} are not all names")
            words["networks"].keys()
    except Exception as error:  # whatever a header that is none of ours can raise
        raise FeatureError(
            f"{path}: no file of features ({error!r}): run step3_extract again"
        ) from None
    return header


# %%
def load_seconds(path: str | Path, split: str) -> Seconds:
    """A split ("train", "val", "test") of a file of `save_seconds`, on the CPU.

    Raises FeatureError, which names the file and the video, where it is missing,
    damaged, too large, of other shapes, or holds numbers that are none.
    """
    words = _header(path)["splits"]
    if split not in words:
        raise FeatureError(f"{path}: no split {split!r}; there is: {', '.join(words)}")
    about, n = words[split], len(words[split]["videos"])
    if n > LARGEST or Path(path).stat().st_size > 2**32:
        raise FeatureError(f"{path}: {n} videos, or above 4 GiB: {LARGEST} at most")
    with safe_open(path, "pt") as file:
        keys = {name: f"{split}.{name}" for name in TYPES}
        if missing := set(keys.values()) - set(file.keys()):
            raise FeatureError(f"{path}: {missing} missing: run step3_extract again")
        given = {name: file.get_slice(key).get_shape() for name, key in keys.items()}
        t = (*given["event"], 0, 0)[1]
        for name, wanted in shapes(n, t).items():
            if (found := tuple(given[name])) != wanted:
                raise FeatureError(f"{path}: {keys[name]} is {found}, not {wanted}")
        tensors = {name: file.get_tensor(key) for name, key in keys.items()}
    names = {key: about[key] for key in ("videos", "classes", "networks")}
    return checked(Seconds(**tensors, **names), f"{path}, {split}")


# %%
def made_from(path: str | Path) -> dict[str, Any]:
    """What the file was made from, as `save_seconds` was told; {} where it is none."""
    try:
        return _header(path)["made"]
    except FeatureError:
        return {}


def splits_of(path: str | Path) -> list[str]:
    """The splits of a file of `save_seconds`."""
    return list(_header(path)["splits"])


# %% tags=["active-ipynb"]
# with torch.inference_mode():
#     audio = heard(ear, films, mel)
# example = Seconds(
#     visual.clone(),
#     audio.clone(),
#     event,
#     films.labels,
#     films.recordings,
#     films.classes,
#     {"visual": "VGG19", "audio": "an ear that has learned nothing"},
# )
# path = lesson.run_dir / "step2_example.safetensors"
# save_seconds(path, {"test": example})
# again = load_seconds(path, "test")
# assert torch.equal(again.visual, example.visual)
# assert again.videos == example.videos
# print(f"{len(again)} videos, {path.stat().st_size / 2**20:.2f} MB")

# %% [markdown]
# ## AVE's own features
#
# Who has AVE's feature files needs neither network: `visual_feature_vec.h5` (4143 × 10
# × 512), `audio_feature.h5` (4143 × 10 × 128), `labels.h5` (4143 × 10 × 29: 28 classes
# and background), the three files of a split family with the rows of each split, and
# `Annotations.txt`, whose lines are in the same order. The labels and the annotations
# say the same thing twice; where they disagree, or where a video's features are no
# numbers, that video is named and left out, and nothing else is lost. The script that
# reads AVE's videos (step 1) reads its lines and splits here as well.

# %%
AVE = {"visual": "visual_feature_vec.h5", "audio": "audio_feature.h5"}


def _wrong(
    tables: Mapping[str, np.ndarray], rows: Sequence[ave.Row]
) -> dict[ave.Row, str]:
    """What is wrong with which row."""
    disagreeing = ave.find_disagreements(tables["labels"], rows)
    wrong = dict.fromkeys(disagreeing, "labels.h5 and Annotations.txt disagree on it")
    for kind in AVE:
        finite = np.isfinite(tables[kind]).all(axis=(1, 2))
        for row in rows:
            if not finite[row.number]:
                wrong[row] = f"its {kind} features are not finite"
    return wrong


# %%
def ave_seconds(
    tables: Mapping[str, np.ndarray], chosen: Mapping[str, Sequence[ave.Row]]
) -> tuple[dict[str, Seconds], list[Problem]]:
    """Splits of AVE's arrays, and the videos that were left out and why.

    tables: "visual", "audio" and "labels", (n, 10, width); chosen: split -> its rows.
    """
    splits, problems = {}, []
    for split, rows in chosen.items():
        wrong = _wrong(tables, rows)
        splits[split] = _of_rows(tables, [row for row in rows if row not in wrong])
        for row in rows:
            if row in wrong:
                left_out = f"It is left out of {split}"
                problems.append(Problem(row.video, wrong[row], left_out))
    return splits, problems


# %%
def _of_rows(tables: Mapping[str, np.ndarray], rows: Sequence[ave.Row]) -> Seconds:
    """These rows of AVE's arrays; events and classes are the annotations'."""
    at = [row.number for row in rows]
    second = torch.arange(ave.SECONDS)
    span = torch.tensor([(row.start, row.end) for row in rows]).view(-1, 2, 1)
    return Seconds(
        visual=torch.from_numpy(tables["visual"][at]).float(),
        audio=torch.from_numpy(tables["audio"][at]).float(),
        event=(span[:, 0] <= second) & (second < span[:, 1]),
        label=torch.tensor([KINDS.index(row.label) for row in rows]).long(),
        videos=[row.video for row in rows],
        classes=list(KINDS),
        networks={kind: f"AVE's own ({file})" for kind, file in AVE.items()},
    )


# %%
def read_ave_features(
    folder: str | Path, family: Literal["order", "match"] = "match"
) -> tuple[dict[str, Seconds], list[Problem]]:
    """The splits of AVE's own feature files, and what was left out and why.

    folder: with the h5 files and Annotations.txt (or with both in its data/); family:
    "match" (localisation's) or "order". Raises ClipsError where a file is missing or
    cannot be read, FeatureError where it is of another shape.
    """
    folder, problems, tables = Path(folder), [], {}
    rows = ave.read_annotations(ave.find_file(folder, "Annotations.txt"), problems)
    chosen = ave.read_splits(folder, family, rows, problems)
    chosen = ave.remove_leaks(chosen, problems)
    n = 1 + max(rows, default=-1)
    for kind, file in (AVE | {"labels": "labels.h5"}).items():
        path = ave.find_file(folder, file)
        table = ave.read_h5(path, "avadataset", 3)
        width = (WIDTHS | {"labels": ave.BACKGROUND + 1})[kind]
        if len(table) < n or table.shape[1:] != (ave.SECONDS, width):
            raise FeatureError(
                f"{path}: {table.shape}, not ({n} or more, {ave.SECONDS}, {width})"
            )
        tables[kind] = table
    splits, more = ave_seconds(tables, chosen)
    return splits, problems + more


# %% [markdown]
# ## Exercises
#
# 1. The released code's scaling is not the usual one. Write the usual: each row
#    divided by its length, after which a distance says no more than an angle.
# 2. VGGish's picture ends before its second does. Which share of the second's samples
#    is in no window at all?

# %% tags=["active-ipynb"]
# from avnb_notebooks.ms_vae import exercises
#
#
# def unit_rows(rows):
#     """(n, d) → each row divided by its Euclidean length; rows of zeros stay zero."""
#     ...  # your code
#
#
# course.try_exercise(exercises.UNIT_ROWS, unit_rows)

# %% tags=["active-ipynb"]
# def unheard_share(frames, window=400, hop=160, rate=16000):
#     """The share of a second's samples that are in none of its first `frames` windows.
#
#     Window n holds samples n * hop to n * hop + window - 1.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.UNHEARD_SHARE, unheard_share)

# %% tags=["active-ipynb"]
# lesson.finish()
