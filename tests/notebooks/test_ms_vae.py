"""The model and the training of the series ms_vae against independent references."""

import copy
import math
from pathlib import Path

import pytest
import torch
from avnb_notebooks.ms_vae import step4_model as model
from avnb_notebooks.ms_vae import step5_baselines as baselines
from avnb_notebooks.ms_vae.step2_features import VideoFeatures
from quick import mark_rest
from torch import Tensor, nn

from avnb import training


def weights(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def table(n: int = 6, seed: int = 0) -> VideoFeatures:
    """N videos with events of 2 to 10 seconds, anywhere."""
    generator = torch.Generator().manual_seed(seed)
    event = torch.zeros(n, 10, dtype=torch.bool)
    for i in range(n):
        length = 2 + i % 9
        start = int(torch.randint(0, 11 - length, (), generator=generator))
        event[i, start : start + length] = True
    return VideoFeatures(
        visual=random(n, 10, 512, seed=seed).abs(),
        audio=random(n, 10, 128, seed=seed + 1).abs(),
        event=event,
        label=torch.arange(n) % 3,
        videos=[f"video{i}" for i in range(n)],
        classes=["bark", "bell", "flute"],
        networks={"visual": "random", "audio": "random"},
    )


# --- Step 4: the model -----------------------------------------------------------


def test_the_networks_are_the_released_ones() -> None:
    whole = model.MSVAE()
    assert weights(whole.encoders["audio"]) == 58_824
    assert weights(whole.encoders["visual"]) == 633_288
    assert weights(whole.decoders) == 1_725_824
    assert weights(model.MSVAE(shared=False).decoders) == 2 * 1_725_824
    assert not isinstance(whole.decoders["both"][-1], nn.ReLU)


@pytest.mark.parametrize("modality", ["visual", "audio"])
def test_an_encoder_is_linear_layers_with_relus_between(modality: str) -> None:
    net = model.MSVAE().encoders[modality]
    weights = [*net.body.parameters()]
    x = row = random(7, model.WIDTHS[modality])
    for k, (weight, bias) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
        row = row @ weight.T + bias
        if k < len(weights) // 2 - 1:
            row = row.clamp(min=0)
    both = row @ net.heads.weight.T + net.heads.bias
    torch.testing.assert_close(torch.cat(net(x), dim=1), both)


def test_kl_is_that_of_torch() -> None:
    mu, logvar = random(5, 100), random(5, 100, seed=1)
    q = torch.distributions.Normal(mu, (logvar / 2).exp())
    p = torch.distributions.Normal(torch.zeros(100), torch.ones(100))
    right = torch.distributions.kl_divergence(q, p)
    torch.testing.assert_close(model.kl_divergence(mu, logvar), right)


def test_the_weight_of_the_kl_falls_at_epoch_ten() -> None:
    assert [model.kl_weight(e) for e in (0, 9, 10, 14)] == [0.1, 0.1, 0.01, 0.01]


def test_terms_at_the_start_are_far_apart() -> None:
    """Measured on the released code: the KL is that of the visual direction."""
    torch.manual_seed(0)
    net, noise = model.MSVAE(), torch.randn(3, 2, 10, 100)
    seen, heard = random(10, 512), random(10, 128, seed=1)
    terms = model.released_terms(net, seen, heard, noise)
    kl = model.kl_divergence(*net(seen, heard, noise)[:2])
    assert terms["mse"].item() / 2 == pytest.approx(0.91, abs=0.2)
    assert kl[0].sum().item() == pytest.approx(2.5, abs=1.2)
    assert terms["kl"].item() == pytest.approx(kl.sum().item())
    assert terms["latent"].item() / 2 == pytest.approx(43, abs=3)


def test_free_bits_charge_only_what_is_above_the_floor() -> None:
    kl = torch.tensor([[0.2, 3.0, 1.0], [0.4, 5.0, 1.4]], requires_grad=True)
    cost = model.free_bits(kl, 1.0)
    assert cost.item() == pytest.approx(1.0 + 4.0 + 1.2)
    (slope,) = torch.autograd.grad(cost, kl)
    assert slope.tolist() == [[0, 0.5, 0.5], [0, 0.5, 0.5]]
    assert model.free_bits(kl, 0.0).item() == pytest.approx(0.3 + 4.0 + 1.2)


def test_the_gradient_of_each_term_is_that_of_the_term_alone() -> None:
    net = model.ToyVAE()
    points, noise = random(20, 2), random(20, 2, seed=1)

    def parts() -> dict[str, Tensor]:
        made, kl = net(points, noise)
        return {"error": (made - points).square().mean(), "kl": 3 * kl.sum()}

    weights = [*net.encoder.parameters()]
    found = model.term_gradients(parts(), weights)
    for name, length in found.items():
        net.zero_grad()
        parts()[name].backward()
        alone = torch.cat([w.grad.flatten() for w in weights])
        assert length.item() == pytest.approx(alone.norm().item(), rel=1e-5)
    unused = [*net.decoder.parameters()]
    assert model.term_gradients(parts(), unused)["kl"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weight", "floor", "collapses"), [(0.02, 0.0, False), (2.0, 0.0, True),
                                       (2.0, 1.0, False)]
)  # fmt: skip
def test_a_large_weight_of_the_kl_collapses_the_latent(
    weight: float, floor: float, collapses: bool
) -> None:
    """The error of the mean of all points is 2: one for each axis."""
    angles = torch.arange(8).repeat_interleave(10) * math.pi / 4
    points = torch.stack([angles.cos(), angles.sin()], 1) * 2**0.5
    _, log = model.train_toy(points, lambda over: weight, floor, steps=300)
    assert (log["KL, nats"][-1] < 0.1) is collapses
    assert (log["error"][-1] > 1.8) is collapses
    # the paper's remedy, and ours: a weight that falls brings the latent back
    if collapses:
        _, log = model.train_toy(points, lambda over: 2.0 if over < 0.3 else 0.02)
        assert log["error"][20] > 1.8
        assert log["error"][-1] < 0.3


@pytest.mark.parametrize("shared", mark_rest([True, False], every=2))
@pytest.mark.parametrize("latent", mark_rest([True, False], every=2))
def test_a_released_step_is_the_plain_loops(shared: bool, latent: bool) -> None:
    """Equal in float64 after two epochs: double steps, fresh draws, sums and means."""
    torch.manual_seed(0)
    net = model.MSVAE(shared=shared).double()
    plain = model.TwoAdamLoop(net, 1e-3, latent)
    adam = model.make_optimizer(net, 1e-3, released=True)
    rows = model.gather_events(table())
    start = copy.deepcopy(net.state_dict())
    for step in range(2 * len(rows)):
        visual, audio = (x.double() for x in rows.get_video(step % len(rows)))
        noise = torch.randn(3, 2, len(visual), 100, dtype=torch.float64)
        terms = model.released_terms(net, visual, audio, noise)
        weight = model.kl_weight(step // len(rows), drop=1)
        loss = model.vae_loss(terms, weight, latent)
        adam.zero_grad()
        loss.backward()
        adam.step()
        assert plain.step((visual, audio), noise, weight) == pytest.approx(loss.item())
    for name, mine in net.state_dict().items():
        torch.testing.assert_close(
            mine, plain.model.state_dict()[name], rtol=1e-7, atol=1e-9
        )
        assert not torch.allclose(mine, start[name], atol=1e-4), f"{name} stayed"


@pytest.mark.parametrize("shared", [True, False])
def test_a_masked_batch_is_the_mean_over_videos(shared: bool) -> None:
    torch.manual_seed(0)
    net = model.MSVAE(shared=shared)
    seconds = table(n=9)
    noise = torch.randn(1, 2, 9, 10, 100)
    given = seconds.visual, seconds.audio, seconds.event, noise
    terms = model.corrected_terms(net, *given)
    plain = model.corrected_terms_slow(net, *given)
    for name, right in plain.items():
        assert terms[name].item() == pytest.approx(right, rel=1e-4), name


def test_what_lies_outside_the_event_changes_nothing() -> None:
    torch.manual_seed(0)
    net = model.MSVAE()
    seconds, noise = table(), torch.randn(1, 2, 6, 10, 100)
    gradients = []
    for factor in (1.0, 7.0):
        scale = torch.where(seconds.event, 1.0, factor)[..., None]
        terms = model.corrected_terms(
            net, seconds.visual * scale, seconds.audio * scale, seconds.event, noise
        )
        loss = model.vae_loss(terms, 0.1, True)
        gradients.append(torch.autograd.grad(loss, list(net.parameters())))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("length", range(2, 11))
def test_videos_keep_their_own_seconds(length: int) -> None:
    seconds = table(n=9)
    rows = model.gather_events(seconds)
    i = length - 2
    visual, audio = rows.get_video(i)
    assert visual.shape == (length, 512)
    where = [t for t in range(10) if seconds.event[i, t]]
    assert torch.equal(audio, torch.stack([seconds.audio[i, t] for t in where]))
    assert len(rows) == 9


def test_rows_are_scaled_where_they_are_judged() -> None:
    net, x = model.MSVAE().eval(), random(3, 512).abs()
    torch.testing.assert_close(net.encode(x, "visual"), net.encode(9 * x, "visual"))
    mu = net.posterior(x, "visual")[0]
    torch.testing.assert_close(net.encode(x, "visual")[:, :100], mu)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("n", [1, 4])
def test_the_distance_is_that_of_the_paper(shared: bool, n: int) -> None:
    net = model.MSVAE(shared=shared)
    seen, heard = random(n, 512).abs(), random(3, 128, seed=1).abs()
    matrix = net.distance(net.encode(seen, "visual"), net.encode(heard, "audio"))
    assert matrix.shape == (n, 3)
    for i in range(n):
        for j in range(3):
            mu, _ = net.encoders["visual"](seen[i] / seen[i].max())
            mu_2, _ = net.encoders["audio"](heard[j] / heard[j].max())
            made, made_2 = net.decode(mu, "visual"), net.decode(mu_2, "audio")
            right = 0.5 * torch.dist(mu, mu_2) + 0.5 * torch.dist(made, made_2)
            assert matrix[i, j].item() == pytest.approx(right.item(), rel=1e-4)
    visual, audio = net.generate(mu)
    torch.testing.assert_close(torch.cat([visual, audio]), made)


def test_a_saved_model_comes_back(tmp_path: Path) -> None:
    net = model.MSVAE(shared=False)
    training.save_model(tmp_path / "cm_vae.safetensors", net, shared=False)
    found = training.load_model(tmp_path / "cm_vae.safetensors", model.MSVAE)
    x = random(2, 3, 128).abs()
    torch.testing.assert_close(found.encode(x, "audio"), net.encode(x, "audio"))
    assert found.encode(x, "audio").shape == (2, 3, 740)


def test_bad_features_are_named() -> None:
    net, x = model.MSVAE(), random(4, 128)
    with pytest.raises(ValueError, match="audio features are 512 wide, not 128"):
        net.encode(random(4, 512), "audio")
    with pytest.raises(ValueError, match="'sound': give visual or audio"):
        net.encode(x, "sound")
    x[2, 5] = torch.nan
    with pytest.raises(ValueError, match="audio features: row 2 holds NaN"):
        net.encode(x, "audio")
    seconds = table()
    seconds.event[3] = False
    with pytest.raises(ValueError, match=r"1 of 6 videos .* event: video3\."):
        model.gather_events(seconds)


# --- Step 5: the baselines -------------------------------------------------------


def test_avdln_is_the_contrastive_loss() -> None:
    torch.manual_seed(0)
    net, seconds = baselines.AVDLN(), table()
    mine = net.loss(seconds.visual, seconds.audio, seconds.event, torch.Generator())
    total = 0.0
    for b in range(6):
        for t in range(10):
            x = net.towers["visual"](seconds.visual[b, t])
            d = torch.dist(x, net.towers["audio"](seconds.audio[b, t])).item()
            total += d**2 if seconds.event[b, t] else max(0, 2 - d) ** 2
    assert mine.item() == pytest.approx(total / 60, rel=1e-5)
    assert net.towers["audio"][1].negative_slope == 0.3
    assert weights(net) == 512 * 128 + 128 * 128 + 2 * (128 * 64 + 128 + 64)


def test_whitening_gives_the_canonical_correlations() -> None:
    """Against orthonormal bases of both sides."""
    x, y = random(300, 4).double(), random(300, 4, seed=1).double()
    y[:, 0] += 2 * x[:, 1]
    share = torch.full((300,), 1 / 300).double()
    k = baselines.whiten(*baselines.weighted_moments(x, y, share)[2:])[2]
    bases = [torch.linalg.qr(a - a.mean(0))[0] for a in (x, y)]
    right = torch.linalg.svdvals(bases[0].T @ bases[1])
    torch.testing.assert_close(torch.linalg.svdvals(k), right, rtol=0, atol=2e-3)


def test_both_ways_to_whiten_agree() -> None:
    x, y = random(300, 6).double(), random(300, 6, seed=1).double()
    share = torch.rand(300, generator=torch.Generator().manual_seed(2)).double()
    parts = baselines.weighted_moments(x, y + x.flip(1), share / share.sum())
    slow, fast = baselines.whiten_slow(*parts[2:]), baselines.whiten(*parts[2:])[2]
    torch.testing.assert_close(torch.linalg.svdvals(slow), torch.linalg.svdvals(fast))
    x = x - share @ x / share.sum()
    by_row = sum(s * torch.outer(a, a) for s, a in zip(share, x, strict=True))
    ridge = baselines.RIDGE * torch.eye(6)
    torch.testing.assert_close(parts[2], by_row / share.sum() + ridge)


def test_dcca_sees_the_event_alone_and_finds_what_is_common() -> None:
    torch.manual_seed(0)
    net, seconds = baselines.DCCA(), table(n=60)
    event, heard = seconds.event, seconds.audio
    other = torch.where(event[..., None], seconds.visual, seconds.visual.flip(0))
    both = [
        net.loss(x, heard, event, torch.Generator()) for x in (seconds.visual, other)
    ]
    torch.testing.assert_close(*both)
    # the same faces, seen and heard: correlations of nearly one
    faces = random(60, 10, 16).abs()
    seen, heard = faces @ random(16, 512).abs(), faces @ random(16, 128, seed=1).abs()
    assert net.loss(seen, heard, event, torch.Generator()).isfinite()
    baselines.fit_projections(net, seen, heard, event)
    codes = [net.encode(seen, "visual")[event], net.encode(heard, "audio")[event]]
    share = baselines.weigh_seconds(event)[event]
    first = [code[:, 0] - share @ code[:, 0] for code in codes]
    spread = [(share @ x.square()).item() for x in first]
    assert spread == pytest.approx([1, 1], abs=0.3)  # the ridge takes a part
    assert torch.corrcoef(torch.stack(first))[0, 1] > 0.8


def test_another_sound_is_never_ones_own() -> None:
    audio = torch.arange(5.0)[:, None, None].expand(5, 10, 128)
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(60):
        other = baselines.pick_other_sounds(audio, generator)
        assert (other != audio).all()
        assert sorted(other[:, 0, 0].tolist()) == [0, 1, 2, 3, 4]
        seen.add(other[0, 0, 0].item())
    assert seen == {1, 2, 3, 4}
    with pytest.raises(ValueError, match="a batch of 1 video has no other sound"):
        baselines.pick_other_sounds(audio[:1], generator)


def test_together_or_not_is_torchs_cross_entropy() -> None:
    yes, no, event = random(6, 10), random(6, 10, seed=1), table().event
    total = 0.0
    for b in range(6):
        logits = torch.cat([yes[b][event[b]], no[b][event[b]]])
        target = (torch.arange(len(logits)) < len(logits) // 2).float()
        entropy = nn.functional.binary_cross_entropy_with_logits(logits, target)
        total += entropy.item() / 6
    mine = baselines.pair_loss(yes, no, event)
    assert mine.item() == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("name", ["AVDLN", "DCCA", "L3", "AVENet"])
@pytest.mark.parametrize("n", [1, 4])
def test_every_network_compares_any_two_modalities(
    name: str, n: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    net = getattr(baselines, name)().eval()
    seen, heard = random(n, 512).abs(), random(3, 128, seed=1).abs()
    codes = net.encode(seen, "visual"), net.encode(heard, "audio")
    across = net.distance(*codes)
    assert across.shape == (n, 3)
    torch.testing.assert_close(net.distance(*codes[::-1]), across.T)
    assert (net.distance(codes[1], codes[1]).diagonal() == 0).all()
    assert not across.requires_grad
    training.save_model(tmp_path / "net.safetensors", net)
    again = training.load_model(tmp_path / "net.safetensors", type(net))
    torch.testing.assert_close(again.encode(seen, "visual"), codes[0])
    with pytest.raises(ValueError, match="visual features are 128 wide, not 512"):
        net.encode(heard, "visual")


def test_l3_doubts_in_nats_and_ave_net_by_distance() -> None:
    torch.manual_seed(0)
    seen, heard = random(2, 512).abs(), random(3, 128, seed=1).abs()
    net = baselines.L3()
    matrix = net.distance(net.encode(seen, "visual"), net.encode(heard, "audio"))
    x = net.embed(seen[1], "visual"), net.embed(heard[2], "audio")
    p = torch.sigmoid(net.fusion(torch.cat(x)))
    assert matrix[1, 2].item() == pytest.approx(-math.log(p.item()), rel=1e-4)
    code = baselines.AVENet().encode(seen, "visual")
    torch.testing.assert_close(code.norm(dim=1), torch.ones(2))


@pytest.mark.parametrize("name", ["AVDLN", "DCCA", "L3", "AVENet"])
def test_every_network_learns(name: str) -> None:
    torch.manual_seed(0)
    net, seconds = getattr(baselines, name)(), table(n=12)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    losses = []
    for _ in range(25):
        generator = torch.Generator().manual_seed(1)
        loss = net.loss(seconds.visual, seconds.audio, seconds.event, generator)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.02
    assert all(w.grad is not None for w in net.parameters())


# --- Step 6: training ------------------------------------------------------------


def learned(
    seconds: VideoFeatures, folder: Path, steps: int, *, released: bool
) -> dict[str, Tensor]:
    """The weights after so many steps of a run of `folder`, as step 6 makes them."""
    torch.manual_seed(0)
    net = model.MSVAE()
    run = training.Run(folder, precision="float32", live=False)
    net, adam = run.prepare(model=net, adam=model.make_optimizer(net, 1e-3, released))
    rows, batches = model.gather_events(seconds), training.BatchSampler(6, 3)
    for step in run.steps(steps, save_every=2):
        if released:
            visual, audio = rows.get_video(step.number % len(rows))
            noise = torch.randn(3, 2, len(visual), 100, generator=run.generator)
            terms = model.released_terms(net, visual, audio, noise)
        else:
            part = batches[step.number]
            noise = torch.randn(1, 2, 3, 10, 100, generator=run.generator)
            given = (x[part] for x in (seconds.visual, seconds.audio, seconds.event))
            terms = model.corrected_terms(net, *given, noise)
        run.step(adam, model.vae_loss(terms, 0.1, True))
    return {name: value.clone() for name, value in net.state_dict().items()}


@pytest.mark.parametrize("released", [True, False])
def test_a_run_that_was_stopped_reaches_the_same_numbers(
    released: bool, tmp_path: Path
) -> None:
    seconds = table()
    whole = learned(seconds, tmp_path / "a", 5, released=released)
    learned(seconds, tmp_path / "b", 3, released=released)
    torch.randn(7)  # what other cells draw must not matter
    again = learned(seconds, tmp_path / "b", 5, released=released)
    for name, value in whole.items():
        assert torch.equal(again[name], value), name


def test_bfloat16_keeps_the_digits_of_the_terms() -> None:
    torch.manual_seed(0)
    net, seconds = model.MSVAE(), table()
    noise = torch.randn(1, 2, 6, 10, 100)
    given = seconds.visual, seconds.audio, seconds.event, noise
    right = model.corrected_terms(net, *given)
    with torch.autocast("cpu", torch.bfloat16):
        mine = model.corrected_terms(net, *given)
    for name, value in mine.items():
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(right[name].item(), rel=0.02), name
