"""cascaded_siamese on speaking heads, whose truth is another than that of slides."""

from dataclasses import replace
from pathlib import Path

import pytest
from avnb_notebooks.cascaded_siamese import series
from avnb_notebooks.cascaded_siamese.step1_data import QUANTITIES
from step_runs import run_step

from avnb.data.shards import prepare
from data_scripts import vidtimit
from data_scripts.bandstand.layouts.vidtimit import write_vidtimit


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three persons with three sentences each, so that three are held out."""
    root = tmp_path_factory.mktemp("heads")
    write_vidtimit(root / "set", persons=3, sentences=3, size=48, workers=1)
    found, problems = vidtimit.find_sources(root / "set")
    settings = replace(vidtimit.SETTINGS, size=32)
    prepare(found, root / "clips", settings, problems=problems, workers=1)
    return root / "clips"


@pytest.mark.slow
def test_heads_are_looked_at_as_heads(clips: Path, tmp_path: Path) -> None:
    """Step 1 says what its data are, and compares nobody with other persons."""
    found = run_step("cascaded_siamese", "step1_data", tmp_path, clips, whole=True)
    assert {row["set"] for row in found["oracles"]} == {"heads"}
    assert {row["quantity"] for row in found["oracles"]} == {
        series.MOUTH,
        QUANTITIES["mouth_width"],
    }
    for row in found["shortcuts"]:
        assert "among films" in row
        assert "among source videos" not in row  # 0 % by construction
    assert "entrances" not in found


@pytest.mark.slow
def test_heads_are_trained_on_judged_and_played_with(
    clips: Path, tmp_path: Path
) -> None:
    keys = ("cascade", "cascade_residual", "mocogan")
    trained = run_step(
        "cascaded_siamese", "step7_train", tmp_path / "run", clips, methods=keys
    )
    assert [*trained["methods"]] == [*keys]
    found = run_step("cascaded_siamese", "step8_judge", tmp_path / "run", clips)
    # Step 8 compares networks of equal size by what step 7 has counted.
    for row in found["equal"]:
        assert row["weights, equal steps"] == trained["weights"][row["videos"]]
    # No object enters, so nothing is said of entrances; mouths are read and compared.
    assert "entrances_made" not in found
    assert "spread" not in found
    videos = {row["videos"] for row in found["motion"]}
    assert {"the cascade", "residual cascade (ours)", "real videos"} <= videos
    read = {row["quantity"] for row in found["motion"]}
    assert read == {series.MOUTH, QUANTITIES["mouth_width"]}
    opened = [row for row in found["motion"] if row["quantity"] == series.MOUTH]
    assert all("vowels minus m, b, p" in row for row in opened)
    claims = {row["claim"]: row for row in found["claims"]}
    (mouth,) = (row for text, row in claims.items() if "Ours: the mouth" in text)
    (ours,) = (row for row in opened if row["videos"] == "residual cascade (ours)")
    assert mouth["here"]["value"] == pytest.approx(ours["pairs"]["value"])
    (enters,) = (row for text, row in claims.items() if "Ours: the object" in text)
    assert enters["holds"] == "not compared"
    # Whatever the reader says of real videos, it says the same of them once more.
    kept = {row["videos"]: row for row in found["kept"]}
    assert kept["real videos"]["read as the real one, held out"]["value"] == 1
    # A still has no moment of its own, so that any sound fits it equally well.
    aligned = {row["videos"]: row for row in found["av_align"]}
    assert {*aligned} <= videos
    still = aligned[series.STILL]
    assert still["AV-Align"]["value"] == pytest.approx(
        still["with another's sound"]["value"]
    )
    offsets = {row["videos"]: row for row in found["sync"]}
    assert {*offsets} == {*aligned}
    played = run_step("cascaded_siamese", "step9_play", tmp_path / "run", clips)
    assert played["reactions"][0]["other frame"] > 0
