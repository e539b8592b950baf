# %% [markdown]
# # Step 4 · Image: six convolutions, an encoding, a judge
#
# For the way from picture to sound we need a picture in 128 numbers, and to
# judge generated pictures we need somebody who can name the instrument in them.
# The paper uses one classifier for both (Fig. 5). We build it here; then we ask
# whether that is a good idea.
#
# **Letters.** B batch · E encoding size (128) · W width of the first layers ·
# K classes.

# %%
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

# %% [markdown]
# ## Pixels to numbers
#
# Pictures are stored as bytes. Networks see them in [-1, 1], the range of the
# generator's tanh, so real and generated pictures are treated alike.


# %%
def to_network(picture: UInt8[Tensor, "b 64 64 3"]) -> Float[Tensor, "b 3 64 64"]:
    """Bytes to [-1, 1], channels first."""
    return picture.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_bytes(x: Float[Tensor, "b 3 64 64"]) -> UInt8[Tensor, "b 64 64 3"]:
    """[-1, 1] to bytes, channels last; what lies outside is cut."""
    x = (x.float().clamp(-1, 1) + 1) * 127.5
    return x.round().to(torch.uint8).permute(0, 2, 3, 1)


# %% [markdown]
# ## The classifier of Fig. 5
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


# %%
def conv(before: int, after: int, *, halve: bool) -> nn.Sequential:
    """3×3 convolution, a 2×2 maximum where the map is halved, norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.MaxPool2d(2) if halve else nn.Identity(),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )


class ImageClassifier(nn.Module):
    """Γ, Fig. 5: picture (B, 3, 64, 64) in [-1, 1] → logits (B, K).

    `encode` stops one layer earlier: (B, 128), the image encoding of Sec. 3.4.
    """

    def __init__(self, classes: int, width: int = 32) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            conv(3, width, halve=False),
            conv(width, width, halve=True),
            conv(width, 2 * width, halve=False),
            conv(2 * width, 2 * width, halve=True),
            conv(2 * width, 4 * width, halve=True),
            conv(4 * width, 4 * width, halve=True),
            nn.Flatten(),
        )
        self.encoding = nn.Sequential(
            nn.Linear(64 * width, 512), nn.ReLU(), nn.Dropout(0.3), nn.Linear(512, 128)
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, classes))

    def encode(self, picture: Float[Tensor, "b 3 64 64"]) -> Float[Tensor, "b 128"]:
        return self.encoding(self.convs(picture))

    def forward(self, picture: Float[Tensor, "b 3 64 64"]) -> Float[Tensor, "b k"]:
        return self.head(self.encode(picture))


# %% [markdown]
# ## Why Γ should not judge alone
#
# In the paper, Γ encodes pictures for the I2S network *and* grades the pictures
# of the S2I network; the sound encoder likewise grades the I2S network that was
# trained on its twin. An examiner who also taught the class is lenient in ways
# nobody notices. Our judges are therefore other networks: another architecture
# (a small ResNet from torchvision), another seed, no part in any training of a
# generator. Γ is kept for what the paper does with it during training: choosing
# the best epoch (Fig. 9).


# %%
class Judge(ResNet):
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


# %% [markdown]
# ## Exercises
#
# 1. What share of Γ's weights sits in its three fully connected layers? Guess before
#    you count (convolutions have no biases here; leave the norms out).
# 2. Write `to_bytes` for a numpy array so that every byte comes back unchanged.

# %% tags=["active-ipynb"]
import exercises

from avnb import lessons


def share_in_full(width=32, classes=13):
    """Weights in the fully connected layers of Γ over all its weights, 0 to 1."""
    ...  # your code


lessons.try_exercise(exercises.SHARE_IN_FULL, share_in_full)


# %% tags=["active-ipynb"]
def bytes_of(x):
    """Undo byte / 127.5 - 1: an array of floats to uint8; outside [-1, 1] is cut."""
    ...  # your code


lessons.try_exercise(exercises.BYTES_OF, bytes_of)
