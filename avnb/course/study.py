"""Claims over seeds: run a series several times and say which of its claims hold.

The module `series` of a series holds its claims: `CLAIMS`, `evidence` and `headlines`,
which turn the records of one run into numbers. `OVERRIDES` (scale → field → value) are
what a study sets and a single run does not. The results of a study are kept in the
repository, as `results/<series>-<scale>.json`.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from IPython.display import display

from avnb import files, metrics
from avnb.course import runner
from avnb.course.folders import find_clone, find_home
from avnb.course.lesson import Lesson
from avnb.course.provenance import collect_provenance
from avnb.course.records import select_values
from avnb.course.series import load_series
from avnb.errors import LessonError
from avnb.viz import show


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

    One run gives the number alone. Two or more give its mean over seeds, Student's
    95 % interval, and by that interval "holds", "fails" or "undecided". A claim on
    which a run has no evidence is "not compared".

    Args:
        series: the series' name.
        runs: one a seed, each as `read_records` returns it.
    """
    module = load_series(series)
    evidence = [module.evidence(run) for run in runs]
    rows = []
    for claim in module.CLAIMS:
        values = [found[claim.name] for found in evidence]
        row = {"claim": claim.text, "paper": claim.paper, "measured": claim.measured}
        here: Any
        # Evidence is None where a run trained its variants unequally.
        if None in values:
            here, holds = "", "not compared"
        elif len(values) == 1:
            here = values[0]
            # One run has no interval, so it gets no verdict.
            holds = "here yes" if here > claim.above else "here no"
        else:
            here = metrics.mean_over_seeds(values, name=claim.name, unit="")
            holds = metrics.verdict(here, claim.above)
        rows.append(
            row | {"here": here, "needed": f"> {claim.above:g}", "holds": holds}
        )
    return rows


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
    module = load_series(series)
    overrides = module.OVERRIDES.get(scale, {})
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
    runs = [read_records(folder) for folder in folders]
    headlines = [module.headlines(one) for one in runs]
    whole = [files.read_json(folder / "results.json") for folder in folders]
    kept = {
        "series": series,
        "scale": scale,
        "seeds": list(seeds),
        "provenance": collect_provenance(),
        "minutes": [one["minutes"] for one in whole],
        "peak_memory_mb": max(one["peak_memory_mb"] for one in whole),
        "claims": files.to_jsonable(judge_claims(series, runs)),
        # With the numbers of each seed anybody can compute other intervals.
        "evidence": [module.evidence(one) for one in runs],
        "numbers": {
            name: files.to_jsonable(
                metrics.mean_over_seeds(
                    [found[name] for found in headlines], name=name, unit=""
                )
            )
            for name in headlines[0]
        },
        "claims_tested": [asdict(claim) for claim in module.CLAIMS],
    }
    path = study_path(series, scale)
    files.write_json(path, kept)
    return path


def show_claims(lesson: Lesson) -> None:
    """Record and show how the claims stand in a run, and in the study that is kept."""
    # This lesson has not finished, so its own records are not among the files yet.
    unfinished = {lesson.step: select_values(lesson.records.entries)}
    records = read_records(lesson.run_dir) | unfinished
    mine = judge_claims(lesson.series, [records])
    lesson.record("claims", mine)
    display(show.table(mine, "This run alone (one seed: no interval)"))
    study = load_study(lesson.series)
    if study is None:
        print("No study of this series over several seeds is kept here.")
    else:
        lesson.record("claims_study", study["claims"])
        display(show.table(study["claims"], describe_study(study)))


def study_path(series: str, scale: str) -> Path:
    """The file of a study's results in the repository."""
    return (find_clone() or find_home()) / "results" / f"{series}-{scale}.json"


def load_study(series: str, scale: str = "laptop") -> dict[str, Any] | None:
    """The study that is kept in the repository, or None."""
    path = study_path(series, scale)
    return files.read_json(path) if path.is_file() else None


def describe_study(study: dict[str, Any]) -> str:
    """One line on a kept study: seeds, scale, hardware and date."""
    made = study["provenance"]
    seeds = ", ".join(map(str, study["seeds"]))
    return (
        f"{len(study['seeds'])} seeds ({seeds}) at {study['scale']}, "
        f"{made['hardware']}, {made['date']}"
    )
