# %% [markdown]
# # Step 1 · Data: one performer, and what is heard at each frame
#
# *Listen and Move* (Redondo 2024) learns from **a single video**: one performer, some
# minutes long. Afterwards you give it any sound, and the performer moves to it. No
# skeleton, no face model, nothing about music is told to the network. All that it
# gets is, for each frame, a little piece of sound. This notebook makes that piece:
#
# 1. what a **chunk** of sound is, how long, and why it overlaps with its neighbours,
# 2. how its 64 numbers are measured, and how the released code's way of doing that
#    makes digital silence the loudest thing in the world,
# 3. how the video is split: by time, 80 % to learn from, the rest to be judged on.
#
# **Letters.** T frames · B mel bands (64) · A columns of the spectrogram a chunk (8) ·
# H columns from one frame to the next (5) · S samples · h, w height and width.

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
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Shaped, UInt8
from torch import Tensor, nn

from avnb.data import clips
from avnb.errors import ClipsError
from avnb.features import ChunkFeatures, scale_db

# %% tags=["parameters"]
SCALE = "laptop"
DATA = ""
SEED = 0
RUN_DIR = ""
OVERRIDES = {}


# %% tags=["active-ipynb"]
# import numpy as np
# from matplotlib.patches import Rectangle
#
# from avnb import course
# from avnb.features import CHUNK_COLUMNS
# from avnb.viz import show
#
# lesson = course.start(
#     "listen_and_move",
#     "step1_data",
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
#         seconds=(2.0, 4.0, 4.0, 4.0),  # shown and heard below
#     ),
# )
# settings

# %% [markdown]
# ## A performer
#
# The embedded video is of a cellist drawn by a program, who moves *because* of the
# music: the bow turns where a note begins, the left hand climbs with the pitch. Your
# own video works as well (`avnb prepare single_video --source FILE`, then its folder
# as `DATA`). `load_recording` joins the prepared clips to one film without a gap.

# %% tags=["active-ipynb"]
# film = clips.load_recording(lesson.data, "train")
# fps, rate = round(film.fps), film.sample_rate
# shown = round(settings.seconds * fps)
# print(f"{len(film)} frames, {fps} a second; {len(film.waveform)} samples, {rate} Hz")
# every = shown // 8
# lesson.figure(
#     "performer",
#     show.film_strip(film.frames[:shown:every], film.times[:shown:every]),
#     "The performer, from the beginning.",
# )
# heard = film.waveform[: round(settings.seconds * rate)]
# lesson.audio("performer", heard.numpy(), rate, "what is heard meanwhile")

# %% [markdown]
# ## What a chunk is
#
# Let $\Phi[b, n]$ be a log-mel spectrogram: $B = 64$ bands from 125 to 7,500 Hz, a
# window of 25 ms, a new column each 10 ms. Frame $t$ (counted from 0) gets the chunk of
# $A = 8$ columns that begins where the frame does, and its features are their mean:
#
# $$c_t = \{\Phi[b,\ Ht + a] \mid a = 0 \dots A - 1\}, \qquad
#   f_t = \frac1A \sum_a c_t[\cdot, a] .$$
#
# At 20 frames a second a frame lasts $H = 5$ columns, so neighbouring chunks share
# three columns of eight: 37.5 %. What two frames both hear cannot differ, so the
# features change smoothly before any network has done a thing.

# %% tags=["active-ipynb", "chunks"]
# hop = ChunkFeatures(rate, fps).hop
# figure, axes = show.subplots(width=8, height=2.4)
# ax = axes[0, 0]
# for t in range(4):
#     start, colour = t * hop * 10, show.COLOURS[t]
#     ax.add_patch(Rectangle((start, 4.2), hop * 10, 0.7, fc=colour, ec="white"))
#     ax.text(start + 2, 4.45, f"frame {t}", color="white", va="center")
#     for a in range(CHUNK_COLUMNS):
#         ax.plot(start + 10 * a, 3.4 - t, "o", color=colour, markersize=4)
#     span = [start - 12.5, start + 10 * (CHUNK_COLUMNS - 1) + 12.5]
#     ax.plot(span, [3.4 - t] * 2, color=colour, alpha=0.35, linewidth=7)
# ax.set(xlabel="ms", yticks=[], ylim=(0, 5.1), xlim=(-20, 260))
# lesson.figure("chunks", figure, "Dots: columns. Bars: all that the chunk hears.")

# %% [markdown]
# Look at the first bar. The chunk begins with its frame and goes on **after** it: what
# you see at an instant was painted from sound that comes up to 80 ms later. In a file
# that is no harm, and for a musician's hand, which must move before the note sounds,
# even a help. But on a stage the picture would come 80 ms late.
#
# How long is a chunk? The paper says 85 ms. Eight columns of 10 ms are 80; from the
# first sample that enters its first window to the last of the last it is:

# %% tags=["active-ipynb"]
# hops = CHUNK_COLUMNS * 10
# reach = (CHUNK_COLUMNS - 1) * 10 + 25
# shared = 100 * (CHUNK_COLUMNS - hop) / CHUNK_COLUMNS
# print(f"hops: {hops} ms · samples touched: {reach} ms · shared: {shared} %")
# print(f"85 ms in columns: 8.5, which Python rounds to {round(8.5)}")

# %% [markdown]
# ### Why 85 ms?
#
# Too short, and a chunk does not even hold one period of a low tone; too long, and two
# notes fall into one. The things that sound consists of, beside the chunk:

# %% tags=["active-ipynb", "why-85-ms"]
# lengths = {
#     "one period of 125 Hz": (8, 8),
#     "frames of speech recognition": (10, 20),
#     "one video frame (20 a second)": (50, 50),
#     "sixteenth notes, ♩ = 200 to 150": (60000 / 200 / 4, 60000 / 150 / 4),
#     "one chunk": (80, 95),
#     "an English phoneme, about": (100, 100),
# }
# figure, axes = show.subplots(width=8, height=2.3)
# ax = axes[0, 0]
# for row, (name, (short, long)) in enumerate(reversed(lengths.items())):
#     chosen = show.COLOURS[1 if "chunk" in name else 0]
#     ax.barh(row, max(long - short, 2), left=short - 1 * (long == short), color=chosen)
# ax.set_yticks(range(len(lengths)), list(reversed(lengths)))
# ax.set(xlabel="ms", xlim=(0, 120))
# lesson.figure("why85", figure, "A chunk is as long as a fast note or a phoneme.")

# %% [markdown]
# The package has this measurement, since a stage on other data needs it too. Here is
# its source, and beside it the definition above, column by column, to check it by.

# %% tags=["active-ipynb"]
# course.show_source(ChunkFeatures)

# %% tags=["active-ipynb"]
# hear = ChunkFeatures(rate, fps, reference="recording")
# features = hear(heard)
# columns = 10 * hear.mel(heard).clamp(min=1e-30).log10()
# columns = (columns - columns.max()).clamp(min=-80)
# by_hand = [
#     columns[:, t * hop : t * hop + CHUNK_COLUMNS].mean(dim=1)
#     for t in range(len(features))
# ]
# assert torch.allclose(features, torch.stack(by_hand), atol=1e-3)
# print(f"Φ {tuple(columns.shape)} → f {tuple(features.shape)}")

# %% [markdown]
# ## The trap: what is 0 dB?
#
# Decibels compare. The released code compares each chunk **with its own loudest
# value** (`power_to_db(ref=np.max)`, chunk by chunk). Two things follow:
#
# - Loudness is lost. A note played softly has the same features as played loudly.
# - In digital silence every value is the floor, so every value *is* the maximum, and
#   0 dB in all bands is as loud as a feature can be.
#
# See it with five sounds of a second each: the performer, the same 30 dB softer, very
# soft noise, noise softer still, and nothing at all.

# %% tags=["active-ipynb", "silence"]
# level = hear.measure_peak_energy(film.waveform)
# music = film.waveform[rate : 2 * rate]
# noise = torch.randn(rate, generator=torch.Generator().manual_seed(SEED))
# sounds = {
#     "music": music,
#     "music, 30 dB softer": music * 10 ** (-30 / 20),
#     "noise of 0.001": 1e-3 * noise,
#     "noise of 0.00001": 1e-5 * noise,
#     "silence": torch.zeros(rate),
# }
# by_chunk = ChunkFeatures(rate, fps, reference="chunk")
# by_level = ChunkFeatures(rate, fps, reference=level)
# figure, axes = show.subplots(1, 2, width=4.6, height=2.9)
# for ax, (rule, how) in zip(
#     axes[0], {"each chunk": by_chunk, "training": by_level}.items(), strict=True
# ):
#     for name, sound in sounds.items():
#         ax.plot(how(sound).mean(dim=0), label=name)
#     ax.set(title=f"0 dB is the loudest of {rule}", xlabel="band", ylim=(-84, 4))
# axes[0, 0].set_ylabel("dB")
# figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center")
# lesson.figure("silence", figure, "Left, as released: silence lies on top of all.")

# %% [markdown]
# On the left the two lines of music lie on each other, the two of noise likewise, and
# silence above them all: the less there is to hear, the higher the numbers. On the
# right softer is lower, everywhere, and silence is the lowest. (The softest noise is
# below the floor of -80 dB, and so lies under the line of silence.)
# One number for all of training makes it so: the largest mel energy of the training
# part. It goes with the network, so that any other sound is measured by the same rule.
#
# The second trap waits in the network. Features of tens of decibels, fed as they are,
# drive every sigmoid of a GRU into its corners (step 2 shows it). So ours are brought
# to -1…1; the released code's stay in dB.
#
# `sound (S,) → features (T, B)`


# %%
def checked(sound: Float[Tensor, " s"]) -> Float[Tensor, " s"]:
    """The sound itself; ValueError where a sample is no number."""
    if not (finite := torch.isfinite(sound)).all():
        first = int((~finite).nonzero()[0])
        raise ValueError(
            f"sample {first} of the sound is {sound[first].item()}: mend or cut it"
        )
    return sound


# %%
class Hearing(nn.Module):
    """Sound → what the networks hear of it, a vector a frame (Sec. 3.1).

    `level` is the mel energy that becomes the largest feature, 1; 80 dB below and less
    is -1. Without `level` it is the released code's way: dB below each chunk's own
    loudest value, -80 to 0.
    """

    def __init__(
        self, sample_rate: int, fps: float | int = 20, level: float | None = None
    ) -> None:
        super().__init__()
        self.level = level
        reference = "chunk" if level is None else level
        self.chunks = ChunkFeatures(sample_rate, fps, reference=reference)

    def forward(
        self, sound: Float[Tensor, " s"], frames: int | None = None
    ) -> Float[Tensor, "t b"]:
        """The features of `frames` frames, by default of those with a whole chunk."""
        db = self.chunks(checked(sound), frames)
        return db if self.level is None else scale_db(db)


# %% tags=["active-ipynb"]
# hearing = Hearing(rate, fps, level)
# for name, sound in sounds.items():
#     ours, released = hearing(sound), Hearing(rate, fps)(sound)
#     print(f"{name:20} ours {ours.mean():+.2f}   released {released.mean():+6.1f} dB")
# assert hearing(sounds["silence"]).max() == -1
# assert Hearing(rate, fps)(sounds["silence"]).min() == 0

# %% [markdown]
# ## The split: the last fifth is for judging
#
# There is one video, so there is no other recording to test on. Frames drawn at random
# would not do: the neighbour of a test frame, 50 ms away, would be in training. So the
# video is cut once: the first 80 % of the time train, the rest tests.

# %% tags=["active-ipynb", "split"]
# held = {split: clips.load_recording(lesson.data, split) for split in ("train", "test")}
# last, first = held["train"].times.max(), held["test"].times.min()
# assert last < first, "training must end before testing begins"
# share = len(held["train"]) / sum(len(part) for part in held.values())
# rows = [
#     {
#         "part": name,
#         "frames": len(part),
#         "from [s]": part.times[0].item(),
#         "to [s]": part.times[-1].item(),
#     }
#     for name, part in held.items()
# ]
# lesson.record("split", rows)
# print(f"{100 * share:.1f} % of the frames train")
# show.table(rows)

# %% [markdown]
# How much does that matter? Take test frames both ways and look how far the nearest
# training frame is. Cut at random, each has a near twin in training, its neighbour in
# time; cut by time, the nearest is some other moment with a like pose.


# %%
def nearest(
    test: Float[Tensor, "m d"], train: Float[Tensor, "n d"]
) -> Float[Tensor, " m"]:
    """Root mean square difference of each test item to its nearest training item."""
    return torch.cdist(test, train).min(dim=1).values / test.shape[1] ** 0.5


# %% tags=["active-ipynb", "leak"]
# small = {k: part.frames[:, ::4, ::4].flatten(1).float() for k, part in held.items()}
# order = torch.randperm(
#     len(small["train"]), generator=torch.Generator().manual_seed(lesson.seed)
# )
# pool = small["train"][order]
# cut = len(pool) // 5
# apart = {
#     "cut at random": nearest(pool[:cut], pool[cut:]),
#     "cut by time": nearest(small["test"], small["train"]),
# }
# curves = {
#     name: (np.linspace(0, 100, len(far)), far.sort().values)
#     for name, far in apart.items()
# }
# figure = show.curves(curves, x="% of the test frames are nearer", y="grey levels")
# lesson.figure("leak", figure, "From a test frame to the nearest training frame.")

# %% [markdown]
# ## Where does it move, and does it move *with the sound*?
#
# Most of each frame is a wall. Whoever paints the wall right has a small error already,
# and a still picture may win. So the later notebooks also look at the fifth of the
# pixels that change most in training:


# %%
def moving(frames: UInt8[Tensor, "t h w 3"]) -> Bool[Tensor, "h w"]:
    """The fifth of the pixels that change most, by their deviation over time."""
    sums = torch.zeros(2, *frames.shape[1:], dtype=torch.double, device=frames.device)
    for part in frames.split(512):  # a long film in floats would fill the memory
        x = part.double()
        sums += torch.stack([x.sum(dim=0), x.square().sum(dim=0)])
    mean, square = sums / len(frames)
    change = (square - mean.square()).clamp(min=0).sqrt().mean(dim=-1)
    most = change.flatten().topk(max(change.numel() // 5, 1)).indices
    where = torch.zeros(change.numel(), dtype=torch.bool, device=change.device)
    where[most] = True
    return where.view_as(change)


# %%
def mean_frame(frames: UInt8[Tensor, "t h w 3"]) -> UInt8[Tensor, "h w 3"]:
    """The mean of all frames: the best still there is, in mean square."""
    return frames.mean(dim=0, dtype=torch.float32).round().byte()


# %%
def error_where(
    where: Bool[Tensor, "h w"],
    made: UInt8[Tensor, "t h w 3"],
    real: UInt8[Tensor, "t h w 3"],
) -> Float[Tensor, " t"]:
    """Root mean square difference of each frame, in grey levels, at these pixels."""
    difference = made[:, where].float() - real[:, where].float()
    return difference.square().mean(dim=(1, 2)).sqrt()


# %% tags=["active-ipynb", "moving"]
# where = moving(held["train"].frames)
# first, mask = held["train"].frames[0], where[..., None].byte()
# figure = show.image_grid(
#     [[first, (255 * mask).expand_as(first), first * mask]],
#     columns=["a frame", "what moves", "both"],
#     size=1.8,
# )
# lesson.figure("moving", figure, "The fifth of the pixels that change most.")

# %% [markdown]
# A network may also paint fine frames and not listen at all. The test for that is a
# **control**: the same network hears the sound of *another moment* of the same film.
# Its sounds are as likely, its motion as lively, only at the wrong time. If the right
# sound brings the frames no nearer to the real ones, the network is deaf.


# %%
def other_moment(
    film: Shaped[Tensor, "t ..."], share: float = 0.25
) -> Shaped[Tensor, "t ..."]:
    """Each frame gets what is heard (or seen) a share of the film before it.

    The beginning gets the end. Music comes back: try several shares.
    """
    return film.roll(round(len(film) * share), dims=0)


# %% tags=["active-ipynb"]
# real = held["test"].frames
# still = mean_frame(held["train"].frames).expand_as(real)
# rivals = {"one still": still, "another moment": other_moment(real)}
# for name, frames in rivals.items():
#     error = error_where(where, frames, real).mean()
#     print(f"{name:15} is {error:.1f} grey levels off where it moves")

# %% [markdown]
# The real performer at the wrong moment is *worse* than the still: errors punish motion
# that comes at the wrong time. So a network that does not beat the still may have
# learned some of the motion, only not enough for what its errors cost; the control
# tells.
#
# ## The performer, whole
#
# Everything that the later notebooks learn from or are judged on: the frames of a part
# beside their features, the film itself with the sound, and the hearing, which is that
# of the *training* part for both.
#
# `window(t, n)` gives n frames from frame t on as the networks take them.


# %%
@dataclass(frozen=True)
class Performer:
    """T frames of one video, and what is heard at each."""

    frames: UInt8[Tensor, "t h w 3"]
    features: Float[Tensor, "t b"]
    film: clips.Recording
    hearing: Hearing

    def __len__(self) -> int:
        return len(self.frames)

    def window(
        self, start: int, count: int
    ) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "n b"]]:
        """Frames in -1…1 and features of `count` frames from `start` on."""
        if not 0 <= start <= start + count <= len(self):
            raise ValueError(
                f"{count} frames from {start} on: there are {len(self)} of "
                f"{self.film.recording}"
            )
        frames = self.frames[start : start + count].permute(0, 3, 1, 2)
        return frames.float() / 127.5 - 1, self.features[start : start + count]


# %%
def check_film(performer: Performer, window: int) -> None:
    """Raise ClipsError, naming the film, where the networks cannot take it."""
    count, height, width = performer.frames.shape[:3]
    name = performer.film.recording
    if height != width or height < 8 or height & (height - 1):
        raise ClipsError(
            f"{name}: pictures of {height}×{width}, the networks take 64×64, "
            "128×128, …: prepare it again with --size 64"
        )
    if count < window:
        raise ClipsError(
            f"{name}: {count} frames from {performer.film.times[0]:.1f} s on, and a "
            f"window has {window}: give a longer video, or a smaller window"
        )


# %%
def load_performer(
    folder: str | Path, split: str, device: str = "cpu", *, as_released: bool = False
) -> Performer:
    """One part ("train" or "test") of the one video that a folder of clips holds.

    Its features are measured by the loudest moment of training, whatever the part;
    `as_released`: in dB, chunk by chunk, as the released code.
    """
    film = clips.load_recording(folder, split, device)
    level = None
    if not as_released:
        train = (
            film if split == "train" else clips.load_recording(folder, "train", device)
        )
        level = (
            ChunkFeatures(train.sample_rate, train.fps)
            .to(device)
            .measure_peak_energy(train.waveform)
        )
        if not 0 < level < float("inf"):
            raise ClipsError(
                f"{folder}/train: {film.recording} is silent (loudest mel energy "
                f"{level}): prepare another span of it, or another video"
            )
    hearing = Hearing(film.sample_rate, film.fps, level).to(device)
    features = hearing(film.waveform, frames=len(film))
    return Performer(film.frames, features, film, hearing)


# %% tags=["active-ipynb"]
# train, test = (load_performer(lesson.data, split) for split in ("train", "test"))
# assert train.hearing.level == test.hearing.level
# video, features = train.window(0, 16)
# assert len(features) == len(video) == 16
# assert -1 <= video.min() <= video.max() <= 1
# assert -1 <= train.features.min() <= train.features.max() <= 1
# print(f"{len(train)} and {len(test)} frames; a window {tuple(video.shape)}")

# %% [markdown]
# Look along the film: frames above, the features below them, and (because the
# bandstand knows) the pitch that is played. Every step of the melody is a change of
# the stripes: what the network will have to see.

# %% tags=["active-ipynb", "film"]
# figure, axes = show.subplots(3, 1, width=9, height=1.6)
# strip = np.concatenate(list(train.frames[:shown:every].numpy()), axis=1)
# seconds = shown / fps
# axes[0, 0].imshow(strip, extent=(0, seconds, 0, seconds / 8), aspect="equal")
# extent = (0, seconds, 0, train.features.shape[1])
# axes[1, 0].imshow(
#     train.features[:shown].T, origin="lower", aspect="auto", extent=extent
# )
# pitch = film.truth.get("pitch_hz", torch.full((len(film),), torch.nan))[:shown]
# when = np.arange(shown) / fps
# axes[2, 0].step(when, torch.where(pitch > 0, pitch, torch.nan), where="post")
# for ax, what in zip(axes[:, 0], ("frames", "band", "pitch [Hz]"), strict=True):
#     ax.set(ylabel=what, xlim=(0, seconds))
#     ax.grid(False)
# axes[0, 0].set_yticks([])
# axes[2, 0].set_xlabel("s")
# lesson.figure("film", figure, "Seen, heard, and what was played.")

# %% [markdown]
# ## Exercises
#
# 1. Which samples can change the features of frame $t$? Column $n$ of a centred
#    spectrogram looks half a window to each side of its instant.
# 2. Keep the released code's per-chunk decibels, but let silence be silent: measure
#    against the chunk's loudest value *or a floor*, whichever is larger.

# %% tags=["active-ipynb"]
# from avnb_notebooks.listen_and_move import exercises
#
#
# def samples_heard(t, sample_rate=16000):
#     """(first, last) sample, both included, that the windows of chunk t reach over.
#
#     Columns each 10 ms, windows of 25 ms centred on them; samples before the
#     beginning have negative numbers.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.SAMPLES_HEARD, samples_heard)

# %% tags=["active-ipynb"]
# def guarded_db(chunk, floor):
#     """(B, A) mel energies → (B,) mean dB, -80 to 0, below max(loudest, floor)."""
#     ...  # your code
#
#
# course.try_exercise(exercises.GUARDED_DB, guarded_db)

# %% tags=["active-ipynb"]
# lesson.finish()
