"""The command's errors list what would be right, and check says what works."""

import errno
from pathlib import Path

import pytest
from toy import Toy
from typer.testing import CliRunner

from avnb.course import check, cli, commands, folders


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
    assert "smoke, laptop, reference, gpu, paper" in refused(
        "run", "toy", "--scale", "tiny"
    )
    told = refused("run", "toy", "--set", "widht=3")
    assert "step1_count: count, rate" in told
    assert "step3_use: depth" in told
    assert "3 (step3_use)" in refused("run", "toy", "--steps", "4")
    assert "--steps 1,2" in refused("run", "toy", "--steps", "two")
    assert "field=value" in refused("run", "toy", "--set", "depth")
    assert "It must be int" in refused("run", "toy", "--set", "depth=deep")
    assert "avnb prepare" in refused("run", "toy", "--data", "nowhere")


@pytest.mark.parametrize("home", ["a file", "/proc/nowhere"])
def test_a_folder_that_cannot_be_written_is_named(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").touch()
    place = tmp_path / home
    monkeypatch.setenv("AVNB_HOME", str(place))
    for command in (["run", "toy", "--scale", "smoke"], ["check"]):
        told = refused(*command)
        assert str(place) in told
        assert "Set AVNB_HOME to a folder that you may write to" in told


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left"), "the disk is full. Free some space"),
        (OSError(errno.EROFS, "Read-only", "/x/y"), "/x/y: it cannot be used"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/x/z"), "/x/z: No such file"),
    ],
)
def test_errors_of_the_file_system_have_no_traceback(
    error: OSError, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("avnb.course.runner.run_series", fail)
    assert told in refused("run", "toy").replace("\n", " ")


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionResetError("a socket, not a file")

    monkeypatch.setattr("avnb.course.runner.run_series", fail)
    done = CliRunner().invoke(cli.app, ["run", "toy"])
    assert isinstance(done.exception, ConnectionResetError)


def test_no_run_goes_among_the_installed_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AVNB_HOME", raising=False)
    monkeypatch.setattr(folders, "PACKAGES", tmp_path)
    monkeypatch.setattr(folders, "find_clone", lambda: None)
    (tmp_path / "avnb_notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "avnb_notebooks")
    assert "belongs to the installed packages" in refused("run", "toy")
    monkeypatch.chdir(tmp_path.parent)
    assert folders.find_home() == tmp_path.parent


def test_a_deleted_working_folder_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AVNB_HOME", raising=False)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "the working folder: it is not there any more" in refused("run", "toy")


@pytest.mark.slow
def test_check_says_that_no_series_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "toy (3 notebooks)" in CliRunner().invoke(cli.app, ["check"]).output
    monkeypatch.setattr(check, "list_series", dict)
    told = CliRunner().invoke(cli.app, ["check"]).output
    assert f"Install one, for example: {commands.INSTALL}] series: none" in told


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


@pytest.mark.slow
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
