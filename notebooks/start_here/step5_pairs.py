# %% [markdown]
# # Step 5 · Pairs: a discriminator that is shown wrong pairs
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/start_here/step5_pairs.ipynb)
#
# The GANs of this course are **conditional**. They get a sound and make a picture that
# fits it. Then a discriminator has to answer two questions at once. Is the picture
# real? And does it belong to this sound? Here we see what happens when it cares for the
# first question only, and how **wrong pairs** make it ask the second.
#
# **You will learn**
#
# 1. what a conditional GAN is, and how it can ignore its condition,
# 2. the loss with three kinds of pairs (Reed et al. 2016), which S2I-C of
#    `deep_cross_modal` uses,
# 3. the best discriminator for three kinds of pairs, in closed form: its scores do not
#    end at 1/2,
# 4. how to read the curves of $S_r$, $S_f$ and $S_w$.
#
# **Time.** About 15 minutes to read. The cells run in half a minute.
#
# **Before you start.** Read steps 1 and 2.
#
# **Letters.** K networks side by side · B pairs of a batch · C classes (8) · x a
# picture (32 numbers) · c its condition (8 numbers) · S a probability.

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
from typing import Any

import torch
from avnb_notebooks.start_here.step1_game import World, make_networks
from avnb_notebooks.start_here.step2_train import Budget
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from avnb import training

# %% tags=["active-ipynb"]
# from avnb_notebooks.start_here.step1_game import make_ring
# from avnb_notebooks.start_here.step2_train import draw_looks, start_run
#
# from avnb import course, metrics
# from avnb.course import study
# from avnb.viz import show

# %% tags=["active-ipynb"]
# lesson = course.start(
#     "start_here",
#     "step5_pairs",
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
#         steps=(60, 1400, 6000, 6000, 6000),  # updates of G
#         batch=(128, 128, 128, 128, 128),
#         look=(20, 100, 200, 200, 200),  # steps between two looks at the pairs
#         judged=(1000, 1000, 2000, 2000, 2000),  # pairs of a copy that are judged
#     ),
# )
# settings

# %% [markdown]
# ## A world of pairs
#
# A real picture has thousands of numbers, and few of them tell the class. So our
# picture x has 32 numbers. The first two are a point of the ring, which we can draw.
# The other 30 are noise: nothing but detail that G has to get right as well. The
# condition c says on which of the 8 modes the point is to lie. Like the code of an
# encoder, it is a few small numbers beside many large ones: here a one-hot vector times
# 0.1.

# %%
DETAIL = 30  # numbers of a picture that say nothing of its class
LOUDNESS = 0.1  # of the condition


def draw_pictures(
    world: World, classes: Int[Tensor, "k b"], generator: torch.Generator
) -> Float[Tensor, "k b x"]:
    """Draw a real picture of each class."""
    point = world.sample_modes(classes, generator=generator)
    detail = torch.randn(*classes.shape, DETAIL, generator=generator)
    return torch.cat([point, detail], dim=-1)


def encode(classes: Int[Tensor, "k b"], count: int = 8) -> Float[Tensor, "k b c"]:
    """The condition of each class."""
    return LOUDNESS * F.one_hot(classes, count).float()


def draw_wrong(
    classes: Int[Tensor, "k b"], generator: torch.Generator, count: int = 8
) -> Int[Tensor, "k b"]:
    """For each class another one, all others equally likely."""
    shift = torch.randint(1, count, classes.shape, generator=generator)
    return (classes + shift) % count


# %% tags=["active-ipynb"]
# ring, draws = make_ring(), torch.Generator().manual_seed(lesson.seed)
# classes = torch.randint(8, (1, 2000), generator=draws)
# pictures, wrong = draw_pictures(ring, classes, draws), draw_wrong(classes, draws)
# assert pictures.shape == (1, 2000, 32)
# assert (wrong != classes).all()
# figure, axes = show.subplots(1, 2, width=3.3, height=3.2)
# for ax, shown, title in (
#     (axes[0, 0], classes, "true pairs: colour is c"),
#     (axes[0, 1], wrong, "wrong pairs: colour is c"),
# ):
#     ax.scatter(*pictures[0, :, :2].T, c=shown[0], s=4, cmap="tab10", vmax=9)
#     ax.set(title=title, aspect="equal")
# caption = "The same real pictures with right and with wrong conditions."
# lesson.figure("pairs", figure, caption)

# %% [markdown]
# ## Two losses
#
# With two kinds of pairs D gets real pictures and generated ones, both with the
# condition. It **can** see whether they fit. But as long as it can tell real from
# generated by the details, it has no need to.
#
# Reed et al. (2016) add a third kind: a **real** picture with a **wrong** condition.
# Its details are perfect, so only the condition gives it away. With $S_r$, $S_f$ and
# $S_w$ for real, generated and wrong pairs, D maximises
#
# $$\log S_r + \tfrac12\bigl(\log(1 - S_f) + \log(1 - S_w)\bigr),$$
#
# and G maximises $\log S_f$, as before. In `deep_cross_modal` this is Eq. 4. There the
# first loss trains S2I-N, and the second trains S2I-C.


# %%
def pair_loss(
    real: Float[Tensor, "k b"],
    fake: Float[Tensor, "k b"],
    wrong: Float[Tensor, "k b"] | None = None,
) -> Float[Tensor, " k"]:
    """The loss of D from the logits of the pairs; without wrong ones of two kinds."""
    true_pairs = F.softplus(-real).mean(-1)
    if wrong is None:
        return true_pairs + F.softplus(fake).mean(-1)
    return true_pairs + (F.softplus(fake) + F.softplus(wrong)).mean(-1) / 2


# %% [markdown]
# ### The best discriminator of three kinds of pairs
#
# As in step 1, we take the derivative at one pair (x, c):
#
# $$S^*(x, c) = \frac{p_r}{p_r + \tfrac12(p_f + p_w)}.$$
#
# If G is perfect, then $p_f = p_r$. Where the classes do not overlap, $p_w = 0$ at a
# true pair. So there $S^* = 1/(1 + \tfrac12) = 2/3$, and at a wrong pair $S^* = 0$.
# **With wrong pairs a healthy run ends at $S_r = S_f = 2/3$ and $S_w = 0$.** With two
# kinds it ends at 1/2. Somebody who waits for 1/2 here waits for an illness.


# %%
def best_pair_score(real: Tensor, fake: Tensor, wrong: Tensor) -> Tensor:
    """S* from the densities of the three kinds of pairs at the same places."""
    return real / (real + (fake + wrong) / 2)


# %% tags=["active-ipynb", "best-pair"]
# s = torch.linspace(-8, 8, 4001, dtype=torch.float64)
# p = dict(real=0.5, fake=0.2, wrong=0.9)  # any three densities at one pair
# loss = p["real"] * F.softplus(-s) + (p["fake"] + p["wrong"]) / 2 * F.softplus(s)
# found = s[loss.argmin()].sigmoid()
# formula = best_pair_score(*map(torch.tensor, p.values()))
# assert abs(found - formula) < 1e-3
# print(f"least loss at S = {found:.4f}, closed form {formula:.4f}")

# %% [markdown]
# ## Train with and without wrong pairs
#
# Both trainings have the same networks, rates, first weights and number of steps.


# %%
def score_with(D: Callable[[Tensor], Tensor], x: Tensor, c: Tensor) -> Tensor:
    """The logits (K, B) of pictures with conditions."""
    return D(torch.cat([x, c], dim=-1))[..., 0]


def generate(G: Callable[[Tensor], Tensor], z: Tensor, c: Tensor) -> Tensor:
    """The pictures (K, B, 32) of noise with conditions."""
    return G(torch.cat([z, c], dim=-1))


# %%
def train_pairs(
    run: training.Run, world: World, budget: Budget, *, wrong_pairs: bool
) -> list[dict[str, Any]]:
    """Train three conditional GANs side by side; give what was seen on the way."""
    x, c = 2 + DETAIL, len(world.centres)
    G, D = make_networks(3, x + c, x), make_networks(3, x + c, 1)
    opt_g = torch.optim.Adam(G.parameters(), 1e-3, betas=(0.5, 0.999))
    opt_d = torch.optim.Adam(D.parameters(), 2e-3, betas=(0.5, 0.999))
    G, D, opt_g, opt_d = run.prepare(G=G, D=D, opt_g=opt_g, opt_d=opt_d)
    looks = []
    for step in run.steps(budget.steps, save_every=None, sample_every=budget.look):
        pairs = draw_pairs(run, world, budget.batch)
        real, fake, wrong = score_pairs(G, D, pairs)
        loss_d = pair_loss(real, fake, wrong if wrong_pairs else None)
        run.step(opt_d, loss_d.sum())
        pairs = draw_pairs(run, world, budget.batch)
        made = generate(G, pairs["z"], pairs["c"])
        loss_g = F.softplus(-score_with(D, made, pairs["c"])).mean(-1)
        run.step(opt_g, loss_g.sum())
        if step.is_due():
            looks.append(look_at_pairs(run, G, D, world, budget.judged))
            looks[-1]["step"] = step.number + 1
    run.require_finished()
    return looks


# %%
def draw_pairs(run: training.Run, world: World, count: int) -> dict[str, Tensor]:
    """Draw classes, their conditions, real pictures, wrong pictures and noise."""
    draws = {"generator": run.generator}
    classes = torch.randint(len(world.centres), (3, count), **draws)
    others = draw_wrong(classes, run.generator, len(world.centres))
    return {
        "classes": classes,
        "c": encode(classes, len(world.centres)),
        "real": draw_pictures(world, classes, run.generator),
        "wrong": draw_pictures(world, others, run.generator),
        "z": torch.randn(3, count, 2 + DETAIL, **draws),
    }


def score_pairs(G, D, pairs: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """The logits of real, generated and wrong pairs; no gradient reaches G."""
    with torch.no_grad():
        fake = generate(G, pairs["z"], pairs["c"])
    three = (pairs["real"], fake, pairs["wrong"])
    return tuple(score_with(D, x, pairs["c"]) for x in three)


# %% [markdown]
# We judge by the truth that D never sees: is the point of the generated picture nearest
# to the mode that c asks for? By luck that happens in one of eight.


# %%
@torch.no_grad()
def look_at_pairs(run: training.Run, G, D, world: World, count: int) -> dict[str, Any]:
    """Measure the three scores, and the share of pictures that obey the condition."""
    pairs = draw_pairs(run, world, count)
    scores = score_pairs(G, D, pairs)
    named = zip(("S_r", "S_f", "S_w"), scores, strict=True)
    seen: dict[str, Any] = {n: s.sigmoid().mean(1) for n, s in named}
    point = generate(G, pairs["z"], pairs["c"])[..., :2]
    nearest = torch.cdist(point, world.centres.expand(3, -1, -1)).argmin(-1)
    seen["obeys"] = (nearest == pairs["classes"]).float().mean(1)
    run.log(**{name: value.mean() for name, value in seen.items()})
    seen["points"], seen["classes"] = point, pairs["classes"]
    return seen


# %% tags=["active-ipynb"]
# names = {"two kinds of pairs": False, "three kinds of pairs": True}
# budget = Budget(settings.steps, settings.batch, settings.look, settings.judged)
# found = {}
# for name, wrong in names.items():
#     run = start_run(lesson, f"toy_{name.split()[0]}")
#     found[name] = train_pairs(run, ring, budget, wrong_pairs=wrong)

# %% [markdown]
# ## What D looks at
#
# As long as $S_w$ lies on $S_r$, a wrong pair is as good to D as a right one. D does
# not look at the condition, so neither does G. When $S_w$ falls, the generated pictures
# begin to obey. With wrong pairs it falls early. With two kinds it falls only when the
# details of the generated pictures give nothing away any more.

# %% tags=["active-ipynb", "scores"]
# panels = {
#     "probability of “real pair”": {"S_r": float("nan"), "S_f": 2 / 3, "S_w": 0},
#     "obeys the condition": {"obeys": 1 / 8},
# }
# figure = draw_looks(found, panels)
# for ax in figure.axes:
#     ax.set_ylim(0, 1)
# caption = (
#     "Mean and range of three copies. Dashed: S of a perfect G with three kinds of "
#     "pairs (2/3 and 0); the share that obeys by luck."
# )
# lesson.figure("scores", figure, caption)

# %% tags=["active-ipynb", "obeys"]
# figure, axes = show.subplots(1, 2, width=3.3, height=3.2)
# for ax, (name, looks) in zip(axes[0], found.items(), strict=True):
#     point, classes = looks[-1]["points"][0], looks[-1]["classes"][0]
#     ax.scatter(*point.T, c=classes, s=4, cmap="tab10", vmax=9)
#     ax.scatter(*ring.centres.T, c=range(8), s=90, cmap="tab10", vmax=9, marker="+")
#     ax.set(title=name, aspect="equal", xlim=(-3, 3), ylim=(-3, 3))
# caption = "Generated points (copy 0). Colour: the condition. Crosses: where to be."
# lesson.figure("obeys", figure, caption)

# %% tags=["active-ipynb"]
# rows = []
# for name, looks in found.items():
#     seen = looks[-1]
#     each = seen["obeys"].tolist()
#     row = {"D is shown": name}
#     row["obeys"] = metrics.mean_over_seeds(each, name="obeys", unit="fraction")
#     half = (look["step"] for look in looks if look["obeys"].mean() >= 0.5)
#     row |= {"updates": seen["step"], "updates until half obey": next(half, None)}
#     rows.append(row | {s: seen[s].mean().item() for s in ("S_r", "S_f", "S_w")})
# rows.append({"D is shown": "(luck)", "obeys": f"{100 / 8:.1f} %"})
# last = found["three kinds of pairs"][-1]["step"]
# caption = f"After {last} steps: three copies, mean [95 % interval]"
# lesson.table("pairs", rows, caption)

# %% [markdown]
# ## A healthy and a sick run
#
# - **$S_w$ lies on $S_r$:** D does not look at the condition. *Do:* show it wrong
#   pairs; make the condition louder.
# - **$S_w$ near 0, $S_f$ near 0:** D knows both, and G cannot follow. *Do:* wait; then
#   lower D's rate.
# - **$S_r$ and $S_f$ near 2/3, $S_w$ near 0:** three kinds: G is nearly perfect. *Do:*
#   stop.
# - **$S_r$ and $S_f$ near 1/2, $S_w$ too:** D has learned nothing. *Do:* raise its
#   rate, or its width.
#
# ## What came out

# %% tags=["active-ipynb"]
# two, three, _ = rows
# for name, row in (("Without", two), ("With", three)):
#     sooner = row["updates until half obey"]
#     when = f"after {sooner} updates" if sooner else f"not yet after {last} updates"
#     print(
#         f"{name} wrong pairs {100 * row['obeys'].value:.0f} % of the pictures obey\n"
#         f"at the end. Half of them obey {when}.\n"
#         f"D gives wrong pairs {row['S_w']:.2f} and real pairs {row['S_r']:.2f}."
#     )
# print("Luck gives 12.5 %.")
# study.show_claims(lesson)

# %% [markdown]
# Two kinds of pairs hold the same information: a generated picture under the wrong
# condition is a pair that never occurs among the real ones. So D can learn to look at
# the condition from two kinds too, but everything else that tells real from generated
# comes first. Wrong pairs make D ask at once whether the picture fits.
# `deep_cross_modal`, steps 6 and 7, does the same with sounds and players. There the
# choice of the wrong pairs (another instrument, or another moment of the same one)
# decides what the generator has to get right.
#
# **Read on:** Reed et al. 2016, *Generative Adversarial Text to Image Synthesis*,
# Sec. 4.2.
#
# ## Exercises
#
# 1. Write the loss of three kinds of pairs from the logits.
# 2. Write the best score for three kinds of pairs, with any weight for the wrong ones.

# %% tags=["active-ipynb"]
# from avnb_notebooks.start_here import exercises
#
#
# def compute_pair_loss(real, fake, wrong):
#     """D's loss, one number, from the logits (B,) of the three kinds of pairs."""
#     ...  # your code
#
#
# course.try_exercise(exercises.PAIR_LOSS, compute_pair_loss)

# %% tags=["active-ipynb"]
# def find_best_score(real, fake, wrong, share):
#     """S* (n,), where wrong pairs have the weight `share` and generated 1 - share.
#
#     real, fake and wrong (n,) are the densities of the three kinds at the same pairs.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.BEST_SCORE, find_best_score)
# lesson.finish()
