# %% [markdown]
# # Step 3 · Train on sound: which representation is best? (Table 1)
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/deep_cross_modal/step3_sound_train.ipynb)
#
# Table 1 of the paper compares five representations and two depths. We train these ten
# classifiers in the same way on the training recordings and test them on *held-out*
# recordings. Then we train the encoder of S2I-C, which is the paper's choice: LMS with
# four layers. The autoencoder of S2I-A follows. Last we train an **EvalClassifier** for
# sounds. It takes no part in training a generator, and step 10 uses it to evaluate
# generated sounds.
#
# **You will learn** how to compare representations fairly, when a network has been
# trained long enough to be compared, how to compute an interval for an accuracy, and
# how to train a stacked autoencoder.
#
# **Time.** About 15 minutes to read. At `laptop` the networks come from the reference
# run, and the cells take about two minutes on two cores. Where no reference weights are
# published they are trained here, which takes up to ten minutes.
#
# **Before you start.** Read step 2, which defines the networks, and of step 4 the
# `EvalClassifier`.

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
import numpy as np
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
    compute_penalty,
    make_representation,
    reconstruction_loss,
)
from avnb_notebooks.deep_cross_modal.step4_image import EvalClassifier
from IPython.display import display
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.functional import confusion_matrix

from avnb import course, metrics, training
from avnb.course import reference
from avnb.viz import show

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
        #           smoke laptop reference gpu   paper
        weights=("train", "reference", "train", "train", "train"),  # see below
        batch=(8, 32, 32, 64, 64),
        width=(4, 16, 16, 32, 32),  # channels of the first convolution
        table_steps=(2, 60, 4800, 4800, 10000),  # for each classifier of Table 1
        steps=(3, 500, 4800, 4800, 20000),  # for the encoder and the EvalClassifier
        autoencoder_steps=(2, 100, 2000, 2000, 5000),  # for each of the four stacks
        points=(2, 8, 16, 16, 16),  # measurements of each held-out curve
        monitored=(16, 512, 512, 512, 2048),  # sounds of each split that they use
        learning_rate=(1e-3, 1e-3, 1e-3, 1e-3, 1e-3),
        l2=(0.015, 0.015, 0.015, 0.015, 0.015),  # Sec. 3.3
        ema_decay=(0.5, 0.98, 0.99, 0.99, 0.999),  # of the weights that are measured
        precision=("float32", "auto", "auto", "auto", "auto"),
    ),
)
settings

# %% [markdown]
# The networks were defined in steps 2 and 4. Unfold a line to read the source:

# %%
display(course.show_source(SoundClassifier, StackedAutoencoder, compute_penalty))
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
# ## Train here, or take the reference weights
#
# The networks of this notebook encode, evaluate, or are compared with each other. All
# three need a long training. A demo of twenty minutes has no time for it, and a network
# that was trained for half an epoch must not evaluate another. So with
# `weights="reference"` this notebook takes the networks of the reference run, which has
# trained them until their held-out curves were flat. `OVERRIDES = {"weights": "train"}`
# trains them here for the steps in the table above.

# %%
models = lesson.run_dir / "models"
# Its networks know the classes of the embedded data. Other data need their own.
wanted = settings.weights == "reference" and not lesson.chosen_data
taken = wanted and reference.copy_models(
    lesson, "sound_encoder", "sound_eval_classifier"
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
# The units differ, so each picture has a scale of its own and no common bar.
figure = show.spectrograms(
    [picture[0].cpu() for picture in pictures.values()],
    hop=512 / train.sample_rate,
    captions=list(pictures),
    columns=5,
)
instrument = train.classes[train.labels[0]]
caption = (
    f"One sound of the class {instrument}. Rows are bins; each has its own scale. "
)
caption += "Without a logarithm (MS, STFT) only the strongest bins are seen."
lesson.figure("representations", figure, caption)

# %% [markdown]
# ## Train one classifier, and see when it is trained
#
# The loss is the cross entropy over the instruments plus the penalty of step 2.
# Recordings differ in length, so the batches are drawn with weights that make every
# class equally likely.
#
# The weights jump with each batch, and the accuracy with them, by ten points and more.
# So what is measured, and kept, is their **average** over the last steps (EMA).
#
# Ten networks can only be compared where more training would change little. So at
# `points` moments each network names the instrument of some training sounds and of some
# **held-out** sounds. The held-out curve chooses nothing: it only tells whether the
# network was trained long enough. It counts as flat where the last quarter of its
# points is better than the quarter before by less than 2 % of the whole gain, or by
# less than one point (`avnb.course.convergence`). Where it is not flat, there is no
# verdict.

# %%
fixed = torch.Generator().manual_seed(lesson.seed)
monitored = {
    split: torch.randperm(len(of), generator=fixed)[: settings.monitored].to(device)
    for split, of in (("train", train), ("test", test))
}


@torch.no_grad()
def measure_accuracies(net: nn.Module, transform: nn.Module) -> dict[str, float]:
    """Measure the accuracy on the monitored sounds of both splits."""
    net.eval()
    found = {}
    for split, of in (("train", train), ("test", test)):
        right = []
        for index in monitored[split].split(256):
            predicted = net(transform(of.get_waveforms(index))).argmax(dim=1)
            right.append((predicted == of.labels[index]).float())
        found[split] = torch.cat(right).mean().item()
    net.train()
    return found


# %%
def record_curve(name: str, run: training.Run) -> None:
    """Record how long a network was trained, with its curves on both splits."""
    lesson.record_training(
        name,
        epochs=run.steps_done * settings.batch / len(train),
        steps=run.steps_done,
        held_out=np.transpose(run.read_log("test")),
        training=np.transpose(run.read_log("train")),
        better="higher",
        unit="accuracy",
        # At its first measurement a network may be nearly as good as at its end. Its
        # gain since then is no more than its noise: one point counts for nothing.
        negligible=0.01,
    )


# %%
def prepare_run(
    folder: str, net: nn.Module, optimizer: torch.optim.Optimizer, seed: int
) -> tuple[training.Run, training.EMA, training.BatchSampler]:
    """Make a run whose checkpoints are kept in `folder`, the average, and batches."""
    kept = ("batch", "width", "learning_rate", "ema_decay")
    run = training.Run(
        lesson.run_dir / folder,
        seed=seed,
        precision=settings.precision,
        settings={k: getattr(settings, k) for k in kept},
    )
    ema = training.EMA(net, settings.ema_decay)
    run.prepare(net=net, optimizer=optimizer, ema=ema)
    batches = training.BatchSampler(
        len(train), settings.batch, seed=seed, weights=sample_weights
    )
    return run, ema, batches


# %%
def train_on_sounds(
    folder: str, net: nn.Module, optimizer: torch.optim.Optimizer,
    transform: nn.Module, steps: int, *, seed: int, l2: float,
) -> training.Run:  # fmt: skip
    """Train a network to name the instrument, and measure it at `points` moments."""
    run, ema, batches = prepare_run(folder, net, optimizer, seed)
    for step in run.steps(steps):
        index = batches[step.number].to(device)
        with run.autocast():
            logits = net(transform(train.get_waveforms(index)))
            loss = F.cross_entropy(logits, train.labels[index])
        run.step(optimizer, loss + compute_penalty(net, l2))
        ema.update_parameters(net)
        run.log(loss=loss)
        if step.is_due(max(1, steps // settings.points)):
            run.log(**measure_accuracies(ema.module, transform))
    run.require_finished()
    net.load_state_dict(ema.module.state_dict())
    net.eval()
    return run


# %%
def train_classifier(
    network: str, name: str, layers: int, steps: int
) -> SoundClassifier:
    """Train a classifier with 3 or 4 `layers` on the representation `name`.

    `network` is its name among the recorded trainings.
    """
    rows, frames = pictures[name].shape[1:]
    training.seed_everything(lesson.seed)  # all ten classifiers start alike
    net = SoundClassifier(rows, frames, classes, layers, settings.width)
    optimizer = torch.optim.Adam(net.parameters(), lr=settings.learning_rate)
    # Another penalty is another training, and no checkpoint says which one it had.
    _, changed = settings.fix(*(key for key in settings.as_dict() if key != "l2"))
    folder = f"sound_{name}_{layers}_{steps}{changed}"
    how = dict(seed=lesson.seed, l2=settings.l2)
    run = train_on_sounds(folder, net, optimizer, transforms[name], steps, **how)
    record_curve(network, run)
    return net


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
# Every number is measured on people that the classifier has not heard. The 95 %
# interval comes from resampling these *people*, because what one of them plays is not
# independent. The column of the paper stands beside ours for orientation; it was
# measured on another data set. The last column says how long each network was trained,
# and whether its held-out curve is flat.
#
# In the demo only the paper's best network is trained, for a look at its curve. The
# comparison of all ten stands in the reference run, and the report shows it.

# %% tags=["table1"]
PAPER = {  # Table 1, per cent: (3 layers, 4 layers)
    "MS": (62.01, 66.09),
    "LMS": (84.12, 87.44),
    "CQT": (73.00, 77.78),
    "MFCC": (80.06, 81.05),
    "STFT": (74.05, 75.73),
}
pairs_of_table = [(name, layers) for name in REPRESENTATIONS for layers in (3, 4)]
table = []
for name, layers in [("LMS", 4)] if taken else pairs_of_table:
    network = f"{name}, {layers} layers"
    net = train_classifier(network, name, layers, settings.table_steps)
    predicted = predict_classes(net, transforms[name], test)
    accuracy = metrics.accuracy(predicted, test.labels, test.units)
    paper = {"value": PAPER[name][layers - 3] / 100, "unit": "fraction"}
    row = {"representation": name, "layers": layers, "accuracy": accuracy}
    row |= {"the paper, on Sub-URMP": paper}
    epochs = settings.table_steps * settings.batch / len(train)
    table.append(row | {"epochs of training": f"{epochs:.2g}"})
lesson.table("table1", table, "Table 1: accuracy on people who were not heard before")

# %%
baselines = [
    {"baseline": "chance", "accuracy": metrics.chance(classes)},
    {
        "baseline": "always the commonest class",
        "accuracy": metrics.majority_class(train.labels, test.labels),
    },
]
lesson.table("table1_baselines", baselines, "Baselines of Table 1")
names = [f"{row['representation']}, {row['layers']} layers" for row in table]
figure = show.bars(
    dict(zip(names, [row["accuracy"] for row in table], strict=True)),
    lines={"chance": 1 / classes},
    marks={n: r["the paper, on Sub-URMP"] for n, r in zip(names, table, strict=True)},
    marked="the paper, on Sub-URMP",
    y="accuracy on unheard people",
    percent=True,
)
lesson.figure("table1", figure, "Table 1 on this data set, beside the paper's numbers.")

# %% [markdown]
# ## The sound encoder of S2I-C
#
# The encoder is the classifier on LMS with four layers, as in the paper. The output of
# its second-to-last layer is the encoding that the generator gets.

# %%
rows, frames = pictures["LMS"].shape[1:]
path = models / "sound_encoder.safetensors"
if not taken:
    net = train_classifier("sound encoder", "LMS", 4, settings.steps)
    config = dict(rows=rows, frames=frames, classes=classes, width=settings.width)
    training.save_model(path, net, **config)
sound_encoder = training.load_model(path, SoundClassifier).to(device)
predicted = predict_classes(sound_encoder, transforms["LMS"], test)
accuracy = metrics.accuracy(predicted, test.labels, test.units)
lesson.record("encoder_accuracy", accuracy, "The sound encoder, on unheard people")
print(f"sound encoder on unheard people: {accuracy}")
counts = confusion_matrix(predicted, test.labels, "multiclass", num_classes=classes)
figure = show.confusion(counts, train.classes, title="Sound encoder, held-out sounds")
lesson.figure("confusion", figure, "Which instruments the sound encoder confuses.")

# %% [markdown]
# ## The autoencoder of S2I-A, stack by stack
#
# Each stack learns to reconstruct its own input. The weights of the stacks before it
# stay as they are.

# %%
heard = {
    split: transforms["LMS"](of.get_waveforms(monitored[split]))
    for split, of in (("train", train), ("test", test))
}


@torch.no_grad()
def measure_errors(net: StackedAutoencoder, level: int) -> dict[str, float]:
    """Measure the error of one stack, as a share of the variance of its input.

    The inputs of the four stacks have other scales. So shares are compared.
    """
    net.eval()
    found = {}
    for split, x in heard.items():
        variance = net.encode_up_to(level, x).var()
        found[split] = float(reconstruction_loss(net, level, x) / variance)
    net.train()
    return found


# %%
def train_autoencoder() -> None:
    """Train the stacks one after the other, and save them."""
    training.seed_everything(lesson.seed)
    config = dict(rows=rows, frames=frames, width=settings.width)
    net, each = StackedAutoencoder(**config), settings.autoencoder_steps
    optimizer = torch.optim.Adam(net.parameters(), lr=settings.learning_rate)
    # Other steps a stack are another training: which stack is trained depends on them.
    folder = f"autoencoder_{each}"
    run, _, batches = prepare_run(folder, net, optimizer, lesson.seed)
    # One loop trains all stacks in order, so that a resumed run knows where it was.
    for step in run.steps(len(net.stacks) * each):
        level = step.number // each
        index = batches[step.number].to(device)
        with run.autocast():
            spectrogram = transforms["LMS"](train.get_waveforms(index))
            loss = reconstruction_loss(net, level, spectrogram)
        run.step(optimizer, loss)
        run.log(loss=loss)
        if step.is_due(max(1, each // settings.points)):
            found = measure_errors(net, level)
            run.log(**{f"{split} {level}": found[split] for split in found})
    run.require_finished()
    record_stacks(run)
    training.save_model(models / "autoencoder.safetensors", net, **config)


# %%
def record_stacks(run: training.Run) -> None:
    """Record the curves of the last stack, which gives the encoding; show all four."""
    each, y = settings.autoencoder_steps, "mean squared error / variance"
    curves = {
        f"stack {level + 1}, {split}": np.transpose(run.read_log(f"{split} {level}"))
        for level in range(4)
        for split in ("train", "test")
    }
    # The two curves of a stack nearly cover each other: those on training data are left
    # out, except those of the last stack below.
    shown = {k: tuple(v.T) for k, v in curves.items() if "test" in k}
    figure = show.curves(shown, y=y, logarithmic=True)
    caption = "The errors of four stacks on held-out sounds, one trained after another."
    lesson.figure("autoencoder", figure, caption)
    last = {k: curves[f"stack 4, {k}"] - [3 * each, 0] for k in ("train", "test")}
    lesson.record_training(
        "autoencoder",
        epochs=each * settings.batch / len(train),
        steps=each,
        held_out=last["test"],
        training=last["train"],
        better="lower",
        unit=f"{y}, last stack",
    )


# %%
if not taken:
    train_autoencoder()

# %% [markdown]
# ## A classifier that was not used in training
#
# Step 10 evaluates the sounds of the I2S network with a classifier. The paper uses the
# sound encoder for that. We train another network, `EvalClassifier`, with another seed
# and another architecture. It is not used in training any generator; step 4 explains
# why that matters.

# %%
# The EvalClassifier takes pictures (B, 1, 128, 44), so LMS gets a channel axis first.
to_picture = nn.Sequential(transforms["LMS"], nn.Unflatten(1, (1, rows)))
path = models / "sound_eval_classifier.safetensors"
if not taken:
    seed = lesson.seed + 1000
    training.seed_everything(seed)
    net = EvalClassifier(classes, channels=1)
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=settings.learning_rate, weight_decay=0.05
    )
    how = (optimizer, to_picture, settings.steps)
    run = train_on_sounds("sound_eval_classifier", net, *how, seed=seed, l2=0.0)
    record_curve("EvalClassifier for sounds", run)
    training.save_model(path, net, classes=classes, channels=1)

# %%
eval_classifier = training.load_model(path, EvalClassifier).to(device)
predicted = predict_classes(eval_classifier, to_picture, test)
eval_accuracy = metrics.accuracy(predicted, test.labels, test.units)
caption = "The EvalClassifier for sounds, on unheard people"
lesson.record("sound_eval_classifier_accuracy", eval_accuracy, caption)
print(f"EvalClassifier on unheard people: {eval_accuracy}")

# %% [markdown]
# ## What came out
#
# The next cell reads the results of this run. One run has one seed, so a small
# difference between two representations may be chance. At `smoke` the networks are
# practically untrained.

# %%
epochs = settings.table_steps * settings.batch / len(train)
best = max(table, key=lambda row: row["accuracy"].value)
if len(table) == len(pairs_of_table):
    print(f"After {epochs:.2g} epochs the best of Table 1 is {best['representation']}")
    print(f"with {best['layers']} layers: {best['accuracy'].value:.1%} ", end="")
    print(f"(chance {1 / classes:.1%}).")
else:
    print("This run has trained one classifier of Table 1, for a look at its curve:")
    print(f"{best['accuracy'].value:.1%} after {epochs:.2g} epochs. ", end="")
    print("It compares nothing.")
above = "is" if accuracy.low > 1 / classes else "is not"
print(f"The sound encoder is right for {accuracy.value:.1%} of the sounds of unheard")
print(f"people. Its whole interval {above} above chance ({1 / classes:.1%}).")
print(
    f"The EvalClassifier is right for {eval_accuracy.value:.1%} of these real sounds."
)
print(
    "Step 10 shows this number beside that of generated sounds. It is no upper limit:"
)
print("generated sounds resemble the people of the training, whom both have heard.")

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
