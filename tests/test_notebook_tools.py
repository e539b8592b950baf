"""`make notebooks` erases nothing, and what readers make stays out of git."""

import os
import subprocess
from pathlib import Path

import nbformat
import notebook_tools as tools
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The text half of a notebook in a clone of its own, with its .ipynb half."""
    path = tmp_path / "notebooks" / "toy" / "step1_count.py"
    path.parent.mkdir(parents=True)
    path.write_text("# %% [markdown]\n# # Step 1 · Count\n\n# %%\ncount = 1\n")
    monkeypatch.setattr(tools, "ROOT", tmp_path)
    monkeypatch.setattr(tools, "steps", lambda: [("toy", path)])
    monkeypatch.setattr(tools, "list_series", lambda: {"toy": "toy"})
    monkeypatch.setattr(tools, "series_folder", lambda name: path.parent)
    tools.sync()
    assert tools.equal_halves(path)
    return path


def answer(notebook: Path, later: int) -> None:
    """Change a cell as JupyterLab does, some seconds after the text half."""
    nb = nbformat.read(notebook, as_version=4)
    nb.cells[-1].source = "count = 2"
    nbformat.write(nb, notebook)
    seconds = notebook.with_suffix(".py").stat().st_mtime + later
    os.utime(notebook, (seconds, seconds))


def test_a_changed_notebook_is_named_and_not_overwritten(text: Path) -> None:
    notebook = text.with_suffix(".ipynb")
    answer(notebook, later=5)
    before = notebook.read_bytes(), text.read_bytes()
    with pytest.raises(SystemExit, match=r"step1_count\.ipynb"):
        tools.sync()
    assert (notebook.read_bytes(), text.read_bytes()) == before
    tools.sync(force=True)
    assert "count = 2" not in notebook.read_text()


def test_a_newer_text_half_is_written_without_a_question(text: Path) -> None:
    notebook = text.with_suffix(".ipynb")
    answer(notebook, later=-5)
    tools.sync()
    assert "count = 2" not in notebook.read_text()


def test_a_notebook_that_was_only_touched_is_no_change(text: Path) -> None:
    os.utime(text.with_suffix(".ipynb"))
    assert tools.changed_notebooks([text]) == []
    text.with_suffix(".ipynb").write_text("{")
    assert tools.changed_notebooks([text]) == [text.with_suffix(".ipynb")]


@pytest.mark.parametrize("made", ["course/start.ipynb", "runs/toy/x", "data/x"])
def test_git_leaves_out_what_a_reader_makes(made: str) -> None:
    done = subprocess.run(["git", "check-ignore", "-q", made], cwd=ROOT, check=False)
    assert done.returncode == 0
