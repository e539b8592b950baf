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
# **You will learn** how to train with augmentation, what the ceiling of an evaluation
# is, and how to train on targets that are partly unknown.
#
# **Time.** About 10 minutes of reading, and a few minutes of training at `laptop` on
# two cores.
#
# **Prerequisites.** Step 4 defines the networks.

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
    POSE_FIELDS,
    compute_sample_weights,
    load_pairs,
)
from avnb_notebooks.deep_cross_modal.step4_image import (
    EvalClassifier,
    ImageClassifier,
    PoseEstimator,
    jitter,
    normalize_pictures,
)
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
        #               smoke laptop   gpu   paper
        batch=(8, 64, 64, 64),
        width=(4, 16, 32, 32),  # of Γ's first convolutions
        steps=(3, 400, 3000, 20000),  # for Γ and the EvalClassifier
        pose_steps=(3, 200, 2000, 10000),  # for the pose estimator
        learning_rate=(1e-3, 1e-3, 1e-3, 1e-3),
        weight_decay=(0.05, 0.05, 0.05, 0.05),
        shift=(4, 4, 4, 4),  # of jitter, in pixels
        light=(0.1, 0.1, 0.1, 0.1),  # of jitter, as a share
        precision=("float32", "auto", "auto", "auto"),
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


# %%
def prepare_run(
    name: str, net: nn.Module, seed: int
) -> tuple[training.Run, nn.Module, torch.optim.Optimizer]:
    """Make the optimiser and a run whose checkpoints are kept in the folder `name`."""
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    run = training.Run(
        lesson.run_dir / name,
        seed=seed,
        precision=settings.precision,
        settings=settings.as_dict(),
    )
    return run, *run.prepare(net=net, optimizer=optimizer)


# %%
def train_on_pictures(
    name: str, net: nn.Module, compute_loss, seed: int, steps: int, shift: int
) -> nn.Module:
    """Train `net` on jittered training pictures.

    `compute_loss(output, index)` gives the loss of the outputs for the pairs `index`.
    """
    run, net, optimizer = prepare_run(name, net, seed)
    batches = training.BatchSampler(
        len(train), settings.batch, seed=seed, weights=sample_weights
    )
    for step in run.steps(steps):
        index = batches[step.number].to(device)
        picture = normalize_pictures(train.pictures[index])
        picture = jitter(picture, shift, settings.light)
        with run.autocast():
            loss = compute_loss(net(picture), index)
        run.step(optimizer, loss)
        run.log(loss=loss)
    run.require_finished()
    return net.eval()


# %%
@torch.no_grad()
def compute_outputs(net: nn.Module, pictures: Tensor) -> Tensor:
    """Compute the outputs of `net` for all pictures, batch by batch."""
    return torch.cat([net(normalize_pictures(part)) for part in pictures.split(256)])


# %% [markdown]
# ## Γ and the EvalClassifier
#
# Both learn the instrument in the picture, with cross entropy. They start from
# different seeds, and the EvalClassifier is another network.


# %%
def classification_loss(logits: Tensor, index: Tensor) -> Tensor:
    """Compute the cross entropy of the predicted instruments."""
    return F.cross_entropy(logits, train.labels[index])


# name: (class, its arguments, what is added to the seed)
CLASSIFIERS = {
    "image_encoder": (ImageClassifier, dict(classes=classes, width=settings.width), 0),
    "image_eval_classifier": (EvalClassifier, dict(classes=classes, channels=3), 1000),
}
rows, accuracies = [], {}
for name, (cls, config, offset) in CLASSIFIERS.items():
    training.seed_everything(lesson.seed + offset)
    how = (lesson.seed + offset, settings.steps, settings.shift)
    net = train_on_pictures(name, cls(**config), classification_loss, *how)
    training.save_model(models / f"{name}.safetensors", net, **config)
    predicted = compute_outputs(net, test.pictures).argmax(dim=1)
    accuracy = metrics.accuracy(predicted, test.labels, test.recordings)
    accuracies[name] = accuracy
    rows.append({"network": name, "accuracy on held-out recordings": accuracy})
    lesson.record(f"{name}_accuracy", accuracy)
rows.append({"network": "chance", "accuracy on held-out recordings": 1 / classes})
lesson.record("accuracy", rows)
display(show.table(rows))

# %% [markdown]
# The paper reports "more than 95 percent" for Γ. The accuracy of the EvalClassifier on
# real pictures is the **ceiling** for generated ones: a generated picture cannot be
# expected to be recognised more often than a real one.

# %%
counts = confusion_matrix(predicted, test.labels, "multiclass", num_classes=classes)
figure = show.confusion(
    counts, train.classes, title="EvalClassifier, held-out pictures"
)
lesson.figure("confusion", figure, "Which instruments the EvalClassifier confuses.")

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

    training.seed_everything(lesson.seed + 2000)
    points = len(POSE_FIELDS) // 2  # x and y of each
    estimator = PoseEstimator(points=points)
    how = (lesson.seed + 2000, settings.pose_steps, 0)
    estimator = train_on_pictures("pose_estimator", estimator, pose_loss, *how)
    path = models / "pose_estimator.safetensors"
    training.save_model(path, estimator, points=points)

# %%
if truth["train"] is not None:
    estimate = compute_outputs(estimator, test.pictures)
    error = metrics.pose_error(estimate, truth["test"], test.recordings)
    lesson.record("pose_estimator_error", error)
    average = truth["train"].nanmean(dim=0).expand_as(truth["test"])
    mean_pose = metrics.pose_error(average, truth["test"], test.recordings)
    lesson.record("mean_pose_error", mean_pose)
    print(f"pose estimator on held-out recordings: {error}")
    print(f"baseline, always the average pose:     {mean_pose}")
else:
    print("this data set has no truth about poses, so there is no pose estimator")

# %% [markdown]
# ## What came out
#
# The next cell reads the results of this run. At `smoke` the networks are practically
# untrained.

# %%
for name, accuracy in accuracies.items():
    print(
        f"{name}: {accuracy.value:.1%} of held-out pictures, chance {1 / classes:.1%}"
    )
if truth["train"] is not None:
    better = "better" if error.high < mean_pose.low else "not clearly better"
    print(f"pose estimator: off by {error.value:.3f} picture widths, {better} than")
    print(f"the average pose, which is off by {mean_pose.value:.3f}")

# %% [markdown]
# ## Exercises
#
# 1. Not every player has a bow. Where the truth is nan, the pose estimator must learn
#    nothing. Write a *squared* error over the known values whose gradient has no nan.
# 2. We do not flip pictures. If you want to, the pose must flip too. Write a function
#    that mirrors a picture together with its pose.

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
# def mirror_with_pose(picture, pose):
#     """The picture (H, W, 3) flipped left to right, and its pose to match.
#
#     pose maps names to numbers. Those named *_x are positions, 0 (left) to 1 (right).
#     Return both, and do not change the arguments.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.MIRROR, mirror_with_pose)

# %%
lesson.finish()
