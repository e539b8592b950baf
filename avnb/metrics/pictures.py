"""How like its own real frame a generated frame is: SSIM and LPIPS.

Pictures (clips, 3, H, W) or videos (clips, time, 3, H, W), as uint8 or as floats in
[−1, 1]. The mean over a clip's frames is one value, whose interval is a bootstrap.
"""

from collections.abc import Callable, Hashable, Sequence

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from avnb.metrics.intervals import bootstrap_interval
from avnb.metrics.measure import Measure
from avnb.pretrained.networks import StagedFeatures

Pictures = Shaped[Tensor, "_ ... 3 _ _"]


def as_floats(pictures: Shaped[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Pictures in [−1, 1], from uint8 or from such floats."""
    if pictures.dtype == torch.uint8:
        return pictures.float() / 127.5 - 1
    if not pictures.is_floating_point():
        raise TypeError(f"pictures are {pictures.dtype}: give uint8, or [−1, 1]")
    least, most = (float(x) for x in pictures.aminmax())
    if not -1.001 <= least <= most <= 1.001:  # also where any is NaN
        raise ValueError(f"pictures go from {least} to {most}: give −1 to 1, or uint8")
    return pictures


def as_bytes(pictures: Shaped[Tensor, "..."]) -> UInt8[Tensor, "..."]:
    """Pictures as uint8, as a file would hold them."""
    if pictures.dtype == torch.uint8:
        return pictures
    return ((as_floats(pictures) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


@torch.no_grad()
def _paired(
    name: str,
    score: Callable[[Tensor, Tensor], Tensor],
    real: Pictures,
    generated: Pictures,
    recordings: Sequence[Hashable] | None,
    seed: int,
    batch: int,
) -> Measure:
    if real.shape != generated.shape:
        raise ValueError(
            f"{name}: real is {tuple(real.shape)}, generated {tuple(generated.shape)}: "
            "each frame is compared with its own"
        )
    frames = [x.reshape(-1, *x.shape[-3:]).split(batch) for x in (real, generated)]
    scores = [score(as_floats(a), as_floats(b)) for a, b in zip(*frames, strict=True)]
    each = torch.cat(scores).double().cpu().reshape(len(real), -1)
    values = each.mean(1).numpy()
    low, high = bootstrap_interval(values, recordings, seed=seed)
    over = "clips" if recordings is None else f"{len(set(recordings))} recordings"
    return Measure(
        name,
        float(values.mean()),
        low,
        high,
        len(values),
        seed=seed,
        note=f"{each.shape[1]} frames a clip; bootstrap over {over}",
    )


def ssim(
    real: Pictures,
    generated: Pictures,
    recordings: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
    batch: int = 64,
) -> Measure:
    """Structural similarity, up to 1: an 11 × 11 Gaussian window of σ 1.5, RGB.

    Wang et al. 2004, on values of [0, 1], of the windows wholly inside the frame. The
    released code of Redondo 2024 has windows over the edges too, filled with zeros.
    """
    if min(real.shape[-2:]) < 11:
        raise ValueError(f"frames of {tuple(real.shape[-2:])}: SSIM needs 11 × 11")

    def score(a: Tensor, b: Tensor) -> Tensor:
        a, b = ((x.float() + 1) / 2 for x in (a, b))
        _, places = structural_similarity_index_measure(
            b, a, data_range=1.0, return_full_image=True
        )
        # torchmetrics mirrors the edges: without them, as Wang et al. have it
        return places[..., 5:-5, 5:-5].mean((1, 2, 3))

    return _paired("SSIM", score, real, generated, recordings, seed, batch)


def lpips_distance(
    network: StagedFeatures,
    a: Float[Tensor, "items 3 height width"],
    b: Float[Tensor, "items 3 height width"],
) -> Float[Tensor, " items"]:
    """LPIPS of pictures in [−1, 1]; gradients flow into both.

    At each stage the maps are scaled to length 1 over the channels; their squared
    difference, weighted by channel, is summed over channels, averaged over the
    picture, and summed over the stages. Zhang et al. 2018, Eq. 1.
    """
    total = torch.zeros(len(a), device=a.device, dtype=a.dtype)
    for x, y, head in zip(network(a), network(b), network.heads, strict=True):
        x, y = (m / (m.square().sum(1, keepdim=True).sqrt() + 1e-10) for m in (x, y))
        total = total + torch.einsum("nchw,c->nhw", (x - y).square(), head).mean((1, 2))
    return total


def lpips(
    real: Pictures,
    generated: Pictures,
    network: StagedFeatures,
    recordings: Sequence[Hashable] | None = None,
    *,
    network_name: str = "AlexNet with LPIPS heads",
    seed: int = 0,
    batch: int = 64,
) -> Measure:
    """LPIPS, from 0; `network` is `weights.load_network("alexnet")` or "vgg16".

    The two networks' values are not interchangeable. Frames are taken at their own
    size, of 32 × 32 at least; below 64 the last stages see a few places only.
    """
    if min(real.shape[-2:]) < 32:
        raise ValueError(f"frames of {tuple(real.shape[-2:])}: LPIPS needs 32 × 32")
    device = next(network.parameters()).device

    def score(a: Tensor, b: Tensor) -> Tensor:
        return lpips_distance(network, a.float().to(device), b.float().to(device))

    measure = _paired("LPIPS", score, real, generated, recordings, seed, batch)
    return measure.annotate_network(network, network_name)
