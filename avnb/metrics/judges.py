"""Two judges of generated clips: one that hears and one that sees.

Each is a small classifier of real clips that takes no part in training a generator. It
names a class and, for each frame, says whether something starts there. Its features
serve for distances. Both work on the clip's clock: frame k of T begins at k / T of the
second.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from avnb.features import LogMel

MELS = 64  # bands of the log-mel spectrogram
LOUDEST, SOFTEST = 20.0, -60.0  # dB, what becomes 1 and -1
HOP = 256  # samples of a column


Stride = int | tuple[int, int]


def make_blocks(widths: Sequence[int], strides: Sequence[Stride]) -> nn.Sequential:
    """Blocks of a 3 x 3 convolution, batch norm and ReLU, each with its stride."""
    blocks: list[nn.Module] = []
    for a, b, stride in zip(widths[:-1], widths[1:], strides, strict=True):
        conv = nn.Conv2d(a, b, 3, stride, 1, bias=False)
        blocks += [conv, nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*blocks)


class Judge(nn.Module):
    """The heads that both judges share: a class, and a start in each frame.

    Args:
        classes: how many there are.
        width: channels of the last maps.
    """

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.classes = nn.Linear(2 * width, classes)
        # Three frames: what starts is a change from one to the next.
        self.starts = nn.Conv1d(width, 1, 3, padding=1)

    def look(self, x: Tensor, frames: int) -> Float[Tensor, "b c t"]:
        """Maps, one for each frame."""
        raise NotImplementedError

    def pool(self, maps: Float[Tensor, "b c t"]) -> Float[Tensor, "b f"]:
        """The features: mean and largest value over the frames."""
        return torch.cat([maps.mean(2), maps.amax(2)], dim=1)

    def judge(
        self, x: Tensor, frames: int
    ) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b t"]]:
        """The logits of the classes, and of a start in each frame."""
        maps = self.look(x, frames)
        return self.classes(self.pool(maps)), self.starts(maps)[:, 0]


class SoundJudge(Judge):
    """The judge that hears: sounds (B, 1, samples) → logits (B, K).

    It is convolutional in time, with a receptive field of a few frames.

    Args:
        classes: how many there are.
        width: of its first layer.
        sample_rate: Hz.
    """

    def __init__(self, classes: int, width: int = 16, sample_rate: int = 16000) -> None:
        super().__init__(classes, 4 * width)
        self.sample_rate = sample_rate
        self.log_mel = LogMel(sample_rate, 1024, HOP, MELS, top_db=None)
        widths = (1, width, 2 * width, 4 * width, 4 * width)
        # The bands are halved four times, the time once: 32 ms are left.
        self.body = make_blocks(widths, ((2, 1), (2, 2), (2, 1), (2, 1)))

    def picture(self, sound: Float[Tensor, "b 1 samples"]) -> Float[Tensor, "b 1 m c"]:
        """The log-mel spectrogram, from -1 to 1."""
        # One second: what follows belongs to no frame.
        db = self.log_mel(sound[:, 0, : self.sample_rate].float())[:, None]
        middle, half = (LOUDEST + SOFTEST) / 2, (LOUDEST - SOFTEST) / 2
        scaled: Tensor = ((db - middle) / half).clamp(-1.5, 1.5)
        return scaled

    def look(self, x: Tensor, frames: int) -> Float[Tensor, "b c t"]:
        """Maps of the sound, one for each frame of the video."""
        maps = self.body(self.picture(x)).mean(2)
        return F.adaptive_max_pool1d(maps, frames)

    def features(self, sound: Float[Tensor, "b 1 samples"]) -> Float[Tensor, "b f"]:
        """The vector before the last layer, for distances."""
        return self.pool(self.look(sound, 10))

    def forward(self, sound: Float[Tensor, "b 1 samples"]) -> Float[Tensor, "b k"]:
        """The logits of the classes."""
        logits: Tensor = self.classes(self.features(sound))
        return logits


class VideoJudge(Judge):
    """The judge that sees: videos (B, 3, T, N, N) in [-1, 1] → logits (B, K).

    Each frame comes with its difference from the frame before, so that motion is seen.

    Args:
        classes: how many there are.
        width: of its first layer.
    """

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__(classes, 4 * width)
        widths = (6, width, 2 * width, 4 * width, 4 * width)
        self.body = make_blocks(widths, (2, 2, 2, 2))

    def look(self, x: Tensor, frames: int = 0) -> Float[Tensor, "b c t"]:
        """Maps of the video, one for each frame: it brings its own number of them."""
        change = torch.cat([torch.zeros_like(x[:, :, :1]), x.diff(dim=2)], dim=2)
        both = torch.cat([x, change], dim=1).transpose(1, 2)
        maps = self.body(both.flatten(0, 1)).amax((2, 3))
        each: Tensor = maps.unflatten(0, both.shape[:2]).transpose(1, 2)
        return each

    def features(self, video: Float[Tensor, "b 3 t n n"]) -> Float[Tensor, "b f"]:
        """The vector before the last layer, for distances."""
        return self.pool(self.look(video))

    def forward(self, video: Float[Tensor, "b 3 t n n"]) -> Float[Tensor, "b k"]:
        """The logits of the classes."""
        logits: Tensor = self.classes(self.features(video))
        return logits


def judge_loss(
    judge: Judge,
    clips: Tensor,
    labels: Int[Tensor, " b"],
    spoilt: Tensor,
    frames: int,
    starts: Bool[Tensor, "b t"] | None = None,
) -> Float[Tensor, ""]:
    """What a judge minimises, so that it knows clips, and is unsure of all else.

    A classifier that has met recordings alone is sure of whatever it gets. So it also
    meets clips without an instrument, for which all classes are to be alike, and in
    which nothing starts (Hendrycks et al. 2019, Deep Anomaly Detection with Outlier
    Exposure).

    Args:
        judge: one of the two.
        clips: sounds or videos.
        labels: their classes.
        spoilt: clips in which no instrument is left.
        frames: of a video.
        starts: in which frames of the clips something starts, where it is known.
    """
    named, begun = judge.judge(torch.cat([clips, spoilt]), frames)
    known, unknown = named.split([len(clips), len(spoilt)])
    # The cross-entropy with equal probabilities, which is smallest at log(classes).
    loss: Tensor = F.cross_entropy(known, labels)
    loss = loss - unknown.log_softmax(dim=1).mean()
    if starts is None:
        return loss
    nothing = starts.new_zeros(len(spoilt), frames)
    there = torch.cat([starts, nothing]).float()
    return loss + F.binary_cross_entropy_with_logits(begun, there)


class FrameReader(nn.Module):
    """Reads each frame by itself: which class it shows, and known quantities of it.

    Such as how much of an object has entered, or how far a mouth is open. No frame
    knows of the others, so what is read of a moment is seen at that moment. The place
    in the picture is kept until the last layers, because a quantity may be a place.

    Args:
        classes: how many there are.
        quantities: how many are read.
        width: of the first layer.
        size: pixels a side of the frames: 4 times a power of two.
    """

    def __init__(
        self, classes: int, quantities: int, width: int = 16, size: int = 32
    ) -> None:
        super().__init__()
        halvings = (size // 4).bit_length() - 1
        if halvings < 1 or size != 4 << halvings:
            raise ValueError(f"size = {size}: give 8, 16, 32, 64, …")
        widths = [3] + [width * min(4, 2**k) for k in range(halvings)]
        self.body = make_blocks(widths, [2] * halvings)
        self.hidden = nn.Linear(16 * widths[-1], 8 * width)
        self.classes = nn.Linear(8 * width, classes)
        self.quantities = nn.Linear(8 * width, quantities)

    def read(
        self, frames: Float[Tensor, "b 3 n n"]
    ) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b q"]]:
        """The logits of the classes and the quantities of single frames."""
        maps = self.body(frames).flatten(1)
        seen = F.relu(self.hidden(F.dropout(maps, 0.2, self.training)))
        return self.classes(seen), self.quantities(seen)

    def forward(
        self, video: Float[Tensor, "b 3 t n n"]
    ) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b q t"]]:
        """The logits of each video, the mean over its frames, and its curves."""
        frames = video.transpose(1, 2)
        logits, values = self.read(frames.flatten(0, 1))
        logits, values = (x.unflatten(0, frames.shape[:2]) for x in (logits, values))
        return logits.mean(1), values.transpose(1, 2)


class Features(nn.Module):
    """A judge without its last layer, as the distances want a network.

    Args:
        judge: its features are given.
    """

    def __init__(self, judge: SoundJudge | VideoJudge) -> None:
        super().__init__()
        self.judge = judge

    def forward(self, x: Tensor) -> Float[Tensor, "b f"]:
        """Features (B, F)."""
        features: Tensor = self.judge.features(x)
        return features
