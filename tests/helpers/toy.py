"""A toy series of three notebooks in a clone of its own, to run for real."""

import os
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

from avnb.course import fingerprint

ROOT = Path(__file__).resolve().parents[2]
HEADER = """# %% tags=["parameters"]
SCALE = "laptop"
DATA = ""
SEED = 0
RUN_DIR = ""
OVERRIDES = {}

# %%
from avnb import course

# %%
lesson = course.start(
    "toy", "NAME", scale=SCALE, data=DATA, seed=SEED, run_dir=RUN_DIR,
    overrides=OVERRIDES,
)
"""
STEPS = {
    "step1_count": """
# %% [markdown]
# # Counting

# %%
settings = lesson.settings(dict(
    count=(2, 20, 50, 200, 2000),
    rate=(0.5, 0.5, 0.5, 1.0, 1.0),
))
settings

# %%
import os

lesson.record("count", settings.count)
lesson.record("environment", {k: v for k, v in os.environ.items() if "OMP" in k})
lesson.record("doubled", settings.count * settings.rate * 2)
lesson.record("table", [{"who": "a", "score": {"value": 0.5, "low": 0.4, "high": 0.6}}])
lesson.record("claims", [{"claim": "two is more than one", "holds": "counted: yes"}])
(lesson.run_dir / "checkpoint.txt").write_text(f"{SEED}")

# %%
from avnb.viz import show

lesson.figure("curve", show.curves({"loss": [3, 2, 1]}), "It falls <slowly>.")
lesson.audio("tone", [0.0, 0.5, -0.5] * 100, 8000, "A tone.")
lesson.finish()
""",
    "step2_define": """
# %%
def double(x: int) -> int:
    return 2 * x

# %% tags=["active-ipynb"]
# print(double(2))
""",
    "step3_use": """
# %%
from toy_series.toy.step2_define import double

settings = lesson.settings(dict(depth=(1, 2, 3, 4, 5)))
lesson.need("checkpoint.txt", "step1_count")
count = lesson.load_results("step1_count")["count"]
lesson.record("answer", double(count) * settings.depth)

# %%
if settings.depth == 13:
    raise RuntimeError("thirteen is too deep")

# %%
lesson.finish()
""",
}


class Toy:
    """A folder with a series that another distribution than avnb declares."""

    def __init__(self, folder: Path) -> None:
        # Another test's series of this name would be found instead, if this process
        # has imported it.
        for name in [name for name in sys.modules if name.startswith("toy_series")]:
            del sys.modules[name]
        fingerprint.list_followed_packages.cache_clear()
        fingerprint._find_root.cache_clear()
        self.folder = folder
        self.notebooks = folder / "toy_series" / "toy"
        self.notebooks.mkdir(parents=True)
        for place in (self.notebooks.parent, self.notebooks):
            (place / "__init__.py").touch()
        (self.notebooks / "series.py").write_text(
            "from avnb.course.series import WantedClips\n"
            "CLAIMS = ()\n"
            "WANTED = WantedClips('avnb prepare folder --source my_videos')\n"
        )
        declared = folder / "toy_series-1.dist-info"
        declared.mkdir()
        (declared / "METADATA").write_text("Name: toy-series\nVersion: 1\n")
        (declared / "entry_points.txt").write_text(
            "[avnb.series]\ntoy = toy_series.toy.series\n"
        )
        for name, body in STEPS.items():
            self.write(name, body)

    def write(self, name: str, body: str) -> None:
        """Write both halves of a notebook."""
        header = HEADER.replace("NAME", name)
        text = body if name == "step2_define" else header + body
        path = self.notebooks / f"{name}.py"
        path.write_text(text)
        notebook = jupytext.reads(text, fmt="py:percent")
        jupytext.write(notebook, path.with_suffix(".ipynb"))

    def avnb(
        self, *arguments: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command in an empty home, with this folder first on the path."""
        return self.python("-m", "avnb.course.cli", *arguments, **environment)

    def python(
        self, *arguments: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run Python in the same way."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("JUPYTER")}
        own = {"PYTHONPATH": str(self.folder), "HOME": str(home), "COLUMNS": "100"}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=kept | own | environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return Toy(tmp_path_factory.mktemp("clone"))
