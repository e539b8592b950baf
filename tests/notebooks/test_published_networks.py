"""Notebooks with the networks of the reference runs, so that figures hold pictures.

The networks of a `smoke` run were trained for some steps. Their pictures are grey, so
nobody would see that a figure shows the wrong ones.
"""

import shutil
from pathlib import Path

import matplotlib.image
import numpy as np
import papermill
import pytest

from avnb.course import play
from avnb.course.records import read_finished
from avnb.course.series import step_files


@pytest.fixture
def run_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that executes a step with published networks and unseen music."""
    monkeypatch.setenv("AVNB_HOME", str(tmp_path))

    def run(series: str, step: str) -> Path:
        folder = play.prepare_play(series).parents[1]
        if step == "step7_judge":  # it judges networks that are not published, too
            complete_models(folder)
        (notebook,) = (p for p in step_files(series) if p.stem == step)
        parameters = {"SCALE": "smoke", "RUN_DIR": str(folder)}
        parameters["DATA"] = play.choose_data(series)
        papermill.execute_notebook(
            notebook.with_suffix(".ipynb"),
            tmp_path / "executed.ipynb",
            parameters,
            progress_bar=False,
            kernel_name="python3",
        )
        return folder / "report" / step

    return run


def complete_models(folder: Path) -> None:
    """Let the full model of listen_and_move stand for its networks that are missing."""
    record = read_finished(folder, "step6_train")
    assert record is not None
    values = {entry["name"]: entry["value"] for entry in record["entries"]}
    models = folder / "models"
    for name in ("full_model_early", *values["trained"].values()):
        if not (models / f"{name}.safetensors").exists():
            shutil.copy(
                models / "full_model.safetensors", models / f"{name}.safetensors"
            )


def cut_rows(path: Path, count: int) -> np.ndarray:
    """The rows (count, height, width, 3) of an image grid, with values from 0 to 1."""
    picture = matplotlib.image.imread(path)[..., :3]
    height = len(picture) // count
    return picture[: height * count].reshape(count, height, -1, 3)


def correlate(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "figure", "rows"),
    [
        pytest.param("step7_judge", "films", 4, marks=pytest.mark.weekly),
        ("step8_play", "own", 2),
    ],
)
def test_the_generated_cellist_resembles_the_real_one(
    run_notebook, step: str, figure: str, rows: int
) -> None:
    folder = run_notebook("listen_and_move", step)
    real, made, *_ = cut_rows(folder / f"figure_{figure}.png", rows)
    # Grey pictures would agree with the real ones in the white between them alone.
    grey = np.where(made > 0.99, made, 0.5)
    assert correlate(real, made) > correlate(real, grey) + 0.1


@pytest.mark.slow
def test_the_generated_musicians_have_colours(run_notebook) -> None:
    folder = run_notebook("deep_cross_modal", "step11_play")
    for name in ("swap", "walk"):
        (picture,) = cut_rows(folder / f"figure_{name}.png", 1)
        # An untrained network gives grey noise.
        coloured = picture.max(axis=-1) - picture.min(axis=-1) > 0.1
        assert coloured.mean() > 0.2
