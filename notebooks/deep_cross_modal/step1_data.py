# %% [markdown]
# # Step 1 · Data: half a second of sound, one picture
#
# *Deep Cross-Modal Audio-Visual Generation* (Chen et al. 2017) asks a simple
# question: if you **hear** somebody play, can a network **paint** them? And the
# other way round? All it needs are pairs: a bit of sound and the picture that was
# seen while it sounded. This notebook makes them, as Sec. 4 of the paper does:
#
# 1. cut every video into half-second chunks,
# 2. keep the first frame of each chunk,
# 3. drop the chunks in which nothing sounds,
# 4. put 80 % of the *videos* into training and 20 % into testing.
#
# Each of these is one line, and each hides a trap.
#
# **Letters.** N pairs · T frames · C channels of sound · S samples a chunk
# (22,050) · H, W height and width (64).

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
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int, Int16, UInt8
from torch import Tensor

from avnb.data import clips

# %% tags=["parameters"]
SCALE = "laptop"
DATA = ""
SEED = 0
RUN_DIR = ""
OVERRIDES = {}


# %% tags=["active-ipynb"]
# import numpy as np
#
# from avnb import course, features
# from avnb.viz import show
# from data_scripts import bandstand
#
# lesson = course.start(
#     "deep_cross_modal",
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
#         #                 smoke  laptop gpu   paper
#         recital_seconds=(4.0, 20.0, 20.0, 20.0),  # the recording we take apart
#         neighbours=(40, 400, 400, 400),  # chunks used to show the leak
#     ),
# )
# settings

# %% [markdown]
# ## A recording
#
# The embedded data come from **the bandstand**: musicians drawn by a program who
# move *because* of what they play. The bow changes direction when the note does,
# the left hand climbs with the pitch. So we know the truth about every frame,
# which no recording of real people tells us. Here is one of them, before any
# cutting.

# %% tags=["active-ipynb"]
# recital = bandstand.perform("violin", 8, seconds=settings.recital_seconds, seed=SEED)
# sound = bandstand.synthesise(recital)
# times = np.arange(0, settings.recital_seconds, 0.1)
# film = bandstand.draw_frames(recital, times, size=128)
# lesson.figure(
#     "recording",
#     show.film_strip(film[::20], times[::20]),
#     "Two seconds apart: the bow and the left hand follow the music.",
# )
# lesson.audio("recording", sound, 44100, "The violinist above")

# %% [markdown]
# ## Chunks and their first frames
#
# A chunk is half a second long and chunks do not overlap: chunk $j$ covers
# $[0.5j,\ 0.5j + 0.5)$ seconds, and its picture is the frame that is on the screen
# when it begins. What is left over at the end is dropped.
#
# `sound (S_all,), frames (T, H, W, 3) → chunks (N, S), pictures (N, H, W, 3)`


# %%
def cut_chunks(
    sound: Float[Tensor, " s"],
    frames: UInt8[Tensor, "t h w 3"],
    *,
    sample_rate: int,
    fps: float,
    seconds: float = 0.5,
) -> tuple[Float[Tensor, "n c"], UInt8[Tensor, "n h w 3"]]:
    """Half-second chunks of a recording, each with its first frame (Sec. 4)."""
    samples = round(seconds * sample_rate)
    count = min(len(sound) // samples, int(len(frames) / fps / seconds + 1e-9))
    first = [int(j * seconds * fps + 1e-9) for j in range(count)]
    return sound[: count * samples].view(count, samples), frames[first]


# %% tags=["active-ipynb"]
# chunks, pictures = cut_chunks(
#     torch.from_numpy(sound), torch.from_numpy(film), sample_rate=44100, fps=10
# )
# print(f"chunks {tuple(chunks.shape)}, pictures {tuple(pictures.shape)}")
# lesson.figure(
#     "chunks", show.image_grid([pictures[:8]]), "The first frame of each chunk."
# )

# %% [markdown]
# ## The gate: -45 dBFS
#
# A player who rests makes no sound, and a picture beside silence teaches nothing.
# The paper keeps a chunk when its loudness exceeds $\Theta = -45$ dBFS:
#
# $$\Gamma = 20 \log_{10}\frac{|\psi|}{\max\psi} > \Theta .$$
#
# As printed that is one number *per sample*, and $\max\psi$ of the chunk itself
# would make every chunk, however quiet, reach 0 dB. We read $|\psi|$ as the
# root mean square of the chunk and $\max\psi$ as the peak of the whole recording.


# %%
def measure_loudness(
    chunks: Float[Tensor, "n s"], peak: Float[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """RMS of each chunk against the peak of its recording, in dB; silence is -inf."""
    rms = chunks.square().mean(dim=1).sqrt()
    level = 20 * torch.log10(rms / peak)
    return torch.where(rms > 0, level, -torch.inf)


def is_audible(
    chunks: Float[Tensor, "n s"], peak: Float[Tensor, " n"], threshold: float = -45.0
) -> Tensor:
    """True where something sounds: louder than the threshold, as in Sec. 4."""
    return measure_loudness(chunks, peak) > threshold


# %% tags=["active-ipynb"]
# loudness = measure_loudness(chunks, chunks.abs().max().expand(len(chunks)))
# fig, axes = show.subplots(width=8)
# ax = axes[0, 0]
# ax.bar(np.arange(len(loudness)) * 0.5, loudness.clamp(min=-80) + 80, 0.45, bottom=-80)
# ax.axhline(-45, color="crimson", label="Θ = -45 dBFS")
# ax.set(xlabel="start of the chunk [s]", ylabel="loudness [dBFS]", ylim=(-80, 0))
# ax.legend()
# lesson.figure("gate", fig, "Chunks below the line are dropped: the violinist rests.")

# %% [markdown]
# ## The whole set
#
# Cutting a film is the same work for every paper in this course, so it is done
# once, in the package: `avnb prepare` turns any of the data sets (the bandstand,
# Sub-URMP, URMP, your own folder) into **prepared clips**, a Parquet table with a
# row a chunk. What is *this* paper's own, the gate and the first frame, stays
# here: `load_pairs` is what every later notebook calls.

# %%
POSE = (
    "head_x",
    "head_y",
    "left_hand_x",
    "left_hand_y",
    "right_hand_x",
    "right_hand_y",
    "bow_frog_x",
    "bow_frog_y",
    "bow_tip_x",
    "bow_tip_y",
)


# %%
@dataclass(frozen=True)
class Pairs:
    """N pairs of a picture and half a second of sound, on one device."""

    pictures: UInt8[Tensor, "n h w 3"]
    sounds: Int16[Tensor, "n s"]
    labels: Int[Tensor, " n"]
    classes: tuple[str, ...]
    recordings: tuple[str, ...]
    sample_rate: int
    truth: dict[str, Tensor]  # (N,) each, at the picture's instant; may be empty

    def __len__(self) -> int:
        return len(self.labels)

    def waveform(self, index: Int[Tensor, " b"]) -> Float[Tensor, "b s"]:
        """The chosen chunks as float samples in [-1, 1)."""
        return self.sounds[index].float() / 32768

    def pose(self) -> Float[Tensor, "n p"] | None:
        """Where the POSE is, in picture widths; nan: has none. None: not known."""
        if not set(POSE) <= set(self.truth):
            return None
        return torch.stack([self.truth[name] for name in POSE], dim=1).float()


# %%
def load_pairs(folder: str | Path, split: str, device: str = "cpu") -> Pairs:
    """The audible pairs of one split ("train" or "test") of prepared clips."""
    table = clips.load_clips(folder, split, device)
    mono = table.waveform.float().mean(dim=1) / 32768
    keep = is_audible(mono, table.peak)
    index = torch.nonzero(keep)[:, 0]
    return Pairs(
        pictures=table.frames[index, 0],
        sounds=table.waveform[index].float().mean(dim=1).round().to(torch.int16),
        labels=table.labels[index],
        classes=tuple(table.classes),
        recordings=tuple(table.recordings[i] for i in index.tolist()),
        sample_rate=table.sample_rate,
        truth={name: values[index, 0] for name, values in table.truth.items()},
    )


# %% tags=["active-ipynb"]
# train, test = (load_pairs(lesson.data, split) for split in ("train", "test"))
# whole = {split: clips.load_clips(lesson.data, split) for split in ("train", "test")}
# rows = [
#     {
#         "split": split,
#         "recordings": len(set(whole[split].recordings)),
#         "chunks": len(whole[split].labels),
#         "audible pairs": len(pairs),
#     }
#     for split, pairs in (("train", train), ("test", test))
# ]
# lesson.record("pairs", rows)
# show.table(rows)

# %% [markdown]
# The paper's Table 2, for this data:


# %%
def count_pairs(pairs: Pairs) -> dict[str, int]:
    """How many pairs each class has (Table 2)."""
    counts = Counter(pairs.labels.tolist())
    return {name: counts[i] for i, name in enumerate(pairs.classes)}


# %% tags=["active-ipynb"]
# of_train, of_test = count_pairs(train), count_pairs(test)
# rows = [
#     {"instrument": name, "train": of_train[name], "test": of_test[name]}
#     for name in train.classes
# ]
# lesson.record("table2", rows)
# show.table(rows)

# %% [markdown]
# Look at them. Every column is an instrument, every row another recording.

# %% tags=["active-ipynb", "figure6"]
# generator = np.random.default_rng(lesson.seed)
# present = sorted(set(train.labels.tolist()))
# grid = [
#     [
#         train.pictures[generator.choice(np.flatnonzero(train.labels.numpy() == k))]
#         for k in present
#     ]
#     for _ in range(4)
# ]
# columns = [train.classes[k] for k in present]
# figure = show.image_grid(grid, columns=columns)
# lesson.figure("pairs", figure, "Training pictures, four a class.")

# %% [markdown]
# And listen:

# %% tags=["active-ipynb"]
# for k in present[:4]:
#     i = int(torch.nonzero(train.labels == k)[0, 0])
#     lesson.audio(
#         f"pair_{train.classes[k]}",
#         train.waveform(torch.tensor([i]))[0].numpy(),
#         train.sample_rate,
#         train.classes[k],
#     )

# %% [markdown]
# Some classes have more pairs than others. Training draws its batches so that each
# class is as likely as any other, by giving each pair this weight:


# %%
def compute_sample_weights(labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """A weight for each item, one over the size of its class."""
    return 1 / torch.bincount(labels)[labels].float()


# %% [markdown]
# ## Split by video, and check it
#
# Two chunks of one video show the same person in the same room. If one is in
# training and the other in testing, a network can score well by remembering
# faces. So whole recordings go to one side. Nothing may be on both:

# %% tags=["active-ipynb", "split"]
# both = set(train.recordings) & set(test.recordings)
# assert not both, f"recordings in both splits: {sorted(both)[:5]}"
# print(
#     f"{len(set(train.recordings))} recordings train, {len(set(test.recordings))} test"
# )

# %% [markdown]
# ## Why the released set leaks
#
# The released Sub-URMP is not the set the paper counts. Its chunks start every
# **100 ms** (ten pairs a second, 80,805 in all against the 17,555 of the paper), so
# neighbours share four fifths of their sound. Whoever splits *those* at random puts
# near copies on both sides. Measure it: how far is each test sound from its nearest
# training sound, and each test picture from its nearest training picture, when the
# split is random, and when it is by recording?


# %%
def find_nearest_distances(
    test: Float[Tensor, "m d"], train: Float[Tensor, "n d"]
) -> Float[Tensor, " m"]:
    """Euclidean distance of each test item to its nearest training item."""
    return torch.cdist(test, train).min(dim=1).values


# %% tags=["active-ipynb", "leak"]
# starts = np.arange(0, len(sound) - 22050, 4410)
# heard = torch.stack([torch.from_numpy(sound[s : s + 22050]) for s in starts])
# seen = torch.from_numpy(bandstand.draw_frames(recital, starts / 44100, size=64)).float()
# label = train.classes.index("violin") if "violin" in train.classes else 0
# others = torch.nonzero(train.labels == label)[: settings.neighbours, 0]
# lms = features.LogMel(44100)
# sounds = lms(heard).mean(dim=2), lms(train.waveform(others)).mean(dim=2)
# pictures = seen.flatten(1), train.pictures[others].float().flatten(1)
# generator = torch.Generator().manual_seed(lesson.seed)
# random = torch.randperm(len(seen), generator=generator)
# fifth = len(random) // 5
# fig, axes = show.subplots(1, 2, width=4.5, height=2.6)
# kinds = {"average spectrum [dB]": sounds, "picture [grey levels]": pictures}
# for ax, (kind, (here, elsewhere)) in zip(axes[0], kinds.items(), strict=True):
#     test, rest = here[random[:fifth]], here[random[fifth:]]
#     far = {"random split": find_nearest_distances(test, rest)}
#     far["by recording"] = find_nearest_distances(test, elsewhere)
#     far = {name: d / here.shape[1] ** 0.5 for name, d in far.items()}
#     bins = np.linspace(0, float(max(d.max() for d in far.values())), 40)
#     for name, d in far.items():
#         ax.hist(d, bins, alpha=0.7, label=f"{name}: median {d.median():.1f}")
#     ax.set(xlabel=f"to the nearest training {kind}", ylabel="test chunks")
#     ax.legend()
# lesson.figure("leak", fig, "A random split has near copies on both sides.")

# %% [markdown]
# ## Exercises
#
# 1. A recording with one loud accident (a cough, a dropped bow) has a large peak.
#    What does the gate do to the rest of it? Write a gate that does not care.
# 2. Write a function that lists the recordings two splits share.

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
#
# def robust_gate(chunks, threshold=-45.0):
#     """True where a chunk is louder than `threshold` dB below the *typical* loud one.
#
#     chunks (N, S) of one recording.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.ROBUST_GATE, robust_gate)

# %% tags=["active-ipynb"]
# def shared_recordings(first, second):
#     """The recordings that both lists hold, sorted."""
#     ...  # your code
#
#
# course.try_exercise(exercises.SHARED_RECORDINGS, shared_recordings)

# %% tags=["active-ipynb"]
# lesson.finish()
