# %% [markdown]
# # Step 4 · Image: an encoder, an EvalClassifier, a pose estimator
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/deep_cross_modal/step4_image.ipynb)
#
# To generate sound from a picture we need the picture as 128 numbers. To evaluate
# generated pictures we need a network that recognises the instrument in them. The paper
# uses one classifier for both (Fig. 5). We build it here, and then ask whether one
# network should have both tasks.
#
# **You will learn** what a convolution computes, how the image encoder is built, why
# the network that evaluates must not take part in training, and how a soft argmax finds
# positions.
#
# **Time.** About 25 minutes to read. The cells run in about half a minute.
#
# **Before you start.** Read step 2, whose classifier has the same form.
#
# **Letters.** B batch · E encoding size (128) · W width of the first layers ·
# K classes · P points of a pose · h, w height and width of a map.

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
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock


# %% tags=["active-ipynb"]
# import numpy as np
#
# from avnb.viz import show
# from data_scripts import bandstand

# %% [markdown]
# ## From bytes to numbers around zero
#
# A picture is stored as bytes, 0 to 255, for red, green and blue. Networks train best
# with numbers around zero, and the generator ends in a tanh, whose range is [-1, 1]. So
# every picture, real or generated, gets this range:
#
# $$x = \frac{b}{127.5} - 1 \qquad\text{and back}\qquad
# b = \mathrm{round}\big(127.5\,(x + 1)\big).$$
#
# The channels move to the front, where PyTorch's convolutions expect them.
#
# `(B, 64, 64, 3) bytes ⇄ (B, 3, 64, 64) in [-1, 1]`


# %%
def normalize_pictures(
    picture: UInt8[Tensor, "b 64 64 3"],
) -> Float[Tensor, "b 3 64 64"]:
    """Convert bytes to [-1, 1], channels first."""
    return picture.permute(0, 3, 1, 2).float() / 127.5 - 1


def denormalize_pictures(x: Float[Tensor, "b 3 64 64"]) -> UInt8[Tensor, "b 64 64 3"]:
    """Convert [-1, 1] to bytes, channels last; values outside are clipped."""
    x = (x.float().clamp(-1, 1) + 1) * 127.5
    return x.round().to(torch.uint8).permute(0, 2, 3, 1)


# %% [markdown]
# This is what the network gets of a cellist: 64×64 pixels. A close-up shows the red
# channel of 8×8 of them, as bytes and as network input.

# %% tags=["active-ipynb"]
# PLAYED = ("cello", "flute", "horn", "violin")
# players = [
#     bandstand.perform(name, player, seconds=2, seed=0)
#     for player, name in enumerate(PLAYED, start=1)
# ]
# drawings = torch.from_numpy(np.stack([bandstand.draw(one, 1.0) for one in players]))
# x = normalize_pictures(drawings)
# print(f"bytes {tuple(drawings.shape)} → network {tuple(x.shape)}")
# every = torch.arange(256, dtype=torch.uint8).repeat(48).view(1, 64, 64, 3)
# assert torch.equal(
#     denormalize_pictures(normalize_pictures(every)), every
# )  # no byte changes

# %% tags=["active-ipynb"]
# top, left = 28, 28
# patch = np.s_[top : top + 8, left : left + 8]
# figure, axes = show.subplots(1, 3, width=3.2, height=3.0)
# axes[0, 0].imshow(drawings[0])
# box = [left - 0.5, left + 7.5, left + 7.5, left - 0.5, left - 0.5]
# axes[0, 0].plot(box, [top - 0.5] * 2 + [top + 7.5] * 2 + [top - 0.5], color="white")
# red = {"bytes": drawings[0, ..., 0][patch], "network input": x[0, 0][patch]}
# for ax, (title, values) in zip(axes[0, 1:], red.items(), strict=True):
#     ax.imshow(values, cmap="Reds_r", vmin=values.min() * 1.0 - 0.1)
#     ax.set_title(title)
#     for (r, c), value in np.ndenumerate(values.numpy()):
#         text = f"{value}" if title == "bytes" else f"{value:.1f}"
#         ax.text(c, r, text, ha="center", va="center", fontsize=7)
# for ax in axes.flat:
#     ax.set_axis_off()
# figure

# %% [markdown]
# ## What a convolution computes
#
# No single pixel shows that somebody plays the cello. Edges form strings and arms, and
# these form a person with a cello. A stack of convolutions finds them in this order.
# One convolution computes, for each output channel $c$ and position $(i, j)$,
#
# $$y_c[i, j] = \sum_{d}\sum_{u=-1}^{1}\sum_{v=-1}^{1}
# W_{c,d}[u, v]\; x_d[i + u,\ j + v].$$
#
# It moves one small pattern $W_c$ over the picture. The output is large where the
# picture matches the pattern. The sum as loops, on a corner of the cellist:

# %% tags=["active-ipynb"]
# def convolve(x: torch.Tensor, W: torch.Tensor) -> torch.Tensor:
#     """The sum of the equation: x (D, h, w), W (C, D, 3, 3) → (C, h, w)."""
#     padded = F.pad(x, (1, 1, 1, 1))  # zeros around the picture
#     y = torch.zeros(len(W), *x.shape[1:])
#     for c in range(y.shape[0]):
#         for i in range(y.shape[1]):
#             for j in range(y.shape[2]):
#                 y[c, i, j] = (W[c] * padded[:, i : i + 3, j : j + 3]).sum()
#     return y
#
#
# torch.manual_seed(0)
# corner, W = x[0, :, :12, :12], torch.randn(4, 3, 3, 3)
# fast = F.conv2d(corner[None], W, padding=1)[0]
# assert torch.allclose(convolve(corner, W), fast, atol=1e-4)
# print("the loops and F.conv2d agree, shape", tuple(fast.shape))

# %% [markdown]
# ## The classifier of Fig. 5
#
# It has six 3×3 convolutions and three fully connected layers, of which the second is
# 128 wide. The map is halved four times. The paper does not state the widths and where
# the map is halved, so these are our choice.
#
# | layer | map |
# |---|---|
# | conv, conv, pool | 32×32×W |
# | conv, conv, pool | 16×16×2W |
# | conv, pool, conv, pool | 4×4×4W |
# | fully connected | 512, **128**, K |
#
# The 128 numbers are the **image encoding** (Sec. 3.4). As for sound, they are trained
# through the last layer, with $p = \mathrm{softmax}(\cdot)$ and the loss $-\log p_k$ of
# the true instrument $k$. The paper calls this classifier Γ.


# %%
def make_image_conv(before: int, after: int, *, halve: bool) -> nn.Sequential:
    """Make a 3×3 convolution, a 2×2 max pooling if `halve`, a norm and a ReLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.MaxPool2d(2) if halve else nn.Identity(),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )


# %%
def make_six_convolutions(width: int) -> nn.Sequential:
    """Make the convolutions of the table above: (B, 3, 64, 64) → (B, 64 W)."""
    return nn.Sequential(
        make_image_conv(3, width, halve=False),
        make_image_conv(width, width, halve=True),
        make_image_conv(width, 2 * width, halve=False),
        make_image_conv(2 * width, 2 * width, halve=True),
        make_image_conv(2 * width, 4 * width, halve=True),
        make_image_conv(4 * width, 4 * width, halve=True),
        nn.Flatten(),
    )


# %%
class ImageClassifier(nn.Module):
    """Γ, Fig. 5: picture (B, 3, 64, 64) in [-1, 1] → logits (B, K).

    `encode` stops one layer earlier: (B, 128), the image encoding of Sec. 3.4.
    """

    def __init__(self, classes: int, width: int = 32) -> None:
        super().__init__()
        self.convs = make_six_convolutions(width)
        self.encoding = nn.Sequential(
            nn.Linear(64 * width, 512), nn.ReLU(), nn.Dropout(0.3), nn.Linear(512, 128)
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, classes))

    def encode(self, picture: Float[Tensor, "b 3 64 64"]) -> Float[Tensor, "b 128"]:
        """Compute the encoding: the second-to-last layer before its ReLU."""
        return self.encoding(self.convs(picture))

    def forward(self, picture: Float[Tensor, "b 3 64 64"]) -> Float[Tensor, "b k"]:
        """Compute the logits of the instruments."""
        return self.head(self.encode(picture))


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# classifier = ImageClassifier(classes=13).eval()
# assert classifier.encode(x).shape == (4, 128)
# assert classifier(x).shape == (4, 13)
# shapes, y = {"picture": x.shape[1:]}, x
# for number, layer in enumerate(classifier.convs[:-1], start=1):
#     y = layer(y)
#     shapes[f"conv {number}"] = y.shape[1:]
# show.feature_maps(shapes)

# %% [markdown]
# What do the patterns of the first layer find? Even random patterns find edges: each
# map is bright where its 3×3 pattern matches. Training keeps the useful patterns, and
# the later layers combine them.

# %% tags=["active-ipynb"]
# def show_maps(picture: torch.Tensor, channels: int = 7) -> list:
#     """The picture and some maps of the first layer, each from black to white."""
#     with torch.no_grad():
#         found = classifier.convs[0](picture[None])[0, :channels]
#     low, high = found.amin((1, 2), True), found.amax((1, 2), True)
#     grey = (found - low) / (high - low).clamp(min=1e-6)
#     return [
#         denormalize_pictures(picture[None])[0],
#         *grey[:, None].expand(-1, 3, -1, -1),
#     ]
#
#
# columns = ["picture", *(f"map {k}" for k in range(1, 8))]
# show.image_grid([show_maps(one) for one in x], rows=PLAYED, columns=columns)

# %% [markdown]
# ## Augmentation: jitter and mirror
#
# A few recordings of each class show few people in few rooms, and a network soon
# memorises them. **Jitter** moves each picture by some pixels and changes its
# brightness and contrast, differently each time. Step 6 uses jitter for a second
# purpose, for which it must be differentiable.
#
# The EvalClassifier below, which must be right about people whom it has not seen, also
# gets each picture **mirrored** half of the time. A camera that mirrors makes a
# left-handed violinist, but the instrument stays a violin, and half of the cameras of
# the embedded data mirror, as those of telephones do.


# %%
def jitter(
    x: Float[Tensor, "b c h w"], shift: int, light: float
) -> Float[Tensor, "b c h w"]:
    """Move each picture and change its light, both at random.

    Gradients reach `x`, so a generator can be trained through it.

    Args:
        x: pictures in [-1, 1].
        shift: the largest move, in pixels; the edge is repeated into the gap.
        light: the largest change of contrast (a factor 1 ± light) and of brightness.
    """
    b, _, h, w = x.shape
    padded = F.pad(x, (shift,) * 4, mode="replicate")
    # One move for each picture: index its rows and columns in the padded picture.
    by = torch.randint(0, 2 * shift + 1, (2, b, 1), device=x.device)
    rows = by[0] + torch.arange(h, device=x.device)
    columns = by[1] + torch.arange(w, device=x.device)
    item = torch.arange(b, device=x.device)[:, None, None]
    moved = padded[item, :, rows[:, :, None], columns[:, None, :]]  # (b, h, w, c)
    moved = moved.permute(0, 3, 1, 2)
    # Contrast scales around the mean of the picture, so that it keeps its brightness.
    contrast, brightness = light * (2 * torch.rand(2, b, 1, 1, 1, device=x.device) - 1)
    mean = moved.mean(dim=(1, 2, 3), keepdim=True)
    return (moved - mean) * (1 + contrast) + mean + brightness


# %%
def mirror_half(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Exchange left and right in about half of the pictures, chosen at random."""
    chosen = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
    return torch.where(chosen, x.flip(-1), x)


# %% tags=["active-ipynb"]
# grey = torch.zeros(2, 3, 64, 64, requires_grad=True)
# jitter(grey, 8, 0.3).sum().backward()
# assert grey.grad.abs().sum() > 0
# six = normalize_pictures(drawings[:1]).repeat(6, 1, 1, 1)
# augmented = denormalize_pictures(jitter(mirror_half(six), 8, 0.3))
# title = "one picture six times, mirrored by lot and jittered"
# show.image_grid([augmented], title=title)

# %% [markdown]
# ## Why Γ must not evaluate alone
#
# A network that was used in training is no independent evaluator. In the paper, Γ
# encodes pictures for the I2S network *and* evaluates the pictures of the S2I network.
# The sound encoder likewise evaluates the sounds of I2S. If a network that evaluates
# also chose the best epoch, or shaped an encoding, its accuracy can be too high, and
# nobody can tell by how much.
#
# So we evaluate with another network, the `EvalClassifier`. It has another architecture
# (a small ResNet of torchvision's blocks) and another seed, and it is not used in
# training any generator. Γ keeps the role that the paper gives it during training: it
# chooses the best epoch (Fig. 9). Step 10 reports the accuracy by both, and says which
# of them is stricter.

# %% tags=["active-ipynb"]
# training, evaluation = "#fbe3d0", "#d5efe5"
# boxes = {
#     "data": (0.08, 0.5, "real pairs\ntraining split"),
#     "sound": (0.32, 0.82, "sound encoder\n(step 3)"),
#     "gamma": (0.32, 0.5, "Γ, image\nclassifier"),
#     "eval": (0.32, 0.16, "EvalClassifier\nother network, other seed"),
#     "s2i": (0.62, 0.82, "S2I\nsound → picture"),
#     "i2s": (0.62, 0.5, "I2S\npicture → sound"),
#     "score": (0.9, 0.16, "accuracies\nof step 10"),
# }
# arrows = [("data", name, "trains") for name in ("sound", "gamma", "eval")]
# arrows += [("sound", "s2i", "encodes for"), ("gamma", "i2s", "encodes for")]
# arrows += [("gamma", "s2i", "picks its epoch")]
# arrows += [("s2i", "score", ""), ("i2s", "score", ""), ("eval", "score", "predicts")]
# fills = {"sound": training, "gamma": training}
# fills |= {"eval": evaluation, "score": evaluation}
# show.diagram(boxes, arrows, fills=fills, width=9, height=3.4)

# %% [markdown]
# Orange networks take part in training the generators, green ones evaluate. No arrow
# leads from orange to the accuracies. All were trained on the training people only. So
# real *test* pictures show people who are new to the EvalClassifier. Generated pictures
# need not: a generator can only paint people whom it has seen, and the EvalClassifier
# has seen them too. Keep this in mind where step 10 compares the two.
#
# The EvalClassifier is a residual network: each block adds its output to its input,
# $y = \mathrm{ReLU}(x + f(x))$. There is one for pictures, with 3 input channels, and
# one for spectrograms (trained in step 3), with one.
#
# `(B, 3, 64, 64) or (B, 1, 128, 44) → (B, K)`


# %%
def make_downsampling_block(inputs: int, outputs: int) -> BasicBlock:
    """Make a residual block that halves both sides of a map."""
    # The shortcut must change size and channels as the block does.
    shortcut = nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs)
    )
    return BasicBlock(inputs, outputs, 2, shortcut)


# %%
def make_residual_body(channels: int, width: int) -> nn.Sequential:
    """Make a convolution and four residual blocks: (B, channels, h, w) → (B, 8W)."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 5, 2, 2, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        BasicBlock(width, width),
        make_downsampling_block(width, 2 * width),
        make_downsampling_block(2 * width, 4 * width),
        make_downsampling_block(4 * width, 8 * width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


# %%
class EvalClassifier(nn.Module):
    """A classifier that is not used in training: (B, channels, h, w) → logits (B, K).

    `features` gives the vector before the last layer, for FID and KID.

    Args:
        classes: number K of instruments.
        channels: 3 for pictures, 1 for spectrograms.
        width: W, of its first layers.
    """

    def __init__(self, classes: int, channels: int = 3, width: int = 32) -> None:
        super().__init__()
        self.body = make_residual_body(channels, width)
        self.fc = nn.Linear(8 * width, classes)

    def features(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b f"]:
        """Compute the features (B, 8W) before the last layer."""
        return self.body(x)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """Compute the logits of the instruments."""
        return self.fc(self.features(x))


# %% tags=["active-ipynb"]
# eval_image = EvalClassifier(13).eval()
# eval_sound = EvalClassifier(13, channels=1).eval()
# assert eval_image(x).shape == (4, 13)
# assert eval_image.features(x).shape == (4, 256)
# assert eval_sound(torch.randn(2, 1, 128, 44)).shape == (2, 13)
# networks = {"Γ": classifier, "EvalClassifier": eval_image}
# show.table(
#     [
#         {"network": name, "weights": sum(p.numel() for p in network.parameters())}
#         | {"layers": sum(isinstance(m, nn.Conv2d) for m in network.modules())}
#         for name, network in networks.items()
#     ]
# )

# %% [markdown]
# ## A pose estimator
#
# The bandstand knows where each hand is. To evaluate the pose in a *generated* picture,
# a network must estimate it. A classifier such as the EvalClassifier is not suited: it
# averages over the whole picture, and that loses positions. The pose estimator instead
# computes a map $h$ of 16×16 for each point and returns the mean position under the
# map's softmax (a **soft argmax**):
#
# $$(\hat x, \hat y) = \sum_{u,v} \mathrm{softmax}(h)_{uv}\,(u, v) .$$
#
# If the picture shifts, the estimate shifts with it. So the network need not learn each
# position separately.
#
# `(B, 3, 64, 64) → (B, 2P)`: x and y of each point, in picture widths


# %%
def soft_argmax(maps: Float[Tensor, "b p h w"]) -> Float[Tensor, "b q"]:
    """Compute the mean position of each map under its softmax.

    Args:
        maps: one map for each of P points.

    Returns:
        (B, 2P): x and y of each point, where 1 is the width or height of the map.
    """
    # Under autocast the maps are bfloat16, which has 8 bits: too coarse for positions.
    maps = maps.float()
    weight = maps.flatten(2).softmax(dim=2).view_as(maps)
    height, width = maps.shape[2:]
    # The centre of pixel u is at (u + ½) / width.
    u = (torch.arange(width, device=maps.device) + 0.5) / width
    v = (torch.arange(height, device=maps.device) + 0.5) / height
    position = [(weight.sum(2) * u).sum(2), (weight.sum(3) * v).sum(2)]
    return torch.stack(position, dim=2).flatten(1)


# %%
class PoseEstimator(nn.Module):
    """Estimate x and y of some points: (B, 3, h, w) → (B, 2 · points), in widths."""

    def __init__(self, points: int, width: int = 32) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            nn.Conv2d(3, width, 5, 2, 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            BasicBlock(width, width),
            make_downsampling_block(width, 2 * width),
            BasicBlock(2 * width, 2 * width),
            make_downsampling_block(2 * width, 4 * width),
            BasicBlock(4 * width, 4 * width),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(4 * width, points, 3, padding=1),
        )

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b q"]:
        """Estimate x and y of each point."""
        return soft_argmax(self.maps(x))


# %% [markdown]
# For a map with a single bright spot, the soft argmax is the centre of the spot:

# %% tags=["active-ipynb"]
# assert PoseEstimator(points=5)(x).shape == (4, 10)
# spot = torch.full((1, 1, 16, 16), -20.0)
# spot[0, 0, 12, 3] = 20.0
# where = soft_argmax(spot)[0]
# figure, axes = show.subplots(1, 1, width=2.6, height=2.6)
# axes[0, 0].imshow(spot[0, 0], extent=(0, 1, 1, 0), cmap="magma")
# axes[0, 0].plot(*where, "c+", markersize=14, markeredgewidth=2)
# axes[0, 0].set(title=f"x = {where[0]:.2f}, y = {where[1]:.2f}")
# axes[0, 0].grid(False)
# figure

# %% [markdown]
# ## Summary
#
# `ImageClassifier` (Γ) encodes pictures and chooses the best epoch. `EvalClassifier`
# evaluates and takes no part in training. `PoseEstimator` reads positions. Step 5
# trains all three.
#
# ## Exercises
#
# 1. The EvalClassifier is made of residual blocks. Write the forward pass of one that
#    halves the map, with its shortcut.
# 2. Step 5 shows the EvalClassifier pictures in which no instrument can be seen. Given
#    such accuracies with their intervals, say whether a network may evaluate.

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
# from avnb import course
#
#
# def compute_block(x, convs, norms, shortcut):
#     """ReLU(x' + f(x)): f is conv, norm, ReLU, conv, norm; x' is shortcut(x)."""
#     ...  # your code
#
#
# course.try_exercise(exercises.RESIDUAL_BLOCK, compute_block)

# %% tags=["active-ipynb"]
# def may_evaluate(real, spoiled, classes):
#     """Whether a classifier of `classes` classes may evaluate generated pictures.
#
#     real is (accuracy, low, high) on real pictures; spoiled is a list of such triples,
#     for pictures without a recognisable instrument. Return "yes"; "blind" where real
#     pictures are not clearly recognised; "cheats" where it is clearly right without
#     an instrument.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.MAY_EVALUATE, may_evaluate)
