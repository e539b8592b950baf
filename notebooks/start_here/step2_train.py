# %% [markdown]
# # Step 2 · Train it, watch it, count what it makes
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/start_here/step2_train.ipynb)
#
# Step 1 has the networks and their losses. Now both learn, in turns, while we watch.
# A loss does not say how good a GAN is, because it depends on both networks. So we also
# need a number for the points themselves.
#
# **You will learn**
#
# 1. the training loop: two updates, and which gradient each of them must not take,
# 2. how to count modes and how to measure quality, and which cheaters such numbers
#    would reward,
# 3. what samples of fixed noise, the field of D and the curves look like in a healthy
#    run,
# 4. what the average of the generator's weights (EMA) can do, and what it cannot.
#
# **Time.** About 20 minutes to read. The cells run in half a minute.
#
# **Before you start.** Read step 1.
#
# **Letters.** K networks side by side · B points of a batch · M modes · x a point (2) ·
# z noise (2) · n points that are judged.

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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from avnb_notebooks.start_here.step1_game import (
    World,
    discriminator_terms,
    make_networks,
    non_saturating_loss,
)
from jaxtyping import Float
from torch import Tensor, nn

from avnb import training
from avnb.viz import show


# %% tags=["active-ipynb"]
# import math
#
# from avnb_notebooks.start_here.step1_game import make_ring
#
# from avnb import course

# %% tags=["active-ipynb"]
# lesson = course.start(
#     "start_here",
#     "step2_train",
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
#         steps=(300, 1500, 6000, 6000, 6000),  # updates of G
#         batch=(128, 128, 128, 128, 128),
#         look=(50, 100, 400, 400, 400),  # steps between two looks at the points
#         judged=(2000, 2000, 5000, 5000, 5000),  # points of a copy that are judged
#     ),
# )
# settings

# %% [markdown]
# ## Count modes and measure quality
#
# A generator can fail in two ways. Its points may lie where no real points are, or it
# may leave out modes. So we need two numbers (Metz et al. 2017 count in the same way):
#
# - **Quality:** the share of points within three σ of a centre. Of real points,
#   $1 - e^{-9/2} = 98.9\,\%$ are.
# - **Modes hit:** how many modes get good points. A mode counts as hit when it gets at
#   least a tenth of the share that it has in the world, $0.1/M$.
#
# We also need how **evenly** the good points are spread over the modes: the entropy of
# their shares, divided by $\log M$. It is 1 where all modes are equally likely.


# %%
@dataclass(frozen=True)
class Coverage:
    """What n points say of a generator.

    `modes` is how many modes are hit, `quality` the share of points within three σ of
    a centre, and `evenness` the entropy of the modes' shares over its maximum.
    """

    modes: int
    quality: float
    evenness: float


def measure_coverage(points: Float[Tensor, "n 2"], world: World) -> Coverage:
    """Count the modes that the points hit, and measure their quality."""
    distance, mode = torch.cdist(points, world.centres).min(dim=1)
    good = mode[distance < 3 * world.spread]
    counts = torch.bincount(good, minlength=len(world.centres)).double()
    hit = counts >= 0.1 * len(points) / len(world.centres)
    shares = counts[counts > 0] / max(len(good), 1)
    entropy = -(shares * shares.log()).sum() / np.log(len(world.centres))
    return Coverage(int(hit.sum()), len(good) / len(points), abs(float(entropy)))


# %% [markdown]
# Before a number is used, ask who could win it by cheating. Here are three cheaters
# and real points. The **copier** has 40 training points and repeats them with a little
# noise. The **single mode** makes perfect points of one kind. The **blob** covers the
# plane. The last column is the share of points that lie within 0.01 of one of the 40
# training points. It alone catches the copier.

# %% tags=["active-ipynb", "cheaters"]
# torch.manual_seed(lesson.seed)
# ring, n = make_ring(), settings.judged
# known = ring.sample(40)
# cheats = {
#     "real points": ring.sample(n),
#     "copier of 40 points": known[torch.arange(n) % 40] + 0.003 * torch.randn(n, 2),
#     "single mode": ring.sample_modes(torch.zeros(n, dtype=torch.long)),
#     "one broad blob": 1.5 * torch.randn(n, 2),
# }
# rows = []
# for name, points in cheats.items():
#     found = measure_coverage(points, ring)
#     copied = (torch.cdist(points, known).min(dim=1).values < 0.01).float().mean()
#     row = {"points": name, "modes of 8": found.modes, "quality": found.quality}
#     rows.append(row | {"evenness": found.evenness, "copied": copied.item()})
# caption = "Who wins which number"
# lesson.table("cheaters", rows, caption)

# %% [markdown]
# ## One step
#
# A step has two updates.
#
# 1. **D** gets real and generated points, and lowers its loss. The generated points are
#    made without a graph: this update must not move G.
# 2. **G** makes new points, and its loss goes back **through** D to G. D's weights get
#    no update here.
#
# A recipe says which losses, which learning rates and how many updates of D a training
# has. Step 4 changes nothing but the recipe. `run.step` sets the gradients to zero,
# goes backward and updates the weights of one optimiser. The sum over the K networks
# is right: each loss depends on its own network alone, so each gets its own gradient.


# %%
@dataclass(frozen=True)
class Recipe:
    """How a GAN is trained.

    `d_steps` updates of D come before each update of G; `rate_d` and `rate_g` are the
    learning rates of Adam, and `momentum` is its first β. `terms_d` gives the terms
    whose sum D minimises, by name.
    """

    rate_d: float = 1e-3
    rate_g: float = 1e-3
    d_steps: int = 1
    terms_d: Callable[..., dict] = discriminator_terms
    loss_g: Callable[..., Tensor] = non_saturating_loss
    momentum: float = 0.5
    critic: bool = False  # whether D gives a height (step 3) and no probability


# %%
def update_discriminator(
    run: training.Run, G, D, opt_d, real: Tensor, z: Tensor, terms_of: Callable
) -> Tensor:
    """Make one step of each D on real points and on points made from z."""
    with torch.no_grad():
        fake = G(z)
    loss = sum(terms_of(D, real, fake).values())
    run.step(opt_d, loss.sum())
    return loss.detach().mean()


def update_generator(
    run: training.Run, G, D, opt_g, z: Tensor, loss_of: Callable
) -> Tensor:
    """Make one step of each G, whose gradient comes through its D."""
    loss = loss_of(D, G(z))
    run.step(opt_g, loss.sum())
    return loss.detach().mean()


# %% [markdown]
# ## The loop
#
# The noise of some points is drawn once and never changes, so that we can follow the
# same points through the training. At regular distances the loop looks at the points,
# and shows copy 0 with the field of its D in the live panel.


# %%
@dataclass
class Trained:
    """What a training leaves: the networks, and what was seen on the way.

    `film` holds (step, points (K, n, 2)) of fixed noise, and `looks` one dict for each
    look: step, name → one number for each of the K copies.
    """

    G: nn.Module
    D: nn.Module
    ema: nn.Module
    film: list[tuple[int, Tensor]]
    looks: list[dict[str, Any]]


def prepare_networks(run: training.Run, recipe: Recipe, copies: int) -> tuple:
    """Make K generators and discriminators, the average of G, and two optimisers."""
    G, D = make_networks(copies, 2, 2), make_networks(copies, 2, 1)
    betas = (recipe.momentum, 0.999)
    opt_g = torch.optim.Adam(G.parameters(), recipe.rate_g, betas=betas)
    opt_d = torch.optim.Adam(D.parameters(), recipe.rate_d, betas=betas)
    ema = training.EMA(G, decay=0.99)
    return run.prepare(G=G, D=D, ema=ema, opt_g=opt_g, opt_d=opt_d)


# %%
@dataclass(frozen=True)
class Budget:
    """How long a GAN is trained, and how often we look.

    `steps` updates of G with batches of `batch` points; every `look` steps a look at
    `judged` points of each copy.
    """

    steps: int
    batch: int
    look: int
    judged: int


# %%
def train_gan(
    run: training.Run, world: World, recipe: Recipe, budget: Budget, copies: int = 3
) -> Trained:
    """Train K GANs side by side."""
    G, D, ema, opt_g, opt_d = prepare_networks(run, recipe, copies)

    def draw(count: int) -> Tensor:
        return torch.randn(copies, count, 2, generator=run.generator)

    fixed, trained = draw(budget.judged), Trained(G, D, ema.module, [], [])
    trained.film.append((0, G(fixed).detach()))
    for step in run.steps(budget.steps, save_every=None, sample_every=budget.look):
        for _ in range(recipe.d_steps):
            real = world.sample(copies, budget.batch, generator=run.generator)
            z = draw(budget.batch)
            loss_d = update_discriminator(run, G, D, opt_d, real, z, recipe.terms_d)
        z = draw(budget.batch)
        loss_g = update_generator(run, G, D, opt_g, z, recipe.loss_g)
        ema.update_parameters(G)
        run.log(**{"loss of D": loss_d, "loss of G": loss_g})
        if step.is_due():
            look_at_points(run, trained, world, recipe, fixed, step.number + 1)
    run.require_finished()
    return trained


# %%
def start_run(lesson: Any, name: str) -> training.Run:
    """A run of seconds: it begins anew each time, and nothing needs to go on."""
    folder = lesson.run_dir / name
    return training.Run(folder, seed=lesson.seed, precision="float32", fresh=True)


# %% [markdown]
# ### What a look measures
#
# - the **scores**: the mean of $D(x)$ over real and over generated points,
# - the modes and the quality, of G and of its average (EMA),
# - three **gradients**. The loss of D has a real and a generated term (and, from step 3
#   on, a penalty): how strongly does each pull at the weights of D? And how strongly
#   does D pull at a generated point?


# %%
def measure_pull(
    D: Callable, fake: Float[Tensor, "k n 2"], loss_g: Callable
) -> Float[Tensor, " k"]:
    """How strongly the loss of G pulls at one of its points, on average."""
    fake = fake.detach().requires_grad_()
    (slope,) = torch.autograd.grad(loss_g(D, fake).sum(), fake)
    # The loss is a mean: each point has only its share of the gradient.
    return slope.norm(dim=-1).mean(-1) * fake.shape[1]


def measure_gradient(D: nn.Module, term: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """The norm of the gradient of one term at the weights of each of the K networks."""
    slopes = torch.autograd.grad(term.sum(), list(D.parameters()), allow_unused=True)
    squares = [s.square().flatten(1).sum(1) for s in slopes if s is not None]
    return torch.stack(squares).sum(0).sqrt()


# %%
def measure_copies(
    D: nn.Module, real: Tensor, fake: Tensor, recipe: Recipe
) -> dict[str, Float[Tensor, " k"]]:
    """Measure scores, gradients and the pull, one number for each copy."""
    with torch.no_grad():
        s_real, s_fake = D(real)[..., 0], D(fake)[..., 0]
    seen = {"real": s_real.mean(1), "generated": s_fake.mean(1)}
    seen |= {"S_r": s_real.sigmoid().mean(1), "S_f": s_fake.sigmoid().mean(1)}
    for name, term in recipe.terms_d(D, real, fake).items():
        seen[f"gradient, {name}"] = measure_gradient(D, term)
    return seen | {"pull": measure_pull(D, fake, recipe.loss_g)}


# %%
def look_at_points(run, trained: Trained, world, recipe, fixed, step: int) -> None:
    """Measure all copies; show the points of copy 0 and the field of its D."""
    with torch.no_grad():
        points, averaged = trained.G(fixed), trained.ema(fixed)
    real = world.sample(*points.shape[:2], generator=run.generator)
    seen = {"step": step} | measure_copies(trained.D, real, points, recipe)
    for name, made in (("", points), ("EMA ", averaged)):
        found = [measure_coverage(copy, world) for copy in made]
        seen[f"{name}modes"] = torch.tensor([float(one.modes) for one in found])
        seen[f"{name}quality"] = torch.tensor([one.quality for one in found])
    trained.film.append((step, points))
    trained.looks.append(seen)
    run.log(modes=seen["modes"].mean(), quality=seen["quality"].mean())
    scene = draw_scene(world, points[0], trained.D, f"step {step}", recipe.critic)
    run.log_sample(scene)


# %% [markdown]
# The picture of a look: real points in grey, generated points in orange, and behind
# them what D thinks of each place. The arrows show where D sends a generated point.


# %%
def draw_scene(
    world: World, points: Tensor, D: nn.Module, title: str, critic: bool = False
) -> show.Plot:
    """Draw the points (n, 2) of copy 0 on the field of its D (or critic)."""
    figure, axes = show.subplots(width=4.4, height=3.7)
    draw_field(axes[0, 0], figure, D, scores=critic)
    draw_points(axes[0, 0], world, points, title)
    return figure


def draw_points(ax: Any, world: World, points: Tensor, title: str) -> None:
    """Draw real points in grey and generated points (n, 2) in orange."""
    outside = (points.abs() > 3).any(dim=1).float().mean().item()
    if outside > 0.1:  # or an empty picture would look like a fault
        title += f"\n({100 * outside:.0f} % outside)"
    fixed = torch.Generator().manual_seed(0)
    real = world.sample(500, generator=fixed)
    ax.scatter(*real.T, s=3, color="#999999", label="real", zorder=2)
    ax.scatter(*points[:500].T, s=3, color="#D55E00", label="generated", zorder=3)
    limits = {"xlim": (-3, 3), "ylim": (-3, 3)}
    ax.set(title=title, aspect="equal", xticks=[-2, 0, 2], yticks=[-2, 0, 2], **limits)


# %%
def draw_field(ax: Any, figure: Any, D: nn.Module, scores: bool = False) -> None:
    """Draw what D thinks of each place, and the direction in which it rises.

    The colour is the probability of "real", or with `scores` the score itself.
    """
    copies = next(D.parameters()).shape[0]
    ticks = torch.linspace(-3, 3, 61)
    plane = torch.cartesian_prod(ticks, ticks).expand(copies, -1, -1)
    plane = plane.clone().requires_grad_()
    logit = D(plane)[0, :, 0]
    (slope,) = torch.autograd.grad(logit.sum(), plane)
    field = (logit if scores else logit.sigmoid()).detach().view(61, 61).T
    limits = {} if scores else {"vmin": 0, "vmax": 1}
    extent = (-3, 3, -3, 3)
    style = {"cmap": "Blues", "origin": "lower", "extent": extent, "alpha": 0.7}
    image = ax.imshow(field, **style, **limits)
    ax.grid(False)
    # Directions alone: the lengths differ by orders of magnitude.
    arrows = nn.functional.normalize(slope[0], dim=-1).view(61, 61, 2)[4::6, 4::6]
    places = ticks[4::6]
    u, v = arrows[..., 0].T, arrows[..., 1].T
    ax.quiver(places, places, u, v, color="#555555", width=0.003, scale=25)
    figure.colorbar(image, ax=ax, label="score" if scores else "D: probability of real")


# %% [markdown]
# Three GANs at once, each with its own weights and noise. Both networks have the same
# learning rate:

# %% tags=["active-ipynb"]
# budget = Budget(settings.steps, settings.batch, settings.look, settings.judged)
# trained = train_gan(start_run(lesson, "toy_ring"), ring, Recipe(), budget)

# %% [markdown]
# ## The same noise through the training
#
# Every picture shows the points of the **same** noise, so that you can follow them.
# First they are one heap. Then the heap is pulled apart, and it moves onto the ring.


# %%
def draw_film(world: World, film: list, columns: int = 5) -> show.Plot:
    """Draw copy 0 of a film at a few steps, evenly chosen."""
    chosen = np.linspace(0, len(film) - 1, min(columns, len(film))).round()
    figure, axes = show.subplots(1, len(chosen), width=2.1, height=2.5)
    for ax, number in zip(axes[0], chosen, strict=True):
        step, points = film[int(number)]
        draw_points(ax, world, points[0], f"step {step}")
    axes[0, 0].legend(markerscale=3, fontsize=7, loc="center")
    return figure


# %% tags=["active-ipynb", "film"]
# caption = "Generated from fixed noise through the training (copy 0)."
# lesson.figure("film", draw_film(ring, trained.film), caption)

# %% tags=["active-ipynb", "scene"]
# last, points = trained.film[-1]
# figure = draw_scene(ring, points[0], trained.D, f"step {last}")
# lesson.figure("scene", figure, "The field of D and the points at the end (copy 0).")

# %% [markdown]
# ## The curves of a healthy run
#
# If G were perfect, D could do no better than 1/2 everywhere. Its loss would be
# $\log 4 \approx 1.386$, and that of G $\log 2 \approx 0.693$. A healthy run comes near
# these values from the winning side of D and stays there. The losses do not fall to
# zero. A loss of D near zero means that G has lost.


# %%
def draw_looks(
    runs: dict[str, list[dict[str, Any]]], panels: dict[str, dict[str, float]]
) -> show.Plot:
    """Draw a row for each run, and a panel for each title, on common axes.

    A panel is title → {name of a number: height of a dashed line, or nan}.
    """
    figure, axes = show.subplots(len(runs), len(panels), width=3.1, height=2.5)
    for row, (run, looks) in zip(axes, runs.items(), strict=True):
        row[0].set_ylabel(run)
        for ax, names in zip(row, panels.values(), strict=True):
            for number, (name, line) in enumerate(names.items()):
                draw_curve(ax, looks, name, line, number)
            ax.legend(fontsize=7)
            ax.set_xlabel("step of G")
    for column, title in zip(axes.T, panels, strict=True):
        column[0].set_title(title)
        ends = [ax.get_ylim() for ax in column]
        for ax in column:
            ax.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))
    return figure


# %%
def draw_curve(ax: Any, looks: list, name: str, line: float, number: int) -> None:
    """Draw the mean and the range of the copies, and what a perfect G would have."""
    steps = [seen["step"] for seen in looks]
    values = torch.stack([seen[name] for seen in looks]).numpy()
    colour = show.COLOURS[number]
    # Later lines are thinner, so that they do not hide those below.
    ax.plot(steps, values.mean(1), color=colour, label=name, linewidth=3 - number)
    spread = {"color": colour, "alpha": 0.2, "linewidth": 0}
    ax.fill_between(steps, values.min(1), values.max(1), **spread)
    if np.isfinite(line):
        ax.axhline(line, color=colour, linestyle="--", linewidth=1)


# %% tags=["active-ipynb", "healthy"]
# nan = math.nan
# panels = {
#     "probability of “real”": {"S_r": 0.5, "S_f": nan},
#     "modes hit, of 8": {"modes": 8},
#     "quality": {"quality": nan, "EMA quality": 1 - math.exp(-4.5)},
#     "pull at a point": {"pull": nan},
# }
# figure = draw_looks({"same rates": trained.looks}, panels)
# figure.axes[0].set_ylim(0, 1)
# caption = "A healthy run: mean and range of three copies. Dashed: a perfect G."
# lesson.figure("healthy", figure, caption)

# %% [markdown]
# ## The average of the weights
#
# In a game nobody walks downhill for long, because the other side moves the hill. The
# smallest game shows it: $V(x, y) = xy$, where x goes down and y goes up, in turns. The
# best answer is (0, 0), and they never get there. They circle around it. The
# **exponential moving average** of their places,
#
# $$\bar\theta \leftarrow d\,\bar\theta + (1-d)\,\theta,$$
#
# comes near the middle of the circle:

# %% tags=["active-ipynb", "circle"]
# x, y = 1.0, 0.0
# mean, places, means = np.array([x, y]), [], []
# for _ in range(600):
#     x -= 0.1 * y  # the gradient of xy in x is y, and x minimises
#     y += 0.1 * x  # y maximises
#     mean = 0.99 * mean + 0.01 * np.array([x, y])
#     places.append((x, y))
#     means.append(mean)
# figure, axes = show.subplots(width=3.6, height=3.4)
# axes[0, 0].plot(*np.transpose(places), label="x, y")
# axes[0, 0].plot(*np.transpose(means), label="their average")
# axes[0, 0].set(xlabel="x", ylabel="y", aspect="equal", ylim=(-1.2, 1.6))
# axes[0, 0].legend(loc="upper left", ncols=2)
# lesson.figure("circle", figure, "The game xy: the players circle around (0, 0).")
# far, near = (float(np.linalg.norm(place)) for place in (places[-1], means[-1]))
# print(f"distance from (0, 0) in the end: {far:.2f}, of the average {near:.2f}")

# %% [markdown]
# `training.EMA` keeps such an average beside G, at no other cost than memory. It helps
# where G circles. Where G still makes progress, an average is an average of the past:
# it is late. The curve above and the table below compare both on the same noise.

# %% tags=["active-ipynb", "ema"]
# seen = trained.looks[-1]
# rows = [
#     {
#         "weights": name,
#         "modes of 8": seen[f"{key}modes"].mean().item(),
#         "quality": seen[f"{key}quality"].mean().item(),
#         "lowest quality of three": seen[f"{key}quality"].min().item(),
#     }
#     for name, key in (("of the last step", ""), ("their average", "EMA "))
# ]
# perfect = measure_coverage(ring.sample(settings.judged), ring)
# real = {"modes of 8": perfect.modes, "quality": perfect.quality}
# rows.append({"weights": "(real points)"} | real)
# caption = f"Three copies after {settings.steps} steps, means"
# lesson.table("ring", rows, caption)

# %% [markdown]
# ## What came out

# %% tags=["active-ipynb"]
# plain, average, _ = rows
# better = average["quality"] - plain["quality"]
# print(
#     f"The generators hit {plain['modes of 8']:.1f} of 8 modes on average, and "
#     f"{100 * plain['quality']:.0f} % of their\npoints are good. Averaged weights "
#     f"change this by {100 * better:+.0f} points.\nD gives real points "
#     f"{seen['S_r'].mean():.2f} and generated points {seen['S_f'].mean():.2f}; "
#     "a perfect G would make both 0.5."
# )

# %% [markdown]
# Whether averaging pays here is the last of these numbers. While the quality still
# rises, do not expect much of it.
#
# The loss alone would not have told us any of this. Look at the points, count what is
# missing, and ask of each number who could win it by cheating.
#
# **Read on:** Metz et al. 2017, *Unrolled GANs* (the ring, and how to count);
# Yazıcı et al. 2019, *The Unusual Effectiveness of Averaging in GAN Training*.
#
# ## Exercises
#
# 1. Write the number of modes that are hit.
# 2. Write one update of the discriminator.

# %% tags=["active-ipynb"]
# from avnb_notebooks.start_here import exercises
#
#
# def count_modes(points, centres, reach, least):
#     """How many of the centres (M, 2) have at least `least` points within `reach`.
#
#     A point (of points (n, 2)) counts for its nearest centre alone.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.COUNT_MODES, count_modes)

# %% tags=["active-ipynb"]
# def take_step(G, D, optimizer, real, z):
#     """Make one update of D (its optimizer is given), and return its loss before it.
#
#     D gives logits (B, 1). The loss is -V of step 1. G must not change, and no
#     gradient may be left in G.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.TAKE_STEP, take_step)
# lesson.finish()
