"""The commands that errors and messages tell a reader to type."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Where avnb is published. It is on no package index, where another project could take
# its name: so pip is always given the address of the repository.
REPOSITORY = "avnb/avnb"
REQUIREMENT = f"avnb @ git+https://github.com/{REPOSITORY}"
INSTALL = f"pip install '{REQUIREMENT}'"
# What avnb needs is left as it is: reinstalling PyTorch, too, would take gigabytes.
REINSTALL = f"pip install --force-reinstall --no-deps '{REQUIREMENT}'"

# A command of the environment as a remedy names it, not the end of a path.
_BARE = re.compile(r"(?<![\w/.-])(avnb|pip|papermill|accelerate) [a-z]")


def name_command() -> str:
    """How to call `avnb` here: "avnb", or its path where the environment is not active.

    `make demo` and JupyterLab run avnb from an environment that the reader's shell need
    not have activated. A bare "avnb" then ends in "command not found".
    """
    # The command of this Python; the PATH may lead to that of another one.
    beside = Path(sys.executable).parent / Path("avnb").with_suffix(
        ".exe" if os.name == "nt" else ""
    )
    found = shutil.which("avnb")
    if found and (not beside.is_file() or Path(found).samefile(beside)):
        return "avnb"
    if beside.is_file():
        return shlex.quote(_shorten(beside))
    # Where no command was installed (`pip install --target`), the module works.
    return f"{shlex.quote(_shorten(Path(sys.executable)))} -m avnb.course.cli"


def explain_activation(text: str) -> str:
    """How to make the commands in a text known to the shell; empty where they are.

    Args:
        text: an error or a remedy. It needs no explanation where it names no command.
    """
    command = name_command()
    if command == "avnb" or not _BARE.search(text):
        return ""
    script = Path(sys.prefix) / ("Scripts" if os.name == "nt" else "bin") / "activate"
    # This Python is of no environment that could be activated, such as the system's.
    if not script.is_file():
        return f"The command avnb is not on the PATH here. Write {command} instead."
    return (
        f"Activate the environment first: source {shlex.quote(_shorten(script))} "
        f"(or write {command} in place of avnb)."
    )


def describe_run(
    series: str,
    *,
    scale: str,
    data: str = "",
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
    run_dir: str | Path = "",
    steps: str = "",
    with_needed: bool = False,
) -> str:
    """The command line of `avnb run` with these options, ready to be typed."""
    # Only what differs from the defaults follows: the line is there to be typed.
    words = ["run", series, "--scale", scale]
    if data:
        words += ["--data", data]
    if seed:
        words += ["--seed", str(seed)]
    for name, value in (overrides or {}).items():
        words += ["--set", f"{name}={value}"]
    if run_dir:
        words += ["--run-dir", str(run_dir)]
    if steps:
        words += ["--steps", steps]
    if with_needed:
        words.append("--with-needed")
    return f"{name_command()} {shlex.join(words)}"


def _shorten(path: Path) -> str:
    """The path from the working folder, where it lies below that."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):  # elsewhere, or the working folder was deleted
        return str(path)
