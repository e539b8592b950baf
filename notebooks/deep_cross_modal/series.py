"""The paper's claims as differences that a run measures.

`evidence(results)` gives, for one finished run, the number behind each claim; a claim
holds where the number is above its threshold. `avnb study` asks it for every seed,
and the last notebook for the run at hand.
"""

from typing import Any

from avnb.course.series import Claim

# Recordings an instrument and their seconds; pairs: 13 x songs x length x 2.
# At `paper` they are as many as the paper's 17,555.
EMBEDDED = (
    "bandstand",
    {
        "smoke": {"songs": 3, "length": 3.0},
        "laptop": {"songs": 10, "length": 24.0},
        "gpu": {"songs": 12, "length": 48.0},
        "paper": {"songs": 8, "length": 84.0},
    },
)

# What a whole run on the embedded data must have recorded.
RECORDED = (
    "table1",
    "figure9",
    "table5",
    "table5_honesty",
    "distances",
    "pose_floor",
    "pose",
    "i2s",
    "claims",
)

# What a study sets that a single run does not: all variants train equally long, and
# the networks of Table 1 twice as long.
OVERRIDES = {"laptop": {"steps_others": 1300, "table_steps": 120}}

REPRESENTATIONS = ("MS", "CQT", "MFCC", "STFT")  # those that LMS is said to beat

CLAIMS = (
    Claim(
        "lms_best",
        "LMS is the best of the five representations (4 layers)",
        "Table 1: LMS 87.44 %, next MFCC 81.05 %",
        "accuracy of LMS minus that of the best other",
    ),
    Claim(
        "four_layers",
        "Four convolutional layers beat three",
        "Table 1: +3.0 points on the average of five",
        "mean accuracy of 4 layers minus 3, over the five representations",
    ),
    Claim(
        "c_over_n",
        "S2I-C beats S2I-N: wrong pairs help",
        "Table 5: 75.56 % against 12.32 %",
        "judge's accuracy, unheard sounds, S2I-C minus S2I-N",
    ),
    Claim(
        "c_over_a",
        "S2I-C beats S2I-A: a classifier's encoding beats an autoencoder's",
        "Table 5: 75.56 % against 10.95 %",
        "judge's accuracy, unheard sounds, S2I-C minus S2I-A",
    ),
    Claim(
        "n_over_a",
        "S2I-N beats S2I-A",
        "Table 5: 12.32 % against 10.95 %",
        "judge's accuracy, unheard sounds, S2I-N minus S2I-A",
    ),
    Claim(
        "fall",
        "After its best epoch S2I-C falls",
        "Fig. 9: a sharp fall from epoch 35 to 50",
        "Γ's best accuracy on training sounds minus its last",
        above=0.05,
    ),
    Claim(
        "i2s_above_chance",
        "I2S is above chance",
        "Sec. 5.4: 11.17 %, chance 7.7 %",
        "the ear's accuracy on generated sounds minus chance",
    ),
    Claim(
        "gamma_95",
        "The image classifier exceeds 95 % on real pictures",
        "Sec. 3.4",
        "Γ's accuracy on unseen recordings minus 0.95",
    ),
)


def evidence(results: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """The number behind each claim, from one run's records (step → name → value).

    None where the run trained the two variants for different numbers of steps.
    """
    table1 = {
        (row["representation"], row["layers"]): row["accuracy"]["value"]
        for row in results["step3_sound_train"]["table1"]
    }
    depth = [table1[name, 4] - table1[name, 3] for name in (*REPRESENTATIONS, "LMS")]
    judge = results["step10_judge"]
    s2i = {row["pictures"]: row for row in judge["table5"] if row["sounds"] == "test"}

    def over(better: str, other: str) -> float | None:
        a, b = s2i[better], s2i[other]
        alike = a["steps"] == b["steps"]
        return a["judge"]["value"] - b["judge"]["value"] if alike else None

    curve = results["step7_sound_to_image_train"]["figure9"]["s2i_c train"]["accuracy"]
    ear = {row["sounds"]: row["ear"]["value"] for row in judge["i2s"]}
    gamma = results["step5_image_train"]["image_encoder_accuracy"]["value"]
    return {
        "lms_best": table1["LMS", 4] - max(table1[name, 4] for name in REPRESENTATIONS),
        "four_layers": sum(depth) / len(depth),
        "c_over_n": over("S2I-C", "S2I-N"),
        "c_over_a": over("S2I-C", "S2I-A"),
        "n_over_a": over("S2I-N", "S2I-A"),
        "fall": max(curve) - curve[-1],
        "i2s_above_chance": ear["I2S"] - ear["chance"],
        "gamma_95": gamma - 0.95,
    }


def headlines(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The numbers that the study averages over seeds, by name."""
    named = {
        f"{row['pictures']}, {row['sounds']} sounds, {examiner}": row[examiner]["value"]
        for row in results["step10_judge"]["table5"]
        for examiner in ("judge", "Γ")
    }
    named |= {
        f"{row['sounds']}, heard by the ear": row["ear"]["value"]
        for row in results["step10_judge"]["i2s"]
    }
    return named | {
        f"{row['representation']}, {row['layers']} layers": row["accuracy"]["value"]
        for row in results["step3_sound_train"]["table1"]
    }
