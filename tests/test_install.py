"""avnb installed from its wheel, in an environment and a folder that know no clone.

The environment is a new one whose site-packages hold links to the locked packages, all
but avnb and JupyterLab. So nothing is downloaded, pip still has to find every
requirement met, and nothing of the clone can be imported by mistake.
"""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from notebook_tools import FIRST_CELL, REPOSITORY
from whole_series import INSTALLED, check_run

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "avnb": "avnb",
    "data_scripts": "data_scripts",
    "notebooks": "avnb_notebooks",
    "results": "avnb_results",
}
HIDDEN = ("avnb", "__editable__", "jupyterlab-", "pip")
IN_WHEEL = {".pyi", ".html", ".py", ".ipynb", ".md", ".typed"}
# Of the reference runs.
IN_WHEEL |= {".json", ".safetensors", ".png", ".wav", ".mp4"}

pytestmark = [pytest.mark.slow, pytest.mark.whole_series]


def run(*command: str | Path, cwd: Path, fails: bool = False, **env: str) -> str:
    """Run a command, which is to succeed or to fail; return what it printed."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "AVNB", "PYTEST"))
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert bool(done.returncode) == fails, done.stdout
    return done.stdout


def build(kind: str, source: Path, out: Path) -> Path:
    """Build an sdist or a wheel, as pip does, with the setuptools that is here."""
    call = f"from setuptools import build_meta as b; b.build_{kind}({str(out)!r})"
    run(sys.executable, "-c", call, cwd=source)
    (built,) = out.glob("*.tar.gz" if kind == "sdist" else "*.whl")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the sdist, so that this one is complete as well."""
    folder = tmp_path_factory.mktemp("dist")
    with tarfile.open(build("sdist", ROOT, folder)) as archive:
        archive.extractall(folder, filter="data")
    (source,) = (path for path in folder.iterdir() if path.is_dir())
    return build("wheel", source, folder)


class Installed:
    """An environment with avnb installed, and a folder to work in."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        self.env = folder / "env"
        venv.create(self.env, with_pip=True)
        self.bin = self.env / "bin"
        self.packages = next(self.env.glob("lib/python*/site-packages"))
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            hidden = path.name.startswith(HIDDEN) or path.name == "jupyterlab"
            if not (hidden or (self.packages / path.name).exists()):
                (self.packages / path.name).symlink_to(path)

    def files(self) -> set[Path]:
        """All files of the environment that nobody compiled or linked."""
        return {path for path in self.env.rglob("*") if path.suffix != ".pyc"}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install as in Colab: the first cell of every notebook, executed twice."""
    there = Installed(tmp_path_factory.mktemp("installed"))
    cell = FIRST_CELL.replace(f"git+https://github.com/{REPOSITORY}", wheel.as_uri())
    assert wheel.as_uri() in cell
    script = (
        "import importlib.machinery, importlib.util, sys, types\n"
        "assert importlib.util.find_spec('avnb') is None\n"
        "colab = types.ModuleType('google.colab')\n"
        # As a real module, for who asks whether it is installed.
        "colab.__spec__ = importlib.machinery.ModuleSpec('google.colab', None)\n"
        "sys.modules['google.colab'] = colab\n"
        f"for _ in range(2):\n    exec({cell!r}, {{}})\n"
        "import avnb, avnb_notebooks\n"
        "from avnb_notebooks.ms_vae import series\n"
        "print(avnb.__version__, avnb_notebooks.__file__)\n"
    )
    # Without an index pip can install avnb only if all its requirements are met.
    text = run(there.bin / "python", "-c", script, cwd=there.work, PIP_NO_INDEX="1")
    assert text.count("Installing avnb") == 1
    version, file = text.splitlines()[-1].split(maxsplit=1)
    assert f"avnb-{version}-" in wheel.name
    assert Path(file).is_relative_to(there.env)
    return there


def test_the_wheel_holds_what_the_folders_hold(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    held = {name for name in names if ".dist-info/" not in name}
    wanted = {
        f"{package}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, package in PACKAGES.items()
        for path in (ROOT / folder).rglob("*")
        if path.suffix in IN_WHEEL and ".ipynb_checkpoints" not in path.parts
    }
    assert held == wanted


def test_the_series_runs_away_from_the_clone(installed: Installed) -> None:
    before = installed.files()
    colab = installed.packages / "avnb_notebooks" / INSTALLED / "colab.ipynb"
    papermill = (installed.bin / "python", "-m", "papermill", colab, "colab.ipynb")
    options = ("-p", "SCALE", "smoke", "-p", "SEED", "1")
    run(*papermill, *options, cwd=installed.work)
    made = installed.work / "runs" / INSTALLED / "smoke-seed1"
    check_run(INSTALLED, made, seed=1)
    assert "<!doctype html>" in (installed.work / "colab.ipynb").read_text()
    assert installed.files() == before, "a run wrote into the environment"


def test_the_commands_work_away_from_the_clone(installed: Installed) -> None:
    text = run(installed.bin / "avnb", "check", cwd=installed.work)
    assert "[fix" not in text
    text = run(installed.bin / "avnb", "prepare", "--help", cwd=installed.work)
    assert {"ave", "bandstand", "folder"} <= set(text.split())
    text = run(installed.bin / "avnb", "lab", cwd=installed.work, fails=True)
    assert text.startswith("avnb: JupyterLab: it is not installed. Install it: pip ")


def test_the_reference_runs_are_found_away_from_the_clone(installed: Installed) -> None:
    code = (
        "from avnb.course.reference import list_places, load_reference\n"
        "from avnb.course.series import list_series\n"
        "for name in list_series():\n"
        "    print(*list_places(name), load_reference(name) is not None)\n"
    )
    text = run(installed.bin / "python", "-c", code, cwd=installed.work)
    for line in text.splitlines():
        own, packaged, found = line.split()
        assert Path(own).is_relative_to(installed.work)
        assert Path(packaged).parent == installed.packages / "avnb_results"
        there = ROOT / "results" / Path(packaged).name / "reference.json"
        assert found == str(there.is_file())


def test_runs_and_data_go_to_avnb_home(installed: Installed, tmp_path: Path) -> None:
    code = "from avnb.course import folders; print(folders.find_home())"
    python = installed.bin / "python"
    assert run(python, "-c", code, cwd=tmp_path).strip() == str(tmp_path)
    chosen = run(python, "-c", code, cwd=tmp_path, AVNB_HOME=str(tmp_path / "home"))
    assert chosen.strip() == str(tmp_path / "home")


def test_the_metadata_says_where_to_look(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    text = archive.read(name).decode()
    assert "\nProject-URL: Homepage, https://github.com/" in text
    assert "\nLicense-Expression: MIT AND CC-BY-4.0\n" in text
    assert "jupyterlab" not in text.split("Provides-Extra")[0].casefold()
