"""The bandstand: an embedded world of musicians whose truth is known.

    performance = perform("cello", player=3, seconds=10, seed=0)
    sound = synthesise(performance)
    frame = draw(performance, t=2.5)

A seed decides everything: what is played, how the player looks, and the room. Sound and
picture are functions of the same curves, so what is seen moves because of what is
heard. `data_scripts.bandstand.layouts` writes this world to disk as the real data sets
are laid out.
"""

from data_scripts.bandstand.performers import PERFORMERS, Take, record_take
from data_scripts.bandstand.picture import (
    POSE_NAMES,
    draw,
    draw_frames,
    draw_row,
    measure_pose,
)
from data_scripts.bandstand.sound import synthesise
from data_scripts.bandstand.world import (
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
    "PERFORMERS",
    "POSE_NAMES",
    "Note",
    "Performance",
    "Take",
    "draw",
    "draw_frames",
    "draw_row",
    "measure_pose",
    "perform",
    "record_take",
    "synthesise",
]
