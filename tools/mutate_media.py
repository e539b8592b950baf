"""Damage media files in many ways and read them: only MediaError may come out.

python tools/mutate_media.py --count 2000 --seed 1     some thousands, in a few minutes
python tools/mutate_media.py --seed 1 --only 17        one of them again, with traceback

Each file is read in a process of its own with a time limit, since a decoder may crash
or never come back.
"""

import argparse
import multiprocessing
import random
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from PIL import Image

from avnb import media
from avnb.errors import MediaError

TIME_LIMIT = 30.0  # s a file; a whole one takes less than 0.1 s
# suffix -> codecs of picture and sound
KINDS = {
    "mp4": ("libx264", "aac"),
    "mkv": ("libx264", "libopus"),
    "avi": ("mpeg4", "libmp3lame"),
    "ts": ("libx264", "ac3"),
    "mpg": ("mpeg2video", "mp2"),
    "flv": ("libx264", "aac"),
    "mov": ("mpeg4", "pcm_s16le"),
}
SOUNDS = ("wav", "flac", "mp3", "ogg")
PICTURES = ("png", "jpg", "gif")


def write_whole_files(folder: Path) -> list[Path]:
    """Write one small whole file of each kind."""
    rng = np.random.default_rng(0)
    sound = (0.3 * rng.standard_normal(24000)).clip(-1, 1).astype(np.float32)
    paths = []
    for suffix, codecs in KINDS.items():
        paths.append(folder / f"film.{suffix}")
        _write_film(paths[-1], *codecs, sound)
    for suffix in SOUNDS:
        paths.append(folder / f"sound.{suffix}")
        soundfile.write(paths[-1], sound[:12000], 48000)
    for suffix in PICTURES:
        paths.append(folder / f"picture.{suffix}")
        picture = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(picture).save(paths[-1])
    return paths


def _write_film(path: Path, video: str, audio: str, sound: Any) -> None:
    rng = np.random.default_rng(1)
    with av.open(str(path), "w") as out:
        picture: Any = out.add_stream(video, rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        rate = 44100 if path.suffix == ".flv" else 48000
        track: Any = out.add_stream(audio, rate=rate, layout="mono")
        for k in range(12):
            pixels = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            out.mux(picture.encode(frame))
        out.mux(picture.encode())
        context = track.codec_context
        resampler = av.AudioResampler(
            context.format.name, "mono", rate, frame_size=context.frame_size or 1024
        )
        whole = av.AudioFrame.from_ndarray(sound[None], "fltp", "mono")
        whole.sample_rate, whole.pts, whole.time_base = rate, 0, Fraction(1, rate)
        for block in [*resampler.resample(whole), *resampler.resample(None)]:
            out.mux(track.encode(block))
        out.mux(track.encode())


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Damage a file in one of the ways in which files are damaged."""
    data = bytearray(content)
    way = rng.choice(["bytes", "head", "numbers", "cut", "double", "move", "zero"])
    if way in ("bytes", "head"):
        reach = len(data) if way == "bytes" else min(len(data), 600)
        for _ in range(rng.randint(1, 30)):
            data[rng.randrange(reach)] = rng.randrange(256)
    elif way == "numbers":  # sizes, rates and counts are numbers of four bytes
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(min(len(data) - 4, 2000))
            value = rng.choice([0, 1, 17, 2**31 - 1, 2**32 - 1, rng.randrange(2**32)])
            data[at : at + 4] = value.to_bytes(4, rng.choice(["little", "big"]))
    elif way == "cut":
        del data[rng.randrange(1, len(data)) :]
    elif way == "double":
        at = rng.randrange(len(data))
        data[at:at] = data[: rng.randrange(len(data))]
    else:
        first, last = sorted(rng.randrange(len(data)) for _ in range(2))
        part = bytes(data[first:last])
        if way == "zero":
            data[first:last] = bytes(len(part))
        else:
            del data[first:last]
            data += part
    return bytes(data)


def read_all_ways(path: Path) -> None:
    """Read a file as the package does; raises anything that is not MediaError."""
    ways: Sequence[Callable[[], Any]] = (
        lambda: media.probe(path),
        lambda: media.read_clip(path, size=16, sample_rate=16000, fps=10),
        lambda: list(media.iter_clips(path, seconds=0.2, size=16, sample_rate=8000)),
        lambda: media.read_audio(path, mono=False),
        lambda: media.read_audio(path, start=0.3, duration=0.1, sample_rate=16000),
        lambda: media.read_image(path, size=16),
        lambda: media.measure_duration(path, "video"),
    )
    for read in ways:
        try:
            read()
        except MediaError:
            continue


def _run(path: Path, pipe: Any) -> None:
    try:
        read_all_ways(path)
        pipe.send("")
    except BaseException:
        pipe.send(traceback.format_exc())


def read_apart(path: Path, limit: float = TIME_LIMIT) -> str:
    """Read a file in a process of its own; what went wrong, or an empty text."""
    # fork: importing anew would take longer than the reading
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(path, there))
    process.start()
    there.close()
    try:
        if not here.poll(limit):
            return f"it did not come back in {limit:g} s"
        return str(here.recv())
    except EOFError:
        process.join()
        return f"the process died with exit code {process.exitcode}"
    finally:
        process.kill()
        process.join()


def run_corpus(
    folder: Path, numbers: Iterable[int], seed: int
) -> Iterator[tuple[int, str, str]]:
    """Read damaged files, and yield each one's number, file and what went wrong.

    Args:
        folder: where the files are written.
        numbers: which; number k of one seed is always the same file.
        seed: of the damage.

    Yields:
        For each file its number, the whole file that it was, and the text of the
        failure, which is empty where all was well.
    """
    whole = write_whole_files(folder)
    for number in numbers:
        source = whole[number % len(whole)]
        rng = random.Random(f"{seed} {number}")
        path = folder / f"damaged{source.suffix}"
        path.write_bytes(mutate(source.read_bytes(), rng))
        yield number, source.name, read_apart(path)


def main() -> int:
    """Run the command; 1 if any file failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="go on with this number")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, default=None)
    given = parser.parse_args()
    numbers: Iterable[int] = range(given.first, given.count)
    if given.only is not None:
        numbers = [given.only]
    last: Counter[str] = Counter()
    done = 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number, name, text in run_corpus(Path(folder), numbers, given.seed):
                done += 1
                # At once: who stops it after an hour has what was found until then.
                if text:
                    print(f"--- {number} ({name}):\n{text}", flush=True)
                    last[text.strip().splitlines()[-1][:90]] += 1
                if done % 100 == 0:
                    print(f"{done} read, {last.total()} failures", flush=True)
        except KeyboardInterrupt:
            print(f"Stopped: --first {given.first + done} goes on")
    for line, times in last.most_common():
        print(f"{times} times: {line}")
    print(f"{done} read, {last.total()} failures")
    return 1 if last else 0


if __name__ == "__main__":
    sys.exit(main())
