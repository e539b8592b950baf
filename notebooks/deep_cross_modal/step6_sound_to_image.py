# %% [markdown]
# # Step 6 · Sound to image: generator, discriminator, losses
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/avnb/avnb/blob/main/notebooks/deep_cross_modal/step6_sound_to_image.ipynb)
#
# The input is half a second of sound, the output a picture of somebody who plays it.
# This notebook defines both networks, their losses and the sampler of wrong pairs. Step
# 7 trains them.
#
# **You will learn** what a conditional GAN is, what a transposed convolution computes,
# how GAN-CLS makes the discriminator use the condition, why the generator maximises
# $\log S_f$, how to tell a healthy run from a sick one, and what batch norm,
# augmentation and weight averaging do in a GAN.
#
# **Time.** About 40 minutes to read. The cells run in about half a minute.
#
# **Before you start.** Read steps 2 (the sound encoding) and 4 (pictures as numbers,
# jitter). If you have not met a GAN before, begin with the series `start_here`: there a
# GAN learns points in a plane, in a minute.
#
# **Letters.** B batch · Z noise size (100) · E encoding size (128) · C compressed
# encoding (64) · W base width of a network (128 for the generator, as in Sec. 3.1, and
# 64 for the discriminator, as in GAN-CLS) · h, w height and width of a map · N pictures
# from which wrong pairs are drawn.

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

# %% [markdown]
# ## The idea
#
# A **generator** $G$ makes pictures. A **discriminator** $D$ says whether a picture is
# real. Each is trained against the other (Eq. 1):
#
# $$\min_G \max_D\ \mathbb E_{x \sim p_\text{data}}[\log D(x)]
# + \mathbb E_{z \sim p_z}[\log(1 - D(G(z)))] .$$
#
# A generator that gets only noise can generate *some* musician. We want the musician
# who makes *this* sound, so both networks also get an encoding of the sound. That is a
# **conditional** GAN (Eq. 2), with $D(x \mid y)$ and $G(z \mid y)$ in the place of
# $D(x)$ and $G(z)$.
#
# One problem remains: a discriminator that only asks "is this picture real?" can ignore
# the sound. Reed et al. (GAN-CLS) therefore add a third kind of pair: a sound with a
# real picture that is **wrong** for it. The discriminator must reject this pair too.
# Fig. 2(a) shows the whole model:

# %%
import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F


# %% tags=["active-ipynb"]
# from IPython.display import display
#
# from avnb import training
# from avnb.viz import show
# from data_scripts import bandstand

# %% tags=["active-ipynb"]
# made, given = "#dcecf7", "#eeeeee"
# boxes = {
#     "sound": (0.05, 0.78, "sound\n0.5 s"),
#     "encoder": (0.19, 0.78, "encoder\nof step 2"),
#     "z": (0.34, 0.91, "noise z\n100"),
#     "phi": (0.34, 0.6, "φ(A)\n128 → 64"),
#     "G": (0.5, 0.78, "G"),
#     "fake": (0.63, 0.78, "x̂\n3 × 64 × 64"),
#     "real": (0.63, 0.56, "its picture\n3 × 64 × 64"),
#     "wrong": (0.63, 0.35, "wrong picture ω\n3 × 64 × 64"),
#     "phiD": (0.19, 0.07, "φ(A) of D\n128 → 64"),
#     "D": (0.86, 0.33, "D"),
#     "S": (0.96, 0.33, "S_f\nS_r\nS_w"),
# }
# arrows = [("sound", "encoder", ""), ("encoder", "phi", "128"), ("z", "G", "")]
# arrows += [("phi", "G", ""), ("G", "fake", ""), ("fake", "D", ""), ("real", "D", "")]
# arrows += [("wrong", "D", ""), ("encoder", "phiD", "128"), ("D", "S", "")]
# arrows += [("phiD", "D", "")]
# fills = dict.fromkeys(("sound", "encoder", "z", "real", "wrong"), given)
# show.diagram(boxes, arrows, fills=fills, width=9.5, height=3.6)

# %% [markdown]
# This notebook builds the blue boxes, and step 7 trains them; the grey ones are given.
# D gets one picture at a time, always with the same sound, and gives each pair a score.
#
# ## Compress the encoding
#
# $\varphi(A)$: a fully connected layer and a leaky ReLU reduce the 128 numbers of the
# sound encoder to 64 (Sec. 3.1). Both networks have their own such layer, as in
# GAN-CLS, so each can use different parts of the encoding.
#
# `(B, 128) → (B, 64)`


# %%
class Compressor(nn.Sequential):
    """φ(A) of a sound, or ϕ(I) of a picture: (B, E) → (B, C) (Sec. 3.1)."""

    def __init__(self, encoding: int = 128, compressed: int = 64) -> None:
        super().__init__(nn.Linear(encoding, compressed), nn.LeakyReLU(0.2))


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# print("(5, 128) →", tuple(Compressor()(torch.randn(5, 128)).shape))

# %% [markdown]
# ## A residual bottleneck
#
# GAN-CLS makes its coarse feature maps deeper with blocks that reduce the channels to a
# quarter, convolve there, and add the result to the input: $y = \sigma(x + f(x))$. At
# 4×4 and 8×8 pixels these blocks cost little.
#
# `(B, W, h, w) → (B, W, h, w)`


# %%
class ResidualBlock(nn.Module):
    """σ(x + f(x)) for a network f that keeps the shape (B, W, h, w)."""

    def __init__(self, body: nn.Sequential, activation: nn.Module) -> None:
        super().__init__()
        self.body, self.activation = body, activation

    def forward(self, x: Float[Tensor, "b w h v"]) -> Float[Tensor, "b w h v"]:
        """Add f(x) to x and apply the activation."""
        return self.activation(x + self.body(x))


# %%
class Bottleneck(ResidualBlock):
    """The residual bottleneck of GAN-CLS: 1×1, 3×3, 3×3 at a quarter of the width."""

    def __init__(self, width: int, activation: nn.Module) -> None:
        narrow = width // 4
        body = nn.Sequential(
            nn.Conv2d(width, narrow, 1, bias=False),
            nn.BatchNorm2d(narrow),
            activation,
            nn.Conv2d(narrow, narrow, 3, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            activation,
            nn.Conv2d(narrow, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),  # no activation: it follows after the sum
        )
        super().__init__(body, activation)


# %% [markdown]
# The block keeps the shape. If the gain of its last norm is zero, then $f(x) = 0$ and
# the block returns $\sigma(x)$. So a deep network of such blocks can start as a shallow
# one and use its depth as training goes on.

# %% tags=["active-ipynb"]
# block, x = Bottleneck(16, nn.ReLU()), torch.randn(2, 16, 4, 4)
# assert block(x).shape == x.shape
# nn.init.zeros_(block.body[-1].weight)
# assert torch.equal(block(x), x.relu())
# layers = {"bottleneck": Bottleneck(1024, nn.ReLU())}
# layers["3×3 convolution"] = nn.Conv2d(1024, 1024, 3)
# for name, layer in layers.items():
#     weights = sum(p.numel() for p in layer.parameters())
#     print(f"{name} at width 1024: {weights:,} weights")

# %% [markdown]
# ## Transposed convolution: how to make a map larger
#
# In an ordinary convolution each output is a weighted sum of a window of inputs. A
# transposed convolution (often called deconvolution) does the reverse. Each input pixel
# adds the whole kernel, times its own value, to the output. Kernels of neighbouring
# pixels overlap and add up. With kernel $k$, stride $s$ and padding $p$ the output is
#
# $$y[s\,i - p + u] \mathrel{+}= x[i]\; W[u],\qquad u = 0 \ldots k - 1,$$
#
# $$\text{size}_\text{out} = (\text{size}_\text{in} - 1)\,s - 2p + k,$$
#
# so $k = 4,\ s = 2,\ p = 1$ doubles the size exactly. In two dimensions, as loops:

# %% tags=["active-ipynb"]
# def deconvolve(x: torch.Tensor, W: torch.Tensor, s: int, p: int) -> torch.Tensor:
#     """A transposed convolution of one channel: x (h, w), kernel W (k, k)."""
#     (h, w), k = x.shape, len(W)
#     y = torch.zeros((h - 1) * s + k, (w - 1) * s + k)
#     for i in range(h):
#         for j in range(w):
#             y[s * i : s * i + k, s * j : s * j + k] += x[i, j] * W
#     return y[p : len(y) - p, p : y.shape[1] - p]  # padding cuts the edges off
#
#
# torch.manual_seed(0)
# x, W = torch.randn(4, 4), torch.randn(4, 4)
# fast = F.conv_transpose2d(x[None, None], W[None, None], stride=2, padding=1)
# assert torch.allclose(deconvolve(x, W, 2, 1), fast[0, 0], atol=1e-5)
# print("4×4 →", " × ".join(str(side) for side in fast.shape[2:]), "and both agree")

# %% [markdown]
# Now look at it: one pixel, two neighbours, all pixels, and all pixels with a random
# kernel.

# %% tags=["active-ipynb"]
# layer = nn.ConvTranspose2d(1, 1, 4, 2, 1, bias=False)
# ramp = torch.tensor([1.0, 2.0, 2.0, 1.0])
# layer.weight.data = (ramp[:, None] * ramp).view(1, 1, 4, 4)
# spots = torch.zeros(4, 1, 4, 4)
# spots[0, 0, 1, 1] = spots[1, 0, 1, 1] = spots[1, 0, 1, 2] = 1
# spots[2:] = 1
# enlarged = layer(spots).detach()
# torch.manual_seed(132)
# layer.weight.data = torch.rand(1, 1, 4, 4)
# enlarged[3] = layer(spots[3:]).detach()[0]
# assert enlarged.shape == (4, 1, 8, 8)
# figure, axes = show.subplots(2, 4, width=2.2, height=2.2)
# titles = ("one pixel", "two neighbours", "all", "all, random kernel")
# for column, title in enumerate(titles):
#     axes[0, column].imshow(spots[column, 0], vmin=0, cmap="magma")
#     axes[0, column].set_title(f"{title}, 4×4")
#     axes[1, column].imshow(enlarged[column, 0], vmin=0, cmap="magma")
#     axes[1, column].set_title("output, 8×8")
# for ax in axes.flat:
#     ax.set_axis_off()
# figure

# %% [markdown]
# The first kernel is smooth, so a flat map stays flat in its inside. A *random* kernel
# does not keep it flat: with stride 2, even and odd positions get different entries of
# the kernel. The result are stripes or a **checkerboard**.
#
# ## The generator: from 164 numbers to a picture
#
# $\hat x_I \leftarrow G_{S\mapsto I}(z, \varphi(A))$ (Sec. 3.1). Noise and compressed
# sound together form a 1×1 map of 164 channels. One transposed convolution makes it
# 4×4, and four more double it until it is 64×64:
#
# | map | channels | by |
# |---|---|---|
# | 1×1 | 164 | z and φ(A), concatenated |
# | 4×4 | 8W | 4×4 kernel + bottleneck |
# | 8×8 | 4W | stride 2 + bottleneck |
# | 16×16 | 2W | stride 2 |
# | 32×32 | W (the paper's 128) | stride 2 |
# | 64×64 | 3, tanh | stride 2 |


# %%
def make_upsampling(before: int, after: int) -> nn.Sequential:
    """Make a 4×4 transposed convolution that doubles the size, a norm and a ReLU."""
    return nn.Sequential(
        nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )


# %%
def make_trunk(inputs: int, width: int) -> nn.Sequential:
    """Make the part that S2I and I2S share: (B, inputs, 1, 1) → (B, W, 32, 32)."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, 8 * width, 4, bias=False),  # (B, 8W, 4, 4)
        nn.BatchNorm2d(8 * width),
        nn.ReLU(),
        Bottleneck(8 * width, nn.ReLU()),
        make_upsampling(8 * width, 4 * width),  # (B, 4W, 8, 8)
        Bottleneck(4 * width, nn.ReLU()),
        make_upsampling(4 * width, 2 * width),  # (B, 2W, 16, 16)
        make_upsampling(2 * width, width),  # (B, W, 32, 32)
    )


# %%
class Generator(nn.Module):
    """G_S→I (Sec. 3.1): noise (B, Z) and encoding (B, E) → picture (B, 3, 64, 64)."""

    def __init__(self, width: int = 128, noise: int = 100, encoding: int = 128) -> None:
        super().__init__()
        self.noise = noise
        self.compress = Compressor(encoding)
        self.trunk = make_trunk(noise + 64, width)
        # No norm here, as in GAN-CLS: it would fix the mean colour of every batch.
        self.picture = nn.ConvTranspose2d(width, 3, 4, 2, 1)

    def forward(
        self, z: Float[Tensor, "b z"], encoding: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b 3 64 64"]:
        """Generate pictures in [-1, 1] from noise and sound encodings."""
        condition = torch.cat([z, self.compress(encoding)], dim=1)  # (B, 164)
        x = self.trunk(rearrange(condition, "b c -> b c 1 1"))
        return torch.tanh(self.picture(x))


# %% tags=["active-ipynb"]
# generator = Generator(width=8)
# z, encoding = torch.randn(6, 100), torch.randn(6, 128)
# assert generator(z, encoding).shape == (6, 3, 64, 64)
# shapes, x = {"z, φ(A)": (164, 1, 1)}, torch.randn(2, 164, 1, 1)
# for layer in Generator(width=128).trunk:
#     x = layer(x)
#     if not isinstance(layer, nn.BatchNorm2d | nn.ReLU):
#         name = "block" if isinstance(layer, Bottleneck) else "doubled"
#         shapes[f"{name} {len(shapes)}"] = x.shape[1:]
# shapes["x̂"] = (3, 64, 64)
# show.feature_maps(shapes)

# %% [markdown]
# ## The discriminator: do picture and sound belong together?
#
# $D_{S\mapsto I}(x, \varphi(A))$ first processes the picture alone. When the map is
# down to 4×4, the compressed sound is copied to each of its 16 positions. A 1×1
# convolution then compares picture and sound at each position, and one 4×4 convolution
# turns the map into a single **logit**. The score $S$ of the paper is its sigmoid. A
# high logit means: a real picture that belongs to this sound.
#
# `(B, 3, 64, 64), (B, 128) → (B,)`


# %%
def make_downsampling(before: int, after: int) -> nn.Sequential:
    """Make a 4×4 convolution that halves the size, a norm and a leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, 4, 2, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.LeakyReLU(0.2),
    )


# %%
class PairHead(nn.Module):
    """The last layers of both discriminators: a 4×4 map and an encoding → logit."""

    def __init__(self, width: int, encoding: int = 128) -> None:
        super().__init__()
        self.compress = Compressor(encoding)
        self.compare = nn.Sequential(
            nn.Conv2d(width + 64, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
        )
        self.score = nn.Conv2d(width, 1, 4)  # 4×4 → 1×1

    def forward(
        self, x: Float[Tensor, "b w 4 4"], encoding: Float[Tensor, "b e"]
    ) -> Float[Tensor, " b"]:
        """Compare each position of the map with the condition; return the logits."""
        # The same 64 numbers at each of the 16 positions.
        condition = repeat(self.compress(encoding), "b c -> b c 4 4")
        x = self.compare(torch.cat([x, condition], dim=1))
        return rearrange(self.score(x), "b 1 1 1 -> b")


# %%
class Discriminator(nn.Module):
    """D_S→I (Sec. 3.1): picture (B, 3, 64, 64) and encoding (B, E) → logits (B,)."""

    def __init__(self, width: int = 64, encoding: int = 128) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(3, width, 4, 2, 1),  # (B, W, 32, 32), without norm as in GAN-CLS
            nn.LeakyReLU(0.2),
            make_downsampling(width, 2 * width),  # (B, 2W, 16, 16)
            make_downsampling(2 * width, 4 * width),  # (B, 4W, 8, 8)
            make_downsampling(4 * width, 8 * width),  # (B, 8W, 4, 4)
            Bottleneck(8 * width, nn.LeakyReLU(0.2)),
        )
        self.pair = PairHead(8 * width, encoding)

    def forward(
        self, picture: Float[Tensor, "b 3 64 64"], encoding: Float[Tensor, "b e"]
    ) -> Float[Tensor, " b"]:
        """Compute the logit that a picture is real and belongs to the sound."""
        return self.pair(self.convs(picture), encoding)


# %% tags=["active-ipynb"]
# discriminator = Discriminator(width=8).eval()
# pictures = torch.rand(6, 3, 64, 64) * 2 - 1
# score = discriminator(pictures, encoding)
# assert score.shape == (6,)
# assert not torch.equal(score, discriminator(pictures, encoding.roll(1, 0)))
# shapes, x = {"picture": (3, 64, 64)}, pictures
# for layer in Discriminator(width=64).convs:
#     x = layer(x)
#     if not isinstance(layer, nn.LeakyReLU):
#         name = "block" if isinstance(layer, Bottleneck) else "halved"
#         shapes[f"{name} {len(shapes)}"] = x.shape[1:]
# shapes["with φ(A)"] = (shapes["block 5"][0] + 64, 4, 4)
# shapes["logit"] = (1, 1, 1)
# show.feature_maps(shapes)

# %% [markdown]
# ## Initialise the weights
#
# As in GAN-CLS, the weights of the convolutions come from $\mathcal N(0, 0.02^2)$ and
# the gains of the norms from $\mathcal N(1, 0.02^2)$; biases start at zero. The fully
# connected layer that compresses the encoding keeps PyTorch's own initialisation. With
# weights of 0.02 its output would be much weaker than the noise beside it, as the cell
# below the function shows. The generator would then hardly use the sound at first.


# %%
def init_weights(module: nn.Module) -> None:
    """Initialise a module as GAN-CLS does; use it as `network.apply(init_weights)`."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# encodings, noise = torch.randn(1000, 128), torch.randn(1000, 100)
# compress = Compressor()
# strengths = {"PyTorch's own": compress(encodings).square().mean().sqrt().item()}
# nn.init.normal_(compress[0].weight, 0.0, 0.02)
# strengths["weights of 0.02"] = compress(encodings).square().mean().sqrt().item()
# for name, strength in strengths.items():
#     weaker = noise.std().item() / strength
#     print(f"{name}: the encoding is {weaker:.1f} times weaker than the noise")

# %% [markdown]
# ## A discriminator without batch norm
#
# Batch norm compares every picture with the rest of its batch. D gets its real, wrong
# and generated pictures in three separate batches. So D can recognise the generated
# *batch* by its statistics, without looking at any single picture, and the gradient of
# that does not tell G how to improve a picture. GAN-CLS trains like this for hundreds
# of epochs. Without norms D has to judge each picture by itself. Every scale but
# `paper` removes the norms from D, because its training is short. Step 7 trains a
# discriminator with norms beside it and shows what became of both.
# `OVERRIDES = {"norm_d": True}` in step 7 keeps the norms in all its networks.
#
# Without norms the weights themselves must keep the scale of the signal. He's
# initialisation does: for a convolution with $n$ inputs to a kernel and leaky ReLUs of
# slope $a$, $\operatorname{Var}(w) = \frac{2}{(1 + a^2)\,n}$. Residual blocks start
# with $f(x) = 0$.


# %%
def remove_batch_norm(network: nn.Module) -> nn.Module:
    """Remove the batch norms of a discriminator and initialise it as He et al. 2015."""
    for module in list(network.modules()):  # a list, because the loop changes them
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=0.2)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, ResidualBlock):  # f(x) = 0 at the start
            last = [m for m in module.body if isinstance(m, nn.Conv2d)][-1]
            nn.init.zeros_(last.weight)
    return network


# %% [markdown]
# A test: the score of one picture and sound, once in a batch with some other pictures
# and once with different ones. With norms the score changes. Without them it does not.

# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# batch, encodings = torch.rand(8, 3, 64, 64) * 2 - 1, torch.randn(8, 128)
# other_batch = torch.cat([batch[:1], batch[1:] * 0.1])  # the same first picture
# networks = {
#     "with norms": Discriminator(width=8).apply(init_weights),
#     "without": remove_batch_norm(Discriminator(width=8)),
# }
# for name, D in networks.items():
#     first, second = (D(x, encodings)[0].item() for x in (batch, other_batch))
#     print(f"{name:10}  {first:+.4f}, with other neighbours {second:+.4f}")

# %% [markdown]
# What does an untrained generator produce? Nearly grey pictures. With more contrast and
# in a close-up you can see the checkerboard pattern. Everything beyond this must be
# learned from the discriminator.

# %% tags=["active-ipynb"]
# generator.apply(init_weights)
# with torch.no_grad():
#     picture = generator(z, encoding)
# print(f"untrained: from {picture.min():.2f} to {picture.max():.2f}")
# close = picture[:, :, 16:40, 16:40] / picture.abs().max()
# strong = picture / picture.abs().max()
# show.image_grid(
#     [(picture + 1) / 2, (strong + 1) / 2, (close + 1) / 2],
#     rows=["output", "more contrast", "close-up"],
# )

# %% [markdown]
# ## The scores and the two losses (Eq. 3 and 4)
#
# There are three kinds of pairs and three scores: $S_r$ of a real pair, $S_f$ of a
# generated picture with its sound, $S_w$ of a wrong pair. The generator maximises
#
# $$\log S_f \tag{3}$$
#
# and the discriminator maximises
#
# $$\log S_r + \tfrac12\left(\log(1-S_w) + \log(1-S_f)\right). \tag{4}$$
#
# With logits $s$, $\log\sigma(s) = -\mathrm{softplus}(-s)$ and
# $\log(1-\sigma(s)) = -\mathrm{softplus}(s)$. These give the same numbers but never
# take the logarithm of zero.


# %%
def generator_loss(fake: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """Compute the negative of Eq. 3, -log S_f, averaged over the batch of logits."""
    return F.softplus(-fake).mean()


# %%
def discriminator_terms(
    real: Float[Tensor, " b"],
    fake: Float[Tensor, " b"],
    wrong: Float[Tensor, " b"] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Compute the terms of the negative of Eq. 4; without wrong pairs those of Eq. 2.

    S2I-N has no wrong pairs. Its generated pairs then count fully, not by half.
    Otherwise its real pairs would have twice their weight.
    """
    share = 1.0 if wrong is None else 0.5
    terms = {"real": F.softplus(-real).mean(), "fake": share * F.softplus(fake).mean()}
    if wrong is not None:
        terms["wrong"] = share * F.softplus(wrong).mean()
    return terms


def discriminator_loss(
    real: Float[Tensor, " b"],
    fake: Float[Tensor, " b"],
    wrong: Float[Tensor, " b"] | None = None,
) -> Float[Tensor, ""]:
    """Compute the negative of Eq. 4 from logits; without wrong pairs that of Eq. 2."""
    return torch.stack(list(discriminator_terms(real, fake, wrong).values())).sum()


# %% [markdown]
# The losses agree with the formulas where these can be computed. At a logit of -200 the
# formula fails:

# %% tags=["active-ipynb"]
# real, fake, wrong = torch.randn(3, 16, dtype=torch.float64)
# S_r, S_f, S_w = (s.sigmoid() for s in (real, fake, wrong))
# by_hand = -(S_r.log() + ((1 - S_w).log() + (1 - S_f).log()) / 2).mean()
# assert torch.isclose(discriminator_loss(real, fake, wrong), by_hand)
# assert torch.isclose(generator_loss(fake), -S_f.log().mean())
# extreme = torch.tensor([-200.0])
# print("by logarithm", -extreme.sigmoid().log().item(), end=", ")
# print("by softplus", generator_loss(extreme).item())

# %% [markdown]
# ### Why the generator maximises $\log S_f$ and does not minimise $\log(1 - S_f)$
#
# Eq. 1 says the latter, Eq. 3 the former, and both want $S_f$ to be high. Early in
# training the discriminator recognises every generated picture, so the logit $s$ is far
# below zero. There $\log(1 - \sigma(s))$ is **flat**: its slope is
# $-\sigma(s) \approx 0$, so the generator gets almost no gradient. The slope of
# $-\log\sigma(s) = \mathrm{softplus}(-s)$ is $\sigma(s) - 1 \approx -1$. The worse the
# generated picture, the stronger the gradient.

# %% tags=["active-ipynb"]
# s = torch.linspace(-8, 8, 201, requires_grad=True)
# losses = {
#     "softplus(-s) = -log S: G (Eq. 3), and D on real pairs": F.softplus(-s),
#     "softplus(s) = -log(1 - S): D on fake and wrong pairs": F.softplus(s),
#     "-softplus(s) = log(1 - S): the G of Eq. 1, saturating": -F.softplus(s),
# }
# figure, axes = show.subplots(1, 2, width=4.4, height=3.4)
# for (name, loss), line in zip(losses.items(), ("-", "-", "--"), strict=True):
#     (slope,) = torch.autograd.grad(loss.sum(), s)
#     axes[0, 0].plot(s.detach(), loss.detach(), line, label=name)
#     axes[0, 1].plot(s.detach(), slope, line)
# for ax, title in zip(axes[0], ("loss", "its slope"), strict=True):
#     ax.axvspan(-8, -3, color="#f2f2f2")
#     ax.set(xlabel="logit s of a pair", title=title)
# axes[0, 1].text(-7.8, 0.5, "fakes that D\nrecognises", color="#666666")
# handles = axes[0, 0].get_legend_handles_labels()
# figure.legend(*handles, loc="outside lower center")
# figure

# %% [markdown]
# ## Healthy or sick?
#
# A GAN has no loss that must fall. What tells how it is doing are the **scores**
# $S_r$, $S_f$, $S_w$, averaged over a batch, and the **gradients** that they send. The
# norm of the gradient of each term shows which term moves the weights:


# %%
def average_scores(
    real: Tensor, fake: Tensor, wrong: Tensor | None = None
) -> dict[str, Tensor]:
    """Compute the mean scores S_r, S_f and S_w of a batch of logits."""
    logits = {"S_r": real, "S_f": fake, "S_w": wrong}
    return {k: x.detach().sigmoid().mean() for k, x in logits.items() if x is not None}


def measure_gradients(
    terms: dict[str, Tensor], weights: list[Tensor]
) -> dict[str, Tensor]:
    """Measure the norm of each term's gradient with respect to `weights`.

    The graph is kept, so that the sum of the terms can be used afterwards.
    """
    found = {}
    for name, term in terms.items():
        gradients = torch.autograd.grad(term, weights, retain_graph=True)
        found[name] = torch.stack([g.norm() for g in gradients]).norm()
    return found


# %% [markdown]
# - **Healthy**: $S_r$ is above $S_f$ and $S_w$, and all three are away from 0 and 1. D
#   is ahead, and G gets a gradient. Go on.
# - **D has won**: $S_r \to 1$, $S_f \to 0$, D's loss goes to 0, and the pictures are
#   coloured noise or a single texture. D recognises the batch by its norms, or it has
#   memorised the pictures. Remove the norms of D, use jitter, make D smaller, or lower
#   its rate.
# - **D has lost**: $S_r \approx S_f \approx S_w \approx \tfrac12$ from the start, and
#   the gradients are near 0. Make D larger, or raise its rate.
# - **D ignores the sound**: $S_w$ stays with $S_r$. The pictures are good, but show the
#   wrong instrument. Give it wrong pairs (Eq. 5), or a better encoding.
# - **Mode collapse**: all pictures of one sound are alike, whatever $z$ is. G has found
#   one picture that D accepts. Lower the rates, use more jitter, or get more data.
# - **The rates are too high**: the losses swing wider and wider. Lower both rates, and
#   average the weights.
#
# Here are the gradients of the three terms where D has won, and where it has not. With
# logits of ±8 every term of D is nearly zero, and D stands still; the generator's loss
# (Eq. 3) still has a slope.

# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# judge = remove_batch_norm(Discriminator(width=8))
# batch, encodings = torch.rand(8, 3, 64, 64) * 2 - 1, torch.randn(8, 128)
# weights = list(judge.parameters())
# rows = []
# for what, gap in (("D has not won", 0.0), ("D has won", 8.0)):
#     logits = judge(batch, encodings)
#     terms = discriminator_terms(logits + gap, logits - gap, logits - gap)
#     terms["Eq. 3, for G"] = generator_loss(logits - gap)
#     norms = measure_gradients(terms, weights)
#     rows.append({"": what} | {f"norm, {k}": v.item() for k, v in norms.items()})
# not_won, won = rows
# show.table(rows)

# %% [markdown]
# ## When the discriminator memorises
#
# If we train on a few dozen recordings exactly as the paper says, the discriminator can
# memorise every real picture. Then its loss goes to zero, the scores of generated
# pictures become very low, and the generator ends in coloured noise.
#
# Fig. 9 of the paper shows an accuracy that rises and then falls, and Sec. 5.2.3
# explains it in the *opposite* way: "the discriminator loses both classification power
# and the power to tell fake images apart around epoch 50". The scores tell these two
# explanations apart. A discriminator that has won has $S_r$ near 1 and $S_f$ near 0.
# One that has lost its power gives all pairs about the same score. Step 7 looks at
# ours.
#
# The remedy against memorising does not change Eq. 3 and 4. The discriminator gets
# every picture after `jitter` (step 4): **real, wrong and generated pictures alike**.
# Jitter is differentiable, so the generator still learns through it (Zhao et al. 2020,
# *Differentiable Augmentation*). A discriminator that never sees the same pixels twice
# cannot simply memorise them.
#
# ## Average the generator's weights (EMA)
#
# The weights $\theta_t$ of the generator change from step to step, and so does the
# quality of its pictures. We therefore keep an exponential moving average (EMA) of the
# weights. This average is evaluated and saved:
#
# $$\bar\theta_t = d_t\,\bar\theta_{t-1} + (1 - d_t)\,\theta_t,\qquad
# d_t = \min\Big(d,\ \frac{1 + t}{10 + t}\Big).$$
#
# The decay $d_t$ is small at first, so that the average forgets the untrained weights
# quickly. `training.EMA` does this; here is the equation as a loop on one weight:

# %% tags=["active-ipynb"]
# weight = nn.Linear(1, 1, bias=False)
# ema = training.EMA(weight, decay=0.9)
# values, averages, average = [], [], weight.weight.item()
# for t in range(40):
#     with torch.no_grad():  # the place of an optimiser step
#         weight.weight.fill_(1 + 0.5 * (-1) ** t)
#     ema.update_parameters(weight)
#     d = min(0.9, (1 + t) / (10 + t)) if t else 0.0  # the first update copies
#     average = d * average + (1 - d) * weight.weight.item()
#     values.append(weight.weight.item())
#     averages.append(average)
#     assert abs(average - ema.module.weight.item()) < 1e-4
# show.curves({"weight": values, "average": averages}, y="value")

# %% [markdown]
# ## ω, the sampler of wrong pairs (Eq. 5 and Eq. 6)
#
# The choice of wrong pairs decides what the generator learns:
#
# - **instrument-oriented** (Eq. 5): $\omega(\mathbf I_{-i})$ is any picture of another
#   instrument. The generator has to get the instrument right.
# - **pose-oriented** (Eq. 6): $\omega(\mathbf I_i^{-j})$ is another picture of the
#   *same* instrument. The generator has to get the moment right too.
#
# In both, $S_w = D(\omega(\cdot), \varphi(A_i^j))$: the sound stays and its picture is
# exchanged. `labels (B,), pool (N,) → index (B,)`


# %%
def sample_wrong_class(
    labels: Int[Tensor, " b"], pool: Int[Tensor, " n"], generator: torch.Generator
) -> Int[Tensor, " b"]:
    """Sample ω of Eq. 5: for each label an item of another class, uniformly.

    Args:
        labels: the class of each sound of the batch.
        pool: the class of each picture that may be drawn.
        generator: source of the random numbers.

    Returns:
        For each label an index into `pool`.

    Raises:
        ValueError: the pool has one class only, so there are no wrong pairs.
    """
    if (pool == pool[0]).all():
        raise ValueError(f"every item has class {int(pool[0])}: no wrong pairs exist")
    # (B, N): 1 where a picture may be drawn; multinomial draws in proportion to it.
    others = (pool[None] != labels[:, None]).float()
    return torch.multinomial(others, 1, generator=generator)[:, 0]


# %%
def sample_wrong_moment(
    index: Int[Tensor, " b"], labels: Int[Tensor, " n"], generator: torch.Generator
) -> Int[Tensor, " b"]:
    """Sample ω of Eq. 6: for each item another one of the same class, uniformly.

    Args:
        index: the items of the batch.
        labels: the class of every item that may be drawn.
        generator: source of the random numbers.

    Returns:
        For each item an index into `labels`.

    Raises:
        ValueError: a class has a single item, so it has no other moment.
    """
    same = (labels[None] == labels[index][:, None]).float()
    # The item itself is not another moment.
    same[torch.arange(len(index), device=index.device), index] = 0
    if (same.sum(1) == 0).any():
        alone = int(labels[index][same.sum(1) == 0][0])
        raise ValueError(f"class {alone} has a single item: no other moment exists")
    return torch.multinomial(same, 1, generator=generator)[:, 0]


# %% [markdown]
# See and hear the three kinds of pairs. A small data set: four instruments, two players
# for each, three moments for each player.

# %% tags=["active-ipynb"]
# names, pictures, sounds, labels = ("cello", "flute", "horn", "violin"), [], [], []
# for label, name in enumerate(names):
#     for player in (1, 2):
#         played = bandstand.perform(name, player, seconds=6, seed=player)
#         wave = bandstand.synthesise(played)
#         for t in (1.0, 2.5, 4.0):
#             pictures.append(bandstand.draw(played, t))
#             sounds.append(wave[int(44100 * t) : int(44100 * (t + 0.5))])
#             labels.append(label)
# labels = torch.tensor(labels)
# print(f"{len(labels)} pairs, {len(names)} instruments")

# %% tags=["active-ipynb"]
# random = torch.Generator().manual_seed(35)
# index = torch.tensor([0, 7, 13, 19])  # one pair of each instrument
# other_class = sample_wrong_class(labels[index], labels, random)
# other_moment = sample_wrong_moment(index, labels, random)
# assert (labels[other_class] != labels[index]).all()
# assert (labels[other_moment] == labels[index]).all()
# assert (other_moment != index).all()
# rows = [[pictures[i] for i in row] for row in (index, other_class, other_moment)]
# kinds = ["true: S_r high", "wrong by Eq. 5: S_w low", "wrong by Eq. 6: S_w low"]
# heard = [f"{names[k]} heard" for k in labels[index]]
# display(show.image_grid(rows, rows=kinds, columns=heard, size=1.3))
# show.listen([sounds[i] for i in index], 44100, heard)

# %% [markdown]
# Each column shows one sound with three pictures. The second row is clearly wrong. For
# the third row you have to know how the bow moves, or simply who plays: another
# *player* is wrong by Eq. 6 too, and easier to recognise than another moment of the
# same player. Keep that in mind when you look at the pose-oriented pictures of step 7.
#
# ## Summary
#
# `Generator` and `Discriminator` are the networks of Fig. 2(a), `generator_loss` and
# `discriminator_loss` are Eq. 3 and 4, and `sample_wrong_class` and
# `sample_wrong_moment` are ω of Eq. 5 and 6. Step 7 trains S2I with them, and step 8
# uses most of them for I2S. What the examples above measured, in sentences:

# %% tags=["active-ipynb", "came-out"]
# for name, strength in strengths.items():
#     share = strength / noise.std().item()
#     print(f"Before any training, {name}: the encoding is {share:.0%} as strong as")
#     print("the noise.")
# print("Where D has won, the norms of the gradients are these shares of those where")
# print("it has not won:")
# for name in list(won)[1:]:  # the first column says which row it is
#     print(f"  {name.removeprefix('norm, ')}: {won[name] / not_won[name]:.1%}")

# %% [markdown]
# ## Exercises
#
# 1. Write Eq. 4 as a loss of logits, without torch's own losses, finite for logits of
#    ±200. What is its value when every score is 1/2?
# 2. ω draws *pictures* uniformly, so an instrument with many pictures is the wrong one
#    most of the time. Write a sampler that draws the other *class* uniformly.

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
# from avnb import course
#
#
# def compute_d_loss(real, fake, wrong):
#     """The discriminator's loss, a number, from the logits (B,) of the three pairs."""
#     ...  # your code
#
#
# course.try_exercise(exercises.D_LOSS, compute_d_loss)

# %% tags=["active-ipynb"]
# def sample_by_class(label, pool, random):
#     """An index of an item of pool (N,), which holds labels, of another class.
#
#     All other classes are equally likely, and so are the pictures within a class.
#     random is a numpy Generator.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.SAMPLE_BY_CLASS, sample_by_class)
