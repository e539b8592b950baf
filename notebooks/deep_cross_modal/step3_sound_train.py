# %% [markdown]
# # Step 3 · Train on sound: which representation is best? (Table 1)
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/deep_cross_modal/step3_sound_train.ipynb)
#
# Table 1 of the paper compares five representations and two depths. We train these ten
# classifiers in the same way on the training recordings and test them on *held-out*
# recordings. Then we train the paper's best, LMS with four layers, for longer. Its 128
# numbers are the encoding of S2I-C. The autoencoder of S2I-A follows. Last we train an
# **EvalClassifier** for sounds. It takes no part in training a generator, and step 10
# uses it to evaluate generated sounds.
#
# **You will learn** how to compare representations fairly, how to compute an interval
# for an accuracy, and how to train a stacked autoencoder.
#
# **Time.** About 15 minutes of reading, and a few minutes of training at `laptop` on
# two cores.
#
# **Prerequisites.** Step 2 defines the networks; step 4 defines `EvalClassifier`.

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
import torch
from avnb_notebooks.deep_cross_modal.step1_data import (
    Pairs,
    compute_sample_weights,
    load_pairs,
)
from avnb_notebooks.deep_cross_modal.step2_sound import (
    REPRESENTATIONS,
    SoundClassifier,
    StackedAutoencoder,
    group_parameters,
    make_representation,
    reconstruction_loss,
)
from avnb_notebooks.deep_cross_modal.step4_image import EvalClassifier
from IPython.display import display
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.functional import confusion_matrix

from avnb import course, metrics, training
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
    "step3_sound_train",
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
        batch=(8, 32, 64, 64),
        width=(4, 16, 32, 32),  # channels of the first convolution
        table_steps=(2, 60, 2000, 10000),  # for each classifier of Table 1
        steps=(3, 500, 4000, 20000),  # for the encoder and the EvalClassifier
        autoencoder_steps=(2, 100, 1000, 5000),  # for each of the four stacks
        learning_rate=(1e-3, 1e-3, 1e-3, 1e-3),
        l2=(0.015, 0.015, 0.015, 0.015),  # Sec. 3.3
        precision=("float32", "auto", "auto", "auto"),
    ),
)
settings

# %% [markdown]
# The networks were defined in steps 2 and 4. Unfold a line to read the source:

# %%
display(course.show_source(SoundClassifier, StackedAutoencoder, group_parameters))
display(course.show_source(EvalClassifier))

# %%
device = training.get_device()
train, test = (load_pairs(lesson.data, split, device) for split in ("train", "test"))
classes = len(train.classes)
sample_weights = compute_sample_weights(train.labels)
print(
    f"{len(train)} training pairs, {len(test)} test pairs, {classes} classes, {device}"
)

# %% [markdown]
# ## One sound in five representations (Fig. 3)
#
# The representations are computed on the training device, batch by batch.

# %% tags=["figure3"]
transforms = {
    name: make_representation(name, train.sample_rate) for name in REPRESENTATIONS
}
transforms = {name: transform.to(device) for name, transform in transforms.items()}
one = train.get_waveforms(torch.tensor([0], device=device))
pictures = {name: transform(one) for name, transform in transforms.items()}
for name, picture in pictures.items():
    print(f"{name:5} {tuple(picture.shape[1:])}")
figure = show.spectrograms(
    [picture[0].cpu() for picture in pictures.values()],
    hop=512 / train.sample_rate,
    captions=list(pictures),
    columns=5,
)
instrument = train.classes[train.labels[0]]
lesson.figure("representations", figure, f"One sound of the class {instrument}.")


# %% [markdown]
# ## Train one classifier
#
# The loss is the cross entropy over the instruments. Recordings differ in length, so
# the batches are drawn with weights that make every class equally likely.


# %%
def prepare_run(
    folder: str, net: nn.Module, optimizer: torch.optim.Optimizer, seed: int
) -> tuple[training.Run, training.BatchSampler]:
    """Make a run whose checkpoints are kept in `folder`, and its batches."""
    run = training.Run(
        lesson.run_dir / folder,
        seed=seed,
        precision=settings.precision,
        settings=settings.as_dict(),
    )
    run.prepare(net=net, optimizer=optimizer)
    batches = training.BatchSampler(
        len(train), settings.batch, seed=seed, weights=sample_weights
    )
    return run, batches


# %%
def train_classifier(name: str, layers: int, steps: int) -> SoundClassifier:
    """Train a classifier with 3 or 4 `layers` on the representation `name`."""
    transform = transforms[name]
    rows, frames = pictures[name].shape[1:]
    training.seed_everything(lesson.seed)  # all ten classifiers start alike
    net = SoundClassifier(rows, frames, classes, layers, settings.width)
    groups = group_parameters(net, settings.l2)
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
    folder = f"sound_{name}_{layers}_{steps}"
    run, batches = prepare_run(folder, net, optimizer, lesson.seed)
    for step in run.steps(steps):
        index = batches[step.number].to(device)
        with run.autocast():
            logits = net(transform(train.get_waveforms(index)))
            loss = F.cross_entropy(logits, train.labels[index])
        run.step(optimizer, loss)
        run.log(loss=loss)
    run.require_finished()
    return net.eval()


# %%
@torch.no_grad()
def predict_classes(net: nn.Module, transform: nn.Module, pairs: Pairs) -> Tensor:
    """Predict the class of each sound of `pairs`: (N,)."""
    predicted = []
    for index in torch.arange(len(pairs), device=device).split(256):
        predicted.append(net(transform(pairs.get_waveforms(index))).argmax(dim=1))
    return torch.cat(predicted)


# %% [markdown]
# ## Table 1
#
# Every number is measured on recordings that the classifier was not trained on. The
# 95 % interval comes from resampling *recordings*, because the chunks of one recording
# are not independent. The column of the paper stands beside ours for orientation; it
# was measured on another data set.

# %% tags=["table1"]
PAPER = {  # Table 1, per cent: (3 layers, 4 layers)
    "MS": (62.01, 66.09),
    "LMS": (84.12, 87.44),
    "CQT": (73.00, 77.78),
    "MFCC": (80.06, 81.05),
    "STFT": (74.05, 75.73),
}
table = []
for name in REPRESENTATIONS:
    for layers in (3, 4):
        net = train_classifier(name, layers, settings.table_steps)
        predicted = predict_classes(net, transforms[name], test)
        accuracy = metrics.accuracy(predicted, test.labels, test.recordings)
        paper = PAPER[name][layers - 3] / 100
        row = {"representation": name, "layers": layers, "accuracy": accuracy}
        table.append(row | {"paper (Sub-URMP)": paper})
lesson.record("table1", table)
display(show.table(table))

# %%
baselines = [
    {"baseline": "chance", "accuracy": metrics.chance(classes)},
    {
        "baseline": "always the commonest class",
        "accuracy": metrics.majority_class(train.labels, test.labels),
    },
]
lesson.record("table1_baselines", baselines)
display(show.table(baselines))
bars = {f"{row['representation']} {row['layers']}": row["accuracy"] for row in table}
figure = show.bars(
    bars, lines={"chance": 1 / classes}, y="accuracy, held-out recordings"
)
lesson.figure("table1", figure, "Table 1 on this data set.")

# %% [markdown]
# ## The sound encoder of S2I-C
#
# The classifier on LMS with four layers is trained again, for more steps. The output of
# its second-to-last layer is the encoding that the generator gets.

# %%
sound_encoder = train_classifier("LMS", 4, settings.steps)
predicted = predict_classes(sound_encoder, transforms["LMS"], test)
accuracy = metrics.accuracy(predicted, test.labels, test.recordings)
lesson.record("encoder_accuracy", accuracy)
print(f"sound encoder on held-out recordings: {accuracy}")
counts = confusion_matrix(predicted, test.labels, "multiclass", num_classes=classes)
figure = show.confusion(counts, train.classes, title="Sound encoder, held-out sounds")
lesson.figure("confusion", figure, "Which instruments the sound encoder confuses.")

# %%
rows, frames = pictures["LMS"].shape[1:]
config = dict(rows=rows, frames=frames, classes=classes, width=settings.width)
models = lesson.run_dir / "models"
training.save_model(models / "sound_encoder.safetensors", sound_encoder, **config)

# %% [markdown]
# ## The autoencoder of S2I-A, stack by stack
#
# Each stack learns to reconstruct its own input. The weights of the stacks before it
# stay as they are.

# %%
training.seed_everything(lesson.seed)
config = dict(rows=rows, frames=frames, width=settings.width)
autoencoder = StackedAutoencoder(**config)
optimizer = torch.optim.Adam(autoencoder.parameters(), lr=settings.learning_rate)
run, batches = prepare_run("autoencoder", autoencoder, optimizer, lesson.seed)
stacks = len(autoencoder.stacks)
for step in run.steps(stacks * settings.autoencoder_steps):
    # One loop trains all stacks in order, so that a resumed run knows where it was.
    level = step.number // settings.autoencoder_steps
    index = batches[step.number].to(device)
    with run.autocast():
        spectrogram = transforms["LMS"](train.get_waveforms(index))
        loss = reconstruction_loss(autoencoder, level, spectrogram)
    run.step(optimizer, loss)
    run.log(loss=loss)
run.require_finished()
autoencoder.eval()
training.save_model(models / "autoencoder.safetensors", autoencoder, **config)

# %%
figure = show.curves({"mean squared error": run.history["loss"]}, logarithmic=True)
lesson.figure(
    "autoencoder", figure, "The loss of four stacks, trained one after the other."
)

# %% [markdown]
# ## A classifier that was not used in training
#
# Step 10 evaluates the sounds of the I2S network with a classifier. The paper uses the
# sound encoder for that. We train another network, `EvalClassifier`, with another seed
# and another architecture. It is not used in training any generator; step 4 explains
# why that matters.

# %%
training.seed_everything(lesson.seed + 1000)
eval_classifier = EvalClassifier(classes, channels=1)
optimizer = torch.optim.AdamW(
    eval_classifier.parameters(), lr=settings.learning_rate, weight_decay=0.05
)
seed = lesson.seed + 1000
run, batches = prepare_run("sound_eval_classifier", eval_classifier, optimizer, seed)
for step in run.steps(settings.steps):
    index = batches[step.number].to(device)
    spectrogram = transforms["LMS"](train.get_waveforms(index))[:, None]
    with run.autocast():
        loss = F.cross_entropy(eval_classifier(spectrogram), train.labels[index])
    run.step(optimizer, loss)
    run.log(loss=loss)
run.require_finished()
eval_classifier.eval()
path = models / "sound_eval_classifier.safetensors"
training.save_model(path, eval_classifier, classes=classes, channels=1)

# %%
# The EvalClassifier takes pictures (B, 1, 128, 44), so LMS gets a channel axis first.
to_picture = nn.Sequential(transforms["LMS"], nn.Unflatten(1, (1, rows)))
predicted = predict_classes(eval_classifier, to_picture, test)
eval_accuracy = metrics.accuracy(predicted, test.labels, test.recordings)
lesson.record("sound_eval_classifier_accuracy", eval_accuracy)
print(f"EvalClassifier on held-out recordings: {eval_accuracy}")

# %% [markdown]
# ## What came out
#
# The next cell reads the results of this run. One run has one seed, so a small
# difference between two representations may be chance. Step 10 tests the claims of
# Table 1 over several seeds. At `smoke` the networks are practically untrained.

# %%
best = max(table, key=lambda row: row["accuracy"].value)
print(
    f"best in this run: {best['representation']} with {best['layers']} layers, ", end=""
)
print(f"{best['accuracy'].value:.1%} (chance {1 / classes:.1%})")
print(f"sound encoder of S2I-C: {accuracy.value:.1%}", end="")
above = "is" if accuracy.low > 1 / classes else "is not"
print(f"; its whole interval {above} above chance")
print(f"EvalClassifier for sounds: {eval_accuracy.value:.1%}. This is the ceiling for")
print("the accuracy of generated sounds in step 10.")

# %% [markdown]
# ## Exercises
#
# 1. A network that always answers "violin" has a high accuracy where most pairs are
#    violins. Write an accuracy that gives this network no more than chance.
# 2. All chunks of one recording tend to be right or wrong together. Write the interval
#    that takes this into account: draw whole *recordings* again, 2000 times.

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
#
# def compute_balanced_accuracy(predicted, labels):
#     """The accuracy within each class, averaged over the classes in labels; (N,)."""
#     ...  # your code
#
#
# course.try_exercise(exercises.BALANCED_ACCURACY, compute_balanced_accuracy)

# %% tags=["active-ipynb"]
# def bootstrap_interval(right, recordings, seed=0):
#     """(low, high): the 95 % interval of right.mean(), by drawing recordings.
#
#     right (N,) is 1 where the prediction was right and 0 where it was wrong;
#     recordings (N,) is the name of each chunk's recording. Both are numpy arrays.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.BOOTSTRAP_INTERVAL, bootstrap_interval)

# %%
lesson.finish()
