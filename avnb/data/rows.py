"""Cut a source into clips of equal length, each a row of a prepared shard."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from avnb import media
from avnb.data.sources import (
    IMAGE_SUFFIXES,
    SLACK,
    SLACK_SHARE,
    ClipSettings,
    Problem,
    Source,
)
from avnb.data.truth import read_truth, sample_truth
from avnb.errors import MediaError

# Seconds of sound held at once. A file is opened and sought in once a block, so short
# blocks would take most of their time for that.
SOUND_BLOCK = 60.0

# The int16 that stands for 1.0. Not 32768, so that 1.0 itself has a place and -1 is its
# mirror image.
INT16_PEAK = 32767


def make_schema(truth: Iterable[str] = ()) -> pa.Schema:
    """Make the schema of a row.

    Args:
        truth: the names of the known quantities, without "time", which joins them.
    """
    # Raw bytes with their shape: nested lists of numbers are much slower to write and
    # read. The shape in each row keeps the files readable without clips.json.
    fixed = [
        ("clip", pa.string()),
        ("recording", pa.string()),
        ("unit", pa.string()),
        ("label", pa.string()),
        ("split", pa.string()),
        ("start", pa.float64()),
        ("fps", pa.float32()),
        ("sample_rate", pa.int32()),
        ("frames", pa.binary()),
        ("frames_shape", pa.list_(pa.int32())),
        ("waveform", pa.binary()),
        ("waveform_shape", pa.list_(pa.int32())),
        ("source", pa.string()),
        ("peak", pa.float32()),
    ]
    names = ("time", *truth) if truth else ()
    known = [(f"truth_{name}", pa.list_(pa.float32())) for name in names]
    return pa.schema([*fixed, *known])


def make_rows(
    source: Source,
    split: str,
    settings: ClipSettings,
    quantities: Sequence[str],
    problems: list[Problem],
) -> Iterator[dict[str, Any]]:
    """Cut a source into clips, and yield each as a row.

    Args:
        source: what is read.
        split: of its recording.
        settings: how clips are cut.
        quantities: the names of the known quantities of the data set. One that this
            source lacks is nan.
        problems: a truth that cannot be used is added here.

    Yields:
        The columns of `make_schema` without ``peak``, which is known only when the
        whole recording has been read; and ``loudest``, the clip's largest sample.
    """
    times = np.arange(settings.frames) / settings.fps  # (T,), s of the clip
    truth = read_truth(source, problems)
    for at, frames, waveform in cut_clips(source, settings):
        own = len(frames)  # fewer than a clip has, where the last one is to be held
        frames, waveform = _hold_last(frames, waveform, settings)
        start = round(source.offset + at, 6)  # sums of floats: 0.1 + 0.2 is not 0.3
        # (1, S). "<i2": the same bytes on a machine with the other byte order.
        samples = np.round(np.clip(waveform, -1, 1) * INT16_PEAK).astype("<i2")
        row = {
            "clip": f"{source.recording}@{start:.3f}",
            "recording": source.recording,
            "unit": source.unit or source.group or source.recording,
            "label": source.label,
            "split": split,
            "start": start,
            "fps": settings.fps,
            "sample_rate": settings.sample_rate,
            "frames": np.ascontiguousarray(frames).tobytes(),
            "frames_shape": list(frames.shape),
            "waveform": samples.tobytes(),
            "waveform_shape": list(samples.shape),
            "source": source.name,
            "loudest": int(np.abs(samples).max(initial=0)),
        }
        if quantities:
            row["truth_time"] = times.tolist()
        for name in quantities:
            values: NDArray[Any]
            if name == "held":
                values = (np.arange(settings.frames) >= own) * 1.0
            elif name == "event" and source.span is not None:
                first, last = source.span
                # Derived here, not sampled: rows of a truth file are too coarse for
                # the exact second of its beginning.
                values = ((start + times >= first) & (start + times < last)) * 1.0
            else:
                values = sample_truth(truth, name, start + times, 1 / settings.fps)
            row[f"truth_{name}"] = values.tolist()
        yield row


@dataclass(frozen=True)
class ClipPlan:
    """How many clips a source gives.

    Attributes:
        count: whole clips.
        dropped: s at the end that fill no clip.
    """

    count: int
    dropped: float


@lru_cache(maxsize=1)  # it reads through the file, and two callers ask in turn
def plan_clips(source: Source, settings: ClipSettings) -> ClipPlan:
    """Say how many clips a source gives, without decoding it.

    The picture's length counts: its own sound may end a little earlier, and what is
    missing is silence. A separate sound file may be shorter than its video, and clips
    end with the shorter.

    Raises:
        MediaError: a file cannot be read, or the picture or the sound is missing.
    """
    if source.pictures:
        return ClipPlan(1, 0.0)  # a `hold` may have fewer pictures than a clip
    lengths = []
    # One look at a separate sound file: of a file of half a second, opening it takes
    # the most time.
    if source.audio is not None:
        found = media.probe(source.audio)
        lengths.append(found.duration)
        heard = found.audio_codec is not None
    else:
        heard = "audio" in media.list_tracks(source.video)
    if not heard:
        sound = source.audio or source.video
        raise MediaError(sound, "no audio track", "Give a file with sound")
    if source.video.suffix.lower() in IMAGE_SUFFIXES:
        tail = min(SLACK, settings.seconds / 2)
    else:
        # media keeps a last clip that misses half a frame: at 2 Hz that is 0.25 s of
        # sound
        tail = max(SLACK, SLACK_SHARE * settings.seconds)
        measured = media.measure_duration(source.video, "video")
        lengths.append(max(media.probe(source.video).duration, measured))
    span = min(lengths) - (source.start or 0.0)
    if source.duration is not None:
        span = min(span, source.duration)
    count = math.floor((span - settings.seconds + tail) / settings.step) + 1
    if count < 1:
        # Held, it fills one clip, if it has at least a frame.
        whole = source.hold and span * settings.fps >= 0.5
        return ClipPlan(int(whole), 0.0)
    used = (count - 1) * settings.step + settings.seconds
    return ClipPlan(count, max(0.0, span - used))


def describe_sound(source: Source, channel: int | None, loudest: int) -> Problem | None:
    """A remark on a recording that is silent, or whose channels cancel each other.

    Args:
        source: what was read.
        channel: which one was used; None: their average.
        loudest: its largest sample, as int16.
    """
    if loudest > 0.02 * INT16_PEAK:  # it can be heard
        return None
    if channel is None:
        waveform, _ = media.read_audio(
            source.audio or source.video,
            start=source.start,
            duration=min(source.duration or SOUND_BLOCK, SOUND_BLOCK),
            mono=False,
        )
        # As loud as uncorrelated channels would be, the average has 1 / sqrt(C). There
        # are no samples where the part begins after the sound has ended.
        mean, all_ = (np.square(x).sum() for x in (waveform.mean(0), waveform))
        if len(waveform) * mean < 0.01 * all_:
            return Problem(
                source.name,
                "its channels cancel each other when they are averaged",
                "Use one of them: prepare it with --channel 0",
            )
    if loudest == 0:
        return Problem(
            source.name, "its sound is silent", "Leave it out if that is not meant"
        )
    return None


def cut_clips(
    source: Source, settings: ClipSettings
) -> Iterator[tuple[float, NDArray[np.uint8], NDArray[np.float32]]]:
    """Read a source, and yield the start, the frames and the waveform of each clip.

    Yields:
        s of the file, (T, H, W, 3) uint8, and (1, S) in [-1, 1]. Where a recording is
        shorter than a clip and is to be held, what there is of both.

    Raises:
        MediaError: a file cannot be read.
    """
    if source.pictures:
        yield 0.0, _read_pictures(source, settings), _join_pieces(source, settings)
        return
    if source.video.suffix.lower() in IMAGE_SUFFIXES:
        if source.audio is None:
            raise MediaError(
                source.video, "a picture has no sound", "Pair it with a sound file"
            )
        image = media.read_image(source.video, size=settings.size, crop=source.crop)
        # A view: the one picture stands for all T frames without copies.
        still = np.broadcast_to(image, (settings.frames, *image.shape))
        for at, waveform in _cut_sound(source, source.audio, settings):
            yield at, still, waveform
        return
    first = source.start or 0.0
    whole = plan_clips(source, settings).count
    how: dict[str, Any] = {
        "fps": settings.fps,
        "size": settings.size,
        "sample_rate": settings.sample_rate,
        "crop": source.crop,
        "audio": source.audio,
        "channel": settings.channel,
    }
    if source.hold and whole == 1:
        # As much as there is: one clip, whole or not.
        length = min(settings.seconds, source.duration or math.inf)
        clip = media.read_clip(source.video, start=first, duration=length, **how)
        yield first, clip.frames, clip.waveform
        return
    found = media.iter_clips(
        source.video,
        seconds=settings.seconds,
        hop=settings.step,
        start=first,
        duration=source.duration,
        **how,
    )
    # k * step, as media computes it: a running sum would drift from the sound
    for k, clip in enumerate(islice(found, whole)):
        yield first + k * settings.step, clip.frames, clip.waveform


def _hold_last(
    frames: NDArray[np.uint8], waveform: NDArray[np.float32], settings: ClipSettings
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Repeat the last frame, and add silence, up to the length of a clip."""
    if len(frames) >= settings.frames and waveform.shape[1] >= settings.samples:
        return frames, waveform
    more = max(0, settings.frames - len(frames))
    silent = max(0, settings.samples - waveform.shape[1])
    return (
        np.concatenate([frames, np.repeat(frames[-1:], more, axis=0)]),
        np.pad(waveform, ((0, 0), (0, silent))),
    )


def _read_pictures(source: Source, settings: ClipSettings) -> NDArray[np.uint8]:
    """The frames of a clip that is a file a frame: (T, H, W, 3)."""
    few = source.hold and 0 < len(source.pictures) < settings.frames
    if len(source.pictures) != settings.frames and not few:
        raise MediaError(
            source.video,
            f"{len(source.pictures)} pictures for a clip of {settings.frames} frames",
            "Give one a frame",
        )
    return np.stack(
        [
            media.read_image(path, size=settings.size, crop=source.crop)
            for path in source.pictures
        ]
    )


def _join_pieces(source: Source, settings: ClipSettings) -> NDArray[np.float32]:
    """The sound of a clip whose sound lies in parts of several files: (1, S)."""
    joined: list[NDArray[np.float32]] = []
    rates = set()
    for piece in source.pieces:
        part, rate = media.read_audio(
            piece.path,
            start=piece.start,
            duration=piece.duration,
            channel=settings.channel,
        )
        rates.add(rate)
        # A sample may be missing by rounding; more would be a hole in the sound.
        if part.shape[1] < round(piece.duration * rate) - 1:
            raise MediaError(
                piece.path,
                f"it ends before {piece.start + piece.duration:g} s",
                "Fetch it again",
            )
        joined.append(part)
    if len(rates) != 1:
        raise MediaError(
            source.pieces[0].path,
            f"the parts of its clip have {sorted(rates)} Hz",
            "Give parts of one rate",
        )
    # Joined first: a resampler takes what is before and after a part for silence.
    waveform = media.resample(
        np.concatenate(joined, axis=1), rates.pop(), settings.sample_rate
    )
    if waveform.shape[1] < settings.samples and not source.hold:
        raise MediaError(
            source.pieces[0].path,
            f"the parts of its clip last {waveform.shape[1]} samples of "
            f"{settings.samples}",
            "Give more of them",
        )
    return waveform[:, : settings.samples]


def _cut_sound(
    source: Source, path: Path, settings: ClipSettings
) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """(start s, waveform (1, S)) of each clip; holds a minute of sound."""
    first = source.start or 0.0
    end = math.inf if source.duration is None else first + source.duration
    step, rate = settings.step, settings.sample_rate
    per_block = max(1, int(SOUND_BLOCK / step))  # clips
    k = 0
    while True:
        at = first + k * step
        # Each block is long enough for its last clip, which may reach beyond the next
        # block's start if clips overlap.
        span = min((per_block - 1) * step + settings.seconds, end - at)
        if span < settings.seconds - SLACK:
            return
        block, _ = media.read_audio(
            path,
            start=at,
            duration=span,
            sample_rate=rate,
            channel=settings.channel,
        )
        for i in range(per_block):
            begin = round(i * step * rate)
            chunk = _fit_length(block[:, begin : begin + settings.samples], settings)
            if chunk is None:
                return
            yield first + k * step, chunk
            k += 1


def _fit_length(
    waveform: NDArray[np.float32], settings: ClipSettings
) -> NDArray[np.float32] | None:
    """The chunk at its exact length, or None where it is too short."""
    # Half a clip of silence is too much even where a clip is shorter than the slack.
    missing = settings.samples - waveform.shape[-1]
    if missing > min(SLACK * settings.sample_rate, settings.samples / 2):
        return None
    padded = np.pad(waveform, ((0, 0), (0, max(missing, 0))))
    return padded[:, : settings.samples]
