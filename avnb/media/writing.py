"""Write clips, films and sounds that every browser plays."""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from typing import Any

import av
import numpy as np
import soundfile

from avnb import files
from avnb.media.containers import File, Number, Picture, Waveform
from avnb.media.reading import Clip
from avnb.media.sounds import BLOCK, resample_blocks

# What browsers decode of AAC's sample rates, Hz.
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


def write_clip(path: File, clip: Clip) -> None:
    """Write H.264 and AAC in an MP4 that plays in a browser.

    Odd sizes grow by one repeated row or column, since 4:2:0 needs even ones. A
    waveform of 0 channels or samples writes no audio track. The file is written under
    a temporary name first, so it is there whole or not at all.

    Raises:
        ValueError: no frames, or values that cannot be.
        AvnbError: the file cannot be written.
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
    """Write a film as `write_clip` does, from pictures that come one by one.

    The pictures are never all in memory.

    Args:
        path: the MP4 file.
        pictures: (H, W, 3) uint8 each, all of one size.
        waveform: (channels, samples) in [-1, 1]; 1, 2 or 6 channels.
        fps: pictures a second.
        sample_rate: Hz; the file's is the next that AAC has.

    Raises:
        ValueError: no pictures, or values that cannot be.
        AvnbError: the file cannot be written.
    """
    rate = Fraction(fps).limit_denominator(1001)  # 30000/1001 of television
    if rate <= 0:
        raise ValueError(f"fps = {fps}: must be at least 0.001")
    coming = iter(pictures)
    first = next(coming, None)
    if first is None:
        raise ValueError(f"{path}: a film needs one picture or more")
    with files.atomic_path(path) as temporary:
        # faststart moves the index to the front: playing starts before all is there
        options = {"movflags": "+faststart"}
        with av.open(str(temporary), "w", format="mp4", options=options) as out:
            video = _add_video(out, rate, *first.shape[:2])
            sound: Iterator[float] = iter(())
            if waveform.size:
                sound = _add_sound(out, waveform, sample_rate)
            _encode(out, video, rate, chain([first], coming), sound)


def _add_video(out: Any, rate: Fraction, height: int, width: int) -> Any:
    video = out.add_stream("libx264", rate=rate)
    video.width, video.height = width + width % 2, height + height % 2
    video.pix_fmt = "yuv420p"  # the one pixel format that all browsers play
    # The same frames must give the same bytes. With several threads the bytes depend on
    # the number of cores. x264's macroblock tree (mbtree) reads memory that it has not
    # written, so that some films come out differently from one time to the next.
    video.options = {"crf": "18", "preset": "veryfast", "threads": "1"}
    video.options |= {"x264-params": "mbtree=0"}
    return video


def _encode(
    out: Any,
    video: Any,
    rate: Fraction,
    pictures: Iterable[Picture],
    sound: Iterator[float],
) -> None:
    """Encode pictures and sound side by side, so that players need not seek."""
    heard = 0.0
    for k, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        odd = ((0, height % 2), (0, width % 2), (0, 0))
        # 4:2:0 halves the colours both ways, so sizes must be even.
        frame = av.VideoFrame.from_ndarray(
            np.pad(picture, odd, mode="edge"), format="rgb24"
        )
        frame.pts, frame.time_base = k, 1 / rate
        out.mux(video.encode(frame))
        # Sound goes ahead of the picture: a player can start with both.
        while heard <= k / rate:
            heard = next(sound, math.inf)
    out.mux(video.encode())  # None: what the encoder still holds
    for _ in sound:
        pass


def _add_sound(out: Any, waveform: Waveform, wanted: int) -> Iterator[float]:
    """Add a track of sound; each step encodes a block and yields the s it reaches."""
    channels = len(waveform)
    # The nearest rate that is not lower, so that nothing of the sound is lost.
    rate = min(AAC_RATES, key=lambda r: (r < wanted, abs(r - wanted)))
    layout = {1: "mono", 2: "stereo", 6: "5.1"}.get(channels)
    if layout is None:
        raise ValueError(f"{channels} channels: write 1, 2 or 6")
    stream = out.add_stream("aac", rate=rate, layout=layout)
    stream.bit_rate = (
        96_000 * channels
    )  # above this, AAC is hard to tell from the source

    def encode_blocks() -> Iterator[float]:
        at = 0
        blocks = (
            waveform[:, i : i + BLOCK] for i in range(0, waveform.shape[1], BLOCK)
        )
        for block in resample_blocks(blocks, wanted, rate):
            # The resampler may overshoot 1, which would wrap or crack.
            data = np.clip(np.nan_to_num(block), -1, 1).astype(np.float32, order="C")
            frame = av.AudioFrame.from_ndarray(data, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = rate, at
            frame.time_base = Fraction(1, rate)
            out.mux(stream.encode(frame))
            at += block.shape[1]
            yield at / rate
        out.mux(stream.encode())

    # A generator within: the track above must exist before the first picture is
    # encoded, since a track cannot be added to an MP4 that has begun.
    return encode_blocks()


def write_audio(path: File, waveform: Waveform, sample_rate: int) -> None:
    """Write a 24-bit WAV file; values beyond [-1, 1] are clipped.

    Args:
        path: the WAV file.
        waveform: (channels, samples).
        sample_rate: Hz.

    Raises:
        AvnbError: the file cannot be written.
    """
    with files.atomic_path(path) as temporary:
        samples = np.clip(waveform.T, -1, 1)
        # 24 bits: the rounding lies below what the best converters can play
        soundfile.write(temporary, samples, sample_rate, format="WAV", subtype="PCM_24")
