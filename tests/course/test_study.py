"""Claims over seeds: the verdict follows the numbers, not the wish."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from avnb.course import study
from avnb.course.series import load_series, series_folder
from avnb.course.settings import SCALES
from avnb.course.steps import find_calls, read_step
from avnb.errors import LessonError

ROOT = Path(__file__).resolve().parents[2]
SERIES = "deep_cross_modal"


def run_of(
    c: float, n: float, last: float = 0.8, others: int = 9, flat: bool = True
) -> dict:
    """Records of a run in which S2I-C scores `c`, and S2I-N `n` after `others`."""
    networks = {name for claim in load_series(SERIES).CLAIMS for name in claim.networks}
    trained = {name: {"flat": flat, "epochs": 8.7} for name in networks}

    def measure(value: float) -> dict:
        return {"value": value}

    names = ("MS", "LMS", "CQT", "MFCC", "STFT")
    table1 = [
        {"representation": name, "layers": layers, "accuracy": measure(score)}
        for name, score in zip(names, (0.6, 0.9, 0.7, 0.8, 0.75), strict=True)
        for layers in (3, 4)
    ]
    table5 = [
        {"sounds": "test", "pictures": name, "steps": steps}
        | {"EvalClassifier": measure(s), "Γ": measure(s)}
        for name, s, steps in (
            ("S2I-C", c, 9),
            ("S2I-N", n, others),
            ("S2I-A", 0.1, others),
            ("real", 0.95, ""),
        )
    ]
    i2s = [
        {"sounds": name, "EvalClassifier": measure(score)}
        for name, score in (("I2S", 0.5), ("real", 0.9), ("chance", 1 / 13))
    ]
    accuracy = [0.1, 0.8, last]
    curve = {"S2I-C test": {"epoch": [5, 35, 55], "accuracy": accuracy}}
    return {
        "step3_sound_train": {"table1": table1},
        "step5_image_train": {"image_encoder_accuracy": measure(0.97)},
        "step7_sound_to_image_train": {"figure9": curve, "trainings": trained},
        "step10_judge": {"table5": table5, "i2s": i2s},
    }


def verdicts(runs: list[dict]) -> dict[str, str]:
    claims = load_series(SERIES).CLAIMS
    rows = study.judge_claims(SERIES, runs)
    return {c.name: row["holds"] for c, row in zip(claims, rows, strict=True)}


def test_a_claim_holds_fails_or_stays_open_by_its_interval() -> None:
    clear = verdicts([run_of(0.8, 0.2), run_of(0.82, 0.21), run_of(0.79, 0.2)])
    assert clear["c_over_n"] == "holds"
    assert clear["fall"] == "fails"  # the curve ends at its best
    assert clear["i2s_above_chance"] == "holds"
    worse = verdicts([run_of(0.2, 0.8), run_of(0.21, 0.82), run_of(0.2, 0.79)])
    assert worse["c_over_n"] == "fails"
    mixed = verdicts([run_of(0.2, 0.8), run_of(0.8, 0.2), run_of(0.5, 0.5)])
    assert mixed["c_over_n"] == "undecided"


def test_one_run_has_no_interval_and_says_so() -> None:
    one = verdicts([run_of(0.8, 0.2, last=0.1)])
    assert one["c_over_n"] == "here yes"
    assert one["fall"] == "here yes"
    assert verdicts([run_of(0.2, 0.8)])["c_over_n"] == "here no"


def test_networks_that_still_learn_get_no_verdict() -> None:
    short = verdicts([run_of(0.8, 0.2, flat=False)] * 3)
    fall = short.pop("fall")  # its claim is of two epochs, flat or not
    assert fall == "fails"
    assert set(short.values()) == {"trained for 8.7 epochs, no verdict"}


def test_variants_of_unequal_training_are_not_compared() -> None:
    found = verdicts([run_of(0.8, 0.2, others=3)])
    assert found["c_over_n"] == found["c_over_a"] == "not compared"
    assert found["n_over_a"] == "here yes"
    mixed = verdicts([run_of(0.8, 0.2), run_of(0.8, 0.2, others=3)])
    assert mixed["c_over_n"] == "not compared"


def test_networks_that_were_not_trained_are_named() -> None:
    run = run_of(0.8, 0.2)
    judged = run["step10_judge"]
    judged["table5"] = [r for r in judged["table5"] if r["pictures"] == "S2I-C"]
    for values in run.values():
        for name in ("S2I-N", "S2I-A"):
            values.get("trainings", {}).pop(name, None)
    found = verdicts([run])
    no = "not compared: no training of"
    assert found["c_over_n"] == f"{no} S2I-N is recorded"
    assert found["n_over_a"] == f"{no} S2I-N and S2I-A is recorded"
    assert found["i2s_above_chance"] == "here yes"
    run["step3_sound_train"]["table1"].clear()
    for values in run.values():
        for name in [n for n in values.get("trainings", {}) if n.endswith("layers")]:
            del values["trainings"][name]
    assert verdicts([run])["lms_best"] == f"{no} 5 of its networks is recorded"


@pytest.mark.parametrize("scale", ["laptop", "reference"])
def test_a_study_trains_all_that_its_claims_compare(scale: str) -> None:
    module = load_series(SERIES)
    (path,) = series_folder(SERIES).glob("step7_*.py")
    (table,) = find_calls(read_step(path).cells, "lesson.settings")
    rows = eval(ast.unparse(table.args[0]), {"dict": dict})
    row = {name: values[SCALES.index(scale)] for name, values in rows.items()}
    row |= module.OVERRIDES.get(scale, {})
    compared = {name for claim in module.CLAIMS for name in claim.networks}
    assert set(row["variants"]) == {name for name in compared if "S2I" in name}


def test_headlines_are_the_tables_numbers() -> None:
    found = load_series(SERIES).headlines(run_of(0.8, 0.2))
    assert found["S2I-C, test sounds, EvalClassifier"] == 0.8
    assert found["I2S, sounds, EvalClassifier"] == 0.5
    assert found["LMS, 4 layers"] == 0.9


def test_a_study_needs_two_seeds_and_a_series_with_claims() -> None:
    with pytest.raises(LessonError, match="at least two"):
        study.run_study(SERIES, scale="smoke", seeds=(1, 1))
    with pytest.raises(LessonError, match=r"Give one of: .*deep_cross_modal"):
        load_series("deep_cross")


def test_records_and_the_kept_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results").mkdir()
    entries = [
        {"kind": "value", "name": "a", "value": 3},
        {"kind": "figure", "name": "b", "file": "b.png"},
    ]
    (tmp_path / "results" / "step1_x.json").write_text(json.dumps({"entries": entries}))
    assert study.read_records(tmp_path) == {"step1_x": {"a": 3}}
    monkeypatch.setenv("AVNB_HOME", str(tmp_path))
    kept = tmp_path / "runs" / SERIES / "study-laptop.json"
    assert study.study_path(SERIES, "laptop") == kept


@pytest.mark.parametrize(("distance", "spread"), [(1.0, 0.9), (0.5, 0.8), (2.0, 1.0)])
def test_the_number_of_seeds_decides_with_the_promised_probability(
    distance: float, spread: float
) -> None:
    """Against a simulation of studies with that many seeds, and with one less."""
    rng = np.random.default_rng(0)
    values = distance + spread * np.array([-1.0, 0.0, 1.0])  # this mean and deviation
    n = study.count_seeds(values.tolist())
    assert n is not None

    def simulate(count: int) -> float:
        drawn = rng.normal(distance, spread, (20_000, count))
        half = stats.t.ppf(0.975, count - 1) * drawn.std(1, ddof=1) / count**0.5
        return float((drawn.mean(1) - half > 0).mean())

    assert simulate(n) > study.POWER - 0.01
    assert n == 2 or simulate(n - 1) < study.POWER + 0.01


def test_seeds_needed_at_the_limits() -> None:
    assert study.count_seeds([0.3, 0.3]) == 2  # no spread
    assert study.count_seeds([0.0, 0.0]) is None
    assert study.count_seeds([-1.0, 1.0]) is None  # no distance
    # The threshold counts, not zero; and the side does not matter.
    assert study.count_seeds([1.1, 1.3, 0.9], 1.0) == study.count_seeds(
        [-0.1, -0.3, 0.1]
    )
    with pytest.raises(ValueError, match="at least 2"):
        study.count_seeds([1.0])


def test_an_undecided_claim_says_how_many_seeds_it_asks_for() -> None:
    runs = [run_of(0.2, 0.8), run_of(0.8, 0.2), run_of(0.5, 0.4)]
    rows = study.judge_claims(SERIES, runs)
    for row in rows:
        assert ("seeds needed" in row) == (row["holds"] == "undecided")
    row = next(row for row in rows if row["claim"].startswith("S2I-C beats S2I-N"))
    assert row["seeds needed"].endswith("for a verdict with probability 80%")


def test_every_claim_and_every_headline_has_its_unit() -> None:
    module, run = load_series(SERIES), run_of(0.8, 0.2)
    rows = study.judge_claims(SERIES, [run, run_of(0.7, 0.2)])
    for claim, row in zip(module.CLAIMS, rows, strict=True):
        assert row["here"].unit == claim.unit != ""
    for name, number in module.headlines(run).items():
        # No share of anything is above one, as grey levels and distances are.
        assert study.find_unit(module.UNITS, name) == "fraction"
        assert 0 <= number <= 1, name
