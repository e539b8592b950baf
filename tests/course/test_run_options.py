"""The options of a run: the kind of data, seeds, overrides, and what it prints."""

import dataclasses
import inspect
import io
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from rich.console import Console
from toy import Toy
from typer.testing import CliRunner

from avnb import course
from avnb.course import cli, commands, kernels, runner, speed
from avnb.course.lesson import check_data
from avnb.course.series import list_series, load_series, step_files
from avnb.course.steps import SeriesStep, read_code_cells, share_overrides
from avnb.data import scripts
from avnb.data.shards import prepare
from avnb.data.sources import ClipSettings, Source
from avnb.errors import LessonError
from avnb.media import write_frames


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    made = Toy(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return made


# --- the kind of data ---------------------------------------------------------------


def declared_settings(series: str) -> ClipSettings:
    script, _ = load_series(series).EMBEDDED
    settings: ClipSettings = scripts.load_script(script).SETTINGS
    return settings


WITH_DATA = [s for s in sorted(list_series()) if hasattr(load_series(s), "EMBEDDED")]


@pytest.mark.parametrize("series", WITH_DATA)
def test_a_series_wants_its_own_embedded_data(series: str) -> None:
    held = {"train": 1, "test": 1}
    wanted = load_series(series).WANTED
    assert wanted.find_misfits(declared_settings(series), held) == []
    # The command that it names exists, with these options.
    words = wanted.prepare.split()
    assert words[:2] == ["avnb", "prepare"]
    options = scripts.build_command(scripts.load_script(words[2]))
    known = inspect.signature(options).parameters
    assert {word[2:].replace("-", "_") for word in words if word[:2] == "--"} <= set(
        known
    )
    given = {w[2:].replace("-", "_"): v for w, v in pairwise(words)}
    fields = {"seconds": float, "fps": float, "size": int, "sample_rate": int}
    default = scripts.load_script(words[2]).SETTINGS
    asked = {
        field: kind(given[field]) for field, kind in fields.items() if field in given
    }
    made = dataclasses.replace(default, **asked)
    assert wanted.find_misfits(made, held) == []


def test_clips_without_a_hop_of_their_own_are_told_so() -> None:
    wanted = load_series("joint_gan").WANTED
    clips = ClipSettings(seconds=1.024, fps=25.0, size=64, sample_rate=16000)
    told = wanted.find_misfits(clips, {"train": 1, "test": 1})
    assert told == ["hop is not set, and must be 1"]


@pytest.mark.parametrize(
    ("series", "settings", "held", "told"),
    [
        ("deep_cross_modal", {"seconds": 1.0}, {}, "seconds is 1, and must be 0.5"),
        ("deep_cross_modal", {"size": 128}, {}, "size is 128, and must be 64"),
        ("ms_vae", {}, {}, "sample_rate is 44100, and must be 16000"),
        ("ms_vae", {"seconds": 0.4}, {}, "not whole seconds"),
        ("ms_vae", {"seconds": 2.0, "fps": 2.5}, {}, "2 s with 5 frames"),
        ("listen_and_move", {"size": 100}, {}, "size is 100"),
        ("listen_and_move", {}, {"train": 5}, "train holds 5 recordings"),
    ],
)
def test_clips_of_another_kind_are_misfits(
    series: str, settings: dict, held: dict, told: str
) -> None:
    wanted = load_series(series).WANTED
    assert told in "; ".join(wanted.find_misfits(ClipSettings(**settings), held))


def test_a_run_refuses_the_wrong_kind_of_data_at_once(tmp_path: Path) -> None:
    sources = []
    for split in ("train", "test"):
        path = tmp_path / f"{split}.mp4"
        frames = np.zeros((10, 64, 64, 3), np.uint8)
        write_frames(path, frames, np.zeros((1, 16000), np.float32), 10, 16000)
        sources.append(Source(path.name, path.stem, "dog", path, split=split))
    clips = tmp_path / "clips"
    prepare(sources, clips, ClipSettings(seconds=1.0, fps=4.0, sample_rate=16000))
    assert check_data(clips, "ms_vae") == clips
    done = CliRunner().invoke(
        cli.app, ["run", "deep_cross_modal", "--data", str(clips)]
    )
    assert done.exit_code == 1
    assert (
        "these clips are not what deep_cross_modal needs: seconds is 1" in done.output
    )
    assert "prepare folder --source my_videos --out my_clips --seconds 0.5" in (
        done.output
    )
    with pytest.raises(LessonError, match="seconds is 1"):
        course.start("deep_cross_modal", "step1_data", scale="smoke", data=clips)


def test_a_series_that_uses_no_clips_refuses_them(tmp_path: Path) -> None:
    told = "start_here uses no prepared clips, so they would change nothing. Leave"
    words = ["run", "start_here", "--scale", "smoke", "--data", str(tmp_path)]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 1
    assert told in done.output
    with pytest.raises(LessonError, match=told):
        course.start("start_here", "step1_game", scale="smoke", data=tmp_path)


# --- seeds and overrides ------------------------------------------------------------


@pytest.mark.parametrize("seed", ["-1", str(2**31)])
def test_a_seed_out_of_range_is_refused(seed: str, toy: Toy) -> None:
    done = CliRunner().invoke(cli.app, ["run", "toy", "--seed", seed])
    assert done.exit_code == 1
    assert f"seed {seed}: a seed is a whole number from 0 to" in done.output
    with pytest.raises(LessonError, match=f"seed {seed}"):
        course.start("toy", "step1_count", scale="smoke", seed=int(seed))


def make_step(number: int, *fields: str) -> SeriesStep:
    table = {name: (1, 2, 3, 4, 5) for name in fields}
    return SeriesStep(number, f"step{number}_x", Path("x"), (), table)


def test_an_override_may_be_for_one_step_alone() -> None:
    steps = [make_step(3, "steps"), make_step(7, "steps", "width"), make_step(9)]
    shared = share_overrides(steps, {"step7.steps": "5", "steps": 6, "width": 7})
    assert shared == {
        "step3_x": {"steps": 6},
        "step7_x": {"steps": 5, "width": 7},
        "step9_x": {},
    }
    assert share_overrides(steps, {"step7_x.steps": 5})["step3_x"] == {}
    for wrong in ("step9.steps", "step3.width", "step4.steps", "step7.", ".steps"):
        with pytest.raises(LessonError, match="no step has such a field"):
            share_overrides(steps, {wrong: 5})


def test_a_run_says_which_steps_an_override_reaches() -> None:
    page = io.StringIO()
    steps = [make_step(3, "steps"), make_step(7, "steps", "width")]
    overrides = {"steps": "5", "width": "7", "step3.steps": "8"}
    runner._say_what_overrides_reach(Console(file=page), steps, overrides)
    assert page.getvalue() == (
        "steps=5 reaches step3_x, step7_x. For one of them alone: --set step7.steps=5\n"
    )


# --- what is said -------------------------------------------------------------------


@pytest.mark.slow
def test_a_kernel_that_does_not_answer_is_told_in_a_sentence(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runner.START_TIMEOUT >= 300
    monkeypatch.setattr(runner, "START_TIMEOUT", 1)
    # A process that lives and never answers, in place of a slow kernel.
    monkeypatch.setattr(kernels, "KERNEL", ["-c", "import time; time.sleep(60)"])
    with pytest.raises(LessonError) as told:
        runner.run_series("toy", scale="smoke", steps=[2], run_dir=tmp_path / "out")
    text = str(told.value)
    assert text.startswith("step2_define: its Python process did not begin to work")
    assert "give the same command again" in text


def test_help_keeps_its_brackets() -> None:
    app = scripts.build_app()
    for name, words in (
        ("single_video", 'pip install "avnb[youtube]"'),
        ("ave", 'pip install "avnb[ave]"'),
        ("urmp", "a [left, top"),
    ):
        page = CliRunner().invoke(app, [name, "--help"]).output
        assert words in " ".join(page.replace("│", " ").split()), page


def test_the_estimate_is_scaled_by_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load_series("ms_vae")
    monkeypatch.setattr(module, "MINUTES", {"laptop": (20.0, 100.0)})
    assert speed.estimate_minutes("ms_vae", "laptop", 50.0) == 40
    assert "about 40 minutes here" in speed.describe_estimate("ms_vae", "laptop", 50.0)
    assert speed.estimate_minutes("ms_vae", "gpu", 50.0) is None
    assert "nobody has measured" in speed.describe_estimate("ms_vae", "gpu", 50.0)
    lines = [line for line in speed.tabulate_minutes("ms_vae") if "GFLOP/s" in line]
    assert [line.split()[0] for line in lines] == ["laptop"]
    assert lines[0].endswith(speed.describe_minutes("ms_vae", "laptop"))
    monkeypatch.setattr(runner, "measure_speed", lambda: 200.0)
    page = io.StringIO()
    runner._say_how_long(Console(file=page), "ms_vae", "laptop")
    runner._say_how_long(Console(file=page), "ms_vae", "gpu")
    assert page.getvalue().startswith("ms_vae at scale laptop: about 10 minutes here")
    assert page.getvalue().count("\n") == 1


def test_the_speed_is_that_of_a_product() -> None:
    # A processor makes between one and some thousand products of numbers a nanosecond.
    assert 1 < speed.measure_speed() < 100_000


def test_remedies_name_a_command_that_the_shell_finds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy: Toy
) -> None:
    beside = Path(sys.executable).with_name("avnb")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("avnb") is None
    assert Path(commands.name_command()).absolute() == beside
    note = commands.explain_activation("Make them with avnb prepare")
    assert note.startswith("Activate the environment first: source ")
    assert commands.explain_activation("Give one of: a, b") == ""
    # A command that is given with its path needs no explanation.
    assert commands.explain_activation(f"Run {commands.name_command()} run toy") == ""
    done = CliRunner().invoke(cli.app, ["run", "toy", "--data", "nowhere"])
    assert f"{commands.name_command()} prepare" in done.output
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert commands.name_command().endswith("python -m avnb.course.cli")
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(beside.parent))
    assert commands.name_command() == "avnb"
    assert commands.explain_activation("Make them with avnb prepare") == ""


def test_a_command_quotes_what_a_shell_would_split() -> None:
    line = commands.describe_run(
        "toy", scale="smoke", data="my clips", seed=1, overrides={"sizes": "(1, 2)"}
    )
    assert line.endswith(
        "run toy --scale smoke --data 'my clips' --seed 1 --set 'sizes=(1, 2)'"
    )


def test_work_is_counted_as_its_products() -> None:
    a, b = torch.ones(20, 30), torch.ones(30, 40)
    gflop, seconds = speed.measure_work(lambda: a @ b, torch.device("cpu"))
    assert gflop == pytest.approx(2 * 20 * 30 * 40 / 1e9)
    assert seconds > 0


# --- reading a notebook ---------------------------------------------------------------


def test_code_cells_are_those_that_nbformat_reads() -> None:
    for series in list_series():
        for path in step_files(series):
            read = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
            expected = [c.source for c in read.cells if c.cell_type == "code"]
            assert list(read_code_cells(path.with_suffix(".ipynb"))) == expected


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"cells": [{}]}', '{"cells": 1}']
)
def test_a_damaged_notebook_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "step1_data.ipynb"
    path.write_text(text)
    with pytest.raises(LessonError, match="make notebooks") as caught:
        read_code_cells(path)
    assert str(path) in str(caught.value)
