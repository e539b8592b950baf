"""The text half of a step as a script: arguments, environment, `accelerate launch`."""

import json
import sys
from pathlib import Path

import pytest
from toy import Toy, toy  # noqa: F401  (a fixture)

from avnb.course import arguments
from avnb.course.steps import SeriesStep, share_overrides

STEP = SeriesStep(
    6, "step6_train", Path("x.ipynb"), (), {"epochs": (1, 2, 3, 4, 5), "rate": ()}
)
CELL = arguments.Parameters("laptop", seed=3, overrides={"epochs": 9})


def read(*words: str) -> arguments.Parameters:
    return arguments.read_arguments(STEP, CELL, words)


def test_arguments_come_before_the_environment_and_that_before_the_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert read() == CELL
    for name in ("SCALE", "DATA", "SEED", "RUN_DIR"):
        monkeypatch.setenv(
            f"AVNB_{name}", {"SCALE": "gpu", "SEED": "5"}.get(name, name)
        )
    found = read()
    assert (found.scale, found.data, found.seed) == ("gpu", "DATA", 5)
    assert found.run_dir == "RUN_DIR"
    found = read("--scale", "smoke", "--seed", "0", "--run-dir", "r", "--data", "d")
    assert (found.scale, found.data, found.seed) == ("smoke", "d", 0)
    assert found.run_dir == "r"
    assert read("--set", "epochs=5").overrides == {"epochs": 5}


def test_overrides_are_those_of_a_run() -> None:
    """A script and `avnb run` give a step the same values, in any order."""
    own, all_steps = ("--set", "step6.epochs=3"), ("--set", "epochs=5")
    expected = share_overrides([STEP], {"step6.epochs": "3", "epochs": "5"})
    assert expected == {"step6_train": {"epochs": 3}}
    for words in ([*own, *all_steps], [*all_steps, *own]):
        assert read(*words).overrides == expected["step6_train"]
    # The command line comes before the cell, however the cell names its field.
    cell = arguments.Parameters("laptop", overrides={"step6.epochs": 9, "rate": "x"})
    found = arguments.read_arguments(STEP, cell, all_steps)
    assert found.overrides == {"epochs": 5, "rate": "x"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--scale", "tiny"], "Give one of: smoke, laptop, reference, gpu, paper"),
        (["--seed", "two"], "'two' is no whole number"),
        (["--set", "epochs"], "Give field=value"),
        (["--set", "epoch=3"], "step6_train: epochs, rate"),
        (["--set", "epochs=few"], "It must be int"),
        (["--sacle", "gpu"], "--scale"),
    ],
)
def test_wrong_arguments_are_answered_with_the_right_ones(
    words: list[str], told: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stop:
        read(*words)
    assert stop.value.code == 2
    assert told in capsys.readouterr().err


def test_a_wrong_environment_is_told_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("AVNB_SEED", "two")
    with pytest.raises(SystemExit):
        read()
    assert "'two' is no whole number" in capsys.readouterr().err


def test_help_lists_scales_fields_and_the_environment(
    capsys: pytest.CaptureFixture,
) -> None:
    with pytest.raises(SystemExit) as stop:
        read("--help")
    assert stop.value.code == 0
    page = capsys.readouterr().out
    for words in (
        "smoke, laptop, reference, gpu, paper",
        "epochs",
        "1, 2, 3, 4, 5",
        "AVNB_RUN_DIR",
    ):
        assert words in page


def record_of(folder: Path, step: str) -> dict:
    return json.loads((folder / "results" / f"{step}.json").read_text())


def test_a_script_takes_its_parameters(toy: Toy) -> None:  # noqa: F811
    """Plain Python and a real `accelerate launch`, one step each."""
    out = toy.folder / "by hand"
    first = str(toy.notebooks / "step1_count.py")
    words = ("--scale", "gpu", "--seed", "4", "--set", "count=7", "--run-dir", str(out))
    launch = ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1")
    done = toy.python(*launch, first, *words)
    assert done.returncode == 0, done.stderr
    made = record_of(out, "step1_count")
    assert (made["scale"], made["seed"], made["finished"]) == ("gpu", 4, True)
    assert made["overrides"] == {"count": 7}
    assert made["entries"][0] == {"kind": "value", "name": "count", "value": 7}
    assert (out / "report" / "step1_count" / "figure_curve.png").is_file()

    third = str(toy.notebooks / "step3_use.py")
    done = toy.python(third, AVNB_SCALE="smoke", AVNB_RUN_DIR=str(out))
    assert done.returncode == 0, done.stderr
    made = record_of(out, "step3_use")
    assert (made["scale"], made["entries"][0]["value"]) == ("smoke", 14)

    # A step alone says which other step it needs, and nothing of Python's stack.
    done = toy.python(third, "--run-dir", str(toy.folder / "empty"))
    assert done.returncode == 1
    assert "step1_count makes it. Run that notebook, or: " in done.stderr
    assert "avnb run toy --scale laptop --run-dir " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_notebook_is_no_script(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not arguments.is_script("step6_train")
    monkeypatch.setattr(sys, "argv", ["/x/step6_train.py", "--scale", "gpu"])
    assert arguments.is_script("step6_train")
    assert not arguments.is_script("step5_train")
