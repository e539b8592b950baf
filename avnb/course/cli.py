"""The command `avnb`: run a series, prepare data, open the notebooks, check a machine.

What is slow to import is imported by the command that needs it, so that `avnb --help`
answers at once.
"""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from avnb.course.settings import SCALES
from avnb.errors import AvnbError

SCALE_NAMES = f"{', '.join(SCALES[:-1])} or {SCALES[-1]}."
PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)
# EDQUOT: not the disk is full, but the share of it that this user has.
FULL = (errno.ENOSPC, errno.EDQUOT)


class PlainErrors(TyperGroup):
    """Prints what the reader can put right as one message, without a traceback.

    Anything else is a mistake of ours, and its traceback is wanted.
    """

    def resolve_command(self, ctx: Any, args: Any) -> Any:
        """Find the command; most see the files of a working copy."""
        found = super().resolve_command(ctx, args)
        # These two compare the copy with what is installed, and so it must import
        # that. For the others this is the last moment before they import the series.
        if found[0] not in ("lab", "play"):
            _enter_working_copy()
        return found

    def invoke(self, ctx: Any) -> Any:  # Typer's copy of click has no public types
        """Run the command; see the class."""
        try:
            return super().invoke(ctx)
        except AvnbError as error:
            found = error
        except OSError as error:
            explained = explain_os_error(error)
            # A mistake of ours then, and its traceback is wanted.
            if explained is None:
                raise
            found = explained
        from avnb.course.commands import explain_activation

        typer.echo(f"avnb: {found}", err=True)
        if note := explain_activation(str(found)):
            typer.echo(note, err=True)
        raise typer.Exit(1)


def explain_os_error(error: OSError) -> AvnbError | None:
    """An error of the file system in plain words; None for other errors.

    Only errors that name a file, or say that a disk is full, come from the file
    system: sockets and pipes raise OSError too.
    """
    from avnb.course.folders import find_home

    if error.filename is None and error.errno not in FULL:
        return None
    # A full disk has no name where the file was open already.
    place = error.filename if error.filename is not None else find_home()
    # Python gives it as it was passed: a text, bytes, or an open file's number.
    if isinstance(place, bytes | int):
        place = os.fsdecode(place) if isinstance(place, bytes) else f"file {place}"
    if error.errno in FULL:
        return AvnbError(
            place,
            "the disk is full",
            "Free some space, or set AVNB_HOME to a folder on another disk, and run "
            "the same command again: it goes on where it was",
        )
    if error.errno in PERMISSION:
        return AvnbError(
            place,
            f"it cannot be used ({error.strerror})",
            "Set AVNB_HOME to a folder that you may write to, or give --run-dir",
        )
    return AvnbError(place, f"{error.strerror}", "Check that path, and try again")


app = typer.Typer(
    cls=PlainErrors,
    help="A course you can run, on generating sound and picture together.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Two options fewer in the help, which nobody needs to run the course.
    add_completion=False,
)


def _enter_working_copy() -> None:
    """Start the command anew with the reader's own notebooks, inside a working copy."""
    from avnb.course.folders import find_working_copy

    if folder := find_working_copy():
        from avnb.course.working_copy import enter_working_copy

        for message in enter_working_copy(folder):
            typer.echo(message, err=True)


def _parse_numbers(text: str, option: str) -> list[int]:
    try:
        # `part.strip()`: a comma at the end begins no number.
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise typer.BadParameter(f"{text!r}: give numbers, like {option} 1,2") from None


def _confirm(question: str) -> bool:
    # Enter is a yes: to run one step more destroys nothing.
    return typer.confirm(question, default=True)


def _stop() -> typer.Exit:
    typer.echo("\nStopped. The same command goes on with the first step not done.")
    return typer.Exit(130)  # what a shell expects after Ctrl-C


@app.command()
def run(
    series: Annotated[str, typer.Argument(help="Its name; `avnb check` lists them.")],
    scale: Annotated[str, typer.Option(help=SCALE_NAMES)] = "laptop",
    data: Annotated[
        str, typer.Option(help="Prepared clips; default: the embedded data.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Of every random number.")] = 0,
    # Not `set`, which is a word of Python's own.
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="field=value, or step7.field=value for step 7 alone; repeatable. Such "
            "a run has its own folder.",
        ),
    ] = None,
    steps: Annotated[str, typer.Option(help="Only these, like 1,2.")] = "",
    run_dir: Annotated[
        str, typer.Option(help="Default: below runs/SERIES, named by the options.")
    ] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Run also what is done.")
    ] = False,
    with_needed: Annotated[
        bool,
        typer.Option("--with-needed", help="Run also the steps that --steps need."),
    ] = False,
) -> None:
    """Run a series of notebooks: what is not done yet, to a report."""
    # Before the imports, which take seconds: a slip is answered at once.
    numbers = _parse_numbers(steps, "--steps")
    from avnb.course import runner
    from avnb.course.steps import split_pair

    try:
        runner.run_series(
            series,
            scale=scale,
            data=data,
            seed=seed,
            overrides=dict(map(split_pair, set_ or [])),
            steps=numbers,
            run_dir=run_dir,
            again=again,
            with_needed=with_needed,
            # In a script or a log nobody answers: there a question would wait for ever.
            confirm=_confirm if sys.stdin.isatty() and sys.stdout.isatty() else None,
        )
    except KeyboardInterrupt:
        raise _stop() from None


@app.command()
def study(
    series: Annotated[str, typer.Argument(help="Its name; `avnb check` lists them.")],
    scale: Annotated[str, typer.Option(help=SCALE_NAMES)] = "laptop",
    seeds: Annotated[str, typer.Option(help="One whole run each.")] = "0,1,2",
) -> None:
    """Test the paper's claims: run a series once a seed, keep what holds."""
    numbers = _parse_numbers(seeds, "--seeds")
    from avnb.course import study as studies

    try:
        path = studies.run_study(series, scale=scale, seeds=numbers)
    except KeyboardInterrupt:
        raise _stop() from None
    typer.echo(f"The study is kept in {path}")


@app.command(
    # All words go on to the command of the data set, `--help` among them.
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }
)
def prepare(context: typer.Context) -> None:
    """Turn recordings into prepared clips: avnb prepare --help lists the sets."""
    from avnb.data import scripts

    scripts.build_app()(context.args, prog_name="avnb prepare")


@app.command()
def reference(
    series: Annotated[str, typer.Argument(help="Its name; `avnb check` lists them.")],
    seeds: Annotated[
        str, typer.Option(help="Of the finished runs at scale reference.")
    ] = "0",
    out: Annotated[
        str, typer.Option(help="The folder to write; default: results/SERIES.")
    ] = "",
) -> None:
    """Publish finished runs at scale reference: numbers, curves, samples, weights."""
    numbers = _parse_numbers(seeds, "--seeds")
    from avnb.course.reference import keep_reference

    folder = keep_reference(series, seeds=numbers, out=out)
    typer.echo(f"The reference run is kept in {folder}")


@app.command()
def vote(
    folder: Annotated[
        Path, typer.Argument(help="Of the voting page: RUN_DIR/vote, for example.")
    ],
    votes: Annotated[
        Path | None,
        typer.Option(help="The files of the voters; default: FOLDER/votes."),
    ] = None,
) -> None:
    """Merge the votes of a class, from the files that a voting page gave them."""
    from avnb.course import votes as merging

    result = merging.merge_votes(folder, votes)
    typer.echo(merging.describe(result))
    typer.echo(f"Open {folder / merging.RESULT}")


PORT = typer.Option(help="Where JupyterLab listens; default: 8888.")
NO_BROWSER = typer.Option("--no-browser", help="Print the address only.")
ROOT = typer.Option("--allow-root", help="Start also as root, as in Docker.")


@app.command()
def lab(
    port: Annotated[int | None, PORT] = None,
    no_browser: Annotated[bool, NO_BROWSER] = False,
    allow_root: Annotated[bool, ROOT] = False,
) -> None:
    """Open your working copy of the notebooks, the folder course, in JupyterLab."""
    _open_lab(None, port, no_browser, allow_root)


@app.command()
def play(
    series: Annotated[str, typer.Argument(help="Its name; `avnb check` lists them.")],
    port: Annotated[int | None, PORT] = None,
    no_browser: Annotated[bool, NO_BROWSER] = False,
    allow_root: Annotated[bool, ROOT] = False,
) -> None:
    """Play with the trained networks of a series' reference run, in JupyterLab."""
    from avnb.course.play import prepare_play

    page = prepare_play(series)
    typer.echo(f"Run all cells of {page}: nothing has to be trained.")
    _open_lab(page, port, no_browser, allow_root)


def _open_lab(page: Any, port: int | None, no_browser: bool, allow_root: bool) -> None:
    """Start JupyterLab on a notebook, or on the start page, and wait for its end."""
    from avnb.course import lab as labs

    folder, messages = labs.open_working_copy()
    for message in messages:
        typer.echo(message, err=True)
    command, environment = labs.build_command(
        folder, port=port, browser=not no_browser, allow_root=allow_root, page=page
    )
    raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)


@app.command()
def check() -> None:
    """Say what works on this machine, and what to do about what does not."""
    from avnb.course import check as checks
    from avnb.course.commands import explain_activation

    lines = checks.check_machine()
    for line in lines:
        typer.echo(str(line))
    if note := explain_activation(" ".join(line.fix for line in lines)):
        typer.echo(note, err=True)
    # True is 1: a script can ask whether there is something to fix.
    raise typer.Exit(any(line.fix for line in lines))


if __name__ == "__main__":
    app()
