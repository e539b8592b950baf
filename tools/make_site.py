"""Write the executed notebooks of runs/*/SCALE as HTML pages.

python tools/make_site.py FOLDER [--scale laptop]  the pages of all series run here
python tools/make_site.py FOLDER --index           the page that lists them; no package
                                                   beside Python is needed for it
"""

import argparse
import html
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>avnb</title><style>
:root { color-scheme: light dark; }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto;
       padding: 0 1rem; }
</style></head><body><h1>avnb: a course you can run</h1>
<p>The notebooks as they were executed at scale <code>laptop</code> on CPU cores. The
course is at <a href="https://github.com/avnb/avnb">github.com/avnb/avnb</a>.</p>
"""


def write_pages(site: Path, scale: str) -> list[Path]:
    """Write one page a notebook, and each run's report; return the pages."""
    from nbconvert import HTMLExporter

    exporter, pages = HTMLExporter(), []
    for run in sorted((ROOT / "runs").glob(f"*/{scale}")):
        folder = site / run.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        for notebook in sorted((run / "notebooks").glob("step*.ipynb")):
            page = folder / f"{notebook.stem}.html"
            page.write_text(exporter.from_filename(str(notebook))[0], encoding="utf-8")
            pages.append(page)
        shutil.copy(run / "report.html", folder)
    return pages


def write_index(site: Path) -> Path:
    """Write the page that lists all others."""
    parts = [HEAD]
    for folder in sorted(path for path in site.iterdir() if path.is_dir()):
        parts.append(f"<h2>{html.escape(folder.name)}</h2>\n<ul>")
        pages = folder.glob("step*.html")
        for page in sorted(pages, key=lambda p: int(re.findall(r"\d+", p.stem)[0])):
            parts.append(
                f'<li><a href="{folder.name}/{page.name}">{page.stem}</a></li>'
            )
        parts.append(f'<li><a href="{folder.name}/report.html">report</a></li>\n</ul>')
    index = site / "index.html"
    index.write_text("\n".join([*parts, "</body></html>\n"]), encoding="utf-8")
    return index


def main() -> None:
    """Read the arguments, and write what they ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", default="laptop")
    parser.add_argument("--index", action="store_true")
    given = parser.parse_args()
    if given.index:
        print(write_index(given.folder))
    else:
        print(*write_pages(given.folder, given.scale), sep="\n")


if __name__ == "__main__":
    main()
