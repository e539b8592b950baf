"""A voting page for a class: samples shown blind, questions, answers in a file.

The page is one HTML file that holds its pictures, sounds and films. It asks no server
for anything: each voter opens it in a browser, answers, and sends the file that it
offers at the end back to the teacher. `avnb.course.votes` reads and merges these files.

Which method made which sample is not in the page, where a voter could read it, but in
a second file, the key, which stays with the teacher.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avnb import files
from avnb.metrics import MethodScores
from avnb.viz import show

PAGE, KEY, VOTES = "vote.html", "key.json", "votes"
TEMPLATE = Path(__file__).with_name("poll.html")


@dataclass(frozen=True)
class Medium:
    """One thing to look at or to hear, as a browser plays it.

    Attributes:
        kind: "img", "audio" or "video", the HTML element that shows it.
        url: a `data:` address that holds it.
    """

    kind: str
    url: str

    @classmethod
    def of_picture(cls, picture: Any) -> "Medium":
        """A picture, as `show.to_uint8` takes it; the page enlarges a small one."""
        return cls("img", show.data_url(show.encode_png(picture), "image/png"))

    @classmethod
    def of_sound(cls, waveform: Any, rate: int) -> "Medium":
        """A sound, (samples,) or (channels, samples) in [-1, 1], `rate` in Hz."""
        return cls("audio", show.data_url(show.encode_wav(waveform, rate), "audio/wav"))

    @classmethod
    def of_film(cls, content: bytes) -> "Medium":
        """A film: the bytes of an MP4, such as `show.encode_mp4` gives."""
        return cls("video", show.data_url(content, "video/mp4"))


@dataclass(frozen=True)
class Item:
    """What is judged at once: one sample of each method.

    Attributes:
        name: names the item in the results, such as a clip.
        samples: method -> its sample, of one medium or of several.
        unit: what is independent of other items, such as the player; the name where
            nothing is given.
        label: what voters read above the samples, such as the instrument.
        given: what voters see or hear beside them, such as the sound that each of the
            samples answers.
    """

    name: str
    samples: Mapping[str, Sequence[Medium]]
    unit: str = ""
    label: str = ""
    given: Sequence[Medium] = ()


@dataclass(frozen=True)
class Question:
    """One question about each of some items.

    Attributes:
        name: names the question in the results.
        text: what voters read.
        answers: the points of the scale and what each means, "" for a point between.
        items: about which it is asked.
        compares: each item holds two samples, and an answer says which is better. The
            scale then runs from -n (the left one) through 0 (no preference) to n.

    Raises:
        ValueError: the scale or the items do not fit the question.
    """

    name: str
    text: str
    answers: Mapping[int, str]
    items: Sequence[Item]
    compares: bool = False

    def __post_init__(self) -> None:
        if len(self.answers) < 2 or not self.items:
            raise ValueError(f"{self.name}: a question needs 2 answers and an item")
        if not self.compares:
            return
        if sorted(self.answers) != sorted(-point for point in self.answers):
            raise ValueError(f"{self.name}: the scale must run from -n to n")
        if odd := [item.name for item in self.items if len(item.samples) != 2]:
            raise ValueError(f"{self.name}: {odd[0]} must hold 2 samples to compare")


@dataclass(frozen=True)
class Poll:
    """What is asked on one page: a title, an introduction and the questions."""

    title: str
    questions: Sequence[Question]
    introduction: str = ""


def write_poll(poll: Poll, folder: Path, *, seed: int = 0) -> Path:
    """Write the page and its key into a folder, and make room for the votes.

    Votes that are there for other samples, such as those of an earlier training, are
    put aside with their key. The same poll, written again, keeps its votes.

    Args:
        poll: what is asked.
        folder: gets `vote.html`, `key.json` and the empty folder `votes`.
        seed: of the order in which samples are numbered.

    Returns:
        The page.

    Raises:
        ValueError: two questions have the same name.
        WriteError: the folder cannot be written.
    """
    names = [question.name for question in poll.questions]
    if len(set(names)) < len(names):
        raise ValueError(f"{names}: each question needs a name of its own")
    page, key = _number_ballots(poll, np.random.default_rng(seed))
    # The votes of a page count for these samples alone: a hash of all tells them apart.
    page["poll"] = key["poll"] = files.hash_values(page, key)
    exchange_votes(folder, key["poll"])
    (folder / VOTES).mkdir(parents=True, exist_ok=True)
    files.write_json(folder / KEY, key)
    # "<" could end the script that holds this text.
    content = json.dumps(page, ensure_ascii=False).replace("<", "\\u003c")
    text = TEMPLATE.read_text(encoding="utf-8").replace('"POLL"', content, 1)
    files.write_bytes(folder / PAGE, text.encode())
    return folder / PAGE


def exchange_votes(folder: Path, poll: str) -> None:
    """Put the votes of another poll aside with their key, and take this poll's back.

    Args:
        folder: of the poll.
        poll: the hash of the one that is there from now on.
    """
    if (folder / KEY).is_file():
        earlier = str(files.read_json(folder / KEY)["poll"])
        if earlier == poll:
            return
        if (folder / VOTES).is_dir() and any((folder / VOTES).iterdir()):
            aside = folder / f"earlier-{earlier[:8]}"
            aside.mkdir(exist_ok=True)
            # The key first: without it the votes could never be read.
            (folder / KEY).replace(aside / KEY)
            (folder / VOTES).replace(aside / VOTES)
    # A training that is set back to an earlier one shows the same samples again.
    back = folder / f"earlier-{poll[:8]}" / VOTES
    if back.is_dir() and not (folder / VOTES).is_dir():
        back.replace(folder / VOTES)


def _number_ballots(
    poll: Poll, random: np.random.Generator
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The page's and the key's content: each thing to be answered gets a number.

    The numbers are dealt at random, so that they say nothing of the methods.
    """
    page: dict[str, Any] = {"title": poll.title, "introduction": poll.introduction}
    key: dict[str, Any] = {"title": poll.title, "questions": [], "ballots": {}}
    page["questions"] = []
    media: dict[tuple[str, str], int] = {}  # kind and address -> place in the page
    total = sum(len(i.samples) for q in poll.questions for i in q.items)
    numbers = iter(random.permutation(total).tolist())
    for question in poll.questions:
        answers = sorted(question.answers.items())
        about = {"text": question.text, "answers": answers}
        shown = []
        for item in question.items:
            # The page shuffles again for each voter. This order is for who reads it.
            methods = [
                list(item.samples)[i] for i in random.permutation(len(item.samples))
            ]
            ids = {method: f"b{next(numbers)}" for method in methods}
            where = {"question": question.name, "item": item.unit or item.name}
            if question.compares:
                # One answer for both: it has the number of the first.
                key["ballots"][ids[methods[0]]] = where | {"methods": methods}
            else:
                key["ballots"] |= {ids[m]: where | {"method": m} for m in methods}
            samples = [
                {"id": ids[m], "media": _list_media(item.samples[m], media)}
                for m in methods
            ]
            given = _list_media(item.given, media)
            shown.append({"label": item.label, "given": given, "samples": samples})
        compares = question.compares
        page["questions"].append(about | {"compares": compares, "items": shown})
        # JSON has no integers as names, so the scale is a list of pairs.
        key["questions"].append(about | {"name": question.name, "compares": compares})
    page["media"] = list(media)
    return page, key


def _list_media(
    wanted: Sequence[Medium], media: dict[tuple[str, str], int]
) -> list[int]:
    """The places of media in the page's list, where each stands once."""
    return [media.setdefault((one.kind, one.url), len(media)) for one in wanted]


def draw_answers(
    found: Mapping[str, MethodScores],
    answers: Mapping[int, str],
    label: str = "answer",
) -> show.Plot:
    """Bars of the share of each answer, side by side for the methods.

    Args:
        found: method -> its ratings, whose shares are in the order of the answers.
        answers: the points of the scale.
        label: of the axis of the answers.
    """
    points = sorted(answers)
    figure, axes = show.subplots(width=1.5 + 1.0 * len(points), height=2.8)
    width = 0.8 / len(found)
    for i, (method, one) in enumerate(found.items()):
        # The bars of all methods stand side by side, with their middle at the score.
        places = np.arange(len(points)) + (i - (len(found) - 1) / 2) * width
        shares = [share.value for share in one.fractions]
        colour = show.COLOURS[i % len(show.COLOURS)]
        axes[0, 0].bar(places, shares, width, label=method, color=colour)
    axes[0, 0].set(xlabel=label, ylabel="share")
    axes[0, 0].set_xticks(range(len(points)), [str(point) for point in points])
    axes[0, 0].legend(fontsize=8)
    return figure
