"""Cross-modal localisation: when does what is heard happen in the picture, or back?

Given the l seconds of an event in one modality, a model looks for the window of l
seconds in the other modality. An answer is right when it is exact to the second. Many
events last almost the whole video, so answers that use no model are often right: read
the scores beside `constant_answers`.

Source: Tian et al. 2018; Zhu et al. 2021, Sec. 3.2 and Table 1.
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
    """Find the first second and the number of seconds of each video's event.

    Returns:
        Start and length; both are 0 where a video has no event.

    Raises:
        ValueError: an event has two parts, so that it has no one start; the text names
            the video.
    """
    length = event.sum(1)
    start = event.int().argmax(1)  # the first of equal values
    seconds = torch.arange(event.shape[1], device=event.device)
    after = seconds - start[:, None]
    # An event in one part is exactly the seconds from its start on, for its length.
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
    """Tell which videos have something to find: an event, but not all the time."""
    return event.any(1) & ~event.all(1)


def window_costs(
    distance: Distances, event: Events, *, circular: bool = False
) -> Float64[Tensor, "*directions videos seconds"]:
    """Compute how badly each window fits the event.

    cost(t) = Σ_{k<l} D[s + k, t + k], where s is the first second of the event and l
    its length.

    Args:
        distance: D, with the seconds of the query in rows and those of the searched
            modality in columns.
        event: in which seconds of the query the event is.
        circular: let windows go on at the beginning of the video, so that every t is a
            candidate.

    Returns:
        The cost of the window that begins at each second; infinite where the window
        would leave the video.
    """
    start, length = event_spans(event)
    count = event.shape[1]
    steps = torch.arange(count, device=event.device)
    # For all k at once; those beyond the event's length are set to 0 below.
    query = (start[:, None] + steps) % count  # (videos, k)
    searched = (steps[:, None] + steps) % count  # (t, k)
    video = torch.arange(len(event), device=event.device)[:, None, None]
    # (videos, 1, k) and (t, k) broadcast to (videos, t, k), each with its own video.
    pairs = distance.double()[..., video, query[:, None, :], searched]
    within = steps < length[:, None]
    costs = pairs.where(within[:, None, :], 0.0).sum(-1)
    if not circular:
        costs = costs.where(steps + length[:, None] <= count, torch.inf)
    return costs


def localise(distance: Distances, event: Events) -> Int64[Tensor, "*directions videos"]:
    """Return the start of the window with the least cost; the earliest of equals."""
    return window_costs(distance, event).min(-1).indices


def localisation_scores(
    distance: Distances, event: Events, *, circular: bool = False
) -> Float64[Tensor, "*directions videos"]:
    """Score each video: 1 where the event is found at exactly its seconds, else 0.

    Args:
        distance: see `window_costs`.
        event: see `window_costs`.
        circular: let windows go on at the beginning of the video. Where m windows cost
            equally little and the right one is among them, the score is 1/m. This is
            the mean over all rotations of the searched modality, because rotating it
            rotates the costs. So a distance without information (equal costs) scores
            1 / seconds, and so does any constant answer, wherever the events lie.
    """
    start, _ = event_spans(event)
    if not circular:
        return (localise(distance, event) == start).double()
    costs = window_costs(distance, event, circular=True)
    # The sums of equal costs round differently from window to window.
    least = costs.isclose(costs.min(-1, keepdim=True).values, rtol=1e-9, atol=0)
    found = least.gather(-1, start[:, None].expand(*costs.shape[:-1], 1))[..., 0]
    return found.double() / least.sum(-1)


def localisation(
    distance: Distances,
    event: Events,
    units: Sequence[Hashable] | None = None,
    *,
    circular: bool = False,
    name: str = "CML",
    seed: int = 0,
) -> Measure:
    """Compute the fraction of events that are found at exactly their seconds.

    Videos that are all event, or have none, are not evaluated; the note counts them.

    Args:
        distance: see `window_costs`. Several directions (A2V and V2A: D and its
            transpose) are averaged video by video, as in Table 1's last column.
        event: see `window_costs`.
        units: the unit of each video. The interval is a bootstrap over them,
            or Wilson's over videos without them.
        circular: see `localisation_scores`.
        name: of the measure.
        seed: of the bootstrap.

    Raises:
        ValueError: a distance is not finite, or no video has something to find.
    """
    if not distance.isfinite().all():
        raise ValueError(f"{name}: a distance is not finite; look at the features")
    keep = _select_localisable(event, name)
    chosen = distance[..., keep, :, :]
    scores = localisation_scores(chosen, event[keep], circular=circular)
    # (directions…, videos) → (videos,): the directions of a video are not independent.
    scores = scores.flatten(0, -2).mean(0) if scores.ndim > 1 else scores
    kept = _select_units(units, keep)
    found = mean_score(scores.cpu().numpy(), kept, name=name, seed=seed)
    return _add_counts(found, keep)


def constant_answers(
    event: Events, units: Sequence[Hashable] | None = None, *, seed: int = 0
) -> list[Measure]:
    """Score the answers that need no model.

    Args:
        event: see `window_costs`.
        units: the unit of each video, for the intervals.
        seed: of the bootstraps.

    Returns:
        A start at random (its expected score, exactly), always the first possible
        start, and always the last.
    """
    keep = _select_localisable(event, "constant answers")
    start, length = (span[keep] for span in event_spans(event))
    last = event.shape[1] - length  # the last possible start
    # A video with s seconds and an event of length l has s - l + 1 possible starts.
    value = float((1 / (last + 1).double()).mean())
    kept = _select_units(units, keep)
    rows = [Measure("uniform chance", value, value, value, 0, unit="fraction")]
    for name, answer in (("always first", 0 * start), ("always last", last)):
        rows.append(accuracy(answer, start, kept, name=name, seed=seed))
    return [_add_counts(row, keep) for row in rows]


def _select_localisable(event: Events, name: str) -> Bool[Tensor, " _"]:
    keep = is_localisable(event)
    if not keep.any():
        raise ValueError(
            f"{name}: none of {len(event)} videos has both event and background"
        )
    return keep


def _select_units(
    units: Sequence[Hashable] | None, keep: Bool[Tensor, " _"]
) -> list[Hashable] | None:
    if units is None:
        return None
    return [r for r, use in zip(units, keep.tolist(), strict=True) if use]


def _add_counts(measure: Measure, keep: Bool[Tensor, " _"]) -> Measure:
    n, left = int(keep.sum()), int((~keep).sum())
    notes = [measure.note, f"{n} videos, {left} without a place to find left out"]
    return measure.annotate(counted="videos", note="; ".join(filter(None, notes)))
