"""One notebook's run: its folder, its settings, what it records and shows."""

import argparse
import dataclasses
import html
import inspect
import os
import re
import shutil
import sys
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import HTML, Image, display

from avnb import files
from avnb.course.fingerprint import hash_module
from avnb.course.provenance import measure_peak_memory
from avnb.course.series import home, load_series, step_files
from avnb.course.settings import Settings, check_scale
from avnb.data.scripts import load_script
from avnb.data.shards import prepare
from avnb.errors import LessonError
from avnb.viz import show

PARAMETERS = ("SCALE", "DATA", "SEED", "RUN_DIR", "OVERRIDES")


def default_run_dir(series: str, scale: str, data: str = "", seed: int = 0) -> Path:
    """Where a run lives when nobody says: runs/<series>/<scale>[-data][-seedN]."""
    name = scale
    if data:
        name += f"-{Path(data).name}"
    if seed:
        name += f"-seed{seed}"
    return home() / "runs" / series / name


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

    Where its text half runs as a script (`accelerate launch step6_train.py --scale
    gpu`), the command line and the environment replace the values of its parameters
    cell: see `read_arguments`.

    Raises:
        LessonError: unknown series, step, scale or data folder.
    """
    if get_ipython() is None and Path(sys.argv[0]).stem == step:
        given = read_arguments(scale, data, seed, run_dir, overrides)
        scale, data, seed, run_dir, overrides = given
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


def read_arguments(
    scale: str,
    data: str | Path,
    seed: int,
    run_dir: str | Path,
    overrides: Mapping[str, Any] | None,
) -> tuple[str, str | Path, int, str | Path, dict[str, Any]]:
    """The parameters of a notebook that runs as a script.

    An argument (`--scale`, `--data`, `--seed`, `--run-dir`, `--set field=value`) comes
    before the environment (`AVNB_SCALE`, `AVNB_DATA`, `AVNB_SEED`, `AVNB_RUN_DIR`), and
    that before the values given here, which are those of the parameters cell.
    """
    parser = argparse.ArgumentParser()
    given = {"scale": scale, "data": data, "seed": seed, "run_dir": run_dir}
    for name, value in given.items():
        default = os.environ.get(f"AVNB_{name.upper()}", value)
        option = f"--{name.replace('_', '-')}"
        # argparse reads a default that is text as it reads an argument
        parser.add_argument(
            option, default=default, type=int if name == "seed" else str
        )
    parser.add_argument("--set", action="append", default=[], metavar="field=value")
    found = parser.parse_args()
    changed = dict(overrides or {})
    for pair in found.set:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            parser.error(f"--set {pair}: give field=value")
        changed[name] = value
    return found.scale, found.data, found.seed, found.run_dir, changed


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
        return make_embedded_data(self.scale, self.series)

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
        return measure_peak_memory()

    def settings(self, table: Mapping[str, tuple]) -> Settings:
        """The notebook's hyper-parameters: field -> (smoke, laptop, gpu, paper)."""
        return Settings(self.scale, self.overrides, table)

    def record(self, name: str, value: Any) -> None:
        """Keep a value in results/<step>.json: number, text, Measure or table.

        A table is a list of dicts, one a row. Recording a name again replaces it.
        Names that begin with "claims" stand at the top of the report.
        """
        self._keep({"kind": "value", "name": name, "value": files.to_jsonable(value)})

    def figure(self, name: str, figure: Any, caption: str = "") -> None:
        """Save a matplotlib figure for the report and show it here."""
        content = show.figure_to_png(figure)
        self._media("figure", name, ".png", content, caption)
        _display(Image(data=content))
        if getattr(figure, "number", None) is not None:
            import matplotlib.pyplot as plt

            plt.close(figure)

    def image(self, name: str, image: Any, caption: str = "", *, zoom: int = 4) -> None:
        """Save one picture (H, W, 3) for the report, `zoom` times larger; show it."""
        content = show.encode_png(image, zoom)
        self._media("figure", name, ".png", content, caption)
        _display(Image(data=content))

    def audio(self, name: str, waveform: Any, rate: int, caption: str = "") -> None:
        """Save a waveform, (samples,) or (channels, samples), and show its player."""
        self._media("audio", name, ".wav", show.encode_wav(waveform, rate), caption)
        _display(show.listen([waveform], rate, [caption or name]))

    def video(self, name: str, path: str | Path, caption: str = "") -> None:
        """Copy an MP4 into the report and show its player."""
        self._media("video", name, ".mp4", Path(path).read_bytes(), caption)
        _display(show.video(path))

    def need(self, path: str | Path, step: str) -> Path:
        """A file or folder of this run that another step makes, or an error that
        says which step to run.
        """
        full = self.run_dir / path
        if not full.exists():
            raise LessonError(self._missing(str(path), step))
        return full

    def load_results(self, step: str) -> dict[str, Any]:
        """What another step recorded: name -> value, as plain JSON."""
        path = self.run_dir / "results" / f"{step}.json"
        if not path.is_file() or not (found := files.read_json(path))["finished"]:
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
                    "overrides": files.to_jsonable(self.overrides),
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


def make_embedded_data(scale: str, series: str) -> Path:
    """A series' embedded data at a scale, made when absent or out of date."""
    check_scale(scale)
    declared = getattr(load_series(series), "EMBEDDED", None)
    if declared is None:
        raise LessonError(
            f"series {series!r}",
            "it has no embedded data",
            "Give DATA, a folder of prepared clips",
        )
    script, scales = declared
    module, options = load_script(script), scales[scale]
    out = home() / "data" / f"{script}-{scale}"
    media = out.with_name(f"{out.name}-files")
    wanted = {"options": options, "source": hash_module(module.__name__)}
    made = out / "made.json"
    if made.is_file() and files.read_json(made) == wanted:
        return out
    print(f"Making the embedded data for scale {scale} (once).", flush=True)
    shutil.rmtree(media, ignore_errors=True)
    given = {name: value for name, value in options.items() if name != "size"}
    size = options.get("size", module.SETTINGS.size)
    chosen = dataclasses.replace(module.SETTINGS, size=size)
    found, problems = module.find_sources(media, chosen, **given)
    report = prepare(found, out, chosen, problems=problems)
    if report.problems:
        raise LessonError(
            out,
            f"the embedded data did not come out whole:\n{report}",
            "This is a fault of avnb: please report it",
        )
    files.write_json(made, wanted)
    return out


def _display(item: Any) -> None:
    if get_ipython() is not None:
        display(item)


def show_source(*definitions: Any) -> HTML:
    """The live source of functions or classes, folded, with where it comes from."""
    parts = []
    for definition in map(inspect.unwrap, definitions):
        lines, first = inspect.getsourcelines(definition)
        path = Path(inspect.getsourcefile(definition) or "?").absolute()
        where = _shorten(path)
        parts.append(
            f"<details><summary><code>{html.escape(definition.__qualname__)}</code> "
            f"from {html.escape(str(where))}, line {first}</summary>"
            f"{_highlight(''.join(lines))}</details>"
        )
    return HTML("".join(parts))


def _shorten(path: Path) -> Path:
    """A file's place below the folder of its outermost package, or its name."""
    folder = path.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return path.relative_to(folder) if folder != path.parent else Path(path.name)


def _highlight(source: str) -> str:
    try:
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer
    except ImportError:
        return f"<pre>{html.escape(source)}</pre>"
    return highlight(source, PythonLexer(), HtmlFormatter(noclasses=True))
