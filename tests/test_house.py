"""Rules of the repository: one list of versions, rooms that stay apart, plain paths."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement

import avnb
from avnb.course.fingerprint import parse_cells
from avnb.course.series import list_series

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIRED = [*PROJECT["dependencies"], *EXTRAS["lab"], *EXTRAS["test"]]
LOCK = (ROOT / "requirements.lock").read_text()


# --- One list of versions ----------------------------------------------------------


def locked() -> dict[str, list[str]]:
    """Package -> its versions in the lock (one for each Python or platform)."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", LOCK, re.M):
        key = re.sub(r"[-_.]+", "-", name).lower()
        found.setdefault(key, []).append(version)
    return found


def test_environment_holds_no_list_of_its_own() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert pip == ["--editable .[lab,test]"]
    (python,) = (d for d in environment["dependencies"] if str(d).startswith("python"))
    assert PROJECT["requires-python"] in python


@pytest.mark.parametrize("text", REQUIRED)
def test_lock_holds_every_requirement(text: str) -> None:
    wanted = Requirement(text)
    versions = locked().get(wanted.name.lower(), [])
    assert versions, f"{wanted.name} is not in requirements.lock: make lock"
    for version in versions:
        assert wanted.specifier.contains(version), f"{version} is not {text}"


def test_lock_holds_the_torch_that_has_a_torchaudio() -> None:
    wanted = {"torch": "2.11.0", "torchaudio": "2.11.0", "torchvision": "0.26.0"}
    assert {name: locked()[name] for name in wanted} == {
        name: [version] for name, version in wanted.items()
    }


def test_lock_is_hashed_and_names_no_address() -> None:
    assert "://" not in LOCK
    assert "index" not in LOCK
    entries = re.split(r"^(?=\S)", LOCK, flags=re.M)
    unhashed = [e for e in entries if "==" in e and "--hash=sha256:" not in e]
    assert not unhashed


def test_the_version_is_the_installed_one() -> None:
    assert avnb.__version__ == importlib.metadata.version("avnb")
    fallback = SETTINGS["tool"]["setuptools_scm"]["fallback_version"]
    changes = (ROOT / "CHANGELOG.md").read_text()
    newest = re.search(r"^## (\d+\.\d+\.\d+)", changes, re.M)
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert newest
    assert newest[1] == fallback == cited


# --- The package asks for what it imports, and for nothing else --------------------

# Used without an import: the notebooks' kernel, the tracker of Accelerate, and pip,
# which is asked as a command which package index this user has set.
BEHIND_THE_SCENES = {"ipykernel", "pip", "tensorboard"}
# Of the extras: `ave`, which few readers need, and `lab`, which Colab has no use for.
OPTIONAL = {"h5py", "jupytext"}
ROOMS = {"avnb": "avnb", "data_scripts": "data_scripts", "notebooks": "avnb_notebooks"}


def sources(folder: str) -> list[Path]:
    """The Python files of a folder of the repository."""
    return sorted((ROOT / folder).rglob("*.py"))


@cache
def imported(path: Path) -> frozenset[str]:
    """The modules that a file imports, also inside functions."""
    cells = [path.read_text(encoding="utf-8")]
    if path.with_suffix(".ipynb").is_file():
        notebook = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
        cells += [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    names = set()
    for tree in parse_cells(cells):
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(str(node.module))
    return frozenset(names - {"google.colab"})  # Colab's own: no package brings it


def test_dependencies_are_what_is_imported() -> None:
    providers = importlib.metadata.packages_distributions()
    standard = sys.stdlib_module_names | set(ROOMS.values())
    used = set()
    for path in (path for folder in ROOMS for path in sources(folder)):
        for top in {name.partition(".")[0] for name in imported(path)} - standard:
            neighbour = path.with_name(f"{top}.py").is_file()
            if not neighbour:  # `from step4_model import ...` within a series
                used.add(providers.get(top, [top])[0].lower().replace("_", "-"))
    declared = {Requirement(text).name for text in PROJECT["dependencies"]}
    assert used - OPTIONAL == declared - BEHIND_THE_SCENES


# --- Rooms: imports go one way -----------------------------------------------------

FORBIDDEN = [
    ("avnb", {"data_scripts", "avnb_notebooks", "notebooks", "tests", "tools"}),
    ("data_scripts", {"avnb_notebooks", "notebooks", "tests", "tools"}),
    ("notebooks", {"tests", "tools"}),
]


@pytest.mark.parametrize(("folder", "forbidden"), FORBIDDEN)
def test_imports_go_one_way(folder: str, forbidden: set[str]) -> None:
    for path in sources(folder):
        tops = {name.partition(".")[0] for name in imported(path)}
        assert not tops & forbidden, f"{path} imports {tops & forbidden}"


def docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """The docstrings of a module and of what it defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                yield first.value


def without_docstrings(text: str) -> str:
    """A module's text, its comments included, without docstrings."""
    lines = text.splitlines()
    for found in docstrings(ast.parse(text)):
        for number in range(found.lineno, (found.end_lineno or 0) + 1):
            lines[number - 1] = ""
    return "\n".join(lines)


WORLD = re.compile(r"^ *(?:from|import) data_scripts(?:\.| import .*\b)bandstand", re.M)


def test_what_a_real_set_is_lies_with_its_script() -> None:
    """The drawn world imports it from there, and never the other way round."""
    world = ROOT / "data_scripts" / "bandstand"
    for path in sources("data_scripts"):
        if not path.is_relative_to(world):
            assert not WORLD.search(path.read_text()), path
    for line in (
        "import data_scripts.bandstand",
        "from data_scripts import a, bandstand",
    ):
        assert WORLD.search(f"import re\n    {line}\n")
    assert not WORLD.search("from data_scripts import ave\n")


SLOW = (
    *("jsonschema", "nbformat", "papermill", "pandas", "scipy.stats", "sklearn"),
    *("torch._dynamo", "torchmetrics", "torchvision"),
)


@pytest.mark.parametrize(
    ("used", "slow"),
    [
        pytest.param(  # what almost every notebook uses
            "from avnb import course, metrics, training; course.start",
            SLOW,
            marks=pytest.mark.slow,
        ),
        # `avnb --help`
        ("import avnb.course.cli", ("torch", "matplotlib", "numpy", *SLOW)),
    ],
)
def test_what_takes_seconds_to_import_is_imported_where_it_is_used(
    used: str, slow: tuple[str, ...]
) -> None:
    program = f"{used}; import sys; print(*({set(slow)!r} & set(sys.modules)))"
    run = [sys.executable, "-c", program]
    found = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert found.split() == []


def test_no_seed_reaches_a_generator_that_is_not_put_back() -> None:
    """`torch.manual_seed` seeds every GPU; `fork_rng([])` puts back the CPU's alone."""
    found = []
    for folder in ("avnb", "data_scripts", "notebooks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for block in ast.walk(ast.parse(path.read_text())):
                if not isinstance(block, ast.With):
                    continue
                # With an argument it forks some devices, and without one all of them.
                entered = [ast.unparse(item.context_expr) for item in block.items]
                some = any(re.search(r"fork_rng\(.", text) for text in entered)
                some = some and not any("fork_rng()" in text for text in entered)
                if some and "torch.manual_seed(" in ast.unparse(block):
                    found.append(f"{path.relative_to(ROOT)}:{block.lineno}")
    assert found == []


def test_notebooks_import_their_neighbours_from_any_folder() -> None:
    """A kernel may start elsewhere, where a bare step's name leads nowhere."""
    bare = re.compile(r"^\s*(?:from|import) step\d", re.M)
    for path in (ROOT / "notebooks").rglob("step*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                assert not bare.search(cell.source), f"{path.name}: {cell.source[:80]}"


def test_the_library_knows_no_series() -> None:
    # A series' name may stand in a docstring, as an example of a call.
    for path in sources("avnb"):
        text = without_docstrings(path.read_text())
        found = [name for name in list_series() if name in text]
        assert not found, f"{path} names {found}"


def test_nothing_that_is_installed_edits_the_path() -> None:
    paths = {path for folder in [*ROOMS, "tools"] for path in sources(folder)}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                assert ast.unparse(node) != "sys.path", f"{path}:{node.lineno}"


def test_the_guards_can_tell(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text(
        "def f():\n    from data_scripts import ave\n    import numpy as np\n"
    )
    assert imported(path) == {"data_scripts", "numpy"}
    text = '"""An example: ms_vae."""\nNAME = "ms_vae"  # ms_vae\n'
    assert without_docstrings(text) == '\nNAME = "ms_vae"  # ms_vae'


def test_linters_stay_strict() -> None:
    lint = SETTINGS["tool"]["ruff"]["lint"]
    assert {"E", "F", "I", "B", "D", "UP"} <= set(lint["select"])
    assert lint["pydocstyle"]["convention"] == "google"
    mypy = SETTINGS["tool"]["mypy"]
    assert mypy["strict"]
    assert {"avnb", "data_scripts"} <= set(mypy["files"])


# --- No file names this machine ----------------------------------------------------


def tracked() -> list[Path]:
    git = ["git", "-C", str(ROOT), "ls-files", "-z"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git clone: no list of tracked files")
    return [ROOT / name for name in done.stdout.split("\0") if name]


def test_tracked_files_name_no_machine() -> None:
    # Written apart, so that this file does not find itself.
    absolute = [
        "/wor" + "k/",
        "/ho" + "me/",
        "/ro" + "ot/",
        "/Use" + "rs/",
    ]
    hosts = ["py" + "pi.org", "python" + "hosted"]
    setting = "index" + "-url"
    # These read the reader's own setting of it.
    readers = {"package_index.py", "test_weights.py"}
    for path in tracked():
        if not path.is_file() or path.suffix in {".png", ".jpg", ".mp4", ".wav"}:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for word in [*hosts, *([] if path.name in readers else [setting])]:
            assert word not in text, f"{path}: {word}"
        for word in absolute:
            found = re.search(rf"(?<![\w.]){re.escape(word)}", text)
            assert not found, f"{path}: {text[found.start() :][:60]!r}" if found else ""
