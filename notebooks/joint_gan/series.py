"""What the course needs to know about this series: data, records and claims."""

from typing import Any

from avnb.course.series import Claim, WantedClips

# The script that draws the embedded data (HMMD's world), and its options at each scale.
# At `laptop` there are four of HMMD's seven classes, those that strike, and as many
# clips of each: a GAN of raw waveforms has only minutes there. The demo takes the
# judges of the reference run. Equal data have equal splits, so these have met none of
# its held-out players. `paper` has the seven classes with the numbers of videos and
# clips of the paper's Table 2.
STRUCK = "acoustic_guitar,ghatam,tabla,xylophone"
EMBEDDED = (
    "hands",
    {
        "smoke": {"classes": STRUCK, "videos": 3, "length": 3, "fps": 10.0},
        "laptop": {"classes": STRUCK, "videos": 40, "length": 14, "fps": 10.0},
        "reference": {"classes": STRUCK, "videos": 40, "length": 14, "fps": 10.0},
        "gpu": {"videos": 40, "length": 24},
        "paper": {"table2": True},
    },
)

# Prepared clips that the notebooks can use: 16,384 samples, which is what WaveGAN
# makes, and the frames of the same second.
WANTED = WantedClips(
    "avnb prepare hmmd --source my_videos --out my_clips",
    {
        "sample_rate": (16000,),
        "seconds": (1.024,),
        "hop": (1.0,),
        "fps": (10, 25),
        "size": (32, 64),
    },
)

# What a whole run on the embedded data must have recorded.
RECORDED = (
    *("counts", "splits", "clock", "shortcuts", "oracles"),
    *("judges", "cost", "networks", "pulls", "methods", "trainings"),
    *("recognisable", "classes", "table3", "table4", "coupling", "memorisation"),
    *("claims", "knobs", "game"),
)

# The entries with which the report opens: what was made, then the main tables.
HIGHLIGHTS = (
    *("samples", "figure3", "sounds_*", "films_*", "class_histogram"),
    *("recognisable", "table3", "table4", "coupling", "nearest"),
)

# What the reference run publishes of its folder, for the playing notebook.
PUBLISHED = tuple(
    f"models/{name}.safetensors"
    for name in ("JM", "shared", "timed", "judge_sound", "judge_video")
)

# The end of a headline's name -> the unit of its number. The others have none.
UNITS = {
    "recognisable": "fraction",
    "agreement, gain": "points",
    "frame, gain": "points",
    "classes, gain": "points",
    "JSD": "bits",
    "PE, all": "bits",
}

# Settings that a study changes. A single `laptop` run takes the judges of the reference
# run and trains JM and the shared latent. A study compares networks over seeds, so each
# of its runs trains all of them. Three seeds have about two hours.
OVERRIDES: dict[str, dict[str, Any]] = {
    "laptop": {"weights": "train", "methods": ("BL", "JM", "shared", "timed")}
}

AGREEMENT = "class agreement"  # measures of coupling, as step 7 names them
STRIKES = "strike and onset within a frame"
TIMING = f"{STRIKES}, shuffled within classes"
NO_PLACE = "not asked by the paper"

# Each network has three curves, of which a claim names those that it is about.
SOUNDS = ("BL, sound", "JM, sound")
VIDEOS = ("BL, picture", "JM, picture")
BOTH = ("JM, sound", "JM, picture")

CLAIMS = (
    Claim(
        "ndb",
        "Joint critics make sounds more alike to the data's: NDB",
        "Table 3: 14 to 10, and 36 to 29; K is not said",
        "NDB / K of BL minus that of JM, the largest K",
        unit="points",
        networks=SOUNDS,
    ),
    Claim(
        "fid",
        "Joint critics make sounds more alike to the data's: FID",
        "Table 3: 111.25 to 97.43, and 93.00 to 79.89; the network is not said",
        "Fréchet distance (ear) of BL minus that of JM",
        networks=SOUNDS,
    ),
    Claim(
        "kid",
        "The same by a distance without bias",
        NO_PLACE,
        "kernel distance (ear) of BL minus that of JM",
        networks=SOUNDS,
    ),
    Claim(
        "is_sound",
        "Joint critics make sounds clearer and more varied: inception score",
        "Table 3: 1.38 to 1.44, and 1.34 to 1.48",
        "inception score (ear) of JM minus that of BL",
        networks=SOUNDS,
    ),
    Claim(
        "pe",
        "Joint critics lower the pitch entropy (a loss, where pitches are dropped)",
        "Table 3: 7.53 to 6.12, and 7.33 to 5.42",
        "marginal pitch entropy of BL minus that of JM",
        unit="bits",
        networks=SOUNDS,
    ),
    Claim(
        "is_video",
        "Joint critics make videos clearer and more varied: inception score",
        "Table 4: 1.88 to 1.91, and 4.24 to 4.33",
        "inception score (eye) of JM minus that of BL",
        networks=VIDEOS,
    ),
    Claim(
        "fvd",
        "The same by the Fréchet video distance",
        NO_PLACE,
        "FVD of BL minus that of JM",
        networks=VIDEOS,
    ),
    Claim(
        "belongs",
        "Sampled sound and picture belong together",
        "title and abstract: “accurate joint-modal correspondence”; no number",
        "agreement of ear and eye above shuffled pairs: JM",
        unit="points",
        networks=BOTH,
    ),
    Claim(
        "belongs_shared",
        "With a shared latent they do (at least 40 points above chance)",
        "ours",
        "agreement of ear and eye above shuffled pairs: shared",
        above=0.4,
        unit="points",
        networks=("shared, sound", "shared, picture", "shared, coupling"),
    ),
    Claim(
        "sync",
        "The hands strike when the sound begins",
        "Sec. 4.1: “audio is directly related of the motion”; no number",
        "F1 of onsets and strikes above pairs shuffled within classes: JM",
        unit="points",
        networks=BOTH,
    ),
    Claim(
        "sync_timed",
        "With a shared clock they do",
        "ours",
        "F1 of onsets and strikes above pairs shuffled within classes: timed",
        unit="points",
        networks=("timed, sound", "timed, picture"),
    ),
    Claim(
        "marginals",
        "The joint critics leave the class shares alone (within 0.02 bits, ours)",
        NO_PLACE + "; step 4 says that they bend them",
        "JSD of the sounds' classes, BL minus JM",
        above=-0.02,
        unit="bits",
        networks=SOUNDS,
    ),
    Claim(
        "not_more_critics",
        "The gain comes from pairs and not from more critics",
        "Sec. 5, which compares with no such control",
        "kernel distance (ear) of alone minus that of JM",
        networks=("alone, sound", "JM, sound"),
    ),
    Claim(
        "right_pairs",
        "The gain comes from the right pairs",
        "Sec. 5, which compares with no such control",
        "kernel distance (ear) of mismatched minus that of JM",
        networks=("mismatched, sound", "JM, sound"),
    ),
    Claim(
        "two_critics",
        "Two joint critics do more than one",
        "Sec. 3: “both the discriminators work collectively”; no comparison",
        "kernel distance (ear) of one minus that of JM",
        networks=("one, sound", "JM, sound"),
    ),
    Claim(
        "phase",
        "Phase shuffle makes better sounds",
        "Sec. 3: it prevents the critic “from learning such artifacts”; no number",
        "JSD of bins without phase shuffle minus that of BL, the largest K",
        unit="bits",
        networks=("BL, no shuffle, sound", "BL, sound"),
    ),
    Claim(
        "ternary",
        "D1 and D2 tell the three kinds of pair apart",
        "Sec. 3: “implicitly define a ternary discriminative function”; no number",
        "share of kinds that they name right at the end, minus 1/3",
        unit="points",
        networks=BOTH,
    ),
    Claim(
        "real_is_worse",
        "Generated videos have a higher inception score than real ones (a warning)",
        "Table 4: 1.91 against 1.42, and 4.33 against 1.26",
        "inception score (eye) of JM minus that of held-out clips",
        networks=("JM, picture",),
    ),
)


def evidence(results: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """Compute the number of each claim from the records of one run.

    Args:
        results: step → recorded name → value.

    Returns:
        Name of the claim → its number; None where a network was not trained.
    """
    judge = results["step7_judge"]
    sounds, videos = _by_name(judge["table3"]), _by_name(judge["table4"])
    shown = _by_name(judge["recognisable"])
    # The columns of the largest K come last.
    ndb, jsd = (
        [k for k in judge["table3"][0] if k.startswith(f"{name}, K")][-1]
        for name in ("NDB/K", "JSD")
    )
    classes = "JSD of the sound's classes [bits]"

    def find_gap(
        rows: dict[str, Any], column: str, one: str, other: str
    ) -> float | None:
        if any(column not in rows.get(name, {}) for name in (one, other)):
            return None
        return _number(rows[one][column]) - _number(rows[other][column])

    real = judge["table4"][0]["videos"]
    trained = _by_name(results["step6_train"]["networks"])
    kinds = trained.get("JM", {}).get("D₁ and D₂ right: last")
    return {
        "ndb": find_gap(sounds, ndb, "BL", "JM"),
        "fid": find_gap(sounds, "FD (ear)", "BL", "JM"),
        "kid": find_gap(sounds, "KD (ear)", "BL", "JM"),
        "is_sound": find_gap(sounds, "IS (ear)", "JM", "BL"),
        "pe": find_gap(sounds, "PE, all", "BL", "JM"),
        "is_video": find_gap(videos, "IS (eye)", "JM", "BL"),
        "fvd": find_gap(videos, "FVD", "BL", "JM"),
        "belongs": _find_gain(judge, "JM", AGREEMENT),
        "belongs_shared": _find_gain(judge, "shared", AGREEMENT),
        "sync": _find_gain(judge, "JM", TIMING),
        "sync_timed": _find_gain(judge, "timed", TIMING),
        "marginals": find_gap(shown, classes, "BL", "JM"),
        "not_more_critics": find_gap(sounds, "KD (ear)", "alone", "JM"),
        "right_pairs": find_gap(sounds, "KD (ear)", "mismatched", "JM"),
        "two_critics": find_gap(sounds, "KD (ear)", "one", "JM"),
        "phase": find_gap(sounds, jsd, "BL, no shuffle", "BL"),
        "ternary": None if kinds is None else kinds - 1 / 3,
        "real_is_worse": find_gap(videos, "IS (eye)", "JM", real),
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
        f"{row['sounds']}, {column}": _number(row[column])
        for row in judge["table3"]
        for column in ("KD (ear)", "IS (ear)", "PE, all")
    }
    named |= {
        f"{row['videos']}, {column}": _number(row[column])
        for row in judge["table4"]
        for column in ("KD (eye)", "IS (eye)", "FVD")
        if column in row
    }
    named |= {
        f"{row['clips']}, {what} recognisable": _number(row[f"{what} recognisable"])
        for row in judge["recognisable"]
        for what in ("sound", "video")
    }
    return named | {
        f"{row['clips']}, {row['measure']}, gain": _number(row["gain"])
        for row in judge["coupling"]
    }


def _number(value: Any) -> float:
    """The number of a recorded measure, or a number itself."""
    return float(value["value"] if isinstance(value, dict) else value)


def _by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows of a table by their first column."""
    return {next(iter(row.values())): row for row in rows}


def _find_gain(judge: dict[str, Any], clips: str, measure: str) -> float | None:
    """The gain over shuffled pairs, where that network was trained."""
    for row in judge["coupling"]:
        if (row["clips"], row["measure"]) == (clips, measure):
            return _number(row["gain"])
    return None
