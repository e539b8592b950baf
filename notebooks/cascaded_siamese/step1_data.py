# %% [markdown]
# # Step 1 · Data: a first frame, a song, and 32 frames
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/cascaded_siamese/step1_data.ipynb)
#
# *Cascaded Siamese Self-supervised Audio to Video GAN* (Aldausari et al. 2022) wants to
# move a picture by a sound: from a **first frame** and a **song** it makes a video. The
# paper has two data sets. **Phonics** are songs of the alphabet, collected by the
# authors: a letter, an object, its written word. **VidTIMIT** are 43 persons who speak.
# The words of this series are those of the paper: a **video** is the whole item of 32
# frames, a **clip** is a quarter of it, 8 frames, and a **segment** is the sound that
# belongs to one frame.
#
# **You will learn**
#
# 1. what a slide and a head are, and what moves in them because of the sound,
# 2. how files of many rates and lengths become 32 frames on one clock,
# 3. what stills, short films and leaking borders are, and how they are counted,
# 4. how a split **leaks**: what the ground of a slide says of its letter,
# 5. what the sound says of the picture (an **oracle**).
#
# **Time.** About 25 minutes to read. The cells run in about a minute on two cores; the
# first run also draws the embedded videos.
#
# **Before you start.** You need Python with NumPy and PyTorch tensors. You need no
# earlier notebook.
#
# **Letters.** N videos · T = 32 frames · H, W pixels · S = 24,320 samples.

# %% tags=["parameters"]
SCALE = "laptop"  # how large everything is: one of the scales below
DATA = ""  # "" is the embedded data; or a folder of clips, see `avnb prepare --help`
SEED = 0  # of every random number: a whole number; each seed has a run of its own
RUN_DIR = ""  # "" is the usual folder of this run, below runs/cascaded_siamese/
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

# %% tags=["active-ipynb"]
# import numpy as np
#
# from avnb import course
# from avnb.data.shards import prepare
# from avnb.metrics.oracles import fit_oracle, judge_oracle
# from avnb.metrics.shortcuts import read_by_nearest_neighbour
# from avnb.viz import show
# from data_scripts import vidtimit
# from data_scripts.bandstand.layouts.phonics import plan_films
# from data_scripts.bandstand.layouts.vidtimit import write_vidtimit
# from data_scripts.bandstand.slide_words import WORDS
# from data_scripts.bandstand.slides import SlideTake
#
# lesson = course.start(
#     "cascaded_siamese",
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
#         size=(64, 160, 160, 160, 160),  # pixels a side of the pictures shown here
#         persons=(2, 4, 8, 8, 8),  # speaking heads that are drawn here
#         sentences=(3, 4, 6, 6, 6),  # of each of them
#         heard=(60, 600, 600, 600, 600),  # videos that each oracle is fitted on
#     ),
# )
# settings

# %% [markdown]
# ## Slides
#
# The ten films of Phonics that the authors released are **slides** for children, and
# hold no faces. A letter stands on a ground, often with eyes. A song says "A is for
# ant, A, A, ant". The object enters as its word is sung, the word is written, and
# things wobble to the music. Nobody outside has the other 1,560 films, so the embedded
# data is a drawn world of such slides.
#
# Sound and picture come from one list of moments. The **object enters where its word
# begins**, the word is written letter by letter while it is sung, and the letter moves
# on the **beat** of the tune.

# %% tags=["active-ipynb", "world"]
# plan = plan_films("".join(WORDS), 1, 0, 1, SEED)
# takes = [SlideTake(film) for film in plan.values()]
# rows = []
# for take in takes:
#     first, _ = take.song.words[0]
#     times = [max(0.0, first + 0.12 * k) for k in (-3, -2, -1, 0, 1, 2, 3, 5)]
#     rows.append([take.draw(t, settings.size) for t in times])
# columns = [f"{0.12 * k:+.2f} s" for k in (-3, -2, -1, 0, 1, 2, 3, 5)]
# names = [f"{one.film.letter}: {one.word.text}" for one in takes]
# figure = show.image_grid(rows, rows=names, columns=columns, size=0.85)
# caption = "Slides about the moment at which their word begins (0 s)."
# lesson.figure("world", figure, caption)

# %% tags=["active-ipynb", "sounds"]
# for take, name in zip(takes[:3], names, strict=False):
#     lesson.audio(f"song_{take.film.letter}", take.synthesise(16000), 16000, name)

# %% [markdown]
# Below is one film above its sound: each picture is the middle of the time that it
# covers. The orange lines are the beats. The word is sung where the ground is grey, and
# the green curve says how much of the object has entered.

# %% tags=["active-ipynb", "strip"]
# take = takes[1]
# times = np.arange(int(take.duration * 100)) / 100
# known = take.measure(times)
# figure, (above, below) = show.subplots(2, 1, width=8.0, height=1.5)
# wide, edges = take.duration, np.linspace(0, take.duration, 7)
# shown = (edges[1:] + edges[:-1]) / 2
# strip = np.concatenate([take.draw(float(t), settings.size) for t in shown], axis=1)
# above[0].imshow(strip, extent=(0, wide, 0, 1), aspect="auto")
# above[0].vlines(edges, 0, 1, color="0.7", linewidth=0.8)
# above[0].set(yticks=[], xticks=[], xlim=(0, wide), ylim=(0, 1))
# sound = take.synthesise(16000)
# below[0].plot(np.arange(len(sound)) / 16000, sound, color="0.6", linewidth=0.4)
# below[0].plot(times, known["shown"], color=show.COLOURS[2])
# below[0].fill_between(times, -1, known["sung"] * 2 - 1, color="0.9", zorder=0)
# below[0].vlines(take.song.beats, -1, 1, color=show.COLOURS[1], linewidth=0.8)
# limits = {"xlim": (0, wide), "ylim": (-1, 1.05)}
# below[0].set(xlabel="s", ylabel="sound, entered", **limits)
# caption = f"{take.film.letter} is for {take.word.text}: the picture above its sound."
# lesson.figure("strip", figure, caption)

# %% [markdown]
# As in the paper's set, some films are **stills** (the paper's Sec. 4.6 blames them for
# static results), and some begin or end with a few frames of **another slide**, because
# somebody cut them a little too early or too late. Films have five frame rates and 14
# to 128 frames. A **source video** is about one letter or about the whole alphabet, and
# all films of one source video share font, ground, voice and tune.
#
# ## From files to 32 frames
#
# Every film is read at 25 frames a second and 16 kHz. A video has 32 frames, 1.28 s.
# Its first frame also hears what comes before it, and its last one what comes after
# (step 2 says how much). So a prepared clip has **3 frames more on both sides**: 38
# frames, 1.52 s. Videos of one film follow each other without a gap.
#
# `frames (N, 38, H, W, 3) → (N, 32, H, W, 3)` · `waveforms (N, 24320)`
#
# The paper says that its films have "between 14 frames and 100". What is shorter than a
# clip gives one all the same: its **last frame is held**, silence follows, and `held`
# says in which frames, so that no loss and no measure counts them.

# %%
FRAMES = 32  # of a video
FPS = 25
SAMPLE_RATE = 16000  # Hz
BESIDE = 3  # frames before and behind a video whose sound is heard in it
SAMPLES = (FRAMES + 2 * BESIDE) * SAMPLE_RATE // FPS  # 24,320: 1.52 s


# %%
@dataclass(frozen=True)
class Clips:
    """N videos of 32 frames. Frame t begins at sample (t + 3) · 640 of the sound."""

    frames: UInt8[Tensor, "N T H W 3"]
    waveforms: Float[Tensor, "N samples"]  # in [-1, 1], with 3 frames more on each side
    labels: Int64[Tensor, " N"]  # index into `classes`
    classes: tuple[str, ...]  # names of the letters, or of the persons
    units: list[str]  # what is independent: the source video, or the person
    held: Bool[Tensor, "N T"]  # where the last frame is held: the recording is shorter
    fps: int = FPS
    truth: dict[str, Float[Tensor, "N T"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def get_frames(self, index: Tensor) -> Float[Tensor, "B 3 T H W"]:
        """Videos in [-1, 1], as the networks take and make them."""
        return self.frames[index].permute(0, 4, 1, 2, 3).float() / 127.5 - 1

    def get_waveforms(self, index: Tensor) -> Float[Tensor, "B samples"]:
        """Their sound in [-1, 1], with what is heard beside."""
        return self.waveforms[index]


# %% [markdown]
# `load_clips` reads a split of prepared clips and takes the 3 frames on both sides
# away. It refuses clips of another length or rate, and says what would be right.


# %%
def check_length(loaded: prepared.ClipBatch, place: str) -> Float[Tensor, "N samples"]:
    """Their sound in [-1, 1], if rate and length are as the notebooks want them.

    Raises:
        ClipsError: they are not.
    """
    waveforms = loaded.waveform[:, 0].float() / 32767
    given = (loaded.sample_rate, waveforms.shape[1], loaded.frames.shape[1])
    if given != (SAMPLE_RATE, SAMPLES, FRAMES + 2 * BESIDE):
        raise ClipsError(
            place,
            f"its clips have {given[1]} samples at {given[0]} Hz and {given[2]} frames,"
            f" not {SAMPLES} at {SAMPLE_RATE} Hz and {FRAMES + 2 * BESIDE}",
            "Prepare them with avnb prepare phonics or vidtimit",
        )
    return waveforms


# %%
def load_clips(
    folder: Path | str, split: str, device: torch.device | str | None = None
) -> Clips:
    """Load a split of prepared clips whole.

    Args:
        folder: prepared clips of 1.52 s, 25 fps and 16 kHz. Their truth may hold the
            column ``held``.
        split: "train" or "test".
        device: that holds them; the CPU by default.

    Raises:
        ClipsError: clips of another length or rate.
    """
    loaded = prepared.load_clips(folder, split, device or "cpu")
    waveforms = check_length(loaded, f"{folder}/{split}")
    shown = slice(BESIDE, BESIDE + FRAMES)
    truth = {name: values[:, shown] for name, values in loaded.truth.items()}
    frames = loaded.frames[:, shown]
    held = truth.pop("held", torch.zeros(frames.shape[:2], device=frames.device))
    return Clips(
        frames, waveforms, loaded.labels, tuple(loaded.classes), loaded.units,
        held=held == 1, truth=truth,
    )  # fmt: skip


# %% tags=["active-ipynb", "counts"]
# data = {split: load_clips(lesson.data, split) for split in ("train", "test")}
# train, test = data["train"], data["test"]
# rows = []
# for split, clips in data.items():
#     row = {"split": split, "videos": len(clips), "units": len(set(clips.units))}
#     row |= {"classes": len(set(clips.labels.tolist()))}
#     row["with held frames"] = int(clips.held.any(1).sum())
#     for name, text in (("still", "stills"), ("leak", "leaking")):
#         if name in clips.truth:
#             row[text] = int((clips.truth[name] == 1).any(1).sum())
#     rows.append(row)
# lesson.table("counts", rows, "What the two splits hold")
# # What this run's data are, as far as their truth says it.
# kinds = {"shown": "slide", "mouth_open": "head"}
# kind = next((k for q, k in kinds.items() if q in train.truth), "your video")

# %% [markdown]
# A unit is what is independent of all others: a source video here, a person in the set
# of heads. The script that prepares the films finds stills and borders **without the
# truth**, from the frames alone: in a still the mean difference of neighbouring frames
# is below 0.05 grey levels, and a cut changes more than 40 % of the pixels at once.
#
# Here are videos of the training part, every fourth frame.

# %% tags=["active-ipynb", "videos"]
# generator = torch.Generator().manual_seed(SEED)
# chosen = torch.randperm(len(train), generator=generator)[:8].tolist()
# grid = [train.frames[i, ::4] for i in chosen]
# names = [train.classes[int(train.labels[i])] for i in chosen]
# columns = [f"frame {t}" for t in range(0, FRAMES, 4)]
# figure = show.image_grid(grid, rows=names, columns=columns, size=0.85)
# lesson.figure("videos", figure, "Videos as the networks get them.")

# %% [markdown]
# ## Heads
#
# VidTIMIT is a folder of numbered JPEG files, one a frame, and a sound file a sentence.
# Our drawn heads are written in the same way, and the script of the real set reads
# them. Each person says two sentences that everybody says (`sa1`, `sa2`), and some of
# their own. The mouth follows the phones: it opens with the vowels and shuts for m, b
# and p. The folders `head`, `head2` and `head3` show a person who turns the head. They
# have no sound, and the script leaves them out and says so.

# %% tags=["active-ipynb", "heads"]
# folder = lesson.run_dir / "step1" / "heads"
# count = dict(persons=settings.persons, sentences=settings.sentences)
# write_vidtimit(folder, **count, seed=SEED, size=96, workers=1)
# found, problems = vidtimit.find_sources(folder)
# report = prepare(
#     found,
#     folder.with_name("heads_clips"),
#     vidtimit.SETTINGS,
#     problems=problems,
#     workers=1,
# )
# print(report)
# heads = {
#     split: load_clips(folder.with_name("heads_clips"), split)
#     for split in ("train", "test")
# }
# sets = {kind: data}
# sets.setdefault("head", heads)  # this run's own may be heads as well

# %% tags=["active-ipynb", "heads-shown"]
# some = heads["test"]
# picked = range(0, len(some), max(1, len(some) // 4))
# grid = [some.frames[i, ::4] for i in picked]
# names = [some.classes[int(some.labels[i])] for i in picked]
# figure = show.image_grid(grid, rows=names, columns=columns, size=0.85)
# lesson.figure("heads", figure, "Speaking heads, every fourth frame.")
# figure, axes = show.subplots(1, 1, width=6.0, height=1.6)
# place = axes[0, 0]
# sound = some.waveforms[0]
# seconds = torch.arange(len(sound)) / SAMPLE_RATE - BESIDE / FPS
# place.plot(seconds, sound / sound.abs().max(), color="0.7", linewidth=0.4)
# moments = torch.arange(FRAMES) / FPS
# place.plot(moments, some.truth["mouth_open"][0], color=show.COLOURS[1])
# place.set(xlabel="s", ylabel="sound, opening", ylim=(-1, 1.05))
# caption = "A sentence (grey), and how far the mouth is open (orange)."
# lesson.figure("mouth", figure, caption)

# %% [markdown]
# ## Splits, and what leaks
#
# The paper states **no split** at all, for either set. With about three films a word,
# and all films of a source video alike, a network can then give training films back.
# These are the splits that the scripts know:
#
# | set | `--split` | never in two splits |
# |---|---|---|
# | slides | `source` (ours) | a source video: its ground, font, voice and tune |
# | slides | `word` | a word and its object; its letter, ground and voice may be |
# | slides | `none` | nothing: all films train and are tested on |
# | heads | `sentence` (ours) | a sentence; all persons are known |
# | heads | `person` | a person; the class, which names the person, means nothing then |
# | heads | `none` | nothing |
#
# What does the **ground** say of the letter? We cut the four corners of the first
# frame, and a reader looks for the video with the most similar corners. Once it may
# look among all other *films*, as it could after a split by film; once among films of
# other *source videos* alone. Other readers see the loudness, and the whole first
# frame, in which the letter stands.


# %%
def cut_corners(
    frames: UInt8[Tensor, "N T H W 3"], share: float = 0.12
) -> Float[Tensor, "N colours"]:
    """The four corners of each first frame: the ground alone, as mean colours."""
    side = max(1, round(share * frames.shape[2]))
    first = frames[:, 0].movedim(-1, 1).float() / 255  # (N, 3, H, W)
    corners = [
        first[..., rows, columns].mean((2, 3))
        for rows in (slice(0, side), slice(-side, None))
        for columns in (slice(0, side), slice(-side, None))
    ]
    return torch.cat(corners, dim=1)  # (N, 12)


# %% tags=["active-ipynb"]
# whole = {split: prepared.load_clips(lesson.data, split) for split in data}
# films = [name for one in whole.values() for name in one.recordings]
# units = [*train.units, *test.units]
# places = {"among films": films}
# if len(set(units)) > len(train.classes):
#     places["among source videos"] = units
# else:  # a head's person is its class: nobody else could be right
#     print("Each unit is a class of its own here, so only films can be compared.")

# %% tags=["active-ipynb", "shortcuts"]
# labels = torch.cat([train.labels, test.labels])
# frames = torch.cat([train.frames, test.frames])
# sound = torch.cat([train.waveforms, test.waveforms])
# small = F.interpolate(frames[:, 0].movedim(-1, 1).float(), (16, 16), mode="area")
# properties = {
#     "the four corners": cut_corners(frames),
#     "loudness": (sound.square().mean(1, keepdim=True) + 1e-10).log10(),
#     "the whole first frame": small.flatten(1),
# }
# rows = []
# for name, x in properties.items():
#     row = {"what is read": name}
#     for text, others in places.items():
#         row[text] = read_by_nearest_neighbour(x, labels, others, name=name, seed=SEED)
#     rows.append(row)
# chance = 1 / len(train.classes)
# caption = f"The right class by the nearest video (chance {chance:.0%})"
# lesson.table("shortcuts", rows, caption)

# %% [markdown]
# Another film of the same source video has the same ground. So where source videos have
# several films, the ground names the letter among films. (At `smoke` most have only
# one, and the table is too short to show it.) Among other source videos the ground
# should be near chance, because it is drawn without a look at the letter. So the split
# by source is ours, and a split by film (or none) tells nothing of what a network has
# understood. The first frame may tell the letter: it shows it, and the paper's model is
# given the letter besides.
#
# ## What the sound says of the picture
#
# A generator can only be asked for what its inputs hold. An **oracle** says how much
# that is: a regression from the sound about a frame to what is seen in it, fitted on
# the training part and judged on the other. Beside its correlation r stands that of the
# same answers shifted by whole videos: what luck would give.
#
# `waveforms (N, S) → (N · T, d)`


# %%
def hear_frames(
    waveforms: Float[Tensor, "N samples"], before: int = 8, after: int = BESIDE
) -> Float[Tensor, "frames d"]:
    """The spectra about each frame, in dB: (N · T, (before + 1 + after) · 24).

    Frames before the sound of the video begins are silent.
    """
    width = SAMPLE_RATE // FPS
    parts = waveforms.unflatten(1, (-1, width))  # (N, T + 6, samples of a frame)
    power = torch.fft.rfft(parts * torch.hann_window(width)).abs().square()
    # 24 bands, narrow below and wide above.
    edges = torch.logspace(0.3, 2.5, 25).round().long()
    bands = [
        power[..., a : max(a + 1, b)].mean(2)
        for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]
    levels = 10 * (torch.stack(bands, dim=2) + 1e-4).log10()  # (N, T + 6, 24)
    padded = F.pad(levels, (0, 0, before - BESIDE, 0), value=-40.0)
    around = padded.unfold(1, before + 1 + after, 1)[:, :FRAMES]
    return around.flatten(2).flatten(0, 1)


# %%
QUANTITIES = {
    "sung": "the word is sung",
    "shown": "how much of the object has entered",
    "written": "how much of the word is written",
    "pulse": "the pulse of the beat",
    "tilt": "to which side the letter leans",
    "mouth_open": "how far the mouth is open",
    "mouth_width": "how wide the lips are",
}


def list_quantities(clips: Clips) -> dict[str, Float[Tensor, " frames"]]:
    """What is known at each frame, for an oracle: text → (N · T,)."""
    return {
        text: clips.truth[name].flatten()
        for name, text in QUANTITIES.items()
        if name in clips.truth
    }


# %%
def take_videos(clips: Clips, count: int) -> Clips:
    """Take about `count` videos in which something moves, evenly over the split."""
    moving = ~clips.held.any(1)
    if "still" in clips.truth:
        moving &= clips.truth["still"][:, 0] == 0
    index = moving.nonzero()[:, 0]
    index = index[:: max(1, len(index) // count)]
    return Clips(
        clips.frames[index], clips.waveforms[index], clips.labels[index],
        clips.classes, [clips.units[i] for i in index.tolist()], clips.held[index],
        truth={name: values[index] for name, values in clips.truth.items()},
    )  # fmt: skip


# %% tags=["active-ipynb", "oracles"]
# rows = []
# for name, one in sets.items():
#     first, second = (take_videos(one[s], settings.heard) for s in ("train", "test"))
#     known = [list_quantities(clips) for clips in (first, second)]
#     if not known[0] or len(second) < 3:
#         continue  # nothing is known, or too little to be shifted by whole videos
#     heard = [hear_frames(clips.waveforms) for clips in (first, second)]
#     oracle = fit_oracle(heard[0], known[0], before=0)
#     found = judge_oracle(oracle, heard[1], known[1], block=FRAMES, least=FRAMES)
#     rows += [{"set": f"{name}s", **row} for row in found]
# lesson.table("oracles", rows, "What 0.48 s of sound say of the frame within it")

# %% [markdown]
# Where r is well above its shifted control, a network that listens can know the
# quantity for a letter, voice and tune that it has never met. How much of the object
# has entered depends also on what happened before the video began, which neither the
# sound of half a second nor the first frame of a later clip says.
#
# ## The entrance, by the sound alone
#
# The central number of this series is the **entrance**: in which frame does the object
# come in? The truth marks it. How well could somebody guess it who never listens, and
# only knows when entrances usually are?


# %%
def find_entrances(clips: Clips) -> Int64[Tensor, " N"]:
    """The frame in which the object enters, of each video; -1 where it does not."""
    marked = clips.truth["onset_entrance"] == 1
    first = marked.float().argmax(dim=1)
    return torch.where(marked.any(1), first, -1)


# %% tags=["active-ipynb", "entrances"]
# if "onset_entrance" in train.truth:
#     frames_in = {split: find_entrances(clips) for split, clips in data.items()}
#     middle = frames_in["train"][frames_in["train"] >= 0].float().median()
#     entered = frames_in["test"][frames_in["test"] >= 0]
#     error = (entered - middle).abs().mean().item()
#     row = {"videos with an entrance": len(entered)}
#     row |= {"of all [%]": 100 * len(entered) / len(test)}
#     rows = [row | {"error of always the median [frames]": error}]
#     lesson.table("entrances", rows, "Entrances of the test part")
#     figure, axes = show.subplots(1, 1, width=5.0, height=1.5)
#     bins, colour = range(FRAMES + 1), show.COLOURS[2]
#     axes[0, 0].hist(entered.numpy(), bins=bins, color=colour)
#     axes[0, 0].set(xlabel="frame of the entrance", ylabel="videos")
#     axes[0, 0].yaxis.get_major_locator().set_params(integer=True)
#     lesson.figure("entrances", figure, "When objects enter (test part).")

# %% [markdown]
# Entrances lie anywhere in the video, so the first frame alone cannot say when. A model
# that follows the sound must beat the error of the table.
#
# ## A video to watch

# %% tags=["active-ipynb", "films"]
# moves = take_videos(test, 4)
# if not len(moves):  # all of yours are held or still
#     moves = test
# for name in sets:
#     one = moves if name == kind else heads["test"]
#     span = slice(BESIDE * SAMPLE_RATE // FPS, (BESIDE + FRAMES) * SAMPLE_RATE // FPS)
#     heard = one.waveforms[0, span].numpy()
#     film = show.encode_mp4(one.frames[0].numpy(), heard, FPS, SAMPLE_RATE, zoom=4)
#     path = lesson.run_dir / "step1" / f"{name.replace(' ', '_')}.mp4"
#     path.parent.mkdir(exist_ok=True)
#     path.write_bytes(film)
#     lesson.video(path.stem, path, f"One video: {name}.")

# %% [markdown]
# ## Your own films
#
# Name films after the video that they were cut from, `62_5.mp4`, and write their
# letters into `labels.csv` beside them. Films of anything else, such as people who
# speak, go into one folder a class, `my_videos/anna/1.mp4`. VidTIMIT is read as it is.
#
# ```
# avnb prepare phonics --source my_films --out my_clips
# avnb prepare folder --source my_videos --out my_clips --seconds 1.52 --fps 25 \
#     --sample-rate 16000
# avnb prepare vidtimit --source vidtimit --out my_clips
# avnb run cascaded_siamese --scale laptop --data my_clips
# ```
#
# Without any recordings, the whole series also runs on drawn heads instead of slides:
#
# ```
# avnb prepare heads --source drawn_heads --out heads_clips --size 32
# avnb run cascaded_siamese --scale laptop --data heads_clips
# ```
#
# The report names each film or folder that was left out, and why: no sound, a letter
# that is none, frames missing in the middle. It counts stills, short films and leaking
# borders.
#
# ## What came out
#
# - A slide's object enters where its word is sung, and things move on the beat. A
#   head's mouth follows the phones.
# - A video has 32 frames of 25 a second. Its sound begins 3 frames earlier and ends 3
#   frames later. Short films are held and masked.
# - Where source videos have several films, the ground names the letter after a split
#   by film. After a split by source video it does not.
# - The sound says when the word is sung, where the beat is, and how far a mouth is
#   open.
#
# ## Exercises
#
# 1. Some films begin with frames of another slide. Find the first frame of the film's
#    own.
# 2. A film of n frames must fill a video: hold its last frame, and say which are held.

# %% tags=["active-ipynb"]
# from avnb_notebooks.cascaded_siamese import exercises
#
#
# def find_own_start(frames, near=10):
#     """The number of the first frame of the film's own slide; 0 if no border leaks.
#
#     frames: (T, H, W), grey levels. A cut changes more than 40 % of the pixels by more
#     than 8 levels. Only cuts up to frame `near` count, and the last of them.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.FIND_OWN_START, find_own_start)

# %% tags=["active-ipynb"]
# def hold_last(frames, count=32):
#     """`count` frames, and a mask (count,) that is True where the last one is held.
#
#     frames: (n, H, W, 3), n may be larger than `count` as well.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.HOLD_LAST, hold_last)

# %% tags=["active-ipynb"]
# lesson.finish()
