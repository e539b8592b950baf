"""Step 7 of cascaded_siamese: it goes on after a cut, and what it cannot train on."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import step_runs
import torch
from avnb_notebooks.cascaded_siamese import series
from avnb_notebooks.cascaded_siamese import step6_baselines as networks
from step_runs import PowerCut, read_steps
from test_joint_gan_data import prepare_noise

from avnb import files, training
from avnb.course.reference import LARGEST
from avnb.data.sources import ClipSettings
from avnb.errors import LessonError

STEP = "step7_train"
TINY = {"methods": ("cascade",), "steps": 6, "points": 2, "measured": 4}
SETTINGS = ClipSettings(1.52, hop=1.52, fps=25.0, size=32, sample_rate=16000)


def run_step(run_dir: Path, data: Path, **overrides: Any) -> dict[str, Any]:
    return step_runs.run_step("cascaded_siamese", STEP, run_dir, data, **overrides)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of noise."""
    root = tmp_path_factory.mktemp("noise")
    return prepare_noise(root, levels=[0.1, 0.2, 0.1, 0.3], settings=SETTINGS)


@pytest.mark.slow
def test_a_training_cut_off_midway_ends_with_equal_weights(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run_step(whole, data, **TINY)
    # after the checkpoint of step 3, before that of step 6
    calls = step_runs.cut_power(monkeypatch, 5)
    with pytest.raises(PowerCut):
        run_step(cut, data, **TINY)
    path = Path("models") / "cascade.safetensors"
    assert not (cut / path).exists()
    results = run_step(cut, data, **TINY)
    # It went on from step 3: three more calls, and none of the first steps again.
    assert len(calls) == 5 + 3
    name = Path("networks") / "cascade"
    assert read_steps(cut / name) == read_steps(whole / name) == [*range(6)]
    assert files.hash_file(cut / path) == files.hash_file(whole / path)
    assert [*results["methods"]] == ["cascade"]
    rows = {row["network"]: row for row in results["networks"]}
    assert rows["the cascade"]["steps"] == 6
    assert set(results["trainings"]) == {"the cascade"}
    made = networks.load_generator(cut, "cascade")
    count = sum(p.numel() for p in made.parameters())
    assert results["weights"] == {"the cascade": count}

    # More steps go on; a setting that changes the training begins beside it.
    run_step(cut, data, **(TINY | {"steps": 8}))
    assert read_steps(cut / name) == [*range(8)]
    run_step(cut, data, **(TINY | {"steps": 2, "lr": 5e-4}))
    assert read_steps(cut / f"{name},lr=0.0005") == [0, 1]
    assert read_steps(cut / name) == [*range(8)]


@pytest.mark.slow
def test_what_step_7_cannot_train_on_is_an_error(data: Path, tmp_path: Path) -> None:
    with pytest.raises(LessonError, match="fewer than a batch of 999"):
        run_step(tmp_path / "a", data, batch=999)
    with pytest.raises(LessonError, match="no network is called cascades"):
        run_step(tmp_path / "b", data, methods=("cascades",))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [({"sample_rate": 8000}, "8000"), ({"fps": 5.0}, "5"), ({"size": 16}, "16")],
)
def test_prepared_clips_of_another_kind_are_refused_at_once(
    settings: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    made = {"hop": 1.52, "fps": 25.0, "size": 32, "sample_rate": 16000} | settings
    data = prepare_noise(
        tmp_path, levels=[0.1, 0.1], settings=ClipSettings(1.52, **made)
    )
    with pytest.raises(LessonError, match=rf"{problem}(.|\n)*avnb prepare phonics"):
        run_step(tmp_path / "run", data)


# --- What the reference run trains and publishes -----------------------------------


def read_setting(name: str) -> tuple[Any, ...]:
    """The row of a setting in the step's table; names are those of step 6."""
    text = step_runs.read_text("cascaded_siamese", STEP)
    (row,) = re.findall(rf"^        {name}=(\(.*\)),", text, flags=re.M)
    known = vars(importlib.import_module(networks.__name__)) | vars(training)
    for line in ("METHODS", "EVERY", "STUDIED", "QUICK", "DEMO"):
        (value,) = re.findall(rf"^{line} = (.*)$", text, flags=re.M)
        known = known | {line: eval(value, known)}
    return tuple(eval(row, known))


def test_the_published_networks_are_trained_at_reference_and_small_enough() -> None:
    reference = 2  # the column
    studied = read_setting("methods")[reference]
    sizes = {"classes": 8, "size": 32, "hidden": read_setting("hidden")[reference]}
    total = 0
    for path in series.PUBLISHED:
        key = Path(path).stem
        if key == "reader":  # step 8 trains it
            continue
        assert key in studied
        width = networks.choose_width(key, read_setting("width")[reference], **sizes)
        with torch.device("meta"):
            net = networks.Generator(key, width=width, **sizes)
        # `shrink_model` rounds matrices and kernels to two bytes a number.
        total += sum(
            (2 if x.ndim > 1 else 4) * x.numel() for x in net.state_dict().values()
        )
    assert total < 0.95 * LARGEST["weights"]  # the reader needs some of it


def test_all_networks_of_the_claims_are_trained_at_reference() -> None:
    known = networks.list_methods()
    studied = {known[key].title for key in read_setting("methods")[2]}
    missing = {method.title for method in known.values()} - studied
    named = {name for claim in series.CLAIMS for name in claim.networks}
    assert named & studied
    assert not named & missing


def test_the_demo_has_the_sources_of_the_reference_run() -> None:
    """Equal data have equal splits: no published network has met a held-out source."""
    assert series.EMBEDDED[1]["laptop"] == series.EMBEDDED[1]["reference"]


@pytest.mark.slow
def test_looking_at_the_gradients_does_not_change_the_training(
    data: Path, tmp_path: Path
) -> None:
    """Batch norms and spectral norms have statistics that a second pass would move."""
    files_of = []
    for every in (1, 50):
        run = tmp_path / f"every {every}"
        few = TINY | {"methods": ("mocogan",), "steps": 3, "pulls_every": every}
        run_step(run, data, **few)
        files_of.append(run / "models" / "mocogan.safetensors")
    one, other = (files.hash_file(path) for path in files_of)
    assert one == other


@pytest.mark.slow
def test_a_training_without_stills_needs_films_that_move(
    data: Path, tmp_path: Path
) -> None:
    """The films of noise are heard, but black in every frame."""
    few = TINY | {"methods": ("cascade_no_stills",), "steps": 2}
    with pytest.raises(LessonError, match="0 training videos something moves"):
        run_step(tmp_path, data, **few)


def test_what_plays_is_trained_at_every_scale_and_published() -> None:
    text = step_runs.read_text("cascaded_siamese", "step9_play")
    (key,) = re.findall(r'^        network=\("(\w+)",\) \* 5,', text, flags=re.M)
    assert all(key in methods for methods in read_setting("methods"))
    assert f"models/{key}.safetensors" in series.PUBLISHED
