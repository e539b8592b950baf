"""Step 7 of listen_and_move judges made-up generators whose quality is known.

The script runs as it is; only what a saved network generates is made up. A perfect
generator gives the frames that belong to its sound. A late one gives the frames of two
and a half seconds before, and a still one the mean picture.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from avnb_notebooks.listen_and_move import series, step4_prediction
from avnb_notebooks.listen_and_move.step1_data import (
    AudioFeatures,
    average_frames,
    load_performer_video,
)
from torch import Tensor

from avnb import metrics, training
from avnb.course.series import series_folder
from avnb.data.shards import prepare
from data_scripts.bandstand import prepare_performer as performer

pytestmark = pytest.mark.slow
LENGTH, FRAMES = 50.0, 200  # s of the video, and frames of its test part
ANY = metrics.Measure("any distance", 1.0, 0.5, 1.5, 4)
Generator = Callable[[Tensor], Tensor]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared clips of the drawn cellist."""
    root = tmp_path_factory.mktemp("performer")
    settings = performer.SETTINGS
    sources, problems = performer.find_sources(root / "v", settings, length=LENGTH)
    prepare(sources, root / "clips", settings, problems=problems, workers=1)
    return root / "clips"


def make_generator(folder: Path, late: int = 0) -> Generator:
    """Generate the real frame of the most similar features, some frames too late."""
    parts = [load_performer_video(folder, name) for name in ("test", "train")]
    heard = torch.cat([part.features for part in parts])
    frames = torch.cat([parts[0].frames.roll(late, dims=0), parts[1].frames])

    def generate(features: Tensor) -> Tensor:
        return frames[torch.cdist(features, heard).argmin(dim=1)]

    return generate


def make_still(folder: Path) -> Generator:
    """Generate the mean training frame, whatever is heard."""
    still = average_frames(load_performer_video(folder, "train").frames)
    return lambda features: still.expand(len(features), *still.shape)


def judge(
    generate: Generator, folder: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """What step 7 records of a generator, run as a script at scale smoke."""
    level = load_performer_video(folder, "train").audio_features.level
    config = {"sample_rate": 16000, "fps": 20.0, "level": level}
    models = run_dir / "models"
    training.save_model(
        models / "audio_features.safetensors", AudioFeatures(**config), **config
    )
    for name in ("full_model", "full_model_early"):
        (models / f"{name}.safetensors").touch()
    values = {"steps": {"full model": 4, "other networks": 2},
              "trained": {"All + DirConvGRU": "full_model"}}  # fmt: skip
    entries = [{"name": k, "kind": "value", "value": v} for k, v in values.items()]
    path = run_dir / "results" / "step6_train.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"finished": True, "entries": entries}))
    load = training.load_model
    monkeypatch.setattr(
        training,
        "load_model",
        lambda path, cls: load(path, cls) if cls is AudioFeatures else torch.nn.ReLU(),
    )
    monkeypatch.setattr(
        step4_prediction,
        "generate_video",
        lambda model, features, window=32, seed=0: generate(features),
    )
    # These have tests of their own, and their networks would take most of the time.
    for name in ("fvd", "fid", "kid"):
        monkeypatch.setattr(metrics, name, lambda *args, **options: ANY)
    text = (series_folder("listen_and_move") / "step7_judge.py").read_text()
    cells = {"SCALE": "smoke", "RUN_DIR": str(run_dir), "DATA": str(folder)}
    for name, value in (cells | {"OVERRIDES": {"frames": FRAMES}}).items():
        text, found = re.subn(rf"^{name} = .*", f"{name} = {value!r}", text, flags=re.M)
        assert found == 1
    exec(compile(text, "step7_judge", "exec"), {"__name__": "step7_judge"})
    result = json.loads((run_dir / "results" / "step7_judge.json").read_text())
    return {e["name"]: e["value"] for e in result["entries"] if e["kind"] == "value"}


def pick(rows: list[dict[str, Any]], **wanted: str) -> dict[str, Any]:
    """The one row whose columns have these values."""
    (row,) = [r for r in rows if all(r[k] == v for k, v in wanted.items())]
    return row


def test_a_perfect_generator(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = judge(make_generator(folder), folder, tmp_path, monkeypatch)
    own = pick(found["control"], frames="its own sound")
    assert own["SSIM"]["value"] == pytest.approx(1, abs=1e-6)
    assert own["RMSE of moving pixels"]["value"] == 0
    assert own["RMSE of moving pixels"]["unit"] == "grey levels"
    assert found["gain"]["low"] > 0
    for quantity in ("along", "bow"):
        rows = {name: pick(found["hand"], quantity=quantity, video=name)
                for name in ("its own sound", "real video", "another moment's sound",
                             "mean training frame", "oracle")}  # fmt: skip
        r = {name: row["r"]["value"] for name, row in rows.items()}
        assert r["its own sound"] == pytest.approx(r["real video"])
        assert r["its own sound"] > 0.7
        assert rows["its own sound"]["r"]["low"] > 0.3
        assert abs(r["another moment's sound"]) < 0.5 < r["oracle"]
        assert r["mean training frame"] == 0
        share = rows["its own sound"]["r, of the oracle's"]
        assert share == pytest.approx(r["its own sound"] / r["oracle"])
    turns = {"compared with": "turns"}
    row = pick(found["turns"], video="its own sound", **turns)
    assert row["F1"]["value"] > 0.6
    assert row["above luck"]["low"] > 0
    assert pick(found["turns"], video="mean training frame", **turns)["found"] == 0
    sharp = pick(found["sharpness"], video="its own sound")
    assert sharp["of the real video's"]["value"] == pytest.approx(1, abs=1e-5)
    assert sharp["minus the still picture's"]["low"] > 0
    copies = {row["frames"]: row for row in found["memorisation"]}
    near = "nearest training frame [grey levels]"
    assert copies["nearest training sound"][near] == pytest.approx(0, abs=1e-6)
    assert copies["nearest training sound"]["authentic"]["value"] == 0
    assert copies["its own sound"][near] == copies["real test video"][near] > 0
    for name in ("precision", "recall", "diversity"):
        assert copies["its own sound"][name]["value"] == pytest.approx(1, abs=1e-5)
    told = capsys.readouterr().out
    assert "the frames follow the sound" in told
    assert "the motion is more precise than none" in " ".join(told.split())
    assert found["table1"][0]["the paper's cello: SSIM · LPIPS · FVD"].startswith(
        "0.87"
    )
    results = {"step7_judge": found}
    evidence = series.evidence(results)
    for name in ("follows_sound", "hand_follows", "bow_turns", "sharper"):
        assert evidence[name] > 0, name
    assert series.headlines(results)["its own sound, along, r"] > 0.7


def test_a_late_generator_does_not_follow(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its frames are as real as those of the perfect one. Only the time is wrong."""
    found = judge(make_generator(folder, late=50), folder, tmp_path, monkeypatch)
    own = pick(found["control"], frames="its own sound")
    assert own["RMSE of moving pixels"]["value"] > 5
    assert found["gain"]["low"] < 5
    assert pick(found["hand"], quantity="along", video="its own sound")["r"]["low"] < 0
    row = pick(found["turns"], video="its own sound", **{"compared with": "turns"})
    assert row["above luck"]["low"] < 0.1
    evidence = series.evidence({"step7_judge": found})
    assert evidence["bow_turns"] < 0.25
    assert evidence["hand_follows"] < 0.4


def test_a_still_picture_is_neither_sharp_nor_moving(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = judge(make_still(folder), folder, tmp_path, monkeypatch)
    told = capsys.readouterr().out
    assert "the frames are not shown to follow the sound" in told
    assert "the motion is no more precise than none" in " ".join(told.split())
    same = pick(found["memorisation"], frames="its own sound")
    assert same["diversity"]["value"] == pytest.approx(0, abs=1e-5)
    assert same["recall"]["value"] < 0.2
    assert found["gain"]["value"] == pytest.approx(0, abs=1e-6)
    own = pick(found["hand"], quantity="along", video="its own sound")
    assert own["r"]["value"] == 0
    assert found["lasting"][0]["change"]["value"] == pytest.approx(0, abs=1e-9)
    sharp = pick(found["sharpness"], video="its own sound")
    assert sharp["minus the still picture's"]["value"] == pytest.approx(0, abs=1e-9)
    evidence = series.evidence({"step7_judge": found})
    for name in ("hand_follows", "bow_turns", "sharper", "follows_sound"):
        assert evidence[name] == pytest.approx(0, abs=1e-6), name
