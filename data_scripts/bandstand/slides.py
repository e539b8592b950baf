"""Slides: a letter, its object and its word, which move with the song that is heard.

The object enters where its word begins, the word is written letter by letter as it is
sung, and letter and object move on the beat. Some films are stills, and some begin or
end within another slide, as in Phonics (Aldausari et al. 2022, Secs. 3.5 and 4.6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from data_scripts.bandstand import slide_pictures, songs
from data_scripts.bandstand.canvas import Real
from data_scripts.bandstand.performers import Take, mark_onsets, sample_nearest
from data_scripts.bandstand.slide_words import WORDS, Word
from data_scripts.bandstand.world import make_generator

# s in which an object enters or leaves, by its way of entering.
ENTERING = {"pop": 0.12, "grow": 0.30, "slide": 0.24}
LEAVING = 0.10
# The frame rates of the released films, and how often each is drawn.
RATES = (24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0)


@dataclass(frozen=True)
class Film:
    """One film of a plan.

    Attributes:
        source: number of the source video.
        letter: a key of `slide_words.WORDS`.
        word: number of the word among the letter's.
        seed: of all that is its own.
        world: seed of the world, which decides the source video's style.
        frames: how many.
        short: whether it holds only the moment of the word.
        still: whether nothing moves.
        leak: frames of another slide: at the start if positive, at the end if negative.
        neighbour: letter of that other slide.
    """

    source: int
    letter: str
    word: int
    seed: int
    world: int
    frames: int
    short: bool = False
    still: bool = False
    leak: int = 0
    neighbour: str = ""


@dataclass(frozen=True)
class SourceStyle:
    """What all films of one source video share."""

    look: slide_pictures.Style
    song: songs.Style
    fps: float
    returns: bool  # whether the object leaves, and enters with its word once more


def choose_source_style(source: int, world: int) -> SourceStyle:
    """Draw the style of a source video; it depends on no letter."""
    rng = make_generator("slides style", world, source)
    return SourceStyle(
        slide_pictures.choose_style(rng),
        songs.choose_style(rng),
        RATES[rng.integers(len(RATES))],
        bool(rng.random() < 0.6),
    )


class SlideTake(Take):
    """A film of the alphabet song: it can be heard, seen and measured."""

    def __init__(self, film: Film) -> None:
        self.film = film
        self.style = choose_source_style(film.source, film.world)
        self.fps = self.style.fps
        self.duration = film.frames / self.fps
        self.word = WORDS[film.letter][film.word]
        rng = make_generator("slide", film.seed)
        begin = float(rng.uniform(0.02, 0.30))
        if film.short:
            # Cut about the word: it begins in the first half of the film.
            rhythm = songs.RHYTHMS[self.style.song.rhythm]
            before = 60 / self.style.song.tempo * rhythm[3]
            begin = float(rng.uniform(0.15, 0.5)) * self.duration - before
        self.song = songs.sing(
            film.letter, self.word, self.style.song,
            begin=begin, duration=self.duration, seed=film.seed,
        )  # fmt: skip

    @property
    def entrances(self) -> tuple[float, ...]:
        """The moments at which the object enters, s: where its word begins."""
        if self.film.still:
            return ()
        first, second = (begin for begin, _ in self.song.words)
        return (first, second) if self.style.returns else (first,)

    def synthesise(self, sample_rate: int) -> np.ndarray:
        """The song."""
        return songs.synthesise_song(self.song, self.film.seed, sample_rate)

    def draw(self, t: Real, size: int) -> np.ndarray:
        """The frame that begins at `t` s; it shows the end of its exposure.

        What is heard in a frame is seen in it: an object whose word begins at t is
        there in frame floor(t * fps).
        """
        film = self.film
        letter, word, style = film.letter, self.word, self.style.look
        if self.leaks_at(t):
            letter, word, style = film.neighbour, self._other_word, self._other_look
        moment = self.find_moment(t + 1 / self.fps)
        return slide_pictures.draw_slide(
            letter, word.text, word.drawing, style, moment, size
        )

    @cached_property
    def _other_word(self) -> Word:
        """What the other slide shows, of which some frames are left at a border."""
        known = WORDS[self.film.neighbour]
        return known[self.film.seed % len(known)]

    @cached_property
    def _other_look(self) -> slide_pictures.Style:
        # Another ground: songs of one source change it from slide to slide now and
        # then, and a border with no change at all could not be found by anybody.
        return choose_source_style(-1 - self.film.source, self.film.world).look

    def leaks_at(self, t: Real) -> bool:
        """Whether the frame that begins at `t` s is of another slide."""
        k = math.floor(t * self.fps + 1e-6)
        leak = self.film.leak
        return k < leak if leak >= 0 else k >= self.film.frames + leak

    def find_moment(self, t: Real) -> slide_pictures.Moment:
        """What letter, object and word do at `t` s."""
        if self.film.still:
            return slide_pictures.Moment(1.0, len(self.word.text), 0.0, 0.0)
        shown, written = self._enter(t)
        pulse, tilt = self._beat(t)
        return slide_pictures.Moment(shown, written, pulse, tilt)

    def _enter(self, t: Real) -> tuple[float, float]:
        """How much of the object has entered, and how many letters are written."""
        (first, first_end), (second, second_end) = self.song.words
        entering = ENTERING[self.style.look.entrance]
        begin, end, gone = first, first_end, math.inf
        if self.style.returns:
            # It leaves as the letter is sung again, and comes back with its word.
            gone = self.song.letters[1]
            if t >= second:
                begin, end, gone = second, second_end, math.inf
        shown = float(np.clip((t - begin) / entering, 0, 1))
        shown *= float(np.clip(1 - (t - gone) / LEAVING, 0, 1))
        if t < begin or t >= gone:
            return shown, 0.0
        count = len(self.word.text)
        # The first letter at the word's onset, the last one a little before its end.
        share = (t - begin) / max(0.8 * (end - begin), 1e-6)
        return shown, float(min(count, 1 + share * (count - 1)))

    def _beat(self, t: Real) -> tuple[float, float]:
        """The pulse of the beat, and to which side the letter leans."""
        beats = self.song.beats
        number = int(np.searchsorted(beats, t + 1e-9, side="right")) - 1
        beat = 60 / self.style.song.tempo
        # Before the first beat that is known there was another one.
        since = (t - (beats[0] - beat if number < 0 else beats[number])) / beat
        side = 1 if songs.is_first_of_two(self.song, number) else -1
        return math.exp(-3.0 * since), side * math.cos(math.pi * since)

    def measure(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """What is known: name -> float32 (T,).

        ``letter`` (its number from A = 0), ``word`` (its number among the letter's),
        ``onset_word``, ``onset_entrance``, ``onset_beat``; ``shown``, ``written`` (a
        share of the word), ``pulse``, ``tilt``, ``beat_phase`` (0 to 1 from beat to
        beat), ``sung`` (1 while the word is sung), ``loudness``, ``still``, ``leak``.
        """
        seen = [self.find_moment(float(t) + 1 / self.fps) for t in times]
        one = np.ones(len(times), np.float32)
        sung = np.zeros(len(times), np.float32)
        for begin, end in self.song.words:
            sung[(times >= begin) & (times < end)] = 1
        phase = [
            ((t - self.song.beats[0]) / (60 / self.style.song.tempo)) % 1.0
            for t in times
        ]
        return {
            "letter": one * (ord(self.film.letter) - ord("A")),
            "word": one * self.film.word,
            "onset_word": _mark(*(begin for begin, _ in self.song.words), times=times),
            "onset_entrance": _mark(*self.entrances, times=times),
            "onset_beat": _mark(*self.song.beats, times=times),
            "shown": np.array([m.shown for m in seen], np.float32),
            "written": np.array(
                [m.written / len(self.word.text) for m in seen], np.float32
            ),
            "pulse": np.array([m.pulse for m in seen], np.float32),
            "tilt": np.array([m.tilt for m in seen], np.float32),
            "beat_phase": np.array(phase, np.float32),
            "sung": sung,
            "loudness": sample_nearest(self.song.speech.loudness, times),
            "still": one * self.film.still,
            "leak": np.array([self.leaks_at(float(t)) for t in times], np.float32),
        }


def _mark(*moments: float, times: np.ndarray) -> np.ndarray:
    """Mark those moments that lie within the times."""
    known = [m for m in moments if times[0] <= m <= times[-1]]
    return mark_onsets(known, times)
