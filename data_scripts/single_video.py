"""One video of one performer, cut in time: the first part trains, the last tests."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from avnb import media
from avnb.data.sources import ClipSettings, Problem, Source
from avnb.data.splits import split_in_time
from avnb.errors import ClipsError, DownloadError, MediaError
from avnb.media import Crop
from data_scripts.folder import find_kind
from data_scripts.truth_files import find_truth

NAME = "single_video"
ABOUT = """
One video, as Listen and Move (Redondo 2024) learns it: --source is a video file, or a
folder with one in it. The first 80 % of its time train, the last 20 % are tested on.

Its clips of 1 s follow each other without a gap, and avnb.data.clips.load_recording
joins them again, so that frame t can be read with the sound around it.
FOLDER/truth/NAME.parquet is used where it is there (the bandstand's).

--youtube fetches a video into the folder --source: one of the paper's three (cello,
quintet, drums), cropped as in its code, or any id. It needs yt-dlp
(pip install "avnb[youtube]"). The paper cut its videos and does not say where, so
choose --start and --end yourself. What YouTube allows, and the rights in a video,
are yours to know.
"""
SETTINGS = ClipSettings(seconds=1.0, fps=20.0, sample_rate=16000)


@dataclass(frozen=True)
class YouTubeVideo:
    """A video on YouTube, and which part of it is used.

    Args:
        id: eleven characters.
        height: of the picture that `box` belongs to, pixels.
        box: left, top, right and bottom of the crop, pixels; zeros = no crop.
        start: where the used part begins, s.
    """

    id: str
    height: int
    box: tuple[int, int, int, int]
    start: float = 0.0


# Ids and the drums' start: Table 1's footnotes; crops: the released training code
# (its evaluation crops the drums at 170 to 890).
PAPER_VIDEOS = {
    "cello": YouTubeVideo("zah9B0toTBQ", 1080, (650, 400, 1250, 1000)),
    "quintet": YouTubeVideo("R-Tk7-Ytes4", 720, (290, 0, 1010, 720)),
    "drums": YouTubeVideo("7H4hrsb_0tE", 720, (30, 0, 750, 720), start=59.0),
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
    """Find the two parts of the video: train and test.

    Args:
        folder: the video file, or a folder with one video in it; with `youtube`, the
            folder that the video is fetched into.
        settings: how clips will be cut.
        crop: LEFT,TOP,RIGHT,BOTTOM in pixels; empty = the whole picture.
        start: where the used part begins, s.
        end: where it ends, s; None = where the video does.
        youtube: a key of `PAPER_VIDEOS`, or the id of any video.
        dry_run: fetch nothing.

    Returns:
        The sources, and no problems: what is wrong with the one video is an error.

    Raises:
        ClipsError: for a video without sound, a span that it does not hold, a crop
            outside its picture, or one that is shorter than two clips.
        DownloadError: where it cannot be fetched.
    """
    # The clips are joined to one film again later. With a fraction of a frame in each,
    # the pictures would drift away from the sound, clip by clip.
    if not float(settings.seconds * settings.fps).is_integer():
        raise ClipsError(
            f"seconds is {settings.seconds}",
            f"at fps {settings.fps} that is no whole number of frames",
            "Change --seconds or --fps, so that their product is a whole number",
        )
    remote = _find_remote(youtube) if youtube else None
    if remote is None:
        video, audio = _find_video(folder), None
    else:
        video, audio = fetch(folder, remote.id, remote.height, dry_run=dry_run)
    # One probe, or two: picture first, sound last. So found[0] has the picture, and
    # found[-1] the sound in both cases.
    with _explain_damage():
        found = [media.probe(path) for path in (video, audio) if path is not None]
    _check_tracks(video, found)
    box = _choose_box(crop, remote, found[0].height or 0)
    begin = start if start is not None else (remote.start if remote else 0.0)
    # Sound of its own file may end at another time; both are needed. The picture's own
    # sound may end a little earlier.
    length = min(probe.duration for probe in found)
    if audio is None:
        # Reads the times of all packets, as far as the picture goes. Only then may the
        # sound, which is a little shorter, not shorten the film: the last clip would be
        # lost.
        with _explain_damage():
            length = max(length, media.measure_duration(video, "video"))
    begin, until = _check_span(video, begin, end, length)
    whole = Source(
        name=video.name,
        recording=video.name,
        # A video of the paper is called by its name there, any other by its file.
        label=youtube if youtube in PAPER_VIDEOS else video.stem,
        video=video,
        audio=audio,
        crop=None if box is None else _check_crop(video, box, found[0]),
        start=begin,
        duration=until - begin,
        truth=find_truth(video.parent, video.stem),
    )
    # No problems are collected: with one video there is nothing to go on with.
    return split_in_time(whole, settings), []


def _find_video(folder: Path) -> Path:
    """The file itself, or the only video of the folder."""
    if folder.is_file():
        return folder
    if not folder.exists():
        raise ClipsError(
            folder, "there is no such file or folder", "Give a video as --source"
        )
    # Truth and other files may lie beside the video, so only videos are counted.
    videos = [path for path in sorted(folder.iterdir()) if _is_video(path)]
    if len(videos) != 1:
        names = ", ".join(path.name for path in videos) or "none"
        raise ClipsError(
            folder,
            f"it must hold one video ({names} found)",
            "Give the file itself as --source",
        )
    return videos[0]


def _is_video(path: Path) -> bool:
    """Whether a file of the folder may be the video."""
    try:
        usable = path.is_file() and not path.name.startswith(".")
        return usable and find_kind(path) == "video"
    except MediaError:
        return False


@contextmanager
def _explain_damage() -> Iterator[None]:
    """Turn what is wrong with the one video into a ClipsError."""
    try:
        yield
    except MediaError as error:
        raise ClipsError(error.place, error.problem, error.remedy) from error


def _check_tracks(video: Path, found: list[media.Probe]) -> None:
    if found[0].width is None:
        raise ClipsError(video, "it has no picture", "Give a video with picture")
    # The sound is the model's only input.
    if found[-1].sample_rate is None:
        raise ClipsError(
            video,
            "it has no sound, so there is nothing to learn from",
            "Give a video with sound",
        )


def _check_span(
    video: Path, start: float, end: float | None, length: float
) -> tuple[float, float]:
    """Start and end of the used part, s, where the video holds it."""
    # `math.isfinite` below refuses nan, which passes any test of the form `value < 0`.
    until = length if end is None else end
    for name, value in (("start", start), ("end", until)):
        # 0.05: a frame; a length that is read off a player is rounded
        if not (math.isfinite(value) and 0 <= value <= length + 0.05):
            raise ClipsError(
                video,
                f"{name} is {value:g} s, outside the video's 0 to {length:g} s",
                f"Give --{name} within it",
            )
    if not start < until:
        raise ClipsError(
            video,
            f"start is {start:g} s, not before end {until:g} s",
            "Give a --start that lies before --end",
        )
    # What the tolerance let through must not reach beyond the file.
    return start, min(until, length)


def _choose_box(
    crop: str, remote: YouTubeVideo | None, height: int
) -> tuple[int, ...] | None:
    """The crop that is asked for, or the paper's; None = the whole picture."""
    if crop:
        return _parse_box(crop)
    if remote is not None and remote.box != (0, 0, 0, 0):
        return _scale_box(remote, height)
    return None


def _parse_box(text: str) -> tuple[int, ...]:
    """LEFT,TOP,RIGHT,BOTTOM, as its four numbers."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 4 or not all(re.fullmatch(r"-?\d+", part) for part in parts):
        raise ClipsError(
            f"crop is {text!r}",
            "that is not four whole numbers",
            "Give LEFT,TOP,RIGHT,BOTTOM, as in 0,0,720,720",
        )
    return tuple(int(part) for part in parts)


def _check_crop(video: Path, box: tuple[int, ...], probe: media.Probe) -> Crop:
    """(left, top, width, height) of a box that lies inside the picture."""
    left, top, right, bottom = box
    width, height = probe.width or 0, probe.height or 0
    # An edge outside the picture would be clipped without a word when it is cut, and
    # the square would move.
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ClipsError(
            video,
            f"crop is {left},{top},{right},{bottom}, not inside its picture of "
            f"{width} x {height}",
            "Give a --crop that lies inside it",
        )
    return left, top, right - left, bottom - top


# ----------------------------------------------------------------- YouTube


def _find_remote(name: str) -> YouTubeVideo:
    """One of the paper's videos, or any other by its id: 720 pixels, not cropped."""
    if name in PAPER_VIDEOS:
        return PAPER_VIDEOS[name]
    # The id goes into an address and into file names, so nothing but an id may pass.
    if not re.fullmatch(r"[\w-]{11}", name):
        raise ClipsError(
            f"youtube is {name!r}",
            "it is not the id of a video",
            f"Give {', '.join(PAPER_VIDEOS)}, or an id of 11 characters",
        )
    return YouTubeVideo(name, 720, (0, 0, 0, 0))


def _scale_box(remote: YouTubeVideo, height: int) -> tuple[int, ...]:
    """The crop for a picture of another height: YouTube may not have the paper's."""
    # Floor, so that no edge leaves the picture.
    return tuple(math.floor(edge * height / remote.height) for edge in remote.box)


def fetch(
    folder: Path, video_id: str, height: int, *, dry_run: bool = False
) -> tuple[Path, Path]:
    """Fetch picture and sound of a YouTube video, where they are not there already.

    They stay two files, because joining them would take the program ffmpeg.

    Args:
        folder: where they go.
        video_id: of YouTube.
        height: of the picture at most, pixels.
        dry_run: fetch nothing.

    Returns:
        The files of the picture and of the sound.

    Raises:
        DownloadError: where yt-dlp is missing, or the video is gone, private or
            refused.
    """
    # The crop belongs to a picture of this height. A larger one would only cost time:
    # the clips are scaled down anyway.
    small = f"bestvideo[height<={height}]"
    # yt-dlp's selectors: what stands before the slash is tried first. H.264 (avc1) and
    # AAC (m4a) come first, because every build of FFmpeg decodes them.
    wanted = {
        "video": f"{small}[vcodec^=avc1]/{small}",
        "audio": "bestaudio[ext=m4a]/bestaudio",
    }
    files = []
    for kind, choice in wanted.items():
        # Video and sound are looked for apart: after a broken download only the missing
        # one is fetched.
        if not (fetched := _list_fetched(folder, video_id, kind)):
            if dry_run:
                raise DownloadError(
                    folder,
                    f"{video_id} is not there, and a dry run fetches nothing",
                    "Start it again without --dry-run",
                )
            _download(folder, video_id, kind, choice)
            fetched = _list_fetched(folder, video_id, kind)
        if not fetched:
            raise DownloadError(
                video_id,
                f"yt-dlp wrote no {kind} into {folder}",
                "Fetch the video by hand and give its file as --source",
            )
        files.append(fetched[0])
    return files[0], files[1]


def _list_fetched(folder: Path, video_id: str, kind: str) -> list[Path]:
    """Complete files of one kind: yt-dlp keeps unfinished ones beside them."""
    unfinished = {".part", ".ytdl", ".temp"}
    found = sorted(folder.glob(f"{video_id}.{kind}.*"))
    # All suffixes are looked at: an unfinished file may be called ID.video.mp4.part, or
    # ID.video.temp.mp4.
    return [path for path in found if not unfinished & set(path.suffixes)]


def _download(folder: Path, video_id: str, kind: str, choice: str) -> None:
    """Fetch one file with yt-dlp; `choice` is its format selector."""
    try:
        # An optional dependency, and one without types: imported by name, mypy does not
        # ask for its stubs.
        yt_dlp: Any = importlib.import_module("yt_dlp")
    except ImportError as error:
        raise DownloadError(
            video_id,
            "fetching from YouTube needs yt-dlp",
            'Install it: pip install "avnb[youtube]". Or fetch the video by hand and '
            "give its file as --source",
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "format": choice,
        # A template, in which %% stands for a % of the folder's name. %(ext)s is
        # yt-dlp's own: which format it finds decides the suffix.
        "outtmpl": f"{folder / f'{video_id}.{kind}'}".replace("%", "%%") + ".%(ext)s",
        "quiet": True,
        # An address may belong to a playlist, of which only the video is wanted.
        # Without postprocessors nothing calls the program ffmpeg, which may be missing.
        "noplaylist": True,
        "postprocessors": [],
    }
    address = f"https://www.youtube.com/watch?v={video_id}"
    try:
        with yt_dlp.YoutubeDL(options) as downloader:
            downloader.download([address])
    except yt_dlp.utils.DownloadError as error:
        raise DownloadError(
            address,
            f"it was not fetched ({error})",
            "If it is gone or private, give another video, any file, as --source. If "
            "YouTube refuses, a newer yt-dlp may work",
        ) from error


if __name__ == "__main__":
    import sys

    from avnb.data.scripts import main

    main(sys.modules[__name__])
