"""JupyterLab over the working copy, the runs and the data."""

import importlib.util
import os
import sys
from pathlib import Path
from urllib.parse import quote

from avnb.course import start_page
from avnb.course.folders import find_home
from avnb.course.kernels import build_environment
from avnb.course.working_copy import (
    build_copy_environment,
    leave_working_copy,
    update_working_copy,
)
from avnb.errors import AvnbError

FOLDER = "course"


def open_working_copy() -> tuple[Path, list[str]]:
    """Bring the working copy to the installed version, and write its start page.

    Returns:
        Its folder, and what the reader should know.

    Raises:
        AvnbError: JupyterLab or jupytext is missing, or the folder cannot be written.
    """
    # They are no dependencies: what JupyterLab needs cannot be installed beside
    # Colab's packages.
    for name, module in (("JupyterLab", "jupyterlab"), ("jupytext", "jupytext")):
        # Only looked for: JupyterLab is imported by a process of its own.
        if importlib.util.find_spec(module) is None:
            raise AvnbError(
                name,
                "it is not installed",
                "Install it: pip install 'jupyterlab>=4.4' 'ipywidgets>=8.1' "
                "'jupytext>=1.17'",
            )
    folder = find_home() / FOLDER
    # The copy is compared with what is installed, so that must be imported.
    leave_working_copy(folder)
    messages = update_working_copy(folder)
    start_page.write_start_page(folder)
    return folder, messages


def build_command(
    folder: Path,
    *,
    port: int | None,
    browser: bool,
    allow_root: bool,
    page: Path | None = None,
) -> tuple[list[str], dict[str, str]]:
    """The command that starts JupyterLab, and the environment of its process.

    Its root is the home and not the working copy, so that links reach the executed
    notebooks and the reports below `runs/`.

    Args:
        folder: the working copy.
        port: where to listen, and nowhere else; JupyterLab's own choice when None.
        browser: open the page.
        allow_root: start also as root.
        page: the notebook to open, below the home; the start page when None.
    """
    page = page or folder / start_page.NAME
    address = quote(f"/lab/tree/{page.relative_to(folder.parent).as_posix()}")
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={folder.parent}",
        f"--LabApp.default_url={address}",
    ]
    if port is not None:
        # Without this it would quietly take the next free port.
        command += [f"--port={port}", "--ServerApp.port_retries=0"]
    command += [] if browser else ["--no-browser"]
    command += ["--allow-root"] if allow_root else []
    # `make lab` activates nothing, and yet a terminal or a cell with `!avnb` is to find
    # the command.
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return command, {
        **os.environ,
        "PATH": os.pathsep.join(places),
        **build_environment(),
        **build_copy_environment(folder),
    }
