"""A network that hears and sees, and says by how much a sound comes too late.

Source: Chung and Zisserman 2016, Out of Time: Automated Lip Sync in the Wild. Theirs
pulls true pairs together and pushes shifted ones apart. Here a clip gives one vector a
moment, and each is to find its own partner among all moments of its clip.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from avnb.metrics.judges import make_blocks

SEEN = 5  # frames that a vector sees and hears, as theirs
LOST = SEEN  # frames of a clip without a vector: the first one, and at the borders
SHARPNESS = 10.0  # of the softmax over moments; cosines alone lie between -1 and 1


class SyncNet(nn.Module):
    """Vectors of moments, of a clip's frames and of its sound, in one space.

    Frames come with their difference from the frame before. Nothing is padded in time.
    Otherwise a vector could tell how far the clip's border is, which both streams know
    alike, and offsets would be found without a look at the mouth.

    Args:
        width: of the first layers.
        features: of a vector.
    """

    def __init__(self, width: int = 16, features: int = 32) -> None:
        super().__init__()
        self.eye = make_blocks((6, width, 2 * width, 4 * width), (2, 2, 2))
        self.ear = make_blocks((1, width, 2 * width, 4 * width), (2, 2, 2))
        inside = 4 * width
        # Some of the place is kept, since a mouth is a small part of a picture.
        self.seen = nn.Linear(16 * inside, inside)
        self.heard = nn.Linear(16 * inside, inside)
        self.over_frames = nn.Conv1d(inside, features, SEEN)
        self.over_sounds = nn.Conv1d(inside, features, SEEN)

    def see(self, video: Float[Tensor, "b 3 t n n"]) -> Float[Tensor, "b f s"]:
        """The vectors of frames in [-1, 1], of length 1: s = t - `LOST`."""
        both = torch.cat([video[:, :, 1:], video.diff(dim=2)], dim=1).transpose(1, 2)
        return self._embed(both, self.eye, self.seen, self.over_frames)

    def hear(self, sounds: Float[Tensor, "b t m c"]) -> Float[Tensor, "b f s"]:
        """The vectors of the log-mel pictures around each frame, as `see` has them."""
        pictures = sounds[:, 1:, None]  # the first frame has no difference
        return self._embed(pictures, self.ear, self.heard, self.over_sounds)

    def _embed(
        self, x: Tensor, body: nn.Module, hidden: nn.Module, over: nn.Module
    ) -> Float[Tensor, "b f s"]:
        maps = F.adaptive_avg_pool2d(body(x.flatten(0, 1)), 4).flatten(1)
        each = F.relu(hidden(maps)).unflatten(0, x.shape[:2]).transpose(1, 2)
        return F.normalize(over(each), dim=1)


def sync_loss(
    seen: Float[Tensor, "b f s"], heard: Float[Tensor, "b f s"]
) -> Float[Tensor, ""]:
    """The cross-entropy of each moment's own partner, among those of its own clip.

    Partners of other clips would be told apart by who speaks, which is not asked.
    """
    alike = SHARPNESS * torch.einsum("bfs,bft->bst", seen, heard)
    own = torch.arange(alike.shape[1], device=alike.device).expand(len(alike), -1)
    both = (F.cross_entropy(x, own) for x in (alike, alike.transpose(1, 2)))
    return torch.stack(list(both)).mean()


def find_offsets(
    seen: Float[Tensor, "b f s"], heard: Float[Tensor, "b f s"], most: int
) -> Int[Tensor, " b"]:
    """By how many frames the sound of each clip is late: where it fits the frames best.

    Each offset is judged by equally many moments.

    Args:
        seen: of `SyncNet.see`.
        heard: of `SyncNet.hear`.
        most: the largest offset, in both directions.

    Raises:
        ValueError: the clips have too few moments for it.
    """
    moments = seen.shape[2] - 2 * most
    if moments < 1:
        raise ValueError(f"{seen.shape[2]} moments are too few for offsets of {most}")
    middle = seen[..., most : most + moments]
    shifted = heard.unfold(2, moments, 1).unbind(2)  # the sound's parts, first to last
    fits = [(middle * part).sum(1).mean(1) for part in shifted]
    return torch.stack(fits, dim=1).argmax(1) - most
