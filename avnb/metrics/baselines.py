"""What answers without a generator: the rows that a generator must beat.

Each gives indices of training items, or items, in the order of what was asked. They are
then shown to the same judges as what was generated.
"""

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64, Integer, Shaped
from torch import Tensor

from avnb.metrics.intervals import number_groups
from avnb.metrics.memorisation import find_nearest

Labels = Integer[Tensor, " _"]


def retrieve_by_class(
    named: Labels, training_labels: Labels, *, seed: int = 0
) -> Int64[Tensor, " _"]:
    """Draw a training item of each class that an encoder has named.

    "Name the sound, and show a training picture of that name" is real in each pixel and
    right as often as the encoder is. A generator that scores less has not been shown to
    do more than this.

    Args:
        named: the class that the encoder gives to each input.
        training_labels: the class of each training item.
        seed: of the draws.

    Returns:
        Indices of training items.

    Raises:
        ValueError: the training data hold nothing of a class that was named.
    """
    random = np.random.default_rng(seed)
    known = training_labels.cpu().numpy()
    chosen = np.empty(len(named), np.int64)
    asked = named.cpu().numpy()
    for label in np.unique(asked):
        candidates = np.flatnonzero(known == label)
        if not len(candidates):
            raise ValueError(f"class {label}: the training data hold nothing of it")
        where = asked == label
        chosen[where] = random.choice(candidates, where.sum())
    return torch.from_numpy(chosen)


def retrieve_nearest(
    inputs: Float[Tensor, "n d"], training_inputs: Float[Tensor, "m d"]
) -> Int64[Tensor, " n"]:
    """Find the training item whose input is nearest, such as whose sound is.

    Args:
        inputs: features of what is asked, such as of test sounds.
        training_inputs: the same features of the training data.

    Returns:
        Indices of training items: their pictures are the answer.
    """
    return find_nearest(inputs, training_inputs)[1].cpu()


def average_class(
    named: Labels, training: Shaped[Tensor, "m ..."], training_labels: Labels
) -> Shaped[Tensor, "n ..."]:
    """Give the mean training item of each class that was named.

    Args:
        named: the class of each item that is asked for.
        training: items, such as pictures or poses. NaN, such as a joint that a player
            does not have, does not count.
        training_labels: their classes.

    Returns:
        One item for each of `named`, as floats.

    Raises:
        ValueError: the training data hold nothing of a class that was named.
    """
    means = {}
    for label in named.unique().tolist():
        of = training[training_labels == label]
        if not len(of):
            raise ValueError(f"class {label}: the training data hold nothing of it")
        means[label] = of.float().nanmean(0)
    return torch.stack([means[label] for label in named.tolist()])


def shuffle_within(
    groups: Sequence[Hashable], *, seed: int = 0
) -> tuple[Int64[Tensor, " _"], Int64[Tensor, " _"]]:
    """Pair each item with another one of its group, such as of its recording.

    Where the question is *when* something happens, chance is another moment of the same
    recording. Another recording would differ in what is seen and heard as well.

    Args:
        groups: the group of each item.
        seed: of the shuffle.

    Returns:
        The indices of the items that have a partner, in order, and of their partners.
        Each such item is the partner of exactly one other. An item that is alone in
        its group is in neither.
    """
    random = np.random.default_rng(seed)
    number = number_groups(groups, len(groups))
    partner = np.full(len(groups), -1)
    for one in range(number.max(initial=-1) + 1):
        members = random.permutation(np.flatnonzero(number == one))
        if len(members) > 1:
            # A shuffled cycle, not a permutation, which may leave items where they are.
            partner[members] = np.roll(members, 1)
    kept = np.flatnonzero(partner >= 0)
    return torch.from_numpy(kept), torch.from_numpy(partner[kept])
