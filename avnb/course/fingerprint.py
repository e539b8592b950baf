"""What a step's result depends on: its own code and that of all it imports.

Only what Python executes counts. Comments and docstrings are left out, so that
correcting one repeats no step; so is every module that the step does not import.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

# Only our own code is followed: what the environment holds is pinned by its lock.
OURS = ("avnb", "data_scripts", "avnb_notebooks")


def parse_cells(cells: Sequence[str]) -> list[ast.Module]:
    """The syntax trees of those cells that are plain Python, without magics."""
    trees = []
    for cell in cells:
        try:
            trees.append(ast.parse(cell))
        except SyntaxError:  # a cell with magics, such as %pip
            continue
    return trees


def hash_imports(trees: Iterable[ast.AST], folder: Path | None = None) -> str:
    """A hash of our modules that some code imports, and of those that they import.

    Args:
        trees: the code.
        folder: where it looks for modules first, as a notebook does in its folder.
    """
    found: dict[str, Path] = {}
    waiting = [name for tree in trees for name in _imported(tree)]
    while waiting:
        name = waiting.pop()
        path = _find(name, folder)
        if name in found or path is None:
            continue
        found[name] = path
        waiting += _imported(_parse(path), _package(name, path))
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(f"{name}\n{_dump(found[name])}\n".encode())
    return digest.hexdigest()[:16]


def hash_module(name: str) -> str:
    """A hash of one of our modules and of those of ours that it imports."""
    return hash_imports([ast.parse(f"import {name}")])


def _imported(tree: ast.AST, package: str = "") -> list[str]:
    """Every module that a tree may import, with the packages that hold it."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                module = ".".join([*above, *([module] if module else [])])
            # `from avnb import training` names a module, or something in one
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    parts = [name.split(".") for name in names]
    return [".".join(p[:i]) for p in parts for i in range(1, len(p) + 1)]


def _find(name: str, folder: Path | None) -> Path | None:
    """The file of one of our modules, or None; nothing is imported."""
    top, *rest = name.split(".")
    if not rest and folder is not None and (folder / f"{top}.py").is_file():
        return folder / f"{top}.py"
    root = _root(top)
    if root is None:
        return None
    path = root.joinpath(*rest)
    files = [path / "__init__.py", path.with_suffix(".py")]
    return next((file for file in files if file.is_file()), None)


@cache
def _root(top: str) -> Path | None:
    if top not in OURS:
        return None
    spec = importlib.util.find_spec(top)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def _package(name: str, path: Path) -> str:
    return name if path.name == "__init__.py" else name.rpartition(".")[0]


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _dump(path: Path) -> str:
    """A module's syntax tree as text, without docstrings."""
    tree = _parse(path)
    for node in ast.walk(tree):
        if not isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ):
            continue
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            # An empty body is no valid tree, but it is only written down here.
            node.body = node.body[1:]
    return ast.dump(tree)
