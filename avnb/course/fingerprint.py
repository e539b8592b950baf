"""What a step's result depends on: its own code and that of all it imports.

Only what Python executes counts. Comments and docstrings are left out, so that
correcting one repeats no step; so is every module that the step does not import.
"""

import ast
import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path

from avnb.course.series import GROUP as SERIES
from avnb.data.scripts import GROUP as SCRIPTS


@cache
def list_followed_packages() -> frozenset[str]:
    """The outermost packages whose modules are followed.

    These are avnb and whatever declares a series or a data script. What else the
    environment holds is pinned by its lock, and too much to read.
    """
    found = {"avnb"}
    for group in (SERIES, SCRIPTS):
        for one in importlib.metadata.entry_points(group=group):
            found.add(one.module.partition(".")[0])
    return frozenset(found)


def parse_cells(cells: Sequence[str]) -> list[ast.Module]:
    """The syntax trees of those cells that are plain Python, without magics."""
    trees = []
    for cell in cells:
        try:
            trees.append(ast.parse(cell))
        except SyntaxError:  # a cell with magics, such as %pip
            continue
    return trees


def hash_cells(cells: Sequence[str]) -> str:
    """A hash of what some cells execute: no comment, no docstring, no layout."""
    digest = hashlib.sha256()
    for cell in cells:
        try:
            text = ast.dump(_parse_code(cell))
        except SyntaxError:
            text = cell  # magics mean something to IPython alone
        digest.update(f"{text}\n".encode())
    return digest.hexdigest()[:16]


def find_imports(
    trees: Iterable[ast.AST], folder: Path | None = None
) -> dict[str, Path]:
    """The modules of ours that some code imports, and those that they import.

    A name that a package only hands on (`from avnb.layers import UpBlock`) leads to the
    module that defines it, and not to everything else that the package hands on.

    Args:
        trees: the code.
        folder: where it looks for modules first, as a notebook does in its folder.

    Returns:
        The module's name -> its file.
    """
    found: dict[str, Path] = {}
    seen: set[str] = set()
    # As one module: a cell uses what another one imports.
    whole = ast.Module([node for tree in trees for node in _body(tree)], [])
    waiting = _list_imported(whole)
    while waiting:
        name = waiting.pop()
        # Modules may import each other in a circle.
        if name in seen:
            continue
        seen.add(name)
        path = _find_file(name, folder)
        if path is None:
            # Not a module: a name in one, which a package may have from elsewhere.
            waiting += _follow_name(name, folder)
        elif not _only_hands_on(path):
            found[name] = path
            waiting += _list_imported(_parse(path), _package_of(name, path))
    return found


def hash_imports(trees: Iterable[ast.AST], folder: Path | None = None) -> str:
    """A hash of all the modules that `find_imports` finds."""
    found = find_imports(trees, folder)
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(f"{name}\n{ast.dump(_parse(found[name]))}\n".encode())
    return digest.hexdigest()[:16]


def hash_module(name: str) -> str:
    """A hash of one of our modules and of those of ours that it imports."""
    return hash_imports([ast.parse(f"import {name}")])


def _body(tree: ast.AST) -> list[ast.stmt]:
    return tree.body if isinstance(tree, ast.Module) else []


def _list_imported(tree: ast.AST, package: str = "") -> list[str]:
    """Every name that a tree imports, with the packages that hold it.

    `from avnb import training` names a module, and `from avnb.training import Run` a
    class: from the outside they look alike, so both are listed as a.b.c. What is used
    of an imported name is listed too (`training.Run`); "training.*" where that cannot
    be told.
    """
    names = []
    used = _list_attributes(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [f"{alias.name}.*" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            # One dot is the package itself, and each further dot the package above.
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                module = ".".join([*above, *([module] if module else [])])
            for alias in node.names:
                name = f"{module}.{alias.name}"
                attributes = used.get(alias.asname or alias.name, ())
                names += [name, *(f"{name}.{attribute}" for attribute in attributes)]
    # Importing a.b.c executes a and a.b as well.
    parts = [name.split(".") for name in names]
    return [".".join(p[:i]) for p in parts for i in range(1, len(p) + 1)]


def _list_attributes(tree: ast.AST) -> dict[str, set[str]]:
    """Name -> the attributes that are read of it, "*" where it is used as a whole."""
    used: dict[str, set[str]] = {}
    owners: set[int] = set()
    # `walk` comes to an attribute before it comes to the name that the attribute is of.
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used.setdefault(node.value.id, set()).add(node.attr)
            owners.add(id(node.value))
        elif isinstance(node, ast.Name) and id(node) not in owners:
            used.setdefault(node.id, set()).add("*")
    return used


def _follow_name(name: str, folder: Path | None) -> list[str]:
    """Where a package's `__init__` has one of its names from, or all ("*")."""
    package, _, wanted = name.rpartition(".")
    path = _find_file(package, folder) if package else None
    if path is None or path.stem != "__init__":
        return []
    found = []
    # Only the top level: what a function imports is not handed on.
    for node in _parse(path).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if wanted in ("*", alias.asname or alias.name) or alias.name == "*":
                    chosen = ast.ImportFrom(node.module, [alias], node.level)
                    found += _list_imported(ast.Module([chosen], []), package)
    return found


def _only_hands_on(path: Path) -> bool:
    """Whether a file is an `__init__` (or its stub) of nothing but imports."""
    return path.stem == "__init__" and all(
        isinstance(node, ast.ImportFrom)
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in _parse(path).body
    )


def _find_file(name: str, folder: Path | None) -> Path | None:
    """The file of one of our modules, or None; nothing is imported."""
    top, *rest = name.split(".")
    if not rest and folder is not None and (folder / f"{top}.py").is_file():
        return folder / f"{top}.py"
    root = _find_root(top)
    if root is None:
        return None
    path = root.joinpath(*rest)
    # Where there is a stub, the package itself imports its names only when asked.
    files = [path / "__init__.pyi", path / "__init__.py", path.with_suffix(".py")]
    return next((file for file in files if file.is_file()), None)


@cache
def _find_root(top: str) -> Path | None:
    if top not in list_followed_packages():
        return None
    # For an outermost package this looks for the folder and executes nothing.
    spec = importlib.util.find_spec(top)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def _package_of(name: str, path: Path) -> str:
    return name if path.stem == "__init__" else name.rpartition(".")[0]


def _parse(path: Path) -> ast.Module:
    # A file may change while this process runs: time and size are part of the key.
    version = path.stat()
    return _parse_version(path, version.st_mtime_ns, version.st_size)


@lru_cache(maxsize=512)
def _parse_version(path: Path, changed: int, size: int) -> ast.Module:
    # Many steps import the same modules, and parsing them takes most of the time.
    return _parse_code(path.read_text(encoding="utf-8"))


def _parse_code(text: str) -> ast.Module:
    """A syntax tree without docstrings; it has no comments anyway."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if not isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ):
            continue
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            # An empty body is no valid tree, but it is only written down here.
            node.body = node.body[1:]
    return tree
