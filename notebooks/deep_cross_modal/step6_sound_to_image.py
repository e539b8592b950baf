# %% [markdown]
# # Step 6 · Sound to image: the generator, the discriminator, the game
#
# Half a second of sound goes in, a picture of somebody playing it comes out.
# This notebook builds both players of that game exactly once; the next one
# trains them.
#
# **Letters used below.** B batch · Z noise size (100) · E encoding size (128) ·
# C compressed encoding (64) · W base width of a network (the paper's is 128 for
# the generator and 64 for the discriminator).

# %% [markdown]
# ## The idea in one paragraph
#
# A generator that sees only noise can paint *a* musician. We want the musician
# who makes *this* sound, so both networks also see an encoding of the sound: a
# **conditional** GAN (Eq. 2). One trap remains: a discriminator that only asks
# "is this a real photograph?" never looks at the sound. Reed et al. (GAN-CLS)
# close it with a third kind of pair: a real picture beside the **wrong** sound,
# which the discriminator must reject as well.

# %%
import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

# %% [markdown]
# ## Compress the encoding
#
# $\varphi(A)$: the 128 numbers of the sound encoder pass a fully connected layer
# and a leaky ReLU to become 64 (Sec. 3.1). Both networks own a copy, as in
# GAN-CLS, so each may listen in its own way.
#
# `(B, 128) → (B, 64)`


# %%
class Compress(nn.Sequential):
    """φ(A), or ϕ(I) for pictures: (B, E) → (B, C) (Sec. 3.1)."""

    def __init__(self, encoding: int = 128, compressed: int = 64) -> None:
        super().__init__(nn.Linear(encoding, compressed), nn.LeakyReLU(0.2))


# %% [markdown]
# ## A residual bottleneck
#
# GAN-CLS thickens its coarse feature maps with blocks that squeeze the channels
# to a quarter, work there, and add the result to what came in:
# $y = \sigma(x + f(x))$. At 4×4 and 8×8 they cost little and buy depth.
#
# `(B, W, h, w) → (B, W, h, w)`


# %%
class Bottleneck(nn.Module):
    """Residual bottleneck of GAN-CLS: 1×1, 3×3, 3×3 at a quarter of the width."""

    def __init__(self, width: int, activation: nn.Module) -> None:
        super().__init__()
        narrow = width // 4
        self.body = nn.Sequential(
            nn.Conv2d(width, narrow, 1, bias=False),
            nn.BatchNorm2d(narrow),
            activation,
            nn.Conv2d(narrow, narrow, 3, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            activation,
            nn.Conv2d(narrow, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.activation = activation

    def forward(self, x: Float[Tensor, "b w h v"]) -> Float[Tensor, "b w h v"]:
        return self.activation(x + self.body(x))


# %% [markdown]
# ## Generator: from 164 numbers to a picture
#
# $\hat x_I \leftarrow G_{S\mapsto I}(z, \varphi(A))$. Noise and compressed sound
# stand side by side as a 1×1 "image" of 164 channels, and four transposed
# convolutions double it until it is 64×64:
#
# | map | channels | by |
# |---|---|---|
# | 1×1 | 164 | z and φ(A) side by side |
# | 4×4 | 8W | 4×4 kernel + bottleneck |
# | 8×8 | 4W | stride 2 + bottleneck |
# | 16×16 | 2W | stride 2 |
# | 32×32 | W (the paper's 128) | stride 2 |
# | 64×64 | 3, tanh | stride 2 |


# %%
def grow(before: int, after: int) -> nn.Sequential:
    """Twice the size: a 4×4 transposed convolution, norm, ReLU."""
    return nn.Sequential(
        nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )


def trunk(inputs: int, width: int) -> nn.Sequential:
    """From (B, inputs, 1, 1) to the (B, W, 32, 32) map that both generators share."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, 8 * width, 4, bias=False),
        nn.BatchNorm2d(8 * width),
        nn.ReLU(),
        Bottleneck(8 * width, nn.ReLU()),
        grow(8 * width, 4 * width),
        Bottleneck(4 * width, nn.ReLU()),
        grow(4 * width, 2 * width),
        grow(2 * width, width),
    )


class Generator(nn.Module):
    """G_S→I: noise and a sound's encoding to a picture in [-1, 1] (Sec. 3.1).

    noise (B, Z) and encoding (B, E) → picture (B, 3, 64, 64).
    """

    def __init__(self, width: int = 128, noise: int = 100, encoding: int = 128) -> None:
        super().__init__()
        self.noise = noise
        self.compress = Compress(encoding)
        self.trunk = trunk(noise + 64, width)
        self.picture = nn.ConvTranspose2d(width, 3, 4, 2, 1)

    def forward(
        self, z: Float[Tensor, "b z"], encoding: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b 3 64 64"]:
        condition = torch.cat([z, self.compress(encoding)], dim=1)
        x = self.trunk(rearrange(condition, "b c -> b c 1 1"))
        return torch.tanh(self.picture(x))


# %% [markdown]
# ## Discriminator: is this pair genuine?
#
# $D_{S\mapsto I}(x, \varphi(A))$ looks at the picture first. Only when it has
# shrunk to 4×4 does the sound join in, copied to each of the 16 places; a 1×1
# convolution lets every place compare what it sees with what is heard, and one
# 4×4 convolution turns the map into a single **logit** (the score $S$ of the
# paper is its sigmoid).


# %%
def shrink(before: int, after: int) -> nn.Sequential:
    """Half the size: a 4×4 convolution, norm, leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, 4, 2, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.LeakyReLU(0.2),
    )


class PairScore(nn.Module):
    """The last storey of both discriminators: a 4×4 map meets the condition."""

    def __init__(self, width: int, encoding: int = 128) -> None:
        super().__init__()
        self.compress = Compress(encoding)
        self.compare = nn.Sequential(
            nn.Conv2d(width + 64, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
        )
        self.score = nn.Conv2d(width, 1, 4)

    def forward(
        self, x: Float[Tensor, "b w 4 4"], encoding: Float[Tensor, "b e"]
    ) -> Float[Tensor, " b"]:
        condition = repeat(self.compress(encoding), "b c -> b c 4 4")
        x = self.compare(torch.cat([x, condition], dim=1))
        return rearrange(self.score(x), "b 1 1 1 -> b")


# %%
class Discriminator(nn.Module):
    """D_S→I: the logit that a picture and a sound belong together (Sec. 3.1).

    picture (B, 3, 64, 64) in [-1, 1] and encoding (B, E) → logits (B,).
    """

    def __init__(self, width: int = 64, encoding: int = 128) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(3, width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            shrink(width, 2 * width),
            shrink(2 * width, 4 * width),
            shrink(4 * width, 8 * width),
            Bottleneck(8 * width, nn.LeakyReLU(0.2)),
        )
        self.pair = PairScore(8 * width, encoding)

    def forward(
        self, picture: Float[Tensor, "b 3 64 64"], encoding: Float[Tensor, "b e"]
    ) -> Float[Tensor, " b"]:
        return self.pair(self.look(picture), encoding)


# %% [markdown]
# ## Where the weights start
#
# As in GAN-CLS: convolutions from $\mathcal N(0, 0.02^2)$, the gains of the norms
# from $\mathcal N(1, 0.02^2)$, biases at zero.


# %%
def start_weights(module: nn.Module) -> None:
    """GAN-CLS's initialisation, for `network.apply(start_weights)`."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


# %% [markdown]
# ## The scores and the two losses (Eq. 3, 4)
#
# The generator maximises $\log S_f$. The discriminator maximises
# $\log S_r + \tfrac12\left(\log(1-S_w) + \log(1-S_f)\right)$.
#
# With logits $s$, $\log\sigma(s) = -\mathrm{softplus}(-s)$ and
# $\log(1-\sigma(s)) = -\mathrm{softplus}(s)$: the same numbers without a
# logarithm of zero.


# %%
def generator_loss(fake: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """−log S_f, the mean over the batch (Eq. 3)."""
    return F.softplus(-fake).mean()


def discriminator_loss(
    real: Float[Tensor, " b"],
    fake: Float[Tensor, " b"],
    wrong: Float[Tensor, " b"] | None,
) -> Float[Tensor, ""]:
    """The negative of Eq. 4; without wrong pairs (S2I-N) that of Eq. 2."""
    true_pairs = F.softplus(-real).mean()
    if wrong is None:
        return true_pairs + F.softplus(fake).mean()
    return true_pairs + (F.softplus(wrong) + F.softplus(fake)).mean() / 2


# %% [markdown]
# ## ω, the sampler of wrong pairs (Eq. 5 and Eq. 6)
#
# *Which* pairs count as wrong decides what the generator learns:
#
# - **instrument-oriented** (Eq. 5): $\omega(\mathbf I_{-i})$, any picture of
#   another instrument. To please the discriminator, get the instrument right.
# - **pose-oriented** (Eq. 6): $\omega(\mathbf I_i^{-j})$, another picture of the
#   *same* instrument. Now the instrument is not enough: get the moment right.


# %%
def wrong_class(
    labels: Int[Tensor, " b"], pool: Int[Tensor, " n"], generator: torch.Generator
) -> Int[Tensor, " b"]:
    """ω(I₋ᵢ): for each label an index into `pool` of another class, uniformly.

    Raises ValueError when the pool holds a single class: nothing is wrong there.
    """
    if (pool == pool[0]).all():
        raise ValueError(f"every item has class {int(pool[0])}: no wrong pairs exist")
    others = (pool[None] != labels[:, None]).float()
    return torch.multinomial(others, 1, generator=generator)[:, 0]


def wrong_moment(
    index: Int[Tensor, " b"], labels: Int[Tensor, " n"], generator: torch.Generator
) -> Int[Tensor, " b"]:
    """ω(Iᵢ⁻ʲ): for each item another one of its own class, uniformly (Eq. 6).

    Raises ValueError when a class has a single item.
    """
    same = (labels[None] == labels[index][:, None]).float()
    same[torch.arange(len(index), device=index.device), index] = 0
    if (same.sum(1) == 0).any():
        alone = int(labels[index][same.sum(1) == 0][0])
        raise ValueError(f"class {alone} has a single item: no other moment exists")
    return torch.multinomial(same, 1, generator=generator)[:, 0]


# %% [markdown]
# ## Exercises
#
# 1. Write Eq. 4 as a loss of logits, without help from torch's own losses but finite
#    for logits of ±200. What is it when every score is 1/2?
# 2. ω draws *pictures* uniformly, so an instrument with many pictures is the wrong one
#    most of the time. Write a sampler that draws the other *class* uniformly.

# %% tags=["active-ipynb"]
import exercises

from avnb import lessons


def equation_4(real, fake, wrong):
    """The discriminator's loss, a number, from the logits (B,) of three pairs each."""
    ...  # your code


lessons.try_exercise(exercises.EQUATION_4, equation_4)


# %% tags=["active-ipynb"]
def wrong_by_class(label, pool, random):
    """An index into pool (N,), labels, of another class than label.

    Every other class is as likely as any other, and so is each picture within a
    class. random is a numpy Generator.
    """
    ...  # your code


lessons.try_exercise(exercises.WRONG_BY_CLASS, wrong_by_class)
