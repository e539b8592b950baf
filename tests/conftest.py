"""What the tests share: where the real recordings lie, and which tests come first."""

import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]

# If two workers fill one numba cache (of librosa's compiled functions) at the same
# time, whoever loads the cached code later can crash. So each worker has its own.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
os.environ["NUMBA_CACHE_DIR"] = str(ROOT / "build" / f"numba-{WORKER}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a GPU or runs a series, and start with what takes minutes.

    pytest-xdist shares the work best when the longest tests begin first: otherwise one
    worker is left alone with a test of minutes at the end.
    """
    for item in items:
        call = getattr(item, "callspec", None)
        if call and "cuda" in call.params.values():
            item.add_marker("gpu")
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="there is no GPU here"))
        if "toy" in getattr(item, "fixturenames", ()):  # the toy series, run for real
            item.add_marker("slow")
    items.sort(key=lambda item: "whole_series" not in item.keywords)


@pytest.fixture(scope="session")
def media_folder() -> Path:
    """The folder of real recordings, or a skip that says how to provide it."""
    default = ROOT.parent / "shared" / "media"
    folder = Path(os.environ.get("AVNB_TEST_MEDIA", default))
    if not folder.is_dir():
        pytest.skip(f"no real media at {folder}: set AVNB_TEST_MEDIA to their folder")
    return folder
