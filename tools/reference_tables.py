"""Write README's numbers from the reference runs in results/.

python tools/reference_tables.py    write each block between its markers anew

A block begins with `<!-- reference SERIES WHAT -->` and ends with `<!-- end -->`. WHAT
is `about` (one line: data, scale, seeds, hardware, date, commit), `claims`, or the name
of a table that the run recorded. `<!-- reference all minutes -->` says how long each
series takes.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avnb.course.reference import describe_reference, load_reference
from avnb.course.report import list_claims, name_column
from avnb.course.series import list_series
from avnb.course.speed import describe_minutes
from avnb.viz import show

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCK = re.compile(r"(<!-- reference (\w+) (\S+) -->\n).*?(<!-- end -->)", re.S)
NONE = "The reference run of this series is not published yet.\n"


def write_blocks(text: str) -> str:
    """A Markdown text with all its blocks written anew."""
    return BLOCK.sub(lambda m: m[1] + render_block(m[2], m[3]) + m[4], text)


def render_block(series: str, what: str) -> str:
    """The Markdown of one block; one sentence where no reference run is published."""
    if (series, what) == ("all", "minutes"):
        return render_rows([list_minutes(one) for one in sorted(list_series())])
    found = load_reference(series)
    if found is None:
        return NONE
    if what == "about":
        return f"Source: {describe_reference(found)}.\n"
    if what == "claims":
        rows = list_claims(found["claims"], name_column(found))
        kept = ("the paper claims", name_column(found), "verdict")
        return render_rows([{name: row[name] for name in kept} for row in rows])
    tables = [
        entry["value"]
        for step in found["steps"].values()
        for entry in step["entries"]
        if entry["name"] == what
    ]
    if len(tables) != 1 or not isinstance(tables[0], list):
        raise SystemExit(f"README, block {series} {what}: no such table was recorded")
    return render_rows(tables[0])


def list_minutes(series: str) -> dict[str, str]:
    """How long one run takes at the scales that need no GPU."""
    took = {f"`{s}`": describe_minutes(series, s) for s in ("laptop", "reference")}
    return {"series": f"`{series}`"} | took


def render_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table, with numbers as the reports write them."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names)]
    for row in rows:
        cells = (show.format_number(row.get(name)) for name in names)
        lines.append([cell.replace("|", r"\|").replace("\n", " ") for cell in cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    README.write_text(write_blocks(README.read_text(encoding="utf-8")), "utf-8")
