"""Steps 7 and 8 of cascaded_siamese on speaking heads: another truth than slides."""

from dataclasses import replace
from pathlib import Path

import pytest
from avnb_notebooks.cascaded_siamese import series
from avnb_notebooks.cascaded_siamese.step1_data import QUANTITIES
from step_runs import run_step

from avnb.data.shards import prepare
from data_scripts import vidtimit
from data_scripts.bandstand.layouts.vidtimit import write_vidtimit


@pytest.mark.slow
def test_heads_are_trained_on_and_judged_by_their_mouths(tmp_path: Path) -> None:
    write_vidtimit(tmp_path / "set", persons=2, sentences=3, size=48, workers=1)
    found, problems = vidtimit.find_sources(tmp_path / "set")
    settings = replace(vidtimit.SETTINGS, size=32)
    clips = tmp_path / "clips"
    prepare(found, clips, settings, problems=problems, workers=1)
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
