"""Jumps at borders: by a plain loop, and on videos that jump."""

import pytest
import torch

from avnb import metrics


def make_videos(jump: float = 0.0, count: int = 6) -> torch.Tensor:
    """Pictures that drift evenly, and jump before each eighth frame."""
    random = torch.Generator().manual_seed(3)
    start = 0.2 * torch.rand(count, 1, 3, 8, 8, generator=random) - 0.8
    t = torch.arange(32.0).view(1, 32, 1, 1, 1)
    return start + 0.01 * t + jump * (t // 8)


def test_the_ratio_is_that_of_a_plain_loop() -> None:
    videos = torch.rand(5, 24, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    at, elsewhere = [], []
    for video in videos:
        for t in range(1, 24):
            change = (video[t] - video[t - 1]).abs().mean().item()
            (at if t in (8, 16) else elsewhere).append(change)
    wanted = (sum(at) / len(at)) / (sum(elsewhere) / len(elsewhere))
    found = metrics.border_jump(videos, 8)
    assert found.value == pytest.approx(wanted, rel=1e-5)
    assert found.low <= found.value <= found.high


def test_even_motion_has_no_border_and_a_jump_has_its_size() -> None:
    assert metrics.border_jump(make_videos(), 8).value == pytest.approx(1, rel=1e-3)
    jumping = metrics.border_jump(make_videos(0.05), 8)
    assert jumping.value == pytest.approx(6, rel=1e-3)  # 0.06 against 0.01
    # looked for elsewhere, it makes the rest larger
    elsewhere = (22 * 0.01 + 3 * 0.06) / 25
    found = metrics.border_jump(make_videos(0.05), 5).value
    assert found == pytest.approx(0.01 / elsewhere, rel=1e-3)
    assert metrics.border_jump(make_videos(), 8, ["a"] * 6).high == float("inf")


def test_bytes_and_floats_agree_and_stills_have_no_border() -> None:
    videos = make_videos(0.05)
    as_bytes = ((videos + 1) * 127.5).round().to(torch.uint8)
    one, other = (metrics.border_jump(v, 8).value for v in (videos, as_bytes))
    assert other == pytest.approx(one, rel=0.05)
    still = torch.zeros(4, 32, 3, 8, 8)
    assert metrics.border_jump(still, 8).value == 1
    changes = metrics.measure_changes(videos)
    assert changes.shape == (6, 31)
    assert changes[0, 0] == pytest.approx(127.5 * 0.01, rel=1e-3)
    with pytest.raises(ValueError, match="no border"):
        metrics.border_jump(still, 32)
