"""Metrics: each gives a `Measure`, a number with its interval, n and network."""

from avnb.metrics.accuracy import (
    accuracy,
    chance,
    majority_class,
    mean_over_seeds,
    paired_difference,
    verdict,
)
from avnb.metrics.alignment import av_align, peak_agreement
from avnb.metrics.baselines import (
    average_class,
    retrieve_by_class,
    retrieve_nearest,
    shuffle_within,
)
from avnb.metrics.bins import BinComparison, compare_bins
from avnb.metrics.borders import border_jump, measure_changes
from avnb.metrics.coupling import (
    PairGain,
    class_agreement,
    compare_pairs,
    curve_match,
    event_match,
)
from avnb.metrics.distances import (
    frechet_distance,
    inception_score,
    kernel_distance,
    real_against_real,
)
from avnb.metrics.entrances import MomentMatch, find_entrances, moment_match
from avnb.metrics.human import MethodScores, human_scores, rater_agreement
from avnb.metrics.inception import fid, fvd, kid, video_inception_score
from avnb.metrics.judges import (
    Features,
    FrameReader,
    SoundJudge,
    VideoJudge,
    judge_loss,
)
from avnb.metrics.latents import (
    active_units,
    latent_information,
    modality_share,
    pair_distance,
)
from avnb.metrics.localisation import (
    constant_answers,
    event_spans,
    is_localisable,
    localisation,
    localise,
    window_costs,
)
from avnb.metrics.measure import Measure, state_checksum
from avnb.metrics.memorisation import (
    authenticity,
    class_shares,
    diversity,
    find_nearest,
    manifold_precision,
    manifold_recall,
)
from avnb.metrics.pictures import lpips, lpips_distance, ssim
from avnb.metrics.pitches import find_pitch_bins, pitch_entropy
from avnb.metrics.pose import pose_error, pose_rows
from avnb.metrics.retrieval import mean_reciprocal_rank, random_mrr, reciprocal_ranks
from avnb.metrics.shortcuts import (
    blur_pictures,
    make_noise,
    randomise_phases,
    read_by_nearest_neighbour,
)
from avnb.metrics.sync import SyncNet, find_offsets, sync_loss

__all__ = [
    "BinComparison",
    "Features",
    "FrameReader",
    "Measure",
    "MethodScores",
    "MomentMatch",
    "PairGain",
    "SoundJudge",
    "SyncNet",
    "VideoJudge",
    "accuracy",
    "active_units",
    "authenticity",
    "av_align",
    "average_class",
    "blur_pictures",
    "border_jump",
    "chance",
    "class_agreement",
    "class_shares",
    "compare_bins",
    "compare_pairs",
    "constant_answers",
    "curve_match",
    "diversity",
    "event_match",
    "event_spans",
    "fid",
    "find_entrances",
    "find_nearest",
    "find_offsets",
    "find_pitch_bins",
    "frechet_distance",
    "fvd",
    "human_scores",
    "inception_score",
    "is_localisable",
    "judge_loss",
    "kernel_distance",
    "kid",
    "latent_information",
    "localisation",
    "localise",
    "lpips",
    "lpips_distance",
    "majority_class",
    "make_noise",
    "manifold_precision",
    "manifold_recall",
    "mean_over_seeds",
    "mean_reciprocal_rank",
    "measure_changes",
    "modality_share",
    "moment_match",
    "pair_distance",
    "paired_difference",
    "peak_agreement",
    "pitch_entropy",
    "pose_error",
    "pose_rows",
    "random_mrr",
    "randomise_phases",
    "rater_agreement",
    "read_by_nearest_neighbour",
    "real_against_real",
    "reciprocal_ranks",
    "retrieve_by_class",
    "retrieve_nearest",
    "shuffle_within",
    "ssim",
    "state_checksum",
    "sync_loss",
    "verdict",
    "video_inception_score",
    "window_costs",
]
