"""A run's results as one HTML page that holds its pictures, sounds and films itself."""

import html
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import nbformat

from avnb import files
from avnb.course.provenance import shorten_commit
from avnb.course.reference import (
    describe_reference,
    find_reference,
    load_reference,
    read_file,
    select_tables,
)
from avnb.course.series import load_series
from avnb.course.trainings import TRAININGS, list_trainings
from avnb.viz import show

Entry = Mapping[str, Any]

KINDS = {".png": "image/png", ".wav": "audio/wav", ".mp4": "video/mp4"}
# Parts of the page that gather entries of several steps.
MADE, CLAIMS, ELSEWHERE = "made", "claims", "elsewhere"
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

    The page opens with what the run made and its main tables (`HIGHLIGHTS` of the
    series), then come its claims, and then everything else, step by step. What was not
    computed from the data of this run stands apart at the end.

    Args:
        run_dir: the folder of a run that `run_series` wrote.

    Returns:
        The path of the page.
    """
    results = files.read_json(run_dir / "results.json")
    series, scale = html.escape(results["series"]), html.escape(results["scale"])
    parts = _sort_entries(results)
    sections, links = [], []
    for name, step in results["steps"].items():
        # results.json may come from somebody else: no text of it must act as HTML.
        title, shown = html.escape(_read_title(run_dir, name)), html.escape(name)
        links.append(f"<a href='#{shown}'>{title}</a>")
        memory = html.escape(str(step["peak_memory_mb"]))
        sections.append(
            f"<h2 id='{shown}'>{title}</h2><p class='quiet'>{shown} took "
            f"{step['minutes']:.1f} minutes and {memory} MB of memory."
            "</p>" + _render_entries(run_dir, parts[name])
        )
    # No address leads out of the page, so that it is whole where there is no network.
    page = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{series} ({scale})</title><style>{CSS}</style></head><body>"
        f"<h1>{series}</h1><p class='quiet'>{_describe_run(results)}</p>"
        + _render_section(run_dir, "What this run made", parts[MADE])
        + _render_section(run_dir, "The paper's claims in this run", parts[CLAIMS])
        + _render_reference(results)
        + f"<h2>Step by step</h2><p>{' · '.join(links)}</p>{''.join(sections)}"
        + _render_others(run_dir, parts[ELSEWHERE])
        + "</body></html>\n"
    )
    path = run_dir / "report.html"
    files.write_bytes(path, page.encode())
    return path


def _sort_entries(results: Mapping[str, Any]) -> dict[str, list[Entry]]:
    """The entries of each part of the page: MADE, CLAIMS, ELSEWHERE, and each step."""
    wanted = getattr(load_series(results["series"]), "HIGHLIGHTS", ())
    parts: dict[str, list[Entry]] = {MADE: [], CLAIMS: [], ELSEWHERE: []}
    for name, step in results["steps"].items():
        parts[name] = []
        for entry in step["entries"]:
            # First of all: another run's numbers must never stand among this run's.
            if entry.get("source"):
                parts[ELSEWHERE].append(entry)
            elif str(entry["name"]).startswith("claims"):
                parts[CLAIMS].append(entry)
            elif any(fnmatch(entry["name"], pattern) for pattern in wanted):
                parts[MADE].append(entry)
            else:
                parts[name].append(entry)
    # What can be seen and heard first, then the tables.
    parts[MADE].sort(key=lambda entry: entry["kind"] == "value")
    return parts


def _render_section(run_dir: Path, title: str, entries: Sequence[Entry]) -> str:
    if not entries:
        return ""
    return f"<h2>{html.escape(title)}</h2>" + _render_entries(run_dir, entries)


def _render_reference(results: Mapping[str, Any]) -> str:
    """The reference run's claims, tables and samples, under a heading of its own."""
    found, folder = load_reference(results["series"]), find_reference(results["series"])
    if found is None or folder is None or results["scale"] == found["scale"]:
        return ""
    parts = [
        "<h2>The reference run</h2><p>What follows is not of this run, but of a long "
        f"one: {html.escape(describe_reference(found))}.</p>",
        show.table_html(list_claims(found["claims"], name_column(found)), "Claims"),
        _render_entries(folder, select_tables(found)),
    ]
    for entry in found["samples"]:
        content = read_file(folder, entry)
        parts.append(_render_content(entry, content, Path(entry["file"]).suffix))
    return "".join(parts)


def name_column(found: Mapping[str, Any]) -> str:
    """The heading of a reference run's numbers, which says what they are."""
    several = len(found["seeds"]) > 1
    return "mean over seeds [95 % interval]" if several else "the reference run"


def _render_others(run_dir: Path, entries: Sequence[Entry]) -> str:
    """What was not computed from this run's data, each with where it is from."""
    if not entries:
        return ""
    parts = [
        "<h2>Not from this run</h2><p>The numbers below were not computed from the "
        "data of this run. They stand here for comparison.</p>"
    ]
    for entry in entries:
        parts.append(f"<h3>Source: {html.escape(entry['source'])}</h3>")
        parts.append(_render_entries(run_dir, [entry]))
    return "".join(parts)


def _read_title(run_dir: Path, name: str) -> str:
    """The first heading of the executed notebook, or the step's name without one."""
    path = run_dir / "notebooks" / f"{name}.ipynb"
    if path.is_file():
        for cell in nbformat.read(path, as_version=4).cells:  # type: ignore[no-untyped-call]
            if cell.cell_type == "markdown" and cell.source.startswith("# "):
                return str(cell.source).splitlines()[0].removeprefix("# ")
    return name


def _describe_run(results: Mapping[str, Any]) -> str:
    """One line on the whole run: what was asked for, what it took, where it ran."""
    made = results["provenance"]
    # The steps do not count the start of their processes, and a call does not count
    # the steps that were done before it: the larger is nearer to what passed.
    minutes = max(results["minutes"], results["minutes_of_this_run"])
    parts = [
        f"scale {results['scale']}",
        f"seed {results['seed']}",
        f"data: {Path(results['data']).name}",
        f"{minutes:.1f} minutes",
        f"at most {results['peak_memory_mb']} MB of memory",
        made["hardware"],
        made["date"],
        f"avnb {made['avnb']}, commit {shorten_commit(made['commit'])}",
        f"torch {made['torch']}",
    ]
    changed = [f"{name} = {value}" for name, value in results["overrides"].items()]
    return html.escape(" · ".join(parts + changed))


def _render_entries(run_dir: Path, entries: Sequence[Entry]) -> str:
    """Entries in their order; single values that follow each other share a table."""
    parts: list[str] = []
    values: list[dict[str, Any]] = []
    for entry in [*entries, None]:  # None ends the last table
        # A number alone makes a poor table: those that follow each other share one.
        if entry is not None and _is_single(entry):
            values.append({"": _read_caption(entry), "value": entry["value"]})
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


def list_claims(rows: Sequence[Entry], column: str) -> list[dict[str, Any]]:
    """Give the rows of `study.judge_claims` the headings under which people read them.

    Args:
        rows: one a claim.
        column: the heading of our number, which says what it was computed from.
    """
    headings = {
        "claim": "the paper claims",
        "paper": "where",
        "measured": "what our number is",
        "here": column,
        "needed": "the claim needs",
        "holds": "verdict",
    }
    return [{headings.get(key, key): v for key, v in row.items()} for row in rows]


def _read_caption(entry: Entry) -> str:
    """What stands beside an entry; its name in words where it has no caption."""
    words = show.spell_name(str(entry["name"]))
    # table1 → Table 1
    words = re.sub(r"(?<=[a-z])(?=\d)", " ", words)
    return str(entry.get("caption") or words[:1].upper() + words[1:])


def _is_single(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is one number, one text or one Measure."""
    if entry["kind"] != "value":
        return False
    value = entry["value"]
    return not isinstance(value, list | Mapping) or _is_measure(value)


def _is_measure(value: Any) -> bool:
    # By its fields: in JSON a Measure is a plain object.
    return isinstance(value, Mapping) and {"value", "low", "high"} <= set(value)


def _render_value(entry: Mapping[str, Any]) -> str:
    name, value = _read_caption(entry), entry["value"]
    if str(entry["name"]).startswith("claims"):
        # A kept study has several seeds, and a run has one.
        value = list_claims(value, "this run")
    if entry["name"] == TRAININGS:
        value = list_trainings(value)
    if isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
        return show.table_html(value, name)
    # A cell of a table has no room for a list or for another table.
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
    return _render_content(entry, path.read_bytes(), path.suffix)


def _render_content(entry: Entry, content: bytes, suffix: str) -> str:
    # Inside the page itself, so that it can be mailed or published as one file.
    source = show.data_url(content, KINDS[suffix])
    caption = html.escape(_read_caption(entry))
    player = {
        "figure": f"<img src='{source}' alt='{caption}'>",
        "audio": f"<audio controls preload='none' title='{caption}' src='{source}'>"
        "</audio>",
        "video": f"<video controls loop title='{caption}' src='{source}'></video>",
    }[entry["kind"]]
    return f"<figure>{player}<figcaption>{caption}</figcaption></figure>"
