"""The embedded data of a series: declared by the series, made when they are needed."""

import dataclasses
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

from filelock import FileLock

from avnb import files
from avnb.course.fingerprint import hash_module
from avnb.course.folders import find_home, require_writable
from avnb.course.series import load_series
from avnb.course.settings import check_scale
from avnb.data.scripts import load_script
from avnb.data.shards import prepare
from avnb.errors import LessonError


def identify_embedded_data(scale: str, series: str) -> dict[str, Any] | None:
    """What the embedded data of a series at a scale depend on; None where it has none.

    Two equal answers mean the same data, so this stands in the fingerprint of a step.
    """
    if getattr(load_series(series), "EMBEDDED", None) is None:
        return None
    _, module, options = _find_declared(scale, series)
    return {"options": options, "source": hash_module(module.__name__)}


def make_embedded_data(scale: str, series: str) -> Path:
    """A series' embedded data at a scale, made when absent or out of date.

    Raises:
        LessonError: unknown series or scale, a series without embedded data, or data
            that did not come out whole.
    """
    script, module, options = _find_declared(scale, series)
    out = require_writable(find_home() / "data") / f"{script}-{scale}"
    wanted = identify_embedded_data(scale, series)
    # The processes of `accelerate launch` all come here at once: one makes the data,
    # and the others wait and find them made.
    with FileLock(out.with_name(f".{out.name}.lock")):
        # Written last: data that a killed process left half made are made again.
        made = out / "made.json"
        if not made.is_file() or files.read_json(made) != wanted:
            _make(module, options, scale, out)
            files.write_json(made, wanted)
    return out


def _find_declared(scale: str, series: str) -> tuple[str, ModuleType, dict[str, Any]]:
    """The script's name, its module and its options, as `EMBEDDED` declares them."""
    check_scale(scale)
    declared = getattr(load_series(series), "EMBEDDED", None)
    if declared is None:
        raise LessonError(
            f"series {series!r}",
            "it has no embedded data",
            "Give DATA, a folder of prepared clips",
        )
    script, scales = declared
    return script, load_script(script), scales[scale]


def _make(module: ModuleType, options: dict[str, Any], scale: str, out: Path) -> None:
    print(f"Making the embedded data for scale {scale} (once).", flush=True)
    media = out.with_name(f"{out.name}-files")
    # Files of older options would be read as if they belonged to these.
    shutil.rmtree(media, ignore_errors=True)
    # `size` is a setting of the clips. All other options are the script's own.
    given = {name: value for name, value in options.items() if name != "size"}
    size = options.get("size", module.SETTINGS.size)
    chosen = dataclasses.replace(module.SETTINGS, size=size)
    found, problems = module.find_sources(media, chosen, **given)
    report = prepare(found, out, chosen, problems=problems, prune=True)
    if report.problems:
        raise LessonError(
            out,
            f"the embedded data did not come out whole:\n{report}",
            "This is a fault of avnb. Please report it with the lines above",
        )
