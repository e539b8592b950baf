# %% [markdown]
# # Step 5 · Four others: what the tables compare with
#
# A number says little by itself. The paper's tables set MS-VAE beside networks that
# learn in other ways, from the same features. Four of them are built here, each as
# small as its idea allows:
#
# | | learns from | how |
# |---|---|---|
# | AVDLN [13] | labels: is the event in this second? | a contrastive loss |
# | DCCA [27] | the seconds of the event | correlation, as large as can be |
# | L³-Net [28] | nothing but the pairs | "do these two belong together?" |
# | AVE-Net [3] | nothing but the pairs | the same, by a distance alone |
#
# Only those; the paper's AVSDN and AVFB are whole papers of their own, and their
# printed numbers stand in step 7's tables.
#
# **Letters.** B videos · T = 10 seconds · V = 512, A = 128 features · D numbers of an
# embedding · e event, 0 or 1 · s share of a second in the mean over videos (step 4).

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
from avnb_notebooks.ms_vae.step2_features import WIDTHS, scaled
from avnb_notebooks.ms_vae.step4_model import (
    MSVAE,
    Row,
    apart,
    checked,
    shares,
)
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

# %% tags=["active-ipynb"]
# from avnb import course
# from avnb.viz import show

# %%
Scalar = Float[Tensor, ""]
MARGIN = 2.0  # of AVDLN
SLOPE = 0.3  # of its leaky ReLU: Keras' default
CANONICAL = 20  # directions that DCCA keeps
RIDGE = 1e-3  # of its covariances


# %% [markdown]
# ## Two towers
#
# All four have the same frame: a small network for each modality, which makes an
# **embedding** of a second. What is near in that space belongs together.
#
# `encode: (…, F) → (…, D)` · `distance: (n, D), (m, D) → (n, m)`

# %% tags=["active-ipynb"]
# boxes = {
#     "visual": (0.07, 0.75, "visual\n512"),
#     "audio": (0.07, 0.25, "audio\n128"),
#     "f": (0.3, 0.75, "f"),
#     "g": (0.3, 0.25, "g"),
#     "x": (0.5, 0.75, "embedding"),
#     "y": (0.5, 0.25, "embedding"),
#     "d": (0.78, 0.5, "how far apart?\nor: together or not?"),
# }
# arrows = [("visual", "f", ""), ("f", "x", ""), ("x", "d", "")]
# arrows += [("audio", "g", ""), ("g", "y", ""), ("y", "d", "")]
# show.diagram(boxes, arrows, fills={"d": "#fde6cf"}, width=8, height=2.4)


# %%
class TwoTowers(nn.Module):
    """A network for each modality into one space; near is alike."""

    def __init__(self, visual: nn.Module, audio: nn.Module) -> None:
        super().__init__()
        self.towers = nn.ModuleDict({"visual": visual, "audio": audio})

    def embed(self, x: Row, modality: str) -> Float[Tensor, "*rows d"]:
        """The embedding while it learns; rows by their largest value (step 4)."""
        return self.towers[modality](scaled(x))

    @torch.no_grad()
    def encode(self, x: Row, modality: str) -> Float[Tensor, "*rows d"]:
        """What is compared, of features as they were measured."""
        return self.embed(checked(x, modality), modality)

    def distance(
        self, first: Float[Tensor, "n d"], second: Float[Tensor, "m d"]
    ) -> Float[Tensor, "n m"]:
        """Euclidean distances of all pairs of two lists of `encode`s."""
        return apart(first, second)


# %%
def tower(modality: str, *widths: int, slope: float = 0.0) -> nn.Sequential:
    """Linear layers from a modality's features on, with (leaky) ReLUs between."""
    made: list[nn.Module] = []
    before = WIDTHS[modality]
    for width in widths:
        made += [nn.Linear(before, width), nn.LeakyReLU(slope)]
        before = width
    return nn.Sequential(*made[:-1])


# %% [markdown]
# ## AVDLN: a label for each second
#
# Tian et al. [13] know of each second whether the event is both seen and heard in it.
# If so ($e = 1$) its sound and its picture are to be near each other, else at least a
# margin $m$ apart:
#
# $$\mathcal L = \frac{1}{BT}\sum_{bt} \left[ e_{bt}\, d_{bt}^2
#     + (1 - e_{bt}) \max(0,\ m - d_{bt})^2 \right],
#   \qquad d_{bt} = \|f(v_{bt}) - g(a_{bt})\|_2 .$$
#
# `(B, T, 512), (B, T, 128), (B, T) → a number`


# %%
class AVDLN(TwoTowers):
    """The cross-modal matching of Tian et al.: 64 numbers, of raw features."""

    def __init__(self) -> None:
        sizes = {"visual": (128, 64), "audio": (128, 64)}
        super().__init__(*(tower(i, *w, slope=SLOPE) for i, w in sizes.items()))

    def embed(self, x: Row, modality: str) -> Float[Tensor, "*rows 64"]:
        return self.towers[modality](x)

    def loss(
        self,
        visual: Float[Tensor, "b t 512"],
        audio: Float[Tensor, "b t 128"],
        event: Bool[Tensor, "b t"],
        random: torch.Generator,
    ) -> Scalar:
        """Contrastive, of all seconds: near in the event, a margin apart outside."""
        gap = self.embed(visual, "visual") - self.embed(audio, "audio")
        d = torch.linalg.vector_norm(gap, dim=-1)
        outside = (MARGIN - d).clamp(min=0)
        return torch.where(event, d.square(), outside.square()).mean()


# %% tags=["active-ipynb", "contrastive"]
# d = torch.linspace(0, 3, 61)
# curves = {"event, e = 1": (d, d**2)}
# curves["background, e = 0"] = (d, (MARGIN - d).clamp(min=0) ** 2)
# show.curves(curves, x="distance d", y="loss")

# %% [markdown]
# What does it *not* learn? That two seconds of one event differ. It is never shown a
# sound beside the picture of another second.
#
# ## DCCA: directions that go together
#
# Linear CCA looks for a direction in each space such that the projections correlate
# most over all pairs; then for the next, uncorrelated with the first. With
# $\Sigma_{11}, \Sigma_{22}$ the covariances and $\Sigma_{12}$ between the two, the
# correlations are the singular values of
#
# $$K = \Sigma_{11}^{-1/2}\, \Sigma_{12}\, \Sigma_{22}^{-1/2}.$$
#
# Andrew et al. [27] put a network before each side and let it make their sum as large
# as can be: the loss is $-\|K\|_*$, the **nuclear norm**. Any other root will do, since
# roots differ by a rotation, which changes no singular value: we take Cholesky's
# $\Sigma = LL^\top$, whose gradient is stable. A ridge, `RIDGE` on the diagonals, keeps
# it from correlating noise.


# %%
def moments(
    x: Float[Tensor, "r d"], y: Float[Tensor, "r d"], share: Float[Tensor, " r"]
) -> tuple[Tensor, ...]:
    """Both means (D), both covariances with the ridge and the one between (D, D).

    share: what each row weighs, 1 in all.
    """
    mean_x, mean_y = share @ x, share @ y
    x, y = x - mean_x, y - mean_y
    ridge = RIDGE * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    weighted = x.T * share, y.T * share
    s_11, s_22 = weighted[0] @ x + ridge, weighted[1] @ y + ridge
    return mean_x, mean_y, s_11, s_22, weighted[0] @ y


# %%
def whitened(s_11: Tensor, s_22: Tensor, s_12: Tensor) -> tuple[Tensor, ...]:
    """Cholesky's L of both sides, and K = L₁⁻¹ Σ₁₂ L₂⁻ᵀ: its singular values are the
    canonical correlations.
    """
    first, second = torch.linalg.cholesky(s_11), torch.linalg.cholesky(s_22)
    half = torch.linalg.solve_triangular(first, s_12, upper=False)
    k = torch.linalg.solve_triangular(second, half.T, upper=False).T
    return first, second, k


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# common = torch.randn(5000, 1)
# x = torch.cat([common, torch.randn(5000, 2)], 1)
# y = torch.cat([torch.randn(5000, 2), common + torch.randn(5000, 1)], 1)
# k = whitened(*moments(x, y, torch.full((5000,), 1 / 5000))[2:])[2]
# print("canonical correlations", torch.linalg.svdvals(k).numpy().round(3))
# assert abs(torch.linalg.svdvals(k)[0] - 0.5**0.5) < 0.03

# %% [markdown]
# One direction is common, with noise as large as itself on one side: a correlation of
# $1/\sqrt2$. The rest is noise. After training, `fit` finds the directions of all
# training seconds once, and embeddings are compared in them.


# %%
def canonical(
    x: Tensor, y: Tensor, share: Float[Tensor, " r"]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Means (D) and projections (D, CANONICAL) of both sides, in float64."""
    parts = moments(x.double(), y.double(), share.double())
    first, second, k = whitened(*parts[2:])
    u, _, v = torch.linalg.svd(k)
    to_x = torch.linalg.solve_triangular(first.T, u[:, :CANONICAL], upper=True)
    to_y = torch.linalg.solve_triangular(second.T, v.T[:, :CANONICAL], upper=True)
    return *parts[:2], to_x, to_y


# %%
class DCCA(TwoTowers):
    """Deep CCA: towers whose outputs correlate."""

    def __init__(self) -> None:
        super().__init__(*(tower(i, 128, 64) for i in WIDTHS))
        for i in WIDTHS:
            self.register_buffer(f"mean_{i}", torch.zeros(64))
            self.register_buffer(f"to_{i}", torch.eye(64, CANONICAL))

    def loss(
        self, visual: Tensor, audio: Tensor, event: Tensor, random: torch.Generator
    ) -> Scalar:
        """Minus the sum of the canonical correlations over the event's seconds."""
        x, y = self.embed(visual, "visual"), self.embed(audio, "audio")
        share = shares(event).flatten()
        k = whitened(*moments(x.flatten(0, 1), y.flatten(0, 1), share)[2:])[2]
        return -torch.linalg.matrix_norm(k, ord="nuc")

    @torch.no_grad()
    def encode(self, x: Row, modality: str) -> Float[Tensor, "*rows 20"]:
        x = self.embed(checked(x, modality), modality)
        mean, to = (getattr(self, f"{part}_{modality}") for part in ("mean", "to"))
        return (x - mean) @ to


# %%
@torch.no_grad()
def fit(model: DCCA, visual: Tensor, audio: Tensor, event: Tensor) -> None:
    """Find the canonical directions of all training videos (B, T, …), and keep them."""
    x, y = model.embed(visual, "visual"), model.embed(audio, "audio")
    found = canonical(x.flatten(0, 1), y.flatten(0, 1), shares(event).flatten())
    for name, value in zip(
        ("mean_visual", "mean_audio", "to_visual", "to_audio"), found, strict=True
    ):
        getattr(model, name).copy_(value)


# %% tags=["active-ipynb"]
# seen, heard = torch.rand(40, 10, 512), torch.rand(40, 10, 128)
# event = torch.ones(40, 10, dtype=torch.bool)
# model = DCCA()
# fit(model, seen, heard, event)
# codes = model.encode(seen, "visual").flatten(0, 1)
# assert codes.shape == (400, 20)
# print("correlations of unrelated noise, summed:")
# print(-model.loss(seen, heard, event, torch.Generator()).item())

# %% [markdown]
# That is a warning, not a joke: with 64 directions on each side and 400 seconds, much
# correlates by chance. DCCA needs many seconds a batch, so it sees all of them at once
# where they fit.
#
# ## L³-Net and AVE-Net: do they belong together?
#
# Take the picture of a second and its sound: a pair. Take the same picture and the
# sound of another *video*: no pair. To tell them apart nothing needs labelling. The
# loss is a cross-entropy, half of the cases being pairs.
#
# The other sound is that of the video k places on in the batch, k being drawn anew.


# %%
def others(audio: Float[Tensor, "b t a"], random: torch.Generator) -> Tensor:
    """The same second's sound of another video of the batch, never its own."""
    if len(audio) < 2:
        raise ValueError("a batch of 1 video has no other sound: give 2 or more")
    by = torch.randint(1, len(audio), (), generator=random, device=audio.device)
    place = torch.arange(len(audio), device=audio.device)
    return audio[(place + by) % len(audio)]


# %%
def together_or_not(
    yes: Float[Tensor, "b t"], no: Float[Tensor, "b t"], event: Bool[Tensor, "b t"]
) -> Scalar:
    """Cross-entropy of logits of pairs and of no pairs, over the event's seconds."""
    both = (F.softplus(-yes) + F.softplus(no)) / 2
    return (both * shares(event)).sum()


# %% [markdown]
# **L³-Net** [28] lays both embeddings side by side and lets two more layers decide.
# What they decide by is theirs: the embeddings need not be near each other at all. So a
# sound and a picture are as far apart as the network doubts them, $-\log
# p(\text{pair})$, while two pictures, or two sounds, are compared by their embeddings,
# as [28] does. To know which is asked, an encoding carries its modality along in its
# last number.


# %%
class L3Net(TwoTowers):
    """Look, listen and learn: a fusion says whether two seconds are a pair."""

    def __init__(self) -> None:
        super().__init__(*(tower(i, 128, 128) for i in WIDTHS))
        self.fusion = nn.Sequential(
            nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 1)
        )

    def logit(self, seen: Tensor, heard: Tensor) -> Tensor:
        """How surely two embeddings (..., 128) are a pair, (...)."""
        return self.fusion(torch.cat([seen, heard], dim=-1))[..., 0]

    def loss(
        self, visual: Tensor, audio: Tensor, event: Tensor, random: torch.Generator
    ) -> Scalar:
        """Cross-entropy over pairs and no pairs, (B, T, …) as above."""
        seen, heard = self.embed(visual, "visual"), self.embed(audio, "audio")
        other = self.logit(seen, others(heard, random))
        return together_or_not(self.logit(seen, heard), other, event)


# %%
class L3(L3Net):
    """L³-Net as it is used: encodings (..., 129), the last 1 for sound."""

    def encode(self, x: Row, modality: str) -> Float[Tensor, "*rows 129"]:
        code = super().encode(x, modality)
        kind = code.new_full((*code.shape[:-1], 1), float(modality == "audio"))
        return torch.cat([code, kind], dim=-1)

    @torch.no_grad()
    def distance(
        self, first: Float[Tensor, "n 129"], second: Float[Tensor, "m 129"]
    ) -> Float[Tensor, "n m"]:
        """−log p(pair) across modalities, Euclidean within one; a list is of one."""
        if first[0, -1] == second[0, -1]:
            return apart(first[:, :-1], second[:, :-1])
        grid = (len(first), len(second), 128)
        codes = first[:, None, :-1].expand(grid), second[None, :, :-1].expand(grid)
        seen, heard = codes if first[0, -1] == 0 else codes[::-1]
        return F.softplus(-self.logit(seen, heard))


# %% [markdown]
# **AVE-Net** [3] takes the two layers away. The embeddings are brought to length 1, and
# the decision hangs by their distance $d$ alone, with a scale and a bias that are
# learned: $\mathrm{logit} = b - w\,d$. (The paper has a softmax over two outputs; of
# two outputs only the difference counts, and that is this one.) Now what belongs
# together *must* be near.


# %%
class AVENet(TwoTowers):
    """Objects that sound: together or not by the distance of unit embeddings."""

    def __init__(self) -> None:
        super().__init__(*(tower(i, 128, 128) for i in WIDTHS))
        self.scale, self.bias = (nn.Parameter(torch.tensor(x)) for x in (5.0, 5.0))

    def embed(self, x: Row, modality: str) -> Float[Tensor, "*rows 128"]:
        return F.normalize(super().embed(x, modality), dim=-1)

    def loss(
        self, visual: Tensor, audio: Tensor, event: Tensor, random: torch.Generator
    ) -> Scalar:
        """Cross-entropy over pairs and no pairs, (B, T, …) as above."""
        seen, heard = self.embed(visual, "visual"), self.embed(audio, "audio")
        gaps = seen - heard, seen - others(heard, random)
        logits = [
            self.bias - self.scale * torch.linalg.vector_norm(gap, dim=-1)
            for gap in gaps
        ]
        return together_or_not(*logits, event)


# %% tags=["active-ipynb"]
# random = torch.Generator().manual_seed(0)
# rows = []
# for make in (AVDLN, DCCA, L3, AVENet):
#     torch.manual_seed(0)
#     model = make().eval()
#     loss = model.loss(seen, heard, event, random)
#     first, second = model.encode(seen[0], "visual"), model.encode(heard[1], "audio")
#     assert model.distance(first, second).shape == (10, 10)
#     count = sum(w.numel() for w in model.parameters())
#     rows.append({"network": make.__name__, "weights": count, "D": first.shape[1]})
#     rows[-1]["loss, untrained"] = loss.item()
# show.table(rows)

# %% [markdown]
# Before training, L³-Net's loss is near $\log 2 = 0.69$, that of a coin. The others'
# losses are of other kinds and cannot be compared with it.
#
# All that this series trains, by the name of its file:

# %%
MODELS: dict[str, type[nn.Module]] = {
    "cm_vae": MSVAE,
    "ms_vae": MSVAE,
    "ms_vae_w": MSVAE,
    "cm_vae_faithful": MSVAE,
    "ms_vae_faithful": MSVAE,
    "ms_vae_w_faithful": MSVAE,
    "avdln": AVDLN,
    "dcca": DCCA,
    "l3": L3,
    "ave_net": AVENet,
}

# %% [markdown]
# ## Learn a toy
#
# Sixteen videos, each with a colour of its own: a random picture and a random sound
# that always come together. Which network finds a picture's sound among the sixteen?

# %% tags=["active-ipynb", "toy"]
# torch.manual_seed(0)
# seen = torch.rand(16, 1, 512).expand(16, 10, 512)
# heard = torch.rand(16, 1, 128).expand(16, 10, 128)
# event = torch.arange(10).expand(16, 10) < 6
# shown = {}
# for make in (DCCA, L3, AVENet):
#     model = make()
#     adam = torch.optim.Adam(model.parameters(), lr=1e-3)
#     for _ in range(60):
#         noisy = [x + 0.1 * torch.rand_like(x) for x in (seen, heard)]
#         loss = model.loss(*noisy, event, random)
#         adam.zero_grad(), loss.backward(), adam.step()
#     if make is DCCA:
#         fit(model, *noisy, event)
#     codes = model.encode(seen[:, 0], "visual"), model.encode(heard[:, 0], "audio")
#     shown[make.__name__] = model.distance(*codes)

# %% tags=["active-ipynb"]
# figure, axes = show.subplots(1, 3, width=2.4, height=2.4)
# for place, (name, matrix) in zip(axes[0], shown.items(), strict=True):
#     right = (matrix.argmin(0) == torch.arange(16)).float().mean().item()
#     place.imshow(matrix)
#     place.set(title=f"{name}: {right:.0%} found", xticks=[], yticks=[])
#     place.set(xlabel="sound", ylabel="picture")
#     place.grid(False)
# figure

# %% [markdown]
# Dark is near; a dark diagonal is what is wanted. AVDLN is left out: in this toy
# nothing that it is told sets one video apart from another.
#
# ## Exercises
#
# 1. The contrastive loss, and where its gradient ends.
# 2. The largest canonical correlation, without covariances or their roots.

# %% tags=["active-ipynb"]
# from avnb_notebooks.ms_vae import exercises
#
#
# def contrastive(d, e, margin):
#     """(loss, its slope dL/dd) of a pair at distance d; e is 1 in the event."""
#     ...  # your code
#
#
# course.try_exercise(exercises.CONTRASTIVE, contrastive)

# %% tags=["active-ipynb"]
# def largest_correlation(x, y):
#     """The first canonical correlation of two (N, D) arrays, no ridge."""
#     ...  # your code
#
#
# course.try_exercise(exercises.LARGEST_CORRELATION, largest_correlation)
