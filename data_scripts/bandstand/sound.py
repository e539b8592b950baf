"""The sound of a performance: additive synthesis, noise and a small room.

Each instrument is a spectral envelope over frequency (slope, formants, a low-pass
that opens with loudness) sampled by the harmonics of the pitch, plus a band of
breath or bow noise that is strongest in the attack. The harmonics of every frame
are scaled to unit power and then by the performance's loudness, so that curve is
the envelope that is heard.
"""

from dataclasses import dataclass

import numpy as np

from data_scripts.bandstand.world import (
    Performance,
    Voice,
    choose_voice,
    make_generator,
)

BLOCK = 256  # samples over which amplitudes change linearly
HARMONICS = 80  # at most; those above Nyquist are dropped
FULL_RMS = 0.3  # RMS of the sound at loudness 1
PEAK = 0.9  # no sample is larger
FLOOR_DB = -64.0  # RMS of the room's own noise, dBFS


@dataclass(frozen=True)
class Timbre:
    """The spectrum of an instrument. Frequencies in Hz, levels in dB.

    `formants` are (frequency, gain, width in octaves). The low-pass falls 12 dB an
    octave from `lowpass` on, times 1 + `opening` at full loudness. `noise` and
    `burst` are relative to the tone; the burst dies away with `burst_time` seconds.
    """

    slope: float  # dB an octave of harmonic number
    drive: float  # dB an octave gained from silence to full loudness
    even: float  # of the even harmonics, below 2 kHz
    lowpass: float
    opening: float
    formants: tuple[tuple[float, float, float], ...]
    ripple: float  # spread of the body's resonances, most of it shared by all players
    noise: float
    burst: float
    burst_time: float
    band: tuple[float, float]  # of the noise
    growl: float = 0.0  # depth of modulation at half the pitch


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


def synthesise(performance: Performance, sample_rate: int = 44100) -> np.ndarray:
    """What is heard: float32 of shape (samples,), |sample| <= 0.9.

    The number of samples is round(duration * sample_rate). The same performance
    gives the same samples in every process.
    """
    samples = round(performance.duration * sample_rate)
    own = choose_voice(performance.instrument, performance.player)
    timbre = TIMBRES[performance.instrument]
    rng = make_generator("sound", performance.instrument, performance.player)
    rng_take = make_generator("take", performance.instrument, performance.seed)

    hertz = _held(performance.pitch_hz)
    now = np.arange(samples) / sample_rate
    cycles = np.cumsum(np.interp(now, performance.time, hertz)) / sample_rate
    loudness = np.interp(now, performance.time, performance.loudness)

    tone = _tone(performance, timbre, own, hertz, cycles, sample_rate, rng)
    if timbre.growl:
        tone *= 1 + timbre.growl * own.noise * np.cos(np.pi * cycles)
    noise = make_band_noise(samples, timbre.band, sample_rate, rng_take)
    noise *= 0.75 + 0.25 * np.cos(2 * np.pi * cycles)  # it comes in puffs
    air = np.interp(now, performance.time, _air(performance, timbre)) * own.noise
    dry = FULL_RMS * (tone + loudness * air * noise)
    return add_room(dry, own.room, sample_rate, rng_take)


def add_room(
    dry: np.ndarray, seed: int, sample_rate: int, rng: np.random.Generator
) -> np.ndarray:
    """Add the room's echo and its own noise; float32, |sample| <= PEAK."""
    wet = dry + reverberate(dry, seed, sample_rate)
    wet = wet * min(1.0, 0.98 * PEAK / max(float(np.abs(wet).max()), 1e-9))
    floor = make_band_noise(len(dry), (60.0, 3000.0), sample_rate, rng)
    wet += 10 ** (FLOOR_DB / 20) * floor
    return np.clip(wet, -PEAK, PEAK).astype(np.float32)


def _held(pitch_hz: np.ndarray) -> np.ndarray:
    """The pitch with its silences filled by the note before (or the first)."""
    sounding = np.flatnonzero(pitch_hz > 0)
    if not len(sounding):
        return np.full_like(pitch_hz, 220.0)
    last = np.searchsorted(sounding, np.arange(len(pitch_hz)), side="right") - 1
    return pitch_hz[sounding[np.maximum(last, 0)]]


def _air(performance: Performance, timbre: Timbre) -> np.ndarray:
    """Gain of the noise over the tone at CONTROL_RATE: steady, plus each attack."""
    gain = np.full(len(performance.time), 10 ** (timbre.noise / 20))
    for note in performance.notes:
        since = performance.time - note.onset
        burst = 10 ** (timbre.burst / 20) * np.exp(
            -np.maximum(since, 0) / timbre.burst_time
        )
        gain += np.where(since >= 0, burst, 0.0)
    return gain


def _envelope(
    timbre: Timbre,
    own: Voice,
    hertz: np.ndarray,
    loudness: np.ndarray,
    resonances: np.ndarray,
) -> np.ndarray:
    """Amplitudes (frames, harmonics) of unit power for each frame's pitch."""
    order = np.arange(1, HARMONICS + 1)
    octave = np.log2(order)
    frequency = hertz[:, None] * order
    push = loudness[:, None] - 0.5
    level = (timbre.slope + own.brightness / 2 + timbre.drive * push) * octave
    cutoff = timbre.lowpass * (1 + timbre.opening * loudness[:, None])
    cutoff = cutoff * 2 ** (own.brightness / 6)
    level = level - 10 * np.log10(1 + (frequency / cutoff) ** 4)
    pitch = np.log2(frequency / own.body)
    for centre, gain, width in timbre.formants:
        level += gain * np.exp(-(((pitch - np.log2(centre)) / width) ** 2))
    # The body's resonances: a curve over log-frequency, linear between its knots.
    knots = np.linspace(np.log2(40), np.log2(16000), len(resonances))
    level += timbre.ripple * np.interp(pitch, knots, resonances)
    if timbre.even:
        hollow = timbre.even / (1 + (frequency / 2000.0) ** 2)
        level += np.where(order % 2 == 0, hollow, 0.0)
    amplitude = 10 ** (level / 20)
    return amplitude / np.sqrt(0.5 * np.sum(amplitude**2, axis=1, keepdims=True))


def _tone(
    performance: Performance,
    timbre: Timbre,
    own: Voice,
    hertz: np.ndarray,
    cycles: np.ndarray,
    sample_rate: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """The harmonics, BLOCK samples at a time, silent frames left out."""
    shared = make_generator("body", performance.instrument).normal(size=60)
    resonances = 0.9 * shared + 0.4 * rng.normal(size=60)
    offset = rng.uniform(0, 2 * np.pi, HARMONICS).astype(np.float32)
    frames = -(-len(cycles) // BLOCK)
    edges = np.arange(frames + 1) * BLOCK / sample_rate
    loudness = np.interp(edges, performance.time, performance.loudness)
    pitch = np.interp(edges, performance.time, hertz)
    amplitude = _envelope(timbre, own, pitch, loudness, resonances)
    shimmer = 1 + 0.03 * rng.normal(size=amplitude.shape)
    amplitude = amplitude * shimmer * loudness[:, None]
    order = np.arange(1, HARMONICS + 1)
    amplitude[pitch[:, None] * order > 0.47 * sample_rate] = 0.0
    return sum_harmonics(amplitude, cycles, offset)


def sum_harmonics(
    amplitude: np.ndarray, cycles: np.ndarray, offset: np.ndarray
) -> np.ndarray:
    """The sum of harmonics of one fundamental, (samples,).

    ``amplitude`` (frames + 1, harmonics): at the edges of frames of BLOCK samples,
    between which it is linear. ``cycles`` (samples,): the fundamental's. ``offset``
    (harmonics,): phases, radians, float32.
    """
    frames = len(amplitude) - 1
    order = np.arange(1, amplitude.shape[1] + 1)
    phase = np.zeros(frames * BLOCK, dtype=np.float32)
    phase[: len(cycles)] = 2 * np.pi * (cycles % 1.0)
    tone = np.zeros((frames, BLOCK), dtype=np.float32)
    ramp = np.arange(BLOCK, dtype=np.float32) / BLOCK
    phases = phase.reshape(frames, BLOCK)
    loud = np.asarray(amplitude.any(axis=1))
    sounding = np.flatnonzero(loud[:-1] | loud[1:])
    for block in np.array_split(sounding, max(1, len(sounding) // 32)):
        if not len(block):
            continue
        first, last = amplitude[block], amplitude[block + 1]
        heard = np.flatnonzero(np.maximum(first, last).max(axis=0) > 1e-4)
        count = int(heard[-1]) + 1 if len(heard) else 1
        angle = np.multiply.outer(order[:count].astype(np.float32), phases[block])
        angle += offset[:count, None, None]
        waves = np.sin(angle, out=angle).transpose(1, 0, 2)
        both = np.stack([first, last - first], axis=1)[:, :, :count]
        start, change = np.moveaxis(both.astype(np.float32) @ waves, 1, 0)
        tone[block] = start + ramp * change
    return tone.reshape(-1)[: len(cycles)].astype(np.float64)


def make_band_noise(
    samples: int, band: tuple[float, float], sample_rate: int, rng: np.random.Generator
) -> np.ndarray:
    """Noise of unit RMS between two frequencies, with skirts of 12 dB an octave."""
    size = 1 << max(samples - 1, 1).bit_length()
    frequency = np.fft.rfftfreq(size, 1 / sample_rate)
    frequency[0] = 1e-3
    gain = 1 / np.sqrt(
        (1 + (band[0] / frequency) ** 4) * (1 + (frequency / band[1]) ** 4)
    )
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(size)) * gain)[:samples]
    return noise / np.sqrt(np.mean(noise**2))


def reverberate(dry: np.ndarray, seed: int, sample_rate: int) -> np.ndarray:
    """The reverberation alone: a few early reflections and a short, dark tail."""
    rng = make_generator("room", seed)
    decay = rng.uniform(0.18, 0.38)  # seconds to -60 dB
    length = int(decay * sample_rate)
    now = np.arange(length) / sample_rate
    tail = rng.standard_normal(length) * 10 ** (-3 * now / decay)
    tail = np.convolve(tail, np.hanning(9)[1:-1] / 4, mode="same")
    tail[: int(0.012 * sample_rate)] = 0.0
    tail *= rng.uniform(0.06, 0.16) / np.sqrt(np.sum(tail**2))
    for _ in range(4):
        tail[int(rng.uniform(0.004, 0.03) * sample_rate)] += rng.uniform(-0.06, 0.06)
    size = 1 << (len(dry) + length).bit_length()
    return np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(tail, size), size)[
        : len(dry)
    ]
