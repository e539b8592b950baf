"""What the tests share: the real media, where they lie."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def media_folder() -> Path:
    """The folder of real recordings, or a skip that says how to provide it."""
    default = ROOT.parent / "shared" / "media"
    folder = Path(os.environ.get("AVNB_TEST_MEDIA", default))
    if not folder.is_dir():
        pytest.skip(f"no real media at {folder}: set AVNB_TEST_MEDIA to their folder")
    return folder
