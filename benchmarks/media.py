"""How fast a folder is prepared, against the ffmpeg command line; how much memory.

    python benchmarks/media.py [FOLDER ...] [--rounds N]

Both sides decode every video of the folders, cut out the central square, resize it to
64x64 at 10 frames/s and resample the sound to 44.1 kHz mono, two files at a time on
two cores. The rounds alternate (ours, ffmpeg with one thread a file, ffmpeg as it
comes), so that whatever else the machine does falls on all alike; the medians count.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import av

from avnb import media
from avnb.course.provenance import describe_hardware

RESULTS = Path(__file__).parent / "results" / "media.json"
FOLDERS = ("events", "music", "talking")
FPS, SIZE, RATE, PROCESSES = 10, 64, 44100, 2


def ours(path: Path) -> int:
    """Every second of a file, as preparing reads it; bytes made."""
    clips = media.iter_clips(path, seconds=1, fps=FPS, size=SIZE, sample_rate=RATE)
    return sum(clip.frames.nbytes + clip.waveform.nbytes for clip in clips)


def theirs(path: Path, threads: int) -> int:
    """The same by the ffmpeg command line, as raw frames and samples to two pipes."""
    square = "crop='min(iw,ih)':'min(iw,ih)'"
    command = ["ffmpeg", "-v", "error", "-nostdin", "-threads", str(threads)]
    command += ["-i", str(path), "-map", "0:v:0", "-pix_fmt", "rgb24"]
    command += ["-vf", f"fps={FPS},{square},scale={SIZE}:{SIZE}:flags=area"]
    command += ["-f", "rawvideo", "-y", "/dev/null", "-map", "0:a:0", "-ac", "1"]
    command += ["-ar", str(RATE), "-f", "f32le", "-y", "/dev/null"]
    subprocess.run(command, check=True)
    return 0


def cpu() -> float:
    """Seconds of processor time of this process and of its finished children."""
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(who) for who in both]
    return sum(u.ru_utime + u.ru_stime for u in used)


def timed(run: object, files: list[Path]) -> dict[str, float]:
    wall, busy = time.perf_counter(), cpu()
    run(files)  # type: ignore[operator]
    return {"seconds": time.perf_counter() - wall, "cpu": cpu() - busy}


def run_ours(files: list[Path]) -> None:
    # Workers start with their libraries loaded, as those of a long preparation have.
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        for _ in pool.imap_unordered(ours, files):
            pass
        pool.close()
        pool.join()


def run_theirs(files: list[Path], threads: int) -> None:
    with ThreadPoolExecutor(PROCESSES) as pool:
        for _ in pool.map(lambda path: theirs(path, threads), files):
            pass


def peak_memory(source: Path, minutes: float) -> dict[str, float]:
    """Peak resident memory of a process that streams a long video, looped from one."""
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / f"long{source.suffix}"
        seconds = loop(source, film, minutes * 60)
        words = [sys.executable, __file__, "--stream", str(film)]
        out = subprocess.run(words, check=True, capture_output=True, text=True)
        peak, clips = map(int, out.stdout.split())
    return {"video_seconds": seconds, "clips": clips, "peak_mib": peak / 1024}


def loop(source: Path, film: Path, seconds: float) -> float:
    """Copy a file's packets again and again until there are `seconds` of them."""
    shift = 0.0
    with av.open(str(film), "w") as out:
        with av.open(str(source)) as first:
            tracks = {
                kind: out.add_stream_from_template(first.streams.best(kind))
                for kind in ("video", "audio")
            }
        while shift < seconds:
            with av.open(str(source)) as container:
                for packet in container.demux():
                    kind = packet.stream.type
                    if packet.dts is None or kind not in tracks:
                        continue
                    move = round(shift / packet.time_base)
                    packet.dts += move
                    packet.pts = packet.dts if packet.pts is None else packet.pts + move
                    packet.stream = tracks[kind]
                    out.mux(packet)
                shift += container.duration / av.time_base
    return shift


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = Path(os.environ.get("AVNB_TEST_MEDIA", "../shared/media"))
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--stream", type=Path, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.stream:
        clips = sum(
            1 for _ in media.iter_clips(words.stream, seconds=10, fps=1, size=64)
        )
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, clips)
        return
    folders = words.folders or [default / name for name in FOLDERS]
    kinds = {".mp4", ".avi", ".mpg", ".mov", ".mkv", ".webm"}
    files = [p for f in folders for p in f.rglob("*") if p.suffix.lower() in kinds]
    files.sort(key=lambda path: -path.stat().st_size)  # long ones first: even ends
    if not files:
        parser.error(f"no videos in {', '.join(map(str, folders))}")
    if not shutil.which("ffmpeg"):
        parser.error("the ffmpeg command line is not installed: nothing to compare to")
    seconds = sum(media.probe(path).duration for path in files)
    print(f"{len(files)} videos, {seconds:.0f} s of them")
    sides = {
        "avnb": run_ours,
        "ffmpeg, 1 thread a file": lambda files: run_theirs(files, 1),
        "ffmpeg, its own threads": lambda files: run_theirs(files, 0),
    }
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(words.rounds):
        for name, run in sides.items():
            rounds[name].append(timed(run, files))
            print(f"{name:26}", {k: round(v, 2) for k, v in rounds[name][-1].items()})
    median = {
        name: {key: statistics.median(r[key] for r in runs) for key in runs[0]}
        for name, runs in rounds.items()
    }
    best = {
        key: min(m[key] for n, m in median.items() if n != "avnb")
        for key in ("seconds", "cpu")
    }
    ratio = {key: best[key] / median["avnb"][key] for key in best}
    memory = peak_memory(files[0], words.minutes)
    version = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True)
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": describe_hardware(),
        "software": {
            "av": av.__version__,
            "libavcodec in av": ".".join(map(str, av.library_versions["libavcodec"])),
            "ffmpeg": version.stdout.split()[2],
        },
        "videos": len(files),
        "video_seconds": seconds,
        "rounds": rounds,
        "median": median,
        "throughput_over_best_ffmpeg": ratio["seconds"],
        "throughput_per_cpu_second_over_best_ffmpeg": ratio["cpu"],
        "times_real_time": seconds / median["avnb"]["seconds"],
        "load_average_at_end": os.getloadavg()[0],
        "memory": memory,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(f"throughput / ffmpeg's: {ratio['seconds']:.2f} (goal 0.8 or more)")
    print(f"the same per second of processor time: {ratio['cpu']:.2f}")
    print(f"peak memory: {memory['peak_mib']:.0f} MiB (goal under 1024)")


if __name__ == "__main__":
    main()
