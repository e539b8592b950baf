"""Loss terms against closed forms, plain loops and finite differences."""

import math
from collections import Counter

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avnb.losses import (
    critic_loss,
    generator_loss,
    gradient_penalty,
    log_critic_loss,
    log_generator_loss,
    perceptual_loss,
    shuffle_time,
)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- the gradient penalty


@pytest.mark.parametrize("size", [(7,), (3, 5), (3, 4, 5), (3, 2, 4, 4), (1,)])
def test_penalty_of_a_linear_critic_is_the_closed_form(size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    weight = torch.randn(size, dtype=torch.float64)
    real, fake = torch.randn(2, 5, *size, dtype=torch.float64)
    penalty = gradient_penalty(lambda x: (x * weight).flatten(1).sum(1), real, fake)
    assert float(penalty) == pytest.approx((float(weight.norm()) - 1) ** 2)


def test_penalty_sums_an_items_patches() -> None:
    # four patches, each the same linear map: its gradient four times
    weight = torch.tensor([0.1, -0.2, 0.2], dtype=torch.float64)
    real, fake = torch.randn(2, 6, 3, dtype=torch.float64)
    penalty = gradient_penalty(lambda x: (x @ weight)[:, None].expand(6, 4), real, fake)
    assert float(penalty) == pytest.approx((4 * 0.3 - 1) ** 2)


def test_penalty_is_taken_between_real_and_fake() -> None:
    # the gradient of |x|² / 2 is x itself: the penalty shows where it was taken
    torch.manual_seed(0)
    real, fake = torch.randn(2, 4, 3, 5, dtype=torch.float64)

    def critic(x: Tensor) -> Tensor:
        return x.square().sum((1, 2)) / 2

    penalty = gradient_penalty(critic, real, fake, generator=seeded(3))
    epsilon = torch.rand(4, 1, 1, generator=seeded(3), dtype=torch.float64)
    expected = 0.0
    for i in range(4):
        e = float(epsilon[i])
        x = e * real[i] + (1 - e) * fake[i]
        expected += (math.sqrt(float(x.square().sum())) - 1) ** 2 / 4
    assert len(set(epsilon.flatten().tolist())) == 4  # one an item
    assert float(penalty.detach()) == pytest.approx(expected, rel=1e-9)
    again = gradient_penalty(critic, real, fake, generator=seeded(3))
    assert penalty == again
    assert penalty != gradient_penalty(critic, real, fake, generator=seeded(4))


class Critic(nn.Module):
    def __init__(self, dims: int) -> None:
        super().__init__()
        conv = nn.Conv2d if dims == 2 else nn.Conv3d
        self.layers = nn.Sequential(conv(2, 3, 3), nn.Softplus(), conv(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@pytest.mark.parametrize("dims", [2, 3])
def test_penalty_reaches_the_weights_as_finite_differences_say(dims: int) -> None:
    torch.manual_seed(dims)
    critic = Critic(dims).double()
    size = (4, 5) if dims == 2 else (3, 4, 4)
    real, fake = torch.randn(2, 3, 2, *size, dtype=torch.float64)
    gradient_penalty(critic, real, fake, generator=seeded(0)).backward()
    for weight in critic.parameters():
        for place in torch.randint(weight.numel(), (4,)).tolist():
            flat, ends = weight.data.view(-1), []
            for step in (1e-5, -2e-5):
                flat[place] += step
                ends.append(gradient_penalty(critic, real, fake, generator=seeded(0)))
            flat[place] += 1e-5
            slope = float((ends[0] - ends[1]).detach()) / 2e-5
            # the last bias shifts every score alike: it has no part in the gradient
            found = 0.0 if weight.grad is None else float(weight.grad.view(-1)[place])
            assert found == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_penalty_leaves_the_pictures_alone_and_stays_finite() -> None:
    weight = nn.Parameter(torch.zeros(6))
    real = torch.randn(2, 6, requires_grad=True)
    fake = torch.randn(2, 6, requires_grad=True)
    penalty = gradient_penalty(lambda x: x @ weight, real, fake)
    penalty.backward()
    assert float(penalty.detach()) == pytest.approx(1, abs=1e-5)
    assert real.grad is None
    assert fake.grad is None
    assert weight.grad is not None
    assert weight.grad.isfinite().all()


def test_penalty_under_autocast() -> None:
    torch.manual_seed(0)
    critic = Critic(2)
    real, fake = torch.randn(2, 3, 2, 6, 6)
    exact = gradient_penalty(critic, real, fake, generator=seeded(0))
    with torch.autocast("cpu", torch.bfloat16):
        rough = gradient_penalty(critic, real, fake, generator=seeded(0))
    assert float(rough.detach()) == pytest.approx(float(exact.detach()), rel=0.05)
    rough.backward()


def test_penalty_of_unlike_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\) and fake \(4, 3\)"):
        gradient_penalty(nn.Identity(), torch.zeros(2, 3), torch.zeros(4, 3))


# --- the Wasserstein terms


def test_wasserstein_terms() -> None:
    real, fake, shuffled = torch.randn(3, 5, 4, 4, dtype=torch.float64)
    loss = critic_loss(real, fake)
    assert float(loss) == pytest.approx(float(fake.mean()) - float(real.mean()))
    both = critic_loss(real, fake, shuffled)
    expected = fake.mean() + shuffled.mean() - 2 * real.mean()
    assert float(both) == pytest.approx(float(expected))
    # what Eq. 6 as printed lacks: no constant changes it
    moved = critic_loss(real + 100, fake + 100, shuffled + 100)
    assert float(moved) == pytest.approx(float(both))
    assert float(generator_loss(fake)) == pytest.approx(-float(fake.mean()))
    with pytest.raises(ValueError, match="at least one"):
        critic_loss(real)


# --- shuffled videos


def test_shuffled_videos_are_never_in_order_and_else_fair() -> None:
    video = torch.arange(3).expand(3000, 3).clone()
    shuffled = shuffle_time(video, generator=seeded(0))
    orders = Counter(tuple(order) for order in shuffled.tolist())
    assert (0, 1, 2) not in orders
    assert len(orders) == 5
    # 600 each, give or take 4.5 standard deviations of 22
    assert all(500 < count < 700 for count in orders.values())


@pytest.mark.parametrize("length", [2, 5, 32])
def test_shuffled_videos_keep_their_frames(length: int) -> None:
    video = torch.randn(4, length, 3, 2, 5)
    shuffled = shuffle_time(video, generator=seeded(length))
    assert torch.equal(shuffled, shuffle_time(video, generator=seeded(length)))
    for before, after in zip(video, shuffled, strict=True):
        assert not torch.equal(before, after)
        left = [frame for frame in before]
        for frame in after:
            place = next(i for i, x in enumerate(left) if torch.equal(x, frame))
            left.pop(place)
        assert not left
    with pytest.raises(ValueError, match="1 frame"):
        shuffle_time(video[:, :1])


# --- the perceptual term


@pytest.mark.parametrize("lead", [(2,), (2, 3)])
def test_perceptual_loss_is_the_mean_square_of_the_features(
    lead: tuple[int, ...],
) -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 4, 3).requires_grad_(False)
    real = torch.rand(*lead, 3, 6, 7, requires_grad=True)
    fake = torch.rand(*lead, 3, 6, 7, requires_grad=True)
    loss = perceptual_loss(network, real, fake)
    pairs = zip(real.reshape(-1, 3, 6, 7), fake.reshape(-1, 3, 6, 7), strict=True)
    each = [float(F.mse_loss(network(a), network(b)).detach()) for a, b in pairs]
    assert float(loss.detach()) == pytest.approx(sum(each) / len(each))
    loss.backward()
    assert real.grad is None
    assert fake.grad is not None
    assert fake.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="its own"):
        perceptual_loss(network, real[:1], fake)


# --- The losses of a critic that gives probabilities ------------------------------


def test_log_losses_are_those_of_probabilities() -> None:
    torch.manual_seed(0)
    real, one, other = torch.randn(3, 5, 2, 2)
    p, q, r = (x.sigmoid() for x in (real, one, other))
    by_hand = -(p.log().mean() + (1 - q).log().mean() + (1 - r).log().mean())
    torch.testing.assert_close(log_critic_loss(real, one, other), by_hand)
    torch.testing.assert_close(log_generator_loss(one), -q.log().mean())
    saturating = log_generator_loss(one, saturating=True)
    torch.testing.assert_close(saturating, (1 - q).log().mean())
    with pytest.raises(ValueError, match="one kind of fake"):
        log_critic_loss(real)


def test_log_losses_do_not_overflow_and_pull_the_same_way() -> None:
    sure = torch.tensor([-200.0], requires_grad=True)
    assert log_critic_loss(torch.tensor([200.0]), sure).item() == 0
    for saturating, size in ((False, 1.0), (True, 0.0)):
        loss = log_generator_loss(sure, saturating=saturating)
        (slope,) = torch.autograd.grad(loss, sure)
        assert slope.item() == pytest.approx(-size, abs=1e-6)
