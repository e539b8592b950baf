"""The model and the training of the series ms_vae against independent references."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from plain_ms_vae import PlainLoop
from torch import Tensor, nn

from avnb import lessons, training

FOLDER = lessons.REPO / "notebooks" / "ms_vae"
Load = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def model(load: Load) -> ModuleType:
    return load("step4_model")


@pytest.fixture(scope="module")
def features(load: Load) -> ModuleType:
    return load("step2_features")


def weights(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def table(features: ModuleType, n: int = 6, seed: int = 0) -> Any:
    """N videos with events of 2 to 10 seconds, anywhere."""
    generator = torch.Generator().manual_seed(seed)
    event = torch.zeros(n, 10, dtype=torch.bool)
    for i in range(n):
        length = 2 + i % 9
        start = int(torch.randint(0, 11 - length, (), generator=generator))
        event[i, start : start + length] = True
    return features.Seconds(
        visual=random(n, 10, 512, seed=seed).abs(),
        audio=random(n, 10, 128, seed=seed + 1).abs(),
        event=event,
        label=torch.arange(n) % 3,
        videos=[f"video{i}" for i in range(n)],
        classes=["bark", "bell", "flute"],
        networks={"visual": "random", "audio": "random"},
    )


# --- Step 4: the model -----------------------------------------------------------


def test_the_networks_are_the_released_ones(model: ModuleType) -> None:
    whole = model.MSVAE()
    assert weights(whole.encoders["audio"]) == 58_824
    assert weights(whole.encoders["visual"]) == 633_288
    assert weights(whole.decoders) == 1_725_824
    assert weights(model.MSVAE(shared=False).decoders) == 2 * 1_725_824
    assert not isinstance(whole.decoders["both"][-1], nn.ReLU)


def test_kl_is_that_of_torch(model: ModuleType) -> None:
    mu, logvar = random(5, 100), random(5, 100, seed=1)
    q = torch.distributions.Normal(mu, (logvar / 2).exp())
    p = torch.distributions.Normal(torch.zeros(100), torch.ones(100))
    right = torch.distributions.kl_divergence(q, p)
    torch.testing.assert_close(model.kl(mu, logvar), right)


def test_the_weight_of_the_kl_falls_at_epoch_ten(model: ModuleType) -> None:
    assert [model.kl_weight(e) for e in (0, 9, 10, 14)] == [0.1, 0.1, 0.01, 0.01]


def test_terms_at_the_start_are_far_apart(model: ModuleType) -> None:
    """Measured on the released code: the KL is that of the visual direction."""
    torch.manual_seed(0)
    net, noise = model.MSVAE(), torch.randn(3, 2, 10, 100)
    seen, heard = random(10, 512), random(10, 128, seed=1)
    terms = model.released_terms(net, seen, heard, noise)
    kl = model.kl(*net(seen, heard, noise)[:2])
    assert terms["mse"].item() / 2 == pytest.approx(0.91, abs=0.2)
    assert kl[0].sum().item() == pytest.approx(2.5, abs=1.2)
    assert terms["kl"].item() == pytest.approx(kl.sum().item())
    assert terms["latent"].item() / 2 == pytest.approx(43, abs=3)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("latent", [True, False])
def test_a_released_step_is_the_plain_loops(
    model: ModuleType, features: ModuleType, shared: bool, latent: bool
) -> None:
    """Equal in float64 after two epochs: double steps, fresh draws, sums and means."""
    torch.manual_seed(0)
    net = model.MSVAE(shared=shared).double()
    plain = PlainLoop(net, 1e-3, latent)
    adam = model.optimiser(net, 1e-3, released=True)
    rows = model.events(table(features))
    start = copy.deepcopy(net.state_dict())
    for step in range(2 * len(rows)):
        visual, audio = (x.double() for x in rows.video(step % len(rows)))
        noise = torch.randn(3, 2, len(visual), 100, dtype=torch.float64)
        terms = model.released_terms(net, visual, audio, noise)
        weight = model.kl_weight(step // len(rows), drop=1)
        loss = model.total(terms, weight, latent)
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
def test_a_masked_batch_is_the_mean_over_videos(
    model: ModuleType, features: ModuleType, shared: bool
) -> None:
    torch.manual_seed(0)
    net = model.MSVAE(shared=shared)
    seconds = table(features, n=9)
    noise = torch.randn(1, 2, 9, 10, 100)
    given = seconds.visual, seconds.audio, seconds.event
    terms = model.corrected_terms(net, *given, noise)
    plain = {"mse": 0.0, "kl": 0.0, "latent": 0.0}
    for b in range(9):
        for t in range(10):
            if not seconds.event[b, t]:
                continue
            length = int(seconds.event[b].sum())
            z = {}
            for k, i in enumerate(("visual", "audio")):
                mu, logvar = net.encoders[i](getattr(seconds, i)[b, t])
                z[i] = mu + torch.exp(logvar / 2) * noise[0, k, b, t]
                made = net.decode(z[i], i)
                pair = torch.cat([seconds.visual[b, t], seconds.audio[b, t]])
                mse = ((made - pair) ** 2).sum() / 640
                kl = (mu**2 + logvar.exp() - 1 - logvar).sum() / 2 / 100
                plain["mse"] += mse.item() / 2 / length / 9
                plain["kl"] += kl.item() / 2 / length / 9
            square = ((z["visual"] - z["audio"]) ** 2).sum() / 100
            plain["latent"] += math.sqrt(square.item()) / length / 9
    for name, right in plain.items():
        assert terms[name].item() == pytest.approx(right, rel=1e-4), name


def test_what_lies_outside_the_event_changes_nothing(
    model: ModuleType, features: ModuleType
) -> None:
    torch.manual_seed(0)
    net = model.MSVAE()
    seconds, noise = table(features), torch.randn(1, 2, 6, 10, 100)
    gradients = []
    for factor in (1.0, 7.0):
        scale = torch.where(seconds.event, 1.0, factor)[..., None]
        terms = model.corrected_terms(
            net, seconds.visual * scale, seconds.audio * scale, seconds.event, noise
        )
        loss = model.total(terms, 0.1, True)
        gradients.append(torch.autograd.grad(loss, list(net.parameters())))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("length", range(2, 11))
def test_videos_keep_their_own_seconds(
    model: ModuleType, features: ModuleType, length: int
) -> None:
    seconds = table(features, n=9)
    rows = model.events(seconds)
    i = length - 2
    visual, audio = rows.video(i)
    assert visual.shape == (length, 512)
    where = [t for t in range(10) if seconds.event[i, t]]
    assert torch.equal(audio, torch.stack([seconds.audio[i, t] for t in where]))
    assert len(rows) == 9


def test_rows_are_normalised_where_they_are_judged(model: ModuleType) -> None:
    net, x = model.MSVAE().eval(), random(3, 512).abs()
    assert torch.equal(model.normalised(torch.zeros(2, 4)), torch.zeros(2, 4))
    assert torch.equal(
        model.normalised(torch.tensor([[1.0, -4.0]])), torch.tensor([[0.25, -1.0]])
    )
    torch.testing.assert_close(net.encode(x, "visual"), net.encode(9 * x, "visual"))
    mu = net.posterior(x, "visual")[0]
    torch.testing.assert_close(net.encode(x, "visual")[:, :100], mu)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("n", [1, 4])
def test_the_distance_is_that_of_the_paper(
    model: ModuleType, shared: bool, n: int
) -> None:
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


def test_a_saved_model_comes_back(model: ModuleType, tmp_path: Path) -> None:
    net = model.MSVAE(shared=False)
    training.save_model(tmp_path / "cm_vae.safetensors", net, shared=False)
    found = training.load_model(tmp_path / "cm_vae.safetensors", model.MSVAE)
    x = random(2, 3, 128).abs()
    torch.testing.assert_close(found.encode(x, "audio"), net.encode(x, "audio"))
    assert found.encode(x, "audio").shape == (2, 3, 740)


def test_bad_features_are_named(model: ModuleType, features: ModuleType) -> None:
    net, x = model.MSVAE(), random(4, 128)
    with pytest.raises(ValueError, match="audio features are 512 wide, not 128"):
        net.encode(random(4, 512), "audio")
    with pytest.raises(ValueError, match="'sound': give visual or audio"):
        net.encode(x, "sound")
    x[2, 5] = torch.nan
    with pytest.raises(ValueError, match="audio features: row 2 holds NaN"):
        net.encode(x, "audio")
    seconds = table(features)
    seconds.event[3] = False
    with pytest.raises(ValueError, match=r"1 of 6 videos .* event: video3\."):
        model.events(seconds)
