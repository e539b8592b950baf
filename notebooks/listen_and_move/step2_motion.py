# %% [markdown]
# # Step 2 · Motion: a memory that listens at three speeds
#
# A frame is not painted from its own 80 ms alone. Whether the bow goes up or down
# depends on what it did before; a phrase builds up over seconds. So between sound and
# picture stands a recurrent network $R$ (Sec. 3.2): it hears the features of frame
# after frame and gives, for each, a vector $m_t$ of **motion**.
#
# 1. the plain GRU that everybody uses, which is the paper's baseline,
# 2. why its layers are **dilated**, and why they are **residual**,
# 3. how far back it hears: the receptive field, drawn by asking gradients,
# 4. how its state is carried from window to window, and why a batch is one sequence.
#
# **Letters.** T frames · B sound features (64) · E noise (2) · M = B + E motion (66) ·
# d dilation · l layer.

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
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from avnb.layers import ResidualDilatedGRU


# %% tags=["active-ipynb"]
# import math
#
# from avnb_notebooks.listen_and_move.step1_data import Hearing
# from torch.nn import functional as F
#
# from avnb import course
# from avnb.features import ChunkFeatures
# from avnb.viz import show
# from data_scripts import bandstand

# %% [markdown]
# Something to listen with: eight seconds of a cellist of the bandstand (player 6, as
# in the embedded video), measured by step 1's `Hearing`.

# %% tags=["active-ipynb"]
# take = bandstand.record_take("melodic", player=6, seconds=8, seed=0)
# sound = torch.from_numpy(take.synthesise(16000))
# level = ChunkFeatures(16000).measure_peak_energy(sound)
# features = Hearing(16000, level=level)(sound, frames=160)
# in_db = Hearing(16000)(sound, frames=160)
# print(f"ours {tuple(features.shape)} in {features.min():.1f} … {features.max():.1f}")
# print(f"as released {in_db.min():.0f} … {in_db.max():.0f} dB")
# show.listen([sound.numpy()], 16000, ["eight seconds of cello"])

# %% [markdown]
# ## Motion from sound
#
# One sound allows many motions, so $R$ gets some chance beside the sound: a noise
# $e_t \in \mathbb R^E$, new at each frame, with $E = 2$ ("just a guess", says the
# paper). Its input and its output have the same size, $M = B + E$:
#
# $$r_t = [f_t, e_t], \qquad \boldsymbol m = R(\boldsymbol r).$$
#
# Noise that is drawn anew at each frame would make the picture tremble. A recurrent
# network remembers, and so turns independent numbers into a path:

# %% tags=["active-ipynb"]
# torch.manual_seed(1)
# noise = torch.randn(80, 1, 8)
# with torch.no_grad():
#     path, _ = nn.GRU(8, 8, num_layers=2)(noise)
# figure, axes = show.subplots(1, 2, width=4.4, height=2.2)
# for ax, name, what in zip(
#     axes[0], ("noise", "after a GRU"), [noise, path], strict=True
# ):
#     ax.plot(what[:, 0, :2])
#     ax.set(title=name, xlabel="frame")
# figure

# %% [markdown]
# ## Dilated and residual (Eq. 1)
#
# A GRU's state goes from frame to frame, 50 ms each. To know what happened two seconds
# ago, it must have carried it through forty steps, each of which may forget. A layer of
# **dilation** $d$ looks back $d$ frames instead: the same two seconds in $40/d$ steps.
# Three layers, each twice as far:
#
# $$m_t^l = \varphi\left(R^l(m_t^{l-1}, m_{t-d}^l) + m_t^{l-1}\right). \tag{1}$$
#
# The **residual** $+\,m_t^{l-1}$ is a way round each layer: what is heard *now* reaches
# the output whether the layers have learned to let it pass or not.

# %% tags=["active-ipynb"]
# figure, axes = show.subplots(width=8.5, height=3.4)
# ax = axes[0, 0]
# arrow = {"arrowstyle": "-|>", "shrinkA": 7, "shrinkB": 8}
# bent = {"connectionstyle": "arc3,rad=-0.25"}
# for y, (d, colour) in enumerate(zip((1, 2, 4), show.COLOURS, strict=False), start=1):
#     for t in range(9):
#         here = (8 - t) % d == 0
#         ax.plot(t, y, "o", markersize=13, color=colour, alpha=1 if here else 0.2)
#         if here and t + d <= 8:
#             ax.annotate("", (t + d, y), (t, y), arrowprops=arrow | bent)
#     ax.annotate("", (8, y), (8, y - 1), arrowprops=arrow)
#     around = {"connectionstyle": "arc3,rad=0.5", "linestyle": ":"}
#     ax.annotate("", (8, y + 0.42), (8, y - 0.5), arrowprops=arrow | around)
#     ax.text(-0.5, y, f"layer {y}, d = {d}: {50 * d} ms", ha="right", va="center")
# ax.text(8.5, 2.2, "dotted:\nresidual")
# ax.text(8, -0.3, "$r_t$", ha="center")
# ax.set(xlim=(-3, 9.4), ylim=(-0.5, 3.6))
# ax.set_axis_off()
# figure

# %% [markdown]
# The paper contradicts itself here, and each reading is another network:
#
# - **The dilation.** The text counts $d = 2^l$ from $l = 1$: 2, 4, 8. Its Fig. 2 and
#   its "50, 100 and 200 ms" are 1, 2, 4. We take 1, 2, 4.
# - **What returns after $d$ frames.** By the formula's letters it is the layer's
#   *output* $m$, by the text the "skipped *hidden state*". We take the hidden state.
# - **The sum.** Plain by the formula. We divide it by $\sqrt 2$, so that it does not
#   grow with each layer.
#
# The released code does all three as we do. With the hidden state, a layer of
# dilation $d$ is nothing but $d$ GRUs that take turns: one batch of $d$ sequences, one
# fast call (cuDNN's on a GPU; on a CPU one of ours, since torch's own launches some
# thirty little operators a step). That is what `avnb.layers` holds:

# %% tags=["active-ipynb"]
# course.show_source(ResidualDilatedGRU)

# %% [markdown]
# ## The motion network
#
# All that the notebook's $R$ adds is the noise. With a single layer there is neither
# dilation nor residual: the **baseline** of Table 1, motion from sound (MfS).
#
# `features (T, B), noise (T, E) → motion (T, B + E), state`


# %%
class Motion(nn.Module):
    """R: features and noise of T frames → their motion, and the state (Sec. 3.2).

    `layers=1`: the baseline's plain GRU. A state of None is the beginning.
    """

    def __init__(self, bands: int = 64, noise: int = 2, layers: int = 3) -> None:
        super().__init__()
        self.size, self.noise_size = bands + noise, noise
        self.recurrence = ResidualDilatedGRU(self.size, layers)

    def noise(self, frames: int) -> Float[Tensor, "t e"]:
        """e, standard normal, on the device of the weights."""
        where = next(self.parameters()).device
        return torch.randn(frames, self.noise_size, device=where)

    def forward(
        self,
        features: Float[Tensor, "t b"],
        noise: Float[Tensor, "t e"],
        state: Float[Tensor, "1 slots m"] | None = None,
    ) -> tuple[Float[Tensor, "t m"], Float[Tensor, "1 slots m"]]:
        r = torch.cat([features, noise], dim=1)
        motion, state = self.recurrence(r[None], state)
        return motion[0], state


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# motion, baseline = Motion(), Motion(layers=1)
# noise = motion.noise(len(features))
# with torch.no_grad():
#     m, state = motion(features, noise)
# assert m.shape == (160, 66)
# assert state.shape == (1, 1 + 2 + 4, 66)
# for name, network in {"R": motion, "baseline": baseline}.items():
#     print(f"{name:9} {sum(p.numel() for p in network.parameters()):6,} weights")

# %% [markdown]
# Is the fast layer the one of the figure? Step by step, one frame and one layer at a
# time, as Eq. 1 has it:

# %% tags=["active-ipynb"]
# def step_by_step(rnn, r):
#     past = [[torch.zeros(rnn.size)] * d for d in rnn.dilations]
#     outputs = []
#     for m in r:
#         for layer, queue in zip(rnn.layers, past, strict=True):
#             _, h = layer(m[None], queue.pop(0)[None])
#             queue.append(h[0])
#             m = F.leaky_relu((h[0] + m) / math.sqrt(2), 0.2)
#         outputs.append(m)
#     return torch.stack(outputs)
#
#
# with torch.no_grad():
#     slow = step_by_step(motion.recurrence, torch.cat([features, noise], dim=1))
# assert torch.allclose(slow, m, atol=1e-5)
# print(f"largest difference {float((slow - m).abs().max()):.1e}")

# %% [markdown]
# ## The receptive field
#
# How much does the motion at one frame depend on what was heard $n$ frames before? Ask
# the gradient $\lVert \partial m_t / \partial r_{t-n} \rVert$, in three networks with
# the weights they start from: one GRU (the baseline), three plain GRUs one above the
# other, and the dilated residual one.


# %%
def sensitivity(network: nn.Module, length: int, size: int) -> Float[Tensor, " t"]:
    """How much the last output of a recurrent network depends on each input before.

    The root mean square of 16 random directions' gradients; the present comes first.
    """
    x = torch.randn(16, length, size, requires_grad=True)
    output = network(x)[0][:, -1]
    (gradient,) = torch.autograd.grad((output * torch.randn_like(output)).sum(), x)
    return gradient.square().mean(dim=(0, 2)).sqrt().flip(0)


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# networks = {
#     "one GRU (baseline)": ResidualDilatedGRU(66, 1),
#     "three plain GRUs": nn.GRU(66, 66, num_layers=3, batch_first=True),
#     "three, dilated and residual": ResidualDilatedGRU(66, 3),
# }
# reach = {name: sensitivity(network, 48, 66) for name, network in networks.items()}
# figure, axes = show.subplots(width=8, height=3.0)
# for name, strength in reach.items():
#     axes[0, 0].semilogy(50 * np.arange(48), strength, label=name)
# axes[0, 0].set(xlabel="ms before the frame", ylabel="gradient", ylim=(1e-9, 3))
# axes[0, 0].legend()
# figure

# %% [markdown]
# Read the left end first: what is heard *now*. Three plain layers let less of it
# through than one (three gates, one behind another), the residual ones let the most.
# That is what the residual is for. Then follow the lines to the right: the dilated
# network still hears what the others have long lost. In numbers:

# %% tags=["active-ipynb"]
# rows = [
#     {"network": name, "now": s[0].item()}
#     | {f"{50 * n} ms before": s[n].item() for n in (4, 8, 20, 40)}
#     for name, s in reach.items()
# ]
# show.table(rows)

# %% [markdown]
# The same as pictures: row $t$ is the motion at frame $t$, column $s$ the input at
# frame $s$, dark where it does not matter. Nothing lies above the diagonal: $R$ is
# causal (its features look 80 ms ahead, step 1). In the third picture the dilations
# show as stripes: those 4 frames apart are the brightest, between them those of 2.

# %% tags=["active-ipynb", "receptive-field"]
# def dependence(network, length=20):
#     x = torch.randn(1, length, 66, requires_grad=True)
#     outputs = network(x)[0][0] @ torch.randn(66, 1)
#     rows = [torch.autograd.grad(o, x, retain_graph=True)[0][0] for o in outputs[:, 0]]
#     return torch.stack(rows).norm(dim=2)
#
#
# figure, axes = show.subplots(1, 3, width=3.1, height=3.0)
# for ax, (name, network) in zip(axes[0], networks.items(), strict=True):
#     strength = dependence(network)
#     assert strength.triu(1).max() == 0
#     log = strength.clamp(min=1e-4).log10()
#     seen = ax.imshow(log, vmin=-4, vmax=0.5)
#     ticks = range(0, 20, 4)
#     ax.set(title=name, xlabel="heard at frame", xticks=ticks, yticks=ticks)
#     ax.grid(False)
# axes[0, 0].set_ylabel("motion at frame")
# figure.colorbar(seen, ax=axes[0, -1], label="log₁₀ of the gradient", shrink=0.8)
# figure

# %% [markdown]
# ## Do not shout at a GRU
#
# Step 1 brought the features to -1…1 and promised a reason. A GRU's gates are
# sigmoids of sums of 66 inputs. With inputs of tens of decibels the sums are tens as
# well, and a sigmoid of 20 is 1, its slope nothing: a gate that is stuck has no
# gradient to learn by.

# %% tags=["active-ipynb"]
# layer = motion.recurrence.layers[0]
# figure, axes = show.subplots(1, 2, width=4.2, height=2.4)
# pairs = {"as released, in dB": in_db, "from -1 to 1": features}
# for ax, (name, heard) in zip(axes[0], pairs.items(), strict=True):
#     r = torch.cat([heard, noise], dim=1)
#     gates = F.linear(r, layer.weight_ih_l0, layer.bias_ih_l0)[:, :132].sigmoid()
#     stuck = 100 * ((gates < 0.01) | (gates > 0.99)).float().mean()
#     ax.hist(gates.detach().flatten(), bins=40, range=(0, 1))
#     ax.set(title=f"{name}: {stuck:.0f} % stuck", xlabel="gate", yticks=[])
# figure

# %% [markdown]
# ## From window to window
#
# A network cannot be trained through minutes of video at once. The video is cut into
# **windows** of $T$ frames (32 in the paper), and the network is trained through one
# window at a time, in their order. What happens to the state between them?
#
# - **Reset**, as is usual: each window begins as if nothing had been before. The
#   network learns that every 1.6 seconds the world begins.
# - **Carried**, as here: the last state of a window is the first of the next. The
#   *values* go on; the gradient stops at the border (`detach`).
#
# The paper calls carrying "critical for convergence". It has a price: windows must come
# one after another, so a batch is **a single sequence**. To put several into one batch
# would take several videos, or several readers in the same one.


# %%
def windows(frames: int, length: int, offset: int = 0) -> list[slice]:
    """The whole windows of `length` frames from `offset` on, one after another.

    Another offset each epoch (0 … length - 1) lets the borders fall elsewhere.
    """
    if not 0 <= offset <= frames - length:
        raise ValueError(
            f"windows of {length} frames from {offset} on do not fit in {frames} frames"
        )
    starts = range(offset, frames - length + 1, length)
    return [slice(start, start + length) for start in starts]


# %% [markdown]
# Training asks the other way round: which window has step 1,234? A function of the
# step's number alone, so that a run which was stopped goes on as if it had not been.


# %%
def window_at(step: int, frames: int, length: int, seed: int) -> tuple[slice, bool]:
    """The window of a training step, and whether the film begins anew with it.

    Each epoch has an offset of its own, drawn by seed and epoch, and as many windows
    as fit behind the largest; the film's last frames may be in none.
    """
    last = max(min(length - 1, frames - length), 0)
    count = len(windows(frames, length, last))
    epoch, place = divmod(step, count)
    offset = int(np.random.default_rng([seed, epoch]).integers(last + 1))
    return windows(frames, length, offset)[place], place == 0


# %% tags=["active-ipynb"]
# for step in range(8):
#     part, fresh = window_at(step, len(features), 32, seed=0)
#     print(f"step {step}: frames {part.start:3} to {part.stop - 1:3}", "anew" * fresh)

# %% tags=["active-ipynb"]
# carried, reset, state = [], [], None
# with torch.no_grad():
#     for part in windows(len(features), 32):
#         inside, state = motion(features[part], noise[part], state)
#         carried.append(inside)
#         reset.append(motion(features[part], noise[part])[0])
# assert torch.allclose(torch.cat(carried), m, atol=1e-5)
# jolt = (torch.cat(reset) - m).norm(dim=1) / m.norm(dim=1)
# figure, axes = show.subplots(width=8, height=2.3)
# axes[0, 0].plot(np.arange(160) / 20, 100 * jolt, label="reset at each window")
# axes[0, 0].plot(np.arange(160) / 20, 0 * jolt, label="carried: as in one pass")
# axes[0, 0].set(xlabel="s", ylabel="error of the motion [%]", ylim=(-5, 115))
# axes[0, 0].legend(ncols=2, loc="upper center")
# figure

# %% [markdown]
# Carried, the windows give exactly what one pass over the whole sound gives, and so a
# film of any length can be made window by window. Reset, the motion is wrong after each
# border and heals only slowly: a jolt in the film, at a beat that the music does not
# have.
#
# ## See the motion
#
# Untrained already, the motion follows the music. Above the features that go in, below
# the 66 numbers that come out, each brought to mean 0 and deviation 1. The two
# uppermost are where the noise goes in: they know little of the music.

# %% tags=["active-ipynb"]
# figure, axes = show.subplots(2, 1, width=9, height=1.9)
# alike = (m - m.mean(dim=0)) / m.std(dim=0)
# for ax, name, what in zip(
#     axes[:, 0], ("feature", "motion"), (features, alike.clamp(-3, 3)), strict=True
# ):
#     extent = (0, 8, 0, what.shape[1])
#     ax.imshow(what.T, origin="lower", aspect="auto", extent=extent)
#     ax.set(ylabel=name, xlabel="s")
#     ax.grid(False)
# figure

# %% [markdown]
# ## Exercises
#
# 1. What happened $n$ frames ago reaches the present over steps of the layers'
#    dilations. How few steps can it be?
# 2. Run a GRU of torch's over a long sequence window by window, so that the result is
#    that of one pass, but no gradient crosses a border.

# %% tags=["active-ipynb"]
# from avnb_notebooks.listen_and_move import exercises
#
#
# def fewest_steps(lag, dilations):
#     """The fewest steps of the given lengths that add up to `lag` frames."""
#     ...  # your code
#
#
# course.try_exercise(exercises.FEWEST_STEPS, fewest_steps)

# %% tags=["active-ipynb"]
# def carried_over(gru, x, length):
#     """X (T, M) through a torch.nn.GRU in windows of `length` → (T, H).
#
#     The state goes from window to window, gradients do not. The last window may be
#     shorter.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.CARRIED_OVER, carried_over)
