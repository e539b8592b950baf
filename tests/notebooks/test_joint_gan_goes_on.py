"""joint_gan: trainings that were cut off, and clips that were not drawn here."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import step_runs
from avnb_notebooks.joint_gan import series
from step_runs import PowerCut, read_steps
from test_joint_gan_data import prepare_noise
from whole_series import find_unnamed, recording_steps

from avnb import files
from avnb.course import runner
from avnb.data.shards import prepare
from avnb.data.sources import ClipSettings
from avnb.errors import ClipsError, LessonError
from data_scripts import hmmd

TINY = {"methods": ("timed",), "steps": 6, "points": 2, "measured": 8}
SETTINGS = ClipSettings(1.024, hop=1.0, fps=10.0, size=32, sample_rate=16000)


def run_step(step: str, run_dir: Path, data: Path, **how: Any) -> dict[str, Any]:
    return step_runs.run_step("joint_gan", step, run_dir, data, **how)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of noise, four clips each in either split."""
    root = tmp_path_factory.mktemp("noise")
    return prepare_noise(root, levels=[0.1, 0.2, 0.1, 0.3], settings=SETTINGS)


@pytest.mark.slow
def test_a_training_cut_off_midway_ends_with_equal_weights(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run_step("step6_train", whole, data, **TINY)
    # after the checkpoint of step 3, before that of step 6
    calls = step_runs.cut_power(monkeypatch, 5)
    with pytest.raises(PowerCut):
        run_step("step6_train", cut, data, **TINY)
    assert not (cut / "models" / "timed.safetensors").exists()
    results = run_step("step6_train", cut, data, **TINY)
    # It went on from step 3: three more calls, and none of the first steps again.
    assert len(calls) == 5 + 3
    name = Path("networks") / "timed"
    assert read_steps(cut / name) == read_steps(whole / name) == [*range(6)]
    for model in ("timed", "judge_sound", "judge_video"):
        path = Path("models") / f"{model}.safetensors"
        assert files.hash_file(cut / path) == files.hash_file(whole / path), model
    assert results["networks"][0]["steps"] == 6

    # Looking at the gradients less often changes no draw of the training.
    seldom = tmp_path / "seldom"
    run_step("step6_train", seldom, data, **(TINY | {"pulls_every": 5}))
    path = Path("models") / "timed.safetensors"
    assert files.hash_file(seldom / path) == files.hash_file(whole / path)

    # More steps go on; a setting that changes the training begins beside it.
    run_step("step6_train", cut, data, **(TINY | {"steps": 8}))
    assert read_steps(cut / name) == [*range(8)]
    run_step("step6_train", cut, data, **(TINY | {"steps": 2, "lr": 1e-3}))
    assert read_steps(cut / f"{name},lr=0.001") == [0, 1]
    assert read_steps(cut / name) == [*range(8)]


@pytest.mark.slow
def test_clips_without_truth_are_looked_at(data: Path, tmp_path: Path) -> None:
    """Of real recordings nobody knows the onsets; in these, nothing moves either."""
    found = run_step("step1_data", tmp_path, data, whole=True)
    counts = {row["class"]: row["test clips"] for row in found["counts"]}
    assert counts == {"a": 4, "b": 4, "all": 8}
    assert {"splits", "shortcuts"} <= set(found)
    assert not {"clock", "oracles"} & set(found)


@pytest.mark.slow
def test_clips_without_truth_are_judged_and_played(tmp_path: Path) -> None:
    """As real recordings: nobody knows their onsets, and the videos differ in length.

    Of the held-out videos one has three clips: too few for a half, against which the
    others could be compared.
    """
    levels = {"a": [0.1, 0.2, 0.1, 0.3, 0.1, 0.2, 0.1], "b": [0.1, 0.2, 0.3]}
    data = prepare_noise(tmp_path, levels=levels, settings=SETTINGS)
    run_step("step6_train", tmp_path, data, **(TINY | {"steps": 2}))
    found = run_step("step7_judge", tmp_path, data, compared=("timed",), clips=10)
    (timed,) = (row for row in found["table4"] if row["videos"] == "timed")
    assert timed["IS (I3D)"]["n"] == timed["FVD"]["n"] == 4
    assert timed["IS (I3D)"]["network"] == "I3D Kinetics-400"
    names = [row["sounds"] for row in found["table3"]]
    assert {"real, held out", "timed", "noise", "silence, grey"} <= set(names)
    measures = {row["measure"] for row in found["coupling"]}
    assert {series.AGREEMENT, series.STRIKES, series.TIMING} <= measures
    # Training clips that are drawn again are clips of few people, not of many.
    shown = {row["clips"]: row["sound recognisable"] for row in found["recognisable"]}
    assert "2 units" in shown["training clips, drawn again"]["note"]
    assert shown["timed"]["network"] == "the ear"
    assert (tmp_path / "vote" / "vote.html").is_file()
    found = run_step("step8_play", tmp_path, data)
    rows = {row["clips"]: row["the judges are right"] for row in found["game"]}
    assert set(rows) == {"real", "timed", "chance"}
    assert rows["chance"]["value"] == 0.25
    assert "units" in rows["real"]["note"]  # people, and not questions


# Real videos of three classes: several rates of frames and of sound, and for one class
# a single video, which is cut in time.
RECORDINGS = {
    "events/drums.mp4": "events/diff_foley/drum.mp4",
    "events/bag.mp4": "events/condfoley/hitting_bag.mp4",
    "music/keys.mp4": "music/piano_hand/piano_full.mp4",
    "talking/face.mp4": "talking/pcavs/00015.mp4",
    "talking/suit.mp4": "talking/retalking/1.mp4",
}


@pytest.mark.slow
@pytest.mark.weekly
def test_real_recordings_come_to_their_report(
    media_folder: Path, tmp_path: Path
) -> None:
    """As README says: avnb prepare hmmd, then avnb run joint_gan --data."""
    for name, of in RECORDINGS.items():
        path = tmp_path / "my_videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(media_folder / of)
    made = replace(hmmd.SETTINGS, fps=10.0, size=32)
    found, problems = hmmd.find_sources(tmp_path / "my_videos", made)
    report = prepare(found, tmp_path / "seconds", made, problems=problems, workers=1)
    assert sum(report.written.values()) > 25
    steps = [number for number, _ in recording_steps("joint_gan")]
    folder = runner.run_series(
        "joint_gan", scale="smoke", data=tmp_path / "seconds", steps=steps,
        overrides={"methods": ("JM", "timed")}, run_dir=tmp_path / "run",
    )  # fmt: skip
    results = json.loads((folder / "results.json").read_text())["steps"]
    assert list(results) == [name for _, name in recording_steps("joint_gan")]
    recorded = {e["name"] for step in results.values() for e in step["entries"]}
    # What only the drawn world knows: when something starts.
    assert set(series.RECORDED) - recorded == {"clock"}
    assert "data:image/png" in (folder / "report.html").read_text()
    assert find_unnamed(folder) == []


@pytest.mark.slow
def test_each_curve_has_the_loss_of_its_own_critic(data: Path, tmp_path: Path) -> None:
    both = "BL, spectrogram too"
    how = TINY | {"methods": ("BL", both), "steps": 2, "judge_steps": 2}
    trained = run_step("step6_train", tmp_path, data, **how)["trainings"]
    beside = {name: row["training_measure"] for name, row in trained.items()}
    assert beside["BL, sound"] == "loss of D_a"
    assert beside["BL, picture"] == "loss of D_V"
    assert beside["BL, coupling"] == "loss of D_a"  # it has no critic of pairs
    # Equal batches and first weights: only what D_a hears is another.
    heard = (trained[f"{name}, sound"]["training"] for name in ("BL", both))
    assert len({str(curve) for curve in heard}) == 2


@pytest.mark.slow
def test_what_step_6_cannot_train_on_is_an_error(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ClipsError, match="a batch: it needs 999 clips"):
        run_step("step6_train", tmp_path / "a", data, batch=999)
    with pytest.raises(LessonError, match="no network is called XM"):
        run_step("step6_train", tmp_path / "b", data, judge_steps=2, methods=("XM",))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"sample_rate": 8000}, "8000"),
        ({"fps": 5.0}, "5"),
        ({"size": 16}, "16"),
    ],
)
def test_prepared_clips_of_another_kind_are_refused_at_once(
    settings: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    made = {"hop": 1.0, "fps": 10.0, "size": 32, "sample_rate": 16000} | settings
    data = prepare_noise(
        tmp_path, levels=[0.1, 0.1], settings=ClipSettings(1.024, **made)
    )
    with pytest.raises(LessonError, match=rf"{problem}(.|\n)*avnb prepare hmmd"):
        run_step("step6_train", tmp_path / "run", data)
