"""Read clips, frames, sounds and still pictures; say what a file holds."""

import math
import warnings
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
from PIL import Image, ImageOps

from avnb.errors import MediaError
from avnb.media import containers
from avnb.media.containers import (
    CONVERT,
    Crop,
    File,
    Frames,
    Number,
    Picture,
    Size,
    Waveform,
)
from avnb.media.decoding import BARE_FORMATS, TimedFrame, decode_track
from avnb.media.pictures import (
    FrameConverter,
    compute_displayed_size,
    read_orientation,
)
from avnb.media.sounds import SoundReader

# Pillow decodes many more; a file that nobody trusts should not choose among them.
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")


@dataclass(frozen=True)
class Clip:
    """Picture and sound over the same stretch of time.

    Attributes:
        frames: (T, H, W, 3) uint8 RGB; frame k is seen at k / fps seconds.
        waveform: (channels, samples) in [-1, 1]; sample n is heard at
            n / sample_rate seconds. What a file holds beyond 1 is cut, as players do.
        fps: frames a second.
        sample_rate: samples a second.
    """

    frames: Frames
    waveform: Waveform
    fps: Number
    sample_rate: int


@dataclass(frozen=True)
class Probe:
    """What a file says it holds; None where it has no such track.

    Attributes:
        duration: seconds.
        width: of the picture as displayed.
        height: of the picture as displayed.
        fps: the average frame rate.
        video_codec: FFmpeg's name of it.
        rotation: degrees clockwise; the readers apply it, after the reflection.
        reflected: whether the readers mirror the picture left to right.
        audio_codec: FFmpeg's name of it.
        sample_rate: Hz.
        channels: of the sound.
    """

    duration: float
    width: int | None = None
    height: int | None = None
    fps: Number | None = None
    video_codec: str | None = None
    rotation: int = 0
    reflected: bool = False
    audio_codec: str | None = None
    sample_rate: int | None = None
    channels: int | None = None


def read_clip(
    path: File,
    *,
    start: Number | None = None,
    duration: Number | None = None,
    fps: Number | None = None,
    size: Size = None,
    sample_rate: int | None = None,
    mono: bool = True,
    channel: int | None = None,
    crop: Crop | None = None,
    audio: File | None = None,
) -> Clip:
    """Read picture and sound of a file, or of `duration` seconds of it from `start`.

    A part holds what the same part of the whole does. Two small differences remain: a
    codec that fills in random noise (AAC may) draws it anew, and time stamps in
    milliseconds move the sound by less than that.

    Args:
        path: the media file.
        start: s of the file; its beginning by default.
        duration: s; to the end by default.
        fps: frames a second; None keeps the file's own (the average, if it varies).
        size: None keeps it; an int cuts out the central square and resizes it;
            (height, width) resizes.
        sample_rate: Hz; None keeps the file's own.
        mono: average the channels to one; otherwise keep them all.
        channel: with `mono`, take this channel (0 = the first) in place of the average.
        crop: (left, top, width, height) in displayed pixels, applied before `size`.
        audio: a sound file to take the sound from, in place of the file's own.

    Returns:
        A clip of round(duration * fps) frames, fewer where the file ends earlier.

    Raises:
        MediaError: a file without picture or sound, a damaged one, a `start` past its
            end, a crop outside the picture, or more than LIMIT_BYTES of frames.
    """
    seconds = math.inf if duration is None else duration
    plan = _ClipPlan(start or 0.0, seconds, fps=fps)
    # The sound is opened first: a file without any fails before its picture is read.
    sound = SoundReader(audio or path, plan.start, sample_rate, mono, channel)
    # Without a hop there is at most one segment, and none if the file ends earlier.
    for segment in _cut_segments(path, plan, FrameConverter(path, size, crop)):
        return _join_sound(segment, sound)
    raise _starts_too_late(path, plan)


def iter_clips(
    path: File,
    *,
    seconds: Number,
    hop: Number | None = None,
    start: Number | None = None,
    duration: Number | None = None,
    fps: Number | None = None,
    size: Size = None,
    sample_rate: int | None = None,
    mono: bool = True,
    channel: int | None = None,
    crop: Crop | None = None,
    audio: File | None = None,
) -> Iterator[Clip]:
    """Yield clips of `seconds` each, every `hop` seconds, in bounded memory.

    Clip i equals read_clip(start=start + i * hop, duration=seconds), but the file is
    decoded only once. Only whole clips come: what is left at the end is dropped.

    Args:
        path: the media file.
        seconds: the length of a clip.
        hop: s from the start of one clip to the next; `seconds` by default.
        start: s of the file; its beginning by default.
        duration: s of the file that the clips come from; to the end by default.
        fps: as for `read_clip`, and so are all arguments after it.
        size: see `read_clip`.
        sample_rate: see `read_clip`.
        mono: see `read_clip`.
        channel: see `read_clip`.
        crop: see `read_clip`.
        audio: see `read_clip`.

    Raises:
        MediaError: as `read_clip`.
    """
    span = math.inf if duration is None else duration
    hop = seconds if hop is None else hop
    plan = _ClipPlan(start or 0.0, seconds, hop=hop, span=span, fps=fps)
    sound = SoundReader(audio or path, plan.start, sample_rate, mono, channel)
    for segment in _cut_segments(path, plan, FrameConverter(path, size, crop)):
        yield _join_sound(segment, sound)


def read_frames(
    path: File,
    *,
    start: Number | None = None,
    duration: Number | None = None,
    fps: Number | None = None,
    size: Size = None,
    crop: Crop | None = None,
) -> tuple[Frames, float]:
    """Read the picture of a file alone, as `read_clip` does: (frames, fps)."""
    plan = _ClipPlan(start or 0.0, math.inf if duration is None else duration, fps=fps)
    for segment in _cut_segments(path, plan, FrameConverter(path, size, crop)):
        return segment.frames, segment.fps
    raise _starts_too_late(path, plan)


def read_audio(
    path: File,
    *,
    start: Number | None = None,
    duration: Number | None = None,
    sample_rate: int | None = None,
    mono: bool = True,
    channel: int | None = None,
) -> tuple[Waveform, int]:
    """Read the sound of a file of sound or video: (waveform, sample rate).

    Where the sound ends before `start + duration`, fewer samples come, and none if it
    ends before `start`. The arguments are those of `read_clip`.

    Raises:
        MediaError: no sound, a damaged file, or more than LIMIT_BYTES.
    """
    plan = _ClipPlan(start or 0.0, math.inf if duration is None else duration)
    sound = SoundReader(path, plan.start, sample_rate, mono, channel)
    # Seconds to samples with one rounding each: clip after clip fits without a gap.
    count = plan.seconds * sound.rate
    count = round(count) if count < math.inf else count
    return sound.read(round(plan.start * sound.rate), count), sound.rate


def read_image(path: File, *, size: Size = None, crop: Crop | None = None) -> Picture:
    """Read a still picture (H, W, 3): turned as its EXIF says, on white if clear.

    Raises:
        MediaError: no picture that can be read, or one of more than LIMIT_PIXELS.
    """
    containers.check_file(path)
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd EXIF data, and of pictures half as large as ours.
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(path, formats=IMAGE_FORMATS)
            if image.width * image.height > containers.LIMIT_PIXELS:
                raise containers.too_large(path, image.width, image.height)
            image = ImageOps.exif_transpose(image)
            if image.has_transparency_data:
                # Dropping the alpha channel would show what it hides.
                image = image.convert("RGBA")
                white = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(white, image)
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(
            path,
            f"not a picture that can be read ({error})",
            f"Save it as one of {', '.join(IMAGE_FORMATS)}",
        ) from error
    # Through the same converter as films, so that sizes and crops mean the same.
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    return FrameConverter(path, size, crop)(frame)


def probe(path: File) -> Probe:
    """Say what tracks a file has, without reading more of it than that takes.

    Raises:
        MediaError: it is no media file, or has neither picture nor sound.
    """
    with containers.open_container(path) as container:
        video = containers.choose_stream(container, "video")
        audio = containers.choose_stream(container, "audio")
        if video is None and audio is None:
            raise MediaError(path, "no video track and no audio track", CONVERT)
        found: dict[str, Any] = {}
        if video is not None:
            containers.check_stream(path, video, "video")
            found["video_codec"] = video.codec_context.name
            found["fps"] = containers.read_frame_rate(path, video)
        if audio is not None:
            containers.check_stream(path, audio, "audio")
            found["audio_codec"] = audio.codec_context.name
            found["sample_rate"] = audio.sample_rate
            found["channels"] = audio.channels
        # Without an index, FFmpeg guesses from the first packets' bit rate. The length
        # in an AVI's header is the picture's, and any number where there is none.
        kind = container.format.name
        guessed = kind in BARE_FORMATS or (kind == "avi" and video is None)
        duration = None if guessed else container.duration
    # The container is closed here: decoding opens the file again, from its start.
    if video is not None:
        # Only a decoded frame carries the display matrix.
        head = next(decode_track(path, "video", 0.0))
        frame, aspect = head.frame, head.track.aspect
        orientation = read_orientation(frame)
        found["width"], found["height"] = compute_displayed_size(
            frame, aspect, orientation
        )
        found["rotation"], found["reflected"] = orientation.angle
    if duration is None:
        seconds = containers.measure_duration(path)
    else:
        seconds = duration / av.time_base
    return Probe(duration=seconds, **found)


# ------------------------------------------------------- cutting a film into clips


@dataclass(frozen=True)
class _ClipPlan:
    """The clips asked of a file: number i starts at start + i * hop."""

    start: Number
    seconds: Number  # of each; inf: all there is
    hop: Number | None = None  # None: there is but the one
    span: Number = math.inf  # the clips end within it
    fps: Number | None = None

    def __post_init__(self) -> None:
        for name in ("seconds", "hop", "span", "fps"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} = {value}: must be above 0")
        if not 0 <= self.start < math.inf:
            raise ValueError(f"start = {self.start}: must be 0 or more")

    def list_starts(self, fps: float) -> Iterator[Number]:
        """When each clip starts (s); a last half frame may lie beyond the span."""
        yield self.start
        k = 1
        while self.hop and k * self.hop + self.seconds <= self.span + 0.5 / fps:
            # k * hop, not a running sum: rounding errors must not add up
            yield self.start + k * self.hop
            k += 1


@dataclass
class _OpenSegment:
    """A clip whose frames are still coming."""

    first: Number  # s
    fps: float
    wanted: Number  # frames; inf: all there are
    pixels: bytearray = field(default_factory=bytearray)  # grows without copies
    count: int = 0

    def needs_frame_before(self, time: float) -> bool:
        """Whether the moment of its next frame is before `time` (s)."""
        return self.count < self.wanted and self.first + self.count / self.fps < time

    def is_over_at(self, time: float) -> bool:
        """Whether it lacks at most half a frame if the picture ends at `time` (s)."""
        return self.first + (self.wanted - 0.5) / self.fps <= time

    def to_frames(self, shape: tuple[int, ...]) -> Frames:
        return np.frombuffer(self.pixels, np.uint8).reshape(-1, *shape)


@dataclass(frozen=True)
class _Segment:
    """The picture of one clip: from `first` (s) on, shown for `shown` (s)."""

    first: Number
    shown: Number  # s from there to where the picture, or the clip, ends
    frames: Frames
    fps: float


def _join_sound(segment: _Segment, sound: SoundReader) -> Clip:
    """The picture with the sound of the same time, padded to its length."""
    first = round(segment.first * sound.rate)
    count = round(segment.shown * sound.rate)
    waveform = sound.read_padded(first, count)
    return Clip(segment.frames, waveform, segment.fps, sound.rate)


def _cut_segments(
    path: File, plan: _ClipPlan, convert: FrameConverter
) -> Iterator[_Segment]:
    """The picture of each clip, from one pass through the file.

    Where there is a hop, whole clips alone: those that miss at most half a frame.
    Clips may overlap, so several segments can be open at once.
    """
    # Decoding can stop there, so that the rest of a long film is never read.
    last = plan.start + (plan.seconds if plan.hop is None else plan.span)
    items = decode_track(path, "video", plan.start, last)
    item = next(items)
    fps = float(plan.fps or item.track.rate)
    count = plan.seconds * fps  # frames of a clip
    # At least one frame: 0.1 s at 2 Hz would have none.
    count = max(1, round(count)) if count < math.inf else count
    starts = plan.list_starts(fps)
    upcoming = next(starts)
    active: deque[_OpenSegment] = deque()
    shape: tuple[int, ...] = ()
    while True:
        # A frame is seen until the next one begins, so it is written one step later.
        after = next(items, None)
        until = item.end if after is None else after.time - item.track.slack
        # Clips that begin while this frame is seen, the first perhaps before it.
        while upcoming < until:
            active.append(_OpenSegment(upcoming, fps, count))
            upcoming = next(starts, math.inf)
        shape = _show_frame(path, item, until, active, convert, shape)
        # They were opened in order and are equally long, so they end in order.
        while active and active[0].is_over_at(until):
            segment = active.popleft()
            yield _Segment(segment.first, plan.seconds, segment.to_frames(shape), fps)
        if after is None:
            break
        item = after
    if active and plan.hop is None:
        yield _close_at_end(active[0], item.end, shape)


def _show_frame(
    path: File,
    item: TimedFrame,
    until: float,
    active: deque[_OpenSegment],
    convert: FrameConverter,
    shape: tuple[int, ...],
) -> tuple[int, ...]:
    """Add a frame to each open segment as often as it is seen there before `until`.

    Returns the shape of the pictures: `shape`, or that of the first.
    """
    pixels = b""
    for segment in active:
        while segment.needs_frame_before(until):
            if not pixels:  # converted once, and only if somebody sees it
                with containers.explain_failures(path):
                    picture = convert(item.frame, item.track.aspect)
                shape = shape or picture.shape
                if picture.shape != shape:
                    raise _changes_size(path, item.time, shape, picture.shape)
                pixels = picture.tobytes()
            segment.pixels += pixels
            segment.count += 1
            if len(segment.pixels) > containers.LIMIT_BYTES:
                raise containers.too_long(path, segment.count / segment.fps)
    return shape


def _close_at_end(
    segment: _OpenSegment, end: float, shape: tuple[int, ...]
) -> _Segment:
    """What there is of the one clip asked for, where the file ends before it does."""
    shown = end - segment.first
    whole = max(1, round(shown * segment.fps))
    if whole > segment.count:  # rounding up: the last frame once more
        segment.pixels += segment.pixels[-math.prod(shape) :]
    return _Segment(segment.first, shown, segment.to_frames(shape)[:whole], segment.fps)


def _changes_size(
    path: File, time: float, before: tuple[int, ...], after: tuple[int, ...]
) -> MediaError:
    return MediaError(
        path,
        f"its picture changes size at {time:.2f} s, from {before[1]} x {before[0]} to "
        f"{after[1]} x {after[0]}",
        "Give a size, to which all of its pictures are scaled",
    )


def _starts_too_late(path: File, plan: _ClipPlan) -> MediaError:
    return MediaError(
        path, f"it ends before start = {plan.start:g} s", "Choose an earlier start"
    )
