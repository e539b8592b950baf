# %% [markdown]
# # Step 3 · The generator: three roads for the sound
#
# The generator $G$ paints a frame from a vector, small and coarse first, then twice the
# size, layer by layer. What is new in the paper is how the sound gets in: by **three
# roads** at once.
#
# 1. **Motion**: through the recurrent network of step 2, which knows the past.
# 2. **Content**: the raw features of this very frame, beside the motion (SaC).
# 3. **Normalisation**: in every layer the sound sets how strong and how bright each
#    feature map is (acIN).
#
# **Letters.** T frames · B sound features (64) · M motion (66) · Z what a frame is
# painted from (66 or 130) · s layer · C channels · N the picture's side · h, w a map's.

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
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from avnb_notebooks.listen_and_move.step2_motion import Motion
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from avnb.layers import NoiseInjection, UpBlock, VideoPrediction
from avnb.layers.conditional import LEAKY_SLOPE


# %% tags=["active-ipynb"]
# from avnb import course, layers
# from avnb.viz import show
#
# torch.manual_seed(0)
# features = 0.5 * torch.randn(16, 64)

# %% [markdown]
# ## The roads, Fig. 1

# %% tags=["active-ipynb"]
# given = "#eeeeee"
# boxes = {
#     "f": (0.05, 0.55, "sound f\nT × 64"),
#     "e": (0.05, 0.12, "noise e\nT × 2"),
#     "R": (0.25, 0.2, "R\nstep 2"),
#     "z": (0.45, 0.4, "z = [f, m]\nT × 130"),
#     "format": (0.61, 0.4, "format\n4 × 4"),
#     "up": (0.75, 0.4, "up-blocks\n8 … N"),
#     "predict": (0.89, 0.4, "prediction\nstep 4"),
#     "rgb": (0.89, 0.08, "toRGB\nT × 3 × N × N"),
# }
# arrows = [("f", "R", "1 motion"), ("e", "R", ""), ("R", "z", "m")]
# arrows += [("f", "z", "2 content"), ("z", "format", ""), ("format", "up", "")]
# arrows += [("up", "predict", ""), ("predict", "rgb", "")]
# figure = show.diagram(
#     boxes, arrows, fills=dict.fromkeys(("f", "e"), given), width=9.5, height=3.2
# )
# ax = figure.axes[0]
# ax.plot([0.05, 0.05, 0.75], [0.63, 0.9, 0.9], color="#333333", linewidth=1)
# ax.annotate(
#     "", (0.75, 0.46), (0.75, 0.9), arrowprops={"arrowstyle": "-|>", "shrinkA": 0}
# )
# ax.text(0.4, 0.93, "3 normalisation", ha="center")
# figure

# %% [markdown]
# Table 1 of the paper asks what each road is worth. Its six networks are six settings
# of four switches. (A fifth switch, `plus_one`, is ours and comes below.)


# %%
@dataclass(frozen=True)
class Design:
    """What Table 1 switches on and off; as it stands, the paper's whole model."""

    motion_layers: int = 3  # of R, residual and dilated; 1: the baseline's plain GRU
    content: bool = True  # z = [f, m], else m alone
    norms: bool = True  # audio-conditional instance norms, else batch norms
    prediction: str = "directional"  # or "centre", one ConvGRU, or "none"
    plus_one: bool = True  # norms scale by 1 + γ: for features from -1 to 1

    def __post_init__(self) -> None:
        if self.prediction not in ("none", "centre", "directional"):
            raise ValueError(
                f"prediction is {self.prediction!r}: give none, centre or directional"
            )


# %%
def ablation() -> dict[str, Design]:
    """The rows of Table 1, by the paper's names."""
    return {
        "Baseline (MfS)": Design(1, False, False, "none"),
        "+ R+D-RNN": Design(3, False, False, "none"),
        "+ SaC": Design(1, True, False, "none"),
        "+ acIN": Design(1, False, True, "none"),
        "All + ConvGRU": Design(3, True, True, "centre"),
        "All + DirConvGRU": Design(3, True, True, "directional"),
    }


# %% [markdown]
# ## The format layer
#
# A vector has no place. To make a picture of it, the layer copies it to all $4\times4$
# places and lets a $3\times3$ convolution look. But if every place holds the same, how
# can one ever differ from another? Only by the **edge**: beyond it the convolution sees
# zeros. So the corners, the four sides and the middle come out different: nine kinds of
# place, from which everything that is somewhere in the picture begins.
#
# `z (T, Z) → (T, C, 4, 4)`


# %%
class FormatLayer(nn.Module):
    """A vector a frame → the first maps (T, C, 4, 4) (Sec. 3.3)."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(size, channels, 3, padding=1)
        self.noise = NoiseInjection()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, z: Float[Tensor, "t z"]) -> Float[Tensor, "t c 4 4"]:
        x = z[:, :, None, None].expand(-1, -1, 4, 4)
        return F.leaky_relu(self.norm(self.noise(self.conv(x))), LEAKY_SLOPE)


# %% tags=["active-ipynb"]
# with torch.no_grad():
#     first = FormatLayer(64, 8)(features)
# assert first.shape == (16, 8, 4, 4)
# maps = first.flatten(2).flatten(0, 1)
# kinds = [len(torch.unique(m.round(decimals=4))) for m in maps]
# print(f"different values in a map of 16 places: at most {max(kinds)}")
# figure, axes = show.subplots(1, 8, width=1.1, height=1.2)
# for ax, picture in zip(axes[0], first[0], strict=True):
#     ax.imshow(picture)
#     ax.set(xticks=[], yticks=[])
#     ax.grid(False)
# figure

# %% [markdown]
# Its norm is a batch norm, over all frames of the window, even in the model whose other
# norms are conditional: the released code has it so.
#
# ## The third road: normalisation that listens (Eq. 2)
#
# Instance norm brings each map of each frame to mean 0 and deviation 1, so it forgets
# how bright and how contrasty the map was. The sound of the frame then says how it is
# to be:
#
# $$\gamma_t = \varphi(f_t W_\gamma + b_\gamma), \quad
#   \beta_t = \varphi(f_t W_\beta + b_\beta), \quad
#   \hat x_t = \gamma_t\,\frac{x_t - \mu_t}{\sigma_t} + \beta_t . \tag{2}$$
#
# (The paper calls $\sigma$ the variance; dividing by the variance would not normalise,
# and the code takes the deviation.)

# %% tags=["active-ipynb"]
# course.show_source(layers.AudioConditionalInstanceNorm)

# %% [markdown]
# Here is a trap that step 1 prepared. The weights start at $\mathcal N(0, 0.02^2)$.
# With features of tens of decibels $\gamma$ is of order one from the start. With
# features from -1 to 1 it is nearly nothing, and so would be the picture. So for our
# features the scale is $1 + \gamma$ (`plus_one`): plain instance norm to begin with.

# %% tags=["active-ipynb"]
# def strength(heard, plus_one):
#     norm = layers.AudioConditionalInstanceNorm(64, 64, plus_one=plus_one)
#     with torch.no_grad():
#         return norm(torch.randn(16, 64, 8, 8), heard).std().item()
#
#
# in_db = -60 + 15 * torch.randn(16, 64)
# for name, heard, plus_one in (
#     ("features in dB, γ", in_db, False),
#     ("features in -1…1, γ", features, False),
#     ("features in -1…1, 1 + γ", features, True),
# ):
#     print(f"{name:24} deviation after the norm {strength(heard, plus_one):.2f}")

# %% [markdown]
# ## A residual up-block, Fig. 3(a)
#
# Twice the size (each pixel copied to four), two convolutions, each with a little noise
# and a norm; beside them a $1\times1$ convolution as a shortcut; the sum through a
# leaky ReLU. One linear layer a block hears the sound for both norms.

# %% tags=["active-ipynb"]
# course.show_source(layers.UpBlock, layers.NoiseInjection)

# %% tags=["active-ipynb"]
# block = layers.UpBlock(8, 4, bands=64, plus_one=True)
# with torch.no_grad():
#     quiet, loud = block(first, features), block(first, features.roll(1, 0))
# assert quiet.shape == (16, 4, 8, 8)
# change = ((quiet - loud).norm() / quiet.norm()).item()
# print(f"another sound at the norms alone changes the maps by {100 * change:.0f} %")

# %% [markdown]
# ## How many channels?
#
# Few places, many channels; many places, few. Layer $s$ (the format layer is 0) has
#
# $$n_C(s) = \min\left(\frac{1024}{2^s},\ 512\right),$$
#
# and $\log_2 N - 2$ layers lead from $4\times4$ to $N\times N$. A smaller `base` than
# 1,024 makes the whole network thinner: that is how it fits a laptop.


# %%
def channels(layer: int, base: int = 1024) -> int:
    """The maps after a layer, of generator and critics; the format layer is 0."""
    return min(base // 2**layer, 512)


# %%
def layers_for(size: int) -> int:
    """How many layers lead from 4×4 to size×size: log₂(size) − 2 (Sec. 3.3)."""
    count = round(math.log2(size)) - 2 if size > 0 else 0
    if count < 1 or 2 ** (count + 2) != size:
        raise ValueError(f"size is {size}: a picture's side is 8, 16, 32, 64, 128, …")
    return count


# %% tags=["active-ipynb"]
# rows = []
# for size, base in ((64, 256), (64, 1024), (128, 1024), (256, 1024)):
#     widths = [str(channels(s, base)) for s in range(layers_for(size) + 1)]
#     rows.append({"picture": f"{size}×{size}", "base": base})
#     rows[-1] |= {"layers": layers_for(size), "channels": ", ".join(widths)}
# show.table(rows)

# %% [markdown]
# ## The generator
#
# Format layer and up-blocks; the prediction layer of step 4 behind the last of them;
# then a $1\times1$ convolution and a tanh make colours of the maps (toRGB).
#
# `z (T, Z), features (T, B) → maps (T, C, N, N)`


# %%
class Trunk(nn.Module):
    """Format layer and residual up-blocks: z (T, Z) → maps (T, C, N, N).

    With `bands` the blocks' norms hear the features (acIN); without, batch norms.
    """

    def __init__(
        self, size: int, widths: list[int], bands: int | None, plus_one: bool
    ) -> None:
        super().__init__()
        self.format = FormatLayer(size, widths[0])
        self.blocks = nn.ModuleList(
            UpBlock(a, b, bands, plus_one=plus_one)
            for a, b in itertools.pairwise(widths)
        )

    def forward(
        self, z: Float[Tensor, "t z"], features: Float[Tensor, "t b"] | None = None
    ) -> Float[Tensor, "t c n n"]:
        x = self.format(z)
        for block in self.blocks:
            x = block(x, features)
        return x


# %%
class AsPainted(nn.Module):
    """No prediction: each frame as it is, and an empty state."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x, x[:, -1, :0]


# %%
def prediction(kind: str, channels: int) -> nn.Module:
    """The layer behind the last block, by the name that Design has for it."""
    if kind == "none":
        return AsPainted()
    return VideoPrediction(channels, directional=kind == "directional")


# %% [markdown]
# `motion (T, M), features (T, B) → video (T, 3, N, N) in -1…1, state`


# %%
class Generator(nn.Module):
    """G: motion and features of T frames → the frames, and the prediction's state."""

    def __init__(
        self, design: Design, size: int, bands: int = 64, noise: int = 2,
        base: int = 1024,
    ) -> None:  # fmt: skip
        super().__init__()
        self.content, self.norms = design.content, design.norms
        widths = [channels(s, base) for s in range(layers_for(size) + 1)]
        z = bands + noise + bands * design.content
        heard = bands if design.norms else None
        self.trunk = Trunk(z, widths, heard, design.plus_one)
        self.prediction = prediction(design.prediction, widths[-1])
        self.to_rgb = nn.Conv2d(widths[-1], 3, 1)

    def forward(
        self, motion: Tensor, features: Tensor, state: Tensor | None = None
    ) -> tuple[Float[Tensor, "t 3 n n"], Tensor]:
        z = torch.cat([features, motion], dim=1) if self.content else motion
        x = self.trunk(z, features if self.norms else None)
        x, state = self.prediction(x[None], state)
        return torch.tanh(self.to_rgb(x[0])), state


# %% [markdown]
# ## R and G, together
#
# The two are trained together and used together, so they get one name: the
# **animator**, sound in, film out. It passes two states on, that of R and that of the
# prediction.


# %%
class Animator(nn.Module):
    """R and G: features (T, B) → video (T, 3, N, N) in -1…1, and both states."""

    def __init__(
        self, design: Design | Mapping[str, Any], size: int, bands: int = 64,
        noise: int = 2, base: int = 1024,
    ) -> None:  # fmt: skip
        super().__init__()
        if isinstance(design, Mapping):  # as a saved model holds it
            design = Design(**design)
        self.motion = Motion(bands, noise, design.motion_layers)
        self.generator = Generator(design, size, bands, noise, base)

    def forward(
        self,
        features: Float[Tensor, "t b"],
        states: tuple[Tensor, Tensor] | None = None,
        noise: Float[Tensor, "t e"] | None = None,
    ) -> tuple[Float[Tensor, "t 3 n n"], tuple[Tensor, Tensor]]:
        """`states` are what the window before gave; `noise` is drawn if not given."""
        before, painted = states or (None, None)
        e = self.motion.noise(len(features)) if noise is None else noise
        m, before = self.motion(features, e, before)
        video, painted = self.generator(m, features, painted)
        return video, (before, painted)


# %% [markdown]
# Between two windows of training the states wait in a part of its own, so that a
# checkpoint holds them too. At the film's beginning they are zeros.


# %%
class Carried(nn.Module):
    """Both states of an animator, from one window to the next, without gradients."""

    def __init__(self, animator: Animator, bands: int = 64) -> None:
        super().__init__()
        with torch.no_grad():
            states = animator.eval()(torch.zeros(1, bands))[1]
        animator.train()
        for name, state in zip(("motion", "painted"), states, strict=True):
            self.register_buffer(name, torch.zeros_like(state))

    @property
    def states(self) -> tuple[Tensor, Tensor]:
        return self.motion.clone(), self.painted.clone()

    def keep(self, states: tuple[Tensor, Tensor]) -> None:
        for held, state in zip((self.motion, self.painted), states, strict=True):
            held.copy_(state.detach())

    def begin(self) -> None:
        """The film begins: silence before it, nothing painted."""
        for held in (self.motion, self.painted):
            held.zero_()


# %% [markdown]
# All convolutions start from $\mathcal N(0, 0.02^2)$ with biases at zero, critics'
# too. (The paper starts the directional GRUs orthogonal; its code overwrites that.
# `avnb.layers` keeps it, and this function does not touch them.)


# %%
def start_weights(module: nn.Module) -> None:
    """The paper's initialisation (Sec. 5.1), for `network.apply(start_weights)`."""
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# animator = Animator(Design(), size=64, base=128).apply(start_weights).eval()
# with torch.no_grad():
#     video, states = animator(features)
# assert video.shape == (16, 3, 64, 64)
# shapes = {"z": (130, 1, 1)}
# z = torch.randn(1, 130)
# full = Generator(Design(), size=64)
# with torch.no_grad():
#     x = full.trunk.format(z)
#     shapes["format"] = x.shape[1:]
#     for s, block in enumerate(full.trunk.blocks, start=1):
#         x = block(x, features[:1])
#         shapes[f"block {s}"] = x.shape[1:]
# shapes["toRGB"] = (3, *x.shape[2:])
# show.feature_maps(shapes)

# %% [markdown]
# What does it paint before it has learned anything? Grey, with a pattern that the
# contrast has to be turned up for. But it moves with the sound.

# %% tags=["active-ipynb"]
# grey = (video + 1) / 2
# loud = (video / video.abs().max() + 1) / 2
# show.image_grid([grey[:8], loud[:8]], rows=["as it is", "contrast up"])

# %% [markdown]
# ## The rows of Table 1
#
# The same sound in all six, then another sound at the last of 16 frames: what changes
# in the picture of that frame? And how many weights does each take?


# %%
def weights(network: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(p.numel() for p in network.parameters())


# %% tags=["active-ipynb", "table1-designs"]
# other = features.clone()
# other[-1] = torch.randn(64)
# rows = []
# for name, design in ablation().items():
#     torch.manual_seed(0)
#     network = Animator(design, size=64, base=128)
#     noise = network.motion.noise(16)
#     with torch.no_grad():
#         one, two = (network(f, noise=noise)[0][-1] for f in (features, other))
#     moved = (one - two).std() / one.std()
#     rows.append({"network": name, "picture changes by": moved.item()})
#     rows[-1] |= {"weights of R": weights(network.motion)}
#     rows[-1] |= {"of G": weights(network.generator)}
# show.table(rows)

# %% [markdown]
# These are no verdicts: nothing has been learned yet. But one thing shows already. In
# the last two rows the picture changes less, since about half of it comes from the
# prediction, that is, from the frames before.
#
# At the paper's size, 128×128 and base 1,024, the whole model and the baseline have so
# many millions of weights in R and G (the released code's have the same):

# %% tags=["active-ipynb"]
# with torch.device("meta"):  # shapes alone: no memory, no time
#     for name in ("All + DirConvGRU", "Baseline (MfS)"):
#         millions = weights(Animator(ablation()[name], size=128)) / 1e6
#         print(f"{name:18} {millions:.2f} million")

# %% [markdown]
# ## Skip or residual? Fig. 5
#
# StyleGAN 2 lets each layer of its generator paint a picture of its own size; the
# picture is the **sum** of all of them, enlarged. The paper found that this fails for
# sound: "large colored patches" stay in the picture. Build it, and see where they come
# from: what a coarse layer paints goes into the picture as it is, and no later layer
# can take it back but by painting the exact opposite.

# %% tags=["active-ipynb", "figure5"]
# torch.manual_seed(3)
# residual = Generator(Design(prediction="none"), size=64, base=128).eval()
# z = torch.cat([features, torch.randn(16, 66)], dim=1)
# paintings = []
# with torch.no_grad():
#     x = residual.trunk.format(z)
#     for block in residual.trunk.blocks:
#         x = block(x, features)
#         colours = nn.Conv2d(x.shape[1], 3, 1)(x)
#         paintings.append(F.interpolate(colours, 64))
#     at_once = torch.tanh(residual.to_rgb(x))
# skip = torch.tanh(torch.stack(paintings).sum(dim=0))
# names = [f"from {4 * 2**s}×{4 * 2**s}" for s in range(1, len(paintings) + 1)]
# pictures = [(torch.tanh(p[0]) + 1) / 2 for p in paintings]
# pictures += [(skip[0] + 1) / 2, (at_once[0] + 1) / 2]
# show.image_grid([pictures], columns=[*names, "skip: the sum", "residual"], size=1.3)

# %% [markdown]
# In the residual generator only the last maps become colours. A mistake of a coarse
# layer passes through every later one, which can mend it. For the critics it is the
# other way round (step 5): they get the *picture* at every scale, by skips.
#
# ## Exercises
#
# 1. Write Eq. 2, with torch's basic functions alone.
# 2. How many weights has a generator? Count them, without building one.

# %% tags=["active-ipynb"]
# from avnb_notebooks.listen_and_move import exercises
#
#
# def conditional_norm(x, shift, scale):
#     """X (T, C, h, w) normalised over its own pixels, times scale, plus shift (T, C).
#
#     Inside the root of the variance add 1e-5, as torch does.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.CONDITIONAL_NORM, conditional_norm)

# %% tags=["active-ipynb"]
# def weights_of_a_block(before, after, bands):
#     """How many weights an UpBlock(before, after, bands) has, by arithmetic."""
#     ...  # your code
#
#
# course.try_exercise(exercises.WEIGHTS_OF_A_BLOCK, weights_of_a_block)
