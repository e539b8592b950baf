"""Read the votes of a class, which anybody may have written, and merge them.

A voting page (`avnb.viz.polls`) gives each voter a file. The teacher puts all files
into the folder `votes` beside the page; this module counts them. A file is only read as
JSON, up to a limit of its size, and each value in it is checked. One that is broken, or
that belongs to another page, is named and left out.
"""

import html
import json
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avnb import files
from avnb.course.report import CSS
from avnb.errors import LessonError
from avnb.metrics import Measure, MethodScores, human_scores, rater_agreement
from avnb.viz import show
from avnb.viz.polls import KEY, PAGE, VOTES, draw_answers

FORMAT = "avnb votes 1"
RESULT, NUMBERS = "result.html", "result.json"
MAX_BYTES = 2**20  # of one file: a vote of a thousand answers has 20 kB
MAX_FILES = 5000
MAX_NAME = 80  # characters


@dataclass(frozen=True)
class Vote:
    """One file's content: who answered what, and when the file was saved."""

    path: Path
    voter: str
    name: str
    saved: int  # ms since 1970, by the voter's clock
    answers: Mapping[str, int]


@dataclass(frozen=True)
class Result:
    """What a class answered.

    Attributes:
        title: of the poll.
        voters: how many people answered something.
        scores: question -> method -> its ratings.
        preferences: question -> the two methods and their shares, for the questions
            that compare.
        agreement: question -> how far the voters agree; None where it is not known.
        left_out: the files that do not count, and why.
        joined: what was taken as one person's, and why.
    """

    title: str
    voters: int
    scores: Mapping[str, Mapping[str, MethodScores]]
    preferences: Mapping[str, Sequence[Mapping[str, Any]]]
    agreement: Mapping[str, Measure | None]
    left_out: Sequence[str]
    joined: Sequence[str]


def merge_votes(folder: Path, votes: Path | None = None) -> Result:
    """Count the votes of a class, and write `result.html` and `result.json`.

    Args:
        folder: of the poll, which holds its key.
        votes: the files of the voters, also in folders below; default: `votes` in
            the poll's folder.

    Returns:
        The result, where several files of one person count as one voter's.

    Raises:
        LessonError: there is no key, or no vote that counts.
    """
    key = read_key(folder)
    votes = votes or folder / VOTES
    found, left_out = read_votes(votes, key)
    if not found:
        why = "; ".join(left_out) or "the folder is empty"
        raise LessonError(
            votes,
            f"it holds no votes that count ({why})",
            f"Give {folder / PAGE} to the class, and put the files that the voters "
            "send back into that folder",
        )
    people, joined = join_voters(found)
    scores: dict[str, dict[str, MethodScores]] = {}
    preferences: dict[str, list[dict[str, Any]]] = {}
    agreement: dict[str, Measure | None] = {}
    for question in key["questions"]:
        records = _list_records(key["ballots"], question, people)
        points = [point for point, _ in question["answers"]]
        scores[question["name"]] = human_scores(records, scores=points)
        agreement[question["name"]] = rater_agreement(records)
        if question["compares"]:
            preferences[question["name"]] = _compare_pairs(records)
    result = Result(
        key["title"], len(people), scores, preferences, agreement, left_out, joined
    )
    files.write_json(folder / NUMBERS, files.to_jsonable(result))
    files.write_bytes(folder / RESULT, _render(result, key).encode())
    return result


def read_key(folder: Path) -> dict[str, Any]:
    """The key of a poll: which ballot shows which method.

    Raises:
        LessonError: there is none.
    """
    if not (folder / KEY).is_file():
        raise LessonError(
            folder,
            f"it holds no {KEY}, so it is not the folder of a voting page",
            f"Give the folder that holds {PAGE}: `vote` in the folder of a run",
        )
    key: dict[str, Any] = files.read_json(folder / KEY)
    return key


def read_votes(folder: Path, key: Mapping[str, Any]) -> tuple[list[Vote], list[str]]:
    """Read every file of a folder as a vote.

    Args:
        folder: also folders below it are read, but no links are followed.
        key: of the poll.

    Returns:
        The votes that count, and for each other file its name and what is wrong.
    """
    found, left_out = [], []
    paths = sorted(
        Path(place, name)
        for place, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".")  # what file managers leave
    )
    for path in paths[:MAX_FILES]:
        try:
            found.append(_read_vote(path, key))
        except ValueError as error:
            # A file's name may hold what moves a terminal's cursor.
            left_out.append(f"{_clean(path.name)}: {error}")
    if len(paths) > MAX_FILES:
        left_out.append(
            f"{len(paths) - MAX_FILES} files above the limit of {MAX_FILES}"
        )
    return found, left_out


def _read_vote(path: Path, key: Mapping[str, Any]) -> Vote:
    """One file's vote; a ValueError says in words what is wrong with it."""
    # A pipe would be read for ever, and a link may lead anywhere.
    if path.is_symlink() or not path.is_file():
        raise ValueError("it is not a plain file")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from None
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES // 1024} kB")
    try:
        # RecursionError: brackets in brackets, ten thousand deep.
        vote = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(vote, dict) or vote.get("format") != FORMAT:
        raise ValueError("it is not a file of votes")
    if vote.get("poll") != key["poll"]:
        raise ValueError("it belongs to another page, with other samples")
    voter, name = vote.get("voter"), vote.get("name")
    saved: Any = vote.get("saved")
    if not isinstance(voter, str) or not re.fullmatch(r"[0-9a-f]{32}", voter):
        raise ValueError("its voter has no proper number")
    if not isinstance(name, str) or len(name) > MAX_NAME:
        raise ValueError(f"its name is not a text of at most {MAX_NAME} characters")
    if not _is_integer(saved) or not 0 <= saved < 2**53:
        raise ValueError("it does not say when it was saved")
    answers = vote.get("answers")
    if not isinstance(answers, dict):
        raise ValueError("it holds no answers")
    _check_answers(answers, key)
    if not answers:
        raise ValueError("it holds no answers")
    return Vote(path, voter, _clean(name), saved, answers)


def _check_answers(answers: Mapping[str, Any], key: Mapping[str, Any]) -> None:
    """Raise a ValueError where an answer is none that the page can give."""
    scales = {
        question["name"]: {point for point, _ in question["answers"]}
        for question in key["questions"]
    }
    for ballot, answer in answers.items():
        known = key["ballots"].get(ballot)
        if known is None:
            raise ValueError("it answers what was not asked")
        if not _is_integer(answer) or answer not in scales[known["question"]]:
            raise ValueError("it holds an answer that is not on the scale")


def _is_integer(value: Any) -> bool:
    # For Python, True is the integer 1.
    return isinstance(value, int) and not isinstance(value, bool)


def _clean(text: str) -> str:
    """A text of unknown origin on one line, without characters that are not shown."""
    return "".join(c for c in unicodedata.normalize("NFC", text) if c.isprintable())


def join_voters(
    votes: Sequence[Vote],
) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Join the files of one person, so that nobody counts twice.

    Files are one person's where they have the same number, which the page draws once a
    browser, or the same name. Two people of one name so count as one: that makes the
    interval wider. One person who counts twice would make it narrower than it is. Where
    files of one person disagree, the answer that was saved last counts.

    Returns:
        The voters, each with all answers, and a sentence for each that was joined.
    """
    owner: dict[str, str] = {}  # a number or a name -> the voter
    mine: dict[str, list[Vote]] = {}
    for vote in sorted(votes, key=lambda vote: (vote.saved, vote.path)):
        marks = [vote.voter]
        if vote.name:
            marks.append("name " + " ".join(vote.name.casefold().split()))
        # Both marks may be known, of two voters so far: these are one then.
        known = list(dict.fromkeys(owner[mark] for mark in marks if mark in owner))
        voter = known[0] if known else vote.voter
        for other in known[1:]:
            mine[voter] += mine.pop(other)
            owner = {k: voter if v == other else v for k, v in owner.items()}
        owner |= dict.fromkeys(marks, voter)
        mine.setdefault(voter, []).append(vote)
    people, joined = {}, []
    for voter, parts in mine.items():
        parts.sort(key=lambda vote: (vote.saved, vote.path))
        people[voter] = {k: v for part in parts for k, v in part.answers.items()}
        if len(parts) > 1:
            names = ", ".join(_clean(part.path.name) for part in parts)
            same = "name" if len({p.voter for p in parts}) > 1 else "browser"
            joined.append(
                f"{names}: one voter (the same {same}); the last answer counts"
            )
    return people, joined


def _list_records(
    ballots: Mapping[str, Any],
    question: Mapping[str, Any],
    people: Mapping[str, Mapping[str, int]],
) -> list[dict[str, Any]]:
    """The answers to one question as `human_scores` takes them.

    The order is that of the ballots and not of the files, so that the methods stand in
    the same order however many have voted.
    """
    records = []
    for ballot, about in ballots.items():
        if about["question"] != question["name"]:
            continue
        for voter, answers in people.items():
            if ballot not in answers:
                continue
            score, method, pair = answers[ballot], about.get("method"), None
            if question["compares"]:
                first, second = about["methods"]
                # Each pair was dealt anew which of its two comes first: turn them all
                # the same way round.
                if first > second:
                    first, second, score = second, first, -score
                pair, method = (first, second), f"{first} against {second}"
            records.append(
                {
                    "method": method,
                    "pair": pair,
                    "score": score,
                    "rater": voter,
                    "item": about["item"],
                    "ballot": ballot,
                }
            )
    return sorted(records, key=lambda record: str(record["method"]))


def _compare_pairs(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How often each of two methods is preferred, and how often neither is."""
    # Only the side counts, so the scale shrinks to three points.
    sides = [{**r, "score": (r["score"] > 0) - (r["score"] < 0)} for r in records]
    pairs = {str(record["method"]): record["pair"] for record in records}
    rows = []
    for name, found in human_scores(sides, scores=(-1, 0, 1)).items():
        (first, second), (left, none, right) = pairs[name], found.fractions
        rows.append(
            {
                "first": first,
                "second": second,
                "prefer the first": left,
                "no preference": none,
                "prefer the second": right,
            }
        )
    return rows


def tabulate(result: Result, question: str) -> list[dict[str, Any]]:
    """The rows of one question's table: method, mean, intervals, or preferences."""
    if question in result.preferences:
        return [dict(row) for row in result.preferences[question]]
    return [
        {
            "method": method,
            "mean, other voters": found.mean,
            "mean, other voters and items": found.mean_elsewhere,
            "answers": found.mean.n,
        }
        for method, found in result.scores[question].items()
    ]


def describe(result: Result) -> str:
    """The result as lines for the terminal."""
    lines = [f"{result.title}: voters: {result.voters}"]
    for question, methods in result.scores.items():
        lines += [f"{question}: {found.mean}" for found in methods.values()]
    for question, rows in result.preferences.items():
        for row in rows:
            shares = ", ".join(
                f"{name} {show.format_number(row[name])}"
                for name in row
                if name not in ("first", "second")
            )
            lines.append(f"{question}: {row['first']} / {row['second']}: {shares}")
    lines += [f"not counted: {line}" for line in result.left_out]
    lines += [f"joined: {line}" for line in result.joined]
    return "\n".join(lines)


def _render(result: Result, key: Mapping[str, Any]) -> str:
    """The page that the teacher shows to the class."""
    parts = [
        f"<h1>{html.escape(result.title)}</h1>",
        f"<p>Voters: {result.voters}. Intervals of 95 % in brackets: for other voters "
        "of the same samples, and, wider, for other voters and other samples.</p>",
    ]
    for question in key["questions"]:
        name = question["name"]
        parts.append(f"<h2>{html.escape(question['text'])}</h2>")
        if not result.scores[name]:
            parts.append("<p>Nobody has answered this question.</p>")
            continue
        parts.append(show.table_html(tabulate(result, name)))
        if (agreement := result.agreement[name]) is not None:
            row = {"agreement of the voters (1: all the same, 0: by chance)": agreement}
            parts.append(show.table_html([row]))
        figure = show.figure_to_png(
            draw_answers(
                result.scores[name],
                dict(question["answers"]),
                "answer: below 0 for the first, above 0 for the second"
                if question["compares"]
                else "answer",
            )
        )
        image = show.data_url(figure, "image/png")
        parts.append(f"<img alt='Share of each answer' src='{image}'>")
    for title, lines in (
        ("Files that do not count", result.left_out),
        ("Files of one voter", result.joined),
    ):
        if lines:
            entries = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
            parts.append(f"<h2>{title}</h2><ul>{entries}</ul>")
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{html.escape(result.title)}</title><style>{CSS}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )
