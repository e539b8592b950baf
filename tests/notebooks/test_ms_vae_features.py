"""The features of ms_vae: what is measured, the file, and AVE's own files."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from avnb_notebooks.ms_vae import step2_features as features
from torch import Tensor, nn

from avnb import training
from avnb.data.clips import ClipBatch
from avnb.errors import ClipsError
from avnb.features import VGGishMel


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def seconds(n: int = 5, t: int = 10, seed: int = 0) -> features.VideoFeatures:
    """Random features of n videos."""
    generator = random(seed)
    return features.VideoFeatures(
        visual=torch.rand(n, t, 512, generator=generator),
        audio=torch.rand(n, t, 128, generator=generator),
        event=torch.rand(n, t, generator=generator) > 0.5,
        label=torch.randint(0, 3, (n,), generator=generator),
        videos=[f"vidéo {k}" for k in range(n)],
        classes=["Bark", "Male speech, man speaking", "Clock"],
        networks={"visual": "a", "audio": "b"},
    )


def clips(n: int = 3, t: int = 4, fps: int = 2, size: int = 16) -> ClipBatch:
    """Random clips of t seconds, with an event in each."""
    generator = random(1)
    event = torch.zeros(n, t * fps)
    for k in range(n):
        event[k, fps * k : fps * (k + 1)] = 1
    shape = (n, t * fps, size, size, 3)
    return ClipBatch(
        frames=torch.randint(0, 256, shape, generator=generator).byte(),
        waveform=torch.randint(
            -9000, 9000, (n, 1, 16000 * t), generator=generator
        ).short(),
        labels=torch.arange(n) % 2,
        classes=["a", "b"],
        recordings=[f"r{k}" for k in range(n)],
        units=[f"r{k}" for k in range(n)],
        start=torch.zeros(n),
        peak=torch.ones(n),
        fps=float(fps),
        sample_rate=16000,
        truth={"event": event},
    )


class Colours(nn.Module):
    """Pictures → the mean of each colour and its side, 512 times."""

    def forward(self, x: Tensor) -> Tensor:
        assert 0 <= x.min() <= x.max() <= 1
        mean = torch.cat([x.mean((2, 3)), torch.full((len(x), 1), x.shape[2])], dim=1)
        return mean.repeat(1, 128)


# --- A row a second


def test_what_is_seen_is_a_mean_over_a_seconds_frames() -> None:
    of = clips(n=9, t=4, fps=2)  # 72 frames: more than one part
    found = features.embed_frames(Colours(), of)
    assert found.shape == (9, 4, 512)
    for video, second, colour in ((0, 0, 0), (4, 2, 1), (8, 3, 2)):
        two = of.frames[video, 2 * second : 2 * second + 2, :, :, colour].double()
        expected = float(two.mean() / 255)
        assert found[video, second, colour].item() == pytest.approx(expected, abs=1e-5)
    assert (found[:, :, 3] == 16).all()
    assert (features.embed_frames(Colours(), of, size=32)[:, :, 3] == 32).all()


def test_of_many_frames_a_few_are_looked_at_evenly() -> None:
    of = clips(n=2, t=2, fps=6)
    found = features.embed_frames(Colours(), of, most=2)
    for second in range(2):
        chosen = of.frames[:, [6 * second + 1, 6 * second + 4]].double() / 255
        expected = chosen.mean((1, 2, 3))
        torch.testing.assert_close(found[:, second, :3].double(), expected)


def test_what_is_heard_is_one_second_each() -> None:
    of = clips()
    encoder = features.AudioEncoder(5, width=2).eval()
    with torch.inference_mode():
        found = features.embed_sound(encoder, of, VGGishMel())
        for video, second in ((0, 0), (2, 3)):
            part = of.waveform[video, 0, 16000 * second : 16000 * (second + 1)] / 32767
            alone = encoder(VGGishMel()(part)[None])[0]
            torch.testing.assert_close(found[video, second], alone)
    assert found.shape == (3, 4, 128)
    assert found.min() == 0 < found.max()


def test_events_are_seconds_that_are_mostly_event() -> None:
    of = clips()
    assert torch.equal(features.label_events(of), torch.eye(3, 4, dtype=torch.bool))
    of.truth["event"][0, 1] = 0  # half a second
    assert not features.label_events(of)[0].any()
    of.truth["event"][1, 2] = torch.nan
    with pytest.raises(
        features.FeatureError, match="r1: it is not known where its event"
    ):
        features.label_events(of)
    assert features.label_events(replace(of, truth={})).all()


def test_clips_of_other_lengths_are_refused() -> None:
    of = clips()
    cases = {
        "3.5 s with 8 frames": replace(of, waveform=of.waveform[..., :56000]),
        "4 s with 7 frames": replace(of, frames=of.frames[:, :7], truth={}),
    }
    for message, wrong in cases.items():
        for measure in (features.label_events, features.count_seconds):
            with pytest.raises(features.FeatureError, match=message):
                measure(wrong)
    slow = replace(of, waveform=of.waveform[..., ::2], sample_rate=8000)
    with pytest.raises(features.FeatureError, match=r"8000 Hz.*sample_rate 16000"):
        features.embed_sound(features.AudioEncoder(2, width=2), slow, VGGishMel())


def test_rows_are_scaled_by_their_largest() -> None:
    rows = torch.randn(4, 3, 7, generator=random(2))
    rows[1, 1] = 0
    found = features.scale_rows(rows)
    for at in np.ndindex(4, 3):
        top = max(abs(x) for x in rows[at].tolist()) or 1.0
        expected = torch.tensor([x / top for x in rows[at].tolist()])
        torch.testing.assert_close(found[at], expected)


# --- The audio encoder


@pytest.mark.slow
def test_practice_is_seeded_and_of_every_kind() -> None:
    sounds, kinds, which = features.synthesize_sounds(1, 0, length=2)
    n = len(features.KINDS)
    assert sounds.shape == (2 * n, 16000)
    assert kinds.tolist() == which.tolist() == [k for k in range(n) for _ in range(2)]
    assert sounds.abs().amax() <= 1
    assert (sounds.std(dim=1) > 1e-4).all()
    again, _, _ = features.synthesize_sounds(1, 0, length=2)
    other, _, _ = features.synthesize_sounds(1, 1, length=2)
    assert torch.equal(sounds, again)
    assert not (sounds == other).all(dim=1).any()


def test_the_encoder_learns_and_its_scale_changes_no_name() -> None:
    """Three tones in noise: heard as different, from few."""
    torch.manual_seed(0)
    time = torch.arange(16000) / 16000
    tones = torch.stack(
        [torch.sin(2 * torch.pi * f * time) for f in (300.0, 900.0, 2500.0)]
    )

    def sounds(each: int) -> tuple[Tensor, Tensor]:
        kinds = torch.arange(3).repeat(each)
        noisy = 0.1 * tones[kinds] + 0.02 * torch.randn(3 * each, 16000)
        return VGGishMel()(noisy), kinds

    encoder = features.AudioEncoder(3, width=4)
    optimizer = torch.optim.AdamW(encoder.parameters(), 3e-3)
    mels, kinds = sounds(8)
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(encoder.classify(mels), kinds).backward()
        optimizer.step()
    encoder.eval().requires_grad_(False)
    mels, kinds = sounds(5)
    before = encoder.classify(mels)
    assert (before.argmax(dim=1) == kinds).all()
    features.match_vggish_scale(encoder, mels)
    assert encoder(mels).std().item() == pytest.approx(0.262, rel=1e-4)
    torch.testing.assert_close(encoder.classify(mels), before, rtol=1e-4, atol=1e-4)


def test_an_untrained_encoder_is_the_same_each_time() -> None:
    """The example of step 2 had random weights of no seed."""
    torch.manual_seed(5)
    first = features.make_untrained_encoder(4, seed=3).state_dict()
    drawn = torch.rand(3)
    torch.manual_seed(6)
    again = features.make_untrained_encoder(4, seed=3).state_dict()
    other = features.make_untrained_encoder(4, seed=4).state_dict()
    assert all(torch.equal(again[name], value) for name, value in first.items())
    assert not torch.equal(other["naming.weight"], first["naming.weight"])
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), drawn), "it draws from a stream of its own"


def test_the_slow_picture_of_a_second_is_vggishs() -> None:
    wave = 0.1 * torch.randn(16000, generator=random(7))
    slow = features.compute_log_mel_slow(wave)
    torch.testing.assert_close(slow, VGGishMel()(wave), rtol=1e-4, atol=1e-4)


def test_the_encoder_is_saved_as_any_model(tmp_path: Path) -> None:
    encoder = features.AudioEncoder(4, width=2).eval()
    training.save_model(tmp_path / "encoder.safetensors", encoder, kinds=4, width=2)
    again = training.load_model(tmp_path / "encoder.safetensors", features.AudioEncoder)
    mels = torch.randn(2, 96, 64, generator=random())
    assert torch.equal(again(mels), encoder(mels))


# --- The file


def test_the_file_gives_back_what_it_got(tmp_path: Path) -> None:
    path = tmp_path / "features.safetensors"
    splits = {"train": seconds(), "test": seconds(2, 3, seed=1)}
    features.save_features(path, splits, seed=3)
    assert features.list_splits(path) == ["train", "test"]
    assert features.read_recipe(path) == {"seed": 3}
    for split, of in splits.items():
        found = features.load_features(path, split)
        assert len(found) == len(of)
        for name in ("visual", "audio", "event", "label"):
            assert torch.equal(getattr(found, name), getattr(of, name))
        for name in ("videos", "classes", "networks"):
            assert getattr(found, name) == getattr(of, name)
    with pytest.raises(features.FeatureError, match=r"no split 'val'.*train, test"):
        features.load_features(path, "val")
    empty = seconds(0)
    features.save_features(path, {"val": empty})
    assert len(features.load_features(path, "val")) == 0


WRONG: dict[str, tuple[Callable[[Any], Any], str]] = {
    "width": (lambda s: {"audio": s.audio[..., :127]}, r"audio is \(5, 10, 127\)"),
    "length": (lambda s: {"visual": s.visual[:, :9]}, r"visual is \(5, 9, 512\)"),
    "count": (lambda s: {"label": s.label[:4]}, r"label is \(4,\)"),
    "kind": (lambda s: {"event": s.event.int()}, r"event is \(5, 10\) torch.int32"),
    "class": (lambda s: {"label": s.label + 3}, "labels from 3 to .* 3 classes"),
    "below": (lambda s: {"label": s.label - 1}, "labels from -1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_features_are_neither_kept_nor_read(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, message = WRONG[case]
    good = seconds()
    wrong = replace(good, **change(good))
    path = tmp_path / "f.safetensors"
    with pytest.raises(features.FeatureError, match=message):
        features.save_features(path, {"train": wrong})
    assert not path.exists()
    with monkeypatch.context() as patch:
        patch.setattr(features, "check_features", lambda of, where: of)
        features.save_features(path, {"train": wrong})
    with pytest.raises(features.FeatureError, match=r"f\.safetensors"):
        features.load_features(path, "train")


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", ["visual", "audio"])
def test_a_number_that_is_none_names_its_video(
    tmp_path: Path, name: str, value: float
) -> None:
    of = seconds()
    getattr(of, name)[3, 7, 5] = value
    match = f"the {name} features of vidéo 3, second 7"
    with pytest.raises(features.FeatureError, match=match):
        features.save_features(tmp_path / "f", {"train": of})


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.safetensors"
    with pytest.raises(features.FeatureError, match="Run step3_extract"):
        features.load_features(path, "train")
    features.save_features(path, {"train": seconds()})
    whole = path.read_bytes()

    def refused(content: bytes) -> None:
        path.write_bytes(content)
        with pytest.raises(features.FeatureError, match=r"f\.safetensors"):
            features.load_features(path, "train")
        assert features.read_recipe(path) == {}

    refused(b"")
    refused(b"\x00" * 100)
    refused(whole[:-9])
    refused(b"\xff" * 8 + whole[8:])  # a header of 2^64 bytes
    tensors = safetensors.torch.load(whole)
    for about in ("", "[]", "{}", '{"format": "avnb seconds 1"}', "[" * 99999):
        refused(safetensors.torch.save(tensors, metadata={"about": about}))
    refused(safetensors.torch.save(tensors))
    header = {"format": features.FORMAT, "splits": {}, "made": {}}
    words = {"videos": ["a", "b"], "units": ["a", "b"], "classes": [], "networks": {}}
    for wrong in ({"videos": [1, 2]}, {"units": ["a"]}, {"units": [1, 2]}):
        header["splits"] = {"train": words | wrong}
        about = json.dumps(header)
        refused(safetensors.torch.save(tensors, metadata={"about": about}))
    path.write_bytes(whole)
    monkeypatch.setattr(features, "LARGEST", 4)
    with pytest.raises(features.FeatureError, match=r"5 videos.*4 at most"):
        features.load_features(path, "train")


def test_a_split_without_its_tensors(tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    features.save_features(path, {"train": seconds()})
    with safetensors.safe_open(path, "pt") as file:
        about = file.metadata()
    tensors = safetensors.torch.load(path.read_bytes())
    del tensors["train.audio"]
    path.write_bytes(safetensors.torch.save(tensors, metadata=about))
    with pytest.raises(features.FeatureError, match=r"train\.audio.*missing"):
        features.load_features(path, "train")


def test_tensors_of_too_few_axes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    features.save_features(path, {"train": seconds()})
    with safetensors.safe_open(path, "pt") as file:
        about = file.metadata()
    whole = safetensors.torch.load(path.read_bytes())
    for event in (torch.tensor(True), torch.ones(5, dtype=torch.bool)):
        tensors = whole | {"train.event": event}
        path.write_bytes(safetensors.torch.save(tensors, metadata=about))
        with pytest.raises(features.FeatureError, match=r"f\.safetensors: train"):
            features.load_features(path, "train")


# --- AVE's own files


def ave_files(n: int = 12) -> tuple[dict[str, np.ndarray], list[Any]]:
    """Arrays as AVE's h5 files hold them, and the annotations of their rows."""
    from data_scripts.ave import KINDS, Row

    rng = np.random.default_rng(5)
    rows, labels = [], np.zeros((n, 10, 29))
    for k in range(n):
        column = (0, 3, 17)[k % 3]
        start = int(rng.integers(0, 8))
        end = int(rng.integers(start + 2, 11))
        rows.append(Row(k, KINDS[column], f"id{k}", start, end))
        labels[k, :, 28] = 1
        labels[k, start:end, 28] = 0
        labels[k, start:end, column] = 1
    tables = {
        "visual": rng.random((n, 10, 512)),
        "audio": rng.random((n, 10, 128)),
        "labels": labels,
    }
    return tables, rows


def test_ave_is_read_row_by_row() -> None:
    tables, rows = ave_files()
    chosen = {"train": [rows[k] for k in (5, 0, 3)], "val": [], "test": rows[10:]}
    splits, problems = features.split_ave_arrays(tables, chosen)
    assert not problems
    assert list(splits) == ["train", "val", "test"]
    for split, its in chosen.items():
        of = features.check_features(splits[split], split)
        assert len(of) == len(its)
        for i, row in enumerate(its):
            assert of.videos[i] == row.video
            assert of.classes[of.label[i]] == row.label
            inside = [row.start <= second < row.end for second in range(10)]
            assert of.event[i].tolist() == inside
            expected = torch.from_numpy(tables["visual"][row.number]).float()
            assert torch.equal(of.visual[i], expected)


def test_what_disagrees_is_named_and_nothing_else_is_lost() -> None:
    tables, rows = ave_files()
    rows[1] = replace(rows[1], end=rows[1].end - 1)
    tables["labels"][6, rows[6].start] = np.eye(29)[5]  # another class, one second
    tables["audio"][8, 2, 0] = np.nan
    tables["visual"][9, 9, 511] = np.inf
    splits, problems = features.split_ave_arrays(
        tables, {"train": rows[:8], "test": rows[8:]}
    )
    said = {problem.file: problem.problem for problem in problems}
    assert list(said) == ["id1", "id6", "id8", "id9"]
    assert "disagree" in said["id1"]
    assert "disagree" in said["id6"]
    assert "audio features are not finite" in said["id8"]
    assert "visual features are not finite" in said["id9"]
    assert splits["train"].videos == ["id0", "id2", "id3", "id4", "id5", "id7"]
    assert splits["test"].videos == ["id10", "id11"]


@pytest.fixture
def ave_folder(tmp_path: Path) -> Path:
    h5py = pytest.importorskip("h5py", reason="AVE's files: pip install h5py")
    tables, rows = ave_files()
    lines = [f"{r.label}&{r.video}&good&{r.start}&{r.end}\r\n" for r in rows]
    lines[3] = lines[3].replace(f"&{rows[3].start}&{rows[3].end}", "&0&0")
    (tmp_path / "Annotations.txt").write_bytes("".join(lines).encode())
    files = {
        "visual_feature_vec": ("avadataset", tables["visual"]),
        "audio_feature": ("avadataset", tables["audio"].astype("f4")),
        "labels": ("avadataset", tables["labels"].astype("i8")),
        "train_order_match": ("order", [7, 2, 3, 1]),
        "val_order_match": ("order", [4]),
        "test_order_match": ("order", [0, 11]),
    }
    for name, (key, table) in files.items():
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file[key] = np.array(table)
    return tmp_path


def test_ave_files(ave_folder: Path) -> None:
    splits, problems = features.read_ave_features(ave_folder)
    assert any("no length" in str(problem) for problem in problems)
    assert splits["train"].videos == ["id7", "id2", "id1"]
    tables, _ = ave_files()
    expected = torch.from_numpy(tables["audio"][[0, 11]]).float()
    assert torch.equal(splits["test"].audio, expected)


def test_ave_files_of_another_kind(ave_folder: Path) -> None:
    import h5py

    def broken(name: str, table: Any, message: str, key: str = "avadataset") -> None:
        path = ave_folder / name
        before = path.read_bytes()
        with h5py.File(path, "w") as file:
            file[key] = table
        with pytest.raises(ClipsError, match=message):
            features.read_ave_features(ave_folder)
        path.write_bytes(before)

    wide = np.zeros((12, 10, 128))
    broken("audio_feature.h5", wide[:, :, 1:], r"audio_feature.*\(12, 10, 127\)")
    broken("audio_feature.h5", wide[:11], r"audio_feature.*\(11, 10, 128\), not \(12 ")
    broken("visual_feature_vec.h5", wide, r"visual.*\(12, 10, 128\)")
    broken("audio_feature.h5", wide[0], "audio_feature.*avadataset")
    broken("audio_feature.h5", wide, "audio_feature.*avadataset", key="other")
    (ave_folder / "labels.h5").unlink()
    with pytest.raises(ClipsError, match=r"no labels\.h5"):
        features.read_ave_features(ave_folder)
