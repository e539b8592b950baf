# %% [markdown]
# # Step 9 · Train image to sound, and listen
#
# A picture of a musician goes in, a log-mel spectrogram comes out, and Griffin-Lim
# makes it sound. The paper reached 11.17 % by its sound classifier, where chance is
# 7.7 %.

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
    Standardizer,
    lms_to_waveform,
    make_representation,
)
from avnb_notebooks.deep_cross_modal.step4_image import (
    ImageClassifier,
    normalize_pictures,
)
from avnb_notebooks.deep_cross_modal.step6_sound_to_image import (
    discriminator_loss,
    generator_loss,
    init_weights,
    remove_batch_norm,
    sample_wrong_class,
)
from avnb_notebooks.deep_cross_modal.step8_image_to_sound import (
    SpectrogramDiscriminator,
    SpectrogramGenerator,
    anneal_rate,
    resize_to_frames,
    set_learning_rate,
)
from IPython.display import display
from torch import Tensor

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
    "step9_image_to_sound_train",
    scale=SCALE,
    data=DATA,
    seed=SEED,
    run_dir=RUN_DIR,
    overrides=OVERRIDES,
)

# %%
settings = lesson.settings(
    dict(
        #         smoke laptop gpu   paper
        width=(4, 32, 64, 128),  # W of the generator
        width_d=(4, 16, 64, 64),  # W of the discriminator
        norm_d=(False, False, False, True),  # batch norm in the discriminator
        batch=(8, 32, 64, 64),
        steps=(4, 900, 20000, 165000),
        watch=(2, 100, 500, 1372),  # steps between two looks at the accuracy
        rate=(2e-4, 1e-3, 2e-4, 2e-4),  # of both players
        decay=(0.5, 0.5, 0.5, 0.5),  # the last share of the steps, in which it falls
        average=(0.5, 0.995, 0.999, 0.999),  # decay of the generator's average
        precision=("float32", "auto", "auto", "auto"),
    ),
)
settings

# %%
display(course.show_source(SpectrogramGenerator, SpectrogramDiscriminator))

# %% [markdown]
# ## Encode every picture, transform every sound, once

# %%
device = training.get_device()
train, test = (load_pairs(lesson.data, split, device) for split in ("train", "test"))
models = lesson.need("models", "step5_image_train")
encoder = training.load_model(models / "image_encoder.safetensors", ImageClassifier)
ear = training.load_model(models / "sound_encoder.safetensors", SoundClassifier)
encoder, ear = encoder.to(device).eval(), ear.to(device).eval()
lms = make_representation("LMS", train.sample_rate).to(device)


@torch.no_grad()
def prepare(pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Picture encodings (N, 128) and spectrograms (N, 1, 128, 34) of all pairs."""
    parts = torch.arange(len(pairs), device=device).split(256)
    code = [encoder.encode(normalize_pictures(pairs.pictures[part])) for part in parts]
    sound = [resize_to_34_frames(lms(pairs.get_waveforms(part))) for part in parts]
    return torch.cat(code), torch.cat(sound)


raw, spectrograms = prepare(train)
standard = Standardizer().to(device).fit(raw)
codes = {"train": standard(raw), "test": standard(prepare(test)[0])}
training.save_model(models / "standard_image.safetensors", standard)

# %% [markdown]
# ## The loop
#
# The same two updates as in step 7, with Eq. 7 in place of Eq. 5: the wrong half of
# a wrong pair is now a *sound* of another instrument.

# %%
fixed = torch.randperm(len(train), generator=torch.Generator().manual_seed(lesson.seed))
watched = {
    "train": fixed[:256].to(device),
    "test": torch.arange(len(test))[::3].to(device),
}
labels = {"train": train.labels, "test": test.labels}


@torch.no_grad()
def try_out(G: SpectrogramGenerator, split: str) -> Tensor:
    """What G writes for the watched pictures, always from the same noise."""
    code = codes[split][watched[split]]
    z = torch.randn(
        len(code), G.noise, generator=torch.Generator().manual_seed(lesson.seed)
    )
    return G.eval()(z.to(device), code).float()


@torch.no_grad()
def agreement(written: Tensor, split: str) -> float:
    """The share of generated sounds in which the sound encoder hears the instrument."""
    named = ear(resize_to_frames(written)).argmax(dim=1)
    return (named == labels[split][watched[split]]).float().mean().item()


# %%
training.seed_everything(lesson.seed)
G = SpectrogramGenerator(settings.width).apply(init_weights)
D = SpectrogramDiscriminator(settings.width_d)
D = D.apply(init_weights) if settings.norm_d else remove_batch_norm(D)
opt_g = torch.optim.Adam(G.parameters(), settings.rate, (0.5, 0.999))
opt_d = torch.optim.Adam(D.parameters(), settings.rate, (0.5, 0.999))
run = training.Run(
    lesson.run_dir / "i2s",
    seed=lesson.seed,
    precision=settings.precision,
    settings=settings.as_dict(),
)
average = training.EMA(G, settings.average)
G, D, average, opt_g, opt_d = run.prepare(
    G=G, D=D, average=average, opt_g=opt_g, opt_d=opt_d
)


# %%
def watch() -> None:
    """Log the agreement; keep the weights when it never was better."""
    earlier = run.history.get("train", np.zeros(1))
    written = {split: try_out(average.module, split) for split in ("train", "test")}
    seen = {split: agreement(x, split) for split, x in written.items()}
    run.log(**seen)
    run.log_sample((written["test"][:16].flip(2) + 1) / 2, "unseen")
    if seen["train"] >= np.nanmax(earlier):
        path = models / "i2s.safetensors"
        training.save_model(path, average.module, width=settings.width)


# %% tags=["training"]
balance = compute_sample_weights(train.labels)
batches = training.BatchSampler(
    len(train), settings.batch, seed=lesson.seed, weights=balance
)
for step in run.steps(settings.steps):
    rate = anneal_rate(settings.rate, step.number, step.total, settings.decay)
    set_learning_rate(rate, opt_g, opt_d)
    index = batches[step.number].to(device)
    real, code = spectrograms[index], codes["train"][index]
    other = sample_wrong_class(train.labels[index], train.labels, run.generator)
    z = torch.randn(2, len(index), G.noise, generator=run.generator, device=device)
    with run.autocast(), torch.no_grad():
        fake = G(z[0], code)
    with run.autocast():
        scores = [D(x, code) for x in (real, fake, spectrograms[other])]
        loss_d = discriminator_loss(*scores)
    run.step(opt_d, loss_d)
    with run.autocast():
        loss_g = generator_loss(D(G(z[1], code), code))
    run.step(opt_g, loss_g)
    average.update_parameters(G)
    run.log(loss_d=loss_d, loss_g=loss_g)
    if step.is_due(settings.watch):
        watch()

# %%
looked = np.isfinite(run.history["train"])
at = run.history["step"][looked] + 1
curves = {split: (at, run.history[split][looked]) for split in ("train", "test")}
lines = {"chance": 1 / len(train.classes), "paper": 0.1117}
figure = show.curves(curves, y="right instrument", lines=lines)
lesson.figure("accuracy", figure, "Accuracy on generated sounds while training.")
losses = {name: run.history[name] for name in ("loss_d", "loss_g")}
lesson.figure("losses", show.curves(losses, smooth=50), "Both losses.")

# %% [markdown]
# ## Fig. 11: generated and real spectrograms
#
# The paper's observation: less energy at high frequencies, more at low ones, "same
# as real LMS". Look whether harmonics have formed: parallel lines whose distance is
# the pitch.

# %% tags=["figure11"]
G = training.load_model(models / "i2s.safetensors", SpectrogramGenerator)
G = G.to(device).eval()
present = sorted(set(test.labels.tolist()))
of_class = [torch.nonzero(test.labels == k)[:, 0] for k in present]
first = torch.stack([places[len(places) // 2] for places in of_class]).cpu()
with torch.no_grad():
    z = torch.randn(
        len(first), G.noise, generator=torch.Generator().manual_seed(lesson.seed)
    )
    painted = resize_to_frames(G(z.to(device), codes["test"][first])).cpu()
    real = lms(test.get_waveforms(first.to(device))).cpu()
shown = range(min(5, len(first)))
figure = show.spectrograms(
    [painted[i] for i in shown] + [real[i] for i in shown],
    hop=512 / test.sample_rate,
    captions=[
        f"{test.classes[present[i]]}: {w}" for w in ("I2S", "real") for i in shown
    ],
    columns=len(shown),
)
lesson.figure("figure11", figure, "Generated above, real below.")

# %% [markdown]
# ## Listen
#
# A mel spectrogram has no phase and blurs the high frequencies. Griffin-Lim looks for
# a phase that fits; the real sound sent the same way shows what that alone costs.

# %% tags=["listen"]
for i in list(shown)[:4]:
    name = test.classes[present[i]]
    for what, picture in (("generated", painted[i]), ("real, same way", real[i])):
        sound = lms_to_waveform(picture[None].float(), test.sample_rate)[0]
        lesson.audio(
            f"{name}_{what}", sound.numpy(), test.sample_rate, f"{name}, {what}"
        )

# %% [markdown]
# ## Exercises
#
# 1. What the network writes, -1 to 1, are decibels in disguise: turn them back into mel
#    energies. How much weaker than a white pixel is a grey one (0)?
# 2. The parallel lines in Fig. 11 are partials. Somebody reads their frequencies off,
#    but misses some, perhaps the lowest: what is the pitch?

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
#
# def energy(lms, loud=1000.0):
#     """-1…1 to mel energy: 1 is `loud`, -1 lies 80 dB below (a numpy array)."""
#     ...  # your code
#
#
# course.try_exercise(exercises.ENERGY, energy)

# %% tags=["active-ipynb"]
# def pitch(partials):
#     """The pitch in Hz from a list of partials in Hz, some of them missing."""
#     ...  # your code
#
#
# course.try_exercise(exercises.PITCH, pitch)

# %%
lesson.finish()
