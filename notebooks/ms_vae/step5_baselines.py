# %% [markdown]
# # Step 5 · Baselines: four other networks for comparison
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/ms_vae/step5_baselines.ipynb)
#
# One score says little by itself. The paper's tables compare MS-VAE with networks that
# learn in other ways from the same features. This notebook builds four of them, each as
# small as its idea allows:
#
# | | learns from | how |
# |---|---|---|
# | AVDLN [13] | labels: is the event in this second? | a contrastive loss |
# | DCCA [27] | the seconds of the event | makes the correlation as large as possible |
# | L³-Net [28] | pairs of picture and sound | "do these two belong together?" |
# | AVE-Net [3] | pairs of picture and sound | the same question, by a distance |
#
# The paper also has AVSDN and AVFB. They have papers of their own and are not built
# here. Step 7's tables show their printed numbers.
#
# **You will learn**
#
# 1. how a network for each modality maps into one common space,
# 2. a contrastive loss with a margin,
# 3. canonical correlation, and how to train a network with it,
# 4. how to learn from the question "do these two belong together?".
#
# **Time.** About 30 minutes to read. Running this notebook takes less than a minute.
#
# **Before you start.** Read step 4. For DCCA you should know covariance matrices and
# the singular value decomposition.
#
# **Letters.** B videos · T = 10 seconds · V = 512, A = 128 features · D numbers of an
# embedding · e event, 0 or 1 · s weight of a second in the mean over videos (step 4).

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
from avnb_notebooks.ms_vae.step2_features import WIDTHS, scale_rows
from avnb_notebooks.ms_vae.step4_model import (
    MSVAE,
    Row,
    check_rows,
    pairwise_l2,
    weigh_seconds,
)
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

# %% tags=["active-ipynb"]
# from avnb import course
# from avnb.viz import show

# %%
Scalar = Float[Tensor, ""]
MARGIN = 2.0  # of AVDLN, from its code
LEAKY_SLOPE = 0.3  # of AVDLN's leaky ReLU: the default of Keras, which its code uses
CCA_DIRECTIONS = 20  # that DCCA keeps
RIDGE = 1e-3  # on the diagonals of DCCA's covariances


# %% [markdown]
# ## Two towers
#
# All four networks have the same structure: one small network for each modality, a
# **tower**, maps a second to an **embedding**, a vector in a common space. What belongs
# together should be near in that space:
#
# $$x = f(v), \qquad y = g(a), \qquad d = \lVert x - y \rVert_2 .$$
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
#     "d": (0.78, 0.5, "distance, or:\ndo they belong together?"),
# }
# arrows = [("visual", "f", ""), ("f", "x", ""), ("x", "d", "")]
# arrows += [("audio", "g", ""), ("g", "y", ""), ("y", "d", "")]
# show.diagram(boxes, arrows, fills={"d": "#fde6cf"}, width=8, height=2.4)


# %%
class TwoTowers(nn.Module):
    """One network for each modality into a common space, where near means alike.

    The towers are networks (…, 512) → (…, D) and (…, 128) → (…, D).
    """

    def __init__(self, visual: nn.Module, audio: nn.Module) -> None:
        super().__init__()
        self.towers = nn.ModuleDict({"visual": visual, "audio": audio})

    def embed(self, x: Row, modality: str) -> Float[Tensor, "*rows d"]:
        """Return embeddings, with gradients; rows are scaled as in step 4."""
        return self.towers[modality](scale_rows(x))

    @torch.no_grad()
    def encode(self, x: Row, modality: str) -> Float[Tensor, "*rows d"]:
        """Return what is compared, of features as they were measured."""
        return self.embed(check_rows(x, modality), modality)

    def distance(
        self, first: Float[Tensor, "n d"], second: Float[Tensor, "m d"]
    ) -> Float[Tensor, "n m"]:
        """Compute the distances of all pairs of two lists of encoded seconds."""
        return pairwise_l2(first, second)


# %%
def build_tower(modality: str, *widths: int, slope: float = 0.0) -> nn.Sequential:
    """Build linear layers on a modality's features, with (leaky) ReLUs in between.

    Args:
        modality: visual or audio.
        widths: of the layers, without the features' own.
        slope: of the ReLU below zero.
    """
    layers: list[nn.Module] = []
    before = WIDTHS[modality]
    for width in widths:
        layers += [nn.Linear(before, width), nn.LeakyReLU(slope)]
        before = width
    return nn.Sequential(*layers[:-1])  # none after the last


# %% [markdown]
# ## AVDLN: a label for each second
#
# Tian et al. [13] use labels: for each second they know whether the event is both seen
# and heard in it. If it is ($e = 1$), the sound and the picture of that second should
# be near each other. If not, they should be at least a margin $m$ apart:
#
# $$\mathcal L = \frac{1}{BT}\sum_{bt} \left[ e_{bt}\, d_{bt}^2
#     + (1 - e_{bt}) \max(0,\ m - d_{bt})^2 \right],
#   \qquad d_{bt} = \|f(v_{bt}) - g(a_{bt})\|_2 .$$
#
# `(B, T, 512), (B, T, 128), (B, T) → one number`


# %%
class AVDLN(TwoTowers):
    """Tian et al.'s network for cross-modal matching: 64 numbers, from raw features."""

    def __init__(self) -> None:
        towers = (build_tower(i, 128, 64, slope=LEAKY_SLOPE) for i in WIDTHS)
        super().__init__(*towers)

    def embed(self, x: Row, modality: str) -> Float[Tensor, "*rows 64"]:
        """Return embeddings of raw rows, which its code does not scale."""
        return self.towers[modality](x)

    def loss(
        self,
        visual: Float[Tensor, "b t 512"],
        audio: Float[Tensor, "b t 128"],
        event: Bool[Tensor, "b t"],
        random: torch.Generator,
    ) -> Scalar:
        """Compute the contrastive loss of all seconds; it draws nothing at random."""
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
# The loss above treats all seconds at once. The same for one second after the other:

# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# visual, audio = torch.rand(2, 10, 512), torch.rand(2, 10, 128)
# event = torch.arange(10) < torch.tensor([[4], [10]])
# model, terms = AVDLN(), []
# for b in range(2):
#     for t in range(10):
#         x = model.towers["visual"](visual[b, t])
#         y = model.towers["audio"](audio[b, t])
#         d = (x - y).norm()
#         terms.append(d**2 if event[b, t] else max(0, MARGIN - d) ** 2)
# slow = torch.stack([torch.as_tensor(term) for term in terms]).mean()
# fast = model.loss(visual, audio, event, torch.Generator())
# torch.testing.assert_close(slow, fast)
# print(f"one second after the other: {slow:.5f}   all at once: {fast:.5f}")

# %% [markdown]
# AVDLN does *not* learn that two seconds of one event differ. In training it never sees
# a sound next to the picture of another second.
#
# ## DCCA: directions that correlate
#
# Linear CCA (canonical correlation analysis) looks for one direction in each of two
# spaces, such that the projections of all pairs correlate as strongly as possible. Then
# it looks for the next pair of directions, uncorrelated with the first, and so on. Let
# $\Sigma_{11}, \Sigma_{22}$ be the covariances of the two spaces and $\Sigma_{12}$ the
# covariance between them. The correlations are the singular values of
#
# $$K = \Sigma_{11}^{-1/2}\, \Sigma_{12}\, \Sigma_{22}^{-1/2}.$$
#
# Andrew et al. [27] put a network in front of each space and train both to make the sum
# of the correlations as large as possible. The loss is $-\|K\|_*$, minus the **nuclear
# norm**, which is the sum of the singular values. A small number on the diagonals of
# $\Sigma_{11}$ and $\Sigma_{22}$, `RIDGE`, keeps the networks from correlating noise.
#
# First the covariances. Each second counts with its weight s, which sum to 1:
#
# $$\bar x = \sum_r s_r x_r, \qquad
#   \Sigma_{12} = \sum_r s_r\,(x_r - \bar x)(y_r - \bar y)^\top .$$


# %%
def weighted_moments(
    x: Float[Tensor, "r d"], y: Float[Tensor, "r d"], share: Float[Tensor, " r"]
) -> tuple[Tensor, ...]:
    """Compute means and covariances of weighted pairs of rows.

    Args:
        x: r embeddings of pictures.
        y: the embeddings of their sounds.
        share: the weight of each row; they sum to 1.

    Returns:
        Both means (D,), both covariances with the ridge, and the covariance between
        the two, each (D, D).
    """
    mean_x, mean_y = share @ x, share @ y
    x, y = x - mean_x, y - mean_y
    ridge = RIDGE * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    weighted_x, weighted_y = x.T * share, y.T * share  # (D, r)
    s_11, s_22 = weighted_x @ x + ridge, weighted_y @ y + ridge
    return mean_x, mean_y, s_11, s_22, weighted_x @ y


# %% [markdown]
# Now K, as the equation says. The inverse root of a symmetric matrix takes the inverse
# root of each of its eigenvalues: $\Sigma^{-1/2} = Q \Lambda^{-1/2} Q^\top$.


# %%
def whiten_slow(s_11: Tensor, s_22: Tensor, s_12: Tensor) -> Float[Tensor, "d d"]:
    """Compute K = Σ₁₁^(-1/2) Σ₁₂ Σ₂₂^(-1/2), by the eigenvalues of Σ₁₁ and Σ₂₂."""

    def inverse_root(s: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(s)
        return vectors @ torch.diag(values**-0.5) @ vectors.T

    return inverse_root(s_11) @ s_12 @ inverse_root(s_22)


# %% [markdown]
# The gradient of eigenvectors divides by differences of eigenvalues, so it becomes very
# large where two eigenvalues are close to each other. Any other square root will do as
# well, because two roots of a matrix differ only by a rotation, and a rotation changes
# no singular value. So we train with Cholesky's root $\Sigma = LL^\top$, whose gradient
# is stable:
#
# $$K' = L_1^{-1}\, \Sigma_{12}\, L_2^{-\top} .$$


# %%
def whiten(s_11: Tensor, s_22: Tensor, s_12: Tensor) -> tuple[Tensor, ...]:
    """Compute Cholesky's L of both covariances, and K' = L₁⁻¹ Σ₁₂ L₂⁻ᵀ.

    The singular values of K' are the canonical correlations.
    """
    first, second = torch.linalg.cholesky(s_11), torch.linalg.cholesky(s_22)
    # solving L a = b is faster and more exact than inverting L
    half = torch.linalg.solve_triangular(first, s_12, upper=False)
    k = torch.linalg.solve_triangular(second, half.T, upper=False).T
    return first, second, k


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# common = torch.randn(5000, 1)
# x = torch.cat([common, torch.randn(5000, 2)], 1)
# y = torch.cat([torch.randn(5000, 2), common + torch.randn(5000, 1)], 1)
# covariances = weighted_moments(x, y, torch.full((5000,), 1 / 5000))[2:]
# slow, fast = whiten_slow(*covariances), whiten(*covariances)[2]
# correlations = torch.linalg.svdvals(fast)
# torch.testing.assert_close(correlations, torch.linalg.svdvals(slow))
# print("canonical correlations", correlations.numpy().round(3))
# assert abs(correlations[0] - 0.5**0.5) < 0.03

# %% [markdown]
# In this example the two spaces have one direction in common, and one of them adds
# noise of the same size to it. This gives a correlation of $1/\sqrt2$. All else is
# noise. The two ways to compute K give the same correlations.
#
# After training, `fit_projections` finds the directions of all training seconds once.
# The embeddings are then compared in these directions.


# %%
def solve_cca(
    x: Tensor, y: Tensor, share: Float[Tensor, " r"]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Find the canonical directions of weighted pairs of rows, in float64.

    Args:
        x: (r, D).
        y: (r, D).
        share: the weight of each row; they sum to 1.

    Returns:
        The means (D,) and the projections (D, CCA_DIRECTIONS) of both spaces.
    """
    parts = weighted_moments(x.double(), y.double(), share.double())
    first, second, k = whiten(*parts[2:])
    u, _, v = torch.linalg.svd(k)
    # A direction u in the whitened space is L⁻ᵀ u in the space of the embeddings.
    to_x = torch.linalg.solve_triangular(first.T, u[:, :CCA_DIRECTIONS], upper=True)
    to_y = torch.linalg.solve_triangular(second.T, v.T[:, :CCA_DIRECTIONS], upper=True)
    return *parts[:2], to_x, to_y


# %%
class DCCA(TwoTowers):
    """Deep CCA: two towers whose outputs correlate."""

    def __init__(self) -> None:
        super().__init__(*(build_tower(i, 128, 64) for i in WIDTHS))
        for i in WIDTHS:
            self.register_buffer(f"mean_{i}", torch.zeros(64))
            self.register_buffer(f"to_{i}", torch.eye(64, CCA_DIRECTIONS))

    def loss(
        self, visual: Tensor, audio: Tensor, event: Tensor, random: torch.Generator
    ) -> Scalar:
        """Compute minus the sum of the canonical correlations of the event seconds."""
        x, y = self.embed(visual, "visual"), self.embed(audio, "audio")
        # seconds outside of the event have weight 0, so they count nowhere
        share = weigh_seconds(event).flatten()
        moments = weighted_moments(x.flatten(0, 1), y.flatten(0, 1), share)
        return -torch.linalg.matrix_norm(whiten(*moments[2:])[2], ord="nuc")

    @torch.no_grad()
    def encode(self, x: Row, modality: str) -> Float[Tensor, "*rows 20"]:
        """Return the embedding in the directions that `fit_projections` found."""
        x = self.embed(check_rows(x, modality), modality)
        mean, to = (getattr(self, f"{part}_{modality}") for part in ("mean", "to"))
        return (x - mean) @ to


# %%
@torch.no_grad()
def fit_projections(model: DCCA, visual: Tensor, audio: Tensor, event: Tensor) -> None:
    """Find the canonical directions of all training videos and store them in the model.

    Args:
        model: a trained DCCA.
        visual: (B, T, 512).
        audio: (B, T, 128).
        event: (B, T).
    """
    x, y = model.embed(visual, "visual"), model.embed(audio, "audio")
    share = weigh_seconds(event).flatten()
    found = solve_cca(x.flatten(0, 1), y.flatten(0, 1), share)
    names = ("mean_visual", "mean_audio", "to_visual", "to_audio")
    for name, value in zip(names, found, strict=True):
        getattr(model, name).copy_(value)


# %% tags=["active-ipynb"]
# pictures, sounds = torch.rand(40, 10, 512), torch.rand(40, 10, 128)
# event = torch.ones(40, 10, dtype=torch.bool)
# model = DCCA()
# fit_projections(model, pictures, sounds, event)
# codes = model.encode(pictures, "visual").flatten(0, 1)
# assert codes.shape == (400, 20)
# noise = -model.loss(pictures, sounds, event, torch.Generator()).item()
# print(f"sum of the correlations of unrelated noise: {noise:.1f} of 64")

# %% [markdown]
# The pictures and sounds in this cell are unrelated random numbers, and still the sum
# of their correlations is large. With 64 directions in each space and only 400 seconds,
# much correlates by chance. So DCCA needs many seconds in each batch. Step 6 gives it
# all training videos at once.
#
# ## L³-Net and AVE-Net: do these two belong together?
#
# Take the picture of a second and its sound: they are a pair. Take the same picture and
# the sound of another *video*: they are not. A network can learn to tell the two cases
# apart without any labels. Let $u$ be the network's logit for "a pair". Half of the
# cases are pairs (+), half are not (−), and the loss is the cross-entropy
#
# $$\mathcal L = \sum_{bt} s_{bt}\,\tfrac12\left[-\log\mathrm{sigmoid}(u^+_{bt})
#   - \log\big(1 - \mathrm{sigmoid}(u^-_{bt})\big)\right].$$
#
# The other sound is that of the video k places further on in the batch, where k is
# drawn at random for every batch.


# %%
def pick_other_sounds(
    audio: Float[Tensor, "b t a"], random: torch.Generator
) -> Float[Tensor, "b t a"]:
    """Return, for each second, the same second's sound of another video of the batch.

    Args:
        audio: the sounds of a batch.
        random: draws by how many places the batch is turned, never 0.

    Raises:
        ValueError: there is no other video.
    """
    if len(audio) < 2:
        raise ValueError("a batch of 1 video has no other sound: give 2 or more")
    by = torch.randint(1, len(audio), (), generator=random, device=audio.device)
    place = torch.arange(len(audio), device=audio.device)
    return audio[(place + by) % len(audio)]


# %%
def pair_loss(
    yes: Float[Tensor, "b t"], no: Float[Tensor, "b t"], event: Bool[Tensor, "b t"]
) -> Scalar:
    """Compute the cross-entropy over the event seconds.

    Args:
        yes: logits of pairs.
        no: logits of picture and sound of two videos.
        event: which seconds count.
    """
    # -log sigmoid(u) = softplus(-u), which does not overflow for large u
    both = (F.softplus(-yes) + F.softplus(no)) / 2
    return (both * weigh_seconds(event)).sum()


# %% [markdown]
# **L³-Net** [28] puts both embeddings side by side, and two more layers decide. How
# they decide is up to them, so the two embeddings of a pair need not be near each
# other. We therefore define the distance of a sound and a picture by the network's
# answer: it is $-\log p(\text{pair})$. Two pictures, or two sounds, are compared by the
# distance of their embeddings, as [28] does. To know which case it has, an encoded
# second carries its modality in its last number.


# %%
class L3Net(TwoTowers):
    """Look, listen and learn: further layers say whether two seconds are a pair."""

    def __init__(self) -> None:
        super().__init__(*(build_tower(i, 128, 128) for i in WIDTHS))
        self.fusion = nn.Sequential(
            nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 1)
        )

    def logit(self, visual: Tensor, audio: Tensor) -> Tensor:
        """Return the logit that two embeddings (…, 128) are a pair, (…)."""
        return self.fusion(torch.cat([visual, audio], dim=-1))[..., 0]

    def loss(
        self, visual: Tensor, audio: Tensor, event: Tensor, random: torch.Generator
    ) -> Scalar:
        """Compute the cross-entropy over pairs and no pairs, (B, T, …) as above."""
        x, y = self.embed(visual, "visual"), self.embed(audio, "audio")
        other = self.logit(x, pick_other_sounds(y, random))
        return pair_loss(self.logit(x, y), other, event)


# %%
class L3(L3Net):
    """L³-Net as it is used: encodings (…, 129), whose last number is 1 for sound."""

    def encode(self, x: Row, modality: str) -> Float[Tensor, "*rows 129"]:
        """Return the embedding, and the modality as a further number."""
        code = super().encode(x, modality)
        kind = code.new_full((*code.shape[:-1], 1), float(modality == "audio"))
        return torch.cat([code, kind], dim=-1)

    @torch.no_grad()
    def distance(
        self, first: Float[Tensor, "n 129"], second: Float[Tensor, "m 129"]
    ) -> Float[Tensor, "n m"]:
        """-log p(pair) between modalities, Euclidean within one modality."""
        if first[0, -1] == second[0, -1]:  # all of a list have the same modality
            return pairwise_l2(first[:, :-1], second[:, :-1])
        grid = (len(first), len(second), 128)
        codes = first[:, None, :-1].expand(grid), second[None, :, :-1].expand(grid)
        visual, audio = codes if first[0, -1] == 0 else codes[::-1]
        return F.softplus(-self.logit(visual, audio))


# %% [markdown]
# **AVE-Net** [3] has no such layers. It scales the embeddings to length 1 and decides
# by their distance $d$ alone, with a scale and a bias that it learns:
# $\mathrm{logit} = b - w\,d$. (The paper has a softmax over two outputs. Only the
# difference of the two outputs matters, and it has this form.) So here the two
# embeddings of a pair *must* be near each other.


# %%
class AVENet(TwoTowers):
    """Objects that sound: a pair or not, by the distance of unit embeddings."""

    def __init__(self) -> None:
        super().__init__(*(build_tower(i, 128, 128) for i in WIDTHS))
        # w = b = 5: the decision begins at d = 1, within the 0 to 2 that is possible
        self.scale, self.bias = (nn.Parameter(torch.tensor(x)) for x in (5.0, 5.0))

    def embed(self, x: Row, modality: str) -> Float[Tensor, "*rows 128"]:
        """Return embeddings of length 1."""
        return F.normalize(super().embed(x, modality), dim=-1)

    def logit(self, visual: Tensor, audio: Tensor) -> Tensor:
        """Return the logit that two embeddings (…, 128) are a pair, (…)."""
        d = torch.linalg.vector_norm(visual - audio, dim=-1)
        return self.bias - self.scale * d

    def loss(
        self, visual: Tensor, audio: Tensor, event: Tensor, random: torch.Generator
    ) -> Scalar:
        """Compute the cross-entropy over pairs and no pairs, (B, T, …) as above."""
        x, y = self.embed(visual, "visual"), self.embed(audio, "audio")
        other = self.logit(x, pick_other_sounds(y, random))
        return pair_loss(self.logit(x, y), other, event)


# %% tags=["active-ipynb"]
# random = torch.Generator().manual_seed(0)
# rows = []
# for make in (AVDLN, DCCA, L3, AVENet):
#     torch.manual_seed(0)
#     model = make().eval()
#     loss = model.loss(pictures, sounds, event, random)
#     first = model.encode(pictures[0], "visual")
#     second = model.encode(sounds[1], "audio")
#     assert model.distance(first, second).shape == (10, 10)
#     count = sum(w.numel() for w in model.parameters())
#     rows.append({"network": make.__name__, "weights": count, "D": first.shape[1]})
#     rows[-1]["loss, untrained"] = loss.item()
# show.table(rows)

# %% [markdown]
# Before training, the loss of L³-Net is near $\log 2 = 0.69$, which is the loss of a
# random guess. The losses of the other networks are of other kinds and cannot be
# compared with it.
#
# This table lists all networks that the series trains, by the name of their file, and
# what the tables and figures call them. "As released" means trained as the released
# code does; the others are trained in the corrected mode (step 4).

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
TITLES = {
    "cm_vae": "CM-VAE",
    "ms_vae": "MS-VAE",
    "ms_vae_w": "MS-VAE + W",
    "cm_vae_faithful": "CM-VAE, as released",
    "ms_vae_faithful": "MS-VAE, as released",
    "ms_vae_w_faithful": "MS-VAE + W, as released",
    "avdln": "AVDLN",
    "dcca": "DCCA",
    "l3": "L³-Net-like",
    "ave_net": "AVE-Net-like",
}

# %% [markdown]
# ## A toy problem
#
# There are sixteen videos. Each has one random picture and one random sound, which
# always come together, with some noise. Can a network find the sound of a picture among
# the sixteen?

# %% tags=["active-ipynb", "toy"]
# torch.manual_seed(0)
# pictures = torch.rand(16, 1, 512).expand(16, 10, 512)
# sounds = torch.rand(16, 1, 128).expand(16, 10, 128)
# event = torch.arange(10).expand(16, 10) < 6
# distances = {}
# for make in (DCCA, L3, AVENet):
#     model = make()
#     adam = torch.optim.Adam(model.parameters(), lr=1e-3)
#     for _ in range(60):
#         noisy = [x + 0.1 * torch.rand_like(x) for x in (pictures, sounds)]
#         loss = model.loss(*noisy, event, random)
#         adam.zero_grad(), loss.backward(), adam.step()
#     if make is DCCA:
#         fit_projections(model, *noisy, event)
#     first = model.encode(pictures[:, 0], "visual")
#     second = model.encode(sounds[:, 0], "audio")
#     distances[make.__name__] = model.distance(first, second)

# %% tags=["active-ipynb"]
# figure, axes = show.subplots(1, 3, width=2.4, height=2.4)
# found = {}
# for place, (name, matrix) in zip(axes[0], distances.items(), strict=True):
#     found[name] = (matrix.argmin(0) == torch.arange(16)).float().mean().item()
#     place.imshow(matrix)
#     place.set(title=f"{name}: {found[name]:.0%} found", xticks=[], yticks=[])
#     place.set(xlabel="sound", ylabel="picture")
#     place.grid(False)
# figure

# %% [markdown]
# Dark means near, so a network should give a dark diagonal. AVDLN is not shown: it only
# learns event against background, which cannot tell one video from another here.
#
# ## What came out

# %% tags=["active-ipynb"]
# print(f"Correlations of 400 unrelated seconds sum to {noise:.1f} of 64 by chance.")
# for name, share in found.items():
#     print(f"{name} finds the picture of {share:.0%} of the sounds; chance is 6 %.")

# %% [markdown]
# ## Exercises
#
# 1. Write the contrastive loss and its derivative by the distance.
# 2. Find the largest canonical correlation without covariances or their roots.

# %% tags=["active-ipynb"]
# from avnb_notebooks.ms_vae import exercises
#
#
# def contrastive(d, e, margin):
#     """(loss, slope dL/dd) of a pair at distance d. e is 1 in the event, else 0."""
#     ...  # your code
#
#
# course.try_exercise(exercises.CONTRASTIVE, contrastive)

# %% tags=["active-ipynb"]
# def largest_correlation(x, y):
#     """The first canonical correlation of two (N, D) arrays, without a ridge."""
#     ...  # your code
#
#
# course.try_exercise(exercises.LARGEST_CORRELATION, largest_correlation)
