"""What a step needs is looked up before any work, and all of it is named at once."""

import json
from pathlib import Path

import pytest
from toy import Toy

from avnb import course
from avnb.course import needs, runner
from avnb.course.records import StepRecords
from avnb.course.series import list_series, step_files
from avnb.course.steps import read_step
from avnb.errors import LessonError

FOURTH = """
# %%
for name in ("a", "b"):
    lesson.need(f"films/{name}.mp4", "step3_use")
lesson.finish()
"""


@pytest.fixture(autouse=True)
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """Step 4 needs step 3, which needs step 1."""
    made = Toy(tmp_path)
    made.write("step4_watch", FOURTH)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AVNB_HOME", str(tmp_path / "home"))
    return made


def finish(run_dir: Path, step: str) -> None:
    records = StepRecords(run_dir, step)
    records.finished = True
    records.save({"peak_memory_mb": 1, "minutes": 1})


def names(run_dir: Path, *numbers: int) -> list[str]:
    steps = [read_step(path) for path in step_files("toy")]
    chosen = [step for step in steps if step.number in numbers]
    return [step.name for step in needs.find_missing(run_dir, steps, chosen)]


def test_needs_are_read_without_running(chain: Toy) -> None:
    cells = read_step(chain.notebooks / "step4_watch.py").cells
    assert needs.find_needs(cells) == [needs.Need("step3_use", "films/*.mp4")]
    cells = read_step(chain.notebooks / "step3_use.py").cells
    assert needs.find_needs(cells) == [
        needs.Need("step1_count"),
        needs.Need("step1_count", "checkpoint.txt"),
    ]


def test_two_files_of_one_step_are_an_error(chain: Toy) -> None:
    (chain.notebooks / "step3_use-copy.py").touch()  # no step's name
    assert len(step_files("toy")) == 4
    (chain.notebooks / "step3_old.py").touch()
    with pytest.raises(LessonError, match=r"step3_old\.py and step3_use\.py are both"):
        step_files("toy")


def test_a_value_of_a_path_may_hold_a_slash(tmp_path: Path) -> None:
    need = needs.find_needs(['lesson.need(f"films/{name}.mp4", "step3_use")'])[0]
    (tmp_path / "films" / "cello").mkdir(parents=True)
    (tmp_path / "films" / "cello" / "first.png").touch()
    assert not needs.is_met(need, tmp_path)
    (tmp_path / "films" / "cello" / "first.mp4").touch()
    assert needs.is_met(need, tmp_path)
    # A star in the text of a path is no value.
    (star,) = needs.find_needs(['lesson.need("films/*.mp4", "step3_use")'])
    assert not needs.is_met(star, tmp_path)


def test_missing_steps_are_found_through_each_other(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert names(out, 4) == ["step1_count", "step3_use"]
    assert names(out, 1, 4) == ["step3_use"]
    assert names(out, 1, 3, 4) == []
    finish(out, "step1_count")
    assert names(out, 3) == ["step1_count"]  # its file is not there
    (out / "checkpoint.txt").touch()
    assert names(out, 4) == ["step3_use"]
    (out / "films").mkdir()
    (out / "films" / "a.mp4").touch()
    assert names(out, 4) == []


def test_a_folder_that_is_empty_or_half_filled_is_not_enough(tmp_path: Path) -> None:
    lesson = course.start("toy", "step1_count", scale="smoke", run_dir=tmp_path / "o")
    models = lesson.run_dir / "models"
    models.mkdir()
    with pytest.raises(LessonError, match="models: it is empty: step1_count makes it"):
        lesson.need("models", "step1_count")
    finish(lesson.run_dir, "step1_count")
    with pytest.raises(LessonError, match="it is empty"):
        lesson.need("models", "step1_count")
    (models / "a").touch()
    assert lesson.need("models", "step1_count") == models
    with pytest.raises(LessonError, match="is not complete: step3_use makes it"):
        lesson.need("models", "step1_count", "step3_use")


def test_a_notebook_names_everything_before_it_works(tmp_path: Path) -> None:
    out = tmp_path / "my run"
    with pytest.raises(LessonError) as told:
        course.start("toy", "step4_watch", scale="smoke", seed=2, run_dir=out)
    text = str(told.value)
    assert "step3_use makes it, and needs step1_count before" in text
    assert f"avnb run toy --scale smoke --seed 2 --run-dir '{out}' --steps 1,3" in text
    # In the folder that the options name, the command needs no --run-dir.
    with pytest.raises(LessonError) as told:
        course.start("toy", "step4_watch", scale="smoke")
    assert str(told.value).endswith("avnb run toy --scale smoke --steps 1,3")
    assert not (tmp_path / "home" / "data").exists()


def test_a_run_names_what_is_missing_or_runs_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed: list[str] = []

    def execute(step, folder, *_: object) -> None:  # type: ignore[no-untyped-def]
        executed.append(step.name)
        (folder / "notebooks").mkdir(exist_ok=True)
        (folder / "notebooks" / step.notebook.name).touch()
        finish(folder, step.name)
        (folder / "checkpoint.txt").touch()
        (folder / "films").mkdir(exist_ok=True)
        (folder / "films" / "a.mp4").touch()

    monkeypatch.setattr(runner, "execute_notebook", execute)
    monkeypatch.setattr(runner.report, "build_report", lambda folder: folder)
    how = {"scale": "smoke", "steps": [4], "run_dir": tmp_path / "out"}
    with pytest.raises(LessonError, match="not there: step1_count, step3_use") as told:
        runner.run_series("toy", **how)
    assert f"--run-dir {tmp_path / 'out'} --steps 4 --with-needed" in str(told.value)
    with pytest.raises(LessonError):
        runner.run_series("toy", **how, confirm=lambda question: False)
    assert executed == []
    asked = []
    runner.run_series("toy", **how, confirm=lambda q: not asked.append(q))
    assert "step1_count, step3_use. Run them too?" in asked[0]
    assert executed == ["step1_count", "step3_use", "step4_watch"]
    runner.run_series("toy", **how)
    assert len(executed) == 3
    # What was deleted by hand is made again, although its step counts as done.
    (tmp_path / "out" / "films" / "a.mp4").unlink()
    runner.run_series("toy", **how, with_needed=True)
    assert executed[3:] == ["step3_use", "step4_watch"]
    made = json.loads((tmp_path / "out" / "results.json").read_text())
    assert list(made["steps"]) == ["step1_count", "step3_use", "step4_watch"]


@pytest.mark.parametrize(
    ("series", "number", "missing"),
    [
        ("deep_cross_modal", 7, [3, 5]),
        ("deep_cross_modal", 9, [3, 5]),
        ("deep_cross_modal", 10, [3, 5, 7, 9]),
        ("deep_cross_modal", 11, [3, 5, 7, 9]),
        ("ms_vae", 6, [3]),
        ("ms_vae", 8, [3, 6]),
        ("listen_and_move", 7, [6]),
    ],
)
def test_each_series_says_what_its_steps_need(
    series: str, number: int, missing: list[int], tmp_path: Path
) -> None:
    steps = [read_step(path) for path in step_files(series)]
    chosen = [step for step in steps if step.number == number]
    found = needs.find_missing(tmp_path, steps, chosen)
    assert [step.number for step in found] == missing


@pytest.mark.parametrize("series", sorted(list_series()))
def test_needs_name_steps_that_exist_and_come_before(series: str) -> None:
    steps = {path.stem: read_step(path) for path in step_files(series)}
    for step in steps.values():
        for need in needs.find_needs(step.cells):
            assert steps[need.maker].number < step.number
