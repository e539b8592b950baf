"""Every number that a series reports, with its network, its n and its interval."""

from avnb.metrics.accuracy import (
    accuracy,
    chance,
    commonest_class,
    over_seeds,
    paired_difference,
    verdict,
)
from avnb.metrics.distances import (
    frechet_distance,
    inception_score,
    kernel_distance,
    real_against_real,
)
from avnb.metrics.human import MethodScores, human_scores
from avnb.metrics.measure import Measure, state_checksum
from avnb.metrics.pose import pose_error, pose_rows

__all__ = [
    "Measure",
    "MethodScores",
    "accuracy",
    "chance",
    "commonest_class",
    "frechet_distance",
    "human_scores",
    "inception_score",
    "kernel_distance",
    "over_seeds",
    "paired_difference",
    "pose_error",
    "pose_rows",
    "real_against_real",
    "state_checksum",
    "verdict",
]
