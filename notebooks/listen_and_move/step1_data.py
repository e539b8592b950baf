# %% [markdown]
# # Step 1 · Data: one video, and the sound features of each frame
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/listen_and_move/step1_data.ipynb)
#
# *Listen and Move* (Redondo 2024) trains on **a single video** of one performer, a few
# minutes long. After training you give the model any sound, and it generates a video in
# which the performer moves to that sound. The model has no skeleton, no face model and
# no knowledge of music. Its only input is a short piece of sound for each frame. This
# notebook computes that input.
#
# **You will learn**
#
# 1. what a **chunk** of sound is, how long it is, and why neighbouring chunks overlap,
# 2. how the 64 features of a chunk are computed, and why the released code's version
#    makes digital silence the loudest possible input,
# 3. how one video is split into training and test parts,
# 4. what can be heard of the performer's motion, measured before anything is trained,
# 5. which baselines and which control the later notebooks use.
#
# **Time.** About 30 minutes to read. The cells run in about a minute on two cores.
#
# **Before you start.** You should know what a spectrogram is, and a little PyTorch.
#
# **Letters.** T frames · B mel bands (64) · A columns of the spectrogram in a chunk (8)
# · H columns from one frame to the next (5) · S samples · h, w height and width.

# %% tags=["parameters"]
SCALE = "laptop"  # how large everything is: one of the scales below
DATA = ""  # "" is the embedded data; or a folder of clips, see `avnb prepare --help`
SEED = 0  # of every random number: a whole number; each seed has a run of its own
RUN_DIR = ""  # "" is the usual folder of this run, below runs/listen_and_move/
OVERRIDES = {}  # {"field": value} of the table of settings below: your own values
# scale      for                                       the whole series took
# smoke      tests: every line runs, nothing learned   not measured yet
# laptop     two cores, no GPU: the networks do learn  18.1 min at 87 GFLOP/s
# reference  two cores for hours: what claims rest on  at least 5.9 hours
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
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Shaped, UInt8
from torch import Tensor, nn

from avnb.data import clips
from avnb.errors import ClipsError
from avnb.features import ChunkFeatures, scale_db
from avnb.metrics.oracles import fit_oracle, judge_oracle


# %% tags=["active-ipynb"]
# import numpy as np
# from IPython.display import display
# from matplotlib.patches import Rectangle
#
# from avnb import course
# from avnb.features import CHUNK_COLUMNS
# from avnb.viz import show
# from data_scripts import bandstand
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
#         #          smoke laptop reference gpu  paper
#         seconds=(2.0, 4.0, 4.0, 4.0, 4.0),  # length of the excerpts below
#         others=(6.0, 60.0, 240.0, 240.0, 240.0),  # of each of the other performers
#     ),
# )
# settings

# %% [markdown]
# ## The video
#
# The embedded video shows a cellist drawn by a program. The cellist moves *because* of
# the music. The left hand moves along the string with the pitch. Near the **frog** (the
# end of the bow that the hand holds) the tone is bright and the hair hisses; near the
# tip it is dark and clean. A down-bow begins with a bite, an up-bow begins softly, and
# a **slurred** note, which shares the bow of the note before, has no attack at all. A
# phrase begins with a down-bow at the frog. Here are four seconds of it, drawn now.

# %% tags=["active-ipynb", "world"]
# take = bandstand.record_take("melodic", player=6, seconds=settings.seconds, seed=SEED)
# times = np.linspace(0, settings.seconds, 8, endpoint=False)
# frames = [take.draw(t, 160) for t in times]
# lesson.figure(
#     "world",
#     show.film_strip(frames, times),
#     "The hand and the bow follow the music that is heard below.",
# )
# lesson.audio("world", take.synthesise(16000), 16000, "What the cellist plays")

# %% [markdown]
# The embedded data is such a video of some minutes, in the small size that the networks
# see. It is drawn and written to a file once, which takes about a minute. You can use
# your own video instead: run `avnb prepare single_video --source FILE` and set `DATA`
# to the folder that it writes. `load_recording` joins the prepared clips to one video
# without gaps.

# %% tags=["active-ipynb"]
# recording = clips.load_recording(lesson.data, "train")
# fps, rate = round(recording.fps), recording.sample_rate
# shown = round(settings.seconds * fps)
# samples = len(recording.waveform)
# print(f"{len(recording)} frames, {fps} a second; {samples} samples, {rate} Hz")
# every = shown // 8
# lesson.figure(
#     "performer",
#     show.film_strip(recording.frames[:shown:every], recording.times[:shown:every]),
#     "The first seconds of the training video.",
# )
# excerpt = recording.waveform[: round(settings.seconds * rate)]
# lesson.audio("performer", excerpt.numpy(), rate, "The sound of the same seconds.")

# %% [markdown]
# ## What a chunk is
#
# Let $\Phi[b, n]$ be a log-mel spectrogram with $B = 64$ bands from 125 to 7,500 Hz, a
# window of 25 ms and a new column every 10 ms. Frame $t$ (counted from 0) gets the
# chunk of $A = 8$ columns that starts where the frame starts. The features of the frame
# are the mean over these columns:
#
# $$c_t = \{\Phi[b,\ Ht + a] \mid a = 0 \dots A - 1\}, \qquad
#   f_t = \frac1A \sum_a c_t[\cdot, a] .$$
#
# At 20 frames a second a frame lasts $H = 5$ columns. Neighbouring chunks therefore
# share three of their eight columns, which is 37.5 %. Because of this overlap the
# features change smoothly from frame to frame, even before any network is applied.

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
#     # each column's window is 25 ms wide and centred on the column
#     span = [start - 12.5, start + 10 * (CHUNK_COLUMNS - 1) + 12.5]
#     ax.plot(span, [3.4 - t] * 2, color=colour, alpha=0.35, linewidth=7)
# ax.set(xlabel="ms", yticks=[], ylim=(0, 5.1), xlim=(-20, 260))
# lesson.figure("chunks", figure, "Dots: columns. Bars: the samples that a chunk uses.")

# %% [markdown]
# Look at the first bar. The chunk starts with its frame and continues **after** the
# frame's start, so a frame is generated from sound that comes up to 80 ms later. For a
# recorded file this does no harm, and it even helps, because a musician's hand moves
# before the note sounds. In a live performance it would delay the picture by 80 ms.
#
# How long is a chunk? The paper says 85 ms. Eight columns of 10 ms are 80 ms. From the
# first sample of the first window to the last sample of the last window it is:

# %% tags=["active-ipynb"]
# hops = CHUNK_COLUMNS * 10
# reach = (CHUNK_COLUMNS - 1) * 10 + 25
# shared = 100 * (CHUNK_COLUMNS - hop) / CHUNK_COLUMNS
# print(f"hops: {hops} ms · samples used: {reach} ms · shared: {shared} %")
# print(f"85 ms in columns: 8.5, which Python rounds to {round(8.5)}")

# %% [markdown]
# ### Why 85 ms?
#
# If a chunk is too short, it does not contain one period of a low tone. If it is too
# long, two notes fall into one chunk. The figure compares the chunk with the durations
# that sound is made of:

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
# The library holds this computation, in `avnb.features`. Here is its source. The cell
# below it computes the same features column by column from the definition above and
# checks that both agree.

# %% tags=["active-ipynb"]
# course.show_source(ChunkFeatures)

# %% tags=["active-ipynb"]
# measure = ChunkFeatures(rate, fps, reference="recording")
# features = measure(excerpt)
# columns = 10 * measure.mel(excerpt).clamp(min=1e-30).log10()
# columns = (columns - columns.max()).clamp(min=-80)
# by_hand = [
#     columns[:, t * hop : t * hop + CHUNK_COLUMNS].mean(dim=1)
#     for t in range(len(features))
# ]
# assert torch.allclose(features, torch.stack(by_hand), atol=1e-3)
# print(f"Φ {tuple(columns.shape)} → f {tuple(features.shape)}")

# %% [markdown]
# ## A trap: what does 0 dB refer to?
#
# A decibel value is a ratio, so it needs a reference. The released code divides each
# chunk **by its own largest value** (`power_to_db(ref=np.max)`, chunk by chunk). This
# has two consequences:
#
# - Loudness is lost. A soft note and the same note played loudly have equal features.
# - In digital silence all values are equal to the floor. Then every value is also the
#   maximum, and all bands are 0 dB, which is the largest value a feature can have.
#
# The figure shows this with five sounds of one second each: the music, the same music
# 30 dB softer, very soft noise, even softer noise, and silence.

# %% tags=["active-ipynb", "silence"]
# level = measure.measure_peak_energy(recording.waveform)
# music = recording.waveform[rate : 2 * rate]
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
# for ax, (rule, extract) in zip(
#     axes[0], {"each chunk": by_chunk, "training": by_level}.items(), strict=True
# ):
#     for name, sound in sounds.items():
#         ax.plot(extract(sound).mean(dim=0), label=name)
#     ax.set(title=f"0 dB is the loudest of {rule}", xlabel="band", ylim=(-84, 4))
# axes[0, 0].set_ylabel("dB")
# figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center")
# lesson.figure("silence", figure, "Left, as released: silence has the largest values.")

# %% [markdown]
# On the left the two curves of the music coincide, and so do the two curves of the
# noise. Silence lies above all of them. On the right a softer sound has lower values in
# every band, and silence has the lowest. (The softest noise is below the floor of -80
# dB, so its curve coincides with that of silence.)
#
# The right side uses one number for everything: the largest mel energy of the training
# part. This number is saved with the model, so that any other sound is measured with
# the same reference.
#
# There is a second trap, inside the network. Features of tens of decibels saturate the
# sigmoids of a GRU (step 2 shows it). Our features are therefore scaled to -1…1. The
# released code keeps them in dB.
#
# `sound (S,) → features (T, B)`


# %%
def check_finite(sound: Float[Tensor, " s"]) -> Float[Tensor, " s"]:
    """Return the sound unchanged, or raise an error if a sample is NaN or infinite.

    Raises:
        ValueError: names the first such sample and its value.
    """
    if not (finite := torch.isfinite(sound)).all():
        first = int((~finite).nonzero()[0])
        raise ValueError(
            f"sample {first} of the sound is {sound[first].item()}, "
            "and every sample must be finite"
        )
    return sound


# %%
class AudioFeatures(nn.Module):
    """Sound → one feature vector for each frame (Sec. 3.1).

    Args:
        sample_rate: of the sound, in Hz.
        fps: frames a second of the video.
        level: the mel energy that becomes feature 1. An energy 80 dB lower, and
            anything below that, becomes -1. None selects the released code's rule: dB
            relative to each chunk's own maximum, from -80 to 0.
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
        """The features of `frames` frames; by default of all that have a full chunk."""
        db = self.chunks(check_finite(sound), frames)
        return db if self.level is None else scale_db(db)


# %% tags=["active-ipynb"]
# audio_features = AudioFeatures(rate, fps, level)
# for name, sound in sounds.items():
#     ours, released = audio_features(sound), AudioFeatures(rate, fps)(sound)
#     print(f"{name:20} ours {ours.mean():+.2f}   released {released.mean():+6.1f} dB")
# assert audio_features(sounds["silence"]).max() == -1
# assert AudioFeatures(rate, fps)(sounds["silence"]).min() == 0

# %% [markdown]
# ## The split: the last fifth is the test part
#
# There is only one video, so there is no second recording to test on. Choosing test
# frames at random would not work: the neighbour of a test frame, 50 ms away, would be
# in the training part. The video is therefore cut once. The first 80 % of the time is
# for training and the rest is for testing.

# %% tags=["active-ipynb", "split"]
# parts = {name: clips.load_recording(lesson.data, name) for name in ("train", "test")}
# last, first = parts["train"].times.max(), parts["test"].times.min()
# assert last < first, "training must end before testing begins"
# share = len(parts["train"]) / sum(len(part) for part in parts.values())
# rows = [
#     {
#         "part": name,
#         "frames": len(part),
#         "from [s]": part.times[0].item(),
#         "to [s]": part.times[-1].item(),
#     }
#     for name, part in parts.items()
# ]
# lesson.record("split", rows)
# print(f"{100 * share:.1f} % of the frames are for training")
# show.table(rows)

# %% [markdown]
# How much does the cut matter? For both ways of splitting we compute the distance of
# each test frame to its nearest training frame. With a random split, each test frame
# has a near copy in training: its neighbour in time. With a cut in time, the nearest
# training frame is some other moment with a similar pose.


# %%
def nearest_distance(
    test: Float[Tensor, "m d"], train: Float[Tensor, "n d"]
) -> Float[Tensor, " m"]:
    """Root mean square difference of each test item to its nearest training item."""
    return torch.cdist(test, train).min(dim=1).values / test.shape[1] ** 0.5


# %% tags=["active-ipynb", "leak"]
# small = {k: part.frames[:, ::4, ::4].flatten(1).float() for k, part in parts.items()}
# order = torch.randperm(
#     len(small["train"]), generator=torch.Generator().manual_seed(lesson.seed)
# )
# pool = small["train"][order]
# cut = len(pool) // 5
# distances = {
#     "random split": nearest_distance(pool[:cut], pool[cut:]),
#     "cut in time": nearest_distance(small["test"], small["train"]),
# }
# curves = {
#     name: (np.linspace(0, 100, len(values)), values.sort().values)
#     for name, values in distances.items()
# }
# figure = show.curves(curves, x="% of the test frames are nearer", y="grey levels")
# lesson.figure("leak", figure, "Test frames and the nearest training frame.")

# %% [markdown]
# ## Which pixels move, and do they move *with the sound*?
#
# Most of each frame is an unmoving wall. A model that only draws the wall correctly has
# a small error already, and a still picture may have the smallest error of all. The
# later notebooks therefore also compute the error of the fifth of the pixels that
# change most in the training part:

# %%
# a video's frames, in memory or read from their file when they are needed
Frames = UInt8[Tensor, "t h w 3"] | clips.StreamedFrames


def find_moving_pixels(frames: Frames) -> Bool[Tensor, "h w"]:
    """Mask of the fifth of the pixels with the largest standard deviation over time."""
    sums = torch.zeros(2, *frames.shape[1:], dtype=torch.double, device=frames.device)
    for part in frames.split(512):  # a long video in floats would not fit in memory
        x = part.double()
        sums += torch.stack([x.sum(dim=0), x.square().sum(dim=0)])
    mean, square = sums / len(frames)
    # E[x²] − E[x]² can be slightly negative by rounding
    deviation = (square - mean.square()).clamp(min=0).sqrt().mean(dim=-1)
    most = deviation.flatten().topk(max(deviation.numel() // 5, 1)).indices
    mask = torch.zeros(deviation.numel(), dtype=torch.bool, device=frames.device)
    mask[most] = True
    return mask.view_as(deviation)


# %%
def average_frames(frames: Frames) -> UInt8[Tensor, "h w 3"]:
    """The mean frame: the still picture with the smallest mean square error."""
    sums = torch.zeros(frames.shape[1:], dtype=torch.double, device=frames.device)
    for part in frames.split(512):
        sums += part.sum(dim=0)
    return (sums / len(frames)).round().byte()


# %%
def masked_rmse(
    mask: Bool[Tensor, "h w"],
    generated: UInt8[Tensor, "t h w 3"],
    real: UInt8[Tensor, "t h w 3"],
) -> Float[Tensor, " t"]:
    """Root mean square error of each frame at the masked pixels, in grey levels."""
    difference = generated[:, mask].float() - real[:, mask].float()
    return difference.square().mean(dim=(1, 2)).sqrt()


# %% tags=["active-ipynb", "moving"]
# mask = find_moving_pixels(parts["train"].frames)
# first, white = parts["train"].frames[0], mask[..., None].byte()
# figure = show.image_grid(
#     [[first, (255 * white).expand_as(first), first * white]],
#     columns=["a frame", "moving pixels", "both"],
#     size=1.8,
# )
# lesson.figure("moving", figure, "The fifth of the pixels that change most.")

# %% [markdown]
# A model may also generate good frames and ignore the sound. To find out, we use a
# **control**: the same model gets the sound of *another moment* of the same video. That
# sound is just as typical and just as lively, but it belongs to a different time. If
# the right sound does not bring the frames closer to the real ones than the wrong sound
# does, the model ignores its input.


# %%
def shift_in_time(
    sequence: Shaped[Tensor, "t ..."], share: float = 0.25
) -> Shaped[Tensor, "t ..."]:
    """Give each frame the item that lies a share of the sequence before it.

    The sequence is cyclic: the first frames get items from its end. Music repeats
    itself, so use several shares.
    """
    return sequence.roll(round(len(sequence) * share), dims=0)


# %% tags=["active-ipynb"]
# real = parts["test"].frames
# still = average_frames(parts["train"].frames).expand_as(real)
# baselines = {"mean frame": still, "another moment": shift_in_time(real)}
# for name, frames in baselines.items():
#     error = masked_rmse(mask, frames, real).mean()
#     print(f"{name:15} RMSE of the moving pixels: {error:.1f} grey levels")

# %% [markdown]
# The real performer at the wrong moment has a *larger* error than the mean frame: the
# error punishes motion that comes at the wrong time. A model that does not beat the
# mean frame may therefore still have learned some of the motion, but not precisely
# enough. The control can tell the difference.
#
# ## One part of the video with its features
#
# `PerformerVideo` holds everything that the later notebooks need from one part: the
# frames, the features of each frame, the original video with its sound, and the module
# that computed the features. Both parts use the reference level of the *training* part.
#
# `window(t, n)` returns n frames from frame t on, in the form that the networks expect.


# %%
@dataclass(frozen=True)
class PerformerVideo:
    """T frames of one video, and the sound features of each frame."""

    frames: Frames
    features: Float[Tensor, "t b"]
    source: clips.Recording
    audio_features: AudioFeatures

    def __len__(self) -> int:
        return len(self.frames)

    def window(
        self, start: int, count: int
    ) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "n b"]]:
        """Frames in -1…1 and features from `start` on; ValueError outside the video."""
        if not 0 <= start <= start + count <= len(self):
            raise ValueError(
                f"{count} frames from {start} on: there are {len(self)} of "
                f"{self.source.recording}"
            )
        frames = self.frames[start : start + count].permute(0, 3, 1, 2)
        return frames.float() / 127.5 - 1, self.features[start : start + count]


# %%
def check_video(video: PerformerVideo, window: int) -> None:
    """Check that the networks can be trained on a video.

    Raises:
        ClipsError: the frames have another shape than the networks need, or there are
            fewer frames than one window has.
    """
    count, height, width = video.frames.shape[:3]
    name = video.source.recording
    # The generator doubles 4×4 maps until they have the size of a frame.
    if height != width or height < 8 or height & (height - 1):
        raise ClipsError(
            name,
            f"its frames are {height}×{width}, and the networks take squares of "
            "8, 16, 32, 64, 128, … pixels",
            "Prepare the video again with --size 64",
        )
    if count < window:
        raise ClipsError(
            name,
            f"{count} frames from {video.source.times[0]:.1f} s on, and a window has "
            f"{window}",
            "Use a longer video or a smaller window",
        )


# %%
def measure_level(train: clips.Recording) -> float:
    """The largest mel energy of the training part, to which the features are relative.

    ClipsError if it is silent.
    """
    measure = ChunkFeatures(train.sample_rate, train.fps).to(train.waveform.device)
    level = measure.measure_peak_energy(train.waveform)
    if not 0 < level < float("inf"):
        raise ClipsError(
            train.recording,
            f"its training part is silent (largest mel energy {level})",
            "Prepare another part of it, or another video",
        )
    return level


# %%
def load_performer_video(
    folder: str | Path, split: str, device: str = "cpu", *, as_released: bool = False,
    stream: bool = False,
) -> PerformerVideo:  # fmt: skip
    """Load one part ("train" or "test") of the video in a folder of prepared clips.

    The features of both parts are relative to the loudest moment of the training part,
    or, with `as_released`, in dB relative to each chunk. With `stream` the frames stay
    in their file, for videos larger than the memory. ClipsError if it is silent.
    """
    load = clips.stream_recording if stream else clips.load_recording
    recording = load(folder, split, device)
    level = None
    if not as_released:
        train = recording if split == "train" else load(folder, "train", device)
        level = measure_level(train)
    extract = AudioFeatures(recording.sample_rate, recording.fps, level).to(device)
    features = extract(recording.waveform, frames=len(recording))
    return PerformerVideo(recording.frames, features, recording, extract)


# %% tags=["active-ipynb"]
# train, test = (load_performer_video(lesson.data, part) for part in ("train", "test"))
# assert train.audio_features.level == test.audio_features.level
# frames, features = train.window(0, 16)
# assert len(features) == len(frames) == 16
# assert -1 <= frames.min() <= frames.max() <= 1
# assert -1 <= train.features.min() <= train.features.max() <= 1
# print(f"{len(train)} and {len(test)} frames; a window is {tuple(frames.shape)}")

# %% [markdown]
# The figure shows the frames, the features below them, and (because the video is drawn
# by a program) the true pitch. Every step of the melody changes the pattern of the
# features. This is what the network has to recognise.

# %% tags=["active-ipynb", "video"]
# figure, axes = show.subplots(3, 1, width=9, height=1.6)
# strip = np.concatenate(list(train.frames[:shown:every].numpy()), axis=1)
# seconds = shown / fps
# axes[0, 0].imshow(strip, extent=(0, seconds, 0, seconds / 8), aspect="equal")
# extent = (0, seconds, 0, train.features.shape[1])
# axes[1, 0].imshow(
#     train.features[:shown].T, origin="lower", aspect="auto", extent=extent
# )
# unknown = torch.full((len(recording),), torch.nan)
# pitch = recording.truth.get("pitch_hz", unknown)[:shown]
# when = np.arange(shown) / fps
# axes[2, 0].step(when, torch.where(pitch > 0, pitch, torch.nan), where="post")
# for ax, label in zip(axes[:, 0], ("frames", "band", "pitch [Hz]"), strict=True):
#     ax.set(ylabel=label, xlim=(0, seconds))
#     ax.grid(False)
# axes[0, 0].set_yticks([])
# axes[2, 0].set_xlabel("s")
# lesson.figure("video", figure, "Frames, sound features and the true pitch.")

# %% [markdown]
# ## What can be heard?
#
# A network can only be asked for what its input contains. If nothing in the sound told
# which way the bow goes, no training could teach it. So we ask before we train. The
# drawn video comes with its truth: where hands and bow are in each frame. An **oracle**
# reads each of these quantities from one second of the sound features, without any
# picture. It is a kernel ridge regression, fitted on the training part. Its correlation
# $r$ with the truth of the *test* part says what the sound contains.
#
# The oracle is asked in four ways:
#
# - **causal**: it hears the last second, as $R$ and $G$ do. This is the ceiling.
# - **centred**: it also hears half a second of the future.
# - **loudness alone**: it hears the mean of the 64 features and nothing else. This is a
#   shortcut. What it reads, a network can read without knowing any pitch or tone.
# - **shifted**: the causal readings, compared with the truth of another moment. This is
#   the floor: what is right by luck.


# %%
def choose_blocks(frames: int, fps: float | int) -> tuple[int, int]:
    """How a video is cut for intervals, and how far the control is shifted, in frames.

    Blocks of four seconds and shifts of two seconds or more. A short video has shorter
    blocks, because an interval needs several of them.

    Returns:
        (frames of a block, the smallest shift)
    """
    block = max(min(round(4 * fps), frames // 8), 1)
    return block, min(round(2 * fps), (frames - 1) // 2)


# %%
def ask_oracles(train: PerformerVideo, test: PerformerVideo) -> list[dict]:
    """A row for each quantity of the truth: what four oracles read, and the floor."""
    second = round(train.source.fps)
    block, least = choose_blocks(len(test), train.source.fps)
    windows = {"causal": (second - 1, 0), "centred": (second // 2, second // 2)}
    rows: dict[str, dict] = {}
    for name, (before, after) in windows.items():
        oracle = fit_oracle(
            train.features, train.source.truth, before=before, after=after
        )
        for row in judge_oracle(
            oracle, test.features, test.source.truth, block=block, least=least
        ):
            found = rows.setdefault(row["quantity"], {"quantity": row["quantity"]})
            found[name] = row["r"]
            if name == "causal":
                found["shifted"] = row["r, shifted"]
    loud = [part.features.mean(dim=1, keepdim=True) for part in (train, test)]
    oracle = fit_oracle(loud[0], train.source.truth, before=second - 1)
    for row in judge_oracle(
        oracle, loud[1], test.source.truth, block=block, least=least
    ):
        rows[row["quantity"]]["loudness alone"] = row["r"].value
    return list(rows.values())


# %% tags=["active-ipynb", "heard"]
# if train.source.truth:  # a video from outside has none
#     heard = ask_oracles(train, test)
#     lesson.table("heard", heard, "r of what is read from one second of sound")
#     values = {row["quantity"]: row["causal"].value for row in heard}
#     least, most = min(values, key=values.get), max(values, key=values.get)
#     print(f"read best: {most} (r = {values[most]:.2f})")
#     print(f"read worst: {least} (r = {values[least]:.2f})")
#     lucky = max(abs(row["shifted"].value) for row in heard)
#     print(f"the largest mean r of a shifted control: {lucky:.2f}")

# %% [markdown]
# Read the table from left to right. Where `causal` is near 1, the sound tells the
# quantity, and a network can be asked for it. Where it is low and `centred` is high,
# only the future tells it. Where `loudness alone` comes close to `causal`, the quantity
# proves little. Step 7 asks for the hand and the bow, and the last cell says what
# loudness tells of them. `onset` marks a single frame, and the attack of a note lasts
# longer than that, so its $r$ is small although every onset can be heard.
#
# The paper has four kinds of performer: melodic, harmonic, percussive and speaking. The
# drawn world has them all. Can their motion be heard, too?

# %% tags=["active-ipynb", "others"]
# others, pictures = [], []
# for kind in bandstand.PERFORMERS[1:] if train.source.truth else ():
#     take = bandstand.record_take(kind, player=7, seconds=settings.others, seed=SEED)
#     frames = round(settings.others * fps)
#     sound = torch.from_numpy(take.synthesise(rate))
#     features = scale_db(ChunkFeatures(rate, fps)(sound, frames=frames))
#     known = take.measure(np.arange(frames) / fps)
#     known = {name: torch.from_numpy(values) for name, values in known.items()}
#     cut = frames * 4 // 5
#     first, last = ({k: v[p] for k, v in known.items()} for p in
#                    (slice(None, cut), slice(cut, None)))  # fmt: skip
#     oracle = fit_oracle(features[:cut], first, before=round(fps) - 1)
#     block, least = choose_blocks(frames - cut, fps)
#     for row in judge_oracle(oracle, features[cut:], last, block=block, least=least):
#         if last[row["quantity"]].std() > 0:  # some drums are not struck at the end
#             others.append({"performer": kind} | row)
#     pictures.append(take.draw(settings.others / 2, 128))

# %% tags=["active-ipynb", "performers"]
# if others:
#     lesson.record("heard_others", others, "what can be heard of the other performers")
#     kinds = list(bandstand.PERFORMERS[1:])
#     figure = show.image_grid([pictures], columns=kinds, size=2)
#     lesson.figure("performers", figure, "The other three drawn performers.")
#     rows = []
#     for kind in kinds:
#         here = [row for row in others if row["performer"] == kind]
#         here = [row for row in here if not row["quantity"].startswith("onset")]
#         worst = min(here, key=lambda row: row["r"].value)
#         middle = float(np.median([row["r"].value for row in here]))
#         rows.append(
#             {"performer": kind, "quantities": len(here), "median r": middle}
#             | {"read worst": worst["quantity"], "its r": worst["r"]}
#         )
#     display(show.table(rows))

# %% [markdown]
# To train on one of them, make its video and give its folder as `DATA`:
# `avnb prepare performer --performer percussive --out drums`, then
# `avnb run listen_and_move --data drums`.
#
# ## What came out
#
# - Each frame has a vector of 64 features, made from 95 ms of sound. Neighbouring
#   frames share 37.5 % of their columns.
# - All features use one reference level, that of the training part. Silence is
#   therefore the smallest input and not the largest.
# - The oracle says what the sound contains of each quantity. Its $r$ is the ceiling of
#   every network that hears no more, and the shifted control is the floor.
# - The test part is the last fifth of the video. The mean training frame is the
#   baseline to beat, and the sound of another moment is the control.

# %% tags=["active-ipynb", "came-out"]
# for row in heard if train.source.truth else ():
#     if row["quantity"] in ("along", "bow"):
#         r, loud = row["causal"].value, row["loudness alone"]
#         named = {"along": "hand", "bow": "bow"}[row["quantity"]]
#         print(f"The last second of sound tells the {named}'s place with r = {r:.2f},")
#         print(f"its loudness alone with r = {loud:.2f}, and luck with", end=" ")
#         print(f"r = {row['shifted'].value:.2f}.")

# %% [markdown]
# ## Exercises
#
# 1. Build the features of all frames from the columns of a spectrogram.
# 2. Keep the released code's decibels relative to each chunk, but repair silence: use
#    the chunk's largest value *or a floor* as the reference, whichever is larger.

# %% tags=["active-ipynb"]
# from avnb_notebooks.listen_and_move import exercises
#
#
# def average_chunks(columns, frames):
#     """Columns (B, n) of a log-mel spectrogram → features (frames, B).
#
#     A chunk has eight columns, and the next one begins five columns later.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.AVERAGE_CHUNKS, average_chunks)

# %% tags=["active-ipynb"]
# def guarded_db(chunk, floor):
#     """(B, A) mel energies → (B,) mean dB, -80 to 0, below max(loudest, floor)."""
#     ...  # your code
#
#
# course.try_exercise(exercises.GUARDED_DB, guarded_db)

# %% tags=["active-ipynb"]
# lesson.finish()
