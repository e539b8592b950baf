# %% [markdown]
# # Step 4 · The model: two encoders, one decoder, one latent
#
# A dog barks. From the picture of it you can imagine the sound, from the sound the
# picture. Zhu et al. make that into a network: whatever it is given, a second of
# picture or a second of sound, it is to say what *both* are. What it must keep in
# mind to do so is what the two have in common, and that is called the **latent**.
#
# 1. two encoders: a modality becomes a Gaussian,
# 2. one decoder for both, and the way through all of it (Sec. 2.2),
# 3. the loss, Eq. 1 to 3, and a surprise in the released code's sums,
# 4. a decoder that takes two steps at once, and videos of different length,
# 5. how two seconds are compared once it has learned.
#
# **Letters.** N videos · B videos of a batch · T = 10 seconds · n seconds in which the
# event is · V = 512 visual and A = 128 audio features a second · Z = 100 latents ·
# i modality, visual or audio · μ, σ mean and deviation of a latent · e event, 0 or 1 ·
# s share of a second in the mean over videos · θ the weights, η their learning rate.

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
from dataclasses import dataclass
from itertools import pairwise

import torch
from avnb_notebooks.ms_vae.step2_features import WIDTHS, Seconds, scaled
from jaxtyping import Bool, Float
from torch import Tensor, nn

# %% tags=["active-ipynb"]
# from avnb import course
# from avnb.viz import show

# %%
MODALITIES = ("visual", "audio")
LATENTS = 100
ENCODERS = {"visual": (512, 512, 512, 128, 128), "audio": (128, 128, 128)}
DECODER = (100, 512, 512, 512, 640, 640, 640)
Row = Float[Tensor, "*rows features"]
Latent = Float[Tensor, "*rows 100"]
Terms = dict[str, Float[Tensor, ""]]


# %% [markdown]
# ## The whole, before its parts
#
# Fig. 1 of the paper. Either encoder alone is enough to make the pair; the two meet in
# the decoder, and the Wasserstein term $\mathcal W$ pulls their latents together.

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
# ## An encoder makes a Gaussian of a second
#
# Not one point of the latent space but a cloud: a mean $\mu_i$ and a variance
# $\sigma_i^2$ for each of the 100 latents, by layers of weights with ReLUs between.
# The network says $\log\sigma^2$, which may be any number, so that no variance can come
# out negative. The paper says nothing on the layers; these are the released code's:
#
# | | widths | weights |
# |---|---|---|
# | visual | 512 → 512 → 512 → 128 → 128 → μ, log σ² | 633,288 |
# | audio | 128 → 128 → 128 → μ, log σ² | 58,824 |
#
# `(…, F) → (…, 100), (…, 100)`


# %%
def layers(*widths: int) -> nn.Sequential:
    """Linear layers from width to width with ReLUs between, none after the last."""
    steps: list[nn.Module] = []
    for before, after in pairwise(widths):
        steps += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*steps[:-1])


# %%
class Encoder(nn.Module):
    """q_i of Eq. 1: features of a second → mean and log variance of its latents.

    widths: of the layers, the features' first. Both heads are one linear layer.
    """

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.body = layers(*widths)
        self.heads = nn.Linear(widths[-1], 2 * LATENTS)

    def forward(self, x: Row) -> tuple[Latent, Latent]:
        # in bfloat16 the layers only: sums of squares need all of their digits
        mu, logvar = self.heads(self.body(x)).to(x.dtype).chunk(2, dim=-1)
        return mu, logvar


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# encoders = {i: Encoder(*ENCODERS[i]) for i in MODALITIES}
# for i, encoder in encoders.items():
#     mu, logvar = encoder(torch.randn(7, WIDTHS[i]))
#     assert mu.shape == logvar.shape == (7, 100)
#     count = sum(w.numel() for w in encoder.parameters())
#     print(f"{i}: (7, {WIDTHS[i]}) → two of {tuple(mu.shape)}, {count:,} weights")

# %% [markdown]
# The loss is to be lowered by changing $\mu$ and $\sigma$, but it is computed of a
# point $z$ drawn from the cloud, and one cannot differentiate a throw of dice. So the
# dice are thrown outside (the **reparameterisation**): $z = \mu + \sigma\epsilon$ with
# $\epsilon \sim \mathcal N(0, 1)$. Then $\partial z/\partial\mu = 1$ and
# $\partial z/\partial\sigma = \epsilon$.


# %%
def drawn(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """Z = μ + σ ε, ε being the noise; the shapes broadcast."""
    return mu + (logvar / 2).exp() * noise


# %% tags=["active-ipynb"]
# mu, logvar = torch.tensor([2.0, -1.0]), torch.tensor([0.0, -2.0])
# cloud = drawn(mu, logvar, torch.randn(400, 2))
# figure, axes = show.subplots(1, 1, width=3.4, height=2.6)
# axes[0, 0].plot(*cloud.T, ".", markersize=3)
# axes[0, 0].set(xlabel="latent 1, σ = 1", ylabel="latent 2, σ = 0.37")
# figure

# %% [markdown]
# ## One decoder for both
#
# It makes 640 numbers of a latent: the 512 visual and the 128 audio features of the
# second. It never learns which encoder the latent came from, so $q_v$ and $q_a$ must
# speak one language. That is the paper's cure for a known illness of such models: the
# encoder of one modality gives up, its clouds all become $\mathcal N(0, 1)$, and
# nothing of its input is left in them (the **collapse** of Fig. 3).
#
# To see whether the sharing is the cure, there is the same model without it, which the
# paper calls **CM-VAE**: two decoders, one for the latents of each encoder.
#
# `(…, 100) → (…, 640)`


# %%
class PairVAE(nn.Module):
    """What learns: an encoder a modality, and one decoder, or one a modality."""

    def __init__(self, shared: bool = True) -> None:
        super().__init__()
        self.shared = shared
        self.encoders = nn.ModuleDict({i: Encoder(*ENCODERS[i]) for i in MODALITIES})
        names = ("both",) if shared else MODALITIES
        self.decoders = nn.ModuleDict({name: layers(*DECODER) for name in names})

    def decode(self, z: Latent, of: str) -> Float[Tensor, "*rows 640"]:
        """The pair, visual first, of latents of the modality `of`."""
        return self.decoders["both" if self.shared else of](z)

    def forward(self, visual: Tensor, audio: Tensor, noise: Tensor) -> tuple:
        """(..., 512), (..., 128), (K, 2, ..., 100) → μ, log σ², z, pairs made of z[0].

        Visual first where an axis is of two; z has K draws, as the noise has.
        """
        both = self.encoders["visual"](visual), self.encoders["audio"](audio)
        mu, logvar = (torch.stack(part) for part in zip(*both, strict=True))
        z = drawn(mu, logvar, noise)
        if self.shared:  # both ways at once
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
# How likely is a pair $x$? Nobody can say: one would have to try all latents. But a
# lower bound is at hand (Eq. 1), for either encoder $q_i$:
#
# $$\log p(x) \ge \mathbb E_{z \sim q_i(z|x_i)}[\log p(x|z)]
#   - \mathrm{KL}\big(q_i(z|x_i)\,\|\,p(z)\big). \tag{1}$$
#
# The first term asks that the pair can be made again from the latent: a mean squared
# error. The second asks the clouds to stay near $\mathcal N(0, 1)$; for Gaussians it is
# a formula, one for each latent:
#
# $$\mathrm{KL} = \tfrac12 \left(\mu^2 + \sigma^2 - 1 - \log \sigma^2\right).$$
#
# Both encoders, and a distance between their clouds, make Eq. 2:
#
# $$\log p(x) \ge \mathbb E_z[\log p(x|z)] - \tfrac12\left[\mathrm{KL}(q_a\|p) +
#   \mathrm{KL}(q_v\|p)\right] - \mathcal W(q_a \| q_v), \tag{2}$$
#
# where $\mathcal W$ is taken as $\mathbb E\,\|z_a - z_v\|_2$ over draws. (That is no
# Wasserstein distance: of two equal clouds it is not 0. It asks the clouds to be
# alike *and* small.) With weights it is what is lowered (Eq. 3):
#
# $$\mathcal L = \lambda_1 \mathcal L_\mathrm{MSE} + \lambda_2 \mathcal L_\mathrm{KL} +
#   \lambda_3 \mathcal W, \qquad \lambda_1 = \lambda_3 = 1,\quad
#   \lambda_2 = 0.1, \text{ from epoch 10 on } 0.01. \tag{3}$$


# %%
def kl(mu: Latent, logvar: Latent) -> Latent:
    """KL(N(μ, σ²) ‖ N(0, 1)) of each latent, in nats (Kingma and Welling, App. B)."""
    return (mu.square() + logvar.exp() - 1 - logvar) / 2


# %%
def kl_weight(epoch: int, drop: int = 10) -> float:
    """λ2: 0.1, and 0.01 from epoch `drop` on, counted from 0 (Sec. 2.2)."""
    return 0.1 if epoch < drop else 0.01


# %%
def total(terms: Terms, weight: float, latent: bool) -> Float[Tensor, ""]:
    """Eq. 3 with λ2 = weight; λ3 is 1, or 0 for "Ours" without W."""
    loss = terms["mse"] + weight * terms["kl"]
    return loss + terms["latent"] if latent else loss


# %% tags=["active-ipynb", "kl"]
# grid = torch.linspace(-3, 3, 121)
# mean, log_deviation = torch.meshgrid(grid, grid, indexing="xy")
# figure, axes = show.subplots(1, 1, width=4.2, height=3)
# lines = axes[0, 0].contour(
#     grid, grid, kl(mean, 2 * log_deviation), levels=[0.1, 0.5, 1, 2, 4, 8]
# )
# axes[0, 0].clabel(lines)
# axes[0, 0].set(xlabel="μ", ylabel="log σ", title="KL of one latent, nats")
# figure

# %% [markdown]
# The bottom of the bowl is where a latent says nothing of its input. Shrinking σ below
# 1 costs about a nat for each factor of 2.7.
#
# ## As released: what is summed and what is averaged
#
# Eq. 3 does not say over what its terms are sums or means. The code that was released
# decides so. One step is one video, of which only the n seconds of the event are taken:
#
# | term | over n seconds and both directions |
# |---|---|
# | MSE | *mean* over n × 640, sum of two directions |
# | KL | *sum* over n × 100, sum of two directions |
# | W | one norm of all n × 100 differences, of fresh draws, once a direction |
#
# `(n, 512), (n, 128), noise (3, 2, n, 100)`: draws for the decoder, and for W twice.


# %%
def released_terms(
    model: PairVAE,
    visual: Float[Tensor, "n 512"],
    audio: Float[Tensor, "n 128"],
    noise: Float[Tensor, "3 2 n 100"],
) -> Terms:
    """The three terms of one video, with the released code's sums and means."""
    mu, logvar, z, made = model(visual, audio, noise)
    pair = torch.cat([visual, audio], dim=-1)
    gap = (z[1:, 0] - z[1:, 1]).flatten(1)
    return {
        "mse": 2 * (made - pair).square().mean(),
        "kl": kl(mu, logvar).sum(),
        "latent": torch.linalg.vector_norm(gap, dim=1).sum(),
    }


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
# So before anything is learned, and on features of variance 1, W outweighs the error
# tenfold and more: "λ₁ = λ₃ = 1" sounds balanced and is not. (It grows with
# $\sqrt{100n}$, since it is a norm over all of them.) With features of another size it
# is another balance, since the MSE grows with their square: step 6 shows that of the
# features at hand. And a video of 10 seconds has five times the KL of one of 2, at an
# MSE that is the same.
#
# ## On one scale
#
# The **corrected** mode takes means throughout: of a second's 640 errors, of its 100
# KLs, of its 100 squared differences (then the root), then over the two directions (the
# ½ of Eq. 2), then over the seconds of a video, then over videos. Now each number is
# what one value or one latent contributes, at any length, and the λ mean what they say.
# The error is counted in units of the features' own variance: 1 is what the mean of all
# seconds would get. Without that, features that vary little make an error so small that
# no latent is worth its nats, and both encoders fall silent.
#
# It also allows for batches. Videos have events of different length; their seconds
# stay where they are, and those without the event get a share of 0 (and need not be
# sent through the network at all):
#
# $$s_{bt} = \frac{1}{B}\cdot\frac{e_{bt}}{\sum_{t'} e_{bt'}}, \qquad
#   \mathcal L = \sum_{bt} s_{bt}\, \mathcal L_{bt} .$$


# %%
def shares(event: Bool[Tensor, "b t"]) -> Float[Tensor, "b t"]:
    """What each second weighs in the mean over videos of the mean over their event."""
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
    """The three terms as means: over values, directions, seconds, videos.

    event: best on the CPU, where asking it which seconds to take waits for nothing;
    unit: the features' variance, in which the error is counted.
    """
    at, share = event.flatten().nonzero()[:, 0], shares(event)[event]
    at, share = (x.to(visual.device, non_blocking=True) for x in (at, share))
    visual, audio = visual.flatten(0, 1)[at], audio.flatten(0, 1)[at]
    mu, logvar, z, made = model(visual, audio, noise.flatten(2, 3)[:, :, at])
    pair = torch.cat([visual, audio], dim=-1)
    gap = torch.linalg.vector_norm(z[0, 0] - z[0, 1], dim=-1) / LATENTS**0.5
    return {
        "mse": ((made - pair).square().mean((0, -1)) * share).sum() / unit,
        "kl": (kl(mu, logvar).mean(-1).mean(0) * share).sum(),
        "latent": (gap * share).sum(),
    }


# %% tags=["active-ipynb", "masks"]
# visual, audio = torch.randn(3, 10, 512), torch.randn(3, 10, 128)
# event = torch.arange(10) < torch.tensor([[2], [5], [10]])
# model, noise = PairVAE(), torch.randn(1, 2, 3, 10, 100)
# with torch.no_grad():
#     together = corrected_terms(model, visual, audio, event, noise)
#     alone = [
#         corrected_terms(model, v[None], a[None], e[None], noise[:, :, b, None])
#         for b, (v, a, e) in enumerate(zip(visual, audio, event, strict=True))
#     ]
# for name, value in together.items():
#     assert torch.isclose(value, torch.stack([t[name] for t in alone]).mean())
#     print(f"{name}: {value:.3f}, the mean of the three videos")

# %% [markdown]
# ## What goes in: raw, or each second by its largest
#
# The released code measures on features whose every row is divided by its largest
# absolute value, and *trains* on rows as they are. So at the test it sees what it never
# saw. The faithful mode does so too; the corrected mode trains on what it is tested on:
# rows through step 2's `scaled`.


# %%
def checked(x: Row, modality: str) -> Row:
    """The features themselves; ValueError where they cannot be this modality's."""
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
# The seconds of the event, one video after another. How many each video has is known
# beforehand, outside of the graphics card, so that no step has to wait for it.


# %%
@dataclass(frozen=True)
class Events:
    """The seconds of all videos' events in a row; video i's are bounds[i:i + 2]."""

    visual: Float[Tensor, "M 512"]
    audio: Float[Tensor, "M 128"]
    bounds: list[int]

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def video(self, i: int) -> tuple[Tensor, Tensor]:
        """(n, 512) and (n, 128) of video i."""
        part = slice(*self.bounds[i : i + 2])
        return self.visual[part], self.audio[part]


# %%
def usable(seconds: Seconds) -> Seconds:
    """The table itself; ValueError names a video without event, or a bad feature."""
    empty = (~seconds.event.any(1)).nonzero().flatten().tolist()
    if empty:
        names = ", ".join(seconds.videos[i] for i in empty[:5])
        raise ValueError(
            f"{len(empty)} of {len(seconds.videos)} videos have no second with an "
            f"event: {names}. Leave them out in step 3: they teach nothing"
        )
    checked(seconds.visual, "visual"), checked(seconds.audio, "audio")
    return seconds


# %%
def events(seconds: Seconds, device: torch.device | None = None) -> Events:
    """The events' seconds of a table, on a device, as they were measured.

    Raises ValueError as `usable` does.
    """
    event = usable(seconds).event
    bounds = [0, *event.sum(1).cumsum(0).tolist()]
    visual, audio = seconds.visual[event], seconds.audio[event]
    return Events(visual.to(device), audio.to(device), bounds)


# %% [markdown]
# ## A decoder that takes two steps at once
#
# The released code has an Adam for each modality's encoder *and decoder*. But there is
# only one decoder, so both own it, and in every iteration it is stepped twice. What
# does that do? Both Adams see the same gradients from the first iteration on, so their
# moments $m, v$ are equal, and so are their steps:
#
# $$\theta \leftarrow \theta - \eta\,\frac{\hat m}{\sqrt{\hat v} + \epsilon}
#     - \eta\,\frac{\hat m}{\sqrt{\hat v} + \epsilon}
#   = \theta - 2\eta\,\frac{\hat m}{\sqrt{\hat v} + \epsilon}.$$
#
# The second Adam is the first, again: **the decoder simply learns at twice the rate.**
# One Adam of two rates therefore makes the same updates, of half the moments. Together
# with one pass through the decoder for both directions, and Adam's arithmetic in one
# sweep (`fused`), a step takes less than half the time; `benchmarks/ms_vae.py` measures
# it, and the tests hold each update against a plain loop with two Adams.


# %%
def optimiser(model: PairVAE, rate: float, released: bool) -> torch.optim.Adam:
    """One Adam; as released, a shared decoder learns at twice the rate."""
    twice = 2 if released and model.shared else 1
    groups = [
        {"params": list(model.encoders.parameters()), "lr": rate},
        {"params": list(model.decoders.parameters()), "lr": rate * twice},
    ]
    return torch.optim.Adam(groups, fused=True)


# %% tags=["active-ipynb", "double-step"]
# one, two = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
# pair = [torch.optim.Adam([one], lr=1e-2) for _ in range(2)]
# single = torch.optim.Adam([two], lr=2e-2)
# for k in range(50):
#     gradient = torch.tensor([float(k % 7 - 2)])
#     one.grad, two.grad = gradient.clone(), gradient.clone()
#     for adam in (*pair, single):
#         adam.step()
# assert torch.isclose(one, two)
# print(f"two Adams: {one.item():.6f}   one of twice the rate: {two.item():.6f}")

# %% [markdown]
# ## When it has learned: what is compared
#
# Two seconds, of whatever modality, are compared by their latents' means and by the
# pairs that the decoder makes of them (Sec. 3.2; the halves are the code's):
#
# $$\mathcal D = \tfrac12 \|\mu - \mu'\|_2 + \tfrac12 \|\hat x - \hat x'\|_2 .$$
#
# `encode: (…, F) → (…, 740)` puts both beside each other;
# `distance: (n, 740), (m, 740) → (n, m)`.


# %%
def apart(first: Float[Tensor, "n d"], second: Float[Tensor, "m d"]) -> Tensor:
    """Euclidean distances (n, m), each by its differences: exact where small."""
    exact = "donot_use_mm_for_euclid_dist"
    return torch.cdist(first, second, compute_mode=exact)


# %%
class MSVAE(PairVAE):
    """The model as it is used: MS-VAE if its decoder is shared, else CM-VAE."""

    def posterior(self, x: Row, modality: str) -> tuple[Latent, Latent]:
        """μ and log σ² of features as they were measured; scaled here."""
        rows = scaled(checked(x, modality))
        return self.encoders[modality](rows)

    @torch.no_grad()
    def encode(self, x: Row, modality: str) -> Float[Tensor, "*rows 740"]:
        """μ and the pair made of it, of features as they were measured."""
        mu = self.posterior(x, modality)[0]
        return torch.cat([mu, self.decode(mu, modality)], dim=-1)

    def distance(
        self, first: Float[Tensor, "n 740"], second: Float[Tensor, "m 740"]
    ) -> Float[Tensor, "n m"]:
        """𝒟 between all pairs of two lists of `encode`s; small is alike."""
        parts = [codes.split([LATENTS, 640], -1) for codes in (first, second)]
        return torch.stack([*map(apart, *parts)]).mean(0)

    @torch.no_grad()
    def generate(self, z: Latent, of: str = "visual") -> tuple[Tensor, Tensor]:
        """Visual (..., 512) and audio (..., 128) features of latents of `of`."""
        return self.decode(z, of).split(list(WIDTHS.values()), dim=-1)


# %% tags=["active-ipynb"]
# model = MSVAE().eval()
# heard, seen = torch.rand(4, 128), torch.rand(10, 512)
# first, second = model.encode(heard, "audio"), model.encode(seen, "visual")
# assert first.shape == (4, 740)
# assert model.distance(first, second).shape == (4, 10)
# assert (model.distance(first, first).diagonal() == 0).all()
# visual, audio = model.generate(torch.randn(5, 100))
# print(tuple(visual.shape), tuple(audio.shape))

# %% [markdown]
# Look at the matrix of distances before training: rows are sounds, columns pictures. A
# network that knows nothing still prefers some pictures to others, for every sound
# alike. Step 7 asks whether training has made the rows differ, and in the right places.

# %% tags=["active-ipynb"]
# figure, axes = show.subplots(1, 1, width=4, height=2)
# axes[0, 0].imshow(model.distance(first, second))
# axes[0, 0].set(xlabel="second seen", ylabel="heard")
# axes[0, 0].grid(False)
# figure

# %% [markdown]
# ## Exercises
#
# 1. The closed form of the KL, checked against a sum of throws.
# 2. What two equal clouds are apart by the paper's $\mathcal W$, and by the true one.

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
#     Of Gaussians with means (Z,) and deviations (Z,), drawn independently.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.TWO_DISTANCES, two_distances)
