"""When something enters: by a plain loop, and by the truth of drawn slides."""

import numpy as np
import pytest
import torch

from avnb import metrics
from data_scripts.bandstand.layouts.phonics import plan_films
from data_scripts.bandstand.slides import SlideTake


def find_slowly(curve: list[float], outside: float, inside: float) -> int:
    """The frame after the last one that is empty, before the first that is full."""
    for t, value in enumerate(curve):
        empty = [k for k in range(t) if curve[k] < outside]
        if value >= inside and empty:
            return empty[-1] + 1
    return -1


def test_entrances_are_those_of_a_plain_loop() -> None:
    random = torch.Generator().manual_seed(0)
    curves = torch.rand(200, 12, generator=random)
    curves[:50] = curves[:50].cummax(1).values  # rising ones
    curves[50:60] = 0.8  # there from the beginning
    curves[60:70] = 0.4  # neither there nor not
    found = metrics.find_entrances(curves)
    assert found.tolist() == [find_slowly(c, 0.3, 0.6) for c in curves.tolist()]
    assert (found[50:70] == -1).all()
    assert len(set(found.tolist())) > 5


def test_thresholds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"outside = 0\.6 must be below inside = 0\.3"):
        metrics.find_entrances(torch.zeros(1, 4), 0.6, 0.3)
    assert metrics.find_entrances(torch.zeros(0, 4)).tolist() == []


def test_drawn_objects_enter_with_their_words() -> None:
    """The curve of the truth gives the marked frame, within the first of an entry."""
    plan = plan_films("ABC", 2, 1, 3, 5)
    found, true = [], []
    for film in plan.values():
        take = SlideTake(film)
        times = np.arange(int(take.duration * 25)) / 25
        known = take.measure(times)
        marked = np.flatnonzero(known["onset_entrance"])
        curve = torch.from_numpy(known["shown"])[None]
        entered = int(metrics.find_entrances(curve)[0])
        if film.still:
            assert entered == -1
        elif len(marked) and not film.short:
            found.append(entered)
            true.append(int(marked[0]))
    assert len(found) > 8
    late = np.array(found) - np.array(true)
    # An object that grows has 0.3 s: it is visible a few frames after its onset.
    assert late.min() >= -1
    assert late.max() <= 3


def test_moments_that_follow_and_moments_that_do_not() -> None:
    random = torch.Generator().manual_seed(1)
    true = torch.randint(2, 30, (80,), generator=random)
    units = [f"source {k % 16}" for k in range(80)]
    found = (true + torch.randint(-2, 3, (80,), generator=random)).clamp(0, 31)
    found[:10] = -1
    match = metrics.moment_match(found, true, units)
    a, b = found[10:].double().numpy(), true[10:].double().numpy()
    assert match.entered.value == pytest.approx(70 / 80)
    assert match.r.value == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert match.error.value == pytest.approx(np.abs(a - b).mean())
    assert match.near.value == pytest.approx(70 / 80)  # a miss is not near
    assert match.r.low > 0.9
    backwards = metrics.moment_match(31 - true, true, units)
    assert backwards.r.value == pytest.approx(-1)
    other = metrics.moment_match(true[torch.randperm(80, generator=random)], true)
    assert other.r.low < 0 < other.r.high
    assert other.near.value < 0.5


def test_a_constant_answer_has_no_correlation_and_nothing_has_none() -> None:
    true = torch.arange(20)
    still = metrics.moment_match(torch.full((20,), -1), true)
    assert (still.r.value, still.r.low, still.r.high) == (0, -1, 1)
    assert (still.error.value, still.error.n) == (32, 0)
    assert still.near.value == still.entered.value == 0
    always = metrics.moment_match(torch.full((20,), 10), true)
    assert always.r.value == 0
    assert always.error.value == pytest.approx(np.abs(np.arange(20) - 10).mean())


def test_few_units_have_no_interval() -> None:
    few = metrics.moment_match(torch.arange(6), torch.arange(6), ["a", "b", "c"] * 2)
    assert few.r.value == pytest.approx(1)
    assert (few.r.low, few.r.high) == (-1, 1)
    with pytest.raises(ValueError, match="give pairs"):
        metrics.moment_match(torch.arange(0), torch.arange(0))


@pytest.mark.slow
def test_a_reader_of_frames_learns_a_place_and_a_class() -> None:
    """A square whose place is the quantity and whose colour is the class."""
    random = torch.Generator().manual_seed(0)

    def draw(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        frames = 0.1 * torch.randn(count, 3, 32, 32, generator=random)
        x = torch.randint(0, 24, (count,), generator=random)
        label = torch.randint(0, 3, (count,), generator=random)
        for i in range(count):
            frames[i, label[i], 12:20, x[i] : x[i] + 8] += 1
        return frames, x / 24, label

    torch.manual_seed(0)
    reader = metrics.FrameReader(3, 1, width=8)
    adam = torch.optim.Adam(reader.parameters(), 3e-3)
    for _ in range(60):
        frames, x, label = draw(32)
        logits, value = reader.read(frames)
        loss = torch.nn.functional.cross_entropy(logits, label)
        loss = loss + (value[:, 0] - x).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    reader.eval()
    frames, x, label = draw(64)
    with torch.no_grad():
        video = frames.unflatten(0, (8, 8)).transpose(1, 2)
        logits, curves = reader(video)
        one, values = reader.read(frames)
    assert (one.argmax(1) == label).float().mean() > 0.95
    assert np.corrcoef(values[:, 0].numpy(), x.numpy())[0, 1] > 0.9
    torch.testing.assert_close(curves[:, 0].flatten(), values[:, 0])
    torch.testing.assert_close(logits, one.unflatten(0, (8, 8)).mean(1))


def test_a_reader_takes_the_sizes_of_its_halvings() -> None:
    for size in (8, 32, 64):
        logits, curves = metrics.FrameReader(4, 2, 2, size)(
            torch.zeros(1, 3, 5, size, size)
        )
        assert logits.shape == (1, 4)
        assert curves.shape == (1, 2, 5)
    for size in (4, 48):
        with pytest.raises(ValueError, match="give 8, 16, 32, 64"):
            metrics.FrameReader(4, 2, 2, size)
