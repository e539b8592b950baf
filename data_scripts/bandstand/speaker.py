"""A talking head: syllables, how they sound, how the mouth makes them.

Each sound of speech has formants (what is heard) and a place of jaw and lips (what is
seen). Both are curves through the same targets, so the mouth opens with the vowel that
opens it and shuts for m, b and p. The words mean nothing. Formants: averages of men's
vowels as in Peterson and Barney (1952), rounded, times the speaker's own factor.
"""

# ruff: noqa: RUF005 (adding a tuple to an array is arithmetic here)
from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float32

from data_scripts.bandstand.canvas import Canvas, Real, affine, transform
from data_scripts.bandstand.people import (
    Body,
    Look,
    aim_camera,
    draw_hair_behind,
    draw_head,
    draw_torso,
)
from data_scripts.bandstand.sound import (
    BLOCK,
    FULL_RMS,
    HARMONICS,
    add_room,
    make_band_noise,
    sum_harmonics,
)
from data_scripts.bandstand.world import CONTROL_RATE, make_generator, smooth_curve

SPEAKER_VIEW = (
    0.0,
    -9.0,
    62.0,
)  # what the camera shows: centre x, centre y, height, cm
UPPER_FORMANTS = ((3500.0, 180.0), (4500.0, 250.0))  # formants 4 and 5: Hz, bandwidth
BANDWIDTHS = (70.0, 100.0, 140.0)


@dataclass(frozen=True)
class Phone:
    """A sound of speech: formants (Hz), voicing and noise 0..1, jaw, lips, seconds.

    ``band``: of its noise, Hz. ``shut``: a stop, silent before its burst.
    """

    formants: tuple[Real, Real, Real]
    voiced: Real
    jaw: Real
    lips: Real
    seconds: float
    noise: Real = 0.0
    band: str = ""
    shut: bool = False


BANDS = {"s": (4200.0, 9000.0), "sh": (2000.0, 5500.0), "f": (1200.0, 9000.0),
         "low": (400.0, 1800.0)}  # fmt: skip
VOWELS = {
    "i": Phone((280, 2250, 2900), 0.85, 0.18, 0.9, 0.13),
    "e": Phone((500, 1900, 2550), 0.95, 0.45, 0.6, 0.13),
    "ae": Phone((680, 1720, 2420), 1.0, 0.80, 0.5, 0.15),
    "a": Phone((740, 1150, 2440), 1.0, 1.00, 0.1, 0.16),
    "o": Phone((510, 850, 2410), 0.95, 0.58, -0.7, 0.15),
    "u": Phone((310, 870, 2250), 0.8, 0.22, -1.0, 0.14),
    "er": Phone((490, 1350, 1700), 0.8, 0.35, -0.2, 0.10),
}
CONSONANTS = {
    "m": Phone((260, 1000, 2200), 0.40, 0.0, 0.0, 0.08),
    "n": Phone((270, 1500, 2500), 0.40, 0.12, 0.2, 0.07),
    "l": Phone((360, 1250, 2700), 0.55, 0.30, 0.1, 0.06),
    "r": Phone((400, 1150, 1600), 0.55, 0.22, -0.5, 0.07),
    "w": Phone((310, 700, 2200), 0.50, 0.12, -1.0, 0.07),
    "s": Phone((300, 1700, 2600), 0.0, 0.07, 0.5, 0.10, 0.34, "s"),
    "sh": Phone((300, 1800, 2500), 0.0, 0.14, -0.6, 0.11, 0.36, "sh"),
    "f": Phone((300, 1400, 2500), 0.0, 0.05, 0.1, 0.09, 0.12, "f"),
    "b": Phone((250, 900, 2300), 0.10, 0.0, 0.0, 0.06, 0.2, "low", True),
    "d": Phone((270, 1700, 2600), 0.10, 0.10, 0.2, 0.06, 0.3, "sh", True),
    "g": Phone((270, 1900, 2400), 0.10, 0.18, 0.0, 0.06, 0.3, "sh", True),
    "p": Phone((250, 900, 2300), 0.0, 0.0, 0.0, 0.08, 0.4, "low", True),
    "t": Phone((270, 1700, 2600), 0.0, 0.10, 0.2, 0.08, 0.5, "s", True),
    "k": Phone((270, 1900, 2400), 0.0, 0.18, 0.0, 0.08, 0.5, "sh", True),
}
BURST_SECONDS = 0.02  # s of noise with which a stop opens


@dataclass(frozen=True)
class SpokenPhone:
    """One phone where it is said: seconds from the start, and how loud, 0..1."""

    phone: Phone
    onset: float
    seconds: float
    stress: float
    vowel: bool


@dataclass(frozen=True, eq=False)
class Speech:
    """The syllables and, at CONTROL_RATE, the curves that sound and picture follow."""

    player: int
    seed: int
    duration: float
    phones: tuple[SpokenPhone, ...]
    onsets: tuple[float, ...]  # of syllables: where the vowel begins
    time: np.ndarray
    pitch_hz: np.ndarray  # 0 where nothing is voiced
    voiced: np.ndarray  # amplitude of the voice, 0..1
    noises: dict[str, np.ndarray]  # amplitude of each band's noise
    formants: np.ndarray  # (K, 3) Hz
    jaw: np.ndarray
    lips: np.ndarray
    loudness: np.ndarray  # of voice and noise together


def speak(player: int, *, seconds: float | int, seed: int) -> Speech:
    """Phrases of a few made-up words, with pauses between, to the end."""
    rng = make_generator("speech", player, seed)
    phones: list[SpokenPhone] = []
    onsets: list[float] = []
    phrases: list[tuple[float, float]] = []
    now = float(rng.uniform(0.2, 0.5))
    pace = float(rng.uniform(0.95, 1.2))
    while now < seconds - 0.6:
        begin = now
        for _ in range(int(rng.integers(3, 8))):
            accent = int(rng.integers(3))
            for syllable in range(int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2]))):
                stress = 1.0 if syllable == accent else float(rng.uniform(0.55, 0.8))
                now = _syllable(phones, onsets, now, stress, pace, rng)
            now += float(rng.choice([0.0, 0.04, 0.12], p=[0.5, 0.3, 0.2]))
            if now > seconds - 0.6:
                break
        phrases.append((begin, now))
        now += float(rng.choice([0.25, 0.5, 1.1], p=[0.4, 0.4, 0.2]))
    time = np.arange(math.ceil(seconds * CONTROL_RATE)) / CONTROL_RATE
    return _curves(player, seed, float(seconds), phones, onsets, phrases, time)


def _syllable(
    phones: list[SpokenPhone],
    onsets: list[float],
    now: float,
    stress: float,
    pace: float,
    rng: np.random.Generator,
) -> float:
    """Add consonant, vowel and now and then a closing consonant; when they end."""
    names, vowels = list(CONSONANTS), list(VOWELS)
    word = [CONSONANTS[names[rng.integers(len(names))]]] if rng.random() < 0.85 else []
    word.append(VOWELS[vowels[rng.integers(len(vowels))]])
    if rng.random() < 0.3:
        word.append(CONSONANTS[("m", "n", "s", "l")[rng.integers(4)]])
    for phone in word:
        vowel = phone in VOWELS.values()
        seconds = phone.seconds * pace * float(rng.uniform(0.85, 1.2))
        seconds *= (0.8 + 0.45 * stress) if vowel else 1.0
        if vowel:
            onsets.append(round(now, 4))
        phones.append(SpokenPhone(phone, now, seconds, stress, vowel))
        now += seconds
    return now


def _curves(
    player: int,
    seed: int,
    seconds: float,
    phones: list[SpokenPhone],
    onsets: list[float],
    phrases: list[tuple[float, float]],
    time: np.ndarray,
) -> Speech:
    rng = make_generator("voice of speech", player)
    base, tract = float(rng.uniform(95, 210)), float(rng.uniform(0.98, 1.14))
    size = len(time)
    voiced, jaw, lips = np.zeros(size), np.zeros(size), np.zeros(size)
    noises = {band: np.zeros(size) for band in BANDS}
    formants = np.tile(np.array(VOWELS["er"].formants), (size, 1))
    for spoken in phones:
        phone, end = spoken.phone, spoken.onset + spoken.seconds
        here = slice(*(round(s * CONTROL_RATE) for s in (spoken.onset, end)))
        loud = 0.35 + 0.65 * spoken.stress
        voiced[here] = phone.voiced * loud
        # unstressed vowels open less
        jaw[here] = phone.jaw * (0.55 + 0.45 * spoken.stress if spoken.vowel else 1.0)
        lips[here] = phone.lips
        formants[here] = phone.formants
        if phone.noise and phone.shut:
            here = slice(
                round((end - BURST_SECONDS) * CONTROL_RATE), round(end * CONTROL_RATE)
            )
        if phone.noise:
            noises[phone.band][here] = phone.noise * loud
    # formants are held through silence; the mouth moves slower than the voice
    moving = np.stack([smooth_curve(f, 0.05) for f in formants.T], axis=1)
    voiced = smooth_curve(voiced, 0.03)
    voiced[voiced < 2e-3] = 0.0
    noises = {band: smooth_curve(noise, 0.02) for band, noise in noises.items()}
    hertz = np.zeros(size)
    for begin, end in phrases:  # the pitch falls along a phrase and rises on stress
        said = (time >= begin - 0.1) & (time < end + 0.1)
        hertz[said] = 1.12 - 0.26 * np.clip((time[said] - begin) / (end - begin), 0, 1)
    lift = np.zeros(size)
    for spoken in phones:
        if spoken.vowel:
            since = (time - spoken.onset) / spoken.seconds - 0.5
            lift = np.maximum(lift, 0.16 * spoken.stress * np.exp(-2 * since**2))
    pitch = base * (smooth_curve(np.where(hertz > 0, hertz, 1.0), 0.1) + lift)
    return Speech(
        player=player,
        seed=seed,
        duration=seconds,
        phones=tuple(phones),
        onsets=tuple(onsets),
        time=time,
        pitch_hz=np.where(voiced > 0, pitch, 0.0),
        voiced=voiced,
        noises=noises,
        formants=moving * tract,
        jaw=smooth_curve(jaw, 0.07),
        lips=smooth_curve(lips, 0.09),
        loudness=np.sqrt(voiced**2 + sum(n**2 for n in noises.values())),
    )


# ---------------------------------------------------------------------- sound


def synthesise_speech(speech: Speech, sample_rate: int = 44100) -> np.ndarray:
    """What is heard: float32 (samples,), |sample| <= 0.9."""
    samples = round(speech.duration * sample_rate)
    rng = make_generator("timbre of speech", speech.player)
    rng_take = make_generator("speech take", speech.seed)
    now = np.arange(samples) / sample_rate
    held = _held(speech.pitch_hz)
    wobble = 1 + 0.008 * smooth_curve(rng_take.standard_normal(len(held)), 0.08)
    cycles = np.cumsum(np.interp(now, speech.time, held * wobble)) / sample_rate
    frames = -(-samples // BLOCK)
    edges = np.arange(frames + 1) * BLOCK / sample_rate
    pitch = np.interp(edges, speech.time, held)
    voiced = np.interp(edges, speech.time, speech.voiced)
    formants = np.stack(
        [np.interp(edges, speech.time, f) for f in speech.formants.T], axis=1
    )
    amplitude = _spectrum(pitch, formants) * voiced[:, None]
    order = np.arange(1, HARMONICS + 1)
    amplitude[pitch[:, None] * order > 0.47 * sample_rate] = 0.0
    offset = rng.uniform(0, 2 * np.pi, HARMONICS).astype(np.float32)
    dry = sum_harmonics(amplitude, cycles, offset)
    for name, curve in speech.noises.items():
        low, high = BANDS[name]
        band = (low, min(high, 0.45 * sample_rate))
        gain = np.interp(now, speech.time, curve)
        dry += gain * make_band_noise(samples, band, sample_rate, rng_take)
    return add_room(FULL_RMS * dry, int(rng.integers(1 << 31)), sample_rate, rng_take)


def _held(pitch: np.ndarray) -> np.ndarray:
    """The pitch with what is not voiced filled between its neighbours."""
    known = np.flatnonzero(pitch > 0)
    if not len(known):
        return np.full(len(pitch), 120.0)
    return np.interp(np.arange(len(pitch)), known, pitch[known])


def _spectrum(pitch: np.ndarray, formants: np.ndarray) -> np.ndarray:
    """Amplitudes (frames, harmonics) of unit power: the throat's slope, the mouth's
    resonances.
    """
    order = np.arange(1, HARMONICS + 1)
    frequency = pitch[:, None] * order
    level = 1.0 / order  # -12 dB an octave from the throat, +6 from the lips
    shape = np.ones_like(frequency) * level
    resonances = [(formants[:, k, None], b) for k, b in enumerate(BANDWIDTHS)]
    resonances += [(np.array(centre), width) for centre, width in UPPER_FORMANTS]
    for centre, width in resonances:
        square = centre**2
        shape *= square / np.hypot(square - frequency**2, width * frequency)
    return shape / np.sqrt(0.5 * np.sum(shape**2, axis=1, keepdims=True))


# -------------------------------------------------------------------- picture

SPEAKER_TRUTH = (
    "head_x", "head_y", "head_angle", "mouth_x", "mouth_y", "mouth_open",
    "mouth_width", "eyes",
)  # fmt: skip


@lru_cache(maxsize=8)
def _gestures(speech: Speech) -> tuple[np.ndarray, np.ndarray]:
    """Drive of the head (loudness, slowly) and how open the eyes are, with blinks."""
    drive = smooth_curve(speech.loudness, 0.35)
    rng = make_generator("blinks", speech.player, speech.seed)
    eyes = np.ones(len(speech.time))
    now = float(rng.uniform(0.5, 3))
    while now < speech.duration:
        since = speech.time - now
        eyes = np.where((since >= 0) & (since < 0.15), 0.1, eyes)
        now += float(rng.uniform(1.5, 5))
    return drive, eyes


def _at(curve: np.ndarray, t: Real) -> float:
    k = min(max(t * CONTROL_RATE, 0.0), len(curve) - 1.0)
    i = min(int(k), len(curve) - 2)
    return float(curve[i] + (curve[i + 1] - curve[i]) * (k - i))


def _body(speech: Speech, look: Look, t: Real) -> Body:
    drive_curve, eyes = _gestures(speech)
    drive = _at(drive_curve, t)
    sway = math.sin(2 * math.pi * 0.21 * t + speech.player)
    lean = 0.7 * sway
    neck = np.array([lean, 0.5 - 0.8 * drive])
    shoulder = 18.5 * look.width
    return Body(
        neck=neck,
        head=neck + (0.4 * lean, -17.0 + 2.6 * drive),
        head_degrees=2.0 * sway + 5.0 * (drive - 0.3),
        turn=0.25 * math.sin(2 * math.pi * 0.13 * t + 1.0),
        shoulder_right=neck + (-shoulder, 6.0 - 0.25 * lean),
        shoulder_left=neck + (shoulder, 6.0 + 0.25 * lean),
        hip=np.array([0.15 * lean, 54.0]),
        seated=False,
        knees=17.0,
        cheeks=0.0,
        eyes=_at(eyes, t),
        jaw=_at(speech.jaw, t),
        lips=_at(speech.lips, t),
    )


def draw_speaker(canvas: Canvas, speech: Speech, look: Look, t: Real) -> None:
    """Head and shoulders; the canvas' units are the picture's height."""
    body = _body(speech, look, t)
    with canvas.at(aim_camera(look, SPEAKER_VIEW, shift=0.6)):
        draw_hair_behind(canvas, look, body)
        draw_torso(canvas, look, body)
        draw_head(canvas, look, body)


def measure_speaker(
    speech: Speech, look: Look, times: np.ndarray
) -> Float32[np.ndarray, "time names"]:
    """What is drawn, (T, len(SPEAKER_TRUTH)): places as shares of the picture,
    ``mouth_open`` 0..1, ``mouth_width`` -1 (rounded) to 1, ``head_angle`` in half
    turns, ``eyes`` 0 (shut) to 1.
    """
    rows = np.empty((len(times), len(SPEAKER_TRUTH)), np.float32)
    view = aim_camera(look, SPEAKER_VIEW, shift=0.6)
    for i, t in enumerate(times):
        body = _body(speech, look, float(t))
        head = affine(body.head, body.head_degrees, look.head)
        mouth = transform(head, (4.2 * body.turn, 7.6))
        rows[i, :2] = transform(view, body.head)
        rows[i, 2] = (look.tilt + body.head_degrees) / 180
        rows[i, 3:5] = transform(view, mouth)
        rows[i, 5:] = body.jaw, body.lips, body.eyes
    return rows
