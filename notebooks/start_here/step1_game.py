# %% [markdown]
# # Step 1 · The game: a generator against a discriminator
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/start_here/step1_game.ipynb)
#
# The papers of this course train generative adversarial networks (GANs) on pictures and
# sounds. There a training takes hours, and nobody can see the whole distribution. This
# series plays the same game in the plane. The data are points around eight centres, a
# training takes seconds, and one scatter plot shows everything.
#
# **You will learn**
#
# 1. what a generator and a discriminator are, and which game they play,
# 2. why the first form of the generator's loss saturates, and what is used instead,
# 3. which discriminator is the best one against a given generator, in closed form, and
#    how near a trained one comes to it.
#
# **Time.** About 15 minutes to read. The cells run in a few seconds.
#
# **Before you start.** You should know PyTorch's training loop, and what a probability
# density is.
#
# **Letters.** K networks side by side · B points of a batch · M centres · H width of a
# layer · x a point (2) · z noise (2) · s a logit.

# %% tags=["parameters"]
SCALE = "laptop"  # how large everything is: one of the scales below
DATA = ""  # leave it "": this series draws what it needs
SEED = 0  # of every random number: a whole number; each seed has a run of its own
RUN_DIR = ""  # "" is the usual folder of this run, below runs/start_here/
OVERRIDES = {}  # {"field": value} of the table of settings below: your own values
# scale      for                                       the whole series took
# smoke      tests: every line runs, nothing learned   not measured yet
# laptop     two cores, no GPU: the networks do learn  not measured yet
# reference  two cores for hours: what claims rest on  at least 39 minutes
# gpu        a GPU with 16 GB, as in Colab             not measured yet
# paper      the paper's own setting, as far as known  not measured yet
# `avnb check` measures the GFLOP/s of your machine, and says how long it will take.

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
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


# %% tags=["active-ipynb"]
# from avnb import course
# from avnb.viz import show

# %% tags=["active-ipynb"]
# lesson = course.start(
#     "start_here",
#     "step1_game",
#     scale=SCALE,
#     data=DATA,
#     seed=SEED,
#     run_dir=RUN_DIR,
#     overrides=OVERRIDES,
# )

# %% tags=["active-ipynb"]
# settings = lesson.settings(
#     dict(
#         #      smoke laptop reference gpu paper
#         width=(64, 64, 64, 64, 64),  # H of both networks
#         batch=(128, 128, 128, 128, 128),
#         steps=(150, 2000, 6000, 6000, 6000),  # of the discriminator alone
#         learning_rate=(5e-3, 5e-3, 5e-3, 5e-3, 5e-3),
#     ),
# )
# settings

# %% [markdown]
# ## The data: a world that we can see
#
# Real data are one of a few kinds: an instrument, a person, a word. Each kind is a
# region where points lie densely, a **mode**. Between the modes there is nothing. Our
# worlds have the same form. With M centres $c_m$ and the spread σ,
#
# $$p_r(x) = \frac1M\sum_{m=1}^{M}\mathcal N(x;\ c_m,\ \sigma^2 I).$$
#
# One world is a ring of 8 Gaussians and one is a grid of 25. Since we know the density,
# we can check what the papers can only estimate.


# %%
@dataclass(frozen=True)
class World:
    """Equally likely round Gaussians in the plane: their centres (M, 2) and spread."""

    centres: Tensor
    spread: float

    def sample(self, *shape: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw points (*shape, 2)."""
        which = torch.randint(len(self.centres), shape, generator=generator)
        return self.sample_modes(which, generator=generator)

    def sample_modes(
        self, which: Tensor, generator: torch.Generator | None = None
    ) -> Float[Tensor, "*shape 2"]:
        """Draw one point of each of these modes."""
        noise = torch.randn(*which.shape, 2, generator=generator)
        return self.centres[which] + self.spread * noise

    def log_density(self, x: Float[Tensor, "*shape 2"]) -> Float[Tensor, "*shape"]:
        """The logarithm of p_r(x)."""
        distance = (x[..., None, :] - self.centres).square().sum(-1)
        one = -distance / (2 * self.spread**2) - math.log(2 * math.pi * self.spread**2)
        return one.logsumexp(-1) - math.log(len(self.centres))


# %%
def make_ring(modes: int = 8, radius: float = 2.0, spread: float = 0.1) -> World:
    """A ring of Gaussians."""
    angles = torch.arange(modes) * (2 * math.pi / modes)
    return World(radius * torch.stack([angles.cos(), angles.sin()], 1), spread)


def make_grid(side: int = 5, spread: float = 0.05) -> World:
    """A square grid of Gaussians, between -2 and 2."""
    places = torch.linspace(-2, 2, side)
    return World(torch.cartesian_prod(places, places), spread)


# %% tags=["active-ipynb"]
# torch.manual_seed(lesson.seed)
# ring, grid = make_ring(), make_grid()
# figure, axes = show.subplots(1, 2, width=3.2, height=3.2)
# for ax, world, name in zip(axes[0], (ring, grid), ("ring", "grid"), strict=True):
#     points = world.sample(2000)
#     assert points.shape == (2000, 2)
#     ax.scatter(*points.T, s=2)
#     ax.set(title=f"{name}: {len(world.centres)} modes", aspect="equal")
# lesson.figure("worlds", figure, "Samples of the two worlds.")

# %% [markdown]
# The density must be that of the samples. The share of samples within a small disc
# around a centre should be the integral of the density over it, which for a disc of
# three σ is $(1 - e^{-9/2})/M$:

# %% tags=["active-ipynb"]
# near = (ring.sample(100_000) - ring.centres[0]).norm(dim=-1) < 3 * ring.spread
# ticks = torch.linspace(-0.3, 0.3, 121)
# square = ring.centres[0] + torch.cartesian_prod(ticks, ticks)
# inside = (square - ring.centres[0]).norm(dim=-1) < 3 * ring.spread
# integral = ring.log_density(square).exp()[inside].sum() * (ticks[1] - ticks[0]) ** 2
# print(f"share of samples       {near.float().mean():.4f}")
# print(f"integral of the density {integral:.4f}")
# print(f"closed form             {(1 - math.exp(-4.5)) / 8:.4f}")

# %% [markdown]
# ## Two networks
#
# - The **generator** G turns noise z into a point: $G(z)$, $z \sim \mathcal N(0, I)$.
#   It never sees a real point. The distribution of its points is $p_g$.
# - The **discriminator** D gets a point and gives a logit s. Its probability that the
#   point is real is $D(x) = \sigma(s)$.
#
# What happens once may be luck. So we always train **K networks at once**, which differ
# in their first weights and in their noise. A layer holds K matrices, and `baddbmm`
# multiplies all of them in one call. Nothing connects the networks with each other:
#
# `(K, B, inputs) → (K, B, H) → (K, B, H) → (K, B, outputs)`


# %%
class Linears(nn.Module):
    """K linear layers side by side: (K, B, inputs) → (K, B, outputs)."""

    def __init__(self, copies: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = inputs**-0.5  # as torch.nn.Linear begins
        weight = torch.empty(copies, inputs, outputs).uniform_(-bound, bound)
        bias = torch.empty(copies, 1, outputs).uniform_(-bound, bound)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Float[Tensor, "k b i"]) -> Float[Tensor, "k b o"]:
        """Multiply each of the K batches with its own matrix."""
        return torch.baddbmm(self.bias, x, self.weight)


# %%
def make_networks(
    copies: int, inputs: int, outputs: int, width: int = 64
) -> nn.Sequential:
    """K networks of three layers, each as small as the problem allows."""
    return nn.Sequential(
        Linears(copies, inputs, width),
        nn.LeakyReLU(0.2),
        Linears(copies, width, width),
        nn.LeakyReLU(0.2),
        Linears(copies, width, outputs),
    )


# %% tags=["active-ipynb"]
# G, D = make_networks(3, 2, 2), make_networks(3, 2, 1)
# x = G(torch.randn(3, 5, 2))
# assert x.shape == (3, 5, 2)
# assert D(x).shape == (3, 5, 1)
# # The second copy is the plain network with the second matrices.
# layers = [m for m in G if isinstance(m, Linears)]
# z = torch.randn(3, 5, 2)
# h = z[1]
# for number, layer in enumerate(layers):
#     h = h @ layer.weight[1] + layer.bias[1]
#     h = F.leaky_relu(h, 0.2) if number < 2 else h
# assert torch.allclose(G(z)[1], h, atol=1e-6)
# print(f"{sum(p.numel() for p in G.parameters()) // 3} weights in each generator")

# %% [markdown]
# ## The game
#
# D wants high probabilities for real points and low ones for generated points. G wants
# the opposite. Goodfellow et al. (2014, Eq. 1) write one value for both:
#
# $$\min_G\max_D\ V = \mathbb E_{x\sim p_r}[\log D(x)]
#   + \mathbb E_z[\log(1 - D(G(z)))].$$
#
# Both networks minimise a loss. With $\sigma$ the sigmoid,
# $-\log\sigma(s) = \mathrm{softplus}(-s)$ and
# $-\log(1-\sigma(s)) = \mathrm{softplus}(s)$, which never take the logarithm of zero.
# All losses here give one number for each of the K networks.


# %%
def discriminator_terms(
    D: Callable[[Tensor], Tensor],
    real: Float[Tensor, "k b 2"],
    fake: Float[Tensor, "k b 2"],
) -> dict[str, Float[Tensor, " k"]]:
    """The two terms of -V: of real and of generated points."""
    s_real, s_fake = D(real)[..., 0], D(fake)[..., 0]
    terms = {"real": F.softplus(-s_real), "generated": F.softplus(s_fake)}
    return {name: term.mean(-1) for name, term in terms.items()}


def discriminator_loss(
    D: Callable[[Tensor], Tensor],
    real: Float[Tensor, "k b 2"],
    fake: Float[Tensor, "k b 2"],
) -> Float[Tensor, " k"]:
    """The loss of D: -V."""
    return sum(discriminator_terms(D, real, fake).values())


# %%
def saturating_loss(
    D: Callable[[Tensor], Tensor], fake: Float[Tensor, "k b 2"]
) -> Float[Tensor, " k"]:
    """The loss of G as the game has it: log(1 - D(G(z)))."""
    return -F.softplus(D(fake)[..., 0]).mean(-1)


def non_saturating_loss(
    D: Callable[[Tensor], Tensor], fake: Float[Tensor, "k b 2"]
) -> Float[Tensor, " k"]:
    """The loss of G as it is used: -log D(G(z))."""
    return F.softplus(-D(fake)[..., 0]).mean(-1)


# %% [markdown]
# ### Why G does not use its own half of the game
#
# Both losses of G fall when s rises, so they want the same. They differ in how strongly
# they pull. The slopes are
#
# $$\frac{d}{ds}\log(1-\sigma(s)) = -\sigma(s), \qquad
#   \frac{d}{ds}\bigl(-\log\sigma(s)\bigr) = \sigma(s) - 1.$$
#
# At the beginning D recognises every generated point: s is far below zero. There the
# first slope is almost 0. The loss has **saturated**, and G learns nothing exactly when
# it is worst. The second slope is almost -1.

# %% tags=["active-ipynb", "saturating"]
# s = torch.linspace(-8, 8, 201, requires_grad=True)
# figure, axes = show.subplots(1, 2, width=3.8, height=2.9)
# pairs = {"saturating: log(1 − σ(s))": -F.softplus(s)}
# pairs |= {"non-saturating: −log σ(s)": F.softplus(-s)}
# for name, values in pairs.items():
#     (slope,) = torch.autograd.grad(values.sum(), s)
#     axes[0, 0].plot(s.detach(), values.detach(), label=name)
#     axes[0, 1].plot(s.detach(), slope)
# for ax, title in zip(axes[0], ("loss of G", "its slope"), strict=True):
#     ax.axvspan(-8, -3, color="#f2f2f2")
#     ax.set(xlabel="logit s of a generated point", title=title)
# axes[0, 1].text(-7.8, -0.5, "points that D\nrecognises", color="#666666")
# handles = axes[0, 0].get_legend_handles_labels()
# figure.legend(*handles, loc="outside lower center")
# lesson.figure("saturating", figure, "The two losses of G, and their slopes.")

# %% [markdown]
# ## The best discriminator
#
# Let G stand still. At each point x, D can choose its probability freely, and V weighs
# the two logarithms with the two densities. The derivative is zero at
#
# $$D^*(x) = \frac{p_r(x)}{p_r(x) + p_g(x)}, \qquad
#   s^*(x) = \log p_r(x) - \log p_g(x).$$
#
# So the best logit is the **difference of the log-densities**. D learns to estimate a
# ratio of densities, and G follows its gradient to where real points are denser than
# its own. With $D^*$ the game's value is $V = 2\,\mathrm{JSD}(p_r, p_g) - \log 4$,
# where JSD is the Jensen-Shannon divergence, which is 0 if and only if $p_g = p_r$.


# %%
def optimal_logit(real: World, fake: World, x: Tensor) -> Tensor:
    """The logit of D*, for two worlds whose densities we know."""
    return real.log_density(x) - fake.log_density(x)


# %% [markdown]
# We can check this. The generator is replaced by one broad Gaussian, whose density we
# know. K discriminators learn to tell it from the ring, and we compare them with the
# closed form:

# %% tags=["active-ipynb"]
# torch.manual_seed(lesson.seed)
# blob = World(torch.zeros(1, 2), 1.5)
# D = make_networks(3, 2, 1, settings.width)
# optimizer = torch.optim.Adam(D.parameters(), settings.learning_rate)
# # The rate falls to 0 in a straight line, so that D comes to rest at the end.
# rate = torch.optim.lr_scheduler.PolynomialLR(optimizer, settings.steps)
# held_out = [world.sample(1, 4000).expand(3, -1, -1) for world in (ring, blob)]
# values = []
# for step in range(settings.steps + 1):
#     if step % (settings.steps // 10) == 0:
#         with torch.no_grad():
#             values.append((step, *discriminator_loss(D, *held_out).tolist()))
#     real, fake = (w.sample(3, settings.batch) for w in (ring, blob))
#     loss = discriminator_loss(D, real, fake)
#     optimizer.zero_grad()
#     loss.sum().backward()
#     optimizer.step()
#     rate.step()

# %% tags=["active-ipynb", "optimal-value"]
# def best(x):
#     """D*, in the form of a network."""
#     return optimal_logit(ring, blob, x)[..., None]
#
#
# least = discriminator_loss(best, *held_out)[0].item()
# at, *losses_of_d = zip(*values, strict=True)
# history = {f"D number {k + 1}": (at, v) for k, v in enumerate(losses_of_d)}
# lines = {"log 4: D knows nothing": math.log(4), "D*, closed form": least}
# figure = show.curves(history, lines=lines, y="loss of D on held-out points")
# lesson.figure("loss_of_d", figure, "The loss of D falls towards that of D*.")
# lesson.record("loss of D*", least)
# lesson.record_training(
#     "discriminator",
#     epochs=None,  # every batch is drawn anew: no point comes twice
#     steps=settings.steps,
#     held_out=[(step, sum(losses) / 3) for step, *losses in values],
#     better="lower",
#     unit="loss of D, mean of three copies",
# )

# %% tags=["active-ipynb", "optimal"]
# ticks = torch.linspace(-3, 3, 121)
# plane = torch.cartesian_prod(ticks, ticks)
# with torch.no_grad():
#     learned = D(plane.expand(3, -1, -1))[0, :, 0].sigmoid()
# closed = optimal_logit(ring, blob, plane).sigmoid()
# figure, axes = show.subplots(1, 2, width=3.2, height=2.9)
# for ax, field, name in zip(
#     axes[0], (closed, learned), ("D*, closed form", "D, trained"), strict=True
# ):
#     picture = field.view(121, 121).T
#     extent = (-3, 3, -3, 3)
#     style = {"origin": "lower", "extent": extent, "cmap": "Blues"}
#     drawn = ax.imshow(picture, vmin=0, vmax=1, **style)
#     ax.set_title(name)
#     ax.grid(False)
# figure.colorbar(drawn, ax=axes, label="probability of “real”")
# caption = "The best discriminator between the ring and one broad Gaussian."
# lesson.figure("best_discriminator", figure, caption)

# %% [markdown]
# A picture can look right and be wrong. So here is the distance in numbers, averaged
# over the points that occur (half of them real, half generated), beside a
# discriminator that knows nothing:

# %% tags=["active-ipynb", "optimal-error"]
# with torch.no_grad():
#     x = torch.cat([world.sample(2000) for world in (ring, blob)])
#     right = optimal_logit(ring, blob, x).sigmoid()
#     guesses = D(x.expand(3, -1, -1))[..., 0].sigmoid()
#     errors = (guesses - right).abs().mean(-1)
# rows = [{"discriminator": "trained, mean of 3", "error": errors.mean().item()}]
# rows += [{"discriminator": "always 1/2", "error": (right - 0.5).abs().mean().item()}]
# caption = "Mean distance of the probability from that of D*"
# lesson.table("optimal", rows, caption)

# %% [markdown]
# ## What came out

# %% tags=["active-ipynb"]
# trained, nothing = (row["error"] for row in rows)
# last = sum(v[-1] for v in losses_of_d) / 3
# print(
#     f"After {settings.steps} steps the loss of D is {last:.3f}. The best loss is\n"
#     f"{least:.3f}, and a D that knows nothing has log 4 = {math.log(4):.3f}.\n"
#     f"The probabilities of D are {trained:.3f} away from those of D*, on average.\n"
#     f"A D that always says 1/2 is {nothing:.3f} away.\n"
#     f"The JSD of blob and ring is {(math.log(4) - least) / 2:.3f} nats.\n"
#     f"At most it could be log 2 = {math.log(2):.3f}."
# )

# %% [markdown]
# A trained D estimates the ratio of two densities well where points occur, and the more
# so the longer it is trained. In a real training G moves on while D learns. Whether D
# keeps up decides everything in step 4.
#
# **Read on:** Goodfellow et al. 2014, *Generative Adversarial Nets*, Sec. 3 and 4.
#
# ## Exercises
#
# 1. Write the non-saturating loss from the logits, finite for logits of ±1000.
# 2. Write the best discriminator from the two densities.

# %% tags=["active-ipynb"]
# from avnb_notebooks.start_here import exercises
#
#
# def compute_g_loss(logits):
#     """The non-saturating loss of G, one number, from its points' logits (B,)."""
#     ...  # your code
#
#
# course.try_exercise(exercises.G_LOSS, compute_g_loss)

# %% tags=["active-ipynb"]
# def find_best_discriminator(log_real, log_fake):
#     """The probabilities D*(x) (B,) from the log-densities (B,) of both worlds."""
#     ...  # your code
#
#
# course.try_exercise(exercises.BEST_DISCRIMINATOR, find_best_discriminator)
# lesson.finish()
