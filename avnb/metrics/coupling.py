"""Do a sound and its picture belong together? Pairs, and the same pairs shuffled.

Whatever is computed of a pair, a part of it is luck: two sides that have nothing to do
with each other agree now and then. So each measure comes with the value of shuffled
pairs, the sound of one item with the picture of another, and only the gain counts.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from avnb.metrics.alignment import Times, match_events
from avnb.metrics.intervals import Units, bootstrap_interval, jackknife_interval
from avnb.metrics.measure import Measure
from avnb.metrics.motion import correlate

Heard = TypeVar("Heard")
Seen = TypeVar("Seen")
PARTNERS = 16  # other pictures that each sound is paired with, at most


@dataclass(frozen=True)
class PairGain:
    """A score of pairs, that of shuffled pairs, and the difference.

    Attributes:
        own: of the pairs as they are.
        shuffled: of each sound with other items' pictures.
        gain: own minus shuffled; above 0 where sound and picture belong together.
    """

    own: Measure
    shuffled: Measure
    gain: Measure

    def as_row(self) -> dict[str, Measure]:
        """The columns of a table."""
        return {"pairs": self.own, "shuffled": self.shuffled, "gain": self.gain}


def class_agreement(
    heard: Int64[Tensor, " n"],
    seen: Int64[Tensor, " n"],
    classes: int,
    units: Units | None = None,
    *,
    seed: int = 0,
) -> PairGain:
    """How often a judge that hears and one that sees name the same class.

    The value of shuffled pairs needs no shuffling. The mean over all orders of the
    pictures is the product of the marginals, Σ_k q_k r_k, where q and r are the shares
    of the classes among the sounds and among the pictures.

    Args:
        heard: the class that the sound of each item is taken for.
        seen: the class that its picture is taken for.
        classes: how many there are.
        units: the unit of each item, for the interval.
        seed: of the jackknife.

    Raises:
        ValueError: there are no pairs, or not as many sounds as pictures.
    """
    if len(heard) != len(seen) or not len(heard):
        raise ValueError(f"{len(heard)} sounds and {len(seen)} pictures: give pairs")
    a, v = heard.cpu().numpy(), seen.cpu().numpy()

    def agree(rows: np.ndarray) -> float:
        return float((a[rows] == v[rows]).mean())

    def by_chance(rows: np.ndarray) -> float:
        q, r = (np.bincount(x[rows], minlength=classes) for x in (a, v))
        return float(q @ r / len(rows) ** 2)

    over = "pairs" if units is None else "units"

    def measure(name: str, rule: Callable[[np.ndarray], float], unit: str) -> Measure:
        value, low, high = jackknife_interval(
            lambda kept: rule(kept[0]),
            (len(a),),
            None if units is None else (units,),
            seed=seed,
        )
        least = -1.0 if unit == "points" else 0.0
        ends = min(max(low, least), value), max(min(high, 1.0), value)
        note = f"jackknife over {over}"
        return Measure(name, value, *ends, len(a), "pairs", unit, note=note)

    return PairGain(
        measure("agreement", agree, "fraction"),
        measure("agreement by chance", by_chance, "fraction"),
        measure(
            "agreement above chance", lambda rows: agree(rows) - by_chance(rows),
            "points",
        ),
    )  # fmt: skip


def compare_pairs(
    score: Callable[[Heard, Seen], float],
    heard: Sequence[Heard],
    seen: Sequence[Seen],
    units: Units | None = None,
    *,
    name: str,
    unit: str = "",
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> PairGain:
    """Score pairs, and each sound with pictures of other items.

    Two sides that share nothing but their class can score above shuffled pairs: fast
    players meet fast ones. With `groups` a sound meets only pictures of its own
    picture's group. Then what the group tells is in both scores, and the gain is what a
    pair has beyond it.

    Args:
        score: of one sound and one picture.
        heard: what was heard of each item.
        seen: what was seen of each item.
        units: the unit of each item, for the interval.
        name: of the measure.
        unit: of the score.
        groups: of each picture, such as the class that it shows. A picture that is
            alone in its group meets its own sound again, and adds nothing to the gain.
        seed: of the shuffled order and of the bootstrap.

    Raises:
        ValueError: there are fewer than 2 pairs, or not as many sounds, pictures and
            groups.
    """
    n = len(heard)
    if n != len(seen) or n < 2:
        raise ValueError(f"{n} sounds and {len(seen)} pictures: give pairs, 2 or more")
    group_of: list[Hashable] = [None] * n if groups is None else list(groups)
    if len(group_of) != n:
        raise ValueError(f"{len(group_of)} groups for {n} pairs: one each is needed")
    circles: dict[Hashable, list[int]] = {}
    for i in np.random.default_rng(seed).permutation(n).tolist():
        circles.setdefault(group_of[i], []).append(i)
    own, others = np.empty(n), np.empty(n)
    for circle in circles.values():
        for i, partners in _list_partners(circle):
            own[i] = score(heard[i], seen[i])
            others[i] = np.mean([score(heard[i], seen[j]) for j in partners])

    def measure(what: str, values: np.ndarray, of: str) -> Measure:
        low, high = bootstrap_interval(values, units, seed=seed)
        over = "pairs" if units is None else f"{len(set(units))} units"
        mean, note = float(values.mean()), f"bootstrap over {over}"
        return Measure(what, mean, low, high, n, "pairs", of, seed=seed, note=note)

    difference = "points" if unit == "fraction" else unit
    return PairGain(
        measure(name, own, unit),
        measure(f"{name}, shuffled", others, unit),
        measure(f"{name}, gain", own - others, difference),
    )


def _list_partners(circle: list[int]) -> list[tuple[int, list[int]]]:
    """Each item of a shuffled circle with the others whose pictures it meets."""
    size = len(circle)
    # With each step round the circle every sound meets another item's picture.
    steps = np.linspace(1, size - 1, min(PARTNERS, size - 1)).round().astype(int)
    return [
        (i, [circle[(place + step) % size] for step in np.unique(steps)] or [i])
        for place, i in enumerate(circle)
    ]


def event_match(
    heard: Sequence[Times],
    seen: Sequence[Times],
    window: float,
    units: Units | None = None,
    *,
    name: str = "F1 of onsets and strikes",
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> PairGain:
    """Match the onsets of each sound with the strikes of its picture, one to one.

    The score of a pair, or of a shuffled one, is F1 = 2 · matched / (onsets + strikes),
    and 1 where nothing starts on either side. So clips in which nothing ever starts
    have no gain.

    Args:
        heard: of each sound, when something starts, in s and in order.
        seen: of each picture, when a hand strikes, in s and in order.
        window: how far apart the two of a match may be, in s.
        units: the unit of each item, for the interval.
        name: of the measure.
        groups: see `compare_pairs`. Without them a picture of the right class alone
            brings a gain, since each class has its own number of strokes a second.
        seed: of the shuffled order and of the bootstrap.
    """

    def score(onsets: Times, strikes: Times) -> float:
        both = len(onsets) + len(strikes)
        return 2 * len(match_events(onsets, strikes, window)) / both if both else 1.0

    return compare_pairs(
        score, heard, seen, units, name=name, unit="fraction", groups=groups, seed=seed
    )


def curve_match(
    heard: Sequence[np.ndarray],
    seen: Sequence[np.ndarray],
    units: Units | None = None,
    *,
    name: str = "r of motion and loudness",
    seed: int = 0,
) -> PairGain:
    """Correlate a curve of each sound with one of its picture: Pearson's r in a pair.

    Args:
        heard: such as the loudness of each frame.
        seen: such as the motion of each frame; as long as the sound's.
        units: the unit of each item, for the interval.
        name: of the measure.
        seed: of the shuffled order and of the bootstrap.
    """
    return compare_pairs(correlate, heard, seen, units, name=name, seed=seed)
