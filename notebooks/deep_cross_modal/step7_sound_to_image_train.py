# %% [markdown]
# # Step 7 · Train sound to image: three variants and a pose model
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/deep_cross_modal/step7_sound_to_image_train.ipynb)
#
# The sound encoders (step 3), Γ (step 5), the two networks and their losses (step 6)
# are ready. Here we train four kinds of models:
#
# | network | sound encoding | wrong pairs |
# |---|---|---|
# | **S2I-C** | classifier | another instrument (Eq. 5) |
# | **S2I-N** | classifier | none |
# | **S2I-A** | autoencoder | another instrument (Eq. 5) |
# | **pose** | classifier | another moment, same instrument (Eq. 6) |
#
# **You will learn** how the two updates of a GAN follow each other, how to see whether
# a GAN is healthy, how failures look, how to monitor a GAN by a classifier, how to
# choose the weights without the test set, and how to continue from trained weights.
#
# **Time.** About 20 minutes to read. At `laptop` S2I-C alone is trained, for about
# seven minutes on two cores; the first generated pictures appear within the first one.
# The other three kinds are trained in the reference run.
#
# **Before you start.** Read step 6. Steps 3 and 5 must have run, because this notebook
# loads their networks.

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
from functools import partial

import numpy as np
import torch
from avnb_notebooks.deep_cross_modal.step1_data import (
    Pairs,
    compute_sample_weights,
    load_pairs,
)
from avnb_notebooks.deep_cross_modal.step2_sound import (
    SoundClassifier,
    StackedAutoencoder,
    Standardizer,
    make_representation,
)
from avnb_notebooks.deep_cross_modal.step4_image import (
    ImageClassifier,
    denormalize_pictures,
    jitter,
    normalize_pictures,
)
from PIL import Image

# %%
from avnb_notebooks.deep_cross_modal.step6_sound_to_image import (
    Discriminator,
    Generator,
    average_scores,
    discriminator_terms,
    generator_loss,
    init_weights,
    measure_gradients,
    remove_batch_norm,
    sample_wrong_class,
    sample_wrong_moment,
)
from IPython.display import display
from torch import Tensor, nn
from torch.nn import functional as F

from avnb import course, training
from avnb.viz import show

# %%
lesson = course.start(
    "deep_cross_modal",
    "step7_sound_to_image_train",
    scale=SCALE,
    data=DATA,
    seed=SEED,
    run_dir=RUN_DIR,
    overrides=OVERRIDES,
)

# %%
settings = lesson.settings(
    dict(
        #           smoke laptop reference gpu   paper
        variants=(
            *(("S2I-C", "S2I-N", "S2I-A"), ("S2I-C",)),
            *(("S2I-C", "S2I-N", "S2I-A"),) * 3,
        ),
        width=(4, 32, 32, 64, 128),  # W of the generator
        width_d=(4, 24, 24, 64, 64),  # W of the discriminator
        norm_d=(False, False, False, False, True),  # batch norm in the discriminator
        batch=(8, 32, 32, 64, 64),
        steps=(4, 900, 9000, 20000, 165000),  # the paper's 600 epochs of GAN-CLS
        pose_steps=(2, 400, 3000, 5000, 20000),
        pose_classes=(("cello",), (), ("cello",), ("cello", "violin"), ("all",)),
        sick_steps=(2, 0, 400, 400, 400),  # of each run of the gallery of failures
        eval_every=(2, 100, 150, 500, 1372),  # steps between two points of Fig. 9
        gradients_every=(1, 25, 25, 100, 500),  # steps between two gradient norms
        learning_rate=(2e-4, 1e-3, 4e-4, 2e-4, 2e-4),  # of both networks
        shift=(8, 8, 8, 8, 8),  # of jitter before the discriminator, in pixels
        light=(0.3, 0.3, 0.3, 0.3, 0.3),  # of jitter, as a share
        ema_decay=(0.5, 0.995, 0.999, 0.999, 0.999),  # of the generator's weights
        precision=("float32", "auto", "auto", "auto", "auto"),
    ),
)
settings

# %%
display(course.show_source(Generator, Discriminator, generator_loss))
display(course.show_source(discriminator_terms, average_scores, measure_gradients))
display(course.show_source(sample_wrong_class, sample_wrong_moment))

# %% [markdown]
# ## Encode every sound once
#
# The encoders are trained and do not change any more, so each sound is encoded once.

# %%
device = training.get_device()
train, test = (load_pairs(lesson.data, split, device) for split in ("train", "test"))
models = lesson.need("models", "step3_sound_train", "step5_image_train")
lms = make_representation("LMS", train.sample_rate).to(device)
# Which sound encoding each variant gets, and the file and class of its network.
ENCODINGS = {"S2I-C": "classifier", "S2I-N": "classifier", "S2I-A": "autoencoder"}
NETWORKS = {
    "classifier": ("sound_encoder", SoundClassifier),
    "autoencoder": ("autoencoder", StackedAutoencoder),
}
encoders = {}
for name in sorted({"classifier", *(ENCODINGS[name] for name in settings.variants)}):
    file, cls = NETWORKS[name]
    encoders[name] = training.load_model(models / f"{file}.safetensors", cls)
gamma = training.load_model(models / "image_encoder.safetensors", ImageClassifier)
gamma = gamma.to(device).eval()


# %%
@torch.no_grad()
def encode_sounds(encoder: nn.Module, pairs: Pairs) -> Tensor:
    """Encode all sounds of `pairs`: (N, 128)."""
    encoder = encoder.to(device).eval()
    parts = torch.arange(len(pairs), device=device).split(256)
    return torch.cat([encoder.encode(lms(pairs.get_waveforms(part))) for part in parts])


codes = {}
for name, encoder in encoders.items():
    raw = encode_sounds(encoder, train)
    scaler = Standardizer().to(device).fit(raw)  # statistics of the training set alone
    codes[name] = {"train": scaler(raw), "test": scaler(encode_sounds(encoder, test))}
    training.save_model(models / f"standardizer_{name}.safetensors", scaler)

# %% [markdown]
# ## Monitor the training with Γ (Fig. 9)
#
# At regular intervals the generator makes pictures for some training sounds and some
# test sounds, and Γ classifies them. The accuracy on the *training* sounds decides
# which weights are saved. That is the paper's early stopping. The accuracy on the test
# sounds decides nothing. It is the held-out curve: it shows whether the network was
# trained long enough to be compared.

# %%
fixed = torch.Generator().manual_seed(lesson.seed)
monitored = {
    "train": torch.randperm(len(train), generator=fixed)[:256].to(device),
    "test": torch.randperm(len(test), generator=fixed)[:256].to(device),
}
labels = {"train": train.labels, "test": test.labels}
# One test sound of each instrument, whose pictures are shown throughout.
present = sorted(set(test.labels.tolist()))
of_class = [torch.nonzero(test.labels == k)[:, 0] for k in present]
first = torch.stack([places[len(places) // 2] for places in of_class])


def select_monitored(pool: Tensor) -> dict[str, Tensor]:
    """Select the monitored sounds whose instrument occurs among the pairs `pool`."""
    wanted = train.labels[pool].unique()
    known = {k: at[torch.isin(labels[k][at], wanted)] for k, at in monitored.items()}
    return {split: at for split, at in known.items() if len(at)}


# %%
@torch.no_grad()
def generate_pictures(G: Generator, code: Tensor, seed: int = lesson.seed) -> Tensor:
    """Generate pictures for encodings, always from the same noise."""
    z = torch.randn(len(code), G.noise, generator=torch.Generator().manual_seed(seed))
    return G.eval()(z.to(device), code).float()


@torch.no_grad()
def measure_accuracy(generated: Tensor, label: Tensor) -> float:
    """Measure the share of generated pictures in which Γ sees the right instrument."""
    return (gamma(generated).argmax(dim=1) == label).float().mean().item()


# %% [markdown]
# ## The training loop
#
# Each step has two updates. First the discriminator gets real, generated and wrong
# pairs (Eq. 4). Then the generator's weights move so that the score of its pictures
# gets higher (Eq. 3). As in GAN-CLS, the same generated pictures serve both updates.
# The discriminator's update must not move the generator, so there the pictures are
# detached from it.
#
# `changed` holds what a run does otherwise than the table of settings says. The gallery
# of failures below needs it.


# %%
def choose(changed: dict) -> dict:
    """Return the settings of one run: those of the table, then what is changed."""
    return {
        "width": settings.width,
        "width_d": settings.width_d,
        "norm_d": settings.norm_d,
        "batch": settings.batch,
        "learning_rate": settings.learning_rate,
        "shift": settings.shift,
        "light": settings.light,
    } | changed


# %%
def prepare_run(name: str, start: str, how: dict) -> tuple:
    """Make a run, G, D, the EMA of G, and both optimisers.

    If `start` names an earlier run, G and D begin with the weights it ended with.
    """
    training.seed_everything(lesson.seed)
    G = Generator(how["width"]).apply(init_weights)
    D = Discriminator(how["width_d"])
    D = D.apply(init_weights) if how["norm_d"] else remove_batch_norm(D)
    if start:
        training.load_weights(lesson.run_dir / start, G=G, D=D)
    # The number of steps is not among them: more steps go on with the same training.
    kept = {k: getattr(v, "__name__", v) for k, v in how.items()}
    kept |= {"ema_decay": settings.ema_decay}
    # Other settings than the table's are another experiment, in a folder of its own.
    _, changed = settings.fix(*(k for k in settings.as_dict() if k not in kept))
    run = training.Run(
        lesson.run_dir / f"{name}{changed}", seed=lesson.seed,
        precision=settings.precision, settings=kept,
    )  # fmt: skip
    adam = {"lr": how["learning_rate"], "betas": (0.5, 0.999)}
    opt_g = torch.optim.Adam(G.parameters(), **adam)
    opt_d = torch.optim.Adam(D.parameters(), **adam)
    ema = training.EMA(G, settings.ema_decay)
    return run, *run.prepare(G=G, D=D, ema=ema, opt_g=opt_g, opt_d=opt_d)


# %%
def make_balanced_batches(pool: Tensor, batch: int) -> training.BatchSampler:
    """Make batches of positions in `pool` with all classes equally likely."""
    weights = compute_sample_weights(train.labels[pool])
    return training.BatchSampler(len(pool), batch, seed=lesson.seed, weights=weights)


def log_gradients(run: training.Run, terms: dict[str, Tensor], net: nn.Module) -> None:
    """Log the norm of each term's gradient with respect to the weights of a network."""
    norms = measure_gradients(terms, list(net.parameters()))
    run.log(**{f"gradient, {name}": norm for name, norm in norms.items()})


# %%
def update_discriminator(
    run, D, opt_d, pictures: list[Tensor], *, code: Tensor, augment, due: bool
) -> None:
    """Make one step of D on real, generated and, if there are any, wrong pairs."""
    with run.autocast():
        logits = [D(augment(x), code) for x in pictures]
        terms = discriminator_terms(*logits)
    if due:
        log_gradients(run, terms, D)
    loss = torch.stack(list(terms.values())).sum()
    run.step(opt_d, loss)
    run.log(loss_d=loss, **average_scores(*logits))


def update_generator(
    run, G, D, opt_g, fake: Tensor, compute_loss, *, code: Tensor, augment, due: bool
) -> None:
    """Make one step of G, whose gradient comes through D and the jitter."""
    with run.autocast():
        loss = compute_loss(D(augment(fake), code))
    if due:
        log_gradients(run, {"generator": loss}, G)
    run.step(opt_g, loss)
    run.log(loss_g=loss)


# %%
def train_s2i(
    name: str, code: dict, pool: Tensor, sample_wrong, steps: int, start="", **changed
) -> training.Run:
    """Train on the pairs `pool`; `sample_wrong(index, generator)` is ω, in a list."""
    how = choose(changed)
    run, G, D, ema, opt_g, opt_d = prepare_run(name, start, how)
    batches, at = make_balanced_batches(pool, how["batch"]), select_monitored(pool)
    compute_loss = how.get("loss", generator_loss)
    augment = partial(jitter, shift=how["shift"], light=how["light"])
    for step in run.steps(steps):
        due = step.is_due(settings.gradients_every)
        index = pool[batches[step.number].to(device)]
        z = torch.randn(len(index), G.noise, generator=run.generator, device=device)
        with run.autocast():
            fake = G(z, code["train"][index])
        pictures = [normalize_pictures(train.pictures[index]), fake.detach()]
        pictures += sample_wrong(index, run.generator)
        common = dict(code=code["train"][index], augment=augment, due=due)
        update_discriminator(run, D, opt_d, pictures, **common)
        update_generator(run, G, D, opt_g, fake, compute_loss, **common)
        ema.update_parameters(G)
        if step.number + 1 == 20 or step.is_due(settings.eval_every):  # look soon
            log_evaluation(run, name, ema.module, code, at)
    run.require_finished()
    return run


# %%
def log_evaluation(
    run: training.Run, name: str, G: Generator, code: dict, places: dict
) -> None:
    """Log one point of Fig. 9; save the weights if no earlier ones were better."""
    pictures = {k: generate_pictures(G, code[k][at]) for k, at in places.items()}
    right = {k: measure_accuracy(x, labels[k][places[k]]) for k, x in pictures.items()}
    _, earlier = run.read_log("train")
    run.log(**right)
    shown = generate_pictures(G, code["test"][first])
    run.log_sample((shown + 1) / 2, "fixed noise", columns=len(shown))
    if right["train"] >= max(earlier, default=0.0):  # of equals, the last
        path = models / f"{name}.safetensors"
        training.save_model(path, G, width=settings.width)


# %% [markdown]
# ## S2I-C, S2I-N, S2I-A
#
# All variants are trained for equally many steps from the same seed. The demo
# (`laptop`) trains S2I-C alone, because its minutes are few. The comparison of the
# three stands in the reference run.


# %%
def sample_other_instrument(index: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Sample ω of Eq. 5: pictures of other instruments than those at `index`."""
    other = sample_wrong_class(train.labels[index], train.labels, generator)
    return [normalize_pictures(train.pictures[other])]


def sample_nothing(index: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Sample nothing: S2I-N is trained without wrong pairs."""
    return []


everything = torch.arange(len(train), device=device)
WRONG = {"S2I-C": sample_other_instrument, "S2I-N": sample_nothing}
WRONG["S2I-A"] = sample_other_instrument
variants = {name: (ENCODINGS[name], WRONG[name]) for name in settings.variants}
files = {name: name.lower().replace("-", "_") for name in variants}

# %% tags=["training"]
runs = {}
for name, (encoder, sampler) in variants.items():
    how = (codes[encoder], everything, sampler, settings.steps)
    runs[name] = train_s2i(files[name], *how)
steps = {name: run.steps_done for name, run in runs.items()}
lesson.record("steps", steps, "Steps of each variant")

# %% [markdown]
# ## Fig. 9: how the accuracy changes during training
#
# In the paper the accuracy of S2I-C rises until epoch 35, then falls sharply until
# epoch 50, and recovers a little. What happens here? Curves that are not flat at their
# end belong to networks that are still learning. A difference below one point counts
# for nothing there: a network that stays near chance gains so little that its noise
# would otherwise look like learning.

# %% tags=["figure9"]
per_epoch = len(train) / settings.batch
curves, figure9 = {}, {}
for name, run in runs.items():
    for split in ("train", "test"):
        at, value = run.read_log(split)
        curves[f"{name}, {split} sounds"] = (at / per_epoch, value)
        entry = {"step": at, "epoch": at / per_epoch, "accuracy": value}
        figure9[f"{name} {split}"] = entry
    lesson.record_training(
        name,
        epochs=run.steps_done / per_epoch,
        steps=run.steps_done,
        held_out=np.transpose(run.read_log("test")),
        training=np.transpose(run.read_log("train")),
        better="higher",
        unit="accuracy by Γ",
        negligible=0.01,
    )
lesson.record("figure9", figure9, "Accuracy by Γ during training")

# %%
lines = {"chance": 1 / len(train.classes)}
figure = show.curves(curves, x="epoch", y="accuracy by Γ", lines=lines, percent=True)
caption = "Accuracy of Γ on generated pictures during training (Fig. 9)."
lesson.figure("figure9", figure, caption)

# %% [markdown]
# ## Is the training healthy?
#
# The losses say little about the quality of the pictures. If D could not tell the pairs
# apart, it would give every pair the score $S_r = S_w = S_f = \tfrac12$, and the losses
# would be $2\ln 2 = 1.39$ for D and $\ln 2 = 0.69$ for G. The scores say more. The
# table of step 6 tells how to read them.

# %%
losses = {
    f"{key}, {name}": run.history[log]
    for name, run in runs.items()
    for key, log in (("D", "loss_d"), ("G", "loss_g"))
}
lines = {"2 ln 2": 1.386, "ln 2": 0.693}
figure = show.curves(losses, y="loss", lines=lines, smooth=max(1, settings.steps // 50))
lesson.figure("losses", figure, "Losses of discriminator and generator.")


# %%
def draw_health(run: training.Run, smooth: int) -> tuple:
    """Draw the scores of the three kinds of pairs, and the gradients of each term."""
    kinds = [name for name in ("S_r", "S_f", "S_w") if name in run.history]
    scores = {name: run.history[name] for name in kinds}
    first = show.curves(scores, y="mean score", lines={"1/2": 0.5}, smooth=smooth)
    gradients = {
        name.removeprefix("gradient, "): run.read_log(name)
        for name in run.history
        if name.startswith("gradient, ")
    }
    y = "norm of the gradient"
    return first, show.curves(gradients, y=y, logarithmic=True)


main = next(iter(runs))
for kind, figure in zip(
    ("scores", "gradients"),
    draw_health(runs[main], max(1, settings.steps // 50)),
    strict=True,
):
    what = "Scores of the pairs" if kind == "scores" else "Gradients of each term"
    lesson.figure(kind, figure, f"{what} during the training of {main}.")


# %% [markdown]
# Every row below has the same noise and the same sounds of unheard people. What does
# the network find first: colours, the room, the person, the instrument?


# %%
def show_progress(run: training.Run, most: int = 6) -> show.Plot:
    """Show the pictures of fixed noise that the run has kept, some moments of them."""
    paths = sorted((run.folder / "samples").glob("fixed noise_*.png"))
    chosen = np.linspace(0, len(paths) - 1, min(most, len(paths))).round().astype(int)
    figure, axes = show.subplots(len(chosen), 1, width=8.0, height=0.75)
    for ax, i in zip(axes[:, 0], chosen, strict=True):
        ax.imshow(Image.open(paths[i]))
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        number = int(paths[i].stem.rpartition("_")[2])
        ax.set_ylabel(f"step {number}", rotation=0, ha="right", va="center")
    return figure


caption = f"{main}: fixed noise and fixed sounds through the training."
lesson.figure("fixed_noise", show_progress(runs[main]), caption)


# %% [markdown]
# ## A gallery of failures
#
# Each run below differs from the healthy one in a single thing. All have the same seed
# and the same few steps. Look at the scores and at the pictures together. Which of
# these runs are sick already, and which of the causes in step 6 do the scores name?


# %%
def saturating_loss(fake: Tensor) -> Tensor:
    """Compute log(1 - S_f), which the G of Eq. 1 minimises."""
    return -F.softplus(fake).mean()


FAILURES = {
    "healthy": {},
    "norms in D": {"norm_d": True},
    "no jitter": {"shift": 0, "light": 0.0},
    "rate × 10": {"learning_rate": 10 * settings.learning_rate},
    "the loss of Eq. 1": {"loss": saturating_loss},
}
sick = {}
for what, changed in FAILURES.items() if settings.sick_steps else ():
    name = "gallery_" + "".join(c if c.isalnum() else "_" for c in what)
    how = (codes["classifier"], everything, sample_other_instrument)
    sick[what] = train_s2i(name, *how, settings.sick_steps, **changed)


# %%
def average_end(run: training.Run, name: str) -> float:
    """Average what was logged under a name over the last quarter of a run."""
    _, values = run.read_log(name)
    return float(values[-max(1, len(values) // 4) :].mean())


# %%
logged = (
    "S_r",
    "S_f",
    "S_w",
    "gradient, real",
    "gradient, fake",
    "gradient, generator",
)
rows = [
    {"run": what, "accuracy by Γ, test sounds": average_end(run, "test")}
    | {name: average_end(run, name) for name in logged}
    for what, run in sick.items()
]
for row in rows:
    name = "accuracy by Γ, test sounds"
    row[name] = {"value": row[name], "unit": "fraction"}
if rows:
    caption = f"Runs of {settings.sick_steps} steps, means over their last quarter"
    lesson.table("failures", rows, caption)
else:
    print("This scale trains no failures. The report shows those of the reference run.")

# %% tags=["failures"]
if sick:
    strips = []
    for run in sick.values():
        path = max((run.folder / "samples").glob("fixed noise_*.png"))
        strips.append(np.array(Image.open(path).convert("RGB")))
    figure, axes = show.subplots(len(strips), 1, width=8.5, height=0.75)
    for ax, strip, what in zip(axes[:, 0], strips, sick, strict=True):
        ax.imshow(strip)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.set_ylabel(what, rotation=0, ha="right", va="center")
    lesson.figure("failures", figure, "What each of these runs generates at its end.")


# %% [markdown]
# ## Look at the pictures (Fig. 1)
#
# Each column is an instrument, each row a network. All pictures of a column come from
# the same sound of an unheard person. The last row is the real picture.


# %%
def generate_bytes(name: str, code: Tensor, seed: int = lesson.seed) -> Tensor:
    """Generate pictures (B, 64, 64, 3) in bytes by the best weights of a network."""
    G = training.load_model(models / f"{name}.safetensors", Generator).to(device)
    return denormalize_pictures(generate_pictures(G, code, seed)).cpu()


# %% tags=["figure1"]
grid = [
    generate_bytes(files[name], codes[encoder]["test"][first])
    for name, (encoder, _) in variants.items()
]
names = [test.classes[k] for k in present]
rows = [
    f"{name}, {run.steps_done / per_epoch:.2g} epochs" for name, run in runs.items()
]
figure = show.image_grid(
    [*grid, test.pictures[first].cpu()],
    rows=[*rows, "real"],
    columns=names,
)
lesson.figure("figure1", figure, "Pictures generated from sounds of unheard people.")

# %% [markdown]
# The same sounds with other noise. What the noise changes is what the sound does not
# decide. Where the rows hardly differ, the network derives everything from the sound,
# also the person and the room.

# %%
rows = [
    generate_bytes("s2i_c", codes["classifier"]["test"][first], seed)
    for seed in range(1, 5)
]
figure = show.image_grid(rows, columns=names)
lesson.figure("noise", figure, "S2I-C, four draws of noise for each held-out sound.")


# %% [markdown]
# ## Pose-oriented models: one for each instrument (Eq. 6, Fig. 10)
#
# Now the wrong picture shows the same instrument at another moment. One instrument has
# few pictures, too few to learn from untrained weights. Both networks therefore start
# with the weights that S2I-C ended with. Step 10 measures whether the pose follows the
# sound.


# %%
def sample_other_moment(index: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Sample ω of Eq. 6: pictures of the same instrument at another moment."""
    other = sample_wrong_moment(index, train.labels, generator)
    return [normalize_pictures(train.pictures[other])]


# %%
wanted = settings.pose_classes
wanted = train.classes if "all" in wanted else wanted
chosen = [name for name in wanted if name in train.classes]
if wanted and not chosen:  # own data, with other classes
    chosen = list(train.classes[:1])
for name in chosen:
    pool = torch.nonzero(train.labels == train.classes.index(name))[:, 0]
    how = (codes["classifier"], pool, sample_other_moment, settings.pose_steps)
    run = train_s2i(f"pose_{name}", *how, start="s2i_c")
    lesson.record_training(
        f"pose, {name}",
        epochs=run.steps_done * settings.batch / len(pool),
        steps=run.steps_done,
        held_out=np.transpose(run.read_log("test")),
        training=np.transpose(run.read_log("train")),
        better="higher",
        unit="accuracy by Γ",
        negligible=0.01,
    )
lesson.record("pose_models", chosen, "Instruments with a pose model")

# %% tags=["figure10"]
for name in chosen[:1]:
    shown = torch.nonzero(test.labels == test.classes.index(name))[:8, 0]
    pictures = generate_bytes(f"pose_{name}", codes["classifier"]["test"][shown])
    rows = [pictures, test.pictures[shown].cpu()]
    figure = show.image_grid(rows, rows=["pose S2I", "real"])
    lesson.figure("figure10", figure, f"Eight half-seconds of an unheard {name}.")
if not chosen:
    print("This scale trains no pose model. The reference run does.")


# %% [markdown]
# ## What came out
#
# The next cell reads the curves of this run. It tells where each variant was best on
# the training sounds, because these weights are saved, and what Γ says there about the
# test sounds. It then looks at the fall of Fig. 9 and at its explanation. At `smoke`
# the networks are practically untrained.


# %%
def explain_scores(run: training.Run) -> str:
    """Say in words what the scores at the end of a run mean."""
    real, fake = average_end(run, "S_r"), average_end(run, "S_f")
    told = f"At the end S_r is {real:.2f} and S_f {fake:.2f}: "
    if real > 0.9 and fake < 0.1:
        return told + "D has won, as when it memorises."
    if abs(real - fake) < 0.1:
        return told + "D cannot tell them apart, not yet or no more."
    return told + "D is ahead of G and still gives it a gradient."


# %%
chance = 1 / len(train.classes)
for name, run in runs.items():
    at, by_train = run.read_log("train")
    _, by_test = run.read_log("test")
    best = np.flatnonzero(by_train == by_train.max())[-1]
    fall = by_test[best] - by_test[-1]
    print(f"{name} was best on training sounds at epoch {at[best] / per_epoch:.2g} of")
    print(f"{at[-1] / per_epoch:.2g}. There Γ is right for {by_train[best]:.1%} of the")
    print(f"training sounds and {by_test[best]:.1%} of the test sounds. From there to")
    print(f"the end the test sounds {'lose' if fall > 0 else 'gain'} {abs(fall):.1%}.")
    print(explain_scores(run))
print(f"Chance is {chance:.1%}. The EvalClassifier's judgement follows in step 10.")
if at[-1] / per_epoch < 50:
    print(
        "The paper's fall lies between epochs 35 and 50, which this run has not seen."
    )

# %% [markdown]
# ## Exercises
#
# 1. Suppose you knew the probability density of a pair as a real, as a generated and as
#    a wrong pair. Which score S should the discriminator give it by Eq. 4? What is S
#    when the three are equal, and where do the lines in the plot of the losses come
#    from?
# 2. Write one whole step of the training: the discriminator's update, then the
#    generator's, each with the losses of step 6.
# 3. The best value of a curve is never below its last one, so "best minus last" finds a
#    fall in every noise. Write a statistic of both curves that can be negative.

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
#
# def compute_best_score(real, fake, wrong):
#     """The S that maximises Eq. 4, given densities of the same pairs, (N,) each."""
#     ...  # your code
#
#
# course.try_exercise(exercises.BEST_SCORE, compute_best_score)

# %% tags=["active-ipynb"]
# def make_gan_step(G, D, opt_g, opt_d, real, wrong, code, z):
#     """Update D once by Eq. 4, then G once by Eq. 3, with the pictures G(z, code).
#
#     D(pictures, code) gives logits. Return both losses, (D's, G's).
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.GAN_STEP, make_gan_step)

# %% tags=["active-ipynb"]
# def measure_fall(train, test):
#     """How much the test curve falls from the training curve's best point to the end.
#
#     Of equally good points on the training curve take the last.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.FALL, measure_fall)

# %%
lesson.finish()
