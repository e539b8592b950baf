"""Musicians whose hands strike: tabla, ghatam, guitar and xylophone.

A `Striking` is a list of strokes. The sound follows from them (`hand_sounds`), and so
do the hands (`hand_pictures`), which touch the instrument exactly when it sounds. These
four, the cello, the violin and the erhu are the instruments of the Hand Motion Music
Dataset of Kurmi et al. 2021 (Sec. 4.1), which was never released.

Lengths are centimetres on the stage, as in `people`: the neck at about (0, 0), x to the
viewer's right, y down. The player's right hand is on the viewer's left.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from data_scripts.bandstand.canvas import Point
from data_scripts.bandstand.world import CONTROL_RATE, make_generator, midi_to_hz

STRIKERS = ("acoustic_guitar", "ghatam", "tabla", "xylophone")
SAME_HAND_GAP = 0.11  # s; a hand does not strike again any sooner
TAIL = 0.15  # s before the end in which nothing is struck: it would be cut off


@dataclass(frozen=True)
class Kind:
    """One way to strike an instrument.

    Args:
        place: where the hand (or mallet) touches, cm.
        decay: s in which its loudness falls to 1 / e.
        level: loudness of a full stroke, 0..1.
    """

    place: Point
    decay: float
    level: float


# The strokes of each instrument by name. A xylophone's place depends on its bar, and a
# guitar's is where the right hand crosses the strings.
KINDS: dict[str, dict[str, Kind]] = {
    "tabla": {
        "na": Kind((-21.0, 50.5), 0.22, 0.75),  # the rim of the right drum, ringing
        "tin": Kind((-15.0, 50.0), 0.30, 0.65),  # between rim and middle, softer
        "tun": Kind((-13.0, 51.5), 0.40, 0.75),  # the open middle
        "te": Kind((-13.0, 51.0), 0.04, 0.55),  # the middle, damped
        "ge": Kind((18.0, 51.0), 0.32, 0.95),  # the left drum, gliding upwards
        "ke": Kind((20.0, 53.0), 0.04, 0.60),  # the left drum, a flat slap
    },
    "ghatam": {
        "thom": Kind((4.0, 41.5), 0.20, 0.95),  # the palm on the open mouth
        "ta": Kind((-9.5, 44.5), 0.07, 0.75),  # the rim
        "nam": Kind((-17.0, 52.0), 0.11, 0.75),  # the pot's shoulder, right hand
        "ki": Kind((16.5, 53.0), 0.09, 0.65),  # the shoulder, left hand, deeper
    },
    "xylophone": {"bar": Kind((0.0, 54.0), 0.16, 0.85)},
    "acoustic_guitar": {
        "down": Kind((-7.0, 39.0), 0.55, 0.95),  # a strum towards the high strings
        "up": Kind((-7.0, 39.0), 0.45, 0.75),
        "pluck": Kind((-7.0, 39.0), 0.50, 0.65),  # one string
    },
}
# Beats a minute: the slowest and the fastest of each instrument.
TEMPI = {
    "tabla": (80.0, 120.0),
    "ghatam": (110.0, 165.0),
    "xylophone": (95.0, 150.0),
    "acoustic_guitar": (100.0, 150.0),
}
STROKES = tuple(sorted({name for kinds in KINDS.values() for name in kinds}))


@dataclass(frozen=True)
class Stroke:
    """One stroke.

    Args:
        time: at which it is heard, s.
        hand: the player's, right or left.
        name: a key of the instrument's `KINDS`.
        velocity: 0..1.
        midi: the pitches that sound, MIDI numbers, in the order in which they are
            struck; none for a drum, whose pitch is the player's tuning.
        place: where the hand (or mallet) touches, cm.
    """

    time: float
    hand: str
    name: str
    velocity: float
    midi: tuple[float, ...]
    place: Point


@dataclass(frozen=True)
class Fretting:
    """A chord of the guitar: from when on the left hand holds it, and where.

    Args:
        time: s.
        along: 0 at the nut, 1 where the neck meets the body.
        spread: how far the fingers are apart, 0..1.
    """

    time: float
    along: float
    spread: float


@dataclass(frozen=True, eq=False)
class Striking:
    """What one player strikes.

    Args:
        instrument: one of `STRIKERS`.
        player: who: any number.
        seed: of what is played.
        duration: s.
        tempo: beats a minute.
        strokes: in the order of time.
        chords: of the guitar; empty for the others.
    """

    instrument: str
    player: int
    seed: int
    duration: float
    tempo: float
    strokes: tuple[Stroke, ...]
    chords: tuple[Fretting, ...] = ()

    @cached_property
    def tuning(self) -> float:
        """The MIDI number that the right drum of a tabla, or a pot, is tuned to."""
        rng = make_generator("tuning", self.instrument, self.player)
        low, high = {"tabla": (60.0, 67.0), "ghatam": (-3.0, 3.0)}.get(
            self.instrument, (-0.15, 0.15)
        )
        return float(rng.uniform(low, high))

    @cached_property
    def loudness(self) -> np.ndarray:
        """The amplitude at CONTROL_RATE, 0..1: strokes die away, energies add."""
        steps = math.ceil(self.duration * CONTROL_RATE)
        energy = np.zeros(steps)
        for name, kind in KINDS[self.instrument].items():
            struck = np.zeros(steps)
            for stroke in self.strokes:
                if stroke.name == name:
                    # The first row at or after the stroke: no loudness before it.
                    k = min(math.ceil(stroke.time * CONTROL_RATE), steps - 1)
                    struck[k] += (kind.level * stroke.velocity) ** 2
            since = np.arange(int(6 * kind.decay * CONTROL_RATE) + 2) / CONTROL_RATE
            # Energy is amplitude squared, so it dies twice as fast.
            fade = np.exp(-2 * since / kind.decay)
            energy += np.convolve(struck, fade)[:steps]
        return np.minimum(np.sqrt(energy), 1.0)

    @cached_property
    def pitch_hz(self) -> np.ndarray:
        """The pitch of the last stroke at CONTROL_RATE; 0 where none can be named."""
        steps = math.ceil(self.duration * CONTROL_RATE)
        found = np.zeros(steps)
        for stroke in self.strokes:
            # A strum has six pitches, a slap none.
            hertz = midi_to_hz(stroke.midi[0]) if len(stroke.midi) == 1 else 0.0
            if self.instrument == "tabla" and stroke.name in ("na", "tin", "tun"):
                hertz = midi_to_hz(self.tuning)
            found[math.ceil(stroke.time * CONTROL_RATE) :] = hertz
        return np.where(self.loudness > 0.02, found, 0.0)


def strike(
    instrument: str, player: int, *, seconds: float | int, seed: int
) -> Striking:
    """Write a seeded score for an instrument's hands, the same in every process.

    Args:
        instrument: one of `STRIKERS`.
        player: who plays: any number.
        seconds: length, above 0.
        seed: of the score.

    Raises:
        ValueError: for an unknown instrument, or a length that is not positive.
    """
    if instrument not in STRIKERS:
        raise ValueError(f"no instrument {instrument!r}: give one of {STRIKERS}")
    if not seconds > 0:
        raise ValueError(f"seconds = {seconds}: a performance has a positive length")
    rng = make_generator("hands", instrument, player, seed)
    tempo = float(rng.uniform(*TEMPI[instrument]))
    write: dict[str, Callable[[np.random.Generator, float, float], _Score]] = {
        "tabla": _write_tabla,
        "ghatam": _write_ghatam,
        "xylophone": _write_xylophone,
        "acoustic_guitar": _write_guitar,
    }
    score = write[instrument](rng, 60 / tempo, float(seconds))
    strokes, chords = _keep_playable(score.strokes, float(seconds)), score.chords
    return Striking(
        instrument, player, seed, float(seconds), tempo, strokes, tuple(chords)
    )


class _Score:
    """Strokes and chords as they are written, before anybody plays them."""

    def __init__(self) -> None:
        self.strokes: list[Stroke] = []
        self.chords: list[Fretting] = []


def _keep_playable(written: list[Stroke], seconds: float) -> tuple[Stroke, ...]:
    """Leave out what comes too soon for its hand, or is cut off by the end."""
    played: list[Stroke] = []
    last = {"right": -1.0, "left": -1.0}
    # The hand decides between equal times, so that the order is the same everywhere.
    for stroke in sorted(written, key=lambda s: (s.time, s.hand)):
        soon = stroke.time - last[stroke.hand] < SAME_HAND_GAP
        if not soon and stroke.time < seconds - TAIL:
            last[stroke.hand] = stroke.time
            played.append(stroke)
    return tuple(played)


def _jitter(rng: np.random.Generator, moment: float) -> float:
    """A moment as it is played: a few ms beside where it is written, and above 0."""
    return max(0.0, round(moment + float(rng.normal(0, 0.005)), 4))


# ---------------------------------------------------------------------- tabla

# Bols (the words for strokes) -> the strokes of right and left hand.
BOLS = {
    "na": ("na", ""), "ta": ("na", ""), "tin": ("tin", ""), "tun": ("tun", ""),
    "te": ("te", ""), "ge": ("", "ge"), "ke": ("", "ke"),
    "dha": ("na", "ge"), "dhin": ("tin", "ge"), "dhe": ("te", "ge"), "-": ("", ""),
}  # fmt: skip
# One beat a word; two or four bols in a word share its beat.
TALAS = (
    "dha dhin dhin dha dha dhin dhin dha dha tin tin ta ta dhin dhin dha",
    "dha,ge na,tin na,ke dhin,na dha,ge na,tin na,ke dhin,na",
    "dha,dhin na,dha tun,na dha,dhin na,dha tun,na",
    "dhin dhin dha,ge te,te tun na ke,ta te,te dhin,na dhin dhin na",
    "dha,te te,dha te,te dha,dha te,te dha,ge tun,na ke,ta",
)


def _write_tabla(rng: np.random.Generator, beat: float, seconds: float) -> _Score:
    """Cycles of a tala, each with its own loudness, now and then a pause."""
    score = _Score()
    now = float(rng.uniform(0.05, 0.3))
    # A word holds up to two bols, so that a hand strikes up to 4 times a second.
    while now < seconds:
        tala = TALAS[rng.integers(len(TALAS))].split()
        level = float(rng.uniform(0.55, 0.95))
        for number, word in enumerate(tala):
            bols = word.split(",")
            for k, bol in enumerate(bols):
                moment = _jitter(rng, now + k * beat / len(bols))
                accent = 1.15 if number % 4 == 0 and k == 0 else 1.0
                for hand, name in zip(("right", "left"), BOLS[bol], strict=True):
                    if name:
                        _add(score, rng, "tabla", moment, hand, name, level * accent)
            now += beat
        if rng.random() < 0.3:
            now += beat * float(rng.integers(1, 3))
    return score


def _add(
    score: _Score,
    rng: np.random.Generator,
    instrument: str,
    moment: float,
    hand: str,
    name: str,
    velocity: float,
    midi: tuple[float, ...] = (),
    place: Point | None = None,
) -> None:
    """Add a stroke, a little beside its place and a little off its loudness."""
    strength = float(np.clip(velocity * rng.uniform(0.88, 1.12), 0.2, 1.0))
    x, y = place or KINDS[instrument][name].place
    beside = rng.normal(0, 0.7, 2)  # cm
    where = (float(x + beside[0]), float(y + 0.4 * beside[1]))
    score.strokes.append(Stroke(moment, hand, name, strength, midi, where))


# --------------------------------------------------------------------- ghatam

# Half a beat a letter: T thom (left palm), t ta, n nam (right), k ki (left); capital B
# is both thom and ta.
PATTERNS = (
    "T.t.k.t.T.tTk.t.",
    "T.ntk.ntT.ntT.nt",
    "B.tkT.tkB.tkTtkt",
    "T...n.k.T.t.n.k.",
    "B.n.T.t.k.t.T.nk",
)
GHATAM = {
    "T": (("left", "thom"),),
    "t": (("right", "ta"),),
    "n": (("right", "nam"),),
    "k": (("left", "ki"),),
    "B": (("left", "thom"), ("right", "ta")),
    ".": (),
}


def _write_ghatam(rng: np.random.Generator, beat: float, seconds: float) -> _Score:
    """Patterns of eight beats, each with its own loudness."""
    score = _Score()
    now = float(rng.uniform(0.05, 0.3))
    step = beat / 2
    while now < seconds:
        pattern = PATTERNS[rng.integers(len(PATTERNS))]
        level = float(rng.uniform(0.55, 0.95))
        for k, letter in enumerate(pattern):
            moment = _jitter(rng, now + k * step)
            accent = 1.15 if k % 8 == 0 else 1.0
            for hand, name in GHATAM[letter]:
                _add(score, rng, "ghatam", moment, hand, name, level * accent)
        now += len(pattern) * step
        if rng.random() < 0.3:
            now += beat * float(rng.integers(1, 3))
    return score


# ------------------------------------------------------------------ xylophone

BARS = tuple(  # MIDI numbers of the white keys from F4 up
    midi for midi in range(65, 92) if midi % 12 in (0, 2, 4, 5, 7, 9, 11)
)
BAR_WIDTH = 5.6  # cm from one bar to the next
STEPS = (-3, -2, -1, -1, 1, 1, 2, 3, 4, -4)  # of a melody, in bars
FIGURES = ((1, 1), (0.5, 0.5, 1), (1, 0.5, 0.5), (0.5,) * 4, (1.5, 0.5), (2,))


def locate_bar(midi: float) -> Point:
    """Where a bar is struck, cm. The player's left, the viewer's right, is low."""
    k = BARS.index(round(midi))
    return ((len(BARS) - 1) / 2 - k) * BAR_WIDTH, 54.0


def _write_xylophone(rng: np.random.Generator, beat: float, seconds: float) -> _Score:
    """A melody whose mallets take turns, with double stops here and there."""
    score = _Score()
    now = float(rng.uniform(0.05, 0.3))
    place = int(rng.integers(3, len(BARS) - 3))
    hand = "right"
    level = 0.7
    while now < seconds:
        if rng.random() < 0.4:
            level = float(rng.uniform(0.5, 0.95))
        for length in FIGURES[rng.integers(len(FIGURES))]:
            step = int(STEPS[rng.integers(len(STEPS))])
            # At the ends of the instrument the melody turns round.
            place += step if 0 <= place + step < len(BARS) else -step
            moment = _jitter(rng, now)
            pairs = [(hand, place)]
            third = place - 2  # the other mallet, a third below
            if rng.random() < 0.2 and third >= 0:
                pairs = [("right", place), ("left", third)]
            for one, bar in pairs:
                midi = float(BARS[bar])
                _add(
                    score, rng, "xylophone", moment, one, "bar", level, (midi,),
                    locate_bar(midi),
                )  # fmt: skip
            hand = "left" if hand == "right" else "right"
            now += length * beat
        if rng.random() < 0.08:
            now += beat
    return score


# --------------------------------------------------------------------- guitar

# Chord -> the pitches of its strings from the lowest on, and how the left hand lies:
# along the neck (0 at the nut) and how far the fingers are spread.
CHORDS: dict[str, tuple[tuple[float, ...], float, float]] = {
    "C": ((48, 52, 55, 60, 64), 0.10, 0.8),
    "G": ((43, 47, 50, 55, 59, 67), 0.14, 0.9),
    "D": ((50, 57, 62, 66), 0.10, 0.5),
    "A": ((45, 52, 57, 61, 64), 0.08, 0.4),
    "E": ((40, 47, 52, 56, 59, 64), 0.06, 0.5),
    "Am": ((45, 52, 57, 60, 64), 0.06, 0.5),
    "Em": ((40, 47, 52, 55, 59, 64), 0.07, 0.3),
    "Dm": ((50, 57, 62, 65), 0.09, 0.6),
    "F": ((41, 48, 53, 57, 60, 65), 0.12, 0.9),
    "Bm": ((47, 54, 59, 62, 66), 0.30, 0.7),
    "C5": ((48, 55, 60, 64, 67, 72), 0.62, 0.8),
    "D7": ((50, 57, 62, 66, 69, 74), 0.80, 0.7),
}
PROGRESSIONS = (
    ("C", "G", "Am", "F"),
    ("G", "D", "Em", "C"),
    ("A", "D", "E", "A"),
    ("Am", "F", "C", "G"),
    ("D", "Bm", "G", "A"),
    ("C5", "Am", "Dm", "G"),
    ("D7", "G", "C5", "D"),
)
# Half a beat a letter: D down, U up, and digits that pluck one string of the chord.
STRUMS = ("D.DU.UDU", "D.D.D.DU", "D...D.U.", "DUDUDUDU", "0.2.3.2.", "0234.321")
STRING_GAP = 0.012  # s from one string of a strum to the next


def _write_guitar(rng: np.random.Generator, beat: float, seconds: float) -> _Score:
    """A progression of chords, one a bar, each strummed or picked."""
    score = _Score()
    now = float(rng.uniform(0.05, 0.3))
    step = beat / 2
    while now < seconds:
        progression = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
        strum = STRUMS[rng.integers(len(STRUMS))]
        level = float(rng.uniform(0.55, 0.95))
        for name in progression:
            pitches, along, spread = CHORDS[name]
            score.chords.append(Fretting(round(now, 4), along, spread))
            for k, letter in enumerate(strum):
                if letter == ".":
                    continue
                kind = {"D": "down", "U": "up"}.get(letter, "pluck")
                sounding = {"down": pitches, "up": pitches[:0:-1][:4]}.get(kind)
                if sounding is None:
                    sounding = (pitches[min(int(letter), len(pitches) - 1)],)
                accent = 1.15 if k == 0 else 1.0
                moment = _jitter(rng, now + k * step)
                _add(
                    score, rng, "acoustic_guitar", moment, "right", kind,
                    level * accent, sounding,
                )  # fmt: skip
            now += len(strum) * step
    return score
