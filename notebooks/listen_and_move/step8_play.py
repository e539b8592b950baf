# %% [markdown]
# # Step 8 · Play: any sound, and the performer follows
#
# Nothing to train here, only to try. The network was told nothing of notes, words or
# bones: it heard 64 numbers a frame, and whatever makes a sound gives 64 numbers a
# frame. So the same performer can be driven by an ensemble, by drums, by your voice.
# That is what *agnostic* means in the paper's title. Whether the performer does
# something sensible with it is another question. It has only ever heard itself.
#
# 1. sound → film → mp4, in one small function,
# 2. its own music, which it has not heard, beside the real frames,
# 3. foreign sounds, and how much the film reacts to each,
# 4. your own sound,
# 5. a film of any length.
#
# **Letters.** S samples · T frames · N the picture's side.

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
import copy
import time

import numpy as np
import torch
from avnb_notebooks.listen_and_move.step1_data import Hearing
from avnb_notebooks.listen_and_move.step3_generator import Animator
from avnb_notebooks.listen_and_move.step4_prediction import film
from IPython.display import display

from avnb import course, files, metrics, training
from avnb.data import clips
from avnb.layers import NoiseInjection
from avnb.viz import show, widgets
from data_scripts import bandstand

# %% tags=["parameters"]
SCALE = "laptop"
DATA = ""
SEED = 0
RUN_DIR = ""
OVERRIDES = {}

# %%
lesson = course.start(
    "listen_and_move",
    "step8_play",
    scale=SCALE,
    data=DATA,
    seed=SEED,
    run_dir=RUN_DIR,
    overrides=OVERRIDES,
)

# %%
settings = lesson.settings(
    dict(
        #          smoke laptop gpu  paper
        seconds=(1.5, 4.0, 8.0, 8.0),  # of each sound
        draws=(2, 3, 5, 5),  # films of each sound, each with other noise
        window=(8, 32, 32, 32),  # frames that the network makes at once
    ),
)
settings

# %% [markdown]
# ## From a sound to a film
#
# Two networks are needed, both from step 6. The **hearing** turns a sound into
# features, and is measured by the loudest moment of the training part: it must be
# the training's, or the same music would be another. The **animator** is R and G.

# %%
device = training.get_device()


def network(name: str, cls: type[torch.nn.Module]) -> torch.nn.Module:
    """A finished network of this run."""
    path = lesson.need(f"models/{name}.safetensors", "step6_train")
    return training.load_model(path, cls).to(device).eval()


animator, hearing = network("animator", Animator), network("hearing", Hearing)
own = clips.load_recording(lesson.data, "test")
fps, rate = own.fps, own.sample_rate


# %% [markdown]
# The film is as long as the sound. The chunk of the last frames would go on after the
# end of the sound; silence follows there.
#
# `sound (S,) → frames (T, N, N, 3), bytes; T = S / rate · fps`


# %%
def animate(sound: np.ndarray, seed: int = lesson.seed) -> np.ndarray:
    """What the performer does to a sound; another seed gives other noise."""
    torch.manual_seed(seed)  # the layers' own noise; the motion's is film's
    waveform = torch.from_numpy(sound).float().to(device)
    count = max(1, round(len(sound) / rate * fps))
    features = hearing(waveform, frames=count)
    return film(animator, features, settings.window, seed).cpu().numpy()


def keep(name: str, frames: np.ndarray, sound: np.ndarray, caption: str) -> None:
    """Write a film and its sound as an mp4, and show it."""
    path = lesson.run_dir / "films" / f"{name}.mp4"
    zoom = max(1, 256 // frames.shape[1])
    files.write_bytes(path, show.encode_mp4(frames, sound, fps, rate, zoom=zoom))
    lesson.video(name, path, caption)


# %% [markdown]
# ## Its own music
#
# From the last fifth of the video, which nobody trained on. Left the real frames, right
# what the animator makes of the sound. Look for three things:
#
# - Does the bow turn **when** a note begins? A tenth of a second is seen.
# - Is the picture **still** where nothing should move, the wall and the chair?
# - Is the pose **right**? Many poses fit a sound. The left hand must be where the pitch
#   is; the head may be anywhere.
#
# The first frames have no past to go by. Give the performer half a second.

# %% tags=["own"]
mine = own.waveform[: round(settings.seconds * rate)].numpy()
made = animate(mine)
shown, length = len(made), len(mine) / rate  # less than asked for, of a short film
real = own.frames[:shown].numpy()
assert made.shape == real.shape
keep("own", np.concatenate([real, made], axis=2), mine, "Left real, right made.")
eight = np.arange(8) * shown // 8  # moments, evenly over the film
figure = show.image_grid(
    [real[eight], made[eight]],
    rows=["real", "made"],
    columns=[f"{t:.2f} s" for t in eight / fps],
)
lesson.figure("own", figure, "Its own music, unheard: real frames and made ones.")


# %% [markdown]
# ## Foreign sounds
#
# Now sounds that the performer has never made. The bandstand has a quintet, a drummer
# and a speaker. A sweep climbs from the lowest band to the highest, and so asks for
# every pitch in turn. White noise has all of them at once and no beginning. And the
# same music 12 dB softer: *we* hear the same piece; the features are all lower.


# %%
def sound_of(performer: str) -> np.ndarray:
    """Somebody else of the bandstand, as long as the performer's own sound."""
    take = bandstand.record_take(
        performer, player=7, seconds=max(length, 1), seed=lesson.seed
    )
    return take.synthesise(rate)[: len(mine)]


share = np.arange(len(mine)) / len(mine)
hz = 125 * (7500 / 125) ** share
noise = np.random.default_rng(lesson.seed).standard_normal(len(mine))
sounds = {
    "its own": mine,
    "12 dB softer": mine * np.float32(10 ** (-12 / 20)),
    "a quintet": sound_of("harmonic"),
    "drums": sound_of("percussive"),
    "speech": sound_of("speaking"),
    "a sweep": 0.3 * np.sin(2 * np.pi * np.cumsum(hz) / rate),
    "white noise": 0.1 * noise,
    "silence": np.zeros_like(mine),
}

# %%
films = {
    name: [animate(sound, lesson.seed + draw) for draw in range(settings.draws)]
    for name, sound in sounds.items()
}
for name in ("a quintet", "drums", "speech"):
    print(name)
    keep(name, films[name][0], sounds[name], f"The performer, driven by {name}.")

# %% [markdown]
# All of them below: what is heard (64 bands from low to high, bright is loud), and
# eight moments of the film under it. What to look for:
#
# - **Is it still the performer?** Where a sound is unlike everything in training, the
#   frames may smear or fall apart. The paper measures that by FID (Table 2).
# - **Does the film follow?** A hand that climbs with the sweep, a stroke at each beat
#   of the drums. If the frames of a row are all alike, it does not.
# - **What is silence?** A performer at rest would be right. But there may have been no
#   silence in training to learn that from.
# - **Is softer the same?** If not, the network takes loudness for content.

# %% tags=["foreign"]
figure, axes = show.subplots(8, 2, width=4.6, height=0.78)
for i, (name, sound) in enumerate(sounds.items()):
    row, column = 2 * (i % 4), i // 4
    above, below = axes[row, column], axes[row + 1, column]
    heard = hearing(torch.from_numpy(sound).float().to(device), shown).cpu()
    style = {"aspect": "auto", "extent": (0, length, 0, 1)}
    above.imshow(heard.T, origin="lower", vmin=-1, vmax=1, cmap="magma", **style)
    above.set_title(name)
    below.imshow(np.concatenate(list(films[name][0][eight]), axis=1), **style)
    for ax in (above, below):
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
for ax in axes[-1]:
    ax.set_xticks([0, length])
    ax.set_xlabel("s")
lesson.figure("foreign", figure, "Heard above, made below; eight moments each.")


# %% [markdown]
# ## How much does it react?
#
# Two numbers, both in grey levels (0 to 255), as means over all pixels and colours,
# after the first half second:
#
# - **change**: from one frame to the next. The real film has its own; a film with much
#   less stands too still, one with more trembles. What is left in silence is owed to
#   the noise and to the network's own habits, not to any sound: the floor.
# - **from silence**: how far each frame is from the same frame of the film of silence
#   with the same noise. 0 would be: the sound decides nothing.
#
# And beside them how far two films of one sound are apart that differ in noise alone.
# (These are no measures of quality. A film of random frames would react strongly.)


# %%
def change(frames: np.ndarray) -> float:
    """The mean change from frame to frame, in grey levels, after half a second."""
    return apart(frames[1:], frames[:-1])


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """The mean difference of two films, in grey levels, after half a second."""
    first = round(fps / 2)
    difference = one[first:].astype(np.int16) - other[first:]
    return float(np.abs(difference).mean())


def over_draws(name: str, values: list[float]) -> metrics.Measure:
    """The mean over films of one sound with other noise, and its interval."""
    note = "Student's t over draws of the noise: one network, one sound"
    found = metrics.mean_over_seeds(values, name=name, unit="grey levels")
    return found.annotate(
        counted="draws of noise", split="test", seed=lesson.seed, note=note
    )


# %% tags=["reactions"]
rows = [{"film": "the real one", "change": change(real)}]
for name, (first, *others) in films.items():
    silent = zip(films[name], films["silence"], strict=True)
    rows.append(
        {
            "film": name,
            "change": over_draws("change", [change(f) for f in films[name]]),
            "from silence": over_draws("from silence", [apart(*p) for p in silent]),
            "from other noise": float(np.mean([apart(first, f) for f in others])),
        }
    )
lesson.record("reactions", rows)
title = f"Grey levels; {settings.draws} films a sound, {shown} frames each."
show.table(rows, title)

# %% [markdown]
# Read it by rows. Is `change` of its own music nearer to the real film's or to that of
# silence? Which foreign sounds take the film as far from silence as its own music does?
# And is "from silence" larger than "from other noise"? If it is not, the noise decides
# as much as the sound.
#
# ## Your sound
#
# Any file with sound in it will do, a video as well; the first 20 seconds count. The
# seed draws the noise. Try a thing that the performer cannot do: a scale much too high,
# a door, two seconds of nothing in the middle of a song.

# %%
display(widgets.SoundToFilm(animate, sounds, rate, fps=fps, seed=lesson.seed))

# %% [markdown]
# ## As long as you like
#
# `film` makes a window at a time and passes both states on, so the network's memory is
# that of one window, however long the sound is. The finished frames are bytes. All the
# sounds above, one after the other, in one film:

# %% tags=["long"]
medley = np.concatenate(list(sounds.values()))
began = time.perf_counter()
long = animate(medley)
spent = time.perf_counter() - began
keep("medley", long, medley, " · ".join(sounds))
begins = np.arange(len(sounds)) * length
print(*(f"{t:5.1f} s {name}" for t, name in zip(begins, sounds, strict=True)), sep="\n")
per_frame = 1000 * spent / len(long)
lesson.record("milliseconds a frame", per_frame)
hour = 3600 * fps * long[0].nbytes / 2**20
print(f"{per_frame:.0f} ms a frame; an hour of frames is {hour:.0f} MB")

# %% [markdown]
# (The paper finds "no apparent degradation over time". Does the performer come back
# whole from the white noise? Play the end again.)
#
# Do the seams show? Make two windows' worth of frames at once, and window by window.
# The layers' own noise is switched off for that, since its draws follow the windows.
# What is left may differ by rounding alone.

# %%
still = copy.deepcopy(animator).cpu()
for layer in still.modules():
    if isinstance(layer, NoiseInjection):
        layer.strength.data.zero_()
window = settings.window
features = hearing(torch.from_numpy(medley).float().to(device), 2 * window).cpu()
whole, parts = film(still, features, 2 * window), film(still, features, window)
difference = (whole.int() - parts.int()).abs().max().item()
assert difference <= 1, f"{difference} grey levels between one pass and two windows"
lesson.record("windows apart, grey levels", difference)
print(f"one pass and two windows: at most {difference} of 255 apart")

# %% [markdown]
# ## Exercises
#
# In a file the future is there already. On a stage it is not.
#
# 1. The sound comes in while it is played. How many frames can be painted by now?
# 2. So the picture comes late. Show the film as the audience sees it.

# %% tags=["active-ipynb"]
# from avnb_notebooks.listen_and_move import exercises
#
#
# def frames_ready(samples, sample_rate=16000):
#     """How many frames' chunks are whole once the first `samples` samples are in.
#
#     20 frames a second. Chunk t is eight columns from 50 t ms on, each 10 ms after the
#     other; a column's window is 25 ms, centred on it.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.FRAMES_READY, frames_ready)

# %% tags=["active-ipynb"]
# def on_stage(frames, work):
#     """The film (T, …) as it is seen live: black frames (0) first, then the newest.
#
#     Frame t needs sound up to 50 t + 82.5 ms, then `work` ms to be painted. At tick k,
#     at 50 k ms, the newest frame that is done is shown. T ticks, 20 a second.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.ON_STAGE, on_stage)

# %%
lesson.finish()
