"""Where in the other modality an event is: cross-modal localisation, exact matches.

Tian et al. 2018 proposed it on AVE; Zhu et al. 2021, Sec. 3.2, Table 1. Given the l
seconds of an event in one modality, the window of l seconds of the other is sought. An
answer is right when it is exact, so the answers that look at nothing belong beside it.
"""

from collections.abc import Hashable, Sequence

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from avnb.metrics.accuracy import accuracy, mean_score
from avnb.metrics.measure import Measure

Distances = Float[Tensor, "*directions videos seconds seconds"]
Events = Bool[Tensor, "videos seconds"]


def event_spans(event: Events) -> tuple[Int64[Tensor, " _"], Int64[Tensor, " _"]]:
    """First second and number of seconds of each video's event; 0 and 0 for none.

    Raises:
        ValueError: an event in two parts, which has no one start; it names the video.
    """
    length = event.sum(1)
    start = event.int().argmax(1)
    seconds = torch.arange(event.shape[1], device=event.device)
    after = seconds - start[:, None]
    whole = (after >= 0) & (after < length[:, None])
    broken = (whole != event).any(1)
    if broken.any():
        video = int(broken.nonzero()[0, 0])
        raise ValueError(
            f"video {video}: an event of two parts, {event[video].int().tolist()}; "
            "make each part a video of its own"
        )
    return start, length


def is_localisable(event: Events) -> Bool[Tensor, " _"]:
    """Which videos have something to find: an event, but not all the time."""
    return event.any(1) & ~event.all(1)


def window_costs(
    distance: Distances, event: Events, *, circular: bool = False
) -> Float64[Tensor, "*directions videos seconds"]:
    """The summed distance of the event's seconds to those of the window from t on.

    cost(t) = Σ_{k<l} D[s + k, t + k], s the event's first second and l its length; D
    has the query's seconds in rows, the searched ones in columns. Infinite where the
    window would leave the video. `circular`: windows go on at the beginning, and every
    t is a candidate.
    """
    start, length = event_spans(event)
    count = event.shape[1]
    steps = torch.arange(count, device=event.device)
    query = (start[:, None] + steps) % count  # (videos, k)
    searched = (steps[:, None] + steps) % count  # (t, k)
    video = torch.arange(len(event), device=event.device)[:, None, None]
    pairs = distance.double()[..., video, query[:, None, :], searched]
    within = steps < length[:, None]
    costs = pairs.where(within[:, None, :], 0.0).sum(-1)
    if not circular:
        costs = costs.where(steps + length[:, None] <= count, torch.inf)
    return costs


def localise(distance: Distances, event: Events) -> Int64[Tensor, "*directions videos"]:
    """The start of the window of least cost; of several the earliest."""
    return window_costs(distance, event).min(-1).indices


def localisation_scores(
    distance: Distances, event: Events, *, circular: bool = False
) -> Float64[Tensor, "*directions videos"]:
    """1 where the event is found at its very seconds, 0 where not.

    `circular`: m windows that cost equally little count 1/m where the right one is
    among them. This is the mean over all rotations of the searched modality, each with
    m windows drawn from at random: turning it turns the costs. So what says nothing
    (equal costs) scores 1 / seconds, and so does any constant answer, wherever the
    events lie.
    """
    start, _ = event_spans(event)
    if not circular:
        return (localise(distance, event) == start).double()
    costs = window_costs(distance, event, circular=True)
    least = costs.isclose(costs.min(-1, keepdim=True).values, rtol=1e-9, atol=0)
    found = least.gather(-1, start[:, None].expand(*costs.shape[:-1], 1))[..., 0]
    return found.double() / least.sum(-1)


def localisation(
    distance: Distances,
    event: Events,
    recordings: Sequence[Hashable] | None = None,
    *,
    circular: bool = False,
    name: str = "CML",
    seed: int = 0,
) -> Measure:
    """The fraction of events that are found at their very seconds.

    Several directions (A2V and V2A: D and its transpose) are averaged video by video,
    as Table 1's last column. Videos that are all event, or have none, are not
    evaluated; the note counts them. Interval: a bootstrap over recordings, Wilson's
    over videos where none are given.

    Raises:
        ValueError: a distance that is not finite, or no video with something to find.
    """
    if not distance.isfinite().all():
        raise ValueError(f"{name}: a distance is not finite; look at the features")
    keep = _evaluated(event, name)
    chosen = distance[..., keep, :, :]
    scores = localisation_scores(chosen, event[keep], circular=circular)
    scores = scores.flatten(0, -2).mean(0) if scores.ndim > 1 else scores
    kept = _kept(recordings, keep)
    found = mean_score(scores.cpu().numpy(), kept, name=name, seed=seed)
    return _counted(found, keep)


def constant_answers(
    event: Events, recordings: Sequence[Hashable] | None = None, *, seed: int = 0
) -> list[Measure]:
    """What needs no model: any start at random (exact), always the first, the last."""
    keep = _evaluated(event, "constant answers")
    start, length = (span[keep] for span in event_spans(event))
    last = event.shape[1] - length
    value = float((1 / (last + 1).double()).mean())
    kept = _kept(recordings, keep)
    rows = [Measure("uniform chance", value, value, value, 0, unit="fraction")]
    for name, answer in (("always first", 0 * start), ("always last", last)):
        rows.append(accuracy(answer, start, kept, name=name, seed=seed))
    return [_counted(row, keep) for row in rows]


def _evaluated(event: Events, name: str) -> Bool[Tensor, " _"]:
    keep = is_localisable(event)
    if not keep.any():
        raise ValueError(
            f"{name}: none of {len(event)} videos has both event and background"
        )
    return keep


def _kept(
    recordings: Sequence[Hashable] | None, keep: Bool[Tensor, " _"]
) -> list[Hashable] | None:
    if recordings is None:
        return None
    return [r for r, use in zip(recordings, keep.tolist(), strict=True) if use]


def _counted(measure: Measure, keep: Bool[Tensor, " _"]) -> Measure:
    n, left = int(keep.sum()), int((~keep).sum())
    notes = [measure.note, f"{n} videos, {left} without a place to find left out"]
    return measure.annotate(counted="videos", note="; ".join(filter(None, notes)))
