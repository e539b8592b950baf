"""Loss terms that several papers share."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

Items = Float[Tensor, "_ ..."]
Scores = Float[Tensor, "..."]  # any shape: one score an item, or a map of patches
Scalar = Float[Tensor, ""]


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Items,
    fake: Items,
    *,
    generator: torch.Generator | None = None,
) -> Scalar:
    """Compute WGAN-GP's gradient penalty, E[(‖∇D(ε real + (1 − ε) fake)‖₂ − 1)²].

    ε is uniform in [0, 1], one number an item. Where the critic gives a map of patches,
    the gradient is that of the sum of an item's patches, and its norm is over all
    values of the item. A backward pass reaches the weights of the critic, not `real`
    and `fake`.

    Args:
        critic: gives scores of a batch.
        real: items of the data.
        fake: items of the generator, in the same shape.
        generator: on their device; makes ε repeatable.

    Raises:
        ValueError: the shapes differ.

    Source: Gulrajani et al. 2017, Eq. 3; Redondo 2024, P of Eq. 5 and 6.
    """
    if real.shape != fake.shape:
        raise ValueError(
            f"real is {tuple(real.shape)} and fake {tuple(fake.shape)}: "
            "the penalty mixes them item by item, so they must agree"
        )
    shape = (len(real),) + (1,) * (real.ndim - 1)
    epsilon = torch.rand(
        shape, generator=generator, device=real.device, dtype=real.dtype
    )
    # Detached: the penalty trains the critic alone. A copy that requires gradients, so
    # that D's gradient at this very point can be taken.
    mixed = torch.lerp(fake.detach(), real.detach(), epsilon).requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    # 1e-12: the derivative of the root is infinite where the gradient is zero.
    norm = (gradient.flatten(1).square().sum(1) + 1e-12).sqrt()
    return (norm - 1).square().mean()


def critic_loss(real: Scores, *fakes: Scores) -> Scalar:
    """Compute the loss of a WGAN critic: mean fake − mean real, summed over the fakes.

    Redondo 2024 has one kind of fake in Eq. 5, and two in Eq. 6, the generated videos
    and the shuffled ones. Here the real scores count once against each kind, as in the
    released code. As printed, Eq. 6 has the real scores once and two fakes: then the
    critic could lower its loss without limit by adding a constant to all its scores.

    Args:
        real: scores of real items, of any shape.
        fakes: scores of each kind of fake.

    Raises:
        ValueError: no fakes are given.
    """
    if not fakes:
        raise ValueError("critic_loss: give at least one kind of fake scores")
    # The mean over all patches and items, so that the size of the map does not matter.
    terms = [fake.mean() - real.mean() for fake in fakes]
    return torch.stack(terms).sum()


def generator_loss(fake: Scores) -> Scalar:
    """Compute the loss of a WGAN generator: minus the mean score of its fakes.

    Source: Redondo 2024, Eq. 5 and 6.
    """
    return -fake.mean()


def log_critic_loss(real: Scores, *fakes: Scores) -> Scalar:
    """Compute the loss of a critic that says with which probability an input is real.

    That is −E[log D(real)] − Σ E[log(1 − D(fake))] over the kinds of fake, where D is
    the sigmoid of a logit: minus the value of Goodfellow et al. 2014, Eq. 1.

    Args:
        real: logits of real items, of any shape; the mean over patches is taken.
        fakes: logits of each kind of fake.

    Raises:
        ValueError: no fakes are given.
    """
    if not fakes:
        raise ValueError("log_critic_loss: give at least one kind of fake logits")
    # log σ(s) = −softplus(−s) and log(1 − σ(s)) = −softplus(s), which never overflow.
    terms = [F.softplus(fake).mean() for fake in fakes]
    return F.softplus(-real).mean() + torch.stack(terms).sum()


def log_generator_loss(fake: Scores, *, saturating: bool = False) -> Scalar:
    """Compute the loss of a generator whose critic gives logits.

    Args:
        fake: logits of what it made.
        saturating: minimise E[log(1 − D(fake))], as the game is written. Its gradient
            vanishes where the critic is sure. By default −E[log D(fake)] is minimised,
            which wants the same and has its largest gradient there.

    Source: Goodfellow et al. 2014, Eq. 1 and the end of Sec. 3.
    """
    return -F.softplus(fake).mean() if saturating else F.softplus(-fake).mean()


def shuffle_time(
    video: Shaped[Tensor, "items time ..."],
    *,
    generator: torch.Generator | None = None,
) -> Shaped[Tensor, "items time ..."]:
    """Put each video's frames into another order, all other orders equally likely.

    The result is a fake video in which every frame is real. The order is never the true
    one, since that would be a real video that the critic learns to call fake.

    Args:
        video: videos of 2 frames or more.
        generator: makes the orders repeatable.

    Raises:
        ValueError: there is only one frame.

    Source: Redondo 2024, v̂ of Eq. 6.
    """
    count = video.shape[1]
    if count < 2:
        raise ValueError(f"a video of {count} frame has no other order: give 2 or more")
    # Without a generator the orders are drawn on the CPU: the comparison below would
    # make every step wait for a GPU.
    device = torch.device("cpu") if generator is None else generator.device
    true = torch.arange(count, device=device)
    orders: list[Tensor] = []
    # Draw again where the true order came out; swapping two frames of it instead would
    # make some orders likelier than others.
    while len(orders) < len(video):
        order = torch.randperm(count, generator=generator, device=device)
        if not torch.equal(order, true):
            orders.append(order)
    order = torch.stack(orders).to(video.device)
    item = torch.arange(len(video), device=video.device)[:, None]
    return video[item, order]


def perceptual_loss(
    features: nn.Module | Callable[[Tensor], Tensor],
    real: Float[Tensor, "... 3 _ _"],
    fake: Float[Tensor, "... 3 _ _"],
) -> Scalar:
    """Compute the mean squared difference of a network's features.

    Eq. 6 has a norm; the released code takes the mean square, as here. Gradients flow
    into `fake` only.

    Args:
        features: gives features of pictures (items, 3, H, W). The paper takes relu2_2
            of VGG16: `weights.load_network("vgg16").truncate(2)`.
        real: pictures or videos in [−1, 1].
        fake: the same in the same shape.

    Raises:
        ValueError: the shapes differ.

    Source: Redondo 2024, Eq. 6, the term with α.
    """
    if real.shape != fake.shape:
        raise ValueError(
            f"real is {tuple(real.shape)} and fake {tuple(fake.shape)}: "
            "each frame is compared with its own"
        )
    real, fake = (video.reshape(-1, *video.shape[-3:]) for video in (real, fake))
    # No gradient flows into the real side: without a graph it takes little memory.
    with torch.no_grad():
        wanted = features(real)
    return F.mse_loss(features(fake), wanted)
