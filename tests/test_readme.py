"""What README and the files beside it promise is there: commands, paths, notebooks."""

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import make_film
import notebook_tools as tools
import numpy as np
import pytest
import typer
import yaml
from PIL import Image
from typer.main import get_command

from avnb import media
from avnb.course import cli
from avnb.course.series import list_series, step_files
from avnb.course.settings import SCALES
from avnb.course.steps import read_step, share_overrides
from avnb.data import scripts

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PAGES = ["README.md", "CONTRIBUTING.md", "TEACHING.md", "CHANGELOG.md"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(
    re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.M)[0].split()
)


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command in the fenced and quoted code of a Markdown text."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    quoted = re.findall(
        r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    )
    for line in [line for block in fenced for line in block.splitlines()] + quoted:
        # Two commands may stand on one line, and a remark after them.
        for part in re.split(r"&&|  +#|(?<=:) ", line):
            try:
                words = shlex.split(part, comments=True)
            except ValueError:  # an apostrophe: it is no command
                continue
            if len(words) > 1:
                yield words


def calls_of(program: str, text: str = README) -> list[list[str]]:
    return [words[1:] for words in commands(text) if words[0] == program]


def options(command: Any) -> set[str]:
    """The long options of a command, `--help` among them."""
    named = {name for parameter in command.params for name in parameter.opts}
    return {name for name in named if name.startswith("--")} | {"--help"}


@pytest.mark.parametrize("page", PAGES)
def test_make_has_the_targets_that_are_named(page: str) -> None:
    text = (ROOT / page).read_text()
    for words in calls_of("make", text):
        for word in words:
            name, equals, value = word.partition("=")
            assert equals or name in TARGETS, f"{page}: make {name}"
            if name == "SERIES":
                assert value in list_series()
    assert page != "README.md" or {"demo", "test"} <= {w[0] for w in calls_of("make")}


@pytest.mark.parametrize("page", PAGES)
def test_avnb_has_the_commands_and_options_that_are_named(page: str) -> None:
    known: dict[str, Any] = get_command(cli.app).commands  # type: ignore[attr-defined]
    for words in calls_of("avnb", (ROOT / page).read_text()):
        name, *rest = words
        command = known[name]
        if (
            name == "prepare"
            and rest
            and not rest[0].startswith("-")
            and rest[0] != "NAME"
        ):
            app = typer.Typer()
            app.command()(scripts.build_command(scripts.load_script(rest[0])))
            command = get_command(app)
        elif rest and name in {"run", "study"} and rest[0][0].islower():
            assert rest[0] in list_series()
        given = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert given <= options(command), f"avnb {' '.join(words)}"
        if "--scale" in rest:
            assert rest[rest.index("--scale") + 1] in SCALES


def test_the_settings_that_are_named_exist() -> None:
    seen = 0
    for words in calls_of("avnb"):
        if "--set" in words:
            field, _, value = words[words.index("--set") + 1].partition("=")
            steps = [read_step(path) for path in step_files(words[1])]
            share_overrides(steps, {field: value})  # raises where a field is unknown
            seen += 1
    assert seen >= 2


def test_the_scripts_are_all_named() -> None:
    assert [name for name in scripts.list_scripts() if f"`{name}`" not in README] == []


def test_papermill_and_imports_name_what_exists() -> None:
    for series, notebook in re.findall(
        r"^cd notebooks/(\w+)\npapermill (\S+)", README, re.M
    ):
        assert (ROOT / "notebooks" / series / notebook).is_file()
    found = re.findall(r"from (avnb_notebooks[\w.]+)\s+import (\w+)", README)
    assert found
    for module, name in found:
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


# --- The first thirty seconds ----------------------------------------------------


def test_the_top_is_for_who_has_thirty_seconds() -> None:
    """What it is, something to see and hear, one command, five links; no jargon."""
    top = README.partition("## Begin")[0]
    first = top.partition("![")[2]  # without the badges
    (command,) = re.findall(r"^```\n(.*?)^```", top, re.M | re.S)
    assert command == "make demo\n"
    (line,) = re.findall(r"^\[Look at.+?(?=\n\n)", top, re.M | re.S)
    assert len(re.findall(r"\]\(", line)) == 5
    for name in ("docs/bandstand.gif", "docs/bandstand.mp4"):
        assert f"]({name})" in first
    # A word of the field is explained where it is first used, or comes further down.
    badges = r"^\[!\[.*$"
    prose = re.sub(r"\]\([^)]*\)", "]", re.sub(badges, "", top, flags=re.M))
    for word in ("GAN", "VAE", "epoch", "checkpoint", "notebook", "bandstand"):
        assert word not in prose, word
    assert top.index("A neural network is") < top.index("trained for")


def test_the_film_is_drawn_small_and_can_be_heard() -> None:
    film, pictures = ROOT / "docs" / "bandstand.mp4", ROOT / "docs" / "bandstand.gif"
    assert film.stat().st_size + pictures.stat().st_size < 1e6
    clip = media.read_clip(film)
    turns = len(make_film.PERFORMERS)
    assert clip.frames.shape[2] == turns * clip.frames.shape[1]
    for number, sound in enumerate(np.array_split(clip.waveform[0], turns)):
        assert sound.std() > 0.01, number  # each of them plays
    # Who plays moves, and who waits does not.
    for number, turn in enumerate(np.array_split(clip.frames.astype(float), turns)):
        moved = np.abs(np.diff(turn[2:-2], axis=0)).mean((0, 1, 3))
        by_place = [part.mean() for part in np.array_split(moved, turns)]
        assert int(np.argmax(by_place)) == number
    with Image.open(pictures) as gif:
        assert gif.n_frames > 30


# --- Links, the tree, the notebooks --------------------------------------------


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.M)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text())
    for link in links:
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        path = ROOT / name if name else ROOT / page
        assert path.exists(), f"{page}: {link}"
        assert not anchor or anchor in anchors(path), f"{page}: {link}"


def tree() -> list[str]:
    """The paths of README's tree, from its indented lines."""
    (block,) = re.findall(r"## What is where\n\n```\n(.*?)```", README, re.S)
    paths, folder = [], ""
    for line in block.splitlines():
        name = line.split()[0]
        if len(line) - len(line.lstrip()) > 2:  # a remark goes on
            continue
        if not line.startswith(" "):
            folder = name if name.endswith("/") else ""
            paths.append(name)
        else:
            paths.append(folder + name)
    return paths


def test_the_tree_is_the_tree() -> None:
    paths = tree()
    assert len(paths) > 25
    for path in paths:
        found = ROOT / path
        assert found.is_dir() if path.endswith("/") else found.is_file(), path
    for room in ("avnb", "notebooks"):
        here = {
            f"{room}/{path.name}{'/' * path.is_dir()}"
            for path in (ROOT / room).iterdir()
            if not path.name.startswith(("_", ".")) and path.name != "py.typed"
        }
        assert {path for path in paths if re.match(rf"{room}/.", path)} == here


@pytest.mark.parametrize(("series", "path"), tools.steps())
def test_every_notebook_is_named_with_what_it_teaches(series: str, path: Path) -> None:
    name = path.stem
    row = re.search(
        rf"^\| \[`{name}`\]\(notebooks/{series}/{name}\.ipynb\) \| (.+) "
        rf"\| \[page\]\(https://\S+/{series}/{name}\.html\) \|$",
        README,
        re.M,
    )
    assert row, f"README's table lacks {series}/{name}"
    assert len(row[1]) > 30


# --- What people expect of a repository ----------------------------------------

WORDS = [
    "bandstand",
    "series",
    "step",
    "scale",
    "prepared clips",
    "run",
    "study",
    "reference run",
    "claim",
]


def test_the_glossary_explains_our_words() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("## Glossary")[2]
    assert [word for word in WORDS if f"**{word}**" not in text.lower()] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_workflows_run_what_exists(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    code = "\n".join(step.get("run", "") for step in steps)
    named = set(re.findall(r"(?:^|&& )make ([a-z]+)", code, re.M))
    assert named <= TARGETS
    for tool in re.findall(r"tools/\w+\.py", code):
        assert (ROOT / tool).is_file()


def test_there_are_workflows_and_forms() -> None:
    assert {path.stem for path in WORKFLOWS} >= {"test", "notebooks", "weekly", "site"}
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    fault = next(yaml.safe_load(p.read_text()) for p in forms if p.stem == "fault")
    asked = [field["attributes"]["label"] for field in fault["body"] if "id" in field]
    assert any("avnb check" in label for label in asked)
