# %% [markdown]
# # Step 8 · Play: a latent that one can walk through
#
# Table and interval say how often the model is right. They do not say what it *thinks*.
# Here is nothing to train, only things to ask:
#
# 1. what does a second of sound look like? The nearest pictures to it,
# 2. what lies between a dog and a bell? A walk from one latent to another,
# 3. when is it? The matrix of distances of one video, with the answers drawn in,
# 4. who is like this? Retrieval, with the right and the wrong answers marked.
#
# The model's decoder makes features, not pictures: 640 numbers that nobody can look at.
# So all that is shown is real, and the model only says how near it is.
#
# **Letters.** N videos · T = 10 seconds · R event seconds of all videos · D numbers a
# code.

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
from avnb_notebooks.ms_vae.step2_features import load_seconds
from avnb_notebooks.ms_vae.step4_model import MSVAE
from IPython.display import HTML, display
from matplotlib.axes import Axes
from torch import Tensor

from avnb import course, metrics, training
from avnb.data import clips
from avnb.features import LogMel
from avnb.viz import show, widgets

# %% tags=["parameters"]
SCALE = "laptop"
DATA = ""
SEED = 0
RUN_DIR = ""
OVERRIDES = {}

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
        #         smoke       laptop      gpu         paper
        model=("ms_vae_w", "ms_vae_w", "ms_vae_w", "ms_vae_w"),  # a VAE of step 6
        answers=(3, 5, 5, 5),  # of each question
        rows=(2, 4, 6, 6),  # questions of each picture below
        steps=(3, 7, 7, 7),  # of a walk
    ),
)
settings

# %% [markdown]
# ## What the model knows, and what we look at
#
# The features of the test videos, and the very seconds of picture and sound that they
# were measured on: the same videos in the same order.

# %%
device = training.get_device()
test = load_seconds(lesson.need("features.safetensors", "step3_extract"), "test")
kept = lesson.need(f"models/{settings.model}.safetensors", "step6_train")
model = training.load_model(kept, MSVAE).to(device)
media = clips.load_clips(lesson.data, "test")
if test.videos != media.recordings:
    raise course.LessonError(
        f"{kept.parents[1]}: its features were measured on other videos than those of "
        f"{lesson.data}. Play with the DATA of step 3"
    )
fps, rate, T = media.fps, media.sample_rate, test.event.shape[1]


# %%
def picture(video: int, second: int) -> np.ndarray:
    """The frame (H, W, 3) in the middle of a second."""
    frames = media.frames[video]
    return frames[min(int((second + 0.5) * fps), len(frames) - 1)].numpy()


def sound(video: int, second: int) -> np.ndarray:
    """The samples of a second, float in -1..1."""
    waveform = media.waveform[video, 0]
    return waveform[second * rate : (second + 1) * rate].numpy() / np.float32(32767)


def name_of(video: int) -> str:
    """A video's class and name."""
    return f"{test.classes[int(test.label[video])]} ({test.videos[video]})"


# %% [markdown]
# The gallery: every second of every test event, coded from its picture and from its
# sound. One code is a latent and what the decoder makes of it: `(R, 100 + 640)`.

# %%
where = test.event.nonzero()  # (R, 2): video, second
event_of, second_of = where.T.tolist()
with torch.no_grad():
    gallery = {
        modality: model.encode(x[test.event].to(device), modality)
        for modality, x in (("visual", test.visual), ("audio", test.audio))
    }
R = len(where)
assert all(len(code) == R for code in gallery.values())
label = test.label[where[:, 0]]
print(f"{R} seconds of {len(test.videos)} videos; features: {test.networks}")


# %% [markdown]
# ## 1 · What does this sound look like?
#
# The nearest pictures to a sound. The seconds of one video look alike, and five answers
# from one video would be one answer; so of each video only the nearest second counts.


# %%
@torch.no_grad()
def nearest(code: Tensor, modality: str, count: int, without: str = "") -> list[int]:
    """The `count` nearest of the gallery to a code (D,), one a video, the best first.

    `without`: the name of a video that may not be an answer.
    """
    away = model.distance(code[None], gallery[modality])[0]
    best: dict[str, int] = {}
    for place in away.argsort(stable=True).tolist():
        name = test.videos[event_of[place]]
        if name != without:
            best.setdefault(name, place)
        if len(best) == count:
            break
    return list(best.values())


def shown(place: int) -> np.ndarray:
    """The picture of a place of the gallery."""
    return picture(event_of[place], second_of[place])


# %%
ends = torch.linspace(0, R - 1, 2 * settings.rows).long().tolist()
asked = ends[::2]  # evenly over the gallery, so over the classes
grid, names = [], []
for place in asked:
    found = nearest(gallery["audio"][place], "visual", settings.answers)
    grid.append([shown(place), *map(shown, found)])
    names.append(test.classes[int(label[place])])
columns = ["(unseen)", *(f"{k}." for k in range(1, settings.answers + 1))]
figure = show.image_grid(grid, rows=names, columns=columns)
lesson.figure("heard", figure, "A sound's own picture, and those nearest to it.")

# %% [markdown]
# The first column is what was to be seen when the sound was made; the model was given
# the sound alone. Is the right kind of thing in the row? Is it the same thing in every
# row? Then the model likes some pictures for whatever it hears.

# %% tags=["heard"]
for place in asked[:3]:
    video, second = event_of[place], second_of[place]
    lesson.audio(f"heard_{place}", sound(video, second), rate, name_of(video))


# %% [markdown]
# ## 2 · A walk through the latent
#
# Take two sounds, and the straight line between the means of their latents,
#
# $$\mu(\lambda) = (1 - \lambda)\,\mu_1 + \lambda\,\mu_2 .$$
#
# At each step the decoder says what such a second would be, and we look for the nearest
# real picture. In a good latent the way leads past things that are between the two, not
# through a no man's land whose nearest neighbour is always the same.


# %%
@torch.no_grad()
def between(first: int, second: int, share: float) -> Tensor:
    """The code (D,) on the way between the sounds of two places of the gallery."""
    rows = test.audio[where[[first, second], 0], where[[first, second], 1]]
    mu, _ = model.posterior(rows.to(device), "audio")
    middle = (1 - share) * mu[:1] + share * mu[1:]
    return torch.cat([middle, *model.generate(middle, "audio")], dim=-1)[0]


shares = np.linspace(0, 1, settings.steps).tolist()
pairs = list(zip(ends[::2], ends[1::2], strict=True))
start = between(*pairs[0], 0.0)
assert torch.allclose(start, gallery["audio"][pairs[0][0]], atol=1e-4)

# %%
walks = [
    [shown(nearest(between(*pair, share), "visual", 1)[0]) for share in shares]
    for pair in pairs
]
names = [" → ".join(test.classes[int(label[k])] for k in pair) for pair in pairs]
figure = show.image_grid(walks, rows=names, columns=[f"{s:.2f}" for s in shares])
lesson.figure("walk", figure, "From one sound to another: the nearest pictures.")
turns = [
    {"walk": name, "different pictures": len({p.tobytes() for p in walk})}
    for name, walk in zip(names, walks, strict=True)
]
lesson.record("walks", turns)
display(show.table(turns, f"of {settings.steps} steps"))

# %% [markdown]
# Walk yourself: choose two seconds of sound, slide the share. (At 0 and at 1 it is the
# first question again: what does this sound look like? ✔ marks the class of an end.)

# %%
doors = {
    f"{name_of(video)}, second {second}": place
    for place, (video, second) in enumerate(where.tolist())
}


def on_the_way(first: str, second: str, share: float) -> list[show.Card]:
    """The nearest pictures to a point between two sounds."""
    found = nearest(
        between(doors[first], doors[second], share), "visual", settings.answers
    )
    right = {int(label[doors[name]]) for name in (first, second)}
    return [
        show.Card(
            name_of(event_of[place]), shown(place), right=int(label[place]) in right
        )
        for place in found
    ]


sounds = {name: sound(event_of[p], second_of[p]) for name, p in doors.items()}
display(widgets.SoundToCards(on_the_way, sounds, rate))

# %% [markdown]
# ## 3 · When is it?
#
# Localisation as a picture. Rows are seconds heard, columns seconds seen, and dark is
# near. The event's own seconds, in both, are the square of the truth. If its sounds are
# given (A2V), the model looks for the columns where a diagonal of that length is
# darkest; if its pictures are given (V2A), for the rows. A right answer lies on the
# truth. Look for the block: where event and background differ to the model, the matrix
# has corners at the event's beginning and end.

# %%
mel = LogMel(sample_rate=rate, n_fft=1024, hop_length=rate // 50, n_mels=48)


def beside(place: Axes, video: int, of: str) -> None:
    """The seconds of a video along an edge: pictures above, a spectrogram at left."""
    if of == "visual":
        strip = np.concatenate([picture(video, t) for t in range(T)], axis=1)
        place.imshow(strip, extent=(-0.5, T - 0.5, 0, 1), aspect="auto")
        place.set(yticks=[], title=name_of(video))
    else:
        heard = np.concatenate([sound(video, t) for t in range(T)])
        bands = mel(torch.from_numpy(heard).float())
        place.imshow(bands.T, extent=(0, 1, T - 0.5, -0.5), aspect="auto")
        place.set(ylabel="second heard", yticks=range(T))
    place.set_xticks([])


# %%
ANSWERS = {"A2V": (show.COLOURS[1], "o"), "V2A": (show.COLOURS[5], "s")}


def mark(place: Axes, found: dict[str, int], start: int, length: int) -> None:
    """The truth and both answers, as paths through the matrix."""
    steps = np.arange(length)
    style = {"color": show.COLOURS[2], "linewidth": 7, "label": "truth"}
    place.plot(start + steps, start + steps, solid_capstyle="round", **style)
    for name, (colour, marker) in ANSWERS.items():
        given, answer = start + steps, found[name] + steps
        heard, seen = (given, answer) if name == "A2V" else (answer, given)
        right = "✔" if found[name] == start else "✘"
        label = f"{name} {right}"
        place.plot(seen, heard, color=colour, marker=marker, markersize=4, label=label)
    place.set(xlabel="second seen", xticks=range(T), yticks=[])
    place.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.02, 1))


# %%
@torch.no_grad()
def localised(video: int) -> tuple[Tensor, dict[str, int], int, int]:
    """Distances (T, T), sounds in rows; both answers; the event's start and length."""
    heard = model.encode(test.audio[video].to(device), "audio")
    seen = model.encode(test.visual[video].to(device), "visual")
    distance = model.distance(heard, seen).cpu()
    event = test.event[video][None]
    start, length = (int(span) for span in metrics.event_spans(event))
    both = torch.stack([distance, distance.T])[:, None]
    answers = metrics.localise(both, event)[:, 0].tolist()
    return distance, dict(zip(ANSWERS, answers, strict=True)), start, length


def matrix(video: int) -> show.Plot:
    """One video: what is heard and seen, how far apart, and where the answers lie."""
    distance, found, start, length = localised(video)
    figure = show.Plot(figsize=(7.6, 5.4), layout="constrained")
    ratios = {"width_ratios": (1, 6), "height_ratios": (1, 6)}
    axes = figure.subplots(2, 2, squeeze=False, gridspec_kw=ratios)
    axes[0, 0].set_axis_off()
    for place, of in ((axes[0, 1], "visual"), (axes[1, 0], "audio")):
        beside(place, video, of)
    axes[1, 1].imshow(distance, cmap="gray", aspect="auto")
    mark(axes[1, 1], found, start, length)
    return figure


# %% tags=["matrix"]
placed = metrics.is_localisable(test.event).nonzero()[:, 0].tolist()
right = {}
for video in placed:
    _, found, start, _ = localised(video)
    right[video] = sum(answer == start for answer in found.values())
for count, words in ((2, "both answers right"), (0, "both answers wrong")):
    of_these = [video for video in placed if right[video] == count]
    lesson.record(words, len(of_these))
    if of_these:
        lesson.figure(f"matrix_{count}", matrix(of_these[0]), words.capitalize())


# %% [markdown]
# Every test video that has something to find. Play the whole of it while you look: can
# *you* say to the second when the event begins? An answer that is one second off
# counts as nothing.


# %%
def video_page(name: str) -> HTML:
    """The matrix of a video, and its whole sound."""
    video = pages[name]
    source = show.data_url(show.figure_to_png(matrix(video)), "image/png")
    heard = np.concatenate([sound(video, t) for t in range(T)])
    return HTML(f"<img src='{source}'>{show.listen([heard], rate, [name]).data}")


pages = {f"{k}. {name_of(v)}": v for k, v in enumerate(placed, start=1)}
if pages:
    display(widgets.Album(video_page, list(pages)))


# %% [markdown]
# ## 4 · Who is like this?
#
# Retrieval as in Table 2, one question at a time: a second of sound or of picture is
# asked, and the nearest seconds of the other modality, of other videos, are the
# answers. ✔ has the class that was asked for. (The model compares a sound with pictures
# or a picture with sounds. The cards show and play both of each, so that you can
# judge too.)


# %%
def answers(place: int, kind: str) -> list[show.Card]:
    """The question, then the nearest answers; kind: A-V or V-A.

    The model is given one modality of each; a card shows and plays both.
    """
    mine, theirs = ("audio", "visual") if kind == "A-V" else ("visual", "audio")
    own = test.videos[event_of[place]]
    found = nearest(gallery[mine][place], theirs, settings.answers, without=own)
    return [
        show.Card(
            name_of(event_of[k]),
            shown(k),
            sound(event_of[k], second_of[k]),
            None if k == place else bool(label[k] == label[place]),
        )
        for k in [place, *found]
    ]


# %% tags=["retrieval"]
grid, captions, hits = [], [], []
for place in asked:
    _, *found = answers(place, "V-A")
    hits += [bool(card.right) for card in found]
    grid.append([shown(place), *(card.picture for card in found)])
    marks = "".join(show.MARKS[card.right][0].strip() for card in found)
    captions.append(f"{test.classes[int(label[place])]} {marks}")
columns[0] = "asked"
figure = show.image_grid(grid, rows=captions, columns=columns)
caption = "A picture asks, sounds answer: what was seen when those sounds were made."
lesson.figure("answers", figure, caption)
if hits:  # there is another video to answer with
    share = sum(hits) / len(hits)
    lesson.record("right among the answers shown", share)
    print(f"{share:.0%} of the answers shown are of the right class")


# %% [markdown]
# And every question, with players:


# %%
def answer_page(name: str) -> HTML:
    """The question's card and the answers' cards."""
    kind, place = questions[name]
    return show.cards(answers(place, kind), rate)


last = {v: k for k, v in enumerate(event_of)}  # the event's last second
questions = {
    f"{kind}: {name_of(video)}": (kind, place)
    for video, place in last.items()
    for kind in ("A-V", "V-A")
}
display(widgets.Album(answer_page, list(questions)))

# %% [markdown]
# ## Exercises
#
# 1. One answer a video: the nearest without repetition.
# 2. Recall at k: how often a right answer is among the first k.

# %% tags=["active-ipynb"]
# from avnb_notebooks.ms_vae import exercises
#
#
# def nearest_of_each(distance, video, k):
#     """Places of the k nearest items, the best first, at most one of each video.
#
#     distance (R,): of each item from the question; video (R,): whose second it is.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.NEAREST_OF_EACH, nearest_of_each)

# %% tags=["active-ipynb"]
# def recall_at(distance, labels, k):
#     """The share of queries with an item of their class among the k nearest.
#
#     distance (N, N), queries in rows, all items allowed; labels (N,) of both.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.RECALL_AT, recall_at)

# %%
lesson.finish()
