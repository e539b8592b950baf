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
# **You will learn** how the two updates of a GAN follow each other, how to monitor a
# GAN by a classifier, how to choose the weights without the test set, and how to
# continue from trained weights.
#
# **Time.** About 20 minutes of reading. The whole series takes 19 minutes at `laptop`
# on two cores, and this notebook is the longest part of it.
#
# **Prerequisites.** Step 6, and the networks that steps 3 and 5 have trained.

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

# %%
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
        eval_every=(2, 100, 500, 1372),  # steps between two points of Fig. 9
        learning_rate=(2e-4, 1e-3, 2e-4, 2e-4),  # of both networks
        shift=(8, 8, 8, 8),  # of jitter before the discriminator, in pixels
        light=(0.3, 0.3, 0.3, 0.3),  # of jitter, as a share
        ema_decay=(0.5, 0.995, 0.999, 0.999),  # of the generator's weights
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
# The encoders are trained and do not change any more, so each sound is encoded once.

# %%
device = training.get_device()
train, test = (load_pairs(lesson.data, split, device) for split in ("train", "test"))
models = lesson.need("models", "step3_sound_train", "step5_image_train")
lms = make_representation("LMS", train.sample_rate).to(device)
encoders = {
    "classifier": training.load_model(
        models / "sound_encoder.safetensors", SoundClassifier
    ),
    "autoencoder": training.load_model(
        models / "autoencoder.safetensors", StackedAutoencoder
    ),
}
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
# sounds is only recorded.

# %%
fixed = torch.Generator().manual_seed(lesson.seed)
monitored = {
    "train": torch.randperm(len(train), generator=fixed)[:256].to(device),
    "test": torch.randperm(len(test), generator=fixed)[:256].to(device),
}
labels = {"train": train.labels, "test": test.labels}


def select_monitored(pool: Tensor) -> dict[str, Tensor]:
    """Select the monitored sounds whose instrument occurs among the pairs `pool`."""
    wanted = train.labels[pool].unique()
    known = {k: at[torch.isin(labels[k][at], wanted)] for k, at in monitored.items()}
    return {split: at for split, at in known.items() if len(at)}


# %%
@torch.no_grad()
def generate_pictures(G: Generator, code: Tensor) -> Tensor:
    """Generate pictures for encodings, always from the same noise."""
    z = torch.randn(
        len(code), G.noise, generator=torch.Generator().manual_seed(lesson.seed)
    )
    return G.eval()(z.to(device), code).float()


@torch.no_grad()
def measure_accuracy(generated: Tensor, label: Tensor) -> float:
    """Measure the share of generated pictures in which Γ sees the right instrument."""
    return (gamma(generated).argmax(dim=1) == label).float().mean().item()


# %% [markdown]
# ## The training loop
#
# Each step has two updates. First the discriminator gets real, generated and wrong
# pairs (Eq. 4). The generated pictures of this update need no gradient for G, so none
# is computed. Then the generator makes new pictures, and its weights move so that their
# score gets higher (Eq. 3).


# %%
def prepare_run(name: str, start: str = "") -> tuple:
    """Make a run, G, D, the EMA of G, and both optimisers.

    If `start` names an earlier run, G and D begin with the weights it ended with.
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
    adam = {"lr": settings.learning_rate, "betas": (0.5, 0.999)}
    opt_g = torch.optim.Adam(G.parameters(), **adam)
    opt_d = torch.optim.Adam(D.parameters(), **adam)
    ema = training.EMA(G, settings.ema_decay)
    return run, *run.prepare(G=G, D=D, ema=ema, opt_g=opt_g, opt_d=opt_d)


# %%
def augment(x: Tensor) -> Tensor:
    """Jitter pictures, as the discriminator gets them."""
    return jitter(x, settings.shift, settings.light)


def make_balanced_batches(pool: Tensor) -> training.BatchSampler:
    """Make batches of positions in `pool` with all classes equally likely."""
    weights = compute_sample_weights(train.labels[pool])
    return training.BatchSampler(
        len(pool), settings.batch, seed=lesson.seed, weights=weights
    )


# %%
def update_discriminator(run, G, D, opt_d, code: Tensor, real: Tensor, wrong, z):
    """Make one step of D on real, generated and, if there are any, wrong pairs."""
    with run.autocast(), torch.no_grad():
        fake = G(z, code)
    with run.autocast():
        pictures = [real, fake] if wrong is None else [real, fake, wrong]
        loss = discriminator_loss(*(D(augment(x), code) for x in pictures))
    run.step(opt_d, loss)
    return loss


def update_generator(run, G, D, opt_g, code: Tensor, z: Tensor) -> Tensor:
    """Make one step of G, whose gradient comes through D and the jitter."""
    with run.autocast():
        loss = generator_loss(D(augment(G(z, code)), code))
    run.step(opt_g, loss)
    return loss


# %%
def train_s2i(
    name: str, code: dict, pool: Tensor, sample_wrong, steps: int, start: str = ""
) -> training.Run:
    """Train on the pairs `pool`, with the encodings `code` of both splits.

    `sample_wrong(index, generator)` gives the wrong pictures ω, or None.
    """
    run, G, D, ema, opt_g, opt_d = prepare_run(name, start)
    batches, monitored_pairs = make_balanced_batches(pool), select_monitored(pool)
    for step in run.steps(steps):
        index = pool[batches[step.number].to(device)]
        condition, real = (
            code["train"][index],
            normalize_pictures(train.pictures[index]),
        )
        wrong = sample_wrong(index, run.generator)
        z = torch.randn(2, len(index), G.noise, generator=run.generator, device=device)
        loss_d = update_discriminator(run, G, D, opt_d, condition, real, wrong, z[0])
        loss_g = update_generator(run, G, D, opt_g, condition, z[1])
        ema.update_parameters(G)
        run.log(loss_d=loss_d, loss_g=loss_g)
        if step.is_due(settings.eval_every):
            log_accuracy(run, name, ema.module, code, monitored_pairs)
    run.require_finished()
    return run


# %%
def get_logged(run: training.Run, name: str) -> np.ndarray:
    """Return what was logged under a name, without the steps that logged nothing."""
    logged = run.history.get(name, np.empty(0))
    return logged[np.isfinite(logged)]


def log_accuracy(
    run: training.Run, name: str, G: Generator, code: dict, places: dict
) -> None:
    """Log one point of Fig. 9; save the weights if no earlier ones were better."""
    pictures = {k: generate_pictures(G, code[k][at]) for k, at in places.items()}
    right = {k: measure_accuracy(x, labels[k][places[k]]) for k, x in pictures.items()}
    earlier = get_logged(run, "train")
    run.log(**right)
    split, shown = list(pictures.items())[-1]
    run.log_sample((shown[:16] + 1) / 2, split)
    if right["train"] >= max(earlier, default=0.0):  # of equals, the last
        path = models / f"{name}.safetensors"
        training.save_model(path, G, width=settings.width)


# %% [markdown]
# ## S2I-C, S2I-N, S2I-A
#
# At `laptop` almost all of the time goes to S2I-C. The other two are trained for
# `steps_others` steps only, so do not compare them with S2I-C here. The study over
# seeds (`avnb study`) trains all three equally long, and step 10 shows its result.


# %%
def sample_other_instrument(index: Tensor, generator: torch.Generator) -> Tensor:
    """Sample ω of Eq. 5: pictures of other instruments than those at `index`."""
    return normalize_pictures(
        train.pictures[sample_wrong_class(train.labels[index], train.labels, generator)]
    )


def sample_nothing(index: Tensor, generator: torch.Generator) -> None:
    """Sample nothing: S2I-N is trained without wrong pairs."""


everything = torch.arange(len(train), device=device)
variants = {
    "s2i_c": ("classifier", sample_other_instrument),
    "s2i_n": ("classifier", sample_nothing),
    "s2i_a": ("autoencoder", sample_other_instrument),
}
runs = {}
# How long each variant is trained; step 10 compares only equally long ones.
steps = dict.fromkeys(variants, settings.steps_others) | {"s2i_c": settings.steps}
for name, (encoder, sampler) in variants.items():
    how = (codes[encoder], everything, sampler, steps[name])
    runs[name] = train_s2i(name, *how)
lesson.record("steps", {name: run.steps_done for name, run in runs.items()})

# %% [markdown]
# ## Fig. 9: how the accuracy changes during training
#
# In the paper the accuracy of S2I-C rises until epoch 35, then falls sharply, and
# recovers a little. What happens here?

# %% tags=["figure9"]
curves = {}
for name, run in runs.items():
    at = run.history["step"][np.isfinite(run.history["train"])] + 1
    for split in ("train", "test"):
        curves[f"{name} {split}"] = (at, get_logged(run, split))
figure = show.curves(
    curves, y="accuracy by Γ", lines={"chance": 1 / len(train.classes)}
)
lesson.figure("figure9", figure, "Accuracy of Γ on generated pictures during training.")
lesson.record(
    "figure9", {name: {"step": x, "accuracy": y} for name, (x, y) in curves.items()}
)

# %% [markdown]
# The losses say less about the quality of the pictures. If D could not tell the pairs
# apart, it would give every pair the score $S_r = S_w = S_f = \tfrac12$. The losses
# would then be $2\ln 2 = 1.39$ for the discriminator and $\ln 2 = 0.69$ for the
# generator.

# %%
losses = {
    f"{key} {name}": run.history[key]
    for name, run in runs.items()
    for key in ("loss_d", "loss_g")
}
figure = show.curves(losses, lines={"2 ln 2": 1.386, "ln 2": 0.693}, smooth=50)
lesson.figure(
    "losses", figure, "Losses of discriminator and generator, three variants."
)


# %% [markdown]
# ## Look at the pictures (Fig. 1)
#
# Each column is an instrument, each row a network. All pictures of a column come from
# the same held-out sound. The last row is the real picture.


# %% tags=["figure1"]
@torch.no_grad()
def generate_bytes(name: str, code: Tensor, seed: int = lesson.seed) -> Tensor:
    """Generate pictures (B, 64, 64, 3) in bytes by the best weights of a network."""
    G = training.load_model(models / f"{name}.safetensors", Generator).to(device).eval()
    z = torch.randn(len(code), G.noise, generator=torch.Generator().manual_seed(seed))
    return denormalize_pictures(G(z.to(device), code)).cpu()


present = sorted(set(test.labels.tolist()))
of_class = [torch.nonzero(test.labels == k)[:, 0] for k in present]
first = torch.stack([places[len(places) // 2] for places in of_class]).cpu()
grid = [
    generate_bytes(name, codes[encoder]["test"][first])
    for name, (encoder, _) in variants.items()
]
figure = show.image_grid(
    [*grid, test.pictures[first].cpu()],
    rows=[f"{name.upper().replace('_', '-')}, {steps[name]} steps" for name in steps]
    + ["real"],
    columns=[test.classes[k] for k in present],
)
lesson.figure("figure1", figure, "Pictures generated from held-out sounds.")

# %% [markdown]
# The same sounds with other noise. What the noise changes is what the sound does not
# decide. Where the rows hardly differ, the network derives everything from the sound,
# also the person and the room.

# %%
rows = [
    generate_bytes("s2i_c", codes["classifier"]["test"][first], seed)
    for seed in range(1, 5)
]
figure = show.image_grid(rows, columns=[test.classes[k] for k in present])
lesson.figure("noise", figure, "S2I-C, four draws of noise for each held-out sound.")


# %% [markdown]
# ## Pose-oriented models: one for each instrument (Eq. 6, Fig. 10)
#
# Now the wrong picture shows the same instrument at another moment. One instrument has
# few pictures, too few to learn from untrained weights. Both networks therefore start
# with the weights that S2I-C ended with. Step 10 measures whether the pose follows the
# sound.


# %%
def sample_other_moment(index: Tensor, generator: torch.Generator) -> Tensor:
    """Sample ω of Eq. 6: pictures of the same instrument at another moment."""
    return normalize_pictures(
        train.pictures[sample_wrong_moment(index, train.labels, generator)]
    )


chosen = [
    name for name in settings.pose_classes or train.classes if name in train.classes
]
for name in chosen or train.classes[:1]:
    pool = torch.nonzero(train.labels == train.classes.index(name))[:, 0]
    how = (codes["classifier"], pool, sample_other_moment, settings.pose_steps)
    run = train_s2i(f"pose_{name}", *how, start="s2i_c")
lesson.record("pose_models", chosen or list(train.classes[:1]))

# %% tags=["figure10"]
name = (chosen or train.classes)[0]
of_class = torch.nonzero(test.labels == test.classes.index(name))[:8, 0]
pictures = generate_bytes(f"pose_{name}", codes["classifier"]["test"][of_class])
figure = show.image_grid(
    [pictures, test.pictures[of_class].cpu()], rows=["pose S2I", "real"]
)
lesson.figure("figure10", figure, f"Eight held-out half-seconds of {name}.")

# %% [markdown]
# ## What came out
#
# The next cell reads the curves of this run. It tells where each variant was best on
# the training sounds, because these weights are saved, and what Γ says there about the
# test sounds. At `smoke` the networks are practically untrained.

# %%
chance = 1 / len(train.classes)
for name in variants:
    at, by_train = curves[f"{name} train"]
    best = np.flatnonzero(by_train == by_train.max())[-1]
    by_test = curves[f"{name} test"][1]
    print(
        f"{name}: best at step {at[best]} of {steps[name]}, where Γ is right in ",
        end="",
    )
    print(
        f"{by_train[best]:.1%} (training sounds) and {by_test[best]:.1%} (test sounds)"
    )
    print(f"  at the last step {by_train[-1]:.1%} and {by_test[-1]:.1%}")
print(f"chance: {chance:.1%}; the judgement of the EvalClassifier follows in step 10")

# %% [markdown]
# ## Exercises
#
# 1. Suppose you knew the probability density of a pair as a real, as a generated and as
#    a wrong pair. Which score S should the discriminator give it by Eq. 4? What is S
#    when the three are equal, and where do the lines in the plot of the losses come
#    from?
# 2. Given both curves of Fig. 9, where does training stop, and what is the accuracy on
#    test sounds there?

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
# def choose_checkpoint(train, test):
#     """(index, test accuracy there) of the last best point of the training curve."""
#     ...  # your code
#
#
# course.try_exercise(exercises.CHOOSE_CHECKPOINT, choose_checkpoint)

# %%
lesson.finish()
