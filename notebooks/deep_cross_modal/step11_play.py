# %% [markdown]
# # Step 11 · Play with the trained networks
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/deep_cross_modal/step11_play.ipynb)
#
# Give the network a sound, also one of yours, and look at the musician that it
# generates. Interpolate between two noises. Let another instrument play. Choose a
# picture and listen to the sound that the network generates for it.
#
# **You will learn** what the noise decides and what the sound decides, and how the
# networks react to inputs they were not trained on.
#
# **Time.** As long as you like. The cells run in about half a minute.
#
# **Before you start.** Steps 7 and 9 must have run, because this notebook loads their
# networks.

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
        #   smoke laptop reference gpu paper
        walk=(3, 8, 8, 8, 8),  # pictures on the way from one noise to another
    ),
)
settings

# %%
device = training.get_device()
models = lesson.need(
    "models", "step7_sound_to_image_train", "step9_image_to_sound_train"
)
test = load_pairs(lesson.data, "test", device)
rate = test.sample_rate


def load_network(name: str, cls: type[nn.Module]) -> nn.Module:
    """Load a trained network of this run."""
    return training.load_model(models / f"{name}.safetensors", cls).to(device).eval()


picture_generator = load_network("s2i_c", Generator)
sound_generator = load_network("i2s", SpectrogramGenerator)
sound_encoder = load_network("sound_encoder", SoundClassifier)
image_encoder = load_network("image_encoder", ImageClassifier)
standardize_sound = load_network("standardizer_classifier", Standardizer)
standardize_image = load_network("standardizer_image", Standardizer)
lms = make_representation("LMS", rate).to(device)


# %% [markdown]
# ## Two functions: sound → picture, picture → sound


# %%
@torch.no_grad()
def generate_picture(waveform: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Generate a picture (64, 64, 3) from half a second (S,) and noise (Z,)."""
    samples = rate // 2
    # Cut a longer sound, and fill a shorter one up with silence.
    sound = np.pad(waveform[:samples], (0, max(0, samples - len(waveform))))
    spectrogram = lms(torch.from_numpy(sound).float()[None].to(device))
    code = standardize_sound(sound_encoder.encode(spectrogram))
    z = torch.from_numpy(noise).float()[None].to(device)
    return denormalize_pictures(picture_generator(z, code))[0].cpu().numpy()


# %%
@torch.no_grad()
def generate_sound(picture: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Generate half a second (S,) from a picture (64, 64, 3) and noise (Z,)."""
    x = normalize_pictures(torch.from_numpy(picture)[None].to(device))
    code = standardize_image(image_encoder.encode(x))
    z = torch.from_numpy(noise).float()[None].to(device)
    spectrogram = resize_to_frames(sound_generator(z, code)).cpu()
    return lms_to_waveform(spectrogram, rate)[0].numpy()


# %% [markdown]
# ## Choose a sound, or upload one
#
# Any sound file will do; its first half second is used. What does the network generate
# for a voice, or for an instrument that is not in the training set? Move `mix` from one
# sound to another: is the result one player or the other, or something in between?

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
    widgets.SoundToPicture(
        generate_picture,
        sounds,
        rate,
        noise=picture_generator.noise,
        seed=lesson.seed,
    )
)

# %% [markdown]
# ## Interpolate between two noises
#
# The sound stays the same, and the noise moves from one draw to another. What changes
# is what the sound does not decide: the person, the room, the light. If little changes,
# the generator ignores its noise. That is possible because every training recording has
# one player in one room, so the sound of a recording already determines them.

# %%
rng = np.random.default_rng(lesson.seed)
start, end = rng.standard_normal((2, picture_generator.noise))
shares = np.linspace(0, 1, settings.walk)
chosen = [test.classes[k] for k in present[:4]]
walks = [
    [
        generate_picture(sounds[name], widgets.interpolate_noise(start, end, share))
        for share in shares
    ]
    for name in chosen
]
figure = show.image_grid(
    walks, rows=chosen, columns=[f"{share:.2f}" for share in shares]
)
lesson.figure(
    "walk", figure, "One sound in each row; the noise changes from left to right."
)

# %% [markdown]
# ## Change the instrument
#
# All columns of a row have the same noise. Does the player stay the same person, or
# does the sound decide that too?

# %%
swap = [
    [generate_picture(sound, noise) for sound in sounds.values()]
    for noise in rng.standard_normal((3, picture_generator.noise))
]
figure = show.image_grid(swap, columns=list(sounds))
lesson.figure("swap", figure, "One noise in each row, one instrument in each column.")

# %% [markdown]
# ## A melody, half a second at a time
#
# A longer performance is cut into half seconds. Each gives one picture, all with the
# same noise. This is as close to a video as this paper gets.

# %%
melody = bandstand.perform("violin", 101, seconds=4.0, seed=lesson.seed)
tune = bandstand.synthesise(melody, rate)
pieces = tune[: len(tune) // (rate // 2) * (rate // 2)].reshape(-1, rate // 2)
film = [generate_picture(piece, start) for piece in pieces]
figure = show.film_strip(film, np.arange(len(film)) / 2)
lesson.figure(
    "melody",
    figure,
    "Pictures for four seconds of a violin that is not in the data set.",
)
lesson.audio("melody", tune, rate, "The violin above")

# %% [markdown]
# ## Choose a picture and listen

# %%
pictures = {test.classes[k]: test.pictures[i].cpu().numpy() for k, i in first.items()}
display(
    widgets.PictureToSound(
        generate_sound,
        pictures,
        rate,
        noise=sound_generator.noise,
        seed=lesson.seed,
    )
)

# %%
for name in list(pictures)[:3]:
    sound = generate_sound(pictures[name], start)
    lesson.audio(f"from_{name}", sound, rate, f"sound for a picture of a {name}")

# %% [markdown]
# ## What came out
#
# The next cell measures how much of a picture the noise decides and how much the sound.
# It compares the mean difference of two pixels for the same sound with other noise, and
# for the same noise with another instrument.

# %%
pixels = np.array(swap, float)  # (noises, instruments, 64, 64, 3)
by_noise = np.abs(pixels - np.roll(pixels, 1, axis=0)).mean()
by_sound = np.abs(pixels - np.roll(pixels, 1, axis=1)).mean()
print(f"Another noise changes a pixel by {by_noise:.1f} grey levels of 255, ", end="")
print(f"another instrument by {by_sound:.1f}.")
if by_noise != by_sound:
    more = "noise" if by_noise > by_sound else "sound"
    print(f"So the {more} decides more of these pictures.")

# %% [markdown]
# ## Exercises
#
# 1. Halfway between two noises of length 10, the straight line has a length of only
#    about 7. The generator has rarely seen so short a noise. Interpolate along the
#    sphere instead.
# 2. How much of the pictures does the sound decide, and how much the noise? Split their
#    variance into three shares: sound, noise, and what only both together decide.

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
#
# def slerp(a, b, share):
#     """A point on the great circle from a (share 0) to b (share 1), equally long."""
#     ...  # your code
#
#
# course.try_exercise(exercises.SLERP, slerp)

# %% tags=["active-ipynb"]
# def split_variance(pictures):
#     """(sound, noise, rest): shares of the variance of (noises, sounds, …)."""
#     ...  # your code
#
#
# course.try_exercise(exercises.SPLIT_VARIANCE, split_variance)

# %%
lesson.finish()
