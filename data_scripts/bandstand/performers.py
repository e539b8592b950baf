"""Long takes of one kind of performer: a melody, an ensemble, drums, or speech.

These are the four kinds of source that Redondo 2024 (Sec. 5) learns from, one video
each: melodic (a cello), harmonic (a quintet), percussive (a drummer) and speaking (a
talking head).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from avnb.errors import ClipsError
from data_scripts.bandstand import drummer, picture, speaker
from data_scripts.bandstand.canvas import Canvas, Real, affine
from data_scripts.bandstand.scene import get_look
from data_scripts.bandstand.sound import add_room, synthesise
from data_scripts.bandstand.world import (
    CONTROL_RATE,
    Performance,
    make_generator,
    perform,
)

PERFORMERS = ("melodic", "harmonic", "percussive", "speaking")


class Take(ABC):
    """Something that is performed: it can be heard, seen and measured.

    Attributes:
        duration: its length, s.
    """

    duration: float

    @abstractmethod
    def synthesise(self, sample_rate: int) -> np.ndarray:
        """The sound of the whole take at `sample_rate` Hz: float32 (samples,)."""

    @abstractmethod
    def draw(self, t: Real, size: int) -> np.ndarray:
        """The picture at `t` s: uint8 (size, size, 3)."""

    @abstractmethod
    def measure(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """The known quantities at even times.

        Args:
            times: (T,), s.

        Returns:
            Name -> float32 (T,): ``pitch_hz`` (0 = silent), ``loudness`` (0..1), names
            that begin with ``onset`` (1 where something starts before the next time),
            and where things are drawn, in shares of the picture.
        """


# A process draws the frames of one take after the other, and each needs the whole take.
# Two and no more, as a take holds long curves.
@lru_cache(maxsize=2)
def record_take(
    performer: str, *, player: int, seconds: float | int, seed: int
) -> Take:
    """Record one performer's take, the same in every process.

    Args:
        performer: one of `PERFORMERS`.
        player: which person: any number.
        seconds: length, 1 or more.
        seed: of what is played.

    Raises:
        ClipsError: for an unknown performer or a length below a second.
    """
    kinds: dict[str, Callable[[int, float, int], Take]] = {
        "melodic": CelloTake,
        "harmonic": QuintetTake,
        "percussive": DrumTake,
        "speaking": SpeechTake,
    }
    if performer not in kinds:
        raise ClipsError(
            f"performer = {performer!r}",
            "there is no such performer",
            f"Give one of {', '.join(PERFORMERS)}",
        )
    if not 1 <= seconds < math.inf:  # nor nan
        raise ClipsError(
            f"seconds = {seconds}", "no take is so long", "Give 1 second or more"
        )
    return kinds[performer](player, float(seconds), seed)


class CelloTake(Take):
    """A cellist alone."""

    def __init__(self, player: int, seconds: float, seed: int) -> None:
        self.duration = seconds
        self.played = perform("cello", player, seconds=seconds, seed=seed)

    def synthesise(self, sample_rate: int) -> np.ndarray:
        """The cello in its room."""
        return synthesise(self.played, sample_rate)

    def draw(self, t: Real, size: int) -> np.ndarray:
        """The cellist at `t` s."""
        return picture.draw(self.played, t, size)

    def measure(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """Pitch, loudness, onsets, and the pose as `picture.POSE_NAMES`."""
        poses = picture.measure_pose(self.played, times)
        return {
            # Read from the same curves as sound and picture, not measured on either.
            "pitch_hz": sample_nearest(self.played.pitch_hz, times),
            "loudness": sample_nearest(self.played.loudness, times),
            "onset": mark_onsets([note.onset for note in self.played.notes], times),
            **dict(zip(picture.POSE_NAMES, poses.T, strict=True)),
        }


# Where the neck of each of the quintet is, in shares of the picture, back to front. All
# have one scale: the back row stands behind the front row, and is not smaller.
QUINTET = (
    ("flute", 0.27, 0.27),
    ("clarinet", 0.73, 0.27),
    ("violin", 0.17, 0.47),
    ("horn", 0.83, 0.47),
    ("cello", 0.50, 0.45),
)
SCALE = 1 / 205  # shares of the picture a centimetre


class QuintetTake(Take):
    """Five musicians in one picture.

    They play one melody in parallel, each in the own compass. Of five melodies in one
    sound nobody could tell which hand plays which note.
    """

    def __init__(self, player: int, seconds: float, seed: int) -> None:
        self.duration, self.player, self.seed = seconds, player, seed
        # five people of its own for each player number
        self.parts = [
            perform(
                instrument, 5 * player + i, seconds=seconds, seed=seed, together=True
            )
            for i, (instrument, _, _) in enumerate(QUINTET)
        ]

    def synthesise(self, sample_rate: int) -> np.ndarray:
        """All five in one hall."""
        # (5, samples) -> (samples,). Each has its own room's sound already; the hall
        # joins them.
        mix = np.sum([synthesise(part, sample_rate) for part in self.parts], axis=0)
        rng = make_generator("hall", self.seed)
        return add_room(0.6 * mix, int(rng.integers(1 << 31)), sample_rate, rng)

    def draw(self, t: Real, size: int) -> np.ndarray:
        """All five at `t` s, back row first."""

        def paint(canvas: Canvas) -> None:
            for performance, place in self._place_players():
                picture.draw_player(canvas, performance, t, place)

        return picture.render(paint, self.player, self.seed, t, size)

    def _place_players(self) -> list[tuple[Performance, np.ndarray]]:
        """Each player, and the matrix (2, 3) from the stage to the picture."""
        return [
            (performance, affine((x, y), scale=SCALE))
            for performance, (_, x, y) in zip(self.parts, QUINTET, strict=True)
        ]

    def measure(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """Of all together, and of each: INSTRUMENT_pitch_hz, onset_INSTRUMENT, ...

        The pitch of all is that of the loudest player.
        """
        loudness = [sample_nearest(part.loudness, times) for part in self.parts]
        pitches = [sample_nearest(part.pitch_hz, times) for part in self.parts]
        moments = [note.onset for part in self.parts for note in part.notes]
        # (5, T) -> (T,), which of the five; then their pitch, picked time by time.
        loudest = np.argmax(loudness, axis=0)
        found = {
            "pitch_hz": np.take_along_axis(np.array(pitches), loudest[None], 0)[0],
            # Sounds that are not in step add their energies, so the squares are added.
            "loudness": np.minimum(np.sqrt(np.sum(np.square(loudness), axis=0)), 1.0),
            "onset": mark_onsets(moments, times),
        }
        for i, (performance, place) in enumerate(self._place_players()):
            name = performance.instrument
            found[f"{name}_pitch_hz"] = pitches[i]
            found[f"{name}_loudness"] = loudness[i]
            onsets = [note.onset for note in performance.notes]
            found[f"onset_{name}"] = mark_onsets(onsets, times)
            found |= _measure_joints(performance, place, times)
        return found


def _measure_joints(
    performance: Performance, place: np.ndarray, times: np.ndarray
) -> dict[str, np.ndarray]:
    """INSTRUMENT_JOINT_x and ..._y of one player of several, float32 (T,) each."""
    # A dict for each time, turned into a column for each joint and axis below.
    rows = [picture.locate_joints(performance, float(t), place) for t in times]
    return {
        f"{performance.instrument}_{joint}_{letter}": np.array(
            [row[joint][axis] for row in rows], np.float32
        )
        for joint in (rows[0] if rows else ())
        for axis, letter in enumerate("xy")
    }


class DrumTake(Take):
    """A drummer at a kit."""

    def __init__(self, player: int, seconds: float, seed: int) -> None:
        self.duration = seconds
        self.played = drummer.play_drums(player, seconds=seconds, seed=seed)

    def synthesise(self, sample_rate: int) -> np.ndarray:
        """The drums in their room."""
        return drummer.synthesise_drums(self.played, sample_rate)

    def draw(self, t: Real, size: int) -> np.ndarray:
        """The drummer and the kit at `t` s."""
        played = self.played
        look = get_look(played.player)

        def paint(canvas: Canvas) -> None:
            drummer.draw_drummer(canvas, played, look, t)

        return picture.render(paint, played.player, played.seed, t, size)

    def measure(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """Loudness, onsets of all and of each drum, and `drummer.DRUMMER_TRUTH`."""
        hits = self.played.hits
        look = get_look(self.played.player)
        poses = drummer.measure_drummer(self.played, look, times)
        return {
            # Drums have no pitch; 0 stands for none, as in silence.
            "pitch_hz": np.zeros(len(times), np.float32),
            "loudness": sample_nearest(self.played.loudness, times),
            "onset": mark_onsets([hit.time for hit in hits], times),
            **{
                f"onset_{name}": mark_onsets(
                    [h.time for h in hits if h.piece == name], times
                )
                for name in drummer.PIECES
            },
            **dict(zip(drummer.DRUMMER_TRUTH, poses.T, strict=True)),
        }


class SpeechTake(Take):
    """A talking head."""

    def __init__(self, player: int, seconds: float, seed: int) -> None:
        self.duration = seconds
        self.spoken = speaker.speak(player, seconds=seconds, seed=seed)

    def synthesise(self, sample_rate: int) -> np.ndarray:
        """The voice in its room."""
        return speaker.synthesise_speech(self.spoken, sample_rate)

    def draw(self, t: Real, size: int) -> np.ndarray:
        """Head and shoulders at `t` s."""
        spoken = self.spoken
        look = get_look(spoken.player)

        def paint(canvas: Canvas) -> None:
            speaker.draw_speaker(canvas, spoken, look, t)

        return picture.render(paint, spoken.player, spoken.seed, t, size)

    def measure(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """Pitch, loudness, onsets of syllables, and `speaker.SPEAKER_TRUTH`."""
        look = get_look(self.spoken.player)
        poses = speaker.measure_speaker(self.spoken, look, times)
        return {
            "pitch_hz": sample_nearest(self.spoken.pitch_hz, times),
            "loudness": sample_nearest(self.spoken.loudness, times),
            "onset": mark_onsets(self.spoken.onsets, times),
            **dict(zip(speaker.SPEAKER_TRUTH, poses.T, strict=True)),
        }


def sample_nearest(curve: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Read a curve of CONTROL_RATE at the times, s, without interpolation.

    Interpolating would invent pitches between a note and a rest.

    Returns:
        float32 (T,)
    """
    # The last time of a take may round to one row beyond the curve.
    rows = np.round(times * CONTROL_RATE).astype(int)
    return np.asarray(curve[np.minimum(rows, len(curve) - 1)], np.float32)


def mark_onsets(moments: Sequence[float], times: np.ndarray) -> np.ndarray:
    """Mark the times after which something starts, before the next time.

    Args:
        moments: at which something starts, s.
        times: even, (T,), s.

    Returns:
        float32 (T,), 0 or 1. What starts before the first time is not marked.
    """
    found = np.zeros(len(times), np.float32)
    # 1e-9: 0.15 s belongs to the time 0.15, also where floating point makes it less
    # The last time at or before each moment; -1 for a moment before the first.
    rows = np.searchsorted(times, np.asarray(moments) + 1e-9, side="right") - 1
    found[rows[rows >= 0]] = 1.0
    return found
