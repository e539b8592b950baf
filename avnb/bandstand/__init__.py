"""The bandstand: an embedded world of musicians whose truth is known."""

from avnb.bandstand.sound import synthesise
from avnb.bandstand.world import (
    CONTROL_RATE,
    INSTRUMENTS,
    ORCHESTRA,
    Note,
    Performance,
    perform,
)

__all__ = [
    "CONTROL_RATE",
    "INSTRUMENTS",
    "ORCHESTRA",
    "Note",
    "Performance",
    "perform",
    "synthesise",
]
