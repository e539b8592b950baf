"""URMP: pieces of classical music, every player recorded apart, filmed in a row."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urljoin

import requests
import typer

from avnb import media
from avnb.data.download import fetch, unpack
from avnb.data.sources import ClipSettings, Problem, Source, require_folder
from avnb.data.splits import group_duplicates
from avnb.errors import ClipsError, DownloadError, MediaError
from avnb.media import Crop
from data_scripts.truth_files import find_truth, read_units

NAME = "urmp"
ABOUT = """
URMP (Li et al. 2018): 44 pieces for 2 to 5 players, 149 parts, 13 instruments, 12 GB.

CC0, at Dryad (doi:10.5061/dryad.ng3r749, one Dataset.tar.gz). Dryad gives files only to
users with a token: with one in DRYAD_API_TOKEN --download fetches and unpacks the set.
Without: get a token with a free account at https://datadryad.org, or download in a
browser and give the unpacked folder as --source. The authors' page
(https://labsites.rochester.edu/air/projects/URMP.html) asks to fill in a form.

The video shows all players side by side, so each is cut out; the sound is the player's
own track. A take that occurs in several pieces stays in one split.
"""
SETTINGS = ClipSettings(seconds=0.5, fps=2.0)

DRYAD = "https://datadryad.org"
# The DOI and not the number of a version: Dryad's newest version is asked for below.
DOI = "doi:10.5061/dryad.ng3r749"
ARCHIVE = "Dataset.tar.gz"

SAMPLE_RATE = 48000  # Hz; one channel
SUBTYPE = "PCM_24"
# s: pitches are noted every 10 ms, the first in the middle of a window of 46 ms
F0_FIRST, F0_STEP = 0.023, 0.01
PIECE_SIZES = (2,) * 11 + (3,) * 12 + (4,) * 14 + (5,) * 7  # players of the 44 pieces
CODES = {
    "bn": "bassoon",
    "vc": "cello",
    "cl": "clarinet",
    "db": "double_bass",
    "fl": "flute",
    "hn": "horn",
    "ob": "oboe",
    "sax": "sax",
    "tbn": "trombone",
    "tpt": "trumpet",
    "tba": "tuba",
    "va": "viola",
    "vn": "violin",
}
CODE_OF = {instrument: code for code, instrument in CODES.items()}
# (piece, part) whose file names say another instrument than is heard and seen
TRUE_CODE = {("15_Surprise", 3): "tbn"}
# NN_Title_code_code...: the title is matched lazily (.+?), so that all codes at the end
# fall to the second group.
PIECE = re.compile(r"(\d{2}_.+?)((?:_(?:" + "|".join(CODES) + "))+)")


def name_piece(number: int, title: str, instruments: list[str]) -> str:
    """The folder of a piece: number, title and the code of each player."""
    codes = "_".join(CODE_OF[instrument] for instrument in instruments)
    return f"{number:02d}_{title}_{codes}"


def name_video(piece: str) -> str:
    """The file of a piece's video, in the piece's folder."""
    return f"Vid_{piece}.mp4"


def name_track(part: int, instrument: str, title: str) -> str:
    """The end of the name of a player's files: AuSep_..., F0s_... and Notes_....

    Args:
        part: the player's place in the folder's name, from 1 on.
        instrument: the player's, a value of `CODES`.
        title: number and title of the piece, as in "01_Jupiter".
    """
    return f"{part}_{CODE_OF[instrument]}_{title}"


def find_sources(
    folder: Path,
    settings: ClipSettings = SETTINGS,
    *,
    crops: Annotated[
        Path | None,
        typer.Option(
            help="JSON: piece folder -> a [left, top, width, height] for each player"
        ),
    ] = None,
) -> tuple[list[Source], list[Problem]]:
    """Find one source a player: the own track, and a square of the piece's video.

    The players stand in the order of the folder's name. By default each has an equal
    share of the picture's width, and the square lies in the middle of the share.

    Args:
        folder: holds the piece folders, at any depth.
        settings: how clips will be cut.
        crops: a table for pieces whose players stand unevenly (some duos).

    Returns:
        The sources, and the problems: files that are missing or misnamed. Their piece
        goes on without them.

    Raises:
        ClipsError: where the table of crops cannot be read.
    """
    require_folder(folder)
    table = _read_crops(crops)
    found: list[Source] = []
    problems: list[Problem] = []
    for piece in sorted(path for path in folder.rglob("*") if path.is_dir()):
        # Other folders are passed over: truth/, or what an archive brought along.
        if match := PIECE.fullmatch(piece.name):
            codes = match[2].split("_")[1:]
            found += _find_players(folder, piece, match[1], codes, table, problems)
    if not found:
        what = "no piece folders such as 01_Jupiter_vn_vc with their files"
        problems.append(Problem(str(folder), what, "Give the folder that holds them"))
    # Some takes occur in two pieces. Their files are equal byte for byte, so their
    # recordings get one group and one split.
    return group_duplicates(found), problems


def _find_players(
    folder: Path,
    piece: Path,
    title: str,
    codes: list[str],
    table: dict[str, list[Crop]],
    problems: list[Problem],
) -> list[Source]:
    """The sources of one piece; what is wrong with it is added to `problems`."""
    name = piece.relative_to(folder).as_posix()
    units = read_units(piece.parent)

    def add_problem(file: str, problem: str, remedy: str) -> None:
        problems.append(Problem(f"{name}/{file}", problem, remedy))

    # Without the video there is no picture of any player, so the piece ends here. What
    # a single player lacks costs that player alone, further below.
    video = piece / name_video(piece.name)
    if not video.is_file():
        add_problem(video.name, "missing", "Fetch the piece again")
        return []
    try:
        shares = table.get(piece.name) or _share_width(video, len(codes))
    except MediaError as error:
        add_problem(video.name, error.problem, error.remedy)
        return []
    if len(shares) != len(codes):
        what = f"the table has {len(shares)} crops for {len(codes)} players"
        add_problem(video.name, what, "Give one a player")
        return []
    found = []
    for part, (code, crop) in enumerate(zip(codes, shares, strict=True), 1):
        # The * stands for the code, since some files name another instrument than their
        # folder.
        tracks = sorted(piece.glob(f"AuSep_{part}_*_{title}.wav"))
        if len(tracks) != 1:
            what = "missing" if not tracks else f"{len(tracks)} tracks for one player"
            add_problem(
                f"AuSep_{part}_{code}_{title}.wav", what, "Fetch the piece again"
            )
            continue
        track = tracks[0]
        named = track.name.split("_")[2]  # AuSep_PART_CODE_TITLE.wav
        # Three names may differ: the folder's (`code`), the file's (`named`) and the
        # true one.
        true = TRUE_CODE.get((title, part), named)
        if true not in CODES:
            add_problem(
                track.name, f"{named!r} is no instrument", f"Use one of {[*CODES]}"
            )
            continue
        # a disagreement is named, and the part is used all the same: the label is that
        # of the track's own name, unless a listener found it wrong (TRUE_CODE)
        if len({true, named, code}) > 1:
            what = f"folder and file say {code} and {named}: taken as {CODES[true]}"
            add_problem(track.name, what, "Nothing to do, if that is right")
        recording = f"{piece.name}/{part}_{CODES[true]}"
        known = f"{piece.name}_{part}"
        found.append(
            Source(
                name=f"{name}/{track.name}",
                recording=recording,
                label=CODES[true],
                video=video,
                audio=track,
                crop=crop,
                truth=find_truth(piece.parent, known),
                unit=units.get(known),
            )
        )
    return found


def _share_width(video: Path, players: int) -> list[Crop]:
    """Equal shares of the row, each cut to the square in its middle."""
    seen = media.probe(video)
    # A file of sound alone has neither; without this the division of the width would
    # fail.
    if not seen.width or not seen.height:
        raise MediaError(video, "no picture", "Fetch the piece again")
    # each player has the middle of an equal share; floor, so that no crop leaves the
    # picture
    share = seen.width / players
    # A square, because the frames are scaled to a square: other shapes would be
    # squeezed.
    side = int(min(share, seen.height))
    top = (seen.height - side) // 2
    return [
        (int((k + 0.5) * share - side / 2), top, side, side) for k in range(players)
    ]


def _read_crops(path: Path | None) -> dict[str, list[Crop]]:
    """Piece -> the crop of each player, from a JSON file; empty without one."""
    if path is None:
        return {}
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {
            # int() also turns what JSON holds as 960.0 into pixels. A row that has not
            # four numbers fails to unpack, which is a ValueError.
            str(piece): [(int(a), int(b), int(c), int(d)) for a, b, c, d in crops]
            for piece, crops in rows.items()
        }
    # ArithmeticError: JSON's Infinity is no number of pixels.
    except (
        OSError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError
    ) as error:  # fmt: skip
        raise ClipsError(
            path,
            f"it is not a table of crops ({error})",
            "Right is JSON such as "
            '{"01_Jupiter_vn_vc": [[0, 60, 960, 960], [960, 60, 960, 960]]}',
        ) from error


# ---------------------------------------------------------------- download


def download(folder: Path, site: str = DRYAD) -> None:
    """Fetch the set from Dryad, check it and unpack it into ``folder/Dataset``.

    Dryad wants a token, which is read from the environment variable DRYAD_API_TOKEN.

    Args:
        folder: where the archive and ``Dataset/`` go.
        site: the address of Dryad; tests give one of their own.

    Raises:
        DownloadError: where it cannot be had; the remedy says how to do it by hand.
    """
    # `unpack` gives the folder its name when all is in it, so a folder that is there is
    # whole.
    if (folder / "Dataset").is_dir():
        return
    by_hand = (
        f"Download {ARCHIVE} of {DOI} in a browser, unpack it, and give that folder as "
        "--source"
    )
    # Dryad's API links set -> newest version -> its files -> the download. The DOI
    # holds a slash, which must be quoted to be one part of the address.
    dataset = _request_json(f"{site}/api/v2/datasets/{quote(DOI, safe='')}", by_hand)
    version = _get_link(dataset, "stash:version", site, by_hand)
    listing = _request_json(f"{version}/files", by_hand)
    entries = listing.get("_embedded", {}).get("stash:files", [])
    entry = next((e for e in entries if e.get("path") == ARCHIVE), None)
    if entry is None:
        names = [e.get("path") for e in entries]
        raise DownloadError(ARCHIVE, f"it is not among Dryad's files {names}", by_hand)
    kinds = {"sha-256": "sha256", "md5": "md5"}
    kind = kinds.get(entry.get("digestType", ""))
    # Dryad names the digest's kind in its own words. Without a digest the archive is
    # fetched unchecked; one that is cut short still fails when it is unpacked.
    checksum = f"{kind}:{entry['digest']}" if kind and entry.get("digest") else None
    # From the environment and not an option: options are seen in the shell's history
    # and in the list of processes. Without it Dryad refuses, and the error says so.
    token = os.environ.get("DRYAD_API_TOKEN")
    archive = fetch(
        _get_link(entry, "stash:download", site, by_hand),
        folder / ARCHIVE,
        checksum=checksum,
        headers={"Authorization": f"Bearer {token}"} if token else None,
    )
    unpack(archive, folder / "Dataset")


def _request_json(url: str, by_hand: str) -> dict[str, Any]:
    """The object that an address answers with."""
    try:
        # requests has no timeout of its own: a server that is silent would hang this
        # for ever.
        answer = requests.get(url, timeout=60)
        answer.raise_for_status()
        # A list or a number instead of an object fails in dict(), and is no usable
        # answer too.
        return dict(answer.json())
    except (requests.RequestException, ValueError, TypeError) as error:
        what = f"it gave no usable answer ({error})"
        raise DownloadError(url, what, by_hand) from error


def _get_link(entry: dict[str, Any], name: str, site: str, by_hand: str) -> str:
    """The address that an entry of Dryad's answer links to."""
    try:
        # The links are relative to the site ("/api/v2/...").
        return urljoin(site, str(entry["_links"][name]["href"]))
    except (KeyError, TypeError) as error:
        what = f"there is no link {name!r} in its answer"
        raise DownloadError(site, what, by_hand) from error


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
