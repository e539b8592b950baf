"""Fetch large files and unpack archives that nobody vouches for.

``pooch`` checks and places the file. Added here are resuming a download that broke off
(HTTP Range, guarded by the server's ETag), and unpacking that cannot leave its folder,
make links, or fill the disk.
"""

from __future__ import annotations

import io
import lzma
import os
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pooch
import requests
from filelock import FileLock, Timeout
from requests.exceptions import ChunkedEncodingError
from tqdm.auto import tqdm

from avnb import files
from avnb.data.archives import iterate_members, refused
from avnb.errors import DownloadError

CHUNK = 2**16  # bytes: what is lost of an answer that breaks off
TIMEOUT = 60  # s without a byte
TRIES = 5  # for one file, each of which must bring something
# Far above every set that we know, far below what would fill a file system.
MAX_MEMBERS = 1_000_000  # files of an archive
MAX_UNPACKED = 256 * 2**30  # bytes of an unpacked archive


def fetch(
    url: str,
    path: Path | str,
    *,
    checksum: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Path:
    """Download ``url`` to ``path``; what an earlier try left there is continued.

    Bytes not yet whole lie in ``path`` + ".part".

    Args:
        url: http or https.
        path: the file; one that is there and has the checksum is kept.
        checksum: "sha256:..." or "md5:...".
        headers: sent with each request, such as a licence that was accepted.

    Raises:
        DownloadError: the server or the connection failed, or the checksum is wrong.
        WriteError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")

    def download(url: str, output: str, _: object) -> None:
        _download_part(url, part, dict(headers or {}))
        os.replace(part, output)
        _etag_path(part).unlink(missing_ok=True)

    pooch.get_logger().setLevel("WARNING")  # it asks for a known hash
    try:
        with files.explain_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            found = pooch.retrieve(
                url, checksum, path.name, path.parent, downloader=download
            )
    except requests.HTTPError as error:
        raise DownloadError(
            path.name, f"no download ({error})", f"Fetch it by hand to {path}"
        ) from error
    except requests.RequestException as error:
        raise DownloadError(
            path.name,
            f"the download broke off ({error})",
            "Start it again: it continues where it stopped",
        ) from error
    except ValueError as error:  # pooch's, where the hash differs
        raise DownloadError(
            path.name,
            f"its checksum is not {checksum}: damaged on the way, or another file",
            f"Download it again; if it stays so, ask where {url} is from",
        ) from error
    return Path(found)


def _etag_path(part: Path) -> Path:
    """Where the server's name for the version of a partial file is kept."""
    return part.with_name(part.name + ".etag")


def _download_part(url: str, part: Path, headers: dict[str, str]) -> None:
    """Download all of a file; go on by itself as long as each try brings something."""
    broken = (requests.ConnectionError, requests.Timeout, ChunkedEncodingError)
    # A server that answers and then stays silent is not asked for ever: a try that
    # brings nothing is the last.
    for left in reversed(range(TRIES)):
        before = part.stat().st_size if part.exists() else 0
        try:
            return _request_rest(url, part, headers)
        except broken:
            gained = part.exists() and part.stat().st_size > before
            if not (left and gained):
                raise
    raise AssertionError("unreachable")


def _request_rest(url: str, part: Path, headers: dict[str, str]) -> None:
    """Append to ``part`` what is missing, or begin anew where the server must."""
    have = part.stat().st_size if part.exists() else 0
    etag_path = _etag_path(part)
    etag = etag_path.read_text(encoding="utf-8") if etag_path.exists() else None
    # A server that compressed the answer would count other bytes than the file's.
    request = headers | {"Accept-Encoding": "identity"}
    if have and etag:
        request |= {"Range": f"bytes={have}-", "If-Range": etag}
    with requests.get(url, headers=request, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 416:  # nothing is left to send, or it has changed
            part.unlink()
            return _request_rest(url, part, headers)
        answer.raise_for_status()
        begins = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status_code != 206 or not begins:
            have = 0
        # a weak tag does not promise the same bytes
        new = answer.headers.get("ETag", "")
        etag_path.write_text("" if new.startswith("W/") else new, encoding="utf-8")
        _append_answer(answer, part, have)
    return None


def _append_answer(answer: requests.Response, part: Path, have: int) -> None:
    """Write the body of an answer behind the first ``have`` bytes of ``part``."""
    length = int(answer.headers.get("Content-Length", 0))
    part.parent.mkdir(parents=True, exist_ok=True)
    # Said before hours of downloading, not after them.
    if length > (free := shutil.disk_usage(part.parent).free):
        raise DownloadError(
            part.name, f"{length} bytes to come, {free} free", "Make room on the disk"
        )
    bar = tqdm(
        desc=part.stem, total=have + length or None, initial=have, unit="B",
        unit_scale=True,
    )  # fmt: skip
    with bar, part.open("ab" if have else "wb") as file:
        for chunk in answer.iter_content(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
        # requests takes an answer that ends early for a whole one
        if length and file.tell() != have + length:
            raise requests.ConnectionError(f"{file.tell()} of {have + length} bytes")


# ----------------------------------------------------------------- unpacking


def unpack(
    archive: Path | str, folder: Path | str, *, largest: int = MAX_UNPACKED
) -> Path:
    """Unpack a zip or tar into ``folder``, which must be new or empty.

    A tar may be packed as .gz, .bz2 or .xz.

    Refuses, and leaves nothing behind: names that lead out of the folder, links,
    devices, more than ``largest`` bytes or a million files. ``folder`` is there only
    when all is in it. What an unpacking that was killed left beside it is removed by
    the next.

    Args:
        archive: the file. Of a zip in parts (NAME.z01, NAME.z02, ..., NAME.zip, as
            `zip -s` makes) give the .zip; the others lie beside it.
        folder: where its files go.
        largest: bytes of all files together.

    Raises:
        DownloadError: the archive is damaged or refused, or the folder is not empty.
        WriteError: the folder cannot be written, or the disk is full.
    """
    archive, folder = Path(archive), Path(folder)
    with files.explain_write_errors(folder):
        if folder.exists() and any(folder.iterdir()):
            raise DownloadError(
                folder, "it is not empty", f"Unpack {archive.name} elsewhere"
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Unpacked beside the folder and renamed at the end, so that a folder that is
        # there is a whole one.
        beside = folder.parent / f".unpack-{folder.name}"
        beside.mkdir(exist_ok=True)
        try:
            with FileLock(beside / "lock", timeout=0):
                inside = beside / "all"
                shutil.rmtree(inside, ignore_errors=True)
                inside.mkdir()
                _unpack_members(archive, inside, largest)
                # Windows renames onto no folder, not even an empty one.
                if folder.exists():
                    folder.rmdir()
                os.replace(inside, folder)
            shutil.rmtree(beside, ignore_errors=True)
        except Timeout as error:
            raise DownloadError(
                folder,
                "another process unpacks into it",
                "Wait until it is done, then start again",
            ) from error
        except BaseException:  # also when it is stopped by hand
            shutil.rmtree(beside, ignore_errors=True)
            raise
    return folder


def _unpack_members(archive: Path, inside: Path, largest: int) -> None:
    room = min(largest, shutil.disk_usage(inside).free)
    damage = (
        *(OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, struct.error),
        lzma.LZMAError,
    )
    try:
        for count, (name, member) in enumerate(iterate_members(archive)):
            if count >= MAX_MEMBERS:
                raise refused(archive, f"it has more than {MAX_MEMBERS} members")
            path = _resolve_name(name, inside, archive)
            room -= _write_member(member, path, room, archive)
    except damage as error:
        if isinstance(error, OSError) and error.errno in files.FULL_DISK:
            raise  # no fault of the archive: `unpack` explains it
        raise DownloadError(
            archive.name, f"damaged ({error})", "Download it again"
        ) from error


def _resolve_name(name: str, inside: Path, archive: Path) -> Path:
    """Where a member goes; refuses a name that leads elsewhere, on any system."""
    path = PurePosixPath(name)
    safe = name and not path.is_absolute() and ".." not in path.parts
    # Backslashes and colons (C:, alternate streams) mean something on Windows alone.
    if not safe or any(c in name for c in ("\\", ":", "\0")):
        raise refused(archive, f"the name {name!r} leads out of its folder")
    place = inside.joinpath(*path.parts)
    if place.exists():
        raise refused(archive, f"the name {name!r} occurs twice")
    return place


def _write_member(
    member: io.BufferedIOBase, path: Path, room: int, archive: Path
) -> int:
    """Write a member's bytes, at most ``room`` of them; return how many they were.

    Counted as they come: the sizes that an archive states may be lies.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with path.open("wb") as out:
        while chunk := member.read(CHUNK):
            size += len(chunk)
            if size > room:
                raise refused(archive, "it unpacks to more than there is room for")
            out.write(chunk)
    return size
