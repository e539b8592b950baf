# %% [markdown]
# # Step 3 · The generator: three paths for the sound
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/listen_and_move/step3_generator.ipynb)
#
# The generator $G$ turns a vector into a frame. It starts with maps of 4×4 pixels and
# doubles their size layer by layer. What is new in the paper is how the sound enters:
# by **three paths** at once.
#
# 1. **Motion**: through the recurrent network of step 2, which knows the past.
# 2. **Content**: the features of the frame itself, beside its motion (sound as content,
#    SaC).
# 3. **Normalisation**: in every layer the sound sets the scale and the mean of each
#    feature map (audio-conditional instance norm, acIN).
#
# **You will learn** how each path is built (Eq. 2 line by line), what the layers of the
# generator compute, and how the paper's six networks of Table 1 differ.
#
# **Time.** About 20 minutes to read. The cells run in less than a minute.
#
# **Before you start.** Read step 2. You should know convolutions and batch norm.
#
# **Letters.** T frames · B sound features (64) · M motion (66) · Z input of the
# generator (66 or 130) · s layer · C channels · N side of the frame · h, w height and
# width of a map.

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
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from avnb_notebooks.listen_and_move.step2_motion import MotionRNN, select_window
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
# ## The three paths, Fig. 1

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
# Table 1 of the paper measures what each path contributes. Its six networks are six
# settings of four switches. The switch `plus_one` is ours and is explained below;
# `skip` is the other kind of generator of Fig. 5.


# %%
@dataclass(frozen=True)
class ModelConfig:
    """The switches of Table 1. The defaults are the paper's full model."""

    motion_layers: int = 3  # of R, dilated and residual; 1: the baseline's plain GRU
    content: bool = True  # z = [f, m]; otherwise z = m
    conditional_norms: bool = True  # acIN in the up-blocks; otherwise batch norm
    prediction: str = "directional"  # or "centre" (one ConvGRU), or "none"
    plus_one: bool = True  # acIN scales by 1 + γ, for features from -1 to 1
    skip: bool = False  # every layer makes a picture, instead of residual blocks

    def __post_init__(self) -> None:
        if self.prediction not in ("none", "centre", "directional"):
            raise ValueError(
                f"prediction is {self.prediction!r}: give none, centre or directional"
            )


# %%
def ablation_configs() -> dict[str, ModelConfig]:
    """The networks of Table 1, by the paper's names, and one that it lacks.

    "All, no prediction" has everything but the prediction layer. Only beside it do the
    last two rows show what the prediction adds.
    """
    return {
        "Baseline (MfS)": ModelConfig(1, False, False, "none"),
        "+ R+D-RNN": ModelConfig(3, False, False, "none"),
        "+ SaC": ModelConfig(1, True, False, "none"),
        "+ acIN": ModelConfig(1, False, True, "none"),
        "All, no prediction": ModelConfig(3, True, True, "none"),
        "All + ConvGRU": ModelConfig(3, True, True, "centre"),
        "All + DirConvGRU": ModelConfig(3, True, True, "directional"),
    }


# %% [markdown]
# ## The format layer
#
# A vector has no spatial positions. To make maps of it, the format layer copies the
# vector to all $4\times4$ positions and applies a $3\times3$ convolution. If all
# positions hold the same values, how can the results differ? Only at the **edge**,
# where the convolution sees zeros outside the map. The four corners, the four sides and
# the middle get different values. These nine kinds of position are all that the later
# layers have to tell places apart.
#
# `z (T, Z) → (T, C, 4, 4)`


# %%
class FormatLayer(nn.Module):
    """One vector for each frame → the first maps (T, C, 4, 4) (Sec. 3.3)."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(size, channels, 3, padding=1)
        self.noise = NoiseInjection()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, z: Float[Tensor, "t z"]) -> Float[Tensor, "t c 4 4"]:
        """All positions get the same vector; the border makes them different."""
        x = z[:, :, None, None].expand(-1, -1, 4, 4)
        return F.leaky_relu(self.norm(self.noise(self.conv(x))), LEAKY_SLOPE)


# %% tags=["active-ipynb"]
# with torch.no_grad():
#     first = FormatLayer(64, 8)(features)
# assert first.shape == (16, 8, 4, 4)
# maps = first.flatten(2).flatten(0, 1)
# kinds = [len(torch.unique(m.round(decimals=4))) for m in maps]
# print(f"different values among the 16 positions of a map: at most {max(kinds)}")
# figure, axes = show.subplots(1, 8, width=1.1, height=1.2)
# for ax, picture in zip(axes[0], first[0], strict=True):
#     ax.imshow(picture)
#     ax.set(xticks=[], yticks=[])
#     ax.grid(False)
# figure

# %% [markdown]
# This layer has a batch norm over all frames of the window, even in the model whose
# other norms are conditional. The released code does the same.
#
# ## The third path: audio-conditional instance norm (Eq. 2)
#
# Instance norm brings each map of each frame to mean 0 and standard deviation 1. The
# frame's brightness and contrast are lost. Then the sound of the frame sets a new
# standard deviation $\gamma$ and a new mean $\beta$ for each map:
#
# $$\gamma_t = \varphi(f_t W_\gamma + b_\gamma), \quad
#   \beta_t = \varphi(f_t W_\beta + b_\beta), \quad
#   \hat x_t = \gamma_t\,\frac{x_t - \mu_t}{\sigma_t} + \beta_t . \tag{2}$$
#
# $\mu_t$ and $\sigma_t$ are computed over the pixels of one map of one frame. (The
# paper calls $\sigma$ the variance. Dividing by the variance would not normalise, and
# the released code divides by the standard deviation.) Line by line:
#
# `x (T, C, h, w), features (T, B) → (T, C, h, w)`


# %%
class PlainConditionalNorm(nn.Module):
    """Audio-conditional instance norm, written line by line from Eq. 2."""

    def __init__(self, channels: int, bands: int, plus_one: bool = False) -> None:
        super().__init__()
        self.plus_one = plus_one
        self.to_shift = nn.Linear(bands, channels)  # W_β and b_β
        self.to_scale = nn.Linear(bands, channels)  # W_γ and b_γ

    def forward(
        self, x: Float[Tensor, "t c h w"], features: Float[Tensor, "t b"]
    ) -> Float[Tensor, "t c h w"]:
        """Maps and the sound features of their frames → maps."""
        beta = F.leaky_relu(self.to_shift(features), LEAKY_SLOPE)[:, :, None, None]
        gamma = F.leaky_relu(self.to_scale(features), LEAKY_SLOPE)[:, :, None, None]
        if self.plus_one:
            gamma = 1 + gamma
        mean = x.mean(dim=(2, 3), keepdim=True)
        variance = x.var(dim=(2, 3), correction=0, keepdim=True)
        sigma = (variance + 1e-5).sqrt()  # a constant map has variance 0
        return gamma * (x - mean) / sigma + beta


# %% [markdown]
# `avnb.layers` has one linear layer that computes $\beta$ and $\gamma$ together, and
# torch's fused instance norm. With the same weights both give the same maps:

# %% tags=["active-ipynb"]
# course.show_source(layers.AudioConditionalInstanceNorm)

# %% tags=["active-ipynb", "conditional-norm"]
# plain = PlainConditionalNorm(8, 64, plus_one=True)
# fast = layers.AudioConditionalInstanceNorm(8, 64, plus_one=True)
# both = [plain.to_shift, plain.to_scale]  # its one layer has β above γ
# fast.linear.weight.data = torch.cat([linear.weight.data for linear in both])
# fast.linear.bias.data = torch.cat([linear.bias.data for linear in both])
# with torch.no_grad():
#     difference = (plain(first, features) - fast(first, features)).abs().max()
# assert difference < 1e-4
# print(f"largest difference of the two: {difference.item():.1e}")

# %% [markdown]
# The scaling of step 1 matters here. The weights start from $\mathcal N(0, 0.02^2)$.
# With features of tens of decibels, $\gamma$ is between 1 and 10 from the start. With
# features from -1 to 1 it is nearly 0, and so would be the maps. With our features the
# scale is therefore $1 + \gamma$ (`plus_one`), which starts as a plain instance norm.

# %% tags=["active-ipynb"]
# def measure_deviation(values, plus_one):
#     """Standard deviation of random maps after the norm with these features."""
#     norm = layers.AudioConditionalInstanceNorm(64, 64, plus_one=plus_one)
#     with torch.no_grad():
#         return norm(torch.randn(16, 64, 8, 8), values).std().item()
#
#
# in_db = -60 + 15 * torch.randn(16, 64)
# for name, values, plus_one in (
#     ("features in dB, γ", in_db, False),
#     ("features in -1…1, γ", features, False),
#     ("features in -1…1, 1 + γ", features, True),
# ):
#     deviation = measure_deviation(values, plus_one)
#     print(f"{name:24} standard deviation after the norm {deviation:.2f}")

# %% [markdown]
# ## A residual up-block, Fig. 3(a)
#
# An up-block doubles the size (each pixel is copied to four) and applies two
# convolutions. Each is followed by noise and a norm. A $1\times1$ convolution leads
# around them as a shortcut, and the sum passes a leaky ReLU. One linear layer serves
# both norms of a block.
#
# **Noise injection** adds white noise at a learned strength, the same noise to all
# channels. The strength starts at 0.

# %% tags=["active-ipynb"]
# course.show_source(layers.UpBlock, layers.NoiseInjection)

# %% tags=["active-ipynb"]
# block = layers.UpBlock(8, 4, bands=64, plus_one=True)
# with torch.no_grad():
#     one, other = block(first, features), block(first, features.roll(1, 0))
# assert one.shape == (16, 4, 8, 8)
# change = ((one - other).norm() / one.norm()).item()
# print(f"another sound in the norms alone changes the maps by {100 * change:.0f} %")

# %% [markdown]
# ## How many channels?
#
# Small maps have many channels and large maps have few. Layer $s$ (the format layer is
# layer 0) has
#
# $$n_C(s) = \min\left(\frac{1024}{2^s},\ 512\right)$$
#
# channels, and $\log_2 N - 2$ layers lead from $4\times4$ to $N\times N$. A smaller
# `base` than 1,024 makes the whole network thinner, so that it can be trained on a
# laptop.


# %%
def count_channels(layer: int, base: int = 1024) -> int:
    """Channels after a layer of the generator or a critic; the format layer is 0."""
    return min(base // 2**layer, 512)


# %%
def count_layers(size: int) -> int:
    """How many layers lead from 4×4 to size×size: log₂(size) − 2 (Sec. 3.3).

    Raises:
        ValueError: the size is not a power of two from 8 on.
    """
    count = round(math.log2(size)) - 2 if size > 0 else 0
    if count < 1 or 2 ** (count + 2) != size:
        raise ValueError(f"size is {size}: a picture's side is 8, 16, 32, 64, 128, …")
    return count


# %% tags=["active-ipynb"]
# rows = []
# for size, base in ((64, 256), (64, 1024), (128, 1024), (256, 1024)):
#     widths = [str(count_channels(s, base)) for s in range(count_layers(size) + 1)]
#     rows.append({"picture": f"{size}×{size}", "base": base})
#     rows[-1] |= {"layers": count_layers(size), "channels": ", ".join(widths)}
# show.table(rows)

# %% [markdown]
# ## The generator
#
# The **trunk** is the format layer and the up-blocks. The prediction layer of step 4
# follows it. Then a $1\times1$ convolution and a tanh turn the maps into colours
# (toRGB).
#
# `z (T, Z), features (T, B) → maps (T, C, N, N)`


# %%
class Trunk(nn.Module):
    """Format layer and up-blocks: z (T, Z) → maps (T, C, N, N), coarser pictures.

    `bands`: sound features of the norms. `skip`: a picture a layer, and no residuals.
    """

    def __init__(
        self, size: int, widths: list[int], bands: int | None, plus_one=True, skip=False
    ) -> None:
        super().__init__()
        self.format = FormatLayer(size, widths[0])
        self.blocks = nn.ModuleList(
            UpBlock(a, b, bands, plus_one=plus_one, residual=not skip)
            for a, b in itertools.pairwise(widths)
        )
        self.to_rgbs = nn.ModuleList(nn.Conv2d(c, 3, 1) for c in widths[:-1] if skip)

    def forward(self, z: Tensor, features: Tensor | None = None) -> tuple[Tensor, Any]:
        """(T, C, N, N) last maps, and the sum of the coarser pictures (0 if none)."""
        x, picture = self.format(z), 0.0
        for block, to_rgb in itertools.zip_longest(self.blocks, self.to_rgbs):
            if to_rgb is not None:
                picture = F.interpolate(picture + to_rgb(x), scale_factor=2.0)
            x = block(x, features)
        return x, picture


# %%
class NoPrediction(nn.Module):
    """In place of the prediction layer: frames stay as they are, the state is empty."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x (1, T, C, N, N) and a state without channels."""
        return x, x[:, -1, :0]


# %%
def make_prediction(kind: str, channels: int) -> nn.Module:
    """The layer behind the trunk, by the name that ModelConfig has for it."""
    if kind == "none":
        return NoPrediction()
    return VideoPrediction(channels, directional=kind == "directional")


# %% [markdown]
# `motion (T, M), features (T, B) → video (T, 3, N, N) in -1…1, state`


# %%
class Generator(nn.Module):
    """G: motion and features of T frames → the frames, and the prediction's state."""

    def __init__(
        self, config: ModelConfig, size: int, bands: int = 64, noise=2, base=1024
    ) -> None:
        super().__init__()
        self.content, self.conditional = config.content, config.conditional_norms
        widths = [count_channels(s, base) for s in range(count_layers(size) + 1)]
        z = bands + noise + bands * config.content
        norm_bands = bands if self.conditional else None
        self.trunk = Trunk(z, widths, norm_bands, config.plus_one, config.skip)
        self.prediction = make_prediction(config.prediction, widths[-1])
        self.to_rgb = nn.Conv2d(widths[-1], 3, 1)

    def forward(
        self, motion: Tensor, features: Tensor, state: Tensor | None = None
    ) -> tuple[Float[Tensor, "*n t 3 h w"], Tensor]:
        """A window, and the state of the prediction before it (None: no past)."""
        z = torch.cat([features, motion], dim=-1) if self.content else motion
        heard = features.flatten(0, -2) if self.conditional else None
        x, coarse = self.trunk(z.flatten(0, -2), heard)
        x, state = self.prediction(x.unflatten(0, (-1, z.shape[-2])), state)
        video = torch.tanh(self.to_rgb(x.flatten(0, 1)) + coarse)
        return video.unflatten(0, z.shape[:-1]), state  # (T,), or (N, T): N readers


# %% [markdown]
# ## R and G together
#
# Both networks are trained together and used together. The class `SoundToVideo` holds
# them: features in, video out. It also passes on two states, that of R and that of the
# prediction layer.


# %%
class SoundToVideo(nn.Module):
    """R and G: features (T, B) → video (T, 3, N, N) in -1…1, and both states."""

    def __init__(
        self, config: ModelConfig | Mapping[str, Any], size: int, bands: int = 64,
        noise: int = 2, base: int = 1024,
    ) -> None:  # fmt: skip
        super().__init__()
        if isinstance(config, Mapping):  # a saved model's config comes from JSON
            config = ModelConfig(**config)
        self.motion = MotionRNN(bands, noise, config.motion_layers)
        self.generator = Generator(config, size, bands, noise, base)

    def forward(
        self,
        features: Float[Tensor, "*n t b"],
        states: tuple[Tensor, Tensor] | None = None,
        noise: Float[Tensor, "*n t e"] | None = None,
    ) -> tuple[Float[Tensor, "*n t 3 h w"], tuple[Tensor, Tensor]]:
        """`states` are those of the window before; `noise` is drawn if not given."""
        motion_state, video_state = states or (None, None)
        e = self.motion.sample_noise(*features.shape[:-1]) if noise is None else noise
        m, motion_state = self.motion(features, e, motion_state)
        video, video_state = self.generator(m, features, video_state)
        return video, (motion_state, video_state)


# %% [markdown]
# Between two windows of training both states are kept in a module of their own, so that
# a checkpoint contains them. At the beginning of the video they are zeros.
#
# One window of one video shows the networks a second of one tune. **Several readers**
# show them more: N places of the same video are read at once, each with a state of its
# own. Each reader has an equal stretch of the video. All of them begin their stretch
# again at the same step.


# %%
class CarriedState(nn.Module):
    """Both states of N readers from one window to the next, without gradients."""

    def __init__(self, model: SoundToVideo, readers: int = 1, bands: int = 64) -> None:
        super().__init__()
        with torch.no_grad():  # one frame each, to learn the shapes of the states
            states = model.eval()(torch.zeros(readers, 1, bands))[1]
        model.train()
        for name, state in zip(("motion", "video"), states, strict=True):
            self.register_buffer(name, torch.zeros_like(state))

    @property
    def states(self) -> tuple[Tensor, Tensor]:
        """Copies of both: `store` writes in place, but autograd needs the old."""
        return self.motion.clone(), self.video.clone()

    def store(self, states: tuple[Tensor, Tensor]) -> None:
        """Keep the values of both states and drop their gradients."""
        for kept, state in zip((self.motion, self.video), states, strict=True):
            kept.copy_(state.detach())

    def reset(self) -> None:
        """Set both states to zero: the video starts again."""
        for kept in (self.motion, self.video):
            kept.zero_()


# %%
def select_windows(
    step: int, frames: int, length: int, readers: int, seed: int
) -> tuple[list[slice], bool]:
    """The window of each reader at a training step, and whether all start again.

    Raises:
        ValueError: a reader's stretch of the video is shorter than a window.
    """
    stretch = frames // readers
    window, restart = select_window(step, stretch, length, seed)
    begins = [reader * stretch + window.start for reader in range(readers)]
    return [slice(begin, begin + length) for begin in begins], restart


# %% tags=["active-ipynb"]
# for step in range(4):
#     windows, restart = select_windows(step, 400, 32, readers=3, seed=0)
#     places = ", ".join(f"{part.start} to {part.stop - 1}" for part in windows)
#     print(f"step {step}: frames {places}", "(all start again)" if restart else "")

# %% [markdown]
# All convolutions, also those of the critics, start from $\mathcal N(0, 0.02^2)$ with
# biases of zero. (The paper starts the directional GRUs orthogonal, but its code
# overwrites that afterwards. `avnb.layers` starts them orthogonal, and this function
# does not touch them.)


# %%
def init_weights(module: nn.Module) -> None:
    """The paper's initialisation (Sec. 5.1), for `network.apply(init_weights)`."""
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# model = SoundToVideo(ModelConfig(), size=64, base=128).apply(init_weights).eval()
# with torch.no_grad():
#     video, states = model(features)
# assert video.shape == (16, 3, 64, 64)
# shapes = {"z": (130, 1, 1)}
# z = torch.randn(1, 130)
# full = Generator(ModelConfig(), size=64)
# with torch.no_grad():
#     x = full.trunk.format(z)
#     shapes["format"] = x.shape[1:]
#     for s, block in enumerate(full.trunk.blocks, start=1):
#         x = block(x, features[:1])
#         shapes[f"block {s}"] = x.shape[1:]
# shapes["toRGB"] = (3, *x.shape[2:])
# show.feature_maps(shapes)

# %% [markdown]
# What does the untrained model generate? Grey frames, with a faint pattern that is
# visible only with increased contrast. The pattern already changes with the sound.

# %% tags=["active-ipynb"]
# grey = (video + 1) / 2
# contrast = (video / video.abs().max() + 1) / 2
# show.image_grid([grey[:8], contrast[:8]], rows=["output", "more contrast"])

# %% [markdown]
# ## The networks of Table 1
#
# All these networks get the same sound. Then only the sound of the last of 16 frames is
# changed. How much does the picture of that frame change, and how many weights does
# each network have?


# %%
def count_weights(network: nn.Module) -> int:
    """How many trainable numbers a network has."""
    return sum(p.numel() for p in network.parameters())


# %% tags=["active-ipynb", "table1-designs"]
# changed = features.clone()
# changed[-1] = torch.randn(64)
# rows = []
# for name, config in ablation_configs().items():
#     torch.manual_seed(0)
#     network = SoundToVideo(config, size=64, base=128)
#     noise = network.motion.sample_noise(16)
#     with torch.no_grad():
#         one, two = (network(f, noise=noise)[0][-1] for f in (features, changed))
#     ratio = (one - two).std() / one.std()
#     rows.append({"network": name, "picture changes by": ratio.item()})
#     rows[-1] |= {"weights of R": count_weights(network.motion)}
#     rows[-1] |= {"of G": count_weights(network.generator)}
# show.table(rows)

# %% [markdown]
# These numbers do not rank the networks, because nothing has been trained yet. But one
# effect is visible. In the last two rows the picture changes less, because about half
# of it comes from the prediction layer, and so from earlier frames.
#
# At the paper's size, 128×128 with base 1,024, R and G have this many weights (the same
# as in the released code):

# %% tags=["active-ipynb"]
# with torch.device("meta"):  # shapes only: no memory and no time
#     for name in ("All + DirConvGRU", "Baseline (MfS)"):
#         network = SoundToVideo(ablation_configs()[name], size=128)
#         print(f"{name:18} {count_weights(network) / 1e6:.2f} million")

# %% [markdown]
# ## Skip or residual? Fig. 5
#
# In StyleGAN 2's skip generator, each layer produces a picture of its own size, and the
# output is the **sum** of all these pictures, enlarged. The paper found that this does
# not work for sound-to-video: "large colored patches" stay in the output. We build it
# to see where they come from. The picture of a coarse layer goes into the sum as it is.
# A later layer can remove an error in it only by producing the exact opposite.

# %% tags=["active-ipynb", "figure5"]
# torch.manual_seed(3)
# residual = Generator(ModelConfig(prediction="none"), size=64, base=128).eval()
# z = torch.cat([features, torch.randn(16, 66)], dim=1)
# pictures = []
# with torch.no_grad():
#     x = residual.trunk.format(z)
#     for block in residual.trunk.blocks:
#         x = block(x, features)
#         colours = nn.Conv2d(x.shape[1], 3, 1)(x)
#         pictures.append(F.interpolate(colours, 64))
#     output = torch.tanh(residual.to_rgb(x))
# skip = torch.tanh(torch.stack(pictures).sum(dim=0))
# names = [f"from {4 * 2**s}×{4 * 2**s}" for s in range(1, len(pictures) + 1)]
# shown = [(torch.tanh(p[0]) + 1) / 2 for p in pictures]
# shown += [(skip[0] + 1) / 2, (output[0] + 1) / 2]
# show.image_grid([shown], columns=[*names, "skip: the sum", "residual"], size=1.3)

# %% [markdown]
# In the residual generator only the last maps become colours. An error of a coarse
# layer passes through all later layers, and they can correct it. For the critics it is
# the other way round (step 5): they receive the *picture* at every scale, through
# skips.
#
# ## What came out
#
# - The sound enters the generator three times: through the motion of R, as content
#   beside it, and in every norm.
# - Audio-conditional instance norm is six lines. `avnb.layers` computes the same
#   numbers.
# - With features from -1 to 1 the norm must scale by $1 + \gamma$, or the maps vanish.
# - The six networks of Table 1 are six settings of `ModelConfig`, and the full model
#   has as many weights as the released one. A seventh has everything but the
#   prediction.
#
# The next cell writes from the numbers above how much the sound changes:

# %% tags=["active-ipynb", "came-out"]
# print("Another sound in the norms alone changes the maps of one block by", end=" ")
# print(f"{100 * change:.0f} %.")
# print("Another sound in the last frame changes its picture by")
# for row in sorted(rows, key=lambda row: -row["picture changes by"]):
#     print(f"  {row['picture changes by']:.2%}: {row['network']}")
# print("None of these networks is trained. Step 7 measures the trained ones.")

# %% [markdown]
# ## Exercises
#
# 1. Build the audio-conditional norm of Eq. 2.
# 2. Build the output of a skip generator (Fig. 5).

# %% tags=["active-ipynb"]
# from avnb_notebooks.listen_and_move import exercises
#
#
# def conditional_norm(x, features, linear):
#     """Eq. 2 with 1 + γ: maps x (T, C, h, w) and features (T, B) → (T, C, h, w).
#
#     linear is a torch.nn.Linear from B to 2 C: first the β of each map, then the γ,
#     both before their leaky ReLU. Add 1e-5 inside the root of the variance.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.CONDITIONAL_NORM, conditional_norm)

# %% tags=["active-ipynb"]
# def add_skips(maps, to_rgbs):
#     """The picture (T, 3, N, N) in -1…1 of a skip generator.
#
#     maps: the maps of each layer, from coarse to fine, each twice as large as the one
#     before. to_rgbs: for each of them the convolution that turns it into colours.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.ADD_SKIPS, add_skips)
