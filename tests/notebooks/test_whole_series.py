"""Each series from its first step to its report, with injected parameters.

`make test` executes each notebook once: those that only define by nbmake, the others
here, but for the series that test_install.py runs from an installed wheel.
"""

from pathlib import Path

import pytest
from whole_series import INSTALLED, check_run, recording_steps

from avnb.course import runner
from avnb.course.series import list_series


@pytest.mark.slow
@pytest.mark.whole_series
@pytest.mark.parametrize("series", sorted(set(list_series()) - {INSTALLED}))
def test_the_series_runs_with_injected_parameters(series: str, tmp_path: Path) -> None:
    steps = [number for number, _ in recording_steps(series)]
    runner.run_series(series, scale="smoke", seed=1, steps=steps, run_dir=tmp_path)
    check_run(series, tmp_path, seed=1)
