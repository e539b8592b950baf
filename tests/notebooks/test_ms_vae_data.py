"""Step 1 of ms_vae: what is annotated, and what answers without a model get."""

import functools

import ave_layout
import numpy as np
import pytest
import torch
from avnb_notebooks.ms_vae import step1_data as step1

from avnb import media
from avnb.data import clips as prepared
from avnb.data import shards
from avnb.data.clips import ClipBatch
from avnb.data.sources import ClipSettings
from avnb.errors import ClipsError
from data_scripts import ave


def clips(event: np.ndarray | None, fps: float, frames: int, n: int) -> ClipBatch:
    """Clips that hold nothing but what is annotated."""
    truth = {} if event is None else {"event": torch.from_numpy(event).float()}
    return ClipBatch(
        frames=torch.zeros(n, frames, 2, 2, 3, dtype=torch.uint8),
        waveform=torch.zeros(n, 1, 8, dtype=torch.int16),
        labels=torch.zeros(n, dtype=torch.long),
        classes=["Cat"],
        recordings=[f"video{k}" for k in range(n)],
        units=[f"video{k}" for k in range(n)],
        start=torch.zeros(n),
        peak=torch.ones(n),
        fps=fps,
        sample_rate=16000,
        truth=truth,
    )


def random_rows(count: int) -> list[ave.Row]:
    rng = np.random.default_rng(count)
    rows = []
    for k in range(count):
        start, end = sorted(rng.choice(11, 2, replace=False).tolist())
        rows.append(ave.Row(k, str(rng.choice(ave.KINDS)), f"video{k}", start, end))
    return rows


@pytest.mark.parametrize("fps", [1.0, 2.0, 4.0])
def test_frames_and_seconds_say_the_same(fps):
    rows = random_rows(60)
    event = np.array(
        [
            [float(row.start <= i / fps < row.end) for i in range(int(10 * fps))]
            for row in rows
        ]
    )
    spans = step1.read_spans(clips(event, fps, int(10 * fps), len(rows)))
    assert spans.tolist() == [[row.start, row.end] for row in rows]
    for row in rows:
        labels = step1.label_seconds(row).tolist()
        for t, label in enumerate(labels):
            inside = row.start <= t < row.end
            assert label == (ave.KINDS.index(row.label) if inside else 28)


def test_without_annotation_all_seconds_count():
    assert step1.read_spans(clips(None, 4.0, 12, 2)).tolist() == [[0, 3], [0, 3]]


def test_a_split_that_load_cannot_hold_is_looked_up(tmp_path, monkeypatch):
    """AVE's training videos are more than `load` takes: all are seen, in batches."""
    train = {"aaaaaaaaaaa": ("Cat", 0, 10), "bbbbbbbbbbb": ("Bus", 2, 5),
             "ccccccccccc": ("Cat", 7, 9)}  # fmt: skip
    rows = [f"{kind}&{name}&good&{a}&{b}" for name, (kind, a, b) in train.items()]
    splits = {"train": rows, "val": [], "test": ["Bus&ddddddddddd&good&1&4"]}
    ave_layout.write(tmp_path / "ave", splits)
    settings = ClipSettings(seconds=10.0, fps=2.0, size=16, sample_rate=8000)
    video = media.Clip(
        np.zeros((20, 16, 16, 3), np.uint8), np.zeros((1, 80000), np.float32), 2.0, 8000
    )
    for path in (tmp_path / "ave" / "AVE").glob("*.mp4"):
        media.write_clip(path, video)
    found, _ = ave.find_sources(tmp_path / "ave", settings)
    shards.prepare(found, tmp_path / "out", settings, workers=1)
    names = prepared.load_clips(tmp_path / "out", "train").recordings
    monkeypatch.setattr(prepared, "LOAD_LIMIT", 1)
    with pytest.raises(ClipsError, match="stream_clips"):
        prepared.load_clips(tmp_path / "out", "train")
    by_two = functools.partial(prepared.stream_clips, batch=2)
    monkeypatch.setattr(
        step1, "stream_clips", lambda folder, split, batch: by_two(folder, split)
    )
    spans, labels = step1.load_annotations(tmp_path / "out", "train")
    assert spans.tolist() == [[*train[name][1:]] for name in names]
    kinds = [("Bus", "Cat").index(train[name][0]) for name in names]
    assert labels.tolist() == kinds
    spans, labels = step1.load_annotations(tmp_path / "out", "val")
    assert spans.shape == (0, 2)
    assert labels.shape == (0,)


def test_answers_without_a_model_against_counting():
    rows = [row for row in random_rows(200) if row.end - row.start < 10]
    spans = torch.tensor([[row.start, row.end] for row in rows])
    guessed = first = last = 0.0
    for row in rows:
        length = row.end - row.start
        places = [t for t in range(10) if t + length <= 10]
        guessed += sum(t == row.start for t in places) / len(places)
        first += places[0] == row.start
        last += places[-1] == row.start
    wanted = [100 * share / len(rows) for share in (guessed, first, last)]
    assert list(step1.score_constant_answers(spans).values()) == pytest.approx(
        wanted, rel=1e-5
    )


def test_the_table_of_ave_is_that_of_its_statistics(tmp_path):
    """Read through the script from a set that is built to them."""
    found, _ = ave.find_sources(ave_layout.match_test_set(tmp_path))
    test = [source.span for source in found if source.split == "test"]
    answers = step1.score_constant_answers(torch.tensor(test).long())
    for name, printed in step1.AVE_MATCH.items():
        assert answers[name] == pytest.approx(printed, abs=0.05)
    assert (
        max(sum(both) / 2 for both in step1.TABLE_1.values()) < answers["always last"]
    )


def test_each_trap_is_named_and_the_rest_is_used(tmp_path):
    step1.write_traps(tmp_path)
    found, problems = ave.find_sources(tmp_path)
    assert {(s.recording, s.split) for s in found} == {
        ("bbbbbbbbbbb", "train"),
        ("bbbbbbbbbbb (Truck)", "train"),
        ("ggggggggggg", "val"),
        ("hhhhhhhhhhh", "test"),
        ("fffffffffff", "test"),
    }
    said = "\n".join(map(str, problems))
    for trap in (
        "no length", "'Unicorn'", "from 7 to 12", "two events: Bus, and Truck",
        "aaaaaaaaaaa.mp4: the video is missing", "is in train (Cat) and in test",
        "no 'Banjo' in training",
    ):  # fmt: skip
        assert trap in said
