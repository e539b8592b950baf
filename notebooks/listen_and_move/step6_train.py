# %% [markdown]
# # Step 6 · Train: the model and its two critics
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/listen_and_move/step6_train.ipynb)
#
# All parts are ready: the video (step 1), R (step 2), G (step 3) with its prediction
# layer (step 4), the critics, the losses and one training step (step 5). This notebook
# trains them, one window of the video after another. It always trains the full model,
# for `steps` steps. The setting `others` names what is trained beside it, for
# `steps_others` steps each:
#
# | name in `others` | networks |
# |---|---|
# | `table1` | the other networks of Table 1, and the full model without prediction |
# | `released` | the full model, trained as in the released code |
# | `l1` | with the $L_1$ distance of the pixels in place of the perceptual loss |
# | `skip` | with a skip generator (Fig. 5) |
# | `reset` | with states that are reset at each window |
#
# A copy of the full model is also saved after `steps_others` steps, so that step 7 can
# compare networks that were trained for equally long.
#
# **You will learn** what two time scales (TTUR) and an exponential moving average (EMA)
# of the weights are for, how several readers and their states go from window to window,
# whose gradient R and G follow through the training, and how to see whether a critic
# has learned anything.
#
# **Time.** About 25 minutes to read. The computing takes longer than in any other
# notebook of the series; the table of settings says how many steps it makes.
#
# **Before you start.** Read steps 1 to 5.

# %% tags=["parameters"]
SCALE = "laptop"  # how large everything is: one of the scales below
DATA = ""  # "" is the embedded data; or a folder of clips, see `avnb prepare --help`
SEED = 0  # of every random number: a whole number; each seed has a run of its own
RUN_DIR = ""  # "" is the usual folder of this run, below runs/listen_and_move/
OVERRIDES = {}  # {"field": value} of the table of settings below: your own values
# scale      for                                       the whole series took
# smoke      tests: every line runs, nothing learned   not measured yet
# laptop     two cores, no GPU: the networks do learn  not measured yet
# reference  two cores for hours: what claims rest on  at least 5.9 hours
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
from dataclasses import asdict, replace

import numpy as np
import torch
from avnb_notebooks.listen_and_move.step1_data import (
    AudioFeatures,
    average_frames,
    check_video,
    find_moving_pixels,
    load_performer_video,
    masked_rmse,
    shift_in_time,
)
from avnb_notebooks.listen_and_move.step3_generator import (
    CarriedState,
    ModelConfig,
    SoundToVideo,
    ablation_configs,
    init_weights,
    select_windows,
)
from avnb_notebooks.listen_and_move.step4_prediction import generate_video
from IPython.display import display
from torch import Tensor
from torch.nn import functional as F

# %%
from avnb_notebooks.listen_and_move.step5_critics import (
    make_image_critic,
    make_video_critic,
    model_terms,
    pick_frames,
    update_critics,
    update_model,
)

from avnb import course, losses, training
from avnb.pretrained import weights
from avnb.viz import show

# %%
lesson = course.start(
    "listen_and_move",
    "step6_train",
    scale=SCALE,
    data=DATA,
    seed=SEED,
    run_dir=RUN_DIR,
    overrides=OVERRIDES,
)

# %%
EVERYTHING = ("table1", "released", "l1", "skip", "reset")  # what others may name

# %%
settings = lesson.settings(
    dict(  #          smoke laptop reference gpu paper
        window=(8, 8, 8, 16, 32),  # T, frames
        readers=(2, 2, 2, 2, 1),  # of the video at once, over all processes
        base=(16, 128, 128, 512, 1024),  # width of the generator
        base_critics=(16, 64, 64, 512, 1024),  # width of the critics
        steps=(4, 600, 12000, 8000, 50000),  # of the full model
        others=(EVERYTHING, ("released",), ("released",), (), ()),  # beside it
        steps_others=(2, 100, 2000, 8000, 50000),  # of each of them
        norm=("layer", "layer", "layer", "layer", "batch"),  # in the critics
        patches=("sum", "sum", "sum", "sum", "mean"),  # of an item's scores
        share=(0.0, 0.0, 0.0, 0.0, 0.0),  # of the critics' gradients; 0: as they are
        lr=(1e-3, 1e-3, 1e-3, 5e-4, 1e-4),  # of R and G; the critics' is LR_CRITICS
        perceptual_frames=(2, 2, 2, 8, 32),  # of a window, for the perceptual loss
        as_released=(False, False, False, False, False),  # sound features, in dB
        plus_one=(True, True, True, True, True),  # the norms scale by 1 + γ
        stream=(True, False, False, False, True),  # frames stay in their file
        recompute=(4, 0, 0, 0, 4),  # frames computed again in the backward pass
        ema_decay=(0.5, 0.99, 0.999, 0.999, 0.999),
        log_every=(1, 10, 50, 50, 100),  # steps between two measurements of the gaps
        sample_every=(2, 100, 500, 500, 1000),  # steps between two test videos
        precision=("float32", "float32", "float32", "auto", "auto"),
        weights=("random", *["published"] * 4),  # of VGG16
    ),
)

# %%
settings

# %% [markdown]
# `as_released`, `plus_one`, `norm`, `patches`, `share` and `readers` can be set to what
# the released code does: True, False, "batch", "mean", 0 and 1. At `paper` all but the
# first two are so.
#
# What does it cost? `benchmarks/listen_and_move.py` counts the arithmetic and the
# memory of a step. On a T4, at 40 % of its 8.1 TFLOP/s, the steps of `gpu` would take
# about half an hour and those of `paper` about eleven hours and 7 GB, for each network.
# At 256×256 a step of `paper` takes half as much again and, with `recompute`, 7 GB.
# (These figures are calculated. They are not measured on that card.)

# %%
display(course.show_source(SoundToVideo, CarriedState, select_windows))
display(course.show_source(model_terms, update_critics, update_model))

# %% [markdown]
# ## Load the data
#
# The training part is what the networks learn from. The test part is only used to look
# at the progress. The module that computes the features is saved beside the networks,
# because any other sound must be measured with the same reference level.

# %%
device = training.get_device()
how = {"as_released": settings.as_released, "stream": settings.stream}
train, test = (
    load_performer_video(lesson.data, split, device, **how)
    for split in ("train", "test")
)
for part in (train, test):
    check_video(part, settings.window)
size, level = train.frames.shape[1], train.audio_features.level
models = lesson.run_dir / "models"
sound_config = {"sample_rate": train.source.sample_rate, "fps": train.source.fps}
sound_config |= {"level": level}
audio_features = AudioFeatures(**sound_config)
path = models / "audio_features.safetensors"
training.save_model(path, audio_features, **sound_config)
vgg = weights.load_network("vgg16", published=settings.weights == "published")
vgg = vgg.to(device).truncate(2)  # relu2_2
moving = find_moving_pixels(train.frames)
BETAS = (0.3, 0.999)  # of Adam (Sec. 5.1)
LR_CRITICS = 4e-4  # learning rate of both critics (Sec. 5.1)
SAMPLE_FRAMES = 320  # length of a test video
print(f"{len(train)} training and {len(test)} test frames of {size}×{size}")

# %% [markdown]
# ## What is trained
#
# Each network is a `ModelConfig` and a **method**: how it is trained. The full model's
# method comes from the table above. The others change one thing each, and `released`
# changes what the released code does otherwise.

# %%
METHOD = {"readers": settings.readers, "norm": settings.norm, "carry": True}
METHOD |= {"patches": settings.patches, "share": settings.share}
METHOD |= {"reconstruction": "perceptual"}
FULL = ModelConfig(plus_one=settings.plus_one)
RELEASED = {"readers": 1, "norm": "batch", "patches": "mean", "share": 0.0}
table1 = {
    f"table1_row{row}": (replace(config, plus_one=settings.plus_one), {})
    for row, config in enumerate(ablation_configs().values(), start=1)
    if config != ModelConfig()  # the full model's early copy is its row
}
groups = {"table1": table1, "released": {"released": (FULL, RELEASED)}}
groups["l1"] = {"l1": (FULL, {"reconstruction": "l1"})}
groups["skip"] = {"skip": (replace(FULL, skip=True), {})}
groups["reset"] = {"reset": (FULL, {"carry": False})}
if unknown := set(settings.others) - set(groups):
    raise course.LessonError(
        "others", f"no network is called {min(unknown)}", f"Give some of {[*groups]}"
    )
others = {name: n for group in settings.others for name, n in groups[group].items()}

# %% [markdown]
# ## Set up a run
#
# The critics and the model have different learning rates: 4·10⁻⁴ and 10⁻⁴ in the paper,
# in Adam with $\beta = (0.3, 0.999)$. This is the **two time-scale update rule** (TTUR,
# Heusel et al. 2017). A critic that learns faster stays close to its best answer to the
# current generator, and its gradient is then a useful one. On two cores there are far
# fewer steps than in the paper, so R and G have a larger learning rate there.
#
# **EMA** is the exponential moving average of the model's weights over the last steps.
# Samples use the EMA weights, because the raw weights change from step to step.
#
# `recompute` saves memory at the cost of time. At 256×256 and the paper's width it
# halves the memory of a step (see step 4; `benchmarks/listen_and_move.py` has the
# arithmetic).

# %%
# More steps go on from where a training ended, so they are no part of a checkpoint.
FREE = {"steps", "steps_others", "others", "log_every", "sample_every", "stream"}


# %%
def start_run(name: str, config: ModelConfig, method: dict) -> tuple:
    """The run of one network: networks, carried states, EMA and optimizers."""
    training.seed_everything(lesson.seed)
    model = SoundToVideo(config, size, base=settings.base).apply(init_weights)
    model.generator.prediction.recompute = settings.recompute  # unused without one
    training.share_batch_norms(model)
    width, norm = settings.base_critics, method["norm"]
    D_I = make_image_critic(size, width, norm).apply(init_weights)
    D_V = make_video_critic(size, width, norm).apply(init_weights)
    fixed, _ = settings.fix(*FREE)
    run = training.Run(
        lesson.run_dir / name, seed=lesson.seed, precision=settings.precision,
        settings=fixed | asdict(config) | method,
    )  # fmt: skip
    adam = torch.optim.Adam
    return run, *run.prepare(
        model=model,
        D_I=D_I,
        D_V=D_V,
        carried=CarriedState(model, method["readers"]),
        ema=training.EMA(model, settings.ema_decay),
        opt_g=adam(model.parameters(), settings.lr, BETAS),
        opt_i=adam(D_I.parameters(), LR_CRITICS, BETAS),
        opt_v=adam(D_V.parameters(), LR_CRITICS, BETAS),
    )


# %% [markdown]
# What has a critic learned? Its loss does not tell, because it is mostly penalty. The
# **gap** between its scores for real and generated inputs does: a critic that cannot
# tell them apart has a gap of zero. With a slope of 1 everywhere, the gap can be as
# large as the distance of the two inputs. We therefore divide it by that distance.


# %%
@torch.no_grad()
def measure_gaps(
    critics: tuple, real: Tensor, fake: Tensor, t: Tensor
) -> dict[str, Tensor]:
    """How much higher each critic scores the real input, divided by the distance.

    The scores of all patches are added, because the penalty bounds the slope of their
    sum. The result is the mean over the readers.
    """
    D_I, D_V = critics
    pairs = {"gap_image": (D_I, pick_frames(real, t), pick_frames(fake, t))}
    pairs["gap_video"] = (D_V, real.transpose(1, 2), fake.transpose(1, 2))
    gaps = {}
    for name, (critic, yes, no) in pairs.items():
        gap = (critic(yes) - critic(no)).flatten(1).sum(dim=1)
        gaps[name] = (gap / (yes - no).flatten(1).norm(dim=1)).mean()
    return gaps


# %% [markdown]
# ## One step
#
# Each reader's windows come in their order. The states are passed from one window to
# the next without gradients, and are reset when the readers start again.
#
# On several processes (`accelerate launch`) each process takes its part of the readers.
# Gradients are averaged, and the states of all readers are gathered, so that a
# checkpoint contains them all. A test compares two processes of one reader each with
# one process of two.


# %%
def read_windows(run: training.Run, number: int, readers: int) -> tuple:
    """This process's frames and features, its readers, and whether they restart."""
    processes, rank = run.accelerator.num_processes, run.accelerator.process_index
    if readers % processes:
        raise course.LessonError(
            "readers", f"{processes} processes cannot share {readers}",
            f"Give a multiple of {processes}",
        )  # fmt: skip
    each = readers // processes
    mine = slice(rank * each, (rank + 1) * each)
    windows, restart = select_windows(
        number, len(train), settings.window, readers, lesson.seed
    )
    pairs = [train.window(part.start, settings.window) for part in windows[mine]]
    real, features = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    return real, features, mine, restart


# %%
def make_comparison(run: training.Run, kind: str):
    """The reconstruction term: perceptual on some frames, or L1 on all pixels."""
    if kind == "l1":
        return F.l1_loss

    def compare(real: Tensor, fake: Tensor) -> Tensor:
        order = torch.randperm(real.shape[1], generator=run.generator, device=device)
        some = order[: settings.perceptual_frames]
        return losses.perceptual_loss(vgg, real[:, some], fake[:, some])

    return compare


# %%
def train_step(parts: tuple, number: int, method: dict) -> dict[str, Tensor]:
    """One training step: generate the windows of this step and update all networks."""
    run, model, D_I, D_V, carried, ema, opt_g, opt_i, opt_v = parts
    real, features, mine, restart = read_windows(run, number, method["readers"])
    if restart or not method["carry"]:
        carried.reset()
    with run.autocast():
        fake, states = model(features, tuple(s[mine] for s in carried.states))
    carried.store(run.accelerator.gather(tuple(s.detach() for s in states)))
    # under bfloat16 the penalty mixes fake with real, which is float32
    fake, critics = fake.float(), (D_I, D_V)
    t = torch.randint(settings.window, (len(real),))
    log = update_critics(run, critics, (opt_i, opt_v), real, fake, t)
    compare = make_comparison(run, method["reconstruction"])
    log |= update_model(
        run, opt_g, critics, compare, real, fake, t, method["patches"], method["share"]
    )
    ema.update_parameters(model)
    if (number + 1) % settings.log_every == 0:
        log |= measure_gaps(critics, real, fake.detach(), t)
    return log


# %%
def train_network(
    name: str, config: ModelConfig, changes: dict, steps: int, early: int = 0
) -> training.Run:
    """Train one network; save its EMA at the end, and a copy after `early` steps."""
    method = METHOD | changes
    parts = start_run(name, config, method)
    run, ema = parts[0], parts[5]
    for step in run.steps(steps, save_every=settings.sample_every):
        run.log(**train_step(parts, step.number, method))
        if step.number + 1 == early:
            save_network(f"{name}_early", ema.module, config)
        if step.is_due(settings.sample_every):
            log_samples(run, ema.module)
    run.require_finished()
    save_network(name, ema.module, config)
    return run


# %%
def save_network(name: str, model: SoundToVideo, config: ModelConfig) -> None:
    """Save a model together with the arguments that build it."""
    arguments = {"config": asdict(config), "size": size, "base": settings.base}
    training.save_model(models / f"{name}.safetensors", model, **arguments)


# %% [markdown]
# ## Does it follow the sound yet?
#
# During training a part of the *test* video is generated twice: with its own sound, and
# with the sound of another moment (the control of step 1). When the two errors
# separate, the frames follow the sound. (No model is selected by these curves. The last
# weights are saved, whatever the curves show.) The **PSNR**, which the paper gives in
# dB, is the mean square error of all pixels on a logarithmic scale.


# %%
def log_samples(run: training.Run, model: SoundToVideo) -> None:
    """Log the errors on test frames with both sounds, and save sample frames."""
    count = min(SAMPLE_FRAMES, len(test))
    real, features = test.frames[:count], test.features[:count]
    with torch.random.fork_rng():  # sampling must not change the training's draws
        torch.manual_seed(lesson.seed)
        own, other = (
            generate_video(model, sound, seed=lesson.seed)
            for sound in (features, shift_in_time(features))
        )
    error = F.mse_loss(own.float() / 255, real.float() / 255)
    run.log(
        own_sound=masked_rmse(moving, own, real).mean(),
        other_sound=masked_rmse(moving, other, real).mean(),
        psnr=-10 * error.log10(),
    )
    shown = torch.linspace(0, count - 1, 8).long()
    strips = torch.cat([frames[shown] for frames in (real, own, other)])
    strips = strips.permute(0, 3, 1, 2).cpu()
    run.log_sample(strips, "real_own_other", columns=len(shown))  # one row a strip


# %% [markdown]
# ## Train

# %%
if settings.steps < settings.steps_others:
    raise course.LessonError(
        "steps",
        f"{settings.steps} is less than steps_others, {settings.steps_others}",
        "Give the full model at least as many steps, so that all can be compared",
    )
runs = {
    "full_model": train_network(
        "full_model", FULL, {}, settings.steps, early=settings.steps_others
    )
}
for name, (config, changes) in others.items():
    runs[name] = train_network(name, config, changes, settings.steps_others)
TITLES = {f"table1_row{n}": k for n, k in enumerate(ablation_configs(), start=1)}
TITLES |= {"full_model": "All + DirConvGRU", "released": "trained as released"}
TITLES |= {"l1": "L1 for perceptual", "skip": "skip generator"}
TITLES |= {"reset": "states reset"}

# %%
for name, run in runs.items():
    readers = run.settings["readers"]
    at, errors = run.read_log("own_sound")
    lesson.record_training(
        TITLES[name],
        epochs=run.steps_done * readers * settings.window / len(train),
        steps=run.steps_done,
        held_out=list(zip(at, errors, strict=True)),
        training=run.average_log("reconstruction", at),
        better="lower",
        unit="RMSE of moving test pixels [grey levels]",
        training_unit="reconstruction loss",
    )
lesson.record(
    "steps",
    {"full model": settings.steps, "other networks": settings.steps_others},
)
lesson.record("trained", {TITLES[name]: name for name in runs})

# %% [markdown]
# ## The error with the right and with the wrong sound

# %% tags=["listening"]
sample = test.frames[:SAMPLE_FRAMES]
still = average_frames(train.frames).expand_as(sample)
still_error = masked_rmse(moving, still, sample).mean().item()
names = {"own_sound": "its own sound", "other_sound": "another moment's sound"}
curves = {label: runs["full_model"].read_log(key) for key, label in names.items()}
lines = {"mean training frame": still_error}
figure = show.curves(curves, y="RMSE [grey levels]", lines=lines)
lesson.figure("listening", figure, "Error of the moving pixels on test frames.")
lesson.record(
    "listening",
    [{"step": x} | {k: curves[v][1][i] for k, v in names.items()}
     for i, x in enumerate(curves["its own sound"][0])],
)  # fmt: skip
own, other = (
    values[-max(len(values) // 4, 1) :].mean() for _, values in curves.values()
)
print(
    f"last quarter: own sound {own:.1f}, another's {other:.1f}, still {still_error:.1f}"
)

# %% [markdown]
# The dashed line is the mean of all training frames. It ignores the sound, and early in
# training it is hard to beat. A moving picture has a smaller error than a still one
# only when the motion is right.
#
# ## Whose gradient does the generator follow?
#
# The norms of the three terms' gradients at the generated frames, in each step (step
# 5). R and G follow the sum.

# %% tags=["gradients"]
TERMS = {"reconstruction": "reconstruction × α", "D_I": "image critic"}
TERMS |= {"D_V": "video critic"}
pulls = []
for name in [n for n in ("full_model", "released") if n in runs]:
    curves = {label: runs[name].read_log(f"grad_{key}") for key, label in TERMS.items()}
    figure = show.curves(
        curves,
        y="norm of the gradient",
        logarithmic=True,
        smooth=20,
        title=TITLES[name],
    )
    lesson.figure(
        f"gradients_{name}", figure, f"Gradients of the terms: {TITLES[name]}."
    )
    norms = {
        label: float(y[-max(len(y) // 4, 1) :].mean())
        for label, (_, y) in curves.items()
    }
    shares = {f"{k} [%]": 100 * v / sum(norms.values()) for k, v in norms.items()}
    pulls.append({"network": TITLES[name]} | norms | shares)
lesson.record("gradients", pulls)
display(show.table(pulls, "means over the last quarter of the training"))

# %% [markdown]
# By the released code's balance the critics are hardly heard: the penalty holds the
# slope of the *sum* over an item's patches near 1, and R and G get their *mean*. With
# the sum for the sum each critic's gradient is as many times larger as there are
# patches. `share` sets the weight by the norms instead.

# %%
terms = {"video critic": "loss_v", "image critic": "loss_i"}
terms |= {"reconstruction": "reconstruction"}
curves = {title: runs["full_model"].read_log(name) for title, name in terms.items()}
figure = show.curves(curves, smooth=50)
lesson.figure("losses", figure, "The losses of both critics, and the reconstruction.")

# %% [markdown]
# The losses of the critics start with the penalty: ten times the squared distance of
# their slope from 1. A loss near 0 is not a success. It only means slope 1 and no gap.
# The next figure shows the gaps:

# %% tags=["gaps"]
curves = {
    f"{what}, {TITLES[name]}": runs[name].read_log(f"gap_{what}")
    for name in ("full_model", "released") if name in runs
    for what in ("video", "image")
}  # fmt: skip
lines = {"cannot tell them apart": 0}
figure = show.curves(curves, y="gap / distance", lines=lines, smooth=5)
lesson.figure("gaps", figure, "How much higher the critics score real inputs.")
rows = [{"critic": name, "gap, last tenth": y[-max(len(y) // 10, 1) :].mean()}
        for name, (_, y) in curves.items()]  # fmt: skip
lesson.record("gaps", rows)
display(show.table(rows))


# %% [markdown]
# Batch norm with a batch of one brings each map to mean 0 and standard deviation 1
# within the picture, real or generated. The score is a sum over the picture, so most of
# what could tell the two apart is removed before it is added up (step 5 showed this
# with a darker picture).
#
# ## The networks beside each other
#
# All rows are after equally many steps, but the full model also has a row of its own.
# "Follows the sound" is the error with another moment's sound minus that with the right
# one. A table of few steps shows what learns *faster*, not what is better in the end.


# %% tags=["methods"]
def describe_network(name: str, steps: int) -> dict:
    """What was logged of a network after that many steps, for the table."""
    row = {"network": TITLES[name], "steps": steps}
    found = {key: runs[name].read_log(key) for key in (*names, "psnr")}
    at = [
        np.searchsorted(steps_of, steps, "right") - 1 for steps_of, _ in found.values()
    ]
    own, other, psnr = (
        y[max(i, 0)] for i, (_, y) in zip(at, found.values(), strict=True)
    )
    row |= {"RMSE of moving pixels": own, "follows the sound": other - own}
    return row | {"PSNR [dB]": psnr}


rows = [describe_network(name, settings.steps_others) for name in runs]
if settings.steps > settings.steps_others:
    rows.append(describe_network("full_model", settings.steps))
lesson.record("networks", rows)
display(show.table(rows))

# %% [markdown]
# The paper saw "about 5 dB better accuracy, about 2.5 times faster convergence" with
# the perceptual loss than with $L_1$ alone. If `l1` was trained, this is the same
# comparison here: how much higher the PSNR ends, and after which part of the steps the
# perceptual loss reached the best PSNR of $L_1$.

# %% tags=["perceptual-or-l1"]
if "l1" in runs:
    curves = {TITLES[k]: runs[k].read_log("psnr") for k in ("full_model", "l1")}
    figure = show.curves(curves, y="PSNR of test frames [dB]")
    lesson.figure("l1", figure, "The perceptual loss, and L1 in its place.")
    (steps_p, perceptual), (_, pixels) = curves.values()
    reached = np.flatnonzero(perceptual >= pixels.max())
    when = f"after {steps_p[reached[0]]:.0f} steps" if len(reached) else "not reached"
    gain = perceptual[: len(pixels)][-1] - pixels[-1]
    lesson.record("l1", {"gain [dB]": float(gain), "reached": when})
    print(f"perceptual minus L1: {gain:+.2f} dB; the best of L1: {when}")


# %% [markdown]
# ## Look at the frames
#
# Each column is one moment of the test part. The first column is the first frame of the
# video. Nothing was generated before it, so the prediction layer has no past to use.


# %% tags=["frames"]
def pick_moments(frames: Tensor, count: int = 10) -> Tensor:
    """Evenly spaced frames among the first 160."""
    first = frames[:160].cpu()  # a slice: frames that stay in their file have no other
    return first[torch.linspace(0, len(first) - 1, count).long()]


def generate_frames(name: str) -> Tensor:
    """The same frames, generated by a saved network from the test sound."""
    path = models / f"{name}.safetensors"
    model = training.load_model(path, SoundToVideo).to(device)
    torch.manual_seed(lesson.seed)
    return pick_moments(generate_video(model, test.features[:160], seed=lesson.seed))


shown = {"real": pick_moments(test.frames)}
shown[f"{settings.steps} steps"] = generate_frames("full_model")
if others:
    shown[f"{settings.steps_others} steps"] = generate_frames("full_model_early")
figure = show.image_grid(list(shown.values()), rows=list(shown))
lesson.figure("frames", figure, "Test moments: real frames and generated ones.")

# %% tags=["figure6"]
if others:
    strips = {"real": shown["real"]}
    strips |= {TITLES[name]: generate_frames(name) for name in others}
    figure = show.image_grid(list(strips.values()), rows=list(strips))
    caption = f"The other networks after {settings.steps_others} steps."
    lesson.figure("rows", figure, caption)

# %% [markdown]
# ## What came out

# %% tags=["summary"]
used = rows[-1]["follows the sound"]
print(f"After {settings.steps} steps another moment's sound changes the full model's")
print(f"error on test frames by {used:+.1f} grey levels: so it ", end="")
print("follows the sound." if used > 0 else "does not follow the sound.")
against = f"{own:.1f} against {still_error:.1f} grey levels"
if own < still_error:
    print(f"Its error is below that of the still picture ({against}).")
else:
    print(f"Its error is not below that of the still picture ({against}):")
    print("the motion is not precise enough yet.")
for row in pulls:
    strong = max(TERMS.values(), key=row.get)
    print(f"{row['network']}: R and G follow most the {strong}, whose gradient has")
    print(f"{row[f'{strong} [%]']:.0f} % of the norms.")

# %% [markdown]
# The trained networks are in `models/`, with the module for their sound features.
#
# ## Exercises
#
# 1. Write one update of a critic.
# 2. Read the curves of a run: does it follow the sound, and is it good?

# %% tags=["active-ipynb"]
# from avnb_notebooks.listen_and_move import exercises
#
#
# def update_critic(critic, optimizer, real, fake):
#     """One update of a WGAN-GP critic with λ = 10; return the loss as a number.
#
#     real and fake are items (N, …) of equal shape. fake comes from a generator that
#     must not get a gradient. Use losses.critic_loss and losses.gradient_penalty.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.UPDATE_CRITIC, update_critic)

# %% tags=["active-ipynb"]
# def diagnose_run(own, other, still):
#     """One of the three sentences below, of the errors (N,) through a training.
#
#     own, other: with the right and a wrong sound; still: of the mean training frame.
#     "ignores the sound", "follows the sound" or "beats the still picture".
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.DIAGNOSE_RUN, diagnose_run)

# %%
lesson.finish()
