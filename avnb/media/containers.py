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

MOOV_LIMIT = 2**26  # bytes of an MP4's header that are searched
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

# No sound has fewer or more samples a second: 8000 is a telephone's, and 768,000 the
# most that converters offer. A header that states 17 would keep the resampler busy for
# hours.
SAMPLE_RATES = (1000, 1_000_000)  # Hz
HIGHEST_RATE = 130.0  # Hz: a stated frame rate above this is compared with the frames

# What a Git LFS pointer begins with, in place of the file that it stands for.
LFS_MARK = b"version https://git-lfs.github.com/spec/"

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
    with explain_failures(path), path.open("rb") as file:
        if file.read(len(LFS_MARK)) == LFS_MARK:
            raise MediaError(
                path,
                "it is a Git LFS pointer, not the file itself",
                "Fetch the file in its repository: git lfs pull",
            )


@contextmanager
def explain_failures(path: File) -> Iterator[None]:
    """Turn what FFmpeg and PyAV raise over a damaged file into MediaError.

    PyAV lets through exceptions of many kinds (an IndexError for a broken table of
    streams, a MemoryError for an absurd size). Mistakes in our own code, such as a
    TypeError or an AttributeError, pass through unchanged.
    """
    try:
        yield
    except MediaError:
        raise
    except (
        av.FFmpegError,
        OSError,
        LookupError,
        ArithmeticError,
        MemoryError,
        ValueError,
        AssertionError,
        NotImplementedError,
    ) as error:
        raise MediaError(
            path,
            f"damaged: its decoder failed ({type(error).__name__}: {error})",
            f"{COPY_AGAIN}, or convert it: ffmpeg -i FILE out.mp4",
        ) from error


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
    with explain_failures(path), container:
        if "mp4" in container.format.name and _is_encrypted(path):
            raise MediaError(
                path,
                "it is encrypted",
                "Give a copy without protection, which its publisher may offer",
            )
        yield container


def list_tracks(path: File) -> frozenset[str]:
    """What a file holds, "video" or "audio" or both, by its header alone.

    Raises:
        MediaError: it is no media file.
    """
    with open_container(path) as container:
        kinds = ("video", "audio")
        return frozenset(k for k in kinds if choose_stream(container, k) is not None)


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
    lowest, highest = SAMPLE_RATES
    if kind == "audio" and not lowest <= stream.sample_rate <= highest:
        raise MediaError(
            path,
            f"its header states a sample rate of {stream.sample_rate} Hz, which no "
            f"sound has ({lowest} to {highest} Hz can be read)",
            "Write it anew with its true rate: ffmpeg -i FILE -ar 44100 out.wav",
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


def _is_encrypted(path: File) -> bool:
    """Whether a track of an MP4 is stored under Common Encryption (ISO 23001-7).

    FFmpeg does not tell: it names the codec under the protection, and the frames then
    look damaged. So the sample entries are looked up in the header box `moov`.
    """
    with Path(path).open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        # Each box begins with its size and its name (ISO 14496-12, 4.2). A film has
        # some thousands at its outermost level, and a hostile file may have more.
        for _ in range(10_000):
            head = file.read(8)
            if len(head) < 8:
                return False
            size, name = int.from_bytes(head[:4], "big"), head[4:]
            begun = 8
            if size == 1:  # the size follows, in 64 bits
                size, begun = int.from_bytes(file.read(8), "big"), 16
            if name == b"moov":
                box = file.read(min(max(size - begun, 0), MOOV_LIMIT))
                return b"tenc" in box and (b"encv" in box or b"enca" in box)
            if size < begun or size > end:  # up to the file's end, or not a box
                return False
            file.seek(size - begun, os.SEEK_CUR)
    return False


def read_frame_rate(path: File, stream: Any) -> float:
    """The average frame rate of a video track, in Hz.

    A header may state anything: some FLV files state 1000 Hz, the unit of their time
    stamps. So a very high rate is compared with the frames' times.
    """
    rate = stream.average_rate or stream.guessed_rate
    if not rate:
        raise MediaError(path, "it states no frame rate", CONVERT)
    if rate > HIGHEST_RATE and (measured := _measure_frame_rate(path, stream.index)):
        # A film of a fast camera does have 240 Hz, and keeps what its header says.
        return float(rate) if measured > 0.5 * rate else measured
    return float(rate)


def _measure_frame_rate(path: File, index: int) -> float:
    """The frame rate (Hz) by the times of the packets; 0 where they say nothing."""
    times = []
    with open_container(path) as container:
        stream = container.streams[index]
        with suppress(av.FFmpegError):  # the file breaks off
            for packet in container.demux(stream):
                if packet.pts is not None:
                    times.append(packet.pts * float(packet.time_base))
    if len(times) < 2 or max(times) <= min(times):
        return 0.0
    rate = (len(times) - 1) / (max(times) - min(times))
    # Stamps in milliseconds give 29.99 for 30.
    return float(round(rate)) if abs(rate - round(rate)) < 0.005 * rate else rate


def read_start_time(container: Any) -> float:
    """Where the file's own clock stands (s) when its earliest track starts.

    A transport stream's clock may start anywhere; ours starts at 0.
    """
    return float((container.start_time or 0) / av.time_base)


def measure_duration(path: File, kind: str | None = None) -> float:
    """The duration (s) of a file by its packets' times, whatever its header states.

    Reads all packets and decodes none. What MediaRecorder in a browser writes, for
    example, has no duration in its header, and an MP3 file's is a guess.

    Args:
        path: the media file.
        kind: "video" or "audio": until where that track goes; None: the longest.
    """
    end = 0.0
    with open_container(path) as container, suppress(av.FFmpegError):
        begin = read_start_time(container)
        wanted = None if kind is None else choose_stream(container, kind)
        for packet in container.demux(*([] if wanted is None else [wanted])):
            if packet.pts is not None:
                stop = (packet.pts + (packet.duration or 0)) * packet.time_base
                end = max(end, float(stop) - begin)
    return end
