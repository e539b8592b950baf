# %% [markdown]
# # Step 8 · Image to sound: a spectrogram is not a square
#
# The other direction: look at a musician and write down half a second of what
# is heard, as a log-mel spectrogram. The game is the one of step 6, the wrong
# pairs are now wrong *sounds* (Eq. 7), and the networks have to cope with a
# picture that is 128 high and 34 wide.
#
# **Letters.** B batch · Z noise (100) · E encoding (128) · W base width ·
# F mel bands (128) · N spectrogram frames (34 inside the networks, 44 outside).

# %%
import torch
from einops import rearrange
from jaxtyping import Float
from step6_sound_to_image import Bottleneck, Compress, PairScore, shrink, trunk
from torch import Tensor, nn
from torch.nn import functional as F

# %% [markdown]
# ## 128×44 in, 128×34 inside
#
# A 32×32 map becomes 128×34 by two transposed convolutions with a 4×4 kernel,
# stride (2, 1) and padding 1 (Sec. 3.1): the height doubles twice, the width
# grows by one twice. A real spectrogram of half a second has 44 frames, so it
# is resized to 34 on the way in and back to 44 on the way out.
#
# The paper names numpy's `resize` for that. It repeats and cuts the flattened
# data, which would shear every row against the next; we interpolate.


# %%
def to_network(lms: Float[Tensor, "b f n"]) -> Float[Tensor, "b 1 128 34"]:
    """A log-mel spectrogram at the size the networks work on."""
    return F.interpolate(lms[:, None], (128, 34), mode="bilinear", align_corners=True)


def from_network(x: Float[Tensor, "b 1 128 34"], frames: int = 44) -> Tensor:
    """Back to (B, 128, frames)."""
    size = (128, frames)
    return F.interpolate(x, size, mode="bilinear", align_corners=True)[:, 0]


# %% [markdown]
# ## Generator
#
# $\hat x_A \leftarrow G_{I\mapsto S}(\phi(I), z)$: the trunk of step 6 up to
# 32×32, **two added 3×3 layers** there ("adding more convolution layers in the
# I2S networks helps get better output in fewer epochs"), then the two
# deconvolutions.


# %%
class SpectrogramGenerator(nn.Module):
    """G_I→S: noise (B, Z) and encoding (B, E) → (B, 1, 128, 34) in [-1, 1]."""

    def __init__(self, width: int = 128, noise: int = 100, encoding: int = 128) -> None:
        super().__init__()
        self.noise = noise
        self.compress = Compress(encoding)
        self.trunk = trunk(noise + 64, width)
        added = []
        for _ in range(2):
            added += [nn.Conv2d(width, width, 3, padding=1, bias=False)]
            added += [nn.BatchNorm2d(width), nn.ReLU()]
        self.added = nn.Sequential(*added)
        self.stretch = nn.Sequential(
            nn.ConvTranspose2d(width, width // 2, 4, (2, 1), 1, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(),
            nn.ConvTranspose2d(width // 2, 1, 4, (2, 1), 1),
        )

    def forward(
        self, z: Float[Tensor, "b z"], encoding: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b 1 128 34"]:
        condition = torch.cat([z, self.compress(encoding)], dim=1)
        x = self.trunk(rearrange(condition, "b c -> b c 1 1"))
        return torch.tanh(self.stretch(self.added(x)))


# %% [markdown]
# ## Discriminator
#
# The mirror image: two convolutions with stride (2, 1) make a square 32×32 map,
# **twelve added layers** look at it (here six residual blocks of two), three
# halvings lead to 4×4, where the picture's encoding joins in.


# %%
class Residual(nn.Module):
    """Two 3×3 convolutions around which the input is carried: (B, W, h, w)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Float[Tensor, "b w h v"]) -> Float[Tensor, "b w h v"]:
        return F.leaky_relu(x + self.body(x), 0.2)


# %%
class SpectrogramDiscriminator(nn.Module):
    """D_I→S: spectrogram (B, 1, 128, 34) and encoding (B, E) → logits (B,)."""

    def __init__(self, width: int = 64, encoding: int = 128) -> None:
        super().__init__()
        self.square = nn.Sequential(
            nn.Conv2d(1, width // 2, 4, (2, 1), 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width // 2, width, 4, (2, 1), 1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
        )
        self.added = nn.Sequential(*[Residual(width) for _ in range(6)])
        self.look = nn.Sequential(
            shrink(width, 2 * width),
            shrink(2 * width, 4 * width),
            shrink(4 * width, 8 * width),
            Bottleneck(8 * width, nn.LeakyReLU(0.2)),
        )
        self.pair = PairScore(8 * width, encoding)

    def forward(
        self, spectrogram: Float[Tensor, "b 1 128 34"], encoding: Float[Tensor, "b e"]
    ) -> Float[Tensor, " b"]:
        return self.pair(self.look(self.added(self.square(spectrogram))), encoding)


# %% [markdown]
# ## Exercises
#
# 1. How does a 32×32 map become 128×34? Write the size after any row of transposed
#    convolutions, each (kernel, (stride of rows, stride of columns), padding).
# 2. Resize a spectrogram in time as numpy's `resize` should have done it: by straight
#    lines between neighbouring frames, without torch.

# %% tags=["active-ipynb"]
import exercises

from avnb import lessons


def grown(size, layers):
    """(rows, columns) after transposed convolutions [(kernel, strides, padding), …]."""
    ...  # your code


lessons.try_exercise(exercises.GROWN, grown)


# %% tags=["active-ipynb"]
def at_frames(spectrogram, frames):
    """(rows, n) → (rows, frames), linear in time; the first and last frame stay."""
    ...  # your code


lessons.try_exercise(exercises.AT_FRAMES, at_frames)
