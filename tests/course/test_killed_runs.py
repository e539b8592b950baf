"""All processes of `avnb run` are killed: the next one goes on to the same record."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from toy import Toy

# How far a run has come when it is killed: what is there then, in its folder.
MOMENTS = {
    "while its first notebook runs": "checkpoint.txt",
    "between two notebooks": "notebooks/step1_count.ipynb",
}


def read_results(run_dir: Path) -> Any:
    """The values of a run's steps, without what differs between any two runs."""
    results = json.loads((run_dir / "results.json").read_text())
    return {
        step: [
            entry
            for entry in found["entries"]
            # The environment names this machine's threads.
            if entry["kind"] == "value" and entry["name"] != "environment"
        ]
        for step, found in results["steps"].items()
    }


def kill_when(path: Path, series: Toy, run_dir: Path) -> bool:
    """Run the series, kill all its processes once a file is there; tell whether."""
    home = series.folder / "home"
    home.mkdir(exist_ok=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("JUPYTER")}
    command = [sys.executable, "-m", "avnb.course.cli", "run", "toy"]
    process = subprocess.Popen(
        [*command, "--scale", "smoke", "--run-dir", str(run_dir)],
        cwd=series.folder,
        env=kept | {"PYTHONPATH": str(series.folder), "HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        if path.exists():
            # The kernels are children with sessions of their own: they are asked for.
            parent = psutil.Process(process.pid)
            for one in [parent, *parent.children(recursive=True)]:
                one.kill()
            process.wait()
            return True
        time.sleep(0.01)
    return False


@pytest.mark.slow
def test_a_run_that_is_killed_anywhere_ends_with_the_same_record(
    tmp_path: Path,
) -> None:
    toy = Toy(tmp_path)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = toy.avnb("run", "toy", "--scale", "smoke", "--run-dir", str(whole))
    assert done.returncode == 0, done.stderr
    for file in MOMENTS.values():
        assert kill_when(broken / file, toy, broken), file
    done = toy.avnb("run", "toy", "--scale", "smoke", "--run-dir", str(broken))
    assert done.returncode == 0, done.stderr
    assert read_results(broken) == read_results(whole)
    assert len(read_results(broken)) == 2
    assert (broken / "report.html").is_file()
