# %% [markdown]
# # Step 4 · Mode collapse: made, seen, cured
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/start_here/step4_collapse.ipynb)
#
# The best-known illness of GANs is **mode collapse**: the generator makes the same few
# things again and again. Here we make it happen on purpose, in three generators out of
# three, look at what its curves look like, and cure it in two ways.
#
# **You will learn**
#
# 1. why the best answer to a discriminator that stands still is a single point,
# 2. how a discriminator that is too slow leads to collapse,
# 3. two cures, and a control that shows what in them cures,
# 4. for each loss: what a healthy run looks like, what a sick one does, and what to do.
#
# **Time.** About 15 minutes to read. The cells run in a minute.
#
# **Before you start.** Read steps 1 to 3.
#
# **Letters.** K networks side by side · B points of a batch · x a point (2) · z noise.

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
import torch
from avnb_notebooks.start_here.step1_game import (
    World,
    discriminator_loss,
    make_networks,
    non_saturating_loss,
)
from avnb_notebooks.start_here.step2_train import Recipe
from avnb_notebooks.start_here.step3_wasserstein import critic_g_loss, critic_terms
from jaxtyping import Float
from torch import Tensor, nn


# %% tags=["active-ipynb"]
# import itertools
# import math
#
# from avnb_notebooks.start_here.step1_game import make_ring
# from avnb_notebooks.start_here.step2_train import (
#     Budget,
#     draw_film,
#     draw_looks,
#     draw_points,
#     measure_coverage,
#     start_run,
#     train_gan,
# )
#
# from avnb import course, metrics
# from avnb.viz import show

# %% tags=["active-ipynb"]
# lesson = course.start(
#     "start_here",
#     "step4_collapse",
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
#         steps=(300, 600, 4000, 4000, 4000),  # updates of G, in every recipe
#         frozen_steps=(200, 400, 1000, 1000, 1000),  # of G alone, while D stands still
#         batch=(128, 128, 128, 128, 128),
#         look=(50, 60, 200, 200, 200),  # steps between two looks at the points
#         judged=(2000, 2000, 5000, 5000, 5000),  # points of a copy that are judged
#     ),
# )
# settings

# %% [markdown]
# ## The best answer to a D that stands still
#
# G's loss is a mean over its points, and each point counts alone. **Nothing in it asks
# for variety.** If D stands still, the loss is least when every point lies where D is
# highest: $G(z) = \arg\max_x D(x)$ for all z. The best generator is a single point.
#
# We can watch G begin to go there. D learns to tell the ring from the points of an
# untrained G, which are a small heap. Then D stands still, and G alone learns on. To
# say whether the points go the same way, take the direction of each point from the
# middle of the ring, and the length of the mean of these unit vectors. It is 0 for the
# ring, and 1 where all points lie in one direction.


# %%
def answer_frozen(
    world: World, steps: int, batch: int, copies: int = 3
) -> tuple[nn.Module, list[tuple[int, Tensor]]]:
    """Train D against an untrained G, then G against this D; give D and G's film."""
    G, D = make_networks(copies, 2, 2), make_networks(copies, 2, 1)
    optimizers = [torch.optim.Adam(net.parameters(), 1e-3) for net in (D, G)]
    fixed, film = torch.randn(copies, 1000, 2), []
    for step in range(2 * steps + 1):
        if step >= steps and (step - steps) % (steps // 4) == 0:
            film.append((step - steps, G(fixed).detach()))
        real, fake = world.sample(copies, batch), G(torch.randn(copies, batch, 2))
        if step < steps:
            loss = discriminator_loss(D, real, fake.detach())
        else:
            loss = non_saturating_loss(D, fake)
        optimizer = optimizers[step >= steps]
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
    return D, film


def measure_agreement(points: Float[Tensor, "k n 2"]) -> Float[Tensor, " k"]:
    """How much the points of a copy lie in one direction: 0 to 1."""
    return nn.functional.normalize(points, dim=-1).mean(1).norm(dim=-1)


# %% tags=["active-ipynb", "frozen"]
# torch.manual_seed(lesson.seed)
# ring = make_ring()
# D, film = answer_frozen(ring, settings.frozen_steps, settings.batch)
# lesson.figure("frozen", draw_film(ring, film), "G learns alone, and D stands still.")
# rows = []
# for step, points in film:
#     loss = non_saturating_loss(D, points).mean().item()
#     agreement = measure_agreement(points).mean().item()
#     rows.append({"points": f"G, step {step}", "agreement of directions": agreement})
#     rows[-1]["loss of G"] = loss
# agreement = measure_agreement(ring.sample(1, 4000)).item()
# rows.append({"points": "real", "agreement of directions": agreement})
# caption = "G against a D that stands still (means of three copies)"
# lesson.table("frozen", rows, caption)

# %% [markdown]
# The whole heap goes one way. The loss falls all the time, although the points run past
# the real ones, to where D has never been asked.
#
# In a real training D answers: it learns that this place is full of generated points,
# and its height there sinks. The heap moves on to the next high place. **If D learns
# more slowly than G moves**, the heap is always somewhere else before D has closed the
# last place, and it never has a reason to split up.
#
# ## Made: a discriminator that is too slow
#
# So the recipe for the illness is a D with a tenth of G's learning rate. For the
# cures, we change **one thing at a time**:
#
# | recipe | loss | rate of D | rate of G | updates of D per step |
# |---|---|---|---|---|
# | sick | logarithm (step 1) | 0.0001 | 0.001 | 1 |
# | cure 1: two time scales | logarithm | **0.004** | 0.001 | 1 |
# | control: another loss alone | **Wasserstein** (step 3) | 0.0001 | 0.001 | 1 |
# | cure 2: a critic that keeps up | **Wasserstein** | **0.001** | 0.001 | **3** |
#
# The control tells us whether the other loss cures by itself.


# %%
def make_recipes() -> dict[str, Recipe]:
    """The four recipes of the table, by name."""
    wasserstein = dict(
        terms_d=critic_terms, loss_g=critic_g_loss, momentum=0.0, critic=True
    )
    return {
        "sick: D too slow": Recipe(rate_d=1e-4, rate_g=1e-3),
        "cure 1: D faster": Recipe(rate_d=4e-3, rate_g=1e-3),
        "control: Wasserstein, D too slow": Recipe(rate_d=1e-4, **wasserstein),
        "cure 2: Wasserstein, D keeps up": Recipe(d_steps=3, **wasserstein),
    }


# %% tags=["active-ipynb"]
# recipes = make_recipes()
# budget = Budget(settings.steps, settings.batch, settings.look, settings.judged)
# found = {}
# for number, (name, recipe) in enumerate(recipes.items()):
#     run = start_run(lesson, f"toy_recipe_{number}")
#     found[name] = train_gan(run, ring, recipe, budget)

# %% [markdown]
# ## Seen: pictures, then numbers

# %% tags=["active-ipynb", "collapse"]
# figure, axes = show.subplots(len(found), 5, width=1.9, height=2.0)
# for row, (name, trained) in zip(axes, found.items(), strict=True):
#     chosen = torch.linspace(0, len(trained.film) - 1, 5).round().int().tolist()
#     for ax, number in zip(row, chosen, strict=True):
#         step, points = trained.film[number]
#         draw_points(ax, ring, points[0], f"step {step}")
#     row[0].set_ylabel(name.replace(": ", ":\n").replace(", ", ",\n"), fontsize=8)
# lesson.figure("collapse", figure, "Four recipes, fixed noise (copy 0).")

# %% tags=["active-ipynb"]
# rows = []
# for name, trained in found.items():
#     half = trained.looks[len(trained.looks) // 2 :]
#     row = {"recipe": name}
#     units = {"modes": "", "quality": "fraction", "EMA quality": "fraction"}
#     for key, unit in units.items():
#         each = torch.stack([seen[key] for seen in half]).mean(0).tolist()
#         row[key] = metrics.mean_over_seeds(each, name=key, unit=unit)
#     rows.append(row)
# real = measure_coverage(ring.sample(settings.judged), ring)
# rows.append({"recipe": "(real points)", "modes": real.modes})
# rows[-1]["quality"] = f"{100 * real.quality:.1f} %"
# caption = "Second half of the training: mean of three copies [95 % interval]"
# lesson.table("recipes", rows, caption)

# %% [markdown]
# ## What to watch for: the loss of step 1
#
# Sick above, healthy below, on the same axes. Look at the scores first. **They do not
# tell.** In the sick run $S_r$ and $S_f$ lie near 1/2, as they would if G were perfect:
# D is lost, and so it cannot tell the points apart. A loss of D near $\log 4$ is
# therefore no proof of health. These signs do tell:
#
# - **the pull** at a generated point: where D is flat, G is told nothing,
# - **the gradients** of D's two terms: in a healthy run D depends on where the points
#   are, and so both are several times larger. In the sick run the generated term jumps
#   when the heap does.

# %% tags=["active-ipynb", "watch-logarithm"]
# nan = math.nan
# gradients = [f"gradient, {term}" for term in ("real", "generated", "penalty")]
# panels = {
#     "probability of “real”": {"S_r": 0.5, "S_f": nan},
#     "pull of D at a point": {"pull": nan},
#     "gradient at D's weights": dict.fromkeys(gradients[:2], nan),
#     "modes hit, of 8": {"modes": 8},
# }
# runs = {name: found[name].looks for name in list(recipes)[:2]}
# figure = draw_looks(runs, panels)
# for ax in figure.axes[::4]:
#     ax.set_ylim(0, 1)
# caption = "The logarithmic loss: mean and range of three copies. Dashed: a perfect G."
# lesson.figure("watch_logarithm", figure, caption)

# %% [markdown]
# ## What to watch for: the Wasserstein loss
#
# Here the pull is the slope of the critic, and the penalty wants it to be 1. A pull far
# below 1 means that the critic is not near the maximum of its dual: its difference of
# heights is then no distance, and it may even be negative.

# %% tags=["active-ipynb", "watch-wasserstein"]
# panels = {
#     "difference of heights": {"real − generated": 0},
#     "pull of D at a point": {"pull": 1},
#     "gradient at D's weights": dict.fromkeys(gradients, nan),
#     "modes hit, of 8": {"modes": 8},
# }
# runs = {name: found[name].looks for name in list(recipes)[2:]}
# for seen in itertools.chain(*runs.values()):
#     seen["real − generated"] = seen["real"] - seen["generated"]
# figure = draw_looks(runs, panels)
# caption = "The Wasserstein loss: mean and range of three copies. Dashed: 0, 1 and 8."
# lesson.figure("watch_wasserstein", figure, caption)

# %% [markdown]
# The signs in numbers, over the second half of the training:

# %% tags=["active-ipynb", "signs"]
# signs = []
# for name, trained in found.items():
#     half = trained.looks[len(trained.looks) // 2 :]
#     keys = ["S_r", "S_f", "pull", *gradients]
#     if recipes[name].critic:
#         keys = ["real − generated", "pull", *gradients]
#     sign = {"recipe": name}
#     for key in keys:
#         if key in half[0]:
#             sign[key] = torch.stack([seen[key] for seen in half]).mean().item()
#     signs.append(sign)
# caption = "Signs of health, means of three copies"
# weak, strong = signs[0]["pull"], signs[1]["pull"]
# print(f"The pull of the sick run is {strong / weak:.0f} times weaker than in cure 1.")
# lesson.table("signs", signs, caption)

# %% [markdown]
# ## What to do
#
# - **Few modes; points move together from place to place; hardly any pull:** D is
#   slower than G. *Do:* raise D's rate, lower G's, or give D more updates.
# - **Loss of D near 0, $S_f$ near 0, saturating loss: no pull:** D has won, and G gets
#   no gradient. *Do:* the non-saturating loss; lower D's rate; a penalty on its slope.
# - **Wasserstein: the difference of heights grows without end:** the slope is not
#   bounded. *Do:* check the penalty: λ, and where its points lie.
# - **Wasserstein: the pull is far below 1, few modes:** the critic is far from its
#   best. *Do:* more updates of the critic.
# - **All modes, but many points between them:** G is not done, or moves too fast. *Do:*
#   train on; lower the rates; average the weights (EMA).
# - **Quality near 1 at once, few different points:** memorised or collapsed. *Do:*
#   count modes; look for the nearest training point.
#
# ## What came out

# %% tags=["active-ipynb"]
# values = {row["recipe"]: row for row in rows}
# sick, cure1, control, cure2 = (values[name] for name in recipes)
# print(
#     f"A D that is too slow leaves {sick['modes'].value:.1f} of 8 modes.\n"
#     f"With a faster D they are {cure1['modes'].value:.1f}.\n"
#     f"The Wasserstein loss with the slow D gives {control['modes'].value:.1f}.\n"
#     f"With a critic that keeps up it gives {cure2['modes'].value:.1f}."
# )
# answer = "does not cure" if control["modes"].value < 4 else "helps by itself"
# print(f"So the other loss {answer}. Both cures share a D that keeps up with G.")

# %% [markdown]
# Each number is the mean over the second half of the training, so that a heap which
# happens to lie on a mode at the last step cannot win.
#
# **Read on:** Heusel et al. 2017, Sec. 2, on two time scales; Metz et al. 2017 on
# collapse as a G that runs ahead; Mao et al. 2019, *Mode Seeking GANs*, and Lin et al.
# 2018, *PacGAN*, for cures that change what G or D is asked.
#
# ## Exercises
#
# 1. Write the pull at each point.
# 2. Read the numbers of a run, and say what is wrong with it.

# %% tags=["active-ipynb"]
# from avnb_notebooks.start_here import exercises
#
#
# def compute_pull(discriminate, points):
#     """The length of the gradient of G's loss at each of the points (B, 2): (B,).
#
#     `discriminate` gives logits (B,). The loss of one point is softplus(-logit).
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.PULL, compute_pull)

# %% tags=["active-ipynb"]
# def diagnose(modes, quality, score_real, score_fake):
#     """Say "healthy", "collapsed", "D has won" or "not done" of a run on 8 modes.
#
#     All of them are numbers from the end of the run: modes hit, share of good points,
#     and the mean probabilities that D gives to real and to generated points.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.DIAGNOSE, diagnose)
# lesson.finish()
