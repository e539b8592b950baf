"""The networks of cascaded_siamese: sizes, shapes, and plain loops beside them."""

import copy
import itertools

import librosa
import numpy as np
import pytest
import torch
from avnb_notebooks.cascaded_siamese import step1_data as data
from avnb_notebooks.cascaded_siamese import step2_sound as sound
from avnb_notebooks.cascaded_siamese import step3_stream as streams
from avnb_notebooks.cascaded_siamese import step4_cascade as cascades
from avnb_notebooks.cascaded_siamese import step5_critics as critics
from avnb_notebooks.cascaded_siamese import step6_baselines as baselines
from avnb_notebooks.joint_gan import step3_picture as mocogan
from quick import mark_rest
from torch import Tensor, nn
from torch.nn import functional as F

from avnb.errors import AvnbError

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def count(*networks: nn.Module) -> int:
    return sum(p.numel() for network in networks for p in network.parameters())


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def one_hot(*labels: int, classes: int = 3) -> Tensor:
    return F.one_hot(torch.tensor(labels), classes).float()


# --- Step 2: sound ---------------------------------------------------------------


def test_a_segment_is_what_its_windows_hold() -> None:
    """Each column again: a Hann window of 400 samples, an FFT, librosa's filters."""
    wave = 0.1 * random(2, data.SAMPLES).numpy()
    segments = sound.SegmentCutter()(torch.from_numpy(wave))
    assert segments.shape == (2, 32, 64, 20)
    filters = librosa.filters.mel(sr=16000, n_fft=1024, n_mels=64)
    window = np.hanning(401)[:-1]
    for t, j in ((0, 0), (0, 19), (13, 7), (31, 19)):
        middle = 10 * (4 * (t + 3) - 8 + j) + 5  # ms from the waveform's beginning
        part = wave[1, 16 * middle - 200 : 16 * middle + 200] * window
        energy = filters @ np.abs(np.fft.rfft(part, 1024)) ** 2
        wanted = torch.from_numpy(np.log(energy + 1e-5)).float()
        torch.testing.assert_close(segments[1, t, :, j], wanted, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("frame", [0, 3, 12.5, 31])
def test_a_click_changes_only_the_segments_that_hold_it(frame: float) -> None:
    cutter, silence = sound.SegmentCutter(), torch.zeros(1, data.SAMPLES)
    click = silence.clone()
    click[0, round(640 * (frame + 3)) + 7] = 1
    change = (cutter(click) - cutter(silence)).abs().amax(dim=(0, 2, 3))
    changed = set(torch.nonzero(change)[:, 0].tolist())
    at = frame / 25 + 7 / 16000  # 80 ms and half a window more than half a hop: 87.5
    hearing = {
        t for t in range(32) if t / 25 - 0.0875 <= at < (t + 1) / 25 + 0.0875
    }  # fmt: skip
    assert changed == hearing
    assert changed == set(sound.find_hearing_frames(at))
    assert 3 <= len(changed) <= 6


def test_segments_are_cut_as_in_the_loop_and_any_number_of_frames() -> None:
    for frames in (1, 8, 32, 57):
        wave = 0.1 * random(1, 640 * (frames + 6))
        segments = sound.SegmentCutter()(wave)[0]
        slow = sound.cut_segments_slow(sound.LogMelColumns()(wave)[0])
        assert segments.shape == (frames, 64, 20)
        assert torch.equal(segments, slow)
    for samples in (640 * 6, 640 * 38 - 1):
        with pytest.raises(AvnbError, match=f"{samples} samples"):
            sound.SegmentCutter()(torch.zeros(1, samples))


def test_no_mel_filter_is_empty() -> None:
    assert (sound.LogMelColumns().mel.basis.sum(dim=1) > 0).all()


def test_a_reset_state_knows_nothing_of_other_clips_and_a_carried_one_does() -> None:
    torch.manual_seed(0)
    encoder, segments = sound.SoundEncoder(8), random(2, 32, 64, 20)
    order = torch.tensor([[2, 0, 3, 1]] * 2)
    moved = cascades.shuffle_segments(segments, order)
    reset, _ = sound.encode_clips(encoder, segments)
    again, states = sound.encode_clips(encoder, moved)
    assert states.shape == (2, 4, 8, 8)
    torch.testing.assert_close(again, reset[:, order[0]])
    carried, _ = sound.encode_clips(encoder, segments, carried=True)
    whole, _ = encoder(segments)
    torch.testing.assert_close(carried[:, -1], whole)
    torch.testing.assert_close(carried[:, 0], reset[:, 0])
    assert not torch.allclose(carried[:, 1:], reset[:, 1:], atol=1e-3)


# --- Step 3: one stream ----------------------------------------------------------


def test_a_stream_is_as_large_as_its_parent() -> None:
    """facts: ImaGINator's encoder, and its generator with six classes and noise."""
    with torch.device("meta"):
        assert count(streams.ImageEncoder()) == 3_577_764
        decoder = streams.Decoder(512 + 100, 6, frames=32)
        assert count(streams.ImageEncoder(), decoder) == 75_406_451
        assert count(sound.SoundEncoder()) == 3 * 256 * (1280 + 256 + 2)


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("frames", [2, 8, 16, 32])
def test_a_stream_makes_a_clip_of_any_length(size: int, frames: int) -> None:
    net = streams.Stream(3, width=1, size=size, frames=frames, hidden=4)
    clip, state = net(random(2, 3, size, size), random(2, 8, 64, 20), one_hot(0, 2))
    assert clip.shape == (2, 3, frames, size, size)
    assert state.shape == (2, 4)
    assert clip.abs().max() <= 1
    assert np.prod(streams.plan_blocks(frames, size)) == frames


def test_eight_frames_come_from_the_first_three_blocks() -> None:
    net = streams.Decoder(10, 3, width=1)
    sizes = []
    for block in net.blocks:
        block.register_forward_hook(lambda m, i, o: sizes.append(tuple(o.shape[2:])))
    skips = [random(1, 8 >> k, 4 << k, 4 << k) for k in range(4)]
    net(random(1, 10), one_hot(1), skips)
    assert sizes == [(2, 4, 4), (4, 8, 8), (8, 16, 16), (8, 32, 32), (8, 64, 64)]
    with pytest.raises(AvnbError, match="12 frames"):
        streams.plan_blocks(12, 64)


def test_a_stream_is_torchs_layers() -> None:
    torch.manual_seed(0)
    net = streams.Stream(3, width=1, size=32, hidden=4).eval()
    image, heard, label = random(2, 3, 32, 32), random(2, 8, 64, 20), one_hot(2, 0)
    x, skips = image, []
    for conv, norm in zip(net.look.convs, net.look.norms, strict=True):
        x = F.leaky_relu(norm(F.conv2d(x, conv.weight, conv.bias, 2, 1)), 0.2)
        skips.insert(0, x)
    code = (x.flatten(1) @ net.look.code.weight.flatten(1).T) + net.look.code.bias
    states, _ = net.listen.gru(heard.flatten(2) / 6 + 1)
    h = torch.cat([states[:, -1], code, label], 1)[:, :, None, None, None]
    for k, block in enumerate(net.draw.blocks):
        h = F.leaky_relu(block.norm_time(block.time(h)), 0.2)
        h = block.space(h)
        if k == 3:
            h = h.tanh()
            break
        h = F.leaky_relu(block.norm_space(h), 0.2)
        t, n = h.shape[2:4]
        skip = torch.stack([skips[k]] * t, dim=2)
        h = torch.cat([h, skip, label[:, :, None, None, None].repeat(1, 1, t, n, n)], 1)
    torch.testing.assert_close(net(image, heard, label)[0], h, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("widths", "times", "options", "shape"),
    [
        ((5, 12, 4), 2, {"start": True}, (1, 1, 1)),
        ((5, 12, 4), 8, {"start": True}, (1, 1, 1)),
        ((5, 12, 4), 2, {}, (2, 4, 4)),
        ((5, 12, 4), 2, {}, (1, 4, 4)),
        ((5, 12, 4), 1, {}, (8, 3, 3)),
        ((5, 12, 3), 1, {"last": True}, (8, 4, 4)),
        ((5, 12, 3), 2, {"last": True}, (3, 4, 4)),
        ((5, 12, 4), 2, {"norm": "frame"}, (3, 4, 4)),
        ((5, 12, 3), 1, {"norm": "frame", "last": True}, (8, 4, 4)),
    ],
)
def test_a_fast_block_is_the_slow_one(
    widths: tuple[int, int, int], times: int, options: dict, shape: tuple, device: str
) -> None:
    """Values, gradients of weights and input, and running statistics, in float64."""
    torch.manual_seed(0)
    fast = streams.FactorisedBlock(widths, times, **options).double().to(device)
    slow = copy.deepcopy(fast)
    x = random(2, 5, *shape).double().to(device).requires_grad_()
    made, wanted = fast(x), streams.run_block_slow(slow, x)
    torch.testing.assert_close(made, wanted)
    weight = torch.randn_like(wanted)
    slopes = torch.autograd.grad(made, [x, *fast.parameters()], weight)
    right = torch.autograd.grad(wanted, [x, *slow.parameters()], weight)
    for one, other in zip(slopes, right, strict=True):
        torch.testing.assert_close(one, other)
    for one, other in zip(fast.buffers(), slow.buffers(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_frame_norm_sees_one_frame_alone() -> None:
    """And a stream with it gives an item the same clip in any batch, in training."""
    x = random(2, 5, 3, 4, 4)
    made = streams.FrameNorm(5)(x)
    one = x[1, :, 2]
    wanted = (one - one.mean()) / (one.var(unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(made[1, :, 2], wanted)
    torch.manual_seed(0)
    for norm in ("frame", "batch"):
        net = streams.Stream(3, 2, 32, hidden=4, norm=norm)
        inputs = random(3, 3, 32, 32), random(3, 8, 64, 20), one_hot(0, 1, 2)
        alone, _ = net(*(part[:1] for part in inputs))
        same = torch.allclose(net(*inputs)[0][:1], alone, atol=1e-5)
        assert same is (norm == "frame")


def test_noise_and_all_states_are_options() -> None:
    torch.manual_seed(0)
    inputs = random(1, 3, 32, 32), random(1, 8, 64, 20), one_hot(0)
    plain = streams.Stream(3, width=2, size=32, hidden=4).eval()
    assert torch.equal(plain(*inputs)[0], plain(*inputs)[0])
    noisy = streams.Stream(3, width=2, size=32, hidden=4, noise=5).eval()
    assert not torch.equal(noisy(*inputs)[0], noisy(*inputs)[0])
    z = random(1, 5)
    assert torch.equal(noisy(*inputs, z=z)[0], noisy(*inputs, z=z)[0])
    timed = streams.Stream(3, width=2, size=32, hidden=4, timed=True).eval()
    changed = inputs[1].clone()
    changed[:, 0] += 3  # the first segment; its state reaches the first frames most
    with torch.no_grad():
        assert not torch.equal(
            timed(*inputs)[0], timed(inputs[0], changed, inputs[2])[0]
        )


def test_a_change_is_added_pixel_by_pixel_and_learns_beyond_the_limits() -> None:
    image, change = random(2, 3, 5, 5).tanh(), random(2, 3, 4, 5, 5, seed=1).tanh()
    change.requires_grad_()
    made = streams.add_change(image, change)
    clipped = 0
    for place in itertools.product(*map(range, made.shape)):
        b, c, _, y, x = place
        wanted = image[b, c, y, x] + 2 * change[place]
        clipped += wanted.abs() > 1
        assert made[place].item() == pytest.approx(max(-1, min(1, wanted.item())))
    assert 0 < clipped < made.numel()
    made.sum().backward()
    assert (change.grad == 2).all()  # also where the value is clipped


def test_a_residual_stream_begins_near_its_image() -> None:
    image, segments = random(4, 3, 32, 32).tanh(), random(4, 8, 64, 20)
    label, far = one_hot(0, 1, 2, 0), {}
    for residual in (True, False):
        torch.manual_seed(0)
        net = streams.Stream(3, 2, 32, hidden=4, norm="frame", residual=residual)
        made, _ = net(image, segments, label)
        assert made.shape == (4, 3, 8, 32, 32)
        assert made.abs().max() <= 1
        far[residual] = (made - image[:, :, None]).abs().mean()
        made.square().mean().backward()
        assert all(p.grad.abs().sum() > 0 for p in net.parameters())
    assert 0 < far[True] < 0.4 * far[False]


@pytest.mark.parametrize("shape", [(3, 30, 32), (4, 32, 32), (3, 64, 64)])
def test_a_first_frame_of_another_size_or_with_alpha(shape: tuple[int, ...]) -> None:
    with pytest.raises(AvnbError, match="the first frame: it is"):
        streams.ImageEncoder(1, 32)(torch.zeros(1, *shape))


# --- Step 4: the cascade ---------------------------------------------------------


def test_orders_are_numbered_as_in_the_list() -> None:
    for clips in (2, 3, 4):
        orders = list(itertools.permutations(range(clips)))
        listed = cascades.list_orders(clips)
        assert [tuple(o) for o in listed.tolist()] == orders
        assert cascades.number_order(listed).tolist() == list(range(len(orders)))
    drawn = cascades.draw_orders(4000, generator=torch.Generator().manual_seed(0))
    shares = cascades.number_order(drawn).bincount(minlength=24) / 4000
    assert len(shares) == 24
    assert (shares - 1 / 24).abs().max() < 0.016  # five standard errors


def test_clips_and_their_sound_are_shuffled_together() -> None:
    frames = torch.arange(32.0).view(1, 1, 32, 1, 1).expand(2, 3, 32, 2, 2)
    segments = torch.arange(32.0).view(1, 32, 1, 1).expand(2, 32, 2, 2)
    order = torch.tensor([[2, 0, 3, 1], [1, 3, 2, 0]])
    wanted = [[8 * c + k for c in row for k in range(8)] for row in order.tolist()]
    assert cascades.shuffle_clips(frames, order)[:, 0, :, 0, 0].tolist() == wanted
    assert cascades.shuffle_segments(segments, order)[:, :, 0, 0].tolist() == wanted
    with pytest.raises(AvnbError, match="30 frames"):
        cascades.shuffle_clips(torch.zeros(1, 3, 30, 2, 2), order[:1])


def test_where_the_streams_of_2031_start() -> None:
    order = (2, 0, 3, 1)
    assert cascades.find_starts(order) == [16, 23, 7, 31]
    assert cascades.find_starts(order, "video") == [0, 23, 7, 31]
    assert cascades.find_starts(order, link="teacher") == [16, 23, 7, 31]
    assert cascades.find_starts(order, link="before") == [15, 0, 23, 7]
    assert cascades.find_starts(order, link="identity") == [16] * 4
    assert cascades.find_starts(order, "video", "identity") == [0] * 4
    assert cascades.find_starts((0, 1, 2, 3)) == [0, 7, 15, 23]
    frames = torch.arange(32.0).view(1, 1, 32, 1, 1).expand(2, 3, 32, 2, 2)
    orders = torch.tensor([order, (0, 1, 2, 3)])
    picked = cascades.pick_starts(frames, orders, link="before")[:, :, 0, 0, 0]
    assert picked.tolist() == [[15, 0, 23, 7], [0, 7, 15, 23]]


def test_l1_asks_for_a_jump_where_the_start_is_far() -> None:
    """Frames that brighten evenly: the jump is the distance in frames, by hand."""
    video = torch.arange(32.0).view(1, 1, 32, 1, 1).expand(1, 3, 32, 2, 2)
    before = cascades.measure_jumps(video, "shuffled", "before")
    torch.testing.assert_close(before, torch.full((4,), 0.75))  # clip 0 starts at 0
    free = cascades.measure_jumps(video, "shuffled", "free")
    # Of two clips a ≠ b: |8 a + 7 − 8 b|, all twelve pairs alike
    pairs = [abs(8 * a + 7 - 8 * b) for a in range(4) for b in range(4) if a != b]
    wanted = torch.tensor([0.0] + [sum(pairs) / 12] * 3)
    torch.testing.assert_close(free, wanted)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("link", ["teacher", "before", "identity"])
def test_streams_as_one_batch_are_the_streams_in_turn(link: str, device: str) -> None:
    torch.manual_seed(0)
    net = cascades.Cascade(streams.Stream(3, 2, 32, hidden=4), link).eval().to(device)
    video, segments = random(2, 3, 32, 32, 32).to(device), random(2, 32, 64, 20)
    order, segments = torch.tensor([[2, 0, 3, 1], [3, 1, 0, 2]]), segments.to(device)
    label = one_hot(0, 2).to(device)
    starts = cascades.pick_starts(video, order, link=link)
    with torch.no_grad():
        made = net(starts[:, 0], segments, label, starts)
        assert made.shape == (2, 3, 32, 32, 32)
        for k in range(4):
            heard = segments[:, 8 * k : 8 * k + 8]
            clip, _ = net.streams[0](starts[:, k], heard, label)
            torch.testing.assert_close(made[:, :, 8 * k : 8 * k + 8], clip)


def test_a_free_cascade_hands_its_last_frame_on() -> None:
    torch.manual_seed(0)
    net = cascades.Cascade(streams.Stream(3, 2, 32, hidden=4)).eval()
    image, label = random(1, 3, 32, 32).tanh(), one_hot(1)
    for count_of in (1, 3, 7):
        segments = random(1, 8 * count_of, 64, 20)
        with torch.no_grad():
            made = net(image, segments, label)
            frame = image
            for k in range(count_of):
                heard = segments[:, 8 * k : 8 * k + 8]
                clip, _ = net.streams[0](frame, heard, label)
                torch.testing.assert_close(made[:, :, 8 * k : 8 * k + 8], clip)
                frame = clip[:, :, -1]
    with pytest.raises(AvnbError, match="'forced'"):
        cascades.Cascade(streams.Stream(3, 1, 32), "forced")


@pytest.mark.parametrize("detached", [True, False])
def test_a_gradient_passes_from_clip_to_clip_only_if_it_may(detached: bool) -> None:
    torch.manual_seed(0)
    net = cascades.Cascade(streams.Stream(3, 1, 32, hidden=4), detached=detached).eval()
    first = random(1, 3, 32, 32).requires_grad_()
    made = net(first, random(1, 16, 64, 20), one_hot(0))
    (own,) = torch.autograd.grad(made[:, :, 7].sum(), first, retain_graph=True)
    (flow,) = torch.autograd.grad(made[:, :, 8].sum(), first)
    assert own.abs().sum() > 0
    assert (flow.abs().sum() == 0).item() is detached


def test_siamese_streams_are_one_and_unshared_ones_are_four() -> None:
    def make() -> streams.Stream:
        return streams.Stream(3, 1, 32, hidden=4)

    torch.manual_seed(0)
    shared = cascades.Cascade(make())
    own = cascades.Cascade(make(), others=[make() for _ in range(3)]).eval()
    assert count(own) == 4 * count(shared)
    image, segments, label = random(1, 3, 32, 32), random(1, 8, 64, 20), one_hot(1)
    own.link = "identity"
    made = own(image, segments.repeat(1, 4, 1, 1), label).unflatten(2, (4, 8))
    assert not torch.allclose(made[:, :, 0], made[:, :, 1], atol=1e-3)


# --- Step 5: critics -------------------------------------------------------------


@pytest.mark.slow
def test_critics_are_as_large_as_their_parents() -> None:
    with torch.device("meta"):
        assert count(critics.ImageCritic()) == 2_764_737
        parent = critics.ClipCritic(64, 26, frames=32)
        assert count(parent) == 11_252_673  # facts: 11.3 M
        head = critics.OrderHead(512)
        assert count(head) == 2048 * 512 + 512 + 512 * 24 + 24


@pytest.mark.parametrize("size", [16, 32, 64])
@pytest.mark.parametrize(("frames", "left"), [(8, (2, 1, 1)), (32, (8, 4, 2))])
def test_a_clip_critic_judges_its_number_of_frames(
    size: int, frames: int, left: tuple[int, ...]
) -> None:
    net = critics.ClipCritic(1, 3, frames=frames, size=size)
    clip = random(2, 3, frames, size, size)
    assert net(clip, one_hot(0, 1)).shape == (2,)
    assert net.trunk.left == left[size.bit_length() - 5]
    with pytest.raises(AvnbError, match="a clip of 12 frames"):
        net(random(1, 3, 12, size, size), one_hot(0))
    net.eval()
    two = net(clip[:1], one_hot(0)), net(clip[:1], one_hot(1))
    assert not torch.equal(*two)  # the class is heard


def test_the_clip_critic_is_torchs_layers() -> None:
    torch.manual_seed(0)
    net = critics.ClipCritic(2, 3).eval()
    clip, label = random(2, 3, 8, 64, 64), one_hot(2, 1)
    x = clip
    for k, conv in enumerate(net.trunk.convs):
        one = k == 3  # one frame is left: the kernel sees one
        if k == 1:
            x = torch.cat([x, label[:, :, None, None, None].repeat(1, 1, 4, 32, 32)], 1)
        stride, padding = ((1, 2, 2), (0, 1, 1)) if one else (2, 1)
        x = F.leaky_relu(F.conv3d(x, conv.weight, conv.bias, stride, padding), 0.2)
    logit = x.flatten(1) @ net.decision.weight.flatten(1).T + net.decision.bias
    torch.testing.assert_close(net(clip, label), logit[:, 0])


def test_every_convolution_of_the_critics_is_normalised() -> None:
    torch.manual_seed(0)
    for net in (critics.ImageCritic(2, 32), critics.VideoCritic(2, 3, 32).clip,
                baselines.G3Critic(2, 32)):  # fmt: skip
        convs = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Conv3d))]
        assert all(hasattr(conv, "parametrizations") for conv in convs)
        for conv in convs:
            for _ in range(30):
                weight = conv.weight.detach()
            value = torch.linalg.svdvals(weight.flatten(1))[0]
            assert value == pytest.approx(1, abs=0.05)


def test_the_vote_is_a_count_and_the_mean_breaks_ties() -> None:
    logits = random(500, 4)
    for row, real in zip(logits.tolist(), critics.vote(logits), strict=True):
        votes = sum(1 if x > 0 else -1 for x in row)
        assert bool(real) == (votes > 0 or (votes == 0 and sum(row) > 0))


@pytest.mark.parametrize("head", ["shared", "own", "none"])
def test_the_order_head_sees_the_clips_in_their_places(head: str) -> None:
    torch.manual_seed(0)
    net = critics.VideoCritic(2, 3, 32, head=head).eval()
    video, label = random(2, 3, 32, 32, 32), one_hot(0, 2)
    order = torch.tensor([[2, 0, 3, 1]] * 2)
    said = net(video, label)
    moved = net(cascades.shuffle_clips(video, order), label)
    torch.testing.assert_close(moved.clips, said.clips[:, order[0]])
    for k in range(4):
        torch.testing.assert_close(
            said.clips[:, k], net.clip(video[:, :, 8 * k : 8 * k + 8], label)
        )
    if head == "none":
        assert said.orders is None
        return
    assert said.orders.shape == (2, 24)
    assert not torch.allclose(said.orders, moved.orders, atol=1e-5)
    (slope,) = torch.autograd.grad(
        said.orders.square().sum(), net.clip.trunk.convs[0].bias, allow_unused=True
    )
    assert (slope is not None) is (head == "shared")


# --- Step 6: baselines -----------------------------------------------------------


def layer(before: int, after: int, *kernel: int, norm: bool = True) -> int:
    """Weights of a convolution with bias, and of its batch norm."""
    return before * after * int(np.prod(kernel)) + after + 2 * after * norm


@pytest.mark.slow
def test_parents_are_as_large_as_released() -> None:
    """Closed forms of the released lists of layers, and the facts' numbers."""
    with torch.device("meta"):
        assert count(mocogan.PictureGenerator(content=50)) == 3_249_684
        assert count(mocogan.VideoCritic()) == 11_056_896
        generator, critic = count(baselines.G3AN()), count(baselines.G3Critic())
        attended = count(baselines.G3AN(attention=True))
    widths = [(128, 138, 10, 512), (512, 1024, 512, 512), (512, 1024, 512, 256)]
    total = sum(
        layer(a, o, 16) + layer(v, o, 4) + layer(o, o, 16) + layer(m, o, 4)
        for a, v, m, o in widths
    )
    total += sum(  # without kernels in time
        layer(w, o, 16) + layer(2 * w, o, 1) + layer(o, o, 16) + layer(w, o, 1)
        for w, o in ((256, 128), (128, 64))
    )
    assert generator == total + layer(128, 3, 9, norm=False)
    one = 2 * layer(256, 32, 1, norm=False) + layer(256, 256, 1, norm=False) + 1
    assert attended == generator + 2 * one
    assert round(generator / 1e5) == 229 or round(attended / 1e5) == 229
    pairs = ((3, 64), (64, 128), (128, 256), (256, 512), (512, 512))
    total = sum(layer(a, b, 16, norm=False) for a, b in pairs)
    total += sum(layer(b, b, 4, norm=False) for _, b in pairs[:-1])
    assert critic == total + layer(512, 1, 4, norm=False)
    assert round(critic / 1e5) == 83


@pytest.mark.parametrize("name", list(baselines.BASELINES))
@pytest.mark.parametrize("size", mark_rest([32, 64], every=2))
def test_each_baseline_uses_first_frame_sound_and_class(name: str, size: int) -> None:
    torch.manual_seed(0)
    # In training mode: with running means the maps of so narrow a network may die.
    net = baselines.BASELINES[name](3, width=1, size=size, hidden=4)
    image, heard = random(2, 3, size, size), random(2, 32, 64, 20)
    label, other = one_hot(0, 1), one_hot(0, 2)

    def make(*inputs: Tensor) -> Tensor:
        torch.manual_seed(1)  # ImaGINator draws noise
        made: Tensor = net(*inputs)
        return made

    made = make(image, heard, label)
    assert made.shape == (2, 3, 32, size, size)
    assert made.abs().max() <= 1
    for inputs in (
        (-image, heard, label),
        (image, -heard, label),
        (image, heard, other),
    ):
        assert (make(*inputs) - made).abs().max() > 1e-4
    slopes = torch.autograd.grad(made.sum(), list(net.parameters()), allow_unused=True)
    assert all(slope is not None for slope in slopes)  # no weight is dead


def test_mocogan_is_joint_gans() -> None:
    torch.manual_seed(0)
    net = baselines.SoundMoCoGAN(3, width=1, size=32, hidden=4).eval()
    assert isinstance(net, mocogan.PictureGenerator)
    image, heard, label = random(2, 3, 32, 32), random(2, 32, 64, 20), one_hot(0, 2)
    with torch.no_grad():
        codes = net.listen(heard, 32)
        content = torch.cat([net.look(image)[0], label], 1)
        made = net(image, heard, label)
        for k in (0, 17, 31):
            frame = net.paint(torch.cat([content, codes[:, k]], 1)[:, None])
            torch.testing.assert_close(made[:, :, k], frame[:, :, 0])


@pytest.mark.parametrize(("steps", "frames"), [(1, 16), (2, 20), (5, 32)])
def test_g3an_makes_four_frames_more_for_each_vector(steps: int, frames: int) -> None:
    net = baselines.G3AN(width=1, size=32)
    assert net(random(1, 128), random(1, steps, 10)).shape == (1, 3, frames, 32, 32)
    assert baselines.count_motion_steps(frames) == steps
    critic = baselines.G3Critic(1, 64)
    assert critic(random(1, 3, frames, 64, 64)).shape == (1, frames - 15)
    with pytest.raises(AvnbError, match="18 frames"):
        baselines.count_motion_steps(18)


@pytest.mark.parametrize("along", ["time", "space"])
def test_attention_that_changes_nothing_leaves_every_value_in_place(along: str) -> None:
    channels, t, n = 16, 4, 3
    angle = torch.randperm(t * n * n).view(1, 1, t, n, n) * (2 * torch.pi / (t * n * n))
    rest = random(1, channels - 2, t, n, n)
    x = torch.cat([angle.cos(), angle.sin(), rest], dim=1)
    torch.manual_seed(0)
    net = baselines.AxisAttention(channels, along)
    assert torch.equal(net(x), x)  # γ is 0
    baselines.make_identity(net, channels)
    with torch.no_grad():
        torch.testing.assert_close(net(x) - x, x, atol=1e-3, rtol=1e-3)
    wrong = baselines.read_wrongly(x, along)
    assert ((wrong - x).abs() < 1e-3).float().mean() < 0.1


@pytest.mark.parametrize("along", ["time", "space"])
def test_attention_is_torchs(along: str) -> None:
    torch.manual_seed(0)
    net, x = baselines.AxisAttention(16, along).eval(), random(2, 16, 3, 4, 5)
    with torch.no_grad():
        net.strength.fill_(0.7)
        parts = [part(x) for part in (net.query, net.key, net.value)]
        if along == "time":  # (B, H, W, T, C)
            q, k, v = (part.permute(0, 3, 4, 2, 1) for part in parts)
            seen = F.scaled_dot_product_attention(q, k, v, scale=1.0)
            seen = seen.permute(0, 4, 3, 1, 2)
        else:
            q, k, v = (part.flatten(3).permute(0, 2, 3, 1) for part in parts)
            seen = F.scaled_dot_product_attention(q, k, v, scale=1.0)
            seen = seen.permute(0, 3, 1, 2).unflatten(3, (4, 5))
        torch.testing.assert_close(net(x), 0.7 * seen + x)


@pytest.mark.slow
def test_a_width_is_found_for_equal_weights() -> None:
    wanted = count(streams.Stream(26, width=8, size=32, hidden=32))
    for make in baselines.BASELINES.values():
        options = {"classes": 26, "size": 32, "hidden": 32}
        width = baselines.match_width(make, wanted, **options)
        counts = [count(make(width=width + k, **options)) for k in (-1, 0, 1)]
        assert min(counts, key=lambda n: abs(n - wanted)) == counts[1]
        assert counts[1] == pytest.approx(wanted, rel=0.1)
