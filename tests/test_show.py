"""Pictures and players show what they were given, and leave nothing behind."""

import io
import json
import re
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile
import torch
from matplotlib.image import imread

from avnb import lessons, show, widgets

RNG = np.random.default_rng(0)
RED = np.zeros((8, 8, 3), np.uint8) + np.array([255, 0, 0], np.uint8)


def test_pictures_of_all_kinds_become_the_same_bytes() -> None:
    floats = torch.tensor(RED.transpose(2, 0, 1).copy()).float() / 255
    for given in (RED, torch.tensor(RED), floats, floats.permute(1, 2, 0).numpy()):
        assert np.array_equal(show.to_uint8(given), RED)
    with pytest.raises(ValueError, match=r"\(x \+ 1\) / 2"):
        show.to_uint8(floats * 2 - 1)
    with pytest.raises(ValueError, match=r"\(8, 8\)"):
        show.to_uint8(RED[..., 0])


def test_png_holds_the_pixels() -> None:
    picture = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    read = imread(io.BytesIO(show.png_bytes(picture, zoom=2)))[..., :3]
    assert np.array_equal(np.round(read[::2, ::2] * 255).astype(np.uint8), picture)


def test_figures_show_their_data_and_pyplot_holds_none() -> None:
    before = plt.get_fignums()
    grid = show.image_grid([[RED, None], [RED]], rows=["real", "made"], columns=["a"])
    assert [len(place.images) for place in grid.axes] == [1, 0, 1, 0]
    assert grid.axes[2].get_ylabel() == "made"

    film = show.film_strip([RED] * 3, [0, 0.5, 1])
    assert [a.get_title() for a in film.axes] == ["0.00 s", "0.50 s", "1.00 s"]

    power, hz = RNG.random((20, 30)), np.geomspace(50, 5000, 20)
    spectrum = show.spectrograms([power] * 3, hop=0.01, hz=hz, columns=2).axes
    assert spectrum[0].get_xlim() == pytest.approx((0, 0.3))
    labels = [label.get_text() for label in spectrum[0].get_yticklabels()]
    assert (labels[0], labels[-1]) == ("50", "5000")
    assert [place.get_visible() for place in spectrum] == [True, True, True, False]
    with pytest.raises(ValueError, match="19 frequencies"):
        show.spectrograms([power], hop=0.01, hz=hz[1:])

    lines = show.curves({"a": [3, 2], "b": ([0, 9], [1, 1])}, lines={"chance": 0.5})
    found = {line.get_label(): line.get_xydata() for line in lines.axes[0].lines}
    assert found["b"].tolist() == [[0, 1], [9, 1]]
    assert found["a"].tolist() == [[0, 3], [1, 2]]
    assert "chance" in found

    confused = show.confusion([[3, 1], [0, 4]], ["x", "y"]).axes[0]
    assert {text.get_text() for text in confused.texts} == {"75", "25", "100"}

    bars = show.bars({"a": (0.5, 0.4, 0.7), "b": 0.2}, lines={"chance": 0.1}).axes[0]
    assert [patch.get_height() for patch in bars.patches] == [0.5, 0.2]
    span = bars.containers[1].lines[2][0].get_segments()[0]
    assert span[:, 1].tolist() == pytest.approx([0.4, 0.7])

    for figure in (grid, film, lines):
        assert figure._repr_png_().startswith(b"\x89PNG")
    show.waveforms([RNG.uniform(-1, 1, 100)], 100, captions=["noise"])
    assert plt.get_fignums() == before


def test_a_diagram_has_its_boxes_and_arrows() -> None:
    boxes = {"a": (0.1, 0.5, "sound"), "b": (0.9, 0.5, "picture")}
    figure = show.diagram(boxes, [("a", "b", "128")], fills={"b": "#ffffff"})
    place = figure.axes[0]
    assert [text.get_text() for text in place.texts] == ["sound", "picture", "", "128"]
    assert place.texts[1].get_bbox_patch().get_facecolor() == (1, 1, 1, 1)
    with pytest.raises(KeyError, match="c"):
        show.diagram(boxes, [("a", "c", "")])


def test_feature_maps_are_drawn_to_scale() -> None:
    figure = show.feature_maps({"in": (1, 64, 32), "out": (8, 32, 16)})
    place = figure.axes[0]
    sheets = [(sheet.get_height(), sheet.get_width()) for sheet in place.patches]
    assert sheets == [(64, 32)] + [(32, 16)] * 4  # 1 + log2(8) sheets
    assert [text.get_text() for text in place.texts] == [
        "in\n1 × 64 × 32",
        "out\n8 × 32 × 16",
    ]


def test_a_player_plays_the_waveform() -> None:
    sound = RNG.uniform(-1, 1, (2, 400)).astype(np.float32)
    page = show.listen([sound], 8000, ["<duo>"]).data
    assert "&lt;duo&gt;" in page
    content = b64decode(re.search(r"base64,([^']+)'", page)[1])
    read, rate = soundfile.read(io.BytesIO(content))
    assert rate == 8000
    assert np.abs(read.T - sound).max() < 2 / 2**15


def test_tables_escape_and_round() -> None:
    page = show.table(
        [{"who": "<b>", "score": {"value": 0.70123, "low": 0.6, "high": 0.8}},
         {"who": None, "n": 12345, "x": float("nan"), "ok": True}],
        "A & B",
    ).data  # fmt: skip
    for text in ("&lt;b&gt;", "0.701 [0.6, 0.8]", "12345", "nan", "True", "A &amp; B"):
        assert text in page
    assert page.count("<th>") == 5


# --- Widgets: their buttons pressed --------------------------------------------


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
    study = widgets.human_study(study_sets(), path, seed=1)
    shown = str([w.get_state() for w in study.row.children]) + study.question.value
    assert not any(name in shown for _, name in methods())
    assert len({tuple(names) for names in study.shuffled}) > 1

    press(study, 0, 2)
    first = study.shuffled[study.order[0]][0]
    saved = json.loads(path.read_text())["scores"]
    assert [(row["method"], row["score"]) for row in saved] == [(first, 2)]

    again = widgets.human_study(study_sets(), path, seed=1)
    assert again.progress.value == 1
    assert again.row.children[0].children[1].value == 2
    press(again, 0, 3)  # a change of mind replaces the score
    assert len(json.loads(path.read_text())["scores"]) == 1
    for place in (1, 2):
        press(again, place, 1)
    assert "Set 2 of 3" in again.question.value

    other = [widgets.StudySet("x", {"a": RED})]
    with pytest.raises(lessons.LessonError, match="other pictures"):
        widgets.human_study(other, path)


def test_the_study_ends_with_the_means(tmp_path: Path) -> None:
    study = widgets.human_study(study_sets(), tmp_path / "s.json")
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
    return widgets.sound_to_picture(generate, sounds, 8000, noise=16), calls


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
        assert widgets.between(start, end, share).std() == pytest.approx(1, abs=0.02)


def upload(play: widgets.SoundToPicture, name: str, content: bytes) -> None:
    file = {"name": name, "type": "audio/wav", "size": len(content)}
    now = datetime.now(UTC)
    play.upload.value = ({**file, "content": content, "last_modified": now},)


def test_an_uploaded_sound_is_heard() -> None:
    play, calls = playground()
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(1600) / 16000)
    upload(play, "tone.wav", show.wav(tone, 16000))
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
    play = widgets.picture_to_sound(generate, pictures, 8000, noise=4)
    first = play.player.value
    play.slider.value = 0.5
    assert play.player.value != first
    play.choice.value = "black"
    assert not made[-1].any()
    assert play.player.value == show.listen([made[-1]], 8000).data


@pytest.mark.parametrize(("points", "smooth"), [(1, 5), (4, 4), (9, 4), (9, 1), (3, 9)])
def test_smooth_curves_are_means_of_neighbours(points: int, smooth: int) -> None:
    values = np.random.default_rng(0).standard_normal(points)
    (line,) = show.curves({"loss": values}, smooth=smooth).axes[0].lines
    window = min(smooth, points)
    found = dict(zip(*line.get_data(), strict=True))
    for start in range(points - window + 1):
        mean = values[start : start + window].mean()
        assert found.pop(start + (window - 1) // 2) == pytest.approx(mean)
    assert not found
