"""What the course needs to know about this series: data, records and claims."""

from typing import Any

from avnb.course.series import Claim, WantedClips

# The script that draws the embedded data (HMMD's world), and its options at each scale.
# At `laptop` there are four of HMMD's seven classes, those that strike, and as many
# clips of each: a GAN of raw waveforms has only minutes there. `paper` has the seven
# classes with the numbers of videos and clips of the paper's Table 2.
STRUCK = "acoustic_guitar,ghatam,tabla,xylophone"
EMBEDDED = (
    "hands",
    {
        "smoke": {"classes": STRUCK, "videos": 3, "length": 3, "fps": 10.0},
        "laptop": {"classes": STRUCK, "videos": 40, "length": 14, "fps": 10.0},
        "reference": {"videos": 40, "length": 24, "fps": 10.0},
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
RECORDED: tuple[str, ...] = ("counts", "splits", "clock", "shortcuts", "oracles")

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
