# %% [markdown]
# # Step 5 · Train on pictures: Γ, the EvalClassifier, the pose estimator
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/deep_cross_modal/step5_image_train.ipynb)
#
# Three networks learn from real pictures here.
#
# - **Γ** is the paper's classifier. Its 128 numbers are the input of the I2S network,
#   and its accuracy decides when to stop training S2I (Fig. 9).
# - The **EvalClassifier** evaluates generated pictures in step 10. It takes no part in
#   training a generator.
# - The **pose estimator** exists only where the truth is known. It finds the hands and
#   the bow. Of poses the paper could only say that they are "hard to quantify".
#
# **You will learn** how to train with augmentation, how to find out what an evaluator
# looks at, and how to train on targets that are partly unknown.
#
# **Time.** About 10 minutes to read. At `laptop` the networks come from the reference
# run, and the cells take about a minute on two cores. Where no reference weights are
# published they are trained here, which takes up to eight minutes.
#
# **Before you start.** Read step 4, which defines the networks.

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
    POSE_FIELDS,
    compute_sample_weights,
    load_pairs,
)
from avnb_notebooks.deep_cross_modal.step4_image import (
    EvalClassifier,
    ImageClassifier,
    PoseEstimator,
    jitter,
    mirror_half,
    normalize_pictures,
)
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
    "step5_image_train",
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
        weights=("train", "reference", "train", "train", "train"),  # as in step 3
        batch=(8, 64, 64, 64, 64),
        width=(4, 16, 16, 32, 32),  # of Γ's first convolutions
        steps=(3, 400, 1600, 3000, 20000),  # for Γ and the EvalClassifier
        pose_steps=(3, 200, 1600, 2000, 10000),  # for the pose estimator
        points=(2, 8, 16, 16, 16),  # measurements of each held-out curve
        monitored=(16, 512, 512, 512, 2048),  # pictures of each split that they use
        learning_rate=(1e-3, 1e-3, 1e-3, 1e-3, 1e-3),
        weight_decay=(0.05, 0.05, 0.05, 0.05, 0.05),
        ema_decay=(0.5, 0.98, 0.99, 0.99, 0.999),  # of the weights that are measured
        shift=(4, 4, 4, 4, 4),  # of Γ's jitter, in pixels
        shift_eval=(4, 8, 8, 8, 8),  # of the EvalClassifier's
        light=(0.1, 0.1, 0.1, 0.1, 0.1),  # of jitter, as a share
        light_eval=(0.1, 0.3, 0.3, 0.3, 0.3),  # of the EvalClassifier's
        precision=("float32", "auto", "auto", "auto", "auto"),
    ),
)
settings

# %%
display(course.show_source(ImageClassifier, EvalClassifier, PoseEstimator))
device = training.get_device()
train, test = (load_pairs(lesson.data, split, device) for split in ("train", "test"))
classes = len(train.classes)
sample_weights = compute_sample_weights(train.labels)
models = lesson.run_dir / "models"
wanted = settings.weights == "reference" and not lesson.chosen_data
taken = wanted and reference.copy_models(
    lesson, "image_encoder", "image_eval_classifier", "pose_estimator"
)
fixed = torch.Generator().manual_seed(lesson.seed)
monitored = {
    split: torch.randperm(len(of), generator=fixed)[: settings.monitored].to(device)
    for split, of in (("train", train), ("test", test))
}

# %%
KEPT = ("batch", "width", "learning_rate", "weight_decay", "ema_decay")


def prepare_run(
    name: str, net: nn.Module, seed: int, augmentation: dict
) -> tuple[training.Run, nn.Module, training.EMA, torch.optim.Optimizer]:
    """Make the average, the optimiser, and a run with checkpoints in folder `name`."""
    # More steps go on from where a training ended. Other settings than these cannot.
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    run = training.Run(
        lesson.run_dir / name,
        seed=seed,
        precision=settings.precision,
        settings={name: getattr(settings, name) for name in KEPT} | augmentation,
    )
    ema = training.EMA(net, settings.ema_decay)
    return run, *run.prepare(net=net, ema=ema, optimizer=optimizer)


# %%
def augment(x: Tensor, light: float, shift: int = 0, mirror: bool = False) -> Tensor:
    """Jitter pictures by `shift` pixels, and mirror half of them if `mirror`."""
    return jitter(mirror_half(x) if mirror else x, shift, light)


# %%
def train_on_pictures(
    name: str, net: nn.Module, compute_loss, measure, *, seed, steps, augmentation
) -> training.Run:
    """Train `net` on training pictures; `augmentation` holds arguments of `augment`.

    `compute_loss(output, index)` gives the loss of the outputs for the pairs `index`.
    `measure(net)` gives a number for each split. The average of the weights is kept.
    """
    run, net, ema, optimizer = prepare_run(name, net, seed, augmentation)
    how = dict(seed=seed, weights=sample_weights)
    batches = training.BatchSampler(len(train), settings.batch, **how)
    for step in run.steps(steps):
        index = batches[step.number].to(device)
        picture = augment(normalize_pictures(train.pictures[index]), **augmentation)
        with run.autocast():
            loss = compute_loss(net(picture), index)
        run.step(optimizer, loss)
        ema.update_parameters(net)
        run.log(loss=loss)
        if step.is_due(max(1, steps // settings.points)):
            run.log(**measure(ema.module.eval()))
    run.require_finished()
    net.load_state_dict(ema.module.state_dict())
    return run


# %%
@torch.no_grad()
def compute_outputs(net: nn.Module, pictures: Tensor) -> Tensor:
    """Compute the outputs of `net` for all pictures, batch by batch."""
    return torch.cat([net(normalize_pictures(part)) for part in pictures.split(256)])


# %%
def record_curve(
    network: str, run: training.Run, better: str, unit: str, negligible: float
) -> None:
    """Record how long a network was trained, with its curves on both splits.

    `negligible` is a difference that nobody would call a gain: see step 3.
    """
    lesson.record_training(
        network,
        epochs=run.steps_done * settings.batch / len(train),
        steps=run.steps_done,
        held_out=np.transpose(run.read_log("test")),
        training=np.transpose(run.read_log("train")),
        better=better,
        unit=unit,
        negligible=negligible,
    )


# %% [markdown]
# ## Γ and the EvalClassifier
#
# Both learn the instrument in the picture, with cross entropy. They start from
# different seeds, and the EvalClassifier is another network, which sees more
# augmentation (step 4). At `points` moments each names the instrument in some training
# pictures and in some pictures of unheard people. That curve chooses nothing. It tells
# whether the network was trained long enough.


# %%
def classification_loss(logits: Tensor, index: Tensor) -> Tensor:
    """Compute the cross entropy of the predicted instruments."""
    return F.cross_entropy(logits, train.labels[index])


def measure_accuracies(net: nn.Module) -> dict[str, float]:
    """Measure the accuracy on the monitored pictures of both splits."""
    found = {}
    for split, of in (("train", train), ("test", test)):
        index = monitored[split]
        right = compute_outputs(net, of.pictures[index]).argmax(1) == of.labels[index]
        found[split] = right.float().mean().item()
    return found


# %%
SEEDS = {"image_encoder": lesson.seed, "image_eval_classifier": lesson.seed + 1000}
CLASSIFIERS = {  # file: (name, class, its arguments, augmentation)
    "image_encoder": (
        "Γ",
        ImageClassifier,
        dict(classes=classes, width=settings.width),
        dict(light=settings.light, shift=settings.shift),
    ),
    "image_eval_classifier": (
        "EvalClassifier for pictures",
        EvalClassifier,
        dict(classes=classes, channels=3),
        dict(light=settings.light_eval, shift=settings.shift_eval, mirror=True),
    ),
}

# %%
for name, (network, cls, config, augmentation) in CLASSIFIERS.items():
    if taken:
        continue
    seed = SEEDS[name]
    training.seed_everything(seed)
    net = cls(**config)
    how = dict(seed=seed, steps=settings.steps, augmentation=augmentation)
    run = train_on_pictures(name, net, classification_loss, measure_accuracies, **how)
    record_curve(network, run, "higher", "accuracy", 0.01)
    training.save_model(models / f"{name}.safetensors", net, **config)

# %%
rows, accuracies, predicted = [], {}, {}
for name, (network, cls, _, _) in CLASSIFIERS.items():
    net = training.load_model(models / f"{name}.safetensors", cls).to(device)
    predicted[name] = compute_outputs(net, test.pictures).argmax(dim=1)
    accuracy = metrics.accuracy(predicted[name], test.labels, test.units)
    accuracies[network] = accuracy
    rows.append({"network": network, "accuracy on unheard people": accuracy})
    caption = f"{network}, on pictures of unheard people"
    lesson.record(f"{name}_accuracy", accuracy, caption)
rows[0]["the paper"] = "more than 95 %"
chance = metrics.chance(classes)
rows.append({"network": "chance", "accuracy on unheard people": chance})
lesson.table("accuracy", rows, "Which network recognises instruments in real pictures")

# %% [markdown]
# The paper reports "more than 95 percent" for Γ. The EvalClassifier's accuracy on real
# pictures stands beside that on generated pictures in step 10. It is no upper limit for
# them. A generated player often resembles somebody of the training split, and both
# networks know these people. The test pictures show people whom nobody has seen.

# %%
counts = confusion_matrix(
    predicted["image_eval_classifier"],
    test.labels,
    "multiclass",
    num_classes=classes,
)
figure = show.confusion(
    counts, train.classes, title="EvalClassifier, held-out pictures"
)
lesson.figure("confusion", figure, "Which instruments the EvalClassifier confuses.")

# %% [markdown]
# ## What does the evaluator look at?
#
# A classifier may name the instrument by the room, the camera or the clothes. Such a
# classifier must not evaluate generated pictures. So we show it pictures in which no
# instrument can be recognised: the same scene drawn once more **without the
# instrument**, strongly blurred pictures, and noise. Where it is right more often than
# chance there, it reads something else.

# %% tags=["evaluator"]
index = monitored["test"]
pictures, chosen = test.pictures[index], index.tolist()
spoiled = {
    "blurred": metrics.blur_pictures(pictures),
    "noise": metrics.make_noise(pictures, seed=lesson.seed),
}
who = [test.recordings[i] for i in chosen]
bare = lesson.redraw(who, test.starts[index].tolist(), without="instrument")
if bare is not None:  # real recordings cannot be drawn again
    spoiled["without the instrument"] = torch.from_numpy(bare).to(device)
judge = training.load_model(
    models / "image_eval_classifier.safetensors", EvalClassifier
)
judge, blind = judge.to(device), []
for what, x in (spoiled | {"real": pictures}).items():
    named, units = (
        compute_outputs(judge, x).argmax(dim=1),
        [test.units[i] for i in chosen],
    )
    found = metrics.accuracy(named, test.labels[index], units)
    blind.append({"pictures": what, "accuracy": found})
lesson.table("evaluator", blind, "What the EvalClassifier says where it sees nothing")

# %% [markdown]
# ## The pose estimator
#
# The bandstand records where every hand is. A network that learns to estimate the pose
# from real pictures can then estimate it from generated ones. There is no shift in this
# training, because it would move the hands but not the recorded positions. Values that
# an instrument does not have (a flute has no bow) are left out of the loss.

# %% tags=["pose-estimator"]
truth = {"train": train.get_poses(), "test": test.get_poses()}
if truth["train"] is not None:

    def pose_loss(estimate: Tensor, index: Tensor) -> Tensor:
        """Compute the mean absolute error over the values that exist."""
        target = truth["train"][index]
        known = torch.isfinite(target)
        # Replace nan before the subtraction, or it would spoil the gradient.
        return (estimate - torch.where(known, target, 0)).abs()[known].mean()

    def measure_errors(net: nn.Module) -> dict[str, float]:
        """Measure the error on the monitored pictures of both splits."""
        found = {}
        for split, of in (("train", train), ("test", test)):
            index = monitored[split]
            error = (
                compute_outputs(net, of.pictures[index]) - truth[split][index]
            ).abs()
            found[split] = error.nanmean().item()
        return found

    path = models / "pose_estimator.safetensors"

# %%
if truth["train"] is not None and not taken:
    seed = lesson.seed + 2000
    training.seed_everything(seed)
    points = len(POSE_FIELDS) // 2  # x and y of each
    net = PoseEstimator(points=points)
    augmentation = dict(light=settings.light)  # unmoved: the points would move, too
    how = dict(seed=seed, steps=settings.pose_steps, augmentation=augmentation)
    run = train_on_pictures("pose_estimator", net, pose_loss, measure_errors, **how)
    record_curve("pose estimator", run, "lower", "error [picture widths]", 0.001)
    training.save_model(path, net, points=points)

# %% [markdown]
# Two constant answers show what the error means: the mean pose of all training
# pictures, and the mean pose of the instrument, which needs no look at the hands.

# %%
if truth["train"] is not None:
    estimator = training.load_model(path, PoseEstimator).to(device)
    means = torch.stack(
        [truth["train"][train.labels == k].nanmean(dim=0) for k in range(classes)]
    )
    answers = {
        "pose estimator": compute_outputs(estimator, test.pictures),
        "mean pose of its instrument": means[test.labels],
        "mean pose of all": truth["train"].nanmean(dim=0).expand_as(truth["test"]),
    }
    errors = {
        name: metrics.pose_error(answer, truth["test"], test.units)
        for name, answer in answers.items()
    }
    rows = [{"answer": name, "error": error} for name, error in errors.items()]
    error = errors["pose estimator"]
    lesson.record("pose_estimator_error", error, "Error of the pose estimator")
    lesson.table(
        "pose_errors", rows, "Errors of the pose on pictures of unheard people"
    )
else:
    print("this data set has no truth about poses, so there is no pose estimator")

# %% [markdown]
# ## What came out
#
# The next cell reads the results of this run. At `smoke` the networks are practically
# untrained.

# %%
for network, accuracy in accuracies.items():
    print(
        f"{network} is right for {accuracy.value:.1%} of the pictures of unheard ",
        end="",
    )
    print(f"people; chance is {chance.value:.1%}.")
for row in blind[:-1]:
    found = row["accuracy"]
    above = found.low > chance.value
    told = "above chance: it reads something else" if above else "not above chance"
    print(f"EvalClassifier, {row['pictures']}: {found.value:.1%}, which is {told}.")
if truth["train"] is not None:
    mean_pose = errors["mean pose of its instrument"]
    better = "better" if error.high < mean_pose.low else "not clearly better"
    print(f"The pose estimator is off by {error.value:.3f} widths. This is {better}")
    print(
        f"than the mean pose of the instrument, which is off by {mean_pose.value:.3f}."
    )

# %% [markdown]
# ## Exercises
#
# 1. Not every player has a bow. Where the truth is nan, the pose estimator must learn
#    nothing. Write a *squared* error over the known values whose gradient has no nan.
# 2. Γ is trained by AdamW. Write one step of it: Adam's running means, their
#    correction for the first steps, and the decoupled decay.

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
#
# def compute_masked_mse(estimate, truth):
#     """Mean squared error over the values of truth that are not nan; both (B, P)."""
#     ...  # your code
#
#
# course.try_exercise(exercises.MASKED_MSE, compute_masked_mse)

# %% tags=["active-ipynb"]
# def make_adamw_step(weight, gradient, state, rate=1e-3, decay=0.05):
#     """The weight after one step of AdamW, betas 0.9 and 0.999, epsilon 1e-8.
#
#     state is a dict. It is empty before the first step; keep in it what the next
#     steps need.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.ADAMW_STEP, make_adamw_step)

# %%
lesson.finish()
