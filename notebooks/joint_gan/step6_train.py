# %% [markdown]
# # Step 6 · Train: two judges, and every row of the comparison
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/joint_gan/step6_train.ipynb)
#
# All parts are ready: the clips (step 1), the generators and their critics (steps 2 and
# 3), the pairs (step 4) and what can couple them (step 5). This notebook trains them.
# First come two **judges**, one that hears and one that sees. They learn from real
# clips only, and no generator ever gets a gradient of them. Then each network of the
# list `methods` is trained, all with equal sizes and equally many steps:
#
# | name | what it is |
# |---|---|
# | `BL` | sound and video alone, without joint critics |
# | `JM` | the paper's joint model, Eq. 2 as printed |
# | `alone` | control 1: as many extra critics, which see no pairs |
# | `mismatched` | control 2: JM whose real pairs are of two clips |
# | `one`, `softmax` | control 3: one joint critic instead of two |
# | `shared`, `timed` | the coupled variants of step 5 |
#
# `BL, no shuffle` is BL without phase shuffle. Further ablations stand in `CATALOGUE`
# below, and can be named as well.
#
# **You will learn**
#
# 1. how a judge is kept out of the game,
# 2. how to see whether two generators still get better,
# 3. which critic pulls how hard at them,
# 4. what a training step costs.
#
# **Time.** About 20 minutes to read. The computing takes longer than in any other
# notebook of the series; the table of settings says how many steps it makes.
#
# **Before you start.** Read steps 1 to 5.
#
# **Letters.** a, v real sound and video · â, v̂ generated ones · B clips of a batch · T
# frames.

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
import copy
from dataclasses import asdict, replace
from functools import partial

import matplotlib.image
import numpy as np
import torch
from IPython.display import display
from torch import Tensor, nn
from torch.nn import functional as F

# %%
from avnb_notebooks.joint_gan.step1_data import (
    Clips,
    find_examples,
    load_clips,
    require_clips,
    require_splits,
)
from avnb_notebooks.joint_gan.step2_sound import RATE
from avnb_notebooks.joint_gan.step3_picture import set_instance_noise

# %%
from avnb_notebooks.joint_gan.step4_pairs import (
    Critics,
    Method,
    PlainRun,
    generator_terms,
    list_methods,
    log_kinds,
    make_critics,
    update_critics,
    update_generators,
)
from avnb_notebooks.joint_gan.step5_shared import (
    JointGenerator,
    generate_clips,
    list_coupled_methods,
    load_generator,
    make_generator,
)

# %%
from avnb import course, metrics, training
from avnb.course import reference
from avnb.course.speed import measure_speed, measure_work
from avnb.viz import show

# %%
lesson = course.start(
    "joint_gan",
    "step6_train",
    scale=SCALE,
    data=DATA,
    seed=SEED,
    run_dir=RUN_DIR,
    overrides=OVERRIDES,
)

# %%
# Of each kind of critic and of generator one; tests train all others.
FEW = ("BL", "JM", "shared", "timed")
# All that the claims compare.
STUDIED = (
    *("BL", "BL, no shuffle", "JM", "alone", "mismatched", "one"),
    *("shared", "timed"),
)

# %%
settings = lesson.settings(
    dict(
        #        smoke laptop reference gpu paper
        weights=("train", "reference", "train", "train", "train"),  # of the judges
        methods=(FEW, ("JM", "shared"), STUDIED, FEW, ("BL", "JM")),
        steps=(2, 500, 1600, 2000, 100000),  # of each network
        batch=(4, 8, 8, 16, 16),  # over all processes
        sound_width=(2, 12, 16, 32, 64),  # d, of G_a and D_a
        width=(2, 8, 16, 32, 64),  # of G_I, D_I and D_V
        pair_width=(2, 4, 8, 16, 16),  # of the pairs' critics
        trunks=("shared", "shared", "shared", "shared", "separate"),  # of D_1 and D_2
        hears=(*["waveform"] * 5,),  # what D_a gets; or both: a spectrogram as well
        shuffle=(2, 2, 2, 2, 2),  # radius of the phase shuffle in D_a
        upsample=(*["transposed"] * 5,),  # of G_a; or nearest: copies, then convolved
        content=(90, 90, 90, 90, 90),  # numbers of Z_C
        noisy_steps=(2, 250, 800, 1000, 50000),  # until instance noise is gone
        lr=(2e-4, 4e-4, 4e-4, 4e-4, 2e-4),  # of Adam
        ema_decay=(0.5, 0.99, 0.995, 0.995, 0.0),  # 0: no average, as the parents
        judge_steps=(4, 250, 1200, 3000, 6000), judge_width=(4, 16, 16, 32, 32),
        points=(2, 8, 16, 16, 50),  # moments at which each network is measured
        measured=(8, 96, 256, 512, 900),  # clips that are generated for it
        pulls_every=(1, 20, 50, 50, 500),  # steps between two looks at the gradients
        precision=("float32", "auto", "auto", "auto", "auto"),
    ),
)  # fmt: skip

# %%
settings

# %% [markdown]
# Two numbers are MoCoGAN's at every scale:

# %%
SIGMA = 0.1  # deviation of the instance noise at the beginning
WEIGHT_DECAY = 1e-5  # of Adam

# %% [markdown]
# ## Load the data

# %%
device = training.get_device()
training.keep_freed_memory()
train, test = (load_clips(lesson.data, split, device) for split in ("train", "test"))
require_splits(train, test)
require_clips(train, settings.batch, "a batch")
size, frames, classes = train.frames.shape[2], train.fps, len(train.classes)
models = lesson.run_dir / "models"
print(f"{len(train)} training and {len(test)} held-out clips of {classes} classes,")
print(f"{frames} frames of {size}×{size}; units held out: {len(set(test.units))}")

# %% [markdown]
# ## Two judges
#
# Both are small classifiers. The one that hears gets a log-mel spectrogram, the one
# that sees gets frames and their differences. Each has two heads: the **class**, and
# for each frame whether something **starts** in it (an onset that is heard, a strike
# that is seen). The truth of the embedded data teaches the second head. Real recordings
# have no such truth, and then step 7 finds onsets and motion without a network.
#
# Both judges learn from the training part and are measured on players that they have
# not met. A classifier that has only met recordings is sure of its answer whatever it
# gets: asked about white noise, it may say "guitar" with a probability near 1. So half
# a batch more is **spoilt**, until no instrument is left: sounds with random phases,
# white noise, silence; pictures that are blurred, or noise. Of these a judge is to be
# as unsure as it can, and nothing starts in them. Step 7 shows how far it succeeds.
#
# The judges' features also give the distances below. Every generator is measured by
# them, so they should be good ones. Training them would take much of the demo's time:
# at scale `laptop` this notebook takes those of the reference run, which has the same
# data.

# %%
display(course.show_source(metrics.SoundJudge, metrics.VideoJudge, metrics.judge_loss))


# %%
def jitter_sounds(x: Tensor, random: torch.Generator) -> Tensor:
    """Make each sound up to 10 dB softer, with a little noise."""
    gain = 10 ** (-torch.rand(len(x), 1, 1, generator=random, device=x.device) / 2)
    noise = torch.randn(x.shape, generator=random, device=x.device)
    return gain * x + 0.003 * noise


def jitter_videos(x: Tensor, random: torch.Generator) -> Tensor:
    """Shift all videos by up to 4 pixels, and change each one's light."""
    # One shift for all: a judge of single videos would not notice.
    down, right = torch.randint(9, (2,), generator=random, device=x.device).tolist()
    padded = F.pad(x.flatten(0, 1), (4, 4, 4, 4), mode="replicate")
    moved = padded[..., down : down + x.shape[3], right : right + x.shape[4]]
    light = torch.randn(len(x), 1, 1, 1, 1, generator=random, device=x.device)
    return moved.unflatten(0, x.shape[:2]) + 0.1 * light


# %%
def pick_kinds(kinds, weights: tuple[int, ...], random: torch.Generator) -> Tensor:
    """For each item one of its spoilt forms, with these weights."""
    device = kinds[0].device
    drawn = torch.tensor(weights, dtype=torch.float, device=device)
    chosen = torch.multinomial(drawn, len(kinds[0]), True, generator=random)
    return torch.stack(list(kinds))[chosen, torch.arange(len(chosen), device=device)]


def spoil_sounds(x: Tensor, random: torch.Generator) -> Tensor:
    """Sounds without an instrument: random phases, white noise, or silence."""
    noise = torch.randn(x.shape, generator=random, device=x.device)
    loudness = x.square().mean(2, keepdim=True).sqrt()
    kinds = (
        metrics.randomise_phases(x, generator=random),
        loudness * noise,
        1e-4 * noise,
    )
    return pick_kinds(kinds, (3, 2, 1), random)


# %%
def spoil_videos(x: Tensor, random: torch.Generator) -> Tensor:
    """Videos without an instrument: blurred to 4 × 4 or 8 × 8 pixels, or noise."""
    noise = (
        torch.randn(x.shape, generator=random, device=x.device).mul(0.5).clamp(-1, 1)
    )
    flat = x.flatten(0, 1)
    blurred = [
        F.interpolate(F.adaptive_avg_pool2d(flat, n), x.shape[3:], mode="bilinear")
        for n in (4, 8)
    ]
    kinds = [part.unflatten(0, x.shape[:2]) for part in blurred]
    return pick_kinds([*kinds, noise], (1, 1, 1), random)


# %%
# file: (name, class, how clips are taken, changed, and spoilt, added to the seed)
JUDGES = {
    "judge_sound": ("the judge that hears", metrics.SoundJudge, Clips.get_waveforms,
                    jitter_sounds, spoil_sounds, 1000),
    "judge_video": ("the judge that sees", metrics.VideoJudge, Clips.get_frames,
                    jitter_videos, spoil_videos, 2000),
}  # fmt: skip
HELD_OUT = "accuracy on unmet players"  # the judges' curve, in the log and in figures


# %%
@torch.no_grad()
def judge_clips(judge: nn.Module, x: Tensor, batch: int = 64) -> tuple[Tensor, Tensor]:
    """The logits of the classes (N, K) and of starts (N, T), batch by batch."""
    parts = [judge.judge(part.to(device), frames) for part in x.split(batch)]
    named, starts = (torch.cat(p) for p in zip(*parts, strict=True))
    return named, starts


# %%
fixed = torch.Generator().manual_seed(lesson.seed)
held_out = torch.randperm(len(test), generator=fixed)[: settings.measured].to(device)
# What may change in a training that goes on: how long it is, and how it is looked at.
FREE = ("weights", "methods", "steps", "judge_steps", "points", "measured")
kept, changed = settings.fix(*FREE, "pulls_every", "precision")
balanced = 1 / torch.bincount(train.labels.cpu(), minlength=classes)[train.labels.cpu()]
judge_batch = 32 if len(train) >= 32 else settings.batch


# %%
def start_judge(file: str, config: dict) -> tuple:
    """The run of one judge, the judge, its optimizer and its batches."""
    _, kind, *_, offset = JUDGES[file]
    run = training.Run(
        lesson.run_dir / f"{file}{changed}", seed=lesson.seed + offset, settings=kept,
        precision=settings.precision,
    )  # fmt: skip
    judge = kind(**config)
    adam = torch.optim.AdamW(judge.parameters(), 2e-3, weight_decay=0.05)
    batches = training.BatchSampler(
        len(train), judge_batch, seed=lesson.seed + offset, weights=balanced
    )
    return run, *run.prepare(judge=judge, adam=adam), batches


# %%
def train_judge(file: str) -> training.Run:
    """Train one judge on jittered training clips, and save it."""
    _, _, take, jitter, spoil, _ = JUDGES[file]
    config = {"classes": classes, "width": settings.judge_width}
    run, judge, adam, batches = start_judge(file, config)
    every = max(1, settings.judge_steps // settings.points)
    onsets = train.get_onsets() if "onset" in train.truth else None
    for step in run.steps(settings.judge_steps):
        index = batches[step.number].to(device)
        judge.train()
        clips = take(train, index)
        nothing = spoil(clips[: len(index) // 2 or 1], run.generator)
        given = jitter(clips, run.generator), train.labels[index], nothing, frames
        with run.autocast():
            starts = None if onsets is None else onsets[index]
            loss = metrics.judge_loss(judge, *given, starts)
        run.step(adam, loss)
        run.log(loss=loss)
        if step.is_due(every):
            named, _ = judge_clips(judge.eval(), take(test, held_out))
            right = (named.argmax(1) == test.labels[held_out]).float().mean()
            run.log(**{HELD_OUT: right})
    run.require_finished()
    training.save_model(models / f"{file}.safetensors", judge.eval(), **config)
    return run


# %%
wanted = settings.weights == "reference" and not lesson.chosen_data
taken = wanted and reference.copy_models(lesson, *JUDGES)
for file, (name, *_) in JUDGES.items():
    if taken:
        continue
    print(f"{name}, {settings.judge_steps} steps:")
    run = train_judge(file)
    lesson.record_training(
        name,
        epochs=run.steps_done * judge_batch / len(train),
        steps=run.steps_done,
        held_out=np.transpose(run.read_log(HELD_OUT)),
        training=np.transpose(run.read_log("loss")),
        better="higher",
        unit=HELD_OUT,
        training_unit="loss",
        negligible=0.01,
    )


# %%
def measure_confidence(named: Tensor) -> float:
    """The mean probability of the class that is named, in per cent."""
    return 100 * named.softmax(1).amax(1).mean().item()


# %%
def question_judge(file: str, judge: nn.Module) -> dict:
    """A row: what a judge knows of held-out clips, and of spoilt ones."""
    name, _, take, _, spoil, _ = JUDGES[file]
    named, starts = judge_clips(judge, take(test, torch.arange(len(test)).to(device)))
    right = metrics.accuracy(named.argmax(1), test.labels, test.units)
    random = torch.Generator(device).manual_seed(lesson.seed)
    nothing, _ = judge_clips(judge, spoil(take(test, held_out), random))
    row = {"judge": name, HELD_OUT: right}
    row["sure of clips [%]"] = measure_confidence(named)
    row["sure of spoilt ones [%]"] = measure_confidence(nothing)
    if "onset" in test.truth:
        known, found = test.get_onsets(), starts > 0
        hits = (known & found).sum().item()
        row["starts: precision [%]"] = 100 * hits / max(found.sum().item(), 1)
        row["starts: recall [%]"] = 100 * hits / max(known.sum().item(), 1)
    return row


# %% tags=["judges"]
judges = {
    file: training.load_model(models / f"{file}.safetensors", kind).to(device)
    for file, (_, kind, *_) in JUDGES.items()
}
rows = [question_judge(file, judge) for file, judge in judges.items()]
# Who knows that nothing is there gives all classes the same probability.
chance = {"judge": "chance", HELD_OUT: metrics.chance(classes)}
chance["sure of spoilt ones [%]"] = 100 / classes
if "onset" in test.truth:  # who guesses is right as often as something starts
    chance["starts: precision [%]"] = 100 * test.get_onsets().float().mean().item()
caption = "What the judges know of real clips. A start is an onset, or a strike."
lesson.table("judges", [*rows, chance], caption)
ear, eye = judges["judge_sound"], judges["judge_video"]

# %% [markdown]
# ## What is trained
#
# A network is a `Method` (step 4). Some ablations have another phase shuffle as well.
# All networks of one seed begin with equal $G_a$, $G_I$, $D_a$, $D_I$ and $D_V$, so
# that a difference is not that of their first weights. Beside the rows above you can
# name these ablations in `methods`:

# %%
COUPLED = list_coupled_methods()
CATALOGUE = {name: (method, {}) for name, method in (list_methods() | COUPLED).items()}
CATALOGUE |= {
    "JM, timed critics": (Method(form="timed"), {}),
    "JM, non-saturating": (Method(saturating=False), {}),
    "JM, weight 0.1": (Method(weight=0.1), {}),
    "JM, weight 10": (Method(weight=10.0), {}),
    "shared, weight 10": (replace(COUPLED["shared"], weight=10.0), {}),
    "timed, weight 10": (replace(COUPLED["timed"], weight=10.0), {}),
    "JM, shuffled pairs": (Method(), {"pair_shuffle": 2}),
    "BL, Wasserstein sound": (
        Method(pairs="none", sound_game="wasserstein"), {"hears": "waveform"}),
    "BL, spectrogram too": (Method(pairs="none"), {"hears": "both"}),
    "BL, no shuffle": (Method(pairs="none"), {"shuffle": 0}),
    "BL, shuffle 4": (Method(pairs="none"), {"shuffle": 4}),
}  # fmt: skip
if unknown := set(settings.methods) - set(CATALOGUE):
    raise course.LessonError(
        "methods",
        f"no network is called {min(unknown)}",
        f"Give some of {[*CATALOGUE]}",
    )
chosen = {name: CATALOGUE[name] for name in settings.methods}

# %%
# A field of a Method → the heading of its column.
FIELDS = {
    "pairs": "critics of pairs", "matched": "real pairs are of one clip",
    "both_made": "(â, v̂) is seen", "saturating": "Eq. 2 as printed",
    "weight": "weight of the pairs", "form": "form", "coupling": "what is shared",
    "sound_game": "game of D_a", "hears": "D_a hears",
    "shuffle": "phase shuffle of D_a",
    "pair_shuffle": "phase shuffle of the pairs' critics",
}  # fmt: skip
UNUSED = {  # critics → fields that then change nothing
    "none": ("matched", "both_made", "saturating", "weight", "form"),
    "alone": ("matched", "both_made", "saturating", "form"),
}


# %%
def describe_method(name: str) -> dict:
    """A network's method as a row of words, without what does not concern it."""
    method, more = chosen[name]
    row = asdict(method) | {k: getattr(settings, k) for k in ("hears", "shuffle")}
    row |= more
    words = {True: "yes", False: "no", "log": "Eq. 1", "wasserstein": "WGAN-GP"}
    return {"network": name} | {
        FIELDS[field]: words.get(x, x) if isinstance(x, bool | str) else x
        for field, x in row.items()
        if field not in UNUSED.get(method.pairs, ())
    }


show.table([describe_method(name) for name in chosen], "What is trained")


# %%
def make_networks(method: Method, more: dict) -> tuple[JointGenerator, Critics, dict]:
    """Generators and critics of a method, and the generators' arguments."""
    sizes = {
        "sound_width": settings.sound_width, "width": settings.width, "size": size,
        "content": settings.content, "upsample": settings.upsample,
    }  # fmt: skip
    G = make_generator(method, **sizes)
    torch.manual_seed(lesson.seed + 1)  # G draws more where the two are coupled
    critics = make_critics(
        method, settings.sound_width, settings.width, settings.pair_width, size,
        shared=settings.trunks == "shared",
        **{"shuffle": settings.shuffle, "hears": settings.hears} | more,
    )  # fmt: skip
    return G, critics, sizes


def make_optimizer(network: nn.Module) -> torch.optim.Adam:
    """Adam as in MoCoGAN, with its small weight decay."""
    return torch.optim.Adam(
        network.parameters(), settings.lr, (0.5, 0.999), weight_decay=WEIGHT_DECAY
    )


# %%
def start_run(name: str) -> tuple:
    """The run of one network: generators, critics, the average, two optimizers."""
    method, more = chosen[name]
    training.seed_everything(lesson.seed)
    run = training.Run(
        lesson.run_dir / "networks" / f"{name}{changed}", seed=lesson.seed,
        precision=settings.precision, settings=kept | asdict(method) | more,
    )  # fmt: skip
    G, critics, sizes = make_networks(method, more)
    return run, sizes, *run.prepare(
        G=G, critics=critics, ema=training.EMA(G, settings.ema_decay),
        opt_g=make_optimizer(G), opt_d=make_optimizer(critics),
    )  # fmt: skip


# %% [markdown]
# ## One step
#
# The batch is real sounds with their own videos. All critics are updated on it, and
# then both generators (step 4). Nothing here knows the labels.


# %%
def take_step(
    run, G, critics, optimizers: tuple, batch: tuple, method: Method
) -> tuple:
    """Generate, update the critics, update the generators; (what was made, log)."""
    real, noise, frame = batch
    with run.autocast():
        fake = G(noise)
    # Under bfloat16 the critics would get bfloat16 clips, and real ones in float32.
    fake = tuple(x.float() for x in fake)
    opt_g, opt_d = optimizers
    log = update_critics(run, critics, opt_d, real, fake, frame, method)
    log |= update_generators(run, critics, opt_g, real, fake, frame, method)
    return fake, log


def draw_batch(G: JointGenerator, index: Tensor, random: torch.Generator) -> tuple:
    """Real clips, noise for as many, and a frame of each for D_I."""
    real = train.get_waveforms(index), train.get_frames(index)
    noise = G.draw_noise(len(index), frames, random)
    frame = torch.randint(frames, (len(index),), generator=random, device=device)
    return real, noise, frame


# %% [markdown]
# Which critic pulls how hard? The norm of each term's gradient at the generated sounds
# and videos says it. We look now and then, since it costs a backward pass a term.


# %%
def measure_pulls(critics: Critics, batch: tuple, fake: tuple, method: Method) -> dict:
    """The norm of each term's gradient at the sounds and at the videos, a clip."""
    real, _, frame = batch
    fake = tuple(x.detach().requires_grad_() for x in fake)
    found = {}
    with torch.random.fork_rng():  # a look must not change the training's draws
        terms = generator_terms(critics, real, fake, frame, method)
    for name, term in terms.items():
        slopes = torch.autograd.grad(term, fake, retain_graph=True, allow_unused=True)
        for what, slope in zip(("sound", "video"), slopes, strict=True):
            if slope is not None:
                # The term is a mean over the clips, so that each has 1 / B of it.
                norms = len(slope) * slope.flatten(1).norm(dim=1)
                found[f"pull of {name} on the {what}"] = norms.mean()
    return found


# %% [markdown]
# ## Do they still get better?
#
# A GAN's losses do not tell. So at some moments the averaged generators make clips of
# fixed noise, and the judges compare them with **held-out** real clips: the kernel
# distance of the ear's features, that of the eye's, and how often ear and eye name the
# same class of a clip, above chance.


# %%
@torch.no_grad()
def describe(sounds: Tensor, videos: Tensor) -> dict[str, Tensor]:
    """What both judges make of clips: features, and the classes that they name."""
    found = {}
    for what, judge, x in (("sound", ear, sounds), ("video", eye, videos)):
        maps = [judge.features(part.to(device)) for part in x.split(32)]
        found[what] = torch.cat(maps)
        found[f"class of the {what}"] = judge.classes(found[what]).argmax(1).cpu()
    return found


known = describe(test.get_waveforms(held_out), test.get_frames(held_out))


# %% [markdown]
# $D_1$ and $D_2$ are measured as well: how often do they tell the three kinds of pair
# apart, when the real halves are held-out clips? A third is chance. They judge as they
# do in the game: a batch of one kind at a time, with its own statistics in the batch
# norms. The running averages mix real and generated clips. In eval mode the critics
# would use these, with which they have never played.


# %%
@torch.no_grad()
def name_kinds(pairs: nn.Module, method: Method, a, v, made_a, made_v) -> Tensor:
    """The share of pairs whose kind D_1 and D_2 name: real, sound or picture made."""
    right, few = [], settings.batch
    pairs = copy.deepcopy(pairs).train()  # a copy: its running averages do change
    for kind, x, y in ((0, a, v), (1, made_a, v), (2, a, made_v)):
        for part in zip(x.split(few), y.split(few), strict=True):
            logits = pairs(*(half.to(device) for half in part))
            named = log_kinds(logits, method.pairs == "softmax")[:, :3].argmax(1)
            right.append(named == kind)
    return torch.cat(right).float().mean()


# %%
def watch(run: training.Run, G: JointGenerator, critics: Critics, method) -> None:
    """Measure the averaged generators on fixed noise, and keep some samples."""
    with torch.random.fork_rng():  # measuring must not change the training's draws
        sounds, videos = generate_clips(G, settings.measured, frames, lesson.seed)
        made = describe(sounds, videos)
        for what in ("sound", "video"):
            far = metrics.kernel_distance(known[what], made[what], nn.Identity())
            run.log(**{f"distance {what}": far.value})
        pairs = (made["class of the sound"], made["class of the video"])
        run.log(coupling=metrics.class_agreement(*pairs, classes).gain.value)
        if method.pairs in ("two", "softmax"):
            few = held_out[:64]
            real = test.get_waveforms(few), test.get_frames(few)
            made = sounds[: len(few)], videos[: len(few)]
            run.log(kinds=name_kinds(critics.pairs, method, *real, *made))
    pictures = (videos[:8, :, frames // 2] + 1) / 2
    run.log_sample(pictures.clamp(0, 1), "fixed", columns=8)
    run.log_sample(sounds[:4, 0].flatten(), "fixed", sample_rate=RATE)


# %%
def train_network(name: str) -> training.Run:
    """Train one network, and save its averaged generators."""
    method, _ = chosen[name]
    run, sizes, G, critics, ema, opt_g, opt_d = start_run(name)
    batches = training.BatchSampler(len(train), settings.batch, seed=lesson.seed)
    every = max(1, settings.steps // settings.points)
    for step in run.steps(settings.steps, save_every=every):
        left = max(0.0, 1 - step.number / settings.noisy_steps)
        set_instance_noise(critics, SIGMA * left)
        batch = draw_batch(G, batches[step.number].to(device), run.generator)
        fake, log = take_step(run, G, critics, (opt_g, opt_d), batch, method)
        ema.update_parameters(G)
        if step.is_due(settings.pulls_every):
            with run.autocast():
                log |= measure_pulls(critics, batch, fake, method)
        run.log(**log)
        if step.is_due(every):
            watch(run, ema.module, critics, method)
    run.require_finished()
    training.save_model(models / f"{name}.safetensors", ema.module, **sizes)
    return run


# %% [markdown]
# ## What a step costs
#
# torch counts the floating-point operations of one step. Divided by its time and by the
# speed of a large matrix product on this machine, they give the part of the machine's
# peak that is used. `benchmarks/joint_gan.py` compares the step with one that is
# written as the parents' code does it, and keeps what it measured in
# `benchmarks/results/joint_gan.json`.


# %%
def count_weights(name: str) -> dict:
    """How many weights each network of a method has."""
    with torch.device("meta"):  # shapes only
        G, critics, _ = make_networks(*chosen[name])
    parts = {"Gₐ": G.sound, "G_I": G.picture, "Dₐ": critics.sound}
    parts |= {"D_I": critics.image, "D_V": critics.video, "of pairs": critics.pairs}
    parts["FiLM"] = getattr(G, "film", None)
    there = {part: net for part, net in parts.items() if net is not None}
    return {k: sum(p.numel() for p in net.parameters()) for k, net in there.items()}


def measure_step(name: str) -> dict:
    """GFLOP of one step, and its seconds (the best of two)."""
    # torch cannot count the gradient of a gradient: D_a is counted in Eq. 1's game.
    method, more = replace(chosen[name][0], sound_game="log"), chosen[name][1]
    torch.manual_seed(lesson.seed)
    G, critics, _ = (part for part in make_networks(method, more))
    G, critics = G.to(device), critics.to(device)
    optimizers = make_optimizer(G), make_optimizer(critics)
    random = torch.Generator(device).manual_seed(lesson.seed)
    index = torch.arange(settings.batch, device=device)
    batch, plain = draw_batch(G, index, random), PlainRun()
    work = partial(take_step, plain, G, critics, optimizers, batch, method)
    gflop, seconds = measure_work(work, device)
    return {"network": name, "GFLOP a step": gflop, "s a step": seconds}


# %% tags=["weights"]
rows = [{"network": name} | count_weights(name) for name in chosen]
lesson.table("weights", rows, "Weights; those of the parents stand in steps 2 and 3")

# %% tags=["cost"]
peak, rows = measure_speed(), []
for name in chosen:
    row = measure_step(name)
    speed = row["GFLOP a step"] / row["s a step"]
    rows.append(row | {"GFLOP/s": speed})
    if device.type == "cpu":  # the peak is that of the processor
        rows[-1]["part of the peak [%]"] = 100 * speed / peak
lesson.table(
    "cost",
    rows,
    f"A step of {settings.batch} clips; a product reaches {peak:.0f} GFLOP/s",
)

# %% [markdown]
# ## Train

# %%
runs = {}
for name in chosen:
    print(f"{name}, {settings.steps} steps:")
    runs[name] = train_network(name)

# %%
# What is measured: (in the log, which way is better, what it is, whose loss beside it)
FAR = "kernel distance of the {}'s features"
AGREE = "agreement of ear and eye above chance"
CURVES = {
    "sound": ("distance sound", "lower", FAR.format("ear"), "D_a"),
    "picture": ("distance video", "lower", FAR.format("eye"), "D_V"),
    "coupling": ("coupling", "higher", AGREE, "pairs"),
}

# %%
for name, run in runs.items():
    for what, (key, better, unit, critic) in CURVES.items():
        at, values = run.read_log(key)
        term = f"loss {critic}"
        if not len(run.read_log(term)[0]):  # BL has no critic of pairs
            term = "loss D_a"
        lesson.record_training(
            f"{name}, {what}",
            epochs=run.steps_done * settings.batch / len(train),
            steps=run.steps_done,
            held_out=list(zip(at, values, strict=True)),
            training=run.average_log(term, at),
            better=better,
            unit=unit,
            training_unit=term.replace("loss", "loss of"),
            negligible=0.02 if what == "coupling" else 0.0,
        )
lesson.record("methods", {name: asdict(method) for name, (method, _) in chosen.items()})

# %% tags=["held-out"]
LINES = {"sound": "no distance", "picture": "no distance", "coupling": "chance"}
for what, (key, _, unit, _) in CURVES.items():
    curves = {name: run.read_log(key) for name, run in runs.items()}
    figure = show.curves(curves, y=unit, lines={LINES[what]: 0})
    lesson.figure(f"held_out_{what}", figure, f"All networks: {what}.")

# %% [markdown]
# A distance has no bias: it comes down to 0 where generated clips look to a judge as
# held-out real clips do. The coupling of networks with independent noises should stay
# around chance, whatever they learn.

# %% tags=["networks"]
rows = []
for name, run in runs.items():
    last = {what: run.read_log(key)[1] for what, (key, *_) in CURVES.items()}
    row = {"network": name, "steps": run.steps_done}
    for what, values in last.items():
        tail = values[-max(len(values) // 4, 1) :]
        row[f"{what}: first"], row[f"{what}: last quarter"] = values[0], tail.mean()
    if len(kinds := run.read_log("kinds")[1]):
        row["D₁ and D₂ right: first"], row["D₁ and D₂ right: last"] = kinds[[0, -1]]
    rows.append(row)
caption = "Distances to held-out clips, coupling, kinds of pair named right (chance ⅓)"
lesson.table("networks", rows, caption)

# %% [markdown]
# ## Which critic pulls how hard?

# %% tags=["pulls"]
rows = []
for name, run in runs.items():
    for what in ("sound", "video"):
        row = {"network": name, "pull on the": what}
        for critic in ("D_a", "D_I", "D_V", "pairs"):
            _, values = run.read_log(f"pull of {critic} on the {what}")
            if len(values):
                row[critic] = values[-max(len(values) // 4, 1) :].mean()
        if "pairs" in row:
            own = sum(row[critic] for critic in ("D_a", "D_I", "D_V") if critic in row)
            row["pairs, of all [%]"] = 100 * row["pairs"] / (own + row["pairs"])
        rows.append(row)
lesson.table(
    "pulls", rows, "Norms of the terms' gradients, last quarter of the training"
)

# %%
main = next(name for name in ("JM", *runs) if name in runs)
pulls = {
    f"{critic}, {what}": runs[main].read_log(f"pull of {critic} on the {what}")
    for what in ("sound", "video")
    for critic in ("D_a", "D_I", "D_V", "pairs")
}
pulls = {name: curve for name, curve in pulls.items() if len(curve[0])}
few = max(1, len(next(iter(pulls.values()))[0]) // 20)  # neighbours to be averaged
figure = show.curves(pulls, y="norm of the gradient", logarithmic=True, smooth=few)
lesson.figure("pulls_through_training", figure, f"Gradients of each term: {main}.")

# %%
losses = {k: runs[main].read_log(k) for k in ("loss D_a", "loss D_I", "loss D_V")}
losses |= {"loss pairs": runs[main].read_log("loss pairs")}
losses = {name: curve for name, curve in losses.items() if len(curve[0])}
lines = {"knows nothing": 2 * np.log(2)}
figure = show.curves(losses, y="loss", lines=lines, smooth=max(1, settings.steps // 40))
lesson.figure("losses", figure, f"The losses of the critics: {main}.")


# %% [markdown]
# A critic's loss far below the dashed line means that it tells real from made with
# ease. The pairs' critics have three answers instead of two, so that theirs begins
# higher.
#
# ## The same noise through the training


# %% tags=["fixed-noise"]
def draw_progress(name: str, most: int = 6) -> show.Plot:
    """The pictures of eight fixed noises at some moments, one row a moment."""
    paths = sorted((runs[name].folder / "samples").glob("fixed_*.png"))
    picked = [
        paths[i] for i in np.linspace(0, len(paths) - 1, most).round().astype(int)
    ]
    picked = list(dict.fromkeys(picked))
    figure, axes = show.subplots(len(picked), 1, width=8.0, height=1.1)
    for ax, path in zip(axes[:, 0], picked, strict=True):
        ax.imshow(matplotlib.image.imread(path))
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        step = int(path.stem.rpartition("_")[2])
        ax.set_ylabel(f"{step}", rotation=0, ha="right", va="center")
    return figure


for name in runs:
    caption = f"{name}: eight fixed noises; the numbers are steps."
    lesson.figure(f"progress_{name}", draw_progress(name), caption)

# %% [markdown]
# ## Look and listen
#
# Six generated clips of each network: the frame in the middle of each, and the six
# sounds one after another. A real clip of each class stands above them. The figure
# behind it is the paper's Fig. 3: one clip of each, frame by frame. Does it move, and
# does it stay the same player?

# %% tags=["samples"]
index = torch.tensor([*find_examples(test).values()][:6], device=device)
rows = {"real": list(test.frames[index, frames // 2].cpu().numpy())}
strips = {"real": list(test.frames[index[0]].cpu().numpy())}
sounds = {"real": test.waveforms[index].flatten().cpu()}
for name, (method, _) in chosen.items():
    G = load_generator(models / f"{name}.safetensors", method).to(device)
    waves, videos = generate_clips(G, 6, frames, lesson.seed)
    pictures = ((videos + 1) / 2).clamp(0, 1).permute(0, 2, 3, 4, 1).numpy()
    rows[name], strips[name] = list(pictures[:, frames // 2]), list(pictures[0])
    sounds[name] = waves[:, 0].flatten()
figure = show.image_grid(list(rows.values()), rows=list(rows), size=1.1)
lesson.figure("samples", figure, "Frames: real ones, and of each network.")
some = np.linspace(0, frames - 1, min(frames, 10)).round().astype(int)
grid = [[strip[k] for k in some] for strip in strips.values()]
figure = show.image_grid(grid, rows=list(strips))
lesson.figure("figure3", figure, "One clip of each, frame by frame (as Fig. 3 has it).")
for name, wave in sounds.items():
    lesson.audio(f"sounds_{name}", wave.numpy(), RATE, f"{name}: one after another")

# %% tags=["spectrograms"]
window = torch.hann_window(512)
pictures = [
    20
    * (torch.stft(w, 512, 128, window=window, return_complex=True).abs() + 1e-3).log10()
    for w in sounds.values()
]
hz = torch.fft.rfftfreq(512, 1 / RATE)
figure = show.spectrograms(
    pictures, hop=128 / RATE, hz=hz, captions=list(sounds), columns=2, unit="dB"
)
lesson.figure("spectrograms", figure, "The same six sounds of each network.")

# %% [markdown]
# ## What came out

# %% tags=["summary"]
for name, run in runs.items():
    told = []
    for what, (key, *_) in CURVES.items():
        values = run.read_log(key)[1]
        told.append(f"{what} {values[0]:.3g} → {values[-1]:.3g}")
    print(f"{name}, {run.steps_done} steps: {'; '.join(told)}")

# %% [markdown]
# - The judges and the averaged generators are in `models/`.
# - Distances to held-out clips say whether a network still learns. Losses do not: each
#   is measured against a critic that changes as well.
# - The table of gradients shows how much of a generator's direction comes from the
#   pairs. Where that is a few per cent, the pairs can change little.
# - Nothing here says yet which network is best, and none has a verdict: step 7 measures
#   all of them on more clips, with intervals and beside real ones.
#
# ## Exercises
#
# 1. Measure how hard a critic pulls.
# 2. Count the operations of a convolution.

# %% tags=["active-ipynb"]
# from avnb_notebooks.joint_gan import exercises
#
#
# def measure_pull(critic, fake):
#     """The mean norm, over the clips, of the gradient at fake (B, …) of one loss.
#
#     critic(fake) gives logits (B,). The loss of a clip is -log of its sigmoid.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.MEASURE_PULL, measure_pull)

# %% tags=["active-ipynb"]
# def count_flops(inputs, outputs, weights, length):
#     """Operations of a 1-d convolution whose result has `length` places, no bias.
#
#     A multiplication and an addition for each weight that is used: two operations.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.COUNT_FLOPS, count_flops)

# %%
lesson.finish()
