"""The released codes are fetched as pinned, and timed beside ours, from a local clone.

The network is never asked: a small repository stands in for the authors'. Its modules
have the released ones' names and arguments, and do almost nothing.
"""

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from avnb.errors import DownloadError

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

MODULES = """
import torch
from torch import nn
class GenNet(nn.Module):
    def __init__(self, output_size, dim_audio_feat, dim_e_motion, sound_route,
                 motion_layers, cond_gen, vid_pred, architecture, channels_base):
        super().__init__()
        assert (sound_route, vid_pred, architecture) == ("rnngen", "dir", "residual")
        assert cond_gen and motion_layers == 3 and dim_e_motion == 2
        self.size, self.to_pixels = output_size, nn.Linear(dim_audio_feat, 3)
    def forward(self, features):  # (1, T, B) -> (1, T, 3, N, N)
        colour = self.to_pixels(features)[..., None, None]
        return colour.expand(*colour.shape[:3], self.size, self.size)
class Discriminator(nn.Module):
    def __init__(self, seq_len, input_size, channels_base):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
    def forward(self, x):
        return self.weight * x.mean()
"""
LOSSES = """
from torchvision import models
class Loss:
    def __init__(self, kind, load_pl, device):
        assert kind == "wgan-gp" and load_pl
        self.vgg = models.vgg16(pretrained=True)  # weights: patched
"""
TRAIN = """
import torch
def trainer():
    torch.autograd.set_detect_anomaly(True)
    done = 0
    for features, video in dataloader:
        made = Gn(features)
        assert made.shape == video.shape and video.shape[1] == T
        for net, optim in ((Dv, Dv_optim), (Di, Di_optim), (Gn, Gn_optim)):
            optim.zero_grad()
            (Dv(made) + Di(made[:, 0])).backward(retain_graph=True)
            optim.step()
            break
        done += 1
    anomalies.append(torch.is_anomaly_enabled())
    assert done == args.total_iter
    logger.finish()
anomalies = []
"""
COMPONENTS = """
import h5py
from torch import nn
class audio_encoder(nn.Linear):
    def __init__(self, latent): super().__init__(128, latent)
class visual_encoder(nn.Linear):
    def __init__(self, latent): super().__init__(512, latent)
class general_decoder(nn.Linear):
    def __init__(self, latent): super().__init__(latent, 640)
class VAE(nn.Module):
    def __init__(self, latent, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
    def forward(self, x): return self.decoder(self.encoder(x))
"""
MSVAE = """
import h5py
import torch
from model_components import *
with h5py.File("data/visual_feature_vec.h5", "r") as hf:
    seen = hf["avadataset"][:]
with h5py.File("data/train_order_match.h5", "r") as hf:
    order = hf["order"][:]
def train_generaldec(epoch):
    for video in order:
        x = torch.from_numpy(seen[video]).float().cuda()
        optimizer_audio.zero_grad()
        optimizer_video.zero_grad()
        vae_video(x).square().mean().backward()
        optimizer_video.step()
        optimizer_audio.step()
"""
FILES = {
    "listen_and_move": {"modules.py": MODULES, "losses.py": LOSSES, "train.py": TRAIN},
    "ms_vae": {"codes/model_components.py": COMPONENTS, "codes/msvae.py": MSVAE},
}


@pytest.fixture(scope="module")
def released() -> Iterator[Any]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import released

        yield released
    finally:
        sys.path.remove(str(BENCHMARKS))


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def publish(folder: Path, contents: dict[str, str]) -> str:
    """Commit files to a repository, and return the commit's hash."""
    if not folder.is_dir():
        folder.mkdir()
        git(folder, "init", "--quiet")
    for path, text in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "a version")
    return git(folder, "rev-parse", "HEAD").strip()


def test_each_file_comes_from_its_pinned_commit(released: Any, tmp_path: Path) -> None:
    """Also where it was changed later, and nothing else of the repository comes."""
    origin = tmp_path / "origin"
    first = publish(origin, {"a.py": "one\n", "codes/b.py": "old\n", "evil.py": "x"})
    second = publish(origin, {"codes/b.py": "new\n"})
    publish(origin, {"a.py": "changed\n", "codes/b.py": "changed\n"})
    release = released.Release(str(origin), {"a.py": first, "codes/b.py": second}, "")
    folder = released.fetch_release(release, tmp_path / "cache" / "x")
    got = {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert got == {"a.py": "one\n", "codes/b.py": "new\n"}
    assert [path.name for path in folder.parent.iterdir()] == ["x"]
    # Fetched once: then no network is needed.
    (folder / "a.py").write_text("kept")
    gone = released.Release("/nowhere", release.commits, "")
    assert (released.fetch_release(gone, folder) / "a.py").read_text() == "kept"


@pytest.mark.parametrize("fault", ["network", "commit", "file", "size"])
def test_what_cannot_be_had_is_explained(
    released: Any, fault: str, tmp_path: Path
) -> None:
    origin = tmp_path / "origin"
    commit = publish(origin, {"a.py": "x" * 2**21 if fault == "size" else "one\n"})
    url, path = str(origin), "a.py"
    if fault == "network":
        url = str(tmp_path / "nowhere")
    if fault == "commit":
        commit = "0" * 39 + "1"
    if fault == "file":
        path = "b.py"
    release = released.Release(url, {path: commit}, "")
    told = "far too large" if fault == "size" else "git clone .*--source FOLDER"
    with pytest.raises(DownloadError, match=told):
        released.fetch_release(release, tmp_path / "cache" / "x")
    # Nothing half is left, which the next call would take for the whole.
    assert not list((tmp_path / "cache").iterdir())


def test_a_clone_on_this_machine_needs_no_network(
    released: Any, tmp_path: Path
) -> None:
    origin = tmp_path / "origin"
    release = released.Release("/nowhere", {"a.py": publish(origin, {"a.py": "1"})}, "")
    folder = released.fetch_release(release, tmp_path / "x", source=str(origin))
    assert (folder / "a.py").read_text() == "1"


def test_the_pins_are_whole_hashes(released: Any) -> None:
    for release in released.RELEASES.values():
        assert release.url.startswith("https://")
        for path, commit in release.commits.items():
            assert len(commit) == 40
            assert int(commit, 16)
            assert not Path(path).is_absolute()
            assert ".." not in Path(path).parts


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_both_sides_are_timed_in_turn(name: str, released: Any, tmp_path: Path) -> None:
    commit = publish(tmp_path / "origin", FILES[name])
    release = released.Release(
        str(tmp_path / "origin"), dict.fromkeys(FILES[name], commit), ""
    )
    folder = released.fetch_release(release, tmp_path / "x")
    small: dict[str, Any] = {"videos": 6}
    if name == "listen_and_move":
        small = {"size": 16, "base": 8, "frames": 4, "steps": 2}
    before = set(sys.modules)
    with released.COMPARISONS[name](folder, **small) as (runs, about):
        times = released.time_in_turn(runs, rounds=2)
        if name == "listen_and_move":
            # Only as it ships does it look for anomalies, and it is off again after.
            anomalies = sys.modules["train"].anomalies
            assert anomalies == [False, True] * 3
    assert not torch.is_anomaly_enabled()
    for row in times.values():
        assert len(row["seconds"]) == 2
        ratio = row["released / ours"]
        assert 0 < ratio["least"] <= ratio["median"] <= ratio["most"] < math.inf
    assert about
    # Names such as `utils` and `h5py` are not left behind for the next import.
    left = {module for module in set(sys.modules) - before if "." not in module}
    assert not left & {"modules", "losses", "train", "msvae", "model_components"}
    assert getattr(sys.modules.get("h5py"), "__file__", "real") is not None


def test_a_ratio_is_the_released_codes_time_over_ours(
    released: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(released.time, "perf_counter", lambda: clock[0])

    def take(seconds: float) -> Any:
        def run() -> None:
            clock[0] += seconds

        return run

    runs = {"ours": take(2), "ours, in batches": take(1), "released": take(6)}
    times = released.time_in_turn(runs | {"released, as shipped": take(10)}, rounds=3)
    found = {name: row["released / ours"]["median"] for name, row in times.items()}
    assert found == pytest.approx(
        {
            "ours": 3,
            "ours, in batches": 6,
            "released": 3,
            "released, as shipped": 5,
        }
    )
