"""What the course needs to know about this series: data, records and claims."""

from typing import Any

from avnb.course.series import Claim, WantedClips

# The script that draws the embedded data (the slides of Phonics), and its options at
# each scale. `paper` has about as many films as the paper's set, of fewer letters. The
# other world, the speaking heads, is drawn by `avnb prepare heads` and given as DATA.
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
        "laptop": {"sources": 8, "alphabets": 10, "films": 4, "size": 32},
        "reference": {"sources": 16, "alphabets": 16, "films": 6, "size": 32},
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
RECORDED: tuple[str, ...] = ("counts", "shortcuts", "oracles", "entrances")

# The entries with which the report opens.
HIGHLIGHTS: tuple[str, ...] = ()

# The end of a headline's name -> the unit of its number.
UNITS: dict[str, str] = {}

# Settings that a study changes against a single run: none.
OVERRIDES: dict[str, dict[str, Any]] = {}

CLAIMS: tuple[Claim, ...] = ()


def evidence(results: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """Compute the number of each claim from the records of one run.

    Args:
        results: step → recorded name → value.

    Returns:
        Name of the claim → its number.
    """
    return {}


def headlines(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The numbers that a study averages over seeds.

    Args:
        results: step → recorded name → value.

    Returns:
        A readable name → the number.
    """
    return {}
