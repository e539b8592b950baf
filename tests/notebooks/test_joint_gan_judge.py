"""joint_gan: clips of saved generators, and the claims' numbers of a run's records."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from avnb_notebooks.joint_gan import series
from avnb_notebooks.joint_gan import step4_pairs as pairs
from avnb_notebooks.joint_gan import step5_shared as shared

from avnb import metrics, training
from avnb.course.series import step_files
from avnb.course.settings import SCALES
from avnb.course.steps import read_step
from avnb.errors import CheckpointError
from avnb.viz.show import format_number

FLAGS = re.M | re.S
SIZES: dict[str, Any] = {"sound_width": 2, "width": 2, "size": 16}


@pytest.mark.parametrize("coupling", ["none", "latent", "time"])
def test_a_saved_generator_makes_the_same_clips(coupling: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    method = pairs.Method(coupling=coupling)
    G = shared.make_generator(method, **SIZES)
    path = tmp_path / "G.safetensors"
    training.save_model(path, G, **SIZES)
    found = shared.load_generator(path, method)
    one, other = (
        shared.generate_clips(net, 5, 10, seed=3, batch=5) for net in (G, found)
    )
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a, b)
    assert one[0].shape == (5, 1, 16384)
    assert one[1].shape == (5, 3, 10, 16, 16)
    assert not torch.equal(one[0], shared.generate_clips(G, 5, 10, seed=4, batch=5)[0])
    assert G.training  # as it was before
    assert not found.training


def test_a_generator_of_another_method_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "G.safetensors"
    training.save_model(path, shared.make_generator(pairs.Method(), **SIZES), **SIZES)
    with pytest.raises(CheckpointError, match="it holds a JointGenerator"):
        shared.load_generator(path, pairs.Method(coupling="latent"))


def test_clips_of_one_network_do_not_see_each_other() -> None:
    """In eval mode a clip does not depend on which others are made with it."""
    torch.manual_seed(0)
    G = shared.make_generator(pairs.Method(), **SIZES)
    few = shared.generate_clips(G, 4, 10, seed=1, batch=4)
    many = shared.generate_clips(G, 8, 10, seed=1, batch=4)
    for a, b in zip(few, many, strict=True):
        torch.testing.assert_close(a, b[:4])


def test_the_pairs_critics_get_their_own_phase_shuffle() -> None:
    critics = pairs.make_critics(pairs.Method(), 2, 2, 2, 16, pair_shuffle=3)
    assert critics.pairs.networks[0].sound.shuffle.radius == 3
    assert critics.sound.trunk.shuffle.radius == 2
    plain = pairs.make_critics(pairs.Method(), 2, 2, 2, 16)
    assert plain.pairs.networks[0].sound.shuffle.radius == 0


# --- The paper's tables ------------------------------------------------------------

# As they stand in the paper, row by row: sounds and videos of both data sets.
TABLE_3 = """
    3.2 14 111.25 1.38 7.53   3.6 10 97.43 1.44 6.12
    3.1 36 93.00 1.34 7.33    3.4 29 79.89 1.48 5.42
"""
TABLE_4 = "4.6 1.42 3.1 1.88 3.7 1.91   4.8 1.26 2.9 4.24 3.5 4.33"


def read_constant(name: str) -> Any:
    """A table that step 7 holds, without running it."""
    (path,) = (p for p in step_files("joint_gan") if p.stem == "step7_judge")
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    raise AssertionError(name)


def test_the_printed_tables_are_shown_with_all_their_digits() -> None:
    shown = [x for row in read_constant("PAPER3").values() for x in row.split()]
    assert [format_number(x) for x in shown] == TABLE_3.split()
    shown = [x for d in read_constant("PAPER4").values() for r in d.values() for x in r]
    assert [format_number(x) for x in shown] == TABLE_4.split()


# --- Claims ----------------------------------------------------------------------


def number(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 1, "high": value + 1}


def make_results() -> dict[str, dict[str, Any]]:
    """Records of a run in which JM is better than BL by 1 everywhere."""
    table3, table4, shown, coupling = [], [], [], []
    for name, worse in (("real, held out", 0.0), ("BL", 2.0), ("JM", 1.0)):
        low, high = number(worse), number(5 - worse)
        row = {"NDB/K, K = 4": number(9), "JSD, K = 4": number(9)}
        row |= {"NDB/K, K = 8": low, "JSD, K = 8": low, "FD (ear)": low}
        row |= {"KD (ear)": low, "IS (ear)": high, "PE, all": low}
        table3.append({"sounds": name} | row)
        row = {"IS (eye)": high, "KD (eye)": low, "FVD": low}
        table4.append({"videos": name} | row)
        shown.append(
            {"clips": name, "sound recognisable": high, "video recognisable": high}
            | {"JSD of the sound's classes [bits]": worse}
        )
        for k, measure in enumerate((series.AGREEMENT, series.TIMING, series.STRIKES)):
            gain = number(0.1 * k + worse)
            coupling.append({"clips": name, "measure": measure, "gain": gain})
    judge = {"table3": table3, "table4": table4, "recognisable": shown}
    networks = [{"network": "BL"}, {"network": "JM", "D₁ and D₂ right: last": 0.5}]
    return {
        "step7_judge": judge | {"coupling": coupling},
        "step6_train": {"networks": networks},
    }


def test_the_claims_numbers_have_the_right_signs() -> None:
    found = series.evidence(make_results())
    better = ("ndb", "fid", "kid", "is_sound", "pe", "is_video", "fvd", "marginals")
    assert {name: found[name] for name in better} == dict.fromkeys(better, 1.0)
    assert found["belongs"] == 1.0
    assert found["sync"] == pytest.approx(1.1)
    assert found["ternary"] == pytest.approx(0.5 - 1 / 3)
    assert found["real_is_worse"] == -1.0  # here real videos have the higher score


def test_what_was_not_trained_has_no_number() -> None:
    found = series.evidence(make_results())
    absent = {"belongs_shared", "sync_timed", "not_more_critics", "right_pairs"}
    absent |= {"two_critics", "phase"}
    assert {name for name, value in found.items() if value is None} == absent
    assert set(found) == {claim.name for claim in series.CLAIMS}


def test_headlines_are_numbers_with_units() -> None:
    found = series.headlines(make_results())
    assert found["JM, KD (ear)"] == 1.0
    assert found["JM, sound recognisable"] == 4.0
    assert f"JM, {series.STRIKES}, gain" in found
    assert all(isinstance(value, float) for value in found.values())


# --- What the reference run publishes ---------------------------------------------


def find_step_6() -> Path:
    return next(p for p in step_files("joint_gan") if p.stem == "step6_train")


def read_settings(scale: str) -> dict[str, Any]:
    """What of step 6's settings at a scale can be read without running it."""
    table, column = read_step(find_step_6()).table, SCALES.index(scale)
    return {name: row[column] for name, row in table.items() if row}


def read_studied() -> set[str]:
    """The networks of step 6 at scale `reference`."""
    text = find_step_6().read_text()
    assert re.search(r"methods=\(FEW, .*\), STUDIED, FEW, ", text)
    return set(
        re.findall(r'"(.+?)"', re.search(r"^STUDIED = \((.+?)^\)", text, FLAGS)[1])
    )


def test_the_published_networks_are_small_enough_and_all_made() -> None:
    """Their matrices in float16, at the widths of scale `reference`."""
    chosen = read_settings("reference")
    methods = pairs.list_methods() | shared.list_coupled_methods()
    names = {Path(pattern).stem for pattern in series.PUBLISHED}
    assert names - {"judge_sound", "judge_video"} <= read_studied()
    sizes = {"sound_width": chosen["sound_width"], "width": chosen["width"], "size": 64}
    networks = [metrics.SoundJudge(4, chosen["judge_width"])]
    networks += [metrics.VideoJudge(4, chosen["judge_width"])]
    networks += [shared.make_generator(methods[n], **sizes) for n in names & {*methods}]
    weights = sum(p.numel() for net in networks for p in net.state_dict().values())
    assert 2 * weights < 16 * 2**20


def test_the_demo_has_the_players_of_the_reference_run() -> None:
    """It takes the judges of that run, which must not have met its held-out players."""
    assert series.EMBEDDED[1]["laptop"] == series.EMBEDDED[1]["reference"]
    assert read_settings("laptop")["weights"] == "reference"
    assert read_settings("reference")["weights"] == "train"


def test_all_networks_of_the_claims_are_trained_at_reference() -> None:
    trained = read_studied()
    asked = {n.rpartition(", ")[0] for c in series.CLAIMS for n in c.networks}
    assert asked == trained
