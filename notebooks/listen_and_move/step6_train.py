# %% [markdown]
# # Step 6 · Train: two critics, one animator, a film that goes on
#
# Everything is ready: the performer (step 1), R (step 2), G (step 3) with its
# prediction (step 4), the critics and their losses (step 5). Here they train, one
# window of the film after another:
#
# | network | trained for |
# |---|---|
# | the whole model, "All + DirConvGRU" | all steps |
# | the other five rows of Table 1 | `steps_others` |
# | the whole model, critics with another norm | `steps_others` |
#
# Of the whole model a copy is kept after `steps_others` steps, so that step 7 compares
# networks that have learned equally long.

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
from dataclasses import asdict

import numpy as np
import torch
from avnb_notebooks.listen_and_move.step1_data import (
    Hearing,
    check_film,
    error_where,
    load_performer,
    mean_frame,
    moving,
    other_moment,
)
from avnb_notebooks.listen_and_move.step2_motion import window_at
from avnb_notebooks.listen_and_move.step3_generator import (
    Animator,
    Carried,
    Design,
    ablation,
    start_weights,
)
from avnb_notebooks.listen_and_move.step4_prediction import film
from avnb_notebooks.listen_and_move.step5_critics import (
    animator_loss,
    image_critic,
    image_critic_loss,
    video_critic,
    video_critic_loss,
)
from IPython.display import display
from torch import Tensor

# %%
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
        base=(16, 128, 512, 1024),  # channels of the animator
        base_d=(16, 64, 512, 1024),  # of the critics
        steps=(4, 1500, 20000, 50000),  # the paper's, at 128×128
        steps_others=(2, 200, 20000, 50000),  # of the other networks
        norm=("batch", "batch", "batch", "batch"),  # in the critics
        other_norm=("layer", "layer", "layer", "layer"),  # the alternative
        rate=(1e-3, 1e-3, 1e-4, 1e-4),  # of the animator
        rate_d=(4e-4, 4e-4, 4e-4, 4e-4),  # of the critics
        seen=(2, 4, 32, 32),  # frames of a window that the perceptual term sees
        recompute=(4, 0, 0, 4),  # frames made again on the way back, or 0
        average=(0.5, 0.99, 0.999, 0.999),  # decay of the animator's average
        look=(1, 10, 50, 100),  # steps between two looks at the critics
        watch=(2, 100, 500, 1000),  # and at the film
        watched=(16, 320, 320, 320),  # frames of the unheard part that are looked at
        precision=("float32", "float32", "auto", "auto"),
        weights=("random", "published", "published", "published"),  # of VGG16
    ),
)
settings

# %%
display(course.show_source(Animator, image_critic_loss, video_critic_loss))
display(course.show_source(animator_loss, losses.perceptual_loss, window_at))

# %% [markdown]
# ## What is learned from
#
# The training part of the film, and the unheard part to look at meanwhile. The hearing
# is kept beside the networks: a sound of yours is to be measured as the film's was.

# %%
device = training.get_device()
train, test = (
    load_performer(lesson.data, split, device) for split in ("train", "test")
)
for part in (train, test):
    check_film(part, settings.window)
size, level = train.frames.shape[1], train.hearing.level
models = lesson.run_dir / "models"
hears = {"sample_rate": train.film.sample_rate, "fps": train.film.fps, "level": level}
training.save_model(models / "hearing.safetensors", Hearing(**hears), **hears)
vgg = weights.load_network("vgg16", published=settings.weights == "published")
vgg = vgg.to(device).first(2)
where = moving(train.frames)
BETAS = (0.3, 0.999)  # of Adam
print(f"{len(train)} frames of {size}×{size} to learn from, {len(test)} unheard ones")


# %% [markdown]
# ## The players
#
# Rates apart (TTUR): the critics' is 4·10⁻⁴, the animator's 10⁻⁴, in Adam with
# $\beta = (0.3, 0.999)$. At `laptop` there are far fewer steps than the paper's, so
# the animator takes larger ones. `average` is a mean of the animator's weights over the
# last steps: it is what paints the films, since the weights themselves tremble. And
# `recompute` trades time for memory: at 256×256 and the paper's width a step needs half
# the memory (step 4; `benchmarks/listen_and_move.py` has the arithmetic).


# %%
def begin(name: str, design: Design, norm: str) -> tuple:
    """The run of a network, the players, what is carried over, and the optimisers."""
    training.seed_everything(lesson.seed)
    animator = Animator(design, size, base=settings.base).apply(start_weights)
    animator.generator.prediction.recompute = settings.recompute  # if there is one
    D_I = image_critic(size, settings.base_d, norm).apply(start_weights)
    D_V = video_critic(size, settings.base_d, norm).apply(start_weights)
    run = training.Run(
        lesson.run_dir / name,
        seed=lesson.seed,
        precision=settings.precision,
        settings=settings.as_dict() | asdict(design) | {"norm": norm},
    )
    rates = {"opt_a": (animator, settings.rate), "opt_i": (D_I, settings.rate_d)}
    rates |= {"opt_v": (D_V, settings.rate_d)}
    return run, *run.prepare(
        animator=animator,
        D_I=D_I,
        D_V=D_V,
        carried=Carried(animator),
        average=training.EMA(animator, settings.average),
        **{
            k: torch.optim.Adam(p.parameters(), r, BETAS) for k, (p, r) in rates.items()
        },
    )


# %% [markdown]
# ## One step
#
# The critics first: they see what was made as it is, and no gradient goes back through
# it. Then the animator, by both critics and by what VGG16 sees. The window was made
# once; the critics have moved on since, so they score it anew.


# %%
def lower_critics(
    run: training.Run, critics: tuple, real: Tensor, made: Tensor, t: int
) -> dict[str, Tensor]:
    """A step of D_V on the whole window and of D_I on its frame t; their losses."""
    D_I, D_V, opt_i, opt_v = critics
    with run.autocast():
        loss_v = video_critic_loss(D_V, real[None], made[None])
    run.step(opt_v, loss_v)
    with run.autocast():
        loss_i = image_critic_loss(D_I, real[t : t + 1], made[t : t + 1])
    run.step(opt_i, loss_i)
    return {"loss_v": loss_v, "loss_i": loss_i}


# %%
def lower_animator(
    run: training.Run, critics: tuple, opt_a, real: Tensor, made: Tensor, t: int
) -> dict[str, Tensor]:
    """A step of R and G; α's term is of `seen` frames of the window, drawn anew."""
    D_I, D_V = critics[:2]
    seen = torch.randperm(len(made), generator=run.generator, device=device)
    seen = seen[: settings.seen]
    with run.autocast():
        difference = losses.perceptual_loss(vgg, real[seen], made[seen])
        by_picture, by_film = D_I(made[t : t + 1]), D_V(made[None].transpose(1, 2))
        loss = animator_loss(by_picture, by_film, difference)
    run.step(opt_a, loss)
    return {"perceptual": difference, "D_I": by_picture.mean(), "D_V": by_film.mean()}


# %% [markdown]
# What does a critic know? The **gap** between the scores of real and made says it: a
# critic that cannot tell them apart has none, however low its loss. With slope 1 all
# the way, the scores could differ by as much as the two differ in their pixels; so the
# gap is given as a share of that.


# %%
@torch.no_grad()
def gaps(
    D_I: torch.nn.Module, D_V: torch.nn.Module, real: Tensor, made: Tensor, t: int
) -> dict[str, Tensor]:
    """How much higher each critic scores what is real, as a share of their distance.

    Scores are summed over patches: it is the sum whose slope the penalty holds at 1.
    """
    pairs = {"gap_picture": (D_I, real[t : t + 1], made[t : t + 1])}
    pairs["gap_film"] = (D_V, *(x[None].transpose(1, 2) for x in (real, made)))
    return {
        name: (critic(true).sum() - critic(false).sum()) / (true - false).norm()
        for name, (critic, true, false) in pairs.items()
    }


# %% [markdown]
# ## The loop
#
# Windows come in their order, and the states go on from one to the next, cut off from
# their gradients. Where the film begins again, so do they.


# %%
def one_step(players: tuple, number: int) -> dict[str, Tensor]:
    """The window of this step: made, carried on, and learned from by all players."""
    run, animator, D_I, D_V, carried, average, opt_a, opt_i, opt_v = players
    critics = (D_I, D_V, opt_i, opt_v)
    part, fresh = window_at(number, len(train), settings.window, lesson.seed)
    real, heard = train.window(part.start, settings.window)
    if fresh:
        carried.begin()
    with run.autocast():
        made, states = animator(heard, carried.states)
    carried.keep(states)
    t, made = int(torch.randint(len(made), ())), made.float()
    logged = lower_critics(run, critics, real, made.detach(), t)
    logged |= lower_animator(run, critics, opt_a, real, made, t)
    average.update_parameters(animator)
    if (number + 1) % settings.look == 0:
        logged |= gaps(D_I, D_V, real, made.detach(), t)
    return logged


# %%
def learn(
    name: str, design: Design, norm: str, steps: int, early: int = 0
) -> training.Run:
    """Train one network; keep the last, and a copy after `early` steps."""
    players = begin(name, design, norm)
    run, average = players[0], players[5]
    for step in run.steps(steps, save_every=settings.watch):
        run.log(**one_step(players, step.number))
        if step.number + 1 == early:
            keep(f"{name}_early", average.module, design)
        if step.is_due(settings.watch):
            watch(run, average.module)
    if not run.finished:
        raise course.LessonError(
            f"{name}: stopped before step {steps}; run this notebook again to go on"
        )
    keep(name, average.module, design)
    return run


# %%
def keep(name: str, animator: Animator, design: Design) -> None:
    """Save an animator, with all that builds it, under its name."""
    how = {"design": asdict(design), "size": size, "base": settings.base}
    training.save_model(models / f"{name}.safetensors", animator, **how)


# %% [markdown]
# ## Does it listen yet?
#
# While it learns, a piece of the *unheard* part is painted twice: by its own sound, and
# by the sound of another moment. Where the two curves part, the picture follows the
# sound. (Nothing is chosen by them: the last weights are kept, whatever they show.)


# %%
def watch(run: training.Run, animator: Animator) -> None:
    """Log how far off the frames are where it moves, by either sound; show some."""
    count = min(settings.watched, len(test))
    real, heard = test.frames[:count], test.features[:count]
    with torch.random.fork_rng():
        torch.manual_seed(lesson.seed)
        mine, other = (
            film(animator, sound, seed=lesson.seed)
            for sound in (heard, other_moment(heard))
        )
    run.log(
        own_sound=error_where(where, mine, real).mean(),
        other_sound=error_where(where, other, real).mean(),
    )
    shown = torch.linspace(0, count - 1, 8).long()
    strips = torch.cat([frames[shown] for frames in (real, mine, other)])
    run.log_sample(strips.permute(0, 3, 1, 2).cpu(), "real_own_other")


# %% [markdown]
# ## Train
#
# First the whole model. Then the rest of Table 1, and the whole model once more with
# critics that have another norm (step 5: batch norm does not belong in WGAN-GP).

# %%
if settings.steps < settings.steps_others:
    raise course.LessonError(
        f"steps is {settings.steps}, steps_others {settings.steps_others}: the whole "
        "model needs as many as the others, to be compared with them"
    )
whole = (Design(), settings.norm, settings.steps)
runs = {"animator": learn("animator", *whole, early=settings.steps_others)}

# %%
for row, design in enumerate(ablation().values(), start=1):
    if design != Design():  # the whole model's early copy is its row
        name = f"table1_row{row}"
        runs[name] = learn(name, design, settings.norm, settings.steps_others)
runs["other_norm"] = learn(
    "other_norm", Design(), settings.other_norm, settings.steps_others
)
lesson.record("steps", {"whole model": settings.steps, "rows": settings.steps_others})


# %% [markdown]
# ## Look: does it listen, and how did it get there?


# %% tags=["listening"]
def logged(run: training.Run, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of what was logged under a name."""
    values = run.history.get(name, np.empty(0))
    known = np.isfinite(values)
    return run.history["step"][known] + 1, values[known]


looked_at = test.frames[: settings.watched]
still = mean_frame(train.frames).expand_as(looked_at)
lines = {"one still": error_where(where, still, looked_at).mean().item()}
names = {"own_sound": "its own sound", "other_sound": "another moment's sound"}
curves = {label: logged(runs["animator"], key) for key, label in names.items()}
figure = show.curves(curves, y="grey levels off", lines=lines)
lesson.figure("listening", figure, "Error on unheard frames, where it moves.")
lesson.record(
    "listening",
    [{"step": x} | {k: curves[v][1][i] for k, v in names.items()}
     for i, x in enumerate(curves["its own sound"][0])],
)  # fmt: skip

# %% [markdown]
# The still is the mean of all training frames. It knows nothing of the sound, and early
# on it is hard to beat: right motion must be learned before moving costs less than
# standing still.

# %%
parts = ("loss_v", "loss_i", "perceptual")
curves = {f"{name}": logged(runs["animator"], name) for name in parts}
figure = show.curves(curves, smooth=50)
lesson.figure("losses", figure, "Both critics' losses and the perceptual term.")

# %% [markdown]
# The critics' losses begin with the penalty, ten times how far their slopes are from 1.
# A loss near 0 is no triumph: it means slope 1, and no gap. Does the perceptual term
# still fall when they are there? The gaps, with the norm of the paper and the other:

# %% tags=["gaps"]
curves = {
    f"{what}, {norm} norm": logged(runs[name], f"gap_{what}")
    for name, norm in (("animator", settings.norm), ("other_norm", settings.other_norm))
    for what in ("film", "picture")
}
figure = show.curves(curves, y="gap, of 1", lines={"knows nothing": 0}, smooth=5)
lesson.figure("gaps", figure, "How much higher the critics score what is real.")
rows = [{"critic": name, "gap, last tenth": y[-max(len(y) // 10, 1) :].mean()}
        for name, (_, y) in curves.items()]  # fmt: skip
lesson.record("gaps", rows)
display(show.table(rows))


# %% [markdown]
# Where the batch norm's gap is small beside the other's, this is why: at a batch of
# one, each map is brought to mean 0 and deviation 1 within the picture, real or made.
# The score is a sum over the picture, so most of what could set the two apart is gone
# before it is asked (step 5 showed it with a darker picture). Does the animator gain
# from critics that know more? Step 7 has both, after equally many steps.
#
# ## Look: frames
#
# One column a moment that was never heard in training. The first is the film's first
# frame: nothing has been painted before it, and so the prediction has nothing to give.


# %% tags=["frames"]
def some(frames: Tensor, moments: int = 10) -> Tensor:
    """Some of the first 160 frames, evenly."""
    at = torch.linspace(0, min(len(frames), 160) - 1, moments).long()
    return frames[at].cpu()


def painted(name: str) -> Tensor:
    """Those frames, as a kept network paints them for the unheard sound."""
    animator = training.load_model(models / f"{name}.safetensors", Animator).to(device)
    torch.manual_seed(lesson.seed)
    return some(film(animator, test.features[:160], seed=lesson.seed))


shown = {"real": some(test.frames), f"{settings.steps} steps": painted("animator")}
shown[f"early: {settings.steps_others} steps"] = painted("animator_early")
shown["early, other norm"] = painted("other_norm")
figure = show.image_grid(list(shown.values()), rows=list(shown))
lesson.figure("frames", figure, "Unheard moments: real, and painted by their sound.")

# %% tags=["figure6"]
rows = list(ablation())
early = [n if n in runs else "animator_early" for n in
         (f"table1_row{i}" for i in range(1, len(rows) + 1))]  # fmt: skip
figure = show.image_grid([shown["real"], *map(painted, early)], rows=["real", *rows])
lesson.figure(
    "rows", figure, f"Table 1's networks after {settings.steps_others} steps."
)

# %% [markdown]
# ## Exercises
#
# 1. A frame comes out wrong. The sound of how many frames before it is told so?
# 2. The average that paints: write it.

# %% tags=["active-ipynb"]
# from avnb_notebooks.listen_and_move import exercises
#
#
# def frames_behind(t, start, length):
#     """How many earlier frames' sounds get a gradient from the error of frame t.
#
#     Windows of `length` frames begin at `start`; the carried state is detached.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.FRAMES_BEHIND, frames_behind)

# %% tags=["active-ipynb"]
# def averaged(weights, decay):
#     """The average after all these values (N,) of one weight, the first as it is.
#
#     Update n, from 0, keeps min(decay, (1 + n) / (10 + n)) of the old average.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.AVERAGED, averaged)

# %%
lesson.finish()
