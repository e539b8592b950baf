"""Which series are installed, and where their files lie.

A series is a package of notebooks that some distribution declares in its
`pyproject.toml`::

    [project.entry-points."avnb.series"]
    ms_vae = "avnb_notebooks.ms_vae.series"

The module `series` of that package holds what the course asks of it: `CLAIMS`,
`evidence`, `headlines` and their `UNITS` (see :class:`Claim` and `avnb.course.study`),
`OVERRIDES` of its study, `EMBEDDED` (its embedded data), `RECORDED` (what a whole run
must have recorded) and `HIGHLIGHTS` (the entries with which its report opens). It may
hold `PUBLISHED` (the files of a run that its reference run publishes, as patterns) and
`PLAY_DATA` (the scale, the seed and changed options of the data to play with, see
`avnb.course.play`),
`WANTED` (which prepared clips it can use, see :class:`WantedClips`; without it the
series refuses any), `FIRST = True` (the start page begins with it) and `MINUTES` (scale
-> how many minutes a whole run was measured to take, and the GFLOP/s of the machine
that measured it, see `avnb.course.speed`).
"""

import importlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from avnb.data.sources import ClipSettings
from avnb.errors import LessonError

# The entry point under which any distribution may declare a series
GROUP = "avnb.series"
INSTALL = "No series is installed. Install one, for example: pip install avnb"


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper that holds where a measured number exceeds `above`.

    Args:
        name: the key of the number in what `evidence` returns.
        text: the sentence.
        paper: where the paper says it, and the paper's own number.
        measured: what our number is.
        above: what the number must exceed.
        unit: of our number, such as "grey levels". "points" is a difference of two
            fractions; it is shown in per cent.
        networks: the networks that the number compares, as `Lesson.record_training`
            names them. There is a verdict only where all of them were trained until
            their held-out curves were flat.
        budget: what the claim gives its networks, where that is part of the claim,
            such as "after equal minutes". Then there is a verdict in any case.
    """

    name: str
    text: str
    paper: str
    measured: str
    above: float = 0.0
    unit: str = ""
    networks: tuple[str, ...] = ()
    budget: str = ""


@dataclass(frozen=True)
class WantedClips:
    """Which prepared clips a series can use: the rule of its constant `WANTED`.

    Args:
        prepare: the command that makes such clips, as a reader would type it.
        settings: setting of `ClipSettings` -> the values that it may have.
        whole_seconds: whether a clip must last whole seconds, with whole frames in
            each of them.
        recordings: how many recordings each split must hold; None for any number.
    """

    prepare: str
    settings: Mapping[str, tuple[int | float, ...]] = field(default_factory=dict)
    whole_seconds: bool = False
    recordings: int | None = None

    def find_misfits(self, clips: ClipSettings, held: Mapping[str, int]) -> list[str]:
        """What is wrong with prepared clips: one text each; none where all is well.

        Every series trains on one split and tests on another, so both must hold
        something.

        Args:
            clips: how they were cut.
            held: split -> how many recordings it holds.
        """
        wrong = []
        for name, allowed in self.settings.items():
            value = getattr(clips, name)
            if value not in allowed:
                # `g` shows 16000.0 as people write it.
                right = " or ".join(f"{one:g}" for one in allowed)
                found = "not set" if value is None else f"{value:g}"
                wrong.append(f"{name} is {found}, and must be {right}")
        # Whole seconds are told by samples and frames, which are whole themselves.
        seconds = round(clips.seconds)
        if self.whole_seconds and (
            seconds < 1
            or clips.samples != seconds * clips.sample_rate
            or clips.frames % seconds
        ):
            wrong.append(
                f"clips of {clips.seconds:g} s with {clips.frames} frames are not "
                "whole seconds of as many frames each"
            )
        for split in ("train", "test"):
            if not held.get(split):
                wrong.append(f"{split} holds no recording")
        for split, count in held.items():
            if self.recordings not in (None, count):
                wrong.append(
                    f"{split} holds {count} recordings, and must hold {self.recordings}"
                )
        return wrong


def list_series() -> dict[str, str]:
    """Every installed series: its name -> its package."""
    found = importlib.metadata.entry_points(group=GROUP)
    # The entry point names the module `series`; the notebooks are in its package.
    return {one.name: one.module.rpartition(".")[0] for one in found}


def find_series(series: str) -> str:
    """The package of a series.

    Raises:
        LessonError: there is no such series; it lists the right names.
    """
    known = list_series()
    if series not in known:
        raise LessonError(
            f"series {series!r}",
            "there is no such series",
            f"Give one of: {', '.join(sorted(known))}" if known else INSTALL,
        )
    return known[series]


def load_series(series: str) -> ModuleType:
    """The module `series` of a series: its claims and its embedded data."""
    return importlib.import_module(f"{find_series(series)}.series")


def series_folder(series: str) -> Path:
    """The folder of a series' notebooks; no module of the series is imported.

    Raises:
        LessonError: there is no such series, or its files are missing.
    """
    package = find_series(series)
    try:
        # This imports the packages above, and not the series' own.
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:  # not even the package above it is there
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise LessonError(
            f"series {series!r}",
            f"its package {package} is not installed",
            "Install the distribution that declares it again, for example: "
            "pip install --force-reinstall avnb",
        )
    # Of a package that is spread over several folders, the first one counts.
    return Path(next(iter(spec.submodule_search_locations)))


def step_files(series: str) -> list[Path]:
    """The text halves stepN_name.py of a series, in the order of N.

    Raises:
        LessonError: there is no such series, it has no steps, or two of one number.
    """
    folder = series_folder(series)
    numbered: dict[int, Path] = {}
    for path in sorted(folder.glob("step*.py")):
        # The glob finds more than steps, such as a reader's step1-copy.py.
        match = re.fullmatch(r"step(\d+)_\w+", path.stem)
        if match is None:
            continue
        if (other := numbered.setdefault(int(match[1]), path)) != path:
            raise LessonError(
                folder,
                f"{other.name} and {path.name} are both step {int(match[1])}",
                "Rename one of them, for example to old_"
                f"{path.name}, or move it to another folder",
            )
    if not numbered:
        raise LessonError(
            folder, "it holds no notebook stepN_name.py", "Install the series again"
        )
    # By number: sorted as text, step10 would stand before step2.
    return [numbered[number] for number in sorted(numbered)]
