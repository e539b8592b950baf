"""Sounds alone: FSD50K's layout, licences by clip, any folder; read back as written."""

import csv
import hashlib
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import soundfile
from typer.testing import CliRunner

from avnb.data import scripts
from avnb.data.sounds import SCHEMA, SoundFile, load_sounds, write_sounds
from avnb.errors import ClipsError, DownloadError
from data_scripts import fsd50k

RATE = 16000
CC = "http://creativecommons.org"
ADDRESSES = {
    "CC0": f"{CC}/publicdomain/zero/1.0/",
    "CC BY": f"{CC}/licenses/by/3.0/",
    "CC BY-NC": f"{CC}/licenses/by-nc/4.0/",
    "CC Sampling+": f"{CC}/licenses/sampling+/1.0/",
}


def write_tone(path: Path, seconds: float, hertz: float = 440.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(seconds * 44100)) / 44100
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * hertz * t), 44100)


def write_fsd50k(folder: Path) -> None:
    """Two sounds of each licence; one of a licence nobody knows, one too short."""
    infos, rows = {}, []
    addresses = [*ADDRESSES.items(), ("odd", "all rights reserved")]
    for k, (name, address) in enumerate(addresses):
        for i in range(2):
            number = str(100 + 10 * k + i)
            seconds = 0.5 if (name, i) == ("CC0", 1) else 6.0 if i else 2.0
            write_tone(folder / "FSD50K.dev_audio" / f"{number}.wav", seconds, 200 + k)
            infos[number] = {"license": address, "uploader": f"user{k}", "tags": []}
            rows.append([number, "Bark,Dog,Animal", "/m/1,/m/2,/m/3", "train"])
    (folder / "FSD50K.metadata").mkdir()
    (folder / "FSD50K.metadata" / fsd50k.INFOS).write_text(json.dumps(infos))
    (folder / "FSD50K.ground_truth").mkdir()
    with (folder / "FSD50K.ground_truth" / "dev.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["fname", "labels", "mids", "split"], *rows])


def test_licences_go_by_the_sound(tmp_path):
    write_fsd50k(tmp_path)
    found, problems, left = fsd50k.find_sounds(tmp_path)
    assert not problems
    assert left == {"CC BY-NC": 2, "unknown": 2}
    assert [sound.licence for sound in found] == (
        ["CC0"] * 2 + ["CC BY"] * 2 + ["CC Sampling+"] * 2
    )
    assert found[2] == SoundFile(
        "110.wav", tmp_path / "FSD50K.dev_audio" / "110.wav", "Bark,Dog,Animal",
        "CC BY", "user1",
    )  # fmt: skip
    found, _, left = fsd50k.find_sounds(tmp_path, non_commercial=True)
    assert left == {"unknown": 2}
    assert len(found) == 8


def test_sounds_are_read_back(tmp_path):
    write_fsd50k(tmp_path / "set")
    found, _, _ = fsd50k.find_sounds(tmp_path / "set")
    report = write_sounds(found, tmp_path / "out")
    assert report.written == {"CC0": 1, "CC BY": 2, "CC Sampling+": 2}
    assert report.short == 1
    assert "5 of the 500 sounds asked for" in str(report)
    held = load_sounds(tmp_path / "out")
    assert len(held) == 5
    assert held.sample_rate == RATE
    for k, name in enumerate(held.names):
        sound = next(sound for sound in found if sound.name == name)
        assert (held.labels[k], held.licences[k], held.creators[k]) == (
            sound.label, sound.licence, sound.creator,
        )  # fmt: skip
        expected, rate = soundfile.read(sound.path)
        wave = held.waveforms[k].numpy()
        assert len(wave) == min(len(expected) / rate, 5.0) * RATE
        spectrum = np.abs(np.fft.rfft(wave[:RATE]))
        hertz = 200 + int(name[1])
        assert abs(int(spectrum.argmax()) - hertz) <= 1
        assert np.abs(wave).max() == pytest.approx(0.5, abs=0.02)


def test_the_draw_is_seeded_and_hardly_changes(tmp_path):
    for k in range(12):
        write_tone(tmp_path / "set" / f"{k}.wav", 1.2)
    found, _, _ = fsd50k.find_sounds(tmp_path / "set")
    draws = []
    for n, (some, seed) in enumerate(
        [(found, 0), (found[::-1], 0), (found[:11], 0), (found, 1)]
    ):
        write_sounds(some, tmp_path / f"out{n}", count=5, seed=seed, sample_rate=8000)
        draws.append(load_sounds(tmp_path / f"out{n}").names)
    assert draws[0] == draws[1]
    assert len(set(draws[0]) & set(draws[2])) >= 4
    assert draws[0] != draws[3]


def test_what_is_wrong_is_said(tmp_path):
    write_fsd50k(tmp_path / "set")
    audio = tmp_path / "set" / "FSD50K.dev_audio"
    (audio / "110.wav").unlink()
    (audio / "111.wav").write_bytes(b"RIFF, but no sound")
    table = tmp_path / "set" / "FSD50K.ground_truth" / "dev.csv"
    table.write_text(table.read_text() + "../../evil,Bark,/m/1,train\n")
    found, problems, _ = fsd50k.find_sounds(tmp_path / "set")
    assert [str(p)[:20] for p in problems] == [
        "110.wav: missing. Un", "dev.csv: fname '../.",
    ]  # fmt: skip
    report = write_sounds(found, tmp_path / "out")
    assert [p.file for p in report.problems] == ["111.wav"]
    rows = table.read_bytes()
    for damaged in (rows + b"\xff\xfe,Bark,/m/1,train\n", rows + b'"' + b"x" * 2**18):
        table.write_bytes(damaged)
        with pytest.raises(ClipsError, match=r"dev\.csv: it cannot be read .*Fetch it"):
            fsd50k.find_sounds(tmp_path / "set")
    table.write_text("a,b\n1,2\n")
    with pytest.raises(ClipsError, match=r"dev\.csv: there are no columns fname"):
        fsd50k.find_sounds(tmp_path / "set")
    write_info = tmp_path / "set" / "FSD50K.metadata" / fsd50k.INFOS
    write_info.write_text("[1]")
    with pytest.raises(ClipsError, match="cannot be read"):
        fsd50k.find_sounds(tmp_path / "set")
    write_info.unlink()
    with pytest.raises(ClipsError, match=r"dev_clips_info_FSD50K\.json is missing"):
        fsd50k.find_sounds(tmp_path / "set")
    with pytest.raises(ClipsError, match="no such folder"):
        fsd50k.find_sounds(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ClipsError, match="no sounds in it"):
        fsd50k.find_sounds(tmp_path / "empty")


def test_values_that_cannot_be(tmp_path):
    write_tone(tmp_path / "set" / "a.wav", 0.4)
    found, _, _ = fsd50k.find_sounds(tmp_path / "set")
    for wrong in ({"count": 0}, {"seconds": float("nan")}, {"least": 9.0}):
        with pytest.raises(ClipsError, match=f"{next(iter(wrong))}: it is"):
            write_sounds(found, tmp_path / "out", **wrong)
    with pytest.raises(ClipsError, match="none of 1 sounds can be used"):
        write_sounds(found, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*"))


def test_foreign_tables_are_refused(tmp_path):
    with pytest.raises(ClipsError, match="no sounds there"):
        load_sounds(tmp_path)
    path = tmp_path / "sounds.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(ClipsError, match="damaged"):
        load_sounds(tmp_path)
    pq.write_table(pa.table({"name": ["a"]}), path)
    with pytest.raises(ClipsError, match="did not write it"):
        load_sounds(tmp_path)
    row = {name: "" for name in SCHEMA.names}
    rows = [row | {"sample_rate": rate, "waveform": b""} for rate in (1, 2)]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path, use_dictionary=False)
    with pytest.raises(ClipsError, match="2 sample rates"):
        load_sounds(tmp_path)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
    with pytest.raises(ClipsError, match="did not write it"):
        load_sounds(tmp_path)


def test_esc10_through_the_command(media_folder, tmp_path):
    given = ["fsd50k", "--source", str(media_folder / "esc10")]
    given += ["--out", str(tmp_path / "out"), "--count", "8", "--seconds", "2"]
    app = scripts.build_app()
    tried = CliRunner().invoke(app, [*given, "--dry-run"])
    assert tried.exit_code == 0, tried.output
    assert "sounds found (unknown" in tried.output
    assert not (tmp_path / "out").exists()
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    held = load_sounds(tmp_path / "out")
    assert len(held) == 8
    assert {len(wave) for wave in held.waveforms} == {2 * RATE}
    assert set(held.labels) <= set(os.listdir(media_folder / "esc10"))
    assert max(float(wave.abs().max()) for wave in held.waveforms) > 0.1
    refused = CliRunner().invoke(app, ["fsd50k", "--source", str(tmp_path / "none")])
    assert refused.exit_code == 1
    assert "no such folder" in refused.output


# ---------------------------------------------------------------- download


class Answer:
    """What requests.get gives: JSON."""

    def __init__(self, content: object) -> None:
        self.content = content

    def raise_for_status(self) -> None:
        if self.content is None:
            raise requests.HTTPError("404")

    def json(self) -> object:
        return self.content


@pytest.fixture
def zenodo(tmp_path, monkeypatch):
    """The record, and a `fetch` that copies; the sounds' zip is in two parts."""
    from test_download import split_zip

    made, shop = tmp_path / "made", tmp_path / "shop"
    made.mkdir()
    shop.mkdir()
    write_fsd50k(made)
    for kind in ("dev_audio", "ground_truth", "metadata"):
        with zipfile.ZipFile(shop / f"FSD50K.{kind}.zip", "w") as archive:
            for path in sorted((made / f"FSD50K.{kind}").iterdir()):
                archive.write(path, path.relative_to(made))
    audio = shop / "FSD50K.dev_audio.zip"
    parts = split_zip(audio, audio.stat().st_size // 6 + 200)
    assert len(parts) == 6
    files, fetched = [], []
    for path in sorted(shop.iterdir()):
        md5 = hashlib.md5(path.read_bytes()).hexdigest()
        link = {"self": f"shop:{path.name}"}
        files.append({"key": path.name, "checksum": f"md5:{md5}", "links": link})

    def fetch(address, path, *, checksum):
        fetched.append(path.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((shop / address.removeprefix("shop:")).read_bytes())
        assert hashlib.md5(path.read_bytes()).hexdigest() == checksum[4:]

    monkeypatch.setattr(fsd50k, "fetch", fetch)
    monkeypatch.setattr(requests, "get", lambda *_, **__: Answer({"files": files}))
    return fetched


def test_download_goes_on_where_it_stopped(zenodo, tmp_path, monkeypatch):
    folder = tmp_path / "fsd50k"
    real = fsd50k.unpack

    def broken(archive, place):
        if "metadata" in archive.name:
            raise KeyboardInterrupt
        return real(archive, place)

    monkeypatch.setattr(fsd50k, "unpack", broken)
    with pytest.raises(KeyboardInterrupt):
        fsd50k.download(folder)
    assert zenodo == list(fsd50k.PARTS)
    monkeypatch.setattr(fsd50k, "unpack", real)
    fsd50k.download(folder)
    assert len(zenodo) == 8
    for part in folder.glob("FSD50K.dev_audio.z*"):
        part.unlink()  # unpacked: to make room
    fsd50k.download(folder)
    assert len(zenodo) == 8
    found, problems, left = fsd50k.find_sounds(folder)
    assert (len(found), problems, left.total()) == (6, [], 4)


def test_download_says_what_to_do_by_hand(tmp_path, monkeypatch):
    for content in (None, {}, {"files": []}):
        monkeypatch.setattr(requests, "get", lambda *_, c=content, **__: Answer(c))
        with pytest.raises(DownloadError, match="by hand"):
            fsd50k.download(tmp_path)
