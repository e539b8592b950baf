"""Every number that a series reports, with its network, its n and its interval."""

from avnb.metrics.accuracy import (
    accuracy,
    chance,
    commonest_class,
    over_seeds,
    paired_difference,
    verdict,
)
from avnb.metrics.alignment import av_align, peak_agreement
from avnb.metrics.distances import (
    frechet_distance,
    inception_score,
    kernel_distance,
    real_against_real,
)
from avnb.metrics.human import MethodScores, human_scores
from avnb.metrics.inception import fid, fvd, kid
from avnb.metrics.measure import Measure, state_checksum
from avnb.metrics.pictures import lpips, lpips_distance, ssim
from avnb.metrics.pose import pose_error, pose_rows

__all__ = [
    "Measure",
    "MethodScores",
    "accuracy",
    "av_align",
    "chance",
    "commonest_class",
    "fid",
    "frechet_distance",
    "fvd",
    "human_scores",
    "inception_score",
    "kernel_distance",
    "kid",
    "lpips",
    "lpips_distance",
    "over_seeds",
    "paired_difference",
    "peak_agreement",
    "pose_error",
    "pose_rows",
    "real_against_real",
    "ssim",
    "state_checksum",
    "verdict",
]
