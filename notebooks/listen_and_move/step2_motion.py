# %% [markdown]
# # Step 2 · Motion: a recurrent network with three time scales
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/listen_and_move/step2_motion.ipynb)
#
# The 80 ms of sound of one frame are not enough to generate that frame. Which way the
# bow goes is heard in the attack of the stroke, which may lie a second back, and in how
# the tone colour changes since. A musical phrase lasts seconds.
# Between the sound and the frames there is therefore a recurrent network $R$
# (Sec. 3.2). It reads the features frame by frame and computes a **motion** vector
# $m_t$ for each.
#
# **You will learn**
#
# 1. what a GRU computes: its two gates and its candidate state,
# 2. why the paper's layers are **dilated** and **residual**, with the recurrence
#    written out as a loop over time,
# 3. why `avnb.layers` computes the same numbers several times faster,
# 4. how far back the network hears, measured with gradients,
# 5. how its state is carried from window to window, and why a batch is one sequence.
#
# **Time.** About 25 minutes to read. The cells run in less than a minute.
#
# **Before you start.** Read step 1. You should know what a recurrent network is; all
# equations of the GRU are below.
#
# **Letters.** T frames · B sound features (64) · E noise (2) · M = B + E motion (66) ·
# d dilation · l layer · N batch.

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
import time
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from avnb.layers import ResidualDilatedGRU


# %% tags=["active-ipynb"]
# from avnb_notebooks.listen_and_move.step1_data import AudioFeatures
#
# from avnb import course
# from avnb.features import ChunkFeatures
# from avnb.viz import show
# from data_scripts import bandstand

# %% [markdown]
# We need a sound to work with: eight seconds of a drawn cellist (player 6, as in the
# embedded video), with the features of step 1.

# %% tags=["active-ipynb"]
# take = bandstand.record_take("melodic", player=6, seconds=8, seed=0)
# sound = torch.from_numpy(take.synthesise(16000))
# level = ChunkFeatures(16000).measure_peak_energy(sound)
# features = AudioFeatures(16000, level=level)(sound, frames=160)
# in_db = AudioFeatures(16000)(sound, frames=160)
# print(f"ours {tuple(features.shape)} in {features.min():.1f} … {features.max():.1f}")
# print(f"as released {in_db.min():.0f} … {in_db.max():.0f} dB")
# show.listen([sound.numpy()], 16000, ["eight seconds of cello"])

# %% [markdown]
# ## Motion from sound
#
# One sound allows many motions. $R$ therefore gets random noise beside the sound: a
# vector $e_t \in \mathbb R^E$, drawn anew for each frame, with $E = 2$ ("just a guess",
# says the paper). The input and the output of $R$ have the same size, $M = B + E$:
#
# $$r_t = [f_t, e_t], \qquad \boldsymbol m = R(\boldsymbol r).$$
#
# Independent noise in each frame would make the picture tremble. A recurrent network
# remembers earlier inputs, so it turns independent numbers into a smooth path:

# %% tags=["active-ipynb"]
# torch.manual_seed(1)
# noise = torch.randn(80, 1, 8)
# with torch.no_grad():
#     path, _ = nn.GRU(8, 8, num_layers=2)(noise)
# figure, axes = show.subplots(1, 2, width=4.4, height=2.2)
# for ax, name, values in zip(
#     axes[0], ("noise", "after a GRU"), [noise, path], strict=True
# ):
#     ax.plot(values[:, 0, :2])
#     ax.set(title=name, xlabel="frame")
# figure

# %% [markdown]
# ## The GRU, equation by equation
#
# A **gated recurrent unit** keeps a hidden state $h$ and updates it with each input
# $x$. Let $h'$ be the state before the update. The **reset gate** $r$ decides how much
# of the old state the candidate may use. The **candidate** $n$ is the proposed new
# state. The **update gate** $z$ decides how much of the old state is kept:
#
# $$\begin{aligned}
# r &= \sigma(W_r x + b_r + U_r h' + c_r) && \text{reset gate} \\
# z &= \sigma(W_z x + b_z + U_z h' + c_z) && \text{update gate} \\
# n &= \tanh\big(W_n x + b_n + r \odot (U_n h' + c_n)\big) && \text{candidate} \\
# h &= (1 - z) \odot n + z \odot h' && \text{new state}
# \end{aligned}$$
#
# $\sigma$ is the sigmoid, so both gates lie between 0 and 1, and $\odot$ multiplies
# element by element. Where $z$ is close to 1 the state passes unchanged: this is how a
# GRU remembers. Each line of code below is one line of the equations.
#
# `x (N, M), state (N, M) → state (N, M)`


# %%
class PlainGRUCell(nn.Module):
    """One step of a GRU, written line by line from its equations."""

    def __init__(self, size: int) -> None:
        super().__init__()
        # W and U of the three gates lie above one another: r, z, n, as in torch's GRU
        self.from_input = nn.Linear(size, 3 * size)  # W x + b
        self.from_state = nn.Linear(size, 3 * size)  # U h' + c

    def forward(
        self, x: Float[Tensor, "n m"], state: Float[Tensor, "n m"]
    ) -> Float[Tensor, "n m"]:
        """Input and old state → new state."""
        x_r, x_z, x_n = self.from_input(x).chunk(3, dim=1)
        h_r, h_z, h_n = self.from_state(state).chunk(3, dim=1)
        r = torch.sigmoid(x_r + h_r)  # reset gate
        z = torch.sigmoid(x_z + h_z)  # update gate
        n = torch.tanh(x_n + r * h_n)  # candidate
        return (1 - z) * n + z * state


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# cell = PlainGRUCell(66)
# reference = nn.GRUCell(66, 66)  # torch's own, with the same weights
# reference.weight_ih, reference.bias_ih = cell.from_input.weight, cell.from_input.bias
# reference.weight_hh, reference.bias_hh = cell.from_state.weight, cell.from_state.bias
# x, state = torch.randn(5, 66), torch.randn(5, 66)
# assert cell(x, state).shape == (5, 66)
# assert torch.allclose(cell(x, state), reference(x, state), atol=1e-6)
# print("one step (5, 66) →", tuple(cell(x, state).shape), "as torch's GRUCell gives")

# %% [markdown]
# ## Dilated and residual (Eq. 1)
#
# A GRU's state moves from frame to frame, in steps of 50 ms. To know what happened two
# seconds ago, the state must survive forty steps, and each step may forget. A layer
# with **dilation** $d$ uses its state of $d$ frames ago instead, so the same two
# seconds take only $40/d$ steps. The paper stacks three layers, each with twice the
# dilation of the one below:
#
# $$m_t^l = \varphi\left(R^l(m_t^{l-1}, m_{t-d}^l) + m_t^{l-1}\right). \tag{1}$$
#
# $R^l$ is the GRU of layer $l$ and $\varphi$ a leaky ReLU. The **residual connection**
# $+\,m_t^{l-1}$ leads around each layer. The current input reaches the output through
# it, whether or not the layers have learned to pass it on.

# %% tags=["active-ipynb"]
# figure, axes = show.subplots(width=8.5, height=3.4)
# ax = axes[0, 0]
# arrow = {"arrowstyle": "-|>", "shrinkA": 7, "shrinkB": 8}
# bent = {"connectionstyle": "arc3,rad=-0.25"}
# for y, (d, colour) in enumerate(zip((1, 2, 4), show.COLOURS, strict=False), start=1):
#     for t in range(9):
#         used = (8 - t) % d == 0
#         ax.plot(t, y, "o", markersize=13, color=colour, alpha=1 if used else 0.2)
#         if used and t + d <= 8:
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
# The paper contradicts itself in three places. Each choice gives another network:
#
# - **The dilation.** The text has $d = 2^l$ with $l$ from 1, which gives 2, 4, 8. Fig.
#   2 and "50, 100 and 200 ms" mean 1, 2, 4. We use 1, 2, 4.
# - **What is used after $d$ frames.** In the formula it is the layer's *output* $m$. In
#   the text it is the "skipped *hidden state*". We use the hidden state.
# - **The sum.** The formula has the plain sum. We divide the sum by $\sqrt 2$, so that
#   the values do not grow from layer to layer.
#
# The released code makes the same three choices. Here is Eq. 1 as a loop: over the
# frames, and within each frame over the layers. Each layer has a queue of its last $d$
# hidden states. The oldest one is taken out and the new one is put in.
#
# `x (N, T, M) → m (N, T, M)`


# %%
class PlainDilatedGRU(nn.Module):
    """The dilated residual recurrence of Eq. 1 as a loop over frames and layers."""

    def __init__(self, size: int, num_layers: int = 3) -> None:
        super().__init__()
        self.size = size
        self.cells = nn.ModuleList(PlainGRUCell(size) for _ in range(num_layers))

    def forward(self, x: Float[Tensor, "n t m"]) -> Float[Tensor, "n t m"]:
        """Whole sequences at once, from states of zeros."""
        zeros = x.new_zeros(len(x), self.size)
        # layer l (from 0) has dilation 2**l, so it keeps its last 2**l states
        queues = [[zeros] * 2**layer for layer in range(len(self.cells))]
        outputs = []
        for m in x.unbind(dim=1):  # frame by frame
            for cell, queue in zip(self.cells, queues, strict=True):
                h = cell(m, queue.pop(0))  # the state of d frames ago
                queue.append(h)
                m = F.leaky_relu((h + m) / math.sqrt(2), 0.2)  # residual
            outputs.append(m)
        return torch.stack(outputs, dim=1)


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# plain = PlainDilatedGRU(66)
# noise = torch.randn(160, 2)
# r = torch.cat([features, noise], dim=1)[None]
# with torch.no_grad():
#     slow = plain(r)
# assert slow.shape == r.shape == (1, 160, 66)
# print(f"r {tuple(r.shape)} → m {tuple(slow.shape)}")

# %% [markdown]
# ## The fast version
#
# The loop is slow. Each of the 160 × 3 steps launches about a dozen small operations,
# and on matrices this small the launching takes longer than the arithmetic.
#
# Because the *hidden state* is what returns after $d$ frames, frames that lie $d$ apart
# never use the states of the frames between them. A layer with dilation $d$ is
# therefore $d$ independent GRUs. They can run as one batch of $d$ sequences, in a
# single call. On a GPU that call is cuDNN's. On a CPU `avnb.layers` has its own loop,
# since torch's CPU loop launches some thirty small operations for each step.

# %% tags=["active-ipynb"]
# course.show_source(ResidualDilatedGRU)

# %% [markdown]
# Does it compute the same numbers? To compare, both layers need the same weights. The
# next function lists the weights of the plain layer by the names that the fast layer
# has for them.


# %%
def rename_gru_weights(
    plain: PlainDilatedGRU, read: Callable[[Tensor], Tensor] = Tensor.detach
) -> dict[str, Tensor]:
    """The weights of the plain layer under the names of `ResidualDilatedGRU`.

    `read` says what to take of each weight. The tests use it to compare gradients.
    """
    renamed = {}
    for layer, cell in enumerate(plain.cells):
        for part, linear in (("ih", cell.from_input), ("hh", cell.from_state)):
            renamed[f"layers.{layer}.weight_{part}_l0"] = read(linear.weight)
            renamed[f"layers.{layer}.bias_{part}_l0"] = read(linear.bias)
    return renamed


# %%
def time_layer(layer: nn.Module, x: Tensor, repeats: int = 5) -> float:
    """Seconds for one forward and backward pass: the fastest of several passes."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        output = layer(x)
        output = output[0] if isinstance(output, tuple) else output
        output.square().mean().backward()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


# %% tags=["active-ipynb", "fast-gru"]
# fast = ResidualDilatedGRU(66)
# fast.load_state_dict(rename_gru_weights(plain))
# with torch.no_grad():
#     quick, _ = fast(r)
# assert torch.allclose(slow, quick, atol=1e-5)
# print(f"largest difference of the outputs: {float((slow - quick).abs().max()):.1e}")
# seconds = {"plain loop": time_layer(plain, r), "avnb.layers": time_layer(fast, r)}
# show.table(
#     [
#         {
#             "160 frames, forward and backward": name,
#             "ms": 1000 * s,
#             "times faster": seconds["plain loop"] / s,
#         }
#         for name, s in seconds.items()
#     ]
# )

# %% [markdown]
# The outputs are equal up to rounding. (The times are from the machine that ran this
# notebook, and other programs on it change them.)
#
# ## The motion network
#
# `MotionRNN` is the paper's $R$: the recurrence, with noise beside the features. With
# one layer there is neither dilation nor a residual connection. That plain GRU is the
# **baseline** of Table 1, called motion from sound (MfS).
#
# `features (T, B), noise (T, E) → motion (T, B + E), state`


# %%
class MotionRNN(nn.Module):
    """R: features and noise → motion and state; one layer is the baseline's GRU."""

    def __init__(self, bands: int = 64, noise: int = 2, layers: int = 3) -> None:
        super().__init__()
        self.size, self.noise_size = bands + noise, noise
        self.recurrence = ResidualDilatedGRU(self.size, layers)

    def sample_noise(self, *shape: int) -> Float[Tensor, "*n t e"]:
        """Draw e from a standard normal: for T frames, or for N readers of T frames."""
        device = next(self.parameters()).device
        return torch.randn(*shape, self.noise_size, device=device)

    def forward(
        self,
        features: Float[Tensor, "*n t b"],
        noise: Float[Tensor, "*n t e"],
        state: Float[Tensor, "n slots m"] | None = None,
    ) -> tuple[Float[Tensor, "*n t m"], Float[Tensor, "n slots m"]]:
        """A window, or one of each of N readers; no state: nothing was heard before."""
        r = torch.cat([features, noise], dim=-1)
        motion, state = self.recurrence(r if r.ndim == 3 else r[None], state)
        return motion.reshape(r.shape), state


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# motion_rnn, baseline = MotionRNN(), MotionRNN(layers=1)
# noise = motion_rnn.sample_noise(len(features))
# with torch.no_grad():
#     m, state = motion_rnn(features, noise)
# assert m.shape == (160, 66)
# assert state.shape == (1, 1 + 2 + 4, 66)
# for name, network in {"R": motion_rnn, "baseline": baseline}.items():
#     print(f"{name:9} {sum(p.numel() for p in network.parameters()):6,} weights")

# %% [markdown]
# ## How far back does it hear?
#
# How much does the motion of one frame depend on the input $n$ frames earlier? The
# gradient $\lVert \partial m_t / \partial r_{t-n} \rVert$ answers this. We compute it
# for three untrained networks: one GRU (the baseline), three stacked plain GRUs, and
# the dilated residual network.


# %%
def measure_sensitivity(
    network: nn.Module, length: int, size: int
) -> Float[Tensor, " t"]:
    """How strongly the last output of a recurrent network depends on each input.

    Returns:
        The root mean square gradient over 16 random sequences, for each lag from 0 (the
        last frame itself) to length - 1.
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
# sensitivity = {
#     name: measure_sensitivity(network, 48, 66) for name, network in networks.items()
# }
# figure, axes = show.subplots(width=8, height=3.0)
# for name, values in sensitivity.items():
#     axes[0, 0].semilogy(50 * np.arange(48), values, label=name)
# axes[0, 0].set(xlabel="ms before the frame", ylabel="gradient", ylim=(1e-9, 3))
# axes[0, 0].legend()
# figure

# %% [markdown]
# Look at the left end first, the input of the frame itself. Three plain layers pass on
# less of it than one layer, because it has to go through three sets of gates. The
# residual network passes on the most, which is the purpose of the residual connections.
# Now follow the curves to the right. The dilated network still depends on inputs that
# the other two have long forgotten. In numbers:

# %% tags=["active-ipynb"]
# rows = [
#     {"network": name, "now": s[0].item()}
#     | {f"{50 * n} ms before": s[n].item() for n in (4, 8, 20, 40)}
#     for name, s in sensitivity.items()
# ]
# show.table(rows)

# %% [markdown]
# The next figure shows the same for all pairs of frames. Row $t$ is the motion at frame
# $t$, column $s$ is the input at frame $s$, and dark means no dependence. Nothing lies
# above the diagonal, so $R$ is causal (its features look 80 ms ahead, see step 1). The
# third picture has stripes: the strongest dependence is on frames 4 apart, the next
# strongest on frames 2 apart. These are the dilations.

# %% tags=["active-ipynb", "receptive-field"]
# def measure_dependence(network, length=20):
#     """Norm of the gradient: motion at frame (row), input at frame (column)."""
#     x = torch.randn(1, length, 66, requires_grad=True)
#     outputs = network(x)[0][0] @ torch.randn(66, 1)
#     rows = [torch.autograd.grad(o, x, retain_graph=True)[0][0] for o in outputs[:, 0]]
#     return torch.stack(rows).norm(dim=2)
#
#
# figure, axes = show.subplots(1, 3, width=3.1, height=3.0)
# for ax, (name, network) in zip(axes[0], networks.items(), strict=True):
#     strength = measure_dependence(network)
#     assert strength.triu(1).max() == 0
#     log = strength.clamp(min=1e-4).log10()
#     picture = ax.imshow(log, vmin=-4, vmax=0.5)
#     ticks = range(0, 20, 4)
#     ax.set(title=name, xlabel="input at frame", xticks=ticks, yticks=ticks)
#     ax.grid(False)
# axes[0, 0].set_ylabel("motion at frame")
# figure.colorbar(picture, ax=axes[0, -1], label="log₁₀ of the gradient", shrink=0.8)
# figure

# %% [markdown]
# ## Large inputs saturate the gates
#
# Step 1 scaled the features to -1…1 and promised a reason. A GRU's gates are sigmoids
# of sums over 66 inputs. If the inputs are tens of decibels, the sums are tens as well.
# The sigmoid of 20 is practically 1 and its slope practically 0. Such a gate is
# saturated: it does not depend on the input, and no gradient flows through it.

# %% tags=["active-ipynb"]
# layer = motion_rnn.recurrence.layers[0]
# figure, axes = show.subplots(1, 2, width=4.2, height=2.4)
# pairs = {"as released, in dB": in_db, "from -1 to 1": features}
# for ax, (name, values) in zip(axes[0], pairs.items(), strict=True):
#     r = torch.cat([values, noise], dim=1)
#     # the first 2 × 66 rows of the weights belong to the reset and the update gate
#     gates = F.linear(r, layer.weight_ih_l0, layer.bias_ih_l0)[:, :132].sigmoid()
#     saturated = 100 * ((gates < 0.01) | (gates > 0.99)).float().mean()
#     ax.hist(gates.detach().flatten(), bins=40, range=(0, 1))
#     ax.set(title=f"{name}: {saturated:.0f} % saturated", xlabel="gate", yticks=[])
# figure

# %% [markdown]
# ## From window to window
#
# A network cannot be trained through minutes of video at once. The video is cut into
# **windows** of $T$ frames (32 in the paper), and the network is trained on one window
# after another. What happens to the state between two windows?
#
# - **Reset**, which is usual: each window starts from a state of zeros. The network
#   learns that every 1.6 seconds everything starts from nothing.
# - **Carried**, as here: the last state of a window is the first state of the next. The
#   *values* are passed on. The gradient stops at the border (`detach`).
#
# The paper calls carrying the state "critical for convergence". It has a price: windows
# must come one after another, so a batch is **a single sequence**. A larger batch needs
# several videos, or several starting points in the same video. Step 6 does the second:
# its *readers* each go through a part of their own.


# %%
def split_windows(frames: int, length: int, offset: int = 0) -> list[slice]:
    """All full windows of `length` frames from frame `offset` on, one after another.

    With another offset in each epoch (0 … length - 1) the borders move.

    Raises:
        ValueError: not even one window fits.
    """
    if not 0 <= offset <= frames - length:
        raise ValueError(
            f"windows of {length} frames from {offset} on do not fit in {frames} frames"
        )
    starts = range(offset, frames - length + 1, length)
    return [slice(start, start + length) for start in starts]


# %% [markdown]
# Training asks the question the other way round: which window belongs to step 1,234?
# The answer depends on the number of the step alone. An interrupted run can therefore
# go on exactly where it stopped.


# %%
def select_window(step: int, frames: int, length: int, seed: int) -> tuple[slice, bool]:
    """The window of a training step, and whether the video starts again with it.

    Each epoch has its own offset, which depends on the seed and the epoch. All epochs
    have as many windows as fit behind the largest offset, so the last frames of the
    video may be in none of them.
    """
    last = max(min(length - 1, frames - length), 0)
    count = len(split_windows(frames, length, last))
    epoch, place = divmod(step, count)
    offset = int(np.random.default_rng([seed, epoch]).integers(last + 1))
    return split_windows(frames, length, offset)[place], place == 0


# %% tags=["active-ipynb"]
# for step in range(8):
#     part, restart = select_window(step, len(features), 32, seed=0)
#     note = "(video starts again)" if restart else ""
#     print(f"step {step}: frames {part.start:3} to {part.stop - 1:3}", note)

# %% tags=["active-ipynb"]
# carried, reset, state = [], [], None
# with torch.no_grad():
#     for part in split_windows(len(features), 32):
#         output, state = motion_rnn(features[part], noise[part], state)
#         carried.append(output)
#         reset.append(motion_rnn(features[part], noise[part])[0])
# assert torch.allclose(torch.cat(carried), m, atol=1e-5)
# error = (torch.cat(reset) - m).norm(dim=1) / m.norm(dim=1)
# figure, axes = show.subplots(width=8, height=2.3)
# axes[0, 0].plot(np.arange(160) / 20, 100 * error, label="reset at each window")
# axes[0, 0].plot(np.arange(160) / 20, 0 * error, label="carried: as in one pass")
# axes[0, 0].set(xlabel="s", ylabel="error of the motion [%]", ylim=(-5, 115))
# axes[0, 0].legend(ncols=2, loc="upper center")
# figure

# %% [markdown]
# With the state carried, the windows give exactly what one pass over the whole sound
# gives. A video of any length can therefore be generated window by window. With the
# state reset, the motion is wrong after each border and recovers slowly. In the video
# this would be a jolt every 1.6 seconds, at moments that have nothing to do with the
# music.
#
# ## Look at the motion
#
# Even the untrained motion follows the music. Above are the input features, below the
# 66 motion values, each normalised to mean 0 and standard deviation 1. The two
# uppermost rows belong to the noise inputs, and they depend little on the music.

# %% tags=["active-ipynb"]
# figure, axes = show.subplots(2, 1, width=9, height=1.9)
# normalised = (m - m.mean(dim=0)) / m.std(dim=0)
# for ax, name, unit, values in zip(
#     axes[:, 0],
#     ("feature", "motion"),
#     ("from −1 to 1", "deviations"),
#     (features, normalised.clamp(-3, 3)),
#     strict=True,
# ):
#     extent = (0, 8, 0, values.shape[1])
#     drawn = ax.imshow(values.T, origin="lower", aspect="auto", extent=extent)
#     figure.colorbar(drawn, ax=ax, label=unit)
#     ax.set(ylabel=name, xlabel="s")
#     ax.grid(False)
# figure

# %% [markdown]
# ## What came out
#
# - A GRU is four lines: reset gate, update gate, candidate, new state. The dilated
#   residual recurrence is a loop around it with a queue of states for each layer.
# - `avnb.layers.ResidualDilatedGRU` gives the same numbers faster, because a layer with
#   dilation $d$ is $d$ independent GRUs in one batch.
# - The state is carried from window to window, so that windows give what one pass
#   gives.
#
# The next cell writes from the numbers above how large these effects are:

# %% tags=["active-ipynb", "came-out"]
# slower = seconds["plain loop"] / seconds["avnb.layers"]
# print(f"The plain loop took {slower:.1f} times as long as avnb.layers.")
# best = max(sensitivity, key=lambda name: sensitivity[name][0].item())
# print(f"The network that depends most on the current input: {best}.")
# print("How much the motion depends on the input two seconds before, divided by how")
# print("much it depends on the current input:")
# for name, strength in sensitivity.items():
#     print(f"  {name}: {(strength[40] / strength[0]).item():.1e}")
# print("Where the state is reset at each window, the motion is off by up to", end=" ")
# print(f"{100 * error.max().item():.0f} %. Carried, it is that of one pass.")

# %% [markdown]
# ## Exercises
#
# 1. Write one step of a GRU from its four equations.
# 2. Run one of torch's GRUs over a long sequence window by window, so that the result
#    is that of one pass, but no gradient crosses a border.

# %% tags=["active-ipynb"]
# from avnb_notebooks.listen_and_move import exercises
#
#
# def gru_step(x, h, W, U):
#     """The new state (N, M) of input x and old state h, both (N, M).
#
#     W and U (3 M, M) hold W_r, W_z, W_n and U_r, U_z, U_n above one another. There are
#     no biases.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.GRU_STEP, gru_step)

# %% tags=["active-ipynb"]
# def run_in_windows(gru, x, length):
#     """X (T, M) through a torch.nn.GRU in windows of `length` → (T, H).
#
#     The state goes from window to window, gradients do not. The last window may be
#     shorter.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.RUN_IN_WINDOWS, run_in_windows)
