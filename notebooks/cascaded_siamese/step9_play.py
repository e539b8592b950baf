# %% [markdown]
# # Step 9 · Play: a card, a song, and what moves
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/cascaded_siamese/step9_play.ipynb)
#
# This notebook trains nothing. It gives a cascade of step 7 first frames and sounds
# that it has never met: a new letter card with a song of your own words, other
# people's sounds, longer ones, and yours. `network` in the table of settings says which
# cascade: ours, whose streams give only what changes (`cascade_residual`), or the
# paper's (`cascade`). Try both.
#
# **You will learn**
#
# 1. how a sound of any length becomes segments and whole clips,
# 2. what the network makes of a new card and a new song,
# 3. how to see what the sound decides, and what the first frame (Fig. 5 and 6),
# 4. what happens beyond the 32 frames of training,
# 5. how to try your own picture and your own sound.
#
# **Time.** As long as you like. The cells run in about two minutes at `laptop`.
#
# **Before you start.** Read step 4; step 7 must have run.
#
# **Letters.** T frames · H, W pixels · K cards, and as many sounds.

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
import time

import numpy as np
import torch
from avnb_notebooks.cascaded_siamese.step1_data import (
    BESIDE,
    FPS,
    FRAMES,
    SAMPLE_RATE,
    load_clips,
)
from avnb_notebooks.cascaded_siamese.step2_sound import CLIP, SegmentCutter
from avnb_notebooks.cascaded_siamese.step6_baselines import generate, load_generator
from IPython.display import HTML, display
from torch import Tensor
from torch.nn import functional as F

# %%
from avnb import course, files, training
from avnb.metrics.pictures import as_bytes
from avnb.viz import show, widgets
from data_scripts.bandstand import slide_pictures, songs
from data_scripts.bandstand.slide_words import LETTERS, WORDS, Word
from data_scripts.bandstand.slides import choose_source_style

# %%
lesson = course.start(
    "cascaded_siamese",
    "step9_play",
    scale=SCALE,
    data=DATA,
    seed=SEED,
    run_dir=RUN_DIR,
    overrides=OVERRIDES,
)

# %%
settings = lesson.settings(
    dict(
        #          smoke laptop reference gpu paper
        network=("cascade_residual",) * 5,  # which cascade plays: a name of step 6
        cards=(2, 4, 4, 4, 4),  # first frames, and sounds, that are combined
        seconds=(1.6, 5.0, 5.0, 8.0, 8.0),  # of the long song
        longest=(4.0, 20.0, 20.0, 20.0, 20.0),  # of a sound of yours
    ),
)
settings

# %% [markdown]
# ## From a card and a sound to a film
#
# A segment of the sound reaches three frames beyond its own (step 2), and the cascade
# makes clips of eight frames. So a sound of any length gets silence on both sides:
# three frames before it, and behind it as much as makes whole clips, and three more.
#
# `sound (S,) → segments (1, T, 64, 20), T a multiple of 8`

# %%
device = training.get_device()
train, test = (load_clips(lesson.data, split) for split in ("train", "test"))
size, classes = test.frames.shape[2], test.classes
lesson.need("models", "step7_train")
net = load_generator(lesson, settings.network, device)
cutter, A_FRAME = SegmentCutter(), SAMPLE_RATE // FPS


def cut_song(sound: np.ndarray) -> Tensor:
    """The segments of a sound of any length, in whole clips."""
    wave = torch.as_tensor(np.asarray(sound, np.float32))
    count = CLIP * max(1, -(-len(wave) // (A_FRAME * CLIP)))
    missing = count * A_FRAME - len(wave)
    beside = BESIDE * A_FRAME
    return cutter(F.pad(wave, (beside, missing + beside))[None])


# %%
def choose_class(name: str) -> Tensor:
    """The number of a class, (1,).

    Raises:
        LessonError: the network was not trained on such a class.
    """
    if name not in classes:
        raise course.LessonError(
            f"class {name!r}", "the network does not know it",
            f"Give one of {', '.join(classes)}",
        )  # fmt: skip
    return torch.tensor([classes.index(name)])


def animate(sound: np.ndarray, picture: np.ndarray, name: str) -> np.ndarray:
    """The frames (T, H, W, 3) that the cascade makes; as long as the sound."""
    first = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 127.5 - 1
    # A cascade has no noise: the same inputs give the same film.
    made = generate(net, first, cut_song(sound), choose_class(name))
    shown = max(1, round(len(sound) / A_FRAME))
    return as_bytes(made.clamp(-1, 1))[0].permute(1, 2, 3, 0).numpy()[:shown]


# %%
def save_film(name: str, frames: np.ndarray, sound: np.ndarray, caption: str) -> None:
    """Write frames and sound as an mp4, and show it."""
    path = lesson.run_dir / "films" / f"{name}.mp4"
    content = show.encode_mp4(frames, sound, FPS, SAMPLE_RATE, zoom=max(1, 192 // size))
    files.write_bytes(path, content)
    lesson.video(name, path, caption)


def get_own(index: int) -> tuple[np.ndarray, np.ndarray, str]:
    """The frames, the sound and the class of a held-out video."""
    begin = BESIDE * A_FRAME
    sound = test.get_waveforms(torch.tensor([index]))[0].cpu().numpy()
    frames = test.frames[index].cpu().numpy()
    return frames, sound[begin : begin + FRAMES * A_FRAME], classes[test.labels[index]]


# %% [markdown]
# ## A held-out video
#
# On the left the real video, on the right what the cascade makes of its first frame and
# its sound. Nobody trained on this source video.


# %%
def choose_held_out(count: int) -> list[int]:
    """Held-out videos, of other classes if possible, in which something happens."""
    change = (test.frames[:, 1:].float() - test.frames[:, :-1].float()).abs()
    moved = change.mean((1, 2, 3, 4))
    moved = torch.where(test.held.any(1), -1.0, moved.cpu())  # those in last place
    if "onset_entrance" in test.truth:
        enters = (test.truth["onset_entrance"][:, 4:-8] == 1).any(1)
        absent = test.truth["shown"][:, 0] < 0.05
        moved = moved + 1000.0 * (enters & absent).cpu()
    order = moved.argsort(descending=True).tolist()
    chosen = {}
    for i in order:
        chosen.setdefault(int(test.labels[i]), i)
    rest = [i for i in order if i not in chosen.values()]
    return [*chosen.values(), *rest][:count]


# %% tags=["own"]
own = choose_held_out(settings.cards)
for k, i in enumerate(own[:2]):
    real, sound, name = get_own(i)
    both = np.concatenate([real, animate(sound, real[0], name)], axis=2)
    save_film(f"own_{k}", both, sound, f"{name}: left real, right made.")


# %% [markdown]
# ## A card and a song that never were
#
# Draw a card: a letter in colours and on a ground that no training video has. Sing to
# it: write a word of your own and its phones into `ASKED` below. (The words of the
# training videos and their phones are printed there.) The voice and the tune are new,
# too. The object of your word is in no training video. What enters, and when?


# %%
def draw_card(letter: str, source: int) -> np.ndarray:
    """The slide of a letter before anything has entered."""
    look = choose_source_style(-100 - source, lesson.seed).look
    moment = slide_pictures.Moment(0.0, 0.0, 0.0, 0.0)
    return slide_pictures.draw_slide(letter, "", "", look, moment, size)


# %%
def sing_phrase(letter: str, word: str, phones: str, source: int) -> np.ndarray:
    """The phrase “A is for …, A, A, …” with a word of your own: (S,) at 16 kHz.

    Raises:
        LessonError: nobody can sing this letter, or one of the phones.
    """
    said = tuple(phones.split())
    known = {"letter": (letter, [*LETTERS])} | {
        f"phone {k + 1}": (phone, [*songs.PHONES]) for k, phone in enumerate(said)
    }
    for place, (given, allowed) in known.items():
        if given not in allowed:
            problem = f"{given!r} cannot be sung"
            raise course.LessonError(place, problem, f"Give one of {' '.join(allowed)}")
    style = choose_source_style(-100 - source, lesson.seed).song
    song = songs.sing(
        letter, Word(word, said, ""), style,
        begin=0.1, duration=settings.seconds, seed=source,
    )  # fmt: skip
    return songs.synthesise_song(song, source, SAMPLE_RATE)


# %% [markdown]
# The embedded data are slides, so cards can be drawn for them. With other data, such as
# heads or your own recordings, held-out first frames and sounds take their places.

# %% tags=["cards"]
ASKED = (("A", "album", "ae l b u m"), ("B", "balloon", "b a l u n"))
singable = [(k, w, p) for k, w, p in ASKED if k in classes]
slides = "shown" in test.truth and bool(singable)
if slides:
    print("phones:", *songs.PHONES)
    for letter in (k for k in WORDS if k in classes):
        words = (f"{w.text} ({' '.join(w.phones)})" for w in WORDS[letter])
        print(f"{letter}:", ", ".join(words))
cards: dict[str, tuple[np.ndarray, str]] = {}
sounds: dict[str, np.ndarray] = {}
if slides:
    for k, (letter, word, phones) in enumerate(singable):
        cards[f"new card {k + 1}: {letter}"] = draw_card(letter, k), letter
        sounds[f"“{letter} is for {word}”"] = sing_phrase(letter, word, phones, k)
for i in own:
    real, sound, name = get_own(i)
    cards[f"held out {i}: {name}"] = real[0], name
    sounds[f"sound of video {i}: {name}"] = sound
figure = show.image_grid([[p for p, _ in cards.values()]], columns=[*cards], size=1.6)
lesson.figure("cards", figure, "First frames to choose from.")

# %% tags=["new"]
new = list(zip(cards.items(), sounds.items(), strict=True))[: max(1, len(singable))]
strips = []
for k, ((card, (picture, name)), (title, sound)) in enumerate(new):
    frames = animate(sound, picture, name)
    strips.append(frames[np.linspace(0, len(frames) - 1, 10).round().astype(int)])
    save_film(f"new_{k}", frames, sound, f"{card}, {title}")
figure = show.image_grid(strips, rows=[title for _, (title, _) in new])
lesson.figure("new", figure, "A card, a song, and ten frames of what comes of them.")

# %% [markdown]
# Compare with the films of step 1. Does the letter stay what it is? Does something
# enter when the word is sung? An object that nobody has drawn cannot be right. The
# paper says so itself (Sec. 4.6), and its released videos, which show new objects with
# their words, can hardly be of words that were not trained on.
#
# ## Fig. 6 live: one card, other sounds

# %% tags=["swap-sounds"]
K = min(settings.cards, len(own))
moments = np.linspace(0, FRAMES - 1, 11).round().astype(int)
mine = [get_own(i) for i in own[:K]]
grid = [[animate(s, real[0], name) for _, s, _ in mine] for real, _, name in mine]
names = [f"sound {j + 1}" for j in range(K)]
columns = [f"{t}" for t in moments]
figure = show.image_grid([v[moments] for v in grid[0]], rows=names, columns=columns)
lesson.figure("swap_sounds", figure, "The same first frame with the sounds of others.")

# %% [markdown]
# ## Fig. 5 live: one sound, other cards

# %% tags=["swap-frames"]
names = [f"first frame {i + 1}" for i in range(K)]
one = [row[0] for row in grid]
figure = show.image_grid([v[moments] for v in one], rows=names, columns=columns)
lesson.figure("swap_frames", figure, "The same sound with other first frames.")
# Two cards in a row: four would be too flat to be seen.
empty = [np.zeros_like(one[0])] * (K % 2)
rows = [np.concatenate([*one, *empty][k : k + 2], axis=2) for k in range(0, K, 2)]
film = np.concatenate(rows, axis=1)
save_film("swap_frames", film, mine[0][1], "One sound, all cards.")


# %% [markdown]
# Open any combination and play it:


# %%
def open_page(name: str) -> HTML:
    """A card with a sound, as a film."""
    i, j = (int(text.split()[-1]) - 1 for text in name.split(", "))
    film = show.encode_mp4(grid[i][j], mine[j][1], FPS, SAMPLE_RATE, zoom=256 // size)
    return HTML(
        f'<video controls loop src="{show.data_url(film, "video/mp4")}"></video>'
    )


pages = [f"first frame {i + 1}, sound {j + 1}" for i in range(K) for j in range(K)]
display(widgets.Album(open_page, pages))


# %% [markdown]
# ## What decides?
#
# Numbers for what you see, in grey levels (0 to 255), over all frames:
#
# - **other sound**: how far a video changes when only its sound is another one,
# - **silence**: when its sound is silence,
# - **other frame**: when only its first frame is another one,
# - **from frame to frame**: how much moves at all, beside the real videos.
#
# If the first two are near 0, nobody is listening.


# %% tags=["reactions"]
def differ(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference of two videos, in grey levels."""
    # uint8 would wrap around below 0
    return float(np.abs(one.astype(np.int16) - other).mean())


def average(values: list[float]) -> float | None:
    """The mean, or None where there is nothing to compare."""
    return float(np.mean(values)) if values else None


pairs = [(i, j) for i in range(K) for j in range(K) if i != j]
silent = [animate(np.zeros_like(s), real[0], name) for real, s, name in mine]
row = {
    "other sound": average([differ(grid[i][i], grid[i][j]) for i, j in pairs]),
    "silence": average([differ(grid[i][i], silent[i]) for i in range(K)]),
    "other frame": average([differ(grid[i][i], grid[j][i]) for i, j in pairs]),
}
steps = {
    "made": average([differ(grid[i][i][1:], grid[i][i][:-1]) for i in range(K)]),
    "real": average([differ(real[1:], real[:-1]) for real, _, _ in mine]),
}
row |= {f"from frame to frame, {name}": value for name, value in steps.items()}
lesson.table("reactions", [row], f"Grey levels, {K} held-out videos")

# %% [markdown]
# ## Longer than in training
#
# The cascade runs as many streams as there are clips of sound. Each begins with the
# last frame of the one before, so errors add up. Step 8 measures it.

# %% tags=["long"]
if slides:
    song = next(iter(sounds.values()))
else:
    song = np.concatenate([sound for _, sound, _ in mine])
    song = song[: round(settings.seconds * SAMPLE_RATE)]
picture, name = next(iter(cards.values()))
began = time.perf_counter()
long = animate(song, picture, name)
seconds = time.perf_counter() - began
save_film("long", long, song, f"{len(long)} frames, {len(long) // CLIP} streams.")
per_frame = 1000 * seconds / len(long)
lesson.record("milliseconds a frame", per_frame)
shown = long[np.linspace(0, len(long) - 1, 12).round().astype(int)]
figure = show.film_strip(shown, np.linspace(0, len(long) - 1, 12) / FPS)
lesson.figure("long", figure, f"{name}: {len(long) / FPS:.1f} s in one go.")
print(
    f"{per_frame:.1f} ms a frame, {1000 / FPS:.0f} ms are there for it when played live"
)

# %% [markdown]
# What comes later must not change what came before. So the first clips of a long video
# are those of a short one, as far as its last clip does not hear beyond the end.

# %% tags=["causal"]
short = animate(song[: 2 * CLIP * A_FRAME], picture, name)
difference = differ(short[:CLIP], long[:CLIP])
assert difference < 1, f"{difference} grey levels"
lesson.record("first clip, short and long, grey levels", difference)
print(f"first clip of a short and of a long film: {difference:.3f} grey levels apart")

# %% [markdown]
# ## Yours
#
# Choose a card and a sound, or bring your own: a picture of any size (its central
# square is taken, on white where it is clear), and a recording of your voice, such as
# from your phone. Sing "A is for ant, A, A, ant", or try a doorbell. The class says
# which letter (or person) the network shall think of. A letter that it was not trained
# on cannot be chosen.

# %%
player = widgets.PictureAndSoundToFilm(
    animate, sounds, cards, classes, SAMPLE_RATE, fps=FPS, seconds=settings.longest
)
display(player)

# %% [markdown]
# ## What came out
#
# - A sound of any length becomes whole clips, with silence around it.
# - What follows the sound shows in "other sound" and "silence", what follows the card
#   in "other frame".
# - Longer videos run on; each stream knows only the last frame before it.
#
# ## Exercises
#
# 1. Fill a sound up to whole clips.
# 2. Say how much the sound decides, and how much the first frame.

# %% tags=["active-ipynb"]
# from avnb_notebooks.cascaded_siamese import exercises
#
#
# def fill_sound(sound, frame, clip, beside):
#     """A sound (S,) in whole clips, with `beside` frames of silence at both ends.
#
#     A frame lasts `frame` samples, a clip `clip` frames. Silence fills the last clip.
#     There is at least one clip.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.FILL_SOUND, fill_sound)

# %% tags=["active-ipynb"]
# def split_causes(moments):
#     """Two variances: over sounds (the same frame), over frames (the same sound).
#
#     moments[i, j] is the entrance with first frame i and sound j. Take the variance of
#     each row (over its sounds), and their mean; then the same for the columns. The
#     variances divide by K, not by K - 1.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.SPLIT_CAUSES, split_causes)

# %%
lesson.finish()
