# %% [markdown]
# # Step 3 · Picture: motion, content, and two critics
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/joint_gan/step3_picture.ipynb)
#
# The second module makes a video from noise. It is MoCoGAN (Tulyakov et al. 2018): each
# frame is drawn from a vector with two parts. One says **what** is seen and is the same
# in all frames. The other says **how it moves** and changes from frame to frame. Two
# critics judge the result: $D_I$ sees one frame, $D_V$ sees them all.
#
# **You will learn**
#
# 1. how a recurrent network turns one noise vector a frame into a path of motion codes,
# 2. how one generator of frames makes a video of them, all frames at once,
# 3. how both critics are built, and why the parent's video critic cannot run on the
#    paper's own data,
# 4. what instance noise is for,
# 5. how to see which part of the code does what: swap it.
#
# **Time.** About 25 minutes to read. The cells run in about a minute.
#
# **Before you start.** Read step 2.
#
# **Letters.** B items · T frames · M motion code (10) · Z content code (90) · N side of
# a frame · g, n widths of generator and critics (64 in the paper).

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
import itertools

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from avnb.errors import AvnbError
from avnb.layers import Conv3d

# %% tags=["active-ipynb"]
# import numpy as np
#
# from avnb import course
# from avnb.viz import show
# from data_scripts import bandstand
#
# drummer = bandstand.record_take("percussive", player=6, seconds=4, seed=0)
# times = 1 + np.arange(10) / 10
# drawn = np.stack([drummer.draw(float(t), 64) for t in times])
# real = torch.from_numpy(drawn).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
# title = "a recording (of a drawn drummer): one second at 10 frames a second"
# show.film_strip(drawn, times, title=title)

# %%
SLOPE = 0.2  # of every LeakyReLU of the critics


# %% [markdown]
# ## Motion: noise a frame, and a memory
#
# Frame $k$ gets a noise vector $\epsilon_k\sim\mathcal N(0, I)$ of its own. If it were
# the motion code itself, the frames would have nothing to do with each other. A **GRU**
# therefore keeps a state $h$, which the noise only changes. Two gates decide how much:
#
# $$r = \sigma(W_r\epsilon_k + U_r h + b_r),\quad u = \sigma(W_u\epsilon_k + U_u h +
# b_u),$$
# $$n = \tanh(W_n\epsilon_k + b_n + r\odot(U_n h + c_n)),\quad
#   h' = (1 - u)\odot n + u\odot h .$$
#
# The state after frame $k$ is its motion code $Z_k$. The first state is noise as well.
# Line by line:
#
# `noise (B, T, M), start (B, M) → codes (B, T, M)`


# %%
def move_slowly(
    gru: nn.GRU, noise: Float[Tensor, "b t m"], start: Float[Tensor, "b m"]
) -> Float[Tensor, "b t m"]:
    """The motion codes, one frame after the other, with the weights of a GRU."""
    W, U, b, c = gru.all_weights[0]
    state, codes = start, []
    for k in range(noise.shape[1]):
        of_noise = noise[:, k] @ W.T + b
        of_state = state @ U.T + c
        (w_r, w_u, w_n), (u_r, u_u, u_n) = of_noise.chunk(3, 1), of_state.chunk(3, 1)
        reset, keep = torch.sigmoid(w_r + u_r), torch.sigmoid(w_u + u_u)
        new = torch.tanh(w_n + reset * u_n)
        state = (1 - keep) * new + keep * state
        codes.append(state)
    return torch.stack(codes, dim=1)


# %% [markdown]
# torch's `nn.GRU` runs the loop over the frames in C++:

# %% tags=["active-ipynb", "motion"]
# torch.manual_seed(1)
# gru = nn.GRU(10, 10, batch_first=True)
# noise, start = torch.randn(3, 25, 10), torch.randn(3, 10)
# with torch.no_grad():
#     codes = move_slowly(gru, noise, start)
#     assert torch.allclose(gru(noise, start[None])[0], codes, atol=1e-6)
# figure, axes = show.subplots(1, 2, width=4.2, height=2.2)
# for ax, (name, values) in zip(
#     axes[0], {"noise ε": noise, "motion code Z": codes}.items(), strict=True
# ):
#     ax.plot(values[0, :, :3])
#     ax.set(title=f"{name}, 3 of 10 numbers", xlabel="frame k", ylabel="value")
# figure

# %% [markdown]
# The code moves more slowly than the noise, because the state is kept in part. (One
# well-known version feeds the GRU its own output instead of new noise, so its motion is
# fixed by the first vector. Fig. 2 of the paper draws new noise at each frame.)
#
# ## The generator of frames
#
# The content code $Z_C\sim\mathcal N(0, I)$ is put beside the motion code of each
# frame: 90 + 10 numbers, the paper's "100-dim noise vector". Transposed convolutions
# make 4×4 maps of it and double them until they have the size of a frame. Each is
# followed by a batch norm and a ReLU, the last by a tanh. There is **one** generator,
# $G_I$, for all frames. The loop over frames is therefore a matter of the batch: B
# videos of T frames are B · T pictures.
#
# `content (B, Z), noise (B, T, M), start (B, M) → video (B, 3, T, N, N)`


# %%
def count_doublings(size: int) -> int:
    """How many times 4×4 maps are doubled to reach a frame of this size.

    Raises:
        AvnbError: the size is not 16, 32, 64, …
    """
    doublings = size.bit_length() - 3
    if size < 16 or 4 * 2**doublings != size:
        raise AvnbError(
            "the size of a frame", f"{size} pixels", "Give 16, 32, 64 or 128"
        )
    return doublings


# %%
class PictureLayers(nn.Module):
    """G_I with its motion GRU: noise → videos (Sec. 3; MoCoGAN's generator).

    `width` is g, 64 in the paper; `content` and `motion` are the sizes of the codes.
    """

    def __init__(
        self, width: int = 64, content: int = 90, motion: int = 10, size: int = 64
    ) -> None:
        super().__init__()
        doublings = count_doublings(size)
        widths = [width * 2**i for i in reversed(range(doublings))] + [3]
        self.gru = nn.GRU(motion, motion, batch_first=True)
        self.first = nn.ConvTranspose2d(content + motion, widths[0], 4, bias=False)
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False)
            for a, b in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(w) for w in widths[:-1])


# %%
class PictureGenerator(PictureLayers):
    """G_I, with the arguments of PictureLayers: how its layers are run."""

    def move(
        self, noise: Float[Tensor, "b t m"], start: Float[Tensor, "b m"]
    ) -> Tensor:
        """The motion codes Z_1 … Z_T (B, T, M)."""
        return self.gru(noise, start[None])[0]

    def paint(self, z: Float[Tensor, "b t z"]) -> Float[Tensor, "b 3 t n n"]:
        """One frame for each code (content and motion), as a video."""
        x = self.first(z.flatten(0, 1)[:, :, None, None])
        for norm, up in zip(self.norms, self.ups, strict=True):
            x = up(F.relu(norm(x)))
        return torch.tanh(x).unflatten(0, z.shape[:2]).transpose(1, 2)

    def forward(self, content: Tensor, noise: Tensor, start: Tensor) -> Tensor:
        """Codes of the content (B, Z), noise (B, T, M), first state (B, M) → video."""
        codes = self.move(noise, start)
        same = content[:, None].expand(-1, codes.shape[1], -1)  # in every frame
        return self.paint(torch.cat([same, codes], dim=2))


# %%
def draw_picture_noise(
    count: int, frames: int, content: int = 90, motion: int = 10, generator=None
) -> tuple[Tensor, Tensor, Tensor]:
    """Z_C (B, Z), ε_1 … ε_T (B, T, M) and the first state (B, M), all from N(0, I)."""
    device = None if generator is None else generator.device
    shapes = ((count, content), (count, frames, motion), (count, motion))
    a, b, c = (torch.randn(s, generator=generator, device=device) for s in shapes)
    return a, b, c


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# G = PictureGenerator(width=8)
# with torch.no_grad():
#     video = G(*draw_picture_noise(2, 10))
# assert video.shape == (2, 3, 10, 64, 64)
# maps = {"code": (100, 1, 1), "first layer": (64, 4, 4)}
# maps |= {f"doubled, {i + 1}": (32 >> i, 8 << i, 8 << i) for i in range(3)}
# maps |= {"frame": (3, 64, 64)}
# show.feature_maps(maps)

# %% [markdown]
# ## The image critic
#
# $D_I$ sees **one** frame, drawn at random from each video. Convolutions of stride 2
# halve it, and the last one gives a map of logits: one for each **patch** of the frame.
#
# $S_1$: `video (B, 3, T, N, N) → frame (B, 3, N, N)`;
# $D_I$: `frame → (B, N / 16, N / 16)`
#
# ### Instance noise
#
# A real and a generated picture differ in details that nobody sees but a critic. Then
# it is soon sure of everything, and its gradient says nothing. **Instance noise** is
# added to the input of each convolution, so that the two kinds overlap. MoCoGAN has it
# as an option with a fixed σ. Step 6 lets it fall to 0 over the training.


# %%
class InstanceNoise(nn.Module):
    """Adds noise of deviation `sigma`, in training only; 0 adds nothing."""

    def __init__(self, sigma: float = 0.0) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, x: Tensor) -> Tensor:
        """The same shape as it came."""
        if not self.training or not self.sigma:
            return x
        # Not `randn_like`: a CPU takes four times as long for noise in bfloat16, or in
        # the layout that some convolutions return.
        noise = self.sigma * torch.randn(x.shape, device=x.device)
        return x + noise.to(x.dtype)


# %%
def set_instance_noise(network: nn.Module, sigma: float) -> None:
    """Set the deviation of the instance noise everywhere in a network."""
    for module in network.modules():
        if isinstance(module, InstanceNoise):
            module.sigma = sigma


# %%
class ImageCritic(nn.Module):
    """D_I: frames (B, 3, N, N) → logits of patches (B, N / 16, N / 16).

    `width` is n, 64 in the paper; `sigma` of the instance noise before each layer.
    """

    def __init__(self, width: int = 64, sigma: float = 0.0) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width, 1]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 4, 2, 1, bias=False) for a, b in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(w) for w in widths[2:4])
        self.noise = InstanceNoise(sigma)

    def forward(self, frame: Float[Tensor, "b 3 n n"]) -> Float[Tensor, "b p p"]:
        """Four convolutions; the first and the last have no batch norm."""
        x = F.leaky_relu(self.convs[0](self.noise(frame)), SLOPE)
        for conv, norm in zip(self.convs[1:3], self.norms, strict=True):
            x = F.leaky_relu(norm(conv(self.noise(x))), SLOPE)
        return self.convs[3](self.noise(x))[:, 0]


# %%
def pick_frames(
    video: Float[Tensor, "b 3 t n n"], index: Int64[Tensor, " b"]
) -> Float[Tensor, "b 3 n n"]:
    """S_1: frame index[b] of each video."""
    return video[torch.arange(len(video), device=video.device), :, index]


# %% tags=["active-ipynb", "instance-noise"]
# torch.manual_seed(0)
# with torch.no_grad():
#     frame = pick_frames(real, torch.tensor([4]))
#     assert ImageCritic(8)(frame).shape == (1, 4, 4)
#     noisy = {s: InstanceNoise(s)(frame) for s in (0.0, 0.1, 0.3)}
# pictures = [((f[0] + 1) / 2).clamp(0, 1) for f in noisy.values()]
# captions = [f"σ = {s:g}" for s in noisy]
# show.image_grid([pictures], columns=captions, size=1.4)

# %% [markdown]
# ## The video critic, and a clip that is too short for it
#
# $D_V$ is the same in three dimensions: kernels of 4×4×4 that halve height and width.
# In time they have stride 1 and, in the parent, no padding. So each of its five layers
# takes three frames away, and a video needs $5\cdot3+1 = 16$ of them. **The paper's
# Sub-URMP-Video has ten.** Its authors must have changed the critic, and do not say
# how. (They must have changed the reader, too: MoCoGAN's drops each video of fewer than
# 32 frames. The parent's critic of patches needs 13.)
#
# We pad the time by one frame at both ends in the four layers of the trunk. Then each
# takes one frame away, ten become six, and the last layer gives three logits, whose
# losses are averaged. The same critic runs at 25 frames. `time_padding=0` is the
# parent's.
#
# `video (B, 3, T, N, N) → (B, T - 7, 1, 1)`


# %%
class VideoTrunk(nn.Module):
    """The convolutions of D_V: (B, 3, T, N, N) → (B, 8 n, T - 4, N / 16, N / 16)."""

    def __init__(
        self, width: int = 64, sigma: float = 0.0, time_padding: int = 1
    ) -> None:
        super().__init__()
        widths = [3] + [width * 2**i for i in range(4)]
        self.convs = nn.ModuleList(
            Conv3d(a, b, 4, (1, 2, 2), (time_padding, 1, 1), bias=False)
            for a, b in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm3d(w) for w in widths[2:])
        self.noise = InstanceNoise(sigma)

    def forward(self, video: Float[Tensor, "b 3 t n n"]) -> Tensor:
        """Four convolutions; batch norm in all but the first."""
        x = F.leaky_relu(self.convs[0](self.noise(video)), SLOPE)
        for conv, norm in zip(self.convs[1:], self.norms, strict=True):
            x = F.leaky_relu(norm(conv(self.noise(x))), SLOPE)
        return x


# %%
class VideoCritic(nn.Module):
    """D_V: videos (B, 3, T, N, N) → logits (B, T - 7) (Sec. 3; MoCoGAN's).

    `width` is n, 64 in the paper; `sigma` of the instance noise; `size` is N.
    """

    def __init__(
        self, width: int = 64, sigma: float = 0.0, size: int = 64, time_padding: int = 1
    ) -> None:
        super().__init__()
        side = 4 * 2 ** count_doublings(size) // 16  # of the trunk's last maps
        self.trunk = VideoTrunk(width, sigma, time_padding)
        self.decision = Conv3d(8 * width, 1, (4, side, side), bias=False)
        self.shortest = 16 - 8 * time_padding

    def forward(self, video: Float[Tensor, "b 3 t n n"]) -> Float[Tensor, "b scores"]:
        """A logit for each place in time that the last kernel has."""
        if video.shape[2] < self.shortest:
            raise AvnbError(
                "D_V", f"a video of {video.shape[2]} frames is too short for it",
                f"Give {self.shortest} frames or more",
            )  # fmt: skip
        x = self.trunk(video)
        return self.decision(self.trunk.noise(x))[:, 0, :, 0, 0]


# %% tags=["active-ipynb", "too-short"]
# rows = []
# for frames in (10, 13, 16, 25, 32):
#     row = {"frames": frames}
#     for name, padding in (("the parent's", 0), ("padded in time", 1)):
#         critic = VideoCritic(2, time_padding=padding)
#         try:
#             scores = critic(torch.zeros(1, 3, frames, 64, 64))
#             row[name] = f"{scores.shape[1]} logits"
#         except AvnbError as error:
#             row[name] = "fails"
#             reason = str(error)
#     rows.append(row)
# show.table(rows)

# %% [markdown]
# The errors say why. The first is ours and names a remedy, the second is what torch
# says when the parent's layers meet ten frames:

# %% tags=["active-ipynb"]
# print(reason)
# layers = VideoTrunk(2, time_padding=0), nn.Conv3d(16, 1, 4)
# try:
#     layers[1](layers[0](real))
# except RuntimeError as error:
#     print(type(error).__name__, str(error)[:200])

# %% tags=["active-ipynb", "parameters-picture"]
# rows = []
# for width in (8, 16, 64):
#     with torch.device("meta"):
#         nets = {"G_I": PictureGenerator(width), "D_I": ImageCritic(width)}
#         nets |= {"D_V": VideoCritic(width)}
#         if width == 64:
#             nets |= {"G_I with MoCoGAN's code, 50 + 10": PictureGenerator(content=50)}
#     counts = {k: sum(p.numel() for p in net.parameters()) for k, net in nets.items()}
#     rows.append({"width": width} | counts)
# show.table(rows, "weights; the paper's width is 64")

# %% [markdown]
# ## Which part of the code does what? A toy that learns in seconds
#
# A game of critics takes its time. To see the parts at work we let a **teacher** take
# their place: for each code we say which picture it should mean. A disc has the colour
# and the height that four numbers of the content code name, and its place from left to
# right is the first number of the frame's motion code. The generator learns to paint it
# from the squared error, within seconds.


# %%
def draw_discs(content: Tensor, codes: Tensor, size: int = 16) -> Tensor:
    """Discs (B, 3, T, N, N): colour and height by content, place by motion codes."""
    colour = torch.tanh(content[:, :3])[:, :, None, None, None]
    y0 = size * (0.5 + 0.25 * torch.tanh(content[:, 3]))[:, None, None, None]
    x0 = size * (0.5 + 0.3 * torch.tanh(2 * codes[:, :, 0]))[:, :, None, None]
    y, x = torch.arange(size).view(-1, 1) + 0.5, torch.arange(size) + 0.5
    disc = (3.5 - ((x - x0) ** 2 + (y - y0) ** 2).sqrt()).clamp(0, 1)[:, None]
    return disc * colour  # soft edge, on grey: (B, 3, T, N, N)


# %%
def learn_discs(steps: int = 250, width: int = 8, seed: int = 0) -> PictureGenerator:
    """A small generator that paints what the codes mean; its GRU stays random."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        G = PictureGenerator(width, content=4, motion=4, size=16)
        G.gru.requires_grad_(False)
        adam = torch.optim.Adam([w for w in G.parameters() if w.requires_grad], 5e-3)
        for _ in range(steps):
            content, noise, start = draw_picture_noise(8, 8, 4, 4)
            with torch.no_grad():
                wanted = draw_discs(content, G.move(noise, start))
            loss = F.mse_loss(G(content, noise, start), wanted)
            adam.zero_grad()
            loss.backward()
            adam.step()
    return G.eval()


# %% [markdown]
# Then we swap: the same content with two motions, and the same motion with two
# contents.

# %% tags=["active-ipynb", "swap"]
# G = learn_discs()
# torch.manual_seed(139)  # picked of 200: its two motions differ clearly
# _, noise, start = draw_picture_noise(2, 8, 4, 4)
# content = torch.tensor([[1.5, -1.0, -1.0, 1.5], [-1.5, 0.0, 1.5, -1.5]])
# which = [(0, 0), (0, 1), (1, 0), (1, 1)]  # (content, motion)
# rows = torch.tensor(which)
# with torch.no_grad():
#     films = G(content[rows[:, 0]], noise[rows[:, 1]], start[rows[:, 1]])
# names = [f"content {'AB'[c]}, motion {m + 1}" for c, m in which]
# pictures = (films.permute(0, 2, 3, 4, 1) + 1) / 2
# show.image_grid(pictures, rows=names, columns=[f"frame {k}" for k in range(1, 9)])


# %%
def locate_discs(video: Float[Tensor, "b 3 t n n"]) -> Float[Tensor, "b t"]:
    """Where the disc is in each frame, 0 to 1 from left to right."""
    weight = video.abs().sum(dim=(1, 3))  # (B, T, N): the ground is 0
    x = (torch.arange(weight.shape[2]) + 0.5) / weight.shape[2]
    return (weight * x).sum(2) / weight.sum(2)


# %% tags=["active-ipynb", "swap-measured"]
# place, colour = locate_discs(films), films.mean(dim=(2, 3, 4))
# rows = []
# for name, i, j in (("motion swapped", 0, 1), ("content swapped", 0, 2)):
#     moved = (place[i] - place[j]).abs().mean().item()
#     change = (colour[i] - colour[j]).abs().mean().item()
#     rows.append({"": name, "the place changes by": moved, "the colour by": change})
# show.table(rows, "place: 1 is the width of a frame; colour: mean value of the pixels")

# %% [markdown]
# The network has no rule that content must not move. It *cannot* move anything, because
# it is the same vector in each frame. This is the whole trick of the decomposition.
# Step 8 makes the same swaps with the trained network of step 6.
#
# ## What came out
#
# - A GRU turns independent noise into motion codes that change slowly.
# - B videos are B · T pictures: one generator paints them in one call.
# - The parent's video critic needs 16 frames; padded in time, it runs at 10 and at 25.
# - Content is what stays the same in a video, motion is what does not.
#
# ## Exercises
#
# 1. Build the motion code.
# 2. Compute how many logits $D_V$ gives.

# %% tags=["active-ipynb"]
# from avnb_notebooks.joint_gan import exercises
#
#
# def make_codes(cell, content, noise, start):
#     """All codes (B, T, Z + M) of a video, by an nn.GRUCell.
#
#     content (B, Z), noise (B, T, M), and the first state start (B, M).
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.MAKE_CODES, make_codes)

# %% tags=["active-ipynb"]
# def count_scores(frames, padding):
#     """The logits of D_V: four layers with this padding in time and one without.
#
#     All kernels are 4 frames long. 0 where the video is too short.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.COUNT_SCORES, count_scores)
