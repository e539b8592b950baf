"""A run's results as one HTML page that holds its pictures, sounds and films itself."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from avnb import files
from avnb.viz import show

KINDS = {".png": "image/png", ".wav": "audio/wav", ".mp4": "video/mp4"}
CSS = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --link: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --link: #56b4e9; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto;
       padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; } h2 { border-top: 1px solid var(--line);
       padding-top: 1rem; margin-top: 2.5rem; }
a { color: var(--link); } .quiet { opacity: .7; font-size: 90%; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line);
       text-align: left; vertical-align: top; }
thead th { background: var(--soft); } caption { text-align: left; font-weight: bold; }
figure { margin: 1rem 0; display: inline-block; vertical-align: top;
       margin-right: 1rem; max-width: 100%; }
figure img, figure video { max-width: 100%; background: white; border-radius: 4px; }
figcaption { font-size: 90%; opacity: .8; max-width: 40rem; }
"""


def build_report(run_dir: Path) -> Path:
    """Write RUN_DIR/report.html from RUN_DIR/results.json.

    Args:
        run_dir: the folder of a run that `run_series` wrote.

    Returns:
        The path of the page.
    """
    results = files.read_json(run_dir / "results.json")
    series, scale = html.escape(results["series"]), html.escape(results["scale"])
    sections, links, claims = [], [], []
    for name, step in results["steps"].items():
        title = html.escape(_read_title(run_dir, name))
        links.append(f"<a href='#{name}'>{title}</a>")
        claims += [entry for entry in step["entries"] if _is_claim(entry)]
        others = [entry for entry in step["entries"] if not _is_claim(entry)]
        sections.append(
            f"<h2 id='{name}'>{title}</h2><p class='quiet'>{name} took "
            f"{step['minutes']:.1f} minutes and {step['peak_memory_mb']} MB of memory."
            "</p>" + _render_entries(run_dir, others)
        )
    top = "<h2>Claims</h2>" + _render_entries(run_dir, claims) if claims else ""
    page = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{series} ({scale})</title><style>{CSS}</style></head><body>"
        f"<h1>{series}</h1><p class='quiet'>{_describe_run(results)}</p>"
        f"<p>{' · '.join(links)}</p>{top}{''.join(sections)}"
        "</body></html>\n"
    )
    path = run_dir / "report.html"
    files.write_bytes(path, page.encode())
    return path


def _read_title(run_dir: Path, name: str) -> str:
    """The first heading of the executed notebook, or the step's name without one."""
    path = run_dir / "notebooks" / f"{name}.ipynb"
    if path.is_file():
        for cell in nbformat.read(path, as_version=4).cells:  # type: ignore[no-untyped-call]
            if cell.cell_type == "markdown" and cell.source.startswith("# "):
                return str(cell.source).splitlines()[0].removeprefix("# ")
    return name


def _describe_run(results: Mapping[str, Any]) -> str:
    made = results["provenance"]
    """One line on the whole run: what was asked for, what it took, where it ran."""
    parts = [
        f"scale {results['scale']}",
        f"seed {results['seed']}",
        f"data: {Path(results['data']).name}",
        f"{results['minutes']:.1f} minutes",
        f"at most {results['peak_memory_mb']} MB of memory",
        made["hardware"],
        made["date"],
        f"avnb {made['avnb']}, commit {made['commit'][:12]}, torch {made['torch']}",
    ]
    changed = [f"{name} = {value}" for name, value in results["overrides"].items()]
    return html.escape(" · ".join(parts + changed))


def _render_entries(run_dir: Path, entries: list[Mapping[str, Any]]) -> str:
    """Entries in their order; single values that follow each other share a table."""
    parts: list[str] = []
    values: list[dict[str, Any]] = []
    for entry in [*entries, None]:  # None ends the last table
        # A number alone makes a poor table: those that follow each other share one.
        if entry is not None and _is_single(entry):
            values.append({"": entry["name"], "value": entry["value"]})
            continue
        if values:
            parts.append(show.table_html(values))
            values = []
        if entry is None:
            continue
        is_value = entry["kind"] == "value"
        parts.append(
            _render_value(entry) if is_value else _render_media(run_dir, entry)
        )
    return "".join(parts)


def _is_claim(entry: Mapping[str, Any]) -> bool:
    return str(entry["name"]).startswith("claims")


def _is_single(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is one number, one text or one Measure."""
    if entry["kind"] != "value":
        return False
    value = entry["value"]
    return not isinstance(value, list | Mapping) or _is_measure(value)


def _is_measure(value: Any) -> bool:
    return isinstance(value, Mapping) and {"value", "low", "high"} <= set(value)


def _render_value(entry: Mapping[str, Any]) -> str:
    name, value = entry["name"], entry["value"]
    if isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
        return show.table_html(value, name)
    if isinstance(value, Mapping) and not any(_is_long(v) for v in value.values()):
        rows = [{"": key, "value": item} for key, item in value.items()]
        return show.table_html(rows, name)
    note = "is too long to be shown here. It stands in results.json."
    return f"<p class='quiet'>{html.escape(name)} {note}</p>"


def _is_long(value: Any) -> bool:
    return isinstance(value, list) or (
        isinstance(value, Mapping) and not _is_measure(value)
    )


def _render_media(run_dir: Path, entry: Mapping[str, Any]) -> str:
    path = (run_dir / entry["file"]).resolve()
    # results.json may come from somebody else: it must not name a file outside.
    if not path.is_relative_to(run_dir.resolve()) or not path.is_file():
        return f"<p>The file {html.escape(entry['file'])} is missing.</p>"
    # Inside the page itself, so that it can be mailed or published as one file.
    source = show.data_url(path.read_bytes(), KINDS[path.suffix])
    caption = html.escape(entry["caption"] or entry["name"])
    player = {
        "figure": f"<img src='{source}' alt='{caption}'>",
        "audio": f"<audio controls preload='none' src='{source}'></audio>",
        "video": f"<video controls loop src='{source}'></video>",
    }[entry["kind"]]
    return f"<figure>{player}<figcaption>{caption}</figcaption></figure>"
