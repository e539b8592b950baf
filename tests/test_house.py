"""The house keeps its word: one set of versions, no stray paths, true commands."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from typer.main import get_command

from avnb.course import cli

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIRED = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
LOCK = (ROOT / "requirements.lock").read_text()


def locked() -> dict[str, list[str]]:
    """Package -> its versions in the lock (one for each Python or platform)."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", LOCK, re.M):
        key = re.sub(r"[-_.]+", "-", name).lower()
        found.setdefault(key, []).append(version)
    return found


def tracked() -> list[Path]:
    git = ["git", "-C", str(ROOT), "ls-files", "-z"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git clone: no list of tracked files")
    return [ROOT / name for name in done.stdout.split("\0") if name]


def test_environment_names_what_pyproject_names() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert sorted(pip) == sorted([*REQUIRED, "-e ."])
    assert f"python{PROJECT['requires-python']}" in environment["dependencies"]


@pytest.mark.parametrize("text", REQUIRED)
def test_lock_holds_every_requirement(text: str) -> None:
    wanted = Requirement(text)
    versions = locked().get(wanted.name.lower(), [])
    assert versions, f"{wanted.name} is not in requirements.lock: make lock"
    for version in versions:
        assert wanted.specifier.contains(version), f"{version} is not {text}"


def test_lock_is_hashed_and_names_no_address() -> None:
    assert "://" not in LOCK
    assert "index" not in LOCK
    entries = re.split(r"^(?=\S)", LOCK, flags=re.M)
    unhashed = [e for e in entries if "==" in e and "--hash=sha256:" not in e]
    assert not unhashed


def test_tracked_files_name_no_machine() -> None:
    # Written apart, so that this file does not find itself.
    absolute = [
        "/wor" + "k/",
        "/ho" + "me/",
        "/ro" + "ot/",
        "/Use" + "rs/",
    ]
    hosts = ["py" + "pi.org", "python" + "hosted", "index" + "-url"]
    for path in tracked():
        if not path.is_file() or path.suffix in {".png", ".jpg", ".mp4", ".wav"}:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for word in hosts:
            assert word not in text, f"{path}: {word}"
        for word in absolute:
            found = re.search(rf"(?<![\w.]){re.escape(word)}", text)
            assert not found, f"{path}: {text[found.start() :][:60]!r}" if found else ""


def commands(text: str, program: str) -> set[str]:
    """The words that follow a program's name in indented or fenced or quoted code."""
    return set(re.findall(rf"(?:^|`|\$ |&& ){program} ([a-z][\w-]*)", text, re.M))


def test_readme_names_commands_that_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.M))
    assert commands(readme, "make") <= targets
    assert {"demo", "test"} <= commands(readme, "make")
    known = set(get_command(cli.app).commands)  # type: ignore[attr-defined]
    assert commands(readme, "avnb") <= known
    assert "run" in commands(readme, "avnb")
