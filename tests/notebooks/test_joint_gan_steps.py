"""The losses and the training step of joint_gan, against plain forms and by hand."""

import math

import numpy as np
import pytest
import scipy
import torch
from avnb_notebooks.joint_gan import step4_pairs as pairs
from avnb_notebooks.joint_gan import step5_shared as shared
from quick import mark_rest
from torch import Tensor
from torch.nn import functional as F

from avnb import losses

METHODS = pairs.list_methods() | shared.list_coupled_methods()
METHODS |= {
    "non-saturating": pairs.Method(saturating=False),
    "weight 3": pairs.Method(weight=3.0),
    "timed critics": pairs.Method(form="timed"),
    "Wasserstein sound": pairs.Method(pairs="none", sound_game="wasserstein"),
}
MADE = (pairs.SOUND_MADE, pairs.PICTURE_MADE, pairs.BOTH_MADE)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# --- Eq. 2 -----------------------------------------------------------------------


def test_equation_2_is_a_three_way_cross_entropy() -> None:
    real, no_a, no_v = random(3, 9, 2)
    fakes = {pairs.SOUND_MADE: no_a, pairs.PICTURE_MADE: no_v}
    loss = pairs.pair_critic_loss(real, fakes)
    by_equation = pairs.equation_2_slow(real, no_a, no_v)
    torch.testing.assert_close(loss, -by_equation)
    # The right logits of the three-way softmax: log-odds of "real", then log D2's.
    rows = []
    for x in (real, no_a, no_v):
        p2 = x[:, 1].sigmoid()
        rows.append(torch.stack([x[:, 0], p2.log(), (1 - p2).log()], dim=1))
    kinds = torch.arange(3).repeat_interleave(9)
    entropy = 3 * F.cross_entropy(torch.cat(rows), kinds)
    torch.testing.assert_close(loss, entropy)
    swapped = {pairs.SOUND_MADE: no_v, pairs.PICTURE_MADE: no_a}
    assert not torch.allclose(pairs.pair_critic_loss(real, swapped), loss)


@pytest.mark.parametrize(
    ("columns", "softmax"), [(1, False), (2, False), (4, False), (3, True)]
)
def test_kinds_are_probabilities(columns: int, softmax: bool) -> None:
    log_p = pairs.log_kinds(3 * random(20, columns), softmax)
    torch.testing.assert_close(log_p.exp().sum(1), torch.ones(20))
    sure = pairs.log_kinds(torch.full((1, columns), -300.0), softmax)
    assert not sure.isnan().any()


def test_the_generators_losses_by_probabilities() -> None:
    logits = random(7, 2)
    D1, D2 = logits.sigmoid().unbind(1)
    for kind, fooled, own in (
        (pairs.SOUND_MADE, 1 - D2, D2),  # Gₐ wants D2 → 0
        (pairs.PICTURE_MADE, D2, 1 - D2),  # G_I wants D2 → 1
    ):
        loss = pairs.pair_generator_loss({kind: logits})
        torch.testing.assert_close(loss, -D1.log().mean() - fooled.log().mean())
        loss = pairs.pair_generator_loss({kind: logits}, saturating=True)
        torch.testing.assert_close(loss, ((1 - D1) * own).log().mean())
    one = logits[:, :1]
    for kind in MADE[:2]:
        loss = pairs.pair_generator_loss({kind: one})
        torch.testing.assert_close(loss, -D1.log().mean())
    four = random(7, 4)
    D1, D2 = four[:, 0].sigmoid(), four[:, 1:].softmax(1)
    loss = pairs.pair_generator_loss({pairs.BOTH_MADE: four}, saturating=True)
    # (â, v̂) is not in Eq. 2, and always has the gradient that does not vanish.
    torch.testing.assert_close(loss, -D1.log().mean() - (1 - D2[:, 2]).log().mean())
    three = random(7, 3)
    loss = pairs.pair_generator_loss({pairs.SOUND_MADE: three}, softmax=True)
    torch.testing.assert_close(loss, -three.softmax(1)[:, 0].log().mean())


def test_where_a_critic_is_sure_only_one_gradient_is_left() -> None:
    logits = torch.tensor([[-30.0, 0.0]], requires_grad=True)
    for saturating, size in ((True, 0.0), (False, 1.0)):
        loss = pairs.pair_generator_loss({pairs.SOUND_MADE: logits}, False, saturating)
        (slope,) = torch.autograd.grad(loss, logits)
        assert slope[0, 0].item() == pytest.approx(-size, abs=1e-6)


# --- One training step of every method -------------------------------------------


def make_step(name: str) -> tuple:
    torch.manual_seed(1)
    method = METHODS[name]
    G = shared.make_generator(method, sound_width=1, width=2, size=16, content=60)
    critics = pairs.make_critics(method, 1, 2, 2, size=16, shuffle=0)
    real = 0.3 * random(4, 1, 16384), random(4, 3, 10, 16, 16, seed=1).tanh()
    fake, frame = G(G.draw_noise(4, 10)), torch.tensor([0, 3, 9, 5])
    return method, G, critics, real, fake, frame


def naive_critic_losses(method, critics, real, fake, frame) -> dict[str, Tensor]:
    """Each critic called on each input apart, with Eq. 1 and 2 in probabilities."""
    (a, v), (b, w) = real, (x.detach() for x in fake)

    def game(critic, yes, no):
        return -(
            critic(yes).sigmoid().log().mean() + (1 - critic(no).sigmoid()).log().mean()
        )

    def frames(video):
        return torch.stack([video[i, :, k] for i, k in enumerate(frame.tolist())])

    terms = {"D_a": game(critics.sound, a, b), "D_V": game(critics.video, v, w)}
    if method.sound_game == "wasserstein":
        torch.manual_seed(7)  # of the places between real and made
        penalty = losses.gradient_penalty(critics.sound, a, b)
        gap = critics.sound(a).mean() - critics.sound(b).mean()
        terms["D_a"] = 10 * penalty - gap
    terms["D_I"] = game(critics.image, frames(v), frames(w))
    D = critics.pairs
    if method.pairs == "none":
        return terms
    if method.pairs == "alone":
        both = (lambda x: D.hear(x, v), a, b), (D.see, v, w)
        return terms | {"pairs": sum(game(*x) for x in both)}
    yes = D(a, v if method.matched else torch.cat([v[-1:], v[:-1]]))
    if method.pairs == "softmax":
        every = [yes, D(b, v), D(a, w)]
        terms["pairs"] = -sum(
            x.softmax(1)[:, k].log().mean() for k, x in enumerate(every)
        )
    elif method.pairs == "one":
        no = [(1 - D(*x).sigmoid()).log().mean() for x in ((b, v), (a, w))]
        terms["pairs"] = -(yes.sigmoid().log().mean() + sum(no))
    elif not method.both_made:
        terms["pairs"] = -pairs.equation_2_slow(yes, D(b, v), D(a, w))
    else:
        value = yes[:, 0].sigmoid().log().mean()
        for k, pair in enumerate(((b, v), (a, w), (b, w))):
            x = D(*pair)
            value = (
                value
                + ((1 - x[:, 0].sigmoid()) * x[:, 1:].softmax(1)[:, k]).log().mean()
            )
        terms["pairs"] = -value
    return terms


@pytest.mark.parametrize("name", mark_rest(METHODS, every=3))
def test_the_critics_losses_are_the_plain_ones(name: str) -> None:
    method, _, critics, real, fake, frame = make_step(name)
    torch.manual_seed(7)
    terms = pairs.critic_terms(critics, real, fake, frame, method)
    plain = naive_critic_losses(method, critics, real, fake, frame)
    assert set(terms) == set(plain)
    for key, value in plain.items():
        torch.testing.assert_close(terms[key], value, atol=1e-4, rtol=1e-4)


def naive_generator_losses(method, critics, real, fake, frame) -> dict[str, Tensor]:
    """What G_a and G_I want of each critic, in probabilities."""
    (a, v), (b, w) = real, fake

    def fool(logits):
        return -logits.sigmoid().log().mean()

    picked = torch.stack([w[i, :, k] for i, k in enumerate(frame.tolist())])
    terms = {"D_a": fool(critics.sound(b)), "D_V": fool(critics.video(w))}
    terms["D_I"] = fool(critics.image(picked))
    if method.sound_game == "wasserstein":
        terms["D_a"] = -critics.sound(b).mean()
    D = critics.pairs
    if method.pairs == "none":
        return terms
    if method.pairs == "alone":
        return terms | {"pairs": fool(D.hear(b, v)) + fool(D.see(w))}
    fakes = [D(b, v), D(a, w)]
    if method.pairs == "one":
        loss = sum((1 - x.sigmoid()).log().mean() for x in fakes)
    elif method.pairs == "softmax":
        kinds = enumerate(fakes, start=1)
        loss = sum(x.softmax(1)[:, k].log().mean() for k, x in kinds)
    else:
        loss = 0.0
        for k, x in enumerate([*fakes, D(b, w)][: 3 if method.both_made else 2]):
            made = 1 - x[:, 0].sigmoid()
            # D2's answers: sound made, picture made, and both where there are three
            d2 = x[:, 1:] if x.shape[1] > 2 else torch.cat([x[:, 1:], 0 * x[:, 1:]], 1)
            own = d2.softmax(1)[:, k]
            if method.saturating and k < 2:
                loss = loss + (made * own).log().mean()
            else:
                loss = loss - (1 - made).log().mean() - (1 - own).log().mean()
    return terms | {"pairs": method.weight * loss}


@pytest.mark.parametrize("name", mark_rest(METHODS, every=3))
def test_the_generators_losses_are_the_plain_ones(name: str) -> None:
    method, _, critics, real, fake, frame = make_step(name)
    terms = pairs.generator_terms(critics, real, fake, frame, method)
    plain = naive_generator_losses(method, critics, real, fake, frame)
    assert set(terms) == set(plain)
    for key, value in plain.items():
        torch.testing.assert_close(terms[key], value, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", mark_rest(METHODS, every=3))
def test_a_step_of_the_critics_lowers_their_losses(name: str) -> None:
    method, G, critics, real, fake, frame = make_step(name)
    before = [w.detach().clone() for w in G.parameters()]
    adam = torch.optim.Adam(critics.parameters(), 1e-3)
    first = pairs.update_critics(
        pairs.PlainRun(), critics, adam, real, fake, frame, method
    )
    for _ in range(3):
        pairs.update_critics(pairs.PlainRun(), critics, adam, real, fake, frame, method)
    after = pairs.critic_terms(critics, real, fake, frame, method)
    for key, value in after.items():
        assert value < first[f"loss {key}"], key
    for old, new in zip(before, G.parameters(), strict=True):
        assert torch.equal(old, new)
        assert new.grad is None


@pytest.mark.parametrize("name", mark_rest(METHODS, every=3))
def test_a_step_of_the_generators_raises_the_critics_opinion(name: str) -> None:
    """The critics have learned a little, so that they have an opinion."""
    method, G, critics, real, _, frame = make_step(name)
    noise = G.draw_noise(4, 10)
    adam = torch.optim.Adam(critics.parameters(), 1e-3)
    step = (frame, method)
    for _ in range(4):
        pairs.update_critics(pairs.PlainRun(), critics, adam, real, G(noise), *step)
    before = [w.detach().clone() for w in critics.parameters()]
    with torch.no_grad():
        old = [critics.sound(G(noise)[0]).mean(), critics.video(G(noise)[1]).mean()]
    adam = torch.optim.Adam(G.parameters(), 1e-3)
    first = pairs.update_generators(
        pairs.PlainRun(), critics, adam, real, G(noise), *step
    )
    for _ in range(3):
        pairs.update_generators(pairs.PlainRun(), critics, adam, real, G(noise), *step)
    after = pairs.generator_terms(critics, real, G(noise), *step)
    assert sum(after.values()) < sum(first.values())
    with torch.no_grad():
        new = [critics.sound(G(noise)[0]).mean(), critics.video(G(noise)[1]).mean()]
    assert sum(new) > sum(old)
    for was, is_ in zip(before, critics.parameters(), strict=True):
        assert torch.equal(was, is_)


def test_a_seed_gives_all_methods_equal_generators_and_own_critics() -> None:
    """As step 6 makes them: a difference is not that of their first weights."""
    found = []
    for method in METHODS.values():
        torch.manual_seed(3)
        G = shared.make_generator(method, sound_width=1, width=2, size=16, content=60)
        torch.manual_seed(4)
        critics = pairs.make_critics(method, 1, 2, 2, size=16)
        own = [G.sound, G.picture, critics.sound, critics.image, critics.video]
        found.append(torch.cat([w.flatten() for n in own for w in n.parameters()]))
    for name, weights in zip(METHODS, found, strict=True):
        assert torch.equal(weights, found[0]), name


def test_an_update_of_jm_by_hand() -> None:
    """Gₐ gets the gradients of D_a and of C_M at (â, v), and of nothing else."""
    method, G, critics, real, fake, frame = make_step("JM")
    (a, v), (b, w) = real, fake
    of_sound, of_picture = [*G.sound.parameters()], [*G.picture.parameters()]
    x, y = critics.pairs(b, v), critics.pairs(a, w)
    D1, D2 = x.sigmoid().unbind(1)
    loss = -critics.sound(b).sigmoid().log().mean() + ((1 - D1) * D2).log().mean()
    slopes = torch.autograd.grad(loss, of_sound, retain_graph=True)
    D1, D2 = y.sigmoid().unbind(1)
    image = torch.stack([w[i, :, k] for i, k in enumerate(frame.tolist())])
    loss = ((1 - D1) * (1 - D2)).log().mean()
    loss = loss - critics.image(image).sigmoid().log().mean()
    loss = loss - critics.video(w).sigmoid().log().mean()
    slopes += torch.autograd.grad(loss, of_picture, retain_graph=True)
    weights = of_sound + of_picture
    old = [x.detach().clone() for x in weights]
    sgd = torch.optim.SGD(G.parameters(), 0.1)
    pairs.update_generators(pairs.PlainRun(), critics, sgd, real, fake, frame, method)
    for was, now, slope in zip(old, weights, slopes, strict=True):
        torch.testing.assert_close(was - now, 0.1 * slope, atol=1e-6, rtol=1e-3)


def test_the_weight_scales_the_pairs_term_alone() -> None:
    method, _, critics, real, fake, frame = make_step("JM")
    one = pairs.generator_terms(critics, real, fake, frame, method)
    ten = pairs.generator_terms(critics, real, fake, frame, pairs.Method(weight=10.0))
    torch.testing.assert_close(ten["pairs"], 10 * one["pairs"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ten["D_V"], one["D_V"])


def test_extra_critics_are_about_as_large_as_the_joint_ones() -> None:
    joint, alone = pairs.PairCritics(2, 16), pairs.AloneCritics(2, 16)
    sizes = [sum(p.numel() for p in net.parameters()) for net in (joint, alone)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05)


# --- The best shares, and a toy that finds them ----------------------------------


GAMES = {
    (False, False): 0.9415,
    (False, True): 0.855,
    (True, False): 0.830,
    (True, True): 0.818,
}


@pytest.mark.parametrize(("ternary", "own"), GAMES)
def test_the_best_shares_are_those_of_the_facts(ternary: bool, own: bool) -> None:
    q = pairs.find_best_shares([0.8, 0.2], ternary, own)
    assert q[0] == pytest.approx(GAMES[ternary, own], abs=6e-4)
    even = pairs.find_best_shares([0.5, 0.5], ternary, own)
    assert even == pytest.approx([0.5, 0.5])
    # Two of three classes are equally common, and stay so.
    three = pairs.find_best_shares([0.4, 0.4, 0.2], ternary, own)
    assert three[0] == pytest.approx(three[1])
    assert three[2] < 0.2


def test_the_best_shares_minimise_the_value() -> None:
    """The value of D1's game at its best D1, on a grid: no formula of a slope."""

    def value(q: float) -> float:
        total = 0.0
        for p, x in ((0.8, q), (0.2, 1 - q)):
            total += p * math.log(p / (p + x * p)) + x * p * math.log(x / (1 + x))
        return total

    grid = [k / 10000 for k in range(1, 10000)]
    best = min(grid, key=value)
    assert pairs.find_best_shares([0.8, 0.2], False, False)[0] == pytest.approx(
        best, abs=1e-3
    )


def test_the_floor_of_equation_2_is_at_the_best_shares() -> None:
    """On a grid: no share brings the kinds of pair nearer, and none to 0."""
    p = [0.8, 0.2]
    grid = [k / 1000 for k in range(1, 1000)]
    best = min(grid, key=lambda q: pairs.measure_kinds(p, [q, 1 - q]))
    assert best == pytest.approx(pairs.find_best_shares(p, True, False)[0], abs=1e-3)
    # The number of the facts, in nats.
    assert pairs.measure_kinds(p, [best, 1 - best]) == pytest.approx(0.117, abs=5e-4)
    # SciPy's two-sided divergence of three densities over the four pairs of classes.
    kinds = np.array(
        [[0.8, 0, 0, 0.2], [0.72, 0.18, 0.08, 0.02], [0.72, 0.08, 0.18, 0.02]]
    )
    apart = scipy.stats.entropy(kinds.T, kinds.mean(0)[:, None]).mean()
    assert pairs.measure_kinds(p, [0.9, 0.1]) == pytest.approx(apart)
    # With one class there is nothing to tell apart.
    assert pairs.measure_kinds([1.0], [1.0]) == pytest.approx(0)


def test_thirteen_classes_of_table_1() -> None:
    counts = pairs.TABLE_1
    assert (len(counts), sum(counts.values())) == (13, 6496)
    p = [n / 6496 for n in counts.values()]
    q = dict(zip(counts, pairs.find_best_shares(p, False, True), strict=True))
    assert 100 * counts["trumpet"] / 6496 == pytest.approx(1.54, abs=0.01)
    assert 100 * q["trumpet"] == pytest.approx(1.14, abs=0.01)
    assert 100 * q["cello"] == pytest.approx(14.9, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("ternary", "own"), GAMES)
def test_the_trained_toy_meets_the_closed_form(ternary: bool, own: bool) -> None:
    """Three seeds, each within a point: the data's 80 % is far outside."""
    for seed in range(3):
        path = pairs.train_mixture((0.8, 0.2), ternary, own, steps=200, seed=seed)
        assert path[-80:, 0].mean().item() == pytest.approx(
            GAMES[ternary, own], abs=0.01
        )


@pytest.mark.slow
def test_jm_fills_four_corners_and_the_shared_latent_two() -> None:
    both = pairs.Method(both_made=True)
    jm = pairs.count_corners(pairs.train_toy(pairs.Method(), pairs.ToyGenerator())[-1])
    assert min(jm.values()) > 0.08, jm
    toy = shared.ToySharedGenerator()
    two = pairs.count_corners(pairs.train_toy(both, toy)[-1])
    assert min(two["(−, −)"], two["(+, +)"]) > 0.3, two
    assert two["(−, +)"] + two["(+, −)"] < 0.05, two


@pytest.mark.slow
def test_without_a_shared_latent_the_pair_of_both_costs_a_cluster() -> None:
    both = pairs.Method(both_made=True)
    made = pairs.count_corners(pairs.train_toy(both, pairs.ToyGenerator())[-1])
    assert sum(share < 0.05 for share in made.values()) >= 2, made
    alone = shared.ToySharedGenerator()
    made = pairs.count_corners(pairs.train_toy(pairs.Method(), alone)[-1])
    assert min(made.values()) > 0.08, made


@pytest.mark.slow
def test_the_usual_gradient_collapses_into_a_wrong_corner() -> None:
    hard = pairs.Method(saturating=False)
    made = pairs.train_toy(hard, pairs.ToyGenerator())[-1]
    corners = pairs.count_corners(made)
    assert corners["(−, +)"] + corners["(+, −)"] > 0.9, corners
