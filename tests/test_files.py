"""Files are written whole or not at all, and errors of the system are explained."""

import errno
import os
import pickle
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from avnb import files, media
from avnb.errors import AvnbError, WriteError


def fail_with(number: int, *names: str):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number), *names)

    return fail


def write_full(path: Path) -> Path:
    """Lead the part of `path` to a device on which every write fails: it is full."""
    path.with_name(f".{path.name}.{os.getpid()}.part").symlink_to("/dev/full")
    return path


def test_what_was_there_stays_until_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    for text in ("one", "two"):
        with files.atomic_path(path) as partial:
            partial.write_text(text)
            assert not path.exists() or path.read_text() == "one"
        assert path.read_text() == text

    def fail() -> None:
        with files.atomic_path(path) as partial:
            partial.write_text("three")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "write",
    [
        lambda path: files.write_json(path, [1]),
        lambda path: media.write_audio(path, np.zeros((1, 9), np.float32), 16000),
        lambda path: media.write_clip(
            path,
            media.Clip(
                np.zeros((2, 16, 16, 3), np.uint8),
                np.zeros((1, 0), np.float32),
                2.0,
                16000,
            ),
        ),
    ],
)
def test_a_file_where_a_folder_should_be(tmp_path: Path, write) -> None:
    (tmp_path / "file").write_text("here")
    for path in (tmp_path / "file" / "x.bin", tmp_path / "file" / "b" / "x.bin"):
        with pytest.raises(WriteError, match="cannot be written") as caught:
            write(path)
        assert caught.value.place == path
        assert "choose another folder" in caught.value.remedy
    (tmp_path / "folder").mkdir()
    with pytest.raises(WriteError, match="A folder is where a file must be"):
        write(tmp_path / "folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_folder_that_is_read_only(tmp_path: Path, monkeypatch, number: int) -> None:
    monkeypatch.setattr(Path, "touch", fail_with(number, str(tmp_path / ".x.1.part")))
    with pytest.raises(WriteError, match="Choose a folder that you may write to"):
        files.write_bytes(tmp_path / "x", b"1")


def test_a_full_disk(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "x"
    files.write_bytes(path, b"before")
    with pytest.raises(WriteError, match=r"no space left on device.*Make room"):
        files.write_bytes(write_full(path), b"after")
    clip = media.Clip(
        np.zeros((2, 16, 16, 3), np.uint8), np.zeros((1, 0), np.float32), 2.0, 16000
    )
    with pytest.raises(WriteError, match="Make room"):
        media.write_clip(write_full(path), clip)
    monkeypatch.setattr(os, "fsync", fail_with(errno.ENOSPC))
    with pytest.raises(WriteError, match="Make room"):
        files.write_bytes(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_in_the_words_of_a_library(tmp_path: Path, monkeypatch) -> None:
    """libsndfile and others have errors of their own: the disk itself is asked."""

    def write() -> None:
        with files.atomic_path(tmp_path / "x"):
            raise RuntimeError("System error")

    with pytest.raises(RuntimeError, match="System error"):
        write()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(9, 9, 0))
    with pytest.raises(WriteError, match="Make room"):
        write()
    assert not list(tmp_path.iterdir())


def test_errors_about_other_files_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.atomic_path(tmp_path / "x"):
        (tmp_path / "missing").read_text()
    other = fail_with(errno.EACCES, "/elsewhere/y")
    with pytest.raises(PermissionError), files.atomic_path(tmp_path / "a" / "x"):
        other()
    with pytest.raises(OSError, match="Input/output"), files.atomic_path("x"):
        fail_with(errno.EIO)()


def test_errors_keep_their_parts_through_a_pickle() -> None:
    error = WriteError(Path("f.mp4"), "it cannot be written", "Make room")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is WriteError
    assert (again.place, again.problem, again.remedy) == (
        Path("f.mp4"),
        "it cannot be written",
        "Make room",
    )
    assert str(again) == "f.mp4: it cannot be written. Make room"


def test_a_json_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(AvnbError, match=r"a\.json: it is not JSON"):
        files.read_json(tmp_path / "a.json")


def test_no_error_without_its_three_parts() -> None:
    for parts in (("a.txt",), ("a.txt", "it is empty")):
        with pytest.raises(TypeError, match="missing"):
            AvnbError(*parts)
