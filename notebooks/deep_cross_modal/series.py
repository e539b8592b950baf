"""The paper's claims, and the numbers of a run that test them.

`evidence(results)` turns the records of one finished run into one number for each
claim. A claim holds where its number is above its threshold. `avnb study` evaluates
the claims for every seed, and the notebook of step 10 evaluates them for its own run.
"""

from typing import Any

from avnb.course.series import Claim, WantedClips

# The embedded data set at each scale: recordings of each instrument (`songs`) and their
# length in seconds. The number of pairs is 13 instruments x songs x length x 2 chunks a
# second; at `paper` that is about the paper's 17,555. One person plays about four of
# the recordings, and one in five is held out, with its player: so `songs` is a multiple
# of 5, and 20 of them have 13 unheard players.
EMBEDDED = (
    "bandstand",
    {
        "smoke": {"songs": 5, "length": 2.0},
        "laptop": {"songs": 20, "length": 12.0},
        # The demo takes networks of the reference run. Equal data have equal splits, so
        # these networks have met none of its held-out people.
        "reference": {"songs": 20, "length": 12.0},
        "gpu": {"songs": 40, "length": 14.5},
        "paper": {"songs": 40, "length": 17.0},
    },
)

# Prepared clips that the notebooks can use. The image networks take 64 x 64 pixels, and
# half a second at 44,100 Hz is a spectrogram of 44 frames.
WANTED = WantedClips(
    "avnb prepare folder --source my_videos --out my_clips "
    "--seconds 0.5 --size 64 --sample-rate 44100",
    {"seconds": (0.5,), "size": (64,), "sample_rate": (44100,)},
)

# Minutes of a whole run, and the GFLOP/s of the machine that measured them.
MINUTES = {"laptop": (17.9, 92.0)}

# The entries that a complete run on the embedded data must have recorded.
RECORDED = (
    "table1",
    "figure9",
    "table5",
    "table5_baselines",
    "distances",
    "pose_estimator_error",
    "pose",
    "pose_gain",
    "memorisation",
    "i2s",
    "i2s_memorisation",
    "failures",
    "trainings",
    "claims",
)

# The entries with which the report opens: what was made, then the main tables.
HIGHLIGHTS = (
    *("figure1", "fixed_noise", "figure10", "nearest", "*_generated"),
    *("table5", "memorisation", "i2s"),
)

# The end of a headline's name -> the unit of its number.
UNITS = {"": "fraction"}

# Settings that a study changes. A single `laptop` run takes some networks from the
# reference run and trains S2I-C alone. A study compares networks over seeds, so each of
# its runs trains all of them.
OVERRIDES = {"laptop": {"weights": "train", "variants": ("S2I-C", "S2I-N", "S2I-A")}}

# The networks of the reference run whose weights are published: those that encode and
# evaluate, and those that one plays with. Together they stay below 16 MB in float16.
PUBLISHED = tuple(
    f"models/{name}.safetensors"
    for name in (
        *("sound_encoder", "sound_eval_classifier"),
        *("image_encoder", "image_eval_classifier", "pose_estimator"),
        *("standardizer_classifier", "standardizer_image", "s2i_c", "i2s"),
    )
)

# The epochs of Fig. 9 that the claim "fall" compares: around the paper's best, 35, and
# around the end of its fall, 50.
BEST_EPOCHS, FALLEN_EPOCHS = (30, 40), (45, 55)

# Table 2 of the paper: pairs of each instrument of Sub-URMP, (training, testing).
TABLE2 = {
    **{"cello": (1619, 289), "double_bass": (448, 245), "oboe": (626, 465)},
    **{"sax": (1203, 217), "trumpet": (1138, 285), "viola": (1708, 177)},
    **{"bassoon": (138, 260), "clarinet": (1308, 337), "horn": (774, 145)},
    **{"flute": (1820, 327), "trombone": (1433, 278), "tuba": (855, 136)},
    **{"violin": (1263, 341)},
}

OTHER_REPRESENTATIONS = ("MS", "CQT", "MFCC", "STFT")  # LMS is said to beat these

# The entry of a row that holds the accuracy by the classifiers that were not used in
# training (`EvalClassifier` of step 4).
EVAL = "EvalClassifier"

CLAIMS = (
    Claim(
        "lms_best",
        "LMS is the best of the five representations (4 layers)",
        "Table 1: LMS 87.44 %, next MFCC 81.05 %",
        "accuracy of LMS minus that of the best other",
        unit="points",
        networks=tuple(f"{name}, 4 layers" for name in ("LMS", *OTHER_REPRESENTATIONS)),
    ),
    Claim(
        "four_layers",
        "Four convolutional layers beat three",
        "Table 1: +3.0 points on the average of five",
        "mean accuracy of 4 layers minus 3, over the five representations",
        unit="points",
        networks=tuple(
            f"{name}, {layers} layers"
            for name in ("LMS", *OTHER_REPRESENTATIONS)
            for layers in (3, 4)
        ),
    ),
    Claim(
        "c_over_n",
        "S2I-C beats S2I-N: wrong pairs help",
        "Table 5: 75.56 % against 12.32 %",
        "EvalClassifier's accuracy on held-out sounds, S2I-C minus S2I-N",
        unit="points",
        networks=("S2I-C", "S2I-N"),
    ),
    Claim(
        "c_over_a",
        "S2I-C beats S2I-A: a classifier's encoding beats an autoencoder's",
        "Table 5: 75.56 % against 10.95 %",
        "EvalClassifier's accuracy on held-out sounds, S2I-C minus S2I-A",
        unit="points",
        networks=("S2I-C", "S2I-A", "autoencoder"),
    ),
    Claim(
        "n_over_a",
        "S2I-N beats S2I-A",
        "Table 5: 12.32 % against 10.95 %",
        "EvalClassifier's accuracy on held-out sounds, S2I-N minus S2I-A",
        unit="points",
        networks=("S2I-N", "S2I-A", "autoencoder"),
    ),
    Claim(
        "fall",
        "S2I-C falls after epoch 35",
        "Fig. 9: a sharp fall from epoch 35 to 50",
        "Γ's mean accuracy on test sounds, epochs 30 to 40 minus 45 to 55",
        above=0.05,
        unit="points",
        networks=("S2I-C",),
        budget="after the 35 and 50 epochs of Fig. 9",
    ),
    Claim(
        "i2s_above_chance",
        "I2S is above chance",
        "Sec. 5.4: 11.17 %, chance 7.7 %",
        "EvalClassifier's accuracy on generated sounds minus chance",
        unit="points",
        networks=("I2S",),
    ),
    Claim(
        "gamma_95",
        "The image classifier exceeds 95 % on real pictures",
        "Sec. 3.4",
        "Γ's accuracy on unheard people minus 0.95",
        unit="points",
        networks=("Γ",),
    ),
)


def evidence(results: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """Compute the number behind each claim from the records of one run.

    Args:
        results: step -> name of the entry -> recorded value.

    Returns:
        name of the claim -> its number. None where the run has not trained all that
        the claim compares, or not equally long.
    """
    judged = results["step10_judge"]
    s2i = {row["pictures"]: row for row in judged["table5"] if row["sounds"] == "test"}

    def subtract(better: str, other: str) -> float | None:
        if not {better, other} <= set(s2i):
            return None
        a, b = s2i[better], s2i[other]
        equally = a["steps"] == b["steps"]
        return a[EVAL]["value"] - b[EVAL]["value"] if equally else None

    i2s = {row["sounds"]: row[EVAL]["value"] for row in judged["i2s"]}
    gamma = results["step5_image_train"]["image_encoder_accuracy"]["value"]
    curve = results["step7_sound_to_image_train"]["figure9"].get("S2I-C test")
    return compare_representations(results["step3_sound_train"]["table1"]) | {
        "c_over_n": subtract("S2I-C", "S2I-N"),
        "c_over_a": subtract("S2I-C", "S2I-A"),
        "n_over_a": subtract("S2I-N", "S2I-A"),
        "fall": measure_fall(curve) if curve else None,
        "i2s_above_chance": i2s["I2S"] - i2s["chance"],
        "gamma_95": gamma - 0.95,
    }


def compare_representations(table: list[dict[str, Any]]) -> dict[str, float | None]:
    """Compute the numbers behind the claims on Table 1; None where it has gaps."""
    table1 = {
        (row["representation"], row["layers"]): row["accuracy"]["value"]
        for row in table
    }
    names = (*OTHER_REPRESENTATIONS, "LMS")
    if not {(name, layers) for name in names for layers in (3, 4)} <= set(table1):
        return {"lms_best": None, "four_layers": None}
    gains = [table1[name, 4] - table1[name, 3] for name in names]
    best_other = max(table1[name, 4] for name in OTHER_REPRESENTATIONS)
    return {
        "lms_best": table1["LMS", 4] - best_other,
        "four_layers": sum(gains) / len(gains),
    }


def measure_fall(curve: dict[str, list[float]]) -> float | None:
    """Measure how much a curve of Fig. 9 falls between the paper's two epochs.

    Both moments are the paper's. Had this curve chosen its own best point, the number
    could not be negative, and every noise would be a fall.

    Args:
        curve: "epoch" and "accuracy", a value for each measurement.

    Returns:
        The mean of the earlier epochs minus that of the later ones; None where the
        training did not reach the end of these.
    """
    points = list(zip(curve["epoch"], curve["accuracy"], strict=True))
    if not points or points[-1][0] < FALLEN_EPOCHS[1]:
        return None
    means = []
    for first, last in (BEST_EPOCHS, FALLEN_EPOCHS):
        inside = [value for epoch, value in points if first <= epoch <= last]
        if not inside:
            return None
        means.append(sum(inside) / len(inside))
    return means[0] - means[1]


def headlines(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Collect the numbers that a study averages over seeds.

    Args:
        results: step -> name of the entry -> recorded value.

    Returns:
        A name that says what was measured -> its value.
    """
    found = {
        f"{row['pictures']}, {row['sounds']} sounds, {network}": row[network]["value"]
        for row in results["step10_judge"]["table5"]
        for network in (EVAL, "Γ")
    }
    found |= {
        f"{row['sounds']}, sounds, {EVAL}": row[EVAL]["value"]
        for row in results["step10_judge"]["i2s"]
    }
    return found | {
        f"{row['representation']}, {row['layers']} layers": row["accuracy"]["value"]
        for row in results["step3_sound_train"]["table1"]
    }
