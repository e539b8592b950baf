"""Time the code that two of the papers' authors released beside ours, in one run.

    python benchmarks/released.py listen_and_move [--rounds 5] [--steps 3] [--threads 2]
    python benchmarks/released.py ms_vae

The released code is no part of this project, and nothing of it is copied here. The
first run fetches the few files that are needed from the authors' repository with git,
each at a pinned commit (git checks by its hash that it is that one), into
`data/released` of the folder where avnb keeps its data. **Then it executes them**, as
you would if you had cloned the repository yourself.

Without a network: on a machine that has one, run `git clone` with the address that the
error names, carry the folder over, and give it with `--source FOLDER`.

Both sides run in turn in the same process, on the same random data, and a ratio is
that of two neighbours. Listen and Move: one whole step of the released `trainer()`
(two critics, generator, VGG16 with random weights) at 64 x 64 pixels with base 128,
also with the anomaly detection that the released script switches on. MS-VAE: one epoch
of the released `train_generaldec()`, against the faithful and the batched epoch of step
6. Writes benchmarks/results/released.json.
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torchvision

from avnb import files
from avnb.course.folders import find_home
from avnb.course.provenance import describe_hardware
from avnb.errors import AvnbError, DownloadError

RESULTS = Path(__file__).parent / "results" / "released.json"
LARGEST = 2**20  # bytes of one file: the largest has 34 kB
NO_NETWORK = (
    "Without a network, run `git clone {url}` on a machine that has one, carry the "
    "folder over, and give it with --source FOLDER"
)


@dataclass(frozen=True)
class Release:
    """What is needed of a repository.

    Attributes:
        url: of the repository, as git takes it.
        commits: the path of each file -> the whole hash of the commit it is taken from.
        licence: which the authors give it.
    """

    url: str
    commits: Mapping[str, str]
    licence: str


RELEASES = {
    "listen_and_move": Release(
        "https://github.com/multimedia-eurecat/listen-and-move-gan",
        dict.fromkeys(
            ("convgru.py", "losses.py", "modules.py", "train.py", "utils.py"),
            "07c9582ceb13a42b6638ae1c12d32ad163384c1f",
        ),
        "MIT",
    ),
    "ms_vae": Release(
        "https://github.com/L-YeZhu/Learning-Audio-Visual-Correlations",
        {
            "codes/model_components.py": "b66aef68e398b371baa9083f67c447b6b31ac8b3",
            "codes/msvae.py": "3be103ab30f4cd8c69e137e69daefce8d322da98",
        },
        "none is stated, so all rights are reserved",
    ),
}


# --- Fetch it --------------------------------------------------------------------


def fetch_release(release: Release, folder: Path, source: str = "") -> Path:
    """Bring the files of a release into a folder, whole or not at all.

    Args:
        release: what is needed.
        folder: where the files go; where it is there, nothing is fetched.
        source: a clone on this machine, to take them from in place of the network.

    Raises:
        DownloadError: git is missing, the repository is not to be had, or it lacks the
            pinned commits.
    """
    if folder.is_dir():
        return folder
    url = source or release.url
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        bare, made = Path(temporary) / "git", Path(temporary) / "files"
        # No template: it may hold hooks, which are programs.
        run_git(release, "init", "--quiet", "--bare", "--template=", str(bare))
        inside = f"--git-dir={bare}"
        for commit in sorted(set(release.commits.values())):
            run_git(release, inside, "fetch", "--quiet", "--depth=1", url, commit)
        for path, commit in release.commits.items():
            content = run_git(release, inside, "cat-file", "blob", f"{commit}:{path}")
            if len(content) > LARGEST:
                raise DownloadError(path, "it is far too large", "Please report this")
            # The names are ours, from the table above: none leads out of the folder.
            files.write_bytes(made / PurePosixPath(path), content)
        made.rename(folder)
    return folder


def run_git(release: Release, *arguments: str) -> bytes:
    """Run git, and return what it prints.

    Raises:
        DownloadError: git is missing or failed.
    """
    # Else git would ask for a password where a repository is gone, and wait for ever.
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, check=False, env=environment
        )
    except FileNotFoundError:
        raise DownloadError(
            "git", "it is not installed", "Install git, and run this again"
        ) from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["failed"]
        raise DownloadError(
            release.url,
            f"the released code cannot be fetched (git: {lines[-1]})",
            NO_NETWORK.format(url=release.url),
        )
    return done.stdout


@contextmanager
def import_from(folder: Path, *names: str) -> Iterator[list[Any]]:
    """Import modules from a folder, and forget all that it holds afterwards.

    Their names, such as `utils`, are too common to stay.
    """
    before = set(sys.modules)
    with patch.object(sys, "path", [str(folder), *sys.path]):
        try:
            yield [importlib.import_module(name) for name in names]
        finally:
            for name in set(sys.modules) - before:
                place = getattr(sys.modules[name], "__file__", None) or ""
                if Path(place).is_relative_to(folder):
                    del sys.modules[name]


# --- Listen and Move -------------------------------------------------------------


@contextmanager
def compare_listen_and_move(
    folder: Path, *, size: int = 64, base: int = 128, frames: int = 32, steps: int = 3
) -> Iterator[tuple[dict[str, Callable[[], object]], dict[str, Any]]]:
    """Give what is to be timed, by name, and what must be known about it.

    Args:
        folder: of the released code.
        size: pixels.
        base: of the channels.
        frames: of a window.
        steps: that each call makes.
    """
    from listen_and_move import BANDS, Step  # the neighbour of this file

    ours = Step(size, base, frames=frames)
    with (
        import_from(folder, "modules", "losses", "train") as (modules, losses, train),
        # The released script asks for weights from the network.
        patch.object(torchvision.models, "vgg16", make_untrained(torchvision.models)),
    ):
        full: dict[str, Any] = {
            "dim_e_motion": 2, "sound_route": "rnngen", "motion_layers": 3,
            "cond_gen": True, "vid_pred": "dir", "architecture": "residual",
        }  # fmt: skip
        networks = {
            "Gn": modules.GenNet(
                output_size=size, dim_audio_feat=BANDS, channels_base=base, **full
            ),
            "Di": modules.Discriminator(1, size, channels_base=base),
            "Dv": modules.Discriminator(frames, size, channels_base=base),
        }
        window = ours.features[None], ours.real[None]
        nothing = types.SimpleNamespace(
            sum_counters=lambda *_: None, finish=lambda: None, add_fake=lambda *_: None
        )
        # What the script's last part sets before it calls `trainer`.
        vars(train).update(
            networks,
            **{
                f"{name}_optim": torch.optim.Adam(
                    net.parameters(), 1e-4 if name == "Gn" else 4e-4, (0.3, 0.999)
                )
                for name, net in networks.items()
            },
            args=types.SimpleNamespace(total_iter=steps, lambda_L1=0, lambda_pl=10),
            loss=losses.Loss("wgan-gp", load_pl=True, device="cpu"),
            dataloader=[window] * steps,
            start_iter=1, T=frames, device0="cpu", device1="cpu", counts={},
            logger=nothing, fvd_metric=nothing, log_period=steps + 1,
            check_period=steps + 1,
        )  # fmt: skip

        def train_plainly() -> None:
            with patch.object(torch.autograd, "set_detect_anomaly", lambda *_: None):
                train.trainer()

        def train_as_shipped() -> None:
            try:
                train.trainer()  # it switches anomaly detection on, for ever
            finally:
                torch.autograd.set_detect_anomaly(False)

        runs = {
            "ours": lambda: [ours() for _ in range(steps)],
            "released": train_plainly,
            "released, with anomaly detection": train_as_shipped,
        }
        mine = ours.model, ours.D_I, ours.D_V
        weights = {
            "ours": [count_weights(net) for net in mine],
            "released": [count_weights(net) for net in networks.values()],
        }
        about = {"size": size, "base": base, "frames": frames, "steps": steps}
        yield runs, about | {"weights of G, D_I, D_V": weights}


def make_untrained(models: Any) -> Callable[..., Any]:
    """Return a function that makes VGG16 with random weights: the work is the same."""
    make = models.vgg16
    return lambda **_: make(weights=None)


def count_weights(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


# --- MS-VAE ----------------------------------------------------------------------


@contextmanager
def compare_ms_vae(
    folder: Path, *, videos: int = 300
) -> Iterator[tuple[dict[str, Callable[[], object]], dict[str, Any]]]:
    """Give what is to be timed, by name: one epoch each, over the same videos."""
    import ms_vae  # the neighbour of this file

    features = ms_vae.make_features(videos)
    rows = ms_vae.gather_events(features)
    order = {"order": np.arange(videos)}
    kinds = {"avadataset": np.ones((videos, 10, 1))}
    arrays = {
        "data/labels_closs.h5": {"avadataset": features.event.numpy()},
        "data/visual_feature_vec.h5": {"avadataset": features.visual.numpy()},
        "data/audio_feature.h5": {"avadataset": features.audio.numpy()},
        "data/labels.h5": kinds,
        **{f"data/{part}_order_match.h5": order for part in ("train", "val", "test")},
    }
    with (
        # The script reads AVE's feature files as it is imported: it gets ours.
        patch.dict(sys.modules, h5py=make_h5py(arrays)),
        import_from(folder / "codes", "msvae") as (released,),
        # It puts everything on a GPU. Both sides are timed on this processor.
        patch.object(torch.Tensor, "cuda", lambda self, *_: self),
    ):
        decoder = released.general_decoder(100)
        released.vae_audio = released.VAE(100, released.audio_encoder(100), decoder)
        released.vae_video = released.VAE(100, released.visual_encoder(100), decoder)
        for name in ("audio", "video"):
            weights = getattr(released, f"vae_{name}").parameters()
            setattr(released, f"optimizer_{name}", torch.optim.Adam(weights, lr=1e-5))
        runs: dict[str, Callable[[], object]] = {
            "ours": ms_vae.make_faithful(rows),
            "ours, in batches": ms_vae.make_corrected(features, bfloat16=False),
            "released": lambda: released.train_generaldec(1),
        }
        yield runs, {"videos": videos, "rows": rows.bounds[-1]}


def make_h5py(arrays: Mapping[str, Mapping[str, np.ndarray]]) -> types.ModuleType:
    """Make a module that stands in for h5py and opens these arrays."""

    class File:
        def __init__(self, path: str, mode: str = "r") -> None:
            self.content = arrays[path]

        def __enter__(self) -> Mapping[str, np.ndarray]:
            return self.content

        def __exit__(self, *_: object) -> None:
            pass

    module: Any = types.ModuleType("h5py")
    module.File = File
    return module


# --- Time it ---------------------------------------------------------------------

COMPARISONS = {"listen_and_move": compare_listen_and_move, "ms_vae": compare_ms_vae}


def time_in_turn(
    runs: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, dict[str, Any]]:
    """Time all runs one after another, several times over.

    Returns:
        For each run its seconds, and how many times longer the released code takes than
        ours: of each round, and the median. Machines are not equally fast all the time,
        so only neighbours are compared.
    """
    for run in runs.values():
        run()  # builds the optimizers' states and the kernels
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begun)
    result: dict[str, dict[str, Any]] = {}
    for name, each in seconds.items():
        result[name] = {"seconds": each}
        # Ours against the released code, and that as it is shipped against ours.
        ours, theirs = (each, seconds["released"]) if "ours" in name else (
            seconds["ours"], each
        )  # fmt: skip
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        result[name]["released / ours"] = {
            "median": statistics.median(ratios), "least": min(ratios),
            "most": max(ratios),
        }  # fmt: skip
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=RELEASES)
    parser.add_argument("--source", default="", help="a clone on this machine")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="of Listen and Move")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args()
    release = RELEASES[asked.name]
    print(f"{release.url} (licence: {release.licence})")
    try:
        folder = find_home() / "data" / "released" / asked.name
        fetch_release(release, folder, asked.source)
    except AvnbError as error:
        print(error, file=sys.stderr)
        return 1
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    given = {"steps": asked.steps} if asked.name == "listen_and_move" else {}
    with COMPARISONS[asked.name](folder, **given) as (runs, about):
        times = time_in_turn(runs, asked.rounds)
    for name, row in times.items():
        print(name, json.dumps(row["released / ours"]))
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found[asked.name] = {
        "date": date.today().isoformat(),
        "hardware": describe_hardware(),
        "torch": torch.__version__,
        "threads": asked.threads,
        "load_average": os.getloadavg()[0],
        "commits": dict(release.commits),
        **about,
        "times": times,
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
