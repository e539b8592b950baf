"""What a step says of its trainings, and that no verdict goes beyond them."""

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avnb.course import study, trainings
from avnb.course.lesson import Lesson
from avnb.course.records import read_finished, select_values
from avnb.course.series import Claim, list_series, load_series
from avnb.course.trainings import find_trainings
from avnb.viz import show

FLAT = [0.1, *[0.9] * 15]
RISING = np.linspace(0.1, 0.9, 16)


@pytest.fixture
def lesson(tmp_path: Path) -> Lesson:
    return Lesson("ms_vae", "step6_train", "smoke", 0, tmp_path, {})


def judge(
    monkeypatch: pytest.MonkeyPatch, claim: Claim, runs: list[dict[str, Any]]
) -> str:
    fake = types.SimpleNamespace(
        CLAIMS=(claim,), evidence=lambda run: {claim.name: run["step7"]["number"]}
    )
    monkeypatch.setattr(study, "load_series", lambda name: fake)
    (row,) = study.judge_claims("any", runs)
    assert row["here"] != ""  # the number is told in any case
    return str(row["holds"])


def run_of(number: float, **flat: tuple[bool, float | None]) -> dict[str, Any]:
    rows = {
        name: {"flat": is_flat, "epochs": e, "steps": 160}
        for name, (is_flat, e) in flat.items()
    }
    return {"step6": {"trainings": rows}, "step7": {"number": number}}


def test_a_training_is_recorded_with_its_curves_and_drawn(lesson: Lesson) -> None:
    found = lesson.record_training(
        "A", epochs=12.5, steps=160, held_out=FLAT, training=np.zeros(1000),
        better="higher", unit="accuracy", training_unit="loss",
    )  # fmt: skip
    assert found.flat
    lesson.record_training(
        "B", epochs=0.5, steps=160, held_out=[(0, 3.0), (80, 2.0), (160, 1.0)],
        better="lower",
    )  # fmt: skip
    lesson.finish()
    record = read_finished(lesson.run_dir, lesson.step)
    assert record is not None
    kept = find_trainings({lesson.step: select_values(record["entries"])})
    assert [row["flat"] for row in kept.values()] == [True, False]
    assert kept["A"]["epochs"] == 12.5
    # The last of 16 measurements at equal distances is at the end.
    assert kept["A"]["held_out"][0] == [10.0, 0.1]
    assert kept["A"]["held_out"][-1] == [160.0, 0.9]
    assert kept["B"]["held_out"] == [[0, 3.0], [80, 2.0], [160, 1.0]]
    assert len(kept["A"]["training"]) <= trainings.MOST_POINTS
    figures = [e for e in record["entries"] if e["kind"] == "figure"]
    assert [e["name"] for e in figures] == ["training_A", "training_B"]
    assert "12.5 epochs" in figures[0]["caption"]
    assert "accuracy goes from 0.1 to 0.9" in figures[0]["caption"]
    assert "is flat at the end" in figures[0]["caption"]
    assert "3 measurements are too few" in figures[1]["caption"]


def test_a_curve_that_jumps_is_said_to_jump() -> None:
    how = {"epochs": 1, "steps": 16, "better": "higher", "negligible": 0.0}
    row = trainings.describe_training(
        [0.1, 0.5, 0.9, 0.4] * 4, (), measure="accuracy", training_measure="", **how
    )
    told = trainings.explain_training("A", row)
    assert "jumps too much to tell" in told
    assert "still brought" not in told


def test_both_curves_are_drawn_with_their_axes() -> None:
    how = {"epochs": 1, "steps": 16, "better": "higher", "negligible": 0.0}
    row = trainings.describe_training(
        FLAT, RISING, measure="accuracy", training_measure="", **how
    )
    (place,) = trainings.draw_training(row).axes
    drawn = {line.get_label(): line.get_ydata().tolist() for line in place.lines}
    assert drawn == {"training data": RISING.tolist(), "held-out data": FLAT}
    assert (place.get_xlabel(), place.get_ylabel()) == ("step", "accuracy")
    row |= {"training_measure": "loss"}
    left, right = trainings.draw_training(row).axes
    assert (left.get_ylabel(), right.get_ylabel()) == ("loss", "accuracy")
    assert [len(place.lines) for place in (left, right)] == [1, 1]


def test_a_thinned_curve_keeps_its_mean_and_its_course() -> None:
    long = trainings.place_curve(np.arange(2000.0), 4000)
    thin = trainings.thin_curve(long)
    assert len(thin) == trainings.MOST_POINTS
    np.testing.assert_allclose(thin.mean(0), long.mean(0))
    np.testing.assert_allclose(np.diff(thin[:, 0]), 10.0)


CLAIM = Claim("c", "A beats B", "p", "a - b", unit="points", networks=("A", "B"))


def test_flat_networks_get_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(0.5, A=(True, 30), B=(True, 31))
    assert judge(monkeypatch, CLAIM, [run]) == "here yes"
    assert judge(monkeypatch, CLAIM, [run] * 3) == "holds"
    worse = run_of(-0.5, A=(True, 30), B=(True, 31))
    assert judge(monkeypatch, CLAIM, [worse] * 3) == "fails"


def test_others_get_the_length_of_their_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = run_of(0.5, A=(True, 30), B=(False, 0.4))
    assert judge(monkeypatch, CLAIM, [run]) == "trained for 0.4 epochs, no verdict"
    flat = run_of(0.5, A=(True, 30), B=(True, 31))
    # One run that is too short is enough.
    told = judge(monkeypatch, CLAIM, [flat, run])
    assert told == "trained for 0.4 epochs, no verdict"
    both = run_of(0.5, A=(False, 8.66), B=(False, 0.4))
    told = judge(monkeypatch, CLAIM, [both])
    assert told == "trained for 0.4 to 8.66 epochs, no verdict"
    # Batches that are drawn anew make no epochs.
    endless = run_of(0.5, A=(False, None), B=(True, 31))
    told = judge(monkeypatch, CLAIM, [endless])
    assert told == "trained for 160 steps, no verdict"


def test_what_was_not_recorded_gets_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    none = "no training recorded, no verdict"
    assert judge(monkeypatch, CLAIM, [run_of(0.5, A=(True, 3))]) == none
    unnamed = Claim("c", "A beats B", "p", "a - b")
    assert judge(monkeypatch, unnamed, [run_of(0.5, A=(True, 3))]) == none


def test_a_budget_that_is_the_claim_gets_a_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    budget = Claim("c", "A learns faster", "p", "a - b", budget="after equal minutes")
    assert judge(monkeypatch, budget, [run_of(0.5)]) == "here yes"
    (row,) = study.judge_claims("any", [run_of(0.5)])
    assert row["measured"] == "a - b, after equal minutes"


def test_a_table_says_how_long_without_the_curves(lesson: Lesson) -> None:
    row = {"epochs": 0.4, "steps": 9, "measure": "accuracy", "points": 2, "flat": False}
    row |= {"held_out": [[4, 0.2], [9, 0.3]], "training": []}
    page = show.table_html(trainings.list_trainings({"S2I-C": row}))
    for text in ("S2I-C", "0.4", "accuracy", "0.2", "0.3", "<td>no</td>"):
        assert text in page


@pytest.mark.parametrize("series", sorted(list_series()))
def test_each_claim_names_its_networks_or_its_budget(series: str) -> None:
    for claim in load_series(series).CLAIMS:
        assert claim.networks or claim.budget, f"{series}: {claim.name}"
