"""Pictures and players show what they were given, and leave nothing behind."""

import io
import re
from base64 import b64decode
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile
import torch
from matplotlib.image import imread
from matplotlib.layout_engine import ConstrainedLayoutEngine

from avnb import media, metrics
from avnb.viz import show

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
    read = imread(io.BytesIO(show.encode_png(picture, zoom=2)))[..., :3]
    assert np.array_equal(np.round(read[::2, ::2] * 255).astype(np.uint8), picture)


def test_what_is_added_later_has_the_house_style_too() -> None:
    figure, axes = show.subplots(1, 2)
    first, second = axes[0]
    first.plot([0, 1], label="loss")
    first.set(title="Generator")
    second.set_title("Critic", fontsize=7)
    assert first.title.get_fontsize() == show.STYLE["axes.titlesize"]
    assert second.title.get_fontsize() == 7
    assert not first.legend().get_frame_on()
    assert first.legend(frameon=True).get_frame_on()
    assert not figure.legend().get_frame_on()


def test_no_title_is_cut_at_the_edge() -> None:
    """A wide title widens the picture; nothing else changes its size."""
    figure, axes = show.subplots(width=2.0, height=2.0)
    axes[0, 0].set_title("short")
    height, width, _ = show.to_picture(figure).shape
    assert (height, width) == (220, 220)  # 110 pixels an inch
    axes[0, 0].set_title("much wider than the two inches of this figure")
    wide = show.to_picture(figure)
    assert wide.shape[1] > 1.2 * width
    for edge in (wide[:, 0], wide[:, -1], wide[0], wide[-1]):
        assert (edge == 255).all()  # no letter touches it


def test_a_figure_is_laid_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    lay_out = ConstrainedLayoutEngine.execute
    monkeypatch.setattr(
        ConstrainedLayoutEngine,
        "execute",
        lambda engine, figure: done.append(lay_out(engine, figure)),
    )
    figure, axes = show.subplots(width=2.0)
    # Ticks that are set: their number would depend on the size before the layout.
    axes[0, 0].set(xticks=[0, 1], yticks=[0, 1])
    axes[0, 0].set_title("wider than the two inches of this figure")
    first = show.figure_to_png(figure)
    assert len(done) == 1
    # It is laid out anew where something has changed since.
    assert show.figure_to_png(figure) == first
    axes[0, 0].set_ylabel("two\nlines")
    assert show.figure_to_png(figure) != first
    assert len(done) == 3


@pytest.mark.filterwarnings("error:Glyph")
def test_no_label_is_a_row_of_boxes() -> None:
    """Letters of any language, in a title, a legend and at the ticks."""
    names = ["\u5c0f\u63d0\u7434", "\u0baf\u0bbe\u0bb4\u0bcd", "caf\udce9", "Cello"]
    figure, axes = show.subplots()
    place = axes[0, 0]
    place.plot([0, 1, 2, 3], label=names[0])
    place.set_xticks(range(4), names)
    place.set_title(f"{names[0]}\n{names[2]}")
    place.legend()
    for _ in range(2):
        show.figure_to_png(figure)  # any box would be a warning
    shown = [label.get_text() for label in place.get_xticklabels()]
    assert shown[2:] == ["caf\\udce9", "Cello"]
    # Without a font for them, the letters are numbers.
    for given, seen in zip(names[:2], shown[:2], strict=True):
        assert seen in (given, given.encode("unicode_escape").decode())


@pytest.mark.filterwarnings("error:Glyph")
def test_figures_of_classes_hold_any_name() -> None:
    table = np.eye(2)
    for plot in (
        show.curves({"\u5c0f": [1, 2, 3]}),
        show.confusion(table, ["\u5c0f", "b"]),
    ):
        assert show.figure_to_png(plot)


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
        content, metadata = figure._repr_png_()
        assert content.startswith(b"\x89PNG")
        assert metadata["alt"].startswith("Figure")
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


def test_a_film_is_written_with_its_sound(tmp_path: Path) -> None:
    frames = np.full((6, 8, 10, 3), 30, np.uint8)
    frames[3:, :, 5:] = 220
    sound = 0.5 * np.sin(2 * np.pi * 500 * np.arange(4800) / 16000)
    path = tmp_path / "film.mp4"
    path.write_bytes(
        show.encode_mp4(torch.from_numpy(frames), sound, 20, 16000, zoom=4)
    )
    clip = media.read_clip(path)
    assert (clip.frames.shape, clip.fps) == ((6, 32, 40, 3), 20)
    seen = clip.frames[:, 2::4, 2::4].astype(int)
    assert np.abs(seen - frames).max() < 12
    heard = clip.waveform[0, : len(sound)]
    assert np.corrcoef(heard, sound[: len(heard)])[0, 1] > 0.99


def test_tables_escape_and_round() -> None:
    page = show.table(
        [{"who": "<b>", "score": {"value": 0.70123, "low": 0.6, "high": 0.8}},
         {"who": None, "n": 12345, "x": float("nan"), "ok": True}],
        "A & B",
    ).data  # fmt: skip
    for text in ("&lt;b&gt;", "0.701 [0.6, 0.8]", "12345", "nan", "True", "A &amp; B"):
        assert text in page
    assert page.count("<th>") == 5


def test_no_interval_is_shown_where_none_is_known() -> None:
    unknown = {"value": 0.5, "low": -np.inf, "high": np.inf, "unit": "bits"}
    assert show.format_number(unknown) == "0.5 bits"
    assert show.format_number(unknown | {"low": 0.0}) == "0.5 [0, ∞] bits"
    # JSON holds no infinite number.
    half = {"value": 0.5, "low": None, "high": 0.75, "unit": "bits"}
    assert show.format_number(half) == "0.5 [−∞, 0.75] bits"
    assert show.format_number(half | {"high": None}) == "0.5 bits"
    assert show.format_number(-np.inf) == "−∞"


def test_what_follows_from_a_formula_has_no_interval() -> None:
    exact = metrics.chance(4)
    for told in (exact, exact.as_dict()):
        assert show.format_number(told) == "25 %"
    named = torch.ones(9, dtype=torch.long)
    counted = metrics.accuracy(named, named)
    assert show.format_number(counted).endswith("100] %")


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


def test_no_two_curves_look_alike() -> None:
    many = {f"network {k}": [0.0, float(k)] for k in range(20)}
    figure = show.curves(many)
    place = figure.axes[0]
    looks = {(line.get_color(), line.get_linestyle()) for line in place.lines}
    assert len(looks) == len(many)


@pytest.mark.parametrize("count", [1, 3, 20])
def test_the_legend_stands_beside_the_curves(count: int) -> None:
    figure = show.curves({f"network {k}": [0.0, 1.0] for k in range(count)})
    figure.draw_without_rendering()
    (place,) = figure.axes
    assert place.get_legend().get_window_extent().x0 >= place.bbox.x1
    assert place.bbox.width > 400  # the curves keep their room


def test_a_confusion_matrix_names_classes_in_words() -> None:
    place = show.confusion(np.eye(2), ["double_bass", "oboe"]).axes[0]
    for labels in (place.get_xticklabels(), place.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["double bass", "oboe"]


def test_spectrograms_with_a_unit_share_one_scale_and_its_bar() -> None:
    pictures = [np.linspace(-80, -40, 12).reshape(4, 3), np.zeros((4, 3))]
    figure = show.spectrograms(pictures, hop=0.1, unit="dB")
    first, second, bar = figure.axes
    assert first.images[0].get_clim() == second.images[0].get_clim() == (-80, 0)
    assert bar.get_ylabel() == "dB"
    # Without a unit each picture has its own scale, and there is no bar.
    alone = show.spectrograms(pictures[:1] * 2, hop=0.1).axes
    assert len(alone) == 2
    assert alone[0].images[0].get_clim() == (-80, -40)


def test_a_bar_without_an_interval_has_no_error_bar() -> None:
    place = show.bars({"with": (0.5, 0.4, 0.6), "with_out": 0.2}).axes[0]
    assert len(place.containers) - len(place.patches) == 1
    assert [t.get_text() for t in place.get_xticklabels()] == ["with", "with out"]


def test_bars_show_what_they_are_compared_with() -> None:
    measures = {"ours": (0.5, 0.4, 0.6), "theirs": 0.2, "nobody's": 0.1}
    marks = {"ours": 0.8, "theirs": {"value": 0.3, "unit": "fraction"}}
    figure = show.bars(measures, marks=marks, marked="the paper", percent=True)
    (place,) = figure.axes
    (diamonds,) = [line for line in place.lines if line.get_marker() == "D"]
    assert diamonds.get_xydata().tolist() == [[0, 0.8], [1, 0.3]]
    assert "the paper" in [text.get_text() for text in place.get_legend().get_texts()]
    assert place.yaxis.get_major_formatter()(0.5) == "50%"
    assert show.bars(measures).axes[0].get_legend() is None


def test_fractions_over_time_are_shown_in_per_cent() -> None:
    figure = show.curves({"accuracy": [0.0, 1.0]}, percent=True)
    assert figure.axes[0].yaxis.get_major_formatter()(0.25) == "25%"


def test_a_figure_says_what_it_shows() -> None:
    figure = show.curves({"a": [1, 2], "b": [2, 1]}, y="loss", title="Two runs")
    assert show.describe_figure(figure) == "Figure. Two runs: loss over step: a, b"
    figure, axes = show.subplots(1, 3)
    assert show.describe_figure(figure) == "Figure without titles"
    figure.suptitle("Three")
    axes[0, 0].set_title("left")
    for place in axes.flat[1:]:
        place.set_xlabel("s")
    assert show.describe_figure(figure) == "Figure. Three; left; s"


def test_pictures_in_html_have_an_alternative_text() -> None:
    cat = np.zeros((2, 2, 3), np.uint8)
    shown = show.cards([show.Card("it's <a> cat", cat)], 8000).data
    assert "alt='it&#x27;s &lt;a&gt; cat'" in shown
    assert shown.count("<img") == shown.count(" alt='") == 1
