"""What the course needs to know about this series: data, records and claims.

A claim of the paper is a difference of two measured numbers, and it holds if the
difference is above the claim's threshold. `evidence(results)` computes these numbers
for one finished run. `avnb study` calls it for each seed, step 7 for its own run.

All networks are compared after the same number of steps, the setting `steps_others` of
step 6. If that number is small, a claim is about which network learns faster.
"""

from typing import Any

from avnb.course.series import Claim, WantedClips

# The script that makes the embedded data, and its options for each scale. Lengths are
# in seconds.
EMBEDDED = (
    "performer",
    {
        "smoke": {"length": 8.0},
        "laptop": {"length": 240.0},
        "reference": {"length": 480.0},
        "gpu": {"length": 480.0, "size": 128},
        "paper": {"length": 480.0, "size": 128},
    },
)

# Prepared clips that the notebooks can use: one video, cut in time into training and
# test. The generator doubles maps of 4 x 4 until they have the size of a frame.
WANTED = WantedClips(
    "avnb prepare single_video --source my_video.mp4 --out my_clips --size 64",
    {"size": (8, 16, 32, 64, 128, 256, 512, 1024)},
    recordings=1,
)

# Minutes of a whole run, and the GFLOP/s of the machine that measured them.
MINUTES = {"laptop": (18.1, 87.0)}

# The names that a full run on the embedded data must have recorded.
RECORDED = (
    "heard",
    "heard_others",
    "listening",
    "control",
    "gain",
    "bias",
    "table1",
    "gains",
    "table2",
    "hand",
    "turns",
    "av_align",
    "sharpness",
    "lasting",
    "memorisation",
    "claims",
    "reactions",
)

# The entries with which the report opens: what was made, then the main tables.
HIGHLIGHTS = ("films", "frames", "own", "control", "table1", "hand", "turns")

# What the reference run publishes of its folder, for the playing notebook.
PUBLISHED = ("models/full_model.safetensors", "models/audio_features.safetensors")

# What one plays with: the same player's music of another seed, which no network has
# heard. Of the 8 s of `smoke` the test part would be 1.6 s.
PLAY_DATA = ("smoke", 99, {"length": 40.0})

# The end of a headline's name -> the unit of its number. The others have none.
UNITS = {
    "RMSE of moving pixels": "grey levels",
    "turns, F1 above luck": "points",
    "sharpness where it moves": "fraction",
    "error over time": "grey levels a minute",
}

# Settings of a study that differ from those of a single run: none.
OVERRIDES: dict[str, dict[str, Any]] = {}

CLAIMS = (
    Claim(
        "follows_sound",
        "The performer moves synchronously to the sound",
        "Sec. 5.2: “synchronously responding to audio”; no number",
        "RMSE with another moment's sound minus RMSE with the right one (full model)",
        unit="grey levels",
        networks=("All + DirConvGRU",),
    ),
    Claim(
        "hand_follows",
        "The hand goes where the pitch is",
        "Sec. 5.2: “synchronously responding to audio”; no number",
        "r of the hand in the frames, minus that with another moment's sound",
        networks=("All + DirConvGRU",),
    ),
    Claim(
        "bow_turns",
        "The bow turns when the true bow turns",
        "Sec. 5.2: “synchronously responding to audio”; no number",
        "F1 of the turns minus F1 of the same turns, shifted in time",
        unit="points",
        networks=("All + DirConvGRU",),
    ),
    Claim(
        "sharper",
        "The pictures are sharper than the mean picture where they move",
        "Sec. 1: “realistic”; no number",
        "sharpness minus that of the mean picture, shares of the real video's",
        unit="points",
        networks=("All + DirConvGRU",),
    ),
    Claim(
        "lasting",
        "The video does not degrade over time",
        "Sec. 5.2: “without apparent degradation over time”; no number",
        "growth of the error over time, negated; 1 a minute would be seen in a film",
        above=-1.0,
        unit="grey levels a minute",
        networks=("All + DirConvGRU",),
    ),
    Claim(
        "r_d_rnn",
        "The dilated residual recurrence improves the pictures",
        "Table 1, cello: LPIPS 0.16 to 0.09",
        "LPIPS of the baseline minus that of + R+D-RNN",
        unit="LPIPS",
        networks=("Baseline (MfS)", "+ R+D-RNN"),
    ),
    Claim(
        "sac",
        "Sound as content improves the pictures",
        "Table 1, cello: LPIPS 0.16 to 0.09",
        "LPIPS of the baseline minus that of + SaC",
        unit="LPIPS",
        networks=("Baseline (MfS)", "+ SaC"),
    ),
    Claim(
        "acin",
        "Audio-conditional norms improve the pictures",
        "Table 1, cello: LPIPS 0.16 to 0.08",
        "LPIPS of the baseline minus that of + acIN",
        unit="LPIPS",
        networks=("Baseline (MfS)", "+ acIN"),
    ),
    Claim(
        "prediction",
        "Video prediction improves the videos",
        "Table 1, cello: FVD 1184, 1354, 1426 alone, 1101 all (no row has all but it)",
        "FVD of all features without prediction minus that of All + ConvGRU",
        unit="FVD",
        networks=("All, no prediction", "All + ConvGRU"),
    ),
    Claim(
        "directions",
        "Directional ConvGRUs beat a plain one",
        "Table 1, cello: FVD 1101 to 1085",
        "FVD of All + ConvGRU minus that of All + DirConvGRU",
        unit="FVD",
        networks=("All + ConvGRU", "All + DirConvGRU"),
    ),
    Claim(
        "robust",
        "On foreign sounds the whole model paints better frames",
        "Table 2, cello: FID 320 to 279",
        "KID of the baseline minus that of the full model",
        unit="KID",
        networks=("Baseline (MfS)", "All + DirConvGRU"),
    ),
)


def evidence(results: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """Compute the number of each claim from the records of one run.

    Args:
        results: step → recorded name → value.

    Returns:
        Name of the claim → its number.
    """
    judge = results["step7_judge"]
    rows: dict[str, dict[str, Any]] = {}
    for row in judge["table1"]:
        # The full model has two rows. The first is after as many steps as the others.
        rows.setdefault(row["network"], row)

    def reduction(measure: str, network: str, rival: str) -> float | None:
        if not {network, rival} <= set(rows):  # by default step 6 trains one network
            return None
        return rows[rival][measure]["value"] - rows[network][measure]["value"]

    base, full = "Baseline (MfS)", "All + DirConvGRU"
    foreign = {
        row["network"]: row["KID"]["value"]
        for row in judge["table2"]
        if "foreign" in row["sounds"]
    }
    return {
        "follows_sound": judge["gain"]["value"],
        "hand_follows": _compare_hands(judge),
        "bow_turns": _find_turns(judge, "above luck"),
        "sharper": judge["sharpness"][0]["minus the still picture's"]["value"],
        "lasting": -judge["lasting"][0]["change"]["value"],
        "r_d_rnn": reduction("LPIPS", "+ R+D-RNN", base),
        "sac": reduction("LPIPS", "+ SaC", base),
        "acin": reduction("LPIPS", "+ acIN", base),
        "prediction": reduction("FVD", "All + ConvGRU", "All, no prediction"),
        "directions": reduction("FVD", full, "All + ConvGRU"),
        "robust": foreign[base] - foreign[full] if base in foreign else None,
    }


def headlines(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The numbers that a study averages over seeds.

    Args:
        results: step → recorded name → value.

    Returns:
        A readable name → the number.
    """
    judge = results["step7_judge"]
    named = {
        f"{row['network']}, {row['steps']} steps, {measure}": row[measure]["value"]
        for row in judge["table1"]
        for measure in ("SSIM", "LPIPS", "FVD")
        if measure in row and row["steps"]
    }
    named |= {
        f"{row['frames']}, RMSE of moving pixels": row["RMSE of moving pixels"]["value"]
        for row in judge["control"]
    }
    share = judge["sharpness"][0]["of the real video's"]["value"]
    named["sharpness where it moves"] = share
    named["error over time"] = judge["lasting"][0]["change"]["value"]
    # only a drawn video has ground truth, and so these two records
    named |= {
        f"{row['video']}, {row['quantity']}, r": row["r"]["value"]
        for row in judge.get("hand", ())
    }
    return named | {
        f"{row['video']}, turns, F1 above luck": row["above luck"]["value"]
        for row in judge.get("turns", ())
        if row["compared with"] == "turns"
    }


def _compare_hands(judge: dict[str, Any]) -> float | None:
    """The hand's r with the right sound minus that with a wrong one, if it is known."""
    rows = judge.get("hand", ())
    first = rows[0]["quantity"] if rows else ""
    r = {row["video"]: row["r"]["value"] for row in rows if row["quantity"] == first}
    if not r:
        return None
    return float(r["its own sound"] - r["another moment's sound"])


def _find_turns(judge: dict[str, Any], column: str) -> float | None:
    """A number of the turns of the full model's bow, if they are known."""
    for row in judge.get("turns", ()):
        if (row["video"], row["compared with"]) == ("its own sound", "turns"):
            return float(row[column]["value"])
    return None
