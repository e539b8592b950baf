"""A reference run makes what the claims of its series and its playing notebook need."""

import ast
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from avnb_notebooks.deep_cross_modal import series as deep_cross_modal
from avnb_notebooks.listen_and_move import series as listen_and_move
from avnb_notebooks.listen_and_move.step3_generator import (
    ModelConfig,
    SoundToVideo,
    ablation_configs,
)
from avnb_notebooks.ms_vae import series as ms_vae
from avnb_notebooks.ms_vae.step2_features import AudioEncoder
from avnb_notebooks.ms_vae.step4_model import MSVAE
from avnb_notebooks.ms_vae.step5_baselines import TITLES

from avnb.course.convergence import find_convergence
from avnb.course.reference import LARGEST, load_reference
from avnb.course.series import load_series, series_folder
from avnb.course.settings import SCALES
from avnb.course.steps import find_calls, read_step, walk_cells
from data_scripts import ave
from data_scripts.bandstand.layouts.ave import plan_events


def read_column(series: str, pattern: str, scale: str, **names: Any) -> dict[str, Any]:
    """A step's table of settings at one scale; `names` are those that it uses."""
    (path,) = series_folder(series).glob(pattern)
    (table,) = find_calls(read_step(path).cells, "lesson.settings")
    rows = eval(ast.unparse(table.args[0]), {"dict": dict} | names)
    return {name: values[SCALES.index(scale)] for name, values in rows.items()}


def list_compared(series: Any) -> set[str]:
    return {name for claim in series.CLAIMS for name in claim.networks}


def test_deep_cross_modal_trains_all_that_its_claims_compare() -> None:
    names = (*deep_cross_modal.OTHER_REPRESENTATIONS, "LMS")
    trained = {f"{name}, {layers} layers" for name in names for layers in (3, 4)}
    column = read_column("deep_cross_modal", "step7_*.py", "reference")
    # S2I-A's encoding is the autoencoder's, so it must be trained far enough as well.
    assert list_compared(deep_cross_modal) == {
        *trained, *column["variants"], "autoencoder", "Γ", "I2S",
    }  # fmt: skip
    # Networks that are taken from a reference run are not trained, and not recorded.
    for step in ("step3_*.py", "step5_*.py"):
        assert read_column("deep_cross_modal", step, "reference")["weights"] == "train"


def test_ms_vae_trains_all_that_its_claims_compare() -> None:
    assert list_compared(ms_vae) <= set(TITLES.values())


def test_listen_and_move_compares_the_networks_of_table_1_on_request() -> None:
    """Each takes hours. So at `reference` six claims have no number, and no error."""
    column = read_column("listen_and_move", "step6_*.py", "reference", EVERYTHING=())
    assert "table1" not in column["others"]
    full = "All + DirConvGRU"
    asked = {c.name for c in listen_and_move.CLAIMS if set(c.networks) - {full}}
    measure = {"value": 1.0}
    judged: dict[str, Any] = {
        "gain": measure,
        "control": [],
        "sharpness": [
            {"of the real video's": measure, "minus the still picture's": measure}
        ],
        "lasting": [{"change": measure}],
        "table1": [{"network": full, "steps": 2, "LPIPS": measure, "FVD": measure}],
        "table2": [{"network": full, "sounds": "60 foreign", "KID": measure}],
        "hand": [
            {"quantity": "along", "video": f"{whose} sound", "r": {"value": r}}
            for whose, r in (("its own", 0.9), ("another moment's", 0.2))
        ],
        "turns": [
            {"video": "its own sound", "compared with": "turns", "above luck": measure}
        ],
    }
    found = listen_and_move.evidence({"step7_judge": judged})
    assert {name for name, value in found.items() if value is None} == asked
    assert found["hand_follows"] == pytest.approx(0.7)
    # All of them are networks that `others = ("table1",)` trains.
    assert list_compared(listen_and_move) == set(ablation_configs())


@pytest.mark.parametrize("step", ["step7_*.py", "step9_*.py"])
def test_a_network_that_stays_near_chance_can_be_compared(step: str) -> None:
    """A gain of few points, measured on 256 sounds, drowns in its noise."""
    (path,) = series_folder("deep_cross_modal").glob(step)
    calls = find_calls(read_step(path).cells, "lesson.record_training")
    assert calls
    noise = 0.01 * np.random.default_rng(0).standard_normal((100, 60))
    low = 0.12 - 0.03 * np.exp(-np.arange(60) / 5) + noise
    slow = 0.1 + 0.8 * np.arange(60) / 60 + noise
    for call in calls:
        given = {k.arg: k.value for k in call.keywords}
        how = {"negligible": ast.literal_eval(given["negligible"])}
        assert sum(find_convergence(curve, **how).flat for curve in low) > 90
        assert not any(find_convergence(curve, **how).flat for curve in slow)
    assert sum(find_convergence(curve).flat for curve in low) < 50


def test_a_network_that_is_good_at_its_first_measurement_can_be_compared() -> None:
    """The classifiers of step 3: 95 % after 300 steps, 98.5 % after 4,800."""
    (path,) = series_folder("deep_cross_modal").glob("step3_*.py")
    cells = read_step(path).cells
    (define,) = (
        node
        for node in walk_cells(cells)
        if isinstance(node, ast.FunctionDef) and node.name == "record_curve"
    )
    (given,) = (
        k.value
        for node in ast.walk(define)
        if isinstance(node, ast.Call)
        for k in node.keywords
        if k.arg == "negligible"
    )
    how = {"negligible": ast.literal_eval(given)}
    noise = 0.004 * np.random.default_rng(0).standard_normal((100, 16))
    late = np.arange(16) / 2
    good = 0.985 - 0.034 * np.exp(-late) + noise
    assert sum(find_convergence(curve, **how).flat for curve in good) > 90
    assert sum(find_convergence(curve).flat for curve in good) < 50
    # A network that still gains four points in a quarter of its training is not flat.
    slow = 0.8 + 0.01 * np.arange(16) + noise
    assert not any(find_convergence(curve, **how).flat for curve in slow)


def test_what_is_published_is_small_enough() -> None:
    """The matrices in float16, at the widths of scale `reference`."""
    column = read_column("listen_and_move", "step6_*.py", "reference", EVERYTHING=())
    video = SoundToVideo(ModelConfig(plus_one=True), 64, base=column["base"])
    for networks in ((video,), (MSVAE(shared=True), AudioEncoder(28))):
        numbers = sum(x.numel() for net in networks for x in net.state_dict().values())
        assert 0 < 2 * numbers < LARGEST["weights"]


def test_what_is_published_can_be_committed() -> None:
    """Weights are larger than what the hook lets through elsewhere."""
    root = Path(__file__).resolve().parents[2]
    config = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())
    (hook,) = (
        hook
        for repository in config["repos"]
        for hook in repository["hooks"]
        if hook["id"] == "check-added-large-files"
    )
    for name in ("ms_vae/weights/ms_vae_w.safetensors", "ms_vae/reference.json"):
        assert re.search(hook["exclude"], f"results/{name}")
    assert not re.search(hook["exclude"], "docs/bandstand.mp4")


@pytest.mark.parametrize("series", [deep_cross_modal, listen_and_move, ms_vae])
def test_what_is_played_with_is_published(series: Any) -> None:
    folder = Path(series.__file__).parent
    (path,) = folder.glob("step*_play.py")
    text = path.read_text()
    loaded = set(re.findall(r'load_network\(\s*"(\w+)"', text))
    if series is ms_vae:
        assert "models/{settings.model}.safetensors" in text
        loaded = {read_column("ms_vae", path.name, "reference")["model"]}
        loaded |= set(re.findall(r'with_name\("(\w+)\.safetensors"\)', text))
    assert len(loaded) >= 2
    assert loaded <= {Path(pattern).stem for pattern in series.PUBLISHED}


def test_the_published_judge_of_pictures_reads_the_instrument() -> None:
    """Of blurred pictures and of noise it tells nothing, and little of empty hands.

    Arms that hold a trombone are not those that hold a horn, so a player without the
    instrument may be named more often than by chance (step 1).
    """
    found = load_reference("deep_cross_modal")
    assert found is not None
    entries = found["steps"]["step5_image_train"]["entries"]
    (rows,) = (entry["value"] for entry in entries if entry["name"] == "evaluator")
    right = {row["pictures"]: row["accuracy"] for row in rows}
    for shapeless in ("blurred", "noise"):
        assert right[shapeless]["low"] <= 1 / 13 <= right[shapeless]["high"]
    assert right["without the instrument"]["high"] < right["real"]["low"]


def test_there_is_enough_to_play_with() -> None:
    scale, seed, changes = ms_vae.PLAY_DATA
    options = ms_vae.EMBEDDED[1][scale] | changes
    counts = (options[name] for name in ("videos", "validation", "test"))
    dealt = plan_events(*counts, seed)
    kinds = Counter(kind for _, split, kind, _, _ in dealt if split == "test")
    # Every question has a right answer in another video.
    assert set(kinds) == set(ave.KINDS)
    assert min(kinds.values()) >= 2
    scale, _, changes = listen_and_move.PLAY_DATA
    column = read_column("listen_and_move", "step8_*.py", "reference")
    # Of the film the last fifth is the test part.
    options = listen_and_move.EMBEDDED[1][scale] | changes
    assert options["length"] / 5 >= column["seconds"]


@pytest.mark.parametrize("name", ["deep_cross_modal", "listen_and_move", "ms_vae"])
def test_a_constant_of_a_series_stands_once(name: str) -> None:
    tree = ast.parse(Path(str(load_series(name).__file__)).read_text())
    named = [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    assert [n for n, count in Counter(named).items() if count > 1] == []
