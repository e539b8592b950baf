"""The step loop: killed and resumed, stopped, shared, refused, shown."""

import ast
import errno
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import safetensors.torch
import torch
from jupyter_client.manager import KernelManager
from matplotlib.figure import Figure
from nbclient import NotebookClient
from PIL import Image
from torch import nn

from avnb import training
from avnb.errors import AvnbError, CheckpointError, WriteError
from avnb.training import BatchSampler, Run
from avnb.training.log import RunLog
from avnb.training.run import count_earlier_seconds

LOOP = Path(__file__).parents[1] / "helpers" / "training_loop.py"


def small(folder: Path, inputs: int = 3, **options: object) -> Run:
    """A run of one linear layer, prepared."""
    run = Run(folder, live=False, precision="float32", log_every=2, **options)
    net = nn.Linear(inputs, 1)
    run.prepare(net=net, opt=torch.optim.Adam(net.parameters()))
    return run


def go(run: Run, total: int, save_every: int | None = None) -> None:
    net, opt = run._parts["net"], run._parts["opt"]
    for step in run.steps(total, save_every=save_every):
        loss = net(torch.randn(4, net.in_features)).square().mean()
        run.step(opt, loss)
        run.log(loss=loss, number=step.number)


def script(*arguments: str, timeout: int = 240) -> subprocess.CompletedProcess:
    root = str(LOOP.parents[1])
    paths = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *arguments],
        env={
            **os.environ,
            "PYTHONPATH": paths,
            "OMP_NUM_THREADS": "1",
            "ACCELERATE_USE_CPU": "true",
        },
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_anywhere_and_resumed_is_equal_to_the_last_bit(tmp_path: Path) -> None:
    done = script(str(LOOP), "kill", str(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "equal" in done.stdout


def test_time_counts_over_all_processes_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0, 100)  # each look at the clock is 100 s after the last

    def look() -> float:
        return float(next(clock))

    folder = tmp_path / "run" / "net"
    fake = SimpleNamespace(perf_counter=look, monotonic=time.monotonic)
    monkeypatch.setattr("avnb.training.run.time", fake)
    for earlier, total in ((0, 2), (100, 4), (200, 6)):
        # What follows happens in a process of its own.
        monkeypatch.setattr("avnb.training.run._EARLIER", {})
        go(small(folder), total)
        assert count_earlier_seconds(tmp_path / "run") == earlier
        assert count_earlier_seconds(tmp_path / "other") == 0
    # Going on twice in one process counts no second twice.
    go(small(folder), 8)
    assert count_earlier_seconds(tmp_path) == 200


@pytest.mark.slow
def test_two_processes_share_batches_weights_and_one_set_of_files(
    tmp_path: Path,
) -> None:
    # What `accelerate launch` starts for several GPUs; it starts one process on a CPU.
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = script(*launch, str(LOOP), "share", str(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (json.loads((tmp_path / f"seen{i}.json").read_text()) for i in (0, 1))
    assert one["weights"] == two["weights"]
    assert one["noise"] != two["noise"]
    together = [*one["indices"], *two["indices"]]
    assert sorted(together) == sorted(BatchSampler(40, 8, seed=3)[1].tolist())
    (state,) = (tmp_path / "checkpoints").glob("*/state.pt")
    assert torch.load(state, weights_only=True)["settings"]["processes"] == 2
    rows = [json.loads(x) for x in (tmp_path / "history.jsonl").open()]
    assert [row["step"] for row in rows] == list(range(12))


def test_an_epoch_is_a_permutation_and_each_batch_stands_alone() -> None:
    batches = BatchSampler(10, 3, seed=1)
    first = [batches[i] for i in range(6)]
    for epoch in (first[:3], first[3:]):
        assert len(set(torch.cat(epoch).tolist())) == 9
    assert first[0].dtype == torch.int64
    assert torch.cat(first[:3]).tolist() != torch.cat(first[3:]).tolist()
    assert torch.equal(BatchSampler(10, 3, seed=1)[4], first[4])
    assert not torch.equal(BatchSampler(10, 3, seed=2)[4], first[4])
    with pytest.raises(ValueError, match="give 1 to 10"):
        BatchSampler(10, 11)
    with pytest.raises(TypeError):
        iter(batches)


def test_weights_balance_the_classes() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    batches = BatchSampler(100, 50, seed=0, weights=1 / np.bincount(labels)[labels])
    drawn = labels[torch.cat([batches[i] for i in range(100)]).numpy()]
    assert abs(drawn.mean() - 0.5) < 0.03  # 5000 draws: 4 deviations
    with pytest.raises(ValueError, match="100 finite numbers"):
        BatchSampler(100, 50, weights=np.full(100, np.nan))


def test_history_is_every_step_and_values_after_the_loop(tmp_path: Path) -> None:
    run = small(tmp_path)
    go(run, 5)
    run.log(accuracy=0.5)
    history = run.history
    assert history["step"].tolist() == history["number"].tolist() == [0, 1, 2, 3, 4]
    assert np.isnan(history["accuracy"][:4]).all()
    at, values = run.read_log("accuracy")
    assert (at.tolist(), values.tolist()) == ([5], [0.5])
    assert [len(part) for part in run.read_log("never logged")] == [0, 0]
    means = run.average_log("number", np.array([2, 3, 5]))
    assert means == [(2, 0.5), (3, 2.0), (5, 3.5)]
    assert history["accuracy"][4] == 0.5
    assert list((tmp_path / "tensorboard").glob("events*"))
    again = small(tmp_path)
    go(again, 5)
    assert again.finished
    assert again.history["loss"].tolist() == history["loss"].tolist()


@pytest.mark.parametrize("by", ["button", "file", "interrupt", "terminate"])
def test_stopped_it_saves_and_goes_on_from_there(tmp_path: Path, by: str) -> None:
    whole = small(tmp_path / "whole")
    go(whole, 8)
    run = small(tmp_path / "run")
    net, opt = run._parts["net"], run._parts["opt"]
    before = signal.getsignal(signal.SIGINT)
    for step in run.steps(8):
        loss = net(torch.randn(4, 3)).square().mean()
        run.step(opt, loss)
        run.log(loss=loss, number=step.number)
        if step.number == 3:
            if by == "button":
                threading.Thread(target=run.stop).start()
            elif by == "file":
                run._stop.looked_at = 0.0
                (tmp_path / "run" / "stop").touch()
            else:
                kind = {"interrupt": signal.SIGINT, "terminate": signal.SIGTERM}[by]
                os.kill(os.getpid(), kind)
    assert step.number == 3
    assert not run.finished
    assert run.steps_done == 4
    with pytest.raises(AvnbError, match="stopped at step 4 of 8") as caught:
        run.require_finished()
    assert str(caught.value).endswith("Run this notebook again: it goes on from there")
    assert not (tmp_path / "run" / "stop").exists()
    assert signal.getsignal(signal.SIGINT) is before
    go(run, 8)
    assert run.finished
    run.require_finished()
    assert run.steps_done == 8
    assert run.history["loss"].tolist() == whole.history["loss"].tolist()


def find_loops(path: Path) -> list[tuple[str, ast.stmt | None]]:
    """(run, statement after it) of each loop over `run.steps(...)` in a file."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, [])
            if not isinstance(block, list):  # a lambda's body is one expression
                continue
            for statement, after in itertools.pairwise([*block, None]):
                iterated = getattr(statement, "iter", None)
                if isinstance(iterated, ast.Call) and isinstance(statement, ast.For):
                    run, _, called = ast.unparse(iterated.func).rpartition(".")
                    if called == "steps":
                        found.append((run, after))
    return found


def test_no_lesson_takes_a_stopped_network_for_a_trained_one() -> None:
    """Each loop is followed at once by the check whether it ran to its end."""
    root = Path(__file__).parents[2] / "notebooks"
    loops = {path: find_loops(path) for path in sorted(root.glob("*/step*.py"))}
    assert sum(map(len, loops.values())) >= 9
    for path, found in loops.items():
        for run, after in found:
            text = "" if after is None else ast.unparse(after)
            assert text == f"{run}.require_finished()", path


def test_an_error_in_the_loop_hands_the_signals_back(tmp_path: Path) -> None:
    run = small(tmp_path)
    before = signal.getsignal(signal.SIGINT)

    def fail() -> None:
        for step in run.steps(3):
            1 / step.number

    with pytest.raises(ZeroDivisionError):
        fail()
    assert signal.getsignal(signal.SIGINT) is before
    assert not (tmp_path / "checkpoints").exists()


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    run = small(tmp_path)
    net, opt = run._parts["net"], run._parts["opt"]

    def train() -> None:
        for step in run.steps(5):
            loss = net(torch.ones(1, 3)).mean()
            run.step(opt, loss * (float("nan") if step.number == 2 else 1))

    with pytest.raises(
        FloatingPointError, match="step 2: the loss given to opt is nan"
    ):
        train()


def test_a_step_leaves_other_networks_alone(tmp_path: Path) -> None:
    run = Run(tmp_path, live=False, precision="float32")
    G, D = nn.Linear(2, 2), nn.Linear(2, 1)
    _, _, opt = run.prepare(G=G, D=D, opt=torch.optim.SGD(G.parameters(), 0.1))
    expected = G.weight.detach().clone()
    x = torch.randn(3, 2)
    (grad,) = torch.autograd.grad(D(G(x)).mean(), [G.weight])
    run.step(opt, D(G(x)).mean())
    torch.testing.assert_close(G.weight.detach(), expected - 0.1 * grad)
    assert D.weight.grad is None


def test_one_pass_serves_two_updates(tmp_path: Path) -> None:
    """As two passes would, each with the other network's weights as they were."""
    run = Run(tmp_path, live=False, precision="float32")
    G, D = nn.Linear(2, 2), nn.Linear(2, 1)
    sgd = [torch.optim.SGD(net.parameters(), 0.1) for net in (G, D)]
    _, _, opt_g, opt_d = run.prepare(G=G, D=D, opt_g=sgd[0], opt_d=sgd[1])
    x = torch.randn(3, 2)
    wanted = []
    for net, sign in ((G, -1), (D, 1)):
        loss = sign * D(G(x)).square().mean()
        slopes = torch.autograd.grad(loss, [*net.parameters()])
        pairs = zip(net.parameters(), slopes, strict=True)
        wanted += [weight.detach() - 0.1 * slope for weight, slope in pairs]
    score = D(G(x)).square().mean()
    run.step(opt_g, -score, retain_graph=True)
    run.step(opt_d, score)
    for weight, right in zip([*G.parameters(), *D.parameters()], wanted, strict=True):
        torch.testing.assert_close(weight, right)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        run.step(opt_d, score)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a setting of Linux's library")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    """In a process of its own: pages are cleared once, and not for every tensor."""
    script = """
import resource, torch
from avnb import training
torch.set_num_threads(1)
def faults(count=8):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        torch.ones(2**24)  # 64 MB, and gone again
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def least():  # the system may take pages away between two tensors
    faults(1)
    return min(faults() for _ in range(4))
freed = least()
training.keep_freed_memory()
print(freed, least())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    freed, kept = map(int, done.stdout.split()[-2:])
    if freed > 100:  # some allocators keep memory anyway
        assert kept < freed / 4


def test_another_setting_or_part_is_refused_by_name(tmp_path: Path) -> None:
    go(small(tmp_path, settings={"rate": 0.1}), 2)
    with pytest.raises(CheckpointError, match=r"rate was 0\.1 and is now 0\.2"):
        go(small(tmp_path, settings={"rate": 0.2}), 2)
    with pytest.raises(CheckpointError, match="seed was 0 and is now 1"):
        go(small(tmp_path, settings={"rate": 0.1}, seed=1), 2)
    with pytest.raises(CheckpointError, match=r"net\.weight|weight is \(1, 3\)"):
        go(small(tmp_path, settings={"rate": 0.1}, inputs=4), 2)
    with pytest.raises(CheckpointError, match="done 2 steps, and 1 are asked"):
        go(small(tmp_path, settings={"rate": 0.1}), 1)
    run = Run(tmp_path, live=False, precision="float32", settings={"rate": 0.1})
    net = nn.Linear(3, 1)
    run.prepare(net=net, opt=torch.optim.SGD(net.parameters()))
    with pytest.raises(CheckpointError, match=r"opt was Adam of 2 .* is now SGD"):
        go(run, 2)
    fresh = small(tmp_path, settings={"rate": 0.2}, fresh=True)
    go(fresh, 2)
    assert fresh.finished


def test_every_change_is_listed_with_a_remedy_for_a_notebook(tmp_path: Path) -> None:
    go(small(tmp_path, settings={"rate": 0.1, "batch": 64, "norm": "batch"}), 2)
    with pytest.raises(CheckpointError) as caught:
        go(small(tmp_path, settings={"rate": 0.2, "norm": "layer", "steps": 5}), 2)
    error = caught.value
    (checkpoint,) = (tmp_path / "checkpoints").iterdir()
    assert error.place == checkpoint
    for change in (
        "rate was 0.1 and is now 0.2",
        "norm was batch and is now layer",
        "batch was 64 and is now not there",
        "steps was not there and is now 5",
    ):
        assert change in error.problem
    wanted = f"Set RUN_DIR to a new folder, or delete {tmp_path} to begin anew"
    assert error.remedy == wanted
    with pytest.raises(CheckpointError, match="RUN_DIR to a new folder, or delete"):
        go(small(tmp_path, settings={"rate": 0.1, "batch": 64, "norm": "batch"}), 1)


@pytest.mark.parametrize("changed", ["settings", "steps"])
def test_the_remedy_for_a_changed_setting_works_as_written(
    tmp_path: Path, changed: str
) -> None:
    """Two networks share a RUN_DIR, as in steps that train several."""
    for name in ("first", "second"):
        go(small(tmp_path / name, settings={"rate": 0.1}), 3)
    kept = (tmp_path / "second" / "history.jsonl").read_bytes()
    rate, steps = (0.2, 3) if changed == "settings" else (0.1, 2)
    with pytest.raises(CheckpointError) as caught:
        go(small(tmp_path / "first", settings={"rate": rate}), steps)
    # A new folder.
    run = small(tmp_path / "new" / "first", settings={"rate": rate})
    go(run, steps)
    assert run.finished
    # Or the folder that is named, and nothing else.
    (named,) = re.findall(r"delete (\S+) to begin anew", caught.value.remedy)
    shutil.rmtree(named)
    run = small(tmp_path / "first", settings={"rate": rate})
    go(run, steps)
    assert (run.finished, run.steps_done) == (True, steps)
    run = small(tmp_path / "second", settings={"rate": 0.1})
    go(run, 3)
    assert run.finished
    assert (tmp_path / "second" / "history.jsonl").read_bytes() == kept


def test_an_optimiser_of_an_unknown_module_is_refused(tmp_path: Path) -> None:
    run = Run(tmp_path, live=False)
    run.prepare(opt=torch.optim.SGD(nn.Linear(1, 1).parameters()))
    with pytest.raises(ValueError, match=r"opt updates weights .* not given"):
        next(run.steps(1))
    with pytest.raises(TypeError, match="x is a int"):
        run.prepare(x=1)


def sign(folder: Path) -> None:
    """Write the checksum of what is in the folder, as someone with bad intent could."""
    digest = hashlib.sha256((folder / "state.pt").read_bytes()).hexdigest()
    (folder / "state.pt.sha256").write_text(f"{digest}  state.pt\n")


@pytest.mark.parametrize(
    "damage", ["flip", "cut", "no state", "no sum", "sum", "empty sum"]
)
def test_a_damaged_checkpoint_names_its_file_and_the_remedy(
    tmp_path: Path, damage: str
) -> None:
    go(small(tmp_path), 2)
    (folder,) = (tmp_path / "checkpoints").iterdir()
    state, checksum = folder / "state.pt", folder / "state.pt.sha256"
    data = bytearray(state.read_bytes())
    data[len(data) // 2] ^= 1
    {
        "flip": lambda: state.write_bytes(data),
        "cut": lambda: state.write_bytes(data[:-10]),
        "no state": state.unlink,
        "no sum": checksum.unlink,
        "sum": lambda: checksum.write_text("0" * 64),
        "empty sum": lambda: checksum.write_text(""),
    }[damage]()
    with pytest.raises(CheckpointError, match=f"Delete {folder} and train") as caught:
        go(small(tmp_path), 2)
    assert Path(caught.value.place) in (state, checksum)
    with pytest.raises(CheckpointError):
        training.load_weights(tmp_path, net=nn.Linear(3, 1))


class Call:
    def __reduce__(self) -> tuple:
        return os.system, ("touch hacked",)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"format": 2, "step": Call()}, r"asks for \w+\.system, which is refused"),
        ([1, 2], "it holds a list, not a checkpoint"),
        ({"step": 2}, "its format is None"),
        ({"format": 1, "step": 2}, "its format is 1, and this version reads 2"),
        ({"format": 2, "step": "x"}, "step is not a whole number"),
        ({"format": 2, "step": 2, "settings": {}, "parts": {}}, "it has no state"),
    ],
    ids=["call", "list", "none", "format", "step", "fields"],
)
def test_a_checkpoint_that_holds_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, why: str
) -> None:
    go(small(tmp_path), 2)
    (folder,) = (tmp_path / "checkpoints").iterdir()
    torch.save(content, folder / "state.pt")
    sign(folder)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(CheckpointError, match=why):
        go(small(tmp_path), 2)
    assert not [*(tmp_path / "empty").iterdir()]


def test_a_zip_bomb_takes_no_memory(tmp_path: Path) -> None:
    go(small(tmp_path), 2)
    (folder,) = (tmp_path / "checkpoints").iterdir()
    state = folder / "state.pt"
    torch.save({"a": torch.zeros(25_000_000)}, tmp_path / "large.pt")
    with (
        zipfile.ZipFile(tmp_path / "large.pt") as large,
        zipfile.ZipFile(state, "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in large.namelist():
            bomb.writestr(name, large.read(name))
    assert state.stat().st_size < 1_000_000
    sign(folder)
    with pytest.raises(CheckpointError, match=r"would unpack to 1000\d+ bytes"):
        go(small(tmp_path), 2)


def test_a_checkpoint_of_the_older_format_says_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "step_0000002"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text('{"format": 1, "step": 2}')
    (folder / "tensors.safetensors").write_bytes(b"")
    for attempt in (
        lambda: go(small(tmp_path), 2),
        lambda: training.load_weights(tmp_path, net=nn.Linear(3, 1)),
    ):
        with pytest.raises(CheckpointError, match="older version") as caught:
            attempt()
        assert f"Delete {folder} and train again" in caught.value.remedy


def test_a_folder_that_cannot_be_written_says_so_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="A file is where a folder must be"):
        go(small(tmp_path / "file" / "run"), 2)
    run = small(tmp_path / "run")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoints").write_text("")
    with pytest.raises(WriteError, match="A file is where a folder must be"):
        go(run, 2)


def test_a_copy_of_a_checkpoint_stays(tmp_path: Path) -> None:
    run = small(tmp_path)
    go(run, 2)
    folder = tmp_path / "checkpoints"
    for name in ("step_0000002-copy", ".step_0000002-copy", "step_best"):
        shutil.copytree(folder / "step_0000002", folder / name)
    (folder / ".step_0000001").mkdir()  # left by a process that was killed
    go(run, 4)
    assert {path.name for path in folder.iterdir()} == {
        "step_0000004", "step_0000002-copy", ".step_0000002-copy", "step_best",
    }  # fmt: skip


def test_a_checkpoint_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str]] = []
    names: dict[int, str] = {}
    opened, synced, replaced = os.open, os.fsync, os.replace

    def open_noting(path: str | Path, *more: int, **how: int) -> int:
        handle = opened(path, *more, **how)
        names[handle] = Path(path).name
        return handle

    def sync(handle: int) -> None:
        done.append(("sync", names.get(handle, "")))
        synced(handle)

    def replace(old: str | Path, new: str | Path) -> None:
        done.append(("name", Path(new).name))
        replaced(old, new)

    monkeypatch.setattr(os, "open", open_noting)
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    run = small(tmp_path)
    go(run, 2)
    at = done.index(("name", "step_0000002"))
    assert done[at - 1] == ("sync", ".step_0000002")
    assert done[at + 1] == ("sync", "checkpoints")


def test_a_full_disk_in_mid_checkpoint_costs_nothing_that_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever file of the checkpoint finds the disk full."""
    go(small(tmp_path / "whole"), 4, save_every=2)
    folder = tmp_path / "run"
    go(small(folder), 2)
    saved = folder / "checkpoints" / "step_0000002"
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    synced = os.fsync
    for failing in range(4):  # the tensors, the state, its checksum, the folder
        calls: list[int] = []

        def sync(handle: int, failing: int = failing, calls: list = calls) -> None:
            calls.append(handle)
            if len(calls) > failing:
                raise OSError(errno.ENOSPC, "No space left on device")
            synced(handle)

        with monkeypatch.context() as full:
            full.setattr(os, "fsync", sync)
            with pytest.raises(WriteError, match="Make room on the disk"):
                go(small(folder), 4)
        assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    # There is room again: it goes on, to the same weights, and nothing half is left.
    run = small(folder)
    go(run, 4)
    names = [path.name for path in (folder / "checkpoints").iterdir()]
    assert names == ["step_0000004"]
    nets = [nn.Linear(3, 1) for _ in range(2)]
    for net, where in zip(nets, (tmp_path / "whole", folder), strict=True):
        training.load_weights(where, net=net)
    assert torch.equal(nets[0].weight, nets[1].weight)


def test_what_could_not_be_read_again_is_not_saved(tmp_path: Path) -> None:
    class Schedule:
        held: object = np.float64(0.5)

        def state_dict(self) -> dict:
            return {"rates": [self.held, (1, None)]}

        def load_state_dict(self, state: dict) -> None:
            self.held = state["rates"][0]

    schedule = Schedule()
    run = small(tmp_path)
    run.prepare(schedule=schedule)
    run.save()
    training.checkpoints.delete_old(tmp_path / "checkpoints", None)
    schedule.held = Path("x")
    with pytest.raises(TypeError, match=r"schedule\.rates\.0 is a PosixPath"):
        run.save()
    assert not [*(tmp_path / "checkpoints").iterdir()]


def test_load_fills_modules_or_says_what_does_not_fit(tmp_path: Path) -> None:
    run = small(tmp_path)
    go(run, 2)
    go(run, 4)
    net = nn.Linear(3, 1)
    training.load_weights(tmp_path, net=net)
    assert torch.equal(net.weight, run._parts["net"].weight)
    for wrong, match in (
        (nn.Linear(4, 1), r"weight is \(1, 3\), the module has \(1, 4\)"),
        (nn.Linear(3, 1, bias=False), "bias is unknown"),
        (nn.Sequential(nn.Linear(3, 1)), r"0\.weight is missing"),
    ):
        with pytest.raises(CheckpointError, match=match):
            training.load_weights(tmp_path, net=wrong)
    with pytest.raises(CheckpointError, match=r"the file holds \['net', 'opt'\]"):
        training.load_weights(tmp_path, other=net)
    with pytest.raises(CheckpointError, match="Train the run first"):
        training.load_weights(tmp_path / "nowhere", net=net)


def test_a_model_comes_back_from_its_own_description(tmp_path: Path) -> None:
    path = tmp_path / "models" / "net.safetensors"
    net = nn.Linear(3, 5, bias=False).to(torch.float32)
    training.save_model(path, net, in_features=3, out_features=5, bias=False)
    again = training.load_model(path, nn.Linear)
    assert torch.equal(again.weight, net.weight)
    assert not again.training
    with pytest.raises(CheckpointError, match="it holds a Linear, not a Conv2d"):
        training.load_model(path, nn.Conv2d)
    with pytest.raises(CheckpointError, match="missing"):
        training.load_model(tmp_path / "none.safetensors", nn.Linear)
    huge = 10**7  # a description that asks for far more than the file holds
    training.save_model(path, net, in_features=huge, out_features=huge)
    with pytest.raises(CheckpointError, match="fewer weights than it claims"):
        training.load_model(path, nn.Linear)
    training.save_model(path, net, wrong=3)
    with pytest.raises(CheckpointError, match="does not build a Linear"):
        training.load_model(path, nn.Linear)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CheckpointError, match="damaged"):
        training.load_model(path, nn.Linear)


def test_a_damaged_history_costs_only_its_damaged_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    go(small(tmp_path), 6)
    history = tmp_path / "history.jsonl"
    whole = history.read_bytes().splitlines(keepends=True)
    damage = (b'{"loss": 1.0}\n', b"\xff" + whole[1], b"[1, 2]\n", b"\x00\n")
    damage += (b'{"step": "3", "loss": 1.0}\n', b'{"step": 3, "loss": "x"}\n')
    damage += (b'{"step": -3, "loss": 1.0}\n', b'{"step": true}\n', b"\n")
    history.write_bytes(b"".join([whole[0], *damage, *whole[2:], b'{"step": 5, "lo']))
    run = small(tmp_path)
    go(run, 8)
    assert run.finished
    assert run.history["step"].tolist() == [0, 2, 3, 4, 5, 6, 7]
    assert f"{len(damage)} damaged lines" in capsys.readouterr().err
    go(small(tmp_path), 8)
    assert "damaged" not in capsys.readouterr().err
    # Any changed byte: the run goes on, and no value but finite numbers comes in.
    rng, content = random.Random(0), history.read_bytes()
    for _ in range(50):
        changed = bytearray(content)
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        history.write_bytes(changed)
        log = RunLog(tmp_path, run.accelerator)
        log.restore(8)
        assert all(type(step) is int and 0 <= step < 8 for step in log.rows)
        assert len(log.as_table()["step"]) >= 5


SAVE = """
import sys, torch
from avnb import training
torch.manual_seed(0)
net = torch.nn.Linear(3, 5, bias=False)
training.save_model(sys.argv[1], net, in_features=3, out_features=5, bias=False)
"""


def test_equal_models_are_files_of_equal_bytes(tmp_path: Path) -> None:
    net = nn.Linear(3, 5)
    contents = set()
    for number in range(16):  # the order of two names is chance: 2 ** -15 to miss it
        path = tmp_path / f"{number}.safetensors"
        training.save_model(path, net, in_features=3, out_features=5)
        contents.add(path.read_bytes())
    assert len(contents) == 1
    (content,) = contents
    # The format asks for a header of 8 n bytes, which its own reader accepts.
    assert int.from_bytes(content[:8], "little") % 8 == 0
    assert torch.equal(safetensors.torch.load(content)["model.weight"], net.weight)


@pytest.mark.slow
def test_equal_models_of_two_processes_are_files_of_equal_bytes(tmp_path: Path) -> None:
    for path in (tmp_path / "one.safetensors", tmp_path / "two.safetensors"):
        done = script("-c", SAVE, str(path))
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (tmp_path / f"{name}.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_average_is_the_closed_form() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    average = training.EMA(net, 0.4)
    expected: dict[str, torch.Tensor] = {}
    for n in range(6):
        with torch.no_grad():
            net[0].weight.add_(torch.randn(3, 2))
        net(torch.randn(4, 2))
        average.update_parameters(net)
        share = min(0.4, (1 + n) / (10 + n)) if n else 0
        for name, now in net.state_dict().items():
            if now.is_floating_point():
                now = share * expected.get(name, 0 * now) + (1 - share) * now
            expected[name] = now.clone()
    torch.testing.assert_close(dict(average.module.state_dict()), expected)


def test_two_precisions_in_one_process(tmp_path: Path) -> None:
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        run = Run(tmp_path / precision, precision=precision, live=False)
        net = run.prepare(net=nn.Linear(2, 2))
        with run.autocast():
            assert net(torch.ones(1, 2, device=run.device)).dtype == dtype
    with pytest.raises(ValueError, match="float32, bfloat16, auto"):
        Run(tmp_path, precision="fp16")


def test_seed_everything_seeds_all_three() -> None:
    def draw() -> tuple[float, float, float]:
        training.seed_everything(5)
        legacy = np.random.rand()  # noqa: NPY002
        return random.random(), legacy, torch.rand(1).item()

    assert draw() == draw()


def test_samples_are_pictures_of_what_was_given(tmp_path: Path) -> None:
    run = Run(tmp_path, live=False)
    chess = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).expand(3, 2, 2)
    run.log_sample(chess, "image")
    found = np.asarray(
        Image.open(tmp_path / "samples" / "image_0000000.png").convert("RGB")
    )
    assert (found == (chess.permute(1, 2, 0).numpy() * 255)).all()
    run.log_sample(chess.permute(1, 2, 0).mul(255).byte().numpy(), "bytes")
    again = np.asarray(
        Image.open(tmp_path / "samples" / "bytes_0000000.png").convert("RGB")
    )
    assert (again == found).all()
    run.log_sample(torch.rand(5, 1, 8, 8), "grid")
    run.log_sample(Figure(), "figure")
    run.log_sample(torch.zeros(100), "sound", sample_rate=8000)
    names = {path.name for path in (tmp_path / "samples").iterdir()}
    assert {"sound_0000000.wav", "grid_0000000.png", "figure_0000000.png"} <= names
    with pytest.raises(ValueError, match=r"of a tanh: \(x \+ 1\) / 2"):
        run.log_sample(torch.full((3, 2, 2), -1.0))
    with pytest.raises(ValueError, match="shape"):
        run.log_sample(torch.zeros(7))


def test_checkpoints_are_tensors_and_plain_values_with_a_checksum(
    tmp_path: Path,
) -> None:
    run = small(tmp_path)
    go(run, 2)
    names = {p.name for p in (tmp_path / "checkpoints").rglob("*") if p.is_file()}
    assert names == {"state.pt", "state.pt.sha256"}
    (path,) = (tmp_path / "checkpoints").rglob("state.pt")
    saved = torch.load(path, weights_only=True)["state"]["net"]["weight"]
    assert torch.equal(saved, run._parts["net"].weight)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.with_name("state.pt.sha256").read_text() == f"{digest}  state.pt\n"


NOTEBOOK = """
import torch
from torch import nn
from avnb import training
from avnb.viz import live
torch.set_num_threads(1)
live.DRAW_EVERY = 0.0  # as a long run would
run = training.Run({folder!r}, log_every=1, precision="float32")
net = nn.Linear(3, 1)
net, opt = run.prepare(net=net, opt=torch.optim.Adam(net.parameters()))
for step in run.steps(20):
    loss = net(torch.randn(4, 3)).square().mean()
    run.step(opt, loss)
    run.log(loss=loss)
    run.log_sample(torch.rand(3, 64, 64))
    if step.number == 9:
        run.stop()
run._number, run.finished
"""


@pytest.mark.slow
def test_the_panel_runs_headless_stops_and_stays_small(tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell(NOTEBOOK.format(folder=str(tmp_path / "run")))
    notebook = nbformat.v4.new_notebook(cells=[cell])
    root = str(LOOP.parents[1])
    NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": root}}
    ).execute()
    assert notebook.cells[0].outputs[-1]["data"]["text/plain"] == "(10, False)"
    assert len(nbformat.writes(notebook)) < 300_000


# --- Interrupt ---------------------------------------------------------------

BUSY = """
import time
from pathlib import Path
from avnb import training
run = training.Run({folder!r}, log_every=1, precision="float32")
for step in run.steps(100_000):
    run.log(loss=1.0)
    Path({begun!r}).touch()
    time.sleep(0.01)
print(0 < run.steps_done < 100_000, run.finished)
"""


@pytest.mark.slow
def test_interrupt_ends_the_loop_after_its_step(tmp_path: Path) -> None:
    """What the button Interrupt of JupyterLab, VS Code and Colab sends.

    The loop has a panel, so the kernel is busy with widgets as well.
    """
    begun = tmp_path / "begun"
    manager = KernelManager()
    manager.start_kernel(cwd=str(Path(__file__).parents[2]))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=300)
        client.execute(BUSY.format(folder=str(tmp_path / "run"), begun=str(begun)))
        while not begun.is_file():
            time.sleep(0.1)
        manager.interrupt_kernel()
        reply = client.get_shell_msg(timeout=300)
        assert reply["content"]["status"] == "ok", reply["content"]
        texts = []
        while "True" not in "".join(texts):
            message = client.get_iopub_msg(timeout=300)
            assert message["msg_type"] != "error", message["content"]
            texts.append(message["content"].get("text", ""))
        assert texts[-1] == "True False\n"
        assert list((tmp_path / "run" / "checkpoints").iterdir())
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
