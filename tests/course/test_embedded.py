"""The embedded data: a seed is a world of its own, made once, and drawn again."""

from pathlib import Path

import pytest
import torch

from avnb.course.embedded import (
    identify_embedded_data,
    make_embedded_data,
    redraw_embedded,
)
from avnb.course.lesson import Lesson
from avnb.course.series import load_series
from avnb.data.clips import ClipBatch, load_clips

SERIES = "deep_cross_modal"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two recordings an instrument, half a second each, in a home of their own."""
    script, _ = load_series(SERIES).EMBEDDED
    embedded = (script, {"smoke": {"songs": 2, "length": 0.5}})
    monkeypatch.setattr(load_series(SERIES), "EMBEDDED", embedded)
    monkeypatch.setenv("AVNB_HOME", str(tmp_path))
    return tmp_path


def load(folder: Path) -> ClipBatch:
    return load_clips(folder, "test")


@pytest.mark.slow
def test_each_seed_is_a_world_of_its_own(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [make_embedded_data("smoke", SERIES, seed) for seed in (0, 1)]
    assert "seed 1 (once)" in capsys.readouterr().out
    one, two = (load(folder) for folder in folders)
    assert one.recordings == two.recordings  # the names, but nothing else
    assert not set(one.units) & set(two.units)
    assert (one.waveform != two.waveform).any(dim=(1, 2)).all()
    assert (one.frames != two.frames).flatten(1).any(dim=1).all()
    # The first is still there: it is not made again, and not overwritten.
    assert make_embedded_data("smoke", SERIES, 0) == folders[0]
    assert capsys.readouterr().out == ""
    assert torch.equal(load(folders[0]).frames, one.frames)
    # A run's fingerprint knows which world it saw.
    known = [identify_embedded_data("smoke", SERIES, seed) for seed in (0, 0, 1)]
    assert known[0] == known[1] != known[2]


@pytest.mark.slow
def test_changed_options_lie_beside_the_data_of_the_scale(small: Path) -> None:
    """As what one plays with, which no run may take for its own."""
    own = make_embedded_data("smoke", SERIES, 0)
    longer = make_embedded_data("smoke", SERIES, 0, {"length": 1.0})
    assert longer != own
    assert len(load(longer)) == 2 * len(load(own))
    assert make_embedded_data("smoke", SERIES, 0) == own
    assert load_series(SERIES).EMBEDDED[1]["smoke"]["length"] == 0.5
    changed = identify_embedded_data("smoke", SERIES, 0, {"length": 1.0})
    assert changed != identify_embedded_data("smoke", SERIES, 0)


@pytest.mark.slow
def test_a_lesson_draws_its_pictures_again(small: Path, tmp_path: Path) -> None:
    lesson = Lesson(SERIES, "step1_data", "smoke", 1, tmp_path / "run", {})
    held = load(lesson.data)
    times = held.start.tolist()
    same = lesson.redraw(held.recordings, times, without="")
    assert (same == held.frames[:, 0].numpy()).all()
    bare = lesson.redraw(held.recordings, times, without="instrument")
    assert (bare != same).any(axis=(1, 2, 3)).all()
    own = Lesson(SERIES, "step1_data", "smoke", 1, tmp_path, {}, str(lesson.data))
    assert own.redraw(held.recordings, times, without="") is None
    # Videos of events are not drawn frame by frame from their clips' names.
    assert redraw_embedded("smoke", "ms_vae", 0, [], [], "") is None
