"""One notebook's run: its folder, its settings, what it records and shows."""

import glob
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from IPython.core.getipython import get_ipython
from IPython.display import Image, Markdown, display
from jaxtyping import UInt8

from avnb import files
from avnb.course.arguments import (
    Parameters,
    is_script,
    print_errors_plainly,
    read_arguments,
)
from avnb.course.commands import describe_run, name_command
from avnb.course.convergence import Convergence
from avnb.course.embedded import make_embedded_data, redraw_embedded
from avnb.course.folders import default_run_dir, require_writable
from avnb.course.needs import Need, find_missing, find_needs, is_met
from avnb.course.provenance import measure_peak_memory, read_commit
from avnb.course.records import (
    StepRecords,
    read_finished,
    results_file,
    select_values,
)
from avnb.course.series import WantedClips, load_series, step_files
from avnb.course.settings import Settings, check_scale, check_seed
from avnb.course.steps import read_step
from avnb.course.trainings import (
    TRAININGS,
    Curve,
    describe_training,
    draw_training,
    explain_training,
)
from avnb.data.clips import describe_clips
from avnb.data.sources import Problem, format_problems
from avnb.errors import LessonError as LessonError  # the package hands it on
from avnb.viz import show

PARAMETERS = ("SCALE", "DATA", "SEED", "RUN_DIR", "OVERRIDES")


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
    """Begin one notebook of a series.

    Where its text half runs as a script (`accelerate launch step6_train.py --scale
    gpu`), the command line and the environment replace the values that are given here:
    see `arguments.read_arguments`.

    Args:
        series: the series' name.
        step: the notebook's name, stepN_name.
        scale: one of `settings.SCALES`.
        data: a folder of prepared clips; empty for the embedded data.
        seed: of every random number.
        run_dir: the folder of the run; `folders.default_run_dir` when empty.
        overrides: field -> value, in place of the scale's own.

    Raises:
        LessonError: unknown series, step, scale or data folder, a folder that cannot
            be written, or earlier steps that have not run.
    """
    path = find_step(series, step)
    given = Parameters(scale, str(data), seed, str(run_dir), dict(overrides or {}))
    # A kernel has words in sys.argv as well, and they are not for the notebook.
    if get_ipython() is None and is_script(step):
        print_errors_plainly()
        given = read_arguments(read_step(path), given)
    check_scale(given.scale)
    check_seed(given.seed)
    # Absolute: the records keep it, and a notebook may change its working folder.
    chosen = str(check_data(given.data, series)) if given.data else ""
    folder = given.run_dir or default_run_dir(
        series, given.scale, given.data, given.seed, given.overrides
    )
    lesson = Lesson(
        series=series,
        step=step,
        scale=given.scale,
        seed=given.seed,
        run_dir=require_writable(Path(folder).resolve()),
        overrides=dict(given.overrides),
        chosen_data=chosen,
    )
    # Before the data are made and anything is computed, which may take minutes.
    lesson.check_needs()
    # A draft from the start: `finish` needs its folder even where nothing was recorded.
    lesson.save()
    return lesson


def find_step(series: str, step: str) -> Path:
    """The text half of a step of a series.

    Raises:
        LessonError: the series has no such step; it lists the right ones.
    """
    steps = {path.stem: path for path in step_files(series)}
    if step not in steps:
        raise LessonError(
            f"step {step!r}",
            f"the series {series} has no such step",
            f"Give one of: {', '.join(steps)}",
        )
    return steps[step]


def check_data(data: str | Path, series: str) -> Path:
    """The absolute path of a folder of prepared clips that a series can use.

    Raises:
        LessonError: the series uses no clips (it has no `WANTED`), there are none in
            the folder, or they are of another kind than the series wants; then it
            gives the command that prepares the right ones.
        ClipsError: the prepared clips are damaged.
    """
    folder = Path(data).expanduser().resolve()
    wanted: WantedClips | None = getattr(load_series(series), "WANTED", None)
    if wanted is None:
        raise LessonError(
            f"data {folder}",
            f"the series {series} uses no prepared clips, so they would change nothing",
            'Leave --data out; in a notebook, set DATA = ""',
        )
    # The first word only: a path behind it may hold the word, too.
    prepare = wanted.prepare.replace("avnb", name_command(), 1)
    if not (folder / "clips.json").is_file():
        raise LessonError(
            folder,
            "no prepared clips are there (no clips.json)",
            f"Make them with `{prepare}`, or leave the data folder empty for the "
            "embedded data",
        )
    if wrong := wanted.find_misfits(*describe_clips(folder)):
        raise LessonError(
            folder,
            f"these clips are not what {series} needs: {'; '.join(wrong)}"
            + _recall_problems(folder),
            f"Prepare your recordings for this series: {prepare}",
        )
    return folder


def _recall_problems(folder: Path) -> str:
    """What the preparation of these clips left out, by kind; "" where nothing."""
    path = folder / "report.json"
    if not path.is_file():
        return ""
    found = [Problem(**fields) for fields in files.read_json(path)["problems"]]
    if not found:
        return ""
    return f". Its report.json says what was left out: {format_problems(found)[0]}"


@dataclass
class Lesson:
    """One notebook's run: its folder, its settings, what it records and shows.

    `run_dir` is shared by the steps of a run: checkpoints go below it, and what a
    step records goes where `records.StepRecords` says. Only the first process of a
    many-process run writes.

    Args:
        series: the series' name.
        step: the notebook's name.
        scale: one of `settings.SCALES`.
        seed: of every random number.
        run_dir: the folder of the run.
        overrides: field -> value, in place of the scale's own.
        chosen_data: a folder of prepared clips; empty for the embedded data.
    """

    series: str
    step: str
    scale: str
    seed: int
    run_dir: Path
    overrides: dict[str, Any]
    chosen_data: str = ""

    def __post_init__(self) -> None:
        # This deletes what ended processes have left unfinished of this step.
        self.records = StepRecords(self.run_dir, self.step)
        # Not time.time(), which jumps when the clock is set.
        self.began = time.perf_counter()

    @cached_property
    def data(self) -> Path:
        """The folder of prepared clips: DATA, or the embedded data, made if absent."""
        if self.chosen_data:
            return Path(self.chosen_data)
        return make_embedded_data(self.scale, self.series, self.seed)

    def redraw(
        self, recordings: Sequence[str], times: Sequence[float], *, without: str
    ) -> UInt8[np.ndarray, "n h w 3"] | None:
        """Draw pictures of the embedded data once more, with something left out.

        A judge that names the instrument where there is none has read something else.

        Args:
            recordings: the recording of each picture.
            times: of each picture, s of its recording.
            without: "instrument" or "player"; "" draws the data's own pictures.

        Returns:
            The pictures; None for data that were not drawn here.
        """
        if self.chosen_data:
            return None
        return redraw_embedded(
            self.scale, self.series, self.seed, recordings, times, without
        )

    @cached_property
    def commit(self) -> str:
        """Of the code that this step runs. A later step may run after an update."""
        return read_commit()

    def settings(self, table: Mapping[str, tuple[Any, ...]]) -> Settings:
        """The notebook's hyper-parameters: field -> one value for each of `SCALES`."""
        return Settings(self.scale, self.overrides, table)

    # -- what the step records --

    def record(
        self, name: str, value: Any, caption: str = "", *, source: str = ""
    ) -> None:
        """Keep a value for the report and for later steps.

        Args:
            name: recording a name again replaces its value. Names that begin with
                "claims" have a section of their own in the report.
            value: a number, text, a Measure, or a table: a list of dicts, one a row.
            caption: what stands above it in the report.
            source: what it was computed from, where that is not the data of this run,
                such as a study that is kept. The report sets it apart.
        """
        # Every `record` saves: what a step had made when it failed can be looked at.
        self.records.add_value(name, value, caption, source)
        self.save()

    def table(
        self,
        name: str,
        rows: Sequence[Mapping[str, Any]],
        caption: str = "",
        *,
        source: str = "",
    ) -> None:
        """Record a table as `record` does, and show it here with its caption."""
        self.record(name, rows, caption, source=source)
        _display(show.table(rows, caption))

    def record_training(
        self,
        network: str,
        *,
        epochs: float | int | None,
        steps: int,
        held_out: Curve,
        training: Curve = (),
        better: str,
        unit: str = "",
        training_unit: str = "",
        negligible: float = 0.0,
    ) -> Convergence:
        """Keep how long a network was trained, and draw its curves.

        Claims name their networks (`Claim.networks`) and get a verdict only where the
        held-out curves of all of them are flat: see `convergence`.

        Args:
            network: the name by which claims and tables call it.
            epochs: how many times it saw the training data; fractions count. None
                where every batch is drawn anew.
            steps: how many updates it got.
            held_out: measured on data that it was not trained on, at equal distances
                through the training, or pairs (step, value).
            training: the same on its training data, or its loss.
            better: "higher" or "lower".
            unit: what the curves measure, such as "accuracy" or "loss".
            training_unit: what the training curve measures, where that is another
                thing than the held-out curve does.
            negligible: a difference of held-out values that nobody would call a gain.

        Returns:
            Whether the held-out curve is flat, and why.
        """
        row = describe_training(
            held_out,
            training,
            epochs=epochs,
            steps=steps,
            better=better,
            measure=unit,
            training_measure=training_unit,
            negligible=negligible,
        )
        known = select_values(self.records.entries).get(TRAININGS, {})
        caption = "How long each network was trained"
        self.record(TRAININGS, known | {network: row}, caption)
        caption = explain_training(network, row)
        self.figure(f"training_{network}", draw_training(row), caption)
        return Convergence(row["flat"], row["points"], row["late_gain"], row["noise"])

    def figure(self, name: str, figure: Any, caption: str = "") -> None:
        """Save a matplotlib figure for the report and show it here."""
        # Drawn once: the report and the page show the same bytes.
        content = show.figure_to_png(figure)
        self._add_media("figure", name, ".png", content, caption)
        _display_png(content, caption or name)
        # Only pyplot numbers its figures. It holds them for ever, so close this one.
        if getattr(figure, "number", None) is not None:
            import matplotlib.pyplot as plt

            plt.close(figure)

    def image(self, name: str, image: Any, caption: str = "", *, zoom: int = 4) -> None:
        """Save one picture (H, W, 3) for the report, `zoom` times larger; show it."""
        content = show.encode_png(image, zoom)
        self._add_media("figure", name, ".png", content, caption)
        _display_png(content, caption or name)

    def audio(self, name: str, waveform: Any, rate: int, caption: str = "") -> None:
        """Save a waveform, (samples,) or (channels, samples), and show its player."""
        content = show.encode_wav(waveform, rate)
        self._add_media("audio", name, ".wav", content, caption)
        _display(show.listen([waveform], rate, [caption or name]))

    def video(self, name: str, path: str | Path, caption: str = "") -> None:
        """Copy an MP4 into the report and show its player."""
        self._add_media("video", name, ".mp4", Path(path).read_bytes(), caption)
        _display(show.video(path))
        if caption:  # several players in a row must be told apart
            _display_caption(caption)

    def finish(self) -> None:
        """Say that the lesson ran to its end; keeps its minutes and peak memory."""
        # The files take their place first: no finished record may name a missing one.
        self.records.publish()
        self.save()

    def save(self) -> None:
        """Write what was recorded so far, whole or not at all."""
        seconds = time.perf_counter() - self.began
        # What it went on with took time as well, in processes that were stopped.
        if training := sys.modules.get("avnb.training.run"):
            seconds += training.count_earlier_seconds(self.run_dir)
        self.records.save(
            {
                "series": self.series,
                "step": self.step,
                "scale": self.scale,
                "seed": self.seed,
                "data": self.chosen_data or "embedded",
                "overrides": files.to_jsonable(self.overrides),
                "commit": self.commit,
                "minutes": round(seconds / 60, 3),
                "peak_memory_mb": round(measure_peak_memory()),
            }
        )

    # -- what other steps left --

    def need(self, path: str | Path, *steps: str) -> Path:
        """A file or folder of this run that other steps make.

        The call is read before the notebook runs (`avnb.course.needs`), so write the
        path as a text or an f-string, and the steps as texts.

        Args:
            path: the file or folder, relative to the folder of the run.
            steps: the steps that make it, stepN_name. A folder may have several.

        Raises:
            LessonError: it is not there, it is an empty folder, or one of the steps
                that fill the folder has not finished; it says which steps to run.
        """
        full = self.run_dir / path
        # This path is a name, and a bracket in it is no pattern.
        pattern = glob.escape(str(path))
        absent = [s for s in steps if not is_met(Need(s, pattern), self.run_dir)]
        if absent:
            problem = "it is not there"
            # A folder may be there and of no use: empty, or filled by one step only.
            if full.is_dir():
                problem = "it is not complete" if any(full.iterdir()) else "it is empty"
            raise self._explain_missing(full, problem, absent)
        return full

    def load_results(self, step: str) -> dict[str, Any]:
        """What another step recorded: name -> value, as plain JSON.

        Raises:
            LessonError: that step has not finished.
        """
        found = read_finished(self.run_dir, step)
        if found is None:
            path = results_file(self.run_dir, step)
            raise self._explain_missing(path, "it is not there", [step])
        return select_values(found["entries"])

    def check_needs(self) -> None:
        """Look up what this step needs of earlier steps, all of it at once.

        Raises:
            LessonError: something is missing; it names every step that must run first.
        """
        mine = read_step(find_step(self.series, self.step))
        absent = [n for n in find_needs(mine.cells) if not is_met(n, self.run_dir)]
        if absent:
            # An error has one place: the first that is missing. Its text names all.
            path = self.run_dir / (absent[0].pattern or f"results/{absent[0].maker}")
            makers = list(dict.fromkeys(need.maker for need in absent))
            raise self._explain_missing(path, "it is not there", makers)

    def _explain_missing(
        self, place: Path, problem: str, makers: Sequence[str]
    ) -> LessonError:
        """What is missing, which steps make it, and the command that runs them all."""
        everything = [read_step(path) for path in step_files(self.series)]
        direct = [step for step in everything if step.name in makers]
        # What the missing steps need themselves: the command below must run that, too.
        others = find_missing(self.run_dir, everything, direct)
        problem += f": {_join(makers)} make{'s' if len(makers) == 1 else ''} it"
        if others:
            problem += f", and needs {_join([step.name for step in others])} before"
        numbers = sorted(step.number for step in [*direct, *others])
        alike = default_run_dir(
            self.series, self.scale, self.chosen_data, self.seed, self.overrides
        )
        command = describe_run(
            self.series,
            scale=self.scale,
            data=self.chosen_data,
            seed=self.seed,
            overrides=self.overrides,
            # Where the other options lead to this folder anyway, the line stays short.
            run_dir="" if self.run_dir == alike.resolve() else self.run_dir,
            steps=",".join(map(str, numbers)),
        )
        if len(numbers) == 1:
            return LessonError(place, problem, f"Run that notebook, or: {command}")
        return LessonError(place, problem, f"Run these notebooks, or: {command}")

    def _add_media(
        self, kind: str, name: str, suffix: str, content: bytes, caption: str
    ) -> None:
        self.records.add_media(kind, name, suffix, content, caption)
        self.save()


def _display_png(content: bytes, caption: str) -> None:
    # The caption is the alternative text as well, for readers who hear the page. An
    # Image keeps its pixels out of the page's text; Markdown stands below it.
    _display(Image(data=content, alt=caption))
    _display_caption(caption)


def _display_caption(caption: str) -> None:
    _display(Markdown(f"*{caption}*"))


def _display(item: Any) -> None:
    # A script has nowhere to show a picture.
    if get_ipython() is not None:
        display(item)


def _join(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
