# %% [markdown]
# # Step 4 · Image: six convolutions, an encoding, a judge
#
# For the way from picture to sound we need a picture in 128 numbers, and to
# judge generated pictures we need somebody who can name the instrument in them.
# The paper uses one classifier for both (Fig. 5). We build it here; then we ask
# whether that is a good idea.
#
# **Letters.** B batch · E encoding size (128) · W width of the first layers ·
# K classes · h, w height and width of a map.

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
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, ResNet


# %% tags=["active-ipynb"]
# import numpy as np
#
# from avnb.viz import show
# from data_scripts import bandstand

# %% [markdown]
# ## Pixels to numbers
#
# A picture is stored as bytes, 0 to 255, one each for red, green and blue. Networks
# like numbers around zero, and the generator ends in a tanh, whose range is
# [-1, 1]. So every picture, real or generated, is brought there:
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
    """Bytes to [-1, 1], channels first."""
    return picture.permute(0, 3, 1, 2).float() / 127.5 - 1


def denormalize_pictures(x: Float[Tensor, "b 3 64 64"]) -> UInt8[Tensor, "b 64 64 3"]:
    """[-1, 1] to bytes, channels last; what lies outside is cut."""
    x = (x.float().clamp(-1, 1) + 1) * 127.5
    return x.round().to(torch.uint8).permute(0, 2, 3, 1)


# %% [markdown]
# Here is what the network gets of a cellist: 64×64 pixels, and a close-up of 8×8 of
# them, its red channel as bytes and as the network sees it.

# %% tags=["active-ipynb"]
# PLAYED = ("cello", "flute", "horn", "violin")
# players = [
#     bandstand.perform(name, player, seconds=2, seed=0)
#     for player, name in enumerate(PLAYED, start=1)
# ]
# drawn = torch.from_numpy(np.stack([bandstand.draw(one, 1.0) for one in players]))
# x = normalize_pictures(drawn)
# print(f"bytes {tuple(drawn.shape)} → network {tuple(x.shape)}")
# every = torch.arange(256, dtype=torch.uint8).repeat(48).view(1, 64, 64, 3)
# assert torch.equal(
#     denormalize_pictures(normalize_pictures(every)), every
# )  # each byte comes back

# %% tags=["active-ipynb"]
# top, left = 28, 28
# patch = np.s_[top : top + 8, left : left + 8]
# figure, axes = show.subplots(1, 3, width=3.2, height=3.0)
# axes[0, 0].imshow(drawn[0])
# box = [left - 0.5, left + 7.5, left + 7.5, left - 0.5, left - 0.5]
# axes[0, 0].plot(box, [top - 0.5] * 2 + [top + 7.5] * 2 + [top - 0.5], color="white")
# red = {"bytes": drawn[0, ..., 0][patch], "as the network sees it": x[0, 0][patch]}
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
# ## The classifier of Fig. 5
#
# What makes a picture of a cellist a picture of a cellist? Not one pixel, but edges,
# which form strings and arms, which form somebody with a cello. A stack of
# convolutions finds them in that order. One convolution computes, for each output
# channel $c$ and place $(i, j)$,
#
# $$y_c[i, j] = \sum_{d}\sum_{u=-1}^{1}\sum_{v=-1}^{1}
# W_{c,d}[u, v]\; x_d[i + u,\ j + v]:$$
#
# it slides one small pattern over the picture and notes where it fits.
#
# Six 3×3 convolutions, three fully connected layers, the last but one 128 wide.
# After each pair of convolutions the map is halved; the paper does not print the
# widths, so they are ours.
#
# | layer | map |
# |---|---|
# | conv, conv, pool | 32×32×W |
# | conv, conv, pool | 16×16×2W |
# | conv, pool, conv, pool | 4×4×4W |
# | fully connected | 512, **128**, K |
#
# The 128 numbers are the **image encoding** (Sec. 3.4). As for sound, they are
# trained by way of the last layer's answer, $p = \mathrm{softmax}(\cdot)$, and the
# loss $-\log p_k$ of the true instrument $k$.


# %%
def conv(before: int, after: int, *, halve: bool) -> nn.Sequential:
    """3×3 convolution, a 2×2 maximum where the map is halved, norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.MaxPool2d(2) if halve else nn.Identity(),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )


# %%
def make_six_convolutions(width: int) -> nn.Sequential:
    """The table above: (B, 3, 64, 64) → (B, 64 W)."""
    return nn.Sequential(
        conv(3, width, halve=False),
        conv(width, width, halve=True),
        conv(width, 2 * width, halve=False),
        conv(2 * width, 2 * width, halve=True),
        conv(2 * width, 4 * width, halve=True),
        conv(4 * width, 4 * width, halve=True),
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
        return self.encoding(self.convs(picture))

    def forward(self, picture: Float[Tensor, "b 3 64 64"]) -> Float[Tensor, "b k"]:
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
# What do the first 32 patterns find? Even untrained ones are little edge finders:
# each map is bright where its random 3×3 pattern fits. Training keeps the useful
# ones and the layers above combine them.

# %% tags=["active-ipynb"]
# def maps(picture: torch.Tensor, channels: int = 7) -> list:
#     """The picture and its first few first-layer maps, each from black to white."""
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
# show.image_grid([maps(one) for one in x], rows=PLAYED, columns=columns)

# %% [markdown]
# ## A little unrest
#
# A few recordings a class are few people in few rooms, and a network soon knows them
# by heart. **Jitter** moves each picture by some pixels and changes its brightness
# and contrast, differently every time. It does not flip: a flipped violinist is
# left-handed. The classifiers train on jittered pictures; step 6 gives it a second
# use, for which it has to be differentiable.


# %%
def jitter(
    x: Float[Tensor, "b c h w"], shift: int, light: float
) -> Float[Tensor, "b c h w"]:
    """Each picture moved by up to `shift` pixels, its light changed by up to `light`.

    The edge is repeated into what the move uncovers. Gradients reach `x`.
    """
    b, _, h, w = x.shape
    padded = F.pad(x, (shift,) * 4, mode="replicate")
    by = torch.randint(0, 2 * shift + 1, (2, b, 1), device=x.device)
    rows = by[0] + torch.arange(h, device=x.device)
    columns = by[1] + torch.arange(w, device=x.device)
    item = torch.arange(b, device=x.device)[:, None, None]
    moved = padded[item, :, rows[:, :, None], columns[:, None, :]]  # (b, h, w, c)
    moved = moved.permute(0, 3, 1, 2)
    contrast, brightness = light * (2 * torch.rand(2, b, 1, 1, 1, device=x.device) - 1)
    mean = moved.mean(dim=(1, 2, 3), keepdim=True)
    return (moved - mean) * (1 + contrast) + mean + brightness


# %% tags=["active-ipynb"]
# grey = torch.zeros(2, 3, 64, 64, requires_grad=True)
# jitter(grey, 8, 0.3).sum().backward()
# assert grey.grad.abs().sum() > 0
# six = normalize_pictures(drawn[:1]).repeat(6, 1, 1, 1)
# show.image_grid(
#     [denormalize_pictures(jitter(six, 8, 0.3))], title="one picture, jittered"
# )

# %% [markdown]
# ## Why Γ should not judge alone
#
# A painter who is taught by a critic learns what *this critic* likes. If the same
# critic later gives the marks, they are high, and you cannot tell whether the
# paintings are good or the painter knows the critic.
#
# In the paper, Γ encodes pictures for the I2S network *and* grades the pictures
# of the S2I network; the sound encoder likewise grades the I2S network that was
# trained on its twin. An examiner who also taught the class is lenient in ways
# nobody notices. Our judges are therefore other networks: another architecture
# (a small ResNet from torchvision), another seed, no part in any training of a
# generator. Γ is kept for what the paper does with it during training: choosing
# the best epoch (Fig. 9).

# %% tags=["active-ipynb"]
# teach, judge = "#fbe3d0", "#d5efe5"
# boxes = {
#     "data": (0.08, 0.5, "real pairs\ntraining split"),
#     "ear": (0.32, 0.82, "sound encoder\n(step 3)"),
#     "gamma": (0.32, 0.5, "Γ, image\nclassifier"),
#     "judge": (0.32, 0.16, "EvalClassifier\nother network, other seed"),
#     "s2i": (0.62, 0.82, "S2I\nsound → picture"),
#     "i2s": (0.62, 0.5, "I2S\npicture → sound"),
#     "marks": (0.9, 0.16, "the marks\nof step 10"),
# }
# arrows = [("data", name, "trains") for name in ("ear", "gamma", "judge")]
# arrows += [("ear", "s2i", "encodes for"), ("gamma", "i2s", "encodes for")]
# arrows += [("gamma", "s2i", "picks its epoch")]
# arrows += [("s2i", "marks", ""), ("i2s", "marks", ""), ("judge", "marks", "gives")]
# fills = {"ear": teach, "gamma": teach, "judge": judge, "marks": judge}
# show.diagram(boxes, arrows, fills=fills, width=9, height=3.4)

# %% [markdown]
# Orange teaches, green judges, and no arrow leads from orange to the marks. Both
# have seen the training recordings only, so real *test* pictures are as new to the
# judge as generated ones.
#
# The judge is a residual network: each block adds what it finds to what came in,
# $y = \mathrm{ReLU}(x + f(x))$. There is one for pictures, of 3 channels, and one for
# sounds (the *ear* of step 3), of one.
#
# `(B, 3, 64, 64) or (B, 1, 128, 44) → (B, K)`


# %%
class EvalClassifier(ResNet):
    """An examiner that taught nobody: (B, channels, h, w) → logits (B, K).

    torchvision's ResNet with one block a storey. `features` gives the (B, 512)
    vector before the last layer, for FID and KID.
    """

    def __init__(self, classes: int, channels: int = 3) -> None:
        super().__init__(BasicBlock, [1, 1, 1, 1], num_classes=classes)
        self.conv1 = nn.Conv2d(channels, 64, 5, 2, 2, bias=False)

    def features(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 512"]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.avgpool(x).flatten(1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        return self.fc(self.features(x))


# %% tags=["active-ipynb"]
# eye, ear = EvalClassifier(13).eval(), EvalClassifier(13, channels=1).eval()
# assert eye(x).shape == (4, 13)
# assert eye.features(x).shape == (4, 512)
# assert ear(torch.randn(2, 1, 128, 44)).shape == (2, 13)
# show.table(
#     [
#         {"network": name, "weights": sum(p.numel() for p in network.parameters())}
#         | {"layers": sum(isinstance(m, nn.Conv2d) for m in network.modules())}
#         for name, network in (("Γ", classifier), ("judge", eye))
#     ]
# )

# %% [markdown]
# ## A reader of poses
#
# On the bandstand it is known where each hand is. To ask the same of a *generated*
# picture, a network has to read it off. The judge's own form is bad at that: it
# averages over the whole picture before it decides, and with the place goes the pose.
# So this one keeps a map $h$ of 16×16 for each point and returns where the map's
# weight lies (a **soft argmax**):
#
# $$(\hat x, \hat y) = \sum_{u,v} \mathrm{softmax}(h)_{uv}\,(u, v) .$$
#
# Shift the picture, and the answer shifts with it: nothing about places has to be
# learned anew for each place.
#
# `(B, 3, 64, 64) → (B, 2P)`: x and y of each point, in picture widths


# %%
def halving(inputs: int, outputs: int) -> BasicBlock:
    """A residual block that halves both sides: (B, inputs, h, w) → (B, outputs, …)."""
    way_round = nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs)
    )
    return BasicBlock(inputs, outputs, 2, way_round)


# %%
def soft_argmax(maps: Float[Tensor, "b p h w"]) -> Float[Tensor, "b q"]:
    """The mean place of each map's weight: x and y of each point, in widths."""
    maps = maps.float()
    weight = maps.flatten(2).softmax(dim=2).view_as(maps)
    height, width = maps.shape[2:]
    u = (torch.arange(width, device=maps.device) + 0.5) / width
    v = (torch.arange(height, device=maps.device) + 0.5) / height
    place = [(weight.sum(2) * u).sum(2), (weight.sum(3) * v).sum(2)]
    return torch.stack(place, dim=2).flatten(1)


# %%
class PoseEstimator(nn.Module):
    """Where `points` points are: (B, 3, h, w) → (B, 2·points), x and y in widths."""

    def __init__(self, points: int, width: int = 32) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            nn.Conv2d(3, width, 5, 2, 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            BasicBlock(width, width),
            halving(width, 2 * width),
            BasicBlock(2 * width, 2 * width),
            halving(2 * width, 4 * width),
            BasicBlock(4 * width, 4 * width),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(4 * width, points, 3, padding=1),
        )

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b q"]:
        return soft_argmax(self.maps(x))


# %% [markdown]
# A map with a single bright spot: the reader must name the middle of the spot.

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
# ## Exercises
#
# 1. What share of Γ's weights sits in its three fully connected layers? Guess before
#    you count (convolutions have no biases here; leave the norms out).
# 2. Write `denormalize_pictures` for a numpy array so that every byte comes back unchanged.

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
# from avnb import course
#
#
# def share_in_full(width=32, classes=13):
#     """Weights in the fully connected layers of Γ over all its weights, 0 to 1."""
#     ...  # your code
#
#
# course.try_exercise(exercises.SHARE_IN_FULL, share_in_full)

# %% tags=["active-ipynb"]
# def bytes_of(x):
#     """Undo byte / 127.5 - 1: an array of floats to uint8; outside [-1, 1] is cut."""
#     ...  # your code
#
#
# course.try_exercise(exercises.BYTES_OF, bytes_of)
