"""The scripts read each set's own layout, say what is wrong, and leak nothing."""

import importlib
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from typer.testing import CliRunner

from avnb import media
from avnb.data import scripts
from avnb.data.clips import load_clips
from avnb.data.shards import prepare
from avnb.data.sources import ClipSettings, Source
from avnb.data.splits import split_recordings
from avnb.errors import AvnbError, ClipsError
from data_scripts import folder, inis, sub_urmp, urmp
from data_scripts.bandstand import prepare_musicians as bandstand

ROOT = Path(__file__).resolve().parents[2]
RATE = 8000
SMALL = ClipSettings(seconds=0.5, fps=4.0, size=16, sample_rate=RATE)
COLOURS = {"red": (200, 0, 0), "green": (0, 160, 0), "blue": (0, 0, 220)}


def write_sound(path: Path, seconds: float, hertz: float, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    soundfile.write(path, np.stack([tone] * channels, axis=1), RATE)


def write_picture(path: Path, colour: tuple, width: int = 16, height: int = 16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), colour).save(path, quality=95)


def write_video(path: Path, colours: list[tuple], seconds: float, hertz: float) -> None:
    """Vertical bands of the colours, 64 pixels each, and a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    row = np.repeat(np.array(colours, np.uint8), 64, axis=0)
    frames = np.broadcast_to(row, (round(seconds * 8), 48, *row.shape)).copy()
    tone = np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    waveform = (0.5 * tone)[None].astype(np.float32)
    media.write_clip(path, media.Clip(frames, waveform, 8.0, RATE))


def pitch(waveform: np.ndarray) -> float:
    """Hz of the strongest partial."""
    spectrum = np.abs(np.fft.rfft(waveform.astype(float)))
    return float(np.fft.rfftfreq(len(waveform), 1 / RATE)[spectrum.argmax()])


def names_of(problems) -> list[str]:
    return sorted(problem.file for problem in problems)


# ---------------------------------------------------------------- sub_urmp


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """Two instruments; song 1 trains, song 2 validates; pairs every 100 ms."""
    root = tmp_path / "Sub-URMP"
    for instrument, hertz in (("flute", 880.0), ("double_bass", 110.0)):
        for split, song in (("train", 1), ("validation", 2)):
            for ms in range(500, 1600, 100):
                item = f"{split}/{instrument}/{instrument}{song:02d}_{ms}"
                write_sound(root / "chunk" / f"{item}.wav", 0.5, hertz, channels=2)
                write_picture(root / "img" / f"{item}.jpg", (ms // 10, 0, 99))
    return root


def test_sub_urmp(released, tmp_path):
    sources, problems = sub_urmp.find_sources(released)
    assert not problems
    assert Counter(s.recording for s in sources) == {
        "flute01": 3, "flute02": 3, "double_bass01": 3, "double_bass02": 3,
    }  # fmt: skip
    assert {s.recording: s.split for s in sources}["flute02"] == "test"
    prepare(sources, tmp_path / "out", SMALL, workers=1)
    held = load_clips(tmp_path / "out", "test")
    assert held.classes == ["double_bass", "flute"]
    assert held.start.tolist() == [0.0, 0.5, 1.0] * 2
    for i in range(len(held)):
        expected = {"flute": 880, "double_bass": 110}[held.classes[held.labels[i]]]
        assert pitch(held.waveform[i, 0].numpy()) == expected
        red = 50 + 50 * held.start[i].item() * 2
        assert abs(held.frames[i, ..., 0].float().mean().item() - red) < 4
    assert held.peak.min() > 0.49


def test_sub_urmp_keeps_all_that_overlap_on_demand(released):
    sources, _ = sub_urmp.find_sources(released, every=100)
    assert len(sources) == 4 * 11


def test_sub_urmp_counts_from_the_first_pair(released):
    sources, _ = sub_urmp.find_sources(released, every=300)
    starts = sorted(s.offset for s in sources if s.recording == "flute01")
    assert starts == [0.0, 0.3, 0.6, 0.9]


def test_sub_urmp_says_what_is_wrong(released):
    (released / "img/train/flute/flute01_500.jpg").unlink()
    (released / "chunk/train/flute/flute01_1000.wav").unlink()
    bad = released / "img/train/flute/oboe01_500.jpg"
    write_picture(bad, (0, 0, 0))
    sources, problems = sub_urmp.find_sources(released)
    assert names_of(problems) == [
        "chunk/train/flute/flute01_500.wav",
        "img/train/flute/flute01_1000.jpg",
        "img/train/flute/oboe01_500.jpg",
    ]
    assert len(sources) == 10
    (released / "empty").mkdir()
    assert sub_urmp.find_sources(released / "empty")[1]


def test_sub_urmp_cuts_wide_frames(tmp_path):
    frame = np.zeros((108, 192, 3), np.uint8)
    frame[:, 10:118] = 255  # the square that begins at 100 of 1920
    path = tmp_path / "img/train/oboe/oboe03_500.jpg"
    path.parent.mkdir(parents=True)
    Image.fromarray(frame).save(path, quality=100)
    write_sound(tmp_path / "chunk/train/oboe/oboe03_500.wav", 0.5, 440.0)
    sources, _ = sub_urmp.find_sources(tmp_path)
    assert sources[0].crop == (10, 0, 108, 108)
    prepare(sources, tmp_path / "out", SMALL, workers=1)
    assert load_clips(tmp_path / "out", "train").frames.float().mean() > 250
    sources, _ = sub_urmp.find_sources(tmp_path, left=5000)
    assert sources[0].crop == (84, 0, 108, 108)  # inside the picture


# -------------------------------------------------------------------- urmp


def write_piece(root: Path, name: str, players: dict[str, float], colours) -> Path:
    """A piece folder: code -> the tone of the player's track."""
    piece = root / name
    title = re.sub(r"(_(vn|va|vc|tpt|tbn|fl))+$", "", name)
    write_video(piece / f"Vid_{name}.mp4", colours, 2.0, 1234.0)
    for part, (code, hertz) in enumerate(players.items(), 1):
        write_sound(piece / f"AuSep_{part}_{code}_{title}.wav", 2.0, hertz)
    return piece


def test_urmp(tmp_path):
    root = tmp_path / "URMP" / "Dataset"
    colours = [*COLOURS.values()]
    write_piece(root, "01_Jupiter_vn_va_vc", {"vn": 800, "va": 400, "vc": 200}, colours)
    sources, problems = urmp.find_sources(tmp_path / "URMP")
    assert not problems
    prepare(sources, tmp_path / "out", SMALL, workers=1)
    held = load_clips(tmp_path / "out", "train")
    assert held.classes == ["cello", "viola", "violin"]
    assert len(held) == 3 * 4
    order = {"violin": (800, 0), "viola": (400, 1), "cello": (200, 2)}
    for i in range(len(held)):
        hertz, place = order[held.classes[held.labels[i]]]
        assert pitch(held.waveform[i, 0].numpy()) == hertz  # not the video's 1234
        shown = held.frames[i].float().mean(dim=(0, 1, 2))
        assert (shown - np.array(colours[place])).abs().max() < 25


def test_a_take_that_is_used_again_stays_in_one_split(tmp_path):
    players = {"vn": 800.0, "va": 400.0}
    for k in range(6):
        bands = [*COLOURS.values()][:2]
        these = {code: hertz + 10 * k for code, hertz in players.items()}
        write_piece(tmp_path, f"{k + 10}_Pirates{k}_vn_va", these, bands)
    again = tmp_path / "13_Pirates3_vn_va" / "AuSep_2_va_13_Pirates3.wav"
    again.write_bytes(
        (tmp_path / "10_Pirates0_vn_va" / "AuSep_2_va_10_Pirates0.wav").read_bytes()
    )
    sources, problems = urmp.find_sources(tmp_path)
    assert not problems
    shared = [s for s in sources if s.group is not None]
    assert [s.recording for s in shared] == [
        "10_Pirates0_vn_va/2_viola", "13_Pirates3_vn_va/2_viola",
    ]  # fmt: skip
    for seed in range(10):
        split, _ = split_recordings(sources, ClipSettings(seed=seed, test_fraction=0.5))
        assert len({split[s.recording] for s in shared}) == 1


def test_urmp_says_what_is_wrong(tmp_path):
    bands = [*COLOURS.values()]
    piece = write_piece(
        tmp_path, "15_Surprise_tpt_tpt_tbn", {"tpt": 300.0, "fl": 200.0}, bands
    )
    write_sound(piece / "AuSep_3_tpt_15_Surprise.wav", 1.0, 100.0)
    (tmp_path / "16_Lost_vn_vc").mkdir()
    sources, problems = urmp.find_sources(tmp_path)
    assert [s.label for s in sources] == ["trumpet", "flute", "trombone"]
    assert names_of(problems) == [
        "15_Surprise_tpt_tpt_tbn/AuSep_2_fl_15_Surprise.wav",
        "15_Surprise_tpt_tpt_tbn/AuSep_3_tpt_15_Surprise.wav",
        "16_Lost_vn_vc/Vid_16_Lost_vn_vc.mp4",
    ]
    assert "trombone" in next(p.problem for p in problems if "AuSep_3" in p.file)
    next(piece.glob("AuSep_1*")).unlink()
    sources, problems = urmp.find_sources(tmp_path)
    assert [s.label for s in sources] == ["flute", "trombone"]
    assert "missing" in {p.problem for p in problems}


def test_urmp_takes_a_table_of_crops(tmp_path):
    name = "01_Jupiter_vn_vc"
    write_piece(tmp_path, name, {"vn": 800.0, "vc": 200.0}, [*COLOURS.values()][:2])
    table = tmp_path / "crops.json"
    table.write_text(json.dumps({name: [[64, 0, 48, 48], [0, 0, 48, 48]]}))
    sources, _ = urmp.find_sources(tmp_path, crops=table)
    assert [s.crop for s in sources] == [(64, 0, 48, 48), (0, 0, 48, 48)]
    table.write_text(json.dumps({name: [[64, 0, 48, 48]]}))
    assert urmp.find_sources(tmp_path, crops=table)[1]
    infinite = json.dumps({name: [[64, 0, 48, float("inf")]]})
    for wrong in (b"[1]", b"\xff", b"[" * 10**5, infinite.encode()):
        table.write_bytes(wrong)
        with pytest.raises(ClipsError, match=r"crops\.json.*Right is"):
            urmp.find_sources(tmp_path, crops=table)


# -------------------------------------------------------------------- inis


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    for label, theirs in (("saxophone", "sax"), ("drum", "n03249569")):
        for k in range(7):
            place = tmp_path / "images" / label / f"{k}.png"
            write_picture(place, (30 * k, len(label), 5))
        for k in range(5):
            hertz = 100.0 + 20 * k + 10 * len(label)
            write_sound(tmp_path / "sounds" / theirs / f"{k}.wav", 2.2, hertz)
    return tmp_path


def test_inis(halves, tmp_path):
    sources, problems = inis.find_sources(halves)
    assert not problems
    assert len(sources) == 2 * 5 * 4
    for source in sources:
        assert source.video.parent.name == source.label
    assert sources == inis.find_sources(halves)[0]
    other, _ = inis.find_sources(halves, ClipSettings(seed=1))
    assert sources != other
    report = prepare(sources, tmp_path / "out", SMALL, workers=1)
    assert not report.problems
    assert report.splits == {
        "train": {"drum": 4, "saxophone": 4},
        "test": {"drum": 1, "saxophone": 1},
    }
    held = load_clips(tmp_path / "out", "test")
    assert len(held) == 8
    assert held.start.tolist() == [0.0, 0.5, 1.0, 1.5] * 2


@pytest.mark.parametrize("seed", range(8))
def test_inis_shares_nothing_between_splits(halves, seed):
    # copies under other names
    for k in (3, 4, 5):
        for kind, suffix, label in (
            ("images", "png", "drum"), ("sounds", "wav", "n03249569"),
        ):  # fmt: skip
            place = halves / kind / label
            copy = place / f"copy{k}.{suffix}"
            copy.write_bytes((place / f"{k - 1}.{suffix}").read_bytes())
    sources, _ = inis.find_sources(halves, ClipSettings(seed=seed, test_fraction=0.4))
    where = defaultdict(set)
    for source in sources:
        where[source.video.read_bytes()].add(source.split)
        where[source.audio.read_bytes()].add(source.split)
    assert all(len(splits) == 1 for splits in where.values())
    assert {s.split for s in sources} == {"train", "test"}


def test_inis_without_a_test_has_no_problems(halves):
    sources, problems = inis.find_sources(halves, ClipSettings(test_fraction=0.0))
    assert not problems
    assert {s.split for s in sources} == {"train"}
    assert len({s.audio for s in sources}) == 2 * 5


def test_inis_says_what_is_wrong(halves):
    write_picture(halves / "images" / "harp" / "0.png", (1, 2, 3))
    (halves / "sounds" / "sax" / "9.wav").write_bytes(b"")
    for k in range(1, 5):
        (halves / "sounds" / "n03249569" / f"{k}.wav").unlink()
    sources, problems = inis.find_sources(halves)
    assert [p.file for p in problems] == [
        str(halves / "sounds"), "class drum", "sax/9.wav",
    ]  # fmt: skip
    assert {s.split for s in sources if s.label == "drum"} == {"train"}


# ------------------------------------------------------------------ folder


def test_folder(tmp_path):
    root = tmp_path / "mine"
    colours = [*COLOURS.values()]
    write_video(root / "above.mp4", colours[:1], 1.2, 500.0)
    write_video(root / "dog" / "a.mp4", colours[:1], 1.2, 300.0)
    write_video(root / "dog" / "b" / "one.mp4", colours[1:2], 1.2, 400.0)
    write_video(root / "dog" / "b" / "two.mp4", colours[2:], 1.2, 600.0)
    (root / "dog" / "copy.mp4").write_bytes((root / "dog" / "a.mp4").read_bytes())
    write_picture(root / "cat" / "x.png", colours[0])
    write_sound(root / "cat" / "x.wav", 1.2, 700.0)
    write_sound(root / "cat" / "y.wav", 1.2, 700.0)
    (root / "cat" / "broken.mp4").write_bytes(b"")
    (root / ".hidden").mkdir()
    (root / "notes.txt").write_text("no clip")
    sources, problems = folder.find_sources(root)
    by_name = {s.name: s for s in sources}
    assert {name: s.label for name, s in by_name.items()} == {
        "above.mp4": "mine",
        "dog/a.mp4": "dog",
        "dog/copy.mp4": "dog",
        "dog/b/one.mp4": "dog",
        "dog/b/two.mp4": "dog",
        "cat/x.png": "cat",
        "cat/broken.mp4": "cat",
    }
    assert by_name["dog/a.mp4"].group == by_name["dog/copy.mp4"].group is not None
    assert by_name["dog/b/one.mp4"].group == by_name["dog/b/two.mp4"].group == "dog/b"
    assert names_of(problems) == ["cat/y.wav", "notes.txt"]
    report = prepare(sources, tmp_path / "out", SMALL, problems=problems, workers=1)
    assert names_of(report.problems) == ["cat/broken.mp4", "cat/y.wav", "notes.txt"]
    assert sum(report.written.values()) == 6 * 2


def test_folder_gives_each_clip_the_nearest_picture(tmp_path):
    place = tmp_path / "erhu" / "someone"
    colours = [*COLOURS.values()]
    for k, colour in enumerate(colours):
        write_picture(place / f"frame{k}.jpg", colour)
    write_sound(place / "audio.wav", 5.9, 440.0)
    settings = ClipSettings(seconds=0.5, fps=4.0, size=16, sample_rate=RATE, hop=0.25)
    sources, problems = folder.find_sources(tmp_path, settings)
    assert not problems
    assert {s.recording for s in sources} == {"erhu/someone"}
    prepare(sources, tmp_path / "out", settings, workers=1)
    held = load_clips(tmp_path / "out", "train")
    assert held.start.tolist() == [0.25 * k for k in range(22)]
    taken = [0.0, 2.95, 5.9]  # s, of the three pictures
    for i, start in enumerate(held.start.tolist()):
        nearest = int(np.abs(np.array(taken) - start - 0.25).argmin())
        shown = held.frames[i].float().mean(dim=(0, 1, 2))
        assert (shown - np.array(colours[nearest])).abs().max() < 10


def test_folder_orders_pictures_by_number(tmp_path):
    place = tmp_path / "a" / "b"
    for k in range(12):
        write_picture(place / f"frame{k}.png", (20 * k, 0, 0))
    write_sound(place / "sound.wav", 6.0, 440.0)
    sources, _ = folder.find_sources(tmp_path)
    assert [s.video.name for s in sources] == [f"frame{k}.png" for k in range(12)]
    assert [s.duration for s in sources] == [0.5] * 12


def test_folder_of_nothing(tmp_path):
    sources, problems = folder.find_sources(tmp_path)
    assert not sources
    assert "sub-folder" in problems[0].remedy


def test_folder_uses_what_can_be_decoded(tmp_path):
    """Whatever it is called; what is left out is listed with the reason."""
    root = tmp_path / "in"
    write_video(root / "dog" / "a.mp4", [COLOURS["red"]], 1.2, 300.0)
    for name in ("b.MTS", "c", "d.f4v"):
        write_video(root / "dog" / "x.mp4", [COLOURS["red"]], 1.2, 310.0)
        (root / "dog" / "x.mp4").rename(root / "dog" / name)
    (root / "dog" / "notes.txt").write_text("no film", encoding="utf-8")
    (root / "dog" / "broken.mp4").write_bytes(b"nothing" * 99)
    sources, problems = folder.find_sources(root)
    names = {source.name for source in sources}
    assert names == {f"dog/{n}" for n in ("a.mp4", "b.MTS", "c", "d.f4v", "broken.mp4")}
    assert [p.file for p in problems] == ["dog/notes.txt"]
    assert "left out: not a media file" in problems[0].problem
    assert str(tmp_path) not in problems[0].problem


def test_a_class_that_is_a_link_is_followed_once(tmp_path):
    write_video(tmp_path / "elsewhere" / "a.mp4", [COLOURS["red"]], 1.2, 300.0)
    write_video(tmp_path / "in" / "dog" / "b.mp4", [COLOURS["red"]], 1.2, 310.0)
    (tmp_path / "in" / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in" / "dog")
    (tmp_path / "in" / "dog" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path)
    sources, problems = folder.find_sources(tmp_path / "in")
    assert {(s.name, s.label) for s in sources} == {
        ("cat/a.mp4", "cat"),
        ("dog/b.mp4", "dog"),
    }
    assert {p.file for p in problems} == {"again", "dog/loop", "cat/up"}


@pytest.mark.slow
def test_music80(media_folder, tmp_path):
    sources, problems = folder.find_sources(media_folder / "music80")
    assert not problems
    settings = ClipSettings(size=16, sample_rate=RATE)
    report = prepare(sources, tmp_path, settings, workers=1)
    recordings = {p.parent.relative_to(media_folder / "music80") for p in (
        media_folder / "music80").rglob("audio.wav")}  # fmt: skip
    assert report.written == {r.as_posix(): 11 for r in recordings}
    assert not report.problems
    train, test = load_clips(tmp_path, "train"), load_clips(tmp_path, "test")
    assert set(test.labels.tolist()) == set(range(11))
    assert not set(train.recordings) & set(test.recordings)
    silent = {
        name
        for held in (train, test)
        for name, peak in zip(held.recordings, held.peak.tolist(), strict=True)
        if peak == 0
    }
    assert len(silent) == 1
    assert next(iter(silent)).startswith("erhu/")


@pytest.mark.slow
def test_events(media_folder, tmp_path):
    sources, problems = folder.find_sources(media_folder / "events")
    assert not problems
    assert {s.label for s in sources} == {
        p.name for p in (media_folder / "events").iterdir() if p.is_dir()
    }
    few = [s for s in sources if s.label in ("condfoley", "diff_foley")]
    report = prepare(few, tmp_path, SMALL, workers=1)
    assert len(report.written) == len(few)
    sources, _ = folder.find_sources(media_folder / "music")
    assert {s.label for s in sources} == {"music", "piano_hand"}


# --------------------------------------------------------------- bandstand


@pytest.mark.slow
def test_bandstand_as_sub_urmp(tmp_path):
    pytest.importorskip("data_scripts.bandstand.layouts")
    given = {"songs": 2, "length": 1.0}
    world = tmp_path / "world"
    assert not bandstand.find_sources(world, SMALL, dry_run=True, **given)[0]
    sources, problems = bandstand.find_sources(world, SMALL, **given)
    assert not problems
    assert len({s.label for s in sources}) == 13
    assert len(sources) == 13 * 2 * 2
    prepare(sources, tmp_path / "out", SMALL, workers=1)
    held = load_clips(tmp_path / "out", "test")
    assert len(held) == 13 * 2
    assert {"pitch_hz", "loudness", "onset", "head_x", "time"} <= held.truth.keys()
    loud = held.truth["loudness"].mean(1)
    heard = held.waveform.float().square().mean((1, 2)).sqrt()
    assert np.corrcoef(loud, heard)[0, 1] > 0.5
    with pytest.raises(ClipsError, match="other settings"):
        bandstand.find_sources(tmp_path / "world", SMALL, songs=2, length=2.0)


@pytest.mark.parametrize("step", [150, 200, 500])
def test_bandstand_keeps_each_pair_that_it_wrote(step, tmp_path, monkeypatch):
    layout = importlib.import_module("data_scripts.bandstand.layouts.sub_urmp")
    monkeypatch.setattr(layout, "INSTRUMENTS", ("oboe",))
    sources, problems = bandstand.find_sources(
        tmp_path, SMALL, songs=1, length=1.2, step=step
    )
    assert not problems
    assert len(sources) == len(list((tmp_path / "img").rglob("*.jpg")))
    assert len(sources) == 700 // step + 1


def test_a_damaged_mark_of_the_bandstand_is_named(tmp_path):
    layouts = importlib.import_module("data_scripts.bandstand.layouts.recordings")
    (tmp_path / "truth").mkdir()
    for content in (b"{", b"\xff\xfe"):
        (tmp_path / "truth" / "oboe00.json").write_bytes(content)
        with pytest.raises(AvnbError, match=r"oboe00\.json: it is not JSON"):
            layouts.check_settings(tmp_path, {})


@pytest.mark.slow
def test_bandstand_as_urmp(tmp_path):
    pytest.importorskip("data_scripts.bandstand.layouts")
    sources, problems = bandstand.find_sources(
        tmp_path / "world", SMALL, songs=2, length=1.0, layout="urmp"
    )
    assert not problems
    assert len({s.group for s in sources if s.group}) == 1  # the take that is reused
    prepare(sources, tmp_path / "out", SMALL, workers=1)
    held = load_clips(tmp_path / "out", "train")
    assert "pitch_hz" in held.truth


# ----------------------------------------------------------------- commands

OPTIONS = """--source --out --download --dry-run --fps --size --seconds --hop
--sample-rate --seed --workers --prune""".split()  # noqa: SIM905


@pytest.mark.parametrize("name", [n for n in scripts.list_scripts() if n != "fsd50k"])
def test_every_script_has_the_same_options_and_says_what_it_is(name):
    module = scripts.load_script(name)
    assert name == module.NAME
    asked = CliRunner().invoke(
        scripts.build_app(), [name, "--help"], env={"COLUMNS": "200"}
    )
    assert asked.exit_code == 0
    for option in OPTIONS:
        assert f"{option} " in asked.output, option
    first = next(line for line in module.ABOUT.splitlines() if line)
    assert first[:60] in asked.output


def test_another_package_can_add_a_script(tmp_path, monkeypatch):
    """It declares an entry point, and `avnb prepare` has one command more."""
    declared = tmp_path / "mine-1.dist-info"
    declared.mkdir()
    (declared / "METADATA").write_text("Name: mine\nVersion: 1\n")
    (declared / "entry_points.txt").write_text("[avnb.prepare]\nmine = my_script\n")
    (tmp_path / "my_script.py").write_text(
        "from data_scripts.folder import SETTINGS, find_sources\n"
        'NAME, ABOUT = "mine", "My own recordings."\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "mine" in scripts.list_scripts()
    asked = CliRunner().invoke(scripts.build_app(), ["mine", "--help"])
    assert "My own recordings." in asked.output


@pytest.mark.parametrize("name", scripts.list_scripts())
def test_a_mistyped_source_costs_nothing(name, tmp_path):
    """Every script that reads a data set says so before it touches anything."""
    source, out = tmp_path / "nowhere", tmp_path / "out"
    module = scripts.load_script(name)
    if module.__name__.startswith("data_scripts.bandstand"):
        pytest.skip("it draws its own data set, into a new folder")
    given = ["--source", str(source), "--out", str(out)]
    asked = CliRunner().invoke(scripts.build_app(), [name, *given])
    assert asked.exit_code == 1
    assert str(source) in asked.output, module.NAME
    assert "there is no such" in asked.output
    assert not out.exists()


@pytest.mark.parametrize("name", ["folder", "fsd50k"])
@pytest.mark.parametrize("inside", ["", "clips"])
def test_clips_inside_the_source_are_refused(name, inside, tmp_path):
    write_sound(tmp_path / "a" / "0.wav", 1.2, 300.0)
    given = ["--source", str(tmp_path), "--out", str(tmp_path / inside)]
    asked = CliRunner().invoke(scripts.build_app(), [name, *given])
    assert asked.exit_code == 1
    assert "it lies inside the source" in asked.output
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("sub_urmp", "--every", "0"),
        ("sub_urmp", "--every", "-500"),
        ("sub_urmp", "--left", "-1"),
        ("folder", "--time-limit", "0"),
        ("folder", "--time-limit", "nan"),
        ("bandstand", "--step", "0"),
        ("bandstand", "--songs", "0"),
        ("bandstand", "--length", "nan"),
        ("bandstand", "--length", "inf"),
        ("performer", "--length", "inf"),
        ("events", "--videos", "-1"),
        ("events", "--video-fps", "0"),
    ],
)
def test_a_number_that_cannot_be_is_one_line(name, option, value, tmp_path):
    write_sound(tmp_path / "s" / "a.wav", 1.0, 300.0)
    arguments = [name, "--source", str(tmp_path / "s"), "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(scripts.build_app(), [*arguments, option, value])
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)  # and no traceback
    assert re.search(rf"error: .*{value}", done.output)


def test_command(tmp_path):
    write_video(tmp_path / "in" / "dog" / "a.mp4", [COLOURS["red"]], 1.2, 300.0)
    (tmp_path / "in" / "dog" / "b.mp4").write_bytes(b"")
    given = ["folder", "--source", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    given += ["--size", "8", "--sample-rate", "8000", "--fps", "4", "--workers", "1"]
    app = scripts.build_app()
    tried = CliRunner().invoke(app, [*given, "--dry-run"])
    assert tried.exit_code == 0
    assert not (tmp_path / "out").exists()
    done = CliRunner().invoke(app, [*given, "--seconds", "0.25"])
    assert done.exit_code == 0
    assert "dog/b.mp4" in done.output
    assert load_clips(tmp_path / "out", "train").frames.shape == (5, 1, 8, 8, 3)
    refused = CliRunner().invoke(app, [*given, "--download"])
    assert refused.exit_code == 1
    assert "nothing to download" in refused.output
    wrong = CliRunner().invoke(app, [*given, "--fps", "0"])
    assert wrong.exit_code == 1
    assert "fps: it is 0" in wrong.output


@pytest.mark.slow
def test_scripts_run_alone(tmp_path):
    """Also unguarded: a worker process does not import the caller's script again."""
    for k in range(2):
        write_picture(tmp_path / "in" / "a" / f"{k}.png", (9, 9, 9))
        write_sound(tmp_path / "in" / "a" / f"{k}.wav", 0.6, 300.0 + k)
    script = ROOT / "data_scripts" / "folder.py"
    given = ["--source", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, str(script), *given, "--size", "8", "--workers", "2"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2 recordings written" in done.stdout


def test_a_source_names_no_place_of_this_machine(tmp_path):
    write_picture(tmp_path / "in" / "a" / "0.png", (9, 9, 9))
    write_sound(tmp_path / "in" / "a" / "0.wav", 0.6, 300.0)
    sources, _ = folder.find_sources(tmp_path / "in")
    assert isinstance(sources[0], Source)
    prepare(sources, tmp_path / "out", SMALL, workers=1)
    for path in (tmp_path / "out").rglob("*.parquet"):
        assert str(tmp_path).encode() not in path.read_bytes()
    assert str(tmp_path) not in (tmp_path / "out" / "clips.json").read_text()
