"""Metrics against closed forms, published values and small simulations."""

import json
import math
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from avnb.metrics import (
    Measure,
    accuracy,
    chance,
    frechet_distance,
    human_scores,
    inception_score,
    kernel_distance,
    majority_class,
    mean_over_seeds,
    paired_difference,
    pose_error,
    pose_rows,
    rater_agreement,
    real_against_real,
    state_checksum,
    verdict,
)
from avnb.metrics.intervals import (
    bootstrap_interval,
    crossed_interval,
    jackknife_interval,
    wilson_interval,
)


class Half(nn.Module):
    """A network that sees half of what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training
        return x.flatten(1) * self.weight


def gaussian(n: int, mean: Tensor, covariance: Tensor) -> Tensor:
    """n points with exactly this sample mean and covariance."""
    x = torch.randn(n, len(mean), dtype=torch.float64)
    x = x - x.mean(0)
    x = x @ torch.linalg.inv(torch.linalg.cholesky(x.T.cov())).T
    return x @ torch.linalg.cholesky(covariance).T + mean


# --- Measure


def test_measure_through_json_and_to_read() -> None:
    measure = Measure("x", 0.5, 0.25, 0.75, 40, unit="fraction", note="made so")
    measure = measure.annotate_network(Half(), "judge").annotate(split="test", seed=3)
    assert Measure.from_dict(json.loads(json.dumps(measure.as_dict()))) == measure
    text = str(measure)
    for part in ("50 %", "[25, 75]", "n = 40", "judge", "test", "seed 3", "made so"):
        assert part in text
    assert measure.checksum[:8] in text
    unbounded = Measure("x", 1.0, -math.inf, math.inf, 1)
    again = json.loads(json.dumps(unbounded.as_dict(), allow_nan=False))
    assert Measure.from_dict(again) == unbounded
    with pytest.raises(ValueError, match="does not hold the value"):
        Measure("x", 2.0, 0.0, 1.0, 3)


def test_checksum_sees_every_weight() -> None:
    first, same = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
    same.load_state_dict(first.state_dict())
    assert state_checksum(first) == state_checksum(same)
    with torch.no_grad():
        same.weight[3, 2, 2, 2] += 1e-6
    assert state_checksum(first) != state_checksum(same)
    # a buffer counts, and a type, and so does a scalar or bfloat16
    norm = nn.BatchNorm1d(3)
    before = state_checksum(norm)
    norm.running_mean += 1
    assert state_checksum(norm) != before
    assert state_checksum(first) != state_checksum(first.to(torch.bfloat16))


# --- accuracies and intervals


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17, Table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_has_the_published_values(
    right: int, n: int, low: float, high: float
) -> None:
    assert wilson_interval(right, n) == pytest.approx((low, high), abs=5e-5)
    # and the mirror image
    assert wilson_interval(n - right, n) == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_accuracy_of_clips() -> None:
    predicted = torch.tensor([0, 1, 2, 2])
    measure = accuracy(predicted, torch.tensor([0, 1, 2, 0]))
    assert measure.value == 0.75
    assert (measure.low, measure.high) == wilson_interval(3, 4)
    assert measure.n == 4
    with pytest.raises(ValueError, match="3 predictions for 4 targets"):
        accuracy(predicted[:3], predicted)


def test_accuracy_by_recording_is_wider_where_clips_agree() -> None:
    # 20 recordings of 50 clips, each wholly right or wholly wrong
    right = torch.arange(20).remainder(2).repeat_interleave(50)
    recordings = [f"r{i // 50}" for i in range(1000)]
    target = torch.ones(1000, dtype=torch.long)
    naive = accuracy(right, target)
    honest = accuracy(right, target, recordings)
    assert naive.value == honest.value == 0.5
    assert honest.high - honest.low > 5 * (naive.high - naive.low)
    assert "20 units" in honest.note
    again = accuracy(right, target, recordings)
    assert honest == again


def test_perfect_accuracy_is_not_certain() -> None:
    target = torch.zeros(600, dtype=torch.long)
    perfect = accuracy(target, target, [i // 100 for i in range(600)])
    assert perfect.high == 1
    assert perfect.low == pytest.approx(wilson_interval(6, 6)[0])
    alone = accuracy(target, target, ["one"] * 600)
    assert alone.low < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("count", [8, 25])
def test_bootstrap_covers(count: int) -> None:
    # recordings of unlike sizes and skills around 0.6: the interval holds the truth
    # about 95 times in 100, where one that ignores recordings fails often
    random = np.random.default_rng(0)
    hits = naive_hits = 0
    trials = 400
    for trial in range(trials):
        skill = random.beta(6, 4, count)
        sizes = random.integers(20, 40, count)
        right = np.concatenate(
            [random.random(n) < p for p, n in zip(skill, sizes, strict=True)]
        )
        recordings = np.repeat(np.arange(count), sizes).tolist()
        low, high = bootstrap_interval(
            right.astype(float), recordings, seed=trial, resamples=500
        )
        hits += low <= 0.6 <= high
        low, high = wilson_interval(int(right.sum()), len(right))
        naive_hits += low <= 0.6 <= high
    assert 0.91 < hits / trials < 0.985
    assert naive_hits / trials < 0.75


def test_bootstrap_of_one_recording_says_nothing() -> None:
    assert bootstrap_interval(np.ones(5), ["a"] * 5) == (-math.inf, math.inf)
    with pytest.raises(ValueError, match="2 units for 5 clips"):
        bootstrap_interval(np.ones(5), ["a", "b"])


def test_trivial_rows() -> None:
    row = chance(13)
    assert row.low == row.value == row.high == 1 / 13
    train = torch.tensor([2, 2, 2, 0, 1])
    row = majority_class(train, torch.tensor([2, 0, 0, 2, 1, 1, 1, 1]))
    assert row.value == 0.25
    assert "class 2" in row.note


def test_mean_over_seeds_is_students_interval() -> None:
    values = [0.71, 0.66, 0.74, 0.69]
    measure = mean_over_seeds(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (measure.low, measure.high) == pytest.approx(tuple(expected))
    assert (measure.n, measure.counted) == (4, "seeds")
    same = mean_over_seeds([0.5, 0.5, 0.5])  # no spread at all
    assert same.low == same.high == same.value
    with pytest.raises(ValueError, match="at least 2"):
        mean_over_seeds([0.7])


def test_paired_difference_and_verdict() -> None:
    better, worse = [0.70, 0.80, 0.75], [0.60, 0.71, 0.64]
    difference = paired_difference(better, worse)
    expected = stats.ttest_rel(better, worse).confidence_interval(0.95)
    assert (difference.low, difference.high) == pytest.approx(tuple(expected))
    assert verdict(difference) == "holds"
    assert verdict(paired_difference(worse, better)) == "fails"
    assert verdict(paired_difference([0.9, 0.5, 0.7], [0.6, 0.7, 0.65])) == "undecided"
    assert verdict(mean_over_seeds(better), above=0.9) == "fails"
    with pytest.raises(ValueError, match="3 and 2 values"):
        paired_difference(better, worse[:2])


def test_jackknife_of_a_mean_is_its_standard_error() -> None:
    x = np.random.default_rng(0).normal(size=20)
    value, low, high = jackknife_interval(
        lambda kept: float(x[kept[0]].mean()), (20,), None
    )
    expected = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert value == pytest.approx(x.mean())
    assert (low, high) == pytest.approx(tuple(expected))


# --- distances


def test_frechet_of_two_gaussians_is_the_closed_form() -> None:
    torch.manual_seed(0)
    root = torch.randn(5, 5, dtype=torch.float64)
    one = root @ root.T + torch.eye(5)
    root = torch.randn(5, 5, dtype=torch.float64)
    two = root @ root.T + torch.eye(5)
    means = torch.randn(2, 5, dtype=torch.float64)
    real, fake = gaussian(300, means[0], one), gaussian(200, means[1], two)
    values, vectors = torch.linalg.eigh(one)
    half = vectors @ values.sqrt().diag() @ vectors.T
    cross = torch.linalg.eigvalsh(half @ two @ half).sqrt().sum()
    expected = (means[0] - means[1]).square().sum() + (one + two).trace() - 2 * cross
    network = Half().double()
    measure = frechet_distance(real, fake, network, network_name="half")
    # the network halves the features: a quarter of the squared distance
    assert measure.value == pytest.approx(float(expected) / 4, rel=1e-6)
    assert measure.low < measure.value < measure.high
    assert (measure.n, measure.network) == (200, "half")
    assert measure.checksum == state_checksum(network)
    assert network.training  # left as it was found


def test_frechet_floor_shrinks_with_n() -> None:
    torch.manual_seed(0)
    real = torch.randn(800, 8)
    small = real_against_real(frechet_distance, real, Half(), n=30)
    large = real_against_real(frechet_distance, real, Half())
    assert (small.n, large.n) == (30, 400)
    assert small.value > 3 * large.value > 0
    assert "real against real" in large.name


def test_kernel_distance_is_the_unbiased_estimator() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(12, 3), torch.randn(12, 3) + 0.5

    def mean_kernel(a: Tensor, b: Tensor, same: bool) -> float:
        pairs = [
            float((a[i] @ b[j] / 4 / 3 + 1) ** 3)  # / 4: half of each
            for i in range(12)
            for j in range(12)
            if not (same and i == j)
        ]
        return sum(pairs) / len(pairs)

    expected = mean_kernel(x, x, True) + mean_kernel(y, y, True)
    expected -= 2 * mean_kernel(x, y, False)
    assert kernel_distance(x, y, Half()).value == pytest.approx(expected, rel=1e-5)


def test_distances_leave_all_random_generators_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(30, 3), torch.randn(20, 3)
    # `torch.manual_seed` calls this, also where no GPU is there.
    reset: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", reset.append)
    before = torch.get_rng_state()
    first = kernel_distance(x, y, Half(), seed=1)
    inception_score(x, Half())
    assert torch.equal(torch.get_rng_state(), before)
    assert reset == []
    torch.randn(1)
    # The subsets depend on the seed alone.
    assert kernel_distance(x, y, Half(), seed=1) == first
    assert kernel_distance(x, y, Half(), seed=2) != first


@pytest.mark.gpu
def test_a_kernel_distance_keeps_the_random_numbers_of_a_gpu() -> None:
    torch.cuda.manual_seed_all(7)
    expected = torch.randn(3, device="cuda")
    torch.cuda.manual_seed_all(7)
    x = torch.randn(30, 3).cuda()
    kernel_distance(x, x[:20], Half().cuda())
    assert torch.equal(torch.randn(3, device="cuda"), expected)


def test_kernel_distance_of_the_same_is_about_zero() -> None:
    torch.manual_seed(0)
    real = torch.randn(400, 4)
    same = kernel_distance(real, torch.randn(400, 4), Half())
    assert same.low < 0 < same.high
    assert abs(same.value) < 0.03
    away = kernel_distance(real, torch.randn(60, 4) + 2, Half())
    assert away.low > 0
    floor = real_against_real(kernel_distance, real, Half())
    assert floor.n == 200
    assert abs(floor.value) < 0.05


def test_kernel_distance_draws_nothing_from_the_callers_generator() -> None:
    before = torch.random.get_rng_state()
    a, b = torch.ones(30, 2), torch.zeros(20, 2)
    first = kernel_distance(a, b, Half())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first == kernel_distance(a, b, Half())


def test_distances_know_which_items_share_a_recording() -> None:
    torch.manual_seed(0)
    recordings = [i // 30 for i in range(300)]
    other_recordings = [10 + r for r in recordings]
    real = torch.randn(10, 4).repeat_interleave(30, 0) + 0.1 * torch.randn(300, 4)
    fake = torch.randn(10, 4).repeat_interleave(30, 0) + 0.1 * torch.randn(300, 4)
    naive = frechet_distance(real, fake, Half())
    apart = frechet_distance(real, fake, Half(), units=(recordings, other_recordings))
    assert naive.value == apart.value
    assert apart.high - apart.low > 1.5 * (naive.high - naive.low)
    # generated from the same recordings: what these have in common cancels
    paired = frechet_distance(real, real + 1, Half(), units=(recordings, recordings))
    unpaired = frechet_distance(
        real, real + 1, Half(), units=(recordings, other_recordings)
    )
    assert paired.high - paired.low < 0.5 * (unpaired.high - unpaired.low)
    alone = frechet_distance(real, fake, Half(), units=([0] * 300, recordings))
    assert (alone.low, alone.high) == (-math.inf, math.inf)
    with pytest.raises(ValueError, match="one each"):
        frechet_distance(real, fake, Half(), units=(recordings, recordings[:-1]))


def test_distances_need_a_few_items() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        frechet_distance(torch.zeros(3, 2), torch.zeros(9, 2), Half())
    with pytest.raises(ValueError, match="must give"):
        frechet_distance(torch.zeros(9, 2, 2), torch.zeros(9, 2, 2), nn.Identity())


def test_inception_score_from_one_to_the_number_of_classes() -> None:
    one_hot = torch.eye(7).repeat(10, 1) * 1000
    best = inception_score(one_hot, Half(), network_name="judge")
    assert best.value == pytest.approx(7, rel=1e-6)
    assert "7 classes" in best.note
    collapsed = inception_score(one_hot[:1].repeat(70, 1), Half())
    assert collapsed.value == pytest.approx(1)
    unsure = inception_score(torch.zeros(70, 7), Half())
    assert unsure.value == pytest.approx(1)
    # half the images at one class, half at another
    two = inception_score(one_hot[[0, 1] * 20], Half())
    assert two.value == pytest.approx(2, rel=1e-6)


# --- pose and people


def test_pose_error_in_widths() -> None:
    true = torch.tensor([[0.1, 0.5], [0.3, float("nan")], [0.2, 0.2]])
    generated = torch.tensor([[0.2, 0.5], [0.3, 0.9], [0.2, 0.6]])
    measure = pose_error(generated, true)
    assert measure.value == pytest.approx((0.05 + 0.0 + 0.2) / 3)
    assert measure.low <= measure.value <= measure.high
    assert measure.unit == "widths"
    with pytest.raises(ValueError, match="same clips and joints"):
        pose_error(generated[:1], true)


def test_pose_rows_stand_in_order() -> None:
    torch.manual_seed(0)
    true = torch.rand(200, 3)
    recordings = [i // 10 for i in range(200)]
    rows = pose_rows(
        true + 0.05 * torch.randn(200, 3),
        true,
        true + 0.01 * torch.randn(200, 3),
        recordings,
    )
    error, shuffled, trivial, floor = rows
    assert floor.high < error.low < error.high < trivial.low < shuffled.value
    # E|U - V| = 1/3 for independent uniforms; E|U - 1/2| = 1/4
    assert shuffled.value == pytest.approx(1 / 3, abs=0.03)
    assert trivial.value == pytest.approx(1 / 4, abs=0.02)
    assert "20 units" in error.note
    # no clip meets its own truth
    shuffled = pose_rows(true, true, true, recordings)[1]
    assert shuffled.low > 0.2
    assert pose_rows(true[:2], true[:2], true[:2])[1].value > 0


def test_human_scores() -> None:
    records = [
        {"method": "S2I-C", "score": s, "rater": r}
        for r, scores in {"a": [3, 3, 2], "b": [1, 3, 3]}.items()
        for s in scores
    ]
    records += [{"method": "S2I-N", "score": 0, "rater": "a"} for _ in range(4)]
    found = human_scores(records)
    assert list(found) == ["S2I-C", "S2I-N"]
    best = found["S2I-C"]
    assert best.mean.value == pytest.approx(2.5)
    assert best.mean.low <= 2.5 <= best.mean.high
    assert "2 raters" in best.mean.note
    assert [s.value for s in best.fractions] == pytest.approx([0, 1 / 6, 1 / 6, 4 / 6])
    assert (best.fractions[3].low, best.fractions[3].high) == wilson_interval(4, 6)
    worst = found["S2I-N"]
    assert worst.mean.value == 0
    assert "one rater" in worst.mean.note
    assert (worst.fractions[0].low, worst.fractions[0].high) == wilson_interval(4, 4)
    with pytest.raises(ValueError, match="record 0: score 4"):
        human_scores([{"method": "x", "score": 4}])


def test_agreement_is_krippendorffs_alpha() -> None:
    """His own example of four observers and twelve units: 0.849 for interval data."""
    rows = (
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    )
    records = [
        {"ballot": f"unit {k}", "rater": rater, "score": int(score)}
        for rater, row in enumerate(rows)
        for k, score in enumerate(row.split())
        if score != "."
    ]
    found = rater_agreement(records)
    assert found is not None
    assert found.value == pytest.approx(0.849, abs=5e-4)
    assert found.n == 40  # the last unit has a single observer, who counts nowhere
    assert found.low < found.value < found.high


def test_agreement_is_that_of_a_plain_loop_and_chance_is_0() -> None:
    random = np.random.default_rng(0)
    scores = random.integers(1, 10, (300, 4))
    same = scores[:, :1].repeat(4, axis=1)
    for table, wanted in ((scores, 0.0), (same, 1.0), (scores * [1, 1, 1, -1], None)):
        every = table.flatten().astype(float)
        pairs = [
            np.mean([(a - b) ** 2 for a, b in permutations(row, 2)]) for row in table
        ]
        apart = (every[:, None] - every[None]) ** 2
        alpha = 1 - np.mean(pairs) / (apart.sum() / (len(every) * (len(every) - 1)))
        records = [
            {"ballot": str(k), "score": int(x)} for k, r in enumerate(table) for x in r
        ]
        found = rater_agreement(records)
        assert found is not None
        assert found.value == pytest.approx(alpha)
        if wanted is not None:
            assert found.value == pytest.approx(wanted, abs=0.1)
    alone = [{"ballot": str(k), "score": k} for k in range(5)]
    assert rater_agreement(alone) is None
    assert rater_agreement([{"ballot": "a", "score": 3}] * 4) is None


def test_people_who_disagree_widen_the_shares_of_their_scores() -> None:
    """Each of five people gives the same score to all: that is five answers, not 50."""
    records = [{"method": "x", "score": 3 * (r < 3), "rater": r} for r in range(5)] * 10
    share, alike = human_scores(records)["x"].fractions[3], wilson_interval(30, 50)
    assert share.value == 0.6
    assert share.low < alike[0] - 0.1
    assert share.high > alike[1] + 0.1


def test_an_interval_over_raters_and_items_is_that_of_the_crossed_design() -> None:
    """The variance of a mean is σ²/raters + τ²/items where both effects add up."""
    rng = np.random.default_rng(2)
    raters, items = rng.normal(0, 1, 30), rng.normal(0, 2, 50)
    values = (raters[:, None] + items).ravel()
    who, what = np.repeat(range(30), 50).tolist(), np.tile(range(50), 30).tolist()
    low, high = crossed_interval(values, who, what, seed=1)
    error = math.sqrt(raters.var(ddof=1) / 30 + items.var(ddof=1) / 50)
    assert high - low == pytest.approx(2 * 2.01 * error, rel=0.12)
    assert low <= values.mean() <= high
    # Either kind alone leaves a part of it out.
    for units in (who, what):
        one = bootstrap_interval(values, units, seed=1)
        assert one[1] - one[0] < high - low
    # The result depends on who rated what, not on the order of the ratings.
    order = rng.permutation(len(values))
    mixed = crossed_interval(
        values[order], [who[i] for i in order], [what[i] for i in order], seed=1
    )
    assert mixed == pytest.approx((low, high), abs=0.15)


def test_an_interval_over_two_kinds_of_units_needs_several_of_both() -> None:
    values, several = np.arange(4.0), [0, 1, 2, 3]
    assert crossed_interval(values, [0] * 4, several) == (-math.inf, math.inf)
    assert crossed_interval(values, several, [0] * 4) == (-math.inf, math.inf)
    # Most pairs have no rating: some draws hold none at all.
    low, high = crossed_interval(values, several, several)
    assert -math.inf < low <= 1.5 <= high < math.inf
