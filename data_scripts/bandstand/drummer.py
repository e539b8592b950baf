"""A drummer: what is struck, how it sounds, how it looks.

A drummer's performance is a list of hits. The sound follows from them, and so do the
sticks' tips, which are on a drum exactly when it is struck. The kit is set up
open-handed: the right hand (on the viewer's left) has the hi-hat, ride and tom, the
left one the snare, floor tom and crash. Lengths are centimetres, y down, as in
`people`.
"""

# ruff: noqa: RUF005 (adding a tuple to an array is arithmetic here)
from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float32

from data_scripts.bandstand.canvas import (
    Canvas,
    Colour,
    Point,
    Real,
    affine,
    darken,
    ellipse,
    lighten,
    mix,
    polygon,
    transform,
)
from data_scripts.bandstand.people import (
    Body,
    Look,
    aim_camera,
    draw_arm,
    draw_hair_behind,
    draw_hand,
    draw_head,
    draw_legs,
    draw_torso,
    place_shoulders,
)
from data_scripts.bandstand.sound import FULL_RMS, add_room, make_band_noise
from data_scripts.bandstand.world import CONTROL_RATE, make_generator, smooth_curve

DRUMMER_VIEW = (-0.5, 41.0, 154.0)  # what the camera shows: centre x, centre y, height
GOLD: Colour = (0.88, 0.72, 0.34)
STEEL: Colour = (0.62, 0.64, 0.68)
SKIN_HEAD: Colour = (0.93, 0.92, 0.88)  # of a drum
STICK: Colour = (0.93, 0.78, 0.52)


@dataclass(frozen=True)
class Piece:
    """One drum or cymbal.

    Args:
        place: where a tip strikes it, cm.
        radius: cm.
        depth: of the shell, cm; 0 for a cymbal.
        grip: from the tip to the right and to the left hand; None = that hand does not
            play it.
        decay: s in which its loudness falls to 1 / e.
        level: loudness of a full stroke.
    """

    place: Point
    radius: Real
    depth: Real
    grip: tuple[Point | None, Point | None]
    decay: Real
    level: Real


KIT = {
    "hat": Piece((-43, 50), 15, 0, ((20, -15), None), 0.035, 0.30),
    "ride": Piece((-54, 7), 18, 0, ((21, 21), None), 0.22, 0.34),
    "tom": Piece((-13, 49), 13, 15, ((2, -22), (20, -18)), 0.13, 0.80),
    "snare": Piece((19, 56), 15, 10, ((-25, -16), (15, -21)), 0.07, 0.90),
    "floor": Piece((47, 65), 17, 28, ((-30, -20), (-15, -24)), 0.17, 0.85),
    "crash": Piece((55, 5), 19, 0, (None, (-21, 21)), 0.40, 0.80),
    "kick": Piece((0, 88), 26, 0, (None, None), 0.10, 1.00),
}
CYMBALS = ("hat", "ride", "crash")
PIECES = tuple(KIT)

# A bar of 16 steps: o a stroke, O an accent, g a ghost note.
GROOVES: tuple[dict[str, str], ...] = (
    {"hat": "O.o.O.o.O.o.O.o.", "snare": "....O.......O...",
     "kick": "O.......O.o....."},
    {"hat": "o.oOo.o.o.oOo.o.", "snare": "....O..g.g..O..g",
     "kick": "O..o..o...O....."},
    {"ride": "O..oO..oO..oO..o", "snare": "....o..g....o.g.",
     "kick": "O.....o.O......."},
    {"tom": "O..o..o.O..o..o.", "floor": "....o...o...o.oo",
     "kick": "O.......O......."},
    {"snare": "OgogOggoOgogOgoo", "kick": "O...O...O...O..."},
    {"hat": "o...o...o...o...", "snare": "........O.......",
     "kick": "O.........o....."},
)  # fmt: skip
FILLS = (
    "snare snare tom tom snare tom floor floor",
    "tom tom snare tom tom floor floor floor",
    "snare snare snare snare tom tom floor floor",
    "floor tom snare tom floor tom snare floor",
)
ELBOW_SIDE = 3.0  # elbows point outwards; with less they jump when a hand is raised
VELOCITY = {"O": 0.95, "o": 0.65, "g": 0.3}
HOVER = 7.0  # cm above a drum, where a tip waits
TRAVEL = 0.18  # s before a stroke at which a hand leaves for it
SAME_HAND_GAP = 0.14  # s; a hand is not asked to strike a drum again any sooner


@dataclass(frozen=True)
class Hit:
    """One stroke.

    Args:
        time: s.
        piece: a key of `KIT`.
        velocity: 0..1.
        limb: right, left or foot.
    """

    time: float
    piece: str
    velocity: float
    limb: str


@dataclass(frozen=True, eq=False)
class Drumming:
    """The hits and, at CONTROL_RATE, the curves that follow from them."""

    player: int
    seed: int
    duration: float
    tempo: float
    hits: tuple[Hit, ...]
    time: np.ndarray
    loudness: np.ndarray  # amplitude, 0..1


def play_drums(player: int, *, seconds: float | int, seed: int) -> Drumming:
    """Play phrases of two bars: a groove, a fill at its end, now and then a rest.

    Args:
        player: who plays: any number.
        seconds: how long.
        seed: of what is played.
    """
    rng = make_generator("drums", player, seed)
    tempo = float(rng.uniform(84, 116))
    # s of a sixteenth, the step of the grooves
    step = 60 / tempo / 4
    hits: list[Hit] = []
    now = float(rng.uniform(0.2, 0.5))
    crash = False
    while now < seconds - 0.3:
        groove = GROOVES[rng.integers(len(GROOVES))]
        # Loudness is drawn for each phrase of two bars, so that it changes over the
        # video.
        level = float(rng.uniform(0.5, 1.0))
        fill = FILLS[rng.integers(len(FILLS))].split()
        for bar in range(2):
            struck = _write_bar(
                groove, fill if bar == 1 else [], crash=crash and bar == 0
            )
            for i, piece, velocity in sorted(struck):
                # 4 ms: no drummer is as even as a machine.
                moment = now + i * step + float(rng.normal(0, 0.004))
                strength = velocity * level * float(rng.uniform(0.9, 1.1))
                _strike(hits, moment, piece, min(strength, 1.0))
            now += 16 * step
        rest = rng.choice([0, 2, 8], p=[0.5, 0.2, 0.3])  # beats
        crash = bool(rng.random() < 0.7)
        now += float(rest) * 4 * step
    # The jitter may have exchanged two strokes. The name decides between equal times,
    # so that the order is the same everywhere.
    hits = sorted(
        (h for h in hits if h.time < seconds - 0.15), key=lambda h: (h.time, h.piece)
    )
    time = np.arange(math.ceil(seconds * CONTROL_RATE)) / CONTROL_RATE
    loudness = _loudness(hits, time)
    # hits in the last 0.15 s are left out: their sound would be cut off
    return Drumming(player, seed, float(seconds), tempo, tuple(hits), time, loudness)


def _write_bar(
    groove: dict[str, str], fill: list[str], *, crash: bool
) -> list[tuple[int, str, float]]:
    """The strokes of one bar: (step, piece, velocity).

    Args:
        groove: piece -> its 16 steps.
        fill: pieces that take the second half of the bar; may be empty.
        crash: begin with a crash, in the place of what the left hand plays.
    """
    struck = [
        (i, piece, VELOCITY[c])
        for piece, steps in groove.items()
        for i, c in enumerate(steps)
        if c in VELOCITY
    ]
    if fill:
        # A fill has 8 strokes that grow louder, one on each step of the bar's second
        # half. All else rests there, the kick drum too.
        struck = [s for s in struck if s[0] < 8]
        struck += [(8 + i, piece, 0.6 + 0.04 * i) for i, piece in enumerate(fill)]
    if crash:
        struck = [s for s in struck if s[0] or s[1] not in ("snare", "floor")]
        struck.append((0, "crash", 0.9))
    return struck


def _strike(hits: list[Hit], moment: float, piece: str, velocity: float) -> None:
    """Add a hit, with the hand that is at home there or, in a roll, the other."""
    if piece == "kick":
        hits.append(Hit(moment, piece, velocity, "foot"))
        return
    able = [
        limb
        for limb, grip in zip(("right", "left"), KIT[piece].grip, strict=True)
        if grip is not None
    ]
    if piece in ("snare", "floor"):
        # The left hand comes first at snare and floor tom: the kit is set up
        # open-handed, so hands do not cross.
        able = able[::-1]
    last = {hit.limb: hit.time for hit in hits}  # the latest, as they are in time order
    # A stroke for which no hand is free is left out. Two hands cannot play it, and a
    # sound without a stick on the drum would break the truth.
    for limb in able:
        if moment - last.get(limb, -1.0) > SAME_HAND_GAP:
            hits.append(Hit(moment, piece, velocity, limb))
            return


def _loudness(hits: list[Hit], time: np.ndarray) -> np.ndarray:
    """Each stroke dies away by its drum's decay; energies add."""
    energy = np.zeros(len(time))
    for name, piece in KIT.items():
        strokes = np.zeros(len(time))
        for hit in hits:
            if hit.piece == name:
                k = min(math.ceil(hit.time * CONTROL_RATE), len(time) - 1)
                # The first row at or after the hit: no loudness before it.
                strokes[k] += (piece.level * hit.velocity) ** 2
        # Energy is amplitude squared, so it dies twice as fast, exp(-2 t / decay).
        # After 6 decays nothing is left of it.
        since = np.arange(int(6 * piece.decay * CONTROL_RATE) + 2) / CONTROL_RATE
        energy += np.convolve(strokes, np.exp(-2 * since / piece.decay))[: len(time)]
    return np.minimum(np.sqrt(energy), 1.0)


# ---------------------------------------------------------------------- sound


def synthesise_drums(drumming: Drumming, sample_rate: int = 44100) -> np.ndarray:
    """Synthesise the drums in their room.

    Each drum has four variants of its stroke in turn: the same samples again and again
    would sound like a machine.

    Args:
        drumming: what is played.
        sample_rate: Hz.

    Returns:
        float32 (samples,), |sample| <= 0.9.
    """
    rng = make_generator("kit", drumming.player)
    samples = round(drumming.duration * sample_rate)
    # 3 s more than is heard: a crash near the end rings on beyond it, and is cut later.
    dry = np.zeros(samples + 3 * sample_rate)
    for name in PIECES:
        variants = [_synthesise_stroke(name, sample_rate, rng) for _ in range(4)]
        strokes = [hit for hit in drumming.hits if hit.piece == name]
        for k, hit in enumerate(strokes):
            first = round(hit.time * sample_rate)
            # The variants take turns and are not drawn, so no two neighbours are the
            # same.
            one = variants[k % len(variants)]
            dry[first : first + len(one)] += hit.velocity * one
    return add_room(
        FULL_RMS * dry[:samples],
        int(rng.integers(1 << 31)),
        sample_rate,
        make_generator("drum take", drumming.seed),
    )


def _synthesise_stroke(name: str, rate: int, rng: np.random.Generator) -> np.ndarray:
    """One stroke at full velocity: a membrane's falling tone, metal, rattle.

    It is scaled such that its RMS over the first `decay` seconds is its level.
    """
    piece = KIT[name]
    t = np.arange(int(7 * piece.decay * rate)) / rate
    fade = np.exp(-t / piece.decay)

    def drop(high: Real, low: Real, fall: Real) -> np.ndarray:
        """A tone that falls from `high` to `low` Hz within about `fall` s."""
        # The integral of low + (high - low) exp(-t / fall): with a falling pitch, pitch
        # * t would be the wrong phase.
        cycles = low * t + (high - low) * fall * (1 - np.exp(-t / fall))
        return np.asarray(np.sin(2 * np.pi * cycles))

    def noise(low: Real, high: Real) -> np.ndarray:
        """Noise of unit RMS between two frequencies, Hz."""
        band = (float(low), min(float(high), 0.45 * rate))
        return make_band_noise(len(t), band, rate, rng)

    # 1 % about the pitch, as a factor: no stroke hits the same place twice.
    tune = float(np.exp(rng.normal(0, 0.01)))
    click = noise(1500, 6000) * np.exp(-t / 0.004)
    if name == "kick":
        # the beater and the shell: what a small loudspeaker, or a feature from 125 Hz
        # on, has of a drum of 50 Hz
        sound = drop(130 * tune, 50, 0.03) + 0.6 * click
        sound += 0.45 * drop(340 * tune, 190, 0.03)
    elif name in ("tom", "floor"):
        pitch = (165 if name == "tom" else 92) * tune
        sound = drop(1.5 * pitch, pitch, 0.06) + 0.3 * click
        sound += 0.45 * drop(2.4 * pitch, 1.6 * pitch, 0.05)
    elif name == "snare":
        rattle = noise(900, 7000) * np.exp(-t / 0.09)
        sound = 0.6 * drop(260 * tune, 185, 0.02) + 0.9 * rattle + 0.3 * click
    else:
        # A cymbal has many modes without a common fundamental, so it is noise with a
        # few partials whose ratios are not whole numbers.
        low = {"hat": 5500.0, "ride": 3000.0, "crash": 2200.0}[name]
        partials = low * np.array([0.71, 0.93, 1.17, 1.43, 1.81, 2.07]) * tune
        ring = np.sum([np.sin(2 * np.pi * f * t + f) for f in partials], axis=0)
        share = {"hat": 0.1, "ride": 0.35, "crash": 0.12}[name]
        sound = noise(low, 13000) + share * ring + 0.6 * click
    sound *= fade
    # The loudness curve says level * exp(-t / decay). `spread` is the RMS of that curve
    # over one decay without the level, and the stroke is scaled to the same RMS.
    head = sound[: max(1, int(piece.decay * rate))]
    spread = np.sqrt(np.mean(np.exp(-2 * t[: len(head)] / piece.decay)))
    return np.asarray(sound * piece.level * spread / np.sqrt(np.mean(head**2)))


# -------------------------------------------------------------------- picture

DRUMMER_TRUTH = (
    "head_x", "head_y", "right_hand_x", "right_hand_y", "left_hand_x", "left_hand_y",
    "right_stick_x", "right_stick_y", "left_stick_x", "left_stick_y",
    "right_height", "left_height",
)  # fmt: skip
LIMBS = ("right", "left", "foot")
REST = {"right": "hat", "left": "snare"}  # where a hand waits


@dataclass(frozen=True)
class Arm:
    """One arm with its stick at one moment, cm.

    Args:
        tip: of the stick.
        hand: that holds it.
        height: of the tip above what it strikes.
    """

    tip: np.ndarray
    hand: np.ndarray
    height: float


# Each frame asks for the hits of a limb or piece several times, so they are sorted out
# once for each performance.
@lru_cache(maxsize=8)
def _group_hits(drumming: Drumming) -> dict[str, tuple[np.ndarray, list[Hit]]]:
    """Limb or piece -> the times of its hits, s, and the hits."""
    groups: dict[str, list[Hit]] = {name: [] for name in (*LIMBS, *PIECES)}
    for hit in drumming.hits:
        groups[hit.limb].append(hit)
        groups[hit.piece].append(hit)
    return {name: (np.array([h.time for h in g]), g) for name, g in groups.items()}


def _ease(share: float) -> float:
    """0..1 with a slow start and end: a limb neither starts nor stops at once."""
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)


def _arm(drumming: Drumming, limb: str, t: Real) -> Arm:
    """Between two strokes a stick rebounds, waits, and comes down on the next place."""
    # Only what a limb struck last and strikes next matters: the pose is a function of
    # the time alone, so frames may be drawn in any order and by several processes.
    times, hits = _group_hits(drumming)[limb]
    side = 0 if limb == "right" else 1
    after = int(np.searchsorted(times, t, side="right"))
    last = hits[after - 1] if after else None
    coming = hits[after] if after < len(hits) else None
    home = KIT[REST[limb]]
    # 9 s stand for "long ago" and "not soon": all movements below are over by then.
    since = t - last.time if last else 9.0
    until = coming.time - t if coming else 9.0
    one = KIT[last.piece] if last else home
    two = KIT[coming.piece] if coming else home
    # It stays over what it struck, which was heard, until it must go to the next. Even
    # a listener does not know sooner where it will go.
    share = 0.0 if coming is None else _ease(1 - until / min(since + until, TRAVEL))
    place = np.array(one.place) * (1 - share) + np.array(two.place) * share
    grip = _grip(one, side) * (1 - share) + _grip(two, side) * share
    # The harder the stroke, the higher the stick rebounds; then it sinks to a wait.
    raised = 11.0 + 21.0 * (last.velocity if last else 0.0)
    wait = HOVER + (raised - HOVER) * math.exp(-since / 0.4)
    # cm; fast at first and then slower, as a stick leaves the skin. It is 0 at the
    # stroke itself, so the tip lies on the drum then.
    height = min(30.0 * (1 - math.exp(-since / 0.09)), wait)
    height *= math.sin(0.5 * math.pi * min(until / TRAVEL, 1.0))
    # the wrist goes up about half as far as the tip
    return Arm(place + (0.0, -height), place + grip + (0.0, -0.45 * height), height)


def _grip(piece: Piece, side: int) -> np.ndarray:
    """From the tip to the hand; a hand is only sent where it has one."""
    return np.array(piece.grip[side] or (0.0, 0.0), float)


def _read_ringing(
    drumming: Drumming, name: str, t: Real, decay: Real
) -> tuple[float, float]:
    """How hard a piece was struck last, fading with `decay` s, and s since then."""
    times, hits = _group_hits(drumming)[name]
    k = int(np.searchsorted(times, t, side="right")) - 1
    if k < 0:
        return 0.0, 9.0
    since = t - hits[k].time
    return hits[k].velocity * math.exp(-since / decay), since


@lru_cache(maxsize=8)
def _trace_sway(drumming: Drumming) -> np.ndarray:
    """How far the drummer leans to the viewer's right, -1 to 1, (K,).

    A hand's stroke pulls the body to its drum, and the pull fades within a second.
    """
    strokes = np.zeros(len(drumming.time))
    for hit in drumming.hits:
        k = min(math.ceil(hit.time * CONTROL_RATE), len(strokes) - 1)
        strokes[k] += hit.velocity * KIT[hit.piece].place[0] / 55.0
    since = np.arange(2 * CONTROL_RATE) / CONTROL_RATE
    pull = np.convolve(strokes, np.exp(-since / 0.35))[: len(strokes)]
    return np.asarray(np.tanh(smooth_curve(pull, 0.15)))


def _body(drumming: Drumming, look: Look, t: Real) -> Body:
    """Joints and face at `t` s: nods with the kick drum, leans to what is struck."""
    k = min(int(t * CONTROL_RATE), len(drumming.loudness) - 1)
    # The mean of the last 0.6 s: the body answers to how loud the music is, not to one
    # stroke.
    drive = float(drumming.loudness[max(0, k - 60) : k + 1].mean())
    sway = float(_trace_sway(drumming)[k])
    nod, _ = _read_ringing(drumming, "kick", t, 0.12)
    lean = sway * (0.6 + 2.5 * drive)
    neck = np.array([lean, 1.6 * nod])
    right, left = place_shoulders(neck, lean, look)
    return Body(
        neck=neck,
        head=neck + (0.35 * lean, -17.0 + 2.0 * nod),
        head_degrees=2.5 * sway * (0.3 + drive),
        turn=0.35 * sway,
        shoulder_right=right,
        shoulder_left=left,
        hip=np.array([0.15 * lean, 54.0]),
        seated=True,
        knees=27.0,
        cheeks=0.0,
        eyes=1.0,
    )


def draw_drummer(canvas: Canvas, drumming: Drumming, look: Look, t: Real) -> None:
    """Draw drummer and kit at `t` s; the canvas' unit is the picture's height."""
    body = _body(drumming, look, t)
    arms = {limb: _arm(drumming, limb, t) for limb in ("right", "left")}
    with canvas.at(aim_camera(look, DRUMMER_VIEW, shift=0.4)):
        draw_hair_behind(canvas, look, body)
        draw_legs(canvas, look, body)
        draw_torso(canvas, look, body)
        draw_head(canvas, look, body)
        _draw_stands(canvas)
        _draw_kick(canvas, drumming, look, t)
        for name in ("floor", "tom", "snare"):
            _draw_drum(canvas, drumming, name, look, t)
        for name in CYMBALS:
            _draw_cymbal(canvas, drumming, name, t)
        # Arms and sticks last: they are what moves, so nothing may hide them.
        for limb, out in (("right", -ELBOW_SIDE), ("left", ELBOW_SIDE)):
            shoulder = body.shoulder_right if limb == "right" else body.shoulder_left
            _draw_arm_and_stick(canvas, look, shoulder, arms[limb], out)


def _draw_arm_and_stick(
    canvas: Canvas, look: Look, shoulder: np.ndarray, arm: Arm, out: Real
) -> None:
    draw_arm(canvas, look, shoulder, arm.hand, out)
    towards = arm.tip - arm.hand
    # The bound keeps a tip that is in the hand from a division by zero.
    u = towards / max(math.hypot(*towards), 1e-6)
    canvas.stroke([arm.hand - u * 4, arm.tip], darken(STICK, 0.55), 2.8)
    canvas.stroke([arm.hand - u * 4, arm.tip], STICK, 2.0)
    canvas.fill(ellipse(arm.tip[0], arm.tip[1], 1.5, 1.5), lighten(STICK, 0.4))
    degrees = math.degrees(math.atan2(u[1], u[0]))
    draw_hand(canvas, look, arm.hand, degrees, length=4.0)


def _draw_stands(canvas: Canvas) -> None:
    for name, foot in (("hat", -45), ("ride", -60), ("crash", 61), ("snare", 24)):
        x, y = KIT[name].place
        canvas.stroke([(x, y), (foot, 112)], darken(STEEL, 0.35), 1.6)
        canvas.stroke([(foot - 8, 113), (foot, 103), (foot + 8, 113)], STEEL, 1.4)


def _draw_kick(canvas: Canvas, drumming: Drumming, look: Look, t: Real) -> None:
    x, y = KIT["kick"].place
    r = KIT["kick"].radius
    beat, _ = _read_ringing(drumming, "kick", t, 0.10)
    shell = _shell(look)
    for s in (-1, 1):
        canvas.stroke([(x + s * 22, y + 14), (x + s * 31, 113)], STEEL, 2.0)
    canvas.fill(ellipse(x, y, r + 2.4, r + 2.4), shell, edge=darken(shell, 0.5))
    canvas.fill(ellipse(x, y, r, r), SKIN_HEAD, edge=darken(SKIN_HEAD, 0.4), width=0.8)
    # the struck head bulges: a ring that grows and a brighter middle
    grow = 0.5 + 0.32 * beat
    ring = mix(shell, SKIN_HEAD, 0.55 - 0.4 * beat)
    canvas.fill(ellipse(x, y, r * grow, r * grow), ring)
    inner = r * (0.3 + 0.2 * beat)
    canvas.fill(ellipse(x, y, inner, inner), mix(SKIN_HEAD, (1.0, 1.0, 1.0), beat))
    canvas.stroke(
        ellipse(x - 1, y - 1, r + 1.2, r + 1.2), lighten(shell, 0.5), 0.8, 0.6
    )


def _shell(look: Look) -> Colour:
    """The drums' lacquer: the player's accent, never as dark as the stands."""
    return lighten(look.accent, 0.12)


def _draw_drum(
    canvas: Canvas, drumming: Drumming, name: str, look: Look, t: Real
) -> None:
    """A shell seen a little from above, its head lit when it is struck."""
    piece = KIT[name]
    hit, since = _read_ringing(drumming, name, t, 0.09)
    x, y = piece.place
    # A struck drum trembles on its stand, about 6 times a second.
    y += 1.3 * hit * math.cos(40 * since)
    r, flat = piece.radius, 0.3 * piece.radius
    shell = _shell(look) if name != "snare" else STEEL
    if name == "floor":
        for s in (-0.8, 0.8):
            canvas.stroke([(x + s * r, y + 10), (x + s * r * 1.15, 113)], STEEL, 1.4)
    bottom = y + piece.depth
    side = [(x - r, y), (x - r, bottom)]
    curve = [
        (x + r * math.cos(a), bottom + flat * math.sin(a))
        for a in np.linspace(np.pi, 0, 9)
    ]
    body = polygon([*side, *curve, (x + r, y)])
    one, two = lighten(shell, 0.25), darken(shell, 0.35)
    canvas.fill_gradient(body, (x - r, y), (x + r, y), one, two)
    canvas.stroke(body, darken(shell, 0.55), 0.6)
    lit = mix(SKIN_HEAD, (1.0, 0.98, 0.80), min(1.0, 1.5 * hit))
    canvas.fill(ellipse(x, y, r + 0.6, flat + 0.5), STEEL, edge=darken(STEEL, 0.5))
    canvas.fill(ellipse(x, y, r - 0.6, flat - 0.4), lit)
    if hit > 0.05:
        canvas.fill(ellipse(x, y, r * 0.55, flat * 0.55), darken(lit, 0.22 * hit))


def _draw_cymbal(canvas: Canvas, drumming: Drumming, name: str, t: Real) -> None:
    """A disc that tips and swings when it is struck."""
    piece = KIT[name]
    hit, since = _read_ringing(drumming, name, t, 0.30 if name == "hat" else 0.55)
    x, y = piece.place
    lean = {"hat": 0.0, "ride": 14.0, "crash": -14.0}[name]
    side = -1.0 if x < 0 else 1.0
    # degrees: the hi-hat is held by its stand, ride and crash swing 2.3 times a second.
    swing = (6.0 if name == "hat" else 17.0) * hit * math.cos(2 * math.pi * 2.3 * since)
    # Seen from a little above, a disc is an ellipse.
    flat = 0.2 * piece.radius
    if name == "hat":
        canvas.fill(ellipse(x, y + 2.6, piece.radius, flat), darken(GOLD, 0.35))
    with canvas.at(affine((x, y), lean + side * swing)):
        gold = lighten(GOLD, min(0.7, 0.9 * hit))
        canvas.fill(ellipse(0, 0, piece.radius, flat), gold, edge=darken(GOLD, 0.5))
        groove = ellipse(0, 0, 0.66 * piece.radius, 0.62 * flat)
        canvas.stroke(groove, darken(gold, 0.25), 0.4)
        bell = ellipse(0, -0.8, 3.6, 1.7)
        canvas.fill(bell, lighten(gold, 0.3), edge=darken(GOLD, 0.4))


def measure_drummer(
    drumming: Drumming, look: Look, times: np.ndarray
) -> Float32[np.ndarray, "time names"]:
    """Measure where things are drawn.

    Args:
        drumming: what is played.
        look: of the drummer.
        times: (T,), s.

    Returns:
        float32 (T, len(DRUMMER_TRUTH)): shares of the picture. ``*_height`` is a tip's
        height above what it is to strike: 0 at the moment of a stroke.
    """
    rows = np.empty((len(times), len(DRUMMER_TRUTH)), np.float32)
    view = aim_camera(look, DRUMMER_VIEW, shift=0.4)
    for i, t in enumerate(times):
        arms = [_arm(drumming, limb, float(t)) for limb in ("right", "left")]
        head = _body(drumming, look, float(t)).head
        places = [head, *(a.hand for a in arms), *(a.tip for a in arms)]
        # head, two hands, two tips: (5, 2) -> 10 columns in the order of DRUMMER_TRUTH
        rows[i, :10] = transform(view, np.array(places)).ravel()
        rows[i, 10:] = [arm.height / DRUMMER_VIEW[2] for arm in arms]
    return rows
