"""The parameters of a notebook whose text half runs as a script.

`python step6_train.py --scale gpu` and `accelerate launch step6_train.py --scale gpu`
take from the command line, or from the environment, what the parameters cell holds in
a notebook.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from avnb.course.commands import explain_activation
from avnb.course.settings import SCALES, check_scale, check_seed
from avnb.course.steps import SeriesStep, share_overrides, split_pair
from avnb.errors import AvnbError


@dataclass(frozen=True)
class Parameters:
    """What a parameters cell holds."""

    scale: str
    data: str = ""
    seed: int = 0
    run_dir: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)


def read_arguments(
    step: SeriesStep, given: Parameters, arguments: Sequence[str] | None = None
) -> Parameters:
    """The parameters of a step that runs as a script.

    An argument (`--scale`, `--data`, `--seed`, `--run-dir`, `--set field=value`) comes
    before the environment (`AVNB_SCALE`, `AVNB_DATA`, `AVNB_SEED`, `AVNB_RUN_DIR`), and
    that before the values of the parameters cell.

    Args:
        step: the step, for its name and its fields.
        given: the values of the parameters cell.
        arguments: the command line; `sys.argv` when None.

    Raises:
        SystemExit: `--help`, or a wrong value; the message names the right ones.
    """
    parser = _build_parser(step, given)
    found = parser.parse_args(arguments)
    try:
        scale = check_scale(_choose(found.scale, "scale", given.scale))
        # Apart, so that any field of the command line comes before the cell's. Within
        # each, "step6.epochs" comes before "epochs", as for `avnb run`.
        cell, line = (
            share_overrides([step], some)[step.name]
            for some in (given.overrides, dict(map(split_pair, found.set)))
        )
        seed = _read_seed(_choose(found.seed, "seed", given.seed))
    except AvnbError as error:
        # In argparse's own form: the usage, the message, and exit code 2.
        parser.error(str(error))
    return Parameters(
        scale=scale,
        data=_choose(found.data, "data", given.data),
        seed=seed,
        run_dir=_choose(found.run_dir, "run_dir", given.run_dir),
        overrides=cell | line,
    )


def is_script(step: str) -> bool:
    """Whether this process runs the text half of a step as a script.

    `accelerate launch` and `python` both leave the script's path in `sys.argv[0]`.
    """
    # In a notebook's kernel this is ipykernel_launcher.py.
    return Path(sys.argv[0]).name == f"{step}.py"


def print_errors_plainly() -> None:
    """Let an AvnbError end this script with one plain message, without a traceback."""
    # A hook, because nothing is around the script's own code that could catch it.
    sys.excepthook = _print_error


def _print_error(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if isinstance(error, AvnbError):
        print(f"avnb: {error}", file=sys.stderr)
        if note := explain_activation(str(error)):
            print(note, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _build_parser(step: SeriesStep, given: Parameters) -> argparse.ArgumentParser:
    fields = "\n".join(
        f"  {name:16} {', '.join(map(str, row)) or '(computed in the notebook)'}"
        for name, row in step.table.items()
    )
    # The epilog is a table, and only RawDescriptionHelpFormatter keeps its lines. With
    # abbreviations allowed, a new option could make an old command line ambiguous.
    parser = argparse.ArgumentParser(
        prog=f"{step.name}.py",
        description=f"Run {step.name} as a script, on one process or, with "
        f"`accelerate launch {step.name}.py`, on many.",
        epilog=f"fields for --set, and their values at {', '.join(SCALES)}:\n"
        f"{fields or '  (none)'}\n\nAVNB_SCALE, AVNB_DATA, AVNB_SEED and AVNB_RUN_DIR "
        "in the environment\nstand for the options that are not given.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    here = f"default: {given.scale}"
    # No `choices` and no `type`: the environment gives these values too, and all of
    # them are checked in one place.
    parser.add_argument("--scale", help=f"one of {', '.join(SCALES)} ({here})")
    parser.add_argument("--data", help="a folder of prepared clips (default: embedded)")
    parser.add_argument(
        "--seed", help=f"a whole number, of every random number (default: {given.seed})"
    )
    parser.add_argument("--run-dir", help="folder of the run (default: below runs/)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="field=value",
        help="change a field of the settings table; can be given several times",
    )
    return parser


def _choose(argument: str | None, name: str, given: Any) -> Any:
    """The argument, or what the environment holds, or the parameters cell's value."""
    if argument is not None:
        return argument
    return os.environ.get(f"AVNB_{name.upper()}", given)


def _read_seed(seed: str | int) -> int:
    try:
        number = int(seed)
    except ValueError:
        raise AvnbError(
            "seed", f"{seed!r} is no whole number", "Give one, like --seed 1"
        ) from None
    return check_seed(number)
