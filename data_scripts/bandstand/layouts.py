"""The bandstand written to disk as the real data sets are laid out.

Whatever reads URMP, the released Sub-URMP or AVE reads these folders too. Beside the
layout's own files stands `truth/`: one Parquet table a recording, TRUTH_RATE rows a
second, with the columns time (s), pitch_hz (0 = silent), loudness (0..1), onset (1
where a note starts before the next row, else 0), and one a name of
`picture.POSE_NAMES`; and one JSON file a finished recording, which names what it was
made from, so that an interrupted run goes on and another setting is noticed.

`write_video` writes one long video of one performer instead, with the truth beside it
in the same way; which columns it has, `performers.Take` says. So does `write_ave`,
whose columns `events.EventTake` names.
"""

import base64
import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from PIL import Image
from tqdm import tqdm

from avnb import files
from avnb.media import Clip, write_clip, write_frames
from data_scripts.ave import PARTIAL_SPANS, WHOLE_SPANS
from data_scripts.bandstand import events, performers, picture
from data_scripts.bandstand.sound import synthesise
from data_scripts.bandstand.world import (
    INSTRUMENTS,
    ORCHESTRA,
    Performance,
    make_generator,
    midi_to_hz,
    perform,
)

TRUTH_RATE = 20  # rows a second
WORLD = 1  # raise it when the same seed no longer gives the same world

CHUNK = 0.5  # seconds of sound in one item of Sub-URMP
FIRST_MS = 500  # the number in the first item's name
SUB_URMP_RATE = 44100
PLAYERS = 16  # people in URMP's layout; nobody is twice in a piece
URMP_RATE = 48000
URMP_SIZES = (2,) * 11 + (3,) * 12 + (4,) * 14 + (5,) * 7  # players of the 44 pieces
VIDEO_RATE = 32000
AVE_HEADER = "Category&VideoID&Quality&StartTime&EndTime\n"
SPAN = 100  # frames that a process draws before it hands them on
TITLES = (
    "Lantern", "Harbour", "Orchard", "Meadow", "Skylark", "Bellfounder", "Millrace",
    "Frost", "Weaver", "Tideline", "Bonfire", "Ferry",
)  # fmt: skip


def sub_urmp_start(ms: int) -> float:
    """Where the item `_{ms}` starts in its recording, in seconds.

    The names count from 500 in steps of 100, and a chunk is half a second long, so
    we read the number as the end of the chunk: `_500` is 0 to 0.5 s. The picture is
    the first frame of the chunk, as the paper says (section 4.1).
    """
    return (ms - FIRST_MS) / 1000


def write_sub_urmp(
    folder: str | os.PathLike[str],
    *,
    songs: int,
    seconds: float | int,
    seed: int,
    step_ms: int = 100,
    size: int = 64,
    validation_fraction: float | int = 0.2,
    workers: int | None = None,
) -> int:
    """The 13 instruments in the layout of the released Sub-URMP.

    `songs` recordings of `seconds` s an instrument, each by a player of its own; the
    last `validation_fraction` of them (at least one, where there are two) are the
    validation split, so no recording and no player is in both. Items every `step_ms`
    ms: `img/SPLIT/NAME/NAMEss_ms.jpg` of (size, size) and
    `chunk/SPLIT/NAME/NAMEss_ms.wav`, two equal channels of 16 bits at 44.1 kHz.

    Returns how many recordings were written; those already there are left alone.
    Raises ValueError for a setting that is out of range, or where `folder` holds
    recordings of other settings.
    """
    if not 1 <= songs <= 100:
        raise ValueError(f"songs = {songs}: two digits name them, so 1 to 100")
    if seconds < CHUNK:
        raise ValueError(f"seconds = {seconds}: an item is {CHUNK} s long")
    if step_ms < 1:
        raise ValueError(f"step_ms = {step_ms}: at least 1")
    if not 0 <= validation_fraction < 1:
        raise ValueError(
            f"validation_fraction = {validation_fraction}: from 0 to below 1"
        )
    held_out = round(songs * validation_fraction)
    if validation_fraction and songs > 1:
        held_out = min(max(held_out, 1), songs - 1)
    settings = {
        "layout": "sub_urmp",
        "world": WORLD,
        "songs": songs,
        "seconds": seconds,
        "seed": seed,
        "step_ms": step_ms,
        "size": size,
        "validation": held_out,
    }
    root = Path(folder)
    jobs = [
        (f"{instrument}{song:02d}", (instrument, song))
        for song in range(songs)
        for instrument in INSTRUMENTS
    ]
    return _write_missing(root, settings, jobs, _write_song, workers)


def write_urmp(
    folder: str | os.PathLike[str],
    *,
    pieces: int,
    seconds: float | int,
    seed: int,
    fps: float | int = 15.0,
    height: int = 192,
    reused_take: bool = False,
    workers: int | None = None,
) -> int:
    """Duos to quintets in the layout of URMP, one folder a piece.

    `NN_Title_instr_instr` holds the mix (AuMix), each player's sound (AuSep, 48 kHz,
    24 bits, mono), pitch (F0s, every 10 ms) and notes (Notes), the score (Sco, MIDI)
    and one video of all players side by side (Vid). With `reused_take` the last
    piece is a second version of the one before and shares its last player's take
    byte for byte, as real pieces do: a split by piece would leak it.

    Returns how many pieces were written; those already there are left alone.
    Raises ValueError for a setting that is out of range, or where `folder` holds
    pieces of other settings.
    """
    if not (2 if reused_take else 1) <= pieces <= 99:
        raise ValueError(f"pieces = {pieces}: 1 to 99, and 2 or more for a reused take")
    if seconds < 1:
        raise ValueError(f"seconds = {seconds}: a piece is a second or longer")
    if height % 2:
        raise ValueError(f"height = {height}: H.264 needs an even number of rows")
    settings = {
        "layout": "urmp",
        "world": WORLD,
        "pieces": pieces,
        "seconds": seconds,
        "seed": seed,
        "fps": fps,
        "height": height,
        "reused_take": reused_take,
    }
    jobs = [
        (name, (name, takes)) for name, takes in _programme(pieces, seed, reused_take)
    ]
    return _write_missing(Path(folder), settings, jobs, _write_piece, workers)


def write_video(
    folder: str | os.PathLike[str],
    *,
    performer: str,
    seconds: float | int,
    seed: int,
    player: int = 0,
    fps: float | int = 20,
    size: int = 128,
    workers: int | None = None,
) -> int:
    """One long video of one performer: `PERFORMER.mp4`, and `truth/` beside it.

    `performer` is one of `performers.PERFORMERS`. The picture is (size, size); H.264
    keeps colour at half that, so read it at half the size or less. Frame k shows
    k / fps s. The same arguments give the same frames, with any number of `workers`.

    Returns how many videos were written: 0 where it is there already. Raises ValueError
    for a setting that is out of range, or where `folder` holds one of other settings.
    """
    if size < 2 or size % 2:
        raise ValueError(f"size = {size}: H.264 needs an even number of pixels")
    if not fps > 0:
        raise ValueError(f"fps = {fps}: must be above 0")
    settings = {
        "layout": "video",
        "world": WORLD,
        "performer": performer,
        "seconds": seconds,
        "seed": seed,
        "player": player,
        "fps": fps,
        "size": size,
    }
    root = Path(folder)
    _check_marks(root, settings)
    if (root / "truth" / f"{performer}.json").exists():
        return 0
    take = performers.record_take(performer, player=player, seconds=seconds, seed=seed)
    times = np.arange(round(seconds * fps)) / fps
    waveform = take.synthesise(VIDEO_RATE)[None]
    pictures = _drawn(settings, times, workers or os.cpu_count() or 1)
    write_frames(root / f"{performer}.mp4", pictures, waveform, fps, VIDEO_RATE)
    rows = np.arange(int(seconds * TRUTH_RATE)) / TRUTH_RATE
    with files.atomic_path(root / "truth" / f"{performer}.parquet") as path:
        pq.write_table(pa.table({"time": rows} | take.measure(rows)), path)
    _mark(root, settings, performer)
    return 1


def write_ave(
    folder: str | os.PathLike[str],
    *,
    videos: int,
    validation: int,
    test: int,
    seed: int,
    fps: float | int = 8,
    size: int = 96,
    workers: int | None = None,
) -> int:
    """Videos of `events` in the layout of AVE as downloaded (Tian et al. 2018).

    `AVE/{VideoID}.mp4`, 10 s each with one event; `Annotations.txt`, a header and then
    `Category&VideoID&Quality&StartTime&EndTime` a line, the end not included; and the
    lines of each split in `trainSet.txt`, `valSet.txt`, `testSet.txt`. Of the `videos`
    that many are the validation and the test split, the rest trains; in each the 28
    kinds take turns. As in the splits of AVE's cross-modal localisation, no
    event of the test split fills its video.

    Returns how many videos were written; those already there are left alone. Raises
    ValueError for a setting that is out of range, or where `folder` holds videos of
    other settings.
    """
    if validation < 0 or test < 1 or validation + test >= videos:
        raise ValueError(
            f"validation = {validation} and test = {test}: 0 and 1 or more, and less "
            f"than the {videos} videos together"
        )
    if size < 2 or size % 2:
        raise ValueError(f"size = {size}: H.264 needs an even number of pixels")
    if not fps > 0:
        raise ValueError(f"fps = {fps}: must be above 0")
    settings = {
        "layout": "ave",
        "world": WORLD,
        "videos": videos,
        "validation": validation,
        "test": test,
        "seed": seed,
        "fps": fps,
        "size": size,
    }
    root = Path(folder)
    _check_marks(root, settings)
    lines: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    jobs: list[tuple[str, tuple]] = []
    for name, split, kind, start, end in _happenings(videos, validation, test, seed):
        lines[split].append(f"{kind}&{name}&good&{start}&{end}\n")
        jobs.append((name, (name, kind, start, end)))
    everything = sorted(
        (line for split in lines.values() for line in split),
        key=lambda line: events.KINDS.index(line.split("&")[0]),
    )
    for file, content in {
        "Annotations": [AVE_HEADER, *everything],
        **{f"{split}Set": found for split, found in lines.items()},
    }.items():
        with files.atomic_path(root / f"{file}.txt") as path:
            path.write_text("".join(content), newline="\n")
    return _write_missing(root, settings, jobs, _write_happening, workers)


def _drawn(settings: dict, times: np.ndarray, workers: int) -> Iterator[np.ndarray]:
    """The frames in their order, SPAN at a time in each process."""
    spans = [times[i : i + SPAN] for i in range(0, len(times), SPAN)]
    parallel = joblib.Parallel(min(workers, len(spans)), return_as="generator")
    made = parallel(joblib.delayed(_draw_span)(settings, span) for span in spans)
    for frames in tqdm(made, desc="drawing", total=len(spans), disable=None):
        yield from frames


def _draw_span(settings: dict, times: np.ndarray) -> np.ndarray:
    performer = settings["performer"]
    who = {name: settings[name] for name in ("player", "seconds", "seed")}
    take = performers.record_take(performer, **who)
    return np.stack([take.draw(float(t), settings["size"]) for t in times])


# What the layouts share.


def _write_missing(
    root: Path,
    settings: dict,
    jobs: list[tuple[str, tuple]],
    write: Callable[[Path, dict, tuple], None],
    workers: int | None,
) -> int:
    """Each job that has no mark yet, in `workers` processes; its mark when done."""
    _check_marks(root, settings)
    missing = [job for job in jobs if not (root / "truth" / f"{job[0]}.json").exists()]
    workers = min(workers or os.cpu_count() or 1, max(len(missing), 1))
    calls = [(root, settings, name, arguments, write) for name, arguments in missing]
    # joblib's processes are fresh ones: a fork of one with threads may never wake
    parallel = joblib.Parallel(workers, return_as="generator_unordered")
    made = parallel(joblib.delayed(_write_one)(call) for call in calls)
    for _ in tqdm(made, desc=settings["layout"], total=len(calls), disable=None):
        pass
    return len(missing)


def _write_one(call: tuple) -> None:
    root, settings, name, arguments, write = call
    write(root, settings, arguments)
    _mark(root, settings, name)


def _check_marks(root: Path, settings: dict) -> None:
    for mark in sorted((root / "truth").glob("*.json")):
        made_with = json.loads(mark.read_text())
        if made_with != settings:
            raise ValueError(
                f"{root} holds recordings made with other settings: {made_with}, not "
                f"{settings}. Choose another folder, or delete this one"
            )


def _mark(root: Path, settings: dict, name: str) -> None:
    with files.atomic_path(root / "truth" / f"{name}.json") as path:
        path.write_text(json.dumps(settings, indent=1) + "\n")


def _write_wav(path: Path, waveform: np.ndarray, rate: int, subtype: str) -> None:
    with files.atomic_path(path) as unfinished:
        soundfile.write(unfinished, waveform, rate, subtype=subtype, format="WAV")


def _write_truth(path: Path, performance: Performance) -> None:
    times = np.arange(int(performance.duration * TRUTH_RATE)) / TRUTH_RATE
    nearest = np.round(times * len(performance.time) / performance.duration)
    nearest = np.minimum(nearest.astype(int), len(performance.time) - 1)
    onset = np.zeros(len(times), dtype=np.float32)
    rows = [int(note.onset * TRUTH_RATE) for note in performance.notes]
    onset[[row for row in rows if row < len(times)]] = 1.0
    columns = {
        "time": times,
        "pitch_hz": performance.pitch_hz[nearest].astype(np.float32),
        "loudness": performance.loudness[nearest].astype(np.float32),
        "onset": onset,
    }
    poses = picture.measure_pose(performance, times)
    columns |= dict(zip(picture.POSE_NAMES, poses.T, strict=True))
    with files.atomic_path(path) as unfinished:
        pq.write_table(pa.table(columns), unfinished)


# Sub-URMP.


def _write_song(root: Path, settings: dict, arguments: tuple[str, int]) -> None:
    instrument, song = arguments
    name = f"{instrument}{song:02d}"
    held_out = song >= settings["songs"] - settings["validation"]
    split = "validation" if held_out else "train"
    take = int(
        make_generator("sub_urmp", settings["seed"], instrument, song).integers(1 << 31)
    )
    performance = perform(instrument, song, seconds=settings["seconds"], seed=take)
    sound = synthesise(performance, SUB_URMP_RATE)
    last = FIRST_MS + int((settings["seconds"] - CHUNK) * 1000 + 1e-6)
    numbers = range(FIRST_MS, last + 1, settings["step_ms"])
    for ms in numbers:
        start = sub_urmp_start(ms)
        first = round(start * SUB_URMP_RATE)
        chunk = sound[first : first + round(CHUNK * SUB_URMP_RATE)]
        item = f"{split}/{instrument}/{name}_{ms}"
        _write_wav(
            root / "chunk" / f"{item}.wav",
            np.stack([chunk, chunk], axis=1),
            SUB_URMP_RATE,
            "PCM_16",
        )
        with files.atomic_path(root / "img" / f"{item}.jpg") as unfinished:
            frame = picture.draw(performance, start, settings["size"])
            Image.fromarray(frame).save(unfinished, format="JPEG", quality=95)
    _write_truth(root / "truth" / f"{name}.parquet", performance)


# URMP.

Take = tuple[str, int, int]  # instrument, player, seed of the performance


def _programme(
    pieces: int, seed: int, reused_take: bool
) -> list[tuple[str, list[Take]]]:
    """Folder names and takes. The instruments are dealt, so that all of them play."""
    rng = make_generator("urmp", seed)
    deck: list[str] = []
    player = -1
    programme: list[tuple[str, list[Take]]] = []
    for number in range(1, pieces + 1):
        title = TITLES[(number - 1) % len(TITLES)]
        size, piece_seed = int(rng.choice(URMP_SIZES)), int(rng.integers(1 << 31))
        again = reused_take and number == pieces
        if again:
            name, takes_before = programme[-1]
            title, size, piece_seed = name.split("_")[1], size - 1, takes_before[-1][2]
        takes: list[Take] = []
        for _ in range(size):
            deck = deck or [str(name) for name in rng.permutation(INSTRUMENTS)]
            instrument = deck.pop()
            player = (player + 1) % PLAYERS
            if again and player == takes_before[-1][1]:
                player = (player + 1) % PLAYERS
            takes.append((instrument, player, piece_seed))
        if again:
            takes.append(takes_before[-1])
        codes = "_".join(ORCHESTRA[instrument].code for instrument, _, _ in takes)
        programme.append((f"{number:02d}_{title}_{codes}", takes))
    return programme


def _write_piece(root: Path, settings: dict, arguments: tuple[str, list[Take]]) -> None:
    name, takes = arguments
    number, title = name.split("_")[:2]
    seconds = settings["seconds"]
    performances = [
        perform(instrument, player, seconds=seconds, seed=seed)
        for instrument, player, seed in takes
    ]
    folder = root / name
    mix = np.zeros(round(seconds * URMP_RATE), dtype=np.float32)
    for part, performance in enumerate(performances, start=1):
        sound = synthesise(performance, URMP_RATE)
        mix += sound
        code = ORCHESTRA[performance.instrument].code
        track = f"{part}_{code}_{number}_{title}"
        _write_wav(folder / f"AuSep_{track}.wav", sound, URMP_RATE, "PCM_24")
        with files.atomic_path(folder / f"F0s_{track}.txt") as path:
            path.write_text(_f0_lines(performance))
        with files.atomic_path(folder / f"Notes_{track}.txt") as path:
            path.write_text(_note_lines(performance))
        _write_truth(root / "truth" / f"{name}_{part}.parquet", performance)
    mix *= min(1.0, 0.9 / float(np.abs(mix).max()))
    _write_wav(folder / f"AuMix_{name}.wav", mix, URMP_RATE, "PCM_24")
    with files.atomic_path(folder / f"Sco_{name}.mid") as path:
        path.write_bytes(_midi(performances))
    fps = settings["fps"]
    frames = [
        picture.draw_row(performances, index / fps, settings["height"])
        for index in range(round(seconds * fps))
    ]
    film = Clip(np.stack(frames), mix[None], float(fps), URMP_RATE)
    write_clip(folder / f"Vid_{name}.mp4", film)


def _f0_lines(performance: Performance) -> str:
    """Time and pitch every 10 ms from the middle of the first 46 ms window on."""
    times = np.arange(0.023, performance.duration, 0.01)
    nearest = np.minimum(np.round(times * 100).astype(int), len(performance.time) - 1)
    pitch = performance.pitch_hz[nearest]
    return "".join(
        f"{time:.3f}\t{hertz:.3f}\n" for time, hertz in zip(times, pitch, strict=True)
    )


def _note_lines(performance: Performance) -> str:
    """Onset, mean pitch in Hz, duration of each note."""
    lines = []
    for note in performance.notes:
        since = performance.time - note.onset
        heard = performance.pitch_hz[
            (since >= 0) & (since < note.duration) & (performance.pitch_hz > 0)
        ]
        pitch = float(heard.mean()) if len(heard) else midi_to_hz(note.midi)
        lines.append(f"{note.onset:.3f}\t{pitch:.3f}\t{note.duration:.3f}\n")
    return "".join(lines)


def _midi(performances: list[Performance]) -> bytes:
    """A standard MIDI file, format 1: the tempo, then one track a player."""
    ticks = 480  # a beat
    tempo = performances[0].tempo
    tempo_event = b"\x00\xff\x51\x03" + round(60e6 / tempo).to_bytes(3, "big")
    tracks = [tempo_event]
    for channel, performance in enumerate(performances):
        events: list[tuple[int, int, bytes]] = []
        for note in performance.notes:
            key, force = round(note.midi), max(1, round(127 * note.velocity))
            for at, order, event in (
                (note.onset, 1, bytes([0x90 | channel, key, force])),
                (note.onset + note.duration, 0, bytes([0x80 | channel, key, 0])),
            ):
                events.append((round(at * tempo / 60 * ticks), order, event))
        name = performance.instrument.encode()
        track, now = b"\x00\xff\x03" + bytes([len(name)]) + name, 0
        for tick, _, event in sorted(events):
            track += _variable_length(tick - now) + event
            now = tick
        tracks.append(track)
    header = b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), ticks)
    end = b"\x00\xff\x2f\x00"
    return header + b"".join(
        b"MTrk" + struct.pack(">I", len(track + end)) + track + end for track in tracks
    )


def _variable_length(number: int) -> bytes:
    """MIDI's numbers: seven bits a byte, the high bit set on all but the last."""
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(0x80 | number & 0x7F)
    return bytes(reversed(digits))


# AVE.


def _happenings(
    videos: int, validation: int, test: int, seed: int
) -> Iterator[tuple[str, str, str, int, int]]:
    """Id, split, kind, start and end of each video."""
    rng = make_generator("ave", seed)
    train = videos - validation - test
    # test events never fill a video, so more of the others do than of all
    whole = WHOLE_SPANS / (WHOLE_SPANS + PARTIAL_SPANS.sum())
    number = 0
    for split, count in (("train", train), ("val", validation), ("test", test)):
        fills = 0.0 if split == "test" else whole * videos / (videos - test)
        deck: list[str] = []
        for _ in range(count):
            deck = deck or [str(kind) for kind in rng.permutation(events.KINDS)]
            start, end = events.sample_span(rng, min(fills, 1.0))
            digest = hashlib.sha256(f"ave|{seed}|{number}".encode()).digest()
            # as YouTube's: 11 of 64 characters, of which the first may be "-"
            name = base64.urlsafe_b64encode(digest)[:11].decode()
            yield name, split, deck.pop(), start, end
            number += 1


def _write_happening(
    root: Path, settings: dict, arguments: tuple[str, str, int, int]
) -> None:
    name, kind, start, end = arguments
    seed = int(make_generator("ave", settings["seed"], name).integers(1 << 31))
    video = events.record_event(kind, start=start, end=end, seed=seed)
    fps, size = settings["fps"], settings["size"]
    pictures = (video.draw(i / fps, size) for i in range(round(events.SECONDS * fps)))
    waveform = video.synthesise(events.RATE)[None]
    write_frames(root / "AVE" / f"{name}.mp4", pictures, waveform, fps, events.RATE)
    rows = np.arange(events.SECONDS * TRUTH_RATE) / TRUTH_RATE
    with files.atomic_path(root / "truth" / f"{name}.parquet") as path:
        pq.write_table(pa.table({"time": rows} | video.measure(rows)), path)
