"""Long takes of one kind of performer: a melody, an ensemble, drums, or speech.

The four kinds of source that Redondo 2024 (Sec. 5) learns from, one video each:
melodic (a cello), harmonic (a quintet), percussive (a drummer), speaking (a talking
head).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from data_scripts.bandstand import drummer, picture, speaker
from data_scripts.bandstand.canvas import Canvas, Real, affine
from data_scripts.bandstand.sound import in_a_room, synthesise
from data_scripts.bandstand.world import CONTROL_RATE, Performance, generator, perform

PERFORMERS = ("melodic", "harmonic", "percussive", "speaking")


class Take(ABC):
    """Something that is performed: heard, seen, and known.

    ``truth`` gives, at even times (T,), s, each known quantity (T,): ``pitch_hz``
    (0 = silent), ``loudness`` (0..1), names that begin with ``onset`` (1 where
    something starts before the next time), and where things are drawn.
    """

    duration: float

    @abstractmethod
    def sound(self, sample_rate: int) -> np.ndarray:
        """float32 (samples,)"""

    @abstractmethod
    def draw(self, t: Real, size: int) -> np.ndarray:
        """uint8 (size, size, 3)"""

    @abstractmethod
    def truth(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """name -> float32 (T,)"""


@lru_cache(maxsize=2)
def take(performer: str, *, player: int, seconds: float | int, seed: int) -> Take:
    """One performer's take, the same in every process.

    Raises ValueError for an unknown performer or a length below a second.
    """
    kinds: dict[str, Callable[[int, float, int], Take]] = {
        "melodic": Melodic,
        "harmonic": Harmonic,
        "percussive": Percussive,
        "speaking": Speaking,
    }
    if performer not in kinds:
        raise ValueError(f"no performer {performer!r}: one of {PERFORMERS}")
    if not seconds >= 1:
        raise ValueError(f"seconds = {seconds}: a take is a second or longer")
    return kinds[performer](player, float(seconds), seed)


class Melodic(Take):
    """A cellist alone."""

    def __init__(self, player: int, seconds: float, seed: int) -> None:
        self.duration = seconds
        self.played = perform("cello", player, seconds=seconds, seed=seed)

    def sound(self, sample_rate: int) -> np.ndarray:
        return synthesise(self.played, sample_rate)

    def draw(self, t: Real, size: int) -> np.ndarray:
        return picture.draw(self.played, t, size)

    def truth(self, times: np.ndarray) -> dict[str, np.ndarray]:
        poses = picture.pose(self.played, times)
        return {
            "pitch_hz": nearest(self.played.pitch_hz, times),
            "loudness": nearest(self.played.loudness, times),
            "onset": marks([note.onset for note in self.played.notes], times),
            **dict(zip(picture.POSE_NAMES, poses.T, strict=True)),
        }


# Where the neck of each of the quintet is, in shares of the picture, back to front;
# all at one scale, so that the back row stands behind the front row.
QUINTET = (
    ("flute", 0.27, 0.27),
    ("clarinet", 0.73, 0.27),
    ("violin", 0.17, 0.47),
    ("horn", 0.83, 0.47),
    ("cello", 0.50, 0.45),
)
SCALE = 1 / 205  # of a centimetre


class Harmonic(Take):
    """Five musicians who share tempo, key and phrases, in one picture."""

    def __init__(self, player: int, seconds: float, seed: int) -> None:
        self.duration, self.player, self.seed = seconds, player, seed
        self.parts = [
            perform(instrument, 5 * player + i, seconds=seconds, seed=seed)
            for i, (instrument, _, _) in enumerate(QUINTET)
        ]

    def sound(self, sample_rate: int) -> np.ndarray:
        mix = np.sum([synthesise(p, sample_rate) for p in self.parts], axis=0)
        rng = generator("hall", self.seed)
        return in_a_room(0.6 * mix, int(rng.integers(1 << 31)), sample_rate, rng)

    def draw(self, t: Real, size: int) -> np.ndarray:
        def paint(canvas: Canvas) -> None:
            for performance, place in self._placed():
                picture.paint_at(canvas, performance, t, place)

        return picture.shoot(paint, self.player, self.seed, t, size)

    def _placed(self) -> list[tuple[Performance, np.ndarray]]:
        return [
            (performance, affine((x, y), scale=SCALE))
            for performance, (_, x, y) in zip(self.parts, QUINTET, strict=True)
        ]

    def truth(self, times: np.ndarray) -> dict[str, np.ndarray]:
        loudness = [nearest(p.loudness, times) for p in self.parts]
        pitches = [nearest(p.pitch_hz, times) for p in self.parts]
        moments = [note.onset for p in self.parts for note in p.notes]
        loudest = np.argmax(loudness, axis=0)
        found = {
            "pitch_hz": np.take_along_axis(np.array(pitches), loudest[None], 0)[0],
            "loudness": np.minimum(np.sqrt(np.sum(np.square(loudness), axis=0)), 1.0),
            "onset": marks(moments, times),
        }
        for i, (performance, place) in enumerate(self._placed()):
            name = performance.instrument
            found[f"{name}_pitch_hz"], found[f"{name}_loudness"] = (
                pitches[i], loudness[i],
            )  # fmt: skip
            found[f"onset_{name}"] = marks([n.onset for n in performance.notes], times)
            rows = [picture.joints(performance, float(t), place) for t in times]
            for joint in rows[0] if rows else ():
                for axis, letter in enumerate("xy"):
                    values = np.array([row[joint][axis] for row in rows], np.float32)
                    found[f"{name}_{joint}_{letter}"] = values
        return found


class Percussive(Take):
    """A drummer at a kit."""

    def __init__(self, player: int, seconds: float, seed: int) -> None:
        self.duration = seconds
        self.played = drummer.play(player, seconds=seconds, seed=seed)

    def sound(self, sample_rate: int) -> np.ndarray:
        return drummer.synthesise(self.played, sample_rate)

    def draw(self, t: Real, size: int) -> np.ndarray:
        played = self.played
        look = picture.look_of(played.player)

        def paint(canvas: Canvas) -> None:
            drummer.paint(canvas, played, look, t)

        return picture.shoot(paint, played.player, played.seed, t, size)

    def truth(self, times: np.ndarray) -> dict[str, np.ndarray]:
        hits = self.played.hits
        look = picture.look_of(self.played.player)
        poses = drummer.truth(self.played, look, times)
        return {
            "pitch_hz": np.zeros(len(times), np.float32),
            "loudness": nearest(self.played.loudness, times),
            "onset": marks([hit.time for hit in hits], times),
            **{
                f"onset_{name}": marks([h.time for h in hits if h.piece == name], times)
                for name in drummer.PIECES
            },
            **dict(zip(drummer.TRUTH_NAMES, poses.T, strict=True)),
        }


class Speaking(Take):
    """A talking head."""

    def __init__(self, player: int, seconds: float, seed: int) -> None:
        self.duration = seconds
        self.spoken = speaker.speak(player, seconds=seconds, seed=seed)

    def sound(self, sample_rate: int) -> np.ndarray:
        return speaker.synthesise(self.spoken, sample_rate)

    def draw(self, t: Real, size: int) -> np.ndarray:
        spoken = self.spoken
        look = picture.look_of(spoken.player)

        def paint(canvas: Canvas) -> None:
            speaker.paint(canvas, spoken, look, t)

        return picture.shoot(paint, spoken.player, spoken.seed, t, size)

    def truth(self, times: np.ndarray) -> dict[str, np.ndarray]:
        look = picture.look_of(self.spoken.player)
        poses = speaker.truth(self.spoken, look, times)
        return {
            "pitch_hz": nearest(self.spoken.pitch_hz, times),
            "loudness": nearest(self.spoken.loudness, times),
            "onset": marks(self.spoken.onsets, times),
            **dict(zip(speaker.TRUTH_NAMES, poses.T, strict=True)),
        }


def nearest(curve: np.ndarray, times: np.ndarray) -> np.ndarray:
    """A curve of CONTROL_RATE at times, s: float32 (T,)."""
    rows = np.round(times * CONTROL_RATE).astype(int)
    return curve[np.minimum(rows, len(curve) - 1)].astype(np.float32)


def marks(moments: Sequence[float], times: np.ndarray) -> np.ndarray:
    """1 where a moment lies between a time and the next one, else 0: float32 (T,)."""
    found = np.zeros(len(times), np.float32)
    rows = np.searchsorted(times, np.asarray(moments) + 1e-9, side="right") - 1
    found[rows[rows >= 0]] = 1.0
    return found
