"""Downloads that break off, and archives that mean harm, from a local server."""

import errno
import gzip
import hashlib
import io
import json
import shutil
import struct
import subprocess
import tarfile
import threading
import tracemalloc
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from avnb.data import archives, download
from avnb.data.download import fetch, unpack
from avnb.errors import DownloadError, WriteError
from data_scripts import urmp

DATA = np.random.default_rng(0).bytes(3_000_000)
SHA = "sha256:" + hashlib.sha256(DATA).hexdigest()


class Server:
    """Serves ``files``; breaks off after ``most`` bytes of an answer, once each."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges: list[str | None] = []
        self.headers: list[dict[str, str]] = []
        self.most: list[int] = []
        self.knows_ranges = True
        self.tag = '"one"'
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        # It looks this often whether to end, in s; by default twice a second.
        serve = threading.Thread(
            target=self.http.serve_forever, args=[0.01], daemon=True
        )
        serve.start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.headers.append(dict(request.headers))
        self.ranges.append(asked := request.headers.get("Range"))
        data = self.files.get(request.path)
        if data is None:
            return request.send_error(404)
        begin = 0
        valid = request.headers.get("If-Range") == self.tag
        if asked and self.knows_ranges and valid:
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(data):
                return request.send_error(416)
            request.send_response(206)
            whole = f"bytes {begin}-{len(data) - 1}/{len(data)}"
            request.send_header("Content-Range", whole)
        else:
            request.send_response(200)
        request.send_header("ETag", self.tag)
        request.send_header("Content-Length", str(len(data) - begin))
        request.end_headers()
        end = begin + self.most.pop(0) if self.most else len(data)
        request.wfile.write(data[begin:end])
        return None


@pytest.fixture
def server():
    server = Server()
    server.files["/set.bin"] = DATA
    yield server
    server.http.shutdown()
    server.http.server_close()


def test_whole(server, tmp_path):
    path = fetch(f"{server.url}/set.bin", tmp_path / "a" / "set.bin", checksum=SHA)
    assert path.read_bytes() == DATA
    assert [p.name for p in path.parent.iterdir()] == ["set.bin"]
    fetch(f"{server.url}/set.bin", path, checksum=SHA)
    assert len(server.ranges) == 1  # it is there


def test_half_a_file_is_continued(server, tmp_path):
    server.most = [1_000_000, 0]  # then nothing comes any more
    path = tmp_path / "set.bin"
    with pytest.raises(DownloadError, match=r"set\.bin.*continues"):
        fetch(f"{server.url}/set.bin", path, checksum=SHA)
    assert not path.exists()
    half = (tmp_path / "set.bin.part").stat().st_size
    assert 0 < half < len(DATA)
    server.most, server.ranges = [], []
    fetch(f"{server.url}/set.bin", path, checksum=SHA)
    assert path.read_bytes() == DATA
    assert server.ranges == [f"bytes={half}-"]


def test_it_tries_again_by_itself(server, tmp_path):
    server.most = [500_000, 700_000]
    path = fetch(f"{server.url}/set.bin", tmp_path / "set.bin", checksum=SHA)
    assert path.read_bytes() == DATA
    assert len(server.ranges) == 3


@pytest.mark.parametrize("why", ["changed", "no ranges"])
def test_half_of_another_file_is_not_continued(server, tmp_path, why):
    path = tmp_path / "set.bin"
    server.files["/set.bin"] = b"old" * 1_000_000
    server.most = [1_000_000, 0]
    with pytest.raises(DownloadError):
        fetch(f"{server.url}/set.bin", path)
    server.files["/set.bin"], server.most = DATA, []
    if why == "changed":
        server.tag = '"two"'
    else:
        server.knows_ranges = False
    assert fetch(f"{server.url}/set.bin", path, checksum=SHA).read_bytes() == DATA


def test_wrong_checksum(server, tmp_path):
    server.files["/set.bin"] = DATA[:-1] + b"x"
    with pytest.raises(DownloadError, match=r"set\.bin: its checksum.*again"):
        fetch(f"{server.url}/set.bin", tmp_path / "set.bin", checksum=SHA)
    assert not [*tmp_path.iterdir()]


def test_not_there(server, tmp_path):
    with pytest.raises(DownloadError, match=r"404.*by hand"):
        fetch(f"{server.url}/other.bin", tmp_path / "other.bin")


# ------------------------------------------------------------------ archives

GOOD = {"01_A/one.txt": b"one", "01_A/deep/two.bin": DATA[:100_000], "empty": b""}


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, files: dict[str, bytes], *extra: tarfile.TarInfo) -> Path:
    mode = "w:gz" if path.suffix == ".gz" else "w"
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        for entry in extra:
            archive.addfile(entry)
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_unpack(tmp_path, name):
    make = make_zip if name.endswith("zip") else make_tar
    folder = unpack(make(tmp_path / name, GOOD), tmp_path / "out")
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*")}
    assert {n: p.read_bytes() for n, p in files.items() if p.is_file()} == GOOD
    with pytest.raises(DownloadError, match="not empty"):
        unpack(tmp_path / name, folder)
    assert {p.name for p in tmp_path.iterdir()} == {name, "out"}


BAD_NAMES = ["../x", "a/../../x", "/tmp/x", "c:\\x", "..\\x", "one/../../../x"]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_names_that_lead_out(tmp_path, make, name):
    inside = tmp_path / "inside"
    inside.mkdir()
    archive = make(inside / "bad.bin", {"fine": b"1", name: b"2"})
    with pytest.raises(DownloadError, match=r"bad\.bin: refused.*leads out"):
        unpack(archive, inside / "out")
    assert [p.name for p in inside.iterdir()] == ["bad.bin"]
    assert [p.name for p in tmp_path.iterdir()] == ["inside"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_in_a_tar(tmp_path, kind):
    entry = tarfile.TarInfo("link")
    entry.type, entry.linkname = kind, "/etc/passwd"
    archive = make_tar(tmp_path / "bad.tar", {"fine": b"1"}, entry)
    with pytest.raises(DownloadError, match="link or device"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_in_a_zip(tmp_path):
    entry = zipfile.ZipInfo("link")
    entry.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(DownloadError, match="link or device"):
        unpack(tmp_path / "bad.zip", tmp_path / "out")


@pytest.mark.parametrize("name", ["bomb.zip", "bomb.tar.gz"])
def test_bombs(tmp_path, name):
    make = make_zip if name.endswith("zip") else make_tar
    archive = make(tmp_path / name, {"a": bytes(5_000_000), "b": bytes(6_000_000)})
    assert archive.stat().st_size < 50_000
    with pytest.raises(DownloadError, match="more than there is room"):
        unpack(archive, tmp_path / "out", largest=10_000_000)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_too_many_members(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "MAX_MEMBERS", 2)
    with pytest.raises(DownloadError, match="more than 2 members"):
        unpack(make_zip(tmp_path / "a.zip", GOOD), tmp_path / "out")


def test_a_header_that_fills_the_memory(tmp_path):
    """A pax header is read whole: a few kilobytes could ask for gigabytes."""
    entry = tarfile.TarInfo("pax")
    entry.type, entry.size = tarfile.XHDTYPE, archives.MAX_HEADER + 512
    path = tmp_path / "bad.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(entry.tobuf())
        file.write(bytes(1000))
    with pytest.raises(DownloadError, match=r"bad\.tar\.gz: damaged.*header of"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "none.bin"])
def test_damaged_archives(tmp_path, name):
    make = make_zip if name.endswith("zip") else make_tar
    path = tmp_path / name
    if name == "none.bin":
        path.write_bytes(b"no archive at all")
    else:
        data = make(path, GOOD).read_bytes()
        path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DownloadError, match="damaged"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_many_files_are_unpacked_without_rewinding(tmp_path, monkeypatch):
    """Sizes of whole blocks make tarfile step back by a byte each time."""
    files = {f"f{k}": DATA[k * 512 : (k + 9) * 512] for k in range(300)}
    archive = make_tar(tmp_path / "a.tar.gz", files)
    rewinds = []
    monkeypatch.setattr(gzip._GzipReader, "_rewind", lambda self: rewinds.append(1))
    folder = unpack(archive, tmp_path / "out")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == files
    assert not rewinds


# ------------------------------------------------------------ the script's own


def serve_urmp(server: Server, tmp_path: Path) -> None:
    archive = make_tar(
        tmp_path / "made.tar.gz", {"01_A_vn_vc/AuSep_1_vn_01_A.wav": b"1"}
    )
    data = archive.read_bytes()
    version = {"href": "/api/v2/versions/7"}
    entry = {
        "path": "Dataset.tar.gz",
        "digest": hashlib.sha256(data).hexdigest(),
        "digestType": "sha-256",
        "_links": {"stash:download": {"href": "/api/v2/files/9/download"}},
    }
    server.files = {
        "/api/v2/datasets/doi%3A10.5061%2Fdryad.ng3r749": json.dumps(
            {"_links": {"stash:version": version}}
        ).encode(),
        "/api/v2/versions/7/files": json.dumps(
            {"_embedded": {"stash:files": [entry]}}
        ).encode(),
        "/api/v2/files/9/download": data,
    }


def test_urmp_download(server, tmp_path, monkeypatch):
    serve_urmp(server, tmp_path)
    monkeypatch.setenv("DRYAD_API_TOKEN", "abc")
    urmp.download(tmp_path / "urmp", server.url)
    assert (tmp_path / "urmp/Dataset/01_A_vn_vc/AuSep_1_vn_01_A.wav").is_file()
    assert server.headers[-1]["Authorization"] == "Bearer abc"
    assert all("Authorization" not in headers for headers in server.headers[:-1])
    urmp.download(tmp_path / "urmp", server.url)
    assert len(server.headers) == 3


@pytest.mark.parametrize("lacks", ["datasets", "versions", "files"])
def test_urmp_download_says_what_to_do_by_hand(server, tmp_path, lacks):
    serve_urmp(server, tmp_path)
    where = f"/api/v2/{lacks}/"
    server.files = {k: v for k, v in server.files.items() if not k.startswith(where)}
    with pytest.raises(DownloadError, match=r"by hand|in a browser"):
        urmp.download(tmp_path / "urmp", server.url)


# ------------------------------------------------------------- zips in parts


def split_zip(path: Path, part: int) -> list[Path]:
    """What `zip -s` makes of a zip: parts of ``part`` bytes, places by part."""
    whole = b"PK\7\x08" + path.read_bytes()
    at = whole.rindex(b"PK\5\6")
    count, _, offset = struct.unpack_from("<HII", whole, at + 10)
    entry = begin = offset + 4
    out = bytearray(whole)
    for _ in range(count):
        names = struct.unpack_from("<HHH", whole, entry + 28)
        (place,) = struct.unpack_from("<I", whole, entry + 42)
        disk, here = divmod(place + 4, part)
        struct.pack_into("<H", out, entry + 34, disk)
        struct.pack_into("<I", out, entry + 42, here)
        entry += 46 + sum(names)
    last = (len(whole) - 1) // part
    struct.pack_into("<HH", out, at + 4, last, begin // part)
    struct.pack_into("<I", out, at + 16, begin % part)
    path.unlink()
    parts = [path.with_suffix(f".z{k + 1:02d}") for k in range(last)] + [path]
    for k, name in enumerate(parts):
        name.write_bytes(out[k * part : (k + 1) * part])
    return parts


MANY = {f"a/{k}.bin": DATA[k * 700 : k * 1400 + 5] for k in range(60)} | {"e": b""}


def unpacked(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file()
    }


@pytest.mark.parametrize("part", [2001, 4096, 30001])
def test_zips_in_parts(tmp_path, part):
    """Members, headers and the directory itself go over the parts' borders."""
    parts = split_zip(make_zip(tmp_path / "a.zip", MANY), part)
    assert len(parts) > 2
    before = [path.read_bytes() for path in parts]
    assert unpacked(unpack(tmp_path / "a.zip", tmp_path / "out")) == MANY
    assert [path.read_bytes() for path in parts] == before


@pytest.mark.skipif(shutil.which("zip") is None, reason="no program zip")
def test_what_zip_itself_splits(tmp_path):
    noise = np.random.default_rng(0).bytes(300_000)  # zip's smallest part is 64 kB
    files = {"wav/one.bin": noise, "wav/two.bin": noise[::-1], "three.txt": b"3" * 99}
    for name, data in files.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    command = ["zip", "-q", "-r", "-s", "64k", "../a.zip", "."]
    subprocess.run(command, cwd=tmp_path / "in", check=True)
    assert (tmp_path / "a.z09").is_file()
    assert unpacked(unpack(tmp_path / "a.zip", tmp_path / "out")) == files


def test_a_missing_or_damaged_part(tmp_path):
    parts = split_zip(make_zip(tmp_path / "a.zip", MANY), 4096)
    data = parts[1].read_bytes()
    parts[1].unlink()
    with pytest.raises(DownloadError, match=r"a\.zip: parts are missing: a\.z02"):
        unpack(parts[-1], tmp_path / "out")
    parts[1].write_bytes(data[:-100])
    with pytest.raises(DownloadError, match=r"a\.zip: damaged"):
        unpack(parts[-1], tmp_path / "out")
    parts[1].write_bytes(data[:2000] + bytes(96) + data[2096:])
    with pytest.raises(DownloadError, match=r"a\.zip: damaged"):
        unpack(parts[-1], tmp_path / "out")
    end = bytearray(parts[-1].read_bytes())
    at = end.rindex(b"PK\5\6")
    struct.pack_into("<H", end, at + 6, 7777)  # the directory's part
    parts[-1].write_bytes(end)
    with pytest.raises(DownloadError, match="refused"):
        unpack(parts[-1], tmp_path / "out")
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == sorted(p.name for p in parts)


def test_names_in_a_split_zip_cannot_lead_out(tmp_path):
    split_zip(make_zip(tmp_path / "a.zip", {**MANY, "../../evil": b"1"}), 4096)
    with pytest.raises(DownloadError, match="leads out"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_split_zip_is_not_held(tmp_path):
    data = np.random.default_rng(1).bytes(4_000_000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_STORED) as archive:
        for k in range(5):
            archive.writestr(f"{k}.bin", data)
    split_zip(tmp_path / "a.zip", 3_000_000)
    tracemalloc.start()
    unpack(tmp_path / "a.zip", tmp_path / "out")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2_000_000
    assert (tmp_path / "out/4.bin").read_bytes() == data


def test_what_a_killed_unpacking_left_is_removed(tmp_path):
    archive = make_zip(tmp_path / "a.zip", GOOD)
    left = tmp_path / ".unpack-out" / "all"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"1")
    unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out" / "half").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "out"]
    (tmp_path / ".unpack-two").mkdir()
    with (
        FileLock(tmp_path / ".unpack-two" / "lock"),
        pytest.raises(DownloadError, match="another process"),
    ):
        unpack(archive, tmp_path / "two")


# ---------------------------------------------------------------- the user's disk


def test_a_full_disk_is_no_fault_of_the_download(server, tmp_path):
    (tmp_path / "set.bin.part").symlink_to("/dev/full")
    with pytest.raises(WriteError, match=r"set\.bin: it cannot be written.*Make room"):
        fetch(f"{server.url}/set.bin", tmp_path / "set.bin")


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a/1.txt", "1")

    def full(member, path, room, archive):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(download, "_write_member", full)
    with pytest.raises(WriteError, match=r"set: it cannot be written.*Make room"):
        unpack(tmp_path / "a.zip", tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_file_where_a_folder_should_be(server, tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(WriteError, match="choose another folder"):
        fetch(f"{server.url}/set.bin", tmp_path / "file" / "set.bin")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a/1.txt", "1")
    for folder in (tmp_path / "file", tmp_path / "file" / "set"):
        with pytest.raises(WriteError, match="choose another folder"):
            unpack(tmp_path / "a.zip", folder)
    assert (tmp_path / "file").read_text() == "here"


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_every_packing_of_tar_is_unpacked(tmp_path, kind):
    content = np.random.default_rng(0).bytes(200_000) + bytes(300_000)
    (tmp_path / "a.bin").write_bytes(content)
    archive = tmp_path / f"all.tar.{kind}"
    with tarfile.open(archive, f"w:{kind}") as tar:
        tar.add(tmp_path / "a.bin", "in/a.bin")
    folder = unpack(archive, tmp_path / "out")
    assert (folder / "in" / "a.bin").read_bytes() == content
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(DownloadError, match="damaged"):
        unpack(archive, tmp_path / "half")
