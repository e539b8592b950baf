"""The embedded data of a series: declared by the series, made when they are needed."""

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from filelock import FileLock

from avnb import files
from avnb.course.fingerprint import hash_module
from avnb.course.folders import find_home, require_writable
from avnb.course.series import load_series
from avnb.course.settings import check_scale
from avnb.data.scripts import load_script
from avnb.data.shards import prepare
from avnb.data.sources import ClipSettings
from avnb.errors import LessonError

# What a series may choose at each scale of how its clips are cut.
CLIP_OPTIONS = ("size", "fps")


def identify_embedded_data(
    scale: str, series: str, seed: int, changes: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """What the embedded data of a run depend on; None where its series has none.

    Two equal answers mean the same data, so this stands in the fingerprint of a step.
    """
    if getattr(load_series(series), "EMBEDDED", None) is None:
        return None
    _, module, options = _find_declared(scale, series, changes)
    source = hash_module(module.__name__)
    return {"options": options, "seed": seed, "source": source}


def make_embedded_data(
    scale: str, series: str, seed: int, changes: Mapping[str, Any] | None = None
) -> Path:
    """A series' embedded data at a scale, made when absent or out of date.

    Another seed is another world: other people, scores, cameras and rooms. So the
    spread over the seeds of a study is that of the data as well as of the training.

    Args:
        scale: of the data.
        series: whose data.
        seed: of the data.
        changes: options that differ from those of the scale.

    Raises:
        LessonError: unknown series or scale, a series without embedded data, or data
            that did not come out whole.
    """
    script, module, options = _find_declared(scale, series, changes)
    name = f"{script}-{scale}-seed{seed}{'-changed' if changes else ''}"
    out = require_writable(find_home() / "data") / name
    wanted = identify_embedded_data(scale, series, seed, changes)
    # The processes of `accelerate launch` all come here at once: one makes the data,
    # and the others wait and find them made.
    with FileLock(out.with_name(f".{out.name}.lock")):
        # Written last: data that a killed process left half made are made again.
        made = out / "made.json"
        if not made.is_file() or files.read_json(made) != wanted:
            _make(module, options, scale, seed, out)
            files.write_json(made, wanted)
    return out


def redraw_embedded(
    scale: str,
    series: str,
    seed: int,
    recordings: Sequence[str],
    times: Sequence[float],
    without: str,
) -> np.ndarray | None:
    """Draw pictures of the embedded data once more, with something left out.

    Args:
        scale: of the data.
        series: whose data.
        seed: of the data.
        recordings: the recording of each picture.
        times: of each picture, s of its recording.
        without: what is left out; "" draws the data's own pictures.

    Returns:
        uint8 (n, size, size, 3); None where the data's script cannot draw again.
    """
    _, module, options = _find_declared(scale, series)
    if not hasattr(module, "redraw"):
        return None
    chosen, given = _choose_settings(module, options, seed)
    drawn = module.redraw(recordings, times, chosen, without=without, **given)
    return np.asarray(drawn)


def _find_declared(
    scale: str, series: str, changes: Mapping[str, Any] | None = None
) -> tuple[str, ModuleType, dict[str, Any]]:
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
    return script, load_script(script), scales[scale] | dict(changes or {})


def _choose_settings(
    module: ModuleType, options: dict[str, Any], seed: int
) -> tuple[ClipSettings, dict[str, Any]]:
    """How the clips are cut, and the script's own options."""
    # These two are settings of the clips. All other options are the script's own.
    settings = {name: options[name] for name in CLIP_OPTIONS if name in options}
    given = {name: one for name, one in options.items() if name not in CLIP_OPTIONS}
    return dataclasses.replace(module.SETTINGS, **settings, seed=seed), given


def _make(
    module: ModuleType, options: dict[str, Any], scale: str, seed: int, out: Path
) -> None:
    print(f"Making the embedded data: scale {scale}, seed {seed} (once).", flush=True)
    media = out.with_name(f"{out.name}-files")
    # Files of older options would be read as if they belonged to these.
    shutil.rmtree(media, ignore_errors=True)
    chosen, given = _choose_settings(module, options, seed)
    found, problems = module.find_sources(media, chosen, **given)
    report = prepare(found, out, chosen, problems=problems, prune=True)
    if report.problems:
        raise LessonError(
            out,
            f"the embedded data did not come out whole:\n{report}",
            "This is a fault of avnb. Please report it with the lines above",
        )
