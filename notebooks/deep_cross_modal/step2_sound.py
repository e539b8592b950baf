# %% [markdown]
# # Step 2 · Sound: five ways to see it, one way to sum it up
#
# A convolutional network wants a picture. Half a second of sound can be made
# into one in many ways; the paper tries five (Fig. 3) and lets a classifier
# decide which is best (Table 1). The winner's last but one layer becomes the
# 128 numbers that tell the generator what is heard.
#
# **Letters.** B batch · S samples (22,050 in half a second) · F rows of a
# representation · N its frames (44) · E encoding size (128) · K classes.

# %%
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from avnb import features

# %% [markdown]
# ## The five representations of Fig. 3
#
# All use a 2048-point window and a hop of 512 samples (Sec. 3.3).
#
# | name | rows | what it is |
# |---|---|---|
# | STFT | 1025 | linear amplitude over linear frequency |
# | MS | 128 | the same energy in mel bands |
# | LMS | 128 | the logarithm of MS, in decibel |
# | CQT | 84 | constant Q: a row a semitone |
# | MFCC | 20 | the spectrum of LMS: timbre without pitch |
#
# LMS is also what the I2S network will have to write, so its range is fixed, the
# same for every recording: the 80 dB below the mel energy of loud playing (1,000 in
# librosa's units) become -1 to 1.


# %%
class LMS(nn.Module):
    """Log-mel spectrogram in [-1, 1]: (B, S) → (B, 128, N)."""

    def __init__(self, sample_rate: int = 44100, loud: float = 1000.0) -> None:
        super().__init__()
        self.log_mel = features.LogMel(sample_rate, ref=loud, top_db=None)

    def forward(self, waveform: Float[Tensor, "b s"]) -> Float[Tensor, "b 128 n"]:
        return features.scale_db(self.log_mel(waveform))


def to_sound(
    lms: Float[Tensor, "b 128 n"], sample_rate: int = 44100, loud: float = 1000.0
) -> Float[Tensor, "b s"]:
    """What an LMS sounds like, by Griffin-Lim: (B, 128, N) → (B, samples)."""
    mel = features.db_to_power(features.unscale_db(lms), ref=loud)
    return features.mel_to_waveform(mel, sample_rate=sample_rate)


# %%
REPRESENTATIONS = ("MS", "LMS", "CQT", "MFCC", "STFT")


def representation(name: str, sample_rate: int = 44100) -> nn.Module:
    """One of Fig. 3's transforms: (B, S) → (B, F, N).

    Raises KeyError naming the five when `name` is none of them.
    """
    makers = {
        "MS": lambda: features.Mel(sample_rate),
        "LMS": lambda: LMS(sample_rate),
        "CQT": lambda: features.CQT(sample_rate),
        "MFCC": lambda: features.MFCC(sample_rate),
        "STFT": lambda: features.STFT(),
    }
    if name not in makers:
        raise KeyError(f"no representation {name!r}: choose from {REPRESENTATIONS}")
    return makers[name]()


# %% [markdown]
# ## The classifier of Fig. 4
#
# Three or four convolutions, three fully connected layers. "We add penalties
# (l2 = 0.015) on layer parameters in fully connected layers, and we apply
# dropout (0.7 and 0.8) to the last two layers": the numbers are keep
# probabilities (a network that drops 80 % of its last layer hardly learns), so
# we drop 0.3 and 0.2.
#
# The first layer normalises each row over the training set (a BatchNorm without
# parameters): otherwise MS and STFT, whose values span five decades, could not
# be compared with LMS at all.


# %%
class SoundClassifier(nn.Module):
    """Fig. 4: representation (B, F, N) → logits (B, K).

    `encode` stops one layer earlier: (B, 128), the sound encoding of S2I-C.
    """

    def __init__(
        self, rows: int, frames: int, classes: int, layers: int = 4, width: int = 32
    ) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm1d(rows, affine=False)
        widths = [1, width, 2 * width, 4 * width, 4 * width][: layers + 1]
        convs: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            convs += [nn.Conv2d(before, after, 3, padding=1, bias=False)]
            convs += [nn.MaxPool2d(2), nn.BatchNorm2d(after), nn.ReLU()]
        self.convs = nn.Sequential(*convs, nn.Flatten())
        flat = widths[-1] * (rows >> layers) * (frames >> layers)
        self.first = nn.Sequential(nn.Linear(flat, 512), nn.ReLU(), nn.Dropout(0.3))
        self.second = nn.Linear(512, 128)
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, classes))

    def encode(self, x: Float[Tensor, "b f n"]) -> Float[Tensor, "b 128"]:
        x = rearrange(self.normalise(x), "b f n -> b 1 f n")
        return self.second(self.first(self.convs(x)))

    def forward(self, x: Float[Tensor, "b f n"]) -> Float[Tensor, "b k"]:
        return self.head(self.encode(x))


# %% [markdown]
# The penalty is $0.015 \sum_l \tfrac12\lVert W_l\rVert^2$ over the fully connected
# layers. Adam would rescale a penalty in the loss by its own statistics, so it is
# given as *decoupled weight decay* (AdamW), which acts as written.


# %%
def parameter_groups(classifier: nn.Module, l2: float = 0.015) -> list[dict]:
    """Groups for AdamW: l2 on the weights of the fully connected layers alone."""
    full = [m.weight for m in classifier.modules() if isinstance(m, nn.Linear)]
    chosen = {id(p) for p in full}
    rest = [p for p in classifier.parameters() if id(p) not in chosen]
    return [
        {"params": full, "weight_decay": l2},
        {"params": rest, "weight_decay": 0.0},
    ]


# %% [markdown]
# ## S2I-A: an encoding without labels
#
# The variant S2I-A replaces the classifier by a **stacked convolution-
# deconvolution autoencoder** (Sec. 5.1): three stacks, each a convolution whose
# output a deconvolution turns back into the stack's input; the next stack takes
# the output of the convolution. A fourth stack flattens what is left and projects
# it to 128 numbers. Each is trained in order on its mean squared error.


# %%
class Stack(nn.Module):
    """One stack: `encode` halves the map, `decode` undoes it."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)
        )
        self.up = nn.ConvTranspose2d(after, before, 3, 2, 1, output_padding=1)

    def encode(self, x: Float[Tensor, "b c f n"]) -> Float[Tensor, "b d g m"]:
        return self.down(x)

    def decode(self, code: Float[Tensor, "b d g m"], like: Tensor) -> Tensor:
        return self.up(code)[..., : like.shape[-2], : like.shape[-1]]


class Projection(nn.Module):
    """The last stack: flatten, 128 numbers, and back."""

    def __init__(self, channels: int, rows: int, frames: int) -> None:
        super().__init__()
        self.down = nn.Linear(channels * rows * frames, 128)
        self.up = nn.Linear(128, channels * rows * frames)

    def encode(self, x: Float[Tensor, "b c f n"]) -> Float[Tensor, "b 128"]:
        return self.down(x.flatten(1))

    def decode(self, code: Float[Tensor, "b 128"], like: Tensor) -> Tensor:
        return self.up(code).view_as(like)


# %%
class StackedAutoencoder(nn.Module):
    """S2I-A's encoder (Sec. 5.1): (B, F, N) → (B, 128), never shown a label."""

    def __init__(self, rows: int, frames: int, width: int = 16) -> None:
        super().__init__()
        widths = (1, width, 2 * width, 4 * width)
        stacks: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            stacks.append(Stack(before, after))
            rows, frames = (rows + 1) // 2, (frames + 1) // 2
        self.stacks = nn.ModuleList([*stacks, Projection(widths[-1], rows, frames)])

    def input_of(self, level: int, x: Float[Tensor, "b f n"]) -> Tensor:
        """What stack `level` sees: x through the convolutions of those before."""
        x = x[:, None]
        for stack in self.stacks[:level]:
            x = stack.encode(x)
        return x

    def loss(self, level: int, x: Float[Tensor, "b f n"]) -> Float[Tensor, ""]:
        """Mean squared error of stack `level` alone; those before stay as they are."""
        with torch.no_grad():
            before = self.input_of(level, x)
        stack = self.stacks[level]
        return (stack.decode(stack.encode(before), before) - before).square().mean()

    def encode(self, x: Float[Tensor, "b f n"]) -> Float[Tensor, "b 128"]:
        return self.input_of(len(self.stacks), x)


# %% [markdown]
# ## Encodings on one scale
#
# The generator hears encodings of three origins (classifier, autoencoder, image
# encoder). Each of the 128 numbers is brought to mean 0 and variance 1 over the
# training set, so that the variants differ in *what* their encoding says and not in
# how loudly it says it.


# %%
class Standard(nn.Module):
    """(x - mean) / std, with the statistics of the training set: (B, E) → (B, E)."""

    def __init__(self, size: int = 128) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def fit(self, x: Float[Tensor, "n e"]) -> "Standard":
        """Take the statistics of `x`; numbers that never vary are left at scale 1."""
        std = x.std(dim=0)
        self.mean, self.std = x.mean(dim=0), torch.where(std > 1e-6, std, 1.0)
        return self

    def forward(self, x: Float[Tensor, "b e"]) -> Float[Tensor, "b e"]:
        return (x - self.mean) / self.std


# %% [markdown]
# ## Exercises
#
# 1. A sound has 22,050 samples and 44 frames: frame n is centred on sample 512 n and
#    sees 2048 samples. In how many frames is one click heard? List them.
# 2. How many rows of the spectrogram does one output of the four convolutions see?
#    Write it for any stack of (kernel, stride) layers: a 3×3 convolution is (3, 1),
#    a pooling (2, 2).

# %% tags=["active-ipynb"]
import exercises

from avnb import lessons


def frames_that_hear(sample):
    """The numbers of the frames, 0 to 43, whose window holds this sample, in order."""
    ...  # your code


lessons.try_exercise(exercises.FRAMES_THAT_HEAR, frames_that_hear)


# %% tags=["active-ipynb"]
def receptive_field(layers):
    """How many inputs in a row one output sees; layers is [(kernel, stride), ...]."""
    ...  # your code


lessons.try_exercise(exercises.RECEPTIVE_FIELD, receptive_field)
