# %% [markdown]
# # Step 11 · Play
#
# Nothing to learn here, only to try: give the network a sound, yours if you like,
# and see whom it paints; slide through the noise; let another instrument play the
# same melody; look at a picture and hear it.

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
import numpy as np
import torch
from avnb_notebooks.deep_cross_modal.step1_data import load_pairs
from avnb_notebooks.deep_cross_modal.step2_sound import (
    SoundClassifier,
    Standardizer,
    lms_to_waveform,
    make_representation,
)
from avnb_notebooks.deep_cross_modal.step4_image import (
    ImageClassifier,
    denormalize_pictures,
    normalize_pictures,
)
from avnb_notebooks.deep_cross_modal.step6_sound_to_image import Generator
from avnb_notebooks.deep_cross_modal.step8_image_to_sound import (
    SpectrogramGenerator,
    resize_to_frames,
)
from IPython.display import display
from torch import nn

from avnb import course, training
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
    "deep_cross_modal",
    "step11_play",
    scale=SCALE,
    data=DATA,
    seed=SEED,
    run_dir=RUN_DIR,
    overrides=OVERRIDES,
)

# %%
settings = lesson.settings(
    dict(
        #              smoke laptop gpu paper
        walk=(3, 8, 8, 8),  # pictures on the way from one noise to another
    ),
)
settings

# %%
device = training.get_device()
models = lesson.need("models", "step9_image_to_sound_train")
test = load_pairs(lesson.data, "test", device)
rate = test.sample_rate


def network(name: str, cls: type[nn.Module]) -> nn.Module:
    """A finished network of this run."""
    return training.load_model(models / f"{name}.safetensors", cls).to(device).eval()


painter, player = network("s2i_c", Generator), network("i2s", SpectrogramGenerator)
hear, see = (
    network("sound_encoder", SoundClassifier),
    network("image_encoder", ImageClassifier),
)
of_sound, of_image = (
    network("standard_classifier", Standardizer),
    network("standard_image", Standardizer),
)
lms = make_representation("LMS", rate).to(device)


# %% [markdown]
# ## Two functions: sound → picture, picture → sound


# %%
@torch.no_grad()
def paint(waveform: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Half a second of sound (S,) and noise (Z,) → picture (64, 64, 3)."""
    wanted = rate // 2
    sound = np.pad(waveform[:wanted], (0, max(0, wanted - len(waveform))))
    code = of_sound(hear.encode(lms(torch.from_numpy(sound).float()[None].to(device))))
    z = torch.from_numpy(noise).float()[None].to(device)
    return denormalize_pictures(painter(z, code))[0].cpu().numpy()


@torch.no_grad()
def play(picture: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """A picture (64, 64, 3) and noise (Z,) → half a second of sound (S,)."""
    code = of_image(
        see.encode(normalize_pictures(torch.from_numpy(picture)[None].to(device)))
    )
    z = torch.from_numpy(noise).float()[None].to(device)
    spectrogram = resize_to_frames(player(z, code)).cpu()
    return lms_to_waveform(spectrogram, rate)[0].numpy()


# %% [markdown]
# ## Pick a sound, or bring one
#
# Any sound file will do (the first half second counts). What does it make of a
# voice, or of an instrument it never heard? Slide `mix` from one sound to another: does
# a duet become one player, or two?

# %%
present = sorted(set(test.labels.tolist()))
of_class = {k: torch.nonzero(test.labels == k)[:, 0].tolist() for k in present}
first = {k: places[len(places) // 2] for k, places in of_class.items()}
sounds = {
    test.classes[k]: test.get_waveforms(torch.tensor([i], device=device))[0]
    .cpu()
    .numpy()
    for k, i in first.items()
}
display(
    widgets.SoundToPicture(paint, sounds, rate, noise=painter.noise, seed=lesson.seed)
)

# %% [markdown]
# ## A walk through the noise
#
# The sound stays, the noise moves from one draw to another. What changes is what the
# sound does not decide: the person, the room, the light. If little changes, the
# generator has learned to overhear its noise: each recording of the training set has
# one player in one room, so the fine print of the sound tells it all it needs.

# %%
rng = np.random.default_rng(lesson.seed)
start, end = rng.standard_normal((2, painter.noise))
shares = np.linspace(0, 1, settings.walk)
chosen = [test.classes[k] for k in present[:4]]
walks = [
    [
        paint(sounds[name], widgets.interpolate_noise(start, end, share))
        for share in shares
    ]
    for name in chosen
]
figure = show.image_grid(
    walks, rows=chosen, columns=[f"{share:.2f}" for share in shares]
)
lesson.figure("walk", figure, "One sound a row, the noise sliding from left to right.")

# %% [markdown]
# ## Swap the instrument
#
# The same noise for every instrument: does the player stay the same person, or does
# the sound decide that too?

# %%
swap = [
    [paint(sound, rng_noise) for sound in sounds.values()]
    for rng_noise in rng.standard_normal((3, painter.noise))
]
figure = show.image_grid(swap, columns=list(sounds))
lesson.figure(
    "swap", figure, "The same noise in each row, another instrument in each column."
)

# %% [markdown]
# ## A melody, half a second at a time
#
# A whole performance, cut into half seconds, each painted with the same noise: the
# nearest this paper comes to a film.

# %%
melody = bandstand.perform("violin", 101, seconds=4.0, seed=lesson.seed)
tune = bandstand.synthesise(melody, rate)
pieces = tune[: len(tune) // (rate // 2) * (rate // 2)].reshape(-1, rate // 2)
film = [paint(piece, start) for piece in pieces]
figure = show.film_strip(film, np.arange(len(film)) / 2)
lesson.figure("melody", figure, "Four seconds of an unheard violin.")
lesson.audio("melody", tune, rate, "The violin above")

# %% [markdown]
# ## Pick a picture and hear it

# %%
pictures = {test.classes[k]: test.pictures[i].cpu().numpy() for k, i in first.items()}
display(
    widgets.PictureToSound(play, pictures, rate, noise=player.noise, seed=lesson.seed)
)

# %%
for name in list(pictures)[:3]:
    lesson.audio(f"heard_{name}", play(pictures[name], start), rate, f"from a {name}")

# %% [markdown]
# ## Exercises
#
# 1. Halfway between two noises of length 10 the straight line is only 7 long, where the
#    generator has hardly been. Walk along the sphere instead.
# 2. Half-seconds set end to end click. Join two sounds with a crossfade.

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
#
# def slerp(a, b, share):
#     """A point on the great circle from a (share 0) to b (share 1), as long."""
#     ...  # your code
#
#
# course.try_exercise(exercises.SLERP, slerp)

# %% tags=["active-ipynb"]
# def crossfade(first, second, overlap):
#     """One sound of two: `overlap` samples at the seam fade from first to second."""
#     ...  # your code
#
#
# course.try_exercise(exercises.CROSSFADE, crossfade)

# %%
lesson.finish()
