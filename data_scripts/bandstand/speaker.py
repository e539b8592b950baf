"""A talking head: syllables, how they sound, how the mouth makes them.

Each sound of speech has formants (what is heard) and a place of jaw and lips (what is
seen). Both are curves through the same targets, so the mouth opens with the vowel that
opens it and shuts for m, b and p. The words mean nothing.

Source:
    Formants: averages of men's vowels as in Peterson and Barney (1952), rounded, times
    the speaker's own factor.
"""

# ruff: noqa: RUF005 (adding a tuple to an array is arithmetic here)
from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float32

from data_scripts.bandstand.canvas import Canvas, Real, transform
from data_scripts.bandstand.people import (
    Body,
    Look,
    aim_camera,
    draw_hair_behind,
    draw_head,
    draw_torso,
    locate_mouth,
    place_shoulders,
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
BANDWIDTHS = (70.0, 100.0, 140.0)  # of formants 1 to 3, Hz


@dataclass(frozen=True)
class Phone:
    """A sound of speech.

    Args:
        formants: the first three, Hz.
        voiced: amplitude of the voice, 0..1.
        jaw: how far it opens, 0..1.
        lips: -1 rounded to 1 spread.
        seconds: how long it usually lasts.
        noise: amplitude of its noise, 0..1.
        band: of its noise, a key of `BANDS`.
        shut: a stop, which is silent before its burst.
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
    """One phone where it is said.

    Args:
        phone: which one.
        onset: where it begins, s.
        seconds: how long it lasts.
        stress: how loud it is, 0..1.
        vowel: whether it is one.
    """

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
    """Speak phrases of a few made-up words, with pauses between, to the end.

    Args:
        player: who speaks: any number.
        seconds: how long, 1 or more. Something is said in it.
        seed: of what is said.
    """
    rng = make_generator("speech", player, seed)
    phones: list[SpokenPhone] = []
    onsets: list[float] = []
    phrases: list[tuple[float, float]] = []
    now = float(rng.uniform(0.2, 0.5))
    pace = float(rng.uniform(0.95, 1.2))
    if now >= seconds - 0.6:  # of a second nothing would be left to speak in
        now = 0.2
    while now < seconds - 0.6:
        begin = now
        for _ in range(int(rng.integers(3, 8))):
            accent = int(rng.integers(3))
            for syllable in range(int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2]))):
                # A word of fewer syllables than `accent` has no stressed one, as small
                # words have.
                stress = 1.0 if syllable == accent else float(rng.uniform(0.55, 0.8))
                now = _add_syllable(phones, onsets, now, stress, pace, rng)
            now += float(rng.choice([0.0, 0.04, 0.12], p=[0.5, 0.3, 0.2]))
            if now > seconds - 0.6:
                break
        phrases.append((begin, now))
        now += float(rng.choice([0.25, 0.5, 1.1], p=[0.4, 0.4, 0.2]))
    time = np.arange(math.ceil(seconds * CONTROL_RATE)) / CONTROL_RATE
    # No word begins in the last 0.6 s. A long one may still reach beyond the end: what
    # lies there has no rows in the curves, so it is neither heard nor seen.
    return trace_speech(player, seed, float(seconds), phones, onsets, phrases, time)


def _add_syllable(
    phones: list[SpokenPhone],
    onsets: list[float],
    now: float,
    stress: float,
    pace: float,
    rng: np.random.Generator,
) -> float:
    """Add consonant, vowel and now and then a closing consonant; returns the end, s."""
    names, vowels = list(CONSONANTS), list(VOWELS)
    # Most syllables begin with a consonant, few end with one: the commonest shape of
    # syllables.
    word = [CONSONANTS[names[rng.integers(len(names))]]] if rng.random() < 0.85 else []
    word.append(VOWELS[vowels[rng.integers(len(vowels))]])
    if rng.random() < 0.3:
        word.append(CONSONANTS[("m", "n", "s", "l")[rng.integers(4)]])
    for phone in word:
        vowel = phone in VOWELS.values()
        seconds = phone.seconds * pace * float(rng.uniform(0.85, 1.2))
        # Stress makes vowels longer; a consonant has its length.
        seconds *= (0.8 + 0.45 * stress) if vowel else 1.0
        if vowel:
            # The vowel, and not the consonant before it, is where a syllable is heard
            # to begin.
            onsets.append(round(now, 4))
        phones.append(SpokenPhone(phone, now, seconds, stress, vowel))
        now += seconds
    return now


def trace_speech(
    player: int,
    seed: int,
    seconds: float,
    phones: list[SpokenPhone],
    onsets: list[float],
    phrases: list[tuple[float, float]],
    time: np.ndarray,
) -> Speech:
    """The curves of voice and mouth: each phone's targets, then smoothed."""
    rng = make_generator("voice of speech", player)
    # Hz, and a factor on the formants: a shorter throat has higher ones.
    base, tract = float(rng.uniform(95, 210)), float(rng.uniform(0.98, 1.14))
    size = len(time)
    voiced, jaw, lips = np.zeros(size), np.zeros(size), np.zeros(size)
    noises = {band: np.zeros(size) for band in BANDS}
    # formants are held through silence, where nobody hears them
    formants = np.tile(np.array(VOWELS["er"].formants), (size, 1))
    for spoken in phones:
        phone, end = spoken.phone, spoken.onset + spoken.seconds
        here = _rows(spoken.onset, end)
        loud = 0.35 + 0.65 * spoken.stress
        voiced[here] = phone.voiced * loud
        # unstressed vowels open less
        jaw[here] = phone.jaw * (0.55 + 0.45 * spoken.stress if spoken.vowel else 1.0)
        lips[here] = phone.lips
        formants[here] = phone.formants
        if phone.noise:
            # A stop is silent while the lips or the tongue are shut; it is heard as
            # they open.
            begin = end - BURST_SECONDS if phone.shut else spoken.onset
            noises[phone.band][_rows(begin, end)] = phone.noise * loud
    # the mouth moves slower than the throat
    moving = np.stack([smooth_curve(f, 0.05) for f in formants.T], axis=1)
    voiced = smooth_curve(voiced, 0.03)
    voiced[voiced < 2e-3] = 0.0  # below hearing: call it silence
    noises = {band: smooth_curve(noise, 0.02) for band, noise in noises.items()}
    pitch = base * _intone(phones, phrases, time)
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


def _rows(begin: float, end: float) -> slice:
    """The rows of a curve of CONTROL_RATE between two times, s."""
    return slice(round(begin * CONTROL_RATE), round(end * CONTROL_RATE))


def _intone(
    phones: list[SpokenPhone], phrases: list[tuple[float, float]], time: np.ndarray
) -> np.ndarray:
    """The pitch as a factor on the speaker's own, (K,).

    It falls along a phrase and rises on stress.
    """
    fall = np.zeros(len(time))
    for begin, end in phrases:
        said = (time >= begin - 0.1) & (time < end + 0.1)
        # From 12 % above the speaker's own pitch to 14 % below it.
        fall[said] = 1.12 - 0.26 * np.clip((time[said] - begin) / (end - begin), 0, 1)
    lift = np.zeros(len(time))
    for spoken in phones:
        if spoken.vowel:
            # In lengths of the vowel, 0 in its middle.
            since = (time - spoken.onset) / spoken.seconds - 0.5
            lift = np.maximum(lift, 0.16 * spoken.stress * np.exp(-2 * since**2))
    return smooth_curve(np.where(fall > 0, fall, 1.0), 0.1) + lift


# ---------------------------------------------------------------------- sound


def synthesise_speech(speech: Speech, sample_rate: int = 44100) -> np.ndarray:
    """Synthesise the voice in its room.

    Args:
        speech: what is said.
        sample_rate: Hz.

    Returns:
        float32 (samples,), |sample| <= 0.9.
    """
    samples = round(speech.duration * sample_rate)
    rng = make_generator("timbre of speech", speech.player)
    rng_take = make_generator("speech take", speech.seed)
    now = np.arange(samples) / sample_rate
    held = _fill_pitch(speech.pitch_hz)
    # a voice is never quite steady: without this it sounds like a machine
    wobble = 1 + 0.008 * smooth_curve(rng_take.standard_normal(len(held)), 0.08)
    cycles = np.cumsum(np.interp(now, speech.time, held * wobble)) / sample_rate
    # Blocks, rounded up; they have one edge more, at which the amplitudes are given.
    frames = -(-samples // BLOCK)
    edges = np.arange(frames + 1) * BLOCK / sample_rate
    pitch = np.interp(edges, speech.time, held)
    voiced = np.interp(edges, speech.time, speech.voiced)
    formants = np.stack(
        [np.interp(edges, speech.time, f) for f in speech.formants.T], axis=1
    )
    # (blocks + 1, harmonics), of unit power times the amplitude of the voice.
    amplitude = _sample_spectrum(pitch, formants) * voiced[:, None]
    order = np.arange(1, HARMONICS + 1)
    # what lies above half the sample rate would be folded back as a false tone
    amplitude[pitch[:, None] * order > 0.47 * sample_rate] = 0.0
    offset = rng.uniform(0, 2 * np.pi, HARMONICS).astype(np.float32)
    dry = sum_harmonics(amplitude, cycles, offset)
    for name, curve in speech.noises.items():
        low, high = BANDS[name]
        # At a low rate the band of an s would end above half of it.
        band = (low, min(high, 0.45 * sample_rate))
        gain = np.interp(now, speech.time, curve)
        dry += gain * make_band_noise(samples, band, sample_rate, rng_take)
    return add_room(FULL_RMS * dry, int(rng.integers(1 << 31)), sample_rate, rng_take)


def _fill_pitch(pitch: np.ndarray) -> np.ndarray:
    """The pitch with what is not voiced filled between its neighbours."""
    known = np.flatnonzero(pitch > 0)
    if not len(known):
        return np.full(len(pitch), 120.0)
    # A harmonic that fades out must keep sounding, not glide down to 0 Hz.
    return np.asarray(np.interp(np.arange(len(pitch)), known, pitch[known]))


def _sample_spectrum(pitch: np.ndarray, formants: np.ndarray) -> np.ndarray:
    """Amplitudes (blocks + 1, harmonics) of unit power.

    The throat gives the slope, the mouth the resonances.
    """
    order = np.arange(1, HARMONICS + 1)
    frequency = pitch[:, None] * order
    level = 1.0 / order  # -12 dB an octave from the throat, +6 from the lips
    shape = np.ones_like(frequency) * level
    # centre (blocks + 1, 1) and width, so that both meet frequency (blocks + 1,
    # harmonics)
    resonances = [(formants[:, k, None], b) for k, b in enumerate(BANDWIDTHS)]
    resonances += [(np.array(centre), width) for centre, width in UPPER_FORMANTS]
    for centre, width in resonances:
        # The gain of a damped resonator, c**2 / |c**2 - f**2 + i w f|: 1 at low
        # frequencies, c / w at its centre. The product of all is the throat (Fant's
        # source and filter).
        square = centre**2
        shape *= square / np.hypot(square - frequency**2, width * frequency)
    # a sine of amplitude a has the power a**2 / 2
    return np.asarray(shape / np.sqrt(0.5 * np.sum(shape**2, axis=1, keepdims=True)))


# -------------------------------------------------------------------- picture

SPEAKER_TRUTH = (
    "head_x", "head_y", "head_angle", "mouth_x", "mouth_y", "mouth_open",
    "mouth_width", "eyes",
)  # fmt: skip


BLINK = (0.10, 0.35)  # s after the last sound of a phrase between which the eyes shut


@lru_cache(maxsize=8)
def _trace_gestures(speech: Speech) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What head and eyes follow, (K,) each: all of it can be heard.

    Returns:
        Drive of the head (loudness, slowly); the sway, -1 to 1, which follows the
        melody of the voice; and how open the eyes are. Speakers blink in their pauses.
    """
    # The head is heavy: it follows the loudness over a third of a second.
    drive = smooth_curve(speech.loudness, 0.35)
    voiced = speech.pitch_hz[speech.pitch_hz > 0]
    middle = float(np.median(voiced)) if len(voiced) else 1.0
    tone = np.where(speech.pitch_hz > 0, speech.pitch_hz / middle - 1, 0.0)
    sway = np.clip(smooth_curve(tone, 0.5) / 0.12, -1, 1)
    sounding = np.flatnonzero(speech.loudness > 0.01)
    last = np.searchsorted(sounding, np.arange(len(speech.time)), side="right") - 1
    # s since the last sound; before the first there was none
    here = np.arange(len(speech.time))
    quiet = np.full(len(here), np.inf)
    quiet[last >= 0] = (here - sounding[last])[last >= 0] / CONTROL_RATE
    eyes = np.where((quiet >= BLINK[0]) & (quiet < BLINK[1]), 0.1, 1.0)
    return drive, sway, eyes


def _interpolate(curve: np.ndarray, t: Real) -> float:
    """The value at `t` s of a curve of CONTROL_RATE; its ends go on."""
    k = min(max(t * CONTROL_RATE, 0.0), len(curve) - 1.0)
    # The last value is reached from the one before it, so i + 1 always exists.
    i = min(int(k), len(curve) - 2)
    return float(curve[i] + (curve[i + 1] - curve[i]) * (k - i))


def _pose_body(speech: Speech, look: Look, t: Real) -> Body:
    """Joints and face at `t` s: mouth and head follow the voice, the sway is slow."""
    drive_curve, sway_curve, eyes = _trace_gestures(speech)
    drive, sway = _interpolate(drive_curve, t), _interpolate(sway_curve, t)
    lean = 0.7 * sway
    neck = np.array([lean, 0.5 - 0.8 * drive])
    right, left = place_shoulders(neck, lean, look)
    return Body(
        neck=neck,
        head=neck + (0.4 * lean, -17.0 + 2.6 * drive),
        head_degrees=2.0 * sway + 5.0 * (drive - 0.3),
        turn=0.25 * sway,
        shoulder_right=right,
        shoulder_left=left,
        hip=np.array([0.15 * lean, 54.0]),
        seated=False,
        knees=17.0,
        cheeks=0.0,
        eyes=_interpolate(eyes, t),
        jaw=_interpolate(speech.jaw, t),
        lips=_interpolate(speech.lips, t),
    )


def draw_speaker(canvas: Canvas, speech: Speech, look: Look, t: Real) -> None:
    """Draw head and shoulders at `t` s; the canvas' unit is the picture's height."""
    body = _pose_body(speech, look, t)
    with canvas.at(aim_camera(look, SPEAKER_VIEW, shift=0.6)):
        draw_hair_behind(canvas, look, body)
        draw_torso(canvas, look, body)
        draw_head(canvas, look, body)


def measure_speaker(
    speech: Speech, look: Look, times: np.ndarray
) -> Float32[np.ndarray, "time names"]:
    """Measure what is drawn.

    Args:
        speech: what is said.
        look: of the speaker.
        times: (T,), s.

    Returns:
        float32 (T, len(SPEAKER_TRUTH)): places as shares of the picture, ``mouth_open``
        0..1, ``mouth_width`` -1 (rounded) to 1, ``head_angle`` in half turns, ``eyes``
        0 (shut) to 1.
    """
    rows = np.empty((len(times), len(SPEAKER_TRUTH)), np.float32)
    # The same camera as in `draw_speaker`, or the truth would not be what is drawn.
    view = aim_camera(look, SPEAKER_VIEW, shift=0.6)
    for i, t in enumerate(times):
        body = _pose_body(speech, look, float(t))
        rows[i, :2] = transform(view, body.head)
        # Camera and head lean together.
        rows[i, 2] = (look.tilt + body.head_degrees) / 180
        rows[i, 3:5] = transform(view, locate_mouth(look, body))
        rows[i, 5:] = body.jaw, body.lips, body.eyes
    return rows
