# %% [markdown]
# # Step 9 · Train image to sound, and listen
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/deep_cross_modal/step9_image_to_sound_train.ipynb)
#
# The input is a picture of a musician, the output a log-mel spectrogram, which
# Griffin-Lim turns into sound. The sound classifier of the paper recognised the right
# instrument in 11.17 % of the generated sounds, where chance is 7.7 %.
#
# **You will learn** how the training loop of step 7 changes for spectrograms, what a
# falling learning rate does to the accuracy, and what Griffin-Lim itself costs.
#
# **Time.** About 10 minutes of reading. The whole series takes 19 minutes at `laptop`
# on two cores; after step 7 this is its longest notebook.
#
# **Prerequisites.** Step 8, and the networks that steps 3 and 5 have trained.

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
    Standardizer,
    lms_to_waveform,
    make_representation,
)
from avnb_notebooks.deep_cross_modal.step4_image import (
    ImageClassifier,
    normalize_pictures,
)

# %%
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
    resize_to_34_frames,
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
        eval_every=(2, 100, 500, 1372),  # steps between two measured accuracies
        learning_rate=(2e-4, 1e-3, 2e-4, 2e-4),  # of both networks
        decay=(0.5, 0.5, 0.5, 0.5),  # share of the steps in which the rate falls
        ema_decay=(0.5, 0.995, 0.999, 0.999),  # of the generator's weights
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
models = lesson.need("models", "step3_sound_train", "step5_image_train")
image_encoder = training.load_model(
    models / "image_encoder.safetensors", ImageClassifier
)
sound_encoder = training.load_model(
    models / "sound_encoder.safetensors", SoundClassifier
)
image_encoder = image_encoder.to(device).eval()
sound_encoder = sound_encoder.to(device).eval()
lms = make_representation("LMS", train.sample_rate).to(device)


# %%
@torch.no_grad()
def encode_pairs(pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Compute picture encodings (N, 128) and spectrograms (N, 1, 128, 34)."""
    parts = torch.arange(len(pairs), device=device).split(256)
    pictures = (normalize_pictures(pairs.pictures[part]) for part in parts)
    code = [image_encoder.encode(picture) for picture in pictures]
    sound = [resize_to_34_frames(lms(pairs.get_waveforms(part))) for part in parts]
    return torch.cat(code), torch.cat(sound)


raw, spectrograms = encode_pairs(train)
scaler = Standardizer().to(device).fit(raw)  # statistics of the training set alone
codes = {"train": scaler(raw), "test": scaler(encode_pairs(test)[0])}
training.save_model(models / "standardizer_image.safetensors", scaler)

# %% [markdown]
# ## Monitor the accuracy
#
# As in step 7, the accuracy on generated sounds is measured at regular intervals, here
# by the sound encoder. The accuracy for *training* pictures decides which weights are
# saved.

# %%
fixed = torch.randperm(len(train), generator=torch.Generator().manual_seed(lesson.seed))
monitored = {
    "train": fixed[:256].to(device),
    "test": torch.arange(len(test))[::3].to(device),
}
labels = {"train": train.labels, "test": test.labels}


@torch.no_grad()
def generate_spectrograms(G: SpectrogramGenerator, split: str) -> Tensor:
    """Generate spectrograms for the monitored pictures, always from the same noise."""
    code = codes[split][monitored[split]]
    z = torch.randn(
        len(code), G.noise, generator=torch.Generator().manual_seed(lesson.seed)
    )
    return G.eval()(z.to(device), code).float()


@torch.no_grad()
def measure_accuracy(generated: Tensor, split: str) -> float:
    """Measure the share of sounds that the sound encoder classifies right."""
    predicted = sound_encoder(resize_to_frames(generated)).argmax(dim=1)
    return (predicted == labels[split][monitored[split]]).float().mean().item()


# %% [markdown]
# ## The networks and their optimisers

# %%
training.seed_everything(lesson.seed)
G = SpectrogramGenerator(settings.width).apply(init_weights)
D = SpectrogramDiscriminator(settings.width_d)
D = D.apply(init_weights) if settings.norm_d else remove_batch_norm(D)
opt_g = torch.optim.Adam(G.parameters(), settings.learning_rate, (0.5, 0.999))
opt_d = torch.optim.Adam(D.parameters(), settings.learning_rate, (0.5, 0.999))
run = training.Run(
    lesson.run_dir / "i2s",
    seed=lesson.seed,
    precision=settings.precision,
    settings=settings.as_dict(),
)
ema = training.EMA(G, settings.ema_decay)
G, D, ema, opt_g, opt_d = run.prepare(G=G, D=D, ema=ema, opt_g=opt_g, opt_d=opt_d)


# %%
def log_accuracy() -> None:
    """Log the accuracies; save the weights if no earlier ones were better."""
    earlier = run.history.get("train", np.zeros(1))
    pictures = {k: generate_spectrograms(ema.module, k) for k in ("train", "test")}
    right = {split: measure_accuracy(x, split) for split, x in pictures.items()}
    run.log(**right)
    # Row 0 of a spectrogram is its lowest band, but row 0 of a picture is at the top.
    run.log_sample((pictures["test"][:16].flip(2) + 1) / 2, "held-out")
    if right["train"] >= np.nanmax(earlier):  # of equals, the last
        path = models / "i2s.safetensors"
        training.save_model(path, ema.module, width=settings.width)


# %% [markdown]
# ## The training loop
#
# The two updates are those of step 7. Eq. 7 takes the place of Eq. 5: a wrong pair
# now has the *sound* of another instrument.

# %% tags=["training"]
weights = compute_sample_weights(train.labels)
batches = training.BatchSampler(
    len(train), settings.batch, seed=lesson.seed, weights=weights
)
for step in run.steps(settings.steps):
    rate = anneal_rate(settings.learning_rate, step.number, step.total, settings.decay)
    set_learning_rate(rate, opt_g, opt_d)
    index = batches[step.number].to(device)
    real, code = spectrograms[index], codes["train"][index]
    wrong = sample_wrong_class(train.labels[index], train.labels, run.generator)
    z = torch.randn(2, len(index), G.noise, generator=run.generator, device=device)
    with run.autocast(), torch.no_grad():
        fake = G(z[0], code)
    with run.autocast():
        scores = [D(x, code) for x in (real, fake, spectrograms[wrong])]
        loss_d = discriminator_loss(*scores)
    run.step(opt_d, loss_d)
    with run.autocast():
        loss_g = generator_loss(D(G(z[1], code), code))
    run.step(opt_g, loss_g)
    ema.update_parameters(G)
    run.log(loss_d=loss_d, loss_g=loss_g)
    if step.is_due(settings.eval_every):
        log_accuracy()
run.require_finished()

# %%
measured = np.isfinite(run.history["train"])
at = run.history["step"][measured] + 1
curves = {split: (at, run.history[split][measured]) for split in ("train", "test")}
lines = {"chance": 1 / len(train.classes), "paper": 0.1117}
figure = show.curves(curves, y="accuracy by the sound encoder", lines=lines)
lesson.figure("accuracy", figure, "Accuracy on generated sounds during training.")
losses = {name: run.history[name] for name in ("loss_d", "loss_g")}
lesson.figure("losses", show.curves(losses, smooth=50), "Losses of D and G.")

# %% [markdown]
# ## Look at the spectrograms (Fig. 11)
#
# The paper observes less energy at high frequencies and more at low ones, "same as real
# LMS". Look for harmonics: parallel lines whose distance is the pitch.

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
    generated = resize_to_frames(G(z.to(device), codes["test"][first])).cpu()
    real = lms(test.get_waveforms(first.to(device))).cpu()
shown = range(min(5, len(first)))
figure = show.spectrograms(
    [generated[i] for i in shown] + [real[i] for i in shown],
    hop=512 / test.sample_rate,
    captions=[
        f"{test.classes[present[i]]}: {w}" for w in ("I2S", "real") for i in shown
    ],
    columns=len(shown),
)
lesson.figure("figure11", figure, "Generated spectrograms above, real ones below.")

# %% [markdown]
# ## Listen
#
# A mel spectrogram has no phases and blurs the high frequencies. Griffin-Lim estimates
# phases that fit. The real sound, sent through LMS and Griffin-Lim, shows what this
# alone costs.

# %% tags=["listen"]
for i in list(shown)[:4]:
    name = test.classes[present[i]]
    for what, picture in (("generated", generated[i]), ("real via LMS", real[i])):
        sound = lms_to_waveform(picture[None].float(), test.sample_rate)[0]
        lesson.audio(
            f"{name}_{what}", sound.numpy(), test.sample_rate, f"{name}, {what}"
        )

# %% [markdown]
# ## What came out
#
# The next cell reads the curves of this run. At `smoke` the networks are practically
# untrained.

# %%
at, by_train = curves["train"]
by_test = curves["test"][1]
best = np.flatnonzero(by_train == by_train.max())[-1]
print(f"best at step {at[best]} of {run.steps_done}, where the sound encoder is right")
print(f"for {by_train[best]:.1%} of training and {by_test[best]:.1%} of test pictures;")
print(f"chance {1 / len(train.classes):.1%}, in the paper 11.2 %")
print("The sound encoder has chosen these weights, so its accuracy may be too high.")
print("Step 10 evaluates with a classifier that was not used in training.")

# %% [markdown]
# ## Exercises
#
# 1. The numbers of the network, -1 to 1, stand for decibels. Convert them to mel
#    energies. How much weaker than a white pixel (1) is a grey one (0)?
# 2. The parallel lines in Fig. 11 are partials. Suppose you have measured the
#    frequencies of some of them, perhaps without the lowest. What is the pitch?

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
#
# def convert_to_energy(lms, loud=1000.0):
#     """-1…1 to mel energy: 1 is `loud`, -1 is 80 dB below (a numpy array)."""
#     ...  # your code
#
#
# course.try_exercise(exercises.ENERGY, convert_to_energy)

# %% tags=["active-ipynb"]
# def estimate_pitch(partials):
#     """The pitch in Hz from a list of partials in Hz, some of them missing."""
#     ...  # your code
#
#
# course.try_exercise(exercises.PITCH, estimate_pitch)

# %%
lesson.finish()
