"""What README and the files beside it promise is there: commands, paths, notebooks."""

import ast
import dataclasses
import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from itertools import pairwise
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
from avnb.course.series import list_series, load_series, step_files
from avnb.course.settings import SCALES
from avnb.course.steps import read_step, share_overrides
from avnb.data import scripts
from avnb.data.sources import ClipSettings

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PAGES = ["README.md", "CONTRIBUTING.md", "TEACHING.md", "CHANGELOG.md"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
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


def check_call(words: list[str]) -> None:
    """Assert that a call of avnb has a command, names and options that exist."""
    known: dict[str, Any] = get_command(cli.app).commands  # type: ignore[attr-defined]
    name, *rest = words
    assert name in known, f"avnb {' '.join(words)}"
    command = known[name]
    if name == "prepare" and rest and rest[0][0].islower():
        app = typer.Typer()
        app.command()(scripts.build_command(scripts.load_script(rest[0])))
        command = get_command(app)
    elif rest and name in {"run", "study", "play"} and rest[0][0].islower():
        assert rest[0] in list_series()
    given = {word.partition("=")[0] for word in rest if word.startswith("--")}
    assert given <= options(command), f"avnb {' '.join(words)}"
    if "--scale" in rest:
        assert rest[rest.index("--scale") + 1] in SCALES


@pytest.mark.parametrize("page", PAGES)
def test_avnb_has_the_commands_and_options_that_are_named(page: str) -> None:
    for words in calls_of("avnb", (ROOT / page).read_text()):
        check_call(words)


def read_remedies(text: str) -> Iterator[str]:
    """The last argument of each error that a module raises, with X for its values."""
    tree = ast.parse(text)
    constants = {
        ast.unparse(node.targets[0]): node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
    }
    for call in ast.walk(tree):
        # An AvnbError has three parts; others, such as ValueError, have one.
        if not isinstance(call, ast.Call) or len(call.args) < 3:
            continue
        if ast.unparse(call.func).endswith("Error"):
            remedy = constants.get(ast.unparse(call.args[-1]), call.args[-1])
            parts = getattr(remedy, "values", [remedy])  # of an f-string
            yield "".join(str(getattr(part, "value", "X")) for part in parts)


CALL = re.compile(r"\bavnb (?!again\b)([a-z]+(?: (?:--[a-z-]+|[a-z]+_[a-z_]+|ave))*)")


def test_remedies_name_commands_that_exist() -> None:
    seen = []
    for room in ("avnb", "data_scripts", "notebooks"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for remedy in read_remedies(path.read_text()):
                for call in CALL.findall(remedy):
                    seen.append(call)
                    check_call(call.split())
                for target in re.findall(r"`make (\w+)", remedy):
                    assert target in TARGETS, remedy
                for extra in re.findall(r"avnb\[(\w+)\]", remedy):
                    assert extra in EXTRAS, remedy
                for wanted in re.findall(r"'([\w-]+>=[\d.]+)'", remedy):
                    assert wanted in EXTRAS["lab"], remedy
    assert {"lab", "prepare single_video", "prepare ave --help"} <= set(seen)


def test_the_search_for_remedies_finds_them() -> None:
    text = """
AGAIN = "Run avnb prepares, again if need be"
def f():
    raise ClipsError(path, "it is bad", f"Give {name}, or avnb lab --prot 3")
    raise ClipsError(path, "it is bad", AGAIN)
    raise ValueError("avnb nothing")
"""
    found = [call for remedy in read_remedies(text) for call in CALL.findall(remedy)]
    assert found == ["lab --prot", "prepares"]
    for call in found:
        with pytest.raises(AssertionError):
            check_call(call.split())


@pytest.mark.parametrize("page", PAGES)
def test_other_programs_are_given_what_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    for words in calls_of("python", text):
        if words[0].endswith(".py"):
            code = (ROOT / words[0]).read_text()
            for word in words[1:]:
                assert word[:2] != "--" or f'"{word}"' in code, words
    for program in ("pip", "uv"):
        for words in calls_of(program, text):
            for group in re.findall(r"\[(.+?)\]", " ".join(words)):
                assert set(group.split(",")) <= set(EXTRAS), words
    for (place,) in calls_of("source", text):
        assert place == ".venv/bin/activate"


def test_each_series_has_clips_that_it_can_use() -> None:
    """In README's order: which folder is prepared how, and which series gets it."""
    kinds = {"seconds": float, "fps": float, "size": int, "sample_rate": int}
    made: dict[str, ClipSettings] = {}
    served = set()
    for name, *words in calls_of("avnb"):
        given = {a[2:].replace("-", "_"): b for a, b in pairwise(words)}
        if name == "prepare" and "out" in given:
            asked = {
                field: kind(given[field])
                for field, kind in kinds.items()
                if field in given
            }
            default: ClipSettings = scripts.load_script(words[0]).SETTINGS
            made[given["out"]] = dataclasses.replace(default, **asked)
        elif name == "run" and "data" in given:
            wanted = load_series(words[0]).WANTED
            held = {"train": 1, "test": 1}
            assert wanted.find_misfits(made[given["data"]], held) == [], words
            served.add(words[0])
    needing = {one for one in list_series() if hasattr(load_series(one), "WANTED")}
    assert served == needing


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
    for _, target, *_ in calls_of("papermill"):  # what it writes, git does not see
        place = (ROOT / "notebooks" / "any" / target).resolve()
        assert place.is_relative_to(ROOT / "runs"), target
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
    assert top.index("A neural network is") < top.index("were trained")


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
def test_lines_are_short(page: str) -> None:
    """Rows of tables, pictures and long links cannot be broken into lines."""
    text = (ROOT / page).read_text()
    text = re.sub(r"<!-- reference.*?<!-- end -->", "", text, flags=re.S)
    free = re.compile(r"\||!?\[.*\]\(.*\)( ·|\.)?$")
    long = [x for x in text.splitlines() if len(x) > 88 and not free.match(x)]
    assert not long


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


@pytest.mark.parametrize("page", PAGES)
def test_steps_that_are_named_by_number_exist(page: str) -> None:
    text = " ".join((ROOT / page).read_text().split())
    named = re.findall(r"`(\w+)` steps? ((?:\d+(?:, | and )?)+)", text)
    named += [(b, a) for a, b in re.findall(r"[Ss]tep (\d+) of `(\w+)`", text)]
    for series, numbers in named:
        known = {read_step(path).number for path in step_files(series)}
        assert {int(number) for number in re.findall(r"\d+", numbers)} <= known
    assert page != "TEACHING.md" or len(named) > 5


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


def test_contributors_are_told_the_names_that_are_read() -> None:
    """Of a series' module, as `avnb.course.series` lists them, and of a data script."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    told = {
        what: re.split(r"^##", text.split(f"### Add a {what}\n")[1], flags=re.M)[0]
        for what in ("series", "data set")
    }
    names = re.compile(r"`([A-Z_]{4,}|evidence|headlines)`")
    listed = importlib.import_module("avnb.course.series").__doc__ or ""
    read = set(names.findall(listed.replace(" = True", "")))
    assert set(names.findall(told["series"])) == read
    functions = re.findall(r"`(\w+)\(", told["data set"])
    assert {"find_sources", "download"} == set(functions)
    for name in ("NAME", "ABOUT", "SETTINGS", "find_sources"):
        assert f"`{name}" in told["data set"]
        assert hasattr(scripts.load_script("folder"), name)


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


def test_every_paper_can_be_cited() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]
    known = {(one["authors"][0]["family-names"], one["year"]) for one in cited}
    papers = set()
    for series in list_series():
        about = (ROOT / "notebooks" / series / "__init__.py").read_text()
        if paper := re.match(r'"""(\w+)(?: et al\.)? (\d{4}), ', about):
            papers.add((paper[1], int(paper[2])))
    assert len(papers) >= 5
    assert papers == known


def test_the_hook_for_pairs_chooses_tests_that_exist() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = {hook["id"]: hook for repo in config["repos"] for hook in repo["hooks"]}
    words = shlex.split(hooks["pairs"]["entry"])
    (path,) = (ROOT / word for word in words if word.endswith(".py"))
    tests = re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    for part in words[words.index("-k") + 1].split(" or "):
        assert any(part in test for test in tests), part
