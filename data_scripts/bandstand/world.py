"""The musicians of the bandstand: who plays, what is played, how it is played.

A `Performance` is the single source of truth. The sound (`sound.synthesise`) and
the picture (`picture.draw`) are both functions of it, so whatever is seen moves
because of what is heard.
"""

import hashlib
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

CONTROL_RATE = 100  # Hz: the rate of every curve of a Performance
RETAKE = 0.25  # s of rest in which a player has time to lift the bow and begin anew
FROG = -0.8  # where on the bow, -1 to 1, a phrase begins


@dataclass(frozen=True)
class Instrument:
    """What the world needs to know of an instrument to write and play a line.

    Args:
        family: string, reed, brass or flute.
        low: the lowest sounding pitch, a MIDI number.
        high: the highest one.
        attack: how long a note takes to its full loudness, s.
        release: how long it takes to fade, s.
        vibrato: the usual half-width, cents.
        glide: s of a slide from one note to the next, where it is the instrument's
            manner; 0: as its family does.
    """

    family: str
    low: int
    high: int
    attack: float
    release: float
    vibrato: float
    glide: float = 0.0


ORCHESTRA: dict[str, Instrument] = {
    "bassoon": Instrument("reed", 34, 71, 0.030, 0.06, 9.0),
    "cello": Instrument("string", 36, 76, 0.070, 0.14, 18.0),
    "clarinet": Instrument("reed", 50, 88, 0.035, 0.07, 0.0),
    "double_bass": Instrument("string", 28, 55, 0.080, 0.18, 13.0),
    "erhu": Instrument("string", 62, 91, 0.055, 0.12, 36.0, glide=0.12),
    "flute": Instrument("flute", 60, 96, 0.055, 0.08, 15.0),
    "horn": Instrument("brass", 41, 77, 0.060, 0.09, 0.0),
    "oboe": Instrument("reed", 58, 88, 0.025, 0.05, 11.0),
    "sax": Instrument("reed", 49, 80, 0.030, 0.07, 14.0),
    "trombone": Instrument("brass", 40, 70, 0.045, 0.08, 6.0),
    "trumpet": Instrument("brass", 52, 84, 0.030, 0.06, 8.0),
    "tuba": Instrument("brass", 28, 65, 0.060, 0.10, 0.0),
    "viola": Instrument("string", 48, 81, 0.060, 0.12, 20.0),
    "violin": Instrument("string", 55, 93, 0.050, 0.10, 22.0),
}
# Those of URMP and Sub-URMP. The erhu is of another data set, see `data_scripts.hmmd`.
INSTRUMENTS: tuple[str, ...] = tuple(sorted(set(ORCHESTRA) - {"erhu"}))

# Semitones above the tonic.
MODES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
# One bar of four beats each, in beats.
RHYTHMS = {
    "melody": ((1, 1, 1, 1), (2, 1, 1), (1.5, 0.5, 1, 1), (1, 0.5, 0.5, 2), (3, 1)),
    "run": ((0.5,) * 8, (1, 0.5, 0.5, 0.5, 0.5, 1), (0.5, 0.5, 0.5, 0.5, 1, 1)),
    "arpeggio": ((0.5,) * 8, (1, 1, 1, 1), (0.5, 0.5, 1, 0.5, 0.5, 1)),
    "hymn": ((2, 2), (4,), (3, 1), (2, 1, 1)),
}


@dataclass(frozen=True)
class Note:
    """One note as it sounds: times in s, pitch as a MIDI number."""

    onset: float
    duration: float
    midi: float
    velocity: float  # 0..1
    bow: int  # +1 down-bow, -1 up-bow; +1 for winds
    slurred: bool = False  # in the bow of the note before: it has no attack of its own


@dataclass(frozen=True, eq=False)
class Performance:
    """A player, a score and the curves that sound and picture follow.

    The curves are float64 of shape (K,), one value each 1 / CONTROL_RATE s.

    Args:
        instrument: one of `INSTRUMENTS`.
        player: who plays: any number.
        seed: of the score.
        duration: s.
        tempo: beats a minute.
        notes: in the order of time; one sounds at a time.
        time: of the curves, s.
        pitch_hz: 0 where nothing sounds; with tuning, glides and vibrato.
        loudness: the amplitude of the sound, 0..1.
        stroke: the bow's contact point, -1 (frog) to 1 (tip); 0 for winds.
        breath: the player's blowing pressure, 0..1; 0 for strings.
        sway: of the body, -1 to 1: with the bow, or a wind player's with the pitch.
    """

    instrument: str
    player: int
    seed: int
    duration: float
    tempo: float
    notes: tuple[Note, ...]
    time: np.ndarray
    pitch_hz: np.ndarray
    loudness: np.ndarray
    stroke: np.ndarray
    breath: np.ndarray
    sway: np.ndarray


@dataclass(frozen=True)
class Voice:
    """What makes one player's instrument sound unlike another's."""

    tuning: float  # cents
    vibrato_rate: float  # Hz
    vibrato_depth: float  # factor on the instrument's usual depth
    brightness: float  # dB an octave, added to the spectrum's slope
    noise: float  # factor on breath or bow noise
    body: float  # factor on the frequencies of formants and resonances
    attack: float  # factor on attack times
    room: int  # seed of the room's reverberation


def make_generator(*names: object) -> np.random.Generator:
    """A generator of random numbers that is seeded by the names alone.

    Python's own hash() differs from process to process, so the seed is a SHA-256.
    """
    # 8 of its 32 bytes are enough. Their order is fixed too, so that every machine gets
    # the same seed.
    digest = hashlib.sha256("|".join(str(name) for name in names).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def choose_voice(instrument: str, player: int) -> Voice:
    """Choose the player's own variant of the instrument, the same for every score.

    Without it a network could learn each instrument from one spectrum.
    """
    rng = make_generator("voice", instrument, player)
    return Voice(
        tuning=float(np.clip(rng.normal(0, 5), -10, 10)),
        vibrato_rate=float(rng.uniform(4.6, 6.6)),
        vibrato_depth=float(rng.uniform(0.4, 1.4)),
        brightness=float(rng.uniform(-1.8, 1.8)),
        noise=float(rng.uniform(0.6, 1.6)),
        body=float(np.exp(rng.normal(0, 0.04))),
        attack=float(rng.uniform(0.7, 1.5)),
        room=int(rng.integers(1 << 31)),
    )


def midi_to_hz(midi: float) -> float:
    """Equal temperament, A4 = 69 = 440 Hz."""
    return float(440.0 * 2.0 ** ((midi - 69.0) / 12.0))


def perform(
    instrument: str,
    player: int,
    *,
    seconds: float | int,
    seed: int,
    together: bool = False,
) -> Performance:
    """Write a seeded score in the instrument's range, and play it.

    The same arguments give the same performance in every process. Performances of one
    seed share tempo, key and phrases, so that they can be heard together.

    Args:
        instrument: a key of `ORCHESTRA`.
        player: any integer: whose instrument and habits.
        seconds: length, above 0.
        seed: of the score.
        together: whether all who play this seed also share rhythm, contour and
            dynamics, each in the compass of the own instrument.

    Raises:
        ValueError: for an unknown instrument, or a length that is not positive.
    """
    if instrument not in ORCHESTRA:
        raise ValueError(
            f"no instrument {instrument!r}: give one of {tuple(ORCHESTRA)}"
        )
    if not seconds > 0:
        raise ValueError(f"seconds = {seconds}: a performance has a positive length")
    seconds = float(seconds)
    # Two generators: one of the seed alone, which all players of a piece share, and one
    # of this part.
    part = ("together",) if together else (instrument, player)
    rng = make_generator("score", *part, seed)
    tempo, notes = _write_score(
        ORCHESTRA[instrument], seconds, make_generator("piece", seed), rng
    )
    # Rounded up, so that the curves reach the end of a length such as 2.503 s.
    time = np.arange(int(np.ceil(seconds * CONTROL_RATE))) / CONTROL_RATE
    loudness = _play_loudness(instrument, player, notes, time)
    pitch_hz = _play_pitch(instrument, player, notes, time, loudness)
    string = ORCHESTRA[instrument].family == "string"
    silent = np.zeros_like(time)
    stroke = _play_strokes(notes, time, loudness) if string else silent
    return Performance(
        instrument=instrument,
        player=player,
        seed=seed,
        duration=seconds,
        tempo=tempo,
        notes=notes,
        time=time,
        pitch_hz=pitch_hz,
        loudness=loudness,
        stroke=stroke,
        breath=silent if string else smooth_curve(loudness, 0.12),
        sway=_follow(stroke) if string else _lean_with_pitch(instrument, pitch_hz),
    )


def _write_score(
    instrument: Instrument,
    seconds: float,
    piece: np.random.Generator,
    player: np.random.Generator,
) -> tuple[float, tuple[Note, ...]]:
    """Tempo, and phrases of two to four bars with rests between, to the end.

    What `piece` draws (tempo, key, phrases) is common to all who play the same seed;
    what `player` draws is this part's own.
    """
    tempo = float(piece.uniform(72, 132))
    beat = 60.0 / tempo
    tonic = int(piece.integers(12))
    mode = MODES[str(piece.choice(list(MODES)))]
    compass = range(instrument.low, instrument.high + 1)
    # The scale's pitches within the compass; a melody walks along this array.
    pitches = np.array([midi for midi in compass if (midi - tonic) % 12 in mode])
    notes: list[Note] = []
    now = float(piece.uniform(0.05, 0.3))
    while now < seconds - 0.2:
        bars = int(piece.integers(2, 5))
        rest = piece.choice([0.12, 0.3, piece.uniform(0.8, 1.6)], p=[0.2, 0.25, 0.55])
        now = _write_phrase(notes, now, bars, beat, pitches, seconds, player)
        now += float(rest)
    if instrument.family != "string":
        notes = [replace(note, bow=1, slurred=False) for note in notes]
    return tempo, tuple(notes)


def _write_phrase(
    notes: list[Note],
    start: float,
    bars: int,
    beat: float,
    pitches: np.ndarray,
    seconds: float,
    player: np.random.Generator,
) -> float:
    """Add the notes of one phrase, of one style and dynamic; returns its end, s."""
    style = str(player.choice(list(RHYTHMS), p=[0.4, 0.2, 0.2, 0.2]))
    rhythms = RHYTHMS[style]
    lengths = [
        float(beats) * beat
        for _ in range(bars)
        for beats in rhythms[player.integers(len(rhythms))]
    ]
    places = _walk_scale(style, len(lengths), len(pitches), player)
    slur = int(player.integers(1, 5))  # notes in one bow
    short = 0.55 if style != "hymn" and player.random() < 0.2 else 0.96  # staccato
    slur = slur if short > 0.9 else 1  # who plays staccato changes the bow each time
    level, swell = player.uniform(0.3, 0.8), player.uniform(-0.25, 0.4)
    now = bow_start = start
    bow = notes[-1].bow if notes else -1
    for index, (length, place) in enumerate(zip(lengths, places, strict=True)):
        if now > seconds - 0.2:
            break
        arch = np.sin(np.pi * (now - start) / sum(lengths))
        accent = 0.12 if index % 4 == 0 else 0.0
        velocity = level + swell * arch + accent + player.normal(0, 0.04)
        # After a rest the player begins anew, with a down-bow. After a mere breath
        # there is no time to lift the bow, and it turns.
        rested = not notes or now - _end(notes[-1]) >= RETAKE
        # a bow is 1.2 s long at most, however many notes are slurred
        turned = rested or index % slur == 0 or now + length > bow_start + 1.2
        if turned:
            bow, bow_start = 1 if rested else -bow, now
        notes.append(
            Note(
                onset=round(now, 4),
                duration=round(min(length * short, seconds - now - 0.05), 4),
                midi=float(pitches[place]),
                velocity=float(np.clip(velocity, 0.15, 1.0)),
                bow=bow,
                slurred=not turned,
            )
        )
        now += length
    return now


def _end(note: Note) -> float:
    """When a note is let go, s."""
    return note.onset + note.duration


def _walk_scale(
    style: str, count: int, size: int, rng: np.random.Generator
) -> np.ndarray:
    """Places of `count` notes among `size` pitches of the scale, int64 (count,)."""
    register = float(np.clip(rng.normal(0.5, 0.22), 0.05, 0.95)) * (size - 1)
    if style == "run":
        steps = rng.choice([-1, 1], p=[0.15, 0.85], size=count)
        # Runs turn round every 8 notes, and begin upwards or downwards.
        steps = steps * np.where(np.arange(count) // 8 % 2, -1, 1) * rng.choice([-1, 1])
    elif style == "arpeggio":
        turn = np.where(np.arange(count) // 4 % 2, -1, 1)
        steps = rng.choice([2, 3], size=count) * turn
    else:
        steps = rng.choice(
            [-4, -2, -1, 0, 1, 2, 4, 7],
            p=[0.06, 0.12, 0.27, 0.05, 0.27, 0.12, 0.07, 0.04],
            size=count,
        )
    places = np.empty(count, dtype=np.int64)
    place = round(register)
    for index in range(count):
        places[index] = place
        place += int(steps[index])
        if not 0 <= place < size:  # turn round at the ends of the range
            place -= 2 * int(steps[index])
        place = int(np.clip(place, 0, size - 1))
    return places


def _play_loudness(
    instrument: str, player: int, notes: tuple[Note, ...], time: np.ndarray
) -> np.ndarray:
    """Each note's attack, swell and release, the louder one where two overlap."""
    kind = ORCHESTRA[instrument]
    rng = make_generator("touch", instrument, player)
    swell = rng.uniform(0.0, 0.25)
    attack = kind.attack * choose_voice(instrument, player).attack
    envelope = np.zeros_like(time)
    for note in notes:
        since = time - note.onset
        rise = np.clip(since / attack, 0, 1)
        inside = np.clip(since / max(note.duration, 1e-3), 0, 1)
        # The fade begins before the note's end and goes on after it, half and half.
        fade = max(note.duration - kind.release / 2, 0.03)
        fall = np.exp(-np.clip(since - fade, 0, None) / (kind.release / 2.5))
        shape = (1 - swell) + swell * np.sin(np.pi * inside) if swell else 1.0
        # the ear is logarithmic: a power above 1 keeps soft notes soft
        peak = 0.06 + 0.94 * note.velocity**1.6
        envelope = np.maximum(
            envelope, peak * np.sin(0.5 * np.pi * rise) * fall * shape
        )
    envelope[envelope < 2e-3] = 0.0  # below hearing: call it silence
    end = time[-1] + 1 / CONTROL_RATE  # fade out: a cut in mid-sound would click
    return np.asarray(envelope * np.clip((end - time) / 0.04, 0, 1))


def _play_pitch(
    instrument: str,
    player: int,
    notes: tuple[Note, ...],
    time: np.ndarray,
    loudness: np.ndarray,
) -> np.ndarray:
    """Sounding pitch in Hz: notes, short glides between them, tuning, vibrato."""
    own = choose_voice(instrument, player)
    kind = ORCHESTRA[instrument]
    rng = make_generator("intonation", instrument, player, len(notes))
    # a finger or a slide moves along the string or tube; a valve is there at once
    slides = kind.family == "string" or instrument == "trombone"
    glide = kind.glide or (0.03 if slides else 0.012)
    cents = np.zeros_like(time)
    # Angular, and a little off the player's own rate in each performance.
    rate = 2 * np.pi * own.vibrato_rate * (1 + 0.04 * rng.normal())
    for index, note in enumerate(notes):
        following = notes[index + 1].onset if index + 1 < len(notes) else np.inf
        here = (time >= note.onset) & (time < following)
        since = time[here] - note.onset
        # no player is exactly in tune: 4 cents of deviation a note
        # 100 cents are a semitone, so 6900 cents are A4.
        value = 100 * note.midi + own.tuning + np.clip(rng.normal(0, 4), -8, 8)
        # only from a note that still sounds: after a rest nothing glides
        if index and notes[index - 1].onset + notes[index - 1].duration > (
            note.onset - 0.1
        ):
            leap = 100 * (notes[index - 1].midi - note.midi)
            value = value + leap * np.exp(-since / (glide / 3)) * (since < 2 * glide)
        onset = np.clip((since - 0.15) / 0.25, 0, 1)  # vibrato starts late
        depth = kind.vibrato * own.vibrato_depth * onset
        value = value + depth * np.sin(rate * since + rng.uniform(0, 2 * np.pi))
        cents[here] = value
    hertz = 440.0 * 2.0 ** ((cents - 6900.0) / 1200.0)
    return np.asarray(np.where(loudness > 0, hertz, 0.0))


def _play_strokes(
    notes: tuple[Note, ...], time: np.ndarray, loudness: np.ndarray
) -> np.ndarray:
    """The integral of the bow's speed, which grows with loudness.

    Notes slurred in one bow share a stroke. A stroke is stretched or squeezed only
    where the bow would run out, or would leave the next stroke no hair to use. In a
    rest the bow is lifted and brought back to the frog, where each phrase begins.
    """
    strokes: list[list[Note]] = []
    for note in notes:
        if note.slurred:
            strokes[-1].append(note)
        else:
            strokes.append([note])
    # a faster bow sounds louder, and it rests where the player lets the string ring
    held = np.zeros(len(time), bool)
    for note in notes:
        held |= (time >= note.onset) & (time < _end(note))
    speed = np.where(held & (loudness > 0), 0.15 + 1.8 * loudness, 0.0)
    starts = [stroke[0].onset for stroke in strokes] + [np.inf]
    spans = [(time >= first) & (time < last) for first, last in pairwise(starts)]
    # How much bow each stroke takes; the 0 stands for "nothing follows" in the loop
    # below.
    lengths = [float(np.sum(speed[span])) / CONTROL_RATE for span in spans] + [0.0]
    curve = np.full_like(time, FROG)
    place = FROG
    for index, (stroke, span) in enumerate(zip(strokes, spans, strict=True)):
        bow, end = stroke[0].bow, _end(stroke[-1])
        lifted = starts[index + 1] - end >= RETAKE  # after it; at the end of a take too
        # In the stroke's own direction, bow * place goes up to 1. The next stroke runs
        # the other way and needs its length: from here on it has wanted + 1.
        room = 0.0 if lifted else lengths[index + 1]
        wanted = max(bow * place + lengths[index], room - 1.0)
        travel = min(wanted, 1.0) - bow * place
        # 0..1 along the stroke, in time with the loudness. The bound is for a stroke in
        # silence.
        share = np.cumsum(speed[span]) / max(np.sum(speed[span]), 1e-9)
        curve[span] = np.clip(place + bow * travel * share, -1, 1)
        place = float(curve[span][-1]) if span.any() else place
        if lifted:
            since = np.clip((time[span] - end) / RETAKE, 0, 1)
            curve[span] += (FROG - curve[span]) * since**2 * (3 - 2 * since)
            place = FROG
    return curve


def _follow(curve: np.ndarray, seconds: float = 0.3) -> np.ndarray:
    """Running mean of the past: a body follows its hand within `seconds`."""
    steps = round(seconds * CONTROL_RATE)
    padded = np.concatenate([np.full(steps - 1, curve[0]), curve])
    return np.convolve(padded, np.ones(steps) / steps, mode="valid")


def _lean_with_pitch(instrument: str, pitch_hz: np.ndarray) -> np.ndarray:
    """The sway of a wind player: to one side with high notes, upright in rests."""
    kind = ORCHESTRA[instrument]
    midi = 69 + 12 * np.log2(np.maximum(pitch_hz, 1e-3) / 440.0)
    height = np.clip((midi - kind.low) / (kind.high - kind.low), 0, 1)
    return _follow(np.where(pitch_hz > 0, 2 * height - 1, 0.0))


def smooth_curve(curve: np.ndarray, seconds: float) -> np.ndarray:
    """Average a curve of CONTROL_RATE over a Hann window, centred on each value.

    Args:
        curve: (K,).
        seconds: width of the window.

    Returns:
        (K,). Beyond its ends the curve counts as 0.
    """
    # an odd width, so that the window has a middle
    width = 2 * int(seconds * CONTROL_RATE / 2) + 1
    window = np.hanning(width + 2)[1:-1]
    # "full" and then cut by hand: with "same" numpy gives as many values as the longer
    # of both, which is the window for a very short curve.
    full = np.convolve(curve, window / window.sum())
    return full[width // 2 : width // 2 + len(curve)]
