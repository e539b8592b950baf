"""Things to play with: their buttons pressed, what comes of it looked at."""

import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import ipywidgets as ui
import numpy as np
import pytest
from IPython.display import HTML
from ipywidgets import __version__ as ipywidgets_version
from PIL import Image

from avnb import media
from avnb.errors import UploadError
from avnb.viz import show, widgets

RNG = np.random.default_rng(0)
RED = np.zeros((8, 8, 3), np.uint8) + np.array([255, 0, 0], np.uint8)

Uploading = widgets.SoundToPicture | widgets.SoundToFilm


def study_sets() -> list[widgets.StudySet]:
    def picture(i: int) -> np.ndarray:
        return np.full((8, 8, 3), i, np.uint8)

    return [
        widgets.StudySet(f"class {i}", {m: picture(4 * i + j) for j, m in methods()})
        for i in range(3)
    ]


def methods() -> list[tuple[int, str]]:
    return list(enumerate(["S2I-C", "S2I-N", "real"]))


def press(study: widgets.HumanStudy, place: int, score: int) -> None:
    study.row.children[place].children[1].value = score


def test_the_study_is_blind_saved_and_resumed(tmp_path: Path) -> None:
    path = tmp_path / "study" / "scores.json"
    study = widgets.HumanStudy(study_sets(), path, seed=1)
    shown = str([w.get_state() for w in study.row.children]) + study.question.value
    assert not any(name in shown for _, name in methods())
    assert len({tuple(names) for names in study.shuffled}) > 1

    press(study, 0, 2)
    first = study.shuffled[study.order[0]][0]
    saved = json.loads(path.read_text())["scores"]
    assert [(row["method"], row["score"]) for row in saved] == [(first, 2)]

    again = widgets.HumanStudy(study_sets(), path, seed=1)
    assert again.progress.value == 1
    assert again.row.children[0].children[1].value == 2
    press(again, 0, 3)  # a change of mind replaces the score
    assert len(json.loads(path.read_text())["scores"]) == 1
    for place in (1, 2):
        press(again, place, 1)
    assert "Set 2 of 3" in again.question.value

    # Another training makes other pictures: its scores begin anew, none is lost.
    before = path.read_bytes()
    other = [widgets.StudySet("x", {"a": RED})]
    assert widgets.HumanStudy(other, path).scores == {}
    (aside,) = path.parent.glob("scores-earlier-*.json")
    assert aside.read_bytes() == before
    press(widgets.HumanStudy(other, path), 0, 1)
    assert widgets.HumanStudy(study_sets(), path, seed=1).scores == again.scores
    assert widgets.HumanStudy(other, path).scores == {(0, "a"): 1}


def test_the_study_ends_with_the_means(tmp_path: Path) -> None:
    study = widgets.HumanStudy(study_sets(), tmp_path / "s.json")
    wanted = {"S2I-C": [3, 1, 2], "S2I-N": [0, 0, 0], "real": [3, 3, 3]}
    for index in list(study.order):
        for place, method in enumerate(study.shuffled[index]):
            press(study, place, wanted[method][index])
    assert "Thank you" in study.question.value
    page = study.result.children[0].value
    rows = re.findall(r"<td>([^<]*)</td><td>([^<]*)</td>", page)
    means = {method: float(text.split()[0]) for method, text in rows}
    assert means == {"S2I-C": 2, "S2I-N": 0, "real": 3}
    assert "data:image/png" in page


def playground() -> tuple[widgets.SoundToPicture, list]:
    calls: list = []

    def generate(sound: np.ndarray, noise: np.ndarray) -> np.ndarray:
        calls.append((sound, noise))
        return np.full((8, 8, 3), len(calls), np.uint8)

    sounds = {"cello": np.full(100, 0.1), "horn": np.full((1, 80), 0.2)}
    return widgets.SoundToPicture(generate, sounds, 8000, noise=16), calls


def test_sliding_the_noise_and_swapping_the_instrument_redraws() -> None:
    play, calls = playground()
    first = play.picture.children[0].value
    play.slider.value = 1.0
    assert play.picture.children[0].value != first
    play.choice.value = "horn"
    sounds, noises = zip(*calls, strict=True)
    assert [round(float(sound[0]), 3) for sound in sounds] == [0.1, 0.1, 0.2]
    assert np.allclose(noises[0], play.ends[0])
    assert np.allclose(noises[1], play.ends[1], atol=1e-6)
    assert np.array_equal(noises[1], noises[2])


def test_mixing_two_sounds_redraws_and_plays_the_mixture() -> None:
    play, calls = playground()
    assert play.other.value == "horn"
    play.mix.value = 0.25
    sound = calls[-1][0]
    assert np.allclose(sound[:80], 0.75 * 0.1 + 0.25 * 0.2)
    assert np.allclose(sound[80:], 0.75 * 0.1)
    assert play.player.value == show.listen([sound], 8000).data


def test_noise_between_two_vectors_stays_gaussian() -> None:
    start, end = RNG.standard_normal((2, 100_000))
    for share in (0.0, 0.3, 0.5, 1.0):
        assert widgets.interpolate_noise(start, end, share).std() == pytest.approx(
            1, abs=0.02
        )


def upload(play: Uploading, name: str, content: bytes) -> None:
    """What the browser sends, in the form of the ipywidgets that is here."""
    file = {"name": name, "type": "audio/wav", "size": len(content)}
    if int(ipywidgets_version.partition(".")[0]) >= 8:
        now = datetime.now(UTC)
        play.upload.value = ({**file, "content": content, "last_modified": now},)
    else:
        play.upload.set_trait("value", {name: {"metadata": file, "content": content}})


def test_the_file_of_either_ipywidgets_is_read() -> None:
    eight = ({"name": "a.wav", "content": memoryview(b"RIFF")},)
    seven = {"a.wav": {"metadata": {"name": "a.wav"}, "content": b"RIFF"}}
    for value in (eight, seven):
        assert widgets.read_file_upload(value) == ("a.wav", b"RIFF")


def test_an_uploaded_sound_is_heard() -> None:
    play, calls = playground()
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(1600) / 16000)
    upload(play, "tone.wav", show.encode_wav(tone, 16000))
    assert play.choice.value == "tone.wav (yours)"
    assert len(calls[-1][0]) == play.length
    assert np.abs(calls[-1][0]).max() == pytest.approx(0.5, abs=0.05)


def test_a_broken_upload_is_told_kindly() -> None:
    play, calls = playground()
    upload(play, "broken<.wav", b"RIFF nothing here")
    assert "broken&lt;.wav" in play.message.value
    assert len(calls) == 1
    assert play.choice.value == "cello"


def test_picture_to_sound_plays_what_is_made() -> None:
    made: list[np.ndarray] = []

    def generate(picture: np.ndarray, noise: np.ndarray) -> np.ndarray:
        made.append(np.full(100, picture.mean() / 255 * np.abs(noise).min()))
        return made[-1]

    pictures = {"red": RED, "black": RED * 0}
    play = widgets.PictureToSound(generate, pictures, 8000, noise=4)
    first = play.player.value
    play.slider.value = 0.5
    assert play.player.value != first
    play.choice.value = "black"
    assert not made[-1].any()
    assert play.player.value == show.listen([made[-1]], 8000).data


# --- Sound to film -------------------------------------------------------------

RATE = 16000


def tone(seconds: float, hz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)


def cinema(seconds: float = 2.0) -> tuple[widgets.SoundToFilm, list]:
    calls: list = []

    def generate(sound: np.ndarray, seed: int) -> np.ndarray:
        calls.append((sound, seed))
        if not sound.any():
            raise ValueError("nothing <to> hear")
        return np.full((len(sound) * 20 // RATE, 8, 8, 3), 100 * seed, np.uint8)

    sounds = {"cello": tone(0.5), "long": tone(3.0), "silence": np.zeros(RATE)}
    play = widgets.SoundToFilm(generate, sounds, RATE, fps=20, seconds=seconds, seed=1)
    return play, calls


def shown(play: widgets.SoundToFilm, folder: Path) -> media.Clip:
    """What the player holds."""
    (folder / "film.mp4").write_bytes(play.screen.children[0].value)
    return media.read_clip(folder / "film.mp4")


def test_the_film_holds_the_frames_and_the_sound(tmp_path: Path) -> None:
    play, calls = cinema()
    assert not calls, "nothing is made before the button is pressed"
    assert play.player.value == show.listen([tone(0.5)], RATE).data
    play.button.click()
    clip = shown(play, tmp_path)
    assert (len(clip.frames), clip.fps) == (10, 20)
    assert np.abs(clip.frames.astype(int) - 100).max() < 8
    heard = clip.waveform[0, : RATE // 2]
    assert np.corrcoef(heard, tone(0.5)[: len(heard)])[0, 1] > 0.99
    play.seed.value = 2
    assert len(calls) == 1
    play.button.click()
    assert [seed for _, seed in calls] == [1, 2]
    assert np.abs(shown(play, tmp_path).frames.astype(int) - 200).max() < 8
    assert not play.button.disabled


def test_long_sounds_are_cut_and_uploads_told_so() -> None:
    play, calls = cinema(seconds=2.0)
    play.choice.value = "long"
    play.button.click()
    upload(play, "four.wav", show.encode_wav(tone(4), RATE))
    assert play.choice.value == "four.wav (yours)"
    assert "four.wav is longer: the first 2 s are taken" in play.message.value
    play.button.click()
    upload(play, "short.wav", show.encode_wav(tone(2), RATE))
    assert not play.message.value
    play.button.click()
    assert [len(sound) for sound, _ in calls] == [2 * RATE] * 3


def test_the_sound_of_a_video_drives_a_film(tmp_path: Path) -> None:
    play, calls = cinema()
    frames = np.zeros((20, 16, 16, 3), np.uint8)
    upload(play, "mine.mp4", show.encode_mp4(frames, tone(1.0), 20, RATE))
    play.button.click()
    assert len(shown(play, tmp_path).frames) == len(calls[0][0]) * 20 // RATE
    assert np.corrcoef(calls[0][0][:RATE], tone(1.0))[0, 1] > 0.99


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("no<.wav", b"RIFF nothing here", "no&lt;.wav: "),
        (
            "mute.mp4",
            show.encode_mp4([RED] * 4, np.zeros((1, 0)), 20, RATE),
            "no audio track",
        ),
        ("empty.wav", show.encode_wav(np.zeros(0), RATE), "empty.wav: "),
    ],
    ids=["unreadable", "mute", "empty"],
)
def test_an_upload_without_sound_is_told(name: str, content: bytes, told: str) -> None:
    play, _ = cinema()
    upload(play, name, content)
    assert told in play.message.value
    assert play.choice.value == "cello"
    assert not any("yours" in option for option in play.choice.options)


def test_what_goes_wrong_while_making_is_seen() -> None:
    play, _ = cinema()
    play.choice.value = "silence"
    play.button.click()
    assert "silence: no film came of it" in play.message.value
    assert "nothing &lt;to&gt; hear" in play.message.value
    assert not play.button.disabled
    play.choice.value = "cello"
    assert not play.message.value


# --- First frame and sound to film ------------------------------------------------


def slides() -> tuple[widgets.PictureAndSoundToFilm, list]:
    calls: list = []

    def generate(sound: np.ndarray, picture: np.ndarray, label: str) -> np.ndarray:
        calls.append((sound, picture, label))
        return np.repeat(picture[None], len(sound) * 20 // RATE, 0)

    pictures = {"red": (RED, "A"), "black": (RED * 0, "B")}
    sounds = {"low": tone(0.5), "high": tone(0.5, 880)}
    play = widgets.PictureAndSoundToFilm(
        generate, sounds, pictures, ["A", "B", "C"], RATE, fps=20, seconds=1.0
    )
    return play, calls


def show_picture(
    play: widgets.PictureAndSoundToFilm, name: str, content: bytes
) -> None:
    file = {"name": name, "type": "image/png", "size": len(content)}
    if int(ipywidgets_version.partition(".")[0]) >= 8:
        now = datetime.now(UTC)
        play.look.value = ({**file, "content": content, "last_modified": now},)
    else:
        play.look.set_trait("value", {name: {"metadata": file, "content": content}})


def test_first_frame_sound_and_class_make_the_film() -> None:
    play, calls = slides()
    assert not calls
    play.button.click()
    sound, picture, label = calls[-1]
    assert (label, len(sound)) == ("A", RATE // 2)
    assert np.array_equal(picture, RED)
    play.frame.value, play.choice.value = "black", "high"
    play.button.click()
    assert calls[-1][2] == "B"  # the class follows the frame
    play.label.value = "C"  # until somebody chooses another one
    play.button.click()
    assert calls[-1][2] == "C"
    assert not calls[-1][1].any()
    assert np.allclose(calls[-1][0], tone(0.5, 880), atol=1e-6)


def list_controls(widget: ui.Widget) -> list[ui.Widget]:
    """What a reader can set in a widget, without its buttons and its pictures."""
    inner = [
        one for child in getattr(widget, "children", ()) for one in list_controls(child)
    ]
    kinds = (ui.Dropdown, ui.IntSlider, ui.FloatSlider, ui.FileUpload)
    return [widget, *inner] if isinstance(widget, kinds) else inner


def test_no_slider_stands_there_that_changes_nothing() -> None:
    """A network without noise gives the same film for every seed."""
    play, _ = slides()
    wanted = {play.frame, play.look, play.label, play.choice, play.upload}
    assert set(list_controls(play)) == wanted
    seeded = widgets.SoundToFilm(
        lambda sound, seed: np.zeros((2, 8, 8, 3), np.uint8),
        {"low": tone(0.5)}, RATE, fps=20,
    )  # fmt: skip
    assert seeded.seed in list_controls(seeded)


def test_an_uploaded_first_frame_is_cut_scaled_and_laid_on_white() -> None:
    play, calls = slides()
    wide = np.zeros((30, 90, 4), np.uint8)
    wide[:, 30:60] = (0, 0, 255, 255)  # a blue middle; the rest is clear
    content = io.BytesIO()
    Image.fromarray(wide, "RGBA").save(content, "PNG")
    play.label.value = "C"
    show_picture(play, "mine<.png", content.getvalue())
    assert play.frame.value == "mine<.png (yours)"
    assert "mine&lt;.png: its central square, 8 × 8" in play.message.value
    play.button.click()
    assert calls[-1][1].shape == (8, 8, 3)
    assert np.abs(calls[-1][1].astype(int) - [0, 0, 255]).max() < 12
    assert calls[-1][2] == "C"
    clear = io.BytesIO()
    Image.fromarray(np.zeros((20, 20, 4), np.uint8), "RGBA").save(clear, "PNG")
    assert widgets.read_picture_upload(clear.getvalue(), "clear.png", 8).min() > 250


@pytest.mark.parametrize("content", [b"", b"RIFF nothing", b"\x89PNG\r\n\x1a\n123"])
def test_an_upload_that_is_no_picture_is_told(content: bytes) -> None:
    play, _ = slides()
    show_picture(play, "no<.png", content)
    if content:  # an empty file is no upload to some browsers
        assert "no&lt;.png" in play.message.value
    assert play.frame.value == "red"
    with pytest.raises(UploadError, match=r"no<\.png: ") as told:
        widgets.read_picture_upload(content, "no<.png", 8)
    assert "/tmp" not in str(told.value)


def test_too_large_an_upload_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widgets, "MAX_UPLOAD", 2**20)
    with pytest.raises(UploadError, match=r"big.wav: it has 2 MB. Give at most 1 MB"):
        widgets.read_upload(bytes(2**21), "big.wav", RATE)
    with pytest.raises(UploadError, match="it has 2 MB"):
        widgets.read_picture_upload(bytes(2**21), "big.png", 8)


# --- Cards and albums ----------------------------------------------------------


def test_cards_show_play_and_mark() -> None:
    sound = np.full(80, 0.25)
    found = show.cards(
        [
            show.Card("a <dog>", RED, sound, right=True),
            show.Card("a cat", sound=sound, right=False),
            show.Card("asked", RED),
        ],
        8000,
    ).data
    assert "✔ a &lt;dog&gt;" in found
    assert "✘ a cat" in found
    assert found.count("✔") == found.count("✘") == 1
    assert found.count("<audio") == found.count("<img") == 2
    assert show.data_url(show.encode_wav(sound, 8000), "audio/wav") in found


def test_sliding_between_two_sounds_finds_again() -> None:
    asked: list[tuple] = []

    def find(first: str, second: str, share: float) -> list[show.Card]:
        asked.append((first, second, share))
        return [show.Card(f"{first} to {second} by {share:.2f}", RED)]

    sounds = {"bark": np.full(80, 0.1), "bell": np.full(80, 0.2), "bus": np.zeros(80)}
    play = widgets.SoundToCards(find, sounds, 8000)
    assert asked == [("bark", "bus", 0.0)]
    play.slider.value = 0.25
    assert "bark to bus by 0.25" in play.found.value
    play.second.value = "bell"
    play.first.value = "bus"
    assert asked[1:] == [
        ("bark", "bus", 0.25),
        ("bark", "bell", 0.25),
        ("bus", "bell", 0.25),
    ]
    both = show.listen([sounds["bus"], sounds["bell"]], 8000, ["bus", "bell"])
    assert play.players.value == both.data


def test_an_album_opens_pages_only_when_asked() -> None:
    opened: list[str] = []

    def page(name: str) -> HTML:
        opened.append(name)
        return HTML(f"<p>{name}</p>")

    book = widgets.Album(page, ["one", "two", "three"])
    assert opened == ["one"]
    book.choice.value = "three"
    assert opened == ["one", "three"]
    assert book.shown.value == "<p>three</p>"


def test_knobs_show_what_comes_out_at_their_positions() -> None:
    turned: list[dict[str, int]] = []

    def make(places: dict[str, int]) -> HTML:
        turned.append(places)
        return HTML(f"<p>{places}</p>")

    knobs = widgets.Knobs(make, {"sound": 3, "motion": 8})
    assert turned == [{"sound": 1, "motion": 1}]
    knobs.sliders["motion"].value = 5
    assert turned[1:] == [{"sound": 1, "motion": 5}]
    assert knobs.shown.value == "<p>{'sound': 1, 'motion': 5}</p>"
    knobs.sliders["sound"].value = 99  # a slider ends at its last position
    assert turned[-1] == {"sound": 3, "motion": 5}
