"""Claims over seeds: run a series several times and say which of its claims hold.

The module `series` of a series holds its claims: `CLAIMS`, `evidence` and `headlines`,
which turn the records of one run into numbers. `OVERRIDES` (scale → field → value) are
what a study sets and a single run does not. A study is kept beside its runs, as
`runs/<series>/study-<scale>.json`; what is published is the reference run, see
`avnb.course.reference`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from IPython.display import display

from avnb import files, metrics
from avnb.course import report, runner
from avnb.course.folders import find_home
from avnb.course.lesson import Lesson
from avnb.course.provenance import collect_provenance
from avnb.course.records import select_values
from avnb.course.reference import describe_reference, load_reference
from avnb.course.series import load_series
from avnb.course.trainings import (
    explain_no_verdict,
    explain_not_compared,
    find_trainings,
)
from avnb.errors import LessonError
from avnb.viz import show

POWER = 0.8  # the usual probability with which a planned study is to decide
MOST_SEEDS = 1000  # of a number that is larger, nobody makes use


def read_records(run_dir: Path) -> dict[str, dict[str, Any]]:
    """What the finished steps of a run recorded: step → name → value."""
    found = {}
    for path in sorted((run_dir / "results").glob("step*.json")):
        found[path.stem] = select_values(files.read_json(path)["entries"])
    return found


def judge_claims(
    series: str, runs: Sequence[dict[str, dict[str, Any]]]
) -> list[dict[str, Any]]:
    """A row for each claim, from the records of one run a seed.

    One run gives the number alone, and says "here yes" or "here no". Two or more give
    its mean over seeds, Student's 95 % interval, and by that interval "holds", "fails"
    or "undecided". A claim on which a run has no evidence is "not compared", and the
    row says which networks were not trained, see `explain_not_compared`. A claim
    whose networks were not trained until their curves were flat gets no such word: the
    row says for how many epochs they were trained, see `explain_no_verdict`.

    Args:
        series: the series' name.
        runs: one a seed, each as `read_records` returns it.
    """
    module = load_series(series)
    evidence = [module.evidence(run) for run in runs]
    trainings = [find_trainings(run) for run in runs]
    rows = []
    for claim in module.CLAIMS:
        values = [found[claim.name] for found in evidence]
        measured = ", ".join(filter(None, (claim.measured, claim.budget)))
        row = {"claim": claim.text, "paper": claim.paper, "measured": measured}
        here: Any
        # Evidence is None where a run trained its variants unequally.
        if None in values:
            here, holds = "", explain_not_compared(claim, trainings)
        elif len(values) == 1:
            here = {"value": values[0], "unit": claim.unit}
            # One run has no interval, so it gets no verdict.
            holds = "here yes" if values[0] > claim.above else "here no"
        else:
            here = metrics.mean_over_seeds(values, name=claim.name, unit=claim.unit)
            holds = metrics.verdict(here, claim.above)
        if None not in values:
            holds = explain_no_verdict(claim, trainings) or holds
        row |= {"here": here, "needed": f"> {claim.above:g}", "holds": holds}
        if holds == "undecided":
            row["seeds needed"] = describe_seeds(values, claim.above)
        rows.append(row)
    return rows


def count_seeds(
    values: Sequence[float], above: float = 0.0, power: float = POWER
) -> int | None:
    """Compute how many seeds would decide a claim, if mean and spread stay.

    With n seeds the claim is decided where the 95 % t-interval of their mean lies on
    one side of the threshold. Its t statistic then follows a noncentral t distribution
    with n - 1 degrees of freedom and noncentrality sqrt(n) d, where d is the distance
    of the mean from the threshold in standard deviations. So the probability to decide
    in the direction of the mean is known in closed form for each n.

    Args:
        values: what was measured, one a seed.
        above: the threshold of the claim.
        power: the probability with which the seeds are to decide it.

    Returns:
        The smallest such number; None where it is above `MOST_SEEDS`.

    Raises:
        ValueError: there are fewer than 2 values, which have no spread.

    Source:
        J. Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988, ch. 2.
    """
    if len(values) < 2:
        raise ValueError(f"{len(values)} value: a spread needs at least 2")
    spread = float(np.std(values, ddof=1))
    distance = abs(float(np.mean(values)) - above)
    # Without spread there is no t statistic: two seeds decide, if not at the threshold.
    if spread == 0:
        return 2 if distance > 0 else None
    n = np.arange(2, MOST_SEEDS + 1)
    # (n,): the probabilities of all numbers of seeds at once
    critical = scipy.stats.t.ppf(0.975, n - 1)
    reached = (
        scipy.stats.nct.sf(critical, n - 1, np.sqrt(n) * distance / spread) >= power
    )
    return int(n[reached.argmax()]) if reached.any() else None


def describe_seeds(values: Sequence[float], above: float) -> str:
    """Say how many seeds an undecided claim asks for."""
    found = count_seeds(values, above)
    count = f"more than {MOST_SEEDS}" if found is None else str(found)
    return f"{count}, for a verdict with probability {POWER:.0%}"


def run_study(
    series: str, *, scale: str = "laptop", seeds: Sequence[int] = (0, 1, 2)
) -> Path:
    """Run the whole series once a seed and keep what it says of the claims.

    Finished runs are not repeated.

    Args:
        series: the series' name.
        scale: one of `settings.SCALES`.
        seeds: one whole run each.

    Returns:
        The file that is kept.

    Raises:
        LessonError: fewer than two seeds, or what `run_series` raises.
    """
    if len(set(seeds)) < 2:
        raise LessonError(
            f"seeds {list(seeds)}",
            "a study needs at least two different ones",
            "Give two, or better three, like --seeds 0,1,2",
        )
    overrides = load_series(series).OVERRIDES.get(scale, {})
    # By default each run has a folder of its own: a study that sets nothing goes on
    # with what `avnb run` has done.
    folders = [
        runner.run_series(
            series,
            scale=scale,
            seed=seed,
            overrides=overrides,
        )
        for seed in seeds
    ]
    path = study_path(series, scale)
    files.write_json(path, summarise_runs(series, scale, seeds, folders))
    return path


def summarise_runs(
    series: str, scale: str, seeds: Sequence[int], folders: Sequence[Path]
) -> dict[str, Any]:
    """What finished runs say of the claims, and their numbers over the seeds.

    Args:
        series: the series' name.
        scale: of the runs.
        seeds: one a run.
        folders: of the runs.

    Returns:
        Plain JSON.
    """
    module = load_series(series)
    runs = [read_records(folder) for folder in folders]
    headlines = [module.headlines(one) for one in runs]
    whole = [files.read_json(folder / "results.json") for folder in folders]
    summary = {
        "series": series,
        "scale": scale,
        "seeds": list(seeds),
        "provenance": collect_provenance(),
        "minutes": [one["minutes"] for one in whole],
        "peak_memory_mb": max(one["peak_memory_mb"] for one in whole),
        "claims": judge_claims(series, runs),
        # With the numbers of each seed anybody can compute other intervals.
        "evidence": [module.evidence(one) for one in runs],
        "numbers": {
            name: _average_seeds(
                [found[name] for found in headlines],
                name,
                find_unit(module.UNITS, name),
            )
            for name in headlines[0]
        },
        "claims_tested": [asdict(claim) for claim in module.CLAIMS],
    }
    plain: dict[str, Any] = files.to_jsonable(summary)
    return plain


def _average_seeds(values: Sequence[float], name: str, unit: str) -> Any:
    """The mean over seeds with its interval; of one seed the number alone."""
    if len(values) == 1:
        return {"name": name, "value": values[0], "unit": unit}
    return metrics.mean_over_seeds(values, name=name, unit=unit)


def show_claims(lesson: Lesson) -> None:
    """Record and show how the claims stand in a run, and show the reference run's."""
    # This lesson has not finished, so its own records are not among the files yet.
    unfinished = {lesson.step: select_values(lesson.records.entries)}
    records = read_records(lesson.run_dir) | unfinished
    mine = judge_claims(lesson.series, [records])
    caption = "This run alone (one seed: no interval)"
    lesson.record("claims", mine, caption)
    display(show.table(report.list_claims(mine, "this run"), caption))
    found = load_reference(lesson.series)
    if found is None:
        print("No reference run of this series is published yet.")
        return
    rows = report.list_claims(found["claims"], report.name_column(found))
    source = f"The reference run. It is not this run: {describe_reference(found)}"
    display(show.table(rows, source))


def find_unit(units: Mapping[str, str], name: str) -> str:
    """The unit of a headline: that of the first ending which fits, or none."""
    fitting = (unit for ending, unit in units.items() if name.endswith(ending))
    return next(fitting, "")


def study_path(series: str, scale: str) -> Path:
    """The file of a study's results, beside the folders of its runs."""
    return find_home() / "runs" / series / f"study-{scale}.json"
