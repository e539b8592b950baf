"""Step 1 of joint_gan: what its clips hold, what it refuses, and its readers."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from avnb_notebooks.joint_gan import series
from avnb_notebooks.joint_gan.step1_data import (
    SAMPLE_RATE,
    SAMPLES,
    Clips,
    cut_corners,
    find_examples,
    find_frame,
    hear_frames,
    list_quantities,
    load_clips,
    mark_frames,
    match_clock,
    measure_motion,
    measure_rise,
    name_by_nearest,
    require_clips,
    require_splits,
    take_clips,
)
from hypothesis import given
from hypothesis import strategies as st

from avnb.data.shards import prepare
from avnb.data.sources import ClipSettings, Source
from avnb.errors import ClipsError
from avnb.media import write_frames
from data_scripts import hmmd

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def make_clips(n: int = 6, fps: int = 10, seed: int = 0) -> Clips:
    random = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, (n, fps, 16, 16, 3), generator=random)
    return Clips(
        frames=frames.to(torch.uint8),
        waveforms=0.1 * torch.randn(n, SAMPLES, generator=random),
        labels=torch.arange(n) % 2,
        classes=("ghatam", "tabla"),
        units=[f"player {i // 2}" for i in range(n)],
        fps=fps,
        truth={"onset": (torch.rand(n, fps, generator=random) > 0.7).float()},
    )


# ------------------------------------------------------------------- the clips


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("fps", [10, 25])
def test_a_batch_has_the_shapes_and_the_range_of_the_networks(
    device: str, fps: int
) -> None:
    clips = make_clips(fps=fps)
    index = torch.tensor([4, 1, 1])
    frames, waveforms = clips.get_frames(index), clips.get_waveforms(index)
    assert frames.shape == (3, 3, fps, 16, 16)
    assert waveforms.shape == (3, 1, SAMPLES)
    # channel c of pixel (h, w) of frame t, by hand
    byte = int(clips.frames[4, 2, 5, 7, 1])
    assert frames[0, 1, 2, 5, 7].item() == pytest.approx(byte / 127.5 - 1, abs=1e-6)
    assert frames.min() >= -1
    assert frames.max() <= 1
    assert torch.equal(waveforms[1, 0], clips.waveforms[1])


def test_onsets_are_those_of_the_truth() -> None:
    clips = make_clips()
    assert torch.equal(clips.get_onsets(), clips.truth["onset"] == 1)
    with pytest.raises(ClipsError, match=r"onset_left: nobody knows it"):
        clips.get_onsets("left")


def test_examples_are_the_first_clips_of_the_classes_that_are_there() -> None:
    """All clips of a class may be silent, or of people of the other split."""
    clips = make_clips(6)
    assert find_examples(clips) == {"ghatam": 0, "tabla": 1}
    lone = replace(clips, labels=torch.ones(6, dtype=torch.int64))
    assert find_examples(lone) == {"tabla": 0}


def prepare_noise(
    root: Path,
    *,
    levels: list[float] | dict[str, list[float]],
    labels: tuple[str, ...] = ("a", "b"),
    settings: ClipSettings | None = None,
) -> Path:
    """Prepared clips of noise: in each class one video a split, one level a second.

    With a dict, class -> levels, the videos of the classes differ in length.
    """
    each = levels if isinstance(levels, dict) else dict.fromkeys(labels, levels)
    settings = settings or ClipSettings(
        1.024, hop=1.0, fps=10.0, size=16, sample_rate=SAMPLE_RATE
    )
    random = np.random.default_rng(1)
    sources = []
    for label, own in each.items():
        for split in ("train", "test"):
            noise = random.standard_normal((len(own) + 1, 16000))
            noise *= np.array([*own, own[-1]])[:, None]
            path = root / f"{label}_{split}.mp4"
            frames = np.zeros((10 * (len(own) + 1), 16, 16, 3), np.uint8)
            wave = noise.reshape(1, -1).astype(np.float32)
            write_frames(path, frames, wave, 10, 16000)
            sources.append(
                Source(path.name, path.stem, label, path, split=split,
                       duration=len(own) + 0.03)
            )  # fmt: skip
    prepare(sources, root / "clips", settings, workers=1)
    return root / "clips"


def test_silent_clips_are_left_out_and_counted(tmp_path: Path) -> None:
    folder = prepare_noise(tmp_path, levels=[0.1, 0.0, 0.1, 0.0001])
    clips = load_clips(folder, "train")
    assert (len(clips), clips.silent) == (4, 4)
    assert clips.frames.shape == (4, 10, 16, 16, 3)
    assert clips.waveforms.square().mean(1).sqrt().min() > 0.01
    assert clips.classes == ("a", "b")


def test_classes_are_named_in_words(tmp_path: Path) -> None:
    labels = ("acoustic_guitar", "tabla")
    folder = prepare_noise(tmp_path, levels=[0.1], labels=labels)
    assert load_clips(folder, "train").classes == ("acoustic guitar", "tabla")


def test_a_silent_split_is_an_error(tmp_path: Path) -> None:
    folder = prepare_noise(tmp_path, levels=[0.0, 0.0])
    with pytest.raises(ClipsError, match="all of its clips are silent"):
        load_clips(folder, "test")


def test_one_class_only_is_an_error(tmp_path: Path) -> None:
    folder = prepare_noise(tmp_path, levels=[0.1, 0.1], labels=("a",))
    with pytest.raises(ClipsError, match=r"one class only \(a\).*two sub-folders"):
        load_clips(folder, "train")


@pytest.mark.parametrize("given", [{"seconds": 1.0}, {"sample_rate": 8000}])
def test_clips_of_another_length_or_rate_are_an_error(
    given: dict, tmp_path: Path
) -> None:
    settings = {"seconds": 1.024, "hop": 1.0, "sample_rate": 16000} | given
    made = ClipSettings(fps=10.0, size=16, **settings)
    folder = prepare_noise(tmp_path, levels=[0.1, 0.1], settings=made)
    with pytest.raises(ClipsError, match=r"not 16384 at 16000.*avnb prepare hmmd"):
        load_clips(folder, "train")


def test_fewer_clips_than_a_batch_are_an_error() -> None:
    require_clips(make_clips(6), 6, "a batch")
    with pytest.raises(ClipsError, match="a batch: it needs 7 clips, and there are 6"):
        require_clips(make_clips(6), 7, "a batch")


def test_splits_of_which_no_distance_can_be_measured_are_an_error() -> None:
    require_splits(make_clips(8), make_clips(8))
    for sizes, part in (((7, 8), "training"), ((8, 7), "held-out")):
        with pytest.raises(ClipsError, match=f"{part} part: it needs 8 clips.* are 7"):
            require_splits(*(make_clips(n) for n in sizes))


def test_the_26th_frame_of_25_a_second_is_dropped(tmp_path: Path) -> None:
    made = ClipSettings(1.024, hop=1.0, fps=25.0, size=16, sample_rate=16000)
    folder = prepare_noise(tmp_path, levels=[0.1, 0.1], settings=made)
    clips = load_clips(folder, "train")
    assert (clips.frames.shape[1], clips.fps) == (25, 25)


# ----------------------------------------------------------------------- clock


@given(st.integers(0, 24), st.floats(0, 0.999), st.sampled_from([10, 25, 30]))
def test_a_moment_lies_in_the_frame_that_is_seen_then(
    frame: int, share: float, fps: int
) -> None:
    t = (frame + share) / fps
    k = int(find_frame(torch.tensor([t], dtype=torch.float64), fps))
    assert k / fps <= t + 1e-6
    assert t < (k + 1) / fps + 1e-6


def test_a_moment_at_a_frames_start_belongs_to_it() -> None:
    starts = torch.arange(25, dtype=torch.float64) / 25
    assert find_frame(starts, 25).tolist() == list(range(25))
    # 0.29 · 100 is 28.999999999999996
    assert find_frame(torch.tensor([0.29], dtype=torch.float64), 100).item() == 29


@pytest.mark.parametrize("fps", [10, 25])
def test_a_click_rises_in_its_frame(fps: int) -> None:
    random = torch.Generator().manual_seed(fps)
    times = torch.rand(20, generator=random).double() * 0.95 + 0.02
    waveforms = 1e-4 * torch.randn(20, SAMPLES, generator=random)
    for row, t in zip(waveforms, times.tolist(), strict=True):
        row[int(t * SAMPLE_RATE)] += 0.5
    rise = measure_rise(waveforms, fps)
    assert rise.shape == (20, fps)
    assert torch.equal(rise.argmax(1), find_frame(times, fps))
    starts = torch.zeros(20, fps, dtype=torch.bool)
    starts[torch.arange(20), find_frame(times, fps)] = True
    assert match_clock(rise, starts) == 1.0
    assert match_clock(rise, starts, shift=2) == 0.0
    # Clips in which nothing starts do not count.
    none = torch.cat([starts, torch.zeros_like(starts)])
    assert match_clock(torch.cat([rise, rise]), none) == 1.0


def test_marked_frames_have_a_red_bar() -> None:
    frames = torch.zeros(4, 8, 8, 3, dtype=torch.uint8)
    strip = mark_frames(frames, torch.tensor([False, True, False, False]))
    assert strip.shape == (8, 32, 3)
    assert strip[:3, 8:16, 0].min() > 200
    assert strip[:, :8].max() == strip[:, 16:].max() == strip[3:].max() == 0
    assert frames.max() == 0  # the clip itself is not painted on


# --------------------------------------------------------- splits and shortcuts


def test_corners_see_the_room_and_nothing_else() -> None:
    clips = make_clips()
    before = cut_corners(clips)
    assert before.shape == (6, 48)
    clips.frames[:, 0, 4:12, 4:12] = 0  # the middle
    clips.frames[:, 1:] = 0  # later frames
    assert torch.equal(cut_corners(clips), before)
    clips.frames[:, 0, 0, 15] = 0
    assert not torch.equal(cut_corners(clips), before)


def test_twins_on_both_sides_give_the_class_away() -> None:
    random = torch.Generator().manual_seed(3)
    rooms = torch.rand(8, 5, generator=random)  # one a video, whatever the class
    labels = torch.randint(0, 2, (8,), generator=random)
    near = (rooms[:, None] + 1e-3 * torch.rand(8, 4, 5, generator=random)).flatten(0, 1)
    every = labels.repeat_interleave(4)
    even, odd = slice(0, None, 2), slice(1, None, 2)
    assert name_by_nearest(near[even], every[even], near[odd], every[odd]) == 1.0
    # By video, a plain loop says the same.
    seen, asked = near[:16], near[16:]
    right = [
        every[:16][int((seen - one).norm(dim=1).argmin())] == answer
        for one, answer in zip(asked, every[16:], strict=True)
    ]
    mine = name_by_nearest(seen, every[:16], asked, every[16:])
    assert mine == pytest.approx(float(np.mean([bool(r) for r in right])))


# --------------------------------------------------------------------- oracles


@pytest.mark.parametrize("fps", [10, 25])
def test_the_spectrum_of_a_frame_is_that_of_its_moment(fps: int) -> None:
    quiet = torch.zeros(1, SAMPLES)
    loud = quiet.clone()
    start = int(0.44 * SAMPLE_RATE)
    tone = torch.sin(2 * math.pi * 3000 * torch.arange(200) / SAMPLE_RATE)
    loud[0, start : start + 200] = tone
    change = hear_frames(loud, fps) - hear_frames(quiet, fps)
    assert change.shape == (fps, 96)
    touched = change.abs().sum(1).nonzero()[:, 0].tolist()
    frames = find_frame(torch.tensor([start, start + 199]) / SAMPLE_RATE, fps)
    assert touched == list(range(int(frames[0]), int(frames[1]) + 1))
    # 3 kHz is in the upper bands and not in the lowest.
    bands = change[touched[0]].unflatten(0, (4, 24)).amax(0)
    assert bands.argmax() > 12


def test_motion_is_the_change_from_the_frame_before() -> None:
    frames = torch.zeros(1, 4, 8, 8, 3, dtype=torch.uint8)
    frames[0, 2, 0, 0] = 255
    motion = measure_motion(frames)
    assert motion.tolist() == [[0.0, 0.0, pytest.approx(1 / 64), pytest.approx(1 / 64)]]


def test_runs_of_neighbours_are_taken_whole() -> None:
    clips = make_clips(60)
    clips.truth["which"] = torch.arange(60.0)[:, None].expand(60, 10)
    taken = take_clips(clips, 12)
    order = taken.truth["which"][:, 0].long()
    assert len(taken) == 12
    assert torch.equal(order.unflatten(0, (-1, 6)).diff(dim=1), torch.ones(2, 5).long())
    assert torch.equal(taken.labels, clips.labels[order])
    assert taken.units == [clips.units[i] for i in order.tolist()]
    assert list_quantities(taken)["something starts"].shape == (120,)


# ------------------------------------------------------------------ the series


def test_the_embedded_data_are_what_the_series_wants() -> None:
    script, scales = series.EMBEDDED
    assert script == "hands"
    for options in scales.values():
        chosen = options.get("classes", "").split(",") if "classes" in options else []
        assert set(chosen) <= set(hmmd.TABLE_2)
    assert scales["paper"]["table2"]
    # At `laptop` a fifth of the people is tested on: at least eight unheard ones.
    assert round(0.2 * scales["laptop"]["videos"]) >= 8
