"""What the 28 kinds of event sound like, and the places where they happen.

The function of a kind takes a generator of random numbers, a length in s and a rate in
Hz. It returns the dry sound, of any level, and the moments at which something strikes,
s. Two calls with different generators sound different: the order in which a function
draws its numbers is part of the world, and a changed order gives other sounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from data_scripts.bandstand.canvas import Real
from data_scripts.bandstand.sound import make_band_noise

Random = np.random.Generator
Heard = tuple[np.ndarray, list[float]]  # (samples,), and strokes in s


def _times(seconds: Real, rate: int) -> np.ndarray:
    """The time of each sample, s: (samples,)."""
    return np.asarray(np.arange(round(seconds * rate)) / rate)


def _make_noise(
    seconds: Real, low: Real, high: Real, rate: int, rng: Random
) -> np.ndarray:
    """Noise of unit RMS from `low` to `high` Hz, as far as the rate allows it."""
    # Half the rate is the highest frequency that samples can hold. The band ends a
    # little below it, so that its edge can fall off.
    band = (float(low), min(float(high), 0.45 * rate))
    return make_band_noise(round(seconds * rate), band, rate, rng)


def _make_burst(
    seconds: Real, low: Real, high: Real, decay: Real, rate: int, rng: Random
) -> np.ndarray:
    """Noise that begins at once and has fallen to 1 / e after `decay` s."""
    noise = _make_noise(seconds, low, high, rate, rng)
    return np.asarray(noise * np.exp(-_times(seconds, rate) / decay))


def _drift(seconds: Real, rate: int, step: Real, rng: Random) -> np.ndarray:
    """A random curve of 0 to 1 with a new value every `step` seconds."""
    # One knot for the start, and one beyond the end for the last line to lead to.
    knots = rng.random(int(seconds / step) + 2)
    places = np.arange(len(knots)) * step
    return np.asarray(np.interp(_times(seconds, rate), places, knots))


def _plan_strokes(seconds: Real, gap: Real, jitter: Real, rng: Random) -> list[float]:
    """Moments `gap` s apart, each off by up to `jitter` of it; the first at once."""
    found, now = [], float(rng.uniform(0.0, 0.1))
    # Nothing strikes in the last tenth: its sound would be cut off at once.
    while now < seconds - 0.1:
        found.append(now)
        now += gap * float(rng.uniform(1 - jitter, 1 + jitter))
    return found


def _time_since(strokes: Sequence[Real], t: np.ndarray) -> np.ndarray:
    """How long before each time the last stroke was, s; at first, since 0."""
    # The 0 stands before the strokes, so the count of strokes up to t is the index.
    last = np.array([0.0, *strokes])[np.searchsorted(strokes, t, side="right")]
    return np.asarray(t - last)


def _add_strokes(
    seconds: Real,
    rate: int,
    strokes: Sequence[Real],
    make: Callable[[int], np.ndarray],
) -> np.ndarray:
    """The sum of the sounds `make(k)`, each begun at stroke k: (samples,)."""
    sound = np.zeros(round(seconds * rate))
    for k, stroke in enumerate(strokes):
        first = round(stroke * rate)
        # What would ring on beyond the end is cut.
        one = make(k)[: len(sound) - first]
        sound[first : first + len(one)] += one
    return sound


def _ring_tones(
    seconds: Real, pairs: Sequence[tuple[Real, Real, Real]], rate: int
) -> np.ndarray:
    """Damped tones: (Hz, level, s until it has fallen to 1 / e) each."""
    t = _times(seconds, rate)
    # A sum of decaying sines is what a struck bell or case gives off, one a mode.
    tones = [a * np.sin(2 * np.pi * f * t) * np.exp(-t / d) for f, a, d in pairs]
    return np.asarray(np.sum(tones, axis=0))


def _buzz(
    hertz: np.ndarray, slope: Real, rate: int, formants: Sequence[Real] = ()
) -> np.ndarray:
    """Harmonics k of a changing pitch (samples,), k ** -slope loud, RMS 1.

    `formants` (Hz) lift the harmonics that are near them.
    """
    # the integral of a changing pitch: 2 pi f t would be wrong
    phase = 2 * np.pi * np.cumsum(hertz) / rate
    sound = np.zeros(len(hertz))
    # The formants lift whole harmonics, judged at the middle pitch. To follow the pitch
    # would take a filter that changes with time.
    middle = float(np.median(hertz))
    # 24 harmonics at most, to keep it fast, and none above 0.4 of the rate at the
    # highest pitch: it would be folded back as a false tone. The first is always there.
    for k in range(1, max(2, int(min(24, 0.4 * rate / hertz.max())))):
        level = k**-slope
        for centre in formants:
            # A resonance: 6 times at its centre, and half of that gain 12 % + 60 Hz
            # away.
            level *= 1 + 5 / (1 + ((k * middle - centre) / (0.12 * centre + 60)) ** 2)
        # the phases k * k spread the harmonics' peaks, or each period would be a spike
        sound += level * np.sin(k * phase + k * k)
    # The bound keeps silence from a division by zero.
    return np.asarray(sound / max(np.sqrt(np.mean(sound**2)), 1e-9))


def _fade_ends(
    seconds: Real, rate: int, attack: Real = 0.04, end: Real = 0.08
) -> np.ndarray:
    """Up in `attack` s, down in the last `end` s: (samples,)."""
    t = _times(seconds, rate)
    return np.clip(np.minimum(t / attack, (seconds - t) / end), 0, 1)


def _pluck_string(
    hertz: Real, seconds: Real, decay: Real, bright: Real, rate: int
) -> np.ndarray:
    """A string plucked at a fifth of its length; high harmonics die first."""
    t = _times(seconds, rate)
    sound = np.zeros(len(t))
    for k in range(1, 16):
        # a harmonic above half the rate would be folded back as a false tone
        if k * hertz < 0.45 * rate:
            fade = np.exp(-t / decay * k**0.7)
            # A string that is plucked at a fifth of its length has no 5th, 10th, ...
            # harmonic: they have a node there.
            level = np.sin(k * np.pi / 5) * k**-bright
            sound += level * fade * np.sin(2 * np.pi * hertz * k * t)
    return sound


def _make_plucked(
    low: Real, high: Real, gap: Real, decay: Real, bright: Real, chord: int = 1
) -> Callable[[Random, Real, int], Heard]:
    """An instrument whose strings are plucked.

    Args:
        low: its lowest pitch, Hz.
        high: its highest one.
        gap: from one stroke to the next, s.
        decay: s in which the lowest harmonic of a string falls to 1 / e.
        bright: how fast the harmonics fall: k ** -bright.
        chord: strings that are plucked at once.
    """

    def sound(rng: Random, seconds: Real, rate: int) -> Heard:
        pace = gap * float(rng.uniform(0.8, 1.25))
        strokes = _plan_strokes(seconds, pace, 0.08, rng)
        # The pentatonic scale: whatever notes are drawn, they go together.
        scale = low * 2 ** (np.array([0, 2, 4, 7, 9]) / 12)
        pitches = np.concatenate([scale * 2**octave for octave in range(4)])
        pitches = pitches[pitches <= high] * float(rng.uniform(0.9, 1.1))
        # After 4 decays a string has fallen to 2 % of its level, and 2 s bound the
        # work.
        length = min(4 * decay, 2.0)

        def one(_: int) -> np.ndarray:
            chosen = rng.choice(pitches, chord, replace=False)
            plucks = [_pluck_string(f, length, decay, bright, rate) for f in chosen]
            return np.asarray(rng.uniform(0.6, 1.0) * np.sum(plucks, axis=0))

        return _add_strokes(seconds, rate, strokes, one), strokes

    return sound


def _make_calls(
    shape: Sequence[Real],
    length: tuple[Real, Real],
    pause: tuple[Real, Real],
    formants: Sequence[Real],
    slope: Real,
    *,
    rough: Real = 0.0,
    tremble: Real = 0.0,
) -> Callable[[Random, Real, int], Heard]:
    """An animal that calls.

    Args:
        shape: pitches along one call, Hz.
        length: of a call, s: from, to.
        pause: after it, s: from, to.
        formants: of its throat, Hz.
        slope: how fast the harmonics fall: k ** -slope.
        rough: how much noise is in it.
        tremble: how much it trembles, in pitch and in loudness.
    """

    def sound(rng: Random, seconds: Real, rate: int) -> Heard:
        size = float(rng.uniform(0.85, 1.2))  # a larger animal is lower
        now, strokes, calls = float(rng.uniform(0.0, 0.15)), [], []
        while now < seconds - 0.15:
            span = min(float(rng.uniform(*length)), seconds - now)
            t = _times(span, rate)
            hertz = np.interp(t, np.linspace(0, span, len(shape)), shape) / size
            hertz *= float(rng.uniform(0.93, 1.07))
            shake = np.sin(2 * np.pi * rng.uniform(8, 11) * t)
            call = _buzz(hertz * (1 + 0.04 * tremble * shake), slope, rate, formants)
            call *= 1 + 0.5 * tremble * shake
            call += rough * _make_noise(span, 400, 5000, rate, rng)
            calls.append(call * _fade_ends(span, rate) * rng.uniform(0.7, 1.0))
            strokes.append(now)
            now += span + float(rng.uniform(*pause))
        return _add_strokes(seconds, rate, strokes, lambda k: calls[k]), strokes

    return sound


def synthesise_church_bell(rng: Random, seconds: Real, rate: int) -> Heard:
    """Strokes of a bell: eight damped partials, not quite harmonic."""
    f = float(rng.uniform(180, 420))
    strokes = _plan_strokes(seconds, float(rng.uniform(0.9, 1.5)), 0.03, rng)
    # The partials of a tuned bell: hum, prime, minor third (1.2), fifth, octave, and
    # higher ones. Higher partials are softer and die sooner.
    partials = (0.5, 1.0, 1.2, 1.5, 2.0, 2.67, 3.01, 4.17)
    pairs = [
        (f * p * rng.uniform(0.995, 1.005), 1 / (1 + 0.4 * k), 2.2 / (1 + p))
        for k, p in enumerate(partials)
    ]
    return _add_strokes(
        seconds, rate, strokes, lambda _: _ring_tones(4.0, pairs, rate)
    ), strokes


def synthesise_bark(rng: Random, seconds: Real, rate: int) -> Heard:
    """A dog's barks: short calls with much noise."""
    shape = (300, 620, 420, 240)
    calls = _make_calls(shape, (0.14, 0.24), (0.12, 0.7), (750, 1500), 0.7, rough=0.5)
    return calls(rng, seconds, rate)


def synthesise_aircraft(rng: Random, seconds: Real, rate: int) -> Heard:
    """A propeller aeroplane that passes: noise, and a whine that falls."""
    # Loudest in the middle, where it is nearest. The whine falls as it passes: the
    # Doppler effect, as a straight line.
    pass_by = 0.5 + 0.5 * np.sin(np.pi * _times(seconds, rate) / seconds)
    whine = float(rng.uniform(900, 1700)) * (
        1.1 - 0.2 * _times(seconds, rate) / seconds
    )
    sound = _make_noise(seconds, 90, 2600, rate, rng) + 0.35 * _buzz(whine, 1.0, rate)
    return sound * pass_by, []


def synthesise_race_car(rng: Random, seconds: Real, rate: int) -> Heard:
    """An engine whose pitch rises until each change of gear."""
    gap = float(rng.uniform(1.2, 2.0))
    strokes = _plan_strokes(seconds, gap, 0.1, rng)  # gear changes
    t = _times(seconds, rate)
    since = _time_since(strokes, t)
    # The pitch rises from one change of gear to the next and then drops back, a saw
    # tooth.
    rev = float(rng.uniform(110, 150)) * (1 + 0.9 * np.minimum(since / gap, 1.2))
    sound = _buzz(rev, 0.4, rate) + 0.25 * _make_noise(seconds, 500, 4000, rate, rng)
    return sound * (0.5 + 0.5 * _drift(seconds, rate, 1.5, rng)), strokes


def synthesise_helicopter(rng: Random, seconds: Real, rate: int) -> Heard:
    """Noise in the beat of the blades, and the turbine."""
    beat = float(rng.uniform(10, 16)) * _times(seconds, rate)
    # Each pass of a blade is a blow that dies away before the next one.
    blades = np.exp(-6 * (beat % 1.0)) + 0.08
    turbine = 0.15 * _buzz(np.full(len(beat), rng.uniform(500, 800)), 1.2, rate)
    return blades * _make_noise(seconds, 50, 900, rate, rng) + turbine * 0.4, []


def synthesise_frying(rng: Random, seconds: Real, rate: int) -> Heard:
    """A hiss with pops at random moments."""
    hiss = _make_noise(seconds, 2500, 7500, rate, rng)
    hiss *= 0.4 + 0.4 * _drift(seconds, rate, 0.7, rng)
    # 14 pops a second at independent moments: pops of fat have no rhythm.
    strokes = sorted(rng.uniform(0, seconds - 0.05, int(14 * seconds)).tolist())
    pop = [_make_burst(0.02, 800, 7000, 0.004, rate, rng) for _ in range(6)]
    return hiss + _add_strokes(
        seconds, rate, strokes, lambda k: rng.uniform(0.5, 4) * pop[k % 6]
    ), strokes


def synthesise_truck(rng: Random, seconds: Real, rate: int) -> Heard:
    """A diesel engine: knocks of low pitch over low noise."""
    rev = float(rng.uniform(24, 32)) * (0.9 + 0.4 * _drift(seconds, rate, 1.2, rng))
    # With a slope near 0 all harmonics are almost equally loud: knocks and not a tone.
    knock = _buzz(rev, 0.15, rate, (90, 180)) + 0.6 * _make_noise(
        seconds, 40, 350, rate, rng
    )
    return knock, []


def synthesise_shofar(rng: Random, seconds: Real, rate: int) -> Heard:
    """Blasts of a ram's horn that end a fourth higher: long ones or short ones."""
    f = float(rng.uniform(0.85, 1.25))
    shape = [230 * f, 345 * f, 350 * f, 350 * f, 460 * f]
    long = rng.random() < 0.5
    length, pause = ((1.2, 2.2), (0.3, 0.5)) if long else ((0.25, 0.5), (0.06, 0.15))
    calls = _make_calls(shape, length, pause, (900, 1500), 0.6, rough=0.12)
    return calls(rng, seconds, rate)


def synthesise_motorcycle(rng: Random, seconds: Real, rate: int) -> Heard:
    """An engine; each stroke is a burst of throttle that dies away."""
    strokes = _plan_strokes(
        seconds, float(rng.uniform(0.9, 1.6)), 0.2, rng
    )  # the throttle
    t = _times(seconds, rate)
    since = _time_since(strokes, t)
    throttle = np.exp(-since / 0.5)
    rev = float(rng.uniform(38, 55)) * (1 + 1.1 * throttle)
    sound = _buzz(rev, 0.1, rate, (200, 450))
    return sound * (0.5 + 0.5 * throttle), strokes


def synthesise_train_horn(rng: Random, seconds: Real, rate: int) -> Heard:
    """Blasts of a chord of five horns."""
    tune = float(rng.uniform(0.9, 1.12))
    now, strokes, blasts = 0.0, [], []
    while now < seconds - 0.3:
        span = min(float(rng.uniform(0.8, 2.0)), seconds - now)
        # The pitches of the five chimes, Hz: E flat, F sharp, A flat, B, E flat.
        chord = [_buzz(np.full(round(span * rate), f * tune), 0.5, rate)
                 for f in (311.0, 370.0, 415.0, 494.0, 622.0)]  # fmt: skip
        blasts.append(np.sum(chord, axis=0) * _fade_ends(span, rate, 0.08, 0.15))
        strokes.append(now)
        now += span + float(rng.uniform(0.15, 0.4))
    return _add_strokes(seconds, rate, strokes, lambda k: blasts[k]), strokes


def synthesise_clock(rng: Random, seconds: Real, rate: int) -> Heard:
    """Ticks and tocks of two pitches, and the case that rings with them."""
    # Half a second stands twice, so this usual beat is drawn twice as often.
    gap = float(rng.choice([0.25, 0.5, 0.5, 1.0]))
    strokes = list(np.arange(0.05, seconds - 0.05, gap))
    f = float(rng.uniform(1800, 2600))
    case = float(rng.uniform(300, 600))

    def tick(k: int) -> np.ndarray:
        pitch = f * (1.0 if k % 2 else 0.8)
        pairs = [(pitch, 1.0, 0.012), (2.3 * pitch, 0.5, 0.006), (case, 0.6, 0.03)]
        return _ring_tones(0.15, pairs, rate)

    return _add_strokes(seconds, rate, strokes, tick), strokes


def synthesise_bus(rng: Random, seconds: Real, rate: int) -> Heard:
    """A motor and its gears that speed up and slow down, and the hiss of the brakes."""
    # Half a sine is starting, driving and stopping; clipped, so that it never stands
    # still.
    speed = np.sin(np.pi * np.clip(_times(seconds, rate) / seconds, 0.08, 0.92))
    gear = _buzz(float(rng.uniform(240, 330)) * (0.5 + speed), 1.3, rate)
    motor = _buzz(float(rng.uniform(52, 66)) * (0.8 + 0.4 * speed), 0.5, rate)
    strokes = _plan_strokes(
        seconds, float(rng.uniform(1.6, 2.6)), 0.2, rng
    )  # its brakes
    hiss = [_make_burst(0.5, 2500, 7000, 0.15, rate, rng) for _ in strokes]
    air = _add_strokes(seconds, rate, strokes, lambda k: hiss[k])
    return 0.5 * gear * speed + motor + 0.9 * air, strokes


def synthesise_chainsaw(rng: Random, seconds: Real, rate: int) -> Heard:
    """A two-stroke engine that goes up each time the saw bites."""
    strokes = _plan_strokes(seconds, float(rng.uniform(0.8, 1.6)), 0.25, rng)
    t = _times(seconds, rate)
    since = _time_since(strokes, t)
    load = np.minimum(since / 0.3, 1.0)
    rev = float(rng.uniform(105, 140)) * (1.0 + 0.35 * load)
    rasp = 0.5 * _make_noise(seconds, 1500, 6500, rate, rng) * load
    return _buzz(rev, 0.15, rate, (1200, 2600)) * (0.6 + 0.4 * load) + rasp, strokes


def synthesise_horse(rng: Random, seconds: Real, rate: int) -> Heard:
    """Hoofbeats in the rhythm of a trot, and a neigh now and then."""
    beat = float(rng.uniform(0.42, 0.6))
    strides = np.array(_plan_strokes(seconds, beat, 0.03, rng))[:, None]
    # (strides, 1) + (3,): three beats in each stride, then one flat list in order of
    # time.
    strokes = (strides + beat * np.array([0.0, 0.22, 0.45])).ravel().tolist()
    strokes = [stroke for stroke in strokes if stroke < seconds - 0.05]
    hoof = [_make_burst(0.09, 350, 1600, 0.018, rate, rng) for _ in range(4)]
    sound = _add_strokes(seconds, rate, strokes, lambda k: 2.5 * hoof[k % 4])
    shape, throat = (500, 950, 800, 600, 420), (1100, 2300)
    calls = _make_calls(
        shape, (0.9, 1.4), (1.5, 3.0), throat, 0.6, rough=0.1, tremble=0.8
    )
    neigh, _ = calls(rng, seconds, rate)
    return sound + 0.6 * neigh, strokes


def synthesise_toilet_flush(rng: Random, seconds: Real, rate: int) -> Heard:
    """A rush of water that swirls faster and ends in a gurgle."""
    t = _times(seconds, rate)
    rush = np.minimum(t / 0.3, 1.0) * (0.35 + 0.65 * np.exp(-t / (0.6 * seconds)))
    # The swirl's frequency rises, so its phase is a sum over the samples.
    swirl = 1 + 0.5 * np.sin(2 * np.pi * np.cumsum(2.5 + 4 * t / seconds) / rate)
    water = _make_noise(seconds, 250, 3500, rate, rng) * rush * swirl
    gurgle = _buzz(130 + 120 * _drift(seconds, rate, 0.06, rng), 0.8, rate)
    return water + 0.35 * gurgle * (t / seconds), []


def synthesise_rodents(rng: Random, seconds: Real, rate: int) -> Heard:
    """High short squeaks, and scratching."""
    calls = _make_calls((3000, 4400, 3600), (0.04, 0.11), (0.04, 0.35), (), 1.5)
    squeaks, strokes = calls(rng, seconds, rate)
    scratch = _make_noise(seconds, 1500, 6000, rate, rng)
    # The power makes a few of the drift's values stand out: separate scratches.
    scratch *= _drift(seconds, rate, 0.05, rng) ** 4
    return squeaks + 0.35 * scratch, strokes


def synthesise_accordion(rng: Random, seconds: Real, rate: int) -> Heard:
    """A melody over a bass, each of two reeds a little out of tune."""
    strokes = _plan_strokes(seconds, float(rng.uniform(0.35, 0.6)), 0.05, rng)
    root = float(rng.uniform(196, 294))
    now = _times(seconds, rate)
    # Which note each sample belongs to; 0 before the first stroke, hence one note more.
    place = np.searchsorted(strokes, now, side="right")
    steps = rng.choice([0, 2, 4, 5, 7, 9, 12], len(strokes) + 1)
    melody = root * 2 * 2.0 ** (steps[place] / 12)
    sound = np.zeros(len(now))
    for pitch, level in ((melody, 1.0), (np.full(len(now), root / 2), 0.6)):
        # 0.8 % are 14 cents: the two reeds beat, which is the accordion's tremolo.
        for detune in (1.0, 1.008):
            sound += level * _buzz(pitch * detune, 0.7, rate)
    return sound * (0.75 + 0.25 * np.cos(2 * np.pi * 0.6 * now)), strokes


SOUNDS: dict[str, Callable[[Random, Real, int], Heard]] = {
    "Church bell": synthesise_church_bell,
    "Bark": synthesise_bark,
    "Fixed-wing aircraft, airplane": synthesise_aircraft,
    "Race car, auto racing": synthesise_race_car,
    "Helicopter": synthesise_helicopter,
    "Ukulele": _make_plucked(262, 660, 0.4, 0.25, 1.3, chord=3),
    "Frying (food)": synthesise_frying,
    "Truck": synthesise_truck,
    "Shofar": synthesise_shofar,
    "Motorcycle": synthesise_motorcycle,
    "Acoustic guitar": _make_plucked(82, 330, 0.3, 0.8, 1.5),
    "Train horn": synthesise_train_horn,
    "Clock": synthesise_clock,
    "Banjo": _make_plucked(196, 784, 0.13, 0.12, 0.6),
    "Goat": _make_calls((330, 400, 380, 330), (0.6, 1.0), (0.3, 0.9), (800, 1700), 0.5,
                   rough=0.1, tremble=1.0),
    "Baby cry, infant cry": _make_calls((380, 520, 500, 400), (0.7, 1.2), (0.15, 0.4),
                                   (1100, 2900), 0.8, rough=0.05),
    "Bus": synthesise_bus,
    "Chainsaw": synthesise_chainsaw,
    "Cat": _make_calls((520, 760, 700, 480), (0.5, 0.9), (0.3, 0.8), (950, 1900), 1.0),
    "Horse": synthesise_horse,
    "Toilet flush": synthesise_toilet_flush,
    "Rodents, rats, mice": synthesise_rodents,
    "Accordion": synthesise_accordion,
    "Mandolin": _make_plucked(392, 1175, 0.085, 0.16, 0.9),
}  # fmt: skip


# The places: what is heard there all the time, whatever happens.


def synthesise_wind(rng: Random, seconds: Real, rate: int) -> np.ndarray:
    """Low noise in slow gusts."""
    gusts = 0.3 + _drift(seconds, rate, 1.2, rng)
    return _make_noise(seconds, 40, rng.uniform(250, 600), rate, rng) * gusts


def synthesise_traffic(rng: Random, seconds: Real, rate: int) -> np.ndarray:
    """Low noise that swells as cars pass."""
    passing = 0.2 + _drift(seconds, rate, 2.0, rng) ** 2
    return _make_noise(seconds, 60, rng.uniform(700, 1300), rate, rng) * passing


def synthesise_room_tone(rng: Random, seconds: Real, rate: int) -> np.ndarray:
    """Soft noise and the hum of the mains at 50 or 100 Hz."""
    # Mains of 50 Hz hum at 50 Hz, and from a transformer at twice that.
    hum = np.full(round(seconds * rate), 50.0 * rng.integers(1, 3))
    return _make_noise(seconds, 60, 3000, rate, rng) + 0.7 * _buzz(hum, 1.5, rate)


def synthesise_rain(rng: Random, seconds: Real, rate: int) -> np.ndarray:
    """Steady high noise."""
    return _make_noise(seconds, rng.uniform(700, 1500), 6000, rate, rng)


def synthesise_crowd(rng: Random, seconds: Real, rate: int) -> np.ndarray:
    """Noise in the band of voices, with the rhythm of talk."""
    # A new level each 0.12 s is about the rate of syllables.
    talk = 0.4 + _drift(seconds, rate, 0.12, rng)
    return _make_noise(seconds, 200, 1800, rate, rng) * talk


def synthesise_birds(rng: Random, seconds: Real, rate: int) -> np.ndarray:
    """Chirps at random moments over soft noise."""
    calls = _make_calls((2400, 3300, 2700), (0.06, 0.2), (0.3, 1.5), (), 2.0)
    sound, _ = calls(rng, seconds, rate)
    return sound + 0.25 * _make_noise(seconds, 80, 2000, rate, rng)


BACKGROUNDS = (
    synthesise_wind,
    synthesise_traffic,
    synthesise_room_tone,
    synthesise_rain,
    synthesise_crowd,
    synthesise_birds,
)
