# %% [markdown]
# # Step 7 · Train sound to image: three variants, one curve, and a pose
#
# Everything is ready: encodings of the sounds (step 3), Γ to watch (step 5), the
# two players and their losses (step 6). Here they train:
#
# | network | sound encoding | wrong pairs |
# |---|---|---|
# | **S2I-C** | classifier | another instrument (Eq. 5) |
# | **S2I-N** | classifier | none |
# | **S2I-A** | autoencoder | another instrument (Eq. 5) |
# | **pose** | classifier | another moment, same instrument (Eq. 6) |

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
from avnb_notebooks.deep_cross_modal.step6_sound_to_image import (
    Discriminator,
    Generator,
    discriminator_loss,
    generator_loss,
    init_weights,
    remove_batch_norm,
    sample_wrong_class,
    sample_wrong_moment,
)
from IPython.display import display
from torch import Tensor, nn

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
        #               smoke laptop   gpu   paper
        width=(4, 32, 64, 128),  # W of the generator
        width_d=(4, 24, 64, 64),  # W of the discriminator
        norm_d=(False, False, False, True),  # batch norm in the discriminator
        batch=(8, 32, 64, 64),
        steps=(4, 1300, 20000, 165000),  # the paper's 600 epochs of GAN-CLS
        steps_others=(4, 100, 20000, 165000),  # of S2I-N and S2I-A
        pose_steps=(2, 400, 5000, 20000),
        pose_classes=(("cello",), ("cello",), ("cello", "violin", "viola"), ()),
        watch=(2, 100, 500, 1372),  # steps between two points of Fig. 9
        rate=(2e-4, 1e-3, 2e-4, 2e-4),  # of both players
        shift=(8, 8, 8, 8),  # of jitter before the discriminator, in pixels
        light=(0.3, 0.3, 0.3, 0.3),  # of jitter
        average=(0.5, 0.995, 0.999, 0.999),  # decay of the generator's average
        precision=("float32", "auto", "auto", "auto"),
    ),
)
settings

# %%
display(course.show_source(Generator, Discriminator, generator_loss))
display(course.show_source(discriminator_loss, sample_wrong_class, sample_wrong_moment))

# %% [markdown]
# ## Encode every sound once
#
# The encoders are finished and do not change any more, so each sound is encoded
# once.

# %%
device = training.get_device()
train, test = (load_pairs(lesson.data, split, device) for split in ("train", "test"))
models = lesson.need("models", "step3_sound_train")
lms = make_representation("LMS", train.sample_rate).to(device)
encoders = {
    "classifier": training.load_model(
        models / "sound_encoder.safetensors", SoundClassifier
    ),
    "autoencoder": training.load_model(
        models / "autoencoder.safetensors", StackedAutoencoder
    ),
}
lesson.need("models/image_encoder.safetensors", "step5_image_train")
gamma = training.load_model(models / "image_encoder.safetensors", ImageClassifier)
gamma = gamma.to(device).eval()


# %%
@torch.no_grad()
def encode(encoder: nn.Module, pairs: Pairs) -> Tensor:
    """The encodings of all sounds of `pairs`, (N, 128)."""
    encoder = encoder.to(device).eval()
    parts = torch.arange(len(pairs), device=device).split(256)
    return torch.cat([encoder.encode(lms(pairs.waveform(part))) for part in parts])


codes = {}
for name, encoder in encoders.items():
    raw = encode(encoder, train)
    standard = Standardizer().to(device).fit(raw)
    codes[name] = {"train": standard(raw), "test": standard(encode(encoder, test))}
    training.save_model(models / f"standard_{name}.safetensors", standard)

# %% [markdown]
# ## Γ watches (Fig. 9)
#
# Every so often the generator paints a picture for some training sounds and for the
# test sounds, and Γ names what it sees. The curve over the *training* sounds decides
# which weights are kept (the paper's early stop); the other is only looked at.

# %%
fixed = torch.Generator().manual_seed(lesson.seed)
watched = {
    "train": torch.randperm(len(train), generator=fixed)[:256].to(device),
    "test": torch.randperm(len(test), generator=fixed)[:256].to(device),
}
labels = {"train": train.labels, "test": test.labels}


def watched_in(pool: Tensor) -> dict[str, Tensor]:
    """Of the watched sounds those whose instrument occurs among the pairs `pool`."""
    wanted = train.labels[pool].unique()
    known = {k: at[torch.isin(labels[k][at], wanted)] for k, at in watched.items()}
    return {split: at for split, at in known.items() if len(at)}


# %%
@torch.no_grad()
def try_out(G: Generator, code: Tensor) -> Tensor:
    """What G paints for these encodings, always from the same noise."""
    z = torch.randn(
        len(code), G.noise, generator=torch.Generator().manual_seed(lesson.seed)
    )
    return G.eval()(z.to(device), code).float()


@torch.no_grad()
def agreement(painted: Tensor, label: Tensor) -> float:
    """The share of painted pictures in which Γ sees the right instrument."""
    return (gamma(painted).argmax(dim=1) == label).float().mean().item()


# %% [markdown]
# ## The training loop
#
# Two updates a step. The discriminator sees a true, a generated and a wrong pair
# (Eq. 4); then the generator paints anew and is moved so that its picture scores
# higher (Eq. 3). No gradient is needed through the first painting, so none is kept.


# %%
def begin(name: str, start: str = "") -> tuple:
    """The run, both players, the average of the generator, and the optimisers.

    The players begin as those of the run `start` ended, if one is named.
    """
    training.seed_everything(lesson.seed)
    G = Generator(settings.width).apply(init_weights)
    D = Discriminator(settings.width_d)
    D = D.apply(init_weights) if settings.norm_d else remove_batch_norm(D)
    if start:
        training.load_weights(lesson.run_dir / start, G=G, D=D)
    run = training.Run(
        lesson.run_dir / name,
        seed=lesson.seed,
        precision=settings.precision,
        settings=settings.as_dict(),
    )
    return run, *run.prepare(
        G=G,
        D=D,
        average=training.EMA(G, settings.average),
        opt_g=torch.optim.Adam(G.parameters(), settings.rate, (0.5, 0.999)),
        opt_d=torch.optim.Adam(D.parameters(), settings.rate, (0.5, 0.999)),
    )


# %%
def seen_by_d(x: Tensor) -> Tensor:
    """A picture as the discriminator gets to see it."""
    return jitter(x, settings.shift, settings.light)


def balanced_batches(pool: Tensor) -> training.BatchSampler:
    """Batches of places in `pool` in which each class is as likely as any other."""
    balance = compute_sample_weights(train.labels[pool])
    return training.BatchSampler(
        len(pool), settings.batch, seed=lesson.seed, weights=balance
    )


# %%
def train_s2i(name: str, of: dict, pool: Tensor, wrong, steps: int, start: str = ""):
    """Train on the pairs `pool`; `wrong(index, generator)` gives the wrong pictures."""
    run, G, D, average, opt_g, opt_d = begin(name, start)
    batches, places = balanced_batches(pool), watched_in(pool)
    for step in run.steps(steps):
        index = pool[batches[step.number].to(device)]
        code = of["train"][index]
        real, other = (
            normalize_pictures(train.pictures[index]),
            wrong(index, run.generator),
        )
        z = torch.randn(2, len(index), G.noise, generator=run.generator, device=device)
        with run.autocast(), torch.no_grad():
            fake = G(z[0], code)
        with run.autocast():
            pairs = [real, fake] if other is None else [real, fake, other]
            loss_d = discriminator_loss(*(D(seen_by_d(x), code) for x in pairs))
        run.step(opt_d, loss_d)
        with run.autocast():
            loss_g = generator_loss(D(seen_by_d(G(z[1], code)), code))
        run.step(opt_g, loss_g)
        average.update_parameters(G)
        run.log(loss_d=loss_d, loss_g=loss_g)
        if step.is_due(settings.watch):
            watch(run, name, average.module, of, places)
    return run


# %%
def values(run: training.Run, name: str) -> np.ndarray:
    """What was logged under a name, without the steps at which nothing was."""
    logged = run.history.get(name, np.empty(0))
    return logged[np.isfinite(logged)]


def watch(run: training.Run, name: str, G: Generator, of: dict, places: dict) -> None:
    """A point of Fig. 9; the weights are kept when Γ never saw better ones."""
    painted = {split: try_out(G, of[split][at]) for split, at in places.items()}
    seen = {k: agreement(x, labels[k][places[k]]) for k, x in painted.items()}
    earlier = values(run, "train")
    run.log(**seen)
    split, shown = list(painted.items())[-1]
    run.log_sample((shown[:16] + 1) / 2, split)
    if seen["train"] >= max(earlier, default=0.0):
        path = models / f"{name}.safetensors"
        training.save_model(path, G, width=settings.width)


# %% [markdown]
# ## S2I-C, S2I-N, S2I-A
#
# At `laptop` the twenty minutes go to S2I-C; the other two are only begun
# (`steps_others`), so do not compare them with it here. The study over seeds
# (`avnb study`) trains all three equally long, and step 10 shows what it found.


# %%
def other_instrument(index: Tensor, generator: torch.Generator) -> Tensor:
    """ω of Eq. 5: pictures of other instruments than those at `index`."""
    return normalize_pictures(
        train.pictures[sample_wrong_class(train.labels[index], train.labels, generator)]
    )


def nothing_wrong(index: Tensor, generator: torch.Generator) -> None:
    """S2I-N is trained without wrong pairs."""


everything = torch.arange(len(train), device=device)
variants = {
    "s2i_c": ("classifier", other_instrument),
    "s2i_n": ("classifier", nothing_wrong),
    "s2i_a": ("autoencoder", other_instrument),
}
runs = {}
steps = dict.fromkeys(variants, settings.steps_others) | {"s2i_c": settings.steps}
for name, (encoder, wrong) in variants.items():
    runs[name] = train_s2i(name, codes[encoder], everything, wrong, steps[name])
lesson.record("steps", steps)

# %% [markdown]
# ## Fig. 9: does it get better, and does it fall again?

# %% tags=["figure9"]
curves = {}
for name, run in runs.items():
    at = run.history["step"][np.isfinite(run.history["train"])] + 1
    for split in ("train", "test"):
        curves[f"{name} {split}"] = (at, values(run, split))
figure = show.curves(
    curves, y="right instrument, says Γ", lines={"chance": 1 / len(train.classes)}
)
lesson.figure("figure9", figure, "Accuracy on generated pictures while training.")
lesson.record(
    "figure9", {name: {"step": x, "accuracy": y} for name, (x, y) in curves.items()}
)

# %% [markdown]
# The losses tell less. With $S_r = S_w = S_f = \tfrac12$ they would be
# $2\ln 2 = 1.39$ for the discriminator and $\ln 2 = 0.69$ for the generator.

# %%
losses = {
    f"{key} {name}": run.history[key]
    for name, run in runs.items()
    for key in ("loss_d", "loss_g")
}
figure = show.curves(losses, lines={"2 ln 2": 1.386, "ln 2": 0.693}, smooth=50)
lesson.figure("losses", figure, "Both losses of the three variants.")


# %% [markdown]
# ## Look: Fig. 1
#
# One column an instrument, one row a network, the same unheard sound in each
# column, the real picture at the bottom.


# %% tags=["figure1"]
@torch.no_grad()
def paint(name: str, code: Tensor, seed: int = lesson.seed) -> Tensor:
    """Pictures (B, 64, 64, 3) in bytes by the best weights of a network."""
    G = training.load_model(models / f"{name}.safetensors", Generator).to(device).eval()
    z = torch.randn(len(code), G.noise, generator=torch.Generator().manual_seed(seed))
    return denormalize_pictures(G(z.to(device), code)).cpu()


present = sorted(set(test.labels.tolist()))
of_class = [torch.nonzero(test.labels == k)[:, 0] for k in present]
first = torch.stack([places[len(places) // 2] for places in of_class]).cpu()
grid = [
    paint(name, codes[encoder]["test"][first])
    for name, (encoder, _) in variants.items()
]
figure = show.image_grid(
    [*grid, test.pictures[first].cpu()],
    rows=[f"{name.upper().replace('_', '-')}, {steps[name]} steps" for name in steps]
    + ["real"],
    columns=[test.classes[k] for k in present],
)
lesson.figure("figure1", figure, "Unheard sounds, painted.")

# %% [markdown]
# Same sound, other noise: what is left to chance? Where the rows hardly differ, the
# sound has decided everything, down to the person and the room.

# %%
rows = [
    paint("s2i_c", codes["classifier"]["test"][first], seed) for seed in range(1, 5)
]
figure = show.image_grid(rows, columns=[test.classes[k] for k in present])
lesson.figure("noise", figure, "S2I-C, four draws of noise for each unheard sound.")


# %% [markdown]
# ## Pose-oriented: one model an instrument (Eq. 6, Fig. 10)
#
# Now the wrong picture shows the same instrument at another moment. So that the few
# pictures of one instrument need not teach painting from nothing, both players begin
# where S2I-C ended. Whether the pose then follows the sound is measured in step 10.


# %%
def other_moment(index: Tensor, generator: torch.Generator) -> Tensor:
    """ω of Eq. 6: pictures of the same instrument at another moment."""
    return normalize_pictures(
        train.pictures[sample_wrong_moment(index, train.labels, generator)]
    )


wanted = [
    name for name in settings.pose_classes or train.classes if name in train.classes
]
for name in wanted or train.classes[:1]:
    pool = torch.nonzero(train.labels == train.classes.index(name))[:, 0]
    of = (codes["classifier"], pool, other_moment, settings.pose_steps)
    run = train_s2i(f"pose_{name}", *of, start="s2i_c")
lesson.record("pose_models", wanted or list(train.classes[:1]))

# %% tags=["figure10"]
name = (wanted or train.classes)[0]
of_class = torch.nonzero(test.labels == test.classes.index(name))[:8, 0]
painted = paint(f"pose_{name}", codes["classifier"]["test"][of_class])
figure = show.image_grid(
    [painted, test.pictures[of_class].cpu()], rows=["pose S2I", "real"]
)
lesson.figure("figure10", figure, f"Eight unheard half-seconds of {name}.")

# %% [markdown]
# ## Exercises
#
# 1. Suppose you knew how likely a pair is as a real, as a generated and as a wrong one.
#    Which score S should the discriminator give it, by Eq. 4? What does it say when
#    all three are alike, and where do the lines in the plot of losses come from?
# 2. Read Fig. 9 honestly: given both curves, where does training stop, and what is the
#    accuracy on unheard sounds there?

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
#
# def best_score(real, fake, wrong):
#     """The S that maximises Eq. 4, given densities of the same pairs, (N,) each."""
#     ...  # your code
#
#
# course.try_exercise(exercises.BEST_SCORE, best_score)

# %% tags=["active-ipynb"]
# def early_stop(train, test):
#     """(place, test accuracy there): where the training curve is best, last."""
#     ...  # your code
#
#
# course.try_exercise(exercises.EARLY_STOP, early_stop)

# %%
lesson.finish()
