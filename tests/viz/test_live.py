"""What a training shows where there is no terminal, and where Colab is."""

import sys
import types

import numpy as np
import pytest
import torch
from torchvision.utils import make_grid

from avnb.viz import live, show, widgets
from avnb.viz.colab import enable_colab_widgets


def test_a_training_in_a_log_prints_plain_lines(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    progress = live.Progress(3, 10, "train", None, hidden=False)
    progress.update_to(4, {4: {"loss": 1.0}})
    monkeypatch.setattr(live, "SAY_EVERY", -1.0)  # as if a minute had passed
    progress.update_to(5, {5: {"loss": 1.0}})
    progress.close()
    lines = [line.split(" ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    assert lines[:2] == [
        "train: training begins at step 3 of 10",
        "train: step 5 of 10",
    ]
    assert lines[2].startswith("train: training ends at step 5 of 10, after 0.0 min")
    live.Progress(0, 10, "train", None, hidden=True).close()
    assert not capsys.readouterr().err


def test_colabs_manager_is_switched_on_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    output = types.SimpleNamespace(
        enable_custom_widget_manager=lambda: calls.append("enabled")
    )
    colab = types.ModuleType("google.colab")
    colab.output = output  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    enable_colab_widgets.cache_clear()
    widgets.Album(lambda name: types.SimpleNamespace(data=name), ["one"])
    live.Panel("run")
    assert calls == ["enabled"]
    enable_colab_widgets.cache_clear()


def test_the_panel_draws_what_was_logged() -> None:
    rows = {step: {"a": float(step)} | ({"b": 1.0} if step % 2 else {})
            for step in range(900)}  # fmt: skip
    axes = live.draw_history(rows).axes
    found = {place.get_title(): place.lines[0].get_xydata() for place in axes[:2]}
    assert list(found) == ["a", "b"]  # each on axes of its own, with its name
    assert len(found["a"]) <= 2 * live.POINTS
    assert (found["a"][:, 0] == found["a"][:, 1]).all()
    assert axes[1].get_ylim()[1] < 2  # not flattened by the other
    assert not live.draw_history({}).axes[0].lines
    (place,) = live.draw_history({0: {"own_sound": 1.0}}).axes
    assert place.get_title() == "own sound"
    five = live.draw_history({0: dict.fromkeys("abcde", 1.0)}).axes
    assert [bool(place.lines) for place in five] == [True] * 5 + [False]


def test_a_page_without_widgets_shows_curves_and_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list = []
    monkeypatch.setattr(live, "display", shown.append)
    panel = live.Panel("a long name of a run")
    assert panel.title.value == "a long name of a run"
    for view in panel.views.values():  # a picture is never cut, nor wider than the page
        assert view.layout.overflow == "visible"
        assert view.layout.max_width == "100%"
    panel.update(3, 10, {0: {"loss": 1.0}, 1: {"loss": 0.5}}, last=False)
    assert "alt='a long name of a run: curves'" in panel.views["curves"].value
    curves = panel.pictures["curves"]
    panel.show_sample(np.zeros((8, 8, 3), np.uint8))
    panel.close()
    assert [type(item) for item in shown[1:]] == [live.OutputImage] * 2
    assert shown[1].data == curves
    assert [view.value for view in panel.views.values()] == ["", ""]
    shown.clear()
    live.Panel("nothing done").close()
    assert len(shown) == 1  # the panel itself


def test_one_conversion_of_pictures() -> None:
    grey = torch.tensor([[[0.0, 1.02], [1.0, -0.04]]])
    found = show.to_picture(grey)
    assert found[..., 0].tolist() == [[0, 255], [255, 0]]
    assert (found[..., :1] == found).all()
    with pytest.raises(ValueError, match=r"\(x \+ 1\) / 2"):
        show.to_uint8(grey)  # what a notebook shows is to be right
    nan = np.full((4, 4, 3), np.nan)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        show.to_picture(nan)
    grid = show.to_picture(torch.zeros(5, 1, 8, 8))
    assert grid.shape == (2 * 10 + 2, 3 * 10 + 2, 3)
    strips = show.to_picture(torch.zeros(24, 1, 8, 8), columns=8)
    assert strips.shape == (3 * 10 + 2, 8 * 10 + 2, 3)  # one row a strip


@pytest.mark.parametrize(("count", "columns"), [(1, 3), (2, 5), (5, None), (7, 3)])
def test_a_batch_is_tiled_as_torchvision_does(
    count: int, columns: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = torch.Generator().manual_seed(count)
    batch = torch.randint(256, (count, 3, 4, 6), dtype=torch.uint8, generator=draws)
    grid = make_grid(batch, nrow=columns or 3).permute(1, 2, 0).numpy()
    monkeypatch.setitem(sys.modules, "torchvision.utils", None)  # slow to import
    assert np.array_equal(show.to_picture(batch, columns), grid)
