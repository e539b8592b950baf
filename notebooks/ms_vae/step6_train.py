# %% [markdown]
# # Step 6 · Train: MS-VAE in two modes, and the baselines
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/ms_vae/step6_train.ipynb)
#
# Step 3 measured the features, and steps 4 and 5 built the networks. This notebook
# trains all of them on the same seconds:
#
# | file in `models/` | network | trained |
# |---|---|---|
# | `cm_vae`, `ms_vae`, `ms_vae_w` | two decoders; one; one, with 𝒲 | corrected mode |
# | the same with `_faithful` | the same three | as the released code does |
# | `avdln`, `dcca`, `l3`, `ave_net` | step 5's baselines | each with its own loss |
#
# **You will learn**
#
# 1. what one training step of either mode looks like, and the loop around it,
# 2. how to see whether a network has been trained for long enough,
# 3. how large the three terms of the loss are in the two modes, and which of them the
#    encoders follow,
# 4. what a healthy run looks like, and one whose latents collapse.
#
# **Time.** About 20 minutes to read. The computing takes longer than in any other
# notebook of the series; the table of settings says how many epochs it makes.
#
# **Before you start.** Read steps 4 and 5. The features come from step 3.
#
# **Letters.** B videos of a batch · T seconds · n event seconds of a video · Z = 100
# latents · λ2 the weight of the KL.

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
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

# %%
from avnb_notebooks.ms_vae.step2_features import (
    VideoFeatures,
    list_splits,
    load_features,
    scale_rows,
)
from avnb_notebooks.ms_vae.step4_model import (
    LATENTS,
    MODALITIES,
    MSVAE,
    corrected_terms,
    gather_events,
    kl_divergence,
    kl_weight,
    make_optimizer,
    released_terms,
    term_gradients,
    weigh_terms,
)
from avnb_notebooks.ms_vae.step5_baselines import MODELS, TITLES, fit_projections
from IPython.display import display
from torch import Tensor

# %%
from avnb import course, files, training
from avnb.metrics.retrieval import reciprocal_ranks
from avnb.viz import show

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
        #            smoke laptop reference gpu paper
        epochs=(2, 110, 400, 60, 60),  # of the corrected mode
        drop=(1, 75, 200, 40, 40),  # the epoch at which λ2 becomes 0.01
        batch=(4, 32, 32, 32, 32),  # videos of a step
        rate=(1e-3, 1e-3, 1e-3, 1e-3, 1e-3),
        epochs_released=(1, 15, 30, 15, 15),  # as released: the paper's 15
        drop_released=(1, 10, 20, 10, 10),
        rate_released=(1e-5, 1e-4, 1e-4, 1e-5, 1e-5),  # fewer videos, larger steps
        epochs_baselines=(2, 20, 40, 20, 20),  # 20 is AVDLN's own number
        epochs_dcca=(2, 60, 120, 60, 60),  # one step each, where all videos fit
        batch_dcca=(4000, 4000, 4000, 4000, 4000),  # videos, at most all
        batch_baselines=(8, 8, 8, 8, 8),  # videos; AVDLN's own number
        rate_baselines=(1e-3, 1e-3, 1e-3, 1e-3, 1e-3),
        epochs_sick=(2, 60, 60, 40, 40),  # of the run that is made to collapse
        log_every=(1, 10, 10, 10, 10),  # steps between two entries of the loss terms
        kl_every=(2, 100, 100, 500, 1000),  # and of the latents' KL
        measurements=(8, 16, 20, 20, 20),  # of a training, on held-out videos
        held_out=(40, 300, 400, 400, 400),  # seconds of these, at most
        save_every=(100, 1000, 5000, 5000, 5000),  # steps between two checkpoints
        precision=("auto", "auto", "float32", "auto", "auto"),  # of the corrected mode
    ),
)
settings

# %%
definitions = MSVAE, released_terms, corrected_terms, make_optimizer
display(course.show_source(*definitions))


# %% [markdown]
# ## The training seconds
#
# `rows` holds the event seconds of all videos, one after another, as they were
# measured. `visual`, `audio` and `event` hold whole videos, for batches. A video
# without an event has nothing to learn from and is left out.
#
# `rows: (M, 512), (M, 128)` · `visual: (N, T, 512)` · `audio: (N, T, 128)`


# %%
def drop_videos_without_event(features: VideoFeatures) -> tuple[VideoFeatures, int]:
    """Return the videos with an event, and how many have none."""
    has = features.event.any(1)
    kept = {}
    for key in ("videos", "units"):
        pairs = zip(getattr(features, key), has.tolist(), strict=True)
        kept[key] = [name for name, use in pairs if use]
    for key in ("visual", "audio", "event", "label", "cues"):
        kept[key] = getattr(features, key)[has]
    return replace(features, **kept), int((~has).sum())


# %%
device = training.get_device()
path = lesson.need("features.safetensors", "step3_extract")
splits = list_splits(path)
train, left_out = drop_videos_without_event(load_features(path, "train"))
rows = gather_events(train, device)
visual, audio = train.visual.to(device), train.audio.to(device)
event = train.event.to(device)
models = lesson.run_dir / "models"
counts = {"videos": len(rows), "seconds of events": rows.bounds[-1]}
counts["videos without an event, left out"] = left_out
lesson.record("training", counts)
show.table([counts | train.networks])


# %% [markdown]
# ## One step of either mode
#
# **As released:** one video after the other in a fixed order, its event seconds as they
# were measured, and separate random draws for the decoder and for $\mathcal W$ in each
# direction. **Corrected:** batches of videos in random order, with rows divided by
# their largest value. Neither asks the GPU for a number, because the lengths of all
# videos are known on the CPU.


# %%
def released_step(run: training.Run, model: MSVAE, number: int) -> tuple:
    """Compute the terms of step `number`, one video as released, and its λ2."""
    epoch, i = divmod(number, len(rows))
    video = rows.get_video(i)
    size = (3, 2, len(video[0]), LATENTS)
    # the run's own generator, so that a resumed run draws the same numbers
    noise = torch.randn(size, generator=run.generator, device=device)
    terms = released_terms(model, *video, noise)
    return terms, kl_weight(epoch, settings.drop_released)


# %%
batches = training.BatchSampler(
    len(rows), min(settings.batch, len(rows)), seed=lesson.seed
)
pairs = torch.cat([scale_rows(rows.visual), scale_rows(rows.audio)], dim=1)
unit = pairs.var(0).mean()  # the features' variance, by which the error is divided


def corrected_step(run: training.Run, model: MSVAE, number: int) -> tuple:
    """Compute the terms of step `number`, a corrected batch, and its λ2."""
    part = batches[number]
    here = part.to(device, non_blocking=True)
    # the events stay on the CPU: see corrected_terms
    batch = scale_rows(visual[here]), scale_rows(audio[here]), train.event[part]
    size = (1, 2, *batch[2].shape, LATENTS)
    noise = torch.randn(size, generator=run.generator, device=device)
    terms = corrected_terms(model, *batch, noise, unit)
    return terms, kl_weight(number // batches.per_epoch, settings.drop)


# %% [markdown]
# During training we also measure the KL of each latent (Eq. 1), as a mean over about
# 500 seconds from all over the training videos:
#
# $$\mathrm{KL}_k = \frac1R \sum_r \tfrac12\big(\mu_{rk}^2 + \sigma_{rk}^2 - 1
#   - \log \sigma_{rk}^2\big), \qquad k = 1 \dots 100 .$$
#
# A latent whose KL is 0 nats is pure noise, whatever the input.
#
# `model → (2, 100)`


# %%
@torch.no_grad()
def latent_kl(model: MSVAE, released: bool) -> Tensor:
    """Compute the KL (2, 100) of each latent, visual first, over training seconds.

    Args:
        model: a VAE.
        released: whether it learns from raw rows, as in the released code.
    """
    some = slice(None, None, max(1, len(rows.visual) // 500))
    x_v, x_a = rows.visual[some], rows.audio[some]
    if not released:
        x_v, x_a = scale_rows(x_v), scale_rows(x_a)
    no_noise = torch.zeros(1, 2, len(x_v), LATENTS, device=device)
    return kl_divergence(*model(x_v, x_a, no_noise)[:2]).mean(1)


# %% [markdown]
# ## How long is long enough?
#
# A network that is still learning cannot be compared with another one: the comparison
# would say which of the two is faster. So we measure each network, at even distances
# through its training, on **held-out** videos, which are not trained on. All networks
# are measured in the same way, by what the claims are about: each event second of one
# modality looks for seconds of its class in the other, and the score is the mean
# reciprocal rank (step 7), averaged over both directions. The training is long enough
# where the last quarter of this curve is hardly better than the quarter before.
#
# The held-out videos are the validation split, or the test videos of a data set that
# has none. No weights are chosen by them: the last ones are kept.
#
# `model → one number from 0 to 1`

# %%
held_out, _ = drop_videos_without_event(
    load_features(path, "val" if "val" in splits else "test")
)
n, t = held_out.event.nonzero(as_tuple=True)
some = torch.linspace(0, len(n) - 1, min(settings.held_out, len(n))).long()
n, t = n[some], t[some]
held_rows = {
    "visual": held_out.visual[n, t].to(device),
    "audio": held_out.audio[n, t].to(device),
}
held_label = held_out.label[n].to(device)


@torch.no_grad()
def measure_held_out(model: torch.nn.Module) -> Tensor:
    """Compute the mean reciprocal rank across modalities of held-out seconds."""
    distance = model.distance(*(model.encode(x, i) for i, x in held_rows.items()))
    both = torch.stack([distance, distance.T])  # pictures ask, and sounds ask
    return reciprocal_ranks(both, held_label[:, None] == held_label).mean()


def is_measured(step: training.TrainingStep) -> bool:
    """Say whether the held-out videos are due: `measurements` times in a training."""
    every = max(1, step.total // settings.measurements)
    return (step.number + 1) % every == 0


# %%
def record_training(name: str, run: training.Run, epochs: int, loss: str) -> None:
    """Keep how long a network was trained, with its curves, and show them."""
    lesson.record_training(
        TITLES[name],
        epochs=epochs,
        steps=int(run.history["step"][-1]) + 1,  # not every step is logged
        held_out=np.stack(run.read_log("held_out"), axis=1),  # step and value
        training=np.stack(run.read_log(loss), axis=1),
        better="higher",
        unit="mean reciprocal rank across modalities",
        training_unit="error of the pair" if loss == "mse" else "loss",
        negligible=0.005,
    )


# %% [markdown]
# ## The loop
#
# `run.step` computes the gradients and updates the weights. The terms are logged every
# `log_every` steps. A run that was stopped continues from its last checkpoint and
# reaches the same numbers. With more epochs it goes on from where it ended. Other
# settings, or other features of step 3, are another experiment: it gets a folder of its
# own, and the first one stays.

# %%
# What may change in a training that goes on: how long it is, and how it is looked at.
FREE = [name for name in settings.as_dict() if name.startswith(("epochs", "precision"))]
FREE += ["log_every", "kl_every", "measurements", "held_out", "save_every"]
given, changed = settings.fix(*FREE)
given |= {"features": files.hash_file(path)[:16]}


def start_run(name: str, precision: str) -> training.Run:
    """Make the run of one network, or find the one that was begun with all of this."""
    folder = lesson.run_dir / "train" / f"features={given['features'][:8]}{changed}"
    return training.Run(
        folder / name, seed=lesson.seed, precision=precision, settings=given
    )


# %%
SICK_WEIGHT = 10.0  # λ2 of the run that is made to collapse


@dataclass(frozen=True)
class Plan:
    """How a VAE is trained: what computes its terms, how long, and how fast."""

    next_terms: Callable[..., tuple]
    epochs: int
    steps: int
    rate: float
    precision: str


def plan_training(released: bool, sick: bool = False) -> Plan:
    """Read the plan of a mode from the settings."""
    if released:
        epochs, rate = settings.epochs_released, settings.rate_released
        return Plan(released_step, epochs, epochs * len(rows), rate, "float32")
    epochs = settings.epochs_sick if sick else settings.epochs
    steps = epochs * batches.per_epoch
    return Plan(corrected_step, epochs, steps, settings.rate, settings.precision)


# %%
def log_step(
    run: training.Run,
    model: MSVAE,
    step: training.TrainingStep,
    terms: dict,
    parts: dict,
) -> None:
    """Log the terms, and how hard each of them pulls at the encoders."""
    if step.is_due(settings.log_every):
        run.log(**terms)
    if is_measured(step):
        lengths = term_gradients(parts, list(model.encoders.parameters()))
        run.log(**{f"gradient of {name}": x for name, x in lengths.items()})


# %%
def train_vae(
    name: str, shared: bool, latent: bool, released: bool, sick: bool = False
) -> training.Run:
    """Train one VAE and save it as models/NAME.safetensors."""
    plan = plan_training(released, sick)
    training.seed_everything(lesson.seed)
    model = MSVAE(shared).to(device)
    run = start_run(name, plan.precision)
    adam = make_optimizer(model, plan.rate, released)
    model, adam = run.prepare(model=model, adam=adam)
    for step in run.steps(plan.steps, save_every=settings.save_every):
        with run.autocast():
            terms, weight = plan.next_terms(run, model, step.number)
            parts = weigh_terms(terms, SICK_WEIGHT if sick else weight, latent)
        log_step(run, model, step, terms, parts)
        run.step(adam, sum(parts.values()))
        if step.is_due(settings.kl_every) or is_measured(step):
            both = latent_kl(model, released).sum(1)
            run.log(visual=both[0], audio=both[1])
        if is_measured(step):
            run.log(held_out=measure_held_out(model))
    run.require_finished()
    training.save_model(models / f"{name}.safetensors", model, shared=shared)
    return run


# %%
VAES = {"cm_vae": (False, False), "ms_vae": (True, False), "ms_vae_w": (True, True)}
runs = {
    name + suffix: train_vae(name + suffix, *how, released)
    for suffix, released in (("", False), ("_faithful", True))
    for name, how in VAES.items()
}
for name, run in runs.items():
    record_training(name, run, plan_training("faithful" in name).epochs, "mse")


# %% [markdown]
# Now the four baselines. DCCA gets all videos at once where they fit, because the
# correlations of few seconds are mostly chance. Before it is measured, and at the end,
# we find its canonical directions.


# %%
def find_directions(model: torch.nn.Module) -> None:
    """Find the canonical directions of DCCA. The other networks have none."""
    if isinstance(model, MODELS["dcca"]):
        fit_projections(model, visual, audio, event)


# %%
def train_baseline(name: str) -> training.Run:
    """Train one network of step 5 and save it as models/NAME.safetensors."""
    training.seed_everything(lesson.seed)
    dcca = name == "dcca"
    size = settings.batch_dcca if dcca else settings.batch_baselines
    parts = training.BatchSampler(len(rows), min(size, len(rows)), seed=lesson.seed)
    run = start_run(name, "float32")
    model = MODELS[name]().to(device)
    adam = torch.optim.Adam(model.parameters(), settings.rate_baselines, fused=True)
    model, adam = run.prepare(model=model, adam=adam)
    epochs = settings.epochs_dcca if dcca else settings.epochs_baselines
    for step in run.steps(epochs * parts.per_epoch, save_every=settings.save_every):
        part = parts[step.number].to(device, non_blocking=True)
        loss = model.loss(visual[part], audio[part], event[part], run.generator)
        run.step(adam, loss)
        if step.is_due(settings.log_every):
            run.log(loss=loss)
        if is_measured(step):
            find_directions(model)
            run.log(held_out=measure_held_out(model))
    run.require_finished()
    find_directions(model)
    training.save_model(models / f"{name}.safetensors", model)
    return run


# %%
baselines = [name for name in MODELS if name not in runs]
runs |= {name: train_baseline(name) for name in baselines}
for name in baselines:
    dcca = name == "dcca"
    epochs = settings.epochs_dcca if dcca else settings.epochs_baselines
    record_training(name, runs[name], epochs, "loss")

# %% [markdown]
# ## The terms of the loss in the two modes
#
# The table shows each term as it enters the loss, that is times its λ, at the start and
# in the last tenth of the training. Compare the terms only within one mode, because the
# two modes have different scales.

# %% tags=["modes"]
names = {"mse": "MSE", "kl": "KL, λ₂ 0.1 then 0.01", "latent": "W"}
table = []
for term, label in names.items():
    row: dict = {"term, times λ": label}
    for mode, title in (
        ("ms_vae_w_faithful", "as released"),
        ("ms_vae_w", "corrected"),
    ):
        values = runs[mode].read_log(term)[1]
        first, last = values[0], values[-max(len(values) // 10, 1) :].mean()
        drop = settings.drop_released if "faithful" in mode else settings.drop
        count = settings.epochs_released if "faithful" in mode else settings.epochs
        ends = (0.1, kl_weight(count - 1, drop)) if term == "kl" else (1, 1)
        row |= {f"{title}, first": first * ends[0], f"{title}, end": last * ends[1]}
    table.append(row)
lesson.record("modes", table)
display(show.table(table, "MS-VAE + W"))

# %% tags=["terms"]
for mode in ("ms_vae_w", "ms_vae_w_faithful"):
    curves = {label: runs[mode].read_log(term) for term, label in names.items()}
    title = TITLES[mode]
    figure = show.curves(curves, smooth=10, logarithmic=True, title=title)
    lesson.figure(f"terms_{mode}", figure, f"The three terms of {title}, without λ.")

# %% [markdown]
# Read the table column by column. As released, which term is the largest depends on how
# large the features are and how long the video is: the MSE grows with the square of the
# features, $\mathcal W$ with the root of the length, and the KL with the length. In the
# corrected mode all three are of order one or smaller for any features.

# %%
for mode, title in (("ms_vae_w_faithful", "As released"), ("ms_vae_w", "Corrected")):
    ends = [runs[name].read_log("kl")[1][-1] for name in (mode, mode.replace("_w", ""))]
    word = "higher" if ends[0] > ends[1] else "not higher"
    print(f"{title}, the KL ends at {ends[0]:.3g} with W, and at {ends[1]:.3g} without")
    print(f"it, so it is {word} with W. (W asks for narrow Gaussians, and the narrower")
    print("they are the further they are from N(0, 1).)")

# %% tags=["errors"]
curves = {TITLES[name]: runs[name].read_log("mse") for name in VAES}
figure = show.curves(
    curves, y="error, of the variance", smooth=10, title="corrected", lines={"mean": 1}
)
lesson.figure("errors", figure, "The error of the pair in the corrected mode.")

# %% [markdown]
# ## Whose gradient do the encoders follow?
#
# The size of a term says little about its force: a large constant has no gradient. So
# we measured the gradient of each term alone, times its λ, by the weights of both
# encoders:
#
# $$g_j = \big\lVert \nabla_{\phi}\, \lambda_j \mathcal L_j \big\rVert_2, \qquad
#   j = \text{MSE, KL}, \mathcal W .$$

# %% tags=["gradients"]
figure, axes = show.subplots(1, 2, width=4.6, height=3.0)
pulls = []
for place, mode in zip(axes[0], ("ms_vae_w", "ms_vae_w_faithful"), strict=True):
    row = {"network": TITLES[mode]}
    for term, label in (("mse", "MSE"), ("kl", "KL"), ("latent", "W")):
        steps, lengths = runs[mode].read_log(f"gradient of {term}")
        place.plot(steps, lengths, marker="o", markersize=3, label=label)
        row |= {f"{label}, first": lengths[0], f"{label}, last": lengths[-1]}
    pulls.append(row)
    place.set(title=TITLES[mode], xlabel="step", yscale="log")
    place.set_ylabel("length of the gradient × λ")
    place.legend(fontsize=8)
lesson.figure("gradients", figure, "The gradient of each term in both encoders.")
lesson.record("gradients", pulls)
display(show.table(pulls))

# %%
for row in pulls:
    last = {label: row[f"{label}, last"] for label in ("MSE", "KL", "W")}
    strong = max(last, key=last.get)
    weak = min(last, key=last.get)
    times = last[strong] / max(last[weak], 1e-12)
    print(f"{row['network']}: at the end {strong} pulls hardest, {times:.0f} times as")
    print(f"hard as {weak}.")

# %% [markdown]
# ## A sick run
#
# In step 4 a VAE of points collapsed when its λ₂ was too large. Here is the same with
# the real features: MS-VAE in the corrected mode, without $\mathcal W$, but with a λ₂
# of `SICK_WEIGHT` from the beginning to the end. Nothing else is changed. Beside it
# stands the healthy run, which may be longer. The cure is the paper's own: a smaller
# λ₂, which falls during the training.

# %% tags=["sick"]
sick = train_vae("collapsed", True, False, released=False, sick=True)
SICK = {"mse": "error, of the variance", "visual": "KL of the visual latent, nats",
        "gradient of mse": "gradient of the error"}  # fmt: skip
figure, axes = show.subplots(1, 3, width=3.2, height=2.6)
for place, (key, label) in zip(axes[0], SICK.items(), strict=True):
    for title, run in (("healthy", runs["ms_vae"]), ("λ₂ too large", sick)):
        place.plot(*run.read_log(key), label=title)
    place.set(xlabel="step", ylabel=label)
axes[0, 0].axhline(1, color="#555555", linestyle="--", label="the mean of all seconds")
axes[0, 0].legend(fontsize=7)
lesson.figure("sick", figure, "A healthy run, and one that collapses.")

# %%
ill, well = (
    {key: run.read_log(key)[1][-1] for key in SICK} for run in (sick, runs["ms_vae"])
)
lesson.record("collapsed_error", ill["mse"], "The collapsed run's error at the end")
word = "has collapsed" if ill["visual"] < 1 else "has not collapsed"
print(f"With λ₂ = {SICK_WEIGHT:g} the visual latent {word}: its KL is")
print(
    f"{ill['visual']:.2f} nats, and {well['visual']:.1f} in the healthy run. The error"
)
print(f"is {ill['mse']:.2f}, and {well['mse']:.2f} in the healthy run; 1 is what the")
print("mean of all seconds gets.")

# %% [markdown]
# ## Do the latents collapse?
#
# Fig. 3 of the paper claims that without the shared decoder the *visual* latent becomes
# noise. The curves show the KL of all latents together, in nats a second, during
# training:

# %% tags=["latent-kl"]
for suffix, mode in (("", "corrected"), ("_faithful", "as released")):
    curves = {
        f"{TITLES[name]}, {i}": runs[name + suffix].read_log(i)
        for name in ("cm_vae", "ms_vae")
        for i in MODALITIES
    }
    figure = show.curves(curves, y="nats a second", title=mode)
    caption = f"KL of all latents together, {mode}."
    lesson.figure(f"latent_kl_{suffix or 'corrected'}", figure, caption)

# %% tags=["collapse"]
kl_table = []
figure, axes = show.subplots(2, 3, width=2.8, height=1.9)
for name, place in zip(list(runs)[:6], axes.flat, strict=True):
    model = training.load_model(models / f"{name}.safetensors", MSVAE).to(device)
    both = latent_kl(model, name.endswith("_faithful")).cpu()
    for i, nats in zip(MODALITIES, both, strict=True):
        place.plot(nats.sort(descending=True)[0], label=i)
        used = int((nats > 0.01).sum())
        row = {"network": TITLES[name], "modality": i}
        row["nats a second"] = nats.sum().item()
        kl_table.append(row | {"latents above 0.01 nats, of 100": used})
    place.set_title(TITLES[name], fontsize=9)
    place.set(
        xlabel="latent, by its rank", ylabel="nats", yscale="log", ylim=(1e-4, 30)
    )
axes[0, 0].legend(fontsize=8)
lesson.figure("collapse", figure, "KL of each latent, sorted, in nats.")
lesson.record("latent_kl", kl_table)
display(show.table(kl_table))

# %% [markdown]
# Where a curve lies near 0, that modality's latent has collapsed. Does this happen to
# the visual latent of CM-VAE, but not to that of MS-VAE? With $\mathcal W$ the KL is
# large for another reason: narrow Gaussians have a large KL, even if they hold no
# information about the input. So step 7 also measures how much the *means* of the
# latents move with the input.
#
# ## The losses of the baselines

# %% tags=["baseline-losses"]
figure, axes = show.subplots(1, 4, width=2.4, height=2.2)
for place, name in zip(axes[0], ("avdln", "dcca", "l3", "ave_net"), strict=True):
    place.plot(*runs[name].read_log("loss"))
    place.set(title=TITLES[name], xlabel="step", ylabel="loss")
caption = "Losses of the baselines. They are of different kinds: do not compare them."
lesson.figure("baseline_losses", figure, caption)
final = [
    {"network": TITLES[name], "last loss": float(runs[name].read_log("loss")[1][-1])}
    for name in ("avdln", "dcca", "l3", "ave_net")
]
lesson.record("baseline_losses", final)
display(show.table(final))

# %% [markdown]
# ## What came out

# %%
for suffix, mode in (("", "corrected"), ("_faithful", "as released")):
    for name in ("cm_vae", "ms_vae"):
        found = {
            row["modality"]: row["nats a second"]
            for row in kl_table
            if row["network"] == TITLES[name + suffix]
        }
        text = ", ".join(f"{i} {nats:.2f}" for i, nats in found.items())
        collapsed = [i for i, nats in found.items() if nats < 1]
        ending = " and ".join(collapsed) or "neither"
        print(f"{TITLES[name]}, {mode}: {text} nats. Below one nat: {ending}.")
first, last = (runs["ms_vae_w"].read_log("mse")[1][k] for k in (0, -1))
print(f"The error of MS-VAE + W, in units of the features' variance: {first:.2f} at")
print(f"first, {last:.2f} at the end. The mean of all seconds would get about 1.")

# %% [markdown]
# ## Exercises
#
# 1. Write Adam, and show that two Adams that own the same weight move it twice as far.
# 2. Given the numbers of a run, say what is wrong with it.

# %% tags=["active-ipynb"]
# from avnb_notebooks.ms_vae import exercises
#
#
# def two_adams(gradients, rate):
#     """Where does a weight end that starts at 0 and is stepped by two Adams each time?
#
#     gradients (N,); both Adams see each gradient; betas 0.9, 0.999, eps 1e-8.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.TWO_ADAMS, two_adams)

# %% tags=["active-ipynb"]
# def diagnose(error, nats, pulls, slope):
#     """Name a run "healthy", "collapsed", "no prior" or "not finished", by its end.
#
#     error: of the reconstruction; 1 is what the mean of all inputs gets. nats: KL of
#     all latents together. pulls: the gradient's length of the error and of the KL.
#     slope: by which share the held-out score rose in the last quarter.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.DIAGNOSE, diagnose)

# %%
lesson.finish()
