"""The losses and the training step of cascaded_siamese: a wrong sign must be seen."""

import math
from pathlib import Path

import pytest
import torch
from avnb_notebooks.cascaded_siamese import step1_data as data
from avnb_notebooks.cascaded_siamese import step3_stream as streams
from avnb_notebooks.cascaded_siamese import step4_cascade as cascades
from avnb_notebooks.cascaded_siamese import step5_critics as critics
from avnb_notebooks.cascaded_siamese import step6_baselines as baselines
from quick import mark_rest
from torch import Tensor, nn
from torch.nn import functional as F

from avnb import losses, training
from avnb.errors import AvnbError

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
    said = critics.judge_videos(made, LABEL, D_I, D_V)
    terms = critics.sum_generator_losses(made, said, batch, weights)
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
        made = critics.make_videos(G, batch)
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
        made, weights = critics.make_videos(G, batch), critics.Weights()
        said = critics.judge_videos(made, LABEL, D_I, D_V)
        if who == "G":
            return critics.sum_generator_losses(made, said, batch, weights)
        real = critics.judge_videos(batch.real, LABEL, D_I, D_V)
        return critics.sum_critic_losses(real, said, batch, weights)

    networks = [G] if who == "G" else [D_I, D_V]
    before = judge(batch, G, D_I, D_V)[f"{who} {name}"]
    value, after = critics.measure_step(terms, networks, name, rate=sign * 1e-2)
    assert (after < value) is (sign == 1)
    if (who, name) != ("D", "image"):  # its two frames are other ones than judged
        moved = judge(batch, G, D_I, D_V)[f"{who} {name}"]
        assert (moved > before).item() is (sign == 1)


def test_held_frames_count_in_no_loss() -> None:
    batch, (G, D_I, D_V) = make_batch(), make_networks()
    made = critics.make_videos(G, batch)
    here = batch.held[:, None, :, None, None].expand_as(made)
    assert 0 < here.float().mean() < 1
    assert torch.equal(made[here], batch.real[here])
    batch.held = torch.ones_like(batch.held)
    made = critics.make_videos(G, batch)
    said = critics.judge_videos(made, LABEL, D_I, D_V)
    terms = critics.sum_generator_losses(made, said, batch, critics.Weights())
    assert len(terms) == 4
    assert not any(term.requires_grad and _pulls(term, G) for term in terms.values())
    real = critics.judge_videos(batch.real, LABEL, D_I, D_V)
    assert torch.equal(real.video.clips, said.video.clips)  # nothing to tell apart


def _pulls(term: Tensor, G: nn.Module) -> bool:
    """Whether a loss has a gradient for any weight of a generator."""
    slopes = torch.autograd.grad(
        term, list(G.parameters()), retain_graph=True, allow_unused=True
    )
    return any(slope is not None and bool(slope.any()) for slope in slopes)


def test_a_training_step_trains_each_with_its_own_loss() -> None:
    batch, (G, D_I, D_V) = make_batch(), make_networks()
    of_G = torch.optim.SGD(G.parameters(), 0.01)
    of_D = torch.optim.SGD([*D_I.parameters(), *D_V.parameters()], 0.01)
    start = {k: v.clone() for k, v in D_V.state_dict().items()}
    # The same step by hand: three passes, the critics' own on videos without gradient.
    G2, I2, V2 = make_networks()
    made, frames = G2(batch.starts[:, 0], batch.segments, LABEL), []
    made = torch.where(batch.held[:, None, :, None, None], batch.real, made)
    torch.manual_seed(5)
    for videos in (batch.real, made):  # the frames that the step will draw, in turn
        frames.append(videos[torch.arange(2), :, torch.randint(32, (2,))])
    said, log_sigmoid = V2(made, LABEL), F.logsigmoid
    right = torch.tensor([13, 6])
    loss = 100 * critics.reconstruction_loss(batch.real, made, batch.held)
    loss = loss - log_sigmoid(said.clips).mean() - log_sigmoid(I2(frames[1])).mean()
    loss = loss + F.cross_entropy(said.orders, right)
    slopes_G = torch.autograd.grad(loss, list(G2.parameters()))
    real, fake = V2(batch.real, LABEL), V2(made.detach(), LABEL)
    loss = F.cross_entropy(real.orders, right)
    for yes, no in (
        (real.clips, fake.clips),
        (I2(frames[0]), I2(frames[1].detach())),
    ):
        loss = loss - log_sigmoid(yes).mean() - log_sigmoid(-no).mean()
    slopes_D = torch.autograd.grad(loss, [*I2.parameters(), *V2.parameters()])
    weights = critics.Weights()
    torch.manual_seed(5)
    log = critics.train_step(G, D_I, D_V, batch, of_G, of_D, weights)
    assert log.keys() == {
        "G L1", "G image", "G clip", "G order", "D image", "D clip", "D order"
    }  # fmt: skip
    assert all(math.isfinite(value) for value in log.values())
    for new, old, slope in zip(G.parameters(), G2.parameters(), slopes_G, strict=True):
        torch.testing.assert_close(new, old - 0.01 * slope, atol=1e-6, rtol=1e-4)
    after, before = (
        [*i.parameters(), *v.parameters()] for i, v in ((D_I, D_V), (I2, V2))
    )
    for new, old, slope in zip(after, before, slopes_D, strict=True):
        torch.testing.assert_close(new, old - 0.01 * slope, atol=1e-6, rtol=1e-4)
    changed = [k for k, v in D_V.state_dict().items() if not torch.equal(v, start[k])]
    assert any("clip.trunk" in k for k in changed)
    assert any("order" in k for k in changed)


# --- Every method ----------------------------------------------------------------

METHODS = baselines.list_methods()
LATE = [k for k, m in METHODS.items() if m.shuffled == "critics"]


def make_method(key: str) -> tuple[nn.Module, nn.Module, nn.Module]:
    torch.manual_seed(0)
    G = baselines.Generator(key, 3, width=2, size=32, hidden=4)
    D_V = baselines.make_video_critic(key, 3, 2, 32)
    return G, critics.ImageCritic(2, 32), D_V


@pytest.mark.parametrize("key", mark_rest(METHODS, every=4))
def test_a_step_of_each_method_moves_every_network(key: str) -> None:
    method, (G, D_I, D_V) = METHODS[key], make_method(key)
    video, segments = random(2, 3, 32, 32, 32).tanh(), random(2, 32, 64, 20, seed=1)
    order = ORDER if method.shuffled != "none" else torch.arange(4).expand(2, -1)
    batch = critics.shuffle_batch(
        video, segments, LABEL, order, link=method.link, late=key in LATE
    )
    before = [[p.clone() for p in net.parameters()] for net in (G, D_I, D_V)]
    of_G = torch.optim.Adam(G.parameters(), 1e-3)
    of_D = torch.optim.Adam([*D_I.parameters(), *D_V.parameters()], 1e-3)
    log = critics.train_step(G, D_I, D_V, batch, of_G, of_D, critics.Weights())
    names = {"G L1", "G image", "G clip", "D image", "D clip"}
    assert log.keys() == names | (
        set() if method.head == "none" else {"G order", "D order"}
    )
    assert all(value.isfinite() for value in log.values())
    for net, old in zip((G, D_I, D_V), before, strict=True):
        for new, start in zip(net.parameters(), old, strict=True):
            assert not torch.equal(new, start)  # no weight is left out


def test_row_2_shuffles_what_the_critics_see_alone() -> None:
    assert LATE == ["shuffled_critic"]
    video, segments = random(2, 3, 32, 8, 8), random(2, 32, 4, 4, seed=1)
    batch = critics.shuffle_batch(video, segments, LABEL, ORDER, late=True)
    assert torch.equal(batch.segments, segments)
    assert torch.equal(batch.starts[:, 0], video[:, :, 0])

    def copy(first: Tensor, heard: Tensor, label: Tensor, starts: Tensor) -> Tensor:
        assert torch.equal(heard, segments)  # in its true order
        return video

    made = critics.make_videos(copy, batch)
    assert torch.equal(made, batch.real)  # shuffled as the real one is
    assert not torch.equal(made, video)
    assert critics.reconstruction_loss(batch.real, made) == 0


@pytest.mark.slow
def test_equal_networks_have_as_many_weights_as_the_cascade() -> None:
    sizes = {"classes": 8, "size": 32, "hidden": 16}

    def count(key: str) -> int:
        width = baselines.choose_width(key, 8, **sizes)
        net = baselines.Generator(key, width=width, **sizes)
        return sum(p.numel() for p in net.parameters())

    wanted = count("cascade")
    for key, method in METHODS.items():
        if method.equal:
            assert count(key) == pytest.approx(wanted, rel=0.1)
        else:
            assert baselines.choose_width(key, 8, **sizes) == 8
    assert count("cascade_own_weights") == 4 * wanted


def test_a_rival_of_equal_weights_is_its_own_where_it_is_near_enough() -> None:
    weights = {"cascade": 1000, "g3an": 950, "mocogan": 400, "imaginator": 1900}
    weights["imaginator_equal"] = 1040
    keys = ("g3an", "mocogan", "imaginator")
    found = [baselines.pick_equal(key, weights) for key in keys]
    assert found == ["g3an", None, "imaginator_equal"]
    assert baselines.pick_equal("g3an", {"g3an": 950}) is None  # no cascade is trained


@pytest.mark.parametrize("key", ["cascade", "cascade_residual", "imaginator"])
def test_a_saved_generator_makes_the_same_videos(key: str, tmp_path: Path) -> None:
    config = {"key": key, "classes": 3, "width": 1, "size": 32, "hidden": 4}
    torch.manual_seed(0)
    net = baselines.Generator(**config).eval()
    path = tmp_path / "models" / f"{key}.safetensors"
    training.save_model(path, net, **config)
    loaded = baselines.load_generator(tmp_path, key)
    assert not loaded.training
    frame, sound = random(3, 3, 32, 32).tanh(), random(3, 32, 64, 20)
    letter = torch.tensor([2, 0, 1])

    def make(net: nn.Module, seed: int = 5) -> Tensor:
        source = torch.Generator().manual_seed(seed)
        return baselines.generate(net, frame, sound, letter, source)

    made = make(loaded)
    assert made.shape == (3, 3, 32, 32, 32)
    assert made.abs().max() <= 1
    assert torch.equal(made, make(net))
    # Of these only ImaGINator has noise, and its random numbers are its own.
    assert torch.equal(make(net, seed=6), made) is (key != "imaginator")
    if key != "imaginator":  # any number of clips
        assert baselines.generate(net, frame, sound[:, :16], letter).shape[2] == 16
    if key == "imaginator":
        with pytest.raises(AvnbError, match="16 segments"):
            baselines.generate(net, frame, sound[:, :16], letter)
    with pytest.raises(AvnbError, match="'other'"):
        baselines.Generator("other", 3)


def test_the_order_is_read_within_a_whole_video_too() -> None:
    torch.manual_seed(0)
    for size, moments in ((32, 4), (64, 2)):
        net = critics.VideoCritic(1, 3, size, frames=32)
        assert net.order.hidden.in_features == moments * net.clip.trunk.channels
        said = net(random(2, 3, 32, size, size), LABEL)
        assert said.orders.shape == (2, 24)
        assert said.clips.shape == (2, 1)


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
