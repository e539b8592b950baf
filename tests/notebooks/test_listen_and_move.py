"""The definitions of the series listen_and_move against independent references."""

import dataclasses
import importlib
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from plain_recurrent import PlainDilatedGRU, of_gru
from torch import nn

from avnb import training
from avnb.data import clips
from avnb.errors import ClipsError
from avnb.layers import DirectionalConvGRU

SERIES = "avnb_notebooks.listen_and_move"


@pytest.fixture(scope="module")
def data() -> ModuleType:
    return importlib.import_module(f"{SERIES}.step1_data")


@pytest.fixture(scope="module")
def motion() -> ModuleType:
    return importlib.import_module(f"{SERIES}.step2_motion")


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    return importlib.import_module(f"{SERIES}.step3_generator")


@pytest.fixture(scope="module")
def prediction() -> ModuleType:
    return importlib.import_module(f"{SERIES}.step4_prediction")


@pytest.fixture(scope="module")
def critics() -> ModuleType:
    return importlib.import_module(f"{SERIES}.step5_critics")


def weights(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


# --- Step 1 ----------------------------------------------------------------------


def test_louder_is_higher_and_silence_the_lowest(data: ModuleType) -> None:
    noise = torch.randn(16000, generator=torch.Generator().manual_seed(0))
    ours, released = data.Hearing(16000, level=10.0), data.Hearing(16000)
    means = [ours(noise * gain).mean().item() for gain in (0.1, 0.01, 0.001)]
    assert means == sorted(means, reverse=True)
    assert (ours(torch.zeros(16000)) == -1).all()
    assert torch.allclose(released(noise), released(0.1 * noise), atol=1e-3)
    assert (released(torch.zeros(16000)) == 0).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_sound_that_is_no_sound_is_refused(data: ModuleType, bad: float) -> None:
    sound = torch.zeros(16000)
    sound[700] = bad
    with pytest.raises(ValueError, match=rf"sample 700 of the sound is {bad}"):
        data.Hearing(16000, level=1.0)(sound)


def performer(
    data: ModuleType, frames: int = 10, size: tuple[int, int] = (4, 4)
) -> object:
    pictures = torch.arange(frames, dtype=torch.uint8).view(-1, 1, 1, 1)
    film = clips.Recording(
        pictures.expand(-1, *size, 3).contiguous(),
        torch.zeros(800 * frames),
        torch.arange(frames) / 20,
        "solo",
        "cello",
        20.0,
        16000,
    )
    features = torch.arange(frames).float()[:, None].expand(-1, 64)
    return data.Performer(film.frames, features, film, data.Hearing(16000, level=1.0))


def test_films_that_the_networks_cannot_take_are_named(data: ModuleType) -> None:
    data.check_film(performer(data, 40, (8, 8)), 40)
    with pytest.raises(ClipsError, match=r"solo: 40 frames .* window has 41"):
        data.check_film(performer(data, 40, (8, 8)), 41)
    for size in ((8, 16), (12, 12), (4, 4)):
        wrong = rf"solo: pictures of {size[0]}×{size[1]}.*--size 64"
        with pytest.raises(ClipsError, match=wrong):
            data.check_film(performer(data, 40, size), 4)


def test_a_silent_film_is_named(
    data: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = performer(data).film
    monkeypatch.setattr(data.clips, "load_recording", lambda *args: silent)
    with pytest.raises(ClipsError, match=r"clips/train: solo is silent"):
        data.load_performer("clips", "test")


def test_a_window_is_frames_with_their_own_features(data: ModuleType) -> None:
    video, features = performer(data).window(3, 4)
    assert video.shape == (4, 3, 4, 4)
    assert ((video[:, 0, 0, 0] + 1) * 127.5).tolist() == pytest.approx([3, 4, 5, 6])
    assert features[:, 0].tolist() == [3, 4, 5, 6]


@pytest.mark.parametrize(("start", "count"), [(-1, 2), (7, 4), (11, 0)])
def test_a_window_beyond_the_film(data: ModuleType, start: int, count: int) -> None:
    with pytest.raises(ValueError, match="there are 10 of solo"):
        performer(data).window(start, count)


def test_nearest_is_the_nearest(data: ModuleType) -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 5, 3))
    right = [min(math.sqrt(np.mean((x - y) ** 2)) for y in b) for x in a]
    found = data.nearest(torch.from_numpy(a).float(), torch.from_numpy(b).float())
    assert found.tolist() == pytest.approx(right, rel=1e-3)


def test_a_hearing_comes_back_from_its_file(data: ModuleType, tmp_path: Path) -> None:
    config = {"sample_rate": 16000, "fps": 20.0, "level": 3.5}
    hearing = data.Hearing(**config)
    training.save_model(tmp_path / "hearing", hearing, **config)
    again = training.load_model(tmp_path / "hearing", data.Hearing)
    sound = torch.randn(4000, generator=torch.Generator().manual_seed(2))
    assert torch.equal(hearing(sound), again(sound))


# --- Step 2 ----------------------------------------------------------------------


def test_motion_is_the_plain_loop(motion: ModuleType) -> None:
    plain, network = PlainDilatedGRU(9), motion.Motion(bands=7, noise=2)
    network.recurrence.load_state_dict(of_gru(plain, lambda p: p.detach()))
    features, noise = torch.randn(13, 7), torch.randn(13, 2)
    whole = plain(torch.cat([features, noise], dim=1)[None])[0]
    state, parts = None, []
    for part in motion.windows(12, 4):
        m, state = network(features[part], noise[part], state)
        parts.append(m)
    parts.append(network(features[12:], noise[12:], state)[0])
    assert torch.allclose(torch.cat(parts), whole, atol=1e-5)


def test_the_baseline_is_a_plain_gru(motion: ModuleType) -> None:
    network = motion.Motion(bands=4, noise=2, layers=1)
    gru = nn.GRU(6, 6)
    gru.load_state_dict(network.recurrence.layers[0].state_dict())
    r = torch.randn(5, 6)
    assert torch.allclose(network(r[:, :4], r[:, 4:])[0], gru(r)[0], atol=1e-6)


def test_windows_follow_each_other(motion: ModuleType) -> None:
    found = motion.windows(100, 32, 3)
    assert [(s.start, s.stop) for s in found] == [(3, 35), (35, 67), (67, 99)]
    for frames, length, offset in ((31, 32, 0), (100, 32, 69), (100, 32, -1)):
        with pytest.raises(ValueError, match="do not fit"):
            motion.windows(frames, length, offset)


# --- Step 3 ----------------------------------------------------------------------


def test_every_row_of_table_1_paints_and_learns(generator: ModuleType) -> None:
    for name, design in generator.ablation().items():
        animator = generator.Animator(design, size=16, bands=5, base=16)
        animator.apply(generator.start_weights)
        video, states = animator(torch.randn(4, 5))
        assert video.shape == (4, 3, 16, 16), name
        again, _ = animator(torch.randn(4, 5), tuple(s.detach() for s in states))
        again.square().mean().backward()
        idle = [k for k, p in animator.named_parameters() if p.grad is None]
        assert not idle, f"{name}: {idle} learn nothing"


def test_as_many_weights_as_the_released_code(
    generator: ModuleType, critics: ModuleType
) -> None:
    designs = generator.ablation()
    with torch.device("meta"):
        counts = [
            weights(generator.Animator(designs[name], size=128))
            for name in ("All + DirConvGRU", "Baseline (MfS)")
        ]
        counts += [
            weights(critics.image_critic(128)),
            weights(critics.video_critic(128)),
        ]
    assert [round(n / 1e6, 2) for n in counts] == [8.43, 7.84, 9.43, 28.27]


def test_channels_and_layers(generator: ModuleType) -> None:
    widths = [generator.channels(s) for s in range(generator.layers_for(256) + 1)]
    assert widths == [512, 512, 256, 128, 64, 32, 16]
    for size in (0, 4, 48, 100):
        with pytest.raises(ValueError, match=f"size is {size}"):
            generator.layers_for(size)


def test_an_unknown_prediction_is_named(generator: ModuleType) -> None:
    with pytest.raises(ValueError, match="'sideways'"):
        generator.Design(prediction="sideways")


def test_an_animator_comes_back_from_its_file(
    generator: ModuleType, tmp_path: Path
) -> None:
    design = generator.Design(content=False, prediction="centre")
    config = {"design": dataclasses.asdict(design), "size": 16, "bands": 5, "base": 16}
    animator = generator.Animator(**config).eval()
    training.save_model(tmp_path / "animator", animator, **config)
    again = training.load_model(tmp_path / "animator", generator.Animator)
    heard, noise = torch.randn(3, 5), torch.randn(3, 2)
    with torch.no_grad():
        films = [network(heard, None, noise)[0] for network in (animator, again)]
    assert torch.equal(*films)


# --- Step 4 ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 5, 7])
@pytest.mark.parametrize("axis", ["h", "v"])
def test_the_triangle_is_the_layers(
    prediction: ModuleType, size: int, axis: str
) -> None:
    kernel = DirectionalConvGRU(1, 1, size, axis=axis).kernels[0]
    strips = [strip[0, 0].flatten() for strip in kernel.strips]
    for sign, dense in zip("+-", kernel.dense(), strict=True):
        assert torch.equal(prediction.triangle(strips, axis + sign), dense[0, 0])


def test_a_film_is_the_same_in_any_windows(
    prediction: ModuleType, generator: ModuleType
) -> None:
    animator = generator.Animator(generator.Design(), size=16, bands=5, base=16)
    features = torch.randn(11, 5)
    films = [prediction.film(animator, features, length) for length in (11, 4, 1)]
    assert films[0].shape == (11, 16, 16, 3)
    for other in films[1:]:
        assert (films[0].int() - other.int()).abs().max() <= 1
    assert not torch.equal(films[0], prediction.film(animator, features, seed=1))


# --- Step 5 ----------------------------------------------------------------------


def test_a_constant_changes_no_loss(critics: ModuleType) -> None:
    film, made = torch.randn(2, 1, 4, 3, 8, 8)
    critic = critics.video_critic(8, base=8, norm="none")
    losses = []
    for constant in (0.0, 50.0):
        torch.manual_seed(2)
        nn.init.constant_(critic.head.decision.bias, constant)
        losses.append(critics.video_critic_loss(critic, film, made).item())
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


def test_a_linear_critics_loss_by_hand(critics: ModuleType) -> None:
    class Linear(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 3 * x[:, 0, 0, 0]

    real, fake = torch.ones(2, 1, 1, 1), torch.zeros(2, 1, 1, 1)
    loss = critics.image_critic_loss(Linear(), real, fake, penalty=10)
    assert loss.item() == pytest.approx(-3 + 10 * (3 - 1) ** 2, abs=1e-4)


def test_the_animator_gains_by_scores_and_likeness(critics: ModuleType) -> None:
    loss = critics.animator_loss(
        torch.full((1, 4, 4), 2.0), torch.ones(1, 4, 4), 0.5, 4
    )
    assert loss.item() == pytest.approx(-2 - 1 + 2)


# --- Step 6: what training needs ---------------------------------------------------


@pytest.mark.parametrize(("frames", "length"), [(40, 16), (31, 16), (16, 16), (100, 7)])
def test_each_step_has_its_window(motion: ModuleType, frames: int, length: int) -> None:
    seen, last, begun = set(), -1, []
    for step in range(1000):
        part, fresh = motion.window_at(step, frames, length, seed=3)
        assert part.stop - part.start == length
        assert 0 <= part.start <= part.stop <= frames
        assert fresh or part.start == last, "the film goes on where it was"
        last = part.stop
        begun += [part.start] if fresh else []
        seen |= set(range(frames)[part])
        assert motion.window_at(step, frames, length, seed=3) == (part, fresh)
    assert len(seen) > frames - length, "a few at the end may never be"
    assert set(begun) == set(range(max(min(length, frames - length + 1), 1)))


def test_a_film_shorter_than_a_window_is_refused(motion: ModuleType) -> None:
    with pytest.raises(ValueError, match="16 frames from 0 on do not fit in 15"):
        motion.window_at(0, 15, 16, seed=0)


@pytest.mark.parametrize("row", ["Baseline (MfS)", "All + DirConvGRU"])
def test_carried_states_go_on_as_in_one_pass(generator: ModuleType, row: str) -> None:
    torch.manual_seed(0)
    animator = generator.Animator(generator.ablation()[row], size=16, base=32)
    animator.generator.trunk.format.norm.momentum = 0.0  # windows share it in eval
    carried = generator.Carried(animator)
    assert animator.training
    animator.eval()
    features, noise = torch.randn(9, 64), torch.randn(9, 2)
    with torch.no_grad():
        whole, _ = animator(features, None, noise)
    parts = []
    for part in (slice(0, 4), slice(4, 9)):
        video, states = animator(features[part], carried.states, noise[part])
        carried.keep(states)
        parts.append(video)
    assert torch.allclose(torch.cat(parts), whole, atol=1e-5)
    assert not any(state.requires_grad for state in carried.states)
    assert carried.motion.abs().sum() > 0
    saved = carried.state_dict()
    carried.begin()
    assert carried.motion.abs().sum() == 0
    carried.load_state_dict(saved)


def test_where_it_moves_and_by_how_much(data: ModuleType) -> None:
    frames = torch.full((30, 10, 10, 3), 100, dtype=torch.uint8)
    frames[::2, :4, :5] = 200  # a fifth of the pixels
    where = data.moving(frames)
    assert where[:4, :5].all()
    assert where.sum() == 20
    made = frames.clone()
    made[3, :4, :5] += 3
    made[4, 5:] = 0  # where nothing moves
    error = data.error_where(where, made, frames)
    assert error[3].item() == pytest.approx(3)
    assert error.sum().item() == pytest.approx(3)


def test_another_moment_is_a_share_of_the_film_away(data: ModuleType) -> None:
    film = torch.arange(8)
    assert data.other_moment(film).tolist() == [6, 7, 0, 1, 2, 3, 4, 5]
    assert data.other_moment(film, 0.5).tolist() == [4, 5, 6, 7, 0, 1, 2, 3]


def test_moving_and_mean_are_those_of_numpy(data: ModuleType) -> None:
    random = torch.Generator().manual_seed(5)
    frames = torch.randint(0, 256, (1100, 10, 8, 3), generator=random).byte()
    spread = frames.numpy().astype(float).std(axis=0).mean(axis=-1)
    expected = spread >= np.sort(spread.ravel())[-16]
    assert (data.moving(frames).numpy() == expected).all()
    mean = frames.numpy().astype(float).mean(axis=0)
    assert np.abs(data.mean_frame(frames).numpy() - mean).max() <= 0.5


def climbing(data: ModuleType, frames: int) -> object:
    """A film of a bright bar, as high as a band of its sound: all random."""
    random = torch.Generator().manual_seed(2)
    height = torch.randint(0, 4, (frames // 4,), generator=random)
    height = height.repeat_interleave(4)  # it stays for four frames
    pictures = torch.full((frames, 16, 16, 3), 30, dtype=torch.uint8)
    features = torch.full((frames, 64), -0.5)
    for t, place in enumerate(height.tolist()):
        pictures[t, 4 * place : 4 * place + 4] = 220
        features[t, 16 * place : 16 * place + 16] = 0.5
    film = performer(data, frames).film
    return data.Performer(pictures, features, film, data.Hearing(16000, level=1.0))


def test_training_makes_it_listen(
    data: ModuleType,
    motion: ModuleType,
    generator: ModuleType,
    prediction: ModuleType,
    critics: ModuleType,
) -> None:
    """The whole model, by the losses of step 5 and the windows of step 6 (whose loop is
    a script's, so here again), follows a sound that it has not heard."""
    torch.manual_seed(0)
    train, test = climbing(data, 200), climbing(data, 120)
    animator = generator.Animator(generator.Design(), size=16, base=32)
    animator.apply(generator.start_weights)
    D_I = critics.image_critic(16, 16).apply(generator.start_weights)
    D_V = critics.video_critic(16, 16).apply(generator.start_weights)
    carried = generator.Carried(animator)
    adam = [
        torch.optim.Adam(player.parameters(), rate, (0.3, 0.999))
        for player, rate in ((animator, 2e-3), (D_I, 4e-4), (D_V, 4e-4))
    ]
    for step in range(80):
        part, fresh = motion.window_at(step, len(train), 8, seed=0)
        real, heard = train.window(part.start, 8)
        if fresh:
            carried.begin()
        made, states = animator(heard, carried.states)
        carried.keep(states)
        fake = made.detach()
        for optimizer, player, loss in (
            (adam[2], D_V, critics.video_critic_loss(D_V, real[None], fake[None])),
            (adam[1], D_I, critics.image_critic_loss(D_I, real[:1], fake[:1])),
        ):
            player.zero_grad()
            loss.backward()
            optimizer.step()
        by = D_I(made[:1]), D_V(made[None].transpose(1, 2))
        animator.zero_grad()
        critics.animator_loss(*by, nn.functional.mse_loss(made, real)).backward()
        adam[0].step()
    where = data.moving(train.frames)
    other = data.other_moment(test.features)
    own, wrong = (
        data.error_where(where, prediction.film(animator, heard), test.frames).mean()
        for heard in (test.features, other)
    )
    still = data.mean_frame(train.frames).expand_as(test.frames)
    assert own < 0.8 * wrong
    assert own < data.error_where(where, still, test.frames).mean()
