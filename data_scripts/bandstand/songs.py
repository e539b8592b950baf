"""Songs of the alphabet: "A is for ant, A, A, ant", sung over a tune with a beat.

A song is a list of sung syllables on the beats of a bar. What is heard follows from it
(the voice by formants, and an accompaniment that strikes on each beat), and so does
what is seen: an object enters where its word begins.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass

import numpy as np

from data_scripts.bandstand.slide_words import LETTERS, Word
from data_scripts.bandstand.sound import FULL_RMS, PEAK, make_band_noise
from data_scripts.bandstand.speaker import (
    CONSONANTS,
    VOWELS,
    Phone,
    Speech,
    SpokenPhone,
    synthesise_speech,
    trace_speech,
)
from data_scripts.bandstand.world import CONTROL_RATE, make_generator, smooth_curve

# The sounds of the songs: those of the talking head, and some that only songs need.
PHONES: dict[str, Phone] = {
    **VOWELS,
    **CONSONANTS,
    "h": Phone((550, 1500, 2500), 0.0, 0.3, 0.0, 0.07, 0.10, "f"),
    "ch": Phone((300, 1800, 2500), 0.0, 0.14, -0.4, 0.11, 0.42, "sh", True),
}
IS, FOR = ("i", "s"), ("f", "o", "r")

# Rhythms: the beats on which "A", "is", "for", the word, "A", "A" and the word again
# begin. They differ in the moment of the word, which a picture alone cannot tell.
RHYTHMS = (
    (0.0, 1.0, 1.5, 2.0, 4.0, 5.0, 6.0),
    (0.0, 0.5, 0.75, 1.0, 3.0, 3.5, 4.0),
    (0.0, 0.5, 1.0, 1.5, 3.0, 4.0, 5.0),
    (0.0, 1.0, 1.25, 1.5, 4.0, 4.5, 5.0),
)
LONGEST = 1.4  # beats that a syllable is held at most
TEMPI = (105.0, 165.0)  # beats a minute
SCALE = (0, 2, 4, 5, 7, 9, 12)  # semitones above the singer's own note


@dataclass(frozen=True)
class Style:
    """How the songs of one source video sound, whatever they are about.

    Attributes:
        singer: whose voice: any number.
        tempo: beats a minute.
        rhythm: an index of `RHYTHMS`.
        tune: steps of `SCALE`, one for each of the seven places of a rhythm.
        note: MIDI number of the singer's lowest note.
        level: loudness of all, 0 to 1.
        band: loudness of the accompaniment against the voice.
        chord: semitones of its notes above `note`, which it plays in turn.
    """

    singer: int
    tempo: float
    rhythm: int
    tune: tuple[int, ...]
    note: float
    level: float
    band: float
    chord: tuple[int, ...]


def choose_style(rng: np.random.Generator) -> Style:
    """Draw a style at random; it does not know what will be sung."""
    return Style(
        singer=int(rng.integers(1 << 30)),
        tempo=float(rng.uniform(*TEMPI)),
        rhythm=int(rng.integers(len(RHYTHMS))),
        tune=tuple(int(step) for step in rng.integers(0, len(SCALE), 7)),
        note=float(rng.uniform(50, 62)),
        level=float(rng.uniform(0.4, 0.9)),
        band=float(rng.uniform(0.12, 0.3)),
        chord=((0, 7, 4, 7), (0, 4, 7, 4), (0, 12, 7, 12))[int(rng.integers(3))],
    )


@dataclass(frozen=True, eq=False)
class Song:
    """A sung phrase.

    Attributes:
        style: of its source video.
        duration: s.
        beats: moments of the beats, s; the first of the phrase is number `first`.
        first: number of the beat on which the phrase begins.
        words: (begin, end) of the word where it is sung, s: twice.
        letters: moments at which the letter's name begins, s: three.
        speech: the voice.
    """

    style: Style
    duration: float
    beats: np.ndarray
    first: int
    words: tuple[tuple[float, float], ...]
    letters: tuple[float, ...]
    speech: Speech


def sing(
    letter: str, word: Word, style: Style, *, begin: float, duration: float, seed: int
) -> Song:
    """Sing a letter's phrase.

    Args:
        letter: a key of `slide_words.LETTERS`.
        word: of that letter.
        style: tempo, rhythm, tune and voice.
        begin: s at which the phrase begins; below 0 where its start is cut off.
        duration: s.
        seed: of breath and room.
    """
    beat = 60 / style.tempo
    name = LETTERS[letter]
    sung = (name, IS, FOR, word.phones, name, name, word.phones)
    starts = [begin + beat * place for place in RHYTHMS[style.rhythm]]
    # Each goes on to the next, but no longer than a breath.
    ends = [min(b, a + LONGEST * beat) for a, b in itertools.pairwise(starts)]
    ends.append(starts[-1] + LONGEST * beat)
    # `trace_speech` knows no time before 0, so what is cut off is left out.
    phones: list[SpokenPhone] = []
    pitches: list[tuple[float, float]] = []
    for place, (syllables, start, end) in enumerate(
        zip(sung, starts, ends, strict=True)
    ):
        stress = 1.0 if place in (3, 6) else 0.8
        phones += _time_phones(syllables, start, 0.94 * (end - start), stress)
        midi = style.note + SCALE[style.tune[place]]
        pitches.append((start, 440.0 * 2 ** ((midi - 69) / 12)))
    time = np.arange(math.ceil(duration * CONTROL_RATE)) / CONTROL_RATE
    heard = [p for p in phones if p.onset >= 0]
    onsets = [p.onset for p in heard if p.vowel]
    phrases = [(max(starts[0], 0.0), ends[-1])]
    speech = trace_speech(style.singer, seed, duration, heard, onsets, phrases, time)
    tune = np.full(len(time), pitches[0][1])
    for start, hertz in pitches:
        tune[time >= start] = hertz
    # A singer glides from note to note. The ends go on, or the tune would fall there.
    padded = np.pad(tune, 20, mode="edge")
    glided = smooth_curve(padded, 0.06)[20:-20]
    speech = dataclasses.replace(
        speech, pitch_hz=np.where(speech.voiced > 0, glided, 0.0)
    )
    earlier = max(0, math.ceil(begin / beat))
    count = earlier + math.ceil((duration - begin) / beat) + 1
    beats = begin + beat * (np.arange(count) - earlier)
    return Song(
        style, duration, beats, earlier,
        words=((starts[3], ends[3]), (starts[6], ends[6])),
        letters=(starts[0], starts[4], starts[5]),
        speech=speech,
    )  # fmt: skip


def _time_phones(
    names: tuple[str, ...], start: float, seconds: float, stress: float
) -> list[SpokenPhone]:
    """Fill a span with phones: consonants have their lengths, vowels share the rest."""
    phones = [PHONES[name] for name in names]
    vowel = [name in VOWELS for name in names]
    fixed = sum(p.seconds for p, v in zip(phones, vowel, strict=True) if not v)
    # In a short span, consonants leave at least half of it to the vowels.
    shrink = min(1.0, 0.5 * seconds / max(fixed, 1e-9))
    each = (seconds - shrink * fixed) / max(sum(vowel), 1)
    timed = []
    for phone, is_vowel in zip(phones, vowel, strict=True):
        length = each if is_vowel else shrink * phone.seconds
        timed.append(SpokenPhone(phone, start, length, stress, is_vowel))
        start += length
    return timed


def synthesise_song(song: Song, seed: int, sample_rate: int) -> np.ndarray:
    """Synthesise voice and accompaniment: float32 (samples,), |sample| <= PEAK."""
    style = song.style
    voice = synthesise_speech(song.speech, sample_rate)
    band = _play_band(song, seed, sample_rate)
    mixed = style.level * (voice + style.band * FULL_RMS / 0.1 * band[: len(voice)])
    return np.asarray(np.clip(mixed, -PEAK, PEAK), np.float32)


def _play_band(song: Song, seed: int, sample_rate: int) -> np.ndarray:
    """A plucked note on each beat, with a drum below it and a shaker above it.

    The drum sounds on the first beat of two, the shaker on the second, so that what
    moves to the left and to the right can be told by ear.
    """
    samples = round(song.duration * sample_rate)
    rng = make_generator("band", seed)
    sound = np.zeros(samples + sample_rate)
    now = np.arange(int(0.45 * sample_rate)) / sample_rate
    hiss = make_band_noise(len(now), (3000.0, 7000.0), sample_rate, rng)
    for number, beat in enumerate(song.beats):
        if not 0 <= beat < song.duration:
            continue
        chord = song.style.chord
        midi = song.style.note + 12 + chord[(number - song.first) % len(chord)]
        hertz = 440.0 * 2 ** ((midi - 69) / 12)
        struck = np.zeros(len(now))
        for k in range(1, 5):
            struck += np.sin(2 * np.pi * k * hertz * now) / k * np.exp(-now * k / 0.12)
        if is_first_of_two(song, number):
            # The skin's pitch falls from 130 Hz to 60 Hz.
            fall = 60 * now + 70 * 0.04 * (1 - np.exp(-now / 0.04))
            struck += 2.2 * np.sin(2 * np.pi * fall) * np.exp(-now / 0.09)
        else:
            struck += 0.8 * hiss * np.exp(-now / 0.03)
        begin = round(beat * sample_rate)
        sound[begin : begin + len(now)] += 0.1 * struck
    return sound[:samples]


def is_first_of_two(song: Song, number: int) -> bool:
    """Whether beat `number` is the first of two, on which the drum sounds."""
    return (number - song.first) % 2 == 0
