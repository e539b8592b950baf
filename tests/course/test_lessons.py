"""Settings, records, exercises; a toy series run for real by the command."""

import html
import inspect
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from notebook_tools import FIRST_CELL
from toy import Toy, toy  # noqa: F401  (a fixture)

from avnb import course, files
from avnb.course import exercises, kernels
from avnb.course.embedded import CLIP_OPTIONS, make_embedded_data
from avnb.course.folders import default_run_dir
from avnb.course.runner import find_first_media
from avnb.course.series import list_series, load_series
from avnb.course.settings import Settings
from avnb.data.scripts import load_script
from avnb.errors import LessonError

TABLE = {
    "width": (8, 32, 32, 64, 128),
    "rate": (0.1, 0.1, 0.1, 1.0, 1.0),
    "flip": (True, True, True, True, False),
    "name": ("a", "b", "r", "c", "d"),
    "sizes": ((1,), (1, 2), (2,), (3,), (4,)),
    "limit": (None, 5, 5, 5, 5),
}


def test_settings_take_the_column_of_the_scale() -> None:
    for i, scale in enumerate(course.SCALES):
        found = Settings(scale, {}, TABLE)
        assert found.as_dict() == {name: row[i] for name, row in TABLE.items()}
        assert found.width == TABLE["width"][i]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"width": "3"}, 3),
        ({"rate": "1"}, 1.0),
        ({"rate": 2}, 2.0),
        ({"flip": "false"}, False),
        ({"name": "3"}, "3"),
        ({"sizes": "(7, 8)"}, (7, 8)),
        ({"sizes": [7, 8]}, (7, 8)),
        ({"limit": "None"}, None),
    ],
)
def test_overrides_are_read_as_the_type_of_the_field(given: dict, read: object) -> None:
    name = next(iter(given))
    found = getattr(Settings("laptop", given, TABLE), name)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("scale", "overrides", "told"),
    [
        ("tiny", {}, "smoke, laptop, reference, gpu, paper"),
        ("smoke", {"widht": 3}, "width, rate, flip"),
        ("smoke", {"width": "many"}, "int"),
        ("smoke", {"width": 1.5}, "int"),
        ("smoke", {"width": True}, "int"),
        ("smoke", {"flip": 1}, "bool"),
        ("smoke", {"name": 3}, "str"),
    ],
)
def test_wrong_settings_say_what_is_right(
    scale: str, overrides: dict, told: str
) -> None:
    with pytest.raises(LessonError, match=told):
        Settings(scale, overrides, TABLE)


def test_a_row_without_all_scales_is_refused() -> None:
    with pytest.raises(LessonError, match="one value for each of"):
        Settings("smoke", {}, {"width": (1, 2, 3)})


def test_settings_are_frozen_and_show_their_table() -> None:
    found = Settings("gpu", {"width": 5}, TABLE)
    with pytest.raises(AttributeError, match="frozen"):
        found.width = 3
    with pytest.raises(AttributeError, match="give one of width"):
        _ = found.depth
    shown = found._repr_html_()
    assert "<s>64</s> 5 (overridden)" in shown
    assert shown.count("background") == 1 + len(TABLE)


def test_changes_are_overrides_with_another_value() -> None:
    assert Settings("gpu", {}, TABLE).changes() == {}
    own = Settings("gpu", {}, TABLE).as_dict()
    assert Settings("gpu", own, TABLE).changes() == {}
    changed = own["width"] + 1
    assert Settings("gpu", own | {"width": changed}, TABLE).changes() == {
        "width": changed
    }


def test_what_a_training_depends_on_names_its_folder() -> None:
    plain, suffix = Settings("gpu", {}, TABLE).fix("flip")
    assert suffix == ""
    assert plain == {k: row[3] for k, row in TABLE.items() if k != "flip"}
    free, flipped = Settings("gpu", {"flip": not TABLE["flip"][3]}, TABLE).fix("flip")
    assert (free, flipped) == (plain, "")
    other, suffix = Settings("gpu", {"width": 5}, TABLE).fix("flip")
    assert suffix == ",width=5"
    assert other == plain | {"width": 5}
    with pytest.raises(KeyError, match="flop"):
        Settings("gpu", {}, TABLE).fix("flop")


def test_plain_keeps_values_and_knows_no_nan() -> None:
    value = {"t": torch.tensor([1.5, 2]), "n": np.float32(np.nan), 3: (1,)}
    made = files.to_jsonable(value)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["t"] == [1.5, 2.0]
    assert made["n"] is None
    with pytest.raises(TypeError, match="object"):
        files.to_jsonable(object())


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, 1)

    def broken(handle: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        files.write_json(path, 2)
    assert files.read_json(path) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def check_double(answer: Any) -> None:
    assert answer(3) == 6, f"double(3): the answer is {answer(3)}. It should be 6"


DOUBLE = course.Exercise(
    "double", "?", check_double, lambda x: 2 * x, ("Add it.", "To itself.")
)


def test_an_exercise_tells_right_from_wrong(capsys: pytest.CaptureFixture) -> None:
    course.try_exercise(DOUBLE, DOUBLE.solution)
    assert capsys.readouterr().out == "✔ double\n"
    course.try_exercise(DOUBLE, lambda x: 3 * x)
    told = capsys.readouterr().out
    assert "✘ double: double(3): the answer is 9. It should be 6" in told
    assert "Add it" not in told  # a hint is given only on request
    course.try_exercise(DOUBLE, lambda: 2)
    assert "Your code stopped with TypeError" in capsys.readouterr().out


@pytest.mark.slow
def test_nothing_passes_where_asserts_are_left_out() -> None:
    code = (
        "from avnb.course import exercises\n"
        "def check(answer):\n    assert answer() == 1, 'it is 2'\n"
        "one = exercises.Exercise('one', '?', check, lambda: 1)\n"
        "exercises.try_exercise(one, lambda: 2)\n"
    )
    for options, told in (((), "it is 2"), (("-O",), "runs with -O")):
        done = subprocess.run(
            [sys.executable, *options, "-c", code],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.startswith("✘ one: ")
        assert told in done.stdout


def test_hints_come_one_at_a_time_and_on_request(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exercises, "_tried", {})
    monkeypatch.setattr(exercises, "_hints_given", Counter())
    course.show_hint()
    assert "Try an exercise first" in capsys.readouterr().out
    course.try_exercise(DOUBLE, lambda x: 3 * x)
    capsys.readouterr()
    for told in ("Hint 1 of 2: Add it.", "Hint 2 of 2: To itself.", "no further hint"):
        course.show_hint()
        assert told in capsys.readouterr().out
    other = course.Exercise("other", "?", check_double, lambda x: x, ("Think.",))
    course.show_hint(other)
    assert "Hint 1 of 1: Think." in capsys.readouterr().out


def test_nothing_is_wrong_before_it_is_tried(capsys: pytest.CaptureFixture) -> None:
    def described(x: float) -> float:
        """Twice x."""
        ...

    def passed() -> None:
        pass

    class Layer(torch.nn.Module):
        """Twice x."""

        def __init__(self, width: int) -> None:
            super().__init__()
            self.width = width

        def forward(self, x: torch.Tensor) -> torch.Tensor: ...

    class Written(Layer):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * x

    for stub in (lambda x: None, described, passed, Layer):
        course.try_exercise(DOUBLE, stub)
        assert "○ double: write your code" in capsys.readouterr().out
    assert not exercises.is_untouched(Written)
    assert not exercises.is_untouched(lambda x: x)
    assert not exercises.is_untouched(lambda x: 1)
    assert not exercises.is_untouched(abs)


def test_show_source_is_the_live_source() -> None:
    shown = course.show_source(pytest.importorskip, Toy).data
    assert "toy.py, line" in shown
    assert "outcomes.py, line" in shown
    assert "another distribution" in shown
    assert shown.count("<details>") == 2


def luminance(colour: str) -> float:
    """The relative luminance of "#rrggbb" or "#rgb" (WCAG 2.1)."""
    digits = colour.lstrip("#")
    wide = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    linear = [
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
        for c in (int(wide[i : i + 2], 16) / 255 for i in (0, 2, 4))
    ]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_shown_source_can_be_read_on_light_and_dark_pages(dark: bool) -> None:
    assert contrast("#fff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    shown = course.show_source(Settings, luminance).data
    sheet = re.search(r"<style>(.*?)</style>", shown, re.S)[1]
    rules = re.findall(r"([^\n{]+?) \{ (.*?) \}", sheet)
    own = [
        (selector, dict(part.split(": ", 1) for part in body.split("; ")))
        for selector, body in rules
        if selector.startswith(":is(") == dark and " pre" not in selector
    ]
    ((_, box),) = [rule for rule in own if {"background", "color"} <= rule[1].keys()]
    coloured = {
        selector.rpartition(".")[2]: contrast(style["color"], style["background-color"])
        if "background-color" in style
        else contrast(style["color"], box["background"])
        for selector, style in own
        if "color" in style
    }
    # Every kind of word that is shown: its own colour, or that of the box.
    for kind in set(re.findall(r'<span class="(\w+)">', shown)) - {"w"}:
        assert coloured.get(kind, contrast(box["color"], box["background"])) >= 4.5
    assert contrast(box["color"], box["background"]) >= 4.5
    assert min(coloured.values()) < 21


def test_first_cell_does_nothing_at_home_and_is_python() -> None:
    exec(FIRST_CELL, {})
    assert max(map(len, FIRST_CELL.splitlines())) <= 88


# --- the toy series, run by the command in an empty home ---------------------------


@pytest.fixture(scope="module")
def ran(toy: Toy) -> Toy:  # noqa: F811
    done = toy.avnb("run", "toy", "--scale", "smoke", "--set", "count=5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "report.html" in done.stdout
    return toy


def folder(toy: Toy) -> Path:  # noqa: F811
    return toy.folder / "runs" / "toy" / "smoke-count=5"


def answers(toy: Toy) -> dict:  # noqa: F811
    results = json.loads((folder(toy) / "results.json").read_text())
    return {
        entry["name"]: entry["value"]
        for step in results["steps"].values()
        for entry in step["entries"]
        if entry["kind"] == "value"
    }


def test_a_run_ends_in_results_with_their_origin(ran: Toy) -> None:
    results = json.loads((folder(ran) / "results.json").read_text())
    assert list(results["steps"]) == ["step1_count", "step3_use"]
    assert {"date", "avnb", "commit", "python", "torch", "hardware"} <= set(
        results["provenance"]
    )
    assert results["overrides"] == {"count": "5"}
    assert all(step["peak_memory_mb"] > 10 for step in results["steps"].values())
    assert answers(ran)["count"] == 5
    assert answers(ran)["answer"] == 10


def test_a_run_says_when_its_first_picture_was_there(ran: Toy) -> None:
    results = json.loads((folder(ran) / "results.json").read_text())
    first = results["minutes_to_first_media"]
    assert 0 < first < results["minutes_of_this_run"]


def test_the_first_picture_is_the_oldest_of_this_run(tmp_path: Path) -> None:
    assert find_first_media(tmp_path, 1000.0) is None
    for name, when in (("a/1.png", 900), ("a/2.wav", 1300), ("b/3.mp4", 1090)):
        path = tmp_path / "report" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (when, when))
    assert find_first_media(tmp_path, 1000.0) == pytest.approx(1.5)
    assert find_first_media(tmp_path, 2000.0) is None  # all of it was there before


def test_the_report_holds_everything_itself(ran: Toy) -> None:
    page = (folder(ran) / "report.html").read_text()
    assert "http" not in page
    assert "data:image/png;base64," in page
    assert "data:audio/wav;base64," in page
    assert html.escape("It falls <slowly>.") in page
    assert "0.5 [0.4, 0.6]" in page
    assert "two is more than one" in page
    assert "Counting" in page


def test_executed_notebooks_show_their_output(ran: Toy) -> None:
    made = nbformat.read(folder(ran) / "notebooks" / "step1_count.ipynb", 4)
    kinds = {kind for c in made.cells for o in c.get("outputs", []) for kind in o.data}
    assert {"image/png", "text/html"} <= kinds


def test_what_is_done_is_not_done_again(ran: Toy) -> None:
    same = ("run", "toy", "--scale", "smoke", "--set", "count=5")
    second = ran.avnb(*same)
    assert second.stdout.count("done before") == 3, second.stdout + second.stderr

    # An imported module counts as source of the step that imports it.
    module = ran.notebooks / "step2_define.py"
    module.write_text(module.read_text().replace("2 * x", "3 * x"))
    third = ran.avnb(*same)
    assert third.stdout.count("done before") == 2, third.stdout + third.stderr
    assert answers(ran)["answer"] == 15

    # A comment and a docstring are read by people only.
    module.write_text(
        module.read_text().replace(
            "    return 3", '    """Three times."""  # not twice\n    return 3'
        )
    )
    assert "Three times" in module.read_text()
    assert ran.avnb(*same).stdout.count("done before") == 3


def test_a_failing_cell_is_named_and_good_results_stay(ran: Toy) -> None:
    same = ("run", "toy", "--scale", "smoke", "--set", "count=5")
    out = ("--run-dir", str(folder(ran)))
    good = (folder(ran) / "notebooks" / "step3_use.ipynb").read_bytes()
    records = (folder(ran) / "results" / "step3_use.json").read_bytes()
    curve = folder(ran) / "report" / "step1_count" / "figure_curve.png"
    assert curve.is_file()
    # A result written by hand since is noticed, and what follows is done again too.
    results = folder(ran) / "results" / "step1_count.json"
    results.write_text(results.read_text().replace("\n", "\n\n", 1))
    done = ran.avnb(*same, "--set", "depth=13", *out)
    assert "done before" not in done.stdout.replace("step2_define: done before", "")
    assert done.returncode == 1
    assert "step3_use failed in cell [6]" in done.stderr
    assert "if settings.depth == 13:" in done.stderr
    assert "RuntimeError: thirteen is too deep" in done.stderr
    assert "Traceback" not in done.stderr
    named = Path(done.stderr.strip().splitlines()[-1].rpartition(" ")[2])
    assert named.name == "step3_use.failed.ipynb"
    made = nbformat.read(named, as_version=4)
    assert any("thirteen" in str(cell.get("outputs")) for cell in made.cells)
    # What was good is still there, and the failure goes when the step succeeds.
    assert (folder(ran) / "notebooks" / "step3_use.ipynb").read_bytes() == good
    assert (folder(ran) / "results" / "step3_use.json").read_bytes() == records
    assert curve.is_file()
    assert ran.avnb(*same).returncode == 0
    assert not named.exists()
    assert not list((folder(ran) / "notebooks").glob("*.running.ipynb"))


def test_a_changed_setting_has_a_run_of_its_own(ran: Toy) -> None:
    before = (folder(ran) / "results.json").read_bytes()
    done = ran.avnb("run", "toy", "--scale", "smoke", "--set", "count=6")
    assert done.returncode == 0, done.stderr
    assert folder(ran).with_name("smoke-count=6").is_dir()
    assert (folder(ran) / "results.json").read_bytes() == before


def test_runs_that_differ_do_not_share_a_folder(tmp_path: Path) -> None:
    def name(**options: Any) -> str:
        return default_run_dir("toy", "smoke", **options).name

    assert name() == "smoke"
    assert name(seed=2, overrides={"b": "1", "a": 2}) == "smoke-seed2-a=2-b=1"
    assert name(overrides={"a": "2"}) == name(overrides={"a": 2})
    # Values that a file name cannot hold, or many of them, stay different.
    assert name(overrides={"a": "x/y"}) != name(overrides={"a": "x_y"})
    long = [name(overrides={"a": (*range(40), last)}) for last in (1, 2)]
    assert long[0] != long[1]
    assert max(map(len, long)) < 100
    # So do two folders of the same name.
    first, second = (name(data=str(tmp_path / place / "clips")) for place in "ab")
    assert first != second
    assert first.startswith("smoke-clips-")


def test_a_log_gets_a_line_when_a_step_begins_and_ends(ran: Toy) -> None:
    done = ran.avnb("run", "toy", "--scale", "smoke", "--set", "count=7")
    lines = [line for line in done.stdout.splitlines() if "step" in line]
    assert [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in lines[:2]] == [
        "step1_count begins (1 of 3)",
        lines[1].split(" ", 1)[1],
    ]
    assert re.fullmatch(r"\d\d:\d\d:\d\d step1_count: \d+\.\d min", lines[1])
    assert len(lines) == 6
    assert "━" not in done.stdout  # the bar


def test_kernels_sleep_while_they_wait(ran: Toy) -> None:
    """The variables are there when the kernel begins, before any library is loaded."""
    assert answers(ran)["environment"]["OMP_WAIT_POLICY"] == "PASSIVE"


@pytest.mark.parametrize(
    ("load", "cores", "threads"),
    [(0.1, 4, 0), (1.2, 4, 3), (2.0, 2, 1), (7.5, 2, 1), (0.9, 2, 1)],
)
def test_threads_are_those_that_are_free(
    load: float, cores: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(kernels, "measure_load", lambda: load)
    monkeypatch.setattr(kernels, "count_cores", lambda: cores)
    assert kernels.choose_threads() == threads
    made = kernels.build_environment(threads)
    assert made.get("OMP_NUM_THREADS", "0") == str(threads)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert kernels.choose_threads() == 0
    assert kernels.build_environment(0).get("OMP_NUM_THREADS") is None
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert kernels.build_environment(0)["OMP_WAIT_POLICY"] == "ACTIVE"


def test_a_step_alone_says_which_step_it_needs(toy: Toy) -> None:  # noqa: F811
    alone = toy.folder / "alone"
    done = toy.avnb(
        "run", "toy", "--scale", "smoke", "--steps", "3", "--run-dir", str(alone)
    )
    assert done.returncode == 1
    assert "is needed first and is not there: step1_count" in done.stderr
    assert f"--run-dir {alone} --steps 3 --with-needed" in done.stderr


WITH_DATA = [s for s in sorted(list_series()) if hasattr(load_series(s), "EMBEDDED")]


@pytest.mark.parametrize("name", WITH_DATA)
def test_a_series_data_is_made_by_a_script_that_takes_its_options(name: str) -> None:
    script, scales = load_series(name).EMBEDDED
    assert tuple(scales) == course.SCALES
    known = {
        *CLIP_OPTIONS,
        *inspect.signature(load_script(script).find_sources).parameters,
    }
    for options in scales.values():
        assert set(options) <= known


def test_a_series_without_data_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("avnb_notebooks.ms_vae.series.EMBEDDED")
    with pytest.raises(LessonError, match=r"no embedded data\. Give DATA"):
        make_embedded_data("smoke", "ms_vae", 0)
