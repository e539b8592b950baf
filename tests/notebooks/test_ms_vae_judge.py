"""Steps 7 and 8 of ms_vae on features that are made up: their tables, recomputed."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avnb_notebooks.ms_vae import step2_features as step2
from avnb_notebooks.ms_vae.step4_model import MSVAE
from avnb_notebooks.ms_vae.step5_baselines import MODELS
from torch import Tensor

from avnb import media, training
from avnb.course.series import load_series, series_folder
from avnb.data import clips, shards
from avnb.data.sources import ClipSettings, Source
from avnb.errors import LessonError
from avnb.features import VGGishMel


def make_features(
    label: list[int], event: Tensor, videos: list[str] | None = None, seed: int = 0
) -> step2.VideoFeatures:
    """Features of videos with these events, drawn at random."""
    random = torch.Generator().manual_seed(seed)
    n, seconds = event.shape
    return step2.VideoFeatures(
        visual=70 * torch.rand(n, seconds, 512, generator=random),
        audio=torch.rand(n, seconds, 128, generator=random),
        event=event,
        label=torch.tensor(label),
        videos=videos or [f"video{i:02d}" for i in range(n)],
        classes=[f"class {k}" for k in range(max(label) + 1)],
        networks={"visual": "noise", "audio": "more noise"},
        cues=torch.rand(n, seconds, 2, generator=random),
    )


def random_run(
    folder: Path,
    label: list[int],
    event: Tensor,
    videos: list[str] | None = None,
    train: step2.VideoFeatures | None = None,
) -> Any:
    """A run's folder with features and models that nobody trained."""
    test = make_features(label, event, videos)
    splits = {"test": test} | ({} if train is None else {"train": train})
    step2.save_features(folder / "features.safetensors", splits)
    torch.manual_seed(0)
    for name, cls in MODELS.items():
        config = {"shared": "cm_vae" not in name} if "vae" in name else {}
        path = folder / "models" / f"{name}.safetensors"
        training.save_model(path, cls(**config), **config)
    return test


def run(
    step: str,
    run_dir: Path,
    data: str = "",
    names: dict[str, Any] | None = None,
    overrides: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What a step records at scale smoke, its text half run as a script.

    `names` gets everything that the script defines.
    """
    text = (series_folder("ms_vae") / f"{step}.py").read_text()
    given = {"SCALE": "smoke", "RUN_DIR": str(run_dir), "DATA": data}
    given["OVERRIDES"] = overrides or {}
    for name, value in given.items():
        text, found = re.subn(rf"^{name} = .*", f"{name} = {value!r}", text, flags=re.M)
        assert found == 1
    names = {} if names is None else names
    names["__name__"] = step
    exec(compile(text, step, "exec"), names)
    result = json.loads((run_dir / "results" / f"{step}.json").read_text())
    assert result["finished"]
    return {e["name"]: e["value"] for e in result["entries"] if e["kind"] == "value"}


def spans(count: int, seconds: int = 10) -> Tensor:
    """An event of 2 to 6 seconds in each video, somewhere."""
    event = torch.zeros(count, seconds, dtype=torch.bool)
    for i, row in enumerate(event):
        start = 3 * i % 5
        row[start : start + 2 + i % 5] = True
    return event


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any], Any]:
    tmp_path = tmp_path_factory.mktemp("run")
    label = [0, 1, 2, 0, 1, 2, 0, 3, 4, 0]
    train = make_features([0, 1, 2, 3, 4, 4], spans(6), seed=1)
    test = random_run(tmp_path, label, spans(10), train=train)
    results = run("step7_judge", tmp_path)
    path = tmp_path / "models" / "ms_vae_w.safetensors"
    return test, results, training.load_model(path, MSVAE), tmp_path


@pytest.mark.slow
def test_table_1_is_what_a_plain_loop_counts(judged: tuple) -> None:
    test, results, model, _ = judged
    rows = {row["model"]: row for row in results["table1"]}
    right = {"A2V": 0, "V2A": 0}
    for i in range(10):
        seen = model.encode(test.visual[i], "visual")
        heard = model.encode(test.audio[i], "audio")
        s, n = int(test.event[i].int().argmax()), int(test.event[i].sum())
        for name, query, other in (("A2V", heard, seen), ("V2A", seen, heard)):
            costs = [
                sum(
                    float((query[s + k, :100] - other[t + k, :100]).norm())
                    + float((query[s + k, 100:] - other[t + k, 100:]).norm())
                    for k in range(n)
                )
                for t in range(10 - n + 1)
            ]
            right[name] += int(np.argmin(costs)) == s
    for name, count in right.items():
        assert rows["MS-VAE + W"][name]["value"] == pytest.approx(count / 10)
        assert rows["MS-VAE + W"][name]["network"] == "noise + more noise"
    assert rows["always last"]["circular"]["value"] == pytest.approx(0.1)
    last = (test.event[:, -1]).double().mean()
    assert rows["always last"]["average"]["value"] == pytest.approx(float(last))
    printed = {r["model"]: r["paper, %"] for r in results["table1"] if "paper, %" in r}
    assert printed["MS-VAE + W"] == "37.4 · 40.0"
    assert printed["MS-VAE + W, as released"] == "37.4 · 40.0"
    assert printed["AVFB"] == "37.3 · 46.0"


def first(order: list[int], label: list[int], q: int) -> float:
    """1 / place of the first item of q's class in a ranking; 0 where there is none."""
    return next((1 / j for j, i in enumerate(order, 1) if label[i] == label[q]), 0.0)


@pytest.mark.slow
def test_table_2_and_the_two_slips(judged: tuple) -> None:
    results = judged[1]
    rows = {row["model"]: row for row in results["table2"]}
    assert set(rows) >= {"random ranking", "no model: the features", "AVSDN"}
    assert "A-V" not in rows["no model: the features"]
    # 4 of class 0, 2 of 1 and 2, the classes of one are not asked within a modality
    one_of_nine = sum(1 / j for j in range(1, 10)) / 9
    assert rows["MS-VAE"]["A-A"]["n"] == 8
    chance = rows["random ranking"]["A-A"]["value"]
    assert one_of_nine < chance < 1
    slips = {(r["distances"], r["ranks"]): r for r in results["released"]}
    assert slips["perfect", "correct"]["V-V"] == 1
    assert slips["perfect", "as released"]["V-A"] == 1
    # the script, a query at a time: a name keeps its value when its loop has ended
    label, within, across = [0, 1, 2, 0, 1, 2, 0, 3, 4, 0], [], []
    for q in range(10):
        rest = [label[i] != label[q] for i in range(10) if i != q]
        order = sorted(range(9), key=rest.__getitem__)
        within.append(first(order, label, q))
    for q in range(10):
        across.append(first(order, label, q))
    as_released = slips["perfect", "as released"]
    for name in ("A-A", "V-V"):
        assert as_released[name] == pytest.approx(np.mean(within))
    assert as_released["A-V"] == pytest.approx(np.mean(across))
    assert max(np.mean(within), np.mean(across)) < 1
    assert not any("not compared" in row["holds"] for row in results["claims"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["A-V", "V-A", "A-A"])
def test_table_2_asks_with_the_modality_that_it_names(judged: tuple, kind: str) -> None:
    test, results, model, _ = judged
    label, names = test.label.tolist(), {"A": "audio", "V": "visual"}
    keys = torch.rand(2, 10, 10, generator=torch.Generator().manual_seed(0))
    scores: dict[int, list[float]] = {}
    for draw in keys:  # of each video the event's second with the largest key
        drawn = draw.where(test.event, -1.0).argmax(1)
        one_each = torch.arange(10), drawn
        query, item = (
            model.encode(getattr(test, names[m])[one_each], names[m]) for m in kind[::2]
        )
        for q in range(10):
            items = [i for i in range(10) if kind != "A-A" or i != q]
            far = [
                float((query[q] - item[i])[:100].norm())
                + float((query[q] - item[i])[100:].norm())
                for i in items
            ]
            order = [items[k] for k in np.argsort(far)]
            scores.setdefault(q, []).append(first(order, label, q))
    asked = [np.mean(each) for each in scores.values() if max(each) > 0]
    rows = {row["model"]: row for row in results["table2"]}
    assert rows["MS-VAE + W"][kind]["value"] == pytest.approx(np.mean(asked))


def divide(rows: Tensor) -> Tensor:
    return rows / rows.abs().amax(-1, keepdim=True)


@pytest.mark.slow
def test_rows_without_a_model_are_counted_by_hand(judged: tuple) -> None:
    """By way of the training seconds, and by the loudest and most moving window."""
    test, results, _, folder = judged
    train = step2.load_features(folder / "features.safetensors", "train")
    seen, heard = (divide(x[train.event]) for x in (train.visual, train.audio))
    right = dict.fromkeys(("detour A2V", "detour V2A", "cues A2V", "cues V2A"), 0)
    for i in range(10):
        s, n = int(test.event[i].int().argmax()), int(test.event[i].sum())
        v, a = divide(test.visual[i]), divide(test.audio[i])
        found = {"detour A2V": [], "detour V2A": [], "cues A2V": [], "cues V2A": []}
        for t in range(10 - n + 1):
            cost = dict.fromkeys(found, 0.0)
            for k in range(n):
                near = (heard - a[s + k]).norm(dim=1).argmin()
                cost["detour A2V"] += float((seen[near] - v[t + k]).norm())
                near = (seen - v[s + k]).norm(dim=1).argmin()
                cost["detour V2A"] += float((heard[near] - a[t + k]).norm())
                cost["cues A2V"] -= float(test.cues[i, t + k, 0])  # motion
                cost["cues V2A"] -= float(test.cues[i, t + k, 1])  # loudness
            for name, costs in found.items():
                costs.append(cost[name])
        for name, costs in found.items():
            right[name] += int(np.argmin(costs)) == s
    rows = {row["model"]: row for row in results["table1"]}
    names = {"detour": "no model: by way of the nearest training second",
             "cues": "no model: loudness and motion"}  # fmt: skip
    for name, count in right.items():
        kind, way = name.split()
        assert rows[names[kind]][way]["value"] == pytest.approx(count / 10), name
    best = {row["column"]: row for row in results["best_trivial"]}["A2V"]
    trained = {"supervised", "unsupervised"}
    values = [row["A2V"]["value"] for row in results["table1"]
              if "A2V" in row and row["supervision"] not in trained]  # fmt: skip
    assert best["it is right"]["value"] == max(values)


@pytest.mark.slow
def test_class_means_name_the_query_and_rank_by_the_mean(judged: tuple) -> None:
    test, results, _, folder = judged
    train = step2.load_features(folder / "features.safetensors", "train")
    label = test.label.tolist()
    owner = [i for i in range(len(train)) for t in range(10) if train.event[i, t]]
    kinds = train.label[torch.tensor(owner)]
    seen, heard = (divide(x[train.event]) for x in (train.visual, train.audio))
    scores: dict[int, list[float]] = {}
    for draw in torch.rand(2, 10, 10, generator=torch.Generator().manual_seed(0)):
        drawn = draw.where(test.event, -1.0).argmax(1)
        pictures = divide(test.visual[torch.arange(10), drawn])
        for q in range(10):
            query = divide(test.audio[q, drawn[q]])
            named = kinds[(heard - query).norm(dim=1).argmin()]
            mean = seen[kinds == named].mean(0)
            far = [float((picture - mean).norm()) for picture in pictures]
            scores.setdefault(q, []).append(first(list(np.argsort(far)), label, q))
    row = {r["model"]: r for r in results["table2"]}["no model: class means"]
    assert row["supervision"] == "class labels"
    wanted = np.mean([np.mean(each) for each in scores.values()])
    assert row["A-V"]["value"] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.slow
def test_no_cheater_gets_more_than_chance(judged: tuple) -> None:
    results = judged[1]
    rows = {row["answer"]: row for row in results["cheaters"]}
    alike, lot = rows["all alike"], rows["by lot"]
    chance = {row["model"]: row for row in results["table2"]}["random ranking"]
    assert alike["on a ring"]["value"] == pytest.approx(0.1)
    assert alike["retrieval, A-V"]["value"] == pytest.approx(chance["A-V"]["value"])
    first = {row["model"]: row for row in results["table1"]}["always first"]
    assert alike["localisation"]["value"] == first["average"]["value"]
    # the two that a cheater wins, and the one that finds them out
    assert alike["between modalities"] == 0
    assert lot["between modalities"] < 0.1
    assert lot["information, nats"] > 50
    assert lot["pair distance"] > 0.9
    assert alike["pair distance"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["visual", "audio"])
def test_latents_as_released_are_asked_on_rows_as_measured_too(
    judged: tuple, modality: str
) -> None:
    test, results, model, folder = judged
    path = folder / "models" / "ms_vae_w_faithful.safetensors"
    net = training.load_model(path, type(model))
    rows = {(r["model"], r["modality"]): r for r in results["latents"]}
    raw = getattr(test, modality)[test.event]
    largest = raw.max(-1, keepdim=True).values
    name = "MS-VAE + W, as released"
    for row, x in ((f"{name}, raw rows", raw), (name, raw / largest)):
        mu, logvar = net.encoders[modality](x)
        q = torch.distributions.Normal(mu, (logvar / 2).exp())
        p = torch.distributions.Normal(0.0, 1.0)
        kl = torch.distributions.kl_divergence(q, p).sum(1).mean().item()
        assert rows[row, modality]["KL"] == pytest.approx(kl, rel=1e-4)
    assert ("MS-VAE, raw rows", modality) not in rows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("without", "shared", "holds"),
    [(0.2, 30.0, True), (28.0, 32.0, False), (0.1, 0.3, False), (5.0, 0.1, False)],
)
def test_only_a_collapse_that_the_shared_decoder_prevents_counts(
    judged: tuple, without: float, shared: float, holds: bool
) -> None:
    claims = load_series("ms_vae")
    results = copy.deepcopy(judged[1])
    told = {"CM-VAE": without, "MS-VAE": shared}
    for row in results["latents"]:
        row["information"] = told.get(row["model"], row["information"])
    found = claims.evidence({"step7_judge": results})["shared_decoder"]
    (claim,) = (c for c in claims.CLAIMS if c.name == "shared_decoder")
    assert (found > claim.above) is holds


def own_recordings(folder: Path, kinds: list[str]) -> str:
    """Clips of 3 s of these classes, the last to train on, and a run's folder."""
    random, sources = np.random.default_rng(1), []
    for i, kind in enumerate(kinds):
        path = folder / f"video{i:02d}.mp4"
        frames = random.integers(0, 255, (6, 16, 16, 3), dtype=np.uint8)
        sound = 0.1 * random.standard_normal((1, 48000)).astype(np.float32)
        media.write_frames(path, frames, sound, 2, 16000)
        split = "test" if i < len(kinds) - 1 else "train"
        sources.append(Source(path.name, path.stem, kind, path, split=split))
    data = folder / "clips"
    settings = ClipSettings(seconds=3.0, fps=2.0, size=16, sample_rate=16000)
    shards.prepare(sources, data, settings, workers=1)
    test = clips.load_clips(data, "test")
    event = torch.ones(len(kinds) - 1, 3, dtype=torch.bool)
    random_run(folder, test.labels.tolist(), event, test.recordings)
    return str(data)


@pytest.mark.slow
def test_own_recordings_of_three_seconds_are_judged_and_played(tmp_path: Path) -> None:
    """All of one's seconds count as event, and no class comes twice."""
    data = own_recordings(tmp_path, [f"class {i}" for i in range(4)])

    results = run("step7_judge", tmp_path, data)
    assert not {"table1", "gains", "constant_answers"} & set(results)
    row = next(r for r in results["table2"] if r["model"] == "MS-VAE + W")
    assert {"A-V", "V-A"} <= set(row)
    assert "A-A" not in row
    holds = [claim["holds"] for claim in results["claims"]]
    assert sum(verdict.startswith("not compared") for verdict in holds) == 5

    played = run("step8_play", tmp_path, data)
    assert played["both answers right"] == 0
    assert 0 <= played["right among the answers shown"] <= 1
    assert len(played["walks"]) == 2


@pytest.mark.parametrize("count", [3, 1])
def test_only_answers_that_are_shown_are_counted(tmp_path: Path, count: int) -> None:
    """Of three videos two can answer, though three answers were asked for."""
    data = own_recordings(tmp_path, ["dog"] * (count + 1))
    played = run("step8_play", tmp_path, data)
    assert played.get("right among the answers shown") == (1 if count > 1 else None)


@pytest.mark.slow
def test_playing_measures_videos_that_step_3_has_not(tmp_path: Path) -> None:
    """As with the published weights: models, and no features."""
    data = own_recordings(tmp_path, ["dog", "dog", "cat", "cat"])
    (tmp_path / "features.safetensors").unlink()
    torch.manual_seed(0)
    encoder = step2.AudioEncoder(28).eval()
    path = tmp_path / "models" / "audio_encoder.safetensors"
    training.save_model(path, encoder, kinds=28)
    names: dict[str, Any] = {}
    played = run("step8_play", tmp_path, data, names)
    assert [row["made from"] for row in played["reconstruction"]] == [
        "the picture",
        "the sound",
    ]
    assert len(played["generated"]) == 2
    test = names["test"]
    mel = VGGishMel()(names["media"].waveform[1, 0, 16000:32000].float() / 32767)
    torch.testing.assert_close(test.audio[1, 1], encoder(mel[None])[0])
    # the error by hand: from the sound of each second, over the variance of the half
    net = names["model"]
    wanted = divide(test.visual.flatten(0, 1))
    with torch.no_grad():
        mu = net.encoders["audio"](divide(test.audio.flatten(0, 1)))[0]
        made = net.decoders["both"](mu)[:, :512]
    error = ((made - wanted) ** 2).mean() / wanted.var(dim=0).mean()
    found = played["reconstruction"][1]["error of the visual half"]
    assert found == pytest.approx(error.item(), rel=1e-3)


@pytest.mark.slow
def test_playing_with_other_videos_is_refused(tmp_path: Path) -> None:
    data = own_recordings(tmp_path, ["dog", "cat", "cat"])
    event = torch.ones(2, 10, dtype=torch.bool)
    random_run(tmp_path, [0, 1], event, ["one", "another"])
    with pytest.raises(LessonError, match=r"other videos.*DATA of step 3"):
        run("step8_play", tmp_path, data)
