"""Write files whole or not at all; read and write JSON; hash files and values."""

import dataclasses
import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from avnb.errors import AvnbError, WriteError

# What the user can put right when a file cannot be written. Other errors of the
# system (a disk that fails, too many open files) keep their traceback.
_ELSEWHERE = "Choose a folder that you may write to"
_NO_FOLDER = "A file is where a folder must be: move it, or choose another folder"
_WRITE_REMEDIES = {
    errno.EACCES: _ELSEWHERE,
    errno.EPERM: _ELSEWHERE,
    errno.EROFS: _ELSEWHERE,
    errno.ENOSPC: "Make room on the disk, or choose a folder on another one",
    errno.EDQUOT: "Delete files of yours, or choose a folder on another disk",
    errno.EEXIST: _NO_FOLDER,
    errno.ENOTDIR: _NO_FOLDER,
    errno.EISDIR: "A folder is where a file must be: move it, or choose another name",
    errno.ENAMETOOLONG: "Choose a shorter name",
}
FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL = 2**20  # bytes: with less free, a failed write is the disk's fault


@contextmanager
def explain_write_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the system's errors in writing `path` into a WriteError with a remedy.

    For a block that writes a file, or files into a folder. Errors about other files
    and errors that the user can do nothing about pass through unchanged.

    Args:
        path: the file or folder that the block writes.

    Raises:
        WriteError: the folder cannot be written, or the disk is full.
    """
    try:
        yield
    except OSError as error:
        number = error.errno
        if number is None and isinstance(error, PermissionError):
            number = errno.EACCES  # pooch raises its own, which has no number
        if number not in _WRITE_REMEDIES or not _concerns(error, Path(path)):
            raise
        reason = os.strerror(number).lower()
        raise WriteError(
            path, f"it cannot be written ({reason})", _WRITE_REMEDIES[number]
        ) from error


def _concerns(error: OSError, path: Path) -> bool:
    """Whether an error is about `path`, what is in it, its folders or its part."""
    if error.errno in {*FULL_DISK, errno.EROFS}:
        return True  # reading never raises these
    if not isinstance(error.filename, str | os.PathLike):
        return True  # an error in writing to an open file names none
    place, path = Path(error.filename).absolute(), path.absolute()
    part = place.parent == path.parent and path.name in place.name
    return part or place.is_relative_to(path) or path.is_relative_to(place)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to, which becomes `path` if all went well.

    Makes the folder. What was at `path` stays until the block has ended, and stays if
    it raises, so nobody ever sees half a file. The temporary file lies beside `path`,
    since renaming across file systems would not be atomic, and carries the process's
    number, since two processes may write the same file.

    Args:
        path: the file to write.

    Yields:
        The path of an empty hidden file beside it.

    Raises:
        WriteError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Libraries that write in C report a folder that cannot be written in words of
        # their own, or not at all. So the file is made here first.
        partial.touch()
        try:
            yield partial
            os.replace(partial, path)
        except (AvnbError, OSError):
            raise
        except Exception as error:
            # libsndfile, safetensors and torch have their own errors for a full disk.
            if shutil.disk_usage(path.parent).free >= _FULL:
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        finally:
            partial.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file, whole or not at all, and see it to the disk.

    Raises:
        WriteError: the folder cannot be written, or the disk is full.
    """
    with atomic_path(path) as partial, partial.open("wb") as file:
        file.write(content)
        file.flush()
        # Without this, a power cut after the renaming could leave an empty file.
        os.fsync(file.fileno())


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write plain values as JSON, whole or not at all; see `to_jsonable`.

    Raises:
        ValueError: a number is nan or inf, for which JSON has no word.
        WriteError: the folder cannot be written, or the disk is full.
    """
    # indent: people read these files, and git shows what changed in them
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file; an AvnbError names the file if it holds anything else."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise AvnbError(
            path, f"it is not JSON ({error})", "Delete it, and have it made again"
        ) from error


def to_jsonable(value: Any) -> Any:
    """Turn a value into what JSON can hold: dataclasses to dicts, arrays to lists.

    Numbers that JSON has no word for (nan, inf) become None.

    Raises:
        TypeError: a value of a kind that has no form in JSON.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {"type": type(value).__name__} | to_jsonable(fields)
    if isinstance(value, Mapping):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [to_jsonable(item) for item in value]
    if hasattr(value, "detach"):  # a tensor, without importing torch for it
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        return to_jsonable(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(
        f"{value!r} is a {type(value).__name__}, which cannot be written as JSON: give "
        "numbers, texts, arrays, lists, dicts or dataclasses"
    )


def hash_file(path: str | os.PathLike[str]) -> str:
    """Compute the SHA-256 of a file, in hexadecimal, reading it block by block."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_values(*values: Any) -> str:
    """Compute the SHA-256 of values that JSON can hold, in hexadecimal."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()
