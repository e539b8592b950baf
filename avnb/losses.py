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
    """E[(‖∇D(ε real + (1 − ε) fake)‖₂ − 1)²], ε uniform, one an item.

    Gulrajani et al. 2017, Eq. 3; Redondo 2024, P of Eq. 5 and 6. The gradient is that
    of the sum of all of an item's patches, its norm over all the item's values; 1e-12
    under the root keeps the derivative finite where the gradient is zero. A backward
    pass reaches the critic's weights, not `real` and `fake`. `generator` (on their
    device) makes ε repeatable.
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
    mixed = torch.lerp(fake.detach(), real.detach(), epsilon).requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    norm = (gradient.flatten(1).square().sum(1) + 1e-12).sqrt()
    return (norm - 1).square().mean()


def critic_loss(real: Scores, *fakes: Scores) -> Scalar:
    """What a WGAN critic lowers: mean fake − mean real, summed over the fakes.

    Redondo 2024: Eq. 5 with one kind of fake; Eq. 6 with two, the generated and the
    shuffled, in the released code's form, where the real counts once against each.
    As printed, Eq. 6 has the real once and two fakes: adding a constant to the critic
    would then change the loss without end.
    """
    if not fakes:
        raise ValueError("critic_loss: give at least one kind of fake scores")
    terms = [fake.mean() - real.mean() for fake in fakes]
    return torch.stack(terms).sum()


def generator_loss(fake: Scores) -> Scalar:
    """What a WGAN generator lowers: −mean score of its fakes (Eq. 5 and 6)."""
    return -fake.mean()


def shuffle_time(
    video: Shaped[Tensor, "items time ..."],
    *,
    generator: torch.Generator | None = None,
) -> Shaped[Tensor, "items time ..."]:
    """Each video's frames in another order, each other order equally likely.

    The v̂ of Redondo 2024, Eq. 6: a fake whose every frame is real. The order is never
    the true one, which would be a real video called fake.
    """
    count = video.shape[1]
    if count < 2:
        raise ValueError(f"a video of {count} frame has no other order: give 2 or more")
    # without a generator on the CPU, so that no step waits for the device
    device = torch.device("cpu") if generator is None else generator.device
    true = torch.arange(count, device=device)
    orders: list[Tensor] = []
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
    """Mean squared difference of a network's features (Redondo 2024, α's term, Eq. 6).

    Pictures or videos in [−1, 1]; `features` takes (items, 3, H, W). The paper takes
    VGG16's relu2_2: `weights.load_network("vgg16").truncate(2)`. Eq. 6 writes a norm,
    the released code takes the mean square, as here. Gradients flow into `fake` alone.
    """
    if real.shape != fake.shape:
        raise ValueError(
            f"real is {tuple(real.shape)} and fake {tuple(fake.shape)}: "
            "each frame is compared with its own"
        )
    real, fake = (video.reshape(-1, *video.shape[-3:]) for video in (real, fake))
    with torch.no_grad():
        wanted = features(real)
    return F.mse_loss(features(fake), wanted)
