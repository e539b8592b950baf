"""FSD50K, or any folder of sounds: sounds that a trained network has never heard."""

from __future__ import annotations

import csv
import inspect
import json
import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import requests
import typer

from avnb.data.download import fetch, unpack
from avnb.data.sounds import SoundFile, write_sounds
from avnb.data.sources import Problem, is_utf8, require_separate, walk_folders
from avnb.errors import ClipsError, DownloadError, MediaError
from data_scripts.folder import find_kind

NAME = "fsd50k"
ABOUT = """
FSD50K (Fonseca et al. 2022): everyday sounds, here its development part, 40,966 sounds
of 0.3 to 30 s, as sounds that a network has not learned (Redondo 2024, Table 2).

--download fetches it from Zenodo (record 4060432: about 20 GB in six parts, as much
again unpacked). The set is CC BY 4.0, but each sound has a licence of its own. Those
for non-commercial use alone (CC BY-NC) are left out; --non-commercial takes them in.

--source may also be any folder of sounds, FOLDER/CLASS/name.ogg: their rights are
yours to know.

What comes out is a table, OUT/sounds.parquet, with the first seconds of each sound, its
licence and who made it; avnb.data.sounds.load_sounds reads it.
"""

RECORD = "https://zenodo.org/api/records/4060432"
# The order is that of fetching. The .zip of the sound needs its five pieces .z01 to
# .z05 beside it, so all of them are there before anything is unpacked.
PARTS = (
    *(f"FSD50K.dev_audio.z{k:02d}" for k in range(1, 6)),
    "FSD50K.dev_audio.zip",
    "FSD50K.ground_truth.zip",
    "FSD50K.metadata.zip",
)
TABLE, INFOS, AUDIO = "dev.csv", "dev_clips_info_FSD50K.json", "FSD50K.dev_audio"
SIZE_LIMIT = 2**28  # bytes; a larger file is not FSD50K's and would fill the memory
# What is in a licence's address, and the licence's name.
# The slashes belong to the keys. Without them "by" would also be found in by-nc.
LICENCES = {
    "/publicdomain/zero/": "CC0",
    "/licenses/by/": "CC BY",
    "/licenses/by-nc/": "CC BY-NC",
    "/licenses/sampling+/": "CC Sampling+",
}


def find_sounds(
    folder: Path, *, non_commercial: bool = False
) -> tuple[list[SoundFile], list[Problem], Counter[str]]:
    """Find the sounds of a folder.

    It is read as FSD50K where ``dev.csv`` is below it. Otherwise every sound file is
    taken, and its label is the first sub-folder.

    Args:
        folder: of FSD50K, or any.
        non_commercial: also take FSD50K's sounds for non-commercial use alone.

    Returns:
        The sounds, the problems, and how many were left out: licence -> count. A sound
        of FSD50K whose licence is not known is left out too.

    Raises:
        ClipsError: for a folder that is missing, empty, or an incomplete FSD50K.
    """
    if not folder.is_dir():
        raise ClipsError(folder, "there is no such folder", "Give it, or --download")
    # At any depth, because archives are unpacked into folders of different names.
    if not (tables := [p for p in sorted(folder.rglob(TABLE)) if p.is_file()]):
        problems: list[Problem] = []
        return _find_any(folder, problems), problems, Counter()
    infos, audio = _find_one(folder, INFOS), _find_one(folder, AUDIO)
    # Each sound has a licence of its own, and only this file says which.
    licences = _read_licences(infos)
    found, left = [], Counter[str]()
    problems = []
    for row in _read_table(tables[0]):
        # A row that is too short has None in its last columns.
        name, labels = row["fname"] or "", row["labels"] or ""
        if not re.fullmatch(r"\d+", name):
            # also guards the path below against names such as ../../file
            what = f"fname {name[:40]!r} is no number"
            problems.append(Problem(TABLE, what, "Fetch the table again"))
            continue
        licence, creator = licences.get(name, ("unknown", ""))
        # Without a known licence nobody may use a sound, so it is left out like one
        # that forbids commercial use, and both are counted for the reader.
        if licence == "unknown" or (licence == "CC BY-NC" and not non_commercial):
            left[licence] += 1
            continue
        # Only that the file is there is checked here. Whether it can be decoded is
        # found when it is read: to decode 40,966 files here would take long.
        path = audio / f"{name}.wav"
        if not path.is_file():
            problems.append(Problem(path.name, "missing", "Unpack the set again"))
            continue
        found.append(SoundFile(path.name, path, labels, licence, creator))
    return found, problems, left


def _read_table(path: Path) -> list[dict[str, str | None]]:
    """The rows of dev.csv."""
    _check_size(path)
    try:
        # newline="" is what the module csv asks for: it finds line ends within quotes
        # itself.
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    # ValueError: no UTF-8. csv.Error: such as a quote that is never closed.
    except (ValueError, csv.Error) as error:
        what = f"it cannot be read ({error})"
        raise ClipsError(path, what, "Fetch it again") from error
    # Some other dev.csv may lie below the folder. It is named here, and not as one
    # missing sound a row.
    if not {"fname", "labels"} <= set(reader.fieldnames or ()):
        what = "there are no columns fname and labels"
        raise ClipsError(path, what, "Fetch it again")
    return rows


def _find_any(folder: Path, problems: list[Problem]) -> list[SoundFile]:
    """Every file of sound below the folder that is not hidden."""
    found = []
    for inside in walk_folders(folder, problems):
        for path in inside.iterdir():
            if path.is_dir() or path.name.startswith("."):
                continue
            where = path.relative_to(folder)
            name = where.as_posix()
            try:
                if (kind := find_kind(path)) != "sound":
                    what = f"left out: it is a {kind}, not a sound"
                    problems.append(Problem(name, what, "Put it elsewhere"))
                    continue
            except MediaError as error:
                # The report already says where the file is; its full path would only
                # make the line longer, and differ from machine to machine.
                what = error.problem.replace(str(path), path.name)
                problems.append(Problem(name, f"left out: {what}", error.remedy))
                continue
            # A name of other bytes cannot be written to the Parquet table, which holds
            # UTF-8.
            if not is_utf8(name):
                what = "its name, or its folder's, is not UTF-8"
                problems.append(Problem(name, what, "Rename it"))
                continue
            label = where.parts[0] if len(where.parts) > 1 else folder.resolve().name
            found.append(SoundFile(name, path, label))
    # The file system gives names in an order of its own. A seeded draw is only
    # repeatable from a sorted list.
    found.sort(key=lambda sound: sound.path)
    if not found:
        what = "there are no sounds in it"
        raise ClipsError(folder, what, "Give a folder of sound files")
    return found


def _find_one(folder: Path, name: str) -> Path:
    """A part of FSD50K, at any depth."""
    if not (found := sorted(folder.rglob(name))):
        raise ClipsError(
            folder,
            f"{name} is missing",
            "Unpack all of FSD50K.dev_audio, FSD50K.ground_truth and FSD50K.metadata "
            "there",
        )
    return found[0]


def _read_licences(path: Path) -> dict[str, tuple[str, str]]:
    """Sound -> (licence, who made it)."""
    _check_size(path)
    try:
        infos = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: (_name_licence(info.get("license")), str(info.get("uploader") or ""))
            for name, info in infos.items()
        }
    # ValueError: no JSON or no UTF-8. AttributeError: JSON of another shape.
    # RecursionError: brackets nested thousands deep, which a hostile file may have.
    except (ValueError, AttributeError, RecursionError) as error:
        what = f"it cannot be read ({error})"
        raise ClipsError(path, what, "Fetch it again") from error


def _check_size(path: Path) -> None:
    """Refuse a file that is too large, before it is read as a whole."""
    if (size := path.stat().st_size) > SIZE_LIMIT:
        what = f"{size} bytes are too many for this file"
        raise ClipsError(path, what, "Fetch it again")


def _name_licence(address: Any) -> str:
    """The licence that an address of Creative Commons stands for, or 'unknown'."""
    # The addresses are written with http or https and end in several versions. So only
    # the part that names the licence is compared.
    text = str(address).lower()
    return next((name for part, name in LICENCES.items() if part in text), "unknown")


def download(folder: Path, record: str = RECORD) -> None:
    """Fetch the parts from Zenodo and unpack them; goes on where it stopped.

    Args:
        folder: where the parts and the unpacked set go.
        record: the address of Zenodo's record; tests give one of their own.

    Raises:
        DownloadError: where they cannot be had; the remedy says what to do by hand.
    """
    by_hand = (
        f"Download {', '.join(PARTS)} from https://zenodo.org/records/4060432 into "
        f"{folder} by hand, and start this again"
    )
    # What is unpacked already needs no archive: a reader may delete 20 GB of parts.
    todo = [p for p in PARTS if p.endswith(".zip") and not _is_unpacked(folder, p)]
    # the pieces .z01, .z02, ... belong to the .zip of the same stem
    needed = [p for p in PARTS if any(p.startswith(Path(z).stem + ".") for z in todo)]
    if missing := [part for part in needed if not (folder / part).is_file()]:
        try:
            answer = requests.get(record, timeout=60)
            answer.raise_for_status()
            entries = {entry["key"]: entry for entry in answer.json()["files"]}
            # All addresses are looked up before the first download. A record that lacks
            # a part is noticed now, and not after hours.
            asked = [
                (part, entries[part]["links"]["self"], entries[part]["checksum"])
                for part in missing
            ]
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            what = f"it gave no list of files ({error!r})"
            raise DownloadError(record, what, by_hand) from error
        for part, address, checksum in asked:
            fetch(address, folder / part, checksum=checksum)
    for part in todo:
        unpack(folder / part, _unpacked_folder(folder, part))


def _unpacked_folder(folder: Path, part: str) -> Path:
    """Where the files of a .zip go."""
    # Each .zip has a folder of its own: `unpack` wants it new or empty.
    return folder / part.removesuffix(".zip").removeprefix("FSD50K.")


def _is_unpacked(folder: Path, part: str) -> bool:
    place = _unpacked_folder(folder, part)
    return place.is_dir() and any(place.iterdir())


def run(
    source: Annotated[Path, typer.Option(help="FSD50K's folder, or any of sounds")] = (
        Path("data/fsd50k")
    ),
    out: Annotated[Path, typer.Option(help="where sounds.parquet goes")] = (
        Path("data/fsd50k_sounds")
    ),
    download_: Annotated[bool, typer.Option("--download", help="fetch it")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="check and say, write nothing")
    ] = False,
    count: Annotated[int, typer.Option(help="sounds, drawn at random")] = 500,
    seconds: Annotated[float, typer.Option(help="of each, from its start")] = 5.0,
    least: Annotated[float, typer.Option(help="s: shorter ones are not used")] = 1.0,
    sample_rate: Annotated[int, typer.Option(help="Hz")] = 16000,
    seed: Annotated[int, typer.Option(help="of the draw")] = 0,
    non_commercial: Annotated[
        bool, typer.Option("--non-commercial", help="also CC BY-NC sounds")
    ] = False,
) -> None:
    """Write the table of sounds; `ABOUT` below is what the command's help says."""
    try:
        # First, before any download: a wrong pair of folders must cost nothing.
        require_separate(source, out)
        if download_:
            download(source)
        found, problems, left = find_sounds(source, non_commercial=non_commercial)
        kept = Counter(sound.licence or "unknown" for sound in found)
        for what, counted in (("found", kept), ("left out", left)):
            by = ", ".join(f"{name} {n}" for name, n in sorted(counted.items()))
            typer.echo(f"{source}: {counted.total()} sounds {what} ({by or 'none'})")
        if dry_run:
            return
        report = write_sounds(
            found, out, count=count, seconds=seconds, least=least,
            sample_rate=sample_rate, seed=seed,
        )  # fmt: skip
    except (ClipsError, DownloadError) as error:
        # What the user can put right is one line without a traceback; `from None` drops
        # the chain of causes.
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    # The problems of finding the sounds come before those of reading them. The report
    # is printed after, so it holds both.
    report.problems[:0] = problems
    typer.echo(report)


# Typer takes a command's help from its docstring.
run.__doc__ = inspect.cleandoc(ABOUT)

if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
