# %% [markdown]
# # Step 3 · Another game: the Wasserstein distance and a critic
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/start_here/step3_wasserstein.ipynb)
#
# The game of steps 1 and 2 compares densities at one point at a time. If the generated
# points lie where no real points are, the best discriminator is simply certain, however
# near or far they are. The **Wasserstein distance** also says how far. A network that
# estimates it is a **critic**, and its slope must be bounded.
#
# **You will learn**
#
# 1. what the Wasserstein distance is, and how it is computed on a line,
# 2. what its dual form is, and what 1-Lipschitz means,
# 3. how the gradient penalty keeps the slope near 1, and what it leaves over,
# 4. how a Wasserstein GAN learns a grid of 25, why its critic gets more updates, and
#    when the curve of its loss is a distance.
#
# **Time.** About 20 minutes to read. The cells run in half a minute.
#
# **Before you start.** Read steps 1 and 2.
#
# **Letters.** K networks side by side · B points of a batch · x a point (2) · λ the
# weight of the penalty · ε a random share.

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

import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from avnb import losses


# %% tags=["active-ipynb"]
# import numpy as np
# from avnb_notebooks.start_here.step1_game import (
#     World,
#     make_grid,
#     make_networks,
#     make_ring,
# )
# from avnb_notebooks.start_here.step2_train import (
#     Budget,
#     Recipe,
#     draw_film,
#     draw_looks,
#     draw_scene,
#     start_run,
#     train_gan,
# )
# from scipy.special import xlogy
# from scipy.stats import norm
#
# from avnb import course
# from avnb.viz import show

# %% tags=["active-ipynb"]
# lesson = course.start(
#     "start_here",
#     "step3_wasserstein",
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
#         critic_steps=(100, 400, 1500, 1500, 1500),  # of the critics alone
#         steps=(60, 700, 4000, 4000, 4000),  # updates of G on the grid
#         d_steps=(2, 3, 5, 5, 5),  # updates of the critic for each of G
#         batch=(128, 256, 256, 256, 256),
#         look=(20, 70, 400, 400, 400),  # steps between two looks at the points
#         judged=(2000, 2000, 5000, 5000, 5000),  # points of a copy that are judged
#         penalty=(1.0, 1.0, 1.0, 1.0, 1.0),  # λ
#     ),
# )
# settings

# %% [markdown]
# ## Why the first game gives no direction
#
# Put all real points near 0 and all generated points near d. The value of the best
# discriminator is $2\,\mathrm{JSD} - \log 4$ (step 1). Once the two heaps no longer
# overlap, the JSD is $\log 2$, **whatever d is**. A generator at d = 3 and one at d = 2
# are told the same. The Wasserstein distance of the heaps is d (Arjovsky et al. 2017,
# Example 1).

# %% tags=["active-ipynb", "far"]
# line = np.linspace(-3, 7, 20001)
# distances = np.linspace(0, 4, 41)
# p = norm.pdf(line, 0, 0.2)
# jsd = []
# for d in distances:
#     q = norm.pdf(line, d, 0.2)
#     m = (p + q) / 2
#     # xlogy: 0 log 0 is 0
#     parts = [xlogy(a, a / np.maximum(m, 1e-300)) for a in (p, q)]
#     jsd.append(sum(np.trapezoid(part, line) for part in parts) / 2)
# history = {"Wasserstein distance": (distances, distances)}
# history |= {"Jensen-Shannon divergence": (distances, np.array(jsd))}
# figure = show.curves(history, x="d: distance of two heaps of width 0.2", y="distance")
# lesson.figure("far", figure, "What each distance says of two heaps that move apart.")
# assert abs(jsd[-1] - np.log(2)) < 1e-6

# %% [markdown]
# ## Earth that has to be moved
#
# Think of one distribution as a heap of earth that must be given the shape of the
# other. The **Wasserstein distance** is the least mean way that the earth must travel:
#
# $$W(p_r, p_g) = \min_{\gamma}\ \mathbb E_{(x, y)\sim\gamma}\lVert x - y\rVert,$$
#
# where γ says how much goes from where to where, and has the two distributions as its
# margins. On a line the best plan is simple: nobody overtakes. The smallest value goes
# to the smallest, the second to the second. So W is the area between the two
# distribution functions.


# %%
def wasserstein_on_a_line(
    a: Float[Tensor, " n"], b: Float[Tensor, " n"]
) -> Float[Tensor, ""]:
    """The Wasserstein distance of two sets of numbers: sort both, and pair them."""
    return (a.sort().values - b.sort().values).abs().mean()


# %% tags=["active-ipynb", "line"]
# torch.manual_seed(lesson.seed)
# real = torch.cat([0.3 * torch.randn(500) - 1, 0.3 * torch.randn(500) + 2])
# fake = 0.5 * torch.randn(1000)
# distance = wasserstein_on_a_line(real, fake)
# grid_line = np.linspace(-2.5, 3.5, 601)
# F_r, F_g = (np.searchsorted(np.sort(x), grid_line) / 1000 for x in (real, fake))
# area = np.trapezoid(np.abs(F_r - F_g), grid_line)
# figure, axes = show.subplots(1, 2, width=4.0, height=2.8)
# axes[0, 0].hist([real, fake], bins=40, label=["real", "generated"])
# axes[0, 1].plot(grid_line, F_r, label="real")
# axes[0, 1].plot(grid_line, F_g, label="generated")
# between = {"color": "#dddddd", "label": f"area {area:.2f}"}
# axes[0, 1].fill_between(grid_line, F_r, F_g, **between)
# axes[0, 0].set(title="two heaps", xlabel="x", ylabel="points")
# axes[0, 1].set(title="their distribution functions", xlabel="x", ylabel="F(x)")
# for ax in axes[0]:
#     ax.legend()
# lesson.figure("line", figure, "W on a line is the area between the two functions.")
# assert abs(area - distance) < 0.01
# print(f"sorted pairs {distance:.3f}, area {area:.3f}")

# %% [markdown]
# ## The dual form, and what 1-Lipschitz means
#
# In the plane nobody can sort. Kantorovich and Rubinstein found another form, which a
# network can search for:
#
# $$W(p_r, p_g) = \max_{\lVert f\rVert_L\le 1}\
#   \mathbb E_{x\sim p_r}[f(x)] - \mathbb E_{y\sim p_g}[f(y)].$$
#
# Give each place a height $f(x)$, high where real points are and low where generated
# ones are, and compare the mean heights. Without a rule the heights could differ by as
# much as you like. The rule is that f must be **1-Lipschitz**:
# $|f(x) - f(y)| \le \lVert x - y\rVert$. In words: **no slope is steeper than 1.** Then
# earth that travels a way of 1 can gain a height of 1 at most, so the difference of
# heights can never exceed the way.
#
# On a line we know the best f: it has slope +1 where more generated than real earth
# lies to the left, and slope -1 where it is the other way round.

# %% tags=["active-ipynb", "dual"]
# spacing = grid_line[1] - grid_line[0]
# best = np.cumsum(np.sign(F_g - F_r)) * spacing
# heights = {
#     "best: slopes ±1": best,
#     "too flat: slopes ±1/2": best / 2,
#     "allowed, but wrong: x": grid_line,
#     "forbidden: slopes ±3": 3 * best,
# }
# figure, axes = show.subplots(width=6, height=3.2)
# rows = []
# for name, f in heights.items():
#     axes[0, 0].plot(grid_line, f - np.interp(0.0, grid_line, f), label=name)
#     at_real, at_fake = (np.interp(x, grid_line, f).mean() for x in (real, fake))
#     steepest = np.abs(np.diff(f)).max() / spacing
#     row = {"f": name, "steepest slope": steepest}
#     rows.append(row | {"mean height, real − generated": at_real - at_fake})
# axes[0, 0].set(xlabel="x", ylabel="height f(x)", ylim=(-4, 4))
# axes[0, 0].legend(loc="lower right", fontsize=8)
# lesson.figure("dual", figure, "Four heights for the two heaps above.")
# assert abs(rows[0]["mean height, real − generated"] - distance) < 0.02

# %% tags=["active-ipynb"]
# caption = f"Only a slope of at most 1 may count. The true W is {distance:.3f}"
# lesson.table("dual", rows, caption)

# %% [markdown]
# The best height reaches W, and no allowed height exceeds it. A height with slopes of 3
# "measures" three times as much. This is why a critic without a bound on its slope
# measures nothing.
#
# ## A network as the height: the critic and its penalty
#
# The critic D is a network without a sigmoid. It minimises the negative difference of
# heights. Gulrajani et al. (2017) add a **gradient penalty**: at random points between
# a real and a generated one, the slope shall be 1.
#
# $$L_D = \mathbb E[D(G(z))] - \mathbb E[D(x)]
#   + \lambda\,\mathbb E\bigl[(\lVert\nabla D(\hat x)\rVert_2 - 1)^2\bigr],\qquad
#   \hat x = \epsilon x + (1 - \epsilon)\,G(z).$$

# %% tags=["active-ipynb"]
# course.show_source(losses.gradient_penalty)

# %% [markdown]
# `gradient_penalty` knows one network. K networks side by side see their own points
# alone, so their points can be given as one long batch. The mean over all of them is
# then the mean of the K penalties. The sum over K losses counts it K times, which is
# right: each critic gets λ times the gradient of its own penalty.


# %%
def critic_terms(
    D: Callable[[Tensor], Tensor],
    real: Float[Tensor, "k b 2"],
    fake: Float[Tensor, "k b 2"],
    penalty: float = 1.0,
) -> dict[str, Float[Tensor, " k"]]:
    """The three terms of the critic's loss."""
    copies = len(real)
    slopes = losses.gradient_penalty(
        lambda x: D(x.unflatten(0, (copies, -1))),
        real.flatten(0, 1),
        fake.flatten(0, 1),
    )
    terms = {"real": -D(real).mean((1, 2)), "generated": D(fake).mean((1, 2))}
    return terms | {"penalty": penalty * slopes.expand(copies)}


def critic_g_loss(
    D: Callable[[Tensor], Tensor], fake: Float[Tensor, "k b 2"]
) -> Float[Tensor, " k"]:
    """The loss of a Wasserstein generator: minus the mean height of its points."""
    return -D(fake).mean((1, 2))


# %% [markdown]
# ### What the penalty does, and what it leaves over
#
# Take all real points at 1 and all generated points at -1: W is 2. On the straight
# line of slope a between them, the critic's loss is $-2a + \lambda(a - 1)^2$. It is
# least at $a = 1 + 1/\lambda$. So the penalty does **not** hold the slope at 1. It
# holds it a little above, the less so the larger λ is. For distance d the slope is
# $1 + d/2\lambda$. For λ = 0 there is no bound, and the slope grows for as long as
# training goes on.

# %% tags=["active-ipynb", "penalty"]
# torch.manual_seed(lesson.seed)
# rows = []
# one = torch.ones(3, 64, 1)
# for λ in (0.0, 1.0, 10.0):
#     D = make_networks(3, 1, 1)
#     torch.nn.init.zeros_(D[4].weight)  # flat: the penalty does not know up from down
#     optimizer = torch.optim.Adam(D.parameters(), 5e-3)
#     for _ in range(settings.critic_steps):
#         loss = sum(critic_terms(D, one, -one, λ).values()).sum()
#         optimizer.zero_grad()
#         loss.backward()
#         optimizer.step()
#     with torch.no_grad():
#         found = (D(one) - D(-one))[:, 0, 0]
#     formula = 2 * (1 + 1 / λ) if λ else float("inf")
#     row = {"λ": λ, "height at 1 − at −1, mean of 3": found.mean().item()}
#     rows.append(row | {"closed form": formula, "true W": 2.0})
# caption = f"Critics after {settings.critic_steps} steps"
# lesson.table("penalty", rows, caption)

# %% [markdown]
# ## A critic in the plane against the exact distance
#
# In the plane the exact distance of two sets of points is an assignment problem, which
# SciPy solves: who goes where, so that the sum of the ways is least? Here are the ring
# and a small heap in its middle, as at the beginning of a training. Each point of the
# heap has to travel about the radius, 2. The critic's value at λ = 10 is too high by
# the factor of its slope. Divided by its mean slope it comes near the exact distance:


# %%
def measure_exact_distance(
    real: Float[Tensor, "n 2"], fake: Float[Tensor, "n 2"]
) -> float:
    """The Wasserstein distance of two sets of equally many points, by assignment."""
    ways = torch.cdist(real, fake).numpy()
    return float(ways[linear_sum_assignment(ways)].mean())


# %% tags=["active-ipynb"]
# torch.manual_seed(lesson.seed)
# ring, heap = make_ring(), World(torch.zeros(1, 2), 0.1)
# D = make_networks(3, 2, 1)
# optimizer = torch.optim.Adam(D.parameters(), 5e-3, betas=(0.0, 0.9))
# for _ in range(settings.critic_steps):
#     real, fake = (world.sample(3, settings.batch) for world in (ring, heap))
#     loss = sum(critic_terms(D, real, fake, 10.0).values()).sum()
#     optimizer.zero_grad()
#     loss.backward()
#     optimizer.step()

# %% tags=["active-ipynb", "plane"]
# real, fake = ring.sample(1000), heap.sample(1000)
# exact = measure_exact_distance(real, fake)
# points = torch.lerp(fake, real, torch.rand(1000, 1)).expand(3, -1, -1)
# points = points.clone().requires_grad_()
# (slope,) = torch.autograd.grad(D(points).sum(), points)
# slope = slope.norm(dim=-1).mean(1)
# with torch.no_grad():
#     value = (D(real.expand(3, -1, -1)) - D(fake.expand(3, -1, -1))).mean((1, 2))
# rows = [{"estimate": "exact: assignment of 1,000 points", "distance": exact}]
# rows += [{"estimate": "critic, mean of 3", "distance": value.mean().item()}]
# scaled = (value / slope).mean().item()
# rows += [{"estimate": "critic, divided by its slope", "distance": scaled}]
# caption = f"Ring against a heap in its middle; mean slope {slope.mean():.2f}"
# lesson.table("plane", rows, caption)

# %% [markdown]
# ## A Wasserstein GAN on 25 modes
#
# The critic estimates a distance only if it is near the maximum of its dual. So it gets
# `d_steps` updates for each update of G. The other way to keep it ahead is a higher
# learning rate, the **two time-scale update rule** (TTUR, Heusel et al. 2017). Adam's
# momentum is 0, as in Gulrajani et al.: D's target moves, and old directions mislead.

# %% tags=["active-ipynb"]
# recipe = Recipe(
#     d_steps=settings.d_steps,
#     terms_d=lambda D, x, y: critic_terms(D, x, y, settings.penalty),
#     loss_g=critic_g_loss,
#     momentum=0.0,
#     critic=True,
# )
# grid = make_grid()
# budget = Budget(settings.steps, settings.batch, settings.look, settings.judged)
# trained = train_gan(start_run(lesson, "toy_grid"), grid, recipe, budget)

# %% tags=["active-ipynb", "film"]
# caption = "Generated from fixed noise through the training (copy 0)."
# lesson.figure("film", draw_film(grid, trained.film), caption)

# %% tags=["active-ipynb", "scene"]
# step, points = trained.film[-1]
# figure = draw_scene(grid, points[0], trained.D, f"step {step}", critic=True)
# lesson.figure("scene", figure, "The heights of the critic, and the points (copy 0).")

# %% [markdown]
# Does the critic's curve mean anything? We know the real points, so we can solve the
# assignment at each look, and draw the exact distance beside the critic's value:

# %% tags=["active-ipynb", "healthy"]
# torch.manual_seed(lesson.seed)
# for seen, (_, points) in zip(trained.looks, trained.film[1:], strict=True):
#     seen["real − generated"] = seen["real"] - seen["generated"]
#     each = [measure_exact_distance(grid.sample(500), one[:500]) for one in points]
#     seen["exact distance"] = torch.tensor(each)
# floor = measure_exact_distance(grid.sample(500), grid.sample(500))
# nan, terms = float("nan"), ("real", "generated", "penalty")
# panels = {
#     "distance": {"real − generated": nan, "exact distance": floor},
#     "modes hit, of 25": {"modes": 25},
#     "quality": {"quality": nan, "EMA quality": nan},
#     "gradient at D's weights": {f"gradient, {term}": nan for term in terms},
# }
# figure = draw_looks({"WGAN-GP": trained.looks}, panels)
# caption = "WGAN-GP: mean and range of three copies. Dashed: real against real points."
# lesson.figure("healthy", figure, caption)

# %% [markdown]
# The critic's value is a distance only where the critic is at the maximum of its dual.
# Where it lags behind G, its value is too low, and may even be negative. Where the
# penalty leaves a slope above 1, it is too high. So compare two runs by this curve only
# where both critics had time, and at the same λ.
#
# ## What came out

# %% tags=["active-ipynb"]
# first, last = trained.looks[0], trained.looks[-1]
# value, truth = (
#     [seen[name].mean().item() for seen in trained.looks]
#     for name in ("real − generated", "exact distance")
# )
# print(
#     f"Step {first['step']}: {first['modes'].mean():.1f} of 25 modes, exact distance "
#     f"{truth[0]:.2f}.\n"
#     f"Step {last['step']}: {last['modes'].mean():.1f} of 25 modes, exact distance "
#     f"{truth[-1]:.2f} (real against real: {floor:.2f}).\n"
#     f"{100 * last['quality'].mean():.0f} % of the points are good; with averaged "
#     f"weights {100 * last['EMA quality'].mean():.0f} %.\n"
#     f"At {sum(np.less(value, truth))} of {len(value)} looks the critic's value is "
#     "below the exact distance."
# )
# rows = [{"steps": last["step"], "modes of 25": last["modes"].mean().item()}]
# rows[0] |= {"quality": last["quality"].mean().item(), "exact distance": truth[-1]}
# lesson.record("grid", rows, "WGAN-GP on the grid of 25, means of three copies")

# %% [markdown]
# The film shows the order of learning: G has the extent of the grid long before it has
# its points, because a critic whose slope is bounded sees long ways before short ones.
# The grid is the hard world: try more `steps`.
#
# **Read on:** Arjovsky et al. 2017, *Wasserstein GAN*; Gulrajani et al. 2017, *Improved
# Training of Wasserstein GANs*; Heusel et al. 2017, *GANs Trained by a Two Time-Scale
# Update Rule*. `listen_and_move`, step 5, uses this loss on videos.
#
# ## Exercises
#
# 1. Write the gradient penalty.
# 2. Write the best 1-Lipschitz height on a line.

# %% tags=["active-ipynb"]
# from avnb_notebooks.start_here import exercises
#
#
# def compute_penalty(critic, real, fake, share):
#     """The penalty, one number, for real, fake (B, 2) and share ε (B, 1).
#
#     The critic gives scores (B, 1). A backward pass must reach its weights.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.PENALTY, compute_penalty)

# %% tags=["active-ipynb"]
# def find_slopes(places, real, fake):
#     """The slope of the best height at each of the places (n,): 1, -1 or 0.
#
#     real and fake (m,) are the points on a line.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.BEST_HEIGHT, find_slopes)
# lesson.finish()
