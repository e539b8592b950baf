"""Takes of the Hand Motion Music Dataset's instruments: what hands do is heard.

Source:
    Kurmi et al. 2021, Sec. 4.1 and Table 2.
"""

from __future__ import annotations

import numpy as np

from data_scripts.bandstand import picture
from data_scripts.bandstand.canvas import Real
from data_scripts.bandstand.hand_pictures import (
    choose_striker_view,
    draw_striker,
    measure_striker,
)
from data_scripts.bandstand.hand_sounds import synthesise_strokes
from data_scripts.bandstand.hands import STRIKERS, strike
from data_scripts.bandstand.performers import Take, mark_onsets, sample_nearest
from data_scripts.bandstand.picture import Missing
from data_scripts.bandstand.scene import choose_view
from data_scripts.bandstand.sound import synthesise
from data_scripts.bandstand.world import perform

BOWED = ("cello", "erhu", "violin")


class StrikerTake(Take):
    """Somebody whose hands strike, seen by a camera of `fps` frames a second."""

    def __init__(
        self, instrument: str, player: int, seconds: float, seed: int, fps: float
    ) -> None:
        self.duration, self.exposure = seconds, 1 / fps
        self.played = strike(instrument, player, seconds=seconds, seed=seed)
        self.view = choose_striker_view(self.played)

    def synthesise(self, sample_rate: int) -> np.ndarray:
        """The strokes in their room."""
        return synthesise_strokes(self.played, sample_rate)

    def draw(self, t: Real, size: int, without: Missing = "") -> np.ndarray:
        """The frame that begins at `t` s."""
        return draw_striker(
            self.played,
            t,
            size,
            view=self.view,
            exposure=self.exposure,
            without=without,
        )

    def measure(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """Pitch, loudness, onsets of both hands, and `hand_pictures.HAND_TRUTH`."""
        shown = measure_striker(
            self.played, times, view=self.view, exposure=self.exposure
        )
        moments = {
            side: [s.time for s in self.played.strokes if s.hand == side]
            for side in ("right", "left")
        }
        return {
            "pitch_hz": sample_nearest(self.played.pitch_hz, times),
            "loudness": sample_nearest(self.played.loudness, times),
            "onset": mark_onsets([m for one in moments.values() for m in one], times),
            "onset_right": mark_onsets(moments["right"], times),
            "onset_left": mark_onsets(moments["left"], times),
            **shown,
        }


class BowedTake(Take):
    """Somebody who bows: the right hand begins a stroke, the left one stops a note."""

    def __init__(self, instrument: str, player: int, seconds: float, seed: int) -> None:
        self.duration = seconds
        self.played = perform(instrument, player, seconds=seconds, seed=seed)
        self.view = choose_view(self.played)

    def synthesise(self, sample_rate: int) -> np.ndarray:
        """The strings in their room."""
        return synthesise(self.played, sample_rate)

    def draw(self, t: Real, size: int, without: Missing = "") -> np.ndarray:
        """The picture at `t` s."""
        return picture.draw(self.played, t, size, self.view, without)

    def measure(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """Pitch, loudness, onsets of both hands, and `picture.POSE_NAMES`."""
        notes = self.played.notes
        poses = picture.measure_pose(self.played, times, self.view)
        return {
            "pitch_hz": sample_nearest(self.played.pitch_hz, times),
            "loudness": sample_nearest(self.played.loudness, times),
            "onset": mark_onsets([note.onset for note in notes], times),
            "onset_right": mark_onsets(
                [note.onset for note in notes if not note.slurred], times
            ),
            "onset_left": mark_onsets([note.onset for note in notes], times),
            **dict(zip(picture.POSE_NAMES, poses.T, strict=True)),
        }


def record_hands(
    instrument: str, player: int, *, seconds: float, seed: int, fps: float
) -> StrikerTake | BowedTake:
    """Record one player, the same in every process.

    Args:
        instrument: one of `hands.STRIKERS` or of `BOWED`.
        player: who plays: any number.
        seconds: length, above 0.
        seed: of what is played, of the camera and of the room.
        fps: frames a second of the camera.
    """
    if instrument in STRIKERS:
        return StrikerTake(instrument, player, seconds, seed, fps)
    return BowedTake(instrument, player, seconds, seed)
