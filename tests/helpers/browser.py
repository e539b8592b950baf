"""JupyterLab and a headless Chromium, driven over Chrome's DevTools protocol.

No package that drives browsers is needed: the protocol is JSON over a web socket, and
Jupyter brings a client for those.
"""

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests
import websocket

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SLOW = 300.0  # seconds; a busy machine takes minutes where an idle one takes a second


def wait_for(question: Callable[[], Any], what: str, seconds: float = SLOW) -> Any:
    """Ask until the answer is true; return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := question():
            return answer
        time.sleep(0.2)
    raise TimeoutError(f"{what}: not after {seconds:.0f} s")


class Page:
    """One page of a browser."""

    def __init__(self, address: str) -> None:
        # Chromium refuses clients that say which page they come from.
        self.socket = websocket.create_connection(
            address, timeout=SLOW, suppress_origin=True
        )
        self.numbers = itertools.count(1)
        self.call("Page.enable")
        # JupyterLab's current notebook is the one that has the focus.
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol, and return its result."""
        number = next(self.numbers)
        request = {"id": number, "method": method, "params": parameters}
        self.socket.send(json.dumps(request))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == number:  # the others are events
                assert "error" not in answer, answer
                return answer["result"]

    def run(self, script: str) -> Any:
        """Evaluate JavaScript in the page, and return its value; waits for promises."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def open(self, address: str) -> None:
        """Open an address."""
        self.call("Page.navigate", url=address)

    def save_picture(self, path: Path) -> None:
        """Save what the page shows as a PNG file."""
        data = self.call("Page.captureScreenshot")["data"]
        path.write_bytes(base64.b64decode(data))


@contextlib.contextmanager
def open_browser(folder: Path, width: int = 1200, height: int = 1000) -> Iterator[Page]:
    """A headless browser with one page; its profile goes below `folder`."""
    assert CHROMIUM is not None
    profile = folder / "profile"
    process = subprocess.Popen(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-port=0",  # a free one, which it writes to a file
            f"--user-data-dir={profile}",
            f"--window-size={width},{height}",
            "about:blank",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        told = profile / "DevToolsActivePort"
        wait_for(lambda: told.is_file() and told.read_text().strip(), "the browser")
        port = told.read_text().split()[0]
        pages = requests.get(f"http://127.0.0.1:{port}/json", timeout=SLOW).json()
        yield Page(
            next(p["webSocketDebuggerUrl"] for p in pages if p["type"] == "page")
        )
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def start_lab(root: Path, port: int, theme: str = "JupyterLab Light") -> Iterator[str]:
    """JupyterLab over a folder, without a password; gives its address."""
    settings = root / ".lab" / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "themes.jupyterlab-settings").write_text(json.dumps({"theme": theme}))
    # Without this, a question about news stands in front of the notebook.
    (settings / "notification.jupyterlab-settings").write_text(
        json.dumps({"fetchNews": "false", "checkForUpdates": False})
    )
    log = (root / ".lab" / "log").open("w")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            f"--ServerApp.root_dir={root}",
            f"--port={port}",
            "--ServerApp.port_retries=0",
            "--IdentityProvider.token=",
            "--LabApp.expose_app_in_browser=True",
        ],
        env=os.environ
        | {
            "JUPYTERLAB_SETTINGS_DIR": str(root / ".lab" / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(root / ".lab" / "workspaces"),
        },
        stdout=log,
        stderr=log,
    )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return requests.get(f"{address}/api/status", timeout=5).ok
        except requests.RequestException:
            return False

    try:
        wait_for(answers, "JupyterLab")
        yield address
    finally:
        process.terminate()
        process.wait()
        log.close()


PANEL = "[...window.jupyterapp.shell.widgets('main')].find(w => w.sessionContext)"
# Whether the notebook is open, its kernel is known, and its cells can be run.
READY = f"""(() => {{
  const panel = window.jupyterapp && {PANEL};
  if (!panel || !panel.context.isReady) return false;
  window.jupyterapp.shell.activateById(panel.id);
  const session = panel.sessionContext;
  return !!(session.isReady && session.session && session.session.kernel);
}})()"""
CELLS = f"{PANEL}.content.widgets"


def open_notebook(page: Page, address: str, name: str) -> None:
    """Open a notebook in JupyterLab, and wait until its kernel is there."""
    # `reset` forgets what was open before, so that a reload opens this one alone.
    page.open(f"{address}/lab/tree/{name}?reset")
    wait_for(lambda: page.run(READY), f"{name} in JupyterLab")


def run_all(page: Page, seconds: float = SLOW) -> list[int]:
    """Run all cells, and wait until each has its number; returns the numbers.

    Raises:
        TimeoutError: a cell did not run to its end.
    """
    page.run(
        f"{CELLS}.forEach(c => c.model.type == 'code' && c.model.clearExecution());"
        "void window.jupyterapp.commands.execute('notebook:run-all-cells')"
    )
    # JupyterLab gives a cell its number when the kernel has answered.
    numbers = (
        f"{CELLS}.filter(c => c.model.type == 'code').map(c => c.model.executionCount)"
    )
    wait_for(lambda: all(page.run(numbers)), "all cells", seconds)
    found: list[int] = page.run(numbers)
    return found
