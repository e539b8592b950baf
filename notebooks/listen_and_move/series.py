"""The paper's claims as differences that a run measures.

`evidence(results)` gives, for one finished run, the number behind each claim; a claim
holds where the number is above its threshold. `avnb study` asks it for every seed,
and step 7 for the run at hand. All networks are compared after equally many steps: the
setting `steps_others` of step 6. Where that is few, a claim is on what learns faster.
"""

from typing import Any

from avnb.course.series import Claim

# One long video; its length in seconds.
EMBEDDED = (
    "performer",
    {
        "smoke": {"length": 8.0},
        "laptop": {"length": 240.0},
        "gpu": {"length": 480.0, "size": 128},
        "paper": {"length": 480.0, "size": 128},
    },
)

# What a whole run on the embedded data must have recorded.
RECORDED = (
    "listening",
    "control",
    "gain",
    "bias",
    "table1",
    "gains",
    "table2",
    "hand",
    "onsets",
    "av_align",
    "claims",
    "reactions",
)

# What a study sets that a single run does not: nothing.
OVERRIDES: dict[str, dict[str, Any]] = {}

CLAIMS = (
    Claim(
        "listens",
        "The performer moves synchronously to the sound",
        "Sec. 5.2: “synchronously responding to audio”; no number",
        "grey levels nearer by the right sound than by another moment's (whole model)",
    ),
    Claim(
        "r_d_rnn",
        "The dilated residual recurrence improves the pictures",
        "Table 1, cello: LPIPS 0.16 to 0.09",
        "LPIPS of the baseline minus that of + R+D-RNN",
    ),
    Claim(
        "sac",
        "Sound as content improves the pictures",
        "Table 1, cello: LPIPS 0.16 to 0.09",
        "LPIPS of the baseline minus that of + SaC",
    ),
    Claim(
        "acin",
        "Audio-conditional norms improve the pictures",
        "Table 1, cello: LPIPS 0.16 to 0.08",
        "LPIPS of the baseline minus that of + acIN",
    ),
    Claim(
        "prediction",
        "All features with video prediction beat each feature alone",
        "Table 1, cello: FVD 1184, 1354, 1426 alone, 1101 all (no row has all but it)",
        "FVD of the best single feature minus that of All + ConvGRU",
    ),
    Claim(
        "directions",
        "Directional ConvGRUs beat a plain one",
        "Table 1, cello: FVD 1101 to 1085",
        "FVD of All + ConvGRU minus that of All + DirConvGRU",
    ),
    Claim(
        "robust",
        "On foreign sounds the whole model paints better frames",
        "Table 2, cello: FID 320 to 279",
        "KID of the baseline minus that of the whole model",
    ),
)


def evidence(results: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """The number behind each claim, from one run's records (step → name → value)."""
    judge = results["step7_judge"]
    rows: dict[str, dict[str, Any]] = {}
    for row in judge["table1"]:
        rows.setdefault(row["network"], row)  # the first is after equally many steps

    def less(name: str, better: str, than: str) -> float:
        return rows[than][name]["value"] - rows[better][name]["value"]

    base, singles = "Baseline (MfS)", ("+ R+D-RNN", "+ SaC", "+ acIN")
    best = min(singles, key=lambda name: rows[name]["FVD"]["value"])
    foreign = {
        row["network"]: row["KID"]["value"]
        for row in judge["table2"]
        if "foreign" in row["sounds"]
    }
    return {
        "listens": judge["gain"]["value"],
        "r_d_rnn": less("LPIPS", "+ R+D-RNN", base),
        "sac": less("LPIPS", "+ SaC", base),
        "acin": less("LPIPS", "+ acIN", base),
        "prediction": less("FVD", "All + ConvGRU", best),
        "directions": less("FVD", "All + DirConvGRU", "All + ConvGRU"),
        "robust": foreign[base] - foreign["All + DirConvGRU"],
    }


def headlines(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The numbers that the study averages over seeds, by name."""
    judge = results["step7_judge"]
    named = {
        f"{row['network']}, {row['steps']} steps, {measure}": row[measure]["value"]
        for row in judge["table1"]
        for measure in ("SSIM", "LPIPS", "FVD")
        if measure in row and row["steps"]
    }
    named |= {
        f"{row['frames']}, off where it moves": row["off where it moves"]["value"]
        for row in judge["control"]
    }
    named |= {f"{row['film']}, hand, r": row["r"] for row in judge.get("hand", ())}
    return named | {
        f"{row['film']}, turns at notes": row["of all"]
        for row in judge.get("onsets", ())
    }
