"""The sound of a performance: additive synthesis, noise and a small room.

An instrument is a spectral envelope over frequency: a slope, formants, and a low-pass
that opens with loudness. The harmonics of the pitch sample that envelope. A band of
breath or bow noise, strongest in the attack, is added. A bow is heard: `Bowing` says
how its place on the hair and its direction colour the sound. The harmonics of every
block are scaled to unit power and then by the performance's loudness, so the envelope
that is heard is that curve.
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import next_fast_len

from data_scripts.bandstand.world import (
    ORCHESTRA,
    Performance,
    Voice,
    choose_voice,
    make_generator,
)

# 16 ms at 16 kHz, 6 ms at 44.1 kHz: short against the attack of a note.
BLOCK = 256  # samples over which amplitudes change linearly
HARMONICS = 80  # at most; those above Nyquist are dropped
FULL_RMS = 0.3  # RMS of the sound at loudness 1
PEAK = 0.9  # no sample is larger
FLOOR_DB = -64.0  # RMS of the room's own noise, dBFS


@dataclass(frozen=True)
class Timbre:
    """The spectrum of an instrument: frequencies in Hz, levels in dB.

    Args:
        slope: dB an octave of harmonic number.
        drive: what the slope gains from silence to full loudness, dB an octave.
        even: level of the even harmonics below 2 kHz.
        lowpass: from here on the spectrum falls 12 dB an octave.
        opening: the low-pass is times 1 + opening at full loudness.
        formants: (frequency, gain, width in octaves) each.
        ripple: spread of the body's resonances, most of it shared by all players.
        noise: of breath or bow, relative to the tone.
        burst: of noise with which a note begins, relative to the tone.
        burst_time: s in which the burst dies away.
        band: low and high end of the noise.
        growl: depth of a modulation at half the pitch.
    """

    slope: float
    drive: float
    even: float
    lowpass: float
    opening: float
    formants: tuple[tuple[float, float, float], ...]
    ripple: float
    noise: float
    burst: float
    burst_time: float
    band: tuple[float, float]
    growl: float = 0.0


TIMBRES = {
    "bassoon": Timbre(
        -5.5, 3.0, 0.0, 2600.0, 0.3,
        ((480.0, 13.0, 0.55), (1180.0, 5.0, 0.4)),
        3.0, -38.0, -22.0, 0.025, (600.0, 4000.0),
    ),
    "cello": Timbre(
        -5.5, 2.0, 0.0, 4200.0, 0.2,
        ((220.0, 4.0, 0.5), (420.0, 4.0, 0.4), (1500.0, 4.0, 0.6)),
        4.5, -32.0, -16.0, 0.05, (500.0, 5000.0),
    ),
    "clarinet": Timbre(
        -6.0, 4.0, -26.0, 2600.0, 0.5,
        ((1500.0, 3.0, 0.6),),
        2.8, -38.0, -26.0, 0.02, (1000.0, 6000.0),
    ),
    "double_bass": Timbre(
        -6.5, 2.0, 0.0, 1500.0, 0.3,
        ((100.0, 5.0, 0.6), (220.0, 4.0, 0.5), (600.0, 2.0, 0.5)),
        4.5, -30.0, -14.0, 0.07, (250.0, 2500.0),
    ),
    "erhu": Timbre(  # a skin of python: nasal, with a strong second formant
        -3.5, 2.5, 0.0, 6200.0, 0.2,
        ((780.0, 9.0, 0.4), (1550.0, 8.0, 0.4), (2900.0, 6.0, 0.45)),
        3.5, -27.0, -17.0, 0.03, (1000.0, 8500.0),
    ),
    "flute": Timbre(
        -11.0, 5.0, 0.0, 5000.0, 0.2,
        ((900.0, 4.0, 0.8),),
        2.8, -24.0, -12.0, 0.04, (800.0, 9000.0),
    ),
    "horn": Timbre(
        -6.5, 5.0, 0.0, 1200.0, 1.0,
        ((360.0, 7.0, 0.7),),
        2.8, -42.0, -28.0, 0.03, (400.0, 2500.0),
    ),
    "oboe": Timbre(
        -3.0, 2.0, 0.0, 5600.0, 0.2,
        ((1150.0, 12.0, 0.5), (2950.0, 9.0, 0.4)),
        3.0, -38.0, -24.0, 0.015, (1500.0, 8000.0),
    ),
    "sax": Timbre(
        -5.0, 4.0, -2.0, 4000.0, 0.5,
        ((700.0, 7.0, 0.5), (1700.0, 6.0, 0.45), (3000.0, 3.0, 0.4)),
        3.0, -29.0, -18.0, 0.03, (1200.0, 7000.0), growl=0.07,
    ),
    "trombone": Timbre(
        -4.0, 6.0, 0.0, 2200.0, 1.5,
        ((520.0, 6.0, 0.6), (1500.0, 3.0, 0.5)),
        2.8, -42.0, -26.0, 0.025, (400.0, 4000.0),
    ),
    "trumpet": Timbre(
        -4.0, 6.0, 0.0, 3600.0, 1.5,
        ((1200.0, 7.0, 0.6), (2300.0, 5.0, 0.4)),
        2.8, -40.0, -24.0, 0.02, (800.0, 8000.0),
    ),
    "tuba": Timbre(
        -6.5, 4.0, 0.0, 520.0, 0.9,
        ((220.0, 6.0, 0.7),),
        2.8, -40.0, -26.0, 0.04, (200.0, 1500.0),
    ),
    "viola": Timbre(
        -5.0, 2.0, 0.0, 4800.0, 0.2,
        ((230.0, 3.0, 0.4), (600.0, 4.0, 0.5), (1200.0, 6.0, 0.5)),
        4.5, -30.0, -17.0, 0.04, (800.0, 7000.0),
    ),
    "violin": Timbre(
        -5.0, 2.0, 0.0, 6500.0, 0.2,
        ((290.0, 3.0, 0.3), (500.0, 4.0, 0.4), (2700.0, 8.0, 0.6)),
        4.5, -29.0, -18.0, 0.035, (1000.0, 9000.0),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Bowing:
    """How the bow of a string instrument colours its sound.

    Near the frog the arm's weight lies on the string: the tone is brighter and the hair
    hisses. Near the tip it is darker and cleaner. A down-bow grates and begins with a
    bite, an up-bow begins softly. A slurred note has no attack at all.

    Args:
        weight: what the spectrum's slope gains at the frog and loses at the tip, dB an
            octave.
        hiss: level of the hair's hiss in mid-bow, relative to the tone, dB.
        hiss_range: what it gains at the frog and loses at the tip, dB.
        hiss_band: its low and high end, Hz.
        grain: what the bow noise gains in a down-bow and loses in an up-bow, dB.
        bite: what the burst of an attack gains and loses so, dB.
    """

    weight: float = 2.0
    hiss: float = -27.0
    hiss_range: float = 14.0
    hiss_band: tuple[float, float] = (5000.0, 7500.0)
    grain: float = 6.0
    bite: float = 6.0


BOWING = Bowing()


def synthesise(performance: Performance, sample_rate: int = 44100) -> np.ndarray:
    """Synthesise what is heard of a performance, the same in every process.

    Args:
        performance: what is played.
        sample_rate: Hz.

    Returns:
        float32 (round(duration * sample_rate),), |sample| <= PEAK.
    """
    samples = round(performance.duration * sample_rate)
    own = choose_voice(performance.instrument, performance.player)
    timbre = TIMBRES[performance.instrument]
    # What belongs to the instrument (phases, resonances) depends on the player alone;
    # noise is drawn anew for each take.
    rng = make_generator("sound", performance.instrument, performance.player)
    rng_take = make_generator("take", performance.instrument, performance.seed)

    hertz = _hold_pitch(performance.pitch_hz)
    now = np.arange(samples) / sample_rate
    # The phase is the integral of a changing pitch, in cycles: a sum over samples.
    cycles = np.cumsum(np.interp(now, performance.time, hertz)) / sample_rate
    loudness = np.interp(now, performance.time, performance.loudness)

    tone = _make_tone(performance, timbre, own, hertz, cycles, sample_rate, rng)
    if timbre.growl:
        # cos(pi cycles) has half the pitch: every other period is a little louder.
        tone *= 1 + timbre.growl * own.noise * np.cos(np.pi * cycles)
    noise = make_band_noise(samples, timbre.band, sample_rate, rng_take)
    # bow and reed let the noise through in puffs, one a period
    noise *= 0.75 + 0.25 * np.cos(2 * np.pi * cycles)
    air = np.interp(now, performance.time, _noise_gain(performance, timbre)) * own.noise
    noise *= air
    if ORCHESTRA[performance.instrument].family == "string":
        high = min(BOWING.hiss_band[1], 0.45 * sample_rate)
        band = (min(BOWING.hiss_band[0], 0.7 * high), high)
        hiss = make_band_noise(samples, band, sample_rate, rng_take)
        stroke = np.interp(now, performance.time, performance.stroke)
        level = BOWING.hiss - BOWING.hiss_range * stroke
        noise += 10 ** (level / 20) * hiss
    # `tone` has the loudness in it already; the noise gets it here.
    dry = FULL_RMS * (tone + loudness * noise)
    return add_room(dry, own.room, sample_rate, rng_take)


def add_room(
    dry: np.ndarray, seed: int, sample_rate: int, rng: np.random.Generator
) -> np.ndarray:
    """Add a room's reverberation and its own noise.

    Args:
        dry: the sound as it leaves its source, (samples,).
        seed: of the room.
        sample_rate: Hz.
        rng: draws the noise.

    Returns:
        float32 (samples,), |sample| <= PEAK.
    """
    wet = dry + reverberate(dry, seed, sample_rate)
    # 2 % are left for the room's noise, which is added after. The bound keeps silence
    # from a division by zero.
    wet = wet * min(1.0, 0.98 * PEAK / max(float(np.abs(wet).max()), 1e-9))
    # A recording is never quite silent. Digital zeros have no logarithm, and would tell
    # a network where the rests are.
    floor = make_band_noise(len(dry), (60.0, 3000.0), sample_rate, rng)
    wet += 10 ** (FLOOR_DB / 20) * floor
    return np.asarray(np.clip(wet, -PEAK, PEAK), np.float32)


def _hold_pitch(pitch_hz: np.ndarray) -> np.ndarray:
    """The pitch with its silences filled by the note before (or the first).

    A harmonic that fades out must keep its frequency, not glide down to 0 Hz.
    """
    sounding = np.flatnonzero(pitch_hz > 0)
    if not len(sounding):
        return np.full_like(pitch_hz, 220.0)
    # For each step the index of the last one that sounded; -1 before the first.
    last = np.searchsorted(sounding, np.arange(len(pitch_hz)), side="right") - 1
    return np.asarray(pitch_hz[sounding[np.maximum(last, 0)]])


def _noise_gain(performance: Performance, timbre: Timbre) -> np.ndarray:
    """Gain of the noise over the tone, (K,): steady, plus each note's attack."""
    string = ORCHESTRA[performance.instrument].family == "string"
    # Levels are decibels of amplitude, hence the 20 below.
    steady = np.full(len(performance.time), timbre.noise)
    bursts = np.zeros(len(performance.time))
    for note in performance.notes:
        since = performance.time - note.onset
        level = timbre.burst
        if string:  # until the next note the bow goes this note's way
            steady[since >= 0] = timbre.noise + BOWING.grain * note.bow
            level += BOWING.bite * note.bow
        if note.slurred:
            continue
        burst = 10 ** (level / 20) * np.exp(-np.maximum(since, 0) / timbre.burst_time)
        bursts += np.where(since >= 0, burst, 0.0)
    return np.asarray(10 ** (steady / 20) + bursts)


def _sample_spectrum(
    timbre: Timbre,
    own: Voice,
    hertz: np.ndarray,
    loudness: np.ndarray,
    stroke: np.ndarray,
    resonances: np.ndarray,
) -> np.ndarray:
    """Amplitudes (blocks + 1, harmonics) of unit power for each block's pitch."""
    order = np.arange(1, HARMONICS + 1)
    octave = np.log2(order)
    # (blocks + 1, 1) * (harmonics,) -> (blocks + 1, harmonics), as all levels below
    frequency = hertz[:, None] * order
    # The timbre of the table holds at half loudness: louder is brighter.
    push = loudness[:, None] - 0.5
    weight = -BOWING.weight * stroke[:, None]  # winds have a stroke of 0
    slope = timbre.slope + own.brightness / 2 + timbre.drive * push + weight
    level = slope * octave
    cutoff = timbre.lowpass * (1 + timbre.opening * loudness[:, None])
    cutoff = cutoff * 2 ** (own.brightness / 6)
    # A Butterworth low-pass of the second order.
    level = level - 10 * np.log10(1 + (frequency / cutoff) ** 4)
    # A formant stays where it is as the pitch changes: it belongs to the body, whose
    # size the player's factor scales.
    pitch = np.log2(frequency / own.body)
    for centre, gain, width in timbre.formants:
        level += gain * np.exp(-(((pitch - np.log2(centre)) / width) ** 2))
    # the body's resonances: a curve over log-frequency, linear between its knots
    knots = np.linspace(np.log2(40), np.log2(16000), len(resonances))
    level += timbre.ripple * np.interp(pitch, knots, resonances)
    if timbre.even:  # a clarinet is closed at one end: its even harmonics are weak
        hollow = timbre.even / (1 + (frequency / 2000.0) ** 2)
        level += np.where(order % 2 == 0, hollow, 0.0)
    amplitude = 10 ** (level / 20)
    # a sine of amplitude a has the power a**2 / 2
    power = 0.5 * np.sum(amplitude**2, axis=1, keepdims=True)
    return np.asarray(amplitude / np.sqrt(power))


def _make_tone(
    performance: Performance,
    timbre: Timbre,
    own: Voice,
    hertz: np.ndarray,
    cycles: np.ndarray,
    sample_rate: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """The harmonics of the performance, (samples,)."""
    shared = make_generator("body", performance.instrument).normal(size=60)
    # 0.9**2 + 0.4**2 is about 1: most of the curve is the instrument's, the rest the
    # player's own.
    resonances = 0.9 * shared + 0.4 * rng.normal(size=60)
    offset = rng.uniform(0, 2 * np.pi, HARMONICS).astype(np.float32)
    # Blocks, rounded up; they have one edge more.
    frames = -(-len(cycles) // BLOCK)
    edges = np.arange(frames + 1) * BLOCK / sample_rate
    loudness = np.interp(edges, performance.time, performance.loudness)
    pitch = np.interp(edges, performance.time, hertz)
    stroke = np.interp(edges, performance.time, performance.stroke)
    amplitude = _sample_spectrum(timbre, own, pitch, loudness, stroke, resonances)
    shimmer = 1 + 0.03 * rng.normal(size=amplitude.shape)
    # Spectra of unit power times the loudness: the RMS follows the truth.
    amplitude = amplitude * shimmer * loudness[:, None]
    order = np.arange(1, HARMONICS + 1)
    # what lies above half the sample rate would be folded back as a false tone
    amplitude[pitch[:, None] * order > 0.47 * sample_rate] = 0.0
    return sum_harmonics(amplitude, cycles, offset)


def sum_harmonics(
    amplitude: np.ndarray, cycles: np.ndarray, offset: np.ndarray
) -> np.ndarray:
    """Sum the harmonics of one fundamental.

    Args:
        amplitude: (blocks + 1, harmonics), at the edges of blocks of BLOCK samples;
            between the edges it is linear.
        cycles: of the fundamental since the start, (samples,).
        offset: the harmonics' phases, radians, float32 (harmonics,).

    Returns:
        float64 (samples,).
    """
    frames = len(amplitude) - 1
    order = np.arange(1, amplitude.shape[1] + 1)
    phase = np.zeros(frames * BLOCK, dtype=np.float32)
    # Whole cycles are dropped while the numbers are float64. After minutes they are in
    # the ten thousands, where float32 keeps only two or three digits of a cycle.
    phase[: len(cycles)] = 2 * np.pi * (cycles % 1.0)
    tone = np.zeros((frames, BLOCK), dtype=np.float32)
    ramp = np.arange(BLOCK, dtype=np.float32) / BLOCK
    phases = phase.reshape(frames, BLOCK)
    # A block counts if it is heard at either edge; rests cost nothing.
    loud = np.asarray(amplitude.any(axis=1))
    sounding = np.flatnonzero(loud[:-1] | loud[1:])
    # 32 blocks at a time keep the harmonics' waves in the cache
    for block in np.array_split(sounding, max(1, len(sounding) // 32)):
        if not len(block):
            continue
        first, last = amplitude[block], amplitude[block + 1]
        # 1e-4 is -80 dB. Only the harmonics up to the last that is heard are computed.
        heard = np.flatnonzero(np.maximum(first, last).max(axis=0) > 1e-4)
        count = int(heard[-1]) + 1 if len(heard) else 1
        # k times the fundamental's phase, (harmonics, blocks, BLOCK)
        angle = np.multiply.outer(order[:count].astype(np.float32), phases[block])
        angle += offset[:count, None, None]
        # (harmonics, blocks, BLOCK) -> (blocks, harmonics, BLOCK) for the matmul
        waves = np.sin(angle, out=angle).transpose(1, 0, 2)
        # (blocks, 2, harmonics) @ (blocks, harmonics, BLOCK): one product gives the
        # sums with the amplitudes of the first edge and with their changes.
        both = np.stack([first, last - first], axis=1)[:, :, :count]
        start, change = np.moveaxis(both.astype(np.float32) @ waves, 1, 0)
        tone[block] = start + ramp * change
    return tone.reshape(-1)[: len(cycles)].astype(np.float64)


def make_band_noise(
    samples: int, band: tuple[float, float], sample_rate: int, rng: np.random.Generator
) -> np.ndarray:
    """Make noise of unit RMS in a band of frequencies.

    Args:
        samples: how many.
        band: its low and high end, Hz; beyond them it falls 12 dB an octave.
        sample_rate: Hz.
        rng: draws the noise.

    Returns:
        (samples,)
    """
    # the FFT of a long prime length would take minutes
    size = next_fast_len(max(samples, 2), real=True)
    frequency = np.fft.rfftfreq(size, 1 / sample_rate)
    frequency[0] = 1e-3  # 0 Hz would divide by zero
    gain = 1 / np.sqrt(
        (1 + (band[0] / frequency) ** 4) * (1 + (frequency / band[1]) ** 4)
    )
    # with the size: without it an odd one comes back a sample shorter
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(size)) * gain, size)[:samples]
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))


def reverberate(dry: np.ndarray, seed: int, sample_rate: int) -> np.ndarray:
    """Make a room's reverberation alone, without the dry sound.

    Its impulse response is a few early reflections and a short, dark tail.

    Args:
        dry: the sound, (samples,).
        seed: of the room.
        sample_rate: Hz.

    Returns:
        (samples,)
    """
    rng = make_generator("room", seed)
    decay = rng.uniform(0.18, 0.38)  # seconds to -60 dB
    length = int(decay * sample_rate)
    now = np.arange(length) / sample_rate
    tail = rng.standard_normal(length) * 10 ** (-3 * now / decay)
    tail = np.convolve(tail, np.hanning(9)[1:-1] / 4, mode="same")  # walls eat treble
    # The tail begins after 12 ms; the reflections that are added below may come sooner.
    tail[: int(0.012 * sample_rate)] = 0.0
    # The tail's energy is set last, after the filter and the gap have changed it.
    tail *= rng.uniform(0.06, 0.16) / np.sqrt(np.sum(tail**2))
    for _ in range(4):
        tail[int(rng.uniform(0.004, 0.03) * sample_rate)] += rng.uniform(-0.06, 0.06)
    # Long enough for the whole convolution: a shorter FFT would wrap its end to the
    # start.
    size = next_fast_len(len(dry) + length, real=True)
    return np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(tail, size), size)[
        : len(dry)
    ]
