"""The definitions of the series deep_cross_modal against independent references."""

import ast
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avnb_notebooks.deep_cross_modal import series
from avnb_notebooks.deep_cross_modal import step1_data as data
from avnb_notebooks.deep_cross_modal import step2_sound as sound
from avnb_notebooks.deep_cross_modal import step4_image as image
from avnb_notebooks.deep_cross_modal import step6_sound_to_image as s2i
from avnb_notebooks.deep_cross_modal import step8_image_to_sound as i2s
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn
from torch.nn import functional as F

from avnb.course.settings import Settings


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def layers(net: nn.Module, kind: type | tuple[type, ...]) -> list[Any]:
    return [module for module in net.modules() if isinstance(module, kind)]


# --- Step 1: the pairs -----------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    samples=st.integers(0, 900),
    frames=st.integers(0, 40),
    rate=st.sampled_from([100, 101, 160]),
    fps=st.sampled_from([2.0, 5.0, 7.5, 10.0, 12.0]),
)
def test_cut_is_the_plain_loop(
    samples: int, frames: int, rate: int, fps: float
) -> None:
    waveform = torch.arange(samples).float()
    film = torch.arange(frames, dtype=torch.uint8)[:, None, None, None]
    film = film.expand(-1, 2, 2, 3)
    chunks, pictures = data.cut_chunks(waveform, film, sample_rate=rate, fps=fps)
    length = round(rate / 2)
    first, shown = [], []
    j = 0
    while (j + 1) * length <= samples and (j + 1) * 0.5 <= frames / fps + 1e-9:
        first.append(j * length)
        # the frame on the screen at 0.5 j: the last that began by then
        shown.append(max(i for i in range(frames) if i / fps <= 0.5 * j + 1e-9))
        j += 1
    assert chunks.shape == (len(first), length)
    assert chunks[:, 0].tolist() == first
    assert pictures[:, 0, 0, 0].tolist() == shown


def test_loudness_is_the_formula_sample_by_sample() -> None:
    chunks = torch.randn(6, 50, generator=random()) * torch.logspace(-5, 0, 6)[:, None]
    chunks[2] = 0
    peak = torch.linspace(0.5, 1.0, 6)
    found = data.measure_loudness(chunks, peak).tolist()
    for chunk, top, level in zip(chunks.tolist(), peak.tolist(), found, strict=True):
        energy = sum(x * x for x in chunk) / len(chunk)
        if energy == 0:
            assert level == -math.inf
        else:
            assert level == pytest.approx(
                20 * math.log10(math.sqrt(energy) / top), 1e-4
            )
    wanted = [level > -45 for level in found]
    assert 0 < sum(wanted) < 6
    assert data.is_audible(chunks, peak).tolist() == wanted


def test_the_gate_drops_the_threshold_itself_and_silent_recordings() -> None:
    square = torch.ones(3, 8) * torch.tensor([[0.25], [0.5], [0.75]])
    at = 20 * math.log10(0.5)
    assert data.is_audible(square, torch.ones(3), at).tolist() == [False, False, True]
    # a recording in which nothing ever sounds has peak 0: 0 / 0 is no sound
    nothing = torch.zeros(2, 8), torch.zeros(2)
    assert data.measure_loudness(*nothing).tolist() == [-math.inf] * 2
    assert not data.is_audible(*nothing).any()


def test_sample_weights_make_classes_equally_likely() -> None:
    labels = torch.tensor([0] * 7 + [2] * 2 + [3])
    weights = data.compute_sample_weights(labels)
    for k in (0, 2, 3):
        assert weights[labels == k].sum().item() == pytest.approx(1)


def test_nearest_is_the_plain_loop() -> None:
    a, b = (
        torch.randn(5, 4, generator=random(1)),
        torch.randn(7, 4, generator=random(2)),
    )
    right = [min(math.dist(x, y) for y in b.tolist()) for x in a.tolist()]
    assert data.find_nearest_distances(a, b).tolist() == pytest.approx(right, abs=1e-5)


# --- Step 6: samplers and losses -------------------------------------------------


def test_wrong_class_is_uniform_over_all_others() -> None:
    pool = torch.tensor([0, 1, 2, 2, 0, 3, 2, 1, 1, 1])
    labels = torch.arange(4).repeat_interleave(1500)
    drawn = s2i.sample_wrong_class(labels, pool, random())
    assert (pool[drawn] != labels).all()
    for k in range(4):
        counts = np.bincount(drawn[labels == k].numpy(), minlength=len(pool))
        assert stats.chisquare(counts[pool.numpy() != k]).pvalue > 1e-4


def test_wrong_class_needs_two_classes() -> None:
    with pytest.raises(ValueError, match="class 4: no wrong pairs"):
        s2i.sample_wrong_class(torch.tensor([4]), torch.tensor([4, 4]), random())


def test_wrong_moment_is_uniform_over_the_rest_of_its_class() -> None:
    labels = torch.tensor([0, 1, 1, 0, 1, 0, 1, 1, 0, 2, 2])
    index = torch.arange(11).repeat_interleave(1500)
    drawn = s2i.sample_wrong_moment(index, labels, random())
    assert (drawn != index).all()
    assert (labels[drawn] == labels[index]).all()
    for i in range(11):
        others = [j for j in range(11) if labels[j] == labels[i] and j != i]
        counts = np.bincount(drawn[index == i].numpy(), minlength=11)[others]
        assert len(others) == 1 or stats.chisquare(counts).pvalue > 1e-4


def test_wrong_moment_needs_two_of_a_class() -> None:
    labels = torch.tensor([0, 0, 7])
    drawn = s2i.sample_wrong_moment(torch.tensor([0, 1]), labels, random())
    assert drawn.tolist() == [1, 0]
    with pytest.raises(ValueError, match="class 7 has a single item"):
        s2i.sample_wrong_moment(torch.tensor([0, 2]), labels, random())


def test_losses_are_the_logarithms_of_the_paper() -> None:
    real, fake, wrong = torch.randn(3, 9, generator=random(), dtype=torch.float64) * 4
    s_r, s_f, s_w = (1 / (1 + np.exp(-x.numpy())) for x in (real, fake, wrong))
    eq2 = np.log(s_r).mean() + np.log(1 - s_f).mean()
    eq3 = np.log(s_f).mean()
    eq4 = (np.log(s_r) + (np.log(1 - s_w) + np.log(1 - s_f)) / 2).mean()
    exactly = dict(rel=1e-10)
    found = s2i.discriminator_loss(real, fake, wrong).item()
    assert found == pytest.approx(-eq4, **exactly)
    found = s2i.discriminator_loss(real, fake, None).item()
    assert found == pytest.approx(-eq2, **exactly)
    assert s2i.generator_loss(fake).item() == pytest.approx(-eq3, **exactly)


def test_losses_at_one_half_and_at_the_extremes() -> None:
    zero, sure = torch.zeros(4), torch.full((4,), 500.0)
    half = s2i.discriminator_loss(zero, zero, zero).item()
    assert half == pytest.approx(2 * math.log(2))
    assert s2i.generator_loss(zero).item() == pytest.approx(math.log(2))
    assert s2i.discriminator_loss(-sure, sure, sure).item() == pytest.approx(1000)
    assert s2i.discriminator_loss(sure, -sure, -sure).item() == 0


def test_terms_of_the_loss_are_those_of_the_equations() -> None:
    real, fake, wrong = torch.randn(3, 9, generator=random(), dtype=torch.float64) * 4
    s_r, s_f, s_w = (1 / (1 + np.exp(-x.numpy())) for x in (real, fake, wrong))
    found = s2i.discriminator_terms(real, fake, wrong)
    assert {k: v.item() for k, v in found.items()} == pytest.approx(
        {
            "real": -np.log(s_r).mean(),
            "fake": -np.log(1 - s_f).mean() / 2,
            "wrong": -np.log(1 - s_w).mean() / 2,
        }
    )
    found = s2i.discriminator_terms(real, fake)
    assert {k: v.item() for k, v in found.items()} == pytest.approx(
        {"real": -np.log(s_r).mean(), "fake": -np.log(1 - s_f).mean()}
    )
    scores = s2i.average_scores(real, fake, wrong)
    assert {k: v.item() for k, v in scores.items()} == pytest.approx(
        {"S_r": s_r.mean(), "S_f": s_f.mean(), "S_w": s_w.mean()}
    )
    assert list(s2i.average_scores(real, fake)) == ["S_r", "S_f"]


def test_gradients_of_terms_are_those_of_a_logistic_regression() -> None:
    w = torch.randn(4, generator=random(1), dtype=torch.float64, requires_grad=True)
    x = torch.randn(3, 7, 4, generator=random(2), dtype=torch.float64)
    terms = s2i.discriminator_terms(*(part @ w for part in x))
    norms = s2i.measure_gradients(terms, [w])
    # d softplus(-s) = -sigmoid(-s) ds, d softplus(s) = sigmoid(s) ds
    s = (x @ w.detach()).numpy()
    slopes = (-1 / (1 + np.exp(s[0])), *(1 / (1 + np.exp(-s[1:])) / 2))
    for name, slope, part in zip(("real", "fake", "wrong"), slopes, x, strict=True):
        right = np.linalg.norm((slope[:, None] * part.numpy()).mean(axis=0))
        assert norms[name].item() == pytest.approx(right)
    # The graph is still there for the update itself.
    torch.stack(list(terms.values())).sum().backward()


# --- Shapes, and what the paper counts -------------------------------------------


@pytest.mark.parametrize("batch", [1, 3])
def test_s2i_networks_keep_their_shapes(batch: int) -> None:
    G, D = s2i.Generator(8).eval(), s2i.Discriminator(8).eval()
    code = torch.randn(batch, 128, generator=random())
    picture = G(torch.randn(batch, G.noise, generator=random()), code)
    assert picture.shape == (batch, 3, 64, 64)
    assert picture.abs().max() <= 1
    assert D(picture, code).shape == (batch,)


@pytest.mark.parametrize("batch", [1, 3])
def test_i2s_networks_keep_their_shapes(batch: int) -> None:
    G, D = i2s.SpectrogramGenerator(8).eval(), i2s.SpectrogramDiscriminator(8).eval()
    code = torch.randn(batch, 128, generator=random())
    spectrogram = G(torch.randn(batch, G.noise, generator=random()), code)
    assert spectrogram.shape == (batch, 1, 128, 34)
    assert D.square(spectrogram).shape[2:] == (32, 32)
    assert D(spectrogram, code).shape == (batch,)
    assert i2s.resize_to_frames(spectrogram).shape == (batch, 128, 44)


def test_paper_widths_give_the_papers_map() -> None:
    trunk = s2i.Generator().trunk.eval()
    assert trunk(torch.randn(1, 164, 1, 1)).shape == (1, 128, 32, 32)


@pytest.mark.parametrize("network", ["s2i", "i2s"])
def test_both_noise_and_condition_matter(network: str) -> None:
    torch.manual_seed(0)
    makers = {
        "s2i": (s2i.Generator, s2i.Discriminator),
        "i2s": (i2s.SpectrogramGenerator, i2s.SpectrogramDiscriminator),
    }
    G, D = (maker(8) for maker in makers[network])
    z = torch.randn(3, 100, requires_grad=True)
    code = torch.randn(3, 128, requires_grad=True)
    fake = G(z, code)
    fake.square().sum().backward(retain_graph=True)
    assert z.grad.abs().min() > 0
    assert code.grad.abs().sum() > 0
    code.grad = None
    D(fake.detach(), code).square().sum().backward()
    assert code.grad.abs().sum() > 0


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("depth", [3, 4])
@pytest.mark.parametrize("rows", [20, 84, 128, 1025])
def test_sound_classifier_takes_every_representation(
    rows: int, depth: int, batch: int
) -> None:
    net = sound.SoundClassifier(rows, 44, 13, depth, width=4).eval()
    x = torch.randn(batch, rows, 44)
    assert net(x).shape == (batch, 13)
    assert net.encode(x).shape == (batch, 128)
    torch.testing.assert_close(net.head(net.encode(x)), net(x))
    # Fig. 4: three or four convolutions, three fully connected layers
    assert len(layers(net, nn.Conv2d)) == depth
    assert len(layers(net, nn.Linear)) == 3


@pytest.mark.parametrize("batch", [1, 5])
def test_image_classifier_is_that_of_the_paper(batch: int) -> None:
    net = image.ImageClassifier(13, width=4).eval()
    x = torch.randn(batch, 3, 64, 64)
    assert net(x).shape == (batch, 13)
    assert net.encode(x).shape == (batch, 128)
    torch.testing.assert_close(net.head(net.encode(x)), net(x))
    convs = layers(net, nn.Conv2d)
    assert [conv.kernel_size for conv in convs] == [(3, 3)] * 6
    assert [full.out_features for full in layers(net, nn.Linear)] == [512, 128, 13]


@pytest.mark.parametrize(("channels", "size"), [(3, (64, 64)), (1, (128, 44))])
def test_eval_classifier_scores_by_its_features(
    channels: int, size: tuple[int, int]
) -> None:
    net = image.EvalClassifier(13, channels, width=8).eval()
    x = torch.randn(1, channels, *size)
    assert net.features(x).shape == (1, 64)
    torch.testing.assert_close(net.fc(net.features(x)), net(x))
    # the body by which step 10 measures distances is the same
    torch.testing.assert_close(net.body(x), net.features(x))
    # and another network than Γ: residual, and without fully connected layers inside
    assert len(layers(net, image.BasicBlock)) == 4
    assert len(layers(net, nn.Linear)) == 1


def test_pose_estimator_gives_the_mean_position_of_each_map() -> None:
    estimator = image.PoseEstimator(points=2, width=4).eval()
    x = torch.randn(3, 3, 64, 48)
    maps = estimator.maps(x)
    assert maps.shape == (3, 2, 16, 12)
    found = estimator(x).double()
    for b, point in np.ndindex(3, 2):
        weight = np.exp(maps[b, point].detach().double().numpy())
        place = np.zeros(2)
        for v, u in np.ndindex(16, 12):
            place += weight[v, u] * np.array([(u + 0.5) / 12, (v + 0.5) / 16])
        expected = torch.from_numpy(place / weight.sum())
        torch.testing.assert_close(
            found[b, 2 * point :][:2], expected, rtol=1e-5, atol=0
        )


def test_the_added_layers_of_i2s() -> None:
    G, D = i2s.SpectrogramGenerator(8), i2s.SpectrogramDiscriminator(8)
    assert len(layers(G.added, nn.Conv2d)) == 2
    assert len(layers(D.added, nn.Conv2d)) == 12
    # and none but these and the 4x4 layers of stride (2, 1) are new in G
    plain = s2i.Generator(8)
    assert len(layers(G, nn.Conv2d)) == len(layers(plain, nn.Conv2d)) + 2
    for net, kind in ((G.stretch, nn.ConvTranspose2d), (D.square, nn.Conv2d)):
        found = layers(net, kind)
        shape = [(one.kernel_size, one.stride, one.padding) for one in found]
        assert shape == [((4, 4), (2, 1), (1, 1))] * 2
    x = torch.randn(2, 8, 32, 32)
    assert G.added(x).shape == D.added(x).shape == x.shape


def test_weights_are_initialised_as_in_gan_cls() -> None:
    torch.manual_seed(0)
    net = s2i.Discriminator(16).apply(s2i.init_weights)
    for module in layers(net, nn.Conv2d):
        if module.weight.numel() > 3000:
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert module.bias is None or not module.bias.any()
    gains = torch.cat([norm.weight for norm in layers(net, nn.BatchNorm2d)])
    assert gains.mean().item() == pytest.approx(1, abs=0.01)
    assert gains.std().item() == pytest.approx(0.02, rel=0.3)


@pytest.mark.parametrize("network", ["s2i", "i2s"])
def test_without_norms_a_score_does_not_depend_on_the_batch(network: str) -> None:
    makers = {
        "s2i": (lambda: s2i.Discriminator(12), (3, 64, 64)),
        "i2s": (lambda: i2s.SpectrogramDiscriminator(12), (1, 128, 34)),
    }
    make, shape = makers[network]
    torch.manual_seed(0)
    x, code = torch.randn(6, *shape), torch.randn(6, 128)
    others = torch.cat([x[:1], 3 * x[1:] + 1])
    for D, alone in (
        (make().apply(s2i.init_weights), False),
        (s2i.remove_batch_norm(make()), True),
    ):
        first, second = D(x, code)[0], D(others, code)[0]
        assert torch.isclose(first, second, rtol=1e-4, atol=1e-6) == alone
        assert bool(layers(D, nn.BatchNorm2d)) != alone
    # He's initialisation keeps the scale of the signal through all layers
    assert 0.1 < D(x, code).std() < 10
    for block in layers(D, s2i.ResidualBlock):
        y = torch.randn(2, block.body[0].in_channels, 5, 5)
        torch.testing.assert_close(block(y), F.leaky_relu(y, 0.2))


# --- Step 2: penalties, the autoencoder, scales ----------------------------------


def test_the_penalty_lies_on_fully_connected_weights_alone() -> None:
    net = sound.SoundClassifier(32, 44, 5, 3, width=2)
    penalty = sound.compute_penalty(net, 0.3)
    full = ("first.0.weight", "second.weight", "head.2.weight")
    named = dict(net.named_parameters())
    squares = sum(x**2 for name in full for x in named[name].flatten().tolist())
    assert penalty.item() == pytest.approx(0.3 / 2 * squares, rel=1e-4)
    penalty.backward()
    for name, p in named.items():
        if name in full:
            torch.testing.assert_close(p.grad, 0.3 * p.detach())
        else:
            assert p.grad is None, name


def test_a_penalty_in_the_loss_is_no_decoupled_decay() -> None:
    # Adam scales the penalty's gradient up, so that 0.015 acts; as a decay it does not.
    torch.manual_seed(0)
    kept = {}
    for name, decay, l2 in (("penalty", 0.0, 0.015), ("decay", 0.015, 0.0)):
        layer = nn.Linear(50, 50).double()
        nn.init.normal_(layer.weight, std=0.03)
        before = layer.weight.norm().item()
        adam = torch.optim.AdamW([layer.weight], lr=1e-3, weight_decay=decay)
        for _ in range(200):
            adam.zero_grad()
            sound.compute_penalty(layer, l2).backward()
            adam.step()
        kept[name] = layer.weight.norm().item() / before
    assert kept["penalty"] < 0.05
    assert kept["decay"] == pytest.approx((1 - 0.015e-3) ** 200, abs=1e-5)


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(("rows", "frames"), [(128, 44), (33, 21)])
def test_autoencoder_reconstructs_its_shapes(
    rows: int, frames: int, batch: int
) -> None:
    net = sound.StackedAutoencoder(rows, frames, width=2).eval()
    x = torch.randn(batch, rows, frames)
    assert net.encode(x).shape == (batch, 128)
    assert len(net.stacks) == 4  # three of convolutions and the projection
    for level, stack in enumerate(net.stacks):
        before = net.encode_up_to(level, x)
        after = stack.decode(stack.encode(before), before)
        assert after.shape == before.shape
        right = (after - before).square().mean()
        torch.testing.assert_close(sound.reconstruction_loss(net, level, x), right)


@pytest.mark.parametrize("level", range(4))
def test_the_loss_of_a_stack_trains_that_stack_alone(level: int) -> None:
    torch.manual_seed(0)
    net = sound.StackedAutoencoder(32, 20, width=2)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    x = torch.randn(6, 32, 20)
    for before in range(level):  # Adam's memory must not move the earlier ones either
        optimizer.zero_grad()
        sound.reconstruction_loss(net, before, x).backward()
        optimizer.step()
    kept = [p.detach().clone() for p in net.parameters()]
    optimizer.zero_grad()
    sound.reconstruction_loss(net, level, x).backward()
    optimizer.step()
    moved = {
        name.split(".")[1]
        for (name, p), old in zip(net.named_parameters(), kept, strict=True)
        if not torch.equal(p, old)
    }
    assert moved == {str(level)}


def test_standardizer_gives_mean_0_and_variance_1() -> None:
    x = torch.randn(500, 128, generator=random()) * torch.logspace(-2, 2, 128) + 3
    x[:, 5] = 7.0  # a number that never varies
    scaler = sound.Standardizer().fit(x)
    y = scaler(x).numpy()
    assert np.abs(y.mean(axis=0)).max() < 1e-3
    varying = np.arange(128) != 5
    assert y[:, varying].std(axis=0, ddof=1) == pytest.approx(1, abs=1e-3)
    assert (y[:, 5] == 0).all()
    again = sound.Standardizer()
    again.load_state_dict(scaler.state_dict())
    torch.testing.assert_close(again(x[:3]), scaler(x[:3]))


def test_lms_is_librosa_in_a_fixed_range() -> None:
    import librosa

    waveform = np.random.default_rng(0).standard_normal(22050).astype(np.float32) * 0.1
    waveform[:11025] = 0  # silence is the lowest value
    mel = librosa.feature.melspectrogram(y=waveform, sr=44100)
    db = librosa.power_to_db(mel, ref=1000.0, top_db=None).clip(-80, 0)
    found = sound.LMS()(torch.from_numpy(waveform)[None])
    assert found.shape == (1, 128, 44)
    assert found[0].numpy() == pytest.approx(db / 40 + 1, abs=1e-3)
    assert found.min() == -1


def test_representations_are_those_of_the_paper() -> None:
    rows = {"MS": 128, "LMS": 128, "CQT": 84, "MFCC": 20, "STFT": 1025}
    assert set(sound.REPRESENTATIONS) == set(rows)
    waveform = torch.randn(1, 22050, generator=random()) * 0.1
    for name, count in rows.items():
        assert sound.make_representation(name)(waveform).shape == (1, count, 44)
    with pytest.raises(KeyError, match="no representation 'LPC': choose from"):
        sound.make_representation("LPC")


def test_lms_to_waveform_brings_a_tone_back() -> None:
    time = torch.arange(22050) / 44100
    tone = 0.3 * torch.sin(2 * math.pi * 1000 * time)[None]
    wave = sound.lms_to_waveform(sound.LMS()(tone))[0]
    spectrum = torch.fft.rfft(wave).abs()
    frequency = spectrum.argmax().item() * 44100 / len(wave)
    assert frequency == pytest.approx(1000, rel=0.03)


# --- Pixels and frames -----------------------------------------------------------


def test_half_of_the_pictures_are_mirrored_each_by_its_own_lot() -> None:
    torch.manual_seed(0)
    x = torch.rand(400, 3, 4, 5)
    out = image.mirror_half(x)
    same = (out == x).flatten(1).all(dim=1)
    backwards = torch.from_numpy(x.numpy()[..., ::-1].copy())
    mirrored = (out == backwards).flatten(1).all(dim=1)
    assert (same ^ mirrored).all()
    assert 160 <= mirrored.sum() <= 240  # four standard deviations


def test_jitter_moves_and_never_mirrors() -> None:
    ramp = torch.arange(8.0).expand(64, 3, 8, 8) / 8
    torch.manual_seed(0)
    moved = image.jitter(ramp, shift=2, light=0.0)
    steps = moved.diff(dim=-1)
    assert (steps >= -1e-6).all()  # left to right stays left to right
    starts = (moved[:, 0, 0, 0] * 8).round()
    assert set(starts.tolist()) == {0.0, 1.0, 2.0}
    torch.testing.assert_close(image.jitter(ramp, shift=0, light=0.0), ramp)


def test_bytes_come_back_unchanged() -> None:
    every = torch.arange(64 * 64 * 3) % 256
    picture = every.to(torch.uint8).view(1, 64, 64, 3)
    x = image.normalize_pictures(picture)
    assert x.shape == (1, 3, 64, 64)
    assert (x.min().item(), x.max().item()) == (-1, 1)
    assert x[0, 2, 5, 7].item() == pytest.approx(picture[0, 5, 7, 2].item() / 127.5 - 1)
    assert torch.equal(image.denormalize_pictures(x), picture)
    assert (
        image.denormalize_pictures(3 * x)[0, 0, 0, 0] == 0
    )  # clipped, not wrapped around


@pytest.mark.parametrize("frames", [44, 34, 20])
def test_resizing_keeps_straight_lines(frames: int) -> None:
    rows = torch.linspace(-1, 1, 128)[:, None].expand(128, frames)
    ramp = (rows + torch.linspace(-0.5, 0.5, frames))[None]
    inside = i2s.resize_to_34_frames(ramp)
    right = torch.linspace(-1, 1, 128)[:, None] + torch.linspace(-0.5, 0.5, 34)
    torch.testing.assert_close(inside[0, 0], right, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        i2s.resize_to_frames(inside, frames), ramp, atol=1e-5, rtol=0
    )


# --- Imports ---------------------------------------------------------------------


@pytest.mark.slow
def test_a_reader_in_the_folder_imports_a_step_by_its_name() -> None:
    script = (
        "from step4_image import EvalClassifier\n"
        "from step8_image_to_sound import SpectrogramGenerator\n"
        "print(EvalClassifier.__module__, SpectrogramGenerator.__module__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(image.__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["step4_image", "step8_image_to_sound"], done.stderr


# --- Claims ----------------------------------------------------------------------


def make_results() -> dict[str, Any]:
    """The records of a whole run, as far as the claims read them."""
    score = {"MS": 0.3, "LMS": 0.8, "CQT": 0.5, "MFCC": 0.7, "STFT": 0.4}
    table1 = [
        {"representation": name, "layers": depth, "accuracy": {"value": value + gain}}
        for name, value in score.items()
        for depth, gain in ((3, 0.0), (4, 0.1 if name == "LMS" else 0.05))
    ]
    score5 = {"S2I-C": 0.75, "S2I-N": 0.3, "S2I-A": 0.45, "real": 0.99}
    table5 = [
        {
            "sounds": split,
            "pictures": what,
            "steps": 100,
            "EvalClassifier": {"value": value + shift},
            "Γ": {"value": 0.5},
        }
        for split, shift in (("train", 0.2), ("test", 0.0))
        for what, value in score5.items()
    ]
    score_i2s = {"I2S": 0.5, "real": 0.9, "chance": 1 / 13}
    epochs = [10.0, 32.0, 38.0, 47.0, 53.0, 60.0]
    accuracy = [0.1, 0.9, 0.7, 0.5, 0.5, 0.9]
    return {
        "step3_sound_train": {"table1": table1},
        "step5_image_train": {"image_encoder_accuracy": {"value": 0.97}},
        "step7_sound_to_image_train": {
            "figure9": {"S2I-C test": {"epoch": epochs, "accuracy": accuracy}}
        },
        "step10_judge": {
            "table5": table5,
            "i2s": [
                {"sounds": what, "EvalClassifier": {"value": v}}
                for what, v in score_i2s.items()
            ],
        },
    }


def test_evidence_is_what_the_records_say() -> None:
    results = make_results()
    found = series.evidence(results)
    assert found == pytest.approx(
        {
            "lms_best": 0.9 - 0.75,
            "four_layers": (4 * 0.05 + 0.1) / 5,
            "c_over_n": 0.45,
            "c_over_a": 0.30,
            "n_over_a": -0.15,
            "fall": 0.3,
            "i2s_above_chance": 0.5 - 1 / 13,
            "gamma_95": 0.02,
        }
    )
    assert set(found) == {claim.name for claim in series.CLAIMS}
    assert series.headlines(results)[
        "S2I-C, train sounds, EvalClassifier"
    ] == pytest.approx(0.95)


def test_a_run_without_the_other_networks_has_no_evidence_on_them() -> None:
    results = make_results()
    results["step3_sound_train"]["table1"] = [
        row
        for row in results["step3_sound_train"]["table1"]
        if (row["representation"], row["layers"]) == ("LMS", 4)
    ]
    judged = results["step10_judge"]
    others = ("S2I-N", "S2I-A")
    judged["table5"] = [r for r in judged["table5"] if r["pictures"] not in others]
    found = series.evidence(results)
    absent = ("lms_best", "four_layers", "c_over_n", "c_over_a", "n_over_a")
    assert [name for name, value in found.items() if value is None] == list(absent)


def test_variants_that_were_trained_unequally_are_not_compared() -> None:
    results = make_results()
    for row in results["step10_judge"]["table5"]:
        row["steps"] = 200 if row["pictures"] == "S2I-C" else 100
    found = series.evidence(results)
    assert found["c_over_n"] is None
    assert found["n_over_a"] is not None


def test_table_2_adds_up_to_what_the_deviations_say() -> None:
    train, test = (sum(row[k] for row in series.TABLE2.values()) for k in (0, 1))
    text = Path(series.__file__).with_name("deviations.md").read_text()
    assert f"{train + test:,} ({train:,} + {test:,})" in text


def test_a_rise_is_no_fall_and_noise_has_none_on_average() -> None:
    epochs = np.arange(1, 61)
    assert series.measure_fall({"epoch": epochs, "accuracy": epochs / 60}) < -0.2
    assert series.measure_fall({"epoch": epochs, "accuracy": -epochs / 60}) > 0.2
    # The best value minus the last is 2 standard deviations here; this statistic is 0.
    noise = np.random.default_rng(0).standard_normal((300, 60))
    falls = [series.measure_fall({"epoch": epochs, "accuracy": row}) for row in noise]
    assert abs(np.mean(falls)) < 0.1
    assert min(falls) < 0 < max(falls)
    short = {"epoch": epochs[:50], "accuracy": np.zeros(50)}
    assert series.measure_fall(short) is None


def test_every_published_network_is_made_by_some_step() -> None:
    folder = Path(series.__file__).parent
    text = "".join(path.read_text() for path in folder.glob("step*train.py"))
    for pattern in series.PUBLISHED:
        name = Path(pattern).stem
        assert pattern == f"models/{name}.safetensors"
        stem = "standardizer_" if name.startswith("standardizer") else name
        # S2I's file is named after the variant.
        assert stem in text or name == "s2i_c", name


def test_the_published_networks_are_small_enough() -> None:
    """Their matrices in float16, at the widths of scale `reference`."""
    networks = (
        sound.SoundClassifier(128, 44, 13, 4, 16),
        image.EvalClassifier(13, 1),
        image.ImageClassifier(13, 16),
        image.EvalClassifier(13),
        image.PoseEstimator(5),
        s2i.Generator(32),
        i2s.SpectrogramGenerator(32),
    )
    weights = sum(p.numel() for net in networks for p in net.state_dict().values())
    assert 2 * weights < 16 * 2**20


# --- Functions of the notebooks that run -------------------------------------------


def find_functions(step: str, *names: str) -> dict[str, Callable[..., Any]]:
    """Execute the definitions of some functions of a notebook, and nothing else."""
    path = Path(series.__file__).with_name(f"{step}.py")
    tree = ast.parse(path.read_text())
    chosen = [
        node
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.FunctionDef) and node.name in names)
    ]
    space: dict[str, Any] = {}
    exec(compile(ast.Module(chosen, []), str(path), "exec"), space)
    return {name: space[name] for name in names} | {"space": space}


def test_copies_and_neighbours_are_the_plain_loops() -> None:
    found = find_functions("step10_judge", "find_authentic", "find_among")
    x = torch.randn(12, 3, generator=random(3))
    train = torch.randn(9, 3, generator=random(4))
    train[0] = x[0] + 1e-3  # x[0] is a copy
    whose = [f"person {i // 2}" for i in range(9)]
    authentic = found["find_authentic"](x, train, whose)
    among = found["find_among"](x, train, 2)
    for i, item in enumerate(x):
        far = [math.dist(item, other) for other in train]
        j = int(np.argmin(far))
        own = min(
            math.dist(train[j], t) for k, t in enumerate(train) if whose[k] != whose[j]
        )
        assert authentic[i] == (far[j] > own)
        reach = [
            sorted(math.dist(t, u) for k, u in enumerate(train) if k != i)[1]
            for i, t in enumerate(train)
        ]
        assert among[i] == any(d <= r for d, r in zip(far, reach, strict=True))
    assert not authentic[0]
    assert 0 < authentic.float().mean() < 1
    assert 0 < among.float().mean() < 1


def test_the_pose_of_another_moment_is_of_the_same_recording() -> None:
    found = find_functions("step10_judge", "choose_other", "measure_gain")
    found["space"]["lesson"] = type("Lesson", (), {"seed": 0})
    groups = ["a"] * 5 + ["b"] * 2 + ["alone"]
    truth = torch.randn(8, 4, generator=random(5))
    moved = found["choose_other"](truth, groups)
    for i in range(7):
        (j,) = [k for k in range(8) if torch.equal(moved[i], truth[k])]
        assert j != i
        assert groups[j] == groups[i]
    assert moved[-1].isnan().all()
    # Who follows has a gain above 0; who shows the other moment has it below.
    whose = [f"player {i}" for i in range(8)]
    follows = found["measure_gain"](truth, truth, moved, whose)
    assert follows.low > 0
    assert follows.n == 7
    against = found["measure_gain"](moved, truth, moved, whose)
    assert against.high < 0
    assert against.value == pytest.approx(-follows.value)


def test_another_penalty_is_another_training() -> None:
    """Its checkpoints lie elsewhere, or the old network would be taken for the new."""
    found = find_functions("step3_sound_train", "train_classifier")
    table = {"l2": (0.015,) * 5, "width": (4,) * 5, "learning_rate": (1e-3,) * 5}
    folders: list[str] = []
    found["space"] |= {
        "lesson": type("Lesson", (), {"seed": 0}),
        "pictures": {"LMS": torch.zeros(1, 128, 44)},
        "transforms": {"LMS": nn.Identity()},
        "classes": 3,
        "train_on_sounds": lambda folder, *_, **__: folders.append(folder),
        "record_curve": lambda network, run: None,
    }
    for overrides in ({}, {"l2": 0.5}, {"l2": 0.015}):
        found["space"]["settings"] = Settings("smoke", overrides, table)
        found["train_classifier"]("LMS, 4 layers", "LMS", 4, 7)
    usual = "sound_LMS_4_7"  # where the checkpoints of the scale's own penalty lie
    assert folders == [usual, f"{usual},l2=0.5", usual]


def test_the_fall_of_the_accuracy_is_explained_by_the_scores() -> None:
    found = find_functions("step7_sound_to_image_train", "explain_scores")
    ends: dict[str, float] = {}
    found["space"]["average_end"] = lambda run, name: ends[name]
    for real, fake, told in (
        (0.99, 0.01, "D has won"),
        (0.5, 0.5, "cannot tell them apart"),
        (0.7, 0.3, "is ahead"),
    ):
        ends |= {"S_r": real, "S_f": fake}
        assert told in found["explain_scores"](None)


# --- The paper's own configuration ---------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("network", ["s2i", "i2s"])
def test_the_papers_own_configuration_trains(network: str) -> None:
    """The widths, norms, rate and losses of scale `paper`, for a few steps."""
    torch.manual_seed(0)
    shape = {"s2i": (3, 64, 64), "i2s": (1, 128, 34)}[network]
    make = {
        "s2i": (s2i.Generator, s2i.Discriminator),
        "i2s": (i2s.SpectrogramGenerator, i2s.SpectrogramDiscriminator),
    }[network]
    G, D = make[0](128).apply(s2i.init_weights), make[1](64).apply(s2i.init_weights)
    adam = dict(lr=2e-4, betas=(0.5, 0.999))
    opt_g, opt_d = (torch.optim.Adam(net.parameters(), **adam) for net in (G, D))
    # Two classes whose pictures and encodings differ plainly.
    code = torch.randn(2, 128).repeat_interleave(4, 0)
    real = torch.tensor([-0.5, 0.5]).repeat_interleave(4).view(-1, 1, 1, 1)
    real = real + 0.1 * torch.randn(8, *shape)
    scores = []
    for _ in range(6):
        fake = G(torch.randn(8, 100), code)
        logits = D(real, code), D(fake.detach(), code), D(real.roll(4, 0), code)
        scores.append({k: v.item() for k, v in s2i.average_scores(*logits).items()})
        opt_d.zero_grad()
        s2i.discriminator_loss(*logits).backward()
        opt_d.step()
        opt_g.zero_grad()
        loss_g = s2i.generator_loss(D(fake, code))
        loss_g.backward()
        opt_g.step()
        assert loss_g.isfinite()
    # D has begun to tell real from generated pairs: the odds differ by a third or more.
    last = {name: math.log(score / (1 - score)) for name, score in scores[-1].items()}
    assert last["S_r"] - last["S_f"] > 0.3
    norm = torch.stack([p.grad.norm() for p in G.parameters()]).norm()
    assert 0 < norm < math.inf
