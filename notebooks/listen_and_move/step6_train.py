# %% [markdown]
# # Step 6 · Train: the model and its two critics
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/listen_and_move/step6_train.ipynb)
#
# All parts are ready: the video (step 1), R (step 2), G (step 3) with its prediction
# layer (step 4), the critics and the losses (step 5). This notebook trains them, one
# window of the video after another. It trains seven networks:
#
# | network | steps |
# |---|---|
# | the full model, "All + DirConvGRU" | `steps` |
# | the other five networks of Table 1 | `steps_others` |
# | the full model with another norm in the critics | `steps_others` |
#
# A copy of the full model is also saved after `steps_others` steps, so that step 7 can
# compare networks that were trained for equally long.
#
# **You will learn** how the two updates of a WGAN-GP step are written, what two time
# scales (TTUR) and an exponential moving average (EMA) of the weights are for, how the
# state is carried from window to window, and how to see whether a critic has learned
# anything.
#
# **Time:** the whole series takes about 19 minutes at scale `laptop` on two cores, and
# this is its longest notebook. **You should know:** steps 1 to 5.

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
from avnb_notebooks.listen_and_move.step2_motion import select_window
from avnb_notebooks.listen_and_move.step3_generator import (
    CarriedState,
    ModelConfig,
    SoundToVideo,
    ablation_configs,
    init_weights,
)
from avnb_notebooks.listen_and_move.step4_prediction import generate_video
from IPython.display import display
from torch import Tensor

# %%
from avnb_notebooks.listen_and_move.step5_critics import (
    image_critic_loss,
    make_image_critic,
    make_video_critic,
    sound_to_video_loss,
    video_critic_loss,
)

from avnb import course, losses, training
from avnb.pretrained import weights
from avnb.viz import show

# %% tags=["parameters"]
SCALE = "laptop"
DATA = ""
SEED = 0
RUN_DIR = ""
OVERRIDES = {}

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
settings = lesson.settings(
    dict(
        #             smoke laptop    gpu  paper
        window=(8, 16, 32, 32),  # T, frames
        base=(16, 128, 512, 1024),  # width of the generator
        base_critics=(16, 64, 512, 1024),  # width of the critics
        steps=(4, 1500, 20000, 50000),  # the paper's, at 128×128
        steps_others=(2, 200, 20000, 50000),  # of the other networks
        norm=("batch", "batch", "batch", "batch"),  # in the critics
        other_norm=("layer", "layer", "layer", "layer"),  # the alternative
        lr=(1e-3, 1e-3, 1e-4, 1e-4),  # learning rate of R and G
        lr_critics=(4e-4, 4e-4, 4e-4, 4e-4),  # of the critics
        perceptual_frames=(2, 4, 32, 32),  # of a window, for the perceptual loss
        recompute=(4, 0, 0, 4),  # frames computed again in the backward pass, or 0
        ema_decay=(0.5, 0.99, 0.999, 0.999),
        gap_every=(1, 10, 50, 100),  # steps between two measurements of the gaps
        sample_every=(2, 100, 500, 1000),  # steps between two test videos
        sample_frames=(16, 320, 320, 320),  # length of a test video
        precision=("float32", "float32", "auto", "auto"),
        weights=("random", "published", "published", "published"),  # of VGG16
    ),
)
settings

# %%
display(course.show_source(SoundToVideo, image_critic_loss, video_critic_loss))
display(course.show_source(sound_to_video_loss, losses.perceptual_loss, select_window))

# %% [markdown]
# ## Load the data
#
# The training part is what the networks learn from. The test part is only used to look
# at the progress. The module that computes the features is saved beside the networks,
# because any other sound must be measured with the same reference level.

# %%
device = training.get_device()
train, test = (
    load_performer_video(lesson.data, split, device) for split in ("train", "test")
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
print(f"{len(train)} training and {len(test)} test frames of {size}×{size}")


# %% [markdown]
# ## Set up a run
#
# The critics and the model have different learning rates: 4·10⁻⁴ and 10⁻⁴, in Adam with
# $\beta = (0.3, 0.999)$. This is the **two time-scale update rule** (TTUR, Heusel et
# al. 2017). A critic that learns faster stays close to its best answer to the current
# generator, and its gradient is then a useful one. At `laptop` there are far fewer
# steps than in the paper, so R and G have a larger learning rate.
#
# **EMA** is the exponential moving average of the model's weights over the last steps.
# Samples use the EMA weights, because the raw weights change from step to step.
#
# `recompute` saves memory at the cost of time. At 256×256 and the paper's width it
# halves the memory of a step (see step 4; `benchmarks/listen_and_move.py` has the
# arithmetic).


# %%
def start_run(name: str, config: ModelConfig, norm: str) -> tuple:
    """The run of one network: networks, carried state, EMA and optimizers."""
    training.seed_everything(lesson.seed)
    model = SoundToVideo(config, size, base=settings.base).apply(init_weights)
    model.generator.prediction.recompute = settings.recompute  # unused without one
    D_I = make_image_critic(size, settings.base_critics, norm).apply(init_weights)
    D_V = make_video_critic(size, settings.base_critics, norm).apply(init_weights)
    run = training.Run(
        lesson.run_dir / name,
        seed=lesson.seed,
        precision=settings.precision,
        settings=settings.as_dict() | asdict(config) | {"norm": norm},
    )
    rates = {"opt_g": (model, settings.lr), "opt_i": (D_I, settings.lr_critics)}
    rates |= {"opt_v": (D_V, settings.lr_critics)}
    return run, *run.prepare(
        model=model,
        D_I=D_I,
        D_V=D_V,
        carried=CarriedState(model),
        ema=training.EMA(model, settings.ema_decay),
        **{
            k: torch.optim.Adam(p.parameters(), r, BETAS) for k, (p, r) in rates.items()
        },
    )


# %% [markdown]
# ## One step
#
# The critics are updated first. They get the generated window without its graph
# (`detach`), so no gradient reaches R and G. Then R and G are updated with the scores
# of both critics and the perceptual loss. The window is generated only once, but the
# updated critics score it again.


# %%
def update_critics(
    run: training.Run, critics: tuple, real: Tensor, fake: Tensor, t: int
) -> dict[str, Tensor]:
    """One update of D_V on the whole window and of D_I on its frame t."""
    D_I, D_V, opt_i, opt_v = critics
    with run.autocast():
        loss_v = video_critic_loss(D_V, real[None], fake[None])
    run.step(opt_v, loss_v)
    with run.autocast():
        loss_i = image_critic_loss(D_I, real[t : t + 1], fake[t : t + 1])
    run.step(opt_i, loss_i)
    return {"loss_v": loss_v, "loss_i": loss_i}


# %%
def update_model(
    run: training.Run, critics: tuple, opt_g, real: Tensor, fake: Tensor, t: int
) -> dict[str, Tensor]:
    """One update of R and G. The perceptual loss uses a random subset of the frames."""
    D_I, D_V = critics[:2]
    subset = torch.randperm(len(fake), generator=run.generator, device=device)
    subset = subset[: settings.perceptual_frames]
    with run.autocast():
        perceptual = losses.perceptual_loss(vgg, real[subset], fake[subset])
        # D_V takes (1, 3, T, N, N)
        by_image, by_video = D_I(fake[t : t + 1]), D_V(fake[None].transpose(1, 2))
        loss = sound_to_video_loss(by_image, by_video, perceptual)
    run.step(opt_g, loss)
    return {"perceptual": perceptual, "D_I": by_image.mean(), "D_V": by_video.mean()}


# %% [markdown]
# What has a critic learned? Its loss does not tell, because it is mostly penalty. The
# **gap** between its scores for real and generated inputs does: a critic that cannot
# tell them apart has a gap of zero. With a slope of 1 everywhere, the gap can be as
# large as the distance of the two inputs. We therefore divide it by that distance.


# %%
@torch.no_grad()
def measure_gaps(
    D_I: torch.nn.Module, D_V: torch.nn.Module, real: Tensor, fake: Tensor, t: int
) -> dict[str, Tensor]:
    """How much higher each critic scores the real input, divided by the distance.

    The scores of all patches are added, because the penalty bounds the slope of their
    sum.
    """
    pairs = {"gap_image": (D_I, real[t : t + 1], fake[t : t + 1])}
    pairs["gap_video"] = (D_V, *(x[None].transpose(1, 2) for x in (real, fake)))
    return {
        name: (critic(yes).sum() - critic(no).sum()) / (yes - no).norm()
        for name, (critic, yes, no) in pairs.items()
    }


# %% [markdown]
# ## The loop
#
# The windows come in their order. The states are passed from one window to the next
# without gradients, and are reset when the video starts again.


# %%
def train_step(parts: tuple, number: int) -> dict[str, Tensor]:
    """One training step: generate the window of this step and update all networks."""
    run, model, D_I, D_V, carried, ema, opt_g, opt_i, opt_v = parts
    critics = (D_I, D_V, opt_i, opt_v)
    window, restart = select_window(number, len(train), settings.window, lesson.seed)
    real, features = train.window(window.start, settings.window)
    if restart:
        carried.reset()
    with run.autocast():
        fake, states = model(features, carried.states)
    carried.store(states)
    # under bfloat16 the penalty mixes fake with real, which is float32
    t, fake = int(torch.randint(len(fake), ())), fake.float()
    log = update_critics(run, critics, real, fake.detach(), t)
    log |= update_model(run, critics, opt_g, real, fake, t)
    ema.update_parameters(model)
    if (number + 1) % settings.gap_every == 0:
        log |= measure_gaps(D_I, D_V, real, fake.detach(), t)
    return log


# %%
def train_network(
    name: str, config: ModelConfig, norm: str, steps: int, early: int = 0
) -> training.Run:
    """Train one network; save its EMA at the end, and a copy after `early` steps."""
    parts = start_run(name, config, norm)
    run, ema = parts[0], parts[5]
    for step in run.steps(steps, save_every=settings.sample_every):
        run.log(**train_step(parts, step.number))
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
# weights are saved, whatever the curves show.)


# %%
def log_samples(run: training.Run, model: SoundToVideo) -> None:
    """Log the error of the moving pixels with both sounds, and save sample frames."""
    count = min(settings.sample_frames, len(test))
    real, features = test.frames[:count], test.features[:count]
    with torch.random.fork_rng():  # sampling must not change the training's draws
        torch.manual_seed(lesson.seed)
        own, other = (
            generate_video(model, sound, seed=lesson.seed)
            for sound in (features, shift_in_time(features))
        )
    run.log(
        own_sound=masked_rmse(moving, own, real).mean(),
        other_sound=masked_rmse(moving, other, real).mean(),
    )
    shown = torch.linspace(0, count - 1, 8).long()
    strips = torch.cat([frames[shown] for frames in (real, own, other)])
    strips = strips.permute(0, 3, 1, 2).cpu()
    run.log_sample(strips, "real_own_other", columns=len(shown))  # one row a strip


# %% [markdown]
# ## Train
#
# First the full model. Then the other networks of Table 1, and the full model once
# more, with another norm in the critics (step 5: batch norm does not fit into WGAN-GP).

# %%
if settings.steps < settings.steps_others:
    raise course.LessonError(
        "steps",
        f"{settings.steps} is less than steps_others, {settings.steps_others}",
        "Give the full model at least as many steps, so that all can be compared",
    )
full = (ModelConfig(), settings.norm, settings.steps)
runs = {"full_model": train_network("full_model", *full, early=settings.steps_others)}

# %%
for row, config in enumerate(ablation_configs().values(), start=1):
    if config != ModelConfig():  # the full model's early copy is its row
        name = f"table1_row{row}"
        runs[name] = train_network(name, config, settings.norm, settings.steps_others)
runs["other_norm"] = train_network(
    "other_norm", ModelConfig(), settings.other_norm, settings.steps_others
)
lesson.record(
    "steps",
    {
        "full model": runs["full_model"].steps_done,
        "other networks": runs["other_norm"].steps_done,
    },
)


# %% [markdown]
# ## The error with the right and with the wrong sound


# %% tags=["listening"]
def read_log(run: training.Run, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values that were logged under a name."""
    values = run.history.get(name, np.empty(0))
    known = np.isfinite(values)  # most steps do not log every value
    return run.history["step"][known] + 1, values[known]


sample = test.frames[: settings.sample_frames]
still = average_frames(train.frames).expand_as(sample)
lines = {"mean training frame": masked_rmse(moving, still, sample).mean().item()}
names = {"own_sound": "its own sound", "other_sound": "another moment's sound"}
curves = {label: read_log(runs["full_model"], key) for key, label in names.items()}
figure = show.curves(curves, y="RMSE [grey levels]", lines=lines)
lesson.figure("listening", figure, "Error of the moving pixels on test frames.")
lesson.record(
    "listening",
    [{"step": x} | {k: curves[v][1][i] for k, v in names.items()}
     for i, x in enumerate(curves["its own sound"][0])],
)  # fmt: skip

# %% [markdown]
# The dashed line is the mean of all training frames. It ignores the sound, and early in
# training it is hard to beat. A moving picture has a smaller error than a still one
# only when the motion is right.

# %%
terms = ("loss_v", "loss_i", "perceptual")
curves = {name: read_log(runs["full_model"], name) for name in terms}
figure = show.curves(curves, smooth=50)
lesson.figure("losses", figure, "The losses of both critics, and the perceptual loss.")

# %% [markdown]
# The losses of the critics start with the penalty: ten times the squared distance of
# their slope from 1. A loss near 0 is not a success. It only means slope 1 and no gap.
# The next figure shows the gaps, with the norm of the paper and with the other norm:

# %% tags=["gaps"]
curves = {
    f"{what}, {norm} norm": read_log(runs[name], f"gap_{what}")
    for name, norm in (
        ("full_model", settings.norm),
        ("other_norm", settings.other_norm),
    )
    for what in ("video", "image")
}
lines = {"cannot tell them apart": 0}
figure = show.curves(curves, y="gap / distance", lines=lines, smooth=5)
lesson.figure("gaps", figure, "How much higher the critics score real inputs.")
rows = [{"critic": name, "gap, last tenth": y[-max(len(y) // 10, 1) :].mean()}
        for name, (_, y) in curves.items()]  # fmt: skip
lesson.record("gaps", rows)
display(show.table(rows))


# %% [markdown]
# If the gap with batch norm is small beside the other one, this is the reason: with a
# batch of one, batch norm brings each map to mean 0 and standard deviation 1 within the
# picture, real or generated. The score is a sum over the picture, so most of what could
# tell the two apart is removed before it is added up (step 5 showed this with a darker
# picture). Does the model profit from better critics? Step 7 compares both models after
# equally many steps.
#
# ## Look at the frames
#
# Each column is one moment of the test part. The first column is the first frame of the
# video. Nothing was generated before it, so the prediction layer has no past to use.


# %% tags=["frames"]
def pick_frames(frames: Tensor, count: int = 10) -> Tensor:
    """Evenly spaced frames among the first 160."""
    at = torch.linspace(0, min(len(frames), 160) - 1, count).long()
    return frames[at].cpu()


def generate_frames(name: str) -> Tensor:
    """The same frames, generated by a saved network from the test sound."""
    path = models / f"{name}.safetensors"
    model = training.load_model(path, SoundToVideo).to(device)
    torch.manual_seed(lesson.seed)
    return pick_frames(generate_video(model, test.features[:160], seed=lesson.seed))


shown = {"real": pick_frames(test.frames)}
shown[f"{settings.steps} steps"] = generate_frames("full_model")
shown[f"early: {settings.steps_others} steps"] = generate_frames("full_model_early")
shown["early, other norm"] = generate_frames("other_norm")
figure = show.image_grid(list(shown.values()), rows=list(shown))
lesson.figure("frames", figure, "Test moments: real frames and generated ones.")

# %% tags=["figure6"]
rows = list(ablation_configs())
saved = [n if n in runs else "full_model_early" for n in
         (f"table1_row{i}" for i in range(1, len(rows) + 1))]  # fmt: skip
figure = show.image_grid(
    [shown["real"], *map(generate_frames, saved)], rows=["real", *rows]
)
lesson.figure(
    "rows", figure, f"The networks of Table 1 after {settings.steps_others} steps."
)

# %% [markdown]
# ## What came out
#
# - Seven trained networks, saved in `models/`, and the module for their sound features.
# - The curves of the two sounds answer the main question of the series. If the error
#   with the right sound falls below the error with the wrong one, the frames follow the
#   sound.
# - The gaps show how much the critics contribute with each norm.
# - At `laptop` the other networks train for 200 steps only. Their frames show which
#   network learns *faster*, and not which one is better in the end. Step 7 has numbers.
#
# ## Exercises
#
# 1. One frame comes out wrong. The sound of how many earlier frames gets a gradient?
# 2. Samples use the EMA weights. Write the EMA.

# %% tags=["active-ipynb"]
# from avnb_notebooks.listen_and_move import exercises
#
#
# def count_gradient_frames(t, start, length):
#     """How many earlier frames' sounds get a gradient from the error of frame t.
#
#     Windows of `length` frames begin at `start`. The carried state is detached.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.COUNT_GRADIENT_FRAMES, count_gradient_frames)

# %% tags=["active-ipynb"]
# def update_ema(weights, decay):
#     """The EMA after all these values (N,) of one weight. It starts as the first.
#
#     Update n, from 0, keeps min(decay, (1 + n) / (10 + n)) of the old average.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.UPDATE_EMA, update_ema)

# %%
lesson.finish()
