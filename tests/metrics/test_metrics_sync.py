"""The synchronisation network: offsets by a plain loop, and that it can find them."""

import pytest
import torch
from torch import Tensor

from avnb.metrics.sync import LOST, SyncNet, find_offsets, sync_loss

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def make_clips(count: int, seed: int, frames: int = 24) -> tuple[Tensor, Tensor]:
    """Half a picture lights up as a band of the sound does, in one colour a clip."""
    random = torch.Generator().manual_seed(seed)
    curve = torch.rand(count, frames, generator=random)
    colour = torch.rand(count, 3, 1, 1, 1, generator=random)
    video = colour.expand(-1, -1, frames, 16, 16) - 0.5
    video = torch.cat(
        [video[..., :8], video[..., 8:] + curve[:, None, :, None, None]], -1
    )
    sounds = 0.1 * torch.randn(count, frames, 16, 8, generator=random)
    sounds[:, :, 4:8] += curve[..., None, None]
    return video, sounds


@pytest.mark.parametrize("device", DEVICES)
def test_vectors_have_length_one_and_know_no_border(device: str) -> None:
    """Without the first frame, the vectors are those of before, one frame earlier."""
    torch.manual_seed(0)
    net = SyncNet(4, 6).to(device).eval()
    video, sounds = (x.to(device) for x in make_clips(2, seed=1))
    for embed, x, dim in ((net.see, video, 2), (net.hear, sounds, 1)):
        whole = embed(x)
        assert whole.shape == (2, 6, 24 - LOST)
        torch.testing.assert_close(whole.norm(dim=1), torch.ones(2, 19, device=device))
        later = embed(x.narrow(dim, 1, 23))
        torch.testing.assert_close(later, whole[..., 1:], rtol=1e-4, atol=1e-5)


def test_offsets_are_those_of_a_plain_loop() -> None:
    random = torch.Generator().manual_seed(0)
    seen, heard = torch.randn(2, 7, 5, 13, generator=random)
    for most in (0, 1, 4, 6):
        found = find_offsets(seen, heard, most)
        for k in range(7):
            fits = {}
            for offset in range(-most, most + 1):
                moments = range(most, 13 - most)
                fits[offset] = sum(
                    float(seen[k, :, t] @ heard[k, :, t + offset]) for t in moments
                ) / len(moments)
            assert found[k] == max(fits, key=lambda offset: fits[offset])
    with pytest.raises(ValueError, match="13 moments are too few for offsets of 7"):
        find_offsets(seen, heard, 7)


def test_the_loss_of_nothing_known_is_that_of_luck() -> None:
    same = torch.ones(2, 1, 9)  # every moment looks alike
    torch.testing.assert_close(sync_loss(same, same), torch.tensor(9.0).log())


def test_it_learns_to_find_the_offset_of_new_clips() -> None:
    torch.manual_seed(0)
    net = SyncNet(4, 8)
    adam = torch.optim.Adam(net.parameters(), 3e-3)
    for step in range(80):
        video, sounds = make_clips(16, seed=step)
        loss = sync_loss(net.see(video), net.hear(sounds))
        adam.zero_grad()
        loss.backward()
        adam.step()
    net.eval()
    video, sounds = make_clips(24, seed=1000)
    with torch.no_grad():
        seen = net.see(video)
        for late in (-3, 0, 2):
            found = find_offsets(seen, net.hear(sounds.roll(late, dims=1)), 5)
            assert (found == late).float().mean() > 0.9
        other = find_offsets(seen, net.hear(sounds.roll(1, dims=0)), 5)
    assert (other == 0).float().mean() < 0.4  # another clip's sound fits nowhere
