"""The architectures of the pretrained networks; `avnb.pretrained.weights` fills them.

Each network consists of convolutions with biases and ReLUs. Batch norms are folded into
the convolutions before them, since the networks are used in eval mode only. The
parameters come in the order in which the published files hold them.
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


class ConcatBranches(nn.ModuleList):
    """Branches that get the same input; their channels are concatenated."""

    def forward(
        self, x: Float[Tensor, "items channels *size"]
    ) -> Float[Tensor, "items out_channels *size2"]:
        """Run every branch on `x`."""
        # The order of the branches is that of the published weights.
        return torch.cat([branch(x) for branch in self], dim=1)


# -- AlexNet and VGG16, with the heads of LPIPS ----------------------------------------


class StagedFeatures(nn.Module):
    """A classifier's convolutions in stages, with LPIPS's weight of each channel.

    Args:
        stages: the convolutions; each stage ends with a ReLU.
        widths: channels of each stage's maps.

    Source: Zhang et al. 2018, The Unreasonable Effectiveness of Deep Features, with the
    weights of version 0.1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, stages: Sequence[nn.Module], widths: Sequence[int]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        # Zeros until the weights are loaded: LPIPS is 0 then, which is easy to see.
        self.heads = nn.ParameterList(torch.zeros(width) for width in widths)
        # ImageNet's mean and standard deviation are those of pictures in [0, 1]; here
        # they are turned into those of pictures in [−1, 1].
        mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
        self.register_buffer("mean", (2 * mean - 1)[:, None, None], persistent=False)
        self.register_buffer("std", (2 * std)[:, None, None], persistent=False)

    def forward(self, pictures: Pictures) -> list[Tensor]:
        """Return the maps (items, channels, height, width) after each stage."""
        x = (pictures - self.mean) / self.std
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def truncate(self, stages: int) -> Callable[[Tensor], Tensor]:
        """Return a function that gives the maps of one stage and stops there.

        Args:
            stages: how many stages to run, from 1.
        """
        if not 1 <= stages <= len(self.stages):
            raise ValueError(f"stage {stages}: give 1 to {len(self.stages)}")

        # A plain function, not a module: its weights belong to this network, and an
        # optimiser or a checkpoint must not find them a second time.
        def features(pictures: Tensor) -> Tensor:
            x = (pictures - self.mean) / self.std
            for stage in self.stages[:stages]:
                x = stage(x)
            return x

        return features


class CachedFeatures(nn.Module):
    """A frozen network that keeps its output for every item it has seen.

    Many generated clips are compared with the same real clips, and most of the time
    goes into the real ones. The network must treat each item on its own (no batch
    statistics) and must not be trained any more.

    Args:
        network: gives one output for each item of a batch.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.known: dict[bytes, Tensor] = {}

    def forward(self, items: Shaped[Tensor, "items ..."]) -> Tensor:
        """Return the network's output for each item; only new items are computed."""
        # A hash of the item's bytes, since a tensor itself is no key by value.
        keys = [
            hashlib.blake2b(item.numpy(force=True).tobytes()).digest() for item in items
        ]
        new = [i for i, key in enumerate(keys) if key not in self.known]
        if new:
            for i, output in zip(new, self.network(items[new]), strict=True):
                # A copy: a view would keep the whole batch's output in memory.
                self.known[keys[i]] = output.clone()
        return torch.stack([self.known[key] for key in keys])

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the network's own state, so that its checksum stays the same."""
        return self.network.state_dict(*args, **kwargs)


def alexnet() -> StagedFeatures:
    """Build AlexNet up to relu5 in five stages (Krizhevsky 2014, as torchvision)."""
    pool = partial(nn.MaxPool2d, 3, 2)
    widths = (64, 192, 384, 256, 256)
    stages = [
        nn.Sequential(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(inplace=True)),
        nn.Sequential(pool(), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(inplace=True)),
        nn.Sequential(pool(), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(inplace=True)),
        nn.Sequential(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(inplace=True)),
        nn.Sequential(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(inplace=True)),
    ]
    return StagedFeatures(stages, widths)


def vgg16() -> StagedFeatures:
    """Build VGG16 in five stages (Simonyan & Zisserman 2015).

    The stages end at relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3.
    """
    widths = (64, 128, 256, 512, 512)
    stages: list[nn.Module] = []
    last = 3
    for width, count in zip(widths, (2, 2, 3, 3, 3), strict=True):
        layers: list[nn.Module] = [nn.MaxPool2d(2)] if stages else []
        for _ in range(count):
            layers += [nn.Conv2d(last, width, 3, padding=1), nn.ReLU(inplace=True)]
            last = width
        stages.append(nn.Sequential(*layers))
    return StagedFeatures(stages, widths)


# -- VGG19, for features of pictures ---------------------------------------------------


class VGG19(nn.Module):
    """VGG19 up to pool5, averaged over space: 512 features of a picture.

    It has the 16 convolutions up to relu5_4 and five max-pools (Simonyan & Zisserman
    2015). The mean over all places makes the features of pictures of any size
    comparable.

    The weights are the "normalised" ones of Huang & Belongie 2017 (AdaIN): each channel
    of each layer is scaled so that its mean over places and pictures is 1. This leaves
    each channel's pattern as it is and gives all channels the same weight. As in that
    code, borders are mirrored, max-pools round odd sizes up, and a first 1 × 1
    convolution turns RGB in [0, 1] into BGR minus the mean, which is what Caffe's
    network was trained on.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 3, 1)]  # RGB to Caffe's BGR
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
        """Return the features of RGB pictures in [0, 1], 32 × 32 or larger."""
        if min(pictures.shape[2:]) < 32:
            raise ValueError(
                f"pictures of {tuple(pictures.shape[2:])} pixels: VGG19 needs 32 or "
                "more a side"
            )
        features: Tensor = self.layers(pictures).mean((2, 3))
        return features


# -- VGGish, for features of sounds ----------------------------------------------------


class VGGish(nn.Module):
    """VGGish: 128 features of 0.96 s of sound, taken after the last ReLU.

    The modules are named as in torchvggish. Other uses of VGGish apply a PCA and a
    quantisation afterwards; none follows here, so all features are 0 or more.

    Source: Hershey et al. 2017, CNN Architectures for Large-Scale Audio Classification.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last = 1  # a spectrogram has one channel
        for width, count in zip((64, 128, 256, 512), (1, 1, 2, 2), strict=True):
            for _ in range(count):
                layers += [nn.Conv2d(last, width, 3, padding=1), nn.ReLU(inplace=True)]
                last = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            # 96 × 64 halved four times
            nn.Linear(512 * 6 * 4, 4096), nn.ReLU(inplace=True),
            nn.Linear(4096, 4096), nn.ReLU(inplace=True),
            nn.Linear(4096, 128), nn.ReLU(inplace=True),
        )  # fmt: skip

    def forward(self, mels: Float[Tensor, "items 96 64"]) -> Float[Tensor, "items 128"]:
        """Return the features of log-mels (96 frames, 64 bands) of `VGGishMel`."""
        maps = self.features(mels[:, None])
        # The linear layer was trained in TensorFlow, which flattens a map with its
        # channels last: (items, 512, 6, 4) → (items, 6, 4, 512) → (items, 12288).
        features: Tensor = self.embeddings(maps.permute(0, 2, 3, 1).flatten(1))
        return features


# -- I3D -------------------------------------------------------------------------------


def _pad_same(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """Pad with zeros as TensorFlow's SAME does: an odd one goes to the end.

    torch pads both sides alike, which shifts the result of a strided convolution.
    """
    pads: list[int] = []
    for size, k, s in zip(x.shape[-3:], kernel, stride, strict=True):
        # The output has ceil(size / s) places; the last window begins s times that.
        missing = max((-(-size // s) - 1) * s + k - size, 0)
        # F.pad counts from the last dimension backwards.
        pads = [missing // 2, missing - missing // 2, *pads]
    return F.pad(x, pads)


class _Conv3dSame(nn.Conv3d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(_pad_same(x, self.kernel_size, self.stride))


class _MaxPool3dSame(nn.Module):
    """Max-pool with SAME padding; zeros change no maximum, as inputs are 0 or more."""

    def __init__(self, kernel: Sequence[int], stride: Sequence[int]) -> None:
        super().__init__()
        self.kernel, self.stride = tuple(kernel), tuple(stride)

    def forward(self, x: Tensor) -> Tensor:
        x = _pad_same(x, self.kernel, self.stride)
        return F.max_pool3d(x, self.kernel, self.stride)


def _conv3d_relu(
    into: int, out: int, kernel: int = 1, stride: int = 1
) -> nn.Sequential:
    return nn.Sequential(_Conv3dSame(into, out, kernel, stride), nn.ReLU(inplace=True))


def _inception3d(into: int, *out: int) -> ConcatBranches:
    """An Inception block over space and time; `out` are the widths of its layers."""
    direct, reduced_1, large_1, reduced_2, large_2, pooled = out
    return ConcatBranches(
        [
            _conv3d_relu(into, direct),
            nn.Sequential(
                _conv3d_relu(into, reduced_1), _conv3d_relu(reduced_1, large_1, 3)
            ),
            nn.Sequential(
                _conv3d_relu(into, reduced_2), _conv3d_relu(reduced_2, large_2, 3)
            ),
            nn.Sequential(_MaxPool3dSame([3] * 3, [1] * 3), _conv3d_relu(into, pooled)),
        ]
    )


class I3D(nn.Module):
    """I3D on RGB, which names 400 actions.

    Source: Carreira & Zisserman 2017, Quo Vadis, Action Recognition?; FVD uses its
    logits (Unterthiner et al. 2018).
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _conv3d_relu(3, 64, 7, 2),
            _MaxPool3dSame([1, 3, 3], [1, 2, 2]),
            _conv3d_relu(64, 64),
            _conv3d_relu(64, 192, 3),
            _MaxPool3dSame([1, 3, 3], [1, 2, 2]),
            _inception3d(192, 64, 96, 128, 16, 32, 32),
            _inception3d(256, 128, 128, 192, 32, 96, 64),
            _MaxPool3dSame([3, 3, 3], [2, 2, 2]),
            _inception3d(480, 192, 96, 208, 16, 48, 64),
            _inception3d(512, 160, 112, 224, 24, 64, 64),
            _inception3d(512, 128, 128, 256, 24, 64, 64),
            _inception3d(512, 112, 144, 288, 32, 64, 64),
            _inception3d(528, 256, 160, 320, 32, 128, 128),
            _MaxPool3dSame([2, 2, 2], [2, 2, 2]),
            _inception3d(832, 256, 160, 320, 32, 128, 128),
            _inception3d(832, 384, 192, 384, 48, 128, 128),
            # 224 pixels are 7 here, and 9 frames are 2: what an I3D needs at least.
            nn.AvgPool3d((2, 7, 7), 1),
            nn.Conv3d(1024, 400, 1),
        )

    def forward(
        self, clips: Float[Tensor, "clips 3 frames 224 224"]
    ) -> Float[Tensor, "clips 400"]:
        """Return the logits of clips in [−1, 1] with 9 frames or more."""
        if clips.shape[2] < 9:
            raise ValueError(f"{clips.shape[2]} frames: I3D needs 9 or more")
        logits: Tensor = self.layers(clips).mean((2, 3, 4))
        return logits


# -- Inception-v3, the one of FID ------------------------------------------------------


def _conv_relu(
    into: int,
    out: int,
    kernel: int | tuple[int, int] = 1,
    stride: int = 1,
    padding: str = "same",
) -> nn.Sequential:
    convolution = nn.Conv2d(into, out, kernel, stride, padding)
    return nn.Sequential(convolution, nn.ReLU(inplace=True))


def _pool_branch(into: int, out: int, kind: str = "mean") -> nn.Sequential:
    """The pooling branch. TensorFlow's mean counts no padding, unlike torch's."""
    mean = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    pool = mean if kind == "mean" else nn.MaxPool2d(3, 1, 1)
    return nn.Sequential(pool, _conv_relu(into, out))


# The blocks are named as in torchvision: A works on maps of 35 × 35 places, C on
# 17 × 17 and E on 8 × 8.


def _inception_a(into: int, pooled: int) -> ConcatBranches:
    return ConcatBranches(
        [
            _conv_relu(into, 64),
            nn.Sequential(_conv_relu(into, 48), _conv_relu(48, 64, 5)),
            nn.Sequential(
                _conv_relu(into, 64), _conv_relu(64, 96, 3), _conv_relu(96, 96, 3)
            ),
            _pool_branch(into, pooled),
        ]
    )


def _inception_c(n: int) -> ConcatBranches:
    # A 7 × 7 convolution taken apart into a row and a column: 14 weights, not 49.
    wide, high = (1, 7), (7, 1)
    return ConcatBranches(
        [
            _conv_relu(768, 192),
            nn.Sequential(
                _conv_relu(768, n), _conv_relu(n, n, wide), _conv_relu(n, 192, high)
            ),
            nn.Sequential(
                _conv_relu(768, n),
                _conv_relu(n, n, high),
                _conv_relu(n, n, wide),
                _conv_relu(n, n, high),
                _conv_relu(n, 192, wide),
            ),
            _pool_branch(768, 192),
        ]
    )


def _inception_e(into: int, pool: str) -> ConcatBranches:
    # A 3 × 3 convolution taken apart into a row and a column, side by side.
    def split() -> ConcatBranches:
        return ConcatBranches(
            [_conv_relu(384, 384, (1, 3)), _conv_relu(384, 384, (3, 1))]
        )

    return ConcatBranches(
        [
            _conv_relu(into, 320),
            nn.Sequential(_conv_relu(into, 384), split()),
            nn.Sequential(_conv_relu(into, 448), _conv_relu(448, 384, 3), split()),
            _pool_branch(into, 192, pool),
        ]
    )


class InceptionFID(nn.Module):
    """Inception-v3 of TensorFlow 2015 up to its last pool: 2048 features, for FID.

    It is the network of Szegedy et al. 2016 with the differences that FID's network has
    (Heusel et al. 2017): means that count no padding, and a max-pool in the last block.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _conv_relu(3, 32, 3, 2, "valid"),
            _conv_relu(32, 32, 3, 1, "valid"),
            _conv_relu(32, 64, 3),
            nn.MaxPool2d(3, 2),
            _conv_relu(64, 80),
            _conv_relu(80, 192, 3, 1, "valid"),
            nn.MaxPool2d(3, 2),
            *(_inception_a(192, 32), _inception_a(256, 64), _inception_a(288, 64)),
            ConcatBranches(
                [
                    _conv_relu(288, 384, 3, 2, "valid"),
                    nn.Sequential(
                        _conv_relu(288, 64),
                        _conv_relu(64, 96, 3),
                        _conv_relu(96, 96, 3, 2, "valid"),
                    ),
                    nn.MaxPool2d(3, 2),
                ]
            ),
            *(_inception_c(n) for n in (128, 160, 160, 192)),
            ConcatBranches(
                [
                    nn.Sequential(
                        _conv_relu(768, 192), _conv_relu(192, 320, 3, 2, "valid")
                    ),
                    nn.Sequential(
                        _conv_relu(768, 192),
                        _conv_relu(192, 192, (1, 7)),
                        _conv_relu(192, 192, (7, 1)),
                        _conv_relu(192, 192, 3, 2, "valid"),
                    ),
                    nn.MaxPool2d(3, 2),
                ]
            ),
            *(_inception_e(1280, "mean"), _inception_e(2048, "max")),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )

    def forward(
        self, pictures: UInt8[Tensor, "items 3 height width"]
    ) -> Float[Tensor, "items 2048"]:
        """Return the features of pictures of any size.

        They are resized to 299 × 299, bilinearly and without antialiasing, as FID's
        own code does it.
        """
        x = F.interpolate(
            pictures.to(next(self.parameters()).dtype), (299, 299), mode="bilinear"
        )
        features: Tensor = self.layers((x - 128) / 128)
        return features
