"""What `make class` and `make site` write can be graded, printed and shown."""

import ast
import re
from pathlib import Path
from typing import Any

import make_class
import make_site
import nbformat
import pytest
from nbformat import v4

from avnb.course.series import list_series

SERIES = sorted(list_series())


def grade(path: Path) -> dict[str, bool]:
    """Run a notebook's cells as nbgrader does, and tell which checks passed."""
    space: dict[str, Any] = {}
    passed = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        about = cell.metadata.get("nbgrader", {})
        try:
            exec(cell.source, space)
            error = False
        except Exception:
            error = True
            assert about.get("grade"), cell.source
        if about.get("grade"):
            assert about["points"] == 1
            passed[about["grade_id"]] = not error
    return passed


@pytest.mark.slow
@pytest.mark.parametrize("series", SERIES)
def test_the_solutions_get_all_points_and_the_stubs_none(
    series: str, tmp_path: Path
) -> None:
    written = list(make_class.write_class(tmp_path, series))
    solved = [path for path in written if "source" in path.parts]
    assert solved
    for path in solved:
        student = tmp_path / "release" / path.relative_to(tmp_path / "source")
        points, none = grade(path), grade(student)
        assert points.keys() == none.keys()
        assert all(points.values()), (path, points)
        assert not any(none.values()), (student, none)
        nbformat.validate(nbformat.read(student, as_version=4))
        assert "BEGIN SOLUTION" in path.read_text()
        assert "SOLUTION" not in student.read_text()


def clear(source: str) -> str:
    """What nbgrader's ClearSolutions makes of a cell, written out again."""
    out, inside = [], False
    for line in source.splitlines():
        if "### BEGIN SOLUTION" in line:
            indent, inside = line[: len(line) - len(line.lstrip())], True
            out += [f"{indent}# YOUR CODE HERE", f"{indent}raise NotImplementedError()"]
        elif "### END SOLUTION" in line:
            inside = False
        elif not inside:
            out.append(line)
    return "\n".join(out)


@pytest.mark.slow
@pytest.mark.parametrize("series", SERIES)
def test_nbgrader_leaves_the_students_the_function_s_name_and_its_words(
    series: str, tmp_path: Path
) -> None:
    # A list: the release of a notebook is written after its source.
    for path in list(make_class.write_class(tmp_path, series)):
        if "source" not in path.parts:
            continue
        mine = tmp_path / "release" / path.relative_to(tmp_path / "source")
        cells = [nbformat.read(p, as_version=4).cells for p in (path, mine)]
        for solved, stub in zip(*cells, strict=True):
            if not solved.metadata.get("nbgrader", {}).get("solution"):
                assert solved.source == stub.source
                continue
            (left,), (ours,) = (
                ast.parse(text).body for text in (clear(solved.source), stub.source)
            )
            assert ast.unparse(left.args) == ast.unparse(ours.args)
            assert left.name == ours.name
            assert ast.get_docstring(left) == ast.get_docstring(ours) != ""
            assert isinstance(left.body[-1], ast.Raise)


@pytest.mark.slow
def test_a_sheet_asks_and_only_the_other_answers(tmp_path: Path) -> None:
    list(make_class.write_class(tmp_path, "ms_vae"))
    asked = (tmp_path / "sheets" / "ms_vae.html").read_text()
    solved = (tmp_path / "sheets" / "ms_vae_solutions.html").read_text()
    assert asked.count("<section>") == solved.count("<section>") > 10
    assert "return" not in "".join(re.findall(r"<pre>(.*?)</pre>", asked, re.DOTALL))
    assert "return" in solved


def make_run(folder: Path) -> Path:
    """A run of one executed notebook."""
    cells = [
        v4.new_markdown_cell("# Step 1 · Count"),
        v4.new_code_cell("SCALE = 'laptop'", metadata={"tags": ["parameters"]}),
        v4.new_code_cell("import math\nfrom pathlib import Path"),
        v4.new_markdown_cell("Some words without a heading."),
        v4.new_code_cell(
            "print(41 + 1)", outputs=[v4.new_output("stream", text="42\n")]
        ),
    ]
    path = folder / "runs" / "toy" / "laptop" / "notebooks" / "step1_count.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(nbformat.writes(v4.new_notebook(cells=cells)))
    return folder / "runs"


@pytest.mark.slow
def test_the_site_holds_pages_and_slides(tmp_path: Path) -> None:
    site = tmp_path / "site"
    page, slides = make_site.write_pages(site, "laptop", make_run(tmp_path))
    assert "42" in page.read_text()
    text = slides.read_text()
    assert "42" in text
    assert "import math" not in text
    assert "SCALE" not in text
    index = make_site.write_index(site).read_text()
    for name in re.findall(r'href="(toy/.*?)"', index):
        assert (site / name).is_file()
    assert index.count("step1_count") == 3


def test_a_topic_begins_a_slide_and_its_code_goes_below(tmp_path: Path) -> None:
    path = next(make_run(tmp_path).rglob("*.ipynb"))
    cells = nbformat.read(path, as_version=4).cells
    make_site.divide_into_slides(cells)
    kinds = [cell.metadata["slideshow"]["slide_type"] for cell in cells]
    assert kinds == ["slide", "skip", "skip", "fragment", "subslide"]


def test_without_a_run_there_is_no_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("sys.argv", ["make_site", str(tmp_path), "--runs", "none"])
    with pytest.raises(SystemExit):
        make_site.main()
    assert "Run: make demo" in capsys.readouterr().err
