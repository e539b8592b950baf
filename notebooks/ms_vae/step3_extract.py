# %% [markdown]
# # Step 3 · Measure every second, once
#
# Step 2 defined what is measured; here it is done: the ear is trained (unless you have
# VGGish's weights), then both networks go over all videos. What comes out is one file,
# `features.safetensors`, and neither a picture nor a sound is needed to train MS-VAE
# any more.

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
import hashlib
import time
from dataclasses import replace

import torch
from avnb_notebooks.ms_vae.step2_features import (
    VGGISH,
    Ear,
    Seconds,
    events,
    heard,
    load_seconds,
    made_from,
    practice,
    read_ave_features,
    save_seconds,
    scaled,
    seen,
    splits_of,
    spread,
)
from IPython.display import display

# %%
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.functional import confusion_matrix

from avnb import course, metrics, training
from avnb.data import clips, shards
from avnb.features import VGGishMel
from avnb.metrics.accuracy import mean_score
from avnb.pretrained import weights
from avnb.viz import show
from data_scripts.bandstand.events import KINDS

# %% tags=["parameters"]
SCALE = "laptop"
DATA = ""
SEED = 0
RUN_DIR = ""
OVERRIDES = {}

# %%
lesson = course.start(
    "ms_vae",
    "step3_extract",
    scale=SCALE,
    data=DATA,
    seed=SEED,
    run_dir=RUN_DIR,
    overrides=OVERRIDES,
)

# %% [markdown]
# Two fields are for what you may have: `vggish`, the path of VGGish's weights, and
# `ave_features`, the folder of AVE's own feature files, which need no network at all.
# (`lesson.overrides = {"vggish": "…/vggish-10086976.pth"}`.)

# %%
settings = lesson.settings(
    dict(
        #             smoke laptop  gpu  paper
        ear_sounds=(1, 20, 100, 400),  # of each kind, 3 s each, to learn from
        ear_unseen=(1, 5, 20, 20),  # of each kind, to be judged on
        ear_batch=(32, 64, 64, 64),
        ear_steps=(2, 300, 2000, 10000),
        ear_rate=(2e-3, 2e-3, 2e-3, 1e-3),
        published=(False, True, True, True),  # VGG19's own weights, or random ones
        size=(32, 64, 224, 224),  # pixels a side that VGG19 gets
        frames=(1, 2, 4, 16),  # of a second, at most
        videos=(4, 8, 32, 32),  # at a time
        vggish=("", "", "", ""),
        ave_features=("", "", "", ""),
        precision=("float32", "float32", "auto", "auto"),
    ),
)
settings

# %%
display(course.show_source(Ear, practice, seen, heard, Seconds))

# %% [markdown]
# ## The ear goes to school
#
# It learns from seconds of sound that are in no video of the data, and is judged on
# others that it has not heard. Chance is 1 in 28. The three seconds of one sound are
# no independent witnesses: the interval comes from drawing *sounds* again.

# %%
device = training.get_device()
mel = VGGishMel().to(device)


def school(each: int, seed: int) -> tuple[Tensor, Tensor, list[int]]:
    """Log-mels (n, 96, 64), kinds (n,) and the sound of each, of `practice`."""
    sounds, kinds, which = practice(each, seed)
    return mel(sounds.to(device)), kinds.to(device), which.tolist()


@torch.inference_mode()
def in_parts(network: nn.Module, mels: Tensor) -> Tensor:
    """`network` over batches of 256."""
    return torch.cat([network(part) for part in mels.split(256)])


# %%
def train_ear() -> tuple[Ear, training.Run]:
    """The ear of this run; if it was stopped, from where it was."""
    mels, kinds, _ = school(settings.ear_sounds, lesson.seed)
    training.seed_everything(lesson.seed)
    ear = Ear(len(KINDS))
    adam = torch.optim.AdamW(ear.parameters(), settings.ear_rate, weight_decay=0.05)
    own = {k: v for k, v in settings.as_dict().items() if k.startswith("ear_")}
    run = training.Run(
        lesson.run_dir / "ear",
        seed=lesson.seed,
        precision=settings.precision,
        settings=own,
    )
    ear, adam = run.prepare(ear=ear, optimizer=adam)
    batches = training.BatchSampler(len(kinds), settings.ear_batch, seed=lesson.seed)
    for step in run.steps(settings.ear_steps):
        index = batches[step.number].to(device)
        with run.autocast():
            loss = F.cross_entropy(ear.names(mels[index]), kinds[index])
        run.step(adam, loss)
        run.log(loss=loss)
    if not run.finished:
        raise course.LessonError("ear: stopped; run this notebook again to go on")
    spread(ear.eval().requires_grad_(False), mels[:: max(1, len(mels) // 1000)])
    path = lesson.run_dir / "models" / "ear.safetensors"
    training.save_model(path, ear, kinds=len(KINDS))
    return ear, run


# %% tags=["ear"]
def judge_ear(ear: Ear, name: str, run: training.Run) -> None:
    """Its accuracy on unheard sounds, what it confuses, how it learned."""
    mels, kinds, which = school(settings.ear_unseen, lesson.seed + 1)
    named = in_parts(ear.names, mels).argmax(dim=1)
    right = metrics.accuracy(named, kinds, which, name="kind of an unseen sound")
    honesty = [
        {"row": "the ear", "accuracy": right.annotate_network(ear, name)},
        {"row": "chance", "accuracy": metrics.chance(len(KINDS))},
    ]
    lesson.record("ear", honesty)
    display(show.table(honesty))
    lesson.figure("ear_loss", show.curves({"loss": run.history["loss"]}, smooth=20))
    counts = confusion_matrix(named, kinds, "multiclass", num_classes=len(KINDS))
    figure = show.confusion(counts.cpu(), KINDS, title="What the ear hears")
    lesson.figure("ear_confusion", figure, "Which kinds sound alike to it?")


# %%
ear: nn.Module | None = None
if settings.vggish:
    ear, name = weights.load_vggish(settings.vggish).to(device), "VGGish (your file)"
elif not settings.ave_features:
    ear, run = train_ear()
    name = "bandstand-ear (substitute for VGGish)"
    judge_ear(ear, name, run)

# %% [markdown]
# ## Over all videos
#
# Batch by batch, since the pictures of a large set fit in no memory. A file that was
# made from the same clips with the same networks and settings is not made again.

# %%
judges: dict[str, tuple[str, nn.Module]] = {}
if not settings.ave_features:
    vgg19 = weights.load_network("vgg19", published=settings.published).to(device)
    vgg19.to(memory_format=torch.channels_last)
    known = weights.SOURCES["vgg19"].name
    sight = known if settings.published else "VGG19 with random weights"
    judges = {"visual": (sight, vgg19), "audio": (name, ear)}
checksums = {kind: metrics.state_checksum(net) for kind, (_, net) in judges.items()}
named_networks = {
    kind: f"{said} {checksums[kind][:8]}" for kind, (said, _) in judges.items()
}


@torch.inference_mode()
def measure(some: clips.ClipBatch) -> dict[str, Tensor]:
    """A batch of videos as the tensors of `Seconds`."""
    return {
        "visual": seen(vgg19, some, most=settings.frames, size=settings.size).cpu(),
        "audio": heard(ear, some, mel).cpu(),
        "event": events(some),
        "label": some.labels.cpu(),
    }


# %%
def measure_all(split: str) -> Seconds | None:
    """All videos of a split of the clips; None where it has none."""
    parts, names, classes, began = [], [], [], time.perf_counter()
    for some in clips.stream_clips(lesson.data, split, batch=settings.videos):
        here = {"frames": some.frames.to(device), "waveform": some.waveform.to(device)}
        parts.append(measure(replace(some, **here)))
        names, classes = names + some.recordings, some.classes
        rate = len(names) / (time.perf_counter() - began)
        print(
            f"\r{split}: {len(names)} videos, {rate:.1f} a second", end="", flush=True
        )
    if not parts:
        return None
    print()
    tensors = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    return Seconds(**tensors, videos=names, classes=classes, networks=named_networks)


# %%
path = lesson.run_dir / "features.safetensors"
if settings.ave_features:
    splits, problems = read_ave_features(settings.ave_features)
    lesson.record("left_out", [{"what": str(problem)} for problem in problems])
    print(*problems, sep="\n")
    save_seconds(path, splits, ave_features=settings.ave_features)
else:
    listing = hashlib.sha256((lesson.data / "clips.json").read_bytes()).hexdigest()
    sizes = {"frames": settings.frames, "size": settings.size}
    made = {"clips": listing, "networks": checksums, **sizes}
    if made_from(path) != made:
        measured = {split: measure_all(split) for split in shards.SPLITS}
        found = {split: of for split, of in measured.items() if of is not None}
        save_seconds(path, found, **made)
there = splits_of(path)
splits = {s: load_seconds(path, s) for s in shards.SPLITS if s in there}

# %% [markdown]
# ## What came out
#
# This table stands in every later report: which network made which features.

# %% tags=["networks"]
made_by = [
    {"features": kind, "network": said, "numbers a second": getattr(of, kind).shape[-1]}
    | {"checksum": checksums.get(kind, "")[:16]}
    for of in list(splits.values())[:1]
    for kind, said in of.networks.items()
]
lesson.record("networks", made_by)
display(show.table(made_by))
counted = [
    {
        "split": split,
        "videos": len(of),
        "classes": len(of.label.unique()),
        "event seconds": int(of.event.sum()),
        "all seconds": of.event.numel(),
        "event all along": int(of.event.all(dim=1).sum()),
    }
    for split, of in splits.items()
]
lesson.record("splits", counted)
lesson.record("megabytes", path.stat().st_size / 2**20)
display(show.table(counted))


# %% [markdown]
# ### Do our rows look like VGGish's?
#
# Beside ours, the statistics of real VGGish rows: 178 × 10 of them, those of AVE's
# `audio_feature_noisy.h5`. Zeros come from the last ReLU. Of the ear's the deviation
# was set to VGGish's (step 2); the rest is its own.


# %% tags=["rows"]
def statistics(x: Tensor) -> dict[str, float]:
    """Of rows (n, t, width)."""
    zeros, top = (x == 0).float().mean(), x.amax(dim=-1).mean()
    values = (x.mean(), x.std(), zeros, top)
    return dict(zip(VGGISH, map(float, values), strict=True))


train = splits["train"]
rows = [
    {"rows": "audio, " + train.networks["audio"]} | statistics(train.audio),
    {"rows": "audio, real VGGish (1,780 rows, measured once)"} | VGGISH,
    {"rows": "visual, " + train.networks["visual"]} | statistics(train.visual),
]
lesson.record("rows", rows)
show.table(rows)

# %% [markdown]
# ## One video, as MS-VAE will meet it
#
# A column a second, brightest where a number is large in its row. Where the event
# begins, both modalities should change at once; if one does not, nothing that comes
# later can align them there.

# %% tags=["one-video"]
test = splits.get("test", train)
mixed = test.event.any(dim=1) & ~test.event.all(dim=1)
one = int(mixed.nonzero()[0]) if mixed.any() else 0
figure, axes = show.subplots(2, 1, width=6.5, height=2.4)
inside = test.event[one].nonzero()[:, 0]
for ax, kind in zip(axes[:, 0], ("visual", "audio"), strict=True):
    x = scaled(getattr(test, kind)[one])
    most = x.var(dim=0).topk(60).indices
    ax.imshow(x[:, most.sort().values].T, aspect="auto", cmap="magma")
    for edge in (inside.min() - 0.5, inside.max() + 0.5):
        ax.axvline(edge, color="white", linestyle="--")
    ax.set(ylabel=f"{kind}, 60 of {x.shape[1]}", xlabel="second")
    ax.grid(False)
title = f"{test.classes[test.label[one]]}: the event lies between the lines."
lesson.figure("one_video", figure, title)


# %% [markdown]
# ### Is there anything in them?
#
# Before any model: take an event second of each test video and name the class of its
# nearest event second in training. If that is no better than the commonest class, the
# features know nothing, and no VAE can put it there.


# %%
def event_rows(of: Seconds, kind: str) -> tuple[Tensor, Tensor]:
    """One event second of each video, the middle one: rows (n, width), labels (n,)."""
    has = of.event.any(dim=1).nonzero()[:, 0]
    middle = [of.event[i].nonzero()[:, 0] for i in has.tolist()]
    at = torch.stack([seconds[len(seconds) // 2] for seconds in middle])
    return scaled(getattr(of, kind)[has, at]), of.label[has]


# %% tags=["nearest"]
known = []
for kind, said in test.networks.items():
    rows_of, labels = event_rows(train, kind)
    asked, target = event_rows(test, kind)
    named = labels[torch.cdist(asked, rows_of).argmin(dim=1)]
    right = metrics.accuracy(named, target, name=f"nearest {kind} second's class")
    known.append(
        {"features": f"{kind}, {said}", "accuracy": right.annotate(split="test")}
    )
base = metrics.majority_class(labels, target)
known.append({"features": "none: always the commonest class", "accuracy": base})
lesson.record("nearest", known)
show.table(known)

# %% [markdown]
# And between event and background, within a video? The further apart, the easier the
# localisation. Is the nearest other second of a video of the same sort? Another
# second drawn at random is so too in about half of the cases, more often where the
# event is short or long: the table has that share beside it.

# %% tags=["apart"]
apart = []
for kind, said in test.networks.items():
    hits, drawn = [], []
    for x, event in zip(scaled(getattr(test, kind)), test.event, strict=True):
        if 2 <= event.sum() <= len(event) - 2:
            far = torch.cdist(x, x).fill_diagonal_(torch.inf)
            hits.append((event[far.argmin(dim=1)] == event).double().mean())
            same = event[:, None] == event
            drawn.append((same.sum() - len(x)) / (same.numel() - len(x)))
    if hits:
        share = mean_score(torch.stack(hits).numpy(), name="of its sort")
        row = {"features": f"{kind}, {said}"}
        row["nearest second is of its sort"] = share.annotate(split="test")
        row["another second at random"] = torch.stack(drawn).mean().item()
        apart.append(row | {"videos": len(hits)})
lesson.record("apart", apart)
show.table(apart)

# %% [markdown]
# ## Exercises
#
# 1. Frames outnumber seconds. Average the features of frames to seconds, where not all
#    videos have the same number of frames a second.
# 2. The features were measured from clips that overlap nobody. Test it: find the pairs
#    of rows of two splits that are the same to the last bit.

# %% tags=["active-ipynb"]
# from avnb_notebooks.ms_vae import exercises
#
#
# def by_second(rows, times, seconds):
#     """(f, d) rows of frames seen at times (f,) s → (seconds, d), their means.
#
#     Frame at time t belongs to second floor(t); a second without frames is zeros.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.BY_SECOND, by_second)

# %% tags=["active-ipynb"]
# def leaked(train, test):
#     """[(i, j), …]: test row i is equal to train row j; rows of zeros do not count."""
#     ...  # your code
#
#
# course.try_exercise(exercises.LEAKED, leaked)

# %%
lesson.finish()
