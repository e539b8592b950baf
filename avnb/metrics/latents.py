"""What a variational latent holds: nats a dimension, units in use, two clouds apart."""

import torch
from jaxtyping import Float
from torch import Tensor

ACTIVE = 0.01  # Burda et al. 2016, Sec. 5.2


def kl_per_dimension(
    mu: Float[Tensor, "items latent"], logvar: Float[Tensor, "items latent"]
) -> Float[Tensor, " latent"]:
    """KL(N(μ, σ²) ‖ N(0, 1)) of each dimension in nats, the mean over items.

    ½ (μ² + σ² - 1 - ln σ²); a dimension of 0 nats is the prior, whatever the input.
    """
    return (0.5 * (mu**2 + logvar.exp() - 1 - logvar)).mean(0)


def active_units(mu: Float[Tensor, "items latent"], least: float = ACTIVE) -> int:
    """Dimensions whose mean follows the input: variance of μ over items > `least`.

    Burda et al. 2016, Sec. 5.2, A_u = Cov(E[u | x]); the variance is the unbiased one.
    """
    return int((mu.var(0) > least).sum())


def modality_share(
    first: Float[Tensor, "n latent"], second: Float[Tensor, "m latent"]
) -> float:
    """The share of the latents' variance that lies between two modalities (η²).

    Squared distances of both means to the common one over all squared distances: 0
    where the clouds lie on each other, 1 where each is a point of its own.
    """
    together = torch.cat([first, second])
    centre = together.mean(0)
    total = (together - centre).square().sum()
    between = sum(
        len(part) * (part.mean(0) - centre).square().sum() for part in (first, second)
    )
    return float(between / total) if total > 0 else 0.0
