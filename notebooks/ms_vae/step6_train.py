# %% [markdown]
# # Step 6 · Train: as released, on one scale, and the four others
#
# The features are measured (step 3), the networks built (steps 4 and 5). Here they all
# learn, from the same seconds:
#
# | file in `models/` | what | how |
# |---|---|---|
# | `cm_vae`, `ms_vae`, `ms_vae_w` | two decoders; one; one and W | corrected |
# | the same with `_faithful` | the same three | as the released code does |
# | `avdln`, `dcca`, `l3`, `ave_net` | step 5 | each by its own loss |
#
# 1. the seconds to learn from,
# 2. a step of either mode, and the loop,
# 3. what the two modes do to the three terms,
# 4. what the latents say while they learn: does one modality fall silent?

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
from dataclasses import replace

import numpy as np
import torch
from avnb_notebooks.ms_vae.step2_features import load_seconds, scaled
from avnb_notebooks.ms_vae.step4_model import (
    LATENTS,
    MODALITIES,
    MSVAE,
    corrected_terms,
    events,
    kl,
    kl_weight,
    optimiser,
    released_terms,
    total,
)
from avnb_notebooks.ms_vae.step5_baselines import MODELS, fit
from IPython.display import display
from torch import Tensor

# %%
from avnb import course, training
from avnb.viz import show

# %% tags=["parameters"]
SCALE = "laptop"
DATA = ""
SEED = 0
RUN_DIR = ""
OVERRIDES = {}

# %%
lesson = course.start(
    "ms_vae",
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
        #            smoke laptop   gpu  paper
        epochs=(2, 150, 60, 60),  # corrected
        drop=(1, 100, 40, 40),  # the epoch at which λ2 becomes 0.01
        batch=(4, 32, 32, 32),  # videos of a step
        rate=(1e-3, 1e-3, 1e-3, 1e-3),
        epochs_released=(1, 15, 15, 15),  # as released: the paper's
        drop_released=(1, 10, 10, 10),
        rate_released=(1e-5, 1e-4, 1e-5, 1e-5),  # fewer videos, larger steps
        epochs_others=(2, 20, 20, 20),  # step 5's networks; AVDLN's own number
        epochs_dcca=(2, 60, 60, 60),  # a step each, where all videos fit
        batch_dcca=(4000, 4000, 4000, 4000),  # videos, at most all
        batch_others=(8, 8, 8, 8),  # videos; AVDLN's own number
        rate_others=(1e-3, 1e-3, 1e-3, 1e-3),
        look=(1, 10, 10, 10),  # steps between two looks at the terms
        watch=(2, 100, 500, 1000),  # and at the latents
        save=(100, 1000, 5000, 5000),  # and between two checkpoints
        precision=("auto", "auto", "auto", "auto"),  # of the corrected mode
    ),
)
settings

# %%
display(course.show_source(MSVAE, released_terms, corrected_terms, optimiser))

# %% [markdown]
# ## The seconds to learn from
#
# `rows` are the seconds of the events, one after another, as they were measured;
# `seen`, `heard` and `event` are whole videos, for batches.

# %%
device = training.get_device()
path = lesson.need("features.safetensors", "step3_extract")
train = load_seconds(path, "train")
with_event = train.event.any(1)
kept = [name for name, has in zip(train.videos, with_event, strict=True) if has]
train = replace(
    train,
    videos=kept,
    **{k: getattr(train, k)[with_event] for k in ("visual", "audio", "event", "label")},
)
rows = events(train, device)
seen, heard = train.visual.to(device), train.audio.to(device)
event = train.event.to(device)
models = lesson.run_dir / "models"
with path.open("rb") as file:  # a run that learned from other features is refused
    digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
given = settings.as_dict() | {"features": digest}
counts = {"videos": len(rows), "seconds of events": rows.bounds[-1]}
counts["videos without an event, left out"] = int((~with_event).sum())
lesson.record("training", counts)
show.table([counts | train.networks])


# %% [markdown]
# ## A step of either mode
#
# As released: video after video in their order, the event's seconds as measured, draws
# for the decoder and, fresh, for $\mathcal W$ in both directions. Corrected: a batch in
# random order, rows by their largest value. Nothing in either asks the graphics card
# for a number: the lengths of the videos are known here.


# %%
def released_step(run: training.Run, model: MSVAE, number: int) -> tuple:
    """The terms of one video, and λ2."""
    epoch, i = divmod(number, len(rows))
    visual, audio = rows.video(i)
    size = (3, 2, len(visual), LATENTS)
    noise = torch.randn(size, generator=run.generator, device=device)
    terms = released_terms(model, visual, audio, noise)
    return terms, kl_weight(epoch, settings.drop_released)


# %%
batches = training.BatchSampler(
    len(rows), min(settings.batch, len(rows)), seed=lesson.seed
)
pairs = torch.cat([scaled(rows.visual), scaled(rows.audio)], dim=1)
unit = pairs.var(0).mean()  # of the error


def corrected_step(run: training.Run, model: MSVAE, number: int) -> tuple:
    """The terms of a batch of videos, and λ2."""
    part = batches[number]
    here = part.to(device, non_blocking=True)
    batch = scaled(seen[here]), scaled(heard[here]), train.event[part]
    size = (1, 2, *batch[2].shape, LATENTS)
    noise = torch.randn(size, generator=run.generator, device=device)
    terms = corrected_terms(model, *batch, noise, unit)
    return terms, kl_weight(number // batches.per_epoch, settings.drop)


# %% [markdown]
# While it learns we ask what the latents say: their KL, in nats a latent, over seconds
# from all over the training videos. A latent of 0 nats is noise, whatever is seen or
# heard.


# %%
@torch.no_grad()
def said(model: MSVAE, released: bool) -> Tensor:
    """KL (2, 100) of each modality's latents, the mean over some training seconds."""
    some = slice(None, None, max(1, len(rows.visual) // 500))
    visual, audio = rows.visual[some], rows.audio[some]
    if not released:
        visual, audio = scaled(visual), scaled(audio)
    none = torch.zeros(1, 2, len(visual), LATENTS, device=device)
    return kl(*model(visual, audio, none)[:2]).mean(1)


# %%
def finished(run: training.Run, name: str) -> None:
    """LessonError where a run was stopped before its end."""
    if not run.finished:
        raise course.LessonError(
            f"{name}: stopped early; run this notebook again to go on"
        )


# %% [markdown]
# ## The loop
#
# `run.step` goes back and updates; the terms are logged every `look` steps. A run that
# was killed goes on from its checkpoint to the same numbers.


# %%
def learn(name: str, shared: bool, latent: bool, released: bool) -> training.Run:
    """Train one VAE and keep it."""
    one_step = released_step if released else corrected_step
    epochs = settings.epochs_released if released else settings.epochs
    rate = settings.rate_released if released else settings.rate
    training.seed_everything(lesson.seed)
    model = MSVAE(shared)
    precision = "float32" if released else settings.precision
    how = {"seed": lesson.seed, "precision": precision, "settings": given}
    run = training.Run(lesson.run_dir / "train" / name, **how)
    adam = optimiser(model.to(device), rate, released)
    model, adam = run.prepare(model=model, adam=adam)
    per_epoch = len(rows) if released else batches.per_epoch
    for step in run.steps(epochs * per_epoch, save_every=settings.save):
        with run.autocast():
            terms, weight = one_step(run, model, step.number)
            loss = total(terms, weight, latent)
        run.step(adam, loss)
        if step.is_due(settings.look):
            run.log(**terms)
        if step.is_due(settings.watch):
            run.log(**dict(zip(MODALITIES, said(model, released).sum(1), strict=True)))
    finished(run, name)
    training.save_model(models / f"{name}.safetensors", model, shared=shared)
    return run


# %%
VAES = {"cm_vae": (False, False), "ms_vae": (True, False), "ms_vae_w": (True, True)}
runs = {
    name + suffix: learn(name + suffix, *how, released)
    for suffix, released in (("", False), ("_faithful", True))
    for name, how in VAES.items()
}


# %% [markdown]
# The four others. DCCA sees all videos at once where they fit, since correlations of
# few seconds are mostly chance; then its directions are found.


# %%
def learn_other(name: str) -> training.Run:
    """Train one of step 5's networks and keep it."""
    training.seed_everything(lesson.seed)
    dcca = name == "dcca"
    size = settings.batch_dcca if dcca else settings.batch_others
    parts = training.BatchSampler(len(rows), min(size, len(rows)), seed=lesson.seed)
    how = {"seed": lesson.seed, "precision": "float32", "settings": given}
    run = training.Run(lesson.run_dir / "train" / name, **how)
    model = MODELS[name]().to(device)
    adam = torch.optim.Adam(model.parameters(), settings.rate_others, fused=True)
    model, adam = run.prepare(model=model, adam=adam)
    epochs = settings.epochs_dcca if dcca else settings.epochs_others
    for step in run.steps(epochs * parts.per_epoch, save_every=settings.save):
        part = parts[step.number].to(device, non_blocking=True)
        loss = model.loss(seen[part], heard[part], event[part], run.generator)
        run.step(adam, loss)
        if step.is_due(settings.look):
            run.log(loss=loss)
    finished(run, name)
    if dcca:
        fit(model, seen, heard, event)
    training.save_model(models / f"{name}.safetensors", model)
    return run


# %%
runs |= {name: learn_other(name) for name in MODELS if name not in runs}


# %% [markdown]
# ## What the two modes do to the terms
#
# Each term as it enters the loss, that is times its λ, at the start and in the last
# tenth. Only within a mode can they be compared: the modes have different scales.


# %% tags=["modes"]
def logged(run: training.Run, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of what was logged under a name."""
    values = run.history.get(name, np.empty(0))
    known = np.isfinite(values)
    return run.history["step"][known] + 1, values[known]


names = {"mse": "MSE", "kl": "KL, λ₂ 0.1 then 0.01", "latent": "W"}
table = []
for term, label in names.items():
    row: dict = {"term, times λ": label}
    for mode in ("ms_vae_w_faithful", "ms_vae_w"):
        values = logged(runs[mode], term)[1]
        first, last = values[0], values[-max(len(values) // 10, 1) :].mean()
        drop = settings.drop_released if "faithful" in mode else settings.drop
        count = settings.epochs_released if "faithful" in mode else settings.epochs
        ends = (0.1, kl_weight(count - 1, drop)) if term == "kl" else (1, 1)
        row |= {f"{mode}, first": first * ends[0], f"{mode}, end": last * ends[1]}
    table.append(row)
lesson.record("modes", table)
display(show.table(table))

# %% tags=["terms"]
for mode in ("ms_vae_w", "ms_vae_w_faithful"):
    curves = {label: logged(runs[mode], term) for term, label in names.items()}
    figure = show.curves(curves, smooth=10, logarithmic=True, title=mode)
    lesson.figure(f"terms_{mode}", figure, f"The three terms of {mode}, without λ.")

# %% [markdown]
# Read the table by columns. As released, which term is the largest depends on how large
# the features happen to be and on how long the video is: the MSE grows with the square
# of the features, $\mathcal W$ with the root of the length, the KL with the length. On
# one scale all three are of the order of one or below, whatever comes in. In both modes
# the KL of `ms_vae_w` ends high, since clouds as small as $\mathcal W$ wants them are
# far from $\mathcal N(0, 1)$.

# %% tags=["errors"]
curves = {name: logged(runs[name], "mse") for name in VAES}
figure = show.curves(curves, y="MSE", smooth=10, title="corrected")
lesson.figure("errors", figure, "The error of the pair, corrected mode.")

# %% [markdown]
# ## What the latents say
#
# Fig. 3 of the paper claims that without the shared decoder the *visual* latent becomes
# noise. In nats a second, all latents together, while they learn:

# %% tags=["said"]
for suffix, mode in (("", "corrected"), ("_faithful", "as released")):
    curves = {
        f"{name}, {i}": logged(runs[name + suffix], i)
        for name in ("cm_vae", "ms_vae")
        for i in MODALITIES
    }
    figure = show.curves(curves, y="nats a second", title=mode)
    lesson.figure(f"said_{suffix or 'corrected'}", figure, f"KL of latents, {mode}.")

# %% tags=["collapse"]
rows_said = []
figure, axes = show.subplots(2, 3, width=2.8, height=1.9)
for name, place in zip(list(runs)[:6], axes.flat, strict=True):
    model = training.load_model(models / f"{name}.safetensors", MSVAE).to(device)
    both = said(model, name.endswith("_faithful")).cpu()
    for i, nats in zip(MODALITIES, both, strict=True):
        place.plot(nats.sort(descending=True)[0], label=i)
        speaking = int((nats > 0.01).sum())
        row = {"network": name, "modality": i, "nats a second": nats.sum().item()}
        rows_said.append(row | {"latents above 0.01 nats, of 100": speaking})
    place.set_title(name, fontsize=9)
axes[0, 0].legend(fontsize=8)
axes[1, 0].set(xlabel="latent, by its rank", ylabel="nats")
lesson.figure("collapse", figure, "KL of each latent, sorted; nats.")
lesson.record("said", rows_said)
display(show.table(rows_said))

# %% [markdown]
# Where a curve lies at 0, that modality's encoder has fallen silent. Is it so for
# `cm_vae`'s picture and not for `ms_vae`'s? With $\mathcal W$ the KL is large for
# another reason: clouds are made small, which costs nats and need not say anything.
# That is why step 7 also counts latents whose *mean* moves with what is seen.
#
# ## Look: the others

# %% tags=["others"]
figure, axes = show.subplots(1, 4, width=2.4, height=2.2)
for place, name in zip(axes[0], ("avdln", "dcca", "l3", "ave_net"), strict=True):
    place.plot(*logged(runs[name], "loss"))
    place.set(title=name, xlabel="step", ylabel="loss")
lesson.figure("others", figure, "The losses of step 5's networks, each of its kind.")
final = [{"network": name, "last loss": float(logged(runs[name], "loss")[1][-1])}
         for name in ("avdln", "dcca", "l3", "ave_net")]  # fmt: skip
lesson.record("others", final)
display(show.table(final))

# %% [markdown]
# ## Exercises
#
# 1. Why the decoder's double step is one step of twice the rate, by writing Adam.
# 2. What one second weighs in an epoch, in either mode.

# %% tags=["active-ipynb"]
# from avnb_notebooks.ms_vae import exercises
#
#
# def two_adams(gradients, rate):
#     """Where a weight ends that starts at 0 and is stepped by two Adams each time.
#
#     gradients (N,); both see each gradient; betas 0.9, 0.999, eps 1e-8.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.TWO_ADAMS, two_adams)

# %% tags=["active-ipynb"]
# def weight_of_a_second(lengths, video, released):
#     """What one second of a video weighs in an epoch's mean of the KL term.
#
#     lengths: seconds of the event of each video. released: the KL is summed over
#     seconds; else it is a mean over a video's seconds. Of the mean over videos.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.WEIGHT_OF_A_SECOND, weight_of_a_second)

# %%
lesson.finish()
