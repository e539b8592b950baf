"""Prepared clips: nothing leaks, nothing stale, nothing half-written."""

import dataclasses
import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from filelock import FileLock
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from PIL import Image

from avnb.data import clips, rows, shards
from avnb.data.clips import load_clips, stream_clips
from avnb.data.shards import prepare
from avnb.data.sources import ClipSettings, PreparationReport, Problem, Source
from avnb.data.splits import group_duplicates, split_in_time, split_recordings
from avnb.data.truth import sample_truth
from avnb.errors import ClipsError, LeakError, WriteError

RATE = 8000
SMALL = ClipSettings(seconds=0.5, fps=4.0, size=8, sample_rate=RATE)
ROOT = Path(__file__).resolve().parents[2]


def write_pair(folder: Path, name: str, seconds: float, seed: int = 0) -> Source:
    """A picture of one colour and noise; label = what comes before the number."""
    random = np.random.default_rng([seed, *name.encode()])
    folder.mkdir(parents=True, exist_ok=True)
    colour = random.integers(0, 256, 3).astype(np.uint8)
    Image.fromarray(np.broadcast_to(colour, (8, 8, 3)).copy()).save(
        folder / f"{name}.png"
    )
    sound = random.uniform(-0.5, 0.5, round(seconds * RATE))
    soundfile.write(folder / f"{name}.wav", sound, RATE)
    return Source(
        name=f"{name}.png",
        recording=name,
        label=name.rstrip("0123456789"),
        video=folder / f"{name}.png",
        audio=folder / f"{name}.wav",
    )


@pytest.fixture
def pairs(tmp_path: Path) -> list[Source]:
    names = [f"{label}{k}" for label in ("cat", "dog") for k in range(4)]
    return [write_pair(tmp_path / "media", name, 1.7) for name in names]


def shard_bytes(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(out.glob("*/*.parquet"))}


# ------------------------------------------------------------------ splits

groups_of_labels = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.integers(1, 12), min_size=1
)


def fake(label: str, k: int, split: str | None = None) -> Source:
    path = Path(f"{label}{k}.mp4")
    return Source(path.name, f"{label}{k}", label, path, split=split)


@given(groups_of_labels, st.integers(0, 5), st.sampled_from([0.1, 0.2, 0.5]))
def test_every_label_is_split_as_asked(counts, seed, fraction):
    sources = [fake(label, k) for label, n in counts.items() for k in range(n)]
    settings = ClipSettings(seed=seed, test_fraction=fraction)
    split, notes = split_recordings(sources, settings)
    for label, n in counts.items():
        tested = sum(split[f"{label}{k}"] == "test" for k in range(n))
        assert tested == (0 if n == 1 else max(1, round(fraction * n)))
        assert any(note.startswith(f"{label}:") for note in notes) == (n == 1)
    assert split == split_recordings(sources[::-1], settings)[0]


@given(st.integers(2, 40), st.integers(0, 100))
def test_one_more_recording_moves_at_most_one_other(n, seed):
    settings = ClipSettings(seed=seed)
    before, _ = split_recordings([fake("a", k) for k in range(n)], settings)
    after, _ = split_recordings([fake("a", k) for k in range(n + 1)], settings)
    assert sum(before[name] != after[name] for name in before) <= 1


@given(st.lists(st.integers(0, 6), min_size=2, max_size=30), st.integers(0, 9))
def test_a_group_is_never_cut(groups, seed):
    sources = [
        dataclasses.replace(fake("a", k), group=f"g{group}")
        for k, group in enumerate(groups)
    ]
    split, _ = split_recordings(sources, ClipSettings(seed=seed, test_fraction=0.5))
    seen = {(group, split[f"a{k}"]) for k, group in enumerate(groups)}
    assert len(seen) == len(set(groups))


def test_seed_changes_the_split():
    sources = [fake("a", k) for k in range(30)]
    splits = [split_recordings(sources, ClipSettings(seed=s))[0] for s in range(3)]
    assert splits[0] != splits[1] != splits[2]


def test_declared_splits_are_kept():
    sources = [fake("a", k, "test" if k < 5 else "train") for k in range(6)]
    split, _ = split_recordings(sources, ClipSettings())
    assert Counter(split.values()) == {"test": 5, "train": 1}


def leaks():
    one, two = fake("a", 0, "train"), fake("a", 1, "test")
    change = dataclasses.replace
    yield "recording", [one, change(two, recording=one.recording)]
    yield "group", [change(one, group="take"), change(two, group="take")]
    yield "picture", [one, change(two, video=one.video)]
    sound = Path("same.wav")
    yield "sound", [change(one, audio=sound), change(two, audio=sound)]


@pytest.mark.parametrize(("what", "sources"), leaks(), ids=lambda x: str(x)[:9])
def test_a_leak_is_refused(what, sources, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in {path for source in sources for path in source.files}:
        path.write_bytes(b"something")
    with pytest.raises(LeakError) as error:
        prepare(sources, tmp_path / "out", SMALL)
    for source in sources:
        assert source.name in str(error.value)
    assert not (tmp_path / "out").exists()


def test_two_players_of_one_video_are_no_leak():
    one = dataclasses.replace(fake("a", 0, "train"), crop=(0, 0, 8, 8))
    two = dataclasses.replace(one, name="b", recording="b", crop=(8, 0, 8, 8))
    split, _ = split_recordings([one, dataclasses.replace(two, split="test")], SMALL)
    assert split == {"a0": "train", "b": "test"}


def test_copies_share_a_group(pairs):
    assert group_duplicates(pairs) == pairs  # of equal size, but not equal
    first, _, third, *_ = pairs
    third.audio.write_bytes(first.audio.read_bytes())
    groups = [source.group for source in group_duplicates(pairs)]
    assert groups[0] == groups[2] is not None
    assert [groups[1], *groups[3:]] == [None] * 6


def test_copies_join_whole_groups(pairs):
    first, second, third, fourth, *_ = pairs
    joined = [
        dataclasses.replace(source, group=group)
        for source, group in zip([first, second, third, fourth], "xxyy", strict=True)
    ]
    third.audio.write_bytes(second.audio.read_bytes())
    assert len({source.group for source in group_duplicates(joined)}) == 1


# ----------------------------------------------------------- what is prepared


def test_rows_hold_what_the_files_hold(pairs, tmp_path):
    report = prepare(pairs, tmp_path / "out", SMALL, workers=1)
    assert sum(report.written.values()) == 8 * 3  # 1.7 s: the last 0.2 s are dropped
    assert not report.problems
    for split in ("train", "test"):
        held = load_clips(tmp_path / "out", split)
        assert held.classes == ["cat", "dog"]
        assert held.frames.shape[1:] == (2, 8, 8, 3)
        assert held.waveform.shape[1:] == (1, RATE // 2)
        for i, name in enumerate(held.recordings):
            source = next(s for s in pairs if s.recording == name)
            sound, _ = soundfile.read(source.audio)
            begin = round(float(held.start[i]) * RATE)
            expected = sound[begin : begin + RATE // 2]
            got = held.waveform[i, 0].numpy() / 32767
            np.testing.assert_allclose(got, expected, atol=1e-4)
            picture = np.asarray(Image.open(source.video))
            assert (held.frames[i].numpy() == picture).all()
            assert held.classes[held.labels[i]] == source.label
            assert held.units[i] == name  # nothing more is known of these
            loudest = np.abs(sound[: 3 * RATE // 2]).max()
            assert held.peak[i].item() == pytest.approx(loudest, abs=1e-4)


def test_each_row_names_what_is_independent(pairs, tmp_path):
    """The player where one is named; else the group; else the recording."""
    change = dataclasses.replace
    named = [change(s, unit=f"player {s.recording[-1]}") for s in pairs[:4]]
    grouped = [change(s, group="session") for s in pairs[4:6]]
    prepare([*named, *grouped, *pairs[6:]], tmp_path / "out", SMALL, workers=1)
    found = {}
    for split in ("train", "test"):
        held = load_clips(tmp_path / "out", split)
        found |= dict(zip(held.recordings, held.units, strict=True))
        some = held.select([2, 0])
        assert some.units == [held.units[2], held.units[0]]
    assert found == {
        **{f"cat{k}": f"player {k}" for k in range(4)},
        **{"dog0": "session", "dog1": "session", "dog2": "dog2", "dog3": "dog3"},
    }
    batches = stream_clips(tmp_path / "out", "train", batch=2, shuffle=True)
    pairs_found = {
        (r, u) for b in batches for r, u in zip(b.recordings, b.units, strict=True)
    }
    assert pairs_found <= set(found.items())
    # A player has one name, whatever they play.
    wrong = change(pairs[0], name="again", unit="player 9")
    with pytest.raises(ClipsError, match="two units"):
        split_recordings([named[0], wrong], SMALL)
    # Another player is another data set.
    moved = [change(s, unit="player 7") for s in named]
    report = prepare([*moved, *grouped, *pairs[6:]], tmp_path / "out", SMALL, workers=1)
    assert len(report.written) == 4


def test_clips_of_format_1_are_read(pairs, tmp_path):
    """They have no units: each recording is one."""
    out = tmp_path / "out"
    prepare([dataclasses.replace(s, unit="x") for s in pairs], out, SMALL, workers=1)
    for path in out.glob("*/*.parquet"):
        rewrite(path, lambda table: table.drop_columns(["unit"]))
    with pytest.raises(ClipsError, match="column unit"):
        load_clips(out, "train")
    contents = json.loads((out / "clips.json").read_text())
    (out / "clips.json").write_text(json.dumps(contents | {"format": 1}))
    held = load_clips(out, "train")
    assert held.units == held.recordings
    (out / "clips.json").write_text(json.dumps(contents | {"format": 3}))
    with pytest.raises(ClipsError, match="format 3"):
        load_clips(out, "train")
    # Preparing again makes them anew.
    assert len(prepare(pairs, out, SMALL, workers=1).written) == len(pairs)


def test_both_parts_of_one_video_are_one_unit():
    whole = dataclasses.replace(fake("a", 0), start=0.0, duration=10.0)
    parts = split_in_time(whole, SMALL)
    assert {part.unit for part in parts} == {"a0"}
    assert len({part.recording for part in parts}) == 2


def test_hop_and_offset(tmp_path):
    source = write_pair(tmp_path, "cat0", 1.7)
    source = dataclasses.replace(source, offset=10.0, start=0.2, duration=1.0)
    prepare([source], tmp_path / "out", dataclasses.replace(SMALL, hop=0.1), workers=1)
    held = load_clips(tmp_path / "out", "train")
    np.testing.assert_allclose(held.start, 10.2 + 0.1 * np.arange(6), rtol=1e-6)
    sound, _ = soundfile.read(source.audio)
    for i in range(6):
        expected = sound[1600 + 800 * i : 5600 + 800 * i]
        np.testing.assert_allclose(held.waveform[i, 0] / 32767, expected, atol=1e-4)


def test_long_sounds_are_read_in_blocks(tmp_path, monkeypatch):
    source = write_pair(tmp_path, "cat0", 6.0)
    whole = prepare([source], tmp_path / "one", SMALL, workers=1)
    monkeypatch.setattr(rows, "SOUND_BLOCK", 1.3)
    prepare([source], tmp_path / "two", SMALL, workers=1)
    assert whole.written == {"cat0": 12}
    assert shard_bytes(tmp_path / "one") == shard_bytes(tmp_path / "two")


def test_datasets_opens_it(pairs, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    named = [dataclasses.replace(p, recording=f"test_{p.recording}.dev") for p in pairs]
    prepare(named, tmp_path / "train_out", SMALL, workers=1)
    opened = datasets.load_dataset(
        "parquet",
        data_dir=str(tmp_path / "train_out"),
        cache_dir=str(tmp_path / "cache"),
    )
    assert {name: len(table) for name, table in opened.items()} == {
        "train": 18,
        "test": 6,
    }
    row = opened["train"][0]
    frames = np.frombuffer(row["frames"], np.uint8).reshape(row["frames_shape"])
    assert frames.shape == (2, 8, 8, 3)


def test_truth_is_sampled_at_the_frames(tmp_path):
    source = write_pair(tmp_path, "cat0", 1.0)
    times = np.arange(0, 3, 0.05)
    onset = np.isin(np.round(times, 2), [2.3, 2.8]).astype(np.float32)
    table = pa.table({"time": times, "pitch_hz": 100 * times, "onset": onset})
    pq.write_table(table, tmp_path / "truth.parquet")
    known = dataclasses.replace(source, truth=tmp_path / "truth.parquet", offset=2.0)
    other = write_pair(tmp_path, "dog0", 1.0)
    prepare([known, other], tmp_path / "out", SMALL, workers=1)
    held = load_clips(tmp_path / "out", "train")
    assert sorted(held.truth) == ["onset", "pitch_hz", "time"]
    np.testing.assert_allclose(held.truth["time"], [[0, 0.25]] * 4)
    expected = [[200, 225], [250, 275]]
    np.testing.assert_allclose(held.truth["pitch_hz"][:2], expected, rtol=1e-6)
    assert held.truth["onset"][:2].tolist() == [[0, 1], [0, 1]]
    assert held.truth["pitch_hz"][2:].isnan().all()


def test_sample_truth_is_the_nearest():
    random = np.random.default_rng(0)
    known = np.sort(random.uniform(0, 10, 50))
    truth = {"time": known, "x": random.normal(size=50)}
    times = random.uniform(known[0], known[-1], 200)
    got = sample_truth(truth, "x", times, 0.1)
    expected = [truth["x"][np.abs(known - t).argmin()] for t in times]
    assert got.tolist() == expected


def test_one_recording_of_a_label_trains(tmp_path):
    report = prepare([write_pair(tmp_path, "cat0", 1.0)], tmp_path / "out", SMALL)
    assert report.splits == {"train": {"cat": 1}, "test": {}}
    assert "cat" in report.notes[0]
    assert "cat" in str(report)
    assert len(load_clips(tmp_path / "out", "test")) == 0


# ---------------------------------------------------------- again and again


def test_nothing_is_done_twice(pairs, tmp_path):
    out = tmp_path / "out"
    prepare(pairs, out, SMALL, workers=1)
    times = {p: p.stat().st_mtime_ns for p in out.glob("*/*.parquet")}
    again = prepare(pairs, out, SMALL, workers=1)
    assert not again.written
    assert len(again.skipped) == 8
    assert times == {p: p.stat().st_mtime_ns for p in out.glob("*/*.parquet")}


def test_two_preparations_of_one_folder_take_turns(pairs, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    call = functools.partial(prepare, pairs, out, SMALL, workers=1)
    second = threading.Thread(target=call, daemon=True)
    with FileLock(out / ".lock"):  # the first one is at work
        second.start()
        while not (out / "train").is_dir():  # so far both may come
            time.sleep(0.01)
        second.join(0.3)
        assert second.is_alive()
        assert not list(out.glob("*/*.parquet"))
    second.join(120)
    assert not second.is_alive()
    assert len(list(out.glob("*/*.parquet"))) == 8


def test_what_changed_is_made_again(pairs, tmp_path):
    out = tmp_path / "out"
    prepare(pairs, out, SMALL, workers=1)
    write_pair(tmp_path / "media", "cat1", 1.7, seed=1)  # the same sizes
    report = prepare(pairs, out, SMALL, workers=1)
    assert [*report.written] == ["cat1"]
    report = prepare(pairs, out, dataclasses.replace(SMALL, fps=8.0), workers=1)
    assert len(report.written) == 8


def test_what_is_gone_is_kept_and_named(pairs, tmp_path):
    """A disk that is not plugged in must not cost the prepared clips."""
    out = tmp_path / "out"
    prepare(pairs, out, SMALL, workers=1)
    before = shard_bytes(out)
    pairs[0].audio.unlink()
    for left in (pairs, pairs[1:], []):
        report = prepare(left, out, SMALL, workers=1)
        assert shard_bytes(out) == before
        assert not report.removed
        assert report.kept["cat0"] == 3
        assert "cat0" in str(report)
        assert "--prune" in str(report)
    assert len(report.kept) == 8
    names = {*load_clips(out, "train").recordings, *load_clips(out, "test").recordings}
    assert names == {source.recording for source in pairs}
    # They cannot stand beside clips of another length, and are not removed unasked.
    longer = dataclasses.replace(SMALL, seconds=1.0)
    for left in (pairs[1:], []):
        with pytest.raises(ClipsError, match=r"cut with other settings.*--prune"):
            prepare(left, out, longer, workers=1)
        assert shard_bytes(out) == before


def test_prune_removes_what_is_gone(pairs, tmp_path):
    out = tmp_path / "out"
    prepare(pairs, out, SMALL, workers=1)
    pairs[0].audio.unlink()
    report = prepare(pairs, out, SMALL, workers=1, prune=True)
    assert len(report.removed) == 1
    assert [problem.file for problem in report.problems] == ["cat0.png"]
    names = {*load_clips(out, "train").recordings, *load_clips(out, "test").recordings}
    assert names == {source.recording for source in pairs[1:]}


def test_a_renamed_recording_is_not_there_twice(pairs, tmp_path):
    """Otherwise one name could be trained on and the other tested on."""
    out = tmp_path / "out"
    prepare(pairs, out, SMALL, workers=1)
    renamed = [dataclasses.replace(s, recording=f"new {s.recording}") for s in pairs]
    report = prepare(renamed, out, SMALL, workers=1)
    assert (len(report.removed), report.kept) == (8, {})


def test_a_group_stays_together_although_one_of_it_is_gone(tmp_path):
    sources = [
        dataclasses.replace(write_pair(tmp_path, f"cat{k}", 1.7), group="take")
        for k in range(2)
    ]
    other = write_pair(tmp_path, "cat9", 1.7)
    declared = [dataclasses.replace(s, split="train") for s in (*sources, other)]
    prepare(declared, tmp_path / "out", SMALL, workers=1)
    left = [dataclasses.replace(sources[1], split="test"), declared[2]]
    with pytest.raises(LeakError, match=r"cat0, whose source is gone"):
        prepare(left, tmp_path / "out", SMALL, workers=1)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_shard_is_noticed_and_made_again(pairs, tmp_path, damage):
    out = tmp_path / "out"
    prepare(pairs, out, SMALL, workers=1)
    before = shard_bytes(out)
    victim = next((out / "train").glob("*.parquet"))
    data = bytearray(victim.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "flip":
        data[len(data) // 3] ^= 1
    elif damage == "empty":
        data = bytearray()
    else:
        data = bytearray(next((out / "test").glob("*.parquet")).read_bytes())
    victim.write_bytes(data)
    with pytest.raises(ClipsError, match=victim.name):
        load_clips(out, "train")
    report = prepare(pairs, out, SMALL, workers=1)
    assert len(report.written) == 1
    assert shard_bytes(out) == before


def test_dry_run_writes_nothing(pairs, tmp_path):
    report = prepare(pairs, tmp_path / "out", SMALL, dry_run=True)
    assert len(report.written) == 8
    assert sum(report.written.values()) == 8 * 3
    assert not (tmp_path / "out").exists()
    assert "dry run" in str(report)


SLOW = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from avnb.data import shards
from avnb.data.sources import ClipSettings, Source
from avnb.data.truth import sample_truth

real = shards.make_rows
def slowly(*given):
    for row in real(*given):
        time.sleep(0.05)
        yield row
shards.make_rows = slowly
media = Path({media!r})
pairs = [
    Source(f"cat{{k}}.png", f"cat{{k}}", "cat", media / f"cat{{k}}.png",
           media / f"cat{{k}}.wav")
    for k in range(8)
]
shards.prepare(pairs, {out!r}, {settings!r}, workers=1)
"""


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on(tmp_path):
    out, media = tmp_path / "out", tmp_path / "media"
    pairs = [write_pair(media, f"cat{k}", 1.7) for k in range(8)]
    places = {"root": str(ROOT), "media": str(media), "out": str(out)}
    script = SLOW.format(settings=SMALL, **places)
    child = subprocess.Popen([sys.executable, "-c", script])
    try:
        while len(shard_bytes(out)) < 3:
            assert child.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        time.sleep(0.07)  # into the middle of a recording
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    half = shard_bytes(out)
    assert 3 <= len(half) < 8
    with pytest.raises(ClipsError, match="interrupted"):
        load_clips(out, "train")

    report = prepare(pairs, out, SMALL, workers=1)
    assert len(report.skipped) == len(half)
    assert not [*out.rglob("*.tmp")]
    prepare(pairs, tmp_path / "unbroken", SMALL, workers=1)
    assert shard_bytes(out) == shard_bytes(tmp_path / "unbroken")


# ----------------------------------------------------------------- bad files


def test_bad_files_are_listed_and_the_rest_goes_on(pairs, tmp_path):
    pairs[0].audio.write_bytes(b"")
    pairs[1].video.write_bytes(b"no picture")
    pairs[2].audio.unlink()
    short = write_pair(tmp_path / "media", "cat9", 0.3)
    mute = dataclasses.replace(pairs[3], audio=None)
    sources = [*pairs[:3], mute, *pairs[4:], short]
    report = prepare(sources, tmp_path / "out", SMALL, workers=1)
    files = [problem.file.split()[0] for problem in report.problems]
    assert files == ["cat0.png", "cat1.png", "cat2.png", "cat3.png", "cat9.png"]
    assert all(problem.problem and problem.remedy for problem in report.problems)
    assert len(report.written) == 4
    saved = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(saved["problems"]) == 5
    assert str(tmp_path) not in json.dumps(saved["problems"])
    assert len(shard_bytes(tmp_path / "out")) == 4
    again = prepare(sources, tmp_path / "out", SMALL, workers=1)
    assert again.problems == report.problems


def test_one_bad_file_of_a_recording_costs_only_itself(pairs, tmp_path):
    one = [dataclasses.replace(p, recording="cat", label="cat") for p in pairs]
    one = [dataclasses.replace(p, offset=2.0 * k) for k, p in enumerate(one)]
    pairs[3].audio.write_bytes(b"RIFF")
    report = prepare(one, tmp_path / "out", SMALL, workers=1)
    assert report.written == {"cat": 7 * 3}
    assert len(report.problems) == 1
    again = prepare(one, tmp_path / "out", SMALL, workers=1)
    assert again.skipped == report.written
    assert again.problems == report.problems  # they are remembered
    assert 6.0 not in load_clips(tmp_path / "out", "train").start.tolist()


DEADLY = """
import os, signal
from avnb.data import shards

def write_shard(job):
    if job.recording == "cat1":
        os.kill(os.getpid(), signal.SIGKILL)
    return shards._write_shard(job)
"""


@pytest.mark.slow
def test_a_process_that_dies_costs_one_recording(pairs, tmp_path, monkeypatch):
    (tmp_path / "deadly.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(tmp_path)
    deadly = importlib.import_module("deadly")
    monkeypatch.setattr(shards, "_write_shard", deadly.write_shard)
    report = prepare(pairs[:2], tmp_path / "out", SMALL, workers=2)
    assert [*report.written] == ["cat0"]
    assert [problem.file for problem in report.problems] == ["cat1"]


@pytest.mark.slow
def test_odd_media(media_folder, tmp_path):
    """Every odd file is prepared, or listed with a remedy: none stops the others."""
    files = sorted((media_folder / "odd").iterdir())
    sources = [Source(p.name, p.name, "odd", p) for p in files]
    settings = ClipSettings(seconds=0.5, fps=4.0, size=16, sample_rate=8000)
    report = prepare(sources, tmp_path, settings, workers=1)
    bad = {problem.file for problem in report.problems}
    assert bad | set(report.written) == {p.name for p in files}
    assert not bad & set(report.written)
    assert {"result.webm", "sample_video_only.mp4", "sample_audio_only.mp4"} <= bad
    assert {"cockatoo.mp4", "video_90.mov"} & bad == {"video_90.mov"}  # mute, 3 frames
    assert report.written["cockatoo.mp4"] == 28
    assert report.written["ChID-BLITS-EBU.mp4"] == 93


# ------------------------------------------------------------- load_clips and stream


def test_stream_gives_every_clip_once(pairs, tmp_path):
    prepare(pairs, tmp_path / "out", SMALL, workers=1)
    held = load_clips(tmp_path / "out", "train")
    key = [(r, s) for r, s in zip(held.recordings, held.start.tolist(), strict=True)]
    orders = []
    for shuffle, seed in ((False, 0), (True, 0), (True, 1), (True, 1)):
        parts = stream_clips(
            tmp_path / "out", "train", batch=4, shuffle=shuffle, seed=seed
        )
        batches = list(parts)
        assert [len(b) for b in batches] == [4, 4, 4, 4, 2]
        order = [
            (r, s)
            for b in batches
            for r, s in zip(b.recordings, b.start.tolist(), strict=True)
        ]
        assert sorted(order) == sorted(key)
        orders.append(order)
        where = [key.index(k) for k in order]
        assert torch.equal(
            torch.cat([b.waveform for b in batches]), held.waveform[where]
        )
        assert torch.equal(torch.cat([b.frames for b in batches]), held.frames[where])
        assert torch.equal(torch.cat([b.labels for b in batches]), held.labels[where])
    assert orders[0] == key != orders[1] != orders[2] == orders[3]


@pytest.mark.slow
def test_stream_is_bounded(tmp_path, monkeypatch):
    """What Arrow, numpy and the buffer hold does not grow with the recording."""
    monkeypatch.setattr(shards, "ROW_GROUP", 2**18)
    large = dataclasses.replace(SMALL, size=32, fps=10.0)
    most = []
    for seconds in (200, 800):
        source = write_pair(tmp_path, f"cat{seconds}", float(seconds))
        prepare([source], tmp_path / f"{seconds}", large, workers=1)
        ours = pa.default_memory_pool()
        theirs = pa.proxy_memory_pool(ours)
        pa.set_memory_pool(theirs)
        tracemalloc.start()
        try:
            parts = stream_clips(
                tmp_path / f"{seconds}", "train", batch=4, shuffle=True
            )
            assert sum(map(len, parts)) == 2 * seconds
            most.append(theirs.max_memory() + tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
            pa.set_memory_pool(ours)
    assert most[0] > 256 * large.row_bytes  # the buffer was seen
    assert most[1] < 1.2 * most[0]
    assert most[1] < 1600 * large.row_bytes / 2


def test_subset(pairs, tmp_path):
    prepare(pairs, tmp_path / "out", SMALL, workers=1)
    held = load_clips(tmp_path / "out", "train")
    dogs = held.select(held.labels == 1)
    assert set(dogs.recordings) == {r for r in held.recordings if r.startswith("dog")}
    some = held.select([3, 1])
    assert torch.equal(some.waveform, held.waveform[[3, 1]])
    assert some.recordings == [held.recordings[3], held.recordings[1]]
    with pytest.raises(ClipsError, match="mask of 2"):
        held.select(torch.tensor([True, False]))


def rewrite(path: Path, change) -> None:
    table = pq.read_table(path)
    pq.write_table(change(table), path, use_dictionary=False)


def column(name: str, values: pa.Array):
    def change(table: pa.Table) -> pa.Table:
        field = table.schema.field(name).with_type(values.type)
        return table.set_column(table.schema.get_field_index(name), field, values)

    return change


FOREIGN = {
    "column peak": lambda t: t.drop_columns(["peak"]),
    "column fps": column("fps", pa.array(["4"] * 3)),
    "frames of shape": column(
        "frames_shape", pa.array([[2, 9, 8, 3]] * 3, pa.list_(pa.int32()))
    ),
    "waveform of 3 bytes": column("waveform", pa.array([b"abc"] * 3, pa.binary())),
    "sample_rate is 1": column("sample_rate", pa.array([1] * 3, pa.int32())),
    "label 'cow'": column("label", pa.array(["cow"] * 3)),
    "empty cells": column("label", pa.array(["cat", None, "cat"])),
    "the shards hold": lambda t: t.slice(1),
}


@pytest.mark.parametrize("message", FOREIGN)
def test_foreign_shards_are_refused(pairs, tmp_path, message):
    prepare(pairs, tmp_path / "out", SMALL, workers=1)
    rewrite(next((tmp_path / "out" / "train").glob("*.parquet")), FOREIGN[message])
    with pytest.raises(ClipsError, match=message):
        load_clips(tmp_path / "out", "train")


def test_small_files_cannot_hold_endless_rows(pairs, tmp_path):
    """A dictionary of one large value makes a bomb of a few kilobytes."""
    prepare(pairs, tmp_path / "out", SMALL, workers=1)
    victim = next((tmp_path / "out" / "train").glob("*.parquet"))
    table = pq.read_table(victim)
    pq.write_table(pa.concat_tables([table.slice(0, 1)] * 1000), victim)
    with pytest.raises(ClipsError, match="dictionary"):
        load_clips(tmp_path / "out", "train")


def test_a_shard_put_into_the_other_split_is_refused(pairs, tmp_path):
    out = tmp_path / "out"
    prepare(pairs, out, SMALL, workers=1)
    stolen = next((out / "test").glob("*.parquet"))
    victim = next((out / "train").glob("*.parquet"))
    (out / "train" / stolen.name).write_bytes(stolen.read_bytes())
    with pytest.raises(ClipsError, match=r"not in clips\.json"):
        load_clips(out, "train")
    os.replace(out / "train" / stolen.name, victim)
    with pytest.raises(ClipsError, match="split is 'test'"):
        load_clips(out, "train")


def test_what_is_not_prepared_says_so(tmp_path, pairs, monkeypatch):
    with pytest.raises(ClipsError, match="avnb prepare"):
        load_clips(tmp_path, "train")
    with pytest.raises(ClipsError, match="'dev'"):
        load_clips(tmp_path, "dev")
    prepare(pairs, tmp_path / "out", SMALL, workers=1)
    next((tmp_path / "out" / "train").glob("*.parquet")).unlink()
    with pytest.raises(ClipsError, match="is missing"):
        load_clips(tmp_path / "out", "train")
    monkeypatch.setattr(clips, "LOAD_LIMIT", 1000)
    with pytest.raises(ClipsError, match="stream_clips"):
        load_clips(tmp_path / "out", "test")
    for text in ("{", "[1]", '{"settings": {"size": "../.."}}', "[" * 100_000):
        (tmp_path / "out" / "clips.json").write_text(text)
        with pytest.raises(ClipsError, match=r"clips\.json"):
            load_clips(tmp_path / "out", "test")


@examples(max_examples=20)
@given(st.sampled_from(["seconds", "fps", "hop"]), st.floats(max_value=0))
def test_impossible_settings_are_refused(name, value):
    with pytest.raises(ClipsError, match=name):
        ClipSettings(**{name: value})


def test_a_validation_split_is_there_only_where_it_is_declared(tmp_path, pairs):
    splits = dict(zip("012", ("train", "val", "test"), strict=True))
    made = [
        dataclasses.replace(s, split=splits[s.recording[-1]])
        for s in pairs
        if s.recording[-1] in splits
    ]
    report = prepare(made, tmp_path / "with", SMALL, workers=1)
    assert {split: sum(n.values()) for split, n in report.splits.items()} == {
        "train": 2,
        "val": 2,
        "test": 2,
    }
    assert set(load_clips(tmp_path / "with", "val").recordings) == {"cat1", "dog1"}
    without = [s for s in made if s.split != "val"]
    report = prepare(without, tmp_path / "without", SMALL, workers=1)
    assert set(report.splits) == {"train", "test"}
    assert not (tmp_path / "without" / "val").exists()
    assert len(load_clips(tmp_path / "without", "val")) == 0
    leak = [*made, dataclasses.replace(made[1], name="x", recording="x", split="test")]
    with pytest.raises(LeakError, match="two splits"):
        prepare(leak, tmp_path / "leak", SMALL, workers=1)


@given(st.floats(0, 2), st.floats(0.1, 2), st.integers(1, 8))
@examples(deadline=None, max_examples=15)
def test_the_event_is_1_within_its_span_alone(tmp_path_factory, first, length, fps):
    out = tmp_path_factory.mktemp("span")
    source = write_pair(out / "media", "cat0", 2.2)
    source = dataclasses.replace(source, span=(first, first + length), split="train")
    settings = dataclasses.replace(SMALL, fps=float(fps))
    prepare([source], out / "clips", settings, workers=1)
    held = load_clips(out / "clips", "train")
    for start, event in zip(held.start.tolist(), held.truth["event"], strict=True):
        for i, value in enumerate(event.tolist()):
            now = start + i / fps
            assert value == float(now >= first and now < first + length)


def test_a_file_where_the_folder_should_be(tmp_path, pairs):
    (tmp_path / "out").write_text("here")
    with pytest.raises(WriteError, match=r"out: it cannot be written.*another folder"):
        prepare(pairs, tmp_path / "out", SMALL, workers=1)


def test_a_full_disk_is_no_problem_of_the_sources(tmp_path, pairs, monkeypatch):
    """What was prepared before stays, and preparing again goes on from there."""
    prepare(pairs[:2], tmp_path / "out", SMALL, workers=1)
    real = pa.OSFile
    monkeypatch.setattr(
        pa,
        "OSFile",
        lambda path, mode: real("/dev/full" if mode == "wb" else path, mode),
    )
    with pytest.raises(WriteError, match=r"clips_\w+\.parquet.*Make room"):
        prepare(pairs, tmp_path / "out", SMALL, workers=1)
    monkeypatch.undo()
    report = prepare(pairs, tmp_path / "out", SMALL, workers=1)
    assert not report.problems
    prepare(pairs, tmp_path / "new", SMALL, workers=1)
    assert shard_bytes(tmp_path / "out") == shard_bytes(tmp_path / "new")


# ------------------------------------------- one bad file, one odd file, the report


def test_any_exception_of_one_file_costs_only_itself(pairs, tmp_path, monkeypatch):
    real = shards.make_rows

    def fail(source, *rest):
        if source.recording == "cat1":
            raise IndexError("list index out of range")
        yield from real(source, *rest)

    monkeypatch.setattr(shards, "make_rows", fail)
    report = prepare(pairs, tmp_path / "out", SMALL, workers=1)
    assert len(report.written) == 7
    (problem,) = report.problems
    assert problem.file == "cat1.png"
    assert "IndexError: list index out of range" in problem.problem
    assert "Please report this" in problem.remedy


def test_ctrl_c_still_ends_it(pairs, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(shards, "make_rows", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare(pairs, tmp_path / "out", SMALL, workers=1)


@pytest.mark.slow
def test_a_file_that_takes_too_long_is_given_up(pairs, tmp_path, monkeypatch):
    real = shards.make_rows

    def hang(source, *rest):
        if source.recording == "dog2":
            time.sleep(60)
        yield from real(source, *rest)

    monkeypatch.setattr(shards, "make_rows", hang)
    # Who waited for the file would write it, and name no problem.
    report = prepare(pairs, tmp_path / "out", SMALL, workers=1, time_limit=3.0)
    assert len(report.written) == 7
    (problem,) = report.problems
    assert (problem.file, "more than 3 s" in problem.problem) == ("dog2.png", True)


class LateWriter(pa.ipc.RecordBatchStreamWriter):
    """A writer of batches; the time is up just after it has written the second one."""

    def write_batch(self, batch):
        super().write_batch(batch)
        if self.stats.num_record_batches == 2:
            raise shards._TimeUpError


def test_time_may_be_up_just_after_a_batch_is_written(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "ROW_GROUP", 1)  # each row is a batch
    monkeypatch.setattr(shards.pa.ipc, "new_stream", LateWriter)
    report = prepare(pairs, tmp_path / "out", SMALL, workers=1)
    assert report.problems
    assert all("took more than" in problem.problem for problem in report.problems)
    assert len(report.written) + len(report.problems) == len(pairs)


def test_silence_and_channels_that_cancel_are_listed(tmp_path):
    sources = [write_pair(tmp_path, f"cat{k}", 1.7) for k in range(4)]
    tone = 0.5 * np.sin(np.arange(round(1.7 * RATE)) / 5)
    soundfile.write(sources[0].audio, 0 * tone, RATE)
    soundfile.write(sources[1].audio, np.stack([tone, -tone], 1), RATE)
    soundfile.write(sources[2].audio, np.stack([tone, 0 * tone], 1), RATE)
    for _ in range(2):  # made, and read back from the shards
        report = prepare(sources, tmp_path / "out", SMALL, workers=1)
        found = {remark.file: remark.problem for remark in report.remarks}
        assert found.keys() == {"cat0.png", "cat1.png"}
        assert "silent" in found["cat0.png"]
        assert "cancel" in found["cat1.png"]
        assert "--channel 0" in str(report)
    # One channel brings the sound back.
    chosen = dataclasses.replace(SMALL, channel=1)
    report = prepare(sources[1:2], tmp_path / "one", chosen, workers=1)
    assert not report.remarks
    loaded = load_clips(tmp_path / "one", "train")
    assert loaded.waveform.abs().max() == pytest.approx(0.5 * 32767, rel=0.01)


def test_a_name_that_is_not_utf8_is_named(pairs, tmp_path):
    odd = os.fsdecode(b"caf\xe9.wav")
    pairs[0].audio.rename(tmp_path / "media" / odd)
    audio = tmp_path / "media" / odd
    source = dataclasses.replace(pairs[0], name=odd, recording=odd, audio=audio)
    report = prepare([source, *pairs[1:]], tmp_path / "out", SMALL, workers=1)
    assert len(report.written) == 7
    assert [p.file for p in report.problems] == [r"caf\xe9.wav"]
    assert "not UTF-8" in str(report).encode().decode()


@pytest.mark.slow
def test_a_class_has_its_letters_in_every_locale(pairs, tmp_path):
    """Text files are UTF-8, also where Python's own encoding is ASCII."""
    label = "\u5c0f\u63d0\u7434"
    named = [dataclasses.replace(source, label=label) for source in pairs]
    prepare(named, tmp_path / "out", SMALL, workers=1)
    code = (
        "import locale, sys\n"
        "from avnb.data.clips import load_clips\n"
        "assert locale.getencoding() != 'utf-8'\n"
        "print(ascii(load_clips(sys.argv[1], 'train').classes))\n"
    )
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")],
        env={**os.environ, **plain}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ascii([label])


def test_problems_of_one_kind_are_one_line():
    missing = [
        Problem(f"AVE/{k}.mp4", "the video is missing", "Download it")
        for k in range(4131)
    ]
    other = [
        Problem("a.wav", f"damaged: {k} of 9 packets of sound could be read", "Copy it")
        for k in range(2)
    ]
    report = PreparationReport("out", problems=[*missing, *other])
    lines = str(report).splitlines()
    assert "    4131 times: the video is missing. Download it" in lines
    assert "      AVE/0.mp4, AVE/1.mp4, AVE/2.mp4 and 4128 more" in lines
    assert any(line.startswith("    2 times: damaged: 0 of 9") for line in lines)
    assert len(lines) < 9


@pytest.mark.parametrize("seconds", [0.5, 0.4, 60.0])
def test_a_dry_run_counts_what_the_run_will_make(pairs, tmp_path, seconds):
    pairs[0].audio.write_bytes(b"RIFF")
    settings = dataclasses.replace(SMALL, seconds=seconds, fps=5.0)
    tried = prepare(pairs, tmp_path / "out", settings, workers=1, dry_run=True)
    done = prepare(pairs, tmp_path / "out", settings, workers=1)
    assert tried.written == done.written
    assert len(done.written) == (0 if seconds == 60 else 7)
    assert {p.file for p in tried.problems} == {p.file for p in done.problems}
    assert tried.dropped == pytest.approx(done.dropped)


@pytest.mark.parametrize(("seconds", "count"), [(1.0, 3), (0.5, 6)])
def test_the_picture_s_length_counts(media_folder, tmp_path, seconds, count):
    """3.00 s of picture, and sound that ends at 2.978 s."""
    film = media_folder / "talking" / "grid" / "bbaf2n.mpg"
    source = Source("a.mpg", "a", "a", film)
    settings = ClipSettings(seconds=seconds, fps=25.0, size=8, sample_rate=RATE)
    report = prepare([source], tmp_path / "out", settings, workers=1)
    assert report.written == {"a": count}
    assert report.dropped == pytest.approx(0.0, abs=1e-6)


def test_what_is_dropped_is_counted(tmp_path):
    source = write_pair(tmp_path, "cat0", 1.7)
    report = prepare([source], tmp_path / "out", SMALL, workers=1)
    assert report.dropped == pytest.approx(0.2)
    assert "0.20 s at the ends" in str(report)
