# %% [markdown]
# # Step 8 · Play: any sound drives the performer
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/listen_and_move/step8_play.ipynb)
#
# This notebook trains nothing. The model knows nothing of notes, words or bones. Its
# input is 64 numbers for each frame, and any sound gives 64 numbers for each frame. The
# same performer can therefore be driven by an ensemble, by drums or by your voice. This
# is what *agnostic* means in the paper's title. Whether the result makes sense is
# another question, because the model was trained on the sound of this performer alone.
#
# **You will learn**
#
# 1. how a sound becomes an mp4 in one short function,
# 2. how the model's video of unseen music compares with the real frames,
# 3. what foreign sounds do, and how much the video reacts to each,
# 4. how to try your own sound,
# 5. how to generate a video of any length.
#
# **Time.** As long as you like. The cells run in about a minute at `laptop`.
#
# **Before you start.** Read steps 1 to 4; step 6 must have run.
#
# **Letters.** S samples · T frames · N side of the frame.

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
import copy
import time

import numpy as np
import torch
from avnb_notebooks.listen_and_move.step1_data import AudioFeatures
from avnb_notebooks.listen_and_move.step3_generator import SoundToVideo
from avnb_notebooks.listen_and_move.step4_prediction import generate_video
from IPython.display import display

from avnb import course, files, metrics, training
from avnb.data import clips
from avnb.layers import NoiseInjection
from avnb.viz import show, widgets
from data_scripts import bandstand

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
        #          smoke laptop reference gpu  paper
        seconds=(1.5, 4.0, 4.0, 8.0, 8.0),  # of each sound
        draws=(2, 3, 3, 5, 5),  # videos of each sound, each with other noise
        window=(8, 32, 32, 32, 32),  # frames that the model generates at once
    ),
)
settings

# %% [markdown]
# ## From a sound to a video
#
# Two modules are needed, both from step 6. `AudioFeatures` turns a sound into features.
# It must use the reference level of the training part, or the same music would give
# other features. `SoundToVideo` is the model, R and G.

# %%
device = training.get_device()


def load_network(name: str, cls: type[torch.nn.Module]) -> torch.nn.Module:
    """Load a network that step 6 saved in this run."""
    path = lesson.need(f"models/{name}.safetensors", "step6_train")
    return training.load_model(path, cls).to(device).eval()


model = load_network("full_model", SoundToVideo)
audio_features = load_network("audio_features", AudioFeatures)
test = clips.load_recording(lesson.data, "test")
fps, rate = test.fps, test.sample_rate


# %% [markdown]
# The video is as long as the sound. The chunks of the last frames reach beyond the end
# of the sound and are filled with silence there.
#
# `sound (S,) → frames (T, N, N, 3), bytes; T = S / rate · fps`


# %%
def animate(sound: np.ndarray, seed: int = lesson.seed) -> np.ndarray:
    """The frames that the model generates for a sound; the seed draws the noise."""
    # the noise that the layers inject; generate_video draws that of the motion itself
    torch.manual_seed(seed)
    waveform = torch.from_numpy(sound).float().to(device)
    count = max(1, round(len(sound) / rate * fps))
    features = audio_features(waveform, frames=count)
    return generate_video(model, features, settings.window, seed).cpu().numpy()


def save_video(name: str, frames: np.ndarray, sound: np.ndarray, caption: str) -> None:
    """Write frames and sound as an mp4, and show it."""
    path = lesson.run_dir / "films" / f"{name}.mp4"
    zoom = max(1, 256 // frames.shape[1])
    files.write_bytes(path, show.encode_mp4(frames, sound, fps, rate, zoom=zoom))
    lesson.video(name, path, caption)


# %% [markdown]
# ## The performer's own music
#
# The sound comes from the last fifth of the video, which was not used in training. The
# real frames are on the left and the generated ones on the right. Look for three
# things:
#
# - Does the bow turn **when** a new stroke begins? The attack says so: slurred notes
#   have none. A delay of a tenth of a second is visible.
# - Is the picture **still** where nothing should move, as at the wall and the chair?
# - Is the pose **right**? Many poses fit a sound. The left hand must be where the pitch
#   is, but the head may be anywhere.
#
# The first frames have no past to use. Ignore the first half second.

# %% tags=["own"]
own = test.waveform[: round(settings.seconds * rate)].numpy()
made = animate(own)
shown, length = len(made), len(own) / rate  # shorter than asked for in a short video
real = test.frames[:shown].numpy()
assert made.shape == real.shape
both = np.concatenate([real, made], axis=2)
save_video("own", both, own, "Left: real. Right: generated.")
eight = np.arange(8) * shown // 8  # evenly spaced frames
figure = show.image_grid(
    [real[eight], made[eight]],
    rows=["real", "generated"],
    columns=[f"{t:.2f} s" for t in eight / fps],
)
lesson.figure("own", figure, "Test music: real frames and generated ones.")


# %% [markdown]
# ## Foreign sounds
#
# Now come sounds that the performer never made. A quintet, a drummer and a speaker are
# other drawn performers. A sweep rises from the lowest band to the highest, so it
# contains every pitch in turn. White noise contains all of them at once and has no
# onsets. The last one is the same music 12 dB softer: *we* hear the same piece, but all
# features are lower.


# %%
def make_foreign_sound(performer: str) -> np.ndarray:
    """The sound of another drawn performer, as long as the performer's own."""
    take = bandstand.record_take(
        performer, player=7, seconds=max(length, 1), seed=lesson.seed
    )
    return take.synthesise(rate)[: len(own)]


share = np.arange(len(own)) / len(own)
hz = 125 * (7500 / 125) ** share
noise = np.random.default_rng(lesson.seed).standard_normal(len(own))
sounds = {
    "its own": own,
    "12 dB softer": own * np.float32(10 ** (-12 / 20)),
    "a quintet": make_foreign_sound("harmonic"),
    "drums": make_foreign_sound("percussive"),
    "speech": make_foreign_sound("speaking"),
    "a sweep": 0.3 * np.sin(2 * np.pi * np.cumsum(hz) / rate),
    "white noise": 0.1 * noise,
    "silence": np.zeros_like(own),
}

# %%
videos = {
    name: [animate(sound, lesson.seed + draw) for draw in range(settings.draws)]
    for name, sound in sounds.items()
}
for name in ("a quintet", "drums", "speech"):
    print(name)
    save_video(name, videos[name][0], sounds[name], f"Driven by {name}.")

# %% [markdown]
# The figure shows all of them: above the features (64 bands from low to high, bright is
# loud), below eight frames of the video. Look for the following:
#
# - **Does it still show the performer?** If a sound is unlike everything in training,
#   the frames may become blurred or fall apart. The paper measures this by FID (Table
#   2).
# - **Does the video follow the sound?** A hand that rises with the sweep, or a stroke
#   at each beat of the drums, would show it. If all frames of a row are alike, it does
#   not.
# - **What happens in silence?** A performer at rest would be right. But the training
#   part may contain no silence to learn it from.
# - **Is softer music the same?** If not, the model confuses loudness with content.

# %% tags=["foreign"]
figure, axes = show.subplots(8, 2, width=4.6, height=0.78)
for i, (name, sound) in enumerate(sounds.items()):
    row, column = 2 * (i % 4), i // 4
    above, below = axes[row, column], axes[row + 1, column]
    waveform = torch.from_numpy(sound).float().to(device)
    features = audio_features(waveform, shown).cpu()
    style = {"aspect": "auto", "extent": (0, length, 0, 1)}
    above.imshow(features.T, origin="lower", vmin=-1, vmax=1, cmap="magma", **style)
    above.set_title(name)
    below.imshow(np.concatenate(list(videos[name][0][eight]), axis=1), **style)
    for ax in (above, below):
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
for ax in axes[-1]:
    ax.set_xticks([0, length])
    ax.set_xlabel("s")
lesson.figure("foreign", figure, "Features above, eight generated frames below.")


# %% [markdown]
# ## How much does the video react?
#
# Two numbers measure it, both in grey levels (0 to 255). They are means over all pixels
# and colours after the first half second:
#
# - **change**: the difference from one frame to the next. Compare it with the real
#   video. A video with much less moves too little, one with much more trembles. The
#   change in silence is caused by the noise and by the model itself, not by a sound. It
#   is the floor.
# - **from silence**: the difference of each frame from the same frame of the silent
#   video with the same noise. A value of 0 means that the sound has no effect.
#
# The last column is the difference of two videos of one sound with different noise.
# (These numbers do not measure quality. A video of random frames would react strongly.)


# %%
def mean_difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference of two videos, in grey levels, after half a second."""
    first = round(fps / 2)
    # uint8 would wrap around below 0
    difference = one[first:].astype(np.int16) - other[first:]
    return float(np.abs(difference).mean())


def mean_change(frames: np.ndarray) -> float:
    """Mean absolute difference from frame to frame, after half a second."""
    return mean_difference(frames[1:], frames[:-1])


def mean_over_draws(name: str, values: list[float]) -> metrics.Measure:
    """The mean over videos of one sound with other noise, and its interval."""
    note = "Student's t over draws of the noise: one network, one sound"
    measure = metrics.mean_over_seeds(values, name=name, unit="grey levels")
    return measure.annotate(
        counted="draws of noise", split="test", seed=lesson.seed, note=note
    )


# %% tags=["reactions"]
rows = [{"video": "the real one", "change": mean_change(real)}]
for name, (first, *others) in videos.items():
    changes = [mean_change(frames) for frames in videos[name]]
    silent = zip(videos[name], videos["silence"], strict=True)
    reactions = [mean_difference(*pair) for pair in silent]
    noise_effect = [mean_difference(first, frames) for frames in others]
    rows.append(
        {
            "video": name,
            "change": mean_over_draws("change", changes),
            "from silence": mean_over_draws("from silence", reactions),
            "from other noise": float(np.mean(noise_effect)),
        }
    )
lesson.record("reactions", rows)
title = f"Grey levels; {settings.draws} videos for each sound, {shown} frames each."
show.table(rows, title)

# %% [markdown]
# Read the table row by row. Is the `change` of its own music closer to that of the real
# video or to that of silence? Which foreign sounds take the video as far from silence
# as its own music does? And is "from silence" larger than "from other noise"? If it is
# not, the noise decides as much as the sound.
#
# ## Your sound
#
# Any file with sound works, also a video. The first 20 seconds are used. The seed draws
# the noise. Try something that the performer cannot do: a scale far too high, a door,
# or two seconds of silence in the middle of a song.

# %%
display(widgets.SoundToFilm(animate, sounds, rate, fps=fps, seed=lesson.seed))

# %% [markdown]
# ## A video of any length
#
# `generate_video` makes one window at a time and passes both states on. The memory of
# the model is that of one window, however long the sound is, and the finished frames
# are bytes. Here are all sounds from above, one after the other, in one video:

# %% tags=["long"]
medley = np.concatenate(list(sounds.values()))
began = time.perf_counter()
long = animate(medley)
seconds = time.perf_counter() - began
save_video("medley", long, medley, " · ".join(sounds))
starts = np.arange(len(sounds)) * length
print(*(f"{t:5.1f} s {name}" for t, name in zip(starts, sounds, strict=True)), sep="\n")
per_frame = 1000 * seconds / len(long)
lesson.record("milliseconds a frame", per_frame)
hour = 3600 * fps * long[0].nbytes / 2**20
print(f"{per_frame:.0f} ms a frame; the frames of an hour take {hour:.0f} MB")

# %% [markdown]
# (The paper reports "no apparent degradation over time". Does the performer recover
# after the white noise? Play the end again.)
#
# Are the borders of the windows visible? The next cell generates two windows of frames
# in one pass and window by window. The noise of the layers is switched off for this,
# because its draws depend on the windows. Only rounding may differ.

# %%
noiseless = copy.deepcopy(model).cpu()
for layer in noiseless.modules():
    if isinstance(layer, NoiseInjection):
        layer.strength.data.zero_()
window = settings.window
waveform = torch.from_numpy(medley).float().to(device)
features = audio_features(waveform, 2 * window).cpu()
whole = generate_video(noiseless, features, 2 * window)
parts = generate_video(noiseless, features, window)
difference = (whole.int() - parts.int()).abs().max().item()
assert difference <= 1, f"{difference} grey levels between one pass and two windows"
lesson.record("one pass and two windows, largest difference", difference)
print(f"one pass and two windows differ by at most {difference} of 255")

# %% [markdown]
# ## What came out
#
# The next cell reads the table of reactions in words. Its numbers say how much the
# video reacts, and not whether the reaction is right.

# %% tags=["came-out"]
found = {row["video"]: row for row in rows}
moved, still = (found[name]["change"].value for name in ("its own", "silence"))
print(f"From frame to frame a pixel changes by {moved:.2f} grey levels with its own")
print(
    f"music, by {still:.2f} in silence, and by {found['the real one']['change']:.2f} in"
)
print("the real video.")
heard, drawn = (found["its own"][f"from {what}"] for what in ("silence", "other noise"))
more = "more" if heard.value > drawn else "no more"
print(
    f"Its own music takes the video {heard.value:.2f} grey levels from the silent one,"
)
print(
    f"and other noise takes it {drawn:.2f} from itself: the sound decides {more} than"
)
print("the noise.")
far = {name: found[name]["from silence"].value for name in list(sounds)[2:-1]}
strong = ", ".join(name for name in far if far[name] >= heard.value) or "none"
print(f"Foreign sounds that take it as far as its own music: {strong}.")

# %% [markdown]
# ## Exercises
#
# 1. Measure how much a model reacts to a sound, compared with silence.
# 2. Generate a video block by block, as the sound comes in on a stage.

# %% tags=["active-ipynb"]
# from avnb_notebooks.listen_and_move import exercises
#
#
# def measure_reaction(generate, features):
#     """Root mean square difference of two videos, in grey levels, as one number.
#
#     generate turns features (T, B) into frames (T, N, N, 3) of bytes. Compare the
#     video of these features with that of silence.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.MEASURE_REACTION, measure_reaction)

# %% tags=["active-ipynb"]
# def generate_live(step, blocks):
#     """The videos of blocks of features, one after another, as in one pass.
#
#     step(features, states) gives (video, states after it). Before the first block the
#     states are None.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.GENERATE_LIVE, generate_live)

# %%
lesson.finish()
