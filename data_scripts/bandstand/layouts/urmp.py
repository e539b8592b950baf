"""Duos to quintets in the layout of URMP."""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path

import numpy as np

from avnb import files
from avnb.errors import ClipsError
from avnb.media import Clip, write_clip
from data_scripts import urmp
from data_scripts.bandstand import picture
from data_scripts.bandstand.layouts.recordings import (
    WORLD,
    Job,
    Settings,
    write_missing,
    write_performance_truth,
    write_wav,
)
from data_scripts.bandstand.scene import choose_view
from data_scripts.bandstand.sound import synthesise
from data_scripts.bandstand.world import (
    INSTRUMENTS,
    Performance,
    make_generator,
    midi_to_hz,
    perform,
)
from data_scripts.truth_files import write_units

PLAYERS = 16  # people in the world's ensemble; nobody is twice in a piece
TITLES = (
    "Lantern", "Harbour", "Orchard", "Meadow", "Skylark", "Bellfounder", "Millrace",
    "Frost", "Weaver", "Tideline", "Bonfire", "Ferry",
)  # fmt: skip
TICKS = 480  # of a MIDI file, a beat

Part = tuple[str, int, int]  # instrument, player, seed of the performance


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
    """Write pieces of music, one folder each, as URMP has them.

    A folder ``NN_Title_code_code`` holds the mix (AuMix), each player's sound (AuSep),
    pitch (F0s) and notes (Notes), the score (Sco, MIDI) and one video of all players
    side by side (Vid). Pieces that are there already are left alone.

    Args:
        folder: where the pieces and ``truth/`` go.
        pieces: how many, 1 to 99.
        seconds: length of a piece, at least 1.
        seed: of the world.
        fps: frames a second of the videos.
        height: of the videos, pixels; each player has a square of it.
        reused_take: make the last piece a second version of the one before, which
            shares its last player's take byte for byte. Real pieces of URMP do so, and
            a split by piece would leak that take.
        workers: processes; None = one a core.

    Returns:
        How many pieces were written.

    Raises:
        ClipsError: for a setting that is out of range, or where `folder` holds pieces
            of other settings.
    """
    if not (2 if reused_take else 1) <= pieces <= 99:
        raise ClipsError(
            f"pieces = {pieces}",
            "two digits name a piece, and a reused take needs two pieces",
            "Give 1 to 99, and 2 or more for a reused take",
        )
    if not 1 <= seconds < math.inf:  # nor nan
        raise ClipsError(
            f"seconds = {seconds}", "no piece is so long", "Give 1 second or more"
        )
    if height % 2:
        raise ClipsError(
            f"height = {height}",
            "H.264 needs an even number of rows",
            "Give an even height",
        )
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
    jobs: dict[str, Job] = {
        name: (name, parts) for name, parts in plan_programme(pieces, seed, reused_take)
    }
    written = write_missing(Path(folder), settings, jobs, _write_piece, workers)
    # as `write_performance_truth` names each part
    units = {
        f"{name}_{number}": f"player {player}"
        for name, parts in jobs.values()
        for number, (_, player, _) in enumerate(parts, start=1)
    }
    write_units(Path(folder), units)
    return written


def plan_programme(
    pieces: int, seed: int, reused_take: bool
) -> list[tuple[str, list[Part]]]:
    """The folder names of the pieces, and who plays what in each.

    The instruments are dealt like cards, so that all of them play before one returns.
    """
    rng = make_generator("urmp", seed)
    deck: list[str] = []
    # Players are numbered round and round, so nobody is twice in a piece.
    player = -1
    programme: list[tuple[str, list[Part]]] = []
    for number in range(1, pieces + 1):
        title = TITLES[(number - 1) % len(TITLES)]
        size = int(rng.choice(urmp.PIECE_SIZES))
        piece_seed = int(rng.integers(1 << 31))
        # The last piece repeats the one before, with other players but for one.
        repeated = programme[-1] if reused_take and number == pieces else None
        if repeated is not None:
            name, before = repeated
            # One player fewer is drawn, since the reused one is added at the end. The
            # same seed of the piece gives all the same tempo and key.
            title, size, piece_seed = name.split("_")[1], size - 1, before[-1][2]
        parts: list[Part] = []
        for _ in range(size):
            deck = deck or [str(name) for name in rng.permutation(INSTRUMENTS)]
            instrument = deck.pop()
            player = (player + 1) % PLAYERS
            # the player of the reused take is in this piece already
            if repeated is not None and player == repeated[1][-1][1]:
                player = (player + 1) % PLAYERS
            parts.append((instrument, player, piece_seed))
        if repeated is not None:
            parts.append(repeated[1][-1])
        instruments = [instrument for instrument, _, _ in parts]
        programme.append((urmp.name_piece(number, title, instruments), parts))
    return programme


def _write_piece(root: Path, settings: Settings, job: Job) -> None:
    """Write every file of one piece, and the truth of each player."""
    name, parts = job
    seconds, fps = settings["seconds"], settings["fps"]
    performances = [
        perform(instrument, player, seconds=seconds, seed=seed)
        for instrument, player, seed in parts
    ]
    folder = root / name
    rate = urmp.SAMPLE_RATE
    mix = np.zeros(round(seconds * rate), dtype=np.float32)
    # URMP counts the players from 1.
    for part, performance in enumerate(performances, start=1):
        mix += _write_part(root, name, part, performance)
    # The sum of five would clip. It is scaled only where it is too loud, and the tracks
    # keep their levels.
    mix *= min(1.0, 0.9 / float(np.abs(mix).max()))
    write_wav(folder / f"AuMix_{name}.wav", mix, rate, urmp.SUBTYPE)
    with files.atomic_path(folder / f"Sco_{name}.mid") as path:
        path.write_bytes(encode_midi(performances))
    views = [choose_view(performance) for performance in performances]
    frames = [
        picture.draw_row(performances, index / fps, settings["height"], views)
        for index in range(round(seconds * fps))
    ]
    film = Clip(np.stack(frames), mix[None], float(fps), rate)
    write_clip(folder / f"{urmp.name_video(name)}", film)


def _write_part(
    root: Path, piece: str, part: int, performance: Performance
) -> np.ndarray:
    """Write one player's sound, pitch, notes and truth; the sound (samples,)."""
    sound = synthesise(performance, urmp.SAMPLE_RATE)
    number_title = "_".join(piece.split("_")[:2])
    track = urmp.name_track(part, performance.instrument, number_title)
    folder = root / piece
    wav = folder / f"AuSep_{track}.wav"
    write_wav(wav, sound, urmp.SAMPLE_RATE, urmp.SUBTYPE)
    with files.atomic_path(folder / f"F0s_{track}.txt") as path:
        path.write_text(_format_pitch(performance))
    with files.atomic_path(folder / f"Notes_{track}.txt") as path:
        path.write_text(_format_notes(performance))
    view = choose_view(performance)
    write_performance_truth(root, f"{piece}_{part}", performance, view)
    return sound


def _format_pitch(performance: Performance) -> str:
    """Lines of time and pitch, from the middle of the first analysis window on."""
    times = np.arange(urmp.F0_FIRST, performance.duration, urmp.F0_STEP)
    nearest = np.minimum(np.round(times * 100).astype(int), len(performance.time) - 1)
    pitch = performance.pitch_hz[nearest]
    return "".join(
        f"{time:.3f}\t{hertz:.3f}\n" for time, hertz in zip(times, pitch, strict=True)
    )


def _format_notes(performance: Performance) -> str:
    """Lines of onset, mean pitch in Hz, and duration of each note."""
    lines = []
    for note in performance.notes:
        # The mean of what sounds, with glides and vibrato, as an annotator would
        # measure it.
        since = performance.time - note.onset
        heard = performance.pitch_hz[
            (since >= 0) & (since < note.duration) & (performance.pitch_hz > 0)
        ]
        pitch = float(heard.mean()) if len(heard) else midi_to_hz(note.midi)
        lines.append(f"{note.onset:.3f}\t{pitch:.3f}\t{note.duration:.3f}\n")
    return "".join(lines)


def encode_midi(performances: list[Performance]) -> bytes:
    """A standard MIDI file, format 1: a track with the tempo, then one a player."""
    tempo = performances[0].tempo
    # FF 51: microseconds a beat in three bytes
    tracks = [b"\x00\xff\x51\x03" + round(60e6 / tempo).to_bytes(3, "big")]
    tracks += [
        _encode_track(performance, channel, tempo)
        for channel, performance in enumerate(performances)
    ]
    # The header's length 6, format 1, how many tracks, ticks a beat; ">" because MIDI's
    # numbers begin with the highest byte.
    header = b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), TICKS)
    end = b"\x00\xff\x2f\x00"  # FF 2F: the end of a track
    return header + b"".join(
        b"MTrk" + struct.pack(">I", len(track + end)) + track + end for track in tracks
    )


def _encode_track(performance: Performance, channel: int, tempo: float) -> bytes:
    """The track's name, and the start and the end of each note."""
    events: list[tuple[int, int, bytes]] = []
    for note in performance.notes:
        # A velocity of 0 would mean the end of the note.
        key, force = round(note.midi), max(1, round(127 * note.velocity))
        # at the same tick an end (0) comes before a start (1), or a repeated note
        # would be cut off
        for at, order, event in (
            (note.onset, 1, bytes([0x90 | channel, key, force])),
            (note.onset + note.duration, 0, bytes([0x80 | channel, key, 0])),
        ):
            # Seconds to beats to ticks, of the file's start.
            events.append((round(at * tempo / 60 * TICKS), order, event))
    name = performance.instrument.encode()
    track, now = b"\x00\xff\x03" + bytes([len(name)]) + name, 0  # FF 03: the name
    for tick, _, event in sorted(events):
        # Each event states its distance from the one before. Ticks were rounded first,
        # so errors do not add up.
        track += _encode_number(tick - now) + event
        now = tick
    return track


def _encode_number(number: int) -> bytes:
    """MIDI's numbers: seven bits a byte, the high bit set on all but the last."""
    # From the lowest seven bits up; reversed at the end.
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(0x80 | number & 0x7F)
    return bytes(reversed(digits))
