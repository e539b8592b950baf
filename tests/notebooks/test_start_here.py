"""start_here: losses against closed forms, coverage, collapse and its cures."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from avnb_notebooks.deep_cross_modal import step6_sound_to_image as s2i
from avnb_notebooks.start_here import series
from avnb_notebooks.start_here import step1_game as game
from avnb_notebooks.start_here import step2_train as train
from avnb_notebooks.start_here import step3_wasserstein as wasserstein
from avnb_notebooks.start_here import step4_collapse as collapse
from avnb_notebooks.start_here import step5_pairs as pairs
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

from avnb import losses, training


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def linear(*slopes: tuple[float, float]) -> game.Linears:
    """Networks s(x) = w · x side by side, one for each w."""
    made = game.Linears(len(slopes), 2, 1)
    with torch.no_grad():
        made.weight.copy_(torch.tensor(slopes)[..., None])
        made.bias.zero_()
    return made


# --- Step 1: the game ---------------------------------------------------------------


def test_the_losses_are_the_logarithms() -> None:
    D = linear((1.0, 0.5), (-2.0, 1.0))
    real, fake = torch.randn(2, 2, 50, 2)
    S_r, S_f = (D(x)[..., 0].sigmoid() for x in (real, fake))
    terms = game.discriminator_terms(D, real, fake)
    assert torch.allclose(terms["real"], -S_r.log().mean(1), atol=1e-6)
    assert torch.allclose(terms["generated"], -(1 - S_f).log().mean(1), atol=1e-6)
    assert torch.equal(game.discriminator_loss(D, real, fake), sum(terms.values()))
    wanted = (1 - S_f).log().mean(1)
    assert torch.allclose(game.saturating_loss(D, fake), wanted, atol=1e-6)
    wanted = -S_f.log().mean(1)
    assert torch.allclose(game.non_saturating_loss(D, fake), wanted, atol=1e-6)


def test_a_recognised_point_is_pulled_by_the_second_loss_alone() -> None:
    D = linear((5.0, 0.0))
    fake = torch.tensor([[[-2.0, 0.0]]]).requires_grad_()  # its logit is -10
    for loss, strength in (
        (game.saturating_loss, 5 / (1 + math.exp(10))),
        (game.non_saturating_loss, 5 / (1 + math.exp(-10))),
    ):
        (slope,) = torch.autograd.grad(loss(D, fake).sum(), fake)
        # Downhill is to the right, where D is higher: the slope is negative.
        assert slope[0, 0, 0].item() == pytest.approx(-strength, rel=1e-4)


def test_the_best_discriminator_has_the_least_loss_and_gives_the_divergence() -> None:
    a, b = game.World(torch.zeros(1, 2), 1.0), game.World(torch.tensor([[1.0, 0]]), 0.5)
    x = torch.tensor([[0.3, -0.2], [1.1, 0.4]])
    s = torch.linspace(-12, 12, 48001, dtype=torch.float64)[:, None]
    p, q = (world.log_density(x).exp().double() for world in (a, b))
    value = p * F.softplus(-s) + q * F.softplus(s)
    found = game.optimal_logit(a, b, x)
    assert torch.allclose(found.double(), s[value.argmin(0), 0], atol=1e-3)

    ticks = torch.linspace(-6, 6, 601)
    plane = torch.cartesian_prod(ticks, ticks)
    p, q = (world.log_density(plane).exp() for world in (a, b))
    m, area = (p + q) / 2, (12 / 600) ** 2
    # xlogy: 0 log 0 is 0
    divergence = area * sum(torch.xlogy(d, d / m).nansum() for d in (p, q)) / 2
    real, fake = (world.sample(1, 400_000) for world in (a, b))
    loss = game.discriminator_loss(
        lambda x: game.optimal_logit(a, b, x)[..., None], real, fake
    )
    assert loss.item() == pytest.approx(math.log(4) - 2 * divergence.item(), abs=5e-3)


def test_a_density_is_that_of_its_samples() -> None:
    for world in (game.make_ring(), game.make_grid()):
        ticks = torch.linspace(-3, 3, 601)
        plane = torch.cartesian_prod(ticks, ticks)
        total = world.log_density(plane).exp().sum() * (6 / 600) ** 2
        assert total.item() == pytest.approx(1, abs=1e-3)
        points = world.sample(20_000)
        near = torch.cdist(points, world.centres).argmin(1).bincount()
        expected = 20_000 / len(world.centres)
        assert ((near - expected).abs() < 5 * expected**0.5).all()


def test_networks_side_by_side_are_networks_alone() -> None:
    many = game.make_networks(3, 2, 1)
    alone = nn.Sequential(
        nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2),
        nn.Linear(64, 1),
    )  # fmt: skip
    with torch.no_grad():
        for number in (0, 2, 4):
            alone[number].weight.copy_(many[number].weight[1].T)
            alone[number].bias.copy_(many[number].bias[1, 0])
    real, fake = torch.randn(2, 3, 32, 2)
    both = [torch.optim.Adam(net.parameters(), 1e-2) for net in (many, alone)]
    for _ in range(5):
        loss = game.discriminator_loss(many, real, fake).sum()
        mine = F.softplus(-alone(real[1])).mean() + F.softplus(alone(fake[1])).mean()
        for optimizer, value in zip(both, (loss, mine), strict=True):
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    assert torch.allclose(many(real)[1], alone(real[1]), atol=1e-5)


# --- Step 2: coverage and the step --------------------------------------------------


def test_coverage_of_constructed_points() -> None:
    ring = game.make_ring()
    measure = train.measure_coverage
    every = ring.centres.repeat(100, 1)
    assert measure(every, ring) == train.Coverage(8, 1.0, pytest.approx(1.0))
    one = ring.centres[:1].repeat(800, 1)
    assert measure(one, ring) == train.Coverage(1, 1.0, pytest.approx(0.0))
    two = torch.cat([ring.centres[:2].repeat(200, 1), torch.zeros(400, 2)])
    assert measure(two, ring) == train.Coverage(
        2, 0.5, pytest.approx(math.log(2) / math.log(8))
    )
    assert measure(torch.zeros(800, 2), ring) == train.Coverage(0, 0.0, 0.0)
    # A tenth of a mode's share is 10 of 800 points: 9 stray points are no mode.
    for stray, modes in ((9, 1), (10, 2)):
        points = torch.cat([one[stray:], ring.centres[3:4].repeat(stray, 1)])
        assert measure(points, ring).modes == modes
    # The border of a good point is three sigma.
    for far, quality in ((0.29, 1.0), (0.31, 0.0)):
        moved = one + torch.tensor([far, 0.0])
        assert measure(moved, ring).quality == quality


def test_real_points_have_the_quality_of_the_closed_form() -> None:
    ring = game.make_ring()
    found = train.measure_coverage(ring.sample(50_000), ring)
    assert found.modes == 8
    assert found.quality == pytest.approx(1 - math.exp(-4.5), abs=3e-3)


def test_the_pull_is_the_slope_at_one_point() -> None:
    D = linear((3.0, 4.0), (0.0, 0.0))
    fake = torch.zeros(2, 7, 2)  # the logit is 0, so the slope of softplus is 1/2
    pull = train.measure_pull(D, fake, game.non_saturating_loss)
    assert torch.allclose(pull, torch.tensor([2.5, 0.0]))


def test_the_gradient_of_a_term_is_each_networks_own() -> None:
    D = linear((3.0, 4.0), (1.0, 0.0))
    real = torch.randn(2, 9, 2)
    found = train.measure_gradient(D, D(real).mean((1, 2)))
    # d/dw of the mean of w · x is the mean of x; d/db is 1.
    wanted = (real.mean(1).square().sum(1) + 1).sqrt()
    assert torch.allclose(found, wanted)


class PlainRun:
    """`run.step` without the run: gradients, and one step of an optimiser."""

    def step(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize("which", ["logarithm", "wasserstein"])
def test_each_update_moves_what_it_should_in_the_right_direction(which: str) -> None:
    recipe = train.Recipe(rate_d=0.01, rate_g=0.01)
    if which == "wasserstein":
        recipe = train.Recipe(
            terms_d=wasserstein.critic_terms, loss_g=wasserstein.critic_g_loss
        )
    G, D = game.make_networks(2, 2, 2), game.make_networks(2, 2, 1)
    opt_g, opt_d = (torch.optim.SGD(net.parameters(), 0.05) for net in (G, D))
    real, z = torch.randn(2, 64, 2) + 2, torch.randn(2, 64, 2)
    run: Any = PlainRun()

    def state(net: nn.Module) -> Tensor:
        return nn.utils.parameters_to_vector(net.parameters()).detach().clone()

    def difference() -> Tensor:
        return (D(real) - D(G(z))).mean((1, 2)).detach()

    before, g, d = difference(), state(G), state(D)
    train.update_discriminator(run, G, D, opt_d, real, z, recipe.terms_d)
    assert (difference() > before).all()
    assert torch.equal(state(G), g)
    assert not torch.equal(state(D), d)
    before, d = difference(), state(D)
    train.update_generator(run, G, D, opt_g, z, recipe.loss_g)
    assert (difference() < before).all()
    assert torch.equal(state(D), d)


# --- Step 3: Wasserstein ------------------------------------------------------------


def test_the_distance_on_a_line_is_scipys() -> None:
    a, b = torch.randn(300), 2 * torch.randn(300) + 1
    found = wasserstein.wasserstein_on_a_line(a, b).item()
    assert found == pytest.approx(stats.wasserstein_distance(a, b), rel=1e-5)
    moved = wasserstein.wasserstein_on_a_line(a, a.flip(0) - 3)
    assert moved.item() == pytest.approx(3, rel=1e-5)


def test_the_exact_distance_of_constructed_points() -> None:
    measure = wasserstein.measure_exact_distance
    a = torch.randn(50, 2)
    assert measure(a, a[torch.randperm(50)]) == pytest.approx(0, abs=1e-3)
    moved = a + torch.tensor([3.0, 4.0])
    assert measure(a, moved) == pytest.approx(5, rel=1e-4)
    # On a line it is the distance of the sorted numbers.
    line = torch.stack([torch.randn(2, 40), torch.zeros(2, 40)], dim=-1)
    right = wasserstein.wasserstein_on_a_line(line[0, :, 0], line[1, :, 0])
    assert measure(*line) == pytest.approx(right.item(), rel=1e-4)


def test_the_critics_terms_for_networks_whose_slope_is_known() -> None:
    slopes = ((3.0, 4.0), (0.6, 0.0))
    D = linear(*slopes)
    real, fake = torch.randn(2, 2, 20, 2)
    terms = wasserstein.critic_terms(D, real, fake, penalty=10.0)
    w = torch.tensor(slopes)
    assert torch.allclose(terms["real"], -(real @ w[..., None]).mean((1, 2)), atol=1e-6)
    generated = (fake @ w[..., None]).mean((1, 2))
    assert torch.allclose(terms["generated"], generated, atol=1e-6)
    assert torch.allclose(wasserstein.critic_g_loss(D, fake), -generated, atol=1e-6)
    # The mean of 10 (5 - 1)² and 10 (0.6 - 1)², counted for both.
    mean = 10 * (16 + 0.16) / 2
    assert torch.allclose(terms["penalty"], torch.full((2,), mean), atol=1e-4)
    # The sum gives each network the gradient of its own penalty.
    (found,) = torch.autograd.grad(terms["penalty"].sum(), D.weight)
    norm = w.norm(dim=1, keepdim=True)
    wanted = 10 * 2 * (norm - 1) * w / norm
    assert torch.allclose(found[..., 0], wanted, atol=1e-4)


def test_one_critic_has_the_librarys_penalty() -> None:
    D = game.make_networks(1, 2, 1)
    real, fake = torch.randn(2, 1, 500, 2)
    torch.manual_seed(3)
    mine = wasserstein.critic_terms(D, real, fake)["penalty"]
    torch.manual_seed(3)
    library = losses.gradient_penalty(lambda x: D(x[None])[0], real[0], fake[0])
    assert torch.allclose(mine, library)


# --- Step 4: collapse ---------------------------------------------------------------


def train_recipe(folder: Any, recipe: train.Recipe, steps: int) -> list[dict]:
    run = training.Run(folder, seed=0, precision="float32", live=False)
    budget = train.Budget(steps=steps, batch=128, look=100, judged=1000)
    return train.train_gan(run, game.make_ring(), recipe, budget).looks


@pytest.mark.slow
def test_a_slow_discriminator_collapses_and_a_faster_one_does_not(tmp_path) -> None:
    made = [
        train_recipe(tmp_path / str(number), recipe, steps=400)[-2:]
        for number, recipe in enumerate(collapse.make_recipes().values())
    ]

    def average(key: str) -> list[Tensor]:
        """One number for each copy, which has its own first weights and noise."""
        return [torch.stack([look[key] for look in looks]).mean(0) for looks in made]

    sick, cured, alone, both = average("modes")
    assert (sick < 2.5).all(), sick
    assert (cured > 6).all(), cured
    assert (both > 6).all(), both
    assert (alone < 4).all(), alone
    sick, cured, alone, both = average("pull")
    assert (sick < cured / 4).all()
    assert (alone < both / 4).all()


def test_against_a_frozen_discriminator_the_heap_goes_one_way() -> None:
    ring = game.make_ring()
    D, film = collapse.answer_frozen(ring, steps=100, batch=128)
    assert [step for step, _ in film] == [0, 25, 50, 75, 100]
    lost = torch.stack([game.non_saturating_loss(D, points) for _, points in film])
    assert (lost.diff(dim=0) < 0).all()  # G's loss falls in each quarter
    assert (collapse.measure_agreement(film[-1][1]) > 0.6).all()
    assert (collapse.measure_agreement(ring.sample(3, 4000)) < 0.1).all()


def test_the_agreement_of_directions_is_that_of_unit_vectors() -> None:
    one = [[1.0, 0.0], [9.0, 0.0]]
    points = torch.tensor([one, [[1.0, 0.0], [-5.0, 0.0]], [[3.0, 0.0], [0.0, 7.0]]])
    found = collapse.measure_agreement(points)
    assert found.tolist() == pytest.approx([1.0, 0.0, 0.5**0.5])


# --- Step 5: pairs ------------------------------------------------------------------


def test_the_pair_loss_is_that_of_sound_to_image() -> None:
    real, fake, wrong = torch.randn(3, 2, 40)
    three, two = pairs.pair_loss(real, fake, wrong), pairs.pair_loss(real, fake)
    for copy in range(2):
        given = (real[copy], fake[copy], wrong[copy])
        assert torch.isclose(three[copy], s2i.discriminator_loss(*given))
        assert torch.isclose(two[copy], s2i.discriminator_loss(*given[:2]))


def test_the_best_pair_score_is_two_thirds_for_a_perfect_generator() -> None:
    p = torch.tensor(0.4)
    nothing = torch.tensor(0.0)
    assert pairs.best_pair_score(p, p, nothing).item() == pytest.approx(2 / 3)
    assert pairs.best_pair_score(nothing, nothing, p).item() == 0
    S = torch.linspace(1e-4, 1 - 1e-4, 20001, dtype=torch.float64)
    value = 0.4 * S.log() + (0.3 + 0.8) / 2 * (1 - S).log()
    found = pairs.best_pair_score(*torch.tensor([0.4, 0.3, 0.8]))
    assert found.item() == pytest.approx(S[value.argmax()].item(), abs=1e-4)


def test_wrong_classes_are_others_and_all_of_them() -> None:
    generator = torch.Generator().manual_seed(0)
    classes = torch.full((1, 7000), 3)
    counts = pairs.draw_wrong(classes, generator)[0].bincount(minlength=8)
    assert counts[3] == 0
    others = counts[[0, 1, 2, 4, 5, 6, 7]]
    assert ((others - 1000).abs() < 150).all()


@pytest.mark.slow
def test_wrong_pairs_decide_whether_the_condition_is_obeyed(tmp_path) -> None:
    budget = train.Budget(steps=1300, batch=128, look=1300, judged=1000)
    two, three = (
        pairs.train_pairs(
            training.Run(
                tmp_path / str(wrong), seed=0, live=False, precision="float32"
            ),
            game.make_ring(),
            budget,
            wrong_pairs=wrong,
        )[-1]
        for wrong in (False, True)
    )
    assert (two["obeys"] < 0.3).all()
    assert (two["S_w"] - two["S_r"]).abs().max() < 0.05  # D does not look at c
    assert (three["obeys"] > 0.6).all()
    assert (three["S_r"] - three["S_w"] > 0.4).all()


# --- The claims ---------------------------------------------------------------------


def test_the_evidence_follows_the_records() -> None:
    def modes(value: float) -> dict:
        return {"modes": {"value": value}, "quality": {"value": 0.5}}

    names = ("sick", "cure 1", "control", "cure 2")
    table = [
        {"recipe": n} | modes(v) for n, v in zip(names, (1, 7.5, 2, 8), strict=True)
    ]
    obeys = [
        {"D is shown": name, "obeys": {"value": v}, "updates": 900}
        | {"updates until half obey": half}
        for name, v, half in (("two", 0.125, None), ("three", 0.9, 300))
    ]
    records = {
        "step1_game": {"optimal": [{"error": 0.02}, {"error": 0.46}]},
        "step4_collapse": {"recipes": [*table, {"recipe": "real", "modes": 8}]},
        "step5_pairs": {"pairs": [*obeys, {"D is shown": "(luck)", "obeys": "12.5 %"}]},
    }
    found = series.evidence(records)
    assert found == pytest.approx(
        {
            "near_best": 0.026,
            "collapses": 6.5,
            "wasserstein_cures": 8,
            "wasserstein_alone": 2,
            "wrong_pairs": 3,
        }
    )
    obeys[0]["updates until half obey"] = 450
    assert series.evidence(records)["wrong_pairs"] == pytest.approx(1.5)
    obeys[1]["updates until half obey"] = None
    assert series.evidence(records)["wrong_pairs"] is None
    assert series.evidence({}) == dict.fromkeys(found)
    assert series.headlines(records)["cure 1, modes"] == 7.5
    assert np.isclose(series.headlines(records)["three, obeys"], 0.9)
