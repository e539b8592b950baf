"""How long each network was trained, its curves, and what that allows to conclude."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from avnb.course.convergence import LEAST_POINTS, NOISY, find_convergence
from avnb.course.series import Claim
from avnb.viz import show

TRAININGS = "trainings"  # the name under which a step records them
MOST_POINTS = 400  # of a curve that is kept; a longer one is kept as means
MARKED = {"marker": "o", "markersize": 3}
NO_TRAINING = "no training recorded, no verdict"
NOT_COMPARED = "not compared"

Curve = Sequence[Any] | np.ndarray  # numbers, or pairs (step, number)
Trainings = Mapping[str, Mapping[str, Any]]  # network -> its row


def describe_training(
    held_out: Curve,
    training: Curve,
    *,
    epochs: float | int | None,
    steps: int,
    better: str,
    measure: str,
    training_measure: str,
    negligible: float,
) -> dict[str, Any]:
    """What is kept of a training: see `Lesson.record_training`.

    Returns:
        Its arguments, the curves as pairs [step, value], and the fields of
        `Convergence`.
    """
    tested, seen = place_curve(held_out, steps), place_curve(training, steps)
    found = find_convergence(tested[:, 1], better, negligible=negligible)
    return {
        "epochs": None if epochs is None else float(epochs),
        "steps": int(steps),
        **asdict(found),
        "better": better,
        "measure": measure,
        "training_measure": training_measure or measure,
        "held_out": tested.tolist(),
        "training": thin_curve(seen).tolist(),
    }


def place_curve(curve: Curve, steps: int) -> np.ndarray:
    """A curve as pairs (points, 2) of step and value.

    Numbers alone are taken as measured at equal distances, the last at the end.
    """
    values = np.asarray(curve, dtype=float)
    if values.ndim == 2:
        return values
    places = steps * np.arange(1, len(values) + 1) / max(len(values), 1)
    return np.stack([places, values], axis=1)


def thin_curve(curve: np.ndarray) -> np.ndarray:
    """At most `MOST_POINTS` pairs of a curve (points, 2): means of neighbours."""
    size = -(-len(curve) // MOST_POINTS)
    if size <= 1:
        return curve
    return np.array(
        [part.mean(0) for part in np.split(curve, range(size, len(curve), size))]
    )


def draw_training(row: Mapping[str, Any]) -> show.Plot:
    """The curves of one training; in two panels where they measure different things."""
    alike = row["training_measure"] == row["measure"]
    figure, axes = show.subplots(1, 1 if alike else 2, width=5.0, height=3.0)
    for place, label, curve, measure, style in (
        (axes[0, 0], "training data", row["training"], row["training_measure"], {}),
        # Points, so that the reader sees how often it was measured.
        (axes[0, -1], "held-out data", row["held_out"], row["measure"], MARKED),
    ):
        if curve:
            place.plot(*np.transpose(curve), label=label, linewidth=1.3, **style)
        place.set(xlabel="step", ylabel=measure or "value")
        if place.lines:
            place.legend(fontsize=8)
    return figure


def explain_training(network: str, row: Mapping[str, Any]) -> str:
    """What a training's curves show, in words: the figure's caption."""
    if not row["held_out"]:
        return f"{network}: {_tell_length(row)}, and no held-out curve."
    first, last = row["held_out"][0][1], row["held_out"][-1][1]
    text = (
        f"{network}: {_tell_length(row)}. On held-out data the "
        f"{row['measure'] or 'value'} goes from {first:.3g} to {last:.3g}"
    )
    if row["points"] < LEAST_POINTS:
        count = row["points"]
        return f"{text}. {count} measurements are too few to tell whether it is flat."
    if row["flat"]:
        return f"{text}, and its curve is flat at the end."
    if row["noise"] > NOISY:
        return f"{text}. The curve jumps too much to tell whether it is flat."
    return (
        f"{text}, and its curve is not flat: the last quarter still brought "
        f"{row['late_gain']:.0%} of the whole gain."
    )


def list_trainings(trainings: Trainings) -> list[dict[str, Any]]:
    """The rows of a table: how long each network was trained, and to what end."""
    return [
        {
            "network": network,
            "epochs": row["epochs"],
            "steps": row["steps"],
            "held-out measure": row["measure"],
            "first": row["held_out"][0][1] if row["held_out"] else None,
            "last": row["held_out"][-1][1] if row["held_out"] else None,
            "measurements": row["points"],
            "flat": "yes" if row["flat"] else "no",
        }
        for network, row in trainings.items()
    ]


def find_trainings(run: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """All trainings that the steps of a run recorded: network -> its row.

    Args:
        run: step -> name of the entry -> recorded value.
    """
    found: dict[str, Any] = {}
    for values in run.values():
        found |= values.get(TRAININGS, {})
    return found


def explain_no_verdict(claim: Claim, runs: Sequence[Trainings]) -> str:
    """Why a claim gets no verdict; empty where it gets one.

    A verdict needs networks whose held-out curves are flat in every run, or a budget
    that is itself what the claim is about.

    Args:
        claim: the claim, which names its networks.
        runs: the trainings of each run, see `find_trainings`.
    """
    if claim.budget:
        return ""
    if not claim.networks or any(set(claim.networks) - set(run) for run in runs):
        return NO_TRAINING
    rows = [run[name] for run in runs for name in claim.networks]
    short = [row for row in rows if not row["flat"]]
    if not short:
        return ""
    # Where batches are drawn anew, there are no epochs to count.
    counted = "steps" if any(row["epochs"] is None for row in short) else "epochs"
    lengths = sorted(row[counted] for row in short)
    digits = 3 if counted == "epochs" else 9  # steps are whole numbers
    least, most = (f"{number:.{digits}g}" for number in (lengths[0], lengths[-1]))
    length = least if least == most else f"{least} to {most}"
    return f"trained for {length} {counted}, no verdict"


def explain_not_compared(claim: Claim, runs: Sequence[Trainings]) -> str:
    """Say why a claim has no number: which of its networks were not trained.

    A scale may train fewer networks than the claims of its series compare, because each
    takes hours. Where all were trained, something else is missing, such as a truth.

    Args:
        claim: the claim, which names its networks.
        runs: the trainings of each run, see `find_trainings`.
    """
    absent = [name for name in claim.networks if any(name not in run for run in runs)]
    if not absent:
        return NOT_COMPARED
    named = (
        f"{len(absent)} of its networks" if len(absent) > 2 else " and ".join(absent)
    )
    return f"{NOT_COMPARED}: no training of {named} is recorded"


def _tell_length(row: Mapping[str, Any]) -> str:
    """How long a network was trained, in words."""
    steps = f"{row['steps']} steps"
    return steps if row["epochs"] is None else f"{row['epochs']:.3g} epochs, {steps}"
