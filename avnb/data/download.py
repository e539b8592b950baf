"""Fetch large files and unpack archives that nobody vouches for.

``pooch`` checks and places the file; what is added here is resuming a download that
broke off (HTTP Range, guarded by the server's ETag), and unpacking that cannot leave
its folder, make links, or fill the disk.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import shutil
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import pooch
import requests
from filelock import FileLock, Timeout
from requests.exceptions import ChunkedEncodingError
from tqdm.auto import tqdm

from avnb.errors import DownloadError

CHUNK = 2**16  # bytes: what is lost of an answer that breaks off
TIMEOUT = 60  # s without a byte
TRIES = 5
MEMBERS = 1_000_000
LARGEST = 256 * 2**30  # bytes of an unpacked archive
HEADER = 2**26  # bytes read at once of a tar's header or of a zip's directory
PARTS = 999  # of one zip
END = struct.Struct("<4sHHHHIIH")  # a zip's last record; APPNOTE.TXT, 4.3.16
MEMBER = struct.Struct("<4sHHHHHHIIIHHHHHII")  # of its directory; 4.3.12


def fetch(
    url: str,
    path: Path | str,
    *,
    checksum: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Path:
    """Download ``url`` to ``path``; what an earlier try left there is continued.

    ``checksum``: "sha256:..." or "md5:..."; a file that is there and has it is kept.
    Bytes not yet whole lie in ``path`` + ".part". Raises DownloadError.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")

    def download(url: str, output: str, _: object) -> None:
        _resume(url, part, dict(headers or {}))
        os.replace(part, output)
        _tag(part).unlink(missing_ok=True)

    pooch.get_logger().setLevel("WARNING")  # it asks for a known hash
    try:
        found = pooch.retrieve(
            url, checksum, path.name, path.parent, downloader=download
        )
    except requests.HTTPError as error:
        raise DownloadError(
            f"{path.name}: no download ({error}). Fetch it by hand to {path}"
        ) from error
    except requests.RequestException as error:
        raise DownloadError(
            f"{path.name}: the download broke off ({error}). Start it again: it "
            "continues where it stopped"
        ) from error
    except ValueError as error:
        raise DownloadError(
            f"{path.name}: its checksum is not {checksum}: damaged on the way, or "
            f"another file. Download it again; if it stays so, ask where {url} is from"
        ) from error
    return Path(found)


def _tag(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _resume(url: str, part: Path, headers: dict[str, str]) -> None:
    """Go on by itself as long as each try brings something."""
    broken = (requests.ConnectionError, requests.Timeout, ChunkedEncodingError)
    for left in reversed(range(TRIES)):
        before = part.stat().st_size if part.exists() else 0
        try:
            return _continue(url, part, headers)
        except broken:
            gained = part.exists() and part.stat().st_size > before
            if not (left and gained):
                raise
    raise AssertionError("unreachable")


def _continue(url: str, part: Path, headers: dict[str, str]) -> None:
    """Append to ``part`` what is missing, or begin anew where the server must."""
    have = part.stat().st_size if part.exists() else 0
    tag = _tag(part).read_text() if _tag(part).exists() else None
    asked = headers | {"Accept-Encoding": "identity"}
    if have and tag:
        asked |= {"Range": f"bytes={have}-", "If-Range": tag}
    with requests.get(url, headers=asked, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 416:  # nothing is left to send, or it has changed
            part.unlink()
            return _continue(url, part, headers)
        answer.raise_for_status()
        begins = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status_code != 206 or not begins:
            have = 0
        # a weak tag does not promise the same bytes
        new = answer.headers.get("ETag", "")
        _tag(part).write_text("" if new.startswith("W/") else new)
        length = int(answer.headers.get("Content-Length", 0))
        part.parent.mkdir(parents=True, exist_ok=True)
        if length > (free := shutil.disk_usage(part.parent).free):
            raise DownloadError(
                f"{part.name}: {length} bytes to come, {free} free. Make room"
            )
        bar = tqdm(
            desc=part.stem, total=have + length or None, initial=have, unit="B",
            unit_scale=True,
        )  # fmt: skip
        with bar, part.open("ab" if have else "wb") as file:
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
            if length and file.tell() != have + length:
                raise requests.ConnectionError(
                    f"{file.tell()} of {have + length} bytes"
                )
    return None


# ------------------------------------------------------------------ archives


def unpack(archive: Path | str, folder: Path | str, *, largest: int = LARGEST) -> Path:
    """Unpack a zip or tar (also .gz) into ``folder``, which must be new or empty.

    Of a zip in parts (NAME.z01, NAME.z02, ..., NAME.zip, as `zip -s` makes) give the
    .zip; the others lie beside it. Refuses, and leaves nothing behind: names that lead
    out of the folder, links, devices, more than ``largest`` bytes or a million members.
    ``folder`` is there only when all is in it: what an unpacking that was killed left
    beside it is removed by the next. Raises DownloadError.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise DownloadError(f"{folder}: not empty. Unpack {archive.name} elsewhere")
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.parent / f".unpack-{folder.name}"
    beside.mkdir(exist_ok=True)
    try:
        with FileLock(beside / "lock", timeout=0):
            inside = beside / "all"
            shutil.rmtree(inside, ignore_errors=True)
            inside.mkdir()
            _unpack(archive, inside, largest)
            if folder.exists():
                folder.rmdir()
            os.replace(inside, folder)
        shutil.rmtree(beside, ignore_errors=True)
    except Timeout as error:
        raise DownloadError(f"{folder}: another process unpacks into it") from error
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return folder


def _unpack(archive: Path, inside: Path, largest: int) -> None:
    room = min(largest, shutil.disk_usage(inside).free)
    damage = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, struct.error)
    try:
        for count, (name, file) in enumerate(_members(archive)):
            if count >= MEMBERS:
                raise _refused(archive, f"it has more than {MEMBERS} members")
            room -= _write(file, _place(name, inside, archive), room, archive)
    except damage as error:
        raise DownloadError(
            f"{archive.name}: damaged ({error}). Download it again"
        ) from error


def _refused(archive: Path, why: str) -> DownloadError:
    return DownloadError(
        f"{archive.name}: refused, {why}. Fetch it from its true source"
    )


def _place(name: str, inside: Path, archive: Path) -> Path:
    path = PurePosixPath(name)
    safe = name and not path.is_absolute() and ".." not in path.parts
    if not safe or any(c in name for c in ("\\", ":", "\0")):
        raise _refused(archive, f"the name {name!r} leads out of its folder")
    place = inside.joinpath(*path.parts)
    if place.exists():
        raise _refused(archive, f"the name {name!r} occurs twice")
    return place


def _write(file: io.BufferedIOBase, place: Path, room: int, archive: Path) -> int:
    place.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with place.open("wb") as out:
        while chunk := file.read(CHUNK):
            size += len(chunk)
            if size > room:
                raise _refused(archive, "it unpacks to more than there is room for")
            out.write(chunk)
    return size


def _members(archive: Path) -> Iterator[tuple[str, io.BufferedIOBase]]:
    """The regular files, one by one; links and devices are refused."""
    if zipfile.is_zipfile(archive):
        with contextlib.ExitStack() as stack:
            whole = stack.enter_context(_joined(archive))
            zipped = stack.enter_context(zipfile.ZipFile(whole))
            for member in zipped.infolist():
                kind = stat.S_IFMT(member.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise _refused(archive, f"{member.filename!r} is a link or device")
                if member.flag_bits & 1:
                    raise _refused(archive, f"{member.filename!r} is encrypted")
                if not member.is_dir():
                    with zipped.open(member) as file:
                        yield member.filename, cast(io.BufferedIOBase, file)
        return
    with contextlib.ExitStack() as stack:
        stream: Any = stack.enter_context(archive.open("rb"))
        if stream.peek(2)[:2] == b"\x1f\x8b":
            stream = stack.enter_context(gzip.GzipFile(fileobj=stream))
        forward: Any = _Forward(stream)
        tar: Any = stack.enter_context(tarfile.TarFile(fileobj=forward))
        while (entry := tar.next()) is not None:
            tar.members.clear()  # it would keep every header
            if entry.isdir():
                continue
            if not entry.isreg():
                raise _refused(archive, f"{entry.name!r} is a link or device")
            yield entry.name, tar.extractfile(entry)


@contextlib.contextmanager
def _joined(archive: Path) -> Iterator[IO[bytes]]:
    """A zip as one stream, also one in parts: read as it lies, nothing is copied.

    The directory at the end of a zip in parts says of each member in which part it
    lies and where there. It is written anew, in memory, with places in the whole.
    """
    with archive.open("rb") as last, contextlib.ExitStack() as stack:
        size = archive.stat().st_size
        last.seek(max(0, size - 2**16 - END.size))
        tail = last.read()
        at = tail.rfind(b"PK\5\6")
        fields = END.unpack_from(tail, at) if at >= 0 else (0,) * 8
        _, number, first, _, count, length, offset, _ = fields
        last.seek(0)
        if not 0 < number < 0xFFFF:
            yield last
            return
        if number > PARTS or first > number or length > HEADER:
            raise _refused(archive, "it is too large for a zip in parts")
        parts = [archive.with_suffix(f".z{k:02d}") for k in range(1, number + 1)]
        if missing := [part.name for part in parts if not part.is_file()]:
            raise DownloadError(
                f"{archive.name}: parts are missing: {', '.join(missing)}. Put all "
                "into one folder"
            )
        files = [stack.enter_context(part.open("rb")) for part in parts]
        stream = _Parts([*files, last])
        begins = stream.begins[first] + offset
        stream.seek(begins)
        directory = _in_the_whole(stream.read(length), count, stream.begins)
        here = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count,
                           len(directory), begins)  # fmt: skip
        there = struct.pack("<4sIQI", b"PK\6\7", 0, begins + len(directory), 1)
        end = END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
        yield cast(IO[bytes], _Parts(
            [*files, last], begins, io.BytesIO(directory + here + there + end)
        ))  # fmt: skip


def _in_the_whole(directory: bytes, count: int, begins: list[int]) -> bytes:
    """A directory whose members' places are counted from the first part's start."""
    found, at = [], 0
    for _ in range(count):
        fields = list(MEMBER.unpack_from(directory, at))
        names, extra, comment, part, place = (fields[k] for k in (10, 11, 12, 13, 16))
        if fields[0] != b"PK\1\2" or part >= len(begins) or place == 0xFFFFFFFF:
            raise zipfile.BadZipFile("its directory names parts that are not there")
        rest = at + MEMBER.size
        at = rest + names + extra + comment
        more = struct.pack("<HHQ", 1, 8, begins[part] + place)  # zip64: the place
        fields[11], fields[13], fields[16] = extra + len(more), 0, 0xFFFFFFFF
        middle = rest + names
        found += [
            MEMBER.pack(*fields),
            directory[rest:middle],
            more,
            directory[middle:at],
        ]
    return b"".join(found)


class _Parts(io.RawIOBase):
    """Files one after another as one, up to ``until``, then ``tail``."""

    def __init__(
        self,
        files: list[IO[bytes]],
        until: int | None = None,
        tail: io.BytesIO | None = None,
    ) -> None:
        lengths = [file.seek(0, os.SEEK_END) for file in files]
        self.begins = [sum(lengths[:k]) for k in range(len(files))]
        end = sum(lengths) if until is None else until
        kept = [(b, f) for b, f in zip(self.begins, files, strict=True) if b < end]
        self.files: list[tuple[int, IO[bytes]]] = list(kept)
        self.length = end
        if tail is not None:
            self.files.append((end, tail))
            self.length += len(tail.getvalue())
        self.position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.length}
        if base[whence] + offset < 0:
            raise OSError("before its start")
        self.position = base[whence] + offset
        return self.position

    def tell(self) -> int:
        return self.position

    def read(self, size: int = -1) -> bytes:
        wanted = self.length - self.position
        wanted = wanted if size is None or size < 0 else min(size, wanted)
        found = []
        while wanted > 0:
            k = max(i for i, (b, _) in enumerate(self.files) if b <= self.position)
            begin, file = self.files[k]
            until = self.files[k + 1][0] if k + 1 < len(self.files) else self.length
            file.seek(self.position - begin)
            data = file.read(min(wanted, until - self.position))
            if not data:
                raise OSError("a part has become shorter")
            found.append(data)
            wanted -= len(data)
            self.position += len(data)
        return b"".join(found)


class _Forward:
    """A stream for tarfile: no huge read at once, no rewinding but by one byte.

    tarfile reads a header of any size into memory, and steps back one byte before each
    member, for which a gzip stream might start from its beginning.
    """

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self.stream, self.position = stream, 0
        self.last = self.again = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        data = self.again[:size] + self.stream.read(max(size - len(self.again), 0))
        self.again = self.again[size:]
        self.position += len(data)
        self.last = data[-1:] or self.last
        return data

    def tell(self) -> int:
        return self.position

    def seek(self, position: int) -> None:
        if position == self.position - 1 and not self.again:
            self.again, self.position = self.last, position
        if position < self.position:
            raise tarfile.ReadError("its members overlap")
        while self.position < position:
            if not self.read(min(position - self.position, CHUNK)):
                return
