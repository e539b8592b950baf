# %% [markdown]
# # Step 1 · Data: events that are seen and heard, and an answer that needs no model
#
# *Learning Audio-Visual Correlations from Variational Cross-Modal Generation* (Zhu et
# al. 2021) asks: can a network that never sees a label learn that a bark belongs to a
# dog? It is judged by two tasks on one data set, AVE. **Localisation:** here is the
# sound of an event; in which seconds of the video is it seen? **Retrieval:** here is a
# second of sound; which pictures, of all videos, belong to it?
#
# Before any network, this notebook looks at what it is judged with:
#
# 1. what a video of AVE is, and the drawn world that stands in for it,
# 2. where in their videos the events lie, which is not just anywhere,
# 3. how well one does in localisation **without listening or looking**, and what that
#    says about the paper's Table 1,
# 4. the traps in the files as they are downloaded.
#
# **Letters.** N videos · T = 10 seconds of each · l length of an event, s ·
# t its first second · C = 28 classes.

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
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from avnb.data.clips import ClipBatch, stream_clips
from data_scripts.ave import BACKGROUND, KINDS, SECONDS, Row

# %% tags=["parameters"]
SCALE = "laptop"
DATA = ""
SEED = 0
RUN_DIR = ""
OVERRIDES = {}


# %% tags=["active-ipynb"]
# import numpy as np
#
# from avnb import course
# from avnb.data import clips
# from avnb.features import LogMel
# from avnb.viz import show
# from data_scripts import ave
# from data_scripts.bandstand import events
#
# lesson = course.start(
#     "ms_vae",
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
#         #        smoke laptop gpu paper
#         size=(48, 128, 128, 128),  # pixels a side of the pictures shown here
#         films=(1, 4, 4, 4),  # that can be played below
#         fps=(4, 12, 12, 12),  # of those
#     ),
# )
# settings

# %% [markdown]
# ## A world of 28 kinds of event
#
# AVE (Tian et al. 2018) has 4,143 videos from YouTube, 10 s each. In each, people have
# marked one stretch of whole seconds, from 2 to all 10, in which something is **seen
# and heard at once**: a bell tolls, a truck drives by. All else is *background*: the
# bell may be heard, but the camera looks elsewhere.
#
# The videos cannot be shipped (no licence, and some are gone). So the embedded data is
# a drawn world with AVE's 28 kinds under AVE's own names. Each thing has a sound of its
# own, made anew for each video, and **moves because of it**: the bell swings from one
# stroke to the next, the dog's jaw follows the loudness of the bark. Places are drawn
# whatever the class, so that none gives a class away.

# %% tags=["active-ipynb", "world"]
# seen = [
#     events.record_event(kind, start=2, end=8, seed=SEED + k).draw(4.3, settings.size)
#     for k, kind in enumerate(KINDS)
# ]
# figure = show.image_grid([seen[7 * row : 7 * row + 7] for row in range(4)], size=1.3)
# lesson.figure("world", figure, "; ".join(kind.split(",")[0] for kind in KINDS))

# %% [markdown]
# Four of them to watch and to hear. Before and after its event there is only the place
# with its own noise. In about a third of the videos the thing stays in the picture,
# still and silent; in the others it comes and goes.

# %% tags=["active-ipynb", "films"]
# spans = {"Church bell": (3, 8), "Bark": (0, 6), "Horse": (4, 10), "Cat": (2, 7)}
# for kind, (start, end) in list(spans.items())[: settings.films]:
#     video = events.record_event(kind, start=start, end=end, seed=SEED + 3)
#     times = np.arange(SECONDS * settings.fps) / settings.fps
#     frames = [video.draw(t, settings.size) for t in times]
#     path = lesson.run_dir / "step1" / f"{kind}.mp4"
#     path.parent.mkdir(exist_ok=True)
#     film = show.encode_mp4(frames, video.synthesise(events.RATE), settings.fps, events.RATE)
#     path.write_bytes(film)
#     lesson.video(kind, path, f"{kind}, from second {start} to {end}")

# %% [markdown]
# Does the picture move *with the sound*? Above, the sound; in the middle, how much the
# picture changes from one frame to the next; below, a frame each second.

# %% tags=["active-ipynb", "second-by-second"]
# video = events.record_event("Bark", start=2, end=7, seed=SEED + 5)
# times = np.arange(0, SECONDS, 0.1)
# frames = [video.draw(t, settings.size).astype(np.float32) for t in times]
# change = np.abs(np.diff(np.stack(frames), axis=0)).mean(axis=(1, 2, 3))
# figure, axes = show.subplots(3, 1, width=9, height=1.5)
# wave = video.synthesise(events.RATE)
# axes[0, 0].plot(np.arange(len(wave)) / events.RATE, wave, linewidth=0.4)
# axes[1, 0].plot(times[1:], change)
# strip = np.concatenate(frames[5::10], axis=1).astype(np.uint8)
# axes[2, 0].imshow(strip, extent=(0, SECONDS, 0, 1), aspect="equal")
# for ax, what in zip(axes[:, 0], ("sound", "change", "frames"), strict=True):
#     ax.axvspan(video.start, video.end, alpha=0.1)
#     ax.set(ylabel=what, xlim=(0, SECONDS))
# axes[2, 0].set(xlabel="second", yticks=[])
# lesson.figure("second_by_second", figure, "Shaded: the event, as it is annotated.")

# %% [markdown]
# ## What is annotated
#
# A line of AVE's `Annotations.txt` has five fields between `&`. The event lasts from
# `StartTime` until `EndTime`, whose second is **not** part of it:
#
# ```
# Category&VideoID&Quality&StartTime&EndTime
# Church bell&MH3m4AwEcRY&good&6&8
# ```
#
# From this line come the labels of T = 10 seconds: class 0 (church bell) in seconds 6
# and 7, background in all others. Background is a class of its own, the 29th.
#
# `row → (T,)`


# %%
def per_second(row: Row) -> Int64[Tensor, " T"]:
    """The class of each second: the event's, or BACKGROUND = 28."""
    labels = torch.full((SECONDS,), BACKGROUND)
    labels[row.start : row.end] = KINDS.index(row.label)
    return labels


# %% tags=["active-ipynb"]
# bell = ave.Row(1, "Church bell", "MH3m4AwEcRY", 6, 8)
# labels = per_second(bell)
# assert labels.shape == (SECONDS,)
# print(labels.tolist())

# %% [markdown]
# Prepared clips keep the annotation as the column `event`, which is 1 at the frames
# that lie in the event. The other way round, from frames to seconds:
#
# `frames (N, T · fps) → spans (N, 2)`


# %%
def annotated(of: ClipBatch) -> Int64[Tensor, "n 2"]:
    """The first second of each video's event, and the one after its last.

    The whole clip, where nothing is annotated (recordings of your own).
    """
    if "event" not in of.truth:
        length = round(of.frames.shape[1] / of.fps)
        return torch.tensor([[0, length]]).repeat(len(of), 1)
    inside = (of.truth["event"] == 1).float()
    first = inside.argmax(dim=1)
    last = inside.shape[1] - inside.flip(1).argmax(dim=1)
    return (torch.stack([first, last], dim=1) / of.fps).round().long()


# %%
def looked_up(
    folder: Path, split: str
) -> tuple[Int64[Tensor, "n 2"], Int64[Tensor, " n"]]:
    """`annotated` and the labels of all videos of a split, batch by batch.

    AVE's own 3,339 training videos are 11 GB of pictures: more than `load` holds.
    """
    spans, labels = [torch.zeros(0, 2).long()], [torch.zeros(0).long()]
    for some in stream_clips(folder, split, batch=32):
        spans.append(annotated(some))
        labels.append(some.labels)
    return torch.cat(spans), torch.cat(labels)


# %% tags=["active-ipynb", "splits"]
# names = [s for s in clips.SPLITS if (lesson.data / s).is_dir()]
# data = {split: looked_up(lesson.data, split) for split in names}
# part = next(clips.stream_clips(lesson.data, "test", batch=32))
# known, seconds = "event" in part.truth, part.frames.shape[1] / part.fps
# rows = [
#     {
#         "split": split,
#         "videos": len(labels),
#         "classes": len(labels.unique()),
#         "seconds with the event, %": 100
#         * spans.diff(dim=1).float().mean().item()
#         / seconds,
#     }
#     for split, (spans, labels) in data.items()
# ]
# lesson.record("splits", rows)
# show.table(rows)

# %% [markdown]
# ## Where the events lie
#
# Two thirds of AVE's events fill their video: there is nothing to locate in those. Of
# the rest we counted where they begin and end, and our world draws its spans from that
# table. Look at it: it is not flat. The first row and the last column hold most of it.
# An uploader's cut, or AudioSet's ten seconds, often starts or ends *within* what is
# going on.

# %% tags=["active-ipynb", "spans"]
# figure, axes = show.subplots(1, 2, width=4.2, height=3.4)
# drawn = np.zeros_like(events.PARTIAL)
# for start, end in torch.cat([spans for spans, _ in data.values()]).tolist():
#     if known and start < len(drawn) and end - start < SECONDS >= end:
#         drawn[start, end - 1] += 1
# for ax, (name, table) in zip(
#     axes[0], {"AVE": events.PARTIAL, "this data": drawn}.items(), strict=True
# ):
#     ax.imshow(table, extent=(0.5, 10.5, 8.5, -0.5))
#     ax.set(title=name, xlabel="ends at", ylabel="begins at")
#     ax.grid(False)
# lesson.figure("spans", figure, "Events that do not fill their video.")

# %% [markdown]
# ## The answer that needs no model
#
# Localisation gives the l seconds of the event in one modality and asks for the first
# second t in the other. Only the exact second counts (the paper's "strict exact
# match"). An event of l seconds fits at T - l + 1 places, so a guess is right with
#
# $$p = \frac1N \sum_n \frac{1}{T - l_n + 1} .$$
#
# But who has seen the picture above guesses better: always the **last** place. That
# answer neither listens nor looks.
#
# `lengths (N,) → share`


# %%
def chance(lengths: Int64[Tensor, " n"], seconds: int = SECONDS) -> float:
    """The expected share of exact matches of a start drawn evenly."""
    return (1 / (seconds - lengths + 1)).mean().item()


# %%
def without_model(spans: Int64[Tensor, "n 2"]) -> dict[str, float]:
    """Exact matches, in %, of answers that neither listen nor look."""
    first, last = spans.unbind(dim=1)
    return {
        "start at random": 100 * chance(last - first),
        "always first": 100 * (first == 0).float().mean().item(),
        "always last": 100 * (last == SECONDS).float().mean().item(),
    }


# %% tags=["active-ipynb"]
# # an event of 9 s fits at 2 places, one of 2 s at 9: 1/2 and 1/9
# assert abs(chance(torch.tensor([9, 2])) - (1 / 2 + 1 / 9) / 2) < 1e-6
# spans, _ = data["test"]
# partial = spans[(spans.diff(dim=1)[:, 0] < SECONDS) & known]
# ours = without_model(partial) if len(partial) else {}
# print(f"{len(partial)} test events do not fill their video:", ours)

# %% [markdown]
# Beside them the test events of AVE itself, of the split that localisation is judged on
# (402 videos; counted in the released files), and what the paper's Table 1 prints.

# %%
AVE_MATCH = {"start at random": 20.8, "always first": 35.3, "always last": 46.8}
TABLE_1 = {  # A2V, V2A, in %
    "DCCA": (34.1, 34.8),
    "AVDLN": (35.6, 44.8),
    "AVSDN": (37.1, 45.1),
    "AVFB": (37.3, 46.0),
    "MS-VAE": (25.0, 38.8),
    "MS-VAE + W": (37.4, 40.0),
}

# %% tags=["active-ipynb", "always-last"]
# rows = [
#     {"answer": name, "AVE": value, "this data": ours.get(name)}
#     for name, value in AVE_MATCH.items()
# ]
# rows += [
#     {"answer": f"{name}, Table 1", "AVE": sum(both) / 2}
#     for name, both in TABLE_1.items()
# ]
# lesson.record("always_last", rows)
# figure = show.bars(
#     {row["answer"]: row["AVE"] for row in rows[3:]},
#     lines={"always last": AVE_MATCH["always last"], "at random": rows[0]["AVE"]},
#     y="exact matches, %",
# )
# lesson.figure("always_last", figure, "Table 1, mean of both. Lines: no model.")
# show.table(rows)

# %% [markdown]
# Every bar ends below the upper line: on this split, answering "the last place" to
# every question beats all that Table 1 compares. (AVSDN's two columns give a little
# more than the average that is printed.) It does not follow that the models learned
# nothing: who finds the right second now and then without knowing where events lie may
# know more than who has learned only that. It follows that **the number cannot tell**.
# So step 7 prints these rows beside every model's, and adds a variant that no constant
# answer can win.
#
# ## The traps in the files
#
# Real data sets have faults, and a script that stops at the first, or silently skips,
# costs a day or a result. AVE's, as downloaded:
#
# - 46 ids are there twice: two events of one video;
# - one event has no length (`0&0`): a tensor of no rows, and a mean that is nan;
# - in one family of splits eight ids lie in training *and* test;
# - in the other, which localisation is judged on, two classes of the test (12 % of its
#   videos) are never seen in training, and validation has three classes in all;
# - some copies begin with a header, some end their lines with CRLF.
#
# Here is a small set with all of them, and more; `avnb prepare ave` reads it.

# %%
TRAPS = {
    "train": (
        "Cat&aaaaaaaaaaa&good&0&10",
        "Bus&bbbbbbbbbbb&good&2&5",
        "Truck&bbbbbbbbbbb&good&4&9",
        "Goat&ccccccccccc&good&0&0",
        "Unicorn&ddddddddddd&good&0&4",
        "Horse&eeeeeeeeeee&good&7&12",
        "Cat&fffffffffff&good&1&4",
    ),
    "val": ("Cat&ggggggggggg&good&5&10",),
    "test": ("Banjo&hhhhhhhhhhh&good&0&4", "Clock&fffffffffff&good&6&8"),
}


# %%
def write_traps(folder: Path) -> None:
    """The lines of TRAPS in AVE's layout, with CRLF; one video is missing."""
    (folder / "AVE").mkdir(parents=True, exist_ok=True)
    header = "Category&VideoID&Quality&StartTime&EndTime"
    everything = [header, *(line for rows in TRAPS.values() for line in rows)]
    (folder / "Annotations.txt").write_bytes("\r\n".join(everything).encode())
    for split, rows in TRAPS.items():
        (folder / f"{split}Set.txt").write_text("\n".join(rows))
    for line in everything[2:]:
        (folder / "AVE" / f"{line.split('&')[1]}.mp4").write_bytes(b"")


# %% tags=["active-ipynb", "traps"]
# write_traps(lesson.run_dir / "step1" / "traps")
# found, problems = ave.find_sources(lesson.run_dir / "step1" / "traps")
# print(f"{len(found)} events can be used:", [source.recording for source in found])
# rows = [{"file": p.file, "problem": p.problem, "remedy": p.remedy} for p in problems]
# lesson.record("traps", rows)
# show.table(rows)

# %% [markdown]
# Nothing stopped, and each row that was left out has a line that says why. The id in
# two splits stays in the test, so that what is judged remains comparable.
#
# ## Your own recordings
#
# Without annotations there is nothing to locate, but all else runs: train, retrieve,
# explore. Put your recordings into one folder a class, choose a length that all have,
# and give what comes out as `DATA`:
#
# ```
# avnb prepare folder --source my_events --out my_clips \
#     --seconds 3 --fps 4 --size 64 --sample-rate 16000
# avnb run ms_vae --scale laptop --data my_clips
# ```
#
# Every whole clip of that length is a video, and all of its seconds count as event. A
# handful of recordings shows the path; numbers mean nothing at that size.
#
# What the later steps hear is measured second by second. Here is a test video as they
# get it: a few frames a second, sound at 16 kHz.

# %% tags=["active-ipynb", "as-prepared"]
# one = int(annotated(part).diff(dim=1).argmin())
# start, end = annotated(part)[one].tolist()
# sound = part.waveform[one, 0].float() / 32767
# mel = LogMel(part.sample_rate)
# figure, axes = show.subplots(2, 1, width=9, height=1.7)
# each = max(1, round(part.fps))
# strip = np.concatenate(list(part.frames[one, ::each].numpy()), axis=1)
# axes[0, 0].imshow(strip, extent=(0, seconds, 0, 1), aspect="equal")
# extent = (0, seconds, 0, 1)
# axes[1, 0].imshow(mel(sound), extent=extent, aspect="auto", origin="lower")
# for ax in axes[:, 0]:
#     ax.set(yticks=[], xlim=(0, seconds))
#     ax.grid(False)
#     ax.axvline(start, color="white")
#     ax.axvline(end, color="white")
# axes[0, 0].set(ylabel="frames")
# axes[1, 0].set(xlabel="second", ylabel="log-mel")
# name = part.classes[int(part.labels[one])]
# lesson.figure("as_prepared", figure, f"{name}, from second {start} to {end}.")

# %% [markdown]
# ## Exercises
#
# 1. A start at random: from the lengths of the events, the expected share of exact
#    matches when the guesser may name **k** different places instead of one.
# 2. The released `labels.h5` holds the labels of each second as one-hot rows (N, T,
#    29), which should say the same as the annotations. Find the videos where they
#    disagree.

# %% tags=["active-ipynb"]
# from avnb_notebooks.ms_vae import exercises
#
#
# def chance_of_k(lengths, k, seconds=10):
#     """(N,) lengths, s → expected share of events whose start is among k guesses.
#
#     The guesses are different places, drawn evenly; there may be fewer places than k.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.CHANCE_OF_K, chance_of_k)

# %% tags=["active-ipynb"]
# def disagree(labels, spans, classes):
#     """(N, T, 29) one-hot, (N, 2) from and to, (N,) class → indices of wrong videos.
#
#     Column 28 is background. A list of ints, in rising order.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.DISAGREE, disagree)

# %% tags=["active-ipynb"]
# lesson.finish()
