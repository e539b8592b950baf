# %% [markdown]
# # Step 3 · Extract: measure the features of every second once
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/ms_vae/step3_extract.ipynb)
#
# Step 2 defined the features. This notebook trains the audio encoder (unless you have
# VGGish's weights) and then sends all videos through both networks. The result is one
# file, `features.safetensors`. From here on MS-VAE needs neither pictures nor sounds.
#
# **You will learn**
#
# 1. how well an audio encoder names sounds that it has not heard in training,
# 2. how to extract features of a data set that does not fit into memory,
# 3. whether our rows look like those of the real VGGish,
# 4. how much of the answer the features alone already hold, before any model.
#
# **Time.** About 15 minutes to read. The cells run in some minutes at `laptop`, most of
# them for the features of all videos.
#
# **Before you start.** Read step 2.
#
# **Letters.** N videos · T seconds of each · n rows.

# %% tags=["parameters"]
SCALE = "laptop"  # how large everything is: one of the scales below
DATA = ""  # "" is the embedded data; or a folder of clips, see `avnb prepare --help`
SEED = 0  # of every random number: a whole number; each seed has a run of its own
RUN_DIR = ""  # "" is the usual folder of this run, below runs/ms_vae/
OVERRIDES = {}  # {"field": value} of the table of settings below: your own values
# scale      for                                       the whole series took
# smoke      tests: every line runs, nothing learned   not measured yet
# laptop     two cores, no GPU: the networks do learn  22.6 min at 107 GFLOP/s
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
import hashlib
import time
from dataclasses import replace

import numpy as np
import torch
from avnb_notebooks.ms_vae.step2_features import (
    VGGISH_STATISTICS,
    AudioEncoder,
    VideoFeatures,
    embed_frames,
    embed_sound,
    list_splits,
    load_features,
    match_vggish_scale,
    measure_seconds,
    read_ave_features,
    read_recipe,
    save_features,
    scale_rows,
    synthesize_sounds,
)
from IPython.display import display

# %%
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.functional import confusion_matrix

from avnb import course, metrics, training
from avnb.course import reference
from avnb.data import clips, shards
from avnb.features import VGGishMel
from avnb.metrics.accuracy import mean_score
from avnb.pretrained import weights
from avnb.viz import show
from data_scripts.bandstand.events import KINDS

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
# Two settings are for files that you may have: `vggish` is the path of VGGish's
# weights, and `ave_features` is the folder of AVE's own feature files, which need no
# network at all. (Write `OVERRIDES = {"vggish": "…/vggish-10086976.pth"}` into the
# parameters cell.)

# %%
settings = lesson.settings(
    dict(
        #             smoke laptop reference gpu paper
        weights=("train", "reference", "train", "train", "train"),  # of the encoder
        encoder_sounds=(1, 20, 40, 100, 400),  # of each kind, 3 s each, for training
        encoder_unseen=(1, 5, 10, 20, 20),  # of each kind, for the test
        encoder_batch=(32, 64, 64, 64, 64),
        encoder_steps=(2, 300, 1500, 2000, 10000),
        measurements=(2, 8, 16, 16, 16),  # of the encoder, on unheard sounds
        encoder_rate=(2e-3, 2e-3, 2e-3, 2e-3, 1e-3),
        published=(False, True, True, True, True),  # VGG19's own weights, or random
        size=(32, 64, 64, 224, 224),  # pixels a side that VGG19 gets
        frames=(1, 1, 2, 4, 16),  # of a second, at most
        videos=(4, 8, 8, 32, 32),  # videos of a batch
        vggish=("", "", "", "", ""),
        ave_features=("", "", "", "", ""),
        precision=("float32", "float32", "float32", "auto", "auto"),
    ),
)
settings

# %%
definitions = (
    AudioEncoder,
    synthesize_sounds,
    embed_frames,
    embed_sound,
    VideoFeatures,
)
display(course.show_source(*definitions))

# %% [markdown]
# ## Train the audio encoder
#
# The encoder learns to name the 28 kinds of event by the usual cross-entropy,
#
# $$\mathcal L = -\frac1B \sum_{b=1}^{B} \log p(\text{kind}_b \mid \text{log-mel}_b) .$$
#
# It learns from seconds of sound that occur in no video of the data set. It is tested
# on other sounds that it has not heard, at `measurements` moments and at its end. They
# choose nothing: the last weights are kept. A random guess is right in 1 of 28 cases.
# The three seconds of one sound resemble each other, so they are not independent. The
# 95 % interval therefore comes from resampling whole *sounds*, not seconds.
#
# With `weights="reference"` nothing is trained here: the encoder is that of the
# reference run, which has trained it for longer. Its training sounds are in no data
# set, so it serves for your own videos as well.

# %%
device = training.get_device()
mel = VGGishMel().to(device)


def make_examples(each: int, seed: int) -> tuple[Tensor, Tensor, list[int]]:
    """Make log-mels (n, 96, 64), kinds (n,) and the number of the sound of each.

    Args:
        each: how many sounds of every kind.
        seed: of the sounds.
    """
    sounds, kinds, which = synthesize_sounds(each, seed)
    return mel(sounds.to(device)), kinds.to(device), which.tolist()


@torch.inference_mode()
def run_in_batches(network: nn.Module, mels: Tensor) -> Tensor:
    """Send log-mels through a network, 256 at a time, to save memory."""
    return torch.cat([network(part) for part in mels.split(256)])


# %%
def measure_accuracy(encoder: AudioEncoder, mels: Tensor, kinds: Tensor) -> float:
    """Measure the share of seconds whose kind the encoder names right."""
    encoder.eval()
    right = run_in_batches(encoder.classify, mels).argmax(dim=1) == kinds
    encoder.train()
    return right.float().mean().item()


# %%
def start_run() -> tuple[training.Run, AudioEncoder, torch.optim.Optimizer]:
    """Make the run of the encoder, or find the one that was stopped."""
    training.seed_everything(lesson.seed)
    encoder = AudioEncoder(len(KINDS))
    rate = settings.encoder_rate
    adam = torch.optim.AdamW(encoder.parameters(), rate, weight_decay=0.05)
    # More steps go on from where the last training ended. Another encoder is another
    # experiment, in a folder of its own. The other settings are not about the training.
    fields = ("encoder_sounds", "encoder_batch", "encoder_rate")
    own, suffix = settings.fix(*(k for k in settings.as_dict() if k not in fields))
    how = {"precision": settings.precision, "settings": own}
    folder = lesson.run_dir / f"audio_encoder{suffix}"
    run = training.Run(folder, seed=lesson.seed, **how)
    return run, *run.prepare(encoder=encoder, optimizer=adam)


# %%
def train_encoder(
    mels: Tensor, kinds: Tensor, unheard: tuple[Tensor, Tensor]
) -> tuple[AudioEncoder, training.Run]:
    """Train this run's encoder, and measure it on `unheard` sounds on the way."""
    run, encoder, adam = start_run()
    size, every = (
        settings.encoder_batch,
        settings.encoder_steps // settings.measurements,
    )
    batches = training.BatchSampler(len(kinds), size, seed=lesson.seed)
    for step in run.steps(settings.encoder_steps):
        index = batches[step.number].to(device)
        with run.autocast():
            loss = F.cross_entropy(encoder.classify(mels[index]), kinds[index])
        run.step(adam, loss)
        run.log(loss=loss)
        if step.is_due(max(1, every)):
            run.log(unheard=measure_accuracy(encoder, *unheard))
    run.require_finished()
    encoder.eval().requires_grad_(False)
    return encoder, run


# %%
def finish_encoder(encoder: AudioEncoder, mels: Tensor) -> None:
    """Bring a trained encoder's rows to VGGish's scale over `mels`, and save it."""
    match_vggish_scale(encoder, mels[:: max(1, len(mels) // 1000)])
    path = lesson.run_dir / "models" / "audio_encoder.safetensors"
    training.save_model(path, encoder, kinds=len(KINDS))


# %%
def record_curve(run: training.Run, seconds: int) -> None:
    """Keep how long the encoder was trained on so many seconds, with its curves."""
    lesson.record_training(
        "audio encoder",
        epochs=run.steps_done * settings.encoder_batch / seconds,
        steps=run.steps_done,
        held_out=np.stack(run.read_log("unheard"), axis=1),
        training=np.stack(run.read_log("loss"), axis=1),
        better="higher",
        unit="accuracy on unheard sounds",
        training_unit="cross-entropy",
    )


# %% tags=["audio-encoder"]
def evaluate_encoder(encoder: AudioEncoder, name: str, unheard: tuple) -> None:
    """Record its accuracy on unheard sounds, and its confusions."""
    mels, kinds, which = unheard
    named = run_in_batches(encoder.classify, mels).argmax(dim=1)
    right = metrics.accuracy(named, kinds, which, name="kind of an unseen sound")
    rows = [
        {"row": "the audio encoder", "accuracy": right.annotate_network(encoder, name)},
        {"row": "chance", "accuracy": metrics.chance(len(KINDS))},
    ]
    lesson.record("audio_encoder", rows)
    display(show.table(rows))
    counts = confusion_matrix(named, kinds, "multiclass", num_classes=len(KINDS))
    figure = show.confusion(counts.cpu(), KINDS, title="True kind and answer")
    lesson.figure("encoder_confusion", figure, "Which kinds of sound it confuses.")


# %%
encoder: nn.Module | None = None
if settings.vggish:
    encoder = weights.load_vggish(settings.vggish).to(device)
    name = "VGGish (your file)"
elif not settings.ave_features:
    unheard = make_examples(settings.encoder_unseen, lesson.seed + 1)
    wanted = settings.weights == "reference"
    if wanted and reference.copy_models(lesson, "audio_encoder"):
        path = lesson.run_dir / "models" / "audio_encoder.safetensors"
        encoder = training.load_model(path, AudioEncoder).to(device)
    else:
        mels, kinds, _ = make_examples(settings.encoder_sounds, lesson.seed)
        encoder, run = train_encoder(mels, kinds, unheard[:2])
        finish_encoder(encoder, mels)
        record_curve(run, len(kinds))
    name = "bandstand audio encoder (substitute for VGGish)"
    evaluate_encoder(encoder, name, unheard)

# %% [markdown]
# ## Measure all videos
#
# We measure the videos batch by batch, because the pictures of a large data set do not
# fit into memory. If the file already exists, and was made from the same clips with the
# same networks and settings, it is not made again.
#
# `frames (N, T · F, h, w, 3), waveform (N, 1, samples) → (N, T, 512), (N, T, 128)`

# %%
networks: dict[str, tuple[str, nn.Module]] = {}
if not settings.ave_features:
    vgg19 = weights.load_network("vgg19", published=settings.published).to(device)
    vgg19.to(memory_format=torch.channels_last)
    known = weights.SOURCES["vgg19"].name
    title = known if settings.published else "VGG19 with random weights"
    networks = {"visual": (title, vgg19), "audio": (name, encoder)}
checksums = {kind: metrics.state_checksum(net) for kind, (_, net) in networks.items()}
network_names = {
    kind: f"{title} {checksums[kind][:8]}" for kind, (title, _) in networks.items()
}


# %%
def extract_split(split: str) -> VideoFeatures | None:
    """Measure all videos of a split; None where the data has no such split."""
    parts, classes, began = [], [], time.perf_counter()
    names: list[str] = []
    units: list[str] = []
    for batch in clips.stream_clips(lesson.data, split, batch=settings.videos):
        frames, waveform = batch.frames.to(device), batch.waveform.to(device)
        batch = replace(batch, frames=frames, waveform=waveform)
        how = {"most": settings.frames, "size": settings.size}
        parts.append(measure_seconds(batch, vgg19, encoder, **how))
        names, units = names + batch.recordings, units + batch.units
        classes = batch.classes
        rate = len(names) / (time.perf_counter() - began)
        text = f"\r{split}: {len(names)} videos, {rate:.1f} a second"
        print(text, end="", flush=True)
    if not parts:
        return None
    print()
    tensors = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    about = {"videos": names, "units": units, "classes": classes}
    about["networks"] = network_names
    return VideoFeatures(**tensors, **about)


# %%
path = lesson.run_dir / "features.safetensors"
if settings.ave_features:
    splits, problems = read_ave_features(settings.ave_features)
    lesson.record("left_out", [{"what": str(problem)} for problem in problems])
    print(*problems, sep="\n")
    save_features(path, splits, ave_features=settings.ave_features)
else:
    listing = hashlib.sha256((lesson.data / "clips.json").read_bytes()).hexdigest()
    sizes = {"frames": settings.frames, "size": settings.size}
    made = {"clips": listing, "networks": checksums, **sizes}
    if read_recipe(path) != made:
        measured = {split: extract_split(split) for split in shards.SPLITS}
        found = {split: part for split, part in measured.items() if part is not None}
        save_features(path, found, **made)
existing = list_splits(path)
splits = {s: load_features(path, s) for s in shards.SPLITS if s in existing}

# %% [markdown]
# ## The features
#
# Which network made which features? Every later report shows this table.

# %% tags=["networks"]
train = splits["train"]
made_by = [
    {
        "features": kind,
        "network": title,
        "numbers a second": getattr(train, kind).shape[-1],
        "checksum": checksums.get(kind, "")[:16],
    }
    for kind, title in train.networks.items()
]
lesson.record("networks", made_by)
display(show.table(made_by))

# %% tags=["splits"]
counts = [
    {
        "split": split,
        "videos": len(part),
        "classes": len(part.label.unique()),
        "event seconds": int(part.event.sum()),
        "all seconds": part.event.numel(),
        "event all along": int(part.event.all(dim=1).sum()),
    }
    for split, part in splits.items()
]
lesson.record("splits", counts)
lesson.record("megabytes", path.stat().st_size / 2**20)
display(show.table(counts))


# %% [markdown]
# ### Do our rows look like VGGish's?
#
# The next table compares our rows with 178 × 10 real VGGish rows, those of AVE's
# `audio_feature_noisy.h5`. The zeros come from the last ReLU. We set the standard
# deviation of our encoder's rows to VGGish's (step 2). The other columns were not set.


# %% tags=["rows"]
def describe_rows(x: Tensor) -> dict[str, float]:
    """Compute the statistics of rows (n, t, width) that VGGISH_STATISTICS has."""
    zeros, largest = (x == 0).float().mean(), x.amax(dim=-1).mean()
    values = (x.mean(), x.std(), zeros, largest)
    return dict(zip(VGGISH_STATISTICS, map(float, values), strict=True))


real = {"rows": "audio, real VGGish (1,780 rows, measured once)"}
rows = [
    {"rows": "audio, " + train.networks["audio"]} | describe_rows(train.audio),
    real | VGGISH_STATISTICS,
    {"rows": "visual, " + train.networks["visual"]} | describe_rows(train.visual),
]
lesson.record("rows", rows)
show.table(rows)

# %% [markdown]
# ## One video, as MS-VAE gets it
#
# Each column is one second. A place is bright where a number is large in its row. At
# the edges of the event both modalities should change at once. If one of them does not
# change, no later step can align the two there.

# %% tags=["one-video"]
test = splits.get("test", train)
mixed = test.event.any(dim=1) & ~test.event.all(dim=1)
one = int(mixed.nonzero()[0]) if mixed.any() else 0
figure, axes = show.subplots(2, 1, width=6.5, height=2.4)
inside = test.event[one].nonzero()[:, 0]
for ax, kind in zip(axes[:, 0], ("visual", "audio"), strict=True):
    x = scale_rows(getattr(test, kind)[one])
    most = x.var(dim=0).topk(60).indices  # the 60 numbers that change most
    drawn = ax.imshow(x[:, most.sort().values].T, aspect="auto", cmap="magma")
    figure.colorbar(drawn, ax=ax, label="of the largest")
    for edge in (inside.min() - 0.5, inside.max() + 0.5):
        ax.axvline(edge, color="white", linestyle="--")
    ax.set(ylabel=f"{kind}, 60 of {x.shape[1]}", xlabel="second")
    ax.grid(False)
title = f"{test.classes[test.label[one]]}. The event lies between the dashed lines."
lesson.figure("one_video", figure, title)


# %% [markdown]
# ### Do the features know the class?
#
# Before we train any model: take one event second of each test video, and find the
# nearest event second of a training video,
#
# $$j^* = \arg\min_j \lVert x_i - x_j \rVert_2 .$$
#
# How often do the two have the same class? If this happens no more often than with the
# commonest class as the answer to everything, the features do not hold the class, and
# no VAE can add it.


# %%
def select_event_rows(features: VideoFeatures, kind: str) -> tuple[Tensor, Tensor]:
    """Take the middle event second of each video: rows (n, width) and labels (n,)."""
    has = features.event.any(dim=1).nonzero()[:, 0]
    inside = [features.event[i].nonzero()[:, 0] for i in has.tolist()]
    middle = torch.stack([seconds[len(seconds) // 2] for seconds in inside])
    return scale_rows(getattr(features, kind)[has, middle]), features.label[has]


# %% tags=["nearest"]
nearest = []
for kind, title in test.networks.items():
    rows, labels = select_event_rows(train, kind)
    queries, target = select_event_rows(test, kind)
    named = labels[torch.cdist(queries, rows).argmin(dim=1)]
    right = metrics.accuracy(named, target, name=f"nearest {kind} second's class")
    row = {"features": f"{kind}, {title}", "accuracy": right.annotate(split="test")}
    nearest.append(row)
base = metrics.majority_class(labels, target)
nearest.append({"features": "none: always the commonest class", "accuracy": base})
lesson.record("nearest", nearest)
show.table(nearest)

# %% [markdown]
# ### Do the features tell event from background?
#
# The better they do, the easier the localisation. For each second of a video we find
# the nearest other second of the same video. Are both event, or both background? A
# second that is drawn at random agrees in about half of the cases, and more often where
# the event is very short or very long. The last column of the table has that share.

# %% tags=["separation"]
separation = []
for kind, title in test.networks.items():
    hits, expected = [], []
    for x, event in zip(scale_rows(getattr(test, kind)), test.event, strict=True):
        if 2 <= event.sum() <= len(event) - 2:
            # infinite on the diagonal: a second is not its own neighbour
            distance = torch.cdist(x, x).fill_diagonal_(torch.inf)
            hits.append((event[distance.argmin(dim=1)] == event).double().mean())
            same = event[:, None] == event
            expected.append((same.sum() - len(x)) / (same.numel() - len(x)))
    if hits:
        share = mean_score(torch.stack(hits).numpy(), name="of the same kind")
        row = {"features": f"{kind}, {title}"}
        row["nearest second agrees"] = share.annotate(split="test")
        row["a random second agrees"] = torch.stack(expected).mean().item()
        separation.append(row | {"videos": len(hits)})
lesson.record("separation", separation)
show.table(separation)

# %% [markdown]
# ## What came out

# %%
for row in nearest[:-1]:
    share, base = row["accuracy"].value, nearest[-1]["accuracy"].value
    print(f"{row['features']}: the nearest second has the right class in {share:.0%}")
    print(f"   of the videos; the commonest class, without features, in {base:.0%}.")
for row in separation:
    share, base = row["nearest second agrees"].value, row["a random second agrees"]
    word = "tell" if share > base else "do not tell"
    print(f"{row['features']}: {share:.0%} agree, {base:.0%} at random.")
    print(f"   So these features {word} event from background within a video.")

# %% [markdown]
# ## Exercises
#
# 1. Do features tell event from background? Measure it for one video.
# 2. A training row that is also in the test split is a leak. Find the pairs of rows of
#    two splits that are equal to the last bit.

# %% tags=["active-ipynb"]
# from avnb_notebooks.ms_vae import exercises
#
#
# def neighbour_agreement(rows, event):
#     """The share of a video's seconds whose nearest other second is of the same kind.
#
#     rows (T, d) of the seconds of one video, event (T,) which of them have the event.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.NEIGHBOUR_AGREEMENT, neighbour_agreement)

# %% tags=["active-ipynb"]
# def leaked(train, test):
#     """[(i, j), …]: test row i is equal to train row j. Rows of zeros do not count."""
#     ...  # your code
#
#
# course.try_exercise(exercises.LEAKED, leaked)

# %%
lesson.finish()
