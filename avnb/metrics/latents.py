"""How much of a VAE's latent space is used, and how far two modalities lie apart."""

import torch
from jaxtyping import Float
from torch import Tensor

MIN_VARIANCE = 0.01  # of an active dimension's mean (Burda et al. 2016, Sec. 5.2)


def active_units(mu: Float[Tensor, "items latent"], least: float = MIN_VARIANCE) -> int:
    """Count the latent dimensions whose mean depends on the input.

    Args:
        mu: the encoder's means.
        least: the variance over items that the mean of an active dimension exceeds.

    Source: Burda et al. 2016, Sec. 5.2, A_u = Cov(E[u | x]), here with the unbiased
    variance.
    """
    return int((mu.var(0) > least).sum())


def latent_information(
    mu: Float[Tensor, "items latent"], logvar: Float[Tensor, "items latent"]
) -> Float[Tensor, " latent"]:
    """Bound the information, in nats, that each latent dimension holds about the input.

    The mutual information is I(x; z) = H(z) − H(z | x). Of all densities with the same
    variance the Gaussian has the largest entropy, so

        I ≤ ½ [ln(Var μ + E σ²) − E ln σ²],

    with equality for a Gaussian μ and a constant σ. The VAE's own KL(q(z|x) ‖ p) is
    larger than I by KL(q(z) ‖ p), which holds nothing about the input: posteriors that
    are narrow and all lie in one place have a large KL and no information.

    Args:
        mu: the encoder's means.
        logvar: ln σ² of the encoder.

    Returns:
        An upper bound for each dimension.
    """
    # the variance of z over all items, by the law of total variance
    overall = mu.var(0, correction=0) + logvar.exp().mean(0)
    return 0.5 * (overall.log() - logvar.mean(0))


def modality_share(
    first: Float[Tensor, "n latent"], second: Float[Tensor, "m latent"]
) -> float:
    """Compute which part of the latents' variance lies between two modalities (η²).

    It is the squared distances of both means to the common mean, over the squared
    distances of all items to it.

    Args:
        first: latents of one modality.
        second: latents of the other.

    Returns:
        0 where both modalities have the same mean, 1 where each is a single point of
        its own.
    """
    together = torch.cat([first, second])
    centre = together.mean(0)
    total = (together - centre).square().sum()
    between = sum(
        len(part) * (part.mean(0) - centre).square().sum() for part in (first, second)
    )
    return float(between / total) if total > 0 else 0.0


def pair_distance(
    first: Float[Tensor, "items latent"], second: Float[Tensor, "items latent"]
) -> float:
    """Compute how far the two latents of a pair are from each other, against others.

    It is the mean distance of a pair, over the mean distance of two latents that are no
    pair. `modality_share` is 0 also where both modalities are one point, or are spread
    in the same way but have nothing to do with each other. This is 1 then.

    Args:
        first: latents of one modality.
        second: those of the other, in the same order.

    Returns:
        0 where the latents of each pair are equal, 1 where a pair is no nearer than
        two that are no pair.
    """
    distance = torch.cdist(first, second)
    n = len(distance)
    pairs = distance.diagonal().mean()
    others = (distance.sum() - distance.diagonal().sum()) / max(n * (n - 1), 1)
    return float(pairs / others) if others > 0 else 1.0
