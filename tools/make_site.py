"""Write the executed notebooks of runs/*/SCALE as HTML pages, and as slides.

python tools/make_site.py FOLDER [--scale laptop]  the pages of all series run here
python tools/make_site.py FOLDER --index           the page that lists them; no package
                                                   beside Python is needed for it
"""

import argparse
import html
import re
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>avnb</title><style>
:root { color-scheme: light dark; }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto;
       padding: 0 1rem; }
</style></head><body><h1>avnb: a course you can run</h1>
<p>The notebooks as they were executed on CPU cores, as pages and as slides. The
course is at <a href="https://github.com/avnb/avnb">github.com/avnb/avnb</a>.</p>
"""


def write_pages(site: Path, scale: str, runs: Path) -> list[Path]:
    """Write a page and slides for each executed notebook, and each run's report.

    Args:
        site: the folder to write to.
        scale: of the runs that are shown; the folder of a run has this name.
        runs: the folder that holds a folder for each series.

    Returns:
        The pages and slides.
    """
    import nbformat
    from nbconvert import HTMLExporter, SlidesExporter

    page_exporter, written = HTMLExporter(), []
    # Wide enough for a line of 88 characters; a long output scrolls.
    slides_exporter = SlidesExporter(
        reveal_width="1400", reveal_height="900", reveal_scroll=True
    )
    for run in sorted(runs.glob(f"*/{scale}")):
        folder = site / run.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted((run / "notebooks").glob("step*.ipynb")):
            notebook = nbformat.read(path, as_version=4)
            # The exporters change metadata, so the slides' tags come after the page.
            page = page_exporter.from_notebook_node(notebook)[0]
            divide_into_slides(notebook.cells)
            slides = slides_exporter.from_notebook_node(notebook)[0]
            for text, suffix in ((page, ".html"), (slides, ".slides.html")):
                written.append(folder / f"{path.stem}{suffix}")
                written[-1].write_text(text, encoding="utf-8")
        if (report := run / "report.html").is_file():
            shutil.copy(report, folder)
    return written


def divide_into_slides(cells: list[Any]) -> None:
    """Tag the cells of a notebook for nbconvert's slides.

    A text with a heading begins a slide. Code goes below it, one cell a slide, so that
    a lecturer steps down through the code of a topic, or goes right to the next topic.
    The cells of the set-up are left out.
    """
    for cell in cells:
        tags = set(cell.metadata.get("tags", ()))
        if cell.cell_type == "markdown":
            has_heading = re.search(r"^#{1,3} ", cell.source, re.MULTILINE)
            kind = "slide" if has_heading else "fragment"
        elif tags & {"parameters", "injected-parameters"} or _sets_up(cell.source):
            kind = "skip"
        else:
            kind = "subslide"
        cell.metadata["slideshow"] = {"slide_type": kind}


def _sets_up(code: str) -> bool:
    """Whether a cell only installs the course or imports."""
    lines = [line for line in code.splitlines() if line.strip()]
    imports = all(line.startswith(("import ", "from ", "    ", ")")) for line in lines)
    return imports or "google.colab" in code


def write_index(site: Path) -> Path:
    """Write the page that lists all others."""
    parts = [HEAD]
    for folder in sorted(path for path in site.iterdir() if path.is_dir()):
        parts.append(f"<h2>{html.escape(folder.name)}</h2>\n<ul>")
        pages = (p for p in folder.glob("step*.html") if ".slides" not in p.name)
        for page in sorted(pages, key=lambda p: int(re.findall(r"\d+", p.stem)[0])):
            there = f"{folder.name}/{page.stem}"
            parts.append(
                f'<li><a href="{there}.html">{page.stem}</a> '
                f'(<a href="{there}.slides.html">slides</a>)</li>'
            )
        if (folder / "report.html").is_file():
            parts.append(f'<li><a href="{folder.name}/report.html">report</a></li>')
        parts.append("</ul>")
    index = site / "index.html"
    index.write_text("\n".join([*parts, "</body></html>\n"]), encoding="utf-8")
    return index


def main() -> None:
    """Read the arguments, and write what they ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", default="laptop")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    parser.add_argument("--index", action="store_true", help="only the list of pages")
    given = parser.parse_args()
    if given.index:
        print(write_index(given.folder))
        return
    written = write_pages(given.folder, given.scale, given.runs)
    if not written:
        parser.exit(1, f"{given.runs} holds no run at {given.scale}. Run: make demo\n")
    print(*written, write_index(given.folder), sep="\n")


if __name__ == "__main__":
    main()
