"""A class votes: the page is blind, its files are not trusted, people count once."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from avnb.course import cli, votes
from avnb.errors import LessonError
from avnb.viz import polls
from avnb.viz.polls import Item, Medium, Poll, Question

RATING = {0: "bad", 1: "", 2: "good"}
PREFERENCE = {
    -3: "left, much", -2: "left", -1: "left, a little", 0: "no preference",
    1: "right, a little", 2: "right", 3: "right, much",
}  # fmt: skip
METHODS = ("ours", "theirs")


def paint(level: int) -> Medium:
    return Medium.of_picture(np.full((4, 4, 3), level, np.uint8))


def make_poll(shift: int = 0) -> Poll:
    """Pictures to rate, pairs of films to compare, and sounds that belong or do not."""
    sets = [
        Item(
            f"clip{i}",
            {m: [paint(60 * i + 10 * k + shift)] for k, m in enumerate(METHODS)},
            unit=f"player{i // 2}",
            label=f"<b>cello & {i}",
        )
        for i in range(4)
    ]
    tone = Medium.of_sound(np.sin(np.arange(800) / 10), 8000)
    both = [Item(f"pair{i}", {"sampled": [paint(200 + i), tone]}) for i in range(2)]
    return Poll(
        "A vote </script>",
        [
            Question("quality", "How good is each?", RATING, sets),
            Question("better", "Which is better?", PREFERENCE, sets, compares=True),
            Question("belong", "Do they belong together?", {0: "no", 1: "yes"}, both),
        ],
        "Look and listen.",
    )


def read_page(folder: Path) -> dict[str, Any]:
    """What the page holds, as a browser would read it."""
    text = (folder / polls.PAGE).read_text(encoding="utf-8")
    found = re.search(r"^const poll = (.*);$", text, re.M)
    assert found
    page: dict[str, Any] = json.loads(found[1])
    return page


def answer(
    folder: Path, who: int, wanted: dict[str, int], name: str = "", **more: Any
) -> Path:
    """Write the file of a voter: question and method -> answer, for all its ballots.

    An answer to a comparison is given from "ours" to "theirs".
    """
    key = json.loads((folder / polls.KEY).read_text(encoding="utf-8"))
    answers = {}
    for ballot, about in key["ballots"].items():
        method = about.get("method", "")
        score = wanted.get(f"{about['question']} {method}".strip())
        if score is not None:
            turned = about.get("methods", METHODS)[0] != METHODS[0]
            answers[ballot] = -score if turned and "methods" in about else score
    vote = {
        "format": votes.FORMAT, "poll": key["poll"], "voter": f"{who:032x}",
        "name": name, "saved": 1000 + who, "answers": answers,
    }  # fmt: skip
    path = (
        folder / polls.VOTES / f"votes-{who}-{len(os.listdir(folder / 'votes'))}.json"
    )
    path.write_text(json.dumps(vote | more), encoding="utf-8")
    return path


def test_a_page_does_not_say_which_method_made_what(tmp_path: Path) -> None:
    page = polls.write_poll(make_poll(), tmp_path / "vote", seed=3)
    text = page.read_text(encoding="utf-8")
    for hidden in (*METHODS, "sampled", "clip0", "player1"):
        assert hidden not in text
    # Nor do the numbers or places of the samples: they are dealt anew in each item.
    key = json.loads((page.parent / polls.KEY).read_text(encoding="utf-8"))
    content = read_page(page.parent)
    first = [
        key["ballots"][item["samples"][0]["id"]]["method"]
        for item in content["questions"][0]["items"]
    ]
    assert set(first) == set(METHODS)
    # A picture that two questions show is in the page once.
    assert len(content["media"]) == 8 + 2 + 1
    # What the texts hold cannot become markup.
    assert text.count("</script>") == 1
    again = polls.write_poll(make_poll(), tmp_path / "again", seed=3)
    assert again.read_bytes() == page.read_bytes()


def test_questions_that_cannot_be_asked_are_refused() -> None:
    item = Item("one", {"a": [paint(0)]})
    with pytest.raises(ValueError, match="2 answers"):
        Question("q", "?", {1: "yes"}, [item])
    with pytest.raises(ValueError, match="2 samples"):
        Question("q", "?", PREFERENCE, [item], compares=True)
    with pytest.raises(ValueError, match="from -n to n"):
        Question("q", "?", {0: "", 1: ""}, [item], compares=True)
    twice = Question("q", "?", RATING, [item])
    with pytest.raises(ValueError, match="a name of its own"):
        polls.write_poll(Poll("p", [twice, twice]), Path("unused"))


def test_the_votes_of_a_class_are_merged(tmp_path: Path) -> None:
    polls.write_poll(make_poll(), tmp_path, seed=1)
    for who in range(6):
        high = 2 if who < 4 else 1
        better = -2 if who < 3 else (0 if who < 5 else 3)
        answer(
            tmp_path,
            who,
            {
                "quality ours": high,
                "quality theirs": 0,
                "better": better,
                "belong sampled": who % 2,
            },
        )
    found = votes.merge_votes(tmp_path)
    assert found.voters == 6
    assert not found.left_out
    quality = found.scores["quality"]
    assert quality["ours"].mean.value == pytest.approx((4 * 2 + 2 * 1) / 6)
    assert quality["ours"].mean.n == 24
    assert "6 raters" in quality["ours"].mean.note
    elsewhere = quality["ours"].mean_elsewhere
    assert elsewhere is not None
    assert "6 raters and 2 items" in elsewhere.note  # two players, not four clips
    assert quality["theirs"].mean.value == 0
    # Whatever stood on the left: below 0 is always for the first in the alphabet.
    (pair,) = found.preferences["better"]
    assert (pair["first"], pair["second"]) == METHODS
    shares = ("prefer the first", "no preference", "prefer the second")
    assert [pair[share].value for share in shares] == pytest.approx(
        [3 / 6, 2 / 6, 1 / 6]
    )
    (mean,) = found.scores["better"].values()
    assert mean.mean.value == pytest.approx((3 * -2 + 3) / 6)
    assert found.scores["belong"]["sampled"].mean.value == 0.5
    told = json.loads((tmp_path / votes.NUMBERS).read_text())
    assert told["scores"]["quality"]["ours"]["mean"]["n"] == 24
    # Nearly all like ours and dislike theirs; who says "belong" is the voter's habit.
    assert found.agreement["quality"] is not None
    assert found.agreement["quality"].value > 0.6
    assert found.agreement["belong"] is not None
    assert found.agreement["belong"].value < 0
    text = (tmp_path / votes.RESULT).read_text(encoding="utf-8")
    assert "A vote &lt;/script&gt;" in text
    assert "Voters: 6." in text
    assert text.count("agreement of the voters") == 3


def test_one_person_counts_once_and_the_last_answer_counts(tmp_path: Path) -> None:
    polls.write_poll(make_poll(), tmp_path)
    answer(tmp_path, 1, {"quality ours": 0, "belong sampled": 1})
    answer(tmp_path, 1, {"quality ours": 2}, saved=9000)  # the same browser, later
    answer(tmp_path, 2, {"quality ours": 0}, name="Zoë  Ng", saved=9000)
    answer(tmp_path, 3, {"quality ours": 2}, name=" zoe\u0308 ng", saved=100)
    answer(tmp_path, 4, {"quality ours": 1})
    found = votes.merge_votes(tmp_path)
    assert found.voters == 3
    assert len(found.joined) == 2
    ours = found.scores["quality"]["ours"].mean
    assert ours.value == pytest.approx((2 + 0 + 1) / 3)
    assert ours.n == 12
    # What only the earlier file answers still counts.
    assert found.scores["belong"]["sampled"].mean.n == 2


def test_names_join_people_who_were_two_until_then(tmp_path: Path) -> None:
    """Browser 1 is Ann's, browser 2 is Bo's; then both names come from one browser."""
    polls.write_poll(make_poll(), tmp_path)
    answer(tmp_path, 1, {"quality ours": 1}, name="Ann", saved=1)
    answer(tmp_path, 2, {"quality ours": 2}, name="Bo", saved=2)
    answer(tmp_path, 1, {"quality ours": 0}, name="Bo", saved=3)
    answer(tmp_path, 3, {"quality ours": 2}, saved=4)
    found = votes.merge_votes(tmp_path)
    assert found.voters == 2
    assert found.scores["quality"]["ours"].mean.value == 1


BROKEN: dict[str, tuple[Any, str]] = {
    "empty": (b"", "not JSON"),
    "text": (b"\xff\xfe<html>", "not JSON"),
    "deep": (b"[" * 100_000, "not JSON"),
    "huge": (b" " * (votes.MAX_BYTES + 1), "larger than 1024 kB"),
    "list": (b"[1]", "not a file of votes"),
    "digits": (b"9" * 9000, "not"),
    "other": ({"poll": "0" * 64}, "another page"),
    "format": ({"format": "avnb votes 9"}, "not a file of votes"),
    "voter": ({"voter": "../../x"}, "no proper number"),
    "voters": ({"voter": ["a"]}, "no proper number"),
    "name": ({"name": "x" * 81}, "name"),
    "names": ({"name": {"a": 1}}, "name"),
    "time": ({"saved": "now"}, "when it was saved"),
    "never": ({"saved": -1}, "when it was saved"),
    "none": ({"answers": {}}, "no answers"),
    "answers": ({"answers": [1]}, "no answers"),
    "asked": ({"answers": {"b999": 1}}, "not asked"),
    "scale": (7, "not on the scale"),
    "true": (True, "not on the scale"),
    "nan": (float("nan"), "not on the scale"),
    "words": ("2", "not on the scale"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_and_left_out(name: str, tmp_path: Path) -> None:
    polls.write_poll(make_poll(), tmp_path)
    whole = answer(tmp_path, 1, {"quality ours": 2})
    change, told = BROKEN[name]
    path = tmp_path / polls.VOTES / f"{name}.json"
    vote = json.loads(whole.read_text()) | {"voter": f"{7:032x}"}
    if isinstance(change, bytes):
        path.write_bytes(change)
    else:
        if not isinstance(change, dict):
            change = {"answers": dict.fromkeys(vote["answers"], change)}
        path.write_text(json.dumps(vote | change))
    # Without the merging, which draws again and again what is the same for all of them.
    found, left_out = votes.read_votes(path.parent, votes.read_key(tmp_path))
    assert [vote.path for vote in found] == [whole]
    (line,) = left_out
    assert line.startswith(f"{name}.json: ")
    assert told in line


def test_what_is_no_plain_file_is_left_out(tmp_path: Path) -> None:
    """A pipe would be waited for, a link may lead anywhere; folders below are read."""
    polls.write_poll(make_poll(), tmp_path)
    whole = answer(tmp_path, 1, {"quality ours": 2})
    below = tmp_path / polls.VOTES / "from Ann"
    below.mkdir()
    shutil.move(whole, below / "votes.json")
    outside = tmp_path / "outside.json"
    outside.write_text((below / "votes.json").read_text().replace("0001", "0002"))
    (tmp_path / polls.VOTES / "link.json").symlink_to(outside)
    os.mkfifo(tmp_path / polls.VOTES / "pipe.json")
    (tmp_path / polls.VOTES / "\x1b[2Jred.json").write_text("x")
    found = votes.merge_votes(tmp_path)
    assert found.voters == 1
    assert len(found.left_out) == 3
    assert all(line.isprintable() for line in found.left_out)


def test_markup_in_a_name_stays_text(tmp_path: Path) -> None:
    polls.write_poll(make_poll(), tmp_path)
    path = answer(tmp_path, 1, {"quality ours": 2})
    path.rename(path.with_name("<img src=x onerror=alert(1)>.json"))
    answer(tmp_path, 1, {"quality ours": 2}, name="<script>")
    (tmp_path / polls.VOTES / "<b>.json").write_text("broken")
    assert votes.merge_votes(tmp_path).left_out == ["<b>.json: it is not JSON"]
    text = (tmp_path / votes.RESULT).read_text(encoding="utf-8")
    assert "<img src=x" not in text
    assert "&lt;b&gt;.json" in text
    assert "<b>" not in text
    assert "<script" not in text


def test_votes_for_an_earlier_training_are_put_aside(tmp_path: Path) -> None:
    polls.write_poll(make_poll(), tmp_path)
    answer(tmp_path, 1, {"quality ours": 2})
    polls.write_poll(make_poll(), tmp_path)  # the same training, run again
    assert votes.merge_votes(tmp_path).voters == 1

    polls.write_poll(make_poll(shift=5), tmp_path)
    assert not list((tmp_path / polls.VOTES).iterdir())
    (aside,) = tmp_path.glob("earlier-*")
    assert votes.merge_votes(aside).voters == 1  # with the key that belongs to them
    answer(tmp_path, 2, {"quality ours": 0})
    answer(tmp_path, 3, {"quality ours": 0})
    assert votes.merge_votes(tmp_path).voters == 2

    polls.write_poll(make_poll(), tmp_path)  # back to the first training
    assert votes.merge_votes(tmp_path).voters == 1
    polls.write_poll(make_poll(shift=5), tmp_path)
    assert votes.merge_votes(tmp_path).voters == 2


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(LessonError, match="not the folder of a voting page"):
        votes.merge_votes(tmp_path)
    polls.write_poll(make_poll(), tmp_path)
    with pytest.raises(LessonError, match=r"the folder is empty.*vote\.html"):
        votes.merge_votes(tmp_path)
    answer(tmp_path, 1, {"quality ours": 2})
    mine = tmp_path / "elsewhere"
    (tmp_path / polls.VOTES).rename(mine)
    done = CliRunner().invoke(cli.app, ["vote", str(tmp_path), "--votes", str(mine)])
    assert done.exit_code == 0, done.output
    assert "voters: 1" in done.output
    assert "ours, mean score: 2 of 2" in done.output


DRIVER = """
<script>
// Press what a voter would press: the name, then the last answer of each scale.
document.getElementById("name").value = "Ada";
document.getElementById("name").dispatchEvent(new Event("input"));
const press = (text) => [...document.querySelectorAll("button")]
  .find((b) => b.textContent === text).click();
press("Begin");
for (let i = 0; i < 50 && document.getElementById("next"); i++) {
  if (!document.getElementById("next").disabled) throw new Error("goes on too early");
  for (const scale of document.querySelectorAll(".scale"))
    scale.querySelector("label:last-child input").click();
  document.getElementById("next").click();
}
</script>
"""


def browse(page: Path, *options: str) -> str:
    """Open a page in headless Chromium, and return its elements as text."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no Chromium here")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu",
        f"--user-data-dir={page.parent / 'profile'}", *options, page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return done.stdout


@pytest.mark.slow
def test_a_voter_goes_through_the_page_in_a_browser(tmp_path: Path) -> None:
    page = polls.write_poll(make_poll(), tmp_path / "vote", seed=2)
    driven = tmp_path / "driven.html"
    text = page.read_text(encoding="utf-8")
    driven.write_text(text.replace("</body>", DRIVER + "</body>"), encoding="utf-8")
    shown = browse(driven, "--dump-dom")
    found = re.search(r"<textarea[^>]*>(.*)</textarea>", shown)
    assert found, shown[-2000:]
    assert "Thank you, that was all." in shown
    assert re.search(
        r'<a href="blob:[^"]*" id="save" download="votes-\w{8}.json"', shown
    )
    (page.parent / polls.VOTES / "ada.json").write_text(found[1], encoding="utf-8")
    result = votes.merge_votes(page.parent)
    assert (result.voters, result.left_out) == (1, [])
    # The last point of a scale: the best score, and "much better" for what was shown on
    # the right. Over items and voters, that is each of the two methods in turn.
    for method in METHODS:
        assert result.scores["quality"][method].mean.value == 2
    assert result.scores["belong"]["sampled"].mean.value == 1
    (better,) = result.scores["better"].values()
    assert better.fractions[0].value + better.fractions[-1].value == 1
