"""The command's errors list what would be right, and check says what works."""

from pathlib import Path

import pytest
from toy import Toy
from typer.testing import CliRunner

from avnb.course import check, cli


@pytest.fixture(autouse=True)
def toy_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Toy(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def refused(*arguments: str) -> str:
    done = CliRunner().invoke(cli.app, list(arguments))
    assert done.exit_code in (1, 2)
    assert "Traceback" not in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.output


def test_wrong_names_are_answered_with_the_right_ones() -> None:
    assert "Give one of: " in refused("run", "tay")
    assert "smoke, laptop, gpu, paper" in refused("run", "toy", "--scale", "tiny")
    told = refused("run", "toy", "--set", "widht=3")
    assert "step1_count: count, rate" in told
    assert "step3_use: depth" in told
    assert "3 (step3_use)" in refused("run", "toy", "--steps", "4")
    assert "--steps 1,2" in refused("run", "toy", "--steps", "two")
    assert "field=value" in refused("run", "toy", "--set", "depth")
    assert "It must be int" in refused("run", "toy", "--set", "depth=deep")
    assert "avnb prepare" in refused("run", "toy", "--data", "nowhere")


def test_check_gives_one_line_a_finding() -> None:
    done = CliRunner().invoke(cli.app, ["check"])
    lines = done.output.strip().splitlines()
    assert all(line.startswith(("[ok] ", "[fix: ")) for line in lines)
    assert done.exit_code == any(line.startswith("[fix") for line in lines)
    for word in (
        "Python 3",
        "series: ",
        "runs and data go below",
        "torch 2",
        "GPU",
        "H.264",
        "AAC",
        "memory",
        "disk",
    ):
        assert any(word in line for line in lines), word


def test_check_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "measure_memory", lambda: 2.0)
    monkeypatch.setattr(
        check.importlib.metadata, "requires", lambda _: ["numpy<1", "no-such-thing"]
    )
    lines = {line.text.split()[0]: line.fix for line in check.check_machine()}
    assert lines["numpy"] == "pip install 'numpy<1'"
    assert lines["no-such-thing"] == "pip install 'no-such-thing'"
    assert lines["memory:"]
    assert CliRunner().invoke(cli.app, ["check"]).exit_code == 1
