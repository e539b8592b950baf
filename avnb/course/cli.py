"""The command `avnb`: run a series, prepare data, open the notebooks, check a check.

What is slow to import is imported by the command that needs it.
"""

import subprocess
import sys
from typing import Annotated

import typer

from avnb.errors import AvnbError

app = typer.Typer(
    help="A course you can run, on generating sound and picture together.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _fail(error: Exception) -> typer.Exit:
    typer.echo(f"avnb: {error}", err=True)
    return typer.Exit(1)


def _parse_steps(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise typer.BadParameter(f"{text!r}: give numbers, like --steps 1,2") from None


def _parse_fields(pairs: list[str]) -> dict[str, str]:
    fields = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{pair!r}: give --set field=value")
        fields[name] = value
    return fields


@app.command()
def run(
    series: Annotated[str, typer.Argument(help="A folder of notebooks/.")],
    scale: Annotated[str, typer.Option(help="smoke, laptop, gpu or paper.")] = "laptop",
    data: Annotated[
        str, typer.Option(help="Prepared clips; default: the embedded data.")
    ] = "",
    seed: Annotated[int, typer.Option(help="Of every random number.")] = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="field=value; repeatable.")
    ] = None,
    steps: Annotated[str, typer.Option(help="Only these, like 1,2.")] = "",
    run_dir: Annotated[str, typer.Option(help="Default: runs/SERIES/SCALE.")] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Run also what is done.")
    ] = False,
) -> None:
    """Run a series of notebooks: what is not done yet, to a report."""
    numbers, fields = _parse_steps(steps), _parse_fields(set_ or [])
    from avnb.course import runner

    try:
        runner.run_series(
            series,
            scale=scale,
            data=data,
            seed=seed,
            overrides=fields,
            steps=numbers,
            run_dir=run_dir,
            again=again,
        )
    except AvnbError as error:
        raise _fail(error) from None
    except KeyboardInterrupt:
        typer.echo("\nStopped. The same command goes on with the first step not done.")
        raise typer.Exit(130) from None


@app.command()
def study(
    series: Annotated[str, typer.Argument(help="A folder of notebooks/.")],
    scale: Annotated[str, typer.Option(help="smoke, laptop, gpu or paper.")] = "laptop",
    seeds: Annotated[str, typer.Option(help="One whole run each.")] = "0,1,2",
) -> None:
    """Test the paper's claims: run a series once a seed, keep what holds."""
    numbers = _parse_steps(seeds)
    from avnb.course import study as studies

    try:
        path = studies.run_study(series, scale=scale, seeds=numbers)
    except AvnbError as error:
        raise _fail(error) from None
    typer.echo(f"kept in {path}")


@app.command(
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
def lab() -> None:
    """Open the notebooks in JupyterLab."""
    from avnb.course.series import list_series, series_folder

    folder = series_folder(min(list_series())).parent
    command = [sys.executable, "-m", "jupyterlab", str(folder)]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command()
def check() -> None:
    """Say what works on this machine, and what to do about what does not."""
    from avnb.course import check

    lines = check.check()
    for line in lines:
        typer.echo(str(line))
    raise typer.Exit(any(line.fix for line in lines))


if __name__ == "__main__":
    app()
