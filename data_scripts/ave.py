"""AVE as downloaded: videos of 10 s with one event each, and the event's seconds."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from avnb.data.sources import SPLITS, ClipSettings, Problem, Source, require_folder
from avnb.errors import ClipsError
from data_scripts.truth_files import find_truth

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
needs h5py (pip install "avnb[ave]"). `match` is the one that cross-modal localisation
is judged on: none of its test events fills its video. Where labels.h5 is there too, it
is compared with the annotations.

What is wrong in the set is named in the report, and the rest is prepared. Named are:
events of no length, ids with two events (two rows), ids in two splits (their training
or validation row is left out), classes that training lacks, and videos that are missing
or too short.
"""
SETTINGS = ClipSettings(seconds=10.0, fps=2.0, size=224, sample_rate=16000)

FOLDER = "AVE"  # of the videos
ANNOTATIONS = "Annotations.txt"
HEADER = "Category&VideoID&Quality&StartTime&EndTime"
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
# (row) and end at second e = 1..10 (column), counted in its Annotations.txt. The
# bandstand draws the spans of its events from these.
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

# A file beyond these is not AVE's (4,143 rows): it is refused before it fills memory.
# The limits lie far above the real files, so they stop no variant of the set.
ROWS_LIMIT = 10**6
BYTES_LIMIT = 2**28
# family of splits -> how its file of a split is called
SPLIT_FILES = {"files": "Set.txt", "order": "_order.h5", "match": "_order_match.h5"}
GET_VIDEOS = (
    f"Unpack AVE_Dataset.zip, so that it lies in {FOLDER}/, and run this command "
    "again; `avnb prepare ave --help` says where the archive is"
)
# The id becomes part of a path, so it must not hold a slash or a dot. YouTube's ids
# have 11 characters today; a longer one does no harm.
VIDEO_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
BACKGROUND = len(KINDS)  # the column of labels.h5 that says that nothing happens


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of Annotations.txt.

    Args:
        number: of the line, counted from 0 without the header.
        label: the class.
        video: the id of the video on YouTube.
        start: the first second of the event.
        end: the second after its last one.
    """

    number: int
    label: str
    video: str
    start: int
    end: int

    @property
    def event(self) -> tuple[str, str, int, int]:
        """All but the number: equal for two lines that say the same."""
        return self.label, self.video, self.start, self.end


def format_row(label: str, video: str, start: int, end: int) -> str:
    """One line of Annotations.txt, without its end. AVE rates every row "good"."""
    return f"{label}&{video}&good&{start}&{end}"


def name_split(split: str, family: str = "files") -> str:
    """The file that lists a split, 'train', 'val' or 'test', in a family of splits."""
    return f"{split}{SPLIT_FILES[family]}"


def find_sources(
    folder: Path,
    settings: ClipSettings = SETTINGS,
    *,
    split_family: Annotated[
        Literal["files", "order", "match"],
        typer.Option(help="which splits: the Set.txt files, or one of the h5 families"),
    ] = "files",
) -> tuple[list[Source], list[Problem]]:
    """Find one source an event; recording = the video's id.

    The `span` of a source is the annotated seconds. A second event of the same video is
    a recording "ID (CLASS)" in the first one's group.

    Args:
        folder: holds ``AVE/``, Annotations.txt and the splits; ``truth/`` beside them
            is used where it is there (the bandstand's).
        settings: how clips will be cut.
        split_family: which files say the splits.

    Returns:
        The sources, and everything that is wrong in the set.

    Raises:
        ClipsError: where there are no annotations or no splits to read.
    """
    require_folder(folder)
    problems: list[Problem] = []
    # The order matters. Bad rows go first, because both the labels and the splits are
    # compared with the rows that are left. Leaks are removed from the splits that were
    # read, before any row becomes a source.
    rows = read_annotations(find_file(folder, ANNOTATIONS), problems)
    _compare_labels(folder, rows, problems)
    chosen = read_splits(folder, split_family, rows, problems)
    chosen = remove_leaks(chosen, problems)
    found: list[Source] = []
    first_event: dict[str, str] = {}  # video -> the class of its first event
    names: set[str] = set()
    for split in SPLITS:
        for row in chosen[split]:
            video = folder / FOLDER / f"{row.video}.mp4"
            name = _name_video(row.video)
            if not video.is_file():
                problems.append(Problem(name, "the video is missing", GET_VIDEOS))
                continue
            # A recording has one label, and an event is a row of its own. So a second
            # event of a video needs a name of its own. The group keeps both in one
            # split.
            recording = row.video
            if row.video in first_event:
                recording = _name_second_event(row, names)
                what = f"has two events: {first_event[row.video]}, and {row.label}"
                remedy = "Nothing to do: each is a row of its own, in the same split"
                problems.append(Problem(name, what, remedy))
                name = _name_video(recording)
            first_event.setdefault(row.video, row.label)
            names.add(recording)
            found.append(
                Source(
                    name=name,
                    recording=recording,
                    label=row.label,
                    video=video,
                    split=split,
                    group=row.video,
                    span=(float(row.start), float(row.end)),
                    truth=find_truth(folder, row.video),
                )
            )
    _name_missing_classes(chosen, problems)
    return found, problems


def _name_video(recording: str) -> str:
    return f"{FOLDER}/{recording}.mp4"


def _name_second_event(row: Row, names: set[str]) -> str:
    """A recording's name for a further event of a video; `names` are taken."""
    # Several events of a video may even share a class. Then only the seconds tell them
    # apart.
    name = f"{row.video} ({row.label})"
    if name in names:
        return f"{row.video} ({row.label}, from {row.start} to {row.end})"
    return name


def read_annotations(path: Path, problems: list[Problem]) -> dict[int, Row]:
    """Read the usable rows of Annotations.txt, with or without a header.

    Args:
        path: the file, with line ends of Unix or of Windows.
        problems: gets one entry for each row that is not usable.

    Returns:
        Number -> row, 0 the first after a header. A row that is left out keeps its
        number, because the h5 files index the rows of the whole file.

    Raises:
        ClipsError: for a file that is too large to be AVE's.
    """
    rows: dict[int, Row] = {}
    events: set[tuple[str, str, int, int]] = set()
    for number, line in enumerate(_read_lines(path)):
        row = _parse_row(number, line)
        # `_parse_row` gives the reason as text where there is no row. An exception
        # would end the reading at the first bad line.
        if isinstance(row, str):
            what, remedy = (
                f"row {number + 1} {row}: {line!r}",
                "Mend it; it is left out",
            )
            problems.append(Problem(path.name, what[:300], remedy))
        # A repeated row would count its event twice, in training and in every score.
        elif row.event in events:
            what = f"row {number + 1} is there a second time: {line!r}"
            problems.append(Problem(path.name, what[:300], "It is left out"))
        else:
            rows[number] = row
            events.add(row.event)
    return rows


def _read_lines(path: Path) -> list[str]:
    """The lines that are not empty, without the header."""
    # The size is asked before the file is read: reading it first would be too late.
    if path.stat().st_size > BYTES_LIMIT:
        raise ClipsError(
            path,
            f"{path.stat().st_size} bytes are not AVE's",
            "Download the file again",
        )
    # utf-8-sig: some editors begin a file with a byte order mark
    # Bytes that are no UTF-8 become the replacement character. They make one bad row,
    # which is named, and not a file that cannot be read.
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[1:] if lines and lines[0].startswith("Category&") else lines


def _parse_row(number: int, line: str) -> Row | str:
    """The row of a line, or what is wrong with it."""
    fields = line.split("&")
    if len(fields) != 5:
        return f"has {len(fields)} fields and not 5"
    label, video, _, start, end = (field.strip() for field in fields)
    if label not in KINDS:
        return f"names a class that AVE does not have, {label!r}"
    if not VIDEO_ID.fullmatch(video):
        return f"has an id that is no YouTube id, {video!r}"
    # Three digits hold every second of a video of 10 s. The limit keeps `int` from a
    # number of thousands of digits, for which it raises an error.
    if not (re.fullmatch(r"\d{1,3}", start) and re.fullmatch(r"\d{1,3}", end)):
        return f"has times that are no whole seconds, {start!r} and {end!r}"
    first, last = int(start), int(end)
    # AVE itself has such a row (0 to 0). It has a message of its own, because it is an
    # error of the set and not of the download.
    if first == last:
        return f"has an event of no length, from {first} to {last}"
    if not 0 <= first < last <= SECONDS:
        return f"has an event from {first} to {last}, not within 0 to {SECONDS}"
    return Row(number, label, video, first, last)


def find_file(folder: Path, name: str) -> Path:
    """Find a file in the folder or in its ``data/``.

    Raises:
        ClipsError: where it is in neither.
    """
    # The h5 files lie in the repository's data/, the rest in the unpacked archive.
    # Readers may copy the files or the whole folder.
    for path in (folder / name, folder / "data" / name):
        if path.is_file():
            return path
    raise ClipsError(
        folder,
        f"there is no {name}, here or in data/",
        f"Give the folder that holds {FOLDER}/ and {ANNOTATIONS} as --source; "
        "`avnb prepare ave --help` says where they are",
    )


# ------------------------------------------------------------------ splits


def read_splits(
    folder: Path, family: str, rows: dict[int, Row], problems: list[Problem]
) -> dict[str, list[Row]]:
    """Read which rows each split has.

    Args:
        folder: where the files of the splits are.
        family: a key of `SPLIT_FILES`.
        rows: the usable rows of Annotations.txt by their number.
        problems: gets what does not fit together.

    Returns:
        Split -> its rows, in the family's order.

    Raises:
        ClipsError: for a file that is missing or that cannot be read.
    """
    chosen: dict[str, list[Row]] = {}
    for split in SPLITS:
        path = find_file(folder, name_split(split, family))
        if family == "files":
            found = _match_rows(path, rows, problems)
        else:
            # The array holds the numbers of rows of Annotations.txt, counted from 0. A
            # row that was left out keeps its number, so the others are still found.
            # `read_h5` lets any type of number through; rows are whole numbers.
            order = read_h5(path, "order", 1).astype(np.int64)
            found = [rows[k] for k in order.tolist() if k in rows]
            if lost := sorted(set(order.tolist()) - rows.keys()):
                what = f"{len(lost)} of its rows are not usable, the first is {lost[0]}"
                remedy = f"They are left out; see what is said of {ANNOTATIONS}"
                problems.append(Problem(path.name, what, remedy))
        # A row that a file lists twice is used once, and the order stays: a set would
        # lose it.
        chosen[split] = list(dict.fromkeys(found))
    used = {row.number for split in chosen.values() for row in split}
    if left := [row for number, row in rows.items() if number not in used]:
        what = f"{len(left)} rows are in no split, the first is {left[0].video}"
        problems.append(Problem(ANNOTATIONS, what, "They are left out"))
    return chosen


def _match_rows(path: Path, rows: dict[int, Row], problems: list[Problem]) -> list[Row]:
    """The annotated rows that a Set.txt file lists; it may say other seconds."""
    # A list may say other seconds than Annotations.txt does. So a row is first looked
    # for exactly, then by class and video alone.
    exact = {row.event: row for row in rows.values()}
    alike: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows.values():
        alike[row.label, row.video].append(row)
    found = []
    for k, line in enumerate(_read_lines(path)):
        listed = _parse_row(k, line)
        if isinstance(listed, Row) and listed.event in exact:
            found.append(exact[listed.event])
            continue
        # A line may have any number of fields. The added "" gives a line of one field a
        # video, which no row has.
        label, video = (*(field.strip() for field in line.split("&")), "")[:2]
        # With two events of that class in the video, nobody can say which one is meant.
        if len(same := alike[label, video]) == 1:
            what = f"row {k + 1} has other seconds than {ANNOTATIONS}: {line!r}"
            used = f"{same[0].start} to {same[0].end}"
            remedy = f"Those of {ANNOTATIONS} are used: {used}"
            found += same
        else:
            what = f"row {k + 1} is no usable row of {ANNOTATIONS}: {line!r}"
            remedy = "It is left out; see what is said of that row"
        problems.append(Problem(path.name, what[:300], remedy))
    return found


def remove_leaks(
    chosen: dict[str, list[Row]], problems: list[Problem]
) -> dict[str, list[Row]]:
    """Keep each video in one split, because AVE lists some in two.

    The test split keeps all it has, then the validation split, so that results on the
    test split stay comparable with those that others publish.

    Args:
        chosen: split -> its rows.
        problems: gets one entry for each row that is taken out.

    Returns:
        Split -> the rows that stay.
    """
    owner: dict[str, str] = {}
    kept: dict[str, list[Row]] = {}
    # From the test split backwards, so that the first owner of a video is the split
    # that has the most right to it.
    for split in reversed(SPLITS):
        kept[split] = []
        for row in chosen[split]:
            # The owner is looked up by video and not by row: the two events of a video
            # show the same pictures.
            first = owner.setdefault(row.video, split)
            if first == split:
                kept[split].append(row)
                continue
            what = f"is in {split} ({row.label}) and in {first}: training would see it"
            remedy = (
                f"Nothing to do: it stays in {first}, its row in {split} is left out"
            )
            problems.append(Problem(_name_video(row.video), what, remedy))
    return kept


def _name_missing_classes(
    chosen: dict[str, list[Row]], problems: list[Problem]
) -> None:
    """Name the classes that are tested but not trained on."""
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
    """Read an array of numbers from an HDF5 file.

    Args:
        path: the file.
        key: the name of the array.
        dimensions: how many axes it must have.

    Raises:
        ClipsError: where h5py is not installed, or the file does not hold that.
    """
    try:
        # h5py is imported here and not above, because only two of the three families of
        # splits need it, and it is an optional dependency.
        import h5py
    except ImportError as error:
        raise ClipsError(
            path.name,
            "reading it needs h5py, which is not installed",
            'Install it (pip install "avnb[ave]"), or take the Set.txt files with '
            "--split-family files",
        ) from error
    try:
        with h5py.File(path, "r") as file:
            data = file[key]
            # Shape and size are in the file's header. They are checked before
            # `data[()]` reads the array, which a small compressed file may make very
            # large.
            if data.ndim != dimensions or data.dtype.kind not in "iufb":
                raise ValueError(f"{key} is {data.dtype} {data.shape}")
            if len(data) > ROWS_LIMIT or data.nbytes > BYTES_LIMIT:
                raise ValueError(f"{key} has {data.nbytes} bytes, too many for AVE")
            return np.asarray(data[()])
    except (OSError, KeyError, ValueError, AttributeError) as error:
        raise ClipsError(
            path,
            f"there are no {dimensions}-dimensional numbers {key!r} in it ({error})",
            "Download it again",
        ) from error


def _compare_labels(
    folder: Path, rows: dict[int, Row], problems: list[Problem]
) -> None:
    """Name each video whose seconds in labels.h5 are not the annotated ones."""
    try:
        path = find_file(folder, "labels.h5")
    except ClipsError:
        return  # few users have this file, so its absence is no problem
    try:
        # "avadataset" is how AVE itself spells the key of its labels and features.
        labels = read_h5(path, "avadataset", 3)
    except ClipsError as error:
        problems.append(Problem(path.name, str(error), "It was not compared"))
        return
    # Without this check each of the 4,143 rows would be named as one that disagrees.
    if labels.shape[1:] != (SECONDS, BACKGROUND + 1):
        what = f"{labels.shape}, not (videos, {SECONDS}, {BACKGROUND + 1})"
        problems.append(Problem(path.name, what, "It was not compared"))
        return
    for row in find_disagreements(labels, rows.values()):
        what = f"the labels of row {row.number} ({row.label}) are not the annotation's"
        remedy = "The annotation is used"
        problems.append(Problem(_name_video(row.video), what, remedy))


def find_disagreements(labels: np.ndarray[Any, Any], rows: Iterable[Row]) -> list[Row]:
    """Find the rows whose labels say something else than the annotation.

    Args:
        labels: (videos, 10, 29), one-hot for each second, the background last.
        rows: of Annotations.txt.

    Returns:
        The rows that have another class at any second, or no labels at all.
    """
    found = []
    for row in rows:
        # (10,) classes, one a second; the end is exclusive, as in Annotations.txt.
        # `right` is their one-hot form, (10, 29).
        wanted = np.full(SECONDS, BACKGROUND)
        wanted[row.start : row.end] = KINDS.index(row.label)
        given = labels[row.number] if row.number < len(labels) else None
        right = np.eye(BACKGROUND + 1)[wanted]
        if given is None or given.shape != right.shape or (given != right).any():
            found.append(row)
    return found


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
