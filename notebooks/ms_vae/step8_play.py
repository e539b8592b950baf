# %% [markdown]
# # Step 8 · Play: explore what the trained model has learned
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/ms_vae/step8_play.ipynb)
#
# Tables say how often a model is right. They do not show what it confuses, and where it
# is wrong. Nothing is trained here. You can ask the trained model questions:
#
# **You will learn**
#
# 1. what a second of sound looks like to the model: the pictures nearest to it,
# 2. what lies between two sounds: a walk on a straight line in the latent space,
# 3. what the decoder reconstructs, and what it makes of a latent that is drawn at
#    random,
# 4. when an event happens: the distances within one video, with the model's answers,
# 5. which videos are alike: retrieval, with right and wrong answers marked.
#
# **Time.** As long as you like. The cells run in about a minute at `laptop`.
#
# **Before you start.** Read step 4. The features come from step 3 and the network from
# step 6.
#
# The model's decoder makes 640 features, which nobody can look at. So every picture and
# sound in this notebook is a real one of the test videos. The model only says how near
# it is.
#
# **Letters.** N videos · T = 10 seconds · R event seconds of all videos · D numbers of
# an encoded second.

# %% tags=["parameters"]
SCALE = "laptop"  # how large everything is: one of the scales below
DATA = ""  # "" is the embedded data; or a folder of clips, see `avnb prepare --help`
SEED = 0  # of every random number: a whole number; each seed has a run of its own
RUN_DIR = ""  # "" is the usual folder of this run, below runs/ms_vae/
OVERRIDES = {}  # {"field": value} of the table of settings below: your own values
# scale      for                                       the whole series took
# smoke      tests: every line runs, nothing learned   not measured yet
# laptop     two cores, no GPU: the networks do learn  22.6 min at 107 GFLOP/s
# reference  two cores for hours: what claims rest on  at least 100 minutes
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
from pathlib import Path

import numpy as np
import torch

# %%
from avnb_notebooks.ms_vae.step2_features import (
    WIDTHS,
    AudioEncoder,
    VideoFeatures,
    load_features,
    measure_seconds,
    scale_rows,
)
from avnb_notebooks.ms_vae.step4_model import (
    LATENTS,
    MSVAE,
    pairwise_l2,
    reparameterize,
)
from IPython.display import HTML, display
from matplotlib.axes import Axes
from torch import Tensor

from avnb import course, metrics, training
from avnb.data import clips
from avnb.features import LogMel
from avnb.pretrained import weights
from avnb.viz import show, widgets

# %%
lesson = course.start(
    "ms_vae",
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
        # smoke laptop reference gpu paper
        model=("ms_vae_w",) * 5,  # a VAE of step 6
        answers=(3, 5, 5, 5, 5),  # of each question
        rows=(2, 4, 6, 6, 6),  # questions in each figure below
        steps=(3, 7, 7, 7, 7),  # of a walk
        dreams=(4, 200, 400, 400, 400),  # latents that are drawn at random
        # as in step 3, for videos that it has not measured
        published=(False, True, True, True, True),
        size=(32, 64, 64, 224, 224),
        frames=(1, 2, 2, 4, 16),
    ),
)
settings


# %% [markdown]
# ## The model and the videos
#
# We load the frames and sounds of the test videos, and their features. After a whole
# run step 3 has left these. With the published weights of the reference run (`avnb
# play`) there are other videos, which are measured here, as in step 3. Features and
# videos must be the same, in the same order.


# %%
def measure_videos(media: clips.ClipBatch, encoder_path: Path) -> VideoFeatures:
    """Measure the features of videos as step 3 does, with a saved audio encoder."""
    audio = training.load_model(encoder_path, AudioEncoder).to(device)
    visual = weights.load_network("vgg19", published=settings.published).to(device)
    how = {"most": settings.frames, "size": settings.size}
    parts = [
        measure_seconds(media.select(part), visual, audio, **how)
        for part in torch.arange(len(media)).split(8)
    ]
    found = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    about = {"videos": media.recordings, "units": media.units}
    about |= {"classes": media.classes, "networks": {"visual": "VGG19"}}
    about["networks"]["audio"] = "the saved audio encoder"
    return VideoFeatures(**found, **about)


# %%
device = training.get_device()
saved = lesson.need(f"models/{settings.model}.safetensors", "step6_train")
model = training.load_model(saved, MSVAE).to(device)
media = clips.load_clips(lesson.data, "test")
features = lesson.run_dir / "features.safetensors"
if features.is_file():
    test = load_features(features, "test")
else:
    test = measure_videos(media, saved.with_name("audio_encoder.safetensors"))
if test.videos != media.recordings:
    raise course.LessonError(
        str(saved.parents[1]),
        f"its features were measured on other videos than those of {lesson.data}",
        "Give this notebook the DATA of step 3",
    )
fps, rate, T = media.fps, media.sample_rate, test.event.shape[1]


# %%
def get_frame(video: int, second: int) -> np.ndarray:
    """Return the frame (H, W, 3) in the middle of a second."""
    frames = media.frames[video]
    return frames[min(int((second + 0.5) * fps), len(frames) - 1)].numpy()


def get_sound(video: int, second: int) -> np.ndarray:
    """Return the samples of a second, as floats from -1 to 1."""
    waveform = media.waveform[video, 0]
    return waveform[second * rate : (second + 1) * rate].numpy() / np.float32(32767)


def describe_video(video: int) -> str:
    """Return a video's class and name."""
    return f"{test.classes[int(test.label[video])]} ({test.videos[video]})"


# %% [markdown]
# The **gallery** holds every second of every test event twice, encoded from its picture
# and from its sound. An encoded second is the mean of its latent, and what the decoder
# makes of it: `(R, 100 + 640)`.

# %%
where = test.event.nonzero()  # (R, 2): video, second
video_of, second_of = where.T.tolist()
with torch.no_grad():
    gallery = {
        modality: model.encode(x[test.event].to(device), modality)
        for modality, x in (("visual", test.visual), ("audio", test.audio))
    }
R = len(where)
assert all(codes.shape == (R, 740) for codes in gallery.values())
label = test.label[where[:, 0]]
print(f"{R} seconds of {len(test.videos)} videos; features: {test.networks}")


# %% [markdown]
# ## 1 · What does this sound look like?
#
# We look for the pictures that are nearest to a sound by the model's distance. The
# seconds of one video look alike, so five answers could all come from one video.
# Therefore only the nearest second of each video counts.


# %%
@torch.no_grad()
def find_nearest(
    code: Tensor, modality: str, count: int, without: str = ""
) -> list[int]:
    """Find the nearest seconds of the gallery, at most one of each video.

    Args:
        code: an encoded second (D,).
        modality: of the answers.
        count: how many answers.
        without: the name of a video that may not be an answer.

    Returns:
        Positions in the gallery, the nearest first.
    """
    distance = model.distance(code[None], gallery[modality])[0]
    best: dict[str, int] = {}
    for place in distance.argsort(stable=True).tolist():
        name = test.videos[video_of[place]]
        if name != without:
            best.setdefault(name, place)
        if len(best) == count:
            break
    return list(best.values())


# %%
def show_place(place: int) -> np.ndarray:
    """Return the picture of a position in the gallery."""
    return get_frame(video_of[place], second_of[place])


# %%
ends = torch.linspace(0, R - 1, 2 * settings.rows).long().tolist()
asked = ends[::2]  # evenly over the gallery, and so over the classes
grid, names = [], []
for place in asked:
    found = find_nearest(gallery["audio"][place], "visual", settings.answers)
    grid.append([show_place(place), *map(show_place, found)])
    names.append(test.classes[int(label[place])])
columns = ["(not given)", *(f"{k}." for k in range(1, settings.answers + 1))]
figure = show.image_grid(grid, rows=names, columns=columns)
caption = "Left: what was seen while the sound was heard. Then the nearest pictures."
lesson.figure("heard", figure, caption)

# %% [markdown]
# The first column shows what was seen while the sound was heard. The model got the
# sound alone. Do the other pictures in the row show the same kind of thing? If every
# row shows the same pictures, the model prefers some pictures for any sound.

# %% tags=["heard"]
for place in asked[:3]:
    video, second = video_of[place], second_of[place]
    sound = get_sound(video, second)
    lesson.audio(f"heard_{place}", sound, rate, describe_video(video))


# %% [markdown]
# ## 2 · A walk through the latent space
#
# Take two sounds, and the straight line between the means of their latents:
#
# $$\mu(\lambda) = (1 - \lambda)\,\mu_1 + \lambda\,\mu_2 .$$
#
# At each step the decoder makes the features of that point, and we look for the nearest
# real picture. In a good latent space the pictures change on the way from one sound to
# the other. In a bad one most of the line has the same nearest picture.


# %%
@torch.no_grad()
def interpolate(first: int, second: int, share: float) -> Tensor:
    """Encode a point between the sounds of two positions of the gallery, (D,).

    Args:
        first: where the line begins.
        second: where it ends.
        share: λ, from 0 to 1.
    """
    rows = test.audio[where[[first, second], 0], where[[first, second], 1]]
    mu, _ = model.posterior(rows.to(device), "audio")
    middle = (1 - share) * mu[:1] + share * mu[1:]
    return torch.cat([middle, *model.generate(middle, "audio")], dim=-1)[0]


shares = np.linspace(0, 1, settings.steps).tolist()
pairs = list(zip(ends[::2], ends[1::2], strict=True))
begin = interpolate(*pairs[0], 0.0)
assert begin.shape == (740,)
assert torch.allclose(begin, gallery["audio"][pairs[0][0]], atol=1e-4)

# %%
walks = [
    [
        show_place(find_nearest(interpolate(*pair, share), "visual", 1)[0])
        for share in shares
    ]
    for pair in pairs
]
names = [" → ".join(test.classes[int(label[k])] for k in pair) for pair in pairs]
figure = show.image_grid(walks, rows=names, columns=[f"{s:.2f}" for s in shares])
lesson.figure("walk", figure, "From one sound to another: the nearest pictures.")
changes = [
    {"walk": name, "different pictures": len({p.tobytes() for p in walk})}
    for name, walk in zip(names, walks, strict=True)
]
lesson.record("walks", changes)
display(show.table(changes, f"of {settings.steps} steps"))

# %% [markdown]
# Now choose two seconds of sound yourself and move the slider. (At 0 and at 1 this is
# the first question again: what does this sound look like? ✔ marks pictures of the
# class of one of the two sounds.)

# %%
places = {
    f"{describe_video(video)}, second {second}": place
    for place, (video, second) in enumerate(where.tolist())
}


def find_between(first: str, second: str, share: float) -> list[show.Card]:
    """Find the pictures nearest to a point between two sounds, as cards."""
    code = interpolate(places[first], places[second], share)
    found = find_nearest(code, "visual", settings.answers)
    wanted = {int(label[places[name]]) for name in (first, second)}
    cards = []
    for place in found:
        right = int(label[place]) in wanted
        name = describe_video(video_of[place])
        cards.append(show.Card(name, show_place(place), right=right))
    return cards


sounds = {name: get_sound(video_of[p], second_of[p]) for name, p in places.items()}
display(widgets.SoundToCards(find_between, sounds, rate))


# %% [markdown]
# ## 3 · What does the decoder make?
#
# First the **reconstruction**. From the picture of a second, or from its sound, the
# decoder makes both. The table shows the error of each half, divided by the variance of
# that half: 0 is perfect, and 1 is what the mean of all seconds gets. What one modality
# does not know of the other cannot be reconstructed, so the two halves of a row differ.


# %%
def measure_errors() -> list[dict]:
    """Measure the error of both halves, made from either modality."""
    real = {i: scale_rows(getattr(test, i)[test.event]).to(device) for i in WIDTHS}
    table = []
    for source in WIDTHS:
        made = model.generate(gallery[source][:, :LATENTS], source)
        row: dict = {
            "made from": {"visual": "the picture", "audio": "the sound"}[source]
        }
        for (name, wanted), half in zip(real.items(), made, strict=True):
            error = (half - wanted).square().mean() / wanted.var(0).mean()
            row[f"error of the {name} half"] = error.item()
        table.append(row)
    return table


errors = measure_errors()
lesson.record("reconstruction", errors)
display(show.table(errors))

# %% [markdown]
# A VAE can also **generate**: draw a latent $z \sim \mathcal N(0, 1)$ and decode it. We
# cannot look at the 640 numbers, so we look for the nearest real picture of the first
# 512, and the nearest real sound of the other 128. If the model has learned that a bark
# belongs to a dog, both are of one class. The KL is what makes the prior
# $\mathcal N(0, 1)$ a good place to draw from: it keeps the encoders' Gaussians there.
# For comparison we draw latents from the encoders' Gaussians of real sounds.
#
# `z (n, 100) → picture (n,), sound (n,)`, positions in the gallery

# %%
real_rows = {i: scale_rows(getattr(test, i)[test.event]).to(device) for i in WIDTHS}


@torch.no_grad()
def find_generated(z: Tensor) -> tuple[Tensor, Tensor]:
    """Find the real picture and sound nearest to what is decoded: (n,) each."""
    made = zip(model.generate(z, "audio"), real_rows.values(), strict=True)
    picture, sound = (pairwise_l2(half, rows).argmin(1).cpu() for half, rows in made)
    return picture, sound


random = torch.Generator().manual_seed(lesson.seed)
noise = torch.randn(settings.dreams, LATENTS, generator=random).to(device)
some = torch.linspace(0, R - 1, settings.dreams).long()
with torch.no_grad():
    heard = test.audio[where[some, 0], where[some, 1]].to(device)
    posterior = reparameterize(*model.posterior(heard, "audio"), noise)
drawn = {"the prior": noise, "the encoder's Gaussians of sounds": posterior}

# %% tags=["dreams"]
grid, dreams = [], []
for name, z in drawn.items():
    picture, sound = find_generated(z)
    pairs = torch.cat([label[picture][:, None], label[sound][:, None]], 1)
    grid.append([show_place(int(k)) for k in picture[: 2 * settings.answers]])
    row = {"drawn from": name, "picture and sound of one class, %":
           100 * (pairs[:, 0] == pairs[:, 1]).double().mean().item()}  # fmt: skip
    row["classes among the pictures"] = len(label[picture].unique())
    row["different pictures"] = len(picture.unique())
    dreams.append(row)
figure = show.image_grid(grid, rows=list(drawn))
caption = "The real pictures nearest to what is decoded from random latents."
lesson.figure("dreams", figure, caption)
lesson.record("generated", dreams)
display(show.table(dreams, f"{settings.dreams} latents each, {R} seconds to be found"))

# %% [markdown]
# ## 4 · When does it happen?
#
# This section shows localisation as a picture. The rows of the matrix are the seconds
# of the sound, the columns are the seconds of the picture, and dark means near. The
# event has the same seconds in both, so its true place is a piece of the main diagonal.
#
# If the sounds of the event are given (A2V), the model looks for the columns in which a
# diagonal of that length is darkest. If the pictures are given (V2A), it looks for the
# rows. A right answer lies on the truth. If event and background differ to the model,
# the matrix also shows a dark block whose corners are the start and the end of the
# event.

# %%
mel = LogMel(sample_rate=rate, n_fft=1024, hop_length=rate // 50, n_mels=48)


def draw_edge(place: Axes, video: int, modality: str) -> None:
    """Draw a video's seconds along an edge: pictures on top, a spectrogram at left."""
    if modality == "visual":
        strip = np.concatenate([get_frame(video, t) for t in range(T)], axis=1)
        place.imshow(strip, extent=(-0.5, T - 0.5, 0, 1), aspect="auto")
        place.set(yticks=[], title=describe_video(video))
    else:
        sound = np.concatenate([get_sound(video, t) for t in range(T)])
        bands = mel(torch.from_numpy(sound).float())
        place.imshow(bands.T, extent=(0, 1, T - 0.5, -0.5), aspect="auto")
        place.set_xlabel("low to high")
        place.set(ylabel="second of the sound", yticks=range(T))
    place.set_xticks([])


# %%
ANSWERS = {"A2V": (show.COLOURS[1], "o"), "V2A": (show.COLOURS[5], "s")}


def draw_answers(place: Axes, found: dict[str, int], start: int, length: int) -> None:
    """Draw the truth and both answers as lines into a matrix of distances."""
    steps = np.arange(length)
    style = {"color": show.COLOURS[2], "linewidth": 7, "label": "truth"}
    place.plot(start + steps, start + steps, solid_capstyle="round", **style)
    for name, (colour, marker) in ANSWERS.items():
        given, answer = start + steps, found[name] + steps
        sound, picture = (given, answer) if name == "A2V" else (answer, given)
        label = f"{name} {'✔' if found[name] == start else '✘'}"
        style = {"color": colour, "marker": marker, "markersize": 4, "label": label}
        place.plot(picture, sound, **style)
    place.set(xlabel="second of the picture", xticks=range(T), yticks=[])
    place.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.02, 1))


# %%
@torch.no_grad()
def localise_video(video: int) -> tuple[Tensor, dict[str, int], int, int]:
    """Localise the event of one video in both directions.

    Returns:
        Distances (T, T) with sounds in rows, the answer of each direction, the event's
        true start and its length.
    """
    sound = model.encode(test.audio[video].to(device), "audio")
    picture = model.encode(test.visual[video].to(device), "visual")
    distance = model.distance(sound, picture).cpu()
    event = test.event[video][None]
    start, length = (int(span) for span in metrics.event_spans(event))
    # the query is in rows: sounds for A2V, pictures for V2A
    both = torch.stack([distance, distance.T])[:, None]
    answers = metrics.localise(both, event)[:, 0].tolist()
    return distance, dict(zip(ANSWERS, answers, strict=True)), start, length


# %%
def plot_matrix(video: int) -> show.Plot:
    """Plot one video: its pictures and sound, their distances, and the answers."""
    distance, found, start, length = localise_video(video)
    figure = show.Plot(figsize=(7.6, 5.4), layout="constrained")
    ratios = {"width_ratios": (1, 6), "height_ratios": (1, 6)}
    axes = figure.subplots(2, 2, squeeze=False, gridspec_kw=ratios)
    axes[0, 0].set_axis_off()
    for place, modality in ((axes[0, 1], "visual"), (axes[1, 0], "audio")):
        draw_edge(place, video, modality)
    drawn = axes[1, 1].imshow(distance, cmap="gray", aspect="auto")
    figure.colorbar(drawn, ax=axes[1, 1], label="distance", location="bottom")
    draw_answers(axes[1, 1], found, start, length)
    return figure


# %% tags=["matrix"]
placed = metrics.is_localisable(test.event).nonzero()[:, 0].tolist()
right = {}
for video in placed:
    _, found, start, _ = localise_video(video)
    right[video] = sum(answer == start for answer in found.values())
for count, words in ((2, "both answers right"), (0, "both answers wrong")):
    chosen = [video for video in placed if right[video] == count]
    lesson.record(words, len(chosen))
    if chosen:
        lesson.figure(f"matrix_{count}", plot_matrix(chosen[0]), words.capitalize())


# %% [markdown]
# Here is every test video with both event and background. Play its sound while you look
# at it. Can *you* say to the second when the event begins? An answer that is one second
# off counts as wrong.


# %%
def make_video_page(name: str) -> HTML:
    """Make a page with the matrix of a video and a player of its whole sound."""
    video = pages[name]
    matrix = show.figure_to_png(plot_matrix(video))
    shown = show.picture_html(matrix, f"The distances of {name}, second by second")
    sound = np.concatenate([get_sound(video, t) for t in range(T)])
    return HTML(shown + show.listen([sound], rate, [name]).data)


pages = {f"{k}. {describe_video(v)}": v for k, v in enumerate(placed, start=1)}
if pages:
    display(widgets.Album(make_video_page, list(pages)))


# %% [markdown]
# ## 5 · Which videos are alike?
#
# This is the retrieval of Table 2, one question at a time. The question is one second
# of sound or of picture. The answers are the nearest seconds of the other modality,
# from other videos. ✔ marks answers of the right class. The model gets only one
# modality of each second. The cards show the picture and play the sound, so that you
# can judge too.


# %%
def find_answers(place: int, direction: str) -> list[show.Card]:
    """Make cards of a question and its nearest answers.

    Args:
        place: the question's position in the gallery.
        direction: A-V (the sound asks) or V-A (the picture asks).
    """
    asks = ("audio", "visual") if direction == "A-V" else ("visual", "audio")
    own, code = test.videos[video_of[place]], gallery[asks[0]][place]
    found = find_nearest(code, asks[1], settings.answers, without=own)
    cards = []
    for k in [place, *found]:
        video, second = video_of[k], second_of[k]
        right = None if k == place else bool(label[k] == label[place])
        sound = get_sound(video, second)
        cards.append(show.Card(describe_video(video), show_place(k), sound, right))
    return cards


# %% tags=["retrieval"]
grid, captions, hits = [], [], []
for place in asked:
    _, *found = find_answers(place, "V-A")
    hits += [bool(card.right) for card in found]
    grid.append([show_place(place), *(card.picture for card in found)])
    marks = "".join(show.MARKS[card.right][0].strip() for card in found)
    captions.append(f"{test.classes[int(label[place])]} {marks}")
columns[0] = "question"
figure = show.image_grid(grid, rows=captions, columns=columns)
caption = "A picture asks, and sounds answer: what was seen during these sounds."
lesson.figure("answers", figure, caption)
if hits:  # with a single video nothing can answer
    share = sum(hits) / len(hits)
    lesson.record("right among the answers shown", share)
    print(f"{share:.0%} of the answers shown are of the right class")


# %% [markdown]
# Every question, with players:


# %%
def make_answer_page(name: str) -> HTML:
    """Make a page with the question's card and the answers' cards."""
    direction, place = questions[name]
    return show.cards(find_answers(place, direction), rate)


last = {video: place for place, video in enumerate(video_of)}  # last second of each
questions = {
    f"{direction}: {describe_video(video)}": (direction, place)
    for video, place in last.items()
    for direction in ("A-V", "V-A")
}
display(widgets.Album(make_answer_page, list(questions)))

# %% [markdown]
# ## What came out

# %%
base = (label[:, None] == label[None]).double().mean().item()
for row in dreams:
    share = row["picture and sound of one class, %"]
    print(f"From {row['drawn from']}: {share:.0f} % of the generated pairs are of one")
    print(
        f"   class ({base:.0%} by chance), with {row['different pictures']} different"
    )
    print("   pictures.")
most = max(change["different pictures"] for change in changes)
print(f"On a walk of {settings.steps} steps, at most {most} different pictures appear.")
if placed:
    both = sum(count == 2 for count in right.values())
    print(f"Of {len(placed)} videos, {both} are located to the second both ways.")
if hits:
    share = sum(hits) / len(hits)
    print(f"{share:.0%} of the answers shown are of the right class. Of two random")
    print(f"seconds of the gallery, {base:.0%} have the same class.")

# %% [markdown]
# ## Exercises
#
# 1. Find pictures for a sound without a model, by way of the training seconds.
# 2. Compute the recall at k: how often is a right answer among the first k?

# %% tags=["active-ipynb"]
# from avnb_notebooks.ms_vae import exercises
#
#
# def by_detour(query, sounds, pictures, items):
#     """Positions (m,) of the pictures `items` (m, v) for a sound, the nearest first.
#
#     query (a,). sounds (n, a) and pictures (n, v) are those of n training seconds.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.BY_DETOUR, by_detour)

# %% tags=["active-ipynb"]
# def recall_at(distance, labels, k):
#     """The share of queries with an item of their class among the k nearest.
#
#     distance (N, N), queries in rows, all items allowed. labels (N,) of both.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.RECALL_AT, recall_at)

# %%
lesson.finish()
