"""The start page names every step, and each of its links leads somewhere."""

import re
from pathlib import Path
from urllib.parse import unquote

import avnb_notebooks
import nbformat
import pytest

from avnb.course import start_page
from avnb.course.lab import build_command
from avnb.course.series import list_series, step_files

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working copy of the installed series, and one run beside it."""
    course = tmp_path / "course"
    course.mkdir()
    (course / "avnb_notebooks").symlink_to(next(iter(avnb_notebooks.__path__)))
    run = tmp_path / "runs" / "ms_vae" / "laptop-width=2 x"
    (run / "notebooks").mkdir(parents=True)
    (run / "report.html").touch()
    (run / "notebooks" / "step4_model.ipynb").touch()
    return course


def read_page(folder: Path) -> list[str]:
    page = nbformat.read(start_page.write_start_page(folder), as_version=4)
    nbformat.validate(page)
    return [cell.source for cell in page.cells]


def test_every_step_is_there_with_what_it_teaches_and_needs(folder: Path) -> None:
    text = "\n".join(read_page(folder))
    steps = re.split(r"^### ", text, flags=re.M)[1:]
    assert len(steps) == sum(len(step_files(series)) for series in list_series())
    for step in steps:
        assert step.count("**You will learn**") == 1, step
        listed = re.search(r"learn\*\*\n\n1\. .{20}", step)
        assert listed or re.search(r"learn\*\* .{20}", step), step
        assert re.search(
            r"\n\n\*\*Time\.\*\* (About \d+ minutes to read|As long as)", step
        )
        assert re.search(r"\n\n\*\*Before you start\.\*\* .{9}", step), step
    for series in list_series():
        order = [path.stem for path in step_files(series)]
        assert re.findall(rf"\]\(avnb_notebooks/{series}/(step\w+)\.", text) == order


def test_the_page_begins_with_the_series_that_says_so(folder: Path) -> None:
    titles = [cell.partition("\n")[0] for cell in read_page(folder)[1:]]
    others = sorted(set(list_series()) - {"start_here"})
    assert titles == [f"## {series}" for series in ["start_here", *others]]


def test_links_lead_to_steps_reports_and_executed_notebooks(folder: Path) -> None:
    links = LINK.findall("\n".join(read_page(folder)))
    assert len(links) > 29
    for link in links:
        assert "://" in link or (folder / unquote(link)).exists(), link
    run = "../runs/ms_vae/laptop-width%3D2%20x"
    assert {f"{run}/report.html", f"{run}/notebooks/step4_model.ipynb"} <= set(links)


def test_a_series_without_a_playing_notebook_offers_no_play(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_page, "find_reference", lambda series: folder)
    offered = re.findall(r"`avnb play (\w+)`", "\n".join(read_page(folder)))
    playing = {one for one in list_series() if step_files(one)[-1].stem[-5:] == "_play"}
    assert set(offered) == playing != set(list_series())


def test_jupyterlab_opens_it_first(folder: Path) -> None:
    command, _ = build_command(folder, port=None, browser=True, allow_root=False)
    assert "--LabApp.default_url=/lab/tree/course/start.ipynb" in command
    assert f"--ServerApp.root_dir={folder.parent}" in command
    assert "--no-browser" not in command
    assert "--allow-root" not in command


def test_a_damaged_notebook_does_not_stop_the_page(tmp_path: Path) -> None:
    broken = tmp_path / "step1_broken.ipynb"
    broken.write_text("{")
    assert start_page.read_head(broken) == ("", [])
