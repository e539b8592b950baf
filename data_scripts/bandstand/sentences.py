"""Sentences that many persons say: the same phones, each in their own voice and pace.

`speaker.speak` makes up what a person says; here the sentence is given.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from data_scripts.bandstand import speaker
from data_scripts.bandstand.canvas import Canvas, Real
from data_scripts.bandstand.performers import Take, mark_onsets, sample_nearest
from data_scripts.bandstand.picture import render
from data_scripts.bandstand.scene import get_look
from data_scripts.bandstand.songs import PHONES
from data_scripts.bandstand.speaker import (
    CONSONANTS,
    VOWELS,
    Speech,
    SpokenPhone,
    trace_speech,
)
from data_scripts.bandstand.world import CONTROL_RATE, make_generator

Sentence = tuple[tuple[str, ...], ...]  # words, each of phones: keys of `PHONES`

# The two sentences that everybody says in TIMIT, nearly as they sound.
COMMON: dict[str, str] = {
    "sa1": "sh i / h ae d / i o r / d a r k / s u t / i n / g r i s i / w o sh / "
    "w o t er / o l / i i r",
    "sa2": "d o n t / ae s k / m i / t u / k ae r i / ae n / o i l i / r ae g / "
    "l a i k / d ae t",
}
NAMES = (*PHONES,)  # the truth's numbers of phones
SMALL = 0.25  # share of the words that are unstressed


def write_sentence(name: str, seed: int) -> Sentence:
    """Write a sentence: a common one, or one made up from its name.

    Args:
        name: a key of `COMMON`, or any other.
        seed: of the world.
    """
    if name in COMMON:
        return tuple(tuple(word.split()) for word in COMMON[name].split("/"))
    rng = make_generator("sentence", seed, name)
    vowels, consonants = [*VOWELS], [*CONSONANTS]
    words = []
    for _ in range(int(rng.integers(6, 10))):
        word: list[str] = []
        for _ in range(int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))):
            if rng.random() < 0.9:
                word.append(consonants[rng.integers(len(consonants))])
            word.append(vowels[rng.integers(len(vowels))])
        if rng.random() < 0.4:
            word.append(("m", "n", "s", "l")[rng.integers(4)])
        words.append(tuple(word))
    return tuple(words)


def say(sentence: Sentence, player: int, seed: int) -> Speech:
    """Let somebody say a sentence.

    Args:
        sentence: words of phones.
        player: whose voice and pace: any number.
        seed: of this time: stress, pauses and breath.
    """
    rng = make_generator("said", player, seed)
    pace = float(make_generator("pace", player).uniform(0.9, 1.2))
    phones: list[SpokenPhone] = []
    now = begin = float(rng.uniform(0.15, 0.4))
    for word in sentence:
        small = rng.random() < SMALL
        for name in word:
            phone, vowel = PHONES[name], name in VOWELS
            stress = 0.65 if small else float(rng.uniform(0.75, 1.0))
            seconds = phone.seconds * pace * float(rng.uniform(0.88, 1.15))
            # Stress makes vowels longer; a consonant has its length.
            seconds *= (0.8 + 0.45 * stress) if vowel else 1.0
            phones.append(SpokenPhone(phone, now, seconds, stress, vowel))
            now += seconds
        now += float(rng.choice([0.0, 0.05, 0.15], p=[0.5, 0.35, 0.15]))
    # Whole frames of 25 a second, and a little silence behind.
    duration = math.ceil((now + 0.3) * 25) / 25
    time = np.arange(math.ceil(duration * CONTROL_RATE)) / CONTROL_RATE
    onsets = [spoken.onset for spoken in phones if spoken.vowel]
    return trace_speech(player, seed, duration, phones, onsets, [(begin, now)], time)


def turn_head(player: int, seconds: float, seed: int) -> Speech:
    """Somebody who says nothing and turns the head from side to side."""
    time = np.arange(math.ceil(seconds * CONTROL_RATE)) / CONTROL_RATE
    silent = trace_speech(player, seed, seconds, [], [], [], time)
    # The head sways with the melody of the voice; here there is one without a voice.
    # Eyes follow the last sound, so there is one in the first moment.
    return dataclasses.replace(
        silent,
        pitch_hz=120 * (1 + 0.12 * np.sin(2 * np.pi * time / 3.0)),
        loudness=np.where(time == 0, 0.02, 0.0),
    )


class SentenceTake(Take):
    """A head that says a sentence, or turns and says nothing."""

    def __init__(self, speech: Speech) -> None:
        self.spoken, self.duration = speech, speech.duration

    def synthesise(self, sample_rate: int) -> np.ndarray:
        """The voice in its room."""
        return speaker.synthesise_speech(self.spoken, sample_rate)

    def draw(self, t: Real, size: int) -> np.ndarray:
        """Head and shoulders at `t` s."""
        spoken = self.spoken
        look = get_look(spoken.player)

        def paint(canvas: Canvas) -> None:
            speaker.draw_speaker(canvas, spoken, look, t)

        return render(paint, spoken.player, spoken.seed, t, size)

    def measure(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """Pitch, loudness, syllables, phones, and `speaker.SPEAKER_TRUTH`.

        ``onset`` marks vowels, ``onset_phone`` all phones; ``phone`` is an index of
        `NAMES`, or -1 in silence.
        """
        spoken = self.spoken
        poses = speaker.measure_speaker(spoken, get_look(spoken.player), times)
        names = {id(phone): k for k, phone in enumerate(PHONES.values())}
        said = np.full(len(times), -1.0, np.float32)
        for one in spoken.phones:
            here = (times >= one.onset) & (times < one.onset + one.seconds)
            said[here] = names[id(one.phone)]
        return {
            "pitch_hz": sample_nearest(spoken.pitch_hz, times),
            "loudness": sample_nearest(spoken.loudness, times),
            "onset": mark_onsets(spoken.onsets, times),
            "onset_phone": mark_onsets([one.onset for one in spoken.phones], times),
            "phone": said,
            **dict(zip(speaker.SPEAKER_TRUTH, poses.T, strict=True)),
        }
