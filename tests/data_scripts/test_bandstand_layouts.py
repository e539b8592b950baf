"""The bandstand on disk, against the layouts of URMP and Sub-URMP and the truth."""

import io
import os
import re
import struct
import wave
from itertools import pairwise
from pathlib import Path

import librosa
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from avnb.errors import ClipsError
from avnb.media import probe
from data_scripts import sub_urmp as sub_urmp_script
from data_scripts import urmp as urmp_script
from data_scripts.bandstand import INSTRUMENTS, picture
from data_scripts.bandstand.layouts import sub_urmp as sub_urmp_layout
from data_scripts.bandstand.layouts import write_sub_urmp, write_urmp
from data_scripts.bandstand.layouts.urmp import plan_programme
from data_scripts.bandstand.scene import build_scene, choose_view
from data_scripts.sub_urmp import get_pair_start
from data_scripts.truth_files import read_units, write_units

SET = {"songs": 2, "seconds": 1.7, "seed": 4, "step_ms": 400, "size": 48, "workers": 1}
SPLITS = ("train", "test")
CODES = {
    "violin": "vn", "viola": "va", "cello": "vc", "double_bass": "db", "flute": "fl",
    "oboe": "ob", "clarinet": "cl", "sax": "sax", "bassoon": "bn", "trumpet": "tpt",
    "horn": "hn", "trombone": "tbn", "tuba": "tba",
}  # fmt: skip


def listing(folder):
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    )


@pytest.fixture(scope="module")
def sub_urmp(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sub_urmp")
    assert write_sub_urmp(folder, **SET) == 26
    return folder


@pytest.fixture(scope="module")
def urmp(tmp_path_factory):
    folder = tmp_path_factory.mktemp("urmp")
    made = write_urmp(
        folder, pieces=3, seconds=4, seed=1, fps=4, height=64, reused_take=True,
        workers=1,
    )  # fmt: skip
    assert made == 3
    return folder


def pieces(folder):
    return sorted(path for path in folder.iterdir() if path.name != "truth")


# Sub-URMP


def test_sub_urmp_listing_is_exact(sub_urmp):
    expected = []
    for instrument in CODES:
        for song in ("00", "01"):
            split = "validation" if song == "01" else "train"
            for ms in (500, 900, 1300, 1700):
                item = f"{split}/{instrument}/{instrument}{song}_{ms}"
                expected += [f"img/{item}.jpg", f"chunk/{item}.wav"]
            expected += [
                f"truth/{instrument}{song}.{end}" for end in ("json", "parquet")
            ]
    expected.append("truth/units.csv")
    assert listing(sub_urmp) == sorted(expected)


def test_units_are_the_players(sub_urmp, urmp):
    """Read back as the real sets' scripts read them."""
    sources, problems = sub_urmp_script.find_sources(sub_urmp, every=100)
    assert not problems
    plan = sub_urmp_layout.plan_recordings(SET["songs"], SET["seed"])
    found = {source.recording: source.unit for source in sources}
    assert found == {name: f"player {part.player}" for name, part in plan.items()}
    units = {split: {s.unit for s in sources if s.split == split} for split in SPLITS}
    assert len(units["train"]) == len(units["test"]) == 3
    assert not units["train"] & units["test"]
    sources, _ = urmp_script.find_sources(urmp)
    parts = [part for _, parts in plan_programme(3, 1, True) for part in parts]
    assert [s.unit for s in sources] == [f"player {player}" for _, player, _ in parts]
    assert [s.label for s in sources] == [instrument for instrument, _, _ in parts]


def test_a_broken_list_of_players_is_named(tmp_path):
    assert read_units(tmp_path) == {}
    write_units(tmp_path, {"b01": "player 2", "a, 00": "player 1"})
    assert read_units(tmp_path) == {"b01": "player 2", "a, 00": "player 1"}
    path = tmp_path / "truth" / "units.csv"
    for broken in (b"", b"who,what\n", b"recording,unit\na,b,c\n",
                   b"recording,unit\na,\n", b"recording,unit\na,\xff\n"):  # fmt: skip
        path.write_bytes(broken)
        with pytest.raises(ClipsError, match=r"units\.csv.*recording,unit"):
            read_units(tmp_path)


def test_chunks_tile_the_recording(sub_urmp):
    """Consecutive chunks overlap by 0.1 s: the shared samples are equal."""
    assert get_pair_start(500) == 0.0
    assert get_pair_start(900) == pytest.approx(0.4)
    folder = sub_urmp / "chunk" / "train" / "cello"
    chunks = []
    for ms in (500, 900, 1300, 1700):
        with wave.open(str(folder / f"cello00_{ms}.wav")) as file:
            assert file.getparams()[:4] == (2, 2, 44100, 22050)
            samples = np.frombuffer(file.readframes(22050), np.int16).reshape(-1, 2)
        assert (samples[:, 0] == samples[:, 1]).all()
        chunks.append(samples[:, 0])
    for before, after in pairwise(chunks):
        assert (before[17640:] == after[:4410]).all()
    assert np.abs(np.concatenate(chunks)).max() > 1000


def test_frame_is_the_first_of_its_chunk(sub_urmp, monkeypatch):
    """The picture is what the players' own drawing gives at the chunk's start."""
    taken = []
    draw = picture.draw

    def watched(performance, t, size, view):
        taken.append((performance, t))
        return draw(performance, t, size, view)

    monkeypatch.setattr(picture, "draw", watched)
    settings = {key: value for key, value in SET.items() if key != "workers"}
    other = sub_urmp.parent / "again"
    part = sub_urmp_layout.plan_recordings(SET["songs"], SET["seed"])["violin00"]
    sub_urmp_layout.write_recording(other, settings, ("violin00", part))
    performance = taken[0][0]
    view = choose_view(performance)
    assert [t for _, t in taken] == pytest.approx([0.0, 0.4, 0.8, 1.2])
    for index, ms in enumerate((500, 900, 1300, 1700)):
        path = sub_urmp / "img" / "train" / "violin" / f"violin00_{ms}.jpg"
        shown = np.asarray(Image.open(path)).astype(int)
        drawn = draw(performance, 0.4 * index, 48, view).astype(int)
        assert shown.shape == (48, 48, 3)
        assert np.abs(shown - drawn).mean() < 5
        assert (
            path.read_bytes()
            == (other / "img" / "train" / "violin" / path.name).read_bytes()
        )


def test_sub_urmp_truth_is_what_sounds(sub_urmp):
    heard, truth = [], []
    for instrument in INSTRUMENTS:
        table = pq.read_table(sub_urmp / "truth" / f"{instrument}00.parquet")
        assert table.column_names == [
            "time", "pitch_hz", "loudness", "onset", "metre", "mirror",
            *picture.POSE_NAMES,
        ]  # fmt: skip
        rows = {name: table[name].to_numpy() for name in table.column_names}
        assert rows["time"] == pytest.approx(np.arange(34) / 20)
        assert set(np.unique(rows["onset"])) <= {0.0, 1.0}
        assert rows["onset"].sum() >= 1
        for ms in (500, 900, 1300, 1700):
            name = f"{instrument}00_{ms}.wav"
            sound, _ = soundfile.read(sub_urmp / "chunk" / "train" / instrument / name)
            start = (ms - 500) / 1000
            inside = (rows["time"] >= start) & (rows["time"] < start + 0.5)
            heard.append(np.sqrt(np.mean(sound**2)))
            truth.append(np.sqrt(np.mean(rows["loudness"][inside] ** 2)))
    assert np.corrcoef(heard, truth)[0, 1] > 0.9


def test_the_truth_s_camera_leads_back_to_the_stage(sub_urmp):
    """Places in the picture become centimetres, whatever the camera."""
    plan = sub_urmp_layout.plan_recordings(SET["songs"], SET["seed"])
    for name in ("violin00", "tuba01", "sax00"):
        performance = sub_urmp_layout.perform_part(plan[name], SET["seconds"])
        rows = pq.read_table(sub_urmp / "truth" / f"{name}.parquet").to_pydict()
        for k in (0, 20):
            scene = build_scene(performance, rows["time"][k])
            onto = scene.hold.left - scene.body.head  # cm
            seen = [rows[f"left_hand_{a}"][k] - rows[f"head_{a}"][k] for a in "xy"]
            found = np.array([seen[0] * rows["mirror"][k], seen[1]])
            found *= 100 / rows["metre"][k]
            # the camera's tilt, of 3 degrees at most, turns both
            assert np.hypot(*found) == pytest.approx(np.hypot(*onto), rel=1e-3)
            assert np.hypot(*(found - onto)) < np.hypot(*onto) * 0.06


def test_interrupted_writing_goes_on(tmp_path, monkeypatch):
    settings = {**SET, "songs": 1, "seconds": 0.6}
    monkeypatch.setattr(sub_urmp_layout, "INSTRUMENTS", ("flute", "tuba"))
    save, saved = Image.Image.save, []

    def failing_save(image, *arguments, **options):
        if len(saved) == 1:
            raise KeyboardInterrupt
        saved.append(1)
        save(image, *arguments, **options)

    monkeypatch.setattr(Image.Image, "save", failing_save)
    with pytest.raises(KeyboardInterrupt):
        write_sub_urmp(tmp_path, **settings)
    monkeypatch.setattr(Image.Image, "save", save)
    files = listing(tmp_path)
    assert "truth/flute00.json" in files
    assert "truth/tuba00.json" not in files
    assert not [name for name in files if name.endswith(".part")]
    done = {
        name: (tmp_path / name).stat().st_mtime_ns for name in files if "flute" in name
    }
    assert write_sub_urmp(tmp_path, **settings) == 1
    for name, when in done.items():
        assert (tmp_path / name).stat().st_mtime_ns == when
    assert "truth/tuba00.json" in listing(tmp_path)
    assert write_sub_urmp(tmp_path, **settings) == 0


def test_another_setting_is_noticed(sub_urmp):
    before = listing(sub_urmp)
    for change in ({"seed": 5}, {"songs": 4}, {"size": 64}, {"step_ms": 200}):
        with pytest.raises(ValueError, match="other settings"):
            write_sub_urmp(sub_urmp, **{**SET, **change})
    assert listing(sub_urmp) == before


def test_two_processes_write_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(sub_urmp_layout, "INSTRUMENTS", ("horn", "viola"))
    settings = {**SET, "songs": 1, "seconds": 0.6}
    write_sub_urmp(tmp_path / "one", **settings)
    write_sub_urmp(tmp_path / "two", **{**settings, "workers": 2})
    names = listing(tmp_path / "one")
    assert names == listing(tmp_path / "two")
    for name in names:
        first, second = (tmp_path / n / name for n in ("one", "two"))
        assert first.read_bytes() == second.read_bytes(), name


@pytest.mark.parametrize(
    "wrong",
    [{"songs": 0}, {"songs": 101}, {"seconds": 0.4}, {"step_ms": 0},
     {"validation_fraction": 1.0}],
)  # fmt: skip
def test_settings_out_of_range_are_named(tmp_path, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        write_sub_urmp(tmp_path, **{**SET, **wrong})
    assert listing(tmp_path) == []


def test_one_song_is_for_training(tmp_path, monkeypatch):
    monkeypatch.setattr(sub_urmp_layout, "INSTRUMENTS", ("oboe",))
    write_sub_urmp(tmp_path, **{**SET, "songs": 1, "seconds": 0.5})
    assert os.listdir(tmp_path / "img") == ["train"]


# URMP


def test_urmp_names_are_exact(urmp):
    found = [path.name for path in pieces(urmp)]
    assert len(found) == 3
    for number, folder in enumerate(pieces(urmp), start=1):
        name = folder.name
        got_number, title, *codes = name.split("_")
        assert got_number == f"{number:02d}"
        assert title.isalpha()
        assert 2 <= len(codes) <= 5
        assert set(codes) <= set(CODES.values())
        expected = [f"AuMix_{name}.wav", f"Sco_{name}.mid", f"Vid_{name}.mp4"]
        for part, code in enumerate(codes, start=1):
            track = f"{part}_{code}_{number:02d}_{title}"
            expected += [f"AuSep_{track}.wav", f"F0s_{track}.txt", f"Notes_{track}.txt"]
        assert listing(folder) == sorted(expected)


def test_urmp_sound_is_48_khz_24_bits_and_adds_up(urmp):
    for folder in pieces(urmp):
        parts = []
        for path in sorted(folder.glob("Au*.wav")):
            info = soundfile.info(path)
            assert (info.samplerate, info.channels, info.subtype) == (
                48000,
                1,
                "PCM_24",
            )
            assert info.frames == 4 * 48000
            parts.append(soundfile.read(path)[0])
        mix, total = parts[0], np.sum(parts[1:], axis=0)
        gain = (mix @ total) / (total @ total)
        assert 0.2 < gain < 1.0001
        assert np.abs(mix - gain * total).max() < 1e-4


@pytest.mark.slow
def test_urmp_annotations_agree_with_the_truth_and_the_sound(urmp):
    for folder in pieces(urmp):
        for path in folder.glob("Notes_*.txt"):
            notes = np.loadtxt(path, delimiter="\t", ndmin=2)
            tag = path.stem.removeprefix("Notes_")
            f0s = np.loadtxt(folder / f"F0s_{tag}.txt", delimiter="\t")
            truth = pq.read_table(
                urmp / "truth" / f"{folder.name}_{tag.split('_')[0]}.parquet"
            )
            time, pitch = truth["time"].to_numpy(), truth["pitch_hz"].to_numpy()
            assert f0s[0, 0] == pytest.approx(0.023)
            assert np.diff(f0s[:, 0]) == pytest.approx(0.01, abs=1e-6)
            onsets = np.flatnonzero(truth["onset"].to_numpy()) / 20
            assert len(onsets) == len(notes)
            assert (np.abs(onsets - notes[:, 0]) <= 0.05).all()
            sound, rate = soundfile.read(folder / f"AuSep_{tag}.wav")
            for onset, hertz, duration in notes:
                assert 0 < duration < 4
                inside = (time > onset + 0.04) & (time < onset + duration)
                if inside.any():
                    assert pitch[inside].mean() == pytest.approx(hertz, rel=0.02)
                rows = (f0s[:, 0] > onset) & (f0s[:, 0] < onset + duration)
                voiced = f0s[rows, 1][f0s[rows, 1] > 0]
                assert voiced.mean() == pytest.approx(hertz, rel=0.02)
            onset, hertz, duration = max(notes, key=lambda note: note[2])
            part = sound[int((onset + 0.1) * rate) : int((onset + duration) * rate)]
            heard = librosa.yin(part, fmin=35, fmax=2500, sr=rate, frame_length=4096)
            assert np.median(heard) == pytest.approx(hertz, rel=0.02)


def read_midi(data):
    """Tempo and, for each track, its (start, stop, key) in seconds: a plain reader."""
    file = io.BytesIO(data)
    assert file.read(4) == b"MThd"
    size, kind, count, ticks = struct.unpack(">IHHH", file.read(10))
    assert (size, kind) == (6, 1)
    beat, tracks = 0.5, []
    for _ in range(count):
        assert file.read(4) == b"MTrk"
        track = io.BytesIO(file.read(struct.unpack(">I", file.read(4))[0]))
        now, starts, notes, ended = 0, {}, [], False
        while not ended:
            delta = 0
            while (byte := track.read(1)[0]) & 0x80:
                delta = (delta | byte & 0x7F) << 7
            now += delta | byte
            status = track.read(1)[0]
            if status == 0xFF:
                event, length = track.read(2)
                content = track.read(length)
                if event == 0x51:
                    beat = int.from_bytes(content, "big") / 1e6
                ended = event == 0x2F
            elif status & 0xF0 == 0x90:
                key, force = track.read(2)
                assert 1 <= force <= 127
                starts[key] = now
            else:
                assert status & 0xF0 == 0x80
                key, _ = track.read(2)
                notes.append((starts.pop(key) * beat / ticks, now * beat / ticks, key))
        assert not starts
        assert not track.read()
        tracks.append(notes)
    assert not file.read()
    return tracks[1:]


def test_the_score_holds_the_notes(urmp):
    for folder in pieces(urmp):
        tracks = read_midi((folder / f"Sco_{folder.name}.mid").read_bytes())
        annotations = sorted(folder.glob("Notes_*.txt"))
        assert len(tracks) == len(annotations)
        for track, path in zip(tracks, annotations, strict=True):
            notes = np.loadtxt(path, delimiter="\t", ndmin=2)
            starts, stops, keys = np.array(sorted(track)).T
            assert starts == pytest.approx(notes[:, 0], abs=0.005)
            assert stops - starts == pytest.approx(notes[:, 2], abs=0.005)
            assert keys == pytest.approx(librosa.hz_to_midi(notes[:, 1]), abs=0.5)


def test_a_take_is_reused_in_two_pieces(urmp):
    *_, before, last = pieces(urmp)
    assert before.name.split("_")[1] == last.name.split("_")[1]
    sounds = [
        {path.read_bytes(): path.name for path in folder.glob("AuSep_*")}
        for folder in (before, last)
    ]
    shared = set(sounds[0]) & set(sounds[1])
    assert len(shared) == 1
    names = [sound[next(iter(shared))] for sound in sounds]
    assert names[0] != names[1]
    codes = [re.match(r"AuSep_\d_([a-z]+)_", name).group(1) for name in names]
    assert codes[0] == codes[1]


def test_the_video_shows_all_players_with_the_mix(urmp):
    for folder in pieces(urmp):
        found = probe(Path(folder) / f"Vid_{folder.name}.mp4")
        assert found.video_codec == "h264"
        assert found.audio_codec == "aac"
        assert found.height == 64
        assert found.width > 64
        assert found.duration == pytest.approx(4, abs=0.3)


def test_written_pieces_are_left_alone(urmp):
    settings = {"pieces": 3, "seconds": 4, "seed": 1, "fps": 4, "height": 64}
    assert write_urmp(urmp, **settings, reused_take=True, workers=1) == 0
    with pytest.raises(ValueError, match="other settings"):
        write_urmp(urmp, **settings, workers=1)


def test_every_instrument_gets_its_turn():
    programme = plan_programme(44, 0, True)
    players = [take for _, takes in programme for take in takes]
    assert {instrument for instrument, _, _ in players} == set(CODES)
    assert {2, 3, 4, 5} == {len(takes) for _, takes in programme}
    for _, takes in programme:
        assert len({player for _, player, _ in takes}) == len(takes)
