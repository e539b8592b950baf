"""AVE as downloaded: videos of 10 s, one event each, and the second that it lasts."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from avnb.data.sources import SPLITS, ClipSettings, Problem, Source
from avnb.errors import ClipsError

NAME = "ave"
ABOUT = """
AVE (Tian et al. 2018): 4,143 videos of 10 s from YouTube with 28 kinds of audio-visual
event, and from which second to which the event is both seen and heard.

No licence is stated, and the videos are YouTube's. Download AVE_Dataset.zip by hand
from the Google Drive folder that https://github.com/YapengTian/AVE-ECCV18 links to (no
checksum is published), unpack it, and give the folder that holds AVE/ and
Annotations.txt as --source. trainSet.txt, valSet.txt and testSet.txt lie beside them.

Two more families of splits, {train,val,test}_order.h5 and ..._order_match.h5, lie in
that repository's data/: put them, or that data/, into the same folder. Reading them
needs h5py (pip install avnb[ave]). `match` is the one that cross-modal localisation is
judged on: none of its test events fills its video. Where labels.h5 is there too, it is
compared with the annotations.

What is wrong in the set is named in the report, and the rest is prepared: events of no
length, ids with two events (two rows), ids in two splits (their training or validation
row is left out), classes that training lacks, videos that are missing or too short.
"""
SETTINGS = ClipSettings(seconds=10.0, fps=2.0, size=224, sample_rate=16000)

SECONDS = 10  # of every video
KINDS = (
    "Church bell", "Male speech, man speaking", "Bark", "Fixed-wing aircraft, airplane",
    "Race car, auto racing", "Female speech, woman speaking", "Helicopter",
    "Violin, fiddle", "Flute", "Ukulele", "Frying (food)", "Truck", "Shofar",
    "Motorcycle", "Acoustic guitar", "Train horn", "Clock", "Banjo", "Goat",
    "Baby cry, infant cry", "Bus", "Chainsaw", "Cat", "Horse", "Toilet flush",
    "Rodents, rats, mice", "Accordion", "Mandolin",
)  # fmt: skip
# How many of AVE's events fill all 10 s, and how many of the others begin at second s
# (row) and end at second e = 1..10 (column): counted in its Annotations.txt.
WHOLE_SPANS = 2750
PARTIAL_SPANS = np.array(
    [
        [0, 54, 71, 83, 74, 91, 56, 49, 21, 0],
        [0, 0, 9, 11, 8, 4, 9, 7, 2, 74],
        [0, 0, 0, 9, 7, 11, 8, 11, 4, 60],
        [0, 0, 0, 0, 20, 15, 8, 6, 7, 72],
        [0, 0, 0, 0, 0, 10, 12, 8, 6, 80],
        [0, 0, 0, 0, 0, 0, 9, 7, 8, 98],
        [0, 0, 0, 0, 0, 0, 0, 17, 5, 92],
        [0, 0, 0, 0, 0, 0, 0, 0, 10, 92],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 76],
    ]
)

ROWS_LIMIT = 10**6
BYTES_LIMIT = 2**28
SPLIT_FILES = {"files": "Set.txt", "order": "_order.h5", "match": "_order_match.h5"}
VIDEO_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
BACKGROUND = len(KINDS)  # the column of labels.h5 that says that nothing happens


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of Annotations.txt, counted from 0 without the header."""

    number: int
    label: str
    video: str
    start: int
    end: int

    @property
    def event(self) -> tuple[str, str, int, int]:
        """What it says, wherever it stands."""
        return self.label, self.video, self.start, self.end


def find_sources(
    folder: Path,
    settings: ClipSettings = SETTINGS,
    *,
    split_family: Annotated[
        Literal["files", "order", "match"],
        typer.Option(help="which splits: the Set.txt files, or one of the h5 families"),
    ] = "files",
) -> tuple[list[Source], list[Problem]]:
    """One source an event; recording = the video's id; `span` = the annotated seconds.

    A second event of the same video is a recording "ID (CLASS)" in the first one's
    group. `truth/{ID}.parquet` is used where it is there (the bandstand's). Raises
    ClipsError where there are no annotations or no splits to read.
    """
    problems: list[Problem] = []
    rows = read_annotations(find_file(folder, "Annotations.txt"), problems)
    _compare_labels(folder, rows, problems)
    chosen = read_splits(folder, split_family, rows, problems)
    chosen = remove_leaks(chosen, problems)
    found: list[Source] = []
    seen: dict[str, str] = {}
    names: set[str] = set()
    for split in SPLITS:
        for row in chosen[split]:
            video = folder / "AVE" / f"{row.video}.mp4"
            name = video.relative_to(folder).as_posix()
            if not video.is_file():
                problems.append(Problem(name, "the video is missing", "Download it"))
                continue
            recording = row.video
            if row.video in seen:
                recording = f"{row.video} ({row.label})"
                if recording in names:
                    during = f"from {row.start} to {row.end}"
                    recording = f"{row.video} ({row.label}, {during})"
                what = f"has two events: {seen[row.video]}, and {row.label}"
                remedy = "Nothing to do: each is a row of its own, in the same split"
                problems.append(Problem(name, what, remedy))
                name = f"AVE/{recording}.mp4"
            seen.setdefault(row.video, row.label)
            names.add(recording)
            truth = folder / "truth" / f"{row.video}.parquet"
            found.append(
                Source(
                    name=name,
                    recording=recording,
                    label=row.label,
                    video=video,
                    split=split,
                    group=row.video,
                    span=(float(row.start), float(row.end)),
                    truth=truth if truth.is_file() else None,
                )
            )
    _name_missing_classes(chosen, problems)
    return found, problems


def read_annotations(path: Path, problems: list[Problem]) -> dict[int, Row]:
    """The usable rows of Annotations.txt by their number, 0 the first after a header.

    Those that are not become problems: the numbers of the others stay. With and without
    header, LF and CRLF, are all read.
    """
    rows: dict[int, Row] = {}
    events: set[tuple] = set()
    for number, line in enumerate(_lines(path)):
        row = _parsed(number, line)
        if isinstance(row, str):
            what, remedy = f"row {number + 1} {row}: {line!r}", "Mend it"
            problems.append(Problem(path.name, what[:300], f"{remedy}; it is left out"))
        elif row.event in events:
            what = f"row {number + 1} is there a second time: {line!r}"
            problems.append(Problem(path.name, what[:300], "It is left out"))
        else:
            rows[number] = row
            events.add(row.event)
    return rows


def _lines(path: Path) -> list[str]:
    """The lines that are not empty, without the header."""
    if path.stat().st_size > BYTES_LIMIT:
        raise ClipsError(f"{path}: {path.stat().st_size} bytes are not AVE's")
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[1:] if lines and lines[0].startswith("Category&") else lines


def _parsed(number: int, line: str) -> Row | str:
    """The row of a line, or what is wrong with it."""
    fields = line.split("&")
    if len(fields) != 5:
        return f"has {len(fields)} fields and not 5"
    label, video, _, start, end = (field.strip() for field in fields)
    if label not in KINDS:
        return f"names a class that AVE does not have, {label!r}"
    if not VIDEO_ID.fullmatch(video):
        return f"has an id that is no YouTube id, {video!r}"
    if not (re.fullmatch(r"\d{1,3}", start) and re.fullmatch(r"\d{1,3}", end)):
        return f"has times that are no whole seconds, {start!r} and {end!r}"
    first, last = int(start), int(end)
    if first == last:
        return f"has an event of no length, from {first} to {last}"
    if not 0 <= first < last <= SECONDS:
        return f"has an event from {first} to {last}, not within 0 to {SECONDS}"
    return Row(number, label, video, first, last)


def find_file(folder: Path, name: str) -> Path:
    """A file of the folder, or of its data/."""
    for path in (folder / name, folder / "data" / name):
        if path.is_file():
            return path
    raise ClipsError(
        f"{folder}: no {name}, here or in data/. Give the folder that holds AVE/ and "
        "Annotations.txt as --source; `avnb prepare ave --help` says where they are"
    )


# ------------------------------------------------------------------ splits


def read_splits(
    folder: Path, family: str, rows: dict[int, Row], problems: list[Problem]
) -> dict[str, list[Row]]:
    """Split -> its rows, in the family's order."""
    chosen: dict[str, list[Row]] = {}
    for split in SPLITS:
        path = find_file(folder, f"{split}{SPLIT_FILES[family]}")
        if family == "files":
            found = _listed(path, rows, problems)
        else:
            order = read_h5(path, "order", 1).astype(np.int64)
            found = [rows[k] for k in order.tolist() if k in rows]
            if lost := sorted(set(order.tolist()) - rows.keys()):
                what = f"{len(lost)} of its rows are not usable, the first is {lost[0]}"
                remedy = "They are left out; see what is said of Annotations.txt"
                problems.append(Problem(path.name, what, remedy))
        chosen[split] = list(dict.fromkeys(found))
    used = {row.number for split in chosen.values() for row in split}
    if left := [row for number, row in rows.items() if number not in used]:
        what = f"{len(left)} rows are in no split, the first is {left[0].video}"
        problems.append(Problem("Annotations.txt", what, "They are left out"))
    return chosen


def _listed(path: Path, rows: dict[int, Row], problems: list[Problem]) -> list[Row]:
    """The annotated rows that a Set.txt file lists; it may say other seconds."""
    exact = {row.event: row for row in rows.values()}
    alike: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows.values():
        alike[row.label, row.video].append(row)
    found = []
    for k, line in enumerate(_lines(path)):
        listed = _parsed(k, line)
        if isinstance(listed, Row) and listed.event in exact:
            found.append(exact[listed.event])
            continue
        label, video = (*(field.strip() for field in line.split("&")), "")[:2]
        if len(same := alike[label, video]) == 1:
            what = f"row {k + 1} has other seconds than Annotations.txt: {line!r}"
            remedy = (
                f"Those of Annotations.txt are used: {same[0].start} to {same[0].end}"
            )
            found += same
        else:
            what = f"row {k + 1} is no usable row of Annotations.txt: {line!r}"
            remedy = "It is left out; see what is said of that row"
        problems.append(Problem(path.name, what[:300], remedy))
    return found


def remove_leaks(
    chosen: dict[str, list[Row]], problems: list[Problem]
) -> dict[str, list[Row]]:
    """Each id in one split: the test keeps all it has, then validation, so that what
    is judged stays comparable.
    """
    owner: dict[str, str] = {}
    kept: dict[str, list[Row]] = {}
    for split in reversed(SPLITS):
        kept[split] = []
        for row in chosen[split]:
            first = owner.setdefault(row.video, split)
            if first == split:
                kept[split].append(row)
                continue
            what = f"is in {split} ({row.label}) and in {first}: training would see it"
            remedy = (
                f"Nothing to do: it stays in {first}, its row in {split} is left out"
            )
            problems.append(Problem(f"AVE/{row.video}.mp4", what, remedy))
    return kept


def _name_missing_classes(
    chosen: dict[str, list[Row]], problems: list[Problem]
) -> None:
    """Classes that are judged but not learned."""
    count: dict[str, dict[str, int]] = {split: defaultdict(int, {}) for split in SPLITS}
    for split, rows in chosen.items():
        for row in rows:
            count[split][row.label] += 1
    for label in sorted((count["val"] | count["test"]).keys() - count["train"].keys()):
        what = (
            f"no {label!r} in training, and {count['test'][label]} in the test, "
            f"{count['val'][label]} in the validation"
        )
        remedy = "Nothing to do: judge with it in mind, or take another --split-family"
        problems.append(Problem("splits", what, remedy))


# ---------------------------------------------------------------- h5 files


def read_h5(path: Path, key: str, dimensions: int) -> np.ndarray:
    """The data set `key` of an HDF5 file, numbers of `dimensions` axes.

    Raises ClipsError where h5py is not installed, or the file does not hold that.
    """
    try:
        import h5py
    except ImportError as error:
        raise ClipsError(
            f"{path.name} needs h5py, which is not installed: pip install avnb[ave], "
            "or take the Set.txt files with --split-family files"
        ) from error
    try:
        with h5py.File(path, "r") as file:
            data = file[key]
            if data.ndim != dimensions or data.dtype.kind not in "iufb":
                raise ValueError(f"{key} is {data.dtype} {data.shape}")
            if len(data) > ROWS_LIMIT or data.nbytes > BYTES_LIMIT:
                raise ValueError(f"{key} has {data.nbytes} bytes, too many for AVE")
            return np.asarray(data[()])
    except (OSError, KeyError, ValueError, AttributeError) as error:
        raise ClipsError(
            f"{path}: no {dimensions}-dimensional numbers {key!r} in it ({error}). "
            "Download it again"
        ) from error


def _compare_labels(
    folder: Path, rows: dict[int, Row], problems: list[Problem]
) -> None:
    """Name each video whose seconds in labels.h5 are not the annotated ones."""
    try:
        path = find_file(folder, "labels.h5")
    except ClipsError:
        return  # it is a file that users may have
    try:
        labels = read_h5(path, "avadataset", 3)
    except ClipsError as error:
        problems.append(Problem(path.name, str(error), "It was not compared"))
        return
    if labels.shape[1:] != (SECONDS, BACKGROUND + 1):
        what = f"{labels.shape}, not (videos, {SECONDS}, {BACKGROUND + 1})"
        problems.append(Problem(path.name, what, "It was not compared"))
        return
    for row in find_disagreements(labels, rows.values()):
        what = f"the labels of row {row.number} ({row.label}) are not the annotation's"
        remedy = "The annotation is used"
        problems.append(Problem(f"AVE/{row.video}.mp4", what, remedy))


def find_disagreements(labels: np.ndarray[Any, Any], rows: Iterable[Row]) -> list[Row]:
    """Rows whose labels, (videos, 10, 29) one-hot with the background last, have
    another class at any second, or another second than the annotation.
    """
    found = []
    for row in rows:
        wanted = np.full(SECONDS, BACKGROUND)
        wanted[row.start : row.end] = KINDS.index(row.label)
        there = labels[row.number] if row.number < len(labels) else None
        right = np.eye(BACKGROUND + 1)[wanted]
        if there is None or there.shape != right.shape or (there != right).any():
            found.append(row)
    return found


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
