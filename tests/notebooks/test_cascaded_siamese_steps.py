"""The losses and the training step of cascaded_siamese: a wrong sign must be seen."""

import math

import pytest
import torch
from avnb_notebooks.cascaded_siamese import step1_data as data
from avnb_notebooks.cascaded_siamese import step3_stream as streams
from avnb_notebooks.cascaded_siamese import step4_cascade as cascades
from avnb_notebooks.cascaded_siamese import step5_critics as critics
from avnb_notebooks.cascaded_siamese import step6_baselines as baselines
from torch import Tensor, nn
from torch.nn import functional as F

from avnb import losses

ORDER = torch.tensor([[2, 0, 3, 1], [1, 0, 2, 3]])
LABEL = F.one_hot(torch.tensor([0, 2]), 3).float()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def make_batch() -> critics.Batch:
    video, segments = random(2, 3, 32, 32, 32).tanh(), random(2, 32, 64, 20, seed=1)
    held = torch.arange(32).expand(2, -1) >= torch.tensor([[20], [32]])
    return critics.shuffle_batch(video, segments, LABEL, ORDER, held)


def make_networks(
    seed: int = 0,
) -> tuple[cascades.Cascade, critics.ImageCritic, critics.VideoCritic]:
    torch.manual_seed(seed)
    G = cascades.Cascade(streams.Stream(3, 2, 32, hidden=4))
    return G, critics.ImageCritic(2, 32).eval(), critics.VideoCritic(2, 3, 32).eval()


# --- Losses ----------------------------------------------------------------------


def test_eq_3_is_the_cross_entropy_of_the_right_order() -> None:
    logits = random(2, 24).double()
    p = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    # (2, 0, 3, 1) is number 2·6 + 0·2 + 1·1 = 13; (1, 0, 2, 3) is 1·6 = 6
    wanted = -(p[0, 13].log() + p[1, 6].log()) / 2
    torch.testing.assert_close(critics.order_loss(logits, ORDER), wanted)


def test_eq_4_leaves_out_held_frames() -> None:
    real, made = random(2, 3, 4, 2, 2), random(2, 3, 4, 2, 2, seed=1)
    whole = critics.reconstruction_loss(real, made)
    torch.testing.assert_close(whole, F.l1_loss(made, real))
    held = torch.tensor([[False, False, False, True], [False, True, True, True]])
    kept = [(real - made)[0, :, t].abs() for t in range(3)] + [
        (real - made)[1, :, 0].abs()
    ]
    wanted = torch.stack(kept).mean()
    torch.testing.assert_close(critics.reconstruction_loss(real, made, held), wanted)
    none = critics.reconstruction_loss(real, made, torch.ones(2, 4, dtype=torch.bool))
    assert none == 0


def test_a_batch_is_shuffled_as_a_whole() -> None:
    video = torch.arange(32.0).view(1, 1, 32, 1, 1).expand(2, 3, 32, 2, 2)
    segments = torch.arange(32.0).view(1, 32, 1, 1).expand(2, 32, 2, 2)
    held = torch.arange(32).expand(2, -1) >= 20
    batch = critics.shuffle_batch(video, segments, LABEL, ORDER, held)
    wanted = [[8 * c + k for c in row for k in range(8)] for row in ORDER.tolist()]
    assert batch.real[:, 0, :, 0, 0].tolist() == wanted
    assert batch.segments[:, :, 0, 0].tolist() == wanted
    assert batch.held.tolist() == [[t >= 20 for t in row] for row in wanted]
    assert batch.starts[:, :, 0, 0, 0].tolist() == [[16, 23, 7, 31], [8, 15, 7, 23]]


def test_the_terms_of_the_generator_are_those_of_the_equations() -> None:
    batch, (G, D_I, D_V) = make_batch(), make_networks()
    made = G(batch.starts[:, 0], batch.segments, LABEL).detach()
    weights = critics.Weights(3.0, 5.0, 7.0, 11.0)
    torch.manual_seed(3)
    terms = critics.sum_generator_losses(made, batch, D_I, D_V, weights)
    torch.manual_seed(3)
    index = torch.randint(32, (2,))
    frames = made[torch.arange(2), :, index]
    says = D_V(made, LABEL)
    wanted = {
        "L1": 3 * critics.reconstruction_loss(batch.real, made, batch.held),
        "image": -5 * D_I(frames).sigmoid().log().mean(),
        "clip": -7 * says.clips.sigmoid().log().mean(),
        "order": 11 * F.cross_entropy(says.orders, torch.tensor([13, 6])),
    }
    assert terms.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(terms[name], value)


# --- One step of each loss -------------------------------------------------------


def judge(batch: critics.Batch, G: nn.Module, D_I: nn.Module, D_V: nn.Module) -> dict:
    """What each loss stands for, higher is better for the one that is trained."""
    with torch.no_grad():
        made = G(batch.starts[:, 0], batch.segments, LABEL)
        torch.manual_seed(1)
        image_made = D_I(critics.draw_frames(made)).mean()
        torch.manual_seed(1)
        image_real = D_I(critics.draw_frames(batch.real)).mean()
        real, fake = D_V(batch.real, LABEL), D_V(made, LABEL)
        right = critics.number_order(ORDER)[:, None]
        kept = ~batch.held[:, None, :, None, None]
        distance = ((made - batch.real).abs() * kept).sum()
        return {
            "G L1": -distance,
            "G image": image_made,
            "G clip": fake.clips.mean(),
            "G order": fake.orders.log_softmax(1).gather(1, right).mean(),
            "D clip": real.clips.mean() - fake.clips.mean(),
            "D order": real.orders.log_softmax(1).gather(1, right).mean(),
            "D image": image_real - image_made,
        }


@pytest.mark.parametrize("name", ["L1", "image", "clip", "order"])
@pytest.mark.parametrize("who", ["G", "D"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_moves_what_the_loss_stands_for(who: str, name: str, sign: int) -> None:
    """With the sign flipped it moves the other way: this test can fail."""
    if (who, name) == ("D", "L1"):
        pytest.skip("the critics have no L1")
    batch, (G, D_I, D_V) = make_batch(), make_networks()

    def terms() -> dict[str, Tensor]:
        made = G(batch.starts[:, 0], batch.segments, LABEL)
        of = critics.sum_generator_losses if who == "G" else critics.sum_critic_losses
        return of(made, batch, D_I, D_V, critics.Weights())

    networks = [G] if who == "G" else [D_I, D_V]
    before = judge(batch, G, D_I, D_V)[f"{who} {name}"]
    value, after = critics.measure_step(terms, networks, name, rate=sign * 1e-2)
    assert (after < value) is (sign == 1)
    if (who, name) != ("D", "image"):  # its two frames are other ones than judged
        moved = judge(batch, G, D_I, D_V)[f"{who} {name}"]
        assert (moved > before).item() is (sign == 1)


def test_a_training_step_trains_each_with_its_own_loss() -> None:
    batch, (G, D_I, D_V) = make_batch(), make_networks()
    of_G = torch.optim.SGD(G.parameters(), 0.01)
    of_D = torch.optim.SGD([*D_I.parameters(), *D_V.parameters()], 0.01)
    start = {k: v.clone() for k, v in D_V.state_dict().items()}
    # The same step by hand: G first, the critics on the videos it made before.
    G2, I2, V2 = make_networks()
    torch.manual_seed(5)
    made = G2(batch.starts[:, 0], batch.segments, LABEL)
    weights = critics.Weights()
    loss = sum(critics.sum_generator_losses(made, batch, I2, V2, weights).values())
    slopes_G = torch.autograd.grad(loss, list(G2.parameters()))
    loss = sum(critics.sum_critic_losses(made, batch, I2, V2, weights).values())
    slopes_V = torch.autograd.grad(loss, list(V2.parameters()), allow_unused=True)
    torch.manual_seed(5)
    log = critics.train_step(G, D_I, D_V, batch, of_G, of_D, weights)
    assert log.keys() == {
        "G L1", "G image", "G clip", "G order", "D image", "D clip", "D order"
    }  # fmt: skip
    assert all(math.isfinite(value) for value in log.values())
    for new, old, slope in zip(G.parameters(), G2.parameters(), slopes_G, strict=True):
        torch.testing.assert_close(new, old - 0.01 * slope, atol=1e-6, rtol=1e-4)
    for new, old, slope in zip(
        D_V.parameters(), V2.parameters(), slopes_V, strict=True
    ):
        torch.testing.assert_close(new, old - 0.01 * slope, atol=1e-6, rtol=1e-4)
    changed = [k for k, v in D_V.state_dict().items() if not torch.equal(v, start[k])]
    assert any("clip.trunk" in k for k in changed)
    assert any("order" in k for k in changed)


@pytest.mark.parametrize("name", list(baselines.BASELINES))
def test_a_baseline_trains_by_the_same_step(name: str) -> None:
    """With 32 frames at once and no order, as Table 3's first row."""
    torch.manual_seed(0)
    batch = make_batch()
    G = baselines.BASELINES[name](3, width=1, size=32, hidden=4)
    D_I = critics.ImageCritic(1, 32)
    D_V = critics.VideoCritic(1, 3, 32, frames=32, head="none")
    of_G = torch.optim.Adam(G.parameters(), 1e-3)
    of_D = torch.optim.Adam([*D_I.parameters(), *D_V.parameters()], 1e-3)
    log = critics.train_step(G, D_I, D_V, batch, of_G, of_D, critics.Weights())
    assert log.keys() == {"G L1", "G image", "G clip", "D image", "D clip"}


@pytest.mark.slow
def test_skips_keep_the_picture_and_stills_have_no_order() -> None:
    grows, still = (critics.learn_order(growing, steps=40) for growing in (True, False))
    assert sum(grows[-5:]) / 5 < 0.5
    assert sum(still[-5:]) / 5 > 0.9 * math.log(24)
    clips, segments = random(2, 3, 8, 1, 1).expand(-1, -1, -1, 32, 32).tanh(), None
    pattern = random(2, 3, 1, 32, 32, seed=2).tanh()
    clips, segments = 0.5 * (clips + pattern), random(2, 8, 64, 20)
    errors = {}
    for skips in (True, False):
        torch.manual_seed(0)
        net = streams.Stream(2, 2, 32, hidden=4, skips=skips)
        errors[skips] = streams.learn_clips(net, clips, segments, torch.eye(2), 30)[-1]
    assert errors[True] < errors[False]


def test_the_log_losses_are_those_of_eq_1() -> None:
    real, fake = random(5), random(5, seed=1)
    p, q = real.sigmoid(), fake.sigmoid()
    torch.testing.assert_close(
        losses.log_critic_loss(real, fake), -(p.log().mean() + (1 - q).log().mean())
    )


# --- The interface of the data ---------------------------------------------------


def test_clips_give_what_the_networks_take() -> None:
    frames = torch.randint(256, (3, 32, 16, 16, 3), dtype=torch.uint8)
    clips = data.Clips(
        frames, torch.zeros(3, data.SAMPLES), torch.tensor([0, 1, 1]), ("A", "B"),
        ["a", "b", "b"], torch.zeros(3, 32, dtype=torch.bool),
    )  # fmt: skip
    assert len(clips) == 3
    assert data.SAMPLES == 38 * 640
    video = clips.get_frames(torch.tensor([2, 0]))
    assert video.shape == (2, 3, 32, 16, 16)
    assert video[0, 1, 5, 3, 7].item() == pytest.approx(
        frames[2, 5, 3, 7, 1] / 127.5 - 1
    )
    assert clips.get_waveforms(torch.tensor([1])).shape == (1, data.SAMPLES)
