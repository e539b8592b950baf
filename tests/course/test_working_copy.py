"""The working copy: paired, first on the path, and nothing the reader wrote is lost."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
from toy import Toy

from avnb.course import folders, working_copy
from avnb.course import lab as lab_command

ROOT = Path(__file__).resolve().parents[2]
CHANGED = "def double(x: int) -> int:\n    return 3 * x"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """A toy series as the only one that is installed."""
    toy = Toy(tmp_path / "installed")
    monkeypatch.syspath_prepend(toy.folder)
    one = {"toy": "toy_series.toy"}
    monkeypatch.setattr(working_copy, "list_series", lambda: one)
    return toy


@pytest.fixture
def copy(there: Toy, tmp_path: Path) -> Path:
    """The notebooks' folder of a fresh working copy."""
    assert working_copy.update_working_copy(tmp_path / "course") == []
    return tmp_path / "course" / "toy_series" / "toy"


def update(copy: Path) -> list[str]:
    return working_copy.update_working_copy(copy.parents[1])


def change(notebook: Path, old: str = "2 * x", new: str = "3 * x") -> None:
    """Change the text of a notebook's cells, and nothing else."""
    nb = nbformat.read(notebook, as_version=4)
    for cell in nb.cells:
        cell.source = cell.source.replace(old, new)
    nbformat.write(nb, notebook)


def text_of(path: Path) -> str:
    return "\n".join(cell.source for cell in jupytext.read(path).cells).strip()


def test_the_copy_is_a_package_of_pairs(there: Toy, copy: Path) -> None:
    names = {path.name for path in there.notebooks.iterdir()} - {"__pycache__"}
    assert {path.name for path in copy.iterdir()} == names
    assert (copy.parent / "__init__.py").is_file()
    for path in copy.glob("*.ipynb"):
        paired = nbformat.read(path, as_version=4).metadata["jupytext"]
        assert paired["formats"] == "ipynb,py:percent"
        # Else jupytext refuses to open it, as a notebook newer than its text.
        text = path.with_suffix(".py")
        assert text.stat().st_mtime_ns >= path.stat().st_mtime_ns


def test_a_second_call_changes_nothing(copy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    assert update(copy) == []
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def test_an_update_replaces_what_is_untouched(there: Toy, copy: Path) -> None:
    # Run, but not changed: outputs are no answer.
    notebook = copy / "step2_define.ipynb"
    nb = nbformat.read(notebook, as_version=4)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    code[0].outputs = [nbformat.v4.new_output("stream", text="hello")]
    nbformat.write(nb, notebook)
    there.write("step2_define", "\n# %%\ndouble = 4\n")
    assert update(copy) == []
    assert text_of(notebook) == text_of(copy / "step2_define.py") == "double = 4"
    assert not list(copy.glob("*.new"))


@pytest.mark.parametrize("half", [".ipynb", ".py"])
def test_an_update_keeps_what_the_reader_changed(
    half: str, there: Toy, copy: Path
) -> None:
    changed = copy / f"step2_define{half}"
    if half == ".ipynb":
        change(changed)
    else:
        changed.write_text(changed.read_text().replace("2 * x", "3 * x"))
    there.write("step2_define", "\n# %%\ndouble = 4\n")
    there.write("step1_count", "\n# %%\nother = 1\n")
    (told,) = update(copy)
    assert "step2_define.ipynb" in told
    assert "step2_define.ipynb.new" in told
    for path in (copy / "step2_define.ipynb", copy / "step2_define.py"):
        assert "3 * x" in text_of(path)  # and the other half has followed
        assert "double = 4" in path.with_name(f"{path.name}.new").read_text()
    assert "other = 1" in text_of(copy / "step1_count.py")
    # Told once, and kept for good.
    assert update(copy) == []
    assert "3 * x" in text_of(copy / "step2_define.py")


def test_where_both_halves_differ_none_is_lost(copy: Path) -> None:
    notebook, text = copy / "step2_define.ipynb", copy / "step2_define.py"
    change(notebook)
    text.write_text(text.read_text().replace("2 * x", "5 * x"))
    os.utime(notebook, (1, 1))
    (told,) = update(copy)
    assert "step2_define.ipynb.old" in told
    assert "5 * x" in text_of(notebook)
    assert "3 * x" in (copy / "step2_define.ipynb.old").read_text()


def test_a_file_that_the_course_drops_goes_unless_changed(
    there: Toy, copy: Path
) -> None:
    change(copy / "step3_use.ipynb", "settings.depth", "settings.depth + 1")
    for name in ("step1_count", "step3_use"):
        for half in (".py", ".ipynb"):
            (there.notebooks / f"{name}{half}").unlink()
    (told,) = update(copy)
    assert "step3_use.ipynb.old" in told
    assert sorted(path.name for path in copy.glob("step*")) == [
        "step2_define.ipynb",
        "step2_define.py",
        "step3_use.ipynb.old",
        "step3_use.py.old",
    ]


def test_files_that_nobody_installed_stay(copy: Path) -> None:
    (copy.parents[1] / folders.WORKING_COPY).unlink()
    change(copy / "step2_define.ipynb")
    (copy / "mine.txt").write_text("mine")
    (told,) = update(copy)
    assert "step2_define.ipynb" in told
    assert "3 * x" in text_of(copy / "step2_define.ipynb")
    assert (copy / "mine.txt").read_text() == "mine"


def test_inside_the_copy_the_home_is_the_folder_above(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AVNB_HOME", raising=False)
    monkeypatch.chdir(copy)
    assert folders.find_home() == copy.parents[2]


def test_the_package_keeps_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the clone the folder of avnb_notebooks is called otherwise.
    assert Path("avnb_notebooks") in working_copy._find_packages()
    place = tmp_path / "notebooks"
    place.mkdir()
    (place / "__init__.py").touch()
    found = {Path("avnb_notebooks"): place}
    monkeypatch.setattr(working_copy, "_find_packages", lambda: found)
    working_copy.update_working_copy(tmp_path / "course")
    assert (tmp_path / "course" / "avnb_notebooks" / "__init__.py").is_file()


# --- In JupyterLab ------------------------------------------------------------------


class Lab:
    """`avnb lab` in a toy's folder, spoken to as JupyterLab's page does."""

    def __init__(self, toy: Toy) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.toy = toy
        self.options = ["--no-browser", "--allow-root", "--port", str(self.port)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "avnb.course.cli", "lab", *self.options],
            cwd=toy.folder,
            env=environment(toy) | {"JUPYTER_TOKEN": "secret"},
        )

    def wait(self) -> None:
        for _ in range(240):
            assert self.process.poll() is None, "JupyterLab ended"
            try:
                self.ask("GET", "/api/status")
            except OSError:
                time.sleep(0.5)
            else:
                return
        raise AssertionError("JupyterLab does not answer")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Authorization": "token secret"}
        link.request(method, path, json.dumps(body) if body else None, headers)
        answer = link.getresponse()
        text = answer.read()
        assert answer.status < 300, text
        return json.loads(text) if text else None

    def end(self) -> None:
        self.ask("POST", "/api/shutdown", {"now": True})
        self.process.wait(60)


def environment(toy: Toy) -> dict[str, str]:
    left = ("JUPYTER", "AVNB", "PYTEST")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(left)}
    home = toy.folder / "home"
    home.mkdir(exist_ok=True)
    return kept | {"PYTHONPATH": str(toy.folder), "HOME": str(home), "COLUMNS": "100"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    started = Lab(Toy(tmp_path_factory.mktemp("work")))
    try:
        started.wait()
        yield started
        started.end()
    finally:
        started.process.kill()


@pytest.mark.slow
def test_what_is_saved_in_jupyterlab_reaches_the_later_steps(lab: Lab) -> None:
    course = lab.toy.folder / "course"
    path = "/api/contents/course/toy_series/toy/step2_define.ipynb"
    model = lab.ask("GET", path)
    for cell in model["content"]["cells"]:
        cell["source"] = cell["source"].replace("2 * x", "3 * x")
    lab.ask("PUT", path, {"type": "notebook", "content": model["content"]})
    text = (course / "toy_series/toy/step2_define.py").read_text()
    assert "return 3 * x" in text
    assert "jupytext" not in text  # no header that changes with its version
    done = subprocess.run(
        [sys.executable, "-m", "avnb.course.cli", "run", "toy", "--scale", "smoke"],
        cwd=course,
        env=environment(lab.toy),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    recorded = lab.toy.folder / "runs/toy/smoke/results/step3_use.json"
    # count 2, three times, times depth 1: as installed it is 4
    entries = json.loads(recorded.read_text())["entries"]
    assert [e["value"] for e in entries if e["name"] == "answer"] == [6]
    # What is installed is as it was.
    assert "2 * x" in (lab.toy.notebooks / "step2_define.py").read_text()


def test_jupyterlab_and_its_kernels_import_from_the_copy(copy: Path) -> None:
    folder = copy.parents[1]
    command, given = lab_command.build_command(
        folder, port=9000, browser=False, allow_root=True
    )
    assert f"--ServerApp.root_dir={folder.parent}" in command
    assert {"--port=9000", "--no-browser", "--allow-root"} <= set(command)
    code = "import toy_series.toy as toy; print(toy.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder.parent,
        env=given,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(copy / "__init__.py")


def test_a_terminal_of_jupyterlab_finds_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make lab` starts it from an environment that no shell has activated."""
    monkeypatch.setenv("PATH", str(tmp_path))
    _, given = lab_command.build_command(
        tmp_path / "course", port=None, browser=True, allow_root=False
    )
    found = shutil.which("avnb", path=given["PATH"])
    assert found == str(Path(sys.executable).with_name("avnb"))
    assert given["PATH"].endswith(str(tmp_path))  # the reader's own is kept


@pytest.mark.slow
def test_lab_ends_with_the_code_of_jupyterlab(lab: Lab) -> None:
    # The port is taken.
    done = subprocess.run(
        [sys.executable, "-m", "avnb.course.cli", "lab", *lab.options],
        cwd=lab.toy.folder,
        env=environment(lab.toy),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "already in use" in done.stderr
