"""Reference runs: published whole, proved on reading, and played with."""

import json
import sys
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
import safetensors.torch
import torch
from torch import nn
from toy import Toy
from typer.testing import CliRunner

from avnb import files, training
from avnb.course import cli, lab, play, reference, report, runner, study
from avnb.course.lesson import Lesson
from avnb.course.records import read_finished
from avnb.course.series import load_series
from avnb.errors import CheckpointError, LessonError
from avnb.training.models import shrink_model

SERIES = '''"""The toy's claims."""

from avnb.course.series import Claim

CLAIMS = (
    Claim("a", "It learns", "Sec. 1", "last minus first", networks=("net",)),
)
OVERRIDES = {}
UNITS = {"": "fraction"}
HIGHLIGHTS = ("table", "tone")
PUBLISHED = ("models/*.safetensors",)


def evidence(results):
    return {"a": results["step4_train"]["score"]["value"]}


def headlines(results):
    return {"score": results["step4_train"]["score"]["value"]}
'''
TRAIN = """
# %%
import torch
from avnb import training

settings = lesson.settings(dict(width=(2, 3, 4, 5, 6)))
torch.manual_seed(SEED)
net = torch.nn.Linear(settings.width, 2)
path = lesson.run_dir / "models" / "net.safetensors"
training.save_model(path, net, in_features=settings.width, out_features=2)
held_out = [0.1] + [0.9 + 0.0001 * SEED] * 9
lesson.record_training(
    "net", epochs=3, steps=90, held_out=held_out, better="higher", unit="accuracy"
)
lesson.record("score", {"value": 0.8 + 0.01 * SEED, "unit": "fraction"})

# %%
from avnb.course import study

study.show_claims(lesson)
lesson.finish()
"""
PLAY = """
# %%
import torch
from avnb import training

settings = lesson.settings(dict(draws=(1, 1, 1, 1, 1)))
path = lesson.need("models/net.safetensors", "step4_train")
net = training.load_model(path, torch.nn.Linear)
lesson.record("score", lesson.load_results("step4_train")["score"])
lesson.record("answer", net(torch.ones(1, net.in_features)).tolist()[0])
lesson.finish()
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    made = Toy(tmp_path_factory.mktemp("clone"))
    (made.notebooks / "series.py").write_text(SERIES)
    made.write("step4_train", TRAIN)
    made.write("step5_play", PLAY)
    return made


@pytest.fixture(autouse=True)
def found(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("toy_series")]:
        del sys.modules[name]
    monkeypatch.syspath_prepend(toy.folder)
    monkeypatch.setenv("AVNB_HOME", str(toy.folder / "home"))
    monkeypatch.setenv("PYTHONPATH", str(toy.folder), prepend=":")


def make_run(toy: Toy, seed: int = 0) -> Path:
    """A finished run at scale reference, as its notebooks would have left it."""
    name = "reference" + f"-seed{seed}" * bool(seed)
    run = toy.folder / "home" / "runs" / "toy" / name
    for step in ("step1_count", "step3_use", "step4_train", "step5_play"):
        lesson = Lesson("toy", step, "reference", seed, run, {})
        lesson.commit = "c" * 40
        lesson.record("score", {"value": 0.8 + 0.01 * seed, "unit": "fraction"})
        lesson.record("table", [{"who": step, "much": 0.25}])
        if step == "step4_train":
            lesson.record_training(
                "net", epochs=3, steps=90, held_out=[0.1, *[0.9] * 9], better="higher"
            )
            lesson.audio("tone", [0.0, 0.5] * 100, 8000, "A tone.")
        lesson.finish()
    torch.manual_seed(seed)
    path = run / "models" / "net.safetensors"
    training.save_model(path, nn.Linear(4, 2), in_features=4, out_features=2)
    steps = {s.stem: files.read_json(s) for s in (run / "results").glob("*.json")}
    made = {"date": "2026-01-02", "commit": "c" * 40, "hardware": "two cores"}
    whole = {"series": "toy", "scale": "reference", "seed": seed, "data": "embedded"}
    whole |= {"provenance": made | {"avnb": "0", "torch": "2"}, "minutes": 90.0}
    whole |= {"peak_memory_mb": 5, "overrides": {}, "minutes_of_this_run": 1.0}
    files.write_json(run / "results.json", whole | {"steps": steps})
    return run


@pytest.fixture
def kept(toy: Toy) -> Path:
    make_run(toy)
    return reference.keep_reference("toy")


def test_a_run_is_published_beside_its_series_with_all_that_proves_it(
    toy: Toy, kept: Path
) -> None:
    assert kept == toy.folder / "results" / "toy"
    assert reference.find_reference("toy") == kept
    found = reference.load_reference("toy")
    assert found is not None
    (weights,), (tone,) = found["weights"], found["samples"]
    assert (weights["file"], weights["path"]) == (
        "weights/net.safetensors", "models/net.safetensors",
    )  # fmt: skip
    for entry in (weights, tone):
        assert files.hash_file(kept / entry["file"]) == entry["sha256"]
    assert tone["caption"] == "A tone."
    # The curve is flat, and one seed has no interval.
    assert [row["holds"] for row in found["claims"]] == ["here yes"]
    curve = found["steps"]["step4_train"]["entries"]
    (rows,) = (e["value"] for e in curve if e["name"] == "trainings")
    assert rows["net"]["held_out"][-1] == [90.0, 0.9]
    told = reference.describe_reference(found)
    for text in ("reference", "seed 0", "2026-01-02", "commit cccccc"):
        assert text in told
    # What was computed before a stop is not counted.
    assert "at least 90 minutes" in told
    found["steps"]["step3_use"]["commit"] = "d" * 40 + "+changes"
    assert "commits cccccccccccc, dddddddddddd+changes" in reference.describe_reference(
        found
    )


def test_several_seeds_give_intervals_and_a_verdict(toy: Toy) -> None:
    for seed in (0, 1, 2):
        make_run(toy, seed)
    reference.keep_reference("toy", seeds=(0, 1, 2))
    found = reference.load_reference("toy")
    assert found is not None
    assert found["seeds"] == [0, 1, 2]
    assert [row["holds"] for row in found["claims"]] == ["holds"]
    assert found["numbers"]["score"]["low"] < 0.81 < found["numbers"]["score"]["high"]
    assert "seeds 0, 1, 2" in reference.describe_reference(found)


def test_published_weights_say_where_they_are_from_and_load(
    toy: Toy, kept: Path
) -> None:
    path = kept / "weights" / "net.safetensors"
    with safetensors.safe_open(path, "pt") as file:
        made = json.loads(file.metadata()["provenance"])
    assert made["series"] == "toy"
    assert made["scale"] == "reference"
    assert made["commit"] == "c" * 40
    net = training.load_model(path, nn.Linear)
    torch.manual_seed(0)
    exact = nn.Linear(4, 2)
    assert net.weight.dtype == torch.float32
    assert torch.equal(net.weight, exact.weight.half().float())
    assert torch.equal(net.bias, exact.bias)  # vectors are not rounded


def test_what_float16_cannot_hold_is_not_rounded(tmp_path: Path) -> None:
    net = nn.Linear(4, 2)
    nn.init.constant_(net.weight, 1e6)
    training.save_model(tmp_path / "a.safetensors", net, in_features=4, out_features=2)
    content = shrink_model(tmp_path / "a.safetensors", {})
    assert safetensors.torch.load(content)["model.weight"].dtype == torch.float32
    # A file that is no model keeps all its digits.
    table = {"x": torch.rand(3, 3)}
    safetensors.torch.save_file(table, tmp_path / "b.safetensors")
    content = shrink_model(tmp_path / "b.safetensors", {"a": 1})
    assert torch.equal(safetensors.torch.load(content)["x"], table["x"])
    (tmp_path / "c.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(CheckpointError, match="damaged"):
        shrink_model(tmp_path / "c.safetensors", {})


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.write_bytes(b"x" + path.read_bytes()[1:]), "SHA-256"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "bytes, not"),
        (lambda path: path.unlink(), "it is missing"),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do(
    toy: Toy, kept: Path, tmp_path: Path, spoil: Any, told: str
) -> None:
    spoil(kept / "weights" / "net.safetensors")
    with pytest.raises(LessonError, match=r"net\.safetensors.*") as error:
        reference.restore_run("toy", tmp_path)
    assert told in str(error.value)
    assert "Install avnb again" in str(error.value)
    assert list(tmp_path.rglob("*.safetensors")) == []


@pytest.mark.parametrize(
    "change",
    [
        {"format": 9},
        {"series": "other"},
        {"weights": None, "samples": None, "claims": None, "steps": None},
    ],
)
def test_a_damaged_list_is_named(kept: Path, change: dict[str, Any]) -> None:
    path = kept / "reference.json"
    content = json.loads(path.read_text())
    for name, value in change.items():
        content.pop(name) if value is None else content.update({name: value})
    path.write_text(json.dumps(content))
    with pytest.raises(LessonError, match=r"reference\.json: it is no list"):
        reference.load_reference("toy")
    path.write_text("{")
    with pytest.raises(LessonError, match=r"reference\.json: it is no list"):
        reference.load_reference("toy")


@pytest.mark.parametrize("field", ["file", "path"])
def test_no_file_leads_outside(kept: Path, tmp_path: Path, field: str) -> None:
    path = kept / "reference.json"
    content = json.loads(path.read_text())
    content["weights"][0][field] = "../../../outside.safetensors"
    path.write_text(json.dumps(content))
    with pytest.raises(LessonError, match="outside"):
        reference.restore_run("toy", tmp_path / "a" / "b" / "c")
    assert list(tmp_path.rglob("outside*")) == []


def test_too_much_is_refused_and_leaves_the_old_one(
    toy: Toy, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files.hash_file(kept / "reference.json")
    monkeypatch.setitem(reference.LARGEST, "weights", 10)
    with pytest.raises(LessonError, match=r"largest is weights/net\.safetensors"):
        reference.keep_reference("toy")
    assert files.hash_file(kept / "reference.json") == before


def test_an_unfinished_run_is_refused(toy: Toy) -> None:
    run = make_run(toy)
    (run / "results" / "step4_train.json").unlink()
    with pytest.raises(LessonError, match="the run lacks step4_train") as error:
        reference.keep_reference("toy")
    assert "run toy --scale reference" in str(error.value)
    whole = files.read_json(make_run(toy) / "results.json")
    files.write_json(run / "results.json", whole | {"data": "/mine"})
    with pytest.raises(LessonError, match="another one"):
        reference.keep_reference("toy")


def test_a_notebook_takes_published_models_or_trains(
    toy: Toy, kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lesson = Lesson("toy", "step4_train", "laptop", 0, tmp_path, {})
    assert not reference.copy_models(lesson, "net", "unknown")
    assert "they are trained here" in capsys.readouterr().out
    assert not (tmp_path / "models").exists()
    assert reference.copy_models(lesson, "net")
    assert "of the reference run (the embedded data" in capsys.readouterr().out
    assert training.load_model(tmp_path / "models" / "net.safetensors", nn.Linear)


def test_a_report_shows_the_reference_run_apart(toy: Toy, kept: Path) -> None:
    run = make_run(toy)
    whole = files.read_json(run / "results.json")
    own = toy.folder / "home" / "runs" / "toy" / "laptop"
    short = whole | {"scale": "laptop", "steps": {}}
    files.write_json(own / "results.json", short)
    page = report.build_report(own).read_text()
    mine, others = page.split("<h2>The reference run</h2>")
    assert "cccccccccccc" in others
    for text in ("It learns", "here yes", "step4_train", "A tone.", "data:audio/wav"):
        assert text in others
        assert text not in mine
    # It does not stand beside itself.
    assert "<h2>The reference run</h2>" not in report.build_report(run).read_text()


def test_a_series_without_one_says_so(toy: Toy) -> None:
    make_run(toy)
    kept = reference.keep_reference("toy")
    for path in kept.rglob("*"):
        if path.is_file():
            path.unlink()
    assert reference.load_reference("toy") is None
    assert reference.hash_reference("toy") == ""
    with pytest.raises(LessonError, match="no reference run of it is published"):
        play.prepare_play("toy")
    for command in ("play", "reference"):
        told = CliRunner().invoke(cli.app, [command, "unknown"])
        assert told.exit_code == 1
        assert "Give one of:" in told.stderr


def test_playing_needs_no_training(toy: Toy, kept: Path) -> None:
    notebook = play.prepare_play("toy")
    assert notebook.name == "step5_play.ipynb"
    home = toy.folder / "home"
    how = {"port": None, "browser": True, "allow_root": False}
    command, _ = lab.build_command(home / "course", page=notebook, **how)
    page = "/lab/tree/runs/toy/play/notebooks/step5_play.ipynb"
    assert f"--LabApp.default_url={page}" in command
    run = toy.folder / "home" / "runs" / "toy" / "play"
    assert read_finished(run, "step4_train") is not None
    assert read_finished(run, "step5_play") is None
    # What the reader changes stays; what nobody changed follows the course.
    page = nbformat.read(notebook, as_version=4)
    page.cells[-1].source += "\nprint('mine')"
    nbformat.write(page, notebook)
    play.prepare_play("toy")
    assert "mine" in notebook.read_text()
    notebook.unlink()
    play.prepare_play("toy")
    assert "mine" not in notebook.read_text()


def test_playing_has_data_of_the_series_own_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(play, "make_embedded_data", lambda *given: given)
    module = load_series("toy")
    assert play.choose_data("toy") == ""
    monkeypatch.setattr(module, "EMBEDDED", ("bandstand", {}), raising=False)
    # Not the seed of the reference run: its world is what the networks have learned.
    assert play.choose_data("toy") == f"('smoke', 'toy', {play.UNSEEN_SEED})"
    assert play.UNSEEN_SEED not in range(20)
    given = ("laptop", 77, {"length": 9})
    monkeypatch.setattr(module, "PLAY_DATA", given, raising=False)
    assert play.choose_data("toy") == "('laptop', 'toy', 77, {'length': 9})"


def test_what_a_playing_notebook_lacks_is_told(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(toy)
    monkeypatch.setattr(load_series("toy"), "PUBLISHED", ())
    reference.keep_reference("toy")
    with pytest.raises(LessonError, match="does not publish what step5_play needs"):
        play.prepare_play("toy")


@pytest.mark.slow
def test_from_a_real_run_to_playing(toy: Toy) -> None:
    """Run the notebooks, publish the run, and execute the playing notebook."""
    runner.run_series("toy", scale="reference", again=True)
    folder = reference.keep_reference("toy")
    assert {p.suffix for p in (folder / "samples").iterdir()} == {".wav"}
    notebook = play.prepare_play("toy")
    papermill.execute_notebook(
        notebook, notebook, kernel_name="python3", language="python"
    )
    run = toy.folder / "home" / "runs" / "toy"
    answers = [
        study.read_records(run / name)["step5_play"] for name in ("play", "reference")
    ]
    assert (
        answers[0]["score"] == answers[1]["score"] == {"value": 0.8, "unit": "fraction"}
    )
    torch.testing.assert_close(
        *(torch.tensor(a["answer"]) for a in answers), atol=2e-3, rtol=0
    )
