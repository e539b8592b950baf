"""The judges: shapes, the clock of their frames, and that they can learn."""

import pytest
import torch
from torch.nn import functional as F

from avnb import metrics

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("frames", [10, 25])
def test_shapes(frames: int, device: str) -> None:
    ear = metrics.SoundJudge(5, 4).to(device)
    eye = metrics.VideoJudge(5, 4).to(device)
    for judge, x in (
        (ear, torch.randn(2, 1, 16384, device=device)),
        (eye, torch.randn(2, 3, frames, 32, 32, device=device)),
    ):
        named, starts = judge.judge(x, frames)
        assert (named.shape, starts.shape) == ((2, 5), (2, frames))
        assert judge(x).shape == (2, 5)
        features = judge.features(x)
        assert torch.equal(metrics.Features(judge)(x), features)
        assert features.shape == (2, 32)


def test_frames_lie_on_the_clock() -> None:
    """A click at t changes the maps of frame floor(t · fps), and not distant ones."""
    ear = metrics.SoundJudge(3, 4).eval()
    eye = metrics.VideoJudge(3, 4).eval()
    for frame in (1, 4, 8):
        sound = torch.zeros(1, 1, 16384)
        video = torch.zeros(1, 3, 10, 32, 32)
        with torch.no_grad():
            still = ear.look(sound, 10), eye.look(video)
            sound[0, 0, round((frame + 0.5) * 1600)] = 0.9
            video[0, :, frame] = 0.9
            moved = ear.look(sound, 10), eye.look(video)
        change = [(a - b).abs().sum((0, 1)) for a, b in zip(still, moved, strict=True)]
        assert change[0].argmax() == frame
        assert change[0][: frame - 2].sum() == 0 if frame > 2 else True
        assert set(change[1].nonzero()[:, 0].tolist()) == {frame, frame + 1}


def test_the_last_24_ms_belong_to_no_frame() -> None:
    ear = metrics.SoundJudge(3, 4).eval()
    sound = torch.randn(1, 1, 16384, generator=torch.Generator().manual_seed(0))
    other = sound.clone()
    other[..., 16000:] = 0
    with torch.no_grad():
        assert torch.equal(ear(sound), ear(other))


def make_pulses(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A burst of a high or of a low tone in one frame, and which one it is."""
    random = torch.Generator().manual_seed(seed)
    label = torch.randint(2, (count,), generator=random)
    t = torch.arange(1600) / 16000
    sound = 0.01 * torch.randn(count, 1, 16384, generator=random)
    for i, k in enumerate(label.tolist()):
        at = 1600 * int(torch.randint(10, (1,), generator=random))
        sound[i, 0, at : at + 1600] += torch.sin(2 * torch.pi * (300, 2000)[k] * t)
    return sound, label


@pytest.mark.slow
def test_the_ear_learns_two_tones() -> None:
    torch.manual_seed(0)
    ear, (x, label) = metrics.SoundJudge(2, 4), make_pulses(32, 0)
    adam = torch.optim.Adam(ear.parameters(), 1e-2)
    for _ in range(25):
        loss = F.cross_entropy(ear(x), label)
        adam.zero_grad()
        loss.backward()
        adam.step()
    unseen, right = make_pulses(32, 1)
    found = ear.eval()(unseen).argmax(1)
    assert (found == right).float().mean() > 0.9


@pytest.mark.parametrize("known", [True, False])
def test_the_loss_of_a_judge_is_the_sum_written_out(known: bool) -> None:
    torch.manual_seed(0)
    judge = metrics.VideoJudge(3, 2).eval()
    clips, spoilt = torch.randn(4, 3, 5, 16, 16), torch.randn(2, 3, 5, 16, 16)
    labels, starts = torch.tensor([0, 2, 1, 0]), torch.rand(4, 5) > 0.5
    total = 0.0
    for k in range(6):
        named, begun = judge.judge((clips if k < 4 else spoilt)[k % 4][None], 5)
        p, q = named[0].softmax(0), begun[0].sigmoid()
        if k < 4:
            total -= p[labels[k]].log().item() / 4
        else:  # each of the three classes is wanted with a probability of 1/3
            total -= sum(p[c].log().item() / 3 for c in range(3)) / 2
        for t in range(5 if known else 0):
            here = k < 4 and bool(starts[k, t])
            total -= (q[t] if here else 1 - q[t]).log().item() / 30
    found = metrics.judge_loss(
        judge, clips, labels, spoilt, 5, starts if known else None
    )
    assert found.item() == pytest.approx(total, rel=1e-4)
