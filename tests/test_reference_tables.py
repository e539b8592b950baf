"""README's numbers are those of the reference runs."""

import re
import types
from pathlib import Path
from typing import Any

import pytest
import reference_tables

from avnb.course import speed
from avnb.course.reference import describe_reference, load_reference
from avnb.course.series import list_series, load_series

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
MEASURE = {"value": 0.232, "low": 0.095, "high": 0.37, "unit": "points"}
ROWS = [{"who": "A", "x": MEASURE}]
FOUND = {
    "series": "toy",
    "seeds": [0, 1],
    "minutes": [60.0, 62.0],
    "provenance": {"hardware": "x", "date": "2026-01-02", "commit": "c" * 40},
    "claims": [
        {
            "claim": "A|B helps",
            "paper": "Sec. 1",
            "measured": "a - b",
            "here": MEASURE,
            "needed": "> 0",
            "holds": "holds",
        }
    ],
    "steps": {
        "step1": {
            "commit": "c" * 40,
            "entries": [{"name": "table1", "value": [{"who": "A", "x": MEASURE}]}],
        }
    },
}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_tables, "load_reference", lambda series: FOUND)


def block(what: str, content: str = "old\n") -> str:
    return f"Before.\n<!-- reference toy {what} -->\n{content}<!-- end -->\nAfter.\n"


def test_readme_holds_what_the_reference_runs_found() -> None:
    assert reference_tables.write_blocks(README) == README, (
        "README's tables are not those of results/: make results"
    )
    blocks = set(re.findall(r"<!-- reference (\w+) (\S+) -->", README))
    for series in list_series():
        if load_series(series).CLAIMS:
            assert {(series, "about"), (series, "claims")} <= blocks
    assert README.count("<!-- reference ") == README.count("<!-- end -->") > 0


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("what", "told"),
    [
        (
            "claims",
            "| the paper claims | mean over seeds [95 % interval] | verdict |\n"
            "| --- | --- | --- |\n"
            "| A\\|B helps | 23.2 [9.5, 37] points | holds |\n",
        ),
        ("table1", "| who | x |\n| --- | --- |\n| A | 23.2 [9.5, 37] points |\n"),
        (
            "about",
            "Source: the embedded data, scale reference, seeds 0, 1, at least 61 "
            "minutes each, x, 2026-01-02, commit cccccccccccc.\n",
        ),
    ],
)
def test_a_block_is_written_between_its_markers(what: str, told: str) -> None:
    written = reference_tables.write_blocks(block(what))
    assert written == block(what, told)
    assert reference_tables.write_blocks(written) == written


@pytest.mark.usefixtures("made")
def test_the_minutes_are_those_of_the_series_and_of_the_published_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = types.SimpleNamespace(MINUTES={"laptop": (22.6, 107.0)})
    monkeypatch.setattr(speed, "load_series", lambda name: own)
    monkeypatch.setattr(speed, "load_reference", lambda series: FOUND)
    monkeypatch.setattr(reference_tables, "list_series", lambda: {"toy": ""})
    text = "<!-- reference all minutes -->\nold\n<!-- end -->\n"
    head = "| series | `laptop` | `reference` |\n| --- | --- | --- |\n"
    row = "| `toy` | 22.6 min at 107 GFLOP/s | at least 61 minutes |\n"
    assert reference_tables.write_blocks(text) == text.replace("old\n", head + row)
    del own.MINUTES
    monkeypatch.setattr(speed, "load_reference", lambda series: None)
    row = "| `toy` | not measured yet | not measured yet |\n"
    assert reference_tables.write_blocks(text) == text.replace("old\n", head + row)
    hours = FOUND | {"minutes": [120.0, 150.0]}
    monkeypatch.setattr(speed, "load_reference", lambda series: hours)
    took = reference_tables.list_minutes("toy")["`reference`"]
    assert took == "at least 2.2 hours"
    # README says the time of one run in both places.
    assert f", {took} each, " in describe_reference(hours)


@pytest.mark.usefixtures("made")
def test_a_table_that_nobody_recorded_is_told() -> None:
    with pytest.raises(SystemExit, match="toy table9: no such table"):
        reference_tables.write_blocks(block("table9"))


def test_a_series_without_a_reference_run_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reference_tables, "load_reference", lambda series: None)
    assert "not published yet" in reference_tables.write_blocks(block("claims"))


@pytest.mark.parametrize("series", sorted(list_series()))
def test_a_reference_run_is_of_the_claims_that_the_series_has(series: str) -> None:
    found: dict[str, Any] | None = load_reference(series)
    if found is None:
        pytest.skip(f"no reference run of {series} is published")
    claims = load_series(series).CLAIMS
    assert [row["claim"] for row in found["claims"]] == [one.text for one in claims]
    for row, claim in zip(found["claims"], claims, strict=True):
        # The verdict agrees with the number that stands beside it.
        here, verdict = row["here"], row["holds"]
        if verdict == "holds":
            assert here["low"] > claim.above
        elif verdict == "fails":
            assert here["high"] < claim.above
        elif verdict.startswith("here"):
            assert (here["value"] > claim.above) == (verdict == "here yes")
        assert not here or here["unit"] == claim.unit
        assert ("seeds needed" in row) == (verdict == "undecided")
