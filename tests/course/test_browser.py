"""A real JupyterLab in a real browser: reloads of the page, and Interrupt."""

import socket
from collections.abc import Iterator
from pathlib import Path

import ipykernel
import nbformat
import pytest
from browser import (
    CELLS,
    CHROMIUM,
    Page,
    open_browser,
    open_notebook,
    run_all,
    start_lab,
    wait_for,
)
from nbformat import v4
from notebook_tools import METADATA

RELOADS = 20
# A training with its panel, as short as can be, between two other cells.
TRAIN = """run = training.Run("run", log_every=1, precision="float32", fresh=True)
net = nn.Linear(3, 1)
net, opt = run.prepare(net=net, opt=torch.optim.SGD(net.parameters(), 0.1))
for step in run.steps(STEPS):
    run.step(opt, net(torch.randn(4, 3)).square().mean())
    run.log(loss=step.number)
    time.sleep(0.01)
run.steps_done < STEPS, run.finished"""
TEXTS = (
    "import time\nimport torch\nfrom torch import nn\nfrom avnb import training",
    TRAIN,
    "print('the end')",
)
OUTPUTS = f"JSON.stringify({CELLS}.map(c => c.model.outputs.toJSON()))"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]


def write_notebook(path: Path, steps: int) -> None:
    cells = [v4.new_code_cell(text.replace("STEPS", str(steps))) for text in TEXTS]
    nbformat.write(v4.new_notebook(cells=cells, metadata=METADATA), path)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[Page, str, Path]]:
    """A page, the address of JupyterLab, and the folder that it shows."""
    root = tmp_path / "home"
    root.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with start_lab(root, port) as address, open_browser(tmp_path) as page:
        yield page, address, root


@pytest.mark.skipif(
    ipykernel.version_info[:2] < (7, 4) and ipykernel.version_info[0] == 7,
    reason="ipykernel 7.0 to 7.3 lose requests",
)
def test_run_all_ends_after_each_of_many_reloads(lab: tuple[Page, str, Path]) -> None:
    page, address, root = lab
    write_notebook(root / "train.ipynb", steps=20)
    for _ in range(RELOADS):
        open_notebook(page, address, "train.ipynb")
        assert len(run_all(page)) == 3
        assert "the end" in page.run(OUTPUTS)


def test_interrupt_in_jupyterlab_keeps_what_is_done(
    lab: tuple[Page, str, Path],
) -> None:
    page, address, root = lab
    write_notebook(root / "train.ipynb", steps=100_000)
    open_notebook(page, address, "train.ipynb")
    page.run("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    wait_for(lambda: "widget-view" in page.run(OUTPUTS), "the panel")
    # The button with the square in the toolbar runs this command.
    page.run("void window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
    wait_for(lambda: "the end" in page.run(OUTPUTS), "the last cell")
    shown = page.run(OUTPUTS)
    assert "(True, False)" in shown
    assert "KeyboardInterrupt" not in shown
