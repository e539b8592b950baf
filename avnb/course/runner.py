"""Run a series: papermill over its steps, each once, to results and a report."""

import hashlib
import json
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import papermill
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from avnb import files
from avnb.course import report
from avnb.course.fingerprint import hash_imports, parse_cells
from avnb.course.lesson import default_run_dir
from avnb.course.provenance import collect_provenance
from avnb.course.series import home, step_files
from avnb.course.settings import check_scale
from avnb.course.steps import SeriesStep, choose_steps, read_step, share_overrides
from avnb.errors import LessonError


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
        run_dir: where to; `default_run_dir` when empty.
        again: run the chosen steps even where they are done.

    Raises:
        LessonError: unknown names, or a failing cell (says which, and the error).
    """
    everything = [read_step(path) for path in step_files(series)]
    check_scale(scale)
    chosen = choose_steps(everything, steps)
    shared = share_overrides(everything, overrides or {})
    folder = Path(run_dir or default_run_dir(series, scale, str(data), seed)).absolute()
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
            self.done = files.read_json(self.done_file)

    def progress(self, steps: Sequence[SeriesStep]) -> Progress:
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
        step: SeriesStep,
        everything: Sequence[SeriesStep],
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

    def _results(self, step: SeriesStep) -> str:
        """The hash of what a finished step recorded."""
        if not step.records:
            return ""
        path = self.folder / "results" / f"{step.name}.json"
        if not path.is_file() or not files.read_json(path)["finished"]:
            raise LessonError(f"{step.name}: its last cell must be lesson.finish()")
        return files.hash_file(path)

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False)

    def _is_done(self, step: SeriesStep, fingerprint: str) -> bool:
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
        self,
        step: SeriesStep,
        everything: Sequence[SeriesStep],
        parameters: dict[str, Any],
    ) -> str:
        earlier = [s.name for s in everything if s.number < step.number]
        data = parameters["DATA"]
        identity = {
            "cells": step.cells,
            "code": hash_imports(parse_cells(step.cells), step.notebook.parent),
            "parameters": parameters,
            "data": files.hash_file(Path(data) / "clips.json") if data else "",
            "earlier": [self.done.get(name, {}).get("run") for name in earlier],
        }
        text = json.dumps(files.to_jsonable(identity), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _execute(self, step: SeriesStep, parameters: dict[str, Any]) -> None:
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
            # The kernel works in the notebook's folder, which may be read-only.
            env={"AVNB_HOME": str(home())},
        )


def _write_results(
    folder: Path,
    series: str,
    everything: Sequence[SeriesStep],
    common: Mapping[str, Any],
    overrides: Mapping[str, Any],
    minutes: float,
) -> None:
    found = {}
    for step in everything:
        path = folder / "results" / f"{step.name}.json"
        if path.is_file() and (result := files.read_json(path))["finished"]:
            found[step.name] = result
    memory = [result["peak_memory_mb"] for result in found.values()]
    files.write_json(
        folder / "results.json",
        {
            "series": series,
            "scale": common["SCALE"],
            "seed": common["SEED"],
            "data": common["DATA"] or "embedded",
            "overrides": files.to_jsonable(overrides),
            "provenance": collect_provenance(),
            "minutes_of_this_run": round(minutes, 2),
            "minutes": round(sum(r["minutes"] for r in found.values()), 2),
            "peak_memory_mb": max(memory, default=0),
            "steps": found,
        },
    )
