"""Speaking heads in the layout of `data_scripts.vidtimit`: a file a frame."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from avnb import files
from avnb.errors import ClipsError
from data_scripts import vidtimit
from data_scripts.bandstand.layouts.recordings import (
    WORLD,
    Job,
    Settings,
    check_picture,
    write_missing,
    write_truth,
    write_wav,
)
from data_scripts.bandstand.sentences import (
    COMMON,
    SentenceTake,
    say,
    turn_head,
    write_sentence,
)
from data_scripts.bandstand.world import make_generator

SOUND_RATE = 32000  # Hz, of the recordings
TRUTH_RATE = 100  # rows a second: a phone may last no longer than a frame
HEADS = ("head", "head2", "head3")  # each person also turns the head, without a sound
TURNING = 1.2  # s
QUALITY = 90  # of a JPEG


def plan_heads(
    persons: int, sentences: int, seed: int
) -> dict[str, tuple[str, int, str, int]]:
    """Plan what each person says: two sentences that all say, the others their own.

    Args:
        persons: how many.
        sentences: of each person, 3 or more.
        seed: of the world; other seeds have other people and other sentences.

    Returns:
        PERSON_SENTENCE -> (person, player, sentence, seed of this time).

    Raises:
        ClipsError: too few persons or sentences.
    """
    if persons < 2 or sentences < 3:
        raise ClipsError(
            f"persons = {persons}, sentences = {sentences}",
            "two sentences are everybody's, and a split needs more",
            "Give 2 persons or more, and 3 sentences or more",
        )
    plan = {}
    for k in range(persons):
        person = f"p{k:02d}"
        own = [f"si{100 + sentences * k + j}" for j in range(sentences - len(COMMON))]
        for sentence in (*COMMON, *own, *HEADS):
            rng = make_generator("heads", seed, person, sentence)
            player = 40000 + 1000 * seed + k
            name = f"{person}_{sentence}"
            plan[name] = (person, player, sentence, int(rng.integers(1 << 31)))
    return plan


def write_vidtimit(
    folder: str | os.PathLike[str],
    *,
    persons: int = vidtimit.PERSONS,
    sentences: int = vidtimit.SENTENCES,
    seed: int = 0,
    size: int = 384,
    workers: int | None = None,
) -> int:
    """Write persons who speak, as VidTIMIT has them, and the truth.

    What is there already is left alone.

    Args:
        folder: where ``PERSON/video``, ``PERSON/audio`` and ``truth/`` go.
        persons: how many.
        sentences: of each.
        seed: of the world.
        size: height of the frames, pixels; they are 4/3 as wide. Even.
        workers: processes; None = one a core.

    Returns:
        How many sentences, and turning heads, were written.

    Raises:
        ClipsError: for a setting that is out of range, or where `folder` holds others.
    """
    check_picture(size, vidtimit.RATE)
    settings = {
        "layout": "vidtimit",
        "world": WORLD,
        "persons": persons,
        "sentences": sentences,
        "seed": seed,
        "size": size,
    }
    plan = plan_heads(persons, sentences, seed)
    jobs: dict[str, Job] = {name: (name, *one) for name, one in plan.items()}
    return write_missing(Path(folder), settings, jobs, _write_sentence, workers)


def _write_sentence(root: Path, settings: Settings, job: Job) -> None:
    """Write the frames, the sound and the truth of one sentence."""
    name, person, player, sentence, seed = job
    if sentence in HEADS:
        take = SentenceTake(turn_head(player, TURNING, seed))
    else:
        take = SentenceTake(
            say(write_sentence(sentence, settings["seed"]), player, seed)
        )
        rows = np.arange(round(take.duration * TRUTH_RATE)) / TRUTH_RATE
        write_truth(root, name, {"time": rows} | take.measure(rows))
        sound = take.synthesise(SOUND_RATE)
        wav = root / person / "audio" / f"{sentence}.wav"
        write_wav(wav, sound, SOUND_RATE, "PCM_16")
    size = settings["size"]
    beside = size // 6  # a square becomes 4 to 3; the wall goes on at both sides
    for k in range(round(take.duration * vidtimit.RATE)):
        frame = take.draw(k / vidtimit.RATE, size)
        wide = np.pad(frame, ((0, 0), (beside, beside), (0, 0)), mode="edge")
        path = root / person / "video" / sentence / f"{k + 1:03d}"
        with files.atomic_path(path) as unfinished:
            Image.fromarray(wide).save(unfinished, format="JPEG", quality=QUALITY)
