"""One `avnb run` at a time in a run folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

NAME = ".lock"  # the file in the run folder that a run holds locked


@contextmanager
def lock_run(folder: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold a run folder for one `avnb run`; a second run waits until it is free.

    Two runs in one folder would delete each other's records. The system frees the lock
    when a process ends, also when it is killed, so no lock is left behind.

    Args:
        folder: the folder of the run.
        tell: prints one line, before this waits.
    """
    lock = FileLock(folder / NAME)
    try:
        # Without waiting at first, to learn whether there is something to tell.
        lock.acquire(timeout=0)
    except Timeout:
        tell(
            f"Another avnb run works in {folder}. This one waits until it has ended, "
            "and then does what is left. Press Ctrl-C to stop waiting, or give "
            "--run-dir to run in a folder of its own."
        )
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
