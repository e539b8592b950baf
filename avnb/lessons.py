"""What every notebook stands on: its scale, its folder, its record, its exercises.

A notebook's second cell calls `start`, which gives a `Lesson`; its table of
hyper-parameters is `settings`. Running a whole series is in `avnb.running`.
"""

import ast
import dataclasses
import hashlib
import html
import importlib
import inspect
import json
import math
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from IPython.core.getipython import get_ipython
from IPython.display import HTML, Image, display

import avnb
from avnb import files, show

REPOSITORY = "https://github.com/avnb/avnb"
REPO = Path(avnb.__file__).absolute().parents[1]
SCALES = ("smoke", "laptop", "gpu", "paper")
PARAMETERS = ("SCALE", "DATA", "SEED", "RUN_DIR", "OVERRIDES")
SERIES: dict[str, Path] = {
    folder.name: folder
    for folder in sorted((REPO / "notebooks").glob("*"))
    if any(folder.glob("step*.py"))
}
_FIRST_CELL = """import os
import subprocess
import sys

here = os.path.basename(os.getcwd())
if "google.colab" in sys.modules and here != "{series}":
    # In Colab: fetch the course, install it, and work in this series' folder.
    address = "{repository}"
    subprocess.run(["git", "clone", "--quiet", address, "avnb"], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--editable", "avnb"]
    subprocess.run(pip, check=True)
    sys.path.insert(0, os.path.abspath("avnb"))
    os.chdir("avnb/notebooks/{series}")"""


class LessonError(Exception):
    """Something that the reader can put right; the text says how."""


def first_cell(series: str) -> str:
    """The text of the first code cell of every notebook of a series."""
    return _FIRST_CELL.format(repository=REPOSITORY, series=series)


def series_folder(series: str) -> Path:
    """The folder of a series, or an error that lists the right names."""
    if series not in SERIES:
        names = ", ".join(SERIES) or f"none under {REPO / 'notebooks'}"
        raise LessonError(f"no series {series!r}; there is: {names}")
    return SERIES[series]


def step_files(series: str) -> list[Path]:
    """The text halves stepN_name.py of a series, in the order of N."""
    numbered = {}
    for path in series_folder(series).glob("step*.py"):
        match = re.fullmatch(r"step(\d+)_\w+", path.stem)
        if match:
            numbered[int(match[1])] = path
    return [numbered[number] for number in sorted(numbered)]


def check_scale(scale: str) -> str:
    """The scale itself, or an error that lists the right ones."""
    if scale not in SCALES:
        raise LessonError(f"no scale {scale!r}; there is: {', '.join(SCALES)}")
    return scale


# --- Settings: one frozen table, one column a scale ------------------------------


class Settings:
    """The numbers of one scale: attributes, frozen; shows its whole table."""

    def __init__(
        self, scale: str, overrides: Mapping[str, Any], columns: Mapping[str, tuple]
    ) -> None:
        column = SCALES.index(check_scale(scale))
        for name, row in columns.items():
            if not isinstance(row, tuple) or len(row) != len(SCALES):
                raise LessonError(
                    f"settings: {name} has {row!r}; give one value for each of "
                    f"{', '.join(SCALES)}"
                )
            if name.startswith("_") or name in Settings.__dict__:
                raise LessonError(f"settings: a field cannot be called {name!r}")
        unknown = [name for name in overrides if name not in columns]
        if unknown:
            raise LessonError(
                f"no field {', '.join(map(repr, unknown))}; "
                f"there is: {', '.join(columns)}"
            )
        values = {name: row[column] for name, row in columns.items()}
        for name, value in overrides.items():
            values[name] = parse_value(name, value, columns[name])
        self.__dict__.update(
            values, _scale=scale, _columns=dict(columns), _overridden=set(overrides)
        )

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"settings are frozen: pass OVERRIDES = {{{name!r}: …}}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        fields = ", ".join(self._columns)
        raise AttributeError(f"no field {name!r} in the table; there is: {fields}")

    def as_dict(self) -> dict[str, Any]:
        """The values of the chosen scale, overrides included."""
        return {name: self.__dict__[name] for name in self._columns}

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={value!r}" for name, value in self.as_dict().items())
        return f"Settings({self._scale}: {inner})"

    def _repr_html_(self) -> str:
        mark = "background:#0072B226;font-weight:bold"
        head = "".join(
            f"<th style='{mark if scale == self._scale else ''}'>{scale}</th>"
            for scale in SCALES
        )
        rows = []
        for name, row in self._columns.items():
            cells = [html.escape(str(value)) for value in row]
            chosen = SCALES.index(self._scale)
            if name in self._overridden:
                new = html.escape(str(self.__dict__[name]))
                cells[chosen] = f"<s>{cells[chosen]}</s> {new} (overridden)"
            tds = "".join(
                f"<td style='{mark if i == chosen else ''}'>{cell}</td>"
                for i, cell in enumerate(cells)
            )
            rows.append(f"<tr><th>{html.escape(name)}</th>{tds}</tr>")
        return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def settings(
    scale: str, overrides: Mapping[str, Any], table: Mapping[str, tuple]
) -> Settings:
    """The hyper-parameters of a notebook at one scale.

    Args:
        scale: one of `SCALES`.
        overrides: field -> value, which replaces the scale's own; text is read as
            the field's type.
        table: field -> (smoke, laptop, gpu, paper).

    Raises:
        LessonError: unknown scale or field, or a value of the wrong type; it lists
            the right ones.
    """
    return Settings(scale, overrides, table)


def parse_value(name: str, value: Any, row: tuple) -> Any:
    """The value as the type of its row of the table, or an error that names both."""
    wanted = {type(item) for item in row if item is not None}
    if wanted == {int, float}:
        wanted = {float}
    if isinstance(value, str) and str not in wanted:
        try:
            value = ast.literal_eval({"true": "True", "false": "False"}[value.lower()])
        except KeyError:
            value = _literal(value)
    if value is None and None in row:
        return None
    if type(value) is int and wanted == {float}:
        value = float(value)
    if isinstance(value, list) and wanted == {tuple}:
        value = tuple(value)
    if type(value) not in wanted:
        kinds = " or ".join(sorted(kind.__name__ for kind in wanted))
        raise LessonError(
            f"{name} must be {kinds}, like {row[0]!r}; {value!r} is "
            f"{type(value).__name__}"
        )
    return value


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


# --- The lesson: where a notebook's run lives and what it records ----------------


def default_run_dir(series: str, scale: str, data: str = "", seed: int = 0) -> Path:
    """Where a run lives when nobody says: runs/<series>/<scale>[-data][-seedN]."""
    name = scale
    if data:
        name += f"-{Path(data).name}"
    if seed:
        name += f"-seed{seed}"
    return REPO / "runs" / series / name


def start(
    series: str,
    step: str,
    *,
    scale: str,
    data: str | Path = "",
    seed: int = 0,
    run_dir: str | Path = "",
    overrides: Mapping[str, Any] | None = None,
) -> "Lesson":
    """Begin one notebook of a series; `step` is the notebook's name, stepN_name.

    Raises:
        LessonError: unknown series, step, scale or data folder.
    """
    steps = [path.stem for path in step_files(series)]
    if step not in steps:
        raise LessonError(f"no step {step!r} in {series}; there is: {', '.join(steps)}")
    check_scale(scale)
    if data and not (Path(data) / "clips.json").is_file():
        raise LessonError(
            f"{data}: no prepared clips there (no clips.json); make them with "
            f"`avnb prepare`, or leave DATA empty for the embedded data"
        )
    folder = Path(run_dir or default_run_dir(series, scale, str(data), seed))
    lesson = Lesson(
        series=series,
        step=step,
        scale=scale,
        seed=seed,
        run_dir=folder.resolve(),
        overrides=dict(overrides or {}),
        chosen_data=str(Path(data).resolve()) if data else "",
    )
    lesson.save()
    return lesson


@dataclasses.dataclass
class Lesson:
    """One notebook's run: its folder, what it records, what it shows.

    `run_dir` is shared by the steps of a run: checkpoints go below it, records to
    results/<step>.json, media to report/<step>/. Only the first process of a
    many-process run writes.
    """

    series: str
    step: str
    scale: str
    seed: int
    run_dir: Path
    overrides: dict[str, Any]
    chosen_data: str = ""
    entries: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    finished: bool = False
    began: float = dataclasses.field(default_factory=time.perf_counter)

    @cached_property
    def data(self) -> Path:
        """The folder of prepared clips: DATA, or the embedded data, made if absent."""
        if self.chosen_data:
            return Path(self.chosen_data)
        return embedded(self.scale, self.series)

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        return os.environ.get("RANK", "0") == "0"

    @property
    def elapsed(self) -> float:
        """Minutes since the lesson began."""
        return (time.perf_counter() - self.began) / 60

    @property
    def memory(self) -> float:
        """Peak resident memory of this process, MB."""
        return peak_memory()

    def record(self, name: str, value: Any) -> None:
        """Keep a value in results/<step>.json: number, text, Measure or table.

        A table is a list of dicts, one a row. Recording a name again replaces it.
        Names that begin with "claims" stand at the top of the report.
        """
        self._keep({"kind": "value", "name": name, "value": plain(value)})

    def figure(self, name: str, figure: Any, caption: str = "") -> None:
        """Save a matplotlib figure for the report and show it here."""
        content = show.png(figure)
        self._media("figure", name, ".png", content, caption)
        _display(Image(data=content))
        if getattr(figure, "number", None) is not None:
            import matplotlib.pyplot as plt

            plt.close(figure)

    def image(self, name: str, image: Any, caption: str = "", *, zoom: int = 4) -> None:
        """Save one picture (H, W, 3) for the report, `zoom` times larger; show it."""
        content = show.png_bytes(image, zoom)
        self._media("figure", name, ".png", content, caption)
        _display(Image(data=content))

    def audio(self, name: str, waveform: Any, rate: int, caption: str = "") -> None:
        """Save a waveform, (samples,) or (channels, samples), and show its player."""
        self._media("audio", name, ".wav", show.wav(waveform, rate), caption)
        _display(show.listen([waveform], rate, [caption or name]))

    def video(self, name: str, path: str | Path, caption: str = "") -> None:
        """Copy an MP4 into the report and show its player."""
        self._media("video", name, ".mp4", Path(path).read_bytes(), caption)
        _display(show.video(path))

    def need(self, path: str | Path, step: str) -> Path:
        """A file or folder of this run that another step makes, or an error that
        says which step to run."""
        full = self.run_dir / path
        if not full.exists():
            raise LessonError(self._missing(str(path), step))
        return full

    def result(self, step: str) -> dict[str, Any]:
        """What another step recorded: name -> value, as plain JSON."""
        path = self.run_dir / "results" / f"{step}.json"
        if not path.is_file() or not (found := read_json(path))["finished"]:
            raise LessonError(self._missing(f"results/{step}.json", step))
        values = [entry for entry in found["entries"] if entry["kind"] == "value"]
        return {entry["name"]: entry["value"] for entry in values}

    def finish(self) -> None:
        """Say that the lesson ran to its end; keeps its minutes and peak memory."""
        self.finished = True
        self.save()

    def save(self) -> None:
        """Write results/<step>.json, whole or not at all."""
        if self.is_main:
            files.write_json(
                self.run_dir / "results" / f"{self.step}.json",
                {
                    "series": self.series,
                    "step": self.step,
                    "scale": self.scale,
                    "seed": self.seed,
                    "data": self.chosen_data or "embedded",
                    "overrides": plain(self.overrides),
                    "finished": self.finished,
                    "minutes": round(self.elapsed, 3),
                    "peak_memory_mb": round(self.memory),
                    "entries": self.entries,
                },
            )

    def _missing(self, what: str, step: str) -> str:
        number = re.match(r"step(\d+)", step)
        return (
            f"{self.run_dir / what} is not there: {step} makes it. Run that notebook, "
            f"or: avnb run {self.series} --scale {self.scale} "
            f"--run-dir {self.run_dir} --steps {number[1] if number else step}"
        )

    def _path(self, kind: str, name: str, suffix: str) -> Path:
        safe = re.sub(r"[^\w-]+", "_", name)
        path = self.run_dir / "report" / self.step / f"{kind}_{safe}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _media(
        self, kind: str, name: str, suffix: str, content: bytes, caption: str
    ) -> None:
        path = self._path(kind, name, suffix)
        if self.is_main:
            files.write_bytes(path, content)
        self._keep_media(kind, name, path, caption)

    def _keep_media(self, kind: str, name: str, path: Path, caption: str) -> None:
        where = path.relative_to(self.run_dir).as_posix()
        self._keep({"kind": kind, "name": name, "file": where, "caption": caption})

    def _keep(self, entry: dict[str, Any]) -> None:
        same = [(old["kind"], old["name"]) for old in self.entries]
        if (key := (entry["kind"], entry["name"])) in same:
            self.entries[same.index(key)] = entry
        else:
            self.entries.append(entry)
        self.save()


# What a series' embedded data is: the script that makes it, and its options at each
# scale; "size", pixels a side, is the prepared clips' own.
# deep_cross_modal: recordings an instrument, seconds of each. Half-second pairs:
# 13 x songs x length x 2; paper: the paper's 17,555. listen_and_move: one video.
# ms_vae: videos of 10 s, of which some validate, and some test; paper: AVE's.
EMBEDDED: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "deep_cross_modal": (
        "bandstand",
        {
            "smoke": {"songs": 3, "length": 3.0},
            "laptop": {"songs": 10, "length": 24.0},
            "gpu": {"songs": 12, "length": 48.0},
            "paper": {"songs": 8, "length": 84.0},
        },
    ),
    "listen_and_move": (
        "performer",
        {
            "smoke": {"length": 8.0},
            "laptop": {"length": 240.0},
            "gpu": {"length": 480.0, "size": 128},
            "paper": {"length": 480.0, "size": 128},
        },
    ),
    "ms_vae": (
        "events",
        {
            "smoke": {"videos": 40, "validation": 2, "test": 10, "video_fps": 4},
            "laptop": {"videos": 400, "validation": 28, "test": 112},
            "gpu": {"videos": 1400, "validation": 84, "test": 280, "size": 96},
            "paper": {"videos": 4143, "validation": 402, "test": 402, "size": 224},
        },
    ),
}


def embedded(scale: str, series: str = "deep_cross_modal") -> Path:
    """The bandstand's prepared clips for a scale, made when absent or out of date."""
    check_scale(scale)
    if series not in EMBEDDED:
        raise LessonError(
            f"{series} has no embedded data: give DATA, a folder of prepared clips; "
            f"there is some for {', '.join(EMBEDDED)}"
        )
    script, scales = EMBEDDED[series]
    options = scales[scale]
    out = REPO / "data" / f"{script}-{scale}"
    media = out.with_name(f"{out.name}-files")
    wanted = {
        "options": options,
        "source": source_hash(
            REPO / "avnb" / "bandstand",
            REPO / "avnb" / "preparing.py",
            REPO / "data_scripts",
        ),
    }
    made = out / "made.json"
    if made.is_file() and read_json(made) == wanted:
        return out
    from avnb.preparing import prepare

    print(f"Making the embedded data for scale {scale} (once).", flush=True)
    shutil.rmtree(media, ignore_errors=True)
    module = importlib.import_module(f"data_scripts.{script}")
    given = {name: value for name, value in options.items() if name != "size"}
    size = options.get("size", module.SETTINGS.size)
    chosen = dataclasses.replace(module.SETTINGS, size=size)
    found, problems = module.sources(media, chosen, **given)
    report = prepare(found, out, chosen, problems=problems)
    if report.problems:
        raise LessonError(f"the embedded data did not come out whole:\n{report}")
    files.write_json(made, wanted)
    return out


# --- Values as JSON --------------------------------------------------------------


def read_json(path: Path) -> Any:
    """Read a JSON file; an error names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LessonError(f"{path}: not JSON ({error}); delete it") from error


def plain(value: Any) -> Any:
    """A value as JSON can hold it: dataclasses as dicts, arrays as lists.

    Numbers that JSON has no word for (nan, inf) become None.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {"type": type(value).__name__} | plain(fields)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot record a {type(value).__name__}: {value!r}")


def source_hash(*paths: Path) -> str:
    """A hash of Python files and of all those in folders, names included."""
    digest = hashlib.sha256()
    for path in paths:
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        for file in files:
            digest.update(file.relative_to(path.parent).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def peak_memory() -> float:
    """Peak resident memory of this process, MB."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _display(item: Any) -> None:
    if get_ipython() is not None:
        display(item)


# --- Reading the source, trying an exercise ---------------------------------------


def show_source(*definitions: Any) -> HTML:
    """The live source of functions or classes, folded, with where it comes from."""
    parts = []
    for definition in map(inspect.unwrap, definitions):
        lines, first = inspect.getsourcelines(definition)
        path = Path(inspect.getsourcefile(definition) or "?").absolute()
        where = path.relative_to(REPO) if path.is_relative_to(REPO) else path.name
        parts.append(
            f"<details><summary><code>{html.escape(definition.__qualname__)}</code> "
            f"from {html.escape(str(where))}, line {first}</summary>"
            f"{_highlight(''.join(lines))}</details>"
        )
    return HTML("".join(parts))


def _highlight(source: str) -> str:
    try:
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer
    except ImportError:
        return f"<pre>{html.escape(source)}</pre>"
    return highlight(source, PythonLexer(), HtmlFormatter(noclasses=True))


@dataclasses.dataclass(frozen=True)
class Exercise:
    """A function for the reader to write, with a check that gives hints.

    `check(answer)` raises AssertionError, whose text is the hint, when the answer is
    wrong. The solution passes it; a stub that returns None does not.
    """

    name: str
    question: str
    check: Callable[[Callable], None]
    solution: Callable
    hints: tuple[str, ...] = ()


def given(answer: Any, what: str) -> Any:
    """The answer itself; AssertionError says so when it is None."""
    assert answer is not None, f"no {what} came back: the function returns None"
    return answer


def numbers(answer: Any, what: str) -> np.ndarray:
    """The answer as an array of float64, whatever it came as."""
    if hasattr(given(answer, what), "detach"):  # a tensor
        answer = answer.detach().cpu()
    return np.asarray(answer, np.float64)


def close(answer: Any, right: Any, what: str, tolerance: float = 1e-5) -> None:
    """Assert that the answer has the right shape and numbers; name the first wrong."""
    mine, right = numbers(answer, what), np.asarray(right, np.float64)
    assert mine.shape == right.shape, f"{what}: shape {mine.shape}, not {right.shape}"
    wrong = ~np.isclose(mine, right, rtol=tolerance, atol=tolerance)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        place = f" at {list(at)}" if at else ""
        raise AssertionError(
            f"{what}{place}: {mine[at]:.6g}, should be {right[at]:.6g}"
        )


def try_exercise(exercise: Exercise, answer: Callable) -> bool:
    """Check an answer and say what to try next; never raises."""
    try:
        exercise.check(answer)
    except Exception as error:
        told = str(error) if isinstance(error, AssertionError) else repr(error)
        print(f"✘ {exercise.name}: {told or 'not yet'}")
        for hint in exercise.hints:
            print(f"  hint: {hint}")
        return False
    print(f"✔ {exercise.name}")
    return True
