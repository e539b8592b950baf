"""Read the files of zip and tar archives one by one, without trusting the archives.

Python's own modules do the decoding. Added here are zips in parts, which `zipfile`
cannot read, and a guard for `tarfile`, which would read a header of any size.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

from avnb.errors import DownloadError

MAX_HEADER = 2**26  # bytes read at once of a tar's header or of a zip's directory
MAX_PARTS = 999  # of one zip
MAX_XZ_MEMORY = 2**28  # bytes; `xz -9` asks for 65 MiB
SKIP = 2**16  # bytes read at once to get forward in a stream

# A zip's last record (APPNOTE.TXT, 4.3.16) and an entry of its directory (4.3.12).
ZIP_END = struct.Struct("<4sHHHHIIH")
ZIP_ENTRY = struct.Struct("<4sHHHHHHIIIHHHHHII")


def refused(archive: Path, reason: str) -> DownloadError:
    """The error for an archive that looks like an attack, or cannot be meant so."""
    return DownloadError(
        archive.name, f"refused, {reason}", "Fetch it from its true source"
    )


def iterate_members(archive: Path) -> Iterator[tuple[str, io.BufferedIOBase]]:
    """Yield the regular files of a zip or tar: names and open files.

    A tar may be packed as .gz, .bz2 or .xz.

    Each file is valid until the next one is asked for.

    Raises:
        DownloadError: there is a link, a device or an encrypted file, or a part of a
            zip is missing.
    """
    if zipfile.is_zipfile(archive):
        return _iterate_zip(archive)
    return _iterate_tar(archive)


def _iterate_zip(archive: Path) -> Iterator[tuple[str, io.BufferedIOBase]]:
    with _open_joined(archive) as whole, zipfile.ZipFile(whole) as zipped:
        for member in zipped.infolist():
            # The upper half holds Unix's file mode, 0 if another system made the zip.
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise refused(archive, f"{member.filename!r} is a link or device")
            if member.flag_bits & 1:
                raise refused(archive, f"{member.filename!r} is encrypted")
            if not member.is_dir():
                with zipped.open(member) as file:
                    yield member.filename, cast(io.BufferedIOBase, file)


def _iterate_tar(archive: Path) -> Iterator[tuple[str, io.BufferedIOBase]]:
    with contextlib.ExitStack() as stack:
        stream: Any = stack.enter_context(archive.open("rb"))
        mark = stream.peek(6)[:6]
        if mark.startswith(b"\x1f\x8b"):
            stream = stack.enter_context(gzip.GzipFile(fileobj=stream))
        elif mark.startswith(b"BZh"):
            stream = stack.enter_context(bz2.BZ2File(stream))
        elif mark == b"\xfd7zXZ\0":
            stream = _XzStream(stream)
        forward: Any = _ForwardStream(stream)
        tar: Any = stack.enter_context(tarfile.TarFile(fileobj=forward))
        while (entry := tar.next()) is not None:
            tar.members.clear()  # it would keep every header
            if entry.isdir():
                continue
            if not entry.isreg():
                raise refused(archive, f"{entry.name!r} is a link or device")
            yield entry.name, tar.extractfile(entry)


# ----------------------------------------------------------------- zips in parts


@contextlib.contextmanager
def _open_joined(archive: Path) -> Iterator[IO[bytes]]:
    """A zip as one stream, also one in parts: read as it lies, nothing is copied.

    The directory at the end of a zip in parts says of each member in which part it
    lies and where there. It is written anew, in memory, with places in the whole.
    """
    with archive.open("rb") as last, contextlib.ExitStack() as stack:
        # The last record lies within the last 64 KiB: a comment may follow it.
        last.seek(max(0, archive.stat().st_size - 2**16 - ZIP_END.size))
        tail = last.read()
        at = tail.rfind(b"PK\5\6")
        fields = ZIP_END.unpack_from(tail, at) if at >= 0 else (0,) * 8
        # number: of the part that this is, the last; first: where the directory starts
        _, number, first, _, count, length, offset, _ = fields
        last.seek(0)
        # 0: a zip in one file. 0xFFFF: its number is in the zip64 record, so it has
        # more parts than we take; zipfile says what is wrong with it.
        if not 0 < number < 0xFFFF:
            yield last
            return
        if number > MAX_PARTS or first > number or length > MAX_HEADER:
            raise refused(archive, "it is too large for a zip in parts")
        parts = [archive.with_suffix(f".z{k:02d}") for k in range(1, number + 1)]
        if missing := [part.name for part in parts if not part.is_file()]:
            raise DownloadError(
                archive.name,
                f"parts are missing: {', '.join(missing)}",
                "Put all into one folder",
            )
        files = [*(stack.enter_context(part.open("rb")) for part in parts), last]
        stream = _JoinedStream(files)
        begin = stream.begins[first] + offset
        stream.seek(begin)
        directory = _rewrite_directory(stream.read(length), count, stream.begins)
        ending = directory + _make_ending(count, len(directory), begin)
        yield cast(IO[bytes], _JoinedStream(files, begin, io.BytesIO(ending)))


def _make_ending(count: int, length: int, begin: int) -> bytes:
    """The three last records of a zip64 whose directory lies at `begin` of the whole.

    Places beyond 4 GiB fit into zip64's fields alone (APPNOTE.TXT, 4.3.14 to 4.3.16);
    all ones in the old record say that they are to be taken from there.
    """
    zip64 = struct.pack(
        "<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, begin
    )
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, begin + length, 1)
    return (
        zip64
        + locator
        + ZIP_END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    )


def _rewrite_directory(directory: bytes, count: int, begins: list[int]) -> bytes:
    """A directory whose members' places are counted from the first part's start."""
    found, at = [], 0
    for _ in range(count):
        fields = list(ZIP_ENTRY.unpack_from(directory, at))
        names, extra, comment, part, place = (fields[k] for k in (10, 11, 12, 13, 16))
        if fields[0] != b"PK\1\2" or part >= len(begins) or place == 0xFFFFFFFF:
            raise zipfile.BadZipFile("its directory names parts that are not there")
        # An entry is followed by its name, its extra fields and its comment.
        rest = at + ZIP_ENTRY.size
        at = rest + names + extra + comment
        # All ones in the old field, below, say that the place is in the extra field.
        more = struct.pack("<HHQ", 1, 8, begins[part] + place)  # zip64: the place
        fields[11], fields[13], fields[16] = extra + len(more), 0, 0xFFFFFFFF
        middle = rest + names
        found += [
            ZIP_ENTRY.pack(*fields),
            directory[rest:middle],
            more,
            directory[middle:at],
        ]
    return b"".join(found)


class _JoinedStream(io.RawIOBase):
    """Files one after another as one, up to ``until``, then ``tail``."""

    def __init__(
        self,
        files: Sequence[IO[bytes]],
        until: int | None = None,
        tail: io.BytesIO | None = None,
    ) -> None:
        lengths = [file.seek(0, os.SEEK_END) for file in files]
        self.begins = [sum(lengths[:k]) for k in range(len(files))]
        end = sum(lengths) if until is None else until
        before = [(b, f) for b, f in zip(self.begins, files, strict=True) if b < end]
        self.files: list[tuple[int, IO[bytes]]] = list(before)
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
            # the last file that begins at or before the position
            k = max(i for i, (b, _) in enumerate(self.files) if b <= self.position)
            begin, file = self.files[k]
            until = self.files[k + 1][0] if k + 1 < len(self.files) else self.length
            file.seek(self.position - begin)
            data = file.read(min(wanted, until - self.position))
            if not data:  # or the loop would never end
                raise OSError("a part has become shorter")
            found.append(data)
            wanted -= len(data)
            self.position += len(data)
        return b"".join(found)


class _XzStream:
    """What an .xz file holds, read forwards.

    `lzma.LZMAFile` has no limit: a header may ask for 4 GiB of memory.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_XZ_MEMORY)

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end."""
        found: list[bytes] = []
        while size > 0 and not self.decoder.eof:
            packed = self.stream.read(SKIP) if self.decoder.needs_input else b""
            if self.decoder.needs_input and not packed:
                raise EOFError("it ends too early")
            data: bytes = self.decoder.decompress(packed, max_length=size)
            found.append(data)
            size -= len(data)
        return b"".join(found)


class _ForwardStream:
    """A stream for tarfile: no huge read at once, no rewinding but by one byte.

    tarfile reads a header of any size into memory, and steps back one byte before each
    member, for which a gzip stream might start from its beginning.
    """

    def __init__(self, stream: Any) -> None:
        self.stream, self.position = stream, 0
        self.last = self.again = b""  # the byte before; what is to be read once more

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        data: bytes = self.again[:size] + self.stream.read(
            max(size - len(self.again), 0)
        )
        self.again = self.again[size:]
        self.position += len(data)
        # Kept for the one step back that tarfile takes.
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
            if not self.read(min(position - self.position, SKIP)):
                return
