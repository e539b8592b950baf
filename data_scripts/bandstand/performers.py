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
from data_scripts.bandstand.sound import add_room, synthesise
from data_scripts.bandstand.world import (
    CONTROL_RATE,
    Performance,
    make_generator,
    perform,
)

PERFORMERS = ("melodic", "harmonic", "percussive", "speaking")


class Take(ABC):
    """Something that is performed: heard, seen, and known.

    ``truth`` gives, at even times (T,), s, each known quantity (T,): ``pitch_hz``
    (0 = silent), ``loudness`` (0..1), names that begin with ``onset`` (1 where
    something starts before the next time), and where things are drawn.
    """

    duration: float

    @abstractmethod
    def synthesise(self, sample_rate: int) -> np.ndarray:
        """float32 (samples,)"""

    @abstractmethod
    def draw(self, t: Real, size: int) -> np.ndarray:
        """uint8 (size, size, 3)"""

    @abstractmethod
    def measure(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """Name -> float32 (T,)"""


@lru_cache(maxsize=2)
def record_take(
    performer: str, *, player: int, seconds: float | int, seed: int
) -> Take:
    """One performer's take, the same in every process.

    Raises ValueError for an unknown performer or a length below a second.
    """
    kinds: dict[str, Callable[[int, float, int], Take]] = {
        "melodic": CelloTake,
        "harmonic": QuintetTake,
        "percussive": DrumTake,
        "speaking": SpeechTake,
    }
    if performer not in kinds:
        raise ValueError(f"no performer {performer!r}: one of {PERFORMERS}")
    if not seconds >= 1:
        raise ValueError(f"seconds = {seconds}: a take is a second or longer")
    return kinds[performer](player, float(seconds), seed)


class CelloTake(Take):
    """A cellist alone."""

    def __init__(self, player: int, seconds: float, seed: int) -> None:
        self.duration = seconds
        self.played = perform("cello", player, seconds=seconds, seed=seed)

    def synthesise(self, sample_rate: int) -> np.ndarray:
        return synthesise(self.played, sample_rate)

    def draw(self, t: Real, size: int) -> np.ndarray:
        return picture.draw(self.played, t, size)

    def measure(self, times: np.ndarray) -> dict[str, np.ndarray]:
        poses = picture.measure_pose(self.played, times)
        return {
            "pitch_hz": sample_nearest(self.played.pitch_hz, times),
            "loudness": sample_nearest(self.played.loudness, times),
            "onset": mark_onsets([note.onset for note in self.played.notes], times),
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


class QuintetTake(Take):
    """Five musicians who share tempo, key and phrases, in one picture."""

    def __init__(self, player: int, seconds: float, seed: int) -> None:
        self.duration, self.player, self.seed = seconds, player, seed
        self.parts = [
            perform(instrument, 5 * player + i, seconds=seconds, seed=seed)
            for i, (instrument, _, _) in enumerate(QUINTET)
        ]

    def synthesise(self, sample_rate: int) -> np.ndarray:
        mix = np.sum([synthesise(p, sample_rate) for p in self.parts], axis=0)
        rng = make_generator("hall", self.seed)
        return add_room(0.6 * mix, int(rng.integers(1 << 31)), sample_rate, rng)

    def draw(self, t: Real, size: int) -> np.ndarray:
        def paint(canvas: Canvas) -> None:
            for performance, place in self._placed():
                picture.draw_player(canvas, performance, t, place)

        return picture.render(paint, self.player, self.seed, t, size)

    def _placed(self) -> list[tuple[Performance, np.ndarray]]:
        return [
            (performance, affine((x, y), scale=SCALE))
            for performance, (_, x, y) in zip(self.parts, QUINTET, strict=True)
        ]

    def measure(self, times: np.ndarray) -> dict[str, np.ndarray]:
        loudness = [sample_nearest(p.loudness, times) for p in self.parts]
        pitches = [sample_nearest(p.pitch_hz, times) for p in self.parts]
        moments = [note.onset for p in self.parts for note in p.notes]
        loudest = np.argmax(loudness, axis=0)
        found = {
            "pitch_hz": np.take_along_axis(np.array(pitches), loudest[None], 0)[0],
            "loudness": np.minimum(np.sqrt(np.sum(np.square(loudness), axis=0)), 1.0),
            "onset": mark_onsets(moments, times),
        }
        for i, (performance, place) in enumerate(self._placed()):
            name = performance.instrument
            found[f"{name}_pitch_hz"], found[f"{name}_loudness"] = (
                pitches[i], loudness[i],
            )  # fmt: skip
            found[f"onset_{name}"] = mark_onsets(
                [n.onset for n in performance.notes], times
            )
            rows = [picture.locate_joints(performance, float(t), place) for t in times]
            for joint in rows[0] if rows else ():
                for axis, letter in enumerate("xy"):
                    values = np.array([row[joint][axis] for row in rows], np.float32)
                    found[f"{name}_{joint}_{letter}"] = values
        return found


class DrumTake(Take):
    """A drummer at a kit."""

    def __init__(self, player: int, seconds: float, seed: int) -> None:
        self.duration = seconds
        self.played = drummer.play_drums(player, seconds=seconds, seed=seed)

    def synthesise(self, sample_rate: int) -> np.ndarray:
        return drummer.synthesise_drums(self.played, sample_rate)

    def draw(self, t: Real, size: int) -> np.ndarray:
        played = self.played
        look = picture.get_look(played.player)

        def paint(canvas: Canvas) -> None:
            drummer.draw_drummer(canvas, played, look, t)

        return picture.render(paint, played.player, played.seed, t, size)

    def measure(self, times: np.ndarray) -> dict[str, np.ndarray]:
        hits = self.played.hits
        look = picture.get_look(self.played.player)
        poses = drummer.measure_drummer(self.played, look, times)
        return {
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
        return speaker.synthesise_speech(self.spoken, sample_rate)

    def draw(self, t: Real, size: int) -> np.ndarray:
        spoken = self.spoken
        look = picture.get_look(spoken.player)

        def paint(canvas: Canvas) -> None:
            speaker.draw_speaker(canvas, spoken, look, t)

        return picture.render(paint, spoken.player, spoken.seed, t, size)

    def measure(self, times: np.ndarray) -> dict[str, np.ndarray]:
        look = picture.get_look(self.spoken.player)
        poses = speaker.measure_speaker(self.spoken, look, times)
        return {
            "pitch_hz": sample_nearest(self.spoken.pitch_hz, times),
            "loudness": sample_nearest(self.spoken.loudness, times),
            "onset": mark_onsets(self.spoken.onsets, times),
            **dict(zip(speaker.SPEAKER_TRUTH, poses.T, strict=True)),
        }


def sample_nearest(curve: np.ndarray, times: np.ndarray) -> np.ndarray:
    """A curve of CONTROL_RATE at times, s: float32 (T,)."""
    rows = np.round(times * CONTROL_RATE).astype(int)
    return curve[np.minimum(rows, len(curve) - 1)].astype(np.float32)


def mark_onsets(moments: Sequence[float], times: np.ndarray) -> np.ndarray:
    """1 where a moment lies between a time and the next one, else 0: float32 (T,)."""
    found = np.zeros(len(times), np.float32)
    rows = np.searchsorted(times, np.asarray(moments) + 1e-9, side="right") - 1
    found[rows[rows >= 0]] = 1.0
    return found
