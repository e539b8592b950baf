"""Open media files safely and check their tracks; the limits and types of the package.

PyAV's own types are dynamic, so a container, stream or frame is `Any` here.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import Float, UInt8

from avnb.errors import MediaError

Frames = UInt8[np.ndarray, "time height width 3"]
Picture = UInt8[np.ndarray, "height width 3"]
Waveform = Float[np.ndarray, "channels samples"]
File = str | os.PathLike[str]
Number = int | float  # jaxtyping's checker is strict: 2 s are as good as 2.0 s
Size = int | tuple[int, int] | None
Crop = tuple[int, int, int, int]  # left, top, width, height

LIMIT_PIXELS = 8192 * 8192  # of one frame: an 8K film has 7680 x 4320
LIMIT_BYTES = 2**31  # of one result; a header alone must not fill the memory
MAX_LOST = 0.05  # share of a track's packets that may be undecodable

# Containers that hold their own media. Playlists and scripts (hls, concat, …) could
# name other files or addresses; text would be drawn as a picture (tty).
CONTAINER_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf,dv,ogg,"
    "wav,w64,aiff,au,caf,flac,mp3,aac,ac3,eac3,amr,h264,hevc,m4v,obu,ivf,mxf,rm,gif,"
    "nut,y4m,yuv4mpegpipe,tta,wv,ape,dts"
)

# Remedies that several errors share.
CONVERT = "Convert it with: ffmpeg -i FILE out.mp4"
COPY_AGAIN = "Copy or download it again"
_REMEDY_WITHOUT = {
    "video": "Give a file with a picture, or read its sound alone with read_audio",
    "audio": "Give a sound file as audio=, or read its picture alone with read_frames",
}

# FFmpeg writes its messages to stderr, where they would appear amid the notebook's
# output. What matters of them is in our errors.
av.logging.set_level(None)


def check_file(path: File) -> None:
    """Raise MediaError if there is no file, or an empty one.

    FFmpeg would report these cases in words that do not say which file is meant.
    """
    path = Path(path)
    if path.is_dir():
        raise MediaError(path, "it is a folder", "Give a file in it")
    if not path.is_file():
        raise MediaError(path, "no such file", "Check the name")
    if path.stat().st_size == 0:
        raise MediaError(path, "zero bytes", COPY_AGAIN)


@contextmanager
def open_container(path: File) -> Iterator[Any]:
    """Open a media file of a known format, as a PyAV container.

    Raises:
        MediaError: there is no such file, or it is not a media file.
    """
    check_file(path)
    options = {
        "format_whitelist": CONTAINER_FORMATS,
        "protocol_whitelist": "file",
        "max_pixels": str(LIMIT_PIXELS),
    }
    try:
        # "file:" keeps FFmpeg from reading a name like "http:x" as an address. Tags
        # in another encoding than UTF-8 are common and must not stop us.
        container = av.open(
            f"file:{Path(path)}", options=options, metadata_errors="replace"
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(
            path,
            f"not a media file, or its header is damaged ({reason})",
            f"{COPY_AGAIN}, or convert it: ffmpeg -i FILE out.mp4",
        ) from error
    with container:
        yield container


def choose_stream(container: Any, kind: str) -> Any:
    """The track that a player would choose; None where there is none.

    Args:
        container: an open PyAV container.
        kind: "video" or "audio".
    """
    stream = container.streams.best(kind)
    # An MP3 file holds the cover of its record as a video track of one frame.
    if stream is None or stream.disposition & av.stream.Disposition.attached_pic:
        return None
    return stream


def check_stream(path: File, stream: Any, kind: str) -> None:
    """Raise MediaError if the track is missing, unknown or too large to decode."""
    if stream is None:
        raise MediaError(path, f"no {kind} track", _REMEDY_WITHOUT[kind])
    context = stream.codec_context
    if context is None:  # PyAV leaves it out where FFmpeg knows no decoder
        raise MediaError(
            path, f"no such codec: its {kind} track is in one not known here", CONVERT
        )
    # The header alone says so: nothing of this size has been allocated yet.
    if kind == "video" and not 0 < context.width * context.height <= LIMIT_PIXELS:
        raise too_large(path, context.width, context.height)


def too_large(path: File, width: int, height: int) -> MediaError:
    """The error for a picture of no pixels or of too many."""
    pixels = f"{width} x {height}" if width * height else "none, or too many"
    return MediaError(
        path,
        f"pixels of its picture: {pixels}; 1 to {LIMIT_PIXELS} can be read",
        "Shrink it: ffmpeg -i FILE -vf scale=1280:-2 out.mp4",
    )


def too_long(path: File, seconds: float) -> MediaError:
    """The error for a result that would take more than LIMIT_BYTES."""
    return MediaError(
        path,
        f"its first {seconds:.0f} s alone take {LIMIT_BYTES / 2**30:g} GiB of memory",
        "Give duration, a smaller size or rate, or use iter_clips",
    )


def read_frame_rate(path: File, stream: Any) -> float:
    """The average frame rate of a video track, in Hz."""
    rate = stream.average_rate or stream.guessed_rate
    if not rate:
        raise MediaError(path, "it states no frame rate", CONVERT)
    return float(rate)


def read_start_time(container: Any) -> float:
    """Where the file's own clock stands (s) when its earliest track starts.

    A transport stream's clock may start anywhere; ours starts at 0.
    """
    return float((container.start_time or 0) / av.time_base)


def measure_duration(path: File) -> float:
    """The duration (s) of a file whose header states none, by its packets' times.

    Reads all packets and decodes none. What MediaRecorder in a browser writes, for
    example, has no duration in its header.
    """
    end = 0.0
    with open_container(path) as container, suppress(av.FFmpegError):
        begin = read_start_time(container)
        for packet in container.demux():
            if packet.pts is not None:
                stop = (packet.pts + (packet.duration or 0)) * packet.time_base
                end = max(end, float(stop) - begin)
    return end
