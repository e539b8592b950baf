"""Open the playing notebook of a series with the weights of its reference run."""

import shutil
from pathlib import Path

import papermill

from avnb import files
from avnb.course.embedded import make_embedded_data
from avnb.course.fingerprint import hash_cells
from avnb.course.folders import find_home, require_writable
from avnb.course.needs import find_missing
from avnb.course.reference import SCALE, require_reference, restore_run
from avnb.course.series import load_series, step_files
from avnb.course.steps import SeriesStep, read_code_cells, read_step
from avnb.errors import LessonError

WRITTEN = "play.json"  # says what the notebook was when it was written
# A world of the same seed is the same at every scale, as far as it goes: with the seed
# of the reference run the reader would play what its networks were trained on.
UNSEEN_SEED = 99


def prepare_play(series: str) -> Path:
    """Make a folder in which the playing notebook finds all that it needs.

    It is `runs/SERIES/play`. It gets the published models and what the steps of the
    reference run recorded, so nothing is trained. The clips are the embedded data of
    the scale, the seed and the changed options that the series gives as `PLAY_DATA`. By
    default these are `smoke`, which is drawn in a minute, `UNSEEN_SEED`, and none.

    Args:
        series: the series' name.

    Returns:
        The notebook, with its parameters filled in. One that the reader has changed
        stays as it is.

    Raises:
        LessonError: the series has no playing notebook or no reference run, or that
            run publishes less than the notebook needs.
    """
    everything = [read_step(path) for path in step_files(series)]
    step = find_playing_step(series, everything)
    require_reference(series)  # before anything is written
    folder = require_writable(find_home() / "runs" / series / "play")
    # What an older reference run left must not stand for what this one lacks.
    shutil.rmtree(folder / "results", ignore_errors=True)
    for path in folder.rglob("*.safetensors"):
        path.unlink()
    restore_run(series, folder, leave_out=[step.name])
    if missing := find_missing(folder, everything, [step]):
        raise LessonError(
            f"series {series!r}",
            f"its reference run does not publish what {step.name} needs of "
            f"{', '.join(one.name for one in missing)}",
            "Name the files in PUBLISHED of its series.py, and publish it again",
        )
    data = choose_data(series)
    parameters = {"SCALE": SCALE, "RUN_DIR": str(folder), "DATA": data}
    return write_notebook(step, folder, parameters)


def find_playing_step(series: str, everything: list[SeriesStep]) -> SeriesStep:
    """The last step of a series that is called stepN_play.

    Raises:
        LessonError: it has none.
    """
    found = [step for step in everything if step.name.endswith("_play")]
    if not found:
        raise LessonError(
            f"series {series!r}",
            "it has no playing notebook stepN_play",
            "Open its notebooks with `avnb lab`",
        )
    return found[-1]


def choose_data(series: str) -> str:
    """The clips to play with; empty where the series has no embedded data."""
    module = load_series(series)
    if not hasattr(module, "EMBEDDED"):
        return ""
    scale, seed, *changes = getattr(module, "PLAY_DATA", ("smoke", UNSEEN_SEED))
    return str(make_embedded_data(scale, series, seed, *changes))


def write_notebook(step: SeriesStep, folder: Path, parameters: dict[str, str]) -> Path:
    """Write a notebook with its parameters, unless the reader has changed it."""
    path, record = folder / "notebooks" / step.notebook.name, folder / WRITTEN
    written = files.read_json(record) if record.is_file() else None
    if written and path.is_file() and hash_cells(read_code_cells(path)) != written:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    papermill.execute_notebook(
        step.notebook,
        path,
        parameters,
        prepare_only=True,
        progress_bar=False,
        kernel_name="python3",
        language="python",
    )
    files.write_json(record, hash_cells(read_code_cells(path)))
    return path
