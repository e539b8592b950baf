# %% [markdown]
# # Step 7 · Train: the cascade, its ablations and its four rivals
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/cascaded_siamese/step7_train.ipynb)
#
# All parts are ready: the videos (step 1), their sound (step 2), one stream (step 3),
# the cascade and its orders (step 4), the critics and one training step (step 5), the
# rivals and a name for every network (step 6). This notebook trains the networks of the
# list `methods`, all with equally many steps. All have the same width, but for those of
# "equal weights", and the same videos, but for `cascade_no_stills`. Most names are rows
# of the paper's tables:
#
# | table | names |
# |---|---|
# | 1 | `mocogan`, `phonicsgan`, `g3an`, `imaginator`, `cascade` |
# | 1, equal weights | `mocogan_equal`, and so on |
# | 3 | `one_stream`, `shuffled_critic`, `streams`, `clip_critics`, `cascade` |
# | missing in 3 | `cascade_unshuffled`, `cascade_no_order`, `cascade_own_weights` |
# | for two claims | `cascade_no_skips`, `cascade_no_stills` |
# | ours | `cascade_timed`, `cascade_before`, `cascade_residual` |
#
# Each of our three adds one part to the one before: the decoder hears all eight states
# of the sound (step 3), each clip starts from the true frame before it (step 4), and
# the stream gives only what changes of that frame (step 3).
#
# **You will learn**
#
# 1. how to see whether a generator has learned to copy, and whether it listens at all,
# 2. which of its losses it follows,
# 3. whether the order head knows more than luck,
# 4. what a training step costs.
#
# **Time.** About 25 minutes to read. The computing takes longer than in any other
# notebook of the series; the table of settings says how many steps it makes.
#
# **Before you start.** Read steps 1 to 6.
#
# **Letters.** B videos of a batch · T frames (32) · N side of a frame.

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
from dataclasses import asdict
from functools import partial
from pathlib import Path

import matplotlib.image
import numpy as np
import torch
from torch import Tensor, nn

# %%
from avnb_notebooks.cascaded_siamese.step1_data import (
    BESIDE,
    FPS,
    FRAMES,
    SAMPLE_RATE,
    load_clips,
)
from avnb_notebooks.cascaded_siamese.step2_sound import SegmentCutter
from avnb_notebooks.cascaded_siamese.step4_cascade import (
    CLIPS,
    draw_orders,
    number_order,
    shuffle_clips,
)

# %%
from avnb_notebooks.cascaded_siamese.step5_critics import (
    Batch,
    ImageCritic,
    Weights,
    judge_videos,
    make_videos,
    reconstruction_loss,
    shuffle_batch,
    sum_critic_losses,
    sum_generator_losses,
)

# %%
from avnb_notebooks.cascaded_siamese.step6_baselines import (
    EQUAL,
    MISSING,
    OURS,
    TABLE1,
    TABLE3,
    Generator,
    Method,
    choose_width,
    generate,
    list_methods,
    load_generator,
    make_video_critic,
    pick_equal,
)
from avnb_notebooks.joint_gan.step4_pairs import PlainRun
from torch.nn import functional as F

# %%
from avnb import course, metrics, training
from avnb.course import reference
from avnb.course.speed import measure_speed, measure_work
from avnb.viz import show
from data_scripts.phonics import STILL

# %%
lesson = course.start(
    "cascaded_siamese",
    "step7_train",
    scale=SCALE,
    data=DATA,
    seed=SEED,
    run_dir=RUN_DIR,
    overrides=OVERRIDES,
)

# %%
METHODS = list_methods()
EVERY = tuple(METHODS)
# At a width of 12 two rivals have as many weights as the cascade anyway (within 10 %).
STUDIED = tuple(k for k in METHODS if k not in ("g3an_equal", "phonicsgan_equal"))
# Each way of building and of training once.
QUICK = (*TABLE1, *TABLE3, "mocogan_equal", "cascade_own_weights", "cascade_residual")
DEMO = ("cascade_residual",)  # the others come from the reference run

# %%
settings = lesson.settings(
    dict(
        #        smoke laptop reference gpu paper
        methods=(QUICK, DEMO, STUDIED, EVERY, EVERY),
        weights=("train", "reference", "train", "train", "train"),  # see below
        steps=(2, 1500, 3000, 15000, 120000),  # of each network
        batch=(2, 8, 8, 16, 32),  # over all processes
        width=(2, 12, 12, 32, 64),  # w, of generators and critics
        hidden=(8, 64, 64, 256, 256),  # H, of the sound's GRU
        norm=("frame", "frame", "frame", "batch", "batch"),  # of streams (step 3)
        lr=(1e-3, 2e-3, 1e-3, 2e-4, 2e-4),  # of the generator, Adam
        lr_critics=(2e-4,) * 5,
        losses=((100.0, 1.0, 1.0, 1.0),) * 5,  # weights of Eq. 4, 1, 2 and 3
        ema_decay=(0.5, 0.99, 0.995, 0.999, 0.999),
        points=(2, 8, 20, 24, 50),  # moments at which each network is measured
        measured=(4, 64, 128, 256, 256),  # held-out videos for it
        pulls_every=(1, 25, 50, 100, 500),  # steps between two looks at the gradients
        precision=("float32", "auto", "auto", "auto", "auto"),
    ),
)

# %%
settings

# %% [markdown]
# ## Load the data

# %%
device = training.get_device()
training.keep_freed_memory()
train, test = (load_clips(lesson.data, split, device) for split in ("train", "test"))
size, classes = train.frames.shape[2], len(train.classes)
cutter = SegmentCutter().to(device)
models = lesson.run_dir / "models"
if len(train) < settings.batch:
    raise course.LessonError(
        lesson.data,
        f"{len(train)} training videos are fewer than a batch of {settings.batch}",
        "Prepare more films, or give a smaller batch",
    )
print(f"{len(train)} training and {len(test)} held-out videos of {classes} classes,")
print(f"{FRAMES} frames of {size}×{size}; held out: {len(set(test.units))} units")

# %% [markdown]
# ## What is trained

# %%
if unknown := set(settings.methods) - set(METHODS):
    raise course.LessonError(
        "methods",
        f"no network is called {min(unknown)}",
        f"Give some of {[*METHODS]}",
    )
chosen = {key: METHODS[key] for key in settings.methods}
rows = [{"key": key} | asdict(method) for key, method in chosen.items()]
words = {True: "yes", False: "no"}
rows = [
    {k: words[v] if isinstance(v, bool) else v for k, v in row.items()} for row in rows
]
show.table(rows, "What is trained; step 6 explains the columns at `Method`")

# %% [markdown]
# With `weights="reference"` the rivals are those that the reference run publishes, once
# there is one. They are needed for comparison alone, and nothing is trained for them.

# %%
wanted = settings.weights == "reference" and not lesson.chosen_data
found = reference.load_reference(lesson.series) if wanted else None
stems = [Path(entry["path"]).stem for entry in found["weights"]] if found else []
taken = [key for key in stems if key in METHODS and key not in chosen]
if taken:
    reference.copy_models(lesson, *taken)


# %%
def make_networks(key: str) -> tuple[Generator, nn.ModuleDict, dict]:
    """Generator and critics of a method, and the generator's arguments."""
    sizes = {"classes": classes, "size": size}
    sizes |= {"hidden": settings.hidden, "norm": settings.norm}
    config = {"key": key, "width": choose_width(key, settings.width, **sizes)} | sizes
    critics = {
        "image": ImageCritic(settings.width, size),
        "video": make_video_critic(key, classes, settings.width, size),
    }
    return Generator(**config), nn.ModuleDict(critics), config


# %%
# What may change in a training that goes on: how long it is, and how it is looked at.
FREE = ("weights", "methods", "steps", "points", "measured", "pulls_every")
kept, changed = settings.fix(*FREE, "precision")


# %%
def start_run(key: str) -> tuple:
    """The run of one network: generator, critics, the average, two optimizers."""
    training.seed_everything(lesson.seed)
    run = training.Run(
        lesson.run_dir / "networks" / f"{key}{changed}",
        seed=lesson.seed,
        precision=settings.precision,
        settings=kept | asdict(METHODS[key]),
    )
    G, critics, config = make_networks(key)
    training.share_batch_norms(G)
    betas = (0.5, 0.999)
    return (
        run,
        config,
        *run.prepare(
            G=G,
            critics=critics,
            ema=training.EMA(G, settings.ema_decay),
            opt_g=torch.optim.Adam(G.parameters(), settings.lr, betas),
            opt_d=torch.optim.Adam(critics.parameters(), settings.lr_critics, betas),
        ),
    )


# %% [markdown]
# ## One step
#
# A batch is B videos with their segments, and an order for each. The step is that of
# step 5: one pass of the generator, one of the critics over made and real videos, and
# then each side follows its own loss. `held` frames count in no loss.


# %%
def draw_batch(index: Tensor, method: Method, random: torch.Generator) -> Batch:
    """Videos of the training part, shuffled as the method wants it."""
    order = torch.arange(CLIPS).expand(len(index), -1)
    if method.shuffled != "none":
        order = draw_orders(len(index), generator=random)
    return shuffle_batch(
        train.get_frames(index),
        cutter(train.get_waveforms(index)),
        F.one_hot(train.labels[index], classes).float(),
        order,
        train.held[index],
        link=method.link,
        late=method.shuffled == "critics",
    )


# %% [markdown]
# Which loss does the generator follow? The norm of each term's gradient at the made
# videos says it. We look now and then, since it costs one more way back through the
# critics. It reads the step's own terms: a second pass forward would move the running
# statistics of batch norms and spectral norms, and so the training that it looks at.


# %%
def measure_pulls(terms: dict[str, Tensor], made: Tensor) -> dict[str, Tensor]:
    """The norm of each term's gradient at the made videos, a video."""
    pulls = {}
    for name, term in terms.items():
        (slope,) = torch.autograd.grad(term, made, retain_graph=True)
        # A term is a mean over the batch, so that each video has 1 / B of it.
        pulls[f"pull of {name}"] = len(made) * slope.flatten(1).norm(dim=1).mean()
    return pulls


# %%
weights = Weights(*settings.losses)


# %%
def take_step(
    run, G, critics, optimizers: tuple, batch: Batch, looked: bool = False
) -> dict[str, Tensor]:
    """One step of the generator and of the critics: what is logged of it."""
    with run.autocast():
        made = make_videos(G, batch).float()
        real, fake = (
            judge_videos(x, batch.label, critics["image"], critics["video"])
            for x in (batch.real, made)
        )
        terms = sum_generator_losses(made, fake, batch, weights)
        of_critics = sum_critic_losses(real, fake, batch, weights)
    opt_g, opt_d = optimizers
    log = {f"G {name}": value.detach() for name, value in terms.items()}
    log |= {f"D {name}": value.detach() for name, value in of_critics.items()}
    log |= measure_pulls(terms, made) if looked else {}
    loss_g, loss_d = (torch.stack([*t.values()]).sum() for t in (terms, of_critics))
    run.step(opt_g, loss_g, retain_graph=True)
    run.step(opt_d, loss_d)
    return log


# %% [markdown]
# ## Does it listen yet?
#
# At some moments the averaged generator makes **held-out** videos from their first
# frame: once with their own sound, and once with the sound of another video. Where the
# two errors separate, the sound reaches the picture, and in the right way. The error is
# taken where something moves in the real video. The dashed line holds the first frame
# still: a network that does not move at all has this error.


# %%
def pick_held_out() -> Tensor:
    """Held-out videos that move and are whole, evenly over the split."""
    moves = ~test.held.any(1)
    if "still" in test.truth:
        moves &= test.truth["still"][:, 0] == 0
    index = moves.nonzero()[:, 0] if moves.any() else torch.arange(len(test))
    places = torch.linspace(0, len(index) - 1, min(settings.measured, len(index)))
    return index[places.round().long().to(index.device)]


held_out = pick_held_out()
known = test.get_frames(held_out).cpu()
sounds = cutter(test.get_waveforms(held_out)).cpu()
letters = test.labels[held_out].cpu()
moving = ((known - known[:, :, :1]).abs().amax(dim=(1, 2)) > 0.1)[:, None, None]
# The video whose frames are kept through the training: its object enters in the middle,
# and no frame is of the slide before or after.
none = torch.zeros(test.held.shape)
entrance, leak = (
    test.truth.get(name, none).cpu()[held_out.cpu()] != 0
    for name in ("onset_entrance", "leak")
)
clear = entrance[:, FRAMES // 4 : -FRAMES // 4].any(1) & ~leak.any(1)
shown = [int(clear.float().argmax())]


# %%
def measure_errors(videos: Tensor) -> Tensor:
    """The mean absolute error of each video where it moves, in grey levels."""
    error = 127.5 * (videos - known).abs() * moving
    return error.sum(dim=(1, 2, 3, 4)) / (
        3 * FRAMES * moving.sum(dim=(1, 2, 3, 4)).clamp(min=1)
    )


# Half the list away: another film, and another song.
other_sounds = sounds.roll(max(1, len(sounds) // 2), dims=0)
still_error = measure_errors(known[:, :, :1].expand_as(known)).mean().item()


# %%
@torch.no_grad()
def name_orders(critics: nn.ModuleDict, videos: Tensor) -> float:
    """How often the order head names the order of shuffled held-out videos."""
    random = torch.Generator().manual_seed(lesson.seed)
    order, right = draw_orders(len(videos), generator=random), []
    was_training = critics.training
    critics.eval()
    for part in torch.arange(len(videos)).split(16):
        shuffled = shuffle_clips(videos[part], order[part]).to(device)
        label = F.one_hot(letters[part], classes).float().to(device)
        said = critics["video"](shuffled, label).orders.argmax(1).cpu()
        right.append(said == number_order(order[part]))
    critics.train(was_training)
    return torch.cat(right).float().mean().item()


# %%
def watch(run: training.Run, G: Generator, critics: nn.ModuleDict) -> None:
    """Measure the averaged generator on held-out videos, and keep some frames."""
    random = torch.Generator().manual_seed(lesson.seed)
    G.eval()
    with torch.random.fork_rng():  # measuring must not change the training's draws
        own, other = (
            generate(G, known[:, :, 0], heard, letters, random)
            for heard in (sounds, other_sounds)
        )
        run.log(
            own_sound=measure_errors(own).mean(),
            other_sound=measure_errors(other).mean(),
        )
        if getattr(critics["video"], "order", None) is not None:
            for name, videos in (("real", known), ("made", own)):
                run.log(**{f"order of {name}": name_orders(critics, videos)})
    videos = torch.cat([x[shown] for x in (known, own, other)])
    strips = videos[:, :, ::4].transpose(1, 2).flatten(0, 1)
    run.log_sample((strips + 1) / 2, "real_own_other", columns=FRAMES // 4)


# %%
def choose_training_videos(method: Method) -> Tensor:
    """All videos of the training part, or only those in which something moves."""
    if method.stills:
        return torch.arange(len(train), device=device)
    # As the script finds them that prepares the films, so that no truth is needed.
    change = metrics.measure_changes(train.frames.movedim(-1, 2)).mean(1)
    moving = (change >= STILL).nonzero()[:, 0]
    if len(moving) < settings.batch:
        raise course.LessonError(
            lesson.data,
            f"in {len(moving)} training videos something moves, fewer than a batch",
            f"Leave {method.title!r} out of methods, or prepare more films that move",
        )
    return moving.to(device)


# %%
def train_network(key: str) -> training.Run:
    """Train one network, and save its averaged generator."""
    run, config, G, critics, ema, opt_g, opt_d = start_run(key)
    videos = choose_training_videos(METHODS[key])
    batches = training.BatchSampler(len(videos), settings.batch, seed=lesson.seed)
    every = max(1, settings.steps // settings.points)
    for step in run.steps(settings.steps, save_every=every):
        index = videos[batches[step.number].to(device)]
        batch = draw_batch(index, METHODS[key], run.generator)
        looked = step.is_due(settings.pulls_every)
        log = take_step(run, G, critics, (opt_g, opt_d), batch, looked)
        ema.update_parameters(G)
        run.log(**log)
        if step.is_due(every):
            watch(run, ema.module, critics)
    run.require_finished()
    training.save_model(models / f"{key}.safetensors", ema.module, **config)
    return run


# %% [markdown]
# ## What a step costs
#
# torch counts the floating-point operations of one step. Divided by its time and by the
# speed of a large matrix product on this machine, they give the part of the machine's
# peak that is used. `benchmarks/cascaded_siamese.py` compares the step with one that is
# written with the parents' modules, and four streams with one of 32 frames.


# %%
def measure_step(key: str) -> dict:
    """GFLOP of one step, its seconds (the better of two), and the networks' weights."""
    torch.manual_seed(lesson.seed)
    nets = [net.to(device) for net in make_networks(key)[:2]]
    optimizers = tuple(torch.optim.Adam(net.parameters(), 1e-4) for net in nets)
    random = torch.Generator(device).manual_seed(lesson.seed)
    index = torch.arange(settings.batch, device=device)
    batch = draw_batch(index, METHODS[key], random)
    work = partial(take_step, PlainRun(), *nets, optimizers, batch)
    gflop, seconds = measure_work(work, device)
    counts = [sum(p.numel() for p in net.parameters()) for net in nets]
    row = {"network": METHODS[key].title, "weights of G": counts[0]}
    row |= {"of the critics": counts[1]}
    return row | {"GFLOP a step": gflop, "s a step": seconds}


# %% tags=["cost"]
peak, rows, counts = measure_speed(), [], {}
for key in chosen:
    row = measure_step(key)
    counts[key] = row["weights of G"]
    speed = row["GFLOP a step"] / row["s a step"]
    rows.append(row | {"GFLOP/s": speed})
    if device.type == "cpu":  # the peak is that of the processor
        rows[-1]["part of the peak"] = speed / peak
lesson.table(
    "cost",
    rows,
    f"A step of {settings.batch} videos; a product reaches {peak:.0f} GFLOP/s",
)

# %% [markdown]
# ## Train

# %%
runs = {key: train_network(key) for key in chosen}

# %%
for key, run in runs.items():
    at, errors = run.read_log("own_sound")
    lesson.record_training(
        METHODS[key].title,
        epochs=run.steps_done * settings.batch / len(train),  # nearly all videos
        steps=run.steps_done,
        held_out=list(zip(at, errors, strict=True)),
        training=run.average_log("G L1", at),
        better="lower",
        unit="error where it moves [grey levels]",
        training_unit="loss L1, with its weight",
        negligible=0.2,  # grey levels, of about 30
    )
methods = {key: asdict(METHODS[key]) for key in (*chosen, *taken)}
lesson.record("methods", methods, "How each network is built and trained")
names = ", ".join(METHODS[key].title for key in taken) or "none"
lesson.record("networks_taken", names, "Networks taken from the reference run")

# %% tags=["listening"]
GROUPS = {
    "table1": ("Table 1", [*TABLE1, "cascade"]),
    "equal": ("Table 1, equal weights", [*EQUAL, "cascade"]),
    "table3": ("Table 3", [*TABLE3]),
    "missing": ("missing in Table 3", ["cascade", *MISSING]),
    "ours": ("ours", ["cascade", *OURS]),
}
for group, (about, keys) in GROUPS.items():
    errors, gains = {}, {}
    for key in (key for key in keys if key in runs):
        at, own = runs[key].read_log("own_sound")
        errors[METHODS[key].title] = (at, own)
        other = runs[key].read_log("other_sound")[1]
        gains[METHODS[key].title] = (at, other - own)
    if set(keys) & set(runs) <= {"cascade"} and group != "ours":
        continue  # nothing to compare it with
    lines, y = {"first frame held": still_error}, "error [grey levels]"
    figure = show.curves(errors, y=y, lines=lines)
    caption = f"Error where held-out videos move: {about}."
    lesson.figure(f"held_out_{group}", figure, caption)
    y = "gain by its own sound [grey levels]"
    figure = show.curves(gains, y=y, lines={"deaf": 0})
    caption = f"Error by another's sound minus that by its own: {about}."
    lesson.figure(f"gain_{group}", figure, caption)

# %% [markdown]
# The first figure of each pair is the error where something moves. The second says by
# how much the error is smaller with the video's own sound than with another's. A
# network that is deaf stays at 0, however good its pictures are.

# %% tags=["networks"]
rows = []
for key, run in runs.items():
    row = {"network": METHODS[key].title, "steps": run.steps_done}
    last = {k: run.read_log(k)[1] for k in ("own_sound", "other_sound")}
    tail = max(len(last["own_sound"]) // 4, 1)
    row["error, own sound"] = last["own_sound"][-tail:].mean()
    row["error, another's"] = last["other_sound"][-tail:].mean()
    for name in ("real", "made"):
        if len(values := run.read_log(f"order of {name}")[1]):
            row[f"order of {name} clips named"] = values[-tail:].mean()
    rows.append(row)
rows.append({"network": "first frame held still", "error, own sound": still_error})
rows.append({"network": "chance", "order of real clips named": 1 / 24})
caption = "Held-out videos, error in grey levels: means over the last quarter"
lesson.table("networks", rows, caption)

# %% [markdown]
# The rivals once more, in two columns: at **equal steps** all networks have the same
# width, and so their own numbers of weights. At **equal weights** a rival's width is
# chosen so that it has as many as the cascade (± 10 %), and it makes as many steps.

# %% tags=["equal"]
errors = {row["network"]: row.get("error, own sound") for row in rows}
rows = []
for key in (key for key in (*TABLE1, "cascade") if key in runs):
    row = {"network": METHODS[key].title}
    same = key if key == "cascade" else pick_equal(key, counts)
    for text, one in (("equal steps", key), ("equal weights", same)):
        row[f"weights, {text}"] = counts.get(one)
        row[f"error, {text}"] = errors[METHODS[one].title] if one else None
    rows.append(row)
if len(rows) > 1:
    lesson.table("equal", rows, "Error where held-out videos move [grey levels]")


# %% [markdown]
# ## Has it learned to copy?
#
# Most pixels of a clip are those of the image that it starts from. So a network must
# first learn to copy, and only a smaller error than that of a perfect copy shows that
# it has learned something of what moves. The table has the L1 of the training's last
# quarter, and beside it the L1 of an answer that **holds each clip's image still**, on
# some training videos. Without a cascade that is the video's first frame. With one it
# is the image that the shuffled clip starts from (step 4), which may be far away.


# %%
def measure_copy(method: Method) -> float:
    """L1, with its weight, of training videos whose streams hold their image still."""
    index = torch.linspace(0, len(train) - 1, min(settings.measured, len(train)))
    random = torch.Generator(device).manual_seed(lesson.seed)
    batch = draw_batch(index.round().long().to(device), method, random)
    images = batch.starts  # (B, S, 3, N, N)
    if method.network != "cascade":
        images = images[:, :1].expand_as(images)
    still = images.transpose(1, 2).repeat_interleave(FRAMES // CLIPS, dim=2)
    error = reconstruction_loss(batch.real, still, batch.held)
    return (weights.reconstruction * error).item()


# %% tags=["copies"]
rows = []
for key, run in runs.items():
    values = run.read_log("G L1")[1]
    row = {"network": METHODS[key].title}
    row["L1 in training"] = values[-max(len(values) // 4, 1) :].mean()
    copy = measure_copy(METHODS[key])
    row["L1 of a copy"] = copy
    rows.append(row | {"training by copy": row["L1 in training"] / copy})
lesson.table("copies", rows, "Below 1 it knows something of what moves")

# %% [markdown]
# ## Which loss does the generator follow?

# %% tags=["pulls"]
TERMS = ("L1", "image", "clip", "order")
main = next(key for key in ("cascade", *runs) if key in runs)
pulls = {name: runs[main].read_log(f"pull of {name}") for name in TERMS}
pulls = {name: curve for name, curve in pulls.items() if len(curve[0])}
few = max(1, len(pulls["L1"][0]) // 20)  # neighbours to be averaged
figure = show.curves(pulls, y="norm of the gradient", logarithmic=True, smooth=few)
title = METHODS[main].title
lesson.figure("pulls", figure, f"Gradients of each term at the videos: {title}.")
rows = []
for key, run in runs.items():
    row = {}
    for name in TERMS:
        _, values = run.read_log(f"pull of {name}")
        # Not all have an order head, but all have the columns in the same order.
        row[name] = values[-max(len(values) // 4, 1) :].mean() if len(values) else None
    total = sum(value for value in row.values() if value is not None)
    row |= {"L1, of all [%]": 100 * row["L1"] / total}
    rows.append({"network": METHODS[key].title} | row)
lesson.table("pulls_table", rows, "Norms of the terms' gradients, last quarter")

# %% [markdown]
# The sound reaches a frame through the generator alone, and only L1 and the critics
# tell the generator what was right. L1 compares with the very video that was heard. The
# critics never hear: they can ask for a likely video, and not for the right one.

# %% tags=["losses"]
names = {"image": "image critic", "clip": "clip critic", "order": "order head"}
losses = {text: runs[main].read_log(f"D {name}") for name, text in names.items()}
losses = {name: curve for name, curve in losses.items() if len(curve[0])}
lines = {"a critic that knows nothing": 2 * np.log(2)}
if "order head" in losses:
    lines["an order head that knows nothing"] = np.log(24)
smooth = max(1, settings.steps // 40)
figure = show.curves(losses, y="loss", lines=lines, smooth=smooth)
lesson.figure("losses", figure, f"The losses of the critics: {title}.")


# %% [markdown]
# ## One video through the training
#
# Each row is a moment of the training: the real video, what the network makes of its
# own sound, and what it makes of another's. Every fourth frame.


# %% tags=["progress"]
def draw_progress(key: str, most: int = 4) -> show.Plot:
    """The kept frames at some moments, one block a moment."""
    paths = sorted((runs[key].folder / "samples").glob("real_own_other_*.png"))
    places = np.linspace(0, len(paths) - 1, most).round().astype(int)
    picked = [paths[i] for i in dict.fromkeys(places.tolist())]
    figure, axes = show.subplots(len(picked), 1, width=6.0, height=2.3)
    for ax, path in zip(axes[:, 0], picked, strict=True):
        ax.imshow(matplotlib.image.imread(path))
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        step = int(path.stem.rpartition("_")[2])
        ax.set_ylabel(f"step {step}")
    return figure


caption = f"{title}: real, by its own sound, by another's."
lesson.figure("progress", draw_progress(main), caption)

# %% tags=["samples"]
first, heard, letter = known[shown, :, 0], sounds[shown], letters[shown]
strips = {"real": known[shown]}
for key in (*chosen, *taken):
    net = load_generator(lesson, key, device)
    counts[key] = sum(p.numel() for p in net.parameters())
    random = torch.Generator().manual_seed(lesson.seed)
    strips[METHODS[key].title] = generate(net, first, heard, letter, random)
grid = [(x[0, :, ::4].permute(1, 2, 3, 0) + 1) / 2 for x in strips.values()]
columns = [f"frame {t}" for t in range(0, FRAMES, 4)]
figure = show.image_grid(grid, rows=list(strips), columns=columns, size=0.85)
lesson.figure("samples", figure, "One held-out video by each network.")
# Step 8 compares networks of equal size.
sizes = {METHODS[key].title: count for key, count in counts.items()}
lesson.record("weights", sizes, "Weights of each generator")

# %% tags=["film"]
# The paper's cascade and ours beside the real video, or what there is.
titles = [METHODS[key].title for key in ("cascade", "cascade_residual")]
titles = [title for title in titles if title in strips] or list(strips)[1:2]
films = [strips[name][0].permute(1, 2, 3, 0) for name in ("real", *titles)]
side = (torch.cat(films, dim=2).clamp(-1, 1) + 1) / 2
sound = test.get_waveforms(held_out[shown])[0].cpu().numpy()
beside = BESIDE * SAMPLE_RATE // FPS
heard_now = sound[beside:-beside]
film = show.encode_mp4(side.numpy(), heard_now, FPS, SAMPLE_RATE, zoom=4)
path = lesson.run_dir / "step7" / "film.mp4"
path.parent.mkdir(exist_ok=True)
path.write_bytes(film)
lesson.video("film", path, f"From the left: real, {', '.join(titles)}.")

# %% [markdown]
# ## What came out

# %% tags=["summary"]
for key, run in runs.items():
    own, other = (run.read_log(k)[1][-1] for k in ("own_sound", "other_sound"))
    print(
        f"{METHODS[key].title}, {run.steps_done} steps: error {own:.1f} grey levels, "
        f"by another's sound {other:.1f}; first frame held {still_error:.1f}"
    )

# %% [markdown]
# - The averaged generators are in `models/`, one file a method.
# - A network whose L1 is above that of a copy has not learned to copy yet, and what it
#   has learned of the sound cannot be seen.
# - The error with another video's sound says whether a network listens. Its losses do
#   not.
# - The order head's accuracy is to be read beside chance, 1 / 24.
#
# ## Exercises
#
# 1. Say of a network whether it is worse than a still, deaf, or listens.
# 2. Measure how hard one term pulls at the videos.

# %% tags=["active-ipynb"]
# from avnb_notebooks.cascaded_siamese import exercises
#
#
# def describe_listening(own, other, still):
#     """One of "worse than a still", "deaf" and "listens", of errors (N,) of N videos.
#
#     own, other: by the right and by another's sound; still: of the first frame held.
#     If the mean of own is not below that of still, it is worse. Else it listens if
#     more than 75 % of the videos have a smaller error by their own sound.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.DESCRIBE_LISTENING, describe_listening)

# %% tags=["active-ipynb"]
# def measure_pull(term, made):
#     """The mean norm, over the videos, of the gradient of term(made) at made (B, …).
#
#     term(made) is a mean over the videos: count each video's own part of it.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.MEASURE_PULL, measure_pull)

# %%
lesson.finish()
