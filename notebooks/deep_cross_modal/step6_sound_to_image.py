# %% [markdown]
# # Step 6 · Sound to image: the generator, the discriminator, the game
#
# Half a second of sound goes in, a picture of somebody playing it comes out.
# This notebook builds both players of that game exactly once; the next one
# trains them.
#
# **Letters.** B batch · Z noise size (100) · E encoding size (128) · C compressed
# encoding (64) · W base width of a network (128 for the generator, as in Sec. 3.1,
# and 64 for the discriminator, as in GAN-CLS) · h, w height and width of a map ·
# N pictures to draw wrong pairs from.

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

# %% [markdown]
# ## The idea in one paragraph
#
# A **generator** $G$ paints, a **discriminator** $D$ says whether a picture is real,
# and each learns from the other's mistakes (Eq. 1):
#
# $$\min_G \max_D\ \mathbb E_{x \sim p_\text{data}}[\log D(x)]
# + \mathbb E_{z \sim p_z}[\log(1 - D(G(z)))] .$$
#
# A generator that sees only noise can paint *a* musician. We want the musician
# who makes *this* sound, so both networks also see an encoding of the sound: a
# **conditional** GAN (Eq. 2), $D(x \mid y)$ and $G(z \mid y)$ for $D(x)$ and $G(z)$.
# One trap remains: a discriminator that only asks "is this a real photograph?"
# never looks at the sound. Reed et al. (GAN-CLS) close it with a third kind of pair:
# a sound beside a real picture that is **wrong** for it, which the discriminator
# must reject as well. The whole of it is Fig. 2(a):

# %%
import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F


# %% tags=["active-ipynb"]
# from IPython.display import display
#
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
# Blue is what this notebook builds and step 7 trains; grey is given. D sees one
# picture at a time, always beside the same sound, and gives it a score.
#
# ## Compressor the encoding
#
# $\varphi(A)$: the 128 numbers of the sound encoder pass a fully connected layer
# and a leaky ReLU to become 64 (Sec. 3.1). Both networks own a copy, as in
# GAN-CLS, so each may listen in its own way.
#
# `(B, 128) → (B, 64)`


# %%
class Compressor(nn.Sequential):
    """φ(A), or ϕ(I) for pictures: (B, E) → (B, C) (Sec. 3.1)."""

    def __init__(self, encoding: int = 128, compressed: int = 64) -> None:
        super().__init__(nn.Linear(encoding, compressed), nn.LeakyReLU(0.2))


# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# print("(5, 128) →", tuple(Compressor()(torch.randn(5, 128)).shape))

# %% [markdown]
# ## A residual bottleneck
#
# GAN-CLS thickens its coarse feature maps with blocks that squeeze the channels
# to a quarter, work there, and add the result to what came in:
# $y = \sigma(x + f(x))$. At 4×4 and 8×8 they cost little and buy depth.
#
# `(B, W, h, w) → (B, W, h, w)`


# %%
class ResidualBlock(nn.Module):
    """σ(x + f(x)) for any f that keeps the shape (B, W, h, w)."""

    def __init__(self, body: nn.Sequential, activation: nn.Module) -> None:
        super().__init__()
        self.body, self.activation = body, activation

    def forward(self, x: Float[Tensor, "b w h v"]) -> Float[Tensor, "b w h v"]:
        return self.activation(x + self.body(x))


# %%
class Bottleneck(ResidualBlock):
    """ResidualBlock bottleneck of GAN-CLS: 1×1, 3×3, 3×3 at a quarter of the width."""

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
            nn.BatchNorm2d(width),
        )
        super().__init__(body, activation)


# %% [markdown]
# The shape stays, and so does the input: a block whose last norm is zero has
# $f(x) = 0$ and passes on $\sigma(x)$. A deep network of such blocks starts as
# a shallow one and grows as deep as it needs.

# %% tags=["active-ipynb"]
# block, x = Bottleneck(16, nn.ReLU()), torch.randn(2, 16, 4, 4)
# assert block(x).shape == x.shape
# nn.init.zeros_(block.body[-1].weight)
# assert torch.equal(block(x), x.relu())
# layers = {"a block": Bottleneck(1024, nn.ReLU()), "a 3×3": nn.Conv2d(1024, 1024, 3)}
# for name, layer in layers.items():
#     weights = sum(p.numel() for p in layer.parameters())
#     print(f"{name} at width 1024: {weights:,} weights")

# %% [markdown]
# ## How to make a map larger: transposed convolution
#
# An ordinary convolution gathers: each output is a weighted sum of a window of
# inputs. Turned round it **scatters**: each input pixel stamps the kernel, times its
# own value, onto the output, and overlapping stamps add up. With kernel $k$, stride
# $s$ and padding $p$
#
# $$\text{size}_\text{out} = (\text{size}_\text{in} - 1)\,s - 2p + k,$$
#
# so $k = 4,\ s = 2,\ p = 1$ doubles exactly. One pixel, two neighbours, all of them;
# and all of them once more, with a random kernel:

# %% tags=["active-ipynb"]
# stamp = nn.ConvTranspose2d(1, 1, 4, 2, 1, bias=False)
# ramp = torch.tensor([1.0, 2.0, 2.0, 1.0])
# stamp.weight.data = (ramp[:, None] * ramp).view(1, 1, 4, 4)
# spots = torch.zeros(4, 1, 4, 4)
# spots[0, 0, 1, 1] = spots[1, 0, 1, 1] = spots[1, 0, 1, 2] = 1
# spots[2:] = 1
# stamped = stamp(spots).detach()
# torch.manual_seed(132)
# stamp.weight.data = torch.rand(1, 1, 4, 4)
# stamped[3] = stamp(spots[3:]).detach()[0]
# assert stamped.shape == (4, 1, 8, 8)
# figure, axes = show.subplots(2, 4, width=2.2, height=2.2)
# titles = ("one pixel", "two neighbours", "all", "all, random kernel")
# for column, title in enumerate(titles):
#     axes[0, column].imshow(spots[column, 0], vmin=0, cmap="magma")
#     axes[0, column].set_title(f"{title}, 4×4")
#     axes[1, column].imshow(stamped[column, 0], vmin=0, cmap="magma")
#     axes[1, column].set_title("stamped, 8×8")
# for ax in axes.flat:
#     ax.set_axis_off()
# figure

# %% [markdown]
# The first kernel is smooth, so a flat map stays flat inside. A *random* kernel does
# not keep it flat: with stride 2 the even and the odd places are stamped by different
# entries of it, and what comes out is stripes or a **checkerboard**.
#
# ## Generator: from 164 numbers to a picture
#
# $\hat x_I \leftarrow G_{S\mapsto I}(z, \varphi(A))$ (Sec. 3.1). Noise and compressed
# sound stand side by side as a 1×1 "image" of 164 channels. One transposed
# convolution makes it 4×4, four more double it until it is 64×64:
#
# | map | channels | by |
# |---|---|---|
# | 1×1 | 164 | z and φ(A) side by side |
# | 4×4 | 8W | 4×4 kernel + bottleneck |
# | 8×8 | 4W | stride 2 + bottleneck |
# | 16×16 | 2W | stride 2 |
# | 32×32 | W (the paper's 128) | stride 2 |
# | 64×64 | 3, tanh | stride 2 |


# %%
def make_upsampling(before: int, after: int) -> nn.Sequential:
    """Twice the size: a 4×4 transposed convolution, norm, ReLU."""
    return nn.Sequential(
        nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )


# %%
def make_trunk(inputs: int, width: int) -> nn.Sequential:
    """From (B, inputs, 1, 1) to the (B, W, 32, 32) map that both generators share."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, 8 * width, 4, bias=False),
        nn.BatchNorm2d(8 * width),
        nn.ReLU(),
        Bottleneck(8 * width, nn.ReLU()),
        make_upsampling(8 * width, 4 * width),
        Bottleneck(4 * width, nn.ReLU()),
        make_upsampling(4 * width, 2 * width),
        make_upsampling(2 * width, width),
    )


# %%
class Generator(nn.Module):
    """G_S→I: noise and a sound's encoding to a picture in [-1, 1] (Sec. 3.1).

    noise (B, Z) and encoding (B, E) → picture (B, 3, 64, 64).
    """

    def __init__(self, width: int = 128, noise: int = 100, encoding: int = 128) -> None:
        super().__init__()
        self.noise = noise
        self.compress = Compressor(encoding)
        self.trunk = make_trunk(noise + 64, width)
        self.picture = nn.ConvTranspose2d(width, 3, 4, 2, 1)

    def forward(
        self, z: Float[Tensor, "b z"], encoding: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b 3 64 64"]:
        condition = torch.cat([z, self.compress(encoding)], dim=1)
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
#         name = "block" if isinstance(layer, Bottleneck) else "stamped"
#         shapes[f"{name} {len(shapes)}"] = x.shape[1:]
# shapes["x̂"] = (3, 64, 64)
# show.feature_maps(shapes)

# %% [markdown]
# ## Discriminator: is this pair genuine?
#
# $D_{S\mapsto I}(x, \varphi(A))$ looks at the picture first. Only when it has
# shrunk to 4×4 does the sound join in, copied to each of the 16 places; a 1×1
# convolution lets every place compare what it sees with what is heard, and one
# 4×4 convolution turns the map into a single **logit** (the score $S$ of the
# paper is its sigmoid). A high logit says "genuine": a real picture, of this sound.
#
# `(B, 3, 64, 64), (B, 128) → (B,)`


# %%
def make_downsampling(before: int, after: int) -> nn.Sequential:
    """Half the size: a 4×4 convolution, norm, leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, 4, 2, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.LeakyReLU(0.2),
    )


# %%
class PairHead(nn.Module):
    """The last storey of both discriminators: a 4×4 map meets the condition."""

    def __init__(self, width: int, encoding: int = 128) -> None:
        super().__init__()
        self.compress = Compressor(encoding)
        self.compare = nn.Sequential(
            nn.Conv2d(width + 64, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
        )
        self.score = nn.Conv2d(width, 1, 4)

    def forward(
        self, x: Float[Tensor, "b w 4 4"], encoding: Float[Tensor, "b e"]
    ) -> Float[Tensor, " b"]:
        condition = repeat(self.compress(encoding), "b c -> b c 4 4")
        x = self.compare(torch.cat([x, condition], dim=1))
        return rearrange(self.score(x), "b 1 1 1 -> b")


# %%
class Discriminator(nn.Module):
    """D_S→I: the logit that a picture and a sound belong together (Sec. 3.1).

    picture (B, 3, 64, 64) in [-1, 1] and encoding (B, E) → logits (B,).
    """

    def __init__(self, width: int = 64, encoding: int = 128) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(3, width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            make_downsampling(width, 2 * width),
            make_downsampling(2 * width, 4 * width),
            make_downsampling(4 * width, 8 * width),
            Bottleneck(8 * width, nn.LeakyReLU(0.2)),
        )
        self.pair = PairHead(8 * width, encoding)

    def forward(
        self, picture: Float[Tensor, "b 3 64 64"], encoding: Float[Tensor, "b e"]
    ) -> Float[Tensor, " b"]:
        return self.pair(self.look(picture), encoding)


# %% tags=["active-ipynb"]
# discriminator = Discriminator(width=8).eval()
# pictures = torch.rand(6, 3, 64, 64) * 2 - 1
# score = discriminator(pictures, encoding)
# assert score.shape == (6,)
# assert not torch.equal(score, discriminator(pictures, encoding.roll(1, 0)))
# shapes, x = {"picture": (3, 64, 64)}, pictures
# for layer in Discriminator(width=64).look:
#     x = layer(x)
#     if not isinstance(layer, nn.LeakyReLU):
#         name = "block" if isinstance(layer, Bottleneck) else "halved"
#         shapes[f"{name} {len(shapes)}"] = x.shape[1:]
# shapes["with φ(A)"] = (shapes["block 5"][0] + 64, 4, 4)
# shapes["logit"] = (1, 1, 1)
# show.feature_maps(shapes)

# %% [markdown]
# ## Where the weights start
#
# As in GAN-CLS: convolutions from $\mathcal N(0, 0.02^2)$, the gains of the norms
# from $\mathcal N(1, 0.02^2)$, their biases at zero. The fully connected layer that
# compresses the encoding keeps torch's own start: from weights of 0.02 the sound would
# enter at a fifth of the noise's strength and be overheard.


# %%
def init_weights(module: nn.Module) -> None:
    """GAN-CLS's initialisation, for `network.apply(init_weights)`."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


# %% [markdown]
# ## A discriminator without batch norm
#
# Batch norm measures every picture against its batch, and D gets its real, its wrong
# and its generated pictures in three batches: what a *batch* has in common can give
# it away, without a look at any one picture, and about that G gets no useful advice.
# GAN-CLS trains so for hundreds of epochs. In a training of some hundred steps, as at
# `laptop`, D wins: its loss nears 0 and G is left with coloured noise. Without norms
# each picture has to be judged by itself, and G keeps up. So every scale but `paper`
# takes the norms out of D; `OVERRIDES = {"norm_d": True}` in step 7 leaves them in.
#
# Without norms the weights must keep the signal's size themselves. He's start does:
# for a convolution with $n$ inputs a kernel and leaky ReLUs of slope $a$,
# $\operatorname{Var}(w) = \frac{2}{(1 + a^2)\,n}$. ResidualBlock blocks start as $f(x) = 0$.


# %%
def remove_batch_norm(network: nn.Module) -> nn.Module:
    """Take the batch norms out of a discriminator; start its weights as He et al."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=0.2)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            last = [m for m in module.body if isinstance(m, nn.Conv2d)][-1]
            nn.init.zeros_(last.weight)
    return network


# %% [markdown]
# The proof is in who else is in the batch. The same picture with the same sound, once
# beside one set of neighbours and once beside another: with norms its score changes,
# without them it is the picture's own.

# %% tags=["active-ipynb"]
# torch.manual_seed(0)
# seen, heard = torch.rand(8, 3, 64, 64) * 2 - 1, torch.randn(8, 128)
# beside = torch.cat([seen[:1], seen[1:] * 0.1])
# players = {
#     "with norms": Discriminator(width=8).apply(init_weights),
#     "without": remove_batch_norm(Discriminator(width=8)),
# }
# for name, D in players.items():
#     first, second = (D(x, heard)[0].item() for x in (seen, beside))
#     print(f"{name:10}  {first:+.4f} and, beside others, {second:+.4f}")

# %% [markdown]
# What does a generator paint that has learned nothing? Nearly grey. Turn up the
# contrast and go close, and there is the checkerboard's grid. Everything better than
# this will have been learned from the discriminator.

# %% tags=["active-ipynb"]
# generator.apply(init_weights)
# with torch.no_grad():
#     paint = generator(z, encoding)
# print(f"untrained: from {paint.min():.2f} to {paint.max():.2f}")
# close = paint[:, :, 16:40, 16:40] / paint.abs().max()
# loud = paint / paint.abs().max()
# show.image_grid(
#     [(paint + 1) / 2, (loud + 1) / 2, (close + 1) / 2],
#     rows=["as it is", "contrast up", "close-up"],
# )

# %% [markdown]
# ## The scores and the two losses (Eq. 3, 4)
#
# Three kinds of pairs, three scores: $S_r$ of a real pair, $S_f$ of a generated
# picture with its sound, $S_w$ of a wrong pair. The generator maximises
#
# $$\log S_f \tag{3}$$
#
# and the discriminator
#
# $$\log S_r + \tfrac12\left(\log(1-S_w) + \log(1-S_f)\right). \tag{4}$$
#
# With logits $s$, $\log\sigma(s) = -\mathrm{softplus}(-s)$ and
# $\log(1-\sigma(s)) = -\mathrm{softplus}(s)$: the same numbers without a
# logarithm of zero.


# %%
def generator_loss(fake: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """−log S_f, the mean over the batch (Eq. 3)."""
    return F.softplus(-fake).mean()


# %%
def discriminator_loss(
    real: Float[Tensor, " b"],
    fake: Float[Tensor, " b"],
    wrong: Float[Tensor, " b"] | None = None,
) -> Float[Tensor, ""]:
    """The negative of Eq. 4; without wrong pairs (S2I-N) that of Eq. 2."""
    true_pairs = F.softplus(-real).mean()
    if wrong is None:
        return true_pairs + F.softplus(fake).mean()
    return true_pairs + (F.softplus(wrong) + F.softplus(fake)).mean() / 2


# %% [markdown]
# The same numbers as the formulas, where those can be computed; a logit of -200
# shows where they cannot.

# %% tags=["active-ipynb"]
# real, fake, wrong = torch.randn(3, 16, dtype=torch.float64)
# S_r, S_f, S_w = (s.sigmoid() for s in (real, fake, wrong))
# by_hand = -(S_r.log() + ((1 - S_w).log() + (1 - S_f).log()) / 2).mean()
# assert torch.isclose(discriminator_loss(real, fake, wrong), by_hand)
# assert torch.isclose(generator_loss(fake), -S_f.log().mean())
# hopeless = torch.tensor([-200.0])
# print("by logarithm", -hopeless.sigmoid().log().item(), end=", ")
# print("by softplus", generator_loss(hopeless).item())

# %% [markdown]
# ### Why the generator maximises $\log S_f$ and does not minimise $\log(1 - S_f)$
#
# Eq. 1 says the latter, Eq. 3 the former, and both want $S_f$ high. Early in
# training the discriminator sees through every fake: the logit $s$ is far below
# zero. There $\log(1 - \sigma(s))$ is **flat**. Its slope is $-\sigma(s) \approx 0$, so
# the generator hears "bad" and never "this way". The slope of
# $-\log\sigma(s) = \mathrm{softplus}(-s)$ is $\sigma(s) - 1 \approx -1$: the worse the
# fake, the clearer the advice.

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
# axes[0, 1].text(-7.8, 0.5, "fakes that D\nsees through", color="#666666")
# handles = axes[0, 0].get_legend_handles_labels()
# figure.legend(*handles, loc="outside lower center", frameon=False)
# figure

# %% [markdown]
# ## When the discriminator learns by heart
#
# Trained as printed on a few dozen recordings, the discriminator soon knows every
# real picture: its loss falls towards zero, the scores of generated pictures drop
# out of reach, and the generator, pushed by a judge that no longer compares but
# remembers, ends in coloured noise. It is the paper's own Fig. 9, come early: rise,
# then fall.
#
# The cure leaves Eq. 3 and 4 as they are. The discriminator never sees a picture as
# it is, but `jitter`ed (step 4), **the real, the wrong and the generated alike**, and
# because jitter is differentiable the generator still learns through it (Zhao et al.
# 2020, *Differentiable Augmentation*). What cannot be remembered has to be compared.
#
# The generator's weights are also averaged over the last steps (an exponential
# moving average), which removes the jitter of its own path; the average is what is
# judged and kept.

# %% [markdown]
# ## ω, the sampler of wrong pairs (Eq. 5 and Eq. 6)
#
# *Which* pairs count as wrong decides what the generator learns:
#
# - **instrument-oriented** (Eq. 5): $\omega(\mathbf I_{-i})$, any picture of
#   another instrument. To please the discriminator, get the instrument right.
# - **pose-oriented** (Eq. 6): $\omega(\mathbf I_i^{-j})$, another picture of the
#   *same* instrument. Now the instrument is not enough: get the moment right.
#
# In both, $S_w = D(\omega(\cdot), \varphi(A_i^j))$: the sound stays, its picture is
# swapped. `labels (B,), pool (N,) → index (B,)`


# %%
def sample_wrong_class(
    labels: Int[Tensor, " b"], pool: Int[Tensor, " n"], generator: torch.Generator
) -> Int[Tensor, " b"]:
    """ω(I₋ᵢ): for each label an index into `pool` of another class, uniformly.

    Raises ValueError when the pool holds a single class: nothing is wrong there.
    """
    if (pool == pool[0]).all():
        raise ValueError(f"every item has class {int(pool[0])}: no wrong pairs exist")
    others = (pool[None] != labels[:, None]).float()
    return torch.multinomial(others, 1, generator=generator)[:, 0]


# %%
def sample_wrong_moment(
    index: Int[Tensor, " b"], labels: Int[Tensor, " n"], generator: torch.Generator
) -> Int[Tensor, " b"]:
    """ω(Iᵢ⁻ʲ): for each item another one of its own class, uniformly (Eq. 6).

    Raises ValueError when a class has a single item.
    """
    same = (labels[None] == labels[index][:, None]).float()
    same[torch.arange(len(index), device=index.device), index] = 0
    if (same.sum(1) == 0).any():
        alone = int(labels[index][same.sum(1) == 0][0])
        raise ValueError(f"class {alone} has a single item: no other moment exists")
    return torch.multinomial(same, 1, generator=generator)[:, 0]


# %% [markdown]
# See and hear the three kinds of pairs. A little data set: four instruments, two
# players each, three moments a player.

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
# Read a column downwards: one sound, three pictures. In the second row any child
# sees the mistake. In the third you have to know how the bow moves, or simply who
# plays: another *player* is wrong by Eq. 6 as well, and easier to tell than another
# moment. Keep that in mind when you look at the pose-oriented pictures of step 7.
#
# ## Exercises
#
# 1. Write Eq. 4 as a loss of logits, without help from torch's own losses but finite
#    for logits of ±200. What is it when every score is 1/2?
# 2. ω draws *pictures* uniformly, so an instrument with many pictures is the wrong one
#    most of the time. Write a sampler that draws the other *class* uniformly.

# %% tags=["active-ipynb"]
# from avnb_notebooks.deep_cross_modal import exercises
#
# from avnb import course
#
#
# def equation_4(real, fake, wrong):
#     """The discriminator's loss, a number, from the logits (B,) of three pairs."""
#     ...  # your code
#
#
# course.try_exercise(exercises.EQUATION_4, equation_4)

# %% tags=["active-ipynb"]
# def wrong_by_class(label, pool, random):
#     """An index into pool (N,), labels, of another class than label.
#
#     Every other class is as likely as any other, and so is each picture within a
#     class. random is a numpy Generator.
#     """
#     ...  # your code
#
#
# course.try_exercise(exercises.WRONG_BY_CLASS, wrong_by_class)
