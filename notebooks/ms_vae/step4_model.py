# %% [markdown]
# # Step 4 · The model: two encoders, one decoder, one latent space
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/ms_vae/step4_model.ipynb)
#
# A dog barks. From the picture of it you can imagine the sound, and from the sound the
# picture. Zhu et al. turn this into a network: it gets one second of picture *or* one
# second of sound, and must reconstruct *both*. To do so it must keep what the two have
# in common. This is kept in the **latent**, a short vector.
#
# **You will learn**
#
# 1. how an encoder turns a modality into a Gaussian,
# 2. how one decoder serves both modalities (Sec. 2.2),
# 3. the loss, Eq. 1 to 3, and what the released code sums and averages in it,
# 4. what **posterior collapse** is: we make it happen, see it, and undo it,
# 5. why a decoder that two optimisers own learns twice as fast,
# 6. how a batch can hold events of different length,
# 7. how two seconds are compared after training.
#
# **Time.** About 40 minutes to read. Running this notebook takes less than a minute.
#
# **Before you start.** You should know what a linear layer, a Gaussian and the Adam
# optimiser are. Step 2 defines the features. A variational autoencoder (VAE) is
# explained here.
#
# **Letters.** N videos · B videos of a batch · T = 10 seconds · n seconds of the event
# · V = 512 visual and A = 128 audio features a second · Z = 100 latents · i modality,
# visual or audio · μ, σ mean and standard deviation of a latent · e event, 0 or 1 · s
# weight of a second in the mean over videos · θ weights of the network, η their
# learning rate.

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
import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from avnb_notebooks.ms_vae.step2_features import WIDTHS, VideoFeatures, scale_rows
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

# %% tags=["active-ipynb"]
# import time
#
# from avnb import course
# from avnb.viz import show

# %%
MODALITIES = ("visual", "audio")
LATENTS = 100
ENCODER_WIDTHS = {"visual": (512, 512, 512, 128, 128), "audio": (128, 128, 128)}
DECODER_WIDTHS = (100, 512, 512, 512, 640, 640, 640)
Row = Float[Tensor, "*rows features"]
Latent = Float[Tensor, "*rows 100"]
Terms = dict[str, Float[Tensor, ""]]


# %% [markdown]
# ## The whole model
#
# The figure shows Fig. 1 of the paper. Each encoder alone is enough to reconstruct the
# pair. The two meet in the decoder, and the Wasserstein term $\mathcal W$ pulls their
# latents together.

# %% tags=["active-ipynb", "figure1"]
# boxes = {
#     "visual": (0.06, 0.8, "visual\n512"),
#     "audio": (0.06, 0.2, "audio\n128"),
#     "q_v": (0.24, 0.8, "$q_v$"),
#     "q_a": (0.24, 0.2, "$q_a$"),
#     "z_v": (0.43, 0.8, "$z_v$\n100"),
#     "z_a": (0.43, 0.2, "$z_a$\n100"),
#     "p": (0.65, 0.5, "one decoder p"),
#     "pair": (0.9, 0.5, "visual | audio\n512 + 128"),
# }
# arrows = [("visual", "q_v", ""), ("q_v", "z_v", "μ, σ"), ("z_v", "p", "")]
# arrows += [("audio", "q_a", ""), ("q_a", "z_a", "μ, σ"), ("z_a", "p", "")]
# arrows += [("p", "pair", ""), ("z_v", "z_a", "$\\mathcal{W}$"), ("z_a", "z_v", "")]
# show.diagram(boxes, arrows, fills={"p": "#fde6cf"}, width=9, height=3)

# %% [markdown]
# ## The encoder: from one second to a Gaussian
#
# The encoder does not give one point of the latent space. It gives a Gaussian: a mean
# $\mu_i$ and a variance $\sigma_i^2$ for each of the 100 latents,
#
# $$q_i(z \mid x_i) = \mathcal N\big(\mu_i(x_i),\ \sigma_i^2(x_i)\big).$$
#
# Both come from linear layers with ReLUs between them. The network outputs
# $\log\sigma^2$, which may be any real number, so no variance can become negative. The
# paper does not describe the layers. These are the widths of the released code:
#
# | | widths | weights |
# |---|---|---|
# | visual | 512 → 512 → 512 → 128 → 128 → μ, log σ² | 633,288 |
# | audio | 128 → 128 → 128 → μ, log σ² | 58,824 |
#
# `(…, F) → (…, 100), (…, 100)`


# %%
def mlp(*widths: int) -> nn.Sequential:
    """Build linear layers from width to width, with a ReLU after all but the last."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


# %%
class Encoder(nn.Module):
    """q_i of Eq. 1: features of a second → mean and log variance of its latents.

    Args:
        widths: of the layers, the width of the features first.
    """

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.body = mlp(*widths)
        # one layer of 2 × 100 outputs holds both heads of the released code
        self.heads = nn.Linear(widths[-1], 2 * LATENTS)

    def forward(self, x: Row) -> tuple[Latent, Latent]:
        """Return μ and log σ²."""
        # Under autocast the layers run in bfloat16. We go back to the features' type
        # here, because bfloat16 has too few digits for the sums of squares that follow.
        mu, logvar = self.heads(self.body(x)).to(x.dtype).chunk(2, dim=-1)
        return mu, logvar


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# encoders = {i: Encoder(*ENCODER_WIDTHS[i]) for i in MODALITIES}
# for i, encoder in encoders.items():
#     mu, logvar = encoder(torch.randn(7, WIDTHS[i]))
#     assert mu.shape == logvar.shape == (7, 100)
#     count = sum(w.numel() for w in encoder.parameters())
#     print(f"{i}: (7, {WIDTHS[i]}) → two of {tuple(mu.shape)}, {count:,} weights")

# %% [markdown]
# ## Reparameterisation
#
# Training lowers the loss by changing $\mu$ and $\sigma$. But the loss is computed from
# a point $z$ that is drawn at random from the Gaussian, and one cannot differentiate a
# random draw. The solution is to draw $\epsilon \sim \mathcal N(0, 1)$ outside of the
# network, and to compute
#
# $$z = \mu + \sigma\epsilon, \qquad \frac{\partial z}{\partial\mu} = 1, \quad
#   \frac{\partial z}{\partial\sigma} = \epsilon .$$


# %%
def reparameterize(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """Compute z = μ + σ ε.

    Args:
        mu: means.
        logvar: log σ², of the same shape.
        noise: ε, drawn from N(0, 1); any shape that broadcasts with `mu`.
    """
    # exp(log σ² / 2) is σ
    return mu + (logvar / 2).exp() * noise


# %% tags=["active-ipynb"]
# mu, logvar = torch.tensor([2.0, -1.0]), torch.tensor([0.0, -2.0])
# points = reparameterize(mu, logvar, torch.randn(400, 2))
# figure, axes = show.subplots(1, 1, width=3.4, height=2.6)
# axes[0, 0].plot(*points.T, ".", markersize=3)
# axes[0, 0].set(xlabel="latent 1, σ = 1", ylabel="latent 2, σ = 0.37")
# figure

# %% [markdown]
# ## One decoder for both encoders
#
# The decoder turns a latent into 640 numbers: the 512 visual and the 128 audio features
# of the second. It is not told which encoder the latent came from. So $q_v$ and $q_a$
# must use the latent space in the same way. This is the paper's remedy for a known
# problem of such models, the **collapse** of Fig. 3: the encoder of one modality
# outputs $\mathcal N(0, 1)$ for every input, and then its latent holds no information
# about the input.
#
# Is the shared decoder really the remedy? To find out we need the same model without
# it. The paper calls it **CM-VAE**: it has two decoders, one for each encoder.
#
# `(…, 100) → (…, 640)`


# %%
class PairVAE(nn.Module):
    """Two encoders, and one decoder that they share (MS-VAE) or one each (CM-VAE)."""

    def __init__(self, shared: bool = True) -> None:
        super().__init__()
        self.shared, names = shared, ("both",) if shared else MODALITIES
        encoders = {i: Encoder(*ENCODER_WIDTHS[i]) for i in MODALITIES}
        self.encoders = nn.ModuleDict(encoders)
        self.decoders = nn.ModuleDict({name: mlp(*DECODER_WIDTHS) for name in names})

    def decode(self, z: Latent, modality: str) -> Float[Tensor, "*rows 640"]:
        """Reconstruct the pair, visual first, from latents of a modality's encoder."""
        return self.decoders["both" if self.shared else modality](z)

    def forward(self, visual: Tensor, audio: Tensor, noise: Tensor) -> tuple:
        """(…, 512), (…, 128), noise (K, 2, …, 100) → μ, log σ², z, pairs from z[0].

        An axis of 2 holds the modalities, visual first; z's first axis has the K draws.
        """
        both = self.encoders["visual"](visual), self.encoders["audio"](audio)
        mu, logvar = (torch.stack(part) for part in zip(*both, strict=True))
        z = reparameterize(mu, logvar, noise)
        if self.shared:  # both directions in one pass, which is faster
            return mu, logvar, z, self.decoders["both"](z[0])
        return mu, logvar, z, torch.stack([*map(self.decode, z[0], MODALITIES)])


# %% tags=["active-ipynb"]
# model = PairVAE()
# visual, audio = torch.rand(7, 512), torch.rand(7, 128)
# mu, logvar, z, made = model(visual, audio, torch.randn(3, 2, 7, 100))
# assert mu.shape == logvar.shape == (2, 7, 100)
# assert z.shape == (3, 2, 7, 100)
# assert made.shape == (2, 7, 640)
# for name, part in (("shared", model), ("separate", PairVAE(shared=False))):
#     count = sum(w.numel() for w in part.decoders.parameters())
#     print(f"{name}: {count:,} weights of decoders")

# %% [markdown]
# ## The loss, Eq. 1 to 3
#
# How likely is a pair $x$ under the model? We cannot compute it, because we would have
# to try all latents. But we can compute a lower bound (Eq. 1), for either encoder
# $q_i$:
#
# $$\log p(x) \ge \mathbb E_{z \sim q_i(z|x_i)}[\log p(x|z)]
#   - \mathrm{KL}\big(q_i(z|x_i)\,\|\,p(z)\big). \tag{1}$$
#
# The first term asks that the decoder can reconstruct the pair from the latent. It
# becomes a mean squared error. The second term keeps the Gaussians near
# $\mathcal N(0, 1)$. For Gaussians it has a closed form for each latent:
#
# $$\mathrm{KL} = \tfrac12 \left(\mu^2 + \sigma^2 - 1 - \log \sigma^2\right).$$
#
# Both encoders, and a distance between their latents, give Eq. 2:
#
# $$\log p(x) \ge \mathbb E_z[\log p(x|z)] - \tfrac12\left[\mathrm{KL}(q_a\|p) +
#   \mathrm{KL}(q_v\|p)\right] - \mathcal W(q_a \| q_v). \tag{2}$$
#
# The paper computes $\mathcal W$ as $\mathbb E\,\|z_a - z_v\|_2$ over random draws.
# (This is not the Wasserstein distance, which is 0 for two equal Gaussians. This one is
# 0 only if both also have no width. So it asks the two to be alike *and* narrow.)
# Training lowers the weighted sum, Eq. 3:
#
# $$\mathcal L = \lambda_1 \mathcal L_\mathrm{MSE} + \lambda_2 \mathcal L_\mathrm{KL} +
#   \lambda_3 \mathcal W, \qquad \lambda_1 = \lambda_3 = 1,\quad
#   \lambda_2 = 0.1, \text{ from epoch 10 on } 0.01. \tag{3}$$


# %%
def kl_divergence(mu: Latent, logvar: Latent) -> Latent:
    """Compute KL(N(μ, σ²) ‖ N(0, 1)) of each latent, in nats.

    Source: Kingma and Welling 2014, App. B.
    """
    return (mu.square() + logvar.exp() - 1 - logvar) / 2


# %%
def kl_weight(epoch: int, drop: int = 10) -> float:
    """Return λ2 of an epoch, counted from 0: 0.1, and 0.01 from epoch `drop` on.

    Source: Sec. 2.2.
    """
    return 0.1 if epoch < drop else 0.01


# %%
def vae_loss(terms: Terms, weight: float, latent: bool) -> Float[Tensor, ""]:
    """Compute Eq. 3.

    Args:
        terms: "mse", "kl" and "latent", which is 𝒲.
        weight: λ2.
        latent: whether λ3 is 1; it is 0 for the paper's "Ours" without 𝒲.
    """
    return torch.stack([*weigh_terms(terms, weight, latent).values()]).sum()


def weigh_terms(terms: Terms, weight: float, latent: bool) -> Terms:
    """Multiply each term of Eq. 3 by its λ; without 𝒲 there is none of it."""
    parts = {"mse": terms["mse"], "kl": weight * terms["kl"]}
    return parts | ({"latent": terms["latent"]} if latent else {})


# %% tags=["active-ipynb", "kl"]
# grid = torch.linspace(-3, 3, 121)
# mean, log_sigma = torch.meshgrid(grid, grid, indexing="xy")
# figure, axes = show.subplots(1, 1, width=4.2, height=3)
# lines = axes[0, 0].contour(
#     grid, grid, kl_divergence(mean, 2 * log_sigma), levels=[0.1, 0.5, 1, 2, 4, 8]
# )
# axes[0, 0].clabel(lines)
# axes[0, 0].set(xlabel="μ", ylabel="log σ", title="KL of one latent, nats")
# figure

# %% [markdown]
# At the minimum, μ = 0 and σ = 1, a latent holds no information about its input. Below
# σ = 1, the KL grows by about one nat each time σ shrinks by a factor of 2.7.
#
# ## Posterior collapse: made to happen, seen, and undone
#
# The two terms of Eq. 1 pull in opposite directions. The error wants narrow Gaussians
# in different places, so that the decoder can tell inputs apart. The KL wants all of
# them to be $\mathcal N(0, 1)$. If $\lambda_2$ is too large, the KL wins: the encoder
# gives $\mathcal N(0, 1)$ for every input, the latent is noise, and the best that the
# decoder can do is to output the mean of all inputs. This is **posterior collapse**.
#
# We can watch it in a few seconds on points of the plane. Eight heaps lie on a circle,
# and a VAE with two latents has to reconstruct each point. It uses the functions above
# and nothing else. We train it four times:
#
# | run | λ₂ | |
# |---|---|---|
# | healthy | 0.02 | |
# | collapsed | 2 | the KL costs more than all information is worth |
# | schedule | 2, then 0.02 | the paper's remedy: λ₂ falls during the training |
# | free bits | 2 | the first nat of each latent costs nothing (Kingma et al. 2016) |
#
# **Free bits** change the loss: a latent whose mean KL is below the floor $\phi$ is not
# pulled any further,
#
# $$\mathcal L = \mathcal L_\mathrm{MSE}
#   + \lambda_2 \sum_k \max\Big(\phi,\ \frac1B \sum_b \mathrm{KL}_{bk}\Big). $$


# %%
def free_bits(kl: Float[Tensor, "b z"], floor: float) -> Float[Tensor, ""]:
    """Sum the mean KL of each latent, which counts as `floor` nats where it is less.

    Args:
        kl: of each item and latent, nats.
        floor: nats of each latent that cost nothing.

    Source: Kingma et al. 2016, Improving Variational Inference with Inverse
    Autoregressive Flow, Sec. 4 (there called λ).
    """
    return kl.mean(0).clamp(min=floor).sum()


# %%
class ToyVAE(nn.Module):
    """A VAE of points in the plane, with two latents."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(2, 48, 48, 4), mlp(2, 48, 48, 2)

    def forward(self, x: Float[Tensor, "b 2"], noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstructed points, and the KL (b, 2) of each latent."""
        mu, logvar = self.encoder(x).chunk(2, dim=-1)
        made = self.decoder(reparameterize(mu, logvar, noise))
        return made, kl_divergence(mu, logvar)


# %% [markdown]
# Which term does the encoder follow? We can ask: the gradient of each term *alone*, by
# the encoder's weights, has a length. In a healthy run the two are of the same order,
# because each holds the other. Step 6 uses the same function for MS-VAE.


# %%
def term_gradients(
    parts: Terms, weights: list[nn.Parameter]
) -> dict[str, Float[Tensor, ""]]:
    """Measure the length of the gradient of each part of a loss by some weights.

    Args:
        parts: name → a part of the loss, times its λ. The graph is kept.
        weights: of the network, or of a part of it.
    """
    lengths = {}
    for name, part in parts.items():
        found = torch.autograd.grad(
            part, weights, retain_graph=True, materialize_grads=True, allow_unused=True
        )
        lengths[name] = torch.stack([g.square().sum() for g in found]).sum().sqrt()
    return lengths


# %%
def train_toy(
    points: Tensor, weight: Callable[[float], float], floor=0.0, steps=800
) -> tuple[ToyVAE, dict[str, list[float]]]:
    """Train a `ToyVAE`, and log its error, its KL and the gradient of each.

    `points` are (n, 2), of variance 1. `weight` gives λ2, from the share of the
    training that is over. `floor` is that of `free_bits`.
    """
    torch.manual_seed(0)
    model, log = ToyVAE(), {}
    adam = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(steps):
        made, kl = model(points, torch.randn_like(points))
        terms = {"error": (made - points).square().sum(1).mean()}
        terms["KL"] = weight(step / steps) * free_bits(kl, floor)
        adam.zero_grad(), sum(terms.values()).backward(retain_graph=True)
        if step % 10 == 0:
            pulls = term_gradients(terms, list(model.encoder.parameters()))
            found = {f"gradient of the {name}": x for name, x in pulls.items()}
            found |= {"error": terms["error"], "KL, nats": kl.sum(1).mean()}
            for name, value in found.items():
                log.setdefault(name, []).append(value.item())
        adam.step()
    return model, log


# %% tags=["active-ipynb", "collapse"]
# torch.manual_seed(0)
# angles = torch.arange(8).repeat_interleave(40) * torch.pi / 4
# points = torch.stack([angles.cos(), angles.sin()], 1) + 0.05 * torch.randn(320, 2)
# points = points / points.std(0)
# plans = {
#     "healthy": (lambda over: 0.02, 0.0),
#     "collapsed": (lambda over: 2.0, 0.0),
#     "schedule": (lambda over: 2.0 if over < 0.5 else 0.02, 0.0),
#     "free bits": (lambda over: 2.0, 1.0),
# }
# toys = {name: train_toy(points, *plan) for name, plan in plans.items()}

# %% tags=["active-ipynb", "collapse-figure"]
# figure, axes = show.subplots(2, 4, width=2.5, height=2.4)
# for place, curves, (name, (model, log)) in zip(*axes, toys.items(), strict=True):
#     with torch.no_grad():
#         made, _ = model(points, torch.randn_like(points))
#     place.scatter(*points.T, s=4, color="#bbbbbb", label="points")
#     place.scatter(*made.T, s=4, color=show.COLOURS[1], label="reconstructed")
#     place.set(title=name, xlim=(-2.2, 2.2), ylim=(-2.2, 2.2))
#     for term in ("error", "KL, nats"):
#         curves.plot(range(0, 800, 10), log[term], label=term)
#     curves.set(xlabel="step", ylim=(-0.1, 6))
# axes[0, 0].legend(fontsize=7), axes[1, 0].legend(fontsize=7)
# figure

# %% [markdown]
# The same runs in numbers, at the end of each. The last column says how many times
# longer the gradient of the error is than that of the KL, in the encoder.

# %% tags=["active-ipynb", "collapse-table"]
# rows = []
# for name, (_, log) in toys.items():
#     last = {key: sum(values[-10:]) / 10 for key, values in log.items()}
#     pulls = last["gradient of the error"], last["gradient of the KL"]
#     row = {"run": name, "error": last["error"], "KL, nats": last["KL, nats"]}
#     rows.append(row | {"gradient, error": pulls[0], "gradient, KL": pulls[1]})
# show.table(rows, "An error of 2 is what the mean of all points gets")

# %% [markdown]
# How to read the curves of a VAE:
#
# | a healthy run | a sick run | what to do |
# |---|---|---|
# | the KL settles at some nats | it falls to 0 and stays: **collapse** | smaller λ₂ |
# | | it grows and grows: Gaussians become points | larger λ₂ |
# | the error is far below the mean's | it stays there | as for collapse |
# | both terms pull at the encoder | one is 100 times the other | other λ |
# | | both are small from early on | as for collapse |
#
# ("The mean's" is the error of the mean of all inputs. Against collapse there are also
# a λ₂ that falls during the training, and free bits. An error that stays high can come
# from a learning rate that is too small, too.)
#
# Not every low KL is a disease. If the sound says nothing about the picture, an audio
# latent without information about the picture is right.
#
# ## As released: a plain loop over one video
#
# Eq. 3 does not say over what its terms are summed or averaged. The released code
# decides this. Each step takes one video, and only the n seconds of its event:
#
# | term | over n seconds and both directions |
# |---|---|
# | MSE | *mean* over n × 640, sum of two directions |
# | KL | *sum* over n × 100, sum of two directions |
# | W | one norm of all n × 100 differences, of fresh draws, once a direction |
#
# First we write it as the released code does, with one VAE for each direction. Each VAE
# has its own encoder and its own two heads. The decoder belongs to both.


# %%
class OneWayVAE(nn.Module):
    """One direction as the released code has it: from one modality to the pair.

    Args:
        encoder: the modality's.
        decoder: latents → the pair; shared or not, that is the caller's choice.
    """

    def __init__(self, encoder: Encoder, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, F) → μ and log σ² (n, 100), each by a head of its own."""
        x, heads = self.encoder.body(x), self.encoder.heads
        mu = F.linear(x, heads.weight[:LATENTS], heads.bias[:LATENTS])
        return mu, F.linear(x, heads.weight[LATENTS:], heads.bias[LATENTS:])

    def loss(self, x: Tensor, pair: Tensor, noise: Tensor, weight: float) -> Tensor:
        """Compute the MSE (a mean) plus λ2 times the KL (a sum) of this direction."""
        mu, logvar = self.encode(x)
        z = mu + torch.exp(0.5 * logvar) * noise
        kl = -0.5 * torch.sum(1 + logvar - mu**2 - torch.exp(logvar))
        return F.mse_loss(self.decoder(z), pair) + weight * kl


# %%
def released_loss_slow(
    vaes: tuple[OneWayVAE, OneWayVAE],
    video: tuple[Tensor, Tensor],
    noise: Float[Tensor, "3 2 n 100"],
    weight: float,
    latent: bool = True,
) -> Tensor:
    """Compute Eq. 3 of one video as the released code does, direction by direction.

    Its arguments are both VAEs, both rows of features (n, 512) and (n, 128), the draws
    for the decoder and twice for 𝒲, λ2, and whether 𝒲 counts.
    """
    pair = torch.cat(video, dim=1)
    loss = vaes[0].loss(video[0], pair, noise[0, 0], weight)
    loss = loss + vaes[1].loss(video[1], pair, noise[0, 1], weight)
    if latent:
        gaussians = [vae.encode(x) for vae, x in zip(vaes, video, strict=True)]
        for direction in (1, 2):
            z_v, z_a = (
                mu + torch.exp(0.5 * logvar) * draw
                for (mu, logvar), draw in zip(gaussians, noise[direction], strict=True)
            )
            loss = loss + torch.sqrt(((z_a - z_v) ** 2).sum())
    return loss


# %% [markdown]
# The same in one pass through the model. Each encoder runs once instead of twice, and
# the shared decoder gets both directions at once. This is the form that step 6 trains
# with.
#
# `(n, 512), (n, 128), noise (3, 2, n, 100)`


# %%
def released_terms(
    model: PairVAE,
    visual: Float[Tensor, "n 512"],
    audio: Float[Tensor, "n 128"],
    noise: Float[Tensor, "3 2 n 100"],
) -> Terms:
    """Compute the three terms of one video, with the released code's sums and means.

    Args:
        model: the network.
        visual: the picture's features of the n seconds of the event.
        audio: the sound's.
        noise: draws for the decoder (0) and for 𝒲 (1, 2), visual first.
    """
    mu, logvar, z, made = model(visual, audio, noise)
    pair = torch.cat([visual, audio], dim=-1)
    gap = (z[1:, 0] - z[1:, 1]).flatten(1)  # (2, n * 100): one norm a direction
    return {
        # `mean` is over both directions too; the released code adds them up, hence 2
        "mse": 2 * (made - pair).square().mean(),
        "kl": kl_divergence(mu, logvar).sum(),
        "latent": torch.linalg.vector_norm(gap, dim=1).sum(),
    }


# %% tags=["active-ipynb"]
# torch.manual_seed(1)
# model, noise = PairVAE(), torch.randn(3, 2, 10, 100)
# video = torch.randn(10, 512), torch.randn(10, 128)
# decoder = model.decoders["both"]
# vaes = tuple(OneWayVAE(model.encoders[i], decoder) for i in MODALITIES)
# with torch.no_grad():
#     slow = released_loss_slow(vaes, video, noise, weight=0.1)
#     fast = vae_loss(released_terms(model, *video, noise), weight=0.1, latent=True)
# print(f"loop over the directions: {slow:.5f}   one pass: {fast:.5f}")
# torch.testing.assert_close(slow, fast)

# %% [markdown]
# How large are the three terms before training?

# %% tags=["active-ipynb", "sizes"]
# visual, audio = torch.randn(10, 512), torch.randn(10, 128)
# with torch.no_grad():
#     terms = released_terms(PairVAE(), visual, audio, torch.randn(3, 2, 10, 100))
# lambdas = {"mse": 1.0, "kl": 0.1, "latent": 1.0}
# halves = {name: value.item() / 2 for name, value in terms.items()}
# rows = [
#     {"term": name, "a direction": half, "times λ": half * lambdas[name]}
#     for name, half in halves.items()
# ]
# show.table(rows)

# %% [markdown]
# On features of variance 1, and before anything is learned, W outweighs the error by a
# factor of ten and more. "λ₁ = λ₃ = 1" sounds balanced and is not. (W grows with
# $\sqrt{100n}$, because it is one norm over all differences.) Features of another size
# give another balance, because the MSE grows with their square. Step 6 shows the
# balance for the features at hand. And a video of 10 seconds has five times the KL of
# one of 2 seconds, at the same MSE.
#
# ## All terms on one scale
#
# Our **corrected** mode takes means everywhere: over the 640 errors of a second, over
# its 100 KLs, over its 100 squared differences (then it takes the root), over the two
# directions (the ½ of Eq. 2), over the seconds of a video, and over the videos of a
# batch. Now each number is the contribution of one value or one latent, at any length,
# and the λ mean what they seem to mean.
#
# The error is divided by the variance of the features. An error of 1 is then what the
# mean of all seconds would get. Without this division, features that vary little would
# make the error so small that no latent is worth its KL, and both encoders would
# collapse.
#
# This mode trains on batches. The videos of a batch have events of different length.
# Each second gets a weight, which is 0 outside of the event:
#
# $$s_{bt} = \frac{1}{B}\cdot\frac{e_{bt}}{\sum_{t'} e_{bt'}}, \qquad
#   \mathcal L = \sum_{bt} s_{bt}\, \mathcal L_{bt} .$$
#
# First as a loop over the videos and their seconds:


# %%
def corrected_terms_slow(
    model: PairVAE,
    visual: Float[Tensor, "b t 512"],
    audio: Float[Tensor, "b t 128"],
    event: Bool[Tensor, "b t"],
    noise: Float[Tensor, "1 2 b t 100"],
) -> dict[str, float]:
    """Compute the three terms as means, one second of one video after the other."""
    terms = {"mse": 0.0, "kl": 0.0, "latent": 0.0}
    for b, t in event.nonzero().tolist():
        weight = 1 / len(event) / int(event[b].sum())  # s of this second
        pair, z = torch.cat([visual[b, t], audio[b, t]]), {}
        for k, (i, x) in enumerate((("visual", visual), ("audio", audio))):
            mu, logvar = model.encoders[i](x[b, t])
            z[i] = mu + torch.exp(logvar / 2) * noise[0, k, b, t]
            mse = ((model.decode(z[i], i) - pair) ** 2).sum() / 640
            kl = (mu**2 + logvar.exp() - 1 - logvar).sum() / 2 / LATENTS
            terms["mse"] += weight * mse.item() / 2
            terms["kl"] += weight * kl.item() / 2
        square = ((z["visual"] - z["audio"]) ** 2).sum() / LATENTS
        terms["latent"] += weight * square.sqrt().item()
    return terms


# %% [markdown]
# The fast form first computes the weights of all seconds. Then it collects the seconds
# of the event from the whole batch and sends them through the network together. Seconds
# without the event are not computed at all.
#
# `(B, T) → (B, T)`


# %%
def weigh_seconds(event: Bool[Tensor, "b t"]) -> Float[Tensor, "b t"]:
    """Compute s: the weight of each second in the mean over videos of their means."""
    return event / event.sum(1, keepdim=True) / len(event)


# %%
def corrected_terms(
    model: PairVAE,
    visual: Float[Tensor, "b t 512"],
    audio: Float[Tensor, "b t 128"],
    event: Bool[Tensor, "b t"],
    noise: Float[Tensor, "1 2 b t 100"],
    unit: float | Float[Tensor, ""] = 1.0,
) -> Terms:
    """Compute the terms as means over values, directions, seconds and videos.

    `event` should be on the CPU: `nonzero` on a GPU would make the CPU wait for it.
    `unit` is the features' variance, by which the error is divided.
    """
    at, share = event.flatten().nonzero()[:, 0], weigh_seconds(event)[event]
    at, share = (x.to(visual.device, non_blocking=True) for x in (at, share))
    visual, audio = visual.flatten(0, 1)[at], audio.flatten(0, 1)[at]  # (M, 512), …
    mu, logvar, z, made = model(visual, audio, noise.flatten(2, 3)[:, :, at])
    pair = torch.cat([visual, audio], dim=-1)
    gap = torch.linalg.vector_norm(z[0, 0] - z[0, 1], dim=-1) / LATENTS**0.5
    return {
        "mse": ((made - pair).square().mean((0, -1)) * share).sum() / unit,
        "kl": (kl_divergence(mu, logvar).mean(-1).mean(0) * share).sum(),
        "latent": (gap * share).sum(),
    }


# %% tags=["active-ipynb", "masks"]
# visual, audio = torch.randn(3, 10, 512), torch.randn(3, 10, 128)
# event = torch.arange(10) < torch.tensor([[2], [5], [10]])
# batch = visual, audio, event, torch.randn(1, 2, 3, 10, 100)
# model, seconds = PairVAE(), {}
# for name, compute in (("loop", corrected_terms_slow), ("batch", corrected_terms)):
#     with torch.no_grad():
#         compute(model, *batch)  # the first call is slower than the others
#         began = time.perf_counter()
#         terms = compute(model, *batch)
#     seconds[name] = time.perf_counter() - began
#     numbers = {term: f"{value:.4f}" for term, value in terms.items()}
#     print(f"{name}: {1000 * seconds[name]:.1f} ms", numbers)
#     if name == "loop":
#         slow = terms
# for name, value in terms.items():
#     assert abs(value.item() - slow[name]) < 1e-4 * max(1, slow[name])
# print(f"The batch is {seconds['loop'] / seconds['batch']:.0f} times as fast here.")

# %% [markdown]
# ## The input: raw rows, or rows divided by their largest value
#
# When the released code *tests*, it divides each row of features by its largest
# absolute value. When it *trains*, it uses the rows as they are. So the network is
# tested on rows unlike any that it has seen in training. The faithful mode does the
# same. The corrected mode trains on what it is tested on: rows after `scale_rows` of
# step 2.


# %%
def check_rows(x: Row, modality: str) -> Row:
    """Return the features themselves, if they can be this modality's.

    Raises:
        ValueError: an unknown modality, another width, or a number that is not finite.
    """
    if modality not in WIDTHS:
        raise ValueError(f"modality is {modality!r}: give visual or audio")
    if x.shape[-1] != WIDTHS[modality]:
        raise ValueError(
            f"{modality} features are {x.shape[-1]} wide, not {WIDTHS[modality]}: "
            "give them as (..., features) of step 2"
        )
    finite = x.isfinite().all(-1).flatten()
    if not finite.all():
        raise ValueError(
            f"{modality} features: row {int((~finite).nonzero()[0])} holds NaN or "
            "infinity: measure that second again"
        )
    return x


# %% [markdown]
# The released mode takes one video after the other. We lay the seconds of all events in
# one tensor, one video after the other, and remember where each video begins. The
# lengths are known on the CPU, so that no training step has to wait for the GPU to find
# them.


# %%
@dataclass(frozen=True)
class EventRows:
    """The event seconds of all videos in a row; video i's are bounds[i:i + 2].

    Attributes:
        visual: (M, 512), the features of M seconds.
        audio: (M, 128).
        bounds: where each video begins, and M at the end.
    """

    visual: Float[Tensor, "M 512"]
    audio: Float[Tensor, "M 128"]
    bounds: list[int]

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def get_video(self, i: int) -> tuple[Tensor, Tensor]:
        """Return (n, 512) and (n, 128) of video i."""
        part = slice(*self.bounds[i : i + 2])
        return self.visual[part], self.audio[part]


# %%
def check_events(features: VideoFeatures) -> VideoFeatures:
    """Return the table itself, if every video has an event and good features.

    Raises:
        ValueError: it names a video without event, or the row that is wrong.
    """
    empty = (~features.event.any(1)).nonzero().flatten().tolist()
    if empty:
        names = ", ".join(features.videos[i] for i in empty[:5])
        raise ValueError(
            f"{len(empty)} of {len(features.videos)} videos have no second with an "
            f"event: {names}. Leave them out, because there is nothing to learn from"
        )
    check_rows(features.visual, "visual"), check_rows(features.audio, "audio")
    return features


# %%
def gather_events(
    features: VideoFeatures, device: torch.device | None = None
) -> EventRows:
    """Collect the event seconds of all videos, as they were measured, on a device.

    Raises:
        ValueError: as `check_events`.
    """
    event = check_events(features).event
    bounds = [0, *event.sum(1).cumsum(0).tolist()]
    # a mask of (N, T) on (N, T, F) gives (M, F), video after video
    visual, audio = features.visual[event], features.audio[event]
    return EventRows(visual.to(device), audio.to(device), bounds)


# %% [markdown]
# ## Two optimisers own the decoder
#
# The released code has one Adam for each modality, which owns the encoder *and the
# decoder*. There is only one decoder, so both own it, and it is stepped twice in every
# iteration. As a plain loop:


# %%
class TwoAdamLoop:
    """The released code's training step, on a copy of a model.

    Both Adams have the learning rate `rate`. `latent` says whether 𝒲 counts.
    """

    def __init__(self, model: PairVAE, rate: float, latent: bool = True) -> None:
        self.model, self.latent = copy.deepcopy(model), latent
        decoders = [*self.model.decoders.values()]
        ends = decoders[0], decoders[-1]  # the same one twice, if it is shared
        encoders = self.model.encoders.values()
        self.vaes = tuple(map(OneWayVAE, encoders, ends))
        self.adams = [torch.optim.Adam(vae.parameters(), lr=rate) for vae in self.vaes]

    def step(self, video: tuple, noise: Tensor, weight: float) -> float:
        """Lower the loss of one video once, and return it."""
        loss = released_loss_slow(self.vaes, video, noise, weight, self.latent)
        for adam in self.adams:
            adam.zero_grad()
        loss.backward()
        for adam in self.adams:
            adam.step()
        return float(loss.detach())


# %% [markdown]
# What does the double step do? Both Adams see the same gradients from the first
# iteration on. So their moments $m, v$ are equal, and so are their steps:
#
# $$\theta \leftarrow \theta - \eta\,\frac{\hat m}{\sqrt{\hat v} + \epsilon}
#     - \eta\,\frac{\hat m}{\sqrt{\hat v} + \epsilon}
#   = \theta - 2\eta\,\frac{\hat m}{\sqrt{\hat v} + \epsilon}.$$
#
# The second Adam repeats the first: **the decoder simply learns at twice the rate.**
# One Adam with two rates makes the same updates with half the moments. Together with
# the one pass for both directions, and with Adam's arithmetic in one kernel (`fused`),
# a step takes less than half the time. `benchmarks/ms_vae.py` measures it.


# %%
def make_optimizer(model: PairVAE, rate: float, released: bool) -> torch.optim.Adam:
    """Make one Adam for the whole model.

    Args:
        model: the network.
        rate: the learning rate.
        released: whether a shared decoder learns at twice the rate, as in the released
            code.
    """
    twice = 2 if released and model.shared else 1
    groups = [
        {"params": list(model.encoders.parameters()), "lr": rate},
        {"params": list(model.decoders.parameters()), "lr": rate * twice},
    ]
    return torch.optim.Adam(groups, fused=True)


# %% tags=["active-ipynb", "double-step"]
# torch.manual_seed(2)
# model = PairVAE()
# loop, adam = TwoAdamLoop(model, 1e-3), make_optimizer(model, 1e-3, released=True)
# times = {"two Adams": 0.0, "one Adam": 0.0}
# for _ in range(20):
#     noise = torch.randn(3, 2, 10, 100)
#     began = time.perf_counter()
#     loss_slow = loop.step(video, noise, 0.1)
#     middle = time.perf_counter()
#     loss = vae_loss(released_terms(model, *video, noise), 0.1, latent=True)
#     adam.zero_grad(), loss.backward(), adam.step()
#     times["two Adams"] += middle - began
#     times["one Adam"] += time.perf_counter() - middle
#     assert abs(loss.item() - loss_slow) < 1e-2 * loss_slow
# print(f"loss after 20 steps: {loss_slow:.4f} and {loss.item():.4f}")
# print({name: f"{50 * t:.1f} ms a step" for name, t in times.items()})

# %% [markdown]
# (The two losses differ in their last digits, because the sums are taken in another
# order. The tests compare both in float64, where they agree to nine digits.)
#
# ## How two seconds are compared
#
# After training, two seconds of any modality are compared by the means of their latents
# and by the pairs that the decoder makes of these (Sec. 3.2; the halves are the
# code's):
#
# $$\mathcal D = \tfrac12 \|\mu - \mu'\|_2 + \tfrac12 \|\hat x - \hat x'\|_2 .$$
#
# `encode` puts both into one vector: `(…, F) → (…, 740)`.
# `distance` compares two lists of them: `(n, 740), (m, 740) → (n, m)`.


# %%
def pairwise_l2(first: Float[Tensor, "n d"], second: Float[Tensor, "m d"]) -> Tensor:
    """Compute the Euclidean distances (n, m) between the rows of two tables."""
    # By default cdist uses |a|² + |b|² - 2ab for large tables, which is inexact where a
    # and b are near each other: a row would not be at distance 0 from itself.
    exact = "donot_use_mm_for_euclid_dist"
    return torch.cdist(first, second, compute_mode=exact)


# %%
class MSVAE(PairVAE):
    """The model as it is used: MS-VAE if its decoder is shared, else CM-VAE."""

    def posterior(self, x: Row, modality: str) -> tuple[Latent, Latent]:
        """Return μ and log σ² of features as they were measured; it scales them."""
        rows = scale_rows(check_rows(x, modality))
        return self.encoders[modality](rows)

    @torch.no_grad()
    def encode(self, x: Row, modality: str) -> Float[Tensor, "*rows 740"]:
        """Return μ and the pair that is made of it, side by side."""
        mu = self.posterior(x, modality)[0]
        return torch.cat([mu, self.decode(mu, modality)], dim=-1)

    def distance(
        self, first: Float[Tensor, "n 740"], second: Float[Tensor, "m 740"]
    ) -> Float[Tensor, "n m"]:
        """Compute 𝒟 between all pairs of two lists of encoded seconds."""
        parts = [codes.split([LATENTS, 640], -1) for codes in (first, second)]
        return torch.stack([*map(pairwise_l2, *parts)]).mean(0)

    @torch.no_grad()
    def generate(self, z: Latent, modality: str = "visual") -> tuple[Tensor, Tensor]:
        """Decode latents to visual (..., 512) and audio (..., 128) features."""
        return self.decode(z, modality).split(list(WIDTHS.values()), dim=-1)


# %% tags=["active-ipynb"]
# model = MSVAE().eval()
# sounds, pictures = torch.rand(4, 128), torch.rand(10, 512)
# first, second = model.encode(sounds, "audio"), model.encode(pictures, "visual")
# assert first.shape == (4, 740)
# distance = model.distance(first, second)
# assert distance.shape == (4, 10)
# gap = first[2] - second[5]  # 𝒟 of one pair, as in the equation
# by_hand = gap[:100].norm() / 2 + gap[100:].norm() / 2
# torch.testing.assert_close(distance[2, 5], by_hand)
# assert (model.distance(first, first).diagonal() == 0).all()
# visual, audio = model.generate(torch.randn(5, 100))
# print(tuple(visual.shape), tuple(audio.shape))

# %% [markdown]
# Here is the matrix of distances before training. Rows are sounds, columns are
# pictures. The untrained network already prefers some pictures to others, but it
# prefers the same pictures for every sound. Step 7 asks whether training makes the rows
# differ, and in the right places.

# %% tags=["active-ipynb"]
# figure, axes = show.subplots(1, 1, width=4, height=2)
# drawn = axes[0, 0].imshow(distance)
# figure.colorbar(drawn, ax=axes[0, 0], label="distance")
# axes[0, 0].set(xlabel="picture of a second", ylabel="sound of a second")
# axes[0, 0].grid(False)
# figure

# %% [markdown]
# ## What came out

# %% tags=["active-ipynb"]
# lost, kept = (toys[name][1] for name in ("collapsed", "healthy"))
# nats = lost["KL, nats"][-1]
# print(f"On points: with λ₂ = 2 the KL ends at {nats:.2f} nats and the")
# print(f"error at {lost['error'][-1]:.2f}. With λ₂ = 0.02 they end at")
# print(f"{kept['KL, nats'][-1]:.2f} nats and {kept['error'][-1]:.2f}.")
# print("The mean of all points has an error of 2.")
# ratio = halves["latent"] / halves["mse"]
# print(f"As released, 𝒲 is {ratio:.0f} times the error before training.")
# parts = {name: f"{value.item():.3f}" for name, value in terms.items()}
# print(f"Corrected, the terms of an untrained model are {parts}.")
# faster = times["two Adams"] / times["one Adam"]
# print(f"One Adam with two rates took 1/{faster:.1f} of the time of two Adams here.")
# same = distance.argmin(1).unique().numel()
# print(f"The untrained model finds {same} different picture(s) for 4 sounds.")

# %% [markdown]
# ## Exercises
#
# 1. Derive the closed form of the KL. The check compares it with a numerical integral.
# 2. How far apart are two equal Gaussians by the paper's $\mathcal W$, and by the true
#    Wasserstein distance?

# %% tags=["active-ipynb"]
# from avnb_notebooks.ms_vae import exercises
#
#
# def gaussian_kl(mu, sigma):
#     """KL(N(μ, σ²) ‖ N(0, 1)) in nats, summed over the last axis of (..., Z)."""
#     ...  # your code
#
#
# course.try_exercise(exercises.GAUSSIAN_KL, gaussian_kl)

# %% tags=["active-ipynb"]
# def two_distances(mu, sigma, mu_2, sigma_2):
#     """(expected squared distance of two draws, squared Wasserstein-2 distance).
#
#     Two Gaussians with means (Z,) and deviations (Z,). The draws are independent.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.TWO_DISTANCES, two_distances)
