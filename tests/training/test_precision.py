"""A run keeps the precision that it began with, where the machine has it."""

from pathlib import Path

import pytest
import torch
from torch import nn

from avnb.errors import CheckpointError
from avnb.training.run import Run


def train(folder: Path, steps: int, precision: str = "auto") -> Run:
    run = Run(folder, precision=precision, live=False)
    net = nn.Linear(2, 2)
    opt = torch.optim.SGD(net.parameters(), 0.1)
    net, opt = run.prepare(net=net, opt=opt)
    for _ in run.steps(steps):
        with run.autocast():
            loss = net(torch.ones(1, 2)).square().mean()
        run.step(opt, loss)
    return run


def set_hardware(monkeypatch: pytest.MonkeyPatch, bfloat16: bool) -> None:
    able = {"avx512_bf16": bfloat16, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)


def test_a_run_in_float32_goes_on_where_bfloat16_would_be_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_hardware(monkeypatch, bfloat16=False)
    assert train(tmp_path / "a", 2).precision == "float32"
    set_hardware(monkeypatch, bfloat16=True)
    assert train(tmp_path / "new", 2).precision == "bfloat16"
    run = train(tmp_path / "a", 4)
    assert run.finished
    assert run.precision == "float32"


def test_a_run_in_bfloat16_says_what_to_do_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_hardware(monkeypatch, bfloat16=True)
    train(tmp_path / "a", 2)
    assert train(tmp_path / "a", 3).precision == "bfloat16"
    set_hardware(monkeypatch, bfloat16=False)
    with pytest.raises(CheckpointError, match="--set precision=bfloat16"):
        train(tmp_path / "a", 4)
    assert train(tmp_path / "a", 4, "bfloat16").finished
    with pytest.raises(CheckpointError, match="--set precision=bfloat16"):
        train(tmp_path / "a", 5, "float32")


def test_a_part_may_hold_convolutions_of_two_and_three_dimensions(
    tmp_path: Path,
) -> None:
    """The kernels of 3-d convolutions have no channels_last, and stay as they are."""
    part = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.Conv3d(2, 3, 3), nn.ConvTranspose2d(3, 2, 3)
    )
    run = Run(tmp_path, precision="float32", live=False)
    run.prepare(part=part)
    assert part[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert part[1].weight.is_contiguous()
    assert part[2].weight.is_contiguous(memory_format=torch.channels_last)
