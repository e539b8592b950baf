"""Every draw in a notebook comes after a seed, so that two runs of it are equal."""

import ast
import functools
import importlib.util
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(ROOT.glob("*/step*.ipynb"))
# What draws from the global generators, unless it is given a generator.
DRAWS = {"rand", "randn", "randint", "randperm", "rand_like", "randn_like"}
DRAWS |= {"normal", "multinomial", "bernoulli", "normal_", "uniform_", "random_"}
SEEDS = {"seed_everything", "Run"}
NETWORKS = ("avnb_notebooks.", "avnb.layers")  # where networks are defined
LAYERS = {"Linear", "Embedding", "GRU", "GRUCell", "LSTM", "RNN"}
LAYERS |= {f"Conv{n}d" for n in (1, 2, 3)} | {f"ConvTranspose{n}d" for n in (1, 2, 3)}


def called(node: ast.AST) -> str:
    """The last name of what a call calls, or nothing."""
    if not isinstance(node, ast.Call):
        return ""
    return ast.unparse(node.func).rpartition(".")[2]


def is_seed(node: ast.AST, seeding: set[str]) -> bool:
    """Whether a node seeds the global generators; one of its own seeds only itself."""
    name = called(node)
    if isinstance(node, ast.Call) and name == "manual_seed":
        return ast.unparse(node.func) == "torch.manual_seed"
    return name in seeding


def is_draw(node: ast.AST, drawing: set[str]) -> bool:
    """Whether a node draws: a call of a random function, or a network that is built."""
    name = called(node)
    if not isinstance(node, ast.Call) or not name:
        return False
    if name == "default_rng":
        return not node.args
    if name in DRAWS:
        owner = ast.unparse(node.func).rpartition(".")[0]
        seeded = any(k.arg == "generator" for k in node.keywords)
        return not seeded and not owner.startswith(("rng", "random", "np.random"))
    # torch.Generator is no network, but a series has one of that name.
    mine = ast.unparse(node.func) != "torch.Generator"
    return (name in drawing and mine) or name in LAYERS


def find_imported(tree: ast.Module) -> tuple[set[str], set[str]]:
    """What a cell imports from avnb or another notebook: what draws, and what seeds."""
    drawing: set[str] = set()
    seeding: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            NETWORKS
        ):
            found = find_drawing(str(node.module))
            for names, known in zip((drawing, seeding), found, strict=True):
                names |= {a.asname or a.name for a in node.names if a.name in known}
    return drawing, seeding


@functools.cache
def find_drawing(module: str) -> tuple[frozenset[str], frozenset[str]]:
    """The functions and classes of a module that draw when called; those that seed."""
    spec = importlib.util.find_spec(module)
    if spec is None or not str(spec.origin).endswith(".py"):
        return frozenset(), frozenset()
    drawing: set[str] = set()
    seeding: set[str] = set()
    text = Path(str(spec.origin)).read_text()
    find_unseeded([text], drawing, seeding, stop=False)
    return frozenset(drawing), frozenset(seeding)


def find_unseeded(
    sources: list[str],
    drawing: set[str] | None = None,
    seeding: set[str] | None = None,
    stop: bool = True,
) -> str:
    """The first statement of these cells that draws before any seed, or nothing.

    Args:
        sources: the code of the cells.
        drawing: is filled with the functions and classes that draw when called.
        seeding: is filled with those that seed before they draw.
        stop: False to read on to the end, for `drawing`.
    """
    drawing = set() if drawing is None else drawing
    seeding = set() if seeding is None else seeding
    seeding |= SEEDS
    for source in sources:
        tree = ast.parse(source)
        new_drawing, new_seeding = find_imported(tree)
        drawing |= new_drawing
        seeding |= new_seeding
        for statement in tree.body:
            nodes = list(ast.walk(statement))
            draws = any(is_draw(node, drawing) for node in nodes)
            seeds = any(is_seed(node, seeding) for node in nodes)
            if isinstance(statement, ast.ClassDef | ast.FunctionDef):
                bases = getattr(statement, "bases", [])
                names = {ast.unparse(base).rpartition(".")[2] for base in bases}
                if seeds:
                    seeding.add(statement.name)
                elif draws or names & drawing:
                    drawing.add(statement.name)
            elif stop and (seeds or draws):
                return "" if seeds else ast.unparse(statement)
    return ""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_no_draw_comes_before_a_seed(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert not find_unseeded(cells)


def test_the_search_finds_what_it_looks_for() -> None:
    define = "class Net(nn.Module):\n    def __init__(self):\n        nn.Linear(1, 2)"
    assert find_unseeded([define, "Net()"]) == "Net()"
    assert not find_unseeded([define, "torch.manual_seed(0)", "Net()"])
    assert find_unseeded(["x = torch.randn(3)", "torch.manual_seed(0)"])
    assert not find_unseeded(["torch.randn(3, generator=rng)"])
    assert find_unseeded(["torch.Generator().manual_seed(0)", "torch.rand(2)"])
    assert find_unseeded(["def noise():\n    return torch.rand(2)", "noise()"])
