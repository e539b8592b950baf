"""One video of one performer, cut in time: the first part trains, the last tests."""

from __future__ import annotations

import importlib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from avnb import media
from avnb.data.sources import ClipSettings, Problem, Source
from avnb.data.splits import split_in_time
from avnb.errors import ClipsError, DownloadError, MediaError
from avnb.media import Crop
from data_scripts.folder import VIDEOS

NAME = "single_video"
ABOUT = """
One video, as Listen and Move (Redondo 2024) learns it: --source is a video file, or a
folder with one in it. The first 80 % of its time train, the last 20 % are tested on.

Its clips follow each other without a gap (1 s each; `load_recording` joins them
again), so that frame t can be read with the sound around it.
FOLDER/truth/NAME.parquet is used where it is there (the bandstand's).

--youtube fetches a video into the folder --source: one of the paper's three (cello,
quintet, drums), cropped as in its code, or any id. It needs yt-dlp
(pip install "avnb[youtube]"). The paper cut its videos and does not say where, so
choose --start and --end yourself. What YouTube allows, and the rights in a video,
are yours to know.
"""
SETTINGS = ClipSettings(seconds=1.0, fps=20.0, sample_rate=16000)


@dataclass(frozen=True)
class Tube:
    """A video of the paper: its crop belongs to a picture ``height`` pixels high."""

    id: str
    height: int
    box: tuple[int, int, int, int]  # left, top, right, bottom
    start: float = 0.0


# Ids and the drums' start: Table 1's footnotes; crops: the released training code
# (its evaluation crops the drums at 170 to 890).
TUBES = {
    "cello": Tube("zah9B0toTBQ", 1080, (650, 400, 1250, 1000)),
    "quintet": Tube("R-Tk7-Ytes4", 720, (290, 0, 1010, 720)),
    "drums": Tube("7H4hrsb_0tE", 720, (30, 0, 750, 720), start=59.0),
}


def find_sources(
    folder: Path,
    settings: ClipSettings = SETTINGS,
    *,
    crop: Annotated[
        str,
        typer.Option(help="LEFT,TOP,RIGHT,BOTTOM, pixels; its middle square is used"),
    ] = "",
    start: Annotated[
        float | None, typer.Option(help="s: where the used part begins")
    ] = None,
    end: Annotated[
        float | None, typer.Option(help="s: where it ends; by default, the video's end")
    ] = None,
    youtube: Annotated[
        str, typer.Option(help="cello, quintet, drums, or the id of a video to fetch")
    ] = "",
    dry_run: bool = False,
) -> tuple[list[Source], list[Problem]]:
    """The two parts of the video: train and test.

    Raises ClipsError, which names the file and the value, for a video without sound,
    a span that it does not hold, a crop outside its picture, or one shorter than two
    clips; DownloadError where it cannot be fetched.
    """
    if not float(settings.seconds * settings.fps).is_integer():
        raise ClipsError(
            f"seconds is {settings.seconds}: at fps {settings.fps} that is no whole "
            "number of frames"
        )
    tube = _tube(youtube) if youtube else None
    if tube is None:
        video, audio = _the_video(folder), None
    else:
        video, audio = fetch(folder, tube.id, tube.height, dry_run=dry_run)
    found = [_probe(path) for path in (video, audio) if path is not None]
    _check_tracks(video, found)
    if crop:
        box = _box(crop)
    elif tube is not None and tube.box != (0, 0, 0, 0):
        box = _scaled(tube, found[0].height or 0)
    else:
        box = None
    begin = start if start is not None else (tube.start if tube else 0.0)
    length = min(probe.duration for probe in found)
    begin, until = _span(video, begin, end, length)
    name = video.name
    truth = video.parent / "truth" / f"{video.stem}.parquet"
    whole = Source(
        name=name,
        recording=name,
        label=youtube if youtube in TUBES else video.stem,
        video=video,
        audio=audio,
        crop=None if box is None else _crop(video, box, found[0]),
        start=begin,
        duration=until - begin,
        truth=truth if truth.is_file() else None,
    )
    return split_in_time(whole, settings), []


def _the_video(folder: Path) -> Path:
    """The file itself, or the only video of the folder."""
    if folder.is_file():
        return folder
    if not folder.exists():
        raise ClipsError(f"{folder}: no such file or folder")
    videos = sorted(p for p in folder.iterdir() if p.suffix.lower() in VIDEOS)
    if len(videos) != 1:
        names = ", ".join(path.name for path in videos) or "none"
        raise ClipsError(
            f"{folder}: it must hold one video ({names} found). Give the file itself "
            "as --source"
        )
    return videos[0]


def _probe(path: Path) -> media.Probe:
    try:
        return media.probe(path)
    except MediaError as error:
        raise ClipsError(str(error)) from error


def _check_tracks(video: Path, found: list[media.Probe]) -> None:
    if found[0].width is None:
        raise ClipsError(f"{video}: it has no picture")
    if found[-1].sample_rate is None:
        raise ClipsError(f"{video}: it has no sound, so there is nothing to learn from")


def _span(
    video: Path, start: float, end: float | None, length: float
) -> tuple[float, float]:
    """Start and end, s; the end may miss the video's by the rounding of its frames."""
    until = length if end is None else end
    for name, value in (("start", start), ("end", until)):
        if not (math.isfinite(value) and 0 <= value <= length + 0.05):
            raise ClipsError(
                f"{video}: {name} is {value:g} s, outside the video's 0 to {length:g} s"
            )
    if not start < until:
        raise ClipsError(f"{video}: start is {start:g} s, not before end {until:g} s")
    return start, min(until, length)


def _box(text: str) -> tuple[int, ...]:
    """LEFT,TOP,RIGHT,BOTTOM, as its four numbers."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 4 or not all(re.fullmatch(r"-?\d+", part) for part in parts):
        raise ClipsError(
            f"crop is {text!r}: give LEFT,TOP,RIGHT,BOTTOM, as in 0,0,720,720"
        )
    return tuple(int(part) for part in parts)


def _crop(video: Path, box: tuple[int, ...], probe: media.Probe) -> Crop:
    """(left, top, width, height) of a box that lies inside the picture."""
    left, top, right, bottom = box
    width, height = probe.width or 0, probe.height or 0
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ClipsError(
            f"{video}: crop is {left},{top},{right},{bottom}, not inside its picture "
            f"of {width} x {height}"
        )
    return left, top, right - left, bottom - top


# ----------------------------------------------------------------- YouTube


def _tube(name: str) -> Tube:
    if name in TUBES:
        return TUBES[name]
    if not re.fullmatch(r"[\w-]{11}", name):
        raise ClipsError(
            f"youtube is {name!r}: give {', '.join(TUBES)}, or an id of 11 characters"
        )
    return Tube(name, 720, (0, 0, 0, 0))


def _scaled(tube: Tube, height: int) -> tuple[int, ...]:
    """The crop of a picture of another size."""
    return tuple(math.floor(edge * height / tube.height) for edge in tube.box)


def fetch(
    folder: Path, video_id: str, height: int, *, dry_run: bool = False
) -> tuple[Path, Path]:
    """Picture and sound of a YouTube video, two files in ``folder``, fetched if absent.

    The picture is at most ``height`` pixels high. Two files, because joining them would
    take the program ffmpeg. Raises DownloadError, which says what to do, where yt-dlp
    is missing or the video is gone, private, or refused.
    """
    small = f"bestvideo[height<={height}]"
    wanted = {
        "video": f"{small}[vcodec^=avc1]/{small}",
        "audio": "bestaudio[ext=m4a]/bestaudio",
    }
    files = []
    for kind, choice in wanted.items():
        if not (there := _fetched(folder, video_id, kind)):
            if dry_run:
                raise DownloadError(
                    f"{folder}: {video_id} is not there, and a dry run fetches nothing"
                )
            _download(folder, video_id, kind, choice)
            there = _fetched(folder, video_id, kind)
        if not there:
            raise DownloadError(f"{video_id}: yt-dlp wrote no {kind} into {folder}")
        files.append(there[0])
    return files[0], files[1]


def _fetched(folder: Path, video_id: str, kind: str) -> list[Path]:
    unfinished = {".part", ".ytdl", ".temp"}
    found = sorted(folder.glob(f"{video_id}.{kind}.*"))
    return [path for path in found if not unfinished & set(path.suffixes)]


def _download(folder: Path, video_id: str, kind: str, choice: str) -> None:
    try:
        yt_dlp: Any = importlib.import_module("yt_dlp")
    except ImportError as error:
        raise DownloadError(
            f"{video_id}: fetching from YouTube needs yt-dlp. "
            'Install it: pip install "avnb[youtube]". Or fetch the video by hand and '
            "give its file as --source"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "format": choice,
        "outtmpl": str(folder / f"{video_id}.{kind}.%(ext)s"),
        "quiet": True,
        "noplaylist": True,
        "postprocessors": [],
    }
    address = f"https://www.youtube.com/watch?v={video_id}"
    try:
        with yt_dlp.YoutubeDL(options) as tube:
            tube.download([address])
    except yt_dlp.utils.DownloadError as error:
        raise DownloadError(
            f"{address}: not fetched ({error}). If it is gone or private, use another "
            "video: any file as --source. If YouTube refuses, a newer yt-dlp may do"
        ) from error


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
