"""The series start_here: what it claims, and which numbers answer that.

It has no data set: its worlds are drawn at each step. `evidence(results)` gives the
number behind each claim for one finished run, which itself trains three copies of each
network.
"""

from typing import Any

from avnb.course.series import Claim

# The other series use what this one explains, so the start page begins with it.
FIRST = True

# What a whole run must have recorded; a test checks it.
RECORDED = (
    "optimal",
    "saturating",
    "cheaters",
    "ring",
    "dual",
    "plane",
    "grid",
    "frozen",
    "recipes",
    "signs",
    "pairs",
    "claims",
)

# Settings that a study changes against a single run: none.
OVERRIDES: dict[str, dict[str, Any]] = {}

# The entries with which the report opens: what was made, then the main tables.
HIGHLIGHTS = ("film", "collapse", "obeys", "recipes", "pairs")

# The end of a headline's name -> the unit of its number. The others have none.
UNITS = {", quality": "fraction", ", obeys": "fraction"}

# A GAN has no held-out curve. What these claims compare had the same budget.
EQUAL = "after equally many updates of G"

CLAIMS = (
    Claim(
        "near_best",
        "A trained discriminator comes near p_r / (p_r + p_g) (at least ten times "
        "nearer than 1/2 is, our threshold)",
        "Goodfellow et al. 2014, Proposition 1; no number",
        "a tenth of the error of “always 1/2”, minus the error of the trained D",
        unit="probability",
        networks=("discriminator",),
    ),
    Claim(
        "collapses",
        "A discriminator that is too slow lets the generator collapse (at least 5 of "
        "8 modes fewer, our threshold)",
        "Metz et al. 2017, Fig. 2, on a ring of 8; no number",
        "modes with a faster D minus modes with the slow one",
        above=5.0,
        unit="modes",
        budget=EQUAL,
    ),
    Claim(
        "wasserstein_cures",
        "With the Wasserstein loss and a critic that keeps up nothing collapses (at "
        "least 7 of 8 modes, our threshold)",
        "Gulrajani et al. 2017, Sec. 5; no number",
        "modes of cure 2",
        above=7.0,
        unit="modes",
        budget=EQUAL,
    ),
    Claim(
        "wasserstein_alone",
        "The Wasserstein loss prevents collapse by itself, even with a slow critic "
        "(at least 7 of 8 modes, our threshold)",
        "not claimed by any paper: all of them train the critic well",
        "modes of the control",
        above=7.0,
        unit="modes",
        budget=EQUAL,
    ),
    Claim(
        "wrong_pairs",
        "Wrong pairs make the generator obey its condition sooner (after at most half "
        "of the updates, our threshold)",
        "Reed et al. 2016, Sec. 4.2; no number",
        "updates until half of the pictures obey: without wrong pairs, divided by with "
        "them",
        above=2.0,
        unit="times",
        budget="all updates where half never obey",
    ),
)


def evidence(results: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """Compute the number behind each claim from one run's records.

    Args:
        results: step → name → value.

    Returns:
        Claim → number; None where the step has not run.
    """
    found: dict[str, float | None] = dict.fromkeys(claim.name for claim in CLAIMS)
    if "step1_game" in results:
        trained, nothing = (row["error"] for row in results["step1_game"]["optimal"])
        found["near_best"] = nothing / 10 - trained
    if "step4_collapse" in results:
        table = results["step4_collapse"]["recipes"]
        sick, faster, alone, both = (row["modes"]["value"] for row in table[:4])
        found |= {"collapses": faster - sick, "wasserstein_cures": both}
        found["wasserstein_alone"] = alone
    if "step5_pairs" in results:
        found["wrong_pairs"] = _count_times_sooner(results["step5_pairs"]["pairs"])
    return found


def _count_times_sooner(rows: list[dict[str, Any]]) -> float | None:
    """How many times sooner half of the pictures obey with wrong pairs than without.

    Without wrong pairs they may never obey: then the number is a lower bound. None
    where they do not obey with wrong pairs.
    """
    two, three = (row["updates until half obey"] for row in rows[:2])
    return (two or rows[0]["updates"]) / three if three else None


def headlines(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Collect the numbers that a study averages over seeds, by name."""
    table = results["step4_collapse"]["recipes"][:4]
    named = {
        f"{row['recipe']}, {key}": row[key]["value"]
        for row in table
        for key in ("modes", "quality")
    }
    pairs = results["step5_pairs"]["pairs"][:2]
    return named | {f"{r['D is shown']}, obeys": r["obeys"]["value"] for r in pairs}
