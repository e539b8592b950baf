# %% [markdown]
# # Step 8 · Play: two knobs of noise, walks, and a game
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/joint_gan/step8_play.ipynb)
#
# This notebook trains nothing. A generator turns noise into a clip, so every clip has
# **knobs**: the noise of the sound, the content and the motion of the picture, and in
# the coupled variants a part that both share. We turn one knob and leave the others
# alone.
#
# **You will learn**
#
# 1. what each noise changes in what is heard and what is seen,
# 2. how content and motion are swapped between two clips,
# 3. how to walk from one clip to another without leaving the noise's usual length,
# 4. a game that only a coupled network can win: which of these belong together?
#
# **Time.** As long as you like. The cells run in about a minute at scale `laptop`.
#
# **Before you start.** Read steps 4 and 5; step 6 must have run.
#
# **Letters.** N clips · T frames · s shared noise.

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
from functools import partial

import numpy as np
import torch
from avnb_notebooks.joint_gan.step1_data import load_clips
from avnb_notebooks.joint_gan.step2_sound import RATE
from avnb_notebooks.joint_gan.step4_pairs import JointGenerator, Method
from avnb_notebooks.joint_gan.step5_shared import load_generator
from IPython.display import HTML, display
from torch import Tensor, nn

from avnb import course, files, metrics, training
from avnb.metrics.accuracy import mean_score
from avnb.metrics.alignment import match_events
from avnb.viz import show, widgets

# %%
lesson = course.start(
    "joint_gan",
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
        #          smoke laptop reference gpu paper
        varied=(4, 32, 64, 64, 64),  # clips of which each knob is turned
        questions=(4, 60, 100, 100, 100),  # of the game, for each network
        walk=(4, 8, 8, 8, 8),  # clips of a walk
        positions=(3, 12, 12, 12, 12),  # of each slider
        shown=(2, 6, 6, 6, 6),  # clips of a film
    ),
)
settings

# %% [markdown]
# ## Load the networks
#
# JM has independent noises. The coupled variants of step 5 stand beside it, where they
# were trained.

# %%
device = training.get_device()
test = load_clips(lesson.data, "test")
frames = test.fps
models = lesson.need("models", "step6_train")
networks: dict[str, JointGenerator] = {}
for name, fields in lesson.load_results("step6_train")["methods"].items():
    path = models / f"{name}.safetensors"
    if name in ("JM", "shared", "timed") and path.is_file():
        networks[name] = load_generator(path, Method(**fields)).to(device)
if not networks:
    raise course.LessonError(
        models, "neither JM nor a coupled network is there", "Name one in `methods`"
    )
print(*networks, sep=", ")


# %%
def load_judge(name: str, kind: type[nn.Module]) -> nn.Module:
    """Load a judge of step 6."""
    return training.load_model(models / f"{name}.safetensors", kind).to(device).eval()


ear = load_judge("judge_sound", metrics.SoundJudge)
eye = load_judge("judge_video", metrics.VideoJudge)


# %%
@torch.no_grad()
def make_clips(G: JointGenerator, noise: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The sounds (N, 1, S) and videos (N, 3, T, H, W) of a noise, on the CPU."""
    parts = [
        G({k: x[i : i + 16].to(device) for k, x in noise.items()})
        for i in range(0, len(noise["sound"]), 16)
    ]
    sounds, videos = (torch.cat(x).float().cpu() for x in zip(*parts, strict=True))
    return sounds, videos


def draw(G: JointGenerator, count: int, seed: int) -> dict[str, Tensor]:
    """Noise for some clips, from a seed."""
    random = torch.Generator().manual_seed(1000 * lesson.seed + seed)
    return G.draw_noise(count, frames, random)


def to_pictures(videos: Tensor) -> np.ndarray:
    """Videos (N, 3, T, H, W) in [-1, 1] as pictures (N, T, H, W, 3) of bytes."""
    x = ((videos + 1) * 127.5).round().clamp(0, 255).byte()
    return x.permute(0, 2, 3, 4, 1).numpy()


# %% [markdown]
# ## Clips of each network
#
# Some clips one after another, with their sound.


# %% tags=["films"]
def save_film(name: str, sounds: Tensor, videos: Tensor, caption: str) -> None:
    """Show clips as one film, each for its second, and keep it."""
    path = lesson.run_dir / "films" / f"{name}.mp4"
    pictures = to_pictures(videos).reshape(-1, *videos.shape[3:], 3)
    wave = sounds[:, 0, :RATE].flatten().numpy()
    content = show.encode_mp4(pictures, wave, frames, RATE, zoom=3)
    files.write_bytes(path, content)
    lesson.video(f"films_{name}", path, caption)


for name, G in networks.items():
    made = make_clips(G, draw(G, settings.shown, 1))
    save_film(name, *made, f"{settings.shown} clips of the network {name}.")
index = torch.arange(0, len(test), max(1, len(test) // settings.shown))[
    : settings.shown
]
real = test.get_waveforms(index), test.get_frames(index)
save_film("real", *real, "Held-out real clips.")

# %% [markdown]
# ## Turn one knob
#
# Each row below has new noise in one place. Above each strip of frames stands the
# waveform of its sound. Compare with the first row: what has stayed the same?
#
# In the noise of a clip, `content` and `motion` belong to the picture, `sound` to the
# sound, and `shared` to both, where a network has it.

# %%
KNOBS = {
    "sound": "new noise of the sound",
    "content": "new content",
    "motion": "new motion",
    "shared": "new shared part",
}


def turn(noise: dict[str, Tensor], other: dict[str, Tensor], knob: str) -> dict:
    """A noise whose part `knob` is that of another; the motion's start goes with it."""
    changed = {knob, "start"} if knob == "motion" else {knob}
    return {name: other[name] if name in changed else x for name, x in noise.items()}


# %% tags=["turned"]
def draw_rows(rows: dict[str, tuple[Tensor, Tensor]], most: int = 8) -> show.Plot:
    """For each clip its waveform, and below it some of its frames."""
    heights = [h for _ in rows for h in (0.45, 1.0)]
    figure, axes = show.subplots(2 * len(rows), 1, width=7.5, height=0.85)
    axes[0, 0].get_gridspec().set_height_ratios(heights)
    shown = np.linspace(0, frames - 1, min(most, frames)).round().astype(int)
    for k, (name, (sounds, videos)) in enumerate(rows.items()):
        above, below = axes[2 * k, 0], axes[2 * k + 1, 0]
        above.plot(sounds[0, 0, :RATE], linewidth=0.3)
        above.set(xlim=(0, RATE), ylim=(-1, 1))
        above.set_title(name, fontsize=9)
        below.imshow(np.concatenate(to_pictures(videos)[0, shown], axis=1))
        for ax in (above, below):
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
    return figure


for name, G in networks.items():
    noise, other = draw(G, 1, 2), draw(G, 1, 3)
    rows = {"a clip": make_clips(G, noise)}
    for knob in (k for k in KNOBS if k in noise):
        rows[KNOBS[knob]] = make_clips(G, turn(noise, other, knob))
    lesson.figure(f"knobs_{name}", draw_rows(rows), f"{name}: one knob after another.")

# %% [markdown]
# ## Keep one side, change the other
#
# The same to watch and hear. In the first film of each network the noise of the sound
# stays, and that of the picture is new in each second. In the second film the content
# stays, and the motion is new.

# %% tags=["kept"]
KEPT = {
    "the sound's noise stays, new content and motion": ("content", "motion"),
    "the content stays, new motion": ("motion",),
}


def vary(G: JointGenerator, knobs: tuple[str, ...], count: int) -> dict[str, Tensor]:
    """Noise of some clips that differ in these knobs only."""
    one, many = draw(G, 1, 2), draw(G, count, 11)
    noise = {name: x.expand(count, *x.shape[1:]) for name, x in one.items()}
    for knob in knobs:
        noise = turn(noise, many, knob)
    return noise


for name, G in networks.items():
    for k, (text, knobs) in enumerate(KEPT.items(), 1):
        made = make_clips(G, vary(G, knobs, settings.shown))
        save_film(f"kept_{k}_{name}", *made, f"{name}: {text}.")


# %% [markdown]
# In JM and in the shared latent you hear the same sound in each second. In the
# time-coupled network the motion reaches the sound as well, so that new motion can
# change the strokes that are heard.
#
# ## Your own hands on the knobs
#
# Each position of a slider is a noise of its own. Move one slider at a time. (The
# sliders need a running kernel; on a page they stand still.)


# %% tags=["sliders"]
def play_knobs(G: JointGenerator, places: dict[str, int]) -> HTML:
    """The clip whose knobs stand at these positions, as a film."""
    noise = draw(G, 1, 20)
    for knob, place in places.items():
        noise = turn(noise, draw(G, 1, 20 + place), knob)
    sounds, videos = make_clips(G, noise)
    wave = sounds[0, 0, :RATE].numpy()
    film = show.encode_mp4(to_pictures(videos)[0], wave, frames, RATE, zoom=3)
    return HTML(
        f'<video controls loop src="{show.data_url(film, "video/mp4")}"></video>'
    )


for name, G in networks.items():
    knobs = {knob: settings.positions for knob in KNOBS if knob in draw(G, 1, 0)}
    display(HTML(f"<b>{name}</b>"), widgets.Knobs(partial(play_knobs, G), knobs))


# %% [markdown]
# ## How far does each knob reach?
#
# The table measures the same on many clips. The columns *moves* say how far sound and
# picture move, compared with all knobs at once (100 %). The last two say how often ear
# and eye name another class than before. The row *all at once* says how often two clips
# of this network are of two classes anyway.


# %%
@torch.no_grad()
def name_classes(sounds: Tensor, videos: Tensor) -> tuple[Tensor, Tensor]:
    """The probabilities of the classes, (N, K), of the sounds and of the videos."""
    heard = [ear(part.to(device)).softmax(1).cpu() for part in sounds.split(32)]
    seen = [eye(part.to(device)).softmax(1).cpu() for part in videos.split(32)]
    return torch.cat(heard), torch.cat(seen)


# %%
def measure_knobs(G: JointGenerator, knobs: list[str]) -> dict:
    """What changes when some knobs are turned."""
    noise, other = draw(G, settings.varied, 4), draw(G, settings.varied, 5)
    one, all_new = make_clips(G, noise), make_clips(G, other)
    for knob in knobs:
        noise = turn(noise, other, knob)
    turned, row = make_clips(G, noise), {}
    for k, what in enumerate(("sound", "picture")):
        whole = (one[k] - all_new[k]).square().mean().sqrt()
        apart = (one[k] - turned[k]).square().mean().sqrt()
        row[f"{what} moves [%]"] = float(100 * apart / whole.clamp(min=1e-9))
    for what, p, q in zip(
        ("heard", "seen"), name_classes(*one), name_classes(*turned), strict=True
    ):
        other_class = (p.argmax(1) != q.argmax(1)).double().numpy()
        row[f"another class is {what}"] = mean_score(other_class)
    return row


# %% tags=["knobs"]
rows = []
for name, G in networks.items():
    there = [knob for knob in KNOBS if knob in draw(G, 1, 0)]
    turns = {KNOBS[knob]: [knob] for knob in there} | {"all at once": there}
    for text, knobs in turns.items():
        rows.append({"network": name, "knob": text} | measure_knobs(G, knobs))
lesson.table("knobs", rows, f"What each knob changes, over {settings.varied} clips")

# %% [markdown]
# In JM each knob moves one side and leaves the other at exactly 0. That is what
# *independent* means. In the shared latent one knob moves both, and in the time-coupled
# variant the motion does, too.
#
# ## Swap content and motion
#
# Two contents and two motions give four combinations, as in a figure of the MoCoGAN
# paper. The two rows of one content should show the same player, and the two rows of
# one motion should move alike.

# %% tags=["swap"]
main = next(iter(networks))
G = networks[main]
one, two = draw(G, 1, 6), draw(G, 1, 7)
rows = {
    "content A, motion 1": one,
    "content A, motion 2": turn(one, two, "motion"),
    "content B, motion 1": turn(one, two, "content"),
    "content B, motion 2": turn(turn(one, two, "content"), two, "motion"),
}
strips = [to_pictures(make_clips(G, noise)[1])[0, :10] for noise in rows.values()]
figure = show.image_grid(strips, rows=list(rows))
lesson.figure("swap", figure, f"{main}: two contents and two motions.")


# %% [markdown]
# ## Walk from clip to clip
#
# A straight line between two normal noises comes too near to 0 in its middle, where the
# generator has seen nothing in training. Weights of cosine and sine keep the usual
# length. The sound's noise is uniform in [-1, 1], and there a straight line stays
# inside.


# %% tags=["walk"]
def walk(one: dict[str, Tensor], two: dict[str, Tensor], count: int) -> dict:
    """Noise of `count` clips on the way from one clip to another."""
    share = torch.linspace(0, 1, count)
    path = {}
    for name, start in one.items():
        t = share.view(-1, *[1] * (start.ndim - 1))
        angle = t * np.pi / 2
        a, b = (1 - t, t) if name == "sound" else (angle.cos(), angle.sin())
        path[name] = a * start + b * two[name]
    return path


pictures, waves = [], {}
for name, G in networks.items():
    sounds, videos = make_clips(G, walk(draw(G, 1, 8), draw(G, 1, 9), settings.walk))
    pictures.append(to_pictures(videos)[:, frames // 2])
    waves[name] = sounds[:, 0, :RATE].flatten()
    save_film(
        f"walk_{name}", sounds, videos, f"{name}: a walk of {settings.walk} clips."
    )
figure = show.image_grid(pictures, rows=list(networks))
lesson.figure("walk", figure, "The frame in the middle of each clip of a walk.")

# %%
window = torch.hann_window(512)
spectra = [
    20
    * (torch.stft(w, 512, 256, window=window, return_complex=True).abs() + 1e-3).log10()
    for w in waves.values()
]
hz = torch.fft.rfftfreq(512, 1 / RATE)
figure = show.spectrograms(
    spectra, hop=256 / RATE, hz=hz, captions=list(waves), columns=1, unit="dB"
)
figure.set_size_inches(8.0, 1.9 * len(waves))  # a second has an inch
lesson.figure("walk_sounds", figure, "The sounds of the walks, a second each.")


# %% [markdown]
# ## Which of these belong together?
#
# You hear one sound and see four videos of the same network. One of them was generated
# **together with** the sound. Which? Choose a page, decide, and open the answer. On the
# pages of JM nobody can do better than one in four, in the long run.


# %%
def make_questions(
    sounds: Tensor, videos: Tensor, count: int
) -> list[tuple[int, list[int], int]]:
    """(sound, four videos, place of the right one) for each question."""
    random = np.random.default_rng(lesson.seed)
    asked = []
    for _ in range(count):
        four = random.permutation(len(sounds))[:4].tolist()
        place = int(random.integers(len(four)))
        asked.append((four[place], four, place))
    return asked


random = torch.Generator().manual_seed(lesson.seed)
every = torch.randperm(len(test), generator=random)[: max(8, settings.varied)]
# What is independent: the player of a real sound; a generated clip is its own.
who = {"real": [test.units[i] for i in every.tolist()]}
who |= {name: [*range(len(every))] for name in networks}
quiz = {"real": (test.get_waveforms(every), test.get_frames(every))}
quiz |= {n: make_clips(G, draw(G, len(every), 10)) for n, G in networks.items()}
questions = {n: make_questions(*clips, settings.questions) for n, clips in quiz.items()}


# %%
def open_page(name: str) -> HTML:
    """A question as a film: four videos side by side with the sound, and the answer."""
    of, _, number = name.partition(", question ")
    sounds, videos = quiz[of]
    which, four, place = questions[of][int(number) - 1]
    pictures = np.concatenate(list(to_pictures(videos[four])), axis=2)
    wave = sounds[which, 0, :RATE].numpy()
    film = show.encode_mp4(pictures, wave, frames, RATE, zoom=2)
    url = show.data_url(film, "video/mp4")
    return HTML(
        f'<video controls loop src="{url}"></video><p>Which of the videos, 1 to 4 from '
        f"the left, belongs to the sound?</p><details><summary>The answer</summary>"
        f"Number {place + 1}.</details>"
    )


pages = [
    f"{name}, question {k + 1}"
    for name in quiz
    for k in range(min(3, settings.questions))
]
display(widgets.Album(open_page, pages))


# %% [markdown]
# Now the judges play. They take the video for which the probability that both name the
# same class is largest, plus the $F_1$ of starts that are heard and seen (step 7). Of
# real recordings nobody told them when something starts; there the class alone counts.


# %%
@torch.no_grad()
def find_starts(judge: nn.Module, x: Tensor) -> list[np.ndarray]:
    """When something starts in each clip, as a judge hears or sees it, in s."""
    logits = [judge.judge(part.to(device), frames)[1].cpu() for part in x.split(32)]
    return [(np.flatnonzero(row > 0) + 0.5) / frames for row in torch.cat(logits)]


# %%
def score_pairs(sounds: Tensor, videos: Tensor) -> np.ndarray:
    """How well each sound fits each video, (N, N)."""
    heard, seen = name_classes(sounds, videos)
    score = (heard @ seen.T).double().numpy()
    if "onset" not in test.truth:
        return score
    onsets, strikes = find_starts(ear, sounds), find_starts(eye, videos)
    for i, a in enumerate(onsets):
        for j, b in enumerate(strikes):
            if both := len(a) + len(b):
                score[i, j] += 2 * len(match_events(a, b, 1 / frames + 1e-9)) / both
    return score


# %% tags=["game"]
rows = []
for name, clips in quiz.items():
    score = score_pairs(*clips)
    # A little chance decides between videos that fit equally well.
    score += 1e-6 * np.random.default_rng(lesson.seed).random(score.shape)
    won = [score[i, four].argmax() == k for i, four, k in questions[name]]
    asked = [who[name][i] for i, *_ in questions[name]]  # a sound may be asked twice
    right = mean_score(np.array(won, dtype=float), asked, name="right answers")
    rows.append({"clips": name, "the judges are right": right})
rows.append({"clips": "chance", "the judges are right": metrics.chance(4)})
lesson.table("game", rows, "Which of four videos belongs to the sound?")

# %% [markdown]
# The row *real* is the ceiling, and it is below 100 %: two of the four videos may show
# the same instrument, or strokes at the same moments. A network whose interval holds
# the chance of one in four has not been shown to couple anything.

# %% [markdown]
# ## What came out
#
# - With independent noises each knob has one side: the table gives exactly 0 for the
#   other. This is the paper's model, and no training can change it.
# - A shared part can couple *what* is played. A shared clock can couple *when*. Whether
#   the networks of this run use them, the table of the knobs and that of the game say.
# - The game is the shortest test of the paper's title: only a coupled network can be
#   above one in four.
#
# ## Exercises
#
# 1. Keep the sound, change the picture.
# 2. Walk between two noises.

# %% tags=["active-ipynb"]
# from avnb_notebooks.joint_gan import exercises
#
#
# def keep_sound(noise, other, picture):
#     """A noise with the same sound and another picture.
#
#     noise and other: name → tensor. picture: the names that the picture alone depends
#     on. Both dicts must stay as they are.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.KEEP_SOUND, keep_sound)

# %% tags=["active-ipynb"]
# def walk_noise(start, end, steps):
#     """(steps, …): from one normal noise to another, all of about the same length."""
#     ...  # your code
#
#
# course.try_exercise(exercises.WALK_NOISE, walk_noise)

# %%
lesson.finish()
