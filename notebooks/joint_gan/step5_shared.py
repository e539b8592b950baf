# %% [markdown]
# # Step 5 · What couples them: a shared latent, and a shared clock
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/joint_gan/step5_shared.ipynb)
#
# In step 4 the model learned sounds and videos, and nothing about which belong
# together. The paper ends there. This notebook is **ours**: two changes that make
# coupling possible, with networks of the same size and the same number of steps.
#
# **You will learn**
#
# 1. why a shared noise is needed, and why it is not enough,
# 2. what the critics must see in addition, and how Eq. 2 grows by a kind of pair,
# 3. how one recurrent network can drive each frame and the sound, by FiLM,
# 4. how to check who depends on whom before anything is trained.
#
# **Time.** About 20 minutes to read. The cells run in about a minute.
#
# **Before you start.** Read step 4.
#
# **Letters.** s shared latent (50 numbers) · e_a, e_v each side's own noise · T frames
# · M motion code · C channels of the sound's maps · γ, β scale and shift.

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
from pathlib import Path

import torch
from avnb_notebooks.joint_gan.step4_pairs import (
    RATE,
    JointGenerator,
    Method,
    find_frames,
    make_mlp,
)
from jaxtyping import Float
from torch import Tensor, nn

from avnb import training


# %% tags=["active-ipynb"]
# from avnb_notebooks.joint_gan.step4_pairs import (
#     BOTH_MADE,
#     PICTURE_MADE,
#     SOUND_MADE,
#     ToyGenerator,
#     count_corners,
#     draw_pairs,
#     pair_critic_loss,
#     train_toy,
# )
#
# from avnb import course
# from avnb.viz import show

# %% [markdown]
# ## A shared latent
#
# Both generators get the same 50 numbers s, and each has noise of its own beside them:
#
# $$\epsilon_0 = (s, e_a),\qquad Z_C = (s, e_v),\qquad s\sim\mathcal N(0, I_{50}) .$$
#
# s can say *what* is played: it is in the sound, and it is in the content of all
# frames. Its size comes out of the noise that was there, so the networks stay as large
# as JM's.


# %%
class SharedNoise(JointGenerator):
    """Sound and picture share `shared` numbers of their noise; else as JointGenerator.

    `noise` and `content` are the whole sizes, with the shared part.
    """

    def __init__(
        self, sound_width: int = 64, width: int = 64, size: int = 64, noise: int = 100,
        content: int = 90, motion: int = 10, upsample="transposed", shared: int = 50,
    ) -> None:  # fmt: skip
        super().__init__(sound_width, width, size, noise, content, motion, upsample)
        self.shared = shared
        self.sizes |= {"sound": noise - shared, "content": content - shared}

    def draw_noise(
        self, count: int, frames: int, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Own noises as before, and "shared"."""
        noise = super().draw_noise(count, frames, generator)
        device = None if generator is None else generator.device
        shared = torch.randn(count, self.shared, generator=generator, device=device)
        return noise | {"shared": shared}


# %%
class SharedGenerator(SharedNoise):
    """G_a and G_I with a shared latent; arguments of SharedNoise."""

    def share(self, noise: dict[str, Tensor]) -> dict[str, Tensor]:
        """ε₀ = (s, e_a) and Z_C = (s, e_v)."""
        whole = {
            name: torch.cat([noise["shared"], noise[name]], dim=1)
            for name in ("sound", "content")
        }
        return noise | whole

    def forward(self, noise: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """â (B, 1, samples) and v̂ (B, 3, T, N, N)."""
        return super().forward(self.share(noise))


# %% [markdown]
# ## The pair that nobody had seen
#
# A shared latent alone changes nothing. The critics see $(\hat a, v)$ and $(a, \hat
# v)$, where the other half comes from a recording that knows nothing of s. So s would
# be noise like any other. They must see the pair $(\hat a, \hat v)$ as well. $D_1$ must
# call it made, both generators want it to be called real, and $D_2$ has three answers:
#
# $$C'_M = C_M(D_1, D_2) + \mathbb E[\log((1-D_1(\hat a,\hat v))\,
#   p_2(\text{both made}\mid\hat a,\hat v))] .$$
#
# `log_kinds` of step 4 takes the four columns of logits as they are:

# %% tags=["active-ipynb", "four-kinds"]
# torch.manual_seed(0)
# real, no_a, no_v, neither = torch.randn(4, 5, 4)
# fakes = {SOUND_MADE: no_a, PICTURE_MADE: no_v, BOTH_MADE: neither}
# D1, D2 = neither[:, 0].sigmoid(), neither[:, 1:].softmax(1)
# by_hand = ((1 - D1) * D2[:, 2]).log().mean()
# with_it = pair_critic_loss(real, fakes)
# without = pair_critic_loss(real, {k: fakes[k] for k in (SOUND_MADE, PICTURE_MADE)})
# assert torch.allclose(without - with_it, by_hand, atol=1e-5)
# print(f"the new term: {by_hand.item():.4f}")

# %% [markdown]
# ## The toy again
#
# The same numbers near (-1, -1) and (1, 1), the same critics, the same number of steps.
# Half of each generator's noise is now shared:


# %%
class ToySharedGenerator(nn.Module):
    """As ToyGenerator, but two of the four noise numbers are the same for both."""

    def __init__(self) -> None:
        super().__init__()
        self.sound, self.picture = make_mlp(4, 1), make_mlp(4, 1)

    def draw_noise(self, count: int) -> dict[str, Tensor]:
        """Two shared numbers and two of each side's own."""
        return {k: torch.randn(count, 2) for k in ("shared", "sound", "picture")}

    def forward(self, noise: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """â and v̂."""
        s = noise["shared"]
        a, v = (torch.cat([s, noise[k]], dim=1) for k in ("sound", "picture"))
        return self.sound(a), self.picture(v)


# %% tags=["active-ipynb", "corners"]
# both = Method(both_made=True)
# variants = {
#     "independent noises,\n(â, v̂) seen": (both, ToyGenerator()),
#     "shared latent,\n(â, v̂) not seen": (Method(), ToySharedGenerator()),
#     "shared latent,\n(â, v̂) seen": (both, ToySharedGenerator()),
# }
# films = {name: train_toy(*variant) for name, variant in variants.items()}
# figure, axes = show.subplots(len(films), 4, width=1.75, height=1.75)
# for places, (name, moments) in zip(axes, films.items(), strict=True):
#     for k, (ax, cloud) in enumerate(zip(places, moments, strict=True)):
#         ax.plot(*cloud.T, ".", markersize=2)
#         ax.set(xlim=(-1.8, 1.8), ylim=(-1.8, 1.8), xticks=[-1, 1], yticks=[-1, 1])
#         ax.set_title(f"step {200 * (k + 1)}", fontsize=8)
#     places[0].set_ylabel(f"{name}\nv", fontsize=8)
# for ax in axes[-1]:
#     ax.set_xlabel("a")
# figure

# %% tags=["active-ipynb", "corner-shares"]
# rows = [{"pairs": "the data"} | count_corners(torch.cat(draw_pairs(500), dim=1))]
# for name, moments in films.items():
#     rows.append({"pairs": name.replace("\n", " ")} | count_corners(moments[-1]))
# show.table(rows, "share of pairs in each corner, (sound, picture)")

# %% [markdown]
# Only both changes together find the **two** corners of the data. With independent
# noises nothing connects the two sides: the only way to please the new critic is to
# make always the same, and the toy gives up one of the two clusters. With a shared
# latent and no critic of $(\hat a, \hat v)$ nothing asks for a connection.
#
# (The new term is not in Eq. 2, and both its halves may move. So the generators follow
# its usual, non-saturating gradient: a sure "no" is useful here.)
#
# ## A shared clock
#
# s is one vector for the whole second. It can couple the *instrument*; it is a poor way
# to say *when* the hand strikes. For that, sound and picture must share something that
# changes with time. There is such a thing already: the states of the motion GRU, one a
# frame. They drive each frame. Now they also **modulate the sound**:
#
# $$x'_{c}[j] = (1 + \gamma_c(Z_{k(j)}))\; x_c[j] + \beta_c(Z_{k(j)}) .$$
#
# x are the maps of $G_a$ after its first layer up: 64 places of 16 ms. Place j lies in
# frame k(j), by the one clock of step 1. γ and β are a linear function of the state.
# This is **FiLM** (Perez et al. 2018). Its weights begin at 0, so that training starts
# from the shared latent's model. As a loop over places:
#
# `x (B, C, 64), codes (B, T, M) → (B, C, 64)`


# %%
def modulate_slowly(
    film: nn.Linear, x: Float[Tensor, "b c j"], codes: Float[Tensor, "b t m"]
) -> Float[Tensor, "b c j"]:
    """FiLM, one place of the sound after the other."""
    y, frames = torch.empty_like(x), codes.shape[1]
    for j in range(x.shape[2]):
        middle = (2 * j + 1) * 16384 // (2 * x.shape[2])  # the sample there
        k = min(middle * frames // 16000, frames - 1)  # T frames are one second
        gamma, beta = film(codes[:, k]).chunk(2, dim=1)
        y[:, :, j] = (1 + gamma) * x[:, :, j] + beta
    return y


# %%
def modulate(
    film: nn.Linear, x: Float[Tensor, "b c j"], codes: Float[Tensor, "b t m"]
) -> Float[Tensor, "b c j"]:
    """The same, all places at once: the linear layer runs once a frame."""
    at = find_frames(x.shape[2], codes.shape[1]).to(x.device)
    gamma, beta = film(codes).transpose(1, 2)[:, :, at].chunk(2, dim=1)
    return torch.addcmul(beta, x, 1 + gamma)


# %% tags=["active-ipynb", "film"]
# torch.manual_seed(0)
# film, x = nn.Linear(10, 6), torch.randn(2, 3, 64)
# with torch.no_grad():
#     for frames in (10, 25):
#         codes = torch.randn(2, frames, 10)
#         slow = modulate_slowly(film, x, codes)
#         assert torch.allclose(modulate(film, x, codes), slow, atol=1e-6)
# one, zero = torch.ones(1, 1, 64), torch.zeros(1, 1, 64)
# walk = torch.randn(1, 10, 1).cumsum(1)
# only_scale = nn.Linear(1, 2, bias=False)
# only_scale.weight.data[:] = torch.tensor([[0.3], [0.0]])
# with torch.no_grad():
#     scaled = modulate(only_scale, one, walk)[0, 0]
# figure, axes = show.subplots(1, 1, width=6, height=2)
# axes[0, 0].step(torch.arange(64) * 0.016, scaled, where="post")
# axes[0, 0].set(xlabel="s", ylabel="1 + γ", title="one scale a frame, 10 a second")
# figure


# %%
class TimedGenerator(SharedGenerator):
    """The motion GRU's states drive each frame and, by FiLM, the sound."""

    def __init__(
        self, sound_width: int = 64, width: int = 64, size: int = 64, noise: int = 100,
        content: int = 90, motion: int = 10, upsample="transposed", shared: int = 50,
    ) -> None:  # fmt: skip
        super().__init__(
            sound_width, width, size, noise, content, motion, upsample, shared
        )
        self.film = nn.Linear(motion, 2 * 8 * sound_width)  # γ and β of 8 d channels
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, noise: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """â (B, 1, samples) and v̂ (B, 3, T, N, N)."""
        noise = self.share(noise)
        codes = self.picture.move(noise["motion"], noise["start"])
        same = noise["content"][:, None].expand(-1, codes.shape[1], -1)
        video = self.picture.paint(torch.cat([same, codes], dim=2))
        x = modulate(self.film, self.sound.begin(noise["sound"]), codes)
        return self.sound.finish(x), video


# %% [markdown]
# The critics of pairs must have the `timed` form here, which compares step by step.
#
# ## The rows


# %%
def list_coupled_methods() -> dict[str, Method]:
    """The two variants that can be coupled; both have the term with (â, v̂)."""
    return {
        "shared": Method(both_made=True, coupling="latent"),
        "timed": Method(both_made=True, coupling="time", form="timed"),
    }


# %%
def make_generator(method: Method, **sizes) -> JointGenerator:
    """The generators of a method; `sizes` are the arguments of JointGenerator."""
    kinds = {"none": JointGenerator, "latent": SharedGenerator, "time": TimedGenerator}
    return kinds[method.coupling](**sizes)


# %% [markdown]
# ## From a trained generator to clips
#
# The steps that follow load a generator from its file and let it make clips. The noise
# comes from a generator of random numbers with a seed of its own, so that networks with
# noise of the same sizes answer the same noise.


# %%
def load_generator(path: Path, method: Method) -> JointGenerator:
    """The generators of a method, as step 6 has saved them, in eval mode."""
    kinds = {"none": JointGenerator, "latent": SharedGenerator, "time": TimedGenerator}
    return training.load_model(path, kinds[method.coupling])


@torch.no_grad()
def generate_clips(
    generator: JointGenerator, count: int, frames: int, seed: int = 0, batch: int = 16
) -> tuple[Tensor, Tensor]:
    """Sounds (count, 1, samples) and videos (count, 3, T, N, N), on the CPU."""
    device = next(generator.parameters()).device
    random, parts = torch.Generator().manual_seed(seed), []
    was_training = generator.training
    generator.eval()
    for start in range(0, count, batch):
        noise = generator.draw_noise(min(batch, count - start), frames, random)
        made = generator({name: x.to(device) for name, x in noise.items()})
        parts.append([x.float().cpu() for x in made])
    generator.train(was_training)
    sounds, videos = (torch.cat(x) for x in zip(*parts, strict=True))
    return sounds, videos


# %% tags=["active-ipynb", "same-size"]
# rows = []
# for coupling in ("none", "latent", "time"):
#     for width in (16, 64):
#         with torch.device("meta"):
#             G = make_generator(
#                 Method(coupling=coupling), sound_width=width, width=width
#             )
#         count = sum(p.numel() for p in G.parameters())
#         rows.append({"coupling": coupling, "width": width, "weights": count})
# show.table(rows, "the coupled generators are about as large as JM's")

# %% [markdown]
# ## Who depends on whom?
#
# Before any training we can ask an untrained generator which of its noises reaches
# which of its outputs. We change one noise and compare. The motion noise is changed
# from the sixth frame on, that is from 0.5 s on. (For this test FiLM gets random
# weights.)


# %%
@torch.no_grad()
def measure_reach(
    generator: JointGenerator, name: str, frames: int = 10, first: int = 5
) -> tuple[Float[Tensor, " frames"], Float[Tensor, " frames"]]:
    """How much sound and picture change in each frame when one noise is drawn anew.

    Motion noise is changed from frame `first` on. Changes are relative to the sound's
    and the picture's own deviation.
    """
    generator = generator.eval()
    noise = generator.draw_noise(2, frames)
    other = dict(noise)
    if name == "motion":
        other[name] = noise[name].clone()
        other[name][:, first:] = torch.randn_like(noise[name][:, first:])
    else:
        other[name] = generator.draw_noise(2, frames)[name]
    (a, v), (changed_a, changed_v) = generator(noise), generator(other)
    of_sound = (a - changed_a)[:, 0, :RATE].unflatten(1, (frames, -1))
    of_video = (v - changed_v).transpose(1, 2).flatten(2)
    return of_sound.abs().mean((0, 2)) / a.std(), of_video.abs().mean((0, 2)) / v.std()


# %% tags=["active-ipynb", "reach"]
# torch.manual_seed(0)
# sizes = {"sound_width": 4, "width": 4, "size": 16}
# rows = []
# for coupling in ("none", "latent", "time"):
#     G = make_generator(Method(coupling=coupling), **sizes)
#     if coupling == "time":
#         nn.init.normal_(G.film.weight, 0, 0.5)
#     for name in G.draw_noise(1, 10):
#         if name == "start":
#             continue
#         heard, seen = measure_reach(G, name)
#         row = {"coupling": coupling, "noise": name, "sound": heard.mean().item()}
#         rows.append(row | {"picture": seen.mean().item()})
# show.table(rows, "mean change, in deviations; 0: this noise does not reach it")

# %% tags=["active-ipynb", "reach-in-time"]
# heard, seen = measure_reach(G, "motion")
# show.curves(
#     {"sound": heard, "picture": seen},
#     x="frame",
#     y="change / own deviation",
#     mark=5,
#     title="time-coupled: the motion noise is new from frame 5 on, counted from 0",
# )

# %% [markdown]
# Without coupling each noise reaches one side. The shared latent reaches both. In the
# time-coupled variant a change of the motion from 0.5 s on leaves the frames before it
# alone, and changes sound and picture at the same time. (The filters of the sound reach
# a little to both sides.) Whether training uses these paths is for step 7 to measure.
#
# ## What came out
#
# - Coupling needs two things: something shared, and a critic of $(\hat a, \hat v)$. The
#   toy finds the two corners with both, and with neither of them alone.
# - A shared vector can say what is played. For the moment of a strike the two sides
#   need a shared clock: the GRU's states, through FiLM.
# - Both variants have (nearly) the weights of JM.
#
# ## Exercises
#
# 1. Build FiLM.
# 2. How often can two independent sides agree?

# %% tags=["active-ipynb"]
# from avnb_notebooks.joint_gan import exercises
#
#
# def film_sound(x, codes, weight, bias, frame):
#     """FiLM of x (B, C, J) by codes (B, T, M): place j gets the code of frame[j].
#
#     codes @ weight.T + bias has 2 C numbers a frame: first γ, then β. The scale is
#     1 + γ.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.FILM_SOUND, film_sound)

# %% tags=["active-ipynb"]
# def chance_agreement(q, r):
#     """The share of pairs of one class, if sounds have shares q and pictures r.
#
#     The two are drawn independently. q and r are tensors (classes,).
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.CHANCE_AGREEMENT, chance_agreement)
