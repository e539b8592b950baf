"""Run a series: papermill over its steps, each once, to results and a report."""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from rich.console import Console

from avnb import files
from avnb.course import report
from avnb.course.commands import describe_run
from avnb.course.embedded import identify_embedded_data
from avnb.course.fingerprint import (
    find_imports,
    hash_cells,
    hash_imports,
    hash_module,
    parse_cells,
)
from avnb.course.folders import default_run_dir, require_writable
from avnb.course.kernels import build_kernel_class, choose_threads
from avnb.course.lesson import check_data
from avnb.course.needs import find_missing
from avnb.course.progress import SeriesProgress
from avnb.course.provenance import collect_provenance
from avnb.course.records import read_finished, results_file
from avnb.course.reference import hash_reference
from avnb.course.run_lock import lock_run
from avnb.course.series import find_series, load_series, step_files
from avnb.course.settings import check_scale, check_seed
from avnb.course.speed import describe_estimate, measure_speed
from avnb.course.steps import (
    SeriesStep,
    choose_steps,
    find_reached,
    read_step,
    share_overrides,
)
from avnb.errors import LessonError

# Seconds until a kernel must answer. Importing takes minutes where the machine is busy;
# papermill gives up after one.
START_TIMEOUT = 300


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
    with_needed: bool = False,
    confirm: Callable[[str], bool] | None = None,
    console: Console | None = None,
) -> Path:
    """Run the steps of a series that are not done yet.

    A step is done until its code or the code that it imports, its parameters, its
    data, or what an earlier step left behind changes.

    Args:
        series: the series' name.
        scale: one of `settings.SCALES`.
        data: a folder of prepared clips; empty for the embedded data.
        seed: of every random number.
        overrides: field -> value, for every step that has the field; "step7.field" is
            that of step 7 alone.
        steps: their numbers; all when empty.
        run_dir: where to; `folders.default_run_dir` when empty.
        again: run the chosen steps even where they are done.
        with_needed: run also those earlier steps whose results the chosen ones need
            and which are missing.
        confirm: asks the reader a question, where there is one to ask; used for
            `with_needed` where it is False.
        console: where to print; the terminal when None.

    Returns:
        The folder of the run.

    Raises:
        LessonError: unknown names, clips of the wrong kind, a folder that cannot be
            written, missing results of earlier steps, or a failing cell (it says which,
            and the error).
    """
    everything = [read_step(path) for path in step_files(series)]
    check_scale(scale)
    check_seed(seed)
    chosen = choose_steps(everything, steps)
    changed = dict(overrides or {})
    # Against all steps, not the chosen ones: an override of a step that is left out
    # is no mistake.
    shared = share_overrides(everything, changed)
    clips = str(check_data(data, series)) if data else ""
    folder = Path(run_dir or default_run_dir(series, scale, clips, seed, changed))
    folder = require_writable(folder.expanduser().absolute())
    # These names are the variables of the notebooks' parameters cells.
    common = {"SCALE": scale, "DATA": clips, "SEED": seed, "RUN_DIR": str(folder)}
    console = console or Console()
    needed = find_missing(folder, everything, chosen)
    if needed and not with_needed:
        command = describe_run(
            series,
            scale=scale,
            data=str(data),
            seed=seed,
            overrides=changed,
            run_dir=run_dir,
            steps=",".join(map(str, steps)),
            with_needed=True,
        )
        _offer_needed(folder, needed, command, confirm)
    # In the order of the series: a step may need what one of the others makes.
    chosen = [step for step in everything if step in chosen or step in needed]
    _say_what_overrides_reach(console, chosen, changed)
    with lock_run(folder, partial(_print_line, console)):
        began, clock = time.perf_counter(), time.time()
        # Read behind the lock: another run may have done some of the steps meanwhile.
        done = DoneSteps(folder, series, everything)
        if not again and any(step.name not in done.steps for step in chosen):
            _say_how_long(console, series, scale)
        with SeriesProgress(console, chosen) as progress:
            for step in chosen:
                parameters = common | {"OVERRIDES": shared[step.name]}
                # A needed step may be done while a file that it made was deleted.
                _run_step(step, parameters, done, progress, again or step in needed)
        minutes = (time.perf_counter() - began) / 60
        first = find_first_media(folder, clock)
        _write_results(folder, series, everything, common, changed, minutes, first)
        page = report.build_report(folder)
    shown = f" (the first picture or sound after {first:.1f})" if first else ""
    _print_line(
        console,
        f"The run is done, after {minutes:.1f} minutes{shown}. Open\n"
        f"  {page}  (pictures, sounds, curves, tables)\n"
        f"  {folder / 'notebooks'}  (the executed notebooks)\n"
        f"  {folder / 'results.json'}  (every number)",
    )
    return folder


def _print_line(console: Console, text: str) -> None:
    # soft_wrap: rich would break the paths, which then could not be copied.
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def _offer_needed(
    folder: Path,
    needed: Sequence[SeriesStep],
    command: str,
    confirm: Callable[[str], bool] | None,
) -> None:
    """Ask whether to run what is missing; without a yes that is an error.

    Raises:
        LessonError: it names the missing steps and the command that runs them too.
    """
    names = ", ".join(step.name for step in needed)
    problem = f"what these steps make is needed first and is not there: {names}"
    if confirm is None or not confirm(f"{folder}: {problem}. Run them too?"):
        raise LessonError(folder, problem, f"Run them too: {command}")


def _say_what_overrides_reach(
    console: Console, chosen: Sequence[SeriesStep], overrides: Mapping[str, Any]
) -> None:
    """Print of each override which steps it reaches, where they are several."""
    for name, value in overrides.items():
        reached = find_reached(chosen, name)
        if len(reached) > 1:
            _print_line(
                console,
                f"{name}={value} reaches {', '.join(step.name for step in reached)}. "
                f"For one of them alone: --set step{reached[-1].number}.{name}={value}",
            )


def _say_how_long(console: Console, series: str, scale: str) -> None:
    """Print how long a whole run takes here, where somebody has measured it."""
    # The measurement takes a second, so it is left out where it would tell nothing.
    if scale in getattr(load_series(series), "MINUTES", {}):
        _print_line(console, describe_estimate(series, scale, measure_speed()))


def _run_step(
    step: SeriesStep,
    parameters: Mapping[str, Any],
    done: "DoneSteps",
    progress: SeriesProgress,
    again: bool,
) -> None:
    """Execute a step unless it is done; on success remember what it was."""
    progress.begin(step)
    fingerprint = done.fingerprint(step, parameters)
    if not again and done.is_done(step, fingerprint):
        progress.end(step, "done before")
        return
    # Should this process be killed now, the step must not count as done.
    done.forget(step)
    # papermill would warn of parameters that a notebook has no cell for.
    given = parameters if step.records else {}
    execute_notebook(step, done.folder, given, done.threads, progress)
    done.remember(step, fingerprint)
    progress.end(step)


class DoneSteps:
    """Which steps of one run folder are done, kept in its `done.json`.

    The file also holds the number of threads that the run began with. A run keeps it,
    because sums over another number of threads round differently: a run that was
    interrupted then goes on to the same numbers, whatever else the machine does.

    Args:
        folder: the folder of the run.
        series: the series' name.
        everything: all steps of the series, in their order.
    """

    def __init__(
        self, folder: Path, series: str, everything: Sequence[SeriesStep]
    ) -> None:
        self.folder, self.series, self.everything = folder, series, everything
        self.file = folder / "done.json"
        kept = files.read_json(self.file) if self.file.is_file() else {}
        self.steps: dict[str, Any] = kept.get("steps", {})
        threads = kept.get("threads")
        self.threads: int = choose_threads() if threads is None else threads

    def is_done(self, step: SeriesStep, fingerprint: str) -> bool:
        """Whether a step with this fingerprint was done, and all it left is there."""
        # What failed was forgotten, so that an entry means a whole success.
        old = self.steps.get(step.name, {})
        if old.get("fingerprint") != fingerprint:
            return False
        if not (self.folder / "notebooks" / step.notebook.name).is_file():
            return False
        # Somebody may have changed the records by hand since, or deleted them.
        return bool(old["results"] == self._hash_results(step))

    def forget(self, step: SeriesStep) -> None:
        """Count a step as not done."""
        self.steps.pop(step.name, None)
        self._save()

    def remember(self, step: SeriesStep, fingerprint: str) -> None:
        """Count a step as done.

        Raises:
            LessonError: it has not said that it finished.
        """
        results = self._hash_results(step)
        if results is None:
            raise LessonError(
                step.name,
                "it ran to its end but never finished its records",
                "Let its last cell be lesson.finish()",
            )
        self.steps[step.name] = {
            "fingerprint": fingerprint,
            # New at each success, so that the later steps run again, whatever came out.
            "run": uuid.uuid4().hex,
            "results": results,
        }
        self._save()

    def fingerprint(self, step: SeriesStep, parameters: Mapping[str, Any]) -> str:
        """A hash of all that the results of a step depend on."""
        # A step may read whatever an earlier one left, so each successful run of an
        # earlier step has an id of its own that counts here.
        earlier = [s.name for s in self.everything if s.number < step.number]
        trees = parse_cells(step.cells)
        imported = find_imports(trees, step.notebook.parent)
        identity = {
            "cells": hash_cells(step.cells),
            "code": hash_imports(trees, step.notebook.parent),
            "parameters": parameters,
            "data": self._identify_data(parameters) if step.records else "",
            # The claims are loaded by the series' name, so no import leads to them.
            "claims": hash_module(f"{find_series(self.series)}.series")
            if "avnb.course.study" in imported
            else "",
            # Published weights and numbers are read by name, too.
            "reference": hash_reference(self.series)
            if "avnb.course.reference" in imported
            else "",
            "earlier": [self.steps.get(name, {}).get("run") for name in earlier],
        }
        return files.hash_values(files.to_jsonable(identity))

    def _identify_data(self, parameters: Mapping[str, Any]) -> Any:
        if data := parameters["DATA"]:
            # It holds a fingerprint of each shard, so the shards need not be read.
            return files.hash_file(Path(data) / "clips.json")
        scale, seed = parameters["SCALE"], parameters["SEED"]
        return identify_embedded_data(scale, self.series, seed)

    def _hash_results(self, step: SeriesStep) -> str | None:
        """The hash of what a step recorded; None where it has not finished."""
        if not step.records:
            return ""
        if read_finished(self.folder, step.name) is None:
            return None
        return files.hash_file(results_file(self.folder, step.name))

    def _save(self) -> None:
        files.write_json(self.file, {"threads": self.threads, "steps": self.steps})


def execute_notebook(
    step: SeriesStep,
    folder: Path,
    parameters: Mapping[str, Any],
    threads: int,
    progress: SeriesProgress,
) -> None:
    """Execute a notebook; only one that ran to its end replaces the one before.

    While it runs it is `notebooks/stepN_name.running.ipynb`, and when it fails it stays
    as `notebooks/stepN_name.failed.ipynb` until the step succeeds.

    Raises:
        LessonError: a cell failed, or the kernel died.
    """
    out = folder / "notebooks" / step.notebook.name
    running = out.with_suffix(".running.ipynb")
    failed = out.with_suffix(".failed.ipynb")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        papermill.execute_notebook(
            step.notebook,
            running,
            dict(parameters),
            # papermill asks for a name. Ours starts this Python, whatever the name.
            kernel_name="python3",
            language="python",
            # As in JupyterLab: a notebook imports its neighbours by their bare names.
            cwd=step.notebook.parent,
            progress_bar=False,
            kernel_manager_class=build_kernel_class(threads),
            start_timeout=START_TIMEOUT,
            on_cell_executed=lambda **_: progress.advance(),
        )
    except (PapermillExecutionError, DeadKernelError) as error:
        # Not `out`: the notebook of an earlier success stays what it was.
        running.replace(failed)
        raise _explain(step, error, failed) from None
    except RuntimeError as error:
        # So jupyter_client reports a kernel that never answered, or died before it did.
        if not str(error).startswith("Kernel "):
            raise
        running.unlink(missing_ok=True)
        raise LessonError(
            step.name,
            f"its Python process did not begin to work within {START_TIMEOUT} seconds "
            f"({error})",
            "Perhaps the machine is very busy, or its memory is full. End other "
            "programs, and give the same command again",
        ) from None
    # Renaming is atomic: at no moment is there half a notebook.
    running.replace(out)
    failed.unlink(missing_ok=True)


def find_first_media(folder: Path, since: float) -> float | None:
    """How long a run took to its first picture, sound or film.

    Args:
        folder: of the run.
        since: when the run began, s, as `time.time` gives it.

    Returns:
        The minutes; None where nothing was made since then.
    """
    written = [path.stat().st_mtime for path in (folder / "report").glob("*/*")]
    first = min((when for when in written if when >= since), default=None)
    return None if first is None else (first - since) / 60


def _explain(
    step: SeriesStep, error: PapermillExecutionError | DeadKernelError, failed: Path
) -> LessonError:
    """What failed in a notebook, and where to look."""
    if isinstance(error, DeadKernelError):
        return LessonError(
            step.name,
            f"its process died ({error}). Perhaps the memory was not enough",
            f"The notebook as far as it came is {failed}",
        )
    source = error.source.strip().splitlines() or ["(empty)"]
    remedy = f"The notebook with the whole traceback is {failed}"
    # This error names RUN_DIR, as a notebook has it. `avnb run` has an option for it.
    if error.ename == "CheckpointError":
        remedy = (
            "Give another --run-dir, or delete the folder of that checkpoint to begin "
            f"the training anew. {remedy}"
        )
    return LessonError(
        f"{step.name} failed in cell [{error.exec_count}], which begins\n"
        f"  {source[0]}\n{error.ename}",
        f"{error.evalue}",
        remedy,
    )


def _write_results(
    folder: Path,
    series: str,
    everything: Sequence[SeriesStep],
    common: Mapping[str, Any],
    overrides: Mapping[str, Any],
    minutes: float,
    first: float | None,
) -> None:
    # All steps that are done, and not only those of this call: the report is the run's.
    found = {}
    for step in everything:
        if (result := read_finished(folder, step.name)) is not None:
            found[step.name] = result
    # Each step has a process of its own, one after the other: the largest counts.
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
            "minutes_to_first_media": None if first is None else round(first, 2),
            "minutes": round(sum(r["minutes"] for r in found.values()), 2),
            "peak_memory_mb": max(memory, default=0),
            "steps": found,
        },
    )
