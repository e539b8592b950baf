"""Media files to arrays and back: pictures and sound on one clock.

Reading goes through PyAV (FFmpeg inside its wheel). What comes out is what a player
would show and play:

- The clock starts at 0 where the file's earliest track starts. The frame of output
  time t is the last one whose time stamp is not after t, so files of variable frame
  rate keep their timing; before the first frame, the first one is shown.
- A clip is as long as its picture: sound that starts late or ends early is padded with
  zeros, sound that outlasts the picture is cut.
- Rotation, reflection and pixels that are not square are applied. Sizes and crops are
  those of the picture as displayed.

Bad files raise `MediaError`, which names the file, what is wrong and what to do.
A damaged file is read as long as at most `LOST` of its packets cannot be decoded (the
picture before a lost one stays, lost sound is silence) and it is not cut short.
Files are not trusted: only formats that hold their media themselves are opened (no
playlist that names other files or addresses), and no header makes us allocate more
than `LIMIT_PIXELS` a frame or `LIMIT_BYTES` a result.
"""

import math
import os
import struct
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from av.filter import Graph
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps

from avnb import files
from avnb.errors import MediaError

Frames = UInt8[np.ndarray, "time height width 3"]
Picture = UInt8[np.ndarray, "height width 3"]
Waveform = Float[np.ndarray, "channels samples"]
File = str | os.PathLike[str]
Number = int | float  # a whole number of seconds is one of seconds
Size = int | tuple[int, int] | None
Crop = tuple[int, int, int, int]

LIMIT_PIXELS = 8192 * 8192
LIMIT_BYTES = 2**31
LOST = 0.05  # share of a track's packets that may be undecodable
LIMIT_GAP = 600.0  # s between neighbouring time stamps; more is damage

# Containers that hold their own media. Playlists and scripts (hls, concat, …) could
# name other files or addresses; text would be drawn as a picture (tty).
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf,dv,ogg,"
    "wav,w64,aiff,au,caf,flac,mp3,aac,ac3,eac3,amr,h264,hevc,m4v,obu,ivf,mxf,rm,gif,"
    "nut,y4m,yuv4mpegpipe,tta,wv,ape,dts"
)
# Bare streams have no time stamps to seek by.
BARE = {"mp3", "aac", "ac3", "eac3", "amr", "dts", "h264", "hevc", "m4v", "mpegvideo"}
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")

_BLOCK = 1 << 15  # samples that go through the resampler at once
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

av.logging.set_level(None)  # what matters of FFmpeg's messages is in our errors


@dataclass(frozen=True)
class Clip:
    """Picture and sound over the same stretch of time.

    frames: RGB, frame k is what is seen at k / fps seconds.
    waveform: in [-1, 1], sample n is heard at n / sample_rate seconds.
    """

    frames: Frames
    waveform: Waveform
    fps: Number
    sample_rate: int


@dataclass(frozen=True)
class Probe:
    """What a file says it holds; None where it has no such track.

    duration is in seconds; width and height are those of the picture as displayed;
    rotation is in degrees clockwise, applied (after the reflection) by the readers.
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


# ---------------------------------------------------------------------- reading


def read_clip(
    path: File,
    *,
    start: Number | None = None,
    duration: Number | None = None,
    fps: Number | None = None,
    size: Size = None,
    sample_rate: int | None = None,
    mono: bool = True,
    crop: Crop | None = None,
    audio: File | None = None,
) -> Clip:
    """Read picture and sound of a file, or of `duration` seconds of it from `start`.

    A part holds what the same part of the whole does (a codec that fills in random
    noise, as AAC may, draws that anew; stamps in milliseconds move sound by less).

    fps, sample_rate: None keeps the file's own (the average, where it varies).
    size: None keeps it; an int cuts out the central square and resizes it; (H, W)
        resizes. crop: (left, top, width, height), applied before.
    mono: the mean of the channels, shape (1, samples); else all channels.
    audio: a sound file to take the sound from, in place of the file's own.

    The clip has round(duration * fps) frames, fewer where the file ends earlier.

    Raises MediaError for a file without picture or sound, a damaged one, a `start`
    past its end, a crop outside the picture, more than LIMIT_BYTES of frames.
    """
    seconds = math.inf if duration is None else duration
    plan = _Plan(start or 0.0, seconds, fps=fps)
    # The sound is opened first: a file without any fails before its picture is read.
    sound = _Sound(audio or path, plan.start, sample_rate, mono)
    for film in _films(path, plan, _Fit(path, size, crop)):
        first, count = round(film.first * sound.rate), round(film.shown * sound.rate)
        return Clip(film.frames, sound.take(first, count), film.fps, sound.rate)
    raise _too_late(path, plan)


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
    crop: Crop | None = None,
    audio: File | None = None,
) -> Iterator[Clip]:
    """Yield clips of `seconds` each, every `hop` seconds, in bounded memory.

    Clip i equals read_clip(start=start + i * hop, duration=seconds); hop is `seconds`
    when not given. Only whole clips come: what is left at the end is dropped.
    The other arguments and errors are those of `read_clip`.
    """
    span = math.inf if duration is None else duration
    hop = seconds if hop is None else hop
    plan = _Plan(start or 0.0, seconds, hop=hop, span=span, fps=fps)
    sound = _Sound(audio or path, plan.start, sample_rate, mono)
    for film in _films(path, plan, _Fit(path, size, crop)):
        first, count = round(film.first * sound.rate), round(film.shown * sound.rate)
        yield Clip(film.frames, sound.take(first, count), film.fps, sound.rate)


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
    plan = _Plan(start or 0.0, math.inf if duration is None else duration, fps=fps)
    for film in _films(path, plan, _Fit(path, size, crop)):
        return film.frames, film.fps
    raise _too_late(path, plan)


def read_audio(
    path: File,
    *,
    start: Number | None = None,
    duration: Number | None = None,
    sample_rate: int | None = None,
    mono: bool = True,
) -> tuple[Waveform, int]:
    """Read the sound of a file of sound or video: (waveform, sample rate).

    Where the sound ends before `start + duration`, fewer samples come, none if it
    ends before `start`. Raises MediaError for no sound, a damaged file, or more
    than LIMIT_BYTES.
    """
    plan = _Plan(start or 0.0, math.inf if duration is None else duration)
    sound = _Sound(path, plan.start, sample_rate, mono)
    count = plan.seconds * sound.rate
    count = round(count) if count < math.inf else count
    return sound.read(round(plan.start * sound.rate), count), sound.rate


def read_image(path: File, *, size: Size = None, crop: Crop | None = None) -> Picture:
    """Read a still picture, (H, W, 3), turned as its EXIF says, on white if clear."""
    _check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(path, formats=IMAGE_FORMATS)
            if image.width * image.height > LIMIT_PIXELS:
                raise _too_large(path, image.width, image.height)
            image = ImageOps.exif_transpose(image)
            if image.has_transparency_data:
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
    return _Fit(path, size, crop)(av.VideoFrame.from_ndarray(pixels, format="rgb24"))


def probe(path: File) -> Probe:
    """What tracks a file has, without reading more of it than that takes.

    Raises MediaError for a file that is no media file or has neither track.
    """
    with _open(path) as container:
        video, audio = _best(container, "video"), _best(container, "audio")
        if video is None and audio is None:
            raise MediaError(path, "no video track and no audio track", _CONVERT)
        found: dict[str, Any] = {}
        if video is not None:
            _check_stream(path, video, "video")
            found["video_codec"] = video.codec_context.name
            found["fps"] = _rate(path, video)
        if audio is not None:
            _check_stream(path, audio, "audio")
            found["audio_codec"] = audio.codec_context.name
            found["sample_rate"] = audio.sample_rate
            found["channels"] = audio.channels
        duration = container.duration
    if video is not None:
        head = next(_decoded(path, "video", 0.0))
        frame, aspect = head.frame, head.track.aspect
        turn = _turn(frame)
        found["width"], found["height"] = _displayed(frame, aspect, turn)
        found["rotation"], found["reflected"] = turn.angle
    seconds = _measure(path) if duration is None else duration / av.time_base
    return Probe(duration=seconds, **found)


# ---------------------------------------------------------------------- writing


def write_clip(path: File, clip: Clip) -> None:
    """Write H.264 and AAC in an MP4 that plays in a browser.

    Odd sizes grow by one repeated row or column (4:2:0 needs even ones). No
    waveform (0 channels or samples) writes no audio track. Written whole or not at
    all: under a temporary name first.
    """
    if not clip.frames.size:
        raise ValueError(f"frames {clip.frames.shape}: a clip needs one or more")
    write_frames(path, clip.frames, clip.waveform, clip.fps, clip.sample_rate)


def write_frames(
    path: File,
    pictures: Iterable[Picture],
    waveform: Waveform,
    fps: Number,
    sample_rate: int,
) -> None:
    """As `write_clip`, for pictures that come one by one: they are not all held."""
    rate = Fraction(fps).limit_denominator(1001)
    if rate <= 0:
        raise ValueError(f"fps = {fps}: must be at least 0.001")
    coming = iter(pictures)
    first = next(coming, None)
    if first is None:
        raise ValueError(f"{path}: a film needs one picture or more")
    height, width = first.shape[:2]
    odd = ((0, height % 2), (0, width % 2), (0, 0))
    with files.atomic_path(path) as temporary:
        options = {"movflags": "+faststart"}
        with av.open(str(temporary), "w", format="mp4", options=options) as out:
            video = out.add_stream("libx264", rate=rate)
            video.width, video.height = width + width % 2, height + height % 2
            video.pix_fmt = "yuv420p"
            # one thread: the same bytes, whatever the number of cores
            video.options = {"crf": "18", "preset": "veryfast", "threads": "1"}
            sound: Iterator[float] = iter(())
            if waveform.size:
                sound = _add_sound(out, waveform, sample_rate)
            heard = 0.0
            for k, picture in enumerate(chain([first], coming)):
                frame = av.VideoFrame.from_ndarray(
                    np.pad(picture, odd, mode="edge"), format="rgb24"
                )
                frame.pts, frame.time_base = k, 1 / rate
                out.mux(video.encode(frame))
                while heard <= k / rate:  # keeps the two tracks side by side
                    heard = next(sound, math.inf)
            out.mux(video.encode())
            for _ in sound:
                pass


def _add_sound(out: Any, waveform: Waveform, wanted: int) -> Iterator[float]:
    """Encode the sound block by block; each yields the second it reaches."""
    channels = len(waveform)
    rate = min(_AAC_RATES, key=lambda r: (r < wanted, abs(r - wanted)))
    layout = {1: "mono", 2: "stereo", 6: "5.1"}.get(channels)
    if layout is None:
        raise ValueError(f"{channels} channels: write 1, 2 or 6")
    stream = out.add_stream("aac", rate=rate, layout=layout)
    stream.bit_rate = 96_000 * channels

    def blocks() -> Iterator[float]:
        at = 0
        blocks = (
            waveform[:, i : i + _BLOCK] for i in range(0, waveform.shape[1], _BLOCK)
        )
        for block in _resampled(blocks, wanted, rate):
            data = np.clip(np.nan_to_num(block), -1, 1).astype(np.float32, order="C")
            frame = av.AudioFrame.from_ndarray(data, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = rate, at
            frame.time_base = Fraction(1, rate)
            out.mux(stream.encode(frame))
            at += block.shape[1]
            yield at / rate
        out.mux(stream.encode())

    return blocks()


def write_audio(path: File, waveform: Waveform, sample_rate: int) -> None:
    """Write a 24-bit WAV file; values beyond [-1, 1] are clipped."""
    with files.atomic_path(path) as temporary:
        samples = np.clip(waveform.T, -1, 1)
        soundfile.write(temporary, samples, sample_rate, format="WAV", subtype="PCM_24")


# ----------------------------------------------------------------- opening files

_CONVERT = "Convert it with: ffmpeg -i FILE out.mp4"
_AGAIN = "Copy or download it again"


def _check_file(path: File) -> None:
    path = Path(path)
    if path.is_dir():
        raise MediaError(path, "it is a folder", "Give a file in it")
    if not path.is_file():
        raise MediaError(path, "no such file", "Check the name")
    if path.stat().st_size == 0:
        raise MediaError(path, "zero bytes", _AGAIN)


@contextmanager
def _open(path: File) -> Iterator[Any]:
    _check_file(path)
    options = {
        "format_whitelist": FORMATS,
        "protocol_whitelist": "file",
        "max_pixels": str(LIMIT_PIXELS),
    }
    try:
        container = av.open(
            f"file:{Path(path)}", options=options, metadata_errors="replace"
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise MediaError(
            path,
            f"not a media file, or its header is damaged ({why})",
            f"{_AGAIN}, or convert it: ffmpeg -i FILE out.mp4",
        ) from error
    with container:
        yield container


def _best(container: Any, kind: str) -> Any:
    stream = container.streams.best(kind)
    if stream is None or stream.disposition & av.stream.Disposition.attached_pic:
        return None  # the cover of a record is no film
    return stream


def _check_stream(path: File, stream: Any, kind: str) -> None:
    if stream is None:
        raise MediaError(path, f"no {kind} track", _WITHOUT[kind])
    context = stream.codec_context
    if context is None:
        raise MediaError(
            path, f"no such codec: its {kind} track is in one not known here", _CONVERT
        )
    if kind == "video" and not 0 < context.width * context.height <= LIMIT_PIXELS:
        raise _too_large(path, context.width, context.height)


_WITHOUT = {
    "video": "Give a file with a picture, or read its sound alone with read_audio",
    "audio": "Give a sound file as audio=, or read its picture alone with read_frames",
}


def _too_large(path: File, width: int, height: int) -> MediaError:
    what = f"{width} x {height}" if width * height else "none, or too many"
    return MediaError(
        path,
        f"pixels of its picture: {what}; 1 to {LIMIT_PIXELS} can be read",
        "Shrink it: ffmpeg -i FILE -vf scale=1280:-2 out.mp4",
    )


def _rate(path: File, stream: Any) -> float:
    rate = stream.average_rate or stream.guessed_rate
    if not rate:
        raise MediaError(path, "it states no frame rate", _CONVERT)
    return float(rate)


def _measure(path: File) -> float:
    """The duration of a file whose header states none, by its packets' times."""
    end = 0.0
    with _open(path) as container, suppress(av.FFmpegError):
        begin = _origin(container)
        for packet in container.demux():
            if packet.pts is not None:
                stop = (packet.pts + (packet.duration or 0)) * packet.time_base
                end = max(end, float(stop) - begin)
    return end


def _origin(container: Any) -> float:
    """Where the file's own clock stands (s) when its earliest track starts."""
    return (container.start_time or 0) / av.time_base


# ------------------------------------------------------------- decoding one track


@dataclass(frozen=True)
class _Track:
    rate: float  # frames or samples a second
    aspect: float  # width over height of a pixel
    slack: float  # s by which a time stamp may be off, through rounding


@dataclass(frozen=True)
class _Decoded:
    time: float  # s since the file's start
    end: float
    frame: Any
    track: _Track


def _decoded(
    path: File, kind: str, first: Number, last: Number = math.inf
) -> Iterator[_Decoded]:
    """Decode one track from at or before `first`, on to the first frame past `last`.

    Seeks, and starts over from further back where that landed too late.
    """
    for back in (1.0, 10.0, math.inf):
        with _open(path) as container:
            stream = _best(container, kind)
            _check_stream(path, stream, kind)
            for other in container.streams:
                if other is not stream:
                    other.discard = av.stream.Discard.all
            if kind == "video":
                # Two, not all there are: whole folders are read by many processes.
                stream.thread_type = "AUTO"
                stream.codec_context.thread_count = 2
            if first <= back or container.format.name in BARE:
                yield from _in_order(path, kind, container, stream, last, False)
                return
            frames = _in_order(path, kind, container, stream, last, True)
            try:
                at = first - back + _origin(container)
                container.seek(round(at * av.time_base))
                head = next(frames)
            except (av.FFmpegError, MediaError):
                continue
            if head.time <= first:
                yield head
                yield from frames
                return


def _in_order(
    path: File, kind: str, container: Any, stream: Any, last: Number, sought: bool
) -> Iterator[_Decoded]:
    """Frames with their times; raises for damage once the readable ones are out."""
    origin, tick = _origin(container), float(stream.time_base)
    # Stamps in milliseconds, say, are off by up to half a one; a tick as long as a
    # frame (AVI) is exact. The origin is in microseconds.
    slack = 2e-6 + min(0.51 * tick, 1e-3)
    if kind == "video":
        track = _Track(_rate(path, stream), _pixel_aspect(stream), slack)
        period = 1 / track.rate
    else:
        track = _Track(float(stream.sample_rate), 1.0, slack)
        period = 0.0
    read = lost = 0
    # After a seek, a frame without a stamp could be anywhere: inf makes us start over.
    time, end = -math.inf, math.inf if sought else 0.0
    for frame in _frames(container, stream):
        if frame is None:
            lost += bool(read) or not sought  # a seek may land amid a group
            continue
        stamp = end if frame.pts is None else frame.pts * tick - origin
        if kind == "video" and stamp <= time:
            stamp = time + period
        if stamp > end + LIMIT_GAP:
            raise MediaError(
                path,
                f"damaged: its time stamps jump from {end:.2f} s to {stamp:.2f} s",
                _CONVERT,
            )
        length = (frame.duration or 0) * tick or period
        if kind == "audio":
            length = frame.samples / frame.sample_rate
        time, end, read = stamp, stamp + min(length, LIMIT_GAP), read + 1
        yield _Decoded(time, end, frame, track)
        if time >= last:
            _check_damage(path, kind, stream, read, lost, None)
            return
    _check_damage(path, kind, stream, read, lost, end)


def _frames(container: Any, stream: Any) -> Iterator[Any]:
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
    what = "frames" if kind == "video" else "packets of sound"
    total = max(read + lost, stream.frames)
    if read == 0 or lost > LOST * (read + lost):
        raise MediaError(
            path, f"damaged: {read} of {total} {what} could be read", _AGAIN
        )
    # Files with an index say how long they should be; the others just end.
    stated = float((stream.duration or 0) * stream.time_base) if stream.frames else 0
    if kind == "video" and stream.container.format.name == "avi":
        stated = stream.frames / _rate(path, stream)  # its duration fits what is there
    if end is not None and end < 0.9 * stated - 0.1:
        raise MediaError(
            path,
            f"damaged: it is cut off at {end:.2f} of {stated:.2f} s, {read} of "
            f"{total} {what} could be read",
            f"{_AGAIN}, or read what is there: duration = {end:.2f}",
        )


# ---------------------------------------------------------------------- picture


@dataclass(frozen=True)
class _Turn:
    """From the stored picture to the displayed one: transpose, then flip."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def angle(self) -> tuple[int, bool]:
        """(degrees clockwise, whether mirrored left to right before that)."""
        turns = {(0, 0, 0): 0, (1, 1, 0): 90, (0, 1, 1): 180, (1, 0, 1): 270}
        t, x, y = self.transpose, self.flip_x, self.flip_y
        if (t, x, y) in turns:
            return turns[t, x, y], False
        # Mirroring first changes the flip of the axis that x becomes.
        return turns[(t, x, not y) if t else (t, not x, y)], True

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        if self.transpose:
            picture = picture.swapaxes(0, 1)
        if self.flip_x:
            picture = picture[:, ::-1]
        if self.flip_y:
            picture = picture[::-1]
        return np.ascontiguousarray(picture)

    def stored(
        self, box: tuple[int, ...], displayed: tuple[int, int]
    ) -> tuple[int, ...]:
        """Where a displayed (left, top, width, height) lies in the stored picture."""
        left, top, width, height = box
        if self.flip_x:
            left = displayed[0] - left - width
        if self.flip_y:
            top = displayed[1] - top - height
        return (top, left, height, width) if self.transpose else (left, top, *box[2:])


def _turn(frame: Any) -> _Turn:
    """How a frame's display matrix has it turned, to the quarter."""
    with suppress(ValueError):  # a kind of side data that PyAV has no name for
        for side in frame.side_data:
            if side.type.name == "DISPLAYMATRIX":
                # x' = a x + c y, y' = b x + d y, y downwards (ISO 14496-12, 6.2.2)
                a, b, _, c, d = struct.unpack("=5i", bytes(side)[:20])
                if abs(b) > abs(a):
                    return _Turn(True, c < 0, b < 0)
                return _Turn(False, a < 0, d < 0)
    quarter = round(frame.rotation / 90) % 4  # anticlockwise, reflection unknown
    return _Turn(quarter in (1, 3), quarter in (2, 3), quarter in (1, 2))


def _pixel_aspect(stream: Any) -> float:
    """Width over height of a pixel; 1 where it is but the rounding of a resize."""
    ratio = float(stream.sample_aspect_ratio or 1)
    return ratio if abs(ratio - 1) > 0.02 and 0.1 < ratio < 10 else 1.0


def _displayed(frame: Any, aspect: float, turn: _Turn) -> tuple[int, int]:
    """(width, height) of a frame as shown."""
    width, height = round(frame.width * aspect), frame.height
    return (height, width) if turn.transpose else (width, height)


class _Fit:
    """Turns decoded frames into displayed RGB: crops, resizes, converts in one go."""

    def __init__(self, path: File, size: Size, crop: Crop | None) -> None:
        self.square = isinstance(size, int)
        self.size = (size, size) if isinstance(size, int) else size
        if self.size is not None and min(self.size) < 1:
            raise ValueError(f"size = {size}: must be 1 or more")
        self.path, self.crop = path, crop
        self.kind: tuple[Any, ...] = ()

    def __call__(self, frame: Any, aspect: float = 1.0) -> Picture:
        size, colour = (
            (frame.width, frame.height),
            (frame.colorspace, frame.color_range),
        )
        kind = (size, frame.format.name, colour, aspect)
        if kind != self.kind:
            self.kind, self.turn = kind, _turn(frame)
            self.graph = self._build(frame, aspect)
        self.graph.push(frame)
        return self.turn(self.graph.pull().to_ndarray())

    def _build(self, frame: Any, aspect: float) -> Graph:
        displayed = _displayed(frame, aspect, self.turn)
        box = self.crop or (0, 0, *displayed)
        left, top, width, height = box
        inside = left + width <= displayed[0] and top + height <= displayed[1]
        if min(left, top) < 0 or min(width, height) < 1 or not inside:
            raise MediaError(
                self.path,
                f"crop = {self.crop} is not inside its {displayed[0]} x "
                f"{displayed[1]} picture",
                "Give (left, top, width, height) in pixels of the picture as shown",
            )
        if self.square:
            side = min(width, height)
            box = (left + (width - side) // 2, top + (height - side) // 2, side, side)
        size = self.size or (box[3], box[2])
        if self.turn.transpose:
            size = size[1], size[0]
        x, y, w, h = self.turn.stored(box, displayed)
        x, w = round(x / aspect), max(1, round(w / aspect))
        w = min(w, frame.width - x)
        # Area averages all of what is shrunk; it is coarse where it enlarges.
        kind = "area" if size[0] <= h and size[1] <= w else "bicubic"
        graph = Graph()
        graph.threads = 1
        graph.link_nodes(
            graph.add_buffer(
                width=frame.width,
                height=frame.height,
                format=frame.format,
                time_base=frame.time_base or Fraction(1, 1000),
            ),
            graph.add("crop", f"{w}:{h}:{x}:{y}:exact=1"),
            graph.add("scale", f"{size[1]}:{size[0]}:flags={kind}"),
            graph.add("format", "rgb24"),
            graph.add("buffersink"),
        ).configure()
        return graph


@dataclass(frozen=True)
class _Plan:
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

    def starts(self, fps: float) -> Iterator[Number]:
        """When each clip starts (s); a last half frame may lie beyond the span."""
        yield self.start
        k = 1
        while self.hop and k * self.hop + self.seconds <= self.span + 0.5 / fps:
            yield self.start + k * self.hop
            k += 1


@dataclass
class _Window:
    first: Number  # s
    pixels: bytearray = field(default_factory=bytearray)
    count: int = 0

    def frames(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.frombuffer(self.pixels, np.uint8).reshape(-1, *shape)


@dataclass(frozen=True)
class _Film:
    first: Number  # s
    shown: Number  # s from there to where the picture, or the clip, ends
    frames: Frames
    fps: float


def _films(path: File, plan: _Plan, fit: _Fit) -> Iterator[_Film]:
    """The picture of each clip, from one pass through the file.

    Where there is a hop, whole clips alone: those that miss at most half a frame.
    """
    last = plan.start + (plan.seconds if plan.hop is None else plan.span)
    items = _decoded(path, "video", plan.start, last)
    item = next(items)
    fps = float(plan.fps or item.track.rate)
    count = plan.seconds * fps
    count = max(1, round(count)) if count < math.inf else count
    starts = plan.starts(fps)
    upcoming = next(starts)
    active: deque[_Window] = deque()
    shape: tuple[int, ...] = ()
    while True:
        after = next(items, None)
        until = item.end if after is None else after.time - item.track.slack
        while upcoming < until:
            active.append(_Window(upcoming))
            upcoming = next(starts, math.inf)
        pixels = b""
        for window in active:
            while window.count < count and window.first + window.count / fps < until:
                if not pixels:
                    picture = fit(item.frame, item.track.aspect)
                    shape = shape or picture.shape
                    if picture.shape != shape:
                        raise MediaError(
                            path,
                            f"its picture changes size at {item.time:.2f} s, from "
                            f"{shape[1]} x {shape[0]} to "
                            f"{picture.shape[1]} x {picture.shape[0]}",
                            "Give size=",
                        )
                    pixels = picture.tobytes()
                window.pixels += pixels
                window.count += 1
                if len(window.pixels) > LIMIT_BYTES:
                    raise _too_long(path, window.count / fps)
        while active and active[0].first + (count - 0.5) / fps <= until:
            window = active.popleft()
            yield _Film(window.first, plan.seconds, window.frames(shape), fps)
        if after is None:
            break
        item = after
    if active and plan.hop is None:
        window = active[0]
        shown = item.end - window.first
        whole = max(1, round(shown * fps))
        if whole > window.count:  # rounding up: the last frame once more
            window.pixels += window.pixels[-math.prod(shape) :]
        yield _Film(window.first, shown, window.frames(shape)[:whole], fps)


def _too_late(path: File, plan: _Plan) -> MediaError:
    return MediaError(
        path, f"it ends before start = {plan.start:g} s", "Choose an earlier start"
    )


def _too_long(path: File, seconds: float) -> MediaError:
    return MediaError(
        path,
        f"its first {seconds:.0f} s alone take {LIMIT_BYTES / 2**30:g} GiB of memory",
        "Give duration, a smaller size or rate, or use iter_clips",
    )


# ------------------------------------------------------------------------ sound


class _Sound:
    """The sound of a file from some time on, read forwards in bounded memory.

    Sample n of the file, at whatever rate, is heard n / rate seconds after its start.
    """

    def __init__(
        self, path: File, first: Number, sample_rate: int | None, mono: bool
    ) -> None:
        self.path, self.mono = path, mono
        # Room for codecs to settle after a seek, and for the resampler's filter.
        self.items = _decoded(path, "audio", max(0.0, first - 1.5))
        self.head = next(self.items)
        self.own_rate = self.head.frame.sample_rate
        self.rate = sample_rate or self.own_rate
        # Resampling from a multiple of this many samples gives the same numbers as
        # resampling from 0, since there both rates have a sample at the same time.
        step = self.own_rate // math.gcd(self.own_rate, self.rate)
        settle = 64 * math.ceil(max(1.0, self.own_rate / self.rate))
        begin = max(0, (round(first * self.own_rate) - settle) // step * step)
        self.at = begin * self.rate // self.own_rate
        self.blocks = _resampled(self._samples(begin), self.own_rate, self.rate)
        self.buffer: np.ndarray | None = None

    def take(self, first: int, count: int) -> Waveform:
        """Samples [first, first + count), with zeros where there is no sound."""
        waveform = self.read(first, count)
        return np.pad(waveform, ((0, 0), (0, count - waveform.shape[1])))

    def read(self, first: int, count: Number) -> Waveform:
        """The same as far as the sound goes; `first` must not fall."""
        pieces = [] if self.buffer is None else [self.buffer]
        end = self.at + sum(piece.shape[1] for piece in pieces)
        while end < first + count:
            block = next(self.blocks, None)
            if block is None:
                break
            pieces.append(block)
            end += block.shape[1]
            while len(pieces) > 1 and self.at + pieces[0].shape[1] <= first:
                self.at += pieces.pop(0).shape[1]
            if (end - self.at) * 4 * len(block) > LIMIT_BYTES:
                raise _too_long(self.path, (end - self.at) / self.rate)
        if not pieces:
            pieces = [np.zeros((1, 0), np.float32)]
        joined = np.concatenate(pieces, axis=1)
        skip = min(max(0, first - self.at), joined.shape[1])
        self.at, self.buffer = self.at + skip, joined[:, skip:]
        return self.buffer[:, : min(count, joined.shape[1])].copy()

    def _samples(self, at: int) -> Iterator[np.ndarray]:
        """Sample `at` and all that follow, at the file's own rate, without gaps."""
        rate, placed = self.own_rate, False
        for item in chain([self.head], self.items):
            data = self._floats(item.frame)
            ahead = round(item.time * rate) - at
            if placed and abs(ahead) <= 0.02 * rate:
                ahead = 0  # stamps are coarser than samples
            if ahead > 0:
                silence = np.zeros((len(data), _BLOCK), np.float32)
                for done in range(0, ahead, _BLOCK):
                    yield silence[:, : ahead - done]
            data = data[:, max(0, -ahead) :]
            placed = placed or data.shape[1] > 0
            at += max(0, ahead) + data.shape[1]
            yield data

    def _floats(self, frame: Any) -> np.ndarray:
        """(channels, samples) float32 in [-1, 1] of a decoded frame, or their mean."""
        if frame.sample_rate != self.own_rate:
            raise MediaError(
                self.path,
                f"its sample rate changes, {self.own_rate} to {frame.sample_rate} Hz",
                _CONVERT,
            )
        data = frame.to_ndarray()
        if not frame.format.is_planar:
            data = data.reshape(-1, frame.layout.nb_channels).T
        if data.dtype.kind in "iu":
            middle = 1 << (8 * data.dtype.itemsize - 1)
            low = middle if data.dtype.kind == "u" else 0
            data = (data.astype(np.float32) - low) / middle
        data = data.astype(np.float32, copy=False)
        if not np.isfinite(data.sum()):  # only damaged or hostile files
            data = np.nan_to_num(data, nan=0.0, posinf=0.0, neginf=0.0)
        return data.mean(axis=0, keepdims=True) if self.mono else data


def _resampled(
    blocks: Iterator[np.ndarray], rate: int, wanted: int
) -> Iterator[np.ndarray]:
    """Sound at another rate, in blocks of about _BLOCK samples."""
    filters: list[av.AudioResampler] = []
    for block in _gathered(blocks):
        if rate == wanted:
            yield block
            continue
        # A resampler a channel: any number of channels, with or without a layout.
        filters = filters or [
            av.AudioResampler("fltp", "mono", wanted) for _ in range(len(block))
        ]
        frames = []
        for channel in block:
            one = np.ascontiguousarray(channel)[None]
            frame = av.AudioFrame.from_ndarray(one, "fltp", "mono")
            frame.sample_rate = rate
            frames.append(frame)
        yield _through(filters, frames)
    if filters:
        yield _through(filters, [None] * len(filters))


def _through(filters: list[Any], frames: list[Any]) -> np.ndarray:
    empty = np.zeros((1, 0), np.float32)
    return np.concatenate(
        [
            np.concatenate([empty, *(out.to_ndarray() for out in f.resample(frame))], 1)
            for f, frame in zip(filters, frames, strict=True)
        ]
    )


def _gathered(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Join small blocks until they have _BLOCK samples."""
    pieces: list[np.ndarray] = []
    for block in blocks:
        pieces.append(block)
        if sum(piece.shape[1] for piece in pieces) >= _BLOCK:
            yield np.concatenate(pieces, axis=1)
            pieces = []
    if pieces:
        yield np.concatenate(pieces, axis=1)
