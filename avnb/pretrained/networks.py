"""Networks that others trained, to judge with: their shapes alone.

`avnb.weights` fills them. Each is convolutions with biases and ReLUs, its batch norms
folded into them; its parameters come in the order in which the files hold them.
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

Pictures = Float[Tensor, "items 3 height width"]  # in [−1, 1]


class Parallel(nn.ModuleList):
    """Branches over the same input, their channels one after the other."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self], dim=1)


# -- AlexNet and VGG16, with the heads of LPIPS ----------------------------------------


class StagedFeatures(nn.Module):
    """A classifier's convolutions, in five stages, and LPIPS's weight of each channel.

    (items, 3, H, W) in [−1, 1] → a list of maps, one a stage, after its last ReLU.
    Zhang et al. 2018, The Unreasonable Effectiveness of Deep Features, v0.1 heads.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, stages: Sequence[nn.Module], widths: Sequence[int]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.heads = nn.ParameterList(torch.zeros(width) for width in widths)
        # ImageNet's mean and standard deviation, from [0, 1] to [−1, 1]
        mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
        self.register_buffer("mean", (2 * mean - 1)[:, None, None], persistent=False)
        self.register_buffer("std", (2 * std)[:, None, None], persistent=False)

    def forward(self, pictures: Pictures) -> list[Tensor]:
        x = (pictures - self.mean) / self.std
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def truncate(self, stages: int) -> Callable[[Tensor], Tensor]:
        """The maps of that stage (from 1) alone; what comes after is not computed."""
        if not 1 <= stages <= len(self.stages):
            raise ValueError(f"stage {stages}: give 1 to {len(self.stages)}")

        def features(pictures: Tensor) -> Tensor:
            x = (pictures - self.mean) / self.std
            for stage in self.stages[:stages]:
                x = stage(x)
            return x

        return features


class CachedFeatures(nn.Module):
    """A judge that remembers what it said of each item, for the next time it sees it.

    Many films are judged against the same real clips; those are the dearer half. Made
    for a network whose items do not meet (no batch statistics) and that no longer
    learns.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.known: dict[bytes, Tensor] = {}

    def forward(self, items: Shaped[Tensor, "items ..."]) -> Tensor:
        keys = [
            hashlib.blake2b(item.numpy(force=True).tobytes()).digest() for item in items
        ]
        new = [i for i, key in enumerate(keys) if key not in self.known]
        if new:
            for i, said in zip(new, self.network(items[new]), strict=True):
                self.known[keys[i]] = said.clone()
        return torch.stack([self.known[key] for key in keys])

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The network's own, so that a number names the same judge."""
        return self.network.state_dict(*args, **kwargs)


def alexnet() -> StagedFeatures:
    """AlexNet to relu1 … relu5 (Krizhevsky 2014, the one of torchvision)."""
    pool = partial(nn.MaxPool2d, 3, 2)
    widths = (64, 192, 384, 256, 256)
    stages = [
        nn.Sequential(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU()),
        nn.Sequential(pool(), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()),
        nn.Sequential(pool(), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    ]
    return StagedFeatures(stages, widths)


def vgg16() -> StagedFeatures:
    """VGG16 to relu1_2, relu2_2, relu3_3, relu4_3, relu5_3 (Simonyan 2015)."""
    widths = (64, 128, 256, 512, 512)
    stages: list[nn.Module] = []
    last = 3
    for width, count in zip(widths, (2, 2, 3, 3, 3), strict=True):
        layers: list[nn.Module] = [nn.MaxPool2d(2)] if stages else []
        for _ in range(count):
            layers += [nn.Conv2d(last, width, 3, padding=1), nn.ReLU()]
            last = width
        stages.append(nn.Sequential(*layers))
    return StagedFeatures(stages, widths)


# -- VGG19, whose pool5 AVE's pictures are known by ------------------------------------


class VGG19(nn.Module):
    """Pictures (items, 3, H, W) in [0, 1], RGB → (items, 512): pool5's mean over space.

    The 16 convolutions to relu5_4 (Simonyan & Zisserman 2015), the fifth maximum and a
    mean over its places: a picture of any size from 32 x 32, the same 512 numbers. The
    weights are those of Huang & Belongie 2017 (AdaIN), "normalised": each channel of
    each layer is scaled so that its mean over places and pictures is 1, which changes
    no channel's pattern but makes all of them weigh alike. As there, borders are
    mirrored, odd sizes round up in the maxima, and the first convolution, 1 x 1, turns
    RGB in [0, 1] into the BGR less its mean that Caffe's network was trained on.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 3, 1)]
        last = 3
        for width, count in zip((64, 128, 256, 512, 512), (2, 2, 4, 4, 4), strict=True):
            for _ in range(count):
                mirrored = nn.Conv2d(last, width, 3, padding=1, padding_mode="reflect")
                layers += [mirrored, nn.ReLU(inplace=True)]
                last = width
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.layers = nn.Sequential(*layers)

    def forward(
        self, pictures: Float[Tensor, "items 3 height width"]
    ) -> Float[Tensor, "items 512"]:
        if min(pictures.shape[2:]) < 32:
            raise ValueError(
                f"pictures of {tuple(pictures.shape[2:])} pixels: VGG19 needs 32 or "
                "more a side"
            )
        return self.layers(pictures).mean((2, 3))


# -- VGGish, whose 128 numbers a second AVE's sounds are known by ----------------------


class VGGish(nn.Module):
    """Log-mels (items, frames 96, mels 64) → (items, 128), after the last ReLU.

    Of `avnb.features.VGGishMel`, 0.96 s each. Hershey et al. 2017, in torchvggish's
    layout: `features` and `embeddings`. No PCA and no quantisation follow: AVE's own
    features are these, 0 or more.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last = 1
        for width, count in zip((64, 128, 256, 512), (1, 1, 2, 2), strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(last, width, 3, padding=1), nn.ReLU(inplace=True)]
                last = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 6 * 4, 4096), nn.ReLU(inplace=True),
            nn.Linear(4096, 4096), nn.ReLU(inplace=True),
            nn.Linear(4096, 128), nn.ReLU(inplace=True),
        )  # fmt: skip

    def forward(self, mels: Float[Tensor, "items 96 64"]) -> Float[Tensor, "items 128"]:
        maps = self.features(mels[:, None])
        # TensorFlow's order of a map's numbers: channels last
        return self.embeddings(maps.permute(0, 2, 3, 1).flatten(1))


# -- I3D -------------------------------------------------------------------------------


def _same(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """TensorFlow's SAME padding with zeros: the odd one goes to the end."""
    pads: list[int] = []
    for size, k, s in zip(x.shape[-3:], kernel, stride, strict=True):
        missing = max((-(-size // s) - 1) * s + k - size, 0)
        pads = [missing // 2, missing - missing // 2, *pads]
    return F.pad(x, pads)


class _SameConv3d(nn.Conv3d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(_same(x, self.kernel_size, self.stride))


class _SamePool3d(nn.Module):
    """Zeros change no maximum here: every input comes from a ReLU."""

    def __init__(self, kernel: Sequence[int], stride: Sequence[int]) -> None:
        super().__init__()
        self.kernel, self.stride = tuple(kernel), tuple(stride)

    def forward(self, x: Tensor) -> Tensor:
        x = _same(x, self.kernel, self.stride)
        return F.max_pool3d(x, self.kernel, self.stride)


def _unit3d(into: int, out: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(_SameConv3d(into, out, kernel, stride), nn.ReLU())


def _mixed3d(into: int, *out: int) -> Parallel:
    """An Inception block over space and time, of six widths."""
    alone, narrow, wide, few, some, pooled = out
    return Parallel(
        [
            _unit3d(into, alone),
            nn.Sequential(_unit3d(into, narrow), _unit3d(narrow, wide, 3)),
            nn.Sequential(_unit3d(into, few), _unit3d(few, some, 3)),
            nn.Sequential(_SamePool3d([3] * 3, [1] * 3), _unit3d(into, pooled)),
        ]
    )


class I3D(nn.Module):
    """I3D on RGB: (clips, 3, frames ≥ 9, 224, 224) in [−1, 1] → 400 logits.

    Carreira & Zisserman 2017, as FVD uses it (Unterthiner et al. 2018).
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _unit3d(3, 64, 7, 2),
            _SamePool3d([1, 3, 3], [1, 2, 2]),
            _unit3d(64, 64),
            _unit3d(64, 192, 3),
            _SamePool3d([1, 3, 3], [1, 2, 2]),
            _mixed3d(192, 64, 96, 128, 16, 32, 32),
            _mixed3d(256, 128, 128, 192, 32, 96, 64),
            _SamePool3d([3, 3, 3], [2, 2, 2]),
            _mixed3d(480, 192, 96, 208, 16, 48, 64),
            _mixed3d(512, 160, 112, 224, 24, 64, 64),
            _mixed3d(512, 128, 128, 256, 24, 64, 64),
            _mixed3d(512, 112, 144, 288, 32, 64, 64),
            _mixed3d(528, 256, 160, 320, 32, 128, 128),
            _SamePool3d([2, 2, 2], [2, 2, 2]),
            _mixed3d(832, 256, 160, 320, 32, 128, 128),
            _mixed3d(832, 384, 192, 384, 48, 128, 128),
            nn.AvgPool3d((2, 7, 7), 1),
            nn.Conv3d(1024, 400, 1),
        )

    def forward(
        self, clips: Float[Tensor, "clips 3 frames 224 224"]
    ) -> Float[Tensor, "clips 400"]:
        if clips.shape[2] < 9:
            raise ValueError(f"{clips.shape[2]} frames: I3D needs 9 or more")
        return self.layers(clips).mean((2, 3, 4))


# -- Inception-v3, the one of FID ------------------------------------------------------


def _unit(
    into: int,
    out: int,
    kernel: int | tuple[int, int] = 1,
    stride: int = 1,
    padding: str = "same",
) -> nn.Sequential:
    convolution = nn.Conv2d(into, out, kernel, stride, padding)
    return nn.Sequential(convolution, nn.ReLU())


def _pooled(into: int, out: int, kind: str = "mean") -> nn.Sequential:
    """The pooling branch; TensorFlow's mean leaves the padding out."""
    mean = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    pool = mean if kind == "mean" else nn.MaxPool2d(3, 1, 1)
    return nn.Sequential(pool, _unit(into, out))


def _mixed35(into: int, pooled: int) -> Parallel:
    return Parallel(
        [
            _unit(into, 64),
            nn.Sequential(_unit(into, 48), _unit(48, 64, 5)),
            nn.Sequential(_unit(into, 64), _unit(64, 96, 3), _unit(96, 96, 3)),
            _pooled(into, pooled),
        ]
    )


def _mixed17(n: int) -> Parallel:
    wide, high = (1, 7), (7, 1)
    return Parallel(
        [
            _unit(768, 192),
            nn.Sequential(_unit(768, n), _unit(n, n, wide), _unit(n, 192, high)),
            nn.Sequential(
                _unit(768, n),
                _unit(n, n, high),
                _unit(n, n, wide),
                _unit(n, n, high),
                _unit(n, 192, wide),
            ),
            _pooled(768, 192),
        ]
    )


def _mixed8(into: int, pool: str) -> Parallel:
    def split() -> Parallel:
        return Parallel([_unit(384, 384, (1, 3)), _unit(384, 384, (3, 1))])

    return Parallel(
        [
            _unit(into, 320),
            nn.Sequential(_unit(into, 384), split()),
            nn.Sequential(_unit(into, 448), _unit(448, 384, 3), split()),
            _pooled(into, 192, pool),
        ]
    )


class InceptionFID(nn.Module):
    """Inception-v3 of TensorFlow 2015 to its last pool: uint8 pictures → 2048.

    Any size; resized to 299 × 299 (bilinear, without antialiasing). Szegedy et al.
    2016 with the differences FID's network has: means without padding, and a maximum
    in the last block's pool. Heusel et al. 2017.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _unit(3, 32, 3, 2, "valid"),
            _unit(32, 32, 3, 1, "valid"),
            _unit(32, 64, 3),
            nn.MaxPool2d(3, 2),
            _unit(64, 80),
            _unit(80, 192, 3, 1, "valid"),
            nn.MaxPool2d(3, 2),
            *(_mixed35(192, 32), _mixed35(256, 64), _mixed35(288, 64)),
            Parallel(
                [
                    _unit(288, 384, 3, 2, "valid"),
                    nn.Sequential(
                        _unit(288, 64), _unit(64, 96, 3), _unit(96, 96, 3, 2, "valid")
                    ),
                    nn.MaxPool2d(3, 2),
                ]
            ),
            *(_mixed17(n) for n in (128, 160, 160, 192)),
            Parallel(
                [
                    nn.Sequential(_unit(768, 192), _unit(192, 320, 3, 2, "valid")),
                    nn.Sequential(
                        _unit(768, 192),
                        _unit(192, 192, (1, 7)),
                        _unit(192, 192, (7, 1)),
                        _unit(192, 192, 3, 2, "valid"),
                    ),
                    nn.MaxPool2d(3, 2),
                ]
            ),
            *(_mixed8(1280, "mean"), _mixed8(2048, "max")),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )

    def forward(
        self, pictures: UInt8[Tensor, "items 3 height width"]
    ) -> Float[Tensor, "items 2048"]:
        x = F.interpolate(
            pictures.to(next(self.parameters()).dtype), (299, 299), mode="bilinear"
        )
        return self.layers((x - 128) / 128)
