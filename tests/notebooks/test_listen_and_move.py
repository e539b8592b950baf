"""The definitions of the series listen_and_move against independent references."""

import contextlib
import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from avnb_notebooks.listen_and_move import step1_data as data
from avnb_notebooks.listen_and_move import step2_motion as motion
from avnb_notebooks.listen_and_move import step3_generator as generator
from avnb_notebooks.listen_and_move import step4_prediction as prediction
from avnb_notebooks.listen_and_move import step5_critics as critics
from torch import nn

from avnb import training
from avnb.data import clips
from avnb.errors import ClipsError
from avnb.layers import AudioConditionalInstanceNorm, DirectionalConvGRU


def count_weights(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


# --- Step 1 ----------------------------------------------------------------------


def test_louder_is_higher_and_silence_the_lowest() -> None:
    noise = torch.randn(16000, generator=torch.Generator().manual_seed(0))
    ours, released = data.AudioFeatures(16000, level=10.0), data.AudioFeatures(16000)
    means = [ours(noise * gain).mean().item() for gain in (0.1, 0.01, 0.001)]
    assert means == sorted(means, reverse=True)
    assert (ours(torch.zeros(16000)) == -1).all()
    assert torch.allclose(released(noise), released(0.1 * noise), atol=1e-3)
    assert (released(torch.zeros(16000)) == 0).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_samples_that_are_not_finite_are_refused(bad: float) -> None:
    sound = torch.zeros(16000)
    sound[700] = bad
    with pytest.raises(ValueError, match=rf"sample 700 of the sound is {bad}"):
        data.AudioFeatures(16000, level=1.0)(sound)


def make_performer(frames: int = 10, size: tuple[int, int] = (4, 4)) -> object:
    pictures = torch.arange(frames, dtype=torch.uint8).view(-1, 1, 1, 1)
    recording = clips.Recording(
        pictures.expand(-1, *size, 3).contiguous(),
        torch.zeros(800 * frames),
        torch.arange(frames) / 20,
        "solo",
        "cello",
        20.0,
        16000,
    )
    features = torch.arange(frames).float()[:, None].expand(-1, 64)
    return data.PerformerVideo(
        recording.frames, features, recording, data.AudioFeatures(16000, level=1.0)
    )


def test_videos_that_the_networks_cannot_take_are_named() -> None:
    data.check_video(make_performer(40, (8, 8)), 40)
    with pytest.raises(ClipsError, match=r"solo: 40 frames .* window has 41"):
        data.check_video(make_performer(40, (8, 8)), 41)
    for size in ((8, 16), (12, 12), (4, 4)):
        wrong = rf"solo: its frames are {size[0]}×{size[1]}.*--size 64"
        with pytest.raises(ClipsError, match=wrong):
            data.check_video(make_performer(40, size), 4)


def test_a_silent_video_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = make_performer().source
    monkeypatch.setattr(data.clips, "load_recording", lambda *args: silent)
    with pytest.raises(ClipsError, match=r"solo: its training part is silent"):
        data.load_performer_video("clips", "test")


def test_a_window_is_frames_with_their_own_features() -> None:
    video, features = make_performer().window(3, 4)
    assert video.shape == (4, 3, 4, 4)
    assert ((video[:, 0, 0, 0] + 1) * 127.5).tolist() == pytest.approx([3, 4, 5, 6])
    assert features[:, 0].tolist() == [3, 4, 5, 6]


@pytest.mark.parametrize(("start", "count"), [(-1, 2), (7, 4), (11, 0)])
def test_a_window_outside_the_video(start: int, count: int) -> None:
    with pytest.raises(ValueError, match="there are 10 of solo"):
        make_performer().window(start, count)


def test_nearest_distance_is_the_smallest() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 5, 3))
    right = [min(math.sqrt(np.mean((x - y) ** 2)) for y in b) for x in a]
    found = data.nearest_distance(
        torch.from_numpy(a).float(), torch.from_numpy(b).float()
    )
    assert found.tolist() == pytest.approx(right, rel=1e-3)


def test_audio_features_come_back_from_their_file(tmp_path: Path) -> None:
    config = {"sample_rate": 16000, "fps": 20.0, "level": 3.5}
    features = data.AudioFeatures(**config)
    training.save_model(tmp_path / "features", features, **config)
    again = training.load_model(tmp_path / "features", data.AudioFeatures)
    sound = torch.randn(4000, generator=torch.Generator().manual_seed(2))
    assert torch.equal(features(sound), again(sound))


# --- Step 2 ----------------------------------------------------------------------


def test_the_plain_cell_is_torchs() -> None:
    cell, reference = motion.PlainGRUCell(5), nn.GRUCell(5, 5)
    reference.weight_ih, reference.bias_ih = cell.from_input.parameters()
    reference.weight_hh, reference.bias_hh = cell.from_state.parameters()
    x, state = torch.randn(2, 3, 5)
    assert torch.allclose(cell(x, state), reference(x, state), atol=1e-6)


def test_motion_is_the_plain_loop() -> None:
    plain, network = motion.PlainDilatedGRU(9), motion.MotionRNN(bands=7, noise=2)
    network.recurrence.load_state_dict(motion.rename_gru_weights(plain))
    features, noise = torch.randn(13, 7), torch.randn(13, 2)
    whole = plain(torch.cat([features, noise], dim=1)[None])[0]
    state, parts = None, []
    for part in motion.split_windows(12, 4):
        m, state = network(features[part], noise[part], state)
        parts.append(m)
    parts.append(network(features[12:], noise[12:], state)[0])
    assert torch.allclose(torch.cat(parts), whole, atol=1e-5)


def test_the_baseline_is_a_plain_gru() -> None:
    network = motion.MotionRNN(bands=4, noise=2, layers=1)
    gru = nn.GRU(6, 6)
    gru.load_state_dict(network.recurrence.layers[0].state_dict())
    r = torch.randn(5, 6)
    assert torch.allclose(network(r[:, :4], r[:, 4:])[0], gru(r)[0], atol=1e-6)


def test_windows_follow_each_other() -> None:
    found = motion.split_windows(100, 32, 3)
    assert [(s.start, s.stop) for s in found] == [(3, 35), (35, 67), (67, 99)]
    for frames, length, offset in ((31, 32, 0), (100, 32, 69), (100, 32, -1)):
        with pytest.raises(ValueError, match="do not fit"):
            motion.split_windows(frames, length, offset)


# --- Step 3 ----------------------------------------------------------------------


def test_every_network_of_table_1_has_frames_and_gradients() -> None:
    for name, config in generator.ablation_configs().items():
        model = generator.SoundToVideo(config, size=16, bands=5, base=16)
        model.apply(generator.init_weights)
        video, states = model(torch.randn(4, 5))
        assert video.shape == (4, 3, 16, 16), name
        again, _ = model(torch.randn(4, 5), tuple(s.detach() for s in states))
        again.square().mean().backward()
        idle = [k for k, p in model.named_parameters() if p.grad is None]
        assert not idle, f"{name}: {idle} have no gradient"


def test_as_many_weights_as_the_released_code() -> None:
    configs = generator.ablation_configs()
    with torch.device("meta"):
        counts = [
            count_weights(generator.SoundToVideo(configs[name], size=128))
            for name in ("All + DirConvGRU", "Baseline (MfS)")
        ]
        counts += [
            count_weights(critics.make_image_critic(128)),
            count_weights(critics.make_video_critic(128)),
        ]
    assert [round(n / 1e6, 2) for n in counts] == [8.43, 7.84, 9.43, 28.27]


@pytest.mark.parametrize("plus_one", [False, True])
def test_the_plain_conditional_norm_is_that_of_the_layers(plus_one: bool) -> None:
    plain = generator.PlainConditionalNorm(3, 5, plus_one)
    layer = AudioConditionalInstanceNorm(3, 5, plus_one=plus_one)
    for name in ("weight", "bias"):
        both = [getattr(part, name) for part in (plain.to_shift, plain.to_scale)]
        setattr(layer.linear, name, nn.Parameter(torch.cat(both)))
    x, features = 2 + torch.randn(4, 3, 6, 7), torch.randn(4, 5)
    assert torch.allclose(plain(x, features), layer(x, features), atol=1e-5)


def test_channels_and_layers() -> None:
    widths = [
        generator.count_channels(s) for s in range(generator.count_layers(256) + 1)
    ]
    assert widths == [512, 512, 256, 128, 64, 32, 16]
    for size in (0, 4, 48, 100):
        with pytest.raises(ValueError, match=f"size is {size}"):
            generator.count_layers(size)


def test_an_unknown_prediction_is_named() -> None:
    with pytest.raises(ValueError, match="'sideways'"):
        generator.ModelConfig(prediction="sideways")


def test_a_model_comes_back_from_its_file(tmp_path: Path) -> None:
    config = dataclasses.asdict(
        generator.ModelConfig(content=False, prediction="centre")
    )
    arguments = {"config": config, "size": 16, "bands": 5, "base": 16}
    model = generator.SoundToVideo(**arguments).eval()
    training.save_model(tmp_path / "model", model, **arguments)
    again = training.load_model(tmp_path / "model", generator.SoundToVideo)
    heard, noise = torch.randn(3, 5), torch.randn(3, 2)
    with torch.no_grad():
        videos = [network(heard, None, noise)[0] for network in (model, again)]
    assert torch.equal(*videos)


# --- Step 4 ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 5, 7])
@pytest.mark.parametrize("axis", ["h", "v"])
def test_the_triangular_kernel_is_that_of_the_layers(size: int, axis: str) -> None:
    kernel = DirectionalConvGRU(1, 1, size, axis=axis).kernels[0]
    strips = [strip[0, 0].flatten() for strip in kernel.strips]
    for sign, dense in zip("+-", kernel.dense(), strict=True):
        assert torch.equal(
            prediction.triangular_kernel(strips, axis + sign), dense[0, 0]
        )


def test_a_video_is_the_same_in_any_windows() -> None:
    model = generator.SoundToVideo(generator.ModelConfig(), size=16, bands=5, base=16)
    features = torch.randn(11, 5)
    videos = [
        prediction.generate_video(model, features, length) for length in (11, 4, 1)
    ]
    assert videos[0].shape == (11, 16, 16, 3)
    for other in videos[1:]:
        assert (videos[0].int() - other.int()).abs().max() <= 1
    assert not torch.equal(
        videos[0], prediction.generate_video(model, features, seed=1)
    )


# --- Step 5 ----------------------------------------------------------------------


def test_a_constant_changes_no_loss() -> None:
    real, fake = torch.randn(2, 1, 4, 3, 8, 8)
    critic = critics.make_video_critic(8, base=8, norm="none")
    losses = []
    for constant in (0.0, 50.0):
        torch.manual_seed(2)
        nn.init.constant_(critic.head.decision.bias, constant)
        losses.append(critics.video_critic_loss(critic, real, fake).item())
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


def test_a_linear_critics_loss_by_hand() -> None:
    class Linear(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 3 * x[:, 0, 0, 0]

    real, fake = torch.ones(2, 1, 1, 1), torch.zeros(2, 1, 1, 1)
    loss = critics.image_critic_loss(Linear(), real, fake, penalty=10)
    assert loss.item() == pytest.approx(-3 + 10 * (3 - 1) ** 2, abs=1e-4)


def test_the_models_loss_is_lower_with_higher_scores() -> None:
    loss = critics.sound_to_video_loss(
        torch.full((1, 4, 4), 2.0), torch.ones(1, 4, 4), 0.5, 4
    )
    assert loss.item() == pytest.approx(-2 - 1 + 2)


# --- Step 6: what training needs ---------------------------------------------------


@pytest.mark.parametrize(("frames", "length"), [(40, 16), (31, 16), (16, 16), (100, 7)])
def test_each_step_has_its_window(frames: int, length: int) -> None:
    seen, last, starts = set(), -1, []
    for step in range(1000):
        part, restart = motion.select_window(step, frames, length, seed=3)
        assert part.stop - part.start == length
        assert 0 <= part.start <= part.stop <= frames
        assert restart or part.start == last, (
            "the video must go on where the last window ended"
        )
        last = part.stop
        starts += [part.start] if restart else []
        seen |= set(range(frames)[part])
        assert motion.select_window(step, frames, length, seed=3) == (part, restart)
    assert len(seen) > frames - length, (
        "only a few frames at the end may be in no window"
    )
    assert set(starts) == set(range(max(min(length, frames - length + 1), 1)))


def test_a_video_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="16 frames from 0 on do not fit in 15"):
        motion.select_window(0, 15, 16, seed=0)


@pytest.mark.parametrize("row", ["Baseline (MfS)", "All + DirConvGRU"])
def test_carried_states_go_on_as_in_one_pass(row: str) -> None:
    torch.manual_seed(0)
    model = generator.SoundToVideo(generator.ablation_configs()[row], size=16, base=32)
    model.generator.trunk.format.norm.momentum = 0.0  # windows share it in eval
    carried = generator.CarriedState(model)
    assert model.training
    model.eval()
    features, noise = torch.randn(9, 64), torch.randn(9, 2)
    with torch.no_grad():
        whole, _ = model(features, None, noise)
    parts = []
    for part in (slice(0, 4), slice(4, 9)):
        video, states = model(features[part], carried.states, noise[part])
        carried.store(states)
        parts.append(video)
    assert torch.allclose(torch.cat(parts), whole, atol=1e-5)
    assert not any(state.requires_grad for state in carried.states)
    assert carried.motion.abs().sum() > 0
    saved = carried.state_dict()
    carried.reset()
    assert carried.motion.abs().sum() == 0
    carried.load_state_dict(saved)


def test_moving_pixels_and_their_error() -> None:
    frames = torch.full((30, 10, 10, 3), 100, dtype=torch.uint8)
    frames[::2, :4, :5] = 200  # a fifth of the pixels
    where = data.find_moving_pixels(frames)
    assert where[:4, :5].all()
    assert where.sum() == 20
    made = frames.clone()
    made[3, :4, :5] += 3
    made[4, 5:] = 0  # where nothing moves
    error = data.masked_rmse(where, made, frames)
    assert error[3].item() == pytest.approx(3)
    assert error.sum().item() == pytest.approx(3)


def test_another_moment_is_a_share_of_the_video_away() -> None:
    sequence = torch.arange(8)
    assert data.shift_in_time(sequence).tolist() == [6, 7, 0, 1, 2, 3, 4, 5]
    assert data.shift_in_time(sequence, 0.5).tolist() == [4, 5, 6, 7, 0, 1, 2, 3]


def test_moving_and_mean_are_those_of_numpy() -> None:
    random = torch.Generator().manual_seed(5)
    frames = torch.randint(0, 256, (1100, 10, 8, 3), generator=random).byte()
    spread = frames.numpy().astype(float).std(axis=0).mean(axis=-1)
    expected = spread >= np.sort(spread.ravel())[-16]
    assert (data.find_moving_pixels(frames).numpy() == expected).all()
    mean = frames.numpy().astype(float).mean(axis=0)
    assert np.abs(data.average_frames(frames).numpy() - mean).max() <= 0.5


def step_plainly(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """What `training.Run.step` does in one process."""
    optimizer.zero_grad()
    loss.backward(inputs=optimizer.param_groups[0]["params"])
    optimizer.step()


PLAIN = SimpleNamespace(autocast=contextlib.nullcontext, step=step_plainly)


def make_climbing(frames: int) -> object:
    """A video of a bright bar whose height follows the loud band of its sound."""
    random = torch.Generator().manual_seed(2)
    height = torch.randint(0, 4, (frames // 4,), generator=random)
    height = height.repeat_interleave(4)  # each lasts four frames
    pictures = torch.full((frames, 16, 16, 3), 30, dtype=torch.uint8)
    features = torch.full((frames, 64), -0.5)
    for t, place in enumerate(height.tolist()):
        pictures[t, 4 * place : 4 * place + 4] = 220
        features[t, 16 * place : 16 * place + 16] = 0.5
    source = make_performer(frames).source
    return data.PerformerVideo(
        pictures, features, source, data.AudioFeatures(16000, level=1.0)
    )


@pytest.mark.slow
@pytest.mark.parametrize("readers", [1, 2])
def test_training_makes_the_model_follow_the_sound(readers: int) -> None:
    """The full model follows a test sound after training, with one reader or two."""
    torch.manual_seed(0)
    train, test = make_climbing(200), make_climbing(120)
    model = generator.SoundToVideo(generator.ModelConfig(), size=16, base=32)
    D_I = critics.make_image_critic(16, 16, "layer")
    D_V = critics.make_video_critic(16, 16, "layer")
    for network in (model, D_I, D_V):
        network.apply(generator.init_weights)
    carried = generator.CarriedState(model, readers)
    opt_g, *opt_d = (
        torch.optim.Adam(player.parameters(), rate, (0.3, 0.999))
        for player, rate in ((model, 2e-3), (D_I, 4e-4), (D_V, 4e-4))
    )
    for step in range(160):
        length = 8 // readers
        windows, restart = generator.select_windows(
            step, len(train), length, readers, seed=0
        )
        pairs = [train.window(part.start, length) for part in windows]
        real, heard = (torch.stack(parts) for parts in zip(*pairs, strict=True))
        if restart:
            carried.reset()
        fake, states = model(heard, carried.states)
        carried.store(states)
        t = torch.randint(length, (readers,))
        critics.update_critics(PLAIN, (D_I, D_V), tuple(opt_d), real, fake, t)
        compare = nn.functional.mse_loss
        critics.update_model(PLAIN, opt_g, (D_I, D_V), compare, real, fake, t, "sum")
    where = data.find_moving_pixels(train.frames)
    other = data.shift_in_time(test.features)
    own, wrong = (
        data.masked_rmse(
            where, prediction.generate_video(model, heard), test.frames
        ).mean()
        for heard in (test.features, other)
    )
    still = data.average_frames(train.frames).expand_as(test.frames)
    assert own < 0.8 * wrong
    assert own < data.masked_rmse(where, still, test.frames).mean()
