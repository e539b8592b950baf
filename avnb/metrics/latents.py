"""How much of a variational latent is in use, and how far two clouds are apart."""

import torch
from jaxtyping import Float
from torch import Tensor

ACTIVE = 0.01  # Burda et al. 2016, Sec. 5.2


def active_units(mu: Float[Tensor, "items latent"], least: float = ACTIVE) -> int:
    """Dimensions whose mean follows the input: variance of μ over items > `least`.

    Burda et al. 2016, Sec. 5.2, A_u = Cov(E[u | x]); the variance is the unbiased one.
    """
    return int((mu.var(0) > least).sum())


def latent_information(
    mu: Float[Tensor, "items latent"], logvar: Float[Tensor, "items latent"]
) -> Float[Tensor, " latent"]:
    """Nats that each dimension tells of the input, at most.

    I(x; z) = H(z) - H(z | x), and of all densities of one variance the Gaussian has the
    largest entropy: I ≤ ½ [ln(Var μ + E σ²) - E ln σ²], exact for Gaussian μ and one σ.
    KL(q(z|x) ‖ p) exceeds I by KL(q(z) ‖ p), which says nothing of the input: narrow
    clouds that all lie in one place cost many nats of KL and tell none.
    """
    overall = mu.var(0, correction=0) + logvar.exp().mean(0)
    return 0.5 * (overall.log() - logvar.mean(0))


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
