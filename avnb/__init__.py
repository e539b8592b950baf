"""avnb: a course you can run, on generating sound and picture together."""

import importlib.metadata

try:
    __version__ = importlib.metadata.version("avnb")
except importlib.metadata.PackageNotFoundError:  # imported from a folder of sources
    __version__ = "unknown"
