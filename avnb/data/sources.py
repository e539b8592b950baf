"""What is prepared: sources, how their clips are cut, and a report of the result."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avnb import files
from avnb.errors import ClipsError
from avnb.media import Crop

SPLITS = ("train", "val", "test")  # "val" only where a data set declares it

# What a folder may hold as pictures. Other kinds are not looked for.
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})

MAX_PRINTED = 20  # kinds of problems that a printed report names; report.json has all

# Recordings that were cut to a length rarely have it to the sample. A clip still counts
# as whole if it lacks this much at its end.
SLACK = 0.01  # s, of sound
SLACK_SHARE = 0.01  # of a video's clip: one that was cut as 10 s may have 9.95 s


@dataclass(frozen=True)
class SoundPiece:
    """A part of a sound file.

    Attributes:
        path: the file.
        start: where the part begins, s of the file.
        duration: s.
    """

    path: Path
    start: float
    duration: float


@dataclass(frozen=True)
class Source:
    """One media file, or one picture and one sound file, of a recording.

    With `pictures` and `pieces` it is one clip that a data set holds in many files: a
    file a frame, and parts of sounds that follow each other.

    Attributes:
        name: unique: the file's path inside its data set. Reports and rows show it.
        recording: what a split must never cut.
        label: the class.
        video: a video, or an image, which then is the picture of every clip.
        audio: a sound file; None takes the video's own sound.
        crop: (left, top, width, height) in displayed pixels.
        start: where the part of the file that is used begins, s.
        duration: how long that part is, s.
        offset: where the file starts in its recording, s.
        split: "train", "val" or "test" where the data set says so, else None.
        group: recordings of one group share a split; None: the recording alone.
        unit: what is independent of all others, such as the player. The intervals of
            metrics resample units. None: the group, or the recording without one.
        truth: a Parquet file with a column ``time`` (s of the recording) and one
            column for each known quantity.
        span: where the one annotated event begins and ends, s of the recording. It
            becomes the known quantity ``event``: 1 within, 0 outside; the end itself
            is outside.
        cut_in_time: whether this is a part (``start`` and ``duration``) of a file whose
            other parts may lie in another split: see ``split_in_time``.
        pictures: the frames of one clip, in order; ``video`` is the first of them.
        pieces: the sound of that clip, at least as long as it; ``audio`` is the first
            one's file.
        hold: whether a recording that is shorter than a clip gives one all the same:
            its last frame is held, and silence follows. The known quantity ``held`` is
            1 in the frames that were added, and 0 in the others.
        repeated: whether this is a source of another split once more, on purpose: to
            show what a test on training data says.
        remarks: what whoever found it noticed, and somebody should look at. They join
            the report's remarks.
    """

    name: str
    recording: str
    label: str
    video: Path
    audio: Path | None = None
    crop: Crop | None = None
    start: float | None = None
    duration: float | None = None
    offset: float = 0.0
    split: str | None = None
    group: str | None = None
    truth: Path | None = None
    span: tuple[float, float] | None = None
    cut_in_time: bool = False
    unit: str | None = None
    pictures: tuple[Path, ...] = ()
    pieces: tuple[SoundPiece, ...] = ()
    hold: bool = False
    repeated: bool = False
    remarks: tuple[Problem, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the source is read from."""
        whole = [p for p in (self.video, self.audio, self.truth) if p is not None]
        parts = [*self.pictures[1:], *(piece.path for piece in self.pieces[1:])]
        return (*whole, *parts)


@dataclass(frozen=True)
class ClipSettings:
    """How clips are cut.

    Attributes:
        seconds: the length of a clip.
        hop: s from the start of one clip to the next; None: ``seconds``.
        fps: frames a second.
        size: pixels a side.
        sample_rate: Hz.
        seed: of the split.
        test_fraction: the share of each label's recordings that is tested on.
        channel: which channel of the sound is used (0 = the first); None: the average.

    Raises:
        ClipsError: a value that cannot be.
    """

    seconds: float = 0.5
    hop: float | None = None
    fps: float = 2.0
    size: int = 64
    sample_rate: int = 44100
    seed: int = 0
    test_fraction: float = 0.2
    channel: int | None = None

    def __post_init__(self) -> None:
        # nan passes `value <= 0`, so the test is for what is right
        for name in ("seconds", "hop", "fps", "size", "sample_rate"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ClipsError(name, f"it is {value}", "Give a number above 0")
        if self.channel is not None and self.channel < 0:
            raise ClipsError("channel", f"it is {self.channel}", "Give 0 or more")
        if not 0 <= self.test_fraction < 1:
            raise ClipsError(
                "test_fraction",
                f"it is {self.test_fraction}",
                "Give a share from 0 to below 1",
            )

    @property
    def step(self) -> float:
        """Seconds from the start of one clip to the next."""
        return self.seconds if self.hop is None else self.hop

    @property
    def frames(self) -> int:
        """T, the frames of a clip."""
        return max(1, round(self.seconds * self.fps))

    @property
    def samples(self) -> int:
        """S, the samples of a clip."""
        return round(self.seconds * self.sample_rate)

    @property
    def row_bytes(self) -> int:
        """Bytes of one clip: uint8 frames and int16 samples."""
        return self.frames * self.size**2 * 3 + 2 * self.samples


def require_folder(folder: Path) -> Path:
    """Return the folder of a data set, where it is there.

    A folder that is missing must be an error before anything is written: it may be
    mistyped, or on a disk that is not plugged in.

    Raises:
        ClipsError: there is no such folder.
    """
    if not folder.is_dir():
        raise ClipsError(
            folder,
            "there is no such folder",
            "Check the name; if it lies on a disk that is not plugged in, plug it in",
        )
    return folder


def require_separate(source: Path, out: Path) -> None:
    """Refuse an output folder that lies inside the source, or is the same.

    Prepared clips would be found as sources the next time.

    Raises:
        ClipsError: they are not separate.
    """
    if out.resolve().is_relative_to(source.resolve()):
        raise ClipsError(
            out,
            f"it lies inside the source {source}",
            "Give another folder as --out, outside of --source",
        )


def walk_folders(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    """Yield the folder and all below it that are not hidden.

    A folder that is a link is followed once, after all others. A link to a folder that
    has been read, or to one above it, becomes a problem: it would count files twice, or
    never end.

    Args:
        folder: where it begins.
        problems: gets the links that are not followed.
    """
    seen = {folder.resolve()}
    todo, links = [folder], list[Path]()
    while todo or links:
        if not todo:
            link = links.pop(0)
            target = link.resolve()
            if target in seen or any(one.is_relative_to(target) for one in seen):
                problems.append(
                    Problem(
                        link.relative_to(folder).as_posix(),
                        "it is a link to a folder that is read anyway",
                        "Nothing to do: its files count once",
                    )
                )
                continue
            seen.add(target)
            todo.append(link)
        inside = todo.pop(0)
        yield inside
        below = []
        for path in sorted(inside.iterdir()):
            if not path.is_dir() or path.name.startswith("."):
                continue
            if path.is_symlink():
                links.append(path)
            elif path.resolve() not in seen:
                seen.add(path.resolve())
                below.append(path)
        todo[:0] = below


def shorten_list(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class Problem:
    """A file that could not be used, what is wrong with it, and what to do."""

    file: str
    problem: str
    remedy: str

    def __post_init__(self) -> None:
        # A file name is bytes. One that is not UTF-8 could be neither printed nor
        # written into report.json.
        for name in ("file", "problem"):
            object.__setattr__(self, name, escape_name(getattr(self, name)))

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}. {self.remedy}"


def escape_name(name: str) -> str:
    r"""The name of a file with what is not UTF-8 spelt as ``\xe9``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def is_utf8(name: str) -> bool:
    """Whether a file's name can be written as UTF-8."""
    return escape_name(name) == name


def format_problems(problems: Sequence[Problem]) -> list[str]:
    """One line for each kind of problem, with its count and some of its files.

    Problems are of one kind if they differ in names and numbers alone.
    """
    kinds: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        # What is quoted, names of files, and numbers.
        varying = r"'[^']*'|\"[^\"]*\"|\S+\.[A-Za-z]\w{1,4}\b|\d+(?:\.\d+)?"
        what, remedy = (
            re.sub(varying, "#", text) for text in (problem.problem, problem.remedy)
        )
        kinds.setdefault((what, remedy), []).append(problem)
    lines = []
    for same in list(kinds.values())[:MAX_PRINTED]:
        first = same[0]
        if len(same) == 1:
            lines.append(str(first))
        else:
            names = list(dict.fromkeys(problem.file for problem in same))
            lines.append(f"{len(same)} times: {first.problem}. {first.remedy}")
            lines.append(f"  {shorten_list(names)}")
    if (more := len(kinds) - MAX_PRINTED) > 0:
        lines.append(f"and {more} more kinds, all in report.json")
    return lines


@dataclass
class PreparationReport:
    """What ``prepare`` did.

    Attributes:
        out: the folder of the prepared clips.
        dry_run: whether nothing was written.
        written: recording -> its clips, of those cut this time.
        skipped: recording -> its clips, of those that were prepared before and are
            unchanged.
        kept: recording -> its clips, of those whose sources are gone.
        removed: shards that were removed: of sources that are gone, where that was
            asked for; of recordings that are in another split now; damaged ones.
        problems: the files that could not be used.
        remarks: files that were used, but that somebody should look at.
        dropped: s in all, at the ends of the files, that fill no clip.
        notes: what a reader should know of the splits.
        splits: split -> label -> number of recordings.
    """

    out: str
    dry_run: bool = False
    written: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)
    dropped: float = 0.0
    notes: list[str] = field(default_factory=list)
    splits: dict[str, dict[str, int]] = field(default_factory=dict)

    def save(self, path: Path | None = None) -> Path:
        """Write it as JSON, by default to ``OUT/report.json``."""
        path = Path(self.out, "report.json") if path is None else Path(path)
        files.write_json(path, dataclasses.asdict(self))
        return path

    def __str__(self) -> str:
        counts = (self.written, self.skipped, self.kept)
        clips = sum(n for count in counts for n in count.values())
        would = "would be " if self.dry_run else ""
        lines = [
            f"{self.out}: {clips} clips"
            if not self.dry_run
            else f"{self.out}: dry run, nothing written; it would hold {clips} clips",
            f"  {len(self.written)} recordings {would}written, "
            f"{len(self.skipped)} unchanged, {len(self.removed)} {would}removed",
        ]
        for split, labels in self.splits.items():
            counted = ", ".join(f"{label} {n}" for label, n in sorted(labels.items()))
            lines.append(f"  {split}: {sum(labels.values())} recordings ({counted})")
        if self.kept:
            lines.append(
                f"  {len(self.kept)} recordings kept although their sources are gone "
                f"({shorten_list(sorted(self.kept))}). --prune removes them"
            )
        if self.dropped >= 0.01:
            lines.append(
                f"  {self.dropped:.2f} s at the ends of files, which fill no clip, are "
                "left out"
            )
        lines += [f"  note: {note}" for note in self.notes]
        for title, found in (("remarks", self.remarks), ("problems", self.problems)):
            if found:
                lines.append(f"  {len(found)} {title}:")
                lines += [f"    {line}" for line in format_problems(found)]
        return "\n".join(lines)
