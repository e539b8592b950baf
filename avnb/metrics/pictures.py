"""SSIM and LPIPS: how much a generated frame resembles its own real frame.

They take pictures (clips, 3, H, W) or videos (clips, time, 3, H, W), as uint8 or as
floats in [−1, 1]. The mean over a clip's frames counts as one value of the interval.
"""

from collections.abc import Callable, Hashable, Sequence

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from avnb.metrics.intervals import bootstrap_interval
from avnb.metrics.measure import Measure
from avnb.pretrained.networks import StagedFeatures

Pictures = Shaped[Tensor, "_ ... 3 _ _"]


def as_floats(pictures: Shaped[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Convert pictures to floats in [−1, 1].

    Args:
        pictures: uint8, or floats in [−1, 1], which are returned as they are.

    Raises:
        TypeError: the type is another one.
        ValueError: floats lie outside, or are not numbers.
    """
    if pictures.dtype == torch.uint8:
        return pictures.float() / 127.5 - 1
    if not pictures.is_floating_point():
        raise TypeError(f"pictures are {pictures.dtype}: give uint8, or [−1, 1]")
    # A little tolerance for rounding, as after a resize.
    least, most = (float(x) for x in pictures.aminmax())
    if not -1.001 <= least <= most <= 1.001:  # also where any is NaN
        raise ValueError(f"pictures go from {least} to {most}: give −1 to 1, or uint8")
    return pictures


def as_bytes(pictures: Shaped[Tensor, "..."]) -> UInt8[Tensor, "..."]:
    """Convert pictures to uint8, as a file holds them; takes what `as_floats` takes."""
    if pictures.dtype == torch.uint8:
        return pictures
    return ((as_floats(pictures) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


@torch.no_grad()
def _measure_frames(
    name: str,
    score: Callable[[Tensor, Tensor], Tensor],
    real: Pictures,
    generated: Pictures,
    units: Sequence[Hashable] | None,
    seed: int,
    batch: int,
) -> Measure:
    if real.shape != generated.shape:
        raise ValueError(
            f"{name}: real is {tuple(real.shape)}, generated {tuple(generated.shape)}: "
            "each frame is compared with its own"
        )
    # (clips, time, 3, H, W) or (clips, 3, H, W) → (frames, 3, H, W), batch by batch
    frames = [x.reshape(-1, *x.shape[-3:]).split(batch) for x in (real, generated)]
    scores = [score(as_floats(a), as_floats(b)) for a, b in zip(*frames, strict=True)]
    # (frames,) → (clips, frames of a clip)
    each = torch.cat(scores).double().cpu().reshape(len(real), -1)
    # Frames of a clip are not independent, so a clip gives one value.
    values = each.mean(1).numpy()
    low, high = bootstrap_interval(values, units, seed=seed)
    over = "clips" if units is None else f"{len(set(units))} units"
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
    units: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
    batch: int = 64,
) -> Measure:
    """Compute the structural similarity; 1 is equal.

    The window is Gaussian, 11 × 11 with σ = 1.5, on RGB values in [0, 1]. Windows lie
    wholly inside the frame. The released code of Redondo 2024 also takes windows over
    the edges, filled with zeros.

    Args:
        real: the real frames, 11 × 11 or larger.
        generated: the generated frames in the same order.
        units: the unit of each clip, for the interval.
        seed: of the bootstrap.
        batch: frames that are compared at once.

    Raises:
        ValueError: the shapes differ, or the frames are too small.

    Source: Wang et al. 2004, Image Quality Assessment.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    if min(real.shape[-2:]) < 11:
        raise ValueError(f"frames of {tuple(real.shape[-2:])}: SSIM needs 11 × 11")

    def score(a: Tensor, b: Tensor) -> Tensor:
        # float32: the variances are differences E[x²] - E[x]² of nearly equal numbers,
        # of which half precision would leave hardly a digit.
        a, b = ((x.float() + 1) / 2 for x in (a, b))
        _, places = structural_similarity_index_measure(
            b, a, data_range=1.0, return_full_image=True
        )
        # torchmetrics mirrors the edges; cut off what Wang et al. do not have: the 5
        # places at each edge whose window of 11 leaves the frame.
        return places[..., 5:-5, 5:-5].mean((1, 2, 3))

    return _measure_frames("SSIM", score, real, generated, units, seed, batch)


def lpips_distance(
    network: StagedFeatures,
    a: Float[Tensor, "items 3 height width"],
    b: Float[Tensor, "items 3 height width"],
) -> Float[Tensor, " items"]:
    """Compute the LPIPS distance of each pair of pictures; gradients flow into both.

    At each stage the maps are scaled to length 1 over the channels. Their squared
    difference, weighted by channel, is summed over channels, averaged over the picture
    and summed over the stages.

    Args:
        network: `weights.load_network("alexnet")` or "vgg16".
        a: pictures in [−1, 1].
        b: pictures in [−1, 1].

    Source: Zhang et al. 2018, Eq. 1.
    """
    total = torch.zeros(len(a), device=a.device, dtype=a.dtype)
    for x, y, head in zip(network(a), network(b), network.heads, strict=True):
        # 1e-10, as in the official code, for places where all channels are 0
        x, y = (m / (m.square().sum(1, keepdim=True).sqrt() + 1e-10) for m in (x, y))
        total = total + torch.einsum("nchw,c->nhw", (x - y).square(), head).mean((1, 2))
    return total


def lpips(
    real: Pictures,
    generated: Pictures,
    network: StagedFeatures,
    units: Sequence[Hashable] | None = None,
    *,
    network_name: str = "AlexNet with LPIPS heads",
    seed: int = 0,
    batch: int = 64,
) -> Measure:
    """Compute the mean LPIPS distance; 0 is equal.

    Args:
        real: the real frames, 32 × 32 or larger. They are not resized. Below 64 × 64
            the last stages have only a few places.
        generated: the generated frames in the same order.
        network: `weights.load_network("alexnet")` or "vgg16". Values of the two cannot
            be compared with each other.
        units: the unit of each clip, for the interval.
        network_name: the name that the measure carries.
        seed: of the bootstrap.
        batch: frames that are compared at once.

    Raises:
        ValueError: the shapes differ, or the frames are too small.
    """
    if min(real.shape[-2:]) < 32:
        raise ValueError(f"frames of {tuple(real.shape[-2:])}: LPIPS needs 32 × 32")
    # Pictures move to this device batch by batch: all at once may not fit a GPU.
    device = next(network.parameters()).device

    def score(a: Tensor, b: Tensor) -> Tensor:
        return lpips_distance(network, a.float().to(device), b.float().to(device))

    measure = _measure_frames("LPIPS", score, real, generated, units, seed, batch)
    return measure.annotate_network(network, network_name)
