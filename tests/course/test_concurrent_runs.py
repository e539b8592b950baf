"""Two processes in one run folder: two runs wait, and a draft disturbs no record."""

import io
import json
import multiprocessing
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console
from toy import Toy

from avnb.course import runner
from avnb.course.lesson import Lesson
from avnb.course.run_lock import lock_run


def test_a_second_run_waits_for_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Toy(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    executed = []
    monkeypatch.setattr(runner, "execute_notebook", lambda *a: executed.append(a))
    out, page = tmp_path / "shared", io.StringIO()
    out.mkdir()
    how = {
        "scale": "smoke",
        "steps": [2],
        "run_dir": out,
        "console": Console(file=page),
    }
    second = threading.Thread(target=runner.run_series, args=("toy",), kwargs=how)
    with lock_run(out, print):
        second.start()
        for _ in range(600):
            if "Another avnb run works in" in page.getvalue():
                break
            time.sleep(0.1)
        assert f"Another avnb run works in {out}. This one waits" in page.getvalue()
        assert second.is_alive()
        assert not executed
    second.join(timeout=60)
    assert not second.is_alive()
    assert len(executed) == 1
    assert (out / "results.json").is_file()


def start(run_dir: Path, step: str = "step1_count") -> Lesson:
    lesson = Lesson("toy", step, "smoke", 0, run_dir, {})
    lesson.save()
    return lesson


def read(run_dir: Path) -> dict:
    return json.loads((run_dir / "results" / "step1_count.json").read_text())


def test_a_step_that_is_begun_again_keeps_its_finished_record(tmp_path: Path) -> None:
    first = start(tmp_path)
    first.record("count", 1)
    first.finish()
    before = read(tmp_path)
    again = start(tmp_path)
    again.record("count", 2)
    assert read(tmp_path) == before
    assert before["finished"]
    assert start(tmp_path, "step3_use").load_results("step1_count") == {"count": 1}
    again.finish()
    assert read(tmp_path)["entries"][0]["value"] == 2


def _begin(run_dir: Path) -> None:
    start(run_dir).audio("tone", [0.1] * 100, 8000)


@pytest.mark.slow
def test_a_step_that_another_process_begins_keeps_its_files(tmp_path: Path) -> None:
    """A reader opens a notebook while `avnb run` executes the same one."""
    lesson = start(tmp_path)
    lesson.audio("tone", [0.0] * 100, 8000)
    other = multiprocessing.get_context("spawn").Process(
        target=_begin, args=(tmp_path,)
    )
    other.start()
    other.join()
    assert other.exitcode == 0
    lesson.finish()
    entry = read(tmp_path)["entries"][0]
    assert (tmp_path / entry["file"]).is_file()
    # What the other process left is deleted as soon as the step begins once more.
    start(tmp_path)
    assert len(list((tmp_path / "unfinished").iterdir())) == 1


def test_a_readers_copy_of_a_draft_stays(tmp_path: Path) -> None:
    name = start(tmp_path).records.draft.name
    kept = {f"{name} copy", f"{name}.zip", f"{name}{'9' * 12}"}
    for one in kept:
        (tmp_path / "unfinished" / one).mkdir(parents=True)
    start(tmp_path)
    assert {path.name for path in (tmp_path / "unfinished").iterdir()} >= kept


def test_each_name_has_a_file_of_its_own(tmp_path: Path) -> None:
    lesson = start(tmp_path)
    names = ("a b", "a_b", "A b", "a/b", "a b")  # the last one replaces the first
    for k, name in enumerate(names):
        lesson.records.add_media("figure", name, ".png", bytes([k]), "")
    lesson.finish()
    found = {e["name"]: tmp_path / e["file"] for e in read(tmp_path)["entries"]}
    assert {name: path.read_bytes()[0] for name, path in found.items()} == {
        "a b": 4, "a_b": 1, "A b": 2, "a/b": 3,
    }  # fmt: skip


def test_a_free_folder_is_taken_without_a_word(tmp_path: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        with lock_run(tmp_path, told.append):
            assert not told
