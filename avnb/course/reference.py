"""Reference runs: long runs whose numbers, curves, samples and weights are published.

The demo shows how a series works; it has no time to train its networks to the end. So
each series has one run at scale `reference`, or one for each of several seeds, that
trained until the held-out curves were flat. `avnb reference SERIES` keeps it in
`results/SERIES/`, which is part of the repository and of the installed package:

    reference.json   numbers, claims, curves, provenance; the SHA-256 of each file
    weights/         the models that the series names in `PUBLISHED`
    samples/         the figures, sounds and films that it names in `HIGHLIGHTS`
"""

import hashlib
import importlib.util
import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from avnb import files
from avnb.course.commands import REINSTALL, name_command
from avnb.course.folders import PACKAGES, default_run_dir, find_clone, find_home
from avnb.course.lesson import Lesson
from avnb.course.provenance import shorten_commit
from avnb.course.records import Entry, read_finished
from avnb.course.series import find_series, load_series, series_folder, step_files
from avnb.course.steps import read_step
from avnb.errors import LessonError

SCALE = "reference"
NAME = "reference.json"
INSTALLED = "avnb_results"  # the package that holds results/ where avnb is installed
FORMAT = 1
MB = 2**20
# What a repository, and a download of it, can bear.
LARGEST = {"weights": 16 * MB, "samples": 8 * MB, NAME: 4 * MB}
SUFFIXES = {"weights": {".safetensors"}, "samples": {".png", ".wav", ".mp4"}}

Reference = dict[str, Any]


# -- read a reference run --


def list_places(series: str) -> list[Path]:
    """The folders in which the reference run of a series may lie, the first first.

    A series that another distribution brings has its own `results/` beside its package.
    """
    roots = [find_root(series) / "results"]
    if clone := find_clone():
        roots.append(clone / "results")
    elif (spec := importlib.util.find_spec(INSTALLED)) and spec.origin:
        roots.append(Path(spec.origin).parent)
    return list(dict.fromkeys(root / series for root in roots))


def find_root(series: str) -> Path:
    """The folder that holds the package of a series, or the home where it is installed.

    In a clone that is the clone. Nothing is written among installed packages.
    """
    levels = find_series(series).count(".")
    place = series_folder(series).resolve().parents[levels]
    installed = find_clone() is None and place == PACKAGES.resolve()
    return find_home() if installed else place


def find_reference(series: str) -> Path | None:
    """The folder of the reference run of a series; None where none is published."""
    found = (place for place in list_places(series) if (place / NAME).is_file())
    return next(found, None)


def load_reference(series: str) -> Reference | None:
    """The numbers of the reference run of a series; None where none is published.

    Raises:
        LessonError: its file is damaged.
    """
    folder = find_reference(series)
    if folder is None:
        return None
    path = folder / NAME
    try:
        if path.stat().st_size > LARGEST[NAME]:
            raise ValueError(f"it has more than {LARGEST[NAME] // MB} MB")
        found = json.loads(path.read_text(encoding="utf-8"))
        if (found["format"], found["series"]) != (FORMAT, series):
            raise ValueError(f"it is of {found['series']}, format {found['format']}")
        for part in ("claims", "steps", "weights", "samples", "provenance"):
            found[part]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"it is no list of a reference run ({error!r})") from None
    return dict(found)


def require_reference(series: str) -> tuple[Path, Reference]:
    """The folder and the numbers of a reference run.

    Raises:
        LessonError: none is published, or it is damaged.
    """
    found, folder = load_reference(series), find_reference(series)
    if found is None or folder is None:
        raise LessonError(
            f"series {series!r}",
            "no reference run of it is published yet, so there are no trained weights",
            f"Train it here: {name_command()} run {series}",
        )
    return folder, found


def read_file(folder: Path, entry: Mapping[str, Any]) -> bytes:
    """The content of a published file, proved by its size and its SHA-256.

    Args:
        folder: of the reference run.
        entry: the file's entry in reference.json: "file", "bytes" and "sha256".

    Raises:
        LessonError: it is missing, another one, or outside the folder.
    """
    path = (folder / entry["file"]).resolve()
    # reference.json may come from somebody else.
    if not path.is_relative_to(folder.resolve()):
        raise _damaged(folder / NAME, f"it names {entry['file']}, outside its folder")
    if not path.is_file():
        raise _damaged(path, "it is missing")
    if (size := path.stat().st_size) != entry["bytes"]:
        raise _damaged(path, f"it has {size} bytes, not {entry['bytes']}")
    content: bytes = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise _damaged(path, f"its SHA-256 is not the one that {NAME} tells")
    return content


def describe_reference(found: Mapping[str, Any]) -> str:
    """One line on a reference run: data, scale, seeds, hardware, date and commit.

    Its time is that of one run, as `describe_length` gives it.
    """
    made = found["provenance"]
    # The code may have been updated between two steps.
    commits = [shorten_commit(step["commit"]) for step in found["steps"].values()]
    each = " each" if len(found["seeds"]) > 1 else ""
    return (
        f"the embedded data, scale {SCALE}, {_count('seed', found['seeds'])}, "
        f"{describe_length(found)}{each}, {made['hardware']}, {made['date']}, "
        f"{_count('commit', dict.fromkeys(commits))}"
    )


def describe_length(found: Mapping[str, Any]) -> str:
    """How long one run of a reference run took: the mean where several seeds ran."""
    minutes = sum(found["minutes"]) / len(found["minutes"])
    long = minutes >= 120
    took = f"{minutes / 60:.1f} hours" if long else f"{minutes:.0f} minutes"
    # A training that was killed goes on from its checkpoint: what came after that is
    # not counted. Runs of hours are stopped often.
    return f"at least {took}"


def _count(noun: str, values: Collection[Any]) -> str:
    """The values behind their noun, in the plural where they are several."""
    return f"{noun}{'s' * (len(values) > 1)} {', '.join(map(str, values))}"


def select_tables(found: Mapping[str, Any]) -> list[Entry]:
    """The recorded numbers with which the report of a reference run opens."""
    wanted = getattr(load_series(found["series"]), "HIGHLIGHTS", ())
    return [
        entry
        for step in found["steps"].values()
        for entry in step["entries"]
        if entry["kind"] == "value" and _is_named(entry["name"], wanted)
    ]


def hash_reference(series: str) -> str:
    """The hash of a series' reference run; empty where none is published."""
    folder = find_reference(series)
    return "" if folder is None else files.hash_file(folder / NAME)


# -- take its weights --


def copy_models(lesson: Lesson, *names: str) -> bool:
    """Take published models into the run of a notebook, in place of training them.

    Says in one sentence what it did.

    Args:
        lesson: of the notebook.
        names: of the models: their files' names without the suffix.

    Returns:
        Whether all of them were there. Where one is not, nothing is copied, and the
        notebook has to train them.

    Raises:
        LessonError: a published file is damaged.
    """
    found, folder = load_reference(lesson.series), find_reference(lesson.series)
    named = ", ".join(names)
    published = {_name(one) for one in found["weights"]} if found else set()
    if found is None or folder is None or set(names) - published:
        print(f"No reference run publishes {named} yet, so they are trained here.")
        return False
    _copy_weights(folder, found, lesson.run_dir, names)
    print(f"{named}: of the reference run ({describe_reference(found)}).")
    return True


def _copy_weights(
    folder: Path, found: Reference, run_dir: Path, names: Sequence[str] = ()
) -> None:
    """Copy published models into the folder of a run; all of them without names."""
    for entry in found["weights"]:
        path = (run_dir / entry["path"]).resolve()
        if not path.is_relative_to(run_dir.resolve()):
            raise _damaged(folder / NAME, f"it names {entry['path']}, outside a run")
        if not names or _name(entry) in names:
            files.write_bytes(path, read_file(folder, entry))


def _name(entry: Entry) -> str:
    return Path(entry["path"]).stem


def restore_run(series: str, run_dir: Path, *, leave_out: Sequence[str] = ()) -> None:
    """Let a folder look like the reference run: its models and its steps' records.

    The steps that trained the models then count as finished.

    Args:
        series: the series' name.
        run_dir: the folder.
        leave_out: steps whose records are not written.

    Raises:
        LessonError: no reference run is published, or a file is damaged.
    """
    folder, found = require_reference(series)
    _copy_weights(folder, found, run_dir)
    for step, record in found["steps"].items():
        if step not in leave_out:
            files.write_json(run_dir / "results" / f"{step}.json", record)


# -- keep one --


def keep_reference(
    series: str, *, seeds: Sequence[int] = (0,), out: str | Path = ""
) -> Path:
    """Publish finished runs at scale `reference`.

    Weights, samples and tables are those of the first seed. Claims and numbers are over
    all seeds.

    Args:
        series: the series' name.
        seeds: of the runs, one finished run each.
        out: the folder to write, which is replaced; by default `results/SERIES` of the
            repository that holds the series.

    Returns:
        The folder.

    Raises:
        LessonError: a run is not finished or not whole, a model or a sample is missing,
            or there is too much of them.
    """
    from avnb.course.study import summarise_runs

    module = load_series(series)
    overrides = getattr(module, "OVERRIDES", {}).get(SCALE, {})
    runs = [
        default_run_dir(series, SCALE, seed=seed, overrides=overrides) for seed in seeds
    ]
    for run, seed in zip(runs, seeds, strict=True):
        _check_finished(series, run, seed)
    first = files.read_json(runs[0] / "results.json")
    kept = {
        "format": FORMAT,
        **summarise_runs(series, SCALE, list(seeds), runs),
        # Of the run, not of this moment: another commit may be checked out now.
        "provenance": first["provenance"],
        "steps": {
            name: {
                **{key: value for key, value in step.items() if key != "entries"},
                "entries": [e for e in step["entries"] if e["kind"] == "value"],
            }
            for name, step in first["steps"].items()
        },
    }
    folder = Path(out) if out else find_root(series) / "results" / series
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    published, wanted = (
        getattr(module, name, ()) for name in ("PUBLISHED", "HIGHLIGHTS")
    )
    kept["weights"] = _publish_models(runs[0], part, published, kept)
    kept["samples"] = _publish_samples(runs[0], part, first["steps"], wanted)
    files.write_json(part / NAME, kept)
    if (size := (part / NAME).stat().st_size) > LARGEST[NAME]:
        raise _too_large(NAME, size, "Record fewer numbers, or shorter curves")
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)
    return folder


def _check_finished(series: str, run: Path, seed: int) -> None:
    command = f"{name_command()} run {series} --scale {SCALE}"
    command += f" --seed {seed}" if seed else ""
    steps = [read_step(path) for path in step_files(series)]
    absent = [s.name for s in steps if s.records and not read_finished(run, s.name)]
    if absent or not (run / "results.json").is_file():
        problem = f"the run lacks {', '.join(absent) or 'results.json'}"
        raise LessonError(run, problem, f"Finish it, which takes hours: {command}")
    whole = files.read_json(run / "results.json")
    found = (whole["series"], whole["scale"], whole["seed"], whole["data"])
    if found != (series, SCALE, seed, "embedded"):
        raise LessonError(run, f"its run is another one: {found}", f"Run {command}")


def _publish_models(
    run: Path, part: Path, patterns: Sequence[str], kept: Mapping[str, Any]
) -> list[Entry]:
    from avnb.training.models import shrink_model

    made = kept["provenance"]
    about = {"series": kept["series"], "scale": SCALE, "seed": str(kept["seeds"][0])}
    about |= {name: str(made[name]) for name in ("avnb", "commit", "date", "torch")}
    entries = []
    for pattern in patterns:
        paths = sorted(run.glob(pattern))
        if not paths:
            raise LessonError(
                run / pattern,
                "no such model is there",
                "Correct PUBLISHED in series.py",
            )
        for path in paths:
            content = shrink_model(path, about)
            file = _write_part(part, "weights", path.name, content)
            entries.append(file | {"path": path.relative_to(run).as_posix()})
    _check_total("weights", entries, "Name fewer models in PUBLISHED")
    return entries


def _publish_samples(
    run: Path, part: Path, steps: Mapping[str, Any], wanted: Sequence[str]
) -> list[Entry]:
    entries = []
    for name, step in steps.items():
        for entry in step["entries"]:
            if entry["kind"] != "value" and _is_named(entry["name"], wanted):
                path = run / entry["file"]
                file = _write_part(
                    part, "samples", f"{name}_{path.name}", path.read_bytes()
                )
                entries.append(entry | file | {"step": name})
    _check_total("samples", entries, "Name fewer in HIGHLIGHTS, or record smaller ones")
    return entries


def _write_part(part: Path, room: str, name: str, content: bytes) -> Entry:
    path = part / room / name
    if path.suffix not in SUFFIXES[room]:
        raise LessonError(
            path, f"{path.suffix} is none of {SUFFIXES[room]}", "Leave it out"
        )
    if path.exists():
        raise LessonError(path, "two files have this name", "Give one another name")
    files.write_bytes(path, content)
    digest = hashlib.sha256(content).hexdigest()
    return {"file": f"{room}/{name}", "bytes": len(content), "sha256": digest}


def _check_total(room: str, entries: Sequence[Entry], remedy: str) -> None:
    if (total := sum(entry["bytes"] for entry in entries)) > LARGEST[room]:
        largest = max(entries, key=lambda entry: int(entry["bytes"]))
        remedy += f". The largest is {largest['file']}, {largest['bytes'] / MB:.1f} MB"
        raise _too_large(room, total, remedy)


def _too_large(what: str, size: int, remedy: str) -> LessonError:
    limit = LARGEST[what] // MB
    problem = f"{size / MB:.1f} MB in all; at most {limit} MB can be published"
    return LessonError(what, problem, remedy)


def _is_named(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _damaged(path: Path, problem: str) -> LessonError:
    remedy = f"Install avnb again: {REINSTALL}"
    if (clone := find_clone()) and path.is_relative_to(clone):
        remedy = f"Fetch it again: git -C {clone} checkout -- results"
    return LessonError(path, problem, remedy)
