"""The sound of what hands strike: each stroke is a sum of modes that die away.

A struck body vibrates in modes, each with its frequency, strength and decay. What makes
the instruments differ is the ratios: a loaded tabla skin and a tuned bar are nearly
harmonic, a clay pot is not. A click of noise begins each stroke. A take is made by
placing strokes on the time line, and putting them into a room.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_scripts.bandstand.canvas import Real
from data_scripts.bandstand.hands import KINDS, STRING_GAP, Striking, Stroke
from data_scripts.bandstand.sound import FULL_RMS, add_room, make_band_noise
from data_scripts.bandstand.world import make_generator, midi_to_hz

VARIANTS = 2  # of each stroke: the same samples again and again sound like a machine
DAMP = 0.012  # s in which a string that is struck again falls silent


@dataclass(frozen=True)
class Mode:
    """One mode of vibration.

    Args:
        ratio: of its frequency to the stroke's pitch.
        level: its amplitude.
        decay: s in which it falls to 1 / e.
    """

    ratio: Real
    level: Real
    decay: Real


@dataclass(frozen=True)
class Body:
    """What is heard of one kind of stroke.

    Args:
        modes: of the struck body.
        hertz: the pitch of ratio 1 where the stroke has no pitch of its own.
        click: level of the noise with which it begins.
        band: low and high end of that noise, Hz.
        length: s in which the noise falls to 1 / e.
        glide: the pitch rises by this factor after the stroke.
        rise: s in which it does.
    """

    modes: tuple[Mode, ...]
    hertz: float
    click: float
    band: tuple[float, float]
    length: float
    glide: float = 1.0
    rise: float = 0.12


def _modes(*rows: tuple[Real, Real, Real]) -> tuple[Mode, ...]:
    return tuple(Mode(*row) for row in rows)


# A tabla's right skin carries a paste that makes its modes nearly harmonic (Raman
# 1920): 1, 2, 3, 4, 5. A stroke on the rim damps the first. The left drum is a low tone
# that the heel of the hand bends upwards. A clay pot has the resonance of its air (its
# mouth) and the modes of its wall, which are in no simple ratio. A xylophone's bars are
# cut such that their second mode is three times their first.
BODIES: dict[str, Body] = {
    "na": Body(
        _modes((1, 0.12, 0.3), (2.0, 1.0, 0.26), (3.01, 0.8, 0.22), (4.03, 0.4, 0.15),
               (5.06, 0.2, 0.1)),
        0.0, 0.5, (2500.0, 7000.0), 0.004,
    ),
    "tin": Body(
        _modes((1, 0.5, 0.34), (2.0, 1.0, 0.32), (3.01, 0.25, 0.2), (4.03, 0.08, 0.1)),
        0.0, 0.2, (1500.0, 5000.0), 0.005,
    ),
    "tun": Body(
        _modes((0.98, 1.0, 0.45), (1.99, 0.3, 0.3), (3.0, 0.12, 0.15)),
        0.0, 0.2, (1000.0, 4000.0), 0.005,
    ),
    "te": Body(
        _modes((0.9, 0.4, 0.03), (1.6, 0.5, 0.025), (2.4, 0.4, 0.02)),
        0.0, 1.0, (700.0, 4500.0), 0.014,
    ),
    "ge": Body(
        _modes((1, 1.0, 0.34), (2.02, 0.7, 0.28), (3.05, 0.4, 0.2), (4.1, 0.15, 0.1)),
        84.0, 0.25, (300.0, 2000.0), 0.008, glide=1.38, rise=0.16,
    ),
    "ke": Body(
        _modes((1, 0.5, 0.03), (2.3, 0.4, 0.02)),
        150.0, 1.0, (250.0, 2200.0), 0.02,
    ),
    "thom": Body(
        _modes((1, 1.0, 0.2), (2.05, 0.3, 0.1), (5.1, 0.12, 0.04), (9.3, 0.06, 0.02)),
        102.0, 0.22, (200.0, 1500.0), 0.01,
    ),
    "ta": Body(
        _modes((1, 0.7, 0.08), (1.62, 1.0, 0.075), (2.41, 0.7, 0.055),
               (3.33, 0.4, 0.04), (4.6, 0.2, 0.03)),
        1120.0, 0.5, (2500.0, 7500.0), 0.004,
    ),
    "nam": Body(
        _modes((1, 1.0, 0.12), (1.83, 0.8, 0.09), (2.74, 0.45, 0.06), (4.1, 0.2, 0.04)),
        610.0, 0.35, (1500.0, 6000.0), 0.005,
    ),
    "ki": Body(
        _modes((1, 1.0, 0.09), (1.9, 0.7, 0.06), (2.9, 0.35, 0.04)),
        430.0, 0.5, (800.0, 4500.0), 0.007,
    ),
    "bar": Body(
        _modes((1, 1.0, 0.26), (3.0, 0.35, 0.08), (6.1, 0.14, 0.03)),
        0.0, 0.28, (900.0, 5000.0), 0.005,
    ),
}  # fmt: skip
# A take is about as loud as a bowed one, so that loudness tells no class.
GAIN = {"acoustic_guitar": 1.4, "ghatam": 2.2, "tabla": 1.75, "xylophone": 1.5}
RING = 2.2  # s that a string is heard at most
OPEN = 0.9  # s in which a guitar string's first harmonic falls to 1 / e
PARTIALS = 18  # of a string, at most


def synthesise_strokes(played: Striking, sample_rate: int = 44100) -> np.ndarray:
    """Synthesise what is heard of a striking player, in a room.

    Args:
        played: what is struck.
        sample_rate: Hz.

    Returns:
        float32 (round(duration * sample_rate),), |sample| <= sound.PEAK.
    """
    rng = make_generator("hand sound", played.instrument, played.player)
    samples = round(played.duration * sample_rate)
    # A few seconds more than is heard: a string near the end rings on beyond it.
    dry = np.zeros(samples + 4 * sample_rate)
    room = int(rng.integers(1 << 31))
    if played.instrument == "acoustic_guitar":
        _add_strings(dry, played, sample_rate, rng)
    else:
        _add_strokes(dry, played, sample_rate, rng)
    take = make_generator("hand take", played.instrument, played.seed)
    dry = FULL_RMS * GAIN[played.instrument] * dry[:samples]
    return add_room(dry, room, sample_rate, take)


def _add_strokes(
    dry: np.ndarray, played: Striking, rate: int, rng: np.random.Generator
) -> None:
    """Add each stroke of a drum or a bar where it is struck."""
    made: dict[tuple[str, tuple[float, ...], int], np.ndarray] = {}
    colour = float(rng.uniform(0.75, 1.3))  # how strong this player's high modes are
    for number, stroke in enumerate(played.strokes):
        key = (stroke.name, stroke.midi, number % VARIANTS)
        if key not in made:
            hertz = _find_pitch(played, stroke)
            made[key] = _strike_body(stroke.name, hertz, colour, rate, rng)
        first = round(stroke.time * rate)
        one = made[key] * (KINDS[played.instrument][stroke.name].level)
        dry[first : first + len(one)] += stroke.velocity * one


def _find_pitch(played: Striking, stroke: Stroke) -> float:
    """The frequency of a stroke's mode of ratio 1, Hz."""
    own = BODIES[stroke.name].hertz
    if stroke.midi:
        return midi_to_hz(stroke.midi[0] + played.tuning)
    if own:  # a player's pot, or left drum, is a little higher or lower than another's
        away = played.tuning if played.instrument == "ghatam" else played.tuning - 63.5
        return float(own * 2.0 ** (0.5 * away / 12))
    return midi_to_hz(played.tuning)


def _strike_body(
    name: str, hertz: float, colour: float, rate: int, rng: np.random.Generator
) -> np.ndarray:
    """One stroke at full velocity; its largest sample is about 1.

    Args:
        name: a key of `BODIES`.
        hertz: the pitch of ratio 1.
        colour: a factor on all modes above the first.
        rate: Hz.
        rng: draws what differs from one stroke to the next.
    """
    body = BODIES[name]
    longest = max(mode.decay for mode in body.modes)
    t = np.arange(int(6 * max(longest, body.length) * rate)) / rate
    # 0.4 % about the pitch: no stroke hits the same place twice.
    hertz *= float(np.exp(rng.normal(0, 0.004)))
    bend = body.glide * float(np.exp(rng.normal(0, 0.05))) if body.glide > 1 else 1.0
    # Cycles of a pitch that glides from 1 to `bend`: its integral over time.
    cycles = hertz * (bend * t - (bend - 1) * body.rise * (1 - np.exp(-t / body.rise)))
    sound = np.zeros(len(t))
    for number, mode in enumerate(body.modes):
        if mode.ratio * hertz * bend > 0.45 * rate:
            continue  # it would be folded back as a false tone
        level = mode.level * float(rng.uniform(0.85, 1.15)) * (colour if number else 1)
        wave = np.sin(2 * np.pi * mode.ratio * cycles)
        sound += level * wave * np.exp(-t / mode.decay)
    # The skin does not jump: 1 ms until the modes are there; the click is at once.
    sound *= 1 - np.exp(-t / 0.0007)
    sound /= np.abs(sound).max()
    noise = make_band_noise(len(t), _limit(body.band, rate), rate, rng)
    return sound + 0.35 * body.click * noise * np.exp(-t / body.length)


def _limit(band: tuple[float, float], rate: int) -> tuple[float, float]:
    """A band below what the sample rate can hold, Hz."""
    return min(band[0], 0.3 * rate), min(band[1], 0.45 * rate)


# --------------------------------------------------------------------- guitar


def _add_strings(
    dry: np.ndarray, played: Striking, rate: int, rng: np.random.Generator
) -> None:
    """Add each string that a hand crosses; a string that is struck again is damped."""
    made: dict[tuple[float, int], np.ndarray] = {}
    place = float(rng.uniform(0.13, 0.24))  # where this player plucks: a share
    bright = float(rng.uniform(0.8, 1.25))
    plucked: dict[float, list[tuple[float, float]]] = {}  # pitch -> (time, force)
    for stroke in played.strokes:
        level = KINDS[played.instrument][stroke.name].level * stroke.velocity
        # A strum has several strings, which together are as loud as its level.
        force = level / np.sqrt(len(stroke.midi))
        # Fast strums are loud strums.
        gap = STRING_GAP * (1.5 - 0.8 * stroke.velocity)
        for k, midi in enumerate(stroke.midi):
            plucked.setdefault(midi, []).append((stroke.time + k * gap, force))
    chords = [chord.time for chord in played.chords] + [np.inf]
    for midi, moments in plucked.items():
        ends = [moment for moment, _ in moments[1:]] + [np.inf]
        for number, ((moment, force), end) in enumerate(
            zip(moments, ends, strict=True)
        ):
            key = (midi, number % VARIANTS)
            if key not in made:
                made[key] = _pluck_string(
                    midi_to_hz(midi + played.tuning), place, bright, rate, rng
                )
            # The left hand leaves the string where the next chord begins.
            change = next(chord for chord in chords if chord > moment + 0.02)
            _place(dry, force * made[key], moment, min(end, change), rate)


def _place(
    dry: np.ndarray, one: np.ndarray, moment: float, end: float, rate: int
) -> None:
    """Add a tone that begins at a moment and is damped at its end, s."""
    first = round(moment * rate)
    held = len(one) if end == np.inf else round((end - moment) * rate)
    fade = round(DAMP * rate)
    tone = one[: held + fade].copy()
    if len(tone) > held:
        tone[held:] *= np.linspace(1, 0, fade)[: len(tone) - held]
    tone = tone[: max(0, len(dry) - first)]
    dry[first : first + len(tone)] += tone


def _pluck_string(
    hertz: float, place: float, bright: float, rate: int, rng: np.random.Generator
) -> np.ndarray:
    """A plucked string at full force; its largest sample is 1.

    Plucked at a share p of its length, the k-th partial begins with sin(k π p) / k.
    Stiffness makes partials a little sharp; high ones die sooner.
    """
    order = np.arange(1, PARTIALS + 1)
    partials = hertz * order * np.sqrt(1 + 4e-5 * order**2)
    partials = partials[partials < min(0.45 * rate, 7000.0)]
    order = order[: len(partials)]
    where = place * float(rng.uniform(0.92, 1.08))
    level = np.abs(np.sin(np.pi * order * where)) / order ** (1.15 / bright)
    # The body's air and its top resonate at about 100 and 200 Hz.
    for centre in (102.0, 205.0):
        level *= 1 + 0.9 * np.exp(-(((np.log2(partials / centre)) / 0.35) ** 2))
    decay = OPEN * (110 / hertz) ** 0.35 / (1 + 0.35 * (order - 1) + (partials / 4e3))
    return _sum_decays(partials, level, decay, float(decay.max()), rate, rng)


def _sum_decays(
    partials: np.ndarray,
    level: np.ndarray,
    decay: np.ndarray,
    longest: float,
    rate: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Partials that die away, with the noise of the nail; the largest sample is 1."""
    t = np.arange(int(min(3 * longest, RING) * rate)) / rate
    sound = np.zeros(len(t))
    for hertz, strength, tau in zip(partials, level, decay, strict=True):
        # After 5 decays little is left, and high partials are over soon.
        heard = min(len(t), int(5 * tau * rate))
        now = t[:heard]
        sound[:heard] += strength * np.exp(-now / tau) * np.sin(2 * np.pi * hertz * now)
    # A cut in mid-sound would click.
    sound *= (1 - np.exp(-t / 0.0006)) * np.clip((t[-1] - t) / 0.1, 0, 1)
    sound /= np.abs(sound).max()
    band = _limit((1500.0, 6000.0), rate)
    nail = make_band_noise(int(0.03 * rate), band, rate, rng)
    nail *= np.exp(-t[: len(nail)] / 0.004)
    sound[: len(nail)] += 0.3 * nail
    return sound
