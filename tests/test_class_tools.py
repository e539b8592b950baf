"""What `make class` and `make site` write can be graded, printed and shown."""

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
