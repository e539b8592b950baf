# %% [markdown]
# # Step 10 · Evaluation: which claims hold?
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/deep_cross_modal/step10_judge.ipynb)
#
# It is easy to like generated pictures and hard to evaluate them. This notebook does it
# in several ways. Beside every number stand the rows that it must be compared with:
# chance, real data, and **what a cheater would get**: somebody who generates nothing
# and shows a picture of the training set. Then we test the claims of the paper one by
# one.
#
# **You will learn** how to evaluate a conditional generator, which evaluations a
# cheater wins, how to find memorised pictures and missing variety, what FID, KID and IS
# measure and when they mislead, how to test a pose against the truth, and what a single
# run can and cannot show.
#
# **Time.** About 30 minutes to read. The cells run in about two minutes at `laptop` on
# two cores.
#
# **Before you start.** Steps 3, 5, 7 and 9 must have run, because this notebook loads
# their networks.

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
import torch
from avnb_notebooks.deep_cross_modal.step1_data import load_pairs, remove_camera
from avnb_notebooks.deep_cross_modal.step2_sound import (
    SoundClassifier,
    StackedAutoencoder,
    Standardizer,
    make_representation,
)
from avnb_notebooks.deep_cross_modal.step4_image import (
    EvalClassifier,
    ImageClassifier,
    PoseEstimator,
    denormalize_pictures,
    normalize_pictures,
)

# %%
from avnb_notebooks.deep_cross_modal.step6_sound_to_image import Generator
from avnb_notebooks.deep_cross_modal.step8_image_to_sound import (
    SpectrogramGenerator,
    resize_to_34_frames,
    resize_to_frames,
)
from IPython.display import display
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.functional import confusion_matrix

from avnb import course, metrics, training
from avnb.course import study
from avnb.metrics import Measure
from avnb.metrics.intervals import bootstrap_interval
from avnb.metrics.oracles import fit_oracle
from avnb.viz import show, widgets
from avnb.viz.polls import Item, Medium, Poll, Question, write_poll

# %%
lesson = course.start(
    "deep_cross_modal",
    "step10_judge",
    scale=SCALE,
    data=DATA,
    seed=SEED,
    run_dir=RUN_DIR,
    overrides=OVERRIDES,
)

# %%
settings = lesson.settings(
    dict(
        #       smoke laptop reference gpu paper
        eval_pairs=(48, 600, 1000, 5000, 17555),  # at most so many pairs of each split
        neighbours=(3, 3, 3, 3, 3),  # k of precision and recall
        sets=(2, 10, 10, 10, 10),  # of the human study, for each instrument
    ),
)
settings

# %%
device = training.get_device()
pairs = {split: load_pairs(lesson.data, split, device) for split in ("train", "test")}
classes = pairs["test"].classes
models = lesson.need(
    "models", "step7_sound_to_image_train", "step9_image_to_sound_train"
)


def load_network(name: str, cls: type[nn.Module]) -> nn.Module:
    """Load a trained network of this run."""
    return training.load_model(models / f"{name}.safetensors", cls).to(device).eval()


lms = make_representation("LMS", pairs["test"].sample_rate).to(device)
eval_image = load_network("image_eval_classifier", EvalClassifier)
eval_sound = load_network("sound_eval_classifier", EvalClassifier)
gamma = load_network("image_encoder", ImageClassifier)
encoders = {"classifier": load_network("sound_encoder", SoundClassifier)}

# %%
# Which sound encoding each variant gets. Those that this run has trained are judged.
ENCODINGS = {"S2I-C": "classifier", "S2I-N": "classifier", "S2I-A": "autoencoder"}
trained = lesson.load_results("step7_sound_to_image_train")["steps"]
variants = {name: ENCODINGS[name] for name in trained}
if "autoencoder" in variants.values():
    encoders["autoencoder"] = load_network("autoencoder", StackedAutoencoder)
standardizers = {
    name: load_network(f"standardizer_{name}", Standardizer)
    for name in (*encoders, "image")
}

# %% [markdown]
# ## Choose the pairs and generate
#
# The evaluation uses at most `eval_pairs` random pairs of each split. Every network
# generates one picture for each of these sounds. Intervals come from resampling the
# *people*, because all that one person plays is alike.

# %%
fixed = torch.Generator().manual_seed(lesson.seed)
chosen = {
    split: torch.randperm(len(of), generator=fixed)[: settings.eval_pairs].to(device)
    for split, of in pairs.items()
}
labels = {split: of.labels[chosen[split]].cpu() for split, of in pairs.items()}
units = {
    split: [of.units[i] for i in chosen[split].tolist()] for split, of in pairs.items()
}
real = {
    split: normalize_pictures(of.pictures[chosen[split]]).cpu()
    for split, of in pairs.items()
}


# %%
@torch.no_grad()
def run_in_batches(f, *inputs: Tensor) -> Tensor:
    """Apply `f` to batches of 256 and collect the results on the CPU."""
    parts = zip(*(x.split(256) for x in inputs), strict=True)
    return torch.cat([f(*(x.to(device) for x in part)).float().cpu() for part in parts])


def predict_classes(net: nn.Module, x: Tensor) -> Tensor:
    """Predict the class of each item, on the CPU."""
    return run_in_batches(net, x).argmax(dim=1)


# %%
def transform_sounds(split: str) -> Tensor:
    """Compute the spectrograms of all sounds of a split: (n, 128, 44)."""
    index = torch.arange(len(pairs[split]), device=device)
    return run_in_batches(lambda i: lms(pairs[split].get_waveforms(i)), index)


def encode_sounds(encoding: str, sounds: Tensor) -> Tensor:
    """Encode spectrograms (n, 128, 44), standardised: (n, 128)."""
    encoder, standardize = encoders[encoding], standardizers[encoding]
    return run_in_batches(lambda part: standardize(encoder.encode(part)), sounds)


# Computed once: each evaluation below needs some of them.
spectrograms = {split: transform_sounds(split) for split in pairs}
heard = {split: spectrograms[split][chosen[split].cpu()] for split in pairs}
codes = {
    (encoding, split): encode_sounds(encoding, heard[split])
    for encoding in sorted(set(variants.values()))
    for split in pairs
}

# %%
generated = {}
for variant, encoding in variants.items():
    G = load_network(variant.lower().replace("-", "_"), Generator)
    for split in ("train", "test"):
        z = torch.randn(len(chosen[split]), G.noise, generator=fixed)
        generated[variant, split] = run_in_batches(G, z, codes[encoding, split])

# %% [markdown]
# ## What a cheater shows
#
# Two cheaters hear the same sounds. Neither generates anything:
#
# - The first names the instrument by the sound encoder, and shows *any* training
#   picture of that instrument.
# - The second looks for the training sound with the nearest encoding, and shows the
#   picture that belongs to it.
#
# A generator that does not beat them in an evaluation has not shown by it that it can
# do more than look things up.

# %%
train_codes = encode_sounds("classifier", spectrograms["train"])
taught = pairs["train"].labels.cpu()


def pick_named(split: str) -> Tensor:
    """Pick a training pair of the instrument that the sound encoder names."""
    named = predict_classes(encoders["classifier"], heard[split])
    return metrics.retrieve_by_class(named, taught, seed=lesson.seed)


# %%
def pick_nearest(split: str) -> Tensor:
    """Pick the training pair of the nearest sound, but not the sound itself."""
    far = torch.cdist(codes["classifier", split], train_codes)
    if split == "train":
        far[torch.arange(len(far)), chosen["train"].cpu()] = torch.inf
    return far.argmin(dim=1)


NAMED, NEAREST = "cheater: its class by ear", "cheater: nearest sound"
picked = {(NAMED, split): pick_named(split) for split in pairs}
picked |= {(NEAREST, split): pick_nearest(split) for split in pairs}
train_pictures = normalize_pictures(pairs["train"].pictures).cpu()
shown = generated | {where: train_pictures[at] for where, at in picked.items()}
shown |= {("real", split): real[split] for split in pairs}

# %% [markdown]
# ## Table 5: is it the right instrument?
#
# The accuracy is the share of pictures in which a classifier recognises the instrument
# of the sound. Two classifiers are used. The **EvalClassifier** was not used in
# training. Γ is the paper's way, but Γ has also chosen the best epoch, so we do not
# know what its accuracy means. The intervals come from resampling people.

# %% tags=["table5"]
PAPER = {  # Table 5
    ("S2I-C", "train"): 0.8737,
    ("S2I-C", "test"): 0.7556,
    ("S2I-A", "train"): 0.1063,
    ("S2I-A", "test"): 0.1095,
    ("S2I-N", "train"): 0.1262,
    ("S2I-N", "test"): 0.1232,
}
table5, accuracy = [], {}
for split in ("train", "test"):
    for what in (*variants, NAMED, NEAREST, "real"):
        row = {"sounds": split, "pictures": what, "steps": trained.get(what, "")}
        for name, net in (("EvalClassifier", eval_image), ("Γ", gamma)):
            predicted = predict_classes(net, shown[what, split])
            right = metrics.accuracy(predicted, labels[split], units[split])
            row[name] = accuracy[what, split, name] = right
        if (what, split) in PAPER:
            row["the paper"] = {"value": PAPER[what, split], "unit": "fraction"}
        table5.append(row)
lesson.table("table5", table5, "Table 5: is the right instrument recognised?")

# %%
chance = metrics.chance(len(classes))
trivial = metrics.majority_class(pairs["train"].labels.cpu(), labels["test"])
baselines = [
    {"baseline": "chance", "accuracy": chance},
    {"baseline": "always the commonest class of training", "accuracy": trivial},
]
lesson.table("table5_baselines", baselines, "Baselines of Table 5")
names = (*variants, NAMED, NEAREST, "real")
figure = show.bars(
    {what: accuracy[what, "test", "EvalClassifier"] for what in names},
    lines={"chance": chance.value},
    marks={what: PAPER[what, "test"] for what in variants},
    marked="the paper, by Γ, on Sub-URMP",
    y="accuracy of the EvalClassifier",
    percent=True,
)
lesson.figure("table5", figure, "Is the right instrument recognised? Unheard people.")

# %%
main = next(iter(variants))
named = predict_classes(eval_image, generated[main, "test"])
counts = confusion_matrix(named, labels["test"], "multiclass", num_classes=len(classes))
figure = show.confusion(counts, classes, title=f"{main}, sounds of unheard people")
lesson.figure("confusion", figure, f"EvalClassifier on the pictures of {main}.")


# %% [markdown]
# ## Memorised? Varied?
#
# A generator may copy training pictures, or make the same picture for every sound of an
# instrument. The accuracy notices neither. We measure distances between the features
# of the EvalClassifier:
#
# - **Authenticity** (Alaa et al. 2022): the share of pictures that are farther from
#   their nearest training picture than that one is from its own nearest neighbour. A
#   copier has 0 %. That neighbour shows another person, because the pictures of one
#   recording are almost equal. The last row of the table has what real pictures of
#   unheard people get.
# - **Precision** (Kynkäänniemi et al. 2019): the share of generated pictures that lie
#   among the real ones, that is within the distance of some real picture to its k-th
#   nearest real neighbour. Noise has 0 %.
# - **Recall**: the same the other way round, the share of real pictures that lie among
#   the generated ones. A network with a single picture has about 0 %.
# - **Diversity**: the mean distance of two pictures of one instrument, over that of two
#   real ones.


# %%
def find_authentic(x: Tensor, train: Tensor, whose: list) -> Tensor:
    """Tell which items are no copies of training items, (n,), by the definition."""
    near = torch.cdist(x, train).min(dim=1)
    other = torch.tensor([[a != b for b in whose] for a in whose])
    own = torch.cdist(train, train).where(other, torch.inf).min(dim=1).values
    return near.values > own[near.indices]


def find_among(x: Tensor, others: Tensor, k: int) -> Tensor:
    """Tell for each item of `x` whether it lies among `others`: (n,)."""
    # The nearest of all is the item itself, hence k + 1.
    reach = torch.cdist(others, others).kthvalue(k + 1, dim=1).values
    return (torch.cdist(x, others) <= reach).any(dim=1)


# %% [markdown]
# `metrics` computes the same, with intervals, block by block. Both agree on made-up
# points:

# %%
points = torch.randn(2, 40, 5, generator=torch.Generator().manual_seed(0))
owners = [f"person {i % 8}" for i in range(40)]
by_hand = find_authentic(points[0], points[1], owners).float().mean()
fast = metrics.authenticity(points[0], points[1], training_units=owners)
assert abs(by_hand - fast.value) < 1e-6
by_hand = find_among(points[0], points[1], k=3).float().mean()
fast = metrics.manifold_precision(points[0], points[1], k=3)
assert abs(by_hand - fast.value) < 1e-6
print("authenticity and precision by hand and by metrics agree")


# %%
def describe_set(x: Tensor, real_ones: Tensor, train: Tensor) -> dict:
    """Measure copies and variety of what was made for the test pairs, by features."""
    who, k = units["test"], min(settings.neighbours, len(x) - 1)
    label = labels["test"]
    asked = (x, label, real_ones, label, (who, who))
    return {
        "authenticity": metrics.authenticity(
            x, train, who, training_units=pairs["train"].units
        ),
        "precision": metrics.manifold_precision(x, real_ones, who, k=k),
        "recall": metrics.manifold_recall(x, real_ones, who, k=k),
        "diversity": metrics.diversity(*asked, seed=lesson.seed),
    }


# %% tags=["memorisation"]
train_features = run_in_batches(eval_image.features, train_pictures)
real_features = run_in_batches(eval_image.features, real["test"])
noise = torch.rand(real["test"].shape, generator=fixed) * 2 - 1
sets = {what: shown[what, "test"] for what in (*variants, NAMED, NEAREST)}
copies = [
    {"pictures": what}
    | describe_set(
        run_in_batches(eval_image.features, x), real_features, train_features
    )
    for what, x in (*sets.items(), ("noise", noise))
]
fresh = metrics.authenticity(
    real_features, train_features, units["test"], training_units=pairs["train"].units
)
copies.append({"pictures": "real, of unheard people", "authenticity": fresh})
lesson.table("memorisation", copies, "Pictures: memorised or varied?")

# %% [markdown]
# Look at it: generated pictures, and below each the training picture that is nearest to
# it by these features.

# %% tags=["nearest"]
made = run_in_batches(eval_image.features, generated[main, "test"])
near = metrics.retrieve_nearest(made, train_features)
present = sorted(set(labels["test"].tolist()))
example = [int(torch.nonzero(labels["test"] == k)[0]) for k in present]
rows = [
    denormalize_pictures(generated[main, "test"][example]),
    denormalize_pictures(train_pictures[near[example]]),
    denormalize_pictures(real["test"][example]),
]
figure = show.image_grid(
    rows,
    rows=[main, "nearest of training", "real"],
    columns=[classes[k] for k in present],
)
lesson.figure(
    "nearest", figure, "Generated pictures and the nearest training pictures."
)


# %% [markdown]
# Which instruments does the network generate at all? A class that is missing here has
# been dropped by the generator, even where the accuracy is high.


# %%
def draw_classes(named: Tensor, title: str) -> show.Plot:
    """Draw how often each class was asked for, and how often it was recognised."""
    asked = torch.bincount(labels["test"], minlength=len(classes)) / len(named)
    found = torch.bincount(named, minlength=len(classes)) / len(named)
    return show.bars(
        {name: float(found[k]) for k, name in enumerate(classes)},
        marks={name: float(asked[k]) for k, name in enumerate(classes)},
        marked="asked for",
        y="share of the pictures" if "picture" in title else "share of the sounds",
        percent=True,
        title=title,
    )


figure = draw_classes(named, f"instruments recognised in the pictures of {main}")
lesson.figure("classes", figure, "Class histogram of the generated pictures.")


# %% [markdown]
# ## FID, KID, IS: are they similar to real pictures?
#
# All three describe a *set* of pictures by a network's outputs. Usually the network is
# Inception-v3, trained on photographs. Ours is the EvalClassifier, so the numbers carry
# its name and cannot be compared with those of other papers. Its features before
# the last layer have mean $\mu$ and covariance $\Sigma$ (1: real, 2: generated), and
# $p$ are its probabilities:
#
# $$\mathrm{FID} = \lVert\mu_1 - \mu_2\rVert^2 +
# \mathrm{tr}\big(\Sigma_1 + \Sigma_2 - 2(\Sigma_1\Sigma_2)^{1/2}\big),\qquad
# \mathrm{IS} = \exp\,\mathbb E_x\,\mathrm{KL}\big(p(y \mid x)\,\Vert\,p(y)\big).$$
#
# KID is the squared MMD with the kernel $k(a, b) = (a \cdot b / d + 1)^3$ for $d$
# features:
#
# $$\mathrm{KID} = \mathbb E\,k(x, x') + \mathbb E\,k(y, y') - 2\,\mathbb E\,k(x, y).$$
#
# Exercise 2 asks you to write KID. Here are FID and IS by their equations, compared
# with `metrics` on a few pictures:


# %%
def compute_fid(a: Tensor, b: Tensor) -> float:
    """FID of features (n, d) and (m, d), by the equation, in float64."""
    means = (a.mean(0) - b.mean(0)).square().sum()
    first, second = a.T.cov(), b.T.cov()
    # The trace of a square root is the sum of the square roots of the eigenvalues.
    # Rounding makes some that should be 0 slightly negative or complex.
    eigenvalues = torch.linalg.eigvals(first @ second).real.clamp(min=0)
    spread = first.trace() + second.trace() - 2 * eigenvalues.sqrt().sum()
    return float(means + spread)


def compute_inception_score(logits: Tensor) -> float:
    """IS of logits (n, K), by the equation."""
    p = logits.double().softmax(dim=1)
    divergence = (p * (p / p.mean(0)).log()).sum(dim=1)
    return float(divergence.mean().exp())


# %%
# The EvalClassifier without its last layer gives the features.
body = eval_image.body
options = {"network_name": "EvalClassifier", "seed": lesson.seed}
few = real["test"][:32], generated[main, "test"][:32]
slow = compute_fid(*(run_in_batches(body, x).double() for x in few))
fast = metrics.frechet_distance(*few, body, **options).value
print(f"FID by hand {slow:.4f}, by metrics {fast:.4f}")
assert abs(slow - fast) < 1e-2 * max(1.0, fast)
slow = compute_inception_score(run_in_batches(eval_image, few[1]))
fast = metrics.inception_score(few[1], eval_image, **options).value
print(f"IS by hand {slow:.4f}, by metrics {fast:.4f}")
assert abs(slow - fast) < 1e-3 * fast

# %% [markdown]
# `metrics` also gives intervals. With few pictures, a large part of a FID is bias. So
# all rows are measured at the same number of pictures, against the same real ones. We
# divide the unheard people into two halves. The first half is the reference. Each row
# is compared with it: the pictures that were generated for the sounds of the *second*
# half, the real pictures of the second half (the **floor**: other people, equally
# many), the cheaters, and real pictures of the people of the training.
#
# IS rewards variety even where every instrument is wrong, because it never looks at the
# sound.

# %%
people = sorted(set(units["test"]))
first_half = set(people[::2])
inside = torch.tensor([unit in first_half for unit in units["test"]])
n = int(min(inside.sum(), (~inside).sum()))
halves = [torch.nonzero(part)[:n, 0] for part in (inside, ~inside)]
of_half = [[units["test"][i] for i in half.tolist()] for half in halves]
compared = {
    what: (shown[what, "test"][halves[1]], of_half[1])
    for what in (*variants, NAMED, NEAREST)
}
compared["real, other unheard people (floor)"] = (real["test"][halves[1]], of_half[1])
compared["real, people of the training"] = (real["train"][:n], units["train"][:n])

# %% tags=["distances"]
distances = []
for what, (x, whose) in compared.items():
    row, against = {"pictures": what, "n": n}, real["test"][halves[0]]
    how = options | {"units": (of_half[0], whose)}
    if n >= 8 and len(x) == n:  # fewer have no covariance to speak of
        row["FID (EvalClassifier)"] = metrics.frechet_distance(against, x, body, **how)
        row["KID (EvalClassifier)"] = metrics.kernel_distance(against, x, body, **how)
    how = options | {"units": whose}
    row["IS (EvalClassifier)"] = metrics.inception_score(x, eval_image, **how)
    distances.append(row)
caption = "Distances to real pictures of unheard people, all at the same n"
lesson.table("distances", distances, caption)


# %% [markdown]
# ## Does the pose fit the sound?
#
# "We are able to generate various poses …, but it is hard to quantify how good the
# generation is." Where the truth is known, it can be quantified. The pose estimator of
# step 5 estimates the pose in the generated picture. This is compared with the true
# positions of hands, head and bow of the bandstand's player at that moment.
#
# Nobody can hear where the camera stands. So all poses are compared as `remove_camera`
# of step 1 gives them: measured from the head, with the hands on the right.
#
# A small error alone shows little. Who plays the cello has the hands where cellists
# have them, whatever the sound is at that moment. So these rows stand beside it:
#
# - the **oracle**: a regression from the sound to the pose, one for each instrument. It
#   says how much of the pose can be heard at all, so it is the ceiling.
# - the **mean pose** of the instrument in the training pictures, always the same.
# - the pose of the training picture with the **nearest sound**: the second cheater.
# - the generated pose against the truth of **another moment of the same recording**.
#   Person, instrument and camera are the same there. Only where the error with the own
#   moment is smaller does the pose follow the sound.
# - the generated pose against the truth of another moment of the instrument, most often
#   of another person.
# - the pose estimator's own error, on the real pictures.


# %%
def choose_other(truth: Tensor, groups: list) -> Tensor:
    """Choose for each item the truth of another one of its group; nan where alone."""
    other = torch.full_like(truth, torch.nan)
    kept, partner = metrics.shuffle_within(groups, seed=lesson.seed)
    other[kept] = truth[partner]
    return other


# %%
def read_by_oracle(label: Tensor, sounds: Tensor, known: Tensor) -> Tensor:
    """Read the poses of test pairs from their spectrograms.

    `known` holds the poses of the training pairs. The poses of an instrument with under
    10 training pairs are nan.
    """
    # Quarters of the half second: where in time something sounds may matter.
    asked_of, taught_by = (
        F.adaptive_avg_pool1d(x, 4).flatten(1) for x in (sounds, spectrograms["train"])
    )
    found = torch.full((len(label), known.shape[1]), torch.nan)
    for instrument in label.unique().tolist():
        asked, mine = label == instrument, taught == instrument
        if mine.sum() >= 10:
            truth = dict(enumerate(known[mine].T))
            oracle = fit_oracle(taught_by[mine], truth, before=0)
            for field, values in oracle.read(asked_of[asked]).items():
                found[asked, field] = values
    return found


# %%
MEAN_POSE = "mean pose of the instrument"


def measure_gain(estimate: Tensor, own: Tensor, others: Tensor, whose: list) -> Measure:
    """Measure how much smaller the error is with the own moment than with another."""
    with_own, with_other = ((estimate - t).abs().nanmean(1) for t in (own, others))
    gain = (with_other - with_own).double()
    known = torch.isfinite(gain)
    kept = [who for who, use in zip(whose, known.tolist(), strict=True) if use]
    values = gain[known].numpy()
    low, high = bootstrap_interval(values, kept, seed=lesson.seed)
    note = f"bootstrap over {len(set(kept))} people"
    return Measure(
        "gain", float(values.mean()), low, high, len(values), unit="widths", note=note
    )


# %%
def read_poses(x: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """The poses in pictures, and in the real pictures of the same test pairs."""
    real_pictures = normalize_pictures(pairs["test"].pictures[index])
    seen = (run_in_batches(estimator, pictures) for pictures in (x, real_pictures))
    return tuple(map(remove_camera, seen))


# %%
def measure_pose(name: str, x: Tensor, index: Tensor) -> tuple[list[dict], Measure]:
    """Measure the pose error of generated pictures, and the rows beside it."""
    of, places = pairs["test"], index.tolist()
    truth, known = (
        remove_camera(pairs[s].get_poses().cpu()) for s in ("test", "train")
    )
    truth, label = truth[places], of.labels[places].cpu()
    moment = choose_other(truth, [of.recordings[i] for i in places])
    another = choose_other(truth, label.tolist())
    sounds = spectrograms["test"][index.cpu()]
    asked = encode_sounds("classifier", sounds)
    nearest = known[metrics.retrieve_nearest(asked, train_codes)]
    (estimate, seen), whose = read_poses(x, index), [of.units[i] for i in places]
    rows = {
        "generated": (estimate, truth),
        "oracle": (read_by_oracle(label, sounds, known), truth),
        MEAN_POSE: (metrics.average_class(label, known, taught), truth),
        "nearest sound (cheater)": (nearest, truth),
        "generated, another moment": (estimate, moment),
        "generated, another of the instrument": (estimate, another),
        "estimator on the real picture": (seen, truth),
    }
    rows = {row: metrics.pose_error(a, b, whose) for row, (a, b) in rows.items()}
    table = [{"network": name, "row": row, "error": e} for row, e in rows.items()]
    return table, measure_gain(estimate, truth, moment, whose)


# %% tags=["pose"]
pose, gains = [], {}
if (models / "pose_estimator.safetensors").exists():
    estimator = load_network("pose_estimator", PoseEstimator)
    rows, gains[main] = measure_pose(main, generated[main, "test"], chosen["test"])
    pose += rows
    for name in lesson.load_results("step7_sound_to_image_train")["pose_models"]:
        index = torch.nonzero(pairs["test"].labels == classes.index(name))[:, 0]
        G, called = load_network(f"pose_{name}", Generator), f"pose-oriented, {name}"
        z = torch.randn(len(index), G.noise, generator=fixed)
        asked = encode_sounds("classifier", spectrograms["test"][index.cpu()])
        x = run_in_batches(G, z, asked)
        rows, gains[called] = measure_pose(called, x, index)
        pose += rows
    lesson.table("pose", pose, "Errors of the pose")
else:
    print("This data set has no truth about poses.")

# %% [markdown]
# The next table answers the question. The gain is the error against another moment of
# the same recording minus that against the own moment. Where its whole interval is
# above 0, the pose follows the sound.

# %%
caption = "How much better the pose fits its own moment than another one"
rows = [
    {
        "network": name,
        "gain": gain,
        "does the pose follow the sound?": {True: "yes", False: "not shown"}[
            gain.low > 0
        ],
    }
    for name, gain in gains.items()
]
lesson.table("pose_gain", rows, caption)

# %% [markdown]
# ## Image to sound: 11 % in the paper
#
# The EvalClassifier for sounds, which was not used in training, classifies the
# generated spectrograms. The same two cheaters stand beside it: a training sound of the
# instrument that Γ names in the picture, and the sound of the nearest training picture.
# Two further rows show the cost of the representation itself: real spectrograms, and
# real spectrograms resized to 34 frames and back.

# %%
G, standardize = load_network("i2s", SpectrogramGenerator), standardizers["image"]
z = torch.randn(len(chosen["test"]), G.noise, generator=fixed)


def encode_pictures(x: Tensor) -> Tensor:
    """Encode pictures by Γ, standardised: (n, 128)."""
    return standardize(gamma.encode(x))


seen = run_in_batches(encode_pictures, real["test"])
known = run_in_batches(encode_pictures, train_pictures)
nearest = metrics.retrieve_nearest(seen, known)
named = predict_classes(gamma, real["test"])
by_eye = metrics.retrieve_by_class(named, taught, seed=lesson.seed)

# %%
EYE, LIKE = "cheater: its class by eye", "cheater: nearest picture"
sounds = {
    "I2S": run_in_batches(lambda x, z: resize_to_frames(G(z, x)), seen, z),
    EYE: spectrograms["train"][by_eye],
    LIKE: spectrograms["train"][nearest],
    "real": heard["test"],
}
squeezed = resize_to_34_frames(sounds["real"])
sounds["real, 44 → 34 → 44 frames"] = resize_to_frames(squeezed)

# %% tags=["i2s"]
evaluators = {
    "EvalClassifier": lambda x: eval_sound(x[:, None]),  # it wants a channel axis
    "sound encoder": encoders["classifier"],
}
paper = {"I2S": 0.1117, "real": 0.80}
i2s = []
for what, x in sounds.items():
    row = {"sounds": what}
    for name, net in evaluators.items():
        predicted = predict_classes(net, x)
        row[name] = metrics.accuracy(predicted, labels["test"], units["test"])
    if what in paper:
        row["the paper"] = {"value": paper[what], "unit": "fraction"}
    i2s.append(row)
row = {"sounds": "chance", "EvalClassifier": chance, "sound encoder": chance}
i2s.append(row | {"the paper": {"value": 1 / 13, "unit": "fraction"}})
lesson.table("i2s", i2s, "Is the right instrument recognised in the sounds?")


# %% [markdown]
# Memorised or varied? The same measures for sounds, with the features of the
# EvalClassifier for sounds. The cheaters copy, so their authenticity is 0.


# %% tags=["i2s-memorisation"]
def extract_sounds(x: Tensor) -> Tensor:
    """Compute the EvalClassifier's features of spectrograms (n, 128, 44)."""
    return run_in_batches(lambda part: eval_sound.features(part[:, None]), x)


reference_sounds = extract_sounds(sounds["real"])
known_sounds = extract_sounds(spectrograms["train"])
noise = torch.rand(sounds["real"].shape, generator=fixed) * 2 - 1
rows = [
    {"sounds": what} | describe_set(extract_sounds(x), reference_sounds, known_sounds)
    for what, x in {
        **{k: sounds[k] for k in ("I2S", EYE, LIKE)},
        "noise": noise,
    }.items()
]
lesson.table("i2s_memorisation", rows, "Sounds: memorised or varied?")
named = predict_classes(evaluators["EvalClassifier"], sounds["I2S"])
figure = draw_classes(named, "instruments recognised in the sounds of I2S")
lesson.figure("i2s_classes", figure, "Class histogram of the generated sounds.")

# %% [markdown]
# ## The paper's claims, one by one
#
# A difference between two variants in a single run may come from the seed. So a study
# tests the claims over several seeds (`avnb study deep_cross_modal`). What the
# reference run found stands below, once it is published. A claim **holds** when the
# whole 95 % interval over seeds is on the claimed side. It **fails** when the interval
# is on the other side, and it is **undecided** otherwise. There is a verdict only where
# the held-out curves of all the networks that a claim compares are flat. A network that
# is still learning says nothing about what it can do.

# %% tags=["claims"]
study.show_claims(lesson)

# %% [markdown]
# ## Ask people (Table 4, Fig. 8)
#
# In the paper people scored sets of four pictures, from 0 to 3 (Table 4), without
# knowing which network had generated which picture. Fig. 8 gives mean scores:

# %% tags=["figure8"]
fig8 = [
    {"pictures": "S2I-C, all instruments", "mean score in the paper": 1.81},
    {"pictures": "S2I-C, flute", "mean score in the paper": 2.1},
    {"pictures": "S2I-C, double bass", "mean score in the paper": 2.02},
    {"pictures": "S2I-C, cello", "mean score in the paper": 1.9},
    {"pictures": "real, 64 × 64 pixels", "mean score in the paper": 2.59},
]
meanings = [{"score": k, "meaning (Table 4)": v} for k, v in widgets.MEANINGS.items()]
display(show.table(meanings))
lesson.table("figure8", fig8, "Fig. 8: the scores that people gave in the paper")

# %% [markdown]
# You can do the same here. Every click is saved, and at the end the means appear with
# their intervals. The training picture of the first cheater is in each set. A generator
# that deserves your points should come near it. In an automatic run nobody clicks, so
# the form is only shown.

# %% tags=["human-study"]
order = torch.randperm(len(chosen["test"]), generator=fixed)
ballots: list[widgets.StudySet] = []
items: list[Item] = []
for k in sorted(set(labels["test"].tolist())):
    of_class = [i for i in order.tolist() if labels["test"][i] == k][: settings.sets]
    for i in of_class:
        pictures = {
            what: denormalize_pictures(shown[what, "test"][i : i + 1])[0]
            for what in (*variants, NAMED, "real")
        }
        ballots.append(widgets.StudySet(classes[k], pictures))
        samples = {name: [Medium.of_picture(x)] for name, x in pictures.items()}
        items.append(Item(f"pair {i}", samples, units["test"][i], classes[k]))
saved = lesson.run_dir / "human_study.json"
form = widgets.HumanStudy(ballots, saved, seed=lesson.seed)
display(form)

# %% [markdown]
# **In a class** many people vote, in the ten minutes that a lecture leaves them. The
# next cell writes some of these sets as a page that needs no server: one file, which
# each voter opens in a browser. TEACHING.md says how the votes come back and how
# `avnb vote` merges them. The file `key.json` beside the page says which network made
# which picture, so keep it to yourself.

# %% tags=["vote"]
few = [items[i] for i in torch.linspace(0, len(items) - 1, 20).long().unique()]
asked = Question("score", "How good is each picture?", widgets.MEANINGS, few)
title = "Which pictures look like a player of the instrument?"
poll = Poll(title, [asked], "Some pictures are real. Each one gets a score.")
page = write_poll(poll, lesson.run_dir / "vote", seed=lesson.seed)
print(f"{len(few)} sets of pictures to vote on: {page.relative_to(lesson.run_dir)}")


# %% [markdown]
# ## What came out
#
# The next cells put the numbers of this run into sentences. An interval that includes
# chance is no evidence that a network uses its input. At `smoke` the networks are
# practically untrained, so expect that.


# %%
def compare(name: str, right: Measure, other_name: str, other: Measure) -> str:
    """Say which of two accuracies is higher, if their intervals are apart."""
    numbers = f"{right.value:.1%} against {other.value:.1%}"
    if right.low <= other.high and other.low <= right.high:
        return (
            f"{name} and {other_name}: {numbers} are recognised. The intervals "
            "overlap, so neither is shown to be recognised more often."
        )
    higher = "more" if right.value > other.value else "less"
    return f"{name} is recognised {higher} often than {other_name}: {numbers}."


results = {f"{v}, pictures": accuracy[v, "test", "EvalClassifier"] for v in variants}
i2s_right = {row["sounds"]: row["EvalClassifier"] for row in i2s}
results["I2S, sounds"] = i2s_right["I2S"]
for name, right in results.items():
    verdict = "above" if right.low > chance.value else "not clearly above"
    print(f"{name}: {right.value:.1%} right, {verdict} chance ({chance.value:.1%}).")
mine = accuracy[main, "test", "EvalClassifier"]
cheats = accuracy[NAMED, "test", "EvalClassifier"]
print(compare(main, mine, "the cheater's training picture", cheats))
print(compare("I2S", i2s_right["I2S"], "the cheater's training sound", i2s_right[EYE]))
print(compare(main, mine, "a real picture", accuracy["real", "test", "EvalClassifier"]))

# %%
gammas, evals = accuracy[main, "test", "Γ"], accuracy[main, "test", "EvalClassifier"]
strict = "stricter" if gammas.value < evals.value else "no stricter"
print(f"Γ, which has chosen the epoch, is {strict} than the EvalClassifier on {main}:")
print(f"{gammas.value:.1%} against {evals.value:.1%}.")
mine = copies[0]
print(
    f"{mine['authenticity'].value:.0%} of the pictures of {main} are authentic, ",
    end="",
)
print(f"{copies[-1]['authenticity'].value:.0%} of the real pictures of unheard people.")
print(f"Its pictures have {mine['diversity'].value:.0%} of the variety of real ones.")
for name, gain in gains.items():
    table = {row["row"]: row["error"] for row in pose if row["network"] == name}
    error, mean = table["generated"], table[MEAN_POSE]
    follows = "follows" if gain.low > 0 else "is not shown to follow"
    better = "better" if error.high < mean.low else "not clearly better"
    print(
        f"{name}: the pose {follows} the sound. It is off by {error.value:.3f} picture"
    )
    print(f"widths, {better} than the mean pose ({mean.value:.3f}).")

# %% [markdown]
# ## Exercises
#
# 1. If ten of ten predictions are right, is the accuracy surely 100 %? Write Wilson's
#    interval, which contains every p with $|\hat p - p| \le 1.96\sqrt{p(1-p)/n}$.
# 2. Write KID (of one batch) so that it is 0 *on average* for two sets from the same
#    source, however small they are.

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
#
# def compute_wilson_interval(right, n):
#     """(low, high), the 95 % interval of a share when `right` of `n` are right."""
#     ...  # your code
#
#
# course.try_exercise(exercises.WILSON_INTERVAL, compute_wilson_interval)

# %% tags=["active-ipynb"]
# def compute_kid(x, y):
#     """Unbiased squared MMD of x (n, d) and y (m, d), kernel (a·b / d + 1)³."""
#     ...  # your code
#
#
# course.try_exercise(exercises.KID, compute_kid)

# %%
lesson.finish()
