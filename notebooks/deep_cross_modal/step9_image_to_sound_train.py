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
# **Time.** About 10 minutes to read. At `laptop` the training takes about four minutes
# on two cores.
#
# **Before you start.** Read step 8. Steps 3 and 5 must have run, because this notebook
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
import librosa
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
    average_scores,
    discriminator_terms,
    generator_loss,
    init_weights,
    measure_gradients,
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

from avnb import course, features, training
from avnb.viz import show

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
        #    smoke laptop reference gpu   paper
        width=(4, 32, 32, 64, 128),  # W of the generator
        width_d=(4, 16, 16, 64, 64),  # W of the discriminator
        norm_d=(False, False, False, False, True),  # batch norm in the discriminator
        batch=(8, 32, 32, 64, 64),
        steps=(4, 300, 4000, 20000, 165000),
        eval_every=(2, 50, 200, 500, 1372),  # steps between two measured accuracies
        gradients_every=(1, 25, 25, 100, 500),  # steps between two gradient norms
        learning_rate=(2e-4, 1e-3, 1e-3, 2e-4, 2e-4),  # of both networks
        decay=(0.5, 0.5, 0.5, 0.5, 0.5),  # share of the steps in which the rate falls
        ema_decay=(0.5, 0.99, 0.999, 0.999, 0.999),  # of the generator's weights
        precision=("float32", "auto", "auto", "auto", "auto"),
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
# saved. The accuracy for test pictures, which show unheard people, is the held-out
# curve.

# %%
fixed = torch.randperm(len(train), generator=torch.Generator().manual_seed(lesson.seed))
monitored = {
    "train": fixed[:256],
    "test": torch.randperm(len(test), generator=torch.Generator().manual_seed(1))[:256],
}
monitored = {split: index.to(device) for split, index in monitored.items()}
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
# The number of steps is not among the settings, so more steps go on from where the last
# training ended. Other settings are another experiment, in a folder of its own.
kept, suffix = settings.fix("steps", "eval_every", "gradients_every", "precision")
run = training.Run(
    lesson.run_dir / f"i2s{suffix}",
    seed=lesson.seed,
    precision=settings.precision,
    settings=kept,
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
# now has the *sound* of another instrument. The same generated sounds serve both
# updates.

# %%
weights = compute_sample_weights(train.labels)
batches = training.BatchSampler(
    len(train), settings.batch, seed=lesson.seed, weights=weights
)

# %% tags=["training"]
for step in run.steps(settings.steps):
    rate = anneal_rate(settings.learning_rate, step.number, step.total, settings.decay)
    set_learning_rate(rate, opt_g, opt_d)
    index, due = batches[step.number].to(device), step.is_due(settings.gradients_every)
    real, code = spectrograms[index], codes["train"][index]
    wrong = sample_wrong_class(train.labels[index], train.labels, run.generator)
    z = torch.randn(len(index), G.noise, generator=run.generator, device=device)
    with run.autocast():
        fake = G(z, code)
        scores = [D(x, code) for x in (real, fake.detach(), spectrograms[wrong])]
        terms = discriminator_terms(*scores)
    norms = measure_gradients(terms, list(D.parameters())) if due else {}
    loss_d = torch.stack(list(terms.values())).sum()
    run.step(opt_d, loss_d)
    with run.autocast():
        loss_g = generator_loss(D(fake, code))
    if due:
        norms |= measure_gradients({"generator": loss_g}, list(G.parameters()))
    run.step(opt_g, loss_g)
    ema.update_parameters(G)
    logged = {f"gradient, {name}": norm for name, norm in norms.items()}
    run.log(loss_d=loss_d, loss_g=loss_g, **average_scores(*scores), **logged)
    if step.is_due(settings.eval_every):
        log_accuracy()
run.require_finished()

# %%
lesson.record_training(
    "I2S",
    epochs=run.steps_done * settings.batch / len(train),
    steps=run.steps_done,
    held_out=np.transpose(run.read_log("test")),
    training=np.transpose(run.read_log("train")),
    better="higher",
    unit="accuracy by the sound encoder",
    negligible=0.01,  # one point, as in step 7
)
figure = show.curves(
    {f"{split} pictures": run.read_log(split) for split in ("train", "test")},
    y="accuracy by the sound encoder",
    lines={"chance": 1 / len(train.classes), "the paper": 0.1117},
    percent=True,
)
lesson.figure("accuracy", figure, "Accuracy on generated sounds during training.")

# %% [markdown]
# The scores and the gradients of the terms show whether the training was healthy; step
# 6 tells how to read them.

# %%
losses = {"D": run.history["loss_d"], "G": run.history["loss_g"]}
lines = {"2 ln 2": 1.386, "ln 2": 0.693}
figure = show.curves(losses, y="loss", lines=lines, smooth=max(1, settings.steps // 50))
lesson.figure("losses", figure, "Losses of discriminator and generator.")
scores = {name: run.history[name] for name in ("S_r", "S_f", "S_w")}
figure = show.curves(
    scores, y="mean score", lines={"1/2": 0.5}, smooth=max(1, settings.steps // 50)
)
lesson.figure("scores", figure, "Scores of the three kinds of pairs during training.")
gradients = {
    name: run.read_log(f"gradient, {name}")
    for name in ("real", "fake", "wrong", "generator")
}
figure = show.curves(gradients, y="norm of the gradient", logarithmic=True)
lesson.figure("gradients", figure, "Gradients of each term during training.")

# %% [markdown]
# ## Look at the spectrograms (Fig. 11)
#
# The paper observes less energy at high frequencies and more at low ones, "same as real
# LMS". Look for partials: parallel lines. All panels share one scale of decibels.

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
names = [show.spell_name(test.classes[k]) for k in present]
top = test.sample_rate / 2
figure = show.spectrograms(
    [features.unscale_db(x[i]) for x in (generated, real) for i in shown],
    hop=512 / test.sample_rate,
    hz=librosa.mel_frequencies(130, fmin=0, fmax=top)[1:-1],
    captions=[f"{names[i]}: {w}" for w in ("I2S", "real") for i in shown],
    columns=len(shown),
    unit="dB",
)
lesson.figure("figure11", figure, "Generated spectrograms above, real ones below.")

# %% [markdown]
# The same pictures with other noise. Where the panels are alike, the network has
# learned one sound for each picture, which is a small mode collapse.

# %%
k = shown[-1]
with torch.no_grad():
    z = torch.randn(
        5, G.noise, generator=torch.Generator().manual_seed(lesson.seed + 1)
    )
    many = G(z.to(device), codes["test"][first[k]].expand(5, -1))
figure = show.spectrograms(
    list(features.unscale_db(resize_to_frames(many).cpu())),
    hop=512 / test.sample_rate,
    hz=librosa.mel_frequencies(130, fmin=0, fmax=top)[1:-1],
    captions=[f"noise {i + 1}" for i in range(5)],
    columns=5,
    unit="dB",
)
lesson.figure("noise", figure, f"Five sounds for one picture of a {names[k]}.")

# %% [markdown]
# ## Listen
#
# A mel spectrogram has no phases and blurs the high frequencies. Griffin-Lim estimates
# phases that fit. The real sound, sent through LMS and Griffin-Lim, shows what this
# alone costs.

# %% tags=["listen"]
for i in list(shown)[:4]:
    name = names[i]
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
at, by_train = run.read_log("train")
_, by_test = run.read_log("test")
best = np.flatnonzero(by_train == by_train.max())[-1]
epochs = run.steps_done * settings.batch / len(train)
print(f"I2S was trained for {epochs:.2g} epochs. At step {at[best]:.0f}, the best for")
print(f"training pictures, the sound encoder is right for {by_train[best]:.1%} of the")
print(f"sounds of training pictures and {by_test[best]:.1%} of those of test pictures.")
print(f"Chance is {1 / len(train.classes):.1%}; the paper has 11.2 %.")
differ = features.unscale_db(generated) - features.unscale_db(real)
bands = differ.mean(dim=(0, 2)).chunk(2)
low, high = (band.mean().item() for band in bands)
print(f"In the lower half of the mel bands the generated sounds have {low:+.1f} dB")
print(f"against the real ones, in the upper half {high:+.1f} dB.")
spread = features.unscale_db(many).std(dim=0).mean().item()
print(f"Other noise changes a value by {spread:.1f} dB (standard deviation).")
print("The sound encoder has chosen these weights. Step 10 evaluates with a classifier")
print("that was not used in training.")

# %% [markdown]
# ## Exercises
#
# 1. How far is a generated spectrogram from the real one? Write the log-spectral
#    distance in decibels, a common measure of generated sound.
# 2. The parallel lines in Fig. 11 are partials. Suppose you have measured the
#    frequencies of some of them, perhaps without the lowest, perhaps of a clarinet,
#    which has hardly any even ones. What is the pitch?

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
#
# def measure_spectral_distance(generated, real):
#     """The log-spectral distance of two LMS (128, N) in [-1, 1], in decibels.
#
#     For each frame the root of the mean squared difference in decibels over the
#     bands, then the mean over the frames. The range of 2 is 80 dB wide.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.SPECTRAL_DISTANCE, measure_spectral_distance)

# %% tags=["active-ipynb"]
# def estimate_pitch(partials):
#     """The pitch in Hz from a list of partials in Hz, some of them missing."""
#     ...  # your code
#
#
# course.try_exercise(exercises.PITCH, estimate_pitch)

# %%
lesson.finish()
