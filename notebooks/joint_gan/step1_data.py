# %% [markdown]
# # Step 1 · Data: one second of sound and picture, on one clock
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/joint_gan/step1_data.ipynb)
#
# *Collaborative Learning to Generate Audio-Video Jointly* (Kurmi et al. 2021) wants two
# generators to learn together: one makes sound, one makes video, and critics judge
# whether the two **belong together**. The paper trains on clips of one second from two
# data sets that its authors put together, and that were never released. This notebook
# rebuilds both.
#
# **You will learn**
#
# 1. what one second of the two sets holds, and how it is put together from files,
# 2. how sound and picture keep **one clock**: an onset at t is seen in frame floor(t ·
#    fps),
# 3. what the paper's Tables 1 and 2 count, and how unevenly,
# 4. how a split by clip **leaks**, and what a video that is the only one of its class
#    needs,
# 5. what a **shortcut** could read of the data, and what the sound really says of the
#    hands (an **oracle**).
#
# **Time.** About 30 minutes to read. The cells run in some minutes on two cores, most
# of them for drawing the embedded videos.
#
# **Before you start.** You need Python with NumPy and PyTorch tensors. You need no
# earlier notebook.
#
# **Letters.** N clips · T frames of a clip · H, W pixels · S = 16,384 samples · fps
# frames a second.

# %% tags=["parameters"]
SCALE = "laptop"  # how large everything is: one of the scales below
DATA = ""  # "" is the embedded data; or a folder of clips, see `avnb prepare --help`
SEED = 0  # of every random number: a whole number; each seed has a run of its own
RUN_DIR = ""  # "" is the usual folder of this run, below runs/joint_gan/
OVERRIDES = {}  # {"field": value} of the table of settings below: your own values
# scale      for                                       the whole series took
# smoke      tests: every line runs, nothing learned   not measured yet
# laptop     two cores, no GPU: the networks do learn  not measured yet
# reference  two cores for hours: what claims rest on  not measured yet
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
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from avnb.data import clips as prepared
from avnb.errors import ClipsError
from avnb.viz.show import spell_name

# %% tags=["active-ipynb"]
# import numpy as np
#
# from avnb import course
# from avnb.data.shards import prepare
# from avnb.metrics.motion import correlate
# from avnb.metrics.oracles import fit_oracle, judge_oracle
# from avnb.metrics.shortcuts import read_by_nearest_neighbour
# from avnb.viz import show
# from data_scripts import bandstand, hmmd, sub_urmp_video
# from data_scripts.bandstand.hand_takes import record_hands
#
# lesson = course.start(
#     "joint_gan",
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
#         #     smoke laptop reference gpu paper
#         size=(64, 192, 192, 192, 192),  # pixels a side of the pictures shown here
#         heard=(24, 400, 400, 400, 400),  # clips that each oracle is fitted on
#     ),
# )
# settings

# %% [markdown]
# ## Two sets, both missing
#
# **Sub-URMP-Video** shows 13 instruments of the orchestra, one player at a time. It is
# made from Sub-URMP (Chen et al. 2017), ten frames a second. **HMMD**, the Hand Motion
# Music Dataset, was collected from YouTube "focusing particularly on percussion
# instruments like Tabla, etc. which have significant hand movements across frames": 7
# instruments, 25 frames a second. Nobody outside has ever seen either of them, and the
# videos of HMMD are not even named.
#
# The embedded data is a drawn world of HMMD's instruments. Its sound is synthesised,
# and the **hands move because of the sound**: each stroke has its moment, its hand, its
# place and its loudness, and both sound and picture are made from that list.

# %% tags=["active-ipynb", "world"]
# rows = []
# for number, name in enumerate(hmmd.TABLE_2):
#     seed = 100 * SEED + number
#     take = record_hands(name, 40 + number, seconds=3.0, seed=seed, fps=10)
#     rows.append([take.draw(1 + k / 10, settings.size) for k in range(6)])
# columns = [f"{1 + k / 10:.1f} s" for k in range(6)]
# figure = show.image_grid(rows, rows=[*hmmd.TABLE_2], columns=columns, size=1.25)
# lesson.figure("world", figure, "HMMD's seven instruments, six frames of each.")

# %% [markdown]
# A tabla is two drums: the right hand plays the small one, which rings, the left hand
# the large one, whose low tone it bends upwards with its heel. A ghatam is a clay pot:
# its open mouth gives a deep tone, its rim a high one. A xylophone's pitch is the place
# of the stroke. The right hand of a guitarist crosses the strings when they sound. The
# bow of an erhu runs between its two strings, and its left hand glides.

# %% tags=["active-ipynb", "sounds"]
# for number, name in enumerate(hmmd.TABLE_2):
#     seed = 100 * SEED + number
#     take = record_hands(name, 40 + number, seconds=4.0, seed=seed, fps=10)
#     lesson.audio(f"sound_{name}", take.synthesise(16000), 16000, spell_name(name))

# %% [markdown]
# And these are the 13 of Sub-URMP-Video, which other series of this course use as well.

# %% tags=["active-ipynb", "orchestra"]
# played = [
#     bandstand.perform(name, 60 + k, seconds=2, seed=100 * SEED + k)
#     for k, name in enumerate(bandstand.INSTRUMENTS)
# ]
# pictures = [bandstand.draw(one, 1.0, settings.size) for one in played]
# figure = show.image_grid([pictures[:7], pictures[7:]], size=1.25)
# for place, name in zip(figure.axes, bandstand.INSTRUMENTS, strict=False):
#     place.set_title(spell_name(name), fontsize=8)
# lesson.figure("orchestra", figure, "The 13 instruments of Sub-URMP-Video.")

# %% [markdown]
# ## What one second holds
#
# WaveGAN, the paper's generator of sound, makes **16,384 samples**: it starts with 16
# and has five layers that each make 4 of 1. At 16 kHz these are 1.024 s, and the clips
# of the paper last 1 s. It does not say what becomes of the 24 ms. Silence at the end
# of every real clip would give the critic of sound an easy mark to tell real from made,
# so our clips go on: each has the **frames of one second** and **1.024 s of sound**,
# the last 24 ms of which are also the first of the next clip.
#
# Sub-URMP as released has a picture each 100 ms and with it half a second of sound, the
# *chunk* that begins there. A clip at t takes
#
# - the 10 pictures of t, t + 100, ..., t + 900 ms,
# - chunk t, chunk t + 500, and the last 100 ms of chunk t + 600, of which 24 are used.

# %% tags=["active-ipynb", "chunks"]
# figure, axes = show.subplots(1, 1, width=8.0, height=1.9)
# ax = axes[0, 0]
# for k in range(10):
#     ax.barh(3, 0.085, left=k / 10, color=show.COLOURS[0], height=0.6)
# for row, (start, used) in enumerate([(0.6, 1.0), (0.5, 0.5), (0.0, 0.0)]):
#     ax.barh(row, 0.5, left=start, color="0.85", height=0.6)
#     width = min(start + 0.5, 1.024) - used
#     ax.barh(row, width, left=used, color=show.COLOURS[2], height=0.6)
# ax.axvline(1.0, color="0.3", linestyle=":")
# labels = ["chunk t + 600 ms", "chunk t + 500 ms", "chunk t", "10 pictures"]
# ax.set(yticks=range(4), yticklabels=labels, xlabel="s from t", xlim=(-0.02, 1.14))
# caption = "One clip from the released Sub-URMP. Green: what is used of a chunk; "
# caption += "grey: what is not. The dotted line is the end of the pictures' second."
# lesson.figure("chunks", figure, caption)

# %% [markdown]
# Some numbers are missing in the released files. A clip across such a gap would jump in
# picture and sound, and so no clip is made there: the script counts the gap, and goes
# on behind it. Let us write a small set in the released layout, take one pair away, and
# put the clips together.

# %% tags=["active-ipynb", "gaps"]
# from data_scripts.bandstand.layouts import sub_urmp_video as layout
#
# folder = lesson.run_dir / "step1" / "sub_urmp"
# plan = layout.plan_songs(songs=2, clips=4, seed=SEED)
# plan = {name: song for name, song in plan.items() if name.startswith("cello")}
# layout.write_sub_urmp_video(folder, plan, workers=1)
# for lost in folder.glob("*/train/cello/cello00_1900.*"):
#     lost.unlink()
# found, problems = sub_urmp_video.find_sources(folder)
# report = prepare(
#     found,
#     folder.with_name("sub_urmp_clips"),
#     sub_urmp_video.SETTINGS,
#     problems=problems,
#     workers=1,
# )
# print(report)

# %% [markdown]
# Both recordings had four clips. The one that lost a pair has three left: the clip in
# which the pair lay is gone. The next clip begins where the numbers go on, and not a
# whole second later.
#
# ## The clips as the later steps get them
#
# A `Clips` holds a whole split in memory. Frames are kept as bytes (`uint8`), because
# floats would need four times the memory. `get_frames` turns those of a batch into
# numbers from −1 to 1, with the channels before the time, as a 3D convolution takes
# them.
#
# `frames (N, T, H, W, 3) → (B, 3, T, H, W)` · `waveforms (N, S) → (B, 1, S)`

# %%
SAMPLES = 16384  # S, of a clip's sound: 16 · 4⁵
SAMPLE_RATE = 16000  # Hz, so a clip's sound lasts 1.024 s
SILENCE = -50.0  # dB of full scale; a clip whose RMS is below it counts as silent
LEAST = 8  # clips of a split: step 7 compares two halves, and a distance needs 4 each


# %%
@dataclass(frozen=True)
class ClipTensors:
    """N clips of one second: T frames, and sound that goes on for 24 ms more."""

    frames: UInt8[Tensor, "N T H W 3"]  # frame t is seen from t / fps s on
    waveforms: Float[Tensor, "N samples"]  # in [-1, 1]
    labels: Int64[Tensor, " N"]  # index into `classes`; no network is trained with it
    classes: tuple[str, ...]  # names of the instruments, in words
    units: list[str]  # N names of what is independent: the player, or the source video
    fps: int  # T, frames a second
    silent: int = 0  # clips of the split that were left out because they are silent
    truth: dict[str, Float[Tensor, "N T"]] = field(default_factory=dict)  # where known


# %%
class Clips(ClipTensors):
    """Clips as the networks take them."""

    def __len__(self) -> int:
        return len(self.labels)

    def get_frames(self, index: Tensor) -> Float[Tensor, "B 3 T H W"]:
        """Frames in [-1, 1], as the picture's networks take and make them."""
        return self.frames[index].permute(0, 4, 1, 2, 3).float() / 127.5 - 1

    def get_waveforms(self, index: Tensor) -> Float[Tensor, "B 1 samples"]:
        """Waveforms in [-1, 1], as the sound's networks take them."""
        return self.waveforms[index][:, None]

    def get_onsets(self, hand: str = "") -> Bool[Tensor, "N T"]:
        """Whether something starts in a frame; of one hand, "left" or "right"."""
        name = f"onset_{hand}" if hand else "onset"
        if name not in self.truth:
            told = "nobody knows it of these clips"
            raise ClipsError(name, told, "Use the embedded data")
        return self.truth[name] == 1


# %%
def find_examples(clips: Clips) -> dict[str, int]:
    """The first clip of each class that has one here, to be shown."""
    labels = clips.labels.tolist()
    return {clips.classes[k]: labels.index(k) for k in sorted(set(labels))}


# %% [markdown]
# Real recordings have rests. A clip that is silent teaches the critics of pairs that
# any picture goes with silence, so `load_clips` leaves out clips below −50 dB and says
# how many these are. It refuses what the series cannot use, and says what would be
# right.


# %%
def check_prepared(loaded: prepared.ClipBatch, place: str) -> None:
    """Refuse prepared clips that the networks of this series cannot use.

    Raises:
        ClipsError: another length or rate of the sound, or one class only.
    """
    rate, length = loaded.sample_rate, loaded.waveform.shape[2]
    if (rate, length) != (SAMPLE_RATE, SAMPLES):
        raise ClipsError(
            place,
            f"its clips have {length} samples at {rate} Hz, not {SAMPLES} at "
            f"{SAMPLE_RATE}",
            "Prepare them with avnb prepare hmmd or sub_urmp_video",
        )
    if len(loaded.classes) < 2:
        raise ClipsError(
            place,
            f"it holds one class only ({loaded.classes[0]}): nobody could tell which "
            "sound belongs to which picture",
            "Prepare a folder with two sub-folders or more, one a class",
        )


# %%
def load_clips(
    folder: Path | str, split: str, device: torch.device | str | None = None
) -> Clips:
    """Load a split of prepared clips whole, without its silent clips.

    Raises:
        ClipsError: as `check_prepared`, or where all clips are silent.
    """
    place = f"{folder}/{split}"
    loaded = prepared.load_clips(folder, split, device or "cpu")
    check_prepared(loaded, place)
    waveforms = loaded.waveform[:, 0].float() / 32767
    # The 24 ms of the next second say nothing of this one's picture.
    own = waveforms[:, :SAMPLE_RATE].square().mean(1).sqrt()
    heard = 20 * own.clamp(min=1e-6).log10() > SILENCE
    if not heard.any():
        raise ClipsError(place, "all of its clips are silent", "Check their sound")
    kept = loaded.select(heard)
    count = int(loaded.fps)  # at 25 Hz, 1.024 s reach into a 26th frame
    truth = {name: values[:, :count] for name, values in kept.truth.items()}
    return Clips(
        kept.frames[:, :count], waveforms[heard], kept.labels,
        tuple(spell_name(name) for name in kept.classes), kept.units, count,
        len(loaded) - len(kept), truth,
    )  # fmt: skip


# %%
def require_clips(clips: Clips, count: int, what: str) -> None:
    """Refuse a split that is too small, before anything is computed with it.

    Args:
        clips: the split.
        count: how many clips it must hold.
        what: what needs so many clips; it begins the error.

    Raises:
        ClipsError: it holds fewer.
    """
    if len(clips) < count:
        raise ClipsError(
            what,
            f"it needs {count} clips, and there are {len(clips)} that are not silent",
            "Give more or longer recordings, or a smaller batch",
        )


# %%
def require_splits(train: Clips, test: Clips) -> None:
    """Refuse data of which step 7 could not measure a distance.

    Raises:
        ClipsError: a split holds fewer than `LEAST` clips.
    """
    for name, clips in (("the training part", train), ("the held-out part", test)):
        require_clips(clips, LEAST, name)


# %% tags=["active-ipynb", "counts"]
# data = {split: load_clips(lesson.data, split) for split in ("train", "test")}
# train, test = data["train"], data["test"]
# require_splits(train, test)
# batch = torch.arange(2)
# size = tuple(train.frames.shape[2:4])
# assert train.get_frames(batch).shape == (2, 3, train.fps, *size)
# assert train.get_waveforms(batch).shape == (2, 1, SAMPLES)
# rows = [
#     {"class": name}
#     | {f"{split} clips": int((c.labels == k).sum()) for split, c in data.items()}
#     for k, name in enumerate(train.classes)
# ]
# counted = {f"{split} clips": len(c) for split, c in data.items()}
# rows.append({"class": "all"} | counted)
# lesson.table("counts", rows, "Clips of each class")
# print(f"{train.fps} frames of {size[0]}×{size[1]} a clip; left out as silent:")
# print(f"{train.silent} training clips and {test.silent} held-out ones")

# %% [markdown]
# ## What the paper counts
#
# Table 1 counts Sub-URMP-Video, Table 2 HMMD. (Table 2 calls its row "Frame". The
# numbers sum to 6,229, which the text gives as the number of clips.) Beside them stand
# the numbers that our scripts plan for the drawn stand-ins at scale `paper`: the same,
# class by class.

# %% tags=["active-ipynb", "tables"]
# from collections import Counter
#
# from data_scripts.bandstand.layouts import hmmd as hands_layout
#
# orchestra, ours = Counter(), Counter()
# for song in layout.plan_table_1(SEED).values():
#     orchestra[song.part.instrument, song.part.held_out] += song.clips
# for one in hands_layout.plan_table_2(SEED).values():
#     ours[one.instrument, "videos"] += 1
#     ours[one.instrument, "clips"] += one.clips
# table1 = [
#     {"class": spell_name(name), "train": a, "ours, train": orchestra[name, False]}
#     | {"test": b, "ours, test": orchestra[name, True]}
#     for name, (a, b) in sub_urmp_video.TABLE_1.items()
# ]
# table2 = [
#     {"class": spell_name(name), "videos": n, "ours, videos": ours[name, "videos"]}
#     | {"clips": clips, "ours, clips": ours[name, "clips"]}
#     for name, (n, clips) in hmmd.TABLE_2.items()
# ]
# lesson.table("table1", table1, "Sub-URMP-Video: Table 1 and our plan of it")
# lesson.table("table2", table2, "HMMD: Table 2 and our plan of it")

# %% [markdown]
# Neither set is balanced, and the test part is not proportional to the training part: a
# trumpet has 100 clips to train on and 49 to be tested on, a trombone 787 and 77. On
# such data a generator that makes only the common classes is hardly noticed. The
# paper's pitch entropy even calls it better (step 7), and the critics of pairs push it
# there (step 4). So the smaller scales of this series have equally many clips of each
# class: there one sees which classes are missing among the samples.

# %% tags=["active-ipynb", "imbalance"]
# figure, axes = show.subplots(1, 2, width=4.4, height=3.2)
# kinds = {
#     "Table 1, train": {k: a for k, (a, _) in sub_urmp_video.TABLE_1.items()},
#     "Table 2": {k: clips for k, (_, clips) in hmmd.TABLE_2.items()},
# }
# for ax, (title, counted) in zip(axes[0], kinds.items(), strict=True):
#     names = sorted(counted, key=counted.get)
#     ax.barh([spell_name(k) for k in names], [counted[name] for name in names])
#     most, least = max(counted.values()), min(counted.values())
#     ax.set(title=f"{title}: {most / least:.1f} to 1", xlabel="clips")
# caption = "Clips of each class; above, the most common to the least common class."
# lesson.figure("imbalance", figure, caption)

# %% [markdown]
# ## One clock
#
# Sample n of the sound is heard n / 16,000 s after the clip begins. Frame k is seen
# from k / fps to (k + 1) / fps. So what starts at t s lies in frame
#
# $$k = \lfloor t \cdot \text{fps} \rfloor .$$
#
# `onsets (n,) s → frames (n,)`


# %%
def find_frame(onsets: Float[Tensor, " n"], fps: float | int) -> Int64[Tensor, " n"]:
    """Find the frame in which each moment lies.

    Args:
        onsets: s from the start of the clip.
        fps: frames a second.
    """
    # A little more, since 0.29 · 100 is 28.999… in floating point.
    return (onsets.double() * fps + 1e-6).floor().long()


# %% [markdown]
# A camera gathers light as long as a frame lasts. A hand that strikes moves fast and
# leaves only a blur, but at the moment of the touch it stands still, and so this moment
# is what the frame shows. In the drawn world a stroke is therefore seen in the very
# frame in which it is heard, at each rate of frames. Here is a clip of each class: its
# frames, and its sound below. A frame in which a hand touches has a red bar. Below it
# the sound is shaded as long as this frame is seen: the onset lies somewhere in there.


# %%
def mark_frames(
    frames: UInt8[Tensor, "T H W 3"], marked: Bool[Tensor, " T"]
) -> UInt8[Tensor, "H width 3"]:
    """Lay the frames of a clip side by side; a bar stands above the marked ones."""
    shown = frames.clone()
    shown[marked, :3] = torch.tensor([255, 60, 60], dtype=torch.uint8)
    return torch.cat(list(shown), dim=1)


# %% tags=["active-ipynb", "clock"]
# examples = find_examples(test)
# figure, axes = show.subplots(2 * len(examples), 1, width=9.0, height=0.95)
# now = np.arange(SAMPLES) / SAMPLE_RATE
# for k, (name, one) in enumerate(examples.items()):
#     known = "onset" in test.truth
#     marked = test.truth["onset"][one] == 1 if known else torch.zeros(test.fps).bool()
#     strip = mark_frames(test.frames[one], marked)
#     above, below = axes[2 * k, 0], axes[2 * k + 1, 0]
#     above.imshow(strip, extent=(0, 1, 0, 1 / test.fps), aspect="auto")
#     above.set(xlim=(0, 1), xticks=[], yticks=[], ylabel=name.replace(" ", "\n"))
#     below.plot(now, test.waveforms[one], linewidth=0.4)
#     for frame in marked.nonzero()[:, 0].tolist():
#         below.axvspan(frame / test.fps, (frame + 1) / test.fps, alpha=0.15)
#     below.set(xlim=(0, 1), yticks=[])
# below.set_xlabel("s")
# caption = "A red bar: in this frame a hand touches. Shaded: the sound of that frame."
# lesson.figure("one_clock", figure, caption)

# %% [markdown]
# Seen is not yet measured. We find the onsets **in the sound alone**, by the energy of
# its high frequencies in windows of 10 ms, and ask how often they lie in a frame in
# which something starts. The control shifts the sound by two or three frames, to either
# side.
#
# `waveforms (N, S) → rise (N, T)`


# %%
def measure_rise(
    waveforms: Float[Tensor, "N samples"], fps: int
) -> Float[Tensor, "N T"]:
    """Measure the largest rise of the sound in each frame, in dB within 10 ms.

    The difference of neighbouring samples raises the high frequencies, in which a
    stroke begins.
    """
    width = SAMPLE_RATE // 100
    sharp = waveforms.diff(dim=1)[:, : 102 * width].unflatten(1, (-1, width))
    level = 10 * (sharp.square().mean(2) + 1e-9).log10()  # (N, 102), 100 a second
    rise = F.pad(level.diff(dim=1), (1, 0))[:, :100]
    return rise.unflatten(1, (fps, -1)).amax(2)


# %%
def match_clock(
    rise: Float[Tensor, "N T"], starts: Bool[Tensor, "N T"], shift: int = 0
) -> float:
    """In what share of the clips does the sharpest rise lie in a frame of an onset?

    Args:
        rise: of the sound, as `measure_rise` gives it.
        starts: the frames in which something starts.
        shift: frames by which the sound is moved.
    """
    has = starts.any(dim=1)
    loudest = rise[has].roll(shift, 1).argmax(1, keepdim=True)
    return starts[has].gather(1, loudest).float().mean().item()


# %% tags=["active-ipynb", "clock-measured"]
# if "onset" in test.truth:
#     rise, starts = measure_rise(test.waveforms, test.fps), test.get_onsets()
#     rows = []
#     right = test.get_onsets("right")
#     for name, one in examples.items():
#         here = test.labels == test.labels[one]
#         both = rise[here], starts[here]
#         row = {"class": name, "heard in its frame [%]": 100 * match_clock(*both)}
#         shifted = [match_clock(*both, shift) for shift in (2, 3, -2, -3)]
#         row["sound shifted [%]"] = 100 * float(np.mean(shifted))
#         if "right_height" in test.truth:
#             height = 100 * test.truth["right_height"]
#             for text, when in (("at its strokes", right), ("else", ~right)):
#                 mean = float(height[here[:, None] & when].mean())
#                 row[f"height of the right hand, {text} [%]"] = mean
#         rows.append(row)
#     lesson.table("clock", rows, "One clock: heard and seen in the same frame")

# %% [markdown]
# Compare the first two numbers of each row. The sound alone, without the picture, leads
# to a frame in which something starts far more often than the shifted sound does.
# (Where strokes are frequent, a shifted sound meets another stroke now and then.) The
# hand's height above what it strikes is given in shares of the picture; a guitarist's
# is its distance from the strings. In the frames of its strokes it is 0: there the hand
# touches.
#
# ## Splits, and how a split by clip leaks
#
# The paper splits HMMD 80:20 and does not say by what. By video it cannot be: the
# ghatam has **one** video. On average a video gives 81 clips of one person in one room,
# so a split by clip puts near-twins on both sides. We split by video, and where the
# player is known, by player. The only video of a class is cut in time, with 5 s between
# its two parts.
#
# How much does it matter? A reader that sees **nothing but the four corners** of the
# first frame names the class by the nearest training clip.
#
# `frames (N, T, H, W, 3) → (N, d)`


# %%
def cut_corners(clips: Clips, share: float = 0.18) -> Float[Tensor, "N d"]:
    """Cut the four corners out of each clip's first frame: the room alone."""
    side = max(1, round(share * clips.frames.shape[2]))
    first = clips.frames[:, 0].movedim(-1, 1).float() / 255  # (N, 3, H, W)
    corners = [
        first[..., rows, columns]
        for rows in (slice(0, side), slice(-side, None))
        for columns in (slice(0, side), slice(-side, None))
    ]
    # 4 pixels a corner: (N, 3, side, side) → (N, 12)
    return torch.cat([F.adaptive_avg_pool2d(c, 2).flatten(1) for c in corners], dim=1)


# %%
def name_by_nearest(
    seen: Float[Tensor, "n d"],
    labels: Int64[Tensor, " n"],
    asked: Float[Tensor, "m d"],
    answers: Int64[Tensor, " m"],
) -> float:
    """In what share of the asked clips has the nearest seen one the right class?"""
    nearest = torch.cdist(asked, seen).argmin(dim=1)
    return (labels[nearest] == answers).float().mean().item()


# %% tags=["active-ipynb", "splits"]
# corners = {split: cut_corners(clips) for split, clips in data.items()}
# given = corners["train"], train.labels, corners["test"], test.labels
# by_video = name_by_nearest(*given)
# every = torch.cat([corners["train"], corners["test"]])
# labels = torch.cat([train.labels, test.labels])
# order = torch.randperm(len(every), generator=torch.Generator().manual_seed(SEED))
# asked, seen = order[: len(every) // 5], order[len(every) // 5 :]
# by_clip = name_by_nearest(every[seen], labels[seen], every[asked], labels[asked])
# shares = {"by video, and by player": by_video, "by clip": by_clip}
# shares["chance"] = 1 / len(train.classes)
# rows = [
#     {"split": name, "right class from the corners [%]": 100 * share}
#     for name, share in shares.items()
# ]
# lesson.table("splits", rows, "What the room alone tells of the class, in two splits")

# %% [markdown]
# Split by clip, the wallpaper names the instrument. Nothing that is measured on such a
# test part says what a network has understood. (`avnb prepare hmmd --split clip` makes
# such clips, for this demonstration alone.) Split by video, the reader can only be
# lucky. All clips of a video are right or wrong together, and there are few videos, so
# that luck may carry this one number far from chance.
#
# ## Shortcuts
#
# How much do the corners tell, beyond luck? And what else could tell? Readers look for
# the nearest clip **of another player** in one property, and answer with its class.
# Where the drawn data allow it, they also read pictures that were drawn again with the
# instrument left out, or with the player as well. The unit of the intervals is the
# player. Where chance lies within an interval, nothing is shown beyond luck.

# %% tags=["active-ipynb", "shortcuts"]
# units = [*train.units, *test.units]
# sound = torch.cat([train.waveforms, test.waveforms])
# level = sound.square().mean(1, keepdim=True).sqrt().log10()
# properties = {"the four corners": every, "loudness of the clip": level}
# if "head_x" in test.truth:
#     known = [torch.cat([train.truth[n], test.truth[n]]) for n in ("head_x", "head_y")]
#     properties["where the head is"] = torch.stack([x[:, 0] for x in known], dim=1)
# whole = prepared.load_clips(lesson.data, "test")
# some = torch.arange(0, len(whole), max(1, len(whole) // 160))
# part = whole.select(some)
# redrawn = {}
# for text, without in (("the room alone", "player"), ("no instrument", "instrument")):
#     times = part.start.tolist()
#     drawn = lesson.redraw(part.recordings, times, without=without)
#     if drawn is not None:
#         redrawn[text] = torch.from_numpy(drawn)

# %% tags=["active-ipynb", "shortcuts-read"]
# rows = []
# for name, x in properties.items():
#     found = read_by_nearest_neighbour(x, labels, units, name=name, seed=SEED)
#     rows.append({"what is read": name, "right class": found})
# for name, pictures in redrawn.items():
#     small = F.interpolate(pictures.movedim(-1, 1).float(), (8, 8), mode="area")
#     given = small.flatten(1), part.labels, part.units
#     if len(set(part.units)) > 1:
#         found = read_by_nearest_neighbour(*given, name=name, seed=SEED)
#         rows.append({"what is read": name, "right class": found})
# if redrawn:
#     grid = [pictures[:: max(1, len(some) // 8)][:8] for pictures in redrawn.values()]
#     figure = show.image_grid(grid, rows=[*redrawn], size=0.95)
#     lesson.figure("left_out", figure, "Drawn again, with something left out.")
# share = 1 / len(test.classes)
# caption = f"The nearest clip of another player, in one property (chance {share:.0%})"
# lesson.table("shortcuts", rows, caption)

# %% [markdown]
# Where only the instrument is left out, the player still sits on the floor behind a
# tabla or a ghatam, stands behind a xylophone, and holds the hands as one must. That is
# no shortcut but posture, and a real player's would tell as much.
#
# ## What the sound says of the picture
#
# A generator can only be asked for what sound and picture share. An **oracle** says how
# much that is: a regression from the true sound of a few frames to what is seen in the
# middle one, fitted on players of the training part and judged on those of the test
# part. Beside its correlation r stands that of the same answers, shifted by seconds:
# what luck would give.
#
# `waveforms (N, S) → (N · T, d)` · `frames (N, T, H, W, 3) → (N · T,)`


# %%
def hear_frames(waveforms: Float[Tensor, "N samples"], fps: int) -> Tensor:
    """The spectrum of each frame's sound, in dB: (N · T, 4 · 24).

    Four equal parts of a frame, so that a stroke in it has its moment.
    """
    width = SAMPLE_RATE // fps // 4
    parts = waveforms[:, : 4 * fps * width].unflatten(1, (4 * fps, width))
    power = torch.fft.rfft(parts * torch.hann_window(width), dim=2).abs().square()
    # 24 bands, narrow below and wide above: (N, 4 T, bins) → (N, 4 T, 24)
    edges = torch.logspace(0, 1, 25, base=power.shape[2]).round().long() - 1
    bands = [
        power[..., a : max(a + 1, b)].mean(2)
        for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]
    levels = 10 * (torch.stack(bands, dim=2) + 1e-4).log10()
    return levels.unflatten(1, (fps, 4)).flatten(2).flatten(0, 1)


# %%
def measure_motion(frames: UInt8[Tensor, "N T H W 3"]) -> Float[Tensor, "N T"]:
    """How much changes from the frame before to each frame, in shares of white.

    The first frame of a clip is compared with the second one.
    """
    grey = frames.float().mean(-1) / 255
    change = grey.diff(dim=1).abs().mean((2, 3))
    return torch.cat([change[:, :1], change], dim=1)


# %%
def list_quantities(clips: Clips) -> dict[str, Float[Tensor, " frames"]]:
    """What is seen at each frame, for an oracle: name → (N · T,)."""
    found = {"motion of the picture": measure_motion(clips.frames).flatten()}
    for name, text in (
        ("onset", "something starts"),
        ("onset_right", "the right hand starts"),
        ("onset_left", "the left hand starts"),
        ("right_height", "height of the right hand"),
        ("left_height", "height of the left hand"),
        ("loudness", "true loudness"),
    ):
        if name in clips.truth:
            found[text] = clips.truth[name].flatten()
    return found


# %%
def take_clips(clips: Clips, count: int) -> Clips:
    """Take whole runs of neighbouring clips, evenly over the split.

    An oracle looks a few frames back and ahead, also over the end of a clip. Clips are
    in order of time, so that there the next one goes on.
    """
    run = 6
    starts = torch.arange(0, len(clips) - run + 1, run)
    chosen = starts[:: max(1, run * len(starts) // count)]
    index = (chosen[:, None] + torch.arange(run)).flatten()
    return Clips(
        clips.frames[index], clips.waveforms[index], clips.labels[index],
        clips.classes, [clips.units[i] for i in index.tolist()], clips.fps,
        truth={name: values[index] for name, values in clips.truth.items()},
    )  # fmt: skip


# %% tags=["active-ipynb", "oracles"]
# first, second = (take_clips(one, settings.heard) for one in (train, test))
# given = [hear_frames(one.waveforms, one.fps) for one in (first, second)]
# known = [list_quantities(one) for one in (first, second)]
# apart = {"before": 2, "after": 2}
# if all(values.std() < 1e-6 for values in known[0].values()):  # videos of one still
#     print("Nothing moves in these clips: a sound says nothing of the picture.")
# else:
#     oracle = fit_oracle(given[0], known[0], **apart)
#     length = min(6, len(second) // 4) * train.fps  # frames of a block, and of a shift
#     rows = judge_oracle(oracle, given[1], known[1], block=length, least=length)
#     level = [one.mean(1, keepdim=True) for one in given]  # loudness alone
#     plain = fit_oracle(level[0], known[0], **apart)
#     for row in rows:
#         own, true = plain.read(level[1])[row["quantity"]], known[1][row["quantity"]]
#         row["r, loudness alone"] = correlate(own.numpy(), true.numpy())
#     caption = "What 0.5 s of sound says of the frame in its middle"
#     lesson.table("oracles", rows, caption)

# %% [markdown]
# Where r is well above its shifted control, sound and picture share something that a
# joint model can learn: when a hand strikes, and how much moves when it is loud. Where
# `loudness alone` reaches nearly as far, the quantity asks for no more than loudness.
#
# ## A clip to watch
#
# One clip of each class, as the critics see and hear it.

# %% tags=["active-ipynb", "films"]
# (lesson.run_dir / "step1").mkdir(exist_ok=True)
# for name, one in examples.items():
#     film = show.encode_mp4(
#         test.frames[one].numpy(),
#         test.waveforms[one, :SAMPLE_RATE].numpy(),
#         test.fps,
#         SAMPLE_RATE,
#         zoom=3,
#     )
#     file = name.replace(" ", "_")
#     path = lesson.run_dir / "step1" / f"{file}.mp4"
#     path.write_bytes(film)
#     lesson.video(file, path, f"A clip of the class {name}.")

# %% [markdown]
# ## Your own recordings
#
# Put videos with sound into one folder a class. Two classes are the least, and each
# needs two videos. A class of one video needs one of 9 s or more, which is then cut in
# time. The training part and the held-out part must have at least 8 clips each.
#
# ```
# avnb prepare hmmd --source my_videos --out my_clips --fps 10
# avnb run joint_gan --scale laptop --data my_clips
# ```
#
# With `--fps 10` a step takes 2.5 times less work than with the 25 frames a second of
# HMMD. The report of the first command names each file that was left out, and why: a
# video without sound, sound of 8 kHz (`--lowest-rate` lets it in), a folder of
# pictures. Nobody knows when something starts in your recordings. So the tables of the
# clock and of the hands are missing here, and step 7 finds onsets in the sound and
# motion in the picture by itself. Sub-URMP goes through `avnb prepare sub_urmp_video`.
#
# ## What came out
#
# - A clip has the frames of one second and 16,384 samples, 1.024 s, of real sound.
# - Sound and picture have one clock: what is heard at t is seen in frame
#   floor(t · fps).
# - A split by clip lets the room name the instrument. By video and by player the room
#   tells little or nothing: its interval says how much.
# - The sound says when a hand strikes and how much moves. A joint model can learn it,
#   and steps 4 and 7 ask whether the paper's does.
#
# ## Exercises
#
# 1. The released numbers of a song are given, with gaps. Where do the clips begin?
# 2. A class has one video of n clips. Which train and which test, if a gap must lie
#    between?

# %% tags=["active-ipynb"]
# from avnb_notebooks.joint_gan import exercises
#
#
# def find_clip_starts(numbers, frames=10, step=100):
#     """Where do clips of `frames` numbers begin? No clip goes over a gap.
#
#     numbers: sorted, in ms, `step` apart but for gaps. Clips do not overlap. After a
#     gap the next one begins with the first number behind it.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.FIND_CLIP_STARTS, find_clip_starts)

# %% tags=["active-ipynb"]
# def cut_in_time(clips, share, gap):
#     """The numbers of the clips that train, and of those that test: two lists.
#
#     clips: how many there are, one a second. gap: whole s that lie in neither part.
#     The test part is the last, `share` of what is left, rounded, at least one.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.CUT_IN_TIME, cut_in_time)

# %% tags=["active-ipynb"]
# lesson.finish()
