"""The comparison of two runs sees a changed weight and a changed number."""

import copy
from pathlib import Path
from typing import Any

import compare_runs
import pytest
import torch

from avnb import files, training

VALUES = {
    "table": [{"who": "ours", "accuracy": {"value": 0.5, "low": 0.25}, "verdict": "?"}],
    "cost": [{"who": "ours", "s": 3.0}],
    "milliseconds a frame": 7.0,
}


def make_run(folder: Path, values: dict[str, Any], seed: int = 0) -> Path:
    entries = [{"kind": "value", "name": n, "value": v} for n, v in values.items()]
    entries.append({"kind": "figure", "name": "curve", "file": f"{folder.name}.png"})
    step = {"entries": entries, "minutes": len(folder.name)}
    files.write_json(folder / "results.json", {"steps": {"step1_x": step}})
    torch.manual_seed(seed)
    path = folder / "models" / "net.safetensors"
    path.parent.mkdir()
    training.save_model(path, torch.nn.Linear(2, 3), in_features=2, out_features=3)
    return folder


@pytest.fixture
def one(tmp_path: Path) -> Path:
    (tmp_path / "one").mkdir()
    return make_run(tmp_path / "one", VALUES)


def compare(one: Path, values: dict[str, Any], **how: Any) -> list[str]:
    other = one.with_name("another")
    other.mkdir()
    return list(compare_runs.find_differences(one, make_run(other, values, **how)))


def test_times_and_last_bits_may_differ(one: Path) -> None:
    values = copy.deepcopy(VALUES)
    values["table"][0]["accuracy"]["value"] = 0.5 + 1e-15
    values["cost"][0]["s"] = 4.0
    values["milliseconds a frame"] = 9.0
    assert compare(one, values) == []


def test_a_changed_number_or_word_is_named(one: Path) -> None:
    values = copy.deepcopy(VALUES)
    values["table"][0]["accuracy"]["low"] = 0.2501
    values["table"][0]["verdict"] = "holds"
    assert compare(one, values | {"more": 1}) == [
        "step1_x: table 0 accuracy low: 0.25 and 0.2501",
        "step1_x: table 0 verdict: ? and holds",
        "step1_x: more: None and 1",
    ]


def test_a_changed_weight_is_named(one: Path) -> None:
    assert compare(one, VALUES, seed=1) == ["weights models/net.safetensors"]
