"""The networks of joint_gan: sizes, shapes, and plain loops beside the fast forms."""

import librosa
import numpy as np
import pytest
import torch
from avnb_notebooks.joint_gan import step2_sound as sound
from avnb_notebooks.joint_gan import step3_picture as picture
from avnb_notebooks.joint_gan import step4_pairs as pairs
from avnb_notebooks.joint_gan import step5_shared as shared
from torch import Tensor, nn
from torch.nn import functional as F

from avnb import losses, training
from avnb.errors import AvnbError
from avnb.layers import shuffle_phase


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# --- Step 2: sound ---------------------------------------------------------------


def test_sound_networks_are_as_large_as_the_parents() -> None:
    """facts: WaveGAN d = 64, 32 and 16, and with the learned filter of 512 taps."""
    with torch.device("meta"):
        assert count(sound.SoundGenerator(64)) == 19_065_345
        assert count(sound.SoundGenerator(64, taps=512)) == 19_065_858
        assert count(sound.SoundGenerator(64, upsample="nearest")) == 19_065_345
        assert count(sound.SoundCritic(64)) == 17_427_969
        sizes = [
            count(n(d))
            for d in (32, 16)
            for n in (sound.SoundGenerator, sound.SoundCritic)
        ]
    assert [round(n / 1e6, 2) for n in sizes] == [5.18, 4.36, 1.50, 1.09]


@pytest.mark.parametrize("upsample", ["transposed", "nearest"])
def test_the_generator_of_sound_is_torchs_layers(upsample: str) -> None:
    torch.manual_seed(0)
    net = sound.SoundGenerator(2, upsample=upsample, taps=8)
    noise = sound.draw_sound_noise(3)
    assert noise.abs().max() <= 1
    x = F.relu(net.dense(noise).reshape(3, 32, 16))
    for k, up in enumerate(net.ups):
        if upsample == "transposed":
            x = F.conv_transpose1d(x, up.weight, up.bias, 4, 11, 1)
        else:
            x = F.conv1d(x.repeat_interleave(4, 2), up.weight, up.bias, padding=12)
        x = F.relu(x) if k < 4 else x
    made = net(noise)
    wanted = torch.tanh(net.filter(F.pad(x, (4, 3))))
    assert made.shape == (3, 1, 16384)
    torch.testing.assert_close(made, wanted, atol=1e-4, rtol=1e-3)


def test_the_critic_of_sound_is_torchs_layers() -> None:
    torch.manual_seed(0)
    net = sound.SoundCritic(2, shuffle=0)
    x = given = 0.1 * random(3, 1, 16384)
    for down in net.trunk.downs:
        x = F.conv1d(x, down.weight, down.bias, stride=4, padding=11)
        x = torch.where(x > 0, x, 0.2 * x)
    wanted = x.flatten(1) @ net.decision.weight[0] + net.decision.bias
    torch.testing.assert_close(net(given), wanted, atol=1e-4, rtol=1e-3)
    with pytest.raises(AvnbError, match="16000 samples cannot be divided"):
        sound.SoundCritic(2, samples=16000)


def test_the_critic_of_spectrograms_sees_librosas_picture() -> None:
    torch.manual_seed(0)
    net, given = sound.SpectrogramCritic(2), 0.1 * random(3, 1, 16384)
    mel = librosa.feature.melspectrogram(
        y=given[:, 0].numpy(), sr=16000, n_fft=1024, hop_length=256, n_mels=64
    )
    x = torch.from_numpy((10 * np.log10(np.maximum(mel, 1e-10)) + 20) / 40)[:, None]
    x = x.clamp(-1.5, 1.5)
    for down in net.downs:
        x = F.conv2d(x, down.weight, down.bias, 2, 1)
        x = torch.where(x > 0, x, 0.2 * x)
    wanted = F.conv2d(x, net.decision.weight, net.decision.bias, 1, 1).flatten(1)
    assert wanted.shape == (3, 16)
    torch.testing.assert_close(net(given), wanted, atol=1e-4, rtol=1e-3)


def test_both_critics_of_sound_have_half_of_the_loss_each() -> None:
    torch.manual_seed(0)
    net = sound.BothSoundCritics(2, shuffle=0)
    real, made = random(3, 1, 16384), 0.1 * random(3, 1, 16384, seed=1).requires_grad_()
    found = losses.log_critic_loss(net(real), net(made))
    halves = [
        losses.log_critic_loss(part(real), part(made))
        for part in (net.waveform, net.spectrogram)
    ]
    torch.testing.assert_close(found, torch.stack(halves).mean())
    for half in halves:  # the gradient of either reaches the samples
        (slope,) = torch.autograd.grad(half, made, retain_graph=True)
        assert slope.abs().max() > 0


def test_phase_shuffle_makes_the_critic_random_and_zero_does_not() -> None:
    x = random(2, 1, 16384)
    for radius, same in ((0, True), (2, False)):
        net = sound.SoundCritic(2, shuffle=radius).eval()
        with torch.no_grad():
            assert torch.equal(net(x), net(x)) is same


def test_slow_forms_of_step_2_are_the_fast_ones() -> None:
    x, up = random(3, 7), sound.UpConv1d(3, 2)
    slow = sound.upsample_slow(x, up.weight.detach())
    torch.testing.assert_close(up(x[None])[0].detach(), slow, atol=1e-5, rtol=1e-4)
    y, shifts = random(5, 2, 6, seed=1), torch.tensor([-2, 1, 0, 2, -1])
    slow = sound.shuffle_phase_slow(y, shifts.tolist())
    assert torch.equal(shuffle_phase(y, shifts), slow)


def test_transposed_layers_leave_tones_and_copies_do_not() -> None:
    torch.manual_seed(1)
    lines = {}
    for kind in ("transposed", "nearest"):
        with torch.no_grad():
            made = [
                sound.SoundGenerator(4, upsample=kind)(sound.draw_sound_noise(8))
                for _ in range(6)
            ]
        lines[kind] = sound.measure_lines(torch.cat(made))
    assert lines["transposed"][4000] > 15
    assert lines["transposed"][1000] > 10
    assert lines["nearest"][4000] < 5


@pytest.mark.slow
def test_phase_shuffle_hides_a_phase_but_not_of_the_last_layers_tone() -> None:
    plain = sound.learn_phase(64, shuffle=0, steps=60)
    hidden = sound.learn_phase(64, shuffle=2, steps=60)
    last = sound.learn_phase(4, shuffle=2, steps=60)
    assert plain > 0.85
    assert hidden < 0.75
    assert last > 0.85


def test_a_sigmoid_keeps_a_wasserstein_critic_small() -> None:
    gap, slope = sound.train_wasserstein_critic(bounded=False)
    # 8 s - 10 (s - 1)² is largest at s = 1 + 8 / 20
    assert slope == pytest.approx(1.4, rel=0.1)
    assert gap == pytest.approx(8 * 1.4, rel=0.1)
    gap, slope = sound.train_wasserstein_critic(bounded=True)
    assert 0 < gap <= 1
    assert abs(slope) < 0.3


# --- Step 3: picture -------------------------------------------------------------


def test_picture_networks_are_as_large_as_the_parents() -> None:
    with torch.device("meta"):
        assert count(picture.PictureGenerator(64)) == 3_577_364
        assert count(picture.PictureGenerator(64, content=50)) == 3_249_684
        assert count(picture.ImageCritic(64)) == 663_296
        assert count(picture.VideoCritic(64)) == 11_056_896
        assert count(picture.VideoCritic(64, time_padding=0)) == 11_056_896


def test_motion_codes_are_a_plain_gru() -> None:
    net = picture.PictureGenerator(2, content=3, motion=4, size=16)
    noise, start = random(2, 7, 4), random(2, 4, seed=1)
    slow = picture.move_slowly(net.gru, noise, start)
    torch.testing.assert_close(net.move(noise, start), slow)
    cell = nn.GRUCell(4, 4)
    cell.load_state_dict({k[:-3]: v for k, v in net.gru.state_dict().items()})
    torch.testing.assert_close(slow[:, 0], cell(noise[:, 0], start))


@pytest.mark.parametrize("size", [16, 32, 64])
def test_a_video_is_its_frames_painted_one_by_one(size: int) -> None:
    """In eval mode: in training the batch norms see all frames of the batch."""
    torch.manual_seed(0)
    net = picture.PictureGenerator(2, content=3, motion=4, size=size).eval()
    content, noise, start = picture.draw_picture_noise(2, 5, 3, 4)
    with torch.no_grad():
        video = net(content, noise, start)
        assert video.shape == (2, 3, 5, size, size)
        codes = net.move(noise, start)
        for k in range(5):
            x = net.first(torch.cat([content, codes[:, k]], 1)[:, :, None, None])
            for norm, up in zip(net.norms, net.ups, strict=True):
                x = up(F.relu(norm(x)))
            torch.testing.assert_close(video[:, :, k], x.tanh(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("frames", "parents", "padded"),
    [(10, 0, 3), (16, 1, 9), (25, 10, 18), (32, 17, 25)],
)
def test_the_video_critic_by_clip_length(
    frames: int, parents: int, padded: int
) -> None:
    video = random(1, 3, frames, 64, 64)
    assert picture.VideoCritic(1)(video).shape == (1, padded)
    old = picture.VideoCritic(1, time_padding=0)
    if parents:
        assert old(video).shape == (1, parents)
    else:
        with pytest.raises(AvnbError, match="10 frames is too short"):
            old(video)
        with pytest.raises(RuntimeError, match="Kernel size"):
            nn.Conv3d(8, 1, 4)(old.trunk(video))


def test_the_critics_of_pictures_are_torchs_layers() -> None:
    torch.manual_seed(0)
    video, index = random(2, 3, 9, 32, 32), torch.tensor([0, 8])
    D_I, D_V = picture.ImageCritic(2).eval(), picture.VideoCritic(2, size=32).eval()
    frame = picture.pick_frames(video, index)
    assert torch.equal(frame, torch.stack([video[0, :, 0], video[1, :, 8]]))
    x = F.leaky_relu(D_I.convs[0](frame), 0.2)
    for conv, norm in zip(D_I.convs[1:3], D_I.norms, strict=True):
        x = F.leaky_relu(norm(conv(x)), 0.2)
    torch.testing.assert_close(D_I(frame), D_I.convs[3](x)[:, 0])
    assert D_I(frame).shape == (2, 2, 2)
    x = F.leaky_relu(D_V.trunk.convs[0](video), 0.2)
    for conv, norm in zip(D_V.trunk.convs[1:], D_V.trunk.norms, strict=True):
        x = F.leaky_relu(norm(conv(x)), 0.2)
    torch.testing.assert_close(D_V(video), D_V.decision(x).flatten(1))


def test_instance_noise_is_set_everywhere_and_only_in_training() -> None:
    net, frame = picture.ImageCritic(2), random(4, 3, 16, 16)
    assert torch.equal(net(frame), net(frame))
    picture.set_instance_noise(net, 0.5)
    assert not torch.equal(net(frame), net(frame))
    noise = picture.InstanceNoise(0.5)
    assert (noise(torch.zeros(20000)).std() - 0.5).abs() < 0.02
    net.eval()
    assert torch.equal(net(frame), net(frame))


def test_a_size_that_is_no_power_of_two_is_named() -> None:
    for size in (8, 48, 100):
        with pytest.raises(AvnbError, match=f"{size} pixels"):
            picture.PictureGenerator(2, size=size)


@pytest.mark.slow
def test_content_paints_colour_and_motion_moves() -> None:
    G = picture.learn_discs()
    _, noise, start = picture.draw_picture_noise(2, 8, 4, 4)
    content = torch.tensor([[2.0, -1, -1, 0], [-2, 1, 1, 0]])
    which = torch.tensor([[0, 0], [0, 1], [1, 0]])
    with torch.no_grad():
        films = G(content[which[:, 0]], noise[which[:, 1]], start[which[:, 1]])
    place, colour = picture.locate_discs(films), films.mean(dim=(2, 3, 4))
    assert (colour[0] - colour[1]).abs().max() < 0.3 * (
        colour[0] - colour[2]
    ).abs().max()
    moved = (place[0] - place[1]).abs().mean()
    assert (place[0] - place[2]).abs().mean() < 0.5 * moved


# --- Steps 4 and 5: pairs and generators -----------------------------------------


@pytest.mark.parametrize("frames", [10, 25])
def test_places_of_a_sound_lie_on_the_frames_clock(frames: int) -> None:
    """By samples: place j of 64 holds 256 of them, and a frame is 16000 / T."""
    at = pairs.find_frames(64, frames)
    for j in range(64):
        middle = 256 * j + 128
        assert at[j] == min(middle * frames // 16000, frames - 1)
    x = random(2, 3, 64)
    pooled = pairs.pool_frames(x, frames)
    for k in range(frames):
        torch.testing.assert_close(pooled[:, :, k], x[:, :, at == k].mean(2))


@pytest.mark.parametrize("form", ["pooled", "timed"])
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("frames", [10, 25])
def test_halves_are_judged_once_and_pairs_of_them(
    form: str, together: bool, frames: int
) -> None:
    torch.manual_seed(0)
    net = pairs.PairCritics(4, 2, form, together).eval()
    a, v = random(3, 1, 16384), random(3, 3, frames, 32, 32)
    heard, seen = net.hear(a, v), net.see(v)
    assert heard.shape == seen.shape
    assert heard.shape[-1] == (frames if form == "timed" else 1)
    got = net.judge(heard, seen.roll(1, 1))
    torch.testing.assert_close(got, net(a, v.roll(1, 0)), atol=1e-5, rtol=1e-4)
    assert got.shape == (3, 4)


def test_only_the_timed_form_sees_when() -> None:
    """The strike of the sound is moved by half a second; the video stays."""
    torch.manual_seed(0)
    video = 0.1 * random(1, 3, 10, 16, 16)
    video[:, :, 3] += 1
    early, late = torch.zeros(2, 1, 1, 16384)
    early[..., 4096:4608], late[..., 12288:12800] = random(2, 512)[0], random(2, 512)[0]
    change = {}
    for form in ("pooled", "timed"):
        net = pairs.PairCritics(1, 4, form).eval()
        with torch.no_grad():
            heard = [net.hear(x, video) for x in (early, late)]
        change[form] = ((heard[0] - heard[1]).norm() / heard[0].norm()).item()
    assert change["pooled"] < 0.05 < 0.5 < change["timed"]


SIZES = {"sound_width": 2, "width": 2, "size": 16, "content": 60}


@pytest.mark.parametrize("coupling", ["none", "latent", "time"])
@pytest.mark.parametrize("frames", [10, 25])
def test_who_depends_on_whom(coupling: str, frames: int) -> None:
    torch.manual_seed(0)
    G = shared.make_generator(pairs.Method(coupling=coupling), **SIZES)
    sound_, video = G(G.draw_noise(2, frames))
    assert sound_.shape == (2, 1, 16384)
    assert video.shape == (2, 3, frames, 16, 16)
    if coupling == "time":
        nn.init.normal_(G.film.weight, 0, 0.5)
    reach = {
        name: [x.sum() > 0 for x in shared.measure_reach(G, name, frames)]
        for name in G.draw_noise(1, frames)
    }
    assert reach.pop("sound") == [True, False]
    assert reach.pop("content") == [False, True]
    assert reach.pop("motion") == [coupling == "time", True]
    assert reach.pop("start") == [coupling == "time", True]
    if coupling != "none":
        assert reach.pop("shared") == [True, True]
    assert not reach
    if coupling == "time":  # what is changed from frame 5 on leaves the past alone
        heard, seen = shared.measure_reach(G, "motion", frames)
        assert seen[:5].max() == 0 < seen[5]
        assert heard[:3].max() < 0.05 * heard[5:].max()


def test_the_coupled_generators_begin_as_the_shared_one_and_have_its_size() -> None:
    with torch.device("meta"):
        sizes = {
            k: count(shared.make_generator(pairs.Method(coupling=k)))
            for k in ("none", "latent", "time")
        }
    assert sizes["none"] == sizes["latent"] == 19_065_345 + 3_577_364
    assert sizes["time"] < 1.001 * sizes["none"]
    torch.manual_seed(0)
    timed = shared.TimedGenerator(**SIZES).eval()
    plain = shared.SharedGenerator(**SIZES).eval()
    plain.load_state_dict(timed.state_dict(), strict=False)
    noise = timed.draw_noise(2, 10)
    with torch.no_grad():
        for a, b in zip(timed(noise), plain(noise), strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_film_is_a_loop_over_places() -> None:
    film, x = nn.Linear(4, 10), random(2, 5, 64)
    for frames in (7, 10, 25):
        codes = random(2, frames, 4, seed=frames)
        slow = shared.modulate_slowly(film, x, codes)
        torch.testing.assert_close(shared.modulate(film, x, codes), slow)


@pytest.mark.parametrize(
    "kind", ["JointGenerator", "SharedGenerator", "TimedGenerator"]
)
def test_a_generator_is_saved_and_built_again(kind: str, tmp_path) -> None:
    cls = getattr(shared, kind)
    torch.manual_seed(0)
    G = cls(**SIZES).eval()
    training.save_model(tmp_path / "G.safetensors", G, **SIZES)
    again = training.load_model(tmp_path / "G.safetensors", cls)
    noise = G.draw_noise(1, 10, torch.Generator().manual_seed(1))
    same = G.draw_noise(1, 10, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for a, b in zip(G(noise), again(same), strict=True):
            assert torch.equal(a, b)
