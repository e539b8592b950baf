"""AVE as downloaded: each of its traps is named, and costs nothing else."""

import shutil
import sys
from pathlib import Path

import ave_layout
import numpy as np
import pytest
from typer.testing import CliRunner

from avnb import media
from avnb.course.lesson import check_data
from avnb.data import scripts
from avnb.data.clips import load_clips
from avnb.data.shards import prepare
from avnb.data.sources import ClipSettings
from avnb.errors import ClipsError, LessonError
from data_scripts import ave, folder
from data_scripts.ave import KINDS
from data_scripts.bandstand import prepare_events as events

RATE = 8000
SMALL = ClipSettings(seconds=10.0, fps=4.0, size=16, sample_rate=RATE)
CAT, BUS, GOAT = "Cat", "Bus", "Goat"
GOOD = {
    "train": [f"{CAT}&aaaaaaaaaaa&good&0&10", f"{BUS}&bbbbbbbbbbb&good&2&5"],
    "val": [f"{CAT}&ccccccccccc&good&5&10"],
    "test": [f"{BUS}&-dddddddddd&good&0&4"],
}


def write_video(path: Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    frames = rng.integers(0, 255, (round(4 * seconds), 16, 16, 3)).astype(np.uint8)
    wave = rng.uniform(-0.5, 0.5, (1, round(RATE * seconds))).astype(np.float32)
    media.write_clip(path, media.Clip(frames, wave, 4.0, RATE))


def said(problems) -> str:
    return "\n".join(map(str, problems))


def spans(found) -> dict[str, tuple]:
    return {s.recording: (s.label, s.split, s.span) for s in found}


# ----------------------------------------------------------------- reading


def test_annotations_without_a_video_are_refused_with_what_to_do(tmp_path):
    """The commonest case: the annotations are public, and the videos are not."""
    rows = [f"{KINDS[k % 28]}&video{k:06d}&good&2&5" for k in range(4131)]
    splits = {"train": rows[:3300], "val": rows[3300:3700], "test": rows[3700:]}
    ave_layout.write(tmp_path / "ave", splits, videos=False)
    found, problems = ave.find_sources(tmp_path / "ave")
    assert not found
    report = prepare(found, tmp_path / "out", SMALL, problems=problems, workers=1)
    lines = str(report).splitlines()
    assert sum("the video is missing" in line for line in lines) == 1
    assert "4131 times: the video is missing. Unpack AVE_Dataset.zip" in str(report)
    with pytest.raises(LessonError) as error:
        check_data(tmp_path / "out", "ms_vae")
    assert "train holds no recording; test holds no recording" in str(error.value)
    assert "4131 times: the video is missing. Unpack" in str(error.value)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_header_and_line_ends_change_nothing(tmp_path, header, end):
    lines = [line for split in GOOD.values() for line in split]
    if header:
        lines.insert(0, "Category&VideoID&Quality&StartTime&EndTime")
    ave_layout.write(tmp_path, GOOD, annotations=end.join(lines) + end)
    for split, rows in GOOD.items():
        text = end.join((lines[:1] if header else []) + rows) + end
        (tmp_path / f"{split}Set.txt").write_bytes(text.encode())
    found, problems = ave.find_sources(tmp_path)
    assert spans(found) == {
        "aaaaaaaaaaa": (CAT, "train", (0, 10)),
        "bbbbbbbbbbb": (BUS, "train", (2, 5)),
        "ccccccccccc": (CAT, "val", (5, 10)),
        "-dddddddddd": (BUS, "test", (0, 4)),
    }
    assert not problems


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("Church bell&VWi2ENBuTbw&good&0&0", "no length, from 0 to 0"),
        ("Cat&eeeeeeeeeee&good&3", "4 fields and not 5"),
        ("Cat&eeeeeeeeeee&good&3&8&9", "6 fields and not 5"),
        ("Dog&eeeeeeeeeee&good&3&8", "a class that AVE does not have, 'Dog'"),
        ("Cat&eeeeeeeeeee&good&3&11", "from 3 to 11, not within 0 to 10"),
        ("Cat&eeeeeeeeeee&good&8&3", "from 8 to 3"),
        ("Cat&eeeeeeeeeee&good&-1&3", "no whole seconds, '-1'"),
        ("Cat&eeeeeeeeeee&good&nan&3", "no whole seconds, 'nan'"),
        ("Cat&eeeeeeeeeee&good&1.5&3", "no whole seconds, '1.5'"),
        ("Cat&../../secret&good&1&3", "no YouTube id, '../../secret'"),
        ("Cat&aaaaaaaaaaa&good&0&10", "a second time: 'Cat&aaaaaaaaaaa"),
        ("\ufffd\x00&&&&", "class that AVE does not have"),
    ],
)
def test_a_bad_line_is_named_and_costs_nothing_else(tmp_path, line, what):
    splits = GOOD | {"train": [GOOD["train"][0], line, GOOD["train"][1]]}
    lines = [row for split in splits.values() for row in split]
    ave_layout.write(tmp_path, GOOD, annotations="\n".join(lines))
    found, problems = ave.find_sources(tmp_path)
    assert what in said(problems)
    assert "row 2" in said(problems)
    assert len(problems) == 1
    assert len(found) == 4
    assert spans(found)["bbbbbbbbbbb"] == (BUS, "train", (2, 5))


def test_bytes_that_are_no_text_are_bad_lines(tmp_path):
    ave_layout.write(tmp_path, GOOD)
    path = tmp_path / "Annotations.txt"
    clean = path.read_bytes()
    path.write_bytes("\ufeff".encode() + clean)  # what some editors begin a file with
    assert len(ave.find_sources(tmp_path)[0]) == 4
    assert not ave.find_sources(tmp_path)[1]
    path.write_bytes(b"\xff\xfe\x80junk\n" + clean)
    found, problems = ave.find_sources(tmp_path)
    assert len(found) == 4
    assert "1 fields and not 5" in said(problems)


def test_a_file_of_endless_lines_is_not_read(tmp_path, monkeypatch):
    ave_layout.write(tmp_path, GOOD)
    monkeypatch.setattr(ave, "BYTES_LIMIT", 10)
    with pytest.raises(ClipsError, match="are not AVE's"):
        ave.find_sources(tmp_path)


@pytest.mark.parametrize("name", ["Annotations.txt", "valSet.txt"])
def test_a_missing_file_is_an_error_that_names_it(tmp_path, name):
    ave_layout.write(tmp_path, GOOD)
    (tmp_path / name).unlink()
    with pytest.raises(ClipsError, match=name):
        ave.find_sources(tmp_path)


# ------------------------------------------------------------------ splits


def test_rows_in_no_split_and_lines_of_no_row_are_named(tmp_path):
    ave_layout.write(tmp_path, GOOD)
    with (tmp_path / "Annotations.txt").open("a") as file:
        file.write(f"{GOAT}&eeeeeeeeeee&good&0&3\n")
    with (tmp_path / "testSet.txt").open("a") as file:
        file.write("Goat&fffffffffff&good&0&3\nnonsense\n")
    found, problems = ave.find_sources(tmp_path)
    assert len(found) == 4
    assert "1 rows are in no split, the first is eeeeeeeeeee" in said(problems)
    assert "testSet.txt: row 2" in said(problems)
    assert "testSet.txt: row 3" in said(problems)


def test_an_id_in_two_splits_stays_in_the_test(tmp_path):
    leak = {
        "train": [*GOOD["train"], f"{GOAT}&-dddddddddd&good&5&7"],
        "val": [*GOOD["val"], f"{CAT}&bbbbbbbbbbb&good&6&8"],
        "test": GOOD["test"],
    }
    ave_layout.write(tmp_path, leak)
    found, problems = ave.find_sources(tmp_path)
    assert spans(found) == {
        "aaaaaaaaaaa": (CAT, "train", (0, 10)),
        "ccccccccccc": (CAT, "val", (5, 10)),
        "bbbbbbbbbbb": (CAT, "val", (6, 8)),
        "-dddddddddd": (BUS, "test", (0, 4)),
    }
    leaks = [p for p in problems if "training would see it" in p.problem]
    assert {p.file for p in leaks} == {"AVE/-dddddddddd.mp4", "AVE/bbbbbbbbbbb.mp4"}
    assert "it stays in test, its row in train is left out" in said(leaks)
    assert "no 'Bus' in training, and 1 in the test" in said(problems)


def test_all_events_of_a_video_are_recordings_of_one_group(tmp_path):
    more = [f"{BUS}&aaaaaaaaaaa&good&{span}" for span in ("0&2", "6&9", "6&8")]
    ave_layout.write(tmp_path, GOOD | {"train": GOOD["train"] + more})
    found, problems = ave.find_sources(tmp_path)
    mine = [source for source in found if source.group == "aaaaaaaaaaa"]
    assert spans(mine) == {
        "aaaaaaaaaaa": (CAT, "train", (0, 10)),
        "aaaaaaaaaaa (Bus)": (BUS, "train", (0, 2)),
        "aaaaaaaaaaa (Bus, from 6 to 9)": (BUS, "train", (6, 9)),
        "aaaaaaaaaaa (Bus, from 6 to 8)": (BUS, "train", (6, 8)),
    }
    assert len({source.name for source in found}) == len(found)
    assert said(problems).count("AVE/aaaaaaaaaaa.mp4: has two events: Cat") == 3


def test_the_statistics_of_aves_test_split(tmp_path):
    """Without a model: 35.3 % always first, 46.8 % always last, 20.8 % at random."""
    found, problems = ave.find_sources(ave_layout.match_test_set(tmp_path))
    test = [source.span for source in found if source.split == "test"]
    assert len(test) == 402
    assert all(2 <= end - start <= 9 for start, end in test)
    first = sum(start == 0 for start, _ in test)
    last = sum(end == 10 for _, end in test)
    assert (first, last) == (142, 188)
    assert 100 * first / 402 == pytest.approx(35.3, abs=0.05)
    assert 100 * last / 402 == pytest.approx(46.8, abs=0.05)
    starts = [10 - (end - start) + 1 for start, end in test]
    assert 100 * np.mean(1 / np.array(starts)) == pytest.approx(20.8, abs=0.05)
    unseen = [s for s in found if s.split == "test" and s.label in ave_layout.UNSEEN]
    assert len(unseen) == 48
    assert "no 'Church bell' in training, and 24 in the test" in said(problems)
    assert len(problems) == 2


# ---------------------------------------------------------------- h5 files


def test_without_h5py_the_error_says_what_to_do(tmp_path, monkeypatch):
    ave_layout.write(tmp_path, GOOD)
    (tmp_path / "train_order_match.h5").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ClipsError, match=r"needs h5py.*--split-family files"):
        ave.find_sources(tmp_path, split_family="match")
    (tmp_path / "labels.h5").write_bytes(b"x")  # it is compared where it can be
    found, problems = ave.find_sources(tmp_path)
    assert len(found) == 4
    assert "labels.h5" in said(problems)
    assert "was not compared" in said(problems)


def write_h5(path: Path, **data) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra `ave` is not installed")
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in data.items():
            file[name] = values


def test_the_h5_families_index_the_rows_bad_ones_included(tmp_path):
    lines = [line for split in GOOD.values() for line in split]
    lines.insert(1, "Church bell&VWi2ENBuTbw&good&0&0")
    ave_layout.write(tmp_path, GOOD, annotations="\n".join(lines))
    orders = {"train": [2, 0], "val": [1, 3], "test": [4, 99]}
    for split, order in orders.items():
        write_h5(tmp_path / "data" / f"{split}_order_match.h5", order=order)
    found, problems = ave.find_sources(tmp_path, split_family="match")
    assert [s.recording for s in found] == [
        "bbbbbbbbbbb", "aaaaaaaaaaa", "ccccccccccc", "-dddddddddd",
    ]  # fmt: skip
    assert "val_order_match.h5: 1 of its rows are not usable, the first is 1" in said(
        problems
    )
    assert "test_order_match.h5: 1 of its rows are not usable, the first is 99" in said(
        problems
    )


def test_h5_files_of_something_else_are_errors(tmp_path):
    path = tmp_path / "a.h5"
    for values in ([[1, 2]], [b"text"]):
        write_h5(path, order=values)
        with pytest.raises(ClipsError, match=r"a\.h5.*'order'"):
            ave.read_h5(path, "order", 1)
    with pytest.raises(ClipsError, match="'other'"):
        ave.read_h5(path, "other", 1)
    path.write_bytes(b"no hdf5")
    with pytest.raises(ClipsError, match="Download it again"):
        ave.read_h5(path, "order", 1)


def test_labels_that_disagree_name_their_video(tmp_path):
    ave_layout.write(tmp_path, GOOD)
    labels = np.zeros((4, 10, 29))
    for k, (kind, start, end) in enumerate(
        [(CAT, 0, 10), (BUS, 2, 5), (CAT, 5, 10), (BUS, 1, 4)]
    ):
        labels[k, :, 28] = 1
        labels[k, start:end] = np.eye(29)[KINDS.index(kind)]
    write_h5(tmp_path / "labels.h5", avadataset=labels)
    _, problems = ave.find_sources(tmp_path)
    assert [p.file for p in problems] == ["AVE/-dddddddddd.mp4"]


def test_disagreeing_labels_against_a_plain_loop():
    rng = np.random.default_rng(3)
    rows = [
        ave.Row(k, str(rng.choice(KINDS)), f"video{k}", int(a), int(b))
        for k, (a, b) in enumerate(np.sort(rng.permuted(
            np.tile(np.arange(11), (40, 1)), axis=1)[:, :2], axis=1))
    ]  # fmt: skip
    labels = np.zeros((39, 10, 29))  # and the last row has none
    for row in rows[:39]:
        for second in range(10):
            inside = row.start <= second < row.end
            labels[row.number, second, KINDS.index(row.label) if inside else 28] = 1
    wrong = rng.choice(39, 8, replace=False).tolist()
    for number in wrong:
        second = rng.integers(10)
        labels[number, second] = np.roll(labels[number, second], 1)
    found = ave.find_disagreements(labels, rows)
    assert [row.number for row in found] == sorted([*wrong, 39])
    assert ave.find_disagreements(labels[:, :9], rows) == rows


# ---------------------------------------------------------------- preparing


def test_what_is_prepared_has_the_event_second_for_second(tmp_path):
    """Two events of a video are two rows; missing and short videos are named."""
    splits = {
        "train": [*GOOD["train"], f"{GOAT}&bbbbbbbbbbb&good&5&7",
                  f"{GOAT}&missing0000&good&0&3", f"{GOAT}&short000000&good&0&3"],
        "val": GOOD["val"],
        "test": GOOD["test"],
    }  # fmt: skip
    ave_layout.write(tmp_path / "ave", splits)
    lengths = {"aaaaaaaaaaa": 10.5, "bbbbbbbbbbb": 10.0, "ccccccccccc": 10.0,
               "-dddddddddd": 9.95, "short000000": 9.0}  # fmt: skip
    for name, seconds in lengths.items():
        write_video(tmp_path / "ave" / "AVE" / f"{name}.mp4", seconds)
    (tmp_path / "ave" / "AVE" / "missing0000.mp4").unlink()
    found, problems = ave.find_sources(tmp_path / "ave", SMALL)
    report = prepare(found, tmp_path / "out", SMALL, problems=problems, workers=1)
    assert "AVE/missing0000.mp4: the video is missing" in str(report)
    assert "AVE/short000000.mp4: shorter than one clip of 10.0 s" in str(report)
    assert "AVE/bbbbbbbbbbb.mp4: has two events: Bus, and Goat" in str(report)
    wanted = {
        "train": {"aaaaaaaaaaa": (CAT, 0, 10), "bbbbbbbbbbb": (BUS, 2, 5),
                  "bbbbbbbbbbb (Goat)": (GOAT, 5, 7)},
        "val": {"ccccccccccc": (CAT, 5, 10)},
        "test": {"-dddddddddd": (BUS, 0, 4)},
    }  # fmt: skip
    for split, rows in wanted.items():
        clips = load_clips(tmp_path / "out", split)
        assert sorted(clips.recordings) == sorted(rows)
        for k, name in enumerate(clips.recordings):
            kind, start, end = rows[name]
            assert clips.classes[int(clips.labels[k])] == kind
            by_hand = [float(start <= i / 4 < end) for i in range(40)]
            assert clips.truth["event"][k].tolist() == by_hand
    again = prepare(found, tmp_path / "out", SMALL, problems=problems, workers=1)
    assert not again.written or set(again.written) <= {"short000000"}
    assert set(again.skipped) == set(report.written)


def test_another_span_is_prepared_anew(tmp_path):
    ave_layout.write(tmp_path / "ave", GOOD)
    for split in GOOD.values():
        for line in split:
            write_video(tmp_path / "ave" / "AVE" / f"{line.split('&')[1]}.mp4", 10)
    found, _ = ave.find_sources(tmp_path / "ave", SMALL)
    prepare(found, tmp_path / "out", SMALL, workers=1)
    text = (tmp_path / "ave" / "Annotations.txt").read_text()
    (tmp_path / "ave" / "Annotations.txt").write_text(text.replace("&2&5", "&2&6"))
    found, problems = ave.find_sources(tmp_path / "ave", SMALL)
    assert "other seconds than Annotations.txt" in said(problems)  # trainSet.txt's are
    report = prepare(found, tmp_path / "out", SMALL, workers=1)
    assert list(report.written) == ["bbbbbbbbbbb"]
    at = load_clips(tmp_path / "out", "train")
    events_of = dict(zip(at.recordings, at.truth["event"].sum(dim=1), strict=True))
    assert events_of["bbbbbbbbbbb"] == 4 * SMALL.fps


WORLD = {"videos": 32, "validation": 2, "test": 2, "video_fps": 2}
TINY = ClipSettings(seconds=10.0, fps=2.0, size=32, sample_rate=RATE, seed=2)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The bandstand's videos in AVE's layout, and what reading them gives."""
    files = tmp_path_factory.mktemp("events")
    return files, *events.find_sources(files, TINY, **WORLD)


@pytest.mark.slow
def test_the_bandstand_round_trip(tmp_path, drawn):
    """Written in AVE's layout and read by its script: no problem, the truth is kept."""
    files, found, problems = drawn
    assert not problems
    report = prepare(found, tmp_path, TINY)
    assert not report.problems
    assert [sum(n.values()) for n in report.splits.values()] == [28, 2, 2]
    test = load_clips(tmp_path, "test")
    known = {source.recording: source.span for source in found}
    assert test.frames.shape == (2, 20, 32, 32, 3)
    for k, name in enumerate(test.recordings):
        during = test.truth["event"][k] == 1
        assert 4 <= during.sum() < 20
        assert during.nonzero()[0].item() == 2 * known[name][0]
        loud = test.waveform[k, 0].float().reshape(20, -1).square().mean(dim=1)
        assert loud[during].mean() > 4 * loud[~during].mean()
        assert test.truth["loudness"][k][~during].max() == 0
    with pytest.raises(ClipsError, match="other settings"):
        events.find_sources(files, TINY, **WORLD | {"videos": 36})
    with pytest.raises(ClipsError, match="validation = 2"):
        events.find_sources(tmp_path / "new", TINY, videos=4, validation=2, test=2)
    seen, _ = events.find_sources(files, TINY, **WORLD, dry_run=True)
    assert seen == found


@pytest.mark.slow
def test_the_command_prepares_and_says_the_traps(tmp_path, drawn):
    shutil.copytree(drawn[0], tmp_path / "ave")
    next((tmp_path / "ave" / "AVE").glob("*.mp4")).unlink()
    arguments = ["ave", "--source", tmp_path / "ave", "--out", tmp_path / "out",
                 "--size", 16, "--sample-rate", RATE, "--workers", 1]  # fmt: skip
    ran = CliRunner().invoke(scripts.build_app(), list(map(str, arguments)))
    assert ran.exit_code == 0, ran.output
    assert "31 clips" in ran.output
    assert "the video is missing" in ran.output
    (tmp_path / "ave" / "testSet.txt").unlink()
    ran = CliRunner().invoke(scripts.build_app(), list(map(str, arguments)))
    assert ran.exit_code == 1
    assert "testSet.txt" in ran.output


@pytest.mark.slow
def test_real_events_of_a_few_seconds(tmp_path, media_folder):
    """Own recordings, one sub-folder a class: clips of 3 s, no annotated event."""
    settings = ClipSettings(seconds=3.0, fps=2.0, size=64, sample_rate=16000)
    found, problems = folder.find_sources(media_folder / "events", settings)
    report = prepare(found, tmp_path, settings, problems=problems)
    train = load_clips(tmp_path, "train")
    assert len(train) >= 15
    assert len(set(train.labels.tolist())) >= 5
    assert train.frames.shape[1:] == (6, 64, 64, 3)
    assert "event" not in train.truth
    assert len(load_clips(tmp_path, "test")) >= 3
    assert not [p for p in report.problems if "shorter" not in p.problem]


def test_labels_of_another_shape_are_one_problem(tmp_path, monkeypatch):
    ave_layout.write(tmp_path, GOOD)
    (tmp_path / "labels.h5").write_bytes(b"x")
    monkeypatch.setattr(ave, "read_h5", lambda *_: np.zeros((4, 10, 28)))
    found, problems = ave.find_sources(tmp_path)
    assert len(found) == 4
    assert [p.file for p in problems] == ["labels.h5"]
