"""Steps 3 and 6 of ms_vae: more steps go on, a changed setting is a new training."""

from pathlib import Path

import pytest
from avnb_notebooks.ms_vae import step2_features as step2
from step_runs import read_steps
from test_ms_vae_judge import make_features, run, spans

from avnb import files


def hash_folder(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): files.hash_file(path)
        for path in folder.rglob("*")
        if path.is_file()
    }


def save_features(folder: Path, seed: int) -> None:
    label = [0, 1, 2, 3, 4, 4]
    splits = {
        name: make_features(label, spans(6), seed=seed + i)
        for i, name in enumerate(("train", "test"))
    }
    step2.save_features(folder / "features.safetensors", splits)


@pytest.mark.slow
def test_step_6_goes_on_with_more_epochs(tmp_path: Path) -> None:
    """And other settings, or other features, begin beside what was trained."""
    save_features(tmp_path, seed=1)
    run("step6_train", tmp_path)
    (first,) = (tmp_path / "train").iterdir()
    before = read_steps(first / "ms_vae_w")

    more = {"epochs": 3, "epochs_baselines": 3, "measurements": 2, "save_every": 7}
    run("step6_train", tmp_path, overrides=more)
    assert list((tmp_path / "train").iterdir()) == [first]
    after = read_steps(first / "ms_vae_w")
    assert after[: len(before)] == before  # nothing was trained anew
    assert after[-1] + 1 == (before[-1] + 1) // 2 * 3  # epochs
    assert after == sorted(after)

    kept = hash_folder(first)
    run("step6_train", tmp_path, overrides={"rate": 2e-3})
    (other,) = set((tmp_path / "train").iterdir()) - {first}
    assert other.name == f"{first.name},rate=0.002"
    assert hash_folder(first) == kept

    save_features(tmp_path, seed=5)
    run("step6_train", tmp_path)
    assert len(list((tmp_path / "train").iterdir())) == 3
    assert hash_folder(first) == kept


@pytest.mark.slow
def test_step_3_goes_on_with_more_steps(tmp_path: Path) -> None:
    (row,) = run("step3_extract", tmp_path)["trainings"].values()
    # Two measurements on unheard sounds of each kind, shares of 3 x 28 seconds.
    assert [step for step, _ in row["held_out"]] == [1, 2]
    assert all(share * 84 == pytest.approx(round(share * 84)) for _, share in
               row["held_out"])  # fmt: skip
    assert read_steps(tmp_path / "audio_encoder")[-1] == 1
    run("step3_extract", tmp_path, overrides={"encoder_steps": 5, "encoder_unseen": 2})
    assert [p.name for p in tmp_path.glob("audio_encoder*")] == ["audio_encoder"]
    steps = read_steps(tmp_path / "audio_encoder")
    assert steps[-1] == 4
    assert len(steps) == len(set(steps))
    kept = hash_folder(tmp_path / "audio_encoder")
    run("step3_extract", tmp_path, overrides={"encoder_rate": 5e-4})
    assert (tmp_path / "audio_encoder,encoder_rate=0.0005").is_dir()
    assert hash_folder(tmp_path / "audio_encoder") == kept


@pytest.mark.slow
def test_step_3_takes_the_published_encoder(tmp_path: Path) -> None:
    found = run("step3_extract", tmp_path, overrides={"weights": "reference"})
    assert not (tmp_path / "audio_encoder").exists()  # nothing was trained
    assert "trainings" not in found
    row, chance = found["audio_encoder"]
    assert row["accuracy"]["value"] > 0.9 > chance["accuracy"]["value"]
