"""What repeats a step: what it executes and imports, and nothing else."""

import sys
from pathlib import Path

import pytest

from avnb.course import fingerprint
from avnb.course.series import series_folder
from avnb.course.steps import read_step

PACKAGE = {
    "__init__.py": (
        "from ours.layers import Plain, Recurrent\nfrom ours import widgets\n"
        '__all__ = ["Plain", "Recurrent", "widgets"]\n'
    ),
    "layers/__init__.py": (
        "from ours.layers.plain import Plain\n"
        "from ours.layers.recurrent import Recurrent\n"
    ),
    "layers/plain.py": "from .base import Base\n\nclass Plain(Base):\n    width = 3\n",
    "layers/base.py": "class Base:\n    pass\n",
    "layers/recurrent.py": "class Recurrent:\n    width = 4\n",
    "widgets.py": '"""Widgets."""\n\ndef draw():\n    return 1  # one\n',
}


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in PACKAGE.items():
        path = tmp_path / "ours" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(fingerprint, "list_followed_packages", lambda: {"ours"})
    fingerprint._find_root.cache_clear()
    yield tmp_path / "ours"
    fingerprint._find_root.cache_clear()
    assert "ours" not in sys.modules  # nothing of it is executed


def imports(*cells: str) -> set[str]:
    return set(fingerprint.find_imports(fingerprint.parse_cells(cells)))


@pytest.mark.parametrize(
    "cells",
    [
        ("from ours.layers import Plain",),
        ("from ours import Plain as P",),
        ("from ours import layers", "layers.Plain()"),
        ("from ours.layers.plain import Plain",),
    ],
)
def test_a_name_leads_to_the_module_that_defines_it(
    ours: Path, cells: tuple[str, ...]
) -> None:
    assert imports(*cells) == {"ours.layers.plain", "ours.layers.base"}


@pytest.mark.parametrize(
    "cells", [("import ours",), ("import ours", "ours.layers.Plain")]
)
def test_a_package_used_as_a_whole_counts_as_a_whole(
    ours: Path, cells: tuple[str, ...]
) -> None:
    found = imports(*cells)
    assert {"ours.layers.plain", "ours.layers.recurrent", "ours.widgets"} <= found
    assert imports("from ours import layers", "vars(layers)") == {
        "ours.layers.plain",
        "ours.layers.base",
        "ours.layers.recurrent",
    }


def test_only_what_is_executed_and_imported_changes_the_hash(ours: Path) -> None:
    def hashes() -> tuple[str, str]:
        texts = ("from ours import Plain", "from ours import widgets")
        parsed = [fingerprint.parse_cells([text]) for text in texts]
        return fingerprint.hash_imports(parsed[0]), fingerprint.hash_imports(parsed[1])

    plain, widgets = hashes()
    text = (ours / "widgets.py").read_text()
    (ours / "widgets.py").write_text(
        text.replace("# one", "# no longer two").replace("Widgets", "Things to press")
    )
    assert hashes() == (plain, widgets)
    (ours / "widgets.py").write_text(text.replace("return 1", "return 22"))
    assert hashes()[0] == plain
    assert hashes()[1] != widgets
    (ours / "layers" / "recurrent.py").write_text("class Recurrent:\n    width = 55\n")
    assert hashes()[0] == plain
    (ours / "layers" / "base.py").write_text("class Base:\n    depth = 1\n")
    assert hashes()[0] != plain


def test_the_same_code_has_the_same_hash_each_time(ours: Path) -> None:
    (ours / "widgets.py").write_text("'Widgets.'\n'More.'\n'Most.'\n")
    trees = fingerprint.parse_cells(["from ours import widgets"])
    assert len({fingerprint.hash_imports(trees) for _ in range(4)}) == 1


def test_cells_count_without_their_comments() -> None:
    cells = ["x = 1  # one", 'def f():\n    """Two."""\n    return 2', "%pip list"]
    same = ["x = 1\n", "def f():\n    return 2", "%pip list"]
    assert fingerprint.hash_cells(cells) == fingerprint.hash_cells(same)
    assert fingerprint.hash_cells([*cells[:2], "%pip"]) != fingerprint.hash_cells(same)
    assert fingerprint.hash_cells(["x = 2"]) != fingerprint.hash_cells(["x = 1"])


def closure(series: str, step: str) -> set[str]:
    found = read_step(series_folder(series) / f"{step}.py")
    trees = fingerprint.parse_cells(found.cells)
    return set(fingerprint.find_imports(trees, found.notebook.parent))


def test_real_steps_depend_on_what_they_use() -> None:
    here = closure("ms_vae", "step6_train")
    assert {"avnb.training.run", "avnb.training.sampling", "avnb.course.lesson"} <= here
    assert "avnb_notebooks.ms_vae.step4_model" in here
    layers = {name for name in here if name.startswith("avnb.layers.")}
    assert layers == {"avnb.layers.memory_format"}  # which every training uses
    assert "avnb.viz.widgets" not in here
    assert not any("listen_and_move" in name for name in here)
    other = closure("listen_and_move", "step6_train")
    assert "avnb.layers.prediction" in other
    assert "avnb_notebooks.listen_and_move.step3_generator" in other
    # The scripts of data sets are declared by entry points, and followed too.
    assert any(name.startswith("data_scripts.") for name in here)
    assert fingerprint.list_followed_packages() >= {"avnb", "data_scripts"}
