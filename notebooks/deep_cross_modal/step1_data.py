# %% [markdown]
# # Step 1 · Data: half a second of sound and one picture
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/deep_cross_modal/step1_data.ipynb)
#
# *Deep Cross-Modal Audio-Visual Generation* (Chen et al. 2017) asks two questions. Can
# a network that **hears** a musician **generate a picture** of one? And can it generate
# the sound from the picture? Both need pairs: half a second of sound and a picture from
# the same moment. This notebook makes the pairs as Sec. 4 of the paper does:
#
# 1. cut every video into chunks of half a second,
# 2. keep the first frame of each chunk,
# 3. drop the chunks that are silent,
# 4. put 80 % of the *videos* into the training set and 20 % into the test set.
#
# Each of these steps is short, and each can be done wrongly.
#
# **You will learn** how to make audio-visual pairs, how to detect silence in decibels,
# why a data set must be split by player, and how to ask whether a data set gives its
# answers away.
#
# **Time.** About 20 minutes to read. The cells run in about a minute on two cores; the
# first run also makes the embedded data set.
#
# **Before you start.** You need Python and PyTorch tensors. You need no other notebook.
#
# **Letters.** N pairs · T frames · C channels of sound · S samples in a chunk
# (22,050) · H, W height and width (64).

# %% tags=["parameters"]
SCALE = "laptop"  # how large everything is: one of the scales below
DATA = ""  # "" is the embedded data; or a folder of clips, see `avnb prepare --help`
SEED = 0  # of every random number: a whole number; each seed has a run of its own
RUN_DIR = ""  # "" is the usual folder of this run, below runs/deep_cross_modal/
OVERRIDES = {}  # {"field": value} of the table of settings below: your own values
# scale      for                                       the whole series took
# smoke      tests: every line runs, nothing learned   not measured yet
# laptop     two cores, no GPU: the networks do learn  17.9 min at 92 GFLOP/s
# reference  two cores for hours: what claims rest on  at least 8.0 hours
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
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int, Int16, UInt8
from torch import Tensor

from avnb.data import clips


# %% tags=["active-ipynb"]
# import numpy as np
# from avnb_notebooks.deep_cross_modal.series import TABLE2
#
# from avnb import course, features, metrics
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
#         #                 smoke  laptop reference gpu   paper
#         recital_seconds=(4.0, 20.0, 20.0, 20.0, 20.0),  # length of the example
#         neighbours=(40, 400, 400, 400, 400),  # training chunks that show the leak
#     ),
# )
# settings

# %% [markdown]
# ## A recording
#
# The embedded data come from **the bandstand**, a program that draws musicians and
# synthesises their sound. They move *because* of what they play: the bow changes its
# direction with each stroke that is heard, and the left hand moves with the pitch. The
# program knows the true pose in every frame, which no recording of real people tells
# us. Here is one recording before any cutting.

# %% tags=["active-ipynb"]
# recital = bandstand.perform("violin", 8, seconds=settings.recital_seconds, seed=SEED)
# sound = bandstand.synthesise(recital)
# times = np.arange(0, settings.recital_seconds, 0.1)
# film = bandstand.draw_frames(recital, times, size=128)
# lesson.figure(
#     "recording",
#     show.film_strip(film[::20], times[::20]),
#     "Frames two seconds apart: the bow and the left hand follow the music.",
# )
# lesson.audio("recording", sound, 44100, "The violinist above")

# %% [markdown]
# ## Chunks and their first frames
#
# A chunk is half a second long, and chunks do not overlap. Chunk $j$ covers
# $[0.5j,\ 0.5j + 0.5)$ seconds. Its picture is the frame that is on the screen when the
# chunk begins. What remains at the end, less than half a second, is dropped.
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
    """Cut a recording into chunks, each with its first frame.

    Chunks are `seconds` long and do not overlap (Sec. 4).

    Returns:
        The chunks (N, samples) and their pictures (N, H, W, 3).
    """
    samples = round(seconds * sample_rate)
    # int() rounds down, and rounding errors can leave 2.9999999 in the place of 3.
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
# ## Drop the silent chunks: -45 dBFS
#
# A resting player makes no sound, and a picture beside silence teaches the network
# nothing. The paper keeps a chunk when its loudness exceeds $\Theta = -45$ dBFS:
#
# $$\Gamma = 20 \log_{10}\frac{|\psi|}{\max\psi} > \Theta .$$
#
# Read literally, the formula gives one number *for each sample*. And if $\max\psi$ were
# the maximum of the chunk, every chunk would reach 0 dB, however quiet it is. We
# therefore take $|\psi|$ as the root mean square of the chunk and $\max\psi$ as the
# peak of the whole recording.


# %%
def measure_loudness(
    chunks: Float[Tensor, "n s"], peak: Float[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Measure the loudness of each chunk against the peak of its recording, in dB.

    Args:
        chunks: samples of each chunk.
        peak: for each chunk, the largest absolute sample of its recording.

    Returns:
        20 log10(RMS / peak) of each chunk; -inf for digital silence.

    Source: Chen et al. 2017, Sec. 4, Γ. Our reading is explained above.
    """
    rms = chunks.square().mean(dim=1).sqrt()
    level = 20 * torch.log10(rms / peak)
    # A silent recording has peak 0, and 0 / 0 is nan. It counts as silence too.
    return torch.where(rms > 0, level, -torch.inf)


def is_audible(
    chunks: Float[Tensor, "n s"], peak: Float[Tensor, " n"], threshold: float = -45.0
) -> Tensor:
    """Tell for each chunk whether it is louder than the threshold in dB (Sec. 4)."""
    return measure_loudness(chunks, peak) > threshold


# %% tags=["active-ipynb"]
# loudness = measure_loudness(chunks, chunks.abs().max().expand(len(chunks)))
# fig, axes = show.subplots(width=8)
# ax = axes[0, 0]
# ax.bar(np.arange(len(loudness)) * 0.5, loudness.clamp(min=-80) + 80, 0.45, bottom=-80)
# ax.axhline(-45, color="crimson", label="Θ = -45 dBFS")
# ax.set(xlabel="start of the chunk [s]", ylabel="loudness [dBFS]", ylim=(-80, 0))
# ax.legend()
# lesson.figure(
#     "gate", fig, "Chunks below the line are dropped, because the violinist rests."
# )

# %% [markdown]
# ## The whole data set
#
# All papers of this course need videos cut into clips, so the package does it once.
# `avnb prepare` turns a data set (the bandstand, Sub-URMP, URMP, or your own folder)
# into **prepared clips**, a Parquet table with one row for each chunk. The gate and the
# choice of the first frame belong to *this* paper, so they stay in this notebook. Every
# later notebook calls `load_pairs`.
#
# The bandstand knows the pose of each player: the positions below, in picture widths. A
# value is nan where the instrument does not have it (a flute has no bow). Real
# recordings have no such truth; then `get_poses` returns None.
#
# Each recording has a camera of its own: another distance, height and place, and half
# of them mirror the picture, as the front camera of a telephone does. Nobody can hear
# where the camera stands. So where a *sound* is compared with a pose, the camera must
# not count: `remove_camera` measures from the head, and turns all players to one side.

# %%
POSE_FIELDS = (
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


def stack_poses(truth: dict[str, Tensor]) -> Float[Tensor, "n p"] | None:
    """Stack the POSE_FIELDS of all pairs; None where one of them is not known."""
    if not set(POSE_FIELDS) <= set(truth):
        return None
    return torch.stack([truth[name] for name in POSE_FIELDS], dim=1).float()


# %%
@dataclass(frozen=True)
class Pairs:
    """N pairs of a picture and half a second of sound, on one device."""

    pictures: UInt8[Tensor, "n h w 3"]
    sounds: Int16[Tensor, "n s"]
    labels: Int[Tensor, " n"]
    classes: tuple[str, ...]
    recordings: tuple[str, ...]
    units: tuple[str, ...]  # what is independent: the player, if known
    starts: Float[Tensor, " n"]  # of each pair in its recording, s
    peaks: Float[Tensor, " n"]  # the largest sample of its recording, 0 to 1
    sample_rate: int
    truth: dict[str, Tensor]  # (N,) each, at the picture's time; empty if unknown

    def __len__(self) -> int:
        return len(self.labels)

    def get_waveforms(self, index: Int[Tensor, " b"]) -> Float[Tensor, "b s"]:
        """Return the chunks at `index` as float samples in [-1, 1)."""
        return self.sounds[index].float() / 32768

    def get_poses(self) -> Float[Tensor, "n p"] | None:
        """Return the true POSE_FIELDS; nan where a player has no such thing."""
        return stack_poses(self.truth)


# %%
def remove_camera(poses: Float[Tensor, "n 10"]) -> Float[Tensor, "n 8"]:
    """Measure hands and bow from the head, turned so that the hands are on the right.

    Args:
        poses: POSE_FIELDS, true or estimated, in picture widths.

    Returns:
        The fields after the head's, in picture widths.
    """
    points = poses.unflatten(1, (-1, 2))  # (n, 5, 2): x and y of each
    points = points[:, 1:] - points[:, :1]
    side = torch.where(points[:, :2, 0].sum(dim=1) < 0, -1.0, 1.0)  # of both hands
    turn = torch.stack([side, torch.ones_like(side)], dim=1)
    return (points * turn[:, None]).flatten(1)


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# here = torch.rand(3, len(POSE_FIELDS))
# mirror = torch.tensor([-1.0, 1.0]).repeat(5)
# elsewhere = 0.1 + here * mirror  # another camera, which also mirrors
# assert torch.allclose(remove_camera(here), remove_camera(elsewhere), atol=1e-6)


# %%
def load_pairs(folder: str | Path, split: str, device: str = "cpu") -> Pairs:
    """Load the audible pairs of one split; their sound is the mean of all channels.

    Args:
        folder: a folder of prepared clips.
        split: "train" or "test".
        device: where the pairs are kept.
    """
    table = clips.load_clips(folder, split, device)
    mono = table.waveform.float().mean(dim=1) / 32768
    keep = is_audible(mono, table.peak)
    index = torch.nonzero(keep)[:, 0]
    return Pairs(
        pictures=table.frames[index, 0],  # the first frame of each chunk
        sounds=table.waveform[index].float().mean(dim=1).round().to(torch.int16),
        labels=table.labels[index],
        classes=tuple(table.classes),
        recordings=tuple(table.recordings[i] for i in index.tolist()),
        units=tuple(table.units[i] for i in index.tolist()),
        starts=table.start[index],
        peaks=table.peak[index],
        sample_rate=table.sample_rate,
        truth={name: values[index, 0] for name, values in table.truth.items()},
    )


# %% tags=["active-ipynb"]
# train, test = (load_pairs(lesson.data, split) for split in ("train", "test"))
# whole = {split: clips.load_clips(lesson.data, split) for split in ("train", "test")}
# rows = [
#     {
#         "split": split,
#         "players": len(set(whole[split].units)),
#         "recordings": len(set(whole[split].recordings)),
#         "chunks": len(whole[split].labels),
#         "audible pairs": len(pairs),
#     }
#     for split, pairs in (("train", train), ("test", test))
# ]
# lesson.record("pairs", rows)
# show.table(rows)

# %% [markdown]
# Table 2 of the paper counts the pairs of each instrument. Here it is for this data:


# %%
def count_pairs(pairs: Pairs) -> dict[str, int]:
    """Count the pairs of each class, as in Table 2."""
    counts = Counter(pairs.labels.tolist())
    return {name: counts[i] for i, name in enumerate(pairs.classes)}


# %% tags=["active-ipynb"]
# of_train, of_test = count_pairs(train), count_pairs(test)
# rows = [
#     {"instrument": name, "train": of_train[name], "test": of_test[name]}
#     | dict(zip(("paper, train", "paper, test"), TABLE2.get(name, ()), strict=False))
#     for name in train.classes
# ]
# lesson.table("table2", rows, "Table 2: pairs of each instrument")

# %% [markdown]
# Look at them. Each column shows four training pictures of one instrument.

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
# Listen to the sound of one pair of each of the first four instruments:

# %% tags=["active-ipynb"]
# for k in present[:4]:
#     i = int(torch.nonzero(train.labels == k)[0, 0])
#     lesson.audio(
#         f"pair_{train.classes[k]}",
#         train.get_waveforms(torch.tensor([i]))[0].numpy(),
#         train.sample_rate,
#         show.spell_name(train.classes[k]),
#     )

# %% [markdown]
# Some classes have more pairs than others. Training draws its batches with weights, so
# that every class is equally likely. The weight of a pair is one over the number of
# pairs of its class:


# %%
def compute_sample_weights(labels: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Compute a weight for each item: one over the size of its class."""
    return 1 / torch.bincount(labels)[labels].float()


# %% [markdown]
# ## Split by player, and check it
#
# Two chunks of one video show the same person in the same room. If one is in the
# training set and the other in the test set, a network can score well by remembering
# faces. So each recording belongs to one set as a whole, and so does each player: on
# the bandstand one person in five is never seen or heard in training. All intervals of
# this series come from drawing *players* again, because what is true of 13 recordings
# of three people need not be true of a fourth. Prepared clips name what is independent
# as the `unit` of a row. Where nobody knows the players, it is the recording.

# %% tags=["active-ipynb", "split"]
# for kind, one, other in (
#     ("recordings", train.recordings, test.recordings),
#     ("players", train.units, test.units),
# ):
#     both = set(one) & set(other)
#     assert not both, f"{kind} in both splits: {sorted(both)[:5]}"
#     print(f"{len(set(one))} {kind} train, {len(set(other))} test")

# %% [markdown]
# ## Does something else give the answer away?
#
# If all cellists sat at the left of their picture, a network could name the cello
# without ever looking at one. Then its accuracy would say nothing of what it sees. We
# ask each thing that could tell the instrument: for each pair, which instrument has the
# *nearest* pair of another player? If the thing tells nothing, this is right in one of
# 13 cases.


# %%
def list_shortcuts(pairs: Pairs) -> dict[str, Float[Tensor, "n d"]]:
    """List what could tell a pair's class, without listening or looking closely."""
    sounds = pairs.sounds.float()
    rms = (sounds.square().mean(dim=1, keepdim=True).sqrt() / 32768).clamp(min=1e-5)
    found = {
        "loudness of the chunk": 20 * rms.log10(),
        "peak of the recording": pairs.peaks[:, None],
        "zeros in the chunk": (sounds == 0).float().mean(dim=1, keepdim=True),
        "time in the recording": pairs.starts[:, None],
        "mean colour of the picture": pairs.pictures.float().mean(dim=(1, 2)),
    }
    if {"head_x", "head_y"} <= set(pairs.truth):
        head = [pairs.truth[name] for name in ("head_x", "head_y")]
        found["place of the head"] = torch.stack(head, dim=1)
        camera = [*head, *(pairs.truth[name] for name in ("metre", "mirror"))]
        found["place of the head, distance, mirror"] = torch.stack(camera, dim=1)
    return found


# %% tags=["active-ipynb", "shortcuts"]
# labels = torch.cat([train.labels, test.labels])
# units = [*train.units, *test.units]
# of_train, of_test = list_shortcuts(train), list_shortcuts(test)
# read = {
#     name: metrics.read_by_nearest_neighbour(
#         torch.cat([of_train[name], of_test[name]]), labels, units, name=name
#     )
#     for name in of_train
# }

# %% [markdown]
# The bandstand can draw its pictures once more with something left out. The room alone
# must tell nothing. The player without the instrument may tell a little, because arms
# that hold a trombone are not arms that hold a horn; that is part of the playing. The
# whole picture should tell more, although the nearest picture, pixel by pixel, is a
# poor reader: the classifiers of step 5 look for shapes. For these rows one picture of
# each recording is enough, at a quarter of its size.

# %% tags=["active-ipynb", "shortcuts-drawn"]
# names = [*train.recordings, *test.recordings]
# first = sorted({name: i for i, name in reversed([*enumerate(names)])}.values())
# starts = torch.cat([train.starts, test.starts])[first].tolist()
# drawn = {
#     "the whole picture": "",
#     "the picture without the instrument": "instrument",
#     "the room alone": "player",
# }
# for name, without in drawn.items():
#     again = lesson.redraw([names[i] for i in first], starts, without=without)
#     if again is not None:  # data of your own cannot be drawn again
#         small = torch.from_numpy(again).permute(0, 3, 1, 2).float()
#         small = torch.nn.functional.avg_pool2d(small, 4).flatten(1)
#         players = [units[i] for i in first]
#         read[name] = metrics.read_by_nearest_neighbour(
#             small, labels[first], players, name=name
#         )

# %% tags=["active-ipynb", "shortcuts-table"]
# chance = metrics.chance(len(train.classes))
# rows = [
#     {"what is read": name, "nearest is of the same class": measure, "chance": chance}
#     for name, measure in sorted(read.items(), key=lambda item: item[1].value)
# ]
# lesson.table("shortcuts", rows, "What tells the instrument without being played")

# %% [markdown]
# Later, a network judges the pictures that ours generate. What does it say of pictures
# in which there is none? Here are three kinds of such pictures. A judge that names an
# instrument in them has read something else: of a player with empty hands, the arms.

# %% tags=["active-ipynb", "spoilt"]
# chosen = [int(torch.nonzero(test.labels == k)[0, 0]) for k in present[:8]]
# shown = test.pictures[chosen]
# rows = {"as it is": shown}
# bare = lesson.redraw(
#     [test.recordings[i] for i in chosen],
#     test.starts[chosen].tolist(),
#     without="instrument",
# )
# if bare is not None:
#     rows["without the instrument"] = torch.from_numpy(bare)
# rows["blurred"] = metrics.blur_pictures(shown)
# rows["noise"] = metrics.make_noise(shown, seed=lesson.seed)
# figure = show.image_grid([*rows.values()], rows=[*rows])
# lesson.figure("spoilt", figure, "Held-out pictures, and with the instrument gone.")

# %% [markdown]
# ## Why the released data set leaks
#
# The released Sub-URMP is not the set that the paper counts. Its chunks start every
# **100 ms**, ten pairs a second, and there are 80,805 pairs instead of the paper's
# 17,555. Neighbouring chunks share four fifths of their sound. A random split of these
# chunks puts near copies into both sets. We can measure that. How far is each test
# sound from its nearest training sound, and each test picture from its nearest training
# picture, with a random split and with a split by recording?


# %%
def find_nearest_distances(
    test: Float[Tensor, "m d"], train: Float[Tensor, "n d"]
) -> Float[Tensor, " m"]:
    """Find the Euclidean distance of each test item to its nearest training item."""
    return torch.cdist(test, train).min(dim=1).values


# %% tags=["active-ipynb", "leak"]
# starts = np.arange(0, len(sound) - 22050, 4410)
# heard = torch.stack([torch.from_numpy(sound[s : s + 22050]) for s in starts])
# frames = bandstand.draw_frames(recital, starts / 44100, size=64)
# seen = torch.from_numpy(frames).float()
# label = train.classes.index("violin") if "violin" in train.classes else 0
# others = torch.nonzero(train.labels == label)[: settings.neighbours, 0]
# lms = features.LogMel(44100)
# sounds = lms(heard).mean(dim=2), lms(train.get_waveforms(others)).mean(dim=2)
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
#     ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1))
# lesson.figure("leak", fig, "A random split has near copies in both sets.")

# %% [markdown]
# The distances of the random split are smaller: its test items have near copies in the
# training set. A score on such a test set says little about new recordings.
#
# ## What came out
#
# You now have pairs of a picture and half a second of sound, without silence, split by
# player. `load_pairs` loads them, `compute_sample_weights` balances the classes. Step 2
# turns the sound into a picture that a convolutional network can read. The next cell
# says what else could name the instrument here. At `smoke` there are too few players to
# tell.

# %% tags=["active-ipynb", "came-out"]
# print(f"Chance is {chance.value:.1%}. What names the instrument more often than")
# print("that, by its whole interval:")
# above = {name: found for name, found in read.items() if found.low > chance.value}
# for name, found in above.items():
#     print(f"- {name}: {found.value:.1%}")
# if not above:
#     print("- nothing of what was asked.")

# %% [markdown]
# ## Exercises
#
# 1. A recording with one loud accident (a cough, a dropped bow) has a large peak, so
#    the gate drops music from the rest of it. Write a gate that one accident does not
#    change.
# 2. Write a function that lists the recordings which two splits share.

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
#
# def find_loud_chunks(chunks, threshold=-45.0):
#     """True where a chunk is louder than `threshold` dB below a *typical* loud one.
#
#     chunks (N, S) come from one recording.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.LOUD_CHUNKS, find_loud_chunks)

# %% tags=["active-ipynb"]
# def find_shared_recordings(first, second):
#     """The recordings that occur in both lists, sorted."""
#     ...  # your code
#
#
# course.try_exercise(exercises.SHARED_RECORDINGS, find_shared_recordings)

# %% tags=["active-ipynb"]
# lesson.finish()
