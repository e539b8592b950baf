# %% [markdown]
# # Step 2 · Sound: one segment a frame, and a memory for eight of them
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/cascaded_siamese/step2_sound.ipynb)
#
# Everything that moves in these videos moves to a song or a sentence. This notebook
# turns the sound into what the generator hears: 32 **segments**, one a frame, each a
# small picture of 64 × 20 numbers; and a recurrent network that reads the eight
# segments of a clip.
#
# **You will learn**
#
# 1. why the paper describes its sound in three ways, and which one works,
# 2. how segments are cut so that each is centred on its frame,
# 3. how far into the future a frame hears, in milliseconds,
# 4. what a GRU makes of a clip's eight segments, and why its state is reset.
#
# **Time.** About 15 minutes to read. The cells run in about a minute.
#
# **Before you start.** Read step 1.
#
# **Letters.** B videos · T frames (32) · n segments of a clip (8) · M mel bands (64) ·
# A columns of a segment (20) · H numbers of the code (256).

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
import numpy as np
import torch
from avnb_notebooks.cascaded_siamese.step1_data import (
    BESIDE,
    FPS,
    FRAMES,
    SAMPLE_RATE,
    SAMPLES,
)
from jaxtyping import Float
from torch import Tensor, nn

from avnb.errors import AvnbError
from avnb.features import Mel
from data_scripts import bandstand

# %% tags=["active-ipynb"]
# import librosa
#
# from avnb import course
# from avnb.viz import show

# %%
MELS = 64
HOP = SAMPLE_RATE // 100  # samples from one column to the next: 10 ms
COLUMNS = 20  # of a segment: 200 ms
A_FRAME = SAMPLE_RATE // FPS // HOP  # columns of one frame: 4
AROUND = (COLUMNS - A_FRAME) // 2  # columns before a frame, and behind it: 8
WINDOW = SAMPLE_RATE // 40  # samples that one column sees: 25 ms
FLOOR = 1e-5  # added to the energy before the logarithm
CLIP = 8  # frames of a clip, and segments of its sound


# %% [markdown]
# ## Something to look at and to listen to
#
# A drawn head speaks syllables that mean nothing. Its jaw and lips move with them.


# %%
def film_speaker(
    player: int, size: int = 32
) -> tuple[Float[Tensor, "3 t n n"], Float[Tensor, " samples"]]:
    """A video of a drawn speaking head, and its sound from 3 frames before it on."""
    take = bandstand.record_take("speaking", player=player, seconds=3, seed=player)
    sound = torch.from_numpy(take.synthesise(SAMPLE_RATE))
    times = 1 + (BESIDE + np.arange(FRAMES)) / FPS  # the waveform begins at 1 s
    drawn = np.stack([take.draw(float(t), size) for t in times])
    video = torch.from_numpy(drawn).permute(3, 0, 1, 2).float() / 127.5 - 1
    return video, sound[SAMPLE_RATE : SAMPLE_RATE + SAMPLES].float()


# %% tags=["active-ipynb"]
# video, speech = film_speaker(3, size=48)
# frames, times = (video.permute(1, 2, 3, 0) + 1) / 2, np.arange(FRAMES) / FPS
# show.film_strip(frames[::4], times[::4], title="every fourth frame of a video")

# %% tags=["active-ipynb"]
# show.listen([speech], SAMPLE_RATE, ["the video, and 0.12 s more on both sides"])

# %% [markdown]
# ## Three descriptions of one thing
#
# The paper says how the sound is cut in three places:
#
# | where | what |
# |---|---|
# | Sec. 3.1 | "overlapping equal segments", as many as there are clips |
# | Sec. 4.1 | "every audio segment corresponds to one frame": 32, each 64 × 20 |
# | Sec. 4.1 | "we divided the aligned audio signal … into four segments" |
#
# They fit together in one way only: each *frame* has a segment of 64 × 20, and the
# sound of a *clip* is the row of its eight segments. So "four segments" are four
# groups of eight. A segment cannot be shorter than its frame, and at 25 frames a
# second a frame lasts 40 ms. The paper gives no rate, so we choose the usual one: a
# column every 10 ms. Then 20 columns last 200 ms, which is five frames, and
# neighbours overlap by 80 %.
#
# ## Columns
#
# A column is the energy in 64 mel bands, seen through a window of 25 ms. The cells of
# 10 ms are numbered from the beginning of the waveform, three frames before the video.
# We want column c in the **middle** of cell c, at 10 c + 5 ms. The transform of
# `avnb.features` centres its columns on multiples of the hop, so we give it the sound
# without its first half hop.
#
# `sound (B, samples) → log-mel (B, M, 152)`


# %%
class LogMelColumns(nn.Module):
    """log(mel energy + 1e-5) in cells of 10 ms: (B, samples) → (B, 64, cells)."""

    def __init__(self) -> None:
        super().__init__()
        # The window has 400 samples. Padded to 1,024, even the lowest of the 64 filters
        # has a bin of its own.
        self.mel = Mel(SAMPLE_RATE, 1024, HOP, MELS, win_length=WINDOW)

    def forward(
        self, sound: Float[Tensor, "b samples"]
    ) -> Float[Tensor, "b mels cells"]:
        """Column c is centred at 10 c + 5 ms."""
        energy = self.mel(sound[..., HOP // 2 :])
        return (energy[..., : sound.shape[-1] // HOP] + FLOOR).log()


# %% tags=["active-ipynb", "columns"]
# columns = LogMelColumns()(speech[None])[0]
# assert columns.shape == (MELS, 152)
# hz = librosa.mel_frequencies(MELS + 2, fmax=SAMPLE_RATE / 2)[1:-1]  # of the bands
# scale = {"hop": 0.01, "hz": hz, "unit": "log energy"}
# show.spectrograms([columns], captions=["log-mel of 1.52 s"], **scale)

# %% [markdown]
# ## Segments
#
# Frame t begins with cell 4 (t + 3) and lasts four cells. Its segment has eight cells
# more on both sides: 8 + 4 + 8 = 20. It is centred on the frame. One after the other:
#
# `log-mel (M, 152) → segments (T, M, A)`


# %%
def cut_segments_slow(columns: Float[Tensor, "mels cells"]) -> Float[Tensor, "t m a"]:
    """The segment of each frame: its own four cells, eight before, eight behind."""
    segments = []
    for t in range(columns.shape[1] // A_FRAME - 2 * BESIDE):
        first = A_FRAME * (t + BESIDE) - AROUND
        segments.append(columns[:, first : first + COLUMNS])
    return torch.stack(segments)


# %% [markdown]
# Overlapping windows of one tensor need no copy: `unfold` gives a view with strides.


# %%
class SegmentCutter(nn.Module):
    """A waveform → the segments of its frames (Sec. 4.1): (B, T, 64, 20).

    The waveform has three frames of sound more than the video on both sides.
    """

    def __init__(self) -> None:
        super().__init__()
        self.columns = LogMelColumns()

    def forward(self, sound: Float[Tensor, "b samples"]) -> Float[Tensor, "b t m a"]:
        """One segment for each frame that the sound has."""
        frame = SAMPLE_RATE // FPS
        if sound.shape[-1] % frame or sound.shape[-1] <= 2 * BESIDE * frame:
            raise AvnbError(
                "the sound", f"{sound.shape[-1]} samples are no whole frames and "
                f"{BESIDE} beside them on both sides",
                f"Give {frame} samples for each of T + {2 * BESIDE} frames",
            )  # fmt: skip
        columns = self.columns(sound)
        skip = A_FRAME * BESIDE - AROUND  # cells that no segment has
        windows = columns[..., skip : columns.shape[-1] - skip]
        return windows.unfold(-1, COLUMNS, A_FRAME).transpose(1, 2)


# %% tags=["active-ipynb", "segments"]
# segments = SegmentCutter()(speech[None])
# assert segments.shape == (1, FRAMES, MELS, COLUMNS)
# assert torch.equal(segments[0], cut_segments_slow(columns))
# shown = (8, 9, 10, 16)
# captions = [f"frame {t}" for t in shown]
# show.spectrograms(segments[0, list(shown)], captions=captions, **scale)

# %% [markdown]
# The segments of frames 8, 9 and 10 are the same picture, moved by four columns. That
# of frame 16 is new, because it begins more than 200 ms later.
#
# ## What a frame hears of the future
#
# A segment ends 80 ms after its frame. The middle of its last column lies 5 ms before
# that end, and the column's window reaches 12.5 ms beyond its middle. So a frame hears
# the sound up to 80 − 5 + 12.5 = **87.5 ms** after its own end, and as far before its
# beginning. A live system would have to wait for it. The next cell checks this: it puts
# a click at one moment into silence, and asks which segments change.


# %%
def find_hearing_frames(moment: float, frames: int = FRAMES) -> list[int]:
    """The frames whose segments hear a moment, in s from the video's beginning."""
    reach = (AROUND * HOP + WINDOW // 2 - HOP // 2) / SAMPLE_RATE  # 0.0875 s
    return [
        t for t in range(frames) if t / FPS - reach < moment < (t + 1) / FPS + reach
    ]


# %% tags=["active-ipynb", "click"]
# moment = 0.5
# silence = torch.zeros(1, SAMPLES)
# click = silence.clone()
# click[0, round((moment + BESIDE / FPS) * SAMPLE_RATE)] = 1.0
# change = (SegmentCutter()(click) - SegmentCutter()(silence)).abs().amax(dim=(0, 2, 3))
# changed = torch.nonzero(change)[:, 0].tolist()
# assert changed == find_hearing_frames(moment)
# print(f"a click in frame {int(moment * FPS)} changes the segments of", *changed)
# figure, axes = show.subplots(width=5.5, height=2.0)
# axes[0, 0].bar(range(FRAMES), change, color=show.COLOURS[0])
# axes[0, 0].set(xlabel="segment of frame", ylabel="change [log energy]")
# figure

# %% [markdown]
# ## A memory for eight segments
#
# The eight segments of a clip go into a **GRU**, each as 64 · 20 = 1,280 numbers. Its
# state after the last one is the code of the clip's sound. (Step 3 of `joint_gan`
# writes the GRU out line by line.)
#
# $$h_k = \mathrm{GRU}(s_k, h_{k-1}),\quad k = 1 \dots 8,\qquad a = h_8 .$$
#
# The network has two outputs: the last state, and all eight. The paper's decoder takes
# the first; step 3 offers the second, which says *when* in the clip something is heard.
#
# `segments (B, n, M, A) → last state (B, H), all states (B, n, H)`


# %%
class SoundEncoder(nn.Module):
    """The GRU over the segments of a clip (Sec. 3.1); `hidden` is ours: 256.

    The paper gives no normalisation. Logarithms between log(1e-5) and about 5 would
    drive the gates into their flat parts, so they are brought to about -1 … 1.
    """

    def __init__(self, hidden: int = 256) -> None:
        super().__init__()
        self.gru = nn.GRU(MELS * COLUMNS, hidden, batch_first=True)

    def forward(
        self,
        segments: Float[Tensor, "b n m a"],
        state: Float[Tensor, "b h"] | None = None,
    ) -> tuple[Float[Tensor, "b h"], Float[Tensor, "b n h"]]:
        """The last state, and all; `state` is the one before (none: zeros)."""
        x = segments.flatten(2) / 6 + 1
        states, last = self.gru(x, None if state is None else state[None])
        return last[0], states


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# encoder = SoundEncoder()
# with torch.no_grad():
#     last, states = encoder(segments[:, :CLIP])
# assert last.shape == (1, 256)
# assert torch.equal(last, states[:, -1])
# values = segments.flatten() / 6 + 1
# low, middle, high = values.quantile(torch.tensor([0.01, 0.5, 0.99])).tolist()
# print(f"the GRU's inputs, 98 % of them: {low:.2f} … {high:.2f}, median {middle:.2f}")

# %% [markdown]
# ## Reset or carried?
#
# A video has four clips. Does the GRU begin each of them with an empty state, or with
# the one that the clip before has left? The paper does not say. Its training **shuffles
# the clips** (step 4). A carried state would then hold the sound of a clip that was
# never before this one, and it would hint at the order. So our default is to reset it.
#
# `segments (B, T, M, A) → codes (B, T / 8, H)`


# %%
def encode_clips(
    encoder: SoundEncoder, segments: Float[Tensor, "b t m a"], carried: bool = False
) -> tuple[Float[Tensor, "b clips h"], Float[Tensor, "b clips n h"]]:
    """The code of each clip of eight segments, and all states."""
    clips = segments.unflatten(1, (-1, CLIP))
    if not carried:  # the clips know nothing of each other: they are one batch
        last, states = encoder(clips.flatten(0, 1))
        size = clips.shape[:2]
        return last.unflatten(0, size), states.unflatten(0, size)
    state, codes = None, []
    for clip in clips.unbind(1):
        state, states = encoder(clip, state)
        codes.append(states)
    all_states = torch.stack(codes, dim=1)
    return all_states[:, :, -1], all_states


# %% tags=["active-ipynb", "reset"]
# order = [2, 0, 3, 1]
# groups = segments.unflatten(1, (4, CLIP))
# shuffled = groups[:, order].flatten(1, 2)
# rows = []
# for carried in (False, True):
#     with torch.no_grad():
#         before, _ = encode_clips(encoder, segments, carried)
#         after, _ = encode_clips(encoder, shuffled, carried)
#     difference = (after - before[:, order]).norm(dim=2) / before.norm(dim=2).mean()
#     name = "carried" if carried else "reset at each clip"
#     rows.append({"state": name} | {
#         f"clip {c}": difference[0, k].item() for k, c in enumerate(order)
#     })  # fmt: skip
# show.table(rows, "change of a clip's code in another place; 1 is the size of a code")

# %% [markdown]
# With a reset state the code of a clip is the same wherever it stands: 0 in all
# columns. With a carried one it depends on what came before.
#
# ## What came out
#
# - A segment is 64 × 20: its frame, and 80 ms on both sides.
# - A frame hears up to 87.5 ms of what comes after it. The click shows it.
# - The eight segments of a clip become one code of 256 numbers, and the state is reset
#   at each clip.
#
# ## Exercises
#
# 1. Build the segment cutter.
# 2. Compute the first and the last sample that a frame hears.

# %% tags=["active-ipynb"]
# from avnb_notebooks.cascaded_siamese import exercises
#
#
# def cut_segments(columns, frame, around, beside):
#     """Segments (T, M, frame + 2 · around) of log-mel columns (M, cells).
#
#     A frame lasts `frame` cells, a segment has `around` more on both sides, and the
#     columns have `beside` frames more than the video at both ends.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.CUT_SEGMENTS, cut_segments)

# %% tags=["active-ipynb"]
# def find_heard_samples(t, hop, window, frame, around, beside):
#     """The first sample that the segment of frame t sees, and the one after its last.
#
#     Counted in the waveform. `hop` and `window` are in samples, `frame` and `around`
#     in cells of a hop, `beside` in frames; column c is centred in cell c.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.FIND_HEARD_SAMPLES, find_heard_samples)
