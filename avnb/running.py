"""Run a series: papermill over its steps, each once, to results and a report."""

import ast
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from avnb import files, lessons, report
from avnb.lessons import LessonError


@dataclass(frozen=True)
class Step:
    """One notebook of a series.

    `table` is its table of hyper-parameters: field -> (smoke, laptop, gpu, paper), or
    () where the row is not made of literals. `records` is False for a notebook that
    calls no `lessons.start`: it takes no parameters and leaves no results.
    """

    number: int
    name: str
    notebook: Path
    cells: tuple[str, ...]
    table: Mapping[str, tuple]
    records: bool = True


def read_step(path: Path) -> Step:
    """Read a notebook's source; `path` is its text half stepN_name.py."""
    notebook = path.with_suffix(".ipynb")
    if not notebook.is_file():
        raise LessonError(f"{notebook} is missing: make notebooks")
    cells = code_cells(notebook)
    number = int(path.stem.split("_")[0].removeprefix("step"))
    records = bool(calls(cells, "lessons.start"))
    return Step(number, path.stem, notebook, cells, find_table(cells), records)


def code_cells(notebook: Path) -> tuple[str, ...]:
    """The code cells' texts of an .ipynb file."""
    nb = nbformat.read(notebook, as_version=4)
    return tuple(cell.source for cell in nb.cells if cell.cell_type == "code")


def find_table(cells: Sequence[str]) -> dict[str, tuple]:
    """The fields of the `lessons.settings(…, dict(…))` table, read without running."""
    for call in calls(cells, "lessons.settings"):
        if len(call.args) == 3 and isinstance(call.args[2], ast.Call):
            rows = call.args[2].keywords
            return {row.arg: _literal_row(row.value) for row in rows if row.arg}
    return {}


def calls(cells: Sequence[str], function: str) -> list[ast.Call]:
    """The calls of a function, written as it is called: "lessons.start"."""
    return [
        node
        for node in walk(cells)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == function
    ]


def walk(cells: Sequence[str]) -> list[ast.AST]:
    """All syntax nodes of those cells that are plain Python."""
    nodes: list[ast.AST] = []
    for cell in cells:
        try:
            nodes += ast.walk(ast.parse(cell))
        except SyntaxError:  # a cell with magics
            continue
    return nodes


def _literal_row(node: ast.expr) -> tuple:
    try:
        row = ast.literal_eval(node)
    except ValueError:
        return ()
    return row if isinstance(row, tuple) else ()


def share_overrides(
    steps: Sequence[Step], overrides: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Which overrides each step gets: step name -> {field: value}.

    Raises:
        LessonError: a field that no step has (lists all), or a value of a wrong type.
    """
    unknown = [name for name in overrides if not any(name in s.table for s in steps)]
    if unknown:
        fields = "\n".join(
            f"  {step.name}: {', '.join(step.table) or '(none)'}" for step in steps
        )
        raise LessonError(
            f"no field {', '.join(map(repr, unknown))}; the fields are\n{fields}"
        )
    shared: dict[str, dict[str, Any]] = {}
    for step in steps:
        mine = {name: value for name, value in overrides.items() if name in step.table}
        for name, value in mine.items():
            if step.table[name]:
                mine[name] = lessons.parse_value(name, value, step.table[name])
        shared[step.name] = mine
    return shared


def choose(steps: Sequence[Step], numbers: Sequence[int]) -> list[Step]:
    """The steps with these numbers, all if none; an error lists the right ones."""
    known = {step.number: step for step in steps}
    wrong = [number for number in numbers if number not in known]
    if wrong:
        names = ", ".join(f"{step.number} ({step.name})" for step in steps)
        raise LessonError(f"no step {', '.join(map(str, wrong))}; there is: {names}")
    return [step for step in steps if not numbers or step.number in numbers]


def run_series(
    series: str,
    *,
    scale: str = "laptop",
    data: str | Path = "",
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
    steps: Sequence[int] = (),
    run_dir: str | Path = "",
    again: bool = False,
    console: Console | None = None,
) -> Path:
    """Run the steps of a series that are not done yet; return the run's folder.

    A step is done until its source, its parameters, its data, the package, or what an
    earlier step left behind changes.

    Args:
        data: a folder of prepared clips; empty for the embedded data.
        overrides: field -> value, for every step that has the field.
        steps: their numbers; all when empty.
        run_dir: where to; `lessons.default_run_dir` when empty.
        again: run the chosen steps even where they are done.

    Raises:
        LessonError: unknown names, or a failing cell (says which, and the error).
    """
    everything = [read_step(path) for path in lessons.step_files(series)]
    lessons.check_scale(scale)
    chosen = choose(everything, steps)
    shared = share_overrides(everything, overrides or {})
    folder = Path(
        run_dir or lessons.default_run_dir(series, scale, str(data), seed)
    ).absolute()
    common = {
        "SCALE": scale,
        "DATA": str(_check_data(data)) if data else "",
        "SEED": seed,
        "RUN_DIR": str(folder),
    }
    run = _Run(folder, console or Console())
    began = time.perf_counter()
    with run.progress(chosen):
        for step in chosen:
            parameters = common | {"OVERRIDES": shared[step.name]}
            run.do(step, everything, parameters, again)
    minutes = (time.perf_counter() - began) / 60
    _write_results(folder, series, everything, common, dict(overrides or {}), minutes)
    page = report.build(folder)
    run.console.print(
        f"Done in {minutes:.1f} minutes. Open\n"
        f"  {page}  (pictures, sounds, curves, tables)\n"
        f"  {folder / 'notebooks'}  (the executed notebooks)\n"
        f"  {folder / 'results.json'}  (every number)",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
    return folder


def _check_data(data: str | Path) -> Path:
    folder = Path(data).absolute()
    if not (folder / "clips.json").is_file():
        raise LessonError(
            f"{data}: no prepared clips there (no clips.json); make them with "
            "`avnb prepare`, or leave --data out for the embedded data"
        )
    return folder


class _Run:
    """The steps of one run folder: which are done, and doing them."""

    def __init__(self, folder: Path, console: Console) -> None:
        self.folder, self.console = folder, console
        self.done_file = folder / "done.json"
        self.done: dict[str, Any] = {}
        if self.done_file.is_file():
            self.done = lessons.read_json(self.done_file)

    def progress(self, steps: Sequence[Step]) -> Progress:
        """One bar over all cells of all steps."""
        self.bar = Progress(
            "{task.description}",
            BarColumn(),
            MofNCompleteColumn(),
            "cells",
            TimeElapsedColumn(),
            console=self.console,
        )
        # Each notebook gets one more cell, with the injected parameters.
        self.task = self.bar.add_task("", total=sum(len(s.cells) + 1 for s in steps))
        return self.bar

    def do(
        self,
        step: Step,
        everything: Sequence[Step],
        parameters: dict[str, Any],
        again: bool,
    ) -> None:
        """Execute a step unless it is done; on success remember what it was."""
        before = self.bar.tasks[0].completed
        self.bar.update(self.task, description=step.name)
        fingerprint = self._fingerprint(step, everything, parameters)
        if not again and self._is_done(step, fingerprint):
            self._say(f"{step.name}: done before")
        else:
            self.done.pop(step.name, None)
            files.write_json(self.done_file, self.done)
            began = time.perf_counter()
            self._execute(step, parameters if step.records else {})
            self.done[step.name] = {
                "fingerprint": fingerprint,
                "run": uuid.uuid4().hex,
                "results": self._results(step),
            }
            files.write_json(self.done_file, self.done)
            self._say(f"{step.name}: {(time.perf_counter() - began) / 60:.1f} min")
        self.bar.update(self.task, completed=before + len(step.cells) + 1)

    def _results(self, step: Step) -> str:
        """The hash of what a finished step recorded."""
        if not step.records:
            return ""
        path = self.folder / "results" / f"{step.name}.json"
        if not path.is_file() or not lessons.read_json(path)["finished"]:
            raise LessonError(f"{step.name}: its last cell must be lesson.finish()")
        return _hash_file(path)

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False)

    def _is_done(self, step: Step, fingerprint: str) -> bool:
        old = self.done.get(step.name, {})
        if old.get("fingerprint") != fingerprint:
            return False
        if not (self.folder / "notebooks" / step.notebook.name).is_file():
            return False
        try:
            return old["results"] == self._results(step)
        except LessonError:  # half-written by hand since
            return False

    def _fingerprint(
        self, step: Step, everything: Sequence[Step], parameters: dict[str, Any]
    ) -> str:
        earlier = [s.name for s in everything if s.number < step.number]
        data = parameters["DATA"]
        identity = {
            "cells": step.cells,
            "modules": lessons.source_hash(*_siblings(step.cells, step.notebook)),
            "package": lessons.source_hash(*_package()),
            "parameters": parameters,
            "data": _hash_file(Path(data) / "clips.json") if data else "",
            "earlier": [self.done.get(name, {}).get("run") for name in earlier],
        }
        text = json.dumps(lessons.plain(identity), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _execute(self, step: Step, parameters: dict[str, Any]) -> None:
        out = self.folder / "notebooks" / step.notebook.name
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            papermill.execute_notebook(
                step.notebook,
                out,
                parameters,
                kernel_name="python3",
                language="python",
                cwd=step.notebook.parent,
                progress_bar=False,
                kernel_manager_class=ThisInterpreter,
                on_cell_executed=lambda **_: self.bar.advance(self.task),
            )
        except PapermillExecutionError as error:
            source = error.source.strip().splitlines() or ["(empty)"]
            raise LessonError(
                f"{step.name} failed in cell [{error.exec_count}], which begins\n"
                f"  {source[0]}\n"
                f"{error.ename}: {error.evalue}\n"
                f"The notebook with the whole traceback: {out}"
            ) from None
        except DeadKernelError as error:
            raise LessonError(
                f"{step.name}: its process died (was it out of memory?): {error}\n"
                f"The notebook as far as it came: {out}"
            ) from None


class ThisInterpreter(AsyncKernelManager):
    """A kernel of the Python that runs this, whatever kernels are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher"]
        return KernelSpec(
            argv=[*argv, "-f", "{connection_file}", "--log-level=CRITICAL"],
            display_name="Python 3",
            language="python",
        )


def _package() -> list[Path]:
    folders = [lessons.REPO / "avnb", lessons.REPO / "data_scripts"]
    return [folder for folder in folders if folder.is_dir()]


def _siblings(cells: Sequence[str], notebook: Path) -> list[Path]:
    """The modules of the notebook's own folder that it imports, and theirs."""
    found: list[Path] = []
    waiting = list(walk(cells))
    while waiting:
        node = waiting.pop()
        names: list[str | None] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        for name in names:
            path = notebook.with_name(f"{name}.py")
            if path.is_file() and path not in found:
                found.append(path)
                waiting += walk([path.read_text(encoding="utf-8")])
    return sorted(found)


def _hash_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write_results(
    folder: Path,
    series: str,
    everything: Sequence[Step],
    common: Mapping[str, Any],
    overrides: Mapping[str, Any],
    minutes: float,
) -> None:
    found = {}
    for step in everything:
        path = folder / "results" / f"{step.name}.json"
        if path.is_file() and (result := lessons.read_json(path))["finished"]:
            found[step.name] = result
    memory = [result["peak_memory_mb"] for result in found.values()]
    files.write_json(
        folder / "results.json",
        {
            "series": series,
            "scale": common["SCALE"],
            "seed": common["SEED"],
            "data": common["DATA"] or "embedded",
            "overrides": lessons.plain(overrides),
            "provenance": provenance(),
            "minutes_of_this_run": round(minutes, 2),
            "minutes": round(sum(r["minutes"] for r in found.values()), 2),
            "peak_memory_mb": max(memory, default=0),
            "steps": found,
        },
    )


def provenance() -> dict[str, Any]:
    """What made a result: versions, commit, hardware and date."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "avnb": importlib.metadata.version("avnb"),
        "commit": git_commit(),
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
        "hardware": hardware(),
    }


def git_commit() -> str:
    """The commit of the clone, with `+changes` where files differ from it."""
    try:
        git = ["git", "-C", str(lessons.REPO)]
        head = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
        status = subprocess.run(
            [*git, "status", "--porcelain"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+changes" if status.stdout.strip() else "")


def hardware() -> str:
    """The processor, its cores, and NVIDIA's GPUs."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return ", ".join([name, f"{usable_cores()} cores", *_gpus()])


def _gpus() -> list[str]:
    ask = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        told = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [line.strip() for line in told.splitlines() if line.strip()]


def usable_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
