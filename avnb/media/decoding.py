"""Decode one track of a file: its frames in order, each with its time in seconds."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av

from avnb.errors import MediaError
from avnb.media import containers
from avnb.media.containers import CONVERT, COPY_AGAIN, File, Number
from avnb.media.pictures import read_pixel_aspect

# Bare streams have no index and mostly no time stamps, so they cannot be sought in.
BARE_FORMATS = frozenset(
    {"mp3", "aac", "ac3", "eac3", "amr", "dts", "h264", "hevc", "m4v", "mpegvideo"}
)
# Sound after a seek equals the whole's sound only with these codecs in these
# containers. ADPCM carries its state from block to block, and others count their
# samples wrongly after a seek, by up to 0.8 s. All other sound is read from the start.
SEEKABLE_CODECS = frozenset(
    {"aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "mp3float", "opus", "vorbis"}
)
SEEKABLE_FORMATS = frozenset(
    {"aiff", "asf", "au", "avi", "caf", "flac", "flv", "matroska,webm"}
    | {"mov,mp4,m4a,3gp,3g2,mj2", "mpeg", "mpegts", "ogg", "wav"}
)
LIMIT_GAP = 600.0  # s between neighbouring time stamps; more is damage


@dataclass(frozen=True)
class TrackInfo:
    """What is the same for all frames of a track.

    Attributes:
        rate: frames or samples a second.
        aspect: width over height of a pixel.
        slack: s by which a time stamp may be off, through rounding.
    """

    rate: float
    aspect: float
    slack: float


@dataclass(frozen=True)
class TimedFrame:
    """A decoded frame (of picture or sound), from `time` to `end` in s of the file."""

    time: float
    end: float
    frame: Any
    track: TrackInfo


def decode_track(
    path: File, kind: str, first: Number, last: Number = math.inf
) -> Iterator[TimedFrame]:
    """Decode one track from at or before `first`, on to the first frame past `last`.

    Seeks, and starts over from further back where that landed too late: an index may
    be wrong, and a keyframe may lie far back. The last try reads from the beginning.

    Args:
        path: the media file.
        kind: "video" or "audio".
        first: s of the file; a frame at or before it comes first, if there is one.
        last: s of the file; decoding stops once a frame has reached it.

    Raises:
        MediaError: there is no such track, or it is damaged.
    """
    for back in (1.0, 10.0, math.inf):
        with containers.open_container(path) as container:
            stream = containers.choose_stream(container, kind)
            containers.check_stream(path, stream, kind)
            for other in container.streams:
                if other is not stream:  # their packets need not even be read
                    other.discard = av.stream.Discard.all
            if kind == "video":
                # Two, not all there are: whole folders are read by many processes.
                stream.thread_type = "AUTO"
                stream.codec_context.thread_count = 2
            if first <= back or not _can_seek(container, stream, kind):
                yield from _time_frames(path, kind, container, stream, last, False)
                return
            frames = _time_frames(path, kind, container, stream, last, True)
            try:
                target = first - back + containers.read_start_time(container)
                container.seek(round(target * av.time_base))
                head = next(frames)
            except (av.FFmpegError, MediaError):
                continue
            if head.time <= first:
                yield head
                yield from frames
                return


def _can_seek(container: Any, stream: Any, kind: str) -> bool:
    """Whether what is decoded after a seek equals that part of the whole."""
    name = container.format.name
    if kind == "video":
        return name not in BARE_FORMATS
    codec = stream.codec_context.name
    exact = codec in SEEKABLE_CODECS or codec.startswith("pcm_")
    return exact and name in SEEKABLE_FORMATS


def _time_frames(
    path: File, kind: str, container: Any, stream: Any, last: Number, sought: bool
) -> Iterator[TimedFrame]:
    """Frames with their times; raises for damage once the readable ones are out."""
    origin = containers.read_start_time(container)
    tick = float(stream.time_base)  # s
    track = _describe_track(path, kind, stream, tick)
    period = 1 / track.rate if kind == "video" else 0.0
    read = lost = 0
    # After a seek, a frame without a stamp could be anywhere: inf makes us start over.
    time, end = -math.inf, math.inf if sought else 0.0
    for frame in _decode_packets(container, stream):
        if frame is None:
            lost += bool(read) or not sought  # a seek may land amid a group
            continue
        stamp = end if frame.pts is None else frame.pts * tick - origin
        # Stamps that stand still or run backwards occur in real files. A frame is
        # then taken to follow the one before it.
        if kind == "video" and stamp <= time:
            stamp = time + period
        if stamp > end + LIMIT_GAP:
            raise MediaError(
                path,
                f"damaged: its time stamps jump from {end:.2f} s to {stamp:.2f} s",
                CONVERT,
            )
        length = (frame.duration or 0) * tick or period
        if kind == "audio":
            length = frame.samples / frame.sample_rate
        time, end, read = stamp, stamp + min(length, LIMIT_GAP), read + 1
        yield TimedFrame(time, end, frame, track)
        if time >= last:
            _check_damage(path, kind, stream, read, lost, None)
            return
    _check_damage(path, kind, stream, read, lost, end)


def _describe_track(path: File, kind: str, stream: Any, tick: float) -> TrackInfo:
    """The facts of a track; `tick` is the unit of its time stamps in s."""
    # Stamps in milliseconds, say, are off by up to half a one; a tick as long as a
    # frame (AVI) is exact. The origin is in microseconds.
    slack = 2e-6 + min(0.51 * tick, 1e-3)
    if kind == "video":
        rate = containers.read_frame_rate(path, stream)
        return TrackInfo(rate, read_pixel_aspect(stream), slack)
    return TrackInfo(float(stream.sample_rate), 1.0, slack)


def _decode_packets(container: Any, stream: Any) -> Iterator[Any]:
    """Decode every packet; None for each that cannot be."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:  # the file breaks off
            return
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.FFmpegError:
            frames = [None]
        yield from frames


def _check_damage(
    path: File, kind: str, stream: Any, read: int, lost: int, end: float | None
) -> None:
    """Raise MediaError if too many packets were lost or the file was cut short.

    Args:
        path: the media file.
        kind: "video" or "audio".
        stream: the PyAV stream.
        read: how many frames were decoded.
        lost: how many packets could not be decoded.
        end: where the track ended (s), or None if decoding stopped before.
    """
    units = "frames" if kind == "video" else "packets of sound"
    total = max(read + lost, stream.frames)
    if read == 0 or lost > containers.MAX_LOST * (read + lost):
        raise MediaError(
            path, f"damaged: {read} of {total} {units} could be read", COPY_AGAIN
        )
    # Files with an index say how long they should be; the others just end.
    stated = float((stream.duration or 0) * stream.time_base) if stream.frames else 0
    if kind == "video" and stream.container.format.name == "avi":
        # FFmpeg takes an AVI's duration from the bytes that are there, so that a file
        # cut in half would state half of its duration. Its header counts the frames.
        stated = stream.frames / containers.read_frame_rate(path, stream)
    if kind == "audio" and stream.codec_context.name.startswith("adpcm_"):
        # FFmpeg counts an AVI's blocks of ADPCM as if each held another number of
        # samples than it does: 18.5 s for 12.0 s.
        stated = 0 if stream.container.format.name == "avi" else stated
    if end is not None and end < 0.9 * stated - 0.1:
        raise MediaError(
            path,
            f"damaged: it is cut off at {end:.2f} of {stated:.2f} s, {read} of "
            f"{total} {units} could be read",
            f"{COPY_AGAIN}, or read what is there: duration = {end:.2f}",
        )
