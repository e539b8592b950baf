"""What the tests share: where the real media lie, how a series is imported."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Two workers that fill one cache of numba's (librosa's compiled functions) at the same
# time leave code in it that crashes whoever loads it later: a cache for each worker.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
os.environ["NUMBA_CACHE_DIR"] = str(ROOT / "build" / f"numba-{WORKER}")


@pytest.fixture(scope="session")
def media_folder() -> Path:
    """The folder of real recordings, or a skip that says how to provide it."""
    default = ROOT.parent / "shared" / "media"
    folder = Path(os.environ.get("AVNB_TEST_MEDIA", default))
    if not folder.is_dir():
        pytest.skip(f"no real media at {folder}: set AVNB_TEST_MEDIA to their folder")
    return folder
