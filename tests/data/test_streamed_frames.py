"""A recording whose frames stay in its shard: equal frames, bounded memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from avnb_notebooks.listen_and_move import step1_data as data

from avnb import media
from avnb.data import clips, shards
from avnb.data.shards import prepare
from avnb.errors import ClipsError
from data_scripts import single_video


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 s of 64 x 64, of which 32 s are for training; two clips in a row group."""
    folder = tmp_path_factory.mktemp("film")
    random = np.random.default_rng(1)
    coarse = random.integers(0, 256, (800, 8, 8, 3), dtype=np.uint8)
    sound = random.uniform(-0.5, 0.5, (1, 40 * 16000)).astype(np.float32)
    frames = coarse.repeat(8, axis=1).repeat(8, axis=2)
    media.write_clip(folder / "film.mp4", media.Clip(frames, sound, 20.0, 16000))
    settings = single_video.SETTINGS
    sources, problems = single_video.find_sources(folder / "film.mp4", settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "ROW_GROUP", 2 * settings.row_bytes)
        report = prepare(
            sources, folder / "clips", settings, problems=problems, workers=1
        )
    assert not report.problems
    return folder / "clips"


def test_streamed_frames_are_the_loaded_ones(film: Path) -> None:
    whole = clips.load_recording(film, "train")
    streamed = clips.stream_recording(film, "train")
    assert streamed.frames.shape == whole.frames.shape == (640, 64, 64, 3)
    for part in (slice(0, 5), slice(37, 43), slice(20, 130, 7), slice(-3, None)):
        assert torch.equal(streamed.frames[part], whole.frames[part])
    assert torch.equal(torch.cat([*streamed.frames.split(100)]), whole.frames)
    assert torch.equal(streamed.waveform, whole.waveform)
    assert torch.equal(streamed.times, whole.times)
    assert streamed.truth == whole.truth == {}
    with pytest.raises(ValueError, match="forwards"):
        streamed.frames[::-1]


def test_a_streamed_video_is_the_loaded_one(film: Path) -> None:
    whole, streamed = (
        data.load_performer_video(film, "train", stream=stream)
        for stream in (False, True)
    )
    for one, other in zip(whole.window(99, 16), streamed.window(99, 16), strict=True):
        assert torch.equal(one, other)
    for measure in (data.find_moving_pixels, data.average_frames):
        assert torch.equal(measure(whole.frames), measure(streamed.frames))


def test_memory_is_that_of_the_groups_that_are_kept(film: Path) -> None:
    """Two readers, window after window: never near the 7.9 MB of the whole film."""
    tracemalloc.start()
    start = pa.total_allocated_bytes()
    streamed = clips.stream_recording(film, "train", kept=2)
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    most = 0
    for place in range(0, 288, 32):
        for reader in range(2):
            begin = place + 320 * reader
            assert len(streamed.frames[begin : begin + 32]) == 32
            most = max(most, pa.total_allocated_bytes() - start)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    group = 2 * 20 * 64 * 64 * 3
    assert peak - before < 5 * group  # two kept, one that is made of its parts
    assert most < 4 * group
    assert len(streamed) * 64 * 64 * 3 == 16 * group


def test_a_damaged_group_is_named(film: Path, tmp_path: Path) -> None:
    for path in film.rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(film)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
    streamed = clips.stream_recording(tmp_path, "train")
    (shard,) = (tmp_path / "train").glob("*.parquet")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(content)
    with pytest.raises(ClipsError, match=f"{shard.name}: it is damaged"):
        list(streamed.frames.split(64))
