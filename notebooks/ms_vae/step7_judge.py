# %% [markdown]
# # Step 7 · Evaluate: is the model better than a guess without a model?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/ms_vae/step7_judge.ipynb)
#
# The tasks are to find the bark of a dog among the seconds of a video, and to find a
# picture that belongs to a sound. Both give a percentage, and a percentage alone says
# little. This notebook prints beside every score what one gets without a model.
#
# **You will learn**
#
# 1. how **localisation** (Table 1) is scored, beside "always the last window" and a
#    variant of the task that no constant answer can win,
# 2. how **retrieval** (Table 2) is scored, beside a random ranking, the features
#    themselves, and detours by way of the training videos,
# 3. what two mistakes in a ranking script do to its numbers,
# 4. how to look at the **latents** (Fig. 3), and how to measure the information in
#    them,
# 5. what each metric gives to an answer that knows nothing,
# 6. which of the paper's claims hold here.
#
# **Time.** About 35 minutes to read. The cells run in about two minutes at `laptop`.
#
# **Before you start.** Read steps 4 and 5. The features come from step 3 and the
# trained networks from step 6.
#
# **Letters.** N videos · T = 10 seconds · D numbers of an encoded second, or a distance
# · l seconds of an event · s its first second.

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
import functools
from math import comb
from typing import Any

import numpy as np
import torch
from avnb_notebooks.ms_vae.series import DETOUR, NO_MODEL, SUPERVISED
from avnb_notebooks.ms_vae.step1_data import TABLE_1
from avnb_notebooks.ms_vae.step2_features import list_splits, load_features, scale_rows
from avnb_notebooks.ms_vae.step4_model import kl_divergence, pairwise_l2
from avnb_notebooks.ms_vae.step5_baselines import MODELS, TITLES
from IPython.display import display
from sklearn.manifold import TSNE
from torch import Tensor

from avnb import course, metrics, training
from avnb.course import study
from avnb.metrics.intervals import bootstrap_interval
from avnb.metrics.localisation import localisation_scores, window_costs
from avnb.metrics.retrieval import reciprocal_ranks
from avnb.viz import show

# %%
lesson = course.start(
    "ms_vae",
    "step7_judge",
    scale=SCALE,
    data=DATA,
    seed=SEED,
    run_dir=RUN_DIR,
    overrides=OVERRIDES,
)

# %%
settings = lesson.settings(
    dict(
        #     smoke laptop reference gpu paper
        draws=(2, 20, 20, 20, 20),  # how often a second of each video is drawn
        points=(30, 300, 600, 600, 1000),  # pairs in a picture of the latents, at most
    ),
)
settings

# %% [markdown]
# ## The test videos and the networks
#
# We use the features of the test videos from step 3 and the networks from step 6. No
# network sees a pixel or a waveform. Each sees only what two other networks measured in
# each second, so the names of these two networks are part of every number below.

# %%
device = training.get_device()
path = lesson.need("features.safetensors", "step3_extract")
test = load_features(path, "test")
# a run of which only the test split was kept has no training videos to go by
train = load_features(path, "train") if "train" in list_splits(path) else None
event, T = test.event, test.event.shape[1]
# the intervals' unit is the source video: two events of one video are not independent
how = {"units": test.units, "seed": lesson.seed}
measured_by = " + ".join(test.networks.values())
placed = metrics.is_localisable(event)  # the videos with both event and background
locating = bool(placed.any())
if not locating:
    print("No test video has both event and background: there is nothing to localise.")

# %% tags=["data"]
data = [
    {"modality": name, "features": network} for name, network in test.networks.items()
]
data += [
    {"modality": "videos", "features": len(test.videos)},
    {"modality": "videos with event and background", "features": int(placed.sum())},
    {"modality": "classes", "features": len(set(test.label.tolist()))},
]
lesson.record("data", data)
display(show.table(data, "The test split"))

# %% [markdown]
# The column *supervision* says which labels each model used in training:
#
# - *Supervised* is the paper's word. AVDLN knows which seconds are event and which are
#   background. Our DCCA only knows which seconds are event; the paper calls it
#   supervised too.
# - *Unsupervised* models use no labels, says the paper. But its code drops the
#   background seconds before training, and for that it needs the same labels (step 4).
#
# *As released* in a row's name means: trained as the released code does. This code
# trains on raw rows and tests on rows divided by their largest value, and so do we in
# these rows. The others are trained in the corrected mode (step 4). "W" means that the
# Wasserstein term was used, and CM-VAE has two decoders.

# %%
models = {
    TITLES[name]: training.load_model(
        lesson.need(f"models/{name}.safetensors", "step6_train"), MODELS[name]
    ).to(device)
    for name in ("dcca", "avdln", "l3", "ave_net", *(n for n in MODELS if "vae" in n))
}
NOT_REBUILT = ("AVSDN", "AVFB")  # in the paper's tables only
supervision = {
    row: "supervised" if row in SUPERVISED else "unsupervised" for row in models
}
supervision |= dict.fromkeys(NOT_REBUILT, "supervised (not rebuilt)")


# %% [markdown]
# Every model encodes a second of either modality, and measures the distance of two
# encoded seconds. For the VAEs this is the paper's $\mathcal D_{cml}$ (Sec. 3.2): half
# the distance of the latents' means plus half the distance of what is decoded from
# them.
#
# `visual (N, T, 512), audio (N, T, 128) → distances (N, T, T), pictures in rows`


# %%
@torch.no_grad()
def encode_test(model: torch.nn.Module) -> tuple[Tensor, Tensor]:
    """Encode every second of the test videos: visual (N, T, D) and audio (N, T, D)."""
    return tuple(
        model.encode(x.to(device), modality)
        for x, modality in ((test.visual, "visual"), (test.audio, "audio"))
    )


@torch.no_grad()
def compare_seconds(model: torch.nn.Module) -> Tensor:
    """Compute the distances (N, T, T) of each video's pictures (rows) and sounds."""
    pairs = zip(*encode_test(model), strict=True)
    return torch.stack([model.distance(v, a) for v, a in pairs]).double().cpu()


between = {row: compare_seconds(model) for row, model in models.items()}
assert all(d.shape == (len(test.videos), T, T) for d in between.values())


# %% [markdown]
# ## 1 · Localisation
#
# Given are the $l$ seconds of an event in one modality, from second $s$ on. The answer
# is the window of $l$ seconds in the other modality that has the least summed distance,
#
# $$t^* = \arg\min_t c(t), \qquad
#   c(t) = \sum_{k=0}^{l-1} D(s + k,\; t + k), \qquad t = 0 \dots T - l.$$
#
# The answer is right if $t^* = s$. One second off counts as wrong. If two windows have
# the same cost, the earlier one is the answer. A2V means that the sound is given, V2A
# that the pictures are.
#
# Here is the cost as a loop, for one video:


# %%
def window_costs_slow(
    distance: Tensor, s: int, length: int, circular: bool = False
) -> Tensor:
    """Compute c(t) for all t of one video; distance (T, T), the query in rows.

    `circular` is explained below: a window that reaches the end goes on at second 0.
    """
    costs = torch.full((T,), torch.inf, dtype=torch.float64)
    for t in range(T if circular else T - length + 1):
        costs[t] = sum(distance[s + k, (t + k) % T] for k in range(length))
    return costs


# %%
def check_window_costs(distance: Tensor) -> None:
    """Compare `window_costs`, which takes all videos at once, with the loop."""
    start, length = metrics.event_spans(event)
    for circular in (False, True):
        fast = window_costs(distance, event, circular=circular)
        for n in placed.nonzero()[:, 0].tolist():
            s, count = int(start[n]), int(length[n])
            slow = window_costs_slow(distance[n], s, count, circular)
            torch.testing.assert_close(fast[n], slow)


check_window_costs(between["MS-VAE + W"])
print(f"window costs agree with the loop in {int(placed.sum())} videos")

# %% [markdown]
# How hard is this task? An event of 9 seconds fits at two places, one of 2 seconds at
# nine. And events do not lie anywhere: many begin with the video, and even more end
# with it. These three answers neither listen nor look:

# %% tags=["constant-answers"]
if locating:
    constants = metrics.constant_answers(event, **how)
    lesson.record("constant_answers", constants)
    display(show.table([{"answer": row.name, "right": row} for row in constants]))
    start, length = (span[placed] for span in metrics.event_spans(event))
    figure, axes = show.subplots(1, 2, width=3.6, height=2.6)
    for place, values in zip(axes[0], (start, start + length), strict=True):
        place.hist(values.numpy(), bins=np.arange(T + 2) - 0.5)
        place.set(ylabel="videos")
    axes[0, 0].set_xlabel("first second of the event")
    axes[0, 1].set_xlabel("end of the event, s")
    lesson.figure("places", figure, "Where the events of the test videos lie.")


# %% [markdown]
# On AVE's own test split "always the last window" is right in 46.8 % of the videos. No
# method in the paper's Table 1 reaches this on average.
#
# ### A variant that no constant answer can win
#
# Let the first second follow the last one, so that the video becomes a ring. Now all
# $T$ windows are candidates,
#
# $$c(t) = \sum_{k=0}^{l-1} D(s + k,\; (t + k) \bmod T), \qquad t = 0 \dots T - 1.$$
#
# If we turn the searched modality by $r$ seconds, the costs turn with it, and so does
# the right answer. The score of a model is the mean over all $T$ turns. A constant
# answer is right at exactly one of the $T$ turns, whatever the video is, so it scores
# $1/T$. A distance without information scores $1/T$ too. The column *circular* of the
# table is this score, averaged over both directions.
#
# ### A row without a model
#
# One more row of the table looks at the videos, but has no model. It measures how far
# each second is from the mean of its video, separately in each modality. An event often
# differs from the rest of the video in both. Each second gets one number in each
# modality, and $D$ is the difference of the two numbers:
#
# $$u_t = \frac{\lVert x_t - \bar x \rVert}{\max_{t'} \lVert x_{t'} - \bar x \rVert},
#   \qquad D(s, t) = \lvert u^v_s - u^a_t \rvert .$$
#
# `(N, T, F) → (N, T)`


# %%
def distance_from_mean(x: Tensor) -> Tensor:
    """Compute u of features (N, T, F): (N, T), at most 1 in each video."""
    away = (x - x.mean(1, keepdim=True)).norm(dim=-1)
    # the clamp is for a video whose seconds are all alike: 0 / 0 otherwise
    return away / away.amax(1, keepdim=True).clamp(min=1e-12)


u_v, u_a = distance_from_mean(test.visual), distance_from_mean(test.audio)
without = "no model: distance from the mean"
between[without] = (u_v[:, :, None] - u_a[:, None, :]).abs().double()

# %% [markdown]
# ### Two more rows without a model
#
# **The loudest window, the most motion.** Step 1's guess: V2A is answered with the
# loudest window of the sound, A2V with the window of the picture in which most moves.
# The query is not looked at, but for its length. As a distance it is
#
# $$D(s, t) = -\text{motion}_s - \text{loudness}_t ,$$
#
# because the part of the query is the same for every window.
#
# **By way of the training videos.** A sound and a picture cannot be compared, but two
# sounds can. So take the training second whose *sound* is nearest to the query's. It
# has a *picture* too, and that picture can be compared with the pictures that are
# searched:
#
# $$j = \arg\min_{j'} \lVert a - a_{j'} \rVert, \qquad
#   D(v, a) = \lVert v - v_j \rVert .$$
#
# A network is not needed for this, and no label. It is only a list of the training
# seconds, which a network of two million weights has seen as well. For the other
# direction the picture leads to a training second, and its sound is compared.
#
# `queries (n, F), items (m, F') → (n, m)`

# %%
cues = test.cues.double().unbind(-1)  # motion and loudness, (N, T) each
measured = bool(test.cues.isfinite().all())  # nobody measured them of AVE's features
by_cues = "no model: loudness and motion"
if measured:
    between[by_cues] = -cues[0][:, :, None] - cues[1][:, None, :]


# %%
class Detour:
    """Distances across modalities by way of the training seconds, without a model."""

    def __init__(self) -> None:
        inside = train.event
        names = ("visual", "audio")
        self.rows = {name: scale_rows(getattr(train, name)[inside]) for name in names}

    def find(self, queries: Tensor, asks: str) -> Tensor:
        """Find the nearest training second of each query (n, F): (n,)."""
        return pairwise_l2(scale_rows(queries), self.rows[asks]).argmin(1)

    def distance(self, queries: Tensor, asks: str, items: Tensor) -> Tensor:
        """Compare items (m, F') with what the training seconds have: (n, m)."""
        other = "visual" if asks == "audio" else "audio"
        found = self.rows[other][self.find(queries, asks)]
        return pairwise_l2(found, scale_rows(items)).double()


# %%
by_detour = DETOUR
detours: dict[str, Tensor] = {}  # of A2V and V2A: here both directions differ
if train is not None:
    detour = Detour()
    rows = list(zip(test.visual, test.audio, strict=True))
    a2v = [detour.distance(a, "audio", v).T for v, a in rows]
    v2a = [detour.distance(v, "visual", a) for v, a in rows]
    detours = {"A2V": torch.stack(a2v), "V2A": torch.stack(v2a)}
    between[by_detour] = torch.stack([detours["A2V"], detours["V2A"]])


# %%
def turn_queries(distance: Tensor) -> Tensor:
    """Bring distances with pictures in rows to (2, N, T, T), the query in rows."""
    a2v, v2a = distance if distance.ndim == 4 else (distance, distance)
    return torch.stack([a2v.mT, v2a])


def score_localisation(distance: Tensor) -> dict[str, metrics.Measure]:
    """Compute the columns of Table 1.

    Args:
        distance: (N, T, T), pictures in rows; or two of them, for A2V and for V2A.
    """
    both = turn_queries(distance)
    asked = {"A2V": both[0], "V2A": both[1], "average": both}
    found = {
        name: metrics.localisation(d, event, name=name, **how)
        for name, d in asked.items()
    }
    turning = metrics.localisation(both, event, circular=True, name="circular", **how)
    found = found | {"circular": turning}
    return {k: m.annotate(split="test", network=measured_by) for k, m in found.items()}


# %% [markdown]
# ### Table 1
#
# The column *paper* is what the paper prints for AVE with its own features: A2V and
# V2A, in percent. It stands beside both modes of the same model. Two supervised rows of
# the paper's table are not rebuilt here. Compare our rows with each other, and not with
# the paper's: the drawn world is another world, and its sounds are of the kinds that
# our audio encoder has learned to name (step 3). The rows without a model say how hard
# the task is here.

# %% tags=["table1"]
printed = {name: f"{a2v} · {v2a}" for name, (a2v, v2a) in TABLE_1.items()}
table1 = []
for row in ("DCCA", "AVDLN", *NOT_REBUILT, *list(between)[2:]) if locating else ():
    about = {"model": row, "supervision": supervision.get(row, "none")}
    scores = score_localisation(between[row]) if row in between else {}
    in_paper = printed.get(row.removesuffix(", as released").removesuffix("-like"), "")
    table1.append(about | scores | {"paper, %": in_paper})
for row in constants if locating else ():
    same = dict.fromkeys(("A2V", "V2A", "average"), row.annotate(split="test"))
    known = "none" if row.name == "uniform chance" else "where events lie"
    table1.append({"model": row.name, "supervision": known} | same)
    table1[-1]["circular"] = metrics.chance(T)
if locating:
    lesson.record("table1", table1)
    caption = f"Exact matches, {int(placed.sum())} videos; features: {measured_by}"
    display(show.table(table1, caption))


# %% tags=["table1-figure"]
def percent(measure: metrics.Measure) -> tuple[float, float, float]:
    """Return a share, and its interval, in per cent."""
    return 100 * measure.value, 100 * measure.low, 100 * measure.high


if locating:
    shown = {r["model"]: r for r in table1 if "average" in r}
    lines = {row.name: 100 * row.value for row in constants}
    bars = {name: percent(shown[name]["average"]) for name in between}
    figure = show.bars(bars, lines=lines, y="exact matches, %")
    for i, name in enumerate(between):
        if both := TABLE_1.get(name):
            style = {"marker": "*", "color": "black", "linestyle": "", "markersize": 9}
            figure.axes[0].plot(i, sum(both) / 2, **style)
    caption = "Localisation, mean of both directions. Dashed: constant answers. Stars: "
    lesson.figure("table1", figure, f"{caption}the paper's values, on AVE.")
    bars = {name: percent(shown[name]["circular"]) for name in between}
    lines = {"any constant": 100 / T}
    figure = show.bars(bars, lines=lines, y="exact matches on the ring, %")
    lesson.figure("circular", figure, "The circular variant. Dashed: chance.")


# %% [markdown]
# Is one row better than another? The intervals above are wide, because videos differ.
# But all rows answered for the same videos. So we first subtract, video by video, and
# then average the differences:
#
# $$\Delta = \frac1N \sum_n \big(\text{score}_n^{\text{MS-VAE + W}}
#   - \text{score}_n^{\text{other}}\big) .$$


# %%
def score_videos(distance: Tensor) -> Tensor:
    """Score each video that has both event and background: 1, ½ or 0, (N',)."""
    both = turn_queries(distance)[:, placed]
    return localisation_scores(both, event[placed]).mean(0)


kept = [u for u, use in zip(test.units, placed.tolist(), strict=True) if use]


def measure_gain(name: str, values: Tensor) -> metrics.Measure:
    """Average differences (N',) of scores, with a bootstrap interval over videos."""
    low, high = bootstrap_interval(values.numpy(), kept, seed=lesson.seed)
    found = metrics.Measure(name, float(values.mean()), low, high, len(values))
    note = "paired by video; bootstrap over videos of one training"
    found = found.annotate(counted="videos", split="test", seed=lesson.seed)
    return found.annotate(unit="fraction", network=measured_by, note=note)


# %% tags=["gains"]
rivals = [name for name in between if name != "MS-VAE + W"]
if locating:
    w = score_videos(between["MS-VAE + W"])
    against = {name: score_videos(between[name]) for name in rivals}
    against["always last"] = (start + length == T).double()
    gains = [
        {"MS-VAE + W against": name, "more right by": measure_gain(name, w - other)}
        for name, other in against.items()
    ]
    words = {"holds": "yes", "fails": "no, less", "undecided": "not shown"}
    for row in gains:
        row["more right"] = words[metrics.verdict(row["more right by"])]
    lesson.record("gains", gains)
    display(show.table(gains))

# %% [markdown]
# Where does the model answer? Each row of the next figure holds the events that begin
# at one second, and the columns are the answers. Right answers lie on the diagonal. A
# model that has learned where events usually lie, but not what they are, would fill a
# column.

# %% tags=["answers"]
if locating:
    answers = metrics.localise(between["MS-VAE + W"].mT, event)[placed]
    matrix = torch.zeros(T, T).long()
    matrix.index_put_((start, answers), torch.ones_like(start), accumulate=True)
    figure = show.confusion(matrix, [str(second) for second in range(T)])
    figure.axes[0].set(xlabel="answered start, s", ylabel="true start, s")
    lesson.figure("answers", figure, "MS-VAE + W, A2V: true starts and answers, %.")

# %% [markdown]
# ### The best answer without a model

# %% tags=["best-trivial"]
if locating:
    trivial = [row for row in table1 if row["supervision"] in NO_MODEL]
    best_trivial = []
    for column in ("A2V", "V2A", "average", "circular"):
        row = max(trivial, key=lambda row: row[column].value)
        ours = shown["MS-VAE + W"][column]
        best_trivial.append(
            {"column": column, "best without a model": row["model"]}
            | {"it is right": row[column], "MS-VAE + W is right": ours}
        )
    lesson.record("best_trivial", best_trivial)
    display(show.table(best_trivial))


# %% [markdown]
# ## 2 · Retrieval
#
# We draw one second of each video's event, which gives N sounds and N pictures. Each of
# them is a query once. The answers are ranked by their distance from the query. The
# score is the mean reciprocal rank of the first answer of the query's class:
#
# $$\mathrm{MRR} = \frac1N \sum_q \frac{1}{\mathrm{rank}_q}.$$
#
# A-V asks with a sound for a picture, and the picture of the same video is among the
# answers. A-A asks with a sound for a sound, and there the query itself is removed from
# the answers. Answers at the same distance count in random order.
#
# What is the score of a random ranking? If a query's class has $r$ items among $n$
# others, the expected reciprocal rank of the first of them is
#
# $$\mathbb E\left[\frac{1}{\mathrm{rank}}\right] = \sum_{j=1}^{n-r+1} \frac1j \cdot
#   \frac{\binom{n-j}{r-1}}{\binom nr}.$$
#
# This is far from $1/n$ where some classes are large. On AVE's test split it is 0.16 to
# 0.17. The paper's Table 2 prints 0.13 to 0.21 for everything that crosses modalities.
#
# The same formula handles answers at the same distance: `before` answers are nearer and
# wrong, and then come $n$ answers in random order, $r$ of them right. As a loop:


# %%
def expected_reciprocal_rank_slow(before: int, n: int, r: int) -> float:
    """Compute the equation above, with `before` wrong answers ahead of the n."""
    total = 0.0
    for j in range(1, n - r + 2):
        total += comb(n - j, r - 1) / comb(n, r) / (before + j)
    return total


def mrr_slow(distance: Tensor, labels: Tensor, intra: bool) -> float:
    """Compute the MRR query by query; distance (N, N), queries in rows."""
    values, classes = [], labels.tolist()
    for q, row in enumerate(distance.tolist()):
        items = [i for i in range(len(classes)) if not (intra and i == q)]
        right = [i for i in items if classes[i] == classes[q]]
        if not right:
            continue  # a query whose class has no other item is not asked
        nearest = min(row[i] for i in right)
        tied = [i for i in items if row[i] == nearest]
        before = sum(row[i] < nearest for i in items)
        r = sum(i in right for i in tied)
        values.append(expected_reciprocal_rank_slow(before, len(tied), r))
    return sum(values) / len(values)


# %% [markdown]
# The paper draws one second of each video. We draw several times and average each query
# over the draws, so that the score depends less on the luck of a draw.
#
# `model → direction → distances (draws, N', N')`


# %%
def draw_seconds(draws: int) -> Tensor:
    """Draw a second of the event of each of the N' videos with one: (draws, N')."""
    random = torch.Generator().manual_seed(lesson.seed)
    keys = torch.rand(draws, int(asked.sum()), T, generator=random)
    # the event's second with the largest key: each is equally likely
    return keys.where(event[asked], -1.0).argmax(-1)


asked = event.any(1)
seconds, labels = draw_seconds(settings.draws), test.label[asked]
videos = [u for u, use in zip(test.units, asked.tolist(), strict=True) if use]
video = torch.arange(len(videos))
# within a modality a query needs another video of its class
repeated = len(labels.unique()) < len(labels)
DIRECTIONS = ("A-A", "A-V", "V-A", "V-V") if repeated else ("A-V", "V-A")


# %%
@torch.no_grad()
def compare_items(model: torch.nn.Module) -> dict[str, Tensor]:
    """Compute the distances (draws, N', N') of each direction, queries in rows."""
    visual, audio = (x[asked] for x in encode_test(model))
    found: dict[str, list[Tensor]] = {"A-A": [], "A-V": [], "V-A": [], "V-V": []}
    for at in seconds:
        v, a = visual[video, at], audio[video, at]
        across = model.distance(v, a)
        found["A-A"].append(model.distance(a, a))
        found["A-V"].append(across.T)
        found["V-A"].append(across)
        found["V-V"].append(model.distance(v, v))
    return {name: torch.stack(each).double().cpu() for name, each in found.items()}


# %% [markdown]
# Four rows have no model:
#
# - **the features** themselves, each row divided by its largest value. Features of a
#   sound and of a picture cannot be compared, but within a modality this row shows what
#   the models had to begin with.
# - **by way of the nearest training second**, as in localisation: this crosses
#   modalities without a model and without a label.
# - **loudness and motion**: two sounds are near if they are equally loud, two pictures
#   if equally much moves in them, and a sound and a picture if loudness and motion have
#   the same rank among the test videos.
# - **class means**: the query is named by the class of its nearest training second, and
#   the answers are ranked by their distance from the mean of that class, in their own
#   modality. This uses the *class labels* of the training videos, which no other row
#   does. It is no rival of the unsupervised models. It says what labels would be worth.

# %%
ranked = {row: compare_items(model) for row, model in models.items()}
features_only = "no model: the features"
ranked[features_only] = {}
for name, x in (("A-A", test.audio), ("V-V", test.visual)):
    rows = scale_rows(x[asked])[video, seconds].double()
    ranked[features_only][name] = torch.stack([pairwise_l2(r, r) for r in rows])


# %%
def compare_by_cues() -> dict[str, Tensor]:
    """Compute the distances (draws, N', N') by loudness and motion alone."""
    drawn = [x[asked][video, seconds] for x in cues]  # (draws, N') each
    both = dict(zip("VA", drawn, strict=True))
    # ranks are comparable across modalities, decibels and grey levels are not
    ranks = {name: x.argsort(1).argsort(1).double() for name, x in both.items()}
    return {
        kind: (ranks[kind[0]][:, :, None] - ranks[kind[2]][:, None, :]).abs()
        for kind in ("A-A", "A-V", "V-A", "V-V")
    }


# %%
def compare_by_class() -> dict[str, Tensor]:
    """Name the query by its nearest training second; rank by that class's mean."""
    found, label_of = {}, train.label[train.event.nonzero()[:, 0]]
    means = {  # a class that training lacks is never named; its mean is not used
        name: torch.stack(
            [rows[label_of == k].mean(0) for k in range(len(test.classes))]
        )
        for name, rows in detour.rows.items()
    }
    names = {"A": "audio", "V": "visual"}
    for kind in ("A-A", "A-V", "V-A", "V-V"):
        asks, answers = names[kind[0]], names[kind[2]]
        each = []
        for at in seconds:
            queries, items = (
                getattr(test, i)[asked][video, at] for i in (asks, answers)
            )
            named = label_of[detour.find(queries, asks)]
            each.append(pairwise_l2(means[answers][named], scale_rows(items)))
        found[kind] = torch.stack(each).double()
    return found


# %%
def compare_by_detour() -> dict[str, Tensor]:
    """Compute the distances (draws, N', N') by way of the training seconds."""
    found: dict[str, list[Tensor]] = {"A-V": [], "V-A": []}
    for at in seconds:
        v, a = test.visual[asked][video, at], test.audio[asked][video, at]
        found["A-V"].append(detour.distance(a, "audio", v))
        found["V-A"].append(detour.distance(v, "visual", a))
    return {name: torch.stack(each) for name, each in found.items()}


# %%
by_class = "no model: class means"
if measured:
    ranked[by_cues] = compare_by_cues()
if train is not None:
    ranked[by_detour] = compare_by_detour()
    ranked[by_class] = compare_by_class()
    supervision[by_class] = "class labels"


def score_retrieval(distances: dict[str, Tensor]) -> dict[str, metrics.Measure]:
    """Compute the columns of Table 2 from the distances of each direction."""
    found = {}
    for name, d in distances.items():
        if name in DIRECTIONS:
            intra = name in ("A-A", "V-V")
            asks = {"intra": intra, "name": name, "seed": lesson.seed}
            score = metrics.mean_reciprocal_rank(d, labels, videos, **asks)
            found[name] = score.annotate(split="test", network=measured_by)
    return found


# %%
for name in DIRECTIONS:
    d, intra = ranked["MS-VAE + W"][name][0], name in ("A-A", "V-V")
    others = ~torch.eye(len(labels), dtype=torch.bool) | (not intra)
    right = labels[:, None] == labels
    fast = reciprocal_ranks(d, right, others).nanmean().item()
    # with ties the fast form divides in float32, which has seven digits
    assert abs(fast - mrr_slow(d, labels, intra)) < 1e-6
print(f"the fast MRR agrees with the loop over {len(labels)} queries")

# %% tags=["table2"]
PRINTED2 = {  # A-A, A-V, V-A, V-V
    "AVDLN": "0.34 · 0.17 · 0.20 · 0.26",
    "AVSDN": "0.38 · 0.19 · 0.21 · 0.25",
    "AVFB": "0.37 · 0.20 · 0.20 · 0.27",
    "L³-Net-like": "0.13 · 0.14 · 0.13 · 0.14",
    "AVE-Net-like": "0.16 · 0.14 · 0.14 · 0.16",
    "MS-VAE": "0.24 · 0.14 · 0.15 · 0.27",
    "MS-VAE + W": "0.37 · 0.17 · 0.18 · 0.24",
}
random_row = {
    name: metrics.random_mrr(labels, intra=name in ("A-A", "V-V"))
    for name in DIRECTIONS
}
table2 = []
for row in ("DCCA", "AVDLN", *NOT_REBUILT, *list(ranked)[2:]):
    about = {"model": row, "supervision": supervision.get(row, "none")}
    scores = score_retrieval(ranked[row]) if row in ranked else {}
    in_paper = PRINTED2.get(row.removesuffix(", as released"), "")
    table2.append(about | scores | {"paper": in_paper})
table2.append({"model": "random ranking", "supervision": "none"} | random_row)
lesson.record("table2", table2)
caption = f"MRR, {len(videos)} queries, {settings.draws} draws; {measured_by}"
display(show.table(table2, caption))

# %% tags=["table2-figure"]
panels = (("A-A", "V-V"), ("A-V", "V-A"))[not repeated :]
figure, axes = show.subplots(1, len(panels), width=4.6, height=3.2)
for place, columns in zip(axes[0], panels, strict=True):
    rows = [r for r in table2 if columns[0] in r and r["model"] != "random ranking"]
    for i, column in enumerate(columns):
        found = [r[column] for r in rows]
        values = np.array([m.value for m in found])
        ends = np.array([[m.value - m.low, m.high - m.value] for m in found]).T
        at = np.arange(len(rows)) + 0.18 * (2 * i - 1)
        place.errorbar(values, at, xerr=ends, fmt="o", label=column, capsize=2)
    place.axvline(random_row[columns[0]].value, color="#555555", linestyle="--")
    place.set_yticks(range(len(rows)), [r["model"] for r in rows])
    place.invert_yaxis()
    place.set_xlabel("MRR (dashed: random ranking)")
    place.legend(fontsize=8)
    place.set_xlim(0, 1.02)
lesson.figure("table2", figure, "Retrieval: within a modality, and across.")


# %% [markdown]
# ## 3 · Two mistakes in a ranking script
#
# The released script ranks in another way. For a query within a modality it *deletes
# the query's own score* and sorts the remaining scores. Then it looks up the sorted
# positions in the list of labels, which *still has* the query. So every position after
# the query names its left neighbour. The position right after the query names the query
# itself, which always has the right class.
#
# In the loop over the sounds, the ranking for A-V is not computed. The variable still
# holds the V-V ranking of the last *visual* query. So every sound gets the same
# answers: the pictures that are nearest to the last picture.
#
# Neither mistake raises an error, and both print a plausible number.


# %%
def mean_first_hit(orders: list[list[int]]) -> float:
    """Average 1 / rank of the first answer of the query's class; 0 where none is.

    Args:
        orders: of each query, the positions of its answers, the nearest first.
    """
    values, classes = [], labels.tolist()
    for q, order in enumerate(orders):
        hits = [j for j, i in enumerate(order, start=1) if classes[i] == classes[q]]
        values.append(1 / hits[0] if hits else 0.0)
    return float(torch.tensor(values, dtype=torch.float64).mean())


# %%
def mrr_as_released(distances: dict[str, Tensor]) -> dict[str, float]:
    """Compute the MRR with both mistakes, from distances (N', N') of one draw."""
    n, found = len(labels), dict.fromkeys(("A-A", "A-V", "V-A", "V-V"), 0.0)
    for name in ("A-A", "V-V"):
        off = ~torch.eye(n, dtype=torch.bool)
        kept = distances[name][off].view(n, n - 1)  # without the query's own score
        # positions among n - 1 scores, which are then looked up in a list of n labels
        order = kept.argsort(dim=1, stable=True).tolist()
        found[name] = mean_first_hit(order)
    found["A-V"] = mean_first_hit([order[-1]] * n)  # V-V's order of the last query
    order = distances["V-A"].argsort(dim=1, stable=True).tolist()
    found["V-A"] = mean_first_hit(order)
    return found


# %% [markdown]
# We send three sets of distances through both scripts: the model's, a perfect one (0
# within a class, 1 between two classes), which must score 1, and random distances,
# which must score chance.

# %% tags=["released"]
random = torch.Generator().manual_seed(lesson.seed)
perfect = (labels[:, None] != labels).double()
noise = torch.rand(len(labels), len(labels), generator=random).double()
cases = {"MS-VAE + W": {k: d[0] for k, d in ranked["MS-VAE + W"].items()}}
for name, distance in (("perfect", perfect), ("random", noise)):
    cases[name] = dict.fromkeys(("A-A", "A-V", "V-A", "V-V"), distance)
released = []
for name, case in cases.items():
    correct = {k: m.value for k, m in score_retrieval(case).items()}
    released.append({"distances": name, "ranks": "correct"} | correct)
    about = {"distances": name, "ranks": "as released"}
    released.append(about | mrr_as_released(case))
lesson.record("released", released)
display(show.table(released, "One draw; MRR by correct ranks and by the released ones"))

# %% [markdown]
# Read the two lines in the middle. With the released ranks a perfect model scores less
# than 1. In A-V its score depends on one query alone: the class of the last picture. If
# the paper's tables were made with the released script, its A-V is such a number.
#
# ## 4 · The latents
#
# Fig. 3 of the paper shows the means of the latents of both modalities by t-SNE. This
# method draws points in the plane such that near points stay near. The paper says three
# things about the figure: CM-VAE's visual latent collapses to a Gaussian without
# information; the shared decoder prevents this; and the Wasserstein term brings the two
# modalities together. (Distances between groups of points mean little in t-SNE. So we
# also print numbers below.)
#
# In the figure, each network gets rows of the kind that it was trained on. For the
# networks *as released* these are raw rows. The table below also has these networks on
# rows divided by their largest value, as everywhere above. VGG19's raw rows are many
# times as large (step 2). A network trained on them gets very small inputs when they
# are divided, and this alone can make a latent look collapsed.

# %%
VAES = [row for row in models if "VAE" in row]
RAW = ", raw rows"
SHOWN = [row + RAW if "released" in row else row for row in VAES]
n, t = event.nonzero(as_tuple=True)
order = torch.randperm(len(n), generator=torch.Generator().manual_seed(lesson.seed))
chosen = order[: settings.points]


@torch.no_grad()
def compute_posterior(row: str, modality: str) -> tuple[Tensor, Tensor]:
    """Compute μ and ln σ² of every event second, (R, 100) each."""
    x = (test.visual if modality == "visual" else test.audio)[n, t]
    x = x if row.endswith(RAW) else scale_rows(x)
    found = models[row.removesuffix(RAW)].encoders[modality](x.to(device))
    return tuple(each.double().cpu() for each in found)


latents = {
    (row, modality): compute_posterior(row, modality)
    for row in dict.fromkeys(VAES + SHOWN)
    for modality in ("visual", "audio")
}

# %% tags=["figure3"]
figure, axes = show.subplots(2, 3, width=3.3, height=3.0)
for place, row in zip(axes.flat, SHOWN, strict=True):
    both = [latents[row, modality][0][chosen] for modality in ("visual", "audio")]
    near = min(30.0, (2 * len(chosen) - 1) / 3)  # t-SNE allows no larger perplexity
    layout = TSNE(perplexity=near, init="pca", random_state=lesson.seed)
    flat = layout.fit_transform(torch.cat(both).numpy())
    for k, name in enumerate(("visual", "audio")):
        part = flat[k * len(chosen) : (k + 1) * len(chosen)]
        place.scatter(*part.T, s=5, label=name, color=show.COLOURS[k])
    place.set(xticks=[], yticks=[]), place.set_title(row, fontsize=9)
axes[0, 0].legend(fontsize=8, markerscale=2)
caption = f"t-SNE of the latents' means of {len(chosen)} pairs of event seconds."
lesson.figure("figure3", figure, caption)

# %% [markdown]
# The numbers for the same:
#
# - **KL**: the mean over seconds of Eq. 1's $\mathrm{KL}(q(z|x)\,\Vert\,p(z))$, summed
#   over all dimensions. A latent that collapsed to the prior has 0 nats. But a high KL
#   does not always mean information: narrow Gaussians that all lie at one place have a
#   high KL too.
# - **information**: how much of the KL is information about the input.
#   $I(x; z) = H(z) - H(z|x)$. Among all densities of the same variance the Gaussian has
#   the largest entropy, so the information is at most
#   $\frac12\left[\ln(\operatorname{Var}\mu + \mathbb E\sigma^2) - \mathbb
#   E\ln\sigma^2\right]$ in each dimension. We use this number to decide whether a
#   latent has collapsed.
# - **active units** (Burda et al. 2016): dimensions whose $\mu$ has a variance above
#   0.01 over seconds. The others hardly depend on the input.
# - **between modalities**: the share of the variance of $\mu$ that lies between the
#   centres of the two modalities. It is 0 if the two centres are equal, and 1 if each
#   modality is a single point.
# - **pair distance**: how far the $\mu$ of a picture is from that of its own sound,
#   over the same for a picture and another sound. The centres may be equal while no
#   picture is near its sound: then this is 1. It is 0 if each picture has the $\mu$ of
#   its sound.

# %% tags=["latents"]
latent_rows, curves = [], {}
for (row, modality), (mu, logvar) in latents.items():
    nats = kl_divergence(mu, logvar).mean(0)
    means, pairs = (
        [latents[row, name][0][part] for name in ("visual", "audio")]
        for part in (slice(None), chosen)
    )
    latent_rows.append(
        {
            "model": row,
            "modality": modality,
            "KL": float(nats.sum()),
            "information": float(metrics.latent_information(mu, logvar).sum()),
            "active units": metrics.active_units(mu),
            "of": mu.shape[1],
            "between modalities": metrics.modality_share(*means),
            "pair distance": metrics.pair_distance(*pairs),
        }
    )
    if "released" not in row:
        curves[f"{row}, {modality}"] = nats.sort(descending=True).values

# %%
lesson.record("latents", latent_rows)
caption = f"Nats; {len(n)} event seconds; features: {measured_by}"
display(show.table(latent_rows, caption))
figure = show.curves(
    curves, x="dimension, the largest first", y="nats", logarithmic=True
)
lesson.figure("kl", figure, "The KL of each dimension of the latent.")


# %% [markdown]
# ## 5 · What does each metric give to an answer that knows nothing?
#
# Whoever wants a high number looks for the cheapest way to it. Three such ways:
#
# - **all alike**: every distance is the same. The latents are one point.
# - **one answer**: every query gets the same ranking, drawn once at random. The latents
#   of all sounds are one point, and those of all pictures another.
# - **by lot**: every distance and every latent is drawn at random, and has nothing to
#   do with what is seen or heard.
#
# A metric can be trusted where none of the three gets more than chance.


# %%
def score_cheater(distance: Tensor, items: Tensor, latent: list[Tensor]) -> dict:
    """Compute every metric for distances (N, T, T), (N', N') and latents (R, 100)."""
    found: dict[str, Any] = {}
    if locating:
        scores = score_localisation(distance)
        found |= {"localisation": scores["average"], "on a ring": scores["circular"]}
    ask = {"units": videos, "intra": False, "name": "A-V", "seed": lesson.seed}
    found["retrieval, A-V"] = metrics.mean_reciprocal_rank(items, labels, **ask)
    narrow = torch.full_like(latent[0], -4.0)  # ln σ²: narrow Gaussians
    nats = float(metrics.latent_information(latent[0], narrow).sum())
    found["information, nats"] = max(nats, 0.0)  # not -1e-14
    found["between modalities"] = metrics.modality_share(*latent)
    return found | {"pair distance": metrics.pair_distance(*latent)}


# %%
random = torch.Generator().manual_seed(lesson.seed)
draw = functools.partial(torch.rand, generator=random, dtype=torch.float64)
N, count, items_count = len(test.videos), min(len(chosen), 200), len(labels)
nothing = [torch.zeros(count, 100, dtype=torch.float64)] * 2
cheats = {
    "all alike": (torch.zeros(N, T, T), torch.zeros(items_count, items_count), nothing),
    "one answer": (
        draw(T, 1).expand(T, T).mT + draw(T, 1).expand(T, T) + torch.zeros(N, 1, 1),
        draw(items_count).expand(items_count, items_count),
        [nothing[0], nothing[1] + 1],
    ),
    "by lot": (
        draw(N, T, T),
        draw(items_count, items_count),
        [draw(count, 100), draw(count, 100)],
    ),
}

# %% tags=["cheaters"]
cheaters = [
    {"answer": name} | score_cheater(*(cheat[0].double(), cheat[1].double(), cheat[2]))
    for name, cheat in cheats.items()
]
best = {"answer": "chance, or the worst"}
best |= {"on a ring": metrics.chance(T)} if locating else {}
best |= {"retrieval, A-V": random_row["A-V"], "information, nats": 0.0}
cheaters.append(best | {"between modalities": 1.0, "pair distance": 1.0})
lesson.record("cheaters", cheaters)
display(show.table(cheaters))

# %% [markdown]
# - *Localisation*: distances that are all alike name the earliest window, which is
#   right wherever an event begins with the video. So a broken model gets the score of
#   "always first". On the ring it gets chance.
# - *Information*: latents that are drawn by lot have much of it, because each input has
#   its own place, although the places mean nothing. A high number says only that the
#   latent is not constant.
# - *Between modalities*: latents that are one point, or that are drawn by lot, get the
#   best value, which is 0. Only the *pair distance* tells that no picture is near its
#   own sound. So the claim on bridged latents below needs both.
#
# ## 6 · The paper's claims
#
# A claim gets a verdict only if the held-out curves of all networks that it compares
# have flattened (step 6). It **holds** if the whole 95 % interval over seeds lies on
# its side. It **fails** if the whole interval lies on the other side, and it is
# **undecided** otherwise. A single run has one seed and no interval. Where a claim is
# undecided, the table says how many seeds its spread asks for. `avnb study ms_vae`
# trains everything once for each seed. The lines that say so are not claims of the
# paper, but questions that it does not ask. MS-VAE means the corrected mode in all
# claims.

# %% tags=["claims"]
study.show_claims(lesson)

# %% [markdown]
# ## What came out

# %%
ours = next(row for row in table2 if row["model"] == "MS-VAE + W")
if locating:
    best = max(models, key=lambda name: shown[name]["average"].value)
    score = shown[best]["average"].value
    print(f"Localisation: “{best}” is the best network with {score:.0%} exact matches.")
    cheap = next(row for row in best_trivial if row["column"] == "average")
    name, value = cheap["best without a model"], cheap["it is right"].value
    print(f"   “{name}” is right in {value:.0%}.")
    circular = shown["MS-VAE + W"]["circular"].value
    print(f"   On the ring MS-VAE + W has {circular:.0%}, any constant {1 / T:.0%}.")
for name in ("A-V", "V-A"):
    score, base = ours[name].value, random_row[name].value
    word = "better than" if ours[name].low > base else "not clearly better than"
    print(f"Retrieval {name}: MS-VAE + W has {score:.2f}, {word} chance ({base:.2f}).")
    if train is not None:
        other = next(row for row in table2 if row["model"] == by_detour)[name].value
        word = "more" if score > other else "not more"
        print(f"   That is {word} than by way of the training videos ({other:.2f}).")
for row in latent_rows:
    if row["model"] in ("CM-VAE", "MS-VAE") and row["modality"] == "visual":
        nats = row["information"]
        word = "has collapsed" if nats < 1 else "has not collapsed"
        print(f"{row['model']}: the visual latent {word} (at most {nats:.1f} nats).")

# %% [markdown]
# ## Exercises
#
# 1. Compute the costs of all T windows of a video on the ring.
# 2. Compute the expected reciprocal rank of a query in a random ranking, from two
#    counts.

# %% tags=["active-ipynb"]
# from avnb_notebooks.ms_vae import exercises
#
#
# def on_a_ring(distance, s, length):
#     """The costs (T,) of all windows of a video. distance (T, T), query in rows."""
#     ...  # your code
#
#
# course.try_exercise(exercises.ON_A_RING, on_a_ring)

# %% tags=["active-ipynb"]
# def at_random(n, right):
#     """E[1 / rank of the first right item]: n items in random order, `right` right."""
#     ...  # your code
#
#
# course.try_exercise(exercises.AT_RANDOM, at_random)

# %%
lesson.finish()
