"""What the course needs to know about this series: data, records and claims."""

from typing import Any

from avnb.course.series import Claim, WantedClips

# The script that draws the embedded data (the slides of Phonics), and its options at
# each scale. `paper` has about as many films as the paper's set, of fewer letters. The
# demo takes networks of the reference run. Equal data have equal splits, so that these
# have not met the demo's held-out sources. Both have one object a letter: with more, a
# network must first tell words apart, which takes more than their few thousand steps.
# The other world, the speaking heads, is drawn by `avnb prepare heads`, for DATA.
SMALL = {"words": 1, "sources": 14, "alphabets": 12, "films": 5, "size": 32}
EMBEDDED = (
    "slides",
    {
        "smoke": {
            "letters": "ABC",
            "sources": 2,
            "alphabets": 1,
            "films": 1,
            "size": 32,
        },
        "laptop": SMALL,
        "reference": SMALL,
        "gpu": {"sources": 16, "alphabets": 16, "films": 6},
        "paper": {"sources": 28, "alphabets": 28, "films": 6},
    },
)

# Prepared clips that the notebooks can use: the 32 frames of a video, and 3 more on
# both sides, whose sound its first and last frames hear.
WANTED = WantedClips(
    "avnb prepare phonics --source my_videos --out my_clips",
    {
        "sample_rate": (16000,),
        "seconds": (1.52,),
        "fps": (25,),
        "size": (32, 64),
    },
)

# What a whole run on the embedded data must have recorded.
RECORDED: tuple[str, ...] = (
    *("counts", "shortcuts", "oracles", "entrances"),
    *("cost", "trainings", "methods", "networks", "equal", "copies"),
    "pulls_table",
    *("judged", "reader", "entrances_made", "motion", "loudness", "av_align"),
    "sync",
    *("table1", "kept"),
    *("deaf", "table3", "heldout", "spread", "drift", "claims"),
    "reactions",
)

# What the reference run publishes of its folder, for the demo and the playing notebook:
# Table 1, ours, and the reader of frames. More than 16 MB in all are refused.
TABLE1 = ("mocogan", "phonicsgan", "g3an", "imaginator", "cascade")
PUBLISHED = tuple(
    f"models/{key}.safetensors" for key in (*TABLE1, "cascade_residual", "reader")
)

# The entries with which the report opens: what was made, then the main tables.
HIGHLIGHTS: tuple[str, ...] = (
    *("figure4", "films_models", "entrances_made", "entrance_r", "entrance_scatter"),
    *("table1", "equal", "table3", "figure7", "borders", "spread"),
)

# The end of a headline's name -> the unit of its number. The others have none.
UNITS: dict[str, str] = {
    "near": "fraction",
    "error": "frames",
    "class kept": "fraction",
    "order": "fraction",
    "jump": "times",
}

# Settings that a study changes against a single run: none.
OVERRIDES: dict[str, dict[str, Any]] = {}

# Titles of networks, as `list_methods` of step 6 has them. A test compares.
CASCADE, ONE, SHUFFLED = "the cascade", "one stream", "+ shuffling"
GENERATORS, NO_ORDER = "+ several generators", "cascade, no order head"
NO_SKIPS, NO_STILLS = "cascade, no skips", "cascade, no stills in training"
OURS = "residual cascade (ours)"
WITHOUT_SKIPS = ("MoCoGAN", "PhonicsGAN (after)", "G3AN")
RIVALS = (*WITHOUT_SKIPS, "ImaGINator")
STILL = "first frame, held still"
NO_PLACE = "not asked by the paper"
FOREIGN = "foreign sound, own onset"  # a column of step 8's table of entrances
MOUTH = "how far the mouth is open"  # as step 1 names it. A test compares

CLAIMS = (
    Claim(
        "best",
        "The cascade beats the four baselines",
        "Table 1: FVD 95.13 against 377.25 to 1248.73",
        "FVD of the best baseline minus that of the cascade, held out",
        networks=(CASCADE, *RIVALS),
    ),
    Claim(
        "best_kid",
        "The same by a distance without bias",
        "Table 1: FID 27.56 against 35.23 to 59.81",
        "KID of the best baseline minus that of the cascade, held out",
        networks=(CASCADE, *RIVALS),
    ),
    Claim(
        "skips",
        "Skips give better pictures",
        "Sec. 4.2: “better quality … because both models have skip connections”",
        "LPIPS of the cascade without skips minus that with them, held out",
        networks=(NO_SKIPS, CASCADE),
    ),
    Claim(
        "skips_between",
        "The models with skips have better pictures than those without",
        "Sec. 4.2, of five models that differ in more than their skips",
        "mean LPIPS of the three without skips minus that of the two with, held out",
        networks=(CASCADE, *RIVALS),
    ),
    Claim(
        "shuffle_alone",
        "Shuffling helps",
        "Table 3: FVD 305.17 to 95.80",
        "FVD of one stream minus that with shuffling",
        networks=(ONE, SHUFFLED),
    ),
    Claim(
        "cascade_needed",
        "Streams, critics and cascade help beyond shuffling",
        "Table 3: FVD 95.80 to 93.13, without an interval",
        "FVD of one stream with shuffling minus that of the cascade",
        networks=(SHUFFLED, CASCADE),
    ),
    Claim(
        "gens_hurt",
        "Several generators without a cascade are worse than one stream",
        "Table 3: FVD 305.17 to 480.53",
        "FVD of several generators minus that of one stream",
        networks=(GENERATORS, ONE),
    ),
    Claim(
        "order",
        "The order head adds to shuffling",
        "Sec. 3.3; no row of Table 3",
        "FVD of the cascade without its order head minus that with it",
        networks=(NO_ORDER, CASCADE),
    ),
    Claim(
        "follows_sound",
        "The motion follows the sound",
        "Figs. 5 and 6, by eye; no number",
        "r of entrance and onset: own sound minus foreign sound, held out",
        networks=(CASCADE,),
    ),
    Claim(
        "enters",
        "The object enters with its word (r above 0.5, ours)",
        "Sec. 4.2, by eye; no number",
        "r of entrance and onset, own sound, held out",
        above=0.5,
        networks=(CASCADE,),
    ),
    Claim(
        "fvd_is_sync",
        "FVD captures the correlation with the sound (at least 1 unit, ours)",
        "Sec. 4.3: “captures the video correlation with the audio signal”",
        "FVD of real videos with sounds of others minus that with their own",
        above=1.0,
        budget="without any network that makes videos",
    ),
    Claim(
        "heldout",
        "It works on new videos as on those of the training (within 0.02, ours)",
        "no split is stated",
        "LPIPS on training videos minus that on held-out ones: the cascade",
        above=-0.02,
        networks=(CASCADE,),
    ),
    Claim(
        "beats_still",
        "It is nearer to the real video than its first frame is",
        NO_PLACE,
        "LPIPS of the first frame held still minus that of the cascade, held out",
        networks=(CASCADE,),
    ),
    Claim(
        "kept",
        "The letter, or the person, is kept (in 90 %, ours)",
        "Sec. 4.6: “to always generate the correct letter”",
        "share of held-out videos whose class is read right: the cascade",
        above=0.9,
        unit="fraction",
        networks=(CASCADE,),
    ),
    Claim(
        "mouth",
        "The mouth follows the phones (r above 0.4, ours)",
        "Table 1, VidTIMIT, by FVD alone",
        "r of the opening that is read and the true one, held out",
        above=0.4,
        networks=(CASCADE,),
    ),
    Claim(
        "borders",
        "The cascade removes jumps at the borders of clips",
        "Sec. 4.5, Fig. 7, by eye",
        "jump of several generators minus that of the cascade",
        unit="times",
        networks=(GENERATORS, CASCADE),
    ),
    Claim(
        "static",
        "Stills in the training data make generated videos static",
        "Sec. 4.6: “because some samples … have static-image videos”",
        "motion of the cascade trained without stills minus with them, held out",
        unit="grey levels",
        networks=(NO_STILLS, CASCADE),
    ),
    Claim(
        "calm",
        "Generated videos move less than real ones (by a tenth or more, ours)",
        "Sec. 4.6: “may be static even though there are conditional audio signals”",
        "1 minus the motion of the cascade's videos by that of real ones",
        above=0.1,
        networks=(CASCADE,),
    ),
    Claim(
        "enters_ours",
        "Ours: the object enters with its word (r above 0.5)",
        NO_PLACE,
        "r of entrance and onset, own sound, held out: the residual cascade",
        above=0.5,
        networks=(OURS,),
    ),
    Claim(
        "foreign_ours",
        "Ours: by a foreign sound it does not (r within 0.15 of 0)",
        NO_PLACE,
        "minus the absolute r of entrance and its own onset, by a foreign sound",
        above=-0.15,
        networks=(OURS,),
    ),
    Claim(
        "kept_ours",
        "Ours: the letter, or the person, is kept (in 90 %)",
        NO_PLACE,
        "share of held-out videos whose class is read right: the residual cascade",
        above=0.9,
        unit="fraction",
        networks=(OURS,),
    ),
    Claim(
        "beats_still_ours",
        "Ours: it is nearer to the real video than its first frame is",
        NO_PLACE,
        "LPIPS of the first frame held still minus that of ours, held out",
        networks=(OURS,),
    ),
    Claim(
        "mouth_ours",
        "Ours: the mouth follows the phones (r above 0.4)",
        NO_PLACE,
        "r of the opening that is read and the true one, held out: ours",
        above=0.4,
        networks=(OURS,),
    ),
)


def evidence(results: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """Compute the number of each claim from the records of one run.

    Args:
        results: step → recorded name → value.

    Returns:
        Name of the claim → its number; None where a network was not trained, or where
        the truth that it asks for is not known.
    """
    judge = results["step8_judge"]
    table1, table3 = _by_name(judge["table1"]), _by_name(judge["table3"])
    kept, heldout = _by_name(judge["kept"]), _by_name(judge["heldout"])
    real = judge["kept"][0]["videos"]
    made = _find_entrances(judge)
    (own, foreign), (own_ours, foreign_ours) = (
        [_number(made.get(name), f"r, {x}") for x in ("own sound", FOREIGN)]
        for name in (CASCADE, OURS)
    )
    deaf = [_number(row, "FVD") for row in judge["deaf"]]
    motion, keeps = (
        {x: _number(row, f"{column}, held out") for x, row in kept.items()}
        for column in ("motion", "class kept")
    )
    lpips = {x: _number(row, "LPIPS, held out") for x, row in heldout.items()}
    mouth = {
        row["videos"]: _number(row, "pairs")
        for row in judge.get("motion", ())
        if row["quantity"] == MOUTH
    }

    def find_gap(one: str, other: str, column: str = "FVD") -> float | None:
        return _subtract(*(_number(table3.get(x), column) for x in (one, other)))

    return {
        "best": _subtract(*_find_best(table1, "FVD, held out")),
        "best_kid": _subtract(*_find_best(table1, "KID, held out")),
        "skips": _subtract(lpips.get(NO_SKIPS), lpips.get(CASCADE)),
        "skips_between": _subtract(
            _average(table1, WITHOUT_SKIPS, "LPIPS, held out"),
            _average(table1, ("ImaGINator", CASCADE), "LPIPS, held out"),
        ),
        "shuffle_alone": find_gap(ONE, SHUFFLED),
        "cascade_needed": find_gap(SHUFFLED, CASCADE),
        "gens_hurt": find_gap(GENERATORS, ONE),
        "order": find_gap(NO_ORDER, CASCADE),
        "follows_sound": _subtract(own, foreign),
        "enters": own,
        "fvd_is_sync": _subtract(deaf[1], deaf[0]),
        "heldout": _subtract(
            _number(heldout.get(CASCADE), "LPIPS, train"), lpips.get(CASCADE)
        ),
        "beats_still": _subtract(lpips.get(STILL), lpips.get(CASCADE)),
        "kept": keeps.get(CASCADE),
        "mouth": mouth.get(CASCADE),
        "borders": find_gap(GENERATORS, CASCADE, "jump"),
        "static": _subtract(motion.get(NO_STILLS), motion.get(CASCADE)),
        "calm": _find_missing_motion(motion.get(CASCADE), motion.get(real)),
        "enters_ours": own_ours,
        "foreign_ours": None if foreign_ours is None else -abs(foreign_ours),
        "kept_ours": keeps.get(OURS),
        "beats_still_ours": _subtract(lpips.get(STILL), lpips.get(OURS)),
        "mouth_ours": mouth.get(OURS),
    }


def headlines(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The numbers that a study averages over seeds.

    Args:
        results: step → recorded name → value.

    Returns:
        A readable name → the number.
    """
    judge = results["step8_judge"]
    named: dict[str, float | None] = {}
    for name, row in _find_entrances(judge).items():
        named |= {
            f"{name}, r": _number(row, "r, own sound"),
            f"{name}, foreign sound, r": _number(row, f"r, {FOREIGN}"),
            f"{name}, near": _number(row, "near"),
            f"{name}, error": _number(row, "error"),
        }
    for name, row in _by_name(judge["table1"]).items():
        for part in ("train", "held out"):
            for column in ("FVD", "KID", "LPIPS"):
                named[f"{name}, {part}, {column}"] = _number(row, f"{column}, {part}")
    for name, row in _by_name(judge.get("equal", [])).items():
        for column in ("FVD", "KID", "LPIPS"):
            found = _number(row, f"{column}, equal weights")
            named[f"{name}, equal weights, held out, {column}"] = found
    for name, row in _by_name(judge["kept"]).items():
        named[f"{name}, class kept"] = _number(row, "class kept, held out")
    for name, row in _by_name(judge["table3"]).items():
        named[f"{name}, jump"] = _number(row, "jump")
        named[f"{name}, order"] = _number(row, "order read right")
    return {name: value for name, value in named.items() if value is not None}


def _number(row: dict[str, Any] | None, column: str) -> float | None:
    """The number in a column, of a measure or by itself; None where there is none."""
    value = (row or {}).get(column)
    if isinstance(value, dict):
        value = value["value"]
    return None if value is None else float(value)


def _subtract(one: float | None, other: float | None) -> float | None:
    """Their difference, where both are known."""
    return None if one is None or other is None else one - other


def _by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows of a table by their first column."""
    return {next(iter(row.values())): row for row in rows}


def _find_entrances(judge: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The rows of the held-out part, by the name of the videos."""
    rows = judge.get("entrances_made", ())
    return {row["videos"]: row for row in rows if row["part"] == "held out"}


def _find_best(
    table: dict[str, dict[str, Any]], column: str
) -> tuple[float | None, float | None]:
    """The lowest number of the baselines, and that of the cascade."""
    found = [_number(table.get(name), column) for name in RIVALS]
    known = [value for value in found if value is not None]
    # A claim about all of them needs all of them.
    best = min(known) if len(known) == len(RIVALS) else None
    return best, _number(table.get(CASCADE), column)


def _average(
    table: dict[str, dict[str, Any]], names: tuple[str, ...], column: str
) -> float | None:
    """The mean over networks, where all are known."""
    found = [_number(table.get(name), column) for name in names]
    known = [value for value in found if value is not None]
    return sum(known) / len(known) if len(known) == len(names) else None


def _find_missing_motion(made: float | None, real: float | None) -> float | None:
    """The share of the real motion that generated videos lack."""
    return None if made is None or not real else 1 - made / real
