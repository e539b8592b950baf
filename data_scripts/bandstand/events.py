"""Videos of 10 s in which one of AVE's 28 kinds of event is seen and heard.

An event fills whole seconds. Before and after it there is only the place, with its own
background sound; the thing is not there, or is there, still and silent. `clutter` makes
the videos harder, in five ways that AVE's videos have too: see `Clutter`.

Source:
    The classes and where events lie: AVE's own annotations (Tian et al. 2018; Zhu et
    al. 2021, Sec. 3.1).
"""

from __future__ import annotations

import dataclasses
from functools import cached_property, lru_cache

import numpy as np

from data_scripts.ave import KINDS, PARTIAL_SPANS, SECONDS
from data_scripts.bandstand import picture, speaker
from data_scripts.bandstand.canvas import Canvas, Real, affine
from data_scripts.bandstand.event_pictures import PICTURES, Moment, Variant, draw_place
from data_scripts.bandstand.event_sounds import BACKGROUNDS, SOUNDS
from data_scripts.bandstand.people import Look
from data_scripts.bandstand.performers import Take, mark_onsets, sample_nearest
from data_scripts.bandstand.scene import get_look
from data_scripts.bandstand.sound import PEAK, reverberate, synthesise
from data_scripts.bandstand.world import (
    CONTROL_RATE,
    Performance,
    make_generator,
    perform,
    smooth_curve,
)

# These two kinds are played by the bandstand's own musicians.
MUSIC = {"Violin, fiddle": "violin", "Flute": "flute"}
# The voice of a speaker: Hz, and the formants' factor.
SPEECH = {
    "Male speech, man speaking": (115.0, 1.0),
    "Female speech, woman speaking": (210.0, 1.14),
}

RATE = 16000  # Hz, of the events' own sounds; a whole number of CONTROL_RATE
LOUDEST = 0.25  # RMS of the loudest event
STILL_SHARE = 0.3  # of the videos show the thing, still and silent, outside the event
# Smaller than the event's own thing, and in a corner: (x, y) of its middle.
ASIDE = 0.7
CORNERS = ((0.25, 0.3), (0.75, 0.3), (0.25, 0.7), (0.75, 0.7))


def sample_span(rng: np.random.Generator, whole: float) -> tuple[int, int]:
    """Draw at random where an event begins and ends, as AVE's events do.

    Args:
        rng: draws it.
        whole: the probability that the event fills the video. Otherwise its span is
            drawn from `ave.PARTIAL_SPANS`.

    Returns:
        The first second, and the second after the last.
    """
    if rng.random() < whole:
        return 0, SECONDS
    # One draw of 9 x 10 cells: start and end of AVE's events depend on each other.
    shares = PARTIAL_SPANS.ravel() / PARTIAL_SPANS.sum()
    start, end = divmod(int(rng.choice(PARTIAL_SPANS.size, p=shares)), SECONDS)
    return start, end + 1  # column e of the table stands for the end e + 1


@lru_cache(maxsize=2)
def record_event(
    kind: str, *, start: int, end: int, seed: int, clutter: float = 0.0
) -> EventTake:
    """Record one video of an event, the same in every process.

    Args:
        kind: one of `ave.KINDS`.
        start: the first second of the event.
        end: the second after its last one.
        seed: of the thing, its sound and its place.
        clutter: the probability of each disturbance of `Clutter`, 0 to 1.

    Raises:
        ValueError: for an unknown kind, seconds that are not within the video, or a
            clutter that is no probability.
    """
    if kind not in KINDS:
        raise ValueError(f"no event {kind!r}: give one of {KINDS}")
    # Whole seconds, as AVE annotates. `loudness` below relies on them for its shape.
    if not 0 <= start < end <= SECONDS:
        raise ValueError(f"from {start} to {end}: whole seconds within 0 to {SECONDS}")
    if not 0 <= clutter <= 1:
        raise ValueError(f"clutter is {clutter}: give a probability, from 0 to 1")
    return _make_take(kind, start, end, seed, clutter)


def _make_take(
    kind: str, start: int, end: int, seed: int, clutter: float = 0.0
) -> EventTake:
    for kinds, take in ((MUSIC, MusicEvent), (SPEECH, SpeechEvent)):
        if kind in kinds:
            return take(kind, start, end, seed, clutter)
    return EventTake(kind, start, end, seed, clutter)


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Something of `kind` from `start` to `end`, whole seconds."""

    kind: str
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Clutter:
    """What makes one video hard. Each part is there or not, by lot.

    None of it depends on the kind of the event. By AVE's rule the event is where its
    thing is seen *and* heard, so neither `unseen` nor `unheard` is a part of it; they
    never touch the same side of it. Without them the loudest seconds, or those in which
    most moves, would be the event.

    Args:
        noise: how much louder the place is, as a factor; 1 for none.
        unseen: the event's own sound, heard just before or after it, while the thing
            is not in the picture: the camera looks elsewhere.
        unheard: the thing, which moves just before or after the event, and no sound of
            it: what is heard is another microphone.
        other_sound: the sound of another kind, which is never seen.
        other_thing: a thing of another kind that moves aside, and is never heard.
        corner: where that thing is: a place in `CORNERS`.
        level: of the other sound, as a factor of the event's loudness.
    """

    noise: float = 1.0
    unseen: Stretch | None = None
    unheard: Stretch | None = None
    other_sound: Stretch | None = None
    other_thing: Stretch | None = None
    corner: int = 0
    level: float = 0.0


def _draw_clutter(
    rng: np.random.Generator, probability: float, kind: str, start: int, end: int
) -> Clutter:
    """Draw the disturbances of one video at random."""
    # All numbers are drawn whatever the probability is, so that a video keeps its
    # disturbances where more of them are asked for.
    wanted = rng.random(5) < probability
    noise = 10 ** float(rng.uniform(0.6, 1.0))  # by 12 to 20 dB
    level = 10 ** float(rng.uniform(-0.3, 0.3))  # -6 to 6 dB
    others = [other for other in KINDS if other != kind]
    heard, seen = (str(other) for other in rng.choice(others, 2))
    lengths = rng.integers(1, 5, 2)  # s, of what goes on
    first_before = bool(rng.random() < 0.5)
    sides: dict[bool, Stretch | None] = {}
    for before, length in zip((True, False), lengths.tolist(), strict=True):
        edge = max(0, start - length) if before else min(SECONDS, end + length)
        one = Stretch(kind, edge, start) if before else Stretch(kind, end, edge)
        sides[before] = one if one.start < one.end else None
    spans = [sample_span(rng, 0.2) for _ in range(2)]
    return Clutter(
        noise=noise if wanted[0] else 1.0,
        unseen=sides[first_before] if wanted[1] else None,
        unheard=sides[not first_before] if wanted[2] else None,
        other_sound=Stretch(heard, *spans[0]) if wanted[3] else None,
        other_thing=Stretch(seen, *spans[1]) if wanted[4] else None,
        corner=int(rng.integers(len(CORNERS))),
        level=level,
    )


class EventTake(Take):
    """A thing that sounds from `start` to `end`, s, and the place where it does.

    Everything but the span is drawn from `kind` and `seed`.
    """

    duration = float(SECONDS)

    def __init__(
        self, kind: str, start: int, end: int, seed: int, clutter: float = 0.0
    ) -> None:
        self.kind, self.start, self.end, self.seed = kind, start, end, seed
        rng = make_generator("happening", kind, seed)
        # the order of these draws is part of the world: another order, other videos
        self.stays = bool(rng.random() < STILL_SHARE)  # seen outside the event too
        self.place = int(rng.integers(1 << 30))
        self.loud = LOUDEST * float(rng.uniform(0.4, 1.0))
        self.quiet = self.loud * 10 ** -float(rng.uniform(0.9, 1.6))  # -18 to -32 dB
        self.background = BACKGROUNDS[rng.integers(len(BACKGROUNDS))]
        x, y = 0.5 + rng.uniform(-0.1, 0.1, 2)
        self.view = affine(
            (x, y), float(rng.uniform(-4, 4)), rng.uniform(0.0065, 0.0085)
        )
        if rng.random() < 0.5:  # seen from the other side
            # Mirrored by x = -x: (2, 3) @ (3, 3). A class must not be told by the side
            # that it faces.
            self.view = self.view @ np.diag([-1.0, 1.0, 1.0])
        self.variant = Variant.from_seed(self.place)
        # a generator of its own: the draws above stay those of a video without it
        rng = make_generator("clutter", kind, seed)
        self.clutter = _draw_clutter(rng, clutter, kind, start, end)
        if self.clutter.unseen:  # what sounds there must not be seen
            self.stays = False

    def is_on(self, t: Real) -> bool:
        """Whether the event is going on at `t` s."""
        return bool(self.start <= t < self.end)

    @cached_property
    def aside(self) -> EventTake | None:
        """What moves a thing of another kind, where there is one; nobody hears it."""
        part = self.clutter.other_thing
        if part is None:
            return None
        return _make_take(part.kind, part.start, part.end, self.seed + 2)

    @cached_property
    def goes_on(self) -> EventTake | None:
        """What moves the event's own thing before or after it, where nobody hears it.

        The seed is the event's, so that it is the same thing.
        """
        part = self.clutter.unheard
        if part is None:
            return None
        return _make_take(part.kind, part.start, part.end, self.seed)

    @cached_property
    def heard(self) -> tuple[np.ndarray, list[float]]:
        """The event's own dry sound at RATE, (samples,), and its strokes, s."""
        rng = make_generator("event", self.kind, self.seed)
        return SOUNDS[self.kind](rng, self.end - self.start, RATE)

    @cached_property
    def loudness(self) -> np.ndarray:
        """The loudness that moves the thing: 0..1 at CONTROL_RATE over the video."""
        # 160 samples are one step of the curve: (samples,) -> (steps, 160). A sound may
        # run on beyond the event, and is cut here.
        step = RATE // CONTROL_RATE
        blocks = self.heard[0][: (self.end - self.start) * RATE].reshape(-1, step)
        level = smooth_curve(np.sqrt(np.mean(blocks**2, axis=1)), 0.08)
        # the 95th percentile and not the maximum: one click would make the rest small
        level = np.clip(level / max(np.quantile(level, 0.95), 1e-9), 0, 1)
        # The level has a step for each hundredth of the event, so it fills the slice
        # exactly.
        curve = np.zeros(SECONDS * CONTROL_RATE)
        curve[self.start * CONTROL_RATE : self.end * CONTROL_RATE] = level
        return curve

    def synthesise(self, sample_rate: int) -> np.ndarray:
        """The event in its place: float32 (samples,), at RATE alone.

        Raises:
            ValueError: for another `sample_rate`.
        """
        # The loudness curve is measured on the sound at RATE. At another rate the
        # random draws would give another sound, which the picture would not follow.
        if sample_rate != RATE:
            raise ValueError(f"sample_rate = {sample_rate}: events sound at {RATE} Hz")
        rng = make_generator("place's sound", self.place)
        wave = self.background(rng, SECONDS, RATE)
        wave *= self.clutter.noise * self.quiet / np.sqrt(np.mean(wave**2))
        own = Stretch(self.kind, self.start, self.end)
        self._add_sound(wave, own, self.heard[0], self.loud)
        for part, seed, level in (
            (self.clutter.unseen, self.seed, self.loud),  # the same thing goes on
            (self.clutter.other_sound, self.seed + 1, self.clutter.level * self.loud),
        ):
            if part is not None:
                take = _make_take(part.kind, part.start, part.end, seed)
                self._add_sound(wave, part, take.heard[0], level)
        # Scaled down as a whole and only where it is too loud: clipping would distort
        # the sound.
        return np.asarray(wave * min(1.0, PEAK / np.abs(wave).max()), np.float32)

    def _add_sound(
        self, wave: np.ndarray, where: Stretch, dry: np.ndarray, level: float
    ) -> None:
        """Add a dry sound to the video's, in the room of its place, RMS `level`."""
        sound = dry + reverberate(dry, self.place, RATE)
        fade = np.minimum(np.arange(len(sound)) / (0.01 * RATE), 1.0)
        sound *= fade * fade[::-1]
        rms = np.sqrt(np.mean(sound**2))
        wave[where.start * RATE : where.end * RATE] += level / rms * sound

    def draw(self, t: Real, size: int) -> np.ndarray:
        """The picture at `t` s: uint8 (size, size, 3)."""

        def paint(canvas: Canvas) -> None:
            if self.aside is not None and self.aside.is_on(t):
                x, y = CORNERS[self.clutter.corner]
                with canvas.at(affine((x - ASIDE / 2, y - ASIDE / 2), 0.0, ASIDE)):
                    self.aside.paint(canvas, t)
            if self.goes_on is not None and self.goes_on.is_on(t):
                self.goes_on.paint(canvas, t)
            # In 3 of 10 videos the thing is there but still, so seeing it does not mean
            # that the event is on.
            elif self.is_on(t) or self.stays:
                self.paint(canvas, t)

        behind = _draw_place(self.place, size)
        return picture.render(paint, self.place, self.seed, t, size, behind)

    def paint(self, canvas: Canvas, t: Real) -> None:
        """Draw the thing at `t` s, as the sound at that moment moves it."""
        with canvas.at(self.view):
            PICTURES[self.kind](canvas, self.read_moment(t), self.variant)

    def read_moment(self, t: Real) -> Moment:
        """Read what is heard of the event at `t` s; nothing before and after it."""
        if not self.start <= t < self.end:
            return Moment()
        now, strokes = t - self.start, self.heard[1]
        row = int(t * CONTROL_RATE)
        # How many strokes are at `now` or before.
        count = int(np.searchsorted(strokes, now, side="right"))
        # before the first stroke the last one is long ago; after the last one the next
        # is a second away
        last = strokes[count - 1] if count else now - 10.0
        coming = strokes[count] if count < len(strokes) else last + 1.0
        return Moment(
            level=float(self.loudness[row]),
            since=float(now - last),
            # `Moment.swing` divides by the gap, and two strokes may fall together.
            gap=max(float(coming - last), 0.05),
            count=count,
            # The integral of the loudness, s: a sum of steps over the steps a second.
            turns=float(self.loudness[:row].sum() / CONTROL_RATE),
            share=float(now / (self.end - self.start)),
        )

    def measure(self, times: np.ndarray) -> dict[str, np.ndarray]:
        """The known quantities: `loudness`, `onset` and `seen`, float32 (T,) each.

        `loudness` is that of the event alone, 0..1. `onset` is 1 where something
        strikes before the next time. `seen` is 1 where the thing is.
        """
        during = (times >= self.start) & (times < self.end)
        part = self.clutter.unheard
        if part is not None:
            during |= (times >= part.start) & (times < part.end)
        return {
            "loudness": sample_nearest(self.loudness, times),
            "onset": mark_onsets([self.start + s for s in self.heard[1]], times),
            "seen": (during | self.stays).astype(np.float32),
        }


class MusicEvent(EventTake):
    """A violinist or a flautist of the bandstand."""

    @cached_property
    def played(self) -> Performance:
        """What the musician plays; its time 0 is the event's start."""
        instrument, seconds = MUSIC[self.kind], self.end - self.start
        return perform(instrument, self.place, seconds=seconds, seed=self.seed)

    @cached_property
    def heard(self) -> tuple[np.ndarray, list[float]]:
        """The playing at RATE, (samples,), and its notes' starts, s."""
        onsets = [note.onset for note in self.played.notes]
        return synthesise(self.played, RATE).astype(float), onsets

    def paint(self, canvas: Canvas, t: Real) -> None:
        """Draw the musician at `t` s; outside the event as at its start."""
        during = self.start <= t < self.end
        # The musicians are drawn on the stage in cm, so their own camera frames them.
        # The view of the things has units of its own.
        camera = picture.find_camera(self.played)
        picture.draw_player(
            canvas, self.played, t - self.start if during else 0.0, camera
        )


class SpeechEvent(EventTake):
    """A man or a woman who speaks."""

    @cached_property
    def look(self) -> Look:
        """How the speaker looks: hair and beard of a man or a woman."""
        look = get_look(self.place)
        man = self.kind.startswith("Male")
        # The style follows from the place, so it stays with the video without another
        # draw.
        style = ("short", "parted", "bald") if man else ("bob", "long", "bun")
        return dataclasses.replace(
            look, style=style[self.place % 3], beard=man and look.beard
        )

    @cached_property
    def spoken(self) -> speaker.Speech:
        """What is said, with the pitch and the formants of a man or a woman."""
        hertz, throat = SPEECH[self.kind]
        seconds = self.end - self.start
        speech = speaker.speak(self.place, seconds=seconds, seed=self.seed)
        voiced = speech.pitch_hz > 0
        spread = 0.85 + 0.3 * self.variant.shape
        # the median pitch becomes that of the kind; what is said stays the same
        # Silence has the pitch 0 and stays 0 when it is multiplied.
        factor = spread * hertz / float(np.median(speech.pitch_hz[voiced]))
        return dataclasses.replace(
            speech, pitch_hz=factor * speech.pitch_hz, formants=throat * speech.formants
        )

    @cached_property
    def heard(self) -> tuple[np.ndarray, list[float]]:
        """The voice at RATE, (samples,), and its syllables' starts, s."""
        voice = speaker.synthesise_speech(self.spoken, RATE).astype(float)
        return voice, list(self.spoken.onsets)

    def paint(self, canvas: Canvas, t: Real) -> None:
        """Draw the speaker at `t` s; outside the event as at its start."""
        during = self.start <= t < self.end
        now = t - self.start if during else 0.0
        speaker.draw_speaker(canvas, self.spoken, self.look, now)


@lru_cache(maxsize=2)
def _draw_place(seed: int, size: int) -> np.ndarray:
    """The place, float32 (size, size, 3), drawn once for the frames of a video."""
    return draw_place(seed, size).astype(np.float32)
