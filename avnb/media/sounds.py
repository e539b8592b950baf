"""The sound of a file at any sample rate, in bounded memory."""

import math
from collections.abc import Iterator
from itertools import chain
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from avnb.errors import MediaError
from avnb.media import containers
from avnb.media.containers import CONVERT, File, Number, Waveform
from avnb.media.decoding import decode_track

BLOCK = 1 << 15  # samples that go through the resampler at once

Block = NDArray[np.float32]  # (channels, samples)


class SoundReader:
    """The sound of a file from some time on, read forwards in bounded memory.

    Sample n of the file, at whatever rate, is heard n / rate seconds after its start.

    Args:
        path: the media file.
        first: s of the file from which on sound will be asked for.
        sample_rate: Hz; None keeps the file's own.
        mono: whether the channels are averaged.
        channel: take this one (0 = the first) in place of their average.

    Raises:
        MediaError: there is no sound, or it is damaged.
    """

    def __init__(
        self,
        path: File,
        first: Number,
        sample_rate: int | None,
        mono: bool,
        channel: int | None = None,
    ) -> None:
        self.path, self.mono, self.channel = path, mono, channel
        # Room for codecs to settle after a seek, and for the resampler's filter.
        self.items = decode_track(path, "audio", max(0.0, first - 1.5))
        self.head = next(self.items)
        self.channels: int = self.head.frame.layout.nb_channels
        if channel is not None and not 0 <= channel < self.channels:
            raise MediaError(
                path,
                f"it has no channel {channel}, its sound has {self.channels}",
                f"Give a number from 0 to {self.channels - 1}",
            )
        self.own_rate: int = self.head.frame.sample_rate
        self.rate: int = sample_rate or self.own_rate
        # Resampling from a multiple of this many samples gives the same numbers as
        # resampling from 0, since there both rates have a sample at the same time.
        step = self.own_rate // math.gcd(self.own_rate, self.rate)
        settle = 64 * math.ceil(max(1.0, self.own_rate / self.rate))
        begin = max(0, (round(first * self.own_rate) - settle) // step * step)
        self.position = begin * self.rate // self.own_rate  # of the buffer's start
        self.blocks = resample_blocks(
            self._read_samples(begin), self.own_rate, self.rate
        )
        self.buffer: Block | None = None

    def read_padded(self, first: int, count: int) -> Waveform:
        """Samples [first, first + count), with zeros where there is no sound."""
        waveform = self.read(first, count)
        return np.pad(waveform, ((0, 0), (0, count - waveform.shape[1])))

    def read(self, first: int, count: Number) -> Waveform:
        """The same as far as the sound goes; `first` must not fall between calls.

        Raises:
            MediaError: more than LIMIT_BYTES, or the file is damaged.
        """
        pieces = [] if self.buffer is None else [self.buffer]
        end = self.position + sum(piece.shape[1] for piece in pieces)
        while end < first + count:
            with containers.explain_failures(self.path):
                block = next(self.blocks, None)
            if block is None:
                break
            pieces.append(block)
            end += block.shape[1]
            # Drop what lies wholly before `first`, but keep one piece: it says how
            # many channels there are.
            while len(pieces) > 1 and self.position + pieces[0].shape[1] <= first:
                self.position += pieces.pop(0).shape[1]
            held = (end - self.position) * 4 * len(block)
            if held > containers.LIMIT_BYTES:
                raise containers.too_long(self.path, (end - self.position) / self.rate)
        if not pieces:
            count_channels = 1 if self.mono else self.channels
            pieces = [np.zeros((count_channels, 0), np.float32)]
        joined = np.concatenate(pieces, axis=1)
        skip = min(max(0, first - self.position), joined.shape[1])
        self.position, self.buffer = self.position + skip, joined[:, skip:]
        # Float files and lossy codecs may go beyond 1, and so may the resampler's
        # filter. A player cuts there as well.
        return np.clip(self.buffer[:, : min(count, joined.shape[1])], -1, 1)

    def _read_samples(self, at: int) -> Iterator[Block]:
        """Sample `at` and all that follow, at the file's own rate, without gaps."""
        rate, placed = self.own_rate, False
        for item in chain([self.head], self.items):
            data = self._to_float(item.frame)
            ahead = round(item.time * rate) - at
            if placed and abs(ahead) <= 0.02 * rate:
                ahead = 0  # stamps are coarser than samples
            if ahead > 0:  # a gap: a lost packet, or sound that starts late
                silence = np.zeros((len(data), BLOCK), np.float32)
                for done in range(0, ahead, BLOCK):
                    yield silence[:, : ahead - done]
            data = data[:, max(0, -ahead) :]
            placed = placed or data.shape[1] > 0
            at += max(0, ahead) + data.shape[1]
            yield data

    def _to_float(self, frame: Any) -> Block:
        """(channels, samples) float32 in [-1, 1] of a decoded frame, or their mean."""
        if frame.sample_rate != self.own_rate:
            raise MediaError(
                self.path,
                f"its sample rate changes, {self.own_rate} to {frame.sample_rate} Hz",
                CONVERT,
            )
        data = frame.to_ndarray()
        if not frame.format.is_planar:  # (1, samples * channels), interleaved
            data = data.reshape(-1, frame.layout.nb_channels).T
        if data.dtype.kind in "iu":
            middle = 1 << (8 * data.dtype.itemsize - 1)
            low = middle if data.dtype.kind == "u" else 0
            data = (data.astype(np.float32) - low) / middle
        block: Block = data.astype(np.float32, copy=False)
        if not np.isfinite(block.sum()):  # only damaged or hostile files
            block = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
        if self.mono and self.channel is not None:
            return block[self.channel : self.channel + 1]
        return block.mean(axis=0, keepdims=True) if self.mono else block


def resample_blocks(blocks: Iterator[Block], rate: int, wanted: int) -> Iterator[Block]:
    """Sound at another rate, in blocks of about BLOCK samples.

    Args:
        blocks: (channels, samples) each; how long they are changes no number.
        rate: Hz of the blocks.
        wanted: Hz of what comes out.
    """
    resamplers: list[av.AudioResampler] = []
    for block in _join_blocks(blocks):
        if rate == wanted:
            yield block
            continue
        if not block.size:  # FFmpeg has no memory for an empty frame, and says so
            continue
        # A resampler a channel: any number of channels, with or without a layout.
        resamplers = resamplers or [
            av.AudioResampler("fltp", "mono", wanted) for _ in range(len(block))
        ]
        frames = []
        for channel in block:
            one = np.ascontiguousarray(channel)[None]
            frame = av.AudioFrame.from_ndarray(one, "fltp", "mono")
            frame.sample_rate = rate
            frames.append(frame)
        yield _run_resamplers(resamplers, frames)
    if resamplers:  # None makes each give out what its filter still holds
        yield _run_resamplers(resamplers, [None] * len(resamplers))


def resample(waveform: Block, rate: int, wanted: int) -> Block:
    """A whole sound (channels, samples) at another rate."""
    return np.concatenate([*resample_blocks(iter([waveform]), rate, wanted)], axis=1)


def _run_resamplers(resamplers: list[Any], frames: list[Any]) -> Block:
    """One frame a channel through one resampler a channel: (channels, samples)."""
    empty = np.zeros((1, 0), np.float32)  # a resampler may have nothing to give yet
    channels = [
        np.concatenate([empty, *(out.to_ndarray() for out in r.resample(frame))], 1)
        for r, frame in zip(resamplers, frames, strict=True)
    ]
    return np.concatenate(channels)


def _join_blocks(blocks: Iterator[Block]) -> Iterator[Block]:
    """Join small blocks until they have BLOCK samples: fewer calls of FFmpeg."""
    pieces: list[Block] = []
    for block in blocks:
        pieces.append(block)
        if sum(piece.shape[1] for piece in pieces) >= BLOCK:
            yield np.concatenate(pieces, axis=1)
            pieces = []
    if pieces:
        yield np.concatenate(pieces, axis=1)
