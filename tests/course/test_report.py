"""The report of a run: what was made first, and nothing of another run as its own."""

import html
import types
from pathlib import Path
from typing import Any

import pytest
from IPython.display import Image, Markdown

from avnb import files
from avnb.course import lesson as lessons
from avnb.course import report, study
from avnb.course.lesson import Lesson
from avnb.course.series import load_series
from avnb.viz import show

SOURCE = "the embedded data, scale laptop, 3 seeds, 2026-01-02, commit abc"
MEASURE = {"value": 0.232, "low": 0.095, "high": 0.37, "unit": "points"}


def make_lesson(folder: Path) -> Lesson:
    return Lesson("deep_cross_modal", "step3_x", "smoke", 0, folder, {}, "dogs")


def build(folder: Path, lesson: Lesson, **about: Any) -> str:
    lesson.finish()  # lets its files take their place
    step = {"minutes": 2.0, "peak_memory_mb": 1, "entries": lesson.records.entries}
    made = {"hardware": "x", "date": "today", "avnb": "0", "commit": "c" * 40}
    results = {"series": "deep_cross_modal", "scale": "smoke", "seed": 0}
    results |= {"data": "/mine/dogs", "overrides": {}, "minutes": 2.0}
    results |= {"minutes_of_this_run": 3.4, "peak_memory_mb": 1}
    results |= {"provenance": made | {"torch": "2"}, "steps": {"step3_x": step}}
    files.write_json(folder / "results.json", results | about)
    return report.build_report(folder).read_text()


def test_what_is_of_another_run_stands_apart_with_its_source(tmp_path: Path) -> None:
    lesson = make_lesson(tmp_path)
    row = {"claim": "C beats N", "here": MEASURE, "needed": "> 0", "holds": "holds"}
    here = {"value": 0.1, "unit": "points"}
    lesson.record("claims", [row | {"here": here, "holds": "here yes"}])
    lesson.record("other", [row], "Another run", source=SOURCE)
    lesson.record("traps", [{"file": "a.mp4"}], source="a folder with faults")
    lesson.record("answer", 3)
    page = build(tmp_path, lesson)
    mine, others = page.split("<h2>Not from this run</h2>")
    assert "23.2" not in mine
    assert "a.mp4" not in mine
    assert "10 points" in mine
    assert "<th>this run</th>" in mine
    assert f"Source: {SOURCE}" in others
    assert "23.2 [9.5, 37] points" in others
    assert "a folder with faults" in others


def test_every_player_of_a_notebook_has_its_caption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("avnb.course.lesson._display", shown.append)
    film = tmp_path / "film.mp4"
    film.write_bytes(b"no film")
    lesson = make_lesson(tmp_path / "run")
    lesson.video("film", film, "A clip of a tabla.")
    lesson.audio("tone", [0.0] * 100, 8000, "A tone.")
    text = " ".join(item.data for item in shown)
    assert "A clip of a tabla." in text
    assert "A tone." in text


def test_no_text_of_the_results_acts_as_html(tmp_path: Path) -> None:
    bad = "'><script>alert(1)</script>"
    lesson = make_lesson(tmp_path)
    lesson.record("a" + bad, 1, "b" + bad, source="c" + bad)
    lesson.record("d" + bad, [{"e" + bad: "f" + bad}])
    step = {"minutes": 1.0, "peak_memory_mb": bad, "entries": lesson.records.entries}
    about = {"steps": {"step1" + bad: step}, "data": bad, "overrides": {bad: bad}}
    page = build(tmp_path, lesson, peak_memory_mb=bad, **about)
    assert "<script" not in page
    # A quotation mark would end the attribute that holds the name.
    assert "id='step1'" not in page
    assert page.count(html.escape(bad)) >= 8


def test_the_report_opens_with_what_was_made_then_claims(tmp_path: Path) -> None:
    lesson = make_lesson(tmp_path)
    lesson.record("claims", [{"claim": "a claim", "holds": "here yes"}])
    lesson.record("table5", [{"pictures": "S2I-C"}])
    lesson.record("table1_baselines", [{"x": 1}])
    picture = show.curves({"loss": [3, 2, 1]})
    lesson.figure("losses", picture, "Losses.")
    lesson.figure("figure1", picture, "Pictures from <held-out> sounds.")
    page = build(tmp_path, lesson)
    order = ["What this run made", "held-out", "S2I-C", "a claim", "Step by step"]
    places = [page.index(text) for text in [*order, "Table 1 baselines", "Losses."]]
    assert places == sorted(places)
    assert f"alt='{html.escape('Pictures from <held-out> sounds.')}'" in page
    assert "3.4 minutes" in page  # what passed, not the sum of the steps
    assert page.count("Pictures from") == 2  # alt text and caption, once each
    assert "table1_baselines" not in page


def test_a_notebook_shows_caption_and_alternative_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(lessons, "_display", shown.append)
    lesson = make_lesson(tmp_path)
    lesson.figure("curve", show.curves({"loss": [3, 2, 1]}), "It falls.")
    picture, text = shown
    assert isinstance(picture, Image)
    assert picture.alt == "It falls."
    assert isinstance(text, Markdown)
    assert "It falls." in text.data


def test_the_claims_of_a_run_stand_in_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load_series("deep_cross_modal")
    evidence = {claim.name: 0.1 for claim in module.CLAIMS}
    fake = types.SimpleNamespace(CLAIMS=module.CLAIMS, evidence=lambda run: evidence)
    monkeypatch.setattr(study, "load_series", lambda name: fake)
    lesson = make_lesson(tmp_path)
    study.show_claims(lesson)
    page = build(tmp_path, lesson)
    mine = page.split("<h2>The reference run</h2>")[0]
    assert page.count(html.escape("The paper's claims in this run")) == 1
    assert "10 points" in mine
    assert "no training recorded, no verdict" in mine
    assert "<td>holds" not in mine


def test_fractions_are_shown_in_per_cent() -> None:
    share = {"value": 0.5, "low": 0.4, "high": 0.6, "unit": "fraction"}
    assert show.format_number(share) == "50 [40, 60] %"
    assert show.format_number(MEASURE) == "23.2 [9.5, 37] points"
    error = {"value": 5.5, "low": 5.0, "high": 6.0, "unit": "grey levels"}
    assert show.format_number(error) == "5.5 [5, 6] grey levels"
